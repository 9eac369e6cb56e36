//! Where a query that was ended finds out, though it computes without waiting.
//!
//! A future is dropped where it waits; what neither waits nor asks goes on. So it is made to ask:
//!
//! - every rule that rewrites a plan asks before each node, so that planning a large query ends;
//! - a nested loop join asks before each batch of pairs, of which one pair of input batches has as many as it likes:
//! ```text
//!   NestedLoopJoinExec: filter=f      ──▶   CooperativeExec
//!                                             NestedLoopJoinExec: filter=asked(f)
//! ```
//! - joins and UNNEST, which make many rows from few, yield to other queries after some batches, whatever is above them.
//!
//! A plan without such operators is left as it is.
//!
//! What lies between two questions goes on to its end: reading a text, making a tree of it, and the work of one rule on one
//! node, whose expressions may be as large as the text. For a query of a page that is nothing; for one of 2 MB, seconds
//! where nothing is optimized by the compiler. Whoever asked is told at once, and other queries go on meanwhile, since long
//! texts are planned apart; only the memory and the core are free later.

use std::{
    cell::Cell,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, FieldRef, Schema},
    },
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    execution::{SessionState, SessionStateBuilder},
    logical_expr::{ColumnarValue, LogicalPlan},
    optimizer::{AnalyzerRule, ApplyOrder, OptimizerConfig, OptimizerRule},
    physical_expr::PhysicalExpr,
    physical_optimizer::{PhysicalOptimizerContext, PhysicalOptimizerRule},
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
            utils::JoinFilter,
        },
        unnest::UnnestExec,
    },
};

use super::watch::{Watch, checkpoint};

/// How long one task may keep its thread from the others.
const TURN: Duration = Duration::from_millis(50);

/// The same session, whose rules ask whether they may go on.
pub(crate) fn install(session: SessionState) -> SessionState {
    let analyzer = session.analyzer().rules.iter().cloned().map(|rule| Arc::new(Asking(rule)) as _).collect();
    let optimizer = session.optimizers().iter().cloned().map(|rule| Arc::new(Asking(rule)) as _).collect();
    let mut physical: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = Vec::new();
    for rule in session.physical_optimizers() {
        // Before the leaves are made to yield, since what is made here counts as yielding; and before dynamic filters are
        // pushed, which hold on to the nodes that they are for.
        if rule.name() == "EnsureCooperative" {
            physical.push(Arc::new(AskInJoins));
        }
        physical.push(Arc::new(Asking(Arc::clone(rule))));
    }
    SessionStateBuilder::new_from_existing(session)
        .with_analyzer_rules(analyzer)
        .with_optimizer_rules(optimizer)
        .with_physical_optimizer_rules(physical)
        .build()
}

/// A rule that asks first.
#[derive(Debug)]
struct Asking<R: ?Sized>(Arc<R>);

impl AnalyzerRule for Asking<dyn AnalyzerRule + Send + Sync> {
    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        checkpoint(options)?;
        self.0.analyze(plan, options)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

impl OptimizerRule for Asking<dyn OptimizerRule + Send + Sync> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        checkpoint(&config.options())?;
        self.0.rewrite(plan, config)
    }
}

impl PhysicalOptimizerRule for Asking<dyn PhysicalOptimizerRule + Send + Sync> {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        checkpoint(options)?;
        self.0.optimize(plan, options)
    }

    fn optimize_with_context(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: &dyn PhysicalOptimizerContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        checkpoint(context.config_options())?;
        self.0.optimize_with_context(plan, context)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// The rule that is drawn above.
#[derive(Debug)]
struct AskInJoins;

impl PhysicalOptimizerRule for AskInJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let asking = match (plan.downcast_ref::<NestedLoopJoinExec>(), Watch::of(options)) {
                (Some(join), Some(watch)) if join.filter().is_some() => asking_join(join, watch)?,
                _ => Arc::clone(&plan),
            };
            let multiplies = asking.is::<NestedLoopJoinExec>()
                || asking.is::<CrossJoinExec>()
                || asking.is::<HashJoinExec>()
                || asking.is::<SortMergeJoinExec>()
                || asking.is::<UnnestExec>();
            Ok(match multiplies {
                true => Transformed::yes(Arc::new(CooperativeExec::new(asking))),
                false => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "ask_in_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn asking_join(join: &NestedLoopJoinExec, watch: &Arc<Watch>) -> Result<Arc<dyn ExecutionPlan>> {
    let filter = join.filter().map(|filter| {
        let asked = Asked { inner: Arc::clone(filter.expression()), watch: Arc::clone(watch) };
        JoinFilter::new(Arc::new(asked), filter.column_indices().to_vec(), Arc::clone(filter.schema()))
    });
    Ok(Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?))
}

/// An expression that fails once its query has been ended, and makes way for other tasks when it has had its turn.
#[derive(Debug)]
struct Asked {
    inner: Arc<dyn PhysicalExpr>,
    watch: Arc<Watch>,
}

thread_local! {
    /// When this thread last made way for other tasks.
    static TURN_BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl PhysicalExpr for Asked {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.watch.check()?;
        let now = Instant::now();
        let began = TURN_BEGAN.get().unwrap_or(now);
        let turn_is_over = now.duration_since(began) > TURN;
        TURN_BEGAN.set(Some(if turn_is_over { now } else { began }));
        match turn_is_over {
            // The loop above this cannot wait. The other tasks of this thread go on on another one.
            true => tokio::task::block_in_place(|| self.inner.evaluate(batch)),
            false => self.inner.evaluate(batch),
        }
    }

    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self { inner, watch: Arc::clone(&self.watch) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && Arc::ptr_eq(&self.watch, &other.watch)
    }
}

impl Eq for Asked {}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}
