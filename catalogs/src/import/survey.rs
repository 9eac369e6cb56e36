//! The first pass: how many rows there are, where on the sky, which cannot be published; and so, which partitions to make.
//!
//! Only the columns that say where and what a row is are read. Where rows may be set aside and others be dropped for
//! sharing an identifier with them, all columns are: a row that is bad in any way must not stand in for a good one.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use formats::{FormatError, Place, Places, Rows, TableSource};
use sky::Pixel;

use super::{
    BadRowPolicy, DuplicatePolicy, ImportPlan, PositionPlan, Progress,
    convert::{
        Bad, CellsFrom, Columns, Converted, Good, NO_DIRECTOR, NO_DIRECTOR_ROW, Wanted, number, place_of, rank_of,
    },
    partition::{Histogram, Limits, choose},
    pool::{Stop, each_rows},
};
use crate::{
    CatalogError,
    members::keys::{Duplicates, Keep, Keyed, RowCells, RowSet},
};

/// The most bytes of rows in a partition, as far as one row is like another. A cell of the finest order may have more.
const PARTITION_BYTES: u64 = 256 << 20;

/// What is known after the first pass.
pub(super) struct Survey {
    /// Rows of each source, bad ones included.
    pub(super) rows: Vec<u64>,
    /// Bad rows by kind, as far as this pass saw them.
    pub(super) bad: BTreeMap<String, u64>,
    /// Rows of each partition along the sky, or in the order of rows.
    pub(super) spread: Spread,
    /// About how many bytes a stored row has.
    pub(super) row_bytes: usize,
    /// Rows that share their identifier with one that is kept.
    pub(super) dropped: Option<Dropped>,
    /// The cells of the rows of a child table.
    pub(super) joined: Option<Joined>,
    /// Rows of the director, counted along the sky.
    pub(super) director: Option<Histogram>,
    /// Identifiers that the director has more than once.
    pub(super) ambiguous: u64,
}

/// How the good rows are spread.
pub(super) enum Spread {
    /// Along the sky.
    Sky(Histogram),
    /// In the order of the rows: the number of the first of each few rows, and how many they are.
    Order(Vec<(u64, u64)>),
}

/// Places of rows without gaps between sources. They are known when all sources were read: how many rows a text has
/// tells nothing of the line of its last one.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    /// What is added to the place of a row in the source of each rank; after the last, how many places there are.
    offsets: Vec<u64>,
}

impl Dense {
    /// From the last place in the source of each rank.
    fn new(last: impl IntoIterator<Item = u64>) -> Self {
        let mut end = 0;
        let mut offsets = vec![end];
        for last in last {
            end += last + 1; // places begin at one
            offsets.push(end);
        }
        Self { offsets }
    }

    fn of(&self, number: u64) -> u64 {
        self.offsets[rank_of(number)] + place_of(number)
    }

    fn of_rank(&self, rank: usize) -> Range<u64> {
        self.offsets[rank]..self.offsets[rank + 1]
    }

    fn all(&self) -> u64 {
        self.offsets.last().copied().unwrap_or_default()
    }

    /// The number of the row at a place.
    fn number(&self, dense: u64) -> u64 {
        let rank = self.offsets.partition_point(|offset| *offset <= dense).saturating_sub(1);
        number(rank, Place::Row(dense - self.offsets[rank]))
    }
}

/// See [`Survey::dropped`].
pub(super) struct Dropped {
    rows: RowSet,
    dense: Dense,
}

impl Dropped {
    /// Whether a row is dropped.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.rows.contains(self.dense.of(number))
    }

    /// How many rows of all are dropped.
    pub(super) fn len(&self) -> u64 {
        self.rows.len()
    }

    /// How many rows of the sources before this rank are dropped.
    pub(super) fn before(&self, rank: usize) -> u64 {
        self.rows.within(0..self.dense.offsets[rank]).count() as u64
    }

    /// Whether rows of the source of this rank are dropped.
    pub(super) fn is_of(&self, rank: usize) -> bool {
        self.rows.within(self.dense.of_rank(rank)).next().is_some()
    }
}

/// See [`Survey::joined`].
pub(super) struct Joined {
    cells: RowCells,
    dense: Dense,
}

