//! Rows of bytes one after the other in a buffer, filled column by column: what the binary formats share. Numbers have
//! their highest byte first.

use std::ops::Range;

use arrow::{
    array::{Array, PrimitiveArray},
    buffer::NullBuffer,
    datatypes::ArrowPrimitiveType,
};

use super::cells::Cells;

/// A buffer with some rows.
#[derive(Default)]
pub(super) struct RowBytes {
    bytes: Vec<u8>,
    /// Where each row begins.
    starts: Vec<usize>,
    /// Where the next cell of each row goes.
    next: Vec<usize>,
}

/// How numbers and truth values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// The bytes of one.
    pub(super) width: usize,
    /// The integer that is written for NULL; for floats that is NaN.
    pub(super) null: i64,
    /// The truth value that is written for NULL.
    pub(super) neither: u8,
    /// Unsigned integers have their highest bit turned over.
    pub(super) flipped: bool,
}

impl RowBytes {
    /// Makes room for rows of these lengths, after bytes that stay. All of it is zero.
    pub(super) fn lay_out(&mut self, lengths: &[usize]) {
        let mut end = self.bytes.len();
        self.starts.clear();
        for length in lengths {
            self.starts.push(end);
            end += length;
        }
        self.next.clone_from(&self.starts);
        self.bytes.resize(end, 0);
    }

    /// Makes room for `rows` rows of one length at the end of `out`, which is lent until they [leave](Self::leave).
    pub(super) fn lay_out_in(&mut self, out: &mut Vec<u8>, length: usize, rows: usize) {
        std::mem::swap(&mut self.bytes, out);
        let start = self.bytes.len();
        self.starts.clear();
        self.starts.extend((0..rows).map(|row| start + row * length));
        self.next.clone_from(&self.starts);
        self.bytes.resize(start + rows * length, 0);
    }

    /// Gives back what was lent, with its rows.
    pub(super) fn leave(&mut self, out: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, out);
    }

    /// What is in the buffer.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets so many bytes at the beginning.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.bytes.drain(..bytes);
    }

    /// Leaves so many bytes of each row to flags.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.next.iter_mut().for_each(|next| *next += bytes);
    }

    /// Sets the flag of this number, counted from the highest bit of a row, in the rows that are NULL.
    pub(super) fn flag(&mut self, flag: usize, first: usize, cells: &Cells) {
        let mask = 0x80 >> (flag % 8);
        for (row, start) in self.starts.iter().enumerate() {
            if cells.is_null(first + row) {
                self.bytes[start + flag / 8] |= mask;
            }
        }
    }

    /// Puts a cell of this width into each row.
    pub(super) fn put<const WIDTH: usize>(&mut self, cells: impl Iterator<Item = [u8; WIDTH]>) {
        for (cell, next) in cells.zip(&mut self.next) {
            self.bytes[*next..*next + WIDTH].copy_from_slice(&cell);
            *next += WIDTH;
        }
    }

    /// Has `put` write a cell into what is left of each row, and say how many bytes it took.
    pub(super) fn put_with(&mut self, mut put: impl FnMut(usize, &mut [u8]) -> usize) {
        for (row, next) in self.next.iter_mut().enumerate() {
            *next += put(row, &mut self.bytes[*next..]);
        }
    }

    /// Puts single numbers or truth values.
    pub(super) fn put_numbers(&mut self, cells: &Cells, span: Range<usize>, number: Number) {
        match (cells, number.width) {
            (Cells::Boolean(array), _) => {
                let truth = |row| if cells.is_null(row) { number.neither } else { truth(array.value(row)) };
                self.put(span.map(|row| [truth(row)]));
            }
            (Cells::Integer(array), 1) => self.put_array(array, span, low::<1>(number.null), low::<1>),
            (Cells::Integer(array), 2) => self.put_array(array, span, low::<2>(number.null), low::<2>),
            (Cells::Integer(array), 4) => self.put_array(array, span, low::<4>(number.null), low::<4>),
            (Cells::Integer(array), _) => self.put_array(array, span, low::<8>(number.null), low::<8>),
            (Cells::Unsigned(array), _) => self.put_array(array, span, low::<8>(number.null), |v| unsigned(v, number)),
            (Cells::Float(array), _) => self.put_array(array, span, f32::NAN.to_be_bytes(), f32::to_be_bytes),
            (Cells::Double(array), _) => self.put_array(array, span, f64::NAN.to_be_bytes(), f64::to_be_bytes),
            // No other kind of cells is one of numbers.
            _ => self.skip(number.width),
        }
    }

    fn put_array<T: ArrowPrimitiveType, const WIDTH: usize>(
        &mut self,
        array: &PrimitiveArray<T>,
        span: Range<usize>,
        null: [u8; WIDTH],
        bytes: impl Fn(T::Native) -> [u8; WIDTH],
    ) {
        let values = array.values()[span.clone()].iter();
        match some_null(array.nulls()) {
            None => self.put(values.map(|value| bytes(*value))),
            Some(nulls) => {
                self.put(values.zip(span).map(|(value, row)| if nulls.is_null(row) { null } else { bytes(*value) }));
            }
        }
    }
}

