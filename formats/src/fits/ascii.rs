//! The columns of an ASCII table: characters at fixed places of a row, read by the rules of Fortran.
//!
//! A blank field is NULL, and so is one that TNULLn names. A number without a decimal point in a column `Fw.d` has one in
//! front of its last d digits, as the standard says.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Builder, Int32Builder, Int64Builder, StringBuilder},
    datatypes::DataType,
};

use crate::fits::{decode::Faults, header::Header};

/// A column of characters.
#[derive(Debug)]
pub(super) struct Written {
    width: usize,
    kind: Kind,
    null: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    /// At most nine characters
    Int,
    Long,
    Real {
        /// How many digits follow the point that is not written.
        decimals: usize,
        factor: f64,
        zero: f64,
    },
}

impl Written {
    /// What the header says of the n-th column, and where it begins.
    pub(super) fn new(header: &Header, n: usize, row: usize) -> Result<(usize, Self), String> {
        let keyword = format!("TFORM{n}");
        let tform = header.text(&keyword).ok_or_else(|| format!("{keyword} is missing"))?.trim();
        let no_form = || format!("{keyword} is '{tform}', which is no format of an ASCII table");
        let mut characters = tform.chars();
        let letter = characters.next().ok_or_else(no_form)?.to_ascii_uppercase();
        let (width, decimals) = characters.as_str().split_once('.').unwrap_or((characters.as_str(), "0"));
        let width: usize = width.trim().parse().map_err(|_| no_form())?;
        let decimals = decimals.split(['E', 'e']).next().unwrap_or_default().trim();
        let decimals: usize = decimals.parse().ok().filter(|decimals| *decimals <= width).ok_or_else(no_form)?;
        let begin = header.count(&format!("TBCOL{n}"))? as usize;
        if width == 0 || begin == 0 || begin - 1 > row || width > row - (begin - 1) {
            return Err(format!("column {n} has {width} characters from character {begin} on, in rows of {row}"));
        }
        let factor = header.real(&format!("TSCAL{n}"))?.unwrap_or(1.0);
        let zero = header.real(&format!("TZERO{n}"))?.unwrap_or(0.0);
        let kind = match letter {
            'A' => Kind::Text,
            'I' if (factor, zero) != (1.0, 0.0) => Kind::Real { decimals: 0, factor, zero },
            'I' if width <= 9 => Kind::Int,
            'I' => Kind::Long,
            'F' | 'E' | 'D' => Kind::Real { decimals, factor, zero },
            _ => return Err(no_form()),
        };
        let null = header.text(&format!("TNULL{n}")).map(|text| text.trim().to_owned());
        Ok((begin - 1, Self { width, kind, null }))
    }

    pub(super) fn data_type(&self) -> DataType {
        match self.kind {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int32,
            Kind::Long => DataType::Int64,
            Kind::Real { .. } => DataType::Float64,
        }
    }

    /// The values of the column, which begins `at` so many characters of a row.
    pub(super) fn decode(&self, rows: &[u8], stride: usize, at: usize, faults: &mut Faults<'_>) -> ArrayRef {
        let count = rows.len() / stride;
        let fields = rows.chunks_exact(stride).map(|row| &row[at..at + self.width]).enumerate();
        macro_rules! numbers {
            ($builder:ty, $parse:expr, $what:literal) => {{
                let mut builder = <$builder>::with_capacity(count);
                for (row, field) in fields {
                    let value = self.given(row, field, faults).and_then(|text| {
                        let value = $parse(text);
                        if value.is_none() {
                            faults.note(row, format_args!(concat!("'{}' is no ", $what), text));
                        }
                        value
                    });
                    builder.append_option(value);
                }
                Arc::new(builder.finish())
            }};
        }
        match self.kind {
            Kind::Text => {
                let mut builder = StringBuilder::with_capacity(count, count * self.width);
                for (row, field) in fields {
                    builder.append_option(self.given(row, field, faults));
                }
                Arc::new(builder.finish())
            }
            Kind::Int => numbers!(Int32Builder, |text: &str| text.parse::<i32>().ok(), "whole number"),
            Kind::Long => numbers!(Int64Builder, |text: &str| text.parse::<i64>().ok(), "whole number of 64 bits"),
            Kind::Real { decimals, factor, zero } => {
                let scaled = |text: &str| real(text, decimals).map(|value| zero + factor * value);
                numbers!(Float64Builder, scaled, "number")
            }
        }
    }

    /// The text of a field: numbers without blanks around them, texts without those behind.
    fn given<'r>(&self, row: usize, field: &'r [u8], faults: &mut Faults<'_>) -> Option<&'r str> {
        let Ok(text) = std::str::from_utf8(field) else {
            faults.note(row, format_args!("its characters are not UTF-8"));
            return None;
        };
        let text = text.trim_end_matches([' ', '\0']);
        let bare = text.trim_start();
        if bare.is_empty() || self.null.as_deref() == Some(bare) {
            return None;
        }
        Some(if self.kind == Kind::Text { text } else { bare })
    }
}

/// A real number of Fortran: `1.5`, `-1.5D+03`, or `-15` with the point left out.
fn real(text: &str, decimals: usize) -> Option<f64> {
    let (mantissa, exponent) = match text.find(['E', 'e', 'D', 'd']) {
        Some(at) => (&text[..at], text[at + 1..].trim().parse::<i32>().ok()?),
        None => (text, 0),
    };
    let digits = mantissa.trim_start_matches(['+', '-']);
    let is_mantissa = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && mantissa.len() <= digits.len() + 1;
    // Rust also reads "NaN" and "infinity", which are no numbers here.
    if !is_mantissa {
        return match text.to_ascii_lowercase().as_str() {
            "nan" => Some(f64::NAN),
            _ => None,
        };
    }
    let point = if mantissa.contains('.') { 0 } else { i32::try_from(decimals).ok()? };
    format!("{mantissa}e{}", exponent.checked_sub(point)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_fortran_writes_them() {
        for (text, decimals, value) in [
            ("1.5", 3, 1.5),
            ("-1.5D+03", 0, -1500.0),
            ("+2.E-1", 7, 0.2),
            ("12345", 2, 123.45),
            ("-15", 1, -1.5),
            ("15E1", 1, 15.0),
            (".5", 1, 0.5),
            ("0.1", 1, 0.1),
        ] {
            assert_eq!(real(text, decimals), Some(value), "{text}");
        }
        assert!(real("NaN", 2).unwrap().is_nan());
        for text in ["", "-", ".", "1 2", "--1", "+-1", "inf", "1.2.3", "bright", "1.5E", "1E99999999999", "é"] {
            assert_eq!(real(text, 2), None, "{text}");
        }
    }
}
