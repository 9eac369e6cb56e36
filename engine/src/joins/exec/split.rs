//! A join of more than fits in memory: both sides are written to disk, divided by where their rows are, and joined one
//! part of the sky after the other.
//!
//! ```text
//!   side in memory ─▶ one file, and how many rows each cell has ─▶ parts of the sky of so many rows
//!                        └─ again ─▶ a file a part: the rows that a row of the part can reach, in as many as need be
//!   other side ──────────────────▶ a file a part: each row in the one that it lies in
//! ```
//! A row that comes by finds all its pairs in its part. A row of the side in memory can have pairs in several: which
//! have one is noted in one bit for each row of the first file, and what becomes of them is told from that file in the
//! end.
//!
//! Where the discs are so wide that most rows would be in many parts, there is one part: see
//! [`pieces`](super::pieces) for how a part is joined that does not fit either.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array},
        compute::concat_batches,
        datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, UInt64Type},
    },
    error::Result,
    execution::{SendableRecordBatchStream, spill_file::SpillFile},
    physical_plan::{SpillManager, metrics::SpillMetrics},
};
use futures::{StreamExt, stream};
use sky::healpix::cell29;

use super::{
    collect::{Gathered, position},
    rows::{Bits, take_rows},
    run::Run,
    spec::{Fate, Located, Spec},
};
use crate::{
    joins::{
        condition::Side,
        index::{Disc, cells_around, shift},
        pairs::Limit,
    },
    limits::watch::checkpoint,
};

/// The cells that rows are counted in.
const COUNTED: u8 = 8;
/// How many rows are looked at to tell how many copies there would be.
const LOOKED_AT: usize = 1 << 15;
/// The most parts.
const MOST_PARTS: usize = 256;
/// In how many parts a row may be, on average.
const MOST_COPIES: usize = 4;
/// How much finer than those the cells are that a disc is followed by.
const FINER: u8 = 2;
/// How many rows of all parts wait to be written.
const WAITING: usize = 1 << 17;

/// Rows of one side as they are written: the columns that are needed, where they are, and their numbers.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) manager: SpillManager,
    schema: SchemaRef,
    columns: usize,
    rows_schema: SchemaRef,
    with_radius: bool,
}

type Writer = Box<dyn FnMut(Option<&RecordBatch>) -> Result<Option<Arc<dyn SpillFile>>> + Send>;

impl Written {
    fn new(run: &Run, spec: &Spec, side: Side, metrics: &SpillMetrics) -> Self {
        let rows = &spec.side(side).schema;
        let with_radius = spec.side(side).has_radius();
        let mut fields: Vec<Arc<Field>> = rows.fields().to_vec();
        let numbers = if with_radius { &["lon", "lat", "radius"][..] } else { &["lon", "lat"] };
        fields.extend(numbers.iter().map(|name| Arc::new(Field::new(*name, DataType::Float64, true))));
        fields.push(Arc::new(Field::new("number", DataType::UInt64, false)));
        let schema = Arc::new(Schema::new(fields));
        let manager = SpillManager::new(run.context.runtime_env(), metrics.clone(), Arc::clone(&schema))
            .with_compression_type(run.context.session_config().spill_compression());
        Self { manager, schema, columns: rows.fields().len(), rows_schema: Arc::clone(rows), with_radius }
    }

