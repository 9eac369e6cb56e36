//! What every format becomes: a schema, and pieces of rows that can be decoded side by side.
//!
//! ```text
//!   TableSource ──pieces(columns)──▶ Piece, Piece, …   in the order of the file, cheap to make, read from the file in order
//!                                      └─decode(take)─▶ Rows, Rows, …   on any thread
//! ```

use std::sync::Arc;

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
};

use crate::FormatError;

/// Rows that can be read again and again, in the same order, for as long as the file does not change.
pub trait TableSource: Send + Sync {
    /// The name that messages use.
    fn name(&self) -> &str;

    /// The columns, with the metadata that the file gives them. Every column may hold NULL unless the file forbids it.
    fn schema(&self) -> &SchemaRef;

    /// Changes when the file does: its size, and its entity tag or time of modification.
    fn fingerprint(&self) -> String;

    /// How many rows there are, where the file tells that without being read.
    fn row_count(&self) -> Option<u64> {
        None
    }

    /// Asks that columns of these names be read as these types from now on. Only text obeys: a format that has types of
    /// its own keeps them.
    fn read_as(&mut self, _types: &Schema) {}

    /// One pass over all rows, of all columns or of those with the given indices (ascending). The pieces come in the
    /// order of the file and may be decoded on other threads, in any order.
    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError>;
}

/// The pieces of one pass.
pub type Pieces<'a> = Box<dyn Iterator<Item = Result<Piece<'a>, FormatError>> + Send + 'a>;

/// Takes rows in the order of the file; its error ends the decoding.
pub type Take<'t> = dyn FnMut(Rows) -> Result<(), FormatError> + 't;

/// A part of a file, read or not, that has yet to be decoded.
pub struct Piece<'a> {
    decode: Box<Decode<'a>>,
}

type Decode<'a> = dyn FnOnce(&mut Take<'_>) -> Result<(), FormatError> + Send + 'a;

impl<'a> Piece<'a> {
    /// A piece that hands its rows to `take` in order, in batches of about [`batch_rows`].
    pub fn new(decode: impl FnOnce(&mut Take<'_>) -> Result<(), FormatError> + Send + 'a) -> Self {
        Self { decode: Box::new(decode) }
    }

    /// Decodes the piece.
    pub fn decode(self, take: &mut Take<'_>) -> Result<(), FormatError> {
        (self.decode)(take)
    }
}

/// Consecutive rows of a file.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Those that could be read.
    pub batch: RecordBatch,
    /// Where each row of `batch` stands in the file.
    pub places: Places,
    /// Those among them that could not be read, in the order of the file.
    pub bad: Vec<BadRow>,
}

impl Rows {
    /// The rows of a batch, of which the first has this number, without those that are bad.
    pub(crate) fn sound(batch: RecordBatch, first: u64, bad: Vec<BadRow>) -> Result<Self, ArrowError> {
        if bad.is_empty() {
            return Ok(Self { batch, places: Places::Rows(first), bad });
        }
        let mut sound = vec![true; batch.num_rows()];
        for row in &bad {
            let (Place::Row(number) | Place::Line(number)) = row.place;
            sound[(number - first) as usize] = false;
        }
        let numbers = (first..).zip(&sound).filter(|(_, sound)| **sound).map(|(number, _)| number).collect();
        let batch = filter_record_batch(&batch, &BooleanArray::from(sound))?;
        Ok(Self { batch, places: Places::Numbers(numbers), bad })
    }
}

/// Where the rows of a batch stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// One after the other; the first has this number, counted from 1.
    Rows(u64),
    /// They have these numbers, counted from 1: others among them could not be read.
    Numbers(Arc<[u64]>),
    /// At these lines of a text, counted from 1.
    Lines(Arc<[u64]>),
}

impl Places {
    /// The place of the row with this index in its batch.
    pub fn of(&self, index: usize) -> Place {
        match self {
            Self::Rows(first) => Place::Row(first + index as u64),
            Self::Numbers(numbers) => Place::Row(numbers[index]),
            Self::Lines(lines) => Place::Line(lines[index]),
        }
    }
}

/// Where a row stands in its file, counted from 1. Prints as `row 7` or `line 9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The n-th row.
    Row(u64),
    /// The row that begins at the n-th line.
    Line(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Row(number) => write!(f, "row {number}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// A row that cannot be read as its columns demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, as in `mag: 'bright' is no number`.
    pub reason: String,
    /// The row as it is written, where it is text.
    pub text: Option<String>,
}

/// The schema without what a writer noted for itself: of the notes on the whole, only those that we know are kept.
pub(crate) fn bare(schema: &Schema) -> Schema {
    let ours = schema.metadata().iter().filter(|(key, _)| key.starts_with("vo:"));
    Schema::new_with_metadata(schema.fields().clone(), ours.map(|(key, text)| (key.clone(), text.clone())).collect())
}

/// About how many bytes of rows a batch shall have.
pub(crate) const BATCH_BYTES: usize = 16 << 20;

/// How many rows of this schema make a good batch: fewer where rows are wide.
pub fn batch_rows(schema: &Schema) -> usize {
    let row: usize = schema.fields().iter().map(|field| width(field.data_type())).sum();
    (BATCH_BYTES / row.max(1)).clamp(1, 65_536)
}

/// About how many bytes a value of this type takes; text and lists are guessed.
fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeList(field, size) => width(field.data_type()) * (*size).max(0) as usize,
        DataType::Struct(fields) => fields.iter().map(|field| width(field.data_type())).sum(),
        DataType::List(field) | DataType::LargeList(field) => 16 * width(field.data_type()),
        DataType::FixedSizeBinary(size) => (*size).max(0) as usize,
        other => other.primitive_width().unwrap_or(32),
    }
}
