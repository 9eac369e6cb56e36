//! The tables that are served: what the metadata database says, opened.
//!
//! A query asks the database for one number, the generation. While it stays, everything is in memory; when it has moved,
//! the list is read again, and only versions that were not open yet are opened. A version never changes, so what is open
//! is right for as long as it is listed. What could not be opened is tried again after a while, not by every query.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use catalogs::{CatalogSnapshot, CatalogStore, Remote, TableName};
use engine::TableSet;
use metadata::{Metadata, PublishedTable};
use tokio::sync::Mutex;

use crate::{
    FaultId, JobError,
    error::logged,
    reading::{Held, Readings},
    versions::{Opened, Versions},
};

/// How long a table that could not be opened is left alone: its store may be down, and each attempt may be slow and logs
/// an error.
const RETRY: Duration = Duration::from_secs(30);

/// A table as it is served now.
#[derive(Clone, Debug)]
pub struct ServedTable {
    /// Its name.
    pub name: TableName,
    /// The version, counted from 1.
    pub version: u32,
    /// A sentence about it.
    pub description: Option<String>,
    /// Its columns, rows and files.
    pub snapshot: Arc<CatalogSnapshot>,
}

/// All that was served at one generation.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) tables: Arc<[ServedTable]>,
    pub(crate) set: TableSet,
    /// Published, but not to be opened at the moment.
    pub(crate) broken: Arc<[Broken]>,
    /// Keeps the files of these versions from being collected; nobody collects what was given.
    pub(crate) held: Option<Arc<Held>>,
}

/// Where the tables of a query come from.
pub(crate) enum Tables {
    /// What is published, now.
    Published(Box<Shelf>),
    /// These, for good.
    Given(Served),
}

impl Tables {
    /// Just these tables.
    pub(crate) fn given(tables: Vec<ServedTable>) -> Result<Self, JobError> {
        let set = TableSet::new(tables.iter().map(|table| (table.name.clone(), Arc::clone(&table.snapshot))))?;
        Ok(Self::Given(Served { tables: tables.into(), set, broken: Arc::default(), held: None }))
    }

    /// Whether they could be looked up now.
    pub(crate) async fn ready(&self) -> Result<(), JobError> {
        match self {
            Self::Published(shelf) => shelf.generation().await.map(drop),
            Self::Given(_) => Ok(()),
        }
    }

    /// The tables that are served now.
    pub(crate) async fn served(&self) -> Result<Served, JobError> {
        match self {
            Self::Published(shelf) => shelf.served().await,
            Self::Given(served) => Ok(served.clone()),
        }
    }

    /// Versions that a query names, and what keeps their files meanwhile.
    pub(crate) async fn versions(&self, named: &[(TableName, u64)]) -> Result<Opened, JobError> {
        match self {
            _ if named.is_empty() => Ok(Opened::default()),
            Self::Published(shelf) => shelf.versions.open(shelf, named).await,
            Self::Given(_) => {
                let (name, number) = &named[0];
                let sentence =
                    format!("there is no version {number} of {name}: versions are kept of what is published");
                Err(JobError::Mistake(engine::Mistake::new(sentence)))
            }
        }
    }
}

/// A table that could not be opened.
#[derive(Clone)]
pub(crate) struct Broken {
    pub(crate) name: TableName,
    version: u32,
    /// The failure, by its name in the log.
    pub(crate) fault: FaultId,
    tried: Instant,
}

impl Broken {
    /// Whether it is too early to try again.
    fn rests(&self) -> bool {
        self.tried.elapsed() < RETRY
    }
}

/// Keeps the tables of the last generation open.
pub(crate) struct Shelf {
    pub(crate) metadata: Metadata,
    pub(crate) store: CatalogStore,
    pub(crate) remote: Remote,
    pub(crate) readings: Readings,
    versions: Versions,
    last: Mutex<Option<(i64, Served)>>,
}

impl Shelf {
    /// `reader` tells this process from all others that read the same store.
    pub(crate) fn new(metadata: Metadata, store: CatalogStore, remote: Remote, reader: String) -> Self {
        let (readings, versions) = (Readings::new(reader), Versions::default());
        Self { metadata, store, remote, readings, versions, last: Mutex::new(None) }
    }

