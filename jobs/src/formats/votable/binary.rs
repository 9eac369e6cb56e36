//! Rows as numbers: BINARY2 with flags for NULL before each row, BINARY without, both in base64.
//!
//! Free text is in 16-bit units: before version 1.6, `char` is ASCII in these two, and readers hold to that. A
//! character beyond them is two units, as every reader takes it; U+0000, where readers end a text, becomes U+FFFD.

use arrow::{
    array::{Array, RecordBatch},
    datatypes::SchemaRef,
};

use super::{
    super::{
        Encoder, Ending, Progress, Serialization,
        cells::Cells,
        kind::Kind,
        rows::{Number, RowBytes, write_missing, write_numbers},
        text::Unwritable,
    },
    base64::{push_groups, push_last},
    document::Document,
    fields::{FieldType, Shape},
};
use crate::JobError;

/// So many rows are laid out at once, or fewer, if they are long.
const ROWS: usize = 1_024;

pub(in super::super) struct Binary {
    schema: SchemaRef,
    kinds: Vec<Kind>,
    document: Document,
    columns: Vec<Column>,
    /// The element of the document.
    element: &'static str,
    /// The bytes of flags before each row.
    flags: usize,
    /// The batch that is being written, the next row of it, and how many it has.
    batch: Option<(Vec<Cells>, usize, usize)>,
    /// Which columns of it are texts of ASCII without a NULL.
    plain: Vec<bool>,
    rows: RowBytes,
    lengths: Vec<usize>,
    text: String,
}

struct Column {
    declared: FieldType,
    /// What a cell, or an element of one, is.
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Number(Number),
    /// A byte of binary data.
    Byte,
    /// A character of ASCII.
    Char,
    /// A 16-bit unit of text.
    Wide,
}

impl Column {
    fn new(declared: FieldType) -> Self {
        let number =
            |width| Unit::Number(Number { width, null: declared.null.unwrap_or(0), neither: b'?', flipped: false });
        let unit = match declared.datatype {
            "unicodeChar" => Unit::Wide,
            "char" => Unit::Char,
            "boolean" | "unsignedByte" => number(1),
            "short" => number(2),
            "int" | "float" => number(4),
            _ => number(8),
        };
        Self { declared, unit }
    }

    fn of(kind: &Kind, declared: FieldType) -> Self {
        let column = Self::new(declared);
        if matches!(kind, Kind::Bytes(_)) { Self { unit: Unit::Byte, ..column } } else { column }
    }

    fn width(&self) -> usize {
        match self.unit {
            Unit::Number(number) => number.width,
            Unit::Byte | Unit::Char => 1,
            Unit::Wide => 2,
        }
    }

    /// The bytes of a cell, where they are the same in each row.
    fn fixed(&self) -> Option<usize> {
        match self.declared.shape {
            Shape::One => Some(self.width()),
            Shape::Many(length) => Some(length * self.width()),
            Shape::Any | Shape::Text | Shape::Json => None,
        }
    }

    /// How many elements a cell has that is there.
    fn count(&self, cells: &Cells, row: usize) -> usize {
        match cells {
            Cells::Array { ends, .. } => ends[row + 1] - ends[row],
            Cells::Bytes(array) => array.value_length(row) as usize,
            Cells::Text(array) => match self.unit {
                Unit::Wide => wide_length(array.value(row)),
                _ => array.value(row).len(),
            },
            _ => 0,
        }
    }

    /// Adds the bytes that are not the same in each row.
    fn measure(&self, cells: &Cells, plain: bool, first: usize, lengths: &mut [usize]) {
        let width = self.width();
        match cells {
            Cells::Nothing => {}
            Cells::Text(array) if plain => {
                // The lowest quarter of a view is the length of its text.
                let views = &array.views()[first..first + lengths.len()];
                lengths.iter_mut().zip(views).for_each(|(length, view)| *length += *view as u32 as usize * width);
            }
            _ => {
                for (row, length) in (first..).zip(lengths).filter(|(row, _)| !cells.is_null(*row)) {
                    *length += self.count(cells, row) * width;
                }
            }
        }
    }

