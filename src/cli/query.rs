//! What may be typed after `almagest query`.

use std::{ffi::OsStr, path::PathBuf, time::Duration};

use catalogs::TableName;
use clap::{
    Arg, Args, Command, ValueEnum, ValueHint,
    builder::{PossibleValue, TypedValueParser},
};
use jobs::formats::{Format, Offered};
use url::Url;

/// `almagest query`
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("query").required(true).args(["text", "file"]),
    group = clap::ArgGroup::new("instead").args(["explain", "estimate"]),
)]
pub(crate) struct QueryArgs {
    /// The query
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Read the query from a file, `-` for stdin
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// The language of the query
    #[arg(long, value_enum, default_value_t = Language::Adql)]
    pub(crate) lang: Language,

    /// Ask this instead of the published tables: a HATS catalogue (a folder, s3://…, https://…), Parquet files, or a CSV,
    /// ECSV, FITS, VOTable or Arrow file. Called by the name after `=`, else as the file or folder is. May be given often
    #[arg(long, value_name = "PLACE[=NAME]", value_parser = on_table, help_heading = "Where to ask", conflicts_with = "server")]
    pub(crate) on: Vec<OnTable>,
    /// Ask this server, by Arrow Flight SQL, such as grpc://127.0.0.1:8815
    #[arg(long, value_name = "ADDRESS", value_parser = server, help_heading = "Where to ask")]
    pub(crate) server: Option<Url>,

    /// The format of the answer; without it the ending of --output says, else it is a table
    ///
    /// Text, VOTable and FITS are packed if the name says so: csv.gz, fits.gz, votable.zst. Media types are understood, too
    #[arg(long, value_parser = FormatName, help_heading = "The answer")]
    pub(crate) format: Option<Format>,
    /// Write the answer to a file instead of stdout. It is there when it is complete, and not before
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "The answer")]
    pub(crate) output: Option<PathBuf>,
    /// At most so many rows; without it 1000 for a table, else query.default_maxrec of the configuration
    #[arg(long, value_name = "N", value_parser = super::rows, help_heading = "The answer")]
    pub(crate) maxrec: Option<u64>,
    /// Give up after so long, such as 90s or 5min
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "The answer")]
    pub(crate) timeout: Option<Duration>,

    /// Tell in words how the query would be answered, and what of the tables it would leave unread
    #[arg(long, help_heading = "Instead of an answer")]
    pub(crate) explain: bool,
    /// Tell how much would be read, without reading it
    #[arg(long, help_heading = "Instead of an answer", conflicts_with = "server")]
    pub(crate) estimate: bool,
    /// Print JSON instead of lines
    #[arg(long, help_heading = "Instead of an answer", requires = "estimate")]
    pub(crate) json: bool,
}

/// A table that is asked where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnTable {
    /// A path, a pattern or an address.
    pub(crate) place: String,
    /// How the query calls it.
    pub(crate) name: TableName,
}

/// The schema of tables that are asked where they lie.
const HERE: &str = "here";

/// The languages of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// ADQL 2.1, the language of the Virtual Observatory
    Adql,
    /// The engine's own SQL
    Sql,
}

/// Reads a format by any name that the doors know; help and completions list the short ones.
#[derive(Clone)]
struct FormatName;

impl TypedValueParser for FormatName {
    type Value = Format;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Format, clap::Error> {
        (|text: &str| text.parse::<Format>()).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let name = |offered: Offered| PossibleValue::new(offered.name).help(offered.about).aliases(offered.also);
        Some(Box::new(Format::offered().map(name)))
    }
}

impl QueryArgs {
    /// The format that is asked for, or that the name of the output says.
    pub(crate) fn answer_format(&self) -> Format {
        let name = || self.output.as_ref()?.file_name()?.to_str();
        self.format.or_else(|| Format::of_file_name(name()?)).unwrap_or(Format::TEXT)
    }
}

