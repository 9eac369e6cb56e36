//! The join over the sky as it is run.
//!
//! ```text
//!   one side ── all partitions at once ──▶ SkyIndex in memory
//!                                            │ cells that hold it: a filter for the scan of the other side
//!   other side ── partition by partition ──▶ probe ──▶ pairs, and the rows without any
//! ```
//! | file | what is there |
//! |---|---|
//! | `spec` | what the join does, and how a batch of the answer is put together |
//! | `collect` | the side that is kept in memory |
//! | `probe` | rows that come by, held against those in memory |
//! | `contest` | where rows in memory look for their nearest among those that come by |
//! | `finale` | what is given out when all rows have come |
//! | `split`, `pieces` | where that does not fit: both sides on disk, one part of the sky after the other |
//! | `run`, `stream` | one execution, and the rows of one partition of it |
//!
//! Which side is kept in memory changes how fast the answer comes, never what it is.

mod collect;
mod contest;
mod finale;
mod pieces;
mod probe;
mod rows;
mod run;
mod spec;
mod split;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::{
    arrow::datatypes::Schema,
    common::{
        JoinSide, JoinType, Statistics, config::ConfigOptions, internal_err, stats::Precision,
        tree_node::TreeNodeRecursion,
    },
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
        PlanProperties, ReplaceChildrenOptions,
        execution_plan::{Boundedness, EmissionType, SchedulingType, apply_expression_roots},
        filter_pushdown::{
            ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase,
            FilterPushdownPropagation,
        },
        joins::utils::{ColumnIndex, JoinFilter, build_join_schema},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        statistics::{ChildStats, StatisticsArgs},
    },
};
use futures::FutureExt;

use self::{
    run::Run,
    spec::{Fate, Spec},
    stream::Preparing,
};
use super::{
    condition::{Side, SkyCondition},
    coverage::Covered,
};

/// A join of two inputs by where their rows are.
pub(crate) struct SkyJoinExec {
    inputs: [Arc<dyn ExecutionPlan>; 2],
    condition: SkyCondition<Arc<dyn PhysicalExpr>>,
    filter: Option<JoinFilter>,
    join_type: JoinType,
    /// The side that is kept in memory.
    build: Side,
    projection: Option<Vec<usize>>,
    /// What the scan of the other side was given as a filter.
    covered: Option<Covered>,
    /// The columns of the answer.
    columns: Vec<ColumnIndex>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    running: Mutex<Option<Running>>,
}

/// An execution that not all partitions have joined yet.
struct Running {
    run: Arc<Run>,
    preparing: Preparing,
    missing: usize,
}

impl SkyJoinExec {
    /// A join of `left` and `right`, whose columns are those of DataFusion's joins, or of these the projected ones.
    pub(crate) fn try_new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        condition: SkyCondition<Arc<dyn PhysicalExpr>>,
        filter: Option<JoinFilter>,
        join_type: JoinType,
        build: Side,
        projection: Option<Vec<usize>>,
    ) -> Result<Self> {
        // Where it counts which right rows have a pair, they would all have to be put aside until their nearest are
        // known.
        let build = match condition.nearest {
            Some(nearest) if !nearest.mutual && Fate::of(join_type, Side::Right) != Fate::Nothing => Side::Right,
            _ => build,
        };
        let (schema, columns) = build_join_schema(&left.schema(), &right.schema(), &join_type);
        let (schema, columns) = match &projection {
            Some(places) => {
                let columns = places.iter().map(|place| columns[*place].clone()).collect();
                (schema.project(places)?, columns)
            }
            None => (schema, columns),
        };
        let inputs = [left, right];
        let partitions = inputs[build.other() as usize].output_partitioning().partition_count();
        let properties = properties(schema, partitions);
        let (metrics, running) = (ExecutionPlanMetricsSet::new(), Mutex::new(None));
        Ok(Self {
            covered: None,
            inputs,
            condition,
            filter,
            join_type,
            build,
            projection,
            columns,
            properties,
            metrics,
            running,
        })
    }

    fn with_inputs(&self, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let Ok([left, right]) = <[_; 2]>::try_from(inputs) else { return internal_err!("a join of two inputs") };
        let (condition, filter, projection) = (self.condition.clone(), self.filter.clone(), self.projection.clone());
        let join = Self::try_new(left, right, condition, filter, self.join_type, self.build, projection)?;
        Ok(Self { covered: self.covered.clone(), ..join })
    }

    /// The filter that the scan of the other side can be given: where rows without a pair count for nothing, and the
    /// cells of their positions are stored.
    fn coverage(&self) -> Option<Covered> {
        let other = self.build.other();
        let cells = self.condition.cells[other as usize].as_ref()?;
        let counts = !Fate::of(self.join_type, other).drops_unpaired() || self.condition.radius_of == Some(other);
        (!counts).then(|| Covered::new(&cells.column))
    }

    /// Which parent's filters may be asked before this join, by the places of their columns in its answer.
    fn allowed(&self, side: Side) -> Option<HashSet<usize>> {
        let unpaired_other = Fate::of(self.join_type, side.other()) == Fate::Outer;
        let chosen = match self.condition.nearest {
            Some(nearest) => side == Side::Right || nearest.mutual,
            None => false,
        };
        let input = self.inputs[side as usize].schema();
        let names: HashSet<&String> = input.fields().iter().map(|field| field.name()).collect();
        // Filters find their columns by name further down.
        if unpaired_other || chosen || names.len() < input.fields().len() {
            return None;
        }
        let of_side = |column: &ColumnIndex| match side {
            Side::Left => column.side == JoinSide::Left,
            Side::Right => column.side == JoinSide::Right,
        };
        Some(self.columns.iter().enumerate().filter(|(_, column)| of_side(column)).map(|(place, _)| place).collect())
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// The execution at hand, or a new one.
    fn run(&self, context: &Arc<TaskContext>) -> Result<(Arc<Run>, Preparing)> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut this = match running.take() {
            Some(running) => running,
            None => self.start(context)?,
        };
        let joined = (Arc::clone(&this.run), this.preparing.clone());
        this.missing -= 1;
        // The last one to join leaves nothing here that would be kept for as long as the plan.
        *running = (this.missing > 0).then_some(this);
        Ok(joined)
    }

    fn start(&self, context: &Arc<TaskContext>) -> Result<Running> {
        let [left, right] = &self.inputs;
        let spec = Spec::new(
            &self.condition,
            self.filter.as_ref(),
            self.join_type,
            [&left.schema(), &right.schema()],
            &self.columns,
            self.schema(),
            context.session_config().batch_size(),
        )?;
        let partitions = self.partitions();
        let mut run = Run::new(spec, self.build, self.inputs.clone(), Arc::clone(context), &self.metrics, partitions);
        let cells = &self.condition.cells[self.build.other() as usize];
        run.coverage =
            self.covered.as_ref().zip(cells.clone()).map(|(covered, cells)| (Arc::clone(covered.found()), cells));
        let run = Arc::new(run);
        let preparing = Arc::clone(&run);
        let preparing = async move { preparing.prepare().await.map(Arc::new).map_err(Arc::new) }.boxed().shared();
        Ok(Running { run, preparing, missing: partitions })
    }
}

