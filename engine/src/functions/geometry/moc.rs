//! MOC, gavo_mocunion and gavo_mocintersect: regions made of HEALPix cells, of one row.

use datafusion::{
    arrow::{array::ArrayRef, array::AsArray, datatypes::Int64Type},
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{Coverage, Moc, Order, Shape, SkyError, coverage::Detail};

use super::{
    call::{Operation, Settle},
    make::push,
};
use crate::values::{ShapeBuilder, ShapeType, Shapes};

/// How many orders finer than asked for the cells along a border are looked at: a cell is taken for the disc around it.
const FINER: u8 = 2;

/// `MOC('4/1-3 5/7')` and `MOC(order, shape)`.
pub(super) fn made(arguments: &[ColumnarValue], rows: usize, settle: &mut Settle) -> Result<ArrayRef> {
    let mut builder = ShapeBuilder::new(ShapeType::Moc);
    match arguments {
        [order, shape] => {
            let orders = order.to_array(rows)?;
            let orders = orders.as_primitive::<Int64Type>();
            let shapes = Shapes::of(shape)?;
            let mut shapes = shapes.reader();
            for (row, order) in orders.iter().enumerate() {
                let made = order.zip(shapes.at(row)).map(|(order, shape)| of_shape(order, shape).map(Shape::Moc));
                push(&mut builder, made, settle);
            }
        }
        _ => {
            let texts = arguments[0].to_array(rows)?;
            for text in texts.as_string::<i32>() {
                push(&mut builder, text.map(|text| Ok(Shape::Moc(text.parse()?))), settle);
            }
        }
    }
    Ok(builder.finish())
}

/// The order that a number stands for.
pub(super) fn order(number: i64) -> std::result::Result<Order, SkyError> {
    u8::try_from(number).map_err(|_| SkyError::Order(u8::MAX)).and_then(Order::new)
}

/// The cells of an order that a shape touches.
fn of_shape(number: i64, shape: &Shape) -> std::result::Result<Moc, SkyError> {
    let order = order(number)?;
    Ok(match shape {
        Shape::Moc(moc) => moc.degraded(order),
        Shape::Point(position) => Moc::from_pixels(order, [sky::Pixel::of(*position, order)]),
        shape => {
            let finest = Order::new(order.get() + FINER).unwrap_or(Order::MAX);
            let detail = Detail::at_most(Detail::MOST).no_finer_than(finest);
            Moc::from_coverage(&Coverage::of_shape(shape, detail), order)
        }
    })
}

pub(super) fn combined(operation: Operation, arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let (first, second) = (Shapes::of(&arguments[0])?, Shapes::of(&arguments[1])?);
    let (mut first, mut second) = (first.reader(), second.reader());
    let mut builder = ShapeBuilder::new(ShapeType::Moc);
    for row in 0..rows {
        let combined = match (first.at(row), second.at(row)) {
            (Some(Shape::Moc(one)), Some(Shape::Moc(other))) => Some(Ok(Shape::Moc(match operation {
                Operation::MocUnion => one.union(other),
                _ => one.intersection(other),
            }))),
            _ => None,
        };
        push(&mut builder, combined, &mut Settle::default());
    }
    Ok(builder.finish())
}
