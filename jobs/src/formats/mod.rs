//! The formats that an answer is written in, each in a file of its own, and the one loop that drives them.
//!
//! An answer becomes bytes while it is read: one batch and one chunk are held (for Parquet one row group), whatever the
//! number of rows. A format is asked for by its short name or its media type; [`Format`] knows which ones there are and
//! what is sent back.
//!
//! ```text
//!   votable, csv, json, ndjson, text   text: rows from cells, which know kinds of values and not Arrow's types
//!   parquet, arrow                     batches, with plain types that every reader knows (plain)
//! ```
//! A failure before the first chunk has left is an error of the whole answer. After that, a VOTable ends well-formed with
//! the status ERROR, and the others are broken off, so that nobody takes a part for the whole; [`Encoded::failed`] tells
//! whoever writes a file.

mod arrow_stream;
mod cells;
mod csv;
mod json;
mod kind;
mod media_type;
mod parquet;
pub mod plain;
mod table;
mod text;
pub mod votable;
pub mod xml;

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    pin::Pin,
    task::{Context, Poll},
};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, ready};

use crate::{Answer, JobError, answer::AnswerRows};
use kind::Kind;
pub use media_type::{Format, UnknownFormat};
use text::Text;

/// A chunk leaves when it is this long: large enough for the network, small enough for thousands of clients.
const CHUNK: usize = 64 * 1024;

/// Makes bytes of batches.
trait Encoder: Send {
    /// Appends what stands before the first row.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), JobError>;

    /// Takes the next batch; the one before is [done](Progress::Done).
    fn open(&mut self, batch: RecordBatch) -> Result<(), JobError>;

    /// Appends rows of the batch until `out` has about `most` bytes or the batch is done.
    fn write(&mut self, most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError>;

    /// Ends the document; `overflow` tells after how many rows the answer was cut, if it was.
    fn end(&mut self, overflow: Option<u64>, out: &mut Vec<u8>) -> Result<(), JobError>;

    /// Ends the document by telling that the rest failed. False: the format has no place for that.
    fn failure(&mut self, sentence: &str, out: &mut Vec<u8>) -> bool;
}

/// How far a batch is written.
enum Progress {
    /// Wholly: the next one is wanted.
    Done,
    /// The chunk was full before.
    Full,
}

/// An answer on its way out as bytes.
pub struct Encoded {
    rows: AnswerRows,
    encoder: Box<dyn Encoder>,
    chunk: Vec<u8>,
    written: u64,
    begun: bool,
    finished: bool,
    failed: Option<JobError>,
}

impl Encoded {
    /// Prepares to write an answer. A column that the format cannot hold is refused here.
    pub fn new(answer: Answer, format: Format) -> Result<Self, JobError> {
        let Answer { schema, rows, query, .. } = answer;
        let mut encoder = encoder(&schema, query, format)?;
        let mut chunk = Vec::new();
        encoder.begin(&mut chunk)?;
        Ok(Self { rows, encoder, chunk, written: 0, begun: false, finished: false, failed: None })
    }

    /// True once it is known that the answer was cut; settled when the stream has [finished](Self::is_finished).
    pub fn overflow(&self) -> bool {
        self.rows.overflow()
    }

    /// How far the query has come, where that is known.
    pub fn progress(&self) -> Option<engine::Progress> {
        self.rows.progress()
    }

    /// How many rows were read so far.
    pub fn rows(&self) -> u64 {
        self.written
    }

    /// True once the last chunk has left, or the stream has failed.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Why the document that was written ends before the answer does, where it tells so itself.
    pub fn failed(&mut self) -> Option<JobError> {
        self.failed.take()
    }

    /// Fills the chunk; true when it is the last.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, JobError>> {
        loop {
            if let Progress::Full = self.encoder.write(CHUNK, &mut self.chunk)? {
                return Poll::Ready(Ok(false));
            }
            if self.chunk.len() >= CHUNK {
                return Poll::Ready(Ok(false));
            }
            match ready!(self.rows.poll_next_unpin(cx)).transpose()? {
                Some(batch) => {
                    self.written += batch.num_rows() as u64;
                    self.encoder.open(batch)?;
                }
                None => {
                    let overflow = self.rows.overflow().then_some(self.written);
                    self.encoder.end(overflow, &mut self.chunk)?;
                    return Poll::Ready(Ok(true));
                }
            }
        }
    }
}

/// What writes an answer with these columns.
fn encoder(schema: &SchemaRef, query: String, format: Format) -> Result<Box<dyn Encoder>, JobError> {
    let columns = || SchemaRef::clone(schema);
    let kinds = || schema.fields().iter().map(|field| Kind::of(field)).collect::<Result<Vec<_>, _>>();
    Ok(match format {
        Format::VoTable(_) => {
            let kinds = kinds()?;
            let writer = votable::VoTable::new(columns(), &kinds, query);
            Box::new(Text::new(columns(), kinds, writer))
        }
        Format::Csv { header } => Box::new(Text::new(columns(), kinds()?, csv::Csv::new(columns(), header))),
        Format::Json | Format::NdJson => {
            differ(schema)?;
            let form = if format == Format::Json { json::Form::Array } else { json::Form::Lines };
            Box::new(Text::new(columns(), kinds()?, json::Json::new(schema, form)))
        }
        Format::Table => {
            let kinds = kinds()?;
            let writer = table::Table::new(columns(), &kinds);
            Box::new(Text::new(columns(), kinds, writer))
        }
        Format::Arrow => Box::new(arrow_stream::ArrowStream::new(schema)?),
        Format::Parquet => {
            differ(schema)?;
            Box::new(parquet::Parquet::new(schema, query)?)
        }
    })
}

/// Refuses columns of one name, for formats whose readers find a column by its name.
fn differ(schema: &Schema) -> Result<(), JobError> {
    let mut names = HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(twice) => Err(JobError::Unwritable(format!(
            "Two columns are called {}, and this format tells columns apart by name; give one another name with AS.",
            twice.name()
        ))),
        None => Ok(()),
    }
}

impl Stream for Encoded {
    type Item = Result<Bytes, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.finished {
            return Poll::Ready(None);
        }
        match ready!(this.poll_fill(cx)) {
            Ok(last) => this.finished = last,
            Err(error) => {
                this.finished = true;
                if !this.begun || !this.encoder.failure(&error.to_string(), &mut this.chunk) {
                    return Poll::Ready(Some(Err(error)));
                }
                this.failed = Some(error);
            }
        }
        this.begun = true;
        // An empty answer without a header has no bytes at all.
        let chunk = std::mem::take(&mut this.chunk);
        Poll::Ready((!chunk.is_empty()).then(|| Ok(Bytes::from(chunk))))
    }
}
