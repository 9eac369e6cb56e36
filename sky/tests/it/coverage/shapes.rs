//! The two promises: no point of a shape is in an outside cell, no point outside it is in an inside one.

use proptest::prelude::*;
use sky::coverage::{Coverage, Detail, Membership};
use sky::healpix::{CELLS_29, cell29};
use sky::{Cone, Deg, Moc, Polygon, Position, Shape};

use super::samples::{anywhere, cone, destination, outlined, polygon, probes, probing, sky_box};
use crate::cases::cases;

#[track_caller]
fn assert_promises(shape: &Shape, coverage: &Coverage, probes: &[Position]) {
    for probe in probes {
        let known = coverage.membership(cell29(*probe));
        let truly = shape.contains_position(*probe);
        let kept = if truly { known != Membership::Outside } else { known != Membership::Inside };
        assert!(kept, "{probe:?} is in the shape: {truly}, but its cell is {known:?} of {shape:?}");
    }
}

/// Sorted, disjoint, on the sky, and nothing that could be one range is two.
#[track_caller]
fn assert_well_formed(coverage: &Coverage, max_ranges: usize) {
    let ranges = coverage.ranges();
    assert!(ranges.len() <= max_ranges, "{} ranges are more than {max_ranges}", ranges.len());
    assert!(ranges.iter().all(|range| range.start < range.end && range.end <= CELLS_29));
    for pair in ranges.windows(2) {
        let one = pair[0].end == pair[1].start && pair[0].inside == pair[1].inside;
        assert!(pair[0].end <= pair[1].start && !one, "{pair:?}");
    }
}

fn check(shape: &Shape, max_ranges: usize, probes: &[Position]) {
    let coverage = Coverage::of_shape(shape, Detail::at_most(max_ranges));
    assert_well_formed(&coverage, max_ranges);
    assert_promises(shape, &coverage, probes);
    let sky = 4.0 * std::f64::consts::PI;
    let area = shape.area().0;
    assert!(coverage.sky_fraction() * sky >= area * (1.0 - 1e-9), "{} is less than {area} sr", coverage.sky_fraction());
    assert!(coverage.inside_fraction() * sky <= area * (1.0 + 1e-9) + 1e-15);
    for fewer in [1, 3, max_ranges / 2] {
        let degraded = coverage.degrade(fewer);
        assert_well_formed(&degraded, fewer.max(1));
        assert_promises(shape, &degraded, probes);
        assert_eq!(coverage.union(&degraded).sky_fraction(), degraded.sky_fraction());
    }
}

proptest! {
    #![proptest_config(cases(6_000))]

    #[test]
    fn no_point_of_a_cone_is_outside_its_coverage(
        shape in cone(), max_ranges in 1_usize..300, (nudges, elsewhere) in probing(),
    ) {
        check(&shape, max_ranges, &probes(&shape, &nudges, &elsewhere));
    }

    #[test]
    fn no_point_of_a_polygon_is_outside_its_coverage(
        shape in polygon(), max_ranges in 1_usize..300, (nudges, elsewhere) in probing(),
    ) {
        check(&shape, max_ranges, &probes(&shape, &nudges, &elsewhere));
    }

    #[test]
    fn no_point_of_a_box_is_outside_its_coverage(
        shape in sky_box(), max_ranges in 1_usize..300, (nudges, elsewhere) in probing(),
    ) {
        check(&shape, max_ranges, &probes(&shape, &nudges, &elsewhere));
    }

    #[test]
    fn the_coverage_of_a_moc_is_exact(
        shape in outlined(), max_ranges in 1_usize..40, order in 0_u8..=29, (nudges, elsewhere) in probing(),
    ) {
        let order = sky::Order::new(order).expect("at most 29");
        let moc = Moc::from_coverage(&Coverage::of_shape(&shape, Detail::at_most(max_ranges)), order);
        let coverage = Coverage::of_moc(&moc);
        prop_assert_eq!(coverage.sky_fraction(), moc.sky_fraction());
        let probes = probes(&shape, &nudges, &elsewhere);
        for probe in &probes {
            let known = coverage.membership(cell29(*probe));
            prop_assert!(known != Membership::Maybe);
            prop_assert_eq!(known == Membership::Inside, moc.contains_position(*probe));
        }
        let shape = Shape::Moc(moc);
        assert_promises(&shape, &Coverage::of_shape(&shape, Detail::at_most(5)), &probes);
    }

    /// The margin is promised, so that whoever computes a position or a cell with other roundings is safe too.
    #[test]
    fn the_rim_of_a_cone_is_border_for_two_milliarcseconds_to_either_side(
        center in anywhere(), exponent in -9.0..2.2_f64, bearing in 0.0..std::f64::consts::TAU, off in -1.9..1.9_f64,
    ) {
        let radius = 10.0_f64.powf(exponent);
        let cone = Cone::new(center, Deg(radius)).expect("a radius below 180 degrees");
        let from_rim = (radius + off / 3.6e6).max(0.0).to_radians();
        let near = cell29(destination(center, bearing, from_rim));
        prop_assert_eq!(Coverage::of_cone(&cone, Detail::default()).membership(near), Membership::Maybe);
    }

    #[test]
    fn a_position_is_in_the_coverage_of_itself(position in anywhere()) {
        let coverage = Coverage::of_shape(&Shape::Point(position), Detail::default());
        prop_assert!(coverage.may_contain(cell29(position)));
        prop_assert_eq!(coverage.inside_fraction(), 0.0);
        // A disc of twice the margin, and one cell more.
        prop_assert!(coverage.sky_fraction() < 1e-15, "{}", coverage.sky_fraction());
    }
}

fn at(lon: f64, lat: f64) -> Position {
    Position::from_deg(lon, lat).expect("a position")
}

#[test]
fn a_cone_of_180_degrees_is_the_whole_sky_inside() {
    let cone = Cone::new(at(10.0, 20.0), Deg(180.0)).expect("a cone");
    assert_eq!(Coverage::of_cone(&cone, Detail::default()), Coverage::whole_sky());
}

#[test]
fn a_coverage_follows_its_cone_closely() {
    for (radius, most) in [(1e-5, 1.35), (0.01, 1.35), (1.0, 1.35), (30.0, 1.35), (90.0, 1.35)] {
        for (lon, lat) in [(0.0, 0.0), (33.0, 89.9), (210.0, 41.8), (300.0, -66.0), (1.0, -12.0)] {
            let cone = Cone::new(at(lon, lat), Deg(radius)).expect("a cone");
            let coverage = Coverage::of_cone(&cone, Detail::default());
            let excess = coverage.sky_fraction() * 4.0 * std::f64::consts::PI / cone.area().0;
            let known = coverage.inside_fraction() * 4.0 * std::f64::consts::PI / cone.area().0;
            assert!(excess < most, "{radius} degrees at ({lon}, {lat}): {excess} times its area");
            assert!(known > 0.5, "{radius} degrees at ({lon}, {lat}): only {known} of its area is known");
        }
    }
}

/// The outline is an L around the corner of three base cells; the notch is near, and must not be called inside.
#[test]
fn the_notch_of_a_concave_polygon_is_not_inside() {
    let outline = [40.0, 36.0, 50.0, 36.0, 50.0, 39.0, 44.0, 39.0, 44.0, 46.0, 40.0, 46.0];
    let polygon = Polygon::from_deg(&outline).expect("a polygon");
    let coverage = Coverage::of_polygon(&polygon, Detail::at_most(200));
    assert!(coverage.is_inside(cell29(at(42.0, 41.0))));
    assert!(!coverage.may_contain(cell29(at(48.0, 43.0))));
}
