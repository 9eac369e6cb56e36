//! What the relational database keeps, and never a catalogue row.
//!
//! Today that is which tables are published and which version of each is served, in an SQLite file. A version becomes
//! visible by one transaction that also moves the generation on, so that a running server knows when to look again.
//!
//! What this room never does: it opens no catalogue and runs no query.

use std::{path::Path, time::Duration};

use catalogs::TableName;
use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{
    Row, SqlStr, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

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
    /// A row says something that it cannot.
    #[error("the metadata database holds {what}, which cannot be")]
    Corrupt {
        /// The impossible thing.
        what: String,
    },
}

/// The served version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTable {
    /// Its name.
    pub name: TableName,
    /// The version, counted from 1.
    pub version: u32,
    /// The folder of the catalogue in the store.
    pub root: String,
    /// The id of its snapshot.
    pub snapshot: String,
    /// How many rows it has.
    pub rows: u64,
    /// A sentence about it.
    pub description: Option<String>,
    /// When it was published.
    pub published_at: DateTime<Utc>,
}

/// A version that is about to be published.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The table.
    pub name: TableName,
    /// The folder of the catalogue in the store.
    pub root: String,
    /// The id of its snapshot.
    pub snapshot: String,
    /// How many rows it has.
    pub rows: u64,
    /// A sentence about it.
    pub description: Option<String>,
}

/// The metadata database.
#[derive(Clone, Debug)]
pub struct Metadata {
    pool: SqlitePool,
}

const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "tables", include_str!("../migrations/0001_tables.sql"))];

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

    /// Publishes a version over the one that the caller saw (none, if there was no table), and changes nothing where
    /// another is served by now. From the end of this call on it is the one that is served. Returns its number.
    pub async fn publish(&self, publication: &Publication, seen: Option<u32>) -> Result<u32, MetadataError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let name = &publication.name;
        let served: Option<i64> = sqlx::query_scalar(
            "SELECT version FROM table_version WHERE schema_name = ?1 AND table_name = ?2 AND is_current",
        )
        .bind(name.schema())
        .bind(name.table())
        .fetch_optional(&mut *transaction)
        .await?;
        let served = served.map(|version| number(name, version)).transpose()?;
        if let Some(version) = served
            && served != seen
        {
            return Err(MetadataError::Overtaken { name: name.clone(), version });
        }
        let (schema, table) = (publication.name.schema(), publication.name.table());
        let last: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM table_version WHERE schema_name = ?1 AND table_name = ?2")
                .bind(schema)
                .bind(table)
                .fetch_one(&mut *transaction)
                .await?;
        let version = last.unwrap_or(0) + 1;
        sqlx::query(
            "UPDATE table_version SET is_current = FALSE WHERE schema_name = ?1 AND table_name = ?2 AND is_current",
        )
        .bind(schema)
        .bind(table)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO table_version \
             (schema_name, table_name, version, root, snapshot, row_count, description, published_at, is_current) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, TRUE)",
        )
        .bind(schema)
        .bind(table)
        .bind(version)
        .bind(&publication.root)
        .bind(&publication.snapshot)
        .bind(publication.rows.cast_signed())
        .bind(&publication.description)
        .bind(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true))
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE generation SET number = number + 1").execute(&mut *transaction).await?;
        transaction.commit().await?;
        number(&publication.name, version)
    }

    /// The served version of every table, by name.
    pub async fn tables(&self) -> Result<Vec<PublishedTable>, MetadataError> {
        let rows = sqlx::query(
            "SELECT schema_name, table_name, version, root, snapshot, row_count, description, published_at \
             FROM table_version WHERE is_current ORDER BY schema_name, table_name",
        );
        rows.fetch_all(&self.pool).await?.iter().map(table_of).collect()
    }

    /// The served version of one table.
    pub async fn table(&self, name: &TableName) -> Result<Option<PublishedTable>, MetadataError> {
        Ok(self.tables().await?.into_iter().find(|table| table.name == *name))
    }

    /// A number that grows with every change to what is served.
    pub async fn generation(&self) -> Result<i64, MetadataError> {
        Ok(sqlx::query_scalar("SELECT number FROM generation").fetch_one(&self.pool).await?)
    }

    /// Closes all connections; what was committed is on disk.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn number(name: &TableName, version: i64) -> Result<u32, MetadataError> {
    version.try_into().map_err(|_| MetadataError::Corrupt { what: format!("version {version} of {name}") })
}

