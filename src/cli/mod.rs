//! What may be typed after `almagest`: the tree of sub-commands, their flags and their help.
//!
//! Text becomes types here, once: a command is handed arguments that are already known to be well formed, and everything
//! that is not is refused by clap with exit status 2. Nothing is read, opened or started in this file, so that
//! `almagest --help` answers at once.

mod catalog;
mod import;
mod pairing;
mod query;
mod users;

use std::path::PathBuf;

use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PathBufValueParser, TypedValueParser},
};

pub(crate) use catalog::{
    CatalogCommand, CheckArgs, DropArgs, GcArgs, ListArgs, ShowArgs, TableVersion, VersionsArgs, VisibilityArgs,
    VisibleTo,
};
pub(crate) use import::{AttachArgs, BadRowsArg, DuplicatesArg, ImportArgs, PositionUnitArg, ReadingArgs};
pub(crate) use pairing::MatchArgs;
pub(crate) use query::{Language, OnTable, QueryArgs};
pub(crate) use users::{
    CreateTokenArgs, GroupCommand, ListTokensArgs, LogArgs, MembersArgs, PlainArgs, TokenCommand, UserCommand,
};

/// Publishes astronomical catalogues: HEALPix-partitioned Parquet, queried in ADQL, served by TAP and Arrow Flight SQL.
#[derive(Debug, Parser)]
#[command(
    name = "almagest",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = TOP_EXAMPLES
)]
pub(crate) struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What is to be done.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalArgs {
    /// The configuration file; without it $ALMAGEST_CONFIG, then ./almagest.toml if there is one
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// How much is logged to stderr: off, error, warn, info, debug, trace, or directives such as `info,engine=debug`
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// How a line of the log looks: human or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
}

/// What `almagest` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a demo sky, import it, serve it, and print lines to paste into a client
    #[command(after_help = QUICKSTART_EXAMPLES)]
    Quickstart(QuickstartArgs),
    /// Serve the catalogues over TAP (HTTP) and Arrow Flight SQL until SIGTERM or Ctrl-C
    #[command(after_help = SERVE_EXAMPLES)]
    Serve,
    /// Import files of any usual format as a catalogue
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Box<ImportArgs>),
    /// Publish a HATS catalogue of somebody else where it is, with no copy
    #[command(after_help = ATTACH_EXAMPLES)]
    Attach(AttachArgs),
    /// Ask one query of the tables here, of files and catalogues anywhere, or of a server
    #[command(after_help = query::EXAMPLES)]
    Query(Box<QueryArgs>),
    /// Find the pairs of rows of two tables that are near each other, and publish them as a table
    #[command(after_help = pairing::EXAMPLES)]
    Match(MatchArgs),
    /// Write a demo sky to a file, the same for the same seed
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(GenerateArgs),
    /// See, check and tidy the catalogues that there are
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Say who may sign in, and see who did
    #[command(subcommand, after_help = users::USER_EXAMPLES)]
    User(UserCommand),
    /// Make and revoke what scripts sign in with
    #[command(subcommand, after_help = users::TOKEN_EXAMPLES)]
    Token(TokenCommand),
    /// Put users into groups, which may see tables that others may not
    #[command(subcommand)]
    Group(GroupCommand),
    /// Print the configuration in force and where each value comes from
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArgs),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

/// `almagest quickstart`
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// How many stars the demo sky has: 200_000 by default; a sky that is there already is kept
    #[arg(long, value_name = "N", value_parser = some_rows)]
    pub(crate) rows: Option<u64>,
    /// The local folder that keeps the data; a second start finds it there
    #[arg(long, value_name = "DIR", default_value = "almagest-data", value_parser = local_folder, value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The seed of the sky, from which all rows follow: 1 by default; a sky that is there already is kept
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Make and import the sky, then end instead of serving it
    #[arg(long)]
    pub(crate) no_serve: bool,
}

/// `almagest generate`
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Which sky
    #[arg(value_enum)]
    pub(crate) sky: DemoSky,
    /// How many stars the sky has; galaxies are a quarter as many, observations a thousandth (100 to 20,000)
    #[arg(long, value_name = "N", value_parser = some_rows)]
    pub(crate) rows: u64,
    /// The seed of the sky: the same seed makes the same rows
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The file to write; its name ends in .parquet or .csv and says the format
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(sky_file), value_hint = ValueHint::FilePath)]
    pub(crate) out: SkyFile,
}

/// A file for a sky.
#[derive(Clone, Debug)]
pub(crate) struct SkyFile {
    /// Where it shall be.
    pub(crate) path: PathBuf,
    /// What it shall be.
    pub(crate) format: SkyFormat,
}

