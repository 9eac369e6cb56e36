//! Rows that are asked for by their identifiers: long lists, and what tells where the rows are.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::Int64Type,
};
use catalogs::{
    CatalogStore, StoreOptions, TableName,
    import::{self, ImportPlan},
};
use engine::{Engine, EngineOptions, Language, Progress, QueryLimits, TableSet};
use formats::Batches;
use futures::StreamExt;
use tokio::sync::OnceCell;

const ROWS: i64 = 4_000;

struct House {
    _folder: tempfile::TempDir,
    engine: Engine,
    tables: TableSet,
}

/// A number that says nothing of where the row is; none in some rows.
fn id(row: i64) -> Option<i64> {
    (row % 17 != 5).then_some((row * 7_919) % 100_003 - 50_000)
}

fn table() -> RecordBatch {
    let turn = |row: i64| row as f64 * 137.507_764 % 360.0;
    let lat = |row: i64| (1.0 - (row as f64 + 0.5) * 2.0 / ROWS as f64).asin().to_degrees();
    RecordBatch::try_from_iter_with_nullable([
        ("row", Arc::new(Int64Array::from_iter_values(0..ROWS)) as Arc<dyn Array>, false),
        ("ra", Arc::new(Float64Array::from_iter_values((0..ROWS).map(turn))), true),
        ("dec", Arc::new(Float64Array::from_iter_values((0..ROWS).map(lat))), true),
        ("id", Arc::new((0..ROWS).map(id).collect::<Int64Array>()), true),
        ("plain", Arc::new((0..ROWS).map(id).collect::<Int64Array>()), true),
        ("name", Arc::new((0..ROWS).map(|row| id(row).map(|id| format!("S {id}"))).collect::<StringArray>()), true),
    ])
    .unwrap()
}

async fn house() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let url = folder.path().display().to_string();
            let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
            let name: TableName = "i.stars".parse().unwrap();
            let spill = folder.path().join("spill");
            let mut plan = ImportPlan { max_rows: 100, spill, ..ImportPlan::new(name.clone(), Default::default()) };
            plan.indexes = vec!["id".to_owned(), "name".to_owned()];
            let batch = table();
            let given = Batches::new("stars", batch.schema(), vec![batch]);
            let (snapshot, _) =
                import::run(&store, "stars", vec![Box::new(given)], plan, Arc::new(|_| ())).await.unwrap();
            assert!(snapshot.files().len() > 40, "{} files", snapshot.files().len());
            let tables = TableSet::new([(name, Arc::new(snapshot))]).unwrap();
            let engine =
                Engine::new(EngineOptions { memory: 256 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
            House { _folder: folder, engine, tables }
        })
        .await
}

async fn ask(text: &str) -> (RecordBatch, Progress) {
    let house = house().await;
    let query = house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await;
    let query = query.unwrap_or_else(|error| panic!("{}: {error}", &text[..text.len().min(300)]));
    let schema = query.schema();
    let mut rows = query.run().unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch.unwrap());
    }
    (concat_batches(&schema, &batches).unwrap(), rows.progress())
}

async fn rows_where(condition: &str) -> (Vec<i64>, Progress) {
    let (rows, progress) = ask(&format!("SELECT row FROM i.stars WHERE {condition}")).await;
    let mut rows = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
    rows.sort_unstable();
    (rows, progress)
}

async fn explained(condition: &str) -> String {
    let rows = ask(&format!("EXPLAIN SELECT row FROM i.stars WHERE {condition}")).await.0;
    rows.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join("\n")
}

fn expected(holds: impl Fn(Option<i64>) -> bool) -> Vec<i64> {
    (0..ROWS).filter(|row| holds(id(*row))).collect()
}

