//! A great-circle arc shorter than half a turn: an edge of a polygon or a side of a box.
//!
//! Everything about outlines comes down to three questions about arcs: how near is a point, do two of them cross, and
//! where. All three work on the arc's unit normal, whose error is about 1e-16 however short the arc.

use crate::position::ON_BOUNDARY;
use crate::vector::{UnitVector, Xyz, add, cross, dot, scale};

/// The shorter great-circle arc from `from` to `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arc {
    pub(crate) from: UnitVector,
    pub(crate) to: UnitVector,
    /// The pole of the arc's great circle; points to the left of the arc have a positive product with it.
    pub(crate) normal: UnitVector,
    /// A quarter turn along the great circle from `from`, in the direction of `to`.
    ahead_of_from: Xyz,
    /// A quarter turn along the great circle from `to`, back in the direction of `from`.
    behind_to: Xyz,
}

impl Arc {
    /// The arc between two points. Opposite points are joined by one of the half circles between them.
    pub(crate) fn new(from: UnitVector, to: UnitVector) -> Arc {
        let normal = from.normal_to(to);
        Arc {
            from,
            to,
            normal,
            ahead_of_from: cross(normal.xyz(), from.xyz()),
            behind_to: cross(to.xyz(), normal.xyz()),
        }
    }

    pub(crate) fn length(&self) -> f64 {
        self.from.angle(self.to).0
    }

    /// The sine of the distance to the arc's great circle, positive on the left.
    pub(crate) fn side(&self, point: UnitVector) -> f64 {
        dot(self.normal.xyz(), point.xyz())
    }

    /// Whether the foot of the perpendicular from `point` to the great circle falls on the arc.
    pub(crate) fn is_beside(&self, point: UnitVector) -> bool {
        dot(self.ahead_of_from, point.xyz()) >= 0.0 && dot(self.behind_to, point.xyz()) >= 0.0
    }

    /// The smallest angle between `point` and any point of the arc.
    pub(crate) fn distance(&self, point: UnitVector) -> f64 {
        if self.is_beside(point) {
            let along = dot(self.from.xyz(), point.xyz()).hypot(dot(self.ahead_of_from, point.xyz()));
            self.side(point).abs().atan2(along)
        } else {
            self.from.angle(point).0.min(self.to.angle(point).0)
        }
    }

    /// Whether `point` lies on the arc, to [`ON_BOUNDARY`].
    pub(crate) fn touches(&self, point: UnitVector) -> bool {
        self.side(point).abs() <= ON_BOUNDARY.0 && self.distance(point) <= ON_BOUNDARY.0
    }

    /// The point at `fraction` of the chord from `from` to `to`.
    pub(crate) fn at(&self, fraction: f64) -> UnitVector {
        let sum = add(scale(self.from.xyz(), 1.0 - fraction), scale(self.to.xyz(), fraction));
        // The chord of an arc shorter than half a turn does not pass through the centre.
        UnitVector::new(sum[0], sum[1], sum[2]).unwrap_or(self.from)
    }

    /// The fraction of the chord at which [`Arc::at`] gives this point of the arc.
    pub(crate) fn fraction_of(&self, point: UnitVector) -> f64 {
        // Seen from the centre, chord and arc are cut in the ratio of the distances to the lines through the two ends.
        let behind = dot(self.behind_to, point.xyz()).abs();
        let ahead = dot(self.ahead_of_from, point.xyz()).abs();
        if ahead + behind > 0.0 { ahead / (ahead + behind) } else { 0.0 }
    }

    /// Where on the chord of this arc, from 0 to 1, the great circle with the given pole passes: meaningful when the two
    /// ends lie on different sides of it.
    fn crossing(from_side: f64, to_side: f64) -> f64 {
        from_side.abs() / (from_side.abs() + to_side.abs())
    }

    /// Where on this arc's chord, from 0 to 1, the other arc passes from one side to the other well away from all four
    /// ends. Arcs that merely touch are found by [`Arc::touches`] of an end.
    pub(crate) fn proper_crossing(&self, other: &Arc) -> Option<f64> {
        let apart = |one: f64, two: f64| one.min(two) < -ON_BOUNDARY.0 && one.max(two) > ON_BOUNDARY.0;
        let (from_side, to_side) = (other.side(self.from), other.side(self.to));
        if !apart(from_side, to_side) {
            return None;
        }
        let (other_from, other_to) = (self.side(other.from), self.side(other.to));
        if !apart(other_from, other_to) {
            return None;
        }
        // Each arc now meets the other's great circle once; the two circles meet in two opposite points.
        let here = Arc::crossing(from_side, to_side);
        let there = Arc::crossing(other_from, other_to);
        (dot(self.at(here).xyz(), other.at(there).xyz()) > 0.0).then_some(here)
    }

    /// Whether the two arcs have a point in common, to [`ON_BOUNDARY`].
    pub(crate) fn meets(&self, other: &Arc) -> bool {
        self.proper_crossing(other).is_some()
            || self.touches(other.from)
            || self.touches(other.to)
            || other.touches(self.from)
            || other.touches(self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    fn at(lon: f64, lat: f64) -> UnitVector {
        Position::from_deg(lon, lat).unwrap().vector()
    }

    #[test]
    fn the_distance_to_an_arc_is_that_to_its_nearest_point() {
        let arc = Arc::new(at(350.0, 0.0), at(10.0, 0.0));
        assert!((arc.distance(at(0.0, 30.0)).to_degrees() - 30.0).abs() < 1e-13);
        assert!((arc.distance(at(12.0, 0.0)).to_degrees() - 2.0).abs() < 1e-13);
        assert!((arc.distance(at(180.0, 0.0)).to_degrees() - 170.0).abs() < 1e-13);
        assert!((arc.distance(at(0.0, 90.0)).to_degrees() - 90.0).abs() < 1e-13);
        assert!(arc.distance(at(3.0, 0.0)) < 1e-16);
    }

    #[test]
    fn arcs_that_cross_share_a_point_and_their_antipodes_do_not() {
        let equator = Arc::new(at(350.0, 0.0), at(10.0, 0.0));
        let meridian = Arc::new(at(1.0, -5.0), at(1.0, 5.0));
        let behind = Arc::new(at(181.0, -5.0), at(181.0, 5.0));
        assert!(equator.meets(&meridian) && meridian.meets(&equator));
        assert!(!equator.meets(&behind) && !behind.meets(&equator));
        let crossing = equator.at(equator.proper_crossing(&meridian).unwrap());
        assert!(crossing.angle(at(1.0, 0.0)).0 < 1e-15);
    }

    #[test]
    fn arcs_of_one_great_circle_meet_only_where_they_overlap() {
        let one = Arc::new(at(33.0, 10.0), at(33.0, 20.0));
        let next = Arc::new(at(33.0, 20.0), at(33.0, 30.0));
        let over = Arc::new(at(33.0, 12.0), at(33.0, 40.0));
        let apart = Arc::new(at(33.0, 21.0), at(33.0, 40.0));
        assert!(one.meets(&next) && one.meets(&over) && over.meets(&one));
        assert!(!one.meets(&apart) && !apart.meets(&one));
    }
}
