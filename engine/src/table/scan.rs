//! The plan node that reads what was decided.
//!
//! ```text
//!   DataSourceExec: projection, predicate = HpxRanges AND whatever the optimizer pushes down
//!     ParquetSource   a schema of the needed columns only, footers kept between queries
//!     file groups     one a thread, along the sky, equal in bytes; large files cut between row groups
//!     statistics      exact where no filter is: counts and extremes are answered from them
//! ```
//! The groups of a search of a small part of the sky are one: what it reads is less than the work of dividing it.

use std::{collections::HashSet, sync::Arc};

use catalogs::{CatalogSnapshot, ColumnStatistics as Bounds, DataFile};
use datafusion::{
    arrow::{
        array::{Array, ArrayRef},
        compute::SortOptions,
        datatypes::{DataType, Schema, SchemaRef},
    },
    catalog::Session,
    common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
    functions_aggregate::min_max::{MaxAccumulator, MinAccumulator},
    logical_expr::{Accumulator, Expr},
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::ExecutionPlan,
};
use object_store::ObjectStore;
use sky::{coverage::CoverageRange, healpix::CELLS_29};

use super::{
    bounds::{self, Nan},
    decide::Decision,
    footers,
    hpx_ranges::HpxRanges,
    pieces::{self, Piece},
};
use crate::io;

/// Where fewer rows than this lie between two ranges of cells, on average, they are in the same page.
const ROWS_WORTH_A_GAP: u128 = 2_000;
/// The most ranges of columns of files that a plan carries.
const MOST_BOUNDS: usize = 1 << 16;
/// The most for the sake of the order of the rows.
const MOST_ORDERED: usize = 1 << 17;
/// The most columns whose exact extremes are told of the table as a whole: more are not asked for, but read.
const MOST_EXTREMES: usize = 8;

/// The columns of a scan: a few of the table's.
pub(super) struct Columns {
    /// In the order of the table.
    pub(super) schema: SchemaRef,
    /// What is given out, by the places in `schema`.
    pub(super) given: Vec<usize>,
    /// The column of cells among them.
    pub(super) cell: Option<usize>,
}

impl Columns {
    /// Those of a projection, with the column of cells if rows are to be found by it.
    pub(super) fn new(snapshot: &CatalogSnapshot, projection: Option<&Vec<usize>>, by_cell: bool) -> Self {
        let all = snapshot.schema();
        let asked: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..all.fields().len()).collect());
        let cell = cell_column(snapshot).filter(|cell| by_cell || asked.contains(cell));
        let mut needed: Vec<usize> = asked.iter().copied().chain(cell).collect();
        needed.sort_unstable();
        needed.dedup();
        let place = |column: usize| needed.partition_point(|other| *other < column);
        let (given, cell) = (asked.iter().map(|column| place(*column)).collect(), cell.map(place));
        let fields: Vec<_> = needed.iter().map(|column| Arc::clone(&all.fields()[*column])).collect();
        Self { schema: Arc::new(Schema::new(fields)), given, cell }
    }

    /// The columns that are read: that of cells if it is given out or tried row by row.
    pub(super) fn read(&self, filters: &[Expr]) -> HashSet<&str> {
        let name = |place: usize| self.schema.field(place).name().as_str();
        match self.has_more_than(filters) {
            true => (0..self.schema.fields().len()).map(name).collect(),
            false => self.given.iter().copied().map(name).collect(),
        }
    }

    /// Whether columns are given out that no filter names. If not, there is nothing that the reader could leave undecoded
    /// for a row that the filters throw out, and they are tried faster above it.
    fn has_more_than(&self, filters: &[Expr]) -> bool {
        let named: HashSet<&str> =
            filters.iter().flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect();
        filters.is_empty() || self.given.iter().any(|place| !named.contains(self.schema.field(*place).name().as_str()))
    }
}

/// The place of the column of cells in the table, if it is one of whole numbers.
pub(super) fn cell_column(snapshot: &CatalogSnapshot) -> Option<usize> {
    let healpix = snapshot.descriptor().healpix.as_ref()?;
    let (place, field) = snapshot.schema().column_with_name(&healpix.column)?;
    field.data_type().is_integer().then_some(place)
}

