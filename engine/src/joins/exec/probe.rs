//! Rows that come by, held against those in memory.
//!
//! ```text
//!   batch ─▶ cell of each row ─▶ index ─▶ candidates ─▶ exact ─▶ pairs ─▶ filter ─▶ rows of the answer
//!                                                         └─ nearest: the k nearest of them ─┘
//! ```
//! Where it is the rows in memory that look for their nearest, pairs go to the [`Contest`](super::contest) and are
//! given out when all rows have come.

use std::{ops::Range, sync::Arc};

use datafusion::{
    arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array},
    common::config::ConfigOptions,
    error::Result,
    physical_plan::metrics::Count,
};
use sky::healpix::cell29;

use super::{
    collect::{Built, position},
    contest::{Candidate, Ties, Wanted},
    rows::Bits,
    spec::{Fate, Located, Part, Spec},
};
use crate::{
    joins::{
        condition::Side,
        index::Disc,
        pairs::{Limit, NearestOf, Place},
    },
    limits::watch::checkpoint,
};

/// After so many candidates and rows others have their turn.
const A_TURN: usize = 1 << 17;

/// What came of going on.
pub(super) enum Step {
    /// Rows of the answer.
    Rows(RecordBatch),
    /// Nothing yet, but there is more to do.
    More,
    /// The batch is done.
    Done,
}

/// What is counted.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub(super) probe_rows: Count,
    pub(super) candidates: Count,
    pub(super) pairs: Count,
}

/// Rows that come by more than once, each time held against other rows in memory.
#[derive(Clone, Debug)]
pub(super) struct Again {
    /// Which have a pair, where that is known before the end.
    pub(super) seen: Option<Arc<Bits>>,
    /// Whether this is the last time.
    pub(super) last: bool,
}

/// Joins one stream of rows to those in memory.
pub(super) struct Prober {
    spec: Arc<Spec>,
    built: Arc<Built>,
    /// The side that comes by.
    side: Side,
    stream: usize,
    options: Arc<ConfigOptions>,
    counts: Counts,
    ties: Option<Ties>,
    /// The radius that is the same for all, and the discs of the layers where that of a row that comes by does not
    /// matter.
    limit: Option<Limit>,
    discs: Vec<Disc>,
    again: Option<Again>,
    /// How many rows have come.
    came: usize,
    batch: Option<Current>,
    nearest: NearestOf,
    spans: Vec<Range<u32>>,
    /// Room for the spans of the next row.
    spare: Vec<(u32, Range<u32>)>,
    pairs: Pairs,
}

/// Pairs of a row in memory and one that came by.
#[derive(Default)]
struct Pairs {
    built: Vec<u32>,
    came: Vec<u32>,
}

/// The batch at hand.
struct Current {
    located: Located,
    numbers: Arc<[u64]>,
    first: usize,
    /// The next row to be looked up.
    row: usize,
    /// What is still to be held against the row before.
    pending: Option<Pending>,
    paired: Vec<bool>,
    wanted: Wanted,
    /// Whether the pairs are through, and what becomes of the rows is next.
    joined: bool,
}

/// Candidates for one row.
struct Pending {
    row: u32,
    place: Place,
    cell: u64,
    limit: Option<Limit>,
    /// In which layer, and where there.
    spans: Vec<(u32, Range<u32>)>,
}

impl Prober {
    pub(super) fn new(
        spec: &Arc<Spec>,
        built: &Arc<Built>,
        side: Side,
        stream: usize,
        again: Option<Again>,
        options: &Arc<ConfigOptions>,
        counts: &Counts,
    ) -> Result<Self> {
        let limit = spec.radius.and_then(|radius| Limit::new(spec.test, radius));
        let of_built = spec.radius_of == Some(side.other());
        let disc = |layer: &crate::joins::index::Layer| match (of_built, &limit) {
            (true, _) => Some(Disc::of_many(layer.reach())),
            (false, Some(limit)) => Some(Disc::of_many(limit.reach)),
            (false, None) => None,
        };
        Ok(Self {
            discs: built.index.layers().iter().filter_map(disc).collect(),
            ties: built.contest.is_some().then(|| Ties::new(spec, side)).transpose()?,
            spec: Arc::clone(spec),
            built: Arc::clone(built),
            options: Arc::clone(options),
            counts: counts.clone(),
            nearest: NearestOf::default(),
            pairs: Pairs::default(),
            spans: Vec::new(),
            spare: Vec::new(),
            came: 0,
            batch: None,
            side,
            stream,
            limit,
            again,
        })
    }

