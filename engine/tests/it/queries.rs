//! ADQL and SQL over a small demo sky in many partitions.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef},
};
use catalogs::{
    CatalogStore, StoreOptions, TableName,
    import::{self, ImportPlan},
};
use demo_sky::{DemoSky, Table};
use engine::{Engine, EngineError, EngineOptions, Language, QueryLimits, TableSet};
use formats::Batches;
use futures::StreamExt;
use sky::{Cone, Deg, Position};
use tokio::sync::OnceCell;

const STARS: u64 = 20_000;

struct House {
    _folder: tempfile::TempDir,
    engine: Engine,
    tables: TableSet,
    stars: RecordBatch,
}

/// The stars, with one column renamed so that names of mixed case are tried too.
fn stars() -> (SchemaRef, Vec<RecordBatch>) {
    let schema = DemoSky::schema(Table::Stars);
    let renamed = |field: &Arc<Field>| match field.name().as_str() {
        "phot_g_mean_mag" => Arc::new(field.as_ref().clone().with_name("Gmag")),
        _ => Arc::clone(field),
    };
    let schema = Arc::new(Schema::new(schema.fields().iter().map(renamed).collect::<Vec<_>>()));
    let batches = DemoSky { seed: 9, rows: STARS }.batches(Table::Stars);
    let renamed = |batch: RecordBatch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).unwrap();
    (Arc::clone(&schema), batches.map(renamed).collect())
}

async fn house() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let url = folder.path().display().to_string();
            let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
            let name: TableName = "demo.stars".parse().unwrap();
            let spill = folder.path().join("spill");
            let plan = ImportPlan { max_rows: 500, spill, ..ImportPlan::new(name.clone(), Default::default()) };
            let (schema, stars) = stars();
            let given = Batches::new("stars", Arc::clone(&schema), stars.clone());
            let (snapshot, _) =
                import::run(&store, "stars", vec![Box::new(given)], plan, Arc::new(|_| ())).await.unwrap();
            let tables = TableSet::new([(name, Arc::new(snapshot))]).unwrap();
            let engine =
                Engine::new(EngineOptions { memory: 256 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
            let stars = concat_batches(&schema, &stars).unwrap();
            House { _folder: folder, engine, tables, stars }
        })
        .await
}

async fn ask(text: &str) -> Result<RecordBatch, EngineError> {
    Ok(ask_for(Language::Adql, text, None).await?.0)
}

async fn ask_for(language: Language, text: &str, max_rows: Option<u64>) -> Result<(RecordBatch, bool), EngineError> {
    let house = house().await;
    let query =
        house.engine.plan(&house.tables, language, text, QueryLimits { max_rows, ..QueryLimits::default() }).await?;
    let schema = query.schema();
    let mut rows = query.run()?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok((concat_batches(&schema, &batches).unwrap(), rows.overflow()))
}

async fn refusal(text: &str) -> String {
    match ask(text).await {
        Err(EngineError::Mistake(mistake) | EngineError::UnknownTable { mistake, .. }) => mistake.to_string(),
        Err(other) => panic!("{text}: not the author's mistake: {other}"),
        Ok(rows) => panic!("{text}: answered with {} rows", rows.num_rows()),
    }
}

/// How many files the plan of a query reads.
async fn files_read(text: &str) -> usize {
    let house = house().await;
    let query = house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await.unwrap();
    query.plan_text().matches(".parquet").count()
}

fn ids(batch: &RecordBatch) -> Vec<i64> {
    let mut ids = batch.column_by_name("source_id").unwrap().as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}

