//! Bytes of rows to Arrow arrays, a column at a time.
//!
//! The values of a column stand at one place in each row ([`Span`]); they are gathered and turned from big-endian in one
//! loop without branches. NULLs are found in a second one, where a column can have any. Arrays of the heap come here too,
//! laid end to end like one long row.

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use arrow::{
    array::{
        ArrayRef, ArrowPrimitiveType, BooleanArray, BooleanBufferBuilder, PrimitiveArray, StringArray, StringBuilder,
    },
    buffer::{BooleanBuffer, NullBuffer},
    datatypes::{
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type,
    },
};

use crate::fits::columns::{Element, Number, Scale, Stored};

/// Rows that cannot be read, by their index in a batch, each with the first reason that was found.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    rows: &'a mut BTreeMap<usize, String>,
    column: &'a str,
    /// The index of the first row that is being decoded.
    base: usize,
}

impl<'a> Faults<'a> {
    pub(super) fn new(rows: &'a mut BTreeMap<usize, String>, column: &'a str, base: usize) -> Self {
        Self { rows, column, base }
    }

    /// Says what is wrong with a row.
    pub(super) fn note(&mut self, row: usize, reason: impl Display) {
        self.rows.entry(self.base + row).or_insert_with(|| format!("{}: {reason}", self.column));
    }
}

/// Where the values of a column stand: `repeat` of them, `at` bytes behind the begin of each row of `stride` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    pub(super) at: usize,
    pub(super) repeat: usize,
}

impl<'a> Span<'a> {
    /// Values that stand one behind the other, all in one row.
    pub(super) fn whole(bytes: &'a [u8], repeat: usize) -> Self {
        Self { bytes, stride: bytes.len().max(1), at: 0, repeat }
    }

    /// The bytes of the column in each row.
    fn rows(self, width: usize) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.bytes.chunks_exact(self.stride).map(move |row| &row[self.at..self.at + width])
    }

    fn gather<T, const N: usize>(self, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        if self.repeat == 1 {
            let first = |row: &[u8]| {
                let mut bytes = [0; N];
                bytes.copy_from_slice(row);
                read(bytes)
            };
            return self.rows(N).map(first).collect();
        }
        let rows = self.rows(N * self.repeat);
        let mut values = Vec::with_capacity(rows.len() * self.repeat);
        for row in rows {
            values.extend(row.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)));
        }
        values
    }
}

/// The values of all rows, one after the other; arrays are not yet parted.
pub(super) fn values(element: Element, span: Span<'_>, faults: &mut Faults<'_>) -> ArrayRef {
    match element {
        Element::Logical => {
            span.rows(span.repeat).enumerate().for_each(|(row, bytes)| check_logical(bytes, row, faults));
            logical(span)
        }
        Element::Bit => Arc::new(BooleanArray::new(bits(span), None)),
        Element::Text { width } => Arc::new(texts(span, width, faults)),
        Element::Number(number) => numbers(number, Span { repeat: span.repeat * number.lanes, ..span }),
    }
}

/// Truth values are `T`, `F`, or 0 for NULL.
pub(super) fn check_logical(bytes: &[u8], row: usize, faults: &mut Faults<'_>) {
    if let Some(byte) = bytes.iter().find(|byte| !matches!(byte, b'T' | b'F' | 0)) {
        faults.note(row, format_args!("the byte {byte} is no truth value; those are T, F and 0"));
    }
}

pub(super) fn logical(span: Span<'_>) -> ArrayRef {
    let raw = span.gather(u8::from_be_bytes);
    let values = BooleanBuffer::collect_bool(raw.len(), |i| raw[i] == b'T');
    Arc::new(BooleanArray::new(values, nulls(&raw, 0)))
}

/// Bits, of which each row begins with a byte.
fn bits(span: Span<'_>) -> BooleanBuffer {
    let rows = span.rows(span.repeat.div_ceil(8));
    let mut builder = BooleanBufferBuilder::new(rows.len() * span.repeat);
    rows.for_each(|row| append_bits(&mut builder, row, span.repeat));
    builder.finish()
}

/// So many bits, the highest of each byte first.
pub(super) fn append_bits(builder: &mut BooleanBufferBuilder, bytes: &[u8], count: usize) {
    for index in 0..count {
        builder.append(bytes[index / 8] & (0x80 >> (index % 8)) != 0);
    }
}

/// Texts of a fixed width.
fn texts(span: Span<'_>, width: usize, faults: &mut Faults<'_>) -> StringArray {
    let rows = span.rows(width * span.repeat);
    let mut builder = StringBuilder::with_capacity(rows.len() * span.repeat, rows.len() * span.repeat * width);
    for (index, row) in rows.enumerate() {
        for bytes in row.chunks_exact(width) {
            text(bytes, index, &mut builder, faults);
        }
    }
    builder.finish()
}

