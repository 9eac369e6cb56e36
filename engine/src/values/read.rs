//! Columns and constants into shapes.
//!
//! A reader keeps the shape that it read last: polygons and MOCs are dear to take apart, and where they are joined with
//! rows the same one comes again and again.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StringArray, StructArray},
        buffer::NullBuffer,
        datatypes::Float64Type,
    },
    common::{ScalarValue, exec_err},
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{Cone, Deg, Moc, Polygon, Position, Shape};

use super::{ShapeType, region};

/// An argument that holds shapes: a column, or one for all rows.
#[derive(Clone, Debug)]
pub(crate) enum Shapes {
    /// NULL, or what describes nothing on the sky, is none.
    Constant(Option<Arc<Shape>>),
    Column(ShapeColumn),
}

/// A column of shapes of one kind.
#[derive(Clone, Debug)]
pub(crate) struct ShapeColumn {
    kind: ShapeType,
    nulls: Option<NullBuffer>,
    parts: Parts,
}

#[derive(Clone, Debug)]
enum Parts {
    Numbers(Vec<Float64Array>),
    Vertices(ListArray),
    Text(StringArray),
}

impl Shapes {
    /// The shapes of an argument; refused if it holds none.
    pub(crate) fn of(value: &ColumnarValue) -> Result<Self> {
        match value {
            ColumnarValue::Array(array) => Self::of_array(array),
            ColumnarValue::Scalar(scalar) => Self::of_scalar(scalar),
        }
    }

    pub(crate) fn of_array(array: &ArrayRef) -> Result<Self> {
        let Some((kind, shapes)) = ShapeType::of(array.data_type()).zip(array.as_struct_opt()) else {
            return exec_err!("shapes were expected, not {}", array.data_type());
        };
        Ok(Self::Column(ShapeColumn::new(kind, shapes)?))
    }

    pub(crate) fn of_scalar(scalar: &ScalarValue) -> Result<Self> {
        match scalar {
            ScalarValue::Null => Ok(Self::Constant(None)),
            ScalarValue::Struct(shape) if ShapeType::of(shape.data_type()).is_some() => {
                let array: ArrayRef = Arc::<StructArray>::clone(shape);
                let Self::Column(column) = Self::of_array(&array)? else { return Ok(Self::Constant(None)) };
                Ok(Self::Constant(column.shape(0).map(Arc::new)))
            }
            other => exec_err!("a shape was expected, not {}", other.data_type()),
        }
    }

    /// Longitudes and latitudes, if this is a column of points, and where both count.
    pub(crate) fn points(&self) -> Option<(&Float64Array, &Float64Array, Option<&NullBuffer>)> {
        match self {
            Self::Column(ShapeColumn { kind: ShapeType::Point, nulls, parts: Parts::Numbers(parts) }) => {
                Some((parts.first()?, parts.get(1)?, nulls.as_ref()))
            }
            _ => None,
        }
    }

    /// How many there are in a column.
    pub(crate) fn rows(&self) -> Option<usize> {
        match self {
            Self::Constant(_) => None,
            Self::Column(column) => Some(match &column.parts {
                Parts::Numbers(parts) => parts.first().map_or(0, Array::len),
                Parts::Vertices(list) => list.len(),
                Parts::Text(text) => text.len(),
            }),
        }
    }

    /// Reads them one after the other.
    pub(crate) fn reader(&self) -> ShapeReader<'_> {
        ShapeReader { shapes: self, last: None, key: Key::None }
    }
}

impl ShapeColumn {
    fn new(kind: ShapeType, shapes: &StructArray) -> Result<Self> {
        let parts = match kind {
            ShapeType::Point | ShapeType::Circle => {
                let number = |column: &ArrayRef| column.as_primitive_opt::<Float64Type>().cloned();
                match shapes.columns().iter().map(number).collect::<Option<Vec<_>>>() {
                    Some(numbers) => Parts::Numbers(numbers),
                    None => return exec_err!("the parts of a shape are not numbers"),
                }
            }
            ShapeType::Polygon => Parts::Vertices(shapes.column(0).as_list::<i32>().clone()),
            ShapeType::Moc | ShapeType::Region => Parts::Text(shapes.column(0).as_string::<i32>().clone()),
        };
        Ok(Self { kind, nulls: shapes.nulls().cloned(), parts })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn shape(&self, row: usize) -> Option<Shape> {
        if self.is_null(row) {
            return None;
        }
        match &self.parts {
            Parts::Numbers(parts) => shape_of_numbers(parts, row),
            Parts::Vertices(list) => polygon(vertices(list, row)?),
            Parts::Text(text) => {
                text.is_valid(row).then(|| text.value(row)).and_then(|text| described(self.kind, text))
            }
        }
    }
}

fn shape_of_numbers(parts: &[Float64Array], row: usize) -> Option<Shape> {
    let part = |number: &Float64Array| number.is_valid(row).then(|| number.value(row));
    match parts {
        [lon, lat] => Some(Shape::Point(Position::from_deg(part(lon)?, part(lat)?).ok()?)),
        [lon, lat, r] => {
            let center = Position::from_deg(part(lon)?, part(lat)?).ok()?;
            Some(Shape::Cone(Cone::new(center, Deg(part(r)?)).ok()?))
        }
        _ => None,
    }
}

/// The numbers of a row; none if one of them is missing.
fn vertices(list: &ListArray, row: usize) -> Option<&[f64]> {
    if list.is_null(row) {
        return None;
    }
    let (start, end) = (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
    let numbers = list.values().as_primitive::<Float64Type>();
    let complete = numbers.null_count() == 0 || (start..end).all(|place| numbers.is_valid(place));
    complete.then(|| &numbers.values()[start..end])
}

fn polygon(numbers: &[f64]) -> Option<Shape> {
    Some(Shape::Polygon(Polygon::from_deg(numbers).ok()?))
}

/// The shape that a text describes.
fn described(kind: ShapeType, text: &str) -> Option<Shape> {
    match kind {
        ShapeType::Moc => Some(Shape::Moc(text.parse::<Moc>().ok()?)),
        _ => region(text).ok(),
    }
}

/// Shapes read one after the other.
pub(crate) struct ShapeReader<'a> {
    shapes: &'a Shapes,
    last: Option<Shape>,
    key: Key,
}

/// What the last shape was made from.
#[derive(PartialEq)]
enum Key {
    None,
    Vertices(Vec<f64>),
    Text(String),
}

impl ShapeReader<'_> {
    /// The shape of a row; none where it is NULL or describes nothing on the sky.
    pub(crate) fn at(&mut self, row: usize) -> Option<&Shape> {
        let column = match self.shapes {
            Shapes::Constant(shape) => return shape.as_deref(),
            Shapes::Column(column) if column.is_null(row) => return None,
            Shapes::Column(column) => column,
        };
        match &column.parts {
            Parts::Numbers(parts) => self.last = shape_of_numbers(parts, row),
            Parts::Vertices(list) => {
                let numbers = vertices(list, row)?;
                if !matches!(&self.key, Key::Vertices(known) if known == numbers) {
                    self.last = polygon(numbers);
                    self.key = Key::Vertices(numbers.to_vec());
                }
            }
            Parts::Text(texts) => {
                let text = texts.is_valid(row).then(|| texts.value(row))?;
                if !matches!(&self.key, Key::Text(known) if known == text) {
                    self.last = described(column.kind, text);
                    self.key = Key::Text(text.to_owned());
                }
            }
        }
        self.last.as_ref()
    }
}
