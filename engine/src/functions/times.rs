//! Timestamps: from text by the rules of DALI, to Julian dates and back.
//!
//! All is naive: no time scale and no leap second is known, days have 86,400 seconds. The calendar is the Gregorian one,
//! also before it was introduced. A timestamp counts microseconds, so that years from -290,000 to 290,000 fit.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, StringArray, TimestampMicrosecondArray},
        compute::cast,
        datatypes::{
            DataType::{self, Float64, LargeUtf8, Null, Utf8, Utf8View},
            TimeUnit, TimestampMicrosecondType,
        },
    },
    common::plan_err,
    error::Result,
    logical_expr::ColumnarValue,
};

use super::{
    Function, Origin,
    declaration::declare,
    numbers::{finite, present, reals},
    scalar::{Constants, Scalar},
};

const DAY: i64 = 86_400_000_000; // in microseconds
const EPOCH_JD: f64 = 2_440_587.5; // 1970-01-01T00:00:00
const EPOCH_MJD: f64 = 40_587.0;

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let mut functions = to_dates();
    functions.extend(to_timestamps());
    functions
}

fn to_dates() -> Vec<Function> {
    let ivo_jd = declare!(
        Origin::Ivoa, "ivo_to_jd" as "ivo_to_jd", ("d": "TIMESTAMP") -> "DOUBLE PRECISION" | ("d": "VARCHAR") -> "DOUBLE PRECISION",
        "The Julian date of a timestamp, or of a text that CAST(… AS TIMESTAMP) takes.", "ivo_to_jd('2000-01-02T12:00:00')",
    );
    let ivo_mjd = declare!(
        Origin::Ivoa, "ivo_to_mjd" as "ivo_to_mjd", ("d": "TIMESTAMP") -> "DOUBLE PRECISION" | ("d": "VARCHAR") -> "DOUBLE PRECISION",
        "The modified Julian date (JD - 2400000.5) of a timestamp, or of a text that CAST(… AS TIMESTAMP) takes.",
        "ivo_to_mjd('2000-01-02T12:00:00')",
    );
    let gavo_jd = declare!(
        Origin::Gavo, "gavo_to_jd" as "gavo_to_jd", ("d": "TIMESTAMP") -> "DOUBLE PRECISION" | ("d": "VARCHAR") -> "DOUBLE PRECISION",
        "The same as ivo_to_jd.", "gavo_to_jd('2000-01-02T12:00:00')",
    );
    let gavo_mjd = declare!(
        Origin::Gavo, "gavo_to_mjd" as "gavo_to_mjd", ("d": "TIMESTAMP") -> "DOUBLE PRECISION" | ("d": "VARCHAR") -> "DOUBLE PRECISION",
        "The same as ivo_to_mjd.", "gavo_to_mjd('2000-01-02T12:00:00')",
    );
    [(ivo_jd, true), (ivo_mjd, false), (gavo_jd, true), (gavo_mjd, false)]
        .map(|(declaration, julian)| {
            let kernel: fn(&[ColumnarValue], usize) -> Result<ArrayRef> =
                if julian { |a, n| date(a, n, EPOCH_JD) } else { |a, n| date(a, n, EPOCH_MJD) };
            let returns = |types: &[DataType]| of_time(types).map(|()| Float64);
            Scalar::new(declaration, [], returns, kernel).any([1]).checked(check_text).declared()
        })
        .to_vec()
}

fn to_timestamps() -> Vec<Function> {
    let to_timestamp = declare!(
        Origin::Feature("features-adql-type", "CAST"), "CAST_TO_TIMESTAMP" as "adql_to_timestamp",
        ("s": "VARCHAR") -> "TIMESTAMP" | ("t": "TIMESTAMP") -> "TIMESTAMP",
        "What CAST(s AS TIMESTAMP) computes: the moment that a text `YYYY-MM-DD`, `YYYY-MM-DDThh:mm:ss` or \
         `YYYY-MM-DDThh:mm:ss.sss` names, with or without a `Z` at the end. NULL in a row with another text.",
        "CAST_TO_TIMESTAMP('1610-01-07T18:00:00')",
    );
    let jd = declare!(
        Origin::Almagest, "jd_to_timestamp" as "jd_to_timestamp", ("jd": "DOUBLE PRECISION") -> "TIMESTAMP",
        "The moment of a Julian date.", "jd_to_timestamp(2451546.0)",
    );
    let mjd = declare!(
        Origin::Almagest, "mjd_to_timestamp" as "mjd_to_timestamp", ("mjd": "DOUBLE PRECISION") -> "TIMESTAMP",
        "The moment of a modified Julian date.", "mjd_to_timestamp(51545.5)",
    );
    let given = |types: &[DataType]| of_time(types).map(|()| MICROSECONDS);
    let kernel = |a: &[ColumnarValue], n: usize| Ok(Arc::new(timestamps(&a[0], n)?) as ArrayRef);
    vec![
        Scalar::new(to_timestamp, [], given, kernel).any([1]).checked(check_text).declared(),
        Scalar::new(jd, [vec![Float64]], |_| Ok(MICROSECONDS), |a, n| moment(a, n, EPOCH_JD)).declared(),
        Scalar::new(mjd, [vec![Float64]], |_| Ok(MICROSECONDS), |a, n| moment(a, n, EPOCH_MJD)).declared(),
    ]
}

const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn of_time(types: &[DataType]) -> Result<()> {
    match &types[0] {
        Utf8 | Utf8View | LargeUtf8 | Null | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Ok(()),
        other => plan_err!("a moment is a TIMESTAMP or a text such as '2016-01-01T12:00:00', not {other}"),
    }
}

