//! One part of the sky, joined from disk.
//!
//! Mostly its rows of the side in memory fit, and the other side comes by once. If not, they are taken in pieces, and
//! the other side comes by once for each of them; which of its rows have had a pair is kept in bits until the last
//! time.
//!
//! The nearest of a row can be told only when all that may be it have been seen, so that pieces of the right side would
//! not do: there it is the left side that is taken in pieces, and the right one that comes by.

use std::sync::Arc;

use datafusion::{
    arrow::array::{RecordBatch, UInt32Array},
    error::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
};
use futures::StreamExt;

use super::{
    collect::{Gathered, Seen},
    contest::Contest,
    finale::Finale,
    probe::{Again, Prober, Step, mark},
    rows::Bits,
    run::Run,
    spec::{self, Fate},
    split::{Part, Split},
};
use crate::{joins::condition::Side, limits::watch::checkpoint};

/// A part that is being joined.
pub(super) struct Pieces {
    run: Arc<Run>,
    split: Arc<Split>,
    part: Part,
    memory: Arc<MemoryReservation>,
    /// The side that is taken in pieces.
    side: Side,
    rows: SendableRecordBatchStream,
    /// A batch that did not fit any more.
    ahead: Option<RecordBatch>,
    first: bool,
    /// Which rows of the other side have had a pair.
    paired: Option<Arc<Bits>>,
    stage: Stage,
}

enum Stage {
    Loading,
    Probing { prober: Box<Prober>, input: SendableRecordBatchStream, finale: Option<Box<Finale>> },
    Ending(Box<Finale>),
    Over,
}

/// A piece in memory.
struct Piece {
    gathered: Gathered,
    numbers: Vec<u64>,
    memory: Arc<MemoryReservation>,
    last: bool,
}

impl Pieces {
    pub(super) fn new(run: &Arc<Run>, split: &Arc<Split>, part: Part, memory: &Arc<MemoryReservation>) -> Result<Self> {
        Ok(Self {
            rows: split.written[split.build as usize].read(&part.built)?,
            side: split.build,
            run: Arc::clone(run),
            split: Arc::clone(split),
            memory: Arc::clone(memory),
            ahead: None,
            first: true,
            paired: None,
            stage: Stage::Loading,
            part,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            tokio::task::coop::consume_budget().await;
            match &mut self.stage {
                Stage::Loading => {
                    let piece = self.load().await?;
                    self.stage = self.begin(piece)?;
                }
                Stage::Probing { prober, input, finale } => match prober.step()? {
                    Step::Rows(batch) => return Ok(Some(batch)),
                    Step::More => {}
                    Step::Done => match input.next().await {
                        Some(batch) => {
                            let (located, numbers) = self.split.written[self.side.other() as usize].unpack(&batch?)?;
                            prober.take(located, Some(numbers));
                        }
                        None => {
                            self.stage = match finale.take() {
                                Some(mut finale) => {
                                    finale.begin();
                                    Stage::Ending(finale)
                                }
                                None => self.after(),
                            };
                        }
                    },
                },
                Stage::Ending(finale) => match finale.next()? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.stage = self.after(),
                },
                Stage::Over => return Ok(None),
            }
        }
    }

    fn after(&self) -> Stage {
        if self.ahead.is_some() { Stage::Loading } else { Stage::Over }
    }

    /// Whether it is the left side that is taken in pieces, looking for its nearest.
    fn is_contest(&self) -> bool {
        self.side != self.split.build
    }

    fn k(&self) -> usize {
        self.run.spec.nearest.map_or(1, |nearest| nearest.k)
    }

    /// About how many bytes a row of the other side has.
    fn a_row(&self) -> usize {
        self.run.spec.side(self.side.other()).bytes_a_row()
    }

    /// As many rows as there is memory for, and one batch at least.
    async fn load(&mut self) -> Result<Piece> {
        let written = &self.split.written[self.side as usize];
        let memory = Arc::new(self.memory.new_empty());
        let (mut gathered, mut numbers) = (Gathered::default(), Vec::new());
        let last = loop {
            checkpoint(self.run.options())?;
            let batch = match self.ahead.take() {
                Some(batch) => batch,
                None => match self.rows.next().await {
                    Some(batch) => batch?,
                    None => break true,
                },
            };
            let (located, of_rows) = written.unpack(&batch)?;
            let rows = located.rows.num_rows();
            let contest = if self.is_contest() { Contest::bytes(rows, self.k(), self.a_row()) } else { 0 };
            let bytes = Gathered::bytes(&located) + contest;
            if memory.try_grow(bytes).is_err() {
                if gathered.rows() > 0 {
                    self.ahead = Some(batch);
                    break false;
                }
                memory.grow(bytes); // less than this is nothing
            }
            numbers.extend_from_slice(&of_rows);
            gathered.push(located);
        };
        Ok(Piece { gathered, numbers, memory, last })
    }

