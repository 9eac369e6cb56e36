//! The geometry of ADQL, and MOCs.
//!
//! Shapes are the values of [`crate::values`], and what they are and how they relate is `sky`'s. In a row where an argument
//! is NULL, or describes nothing on the sky, the answer is NULL; a constant that describes nothing is a mistake of the
//! query, told before anything is read. A coordinate system as first argument is read and must be ICRS: nothing is
//! converted on the way.
//!
//! `call` is a function as DataFusion sees it, `forms` its arguments and its answer; the other files compute.

mod call;
mod cast;
mod dali;
mod declared;
mod forms;
mod make;
mod measure;
mod moc;
mod moc_of_rows;
mod predicates;
mod relate;
mod test;

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

use call::{Geometry, Operation};
pub(crate) use dali::to_dali;
pub(super) use declared::declared;
pub(crate) use predicates::{closer, in_circle, within};

use crate::values::ShapeType;

pub(crate) const POINT: &str = "adql_point";
pub(crate) const CIRCLE: &str = "adql_circle";
pub(crate) const CONTAINS: &str = "adql_contains";
pub(crate) const INTERSECTS: &str = "adql_intersects";
pub(crate) const DISTANCE: &str = "adql_distance";

/// The conditions that take the place of functions of two shapes: see `rules::normalize_sky`.
pub(crate) const IN_SHAPE: &str = "sky_in_shape";
pub(crate) const IN_CIRCLE: &str = "sky_in_circle";
pub(crate) const WITHIN: &str = "sky_within";
pub(crate) const CLOSER: &str = "sky_closer";

/// Functions that no query names: they stand for casts, for conditions, and for how tables keep shapes.
static UNNAMED: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let functions = [
        ("adql_to_point", Operation::To(ShapeType::Point)),
        ("adql_to_circle", Operation::To(ShapeType::Circle)),
        ("adql_to_polygon", Operation::To(ShapeType::Polygon)),
        ("adql_to_moc", Operation::To(ShapeType::Moc)),
        ("adql_to_region", Operation::To(ShapeType::Region)),
        ("adql_kept_moc", Operation::Keep(ShapeType::Moc)),
        ("adql_kept_region", Operation::Keep(ShapeType::Region)),
        ("adql_to_text", Operation::ToText),
        (IN_SHAPE, Operation::InShape),
        (IN_CIRCLE, Operation::InCircle),
        (WITHIN, Operation::Within),
        (CLOSER, Operation::Closer),
    ];
    functions.map(|(name, operation)| Geometry::function(name, operation)).to_vec()
});

/// The functions that no query names.
pub(super) fn unnamed() -> impl Iterator<Item = &'static Arc<ScalarUDF>> {
    UNNAMED.iter()
}

/// One of the functions that no query names.
pub(crate) fn unnamed_function(name: &str) -> Arc<ScalarUDF> {
    let found = UNNAMED.iter().find(|function| function.name() == name);
    #[expect(clippy::expect_used, reason = "the names are the constants of this file")]
    Arc::clone(found.expect("a function of this list"))
}

/// What makes shapes of a kind from a column of a table. Text of MOCs and regions is taken as it stands, and read where it
/// is used; all else is read.
pub(crate) fn from_column(kind: ShapeType, text: bool) -> Arc<ScalarUDF> {
    unnamed_function(match kind {
        ShapeType::Point => "adql_to_point",
        ShapeType::Circle => "adql_to_circle",
        ShapeType::Polygon => "adql_to_polygon",
        ShapeType::Moc if text => "adql_kept_moc",
        ShapeType::Moc => "adql_to_moc",
        ShapeType::Region if text => "adql_kept_region",
        ShapeType::Region => "adql_to_region",
    })
}
