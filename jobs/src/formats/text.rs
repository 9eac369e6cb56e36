//! The formats that are text, written row by row: what they share.
//!
//! A batch becomes [`Cells`] once; then a [`Writer`] appends one row after the other until a chunk is full. A row that
//! cannot be written is taken back, so that a document is whole up to there.

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};

use super::{
    Encoder, Ending, Progress,
    cells::{Cells, NoText},
    kind::Kind,
};
use crate::JobError;

/// A text format: a head, rows, a tail.
pub(super) trait Writer: Send {
    fn head(&mut self, out: &mut String);

    /// Appends one row. What a failed call appended is taken back by the caller.
    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable>;

    /// Ends the document.
    fn tail(&mut self, ending: Ending, out: &mut String);

    /// True when no further row would be written.
    fn has_enough(&self) -> bool {
        false
    }

    /// Ends the document by telling that the rest failed. False: the format has no place for that.
    fn failure(&mut self, _sentence: &str, _out: &mut String) -> bool {
        false
    }
}

/// A cell that the format cannot hold.
pub(super) struct Unwritable {
    pub(super) column: usize,
    /// What the cell holds and what to do, to follow "The column x holds ".
    pub(super) why: String,
}

impl From<NoText> for String {
    fn from(_: NoText) -> Self {
        "a time outside the calendar, which has no text; cast the column to a number".to_owned()
    }
}

impl Unwritable {
    /// The error, as the person meets it.
    pub(super) fn named(self, schema: &Schema) -> JobError {
        JobError::Unwritable(format!("The column {} holds {}.", schema.field(self.column).name(), self.why))
    }
}

/// Drives a [`Writer`] over batches.
pub(super) struct Text<W> {
    schema: SchemaRef,
    kinds: Vec<Kind>,
    writer: W,
    /// The batch that is being written, the next row of it, and how many it has.
    batch: Option<(Vec<Cells>, usize, usize)>,
    text: String,
}

impl<W: Writer> Text<W> {
    pub(super) fn new(schema: SchemaRef, kinds: Vec<Kind>, writer: W) -> Self {
        Self { schema, kinds, writer, batch: None, text: String::new() }
    }

    /// Moves what was written to where it leaves.
    fn hand_over(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            *out = std::mem::take(&mut self.text).into_bytes();
        } else {
            out.extend_from_slice(self.text.as_bytes());
            self.text.clear();
        }
    }
}

impl<W: Writer> Encoder for Text<W> {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), JobError> {
        self.writer.head(&mut self.text);
        self.hand_over(out);
        Ok(())
    }

    fn open(&mut self, batch: RecordBatch) -> Result<(), JobError> {
        self.batch = Some((Cells::of_batch(&batch, &self.kinds)?, 0, batch.num_rows()));
        Ok(())
    }

    fn write(&mut self, most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        let Some((cells, mut next, rows)) = self.batch.take() else { return Ok(Progress::Done) };
        self.text.reserve(most);
        // Rows go to the text first, and the text to `out` as a whole: bytes that are not text are never in it.
        while next < rows && out.len() + self.text.len() < most && !self.writer.has_enough() {
            let whole = self.text.len();
            if let Err(unwritable) = self.writer.row(&cells, next, &mut self.text) {
                self.text.truncate(whole);
                self.hand_over(out);
                return Err(unwritable.named(&self.schema));
            }
            next += 1;
        }
        self.hand_over(out);
        if next == rows || self.writer.has_enough() {
            return Ok(Progress::Done);
        }
        self.batch = Some((cells, next, rows));
        Ok(Progress::Full)
    }

    fn end(&mut self, ending: Ending, _most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        self.writer.tail(ending, &mut self.text);
        self.hand_over(out);
        Ok(Progress::Done)
    }

    fn has_enough(&self) -> bool {
        self.writer.has_enough()
    }

    fn failure(&mut self, sentence: &str, out: &mut Vec<u8>) -> bool {
        let told = self.writer.failure(sentence, &mut self.text);
        self.hand_over(out);
        told
    }
}