    fn begin(&mut self, piece: Piece) -> Result<Stage> {
        let first = std::mem::replace(&mut self.first, false);
        let (build, written) = (self.split.build, &self.split.written);
        if first && !piece.last && self.run.spec.nearest.is_some() {
            drop(piece);
            (self.side, self.ahead, self.first) = (build.other(), None, false);
            self.rows = written[self.side as usize].read(&self.part.came)?;
            return Ok(Stage::Loading);
        }
        if self.is_contest() { self.begin_contest(piece) } else { self.begin_piece(piece, first) }
    }

    fn begin_piece(&mut self, piece: Piece, first: bool) -> Result<Stage> {
        let spec = &self.run.spec;
        let Piece { gathered, numbers, memory, last } = piece;
        if first && !last {
            self.paired = Some(Bits::new(self.part.came_rows));
        }
        let again = self.paired.as_ref().map(|paired| Again { seen: Some(Arc::clone(paired)), last });
        let seen = (spec.side(self.side).fate != Fate::Nothing)
            .then(|| Seen { bits: Arc::clone(&self.split.seen), numbers: Some(numbers) });
        let built = Arc::new(gathered.sorted().build(spec, self.side, seen, None, memory)?);
        let other = self.side.other();
        let prober = Prober::new(spec, &built, other, 0, again, self.run.options(), &self.run.counts)?;
        let input = self.split.written[other as usize].read(&self.part.came)?;
        Ok(Stage::Probing { prober: Box::new(prober), input, finale: None })
    }

    fn begin_contest(&mut self, piece: Piece) -> Result<Stage> {
        let spec = &self.run.spec;
        let Piece { gathered, memory, .. } = piece;
        let rows = gathered.rows();
        let contest = Contest::new(self.k(), rows, 1, self.a_row(), self.memory.new_empty());
        let seen = (spec.side(self.side).fate != Fate::Nothing).then(|| Seen { bits: Bits::new(rows), numbers: None });
        let built = Arc::new(gathered.sorted().build(spec, self.side, seen, Some(contest), memory)?);
        let (other, again) = (self.side.other(), Again { seen: None, last: false });
        let prober = Prober::new(spec, &built, other, 0, Some(again), self.run.options(), &self.run.counts)?;
        let input = self.split.written[other as usize].read(&self.part.built)?;
        let elsewhere = Some(Arc::clone(&self.split.seen));
        let finale = Finale::new(spec, &built, self.side, elsewhere, self.run.counts.pairs.clone());
        Ok(Stage::Probing { prober: Box::new(prober), input, finale: Some(Box::new(finale)) })
    }
}

/// What becomes of the rows of the side of which parts were in memory, told when all parts are joined.
pub(super) struct Told {
    run: Arc<Run>,
    split: Arc<Split>,
    rows: SendableRecordBatchStream,
}

impl Told {
    pub(super) fn new(run: &Arc<Run>, split: &Arc<Split>) -> Result<Self> {
        let rows = split.written[split.build as usize].read(&split.all)?;
        Ok(Self { run: Arc::clone(run), split: Arc::clone(split), rows })
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (side, spec) = (self.split.build, &self.run.spec);
        let fate = spec.side(side).fate;
        while let Some(batch) = self.rows.next().await {
            let (located, numbers) = self.split.written[side as usize].unpack(&batch?)?;
            let paired = |row: u32| self.split.seen.get(numbers[row as usize] as usize);
            let given: Vec<u32> = (0..numbers.len() as u32).filter(|row| fate.gives(paired(*row))).collect();
            if !given.is_empty() {
                let mark = mark(fate, given.iter().map(|row| paired(*row)));
                let rows = given.len();
                let given = UInt32Array::from(given);
                let part = spec::Part::Of(&located.rows, &given);
                return spec.answer(side, &part, &spec::Part::Missing, mark, rows).map(Some);
            }
        }
        Ok(None)
    }
}
