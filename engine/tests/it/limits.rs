//! One query harms no other: memory, disk, bytes, time, panics, and readers that go away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
    datatypes::Int64Type,
};
use catalogs::{
    CatalogStore, StoreOptions, TableName,
    import::{self, ImportPlan, PositionPlan},
};
use engine::{Engine, EngineError, EngineOptions, Language, Query, QueryLimits, TableSet};
use formats::Batches;
use futures::StreamExt;
use tokio::sync::OnceCell;

const ROWS: i64 = 300_000;
/// What is asked of a release build is 200 ms; these run unoptimised beside each other.
const SOON: Duration = Duration::from_secs(2);
/// Pairs of all rows with all, none of which is wanted: hours of work.
const ENDLESS: &str = "SELECT COUNT(*) AS n FROM t.numbers AS a, t.numbers AS b WHERE a.x * b.x < -1.0 - a.x";

struct Shelf {
    _folder: tempfile::TempDir,
    tables: TableSet,
}

async fn shelf() -> &'static TableSet {
    static SHELF: OnceCell<Shelf> = OnceCell::const_new();
    let shelf = SHELF.get_or_init(|| async {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().display().to_string();
        let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
        let name: TableName = "t.numbers".parse().unwrap();
        let x = |row: i64| (row * 7_919 % ROWS) as f64;
        let columns: [(&str, ArrayRef); 2] = [
            ("id", Arc::new(Int64Array::from_iter_values(0..ROWS))),
            ("x", Arc::new(Float64Array::from_iter_values((0..ROWS).map(x)))),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let spill = folder.path().join("import");
        let plan = ImportPlan {
            position: PositionPlan::None,
            max_rows: 50_000,
            spill,
            ..ImportPlan::new(name.clone(), Default::default())
        };
        let given = Batches::new("numbers", rows.schema(), vec![rows]);
        let imported = import::run(&store, "numbers", vec![Box::new(given)], plan, Arc::new(|_| ())).await;
        let tables = TableSet::new([(name, Arc::new(imported.unwrap().0))]).unwrap();
        Shelf { _folder: folder, tables }
    });
    &shelf.await.tables
}

fn engine(memory: usize) -> Engine {
    Engine::new(EngineOptions { memory, threads: 2, ..EngineOptions::default() }).unwrap()
}

async fn plan(engine: &Engine, text: &str, limits: QueryLimits) -> Result<Query, EngineError> {
    engine.plan(shelf().await, Language::Sql, text, limits).await
}

