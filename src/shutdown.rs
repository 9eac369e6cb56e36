//! How a service ends: asked once, it drains; asked twice, it stops at once.
//!
//! The first SIGTERM or SIGINT cancels a token that every server watches: they take nothing new and finish what they
//! began. An import watches it too, and removes what it wrote; a query ends at once. A second signal ends the process with the status a shell
//! expects of it (130 or 143).
//!
//! Draining is bounded, and a drain that runs into its bound still ends with status 0: the operator asked for the end and
//! got it, results that were acknowledged are on the object store by then, and a supervisor that saw a failure there
//! would restart or alarm for nothing. What was cut off is named in the log.

use std::{
    collections::HashMap,
    fmt::Display,
    process,
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// A token that the first SIGTERM or SIGINT cancels. From now on, neither ends the process by itself.
pub(crate) fn on_signals() -> Result<CancellationToken, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
            };
            STATUS.store(128 + signal.as_raw_value(), Ordering::Relaxed);
            if asked.is_cancelled() {
                process::exit(status());
            }
            asked.cancel();
        }
    });
    Ok(stop)
}

/// The status that a shell expects of a process that the last signal ended.
pub(crate) fn status() -> i32 {
    STATUS.load(Ordering::Relaxed)
}

static STATUS: AtomicI32 = AtomicI32::new(128 + 2); // of SIGINT

/// The servers of this process, from their start to the end of their drain.
pub(crate) struct Servers {
    stop: CancellationToken,
    running: JoinSet<Result<(), String>>,
    names: HashMap<Id, &'static str>,
}

impl Servers {
    /// No server yet; those to come end when `stop` is cancelled.
    pub(crate) fn until(stop: CancellationToken) -> Self {
        Self { stop, running: JoinSet::new(), names: HashMap::new() }
    }

    /// Starts a server, which is to return once `stop` is cancelled and its clients are served.
    pub(crate) fn start<E: Display>(
        &mut self,
        name: &'static str,
        serving: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = self.running.spawn(async move { serving.await.map_err(|error| error.to_string()) });
        self.names.insert(task.id(), name);
    }

    /// Runs until the servers are asked to stop or one of them fails, then drains the others for at most `bound`.
    pub(crate) async fn run(mut self, bound: Duration) -> Result<(), Failure> {
        let outcome = tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                tracing::info!("stopping: what is running is finished, nothing new is taken");
                Ok(())
            }
            Some(ended) = self.running.join_next_with_id() => self.ended_unasked(ended),
        };
        self.stop.cancel();
        self.drain(bound).await;
        tracing::info!("stopped");
        outcome
    }

    /// Waits until every server has ended, and cuts off those that have not within `bound`.
    async fn drain(&mut self, bound: Duration) {
        let drained = timeout(bound, async {
            while let Some(ended) = self.running.join_next_with_id().await {
                let (name, reason) = name_and_reason(&mut self.names, ended);
                if let Some(reason) = reason {
                    tracing::warn!("the {name} server ended badly while it was stopping: {reason}");
                }
            }
        })
        .await;
        if drained.is_err() {
            let mut left: Vec<_> = self.names.values().copied().collect();
            left.sort_unstable();
            tracing::warn!("not finished after {bound:?} and cut off: {}", left.join(", "));
            self.running.abort_all();
        }
    }

    fn ended_unasked(&mut self, ended: Ended) -> Result<(), Failure> {
        let (name, reason) = name_and_reason(&mut self.names, ended);
        let reason = reason.unwrap_or_else(|| "it ended without being asked".to_owned());
        Err(Failure::Server { name, reason })
    }
}

type Ended = Result<(Id, Result<(), String>), JoinError>;

/// Which server ended, and why where it ended badly.
fn name_and_reason(names: &mut HashMap<Id, &'static str>, ended: Ended) -> (&'static str, Option<String>) {
    let (id, reason) = match ended {
        Ok((id, outcome)) => (id, outcome.err()),
        Err(error) => (error.id(), Some("it met an internal error".to_owned())),
    };
    (names.remove(&id).unwrap_or("unnamed"), reason)
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use tokio::time::{Instant, sleep};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_server_finishes_what_it_began_before_the_service_ends() {
        let stop = CancellationToken::new();
        let finished = Arc::new(AtomicBool::new(false));
        let mut servers = Servers::until(stop.clone());
        let (asked, done) = (stop.clone(), Arc::clone(&finished));
        servers.start("HTTP", async move {
            asked.cancelled().await;
            sleep(Duration::from_millis(30)).await;
            done.store(true, Ordering::Relaxed);
            Ok::<_, String>(())
        });
        stop.cancel();
        servers.run(LONG).await.expect("a drain is no failure");
        assert!(finished.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_server_that_never_finishes_is_cut_off_at_the_bound_without_a_failure() {
        let stop = CancellationToken::new();
        let mut servers = Servers::until(stop.clone());
        servers.start("Flight", pending::<Result<(), String>>());
        stop.cancel();
        let began = Instant::now();
        servers.run(Duration::from_millis(50)).await.expect("the end was asked for");
        assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_server_that_fails_stops_the_others_and_is_named() {
        let stop = CancellationToken::new();
        let mut servers = Servers::until(stop.clone());
        let asked = stop.clone();
        servers.start("HTTP", async move {
            asked.cancelled().await;
            Ok::<_, String>(())
        });
        servers.start("Flight", async { Err("the socket is gone") });
        let failure = servers.run(LONG).await.expect_err("a server failed");
        assert_eq!(failure.to_string(), "the Flight server stopped: the socket is gone");
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_server_that_ends_without_being_asked_is_a_failure() {
        let mut servers = Servers::until(CancellationToken::new());
        servers.start("HTTP", async { Ok::<_, String>(()) });
        let failure = servers.run(LONG).await.expect_err("nobody asked it to end");
        assert_eq!(failure.to_string(), "the HTTP server stopped: it ended without being asked");
    }

    #[tokio::test]
    async fn a_server_that_panics_is_a_failure_that_leaks_nothing() {
        let mut servers = Servers::until(CancellationToken::new());
        servers.start("HTTP", async {
            assert!(std::env::args().count() == 0, "the secret of the house");
            Ok::<_, String>(())
        });
        let failure = servers.run(LONG).await.expect_err("it panicked");
        assert_eq!(failure.to_string(), "the HTTP server stopped: it met an internal error");
    }
}
