//! What a batch of a source becomes: the table's columns and types, NULL for what is missing, degrees, cells; and which of
//! its rows cannot become that.
//!
//! ```text
//!   column ─▶ storable type ─▶ sentinels → NULL ─▶ degrees | NaN → NULL, cast, each value checked ─▶ stored column
//! ```
//! Everything is done column by column; a row is looked at by itself only to say why it is bad.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, Scalar, UInt64Array,
        new_null_array,
    },
    compute::{cast, filter, kernels::cmp, nullif},
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, Schema, SchemaRef},
    error::ArrowError,
    util::display::array_value_to_string,
};
use formats::{ColumnMeta, Place, Places, TableSource};
use sky::{Order, Pixel, Position, healpix::cell29};

use super::{
    ImportPlan,
    angle::Angle,
    shape::{OwnPosition, Shape, stored_schema},
    values::{checked_cast, nan_to_null, sentinels, storable},
};
use crate::{CatalogError, HEALPIX_COLUMN, IdCells, elements::of_other_length};

/// The number of a row among all that an import reads: ascending in the order of the sources, and in each in the order of
/// the file, whichever thread reads it. Other columns come first in a batch on its way.
pub(super) const NUMBER: &str = "almagest_row_number";

/// Bits of a row number that tell the place in its source.
pub(super) const PLACE_BITS: u32 = 40;

/// The number of a row of the source with this rank.
pub(super) fn number(rank: usize, place: Place) -> u64 {
    let (Place::Row(place) | Place::Line(place)) = place;
    (rank as u64) << PLACE_BITS | place
}

/// The place of a row in its source.
pub(super) fn place_of(number: u64) -> u64 {
    number & ((1 << PLACE_BITS) - 1)
}

/// The rank of its source.
pub(super) fn rank_of(number: u64) -> usize {
    (number >> PLACE_BITS) as usize
}

/// How far a right ascension may be outside of [0, 360) and still be taken for one that was not wrapped: two turns. What is
/// further away, such as -999, says that there is none.
const TURNS: RangeInclusive<f64> = -720.0..=1080.0;

/// The kind of rows that belong to no row of their director, and the reason.
pub(super) const NO_DIRECTOR: &str = "no director row";
pub(super) const NO_DIRECTOR_ROW: &str = "the director table has no row that it belongs to";

/// How batches of each source become batches of the table.
pub(super) struct Columns {
    stored: SchemaRef,
    moved: SchemaRef,
    fields: Vec<FieldRef>,
    sources: Vec<OneSource>,
    position: Option<[usize; 2]>,
    names: Option<[String; 2]>,
    required: Vec<usize>,
    /// The column that names cells, and how.
    encodes: Option<(usize, IdCells)>,
    /// Columns of arrays whose elements have names, and how many these are.
    lengths: Vec<(usize, usize)>,
    cells: CellsFrom,
    keep_nan: bool,
}

/// Where the cells come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellsFrom {
    /// There are none.
    Nowhere,
    /// From the row's own position.
    Position,
    /// From the row of another table.
    Director,
}

struct OneSource {
    name: String,
    /// Its place in the order of all rows.
    rank: usize,
    /// The index of each column in the source.
    found: Vec<Option<usize>>,
    angles: Option<[Angle; 2]>,
    /// For each column the values that mean "missing", one row each, of the column's storable type.
    sentinels: Vec<Vec<ArrayRef>>,
    /// Whether its rows are stored ones of the table, which are right already.
    is_stored: bool,
    /// The index of the cell column of such rows.
    cell: Option<usize>,
}

/// The columns that a pass needs.
pub(super) struct Wanted {
    /// Their numbers among the columns of the table.
    pub(super) columns: Vec<usize>,
    /// For each source, the indices of what must be read from it; all where there is none.
    pub(super) indices: Vec<Option<Vec<usize>>>,
}

/// Why a row cannot be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    /// What rows of its kind have in common, to be counted by.
    pub(super) kind: String,
    /// The reason, with the value.
    pub(super) reason: String,
}

