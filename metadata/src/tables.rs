//! Which versions of which tables there are, and which one of each is served.
//!
//! ```text
//!   publish ──▶ served ──another is published, or the table is dropped──▶ superseded ──forget──▶ gone
//! ```
//! A version is served for the generations from its publication to `last_generation`. It may be collected when it is
//! superseded, old enough, and no reader is left at one of those generations.

use catalogs::TableName;
use chrono::{DateTime, Utc};

use crate::{
    Claim, Column, Life, Metadata, MetadataError, Visibility,
    database::{Row, Transaction, sql},
    descriptions, moved_on, readers, table_name,
    visibility::visibility_of,
};

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
    /// Who may see it.
    pub visibility: Visibility,
}

/// A version of a table, served or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// What was published.
    pub table: PublishedTable,
    /// What the person who made it said of it.
    pub note: Option<String>,
    /// When it ceased to be served; none while it is.
    pub superseded_at: Option<DateTime<Utc>>,
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
    /// What the person who made it says of it.
    pub note: Option<String>,
    /// What is known of its columns, in their order.
    pub columns: Vec<Column>,
}

/// A query for versions that ends so.
macro_rules! versions {
    ($end:literal) => {
        concat!(
            "SELECT schema_name, table_name, version, root, snapshot, row_count, description, published_at, note, \
             superseded_at, group_names, released_at \
             FROM table_version LEFT JOIN table_visibility USING (schema_name, table_name) ",
            $end
        )
    };
}

impl Metadata {
    /// Publishes a version over the one that the caller saw (none, if there was no table), and changes nothing where
    /// another is served by now. From the end of this call on it is the one that is served, and the claim under which it
    /// was made is given back. Returns its number.
    pub async fn publish(
        &self,
        publication: &Publication,
        seen: Option<u32>,
        claim: Option<&Claim>,
    ) -> Result<u32, MetadataError> {
        let mut transaction = self.database.write().await?;
        let name = &publication.name;
        if let Some(claim) = claim {
            claim.give_back(&mut transaction).await?;
        }
        supersede(&mut transaction, name, seen).await?;
        let last = "SELECT max(version) AS last FROM table_version WHERE schema_name = $1 AND table_name = $2";
        let last = transaction.one(sql(last).bind(name.schema()).bind(name.table())).await?.maybe_number("last")?;
        let version = last.unwrap_or(0) + 1;
        let insert = "INSERT INTO table_version \
             (schema_name, table_name, version, root, snapshot, row_count, description, note, published_at, is_current) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, TRUE)";
        let insert = sql(insert).bind(name.schema()).bind(name.table()).bind(version).bind(&publication.root);
        let insert = insert.bind(&publication.snapshot).bind(publication.rows).bind(&publication.description);
        transaction.execute(insert.bind(&publication.note).bind(Utc::now())).await?;
        descriptions::fill(&mut transaction, name, &publication.columns).await?;
        moved_on(&mut transaction).await?;
        transaction.commit().await?;
        number(name, version)
    }

    /// Ceases to serve a table, if the version that the caller saw is still the served one. Its versions stay on the
    /// store until they are collected.
    pub async fn drop_table(&self, name: &TableName, seen: u32) -> Result<(), MetadataError> {
        let mut transaction = self.database.write().await?;
        supersede(&mut transaction, name, Some(seen)).await?;
        descriptions::clear(&mut transaction, name).await?;
        moved_on(&mut transaction).await?;
        transaction.commit().await
    }

    /// The served version of every table, by name.
    pub async fn tables(&self) -> Result<Vec<PublishedTable>, MetadataError> {
        let served = sql(versions!("WHERE is_current ORDER BY schema_name, table_name"));
        self.database.all(served).await?.iter().map(|row| Ok(version_of(row)?.table)).collect()
    }

    /// The served version of one table.
    pub async fn table(&self, name: &TableName) -> Result<Option<PublishedTable>, MetadataError> {
        Ok(self.versions(name).await?.into_iter().find(|version| version.superseded_at.is_none()).map(|v| v.table))
    }

    /// All versions of a table that were not collected, the oldest first.
    pub async fn versions(&self, name: &TableName) -> Result<Vec<Version>, MetadataError> {
        let kept = versions!("WHERE schema_name = $1 AND table_name = $2 AND NOT is_collected ORDER BY version");
        self.database.all(sql(kept).bind(name.schema()).bind(name.table())).await?.iter().map(version_of).collect()
    }

    /// All versions of all tables that were not collected.
    pub async fn all_versions(&self) -> Result<Vec<Version>, MetadataError> {
        let kept = sql(versions!("WHERE NOT is_collected ORDER BY schema_name, table_name, version"));
        self.database.all(kept).await?.iter().map(version_of).collect()
    }

