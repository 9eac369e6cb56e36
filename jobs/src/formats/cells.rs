//! One column of one batch, brought to its [`Kind`] so that a format reads it without knowing Arrow's encodings.
//!
//! A batch is turned into cells once and read row by row. Strings, floats and 64-bit integers are not copied; the rest
//! is widened by Arrow's cast kernels. What is common to the text formats about one value (how a number, a time or an
//! array is spelled) is here too; what differs is in the format's own file.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, LargeBinaryArray, RecordBatch,
        StringViewArray, StringViewBuilder, UInt64Array,
    },
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type},
    error::ArrowError,
};

use super::{
    kind::Kind,
    spelled::{push_clock, push_day, push_finite, push_hexadecimal, push_instant, push_integer},
};
use crate::JobError;

/// The values of one column in one batch.
pub(crate) enum Cells {
    Nothing,
    Boolean(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Float(Float32Array),
    Double(Float64Array),
    Text(StringViewArray),
    Instant(Int64Array, TimeUnit),
    Day(Int64Array),
    Clock(Int64Array, TimeUnit),
    Bytes(LargeBinaryArray),
    /// Decimals: already spelled.
    Number(StringViewArray),
    /// Row `i` holds the elements `ends[i]..ends[i + 1]`.
    Array {
        elements: Box<Cells>,
        ends: Vec<usize>,
        nulls: Option<NullBuffer>,
    },
}

/// A value that has no text: a time outside the calendar.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoText;

/// How the text formats differ in the spelling of single values.
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    pub(crate) truth: [&'static str; 2],
    /// Not a number, plus infinity, minus infinity.
    pub(crate) special: [&'static str; 3],
}

/// What Python, Java, Rust and SQL databases read back.
pub(crate) const PLAIN: Spelling = Spelling { truth: ["false", "true"], special: ["NaN", "Infinity", "-Infinity"] };

/// JSON has no NaN and no infinities.
pub(crate) const JSON: Spelling =
    Spelling { truth: ["false", "true"], special: ["null", "\"Infinity\"", "\"-Infinity\""] };

impl Cells {
    /// The columns of a batch of an answer.
    pub(crate) fn of_batch(batch: &RecordBatch, kinds: &[Kind]) -> Result<Vec<Self>, JobError> {
        let cells: Result<_, _> =
            batch.columns().iter().zip(kinds).map(|(column, kind)| Self::new(column, kind)).collect();
        cells.map_err(|error| JobError::fault("cannot read a batch of the answer", &error))
    }

    /// Brings a column to its kind.
    pub(crate) fn new(column: &ArrayRef, kind: &Kind) -> Result<Self, ArrowError> {
        let column = decoded(column)?;
        let whole =
            |column: &ArrayRef| cast(column, &DataType::Int64).map(|array| array.as_primitive::<Int64Type>().clone());
        let text = |column: &ArrayRef| cast(column, &DataType::Utf8View).map(|array| array.as_string_view().clone());
        Ok(match kind {
            Kind::Nothing => Self::Nothing,
            Kind::Boolean => Self::Boolean(column.as_boolean().clone()),
            Kind::Integer(_) => Self::Integer(whole(&column)?),
            Kind::Unsigned => Self::Unsigned(cast(&column, &DataType::UInt64)?.as_primitive::<UInt64Type>().clone()),
            Kind::Float => Self::Float(cast(&column, &DataType::Float32)?.as_primitive::<Float32Type>().clone()),
            Kind::Double => Self::Double(cast(&column, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            Kind::Text => Self::Text(text(&column)?),
            Kind::Instant(unit) => Self::Instant(whole(&column)?, *unit),
            Kind::Day => Self::Day(whole(&column)?),
            Kind::Clock(unit) => Self::Clock(whole(&column)?, *unit),
            Kind::Bytes(_) => Self::Bytes(cast(&column, &DataType::LargeBinary)?.as_binary::<i64>().clone()),
            Kind::Decimal { .. } => Self::Number(text(&column)?),
            Kind::Array { element, .. } => Self::array(&column, element)?,
        })
    }

    fn array(column: &ArrayRef, element: &Kind) -> Result<Self, ArrowError> {
        let (values, ends) = match column.data_type() {
            DataType::FixedSizeList(_, length) => {
                let length = usize::try_from(*length).unwrap_or(0);
                let values = column.as_fixed_size_list().values();
                (values.slice(0, length * column.len()), (0..=column.len()).map(|row| row * length).collect())
            }
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                spans(list.values(), list.value_offsets().iter().map(|offset| *offset as usize).collect())
            }
            DataType::LargeList(_) => {
                let list = column.as_list::<i64>();
                spans(list.values(), list.value_offsets().iter().map(|offset| *offset as usize).collect())
            }
            // The views into lists become lists first.
            DataType::ListView(field) | DataType::LargeListView(field) => {
                let list = cast(column, &DataType::LargeList(std::sync::Arc::<Field>::clone(field)))?;
                return Self::array(&list, element);
            }
            other => return Err(ArrowError::CastError(format!("{other} is no list"))),
        };
        Ok(Self::Array { elements: Box::new(Self::new(&values, element)?), ends, nulls: column.nulls().cloned() })
    }

    /// Whether the row has no value.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        matches!(self, Self::Nothing) || self.nulls().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes a value that is neither NULL nor free text: those two each format spells in its own way.
    ///
    /// Bytes come as hexadecimal and arrays as JSON, where a format has nothing better.
    pub(crate) fn write(&self, row: usize, spelling: Spelling, out: &mut String) -> Result<(), NoText> {
        match self {
            Self::Nothing => {}
            Self::Boolean(array) => out.push_str(spelling.truth[usize::from(array.value(row))]),
            Self::Integer(array) => push_integer(array.value(row), out),
            Self::Unsigned(array) => push_integer(array.value(row), out),
            Self::Float(array) => match special(f64::from(array.value(row)), spelling) {
                Some(name) => out.push_str(name),
                None => push_finite(array.value(row), out),
            },
            Self::Double(array) => match special(array.value(row), spelling) {
                Some(name) => out.push_str(name),
                None => push_finite(array.value(row), out),
            },
            Self::Text(array) | Self::Number(array) => out.push_str(array.value(row)),
            Self::Instant(array, unit) => return push_instant(array.value(row), *unit, out),
            Self::Day(array) => return push_day(array.value(row), out),
            Self::Clock(array, unit) => return push_clock(array.value(row), *unit, out),
            Self::Bytes(array) => push_hexadecimal(array.value(row), out),
            Self::Array { .. } => return self.write_json(row, spelling, out),
        }
        Ok(())
    }

    /// Writes a value as JSON: NULL as `null`, and the numbers that JSON lacks as they are spelled here.
    pub(crate) fn write_json(&self, row: usize, spelling: Spelling, out: &mut String) -> Result<(), NoText> {
        if self.is_null(row) {
            out.push_str("null");
            return Ok(());
        }
        match self {
            Self::Text(array) => push_quoted(array.value(row), out),
            Self::Instant(..) | Self::Day(_) | Self::Clock(..) | Self::Bytes(_) => {
                out.push('"');
                self.write(row, spelling, out)?;
                out.push('"');
            }
            Self::Array { elements, ends, .. } => {
                out.push('[');
                for element in ends[row]..ends[row + 1] {
                    if element > ends[row] {
                        out.push(',');
                    }
                    elements.write_json(element, spelling, out)?;
                }
                out.push(']');
            }
            _ => self.write(row, spelling, out)?,
        }
        Ok(())
    }

    /// What a format of numbers and texts takes: times and arrays that are none of plain numbers become text, arrays as
    /// JSON, and decimals numbers where a double holds each of them.
    pub(crate) fn simple(self, kind: &Kind, rows: usize) -> Result<Self, NoText> {
        match (&self, kind) {
            (Self::Number(texts), Kind::Decimal { fits_double: true }) => {
                // Arrow's text of a decimal is a number.
                let number = |text: Option<&str>| text.map(|text| text.parse().unwrap_or(f64::NAN));
                return Ok(Self::Double(texts.iter().map(number).collect()));
            }
            (Self::Number(texts), _) => return Ok(Self::Text(texts.clone())),
            (Self::Instant(..) | Self::Day(_) | Self::Clock(..), _) => {}
            (Self::Array { elements, .. }, _) if !elements.is_plain() => {}
            _ => return Ok(self),
        }
        let mut builder = StringViewBuilder::with_capacity(rows);
        let mut text = String::new();
        for row in 0..rows {
            if self.is_null(row) {
                builder.append_null();
                continue;
            }
            text.clear();
            match self {
                Self::Array { .. } => self.write_json(row, JSON, &mut text)?,
                _ => self.write(row, PLAIN, &mut text)?,
            }
            builder.append_value(&text);
        }
        Ok(Self::Text(builder.finish()))
    }

    /// Which rows have no value, where that is said by a mask.
    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Nothing => None,
            Self::Boolean(array) => array.nulls(),
            Self::Integer(array) | Self::Instant(array, _) | Self::Day(array) | Self::Clock(array, _) => array.nulls(),
            Self::Unsigned(array) => array.nulls(),
            Self::Float(array) => array.nulls(),
            Self::Double(array) => array.nulls(),
            Self::Text(array) | Self::Number(array) => array.nulls(),
            Self::Bytes(array) => array.nulls(),
            Self::Array { nulls, .. } => nulls.as_ref(),
        }
    }

    /// Whether an array of these is one of numbers or truth values.
    fn is_plain(&self) -> bool {
        matches!(self, Self::Boolean(_) | Self::Integer(_) | Self::Unsigned(_) | Self::Float(_) | Self::Double(_))
    }
}

/// Appends a text as JSON, in quotes.
pub(crate) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                out.push_str("\\u00");
                push_hexadecimal(&[control], out);
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// The part of the elements that a list uses, and the offsets counted from its start.
fn spans(values: &ArrayRef, mut ends: Vec<usize>) -> (ArrayRef, Vec<usize>) {
    let (first, last) = (ends.first().copied().unwrap_or(0), ends.last().copied().unwrap_or(0));
    ends.iter_mut().for_each(|end| *end -= first);
    (values.slice(first, last - first), ends)
}

fn decoded(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Dictionary(_, values) => cast(column, values),
        DataType::RunEndEncoded(_, values) => cast(column, values.data_type()),
        _ => Ok(ArrayRef::clone(column)),
    }
}

