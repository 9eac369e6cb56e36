//! Work on numbered things, shared between threads that may block.
//!
//! Decoding and encoding keep a core busy for seconds, which the threads of the asynchronous runtime must not be: each
//! worker has a thread of its own and waits on it for the store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use tokio::{runtime::Handle, task::JoinSet};

use super::Ticks;
use crate::CatalogError;

/// Counts rows that several workers have done, and tells of them.
#[derive(Clone)]
pub(crate) struct Counted {
    done: Arc<AtomicU64>,
    all: u64,
    told: Ticks,
}

impl Counted {
    pub(crate) fn new(all: u64, told: &Ticks) -> Self {
        Self { done: Arc::default(), all, told: Arc::clone(told) }
    }

    pub(crate) fn add(&self, rows: u64) {
        let done = self.done.fetch_add(rows, Ordering::Relaxed) + rows;
        (self.told)(done, self.all);
    }
}

/// Hands out numbers from 0, each once, until a worker has failed or nobody waits for the work any more.
pub(crate) struct Numbers {
    next: AtomicUsize,
    count: usize,
    stopped: AtomicBool,
}

impl Numbers {
    /// The next number, if there is still work.
    pub(crate) fn next(&self) -> Option<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.count).then_some(number)
    }
}

/// Stops the workers when the future that waits for them is dropped.
struct StopOnDrop(Arc<Numbers>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// Runs up to `threads` workers over the numbers below `count` and returns what each of them has made. There is always
/// one worker, even for no work. The first failure stops the others and is returned.
pub(crate) async fn share<T, W, F>(threads: usize, count: usize, worker: W) -> Result<Vec<T>, CatalogError>
where
    T: Send + 'static,
    W: Fn(Arc<Numbers>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, CatalogError>>,
{
    let numbers = Arc::new(Numbers { next: 0.into(), count, stopped: false.into() });
    let _stop = StopOnDrop(Arc::clone(&numbers));
    let mut workers = JoinSet::new();
    for _ in 0..threads.min(count).max(1) {
        let (worker, numbers, runtime) = (worker.clone(), Arc::clone(&numbers), Handle::current());
        workers.spawn_blocking(move || {
            let made = runtime.block_on(worker(Arc::clone(&numbers)));
            if made.is_err() {
                numbers.stopped.store(true, Ordering::Relaxed);
            }
            made
        });
    }
    let (mut all, mut failure) = (Vec::new(), None);
    while let Some(made) = workers.join_next().await {
        match made.map_err(CatalogError::from).flatten() {
            Ok(made) => all.push(made),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(all), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_number_is_worked_on_once() {
        let worker =
            |numbers: Arc<Numbers>| async move { Ok(std::iter::from_fn(|| numbers.next()).collect::<Vec<_>>()) };
        let mut all = share(3, 100, worker).await.unwrap().concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(share(3, 0, worker).await.unwrap(), [Vec::<usize>::new()]);
    }

    #[tokio::test]
    async fn a_failure_stops_the_others_and_is_told() {
        let worker = |numbers: Arc<Numbers>| async move {
            let mut worked = 0;
            while let Some(number) = numbers.next() {
                worked += 1;
                if number == 5 {
                    return Err(CatalogError::input("number 5", "it is at fault"));
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            Ok(worked)
        };
        let sentence = share(2, 1_000_000, worker).await.unwrap_err().to_string();
        assert_eq!(sentence, "number 5: it is at fault");
    }
}
