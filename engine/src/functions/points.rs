//! Points as functions make them: a struct of longitude and latitude.

use std::sync::Arc;

use datafusion::arrow::{
    array::{ArrayRef, Float64Array, StructArray},
    buffer::NullBuffer,
    datatypes::{DataType, Field},
};

use crate::values::ShapeType;

/// The type of a point.
pub(super) fn point_type() -> DataType {
    ShapeType::Point.data_type().clone()
}

/// Points of these coordinates; a row is NULL where `present` says so or a coordinate is not finite.
pub(super) fn points(lon: Vec<f64>, lat: Vec<f64>, present: Option<NullBuffer>) -> ArrayRef {
    let finite: NullBuffer = lon.iter().zip(&lat).map(|(lon, lat)| lon.is_finite() && lat.is_finite()).collect();
    let nulls = NullBuffer::union(present.as_ref(), Some(&finite)).filter(|nulls| nulls.null_count() > 0);
    let part = |values: Vec<f64>| Arc::new(Float64Array::new(values.into(), nulls.clone())) as ArrayRef;
    let named = ["lon", "lat"].map(|name| Field::new(name, DataType::Float64, true));
    Arc::new(StructArray::new(named.to_vec().into(), vec![part(lon), part(lat)], nulls))
}