    /// The versions that nobody needs: superseded before `before`, and no living reader is at a generation at which they
    /// were served. `life` tells what is known of a reader.
    pub async fn collectable(
        &self,
        before: DateTime<Utc>,
        life: impl Fn(&str) -> Life,
    ) -> Result<Vec<Version>, MetadataError> {
        let oldest = readers::oldest_generation(&self.database, life).await?;
        let unread = sql(versions!(
            "WHERE NOT is_current AND NOT is_collected AND superseded_at <= $1 AND last_generation < $2 \
             ORDER BY schema_name, table_name, version"
        ));
        let unread = unread.bind(before).bind(oldest.unwrap_or(i64::MAX));
        self.database.all(unread).await?.iter().map(version_of).collect()
    }

    /// Forgets a superseded version, but for its number. Its files are the caller's to delete, after this.
    pub async fn forget(&self, name: &TableName, version: u32) -> Result<(), MetadataError> {
        let forget = "UPDATE table_version SET is_collected = TRUE \
                      WHERE schema_name = $1 AND table_name = $2 AND version = $3 AND NOT is_current";
        self.database.execute(sql(forget).bind(name.schema()).bind(name.table()).bind(version)).await.map(drop)
    }
}

/// Ends the service of the served version, which must be the one that was seen.
async fn supersede(transaction: &mut Transaction, name: &TableName, seen: Option<u32>) -> Result<(), MetadataError> {
    let served = "SELECT version FROM table_version WHERE schema_name = $1 AND table_name = $2 AND is_current";
    let served = transaction.maybe_one(sql(served).bind(name.schema()).bind(name.table())).await?;
    match served.map(|row| number(name, row.number("version")?)).transpose()? {
        served if served == seen => {}
        Some(version) => return Err(MetadataError::Overtaken { name: name.clone(), version }),
        None => return Err(MetadataError::Vanished { name: name.clone() }),
    }
    let end = "UPDATE table_version \
               SET is_current = FALSE, superseded_at = $3, last_generation = (SELECT number FROM generation) \
               WHERE schema_name = $1 AND table_name = $2 AND is_current";
    transaction.execute(sql(end).bind(name.schema()).bind(name.table()).bind(Utc::now())).await.map(drop)
}

fn number(name: &TableName, version: i64) -> Result<u32, MetadataError> {
    version.try_into().map_err(|_| MetadataError::Corrupt { what: format!("version {version} of {name}") })
}

