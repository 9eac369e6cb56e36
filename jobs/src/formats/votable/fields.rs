//! What a FIELD declares a column as, in each of the serializations.
//!
//! | | TABLEDATA | BINARY | BINARY2 |
//! |---|---|---|---|
//! | free text | `char` in UTF-8, as VOTable 1.6 says and all readers take it | `unicodeChar` | `unicodeChar` |
//! | NULL | an empty cell | the lowest integer, NaN, `?`, nothing | a flag |
//!
//! An element of an array cannot be empty in any of them, so one of integers that may be NULL has the lowest value of
//! its type for that. A value that is the one which means NULL is refused rather than read as NULL. All 256 values of a
//! byte mean themselves: where a NULL needs one, the column is declared wider.

use super::super::kind::{Kind, Width};

/// A column as VOTable declares it.
pub(super) struct FieldType {
    pub(super) datatype: &'static str,
    pub(super) xtype: Option<&'static str>,
    /// The integer that stands for NULL.
    pub(super) null: Option<i64>,
    pub(super) shape: Shape,
}

/// How many values a cell has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    /// So many, always; more than one.
    Many(usize),
    /// As many as there are.
    Any,
    /// A text.
    Text,
    /// What VOTable has no form for: JSON text.
    Json,
}

impl FieldType {
    /// A column of TABLEDATA, or of a table whose rows are elsewhere.
    pub(super) fn text(kind: &Kind) -> Self {
        let text = |xtype, shape| Self { datatype: "char", xtype, null: None, shape };
        match kind {
            Kind::Nothing | Kind::Text | Kind::Clock(_) | Kind::Decimal { fits_double: false } => {
                text(None, Shape::Text)
            }
            Kind::Instant(_) | Kind::Day => text(Some("timestamp"), Shape::Text),
            Kind::Bytes(length) => {
                Self { datatype: "unsignedByte", xtype: None, null: None, shape: Shape::of(*length) }
            }
            Kind::Array { element, length, nullable } => {
                let (datatype, null) = match **element {
                    Kind::Boolean | Kind::Float | Kind::Double => (scalar(element), None),
                    Kind::Unsigned => ("long", nullable.then_some(i64::MIN)),
                    Kind::Integer(Width::U8) if *nullable => ("short", Some(i64::from(i16::MIN))),
                    Kind::Integer(width) => (scalar(element), nullable.then(|| width.lowest())),
                    _ => return text(Some("json"), Shape::Json),
                };
                Self { datatype, xtype: None, null, shape: Shape::of(*length) }
            }
            _ => Self { datatype: scalar(kind), xtype: None, null: None, shape: Shape::One },
        }
    }

    /// A column of BINARY2.
    pub(super) fn binary2(kind: &Kind) -> Self {
        let mut declared = Self::text(kind);
        if matches!(kind, Kind::Text) || declared.shape == Shape::Json {
            declared.datatype = "unicodeChar";
        }
        declared
    }

    /// A column of BINARY, which has no flags.
    pub(super) fn binary(kind: &Kind, nullable: bool) -> Self {
        let declared = Self::binary2(kind);
        let (datatype, null) = match kind {
            _ if !nullable => return declared,
            Kind::Integer(Width::U8) => ("short", i16::MIN.into()),
            Kind::Integer(width) => (declared.datatype, width.lowest()),
            Kind::Unsigned => (declared.datatype, i64::MIN),
            _ => return declared,
        };
        Self { datatype, null: Some(null), ..declared }
    }

    /// What `arraysize` says: the dimensions that are noted with a column, where they are possible.
    pub(super) fn arraysize(&self, noted: Option<&str>) -> Option<String> {
        match self.shape {
            Shape::One => None,
            Shape::Text | Shape::Json => Some("*".to_owned()),
            Shape::Many(length) => {
                let product =
                    |text: &str| text.split('x').try_fold(1, |all, n| n.parse::<usize>().ok()?.checked_mul(all));
                let noted = noted.filter(|text| product(text) == Some(length));
                Some(noted.map_or_else(|| length.to_string(), str::to_owned))
            }
            Shape::Any => {
                let fixed = |text: &str| text.split('x').all(|n| n.parse::<usize>().is_ok_and(|n| n > 0));
                let noted = noted.filter(|text| text.strip_suffix("x*").is_some_and(fixed));
                Some(noted.unwrap_or("*").to_owned())
            }
        }
    }
}

impl Shape {
    /// An array. Of one element or none, an `arraysize` would be read as a single value or as nothing.
    fn of(length: Option<usize>) -> Self {
        match length {
            None | Some(0 | 1) => Self::Any,
            Some(length) => Self::Many(length),
        }
    }
}

/// The datatype of a single number or truth value.
fn scalar(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Integer(Width::U8) => "unsignedByte",
        Kind::Integer(Width::I16) => "short",
        Kind::Integer(Width::I32) => "int",
        Kind::Integer(Width::I64) | Kind::Unsigned => "long",
        Kind::Float => "float",
        Kind::Double | Kind::Decimal { fits_double: true } => "double",
        _ => "char",
    }
}