impl Joined {
    /// The cells of rows of a source.
    pub(super) fn of(&self, numbers: &[u64]) -> Result<Vec<Option<u64>>, CatalogError> {
        let mut cells = Vec::with_capacity(numbers.len());
        for run in numbers.chunk_by(|a, b| a + 1 == *b) {
            cells.extend(self.cells.of(self.dense.of(run[0]), run.len())?);
        }
        Ok(cells)
    }
}

/// What the passes share.
pub(super) struct Context<'a> {
    pub(super) plan: &'a ImportPlan,
    pub(super) columns: &'a Columns,
    pub(super) sources: &'a [Box<dyn TableSource>],
    /// Whether the first pass looks at every value, since no other follows.
    pub(super) is_dry: bool,
    pub(super) spill: &'a Path,
    pub(super) stop: &'a Stop,
    pub(super) progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Context<'_> {
    /// The sentence that refuses an import for a bad row, if bad rows are refused.
    pub(super) fn refuse(&self, source: usize, rows: &Rows, converted: &Converted) -> Result<(), CatalogError> {
        if self.plan.bad_rows == BadRowPolicy::SetAside {
            return Ok(());
        }
        let read = rows.bad.first().map(|bad| (bad.place, bad.reason.as_str()));
        let here = converted.bad.first_key_value().map(|(row, bad)| (rows.places.of(*row), bad.reason.as_str()));
        match read.into_iter().chain(here).min_by_key(|(place, _)| *place) {
            Some((place, reason)) => Err(self.refusal(source, place, reason)),
            None => Ok(()),
        }
    }

    fn refusal(&self, source: usize, place: Place, reason: &str) -> CatalogError {
        let why = format!("{place}: {reason} (--bad-rows set-aside publishes the other rows)");
        CatalogError::input(self.columns.source(source), why)
    }
}

/// What a row that a reader could not read is counted as.
pub(super) fn kind_of(reason: &str) -> String {
    match reason.split_once(": ") {
        Some((column, _)) if column.len() <= 64 => format!("{column} cannot be read"),
        _ => "cannot be read".to_owned(),
    }
}

/// Counts bad rows by kind; beyond a hundred kinds, as others.
pub(super) fn count(bad: &mut BTreeMap<String, u64>, kind: String) {
    let kind = if bad.len() < 100 || bad.contains_key(&kind) { kind } else { "other reasons".to_owned() };
    *bad.entry(kind).or_default() += 1;
}

struct Counted {
    rows: Vec<u64>,
    bad: BTreeMap<String, u64>,
    spread: Spread,
    keyed: Option<Keyed>,
    /// The last place in each source.
    last: Vec<u64>,
    /// Whether places are lines.
    has_lines: Vec<bool>,
    total: u64,
}

