//! The bytes of an object, fetched in the background and waited for by a thread that decodes.
//!
//! A store repeats a request that fails; what it does not always notice is a body that ends too early. Here a range
//! either arrives whole, continued from where it broke off, or is an error. Every request names the version of the
//! object that was first looked at, so that one that is replaced meanwhile is an error, too.

use std::{
    io::{self, ErrorKind},
    ops::Range,
    sync::{Arc, mpsc},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, path::Path};
use tokio::{runtime::Handle, sync::Semaphore, task::AbortHandle};

/// How often in a row a broken body is taken up again.
const RETRIES: u32 = 7;
/// The wait before the first time; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });
/// An answer that brings so much before it breaks off is progress, and retries are counted anew.
const PROGRESS: usize = 64 << 10;
/// How many ranges of one object are fetched at once.
const AT_ONCE: usize = 16;

/// An object, and how to come by its bytes.
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    location: Path,
    same_version: GetOptions,
    runtime: Handle,
    permits: Semaphore,
}

impl Remote {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, meta: ObjectMeta, runtime: Handle) -> Self {
        let same_version = same_version(&meta);
        Self { store, location: meta.location, same_version, runtime, permits: Semaphore::new(AT_ONCE) }
    }

    /// Begins to fetch a range.
    pub(crate) fn begin(self: &Arc<Self>, range: Range<u64>) -> Pending {
        let (sender, answer) = mpsc::sync_channel(1);
        let this = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let answer = this.fetch(range).await;
            let _nobody_waits = sender.send(answer);
        });
        Pending { answer, task: task.abort_handle() }
    }

    async fn fetch(&self, range: Range<u64>) -> io::Result<Bytes> {
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        let wanted = (range.end - range.start) as usize;
        let mut bytes = BytesMut::with_capacity(wanted);
        let mut retries = 0;
        while bytes.len() < wanted {
            let before = bytes.len();
            let rest = range.start + before as u64..range.end;
            let Some(broken) = self.append(rest, &mut bytes).await? else { continue };
            if bytes.len() - before >= PROGRESS {
                retries = 0;
            }
            if retries == RETRIES {
                let why = format!("the server broke off its answer again and again: {broken}");
                return Err(io::Error::new(ErrorKind::ConnectionAborted, why));
            }
            tokio::time::sleep(wait(retries)).await;
            retries += 1;
        }
        Ok(bytes.freeze())
    }

    /// Appends the range to `bytes`, or its beginning and returns what broke it off.
    async fn append(&self, range: Range<u64>, bytes: &mut BytesMut) -> io::Result<Option<String>> {
        let full = bytes.len() + (range.end - range.start) as usize;
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..self.same_version.clone() };
        let answer = self.store.get_opts(&self.location, options).await.map_err(in_words)?;
        let mut body = answer.into_stream();
        while bytes.len() < full {
            match body.next().await {
                Some(Ok(chunk)) if chunk.len() > full - bytes.len() => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "the server sent more bytes than were asked for",
                    ));
                }
                Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
                Some(Err(error)) => return Ok(Some(error.to_string())),
                None => return Ok(Some(format!("{} bytes of it are missing", full - bytes.len()))),
            }
        }
        Ok(None)
    }
}

/// A range on its way.
pub(crate) struct Pending {
    answer: mpsc::Receiver<io::Result<Bytes>>,
    task: AbortHandle,
}

impl Pending {
    /// Waits for it.
    pub(crate) fn wait(self) -> io::Result<Bytes> {
        self.answer.recv().unwrap_or_else(|_| Err(io::Error::new(ErrorKind::Interrupted, "reading it was broken off")))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks for the version that `meta` describes and no other. A weak entity tag can't be asked for.
fn same_version(meta: &ObjectMeta) -> GetOptions {
    match &meta.e_tag {
        Some(tag) if !tag.starts_with("W/") => GetOptions { if_match: Some(tag.clone()), ..GetOptions::default() },
        _ if meta.last_modified.timestamp() > 0 => {
            GetOptions { if_unmodified_since: Some(meta.last_modified), ..GetOptions::default() }
        }
        _ => GetOptions::default(),
    }
}

/// Doubles with each retry, and varies so that threads do not come back all at once.
fn wait(retries: u32) -> Duration {
    let base = FIRST_WAIT * 2_u32.pow(retries);
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    base / 2 + base.mul_f64(f64::from(nanos % 1_000) / 1_000.0)
}

/// The usual errors of a store, as a person would say them.
fn in_words(error: object_store::Error) -> io::Error {
    use object_store::Error;
    let (kind, text) = match &error {
        Error::NotFound { .. } => (ErrorKind::NotFound, "there is no such object".to_owned()),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            (ErrorKind::PermissionDenied, "there is no permission to read it".to_owned())
        }
        Error::Precondition { .. } | Error::NotModified { .. } => {
            (ErrorKind::Other, "it has changed since it was first looked at".to_owned())
        }
        Error::NotSupported { .. } => {
            (ErrorKind::Unsupported, format!("its server does not give parts of it: {error}"))
        }
        _ => (ErrorKind::Other, error.to_string()),
    };
    io::Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Broken, Net};

    #[test]
    fn a_server_that_never_finishes_is_given_up() {
        let net = Net::new(Broken::Always);
        let error = net.input("stars.csv", &[7; 1000]).read_at(0, 1000).unwrap_err().to_string();
        assert!(error.starts_with("stars.csv: the server broke off its answer again and again: "), "{error}");
        assert_eq!(net.store.cuts(), u64::from(RETRIES) + 1);
    }

    #[test]
    fn a_server_that_stops_after_each_part_is_followed_to_the_end() {
        let net = Net::new(Broken::Always);
        let content: Vec<u8> = (0..20_000_000_u32).map(|i| (i >> 8) as u8).collect();
        let read = net.input("stars.csv", &content).read_at(0, content.len() - 1).unwrap_err().to_string();
        assert!(read.contains("again and again"), "halves of halves end in nothing: {read}");
        assert!(net.store.cuts() > u64::from(RETRIES) + 5, "but each half of them was progress");
    }

    #[test]
    fn a_request_names_the_version_as_well_as_it_can() {
        let meta = |e_tag: Option<&str>, seconds| ObjectMeta {
            location: "a".into(),
            last_modified: chrono::DateTime::from_timestamp(seconds, 0).unwrap(),
            size: 1,
            e_tag: e_tag.map(str::to_owned),
            version: None,
        };
        assert_eq!(same_version(&meta(Some("\"a\""), 9)).if_match.as_deref(), Some("\"a\""));
        let weak = same_version(&meta(Some("W/\"a\""), 9));
        assert_eq!((weak.if_match, weak.if_unmodified_since.map(|time| time.timestamp())), (None, Some(9)));
        let unknown = same_version(&meta(None, 0));
        assert_eq!((unknown.if_match, unknown.if_unmodified_since), (None, None));
    }

    #[test]
    fn waits_grow_and_stay_sensible() {
        for retries in 0..RETRIES {
            let base = FIRST_WAIT * 2_u32.pow(retries);
            assert!(wait(retries) >= base / 2 && wait(retries) <= base * 3 / 2);
        }
    }
}
