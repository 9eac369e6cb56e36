//! How a format is asked for, by short name or media type, and the media type that the answer carries.

use std::{fmt, str::FromStr};

/// A format, as precisely as it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// What the answer is written as.
    pub form: Form,
    /// What the document is packed with.
    pub packing: Option<Packing>,
    /// A last line, or a last object, says whether the answer is complete: CSV, TSV, JSON and NDJSON only.
    pub status_line: bool,
}

/// What an answer is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// VOTable.
    VoTable {
        /// How the rows are written.
        rows: Serialization,
        /// How it was asked for.
        asked: VoTableType,
    },
    /// A FITS binary table.
    Fits,
    /// Comma-separated values.
    Csv {
        /// Whether the first line has the names of the columns.
        header: bool,
    },
    /// Values separated by tabs, quoted as in CSV.
    Tsv {
        /// Whether the first line has the names of the columns.
        header: bool,
    },
    /// A JSON array of objects.
    Json,
    /// A JSON object a line.
    NdJson,
    /// Parquet, with the VOTable of its columns in its metadata.
    Parquet,
    /// An Arrow IPC stream.
    ArrowStream,
    /// An Arrow IPC file.
    ArrowFile,
    /// A page with the first rows.
    Html,
    /// Aligned columns for a person.
    Text,
}

/// How a VOTable holds its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serialization {
    /// Text in XML.
    #[default]
    TableData,
    /// Numbers as they are; values stand for NULL.
    Binary,
    /// Numbers as they are, and flags for NULL.
    Binary2,
}

/// The media types that mean a VOTable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VoTableType {
    /// `application/x-votable+xml`
    #[default]
    Plain,
    /// `application/x-votable+xml;serialization=…`
    Serialized,
    /// `text/xml`
    TextXml,
}

/// What a document is packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip, which everybody unpacks.
    Gzip,
    /// Zstandard, faster and smaller.
    Zstd,
    /// bzip2, slow and small.
    Bzip2,
}

/// A format that is offered: for lists of them.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// The short name.
    pub name: &'static str,
    /// Other endings of file names, and names, that mean the same.
    pub also: &'static [&'static str],
    /// The media type.
    pub mime: &'static str,
    /// What it is, in words.
    pub about: &'static str,
    form: Form,
}

const fn votable(rows: Serialization, asked: VoTableType) -> Form {
    Form::VoTable { rows, asked }
}

/// All formats. The first is the one of whoever says nothing.
pub(super) const OFFERED: [Offered; 13] = [
    Offered {
        name: "votable",
        also: &["vot", "xml"],
        mime: "application/x-votable+xml",
        about: "VOTable 1.4 (TABLEDATA)",
        form: votable(Serialization::TableData, VoTableType::Plain),
    },
    Offered {
        name: "votable/td",
        also: &[],
        mime: "application/x-votable+xml;serialization=TABLEDATA",
        about: "The same by its full name",
        form: votable(Serialization::TableData, VoTableType::Serialized),
    },
    Offered {
        name: "votable/b2",
        also: &[],
        mime: "application/x-votable+xml;serialization=BINARY2",
        about: "VOTable 1.4 (BINARY2), the quickest one",
        form: votable(Serialization::Binary2, VoTableType::Serialized),
    },
    Offered {
        name: "votable/b",
        also: &[],
        mime: "application/x-votable+xml;serialization=BINARY",
        about: "VOTable 1.4 (BINARY), for old readers",
        form: votable(Serialization::Binary, VoTableType::Serialized),
    },
    Offered {
        name: "fits",
        also: &["fit"],
        mime: "application/fits",
        about: "A FITS binary table, with its VOTable in the first HDU",
        form: Form::Fits,
    },
    Offered {
        name: "csv",
        also: &[],
        mime: "text/csv",
        about: "Comma-separated values with a header line",
        form: Form::Csv { header: true },
    },
    Offered {
        name: "tsv",
        also: &["tab"],
        mime: "text/tab-separated-values",
        about: "The same with tabs",
        form: Form::Tsv { header: true },
    },
    Offered { name: "json", also: &[], mime: "application/json", about: "A JSON array of objects", form: Form::Json },
    Offered {
        name: "ndjson",
        also: &["jsonl"],
        mime: "application/x-ndjson",
        about: "A JSON object a line",
        form: Form::NdJson,
    },
    Offered {
        name: "parquet",
        also: &["pq"],
        mime: "application/vnd.apache.parquet",
        about: "Parquet (VOParquet)",
        form: Form::Parquet,
    },
    Offered {
        name: "arrow",
        also: &["arrows"],
        mime: "application/vnd.apache.arrow.stream",
        about: "An Arrow IPC stream",
        form: Form::ArrowStream,
    },
    Offered {
        name: "feather",
        also: &[],
        mime: "application/vnd.apache.arrow.file",
        about: "An Arrow IPC file (Feather 2)",
        form: Form::ArrowFile,
    },
    Offered { name: "html", also: &["htm"], mime: "text/html", about: "A page with the first rows", form: Form::Html },
];

