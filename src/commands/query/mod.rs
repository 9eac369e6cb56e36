//! `almagest query`: one question and its answer, written as it comes.
//!
//! ```text
//!   published tables (jobs) ─┐
//!   places (on) ── Jobs::over ├─▶ Answer ── formats ─▶ Output: stdout, or a file that appears when it is complete
//!   a server (server) ────────┘
//! ```
//! Ctrl-C, SIGTERM and --timeout drop all of this at once: the query ends with its answer, and what was made on the disk
//! for it goes.

mod on;
mod output;
mod server;

use std::{
    io::{self, IsTerminal, Read},
    time::Duration,
};

use futures::TryStreamExt;
use jobs::{
    Answer, Caller, Estimate, Jobs, QueryRequest,
    formats::{Encoded, Form, Format},
};
use serde_json::json;
use tokio::time::{sleep, timeout};

use self::{on::Places, output::Output};
use super::print;
use crate::{
    cli::{Language, QueryArgs},
    config::Config,
    failure::Failure,
    progress, shutdown, wiring,
    words::{counted, size},
};

/// A person reads at most so many rows at once; more must be asked for.
const ROWS_FOR_A_PERSON: u64 = 1_000;

/// Between two looks at how far a query is.
const GLANCE: Duration = Duration::from_millis(100);

/// Runs one query.
pub(crate) async fn run(config: Config, args: QueryArgs) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let late = async {
        match args.timeout {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Stopped { status: shutdown::status() }),
        () = late => Err(Failure::Late { allowed: args.timeout.unwrap_or_default() }),
        outcome = ask(&config, &args) => outcome,
    }
}

async fn ask(config: &Config, args: &QueryArgs) -> Result<(), Failure> {
    let format = args.answer_format();
    if args.output.is_none() && !args.explain && !args.estimate {
        refuse_bytes_on_a_terminal(format)?;
    }
    let request = request(config, args, format)?;
    if let Some(address) = &args.server {
        if args.explain {
            return print(&server::explained(address, &request).await?);
        }
        let answer = server::answer(address, request).await?;
        return write(answer, args, format).await;
    }
    let places = match args.on.as_slice() {
        [] => None,
        on => Some(Places::open(config, on).await?),
    };
    let jobs = match &places {
        Some(places) => wiring::jobs_over(config, places.tables())?,
        None => {
            wiring::expect_data(config)?;
            wiring::jobs(config, Caller::Operator).await?
        }
    };
    // The places go last: the query reads what is in them.
    tell(&jobs, request, args, format).await
}

/// Explains, estimates or answers.
async fn tell(jobs: &Jobs, request: QueryRequest, args: &QueryArgs, format: Format) -> Result<(), Failure> {
    if args.explain {
        return print(jobs.explain(request.language, &request.text).await?.trim_end());
    }
    if args.estimate {
        let estimate = jobs.estimate(request.language, &request.text).await?;
        return print(&if args.json { costs_as_json(&estimate) } else { costs(&estimate) });
    }
    write(jobs.run(request).await?, args, format).await
}

/// What a query will cost, a line for each of its kinds.
fn costs(estimate: &Estimate) -> String {
    let Estimate { files, files_total, row_groups, row_groups_total, bytes, rows: (least, most), stops_early } =
        estimate;
    let rows = match *most {
        u64::MAX => format!("{least} rows or more"),
        most if most == *least => counted(most, "row"),
        most => format!("{least} to {most} rows"),
    };
    let early = if *stops_early { ", unless it is done before" } else { "" };
    format!(
        "files       {files} of {files_total}\n\
         row groups  {row_groups} of {row_groups_total} in them\n\
         to read     {}{early}\n\
         answer      {rows}",
        size(*bytes)
    )
}

fn costs_as_json(estimate: &Estimate) -> String {
    let Estimate { files, files_total, row_groups, row_groups_total, bytes, rows: (least, most), stops_early } =
        estimate;
    let most = (*most < u64::MAX).then_some(most);
    json!({
        "files": files,
        "files_total": files_total,
        "row_groups": row_groups,
        "row_groups_total": row_groups_total,
        "bytes": bytes,
        "rows_least": least,
        "rows_most": most,
        "stops_early": stops_early,
    })
    .to_string()
}

fn request(config: &Config, args: &QueryArgs, format: Format) -> Result<QueryRequest, Failure> {
    let language = match args.lang {
        Language::Adql => jobs::Language::Adql,
        Language::Sql => jobs::Language::Sql,
    };
    let usual = match format.form {
        Form::Text => config.query.default_maxrec.get().min(ROWS_FOR_A_PERSON),
        _ => config.query.default_maxrec.get(),
    };
    Ok(QueryRequest { language, text: text(args)?, max_rows: Some(args.maxrec.unwrap_or(usual)) })
}

fn text(args: &QueryArgs) -> Result<String, Failure> {
    let Some(path) = &args.file else { return Ok(args.text.clone().unwrap_or_default()) };
    let read = if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| Failure::File { path: path.clone(), reason: error.to_string() })
}

fn refuse_bytes_on_a_terminal(format: Format) -> Result<(), Failure> {
    let is_text = format.form.is_text() && format.packing.is_none();
    if is_text || !io::stdout().is_terminal() {
        return Ok(());
    }
    let sentence = "this format is no text for a terminal; name a file with --output, or pipe it into a program";
    Err(Failure::Refused(sentence.to_owned()))
}

/// Writes an answer to its end, or takes back what was written of it.
async fn write(answer: Answer, args: &QueryArgs, format: Format) -> Result<(), Failure> {
    let mut encoded = Encoded::new(answer, format)?;
    let mut out = Output::create(args.output.as_deref())?;
    let bar = progress::asked();
    loop {
        // A glance that comes first takes nothing away: the next call goes on where this one was.
        let Ok(chunk) = timeout(GLANCE, encoded.try_next()).await else {
            bar.show(&encoded);
            continue;
        };
        let Some(chunk) = chunk? else { break };
        bar.show(&encoded);
        if out.is_terminal() {
            bar.make_way();
        }
        out.write(chunk).await?;
    }
    drop(bar);
    if let Some(error) = encoded.failed() {
        return Err(error.into());
    }
    out.finish().await?;
    if encoded.overflow() {
        eprintln!("almagest: the answer was cut after {}; --maxrec asks for more", counted(encoded.rows(), "row"));
    }
    Ok(())
}