/// The scan of the decided files. There is at least one.
pub(super) async fn plan(
    snapshot: &CatalogSnapshot,
    decision: &Decision,
    columns: &Columns,
    filters: &[Expr],
    implied: Option<Arc<dyn PhysicalExpr>>,
    limit: Option<usize>,
    session: &dyn Session,
) -> Result<Arc<dyn ExecutionPlan>> {
    let (url, objects) = registered(snapshot, session)?;
    let threads = session.config().target_partitions().max(1);
    let load = Load::of(snapshot, decision);
    let statistics = statistics(snapshot, decision, columns, !filters.is_empty(), &load).await?;
    let ordering = ordering(snapshot, decision, columns);
    let bounds = FileBounds::of_scan(snapshot, decision, columns, ordering.is_some(), threads).await?;
    let counted = filters.is_empty() && limit.is_none() && is_counted(snapshot, columns).await?;
    let files = decision.files.iter().zip(&load.bytes).map(|(number, bytes)| {
        let entry = PartitionedFile::new_from_meta(snapshot.object_of(&snapshot.files()[*number]));
        let entry = match counted.then(|| Counted::of(snapshot, *number)).flatten() {
            Some(counted) => entry.with_extension(counted),
            None => entry,
        };
        Piece { file: PartitionedFile { statistics: bounds.of(*number).map(Arc::new), ..entry }, bytes: *bytes }
    });
    let groups = pieces::groups(files.collect(), threads, ordering.is_some());
    let cache = session.runtime_env().cache_manager.get_file_metadata_cache();
    let predicate = [within(snapshot, decision, columns), implied].into_iter().flatten().reduce(super::both);
    let reader = footers::kept(objects, cache, predicate.is_some() || !filters.is_empty());
    let mut source = ParquetSource::new(Arc::clone(&columns.schema))
        .with_pushdown_filters(columns.has_more_than(filters))
        .with_parquet_file_reader_factory(reader);
    if let Some(predicate) = predicate {
        source = source.with_predicate(predicate);
    }
    let scan = FileScanConfigBuilder::new(url, Arc::new(source))
        .with_file_groups(groups)
        .with_statistics(statistics)
        .with_projection_indices(Some(columns.given.clone()))?
        .with_limit(limit)
        .with_output_ordering(ordering.into_iter().collect())
        .build();
    Ok(DataSourceExec::from_data_source(scan))
}

/// The objects as this query may read them, and the name that its session knows them by.
pub(super) fn registered(
    snapshot: &CatalogSnapshot,
    session: &dyn Session,
) -> Result<(ObjectStoreUrl, Arc<dyn ObjectStore>)> {
    let store = snapshot.store();
    let url = ObjectStoreUrl::parse(format!("almagest://{:016x}", store.key()))?;
    let objects = io::objects(store, session.config_options());
    session.runtime_env().register_object_store(url.as_ref(), Arc::clone(&objects));
    Ok((url, objects))
}

/// How much of each decided file is to be read, as far as the sky tells.
struct Load {
    /// Bytes of each, at least one.
    bytes: Vec<u64>,
    rows: u64,
}

impl Load {
    fn of(snapshot: &CatalogSnapshot, decision: &Decision) -> Self {
        let files = snapshot.files();
        let share = |file: &DataFile| match (&decision.sky, file.cells) {
            (Some(sky), Some((low, high))) => covered(sky.ranges(), low, high),
            _ => 1.0,
        };
        let shares = decision.files.iter().map(|number| (&files[*number], share(&files[*number])));
        let (mut bytes, mut rows) = (Vec::with_capacity(decision.files.len()), 0.0);
        for (file, share) in shares {
            bytes.push(((file.bytes as f64 * share) as u64).max(1));
            rows += file.rows as f64 * share;
        }
        Self { bytes, rows: rows.ceil() as u64 }
    }
}

/// The covered share of the cells from `low` to `high`.
fn covered(ranges: &[CoverageRange], low: u64, high: u64) -> f64 {
    let first = ranges.partition_point(|range| range.end <= low);
    let touching = ranges[first..].iter().take_while(|range| range.start <= high);
    let cells: u64 = touching.map(|range| range.end.min(high + 1) - range.start.max(low)).sum();
    cells as f64 / (high - low + 1) as f64
}

/// Where rows can be, as the reader is told: the ranges that one of the files reaches into.
pub(super) fn within(
    snapshot: &CatalogSnapshot,
    decision: &Decision,
    columns: &Columns,
) -> Option<Arc<dyn PhysicalExpr>> {
    let (sky, place) = (decision.sky.as_ref()?, columns.cell?);
    let healpix = snapshot.descriptor().healpix.as_ref()?;
    let (mut low, mut high, mut cells, mut rows) = (u64::MAX, 0, 0_u128, 0);
    for file in decision.files.iter().map(|number| &snapshot.files()[*number]) {
        // What has no cells may have rows in all of them.
        let (first, last) = file.cells.unwrap_or((0, CELLS_29 - 1));
        (low, high) = (low.min(first), high.max(last));
        (cells, rows) = (cells + u128::from(last - first), rows + file.rows);
    }
    let narrow = (cells * ROWS_WORTH_A_GAP / u128::from(rows.max(1))).min(u128::from(CELLS_29)) as u64;
    let ranges = sky.ranges();
    let first = ranges.partition_point(|range| range.end <= low);
    let last = ranges.partition_point(|range| range.start <= high);
    let field = columns.schema.field(place);
    let column = Column::new(field.name(), place);
    Some(Arc::new(HpxRanges::new(column, field, ranges.get(first..last)?, narrow, healpix.order)))
}

