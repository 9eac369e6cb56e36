//! The flags of `almagest import` and `almagest attach`.

use std::{path::PathBuf, str::FromStr};

use arrow::datatypes::DataType;
use catalogs::{IdCells, TableName, import::cast_type};
use clap::{Args, ValueEnum, ValueHint};

/// `almagest import`
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The table to make
    #[arg(long, value_name = "SCHEMA.NAME")]
    pub(crate) table: TableName,
    /// Files, folders, patterns such as 'part-*.csv', s3://bucket/key, https://host/file; CSV and TSV (also .gz, .zst,
    /// .bz2), ECSV, Parquet, Arrow IPC, FITS, VOTable
    #[arg(required = true, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) sources: Vec<String>,
    /// Publish over a table of this name; without this or --append, an existing table is refused
    #[arg(long, conflicts_with = "append")]
    pub(crate) replace: bool,
    /// Add the rows to a table of this name; what does not change is shared with its last version
    #[arg(long)]
    pub(crate) append: bool,
    /// Go on with an import of this table that did not end: same sources, same options
    #[arg(long)]
    pub(crate) resume: bool,
    /// Clear away an import of this table that did not end, and begin anew
    #[arg(long, conflicts_with = "resume")]
    pub(crate) restart: bool,
    /// Read and count, tell what would be made, and make nothing
    #[arg(long, conflicts_with_all = ["resume", "restart"])]
    pub(crate) dry_run: bool,
    /// Print the report as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) sky: SkyArgs,
    #[command(flatten)]
    pub(crate) columns: ColumnArgs,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
}

/// How the sources are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "How the sources are read")]
pub(crate) struct ReadingArgs {
    /// The format of all sources; without it, each tells its own by its first bytes or its name
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<formats::Format>,
    /// Which table of a FITS file (number or name of the HDU) or of a VOTable (number, name or ID)
    #[arg(long, value_name = "TABLE")]
    pub(crate) source_table: Option<String>,
    /// What stands between the fields of text: a character, or `tab`
    #[arg(long, value_name = "CHAR", value_parser = one_byte)]
    pub(crate) delimiter: Option<u8>,
    /// The text has no line of column names
    #[arg(long)]
    pub(crate) no_header: bool,
    /// The names of the columns of text without a header
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "no_header")]
    pub(crate) columns: Vec<String>,
    /// What a line of comment begins with; `none` where there are no comments
    #[arg(long, value_name = "CHAR", default_value = "#", value_parser = comment)]
    pub(crate) comment: Comment,
    /// A field that reads so is missing, as an empty one is; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Vec<String>,
    /// What becomes of a row that cannot be read or has no position
    #[arg(long, value_enum, default_value_t = BadRowsArg::Refuse)]
    pub(crate) bad_rows: BadRowsArg,
}

/// Where the rows are on the sky.
#[derive(Debug, Args)]
#[command(next_help_heading = "Positions")]
pub(crate) struct SkyArgs {
    /// The column of right ascension; without it, UCDs and the usual names are tried
    #[arg(long, value_name = "COLUMN", requires = "dec")]
    pub(crate) ra: Option<String>,
    /// The column of declination
    #[arg(long, value_name = "COLUMN", requires = "ra")]
    pub(crate) dec: Option<String>,
    /// The unit of both; they are stored in degrees
    #[arg(long, value_enum, default_value_t = PositionUnitArg::Auto)]
    pub(crate) unit: PositionUnitArg,
    /// The table has no positions: it is kept in the order of its rows
    #[arg(long, conflicts_with_all = ["ra", "dec", "like", "margin"])]
    pub(crate) no_sky: bool,
    /// A director table: each row is stored where the director row is that it belongs to, so that joins are local
    #[arg(long, value_name = "SCHEMA.NAME", requires = "key")]
    pub(crate) like: Option<TableName>,
    /// The column that names the director row
    #[arg(long, value_name = "COLUMN", requires = "like")]
    pub(crate) key: Option<String>,
    /// The column of the director table that it names; without it, the director's --id, else a column of the same name
    #[arg(long, value_name = "COLUMN", requires = "like")]
    pub(crate) director_key: Option<String>,
}