    /// The number of the generation, from the database.
    pub(crate) async fn generation(&self) -> Result<i64, JobError> {
        self.metadata.generation().await.map_err(|error| JobError::unavailable("asking for the generation", &error))
    }

    /// The tables that are served now.
    pub(crate) async fn served(&self) -> Result<Served, JobError> {
        let generation = self.generation().await?;
        let mut last = self.last.lock().await;
        if let Some((known, served)) = last.as_ref()
            && *known >= generation
            && served.broken.iter().all(Broken::rests)
        {
            return Ok(served.clone());
        }
        let held = self.readings.hold(&self.metadata, generation).await;
        let held = held.map_err(|error| JobError::unavailable("telling what is read", &error))?;
        let published =
            self.metadata.tables().await.map_err(|error| JobError::unavailable("listing the tables", &error))?;
        let served = self.open(published, last.as_ref().map(|(_, served)| served), held).await?;
        *last = Some((generation, served.clone()));
        Ok(served)
    }

    async fn open(
        &self,
        published: Vec<PublishedTable>,
        last: Option<&Served>,
        held: Arc<Held>,
    ) -> Result<Served, JobError> {
        let open: HashMap<_, _> = last
            .iter()
            .flat_map(|served| served.tables.iter())
            .map(|table| ((&table.name, table.version), &table.snapshot))
            .collect();
        let resting: HashMap<_, _> = last
            .iter()
            .flat_map(|served| served.broken.iter())
            .filter(|broken| broken.rests())
            .map(|broken| ((&broken.name, broken.version), broken))
            .collect();
        let (mut tables, mut broken) = (Vec::new(), Vec::new());
        for table in published {
            if let Some(known) = resting.get(&(&table.name, table.version)) {
                broken.push(Broken::clone(known));
                continue;
            }
            let snapshot = match open.get(&(&table.name, table.version)) {
                Some(snapshot) => Ok(Arc::clone(snapshot)),
                None => catalogs::open(&self.store, &table.root, &self.remote).await.map(Arc::new),
            };
            match snapshot {
                Ok(snapshot) => tables.push(ServedTable {
                    name: table.name,
                    version: table.version,
                    description: table.description,
                    snapshot,
                }),
                Err(error) => {
                    let fault = logged(&format!("opening {} version {}", table.name, table.version), &error);
                    broken.push(Broken { name: table.name, version: table.version, fault, tried: Instant::now() });
                }
            }
        }
        let numbered =
            |table: &ServedTable| (table.name.clone(), u64::from(table.version), Arc::clone(&table.snapshot));
        let set = TableSet::numbered(tables.iter().map(numbered))?;
        Ok(Served { tables: tables.into(), set, broken: broken.into(), held: Some(held) })
    }
}

#[cfg(test)]
mod tests {
    use crate::house::{House, stars};

    use super::*;

    #[tokio::test]
    async fn a_broken_table_keeps_its_fault_until_it_is_tried_again_and_is_served_once_it_is_back() {
        let house = House::with_stars(1).await;
        let root = house.publish("demo.away", stars(4)).await;
        let folder = house.folder.path().join("catalogues").join(&root);
        let aside = house.folder.path().join("aside");
        std::fs::rename(&folder, &aside).unwrap();
        let shelf = Shelf::new(house.metadata.clone(), house.store.clone(), Remote::default(), "a test".into());
        let fault = async || shelf.served().await.unwrap().broken.first().map(|broken| broken.fault);
        let rested = async || {
            let mut last = shelf.last.lock().await;
            let (_, served) = last.as_mut().unwrap();
            let mut broken = served.broken.to_vec();
            broken.iter_mut().for_each(|broken| broken.tried = broken.tried.checked_sub(RETRY).unwrap());
            served.broken = broken.into();
        };

        let first = fault().await.unwrap();
        assert_eq!(fault().await, Some(first));
        house.publish("demo.more", stars(1)).await; // the list is read again
        assert_eq!(fault().await, Some(first));
        assert_eq!(shelf.served().await.unwrap().tables.len(), 2);

        rested().await;
        let second = fault().await.unwrap();
        assert_ne!(second, first);

        std::fs::rename(&aside, &folder).unwrap();
        assert_eq!(fault().await, Some(second));
        rested().await;
        assert_eq!(fault().await, None);
        assert_eq!(shelf.served().await.unwrap().tables.len(), 3);
    }
}
