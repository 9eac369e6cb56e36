//! Area and centroid of a polygon, the area with full relative accuracy however small it is.
//!
//! The centroid of a polygon larger than [`FLAT`] is the quotient of a sum over the edges and the area, and so it is wrong
//! by about 1e-16 rad times the ratio of perimeter and area: more than its width if a polygon is long and thin enough.
//!
//! Both look at a small polygon from its first vertex: coordinates there are differences of longitudes and latitudes, which
//! do not cancel as differences of unit vectors would.

use std::f64::consts::PI;

use super::{Polygon, outline::turns_left};
use crate::position::{ON_BOUNDARY, Position};
use crate::vector::{UnitVector, Xyz, add, dot, scale};

/// Below this extent, in radians, the centroid is that of the flat polygon in the tangent plane: both it and the formula
/// for the sphere are then right to about 1e-11 rad.
const FLAT: f64 = 1e-4;

/// The area to the left of the outline if that is the smaller side; else the area to its right, negative.
///
/// The signed triangles (point of view, vertex, next vertex) by the formula of Van Oosterom and Strackee,
/// tan(E/2) = a·(b×c) / (1 + a·b + b·c + c·a). Each is known up to a multiple of 4π, and so is their sum.
pub(super) fn area_on_the_left(vertices: &[Position]) -> f64 {
    let view = point_of_view(vertices);
    let seen: Vec<Xyz> = vertices.iter().map(|vertex| view.local(*vertex)).collect();
    let sum: f64 = (0..seen.len()).map(|i| excess(seen[i], seen[(i + 1) % seen.len()])).sum();
    // A small negative sum stays itself: adding a full turn and taking it away would cost its last digits.
    match sum.rem_euclid(4.0 * PI) {
        _ if sum.abs() <= 2.0 * PI => sum,
        left if left <= 2.0 * PI => left,
        left => left - 4.0 * PI,
    }
}

/// The first vertex; or, since a triangle to the opposite of the point of view is open, a point that is not nearly
/// opposite to a vertex if there may be one.
fn point_of_view(vertices: &[Position]) -> Position {
    let nearest_opposite = |view: Position| vertices.iter().map(|vertex| view.local(*vertex)[0]).fold(1.0, f64::min);
    let first = vertices[0];
    if nearest_opposite(first) > -0.5 {
        return first;
    }
    // Twenty places, none of them round numbers as vertices often are, spread over the sky.
    let spread = (0..20_u8).map(|i| {
        let (turn, z) = (f64::from(i) * 137.507_764, 1.0 - (f64::from(i) + 0.5) / 10.0);
        Position::from_rounded(turn, z.asin().to_degrees())
    });
    spread.max_by(|a, b| nearest_opposite(*a).total_cmp(&nearest_opposite(*b))).unwrap_or(first)
}

/// The signed area of the triangle between the point of view, where x = 1, and two points seen from there.
fn excess(b: Xyz, c: Xyz) -> f64 {
    let triple = b[1] * c[2] - b[2] * c[1];
    2.0 * triple.atan2(1.0 + b[0] + c[0] + dot(b, c))
}

pub(super) fn centroid(polygon: &Polygon) -> Position {
    let balance = balance_point(polygon);
    // Only a notch puts the centre outside; vertices in line, by rounding to either side of it, are none.
    let lost = !polygon.contains_position(balance) && turns_left(&polygon.edges, -ON_BOUNDARY.0);
    if lost { polygon.inner.position() } else { balance }
}

fn balance_point(polygon: &Polygon) -> Position {
    let first = polygon.vertices[0];
    let seen: Vec<Xyz> = polygon.vertices.iter().map(|vertex| first.local(*vertex)).collect();
    let extent = seen.iter().map(|point| point[1].hypot(point[2])).fold(0.0, f64::max);
    // A point behind the horizon is far away, whatever its tangent coordinates say.
    if extent < FLAT && seen.iter().all(|point| point[0] > 0.0) {
        let [east, north] = flat_centroid(&seen);
        return offset(first, east, north);
    }
    // The integral of the position over the area is half the sum of each edge's pole times its length.
    let sum = polygon.edges.iter().fold([0.0; 3], |sum, edge| add(sum, scale(edge.normal.xyz(), edge.length())));
    UnitVector::new(sum[0], sum[1], sum[2]).unwrap_or(polygon.inner).position()
}

/// The centroid of a plane polygon whose first vertex is the origin.
fn flat_centroid(seen: &[Xyz]) -> [f64; 2] {
    let mut twice_area = 0.0;
    let mut moment = [0.0; 2];
    for pair in seen.windows(2) {
        let [b, c] = [pair[0], pair[1]];
        let triple = b[1] * c[2] - b[2] * c[1];
        twice_area += triple;
        moment[0] += triple * (b[1] + c[1]);
        moment[1] += triple * (b[2] + c[2]);
    }
    moment.map(|m| m / (3.0 * twice_area))
}

/// The position a small step (in radians) east and north of another.
fn offset(from: Position, east: f64, north: f64) -> Position {
    let (sin_lat, cos_lat) = crate::angle::sin_cos(crate::angle::Deg(from.lat.deg()));
    let up = (1.0 - east * east - north * north).sqrt();
    // In the frame whose x axis points to the meridian of `from`, on the equator.
    let radial = up * cos_lat - north * sin_lat;
    let dlon = east.atan2(radial).to_degrees();
    // The latitude as a step from that of `from`, so that a milliarcsecond is not lost in the rounding of degrees.
    let sagitta = radial.hypot(east) - radial;
    let dlat = (north - sagitta * sin_lat).atan2(up + sagitta * cos_lat).to_degrees();
    Position::from_rounded(from.lon.deg() + dlon, from.lat.deg() + dlat)
}
