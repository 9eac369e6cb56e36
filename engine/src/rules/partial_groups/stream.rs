//! How the groups are counted: a round at a time.

use std::{collections::VecDeque, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch},
        datatypes::{DataType, SchemaRef},
    },
    common::internal_err,
    error::Result,
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    logical_expr::{EmitTo, GroupsAccumulator},
    physical_expr::{PhysicalExpr, aggregate::AggregateFunctionExpr, expressions::Literal},
    physical_plan::{
        ExecutionPlan, InputOrderMode,
        aggregates::AggregateExec,
        metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder},
    },
};
use futures::{Stream, StreamExt};

use super::table::{Groups, Keys, Run, groups};

/// A round that had no more rows than this for a group saved nothing.
const ROWS_WORTH_A_GROUP: usize = 2;

/// An aggregate: the rows of each group are counted, or something else is made of them.
enum Made {
    Counts(Vec<i64>),
    Other { of: Vec<Arc<dyn PhysicalExpr>>, where_true: Option<Arc<dyn PhysicalExpr>>, by: Box<dyn GroupsAccumulator> },
}

impl Made {
    fn new(aggregate: &AggregateFunctionExpr, where_true: Option<&Arc<dyn PhysicalExpr>>) -> Result<Self> {
        let of = aggregate.expressions();
        let never_null =
            |of: &Arc<dyn PhysicalExpr>| of.downcast_ref::<Literal>().is_some_and(|l| !l.value().is_null());
        let counts = aggregate.fun().name() == "count" && !aggregate.is_distinct() && of.iter().all(never_null);
        Ok(match counts && where_true.is_none() {
            true => Self::Counts(Vec::new()),
            false => Self::Other { of, where_true: where_true.cloned(), by: aggregate.create_groups_accumulator()? },
        })
    }

    fn state(&mut self) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Counts(counts) => Ok(vec![Arc::new(Int64Array::from(std::mem::take(counts)))]),
            Self::Other { by, .. } => by.state(EmitTo::All),
        }
    }

    /// Of each row as if it were a group.
    fn state_of_rows(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Counts(_) => Ok(vec![Arc::new(Int64Array::from(vec![1; batch.num_rows()]))]),
            Self::Other { of, where_true, by } => {
                by.convert_to_state(&evaluated(of, batch)?, condition(where_true.as_ref(), batch)?.as_ref())
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Counts(counts) => counts.capacity() * size_of::<i64>(),
            Self::Other { by, .. } => by.size(),
        }
    }
}