/// What becomes of the columns.
#[derive(Debug, Args)]
#[command(next_help_heading = "Columns")]
pub(crate) struct ColumnArgs {
    /// The column that names each row once
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id: Option<String>,
    /// Of rows with the same --id: `refuse`, `keep-first`, or `keep-best:COLUMN`, the one with the largest value
    #[arg(long, value_name = "POLICY", default_value = "refuse", requires = "id")]
    pub(crate) duplicates: DuplicatesArg,
    /// The column whose values begin with the nested HEALPix cell of the row, the order of the cells, and how many bits
    /// follow: `source_id:12:35` for Gaia. Every row is held against it
    #[arg(long, value_name = "COLUMN:ORDER:BITS", value_parser = id_cells)]
    pub(crate) id_encodes: Option<IdCells>,
    /// The names of the elements of an array column, by which a query may ask for them; may be repeated
    #[arg(long, value_name = "COLUMN=NAME,NAME,…", value_parser = elements)]
    pub(crate) elements: Vec<(String, Names)>,
    /// Another name for a column; may be repeated
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    pub(crate) rename: Vec<(String, String)>,
    /// Leave a column out; may be repeated
    #[arg(long, value_name = "COLUMN")]
    pub(crate) drop: Vec<String>,
    /// The type of a column (boolean, byte, short, int, bigint, real, double, text, date, timestamp); may be repeated
    #[arg(long, value_name = "COLUMN=TYPE", value_parser = cast)]
    pub(crate) cast: Vec<(String, DataType)>,
    /// A value that means "missing", in one column or (without a column) in all; may be repeated
    #[arg(long, value_name = "[COLUMN=]VALUE", allow_hyphen_values = true)]
    pub(crate) sentinel: Vec<String>,
    /// Keep NaN as it is; without this it is stored as NULL
    #[arg(long)]
    pub(crate) keep_nan: bool,
    /// A Felis file with units, UCDs and descriptions
    #[arg(long, value_name = "FELIS.YAML", value_hint = ValueHint::FilePath)]
    pub(crate) metadata: Option<PathBuf>,
    /// Which table of the Felis file, where it has several and none has the name of this one
    #[arg(long, value_name = "NAME", requires = "metadata")]
    pub(crate) metadata_table: Option<String>,
    /// A sentence about the table
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// What is to be remembered of this version
    #[arg(long, value_name = "TEXT")]
    pub(crate) version_note: Option<String>,
}

/// How the table is laid out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Partitions, margins, indexes")]
pub(crate) struct LayoutArgs {
    /// A partition of the sky with more rows is split in four; without it, import.max_rows_per_partition
    #[arg(long, value_name = "N", value_parser = super::some_rows)]
    pub(crate) max_rows: Option<u64>,
    /// The coarsest HEALPix order of a partition
    #[arg(long, value_name = "ORDER", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=11))]
    pub(crate) min_order: u8,
    /// The finest HEALPix order of a partition
    #[arg(long, value_name = "ORDER", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=11))]
    pub(crate) max_order: u8,
    /// Keep a margin of this width round each partition, such as 10arcsec or 1arcmin; may be repeated
    #[arg(long, value_name = "WIDTH", value_parser = width)]
    pub(crate) margin: Vec<sky::Arcsec>,
    /// Keep an index of a column; may be repeated
    #[arg(long, value_name = "COLUMN")]
    pub(crate) index: Vec<String>,
}

/// `almagest attach`
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// A HATS catalogue or collection: a folder, s3://bucket/prefix or https://host/path; nothing is copied
    #[arg(value_name = "URL", value_hint = ValueHint::DirPath)]
    pub(crate) url: String,
    /// The table to publish it as
    #[arg(long, value_name = "SCHEMA.NAME")]
    pub(crate) table: TableName,
    /// Which catalogue of a collection: the folder of a margin or an index, or the name of an extension; without it, the
    /// primary one
    #[arg(long, value_name = "MEMBER")]
    pub(crate) member: Option<String>,
    /// Publish over a table of this name; without it, an existing table is refused
    #[arg(long)]
    pub(crate) replace: bool,
    /// The column whose values begin with the nested HEALPix cell of the row, the order of the cells, and how many bits
    /// follow: `source_id:12:35` for Gaia. Positions and this column of every row are read to see that it is so
    #[arg(long, value_name = "COLUMN:ORDER:BITS", value_parser = id_cells)]
    pub(crate) id_encodes: Option<IdCells>,
    /// The names of the elements of an array column, by which a query may ask for them; may be repeated
    #[arg(long, value_name = "COLUMN=NAME,NAME,…", value_parser = elements)]
    pub(crate) elements: Vec<(String, Names)>,
    /// What is to be remembered of this version
    #[arg(long, value_name = "TEXT")]
    pub(crate) version_note: Option<String>,
    /// Print the report as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Names of elements.
pub(crate) type Names = Vec<String>;

/// What becomes of bad rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BadRowsArg {
    /// The first one ends the import, which publishes nothing
    Refuse,
    /// They are kept apart in a Parquet file, each with the reason
    SetAside,
}

