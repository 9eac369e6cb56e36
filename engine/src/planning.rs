//! From a text to a plan.
//!
//! A mistake of the author's shows here, whichever step finds it: the parser, the look-up of tables, the planner or, where
//! constants are folded, the optimizer. What goes wrong after that is a fault of ours.

use std::{ops::ControlFlow, sync::Arc};

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::{TableReference, tree_node::TreeNode},
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    execution::{SessionState, TaskContext, context::SQLOptions},
    logical_expr::{LogicalPlan, LogicalPlanBuilder},
    physical_plan::ExecutionPlan,
    sql::{
        parser::Statement,
        sqlparser::{ast, dialect::GenericDialect},
    },
};

use crate::{
    EngineError, Estimate, Language, Mistake, TableSet, adql, bounded, culprit,
    estimate::{self, Scanned},
    explain,
    limits::watch::checkpoint,
    outcome,
    tables::Found,
};

/// A limit below this becomes part of the plan, where it saves work: a sort keeps just so many rows. It keeps them in
/// memory, though, which a larger sort must not: that one spills, and [`Rows`](crate::Rows) cuts its answer.
const ROWS_WORTH_A_LIMIT: u64 = 100_000;

/// Texts of so many bytes are planned again to find the place of a mistake.
const SHORT: usize = 16 << 10;

/// A plan, ready to run.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The columns of the answer, as whoever reads it is told of them.
    pub(crate) schema: SchemaRef,
    /// What is asked, optimized.
    pub(crate) logical: LogicalPlan,
    /// How it is computed.
    pub(crate) physical: Arc<dyn ExecutionPlan>,
    pub(crate) session: SessionState,
    /// Where it is looked up which versions are read.
    pub(crate) tables: TableSet,
}

impl Planned {
    pub(crate) fn context(&self) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(&self.session))
    }

    /// What it reads and gives, if its answer is cut after so many rows.
    pub(crate) async fn estimate(&self, max_rows: Option<u64>) -> Result<Estimate, EngineError> {
        let scanned = self.scanned().await?;
        Ok(estimate::estimate(&self.logical, &scanned, max_rows))
    }

    /// How it is computed, in plain words.
    pub(crate) async fn explain(&self, max_rows: Option<u64>) -> Result<Vec<String>, EngineError> {
        let scanned = self.scanned().await?;
        let estimate = estimate::estimate(&self.logical, &scanned, max_rows);
        Ok(explain::explain(&self.logical, &self.tables, &self.physical, &scanned, &estimate)?)
    }

    /// Its scans. A plan that is answered from the metadata has none left, and opens no file.
    async fn scanned(&self) -> Result<Vec<Scanned>, EngineError> {
        let mut scanned = estimate::scans(&self.logical, &self.session).await?;
        let reads = |scan: &DataSourceExec| scan.data_source().is::<FileScanConfig>(); // the others have their rows
        if !self.physical.exists(|node| Ok(node.downcast_ref::<DataSourceExec>().is_some_and(reads)))? {
            scanned.iter_mut().for_each(|scanned| scanned.estimate.opens_nothing());
        }
        Ok(scanned)
    }
}

/// What a text asks for.
pub(crate) enum Question {
    /// Rows.
    Answer(Asked),
    /// How the rows would be computed.
    Explanation(Asked),
}

/// A query, read.
pub(crate) struct Asked {
    statement: Statement,
    /// What the columns of the answer are called, if that is told apart from the plan.
    names: Option<Vec<String>>,
    /// Whether it is worth looking for the place of a mistake.
    short: bool,
}

impl From<Statement> for Asked {
    fn from(statement: Statement) -> Self {
        Self { statement, names: None, short: false }
    }
}

