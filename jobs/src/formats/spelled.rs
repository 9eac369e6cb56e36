//! Numbers and times as text, without an allocation for each.
//!
//! A float is the shortest text that reads back as the same float. A time is ISO 8601 without a zone, with three, six
//! or nine decimals where it needs some.

use arrow::{datatypes::TimeUnit, temporal_conversions as temporal};

use super::cells::NoText;

const DAY: i64 = 86_400;

/// Appends an integer.
pub(super) fn push_integer(value: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Appends a float that is a number, and no infinity.
pub(super) fn push_finite(value: impl zmij::Float, out: &mut String) {
    out.push_str(zmij::Buffer::new().format_finite(value));
}

/// Appends bytes as hexadecimal digits.
pub(super) fn push_hexadecimal(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Appends a point in time, counted from 1970.
pub(super) fn push_instant(value: i64, unit: TimeUnit, out: &mut String) -> Result<(), NoText> {
    let (seconds, nanoseconds) = split(value, unit);
    let mut text = Digits::default();
    if text.date(seconds.div_euclid(DAY)) {
        text.push(b'T');
        text.clock(seconds.rem_euclid(DAY) as u32, nanoseconds);
        out.push_str(text.as_str());
        return Ok(());
    }
    // Years that four digits do not hold.
    let instant = match unit {
        TimeUnit::Second => temporal::timestamp_s_to_datetime(value),
        TimeUnit::Millisecond => temporal::timestamp_ms_to_datetime(value),
        TimeUnit::Microsecond => temporal::timestamp_us_to_datetime(value),
        TimeUnit::Nanosecond => temporal::timestamp_ns_to_datetime(value),
    };
    out.push_str(&format!("{:?}", instant.ok_or(NoText)?));
    Ok(())
}

/// Appends a day, counted from 1970.
pub(super) fn push_day(value: i64, out: &mut String) -> Result<(), NoText> {
    let mut text = Digits::default();
    if text.date(value) {
        out.push_str(text.as_str());
    } else {
        let day = i32::try_from(value).ok().and_then(temporal::date32_to_datetime);
        out.push_str(&format!("{:?}", day.ok_or(NoText)?.date()));
    }
    Ok(())
}

/// Appends a time of day, counted from midnight.
pub(super) fn push_clock(value: i64, unit: TimeUnit, out: &mut String) -> Result<(), NoText> {
    let (seconds, nanoseconds) = split(value, unit);
    if !(0..DAY).contains(&seconds) {
        return Err(NoText);
    }
    let mut text = Digits::default();
    text.clock(seconds as u32, nanoseconds);
    out.push_str(text.as_str());
    Ok(())
}

/// Whole seconds, and the nanoseconds after them.
fn split(value: i64, unit: TimeUnit) -> (i64, u32) {
    match unit {
        TimeUnit::Second => (value, 0),
        TimeUnit::Millisecond => (value.div_euclid(1_000), value.rem_euclid(1_000) as u32 * 1_000_000),
        TimeUnit::Microsecond => (value.div_euclid(1_000_000), value.rem_euclid(1_000_000) as u32 * 1_000),
        TimeUnit::Nanosecond => (value.div_euclid(1_000_000_000), value.rem_euclid(1_000_000_000) as u32),
    }
}

/// The longest of these texts, `9999-12-31T23:59:59.999999999`, has so many characters.
const LONGEST: usize = 29;

/// A text of digits and what is between them.
#[derive(Default)]
struct Digits {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Digits {
    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn two(&mut self, value: u32) {
        self.bytes[self.length] = b'0' + (value / 10) as u8;
        self.bytes[self.length + 1] = b'0' + (value % 10) as u8;
        self.length += 2;
    }

    fn as_str(&self) -> &str {
        // They are ASCII.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// Adds a day, counted from 1970, whose year has four digits; false if it has not.
    fn date(&mut self, days: i64) -> bool {
        // From the first day of the year 0 to the last of 9999.
        if !(-719_528..=2_932_896).contains(&days) {
            return false;
        }
        // The calendar repeats itself every 400 years, and the year begins in March, so that a leap day ends it. One era
        // more keeps the first of them above zero.
        let days = (days + 719_468 + 146_097) as u32;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march + 2) / 5 + 1;
        let month = if march < 10 { march + 3 } else { march - 9 };
        let year = year_of_era + era * 400 + u32::from(month <= 2) - 400;
        self.two(year / 100);
        self.two(year % 100);
        self.push(b'-');
        self.two(month);
        self.push(b'-');
        self.two(day);
        true
    }

    /// Adds a time of day.
    fn clock(&mut self, seconds: u32, nanoseconds: u32) {
        self.two(seconds / 3_600);
        self.push(b':');
        self.two(seconds / 60 % 60);
        self.push(b':');
        self.two(seconds % 60);
        let (decimals, mut fraction) = match nanoseconds {
            0 => return,
            n if n % 1_000_000 == 0 => (3, n / 1_000_000),
            n if n % 1_000 == 0 => (6, n / 1_000),
            n => (9, n),
        };
        self.push(b'.');
        for digit in self.bytes[self.length..self.length + decimals].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        self.length += decimals;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(value: i64, unit: TimeUnit) -> Option<String> {
        let mut out = String::new();
        push_instant(value, unit, &mut out).ok().map(|()| out)
    }

    /// What the library of calendars prints.
    fn printed(value: i64, unit: TimeUnit) -> Option<String> {
        let instant = match unit {
            TimeUnit::Second => temporal::timestamp_s_to_datetime(value),
            TimeUnit::Millisecond => temporal::timestamp_ms_to_datetime(value),
            TimeUnit::Microsecond => temporal::timestamp_us_to_datetime(value),
            TimeUnit::Nanosecond => temporal::timestamp_ns_to_datetime(value),
        };
        instant.map(|instant| format!("{instant:?}"))
    }

    #[test]
    fn every_day_of_a_thousand_years_around_each_end_of_the_calendar_is_the_one_that_a_library_prints() {
        for day in (-1_000_000..-600_000).step_by(7).chain(-150_000..150_000).chain((2_700_000..3_200_000).step_by(5)) {
            let mut out = String::new();
            push_day(day, &mut out).unwrap();
            assert_eq!(out, format!("{:?}", temporal::date32_to_datetime(day as i32).unwrap().date()), "{day}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_what_a_library_prints(value: i64, small in -300_000_000_000_000_i64..300_000_000_000_000) {
            for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
                prop_assert_eq!(instant(value, unit), printed(value, unit));
                prop_assert_eq!(instant(small, unit), printed(small, unit));
            }
        }

        #[test]
        fn bytes_are_two_digits_each(bytes: Vec<u8>) {
            let mut out = String::new();
            push_hexadecimal(&bytes, &mut out);
            let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(out, expected);
        }
    }
}
