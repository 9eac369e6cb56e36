//! The threads that queries compute on.
//!
//! They are apart from the caller's, which wait for sockets: a sort that keeps all of these busy delays no health check,
//! and a caller's runtime with one thread still has a query use every core. What waits for a network goes back to the
//! caller's runtime: see [`crate::io`].

use std::{future::Future, io};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// Planning recurses over expressions. Address space only, until it is used.
const STACK_BYTES: usize = 8 << 20;

/// A runtime that may be dropped anywhere, within another runtime too.
#[derive(Debug)]
pub(crate) struct CpuRuntime(Option<Runtime>);

impl CpuRuntime {
    /// With so many threads.
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all() // a caller without a runtime has its requests made here
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a future here. Dropping the handle ends it where it next waits.
    pub(crate) fn spawn<F>(&self, future: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        AbortOnDropHandle::new(self.handle().spawn(future))
    }

    /// For timers of this runtime.
    pub(crate) fn handle(&self) -> &Handle {
        match &self.0 {
            Some(runtime) => runtime.handle(),
            None => unreachable!("it is taken by drop alone"),
        }
    }
}

impl Drop for CpuRuntime {
    fn drop(&mut self) {
        // Waiting for the threads would block the caller's runtime, which forbids it.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
