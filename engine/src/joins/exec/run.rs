//! One execution of a join: what its partitions share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use datafusion::{
    common::{config::ConfigOptions, resources_err},
    error::Result,
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::PhysicalExpr,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder},
    },
};

use super::{
    collect::{Built, Gathered, Outcome, Seen, gather},
    contest::Contest,
    probe::Counts,
    rows::Bits,
    spec::{Fate, Spec},
    split::{Part, Source, Split, split},
};
use crate::joins::{
    condition::{Cells, Side},
    coverage::{Found, covered},
    pairs::Limit,
};

/// What the partitions of a join share.
pub(super) struct Run {
    pub(super) spec: Arc<Spec>,
    /// The side that is to be kept in memory.
    pub(super) build: Side,
    pub(super) inputs: [Arc<dyn ExecutionPlan>; 2],
    pub(super) context: Arc<TaskContext>,
    pub(super) counts: Counts,
    pub(super) build_rows: Count,
    pub(super) metrics: ExecutionPlanMetricsSet,
    /// How many partitions have not come to their end.
    pub(super) unfinished: AtomicUsize,
    /// Who is told where rows of the other side can be that have a pair, and of what their cells are.
    pub(super) coverage: Option<Told>,
}

/// Who is told of ranges of cells, and the column of cells.
type Told = (Arc<Found>, Cells<Arc<dyn PhysicalExpr>>);

/// How a join is made, once one side has been read.
pub(super) enum Prepared {
    /// That side is in memory.
    InMemory(Arc<Built>),
    /// Both sides are on disk, divided by where their rows are.
    Divided(Arc<Divided>),
}

/// Parts of the sky, which whoever has time takes.
pub(super) struct Divided {
    pub(super) split: Arc<Split>,
    pub(super) memory: Arc<MemoryReservation>,
    next: AtomicUsize,
}

impl Divided {
    pub(super) fn next_part(&self) -> Option<Part> {
        self.split.parts.get(self.next.fetch_add(1, Ordering::Relaxed)).cloned()
    }
}

/// What was gathered is too much.
enum Kept {
    All(Built),
    TooMuch(Gathered),
}

