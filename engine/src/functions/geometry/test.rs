//! One shape made ready to be asked about many positions.
//!
//! | shape | asked |
//! |---|---|
//! | circle | latitude, longitude, then a chord of unit vectors; on the rim exactly |
//! | MOC | the cell of the position, found by bisection |
//! | polygon of many edges | the cell in a coverage first; only on its border the outline |
//! | other | the outline |
//!
//! The answer is in each case that of [`Shape::contains_position`].

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::StructArray;
use sky::{
    ConeTest, Coverage, Position, Shape,
    coverage::{Detail, Membership},
    healpix::cell29,
};

/// From how many edges on a polygon is asked by cells first: finding a cell costs as much as this many edges.
const MANY_EDGES: usize = 24;

/// How closely the cells follow such a polygon.
const CELLS: usize = 1024;

/// How many shapes are kept ready, each for the batches of its query.
const KEPT: usize = 32;

pub(super) enum PointTest {
    Cone(ConeTest),
    Shape(Shape),
    Cells { inside: Coverage, shape: Shape },
}

impl PointTest {
    pub(super) fn of(shape: &Shape) -> Self {
        match shape {
            Shape::Cone(cone) => Self::Cone(cone.tester()),
            Shape::Polygon(polygon) if polygon.vertices().len() >= MANY_EDGES => {
                Self::Cells { inside: Coverage::of_polygon(polygon, Detail::at_most(CELLS)), shape: shape.clone() }
            }
            other => Self::Shape(other.clone()),
        }
    }

    /// Whether the position lies in the shape or on its border. `None` if the degrees are no position.
    pub(super) fn contains_deg(&self, lon: f64, lat: f64) -> Option<bool> {
        match self {
            Self::Cone(cone) => cone.contains_deg(lon, lat),
            Self::Shape(shape) => Some(shape.contains_position(Position::from_deg(lon, lat).ok()?)),
            Self::Cells { inside, shape } => {
                let position = Position::from_deg(lon, lat).ok()?;
                Some(match inside.membership(cell29(position)) {
                    Membership::Inside => true,
                    Membership::Outside => false,
                    Membership::Maybe => shape.contains_position(position),
                })
            }
        }
    }
}

/// The test of a constant of a plan. The same constant comes with every batch, so it is known by where it lies; it is held
/// so that nothing else can come to lie there.
pub(super) fn kept(constant: &Arc<StructArray>, make: impl FnOnce() -> Option<PointTest>) -> Option<Arc<PointTest>> {
    type Known = (Arc<StructArray>, Option<Arc<PointTest>>);
    static TESTS: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    let mut tests = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = tests.iter().position(|(known, _)| Arc::ptr_eq(known, constant)) {
        return tests[place].1.clone();
    }
    drop(tests);
    let test = make().map(Arc::new); // outside the lock: a large shape takes its time
    tests = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
    if tests.len() >= KEPT {
        tests.remove(0);
    }
    tests.push((Arc::clone(constant), test.clone()));
    test
}
