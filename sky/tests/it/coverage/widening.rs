//! Dilation: whatever is near a covered point is covered.

use proptest::prelude::*;
use sky::coverage::{Coverage, CoverageRange, Detail};
use sky::healpix::{Order, Pixel, cell29};
use sky::{Cone, Deg, Moc, Position, Rad};

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

/// Coverages of many cells all over the sky, or over a part of it.
fn scattered() -> impl Strategy<Value = Coverage> {
    (4_u8..=16, 0.0..3.6_f64, 0.0..1.0_f64, prop::sample::select(vec![1.0, 1.0, 0.1, 1e-4]), any::<bool>()).prop_map(
        |(order, exponent, start, spread, inside)| {
            let order = Order::new(order).expect("at most 29");
            let count = 10.0_f64.powf(exponent) as u32;
            // Multiples of the golden ratio fall evenly, but never at equal distances.
            let places = (0..count).map(|i| (start + spread * (f64::from(i) * 0.618_033_988_749_895).fract()).fract());
            let pixels = places.map(|place| Pixel::new(order, (place * order.cells() as f64) as u64).expect("a cell"));
            let coverage = Coverage::of_moc(&Moc::from_pixels(order, pixels));
            if inside { coverage } else { coverage.as_border() }
        },
    )
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn scattered_cells_are_widened_by_any_angle(
        coverage in scattered(),
        exponent in -7.0..0.5_f64,
        bearing in 0.0..std::f64::consts::TAU,
        share in 0.0..1.0_f64,
    ) {
        let radius = 10.0_f64.powf(exponent).min(std::f64::consts::PI);
        let dilated = coverage.dilate(Rad(radius));
        prop_assert!(dilated.ranges().len() <= coverage.ranges().len().max(256));
        for CoverageRange { start, end, .. } in coverage.ranges().iter().step_by(coverage.ranges().len() / 40 + 1) {
            let from = center(start + ((end - start) as f64 * share) as u64);
            for reach in [0.0, radius * share, radius] {
                let reached = destination(from, bearing, reach);
                prop_assert!(dilated.may_contain(cell29(reached)), "{:?} is {} from {:?}", reached, reach, from);
            }
        }
        prop_assert!(dilated.inside_fraction() <= coverage.inside_fraction());
    }
}

#[test]
fn an_angle_that_is_no_number_may_be_any_and_a_negative_one_is_none() {
    let center = Position::from_deg(10.0, 20.0).expect("a position");
    let coverage = Coverage::of_cone(&Cone::new(center, Deg(1.0)).expect("a cone"), Detail::default());
    let anything = coverage.dilate(Rad(f64::NAN));
    assert!((anything.sky_fraction() - 1.0).abs() < 1e-15 && anything.may_contain(cell29(center.antipode())));
    assert_eq!(coverage.dilate(Rad(f64::INFINITY)), anything);
    assert_eq!(coverage.dilate(Rad(-1.0)), coverage.dilate(Rad(0.0)));
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
