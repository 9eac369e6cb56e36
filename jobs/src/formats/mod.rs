//! The formats that an answer is written in, each in a file of its own, and the one loop that drives them.
//!
//! An answer becomes bytes while it is read: one batch, one chunk and one row are held, whatever the number of rows. A
//! format is asked for by its short name or its media type; [`Format`] knows which ones there are and what is sent back.
//!
//! A failure before the first chunk has left is an error of the whole answer. After that, a VOTable ends well-formed with
//! the status ERROR, and a CSV is broken off, so that nobody takes a part for the whole.

mod cells;
mod csv;
mod kind;
mod media_type;
pub mod votable;
pub mod xml;

#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use futures::{Stream, StreamExt, ready};

use crate::{Answer, JobError, answer::AnswerRows};
use cells::Cells;
use kind::Kind;
pub use media_type::{Format, UnknownFormat};

/// A chunk leaves when it is this long: large enough for the network, small enough for thousands of clients.
const CHUNK: usize = 64 * 1024;

/// A text format: a head, rows, a tail.
trait Writer: Send {
    fn head(&self, out: &mut String);

    /// Appends one row. What a failed call appended is taken back by the caller.
    fn row(&self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable>;

    /// Ends the document; `overflow` tells after how many rows the answer was cut, if it was.
    fn tail(&self, overflow: Option<u64>, out: &mut String);

    /// Ends the document by telling that the rest failed. False: the format has no place for that.
    fn failure(&self, sentence: &str, out: &mut String) -> bool;
}

/// A cell that the format cannot hold.
struct Unwritable {
    column: usize,
    /// What the cell holds and what to do, to follow "The column x holds ".
    why: String,
}

impl From<cells::NoText> for String {
    fn from(_: cells::NoText) -> Self {
        "a time outside the calendar, which has no text; cast the column to a number".to_owned()
    }
}

/// An answer on its way out as bytes.
pub struct Encoded {
    rows: AnswerRows,
    schema: SchemaRef,
    kinds: Vec<Kind>,
    writer: Box<dyn Writer>,
    /// The batch that is being written, and the next row of it.
    batch: Option<(Vec<Cells>, usize, usize)>,
    chunk: String,
    written: u64,
    begun: bool,
    finished: bool,
}

impl Encoded {
    /// Prepares to write an answer. A column that the format cannot hold is refused here.
    pub fn new(answer: Answer, format: Format) -> Result<Self, JobError> {
        let Answer { schema, rows, query, .. } = answer;
        let kinds = schema.fields().iter().map(|field| Kind::of(field)).collect::<Result<Vec<_>, _>>()?;
        let writer: Box<dyn Writer> = match format {
            Format::VoTable(_) => Box::new(votable::VoTable::new(SchemaRef::clone(&schema), &kinds, query)),
            Format::Csv { header } => Box::new(csv::Csv::new(SchemaRef::clone(&schema), header)),
        };
        let mut chunk = String::new();
        writer.head(&mut chunk);
        Ok(Self { rows, schema, kinds, writer, batch: None, chunk, written: 0, begun: false, finished: false })
    }

    /// True once it is known that the answer was cut; settled when the stream has [finished](Self::is_finished).
    pub fn overflow(&self) -> bool {
        self.rows.overflow()
    }

    /// True once the last chunk has left, or the stream has failed.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Writes rows of the present batch until the chunk is full or the batch is done.
    fn write_rows(&mut self) -> Result<(), JobError> {
        let Some((cells, next, rows)) = &mut self.batch else {
            return Ok(());
        };
        while *next < *rows && self.chunk.len() < CHUNK {
            let whole = self.chunk.len();
            if let Err(Unwritable { column, why }) = self.writer.row(cells, *next, &mut self.chunk) {
                self.chunk.truncate(whole);
                let name = self.schema.field(column).name();
                return Err(JobError::Unwritable(format!("The column {name} holds {why}.")));
            }
            *next += 1;
            self.written += 1;
        }
        if *next == *rows {
            self.batch = None;
        }
        Ok(())
    }

    fn open(&mut self, batch: &RecordBatch) -> Result<(), JobError> {
        let cells: Result<_, _> =
            batch.columns().iter().zip(&self.kinds).map(|(column, kind)| Cells::new(column, kind)).collect();
        self.batch = Some((
            cells.map_err(|error| JobError::fault("cannot read a batch of the answer", &error))?,
            0,
            batch.num_rows(),
        ));
        Ok(())
    }

    /// Fills the chunk; true when it is the last.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, JobError>> {
        loop {
            self.write_rows()?;
            if self.chunk.len() >= CHUNK {
                return Poll::Ready(Ok(false));
            }
            match ready!(self.rows.poll_next_unpin(cx)).transpose()? {
                Some(batch) => self.open(&batch)?,
                None => {
                    let overflow = self.rows.overflow().then_some(self.written);
                    self.writer.tail(overflow, &mut self.chunk);
                    return Poll::Ready(Ok(true));
                }
            }
        }
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
                if !this.begun || !this.writer.failure(&error.to_string(), &mut this.chunk) {
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        this.begun = true;
        // An empty answer without a header has no bytes at all.
        let chunk = std::mem::take(&mut this.chunk);
        Poll::Ready((!chunk.is_empty()).then(|| Ok(Bytes::from(chunk))))
    }
}
