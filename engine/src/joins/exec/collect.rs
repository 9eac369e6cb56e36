//! The side that is kept in memory: gathered by all its partitions at once, then sorted by cell.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Float64Array, RecordBatch},
        row::{RowConverter, SortField},
    },
    common::{config::ConfigOptions, runtime::JoinSet, utils::memory::get_record_batch_memory_size},
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
};
use futures::StreamExt;
use sky::Position;

use super::{
    contest::Contest,
    rows::{Bits, Rows},
    spec::{Located, Spec},
};
use crate::{
    joins::{
        condition::Side,
        index::{Entry, SkyIndex},
        pairs::Limit,
    },
    limits::watch::checkpoint,
};

/// What is found in the side that is kept in memory.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) rows: Rows,
    pub(super) index: SkyIndex,
    /// The radius of each row, where it is theirs.
    pub(super) limits: Option<Vec<Option<Limit>>>,
    /// Which rows have a pair, if somebody asks.
    pub(super) seen: Option<Seen>,
    /// The best of the other side for each row, if these are asked for.
    pub(super) contest: Option<Contest>,
    /// Given back with this.
    _memory: Arc<MemoryReservation>,
}

/// Which rows have a pair.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) bits: Arc<Bits>,
    /// The number of each row among those that have bits, if it is another than here.
    pub(super) numbers: Option<Vec<u64>>,
}

impl Seen {
    pub(super) fn set(&self, row: u32) {
        let row = row as usize;
        self.bits.set(self.numbers.as_ref().map_or(row, |numbers| numbers[row] as usize));
    }
}

/// Rows that have been gathered, with their positions.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) batches: Vec<RecordBatch>,
    entries: Vec<Entry>,
    /// The radius of each row, where it is theirs.
    radii: Vec<Option<f64>>,
    rows: usize,
}

impl Gathered {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What more memory a batch takes, with its part of an index.
    pub(super) fn bytes(located: &Located) -> usize {
        let rows = located.rows.num_rows();
        let radii = if located.radius.is_some() { size_of::<Option<f64>>() + size_of::<Option<Limit>>() } else { 0 };
        get_record_batch_memory_size(&located.rows) + SkyIndex::bytes(rows).min(rows * 72) + rows * (radii + 8)
    }

    pub(super) fn push(&mut self, located: Located) {
        let Located { rows, lon, lat, radius, cells } = located;
        self.entries.reserve(rows.num_rows());
        for row in 0..rows.num_rows() {
            if let Some(position) = position(&lon, &lat, row) {
                let cell = cells.as_ref().filter(|cells| cells.is_valid(row)).map(|cells| cells.value(row) as u64);
                self.entries.push(Entry::new(position, cell, (self.rows + row) as u32));
            }
        }
        if let Some(radius) = radius {
            self.radii.extend(radius.iter());
        }
        self.rows += rows.num_rows();
        self.batches.push(rows);
    }

    fn sort(&mut self) {
        if !self.entries.is_sorted_by_key(|entry| entry.cell) {
            self.entries.sort_by_key(|entry| entry.cell); // makes use of stretches that ascend already
        }
    }

    /// Adds the rows of another part.
    fn append(&mut self, other: Self) {
        let first = self.rows as u32;
        let ascends = match (self.entries.last(), other.entries.first()) {
            (Some(last), Some(next)) => last.cell <= next.cell,
            _ => true,
        };
        self.entries.extend(other.entries.into_iter().map(|entry| Entry { row: entry.row + first, ..entry }));
        self.radii.extend(other.radii);
        self.batches.extend(other.batches);
        self.rows += other.rows;
        if !ascends {
            self.entries.sort_by_key(|entry| entry.cell);
        }
    }

    /// The batches with their positions again.
    pub(super) fn located(self, with_radius: bool) -> impl Iterator<Item = Located> {
        let mut places: Vec<Option<(f64, f64)>> = vec![None; self.rows];
        self.entries.iter().for_each(|entry| places[entry.row as usize] = Some((entry.lon, entry.lat)));
        let (radii, mut from) = (self.radii, 0);
        self.batches.into_iter().map(move |rows| {
            let to = from + rows.num_rows();
            let places = &places[from..to];
            let located = Located {
                lon: places.iter().map(|place| place.map(|place| place.0)).collect(),
                lat: places.iter().map(|place| place.map(|place| place.1)).collect(),
                radius: with_radius.then(|| Float64Array::from(radii[from..to].to_vec())),
                cells: None,
                rows,
            };
            from = to;
            located
        })
    }

    /// What is found in these rows. They have been sorted.
    pub(super) fn build(
        mut self,
        spec: &Spec,
        side: Side,
        seen: Option<Seen>,
        contest: Option<Contest>,
        memory: Arc<MemoryReservation>,
    ) -> Result<Built> {
        let rows = Rows::new(self.batches);
        if spec.nearest.is_some() {
            order_equal_cells(&mut self.entries, &rows, spec, side)?;
        }
        let own_radius = spec.side(side).has_radius();
        let limits: Option<Vec<Option<Limit>>> = own_radius
            .then(|| self.radii.iter().map(|radius| radius.and_then(|radius| Limit::new(spec.test, radius))).collect());
        let reach = |row: u32| limits.as_ref()?[row as usize].map(|limit| limit.reach);
        let index = SkyIndex::new(self.entries, own_radius.then_some(&reach));
        Ok(Built { index, limits, seen, contest, rows, _memory: memory })
    }
}

