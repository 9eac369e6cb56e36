//! Positions as other people write them, brought to degrees.
//!
//! A column is taken as its unit says, or as the plan says; text may be decimal or sexagesimal, value by value. Nothing is
//! guessed from magnitudes: a number without a unit is degrees.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Float64Builder},
    compute::cast,
    datatypes::{DataType, Field, Float64Type},
};
use formats::ColumnMeta;

use super::PositionUnit;

/// How the values of a position column become degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Angle {
    /// They are.
    Degrees,
    /// Numbers that are multiplied.
    Times(f64),
    /// Text: a plain number is multiplied by the first factor, sexagesimal text by the second.
    Text(f64, f64),
}

const RADIANS: f64 = 180.0 / std::f64::consts::PI;
const HOURS: f64 = 15.0;

impl Angle {
    /// How a column is to be read. `is_ra` tells which of the two it is.
    pub(super) fn of(field: &Field, unit: PositionUnit, is_ra: bool) -> Result<Self, String> {
        let (name, data_type) = (field.name(), field.data_type());
        let hours = if is_ra { HOURS } else { 1.0 };
        let told = ColumnMeta::of(field).unit.map(|unit| unit.trim_matches(['"', '\'', ' ']).to_ascii_lowercase());
        let told = told.as_deref();
        if is_text(data_type) {
            return Ok(match unit {
                PositionUnit::Degrees => Self::Text(1.0, 1.0),
                PositionUnit::Radians => Self::Text(RADIANS, hours),
                PositionUnit::Hours => Self::Text(hours, hours),
                PositionUnit::Sexagesimal => Self::Text(1.0, hours),
                PositionUnit::Auto => match told {
                    Some("d:m:s" | "dms" | "deg" | "degree" | "degrees") => Self::Text(1.0, 1.0),
                    Some("h:m:s" | "hms" | "h" | "hr" | "hour" | "hours" | "hourangle") => Self::Text(HOURS, HOURS),
                    Some("rad" | "radian" | "radians") => Self::Text(RADIANS, hours),
                    _ => Self::Text(1.0, hours),
                },
            });
        }
        if !(data_type.is_numeric() || *data_type == DataType::Null) {
            return Err(format!("{name} is {data_type}, not a number of degrees"));
        }
        match unit {
            PositionUnit::Degrees => Ok(Self::Degrees),
            PositionUnit::Radians => Ok(Self::Times(RADIANS)),
            PositionUnit::Hours if is_ra => Ok(Self::Times(HOURS)),
            PositionUnit::Hours => Ok(Self::Degrees),
            PositionUnit::Sexagesimal => Err(format!("{name} is {data_type}, not sexagesimal text")),
            PositionUnit::Auto => match told {
                None | Some("deg" | "degs" | "degree" | "degrees" | "°") => Ok(Self::Degrees),
                Some("rad" | "radian" | "radians") => Ok(Self::Times(RADIANS)),
                Some("h" | "hr" | "hour" | "hours" | "hourangle") => Ok(Self::Times(HOURS)),
                Some("arcmin") => Ok(Self::Times(1.0 / 60.0)),
                Some("arcsec") => Ok(Self::Times(1.0 / 3600.0)),
                Some(other) => Err(format!("{name} has the unit '{other}', which is no angle; say its unit")),
            },
        }
    }

    /// What is said of the change, if there is one.
    pub(super) fn change(self, field: &Field) -> Option<String> {
        let name = field.name();
        match self {
            Self::Degrees => None,
            Self::Text(..) => Some(format!("{name}: text → deg")),
            Self::Times(factor) if factor == RADIANS => Some(format!("{name}: rad → deg")),
            Self::Times(factor) if factor == HOURS => Some(format!("{name}: h → deg")),
            Self::Times(_) => Some(format!("{name}: {} → deg", ColumnMeta::of(field).unit.unwrap_or("?"))),
        }
    }

    /// The values in degrees, and the rows whose text is no angle.
    pub(super) fn to_degrees(self, column: &ArrayRef) -> Result<(ArrayRef, Vec<usize>), arrow::error::ArrowError> {
        match self {
            Self::Degrees => Ok((Arc::clone(column), Vec::new())),
            Self::Times(factor) => {
                let values = cast(column, &DataType::Float64)?;
                let degrees: Float64Array = values.as_primitive::<Float64Type>().unary(|value| scaled(value, factor));
                Ok((Arc::new(degrees), Vec::new()))
            }
            Self::Text(plain, sexagesimal) => {
                let text = cast(column, &DataType::Utf8)?;
                let (mut degrees, mut wrong) = (Float64Builder::with_capacity(text.len()), Vec::new());
                for (row, text) in text.as_string::<i32>().iter().enumerate() {
                    let text = text.map(str::trim).filter(|text| !text.is_empty());
                    let value = text.and_then(|text| parse(text, plain, sexagesimal));
                    if text.is_some() && value.is_none() {
                        wrong.push(row);
                    }
                    degrees.append_option(value);
                }
                Ok((Arc::new(degrees.finish()), wrong))
            }
        }
    }
}

