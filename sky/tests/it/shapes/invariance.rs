//! What must not change when the sky is turned, or when a figure is cut up.

use std::f64::consts::PI;

use proptest::prelude::*;
use sky::{Polygon, Position, SquareDeg, Steradian};

use super::oracle::in_star;
use super::random::{Frame, exponent, place, star};
use crate::cases::cases;

/// A rotation of the sky: the frame of one place laid on that of another.
fn turned(from: Frame, to: Position, position: Position) -> Position {
    let [x, y, z] = position.vector().xyz();
    let local = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|axis| {
        let [a, b, c] = from.place(axis).xyz();
        a * x + b * y + c * z
    });
    Frame::at(to).place(local).position()
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn distances_are_symmetric_and_obey_the_triangle(a in place(), b in place(), c in place()) {
        prop_assert_eq!(a.distance(b), b.distance(a));
        prop_assert!(a.distance(c).0 <= a.distance(b).0 + b.distance(c).0 + 1e-15);
        prop_assert!((a.distance(b).0 + a.distance(b.antipode()).0 - PI).abs() < 2e-15);
        let by_vector = a.vector().angle(b.vector()).0;
        prop_assert!((a.distance(b).0 - by_vector).abs() < 1e-15);
    }

    #[test]
    fn a_step_of_any_length_has_that_length(
        from in place(),
        bearing in 0.0..360.0,
        step in exponent(-10.0, 180_f64.log10()),
    ) {
        let to = Frame::at(from).position(bearing, step);
        let got = from.distance(to).0.to_degrees();
        prop_assert!((got - step).abs() < 2e-13, "{got} for {step}");
    }

    #[test]
    fn turning_the_sky_changes_neither_area_nor_content(
        figure in star(false, -5.0, 1.94),
        to in place(),
        points in prop::collection::vec((0.0..360.0, 0.0..1.2), 8),
    ) {
        let here = figure.positions();
        let before = Polygon::new(here.clone()).unwrap();
        let from = Frame::at(figure.center);
        let there: Vec<Position> = here.iter().map(|vertex| turned(from, to, *vertex)).collect();
        let after = Polygon::new(there.clone()).unwrap();

        let change = (after.area().0 / before.area().0 - 1.0).abs();
        // Turning rounds every vertex by a few 1e-16 rad.
        prop_assert!(change < 1e-12 + 1e-12 / figure.size, "{change:e}");
        let moved = after.centroid().distance(turned(from, to, before.centroid())).0;
        prop_assert!(moved < 1e-10, "{moved:e}");

        for (bearing, fraction) in points {
            let point = from.position(bearing, figure.size * fraction);
            let image = turned(from, to, point);
            let clear = in_star(figure.center, &here, point).is_some() && in_star(to, &there, image).is_some();
            if clear {
                prop_assert_eq!(before.contains_position(point), after.contains_position(image), "{:?}", point);
            }
        }
    }

    #[test]
    fn the_area_of_a_polygon_is_that_of_its_triangles(figure in star(false, -7.0, 1.94)) {
        let vertices = figure.positions();
        let whole = Polygon::new(vertices.clone()).unwrap().area().0;
        let parts: f64 = (0..vertices.len())
            .map(|i| {
                let corner = vec![figure.center, vertices[i], vertices[(i + 1) % vertices.len()]];
                Polygon::new(corner).map_or(0.0, |triangle| triangle.area().0)
            })
            .sum();
        prop_assert!((parts / whole - 1.0).abs() < 1e-9, "{parts:e} for {whole:e}");
    }

    /// Girard: the angles of a spherical polygon exceed those of a flat one by its area.
    #[test]
    fn the_area_is_the_excess_of_the_angles(figure in star(false, 0.0, 1.94)) {
        let vertices = figure.positions();
        let n = vertices.len();
        let angle_at = |i: usize| {
            let [before, here, after] = [vertices[(i + n - 1) % n], vertices[i], vertices[(i + 1) % n]];
            (bearing(here, before) - bearing(here, after)).rem_euclid(2.0 * PI)
        };
        // The spokes run clockwise as the sky is seen from inside with east to the left; so either all angles are
        // inner ones, or all are outer ones.
        let sum: f64 = (0..n).map(angle_at).sum();
        let inner = sum - (n - 2) as f64 * PI;
        let outer = (2 * n) as f64 * PI - sum - (n - 2) as f64 * PI;
        let area = Polygon::new(vertices).unwrap().area().0;
        prop_assert!((area - inner).abs().min((area - outer).abs()) < 1e-9, "{area} for {inner} or {outer}");
    }

    #[test]
    fn areas_convert_without_loss(area in exponent(-18.0, 1.0)) {
        let back = Steradian::from(SquareDeg::from(Steradian(area))).0;
        prop_assert!((back / area - 1.0).abs() < 1e-15);
    }
}

/// The direction of one position seen from another, in radians from north through east.
fn bearing(from: Position, to: Position) -> f64 {
    let dlon = (to.lon.deg() - from.lon.deg()).to_radians();
    let ((sin_from, cos_from), (sin_to, cos_to)) = (from.lat.rad().sin_cos(), to.lat.rad().sin_cos());
    (dlon.sin() * cos_to).atan2(cos_from * sin_to - sin_from * cos_to * dlon.cos())
}