/// Surveys the sources. `base` has the keys of the table that rows are added to, in the numbering of its files;
/// `director` those of the table that the rows follow.
pub(super) fn survey(
    context: &Context<'_>,
    base: &[Box<dyn TableSource>],
    director: Option<(Keyed, Histogram)>,
    order: u8,
) -> Result<Survey, CatalogError> {
    let Context { plan, columns, sources, .. } = context;
    let row_bytes = row_bytes(sources, columns, plan.threads)?;
    let max_rows = max_rows(plan, row_bytes);
    let key = match &plan.position {
        PositionPlan::Like { key, .. } => Some(key.as_str()),
        _ => None,
    };
    let extra: Vec<&str> = plan.best_column().into_iter().chain(plan.id.as_deref()).chain(key).collect();
    let wanted = match context.is_dry || (plan.id.is_some() && plan.bad_rows == BadRowPolicy::SetAside) {
        true => columns.all(),
        false => columns.only(&extra),
    };
    let at = |name: &str| wanted.columns.iter().position(|column| columns.name(*column) == name);
    let keys = plan.id.as_deref().and_then(at).map(|key| (key, plan.best_column().and_then(at)));
    let child = key.and_then(at);
    let keyed = |column: usize, name: &str| {
        Keyed::new(name, columns.data_type(wanted.columns[column]), context.spill, plan.memory / 8)
    };
    let ids = match (&plan.id, keys) {
        (Some(id), Some((column, _))) => Some(keyed(column, id)?),
        _ => None,
    };
    let children = match (key, child) {
        (Some(key), Some(column)) => Some(Mutex::new(keyed(column, key)?)),
        _ => None,
    };
    let counted = Mutex::new(Counted {
        rows: vec![0; sources.len()],
        bad: BTreeMap::new(),
        spread: match columns.cells_from() {
            CellsFrom::Nowhere => Spread::Order(Vec::new()),
            CellsFrom::Position | CellsFrom::Director => Spread::Sky(Histogram::new(order)),
        },
        keyed: ids,
        last: vec![0; sources.len()],
        has_lines: vec![false; sources.len()],
        total: 0,
    });
    let lock = || counted.lock().unwrap_or_else(PoisonError::into_inner);
    push_base(context, base, keys.is_some(), &counted)?;
    let act = |source: usize, rows: Rows| {
        let converted = columns.convert(source, &rows.batch, &rows.places, &wanted, None)?;
        context.refuse(source, &rows, &converted)?;
        let bad: Vec<String> = converted.bad.values().map(|Bad { kind, .. }| kind.clone()).collect();
        let last = converted.numbers.values().last().map_or(0, |number| place_of(*number));
        let good = converted.good()?;
        let mut counted = lock();
        counted.rows[source] += (rows.batch.num_rows() + rows.bad.len()) as u64;
        counted.total += (rows.batch.num_rows() + rows.bad.len()) as u64;
        counted.last[source] = counted.last[source].max(last);
        counted.has_lines[source] |= matches!(rows.places, Places::Lines(_));
        bad.into_iter().for_each(|kind| count(&mut counted.bad, kind));
        rows.bad.iter().for_each(|bad| count(&mut counted.bad, kind_of(&bad.reason)));
        match &mut counted.spread {
            Spread::Sky(histogram) => good.cells.iter().for_each(|cell| histogram.count(*cell)),
            Spread::Order(marks) => {
                let step = (max_rows / 64).max(1) as usize;
                let chunks = good.numbers.values().chunks(step);
                marks.extend(chunks.map(|chunk| (chunk[0], chunk.len() as u64)));
            }
        }
        if let (Some(keyed), Some((key, best))) = (&mut counted.keyed, keys) {
            push_keys(keyed, &good, key, best)?;
        }
        if let (Some(children), Some(key)) = (&children, child) {
            let mut children = children.lock().unwrap_or_else(PoisonError::into_inner);
            push_keys(&mut children, &good, key, None)?;
        }
        let total = counted.total;
        drop(counted);
        (context.progress)(Progress::Counted(total));
        Ok(())
    };
    each_rows(sources, 0..sources.len(), &wanted.indices, plan.threads, context.stop, &act)?;
    let Counted { rows, bad, spread, keyed, last, has_lines, .. } =
        counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut survey = Survey { rows, bad, spread, row_bytes, dropped: None, joined: None, director: None, ambiguous: 0 };
    let of_base =
        plan.base.iter().flat_map(|base| base.files()).map(|file| if base.is_empty() { 0 } else { file.rows });
    let dense = Dense::new(of_base.chain(last));
    let mut unknown = RowSet::default();
    if let (Some(children), Some((director, histogram))) = (children, director) {
        let children = children.into_inner().unwrap_or_else(PoisonError::into_inner);
        unknown = survey.take_director(children, director, histogram, &dense, order)?;
        refuse_unknown(context, &unknown, &dense, &has_lines)?;
        if unknown.len() > 0 {
            survey.bad.insert(NO_DIRECTOR.to_owned(), unknown.len());
        }
    }
    if let Some(keyed) = keyed {
        survey.dropped = dropped(context, keyed, dense, &unknown)?;
    }
    Ok(survey)
}

impl Survey {
    /// Finds the cells of the rows of a child table, and counts them. The rows that belong to none are returned.
    fn take_director(
        &mut self,
        children: Keyed,
        director: Keyed,
        histogram: Histogram,
        dense: &Dense,
        order: u8,
    ) -> Result<RowSet, CatalogError> {
        let joined = children.join(director, dense.all(), |number| dense.of(number))?;
        let mut counted = Histogram::new(order);
        let mut row = 0;
        while row < dense.all() {
            let some = (dense.all() - row).min(65_536);
            joined.cells.of(row, some as usize)?.into_iter().flatten().for_each(|cell| counted.count(cell));
            row += some;
        }
        self.spread = Spread::Sky(counted);
        self.joined = Some(Joined { cells: joined.cells, dense: dense.clone() });
        self.director = Some(histogram);
        self.ambiguous = joined.ambiguous;
        Ok(joined.unknown)
    }
}

