//! Operators of ours give the answers that those of DataFusion give, and read no more.

use datafusion::{
    arrow::array::Array, execution::SessionStateBuilder, physical_optimizer::PhysicalOptimizerRule,
    physical_plan::displayable,
};

use super::*;
use crate::rules::{late_rows::LateRows, partial_groups::PartialGroups};

const OURS: [&str; 4] = ["relax_order", "counted_cells", "late_rows", "partial_groups"];

/// A query as DataFusion plans it, or with our operators, however little there is to gain.
async fn planned_by(ours: bool, text: &str) -> (Planned, Arc<Watch>) {
    let House { means, tables, .. } = house().await;
    let watch = Watch::begin(&QueryLimits::default());
    let session = means.session(tables, Arc::clone(&watch), None);
    let rules = session.physical_optimizers().iter().filter_map(
        |rule| -> Option<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
            Some(match rule.name() {
                name if !ours && OURS.contains(&name) => return None,
                // What is read here is little, and would be grouped at once.
                "CombinePartialFinalAggregate" if ours => return None,
                "late_rows" => Arc::new(LateRows { least_bytes: 0 }),
                "partial_groups" => Arc::new(PartialGroups { most_groups: 100 }),
                _ => Arc::clone(rule),
            })
        },
    );
    let rules = rules.collect();
    let session = SessionStateBuilder::new_from_existing(session).with_physical_optimizer_rules(rules).build();
    let question = planning::question(&session, tables, Language::Sql, text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let Question::Answer(statement) = question else { panic!("{text} explains") };
    (planning::plan(session, tables.clone(), statement, None).await.unwrap(), watch)
}

