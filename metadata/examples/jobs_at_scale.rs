//! How fast jobs are submitted, polled and listed beside many old ones.
//!
//! ```text
//! cargo run -p metadata --example jobs_at_scale -- URL [JOBS]
//! ```
//! With a number it fills the database up to so many jobs first: half of them archived, most of the others completed, a
//! tenth of a single owner. Then it prints the median and the slowest of a few hundred calls of each kind, in milliseconds.
//! The database should be one of its own.

use std::{error::Error, time::Duration, time::Instant};

use chrono::Utc;
use metadata::{JobFilter, Metadata, MetadataError, NewJob, OnLostLease, Outcome, Phase};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

const LEASE: Duration = Duration::from_secs(60);
const CALLS: usize = 300;
/// How many jobs are written by one statement.
const PORTION: u64 = 500_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("write the URL of a database")?;
    let metadata = Metadata::open(&url).await?;
    if let Some(jobs) = arguments.next() {
        fill(&url, jobs.replace('_', "").parse()?).await?;
    }
    measure(&metadata).await
}

async fn fill(url: &str, jobs: u64) -> Result<(), Box<dyn Error>> {
    let columns = "id, owner, class, language, query, parameters, phase, created_at, queued_at, started_at, ended_at, \
                   destruction_at, duration_limit, result";
    // The jobs of two years, a minute apart from each other or less.
    let (sqlite, mut from) = (url.starts_with("sqlite:"), 0);
    let begun = Instant::now();
    while from < jobs {
        let to = (from + PORTION).min(jobs);
        let (series, id, at) = if sqlite {
            let series = format!(
                "WITH RECURSIVE series(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM series WHERE n + 1 < {to})"
            );
            (series, "lower(hex(randomblob(13)))", "strftime('%Y-%m-%dT%H:%M:%fZ', 1700000000 + n * 6, 'unixepoch')")
        } else {
            let series = format!("WITH series AS (SELECT n FROM generate_series({from}, {to} - 1) AS s(n))");
            let at =
                "to_char(to_timestamp(1700000000 + n * 6) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
            (series, "left(md5(n::text), 26)", at)
        };
        let insert = format!(
            "{series} INSERT INTO job ({columns}) SELECT {id}, \
             CASE WHEN n % 10 = 0 THEN 'ada' ELSE 'user' || (n % 997) END, 'batch', 'ADQL', \
             'SELECT TOP 100 source_id, ra, dec, mag FROM survey.stars WHERE mag < ' || (n % 25), '[]', \
             CASE WHEN n < {jobs} / 2 THEN 'ARCHIVED' WHEN n % 50 = 7 THEN 'ERROR' WHEN n % 100 = 1 THEN 'ABORTED' \
             ELSE 'COMPLETED' END, {at}, {at}, {at}, {at}, '2999-01-01T00:00:00.000Z', 600, 'parts' FROM series"
        );
        if sqlite {
            let mut connection = SqliteConnection::connect(url).await?;
            connection.execute("PRAGMA synchronous = OFF").await?;
            connection.execute("PRAGMA cache_size = -1000000").await?;
            connection.execute(AssertSqlSafe(insert)).await?;
            connection.close().await?;
        } else {
            let mut connection = PgConnection::connect(url).await?;
            connection.execute(AssertSqlSafe(insert)).await?;
            connection.execute("ANALYZE job").await?;
        }
        from = to;
        eprintln!("{from} jobs after {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

async fn measure(metadata: &Metadata) -> Result<(), Box<dyn Error>> {
    let ada = |phases: &[Phase]| JobFilter { owner: Some("ada".into()), phases: phases.to_vec(), after: None };
    let run = format!("run{}", Utc::now().timestamp_millis());
    let names: Vec<String> = (0..CALLS).map(|number| format!("{run}x{number}")).collect();
    let id = |number: usize| names[number % CALLS].as_str();

    times("submit", async |number| {
        metadata.create_job(&new(id(number))).await?;
        metadata.enqueue_job(id(number)).await
    })
    .await?;
    times("poll", async |number| metadata.job(id(number)).await.map(drop)).await?;
    times("list, LAST=100", async |_| metadata.jobs(&ada(&[]), None, 100).await.map(drop)).await?;
    let mut behind = None;
    times("list, page by page", async |_| {
        let page = metadata.jobs(&ada(&[]), behind.as_ref(), 100).await?;
        behind = page.next;
        Ok(())
    })
    .await?;
    let after = JobFilter { after: Some(Utc::now()), ..ada(&[]) };
    times("list, AFTER=now", async |_| metadata.jobs(&after, None, 100).await.map(drop)).await?;
    for phases in [&[Phase::Executing][..], &[Phase::Error], &[Phase::Completed], &[Phase::Archived]] {
        let filter = ada(phases);
        times(&format!("list, PHASE={}", phases[0]), async |_| metadata.jobs(&filter, None, 100).await.map(drop))
            .await?;
    }
    times("queue", async |_| metadata.queue("batch", 100).await.map(drop)).await?;
    times("position in the queue", async |number| metadata.queue_position(id(number)).await.map(drop)).await?;
    times("usage", async |_| metadata.usage(Some("ada")).await.map(drop)).await?;
    times("take", async |number| metadata.take_job(id(number), "here", LEASE).await.map(drop)).await?;
    let renew = async |number| metadata.renew_job(id(number), "here", LEASE, Some("half"), None).await.map(drop);
    times("renew", renew).await?;
    let again = OnLostLease::QueueAgain { attempts: 3 };
    times("reclaim", async |_| metadata.reclaim_jobs(Utc::now(), again, 100).await.map(drop)).await?;
    let done = Outcome::Completed { result: "parts".into() };
    times("finish", async |number| metadata.finish_job(id(number), "here", &done).await).await?;
    times("archive", async |_| metadata.archive_jobs(Utc::now(), 100).await.map(drop)).await?;
    times("delete", async |number| metadata.delete_job(id(number)).await.map(drop)).await?;
    Ok(())
}

fn new(id: &str) -> NewJob {
    NewJob {
        id: id.to_owned(),
        owner: Some("ada".into()),
        address: None,
        run_id: None,
        class: "batch".into(),
        language: "ADQL".into(),
        query: "SELECT 1".into(),
        parameters: "[]".into(),
        duration_limit: 600,
        destruction_at: None,
    }
}

async fn times(
    what: &str,
    mut call: impl AsyncFnMut(usize) -> Result<(), MetadataError>,
) -> Result<(), Box<dyn Error>> {
    let mut took = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        let begun = Instant::now();
        call(number).await?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    println!("{what:24} {:8.2} {:8.2}", took[CALLS / 2], took[CALLS - 1]);
    Ok(())
}
