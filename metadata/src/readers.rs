//! Who reads what: each process that runs queries says the oldest generation that it still reads.
//!
//! A version that was superseded is collected only when every living reader has moved past the generations at which it
//! was served. A reader that was not renewed for [`STALE`] is dead.

use chrono::Utc;
use sqlx::SqlitePool;

use crate::{Metadata, MetadataError, STALE, written};

/// A process that reads tables.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: SqlitePool,
    id: String,
}

impl Metadata {
    /// Says that the process called `id` reads tables as they are at `generation`, until it says otherwise.
    pub async fn reader(&self, id: &str, generation: i64) -> Result<Reader, MetadataError> {
        let reader = Reader { pool: self.pool.clone(), id: id.to_owned() };
        reader.at(generation).await?;
        Ok(reader)
    }
}

impl Reader {
    /// Says that this reader lives and that `generation` is the oldest that it reads.
    pub async fn at(&self, generation: i64) -> Result<(), MetadataError> {
        sqlx::query(
            "INSERT INTO reader (id, generation, seen_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, seen_at = excluded.seen_at",
        )
        .bind(&self.id)
        .bind(generation)
        .bind(written(Utc::now()))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says that this reader reads nothing any more.
    pub async fn leave(self) -> Result<(), MetadataError> {
        sqlx::query("DELETE FROM reader WHERE id = ?1").bind(&self.id).execute(&self.pool).await?;
        Ok(())
    }
}

/// The oldest generation that a living reader reads; the dead ones are forgotten.
pub(crate) async fn oldest_generation(
    pool: &SqlitePool,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<i64>, MetadataError> {
    let silent = written(Utc::now() - STALE);
    sqlx::query("DELETE FROM reader WHERE seen_at < ?1").bind(silent).execute(pool).await?;
    let readers: Vec<(String, i64)> = sqlx::query_as("SELECT id, generation FROM reader").fetch_all(pool).await?;
    Ok(readers.into_iter().filter(|(id, _)| !is_dead(id)).map(|(_, generation)| generation).min())
}
