//! Cells of one column, gathered into an Arrow array, from text or from bytes.
//!
//! What is missing: an empty cell of TABLEDATA, whatever its type; a value equal to `VALUES null`, or any of the texts that
//! the options say mean NULL; a NaN, an empty text and an empty array of BINARY, which has no other way to say so; a
//! flagged cell of BINARY2. Elements of an array are missing only where they equal one of those, or are truth values of no
//! value. A cell that cannot be read leaves its column in disorder, which [`Cells::fill`] mends: such a row is never shown.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, FixedSizeListArray, ListArray, NullBufferBuilder},
    buffer::{OffsetBuffer, ScalarBuffer},
    error::ArrowError,
};

use super::{
    header::Column,
    kinds::{Kind, Scalar, element},
    values::{Missing, Reason, Values, decode, quote},
};

/// The cells of one column, of as many rows as were pushed.
pub(super) struct Cells {
    kind: Kind,
    missing: Missing,
    values: Values,
    /// Where the array of each row ends, for arrays of varying length.
    ends: Vec<i32>,
    /// Which rows have an array.
    valid: NullBufferBuilder,
}

impl Cells {
    /// No cells yet. The words stand for a missing value in any column.
    pub(super) fn new(column: &Column, kind: Kind, words: &[String]) -> Self {
        let missing = Missing::new(kind, column.null.as_deref(), words);
        Self { kind, missing, values: Values::new(kind), ends: Vec::new(), valid: NullBufferBuilder::new(0) }
    }

    /// Adds a cell of TABLEDATA.
    pub(super) fn push_text(&mut self, cell: &str) -> Result<(), Reason> {
        match self.kind {
            Kind::One(Scalar::Bit) => match cell.trim_ascii() {
                bit if matches!(bit, "" | "0" | "1") || self.missing.is_word(bit) => {
                    self.values.push_token(bit, &self.missing)
                }
                other => Err(format!("{} is no bit", quote(other))),
            },
            Kind::One(_) => self.values.push_token(cell.trim_ascii(), &self.missing),
            Kind::Text { length, .. } => {
                let text = if length.is_some() { cell.trim_end_matches(' ') } else { cell };
                self.push_string(text, true);
                Ok(())
            }
            _ if cell.trim_ascii().is_empty() || self.missing.is_word(cell.trim_ascii()) => {
                self.push_null();
                Ok(())
            }
            Kind::Fixed(scalar, count) => {
                let found = self.push_tokens(scalar, cell)?;
                expect(found, count)?;
                self.valid.append_non_null();
                Ok(())
            }
            Kind::Varying { scalar, group, .. } => {
                let found = self.push_tokens(scalar, cell)?;
                self.end_varying(found, group)
            }
            Kind::Texts { width, count, .. } => {
                let mut rest = cell;
                let mut found = 0;
                while !rest.is_empty() {
                    let end = rest.char_indices().nth(width).map_or(rest.len(), |(end, _)| end);
                    if count.is_none_or(|count| found < count) {
                        self.values.push_str(rest[..end].trim_end_matches(' '));
                    }
                    rest = &rest[end..];
                    found += 1;
                }
                self.end_texts(found, count)
            }
        }
    }

    /// Adds a cell of a binary row: its bytes, and how many bits or elements they hold. With `terse`, nothing else than the
    /// value can say that it is missing.
    pub(super) fn push_bytes(&mut self, cell: &[u8], count: usize, terse: bool) -> Result<(), Reason> {
        match self.kind {
            Kind::One(Scalar::Bit) => {
                // Writers do not agree on which bit of the byte it is.
                self.values.push_bit(cell.iter().any(|byte| *byte != 0));
                Ok(())
            }
            Kind::One(scalar) => self.values.push_scalars(scalar, cell, &self.missing, terse),
            Kind::Fixed(scalar, size) => {
                self.push_elements(scalar, cell, size)?;
                self.valid.append_non_null();
                Ok(())
            }
            Kind::Varying { .. } if count == 0 && terse => {
                self.push_null();
                Ok(())
            }
            Kind::Varying { scalar, group, pair } => {
                self.push_elements(scalar, cell, count)?;
                self.end_varying(count * pair, group)
            }
            Kind::Text { wide, length } => {
                let text = decode(cell, wide)?;
                let text = if length.is_some() { text.trim_end_matches(' ') } else { &text };
                self.push_string(text, terse);
                Ok(())
            }
            Kind::Texts { .. } if count == 0 && terse => {
                self.push_null();
                Ok(())
            }
            Kind::Texts { wide, width, count } => {
                let mut found = 0;
                for text in cell.chunks(width * if wide { 2 } else { 1 }) {
                    self.values.push_str(decode(text, wide)?.trim_end_matches(' '));
                    found += 1;
                }
                self.end_texts(found, count)
            }
        }
    }

