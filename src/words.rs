//! Numbers and times in sentences for people.

use chrono::{DateTime, Utc};

/// So many of a thing: "1 file", "2 files".
pub(crate) fn counted(number: impl Into<u64>, thing: &str) -> String {
    match number.into() {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// A moment, to the minute.
pub(crate) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A size in the unit that fits it.
pub(crate) fn size(bytes: u64) -> String {
    let in_units_of = |unit: f64| bytes as f64 / unit;
    match bytes {
        0..1_000 => counted(bytes, "byte"),
        1_000..1_000_000 => format!("{:.1} kB", in_units_of(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", in_units_of(1e6)),
        _ => format!("{:.1} GB", in_units_of(1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular_and_none_are_plural() {
        assert_eq!([0_u64, 1, 2].map(|number| counted(number, "row")), ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn a_size_is_told_in_the_unit_that_fits() {
        let told = [0, 1, 999, 1_000, 37_260, 1_500_000, 2_000_000_000].map(size);
        assert_eq!(told, ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "37.3 kB", "1.5 MB", "2.0 GB"]);
    }
}
