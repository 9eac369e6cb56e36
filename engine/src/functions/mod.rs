//! The functions that queries may call beyond DataFusion's own: the geometry of ADQL.
//!
//! A point is a struct of `lon` and `lat`, a circle one of `lon`, `lat` and `r`, all in degrees. In a row where an argument
//! is NULL, or is no position, the answer is NULL; a constant that is no position is the author's mistake.

mod geometry;
mod numbers;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use geometry::{CIRCLE, CONTAINS, DISTANCE, POINT};

/// All of them.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    geometry::all()
}
