//! Shapes against MOCs of many scattered cells, such as surveys have, with the cells one by one as the oracle.

use proptest::prelude::*;
use sky::{Cone, Deg, Moc, Order, Pixel, Polygon, Position, Shape, SkyBox};

use super::random::{place, star};
use crate::cases::cases;

/// From 10 to 30,000 cells of orders 6 to 14, over the sky or a part of it.
fn cells() -> impl Strategy<Value = Vec<Pixel>> {
    (6_u8..=14, 1.0..4.477_f64, any::<u64>(), prop::sample::select(vec![1.0, 1.0, 0.3, 0.01])).prop_map(
        |(order, exponent, seed, spread)| {
            let order = Order::new(order).unwrap();
            let mut state = seed;
            let mut next = || {
                // SplitMix64.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
            };
            let start = next();
            let count = 10.0_f64.powf(exponent) as usize;
            (0..count)
                .map(|_| Pixel::new(order, ((start + spread * next()).fract() * order.cells() as f64) as u64).unwrap())
                .collect()
        },
    )
}

fn cone() -> impl Strategy<Value = Cone> {
    (place(), 1.0..170.0_f64).prop_map(|(center, radius)| Cone::new(center, Deg(radius)).unwrap())
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        cone().prop_map(Shape::from),
        (place(), 1.0..170.0_f64, 1.0..170.0_f64)
            .prop_map(|(center, w, h)| SkyBox::new(center, Deg(w), Deg(h)).unwrap().into()),
        star(false, 0.0, 1.9).prop_map(|figure| Polygon::new(figure.positions()).unwrap().into()),
    ]
}

/// The middle of a cell, and the distance of its farthest corner.
fn disc(pixel: Pixel) -> (Position, f64) {
    let center = pixel.center();
    (center, pixel.vertices().into_iter().map(|corner| center.distance(corner).0).fold(0.0, f64::max))
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_shape_with_the_middle_of_a_cell_outside_does_not_contain_the_moc(shape in shape(), cells in cells()) {
        let order = cells[0].order();
        let scattered = Moc::from_pixels(order, cells.iter().copied());
        let (moc, rest) = (Shape::Moc(scattered.clone()), Shape::Moc(scattered.complement()));
        let within = cells.iter().filter(|cell| shape.contains_position(cell.center())).count();
        prop_assert!(within == cells.len() || !shape.contains(&moc), "contained, but for {} of {}", cells.len() - within, cells.len());
        if within > 0 {
            prop_assert!(shape.intersects(&moc) && moc.intersects(&shape), "{} common cells do not meet", within);
            prop_assert!(!rest.contains(&shape), "{} cells of the shape are not in the rest", within);
        }
        if moc.area().0 < shape.area().0 {
            prop_assert!(!moc.contains(&shape), "the larger one is contained");
            prop_assert!(rest.intersects(&shape), "the smaller one covers it all");
        }
    }

    #[test]
    fn a_cone_relates_to_a_moc_as_it_does_to_every_cell(cone in cone(), cells in cells()) {
        let moc = Shape::Moc(Moc::from_pixels(cells[0].order(), cells.iter().copied()));
        let rest = Shape::Moc(Moc::from_pixels(cells[0].order(), cells.iter().copied()).complement());
        let radius = cone.radius().0.to_radians();
        let gaps: Vec<(f64, f64)> = cells
            .iter()
            .map(|cell| {
                let (center, reach) = disc(*cell);
                (cone.center().distance(center).0 - radius, reach + 1e-13)
            })
            .collect();
        let cone = Shape::from(cone);
        if gaps.iter().all(|(gap, reach)| *gap < -reach) {
            prop_assert!(cone.contains(&moc));
        }
        if gaps.iter().all(|(gap, reach)| gap > reach) {
            prop_assert!(!cone.intersects(&moc) && rest.contains(&cone));
        }
    }
}