/// The table for a person, which has names of its own at each door.
const TEXT: Offered = Offered {
    name: "text",
    also: &["txt", "table"],
    mime: "text/plain",
    about: "Aligned columns for a person",
    form: Form::Text,
};

/// Media types that mean one of the above.
const OTHER_TYPES: [(&str, Form); 6] = [
    ("text/xml", votable(Serialization::TableData, VoTableType::TextXml)),
    ("application/x-votable", votable(Serialization::TableData, VoTableType::Plain)),
    ("application/x-fits", Form::Fits),
    ("application/jsonl", Form::NdJson),
    ("application/x-parquet", Form::Parquet),
    ("application/parquet", Form::Parquet),
];

/// Nobody here writes the format that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(pub String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The format {:?} is not offered; ask for ", self.0)?;
        for offered in OFFERED {
            write!(f, "{}, ", offered.name)?;
        }
        write!(f, "or {}.", TEXT.name)
    }
}

impl std::error::Error for UnknownFormat {}

impl Form {
    /// Whether it is text, and can be packed and shown on a terminal.
    pub fn is_text(self) -> bool {
        !matches!(self, Self::Fits | Self::Parquet | Self::ArrowStream | Self::ArrowFile)
    }

    /// Whether the document can be packed: the others are packed in themselves.
    fn is_packable(self) -> bool {
        self.is_text() || self == Self::Fits
    }

    fn takes_a_status_line(self) -> bool {
        matches!(self, Self::Csv { .. } | Self::Tsv { .. } | Self::Json | Self::NdJson)
    }

    /// The media type: the one that was asked for, where one was.
    fn mime(self) -> &'static str {
        match self {
            Self::VoTable { asked: VoTableType::Plain, .. } => "application/x-votable+xml",
            Self::VoTable { asked: VoTableType::TextXml, .. } => "text/xml",
            Self::VoTable { rows, asked: VoTableType::Serialized } => match rows {
                Serialization::TableData => "application/x-votable+xml;serialization=TABLEDATA",
                Serialization::Binary => "application/x-votable+xml;serialization=BINARY",
                Serialization::Binary2 => "application/x-votable+xml;serialization=BINARY2",
            },
            Self::Fits => "application/fits",
            Self::Csv { header: true } => "text/csv;charset=utf-8;header=present",
            Self::Csv { header: false } => "text/csv;charset=utf-8;header=absent",
            Self::Tsv { header: true } => "text/tab-separated-values;charset=utf-8;header=present",
            Self::Tsv { header: false } => "text/tab-separated-values;charset=utf-8;header=absent",
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::ArrowStream => "application/vnd.apache.arrow.stream",
            Self::ArrowFile => "application/vnd.apache.arrow.file",
            Self::Html => "text/html;charset=utf-8",
            Self::Text => "text/plain;charset=utf-8",
        }
    }
}

impl Default for Form {
    fn default() -> Self {
        OFFERED[0].form
    }
}

impl Packing {
    /// How the ending of a file name says it.
    const ENDINGS: [(&str, Self); 4] =
        [("gz", Self::Gzip), ("zst", Self::Zstd), ("zstd", Self::Zstd), ("bz2", Self::Bzip2)];

