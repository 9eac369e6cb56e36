//! Sizes in sentences for people.

/// A size in the unit that fits it, in powers of a thousand.
pub fn size(bytes: u64) -> String {
    let in_units_of = |unit: f64| bytes as f64 / unit;
    match bytes {
        1 => "1 byte".to_owned(),
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", in_units_of(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", in_units_of(1e6)),
        _ => format!("{:.1} GB", in_units_of(1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_told_in_the_unit_that_fits() {
        let told = [0, 1, 999, 1_000, 37_260, 1_500_000, 2_000_000_000].map(size);
        assert_eq!(told, ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "37.3 kB", "1.5 MB", "2.0 GB"]);
    }
}
