//! The scalars and texts of a column, one after the other, read from text or from bytes.

use std::{borrow::Cow, num::IntErrorKind, str::FromStr, sync::Arc};

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    StringBuilder, UInt8Builder,
};

use super::kinds::{Kind, Scalar};
use crate::words::on_one_line;

/// Why a cell cannot be read.
pub(super) type Reason = String;

/// What stands for a missing value.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing {
    /// A number, where the values are numbers.
    number: Option<Number>,
    /// Texts: any of these in the place of a value.
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Integer(i64),
    Float(f64),
}

/// All scalars or texts of a column, those of arrays one after the other.
pub(super) enum Values {
    Boolean(BooleanBuilder),
    Byte(UInt8Builder),
    Short(Int16Builder),
    Int(Int32Builder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Text(StringBuilder),
}

/// Does the same to the builder of whichever type.
macro_rules! each {
    ($values:expr, $builder:ident => $do:expr) => {
        match $values {
            Values::Boolean($builder) => $do,
            Values::Byte($builder) => $do,
            Values::Short($builder) => $do,
            Values::Int($builder) => $do,
            Values::Long($builder) => $do,
            Values::Float($builder) => $do,
            Values::Double($builder) => $do,
            Values::Text($builder) => $do,
        }
    };
}

impl Missing {
    /// What stands for a missing value in a column with this `VALUES null`, and any of the words besides.
    pub(super) fn new(kind: Kind, null: Option<&str>, words: &[String]) -> Self {
        let mut words = words.to_vec();
        let number = null.and_then(|null| Number::parse(kind, null));
        // What is no value of the type may still be written instead of one.
        words.extend(null.filter(|_| number.is_none()).map(str::to_owned));
        Self { number, words }
    }

    /// Whether this text stands for a missing value.
    pub(super) fn is_word(&self, text: &str) -> bool {
        self.words.iter().any(|word| word == text)
    }

    fn is_integer(&self, value: i64) -> bool {
        matches!(self.number, Some(Number::Integer(null)) if null == value)
    }

    fn is_float(&self, value: f64) -> bool {
        matches!(self.number, Some(Number::Float(null)) if null == value || null.is_nan() && value.is_nan())
    }
}

impl Number {
    fn parse(kind: Kind, text: &str) -> Option<Self> {
        let (Kind::One(scalar) | Kind::Fixed(scalar, _) | Kind::Varying { scalar, .. }) = kind else { return None };
        match scalar {
            Scalar::Boolean | Scalar::Bit => None,
            Scalar::Float => float::<f32>(text).ok().map(|number| Self::Float(f64::from(number))),
            Scalar::Double => float(text).ok().map(Self::Float),
            Scalar::Byte | Scalar::Short | Scalar::Int | Scalar::Long => integer(text).ok().map(Self::Integer),
        }
    }
}

impl Values {
    pub(super) fn new(kind: Kind) -> Self {
        let scalar = match kind {
            Kind::Text { .. } | Kind::Texts { .. } => return Self::Text(StringBuilder::new()),
            Kind::One(scalar) | Kind::Fixed(scalar, _) | Kind::Varying { scalar, .. } => scalar,
        };
        match scalar {
            Scalar::Boolean | Scalar::Bit => Self::Boolean(BooleanBuilder::new()),
            Scalar::Byte => Self::Byte(UInt8Builder::new()),
            Scalar::Short => Self::Short(Int16Builder::new()),
            Scalar::Int => Self::Int(Int32Builder::new()),
            Scalar::Long => Self::Long(Int64Builder::new()),
            Scalar::Float => Self::Float(Float32Builder::new()),
            Scalar::Double => Self::Double(Float64Builder::new()),
        }
    }

    pub(super) fn len(&self) -> usize {
        each!(self, builder => builder.len())
    }