fn evaluated(expressions: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    expressions.iter().map(|one| one.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

fn condition(where_true: Option<&Arc<dyn PhysicalExpr>>, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
    let Some(condition) = where_true else { return Ok(None) };
    let values = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    match values.as_boolean_opt() {
        Some(values) => Ok(Some(values.clone())),
        None => internal_err!("a condition of {}", values.data_type()),
    }
}

/// What has been counted and not given on.
pub(super) struct Rounds {
    schema: SchemaRef,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    key_types: Vec<DataType>,
    made: Vec<Made>,
    groups: Box<dyn Groups>,
    ascending: bool,
    most_groups: usize,
    /// Of this round.
    rows: usize,
    /// Whether rows are given on as they are.
    passing: bool,
    /// A batch of the input without rows.
    like: Option<RecordBatch>,
    batch_size: usize,
    runs: Vec<Run>,
    of_rows: Vec<usize>,
    memory: MemoryReservation,
    metrics: BaselineMetrics,
    rounds: Count,
    passed: Count,
}

impl Rounds {
    pub(super) fn new(
        aggregate: &AggregateExec,
        most_groups: usize,
        partition: usize,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Self> {
        let keys: Vec<_> = aggregate.group_expr().expr().iter().map(|(key, _)| Arc::clone(key)).collect();
        let schema = aggregate.schema();
        let Some(groups) = groups(keys.len()) else { return internal_err!("{} keys", keys.len()) };
        let made = aggregate.aggr_expr().iter().zip(aggregate.filter_expr());
        Ok(Self {
            key_types: schema.fields().iter().take(keys.len()).map(|key| key.data_type().clone()).collect(),
            made: made.map(|(one, where_true)| Made::new(one, where_true.as_ref())).collect::<Result<_>>()?,
            ascending: *aggregate.input_order_mode() == InputOrderMode::Sorted,
            most_groups,
            rows: 0,
            passing: false,
            like: None,
            batch_size: context.session_config().batch_size(),
            runs: Vec::new(),
            of_rows: Vec::new(),
            memory: MemoryConsumer::new(format!("PartialGroups[{partition}]")).register(context.memory_pool()),
            metrics: BaselineMetrics::new(metrics, partition),
            rounds: MetricBuilder::new(metrics).counter("rounds", partition),
            passed: MetricBuilder::new(metrics).counter("rows_passed", partition),
            schema,
            keys,
            groups,
        })
    }

    /// Counts a batch, and gives what is to be given on.
    fn count(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let compute = self.metrics.elapsed_compute().clone();
        let _timed = compute.timer();
        let keys = evaluated(&self.keys, batch)?;
        if self.passing {
            self.passed.add(batch.num_rows());
            let states = self.made.iter().map(|made| made.state_of_rows(batch)).collect::<Result<Vec<_>>>()?;
            let columns = keys.into_iter().chain(states.into_iter().flatten()).collect();
            return Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?));
        }
        self.like.get_or_insert_with(|| batch.slice(0, 0));
        let bits = keys.iter().map(Keys::of).collect::<Result<Vec<_>>>()?;
        self.runs.clear();
        self.groups.runs(&bits, batch.num_rows(), self.ascending, &mut self.runs);
        self.rows += batch.num_rows();
        self.add(batch)?;
        let size = self.groups.size() + self.made.iter().map(Made::size).sum::<usize>();
        match self.groups.len() >= self.most_groups || self.memory.try_resize(size).is_err() {
            true => self.end_of_round().map(Some),
            false => Ok(None),
        }
    }

    /// Adds the rows of a batch, whose runs are known, to what is made of their groups.
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let groups = self.groups.len();
        self.of_rows.clear();
        for made in &mut self.made {
            match made {
                Made::Counts(counts) => {
                    counts.resize(groups, 0);
                    self.runs.iter().for_each(|run| counts[run.group as usize] += i64::from(run.rows));
                }
                Made::Other { of, where_true, by } => {
                    if self.of_rows.is_empty() {
                        for run in &self.runs {
                            self.of_rows.extend(std::iter::repeat_n(run.group as usize, run.rows as usize));
                        }
                    }
                    let (values, condition) = (evaluated(of, batch)?, condition(where_true.as_ref(), batch)?);
                    by.update_batch(&values, &self.of_rows, condition.as_ref(), groups)?;
                }
            }
        }
        Ok(())
    }

    /// All that has been counted. Afterwards that is nothing.
    fn end_of_round(&mut self) -> Result<RecordBatch> {
        self.rounds.add(1);
        let saved_nothing = self.rows < ROWS_WORTH_A_GROUP * self.groups.len();
        self.passing = saved_nothing && self.groups.len() >= self.most_groups && !self.ascending && self.can_pass();
        self.rows = 0;
        let mut columns = self.groups.take(&self.key_types)?;
        for made in &mut self.made {
            columns.extend(made.state()?);
        }
        self.memory.free();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Whether each aggregate can be told of single rows.
    fn can_pass(&self) -> bool {
        let none = self.like.as_ref();
        none.is_some_and(|none| self.made.iter().all(|made| made.state_of_rows(none).is_ok()))
    }
}

/// The groups of a stream, as they are given on.
pub(super) fn grouped(
    input: SendableRecordBatchStream,
    rounds: Rounds,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let state = (Some(input), rounds, VecDeque::new());
    futures::stream::try_unfold(state, |(mut input, mut rounds, mut ready)| async move {
        loop {
            if let Some(batch) = ready.pop_front() {
                let batch: RecordBatch = batch;
                rounds.metrics.record_output(batch.num_rows());
                return Ok(Some((batch, (input, rounds, ready))));
            }
            let Some(batches) = &mut input else { return Ok(None) };
            let given = match batches.next().await.transpose()? {
                Some(batch) => rounds.count(&batch)?,
                None => {
                    input = None;
                    Some(rounds.end_of_round()?)
                }
            };
            let Some(given) = given else { continue };
            let step = rounds.batch_size.max(1);
            let parts = (0..given.num_rows()).step_by(step);
            ready.extend(parts.map(|from| given.slice(from, step.min(given.num_rows() - from))));
        }
    })
}
