//! The data files of the table: each row in its place and order, statistics kept, and what margins and indexes must hold.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type, Int64Type, UInt64Type},
};
use sky::{Arcsec, Cone, Coverage, Deg, Order, Pixel, Position, coverage::Detail};

use super::{
    Context, bounds,
    defects::Tally,
    file::{self, Visitor},
    index, layout, margin,
    places::{Placed, Places},
};
use crate::{CatalogError, ColumnMeta, ColumnStatistics, DataFile, IdEncodes, layout as paths, members::share};

/// What one thread has seen.
pub(super) struct Seen {
    rows: u64,
    margins: Vec<margin::Seen>,
    indexes: Vec<index::Seen>,
}

/// What all threads have seen, by margin and by index.
pub(super) fn by_task(seen: Vec<Seen>) -> (Vec<Vec<margin::Seen>>, Vec<Vec<index::Seen>>) {
    fn turned<T>(of_threads: Vec<Vec<T>>) -> Vec<Vec<T>> {
        let mut of_tasks: Vec<Vec<T>> = Vec::new();
        for (number, seen) in of_threads.into_iter().flat_map(|seen| seen.into_iter().enumerate()) {
            if number == of_tasks.len() {
                of_tasks.push(Vec::new());
            }
            of_tasks[number].push(seen);
        }
        of_tasks
    }
    let (margins, indexes) = seen.into_iter().map(|seen| (seen.margins, seen.indexes)).unzip();
    (turned(margins), turned(indexes))
}

/// Reads all data files. How many rows they have, and what was seen.
pub(super) async fn check(
    context: &Context,
    margins: &[margin::Task],
    indexes: &[index::Task],
) -> Result<(u64, Vec<Seen>), CatalogError> {
    let told: Arc<[_]> = statistics(context).await?.into();
    let (margins, indexes): (Arc<[_]>, Arc<[_]>) = (margins.into(), indexes.into());
    let (shared, places) = (context.clone(), Places::of(&context.snapshot));
    let threads = context.options.threads;
    let seen = share(threads, context.snapshot.files().len(), move |numbers| {
        let (context, places, told) = (shared.clone(), places.clone(), Arc::clone(&told));
        let (margins, indexes) = (Arc::clone(&margins), Arc::clone(&indexes));
        async move {
            let watched = indexes.iter().map(index::Task::watch).collect();
            let mut seen =
                Seen { rows: 0, margins: margins.iter().map(margin::Task::watch).collect(), indexes: watched };
            while let Some(number) = numbers.next() {
                check_file(&context, number, places.as_ref(), &told, &mut seen).await?;
            }
            Ok(seen)
        }
    })
    .await?;
    let rows = seen.iter().map(|seen| seen.rows).sum();
    layout::check_rows(context, rows);
    Ok((rows, seen))
}

