//! Catalogues of ours in the hands of LSDB, and catalogues of others in ours.

use std::path::{Path, PathBuf};

use crate::harness::{Client, Home};

/// The folder of the served version of a table.
pub(crate) fn tree(home: &Home, table: &str) -> PathBuf {
    let shown: serde_json::Value = serde_json::from_str(&home.almagest(&["catalog", "show", table, "--json"])).unwrap();
    home.path("store").join(shown["folder"].as_str().unwrap())
}

#[test]
fn lsdb_opens_a_catalogue_of_ours_and_finds_the_same_rows() {
    let Some(client) = Client::python("lsdb_hats.py") else {
        return;
    };
    let home = Home::on_a_local_folder();
    let (stars, galaxies) = ("stars.parquet", "galaxies.parquet");
    home.almagest(&["generate", "stars", "--rows", "40_000", "--out", stars]);
    home.almagest(&["generate", "galaxies", "--rows", "40_000", "--out", galaxies]);
    let common = ["--max-rows", "3000", "--margin", "10arcsec"];
    let imported = |table, file, id| {
        let own = ["import", "--table", table, "--id", id, "--index", id, file];
        home.almagest(&[&own[..], &common[..]].concat());
        home.almagest(&["catalog", "check", table]);
        tree(&home, table).display().to_string()
    };
    let trees = [imported("demo.stars", stars, "source_id"), imported("demo.galaxies", galaxies, "object_id")];
    let [stars, galaxies] = [stars, galaxies].map(|file| home.path(file).display().to_string());
    client.agrees(&[&trees[0], &stars, &trees[1], &galaxies]);
}

#[test]
fn a_tree_of_somebody_else_is_attached_checked_and_queried_where_it_is() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/formats/hats-samples");
    if !samples.is_dir() {
        eprintln!("skipped: {} is not there", samples.display());
        return;
    }
    let home = Home::on_a_local_folder();
    for (tree, table, rows) in [
        ("hats/small_sky_o1_collection", "small.objects", 131),
        ("built-0.11.1/small_sky_source_collection", "small.sources", 17_161),
        ("hats/small_sky_nested", "small.nested", 131),
        ("hats/small_sky_npix_as_dir", "small.folders", 131),
        ("hats-import/small_sky_object_source_association", "small.pairs", 131),
    ] {
        let url = samples.join(tree).display().to_string();
        home.almagest(&["attach", &url, "--table", table]);
        let counted = home.csv(&format!("SELECT COUNT(*) AS n FROM {table}"));
        assert_eq!(counted, format!("n\n{rows}\n"), "{tree}");
        home.almagest(&["catalog", "check", table]);
    }
    let cone = "SELECT COUNT(*) AS n FROM small.sources \
                WHERE 1=CONTAINS(POINT(source_ra, source_dec), CIRCLE(320, -40, 1))";
    assert_eq!(home.csv(cone), "n\n131\n");
}
