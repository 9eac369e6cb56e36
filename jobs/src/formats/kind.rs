//! What a column is to a text format, decided from its Arrow field alone.
//!
//! Arrow has dozens of types and an answer may hold any of them; the formats know the dozen kinds below. A type that no
//! row of text can hold (a struct, a map, a union, an interval) is refused here, before the first byte of an answer.

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::JobError;

/// The kinds of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The type of a bare NULL: no cell has a value.
    Nothing,
    Boolean,
    /// Any integer that an `i64` holds.
    Integer(Width),
    /// Unsigned 64-bit integers.
    Unsigned,
    Float,
    Double,
    Text,
    /// A point in time, counted from 1970 in UTC.
    Instant(TimeUnit),
    /// A calendar day, counted from 1970.
    Day,
    /// A time of day, counted from midnight.
    Clock(TimeUnit),
    /// Bytes, and how many where the type says so.
    Bytes(Option<usize>),
    /// A decimal number, as exact text; whether a double holds each of its values exactly.
    Decimal {
        fits_double: bool,
    },
    Array {
        element: Box<Kind>,
        length: Option<usize>,
        nullable: bool,
    },
}

/// The widest value of an integer column, as VOTable counts widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    U8,
    I16,
    I32,
    I64,
}

/// A double keeps any decimal of this many digits.
const DIGITS_OF_DOUBLE: u8 = 15;

impl Width {
    /// How many bytes it has.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// The lowest value.
    pub(crate) fn lowest(self) -> i64 {
        match self {
            Self::U8 => 0,
            Self::I16 => i16::MIN.into(),
            Self::I32 => i32::MIN.into(),
            Self::I64 => i64::MIN,
        }
    }

    /// The highest value.
    pub(crate) fn highest(self) -> i64 {
        match self {
            Self::U8 => u8::MAX.into(),
            Self::I16 => i16::MAX.into(),
            Self::I32 => i32::MAX.into(),
            Self::I64 => i64::MAX,
        }
    }

    /// The next wider one.
    pub(crate) fn wider(self) -> Option<Self> {
        match self {
            Self::U8 => Some(Self::I16),
            Self::I16 => Some(Self::I32),
            Self::I32 => Some(Self::I64),
            Self::I64 => None,
        }
    }
}

impl Kind {
    /// The kind of a column, or a sentence that names the column and what to do.
    pub(crate) fn of(field: &Field) -> Result<Self, JobError> {
        Self::of_type(field.data_type()).ok_or_else(|| {
            JobError::Unwritable(format!(
                "The column {} has the type {}, which this format cannot hold; select its parts instead, or leave it out.",
                field.name(),
                field.data_type()
            ))
        })
    }

    /// Whether a value is a single number.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Unsigned | Self::Float | Self::Double | Self::Decimal { .. })
    }

    fn of_type(data_type: &DataType) -> Option<Self> {
        let array = |field: &Field, length: Option<usize>| {
            Some(Self::Array {
                element: Box::new(Self::of_type(field.data_type())?),
                length,
                nullable: field.is_nullable(),
            })
        };
        let decimal = |precision: &u8| Self::Decimal { fits_double: *precision <= DIGITS_OF_DOUBLE };
        Some(match data_type {
            DataType::Null => Self::Nothing,
            DataType::Boolean => Self::Boolean,
            DataType::UInt8 => Self::Integer(Width::U8),
            DataType::Int8 | DataType::Int16 => Self::Integer(Width::I16),
            DataType::UInt16 | DataType::Int32 => Self::Integer(Width::I32),
            DataType::UInt32 | DataType::Int64 => Self::Integer(Width::I64),
            DataType::UInt64 => Self::Unsigned,
            DataType::Float16 | DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Timestamp(unit, _) => Self::Instant(*unit),
            DataType::Date32 => Self::Day,
            DataType::Date64 => Self::Instant(TimeUnit::Millisecond),
            DataType::Time32(unit) | DataType::Time64(unit) => Self::Clock(*unit),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Bytes(None),
            DataType::FixedSizeBinary(length) => Self::Bytes(usize::try_from(*length).ok()),
            DataType::Decimal32(precision, _)
            | DataType::Decimal64(precision, _)
            | DataType::Decimal128(precision, _)
            | DataType::Decimal256(precision, _) => decimal(precision),
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field) => array(field, None)?,
            DataType::FixedSizeList(field, length) => array(field, usize::try_from(*length).ok())?,
            DataType::Dictionary(_, values) => Self::of_type(values)?,
            DataType::RunEndEncoded(_, values) => Self::of_type(values.data_type())?,
            DataType::Struct(_)
            | DataType::Map(..)
            | DataType::Union(..)
            | DataType::Interval(_)
            | DataType::Duration(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn kind(data_type: DataType) -> Kind {
        Kind::of(&Field::new("c", data_type, true)).unwrap()
    }

    #[test]
    fn an_unsigned_integer_takes_the_next_wider_signed_kind() {
        assert_eq!(kind(DataType::UInt8), Kind::Integer(Width::U8));
        assert_eq!(kind(DataType::UInt16), Kind::Integer(Width::I32));
        assert_eq!(kind(DataType::UInt32), Kind::Integer(Width::I64));
        assert_eq!(kind(DataType::UInt64), Kind::Unsigned);
    }

    #[test]
    fn an_encoding_does_not_change_the_kind() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        assert_eq!(kind(dictionary), Kind::Text);
        let runs = DataType::RunEndEncoded(
            Arc::new(Field::new("run_ends", DataType::Int32, false)),
            Arc::new(Field::new("values", DataType::Float32, true)),
        );
        assert_eq!(kind(runs), Kind::Float);
    }

    #[test]
    fn a_struct_is_refused_with_a_sentence_that_names_the_column_even_inside_a_list() {
        let inner = DataType::Struct(vec![Field::new("x", DataType::Int32, true)].into());
        let list = DataType::List(Arc::new(Field::new("item", inner.clone(), true)));
        for data_type in [inner, list] {
            let sentence = Kind::of(&Field::new("shape", data_type, true)).unwrap_err().to_string();
            assert!(sentence.starts_with("The column shape has the type "), "{sentence}");
        }
    }
}