/// The order of the rows within each file, where it is along the sky and seen.
fn ordering(snapshot: &CatalogSnapshot, decision: &Decision, columns: &Columns) -> Option<LexOrdering> {
    let place = columns.cell.filter(|cell| columns.given.contains(cell))?;
    let cells = |number: &usize| snapshot.files()[*number].cells;
    let ascend = |pair: &[usize]| match (cells(&pair[0]), cells(&pair[1])) {
        (Some((_, last)), Some((first, _))) => last <= first,
        _ => false,
    };
    // That files follow each other is told by their ranges, and those of one are as many as there are columns.
    let many = decision.files.len() * columns.schema.fields().len() > MOST_ORDERED;
    if many || !snapshot.descriptor().sorted || !decision.files.windows(2).all(ascend) {
        return None;
    }
    let column = Arc::new(Column::new(columns.schema.field(place).name(), place));
    LexOrdering::new([PhysicalSortExpr::new(column, SortOptions { descending: false, nulls_first: false })])
}

/// What is known of the columns of each file, by the places in the schema of the scan. Only where there are many files:
/// of a few, the footers are read as quickly.
struct FileBounds<'a> {
    files: &'a [DataFile],
    cell: Option<(usize, DataType, u32)>,
    columns: Vec<Known>,
    width: usize,
}

impl<'a> FileBounds<'a> {
    async fn of_scan(
        snapshot: &'a CatalogSnapshot,
        decision: &Decision,
        columns: &Columns,
        ordered: bool,
        threads: usize,
    ) -> Result<Self> {
        let (files, width) = (decision.files.len(), columns.schema.fields().len());
        let many = files > 2 * threads;
        let places: Vec<usize> = match many && decision.sky.is_none() && files * width <= MOST_BOUNDS {
            true => (0..width).filter(|place| Some(*place) != columns.cell).collect(),
            false => Vec::new(),
        };
        let cell = columns.cell.filter(|_| many && (ordered || !places.is_empty())).zip(cell_order(snapshot));
        let cell = cell.map(|(place, order)| {
            (place, columns.schema.field(place).data_type().clone(), 2 * (29 - u32::from(order)))
        });
        let columns = known(snapshot, columns, &places).await?;
        Ok(Self { files: snapshot.files(), cell, columns, width })
    }

    fn of(&self, number: usize) -> Option<Statistics> {
        if self.cell.is_none() && self.columns.is_empty() {
            return None;
        }
        let mut told = vec![ColumnStatistics::new_unknown(); self.width];
        if let (Some((place, data_type, coarser)), Some((low, high))) = (&self.cell, self.files[number].cells) {
            let bound = |cell: u64| {
                let cell = ScalarValue::Int64(Some((cell >> coarser) as i64)); // cells have 62 bits
                cell.cast_to(data_type).map_or(Precision::Absent, Precision::Inexact)
            };
            (told[*place].min_value, told[*place].max_value) = (bound(low), bound(high));
        }
        self.columns.iter().for_each(|known| told[known.place] = known.of_file(number));
        let num_rows = Precision::Inexact(self.files[number].rows as usize);
        Some(Statistics { num_rows, total_byte_size: Precision::Absent, column_statistics: told })
    }
}

/// What is known of the rows of a file of which nothing is given out but their cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) rows: i64,
    /// The lowest and the highest number that the column of cells may have.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Counted {
    fn of(snapshot: &CatalogSnapshot, number: usize) -> Option<Self> {
        let (file, coarser) = (&snapshot.files()[number], 2 * (29 - u32::from(cell_order(snapshot)?)));
        let cell = |cell: u64| (cell >> coarser) as i64; // cells have 62 bits
        let (first, last) = file.cells?;
        Some(Self { rows: i64::try_from(file.rows).ok()?, first: cell(first), last: cell(last) })
    }
}

