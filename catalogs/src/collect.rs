//! What of a store nobody needs any more.
//!
//! ```text
//!   Listing::take(store)     first: everything there is below `catalogs/`
//!   (the caller asks the metadata database which versions are kept and which are being made)
//!   listing.garbage(…)       everything listed that is neither in one of these folders nor shared by one of them
//! ```
//! In this order nothing that is published meanwhile is garbage: what was listed belongs to a version that was being made
//! or kept when it was listed, and a version being made is either still that or published when the database is asked.

use std::collections::{BTreeSet, HashSet};

use crate::{CatalogError, CatalogStore, Remote, open};

/// The folder of all catalogues in a store.
const CATALOGS: &str = "catalogs";

/// All objects of all catalogues at one moment.
pub struct Listing {
    objects: Vec<Object>,
}

/// What nobody needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Folders of versions that hold nothing that is needed.
    pub folders: BTreeSet<String>,
    /// Objects in folders that hold others that are needed.
    pub objects: Vec<Object>,
    /// How many objects that is, those in the folders included.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// An object, kept or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its path in the store.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Listing {
    /// Lists a store.
    pub async fn take(store: &CatalogStore) -> Result<Self, CatalogError> {
        let objects = store.list(CATALOGS).await?;
        let objects =
            objects.into_iter().map(|object| Object { path: object.location.to_string(), bytes: object.size });
        Ok(Self { objects: objects.collect() })
    }

    /// What is neither in one of the folders `kept` and `claimed` nor read by one of the catalogues in `kept`.
    pub async fn garbage(
        self,
        store: &CatalogStore,
        kept: &[String],
        claimed: &[String],
    ) -> Result<Garbage, CatalogError> {
        let folders: HashSet<&str> = kept.iter().chain(claimed).map(String::as_str).collect();
        let mut shared = HashSet::new();
        for root in kept {
            // A version that cannot be opened may share files that it cannot tell: then nothing at all is garbage.
            let snapshot = open(store, root, &Remote::default()).await?;
            let elsewhere = snapshot.files().iter().filter_map(|file| file.path.strip_prefix('/'));
            shared.extend(elsewhere.map(str::to_owned));
        }
        let is_kept = |path: &str| shared.contains(path) || root_of(path).is_none_or(|root| folders.contains(root));
        let (kept, unneeded): (Vec<_>, Vec<_>) = self.objects.into_iter().partition(|object| is_kept(&object.path));
        let used: HashSet<&str> = kept.iter().filter_map(|object| root_of(&object.path)).collect();
        let mut garbage = Garbage::default();
        for object in unneeded {
            garbage.count += 1;
            garbage.bytes += object.bytes;
            match root_of(&object.path).filter(|root| !used.contains(root)).map(str::to_owned) {
                Some(root) => drop(garbage.folders.insert(root)),
                None => garbage.objects.push(object),
            }
        }
        Ok(garbage)
    }
}

impl Garbage {
    /// Deletes it.
    pub async fn delete(&self, store: &CatalogStore) -> Result<(), CatalogError> {
        for folder in &self.folders {
            store.delete_folder(folder).await?;
        }
        for object in &self.objects {
            store.delete(&object.path).await?;
        }
        Ok(())
    }
}

/// The folder of the version that an object belongs to: `catalogs/schema/table/version`. None of what lies elsewhere.
fn root_of(path: &str) -> Option<&str> {
    let end = path.match_indices('/').nth(3)?.0;
    Some(&path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_version_is_four_deep() {
        assert_eq!(root_of("catalogs/demo/stars/0f/stars/dataset/x.parquet"), Some("catalogs/demo/stars/0f"));
        assert_eq!(root_of("catalogs/demo/stars/readme"), None);
    }
}
