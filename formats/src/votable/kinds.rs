//! The types of VOTable and what they become in Arrow.
//!
//! A `datatype` and an `arraysize` make a [`Kind`]. Character arrays are text; complex numbers are pairs of floats, so that
//! an array of them is a float array with one more dimension, of 2, in front; arrays of many dimensions are flat, with
//! their dimensions kept in the column's metadata. An `arraysize` of 1, which writers use for scalars, is one.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::header::Column;

/// What a cell may have at most, in bytes; so may a row.
pub(super) const CELL_LIMIT: usize = 64 << 20;

/// A number, bit or truth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Boolean,
    Bit,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
}

impl Scalar {
    /// How many bytes one takes in a binary row, where it is alone; bits of an array share theirs.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Boolean | Self::Bit | Self::Byte => 1,
            Self::Short => 2,
            Self::Int | Self::Float => 4,
            Self::Long | Self::Double => 8,
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::Boolean | Self::Bit => DataType::Boolean,
            Self::Byte => DataType::UInt8,
            Self::Short => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
        }
    }
}

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One scalar.
    One(Scalar),
    /// Always so many scalars.
    Fixed(Scalar, usize),
    /// Any number of scalars, in groups of `group`; binary rows count them in elements of `pair`, two where they are complex.
    Varying { scalar: Scalar, group: usize, pair: usize },
    /// One text; `length` is its number of characters where that is fixed, by padding.
    Text { wide: bool, length: Option<usize> },
    /// Texts of `width` characters each, by padding; `count` of them where that is fixed.
    Texts { wide: bool, width: usize, count: Option<usize> },
}

impl Kind {
    /// The kind of a column, or why there is none.
    pub(super) fn of(column: &Column) -> Result<Self, String> {
        let dimensions = Dimensions::parse(column.arraysize.as_deref())?;
        let (scalar, pair) = match column.datatype.as_str() {
            "char" => return dimensions.text(false),
            "unicodeChar" => return dimensions.text(true),
            // No type of the standard, but not rare, and there is only one thing that it can mean.
            "string" => return Ok(Self::Text { wide: false, length: None }),
            "boolean" => (Scalar::Boolean, 1),
            "bit" => (Scalar::Bit, 1),
            "unsignedByte" => (Scalar::Byte, 1),
            "short" => (Scalar::Short, 1),
            "int" => (Scalar::Int, 1),
            "long" => (Scalar::Long, 1),
            "float" => (Scalar::Float, 1),
            "double" => (Scalar::Double, 1),
            "floatComplex" => (Scalar::Float, 2),
            "doubleComplex" => (Scalar::Double, 2),
            "" => return Err("it has no datatype".to_owned()),
            other => return Err(format!("'{other}' is no datatype of VOTable")),
        };
        let group = dimensions.fixed()?.checked_mul(pair).filter(|n| n.saturating_mul(scalar.bytes()) <= CELL_LIMIT);
        let group = group.ok_or("its arraysize makes cells of more than 64 MiB")?;
        Ok(match (dimensions.varying, group) {
            (true, group) => Self::Varying { scalar, group, pair },
            (false, 1) => Self::One(scalar),
            (false, count) => Self::Fixed(scalar, count),
        })
    }

    /// How many bytes a cell has at least, whatever is in it.
    pub(super) fn least_bytes(self) -> usize {
        match self {
            Self::One(scalar) => scalar.bytes(),
            Self::Fixed(scalar, count) => scalar.bytes() * count,
            Self::Texts { width, count: Some(count), .. } => width * count,
            Self::Varying { .. } | Self::Text { .. } | Self::Texts { count: None, .. } => 0,
        }
    }

    /// The type in Arrow.
    pub(super) fn arrow(self) -> DataType {
        let fixed = |item: DataType, count: usize| {
            DataType::FixedSizeList(element(item), i32::try_from(count).unwrap_or(i32::MAX))
        };
        match self {
            Self::One(scalar) => scalar.arrow(),
            Self::Fixed(scalar, count) => fixed(scalar.arrow(), count),
            Self::Varying { scalar, .. } => DataType::List(element(scalar.arrow())),
            Self::Text { .. } => DataType::Utf8,
            Self::Texts { count: Some(count), .. } => fixed(DataType::Utf8, count),
            Self::Texts { count: None, .. } => DataType::List(element(DataType::Utf8)),
        }
    }

    /// The dimensions to keep with the column: those of an array, complex numbers as pairs. A text has none.
    pub(super) fn arraysize(self, column: &Column) -> Option<String> {
        let written = column.arraysize.as_deref();
        match self {
            Self::One(_) | Self::Text { .. } => None,
            _ if column.datatype.ends_with("Complex") => match written {
                None | Some("1") => Some("2".to_owned()),
                Some(written) => Some(format!("2x{written}")),
            },
            _ => written.map(str::to_owned),
        }
    }
}

/// The field of list elements, named as other readers of HATS trees want it.
pub(super) fn element(item: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", item, true))
}

/// An `arraysize`: the fixed dimensions, first index fastest, and whether a last one of any size follows.
struct Dimensions {
    sizes: Vec<usize>,
    varying: bool,
}

