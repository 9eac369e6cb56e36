//! Writing into a bucket: small objects in one request, large ones in parts.
//!
//! Parts are uploaded four at a time, and an upload that fails is aborted, so that a bucket keeps no parts that nobody
//! will ever ask for. The client library retries each request; what it does not see is an answer that is damaged on its
//! way back: the tag of a part that is not the part's, or an end of the upload whose success was never heard. Both are
//! met by looking whether the object is there, and by uploading it once more if not.

use std::{fs::File, io, os::unix::fs::FileExt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{
    ObjectStore, ObjectStoreExt, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};

use super::{fault, patience, payload};
use crate::CatalogError;

/// An object up to this size goes up in one request; larger ones in parts of it.
const PART: u64 = 8 << 20;
/// A bucket takes no more parts than this.
const MOST_PARTS: u64 = 10_000;
/// Parts on their way at a time.
const AT_A_TIME: usize = 4;
/// How often an object is uploaded from its beginning.
const ATTEMPTS: u32 = 4;

/// What is to be written.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Bytes(Bytes),
    File(PathBuf),
}

/// A source whose length is known and whose parts can be read in any order.
#[derive(Clone)]
enum Opened {
    Bytes(Bytes),
    File(Arc<File>, u64),
}

impl Opened {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    async fn part(&self, start: u64, length: u64) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.slice(start as usize..(start + length) as usize)),
            Self::File(file, _) => {
                let file = Arc::clone(file);
                let read = tokio::task::spawn_blocking(move || {
                    let mut part = vec![0; length as usize];
                    file.read_exact_at(&mut part, start).map(|()| Bytes::from(part))
                });
                read.await.map_err(io::Error::other)?
            }
        }
    }
}

/// A store that takes objects whole and in parts.
pub(super) trait Bucket: ObjectStore + MultipartStore {}
impl<T: ObjectStore + MultipartStore> Bucket for T {}

/// Writes an object. `told` makes the store's failures into sentences.
pub(super) async fn run(
    bucket: &impl Bucket,
    path: &Path,
    source: Source,
    told: impl Fn(object_store::Error) -> CatalogError,
) -> std::result::Result<(), CatalogError> {
    let opened = match source {
        Source::Bytes(bytes) => Opened::Bytes(bytes),
        Source::File(file) => {
            let failed = |error| CatalogError::io(file.display(), error);
            let open = File::open(&file).map_err(failed)?;
            let length = open.metadata().map_err(failed)?.len();
            Opened::File(Arc::new(open), length)
        }
    };
    persist(bucket, path, &opened).await.map_err(told)
}

/// How long the parts of an object may take in all: ten minutes, and more for what is large.
fn limit(bytes: u64) -> Duration {
    Duration::from_secs(600 + bytes / (128 << 10))
}

async fn persist(bucket: &impl Bucket, path: &Path, source: &Opened) -> Result<()> {
    let mut attempt = 1;
    loop {
        let written = match source.length() {
            small if small <= PART => whole(bucket, path, source, small).await,
            large => in_parts(bucket, path, source, large).await,
        };
        match written {
            Err(error) if attempt < ATTEMPTS && patience::may_pass(&error) => {
                tokio::time::sleep(patience::backoff(attempt)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

async fn whole(bucket: &impl Bucket, path: &Path, source: &Opened, length: u64) -> Result<()> {
    let bytes = source.part(0, length).await.map_err(generic)?;
    bucket.put(path, payload(bytes)).await.map(drop)
}

async fn in_parts(bucket: &impl Bucket, path: &Path, source: &Opened, length: u64) -> Result<()> {
    let part = PART.max(length.div_ceil(MOST_PARTS));
    let upload = bucket.create_multipart(path).await?;
    let parts = futures::stream::iter(0..length.div_ceil(part))
        .map(|number| {
            let upload = &upload;
            async move {
                let start = number * part;
                let bytes = source.part(start, part.min(length - start)).await.map_err(generic)?;
                bucket.put_part(path, upload, number as usize, payload(bytes)).await
            }
        })
        .buffered(AT_A_TIME)
        .try_collect::<Vec<PartId>>();
    let done = match tokio::time::timeout(limit(length), parts).await {
        Ok(Ok(parts)) => complete(bucket, path, &upload, parts, length).await,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(generic("it was not written in time")),
    };
    if done.is_err() {
        // Best effort: what failed may be the connection. The error of the upload is the one to tell.
        let _ = bucket.abort_multipart(path, &upload).await;
    }
    done
}

/// Ends an upload. Where the answer was lost the same upload is ended again, here or by the client library: a bucket that
/// had heard it the first time then knows no such upload any more, but has the object.
async fn complete(bucket: &impl Bucket, path: &Path, upload: &String, parts: Vec<PartId>, length: u64) -> Result<()> {
    let mut attempt = 1;
    loop {
        let Err(error) = bucket.complete_multipart(path, upload, parts.clone()).await else { return Ok(()) };
        if fault::status(&error).is_some_and(|status| status < 500) {
            // The tag of an object in parts ends with their number; together with the size, only this upload has it.
            let made = format!("-{}", parts.len());
            let is_ours = |tag: &Option<String>| tag.as_ref().is_some_and(|tag| tag.trim_matches('"').ends_with(&made));
            return match bucket.head(path).await {
                Ok(found) if found.size == length && is_ours(&found.e_tag) => Ok(()),
                _ => Err(error),
            };
        }
        if attempt == ATTEMPTS || !patience::may_pass(&error) {
            return Err(error);
        }
        tokio::time::sleep(patience::backoff(attempt)).await;
        attempt += 1;
    }
}

fn generic(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "upload", source: error.into() }
}
