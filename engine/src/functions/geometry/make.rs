//! POINT, CIRCLE, BOX, POLYGON and REGION: shapes from numbers, points and text.

use datafusion::{
    arrow::array::{ArrayRef, AsArray},
    common::ScalarValue,
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{Cone, Deg, Polygon, Position, Shape, SkyBox, SkyError};

use super::call::{Operation, Settle};
use crate::{
    functions::numbers::Numbers,
    values::{ShapeBuilder, ShapeReader, ShapeType, Shapes, is_number, region},
};

/// Positions row by row, from two arguments with numbers or one with points.
pub(super) enum Positions<'a> {
    Numbers(Numbers, Numbers),
    Points(ShapeReader<'a>),
}

impl Positions<'_> {
    /// NULL is none; what is no position is refused.
    pub(super) fn at(&mut self, row: usize) -> Option<std::result::Result<Position, SkyError>> {
        match self {
            Self::Numbers(lon, lat) => Some(Position::from_deg(lon.at(row)?, lat.at(row)?)),
            Self::Points(points) => match points.at(row)? {
                Shape::Point(position) => Some(Ok(*position)),
                _ => None,
            },
        }
    }
}

/// Each argument that holds points, read by the row; those with numbers are not among them.
pub(super) fn shapes_among(arguments: &[ColumnarValue]) -> Result<Vec<Shapes>> {
    arguments.iter().filter(|argument| !is_number(&argument.data_type())).map(Shapes::of).collect()
}

/// The position at the head of the arguments, and the numbers after it.
pub(super) fn position_and_numbers<'a>(
    arguments: &[ColumnarValue],
    points: &'a [Shapes],
) -> Result<(Positions<'a>, Vec<Numbers>)> {
    let (position, rest) = match points.first() {
        Some(first) => (Positions::Points(first.reader()), &arguments[1..]),
        None => (Positions::Numbers(Numbers::of(&arguments[0])?, Numbers::of(&arguments[1])?), &arguments[2..]),
    };
    Ok((position, rest.iter().map(Numbers::of).collect::<Result<_>>()?))
}

pub(super) fn of_numbers(
    operation: Operation,
    arguments: &[ColumnarValue],
    rows: usize,
    settle: &mut Settle,
) -> Result<ArrayRef> {
    if operation == Operation::Polygon {
        return polygons(arguments, rows, settle);
    }
    let points = shapes_among(arguments)?;
    let (mut positions, numbers) = position_and_numbers(arguments, &points)?;
    let kind = match operation {
        Operation::Point => ShapeType::Point,
        Operation::Circle => ShapeType::Circle,
        _ => ShapeType::Polygon,
    };
    let mut builder = ShapeBuilder::new(kind);
    for row in 0..rows {
        let mut made = || {
            let position = positions.at(row)?;
            let number = |place: usize| numbers.get(place).and_then(|number| number.at(row));
            Some(match operation {
                Operation::Point => position.map(Shape::Point),
                Operation::Circle => {
                    let radius = Deg(number(0)?);
                    position.and_then(|center| Cone::new(center, radius)).map(Shape::Cone)
                }
                _ => {
                    let (width, height) = (Deg(number(0)?), Deg(number(1)?));
                    position.and_then(|center| SkyBox::new(center, width, height)?.to_polygon()).map(Shape::Polygon)
                }
            })
        };
        push(&mut builder, made(), settle);
    }
    Ok(builder.finish())
}

/// Adds what was made in a row.
pub(super) fn push(
    builder: &mut ShapeBuilder,
    made: Option<std::result::Result<Shape, SkyError>>,
    settle: &mut Settle,
) {
    let shape = made.and_then(|made| settle.ok(made));
    let pushed = builder.push(shape.as_ref());
    if settle.ok(pushed).is_none() {
        builder.push_null();
    }
}

fn polygons(arguments: &[ColumnarValue], rows: usize, settle: &mut Settle) -> Result<ArrayRef> {
    let points = shapes_among(arguments)?;
    let mut vertices: Vec<Positions<'_>> = if points.is_empty() {
        let pair = |pair: &[ColumnarValue]| Ok(Positions::Numbers(Numbers::of(&pair[0])?, Numbers::of(&pair[1])?));
        arguments.chunks_exact(2).map(pair).collect::<Result<_>>()?
    } else {
        points.iter().map(|points| Positions::Points(points.reader())).collect()
    };
    let mut builder = ShapeBuilder::new(ShapeType::Polygon);
    for row in 0..rows {
        let corners: Option<std::result::Result<Vec<_>, _>> =
            vertices.iter_mut().map(|vertex| vertex.at(row)).collect();
        let made = corners.map(|corners| Ok(Shape::Polygon(Polygon::new(corners?)?)));
        push(&mut builder, made, settle);
    }
    Ok(builder.finish())
}

/// REGION: of a constant the kind of shape that it describes, of a column regions.
pub(super) fn of_text(argument: &ColumnarValue, rows: usize, settle: &mut Settle) -> Result<ArrayRef> {
    match argument {
        ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))) => {
            let shape = settle.ok(region(text));
            let kind = shape.as_ref().map_or(ShapeType::Region, ShapeType::of_shape);
            let mut builder = ShapeBuilder::new(kind);
            push(&mut builder, shape.map(Ok), settle);
            Ok(builder.finish())
        }
        other => {
            let texts = other.to_array(rows)?;
            let mut builder = ShapeBuilder::new(ShapeType::Region);
            for text in texts.as_string::<i32>() {
                push(&mut builder, text.map(region), settle);
            }
            Ok(builder.finish())
        }
    }
}