fn special(value: f64, spelling: Spelling) -> Option<&'static str> {
    let [nan, plus, minus] = spelling.special;
    match value {
        _ if value.is_nan() => Some(nan),
        f64::INFINITY => Some(plus),
        f64::NEG_INFINITY => Some(minus),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            Date32Array, Date64Array, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray,
            Float16Array, ListArray, Time64MicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
            types::Int32Type,
        },
        datatypes::Int8Type,
    };
    use proptest::prelude::*;

    use super::*;

    fn texts(column: ArrayRef) -> Vec<String> {
        let field = Field::new("c", column.data_type().clone(), true);
        let cells = Cells::new(&column, &Kind::of(&field).unwrap()).unwrap();
        let text = |row| {
            let mut out = String::new();
            cells.write(row, PLAIN, &mut out).map(|()| out).unwrap_or("no text".to_owned())
        };
        (0..column.len()).map(|row| if cells.is_null(row) { "null".to_owned() } else { text(row) }).collect()
    }

    #[test]
    fn times_are_iso_text_in_utc_with_no_zone_and_as_many_decimals_as_they_need() {
        let seconds = TimestampSecondArray::from(vec![Some(0), Some(-1), None, Some(i64::MAX)]).with_timezone("+09:00");
        assert_eq!(texts(Arc::new(seconds)), ["1970-01-01T00:00:00", "1969-12-31T23:59:59", "null", "no text"]);
        let nanoseconds = TimestampNanosecondArray::from(vec![1_500_000_000, 1]);
        assert_eq!(texts(Arc::new(nanoseconds)), ["1970-01-01T00:00:01.500", "1970-01-01T00:00:00.000000001"]);
        assert_eq!(texts(Arc::new(Date32Array::from(vec![19_000, -719_162]))), ["2022-01-08", "0001-01-01"]);
        assert_eq!(texts(Arc::new(Date64Array::from(vec![86_400_000]))), ["1970-01-02T00:00:00"]);
        assert_eq!(texts(Arc::new(Time64MicrosecondArray::from(vec![3_600_000_001]))), ["01:00:00.000001"]);
    }

    #[test]
    fn decimals_keep_every_digit() {
        let column = Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(30, 3).unwrap();
        assert_eq!(texts(Arc::new(column)), ["-12.345", "null"]);
    }

    #[test]
    fn encoded_and_narrow_columns_read_as_their_values() {
        let dictionary: DictionaryArray<Int8Type> = [Some("a"), None, Some("a")].into_iter().collect();
        assert_eq!(texts(Arc::new(dictionary)), ["a", "null", "a"]);
        let half = Float16Array::from_iter_values([0.5f32, f32::INFINITY].map(cast_half));
        assert_eq!(texts(Arc::new(half)), ["0.5", "Infinity"]);
        let bytes = FixedSizeBinaryArray::try_from_iter([[0u8, 255], [16, 1]].into_iter()).unwrap();
        assert_eq!(texts(Arc::new(bytes)), ["00ff", "1001"]);
    }

    fn cast_half(value: f32) -> <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native {
        let column: ArrayRef = Arc::new(Float32Array::from(vec![value]));
        cast(&column, &DataType::Float16).unwrap().as_primitive::<arrow::datatypes::Float16Type>().value(0)
    }

    #[test]
    fn a_sliced_list_shows_the_rows_of_the_slice() {
        let rows = vec![Some(vec![Some(1), Some(2)]), None, Some(vec![]), Some(vec![Some(3), None])];
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(rows);
        let whole: ArrayRef = Arc::new(list);
        assert_eq!(texts(ArrayRef::clone(&whole)), ["[1,2]", "null", "[]", "[3,null]"]);
        assert_eq!(texts(whole.slice(1, 3)), ["null", "[]", "[3,null]"]);
        let pairs = vec![Some(vec![Some(1), Some(2)]), None, Some(vec![Some(3), None])];
        let pairs = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(pairs, 2);
        assert_eq!(texts(Arc::new(pairs.slice(1, 2))), ["null", "[3,null]"]);
    }

    proptest! {
        #[test]
        fn any_text_is_json_that_reads_back_as_itself(text: String, controls in "[\\u{0}-\\u{1f}\"\\\\]{0,8}") {
            for text in [text, controls] {
                let mut json = String::new();
                push_quoted(&text, &mut json);
                prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            }
        }

        #[test]
        fn a_number_reads_back_as_itself(double: f64, single: f32) {
            let read = &texts(Arc::new(Float64Array::from(vec![double])))[0];
            prop_assert!(read.parse::<f64>().unwrap() == double || double.is_nan());
            let read = &texts(Arc::new(Float32Array::from(vec![single])))[0];
            prop_assert!(read.parse::<f32>().unwrap() == single || single.is_nan());
        }
    }
}
