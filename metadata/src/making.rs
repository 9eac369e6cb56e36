//! Who is making a version of a table: one at a time, and what was begun can be gone on with.
//!
//! A claim is a row that its holder renews. One whose holder is known to be dead, or that was not renewed for [`STALE`] by
//! a holder of whom nothing is known, is abandoned: its root tells what can be resumed or must be cleared away.

use std::time::Duration;

use catalogs::TableName;
use chrono::{DateTime, Utc};
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use crate::{Life, Metadata, MetadataError, table_name, time, written};

/// A claim that was not renewed for so long is abandoned. Holders renew it a few times in that span.
pub const STALE: Duration = Duration::from_secs(60);

/// What came of asking for a claim.
#[derive(Debug)]
pub enum Making {
    /// It is the caller's now, with a new root.
    Mine(Claim),
    /// Somebody is at work on the table.
    Busy(Other),
    /// Somebody began and did not end: [`Metadata::take_over`] makes it the caller's.
    Abandoned(Other),
}

/// A version that somebody else is or was making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The folder that it is made in.
    pub root: String,
    /// Who makes it, in the holder's own words.
    pub holder: String,
    /// When it was begun.
    pub began_at: DateTime<Utc>,
}

/// The right to make the next version of a table.
#[derive(Clone, Debug)]
pub struct Claim {
    metadata: Metadata,
    name: TableName,
    root: String,
    holder: String,
}

impl Metadata {
    /// Asks for the right to make a version of a table in the folder `root`. `life` tells what is known of another
    /// holder; where nothing is, time tells.
    pub async fn claim(
        &self,
        name: &TableName,
        root: &str,
        holder: &str,
        life: impl FnOnce(&str) -> Life,
    ) -> Result<Making, MetadataError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let found = sqlx::query(
            "SELECT root, holder, began_at, seen_at FROM making WHERE schema_name = ?1 AND table_name = ?2",
        )
        .bind(name.schema())
        .bind(name.table())
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = found {
            let (other, seen_at) = other_of(&row)?;
            let silent = (Utc::now() - seen_at).to_std().unwrap_or_default();
            let lives = life(&other.holder).holds_after(silent);
            return Ok(if lives { Making::Busy(other) } else { Making::Abandoned(other) });
        }
        let now = written(Utc::now());
        sqlx::query(
            "INSERT INTO making (schema_name, table_name, root, holder, began_at, seen_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )
        .bind(name.schema())
        .bind(name.table())
        .bind(root)
        .bind(holder)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Making::Mine(self.claim_of(name, root, holder)))
    }

    /// Takes an abandoned claim over, with its root; refused if somebody else was quicker.
    pub async fn take_over(&self, name: &TableName, from: &Other, holder: &str) -> Result<Claim, MetadataError> {
        let taken = sqlx::query(
            "UPDATE making SET holder = ?3, seen_at = ?4 \
             WHERE schema_name = ?1 AND table_name = ?2 AND holder = ?5 AND root = ?6",
        )
        .bind(name.schema())
        .bind(name.table())
        .bind(holder)
        .bind(written(Utc::now()))
        .bind(&from.holder)
        .bind(&from.root)
        .execute(&self.pool)
        .await?;
        match taken.rows_affected() {
            0 => Err(MetadataError::TakenOver { name: name.clone() }),
            _ => Ok(self.claim_of(name, &from.root, holder)),
        }
    }

    /// The versions that were begun, abandoned, and not touched since `before`.
    pub async fn abandoned(
        &self,
        before: DateTime<Utc>,
        life: impl Fn(&str) -> Life,
    ) -> Result<Vec<(TableName, Other)>, MetadataError> {
        let all = sqlx::query("SELECT schema_name, table_name, root, holder, began_at, seen_at FROM making");
        let mut abandoned = Vec::new();
        for row in all.fetch_all(&self.pool).await? {
            let (other, seen_at) = other_of(&row)?;
            let silent = (Utc::now() - seen_at).to_std().unwrap_or_default();
            if seen_at <= before && !life(&other.holder).holds_after(silent) {
                let (schema, table): (String, String) = (row.try_get("schema_name")?, row.try_get("table_name")?);
                abandoned.push((table_name(&schema, &table)?, other));
            }
        }
        Ok(abandoned)
    }

    /// The folders in which versions are being made, or were begun.
    pub async fn claimed_roots(&self) -> Result<Vec<String>, MetadataError> {
        Ok(sqlx::query_scalar("SELECT root FROM making").fetch_all(&self.pool).await?)
    }

    fn claim_of(&self, name: &TableName, root: &str, holder: &str) -> Claim {
        Claim { metadata: self.clone(), name: name.clone(), root: root.to_owned(), holder: holder.to_owned() }
    }
}

/// What somebody else is or was making, and when he was last heard of.
fn other_of(row: &SqliteRow) -> Result<(Other, DateTime<Utc>), MetadataError> {
    let (began_at, seen_at): (String, String) = (row.try_get("began_at")?, row.try_get("seen_at")?);
    let other = Other { root: row.try_get("root")?, holder: row.try_get("holder")?, began_at: time(&began_at)? };
    Ok((other, time(&seen_at)?))
}

