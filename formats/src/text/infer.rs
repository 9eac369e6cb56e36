//! Which type a column of text has: told from every row, never from a sample.
//!
//! | values of the column                                    | type               |
//! |---------------------------------------------------------|--------------------|
//! | `true`, `false` in any case                             | Boolean            |
//! | whole numbers within 64 bits with sign                  | Int64              |
//! | whole numbers of which some need the 64th bit           | UInt64             |
//! | numbers, also `inf`, `nan`, `1e5`; whole ones ≤ 2⁵³     | Float64            |
//! | `2026-01-31`                                            | Date32             |
//! | dates and `2026-01-31T23:59:59.999999Z` (`T` or space)  | Timestamp(µs)      |
//! | anything else, or a mixture                             | Utf8               |
//! | none                                                    | Utf8, marked empty |
//!
//! A whole number with a leading zero (`007`) is a name, so text; so is one beyond 64 bits, one above 2⁵³ among numbers with
//! fractions, a negative one beside one that needs the 64th bit, a number beyond the floats (`1e400`), a time finer than a
//! microsecond or with another zone than Z, and a sexagesimal angle. An empty field is no value. `NULL`, `null`, `NA`, `N/A`,
//! `\N` and `--` are none where every other value of the column has one of the types above, and text otherwise; `nan` is a
//! value among numbers with fractions or when alone, and none beside other types.
//!
//! What is learnt of one part of a text is merged with what is learnt of another, in any order.

use std::{io::Read, num::NonZero, sync::Mutex, thread};

use arrow::datatypes::{DataType, TimeUnit};

use super::{
    chunks::{Chunk, Chunks, Stretch},
    columns::Nulls,
    records::{Dialect, Records},
    values::{double, integer, is_null_word, timestamp, truth_word},
};
use crate::{FormatError, words::on_one_line};

/// A set of kinds of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    const NONE: Self = Self(0);
    const BOOLEAN: Self = Self(1);
    /// A whole number that every type of number holds exactly: at most 2⁵³.
    const SMALL: Self = Self(1 << 1);
    const SMALL_NEGATIVE: Self = Self(1 << 2);
    const LONG: Self = Self(1 << 3);
    const LONG_NEGATIVE: Self = Self(1 << 4);
    /// A whole number that needs the 64th bit.
    const UNSIGNED: Self = Self(1 << 5);
    const FLOAT: Self = Self(1 << 6);
    const NAN: Self = Self(1 << 7);
    const DATE: Self = Self(1 << 8);
    const TIMESTAMP: Self = Self(1 << 9);
    const NULL_WORD: Self = Self(1 << 10);
    const TEXT: Self = Self(1 << 11);

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What a field is.
    pub(super) fn of(field: &[u8]) -> Self {
        match field {
            [] => Self::NONE,
            [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => number(field).unwrap_or_else(|| word(field)),
            _ => word(field),
        }
    }

    /// Whether what stands where names are expected is a row of data: numbers, and not all of them whole.
    pub(super) fn are_data<'f>(names: impl Iterator<Item = &'f [u8]>) -> bool {
        let kinds = names.map(Self::of).fold(Self::NONE, Self::and);
        kinds.has(Self::FLOAT) && kinds.data_type() == Some(DataType::Float64)
    }

    /// The type that holds all of these and nothing else.
    fn data_type(self) -> Option<DataType> {
        const WHOLE: Kinds = Kinds::SMALL.and(Kinds::SMALL_NEGATIVE).and(Kinds::LONG).and(Kinds::LONG_NEGATIVE);
        const POSITIVE: Kinds = Kinds::SMALL.and(Kinds::LONG).and(Kinds::UNSIGNED);
        const INEXACT: Kinds = Kinds::SMALL.and(Kinds::SMALL_NEGATIVE).and(Kinds::FLOAT);
        let values = self.without(Self::NULL_WORD).without(Self::NAN);
        Some(match values {
            Self::NONE if self.has(Self::NAN) => DataType::Float64,
            Self::NONE => return None,
            Self::BOOLEAN => DataType::Boolean,
            Self::DATE => DataType::Date32,
            _ if values.within(Self::DATE.and(Self::TIMESTAMP)) => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ if values.within(WHOLE) => DataType::Int64,
            _ if values.within(POSITIVE) => DataType::UInt64,
            _ if values.within(INEXACT) => DataType::Float64,
            _ => DataType::Utf8,
        })
    }
}