fn version_of(row: &Row) -> Result<Version, MetadataError> {
    let name = table_name(row)?;
    let table = PublishedTable {
        version: number(&name, row.number("version")?)?,
        rows: row.count("row_count")?,
        published_at: row.time("published_at")?,
        root: row.text("root")?,
        snapshot: row.text("snapshot")?,
        description: row.maybe_text("description")?,
        visibility: visibility_of(row)?,
        name,
    };
    Ok(Version { table, note: row.maybe_text("note")?, superseded_at: row.maybe_time("superseded_at")? })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::testing::conformance;

    fn publication(name: &str, root: &str) -> Publication {
        Publication {
            name: name.parse().unwrap(),
            root: root.into(),
            snapshot: "00".repeat(32),
            rows: 7,
            description: Some("été ★".into()),
            note: None,
            columns: Vec::new(),
        }
    }

    fn stars() -> TableName {
        "demo.stars".parse().unwrap()
    }

    conformance! {
        async fn the_last_published_version_is_the_served_one_also_after_reopening(place: &Place) {
            let metadata = place.open().await;
            assert_eq!(metadata.tables().await.unwrap(), []);
            assert_eq!(metadata.publish(&publication("demo.stars", "a"), None, None).await.unwrap(), 1);
            assert_eq!(metadata.publish(&publication("demo.galaxies", "b"), None, None).await.unwrap(), 1);
            assert_eq!(metadata.publish(&publication("demo.stars", "c"), Some(1), None).await.unwrap(), 2);
            metadata.close().await;
            let metadata = place.open().await;
            let tables = metadata.tables().await.unwrap();
            let served: Vec<_> =
                tables.iter().map(|table| (table.name.to_string(), table.version, table.root.as_str())).collect();
            assert_eq!(served, [("demo.galaxies".into(), 1, "b"), ("demo.stars".into(), 2, "c")]);
            assert_eq!((tables[0].rows, tables[0].description.as_deref()), (7, Some("été ★")));
            assert_eq!(metadata.generation().await.unwrap(), 3);
        }

        async fn a_publication_that_fails_changes_nothing(place: &Place) {
            let metadata = place.open().await;
            metadata.publish(&publication("demo.stars", "a"), None, None).await.unwrap();
            let before = (metadata.tables().await.unwrap(), metadata.generation().await.unwrap());
            let twice = metadata.publish(&publication("demo.other", "a"), None, None).await;
            assert!(twice.is_err(), "two tables cannot share a folder");
            assert_eq!((metadata.tables().await.unwrap(), metadata.generation().await.unwrap()), before);
        }

        async fn of_those_who_saw_the_same_version_exactly_one_publishes_over_it(place: &Place) {
            let metadata = place.open().await;
            for seen in [None, Some(1)] {
                let mut tasks = tokio::task::JoinSet::new();
                for number in 0..10 {
                    let metadata = metadata.clone();
                    let publication = publication("demo.stars", &format!("{seen:?} {number}"));
                    tasks.spawn(async move { metadata.publish(&publication, seen, None).await });
                }
                let (published, overtaken): (Vec<_>, Vec<_>) =
                    tasks.join_all().await.into_iter().partition(Result::is_ok);
                let version = seen.unwrap_or(0) + 1;
                assert_eq!(published.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [version]);
                for refusal in overtaken.into_iter().map(|refusal| refusal.unwrap_err().to_string()) {
                    let sentence = format!(
                        "demo.stars was published by somebody else meanwhile (version {version}); nothing was changed"
                    );
                    assert_eq!(refusal, sentence);
                }
                let served = metadata.table(&stars()).await.unwrap().unwrap();
                assert_eq!((served.version, metadata.generation().await.unwrap()), (version, i64::from(version)));
            }
        }

        async fn a_dropped_table_is_not_served_and_not_published_over_by_who_saw_it(place: &Place) {
            let metadata = place.open().await;
            metadata.publish(&publication("demo.stars", "a"), None, None).await.unwrap();
            metadata.drop_table(&stars(), 1).await.unwrap();
            assert_eq!(metadata.table(&stars()).await.unwrap(), None);
            assert_eq!(metadata.generation().await.unwrap(), 2);
            let late = metadata.publish(&publication("demo.stars", "b"), Some(1), None).await.unwrap_err();
            assert!(matches!(late, MetadataError::Vanished { .. }) && late.changed_nothing(), "{late}");
            assert!(matches!(metadata.drop_table(&stars(), 1).await, Err(MetadataError::Vanished { .. })));
            assert_eq!(metadata.publish(&publication("demo.stars", "c"), None, None).await.unwrap(), 2);
            let versions = metadata.versions(&stars()).await.unwrap();
            let served: Vec<_> = versions.iter().map(|v| (v.table.version, v.superseded_at.is_none())).collect();
            assert_eq!(served, [(1, false), (2, true)]);
        }

        async fn a_version_is_collected_when_it_is_old_and_read_by_nobody(place: &Place) {
            let metadata = place.open().await;
            metadata.publish(&publication("demo.stars", "a"), None, None).await.unwrap();
            let reader = metadata.reader("server", 1).await.unwrap();
            metadata.reader("dead", 1).await.unwrap();
            metadata.publish(&publication("demo.stars", "b"), Some(1), None).await.unwrap();
            let later = Utc::now() + TimeDelta::seconds(1);
            let collectable = async |before| {
                let versions = metadata
                    .collectable(before, |reader| if reader == "dead" { Life::Dead } else { Life::Unknown })
                    .await
                    .unwrap();
                versions.into_iter().map(|version| version.table.root).collect::<Vec<_>>()
            };
            assert_eq!(collectable(later).await, Vec::<String>::new(), "somebody reads it");
            reader.at(2).await.unwrap();
            assert_eq!(collectable(later).await, ["a"]);
            assert_eq!(collectable(Utc::now() - TimeDelta::hours(1)).await, Vec::<String>::new(), "too young");
            reader.leave().await.unwrap();
            metadata.forget(&stars(), 2).await.unwrap();
            metadata.forget(&stars(), 1).await.unwrap();
            let versions = metadata.versions(&stars()).await.unwrap();
            assert_eq!(
                versions.iter().map(|version| version.table.version).collect::<Vec<_>>(),
                [2],
                "the served one stays"
            );
            metadata.drop_table(&stars(), 2).await.unwrap();
            metadata.forget(&stars(), 2).await.unwrap();
            assert_eq!(metadata.versions(&stars()).await.unwrap(), []);
            let again = metadata.publish(&publication("demo.stars", "c"), None, None).await.unwrap();
            assert_eq!(again, 3, "who saw version 1 does not take another for it");
        }
    }
}