/// The position of a row; none where there is none.
#[inline]
pub(super) fn position(lon: &Float64Array, lat: &Float64Array, row: usize) -> Option<Position> {
    let known = lon.is_valid(row) && lat.is_valid(row);
    known.then(|| Position::from_deg(lon.value(row), lat.value(row)).ok()).flatten()
}

/// Puts entries of one cell in the order of their rows' columns, so that which of two equally near ones is taken
/// depends on nothing else.
fn order_equal_cells(entries: &mut [Entry], rows: &Rows, spec: &Spec, side: Side) -> Result<()> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    for run in entries.chunk_by(|one, other| one.cell == other.cell) {
        if run.len() > 1 {
            runs.push(from..from + run.len());
        }
        from += run.len();
    }
    let Some(mut order) = RowOrder::new(spec, side)? else { return Ok(()) };
    if runs.is_empty() {
        return Ok(());
    }
    let numbers: Vec<u32> = runs.iter().flat_map(|run| &entries[run.clone()]).map(|entry| entry.row).collect();
    let keys = order.keys(|column| rows.column(column, &numbers))?;
    let mut first = 0;
    for run in runs {
        let run = &mut entries[run];
        let mut ordered: Vec<(usize, Entry)> = (first..).zip(run.iter().copied()).collect();
        ordered.sort_by(|one, other| keys.row(one.0).cmp(&keys.row(other.0)));
        first += run.len();
        run.iter_mut().zip(ordered).for_each(|(entry, (_, ordered))| *entry = ordered);
    }
    Ok(())
}

/// The order of rows by their columns.
#[derive(Debug)]
pub(super) struct RowOrder {
    converter: RowConverter,
    columns: Vec<usize>,
}

impl RowOrder {
    /// None where no column of this side is asked for: no two rows differ then.
    pub(super) fn new(spec: &Spec, side: Side) -> Result<Option<Self>> {
        let fields = spec.side(side).schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let (columns, fields): (Vec<usize>, Vec<SortField>) =
            fields.enumerate().filter(|(_, field)| RowConverter::supports_fields(std::slice::from_ref(field))).unzip();
        match columns.is_empty() {
            true => Ok(None),
            false => Ok(Some(Self { converter: RowConverter::new(fields)?, columns })),
        }
    }

    pub(super) fn keys(&mut self, column: impl Fn(usize) -> Result<ArrayRef>) -> Result<datafusion::arrow::row::Rows> {
        let columns = self.columns.iter().map(|place| column(*place)).collect::<Result<Vec<_>>>()?;
        Ok(self.converter.convert_columns(&columns)?)
    }
}

/// What came of gathering one side.
pub(super) enum Outcome {
    /// All rows, sorted.
    All(Gathered),
    /// There was no more memory: what there is, and what is still to come.
    Part(Vec<Gathered>, Vec<SendableRecordBatchStream>),
}

/// Reads all partitions of a side at once.
pub(super) async fn gather(
    streams: Vec<SendableRecordBatchStream>,
    spec: &Arc<Spec>,
    side: Side,
    memory: &Arc<MemoryReservation>,
    options: &Arc<ConfigOptions>,
) -> Result<Outcome> {
    let full = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for (number, stream) in streams.into_iter().enumerate() {
        let (spec, memory, options) = (Arc::clone(spec), Arc::clone(memory), Arc::clone(options));
        let part = gather_one(stream, spec, side, memory, options, Arc::clone(&full));
        tasks.spawn(async move { (number, part.await) });
    }
    let mut parts = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        let (number, part) = joined.map_err(|error| DataFusionError::External(Box::new(error)))?;
        parts.push((number, part?));
    }
    parts.sort_unstable_by_key(|(number, _)| *number);
    let (mut gathered, mut rest): (Vec<Gathered>, Vec<_>) = parts.into_iter().map(|(_, part)| part).unzip();
    if full.load(Ordering::Relaxed) {
        return Ok(Outcome::Part(gathered, rest.drain(..).flatten().collect()));
    }
    let mut all = if gathered.is_empty() { Gathered::default() } else { gathered.remove(0) };
    gathered.into_iter().for_each(|part| all.append(part));
    Ok(Outcome::All(all))
}

async fn gather_one(
    mut stream: SendableRecordBatchStream,
    spec: Arc<Spec>,
    side: Side,
    memory: Arc<MemoryReservation>,
    options: Arc<ConfigOptions>,
    full: Arc<AtomicBool>,
) -> Result<(Gathered, Option<SendableRecordBatchStream>)> {
    let mut gathered = Gathered::default();
    while !full.load(Ordering::Relaxed) {
        let Some(batch) = stream.next().await else {
            gathered.sort();
            return Ok((gathered, None));
        };
        checkpoint(&options)?;
        let located = spec.side(side).locate(&batch?)?;
        if located.rows.num_rows() == 0 {
            continue;
        }
        let refused = memory.try_grow(Gathered::bytes(&located)).is_err();
        if refused || gathered.rows > (1 << 30) {
            full.store(true, Ordering::Relaxed);
        }
        gathered.push(located);
    }
    Ok((gathered, Some(stream)))
}

impl Gathered {
    /// These rows alone, ready to be searched.
    pub(super) fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}
