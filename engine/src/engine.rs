//! The engine itself: text and tables in, rows out.

use std::{ops::ControlFlow, sync::Arc};

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::TableReference,
    execution::{
        SessionState, SessionStateBuilder, TaskContext,
        context::SQLOptions,
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::LogicalPlanBuilder,
    physical_plan::{ExecutionPlan, displayable, execute_stream},
    prelude::SessionConfig,
    sql::{
        parser::Statement,
        sqlparser::{ast, dialect::GenericDialect},
    },
};

use crate::{
    EngineError, Mistake, Rows, TableSet, adql,
    bounded::{check_chains, settle},
    error::placed_in,
    functions,
    tables::CATALOG,
};

/// How much of the footers of files is kept, so that a file is opened once.
const FOOTER_CACHE_BYTES: usize = 256 << 20;

/// A limit below this becomes part of the plan, where it saves work: a sort keeps just so many rows. It keeps them in
/// memory, though, which a larger sort must not: that one spills, and [`Rows`] cuts its answer.
const ROWS_WORTH_A_LIMIT: u64 = 100_000;

/// Functions that make much from little, outside the memory that a query accounts for.
const BOUNDLESS: [&str; 7] = ["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

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
        // Fair: each sort has its share and spills beyond it. First come, first served would let the merge of one
        // partition take what that of another needs to finish.
        let pool = TrackConsumersPool::new(
            FairSpillPool::new(options.memory),
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
        for function in BOUNDLESS {
            datafusion::execution::FunctionRegistry::deregister_udf(&mut session, function)?;
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
        let mut session = SessionStateBuilder::new_from_existing(self.session.clone())
            .with_catalog_list(tables.catalog_list())
            .build();
        session.mark_start_execution(); // the moment that NOW() tells
        let statement = match language {
            Language::Adql => Statement::Statement(Box::new(adql::parse(text)?)),
            Language::Sql => parse_sql(&session, text)?,
        };
        for reference in session.resolve_table_references(&statement)? {
            check_exists(tables, &reference, &statement)?;
        }
        let plan = session.statement_to_plan(statement).await?;
        let only_questions = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        only_questions.verify_plan(&plan)?;
        let plan = match limits.max_rows.filter(|rows| *rows < ROWS_WORTH_A_LIMIT) {
            // One row more than may be given tells whether there is more.
            Some(rows) => LogicalPlanBuilder::from(plan).limit(0, Some(rows as usize + 1))?.build()?,
            None => plan,
        };
        // Constants are folded here, so what is wrong now is wrong with the query.
        let plan = session.optimize(&plan)?;
        let planned = session.query_planner().create_physical_plan(&plan, &session).await;
        let plan = planned.map_err(|error| EngineError::from(error).not_the_authors())?;
        let context = Arc::new(TaskContext::from(&session).with_runtime(Arc::clone(&self.runtime)));
        Ok(Query { plan, context, max_rows: limits.max_rows })
    }
}

/// Parses SQL, within the same bounds as ADQL.
fn parse_sql(session: &SessionState, text: &str) -> Result<Statement, EngineError> {
    check_chains(&GenericDialect {}, text)?;
    let parsed = session.sql_to_statement(text, &session.config_options().sql_parser.dialect);
    let mut statement = parsed.map_err(|error| placed_in(text, error.into()))?;
    match &mut statement {
        Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)) => {
            settle(inner)?;
            Ok(statement)
        }
        _ => Err(Mistake::new("only queries are answered: the text must begin with SELECT or WITH").into()),
    }
}

fn check_exists(tables: &TableSet, reference: &TableReference, statement: &Statement) -> Result<(), EngineError> {
    let written = match reference {
        TableReference::Full { catalog, schema, table } if &**catalog == CATALOG => format!("{schema}.{table}"),
        other => other.to_string(),
    };
    if written.parse().is_ok_and(|name| tables.get(&name).is_some()) {
        return Ok(());
    }
    let place = place_of(reference.table(), statement).unzip();
    Err(Mistake { message: format!("there is no table {written}"), line: place.0, column: place.1 }.into())
}

/// Where a statement names a table first.
fn place_of(table: &str, statement: &Statement) -> Option<(u64, u64)> {
    let Statement::Statement(statement) = statement else { return None };
    let found = ast::visit_relations(&**statement, |name| {
        let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        match (parts.first(), parts.last()) {
            (Some(first), Some(last)) if last.value.eq_ignore_ascii_case(table) => {
                ControlFlow::Break((first.span.start.line, first.span.start.column))
            }
            _ => ControlFlow::Continue(()),
        }
    });
    found.break_value().filter(|(line, _)| *line > 0)
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
