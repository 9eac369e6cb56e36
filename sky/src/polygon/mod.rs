//! A spherical polygon: great-circle edges, any simple outline, the smaller side.
//!
//! The vertices may run either way round: the inside is always the smaller of the two parts into which the outline cuts
//! the sky. The outline may be concave, cross RA 0, go round a pole or be longer than half a turn. What encloses no
//! definite area is refused, each case with its own sentence.
//!
//! `outline.rs` checks the vertices and finds the inside; `measure.rs` has area and centroid.

mod measure;
mod outline;

use crate::angle::Steradian;
use crate::arc::Arc;
use crate::error::SkyError;
use crate::position::{ON_BOUNDARY, Position};
use crate::vector::UnitVector;

/// The smaller part of the sky within a closed line of great-circle arcs.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    vertices: Vec<Position>,
    /// The edges, with the inside on their left.
    edges: Vec<Arc>,
    area: Steradian,
    /// Every vertex lies on the inner side of every edge's great circle. Where vertices are in line this stays unsaid.
    convex: bool,
    /// A point well inside, and its distance to the nearest edge.
    inner: UnitVector,
    clearance: f64,
    /// The middle of a cap that holds the whole polygon, and the cosine of the cap's radius (−1: no such cap).
    cap: UnitVector,
    cap_cos: f64,
}

impl Polygon {
    /// The polygon with these vertices, in either order.
    ///
    /// A vertex that repeats the one before it, or the first one at the end, says nothing new and is dropped. Refused:
    /// more than 4,096 vertices, fewer than three different ones, neighbours on opposite sides of the sky, vertices all on one great circle,
    /// an outline that meets itself, and one that cuts the sky into equal halves.
    pub fn new(vertices: Vec<Position>) -> Result<Polygon, SkyError> {
        outline::build(vertices)
    }

    /// The polygon from longitude, latitude, longitude, latitude … in degrees.
    pub fn from_deg(coordinates: &[f64]) -> Result<Polygon, SkyError> {
        let (pairs, rest) = coordinates.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(SkyError::OddCoordinates(coordinates.len()));
        }
        Polygon::new(pairs.iter().map(|&[lon, lat]| Position::from_deg(lon, lat)).collect::<Result<_, _>>()?)
    }

    /// The vertices in the order they were given, without repetitions.
    pub fn vertices(&self) -> &[Position] {
        &self.vertices
    }

    /// Whether the position lies inside or on the outline (to [`ON_BOUNDARY`]).
    pub fn contains_position(&self, position: Position) -> bool {
        self.contains_vector(position.vector())
    }

    /// Whether the direction lies inside or on the outline (to [`ON_BOUNDARY`]).
    pub fn contains_vector(&self, point: UnitVector) -> bool {
        if self.cap.dot(point) < self.cap_cos {
            return false;
        }
        if self.convex {
            let innermost = self.edges.iter().map(|edge| edge.side(point)).fold(f64::INFINITY, f64::min);
            if innermost.abs() > ON_BOUNDARY.0 {
                return innermost > 0.0;
            }
        }
        self.edges.iter().any(|edge| edge.touches(point)) || self.is_same_side_as_inner(point)
    }

    /// Whether a walk from the inner point to `point`, which is not on the outline, crosses it an even number of times.
    ///
    /// Each vertex is put on one side of the walk's great circle once, for both of its edges, so that a walk through a
    /// vertex counts one crossing or two, never an odd one too many. Whether a crossing lies between the two ends of the
    /// walk is never in doubt, because neither end is near the outline.
    fn is_same_side_as_inner(&self, point: UnitVector) -> bool {
        let walk = Arc::new(self.inner, point);
        if walk.length() < self.clearance {
            return true;
        }
        let mut crossings = 0_usize;
        let mut from_side = self.edges.first().map_or(0.0, |edge| walk.side(edge.from));
        for edge in &self.edges {
            let to_side = walk.side(edge.to);
            if (from_side >= 0.0) != (to_side >= 0.0) {
                let fraction = from_side.abs() / (from_side.abs() + to_side.abs());
                crossings += usize::from(walk.is_beside(edge.at(fraction)));
            }
            from_side = to_side;
        }
        crossings.is_multiple_of(2)
    }

    /// The edges, with the inside on their left.
    pub(crate) fn edges(&self) -> &[Arc] {
        &self.edges
    }

    /// A point well inside.
    pub(crate) fn inner(&self) -> UnitVector {
        self.inner
    }

    /// The area, at most half the sky.
    pub fn area(&self) -> Steradian {
        self.area
    }

    /// The centre of mass, projected onto the sky. A concave polygon may not contain it; a convex one does.
    ///
    /// Right to about 1e-16 rad times the ratio of perimeter and area, and to 1e-11 rad for a small polygon: little but for
    /// a polygon that is long and very thin. Where a convex one would lose its centre by this, it is a point well inside.
    pub fn centroid(&self) -> Position {
        measure::centroid(self)
    }
}

#[cfg(test)]
mod tests;
