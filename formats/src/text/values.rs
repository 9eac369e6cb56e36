//! The values that a field can be read as.
//!
//! Every function here takes a field without spaces around it and either gives the exact value of the type, for floating
//! point the nearest one, or says why it is none. Nothing is rounded, cut or wrapped in silence.

use arrow::{compute::kernels::cast_utils::parse_decimal, datatypes::DecimalType, datatypes::TimeUnit};
use chrono::{Datelike, NaiveDate};
use lexical_core::FromLexical;

/// Why a field is no value of its column; stands after the field in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is written in another way, as in `is no number`.
    Form(&'static str),
    /// It is a value, but beyond what the type holds.
    Range,
}

/// The texts that mean NULL in every column but those of text.
pub(super) fn is_null_word(field: &[u8]) -> bool {
    matches!(field, b"NULL" | b"null" | b"Null" | b"NA" | b"N/A" | b"n/a" | br"\N" | b"--")
}

/// A whole number; `3.0` is one too.
pub(super) fn integer<T: FromLexical + TryFrom<i128>>(field: &[u8]) -> Result<T, Misfit> {
    if let Ok(value) = lexical_core::parse(field) {
        return Ok(value);
    }
    let whole = match field.iter().position(|byte| *byte == b'.') {
        Some(point) if point > 0 && field[point + 1..].iter().all(|digit| *digit == b'0') => &field[..point],
        _ => field,
    };
    match lexical_core::parse::<i128>(whole) {
        Ok(value) => T::try_from(value).map_err(|_| Misfit::Range),
        Err(lexical_core::Error::Overflow(_) | lexical_core::Error::Underflow(_)) => Err(Misfit::Range),
        Err(_) => Err(Misfit::Form("is no whole number")),
    }
}

/// The nearest floating-point number. One that is finite as written stays so.
pub(super) fn single(field: &[u8]) -> Result<f32, Misfit> {
    match lexical_core::parse::<f32>(field) {
        Ok(value) if value.is_infinite() && has_digits(field) => Err(Misfit::Range),
        Ok(value) => Ok(value),
        Err(_) => Err(Misfit::Form("is no number")),
    }
}

/// The nearest floating-point number. A whole number must be exact: it may be the name of something.
pub(super) fn double(field: &[u8]) -> Result<f64, Misfit> {
    if let Some(value) = short(field) {
        return Ok(value);
    }
    match lexical_core::parse::<f64>(field) {
        Ok(value) if value.is_infinite() && has_digits(field) => Err(Misfit::Range),
        Ok(_) if !is_exact(field) => Err(Misfit::Form("is a whole number that no floating-point number holds exactly")),
        Ok(value) => Ok(value),
        Err(_) => Err(Misfit::Form("is no number")),
    }
}

/// A number of few digits with or without a fraction: a whole number over a power of ten, both of which a float holds
/// exactly, so that to divide them gives the nearest float. Others are none here.
fn short(field: &[u8]) -> Option<f64> {
    const MOST: usize = 15;
    const POWERS: [f64; MOST + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // A digit at both ends, and no more than one point.
    if digits.len() > MOST || !digits.first()?.is_ascii_digit() || !digits.last()?.is_ascii_digit() {
        return None;
    }
    let (mut number, mut point) = (0_u64, None);
    for (place, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(place),
            _ => return None,
        }
    }
    let places = point.map_or(0, |point| digits.len() - point - 1);
    let value = number as f64 / POWERS[places];
    Some(if negative { -value } else { value })
}

fn has_digits(field: &[u8]) -> bool {
    field.iter().any(u8::is_ascii_digit)
}

/// Whether this number, if it is written as a whole one, is a 64-bit floating-point number.
fn is_exact(field: &[u8]) -> bool {
    if field.len() < 16 || !field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-')) {
        return true;
    }
    lexical_core::parse::<i128>(field).is_ok_and(|number| (number as f64) as i128 == number)
}

/// True or false, as words in any case, as one letter or as 1 and 0.
pub(super) fn boolean(field: &[u8]) -> Result<bool, Misfit> {
    if let Some(value) = truth_word(field) {
        return Ok(value);
    }
    match field {
        b"t" | b"T" | b"1" => Ok(true),
        b"f" | b"F" | b"0" => Ok(false),
        _ => Err(Misfit::Form("is neither true nor false")),
    }
}

