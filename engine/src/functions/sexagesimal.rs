//! Angles written in hours, minutes and seconds, or in degrees, minutes and seconds.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array},
        datatypes::DataType::Utf8,
    },
    error::Result,
    logical_expr::ColumnarValue,
};

use super::{
    Function, Origin,
    declaration::declare,
    scalar::{Scalar, double},
    strings::texts,
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let hms = declare!(
        Origin::Ivoa, "ivo_hms_to_degrees" as "ivo_hms_to_degrees", ("hms": "VARCHAR") -> "DOUBLE PRECISION",
        "Degrees of a right ascension written as `3:34:45.4`, `033445.4`, `3 34 45.4` or `3h34m45.4s`; NULL for other texts.",
        "ivo_hms_to_degrees('3:34:45.4')",
    );
    let dms = declare!(
        Origin::Ivoa, "ivo_dms_to_degrees" as "ivo_dms_to_degrees", ("dms": "VARCHAR") -> "DOUBLE PRECISION",
        "Degrees of a declination written as `-12:34:45.4`, `-123445.4`, `-12 34 45.4` or `-12d34m45.4s`; NULL for other texts.",
        "ivo_dms_to_degrees('-00:15:00')",
    );
    vec![
        Scalar::new(hms, [vec![Utf8]], double, |a, n| parsed(a, n, hours)).declared(),
        Scalar::new(dms, [vec![Utf8]], double, |a, n| parsed(a, n, degrees)).declared(),
    ]
}

fn parsed(arguments: &[ColumnarValue], rows: usize, parse: fn(&str) -> Option<f64>) -> Result<ArrayRef> {
    let texts = texts(&arguments[0], rows)?;
    Ok(Arc::new(texts.iter().map(|text| text.and_then(parse)).collect::<Float64Array>()))
}

fn hours(text: &str) -> Option<f64> {
    let text = text.trim();
    sexagesimal(text, b"hH").filter(|hours| *hours <= 24.0).map(|hours| hours * 15.0)
}

fn degrees(text: &str) -> Option<f64> {
    let text = text.trim();
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    sexagesimal(rest.trim_start(), b"dD").filter(|degrees| *degrees <= 360.0).map(|degrees| sign * degrees)
}

/// The value of units, minutes and seconds, with `unit` as the letter of the units.
fn sexagesimal(text: &str, unit: &[u8]) -> Option<f64> {
    if !text.is_ascii() {
        return None;
    }
    let marked = text.bytes().any(|byte| unit.contains(&byte));
    let parts: [&str; 3] = if marked {
        let (units, rest) = text.split_once(|c| u8::try_from(c).is_ok_and(|c| unit.contains(&c)))?;
        let (minutes, seconds) = rest.split_once(['m', 'M'])?;
        [units, minutes, seconds.strip_suffix(['s', 'S'])?]
    } else if let Some(separator) = [':', ' '].into_iter().find(|separator| text.contains(*separator)) {
        let mut parts = text.split(separator).filter(|part| separator == ':' || !part.is_empty());
        let three = [parts.next()?, parts.next()?, parts.next()?];
        parts.next().is_none().then_some(three)?
    } else {
        // Without any mark the last two digits before the point are seconds, the two before them minutes.
        let whole = text.find('.').unwrap_or(text.len());
        let (minutes, seconds) = (whole.checked_sub(4)?, whole - 2);
        [&text[..minutes], &text[minutes..seconds], &text[seconds..]]
    };
    let [units, minutes, seconds] = parts.map(str::trim);
    let whole = |part: &str| {
        let digits = !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<f64>().ok()).flatten()
    };
    let decimal = |part: &str| {
        let starts = part.starts_with(|c: char| c.is_ascii_digit());
        (starts && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
            .then(|| part.parse::<f64>().ok())
            .flatten()
    };
    let (units, minutes, seconds) = (whole(units)?, whole(minutes)?, decimal(seconds)?);
    (minutes < 60.0 && seconds < 60.0).then(|| units + (minutes * 60.0 + seconds) / 3600.0)
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::{doubles, text};

    fn close(name: &str, written: &str, expected: f64) {
        let found = doubles(name, &[text(&[Some(written)])])[0].unwrap_or(f64::NAN);
        assert!((found - expected).abs() < 1e-12, "{name}('{written}') = {found}");
    }

    /// 3:34:45.4 → 53.6891667, -00:15:00 → -0.25 and 42d9m6.768s → 42.15188 are the IVOA's examples; more digits by hand.
    #[test]
    fn all_ways_to_write_an_angle_mean_the_same() {
        for written in ["3:34:45.4", "033445.4", "3h34m45.4s", "3H34M45.4S", " 03 34 45.4 "] {
            close("ivo_hms_to_degrees", written, 15.0 * (3.0 + (34.0 * 60.0 + 45.4) / 3600.0));
        }
        close("ivo_dms_to_degrees", "-00:15:00", -0.25);
        close("ivo_dms_to_degrees", "42d9m6.768s", 42.151_88);
        close("ivo_dms_to_degrees", "+420906.768", 42.151_88);
        close("ivo_dms_to_degrees", "-0d0m1s", -1.0 / 3600.0);
    }

    #[test]
    fn what_is_no_angle_is_null() {
        for written in [
            "", "12", "3:34", "3:61:00", "3:00:60", "a:b:c", "25:00:00", "3h34m", "1:2:3:4", "3:-4:5", "1:2:1e1", "3ʰ4",
        ] {
            assert_eq!(doubles("ivo_hms_to_degrees", &[text(&[Some(written), None])]), [None, None], "{written}");
        }
        assert_eq!(doubles("ivo_dms_to_degrees", &[text(&[Some("--1:2:3")])]), [None]);
    }
}