    /// Takes the next batch. `numbers` are those of its rows, where they are not counted here.
    pub(super) fn take(&mut self, located: Located, numbers: Option<Arc<[u64]>>) {
        let rows = located.rows.num_rows();
        self.counts.probe_rows.add(rows);
        let numbers = match (&self.built.contest, numbers) {
            (Some(_), Some(numbers)) => numbers,
            (Some(contest), None) => contest.number(self.stream, rows),
            (None, _) => Arc::from([]),
        };
        if let Some(contest) = &self.built.contest {
            contest.begin(self.stream, &located.rows, &numbers);
        }
        let paired = match self.again.as_ref().and_then(|again| again.seen.as_ref()) {
            Some(seen) => (self.came..self.came + rows).map(|row| seen.get(row)).collect(),
            None => vec![false; rows],
        };
        self.batch = Some(Current {
            located,
            numbers,
            first: self.came,
            row: 0,
            pending: None,
            paired,
            wanted: Wanted::default(),
            joined: false,
        });
        self.came += rows;
    }

    /// Goes on with the batch.
    pub(super) fn step(&mut self) -> Result<Step> {
        checkpoint(&self.options)?;
        let Some(mut batch) = self.batch.take() else { return Ok(Step::Done) };
        if batch.joined {
            return self.fates(batch);
        }
        batch.joined = self.fill(&mut batch)?;
        let rows = self.flush(&mut batch)?;
        self.batch = Some(batch);
        Ok(rows.map_or(Step::More, Step::Rows))
    }

    /// Whether the first pair of a row says all that is asked of it.
    fn one_is_enough(&self) -> bool {
        let spec = &self.spec;
        !spec.pairs && !spec.has_filter() && spec.nearest.is_none() && self.built.seen.is_none()
    }

    /// Finds pairs until there are enough for a batch, or it has taken its turn. Whether all rows have been looked up.
    fn fill(&mut self, batch: &mut Current) -> Result<bool> {
        let rows = batch.located.rows.num_rows();
        let mut turn = 0;
        while self.pairs.built.len() < self.spec.batch_size && turn < A_TURN {
            let mut pending = match batch.pending.take() {
                Some(pending) => pending,
                None if batch.row == rows => return Ok(true),
                None => match self.look_up(batch, &mut turn) {
                    Some(pending) => pending,
                    None => continue,
                },
            };
            let before = turn;
            let done = match (&self.built.contest, self.spec.nearest) {
                (Some(_), _) => self.enter(&pending, batch, &mut turn)?,
                (None, Some(nearest)) => self.choose(&pending, nearest.k, &mut turn),
                (None, None) => self.hold(&mut pending, &mut turn),
            };
            self.counts.candidates.add(turn - before);
            if done {
                pending.spans.clear();
                self.spare = pending.spans;
            } else {
                batch.pending = Some(pending);
            }
        }
        Ok(batch.pending.is_none() && batch.row == rows)
    }

