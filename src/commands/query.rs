//! `almagest query`: one query, run here, without a server.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef, util::pretty::pretty_format_batches};
use futures::TryStreamExt;
use jobs::{
    Answer, JobError, QueryRequest,
    formats::{Encoded, Format},
};

use crate::{
    cli::{AnswerFormat, Language, QueryArgs},
    config::Config,
    failure::Failure,
    output, wiring,
    words::counted,
};

/// A person reads at most so many rows at once; more must be asked for.
const ROWS_FOR_A_PERSON: u64 = 1_000;

/// Runs one query.
pub(crate) async fn run(config: Config, args: QueryArgs) -> Result<(), Failure> {
    let language = match args.lang {
        Language::Adql => jobs::Language::Adql,
        Language::Sql => jobs::Language::Sql,
    };
    let usual = match args.format {
        AnswerFormat::Table => config.query.default_maxrec.get().min(ROWS_FOR_A_PERSON),
        _ => config.query.default_maxrec.get(),
    };
    let max_rows = args.maxrec.unwrap_or(usual);
    let request = QueryRequest { language, text: text(&args)?, max_rows: Some(max_rows) };
    wiring::expect_data(&config)?;
    let answer = wiring::jobs(&config).await?.run(request).await?;
    let mut out = Output::create(&args)?;
    let written = match args.format {
        AnswerFormat::Table => write_table(answer, &mut out).await,
        AnswerFormat::Csv => write_encoded(answer, Format::Csv { header: true }, &mut out).await,
        AnswerFormat::Votable => write_encoded(answer, Format::default(), &mut out).await,
    };
    let overflow = out.finish(written)?;
    if overflow {
        eprintln!("almagest: the answer was cut after {}; --maxrec asks for more", counted(max_rows, "row"));
    }
    Ok(())
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

/// Where the answer goes: stdout, or a file of the caller's.
struct Output<'a> {
    args: &'a QueryArgs,
    writer: Box<dyn Write + Send>,
}

impl<'a> Output<'a> {
    fn create(args: &'a QueryArgs) -> Result<Self, Failure> {
        let writer: Box<dyn Write + Send> = match &args.output {
            Some(path) => match File::create(path) {
                Ok(file) => Box::new(BufWriter::new(file)),
                Err(error) => return Err(Failure::File { path: path.clone(), reason: error.to_string() }),
            },
            None => Box::new(output::stdout()),
        };
        Ok(Self { args, writer })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.writer.write_all(bytes);
        self.told(written)
    }

    /// Completes the output, or removes the file that could not be completed.
    fn finish<T>(mut self, written: Result<T, Failure>) -> Result<T, Failure> {
        let finished = written.and_then(|value| {
            let flushed = self.writer.flush();
            self.told(flushed).map(|()| value)
        });
        if finished.is_err()
            && let Some(path) = &self.args.output
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!("{} is not complete and could not be removed: {error}", path.display());
        }
        finished
    }

    fn told(&self, result: io::Result<()>) -> Result<(), Failure> {
        result.map_err(|error| match &self.args.output {
            Some(path) => Failure::File { path: path.clone(), reason: error.to_string() },
            None => Failure::Output(error),
        })
    }
}

async fn write_encoded(answer: Answer, format: Format, out: &mut Output<'_>) -> Result<bool, Failure> {
    let mut encoded = Encoded::new(answer, format)?;
    while let Some(chunk) = encoded.try_next().await? {
        out.write(&chunk)?;
    }
    Ok(encoded.overflow())
}

async fn write_table(mut answer: Answer, out: &mut Output<'_>) -> Result<bool, Failure> {
    let mut batches = vec![RecordBatch::new_empty(SchemaRef::clone(&answer.schema))];
    while let Some(batch) = answer.rows.try_next().await.map_err(|error: JobError| Failure::from(error))? {
        batches.push(batch);
    }
    let table = pretty_format_batches(&batches).map_err(|error| Failure::Refused(error.to_string()))?;
    out.write(format!("{table}\n").as_bytes())?;
    Ok(answer.rows.overflow())
}
