//! How two shapes lie to each other.

use proptest::prelude::*;
use sky::{Cone, Deg, Moc, Order, Pixel, Polygon, Position, Shape, SkyBox, UnitVector};

use super::oracle::{convex_meet, in_convex};
use super::random::{Frame, exponent, place, star};
use crate::cases::cases;

/// Shapes near a place, of sizes near a size, so that pairs of them meet often.
fn shape_near(center: Position, size: f64) -> impl Strategy<Value = Shape> {
    let frame = Frame::at(center);
    let moved =
        (0.0..360.0, 0.0..2.5_f64).prop_map(move |(bearing, off)| frame.position(bearing, (off * size).min(180.0)));
    let scale = 0.1..1.5_f64;
    prop_oneof![
        1 => moved.clone().prop_map(Shape::Point),
        3 => (moved.clone(), scale.clone()).prop_map(move |(at, f)| Cone::new(at, Deg(size * f)).unwrap().into()),
        3 => (moved.clone(), scale.clone(), 0.1..1.5)
            .prop_map(move |(at, w, h)| SkyBox::new(at, Deg(size * w), Deg(size * h)).unwrap().into()),
        3 => (moved.clone(), star(false, 0.0, 0.1), scale.clone()).prop_map(move |(at, mut figure, f)| {
            (figure.center, figure.size) = (at, (size * f).min(85.0));
            Polygon::new(figure.positions()).unwrap().into()
        }),
        2 => (moved, 0..4_u8, scale).prop_map(move |(at, finer, f)| {
            let wanted = (58.6 / (size * f)).log2().clamp(0.0, 25.0) as u8 + finer;
            let order = Order::new(wanted).unwrap();
            let cell = Pixel::of(at, order);
            let around = cell.neighbours().into_iter().take(3);
            Moc::from_pixels(order, around.chain([cell])).into()
        }),
    ]
}

fn pair() -> impl Strategy<Value = (Position, f64, Shape, Shape)> {
    (place(), exponent(-5.0, 1.7))
        .prop_flat_map(|(at, size)| (Just(at), Just(size), shape_near(at, size), shape_near(at, size)))
}

