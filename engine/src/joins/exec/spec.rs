//! What a join does, made plain once: which columns of each side are needed, what becomes of rows with and without a
//! pair, and how a batch of the answer is put together.

use std::sync::Arc;

use datafusion::{
    arrow::array::new_null_array,
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array},
        compute::{cast, take},
        datatypes::{DataType, Float64Type, Int64Type, Schema, SchemaRef},
    },
    common::{JoinSide, JoinType, ScalarValue, internal_err},
    error::Result,
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::joins::utils::{ColumnIndex, JoinFilter},
};

use super::rows::Rows;
use crate::joins::condition::{Cells, Nearest, Side, SkyCondition, Test};

/// What becomes of the rows of one side beside the pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are given out in pairs alone.
    Nothing,
    /// Those without a pair are given out, with NULL for the other side.
    Outer,
    /// Those with a pair are given out, once.
    Semi,
    /// Those without a pair are given out, and no pairs.
    Anti,
    /// All are given out, with a mark that tells whether they have a pair.
    Mark,
}

impl Fate {
    pub(super) fn of(join: JoinType, side: Side) -> Self {
        use JoinType::{Full, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        match (join, side) {
            (Left | Full, Side::Left) | (Right | Full, Side::Right) => Self::Outer,
            (LeftSemi, Side::Left) | (RightSemi, Side::Right) => Self::Semi,
            (LeftAnti, Side::Left) | (RightAnti, Side::Right) => Self::Anti,
            (LeftMark, Side::Left) | (RightMark, Side::Right) => Self::Mark,
            _ => Self::Nothing,
        }
    }

    /// Whether a row is given out, once it is known whether it has a pair.
    pub(super) fn gives(self, paired: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Outer | Self::Anti => !paired,
            Self::Semi => paired,
            Self::Mark => true,
        }
    }

    /// Whether rows that have no pair count for nothing.
    pub(super) fn drops_unpaired(self) -> bool {
        matches!(self, Self::Nothing | Self::Semi)
    }
}

/// One of the inputs.
#[derive(Debug)]
pub(super) struct SideSpec {
    lon: Arc<dyn PhysicalExpr>,
    lat: Arc<dyn PhysicalExpr>,
    radius: Option<Arc<dyn PhysicalExpr>>,
    /// The very cells of order 29 of the positions.
    cells: Option<Arc<dyn PhysicalExpr>>,
    /// The columns that are needed beside the positions, as the input has them.
    keep: Vec<usize>,
    /// Those columns.
    pub(super) schema: SchemaRef,
    pub(super) fate: Fate,
}

/// Rows of an input: the columns that are needed, and where each row is.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) rows: RecordBatch,
    pub(super) lon: Float64Array,
    pub(super) lat: Float64Array,
    pub(super) radius: Option<Float64Array>,
    pub(super) cells: Option<Int64Array>,
}

impl SideSpec {
    pub(super) fn locate(&self, batch: &RecordBatch) -> Result<Located> {
        Ok(Located {
            lon: numbers(&self.lon, batch)?,
            lat: numbers(&self.lat, batch)?,
            radius: self.radius.as_ref().map(|radius| numbers(radius, batch)).transpose()?,
            cells: self.cells.as_ref().map(|cells| whole_numbers(cells, batch)).transpose()?,
            rows: batch.project(&self.keep)?,
        })
    }

    pub(super) fn has_radius(&self) -> bool {
        self.radius.is_some()
    }

    /// About how many bytes a row has of the columns that are needed.
    pub(super) fn bytes_a_row(&self) -> usize {
        self.schema.fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(48)).sum::<usize>() + 8
    }
}