/// Names the first row that belongs to no row of the director, if bad rows are refused.
fn refuse_unknown(
    context: &Context<'_>,
    unknown: &RowSet,
    dense: &Dense,
    has_lines: &[bool],
) -> Result<(), CatalogError> {
    let first = unknown.within(0..u64::MAX).next().filter(|_| context.plan.bad_rows == BadRowPolicy::Refuse);
    let Some(first) = first.map(|place| dense.number(place)) else { return Ok(()) };
    let before = dense.offsets.len() - 1 - has_lines.len();
    let source = rank_of(first) - before;
    let place = place_of(first);
    let place = if has_lines[source] { Place::Line(place) } else { Place::Row(place) };
    Err(context.refusal(source, place, NO_DIRECTOR_ROW))
}

/// Pushes keys of good rows, run by run of rows that follow each other.
fn push_keys(keyed: &mut Keyed, good: &Good, key: usize, best: Option<usize>) -> Result<(), CatalogError> {
    let best = match best {
        Some(best) => Some(cast(&good.columns[best], &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
        None => None,
    };
    let mut first = 0;
    for run in good.numbers.values().chunk_by(|a, b| a + 1 == *b) {
        let keys: ArrayRef = good.columns[key].slice(first, run.len());
        let best: Option<Float64Array> = best.as_ref().map(|best| best.slice(first, run.len()));
        keyed.push(&keys, run[0], best.as_ref())?;
        first += run.len();
    }
    Ok(())
}

/// The keys of the table that rows are added to.
fn push_base(
    context: &Context<'_>,
    base: &[Box<dyn TableSource>],
    is_keyed: bool,
    counted: &Mutex<Counted>,
) -> Result<(), CatalogError> {
    let Some(id) = context.plan.id.as_deref().filter(|_| is_keyed && !base.is_empty()) else { return Ok(()) };
    let columns = context.plan.best_column().into_iter().chain([id]);
    let columns: Vec<&str> = columns.collect();
    let lock = || counted.lock().unwrap_or_else(PoisonError::into_inner);
    let indices = base.iter().map(|source| {
        let mut found: Vec<usize> = columns.iter().filter_map(|name| source.schema().index_of(name).ok()).collect();
        found.sort_unstable();
        found.dedup();
        Some(found)
    });
    let indices: Vec<_> = indices.collect();
    each_rows(base, 0..base.len(), &indices, context.plan.threads, context.stop, &|rank, rows| {
        let column = |name: &str| rows.batch.column_by_name(name).cloned();
        let Some(keys) = column(id) else { return Ok(()) };
        let best = match context.plan.best_column().and_then(column) {
            Some(best) => Some(cast(&best, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            None => None,
        };
        let Places::Rows(first) = rows.places else { return Ok(()) };
        match &mut lock().keyed {
            Some(keyed) => keyed.push(&keys, number(rank, Place::Row(first)), best.as_ref()),
            None => Ok(()),
        }
    })
}

/// The rows that are dropped for their identifier, or the sentence that refuses them. Those that are `unknown` to their
/// director are not published, and so stand in for no other.
fn dropped(
    context: &Context<'_>,
    keyed: Keyed,
    dense: Dense,
    unknown: &RowSet,
) -> Result<Option<Dropped>, CatalogError> {
    let plan = context.plan;
    let keep = match plan.duplicates {
        DuplicatePolicy::KeepBest(_) => Keep::Best,
        DuplicatePolicy::Refuse | DuplicatePolicy::KeepFirst => Keep::First,
    };
    let Duplicates { keys, dropped, examples } = keyed.duplicates(keep, |number| {
        let place = dense.of(number);
        (!unknown.contains(place)).then_some(place)
    })?;
    if dropped.len() == 0 {
        return Ok(None);
    }
    if plan.duplicates == DuplicatePolicy::Refuse {
        let id = plan.id.as_deref().unwrap_or_default();
        let place = |row: &u64| {
            let before = plan.base.as_ref().map_or(0, |base| base.files().len());
            let source = rank_of(*row).checked_sub(before);
            let source = source.map_or("the table", |source| context.columns.source(source));
            format!("row or line {} of {source}", place_of(*row))
        };
        let example = examples.first().map(|example| {
            let key = example.key.clone().unwrap_or_else(|| "a long text".to_owned());
            let places: Vec<String> = example.rows.iter().take(2).map(place).collect();
            format!(": {key} is that of {}", places.join(" and of "))
        });
        let why = format!("{keys} values of {id} occur more than once{}", example.unwrap_or_default());
        return Err(CatalogError::input(
            context.columns.source(0),
            format!("{why} (--duplicates keep-first or keep-best:COLUMN chooses)"),
        ));
    }
    Ok(Some(Dropped { rows: dropped, dense }))
}

/// The most rows of a partition when its bytes are bounded, too.
pub(super) fn max_rows(plan: &ImportPlan, row_bytes: usize) -> u64 {
    plan.max_rows.min(PARTITION_BYTES / row_bytes.max(1) as u64).max(1)
}

/// Bytes of a stored row, from the first rows of some of the sources.
fn row_bytes(sources: &[Box<dyn TableSource>], columns: &Columns, threads: usize) -> Result<usize, CatalogError> {
    const LOOKED_AT: usize = 8;
    let every = sources.len().div_ceil(LOOKED_AT).max(1);
    let next = Mutex::new((0..sources.len()).step_by(every));
    let work = || -> Result<(usize, usize), CatalogError> {
        let (mut bytes, mut rows) = (0, 0);
        loop {
            let source = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(source) = source else { return Ok((bytes, rows)) };
            let (more_bytes, more_rows) = first_rows(sources, source, columns)?;
            (bytes, rows) = (bytes + more_bytes, rows + more_rows);
        }
    };
    let (bytes, rows) = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(sources.len())).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            let (bytes, rows) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all = all.map(|(all_bytes, all_rows)| (all_bytes + bytes, all_rows + rows));
        }
        all
    })?;
    Ok(16 + bytes / rows.max(1))
}

