//! Which arguments each geometry function takes, and the type of its answer.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use sky::SkyError;

use super::call::Operation;
use crate::values::{ShapeType, is_number, is_text};

/// The place of an argument.
#[derive(Clone, Copy)]
enum Slot {
    Number,
    Point,
    Shape,
    Moc,
    Text,
    /// A whole number.
    Order,
    /// Numbers in a list.
    List,
}

impl Slot {
    /// The type that an argument of this type becomes here; none if it does not fit.
    fn fit(self, given: &DataType) -> Option<DataType> {
        let shape = ShapeType::of(given);
        let null = given == &DataType::Null;
        match self {
            Self::Number => (null || is_number(given)).then_some(DataType::Float64),
            Self::Order => (null || given.is_integer()).then_some(DataType::Int64),
            Self::Text => (null || is_text(given)).then_some(DataType::Utf8),
            Self::Point if null || shape == Some(ShapeType::Point) => Some(ShapeType::Point.data_type()),
            Self::Moc if null || shape == Some(ShapeType::Moc) => Some(ShapeType::Moc.data_type()),
            Self::Shape if null => Some(ShapeType::Point.data_type()),
            Self::Shape => shape.map(ShapeType::data_type),
            Self::List => match given {
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)
                    if is_number(item.data_type()) =>
                {
                    Some(DataType::List(Arc::new(Field::new("item", DataType::Float64, true))))
                }
                _ => None,
            },
            Self::Point | Self::Moc => None,
        }
    }
}

/// The types that these arguments become; none if they fit no form, and a sentence where one can say more.
pub(super) fn coerced(operation: Operation, given: &[DataType]) -> Result<Option<Vec<DataType>>, SkyError> {
    let (system, rest) = match given {
        [first, rest @ ..] if operation.takes_system() && is_text(first) && !rest.is_empty() => (true, rest),
        all => (false, all),
    };
    let fitting = forms(operation, rest).into_iter().find_map(|form| {
        let types = form.iter().zip(rest).map(|(slot, given)| slot.fit(given));
        (form.len() == rest.len()).then(|| types.collect::<Option<Vec<_>>>())?
    });
    if operation == Operation::Polygon && fitting.is_none() && rest.iter().all(is_number) && !rest.is_empty() {
        return Err(match rest.len() % 2 {
            0 => SkyError::TooFewVertices(rest.len() / 2),
            _ => SkyError::OddCoordinates(rest.len()),
        });
    }
    Ok(fitting.map(|types| system.then_some(DataType::Utf8).into_iter().chain(types).collect()))
}

fn forms(operation: Operation, given: &[DataType]) -> Vec<Vec<Slot>> {
    use Slot::{List, Moc, Number, Order, Point, Shape, Text};
    let count = given.len();
    match operation {
        Operation::Point => vec![vec![Number; 2]],
        Operation::Circle => vec![vec![Number; 3], vec![Point, Number]],
        Operation::Box => vec![vec![Number; 4], vec![Point, Number, Number]],
        Operation::Polygon if count >= 6 && count.is_multiple_of(2) => vec![vec![Number; count], vec![Point; count]],
        Operation::Polygon if count >= 3 => vec![vec![Point; count]],
        Operation::Polygon => vec![],
        Operation::Region => vec![vec![Text]],
        Operation::Contains | Operation::Intersects => vec![vec![Shape; 2]],
        Operation::Distance => vec![vec![Number; 4], vec![Point; 2]],
        Operation::Area | Operation::Centroid | Operation::CoordSys | Operation::ToText => vec![vec![Shape]],
        Operation::Coord1 | Operation::Coord2 => vec![vec![Point]],
        Operation::Moc => vec![vec![Text], vec![Order, Shape]],
        Operation::MocUnion | Operation::MocIntersect => vec![vec![Moc; 2]],
        Operation::To(_) => vec![vec![Text], vec![List], vec![Shape]],
        Operation::Keep(_) => vec![vec![Text]],
        Operation::InShape => vec![vec![Number, Number, Shape]],
        Operation::InCircle | Operation::Within | Operation::Closer => vec![vec![Number; 5]],
    }
}

/// The type of the answer to arguments that fit.
pub(super) fn answer_type(operation: Operation) -> DataType {
    match operation {
        Operation::Point | Operation::Centroid => ShapeType::Point.data_type(),
        Operation::Circle => ShapeType::Circle.data_type(),
        Operation::Box | Operation::Polygon => ShapeType::Polygon.data_type(),
        Operation::Region => ShapeType::Region.data_type(),
        Operation::Moc | Operation::MocUnion | Operation::MocIntersect => ShapeType::Moc.data_type(),
        Operation::To(kind) | Operation::Keep(kind) => kind.data_type(),
        Operation::Contains | Operation::Intersects => DataType::Int32,
        Operation::Distance | Operation::Area | Operation::Coord1 | Operation::Coord2 => DataType::Float64,
        Operation::CoordSys | Operation::ToText => DataType::Utf8,
        Operation::InShape | Operation::InCircle | Operation::Within | Operation::Closer => DataType::Boolean,
    }
}
