//! The columns of a FITS table: what is put aside of a column, what is learnt of it meanwhile, and what the table then
//! has.
//!
//! | | in the table |
//! |---|---|
//! | truth values | `L`, 0 for NULL |
//! | integers | `B`, `I`, `J`, `K`, the next wider where a type is missing; TNULL is a value that no row has |
//! | integers beyond `K` | `K` with TZERO 2^63 |
//! | floats, decimals of 15 digits | `E`, `D`; NaN for NULL |
//! | texts, times, longer decimals, nested arrays | `nA`, as wide as the widest, or in the heap where that is a waste |
//! | arrays of one length, bytes of one length | `nX`; those of any length in the heap |
//!
//! Widths are found while the rows are put aside rather than fixed beforehand: a fixed width is read by everybody as a
//! plain text, and none is cut.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef},
    compute,
    datatypes::{DataType, Field},
    error::ArrowError,
};
use catalogs::ColumnMeta;

use super::{
    super::{
        cells::{Cells, NoText},
        kind::{Kind, Width},
        rows::Number,
    },
    text::encoded,
};

/// A text takes its room in each row unless that is more than four times what is in it, and more than this in all.
const WASTE: u64 = 1 << 20;

/// A column, while its rows are put aside.
pub(super) struct Column {
    kind: Kind,
    seen: Seen,
}

/// What is learnt of the values of a column.
struct Seen {
    rows: u64,
    /// Some value, or some element, is NULL.
    nulls: bool,
    least: i128,
    most: i128,
    /// The longest cell, and all of them together: in bytes, or in elements.
    longest: usize,
    total: u64,
}

/// A column of the table.
pub(super) struct Settled {
    /// TFORMn
    pub(super) form: String,
    /// TDIMn
    pub(super) dimensions: Option<String>,
    /// TNULLn
    pub(super) null: Option<i64>,
    pub(super) xtype: Option<&'static str>,
    pub(super) layout: Layout,
    /// The bytes that the column has in the heap.
    pub(super) heap: u64,
}

/// How the cells of a column are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    One(Number),
    Many {
        length: usize,
        number: Number,
    },
    /// Bytes, padded with zeros.
    Bytes {
        width: usize,
    },
    /// An array in the heap: of numbers, or of bytes.
    Heap {
        number: Option<Number>,
    },
}

/// What a column is stored as.
enum Unit {
    Truth,
    Integer(Width),
    Unsigned,
    Float,
    Double,
}

impl Unit {
    fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Boolean => Some(Self::Truth),
            Kind::Integer(width) => Some(Self::Integer(*width)),
            Kind::Unsigned => Some(Self::Unsigned),
            Kind::Float => Some(Self::Float),
            Kind::Double | Kind::Decimal { fits_double: true } => Some(Self::Double),
            _ => None,
        }
    }
}

impl Column {
    pub(super) fn new(kind: Kind) -> Self {
        let seen = Seen { rows: 0, nulls: false, least: i128::MAX, most: i128::MIN, longest: 0, total: 0 };
        Self { kind, seen }
    }

    /// Whether it is put aside as text.
    fn is_text(&self) -> bool {
        match &self.kind {
            Kind::Array { element, .. } => Unit::of(element).is_none() || matches!(**element, Kind::Decimal { .. }),
            Kind::Bytes(_) => false,
            kind => Unit::of(kind).is_none(),
        }
    }

    /// As what the column is put aside.
    pub(super) fn aside(&self, field: &Field) -> Field {
        let data_type = match &self.kind {
            _ if self.is_text() => DataType::LargeBinary,
            Kind::Decimal { .. } => DataType::Float64,
            _ => field.data_type().clone(),
        };
        Field::new(field.name(), data_type, true)
    }

