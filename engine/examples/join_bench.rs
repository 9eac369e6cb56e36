//! How long joins over the sky take: a catalogue on the local disk against a quarter of its own rows, a little moved, and
//! against a few of them.
//!
//! ```text
//! cargo run --release -p engine --example join_bench FOLDER VERSION-FOLDER WORK-FOLDER [--memory MIB] [QUERY-FILE]
//! ```
//! The tables that are joined with `demo.stars` are made in the work folder when it has none: `demo.quarter`, and
//! `demo.positions` with one row of 200. Each query is run three times at least; the median of the warm runs is told, and
//! the most memory that the process has had by then.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use catalogs::{
    CatalogSnapshot, CatalogStore, Remote, StoreOptions, TableName,
    import::{self, ImportPlan},
};
use engine::{Engine, EngineOptions, Language, QueryLimits, TableSet};
use formats::Batches;
use futures::StreamExt;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The made tables, and which rows of the catalogue are theirs.
const MADE: [(&str, i64); 2] = [("demo.quarter", 4), ("demo.positions", 200)];

const QUERIES: [&str; 7] = [
    "SELECT COUNT(*) AS n FROM demo.stars AS a JOIN demo.quarter AS b ON 1 = XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 1.0 / 3600)",
    "SELECT COUNT(*) AS n FROM demo.stars AS a JOIN demo.quarter AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 1.0 / 3600",
    "SELECT COUNT(*) AS n FROM demo.quarter AS a JOIN demo.stars AS b ON 1 = XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 1.0 / 3600)",
    "SELECT COUNT(*) AS n FROM demo.positions AS a JOIN demo.stars AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 1.0 / 3600",
    "SELECT COUNT(*) AS n FROM demo.positions AS a JOIN demo.stars AS b ON 1 = XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 1.0 / 3600)",
    "SELECT a.id, b.source_id, b.phot_g_mean_mag FROM demo.positions AS a JOIN demo.stars AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 1.0 / 3600",
    "SELECT COUNT(*) AS n FROM (SELECT TOP 100 * FROM demo.positions) AS a JOIN demo.stars AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 1.0 / 3600",
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let mut plain: Vec<String> = std::env::args().skip(1).collect();
    let mut memory = 4096;
    if let Some(place) = plain.iter().position(|argument| argument == "--memory") {
        memory = plain.remove(place + 1).parse()?;
        plain.remove(place);
    }
    let [folder, root, work, more @ ..] = &plain[..] else { return Err("FOLDER VERSION-FOLDER WORK-FOLDER".into()) };
    let text = more.first().map(std::fs::read_to_string).transpose()?;
    let stars = opened(folder, root).await?;
    let name: TableName = "demo.stars".parse()?;
    let mut tables = vec![(name.clone(), Arc::clone(&stars))];
    for (name, every) in MADE {
        let store = Path::new(work).join(name).display().to_string();
        let root = Path::new(&store).join("root");
        if !root.exists() {
            std::fs::create_dir_all(&store)?;
            std::fs::write(&root, make(&stars, &store, name, every).await?)?;
        }
        tables.push((name.parse()?, opened(&store, std::fs::read_to_string(&root)?.trim()).await?));
    }
    for (name, snapshot) in &tables {
        println!("{name}: {} rows in {} files", snapshot.rows(), snapshot.files().len());
    }
    let tables = TableSet::new(tables)?;
    let engine = Engine::new(EngineOptions { memory: 4 << 30, threads: 2, ..EngineOptions::default() })?;
    let queries: Vec<&str> = match &text {
        Some(text) => text.lines().filter(|line| !line.trim().is_empty()).collect(),
        None => QUERIES.to_vec(),
    };
    println!("{:>10} {:>10} {:>10} {:>10}  query", "first ms", "median ms", "answer", "peak MiB");
    for query in queries {
        if let Err(error) = measure(&engine, &tables, query, memory << 20).await {
            println!("{query}: {error}");
        }
    }
    Ok(())
}

async fn opened(folder: &str, root: &str) -> Outcome<Arc<CatalogSnapshot>> {
    let store = CatalogStore::open(&StoreOptions { url: folder.to_owned(), ..StoreOptions::default() })?;
    Ok(Arc::new(catalogs::open(&store, root, &Remote::default()).await?))
}

/// Makes a table of some of the rows, each moved by less than half an arc second. Its version folder.
async fn make(stars: &Arc<CatalogSnapshot>, url: &str, name: &str, every: i64) -> Outcome<String> {
    let tables = TableSet::new([("demo.stars".parse()?, Arc::clone(stars))])?;
    let engine = Engine::new(EngineOptions { memory: 4 << 30, threads: 2, ..EngineOptions::default() })?;
    let query = format!("SELECT source_id, ra, dec FROM demo.stars WHERE MOD(source_id, {every}) = 0");
    let mut rows = engine.plan(&tables, Language::Adql, &query, QueryLimits::default()).await?.run()?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let moved = |column: usize, by: i64| -> Float64Array {
            let degrees = batch.column(column).as_primitive::<Float64Type>();
            let off = |id: i64| ((id / by).rem_euclid(1000) - 500) as f64 / 1000.0 * 0.5 / 3600.0;
            ids.values().iter().zip(degrees.values()).map(|(id, degrees)| Some(degrees + off(*id))).collect()
        };
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(Int64Array::from(ids.values().to_vec()))),
            ("ra", Arc::new(moved(1, 7))),
            ("dec", Arc::new(moved(2, 7_001))),
        ];
        batches.push(RecordBatch::try_from_iter(columns)?);
    }
    let schema = batches.first().ok_or("no rows")?.schema();
    let store = CatalogStore::open(&StoreOptions { url: url.to_owned(), ..StoreOptions::default() })?;
    let plan = ImportPlan::new(name.parse()?, Default::default());
    let plan = ImportPlan { spill: Path::new(url).join("spill"), ..plan };
    let given = Batches::new(name, schema, batches);
    let (made, _) = import::run(&store, "made", vec![Box::new(given)], plan, Arc::new(|_| ())).await?;
    Ok(made.root().to_owned())
}

async fn measure(engine: &Engine, tables: &TableSet, query: &str, memory: usize) -> Outcome<()> {
    let (mut runs, mut answer) = (Vec::new(), String::new());
    let begun = Instant::now();
    while runs.len() < 3 || (runs.len() < 50 && begun.elapsed() < Duration::from_secs(3)) {
        let start = Instant::now();
        let limits = QueryLimits { memory: Some(memory), ..QueryLimits::default() };
        let mut stream = engine.plan(tables, Language::Adql, query, limits).await?.run()?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            let count = batch.column(0).as_primitive_opt::<Int64Type>().filter(|_| batch.num_columns() == 1);
            answer = count.map_or_else(|| rows.to_string(), |count| count.value(0).to_string());
        }
        runs.push(start.elapsed());
    }
    let first = runs.remove(0);
    runs.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{:>10.1} {:>10.1} {answer:>10} {:>10}  {query}", ms(first), ms(runs[runs.len() / 2]), peak_mib());
    Ok(())
}

/// The most memory that this process has had.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