fn table_of(row: &SqliteRow) -> Result<PublishedTable, MetadataError> {
    let (schema, table): (String, String) = (row.try_get("schema_name")?, row.try_get("table_name")?);
    let corrupt = |what: String| MetadataError::Corrupt { what };
    let name: TableName = format!("{schema}.{table}").parse().map_err(|error| corrupt(format!("{error}")))?;
    let version: i64 = row.try_get("version")?;
    let rows: i64 = row.try_get("row_count")?;
    let published_at: String = row.try_get("published_at")?;
    Ok(PublishedTable {
        version: number(&name, version)?,
        rows: rows.try_into().map_err(|_| corrupt(format!("{rows} rows of {name}")))?,
        published_at: published_at.parse().map_err(|_| corrupt(format!("the time {published_at}")))?,
        root: row.try_get("root")?,
        snapshot: row.try_get("snapshot")?,
        description: row.try_get("description")?,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn database(folder: &tempfile::TempDir) -> Metadata {
        Metadata::open(&format!("sqlite:{}/new folder/almagest.db", folder.path().display())).await.unwrap()
    }

    fn publication(name: &str, root: &str) -> Publication {
        let snapshot = "00".repeat(32);
        Publication {
            name: name.parse().unwrap(),
            root: root.into(),
            snapshot,
            rows: 7,
            description: Some("été ★".into()),
        }
    }

    #[tokio::test]
    async fn the_last_published_version_is_the_served_one_also_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = database(&folder).await;
        assert_eq!(metadata.tables().await.unwrap(), []);
        assert_eq!(metadata.publish(&publication("demo.stars", "a"), None).await.unwrap(), 1);
        assert_eq!(metadata.publish(&publication("demo.galaxies", "b"), None).await.unwrap(), 1);
        assert_eq!(metadata.publish(&publication("demo.stars", "c"), Some(1)).await.unwrap(), 2);
        metadata.close().await;
        let metadata = database(&folder).await;
        let tables = metadata.tables().await.unwrap();
        let served: Vec<_> =
            tables.iter().map(|table| (table.name.to_string(), table.version, table.root.as_str())).collect();
        assert_eq!(served, [("demo.galaxies".into(), 1, "b"), ("demo.stars".into(), 2, "c")]);
        assert_eq!((tables[0].rows, tables[0].description.as_deref()), (7, Some("été ★")));
        assert_eq!(metadata.generation().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_publication_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = database(&folder).await;
        metadata.publish(&publication("demo.stars", "a"), None).await.unwrap();
        let before = (metadata.tables().await.unwrap(), metadata.generation().await.unwrap());
        assert!(
            metadata.publish(&publication("demo.other", "a"), None).await.is_err(),
            "two tables cannot share a folder"
        );
        assert_eq!((metadata.tables().await.unwrap(), metadata.generation().await.unwrap()), before);
    }

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
    async fn of_those_who_saw_the_same_version_exactly_one_publishes_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = database(&folder).await;
        for seen in [None, Some(1)] {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..10 {
                let metadata = metadata.clone();
                let publication = publication("demo.stars", &format!("{seen:?} {number}"));
                tasks.spawn(async move { metadata.publish(&publication, seen).await });
            }
            let (published, overtaken): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
            let version = seen.unwrap_or(0) + 1;
            assert_eq!(published.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [version]);
            for refusal in overtaken.into_iter().map(|refusal| refusal.unwrap_err().to_string()) {
                let sentence = format!(
                    "demo.stars was published by somebody else meanwhile (version {version}); nothing was changed"
                );
                assert_eq!(refusal, sentence);
            }
            let served = metadata.table(&"demo.stars".parse().unwrap()).await.unwrap().unwrap();
            assert_eq!((served.version, metadata.generation().await.unwrap()), (version, i64::from(version)));
        }
    }

    #[tokio::test]
    async fn a_place_that_is_no_sqlite_file_is_refused() {
        for url in ["", "sqlite:", "mysql://host/x", "almagest.db"] {
            let sentence = Metadata::open(url).await.unwrap_err().to_string();
            assert!(sentence.contains("sqlite:PATH"), "{sentence}");
        }
    }
}