    /// Puts the cells of these rows.
    fn put(&self, cells: &Cells, first: usize, rows: usize, out: &mut RowBytes) {
        if let (Shape::One, Unit::Number(number)) = (self.declared.shape, self.unit) {
            return out.put_numbers(cells, first..first + rows, number);
        }
        let counted = self.fixed().is_none();
        out.put_with(|row, out| {
            if !counted {
                return self.put_elements(cells, first + row, out);
            }
            // How many there are is known when they are there.
            let (count, elements) = out.split_at_mut(4);
            let bytes = self.put_elements(cells, first + row, elements);
            count.copy_from_slice(&((bytes / self.width()) as u32).to_be_bytes());
            4 + bytes
        });
    }

    fn put_elements(&self, cells: &Cells, row: usize, out: &mut [u8]) -> usize {
        match (cells, self.unit, self.declared.shape) {
            (Cells::Array { elements, .. }, Unit::Number(number), Shape::Many(length)) if cells.is_null(row) => {
                write_missing(elements, length, number, out)
            }
            (_, _, Shape::Many(length)) if cells.is_null(row) => length * self.width(),
            _ if cells.is_null(row) => 0,
            (Cells::Array { elements, ends, .. }, Unit::Number(number), _) => {
                write_numbers(elements, ends[row]..ends[row + 1], number, out)
            }
            (Cells::Text(array), Unit::Wide, _) => put_wide(array.value(row), out),
            (Cells::Text(array), _, _) => put_bytes(array.value(row).as_bytes(), out),
            (Cells::Bytes(array), _, _) => put_bytes(array.value(row), out),
            _ => 0,
        }
    }

    /// Why the values of a column cannot all be written, if they cannot.
    fn refusal(&self, cells: &Cells) -> Option<String> {
        match (cells, self.declared.null) {
            (Cells::Array { elements, .. }, _) => self.refusal(elements),
            (Cells::Integer(array), Some(null)) if array.values().contains(&null) => {
                let meant = (0..array.len()).any(|row| !array.is_null(row) && array.value(row) == null);
                meant.then(|| {
                    format!("the number {null}, which in this VOTable means NULL there; ask for CSV or Parquet instead")
                })
            }
            (Cells::Unsigned(array), _) => {
                let beyond = |value: &u64| i64::try_from(*value).is_err();
                array.iter().flatten().find(beyond).map(|value| {
                    format!("the number {value}, which no VOTable integer holds; cast the column to text or to double")
                })
            }
            _ => None,
        }
    }
}

impl Binary {
    pub(in super::super) fn new(schema: SchemaRef, kinds: Vec<Kind>, query: String, rows: Serialization) -> Self {
        let (element, flags) = match rows {
            Serialization::Binary2 => ("BINARY2", kinds.len().div_ceil(8)),
            _ => ("BINARY", 0),
        };
        let declared = |(kind, field): (&Kind, &arrow::datatypes::FieldRef)| match rows {
            Serialization::Binary2 => Column::of(kind, FieldType::binary2(kind)),
            _ => Column::of(kind, FieldType::binary(kind, field.is_nullable())),
        };
        Self {
            columns: kinds.iter().zip(schema.fields()).map(declared).collect(),
            document: Document::new(SchemaRef::clone(&schema), query),
            schema,
            kinds,
            element,
            flags,
            batch: None,
            plain: Vec::new(),
            rows: RowBytes::default(),
            lengths: Vec::new(),
            text: String::new(),
        }
    }

    /// The lengths of the next rows, of which at least one is taken and not much more than `most` bytes.
    fn measure(&mut self, cells: &[Cells], first: usize, rows: usize, most: usize) {
        let fixed = self.flags + self.columns.iter().map(|column| column.fixed().unwrap_or(4)).sum::<usize>();
        let rows = (rows - first).min(ROWS).min(most / fixed.max(1)).max(1);
        self.lengths.clear();
        self.lengths.resize(rows, fixed);
        let columns = self.columns.iter().zip(cells).zip(&self.plain);
        for ((column, cells), plain) in columns.filter(|((column, _), _)| column.fixed().is_none()) {
            column.measure(cells, *plain, first, &mut self.lengths);
        }
        let mut sum = 0;
        let fits = self.lengths.iter().take_while(|length| {
            sum += **length;
            sum <= most
        });
        let fits = fits.count().max(1);
        self.lengths.truncate(fits);
    }

