//! The engine itself: text and tables in, rows out.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::TableReference,
    execution::{
        SessionState, SessionStateBuilder, TaskContext,
        context::SQLOptions,
        memory_pool::{GreedyMemoryPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::LogicalPlanBuilder,
    physical_plan::{ExecutionPlan, displayable, execute_stream},
    prelude::SessionConfig,
    sql::parser::Statement,
};

use crate::{EngineError, Mistake, Rows, TableSet, adql, functions, tables::CATALOG};

/// How much of the footers of files is kept, so that a file is opened once.
const FOOTER_CACHE_BYTES: usize = 256 << 20;

/// The language of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// ADQL 2.1.
    Adql,
    /// SQL as DataFusion reads it.
    Sql,
}

/// What the engine may use.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Bytes for the intermediate results of all queries together.
    pub memory: usize,
    /// How many parts of a query may run at once.
    pub threads: usize,
}

/// What one query may use.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryLimits {
    /// The most rows that it may give.
    pub max_rows: Option<u64>,
}

/// Plans queries. One for the whole process.
#[derive(Debug)]
pub struct Engine {
    session: SessionState,
    runtime: Arc<RuntimeEnv>,
}

impl Engine {
    /// An engine with these means.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let pool = TrackConsumersPool::new(
            GreedyMemoryPool::new(options.memory),
            std::num::NonZeroUsize::MIN, // how many of the largest consumers an error names
        );
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_metadata_cache_limit(FOOTER_CACHE_BYTES)
            .build_arc()?;
        let mut config = SessionConfig::new()
            .with_target_partitions(options.threads.max(1))
            .with_default_catalog_and_schema(CATALOG, "public")
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false);
        config.options_mut().sql_parser.collect_spans = true;
        config.options_mut().execution.collect_statistics = false; // the snapshot has them
        let mut session = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&runtime))
            .with_default_features()
            .build();
        for function in functions::all() {
            datafusion::execution::FunctionRegistry::register_udf(&mut session, function)?;
        }
        Ok(Self { session, runtime })
    }

    /// Plans a query over the tables that its caller may see. Nothing is read yet.
    pub async fn plan(
        &self,
        tables: &TableSet,
        language: Language,
        text: &str,
        limits: QueryLimits,
    ) -> Result<Query, EngineError> {
        let session = SessionStateBuilder::new_from_existing(self.session.clone())
            .with_catalog_list(tables.catalog_list())
            .build();
        let statement = match language {
            Language::Adql => Statement::Statement(Box::new(adql::parse(text)?)),
            Language::Sql => session.sql_to_statement(text, &session.config_options().sql_parser.dialect)?,
        };
        for reference in session.resolve_table_references(&statement)? {
            check_exists(tables, &reference)?;
        }
        let plan = session.statement_to_plan(statement).await?;
        let only_questions = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        only_questions.verify_plan(&plan)?;
        // One row more than may be given tells whether there is more.
        let plan = match limits.max_rows.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX).saturating_add(1)) {
            Some(rows) => LogicalPlanBuilder::from(plan).limit(0, Some(rows))?.build()?,
            None => plan,
        };
        let physical = session.create_physical_plan(&plan).await?;
        let context = Arc::new(TaskContext::from(&session).with_runtime(Arc::clone(&self.runtime)));
        Ok(Query { plan: physical, context, max_rows: limits.max_rows })
    }
}

fn check_exists(tables: &TableSet, reference: &TableReference) -> Result<(), EngineError> {
    let written = match reference {
        TableReference::Full { catalog, schema, table } if &**catalog == CATALOG => format!("{schema}.{table}"),
        other => other.to_string(),
    };
    let known = written.parse().is_ok_and(|name| tables.get(&name).is_some());
    if known { Ok(()) } else { Err(Mistake::new(format!("there is no table {written}")).into()) }
}

/// A planned query.
#[derive(Debug)]
pub struct Query {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    max_rows: Option<u64>,
}

impl Query {
    /// The columns of the answer.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// The physical plan, for people who want to know what will be read.
    pub fn explain(&self) -> String {
        displayable(&*self.plan).indent(true).to_string()
    }

    /// Starts the query. It runs as fast as the rows are taken.
    pub fn run(self) -> Result<Rows, EngineError> {
        let batches = execute_stream(self.plan, self.context)?;
        Ok(Rows::new(batches, self.max_rows))
    }
}
