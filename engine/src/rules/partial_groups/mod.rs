//! The first half of grouping, where the keys are a few numbers.
//!
//! ```text
//!   AggregateExec: mode=Final…                         AggregateExec: mode=Final…
//!     RepartitionExec                           ──▶      RepartitionExec
//!       AggregateExec: mode=Partial, gby=[a, b]            PartialGroupsExec: gby=[a, b]
//! ```
//! Maps and histograms group very many rows by few keys. What is counted by an operator for keys of any kind is counted
//! here by one that knows bits only, in rounds: a table of a size that the caches hold, given on when it is full. What is
//! given out is what the operator that is replaced gives, a group perhaps more than once; its other half, which may spill,
//! stays as it is. Where rows come along the keys their groups do, too, and a run is found by its ends. Where there is a
//! group for nearly each row, rows are given on as they are.
//!
//! It does nothing to grouping sets, to keys that are texts or lists, to more than four, to aggregates that are not
//! computed by columns or need an order of their rows, and where a limit is known.

mod stream;
mod table;

use std::{fmt, sync::Arc};

use datafusion::{
    common::{
        config::ConfigOptions,
        internal_err,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, InputOrderMode,
        PlanProperties, Statistics, StatisticsArgs,
        aggregates::{AggregateExec, AggregateMode},
        filter_pushdown::{ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation},
        metrics::{ExecutionPlanMetricsSet, MetricsSet},
        replace_children_if_necessary,
        stream::RecordBatchStreamAdapter,
    },
};

/// The rule that is drawn above.
#[derive(Debug)]
pub(crate) struct PartialGroups {
    /// The most groups of a round.
    pub(crate) most_groups: usize,
}

impl Default for PartialGroups {
    fn default() -> Self {
        Self { most_groups: 1 << 17 } // their table has a few megabytes
    }
}

impl PhysicalOptimizerRule for PartialGroups {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            Ok(match plan.downcast_ref::<AggregateExec>() {
                Some(aggregate) if is_simple(aggregate) => {
                    Transformed::yes(Arc::new(PartialGroupsExec::new(aggregate.clone(), self.most_groups)) as _)
                }
                _ => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "partial_groups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_simple(aggregate: &AggregateExec) -> bool {
    let by = aggregate.group_expr();
    let schema = aggregate.schema();
    let keys = by.expr().len();
    let in_partial_order = matches!(aggregate.input_order_mode(), InputOrderMode::PartiallySorted(_));
    *aggregate.mode() == AggregateMode::Partial
        && by.is_single()
        && table::groups(keys).is_some()
        && schema.fields().iter().take(keys).all(|key| table::can_be_key(key.data_type()))
        && aggregate.limit_options().is_none()
        && !in_partial_order
        && aggregate.aggr_expr().iter().all(|one| one.groups_accumulator_supported() && one.order_bys().is_empty())
}

/// What the rule puts in the place of the operator that it keeps within.
#[derive(Debug)]
pub(crate) struct PartialGroupsExec {
    /// All but how it is run.
    aggregate: AggregateExec,
    most_groups: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl PartialGroupsExec {
    fn new(aggregate: AggregateExec, most_groups: usize) -> Self {
        Self { aggregate, most_groups, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for PartialGroupsExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartialGroupsExec: ")?;
        self.aggregate.fmt_as(kind, f)
    }
}

impl ExecutionPlan for PartialGroupsExec {
    fn name(&self) -> &'static str {
        "PartialGroupsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.aggregate.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.aggregate.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<datafusion::physical_expr::OrderingRequirements>> {
        self.aggregate.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.aggregate.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.aggregate.children()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let aggregate = replace_children_if_necessary(Arc::new(self.aggregate.clone()), children)?;
        match aggregate.downcast_ref::<AggregateExec>() {
            // Rows that come in another order than when the rule looked may need the other operator.
            Some(aggregate) if is_simple(aggregate) => Ok(Arc::new(Self::new(aggregate.clone(), self.most_groups))),
            Some(_) => Ok(aggregate),
            None => internal_err!("an aggregate became {}", aggregate.name()),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.aggregate.apply_expressions(f)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.aggregate.input().execute(partition, Arc::clone(&context))?;
        let rounds = stream::Rounds::new(&self.aggregate, self.most_groups, partition, &context, &self.metrics)?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::grouped(input, rounds))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.aggregate.child_stats_requests(partition)
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        self.aggregate.statistics_from_inputs(inputs, args)
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        self.aggregate.gather_filters_for_pushdown(phase, parent_filters, config)
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_any(result))
    }
}
