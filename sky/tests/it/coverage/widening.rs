//! Dilation: whatever is near a covered point is covered.

use proptest::prelude::*;
use sky::coverage::{Coverage, CoverageRange, Detail};
use sky::healpix::{Order, Pixel, cell29};
use sky::{Cone, Deg, Position, Rad};

use super::samples::{destination, outlined, probes, probing};
use crate::cases::cases;

/// The centre of a cell of order 29.
fn center(cell: u64) -> Position {
    Pixel::new(Order::MAX, cell).expect("a cell of a coverage").center()
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn whatever_is_near_a_covered_point_is_in_the_dilated_coverage(
        shape in outlined(),
        max_ranges in 1_usize..80,
        exponent in -10.0..0.6_f64,
        (nudges, elsewhere) in probing(),
        share in 0.0..1.0_f64,
    ) {
        let radius = 10.0_f64.powf(exponent);
        let coverage = Coverage::of_shape(&shape, Detail::at_most(max_ranges));
        let dilated = coverage.dilate(Rad(radius));
        prop_assert!(dilated.ranges().len() <= 256);

        // From points of the shape, and from cells that are covered whether or not the shape has points there.
        let mut covered = probes(&shape, &nudges, &elsewhere);
        covered.retain(|position| coverage.may_contain(cell29(*position)));
        for CoverageRange { start, end, .. } in coverage.ranges().iter().take(12) {
            let within = start + ((end - start) as f64 * share) as u64;
            covered.extend([*start, end - 1, within.min(end - 1)].map(center));
        }
        for from in covered {
            prop_assert!(dilated.may_contain(cell29(from)));
            for (bearing, _) in &nudges {
                for near in [radius, radius * share] {
                    let reached = destination(from, *bearing, near.min(std::f64::consts::PI));
                    prop_assert!(
                        dilated.may_contain(cell29(reached)),
                        "{:?} is {} from {:?}", reached, reached.distance(from), from
                    );
                }
            }
        }
        // Nothing is called inside that was not.
        for range in dilated.ranges().iter().filter(|range| range.inside) {
            let own = coverage.ranges().iter().any(|own| own.inside && own.start <= range.start && range.end <= own.end);
            prop_assert!(own, "{:?}", range);
        }
    }
}

#[test]
fn nothing_dilated_is_nothing_and_everything_stays_everything() {
    assert_eq!(Coverage::empty().dilate(Rad(1.0)), Coverage::empty());
    assert_eq!(Coverage::whole_sky().dilate(Rad(1.0)), Coverage::whole_sky());
}

#[test]
fn a_dilated_cone_is_hardly_more_than_the_wider_cone() {
    let center = Position::from_deg(123.0, 45.6).expect("a position");
    for (radius, by) in [(1.0, 0.5), (1.0, 0.1), (0.01, 1.0), (1e-4, 1e-4), (20.0, 1.0)] {
        let cone = |radius| Cone::new(center, Deg(radius)).expect("a cone");
        let dilated = Coverage::of_cone(&cone(radius), Detail::default()).dilate(Deg(by).into());
        let excess = dilated.sky_fraction() * 4.0 * std::f64::consts::PI / cone(radius + by).area().0;
        assert!(excess < 1.6, "{radius} and {by} degrees: {excess}");
    }
}
