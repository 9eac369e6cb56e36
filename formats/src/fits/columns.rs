//! The columns of a binary table: what TFORMn, TDIMn, TSCALn, TZEROn and TNULLn make of the bytes of a row.
//!
//! Integers that TZEROn shifts by half their range are unsigned (or, for bytes, signed) integers, exactly; any other
//! scaling makes 64-bit floats. Complex numbers are pairs of floats, so that an array of them is a float array with one
//! more dimension, of 2, in front; arrays of many dimensions are flat, with their dimensions kept in the column's metadata.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};

use crate::{
    ColumnMeta,
    fits::{ascii::Written, header::Header},
};

/// What a row, and what the arrays of a row in the heap, may have at most, in bytes.
pub(super) const ROW_LIMIT: u64 = 128 << 20;

/// A column that holds data.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Where it begins in a row.
    pub(super) at: usize,
    pub(super) form: Form,
}

/// How a column is laid out.
#[derive(Debug)]
pub(super) enum Form {
    /// So many values in the row itself.
    Fixed { element: Element, repeat: usize },
    /// In the row the length and the place of an array in the heap, as numbers of 64 bits if `wide`, else of 32.
    Heap { element: Element, wide: bool },
    /// Characters of an ASCII table.
    Written(Written),
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Element {
    Logical,
    Bit,
    /// Text of so many bytes. In the heap an array is one text of any length.
    Text {
        width: usize,
    },
    Number(Number),
}

/// A number as it is stored and what it means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) stored: Stored,
    /// How many stored numbers make one: two for complex ones.
    pub(super) lanes: usize,
    pub(super) scale: Scale,
    /// The stored integer that means NULL.
    pub(super) null: Option<i64>,
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
}

/// What a stored number means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Itself.
    AsIs,
    /// The integer whose highest bit is the other: unsigned, or signed for bytes.
    Flipped,
    /// `zero + factor × stored`. The imaginary part of a complex number has no zero.
    Linear { factor: f64, zero: f64 },
}

impl Stored {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Short => 2,
            Self::Int | Self::Float => 4,
            Self::Long | Self::Double => 8,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::Double)
    }

    /// The TZEROn that turns the highest bit over.
    fn half(self) -> Option<f64> {
        match self {
            Self::Byte => Some(-128.0),
            Self::Short => Some(32_768.0),
            Self::Int => Some(2_147_483_648.0),
            Self::Long => Some(9_223_372_036_854_775_808.0),
            Self::Float | Self::Double => None,
        }
    }
}

impl Number {
    fn data_type(self) -> DataType {
        match (self.scale, self.stored) {
            (Scale::Linear { .. }, _) | (_, Stored::Double) => DataType::Float64,
            (_, Stored::Float) => DataType::Float32,
            (Scale::AsIs, Stored::Byte) => DataType::UInt8,
            (Scale::AsIs, Stored::Short) => DataType::Int16,
            (Scale::AsIs, Stored::Int) => DataType::Int32,
            (Scale::AsIs, Stored::Long) => DataType::Int64,
            (Scale::Flipped, Stored::Byte) => DataType::Int8,
            (Scale::Flipped, Stored::Short) => DataType::UInt16,
            (Scale::Flipped, Stored::Int) => DataType::UInt32,
            (Scale::Flipped, Stored::Long) => DataType::UInt64,
        }
    }
}

impl Element {
    /// The element of a letter of TFORMn, with the scaling that the header gives.
    fn new(letter: char, header: &Header, n: usize) -> Result<Self, String> {
        let (stored, lanes) = match letter {
            'L' => return Ok(Self::Logical),
            'X' => return Ok(Self::Bit),
            'A' => return Ok(Self::Text { width: 1 }),
            'B' => (Stored::Byte, 1),
            'I' => (Stored::Short, 1),
            'J' => (Stored::Int, 1),
            'K' => (Stored::Long, 1),
            'E' => (Stored::Float, 1),
            'D' => (Stored::Double, 1),
            'C' => (Stored::Float, 2),
            'M' => (Stored::Double, 2),
            other => return Err(format!("TFORM{n} asks for '{other}', which is no type that the standard knows")),
        };
        let factor = header.real(&format!("TSCAL{n}"))?.unwrap_or(1.0);
        let zero = header.real(&format!("TZERO{n}"))?.unwrap_or(0.0);
        let scale = match (factor, zero) {
            (1.0, 0.0) => Scale::AsIs,
            (1.0, zero) if stored.half() == Some(zero) => Scale::Flipped,
            _ => Scale::Linear { factor, zero },
        };
        let null = if stored.is_float() { None } else { header.integer(&format!("TNULL{n}"))? };
        Ok(Self::Number(Number { stored, lanes, scale, null }))
    }

    /// How many bytes so many values take; of bits, those that share a byte.
    pub(super) fn bytes(self, values: u64) -> Option<u64> {
        match self {
            Self::Logical => Some(values),
            Self::Bit => Some(values.div_ceil(8)),
            Self::Text { width } => values.checked_mul(width as u64),
            Self::Number(number) => values.checked_mul((number.stored.bytes() * number.lanes) as u64),
        }
    }

    /// How many Arrow values one value makes.
    pub(super) fn lanes(self) -> usize {
        match self {
            Self::Number(number) => number.lanes,
            _ => 1,
        }
    }

    /// The type of one value, or of one part of a complex one.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Logical | Self::Bit => DataType::Boolean,
            Self::Text { .. } => DataType::Utf8,
            Self::Number(number) => number.data_type(),
        }
    }
}

