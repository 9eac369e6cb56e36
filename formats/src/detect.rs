//! Which format a file has: its first bytes tell, and where they do not, its name.
//!
//! Nothing is guessed beyond that. A file that neither tells is refused with a sentence that names `--format`, and so
//! is a format that was asked for and is plainly not that of the file.

use std::{fmt, io::Read, str::FromStr};

use arrow::datatypes::Schema;

use crate::{
    FormatError, Input, TableSource, arrow_ipc, compression, ecsv, fits, parquet_file,
    text::{self, TextOptions},
    votable,
};

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Comma-separated values
    Csv,
    /// Tab-separated values
    Tsv,
    /// Enhanced CSV, with a YAML header
    Ecsv,
    /// Apache Parquet
    Parquet,
    /// Arrow IPC, as a file or as a stream
    Arrow,
    /// FITS with a binary table
    Fits,
    /// VOTable
    Votable,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Csv, Self::Tsv, Self::Ecsv, Self::Parquet, Self::Arrow, Self::Fits, Self::Votable];

    /// The name that [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Ecsv => "ecsv",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Fits => "fits",
            Self::Votable => "votable",
        }
    }

    /// The format as a noun of a sentence, with its article.
    fn a_file(self) -> &'static str {
        match self {
            Self::Csv => "a CSV file",
            Self::Tsv => "a TSV file",
            Self::Ecsv => "an ECSV file",
            Self::Parquet => "a Parquet file",
            Self::Arrow => "an Arrow IPC file",
            Self::Fits => "a FITS file",
            Self::Votable => "a VOTable",
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::Ecsv)
    }

    /// What the first bytes of a file, unpacked, say.
    fn of_bytes(head: &[u8]) -> Option<Self> {
        // A text may begin with these four letters; it holds no zero byte.
        if (head.starts_with(b"PAR1") && head.contains(&0)) || head.starts_with(b"PARE") {
            return Some(Self::Parquet);
        }
        if head.starts_with(b"ARROW1\0\0") || head.starts_with(&[0xff; 4]) {
            return Some(Self::Arrow);
        }
        if head.starts_with(b"SIMPLE  =") {
            return Some(Self::Fits);
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        if text.starts_with(b"# %ECSV") {
            return Some(Self::Ecsv);
        }
        let xml = [&b"<?xml"[..], b"<VOTABLE", b"<!DOCTYPE VOTABLE"].iter().any(|start| text.starts_with(start));
        xml.then_some(Self::Votable)
    }

    /// What the ending of a name says, below those of the packers.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = if name.contains("://") { name.split(['?', '#']).next().unwrap_or(name) } else { name };
        let mut name = name.to_ascii_lowercase();
        while let Some((stem, "gz" | "bgz" | "zst" | "zstd" | "bz2")) = name.rsplit_once('.') {
            name.truncate(stem.len());
        }
        Some(match name.rsplit_once('.')?.1 {
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "ecsv" => Self::Ecsv,
            "parquet" | "parq" | "pq" => Self::Parquet,
            "arrow" | "arrows" | "feather" | "ipc" => Self::Arrow,
            "fits" | "fit" | "fts" => Self::Fits,
            "vot" | "votable" | "xml" => Self::Votable,
            _ => return None,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("'{text}' is no format that can be read; there are {}", names()))
    }
}

fn names() -> String {
    Format::ALL.map(Format::name).join(", ")
}

/// How a file shall be read, where it does not say so itself.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// The format; told from the file when absent.
    pub format: Option<Format>,
    /// How text is written.
    pub text: TextOptions,
    /// Which table of a file that holds several: the number of the HDU of a FITS file (from 0) or its EXTNAME, the number
    /// of the TABLE in a VOTable (from 1) or its name or ID. The first one with rows to come when absent.
    pub table: Option<String>,
    /// Types that columns of these names shall have, where the format leaves that open (text).
    pub types: Option<Schema>,
}

/// How many bytes, unpacked, are looked at.
const HEAD: u64 = 4096;

/// Opens a file as a table.
pub fn open(input: Input, options: &SourceOptions) -> Result<Box<dyn TableSource>, FormatError> {
    let (compression, reader) = compression::open(&input)?;
    let mut head = Vec::with_capacity(HEAD as usize);
    reader.take(HEAD).read_to_end(&mut head).map_err(|error| input.unreadable(error))?;
    let format = decide(&head, input.name(), options.format).map_err(|why| input.bad(why))?;
    if let Some(packed) = compression
        && (format == Format::Parquet || head.starts_with(b"ARROW1"))
    {
        let (file, packed) = (format.a_file(), packed.name());
        return Err(
            input.bad(format_args!("it is {file} packed with {packed}; unpack it first: it is read from its end"))
        );
    }
    match format {
        Format::Csv => text::open(input, b',', options),
        Format::Tsv => text::open(input, b'\t', options),
        Format::Ecsv => ecsv::open(input, options),
        Format::Parquet => parquet_file::open(input, &head),
        Format::Arrow => arrow_ipc::open(input, &head),
        Format::Fits => fits::open(input, options),
        Format::Votable => votable::open(input, options),
    }
}

/// The format of a file with this beginning and this name, unless it is asked for; or why there is none.
fn decide(head: &[u8], name: &str, asked: Option<Format>) -> Result<Format, String> {
    if head.is_empty() {
        return Err("it is empty".to_owned());
    }
    let told = Format::of_bytes(head);
    if let (Some(asked), Some(told)) = (asked, told) {
        // ECSV is CSV with comments, for who wants that.
        let agrees = asked == told || (asked.is_text() && told == Format::Ecsv);
        return if agrees { Ok(asked) } else { Err(format!("it is {}, not {}", told.a_file(), asked.a_file())) };
    }
    if let Some(what) = no_table(head) {
        return Err(format!("it is {what}"));
    }
    asked.or(told).or_else(|| Format::of_name(name)).ok_or_else(|| {
        format!("neither its first bytes nor its name tell its format; name it with --format ({})", names())
    })
}

