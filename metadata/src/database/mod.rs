//! The two databases that this room speaks to, behind one interface: an SQLite file for one host, PostgreSQL for many.
//!
//! Both take the same texts: placeholders are `$1`, times are RFC 3339 in UTC with milliseconds, so that they compare as
//! texts do, and numbers are integers of 64 bits. Where the two differ, the difference is a method here or a placeholder in
//! a migration ([`migrations`]), so that a reader finds all of them in this folder.
//!
//! Why an enum of two pools and not `sqlx::Any`: `Any` would save the two arms of each method below and nothing else. It
//! translates no SQL, it drops what only one of them has (journal mode and busy timeout, `LISTEN`), it needs drivers that
//! are installed for the whole process before the first use, and it guesses types of SQLite columns by their declarations.
//!
//! A transaction that writes excludes all others that write in this way: `BEGIN IMMEDIATE` in SQLite, one advisory lock
//! in PostgreSQL. Publishing and what else is seldom goes this way; what is frequent (jobs) is one statement each, whose
//! condition says what it expects to find.

mod migrations;
mod values;

use std::{path::Path, time::Duration};

use sqlx::{
    PgPool, Postgres, Sqlite, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub(crate) use self::values::{Row, Statement, sql};
use crate::MetadataError;

/// How long a call waits for a connection: so long a restart of the database goes unnoticed.
const WAIT: Duration = Duration::from_secs(5);
/// How long a call waits for its answer, where the database was reached and then says nothing.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a call waits for another one that writes.
const BUSY: Duration = Duration::from_secs(10);
/// The name of the advisory lock of whoever writes.
const WRITER: i64 = 0x616c_6d61_6765_7374;

/// A database, with its connections.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// A file.
    Sqlite(SqlitePool),
    /// A server.
    Postgres(PgPool),
}

/// A transaction that excludes all others that write; rolled back unless it is committed.
pub(crate) enum Transaction {
    /// Of a file.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// Of a server.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Database {
    /// Opens `sqlite:PATH`, making it if need be, or `postgres://…`, and brings its schema up to date.
    pub(crate) async fn open(url: &str) -> Result<Self, MetadataError> {
        let bad = || MetadataError::BadUrl { url: without_password(url) };
        let database = if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.trim_start_matches("//");
            Self::file(if path.is_empty() { Err(bad()) } else { Ok(path) }?).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options: PgConnectOptions = url.parse().map_err(|_| bad())?;
            let pool = PgPoolOptions::new().max_connections(16).acquire_timeout(WAIT);
            Self::Postgres(pool.connect_lazy_with(options.application_name("almagest")))
        } else {
            return Err(bad());
        };
        migrations::run(&database).await?;
        Ok(database)
    }

    async fn file(path: &str) -> Result<Self, MetadataError> {
        if let Some(folder) = Path::new(path).parent() {
            std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full) // an acknowledged publication survives a power cut
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(8).acquire_timeout(WAIT + BUSY);
        Ok(Self::Sqlite(pool.connect_with(options).await?))
    }

    /// Runs a statement. Returns how many rows it changed.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64, MetadataError> {
        patiently(async {
            Ok(match self {
                Self::Sqlite(pool) => statement.sqlite().execute(pool).await?.rows_affected(),
                Self::Postgres(pool) => statement.postgres().execute(pool).await?.rows_affected(),
            })
        })
        .await
    }

    /// The rows that a statement answers with.
    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<Row>, MetadataError> {
        patiently(async {
            Ok(match self {
                Self::Sqlite(pool) => statement.sqlite().fetch_all(pool).await?.into_iter().map(Row::Sqlite).collect(),
                Self::Postgres(pool) => {
                    statement.postgres().fetch_all(pool).await?.into_iter().map(Row::Postgres).collect()
                }
            })
        })
        .await
    }

    /// The row that a statement answers with, if any.
    pub(crate) async fn maybe_one(&self, statement: Statement) -> Result<Option<Row>, MetadataError> {
        Ok(self.all(statement).await?.into_iter().next())
    }

    /// The row that a statement answers with.
    pub(crate) async fn one(&self, statement: Statement) -> Result<Row, MetadataError> {
        self.maybe_one(statement).await?.ok_or_else(no_row)
    }

    /// Begins a transaction that excludes all others that write.
    pub(crate) async fn write(&self) -> Result<Transaction, MetadataError> {
        patiently(async {
            Ok(match self {
                Self::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
                Self::Postgres(pool) => {
                    let mut transaction = pool.begin().await?;
                    let wait = format!("SET LOCAL lock_timeout = {}", BUSY.as_millis());
                    sqlx::query(sqlx::AssertSqlSafe(wait)).execute(&mut *transaction).await?;
                    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITER).execute(&mut *transaction).await?;
                    Transaction::Postgres(transaction)
                }
            })
        })
        .await
    }

    /// Closes all connections; what was committed is on disk.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// What follows a `SELECT` of rows that this transaction alone goes on with, where others may take other rows.
    pub(crate) fn skip_locked(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "", // there, one statement writes at a time
            Self::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        }
    }
}

