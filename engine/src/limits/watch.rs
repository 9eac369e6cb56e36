//! Watch over one query: whether it may go on, and what it has read.
//!
//! One of these goes along with a query through everything that is done for it, as an extension of the options that
//! DataFusion hands to every rule, scan and function. Whoever computes for long asks [`checkpoint`] and gives up on an
//! error; whoever waits is dropped.

use std::{
    any::Any,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use datafusion::{
    common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions},
    error::{DataFusionError, Result},
};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{EngineError, QueryLimits, runtime::CpuRuntime};

/// Why a query was ended before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    /// Whoever asked has gone, or said so.
    #[error("the query was cancelled")]
    Cancelled,
    #[error("the query took longer than it may")]
    Late { allowed: Duration },
    #[error("the query read more than it may")]
    ReadTooMuch { allowed: u64 },
}

impl From<End> for EngineError {
    fn from(end: End) -> Self {
        match end {
            End::Cancelled => Self::Cancelled,
            End::Late { allowed } => Self::DeadlineExceeded { allowed },
            End::ReadTooMuch { allowed } => Self::TooManyBytes { needed: None, allowed },
        }
    }
}

impl From<End> for DataFusionError {
    fn from(end: End) -> Self {
        Self::External(Box::new(end))
    }
}

/// The watch over one query.
#[derive(Debug)]
pub(crate) struct Watch {
    token: CancellationToken,
    end: OnceLock<End>,
    deadline: Option<(Instant, Duration)>,
    read: AtomicU64,
    max_bytes_read: Option<u64>,
    io: Option<Handle>,
}

impl Watch {
    /// Begins now. The runtime that this is called in is the one that the query's requests are made on.
    pub(crate) fn begin(limits: &QueryLimits) -> Arc<Self> {
        let deadline = limits.deadline.and_then(|allowed| Some((Instant::now().checked_add(allowed)?, allowed)));
        Arc::new(Self {
            token: CancellationToken::new(),
            end: OnceLock::new(),
            deadline,
            read: AtomicU64::new(0),
            max_bytes_read: limits.max_bytes_read,
            io: Handle::try_current().ok(),
        })
    }

    /// Where requests are made, if the caller has such a place.
    pub(crate) fn io(&self) -> Option<&Handle> {
        self.io.as_ref()
    }

    /// Ends the query. Only the first reason counts.
    pub(crate) fn stop(&self, end: End) {
        let _ = self.end.set(end); // set before
        self.token.cancel();
    }

    /// Why the query was ended, if it was.
    pub(crate) fn end(&self) -> Option<End> {
        if let (None, Some((deadline, allowed))) = (self.end.get(), self.deadline)
            && Instant::now() >= deadline
        {
            self.stop(End::Late { allowed });
        }
        self.end.get().copied()
    }

    /// An error once the query has been ended.
    pub(crate) fn check(&self) -> Result<()> {
        match self.end() {
            Some(end) => Err(end.into()),
            None => Ok(()),
        }
    }

    /// The reason of a failure: that the query was ended, if it was, whatever became of that on its way.
    pub(crate) fn explain(&self, error: EngineError) -> EngineError {
        self.end().map_or(error, EngineError::from)
    }

    /// Told of bytes that were read.
    pub(crate) fn count(&self, bytes: u64) -> Result<(), End> {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match self.max_bytes_read {
            Some(allowed) if read > allowed => {
                self.stop(End::ReadTooMuch { allowed });
                Err(End::ReadTooMuch { allowed })
            }
            _ => Ok(()),
        }
    }

    /// How many bytes were read so far.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Waits until somebody ended the query.
    pub(crate) fn stopped(&self) -> WaitForCancellationFutureOwned {
        self.token.clone().cancelled_owned()
    }

    /// Waits until the query is to end, by somebody or by the clock. May be polled on any runtime.
    pub(crate) fn ended(self: &Arc<Self>, cpu: &CpuRuntime) -> impl Future<Output = End> + Send + use<> {
        let _timers = cpu.handle().enter();
        let late = self.deadline.map(|(deadline, _)| tokio::time::sleep_until(deadline.into()));
        let watch = Arc::clone(self);
        async move {
            match late {
                Some(late) => {
                    futures::future::select(std::pin::pin!(watch.stopped()), std::pin::pin!(late)).await;
                }
                None => watch.stopped().await,
            }
            watch.end().unwrap_or(End::Cancelled) // a timer is never early
        }
    }

    /// The watch over the query that these options belong to.
    pub(crate) fn of(options: &ConfigOptions) -> Option<&Arc<Self>> {
        options.extensions.get::<Watched>().map(|watched| &watched.0)
    }
}

/// An error once the query that these options belong to has been ended. Costs some nanoseconds: for every thousand rows of
/// a slow function, not for every row.
pub(crate) fn checkpoint(options: &ConfigOptions) -> Result<()> {
    match Watch::of(options) {
        Some(watch) => watch.check(),
        None => Ok(()),
    }
}

/// A watch as an extension of DataFusion's options.
#[derive(Clone, Debug)]
pub(crate) struct Watched(pub(crate) Arc<Watch>);

impl ConfigExtension for Watched {
    const PREFIX: &'static str = "almagest";
}

impl ExtensionOptions for Watched {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        Err(DataFusionError::Configuration(format!("there is no option almagest.{key}")))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(deadline: Option<Duration>, max_bytes_read: Option<u64>) -> QueryLimits {
        QueryLimits { deadline, max_bytes_read, ..QueryLimits::default() }
    }

    #[test]
    fn the_first_reason_counts_and_the_clock_is_one() {
        let watch = Watch::begin(&limits(Some(Duration::ZERO), None));
        assert_eq!(watch.end(), Some(End::Late { allowed: Duration::ZERO }));
        watch.stop(End::Cancelled);
        assert_eq!(watch.end(), Some(End::Late { allowed: Duration::ZERO }));
        assert!(watch.check().is_err());
        let endless = Watch::begin(&limits(Some(Duration::MAX), None));
        assert_eq!(endless.end(), None);
    }

    #[test]
    fn what_is_read_is_counted_up_to_the_last_byte_allowed() {
        let watch = Watch::begin(&limits(None, Some(10)));
        assert_eq!(watch.count(10), Ok(()));
        assert_eq!(watch.end(), None);
        assert_eq!(watch.count(1), Err(End::ReadTooMuch { allowed: 10 }));
        assert_eq!(watch.end(), Some(End::ReadTooMuch { allowed: 10 }));
        assert_eq!(watch.read(), 11);
    }

    #[test]
    fn whoever_has_the_options_finds_the_watch() {
        let watch = Watch::begin(&QueryLimits::default());
        let mut options = ConfigOptions::default();
        assert!(checkpoint(&options).is_ok());
        options.extensions.insert(Watched(Arc::clone(&watch)));
        assert!(checkpoint(&options.clone()).is_ok());
        watch.stop(End::Cancelled);
        assert!(checkpoint(&options).is_err());
    }

    #[test]
    fn the_clock_wakes_who_waits_on_whatever_runtime() {
        let cpu = CpuRuntime::new(1).unwrap();
        let watch = Watch::begin(&limits(Some(Duration::from_millis(20)), None));
        let end = futures::executor::block_on(watch.ended(&cpu));
        assert_eq!(end, End::Late { allowed: Duration::from_millis(20) });
    }
}
