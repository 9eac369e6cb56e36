//! What all queries share, and what DataFusion is told before it plans one: its options, our functions and rules.
//!
//! One session is built with the engine; each query has a copy with its own tables, watch, memory and number of threads.

use std::{future::Future, io, path::Path, sync::Arc};

use datafusion::{
    common::config::SpillCompression,
    error::DataFusionError,
    execution::{
        SessionState, SessionStateBuilder,
        object_store::DefaultObjectStoreRegistry,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::SessionConfig,
};
use futures::future::{Either, select};

use crate::{
    EngineError, EngineOptions, TableSet, functions, joins,
    limits::{
        checkpoints,
        pool::{Pool, QueryPool},
        spill::SpillFolder,
        watch::{Watch, Watched},
    },
    query::panicked,
    rules,
    runtime::CpuRuntime,
    tables::{CATALOG, UNQUALIFIED},
};

/// What a sort keeps aside for merging what it has spilled, at most.
const MERGE_BYTES: usize = 10 << 20;

/// What all queries share. Whatever runs holds on to it.
#[derive(Debug)]
pub(crate) struct Means {
    cpu: CpuRuntime,
    base: SessionState,
    runtime: RuntimeEnv,
    pool: Arc<Pool>,
    threads: usize,
    /// Deleted after everything that writes to it.
    _spill: SpillFolder,
}

impl Means {
    pub(crate) fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let parent = options.spill.clone().unwrap_or_else(std::env::temp_dir);
        let spill = SpillFolder::make(&parent).map_err(|error| no_spill(&parent, &error))?;
        let runtime = RuntimeEnvBuilder::new()
            .with_metadata_cache_limit(options.footer_cache_bytes)
            .with_disk_manager_builder(spill.disk(options.spill_bytes))
            .build()?;
        let pool = Pool::new(options.memory);
        let threads = options.threads.max(1);
        let session = SessionStateBuilder::new()
            .with_config(config(threads, pool.guarantee()))
            .with_runtime_env(Arc::new(runtime.clone()))
            .with_default_features();
        let mut session = joins::register(rules::register(session)).build();
        functions::register(&mut session)?;
        let cpu = CpuRuntime::new(threads).map_err(|error| EngineError::Fault(error.into()))?;
        Ok(Self { cpu, base: checkpoints::install(session), runtime, pool, threads, _spill: spill })
    }

    /// Where queries compute.
    pub(crate) fn cpu(&self) -> &CpuRuntime {
        &self.cpu
    }

    /// Computes something for a query on the threads that are for that, until its time is over.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        watch: &Arc<Watch>,
        future: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let ended = watch.ended(&self.cpu);
        match select(std::pin::pin!(ended), self.cpu.spawn(future)).await {
            Either::Left((end, _)) => Err(end.into()),
            Either::Right((Ok(computed), _)) => computed.map_err(|error| watch.explain(error)),
            Either::Right((Err(error), _)) => match error.try_into_panic() {
                Ok(panic) => Err(panicked(&*panic)),
                Err(_) => Err(EngineError::Cancelled),
            },
        }
    }

    /// The memory of all queries.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// How many bytes all queries have on disk.
    pub(crate) fn spilled(&self) -> u64 {
        self.runtime.disk_manager.used_disk_space()
    }

    /// A session for one query, and the memory that it may use.
    pub(crate) fn session(&self, tables: &TableSet, watch: Arc<Watch>, memory: Option<usize>) -> SessionState {
        let pool: Arc<QueryPool> = self.pool.share(memory);
        let runtime = RuntimeEnv {
            memory_pool: pool,
            // Stores are wrapped for the query that reads them.
            object_store_registry: Arc::new(DefaultObjectStoreRegistry::new()),
            ..self.runtime.clone()
        };
        // When many queries run, each has fewer parts: they would only wait for each other, and each holds memory.
        let threads = (self.threads / self.pool.queries().max(1)).max(1);
        let mut config = self.base.config().clone().with_target_partitions(threads);
        config.options_mut().extensions.insert(Watched(watch));
        let mut session = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_catalog_list(tables.catalog_list())
            .with_config(config)
            .with_runtime_env(Arc::new(runtime))
            .build();
        session.mark_start_execution(); // the moment that NOW() tells
        session
    }
}

fn no_spill(parent: &Path, error: &io::Error) -> EngineError {
    let sentence = format!("no folder for what does not fit in memory can be made in {}: {error}", parent.display());
    EngineError::Fault(DataFusionError::Execution(sentence))
}

/// The options of every session, where a query has at least so much memory.
fn config(threads: usize, guarantee: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_default_catalog_and_schema(CATALOG, UNQUALIFIED)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.execution.collect_statistics = false; // the snapshot has them
    // It compares what is told of columns, too, which the planner itself loses on the way of a query that stands for a value.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.optimizer.repartition_file_scans = false; // a scan divides its files itself
    options.execution.spill_compression = SpillCompression::Lz4Frame;
    options.execution.sort_spill_reservation_bytes = MERGE_BYTES.min(guarantee / 4 / threads);
    config
}
