//! The engine itself: text and tables in, a query out.

use std::{num::NonZeroUsize, path::PathBuf, pin::pin, sync::Arc, thread};

use futures::future::{Either, select};
use tokio::runtime::Handle;

use crate::{
    EngineError, Query, QueryLimits, TableSet, explain,
    limits::watch::{End, Watch},
    planning::{self, Planned, Question},
    session::Means,
};

/// From how many bytes on a text takes so long to plan that it must not hold up other queries.
const LONG: usize = 64 << 10;

/// The language of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// ADQL 2.1.
    Adql,
    /// SQL as DataFusion reads it.
    Sql,
}

/// What the engine may use.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bytes for the intermediate results of all queries together.
    pub memory: usize,
    /// How many threads compute.
    pub threads: usize,
    /// Where a folder is made for what does not fit in memory; made if it is missing. By default where the system has
    /// temporary files.
    pub spill: Option<PathBuf>,
    /// How many bytes all queries together may have there.
    pub spill_bytes: u64,
    /// How much of the footers of files is kept, so that a file is opened once.
    pub footer_cache_bytes: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            threads: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            spill: None,
            spill_bytes: 64 << 30,
            footer_cache_bytes: 256 << 20,
        }
    }
}

/// What all queries use at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How many queries are planned or run.
    pub queries: usize,
    /// Bytes of memory for their intermediate results.
    pub memory: usize,
    /// Bytes of theirs on disk.
    pub spilled: u64,
}

/// Plans queries, and has the threads on which they run. One for the whole process.
///
/// Whoever asks does so on a runtime of its own, on which requests to stores are made; or on none. Queries go on when the
/// engine is dropped.
#[derive(Debug)]
pub struct Engine {
    means: Arc<Means>,
}

impl Engine {
    /// An engine with these means.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        Ok(Self { means: Arc::new(Means::new(&options)?) })
    }

    /// What all queries use at this moment.
    pub fn usage(&self) -> Usage {
        let pool = self.means.pool();
        Usage { queries: pool.queries(), memory: pool.used(), spilled: self.means.spilled() }
    }

    /// Plans a query over the tables that its caller may see. Nothing of their rows is read yet.
    ///
    /// Dropping this ends the planning.
    pub async fn plan(
        &self,
        tables: &TableSet,
        language: Language,
        text: &str,
        limits: QueryLimits,
    ) -> Result<Query, EngineError> {
        let watch = Watch::begin(&limits);
        let guard = StopOnDrop(&watch);
        let (means, tables, text) = (Arc::clone(&self.means), tables.clone(), text.to_owned());
        let is_long = text.len() > LONG;
        let planning = plan(means, tables, language, text, limits, Arc::clone(&watch));
        // On the threads that compute: a large query takes its time.
        let planned = match is_long {
            true => self.means.compute(&watch, apart(Arc::clone(&watch), planning)).await?,
            false => self.means.compute(&watch, planning).await?,
        };
        std::mem::forget(guard);
        Ok(planned)
    }
}

/// Computes what seldom waits, while the other tasks of this thread go on on another one.
async fn apart<T>(watch: Arc<Watch>, future: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    tokio::task::block_in_place(|| {
        Handle::current().block_on(async {
            match select(pin!(watch.stopped()), pin!(future)).await {
                Either::Left(_) => Err(EngineError::Cancelled),
                Either::Right((computed, _)) => computed,
            }
        })
    })
}

/// Ends a query whose planning nobody waits for any more.
struct StopOnDrop<'a>(&'a Watch);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop(End::Cancelled);
    }
}

async fn plan(
    means: Arc<Means>,
    tables: TableSet,
    language: Language,
    text: String,
    limits: QueryLimits,
    watch: Arc<Watch>,
) -> Result<Query, EngineError> {
    let session = means.session(&tables, Arc::clone(&watch), limits.memory);
    let (planned, explain) = match planning::question(&session, &tables, language, &text)? {
        Question::Answer(statement) => (planning::plan(session, tables, statement, limits.max_rows).await?, false),
        Question::Explanation(statement) => (planning::plan(session, tables, statement, None).await?, true),
    };
    if explain {
        let physical = explain::answer(planned.explain(None).await?)?;
        let planned = Planned { schema: physical.schema(), physical, ..planned };
        return Ok(Query::new(planned, watch, means, limits.max_rows));
    }
    if let Some(allowed) = limits.max_bytes_read {
        let estimate = planned.estimate(limits.max_rows).await?;
        if estimate.bytes > allowed && !estimate.stops_early {
            return Err(EngineError::TooManyBytes { needed: Some(estimate.bytes), allowed });
        }
    }
    Ok(Query::new(planned, watch, means, limits.max_rows))
}
