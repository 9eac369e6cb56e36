//! The sub-commands and flags of `almagest user`, `almagest token` and `almagest group`.
//!
//! No password and no token is ever an argument: arguments are seen by everybody on the host.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use metadata::{GroupName, Scope, UserName};

pub(super) const USER_EXAMPLES: &str = "\
Examples:
  almagest user add ada --group team
  pass show almagest/ada | almagest user passwd ada
  almagest user list --json

A password is asked for at a terminal, twice; otherwise it is the first line of stdin.";

pub(super) const TOKEN_EXAMPLES: &str = "\
Examples:
  almagest token create ada --label 'nightly export' --expires 90d
  almagest token list ada
  almagest token revoke 1f0c9a4e27

A token is printed once, when it is made, and kept nowhere.";

/// `almagest user`
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account
    Add(AddUserArgs),
    /// The accounts, with their groups
    List(PlainArgs),
    /// Give an account another password
    Passwd(UserArgs),
    /// Let a user sign in no more, neither with the password nor with a token
    Disable(UserArgs),
    /// Let a user sign in again
    Enable(UserArgs),
    /// Who signed in or was refused, and who changed what
    Log(LogArgs),
}

/// `almagest token`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a user, and print it
    Create(CreateTokenArgs),
    /// The tokens, with what they are good for
    List(ListTokensArgs),
    /// Take a token back
    Revoke(RevokeArgs),
}

/// `almagest group`
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group
    Add(GroupArgs),
    /// The groups, with their members
    List(PlainArgs),
    /// The members of a group; put users into it, or take them out
    Members(MembersArgs),
}

/// `almagest user add`
#[derive(Debug, Args)]
pub(crate) struct AddUserArgs {
    /// The name: letters, digits and . _ @ -
    #[arg(value_name = "NAME")]
    pub(crate) name: UserName,
    /// A group to put the user into; may be repeated
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Vec<GroupName>,
}

/// A user.
#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// The user
    #[arg(value_name = "NAME")]
    pub(crate) name: UserName,
}

/// A list.
#[derive(Debug, Args)]
pub(crate) struct PlainArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `almagest user log`
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// How many entries, the newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) last: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `almagest token create`
#[derive(Debug, Args)]
pub(crate) struct CreateTokenArgs {
    /// Whose it is
    #[arg(value_name = "USER")]
    pub(crate) user: UserName,
    /// What it is for, in a few words
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) label: String,
    /// What it is good for: query, tables (writing one's own), all
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', default_value = "query")]
    pub(crate) scope: Vec<Scope>,
    /// From when on it is of no use: a span such as 90d or 12h, a date, or never
    #[arg(long, value_name = "WHEN", default_value = "90d")]
    pub(crate) expires: Expiry,
    /// Print JSON instead of the token alone
    #[arg(long)]
    pub(crate) json: bool,
}

/// `almagest token list`
#[derive(Debug, Args)]
pub(crate) struct ListTokensArgs {
    /// Those of one user only
    #[arg(value_name = "USER")]
    pub(crate) user: Option<UserName>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `almagest token revoke`
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The token, by the id that `almagest token list` tells
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// A group.
#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    /// The name: letters, digits and . _ @ -
    #[arg(value_name = "NAME")]
    pub(crate) name: GroupName,
}

/// `almagest group members`
#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    pub(crate) group: GroupName,
    /// A user to put into it; may be repeated
    #[arg(long, value_name = "USER")]
    pub(crate) add: Vec<UserName>,
    /// A user to take out of it; may be repeated
    #[arg(long, value_name = "USER")]
    pub(crate) remove: Vec<UserName>,
    /// Print JSON instead of a list
    #[arg(long)]
    pub(crate) json: bool,
}

/// When something ceases to be of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Never.
    Never,
    /// So long from now on.
    In(TimeDelta),
    /// Then.
    At(DateTime<Utc>),
}

impl Expiry {
    /// The time, where there is one.
    pub(crate) fn from(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Never => None,
            Self::In(span) => Some(now + span),
            Self::At(time) => Some(time),
        }
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(time) = moment(text) {
            return Ok(Self::At(time));
        }
        let span = super::catalog::span(text).map_err(|_| "write a span such as 90d or 12h, a date, or never")?;
        TimeDelta::from_std(span).map(Self::In).map_err(|error| error.to_string())
    }
}

/// A date, at whose beginning (UTC) something happens, or a time of RFC 3339.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let date = text.parse::<NaiveDate>().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    date.or_else(|_| DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()))
        .map_err(|_| "write a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_after_a_span_on_a_date_or_never() {
        let now: DateTime<Utc> = "2026-11-20T10:00:00Z".parse().unwrap();
        let expiry = |text: &str| text.parse::<Expiry>().map(|expiry| expiry.from(now).map(|time| time.to_rfc3339()));
        assert_eq!(expiry("never"), Ok(None));
        assert_eq!(expiry("2d"), Ok(Some("2026-11-22T10:00:00+00:00".into())));
        assert_eq!(expiry("2027-01-31"), Ok(Some("2027-01-31T00:00:00+00:00".into())));
        assert_eq!(expiry("2027-01-31T12:00:00+02:00"), Ok(Some("2027-01-31T10:00:00+00:00".into())));
        for wrong in ["", "90", "2027-13-01", "tomorrow", "-1d"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }
}
