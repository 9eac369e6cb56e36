//! Discs and outlines of great-circle arcs against each other.
//!
//! Two facts carry all of it. A connected region that an outline does not enter lies on one side of it, so one of its
//! points decides. And two outlined regions of at most half the sky each cannot cover the sky together, so if their
//! outlines keep apart they are disjoint or one holds the other.

use std::f64::consts::PI;

use crate::arc::Arc;
use crate::polygon::Polygon;
use crate::position::ON_BOUNDARY;
use crate::sky_box::SkyBox;
use crate::vector::UnitVector;

/// A region with an exact boundary.
pub(super) enum Exact<'a> {
    Disc(Disc),
    Outline(Outline<'a>),
}

impl Exact<'_> {
    /// A point as far inside as is known.
    pub(super) fn inner(&self) -> UnitVector {
        match self {
            Exact::Disc(disc) => disc.center,
            Exact::Outline(outline) => outline.inner(),
        }
    }
}

/// A cone, or a point as a cone without radius.
#[derive(Clone, Copy)]
pub(super) struct Disc {
    pub(super) center: UnitVector,
    /// In radians, at most π.
    pub(super) radius: f64,
}

/// A region bounded by great-circle arcs, of at most half the sky.
#[derive(Clone, Copy)]
pub(super) enum Outline<'a> {
    Polygon(&'a Polygon),
    Box(&'a SkyBox),
}

impl Outline<'_> {
    pub(super) fn edges(&self) -> &[Arc] {
        match self {
            Outline::Polygon(polygon) => polygon.edges(),
            Outline::Box(sky_box) => sky_box.edges(),
        }
    }

    pub(super) fn contains(&self, point: UnitVector) -> bool {
        match self {
            Outline::Polygon(polygon) => polygon.contains_vector(point),
            Outline::Box(sky_box) => sky_box.contains_vector(point),
        }
    }

    /// A point of the region that is not on its boundary, unless all are.
    fn inner(&self) -> UnitVector {
        match self {
            Outline::Polygon(polygon) => polygon.inner(),
            Outline::Box(sky_box) => sky_box.center().vector(),
        }
    }

    /// From a point to the nearest point of the boundary, in radians.
    pub(super) fn distance(&self, point: UnitVector) -> f64 {
        self.edges().iter().map(|edge| edge.distance(point)).fold(f64::INFINITY, f64::min)
    }
}

pub(super) fn contains(outer: &Exact<'_>, inner: &Exact<'_>) -> bool {
    match (outer, inner) {
        (Exact::Disc(outer), Exact::Disc(inner)) => disc_in_disc(outer, inner),
        (Exact::Disc(outer), Exact::Outline(inner)) => outline_in_disc(outer, inner),
        (Exact::Outline(outer), Exact::Disc(inner)) => disc_in_outline(outer, inner),
        (Exact::Outline(outer), Exact::Outline(inner)) => outline_in_outline(outer, inner),
    }
}

pub(super) fn intersects(one: &Exact<'_>, other: &Exact<'_>) -> bool {
    match (one, other) {
        (Exact::Disc(one), Exact::Disc(other)) => {
            one.center.angle(other.center).0 <= one.radius + other.radius + ON_BOUNDARY.0
        }
        (Exact::Disc(disc), Exact::Outline(outline)) | (Exact::Outline(outline), Exact::Disc(disc)) => {
            outline.contains(disc.center) || outline.distance(disc.center) <= disc.radius + ON_BOUNDARY.0
        }
        (Exact::Outline(one), Exact::Outline(other)) => outlines_meet(one, other),
    }
}

fn disc_in_disc(outer: &Disc, inner: &Disc) -> bool {
    outer.radius >= PI || outer.center.angle(inner.center).0 + inner.radius <= outer.radius + ON_BOUNDARY.0
}

/// The rest of the sky is a disc around the opposite point: the outline must not enter it, nor lie around it.
fn outline_in_disc(outer: &Disc, inner: &Outline<'_>) -> bool {
    let opposite = outer.center.antipode();
    let rest = PI - outer.radius;
    rest <= 0.0 || (inner.distance(opposite) >= rest - ON_BOUNDARY.0 && !inner.contains(opposite))
}

fn disc_in_outline(outer: &Outline<'_>, inner: &Disc) -> bool {
    outer.contains(inner.center) && outer.distance(inner.center) >= inner.radius - ON_BOUNDARY.0
}

fn outline_in_outline(outer: &Outline<'_>, inner: &Outline<'_>) -> bool {
    outer.contains(inner.inner()) && inner.edges().iter().all(|edge| edge_in_outline(outer, edge))
}

/// Whether no part of an arc leaves the region: neither its ends, nor any stretch between two places where it meets the
/// boundary.
fn edge_in_outline(outer: &Outline<'_>, edge: &Arc) -> bool {
    if !outer.contains(edge.from) || !outer.contains(edge.to) {
        return false;
    }
    let mut meetings: Vec<f64> = outer.edges().iter().flat_map(|other| meetings(edge, other)).collect();
    if meetings.is_empty() {
        return true;
    }
    meetings.extend([0.0, 1.0]);
    meetings.sort_by(f64::total_cmp);
    meetings.windows(2).all(|stretch| outer.contains(edge.at(f64::midpoint(stretch[0], stretch[1]))))
}

/// Where on the chord of `edge`, from 0 to 1, it meets `other`: a crossing, or the ends of `other` that lie on it.
fn meetings(edge: &Arc, other: &Arc) -> impl Iterator<Item = f64> {
    let along = |end: UnitVector| edge.touches(end).then(|| edge.fraction_of(end));
    [edge.proper_crossing(other), along(other.from), along(other.to)].into_iter().flatten()
}

