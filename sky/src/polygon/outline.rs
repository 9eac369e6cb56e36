//! From a list of vertices to an outline with a known inside, or a sentence about what is wrong with it.

use std::f64::consts::PI;

use super::{Polygon, measure};
use crate::angle::{Rad, Steradian};
use crate::arc::Arc;
use crate::error::SkyError;
use crate::position::{ON_BOUNDARY, Position};
use crate::vector::{UnitVector, add, cross, norm, sub};

/// Neighbours this near to opposite each other leave their great circle open: 0.2 mas.
const ANTIPODAL: f64 = 1e-9;

/// An area this near to half the sky leaves open which side is the smaller.
const HALVES: f64 = 1e-12;

/// More than any footprint has. Each edge is compared with each other one, eight million pairs at this number.
const MOST_VERTICES: usize = 4096;

/// From the middle of a shorter edge a walk begins on its neighbours too, as near as makes no difference, and would not be
/// seen to cross them: four nanoarcseconds.
const SHORTEST_LEAD: f64 = 4.0 * ON_BOUNDARY.0;

/// How many of the longest edges are tried as a way to a point well inside.
const INNER_TRIALS: usize = 16;

pub(super) fn build(vertices: Vec<Position>) -> Result<Polygon, SkyError> {
    if vertices.len() > MOST_VERTICES {
        return Err(SkyError::TooManyVertices { most: MOST_VERTICES, got: vertices.len() });
    }
    let vertices = without_repetitions(vertices);
    if vertices.len() < 3 {
        return Err(SkyError::TooFewVertices(vertices.len()));
    }
    let corners: Vec<UnitVector> = vertices.iter().map(|vertex| vertex.vector()).collect();
    let mut edges = edges(&corners)?;
    if is_flat(&corners) {
        return Err(SkyError::FlatPolygon);
    }
    refuse_self_crossing(&edges)?;

    // A simple outline leaves this much of the sky on its left, and the rest on its right.
    let left = measure::area_on_the_left(&vertices);
    if (left.abs() - 2.0 * PI).abs() < HALVES {
        return Err(SkyError::Hemisphere);
    }
    if left < 0.0 {
        edges = edges.iter().rev().map(|edge| Arc::new(edge.to, edge.from)).collect();
    }
    let (inner, clearance) = inner_point(&edges);
    if clearance < 2.0 * ON_BOUNDARY.0 {
        return Err(SkyError::TooThin);
    }
    let (cap, cap_cos) = bounding_cap(&corners);
    // A simple outline that turns left everywhere, and by no rounding error, has all of itself on the left of each edge.
    let convex = turns_left(&edges, ON_BOUNDARY.0);
    Ok(Polygon { vertices, edges, area: Steradian(left.abs()), convex, inner, clearance, cap, cap_cos })
}

pub(super) fn distance(edges: &[Arc], point: UnitVector) -> f64 {
    edges.iter().map(|edge| edge.distance(point)).fold(f64::INFINITY, f64::min)
}

fn without_repetitions(mut vertices: Vec<Position>) -> Vec<Position> {
    let same = |a: Position, b: Position| a.distance(b) <= ON_BOUNDARY;
    vertices.dedup_by(|next, kept| same(*next, *kept));
    while let [first, .., last] = vertices[..]
        && same(first, last)
    {
        vertices.pop();
    }
    vertices
}

fn edges(corners: &[UnitVector]) -> Result<Vec<Arc>, SkyError> {
    (0..corners.len())
        .map(|from| {
            let to = (from + 1) % corners.len();
            if norm(add(corners[from].xyz(), corners[to].xyz())) < ANTIPODAL {
                return Err(SkyError::AntipodalVertices { from: from + 1, to: to + 1 });
            }
            Ok(Arc::new(corners[from], corners[to]))
        })
        .collect()
}

/// Whether all corners lie on one great circle: the one through the first corner and that which fixes it best.
fn is_flat(corners: &[UnitVector]) -> bool {
    let first = corners[0];
    let lever = |corner: &UnitVector| norm(cross(add(first.xyz(), corner.xyz()), sub(corner.xyz(), first.xyz())));
    let best = corners.iter().max_by(|a, b| lever(a).total_cmp(&lever(b))).unwrap_or(&first);
    let pole = first.normal_to(*best);
    corners.iter().all(|corner| pole.dot(*corner).abs() <= ON_BOUNDARY.0)
}

