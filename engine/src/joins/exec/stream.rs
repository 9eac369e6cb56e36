//! The rows that one partition of a join gives out.

use std::sync::{Arc, atomic::Ordering};

use datafusion::{
    arrow::array::RecordBatch,
    error::{DataFusionError, Result},
    execution::SendableRecordBatchStream,
    physical_plan::{metrics::BaselineMetrics, stream::RecordBatchStreamAdapter},
};
use futures::{
    StreamExt,
    future::{BoxFuture, Shared},
    stream,
};

use super::{
    collect::Built,
    finale::Finale,
    pieces::{Pieces, Told},
    probe::{Prober, Step},
    run::{Divided, Prepared, Run},
};

/// What all partitions wait for.
pub(super) type Preparing = Shared<BoxFuture<'static, Result<Arc<Prepared>, Arc<DataFusionError>>>>;

/// One partition.
struct Partition {
    run: Arc<Run>,
    number: usize,
    stage: Stage,
}

enum Stage {
    Waiting(Preparing),
    Probing { built: Arc<Built>, prober: Box<Prober>, input: SendableRecordBatchStream },
    Ending(Box<Finale>),
    Parts { divided: Arc<Divided>, pieces: Option<Box<Pieces>> },
    Telling(Box<Told>),
    Over,
}

/// The rows of a partition, made as they are asked for.
pub(super) fn rows(
    run: Arc<Run>,
    number: usize,
    preparing: Preparing,
    metrics: BaselineMetrics,
) -> SendableRecordBatchStream {
    let schema = Arc::clone(&run.spec.schema);
    let partition = Partition { run, number, stage: Stage::Waiting(preparing) };
    let rows = stream::try_unfold((partition, metrics), |(mut partition, metrics)| async move {
        let batch = partition.next().await?;
        Ok(batch.map(|batch| {
            metrics.record_output(batch.num_rows());
            (batch, (partition, metrics))
        }))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

impl Partition {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            // Others have their turn, whatever is above this.
            tokio::task::coop::consume_budget().await;
            match &mut self.stage {
                Stage::Waiting(preparing) => {
                    let prepared = preparing.clone().await.map_err(DataFusionError::Shared)?;
                    self.stage = self.begin(&prepared)?;
                }
                Stage::Probing { prober, input, .. } => match prober.step()? {
                    Step::Rows(batch) => return Ok(Some(batch)),
                    Step::More => {}
                    Step::Done => match input.next().await {
                        Some(batch) => prober.take(self.run.probed().locate(&batch?)?, None),
                        None => self.stage = self.end()?,
                    },
                },
                Stage::Ending(finale) => match finale.next()? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.stage = Stage::Over,
                },
                Stage::Parts { divided, pieces } => match pieces {
                    Some(part) => match part.next().await? {
                        Some(batch) => return Ok(Some(batch)),
                        None => *pieces = None,
                    },
                    None => match divided.next_part() {
                        Some(part) => {
                            let part = Pieces::new(&self.run, &divided.split, part, &divided.memory)?;
                            *pieces = Some(Box::new(part));
                        }
                        None => self.stage = self.end()?,
                    },
                },
                Stage::Telling(told) => match told.next().await? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.stage = Stage::Over,
                },
                Stage::Over => return Ok(None),
            }
        }
    }

    fn begin(&self, prepared: &Prepared) -> Result<Stage> {
        let run = &self.run;
        match prepared {
            Prepared::InMemory(built) => {
                let side = run.build.other();
                let input = run.inputs[side as usize].execute(self.number, Arc::clone(&run.context))?;
                let prober = Prober::new(&run.spec, built, side, self.number, None, run.options(), &run.counts)?;
                Ok(Stage::Probing { built: Arc::clone(built), prober: Box::new(prober), input })
            }
            Prepared::Divided(divided) => Ok(Stage::Parts { divided: Arc::clone(divided), pieces: None }),
        }
    }

    /// After the last row: whoever ends last gives out what was open until then.
    fn end(&mut self) -> Result<Stage> {
        let run = &self.run;
        let last = run.unfinished.fetch_sub(1, Ordering::AcqRel) == 1;
        match &self.stage {
            Stage::Probing { built, .. } if last => {
                let mut finale = Finale::new(&run.spec, built, run.build, None, run.counts.pairs.clone());
                finale.begin();
                Ok(Stage::Ending(Box::new(finale)))
            }
            Stage::Parts { divided, .. } if last => Ok(Stage::Telling(Box::new(Told::new(run, &divided.split)?))),
            _ => Ok(Stage::Over),
        }
    }
}

impl Run {
    /// The side that comes by.
    pub(super) fn probed(&self) -> &super::spec::SideSpec {
        self.spec.side(self.build.other())
    }
}