/// A batch that is converted, bad rows included.
pub(super) struct Converted {
    /// The wanted columns.
    pub(super) columns: Vec<ArrayRef>,
    /// The cell of each row, where there are cells.
    pub(super) cells: Vec<u64>,
    /// The number of each row.
    pub(super) numbers: UInt64Array,
    /// The bad rows by their index.
    pub(super) bad: BTreeMap<usize, Bad>,
    /// Rows whose right ascension was brought into [0, 360).
    pub(super) wrapped: u64,
    /// The largest distance in degrees of a row from its cell.
    pub(super) slack: f64,
    /// The largest distance in degrees of a row from the cell that its identifier names.
    pub(super) encoded: f64,
}

/// Finds the cells of rows by their numbers.
pub(super) type CellsByNumber<'a> = &'a (dyn Fn(&[u64]) -> Result<Vec<Option<u64>>, CatalogError> + Sync);

impl Columns {
    /// The columns of a table, from sources whose rows come after those of `before` other files.
    pub(super) fn new(
        shape: &Shape,
        sources: &[Box<dyn TableSource>],
        before: usize,
        plan: &ImportPlan,
        cells: CellsFrom,
    ) -> Result<Self, CatalogError> {
        let description = plan.description.as_deref().or(shape.description.as_deref());
        let schema = stored_schema(&shape.fields, cells != CellsFrom::Nowhere, description);
        let index = |name: &str| shape.fields.iter().position(|field| field.name() == name);
        let position = shape.position.as_ref().and_then(|OwnPosition { columns, .. }| {
            Some(([index(&columns.ra)?, index(&columns.dec)?], [columns.ra.clone(), columns.dec.clone()]))
        });
        let key = match &plan.position {
            super::PositionPlan::Like { key, .. } => Some(key.as_str()),
            _ => None,
        };
        let mut one = Vec::with_capacity(sources.len());
        for (number, source) in sources.iter().enumerate() {
            let found = &shape.found[number];
            let sentinels = shape.fields.iter().zip(found).map(|(field, found)| match found {
                Some(found) => sentinels(source.as_ref(), *found, field, plan),
                None => Ok(Vec::new()),
            });
            one.push(OneSource {
                name: source.name().to_owned(),
                rank: before + number,
                found: found.clone(),
                angles: shape.position.as_ref().map(|own| own.angles[number]),
                sentinels: sentinels.collect::<Result<_, _>>()?,
                is_stored: false,
                cell: None,
            });
        }
        let number = Arc::new(Field::new(NUMBER, DataType::UInt64, false));
        let moved = std::iter::once(number).chain(schema.fields().iter().cloned());
        Ok(Self {
            moved: Arc::new(Schema::new(moved.collect::<Vec<FieldRef>>())),
            stored: schema,
            fields: shape.fields.clone(),
            sources: one,
            required: [plan.id.as_deref(), key].into_iter().flatten().filter_map(index).collect(),
            encodes: plan.id_encodes.as_ref().and_then(|ids| Some((index(&ids.column)?, ids.clone()))),
            lengths: named_elements(&shape.fields),
            names: position.as_ref().map(|(_, names)| names.clone()),
            position: position.map(|(index, _)| index),
            cells,
            keep_nan: plan.keep_nan,
        })
    }

    /// Adds a data file of the table as one more source.
    pub(super) fn add_stored(&mut self, source: &dyn TableSource, rank: usize) {
        let schema = source.schema();
        self.sources.push(OneSource {
            name: source.name().to_owned(),
            rank,
            found: self.fields.iter().map(|field| schema.index_of(field.name()).ok()).collect(),
            angles: None,
            sentinels: vec![Vec::new(); self.fields.len()],
            is_stored: true,
            cell: schema.index_of(HEALPIX_COLUMN).ok(),
        });
    }