impl Claim {
    /// The folder that the version is made in.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Says that the holder is alive; an error when the claim was taken over.
    pub async fn renew(&self) -> Result<(), MetadataError> {
        let renewed = sqlx::query(
            "UPDATE making SET seen_at = ?4 \
             WHERE schema_name = ?1 AND table_name = ?2 AND root = ?3 AND holder = ?5",
        )
        .bind(self.name.schema())
        .bind(self.name.table())
        .bind(&self.root)
        .bind(written(Utc::now()))
        .bind(&self.holder)
        .execute(&self.metadata.pool)
        .await?;
        self.still_mine(renewed.rows_affected())
    }

    /// Gives the claim back with nothing published; what was written is the caller's to delete, before this.
    pub async fn abandon(self) -> Result<(), MetadataError> {
        let mut transaction = self.metadata.pool.begin_with("BEGIN IMMEDIATE").await?;
        self.give_back(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn give_back(&self, transaction: &mut Transaction<'_, Sqlite>) -> Result<(), MetadataError> {
        let given =
            sqlx::query("DELETE FROM making WHERE schema_name = ?1 AND table_name = ?2 AND root = ?3 AND holder = ?4")
                .bind(self.name.schema())
                .bind(self.name.table())
                .bind(&self.root)
                .bind(&self.holder)
                .execute(&mut **transaction)
                .await?;
        self.still_mine(given.rows_affected())
    }

    fn still_mine(&self, rows: u64) -> Result<(), MetadataError> {
        if rows == 0 { Err(MetadataError::TakenOver { name: self.name.clone() }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Publication;

    fn stars() -> TableName {
        "demo.stars".parse().unwrap()
    }

    async fn database(folder: &tempfile::TempDir) -> Metadata {
        Metadata::open(&format!("sqlite:{}/almagest.db", folder.path().display())).await.unwrap()
    }

    fn mine(making: Making) -> Claim {
        match making {
            Making::Mine(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    fn publication(root: &str) -> Publication {
        let snapshot = String::new();
        Publication { name: stars(), root: root.into(), snapshot, rows: 1, description: None, note: None }
    }

    #[tokio::test]
    async fn two_do_not_make_one_table_and_the_second_is_told_who_does() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = database(&folder).await;
        let claim = mine(metadata.claim(&stars(), "a", "first", |_| Life::Unknown).await.unwrap());
        let second = metadata.claim(&stars(), "b", "second", |_| Life::Unknown).await.unwrap();
        assert!(matches!(&second, Making::Busy(other) if other.holder == "first" && other.root == "a"), "{second:?}");
        metadata.claim(&"demo.galaxies".parse().unwrap(), "c", "second", |_| Life::Unknown).await.unwrap();
        metadata.publish(&publication("a"), None, Some(&claim)).await.unwrap();
        mine(metadata.claim(&stars(), "b", "second", |_| Life::Unknown).await.unwrap());
    }

    #[tokio::test]
    async fn what_a_dead_holder_began_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = database(&folder).await;
        let dead = mine(metadata.claim(&stars(), "a", "dead", |_| Life::Unknown).await.unwrap());
        let Making::Abandoned(other) = metadata.claim(&stars(), "b", "heir", |_| Life::Dead).await.unwrap() else {
            panic!("it is dead");
        };
        let claim = metadata.take_over(&stars(), &other, "heir").await.unwrap();
        assert_eq!(claim.root(), "a");
        assert!(matches!(metadata.take_over(&stars(), &other, "late").await, Err(MetadataError::TakenOver { .. })));
        assert!(dead.renew().await.is_err(), "the dead one wakes up");
        let published = metadata.publish(&publication("a"), None, Some(&dead)).await.unwrap_err();
        assert!(published.changed_nothing(), "{published}");
        claim.renew().await.unwrap();
        claim.abandon().await.unwrap();
        assert_eq!(metadata.claimed_roots().await.unwrap(), Vec::<String>::new());
        assert_eq!(metadata.tables().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_was_not_renewed_for_long_is_abandoned() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = database(&folder).await;
        mine(metadata.claim(&stars(), "a", "far away", |_| Life::Unknown).await.unwrap());
        let long_ago = written(Utc::now() - chrono::TimeDelta::from_std(STALE * 2).unwrap());
        sqlx::query("UPDATE making SET seen_at = ?1").bind(long_ago).execute(&metadata.pool).await.unwrap();
        let making = metadata.claim(&stars(), "b", "heir", |_| Life::Unknown).await.unwrap();
        assert!(matches!(making, Making::Abandoned(_)), "{making:?}");
        let abandoned = async |before, life| {
            let found = metadata.abandoned(before, |_| life).await.unwrap();
            found.into_iter().map(|(_, other)| other.root).collect::<Vec<_>>()
        };
        assert_eq!(abandoned(Utc::now(), Life::Unknown).await, ["a"]);
        assert_eq!(abandoned(Utc::now() - STALE * 3, Life::Unknown).await, Vec::<String>::new(), "too young");
        assert_eq!(abandoned(Utc::now(), Life::Alive).await, Vec::<String>::new(), "it lives");
        let making = metadata.claim(&stars(), "b", "neighbour", |_| Life::Alive).await.unwrap();
        assert!(matches!(making, Making::Busy(_)), "stopped for a while, or the clock has jumped: {making:?}");
    }
}
