//! Requests of a query, made on the runtime of whoever asked.
//!
//! Queries compute on threads of their own ([`crate::runtime`]), which are busy for long: a connection that waited for its
//! turn there would time out. What goes over a network is therefore done on the caller's runtime. A local file is read where
//! it is needed: what the system has in memory at once, since asking another thread takes longer than copying it, and what
//! must come from a disk by a thread that may wait. What is read is counted, and reading ends
//! when the query may read no more. Only the statistics of columns, small objects that a snapshot reads once and keeps, are
//! read wherever a query needs them first, and not counted.

use std::{fmt, fs::File, future::Future, io, ops::Range, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use catalogs::CatalogStore;
use datafusion::common::config::ConfigOptions;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::limits::watch::Watch;

/// The objects of a store, as the query that these options belong to may read them.
pub(crate) fn objects(store: &CatalogStore, options: &ConfigOptions) -> Arc<dyn ObjectStore> {
    let Some(watch) = Watch::of(options) else { return store.objects() };
    let (folder, place) = match store.is_local() {
        true => (store.url().to_file_path().ok(), None),
        false => (None, watch.io().cloned()),
    };
    Arc::new(WatchedStore { inner: store.objects(), watch: Arc::clone(watch), folder, place })
}

/// A store that one query reads from.
#[derive(Debug)]
struct WatchedStore {
    inner: Arc<dyn ObjectStore>,
    watch: Arc<Watch>,
    /// Where the files are, if they are files of this machine.
    folder: Option<PathBuf>,
    /// Where requests are made, if not where they are asked for.
    place: Option<Handle>,
}

impl WatchedStore {
    async fn at_place<T, F>(&self, request: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match &self.place {
            Some(place) => AbortOnDropHandle::new(place.spawn(request)).await?,
            None => request.await,
        }
    }

    /// Parts of a file, if all of them can be had without waiting.
    fn at_hand(&self, location: &Path, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let folder = self.folder.as_ref()?;
        // What is written otherwise in the names of files than in paths is left to those who know how.
        let plain = location.as_ref().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%');
        let file = plain.then(|| File::open(folder.join(location.as_ref())).ok()).flatten()?;
        ranges.iter().map(|range| in_memory(&file, range)).collect()
    }

    fn count(&self, bytes: u64) -> Result<()> {
        self.watch.count(bytes).map_err(|end| Error::Generic { store: "query", source: Box::new(end) })
    }

    fn may_not<T>(&self, what: &str) -> Result<T> {
        Err(Error::NotImplemented { operation: what.to_owned(), implementer: self.to_string() })
    }
}

/// A part of a file, if the system has all of it in memory.
#[cfg(target_os = "linux")]
fn in_memory(file: &File, range: &Range<u64>) -> Option<Bytes> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    let mut bytes = vec![0; length];
    let mut read = 0;
    while read < length {
        let mut rest = [io::IoSliceMut::new(&mut bytes[read..])];
        match preadv2(file, &mut rest, range.start + read as u64, ReadWriteFlags::NOWAIT) {
            Ok(more) if more > 0 => read += more,
            _ => return None,
        }
    }
    Some(bytes.into())
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_: &File, _: &Range<u64>) -> Option<Bytes> {
    None
}

impl fmt::Display for WatchedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, read by a query", self.inner)
    }
}

#[async_trait]
impl ObjectStore for WatchedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (inner, location, head) = (Arc::clone(&self.inner), location.clone(), options.head);
        let got = self.at_place(async move {
            let got = inner.get_opts(&location, options).await?;
            if head || matches!(got.payload, GetResultPayload::File(..)) {
                return Ok(got);
            }
            // The body arrives where its connection is. Readers of Parquet ask for what they keep, never for whole files.
            let (meta, range, attributes) = (got.meta.clone(), got.range.clone(), got.attributes.clone());
            let bytes = got.bytes().await?;
            let payload = GetResultPayload::Stream(futures::stream::once(async { Ok(bytes) }).boxed());
            Ok(GetResult { payload, meta, range, attributes })
        });
        let got = got.await?;
        if !head {
            self.count(got.range.end - got.range.start)?;
        }
        Ok(got)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let got = match self.at_hand(location, ranges) {
            Some(got) => got,
            None => {
                let (inner, location, ranges) = (Arc::clone(&self.inner), location.clone(), ranges.to_vec());
                self.at_place(async move { inner.get_ranges(&location, &ranges).await }).await?
            }
        };
        self.count(got.iter().map(|bytes| bytes.len() as u64).sum())?;
        Ok(got)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        self.may_not("writing")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.may_not("writing")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        futures::stream::once(std::future::ready(self.may_not("deleting"))).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        self.may_not("copying")
    }
}
