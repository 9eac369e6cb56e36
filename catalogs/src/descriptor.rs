//! `almagest/catalog.json`: what a version of a table is, apart from its columns and files.
//!
//! It is written after everything else, so that a folder without it is no catalogue, and `open` starts from it. The
//! number of its format grows when an older program would misread a newer catalogue; keys that are merely new are
//! ignored by one that does not know them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{CatalogError, layout};

/// What a version of a table is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The number of the format, [`Descriptor::FORMAT`].
    pub format: u32,
    /// `schema.table`.
    pub name: String,
    /// What its rows are.
    pub kind: Kind,
    /// Where the data files are, if they are not in the version's own folder.
    #[serde(default, with = "url_text", skip_serializing_if = "Option::is_none")]
    pub data: Option<Url>,
    /// How many rows it has.
    pub rows: u64,
    /// A sentence about the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the person who made this version said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The position columns, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The column with the HEALPix cell of the position, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healpix: Option<HealpixColumn>,
    /// Whether the rows of each file ascend by the HEALPix column.
    #[serde(default)]
    pub sorted: bool,
    /// The column that is a unique key, if one was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The column whose values tell where a row is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_encodes: Option<IdEncodes>,
    /// The table whose partitions this one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub director: Option<Director>,
    /// The two tables whose rows its rows pair, if it is a match table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairs>,
    /// Whether no floating column has a NaN: then what is missing is NULL, and statistics tell all.
    #[serde(default)]
    pub nan_is_null: bool,
    /// The margins that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub margins: Vec<MarginMember>,
    /// The indexes that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexMember>,
    /// The columns that a reader gets who names none; all, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_columns: Vec<String>,
    /// Keys of provenance from the `hats.properties` of somebody else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Harmless deviations from the standard that were found when it was attached. Those that begin with
    /// [`Descriptor::LEFT_OUT`] are of margins and indexes that are not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When this version was made.
    #[serde(with = "time_text")]
    pub created: DateTime<Utc>,
    /// The program that made it.
    pub builder: String,
}

/// What the rows of a table are, in the words of HATS, and `table` for those without positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One row an object of the sky.
    Object,
    /// One row a detection.
    Source,
    /// Copies of the rows around each partition.
    Margin,
    /// Pairs of rows of two tables.
    Association,
    /// Where the values of a column are to be found.
    Index,
    /// Values of areas of the sky.
    Map,
    /// Rows without positions.
    Table,
}

/// The columns of the position, in degrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Right ascension.
    pub ra: String,
    /// Declination.
    pub dec: String,
    /// How far a row's own position may be from the cells that its file says its rows are in: above zero where rows are
    /// kept with the row of another table that they belong to.
    #[serde(default)]
    pub slack_arcsec: f64,
}

/// The column with the nested HEALPix cell of each row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealpixColumn {
    /// Its name.
    pub column: String,
    /// The order of the cells.
    pub order: u8,
}

/// A column of whole numbers that begin, in binary, with a nested HEALPix cell: `value >> shift` is the cell of `order`
/// that the row's position is in, or is near to. Gaia's `source_id` is one, of order 12 above 35 other bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdEncodes {
    /// Its name. It is never NULL and never negative.
    pub column: String,
    /// The order of the cells.
    pub order: u8,
    /// How many bits follow the cell.
    pub shift: u8,
    /// How far a row's position is from the cell that its value names, at most; zero where all rows are inside. It was
    /// measured over all rows.
    pub slack_arcsec: f64,
}

/// The table whose partitions another one follows, row by row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Director {
    /// `schema.table`.
    pub table: String,
    /// The column here that names the row there.
    pub key: String,
    /// The column there that it names.
    pub id: String,
}

/// Each row names a row of one table and a row of another, and lies where the first of them does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// The table in whose order of the sky the pairs are kept.
    pub left: Partner,
    /// The other one.
    pub right: Partner,
}

/// A table whose rows are paired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partner {
    /// `schema.table`.
    pub table: String,
    /// Its version when the pairs were made.
    pub version: u32,
    /// The snapshot of that version: what is said here is true of it, and may not be of another one.
    pub snapshot: String,
    /// The column there that names each row once.
    pub id: String,
    /// The column here that holds such a name.
    pub column: String,
    /// How far a row there may be from the row here that names it, at most.
    pub separation_arcsec: f64,
}

/// A margin of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarginMember {
    /// Its folder below the version's.
    pub folder: String,
    /// Its width.
    pub arcsec: f64,
    /// How many rows it has, each copy counted.
    pub rows: u64,
    /// How many files.
    pub files: u64,
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMember {
    /// Its folder below the version's.
    pub folder: String,
    /// The column whose values it finds.
    pub column: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many files.
    pub files: u64,
}

impl Descriptor {
    /// The format that this program writes, and the highest that it reads.
    pub const FORMAT: u32 = 1;