impl Form {
    /// The Arrow type of the column.
    pub(super) fn data_type(&self) -> Result<DataType, String> {
        match self {
            Self::Fixed { element, repeat } => match repeat * element.lanes() {
                1 => Ok(element.data_type()),
                many => {
                    let size = i32::try_from(many).map_err(|_| format!("it holds {many} values a row, too many"))?;
                    Ok(DataType::FixedSizeList(item(element.data_type()), size))
                }
            },
            Self::Heap { element: Element::Text { .. }, .. } => Ok(DataType::Utf8),
            Self::Heap { element, .. } => Ok(DataType::List(item(element.data_type()))),
            Self::Written(written) => Ok(written.data_type()),
        }
    }
}

/// The field of list elements, named as other readers of HATS trees want it.
pub(super) fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("element", data_type, true))
}

/// A column and how many bytes of a row it takes; without a form where it takes none.
pub(super) struct Described {
    pub(super) width: u64,
    pub(super) form: Option<Form>,
    /// The dimensions of its arrays, as VOTable writes them.
    pub(super) arraysize: Option<String>,
}

/// What the header says of the n-th column of a binary table.
pub(super) fn describe(header: &Header, n: usize) -> Result<Described, String> {
    let keyword = format!("TFORM{n}");
    let tform = header.text(&keyword).ok_or_else(|| format!("{keyword} is missing"))?.trim();
    let letter_at = tform.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| format!("{keyword} is '{tform}'"))?;
    let too_many = || format!("{keyword} is '{tform}': so wide a row is not read");
    let repeat: u64 = match &tform[..letter_at] {
        "" => 1,
        digits => digits.parse().map_err(|_| too_many())?,
    };
    let mut rest = tform[letter_at..].chars();
    let letter = rest.next().unwrap_or(' ').to_ascii_uppercase();
    if matches!(letter, 'P' | 'Q') {
        let wide = letter == 'Q';
        if repeat > 1 {
            return Err(format!("{keyword} is '{tform}': a row can hold one array of a column, not {repeat}"));
        }
        let inner = rest.next().ok_or_else(|| format!("{keyword} is '{tform}' and does not say of what"))?;
        let element = Element::new(inner.to_ascii_uppercase(), header, n)?;
        let arraysize = match element {
            Element::Text { .. } => None,
            Element::Number(Number { lanes: 2, .. }) => Some("2x*".to_owned()),
            _ => Some("*".to_owned()),
        };
        let form = (repeat == 1).then_some(Form::Heap { element, wide });
        return Ok(Described { width: repeat * if wide { 16 } else { 8 }, form, arraysize });
    }
    let element = Element::new(letter, header, n)?;
    let width = element.bytes(repeat).filter(|width| *width <= ROW_LIMIT).ok_or_else(too_many)?;
    if width == 0 {
        return Ok(Described { width, form: None, arraysize: None });
    }
    let dimensions = header.text(&format!("TDIM{n}")).and_then(|text| dimensions(text, repeat));
    let (form, arraysize) = match element {
        Element::Text { .. } => texts(repeat as usize, dimensions, rest.as_str()),
        element => values(element, repeat as usize, dimensions),
    };
    Ok(Described { width, form: Some(form), arraysize })
}

/// Values that are no text.
fn values(element: Element, repeat: usize, dimensions: Option<Vec<usize>>) -> (Form, Option<String>) {
    let mut dimensions = dimensions.unwrap_or_else(|| vec![repeat]);
    let repeat: usize = dimensions.iter().product();
    if repeat == 1 {
        dimensions.clear();
    }
    if element.lanes() == 2 {
        dimensions.insert(0, 2);
    }
    (Form::Fixed { element, repeat }, arraysize(&dimensions))
}

/// One text, or several of the same width: by TDIMn, of which the first is the width, or by `rAw`.
fn texts(bytes: usize, dimensions: Option<Vec<usize>>, behind: &str) -> (Form, Option<String>) {
    let dimensions = dimensions.unwrap_or_else(|| match behind.trim().parse() {
        Ok(width) if (1..=bytes / 2).contains(&width) => vec![width, bytes / width],
        _ => vec![bytes],
    });
    let width = dimensions[0];
    let repeat = dimensions[1..].iter().product();
    let arraysize = if repeat == 1 { None } else { arraysize(&dimensions) };
    (Form::Fixed { element: Element::Text { width }, repeat }, arraysize)
}

fn arraysize(dimensions: &[usize]) -> Option<String> {
    let texts: Vec<String> = dimensions.iter().map(usize::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("x"))
}

/// `(3,4)`, if the column has room for it. What is no such thing says nothing: the values then are an array without
/// dimensions, and none is lost.
fn dimensions(text: &str, room: u64) -> Option<Vec<usize>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let dimensions: Vec<usize> = inner.split(',').map(|text| text.trim().parse().ok()).collect::<Option<_>>()?;
    let product = dimensions.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))?;
    (1..=room).contains(&(product as u64)).then_some(dimensions)
}

/// The field of a column, with what the header says of it.
pub(super) fn field(header: &Header, n: usize, name: &str, data_type: DataType, arraysize: Option<&str>) -> Field {
    let text = |keyword: &str| header.text(&format!("{keyword}{n}"));
    let comment = header.comment(&format!("TTYPE{n}")).filter(|comment| {
        let begin = comment.get(..9).unwrap_or_default();
        // What libraries write where they have nothing to say: "label for field 1".
        !begin.eq_ignore_ascii_case("label for")
    });
    let meta = ColumnMeta {
        unit: text("TUNIT"),
        ucd: text("TUCD"),
        utype: text("TUTYP"),
        arraysize,
        description: text("TCOMM").or(comment),
        ..ColumnMeta::default()
    };
    meta.describe(Field::new(name, data_type, true))
}

/// The name of the n-th column.
pub(super) fn name(header: &Header, n: usize) -> String {
    match header.text(&format!("TTYPE{n}")).map(str::trim) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => format!("col{n}"),
    }
}