    /// Learns from the next rows, and gives what is put aside of them.
    pub(super) fn take(&mut self, column: &ArrayRef) -> Result<Result<ArrayRef, NoText>, ArrowError> {
        self.seen.rows += column.len() as u64;
        if matches!(self.kind, Kind::Float | Kind::Double | Kind::Boolean) {
            return Ok(Ok(ArrayRef::clone(column)));
        }
        let cells = match Cells::new(column, &self.kind)?.simple(&self.kind, column.len()) {
            Ok(cells) => cells,
            Err(why) => return Ok(Err(why)),
        };
        let fixed = matches!(self.kind, Kind::Array { length: Some(length), .. } if length > 0);
        self.seen.look(&cells, column.len(), fixed);
        Ok(Ok(match cells {
            Cells::Text(texts) => {
                let bytes = encoded(&texts);
                self.seen.lengths(bytes.value_offsets().windows(2).map(|ends| (ends[1] - ends[0]) as usize));
                Arc::new(bytes)
            }
            Cells::Nothing => Arc::new(encoded(&vec![None::<&str>; column.len()].into_iter().collect())),
            Cells::Double(doubles) => Arc::new(doubles),
            _ => ArrayRef::clone(column),
        }))
    }

    /// The column of the table, now that all is known, or why there is none. `wide` descriptors have 64 bits.
    pub(super) fn settle(&self, field: &Field, wide: bool) -> Result<Settled, String> {
        let seen = &self.seen;
        let plain = |form: String, layout| Settled { form, dimensions: None, null: None, xtype: None, layout, heap: 0 };
        let letter = if wide { 'Q' } else { 'P' };
        if self.is_text() {
            let xtype = match self.kind {
                Kind::Instant(_) | Kind::Day => Some("timestamp"),
                Kind::Array { .. } => Some("json"),
                _ => None,
            };
            let room = seen.longest as u64 * seen.rows;
            let settled = if room > WASTE && room > 4 * seen.total {
                let layout = Layout::Heap { number: None };
                Settled { heap: seen.total, ..plain(format!("1{letter}A({})", seen.longest), layout) }
            } else {
                let width = seen.longest.max(1);
                plain(format!("{width}A"), Layout::Bytes { width })
            };
            return Ok(Settled { xtype, ..settled });
        }
        match &self.kind {
            Kind::Bytes(Some(width)) if *width > 0 => Ok(plain(format!("{width}B"), Layout::Bytes { width: *width })),
            Kind::Bytes(_) => {
                let layout = Layout::Heap { number: None };
                Ok(Settled { heap: seen.total, ..plain(format!("1{letter}B({})", seen.longest), layout) })
            }
            Kind::Array { element, length, .. } => {
                let (unit, number, null) = self.number(element)?;
                Ok(match length {
                    Some(length) if *length > 0 => {
                        let dimensions = ColumnMeta::of(field).arraysize.and_then(|text| dimensions(text, *length));
                        let layout = Layout::Many { length: *length, number };
                        Settled { dimensions, null, ..plain(format!("{length}{unit}"), layout) }
                    }
                    _ => {
                        let heap = seen.total * number.width as u64;
                        let layout = Layout::Heap { number: Some(number) };
                        Settled { null, heap, ..plain(format!("1{letter}{unit}({})", seen.longest), layout) }
                    }
                })
            }
            kind => {
                let (unit, number, null) = self.number(kind)?;
                Ok(Settled { null, ..plain(unit.to_string(), Layout::One(number)) })
            }
        }
    }

    /// How numbers are written: the letter of TFORM, the bytes, and TNULL.
    fn number(&self, kind: &Kind) -> Result<(char, Number, Option<i64>), String> {
        let number = |width, null: Option<i64>, flipped| Number { width, null: null.unwrap_or(0), neither: 0, flipped };
        let Seen { nulls, least, most, .. } = self.seen;
        Ok(match Unit::of(kind).unwrap_or(Unit::Double) {
            Unit::Truth => ('L', number(1, None, false), None),
            Unit::Float => ('E', number(4, None, false), None),
            Unit::Double => ('D', number(8, None, false), None),
            Unit::Integer(width) => {
                let (width, null) = if nulls { free(width, least, most).ok_or(TAKEN)? } else { (width, None) };
                let letter = match width {
                    Width::U8 => 'B',
                    Width::I16 => 'I',
                    Width::I32 => 'J',
                    Width::I64 => 'K',
                };
                (letter, number(width.bytes(), null, false), null)
            }
            Unit::Unsigned if most <= i64::MAX.into() => {
                let null = nulls.then_some(i64::MIN);
                ('K', number(8, null, false), null)
            }
            Unit::Unsigned => {
                let half = 1_i128 << 63;
                let null = if nulls { free(Width::I64, least - half, most - half).ok_or(TAKEN)?.1 } else { None };
                ('K', number(8, null, true), null)
            }
        })
    }
}

