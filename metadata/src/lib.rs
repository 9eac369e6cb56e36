//! What the relational database keeps, and never a catalogue row.
//!
//! Today that is which tables are published and which version of each is served ([`tables`]), who is making a version at
//! the moment ([`making`]), and which versions somebody still reads ([`readers`]), in an SQLite file. A version becomes
//! visible by one transaction that also moves the generation on, so that a running server knows when to look again.
//!
//! What this room never does: it opens no catalogue and runs no query.

mod making;
mod readers;
mod tables;

use std::{path::Path, time::Duration};

use catalogs::TableName;
use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{
    SqlStr, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use making::{Claim, Making, Other, STALE};
pub use readers::Reader;
pub use tables::{Publication, PublishedTable, Version};

/// A failure of the metadata database.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The place cannot be understood.
    #[error("'{url}' is not a place for the metadata database: write sqlite:PATH")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// The database refused or failed.
    #[error("the metadata database failed: {0}")]
    Database(#[from] sqlx::Error),
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
    pool: SqlitePool,
}

const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "tables", include_str!("../migrations/0001_tables.sql")),
    (2, "versions", include_str!("../migrations/0002_versions.sql")),
    (3, "collected", include_str!("../migrations/0003_collected.sql")),
];

const MIGRATION_TRIES: u32 = 20;

impl Metadata {
    /// Opens the database at `sqlite:PATH`, making it if need be, and brings its schema up to date.
    pub async fn open(url: &str) -> Result<Self, MetadataError> {
        let path =
            url.strip_prefix("sqlite:").map(|path| path.trim_start_matches("//")).filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| MetadataError::BadUrl { url: url.to_owned() })?;
        if let Some(folder) = Path::new(path).parent() {
            std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full) // an acknowledged publication survives a power cut
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await?;
        let migrations = MIGRATIONS.map(|(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
        });
        let migrator = Migrator::with_migrations(migrations.to_vec());
        // Of processes that open a new database at the same time one makes the tables; the others find them a moment
        // later.
        let mut tries = 1;
        while let Err(error) = migrator.run(&pool).await {
            if tries == MIGRATION_TRIES {
                return Err(error.into());
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { pool })
    }

    /// A number that grows with every change to what is served.
    pub async fn generation(&self) -> Result<i64, MetadataError> {
        Ok(sqlx::query_scalar("SELECT number FROM generation").fetch_one(&self.pool).await?)
    }

    /// The name of this database among all others.
    pub async fn identity(&self) -> Result<String, MetadataError> {
        Ok(sqlx::query_scalar("SELECT id FROM identity").fetch_one(&self.pool).await?)
    }

    /// Closes all connections; what was committed is on disk.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A time as the database keeps it; texts of this form compare as their times do.
fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn time(text: &str) -> Result<DateTime<Utc>, MetadataError> {
    text.parse().map_err(|_| MetadataError::Corrupt { what: format!("the time {text}") })
}

fn table_name(schema: &str, table: &str) -> Result<TableName, MetadataError> {
    format!("{schema}.{table}").parse().map_err(|error| MetadataError::Corrupt { what: format!("{error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_database_may_be_opened_by_many_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/almagest.db", folder.path().display());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = url.clone();
            tasks.spawn(async move { Metadata::open(&url).await.map(drop) });
        }
        assert!(tasks.join_all().await.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_place_that_is_no_sqlite_file_is_refused() {
        for url in ["", "sqlite:", "mysql://host/x", "almagest.db"] {
            let sentence = Metadata::open(url).await.unwrap_err().to_string();
            assert!(sentence.contains("sqlite:PATH"), "{sentence}");
        }
    }
}
