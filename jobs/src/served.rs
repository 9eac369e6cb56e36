//! The tables that are served: what the metadata database says, opened.
//!
//! A query asks the database for one number, the generation. While it stays, everything is in memory; when it has moved,
//! the list is read again, and only versions that were not open yet are opened. A version never changes, so what is open
//! is right for as long as it is listed.

use std::{collections::HashMap, sync::Arc};

use catalogs::{CatalogSnapshot, CatalogStore, TableName};
use engine::TableSet;
use metadata::{Metadata, PublishedTable};
use tokio::sync::Mutex;

use crate::{FaultId, JobError, error::logged};

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
    pub(crate) broken: Arc<[(TableName, FaultId)]>,
}

/// Keeps the tables of the last generation open.
pub(crate) struct Shelf {
    metadata: Metadata,
    store: CatalogStore,
    last: Mutex<Option<(i64, Served)>>,
}

impl Shelf {
    pub(crate) fn new(metadata: Metadata, store: CatalogStore) -> Self {
        Self { metadata, store, last: Mutex::new(None) }
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
            && served.broken.is_empty()
        {
            return Ok(served.clone());
        }
        let published =
            self.metadata.tables().await.map_err(|error| JobError::unavailable("listing the tables", &error))?;
        let served = self.open(published, last.as_ref().map(|(_, served)| served)).await?;
        *last = Some((generation, served.clone()));
        Ok(served)
    }

    async fn open(&self, published: Vec<PublishedTable>, last: Option<&Served>) -> Result<Served, JobError> {
        let open: HashMap<_, _> = last
            .iter()
            .flat_map(|served| served.tables.iter())
            .map(|table| ((&table.name, table.version), &table.snapshot))
            .collect();
        let (mut tables, mut broken) = (Vec::new(), Vec::new());
        for table in published {
            let snapshot = match open.get(&(&table.name, table.version)) {
                Some(snapshot) => Ok(Arc::clone(snapshot)),
                None => catalogs::open(&self.store, &table.root).await.map(Arc::new),
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
                    broken.push((table.name, fault));
                }
            }
        }
        let set = TableSet::new(tables.iter().map(|table| (table.name.clone(), Arc::clone(&table.snapshot))))?;
        Ok(Served { tables: tables.into(), set, broken: broken.into() })
    }
}
