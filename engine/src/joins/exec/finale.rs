//! What is given out when all rows have come: the pairs of a contest, and the rows whose fate was open until then.

use std::sync::Arc;

use datafusion::{
    arrow::array::{Array, BooleanArray, RecordBatch},
    error::Result,
    physical_plan::metrics::Count,
};

use super::{
    collect::Built,
    contest::{Contest, Gone},
    probe::mark,
    rows::Bits,
    spec::{Fate, Part, Spec},
};
use crate::joins::condition::Side;

/// The end of a join.
pub(super) struct Finale {
    spec: Arc<Spec>,
    built: Arc<Built>,
    /// The side in memory.
    side: Side,
    stage: Stage,
    gone: Option<Gone>,
    /// Which of those that are gone have a pair.
    paired: Vec<bool>,
    /// Where it is noted which of them have, if their fate is not decided here.
    elsewhere: Option<Arc<Bits>>,
    pairs: Count,
}

enum Stage {
    /// The pairs of a contest, from a row in memory on.
    Pairs(u32),
    /// The rows in memory.
    Built(u32),
    /// Those that were put aside.
    Gone(u32),
    Over,
}

impl Finale {
    pub(super) fn new(
        spec: &Arc<Spec>,
        built: &Arc<Built>,
        side: Side,
        elsewhere: Option<Arc<Bits>>,
        pairs: Count,
    ) -> Self {
        Self {
            stage: if built.contest.is_some() { Stage::Pairs(0) } else { Stage::Built(0) },
            paired: Vec::new(),
            spec: Arc::clone(spec),
            built: Arc::clone(built),
            gone: None,
            side,
            elsewhere,
            pairs,
        }
    }

    /// When the last row has come.
    pub(super) fn begin(&mut self) {
        self.gone = self.built.contest.as_ref().map(Contest::aside);
        self.paired = vec![false; self.gone.as_ref().map_or(0, |gone| gone.rows.len())];
    }

    /// The next batch of the answer. An empty one is none.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let batch = match self.stage {
                Stage::Pairs(from) => self.contested(from)?,
                Stage::Built(from) => self.in_memory(from)?,
                Stage::Gone(from) => self.put_aside(from)?,
                Stage::Over => return Ok(None),
            };
            if batch.is_some() {
                return Ok(batch);
            }
        }
    }

    fn contested(&mut self, from: u32) -> Result<Option<RecordBatch>> {
        let (Some(contest), Some(gone)) = (&self.built.contest, &self.gone) else { return Ok(None) };
        let (mut row, rows) = (from, self.built.rows.len() as u32);
        let (mut built, mut came) = (Vec::new(), Vec::new());
        while row < rows && built.len() < self.spec.batch_size {
            contest.best(row, |candidate| {
                if candidate.likes {
                    built.push(row);
                    came.push(gone.row(candidate));
                }
            });
            row += 1;
        }
        self.stage = if row < rows { Stage::Pairs(row) } else { Stage::Built(0) };
        let other = self.side.other();
        let mask = {
            let (of_built, of_came) = (Part::OfMany(&self.built.rows, &built), Part::OfMany(&gone.rows, &came));
            self.spec.filtered(other, &of_came, &of_built, built.len())?
        };
        if let Some(mask) = mask {
            built = true_of(&built, &mask);
            came = true_of(&came, &mask);
        }
        self.pairs.add(built.len());
        if let Some(seen) = &self.built.seen {
            built.iter().for_each(|row| seen.set(*row));
        }
        for row in &came {
            self.paired[*row as usize] = true;
            if let Some(elsewhere) = &self.elsewhere {
                elsewhere.set(gone.number(*row) as usize);
            }
        }
        if !self.spec.pairs || built.is_empty() {
            return Ok(None);
        }
        let (of_built, of_came) = (Part::OfMany(&self.built.rows, &built), Part::OfMany(&gone.rows, &came));
        self.spec.answer(other, &of_came, &of_built, None, built.len()).map(Some)
    }

    fn in_memory(&mut self, from: u32) -> Result<Option<RecordBatch>> {
        let (fate, rows) = (self.spec.side(self.side).fate, self.built.rows.len() as u32);
        let Some(seen) = self.built.seen.as_ref().filter(|seen| seen.numbers.is_none() && from < rows) else {
            self.stage = Stage::Gone(0);
            return Ok(None);
        };
        let to = rows.min(from.saturating_add(self.spec.batch_size as u32));
        self.stage = Stage::Built(to);
        let given: Vec<u32> = (from..to).filter(|row| fate.gives(seen.bits.get(*row as usize))).collect();
        if given.is_empty() {
            return Ok(None);
        }
        let mark = mark(fate, given.iter().map(|row| seen.bits.get(*row as usize)));
        let part = Part::OfMany(&self.built.rows, &given);
        self.spec.answer(self.side, &part, &Part::Missing, mark, given.len()).map(Some)
    }

    fn put_aside(&mut self, from: u32) -> Result<Option<RecordBatch>> {
        let other = self.side.other();
        let (fate, rows) = (self.spec.side(other).fate, self.paired.len() as u32);
        let gone = self.gone.as_ref().filter(|_| fate != Fate::Nothing && self.elsewhere.is_none() && from < rows);
        let Some(gone) = gone else {
            self.stage = Stage::Over;
            return Ok(None);
        };
        let to = rows.min(from.saturating_add(self.spec.batch_size as u32));
        self.stage = Stage::Gone(to);
        let given: Vec<u32> = (from..to).filter(|row| fate.gives(self.paired[*row as usize])).collect();
        if given.is_empty() {
            return Ok(None);
        }
        let mark = mark(fate, given.iter().map(|row| self.paired[*row as usize]));
        let part = Part::OfMany(&gone.rows, &given);
        self.spec.answer(other, &part, &Part::Missing, mark, given.len()).map(Some)
    }
}

fn true_of(rows: &[u32], mask: &BooleanArray) -> Vec<u32> {
    let kept = rows.iter().enumerate().filter(|(at, _)| mask.is_valid(*at) && mask.value(*at));
    kept.map(|(_, row)| *row).collect()
}