/// `PLACE` or `PLACE=NAME`: what follows the last `=` is a name where it can be one.
fn on_table(text: &str) -> Result<OnTable, String> {
    if let Some((place, name)) = text.rsplit_once('=')
        && let Some(name) = name_of(name).filter(|_| !place.is_empty())
    {
        return Ok(OnTable { place: place.to_owned(), name });
    }
    let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let stem = last.trim_start_matches('.').split('.').next().unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name_of(&name).ok_or_else(|| format!("say how the query calls it, as in {text}=stars"))?;
    Ok(OnTable { place: text.to_owned(), name })
}

/// The table that a query calls so, with or without a schema.
fn name_of(text: &str) -> Option<TableName> {
    if text.contains('.') { text.parse().ok() } else { format!("{HERE}.{text}").parse().ok() }
}

/// The address of a server.
fn server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "an address is expected, such as grpc://127.0.0.1:8815".to_owned())?;
    match url.scheme() {
        "grpc" | "grpc+tcp" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url),
        "http" | "https" => {
            Err("a server is asked by Arrow Flight SQL, at the address flight.listen of its configuration, \
                                 such as grpc://127.0.0.1:8815; http addresses are for TAP clients"
                .to_owned())
        }
        "grpc+tls" => Err("TLS is not spoken here yet; ask through a tunnel, by grpc://".to_owned()),
        _ => Err("an address is expected, such as grpc://127.0.0.1:8815".to_owned()),
    }
}

/// A length of time, as the configuration writes one.
fn time(text: &str) -> Result<Duration, String> {
    crate::config::length_of_time(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a length of time is expected, such as 500ms, 30s, 5min or 2h".to_owned())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  almagest query 'SELECT COUNT(*) FROM survey.stars'
  almagest query -o cone.vot \\
    \"SELECT * FROM survey.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(10.68, 41.27, 0.5))\"
  almagest query -f long-query.adql --format csv --maxrec 100 | head
  almagest query --lang sql 'SELECT width_bucket(g, 5, 20, 15) AS bin, count(*) FROM stars GROUP BY bin'

Without a server and without publishing anything:
  almagest query --on s3://stpubdata/gaia/gaia_dr3/public/hats=gaia --estimate \\
    'SELECT ra, dec FROM gaia WHERE DISTANCE(ra, dec, 56.75, 24.12) < 1'
  almagest query --on stars.parquet --on mine.csv=mine -o both.parquet \\
    'SELECT s.*, m.note FROM stars AS s JOIN mine AS m ON s.source_id = m.id'

Of a running server:
  almagest query --server grpc://127.0.0.1:8815 'SELECT TOP 5 * FROM demo.stars'

Ctrl-C ends the query at once. Exit status: 0 the answer is complete, or cut at --maxrec, which stderr tells;
1 there is none; 2 the command line is not understood; 130 interrupted.";

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> Result<(String, String), String> {
        on_table(text).map(|on| (on.place, on.name.to_string()))
    }

    #[test]
    fn a_place_is_called_by_the_name_behind_it_or_by_its_own() {
        for (text, place, name) in [
            ("stars.parquet", "stars.parquet", "here.stars"),
            ("s3://b/gaia/hats=gaia", "s3://b/gaia/hats", "here.gaia"),
            ("/data/My-Stars.csv.gz", "/data/My-Stars.csv.gz", "here.my_stars"),
            ("./tree/", "./tree/", "here.tree"),
            ("x.fits=survey.x", "x.fits", "survey.x"),
            ("Norder=0/Npix=5.parquet=five", "Norder=0/Npix=5.parquet", "here.five"),
        ] {
            assert_eq!(on(text), Ok((place.to_owned(), name.to_owned())), "{text}");
        }
        for text in ["", "=x", "/", "2mass.csv", "https://a.org/?x"] {
            on(text).unwrap_err();
        }
    }

    #[test]
    fn a_server_is_one_of_flight() {
        assert_eq!(server("grpc://127.0.0.1:8815").unwrap().port(), Some(8815));
        assert!(server("http://127.0.0.1:8080").unwrap_err().contains("flight.listen"));
        for text in ["grpc+tls://a:1", "127.0.0.1:8815", "", "grpc://"] {
            server(text).unwrap_err();
        }
    }
}
