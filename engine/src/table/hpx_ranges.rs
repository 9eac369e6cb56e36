//! A column of cells lies in one of many ranges.
//!
//! It is the first conjunct of what the Parquet reader is given. The reader cuts row groups and pages by its snapshot, a
//! balanced tree of comparisons, and rows by looking each up among the ranges, which costs the same for three ranges as
//! for a hundred. Both forms are true of the same rows: of a row group where the negation of the snapshot can be true
//! nowhere, the reader tests no row.
//!
//! It says where rows can be, not which rows are wanted: the exact condition always stands beside it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
        buffer::BooleanBuffer,
        compute::cast,
        datatypes::{DataType, Field, Int64Type, Schema},
    },
    common::internal_err,
    error::Result,
    logical_expr::{ColumnarValue, Operator},
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, CastExpr, Column, IsNullExpr, lit},
    },
};
use sky::coverage::CoverageRange;

/// The most ranges that are compared with the statistics of every row group and page: the predicate is built anew for
/// every file, thrice, in about 5 µs a range.
const MOST_RANGES: usize = 64;

/// Whether a column of whole numbers is in one of the ranges.
#[derive(Debug, Clone)]
pub(crate) struct HpxRanges {
    column: Arc<dyn PhysicalExpr>,
    /// Whether the column is of another type than the ranges.
    is_cast: bool,
    /// Ascending and disjoint, none empty.
    ranges: Arc<[Range<i64>]>,
    /// Whether a row without a number may be anywhere, and so is kept.
    keeps_null: bool,
}

impl HpxRanges {
    /// Cells of order 29, where the column has those of this order. Ranges with no more than `narrow` cells between them
    /// are one: for what lies between nothing less would be read.
    pub(super) fn new(column: Column, field: &Field, covered: &[CoverageRange], narrow: u64, order: u8) -> Self {
        let coarser = 2 * (29 - u32::from(order.min(29)));
        let number = |cell: u64| (cell >> coarser) as i64; // cells have 62 bits
        let ranges = covered.iter().map(|range| number(range.start)..number(range.end - 1) + 1);
        let ranges = joined(ranges, number(narrow));
        Self {
            column: Arc::new(column),
            is_cast: *field.data_type() != DataType::Int64,
            ranges: at_most(MOST_RANGES, ranges).into(),
            keeps_null: field.is_nullable(),
        }
    }

    /// Ranges that ascend, of the order that the column has, however many. They are for rows: what is made of them for
    /// statistics is [`HpxRanges::for_statistics`].
    pub(crate) fn of_ranges(column: Arc<dyn PhysicalExpr>, field: &Field, ranges: Vec<Range<i64>>) -> Self {
        let (is_cast, keeps_null) = (*field.data_type() != DataType::Int64, field.is_nullable());
        Self { column, is_cast, ranges: joined(ranges.into_iter(), 0).into(), keeps_null }
    }

    /// Comparisons that are true wherever this is, few enough for the statistics of many row groups and pages.
    pub(crate) fn for_statistics(&self, most: usize) -> Arc<dyn PhysicalExpr> {
        let few = Self { ranges: at_most(most, self.ranges.to_vec()).into(), ..self.clone() };
        few.comparisons()
    }

    /// The same of another column.
    pub(crate) fn of(&self, column: &Arc<dyn PhysicalExpr>) -> Self {
        Self { column: Arc::clone(column), ..self.clone() }
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    fn comparisons(&self) -> Arc<dyn PhysicalExpr> {
        let tree = self.tree(&self.ranges);
        if !self.keeps_null {
            return tree;
        }
        let unknown: Arc<dyn PhysicalExpr> = Arc::new(IsNullExpr::new(Arc::clone(&self.column)));
        Arc::new(BinaryExpr::new(unknown, Operator::Or, tree))
    }

    fn contain(&self, values: &[i64]) -> BooleanBuffer {
        // The first range that ends after the value before. Rows mostly ascend: it is nearly always that of the next.
        let mut at = 0;
        BooleanBuffer::collect_bool(values.len(), |row| {
            let value = values[row];
            let from = at == 0 || self.ranges[at - 1].end <= value;
            let to = self.ranges.get(at).is_none_or(|range| value < range.end);
            if !(from && to) {
                at = self.ranges.partition_point(|range| range.end <= value);
            }
            self.ranges.get(at).is_some_and(|range| range.start <= value)
        })
    }

    fn tree(&self, ranges: &[Range<i64>]) -> Arc<dyn PhysicalExpr> {
        let compared = |operator, number: i64| -> Arc<dyn PhysicalExpr> {
            let column: Arc<dyn PhysicalExpr> = match self.is_cast {
                true => Arc::new(CastExpr::new(Arc::clone(&self.column), DataType::Int64, None)),
                false => Arc::clone(&self.column),
            };
            Arc::new(BinaryExpr::new(column, operator, lit(number)))
        };
        match ranges {
            [] => lit(false),
            [only] => {
                let (from, to) = (compared(Operator::GtEq, only.start), compared(Operator::Lt, only.end));
                Arc::new(BinaryExpr::new(from, Operator::And, to))
            }
            several => {
                let (left, right) = several.split_at(several.len() / 2);
                Arc::new(BinaryExpr::new(self.tree(left), Operator::Or, self.tree(right)))
            }
        }
    }
}

/// Ranges that ascend, with those made one that overlap or have no more than `narrow` between them.
fn joined(ranges: impl Iterator<Item = Range<i64>>, narrow: i64) -> Vec<Range<i64>> {
    let mut joined: Vec<Range<i64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(narrow) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// No more than `most` ranges that hold all of these: the narrowest gaps are closed.
fn at_most(most: usize, ranges: Vec<Range<i64>>) -> Vec<Range<i64>> {
    let Some(excess) = ranges.len().checked_sub(most).filter(|excess| *excess > 0) else { return ranges };
    let mut gaps: Vec<(i64, usize)> =
        ranges.windows(2).enumerate().map(|(number, pair)| (pair[1].start - pair[0].end, number)).collect();
    gaps.select_nth_unstable(excess - 1);
    let mut closed = vec![false; ranges.len()];
    gaps[..excess].iter().for_each(|(_, number)| closed[*number] = true);
    let mut kept: Vec<Range<i64>> = Vec::with_capacity(most);
    let mut with_last = false;
    for (range, with_next) in ranges.into_iter().zip(closed) {
        match kept.last_mut() {
            Some(last) if with_last => last.end = range.end,
            _ => kept.push(range),
        }
        with_last = with_next;
    }
    kept
}

impl PhysicalExpr for HpxRanges {
    fn data_type(&self, _schema: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        Ok(!self.keeps_null && self.column.nullable(schema)?)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        let values = match values.data_type() {
            DataType::Int64 => values,
            _ => cast(&values, &DataType::Int64)?,
        };
        let Some(numbers) = values.as_primitive_opt::<Int64Type>() else {
            return internal_err!("cells of {}", values.data_type());
        };
        let inside = self.contain(numbers.values());
        let inside = match (numbers.nulls(), self.keeps_null) {
            (Some(known), true) => BooleanArray::new(&inside | &!known.inner(), None),
            (known, _) => BooleanArray::new(inside, known.cloned()),
        };
        Ok(ColumnarValue::Array(Arc::new(inside) as ArrayRef))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match &children[..] {
            [column] => Ok(Arc::new(Self { column: Arc::clone(column), ..self.as_ref().clone() })),
            _ => internal_err!("ranges of {} columns", children.len()),
        }
    }

    fn snapshot(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        Ok(Some(self.comparisons()))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for HpxRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} ranges", self.column, self.ranges.len())
    }
}

impl PartialEq for HpxRanges {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column) && self.ranges == other.ranges && self.keeps_null == other.keeps_null
    }
}