/// The units of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PositionUnitArg {
    /// As the metadata of the columns say; text such as 12:34:56.7 is sexagesimal; else degrees
    Auto,
    /// Degrees
    Deg,
    /// Radians
    Rad,
    /// Hours of right ascension, degrees of declination
    Hours,
    /// Text: hours, minutes and seconds; degrees, minutes and seconds
    Sexagesimal,
}

/// Which of the rows with one key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DuplicatesArg {
    Refuse,
    KeepFirst,
    KeepBest(String),
}

impl FromStr for DuplicatesArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "refuse" => Ok(Self::Refuse),
            None if text == "keep-first" => Ok(Self::KeepFirst),
            Some(("keep-best", column)) if !column.is_empty() => Ok(Self::KeepBest(column.to_owned())),
            _ => Err("write refuse, keep-first or keep-best:COLUMN".to_owned()),
        }
    }
}

/// What a comment begins with, if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Comment(pub(crate) Option<u8>);

fn one_byte(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("write one ASCII character, or tab".to_owned()),
    }
}

fn comment(text: &str) -> Result<Comment, String> {
    if text == "none" { Ok(Comment(None)) } else { one_byte(text).map(|byte| Comment(Some(byte))) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => Ok((left.to_owned(), right.to_owned())),
        _ => Err("write two words with = between them".to_owned()),
    }
}

fn cast(text: &str) -> Result<(String, DataType), String> {
    let (column, name) = pair(text)?;
    let known = "boolean, byte, short, int, bigint, real, double, text, date, timestamp";
    let data_type = cast_type(&name).ok_or_else(|| format!("there is no type {name}; there are {known}"))?;
    Ok((column, data_type))
}

fn id_cells(text: &str) -> Result<IdCells, String> {
    let mut parts = text.rsplitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<u8>().ok());
    let (shift, order) = (number(), number());
    match (parts.next(), order, shift) {
        (Some(column), Some(order), Some(shift)) if !column.is_empty() => IdCells::new(column, order, shift),
        _ => Err("write a column, an order and a number of bits, such as source_id:12:35".to_owned()),
    }
}

fn elements(text: &str) -> Result<(String, Names), String> {
    let (column, names) = pair(text)?;
    let names: Names = names.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) { Err("an element has no name".to_owned()) } else { Ok((column, names)) }
}

/// The width of a margin, or the radius of a match.
pub(super) fn width(text: &str) -> Result<sky::Arcsec, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let arcseconds = match &text[number.len()..] {
        "arcsec" | "as" => 1.0,
        "arcmin" | "am" => 60.0,
        "deg" => 3600.0,
        _ => return Err("write a number and its unit, such as 10arcsec, 1arcmin or 0.5deg".to_owned()),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number * arcseconds <= 60.0 * 3600.0 => Ok(sky::Arcsec(number * arcseconds)),
        Ok(_) => Err("it is to be above 0 and at most 60deg".to_owned()),
        Err(_) => Err(format!("'{number}' is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_a_margin_has_a_unit() {
        assert_eq!(width("10arcsec").unwrap().0, 10.0);
        assert_eq!(width("0.5 deg").unwrap().0, 1800.0);
        for text in ["10", "arcsec", "-1arcsec", "0deg", "61deg", "10 parsec", "nandeg", "1e3"] {
            assert!(width(text).is_err(), "{text}");
        }
    }

    #[test]
    fn policies_delimiters_and_pairs_are_read_or_refused() {
        assert_eq!("keep-best:snr".parse(), Ok(DuplicatesArg::KeepBest("snr".into())));
        assert!("keep-best".parse::<DuplicatesArg>().is_err() && "first".parse::<DuplicatesArg>().is_err());
        assert_eq!((one_byte("tab"), one_byte("|")), (Ok(b'\t'), Ok(b'|')));
        assert!(one_byte("é").is_err() && one_byte("").is_err() && one_byte("\"").is_err());
        assert_eq!(comment("none"), Ok(Comment(None)));
        assert_eq!(id_cells("a:b:12:35"), IdCells::new("a:b", 12, 35));
        for text in ["a:12", "a:x:3", ":12:35", "a:12:40", "a:30:1", "a:12:-1"] {
            assert!(id_cells(text).is_err(), "{text}");
        }
        assert_eq!(elements("flux=u, g=2").unwrap(), ("flux".to_owned(), vec!["u".to_owned(), "g=2".to_owned()]));
        assert!(elements("flux=u,,g").is_err() && elements("flux").is_err());
        assert_eq!(cast("a=real"), Ok(("a".into(), DataType::Float32)));
        assert!(cast("a=foo").unwrap_err().contains("no type foo") && cast("a").is_err());
        assert!(pair("a=b").is_ok() && pair("a=").is_err() && pair("ab").is_err());
    }
}