    fn named(text: &str) -> Option<Self> {
        match text {
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "bzip2" => Some(Self::Bzip2),
            _ => None,
        }
    }

    fn mime(self) -> &'static str {
        match self {
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
            Self::Bzip2 => "application/x-bzip2",
        }
    }
}

impl Format {
    /// Comma-separated values with a header line.
    pub const CSV: Self = Self::of(Form::Csv { header: true });
    /// Parquet.
    pub const PARQUET: Self = Self::of(Form::Parquet);
    /// Aligned columns for a person.
    pub const TEXT: Self = Self::of(Form::Text);

    /// A format that is as usual.
    pub const fn of(form: Form) -> Self {
        Self { form, packing: None, status_line: false }
    }

    /// The media type of the answer: the one that was asked for, where one was; that of the packing of what is packed.
    pub fn mime(self) -> &'static str {
        self.packing.map_or(self.form.mime(), Packing::mime)
    }

    /// The format that the name of a file says by its ending, as in `cone.vot` or `all.csv.gz`.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let (stem, ending) = name.rsplit_once('.')?;
        let ending = ending.to_ascii_lowercase();
        let Some((_, packing)) = Packing::ENDINGS.iter().find(|(known, _)| *known == ending) else {
            // By the conventions of Arrow the stream has an `s`; as the name of a format it needs none.
            return if ending == "arrow" {
                Some(Self::of(Form::ArrowFile))
            } else {
                form_called(&ending).map(Self::of)
            };
        };
        let inner = Self::of_file_name(stem).filter(|inner| inner.packing.is_none() && inner.form.is_packable())?;
        Some(Self { packing: Some(*packing), ..inner })
    }

    /// All formats with the names by which they are asked for, for lists.
    pub fn offered() -> impl Iterator<Item = Offered> {
        OFFERED.into_iter().chain([TEXT])
    }
}

/// The form with this short name.
fn form_called(name: &str) -> Option<Form> {
    let called = |offered: &Offered| offered.name == name || offered.also.contains(&name);
    Format::offered().find(called).map(|offered| offered.form)
}

fn form_of_type(name: &str) -> Option<Form> {
    let other = OTHER_TYPES.iter().find(|(mime, _)| *mime == name).map(|(_, form)| *form);
    other.or_else(|| Format::offered().find(|offered| offered.mime == name).map(|offered| offered.form))
}

impl FromStr for Format {
    type Err = UnknownFormat;

    /// Reads a short name, which may end as a packed file does (`csv.gz`), or a media type; parameters may follow
    /// either, in any case and with blanks around the semicolons.
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let unknown = || UnknownFormat(text.to_owned());
        let folded = text.to_ascii_lowercase();
        let mut parts = folded.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let packed = name
            .rsplit_once('.')
            .and_then(|(name, ending)| Some((name, Packing::ENDINGS.iter().find(|(known, _)| *known == ending)?.1)));
        let mut format = match packed {
            Some((name, packing)) => {
                Self { packing: Some(packing), ..form_called(name).map(Self::of).ok_or_else(unknown)? }
            }
            None => form_called(name).or_else(|| form_of_type(name)).map(Self::of).ok_or_else(unknown)?,
        };
        for parameter in parts {
            let (key, value) = parameter.split_once('=').ok_or_else(unknown)?;
            format.set(key.trim(), value.trim().trim_matches('"')).ok_or_else(unknown)?;
        }
        let impossible = format.packing.is_some() && !format.form.is_packable()
            || format.status_line && !format.form.takes_a_status_line();
        if impossible { Err(unknown()) } else { Ok(format) }
    }
}

