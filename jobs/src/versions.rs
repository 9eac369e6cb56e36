//! Older versions of tables, opened when a query names one as `schema.table@number`.
//!
//! A version that is served no more is collected some day. Whoever opens one first says that it reads from the beginning
//! of time ([`EVER`]), and only then looks whether the version is still there: so it stays for as long as the query runs.
//! What was opened is kept for the next query, which says and looks again.

use std::{collections::VecDeque, sync::Arc};

use catalogs::{CatalogSnapshot, TableName};
use chrono::Utc;
use engine::Mistake;
use metadata::{Caller, Version};
use tokio::sync::Mutex;

use crate::{JobError, error::logged, reading::Held, served::Shelf};

/// Before all that was ever served.
const EVER: i64 = 0;

/// How many versions stay open for the next query.
const KEPT: usize = 16;

/// How many version numbers a sentence lists.
const LISTED: usize = 8;

/// Versions of tables, and what keeps their files from being collected.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) versions: Vec<(TableName, u64, Arc<CatalogSnapshot>)>,
    pub(crate) held: Option<Arc<Held>>,
}

/// The versions that were named last.
#[derive(Default)]
pub(crate) struct Versions(Mutex<VecDeque<(String, Arc<CatalogSnapshot>)>>);

impl Versions {
    /// Opens versions, and holds them.
    pub(crate) async fn open(
        &self,
        shelf: &Shelf,
        named: &[(TableName, u64)],
        caller: &Caller,
    ) -> Result<Opened, JobError> {
        let held = shelf.readings.hold(&shelf.metadata, EVER).await;
        let held = held.map_err(|error| JobError::unavailable("telling what is read", &error))?;
        let mut versions = Vec::new();
        for (name, number) in named {
            let there = shelf.metadata.versions(name).await;
            let mut there = there.map_err(|error| JobError::unavailable("listing the versions of a table", &error))?;
            there.retain(|version| version.table.visibility.allows(caller, Utc::now()));
            let version = there.iter().find(|version| u64::from(version.table.version) == *number);
            let version = version.ok_or_else(|| JobError::Mistake(Mistake::new(missing(name, *number, &there))))?;
            versions.push((name.clone(), *number, self.snapshot(shelf, version).await?));
        }
        Ok(Opened { versions, held: Some(held) })
    }

    /// The snapshot of a version, which nobody else's folder holds.
    async fn snapshot(&self, shelf: &Shelf, version: &Version) -> Result<Arc<CatalogSnapshot>, JobError> {
        let root = &version.table.root;
        if let Some((_, known)) = self.0.lock().await.iter().find(|(known, _)| known == root) {
            return Ok(Arc::clone(known));
        }
        let snapshot = catalogs::open(&shelf.store, root, &shelf.remote).await.map_err(|error| {
            let table = &version.table;
            JobError::Unavailable(logged(&format!("opening {} version {}", table.name, table.version), &error))
        })?;
        let snapshot = Arc::new(snapshot);
        let mut kept = self.0.lock().await;
        kept.truncate(KEPT - 1);
        kept.push_front((root.clone(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}

/// Why there is no such version. Numbers are given in order and never twice.
fn missing(name: &TableName, number: u64, there: &[Version]) -> String {
    let numbers: Vec<u64> = there.iter().map(|version| u64::from(version.table.version)).collect();
    let Some(last) = numbers.last() else { return format!("there is no table {name}, and no version of it") };
    let left = numbers[numbers.len().saturating_sub(LISTED)..].iter().map(u64::to_string).collect::<Vec<_>>();
    let left = if numbers.len() > LISTED { format!("…, {}", left.join(", ")) } else { left.join(", ") };
    match number {
        0 => format!("versions of {name} are counted from 1; there is {left}"),
        number if number < *last => format!("version {number} of {name} was collected; there is {left}"),
        _ => format!("there is no version {number} of {name} yet; there is {left}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalogs::Remote;
    use chrono::Utc;
    use metadata::{Life, STALE};

    use super::*;
    use crate::house::{House, stars};

    #[tokio::test]
    async fn a_version_that_a_query_names_is_opened_once_and_kept_while_it_is_read() {
        let house = House::with_stars(3).await;
        house.publish("demo.stars", stars(5)).await;
        let shelf = Shelf::new(house.metadata.clone(), house.store.clone(), Remote::default(), "a test".into());
        let stars: TableName = "demo.stars".parse().unwrap();
        let versions = Versions::default();
        let open = async |number| versions.open(&shelf, &[(stars.clone(), number)], &Caller::Anonymous).await;

        let old = open(1).await.unwrap();
        assert_eq!(old.versions[0].2.rows(), 3);
        assert_eq!(open(2).await.unwrap().versions[0].2.rows(), 5);
        assert!(Arc::ptr_eq(&old.versions[0].2, &open(1).await.unwrap().versions[0].2), "opened once");
        let later = Utc::now() + STALE + Duration::from_secs(1);
        let collectable = async || house.metadata.collectable(later, |_| Life::Alive).await.unwrap().len();
        assert_eq!(collectable().await, 0, "it is read");
        drop(old);
        drop(shelf.readings.hold(&shelf.metadata, 9).await.unwrap());
        assert_eq!(collectable().await, 1);

        house.metadata.forget(&stars, 1).await.unwrap();
        let refusal = async |number| open(number).await.err().unwrap().to_string();
        assert_eq!(refusal(1).await, "version 1 of demo.stars was collected; there is 2");
        assert_eq!(refusal(3).await, "there is no version 3 of demo.stars yet; there is 2");
        assert_eq!(refusal(0).await, "versions of demo.stars are counted from 1; there is 2");
        let unknown = versions.open(&shelf, &[("demo.no".parse().unwrap(), 1)], &Caller::Operator).await.err().unwrap();
        assert_eq!(unknown.to_string(), "there is no table demo.no, and no version of it");
    }
}
