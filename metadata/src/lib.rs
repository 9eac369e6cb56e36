//! What the relational database keeps, and never a catalogue row.
//!
//! That is which tables are published and which version of each is served ([`tables`]), what is known of their columns
//! ([`descriptions`]), who is making a version at the moment ([`making`]), which versions somebody still reads
//! ([`readers`]), who may sign in ([`users`]) and see what ([`visibility`]), and jobs ([`jobs`]): in an SQLite file for one
//! host, or on a PostgreSQL server for many ([`database`]).
//!
//! What a server must see at once (a version, an edit, who may see a table) is one transaction that also moves the
//! generation on; [`Changes`] tells whoever waits for that.
//!
//! What this room never does: it opens no catalogue, runs no query and speaks no HTTP.

mod changes;
mod database;
mod descriptions;
mod jobs;
mod making;
#[cfg(test)]
mod outage;
mod readers;
mod tables;
#[cfg(test)]
mod testing;
mod users;
mod visibility;

use std::{sync::Arc, time::Duration};

use catalogs::TableName;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    database::{Database, Row, Transaction, sql},
    users::Verified,
};

pub use changes::Changes;
pub use descriptions::{Column, Field, SchemaDescription, Subject, TableDescription, TableKey};
pub use jobs::{
    Job, JobFilter, JobPage, JobRef, NewJob, OnLostLease, Outcome, PageKey, Phase, Queued, Quota, Reclaimed, Start,
    Upload, Usage,
};
pub use making::{Claim, Making, Other, STALE};
pub use readers::Reader;
pub use tables::{Publication, PublishedTable, Version};
pub use users::{AuditEntry, Group, GroupName, NewToken, Scope, SignInError, Token, User, UserName};
pub use visibility::{Caller, Visibility};

/// A failure of the metadata database.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The place cannot be understood.
    #[error("'{url}' is not a place for the metadata database: write sqlite:PATH or postgres://USER@HOST/DATABASE")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// The database cannot be reached, or does not answer in time; it may be back in a moment.
    #[error("the metadata database cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused or failed.
    #[error("the metadata database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// The schema of the database could not be brought up to date.
    #[error("the metadata database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A table is not what it was when somebody began to make a new version of it.
    #[error("{name} was published by somebody else meanwhile (version {version}); nothing was changed")]
    Overtaken {
        /// The table.
        name: TableName,
        /// The version that is served now.
        version: u32,
    },
    /// A table was dropped while somebody made a new version of it.
    #[error("{name} was dropped by somebody else meanwhile; nothing was changed")]
    Vanished {
        /// The table.
        name: TableName,
    },
    /// A version that was begun is not one's own any more.
    #[error("{name}: another import took this one over meanwhile; nothing was changed")]
    TakenOver {
        /// The table.
        name: TableName,
    },
    /// There is no such thing.
    #[error("there is no {what} {name}")]
    Absent {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// There is such a thing already.
    #[error("there is a {what} {name} already")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// A job is not in a phase from which it could go where it was to go.
    #[error("job {id} is {phase}, and cannot become {wanted} from there")]
    WrongPhase {
        /// The job.
        id: String,
        /// Where it is.
        phase: Phase,
        /// Where it was to go.
        wanted: Phase,
    },
    /// What was given cannot be taken.
    #[error("{why}")]
    Unfit {
        /// Why, and what can.
        why: String,
    },
    /// A row says something that it cannot.
    #[error("the metadata database holds {what}, which cannot be")]
    Corrupt {
        /// The impossible thing.
        what: String,
    },
}

impl MetadataError {
    /// Whether it is certain that the database was not changed: a commit that seems to fail may have happened.
    pub fn changed_nothing(&self) -> bool {
        matches!(self, Self::Overtaken { .. } | Self::Vanished { .. } | Self::TakenOver { .. })
    }
}

