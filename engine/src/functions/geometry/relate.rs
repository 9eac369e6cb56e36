//! CONTAINS and INTERSECTS of any two shapes.
//!
//! Where they stand in a condition with a point, `rules::normalize_sky` has them computed by [`predicates`](super::predicates)
//! instead; both ask the same test of the same numbers.

use std::sync::Arc;

use datafusion::{
    arrow::array::{Array, ArrayRef, Int32Array},
    error::Result,
    logical_expr::ColumnarValue,
};

use super::{call::Operation, test::PointTest};
use crate::values::Shapes;

pub(super) fn answer(operation: Operation, arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let (first, second) = (Shapes::of(&arguments[0])?, Shapes::of(&arguments[1])?);
    let fast = match operation {
        Operation::Contains => in_one_shape(&first, &second, rows),
        _ => in_one_shape(&first, &second, rows).or_else(|| in_one_shape(&second, &first, rows)),
    };
    if let Some(answers) = fast {
        return Ok(Arc::new(answers));
    }
    let (mut first, mut second) = (first.reader(), second.reader());
    let answers = (0..rows).map(|row| {
        let (one, other) = (first.at(row)?, second.at(row)?);
        Some(i32::from(match operation {
            Operation::Contains => other.contains(one),
            _ => one.intersects(other),
        }))
    });
    Ok(Arc::new(answers.collect::<Int32Array>()))
}

/// A column of points against one shape.
fn in_one_shape(points: &Shapes, shape: &Shapes, rows: usize) -> Option<Int32Array> {
    let (lon, lat, nulls) = points.points()?;
    let Shapes::Constant(shape) = shape else { return None };
    let Some(shape) = shape else { return Some(Int32Array::new_null(rows)) };
    let test = PointTest::of(shape);
    let answers = (0..rows).map(|row| {
        let there = nulls.is_none_or(|nulls| nulls.is_valid(row)) && lon.is_valid(row) && lat.is_valid(row);
        let inside = there.then(|| test.contains_deg(lon.value(row), lat.value(row)))??;
        Some(i32::from(inside))
    });
    Some(answers.collect())
}