    /// The schema of the stored rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.stored
    }

    /// The schema of rows on their way: their numbers, and then what is stored.
    pub(super) fn moved_schema(&self) -> &SchemaRef {
        &self.moved
    }

    /// Where the cells come from.
    pub(super) fn cells_from(&self) -> CellsFrom {
        self.cells
    }

    /// The names of the position columns.
    pub(super) fn position(&self) -> Option<&[String; 2]> {
        self.names.as_ref()
    }

    /// The name of a column of the table, the cell not counted.
    pub(super) fn name(&self, column: usize) -> &str {
        self.fields[column].name()
    }

    /// The type of a column of the table, the cell not counted.
    pub(super) fn data_type(&self, column: usize) -> &DataType {
        self.fields[column].data_type()
    }

    /// The name of a source, for messages.
    pub(super) fn source(&self, number: usize) -> &str {
        &self.sources[number].name
    }

    /// Whether a source holds stored rows of the table.
    pub(super) fn is_stored(&self, source: usize) -> bool {
        self.sources[source].is_stored
    }

    /// The place of a source in the order of all rows.
    pub(super) fn rank(&self, source: usize) -> usize {
        self.sources[source].rank
    }

    /// All columns.
    pub(super) fn all(&self) -> Wanted {
        Wanted { columns: (0..self.fields.len()).collect(), indices: vec![None; self.sources.len()] }
    }

    /// The columns that say where and what a row is, and those of the names given; at least one, the narrowest.
    pub(super) fn only(&self, names: &[&str]) -> Wanted {
        let named = names.iter().filter_map(|name| self.fields.iter().position(|field| field.name() == name));
        let mut columns: Vec<usize> = named.chain(self.position.into_iter().flatten()).chain(self.judged()).collect();
        columns.sort_unstable();
        columns.dedup();
        let indices = self.sources.iter().map(|source| {
            let mut indices: Vec<usize> = columns.iter().filter_map(|column| source.found[*column]).collect();
            indices.extend(source.cell);
            if indices.is_empty() {
                let present =
                    source.found.iter().zip(&self.fields).filter_map(|(found, field)| Some(((*found)?, field)));
                let narrowest = present.min_by_key(|(_, field)| field.data_type().primitive_width().unwrap_or(64));
                indices.extend(narrowest.map(|(index, _)| index));
            }
            indices.sort_unstable();
            indices.dedup();
            (!indices.is_empty()).then_some(indices)
        });
        Wanted { indices: indices.collect(), columns }
    }

    /// The columns that may make a row a bad one though each of their values can be read.
    fn judged(&self) -> impl Iterator<Item = usize> {
        let encodes = self.encodes.iter().map(|(column, _)| *column);
        self.required.iter().copied().chain(encodes).chain(self.lengths.iter().map(|(column, _)| *column))
    }

    /// Converts a batch of a source.
    pub(super) fn convert(
        &self,
        source: usize,
        batch: &RecordBatch,
        places: &Places,
        wanted: &Wanted,
        joined: Option<CellsByNumber<'_>>,
    ) -> Result<Converted, CatalogError> {
        let one = &self.sources[source];
        let rows = batch.num_rows();
        let place_in_batch = |index: usize| match &wanted.indices[source] {
            Some(indices) => indices.binary_search(&index).ok(),
            None => Some(index),
        };
        let mut bad = BTreeMap::new();
        let mut columns = Vec::with_capacity(wanted.columns.len());
        for column in &wanted.columns {
            let field = &self.fields[*column];
            let found = one.found[*column].and_then(place_in_batch);
            let values = match found {
                Some(found) => self.column(one, *column, field, batch.column(found), &mut bad)?,
                None => new_null_array(field.data_type(), rows),
            };
            if self.required.contains(column) && values.null_count() > 0 {
                for row in (0..rows).filter(|row| values.is_null(*row)) {
                    bad.entry(row).or_insert_with(|| Bad {
                        kind: format!("no {}", field.name()),
                        reason: format!("{} is empty", field.name()),
                    });
                }
            }
            columns.push(values);
        }
        let numbers = numbers(one.rank, places, rows);
        let mut converted =
            Converted { columns, cells: Vec::new(), numbers, bad, wrapped: 0, slack: 0.0, encoded: 0.0 };
        if let Some(cell) = one.cell.and_then(place_in_batch) {
            let cells = cast(batch.column(cell), &DataType::Int64)?;
            converted.cells = cells.as_primitive::<Int64Type>().values().iter().map(|cell| *cell as u64).collect();
        }
        if one.is_stored {
            return Ok(converted);
        }
        if let Some(sides) = self.position {
            self.place(&mut converted, sides, wanted)?;
        }
        if let Some(joined) = joined {
            converted.follow(joined, self.position_in(wanted))?;
        }
        let at = |column: usize| wanted.columns.iter().position(|wanted| *wanted == column);
        for (column, length) in &self.lengths {
            if let Some(values) = at(*column) {
                converted.judge_lengths(values, *length, self.name(*column));
            }
        }
        if let Some((column, ids)) = &self.encodes
            && let Some(values) = at(*column)
        {
            converted.judge_ids(values, ids, self.position_in(wanted))?;
        }
        Ok(converted)
    }

    /// One column of the table.
    fn column(
        &self,
        one: &OneSource,
        column: usize,
        field: &FieldRef,
        values: &ArrayRef,
        bad: &mut BTreeMap<usize, Bad>,
    ) -> Result<ArrayRef, ArrowError> {
        let mut values = storable(values)?;
        for sentinel in &one.sentinels[column] {
            let missing = cmp::eq(&values, &Scalar::new(sentinel))?;
            values = nullif(&values, &missing)?;
        }
        let side = self.position.and_then(|sides| sides.iter().position(|side| *side == column));
        if let (Some(side), Some(angles)) = (side, one.angles) {
            let (degrees, wrong) = angles[side].to_degrees(&values)?;
            for row in wrong {
                let text = array_value_to_string(&values, row)?;
                bad.entry(row).or_insert_with(|| Bad {
                    kind: format!("{} cannot be read", field.name()),
                    reason: format!("{}: '{text}' is no angle", field.name()),
                });
            }
            return cast(&degrees, field.data_type());
        }
        if !self.keep_nan {
            values = nan_to_null(&values)?;
        }
        let cast = checked_cast(&values, field, bad)?;
        if self.keep_nan { Ok(cast) } else { nan_to_null(&cast) }
    }

    fn position_in(&self, wanted: &Wanted) -> Option<[usize; 2]> {
        let [ra, dec] = self.position?;
        let at = |column| wanted.columns.iter().position(|wanted| *wanted == column);
        Some([at(ra)?, at(dec)?])
    }

    /// Judges the positions, wraps right ascensions, and finds the cells where they come from here.
    fn place(&self, converted: &mut Converted, sides: [usize; 2], wanted: &Wanted) -> Result<(), CatalogError> {
        let Some([ra_at, dec_at]) = self.position_in(wanted) else { return Ok(()) };
        let names = sides.map(|side| self.fields[side].name());
        let may_be_missing = self.cells == CellsFrom::Director;
        let (ra, dec) = (degrees(&converted.columns[ra_at])?, degrees(&converted.columns[dec_at])?);
        let is_single = *self.fields[sides[0]].data_type() == DataType::Float32;
        let mut turned: Option<Vec<f64>> = None;
        let mut cells = Vec::with_capacity(ra.len());
        for row in 0..ra.len() {
            let missing = [(&ra, names[0]), (&dec, names[1])].into_iter().find_map(|(values, name)| {
                if values.is_null(row) {
                    Some(format!("it has no position: {name} is empty"))
                } else if values.value(row).is_nan() {
                    Some(format!("it has no position: {name} is NaN"))
                } else {
                    None
                }
            });
            if let Some(reason) = missing {
                if !may_be_missing {
                    converted.bad.entry(row).or_insert_with(|| Bad { kind: "no position".to_owned(), reason });
                }
                cells.push(0);
                continue;
            }
            let (lon, lat) = (ra.value(row), dec.value(row));
            let kept = if (0.0..360.0).contains(&lon) { lon } else { wrapped(lon, is_single) };
            let is_turned = TURNS.contains(&lon);
            match Position::from_deg(kept, lat) {
                Ok(position) if is_turned => cells.push(cell29(position)),
                _ => {
                    let reason = if is_turned {
                        format!("{} = {lat} is no declination: it must lie between -90 and 90 degrees", names[1])
                    } else {
                        let few = "it must lie between 0 and 360 degrees, or at most two turns away";
                        format!("{} = {lon} is no right ascension: {few}", names[0])
                    };
                    let kind = "position out of range".to_owned();
                    converted.bad.entry(row).or_insert_with(|| Bad { kind, reason });
                    cells.push(0);
                    continue;
                }
            }
            if kept != lon {
                turned.get_or_insert_with(|| ra.values().to_vec())[row] = kept;
                converted.wrapped += u64::from(!converted.bad.contains_key(&row));
            }
        }
        if let Some(turned) = turned {
            let turned: ArrayRef = Arc::new(Float64Array::new(turned.into(), ra.nulls().cloned()));
            converted.columns[ra_at] = cast(&turned, self.fields[sides[0]].data_type())?;
        }
        if self.cells == CellsFrom::Position {
            converted.cells = cells;
        }
        Ok(())
    }
}

