//! The tables that are served: what the metadata database says, opened.
//!
//! A query asks the database for one number, the generation. While it stays, everything is in memory; when it has moved,
//! the list is read again, and only versions that were not open yet are opened. A version never changes, so what is open
//! is right for as long as it is listed. What could not be opened is tried again after a while, not by every query.
//!
//! A server also hears of each change ([`Shelf::keep_up`]), so that the first query after it finds the tables open, and so
//! that a server that nobody asks lets go of old versions. It is asking that makes an answer right: a query that is begun
//! after a publication has ended sees what was published, at every replica.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use catalogs::{CatalogSnapshot, CatalogStore, Remote, TableName};
use chrono::Utc;
use engine::TableSet;
use metadata::{Caller, Metadata, PublishedTable, Visibility};
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

/// All that was served at one generation, or what of it somebody may see.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) tables: Arc<[ServedTable]>,
    pub(crate) set: TableSet,
    /// Published, but not to be opened at the moment.
    pub(crate) broken: Arc<[Broken]>,
    /// Who may see those of them that not everybody may.
    restricted: Arc<HashMap<TableName, Visibility>>,
    /// Keeps the files of these versions from being collected; nobody collects what was given.
    pub(crate) held: Option<Arc<Held>>,
}

impl Served {
    fn new(tables: Vec<ServedTable>, broken: Vec<Broken>, held: Option<Arc<Held>>) -> Result<Self, JobError> {
        let numbered =
            |table: &ServedTable| (table.name.clone(), u64::from(table.version), Arc::clone(&table.snapshot));
        let set = match held {
            Some(_) => TableSet::numbered(tables.iter().map(numbered))?,
            None => TableSet::new(tables.iter().map(|table| (table.name.clone(), Arc::clone(&table.snapshot))))?,
        };
        Ok(Self { tables: tables.into(), set, broken: broken.into(), restricted: Arc::default(), held })
    }

    /// What of it somebody may see now; for him there is nothing else.
    fn seen_by(&self, caller: &Caller) -> Result<Self, JobError> {
        let now = Utc::now();
        if self.restricted.values().all(|visibility| visibility.allows(caller, now)) {
            return Ok(self.clone());
        }
        let seen = |name| self.restricted.get(name).is_none_or(|visibility| visibility.allows(caller, now));
        let tables = self.tables.iter().filter(|table| seen(&table.name)).cloned().collect();
        let broken = self.broken.iter().filter(|broken| seen(&broken.name)).cloned().collect();
        Self::new(tables, broken, self.held.clone())
    }
}

/// Where the tables of a query come from.
pub(crate) enum Tables {
    /// What is published, now.
    Published(Arc<Shelf>),
    /// These, for good.
    Given(Served),
}

impl Tables {
    /// Just these tables.
    pub(crate) fn given(tables: Vec<ServedTable>) -> Result<Self, JobError> {
        Ok(Self::Given(Served::new(tables, Vec::new(), None)?))
    }

    /// Whether they could be looked up now.
    pub(crate) async fn ready(&self) -> Result<(), JobError> {
        match self {
            Self::Published(shelf) => shelf.generation().await.map(drop),
            Self::Given(_) => Ok(()),
        }
    }

    /// The tables that are served now, as far as somebody may see them.
    pub(crate) async fn served(&self, caller: &Caller) -> Result<Served, JobError> {
        match self {
            Self::Published(shelf) => shelf.served().await?.seen_by(caller),
            Self::Given(served) => Ok(served.clone()),
        }
    }

