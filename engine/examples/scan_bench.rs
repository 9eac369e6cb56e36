//! How long queries take over a catalogue on the local disk: each is planned and run a number of times in one process,
//! and the median of its warm runs is told beside its first.
//!
//! ```text
//! cargo run --release -p engine --example scan_bench FOLDER VERSION-FOLDER [QUERY-FILE] [--explain] [--plan]
//! ```
//! With `--plan` queries are planned and not run, so that a version without data will do, as the example `open_100k` of
//! `catalogs` makes one: `open_100k make FOLDER`, then `scan_bench FOLDER catalogs/demo/huge/0 --plan`.
//!
//! `VERSION-FOLDER` is the folder of a version below the folder of the store, and its table is called `demo.stars`. A
//! query file has a query a line; without one, those are asked that users ask most.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use catalogs::{CatalogStore, Remote, StoreOptions, TableName};
use engine::{Engine, EngineOptions, Language, QueryLimits, TableSet};
use futures::StreamExt;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What is asked where nothing is read.
const PLANNED: [&str; 5] = [
    "SELECT * FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(266.4, -29.0, 0.016667))",
    "SELECT * FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(180.0, 60.0, 1))",
    "SELECT * FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(180.0, 60.0, 10))",
    "SELECT ra, dec FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(56.75, 24.12, 1)) AND column_7 < 0.5",
    "SELECT ra, dec FROM demo.stars WHERE column_9 > 24.9999",
];

const QUERIES: [&str; 14] = [
    "SELECT * FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(266.4, -29.0, 0.016667))",
    "SELECT * FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(56.75, 24.12, 0.016667))",
    "SELECT * FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(180.0, 60.0, 1))",
    "SELECT source_id, ra, dec FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(266.4, -29.0, 1))",
    "SELECT COUNT(*) AS n FROM demo.stars WHERE phot_g_mean_mag < 15",
    "SELECT COUNT(*) AS n FROM demo.stars",
    "SELECT MIN(phot_g_mean_mag) AS a, MAX(phot_g_mean_mag) AS b FROM demo.stars",
    "SELECT IVO_HEALPIX_INDEX(6, ra, dec) AS pixel, COUNT(*) AS n FROM demo.stars GROUP BY IVO_HEALPIX_INDEX(6, ra, dec)",
    "SELECT ROUND(bp_rp * 10) AS c, ROUND(phot_g_mean_mag * 10) AS m, COUNT(*) AS n FROM demo.stars GROUP BY ROUND(bp_rp * 10), ROUND(phot_g_mean_mag * 10)",
    "SELECT TOP 100 * FROM demo.stars ORDER BY phot_g_mean_mag",
    "SELECT TOP 100 source_id, ra, dec, phot_g_mean_mag FROM demo.stars ORDER BY phot_g_mean_mag",
    "SELECT TOP 100 source_id FROM demo.stars ORDER BY \"_healpix_29\"",
    "SELECT AVG(parallax) AS p FROM demo.stars WHERE phot_g_mean_mag BETWEEN 10 AND 12 AND dec > 60",
    "SELECT * FROM demo.stars WHERE source_id = 1",
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let explain = arguments.iter().any(|argument| argument == "--explain");
    let only_plan = arguments.iter().any(|argument| argument == "--plan");
    let mut plain = arguments.iter().filter(|argument| !argument.starts_with("--"));
    let (Some(folder), Some(root)) = (plain.next(), plain.next()) else { return Err("FOLDER VERSION-FOLDER".into()) };
    let text = plain.next().map(std::fs::read_to_string).transpose()?;
    let store = CatalogStore::open(&StoreOptions { url: folder.clone(), ..StoreOptions::default() })?;
    let begun = Instant::now();
    let snapshot = Arc::new(catalogs::open(&store, root, &Remote::default()).await?);
    println!("opened {} files, {} rows in {:.1?}", snapshot.files().len(), snapshot.rows(), begun.elapsed());
    let name: TableName = "demo.stars".parse()?;
    let tables = TableSet::new([(name, snapshot)])?;
    let engine = Engine::new(EngineOptions { memory: 4 << 30, threads: 2, ..EngineOptions::default() })?;
    let queries: Vec<&str> = match &text {
        Some(text) => text.lines().filter(|line| !line.trim().is_empty()).collect(),
        None if only_plan => PLANNED.to_vec(),
        None => QUERIES.to_vec(),
    };
    println!("milliseconds\n{:>9} {:>9} {:>9} {:>9} {:>9}  query", "first", "plan", "median", "least", "rows");
    for query in queries {
        if let Err(error) = measure(&engine, &tables, query, explain, only_plan).await {
            println!("{query}: {error}");
        }
    }
    Ok(())
}

async fn measure(engine: &Engine, tables: &TableSet, query: &str, explain: bool, only_plan: bool) -> Outcome<()> {
    let (mut plans, mut runs, mut rows) = (Vec::new(), Vec::new(), 0);
    let mut first = None;
    let begun = Instant::now();
    while runs.len() < 3 || (runs.len() < 200 && begun.elapsed() < Duration::from_secs(2)) {
        let start = Instant::now();
        let planned = engine.plan(tables, Language::Adql, query, QueryLimits::default()).await?;
        let plan = start.elapsed();
        if explain && first.is_none() {
            println!("{}", planned.plan_text());
        }
        if !only_plan {
            let mut stream = planned.run()?;
            rows = 0;
            while let Some(batch) = stream.next().await {
                rows += batch?.num_rows();
            }
        }
        match first {
            None => first = Some(start.elapsed()),
            Some(_) => {
                plans.push(plan);
                runs.push(start.elapsed());
            }
        }
    }
    plans.sort_unstable();
    runs.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let middle = runs.len() / 2;
    println!(
        "{:>9.2} {:>9.2} {:>9.2} {:>9.2} {rows:>9}  {query}",
        ms(first.unwrap_or_default()),
        ms(plans[middle]),
        ms(runs[middle]),
        ms(runs[0])
    );
    Ok(())
}