fn check_text(constants: &Constants<'_>) -> Result<()> {
    match constants[0].and_then(|value| value.try_as_str().flatten()) {
        Some(text) if parse(text).is_none() => plan_err!(
            "'{text}' is no timestamp: write YYYY-MM-DD or YYYY-MM-DDThh:mm:ss, with decimals of the seconds if there are any"
        ),
        _ => Ok(()),
    }
}

/// The moments that an argument names.
fn timestamps(argument: &ColumnarValue, rows: usize) -> Result<TimestampMicrosecondArray> {
    let array = argument.to_array(rows)?;
    let texts = match array.data_type() {
        Utf8 => array,
        Utf8View | LargeUtf8 => cast(&array, &Utf8)?,
        _ => return Ok(cast(&array, &MICROSECONDS)?.as_primitive::<TimestampMicrosecondType>().clone()),
    };
    let texts: &StringArray = texts.as_string();
    Ok(texts.iter().map(|text| text.and_then(parse)).collect())
}

fn date(arguments: &[ColumnarValue], rows: usize, epoch: f64) -> Result<ArrayRef> {
    let moments = timestamps(&arguments[0], rows)?;
    // Whole days and the rest apart: their sum is rounded once.
    let value = |moment: &i64| (moment.div_euclid(DAY) as f64 + epoch) + moment.rem_euclid(DAY) as f64 / DAY as f64;
    Ok(finite(moments.values().iter().map(value).collect(), moments.nulls().cloned()))
}

fn moment(arguments: &[ColumnarValue], rows: usize, epoch: f64) -> Result<ArrayRef> {
    let dates = reals(arguments)?;
    let present = present(&dates, rows);
    let moments = (0..rows).map(|row| {
        let days = dates[0].at(row) - epoch;
        let moment = (days * DAY as f64).round();
        (present.as_ref().is_none_or(|present| present.is_valid(row)) && moment.abs() < i64::MAX as f64)
            .then_some(moment as i64)
    });
    Ok(Arc::new(moments.collect::<TimestampMicrosecondArray>()))
}

/// The microseconds from 1970 to the moment that a text of DALI's form names. A space may stand for the `T`. A 60th second
/// is the first of the next minute.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim().as_bytes();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let years = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(4..=6).contains(&years) {
        return None;
    }
    let (year, text) = text.split_at(years);
    let year = number(year)? * if negative { -1 } else { 1 };
    let [b'-', m1, m2, b'-', d1, d2, clock @ ..] = text else { return None };
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    days_from_civil(year, month, day).checked_mul(DAY)?.checked_add(time_of_day(clock)?)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

fn time_of_day(clock: &[u8]) -> Option<i64> {
    let clock = clock.strip_suffix(b"Z").unwrap_or(clock);
    if clock.is_empty() {
        return Some(0);
    }
    let [b'T' | b' ', h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = clock else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = match fraction {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            (0..6).fold(0, |value, place| value * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0')))
        }
        _ => return None,
    };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. Years are counted from March, so that the leap day is the last, and in eras of 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::testing::{call, constant, doubles, text};

    /// The first two dates are the IVOA's examples. The others: `astropy.time.Time(text, scale="tai").jd`, but for the year
    /// -4712, where Julian days begin by definition (in the Gregorian calendar on November 24 of the year before).
    #[test]
    fn julian_dates_are_those_of_the_almanac() {
        for (moment, jd) in [
            ("2000-01-02T12:00:00", 2_451_546.0),
            ("1910-12-31T06:00:00", 2_419_036.75),
            ("1970-01-01", 2_440_587.5),
            ("1582-10-15T00:00:00Z", 2_299_160.5),
            ("2400-02-29 18:00:00.000", 2_597_701.25),
            ("-4713-11-24T12:00:00", 0.0),
        ] {
            assert_eq!(doubles("ivo_to_jd", &[text(&[Some(moment)])]), [Some(jd)], "{moment}");
            assert_eq!(doubles("gavo_to_mjd", &[text(&[Some(moment)])]), [Some(jd - 2_400_000.5)], "{moment}");
            let back = call("jd_to_timestamp", &[constant(jd)]).unwrap();
            assert_eq!(back.as_primitive::<TimestampMicrosecondType>().value(0), parse(moment).unwrap());
        }
    }

    #[test]
    fn timestamps_reach_beyond_nanoseconds_and_order_as_time_does() {
        let moments = ["-0001-01-01", "0000-02-29", "1600-01-01", "1969-12-31T23:59:59.999999", "9999-12-31T23:59:59"];
        let counted: Vec<i64> = moments.iter().map(|moment| parse(moment).unwrap()).collect();
        assert!(counted.is_sorted() && counted[3] == -1, "{counted:?}");
        assert_eq!(parse("2016-12-31T23:59:60"), parse("2017-01-01"));
    }

    #[test]
    fn what_names_no_moment_is_null_in_a_row_and_a_mistake_in_a_query() {
        for wrong in [
            "",
            "2000",
            "2000-13-01",
            "2001-02-29",
            "2000-01-01T24:00:00",
            "2000-01-01T1:00:00",
            "2000-01-01T00:00:00.",
            "x",
        ] {
            assert_eq!(doubles("ivo_to_jd", &[text(&[Some(wrong), None])]), [None, None], "{wrong}");
            let refusal = call("CAST_TO_TIMESTAMP", &[constant(wrong)]).unwrap_err().to_string();
            assert!(refusal.contains("is no timestamp"), "{refusal}");
        }
    }
}
