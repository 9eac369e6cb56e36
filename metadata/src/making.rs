//! Who is making a version of a table: one at a time, and what was begun can be gone on with.
//!
//! A claim is a row that its holder renews. One whose holder is known to be dead, or that was not renewed for [`STALE`] by
//! a holder of whom nothing is known, is abandoned: its root tells what can be resumed or must be cleared away.

use std::time::Duration;

use crate::{
    Life, Metadata, MetadataError,
    database::{Row, Statement, Transaction, sql},
    table_name,
};
use catalogs::TableName;
use chrono::{DateTime, Utc};

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
        let mut transaction = self.database.write().await?;
        let held = "SELECT root, holder, began_at, seen_at FROM making WHERE schema_name = $1 AND table_name = $2";
        if let Some(row) = transaction.maybe_one(sql(held).bind(name.schema()).bind(name.table())).await? {
            let (other, seen_at) = other_of(&row)?;
            let silent = (Utc::now() - seen_at).to_std().unwrap_or_default();
            let lives = life(&other.holder).holds_after(silent);
            return Ok(if lives { Making::Busy(other) } else { Making::Abandoned(other) });
        }
        let begin = "INSERT INTO making (schema_name, table_name, root, holder, began_at, seen_at) \
                     VALUES ($1, $2, $3, $4, $5, $5)";
        let begin = sql(begin).bind(name.schema()).bind(name.table()).bind(root).bind(holder).bind(Utc::now());
        transaction.execute(begin).await?;
        transaction.commit().await?;
        Ok(Making::Mine(self.claim_of(name, root, holder)))
    }

    /// Takes an abandoned claim over, with its root; refused if somebody else was quicker.
    pub async fn take_over(&self, name: &TableName, from: &Other, holder: &str) -> Result<Claim, MetadataError> {
        let take = "UPDATE making SET holder = $3, seen_at = $4 \
                    WHERE schema_name = $1 AND table_name = $2 AND holder = $5 AND root = $6";
        let take = sql(take).bind(name.schema()).bind(name.table()).bind(holder).bind(Utc::now());
        match self.database.execute(take.bind(&from.holder).bind(&from.root)).await? {
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
        let all = sql("SELECT schema_name, table_name, root, holder, began_at, seen_at FROM making");
        let mut abandoned = Vec::new();
        for row in self.database.all(all).await? {
            let (other, seen_at) = other_of(&row)?;
            let silent = (Utc::now() - seen_at).to_std().unwrap_or_default();
            if seen_at <= before && !life(&other.holder).holds_after(silent) {
                abandoned.push((table_name(&row)?, other));
            }
        }
        Ok(abandoned)
    }

    /// The folders in which versions are being made, or were begun.
    pub async fn claimed_roots(&self) -> Result<Vec<String>, MetadataError> {
        self.database.all(sql("SELECT root FROM making")).await?.iter().map(|row| row.text("root")).collect()
    }

    fn claim_of(&self, name: &TableName, root: &str, holder: &str) -> Claim {
        Claim { metadata: self.clone(), name: name.clone(), root: root.to_owned(), holder: holder.to_owned() }
    }
}

/// What somebody else is or was making, and when he was last heard of.
fn other_of(row: &Row) -> Result<(Other, DateTime<Utc>), MetadataError> {
    let other = Other { root: row.text("root")?, holder: row.text("holder")?, began_at: row.time("began_at")? };
    Ok((other, row.time("seen_at")?))
}

impl Claim {
    /// The folder that the version is made in.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Says that the holder is alive; an error when the claim was taken over.
    pub async fn renew(&self) -> Result<(), MetadataError> {
        let renew = self.of_mine("UPDATE making SET seen_at = $5 WHERE").bind(Utc::now());
        self.still_mine(self.metadata.database.execute(renew).await?)
    }

    /// Gives the claim back with nothing published; what was written is the caller's to delete, before this.
    pub async fn abandon(self) -> Result<(), MetadataError> {
        let mut transaction = self.metadata.database.write().await?;
        self.give_back(&mut transaction).await?;
        transaction.commit().await
    }

    pub(crate) async fn give_back(&self, transaction: &mut Transaction) -> Result<(), MetadataError> {
        self.still_mine(transaction.execute(self.of_mine("DELETE FROM making WHERE")).await?)
    }

    /// A statement on the row of this claim, if it is still this one's.
    fn of_mine(&self, statement: &str) -> Statement {
        let mine = "schema_name = $1 AND table_name = $2 AND root = $3 AND holder = $4";
        let statement = sql(format!("{statement} {mine}")).bind(self.name.schema()).bind(self.name.table());
        statement.bind(&self.root).bind(&self.holder)
    }

    fn still_mine(&self, rows: u64) -> Result<(), MetadataError> {
        if rows == 0 { Err(MetadataError::TakenOver { name: self.name.clone() }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Publication, testing::conformance, written};

    fn stars() -> TableName {
        "demo.stars".parse().unwrap()
    }

    fn mine(making: Making) -> Claim {
        match making {
            Making::Mine(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    fn publication(root: &str) -> Publication {
        let snapshot = String::new();
        Publication {
            name: stars(),
            root: root.into(),
            snapshot,
            rows: 1,
            description: None,
            note: None,
            columns: Vec::new(),
        }
    }

    conformance! {
        async fn two_do_not_make_one_table_and_the_second_is_told_who_does(place: &Place) {
            let metadata = place.open().await;
            let claim = mine(metadata.claim(&stars(), "a", "first", |_| Life::Unknown).await.unwrap());
            let second = metadata.claim(&stars(), "b", "second", |_| Life::Unknown).await.unwrap();
            assert!(matches!(&second, Making::Busy(other) if other.holder == "first" && other.root == "a"), "{second:?}");
            metadata.claim(&"demo.galaxies".parse().unwrap(), "c", "second", |_| Life::Unknown).await.unwrap();
            metadata.publish(&publication("a"), None, Some(&claim)).await.unwrap();
            mine(metadata.claim(&stars(), "b", "second", |_| Life::Unknown).await.unwrap());
        }

        async fn what_a_dead_holder_began_is_taken_over_once(place: &Place) {
            let metadata = place.open().await;
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

        async fn what_was_not_renewed_for_long_is_abandoned(place: &Place) {
            let metadata = place.open().await;
            mine(metadata.claim(&stars(), "a", "far away", |_| Life::Unknown).await.unwrap());
            let long_ago = written(Utc::now() - chrono::TimeDelta::from_std(STALE * 2).unwrap());
            metadata.database.execute(sql("UPDATE making SET seen_at = $1").bind(long_ago)).await.unwrap();
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
}