    fn pack(&self, located: &Located, first: u64) -> Result<RecordBatch> {
        let rows = located.rows.num_rows() as u64;
        let mut columns = located.rows.columns().to_vec();
        columns.push(Arc::new(located.lon.clone()));
        columns.push(Arc::new(located.lat.clone()));
        columns.extend(located.radius.clone().map(|radius| Arc::new(radius) as ArrayRef));
        columns.push(Arc::new(UInt64Array::from_iter_values(first..first + rows)));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Rows as they were before, with their numbers.
    pub(super) fn unpack(&self, batch: &RecordBatch) -> Result<(Located, Arc<[u64]>)> {
        let number = |place: usize| batch.column(place).as_primitive::<Float64Type>().clone();
        let keep: Vec<usize> = (0..self.columns).collect();
        let located = Located {
            lon: number(self.columns),
            lat: number(self.columns + 1),
            radius: self.with_radius.then(|| number(self.columns + 2)),
            cells: None,
            rows: batch.project(&keep)?.with_schema(Arc::clone(&self.rows_schema))?,
        };
        let numbers = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>().values();
        Ok((located, Arc::from(&numbers[..])))
    }

    fn writer(&self) -> Result<Writer> {
        let mut file = self.manager.create_in_progress_file("SkyJoin")?;
        Ok(Box::new(move |batch| match batch {
            Some(batch) => file.append_batch(batch).map(|_| None),
            None => file.finish(),
        }))
    }

    /// The rows of a file, in the order in which they were written.
    pub(super) fn read(&self, file: &Option<Arc<dyn SpillFile>>) -> Result<SendableRecordBatchStream> {
        match file {
            Some(file) => self.manager.read_spill_as_stream(Arc::clone(file), None),
            None => {
                let none = stream::empty();
                let adapter = datafusion::physical_plan::stream::RecordBatchStreamAdapter::new;
                Ok(Box::pin(adapter(Arc::clone(&self.schema), none)))
            }
        }
    }
}

/// A part of the sky.
#[derive(Clone, Default)]
pub(super) struct Part {
    /// Rows of the side that is in memory.
    pub(super) built: Option<Arc<dyn SpillFile>>,
    /// Rows of the other side.
    pub(super) came: Option<Arc<dyn SpillFile>>,
    pub(super) came_rows: usize,
}

/// Both sides on disk.
pub(super) struct Split {
    /// The side of which a part is in memory.
    pub(super) build: Side,
    pub(super) written: [Written; 2],
    pub(super) parts: Vec<Part>,
    /// All rows of the side in memory, where it is told in the end what becomes of them, and which have a pair.
    pub(super) all: Option<Arc<dyn SpillFile>>,
    pub(super) seen: Arc<Bits>,
}

/// What is left of one side when memory ends: rows that have been read, and streams of those that have not.
pub(super) struct Source {
    pub(super) gathered: Vec<Gathered>,
    pub(super) streams: Vec<SendableRecordBatchStream>,
}

impl Source {
    /// All rows, one batch after the other.
    fn located(self, spec: &Arc<Spec>, side: Side) -> stream::BoxStream<'static, Result<Located>> {
        let with_radius = spec.side(side).has_radius();
        let gathered = self.gathered.into_iter().flat_map(move |gathered| gathered.located(with_radius)).map(Ok);
        let spec = Arc::clone(spec);
        let streams =
            self.streams.into_iter().map(|stream| datafusion::physical_plan::common::spawn_buffered(stream, 2));
        let rest = stream::select_all(streams).map(move |batch| spec.side(side).locate(&batch?));
        stream::iter(gathered).chain(rest).boxed()
    }
}

/// Rows of one side in one file, and where they are.
struct Whole {
    file: Option<Arc<dyn SpillFile>>,
    rows: u64,
    bytes: u64,
    /// How many rows each cell has.
    counts: BTreeMap<u64, u64>,
    /// The cell of the last rows, and how many are not counted yet.
    run: (u64, u64),
    /// The largest radius, in radians.
    reach: f64,
    /// The cells of some of the rows, and their radii if they have their own.
    some: Vec<(u64, Option<f64>)>,
}

/// Divides both sides. The memory that one part may take is asked for when all rows are on disk.
pub(super) async fn split(
    run: &Run,
    build: Side,
    sources: [Source; 2],
    budget: impl FnOnce(u64) -> u64,
) -> Result<Split> {
    let spec = &run.spec;
    let metrics = SpillMetrics::new(&run.metrics, 0);
    let written = [Side::Left, Side::Right].map(|side| Written::new(run, spec, side, &metrics));
    let [left, right] = sources;
    let (built, came) = if build == Side::Left { (left, right) } else { (right, left) };
    let whole = write_all(run, &written[build as usize], built, build).await?;
    run.build_rows.add(whole.rows as usize);
    let other = build.other();
    let constant = spec.radius.and_then(|radius| Limit::new(spec.test, radius)).map_or(0.0, |limit| limit.reach);
    let budget = budget(whole.bytes);
    let mut bounds = bounds(&whole, budget);
    // A radius of the rows that come by is known when they have come.
    let (came, reach) = if spec.radius_of == Some(other) && bounds.len() > 1 {
        let came = write_all(run, &written[other as usize], came, other).await?;
        (Err(came.file), came.reach)
    } else {
        (Ok(came), constant.max(whole.reach))
    };
    if copies(&whole, &bounds, reach) >= MOST_COPIES {
        bounds.truncate(1);
    }
    let came: stream::BoxStream<'static, Result<Located>> = match came {
        Ok(source) => source.located(spec, other),
        Err(file) => read_located(&written[other as usize], &file)?,
    };
    let mut parts = vec![Part::default(); bounds.len()];
    let own = |located: &Located, row: usize, parts: &mut Vec<usize>| {
        let cell = position(&located.lon, &located.lat, row).map_or(0, cell29);
        parts.push(part_of(&bounds, cell));
    };
    let files = divide(run, &written[other as usize], came, bounds.len(), own).await?;
    for (part, (file, rows)) in parts.iter_mut().zip(files) {
        (part.came, part.came_rows) = (file, rows);
    }
    if let [part] = &mut parts[..] {
        part.built = whole.file.clone();
    } else {
        let disc = Disc::of_many(reach);
        let reaches =
            |located: &Located, row: usize, parts: &mut Vec<usize>| reached(spec, &bounds, located, row, &disc, parts);
        let rows = read_located(&written[build as usize], &whole.file)?;
        let files = divide(run, &written[build as usize], rows, bounds.len(), reaches).await?;
        parts.iter_mut().zip(files).for_each(|(part, (file, _))| part.built = file);
    }
    let told = spec.side(build).fate != Fate::Nothing;
    let seen = Bits::new(whole.rows as usize);
    Ok(Split { build, written, parts, all: whole.file.filter(|_| told), seen })
}