async fn run(engine: &Engine, text: &str, limits: QueryLimits) -> Result<Vec<RecordBatch>, EngineError> {
    let mut rows = plan(engine, text, limits).await?.run()?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

/// How long it takes until no query has anything any more.
async fn until_idle(engine: &Engine) -> Duration {
    let begun = Instant::now();
    loop {
        let usage = engine.usage();
        if (usage.queries, usage.memory, usage.spilled) == (0, 0, 0) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < 5 * SOON, "still in use: {usage:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_query_ends_soon_wherever_it_is_when_its_reader_goes() {
    let engine = engine(512 << 20);
    for (what, text) in [
        ("a sort", "SELECT * FROM (SELECT a.id AS i, b.x AS y FROM t.numbers a, t.numbers b) s ORDER BY y * 2 + i"),
        (
            "a grouping",
            "SELECT a.id + b.id * 3 AS k, COUNT(*) AS n FROM t.numbers a, t.numbers b GROUP BY a.id + b.id * 3",
        ),
        ("pairs that nobody wants", ENDLESS),
        ("a product", "SELECT MIN(a.x + b.x * c.x) AS m FROM t.numbers a, t.numbers b, t.numbers c"),
        (
            "a slow function",
            "SELECT COUNT(*) AS n FROM t.numbers a, t.numbers b WHERE \
             regexp_like(cast(a.x AS varchar) || cast(b.x AS varchar), '(1|2)*3(4|5)*6z')",
        ),
    ] {
        let mut rows = plan(&engine, text, QueryLimits::default()).await.unwrap().run().unwrap();
        let begun = tokio::time::timeout(Duration::from_millis(300), rows.next()).await;
        assert!(begun.is_err(), "{what} was over too soon to tell");
        drop(rows);
        let took = until_idle(&engine).await;
        println!("{what}: free after {took:?}");
        assert!(took < SOON, "{what} took {took:?}");
    }
    assert_eq!(run(&engine, "SELECT COUNT(*) FROM t.numbers", QueryLimits::default()).await.unwrap()[0].num_rows(), 1);
}

#[tokio::test]
async fn a_reader_is_told_at_once_that_somebody_else_cancelled() {
    let engine = engine(256 << 20);
    let mut rows = plan(&engine, ENDLESS, QueryLimits::default()).await.unwrap().run().unwrap();
    let control = rows.control();
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        control.cancel();
        Instant::now()
    };
    let (told, cancelled) = futures::join!(rows.next(), cancelling);
    assert!(cancelled.elapsed() < SOON);
    assert!(matches!(told, Some(Err(EngineError::Cancelled))), "{told:?}");
    assert!(rows.next().await.is_none());
    until_idle(&engine).await; // though the rows are still held
    assert!(control.progress().bytes > 0);
}

#[tokio::test]
async fn planning_ends_when_nobody_waits_for_it() {
    let engine = engine(256 << 20);
    let terms: Vec<String> = (0..60_000).map(|i| format!("(id = {i} AND x < {i}.5)")).collect();
    let text = format!("SELECT * FROM t.numbers WHERE {}", terms.join(" OR "));
    assert!(text.len() > 1_500_000);
    let tables = shelf().await;
    for wait in [1, 300] {
        let planning = engine.plan(tables, Language::Sql, &text, QueryLimits::default());
        let ended = tokio::time::timeout(Duration::from_millis(wait), planning).await;
        let took = until_idle(&engine).await;
        println!("planning of {} bytes: ended after {wait} ms: {}, free after {took:?}", text.len(), ended.is_err());
        assert!(took < 4 * SOON, "{took:?}");
    }
}

#[tokio::test]
async fn long_texts_hold_up_no_other_query() {
    let engine = engine(256 << 20);
    let terms: Vec<String> = (0..6_000).map(|i| format!("(id = {i} AND x < {i}.5)")).collect();
    let text = format!("SELECT * FROM t.numbers WHERE {}", terms.join(" OR "));
    shelf().await;
    let long = futures::future::join_all((0..3).map(async |_| {
        plan(&engine, &text, QueryLimits::default()).await.unwrap();
        Instant::now()
    }));
    let short = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        run(&engine, "SELECT COUNT(*) AS n FROM t.numbers", QueryLimits::default()).await.unwrap();
        Instant::now()
    };
    let (long, short) = futures::join!(long, short);
    assert!(long.iter().all(|long| *long > short), "it was answered while they were planned");
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_in_time() {
    let engine = engine(256 << 20);
    let allowed = Duration::from_millis(300);
    let limits = QueryLimits { deadline: Some(allowed), ..QueryLimits::default() };
    let begun = Instant::now();
    let ended = run(&engine, ENDLESS, limits).await;
    assert!(matches!(ended, Err(EngineError::DeadlineExceeded { .. })), "{ended:?}");
    assert!(begun.elapsed() >= allowed && begun.elapsed() < allowed + SOON, "{:?}", begun.elapsed());
    let never = QueryLimits { deadline: Some(Duration::ZERO), ..QueryLimits::default() };
    assert!(matches!(run(&engine, ENDLESS, never).await, Err(EngineError::DeadlineExceeded { .. })));
    until_idle(&engine).await;
}

#[tokio::test]
async fn a_query_that_reads_too_much_is_refused_before_or_ended_when_it_has() {
    let engine = engine(256 << 20);
    let limits = QueryLimits { max_bytes_read: Some(20_000), ..QueryLimits::default() };
    let refused = plan(&engine, "SELECT SUM(x) AS s FROM t.numbers", limits).await;
    assert!(
        matches!(refused, Err(EngineError::TooManyBytes { needed: Some(needed), allowed: 20_000 }) if needed > 20_000),
        "{refused:?}"
    );
    // A limit of rows ends no grouping early.
    let cut = QueryLimits { max_rows: Some(5), ..limits };
    let refused = plan(&engine, "SELECT id % 10 AS d, SUM(x) AS s FROM t.numbers GROUP BY id % 10", cut).await;
    assert!(matches!(refused, Err(EngineError::TooManyBytes { needed: Some(_), .. })), "{refused:?}");
    // One that may stop early is tried.
    assert!(
        plan(&engine, "SELECT id FROM t.numbers", QueryLimits { max_rows: Some(1_000_000), ..limits }).await.is_err()
    );
    assert!(plan(&engine, "SELECT id FROM t.numbers", QueryLimits { max_rows: Some(200_000), ..limits }).await.is_ok());
    let tried = run(&engine, "SELECT x FROM t.numbers WHERE x + id < 0 LIMIT 5", limits).await;
    assert!(matches!(tried, Err(EngineError::TooManyBytes { needed: None, allowed: 20_000 })), "{tried:?}");
    assert!(run(&engine, "SELECT COUNT(*) AS n FROM t.numbers", limits).await.is_ok());
    until_idle(&engine).await;
}

#[tokio::test]
async fn what_does_not_fit_in_memory_goes_to_a_bounded_folder_that_is_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let options = |spill_bytes| EngineOptions {
        memory: 24 << 20,
        threads: 2,
        spill: Some(folder.path().join("spill")),
        spill_bytes,
        ..EngineOptions::default()
    };
    let text = "SELECT a.id, a.x, b.x AS y FROM t.numbers a, (SELECT x FROM t.numbers WHERE id < 8) b ORDER BY a.x, y";
    let roomy = Engine::new(options(1 << 30)).unwrap();
    let mut rows = plan(&roomy, text, QueryLimits::default()).await.unwrap().run().unwrap();
    let (mut count, mut spilled) = (0, 0);
    while let Some(batch) = rows.next().await {
        count += batch.unwrap().num_rows();
        spilled = spilled.max(roomy.usage().spilled);
    }
    assert_eq!(count as i64, ROWS * 8);
    assert!(spilled > 1 << 20, "{spilled}");
    until_idle(&roomy).await;
    let narrow = Engine::new(options(1 << 20)).unwrap();
    let refused = run(&narrow, text, QueryLimits::default()).await;
    assert!(matches!(&refused, Err(EngineError::TooLarge(why)) if why.contains("disk")), "{refused:?}");
    until_idle(&narrow).await;
    drop((rows, roomy, narrow));
    assert_eq!(std::fs::read_dir(folder.path().join("spill")).unwrap().count(), 0);
}

