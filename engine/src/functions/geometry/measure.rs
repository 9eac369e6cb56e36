//! DISTANCE, AREA, CENTROID, COORD1, COORD2 and COORDSYS.

use std::sync::Arc;

use datafusion::{
    arrow::array::{ArrayRef, Float64Array, StringArray},
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{Deg, Shape, SquareDeg};

use super::{
    call::{Operation, Settle},
    make::{Positions, position_and_numbers, shapes_among},
};
use crate::{
    functions::numbers::Numbers,
    values::{ShapeBuilder, ShapeType, Shapes},
};

pub(super) fn distance(arguments: &[ColumnarValue], rows: usize, settle: &mut Settle) -> Result<ArrayRef> {
    let points = shapes_among(arguments)?;
    let (mut from, mut to) = match points.as_slice() {
        [from, to] => (Positions::Points(from.reader()), Positions::Points(to.reader())),
        _ => {
            let (from, _) = position_and_numbers(&arguments[..2], &[])?;
            (from, Positions::Numbers(Numbers::of(&arguments[2])?, Numbers::of(&arguments[3])?))
        }
    };
    let distances = (0..rows).map(|row| {
        let (from, to) = (settle.ok(from.at(row)?)?, settle.ok(to.at(row)?)?);
        Some(Deg::from(from.distance(to)).0)
    });
    Ok(Arc::new(distances.collect::<Float64Array>()))
}

pub(super) fn of_shape(operation: Operation, argument: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let shapes = Shapes::of(argument)?;
    let mut reader = shapes.reader();
    let mut numbers = |measure: fn(&Shape) -> Option<f64>| -> ArrayRef {
        Arc::new((0..rows).map(|row| reader.at(row).and_then(measure)).collect::<Float64Array>())
    };
    Ok(match operation {
        Operation::Area => numbers(|shape| Some(SquareDeg::from(shape.area()).0)),
        Operation::Coord1 => numbers(|shape| point(shape).map(|point| point.lon.deg())),
        Operation::Coord2 => numbers(|shape| point(shape).map(|point| point.lat.deg())),
        Operation::CoordSys => Arc::new((0..rows).map(|row| reader.at(row).map(|_| "ICRS")).collect::<StringArray>()),
        _ => {
            let mut builder = ShapeBuilder::new(ShapeType::Point);
            for row in 0..rows {
                match reader.at(row).and_then(Shape::centroid) {
                    Some(centre) if builder.push(Some(&Shape::Point(centre))).is_ok() => {}
                    _ => builder.push_null(),
                }
            }
            builder.finish()
        }
    })
}

fn point(shape: &Shape) -> Option<sky::Position> {
    match shape {
        Shape::Point(position) => Some(*position),
        _ => None,
    }
}