impl Transaction {
    /// Runs a statement. Returns how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, MetadataError> {
        patiently(async {
            Ok(match self {
                Self::Sqlite(inner) => statement.sqlite().execute(&mut **inner).await?.rows_affected(),
                Self::Postgres(inner) => statement.postgres().execute(&mut **inner).await?.rows_affected(),
            })
        })
        .await
    }

    /// The rows that a statement answers with.
    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, MetadataError> {
        patiently(async {
            Ok(match self {
                Self::Sqlite(inner) => {
                    statement.sqlite().fetch_all(&mut **inner).await?.into_iter().map(Row::Sqlite).collect()
                }
                Self::Postgres(inner) => {
                    statement.postgres().fetch_all(&mut **inner).await?.into_iter().map(Row::Postgres).collect()
                }
            })
        })
        .await
    }

    /// The row that a statement answers with, if any.
    pub(crate) async fn maybe_one(&mut self, statement: Statement) -> Result<Option<Row>, MetadataError> {
        Ok(self.all(statement).await?.into_iter().next())
    }

    /// The row that a statement answers with.
    pub(crate) async fn one(&mut self, statement: Statement) -> Result<Row, MetadataError> {
        self.maybe_one(statement).await?.ok_or_else(no_row)
    }

    /// Tells whoever listens to `channel`, once this is committed. A file has nobody who listens.
    pub(crate) async fn notify(&mut self, channel: &str) -> Result<(), MetadataError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => self.all(sql("SELECT pg_notify($1, '')::text").bind(channel)).await.map(drop),
        }
    }

    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), MetadataError> {
        patiently(async {
            match self {
                Self::Sqlite(inner) => inner.commit().await?,
                Self::Postgres(inner) => inner.commit().await?,
            }
            Ok(())
        })
        .await
    }
}

/// What a call gives, or that the database says nothing.
async fn patiently<T>(call: impl Future<Output = Result<T, MetadataError>>) -> Result<T, MetadataError> {
    let late = |_| MetadataError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(PATIENCE, call).await.map_err(late)?
}

/// Whether it is the database that is away or at its limits, and not the statement that is wrong.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    match error {
        // A connection that is closed in the middle of a word is a breach of the protocol, too.
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
        Database(error) => match error.code().as_deref() {
            // PostgreSQL: connections, resources, shutting down or starting; locks that were not to be had in time.
            Some(code) if code.len() == 5 => {
                code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") || code == "55P03"
            }
            // SQLite, whose codes are numbers: busy, locked. The lower byte is the code, the rest tells more of it.
            Some(code) => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6)),
            None => false,
        },
        _ => false,
    }
}

fn no_row() -> MetadataError {
    MetadataError::Database(sqlx::Error::RowNotFound)
}

/// An address as it may be shown.
fn without_password(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, place))) => format!("{scheme}://***@{place}"),
        None => url.to_owned(),
    }
}