/// A field that begins as a number does: a number or a date. Its form is all that is looked at where that is enough.
fn number(field: &[u8]) -> Option<Kinds> {
    let negative = field[0] == b'-';
    let unsigned = &field[usize::from(negative || field[0] == b'+')..];
    let whole = count_digits(unsigned);
    let padded = whole > 1 && unsigned[0] == b'0';
    match &unsigned[whole..] {
        [] if whole == 0 => None,
        [] if padded => Some(Kinds::TEXT),
        [] => Some(whole_number(field, negative, whole)),
        [b'-', ..] if whole == 4 && unsigned.len() == field.len() => Some(day(field)),
        [b'.', fraction @ ..] => {
            let places = count_digits(fraction);
            (whole + places > 0).then(|| float(field, &fraction[places..], whole))
        }
        exponent @ [b'e' | b'E', ..] if whole > 0 && !padded => Some(float(field, exponent, whole)),
        _ => None,
    }
}

/// How many digits a field begins with. Most numbers have many: eight bytes are looked at a time.
fn count_digits(field: &[u8]) -> usize {
    const HIGHS: u64 = u64::from_ne_bytes([0xF0; 8]);
    const ZEROS: u64 = u64::from_ne_bytes([0x30; 8]);
    const SIXES: u64 = u64::from_ne_bytes([0x06; 8]);
    let mut at = 0;
    while let Some(bytes) = field[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*bytes);
        // The high half of a digit is 3, and stays so when six are added. A sum that runs over spoils only bytes after one
        // that is no digit.
        let others = ((word & HIGHS) ^ ZEROS) | ((word.wrapping_add(SIXES) & HIGHS) ^ ZEROS);
        at += others.trailing_zeros() as usize / 8;
        if others != 0 {
            return at;
        }
    }
    at + field[at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn whole_number(field: &[u8], negative: bool, digits: usize) -> Kinds {
    const LARGEST: u64 = 1 << 53;
    if digits <= 15 {
        return if negative { Kinds::SMALL_NEGATIVE } else { Kinds::SMALL };
    }
    match integer::<i64>(field) {
        Ok(value) if value.unsigned_abs() <= LARGEST && negative => Kinds::SMALL_NEGATIVE,
        Ok(value) if value.unsigned_abs() <= LARGEST => Kinds::SMALL,
        Ok(_) if negative => Kinds::LONG_NEGATIVE,
        Ok(_) => Kinds::LONG,
        Err(_) if integer::<u64>(field).is_ok() => Kinds::UNSIGNED,
        Err(_) => Kinds::TEXT,
    }
}

/// A number with a fraction, of which `exponent` is left.
fn float(field: &[u8], exponent: &[u8], whole: usize) -> Kinds {
    let formed = match exponent {
        [] => true,
        [b'e' | b'E', b'+' | b'-', digits @ ..] | [b'e' | b'E', digits @ ..] => {
            !digits.is_empty() && count_digits(digits) == digits.len()
        }
        _ => false,
    };
    let finite = || (exponent.is_empty() && whole < 300) || double(field).is_ok();
    if formed && finite() { Kinds::FLOAT } else { Kinds::TEXT }
}

fn day(field: &[u8]) -> Kinds {
    match timestamp(field, TimeUnit::Microsecond) {
        Ok(_) if field.len() == 10 => Kinds::DATE,
        Ok(_) => Kinds::TIMESTAMP,
        Err(_) => Kinds::TEXT,
    }
}

fn word(field: &[u8]) -> Kinds {
    let unsigned = field.strip_prefix(b"-").or_else(|| field.strip_prefix(b"+")).unwrap_or(field);
    match unsigned.len() {
        3 if unsigned.eq_ignore_ascii_case(b"nan") => Kinds::NAN,
        3 if unsigned.eq_ignore_ascii_case(b"inf") => Kinds::FLOAT,
        8 if unsigned.eq_ignore_ascii_case(b"infinity") => Kinds::FLOAT,
        _ if truth_word(field).is_some() => Kinds::BOOLEAN,
        _ if is_null_word(field) => Kinds::NULL_WORD,
        _ => Kinds::TEXT,
    }
}

/// What is known of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    kinds: Kinds,
    /// The first value that is text, and its line.
    text: Option<(u64, String)>,
}

impl Evidence {
    fn see(&mut self, field: &[u8], line: u64, nulls: &Nulls) {
        let trimmed = field.trim_ascii();
        if nulls.hold(trimmed) {
            return;
        }
        let kind = Kinds::of(trimmed);
        if kind == Kinds::TEXT && self.text.is_none() {
            self.text = Some((line, shown(field)));
        }
        self.kinds = self.kinds.and(kind);
    }

    fn merge(&mut self, other: Self) {
        self.kinds = self.kinds.and(other.kinds);
        self.text = match (self.text.take(), other.text) {
            (Some(ours), Some(theirs)) => Some(if theirs.0 < ours.0 { theirs } else { ours }),
            (ours, theirs) => ours.or(theirs),
        };
    }