    /// The number of values as the end of a list. A batch holds far fewer bytes than an `i32` can count.
    pub(super) fn end(&self) -> i32 {
        i32::try_from(self.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn push_null(&mut self) {
        each!(self, builder => builder.append_null());
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        each!(self, builder => Arc::new(builder.finish()))
    }

    pub(super) fn push_str(&mut self, text: &str) {
        if let Self::Text(builder) = self {
            builder.append_value(text);
        }
    }

    pub(super) fn push_bit(&mut self, bit: bool) {
        if let Self::Boolean(builder) = self {
            builder.append_value(bit);
        }
    }

    /// Adds bits written as `0` and `1`, and tells how many there were.
    pub(super) fn push_bits(&mut self, text: &str) -> Result<usize, Reason> {
        let mut count = 0;
        for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
            match byte {
                b'0' | b'1' => self.push_bit(byte == b'1'),
                _ => return Err(format!("{} are no bits", quote(text))),
            }
            count += 1;
        }
        Ok(count)
    }

    /// Adds a value that is written as text; an empty one is missing.
    pub(super) fn push_token(&mut self, token: &str, missing: &Missing) -> Result<(), Reason> {
        macro_rules! push_integer {
            ($builder:expr, $type:ty, $what:literal) => {{
                let value = integer(token)?;
                if missing.is_integer(value) {
                    $builder.append_null();
                } else {
                    let fitting = <$type>::try_from(value);
                    $builder
                        .append_value(fitting.map_err(|_| format!(concat!("{} does not fit ", $what), quote(token)))?);
                }
            }};
        }
        if token.is_empty() || missing.is_word(token) {
            self.push_null();
            return Ok(());
        }
        match self {
            Self::Boolean(builder) => builder.append_option(truth(token)?),
            Self::Byte(builder) => push_integer!(builder, u8, "an unsignedByte"),
            Self::Short(builder) => push_integer!(builder, i16, "a short"),
            Self::Int(builder) => push_integer!(builder, i32, "an int"),
            Self::Long(builder) => push_integer!(builder, i64, "a long"),
            Self::Float(builder) => {
                let value: f32 = float(token)?;
                builder.append_option(Some(value).filter(|value| !missing.is_float(f64::from(*value))));
            }
            Self::Double(builder) => {
                let value: f64 = float(token)?;
                builder.append_option(Some(value).filter(|value| !missing.is_float(*value)));
            }
            Self::Text(builder) => builder.append_value(token),
        }
        Ok(())
    }

    /// Adds values that are written as big-endian bytes.
    pub(super) fn push_scalars(
        &mut self,
        scalar: Scalar,
        bytes: &[u8],
        missing: &Missing,
        nan_is_null: bool,
    ) -> Result<(), Reason> {
        macro_rules! push {
            ($builder:expr, $type:ty, $is_null:expr) => {
                // The chunks are as long as the type is.
                for chunk in bytes.as_chunks::<{ size_of::<$type>() }>().0 {
                    let value = <$type>::from_be_bytes(*chunk);
                    $builder.append_option(if $is_null(value) { None } else { Some(value) });
                }
            };
        }
        debug_assert_eq!(bytes.len() % scalar.bytes(), 0);
        match self {
            Self::Boolean(builder) => {
                for byte in bytes {
                    builder.append_option(truth_byte(*byte)?);
                }
            }
            Self::Byte(builder) => push!(builder, u8, |value| missing.is_integer(i64::from(value))),
            Self::Short(builder) => push!(builder, i16, |value| missing.is_integer(i64::from(value))),
            Self::Int(builder) => push!(builder, i32, |value| missing.is_integer(i64::from(value))),
            Self::Long(builder) => push!(builder, i64, |value| missing.is_integer(value)),
            Self::Float(builder) => {
                push!(builder, f32, |value: f32| nan_is_null && value.is_nan() || missing.is_float(f64::from(value)));
            }
            Self::Double(builder) => {
                push!(builder, f64, |value: f64| nan_is_null && value.is_nan() || missing.is_float(value));
            }
            Self::Text(_) => {}
        }
        Ok(())
    }
}

/// A value in quotation marks, shortened and on one line, for messages.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("'{}…'", on_one_line(&text[..end])),
        None => format!("'{}'", on_one_line(text)),
    }
}

fn integer(token: &str) -> Result<i64, Reason> {
    let hexadecimal = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X"));
    let parsed = match hexadecimal {
        // No sign may follow the prefix.
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => i64::from_str_radix(digits, 16),
        _ => token.parse(),
    };
    parsed.map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
            format!("{} does not fit a long", quote(token))
        }
        _ => format!("{} is no integer", quote(token)),
    })
}

/// A number, which must not be infinite unless it says so.
fn float<T: FromStr + Into<f64> + Copy>(token: &str) -> Result<T, Reason> {
    let value: T = token.parse().map_err(|_| format!("{} is no number", quote(token)))?;
    if value.into().is_infinite() && !token.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'i')) {
        return Err(format!("{} is too large for its type", quote(token)));
    }
    Ok(value)
}

fn truth(token: &str) -> Result<Option<bool>, Reason> {
    match token {
        "T" | "t" | "1" => Ok(Some(true)),
        "F" | "f" | "0" => Ok(Some(false)),
        "?" => Ok(None),
        word if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
        word if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
        _ => Err(format!("{} is no truth value", quote(token))),
    }
}

fn truth_byte(byte: u8) -> Result<Option<bool>, Reason> {
    match byte {
        b'T' | b't' | b'1' => Ok(Some(true)),
        b'F' | b'f' | b'0' => Ok(Some(false)),
        0 | b' ' | b'?' => Ok(None),
        _ => Err(format!("the byte 0x{byte:02x} is no truth value")),
    }
}

/// A text of a binary row, up to its first NUL.
pub(super) fn decode(bytes: &[u8], wide: bool) -> Result<Cow<'_, str>, Reason> {
    if !wide {
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        let text = std::str::from_utf8(&bytes[..end]);
        return text.map(Into::into).map_err(|_| "the text is neither ASCII nor UTF-8".to_owned());
    }
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit)).take_while(|unit| *unit != 0);
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.map(Into::into).map_err(|_| "the text is not UTF-16".to_owned())
}
