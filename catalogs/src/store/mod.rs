//! The places where catalogues are kept: a local folder or a bucket that speaks S3; and, for reading only, a web server.
//!
//! ```text
//!   CatalogStore ── reads ──▶ objects: Patient (retries, resumes) ▶ prefix ▶ S3 or HTTP     or the folder itself
//!                └─ writes ─▶ folder: staged, synced, renamed          bucket: one request, or parts that are aborted
//! ```
//! Every path below is relative to the store's folder, so that a store can be moved without rewriting what points into it.
//! What was written is on the disk, or acknowledged by the bucket, when a function here returns; a reader sees all of an
//! object or nothing. Faults are told with the URL of what they happened to.

mod fault;
mod folder;
mod parquet;
mod patience;
mod remote;
mod upload;

use std::{
    fmt,
    ops::Range,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, aws::AmazonS3, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use tokio::sync::RwLock;
use url::Url;

pub(crate) use parquet::ParquetObject;
pub use remote::Remote;

use crate::{CatalogError, TableName};

/// An object larger than this is never read as a whole.
const MOST_AT_ONCE: u64 = 2 << 30;
/// More objects than this are never listed.
const MOST_LISTED: usize = 10_000_000;

/// How to reach the store of this installation.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// A local folder, or `s3://bucket/prefix`.
    pub url: String,
    /// The endpoint of a service that speaks S3 but is not Amazon's.
    pub endpoint: Option<String>,
    /// The S3 region.
    pub region: Option<String>,
    /// S3 access key.
    pub access_key_id: Option<String>,
    /// S3 secret key.
    pub secret_access_key: Option<String>,
    /// Whether an endpoint without TLS is acceptable.
    pub allow_http: bool,
}

impl StoreOptions {
    /// The same, without the place.
    fn remote(&self) -> Remote {
        Remote {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            allow_http: self.allow_http,
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("url", &self.url).field("remote", &self.remote()).finish()
    }
}

/// An open store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CatalogStore {
    url: Url,
    key: u64,
    place: Place,
    objects: Arc<dyn ObjectStore>,
    read_only: bool,
    /// Read by each write under way, so that a deletion can wait for those that nobody waits for any more.
    writes: Arc<RwLock<()>>,
}

/// How objects are written, and by what name faults are told.
#[derive(Clone, Debug)]
enum Place {
    Folder(Arc<LocalFileSystem>),
    Bucket { name: String, service: String, signed: bool, objects: Arc<PrefixStore<AmazonS3>> },
    Web,
}