/// The words `true` and `false` in any case.
pub(super) fn truth_word(field: &[u8]) -> Option<bool> {
    match field.len() {
        4 if field.eq_ignore_ascii_case(b"true") => Some(true),
        5 if field.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// A date as days since 1970-01-01.
pub(super) fn date(field: &[u8]) -> Result<i32, Misfit> {
    days(field).ok_or(Misfit::Form("is no date like 2026-01-31"))
}

fn days(field: &[u8]) -> Option<i32> {
    const EPOCH: i32 = 719_163;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = field else { return None };
    let year = number(&[y1, y2, y3, y4])?;
    let date = NaiveDate::from_ymd_opt(year as i32, number(&[m1, m2])?, number(&[d1, d2])?)?;
    Some(date.num_days_from_ce() - EPOCH)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// An instant, or a date for its first one, as units since 1970-01-01T00:00:00.
pub(super) fn timestamp(field: &[u8], unit: TimeUnit) -> Result<i64, Misfit> {
    let (nanoseconds, kept) = match unit {
        TimeUnit::Second => (1_000_000_000, "has fractions of a second, which its type does not keep"),
        TimeUnit::Millisecond => (1_000_000, "is finer than a millisecond, which its type does not keep"),
        TimeUnit::Microsecond => (1_000, "is finer than a microsecond, which its type does not keep"),
        TimeUnit::Nanosecond => (1, ""),
    };
    let instant = instant(field).ok_or(Misfit::Form("is no time like 2026-01-31T23:59:59.5"))?;
    if instant % nanoseconds != 0 {
        return Err(Misfit::Form(kept));
    }
    i64::try_from(instant / nanoseconds).map_err(|_| Misfit::Range)
}

/// Nanoseconds since 1970-01-01T00:00:00. The zone may be Z.
fn instant(field: &[u8]) -> Option<i128> {
    let (date, time) = field.split_at_checked(10)?;
    let midnight = i128::from(days(date)?) * 86_400_000_000_000;
    let time = match time {
        [] => return Some(midnight),
        [b'T' | b't' | b' ', time @ .., b'Z' | b'z'] | [b'T' | b't' | b' ', time @ ..] => time,
        _ => return None,
    };
    let &[h1, h2, b':', m1, m2, ref rest @ ..] = time else { return None };
    let (second, fraction) = match *rest {
        [] => (0, &[][..]),
        [b':', s1, s2] => (number(&[s1, s2])?, &[][..]),
        [b':', s1, s2, b'.', ref fraction @ ..] if !fraction.is_empty() => (number(&[s1, s2])?, fraction),
        _ => return None,
    };
    let (hour, minute) = (number(&[h1, h2])?, number(&[m1, m2])?);
    let (kept, finer) = fraction.split_at(fraction.len().min(9));
    if hour > 23 || minute > 59 || second > 59 || finer.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let nanoseconds = number(kept)? * 10_u32.pow(9 - kept.len() as u32);
    Some(midnight + i128::from((hour * 60 + minute) * 60 + second) * 1_000_000_000 + i128::from(nanoseconds))
}

/// A decimal number with no more places than the type keeps.
pub(super) fn decimal<T: DecimalType>(field: &[u8], precision: u8, scale: i8) -> Result<T::Native, Misfit> {
    const FORM: Misfit = Misfit::Form("is no decimal number");
    let digits = field.strip_prefix(b"-").or_else(|| field.strip_prefix(b"+")).unwrap_or(field);
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, places) = digits.split_at(point.unwrap_or(digits.len()));
    let places = places.get(1..).unwrap_or_default();
    if !has_digits(digits) || !whole.iter().chain(places).all(u8::is_ascii_digit) {
        return Err(FORM);
    }
    let kept = places.len() - places.iter().rev().take_while(|digit| **digit == b'0').count();
    if kept > usize::try_from(scale).unwrap_or(0) {
        return Err(Misfit::Form("has more decimal places than its type keeps"));
    }
    let excess = places.len() - kept;
    let field = std::str::from_utf8(&field[..field.len() - excess]).map_err(|_| FORM)?;
    parse_decimal::<T>(field, precision, scale).map_err(|_| Misfit::Range)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Decimal128Type;
    use proptest::prelude::*;

    use super::*;
    use crate::text::tests::cases;

    #[test]
    fn a_whole_number_fits_or_is_told_why_not() {
        assert_eq!(integer::<i16>(b"-32768"), Ok(i16::MIN));
        assert_eq!(integer::<i16>(b"+3.00"), Ok(3));
        assert_eq!(integer::<u64>(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(integer::<i64>(b"007"), Ok(7));
        for beyond in ["32768", "-32769", "99999999999999999999999999999999999999999999", "40000.0"] {
            assert_eq!(integer::<i16>(beyond.as_bytes()), Err(Misfit::Range), "{beyond}");
        }
        assert_eq!(integer::<u8>(b"-1"), Err(Misfit::Range));
        for other in ["", "-", "1.5", "1e3", "0x10", "1_000", ".0", "bright", "3.", "12.0.0"] {
            let found = integer::<i16>(other.as_bytes());
            let whole = if other == "3." { Ok(3) } else { Err(Misfit::Form("is no whole number")) };
            assert_eq!(found, whole, "{other}");
        }
    }

    #[test]
    fn a_float_is_the_nearest_one_and_never_an_accidental_infinity() {
        assert_eq!(double(b"301.92717155219145"), Ok(301.92717155219145));
        assert_eq!(double(b"9007199254740992"), Ok(9_007_199_254_740_992.0));
        assert_eq!(double(b"9007199254740993.0"), Ok(9_007_199_254_740_992.0));
        assert_eq!(
            double(b"9007199254740993"),
            Err(Misfit::Form("is a whole number that no floating-point number holds exactly"))
        );
        assert_eq!(double(b"-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(double(b"NaN").unwrap().is_nan());
        assert_eq!(double(b"1e400"), Err(Misfit::Range));
        assert_eq!(single(b"1e39"), Err(Misfit::Range));
        assert_eq!(single(b"0.1"), Ok(0.1));
        for other in ["", ".", "1e", "1,5", "0x1p3", "12:30:45", "1.5D3", "bright", "-"] {
            assert_eq!(double(other.as_bytes()), Err(Misfit::Form("is no number")), "{other}");
        }
    }

    #[test]
    fn dates_and_times_are_those_of_the_calendar() {
        assert_eq!(date(b"1970-01-02"), Ok(1));
        assert_eq!(date(b"2024-02-29"), Ok(19_782));
        for other in ["2023-02-29", "2023-13-01", "2023-1-1", "20230101", "", "2023-01-0x", "2023-01-01T00:00:00"] {
            assert!(date(other.as_bytes()).is_err(), "{other}");
        }
        let micros = |field: &str| timestamp(field.as_bytes(), TimeUnit::Microsecond);
        assert_eq!(micros("1970-01-01T00:00:01.5Z"), Ok(1_500_000));
        assert_eq!(micros("1969-12-31 23:59:59.999999"), Ok(-1));
        assert_eq!(micros("1970-01-02"), Ok(86_400_000_000));
        assert_eq!(micros("1970-01-01T01:30"), Ok(5_400_000_000));
        assert_eq!(micros("1970-01-01T00:00:00.000001000000000"), Ok(1));
        assert_eq!(timestamp(b"1970-01-01T00:00:00.123456789", TimeUnit::Nanosecond), Ok(123_456_789));
        assert_eq!(timestamp(b"9999-01-01T00:00:00", TimeUnit::Nanosecond), Err(Misfit::Range));
        for other in [
            "1970-01-01T00:00:00.1234567", // finer than a microsecond
            "1970-01-01T24:00:00",
            "1970-01-01T00:60:00",
            "2016-12-31T23:59:60",
            "1970-01-01T00:00:00+02:00",
            "1970-01-01T00:00:00.",
            "1970-01-01T",
            "1970-01-01x00:00",
            "1970-01-01T0:00:00",
        ] {
            assert!(micros(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_decimal_keeps_every_place_or_is_refused() {
        let decimal = |field: &str| decimal::<Decimal128Type>(field.as_bytes(), 6, 2);
        assert_eq!(decimal("12.34"), Ok(1234));
        assert_eq!(decimal("-12.3"), Ok(-1230));
        assert_eq!(decimal("1234.5000"), Ok(123_450));
        assert_eq!(decimal("007"), Ok(700));
        assert_eq!(decimal("10."), Ok(1000));
        assert_eq!(decimal("12345"), Err(Misfit::Range));
        assert_eq!(decimal("1.234"), Err(Misfit::Form("has more decimal places than its type keeps")));
        for other in ["", ".", "-", "1e2", "1.2.3", "x"] {
            assert_eq!(decimal(other), Err(Misfit::Form("is no decimal number")), "{other}");
        }
    }

    proptest! {
        #![proptest_config(cases())]
        #[test]
        fn every_float_that_is_written_reads_back_as_itself(value in any::<f64>(), narrow in any::<f32>()) {
            for text in [format!("{value:?}"), format!("{value:e}")] {
                let read = double(text.as_bytes()).unwrap();
                prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()), "{text}");
            }
            let read = single(format!("{narrow:?}").as_bytes()).unwrap();
            prop_assert!(read.to_bits() == narrow.to_bits() || (read.is_nan() && narrow.is_nan()));
        }

        #[test]
        fn a_number_of_few_digits_is_the_nearest_float(text in "-?[0-9]{1,9}(\\.[0-9]{1,7})?") {
            let nearest: f64 = text.parse().unwrap();
            prop_assert_eq!(double(text.as_bytes()).map(f64::to_bits), Ok(nearest.to_bits()));
            prop_assert_eq!(short(text.as_bytes()).is_some(), text.trim_start_matches('-').len() <= 15);
        }

        #[test]
        fn every_whole_number_that_is_written_reads_back_as_itself(value in any::<i64>(), unsigned in any::<u64>()) {
            prop_assert_eq!(integer::<i64>(value.to_string().as_bytes()), Ok(value));
            prop_assert_eq!(integer::<u64>(unsigned.to_string().as_bytes()), Ok(unsigned));
        }
    }
}