/// The bytes of the first rows of a source when they are stored, and how many rows these are.
fn first_rows(
    sources: &[Box<dyn TableSource>],
    source: usize,
    columns: &Columns,
) -> Result<(usize, usize), CatalogError> {
    let wanted: Wanted = columns.all();
    let mut found = Ok((0, 0));
    let Some(piece) = sources[source].pieces(None)?.next() else { return found };
    // A fault is told when its rows are read in earnest.
    let _ = piece?.decode(&mut |read: Rows| {
        found = columns.convert(source, &read.batch, &read.places, &wanted, None).and_then(|converted| {
            let sizes = converted.columns.iter().map(|column| column.to_data().get_slice_memory_size());
            Ok((sizes.sum::<Result<usize, _>>()?, converted.numbers.len()))
        });
        Err(FormatError::bad("import", "enough was seen"))
    });
    found
}

/// A partition that will be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its cell; none in a table without positions.
    pub(super) pixel: Option<Pixel>,
    /// Its number in a table without positions.
    pub(super) part: usize,
    /// The rows that it was planned for.
    pub(super) rows: u64,
    /// The cells, or the numbers of rows, that belong to it.
    pub(super) range: Range<u64>,
}

/// The partitions for the rows that were surveyed. `fixed` cells stay as they are; parts are numbered from `first_part`.
pub(super) fn partitions(survey: &Survey, plan: &ImportPlan, fixed: &[Range<u64>], first_part: usize) -> Vec<Planned> {
    let max_rows = max_rows(plan, survey.row_bytes);
    match &survey.spread {
        Spread::Sky(histogram) => {
            let limits = Limits { max_rows, min_order: plan.min_order, max_order: plan.max_order };
            let chosen = choose(histogram, limits, fixed).into_iter();
            chosen.map(|(pixel, rows)| Planned { pixel: Some(pixel), part: 0, rows, range: pixel.range() }).collect()
        }
        Spread::Order(marks) => {
            let mut marks = marks.clone();
            marks.sort_unstable();
            let mut planned: Vec<Planned> = Vec::new();
            for (first, rows) in marks {
                match planned.last_mut() {
                    Some(last) if last.rows + rows <= max_rows => last.rows += rows,
                    last => {
                        if let Some(last) = last {
                            last.range.end = first;
                        }
                        let part = first_part + planned.len();
                        planned.push(Planned { pixel: None, part, rows, range: first..u64::MAX });
                    }
                }
            }
            planned
        }
    }
}
