//! The formats that an answer is written in, each in a file of its own, and the one loop that drives them.
//!
//! An answer becomes bytes while it is read: one batch and one chunk are held (for Parquet one row group), whatever the
//! number of rows. A format is asked for by its short name or its media type; [`Format`] knows which ones there are and
//! what is sent back.
//!
//! ```text
//!   votable, csv, tsv, json, ndjson, html, text   text: rows from cells, which know kinds and not Arrow's types
//!   votable/b2, votable/b, fits                   bytes: rows filled column by column (rows)
//!   parquet, arrow, feather                       batches, with plain types that every reader knows (plain)
//!   …gz, …zst, …bz2                               any of the first two lines, packed (packing)
//! ```
//! FITS wants the number of rows before the first of them: it waits on the disk (fits::spool) until all are there. A
//! failure before the first chunk has left is an error of the whole answer. After that, a VOTable ends well-formed with
//! the status ERROR, and the others are broken off, so that nobody takes a part for the whole; [`Encoded::failed`]
//! tells whoever writes a file.

mod arrow_ipc;
mod cells;
mod csv;
mod fits;
mod html;
mod json;
mod kind;
mod media_type;
mod packing;
mod parquet;
pub mod plain;
mod rows;
mod spelled;
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
pub use media_type::{Form, Format, Offered, Packing, Serialization, UnknownFormat, VoTableType};
use packing::Packer;
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

    /// Appends what stands after the last row, and is called again until that is done; nothing else follows.
    fn end(&mut self, ending: Ending, most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError>;

    /// True when no further row would be written.
    fn has_enough(&self) -> bool {
        false
    }

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

/// What is known of an answer when its last row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ending {
    rows: u64,
    /// There are more rows, which were left out.
    overflow: bool,
}

impl Ending {
    /// The words of DALI for it.
    fn status(self) -> &'static str {
        if self.overflow { "OVERFLOW" } else { "OK" }
    }
}

/// An answer on its way out as bytes.
pub struct Encoded {
    rows: AnswerRows,
    encoder: Box<dyn Encoder>,
    packer: Option<Packer>,
    chunk: Vec<u8>,
    written: u64,
    /// Set when the last row was read.
    ending: Option<Ending>,
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
        let packer = format.packing.map(Packer::new).transpose()?;
        Ok(Self { rows, encoder, packer, chunk, written: 0, ending: None, begun: false, finished: false, failed: None })
    }

    /// True once it is known that the answer was cut; settled when the stream has [finished](Self::is_finished).
    pub fn overflow(&self) -> bool {
        self.rows.overflow() || self.ending.is_some_and(|ending| ending.overflow)
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
            if let Some(ending) = self.ending {
                let progress = self.encoder.end(ending, CHUNK, &mut self.chunk)?;
                return Poll::Ready(Ok(matches!(progress, Progress::Done)));
            }
            if let Progress::Full = self.encoder.write(CHUNK, &mut self.chunk)? {
                return Poll::Ready(Ok(false));
            }
            if self.chunk.len() >= CHUNK {
                return Poll::Ready(Ok(false));
            }
            if self.encoder.has_enough() {
                self.ending = Some(Ending { rows: self.written, overflow: true });
                continue;
            }
            match ready!(self.rows.poll_next_unpin(cx)).transpose()? {
                Some(batch) => {
                    self.written += batch.num_rows() as u64;
                    self.encoder.open(batch)?;
                }
                None => self.ending = Some(Ending { rows: self.written, overflow: self.rows.overflow() }),
            }
        }
    }

    /// What leaves of the chunk: all of it, or what is packed by now.
    fn leaving(&mut self) -> Result<Vec<u8>, JobError> {
        let chunk = std::mem::take(&mut self.chunk);
        let Some(packer) = &mut self.packer else { return Ok(chunk) };
        let mut packed = packer.pack(&chunk)?;
        if let Some(packer) = self.packer.take_if(|_| self.finished) {
            packed.append(&mut packer.finish()?);
        }
        self.chunk = chunk;
        self.chunk.clear();
        Ok(packed)
    }

    /// The next bytes that leave; none when there is nothing more.
    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, JobError>>> {
        while !self.finished {
            match ready!(self.poll_fill(cx)) {
                Ok(last) => self.finished = last,
                Err(error) => {
                    self.finished = true;
                    if !self.begun || !self.encoder.failure(&error.to_string(), &mut self.chunk) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    self.failed = Some(error);
                }
            }
            match self.leaving() {
                // An empty answer without a header has no bytes at all, and a packer collects some before it gives any.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.begun = true;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Err(error) => {
                    self.finished = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// What writes an answer with these columns.
fn encoder(schema: &SchemaRef, query: String, format: Format) -> Result<Box<dyn Encoder>, JobError> {
    let columns = || SchemaRef::clone(schema);
    let kinds = || schema.fields().iter().map(|field| Kind::of(field)).collect::<Result<Vec<_>, _>>();
    let separated = |separator, header| csv::Csv::new(columns(), separator, header, format.status_line);
    Ok(match format.form {
        Form::VoTable { rows: Serialization::TableData, .. } => {
            let kinds = kinds()?;
            let writer = votable::TableData::new(columns(), &kinds, query);
            Box::new(Text::new(columns(), kinds, writer))
        }
        Form::VoTable { rows, .. } => Box::new(votable::Binary::new(columns(), kinds()?, query, rows)),
        Form::Fits => {
            differ(schema, |name| name.to_ascii_lowercase())?;
            Box::new(fits::Fits::new(columns(), kinds()?, query)?)
        }
        Form::Csv { header } => Box::new(Text::new(columns(), kinds()?, separated(',', header))),
        Form::Tsv { header } => Box::new(Text::new(columns(), kinds()?, separated('\t', header))),
        Form::Json | Form::NdJson => {
            differ(schema, str::to_owned)?;
            let form = if format.form == Form::Json { json::Form::Array } else { json::Form::Lines };
            Box::new(Text::new(columns(), kinds()?, json::Json::new(schema, form, format.status_line)))
        }
        Form::Html => {
            let kinds = kinds()?;
            let writer = html::Html::new(columns(), &kinds, query);
            Box::new(Text::new(columns(), kinds, writer))
        }
        Form::Text => {
            let kinds = kinds()?;
            let writer = table::Table::new(columns(), &kinds);
            Box::new(Text::new(columns(), kinds, writer))
        }
        Form::ArrowStream => Box::new(arrow_ipc::ArrowIpc::stream(schema, &query)?),
        Form::ArrowFile => Box::new(arrow_ipc::ArrowIpc::file(schema, &query)?),
        Form::Parquet => {
            differ(schema, str::to_owned)?;
            Box::new(parquet::Parquet::new(schema, query)?)
        }
    })
}

/// Refuses columns of one name, for formats whose readers find a column by its name.
fn differ(schema: &Schema, folded: impl Fn(&str) -> String) -> Result<(), JobError> {
    let mut names = HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(folded(field.name()))) {
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
        self.poll_leaving(cx).map_ok(Bytes::from)
    }
}
