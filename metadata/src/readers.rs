//! Who reads what: each process that runs queries says the oldest generation that it still reads.
//!
//! A version that was superseded is collected only when every living reader has moved past the generations at which it
//! was served. A reader that was not renewed for [`STALE`] is dead, unless it is known to be alive.

use chrono::Utc;
use sqlx::SqlitePool;

use crate::{Life, Metadata, MetadataError, time, written};

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
    life: impl Fn(&str) -> Life,
) -> Result<Option<i64>, MetadataError> {
    let readers: Vec<(String, i64, String)> =
        sqlx::query_as("SELECT id, generation, seen_at FROM reader").fetch_all(pool).await?;
    let now = Utc::now();
    let mut oldest = None;
    for (id, generation, seen_at) in readers {
        if life(&id).holds_after((now - time(&seen_at)?).to_std().unwrap_or_default()) {
            oldest = Some(oldest.map_or(generation, |oldest: i64| oldest.min(generation)));
        } else {
            // Not where it has spoken since.
            let forget = "DELETE FROM reader WHERE id = ?1 AND seen_at = ?2";
            sqlx::query(forget).bind(id).bind(seen_at).execute(pool).await?;
        }
    }
    Ok(oldest)
}
