//! Shapes from what DALI writes, and back: `CAST(x AS POINT)`, `CAST(shape AS VARCHAR)`, and columns of tables.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray},
        datatypes::{DataType, Float64Type},
    },
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{
    Cone, Deg, Polygon, Position, Shape, SkyError,
    text::{dali, stcs},
};

use super::{call::Settle, make::push};
use crate::values::{ShapeBuilder, ShapeType, Shapes, region};

/// A shape of one kind from its text, its numbers, or a region that may be one.
pub(super) fn to_shape(
    kind: ShapeType,
    argument: &ColumnarValue,
    rows: usize,
    settle: &mut Settle,
) -> Result<ArrayRef> {
    let array = argument.to_array(rows)?;
    if ShapeType::of(array.data_type()) == Some(kind) {
        return Ok(array);
    }
    let mut builder = ShapeBuilder::new(kind);
    match array.data_type() {
        DataType::Utf8 => {
            for text in array.as_string::<i32>() {
                push(&mut builder, text.map(|text| described(kind, text)), settle);
            }
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            for row in 0..rows {
                push(&mut builder, numbers(lists, row).map(|numbers| of_numbers(kind, &numbers)), settle);
            }
        }
        _ => {
            let shapes = Shapes::of_array(&array)?;
            let mut shapes = shapes.reader();
            for row in 0..rows {
                push(&mut builder, shapes.at(row).cloned().map(Ok), settle);
            }
        }
    }
    Ok(builder.finish())
}

fn described(kind: ShapeType, text: &str) -> std::result::Result<Shape, SkyError> {
    match kind.dali() {
        Some(xtype) => dali::parse(xtype, text),
        None => region(text),
    }
}

/// The numbers of a row, without those at the end that only fill an array of fixed length.
fn numbers(lists: &ListArray, row: usize) -> Option<Vec<f64>> {
    let list = lists.is_valid(row).then(|| lists.value(row))?;
    let list = list.as_primitive::<Float64Type>();
    let end = (0..list.len()).rev().find(|place| list.is_valid(*place) && !list.value(*place).is_nan())? + 1;
    let complete = (0..end).all(|place| list.is_valid(place));
    complete.then(|| list.values()[..end].to_vec())
}

fn of_numbers(kind: ShapeType, numbers: &[f64]) -> std::result::Result<Shape, SkyError> {
    match (kind, numbers) {
        (ShapeType::Point, &[lon, lat]) => Ok(Shape::Point(Position::from_deg(lon, lat)?)),
        (ShapeType::Circle, &[lon, lat, r]) => Ok(Shape::Cone(Cone::new(Position::from_deg(lon, lat)?, Deg(r))?)),
        (ShapeType::Polygon, vertices) => Ok(Shape::Polygon(Polygon::from_deg(vertices)?)),
        _ => Err(SkyError::NotExpressible { shape: "list of so many numbers", format: kind.name() }),
    }
}

/// Text as shapes without a look at it.
pub(super) fn kept(kind: ShapeType, argument: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let texts = argument.to_array(rows)?;
    let DataType::Struct(fields) = kind.data_type() else { return Ok(texts) };
    let nulls = texts.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(fields, vec![texts], nulls)?))
}

/// The text of a shape: that of DALI, for a region that of STC-S.
pub(super) fn to_text(argument: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let array = argument.to_array(rows)?;
    let kind = ShapeType::of(array.data_type());
    let shapes = Shapes::of_array(&array)?;
    let mut shapes = shapes.reader();
    let texts = (0..rows).map(|row| {
        let shape = shapes.at(row)?;
        match kind {
            Some(ShapeType::Region) => stcs::write(None, shape).ok(),
            _ => dali::write(shape).ok().map(|(_, text)| text),
        }
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}