const TAKEN: &str = "both the lowest and the highest integer there are, so that none is left to mean NULL in FITS; cast \
                     the column to text, or leave out the rows where it is NULL";

/// The value that means NULL: the lowest or the highest, if no row has it, else one of the next wider type.
fn free(width: Width, least: i128, most: i128) -> Option<(Width, Option<i64>)> {
    let (lowest, highest) = (width.lowest(), width.highest());
    if least > i128::from(lowest) && width != Width::U8 {
        Some((width, Some(lowest)))
    } else if most < i128::from(highest) {
        Some((width, Some(highest)))
    } else if least > i128::from(lowest) {
        Some((width, Some(lowest)))
    } else {
        free(width.wider()?, least, most)
    }
}

/// TDIMn for the dimensions that are noted with a column, where they are possible.
fn dimensions(noted: &str, length: usize) -> Option<String> {
    let sizes: Vec<usize> = noted.split('x').map(|size| size.parse().ok()).collect::<Option<_>>()?;
    let product = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    let text: Vec<String> = sizes.iter().map(usize::to_string).collect();
    (sizes.len() > 1 && product == Some(length)).then(|| format!("({})", text.join(",")))
}

impl Seen {
    fn look(&mut self, cells: &Cells, rows: usize, fixed: bool) {
        match cells {
            Cells::Integer(array) => {
                self.nulls |= array.null_count() > 0;
                self.bounds(compute::min(array).map(i128::from), compute::max(array).map(i128::from));
            }
            Cells::Unsigned(array) => {
                self.nulls |= array.null_count() > 0;
                self.bounds(compute::min(array).map(i128::from), compute::max(array).map(i128::from));
            }
            Cells::Bytes(_) | Cells::Array { .. } => {
                self.lengths((0..rows).map(|row| length(cells, row)));
                if let Cells::Array { elements, ends, nulls } = cells {
                    // A missing array of a fixed length is one of missing elements. Any other is empty, and needs no
                    // TNULL, with which astropy reads no column of such arrays.
                    self.nulls |= fixed && nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0);
                    self.look(elements, *ends.last().unwrap_or(&0), fixed);
                }
            }
            _ => {}
        }
    }

    fn bounds(&mut self, least: Option<i128>, most: Option<i128>) {
        self.least = self.least.min(least.unwrap_or(i128::MAX));
        self.most = self.most.max(most.unwrap_or(i128::MIN));
    }

    fn lengths(&mut self, lengths: impl Iterator<Item = usize>) {
        for length in lengths {
            self.longest = self.longest.max(length);
            self.total += length as u64;
        }
    }
}

/// How many bytes or elements a cell has.
pub(super) fn length(cells: &Cells, row: usize) -> usize {
    match cells {
        _ if cells.is_null(row) => 0,
        Cells::Bytes(array) => array.value_length(row) as usize,
        Cells::Array { ends, .. } => ends[row + 1] - ends[row],
        _ => 0,
    }
}

impl Settled {
    /// Whether its integers have their highest bit turned over.
    pub(super) fn is_flipped(&self) -> bool {
        let (Layout::One(number) | Layout::Many { number, .. } | Layout::Heap { number: Some(number) }) = self.layout
        else {
            return false;
        };
        number.flipped
    }

    /// The bytes that the column has in a row.
    pub(super) fn width(&self, wide: bool) -> usize {
        match self.layout {
            Layout::One(number) => number.width,
            Layout::Many { length, number } => length * number.width,
            Layout::Bytes { width } => width,
            Layout::Heap { .. } => {
                if wide {
                    16
                } else {
                    8
                }
            }
        }
    }
}