/// The formats of a file for a sky.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SkyFormat {
    /// Parquet
    Parquet,
    /// Comma-separated values with a header line
    Csv,
}

/// The skies that can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoSky {
    /// Stars along a galactic plane and in clusters, with astrometry and photometry
    Stars,
    /// Galaxies, part of which lie within 0.3 arcseconds of a star
    Galaxies,
    /// A log of observations
    Observations,
}

/// `almagest config`
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Print every key with its default and its meaning: a complete file to start from
    #[arg(long)]
    pub(crate) default: bool,
}

/// `almagest completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// The script that completes `almagest` in a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    // Into memory first: clap_complete panics where its writer fails, and a closed pipe is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "almagest", &mut script);
    script
}

/// A number of rows, in which `_` may group the digits.
fn rows(text: &str) -> Result<u64, String> {
    let is_digits =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '_');
    crate::config::grouped_digits(text).ok_or_else(|| match is_digits && !text.ends_with('_') {
        true => format!("the number is too large; at most {} rows can be counted", u64::MAX),
        false => "a number of rows is digits, such as 200000 or 200_000".to_owned(),
    })
}

/// A number of rows of which there must be one.
fn some_rows(text: &str) -> Result<u64, String> {
    rows(text).and_then(|rows| match rows {
        0 => Err("a sky has at least one row".to_owned()),
        rows => Ok(rows),
    })
}

/// A file whose name says what it shall be.
fn sky_file(path: PathBuf) -> Result<SkyFile, String> {
    let format = match path.extension().and_then(|ending| ending.to_str()) {
        Some("parquet") => SkyFormat::Parquet,
        Some("csv") => SkyFormat::Csv,
        _ => return Err("the name should end in .parquet or .csv".to_owned()),
    };
    Ok(SkyFile { path, format })
}

/// A folder of this machine, and not the URL of an object store.
fn local_folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains("://") {
        return Err("the data of a quickstart are kept in a local folder".to_owned());
    }
    Ok(PathBuf::from(text))
}

const TOP_EXAMPLES: &str = "\
Examples:
  almagest quickstart
  almagest import --table survey.stars stars.parquet
  almagest query 'SELECT TOP 5 * FROM survey.stars'
  almagest serve

Every key of almagest.toml can also be set as ALMAGEST__SECTION__KEY in the environment;
`almagest config --default` lists them. Data go to stdout, messages to stderr.
Exit status: 0 success, 1 failure, 2 a command line or a configuration that is not understood.";

const QUICKSTART_EXAMPLES: &str = "\
Examples:
  almagest quickstart
  almagest quickstart --rows 5_000_000 --dir /tmp/sky
  almagest quickstart --no-serve";

const SERVE_EXAMPLES: &str = "\
Examples:
  almagest serve
  almagest --config /etc/almagest.toml --log-format json serve
  ALMAGEST__HTTP__LISTEN=127.0.0.1:9000 almagest serve";

const IMPORT_EXAMPLES: &str = "\
Examples:
  almagest import --table survey.stars stars.parquet
  almagest import --table survey.galaxies --ra alpha --dec delta part1.csv part2.csv
  almagest import --table survey.stars --replace stars-v2.parquet
  almagest import --table survey.stars --append night-2026-11-20.fits
  almagest import --table survey.stars --id source_id --margin 10arcsec --index source_id 'stars-*.csv.gz'
  almagest import --table survey.sources --like survey.stars --key source_id sources/
  almagest import --table survey.stars --bad-rows set-aside --sentinel -999 --sentinel mag=99 stars.csv

What was killed goes on with --resume. Positions are stored in degrees, rows in the order of the sky.";

const ATTACH_EXAMPLES: &str = "\
Examples:
  almagest attach --table gaia.dr3 s3://stpubdata/gaia/gaia_dr3/public/hats
  almagest attach --table demo.small https://data.example.org/hats/small_sky

What the files do not tell of their columns is gathered once, which reads the end of every file.";

const GENERATE_EXAMPLES: &str = "\
Examples:
  almagest generate stars --rows 1_000_000 --out stars.parquet
  almagest generate galaxies --rows 10_000 --seed 7 --out galaxies.csv";

const CONFIG_EXAMPLES: &str = "\
Examples:
  almagest config
  almagest config --default > almagest.toml

Secrets are printed as *** only.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  almagest completions bash > ~/.local/share/bash-completion/completions/almagest
  almagest completions zsh > ~/.zfunc/_almagest
  almagest completions fish > ~/.config/fish/completions/almagest.fish";