/// Writes the numbers or truth values of an array one after the other, and says how many bytes those are.
pub(super) fn write_numbers(cells: &Cells, span: Range<usize>, number: Number, out: &mut [u8]) -> usize {
    let out = &mut out[..span.len() * number.width];
    let length = out.len();
    match (cells, number.width) {
        (Cells::Boolean(array), _) => {
            for (byte, row) in out.iter_mut().zip(span) {
                *byte = if cells.is_null(row) { number.neither } else { truth(array.value(row)) };
            }
        }
        (Cells::Integer(array), 1) => write_array(array, span, low::<1>(number.null), low::<1>, out),
        (Cells::Integer(array), 2) => write_array(array, span, low::<2>(number.null), low::<2>, out),
        (Cells::Integer(array), 4) => write_array(array, span, low::<4>(number.null), low::<4>, out),
        (Cells::Integer(array), _) => write_array(array, span, low::<8>(number.null), low::<8>, out),
        (Cells::Unsigned(array), _) => write_array(array, span, low::<8>(number.null), |v| unsigned(v, number), out),
        (Cells::Float(array), _) => write_array(array, span, f32::NAN.to_be_bytes(), f32::to_be_bytes, out),
        (Cells::Double(array), _) => write_array(array, span, f64::NAN.to_be_bytes(), f64::to_be_bytes, out),
        // No other kind of cells is one of numbers.
        _ => {}
    }
    length
}

/// Writes what stands for so many numbers or truth values that are not there, and says how many bytes those are.
pub(super) fn write_missing(cells: &Cells, count: usize, number: Number, out: &mut [u8]) -> usize {
    let out = &mut out[..count * number.width];
    let filler: &[u8] = match cells {
        Cells::Boolean(_) => &[number.neither],
        Cells::Float(_) => &f32::NAN.to_be_bytes(),
        Cells::Double(_) => &f64::NAN.to_be_bytes(),
        _ => &number.null.to_be_bytes()[8 - number.width..],
    };
    out.chunks_exact_mut(number.width).for_each(|slot| slot.copy_from_slice(filler));
    out.len()
}

fn write_array<T: ArrowPrimitiveType, const WIDTH: usize>(
    array: &PrimitiveArray<T>,
    span: Range<usize>,
    null: [u8; WIDTH],
    bytes: impl Fn(T::Native) -> [u8; WIDTH],
    out: &mut [u8],
) {
    let nulls = some_null(array.nulls());
    for ((slot, value), row) in out.chunks_exact_mut(WIDTH).zip(&array.values()[span.clone()]).zip(span) {
        let missing = nulls.is_some_and(|nulls| nulls.is_null(row));
        slot.copy_from_slice(&if missing { null } else { bytes(*value) });
    }
}

fn some_null(nulls: Option<&NullBuffer>) -> Option<&NullBuffer> {
    nulls.filter(|nulls| nulls.null_count() > 0)
}

/// The lowest bytes of an integer.
fn low<const WIDTH: usize>(value: i64) -> [u8; WIDTH] {
    let mut bytes = [0; WIDTH];
    bytes.copy_from_slice(&value.to_be_bytes()[8 - WIDTH..]);
    bytes
}

fn unsigned(value: u64, number: Number) -> [u8; 8] {
    if number.flipped { (value ^ (1 << 63)).to_be_bytes() } else { value.to_be_bytes() }
}

fn truth(value: bool) -> u8 {
    if value { b'T' } else { b'F' }
}
