//! Where the rows of the side in memory are tells where those of the other side can be that have a pair.
//!
//! ```text
//!   positions in memory ─ widened by the radius ─▶ ranges of cells ─▶ Covered: in the predicate of the other side's
//! scan
//!                                                                       row groups and pages by up to 256 wide ranges
//!                                                                       rows by up to a million narrow ones
//! ```
//! The filter goes into the scan while the query is planned, and lets everything pass until the ranges are known: the
//! side in memory is read first. It may only stand where a row without a pair counts for nothing.
//!
//! What statistics are compared with is less than what rows are: so that no row group passes for one of which every row
//! was found to match, what statistics see says that there is more to it, which they do not understand.

use std::{
    f64::consts::PI,
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Field, Schema},
    },
    common::{ScalarValue, internal_err},
    error::Result,
    logical_expr::{ColumnarValue, Operator},
    physical_expr::{PhysicalExpr, expressions::BinaryExpr},
    physical_plan::ExecutionPlan,
};

use super::{
    condition::Cells,
    index::{Disc, SkyIndex, cells_around, shift},
};
use crate::table::HpxRanges;

/// The most ranges that are compared with statistics.
const FOR_STATISTICS: usize = 256;
/// The most positions whose discs are followed closely.
const FOLLOWED: usize = 300_000;
/// The order of the cells for more positions than that.
const COARSE: u8 = 8;
/// How much coarser the cells are than the discs: few discs then reach into more than one.
const COARSER: u8 = 4;

/// The cells that positions within `radius` of those of the index can be in, as ascending ranges of cells of `order`.
/// None where that is everywhere.
///
/// The radius is in radians, and beside it each layer of the index has its own.
pub(super) fn covered(index: &SkyIndex, radius: f64, order: u8) -> Option<Vec<Range<i64>>> {
    let positions: usize = index.layers().iter().map(|layer| layer.len()).sum();
    let mut cells: Vec<Range<u64>> = Vec::new();
    for layer in index.layers() {
        let disc = Disc::of_many((radius + layer.reach()).min(PI));
        let finest = disc.finest()?;
        let finest = if positions <= FOLLOWED { finest.saturating_sub(COARSER) } else { finest.min(COARSE) };
        for entry in layer.all() {
            cells_around(entry.cell, &disc, finest, |order, cell| {
                let range = cell << shift(order)..(cell + 1) << shift(order);
                if cells.last() != Some(&range) {
                    cells.push(range);
                }
            })?;
        }
    }
    cells.sort_unstable_by_key(|range| range.start);
    let coarser = shift(order);
    let mut ranges: Vec<Range<i64>> = Vec::new();
    for cells in cells {
        let (start, end) = ((cells.start >> coarser) as i64, ((cells.end - 1) >> coarser) as i64 + 1); // 62 bits
        match ranges.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => ranges.push(start..end),
        }
    }
    Some(ranges)
}

/// Ranges that are known once the side in memory has been read.
#[derive(Debug, Default)]
pub(super) struct Found(RwLock<Option<Arc<HpxRanges>>>);

impl Found {
    /// Tells them, or that there are none to be told.
    pub(super) fn tell(&self, ranges: Option<HpxRanges>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ranges.map(Arc::new);
    }

    /// Tells ranges of the cells of an input, if there are any to be told.
    pub(super) fn tell_of(
        &self,
        cells: &Cells<Arc<dyn PhysicalExpr>>,
        input: &Arc<dyn ExecutionPlan>,
        told: Option<Vec<Range<i64>>>,
    ) -> Result<()> {
        self.tell(told.map(|told| ranges(&cells.column, &input.schema(), told)).transpose()?);
        Ok(())
    }

    fn ranges(&self) -> Option<Arc<HpxRanges>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a column of cells is in ranges that are told later.
#[derive(Clone, Debug)]
pub(super) struct Covered {
    column: Arc<dyn PhysicalExpr>,
    found: Arc<Found>,
    /// Whether statistics know nothing of it.
    opaque: bool,
}

impl Covered {
    pub(super) fn new(column: &Arc<dyn PhysicalExpr>) -> Self {
        Self { column: Arc::clone(column), found: Arc::default(), opaque: false }
    }