/// The statistics of all columns. They are twenty bytes a column and file, and text a little more.
async fn statistics(context: &Context) -> Result<Vec<Option<Arc<ColumnStatistics>>>, CatalogError> {
    let mut told = Vec::new();
    for field in context.snapshot.schema().fields() {
        match context.snapshot.statistics(field.name()).await {
            Ok(statistics) => told.push(statistics),
            Err(error) if error.is_absent() => {
                context.defects.add(paths::STATISTICS, None, "it is missing");
                break;
            }
            Err(error @ (CatalogError::BadCatalog { .. } | CatalogError::Parquet(_) | CatalogError::Arrow(_))) => {
                context.defects.add(paths::STATISTICS, None, error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

async fn check_file(
    context: &Context,
    number: usize,
    places: Option<&Places>,
    told: &[Option<Arc<ColumnStatistics>>],
    seen: &mut Seen,
) -> Result<(), CatalogError> {
    let (snapshot, file) = (&context.snapshot, &context.snapshot.files()[number]);
    let descriptor = snapshot.descriptor();
    let floats = if descriptor.nan_is_null { file::float_columns(snapshot.schema()) } else { Arc::new([]) };
    let sorted_by = places.and_then(Places::healpix_column).filter(|_| descriptor.sorted);
    let faults = Faults::default();
    let mut rows = TableRows { context, file, number, places, floats, sorted_by, last: None, faults, seen };
    let read = file::read(context, file, &snapshot.path_of(file), snapshot.schema(), &mut rows).await?;
    let Some((found, count)) = read else { return Ok(()) };
    seen.rows += count;
    for (column, (field, statistics)) in snapshot.schema().fields().iter().zip(told).enumerate() {
        let Some(statistics) = statistics else { continue };
        if let Some(what) = bounds::what(&bounds::of_file(statistics, number), &found.0[column]) {
            let what = format!("the statistics of column {} in {} are wrong: {what}", field.name(), paths::STATISTICS);
            context.defects.add(&file.path, None, what);
        }
    }
    Ok(())
}

/// What is wrong with rows of one row group.
#[derive(Default)]
struct Faults {
    homeless: Tally,
    displaced: Tally,
    outside: Tally,
    beyond: Tally,
    unsorted: Tally,
    nameless: Tally,
    misplaced: Tally,
    nan: Vec<(usize, Tally)>,
    miscounted: Vec<(usize, Tally)>,
}

/// Looks at the rows of a data file.
struct TableRows<'a> {
    context: &'a Context,
    file: &'a DataFile,
    number: usize,
    places: Option<&'a Places>,
    floats: Arc<[usize]>,
    sorted_by: Option<usize>,
    last: Option<i64>,
    faults: Faults,
    seen: &'a mut Seen,
}

impl Visitor for TableRows<'_> {
    fn rows(&mut self, row_group: usize, first_row: u64, rows: &RecordBatch) -> Result<(), CatalogError> {
        if let Some(places) = self.places {
            let placed = places.look(rows)?;
            self.look_at_places(places, &placed, first_row);
            self.look_at_identifiers(&placed, first_row, rows)?;
            for margin in &mut self.seen.margins {
                margin.table_rows(self.number, row_group, first_row, rows, &placed)?;
            }
        }
        if let Some(column) = self.sorted_by {
            note_disorder(rows.column(column), &mut self.last, first_row, &mut self.faults.unsorted)?;
        }
        self.look_for_nan(first_row, rows);
        self.count_elements(first_row, rows);
        for index in &mut self.seen.indexes {
            index.table_rows(self.number, rows)?;
        }
        Ok(())
    }

    fn end(&mut self, row_group: usize) {
        let faults = std::mem::take(&mut self.faults);
        let pixel = self.file.pixel.map(|pixel| pixel.to_string()).unwrap_or_default();
        let tell = |tally: Tally, what: &str| {
            if let Some(rows) = tally.told() {
                self.context.defects.add(&self.file.path, Some(row_group), format!("{what}: {rows}"));
            }
        };
        tell(faults.homeless, "no position on the sky");
        tell(faults.displaced, "a HEALPix cell that is not that of the position");
        tell(faults.outside, &format!("outside the partition {pixel}"));
        tell(faults.beyond, "beyond the cells that the manifest tells for the file");
        tell(faults.unsorted, "after a row of a higher cell, in a table that says that it is sorted");
        if let Some(IdEncodes { column, order, slack_arcsec, .. }) = &self.context.snapshot.descriptor().id_encodes {
            tell(faults.nameless, &format!("{column} names no cell of order {order}"));
            tell(faults.misplaced, &format!("further than {slack_arcsec} arcsec from the cell that {column} names"));
        }
        for (column, tally) in faults.miscounted {
            let name = self.context.snapshot.schema().field(column).name();
            tell(tally, &format!("an array of {name} with another number of elements than have names"));
        }
        for (column, tally) in faults.nan {
            let name = self.context.snapshot.schema().field(column).name();
            tell(tally, &format!("NaN in {name}, in a table that says that it has none"));
        }
    }
}

impl TableRows<'_> {
    fn look_at_places(&mut self, places: &Places, placed: &Placed, first_row: u64) {
        let faults = &mut self.faults;
        placed.homeless.iter().for_each(|row| faults.homeless.add(first_row + *row as u64));
        placed.displaced.iter().for_each(|row| faults.displaced.add(first_row + *row as u64));
        for (row, cell) in placed.cells.iter().enumerate() {
            let Some(cell) = *cell else { continue };
            let position = placed.positions.get(row).copied().flatten();
            if self.file.pixel.is_some_and(|pixel| !places.is_inside(pixel, cell, position)) {
                faults.outside.add(first_row + row as u64);
            } else if self.file.cells.is_some_and(|(low, high)| !(low..=high).contains(&cell)) {
                let inside = self.file.pixel.is_some_and(|pixel| pixel.range().contains(&cell));
                if inside || self.context.is_ours() {
                    faults.beyond.add(first_row + row as u64);
                }
            }
        }
    }

    fn look_at_identifiers(&mut self, placed: &Placed, first_row: u64, rows: &RecordBatch) -> Result<(), CatalogError> {
        let Some(told) = &self.context.snapshot.descriptor().id_encodes else { return Ok(()) };
        let (Some(ids), Ok(order)) = (rows.column_by_name(&told.column), Order::new(told.order)) else { return Ok(()) };
        let ids = cast(ids, &DataType::UInt64)?;
        for (row, id) in ids.as_primitive::<UInt64Type>().iter().enumerate() {
            let cell = id.map(|id| id >> told.shift).and_then(|cell| Pixel::new(order, cell).ok());
            let Some(cell) = cell else {
                self.faults.nameless.add(first_row + row as u64);
                continue;
            };
            let Some(position) = placed.positions.get(row).copied().flatten() else { continue };
            if !is_near(position, cell, told.slack_arcsec) {
                self.faults.misplaced.add(first_row + row as u64);
            }
        }
        Ok(())
    }

    fn count_elements(&mut self, first_row: u64, rows: &RecordBatch) {
        for (column, field) in self.context.snapshot.schema().fields().iter().enumerate() {
            let Some(names) = ColumnMeta::of(field).element_names() else { continue };
            let arrays = rows.column(column);
            for row in (0..rows.num_rows()).filter(|row| arrays.is_valid(*row)) {
                if elements(arrays, row).is_some_and(|elements| elements != names.len()) {
                    let known = self.faults.miscounted.iter().position(|(known, _)| *known == column);
                    let known = known.unwrap_or_else(|| {
                        self.faults.miscounted.push((column, Tally::default()));
                        self.faults.miscounted.len() - 1
                    });
                    self.faults.miscounted[known].1.add(first_row + row as u64);
                }
            }
        }
    }

    fn look_for_nan(&mut self, first_row: u64, rows: &RecordBatch) {
        for column in self.floats.iter() {
            let mut tally = Tally::default();
            for row in nan_rows(rows.column(*column)) {
                tally.add(first_row + row as u64);
            }
            if tally.told().is_some() && !self.faults.nan.iter().any(|(known, _)| known == column) {
                self.faults.nan.push((*column, tally));
            }
        }
    }
}

/// Whether a position is in a cell or so near to it that a cone round it reaches the cell.
fn is_near(position: Position, cell: Pixel, slack_arcsec: f64) -> bool {
    let reaches = |cone: Cone| {
        let range = cell.range();
        Coverage::of_cone(&cone, Detail::default()).intersects_range(range.start, range.end)
    };
    Pixel::of(position, cell.order()) == cell || Cone::new(position, Deg::from(Arcsec(slack_arcsec))).is_ok_and(reaches)
}

/// How many elements the array of a row has.
fn elements(arrays: &ArrayRef, row: usize) -> Option<usize> {
    match arrays.data_type() {
        DataType::List(_) => Some(arrays.as_list::<i32>().value_length(row) as usize),
        DataType::LargeList(_) => Some(arrays.as_list::<i64>().value_length(row) as usize),
        DataType::FixedSizeList(_, size) => Some(*size as usize),
        _ => None,
    }
}

/// The rows of a floating column that are NaN and not NULL.
fn nan_rows(column: &ArrayRef) -> Vec<usize> {
    let is_nan: Vec<usize> = match column.data_type() {
        DataType::Float32 => {
            positions(column.as_primitive::<Float32Type>().values().iter().map(|value| value.is_nan()))
        }
        DataType::Float64 => {
            positions(column.as_primitive::<Float64Type>().values().iter().map(|value| value.is_nan()))
        }
        _ => Vec::new(),
    };
    is_nan.into_iter().filter(|row| column.is_valid(*row)).collect()
}

fn positions(tests: impl Iterator<Item = bool>) -> Vec<usize> {
    tests.enumerate().filter(|(_, test)| *test).map(|(row, _)| row).collect()
}

/// Counts rows of a column of cells that come after a row of a higher one, `last` being that before these.
pub(super) fn note_disorder(
    cells: &ArrayRef,
    last: &mut Option<i64>,
    first_row: u64,
    unsorted: &mut Tally,
) -> Result<(), CatalogError> {
    let cells = cast(cells, &DataType::Int64)?;
    for (row, cell) in cells.as_primitive::<Int64Type>().iter().enumerate() {
        let Some(cell) = cell else { continue };
        if last.is_some_and(|last| last > cell) {
            unsorted.add(first_row + row as u64);
        }
        *last = Some(cell);
    }
    Ok(())
}