    /// The candidates of the next row that has any.
    fn look_up(&mut self, batch: &mut Current, turn: &mut usize) -> Option<Pending> {
        let Current { located, row: next, paired, .. } = batch;
        let skips = self.again.is_some() && self.one_is_enough();
        while *next < located.rows.num_rows() && *turn < A_TURN {
            let row = *next;
            *next += 1;
            *turn += 1;
            if skips && paired[row] {
                continue;
            }
            let stored =
                located.cells.as_ref().filter(|cells| cells.is_valid(row)).map(|cells| cells.value(row) as u64);
            let mut at = None;
            let cell = match stored {
                Some(cell) => cell,
                None => {
                    at = position(&located.lon, &located.lat, row);
                    let Some(at) = at else { continue };
                    cell29(at)
                }
            };
            let limit = match &located.radius {
                Some(radius) if radius.is_null(row) => continue,
                Some(radius) => Limit::new(self.spec.test, radius.value(row)),
                None => self.limit,
            };
            let mut spans = std::mem::take(&mut self.spare);
            for (number, layer) in (0_u32..).zip(self.built.index.layers()) {
                match (&located.radius, self.discs.get(number as usize), &limit) {
                    (None, Some(disc), _) => layer.find(cell, disc, &mut self.spans),
                    (Some(_), _, Some(limit)) => layer.find(cell, &Disc::new(limit.reach), &mut self.spans),
                    _ => continue,
                }
                spans.extend(self.spans.drain(..).map(|span| (number, span)));
            }
            let at = match spans.is_empty() {
                true => None,
                false => at.or_else(|| position(&located.lon, &located.lat, row)),
            };
            let Some(at) = at else {
                spans.clear();
                self.spare = spans;
                continue;
            };
            return Some(Pending { row: row as u32, place: Place::new(at), cell, limit, spans });
        }
        None
    }

    /// Pairs of one row with whatever is near enough.
    fn hold(&mut self, pending: &mut Pending, turn: &mut usize) -> bool {
        let Self { built, spec, pairs, side, .. } = self;
        let center = spec.center != *side;
        let enough = !spec.pairs && !spec.has_filter() && built.seen.is_none();
        while let Some((layer, span)) = pending.spans.last_mut() {
            let entries = built.index.layers()[*layer as usize].entries(span);
            for entry in entries {
                *turn += 1;
                span.start += 1;
                let limit = match &built.limits {
                    Some(limits) => limits[entry.row as usize],
                    None => pending.limit,
                };
                if limit.is_some_and(|limit| limit.holds(&pending.place, entry, center)) {
                    pairs.built.push(entry.row);
                    pairs.came.push(pending.row);
                    if enough {
                        return true;
                    }
                    if pairs.built.len() >= spec.batch_size {
                        return false;
                    }
                }
            }
            if span.start == span.end {
                pending.spans.pop();
            }
            if *turn >= A_TURN {
                return pending.spans.is_empty();
            }
        }
        true
    }

    /// Those of the candidates that are near enough.
    fn near(&mut self, pending: &Pending, k: usize, turn: &mut usize) {
        let Self { built, spec, nearest, side, .. } = self;
        let center = spec.center != *side;
        nearest.clear();
        for (layer, span) in &pending.spans {
            for (at, entry) in (span.start..).zip(built.index.layers()[*layer as usize].entries(span)) {
                *turn += 1;
                let limit = match &built.limits {
                    Some(limits) => limits[entry.row as usize],
                    None => pending.limit,
                };
                if limit.is_some_and(|limit| limit.holds(&pending.place, entry, center)) {
                    nearest.push(pending.place.chord2(entry), *layer, at, k);
                }
            }
        }
    }

    /// Pairs of one row with the nearest in memory.
    fn choose(&mut self, pending: &Pending, k: usize, turn: &mut usize) -> bool {
        self.near(pending, k, turn);
        let Self { built, nearest, pairs, .. } = self;
        let layers = built.index.layers();
        nearest.nearest(
            k,
            &pending.place,
            |layer, at| layers[layer as usize].entry(at),
            |row| {
                pairs.built.push(row);
                pairs.came.push(pending.row);
            },
        );
        true
    }

    /// Enters one row into the contest for each that it is near to.
    fn enter(&mut self, pending: &Pending, batch: &mut Current, turn: &mut usize) -> Result<bool> {
        let mutual = self.spec.nearest.is_some_and(|nearest| nearest.mutual);
        let mut liked = None;
        if mutual {
            self.near(pending, 1, turn);
            let layers = self.built.index.layers();
            let entry = |layer: u32, at: u32| layers[layer as usize].entry(at);
            self.nearest.nearest(1, &pending.place, entry, |row| liked = Some(row));
        }
        let Self { built, spec, side, ties, .. } = self;
        let (Some(contest), Some(ties)) = (&built.contest, ties) else { return Ok(true) };
        let center = spec.center != *side;
        let held = spec.side(*side).fate != Fate::Nothing && self.again.is_none();
        for (layer, span) in &pending.spans {
            for entry in built.index.layers()[*layer as usize].entries(span) {
                *turn += 1;
                let limit = match &built.limits {
                    Some(limits) => limits[entry.row as usize],
                    None => pending.limit,
                };
                if !limit.is_some_and(|limit| limit.holds(&pending.place, entry, center)) {
                    continue;
                }
                let candidate = Candidate {
                    distance: pending.place.distance(entry),
                    cell: pending.cell,
                    stream: self.stream as u32,
                    likes: !mutual || liked == Some(entry.row),
                    number: batch.numbers[pending.row as usize],
                };
                if contest.offer(entry.row, candidate, ties)? || held {
                    batch.wanted.add(pending.row);
                }
            }
        }
        Ok(true)
    }