impl Converted {
    /// Takes the cells of the rows that these rows belong to.
    fn follow(&mut self, joined: CellsByNumber<'_>, position: Option<[usize; 2]>) -> Result<(), CatalogError> {
        let found = joined(self.numbers.values())?;
        let own = match position {
            Some([ra, dec]) => Some((degrees(&self.columns[ra])?, degrees(&self.columns[dec])?)),
            None => None,
        };
        self.cells = Vec::with_capacity(found.len());
        for (row, cell) in found.into_iter().enumerate() {
            let Some(cell) = cell else {
                self.bad
                    .entry(row)
                    .or_insert_with(|| Bad { kind: NO_DIRECTOR.to_owned(), reason: NO_DIRECTOR_ROW.to_owned() });
                self.cells.push(0);
                continue;
            };
            self.cells.push(cell);
            let Some((ra, dec)) = &own else { continue };
            if ra.is_null(row) || dec.is_null(row) || self.bad.contains_key(&row) {
                continue;
            }
            let (Ok(own), Ok(pixel)) =
                (Position::from_deg(ra.value(row), dec.value(row)), Pixel::new(Order::MAX, cell))
            else {
                continue;
            };
            self.slack = self.slack.max(sky::Deg::from(own.distance(pixel.center())).value());
        }
        Ok(())
    }