fn read_located(
    written: &Written,
    file: &Option<Arc<dyn SpillFile>>,
) -> Result<stream::BoxStream<'static, Result<Located>>> {
    let (columns, with_radius) = (written.columns, written.with_radius);
    let like = Written {
        manager: written.manager.clone(),
        schema: Arc::clone(&written.schema),
        rows_schema: Arc::clone(&written.rows_schema),
        columns,
        with_radius,
    };
    Ok(written.read(file)?.map(move |batch| like.unpack(&batch?).map(|(located, _)| located)).boxed())
}

/// Writes a side into one file.
async fn write_all(run: &Run, written: &Written, source: Source, side: Side) -> Result<Whole> {
    let mut writer = written.writer()?;
    let mut whole =
        Whole { file: None, rows: 0, bytes: 0, counts: BTreeMap::new(), run: (0, 0), reach: 0.0, some: Vec::new() };
    let mut every = 1;
    let mut rows = source.located(&run.spec, side);
    while let Some(located) = rows.next().await {
        checkpoint(run.options())?;
        let located = located?;
        writer(Some(&written.pack(&located, whole.rows)?))?;
        whole.rows += located.rows.num_rows() as u64;
        whole.bytes += Gathered::bytes(&located) as u64;
        for row in 0..located.rows.num_rows() {
            let Some(position) = position(&located.lon, &located.lat, row) else { continue };
            let reach = reach_of(&run.spec, &located, row);
            if located.radius.is_some() && reach.is_none() {
                continue;
            }
            let cell = cell29(position);
            whole.count(cell, reach.unwrap_or(0.0));
            if row % every == 0 {
                whole.some.push((cell, reach));
            }
        }
        if whole.some.len() > LOOKED_AT {
            let mut keep = false;
            whole.some.retain(|_| {
                keep = !keep;
                keep
            });
            every *= 2;
        }
    }
    whole.end_run(0);
    whole.file = writer(None)?;
    Ok(whole)
}

impl Whole {
    fn count(&mut self, cell: u64, reach: f64) {
        self.reach = self.reach.max(reach);
        let cell = cell >> shift(COUNTED);
        if cell != self.run.0 {
            self.end_run(cell);
        }
        self.run.1 += 1;
    }

    /// Counts the rows that came one after the other in the same cell.
    fn end_run(&mut self, next: u64) {
        let (cell, rows) = std::mem::replace(&mut self.run, (next, 0));
        if rows > 0 {
            *self.counts.entry(cell).or_default() += rows;
        }
    }
}

/// The radius of a row in radians, if it has its own.
fn reach_of(spec: &Spec, located: &Located, row: usize) -> Option<f64> {
    let radius = located.radius.as_ref().filter(|radius| radius.is_valid(row))?;
    Limit::new(spec.test, radius.value(row)).map(|limit| limit.reach)
}

/// The cells of order 29 that the parts begin with, so that each has about as many rows as the budget has room for.
fn bounds(whole: &Whole, budget: u64) -> Vec<u64> {
    let a_row = whole.bytes.div_ceil(whole.rows.max(1)).max(1);
    let most = (budget / a_row).max(whole.rows.div_ceil(MOST_PARTS as u64)).max(1);
    let (mut bounds, mut rows) = (vec![0], 0);
    for (cell, count) in &whole.counts {
        if rows > 0 && rows + count > most && bounds.len() < MOST_PARTS {
            bounds.push(cell << shift(COUNTED));
            rows = 0;
        }
        rows += count;
    }
    bounds
}