fn listed(ids: &[i64]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Every third identifier, in no order and some twice, and as many that no row has.
fn wanted() -> Vec<i64> {
    let there = (0..ROWS).rev().filter(|row| row % 3 == 0).filter_map(id);
    let mut ids: Vec<i64> = there.collect();
    ids.extend((0..1_500).map(|number| 200_000 + number * 7));
    ids.extend_from_slice(&ids.clone()[..100]);
    ids
}

#[tokio::test]
async fn a_long_list_finds_the_rows_that_a_short_one_would() {
    let ids = wanted();
    let has = |id: i64| ids.contains(&id);
    let list = listed(&ids);
    let names = ids.iter().map(|id| format!("'S {id}'")).collect::<Vec<_>>().join(", ");
    for column in ["id", "plain"] {
        for (condition, rows) in [
            (format!("{column} IN ({list})"), expected(|id| id.is_some_and(has))),
            (format!("{column} NOT IN ({list})"), expected(|id| id.is_some_and(|id| !has(id)))),
            (format!("NOT {column} IN ({list})"), expected(|id| id.is_some_and(|id| !has(id)))),
            (format!("{column} IN ({list}, NULL)"), expected(|id| id.is_some_and(has))),
            (format!("{column} NOT IN ({list}, NULL)"), Vec::new()),
            (format!("NOT {column} IN ({list}, NULL)"), Vec::new()),
            (format!("{column} IN ({list}) OR {column} IS NULL"), expected(|id| id.is_none_or(has))),
            (
                format!("CASE WHEN {column} IN ({list}) THEN 1 WHEN {column} NOT IN ({list}) THEN 2 ELSE 3 END = 2"),
                expected(|id| id.is_some_and(|id| !has(id))),
            ),
        ] {
            assert!(rows_where(&condition).await.0 == rows, "{}", &condition[..60]);
        }
    }
    assert!(rows_where(&format!("name IN ({names})")).await.0 == expected(|id| id.is_some_and(has)));
    assert!(rows_where(&format!("name NOT IN ({names})")).await.0 == expected(|id| id.is_some_and(|id| !has(id))));
    let (rows, _) =
        ask(&format!("SELECT COUNT(*) FROM i.stars AS a LEFT JOIN i.stars AS b ON a.id = b.id AND b.id IN ({list})"))
            .await;
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), ROWS);
}

#[tokio::test]
async fn a_long_list_is_one_value_in_the_plan_and_is_said_shortly() {
    let house = house().await;
    let text = format!("SELECT row FROM i.stars WHERE id IN ({})", listed(&wanted()));
    let query = house.engine.plan(&house.tables, Language::Adql, &text, QueryLimits::default()).await.unwrap();
    let plan = query.plan_text();
    assert!(plan.len() < 20_000 && plan.contains("among("), "{} bytes", plan.len());
    let told = explained(&format!("id IN ({})", listed(&wanted()))).await;
    assert!(told.contains("more)") && told.len() < 2_000, "{told}");
    let expected: std::collections::BTreeSet<i64> = wanted().into_iter().collect();
    assert!(told.contains(&format!("and {} more)", expected.len() - 8)), "{told}");
    assert!(told.contains("The index of id is not looked up"), "{told}");
}

#[tokio::test]
async fn an_index_leaves_out_the_files_that_hold_none_of_a_few_values() {
    let few: Vec<i64> = [11, 1_000, 2_222, 3_900].into_iter().filter_map(id).collect();
    assert_eq!(few.len(), 4);
    for (indexed, plain, rows) in [
        (format!("id = {}", few[0]), format!("plain = {}", few[0]), vec![11]),
        (format!("{} = id", few[1]), format!("{} = plain", few[1]), vec![1_000]),
        (format!("id IN ({})", listed(&few)), format!("plain IN ({})", listed(&few)), vec![11, 1_000, 2_222, 3_900]),
        (format!("id IN ({}, 123456)", few[3]), format!("plain IN ({}, 123456)", few[3]), vec![3_900]),
        ("id = 123456".to_owned(), "plain = 123456".to_owned(), vec![]),
        (format!("name = 'S {}'", few[2]), format!("plain = {}", few[2]), vec![2_222]),
        (
            format!("id IN ({}) AND row > 500", listed(&few)),
            format!("plain IN ({}) AND row > 500", listed(&few)),
            vec![1_000, 2_222, 3_900],
        ),
    ] {
        let (found, by_index) = rows_where(&indexed).await;
        let (found_by_reading, without) = rows_where(&plain).await;
        assert_eq!(found, rows, "{indexed}");
        assert_eq!(found_by_reading, rows, "{plain}");
        // One whose other condition leaves nothing may be opened, too.
        let most = if indexed.contains("AND") { few.len() } else { rows.len() };
        assert!(by_index.files_total <= most as u64, "{indexed}: {by_index:?}");
        assert!(without.files_total > 20 || rows.is_empty(), "{plain}: {without:?}");
        let told = explained(&indexed).await;
        assert!(told.contains("By the index of ") && told.contains(" may hold rows."), "{told}");
    }
}

#[tokio::test]
async fn an_explanation_names_what_tells_where_values_are() {
    let told = explained("plain IN (1, 2, 3)").await;
    assert!(told.contains("Nothing but the least and greatest plain tells where these values are."), "{told}");
    let told = explained("id = 3 AND 1 = CONTAINS(POINT(ra, dec), CIRCLE(10, 20, 30))").await;
    assert!(told.contains("By their part of the sky") && told.contains("By the index of id, 0 of"), "{told}");
}