fn numbers(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<Float64Array> {
    let array = expr.evaluate(batch)?.into_array(batch.num_rows())?;
    let array = if *array.data_type() == DataType::Float64 { array } else { cast(&array, &DataType::Float64)? };
    Ok(array.as_primitive::<Float64Type>().clone())
}

fn whole_numbers(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<Int64Array> {
    let array = expr.evaluate(batch)?.into_array(batch.num_rows())?;
    let array = if *array.data_type() == DataType::Int64 { array } else { cast(&array, &DataType::Int64)? };
    Ok(array.as_primitive::<Int64Type>().clone())
}

/// A column of the answer: of one side, by its place among those that are kept, or the mark.
#[derive(Clone, Copy, Debug)]
struct Output {
    side: Option<Side>,
    place: usize,
}

/// What more is asked of a pair.
#[derive(Debug)]
struct PairFilter {
    expression: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    columns: Vec<Output>,
}

/// What a join does.
#[derive(Debug)]
pub(super) struct Spec {
    sides: [SideSpec; 2],
    pub(super) test: Test,
    pub(super) center: Side,
    /// In degrees; none if it is a column of one side, or NULL.
    pub(super) radius: Option<f64>,
    pub(super) radius_of: Option<Side>,
    pub(super) nearest: Option<Nearest>,
    filter: Option<PairFilter>,
    /// Whether pairs are given out.
    pub(super) pairs: bool,
    pub(super) schema: SchemaRef,
    outputs: Vec<Output>,
    pub(super) batch_size: usize,
}

/// Rows of one side in a batch of the answer.
pub(super) enum Part<'a> {
    /// These of a batch.
    Of(&'a RecordBatch, &'a UInt32Array),
    /// These of many batches.
    OfMany(&'a Rows, &'a [u32]),
    /// NULL in all columns.
    Missing,
}

impl Spec {
    pub(super) fn new(
        condition: &SkyCondition<Arc<dyn PhysicalExpr>>,
        filter: Option<&JoinFilter>,
        join_type: JoinType,
        inputs: [&SchemaRef; 2],
        columns: &[ColumnIndex],
        schema: SchemaRef,
        batch_size: usize,
    ) -> Result<Self> {
        let filtered = filter.map_or(&[][..], JoinFilter::column_indices);
        let keep = [Side::Left, Side::Right].map(|side| {
            let mut keep: Vec<usize> =
                columns.iter().chain(filtered).filter(|c| side_of(c) == Some(side)).map(|c| c.index).collect();
            keep.sort_unstable();
            keep.dedup();
            keep
        });
        let outputs = |columns: &[ColumnIndex]| -> Vec<Output> {
            let place = |column: &ColumnIndex| match side_of(column) {
                Some(side) => keep[side as usize].partition_point(|kept| *kept < column.index),
                None => 0,
            };
            columns.iter().map(|column| Output { side: side_of(column), place: place(column) }).collect()
        };
        let filter = filter.map(|filter| PairFilter {
            expression: Arc::clone(filter.expression()),
            schema: Arc::clone(filter.schema()),
            columns: outputs(filter.column_indices()),
        });
        let outputs = outputs(columns);
        let side = |side: Side, [lon, lat]: &[Arc<dyn PhysicalExpr>; 2]| -> Result<SideSpec> {
            let exact = |cells: &&Cells<_>| cells.order == 29 && cells.slack_deg == 0.0;
            let keep = keep[side as usize].clone();
            Ok(SideSpec {
                lon: Arc::clone(lon),
                lat: Arc::clone(lat),
                radius: (condition.radius_of == Some(side)).then(|| Arc::clone(&condition.radius)),
                cells: condition.cells[side as usize].as_ref().filter(exact).map(|cells| Arc::clone(&cells.column)),
                schema: Arc::new(inputs[side as usize].project(&keep)?),
                keep,
                fate: Fate::of(join_type, side),
            })
        };
        let sides = [side(Side::Left, &condition.left)?, side(Side::Right, &condition.right)?];
        let radius = match condition.radius_of {
            None => constant(&condition.radius)?,
            Some(_) => None,
        };
        Ok(Self {
            sides,
            test: condition.test,
            center: condition.center,
            radius,
            radius_of: condition.radius_of,
            nearest: condition.nearest,
            filter,
            pairs: matches!(join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full),
            schema,
            outputs,
            batch_size: batch_size.max(1),
        })
    }

    pub(super) fn side(&self, side: Side) -> &SideSpec {
        &self.sides[side as usize]
    }

    pub(super) fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// A batch of the answer of so many rows.
    pub(super) fn answer(
        &self,
        side: Side,
        one: &Part<'_>,
        other: &Part<'_>,
        mark: Option<ArrayRef>,
        rows: usize,
    ) -> Result<RecordBatch> {
        let column = |output: &Output| match (output.side, &mark) {
            (Some(of), _) => self.column(of, if of == side { one } else { other }, output.place, rows),
            (None, Some(mark)) => Ok(Arc::clone(mark)),
            (None, None) => internal_err!("a mark that nobody made"),
        };
        let columns = self.outputs.iter().map(column).collect::<Result<Vec<_>>>()?;
        batch(&self.schema, columns, rows)
    }

    fn column(&self, side: Side, part: &Part<'_>, place: usize, rows: usize) -> Result<ArrayRef> {
        Ok(match part {
            Part::Of(batch, numbers) => take(batch.column(place), *numbers, None)?,
            Part::OfMany(many, numbers) => many.column(place, numbers)?,
            Part::Missing => new_null_array(self.side(side).schema.field(place).data_type(), rows),
        })
    }

    /// Which of these pairs the filter is true of; all if there is none.
    pub(super) fn filtered(
        &self,
        side: Side,
        one: &Part<'_>,
        other: &Part<'_>,
        rows: usize,
    ) -> Result<Option<datafusion::arrow::array::BooleanArray>> {
        let Some(filter) = self.filter.as_ref().filter(|_| rows > 0) else { return Ok(None) };
        let column = |output: &Output| match output.side {
            Some(of) => self.column(of, if of == side { one } else { other }, output.place, rows),
            None => internal_err!("a filter over a mark"),
        };
        let columns = filter.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        let pairs = batch(&filter.schema, columns, rows)?;
        let answer = filter.expression.evaluate(&pairs)?.into_array(rows)?;
        match answer.as_boolean_opt() {
            Some(answer) => Ok(Some(answer.clone())),
            None => internal_err!("a filter of {}", answer.data_type()),
        }
    }
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn side_of(column: &ColumnIndex) -> Option<Side> {
    match column.side {
        JoinSide::Left => Some(Side::Left),
        JoinSide::Right => Some(Side::Right),
        JoinSide::None => None,
    }
}

/// The value of an expression that is the same for all rows.
fn constant(expr: &Arc<dyn PhysicalExpr>) -> Result<Option<f64>> {
    match expr.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty())))? {
        ColumnarValue::Scalar(value) => match value.cast_to(&DataType::Float64)? {
            ScalarValue::Float64(value) => Ok(value),
            other => internal_err!("a radius of {}", other.data_type()),
        },
        ColumnarValue::Array(_) => internal_err!("a radius that is not the same for all rows"),
    }
}