    /// Finds rows whose array has another number of elements than have names.
    fn judge_lengths(&mut self, column: usize, length: usize, name: &str) {
        for (row, found) in of_other_length(&self.columns[column], length) {
            self.bad.entry(row).or_insert_with(|| Bad {
                kind: format!("{name} has another number of elements"),
                reason: format!("{name} has {found} elements, and there are names for {length}"),
            });
        }
    }

    /// Finds rows whose identifier names no cell, and how far the others are from theirs.
    fn judge_ids(&mut self, column: usize, ids: &IdCells, position: Option<[usize; 2]>) -> Result<(), CatalogError> {
        let Some([ra, dec]) = position else { return Ok(()) };
        let named = ids.cells(&self.columns[column])?;
        let (ra, dec) = (degrees(&self.columns[ra])?, degrees(&self.columns[dec])?);
        for row in 0..named.len() {
            if self.bad.contains_key(&row) {
                continue;
            }
            if named.is_null(row) {
                let text = array_value_to_string(&self.columns[column], row)?;
                let text = if text.is_empty() { "it is empty" } else { &format!("{text} is none of a cell") };
                let name = &ids.column;
                self.bad.entry(row).or_insert_with(|| Bad {
                    kind: format!("{name} names no cell"),
                    reason: format!("{name} names no cell of order {}: {text}", ids.order.get()),
                });
                continue;
            }
            if ra.is_valid(row)
                && dec.is_valid(row)
                && let Ok(own) = Position::from_deg(ra.value(row), dec.value(row))
            {
                self.encoded = self.encoded.max(ids.distance(named.value(row), own).value());
            }
        }
        Ok(())
    }

