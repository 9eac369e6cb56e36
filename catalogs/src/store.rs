//! The place where catalogues are kept: a local folder, or a bucket that speaks S3.
//!
//! One `object_store` for the whole service, and one folder in it. Every path below is relative to that folder, so that a
//! store can be moved without rewriting what points into it.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt, WriteMultipart, aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use tokio::sync::RwLock;
use url::Url;

use crate::{CatalogError, TableName};

/// Objects larger than this go up in parts.
const PART_BYTES: usize = 16 << 20;

/// How to reach a store.
#[derive(Clone, Debug, Default)]
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

/// An open store.
#[derive(Clone, Debug)]
pub struct CatalogStore {
    url: Url,
    objects: Arc<dyn ObjectStore>,
    /// Read by each write under way, so that a deletion can wait for those that nobody waits for any more.
    writes: Arc<RwLock<()>>,
}

impl CatalogStore {
    /// Opens the store; a local folder is made when it does not exist.
    pub fn open(options: &StoreOptions) -> Result<Self, CatalogError> {
        if let Some(rest) = options.url.strip_prefix("s3://") {
            return Self::open_s3(rest, options);
        }
        let folder = options.url.strip_prefix("file://").unwrap_or(&options.url);
        if folder.contains("://") || folder.is_empty() {
            return Err(Self::bad(&options.url, "write a local folder or s3://bucket/prefix"));
        }
        std::fs::create_dir_all(folder)
            .map_err(|error| CatalogError::io(format!("making the folder {folder}"), error))?;
        let objects = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(false);
        let folder = std::fs::canonicalize(folder).map_err(|error| CatalogError::io(folder, error))?;
        let url = Url::from_directory_path(&folder).map_err(|()| Self::bad(&options.url, "it has no absolute path"))?;
        Ok(Self::over(url, objects))
    }

    fn open_s3(place: &str, options: &StoreOptions) -> Result<Self, CatalogError> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(Self::bad(&options.url, "it names no bucket"));
        }
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_allow_http(options.allow_http);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &options.region {
            builder = builder.with_region(region);
        }
        match (&options.access_key_id, &options.secret_access_key) {
            (Some(id), Some(secret)) => builder = builder.with_access_key_id(id).with_secret_access_key(secret),
            (None, None) => builder = builder.with_skip_signature(true),
            _ => return Err(Self::bad(&options.url, "an access key needs both its id and its secret")),
        }
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| Self::bad(&options.url, error))?;
        let url = Url::parse(&format!("s3://{bucket}/{prefix}/")).map_err(|error| Self::bad(&options.url, error))?;
        Ok(Self::over(url, PrefixStore::new(builder.build()?, prefix)))
    }

    fn over(url: Url, objects: impl ObjectStore) -> Self {
        Self { url, objects: Arc::new(objects), writes: Arc::default() }
    }

    fn bad(url: &str, why: impl ToString) -> CatalogError {
        CatalogError::BadStore { url: url.to_owned(), why: why.to_string() }
    }

    /// A folder for a new version of a table, which no other version has had or will have.
    pub fn new_root(&self, name: &TableName) -> String {
        format!("catalogs/{}/{}/{:016x}", name.schema(), name.table(), rand::random::<u64>())
    }

    /// Where the store is, for people.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The objects, with paths relative to the store's folder.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// Reads a whole object.
    pub async fn get(&self, path: &str) -> Result<Bytes, CatalogError> {
        Ok(self.objects.get(&Path::from(path)).await?.bytes().await?)
    }

    /// Writes a whole object: a reader sees all of it or nothing.
    ///
    /// A write that has begun goes on to its end when this future is dropped, since a store may not be able to break it
    /// off: [`delete_folder`](Self::delete_folder) waits for it.
    pub async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), CatalogError> {
        let writing = Arc::clone(&self.writes).read_owned().await;
        let (objects, path) = (self.objects(), Path::from(path));
        let written = tokio::spawn(async move {
            let written = write(&*objects, &path, bytes).await;
            drop(writing);
            written
        });
        Ok(written.await??)
    }

    /// Deletes everything below a folder, also what was still being written when this was called.
    pub async fn delete_folder(&self, folder: &str) -> Result<(), CatalogError> {
        let _nobody_writes = self.writes.write().await;
        let found: Vec<_> = self.objects.list(Some(&Path::from(folder))).try_collect().await?;
        for object in found {
            self.objects.delete(&object.location).await?;
        }
        Ok(())
    }
}

async fn write(objects: &dyn ObjectStore, path: &Path, bytes: Vec<u8>) -> object_store::Result<()> {
    if bytes.len() <= PART_BYTES {
        objects.put(path, bytes.into()).await?;
        return Ok(());
    }
    let upload = objects.put_multipart(path).await?;
    let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    for part in bytes.chunks(PART_BYTES) {
        parts.wait_for_capacity(4).await?;
        parts.write(part);
    }
    parts.finish().await?; // aborts the upload when a part failed
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(folder: &std::path::Path) -> StoreOptions {
        StoreOptions { url: folder.display().to_string(), ..StoreOptions::default() }
    }

    #[tokio::test]
    async fn a_large_object_comes_back_as_it_went_in() {
        let folder = tempfile::tempdir().unwrap();
        let store = CatalogStore::open(&local(&folder.path().join("new/store"))).unwrap();
        let bytes: Vec<u8> = (0..PART_BYTES * 2 + 17).map(|i| (i % 251) as u8).collect();
        store.put("a/large object", bytes.clone()).await.unwrap();
        assert_eq!(store.get("a/large object").await.unwrap(), bytes);
        store.delete_folder("a").await.unwrap();
        assert!(store.get("a/large object").await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_folder_in_which_somebody_stopped_writing() {
        let folder = tempfile::tempdir().unwrap();
        let store = CatalogStore::open(&local(folder.path())).unwrap();
        for number in 0..8 {
            let mut put = Box::pin(store.put("a/object", vec![number; 8 << 20]));
            assert!(futures::poll!(put.as_mut()).is_pending());
            drop(put);
            store.delete_folder("a").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(store.get("a/object").await.is_err(), "written after the folder was deleted");
        }
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
    }
}