impl Format {
    /// Takes a parameter, if it is one of the form.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match (&mut self.form, key, value) {
            (_, "charset", "utf-8") => {}
            (_, "compression", packing) => self.packing = Some(Packing::named(packing)?),
            (_, "status", "last") => self.status_line = true,
            (Form::VoTable { rows, asked }, "serialization", serialization) => {
                *rows = match serialization {
                    "tabledata" => Serialization::TableData,
                    "binary" => Serialization::Binary,
                    "binary2" => Serialization::Binary2,
                    _ => return None,
                };
                if *asked == VoTableType::Plain {
                    *asked = VoTableType::Serialized;
                }
            }
            (Form::Csv { header } | Form::Tsv { header }, "header", "present") => *header = true,
            (Form::Csv { header } | Form::Tsv { header }, "header", "absent") => *header = false,
            _ => return None,
        }
        Some(())
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
            ("votable/b2", "application/x-votable+xml;serialization=BINARY2"),
            ("application/x-votable+xml;serialization=binary", "application/x-votable+xml;serialization=BINARY"),
            (
                "application/x-votable+xml ; Serialization=\"tabledata\"",
                "application/x-votable+xml;serialization=TABLEDATA",
            ),
            ("text/xml", "text/xml"),
            ("text/xml;serialization=binary2", "text/xml"),
            ("fits", "application/fits"),
            ("application/fits", "application/fits"),
            ("csv", "text/csv;charset=utf-8;header=present"),
            ("TEXT/CSV", "text/csv;charset=utf-8;header=present"),
            ("text/csv; header=absent", "text/csv;charset=utf-8;header=absent"),
            ("text/csv; charset=UTF-8", "text/csv;charset=utf-8;header=present"),
            ("text/csv;status=last", "text/csv;charset=utf-8;header=present"),
            ("tsv", "text/tab-separated-values;charset=utf-8;header=present"),
            ("html", "text/html;charset=utf-8"),
            ("txt", "text/plain;charset=utf-8"),
            ("csv.gz", "application/gzip"),
            ("text/csv;compression=zstd", "application/zstd"),
            ("fits.gz", "application/gzip"),
            ("votable/b2.bz2", "application/x-bzip2"),
        ] {
            assert_eq!(asked.parse::<Format>().map(Format::mime), Ok(sent), "{asked}");
        }
    }

    #[test]
    fn a_format_is_found_by_every_name_that_is_offered() {
        for offered in Format::offered() {
            assert_eq!(offered.name.parse(), Ok(Format::of(offered.form)));
            assert_eq!(offered.mime.parse::<Format>().unwrap().form, offered.form, "{}", offered.mime);
            for name in offered.also {
                assert_eq!(name.parse::<Format>().unwrap().form, offered.form, "{name}");
            }
        }
        let precise: Format = "text/csv;header=absent;compression=gzip;status=last".parse().unwrap();
        assert_eq!((precise.form, precise.packing), (Form::Csv { header: false }, Some(Packing::Gzip)));
        assert!(precise.status_line);
    }

    #[test]
    fn the_ending_of_a_file_name_says_the_format() {
        for (name, format) in [
            ("a.vot", "votable"),
            ("a.b.CSV", "csv"),
            ("a.csv.gz", "csv.gz"),
            ("a.tsv.zst", "tsv.zst"),
            ("a.fits", "fits"),
            ("a.arrow", "feather"),
            ("a.arrows", "arrow"),
            ("a.jsonl.bz2", "ndjson.bz2"),
            ("a.txt", "text"),
        ] {
            assert_eq!(Format::of_file_name(name), Some(format.parse().unwrap()), "{name}");
        }
        for name in ["csv", "a.dat", "a.gz", "a.parquet.gz", "a.csv.gz.gz", "", "."] {
            assert_eq!(Format::of_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_format_that_nobody_writes_is_refused_and_never_replaced() {
        for asked in [
            "",
            "asdf",
            "votable/b3",
            "application/x-votable+xml;serialization=FITS",
            "json;header=present",
            "text/csv;header=maybe",
            "text/csv;header",
            "text/csv;charset=latin-1",
            "csv;serialization=tabledata",
            "parquet.gz",
            "arrow;compression=gzip",
            "csv;compression=lzma",
            "votable;status=last",
            "text/csv.gz",
        ] {
            let refusal = asked.parse::<Format>().unwrap_err().to_string();
            let sentence = format!(
                "The format {asked:?} is not offered; ask for votable, votable/td, votable/b2, votable/b, fits, csv, \
                 tsv, json, ndjson, parquet, arrow, feather, html, or text."
            );
            assert_eq!(refusal, sentence);
        }
    }
}