fn refuse_self_crossing(edges: &[Arc]) -> Result<(), SkyError> {
    let last = edges.len() - 1;
    for (i, edge) in edges.iter().enumerate() {
        for (j, other) in edges.iter().enumerate().skip(i + 1) {
            // Neighbours share one vertex; they may not run back over each other.
            let meets = if j == i + 1 {
                edge.touches(other.to) || other.touches(edge.from)
            } else if i == 0 && j == last {
                edge.touches(other.from) || other.touches(edge.to)
            } else {
                edge.meets(other)
            };
            if meets {
                return Err(SkyError::SelfCrossing { first: i + 1, second: j + 1 });
            }
        }
    }
    Ok(())
}

/// A point inside, far from the outline if there is one, and its distance to the outline.
///
/// From the middle of an edge a walk to the left leads into the polygon, up to where it first meets another edge. Half
/// that way is inside. Of the longest edges the one that leads farthest from the outline is taken.
fn inner_point(edges: &[Arc]) -> (UnitVector, f64) {
    let mut longest: Vec<(f64, usize)> = edges.iter().map(Arc::length).zip(0..).collect();
    longest.sort_by(|a, b| b.0.total_cmp(&a.0));
    let leading = longest.iter().take(INNER_TRIALS).take_while(|(length, _)| *length > SHORTEST_LEAD);
    let candidates = leading.map(|&(_, start)| {
        let middle = edges[start].at(0.5);
        // Two quarter turns reach round to the opposite of the pole: farther than the polygon goes.
        let pole = edges[start].normal;
        let legs = [Arc::new(middle, pole), Arc::new(pole, middle.antipode())];
        let first_hit = legs
            .iter()
            .flat_map(|leg| edges.iter().enumerate().map(move |(i, edge)| (leg, i, edge)))
            .filter(|&(_, i, _)| i != start)
            .filter_map(|(leg, _, edge)| leg_hit(leg, edge))
            .map(|hit| middle.angle(hit).0)
            .fold(PI, f64::min);
        let half = Rad(first_hit / 2.0);
        let point = step(middle, pole, half);
        (point, distance(edges, point))
    });
    candidates.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((edges[0].from, 0.0))
}

/// Where a leg of the walk meets an edge, ends of either included.
fn leg_hit(leg: &Arc, edge: &Arc) -> Option<UnitVector> {
    if let Some(fraction) = leg.proper_crossing(edge) {
        Some(leg.at(fraction))
    } else if leg.touches(edge.from) {
        Some(edge.from)
    } else if leg.touches(edge.to) {
        Some(edge.to)
    } else {
        [leg.from, leg.to].into_iter().find(|end| edge.touches(*end))
    }
}

/// The point at an angle from `start` towards `direction`, a quarter turn away.
fn step(start: UnitVector, direction: UnitVector, angle: Rad) -> UnitVector {
    let (sin, cos) = angle.0.sin_cos();
    let [a, b] = [start.xyz().map(|x| x * cos), direction.xyz().map(|x| x * sin)];
    let sum = add(a, b);
    UnitVector::new(sum[0], sum[1], sum[2]).unwrap_or(start)
}

/// A cap smaller than a hemisphere that holds all vertices holds all edges too, and with them the smaller side.
fn bounding_cap(corners: &[UnitVector]) -> (UnitVector, f64) {
    let sum = corners.iter().fold([0.0; 3], |sum, corner| add(sum, corner.xyz()));
    let Some(middle) = UnitVector::new(sum[0], sum[1], sum[2]) else {
        return (corners[0], -2.0);
    };
    let cos = corners.iter().map(|corner| middle.dot(*corner)).fold(1.0, f64::min);
    // The allowance covers the rounding of a dot product, and the cosine's flatness does the rest.
    if cos > 0.0 { (middle, cos - 1e-14) } else { (middle, -2.0) }
}

/// Whether an outline with its inside on the left turns to the left at every corner, each vertex lying at least so far to
/// the left of the edge before its own.
pub(super) fn turns_left(edges: &[Arc], at_least: f64) -> bool {
    let next = edges.iter().cycle().skip(1);
    edges.iter().zip(next).all(|(edge, next)| edge.side(next.to) > at_least)
}