    /// The type of the column; none if it has no value.
    pub(super) fn data_type(&self) -> Option<DataType> {
        self.kinds.data_type()
    }

    /// Whether no field of the column holds anything.
    pub(super) fn is_blank(&self) -> bool {
        self.kinds == Kinds::NONE
    }

    /// The first value that keeps the column from having the type of all its others, as in `line 7: 'bright'`.
    pub(super) fn culprit(&self) -> Option<String> {
        let others = self.kinds.without(Kinds::TEXT).data_type()?;
        let (line, text) = self.text.as_ref().filter(|_| others != DataType::Utf8)?;
        Some(format!("line {line}: '{text}'"))
    }
}

/// A field as a message shows it: on one line, and not all of it if it is long.
pub(super) fn shown(field: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(&field[..field.len().min(4 * LONGEST)]);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", on_one_line(&text[..end])),
        None => on_one_line(&text),
    }
}

/// What a whole text says of its columns.
pub(super) struct Inference {
    /// Every row, also those that are at fault.
    pub(super) rows: u64,
    /// Whether none of them is at fault.
    pub(super) is_sound: bool,
    pub(super) columns: Vec<Evidence>,
    /// Where its chunks stand.
    pub(super) stretches: Vec<Stretch>,
}

/// What the rows of a text look like, and which of their columns are in question.
pub(super) struct Question<'a> {
    pub(super) dialect: Dialect,
    pub(super) nulls: &'a Nulls,
    pub(super) width: usize,
    /// The columns whose type is asked for.
    pub(super) columns: &'a [usize],
}

impl Question<'_> {
    /// Looks at all chunks on so many threads. Rows at fault say nothing.
    pub(super) fn ask<R: Read + Send>(
        &self,
        chunks: Chunks<R>,
        threads: NonZero<usize>,
    ) -> Result<Inference, FormatError> {
        let chunks = Mutex::new(chunks);
        let next = || chunks.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next_chunk();
        let work = || -> Result<Inference, FormatError> {
            let columns = vec![Evidence::default(); self.width];
            let mut found = Inference { rows: 0, is_sound: true, columns, stretches: Vec::new() };
            while let Some(chunk) = next()? {
                self.look_at(&chunk, &mut found);
            }
            Ok(found)
        };
        let whole = thread::scope(|scope| {
            let others: Vec<_> = (1..threads.get()).map(|_| scope.spawn(work)).collect();
            let mut whole = work();
            for other in others {
                let part = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                whole = whole.and_then(|whole| Ok(whole.merged(part?)));
            }
            whole
        });
        let stretches = chunks.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).into_given();
        Ok(Inference { stretches, ..whole? })
    }

    fn look_at(&self, chunk: &Chunk, found: &mut Inference) {
        let utf8 = std::str::from_utf8(&chunk.text).is_ok();
        let mut records = Records::new(&chunk.text, chunk.line, self.dialect);
        let mut fields = Vec::with_capacity(self.width + 1);
        while let Some(record) = records.next(&mut fields) {
            found.rows += 1;
            if record.fault(&fields, self.width, &chunk.text, utf8).is_some() {
                found.is_sound = false;
            } else {
                for column in self.columns {
                    found.columns[*column].see(records.bytes(fields[*column]), record.line, self.nulls);
                }
            }
            records.forget();
        }
    }
}

