//! A store whose requests may fail in passing, made reliable as far as that can be.
//!
//! The client library retries a request until its answer begins. What it leaves to others happens here: a body that breaks
//! off is asked for again from where it broke, whether or not the server sends entity tags; an answer that is read as a
//! whole (a listing, the deletion of many objects) and breaks off is asked for again. The number of attempts is bounded,
//! and between them time passes, randomly, so that many readers do not come back at once.
//!
//! An object must not change while it is read. It is the same one if its entity tag is, or if its size and time are: some
//! services that consist of several servers give one object several tags.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, client::HttpErrorKind,
    path::Path,
};

use super::fault;

/// How often something is asked for, besides the retries of the client library.
const ATTEMPTS: u32 = 4;
/// How often a body may break off, besides once for each of so many bytes that came.
const BREAKS: u64 = 6;
const BYTES_A_BREAK: u64 = 1 << 20;
/// Objects that one request deletes.
const DELETED_AT_ONCE: usize = 1_000;

/// Whether trying again may help.
pub(super) fn may_pass(error: &object_store::Error) -> bool {
    match fault::status(error) {
        // A bucket says 400 of parts whose tags were damaged on the way, and of requests that came too slowly.
        Some(status) => status >= 500 || [400, 408, 429].contains(&status),
        // The client library has tried to connect for long enough.
        None => fault::transport(error).is_some_and(|kind| kind != HttpErrorKind::Connect),
    }
}

/// How long to wait after the n-th failure: twice as long each time, give or take a half, at most five seconds.
pub(super) fn backoff(failure: u32) -> Duration {
    let middle = 100.0 * 2_f64.powi(failure.min(6) as i32 - 1);
    Duration::from_secs_f64(middle * rand::random_range(0.5..1.5) / 1_000.0)
}

async fn attempts<T, F: Future<Output = Result<T>>>(mut ask: impl FnMut() -> F) -> Result<T> {
    let mut attempt = 1;
    loop {
        match ask().await {
            Err(error) if attempt < ATTEMPTS && may_pass(&error) => {
                tokio::time::sleep(backoff(attempt)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// The decorator.
#[derive(Debug)]
pub(super) struct Patient<T> {
    inner: Arc<T>,
}

impl<T> Patient<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner: Arc::new(inner) }
    }
}

impl<T: fmt::Display> fmt::Display for Patient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl<T: ObjectStore> ObjectStore for Patient<T> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if opts.mode != PutMode::Overwrite {
            return self.inner.put_opts(location, payload, opts).await; // done twice, it would find what it made itself
        }
        attempts(|| self.inner.put_opts(location, payload.clone(), opts.clone())).await
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        attempts(|| self.inner.put_multipart_opts(at, opts.clone())).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let found = attempts(|| self.inner.get_opts(location, options.clone())).await?;
        let GetResult { payload, meta, range, attributes } = found;
        let payload = match payload {
            GetResultPayload::Stream(stream) if !options.head => {
                let (inner, meta, left) = (Arc::clone(&self.inner), meta.clone(), range.clone());
                let body = Body { inner, options, meta, first: range.start, left, stream, breaks: 0, in_a_row: 0 };
                GetResultPayload::Stream(futures::stream::try_unfold(body, Body::next).boxed())
            }
            other => other,
        };
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.inner);
        let chunks = locations.try_chunks(DELETED_AT_ONCE).map_err(|error| error.1);
        let delete = move |paths: Vec<Path>| {
            let inner = Arc::clone(&inner);
            async move {
                // What an attempt that broke off has deleted is deleted once more, which is no fault.
                let deleted = attempts(|| {
                    let paths = futures::stream::iter(paths.clone()).map(Ok).boxed();
                    inner.delete_stream(paths).try_collect::<Vec<_>>()
                });
                Ok(futures::stream::iter(deleted.await?).map(Ok))
            }
        };
        chunks.and_then(delete).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = Listing { inner: Arc::clone(&self.inner), prefix: prefix.cloned(), after: None, stream: None };
        futures::stream::try_unfold(listing, Listing::next).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let after = Some(offset.clone());
        let listing = Listing { inner: Arc::clone(&self.inner), prefix: prefix.cloned(), after, stream: None };
        futures::stream::try_unfold(listing, Listing::next).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        attempts(|| self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if options.mode != CopyMode::Overwrite {
            return self.inner.copy_opts(from, to, options).await;
        }
        attempts(|| self.inner.copy_opts(from, to, options.clone())).await
    }
}