#[tokio::test]
async fn memory_is_free_after_success_and_after_failure() {
    let engine = engine(64 << 20);
    let join = "SELECT COUNT(*) AS n FROM t.numbers a JOIN t.numbers b ON a.id = b.id AND a.x <= b.x";
    let answer = run(&engine, join, QueryLimits::default()).await.unwrap();
    assert_eq!(answer[0].column(0).as_primitive::<Int64Type>().value(0), ROWS);
    until_idle(&engine).await;
    let limits = QueryLimits { memory: Some(1 << 20), ..QueryLimits::default() };
    let refused = run(&engine, join, limits).await;
    assert!(matches!(&refused, Err(EngineError::TooLarge(why)) if why.contains("1.0 MB")), "{refused:?}");
    until_idle(&engine).await;
}

#[tokio::test]
async fn a_small_query_is_answered_beside_large_ones() {
    let engine = engine(128 << 20);
    let mut large = Vec::new();
    for _ in 0..3 {
        let mut rows = plan(&engine, ENDLESS, QueryLimits::default()).await.unwrap().run().unwrap();
        large.push(tokio::spawn(async move { rows.next().await.is_some() }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    let sorted = "SELECT id FROM t.numbers WHERE id < 1000 ORDER BY x";
    let answer = run(&engine, sorted, QueryLimits::default()).await.unwrap();
    assert_eq!(answer.iter().map(RecordBatch::num_rows).sum::<usize>(), 1000);
    println!("beside three large queries: {:?}", begun.elapsed());
    assert!(begun.elapsed() < 3 * SOON, "{:?}", begun.elapsed());
    large.iter().for_each(tokio::task::JoinHandle::abort);
    for query in large {
        let _ = query.await;
    }
    until_idle(&engine).await;
}

#[tokio::test]
async fn a_query_that_is_not_read_stops_producing() {
    let engine = engine(256 << 20);
    let text = "SELECT a.id, b.x FROM t.numbers a, t.numbers b";
    let mut rows = plan(&engine, text, QueryLimits::default()).await.unwrap().run().unwrap();
    rows.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = (engine.usage(), rows.progress());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((engine.usage(), rows.progress()), before);
    drop(rows);
    until_idle(&engine).await;
}

#[tokio::test]
async fn a_thousand_queries_leave_nothing() {
    let engine = engine(256 << 20);
    for number in 0..1000 {
        let text = format!("SELECT x FROM t.numbers WHERE id = {number} ORDER BY x");
        let query = plan(&engine, &text, QueryLimits::default()).await.unwrap();
        match number % 4 {
            0 => assert!(query.run().unwrap().next().await.unwrap().is_ok()),
            1 => drop(query.run().unwrap()),
            2 => drop(query),
            _ => assert!(run(&engine, "SELECT nothing FROM t.numbers", QueryLimits::default()).await.is_err()),
        }
    }
    until_idle(&engine).await;
}

#[tokio::test]
async fn queries_outlive_the_engine_and_it_may_be_dropped_anywhere() {
    let engine = engine(256 << 20);
    let query = plan(&engine, "SELECT SUM(id) AS s FROM t.numbers", QueryLimits::default()).await.unwrap();
    let endless = plan(&engine, ENDLESS, QueryLimits::default()).await.unwrap().run().unwrap();
    let mut rows = query.run().unwrap();
    drop(engine);
    let sum = rows.next().await.unwrap().unwrap();
    assert_eq!(sum.column(0).as_primitive::<Int64Type>().value(0), ROWS * (ROWS - 1) / 2);
    drop((rows, endless));
}

#[test]
fn a_caller_without_a_runtime_is_answered_too() {
    let tables = tokio::runtime::Runtime::new().unwrap().block_on(shelf());
    let engine = engine(256 << 20);
    let answered = futures::executor::block_on(async {
        let query =
            engine.plan(tables, Language::Sql, "SELECT MAX(x + id) AS m FROM t.numbers", QueryLimits::default());
        query.await.unwrap().run().unwrap().next().await
    });
    assert_eq!(answered.unwrap().unwrap().num_rows(), 1);
}

#[tokio::test]
async fn a_plan_is_told_in_plain_words() {
    let engine = engine(256 << 20);
    let text = "SELECT id % 10 AS d, AVG(x) AS m FROM t.numbers WHERE id < 60000 GROUP BY id % 10 ORDER BY d";
    let query = plan(&engine, text, QueryLimits::default()).await.unwrap();
    let words = query.explain().await.unwrap();
    println!("{words}");
    for fact in [
        "300,000 rows",
        "Table t.numbers, snapshot ",
        "Grouped by",
        "Sorted by",
        "goes to disk",
        "The answer has between",
    ] {
        assert!(words.contains(fact), "{fact}: {words}");
    }
    let estimate = query.estimate().await.unwrap();
    assert!(estimate.files > 0 && estimate.bytes > 0 && estimate.rows.1 > 0, "{estimate:?}");
    let nowhere = plan(&engine, "SELECT x FROM t.numbers WHERE id < -1", QueryLimits::default()).await.unwrap();
    let estimate = nowhere.estimate().await.unwrap();
    assert_eq!((estimate.files, estimate.bytes, estimate.rows), (0, 0, (0, 0)), "{estimate:?}");
    let counted = plan(&engine, "SELECT COUNT(*) AS n FROM t.numbers", QueryLimits::default()).await.unwrap();
    let estimate = counted.estimate().await.unwrap();
    assert_eq!((estimate.files, estimate.row_groups, estimate.bytes, estimate.rows), (0, 0, 0, (1, 1)), "{estimate:?}");
    let explained = run(&engine, &format!("EXPLAIN {text}"), QueryLimits::default()).await.unwrap();
    let lines = explained[0].column(0).as_string::<i32>();
    assert_eq!(explained[0].schema().field(0).name(), "plan");
    assert_eq!(lines.iter().flatten().collect::<Vec<_>>().join("\n"), words);
}