impl Dimensions {
    fn parse(arraysize: Option<&str>) -> Result<Self, String> {
        let Some(text) = arraysize.map(str::trim) else {
            return Ok(Self { sizes: Vec::new(), varying: false });
        };
        let not_understood = || format!("its arraysize '{text}' is not understood");
        let mut sizes = Vec::new();
        let mut varying = false;
        for part in text.split('x').map(str::trim) {
            if varying {
                return Err(not_understood());
            }
            varying = part.ends_with('*');
            match part.strip_suffix('*').unwrap_or(part) {
                "" if varying => {}
                digits if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                    let size = digits.parse().map_err(|_| not_understood())?;
                    // The largest size of a varying dimension binds nobody.
                    if !varying {
                        sizes.push(size);
                    }
                }
                _ => return Err(not_understood()),
            }
        }
        Ok(Self { sizes, varying })
    }

    /// The product of the fixed dimensions.
    fn fixed(&self) -> Result<usize, String> {
        if self.sizes.contains(&0) {
            return Err("its arraysize has a dimension of 0".to_owned());
        }
        let product = self.sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        product.ok_or_else(|| "its arraysize makes cells of more than 64 MiB".to_owned())
    }

    /// A text, or texts where there is a dimension beyond the characters.
    fn text(&self, wide: bool) -> Result<Kind, String> {
        let unit = if wide { 2 } else { 1 };
        if self
            .sizes
            .iter()
            .try_fold(unit, |product: usize, size| product.checked_mul(*size))
            .is_none_or(|n| n > CELL_LIMIT)
        {
            return Err("its arraysize makes cells of more than 64 MiB".to_owned());
        }
        match (self.sizes.as_slice(), self.varying) {
            ([], true) => Ok(Kind::Text { wide, length: None }),
            ([], false) => Ok(Kind::Text { wide, length: Some(1) }),
            ([length], false) => Ok(Kind::Text { wide, length: Some(*length) }),
            ([width, ..], varying) => {
                let all = self.fixed()?;
                Ok(Kind::Texts { wide, width: *width, count: (!varying).then_some(all / width) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(datatype: &str, arraysize: &str) -> Result<Kind, String> {
        let arraysize = Some(arraysize.to_owned()).filter(|text| !text.is_empty());
        Kind::of(&Column { datatype: datatype.to_owned(), arraysize, ..Column::default() })
    }

    #[test]
    fn every_datatype_and_arraysize_has_its_kind() {
        use Scalar::{Bit, Double, Float, Int, Short};
        for (datatype, arraysize, expected) in [
            ("short", "", Kind::One(Short)),
            ("short", "1", Kind::One(Short)),
            ("int", "3", Kind::Fixed(Int, 3)),
            ("int", "3x2", Kind::Fixed(Int, 6)),
            ("int", "*", Kind::Varying { scalar: Int, group: 1, pair: 1 }),
            ("int", "5*", Kind::Varying { scalar: Int, group: 1, pair: 1 }),
            ("int", "3x*", Kind::Varying { scalar: Int, group: 3, pair: 1 }),
            ("int", "3x4*", Kind::Varying { scalar: Int, group: 3, pair: 1 }),
            ("bit", "10", Kind::Fixed(Bit, 10)),
            ("floatComplex", "", Kind::Fixed(Float, 2)),
            ("doubleComplex", "3", Kind::Fixed(Double, 6)),
            ("doubleComplex", "*", Kind::Varying { scalar: Double, group: 2, pair: 2 }),
            ("char", "", Kind::Text { wide: false, length: Some(1) }),
            ("char", "8", Kind::Text { wide: false, length: Some(8) }),
            ("char", "8*", Kind::Text { wide: false, length: None }),
            ("unicodeChar", "*", Kind::Text { wide: true, length: None }),
            ("string", "", Kind::Text { wide: false, length: None }),
            ("char", "8x3", Kind::Texts { wide: false, width: 8, count: Some(3) }),
            ("char", "8x*", Kind::Texts { wide: false, width: 8, count: None }),
            ("unicodeChar", "8x2x2*", Kind::Texts { wide: true, width: 8, count: None }),
        ] {
            assert_eq!(kind(datatype, arraysize), Ok(expected), "{datatype} {arraysize}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for (datatype, arraysize, part) in [
            ("", "", "no datatype"),
            ("number", "", "'number' is no datatype"),
            ("int", "*x3", "'*x3' is not understood"),
            ("int", "x", "not understood"),
            ("int", "-1", "not understood"),
            ("int", "3,4", "not understood"),
            ("int", "0", "dimension of 0"),
            ("char", "0x3", "dimension of 0"),
            ("int", "99999999999999999999", "not understood"),
            ("int", "4000000000x4000000000x4000000000", "more than 64 MiB"),
            ("double", "100000000", "more than 64 MiB"),
            ("char", "100000000", "more than 64 MiB"),
        ] {
            let why = kind(datatype, arraysize).unwrap_err();
            assert!(why.contains(part), "{datatype} {arraysize}: {why}");
        }
    }

    #[test]
    fn dimensions_are_kept_for_arrays_only_and_complex_numbers_add_one() {
        let kept = |datatype: &str, arraysize: Option<&str>| {
            let column =
                Column { datatype: datatype.to_owned(), arraysize: arraysize.map(str::to_owned), ..Column::default() };
            Kind::of(&column).unwrap().arraysize(&column)
        };
        assert_eq!(kept("float", None), None);
        assert_eq!(kept("float", Some("1")), None);
        assert_eq!(kept("char", Some("*")), None);
        assert_eq!(kept("char", Some("8x*")).as_deref(), Some("8x*"));
        assert_eq!(kept("float", Some("3x2")).as_deref(), Some("3x2"));
        assert_eq!(kept("floatComplex", None).as_deref(), Some("2"));
        assert_eq!(kept("floatComplex", Some("*")).as_deref(), Some("2x*"));
    }
}
