//! Who reads what: each process that runs queries says the oldest generation that it still reads.
//!
//! A version that was superseded is collected only when every living reader has moved past the generations at which it
//! was served. A reader that was not renewed for [`STALE`] is dead, unless it is known to be alive.

use chrono::Utc;

use crate::{
    Life, Metadata, MetadataError,
    database::{Database, sql},
};

/// A process that reads tables.
#[derive(Clone, Debug)]
pub struct Reader {
    database: Database,
    id: String,
}

impl Metadata {
    /// Says that the process called `id` reads tables as they are at `generation`, until it says otherwise.
    pub async fn reader(&self, id: &str, generation: i64) -> Result<Reader, MetadataError> {
        let reader = Reader { database: self.database.clone(), id: id.to_owned() };
        reader.at(generation).await?;
        Ok(reader)
    }
}

impl Reader {
    /// Says that this reader lives and that `generation` is the oldest that it reads.
    pub async fn at(&self, generation: i64) -> Result<(), MetadataError> {
        let say = "INSERT INTO reader (id, generation, seen_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, seen_at = excluded.seen_at";
        self.database.execute(sql(say).bind(&self.id).bind(generation).bind(Utc::now())).await.map(drop)
    }

    /// Says that this reader reads nothing any more.
    pub async fn leave(self) -> Result<(), MetadataError> {
        self.database.execute(sql("DELETE FROM reader WHERE id = $1").bind(&self.id)).await.map(drop)
    }
}

/// The oldest generation that a living reader reads; the dead ones are forgotten.
pub(crate) async fn oldest_generation(
    database: &Database,
    life: impl Fn(&str) -> Life,
) -> Result<Option<i64>, MetadataError> {
    let now = Utc::now();
    let mut oldest = None;
    for row in database.all(sql("SELECT id, generation, seen_at FROM reader")).await? {
        let (id, generation) = (row.text("id")?, row.number("generation")?);
        if life(&id).holds_after((now - row.time("seen_at")?).to_std().unwrap_or_default()) {
            oldest = Some(oldest.map_or(generation, |oldest: i64| oldest.min(generation)));
        } else {
            // Not where it has spoken since.
            let forget = sql("DELETE FROM reader WHERE id = $1 AND seen_at = $2").bind(id).bind(row.text("seen_at")?);
            database.execute(forget).await?;
        }
    }
    Ok(oldest)
}