    /// The rows of the answer for the pairs that have been found.
    fn flush(&mut self, batch: &mut Current) -> Result<Option<RecordBatch>> {
        if self.pairs.built.is_empty() {
            return Ok(None);
        }
        let Pairs { mut built, came } = std::mem::take(&mut self.pairs);
        let mut came = UInt32Array::from(came);
        let mask = {
            let (of_built, of_came) = (Part::OfMany(&self.built.rows, &built), Part::Of(&batch.located.rows, &came));
            self.spec.filtered(self.side, &of_came, &of_built, built.len())?
        };
        if let Some(mask) = mask {
            (built, came) = kept(&built, &came, &mask)?;
        }
        self.counts.pairs.add(built.len());
        if let Some(seen) = &self.built.seen {
            built.iter().for_each(|row| seen.set(*row));
        }
        came.values().iter().for_each(|row| batch.paired[*row as usize] = true);
        if !self.spec.pairs || built.is_empty() {
            return Ok(None);
        }
        let (of_built, of_came) = (Part::OfMany(&self.built.rows, &built), Part::Of(&batch.located.rows, &came));
        self.spec.answer(self.side, &of_came, &of_built, None, built.len()).map(Some)
    }

    /// What becomes of the rows of a batch, once it is known which have a pair.
    fn fates(&mut self, mut batch: Current) -> Result<Step> {
        let fate = self.spec.side(self.side).fate;
        let rows: UInt32Array = match &self.again {
            Some(again) if !again.last => {
                if let Some(seen) = &again.seen {
                    let paired = batch.paired.iter().enumerate().filter(|(_, paired)| **paired);
                    paired.for_each(|(row, _)| seen.set(batch.first + row));
                }
                UInt32Array::from(Vec::<u32>::new())
            }
            // Those that are still in the contest are given out after it.
            _ => (0_u32..)
                .zip(&batch.paired)
                .filter(|(row, paired)| !batch.wanted.has(*row) && fate.gives(**paired))
                .map(|(row, _)| row)
                .collect::<Vec<_>>()
                .into(),
        };
        if let Some(contest) = &self.built.contest {
            let all = fate != Fate::Nothing && self.again.is_none();
            contest.end(self.stream, batch.wanted.take(), all)?;
        }
        if rows.is_empty() {
            return Ok(Step::Done);
        }
        let mark = mark(fate, rows.values().iter().map(|row| batch.paired[*row as usize]));
        let part = Part::Of(&batch.located.rows, &rows);
        self.spec.answer(self.side, &part, &Part::Missing, mark, rows.len()).map(Step::Rows)
    }
}

/// The pairs that a filter is true of.
pub(super) fn kept(built: &[u32], came: &UInt32Array, mask: &BooleanArray) -> Result<(Vec<u32>, UInt32Array)> {
    let true_of = |row: &usize| mask.is_valid(*row) && mask.value(*row);
    let built = (0..built.len()).filter(true_of).map(|row| built[row]).collect();
    let came = datafusion::arrow::compute::filter(came, mask)?;
    Ok((built, came.as_primitive().clone()))
}

/// The marks of rows, if they are marked.
pub(super) fn mark(fate: Fate, paired: impl Iterator<Item = bool>) -> Option<ArrayRef> {
    (fate == Fate::Mark).then(|| Arc::new(BooleanArray::from(paired.collect::<Vec<_>>())) as ArrayRef)
}