    /// Adds a cell without a value.
    pub(super) fn push_null(&mut self) {
        match self.kind {
            Kind::One(_) | Kind::Text { .. } => self.values.push_null(),
            Kind::Fixed(_, count) | Kind::Texts { count: Some(count), .. } => {
                (0..count).for_each(|_| self.values.push_null());
                self.valid.append_null();
            }
            Kind::Varying { .. } | Kind::Texts { count: None, .. } => {
                self.ends.push(self.values.end());
                self.valid.append_null();
            }
        }
    }

    /// Makes the column `rows` long, whatever a cell that could not be read has left behind or undone.
    pub(super) fn fill(&mut self, rows: usize) {
        match self.kind {
            Kind::One(_) | Kind::Text { .. } => {
                if self.values.len() < rows {
                    self.values.push_null();
                }
            }
            Kind::Fixed(_, count) | Kind::Texts { count: Some(count), .. } => {
                if self.valid.len() < rows {
                    self.valid.append_null();
                }
                // There are never too many: what is beyond the size is counted, not kept.
                while self.values.len() < rows * count {
                    self.values.push_null();
                }
            }
            Kind::Varying { .. } | Kind::Texts { count: None, .. } => {
                if self.valid.len() < rows {
                    self.ends.push(self.values.end());
                    self.valid.append_null();
                }
            }
        }
    }

    /// The cells as an array; none are left.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let values = self.values.finish();
        let item = element(values.data_type().clone());
        Ok(match self.kind {
            Kind::One(_) | Kind::Text { .. } => values,
            Kind::Fixed(_, count) | Kind::Texts { count: Some(count), .. } => {
                let size = i32::try_from(count).map_err(|_| ArrowError::OffsetOverflowError(count))?;
                Arc::new(FixedSizeListArray::try_new(item, size, values, self.valid.finish())?)
            }
            Kind::Varying { .. } | Kind::Texts { count: None, .. } => {
                let offsets: Vec<i32> = std::iter::once(0).chain(self.ends.drain(..)).collect();
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(ListArray::try_new(item, offsets, values, self.valid.finish())?)
            }
        })
    }

    fn push_string(&mut self, text: &str, empty_is_missing: bool) {
        if self.missing.is_word(text) || empty_is_missing && text.is_empty() {
            self.values.push_null();
        } else {
            self.values.push_str(text);
        }
    }

    /// Adds the elements of an array that is written as text, and tells how many there are; none beyond a fixed size.
    fn push_tokens(&mut self, scalar: Scalar, cell: &str) -> Result<usize, Reason> {
        let limit = if let Kind::Fixed(_, count) = self.kind { count } else { usize::MAX };
        if scalar == Scalar::Bit {
            let bits = cell.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
            return if bits > limit { Ok(bits) } else { self.values.push_bits(cell) };
        }
        let mut found = 0;
        for token in cell.split_ascii_whitespace() {
            if found < limit {
                self.values.push_token(token, &self.missing)?;
            }
            found += 1;
        }
        Ok(found)
    }

    /// Adds `count` elements of an array in a binary row.
    fn push_elements(&mut self, scalar: Scalar, cell: &[u8], count: usize) -> Result<(), Reason> {
        if scalar == Scalar::Bit {
            for index in 0..count {
                self.values.push_bit(cell[index / 8] >> (7 - index % 8) & 1 == 1);
            }
            return Ok(());
        }
        self.values.push_scalars(scalar, cell, &self.missing, false)
    }

    fn end_varying(&mut self, found: usize, group: usize) -> Result<(), Reason> {
        if !found.is_multiple_of(group) {
            return Err(format!("{found} elements do not make whole groups of {group}"));
        }
        self.ends.push(self.values.end());
        self.valid.append_non_null();
        Ok(())
    }

    fn end_texts(&mut self, found: usize, count: Option<usize>) -> Result<(), Reason> {
        match count {
            // Padding at the end may have been left out.
            Some(count) => {
                (found..count).for_each(|_| self.values.push_str(""));
                expect(found.max(count), count)?;
            }
            None => self.ends.push(self.values.end()),
        }
        self.valid.append_non_null();
        Ok(())
    }
}

