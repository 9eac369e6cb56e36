//! The schema of the database, brought up to date step by step.
//!
//! A step is one text for both databases. What they write differently stands in it as a word in braces ([`WORDS`]). A step
//! that was released is never changed: its text is remembered by its hash in every database that took it.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::Database;
use crate::MetadataError;

const STEPS: &[(i64, &str, &str)] = &[
    (1, "tables", include_str!("../../migrations/0001_tables.sql")),
    (2, "versions", include_str!("../../migrations/0002_versions.sql")),
    (3, "collected", include_str!("../../migrations/0003_collected.sql")),
    (4, "users", include_str!("../../migrations/0004_users.sql")),
    (5, "jobs", include_str!("../../migrations/0005_jobs.sql")),
    (6, "descriptions", include_str!("../../migrations/0006_descriptions.sql")),
];

/// What the databases write differently: the word, in SQLite, in PostgreSQL.
const WORDS: &[(&str, &str, &str)] = &[
    // A time, RFC 3339 in UTC with milliseconds. Times compare as texts by their bytes, whatever the locale.
    ("{time}", "TEXT", r#"TEXT COLLATE "C""#),
    // Text that is compared by its bytes.
    ("{key}", "TEXT", r#"TEXT COLLATE "C""#),
    // A number that the database counts up.
    ("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    // 128 random bits.
    ("{random}", "lower(hex(randomblob(16)))", "replace(gen_random_uuid()::text, '-', '')"),
];

const TRIES: u32 = 20;

pub(super) async fn run(database: &Database) -> Result<(), MetadataError> {
    let migrator = Migrator::with_migrations(STEPS.iter().map(|step| migration(database, step)).collect());
    // Of processes that open a new database at the same time one makes the tables; the others find them a moment later.
    let mut tries = 1;
    loop {
        let ran = match database {
            Database::Sqlite(pool) => migrator.run(pool).await,
            Database::Postgres(pool) => migrator.run(pool).await,
        };
        match ran.map_err(told) {
            Err(MetadataError::Migration(_)) if tries < TRIES => tries += 1,
            ran => return ran,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A database that is away is not one that cannot be brought up to date.
fn told(error: MigrateError) -> MetadataError {
    match error {
        MigrateError::Execute(cause) => match MetadataError::from(cause) {
            MetadataError::Database(cause) => MetadataError::Migration(MigrateError::Execute(cause)),
            unavailable => unavailable,
        },
        error => MetadataError::Migration(error),
    }
}

fn migration(database: &Database, (number, name, text): &(i64, &'static str, &'static str)) -> Migration {
    let mut text = (*text).to_owned();
    for (word, sqlite, postgres) in WORDS {
        text = text.replace(word, if matches!(database, Database::Sqlite(_)) { sqlite } else { postgres });
    }
    Migration::new(*number, (*name).into(), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metadata;

    /// The hashes that databases of earlier releases remember.
    #[tokio::test]
    async fn steps_that_were_released_read_in_sqlite_as_they_always_did() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/almagest.db", folder.path().display());
        let metadata = Metadata::open(&url).await.unwrap();
        let hashes: Vec<String> = STEPS[..3]
            .iter()
            .map(|step| {
                let migration = migration(&metadata.database, step);
                migration.checksum.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        assert_eq!(hashes, ["30723d82907972d9", "e11e69ab77a379f9", "2413c2025981997e"]);
    }
}