/// Whether a scan gives out nothing but cells, each row has one, and they are those that its file is kept by.
async fn is_counted(snapshot: &CatalogSnapshot, columns: &Columns) -> Result<bool> {
    let table = snapshot.descriptor();
    let ours = table.data.is_none() && snapshot.position_slack().0 == 0.0;
    let Some(cell) = columns.cell.filter(|cell| ours && columns.given == [*cell]) else { return Ok(false) };
    let field = columns.schema.field(cell);
    if *field.data_type() != DataType::Int64 {
        return Ok(false);
    }
    let told = bounds::statistics(snapshot, field.name()).await?;
    Ok(told.is_some_and(|told| told.nulls.null_count() == 0 && told.nulls.values().iter().all(|nulls| *nulls == 0)))
}

fn cell_order(snapshot: &CatalogSnapshot) -> Option<u8> {
    snapshot.descriptor().healpix.as_ref().map(|healpix| healpix.order)
}

/// What is known of a column of all files.
struct Known {
    place: usize,
    bounds: Arc<Bounds>,
    nan: bool,
}

async fn known(snapshot: &CatalogSnapshot, columns: &Columns, places: &[usize]) -> Result<Vec<Known>> {
    let mut found = Vec::with_capacity(places.len());
    for place in places {
        let field = columns.schema.field(*place);
        let bounds = bounds::statistics(snapshot, field.name()).await?;
        // Of a dictionary, the bounds are of the type of its values.
        let bounds = bounds.filter(|bounds| bounds.min.data_type() == field.data_type());
        let nan = snapshot.nan_hides_in(field.name());
        found.extend(bounds.map(|bounds| Known { place: *place, bounds, nan }));
    }
    Ok(found)
}

impl Known {
    fn of_file(&self, number: usize) -> ColumnStatistics {
        let bound = |array: &ArrayRef| match ScalarValue::try_from_array(array, number) {
            Ok(value) if !value.is_null() => match self.bounds.exact.value(number) && !self.nan {
                true => Precision::Exact(value),
                false => Precision::Inexact(value),
            },
            _ => Precision::Absent,
        };
        let nulls = &self.bounds.nulls;
        let null_count = match nulls.is_valid(number) && !self.nan {
            true => Precision::Exact(nulls.value(number) as usize),
            false => Precision::Absent,
        };
        ColumnStatistics {
            min_value: bound(&self.bounds.min),
            max_value: bound(&self.bounds.max),
            null_count,
            ..ColumnStatistics::new_unknown()
        }
    }

    /// Of the whole table: exact if every file's are.
    fn of_table(&self, files: usize) -> ColumnStatistics {
        let Bounds { min, max, nulls, exact } = &*self.bounds;
        let exact = !self.nan && (0..files).all(|number| exact.value(number));
        let told = |value: Result<ScalarValue>| match value {
            Ok(value) if exact && !value.is_null() => Precision::Exact(without_sign_of_zero(value)),
            _ => Precision::Absent,
        };
        let extreme = |mut all: Box<dyn Accumulator>, bounds: &ArrayRef| {
            all.update_batch(std::slice::from_ref(bounds)).and_then(|()| all.evaluate())
        };
        let lowest = MinAccumulator::try_new(min.data_type()).and_then(|all| extreme(Box::new(all), min));
        let highest = MaxAccumulator::try_new(max.data_type()).and_then(|all| extreme(Box::new(all), max));
        let null_count = match nulls.null_count() == 0 && !self.nan {
            true => Precision::Exact(nulls.values().iter().sum::<u64>() as usize),
            false => Precision::Absent,
        };
        ColumnStatistics {
            min_value: told(lowest),
            max_value: told(highest),
            null_count,
            ..ColumnStatistics::new_unknown()
        }
    }
}

/// Bounds have the zero that is lower or higher than the other; a minimum is the number zero.
fn without_sign_of_zero(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float32(Some(value)) => ScalarValue::Float32(Some(value + 0.0)),
        ScalarValue::Float64(Some(value)) => ScalarValue::Float64(Some(value + 0.0)),
        other => other,
    }
}

/// What is known of the scan as a whole, before any filter that is pushed into it.
async fn statistics(
    snapshot: &CatalogSnapshot,
    decision: &Decision,
    columns: &Columns,
    filtered: bool,
    load: &Load,
) -> Result<Statistics> {
    let mut told = Statistics::new_unknown(&columns.schema);
    told.total_byte_size = Precision::Inexact(load.bytes.iter().sum::<u64>() as usize);
    if filtered || decision.files.len() < snapshot.files().len() {
        told.num_rows = Precision::Inexact(load.rows as usize);
        return Ok(told);
    }
    told.num_rows = Precision::Exact(snapshot.rows() as usize);
    if columns.given.len() <= MOST_EXTREMES {
        for column in known(snapshot, columns, &columns.given).await? {
            told.column_statistics[column.place] = column.of_table(snapshot.files().len());
        }
    }
    Ok(told)
}