impl From<sqlx::Error> for MetadataError {
    fn from(error: sqlx::Error) -> Self {
        if database::is_away(&error) { Self::Unavailable(error) } else { Self::Database(error) }
    }
}

/// What is known of a process that makes or reads tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs, though it may be stopped, or the clock may have jumped.
    Alive,
    /// It has ended.
    Dead,
    /// It may be on another host: time tells.
    Unknown,
}

impl Life {
    /// Whether a process that was silent for so long is still reckoned with.
    fn holds_after(self, silent: Duration) -> bool {
        match self {
            Self::Alive => true,
            Self::Dead => false,
            Self::Unknown => silent <= STALE,
        }
    }
}

/// The metadata database.
#[derive(Clone, Debug)]
pub struct Metadata {
    database: Database,
    verified: Arc<Verified>,
}

impl Metadata {
    /// Opens the database at `sqlite:PATH`, making it if need be, or at `postgres://…`, and brings its schema up to date.
    pub async fn open(url: &str) -> Result<Self, MetadataError> {
        Ok(Self { database: Database::open(url).await?, verified: Arc::new(Verified::new()) })
    }

    /// A number that grows with every change to what is served.
    pub async fn generation(&self) -> Result<i64, MetadataError> {
        self.database.one(sql("SELECT number FROM generation")).await?.number("number")
    }

    /// The name of this database among all others.
    pub async fn identity(&self) -> Result<String, MetadataError> {
        self.database.one(sql("SELECT id FROM identity")).await?.text("id")
    }

    /// Closes all connections; what was committed is on disk.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// Moves the generation on and tells whoever waits for that.
async fn moved_on(transaction: &mut Transaction) -> Result<(), MetadataError> {
    transaction.execute(sql("UPDATE generation SET number = number + 1")).await?;
    transaction.notify(changes::CHANNEL).await
}

/// A time as the database keeps it; texts of this form compare as their times do.
fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn time(text: &str) -> Result<DateTime<Utc>, MetadataError> {
    text.parse().map_err(|_| MetadataError::Corrupt { what: format!("the time {text}") })
}

/// The table that a row is about.
fn table_name(row: &Row) -> Result<TableName, MetadataError> {
    let (schema, table) = (row.text("schema_name")?, row.text("table_name")?);
    format!("{schema}.{table}").parse().map_err(|error| MetadataError::Corrupt { what: format!("{error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::conformance;

    conformance! {
        async fn a_new_database_may_be_opened_by_many_at_once(place: &Place) {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let url = place.url().to_owned();
                tasks.spawn(async move { Metadata::open(&url).await?.generation().await });
            }
            assert!(tasks.join_all().await.into_iter().all(|opened| opened.unwrap() == 0));
        }

        async fn a_database_is_told_from_all_others_and_stays_itself(place: &Place) {
            let identity = place.open().await.identity().await.unwrap();
            assert_eq!(place.open().await.identity().await.unwrap(), identity);
            assert!(identity.len() == 32 && identity.bytes().all(|byte| byte.is_ascii_hexdigit()), "{identity}");
        }

        async fn a_text_comes_back_as_it_was_given(place: &Place) {
            let metadata = place.open().await;
            let given = sql("SELECT $1 AS given").bind("été ★ '; DROP TABLE x; -- $2 \u{1} \\");
            let text = metadata.database.one(given).await.unwrap().text("given").unwrap();
            assert_eq!(text, "été ★ '; DROP TABLE x; -- $2 \u{1} \\");
        }
    }

    #[tokio::test]
    async fn a_place_that_is_no_database_is_refused_and_shows_no_password() {
        for url in ["", "sqlite:", "mysql://u:secret@host/x", "almagest.db", "postgres://u:secret@host:x/y"] {
            let sentence = Metadata::open(url).await.unwrap_err().to_string();
            assert!(sentence.contains("sqlite:PATH or postgres://"), "{sentence}");
            assert!(!sentence.contains("secret"), "{sentence}");
        }
    }
}