/// What is known, and no table that can be read.
fn no_table(head: &[u8]) -> Option<&'static str> {
    let text = head.trim_ascii_start();
    let begins = |start: &[u8]| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    if begins(b"<!doctype html") || begins(b"<html") {
        Some("an HTML page, perhaps a server's message of an error")
    } else if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        Some("text in UTF-16; convert it to UTF-8 first")
    } else if head.get(257..262) == Some(b"ustar") {
        Some("a tar archive; unpack it first")
    } else if head.starts_with(b"\x89HDF\r\n\x1a\n") {
        Some("an HDF5 file, which is not read; convert it, for example to Parquet")
    } else if head.starts_with(b"FEA1") {
        Some("a Feather file of version 1, which is not read; write it again as Arrow IPC (version 2)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_win_over_the_name() {
        let of = |head: &[u8], name| decide(head, name, None);
        assert_eq!(of(b"PAR1\x15\x04\x15\x00", "stars.csv"), Ok(Format::Parquet));
        assert_eq!(of(b"PAR1,PAR2\n1,2\n", "stars.csv"), Ok(Format::Csv));
        assert_eq!(of(b"ARROW1\0\0\xff\xff\xff\xff", "stars"), Ok(Format::Arrow));
        assert_eq!(of(b"\xff\xff\xff\xff\x80\0\0\0", "stars"), Ok(Format::Arrow));
        assert_eq!(of(b"SIMPLE  =                    T", "stars.csv"), Ok(Format::Fits));
        assert_eq!(of(b"\xef\xbb\xbf\n <?xml version='1.0'?>", "stars"), Ok(Format::Votable));
        assert_eq!(of(b"<VOTABLE version='1.4'>", "stars"), Ok(Format::Votable));
        assert_eq!(of(b"# %ECSV 1.0\n", "stars.csv"), Ok(Format::Ecsv));
    }

    #[test]
    fn the_ending_tells_where_the_bytes_do_not() {
        let of = |name| decide(b"ra,dec\n1,2\n", name, None);
        for (name, format) in [
            ("stars.csv", Format::Csv),
            ("/a.b/STARS.CSV.GZ", Format::Csv),
            ("https://example.org/stars.tsv.zst?token=a.fits", Format::Tsv),
            ("stars.tab.bz2", Format::Tsv),
            ("stars.snappy.parquet", Format::Parquet),
            ("stars.feather", Format::Arrow),
            ("stars.fit", Format::Fits),
            ("stars.vot", Format::Votable),
            ("stars.ecsv", Format::Ecsv),
        ] {
            assert_eq!(of(name), Ok(format), "{name}");
        }
        for name in ["stars", "stars.txt", "stars.starr", "stars.gz", "csv", ""] {
            let why = of(name).unwrap_err();
            assert!(why.contains("--format (csv, tsv, ecsv, parquet, arrow, fits, votable)"), "{name}: {why}");
        }
    }

    #[test]
    fn a_format_that_is_asked_for_must_not_contradict_the_bytes() {
        assert_eq!(decide(b"ra,dec\n", "stars.starr", Some(Format::Csv)), Ok(Format::Csv));
        assert_eq!(decide(b"# %ECSV 1.0\n", "x", Some(Format::Csv)), Ok(Format::Csv));
        let why = decide(b"SIMPLE  =    T", "x", Some(Format::Csv)).unwrap_err();
        assert_eq!(why, "it is a FITS file, not a CSV file");
        let why = decide(b"# %ECSV 1.0\n", "x", Some(Format::Votable)).unwrap_err();
        assert_eq!(why, "it is an ECSV file, not a VOTable");
    }

    #[test]
    fn what_is_no_table_is_said_to_be_that() {
        let mut tar = vec![b'a'; 300];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, what) in [
            (&b""[..], "it is empty"),
            (b"\n<!DOCTYPE html>\n<title>404", "it is an HTML page, perhaps a server's message of an error"),
            (b"\xff\xfer\0a\0", "it is text in UTF-16; convert it to UTF-8 first"),
            (&tar, "it is a tar archive; unpack it first"),
        ] {
            assert_eq!(decide(head, "stars.csv", None).unwrap_err(), what);
        }
    }

    #[test]
    fn a_format_is_read_by_the_name_that_it_prints() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("FITS".parse(), Ok(Format::Fits));
        let why = "xls".parse::<Format>().unwrap_err();
        assert!(why.starts_with("'xls' is no format that can be read; there are csv, tsv"), "{why}");
    }

    #[test]
    fn files_that_are_no_tables_are_refused_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = open(Input::file(&path).unwrap(), &SourceOptions::default()).err().unwrap().to_string();
            error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
        };
        assert_eq!(refused("none.csv", b""), "it is empty");
        let nothing = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(refused("none.csv.gz", &nothing), "it is empty");
        assert_eq!(refused("cut.csv.gz", &nothing[..17]), "it is cut short: its gzip stream ends too early");
        let parquet = zstd::encode_all(&b"PAR1\x15\0\x15\0"[..], 1).unwrap();
        assert!(refused("stars.parquet.zst", &parquet).starts_with("it is a Parquet file packed with zstd"));
    }
}