    /// How a warning begins that tells why a margin or an index of a foreign collection is not used.
    pub const LEFT_OUT: &str = "left out: ";

    /// As it is stored.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, CatalogError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| CatalogError::io(format!("writing {}", layout::DESCRIPTOR), error.into()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads what was stored. `root` is named in the sentence when it is damaged or too new.
    pub(crate) fn decode(text: &[u8], root: &str) -> Result<Self, CatalogError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |error| CatalogError::catalog(root, format!("its {} is damaged: {error}", layout::DESCRIPTOR));
        let Format { format } = serde_json::from_slice(text).map_err(damaged)?;
        if format > Self::FORMAT {
            let why = format!(
                "it was written by a newer almagest, in format {format}; this one reads up to format {}",
                Self::FORMAT
            );
            return Err(CatalogError::catalog(root, why));
        }
        serde_json::from_slice(text).map_err(damaged)
    }
}

mod url_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use url::Url;

    pub(super) fn serialize<S: Serializer>(url: &Option<Url>, serializer: S) -> Result<S::Ok, S::Error> {
        match url {
            Some(url) => serializer.serialize_some(url.as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Url::parse(&text).map_err(|error| D::Error::custom(format!("'{text}' is no URL: {error}"))))
            .transpose()
    }
}

mod time_text {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text)
            .map_err(|error| D::Error::custom(format!("'{text}' is no time: {error}")))?;
        Ok(time.with_timezone(&Utc))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A table of three rows with positions and nothing else.
    pub(crate) fn stars() -> Descriptor {
        Descriptor {
            format: Descriptor::FORMAT,
            name: "demo.stars".into(),
            kind: Kind::Object,
            data: None,
            rows: 3,
            description: None,
            note: None,
            position: Some(Position { ra: "ra".into(), dec: "dec".into(), slack_arcsec: 0.0 }),
            healpix: None,
            sorted: false,
            id: None,
            id_encodes: None,
            director: None,
            pairs: None,
            nan_is_null: true,
            margins: Vec::new(),
            indexes: Vec::new(),
            default_columns: Vec::new(),
            properties: BTreeMap::new(),
            warnings: Vec::new(),
            created: DateTime::from_timestamp(1_800_000_000, 123_000).unwrap(),
            builder: "almagest 0.1.0".into(),
        }
    }

    fn partner(name: &str) -> Partner {
        Partner {
            table: format!("demo.{name}"),
            version: 3,
            snapshot: "0123abcd".into(),
            id: "source_id".into(),
            column: format!("id_{name}"),
            separation_arcsec: 0.0,
        }
    }

    #[test]
    fn a_descriptor_is_read_as_it_was_written() {
        let full = Descriptor {
            data: Some(Url::parse("s3://bucket/pre%20fix/").unwrap()),
            description: Some("Sterne, \"fürs\" Auge".into()),
            healpix: Some(HealpixColumn { column: "_healpix_29".into(), order: 29 }),
            id_encodes: Some(IdEncodes { column: "id".into(), order: 12, shift: 35, slack_arcsec: 1.25 }),
            director: Some(Director { table: "demo.objects".into(), key: "objectId".into(), id: "id".into() }),
            pairs: Some(Pairs { left: partner("a"), right: Partner { separation_arcsec: 1.5, ..partner("b") } }),
            margins: vec![MarginMember { folder: "stars_10arcsec".into(), arcsec: 10.0, rows: 5, files: 2 }],
            indexes: vec![IndexMember { folder: "stars_by_id".into(), column: "id".into(), rows: 3, files: 1 }],
            properties: [("bib_reference".to_owned(), "2026A&A...1".to_owned())].into(),
            ..stars()
        };
        for descriptor in [stars(), full] {
            assert_eq!(Descriptor::decode(&descriptor.encode().unwrap(), "r").unwrap(), descriptor);
        }
    }

    #[test]
    fn a_newer_format_is_refused_before_its_other_keys_are_looked_at() {
        let sentence = Descriptor::decode(br#"{"format": 2, "name": ["new"]}"#, "r").unwrap_err().to_string();
        assert!(sentence.contains("written by a newer almagest, in format 2"), "{sentence}");
    }

    #[test]
    fn what_is_damaged_is_said_to_be_and_a_new_key_is_no_damage() {
        for text in ["", "{}", "<html>", r#"{"format": 1}"#] {
            let sentence = Descriptor::decode(text.as_bytes(), "catalogs/x").unwrap_err().to_string();
            assert!(sentence.contains("catalogs/x") && sentence.contains("catalog.json is damaged"), "{sentence}");
        }
        let text = String::from_utf8(stars().encode().unwrap()).unwrap();
        let newer = text.replacen('{', r#"{"colour": "red","#, 1);
        assert_eq!(Descriptor::decode(newer.as_bytes(), "r").unwrap(), stars());
    }
}