/// The stars of a cone by brute force.
async fn brute_force(lon: f64, lat: f64, radius: f64) -> Vec<i64> {
    let stars = &house().await.stars;
    let column = |name: &str| stars.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
    let (ra, dec) = (column("ra"), column("dec"));
    let cone = Cone::new(Position::from_deg(lon, lat).unwrap(), Deg(radius)).unwrap();
    let all = stars.column_by_name("source_id").unwrap().as_primitive::<Int64Type>();
    let mut found: Vec<i64> = (0..stars.num_rows())
        .filter(|row| cone.contains_position(Position::from_deg(ra.value(*row), dec.value(*row)).unwrap()))
        .map(|row| all.value(row))
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn a_cone_answers_what_brute_force_finds_in_every_way_of_writing_it() {
    let mut found = 0;
    for (lon, lat, radius) in
        [(266.4, -29.0, 3.0), (0.0, 90.0, 12.0), (359.9, 0.1, 5.0), (45.0, -90.0, 20.0), (10.0, 10.0, 170.0)]
    {
        let expected = brute_force(lon, lat, radius).await;
        found += expected.len();
        for condition in [
            format!("1 = CONTAINS(POINT(ra, dec), CIRCLE({lon}, {lat}, {radius}))"),
            format!("CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {lon}, {lat}, {radius})) = 1"),
            format!("0 <> CONTAINS(POINT(RA, Dec), CIRCLE(POINT({lon}, {lat}), {radius}))"),
            format!("DISTANCE(ra, dec, {lon}, {lat}) <= {radius}"),
            format!("{radius} >= DISTANCE(POINT({lon}, {lat}), POINT(ra, dec))"),
            format!("NOT (DISTANCE(ra, dec, {lon}, {lat}) > {radius} OR 1 = 0)"),
        ] {
            let answer = ask(&format!("SELECT source_id FROM demo.stars WHERE {condition}")).await.unwrap();
            assert_eq!(ids(&answer), expected, "{condition}");
        }
    }
    assert!(found > 1_000, "the cones are not empty");
}

#[tokio::test]
async fn a_cone_reads_only_the_files_that_it_needs_wherever_it_stands() {
    let cone = "1 = CONTAINS(POINT(ra, dec), CIRCLE(266.4, -29.0, 1))";
    let all = files_read("SELECT source_id FROM demo.stars").await;
    let few = files_read(&format!("SELECT source_id FROM demo.stars WHERE {cone}")).await;
    assert!(all > 30 && few > 0 && few * 4 < all, "{few} of {all} files");
    for query in [
        format!("SELECT source_id FROM demo.stars WHERE gmag < 30 AND {cone} AND parallax IS NULL"),
        format!("SELECT s.source_id FROM (SELECT * FROM demo.stars) AS s WHERE {cone}"),
        format!("WITH s AS (SELECT source_id, ra, dec FROM demo.stars) SELECT COUNT(*) FROM s WHERE {cone}"),
        format!("SELECT source_id FROM demo.stars WHERE {cone} AND (gmag < 3 OR {cone})"),
    ] {
        assert_eq!(files_read(&query).await, few, "{query}");
    }
    assert_eq!(files_read(&format!("SELECT source_id FROM demo.stars WHERE {cone} OR gmag < 3")).await, all);
}

#[tokio::test]
async fn names_are_found_in_any_case_and_metadata_comes_along() {
    let answer = ask("SELECT TOP 1 GMAG, Ra FROM Demo.STARS").await.unwrap();
    let schema = answer.schema();
    assert_eq!(schema.field(0).name(), "Gmag", "what nobody renamed is called as in its table");
    assert_eq!(schema.field(1).metadata()["vo:unit"], "deg");
    assert!(schema.field(0).metadata().contains_key("vo:ucd"), "an alias keeps the metadata");
}

#[tokio::test]
async fn counts_sorting_and_top_agree_with_the_rows() {
    let answer = ask("SELECT COUNT(*) AS n, COUNT(parallax) AS p FROM demo.stars").await.unwrap();
    let stars = &house().await.stars;
    let with_parallax = stars.num_rows() - stars.column_by_name("parallax").unwrap().null_count();
    let counted = |column: usize| answer.column(column).as_primitive::<Int64Type>().value(0) as usize;
    assert_eq!((counted(0), counted(1)), (stars.num_rows(), with_parallax));

    let answer = ask("SELECT TOP 10 source_id, dec FROM demo.stars ORDER BY dec DESC").await.unwrap();
    let mut expected = stars.column_by_name("dec").unwrap().as_primitive::<Float64Type>().values().to_vec();
    expected.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(answer.column(1).as_primitive::<Float64Type>().values()[..], expected[..10]);
}

#[tokio::test]
async fn an_answer_is_cut_at_maxrec_and_says_so() {
    for (text, max_rows, rows, overflow) in [
        ("SELECT source_id FROM demo.stars", Some(7), 7, true),
        ("SELECT TOP 7 source_id FROM demo.stars", Some(7), 7, false),
        ("SELECT source_id FROM demo.stars", Some(STARS), STARS as usize, false),
        ("SELECT source_id FROM demo.stars", Some(STARS - 1), STARS as usize - 1, true),
        ("SELECT source_id FROM demo.stars ORDER BY ra", Some(3), 3, true),
        ("SELECT source_id FROM demo.stars", None, STARS as usize, false),
    ] {
        let (answer, cut) = ask_for(Language::Adql, text, max_rows).await.unwrap();
        assert_eq!((answer.num_rows(), cut), (rows, overflow), "{text} {max_rows:?}");
    }
}

#[tokio::test]
async fn mistakes_are_told_in_a_sentence() {
    for (text, told) in [
        ("SELECT 1 FROM demo.comets", "there is no table demo.comets (line 1, column 15)"),
        ("SELECT paralax FROM demo.stars", "there is no column paralax; did you mean parallax? (line 1, column 8)"),
        ("SELECT colour FROM demo.stars", "there is no column colour (line 1, column 8)"),
        (r#"SELECT "RA" FROM demo.stars"#, "there is no column RA; did you mean ra?"),
        ("SELECT ra FROM demo.stars WHERE", "found: the end of the query (line 1, column 32)"),
        ("SELECT ra FROM demo.stars WHERE ORDER", "(line 1, column 33)"),
        ("SELECT nosuch(ra) FROM demo.stars", "nosuch"),
        ("SELECT ra FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(10, 95, 1))", "95"),
        ("SELECT ra FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(10, 5, -1))", "-1"),
        (
            "SELECT POINT(ra) FROM demo.stars",
            "POINT with one argument: it is called as POINT(lon, lat) (line 1, column 8)",
        ),
        ("SELECT REPEAT('a', 2000000000) FROM demo.stars", "there is no function REPEAT"),
        ("SELECT * FROM information_schema.tables", "there is no table information_schema.tables"),
    ] {
        let sentence = refusal(text).await;
        assert!(sentence.contains(told), "{text}: {sentence}");
    }
}

#[tokio::test]
async fn sql_may_ask_and_may_not_change_anything() {
    let (answer, _) = ask_for(Language::Sql, "SELECT count(*) AS n FROM demo.stars LIMIT 5", None).await.unwrap();
    assert_eq!(answer.column(0).as_primitive::<Int64Type>().value(0), STARS as i64);
    for text in [
        "DROP TABLE demo.stars",
        "CREATE TABLE demo.t AS SELECT 1",
        "INSERT INTO demo.stars SELECT * FROM demo.stars",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN DROP TABLE demo.stars",
        "EXPLAIN ANALYZE SELECT 1",
        "SHOW TABLES",
        "DESCRIBE demo.stars",
        "COPY demo.stars TO '/tmp/stolen.parquet'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    ] {
        let refused = ask_for(Language::Sql, text, None).await;
        assert!(matches!(refused, Err(EngineError::Mistake(_))), "{text}: {refused:?}");
    }
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_is_refused_and_harms_no_other() {
    let engine = Engine::new(EngineOptions { memory: 100_000, threads: 2, ..EngineOptions::default() }).unwrap();
    let tables = &house().await.tables;
    let text = "SELECT a.source_id FROM demo.stars AS a, demo.stars AS b WHERE a.flags = b.flags AND a.ra < b.ra";
    let query = engine.plan(tables, Language::Adql, text, QueryLimits::default()).await.unwrap();
    let mut rows = query.run().unwrap();
    let failed = loop {
        match rows.next().await {
            Some(Err(error)) => break error,
            Some(Ok(_)) => {}
            None => panic!("it finished"),
        }
    };
    assert!(matches!(failed, EngineError::TooLarge(_)), "{failed}");
    let small =
        engine.plan(tables, Language::Adql, "SELECT TOP 1 ra FROM demo.stars", QueryLimits::default()).await.unwrap();
    assert_eq!(small.run().unwrap().next().await.unwrap().unwrap().num_rows(), 1);
}

#[tokio::test]
async fn an_empty_patch_of_sky_is_an_empty_answer_in_every_plan() {
    let cone = "1 = CONTAINS(POINT(ra, dec), CIRCLE(123.4567, 41.2345, 0.0001))";
    assert_eq!(brute_force(123.4567, 41.2345, 0.0001).await, [0; 0]);
    for query in [
        format!("SELECT source_id FROM demo.stars WHERE {cone}"),
        format!("SELECT source_id FROM demo.stars WHERE {cone} ORDER BY gmag"),
        format!("SELECT flags, COUNT(*) AS n FROM demo.stars WHERE {cone} GROUP BY flags"),
        format!(
            "SELECT a.ra FROM demo.stars AS a JOIN (SELECT * FROM demo.stars WHERE {cone}) AS b ON a.source_id = b.source_id"
        ),
    ] {
        let narrow = query.replace("CIRCLE(123", "CIRCLE(POINT(123").replace("41.2345,", "41.2345),");
        for query in [query, narrow] {
            assert_eq!(ask(&query).await.unwrap().num_rows(), 0, "{query}");
        }
    }
    let counted = ask(&format!("SELECT COUNT(*) AS n FROM demo.stars WHERE {cone}")).await.unwrap();
    assert_eq!(counted.column(0).as_primitive::<Int64Type>().value(0), 0);
}

#[tokio::test]
async fn a_cast_distance_and_the_antipode_lose_no_row() {
    for (pruned, unpruned) in [
        (
            "CAST(DISTANCE(ra, dec, 266.4, -29) AS INTEGER) <= 1",
            "CAST(DISTANCE(ra, dec, 266.4, -29) AS INTEGER) + 0 <= 1",
        ),
        ("DISTANCE(ra, dec, 266.4, -29) > 100", "DISTANCE(ra, dec, 266.4, -29) + 0 > 100"),
        ("NOT DISTANCE(ra, dec, 266.4, -29) < 180", "NOT DISTANCE(ra, dec, 266.4, -29) + 0 < 180"),
    ] {
        let count = |condition: &str| format!("SELECT source_id FROM demo.stars WHERE {condition}");
        let (pruned, unpruned) = (ask(&count(pruned)).await.unwrap(), ask(&count(unpruned)).await.unwrap());
        assert_eq!(ids(&pruned), ids(&unpruned));
    }
}

#[tokio::test]
async fn a_query_of_many_conditions_is_answered() {
    let terms: Vec<String> = (0..3_000).map(|i| format!("flags = {i}")).collect();
    let text = format!("SELECT COUNT(*) AS n FROM demo.stars WHERE {}", terms.join(" OR "));
    let answer = ask(&text).await.unwrap();
    assert_eq!(answer.column(0).as_primitive::<Int64Type>().value(0), STARS as i64);
}

#[tokio::test]
async fn functions_of_the_standard_compute_what_it_says() {
    let answer = ask(
        "SELECT TOP 1 LOG(10.0) AS a, LOG10(100.0) AS b, MOD(7, 4) AS c, CEILING(1.2) AS d, NOW() AS e FROM demo.stars",
    );
    let answer = answer.await.unwrap();
    let number = |column: usize| {
        let numbers = arrow::compute::cast(answer.column(column), &DataType::Float64).unwrap();
        numbers.as_primitive::<Float64Type>().value(0)
    };
    assert_eq!([0, 1, 2, 3].map(number), [10_f64.ln(), 2.0, 3.0, 2.0]);
}

#[tokio::test]
async fn a_sort_that_does_not_fit_in_memory_goes_through_the_disk() {
    let engine = Engine::new(EngineOptions { memory: 48 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
    let tables = &house().await.tables;
    let text =
        "SELECT a.*, b.dec AS other FROM demo.stars AS a, (SELECT TOP 30 dec FROM demo.stars) AS b ORDER BY a.ra";
    let query = engine
        .plan(tables, Language::Adql, text, QueryLimits { max_rows: Some(1_000_000), ..QueryLimits::default() })
        .await
        .unwrap();
    let mut rows = query.run().unwrap();
    let (mut count, mut last) = (0, f64::NEG_INFINITY);
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap();
        let ra = batch.column_by_name("ra").unwrap().as_primitive::<Float64Type>().values();
        assert!(ra[0] >= last && ra.is_sorted());
        last = ra[ra.len() - 1];
        count += batch.num_rows() as u64;
    }
    assert_eq!((count, rows.overflow()), (STARS * 30, false));
}

#[tokio::test]
async fn what_has_no_name_is_called_as_it_was_asked_for() {
    let answer = ask("SELECT COUNT(*), MAX(DISTANCE(POINT(ra, dec), POINT(0, 0))), 1 FROM demo.stars").await.unwrap();
    let names: Vec<_> = answer.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["COUNT(*)", "MAX(DISTANCE(POINT(ra, dec), POINT(0, 0)))", "1"]);
}

#[tokio::test]
async fn arrays_and_texts_come_out_as_they_went_in() {
    let answer = ask("SELECT flux, name FROM demo.stars WHERE name IS NOT NULL").await.unwrap();
    assert!(matches!(answer.schema().field(0).data_type(), DataType::List(_) | DataType::FixedSizeList(..)));
    assert_eq!(answer.column(1).data_type(), &DataType::Utf8);
    let stars = &house().await.stars;
    let named = stars.num_rows() - stars.column_by_name("name").unwrap().null_count();
    assert_eq!(answer.num_rows(), named);
}

#[tokio::test]
async fn a_table_may_be_named_without_its_schema_with_any_case_and_under_its_catalogue() {
    let all = STARS as i64;
    for text in [
        "SELECT COUNT(*) AS n FROM stars",
        "SELECT COUNT(Stars.ra) AS n FROM STARS",
        "SELECT COUNT(*) AS n FROM demo.stars AS s JOIN stars AS t ON s.source_id = t.source_id",
        "SELECT COUNT(demo.stars.ra) AS n FROM Demo.Stars",
        "SELECT COUNT(*) AS n FROM \"Demo\".\"Stars\"",
        "SELECT COUNT(*) AS n FROM almagest.demo.stars",
    ] {
        for language in [Language::Adql, Language::Sql] {
            let (batch, _) = ask_for(language, text, None).await.unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), all, "{text}");
        }
    }
    for text in
        ["SELECT * FROM \"\".stars", "SELECT * FROM public.stars", "SELECT * FROM stars@2", "SELECT * FROM \"stars@2\""]
    {
        ask(text).await.unwrap_err();
    }
}
