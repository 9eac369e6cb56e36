//! Shapes into columns.

use std::sync::Arc;

use datafusion::arrow::{
    array::{ArrayBuilder, ArrayRef, Float64Builder, ListBuilder, NullBufferBuilder, StringBuilder, StructArray},
    datatypes::{DataType, Fields},
};
use sky::{Shape, SkyBox, SkyError, text::stcs};

use super::{ShapeType, number_field};

/// A column of shapes of one kind, made row by row.
pub(crate) struct ShapeBuilder {
    kind: ShapeType,
    valid: NullBufferBuilder,
    parts: Parts,
}

enum Parts {
    /// Longitude, latitude and, of a circle, the radius.
    Numbers(Vec<Float64Builder>),
    Vertices(ListBuilder<Float64Builder>),
    Text(StringBuilder),
}

impl ShapeBuilder {
    pub(crate) fn new(kind: ShapeType) -> Self {
        let numbers = |count| Parts::Numbers((0..count).map(|_| Float64Builder::new()).collect());
        let parts = match kind {
            ShapeType::Point => numbers(2),
            ShapeType::Circle => numbers(3),
            ShapeType::Polygon => Parts::Vertices(ListBuilder::new(Float64Builder::new()).with_field(number_field())),
            ShapeType::Moc | ShapeType::Region => Parts::Text(StringBuilder::new()),
        };
        Self { kind, valid: NullBufferBuilder::new(0), parts }
    }

    /// Adds a row: a shape of the builder's kind, or NULL. What cannot be of that kind is refused, and no row is added.
    pub(crate) fn push(&mut self, shape: Option<&Shape>) -> Result<(), SkyError> {
        let Some(shape) = shape else {
            self.push_null();
            return Ok(());
        };
        match (&mut self.parts, shape) {
            (Parts::Numbers(parts), Shape::Point(at)) if parts.len() == 2 => {
                append(parts, &[at.lon.deg(), at.lat.deg()]);
            }
            (Parts::Numbers(parts), Shape::Cone(cone)) if parts.len() == 3 => {
                append(parts, &[cone.center().lon.deg(), cone.center().lat.deg(), cone.radius().0]);
            }
            (Parts::Vertices(list), Shape::Polygon(polygon)) => {
                for vertex in polygon.vertices() {
                    list.values().append_value(vertex.lon.deg());
                    list.values().append_value(vertex.lat.deg());
                }
                list.append(true);
            }
            (Parts::Vertices(_), Shape::Box(sky_box)) => return self.push(Some(&corners(sky_box)?)),
            (Parts::Text(text), Shape::Moc(moc)) if self.kind == ShapeType::Moc => text.append_value(moc.to_string()),
            (Parts::Text(text), shape) if self.kind == ShapeType::Region => {
                text.append_value(stcs::write(None, shape)?);
            }
            _ => return Err(SkyError::NotExpressible { shape: shape.name(), format: self.kind.name() }),
        }
        self.valid.append_non_null();
        Ok(())
    }

    /// Adds a row without a shape.
    pub(crate) fn push_null(&mut self) {
        match &mut self.parts {
            Parts::Numbers(parts) => parts.iter_mut().for_each(Float64Builder::append_null),
            Parts::Vertices(list) => list.append(false),
            Parts::Text(text) => text.append_null(),
        }
        self.valid.append_null();
    }

    /// The column.
    pub(crate) fn finish(mut self) -> ArrayRef {
        let parts: Vec<ArrayRef> = match &mut self.parts {
            Parts::Numbers(parts) => parts.iter_mut().map(ArrayBuilder::finish).collect(),
            Parts::Vertices(list) => vec![Arc::new(list.finish())],
            Parts::Text(text) => vec![Arc::new(text.finish())],
        };
        let fields: Fields = match self.kind.data_type() {
            DataType::Struct(fields) => fields,
            _ => Fields::empty(),
        };
        Arc::new(StructArray::new(fields, parts, self.valid.finish()))
    }
}

fn append(parts: &mut [Float64Builder], values: &[f64]) {
    for (part, value) in parts.iter_mut().zip(values) {
        part.append_value(*value);
    }
}

/// A box as it is kept.
fn corners(sky_box: &SkyBox) -> Result<Shape, SkyError> {
    Ok(Shape::Polygon(sky_box.to_polygon()?))
}