    /// Versions that a query names, as far as somebody may see them, and what keeps their files meanwhile.
    pub(crate) async fn versions(&self, named: &[(TableName, u64)], caller: &Caller) -> Result<Opened, JobError> {
        match self {
            _ if named.is_empty() => Ok(Opened::default()),
            Self::Published(shelf) => shelf.versions.open(shelf, named, caller).await,
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

    /// Opens what is published as soon as it is, and lets go of what is served no more, whether anybody asks or not.
    pub(crate) fn keep_up(self: &Arc<Self>) {
        let (mut changes, shelf) = (self.metadata.changes(), Arc::downgrade(self));
        tokio::spawn(async move {
            loop {
                let generation = changes.next().await;
                let Some(shelf) = shelf.upgrade() else { return };
                match shelf.served().await {
                    Ok(served) => tracing::info!(generation, tables = served.tables.len(), "the tables have changed"),
                    Err(error) => tracing::warn!(generation, "the tables have changed: {error}"),
                }
            }
        });
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
        // What was listed before is let go of, unless a query still reads it; where that cannot be told, it will be later.
        let _ = self.readings.hold(&self.metadata, generation).await;
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
        let (mut tables, mut broken, mut restricted) = (Vec::new(), Vec::new(), HashMap::new());
        for table in published {
            if table.visibility != Visibility::Public {
                restricted.insert(table.name.clone(), table.visibility);
            }
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
                    let (name, version, tried) = (table.name, table.version, Instant::now());
                    broken.push(Broken { name, version, fault, tried });
                }
            }
        }
        Ok(Served { restricted: restricted.into(), ..Served::new(tables, broken, Some(held))? })
    }
}

#[cfg(test)]
mod tests {
    use crate::house::{House, stars};

    use super::*;

    #[tokio::test]
    async fn a_table_that_somebody_may_not_see_is_not_there_for_him() {
        let house = House::with_stars(1).await;
        house.publish("demo.secret", stars(4)).await;
        house.publish("demo.secret", stars(5)).await;
        let (secret, team): (TableName, _) = ("demo.secret".parse().unwrap(), "team".parse().unwrap());
        house.metadata.add_group(&team, "a test").await.unwrap();
        let restricted = Visibility::Restricted { groups: [team.clone()].into(), released_at: None };
        house.metadata.set_visibility(&secret, &restricted, "a test").await.unwrap();
        let name = "ada".parse().unwrap();
        let member = Caller::User { name, groups: [team].into(), scopes: Default::default() };
        for (caller, sees) in [(Caller::Anonymous, false), (member, true), (Caller::Operator, true)] {
            let jobs = house.jobs.asked_by(caller);
            let listed = jobs.tables().await.unwrap().iter().any(|table| table.name == secret);
            assert_eq!(listed, sees);
            for text in ["SELECT * FROM demo.secret", "SELECT * FROM demo.secret@1", "SELECT * FROM \"demo\".secret@2"]
            {
                let answered = jobs.columns(engine::Language::Adql, text).await;
                assert_eq!(answered.is_ok(), sees, "{text}");
                if let Err(refusal) = answered {
                    let unknown = text.replace("secret", "nosuch");
                    let unknown = jobs.columns(engine::Language::Adql, &unknown).await.unwrap_err();
                    assert_eq!(refusal.to_string(), unknown.to_string().replace("nosuch", "secret"));
                }
            }
        }
        house.metadata.set_visibility(&secret, &Visibility::Public, "a test").await.unwrap();
        assert_eq!(house.jobs.tables().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_server_that_nobody_asks_opens_what_is_published_and_lets_go_of_what_was() {
        let house = House::with_stars(1).await;
        let reader = "a test".into();
        let shelf = Arc::new(Shelf::new(house.metadata.clone(), house.store.clone(), Remote::default(), reader));
        shelf.keep_up();
        let opened = async |version| loop {
            let last = shelf.last.lock().await;
            if last.as_ref().is_some_and(|(_, served)| served.tables.iter().any(|table| table.version == version)) {
                return;
            }
            drop(last);
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        opened(1).await;
        house.publish("demo.stars", stars(2)).await;
        opened(2).await;
        let old = house.metadata.collectable(Utc::now(), |_| metadata::Life::Alive).await.unwrap();
        assert_eq!(old.len(), 1, "version 1 is read by nobody");
    }

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