/// A body on its way.
struct Body<T> {
    inner: Arc<T>,
    options: GetOptions,
    /// What the first answer said of the object.
    meta: ObjectMeta,
    /// The first byte that was asked for.
    first: u64,
    /// What has not come yet.
    left: Range<u64>,
    stream: BoxStream<'static, Result<Bytes>>,
    /// How often it has broken off, and how often since bytes came.
    breaks: u64,
    in_a_row: u32,
}

impl<T: ObjectStore> Body<T> {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            let broken = match self.stream.next().await {
                Some(Ok(bytes)) => {
                    self.left.start += bytes.len() as u64;
                    self.in_a_row = 0;
                    if self.left.start > self.left.end {
                        return Err(self.generic("the server sent more bytes than it had said"));
                    }
                    return Ok(Some((bytes, self)));
                }
                None | Some(Err(_)) if self.left.is_empty() => return Ok(None),
                None => self.generic("the answer ended before its end"),
                Some(Err(error)) => error,
            };
            self.resume(broken).await?;
        }
    }

    /// Asks for what is left.
    async fn resume(&mut self, mut broken: object_store::Error) -> Result<()> {
        loop {
            self.breaks += 1;
            self.in_a_row += 1;
            let came = self.left.start - self.first;
            if self.breaks > BREAKS + came / BYTES_A_BREAK {
                return Err(broken);
            }
            tokio::time::sleep(backoff(self.in_a_row)).await;
            let options = GetOptions { range: Some(GetRange::Bounded(self.left.clone())), ..self.options.clone() };
            match self.inner.get_opts(&self.meta.location, options).await {
                Ok(found) if is_same(&self.meta, &found.meta) => {
                    self.stream = found.into_stream();
                    return Ok(());
                }
                Ok(_) => return Err(self.generic("it was changed while it was being read")),
                Err(error) if may_pass(&error) => broken = error,
                Err(error) => return Err(error),
            }
        }
    }

    fn generic(&self, why: &str) -> object_store::Error {
        let source = format!("{}: {why}", self.meta.location).into();
        object_store::Error::Generic { store: "reading", source }
    }
}

fn is_same(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    let same_tag = one.e_tag.is_some() && one.e_tag == other.e_tag;
    one.size == other.size && (same_tag || one.last_modified == other.last_modified)
}

/// A listing on its way.
struct Listing<T> {
    inner: Arc<T>,
    prefix: Option<Path>,
    /// Only what comes after this path is wanted still.
    after: Option<Path>,
    stream: Option<BoxStream<'static, Result<ObjectMeta>>>,
}

impl<T: ObjectStore> Listing<T> {
    async fn next(mut self) -> Result<Option<(ObjectMeta, Self)>> {
        let mut attempt = 1;
        loop {
            let stream = self.stream.get_or_insert_with(|| match &self.after {
                Some(after) => self.inner.list_with_offset(self.prefix.as_ref(), after),
                None => self.inner.list(self.prefix.as_ref()),
            });
            match stream.next().await {
                None => return Ok(None),
                Some(Ok(object)) => {
                    self.after = Some(object.location.clone());
                    return Ok(Some((object, self)));
                }
                Some(Err(error)) if attempt < ATTEMPTS && may_pass(&error) => {
                    tokio::time::sleep(backoff(attempt)).await;
                    attempt += 1;
                    self.stream = None;
                }
                Some(Err(error)) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_and_is_bounded() {
        for failure in 1..100 {
            let wait = backoff(failure).as_millis();
            let middle = 100_u128 << (failure.min(6) - 1);
            assert!(wait + 1 >= middle / 2 && wait <= middle * 3 / 2, "{wait} ms after {failure}");
        }
    }

    #[test]
    fn an_object_is_the_same_by_its_tag_or_by_its_time() {
        let object = |tag: Option<&str>, seconds| ObjectMeta {
            location: Path::from("x"),
            last_modified: chrono::DateTime::from_timestamp(seconds, 0).unwrap(),
            size: 5,
            e_tag: tag.map(str::to_owned),
            version: None,
        };
        let first = object(Some("a"), 1);
        assert!(is_same(&first, &object(Some("a"), 2)) && is_same(&first, &object(Some("b"), 1)));
        assert!(is_same(&object(None, 1), &object(None, 1)) && !is_same(&object(None, 1), &object(None, 2)));
        assert!(!is_same(&first, &object(Some("b"), 2)) && !is_same(&first, &ObjectMeta { size: 6, ..first.clone() }));
    }
}
