//! The sub-commands and flags of `almagest catalog`.

use std::{str::FromStr, time::Duration};

use catalogs::TableName;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use metadata::{GroupName, MetadataError};

use super::users::moment;

/// `almagest catalog`
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// The tables, with the version that is served and its rows
    List(ListArgs),
    /// The columns of one table, what is known of them, and what its import did
    Show(ShowArgs),
    /// Read all of a table and compare it with everything that is said of it
    #[command(after_help = "Exit status: 0 where nothing is wrong, 1 where anything is.")]
    Check(CheckArgs),
    /// The versions of a table that are still kept
    Versions(VersionsArgs),
    /// Cease to serve a table; its versions are kept until `catalog gc`
    Drop(DropArgs),
    /// Tell who may see a table, or say who may
    #[command(after_help = VISIBILITY_EXAMPLES)]
    Visibility(VisibilityArgs),
    /// Delete the versions that are served no more and read by nobody, and what dead imports left
    Gc(GcArgs),
}

/// A table, or one of its versions: `schema.table` or `schema.table@version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableVersion {
    pub(crate) name: TableName,
    pub(crate) version: Option<u32>,
}

impl FromStr for TableVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => {
                let version = version.parse().ok().filter(|version| *version > 0);
                (name, Some(version.ok_or("a version is a number from 1, as in gaia.dr3@2")?))
            }
            None => (text, None),
        };
        Ok(Self { name: name.parse().map_err(|error: catalogs::CatalogError| error.to_string())?, version })
    }
}

/// `almagest catalog list`
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `almagest catalog show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The table, or one of its versions
    #[arg(value_name = "SCHEMA.NAME[@VERSION]")]
    pub(crate) table: TableVersion,
    /// Print JSON instead of a table
    #[arg(long, conflicts_with = "felis")]
    pub(crate) json: bool,
    /// Print the columns as a Felis file
    #[arg(long)]
    pub(crate) felis: bool,
}

/// `almagest catalog check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The table, or one of its versions
    #[arg(value_name = "SCHEMA.NAME[@VERSION]")]
    pub(crate) table: TableVersion,
    /// Print JSON instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// `almagest catalog versions`
#[derive(Debug, Args)]
pub(crate) struct VersionsArgs {
    /// The table
    #[arg(value_name = "SCHEMA.NAME")]
    pub(crate) table: TableName,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `almagest catalog drop`
#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    /// The table
    #[arg(value_name = "SCHEMA.NAME")]
    pub(crate) table: TableName,
}

const VISIBILITY_EXAMPLES: &str = "\
Examples:
  almagest catalog visibility survey.dr2
  almagest catalog visibility survey.dr2 group:team release:2027-01-31
  almagest catalog visibility survey.dr2 public

Who may not see a table finds no trace of it. Commands on this host see every table.";

/// `almagest catalog visibility`
#[derive(Debug, Args)]
pub(crate) struct VisibilityArgs {
    /// The table; there need not be one yet
    #[arg(value_name = "SCHEMA.NAME")]
    pub(crate) table: TableName,
    /// Who may see it, in the place of all that was said before: `public`, or `group:NAME` (may be repeated) and
    /// `release:DATE`, from which on everybody may
    #[arg(value_name = "WHO")]
    pub(crate) to: Vec<VisibleTo>,
    /// Print JSON instead of words
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who may see a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VisibleTo {
    /// Everybody.
    Public,
    /// The members of a group.
    Group(GroupName),
    /// Everybody, from then on.
    Release(DateTime<Utc>),
}

impl FromStr for VisibleTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "public" => Ok(Self::Public),
            Some(("group", name)) => name.parse().map(Self::Group).map_err(|error: MetadataError| error.to_string()),
            Some(("release", date)) => moment(date).map(Self::Release),
            _ => Err("write public, group:NAME or release:DATE".to_owned()),
        }
    }
}

/// `almagest catalog gc`
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Keep what was served within this span, such as 7d, 12h or 0s
    #[arg(long, value_name = "SPAN", default_value = "1d", value_parser = span)]
    pub(crate) older_than: Duration,
    /// Tell what would be deleted, and delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// A span of time with its unit.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let seconds: u64 = match &text[number.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("write a number and its unit, such as 7d, 12h, 30m or 0s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| format!("'{number}' is no whole number"))?;
    match number.checked_mul(seconds).filter(|seconds| *seconds <= 36_500 * 86_400) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err("at most 100 years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_behind_the_table() {
        let named: TableVersion = "Gaia.DR3@2".parse().unwrap();
        assert_eq!((named.name.to_string().as_str(), named.version), ("gaia.dr3", Some(2)));
        assert_eq!("gaia.dr3".parse::<TableVersion>().unwrap().version, None);
        for text in ["gaia.dr3@", "gaia.dr3@0", "gaia.dr3@-1", "gaia@1", "gaia.dr3@1@2"] {
            assert!(text.parse::<TableVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_has_a_unit_and_an_end() {
        assert_eq!((span("7d"), span("0s")), (Ok(Duration::from_secs(604_800)), Ok(Duration::ZERO)));
        for text in ["7", "d", "1.5h", "-1d", "99999999d", "18446744073709551615d", "1w"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
