//! Which columns hold the positions of a table: by what the Virtual Observatory calls them, or by their names.
//!
//! A guess is made at an import only, and told; a stored catalogue says which columns they are.

use arrow::datatypes::{DataType, Field, Schema};
use formats::ColumnMeta;

/// The columns that hold a row's position, in degrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionColumns {
    /// Right ascension.
    pub ra: String,
    /// Declination.
    pub dec: String,
}

/// Pairs of names that mean a position when nothing better is said.
const KNOWN_NAMES: [(&str, &str); 5] =
    [("ra", "dec"), ("raj2000", "dej2000"), ("ra_icrs", "de_icrs"), ("s_ra", "s_dec"), ("ra_deg", "dec_deg")];

impl PositionColumns {
    /// Recognises the position columns of a schema: by main UCDs first, then by well-known names in any case.
    pub fn recognise(schema: &Schema) -> Option<Self> {
        let numeric = |field: &&std::sync::Arc<Field>| {
            matches!(field.data_type(), DataType::Float64 | DataType::Float32) || field.data_type().is_integer()
        };
        let by_ucd = |ucd: &str| {
            let mut found =
                schema.fields().iter().filter(numeric).filter(|field| ColumnMeta::of(field).ucd == Some(ucd));
            found.next().map(|field| field.name().clone())
        };
        if let (Some(ra), Some(dec)) = (by_ucd("pos.eq.ra;meta.main"), by_ucd("pos.eq.dec;meta.main")) {
            return Some(Self { ra, dec });
        }
        let by_name = |name: &str| {
            let mut found =
                schema.fields().iter().filter(numeric).filter(|field| field.name().eq_ignore_ascii_case(name));
            found.next().map(|field| field.name().clone())
        };
        KNOWN_NAMES.iter().find_map(|(ra, dec)| Some(Self { ra: by_name(ra)?, dec: by_name(dec)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, ucd: Option<&str>) -> Field {
        let metadata = ucd.map(|ucd| ("vo:ucd".to_owned(), ucd.to_owned())).into_iter().collect();
        Field::new(name, DataType::Float64, true).with_metadata(metadata)
    }

    #[test]
    fn a_main_ucd_wins_over_a_name() {
        let schema = Schema::new(vec![
            column("ra", None),
            column("dec", None),
            column("alpha", Some("pos.eq.ra;meta.main")),
            column("delta", Some("pos.eq.dec;meta.main")),
        ]);
        let found = PositionColumns::recognise(&schema).unwrap();
        assert_eq!((found.ra.as_str(), found.dec.as_str()), ("alpha", "delta"));
    }

    #[test]
    fn names_are_recognised_in_any_case_and_half_a_pair_is_none() {
        let found = PositionColumns::recognise(&Schema::new(vec![column("RAJ2000", None), column("DEJ2000", None)]));
        assert_eq!(found.unwrap().ra, "RAJ2000");
        assert_eq!(PositionColumns::recognise(&Schema::new(vec![column("ra", None)])), None);
    }
}