fn part_of(bounds: &[u64], cell: u64) -> usize {
    bounds.partition_point(|bound| *bound <= cell).saturating_sub(1)
}

/// In how many parts a row would be, on average.
fn copies(whole: &Whole, bounds: &[u64], reach: f64) -> usize {
    if bounds.len() == 1 {
        return 1;
    }
    let finest = COUNTED + FINER;
    let one = Disc::of_many(reach);
    let mut all = 0;
    for (cell, own) in &whole.some {
        let (own, mut parts) = (own.map(Disc::new), Vec::new());
        parts_around(bounds, *cell, own.as_ref().unwrap_or(&one), finest, &mut parts);
        all += parts.len();
    }
    all / whole.some.len().max(1)
}

/// The parts that a disc around a place reaches into.
fn parts_around(bounds: &[u64], cell: u64, disc: &Disc, finest: u8, parts: &mut Vec<usize>) {
    let known = cells_around(cell, disc, finest, |order, cell| {
        let cells: Range<u64> = cell << shift(order)..(cell + 1) << shift(order);
        let reached = part_of(bounds, cells.start)..=part_of(bounds, cells.end - 1);
        reached.for_each(|part| {
            if !parts.contains(&part) {
                parts.push(part);
            }
        });
    });
    if known.is_none() {
        parts.extend(0..bounds.len());
    }
}

/// The parts whose rows a row of the side in memory can have a pair with.
fn reached(spec: &Spec, bounds: &[u64], located: &Located, row: usize, disc: &Disc, parts: &mut Vec<usize>) {
    let Some(position) = position(&located.lon, &located.lat, row) else { return };
    let own = reach_of(spec, located, row).map(Disc::new);
    let disc = if located.radius.is_some() { own.as_ref() } else { Some(disc) };
    if let Some(disc) = disc {
        parts_around(bounds, cell29(position), disc, COUNTED + FINER, parts);
    }
}

/// Writes the rows of a side into a file for each part. Those of one row are told by `parts`.
async fn divide(
    run: &Run,
    written: &Written,
    mut rows: stream::BoxStream<'static, Result<Located>>,
    count: usize,
    parts: impl Fn(&Located, usize, &mut Vec<usize>),
) -> Result<Vec<(Option<Arc<dyn SpillFile>>, usize)>> {
    let mut writers: Vec<(Option<Writer>, usize, Vec<RecordBatch>, usize)> = Vec::new();
    writers.resize_with(count, || (None, 0, Vec::new(), 0));
    let (most, mut first) = ((WAITING / count.max(1)).clamp(64, 8192), 0);
    let (mut chosen, mut of_row): (Vec<Vec<u32>>, Vec<usize>) = (vec![Vec::new(); count], Vec::new());
    let flush = |writer: &mut (Option<Writer>, usize, Vec<RecordBatch>, usize)| -> Result<()> {
        let (file, _, waiting, waiting_rows) = writer;
        if waiting.is_empty() {
            return Ok(());
        }
        let batch = concat_batches(&written.schema, &*waiting)?;
        waiting.clear();
        *waiting_rows = 0;
        if file.is_none() {
            *file = Some(written.writer()?);
        }
        file.as_mut().map_or(Ok(None), |file| file(Some(&batch))).map(|_| ())
    };
    while let Some(located) = rows.next().await {
        checkpoint(run.options())?;
        let located = located?;
        for row in 0..located.rows.num_rows() {
            of_row.clear();
            parts(&located, row, &mut of_row);
            of_row.iter().for_each(|part| chosen[*part].push(row as u32));
        }
        let packed = written.pack(&located, first)?;
        first += located.rows.num_rows() as u64;
        for (rows, writer) in chosen.iter_mut().zip(&mut writers) {
            if rows.is_empty() {
                continue;
            }
            let rows = std::mem::take(rows);
            writer.1 += rows.len();
            writer.3 += rows.len();
            writer.2.push(take_rows(&packed, rows)?);
            if writer.3 >= most {
                flush(writer)?;
            }
        }
    }
    let mut files = Vec::with_capacity(count);
    for mut writer in writers {
        flush(&mut writer)?;
        let file = match writer.0 {
            Some(mut file) => file(None)?,
            None => None,
        };
        files.push((file, writer.1));
    }
    Ok(files)
}