impl Eq for HpxRanges {}

impl Hash for HpxRanges {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        self.ranges.hash(state);
        self.keeps_null.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    fn batch(values: Vec<Option<i64>>) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("cell", DataType::Int64, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(values))]).unwrap()
    }

    fn covered(ranges: &[(u64, u64)]) -> Vec<CoverageRange> {
        ranges.iter().map(|(start, end)| CoverageRange { start: *start, end: *end, inside: false }).collect()
    }

    fn ranges(keeps_null: bool, covered: &[CoverageRange], order: u8) -> HpxRanges {
        let field = Field::new("cell", DataType::Int64, keeps_null);
        HpxRanges::new(Column::new("cell", 0), &field, covered, 0, order)
    }

    fn truth(expr: &dyn PhysicalExpr, batch: &RecordBatch) -> Vec<Option<bool>> {
        let array = expr.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
        array.as_boolean().iter().collect()
    }

    #[test]
    fn a_coarser_order_covers_whole_cells() {
        let cells = covered(&[(5, 6), (16, 33)]);
        assert_eq!(ranges(false, &cells, 29).ranges[..], [5..6, 16..33]);
        assert_eq!(ranges(false, &cells, 28).ranges[..], [1..2, 4..9]);
        assert_eq!(ranges(false, &cells, 27).ranges.to_vec(), vec![Range { start: 0, end: 3 }]);
    }

    #[test]
    fn what_has_no_cell_is_kept_where_it_may_be_anywhere() {
        let rows = batch(vec![Some(5), None, Some(9)]);
        let cells = covered(&[(5, 6)]);
        assert_eq!(truth(&ranges(true, &cells, 29), &rows), [Some(true), Some(true), Some(false)]);
        assert_eq!(truth(&ranges(false, &cells, 29), &rows), [Some(true), None, Some(false)]);
    }

    #[test]
    fn too_many_ranges_lose_the_narrowest_gaps() {
        let few = at_most(2, vec![0..1, 5..6, 7..8, 100..101]);
        assert_eq!(few, [0..8, 100..101]);
    }

    proptest! {
        #[test]
        fn the_snapshot_is_true_of_the_same_rows(
            steps in prop::collection::vec((1_u64..40, 1_u64..9), 1..200),
            values in prop::collection::vec(prop::option::of(0_i64..6_000), 1..200),
            keeps_null in any::<bool>(),
        ) {
            let mut end = 0;
            let cells: Vec<(u64, u64)> = steps.iter().map(|(gap, length)| {
                let start = end + gap;
                end = start + length;
                (start, end)
            }).collect();
            let cells = covered(&cells);
            let asked = ranges(keeps_null, &cells, 29);
            let rows = batch(values.clone());
            let found = truth(&asked, &rows);
            prop_assert_eq!(&found, &truth(&*asked.snapshot().unwrap().unwrap(), &rows));
            prop_assert!(asked.ranges.len() <= MOST_RANGES);
            for (value, found) in values.iter().zip(found) {
                let covered = value.map(|v| cells.iter().any(|r| r.start <= v as u64 && (v as u64) < r.end));
                prop_assert!(covered != Some(true) || found == Some(true), "nothing covered is left out");
            }
        }
    }
}
