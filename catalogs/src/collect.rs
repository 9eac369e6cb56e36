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

use futures::{StreamExt, TryStreamExt};

use crate::{CatalogError, CatalogStore, open};

/// The folder of all catalogues in a store.
const CATALOGS: &str = "catalogs";

/// How many single objects are deleted at the same time.
const DELETED_AT_ONCE: usize = 16;

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
            // A version that cannot tell its files may share some: then nothing at all is garbage.
            let files = open::files_of(store, root).await.map_err(|error| match error {
                CatalogError::BadCatalog { root, why } => {
                    CatalogError::catalog(root, format!("{why}; nothing is collected while this version is kept"))
                }
                other => other,
            })?;
            shared.extend(files.iter().filter_map(|file| file.path.strip_prefix('/')).map(str::to_owned));
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
        let objects = futures::stream::iter(&self.objects).map(|object| store.delete(&object.path));
        objects.buffer_unordered(DELETED_AT_ONCE).try_collect().await
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
    use crate::{DataFile, StoreOptions, layout, manifest};

    async fn put(store: &CatalogStore, root: &str, files: &[&str]) {
        let file = |path: &&str| DataFile {
            path: (*path).to_owned(),
            bytes: 1,
            rows: 1,
            pixel: None,
            cells: None,
            sha256: None,
        };
        let listed = manifest::encode(&files.iter().map(file).collect::<Vec<_>>()).unwrap();
        store.put(&format!("{root}/{}", layout::MANIFEST), listed).await.unwrap();
        for file in files.iter().filter(|file| !file.starts_with('/')) {
            store.put(&format!("{root}/{file}"), vec![1]).await.unwrap();
        }
    }

    fn local(folder: &std::path::Path) -> CatalogStore {
        let options = StoreOptions { url: folder.display().to_string(), ..StoreOptions::default() };
        CatalogStore::open(&options).unwrap()
    }

    /// Versions of `catalogs/a/b`: 2 shares a file of 0, and has none of 1; 3 is being made; 4 was left by somebody.
    async fn five_versions(store: &CatalogStore) -> Garbage {
        for (root, files) in
            [("0", &["x", "y"][..]), ("1", &["z"]), ("2", &["/catalogs/a/b/0/x", "own"]), ("3", &["n"]), ("4", &["m"])]
        {
            put(store, &format!("catalogs/a/b/{root}"), files).await;
        }
        let listing = Listing::take(store).await.unwrap();
        listing.garbage(store, &["catalogs/a/b/2".to_owned()], &["catalogs/a/b/3".to_owned()]).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_shared_or_being_made_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        let garbage = five_versions(&store).await;
        assert_eq!(garbage.folders.iter().collect::<Vec<_>>(), ["catalogs/a/b/1", "catalogs/a/b/4"]);
        let objects: Vec<_> = garbage.objects.iter().map(|object| object.path.as_str()).collect();
        assert_eq!(objects, ["catalogs/a/b/0/almagest/manifest.parquet", "catalogs/a/b/0/y"]);
        assert_eq!(garbage.count, 6);
        garbage.delete(&store).await.unwrap();
        let left = Listing::take(&store).await.unwrap().objects;
        let left: Vec<_> = left.iter().map(|object| object.path.trim_start_matches("catalogs/a/b/")).collect();
        let manifest = layout::MANIFEST;
        assert_eq!(
            left,
            ["0/x", &format!("2/{manifest}"), "2/own", &format!("3/{manifest}"), "3/n"],
            "and nothing else"
        );
    }

    #[tokio::test]
    async fn nothing_is_garbage_while_a_kept_version_cannot_tell_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        five_versions(&store).await;
        for (root, words) in [("catalogs/a/b/2", "its manifest is damaged"), ("catalogs/a/b/9", "is missing")] {
            store.put("catalogs/a/b/2/almagest/manifest.parquet", vec![1; 50]).await.unwrap();
            let refused =
                Listing::take(&store).await.unwrap().garbage(&store, &[root.to_owned()], &[]).await.unwrap_err();
            let sentence = refused.to_string();
            assert!(sentence.contains(words) && sentence.contains("nothing is collected"), "{sentence}");
        }
    }

    #[test]
    fn the_folder_of_a_version_is_four_deep() {
        assert_eq!(root_of("catalogs/demo/stars/0f/stars/dataset/x.parquet"), Some("catalogs/demo/stars/0f"));
        assert_eq!(root_of("catalogs/demo/stars/readme"), None);
    }
}