    /// The rows that are not bad.
    pub(super) fn good(self) -> Result<Good, ArrowError> {
        let Self { columns, cells, numbers, bad, .. } = self;
        if bad.is_empty() {
            return Ok(Good { columns, cells, numbers });
        }
        let keep = BooleanArray::from_iter((0..numbers.len()).map(|row| Some(!bad.contains_key(&row))));
        let columns = columns.iter().map(|column| filter(column, &keep)).collect::<Result<_, _>>()?;
        let kept = |row: &usize| !bad.contains_key(row);
        let cells =
            if cells.is_empty() { cells } else { (0..numbers.len()).filter(kept).map(|row| cells[row]).collect() };
        let numbers = (0..numbers.len()).filter(kept).map(|row| numbers.value(row)).collect::<Vec<_>>();
        Ok(Good { columns, cells, numbers: numbers.into() })
    }
}

/// Rows that can be published.
pub(super) struct Good {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) cells: Vec<u64>,
    pub(super) numbers: UInt64Array,
}

impl Good {
    /// All of its columns as a batch on its way.
    pub(super) fn into_batch(self, moved: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len() + 2);
        columns.push(Arc::new(self.numbers));
        if moved.fields().get(1).is_some_and(|field| field.name() == HEALPIX_COLUMN) {
            // A cell number is below 12·4²⁹ < 2⁶².
            columns.push(Arc::new(Int64Array::from_iter_values(self.cells.iter().map(|cell| *cell as i64))));
        }
        columns.extend(self.columns);
        RecordBatch::try_new(Arc::clone(moved), columns)
    }
}

fn numbers(rank: usize, places: &Places, rows: usize) -> UInt64Array {
    match places {
        Places::Rows(first) => {
            let first = number(rank, Place::Row(*first));
            UInt64Array::from_iter_values(first..first + rows as u64)
        }
        Places::Numbers(places) | Places::Lines(places) => {
            UInt64Array::from_iter_values(places.iter().map(|place| number(rank, Place::Row(*place))))
        }
    }
}

/// The columns whose elements have names, and how many.
fn named_elements(fields: &[FieldRef]) -> Vec<(usize, usize)> {
    let names = |field: &FieldRef| ColumnMeta::of(field).element_names().map(|names| names.len());
    fields.iter().enumerate().filter_map(|(column, field)| Some((column, names(field)?))).collect()
}

fn degrees(column: &ArrayRef) -> Result<Float64Array, ArrowError> {
    Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// A right ascension brought into [0, 360), as its column can hold it.
fn wrapped(lon: f64, is_single: bool) -> f64 {
    let turned = lon.rem_euclid(360.0);
    let turned = if is_single { f64::from(turned as f32) } else { turned };
    // A tiny negative number rounds up to a full turn.
    if turned >= 360.0 || turned == 0.0 { 0.0 } else { turned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_ascensions_are_wrapped_as_their_column_can_hold_them() {
        for (lon, double, single) in
            [(-30.0, 330.0, 330.0), (360.0, 0.0, 0.0), (370.0, 10.0, 10.0), (-1e-9, 360.0 - 1e-9, 0.0)]
        {
            assert_eq!(wrapped(lon, false), double);
            assert_eq!(wrapped(lon, true), single);
        }
        assert_eq!(wrapped(-1e-20, false), 0.0);
    }

    #[test]
    fn numbers_ascend_by_source_and_then_by_place() {
        let first = numbers(0, &Places::Rows(5), 3);
        let second = numbers(1, &Places::Lines([2, 4, 9].into()), 3);
        assert_eq!(first.values().as_ref(), [5, 6, 7]);
        assert!(second.values().windows(2).all(|pair| pair[0] < pair[1]) && second.value(0) > first.value(2));
        assert_eq!(place_of(second.value(2)), 9);
    }
}
