//! How a format is asked for, and the media type that the answer carries.

use std::str::FromStr;

/// A format, as precisely as the client asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// VOTable with TABLEDATA, and the media type that it was asked by.
    VoTable(VoTableType),
    /// Comma-separated values, with or without a first line of names.
    Csv {
        /// Whether the first line has the names of the columns.
        header: bool,
    },
    /// A JSON array of objects.
    Json,
    /// A JSON object a line.
    NdJson,
    /// Aligned columns for a person.
    Table,
    /// Parquet.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

/// The media types that mean a VOTable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VoTableType {
    /// `application/x-votable+xml`
    #[default]
    Plain,
    /// `application/x-votable+xml;serialization=TABLEDATA`
    TableData,
    /// `text/xml`
    TextXml,
}

/// Nobody here writes the format that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The format {0:?} is not offered; ask for votable, csv, json, ndjson, text, parquet or arrow.")]
pub struct UnknownFormat(pub String);

impl Format {
    /// The media type of the answer: the one that was asked for, where one was.
    pub fn mime(self) -> &'static str {
        match self {
            Self::VoTable(VoTableType::Plain) => "application/x-votable+xml",
            Self::VoTable(VoTableType::TableData) => "application/x-votable+xml;serialization=TABLEDATA",
            Self::VoTable(VoTableType::TextXml) => "text/xml",
            Self::Csv { header: true } => "text/csv;charset=utf-8;header=present",
            Self::Csv { header: false } => "text/csv;charset=utf-8;header=absent",
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Table => "text/plain;charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::VoTable(VoTableType::default())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    /// Reads a short name or a media type, in any case and with blanks around the semicolons.
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let unknown = || UnknownFormat(text.to_owned());
        let folded = text.to_ascii_lowercase();
        let mut parts = folded.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut format = match name {
            "votable" | "application/x-votable+xml" => Self::VoTable(VoTableType::Plain),
            "votable/td" => Self::VoTable(VoTableType::TableData),
            "text/xml" => Self::VoTable(VoTableType::TextXml),
            "csv" | "text/csv" => Self::Csv { header: true },
            "json" | "application/json" => Self::Json,
            "ndjson" | "application/x-ndjson" => Self::NdJson,
            "text" | "text/plain" => Self::Table,
            "parquet" | "application/vnd.apache.parquet" => Self::Parquet,
            "arrow" | "application/vnd.apache.arrow.stream" => Self::Arrow,
            _ => return Err(unknown()),
        };
        for parameter in parts {
            let (key, value) = parameter.split_once('=').ok_or_else(unknown)?;
            match (&mut format, key.trim(), value.trim().trim_matches('"')) {
                (_, "charset", "utf-8") => {}
                (Self::VoTable(asked), "serialization", "tabledata") => {
                    if *asked == VoTableType::Plain {
                        *asked = VoTableType::TableData;
                    }
                }
                (Self::Csv { header }, "header", "present") => *header = true,
                (Self::Csv { header }, "header", "absent") => *header = false,
                _ => return Err(unknown()),
            }
        }
        Ok(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_asked_by_media_type_is_answered_with_that_type() {
        for (asked, sent) in [
            ("votable", "application/x-votable+xml"),
            ("VOTable", "application/x-votable+xml"),
            ("application/x-votable+xml", "application/x-votable+xml"),
            ("votable/td", "application/x-votable+xml;serialization=TABLEDATA"),
            (
                "application/x-votable+xml ; Serialization=\"tabledata\"",
                "application/x-votable+xml;serialization=TABLEDATA",
            ),
            ("text/xml", "text/xml"),
            ("csv", "text/csv;charset=utf-8;header=present"),
            ("TEXT/CSV", "text/csv;charset=utf-8;header=present"),
            ("text/csv; header=absent", "text/csv;charset=utf-8;header=absent"),
            ("text/csv; charset=UTF-8", "text/csv;charset=utf-8;header=present"),
        ] {
            assert_eq!(asked.parse::<Format>().map(Format::mime), Ok(sent), "{asked}");
        }
    }

    #[test]
    fn a_format_that_nobody_writes_is_refused_and_never_replaced() {
        for asked in [
            "",
            "fits",
            "votable/b2",
            "application/x-votable+xml;serialization=BINARY2",
            "text/html",
            "json;header=present",
            "text/csv;header=maybe",
            "text/csv;header",
            "text/csv;charset=latin-1",
            "csv;serialization=tabledata",
        ] {
            let refusal = asked.parse::<Format>().unwrap_err().to_string();
            assert_eq!(
                refusal,
                format!(
                    "The format {asked:?} is not offered; ask for votable, csv, json, ndjson, text, parquet or arrow."
                )
            );
        }
    }
}