fn vectors(positions: &[Position]) -> Vec<UnitVector> {
    positions.iter().map(|position| position.vector()).collect()
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn relations_agree_with_the_points_of_both_shapes(
        (at, size, one, other) in pair(),
        points in prop::collection::vec((0.0..360.0, 0.0..4.0_f64), 48),
    ) {
        let meet = one.intersects(&other);
        prop_assert_eq!(other.intersects(&one), meet);
        let holds = one.contains(&other);
        prop_assert!(meet || !holds, "contains without intersecting");
        prop_assert!(one.contains(&one) && one.intersects(&one), "a shape holds and meets itself");
        prop_assert!(!holds || one.area().0 >= other.area().0 * (1.0 - 1e-12) , "a shape holds a larger one");
        let frame = Frame::at(at);
        let mut tried: Vec<Position> =
            points.iter().map(|&(bearing, off)| frame.position(bearing, (off * size).min(180.0))).collect();
        for shape in [&one, &other] {
            tried.extend(shape.centroid());
            if let Shape::Polygon(polygon) = shape {
                tried.extend(polygon.vertices());
            }
        }
        for point in tried {
            let (in_one, in_other) = (one.contains_position(point), other.contains_position(point));
            prop_assert!(meet || !(in_one && in_other), "{:?} is in both, which do not meet", point);
            prop_assert!(!holds || in_one || !in_other, "{:?} is in the inner shape only", point);
        }
    }

    #[test]
    fn convex_figures_meet_unless_a_plane_parts_them(
        (at, size) in (place(), exponent(-2.0, 1.6)),
        (mut one, mut other) in (star(true, 0.0, 0.1), star(true, 0.0, 0.1)),
        (bearing, off, f, g) in (0.0..360.0, 0.0..2.5_f64, 0.05..1.0_f64, 0.05..1.0_f64),
        boxes: [bool; 2],
    ) {
        let frame = Frame::at(at);
        (one.center, one.size) = (at, size * f);
        (other.center, other.size) = (frame.position(bearing, off * size), size * g);
        // Each with its corners in the order that has the inside on the left.
        let [(first, a), (second, b)] = [(one, boxes[0]), (other, boxes[1])].map(|(figure, is_box)| {
            if is_box {
                let sky_box = SkyBox::new(figure.center, Deg(figure.size), Deg(figure.size * 1.7)).unwrap();
                let corners = vectors(sky_box.to_polygon().unwrap().vertices());
                (Shape::Box(sky_box), corners)
            } else {
                let polygon = Polygon::new(figure.positions()).unwrap();
                let mut corners = vectors(polygon.vertices());
                corners.reverse();
                (Shape::Polygon(polygon), corners)
            }
        });
        if let Some(expected) = convex_meet(&a, &b) {
            prop_assert_eq!(first.intersects(&second), expected);
        }
        // A convex figure holds another exactly if it holds its corners.
        let verdicts: Vec<Option<bool>> = b.iter().map(|corner| in_convex(&a, *corner)).collect();
        if verdicts.contains(&Some(false)) {
            prop_assert!(!first.contains(&second));
        } else if !verdicts.contains(&None) {
            prop_assert!(first.contains(&second));
        }
    }

    #[test]
    fn a_figure_holds_itself_drawn_smaller_and_is_held_by_itself_drawn_larger(
        figure in star(false, -5.0, 1.7),
        shrunk in 0.1..0.999_9,
    ) {
        let whole: Shape = Polygon::new(figure.positions()).unwrap().into();
        let small: Shape = Polygon::new(figure.scaled(shrunk)).unwrap().into();
        prop_assert!(whole.contains(&small) && whole.intersects(&small));
        prop_assert!(!small.contains(&whole));
    }

    #[test]
    fn figures_turned_about_a_far_centre_keep_apart(
        figure in star(false, -5.0, 1.0),
        gap in 1.000_001..3.0,
        bearing in 0.0..360.0,
    ) {
        let one: Shape = Polygon::new(figure.positions()).unwrap().into();
        let mut moved = figure.clone();
        moved.center = Frame::at(figure.center).position(bearing, 2.0 * figure.size * gap);
        let other: Shape = Polygon::new(moved.positions()).unwrap().into();
        prop_assert!(!one.intersects(&other) && !one.contains(&other));
        let cone: Shape = Cone::new(moved.center, Deg(figure.size)).unwrap().into();
        prop_assert!(!one.intersects(&cone) && !cone.intersects(&one) && !cone.contains(&one));
    }

    /// A regular polygon lies between the circle in it and the circle around it, and touches both.
    #[test]
    fn cones_in_around_and_beside_a_regular_polygon_are_told_apart(
        center in place(),
        size in exponent(-5.0, 1.9),
        corners in 3..12_u8,
        turn in 0.0..360.0,
        slack in 1e-6..0.5,
    ) {
        let frame = Frame::at(center);
        let step = 360.0 / f64::from(corners);
        let vertices = (0..corners).map(|i| frame.position(turn + f64::from(i) * step, size)).collect();
        let regular: Shape = Polygon::new(vertices).unwrap().into();
        let apothem = (size.to_radians().tan() * (step / 2.0).to_radians().cos()).atan().to_degrees();
        let cone = |at: Position, radius: f64| -> Shape { Cone::new(at, Deg(radius)).unwrap().into() };

        prop_assert!(regular.contains(&cone(center, apothem * (1.0 - slack))));
        prop_assert!(!regular.contains(&cone(center, apothem * (1.0 + slack))));
        prop_assert!(cone(center, size * (1.0 + slack)).contains(&regular));
        prop_assert!(!cone(center, size * (1.0 - slack)).contains(&regular));
        // Beside a corner: straight out from it, at twice the size.
        let outside = frame.position(turn, (2.0 * size).min(179.0));
        let reach = (2.0 * size).min(179.0) - size;
        prop_assert!(regular.intersects(&cone(outside, reach * (1.0 + slack))));
        prop_assert!(!regular.intersects(&cone(outside, reach * (1.0 - slack))));
        // The rest of the sky around the opposite point.
        let opposite = center.antipode();
        prop_assert!(!regular.intersects(&cone(opposite, (180.0 - size) * (1.0 - slack))));
        prop_assert!(regular.intersects(&cone(opposite, 180.0 - size + size * slack)));
        prop_assert!(!cone(opposite, 180.0 - apothem + apothem * slack * 0.5).contains(&regular));
        prop_assert!(cone(opposite, 180.0).contains(&regular));
    }

    #[test]
    fn cones_relate_by_their_centres_and_radii(
        center in place(),
        (r1, r2) in (exponent(-9.0, 2.25), exponent(-9.0, 2.25)),
        (bearing, off) in (0.0..360.0, prop_oneof![0.0..180.0, exponent(-9.0, 2.25)]),
    ) {
        let other = Frame::at(center).position(bearing, off);
        let one: Shape = Cone::new(center, Deg(r1)).unwrap().into();
        let two: Shape = Cone::new(other, Deg(r2)).unwrap().into();
        if (off - r1 - r2).abs() > 1e-12 {
            prop_assert_eq!(one.intersects(&two), off < r1 + r2);
        }
        if (off + r2 - r1).abs() > 1e-12 {
            prop_assert_eq!(one.contains(&two), off + r2 < r1);
        }
    }
}