impl Run {
    pub(super) fn new(
        spec: Spec,
        build: Side,
        inputs: [Arc<dyn ExecutionPlan>; 2],
        context: Arc<TaskContext>,
        metrics: &ExecutionPlanMetricsSet,
        partitions: usize,
    ) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).global_counter(name);
        Self {
            spec: Arc::new(spec),
            build,
            inputs,
            context,
            counts: Counts {
                probe_rows: counter("probe_rows"),
                candidates: counter("candidates"),
                pairs: counter("pairs"),
            },
            build_rows: counter("build_rows"),
            unfinished: AtomicUsize::new(partitions),
            coverage: None,
            metrics: metrics.clone(),
        }
    }

    pub(super) fn options(&self) -> &Arc<ConfigOptions> {
        self.context.session_config().options()
    }

    fn streams(&self, side: Side) -> Result<Vec<SendableRecordBatchStream>> {
        let input = &self.inputs[side as usize];
        let partitions = 0..input.output_partitioning().partition_count();
        partitions.map(|partition| input.execute(partition, Arc::clone(&self.context))).collect()
    }

    /// Whether rows in memory look for their nearest among those that come by.
    fn is_contest(&self) -> bool {
        self.spec.nearest.is_some_and(|nearest| nearest.mutual || self.build == Side::Left)
    }

    /// Reads the side that is to be kept in memory.
    pub(super) async fn prepare(&self) -> Result<Prepared> {
        let memory = MemoryConsumer::new("SkyJoin").with_can_spill(true).register(self.context.memory_pool());
        let memory = Arc::new(memory);
        if let Some((found, _)) = &self.coverage {
            found.tell(None); // an earlier execution may have
        }
        let streams = self.streams(self.build)?;
        match gather(streams, &self.spec, self.build, &memory, self.options()).await? {
            Outcome::All(gathered) => {
                self.build_rows.add(gathered.rows());
                match self.built(gathered, &memory)? {
                    Kept::All(built) => {
                        self.tell_coverage(&built)?;
                        Ok(Prepared::InMemory(Arc::new(built)))
                    }
                    Kept::TooMuch(gathered) => self.divide(vec![gathered], Vec::new(), memory).await,
                }
            }
            Outcome::Part(gathered, streams) => self.divide(gathered, streams, memory).await,
        }
    }

    /// Goes on on the disk.
    async fn divide(
        &self,
        gathered: Vec<Gathered>,
        streams: Vec<SendableRecordBatchStream>,
        memory: Arc<MemoryReservation>,
    ) -> Result<Prepared> {
        let nearest = self.spec.nearest;
        if nearest.is_some_and(|nearest| nearest.mutual) {
            return resources_err!("each other's nearest are looked for in memory, which these rows do not fit in");
        }
        // A row's nearest are told when it comes by, so it is the right side that it has to come by.
        let build = if nearest.is_some() { Side::Right } else { self.build };
        let read = Source { gathered, streams };
        let other = Source { gathered: Vec::new(), streams: self.streams(self.build.other())? };
        let sources = if self.build == Side::Left { [read, other] } else { [other, read] };
        let partitions = self.inputs[self.build.other() as usize].output_partitioning().partition_count() as u64;
        let room = |bytes: u64| room(&memory, bytes) / partitions.max(1) / 2;
        let split = Arc::new(split(self, build, sources, room).await?);
        Ok(Prepared::Divided(Arc::new(Divided { split, memory, next: AtomicUsize::new(0) })))
    }

    fn tell_coverage(&self, built: &Built) -> Result<()> {
        let Some((found, cells)) = &self.coverage else { return Ok(()) };
        let limit = self.spec.radius.and_then(|radius| Limit::new(self.spec.test, radius));
        let radius = match (self.spec.radius_of, limit) {
            // The layers of the index have their own.
            (Some(_), _) => 0.0,
            (None, Some(limit)) => limit.reach,
            (None, None) => return found.tell_of(cells, &self.inputs[self.build.other() as usize], Some(Vec::new())),
        };
        let ranges = covered(&built.index, radius + cells.slack_deg.to_radians(), cells.order);
        found.tell_of(cells, &self.inputs[self.build.other() as usize], ranges)
    }

    fn built(&self, gathered: Gathered, memory: &Arc<MemoryReservation>) -> Result<Kept> {
        let rows = gathered.rows();
        let seen = self.spec.side(self.build).fate != Fate::Nothing;
        let seen = seen.then(|| {
            memory.grow(Bits::bytes(rows)); // a hundredth of what the rows take
            Seen { bits: Bits::new(rows), numbers: None }
        });
        let contest = match self.spec.nearest.filter(|_| self.is_contest()) {
            Some(nearest) => {
                let others = memory.new_empty();
                let a_row = self.spec.side(self.build.other()).bytes_a_row();
                if others.try_grow(Contest::bytes(rows, nearest.k, a_row)).is_err() {
                    return Ok(Kept::TooMuch(gathered));
                }
                let streams = self.inputs[self.build.other() as usize].output_partitioning().partition_count();
                Some(Contest::new(nearest.k, rows, streams, a_row, others))
            }
            None => None,
        };
        gathered.build(&self.spec, self.build, seen, contest, Arc::clone(memory)).map(Kept::All)
    }
}

/// How much memory of so many bytes there is.
fn room(memory: &MemoryReservation, bytes: u64) -> u64 {
    memory.free();
    let mut room = bytes.max(1) as usize;
    while room > 4096 && memory.try_grow(room).is_err() {
        room = room / 4 * 3;
    }
    memory.free();
    room as u64
}
