//! Which generations of the tables are still read here, told to the metadata database.
//!
//! ```text
//!   Shelf lists at generation 7 ──▶ Held(7) ── with the served tables, and with every query that runs on them
//!   oldest Held that lives      ──▶ the reader's row, at each listing and a few times within metadata::STALE
//! ```
//! The row is written before the tables are listed, so that no version that a listing names is collected between the two.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use metadata::{Metadata, MetadataError, Reader, STALE};
use tokio::sync::OnceCell;

/// The generations that this process reads.
pub(crate) struct Readings {
    name: String,
    held: Arc<Mutex<BTreeMap<i64, Weak<Held>>>>,
    reader: OnceCell<Reader>,
}

/// Somebody reads a generation for as long as this lives.
pub(crate) struct Held {
    generation: i64,
}

impl Readings {
    /// Nothing is read yet. `name` tells this process from all others.
    pub(crate) fn new(name: String) -> Self {
        Self { name, held: Arc::default(), reader: OnceCell::new() }
    }

    /// Holds a generation, from before this call returns.
    pub(crate) async fn hold(&self, metadata: &Metadata, generation: i64) -> Result<Arc<Held>, MetadataError> {
        let held = {
            let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.get(&generation).and_then(Weak::upgrade);
            let held = known.unwrap_or_else(|| Arc::new(Held { generation }));
            all.insert(generation, Arc::downgrade(&held));
            held
        };
        let oldest = oldest(&self.held).unwrap_or(generation);
        let begin = async || {
            let reader = metadata.reader(&self.name, oldest).await?;
            tokio::spawn(renew(reader.clone(), Arc::downgrade(&self.held)));
            Ok::<_, MetadataError>(reader)
        };
        self.reader.get_or_try_init(begin).await?.at(oldest).await?;
        Ok(held)
    }
}

/// Tells the database that this reader lives, for as long as it does.
async fn renew(reader: Reader, held: Weak<Mutex<BTreeMap<i64, Weak<Held>>>>) {
    loop {
        tokio::time::sleep(STALE / 6).await;
        let Some(oldest) = held.upgrade().map(|held| oldest(&held)) else { return };
        if let Some(oldest) = oldest
            && let Err(error) = reader.at(oldest).await
        {
            tracing::warn!("the metadata database was not told what is read here: {error}");
        }
    }
}

fn oldest(held: &Mutex<BTreeMap<i64, Weak<Held>>>) -> Option<i64> {
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    held.retain(|_, held| held.strong_count() > 0);
    held.values().find_map(|held| Some(held.upgrade()?.generation))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use metadata::{Life, Publication};

    use super::*;

    fn publication(root: &str) -> Publication {
        let (name, snapshot) = ("demo.stars".parse().unwrap(), String::new());
        Publication { name, root: root.into(), snapshot, rows: 1, description: None, note: None, columns: Vec::new() }
    }

    #[tokio::test]
    async fn a_version_is_kept_until_the_last_query_on_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = Metadata::open(&format!("sqlite:{}/almagest.db", folder.path().display())).await.unwrap();
        let readings = Readings::new("here".into());
        metadata.publish(&publication("a"), None, None).await.unwrap();
        let collectable = async || metadata.collectable(Utc::now() + STALE, |_| Life::Unknown).await.unwrap().len();

        let shelf = readings.hold(&metadata, 1).await.unwrap();
        let query = Arc::clone(&shelf);
        metadata.publish(&publication("b"), Some(1), None).await.unwrap();
        let shelf_now = readings.hold(&metadata, 2).await.unwrap();
        drop(shelf);
        assert_eq!(collectable().await, 0, "the query runs on version 1");
        drop(query);
        drop(readings.hold(&metadata, 2).await.unwrap());
        assert_eq!(collectable().await, 1);
        drop(shelf_now);
    }
}