/// The rows of an answer, each as a text, and how many bytes were read for them once the footers were known.
async fn answer(ours: bool, text: &str) -> (Vec<String>, u64, String) {
    let (first, _) = planned_by(ours, text).await;
    collect(Arc::clone(&first.physical), first.context()).await.unwrap_or_else(|e| panic!("{text}: {e}"));
    let (planned, watch) = planned_by(ours, text).await;
    let plan = displayable(&*planned.physical).indent(false).to_string();
    let batches = collect(Arc::clone(&planned.physical), planned.context()).await.unwrap();
    let rows = concat_batches(&planned.physical.schema(), &batches).unwrap();
    let texts: Vec<ArrayRef> = rows.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
    let text = |row: usize| {
        let values = texts.iter().map(|column| column.as_string::<i32>()).map(|column| match column.is_valid(row) {
            true => column.value(row),
            false => "NULL",
        });
        values.collect::<Vec<_>>().join("|")
    };
    ((0..rows.num_rows()).map(text).collect(), watch.read(), plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rows_in_an_order_are_the_same_however_late_they_are_read() {
    for (order, limit) in [
        ("delta, id", "LIMIT 7"),
        ("delta DESC, id", "LIMIT 7"),
        ("delta DESC, id DESC", "LIMIT 100 OFFSET 45"),
        ("seen, id DESC", "LIMIT 1"),
        ("id DESC", "LIMIT 3 OFFSET 3"),
        ("id", "LIMIT 40000"),
        ("cell NULLS FIRST, id", "LIMIT 50"),
        ("cell DESC NULLS FIRST, id", "LIMIT 50"),
        ("cell DESC NULLS LAST, id", "LIMIT 50"),
        ("cell NULLS LAST, id", "LIMIT 36000"),
        ("cell NULLS FIRST, id", "LIMIT 36000"),
    ] {
        for condition in ["", "WHERE delta > 100", "WHERE id % 1000 IN (5, 600) OR delta IS NULL", "WHERE delta > 5000"]
        {
            let text = format!("SELECT * FROM t.holes {condition} ORDER BY {order} {limit}");
            let ((ours, _, plan), (theirs, _, _)) = (answer(true, &text).await, answer(false, &text).await);
            assert_eq!(ours, theirs, "{text}");
            assert!(plan.contains("LateRowsExec") || condition.contains("5000"), "{text}: {plan}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_equal_in_the_order_are_given_out_as_often_as_are_wanted() {
    // 48 files have a row with each value.
    for (order, limit) in [("delta", 10), ("delta DESC", 48), ("delta", 49), ("delta DESC", 200)] {
        let query = |columns: &str| format!("SELECT {columns} FROM t.plain ORDER BY {order} LIMIT {limit}");
        let (ours, _, plan) = answer(true, &query("id, delta, seen, ra, dec")).await;
        let (theirs, _, _) = answer(false, &query("delta")).await;
        let deltas: Vec<&str> = ours.iter().map(|row| row.split('|').nth(1).unwrap()).collect();
        assert_eq!(deltas, theirs, "{order} {limit}");
        let mut ids: Vec<&str> = ours.iter().map(|row| row.split('|').next().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), limit, "{order} {limit}: no row twice");
        assert!(plan.contains("LateRowsExec"), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_read_late_are_read_from_a_few_pages() {
    let text = "SELECT * FROM t.plain ORDER BY id DESC LIMIT 10";
    let ((_, ours, _), (_, all, _)) = (answer(true, text).await, answer(true, "SELECT * FROM t.plain").await);
    let (_, order, _) = answer(true, "SELECT id FROM t.plain").await;
    assert!(ours < order + all / 40, "{ours} of {all}, {order} of which to order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_orders_by_a_computed_value_or_is_hardly_wider_is_read_at_once() {
    for text in [
        "SELECT * FROM t.plain ORDER BY delta + id LIMIT 5",
        "SELECT * FROM t.plain ORDER BY mag LIMIT 5", // NaN is made NULL
        "SELECT id, delta FROM t.plain ORDER BY delta LIMIT 5",
        "SELECT * FROM t.plain ORDER BY delta",
    ] {
        let (_, _, plan) = answer(true, text).await;
        assert!(!plan.contains("LateRowsExec"), "{text}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_the_same_however_they_are_counted() {
    let many = "COUNT(*) AS n, COUNT(mag) AS k, SUM(id) AS s, MIN(err) AS a, MAX(seen) AS b, \
                COUNT(*) FILTER (WHERE delta > 0) AS p, COUNT(DISTINCT delta % 5) AS d";
    for (keys, columns) in [
        ("delta % 7", many),
        ("delta", many),
        ("id", "COUNT(*) AS n, MIN(mag) AS a, SUM(delta) AS s"),
        ("id, delta", "COUNT(*) AS n"),
        ("ROUND(mag * 10)", many),
        ("ROUND(mag * 10), ROUND(err * 1000)", "COUNT(*) AS n"),
        ("delta % 3, mag > 12, ROUND(err * 100)", many),
        ("CAST(delta % 100 AS SMALLINT), seen, cell", "COUNT(*) AS n, SUM(delta) AS s"),
        ("delta % 2, delta % 3, delta % 5, delta % 7", "COUNT(*) AS n"),
        ("healpix_parent(cell, 4)", "COUNT(*) AS n"),
        ("healpix_parent(cell, 2)", many),
        ("healpix_parent(cell, 9)", "COUNT(*) AS n, AVG(delta) AS v"),
        ("cell", "COUNT(*) AS n"),
    ] {
        for (table, condition) in
            [("holes", ""), ("plain", ""), ("plain", "WHERE delta > 460"), ("plain", "WHERE id < 0")]
        {
            if keys.contains("healpix") && table == "holes" {
                continue; // its cells are no BIGINT
            }
            let text = format!("SELECT {keys}, {columns} FROM t.{table} {condition} GROUP BY {keys}");
            let ((mut ours, _, plan), (mut theirs, _, _)) = (answer(true, &text).await, answer(false, &text).await);
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "{text}");
            let simple = !columns.contains("DISTINCT") && !keys.contains(">");
            if simple && condition.is_empty() {
                assert!(plan.contains("PartialGroupsExec"), "{text}: {plan}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_are_asked_for_in_order_come_in_order() {
    for text in [
        "SELECT healpix_parent(cell, 4) AS pixel, COUNT(*) AS n FROM t.plain GROUP BY healpix_parent(cell, 4) ORDER BY pixel",
        "SELECT cell, COUNT(*) AS n, MAX(id) AS i FROM t.plain GROUP BY cell ORDER BY cell",
        "SELECT DISTINCT healpix_parent(cell, 3) AS pixel FROM t.plain ORDER BY pixel LIMIT 20",
    ] {
        assert_eq!(answer(true, text).await.0, answer(false, text).await.0, "{text}");
    }
}