impl CatalogStore {
    /// Opens the store of this installation; a local folder is made when it does not exist.
    pub fn open(options: &StoreOptions) -> Result<Self, CatalogError> {
        let url = &options.url;
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| bad(url, error))?;
            return remote::bucket(url, bucket, prefix, &options.remote(), false);
        }
        let folder = url.strip_prefix("file://").unwrap_or(url);
        if folder.contains("://") || folder.is_empty() {
            return Err(bad(url, "write a local folder or s3://bucket/prefix"));
        }
        folder::make(FilePath::new(folder))
            .map_err(|error| CatalogError::io(format!("making the folder {folder}"), error))?;
        Self::folder(FilePath::new(folder), url, false)
    }

    /// Opens a place of somebody else's, which is never written to: a local folder, `file://`, `s3://`, `http://` or
    /// `https://`. Nothing is asked of a distant place yet.
    pub fn read_only(url: &str, remote: &Remote) -> Result<Self, CatalogError> {
        if !url.contains("://") {
            return Self::folder(FilePath::new(url), url, true);
        }
        let parsed = Url::parse(url).map_err(|error| bad(url, error))?;
        nothing_but_a_path(&parsed)?;
        match parsed.scheme() {
            "file" => {
                let folder = parsed.to_file_path().map_err(|()| bad(url, "it is no path of this machine"))?;
                Self::folder(&folder, url, true)
            }
            "s3" => {
                let prefix = Path::from_url_path(parsed.path().trim_matches('/')).map_err(|error| bad(url, error))?;
                remote::bucket(url, parsed.host_str().unwrap_or_default(), prefix, remote, true)
            }
            "http" | "https" => remote::web(parsed, remote),
            other => Err(bad(url, format!("'{other}' is none of file, s3, http and https"))),
        }
    }

    fn folder(folder: &FilePath, told: &str, read_only: bool) -> Result<Self, CatalogError> {
        let io = |error| CatalogError::io(folder.display(), error);
        let folder = std::fs::canonicalize(folder).map_err(io)?;
        if !folder.is_dir() {
            return Err(bad(told, "it is a file, not a folder"));
        }
        let objects = Arc::new(LocalFileSystem::new_with_prefix(&folder)?.with_automatic_cleanup(false));
        let url = Url::from_directory_path(&folder).map_err(|()| bad(told, "it has no absolute path"))?;
        let place = Place::Folder(Arc::clone(&objects));
        Ok(Self { key: remote::key_of(&[url.as_str()]), url, place, objects, read_only, writes: Arc::default() })
    }

    /// A folder for a new version of a table, which no other version has had or will have.
    pub fn new_root(&self, name: &TableName) -> String {
        format!("catalogs/{}/{}/{:016x}", name.schema(), name.table(), rand::random::<u64>())
    }

    /// Where the store is, for people. It ends with a slash.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A number that differs between stores, also between two services that have a bucket of the same name.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Whether this is a folder of this machine.
    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// The objects, with paths relative to the store's folder, for reading.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// A path as the client library has it: taken as it is where it can be, so that a foreign file keeps its name.
    pub fn object_path(path: &str) -> Path {
        Path::parse(path).unwrap_or_else(|_| Path::from(path))
    }

    /// The address of an object, for people.
    fn address(&self, path: &str) -> String {
        format!("{}{}", self.url, path.trim_start_matches('/'))
    }

    fn fault(&self, path: &str, error: object_store::Error) -> CatalogError {
        fault::told(&self.place, self.address(path), error)
    }

    /// Reads a whole object.
    pub async fn get(&self, path: &str) -> Result<Bytes, CatalogError> {
        self.get_small(path, MOST_AT_ONCE).await
    }

    /// Reads a whole object, unless it has more bytes than these.
    pub(crate) async fn get_small(&self, path: &str, most: u64) -> Result<Bytes, CatalogError> {
        let failed = |error| self.fault(path, error);
        let found = self.objects.get(&Self::object_path(path)).await.map_err(failed)?;
        if found.meta.size > most {
            let why = format!("it has {} bytes, too many to be read at once", found.meta.size);
            return Err(CatalogError::catalog(self.address(path), why));
        }
        found.bytes().await.map_err(failed)
    }

    /// Reads some bytes of an object; fewer where it ends before them.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, CatalogError> {
        let bytes = self.objects.get_range(&Self::object_path(path), range).await;
        bytes.map_err(|error| self.fault(path, error))
    }

    /// Reads many parts of an object: those that lie close together at once, and no more than ten at a time.
    pub(crate) async fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, CatalogError> {
        let bytes = self.objects.get_ranges(&Self::object_path(path), ranges).await;
        bytes.map_err(|error| self.fault(path, error))
    }

    /// The size of an object, its time and its entity tag.
    pub async fn head(&self, path: &str) -> Result<ObjectMeta, CatalogError> {
        let location = Self::object_path(path);
        let found = self.objects.head(&location).await.map_err(|error| self.fault(path, error))?;
        // The client library tells where it is in the bucket, not below the folder of this store.
        Ok(ObjectMeta { location, ..found })
    }

    /// Whether there is such an object.
    pub async fn exists(&self, path: &str) -> Result<bool, CatalogError> {
        match self.head(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All objects below a folder, in the order of their paths.
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>, CatalogError> {
        let mut found = Vec::new();
        let mut listing = self.objects.list(Some(&Self::object_path(folder)));
        while let Some(object) = listing.next().await {
            found.push(object.map_err(|error| self.fault(folder, error))?);
            if found.len() > MOST_LISTED {
                return Err(CatalogError::catalog(self.address(folder), format!("it has over {MOST_LISTED} files")));
            }
        }
        found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// Writes a whole object.
    ///
    /// A write that has begun goes on to its end when this future is dropped, since a store may not be able to break it
    /// off: [`delete_folder`](Self::delete_folder) waits for it.
    pub async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), CatalogError> {
        self.write(path, upload::Source::Bytes(bytes.into())).await
    }

    /// Writes a whole object from a local file, which stays where it is. It must not be changed afterwards: in a folder on
    /// the same file system it is the object. Large files go to a bucket in parts, four at a time. When this future is
    /// dropped, it is with this as with [`put`](Self::put).
    pub async fn put_file(&self, path: &str, file: &FilePath) -> Result<(), CatalogError> {
        self.write(path, upload::Source::File(file.to_owned())).await
    }

    async fn write(&self, path: &str, source: upload::Source) -> Result<(), CatalogError> {
        let (place, location) = (self.writable(path)?.clone(), Self::object_path(path));
        let writing = Arc::clone(&self.writes).read_owned().await;
        let (told, target) = (path.to_owned(), self.clone());
        let written = tokio::spawn(async move {
            let written = match place {
                Place::Folder(objects) => match objects.path_to_filesystem(&location) {
                    Ok(file) => folder::write(file, source).await,
                    Err(error) => Err(target.fault(&told, error)),
                },
                Place::Bucket { objects, .. } => {
                    upload::run(&*objects, &location, source, |error| target.fault(&told, error)).await
                }
                Place::Web => Ok(()), // refused above
            };
            drop(writing);
            written
        });
        written.await?
    }

    fn writable(&self, path: &str) -> Result<&Place, CatalogError> {
        if self.read_only || matches!(self.place, Place::Web) {
            let why = format!("it is only read, and {path} cannot be written to it");
            return Err(bad(self.url.as_str(), why));
        }
        Ok(&self.place)
    }

    /// Makes an object another name of an existing one, without a copy, and replaces what had that name. Only a folder
    /// can do that, and not every one: `false` means that nothing was done.
    pub async fn link(&self, from: &str, to: &str) -> Result<bool, CatalogError> {
        let Place::Folder(objects) = self.writable(to)? else { return Ok(false) };
        let file = |path: &str| -> Result<PathBuf, CatalogError> {
            objects.path_to_filesystem(&Self::object_path(path)).map_err(|error| self.fault(path, error))
        };
        let (old, new) = (file(from)?, file(to)?);
        let _writing = self.writes.read().await;
        tokio::task::spawn_blocking(move || folder::link(&old, &new)).await?
    }

    /// Deletes everything below a folder, also what was still being written when this was called.
    pub async fn delete_folder(&self, folder: &str) -> Result<(), CatalogError> {
        let place = self.writable(folder)?;
        let path = Self::object_path(folder);
        if path.as_ref().is_empty() {
            return Err(bad(self.url.as_str(), "a whole store is never deleted"));
        }
        let _nobody_writes = self.writes.write().await;
        let failed = |error| self.fault(folder, error);
        if let Place::Folder(objects) = place {
            let folder = objects.path_to_filesystem(&path).map_err(failed)?;
            return tokio::task::spawn_blocking(move || folder::delete(&folder)).await?;
        }
        let found = self.objects.list(Some(&path)).map_ok(|object| object.location).boxed();
        self.objects.delete_stream(found).try_for_each(|_| std::future::ready(Ok(()))).await.map_err(failed)
    }

    /// Deletes one object; that there is none is no fault.
    pub async fn delete(&self, path: &str) -> Result<(), CatalogError> {
        self.writable(path)?;
        let _writing = self.writes.read().await;
        match self.objects.delete(&Self::object_path(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fault(path, error)),
        }
    }
}

/// An address must not have parts that would be kept and shown, or be left out without a word: a password, a query, or
/// what follows a `#` that belongs to a name.
fn nothing_but_a_path(url: &Url) -> Result<(), CatalogError> {
    let why = if url.password().is_some() || !url.username().is_empty() {
        "it has a user name; keys belong into the configuration"
    } else if url.fragment().is_some() || url.query().is_some() {
        "only a path is understood there; write # as %23 and ? as %3F where they belong to a name"
    } else {
        return Ok(());
    };
    let mut told = url.clone();
    told.set_query(None);
    told.set_fragment(None);
    // A URL that cannot have a user name has none to be shown.
    let _ = told.set_username("").and_then(|()| told.set_password(None));
    Err(bad(told.as_str(), why))
}

fn bad(url: &str, why: impl ToString) -> CatalogError {
    CatalogError::BadStore { url: url.to_owned(), why: why.to_string() }
}

/// The bytes of an upload, as the client library wants them.
fn payload(bytes: Bytes) -> PutPayload {
    PutPayload::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(folder: &FilePath) -> CatalogStore {
        let options = StoreOptions { url: folder.display().to_string(), ..StoreOptions::default() };
        CatalogStore::open(&options).unwrap()
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_folder_in_which_somebody_stopped_writing() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        for number in 0..8 {
            let mut put = Box::pin(store.put("a/object", vec![number; 8 << 20]));
            assert!(futures::poll!(put.as_mut()).is_pending());
            drop(put);
            store.delete_folder("a").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(store.get("a/object").await.is_err(), "written after the folder was deleted");
        }
    }

    #[tokio::test]
    async fn a_foreign_folder_is_read_under_its_own_names_and_never_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a~b [1]%.txt"), "x").unwrap();
        let path = folder.path().display().to_string();
        for url in [path.clone(), Url::from_directory_path(folder.path()).unwrap().to_string()] {
            let store = CatalogStore::read_only(&url, &Remote::default()).unwrap();
            assert_eq!(store.get("a~b [1]%.txt").await.unwrap(), "x");
            assert_eq!(store.list("").await.unwrap()[0].location.as_ref(), "a~b [1]%.txt");
            let refused = store.put("b", vec![1]).await.unwrap_err().to_string();
            assert!(refused.contains("only read"), "{refused}");
            assert!(store.delete_folder("x").await.is_err() && store.delete("a~b [1]%.txt").await.is_err());
        }
        let absent = CatalogStore::read_only(&format!("{path}/none"), &Remote::default()).unwrap_err();
        assert!(absent.is_absent() && absent.to_string().contains("/none"), "{absent}");
    }

    #[tokio::test]
    async fn what_is_absent_is_told_with_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let error = local(folder.path()).get("no/such").await.unwrap_err();
        assert!(error.is_absent());
        let sentence = error.to_string();
        assert!(
            sentence.starts_with("file:///") && sentence.ends_with("/no/such: there is no such file"),
            "{sentence}"
        );
    }

    #[test]
    fn a_place_that_cannot_be_a_store_is_refused_with_the_reason() {
        for (url, reason) in
            [("s3:///prefix", "no bucket"), ("ftp://host/x", "local folder or s3://"), ("", "local folder")]
        {
            let options = StoreOptions { url: url.to_owned(), ..StoreOptions::default() };
            let sentence = CatalogStore::open(&options).unwrap_err().to_string();
            assert!(sentence.contains(reason), "{sentence}");
        }
        let half = StoreOptions { url: "s3://b".into(), access_key_id: Some("id".into()), ..StoreOptions::default() };
        assert!(CatalogStore::open(&half).unwrap_err().to_string().contains("both"));
        let sentence = CatalogStore::read_only("ftp://host/x", &Remote::default()).unwrap_err().to_string();
        assert!(sentence.contains("'ftp' is none of"), "{sentence}");
    }
}