fn outlines_meet(one: &Outline<'_>, other: &Outline<'_>) -> bool {
    one.contains(other.inner())
        || other.contains(one.inner())
        || one.edges().iter().any(|edge| other.edges().iter().any(|across| edge.meets(across)))
}

#[cfg(test)]
mod tests {
    use crate::angle::Deg;
    use crate::cone::Cone;
    use crate::polygon::Polygon;
    use crate::position::Position;
    use crate::shape::Shape;
    use crate::sky_box::SkyBox;

    fn point(lon: f64, lat: f64) -> Shape {
        Position::from_deg(lon, lat).unwrap().into()
    }

    fn cone(lon: f64, lat: f64, radius: f64) -> Shape {
        Cone::new(Position::from_deg(lon, lat).unwrap(), Deg(radius)).unwrap().into()
    }

    fn polygon(coordinates: &[f64]) -> Shape {
        Polygon::from_deg(coordinates).unwrap().into()
    }

    fn sky_box(lon: f64, lat: f64, width: f64, height: f64) -> Shape {
        SkyBox::new(Position::from_deg(lon, lat).unwrap(), Deg(width), Deg(height)).unwrap().into()
    }

    /// A square with a slot cut into it from the north, a degree wide.
    fn slotted() -> Shape {
        polygon(&[0., 0., 10., 0., 10., 10., 5.5, 10., 5.5, 2., 4.5, 2., 4.5, 10., 0., 10.])
    }

    #[test]
    fn what_touches_intersects() {
        assert!(cone(0.0, 0.0, 10.0).intersects(&cone(30.0, 0.0, 20.0)));
        assert!(!cone(0.0, 0.0, 10.0).intersects(&cone(30.0, 0.0, 19.999_999_999)));
        assert!(cone(0.0, -3.0, 3.0).intersects(&polygon(&[350.0, 0.0, 10.0, 0.0, 0.0, 10.0])));
        assert!(sky_box(0.0, 0.0, 2.0, 2.0).intersects(&sky_box(2.0, 0.0, 2.0, 2.0)));
        assert!(slotted().intersects(&point(5.5, 4.0)) && !slotted().intersects(&point(5.4, 4.0)));
    }

    #[test]
    fn a_shape_in_a_notch_does_not_meet_the_polygon_around_it() {
        assert!(!slotted().intersects(&cone(5.0, 5.0, 0.49)) && slotted().intersects(&cone(5.0, 5.0, 0.51)));
        assert!(!slotted().intersects(&sky_box(5.0, 6.0, 0.9, 6.0)));
        assert!(slotted().intersects(&sky_box(5.0, 6.0, 0.9, 9.0)));
    }

    #[test]
    fn a_shape_across_a_notch_is_not_contained_though_its_corners_are() {
        assert!(!slotted().contains(&polygon(&[1.0, 6.0, 9.0, 6.0, 5.0, 1.0])));
        assert!(!slotted().contains(&sky_box(5.0, 5.0, 8.0, 1.0)));
        assert!(slotted().contains(&polygon(&[1.0, 1.0, 9.0, 1.0, 8.0, 1.5])));
        assert!(slotted().contains(&sky_box(2.0, 5.0, 3.0, 8.0)));
    }

    #[test]
    fn a_shape_with_a_common_edge_is_contained() {
        let half = polygon(&[0.0, 0.0, 10.0, 0.0, 10.0, 1.0, 0.0, 1.0]);
        assert!(slotted().contains(&half) && !half.contains(&slotted()));
        assert!(slotted().contains(&slotted()));
    }

    #[test]
    fn a_large_cone_contains_what_does_not_reach_the_rest_of_the_sky() {
        let band = polygon(&[0., -1., 70., -1., 140., -1., 210., -1., 210., 1., 140., 1., 70., 1., 0., 1.]);
        assert!(cone(105.0, 0.0, 110.0).contains(&band) && !cone(105.0, 0.0, 104.0).contains(&band));
        // The outline lies in this cone, but the inside is around the hole in it.
        let cap = polygon(&[0.0, 80.0, 90.0, 80.0, 180.0, 80.0, 270.0, 80.0]);
        assert!(!cone(0.0, -90.0, 175.0).contains(&cap) && cone(0.0, -90.0, 180.0).contains(&cap));
    }

    #[test]
    fn opposite_hemispheres_meet_at_their_common_edge_and_do_not_hold_each_other() {
        let (near, far) = (sky_box(0.0, 0.0, 180.0, 180.0), sky_box(180.0, 0.0, 180.0, 180.0));
        assert!(near.intersects(&far) && !near.contains(&far) && near.contains(&near));
        assert!(near.contains(&cone(0.0, 0.0, 90.0)) && cone(0.0, 0.0, 90.0).contains(&near));
        assert!(!near.contains(&cone(1.0, 0.0, 90.0)));
    }

    #[test]
    fn shapes_without_area_have_their_place_too() {
        let arc = sky_box(10.0, 0.0, 2.0, 0.0);
        assert!(slotted().intersects(&arc) && !slotted().contains(&arc));
        assert!(arc.contains(&point(10.5, 0.0)) && arc.contains(&cone(10.5, 0.0, 0.0)));
        assert!(!arc.contains(&cone(10.5, 0.0, 1e-9)) && cone(10.0, 0.0, 1.0).contains(&arc));
        assert!(point(1.0, 2.0).contains(&point(1.0, 2.0)) && !point(1.0, 2.0).contains(&cone(1.0, 2.0, 1e-9)));
        assert!(!point(1.0, 2.0).contains(&slotted()) && slotted().contains(&point(1.0, 1.0)));
    }
}