/// A factor below one is the inverse of a whole number: dividing by that rounds once.
fn scaled(value: f64, factor: f64) -> f64 {
    if factor < 1.0 { value / (1.0 / factor).round() } else { value * factor }
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// An angle in degrees from text: a plain number, or one to three parts with `:`, spaces or unit letters between them.
fn parse(text: &str, plain: f64, sexagesimal: f64) -> Option<f64> {
    if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        let value: f64 = text.parse().ok()?;
        return value.is_finite().then(|| scaled(value, plain));
    }
    let (negative, text) = match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    };
    // Letters of units tell hours from degrees, and otherwise only separate.
    let factor = if text.contains(['h', 'H']) {
        HOURS
    } else if text.contains(['d', 'D', '°']) {
        1.0
    } else {
        sexagesimal
    };
    let text = text.strip_suffix(['s', 'S', '"', '″', '\'', '′', 'm', 'M', 'h', 'H', 'd', 'D', '°']).unwrap_or(text);
    let is_separator = |c: char| c == ':' || c.is_whitespace() || "hHdD°mM'′".contains(c);
    let mut parts = [0.0_f64; 3];
    let mut count = 0;
    let mut previous_was_whole = true;
    // `12h 34m` has two separators in a row; `12::34` has an empty part.
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_separator).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let digits = part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if count == 3 || part.is_empty() || !digits || !previous_was_whole {
            return None;
        }
        parts[count] = part.parse().ok()?;
        previous_was_whole = !part.contains('.');
        count += 1;
        let mut letters = after.chars();
        rest = match letters.next() {
            Some(':') => letters.as_str().trim_start(),
            Some(c) if c.is_whitespace() => letters.as_str().trim_start().trim_start_matches(':').trim_start(),
            Some(_) => letters.as_str().trim_start_matches([':']).trim_start(),
            None => "",
        };
    }
    if count < 1 || parts[1] > 60.0 || parts[2] > 60.0 {
        return None;
    }
    let seconds = parts[0].mul_add(3600.0, parts[1] * 60.0) + parts[2];
    let degrees = if factor == HOURS { seconds / 240.0 } else { scaled(seconds / 3600.0, factor) };
    Some(if negative { -degrees } else { degrees })
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn sexagesimal_text_is_read_however_it_is_punctuated() {
        for (text, degrees) in [
            ("12:30:00", 187.5),
            ("12 30 00.0", 187.5),
            ("12h30m00s", 187.5),
            ("12h 30m 0.0s", 187.5),
            ("00:00:00.0", 0.0),
            ("23:59:60", 360.0),
            ("6:30", 97.5),
            ("12d30m", 12.5),
            ("12°30′00″", 12.5),
            ("187.5", 187.5),
            ("1.875e2", 187.5),
        ] {
            assert_eq!(parse(text, 1.0, HOURS), Some(degrees), "{text}");
        }
        for (text, degrees) in [("-00:30:00", -0.5), ("+89 59 60", 90.0), ("−12:00:36", -12.01), ("- 1 30 0", -1.5)] {
            assert_eq!(parse(text, 1.0, 1.0), Some(degrees), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_angle_is_none() {
        for text in
            ["", "12::30", "12:61:00", "12:30:00:1", "a", "12.5:30", "nan", "inf", "1e999", "12:-3", "h", "12:x"]
        {
            assert_eq!(parse(text, 1.0, HOURS), None, "{text}");
        }
    }

    fn field(data_type: DataType, unit: &str) -> Field {
        Field::new("ra", data_type, true).with_metadata([("vo:unit".to_owned(), unit.to_owned())].into())
    }

    #[test]
    fn the_unit_of_a_column_decides_and_the_plan_overrules_it() {
        let of = |field: &Field, unit, is_ra| Angle::of(field, unit, is_ra);
        let auto = PositionUnit::Auto;
        assert_eq!(of(&field(DataType::Float64, ""), auto, true), Ok(Angle::Degrees));
        assert_eq!(of(&field(DataType::Float32, "rad"), auto, false), Ok(Angle::Times(RADIANS)));
        assert_eq!(of(&field(DataType::Float64, "hourangle"), auto, true), Ok(Angle::Times(HOURS)));
        assert_eq!(of(&field(DataType::Float64, "rad"), PositionUnit::Degrees, true), Ok(Angle::Degrees));
        assert_eq!(of(&field(DataType::Utf8, "\"h:m:s\""), auto, true), Ok(Angle::Text(HOURS, HOURS)));
        assert_eq!(of(&field(DataType::Utf8, "\"d:m:s\""), auto, false), Ok(Angle::Text(1.0, 1.0)));
        assert!(of(&field(DataType::Float64, "mag"), auto, true).unwrap_err().contains("no angle"));
        assert!(of(&field(DataType::Boolean, ""), auto, true).unwrap_err().contains("not a number"));
        assert!(of(&field(DataType::Int32, ""), PositionUnit::Sexagesimal, true).is_err());
    }

    #[test]
    fn rows_whose_text_is_no_angle_are_told_and_empty_ones_are_null() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("1:30:0"), None, Some(" "), Some("west")]));
        let (degrees, wrong) = Angle::Text(1.0, HOURS).to_degrees(&text).unwrap();
        assert_eq!(degrees.as_primitive::<Float64Type>(), &Float64Array::from(vec![Some(22.5), None, None, None]));
        assert_eq!(wrong, [3]);
    }
}