/// Reads a text, and looks up the tables that it names.
pub(crate) fn question(
    session: &SessionState,
    tables: &TableSet,
    language: Language,
    text: &str,
) -> Result<Question, EngineError> {
    let (statement, names) = match language {
        Language::Adql => {
            let adql::Parsed { statement, names } = adql::parse(text, tables)?;
            (Statement::Statement(Box::new(statement)), Some(names))
        }
        Language::Sql => (parse_sql(text)?, None),
    };
    checkpoint(session.config_options())?; // parsing neither waits nor asks
    let (statement, explain) = match statement {
        Statement::Explain(explain) => (*explain.statement, true),
        Statement::Statement(inner) => match *inner {
            ast::Statement::Explain { statement, .. } => (Statement::Statement(statement), true),
            other => (Statement::Statement(Box::new(other)), false),
        },
        other => (other, false),
    };
    for reference in session.resolve_table_references(&statement)? {
        check_exists(tables, &reference, &statement)?;
    }
    let asked = Asked { statement, names, short: text.len() <= SHORT };
    Ok(if explain { Question::Explanation(asked) } else { Question::Answer(asked) })
}

/// Plans a query whose answer may have so many rows. A mistake that the planner finds without its place is given one.
pub(crate) async fn plan(
    session: SessionState,
    tables: TableSet,
    asked: Asked,
    max_rows: Option<u64>,
) -> Result<Planned, EngineError> {
    let Asked { statement, names, short } = asked;
    let names = names.as_deref();
    let kept = short.then(|| statement.clone());
    match (attempt(session.clone(), tables.clone(), statement, names, max_rows).await, kept) {
        (Err(EngineError::Mistake(mistake)), Some(statement)) if mistake.line.is_none() => {
            let planned = |statement| {
                let attempt = attempt(session.clone(), tables.clone(), statement, names, max_rows);
                async { attempt.await.map(drop) }
            };
            Err(culprit::placed(mistake, &statement, names.map_or(0, <[String]>::len), planned).await.into())
        }
        (planned, _) => planned,
    }
}

async fn attempt(
    session: SessionState,
    tables: TableSet,
    statement: Statement,
    names: Option<&[String]>,
    max_rows: Option<u64>,
) -> Result<Planned, EngineError> {
    let plan = session.statement_to_plan(statement).await?;
    checkpoint(session.config_options())?;
    if plan.schema().fields().len() > adql::COLUMNS {
        return Err(Mistake::new(adql::too_many_columns()).into());
    }
    let only_questions = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_questions.verify_plan(&plan)?;
    let (plan, answers) = outcome::finish(plan, names)?;
    let plan = match max_rows.filter(|rows| *rows < ROWS_WORTH_A_LIMIT) {
        // One row more than may be given tells whether there is more.
        Some(rows) => LogicalPlanBuilder::from(plan).limit(0, Some(rows as usize + 1))?.build()?,
        None => plan,
    };
    // Constants are folded here, so what is wrong now is wrong with the query.
    let logical = session.optimize(&plan)?;
    let planned = session.query_planner().create_physical_plan(&logical, &session).await;
    let physical = planned.map_err(EngineError::not_the_authors)?;
    let schema = answers.schema(&physical.schema());
    Ok(Planned { schema, logical, physical, session, tables })
}

/// Parses SQL, within the same bounds as ADQL.
fn parse_sql(text: &str) -> Result<Statement, EngineError> {
    let statement = bounded::parse(&GenericDialect {}, text)?;
    let asked = match &statement {
        ast::Statement::Explain { analyze: true, .. } => {
            return Err(Mistake::new("EXPLAIN ANALYZE is not available; EXPLAIN tells what would be read").into());
        }
        ast::Statement::Explain { statement, .. } => statement,
        other => other,
    };
    match asked {
        ast::Statement::Query(_) => Ok(Statement::Statement(Box::new(statement))),
        _ => Err(Mistake::new("only queries are answered: the text must begin with SELECT or WITH").into()),
    }
}

fn check_exists(tables: &TableSet, reference: &TableReference, statement: &Statement) -> Result<(), EngineError> {
    let mut parts = vec![reference.table()];
    parts.splice(0..0, reference.schema());
    parts.splice(0..0, reference.catalog());
    let (line, column) = place_of(reference.table(), statement).unzip();
    match tables.find(&parts) {
        Found::One(_) | Found::Version(..) => Ok(()),
        Found::None => {
            let name = parts.join(".").trim_start_matches("almagest.").to_owned();
            let mistake = Mistake { message: format!("there is no table {name}"), line, column };
            Err(EngineError::UnknownTable { name, mistake })
        }
        Found::Many(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let message = format!("the table {} may be any of {}: write which", parts.join("."), names.join(", "));
            Err(Mistake { message, line, column }.into())
        }
    }
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