/// A text ends at a zero byte or with the blanks at its end. One that begins with a zero byte is NULL, by the standard.
pub(super) fn text(bytes: &[u8], row: usize, builder: &mut StringBuilder, faults: &mut Faults<'_>) {
    if bytes.first() == Some(&0) {
        return builder.append_null();
    }
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => builder.append_value(text.trim_end_matches(' ')),
        Err(_) => {
            faults.note(row, "its characters are not UTF-8");
            builder.append_null();
        }
    }
}

pub(super) fn numbers(number: Number, span: Span<'_>) -> ArrayRef {
    let null = number.null;
    match (number.scale, number.stored) {
        (Scale::Linear { factor, zero }, stored) => scaled(stored, span, null, factor, zero, number.lanes),
        (_, Stored::Float) => real::<Float32Type, 4>(span, f32::from_be_bytes),
        (_, Stored::Double) => real::<Float64Type, 8>(span, f64::from_be_bytes),
        (Scale::AsIs, Stored::Byte) => whole::<UInt8Type, u8, 1>(span, null, u8::from_be_bytes, |x| x),
        (Scale::AsIs, Stored::Short) => whole::<Int16Type, i16, 2>(span, null, i16::from_be_bytes, |x| x),
        (Scale::AsIs, Stored::Int) => whole::<Int32Type, i32, 4>(span, null, i32::from_be_bytes, |x| x),
        (Scale::AsIs, Stored::Long) => whole::<Int64Type, i64, 8>(span, null, i64::from_be_bytes, |x| x),
        (Scale::Flipped, Stored::Byte) => {
            whole::<Int8Type, u8, 1>(span, null, u8::from_be_bytes, |x| (x ^ 0x80).cast_signed())
        }
        (Scale::Flipped, Stored::Short) => {
            whole::<UInt16Type, i16, 2>(span, null, i16::from_be_bytes, |x| (x ^ i16::MIN).cast_unsigned())
        }
        (Scale::Flipped, Stored::Int) => {
            whole::<UInt32Type, i32, 4>(span, null, i32::from_be_bytes, |x| (x ^ i32::MIN).cast_unsigned())
        }
        (Scale::Flipped, Stored::Long) => {
            whole::<UInt64Type, i64, 8>(span, null, i64::from_be_bytes, |x| (x ^ i64::MIN).cast_unsigned())
        }
    }
}

fn scaled(stored: Stored, span: Span<'_>, null: Option<i64>, factor: f64, zero: f64, lanes: usize) -> ArrayRef {
    let linear = move |stored: f64| zero + factor * stored;
    match stored {
        Stored::Byte => whole::<Float64Type, u8, 1>(span, null, u8::from_be_bytes, |x| linear(x.into())),
        Stored::Short => whole::<Float64Type, i16, 2>(span, null, i16::from_be_bytes, |x| linear(x.into())),
        Stored::Int => whole::<Float64Type, i32, 4>(span, null, i32::from_be_bytes, |x| linear(x.into())),
        Stored::Long => whole::<Float64Type, i64, 8>(span, null, i64::from_be_bytes, |x| linear(x as f64)),
        Stored::Float | Stored::Double if lanes == 2 => {
            let mut values = match stored {
                Stored::Float => span.gather(|bytes| f64::from(f32::from_be_bytes(bytes))),
                _ => span.gather(f64::from_be_bytes),
            };
            for pair in values.as_chunks_mut::<2>().0 {
                *pair = [linear(pair[0]), factor * pair[1]];
            }
            Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), None))
        }
        Stored::Float => real::<Float64Type, 4>(span, |bytes| linear(f32::from_be_bytes(bytes).into())),
        Stored::Double => real::<Float64Type, 8>(span, |bytes| linear(f64::from_be_bytes(bytes))),
    }
}

fn real<P: ArrowPrimitiveType, const N: usize>(span: Span<'_>, read: impl Fn([u8; N]) -> P::Native) -> ArrayRef {
    Arc::new(PrimitiveArray::<P>::new(span.gather(read).into(), None))
}

/// Integers; the stored one that means NULL is looked for before it becomes what it means.
fn whole<P, R, const N: usize>(
    span: Span<'_>,
    null: Option<i64>,
    read: impl Fn([u8; N]) -> R,
    value: impl Fn(R) -> P::Native,
) -> ArrayRef
where
    P: ArrowPrimitiveType,
    R: Copy + PartialEq + TryFrom<i64>,
{
    // A NULL that the stored type cannot hold is never met.
    let Some(null) = null.and_then(|null| R::try_from(null).ok()) else {
        return real::<P, N>(span, |bytes| value(read(bytes)));
    };
    let raw = span.gather(read);
    let nulls = nulls(&raw, null);
    let values: Vec<P::Native> = raw.into_iter().map(value).collect();
    Arc::new(PrimitiveArray::<P>::new(values.into(), nulls))
}

fn nulls<R: Copy + PartialEq>(raw: &[R], null: R) -> Option<NullBuffer> {
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(raw.len(), |i| raw[i] != null));
    (nulls.null_count() > 0).then_some(nulls)
}