    fn end_of_rows(&mut self) {
        self.text.push_str("</STREAM>\n</");
        self.text.push_str(self.element);
        self.text.push_str(">\n</DATA>\n");
    }

    fn hand_over(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text.as_bytes());
        self.text.clear();
    }

    fn last_rows(&mut self, out: &mut Vec<u8>) {
        push_last(self.rows.bytes(), out);
        self.rows = RowBytes::default();
        self.end_of_rows();
    }
}

impl Encoder for Binary {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), JobError> {
        let declared = self.columns.iter().map(|column| &column.declared);
        self.document.open(declared, &mut self.text);
        self.text.push_str("<DATA>\n<");
        self.text.push_str(self.element);
        self.text.push_str(">\n<STREAM encoding=\"base64\">\n");
        self.hand_over(out);
        Ok(())
    }

    fn open(&mut self, batch: RecordBatch) -> Result<(), JobError> {
        let rows = batch.num_rows();
        let mut simple = Vec::with_capacity(self.columns.len());
        for (column, cells) in Cells::of_batch(&batch, &self.kinds)?.into_iter().enumerate() {
            let cells = cells.simple(&self.kinds[column], rows).map_err(String::from);
            let cells = cells.and_then(|cells| self.columns[column].refusal(&cells).map_or(Ok(cells), Err));
            simple.push(cells.map_err(|why| Unwritable { column, why }.named(&self.schema))?);
        }
        let plain = |cells: &Cells| matches!(cells, Cells::Text(texts) if texts.null_count() == 0 && texts.is_ascii());
        self.plain = simple.iter().map(plain).collect();
        self.batch = Some((simple, 0, rows));
        Ok(())
    }

    fn write(&mut self, most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        let Some((cells, mut next, rows)) = self.batch.take() else { return Ok(Progress::Done) };
        out.reserve(most);
        while next < rows && out.len() < most {
            self.measure(&cells, next, rows, (most - out.len()).div_ceil(4) * 3);
            self.rows.lay_out(&self.lengths);
            self.rows.skip(self.flags);
            for (number, (column, cells)) in self.columns.iter().zip(&cells).enumerate() {
                if self.flags > 0 && (matches!(cells, Cells::Nothing) || cells.nulls().is_some()) {
                    self.rows.flag(number, next, cells);
                }
                column.put(cells, next, self.lengths.len(), &mut self.rows);
            }
            next += self.lengths.len();
            let written = push_groups(self.rows.bytes(), out);
            self.rows.forget(written);
        }
        if next == rows {
            return Ok(Progress::Done);
        }
        self.batch = Some((cells, next, rows));
        Ok(Progress::Full)
    }

    fn end(&mut self, ending: Ending, _most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        self.last_rows(out);
        self.document.close(Some(ending), &mut self.text);
        self.hand_over(out);
        Ok(Progress::Done)
    }

    fn failure(&mut self, sentence: &str, out: &mut Vec<u8>) -> bool {
        self.last_rows(out);
        self.document.fail(sentence, &mut self.text);
        self.hand_over(out);
        true
    }
}

fn put_bytes(bytes: &[u8], out: &mut [u8]) -> usize {
    out[..bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

fn wide_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn put_wide(text: &str, out: &mut [u8]) -> usize {
    if text.is_ascii() && !text.as_bytes().contains(&0) {
        let out = &mut out[..2 * text.len()];
        out.chunks_exact_mut(2).zip(text.bytes()).for_each(|(unit, byte)| unit.copy_from_slice(&[0, byte]));
        return out.len();
    }
    let mut units = 0;
    for (unit, slot) in text.encode_utf16().zip(out.chunks_exact_mut(2)) {
        let unit = if unit == 0 { 0xFFFD } else { unit };
        slot.copy_from_slice(&unit.to_be_bytes());
        units += 1;
    }
    2 * units
}
