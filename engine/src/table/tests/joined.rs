//! What a join reads of a table, once it knows where the rows of the other side are.

use super::{TREES, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_join_with_a_few_positions_reads_only_the_pages_around_them() {
    for tree in &TREES {
        let few = format!("(SELECT ra, dec FROM t.{} WHERE id BETWEEN 5300 AND 5302)", tree.name);
        // Of a position that was computed it is not known in which cell it lies.
        let query = |join: &str, lon: &str| {
            let near = format!("DISTANCE({lon}, a.dec, b.ra, b.dec) <= 0.5");
            format!(
                "SELECT a.id AS id, a.mag AS mag, a.err AS err FROM t.{} AS a {join} {few} AS b ON {near}",
                tree.name
            )
        };
        for join in ["JOIN", "RIGHT JOIN"] {
            let (near, found) = read(&query(join, "a.ra")).await;
            let (all, every) = read(&query(join, "a.ra + 0")).await;
            assert_eq!(found, every, "{}", tree.name);
            assert!(near.rows >= 3 && near.rows < 400, "{near:?}");
            // Those of the few rows themselves are among them; a row without a cell may be in every row group and page.
            assert!(tree.holes || near.row_groups <= 10, "{} {join}: {near:?} of {all:?}", tree.name);
            assert!(all.row_groups > 190, "{all:?}");
            assert!(tree.holes || near.bytes * 5 < all.bytes, "{} {join}: {near:?} of {all:?}", tree.name);
        }
        let (left, found) = read(&query("LEFT JOIN", "a.ra")).await;
        assert!(left.row_groups > 190 && found.len() >= 48 * 768, "all rows are given out: {left:?}");
    }
}