fn properties(schema: Schema, partitions: usize) -> Arc<PlanProperties> {
    let properties = PlanProperties::new(
        EquivalenceProperties::new(Arc::new(schema)),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Both,
        Boundedness::Bounded,
    );
    Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative))
}

impl fmt::Debug for SkyJoinExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkyJoinExec")
            .field("inputs", &self.inputs)
            .field("condition", &self.condition)
            .field("filter", &self.filter)
            .field("join_type", &self.join_type)
            .field("build", &self.build)
            .field("projection", &self.projection)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for SkyJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if self.build == Side::Left { "left" } else { "right" };
        write!(f, "SkyJoinExec: {}, radius={}, build={build}", self.join_type, self.condition.radius)?;
        if let Some(nearest) = self.condition.nearest {
            write!(f, ", nearest={}", if nearest.mutual { "mutual".to_owned() } else { nearest.k.to_string() })?;
        }
        if let Some(filter) = &self.filter {
            write!(f, ", filter={}", filter.expression())?;
        }
        if let Some(projection) = &self.projection {
            let schema = self.schema();
            let names: Vec<String> = schema
                .fields()
                .iter()
                .zip(projection)
                .map(|(field, place)| format!("{}@{place}", field.name()))
                .collect();
            write!(f, ", projection=[{}]", names.join(", "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for SkyJoinExec {
    fn name(&self) -> &'static str {
        "SkyJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let SkyCondition { left, right, radius, cells, .. } = &self.condition;
        let cells = cells.iter().flatten().map(|cells| &cells.column);
        let filter = self.filter.iter().map(JoinFilter::expression);
        apply_expression_roots(left.iter().chain(right).chain([radius]).chain(cells).chain(filter), f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.with_inputs(children)?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let mut description = FilterDescription::new();
        for (side, input) in [Side::Left, Side::Right].into_iter().zip(&self.inputs) {
            let child = match self.allowed(side) {
                Some(allowed) => {
                    ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, allowed, input)?
                }
                None => ChildFilterDescription::all_unsupported(&parent_filters),
            };
            let wanted = phase == FilterPushdownPhase::Post && side != self.build && self.covered.is_none();
            description = description.with_child(match self.coverage().filter(|_| wanted) {
                Some(covered) => child.with_self_filter(Arc::new(covered)),
                None => child,
            });
        }
        Ok(description)
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let given = &result.self_filters[self.build.other() as usize];
        let covered = given.first().and_then(|filter| filter.predicate.downcast_ref::<Covered>()).cloned();
        let propagation = FilterPushdownPropagation::if_any(result);
        let Some(covered) = covered else { return Ok(propagation) };
        let join = Self { covered: Some(covered), ..self.with_inputs(self.inputs.to_vec())? };
        Ok(propagation.with_updated_node(Arc::new(join)))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.with_inputs(self.inputs.to_vec())?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (run, preparing) = self.run(&context)?;
        Ok(stream::rows(run, partition, preparing, BaselineMetrics::new(&self.metrics, partition)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, _: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None), ChildStats::At(None)]
    }

    /// A guess, for who decides which side of another join is smaller: that pairs are rare, and a row has one at most.
    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let [Some(left), Some(right)] = [0, 1].map(|side: usize| inputs[side].num_rows.get_value().copied()) {
            let rows = match self.join_type {
                JoinType::Inner => left.min(right),
                JoinType::Full => left.saturating_add(right),
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
                JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
            };
            statistics.num_rows = Precision::Inexact(rows);
        }
        Ok(Arc::new(statistics))
    }
}