impl Inference {
    fn merged(mut self, other: Self) -> Self {
        self.rows += other.rows;
        self.is_sound &= other.is_sound;
        for (ours, theirs) in self.columns.iter_mut().zip(other.columns) {
            ours.merge(theirs);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::tests::cases;

    fn inferred(values: &[&str]) -> Option<DataType> {
        let mut evidence = Evidence::default();
        values.iter().for_each(|value| evidence.see(value.as_bytes(), 1, &Nulls::default()));
        evidence.data_type()
    }

    #[test]
    fn the_table_of_types() {
        use DataType::{Boolean, Date32, Float64, Int64, UInt64, Utf8};
        let time = || DataType::Timestamp(TimeUnit::Microsecond, None);
        let table: &[(&[&str], Option<DataType>)] = &[
            (&[], None),
            (&["", "  "], None),
            (&["NULL", ""], None),
            (&["true", "FALSE", "", "True"], Some(Boolean)),
            (&["true", "0"], Some(Utf8)),
            (&["t", "f"], Some(Utf8)),
            (&["0", "-1", "+3", " 42 ", "9223372036854775807", "-9223372036854775808"], Some(Int64)),
            (&["0", "9223372036854775808", "18446744073709551615"], Some(UInt64)),
            (&["-1", "9223372036854775808"], Some(Utf8)),
            (&["18446744073709551616"], Some(Utf8)),
            (&["007"], Some(Utf8)),
            (&["-00"], Some(Utf8)),
            (&["7", "007"], Some(Utf8)),
            (&["0", "0.7", "-0.7", "05.3"], Some(Float64)),
            (&["0012e5"], Some(Utf8)),
            (&["1e5", "inf", "-Infinity", "+3", ".5", "5.", "1.E-3", "2"], Some(Float64)),
            (&["1e400"], Some(Utf8)),
            (&["0.5", "9007199254740992"], Some(Float64)),
            (&["0.5", "9007199254740993"], Some(Utf8)),
            (&["0.5", "-9007199254740993"], Some(Utf8)),
            (&["0.5", "9223372036854775808"], Some(Utf8)),
            (&["nan"], Some(Float64)),
            (&["NaN", "1.5"], Some(Float64)),
            (&["NaN", "9007199254740993"], Some(Int64)),
            (&["NULL", "1.5", "NA", "N/A", r"\N", "--", "null"], Some(Float64)),
            (&["NULL", "--", "2026-01-31"], Some(Date32)),
            (&["NULL", "star"], Some(Utf8)),
            (&["2026-01-31", "1999-12-31"], Some(Date32)),
            (&["2026-01-31", "1999-12-31T23:59:59.123456Z", "1999-12-31 23:59"], Some(time())),
            (&["2026-02-30"], Some(Utf8)),
            (&["2026-01-31T00:00:00.1234567"], Some(Utf8)),
            (&["2026-01-31T00:00:00+02:00"], Some(Utf8)),
            (&["2026-01-31", "5"], Some(Utf8)),
            (&["12:30:45.5", "-05 30 12", "12h30m5s", "-5d30'12\""], Some(Utf8)),
            (&["1", "2", "bright"], Some(Utf8)),
            (&["-", "."], Some(Utf8)),
            (&["1,5"], Some(Utf8)),
            (&["0x10"], Some(Utf8)),
            (&["1_000"], Some(Utf8)),
            (&["Ω"], Some(Utf8)),
        ];
        for (values, data_type) in table {
            assert_eq!(&inferred(values), data_type, "{values:?}");
        }
    }

    #[test]
    fn the_first_text_among_numbers_is_remembered_whatever_was_seen_first() {
        let mut parts: Vec<Evidence> = Vec::new();
        for (line, value) in [(1, "1.5"), (9, "faint"), (7, "bright"), (8, "2")] {
            let mut part = Evidence::default();
            part.see(value.as_bytes(), line, &Nulls::default());
            parts.push(part);
        }
        let whole = parts.into_iter().reduce(|mut whole, part| {
            whole.merge(part);
            whole
        });
        let whole = whole.unwrap();
        assert_eq!(whole.data_type(), Some(DataType::Utf8));
        assert_eq!(whole.culprit().as_deref(), Some("line 7: 'bright'"));
        let mut words = Evidence::default();
        words.see(b"star", 1, &Nulls::default());
        assert_eq!(words.culprit(), None);
    }

    #[test]
    fn texts_that_mean_null_say_nothing() {
        let nulls = Nulls::new(&["-999".to_owned(), "none".to_owned()]);
        let mut evidence = Evidence::default();
        for value in [" -999", "none", "true"] {
            evidence.see(value.as_bytes(), 1, &nulls);
        }
        assert_eq!(evidence.data_type(), Some(DataType::Boolean));
    }

    #[test]
    fn a_long_value_is_shown_in_part() {
        assert_eq!(shown("é".repeat(50).as_bytes()), format!("{}…", "é".repeat(40)));
        assert_eq!(shown(b"short"), "short");
    }

    proptest! {
        #[test]
        fn digits_are_counted_up_to_the_first_other_byte(digits in "[0-9]{0,30}", rest in prop::collection::vec(0_u8..=255, 0..12)) {
            let field = [digits.as_bytes(), &rest].concat();
            prop_assert_eq!(count_digits(&field), field.iter().take_while(|byte| byte.is_ascii_digit()).count());
        }
    }

    proptest! {
        #![proptest_config(cases())]
        #[test]
        fn what_is_called_a_number_can_be_read_as_one(field in "[-+.0-9eEinfa]{0,24}|[-+]?[0-9]{1,20}([.][0-9]{0,9})?(e-?[0-9]{1,3})?") {
            let bytes = field.as_bytes();
            match Kinds::of(bytes) {
                Kinds::FLOAT | Kinds::NAN | Kinds::SMALL | Kinds::SMALL_NEGATIVE => prop_assert!(double(bytes).is_ok()),
                Kinds::LONG | Kinds::LONG_NEGATIVE => prop_assert!(integer::<i64>(bytes).is_ok()),
                Kinds::UNSIGNED => prop_assert!(integer::<u64>(bytes).is_ok()),
                _ => {}
            }
        }
    }
}