    pub(super) fn found(&self) -> &Arc<Found> {
        &self.found
    }
}

/// Ranges of a column of an input of this schema.
fn ranges(column: &Arc<dyn PhysicalExpr>, schema: &Schema, ranges: Vec<Range<i64>>) -> Result<HpxRanges> {
    let field = Field::new("cell", column.data_type(schema)?, column.nullable(schema)?);
    Ok(HpxRanges::of_ranges(Arc::clone(column), &field, ranges))
}

impl PhysicalExpr for Covered {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.column.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.found.ranges() {
            Some(ranges) => ranges.of(&self.column).evaluate(batch),
            None => Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true)))),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match &children[..] {
            [column] => Ok(Arc::new(Self { column: Arc::clone(column), ..self.as_ref().clone() })),
            _ => internal_err!("cells of {} columns", children.len()),
        }
    }

    fn snapshot(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let ranges = self.found.ranges().filter(|_| !self.opaque);
        Ok(ranges.map(|ranges| {
            let comparisons = ranges.of(&self.column).for_statistics(FOR_STATISTICS);
            let more: Arc<dyn PhysicalExpr> = Arc::new(Self { opaque: true, ..self.clone() });
            Arc::new(BinaryExpr::new(more, Operator::And, comparisons)) as Arc<dyn PhysicalExpr>
        }))
    }

    fn snapshot_generation(&self) -> u64 {
        if self.found.ranges().is_some() { 2 } else { 1 }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found.ranges() {
            Some(ranges) => write!(f, "{} near the other side, in {} ranges", self.column, ranges.len()),
            None => write!(f, "{} near the other side", self.column),
        }
    }
}

impl PartialEq for Covered {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column) && Arc::ptr_eq(&self.found, &other.found) && self.opaque == other.opaque
    }
}

impl Eq for Covered {}

impl Hash for Covered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        Arc::as_ptr(&self.found).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::array::{AsArray, Int64Array},
        physical_expr::expressions::Column,
    };
    use proptest::prelude::*;
    use sky::{Position, healpix::cell29};

    use super::*;
    use crate::joins::index::Entry;

    fn place() -> impl Strategy<Value = Position> {
        (0.0..360.0, -1.0..1.0_f64).prop_map(|(lon, z)| Position::from_deg(lon, z.asin().to_degrees()).unwrap())
    }

    fn index(places: &[Position]) -> SkyIndex {
        let mut entries: Vec<Entry> = places.iter().map(|place| Entry::new(*place, None, 0)).collect();
        entries.sort_by_key(|entry| entry.cell);
        SkyIndex::new(entries, None)
    }

    fn column(cells: Vec<Option<i64>>) -> (Arc<dyn PhysicalExpr>, RecordBatch) {
        let schema = Arc::new(Schema::new(vec![Field::new("cell", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(cells))]).unwrap();
        (Arc::new(Column::new("cell", 0)), batch)
    }

    proptest! {
        #[test]
        fn whatever_is_near_enough_is_covered(
            places in prop::collection::vec(place(), 1..30), bearing in 0.0..std::f64::consts::TAU,
            radius in prop::sample::select(vec![0.0, 1e-9, 5e-6, 1e-3, 0.1, 0.7]), order in prop::sample::select(vec![29_u8, 18, 3]),
        ) {
            let ranges = covered(&index(&places), radius + 1e-12, order).unwrap();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            for place in &places {
                let lat = (place.lat.rad() + radius * 0.999 * bearing.cos()).clamp(-1.57, 1.57).to_degrees();
                let near = Position::from_deg(place.lon.deg(), lat).unwrap();
                if near.distance(*place).0 <= radius {
                    let cell = (cell29(near) >> shift(order)) as i64;
                    prop_assert!(ranges.iter().any(|range| range.contains(&cell)), "{near:?}");
                }
            }
        }
    }

    #[test]
    fn a_small_disc_covers_little_and_one_of_half_the_sky_everything() {
        let places: Vec<Position> = (0..1000)
            .map(|step| Position::from_deg(f64::from(step) * 0.36, f64::from(step) * 0.1 - 50.0).unwrap())
            .collect();
        let ranges = covered(&index(&places), 5e-6, 29).unwrap();
        let cells: i64 = ranges.iter().map(|range| range.end - range.start).sum();
        assert!(
            (1_000..2_500).contains(&ranges.len()) && (cells as f64) < 2e-5 * sky::healpix::CELLS_29 as f64,
            "{} {cells}",
            ranges.len()
        );
        assert_eq!(covered(&index(&places), 1.6, 29), None);
    }

    #[test]
    fn everything_passes_until_the_ranges_are_told_and_statistics_never_call_a_row_group_sure() {
        let (cell, batch) = column(vec![Some(5), Some(50), None]);
        let covered = Covered::new(&cell);
        let passes = || -> Vec<Option<bool>> {
            covered.evaluate(&batch).unwrap().into_array(3).unwrap().as_boolean().iter().collect()
        };
        assert_eq!(passes(), [Some(true); 3]);
        assert!(covered.snapshot().unwrap().is_none());
        covered.found().tell(Some(ranges(&cell, &batch.schema(), vec![0..10, 60..70]).unwrap()));
        assert_eq!(passes(), [Some(true), Some(false), Some(true)]);
        let seen = covered.snapshot().unwrap().unwrap();
        let seen = seen.downcast_ref::<BinaryExpr>().unwrap();
        assert_eq!(*seen.op(), Operator::And);
        assert!(seen.left().snapshot().unwrap().is_none());
    }
}