fn expect(found: usize, count: usize) -> Result<(), Reason> {
    if found == count { Ok(()) } else { Err(format!("it has {found} elements instead of {count}")) }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::AsArray,
        datatypes::{Float64Type, Int16Type},
        util::display::array_value_to_string,
    };

    use super::*;

    fn cells(datatype: &str, arraysize: &str, null: Option<&str>) -> Cells {
        let column = Column {
            datatype: datatype.to_owned(),
            arraysize: Some(arraysize.to_owned()).filter(|text| !text.is_empty()),
            null: null.map(str::to_owned),
            ..Column::default()
        };
        let kind = Kind::of(&column).unwrap();
        Cells::new(&column, kind, &["null".to_owned()])
    }

    fn read(datatype: &str, arraysize: &str, null: Option<&str>, texts: &[&str]) -> Vec<String> {
        let mut cells = cells(datatype, arraysize, null);
        texts.iter().for_each(|text| cells.push_text(text).unwrap());
        shown(&cells.finish().unwrap())
    }

    fn shown(array: &ArrayRef) -> Vec<String> {
        let show =
            |row| if array.is_null(row) { "NULL".to_owned() } else { array_value_to_string(array, row).unwrap() };
        (0..array.len()).map(show).collect()
    }

    #[test]
    fn text_cells_of_every_type_are_read() {
        for (datatype, arraysize, cells, expected) in [
            (
                "boolean",
                "",
                &["T", "f", "1", "0", "TRUE", "False", "?", " ", ""][..],
                "true false true false true false NULL NULL NULL",
            ),
            ("boolean", "*", &["T F ?", ""], "[true, false, ] NULL"),
            ("bit", "", &["1", " 0 ", ""], "true false NULL"),
            ("bit", "4", &["1 0 1 0", "0101", ""], "[true, false, true, false] [false, true, false, true] NULL"),
            ("unsignedByte", "", &["0", "255", "0xfF", " 7 "], "0 255 255 7"),
            ("short", "", &["-32768", "+5", "0x7FFF", ""], "-32768 5 32767 NULL"),
            ("int", "3", &["1 2\n 3", ""], "[1, 2, 3] NULL"),
            ("long", "", &["9223372036854775807", "-9223372036854775808"], "9223372036854775807 -9223372036854775808"),
            (
                "float",
                "",
                &["1.5", "-1e-3", "NaN", "+Inf", "-Inf", "Infinity", ".5", ""],
                "1.5 -0.001 NaN inf -inf inf 0.5 NULL",
            ),
            ("double", "*", &["1 NaN 3", " "], "[1.0, NaN, 3.0] NULL"),
            ("double", "2x*", &["1 2 3 4"], "[1.0, 2.0, 3.0, 4.0]"),
            ("floatComplex", "", &["1 -2", ""], "[1.0, -2.0] NULL"),
            ("char", "*", &[" a b ", "Ω", ""], " a b  Ω NULL"),
            ("char", "5", &["ab   ", "     ", " x"], "ab NULL  x"),
            ("char", "", &["x", " "], "x NULL"),
            ("char", "3x*", &["abcd  ef", ""], "[abc, d, ef] NULL"),
            ("unicodeChar", "2x3", &["ΩΩa", ""], "[ΩΩ, a, ] NULL"),
        ] {
            assert_eq!(read(datatype, arraysize, None, cells).join(" "), expected, "{datatype} {arraysize}");
        }
    }

    #[test]
    fn what_equals_the_missing_value_is_missing_in_cells_and_in_elements() {
        for (datatype, arraysize, null, cells, expected) in [
            ("short", "", "-99", &["-99", "0", "-099"][..], "NULL 0 NULL"),
            ("short", "", "99999", &["1"], "1"),
            ("int", "", "N/A", &["N/A", "1"], "NULL 1"),
            ("boolean", "", "-", &["-", "T"], "NULL true"),
            ("bit", "", "-", &["-", "1", "null"], "NULL true NULL"),
            ("float", "", "-9", &["null", "-9", "9"], "NULL NULL 9.0"),
            ("double", "2", "-9", &["null", "1 -9", "null 2"], "NULL [1.0, ] [, 2.0]"),
            ("char", "*", "-9", &["null", "-9"], "NULL NULL"),
            ("long", "", "0xFF", &["255"], "NULL"),
            ("int", "*", "0", &["1 0 2"], "[1, , 2]"),
            ("float", "", "-99.9", &["-99.90", "99.9"], "NULL 99.9"),
            ("double", "", "NaN", &["NaN", "1"], "NULL 1.0"),
            ("char", "*", "none", &["none", "None"], "NULL None"),
        ] {
            assert_eq!(read(datatype, arraysize, Some(null), cells).join(" "), expected, "{datatype} {null}");
        }
    }

    #[test]
    fn a_text_cell_that_does_not_fit_is_refused_with_its_value() {
        for (datatype, arraysize, cell, part) in [
            ("boolean", "", "yes", "'yes' is no truth value"),
            ("bit", "", "10", "'10' is no bit"),
            ("bit", "3", "102", "no bits"),
            ("bit", "3", "1010", "4 elements instead of 3"),
            ("unsignedByte", "", "256", "does not fit an unsignedByte"),
            ("unsignedByte", "", "-1", "does not fit"),
            ("short", "", "32768", "'32768' does not fit a short"),
            ("int", "", "1.0", "'1.0' is no integer"),
            ("int", "", "0x", "is no integer"),
            ("int", "", "0x-1", "is no integer"),
            ("long", "", "9223372036854775808", "does not fit a long"),
            ("float", "", "bright", "'bright' is no number"),
            ("float", "", "1e39", "too large"),
            ("double", "", "1e309", "too large"),
            ("int", "3", "1 2", "2 elements instead of 3"),
            ("int", "3", "1 2 3 4", "4 elements instead of 3"),
            ("double", "2x*", "1 2 3", "whole groups of 2"),
            ("char", "2x2", "abcdef", "3 elements instead of 2"),
            ("int", "", &"9".repeat(100), "9…'"),
        ] {
            let why = cells(datatype, arraysize, None).push_text(cell).unwrap_err();
            assert!(why.contains(part), "{datatype} {cell}: {why}");
        }
    }

    #[test]
    fn a_column_is_whole_again_after_a_cell_that_could_not_be_read() {
        for (datatype, arraysize, good, bad) in [
            ("int", "", "1", "x"),
            ("int", "3", "1 2 3", "1 x 3"),
            ("int", "3", "1 2 3", "1 2 3 4"),
            ("int", "*", "1 2 3", "1 x"),
            ("bit", "3", "101", "1x1"),
            ("char", "2x2", "abcd", "abcdef"),
            ("double", "2x*", "1 2", "1 2 3"),
        ] {
            let mut cells = cells(datatype, arraysize, None);
            cells.push_text(good).unwrap();
            cells.push_text(bad).unwrap_err();
            cells.fill(2);
            cells.push_text(good).unwrap();
            let rows = shown(&cells.finish().unwrap());
            assert_eq!(rows.len(), 3, "{datatype} {arraysize} {bad}");
            assert_eq!(rows[0], rows[2], "{datatype} {arraysize} {bad}");
        }
    }

    #[test]
    fn binary_cells_know_missing_values_as_their_serialization_can_tell_them() {
        let nan = f64::NAN.to_be_bytes();
        for (terse, expected) in [(true, "NULL"), (false, "NaN")] {
            let mut double = cells("double", "", None);
            double.push_bytes(&nan, 1, terse).unwrap();
            assert_eq!(shown(&double.finish().unwrap()), [expected]);
        }
        for (terse, expected) in [(true, "NULL"), (false, "")] {
            let mut text = cells("char", "*", None);
            text.push_bytes(b"", 0, terse).unwrap();
            assert_eq!(shown(&text.finish().unwrap()), [expected]);
        }
        for (terse, expected) in [(true, "NULL"), (false, "[]")] {
            let mut list = cells("int", "*", None);
            list.push_bytes(b"", 0, terse).unwrap();
            assert_eq!(shown(&list.finish().unwrap()), [expected]);
        }
        let mut short = cells("short", "", Some("-1"));
        short.push_bytes(&(-1_i16).to_be_bytes(), 1, false).unwrap();
        short.push_bytes(&7_i16.to_be_bytes(), 1, false).unwrap();
        let short = short.finish().unwrap();
        assert!(short.is_null(0));
        assert_eq!(short.as_primitive::<Int16Type>().value(1), 7);
        // A NaN within an array is an element like any other.
        let mut array = cells("double", "2", None);
        array.push_bytes(&[nan, nan].concat(), 2, true).unwrap();
        let array = array.finish().unwrap();
        assert!(array.as_fixed_size_list().value(0).as_primitive::<Float64Type>().value(1).is_nan());
    }

    #[test]
    fn binary_texts_end_at_a_nul_and_must_be_text() {
        let mut fixed = cells("char", "5", None);
        for bytes in [b"ab\0xx", b"abc  ", "éé ".as_bytes()] {
            fixed.push_bytes(bytes, 5, true).unwrap();
        }
        assert_eq!(shown(&fixed.finish().unwrap()), ["ab", "abc", "éé"]);
        assert!(cells("char", "*", None).push_bytes(b"\xe9", 1, true).unwrap_err().contains("neither ASCII nor UTF-8"));
        let mut wide = cells("unicodeChar", "*", None);
        wide.push_bytes(&[0x03, 0xA9, 0xD8, 0x3D, 0xDE, 0x00], 3, true).unwrap();
        assert_eq!(shown(&wide.finish().unwrap()), ["Ω😀"]);
        assert!(cells("unicodeChar", "*", None).push_bytes(&[0xD8, 0x3D], 1, true).unwrap_err().contains("UTF-16"));
        assert!(cells("boolean", "", None).push_bytes(&[1], 1, true).unwrap_err().contains("0x01"));
    }
}
