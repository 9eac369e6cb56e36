//! Which points lie in a shape.

use proptest::prelude::*;
use sky::{Cone, Deg, Polygon, Position, SkyBox, UnitVector};

use super::oracle::{in_convex, in_star, side};
use super::random::{Frame, exponent, place, star};
use crate::cases::cases;

/// What the places of a figure are rounded by and a boundary is thick, in degrees.
const ROUNDING: f64 = 5e-13;

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn a_cone_contains_what_was_put_within_its_radius_and_nothing_beyond(
        center in place(),
        radius in exponent(-9.0, 180_f64.log10()),
        bearing in 0.0..360.0,
        fraction in prop_oneof![0.0..2.0_f64, 0.999_999..1.000_001, Just(1.0)],
    ) {
        let cone = Cone::new(center, Deg(radius)).unwrap();
        let distance = (radius * fraction).min(180.0);
        let point = Frame::at(center).position(bearing, distance);
        if distance < radius - ROUNDING {
            prop_assert!(cone.contains_position(point), "{point:?}");
        } else if distance > radius + ROUNDING {
            prop_assert!(!cone.contains_position(point), "{point:?}");
        }
    }

    #[test]
    fn a_prepared_cone_gives_the_answers_of_the_cone(
        center in place(),
        radius in prop_oneof![exponent(-15.0, 180_f64.log10()), Just(0.0), Just(180.0), 90.0..180.0],
        bearing in 0.0..360.0,
        off in prop_oneof![Just(0.0), exponent(-17.0, 2.2)],
        outwards: bool,
        elsewhere in place(),
    ) {
        let cone = Cone::new(center, Deg(radius)).unwrap();
        let test = cone.tester();
        let near = Frame::at(center).position(bearing, if outwards { radius + off } else { radius - off });
        for point in [near, elsewhere, center, center.antipode()] {
            let (lon, lat) = (point.lon.deg(), point.lat.deg());
            prop_assert_eq!(test.contains_deg(lon, lat), Some(center.is_within(cone.radius(), point)), "{:?}", point);
        }
    }

    #[test]
    fn a_convex_polygon_contains_its_centroid_however_thin(
        center in place(), bearing in 0.0..360.0, length in 1.0..140.0_f64, width in exponent(-11.5, -3.0), taper in 0.0..1.0_f64,
    ) {
        let frame = Frame::at(center);
        let (sin, cos) = f64::to_radians(bearing).sin_cos();
        let corner = |along: f64, across: f64| {
            let (along, across) = (along.to_radians(), across.to_radians());
            let (ahead, aside) = (along.sin() * across.cos(), across.sin());
            let local = [along.cos() * across.cos(), ahead * sin - aside * cos, ahead * cos + aside * sin];
            frame.place(local).position()
        };
        let (half, wide, narrow) = (length / 2.0, width / 2.0, width / 2.0 * taper);
        let vertices = vec![corner(-half, -wide), corner(half, -narrow), corner(half, narrow), corner(-half, wide)];
        // The thinnest are refused.
        if let Ok(polygon) = Polygon::new(vertices) {
            let centroid = polygon.centroid();
            prop_assert!(polygon.contains_position(centroid), "{:?} is outside", centroid);
        }
    }

    #[test]
    fn a_convex_polygon_is_the_meeting_of_its_half_spaces(
        figure in star(true, -8.0, 1.94),
        points in prop::collection::vec((0.0..360.0, 0.0..1.3), 16),
        reversed: bool,
    ) {
        let mut vertices = figure.positions();
        let corners: Vec<UnitVector> = vertices.iter().rev().map(|vertex| vertex.vector()).collect();
        if reversed {
            vertices.reverse();
        }
        let polygon = Polygon::new(vertices).unwrap();
        let frame = Frame::at(figure.center);
        for (bearing, fraction) in points {
            let point = frame.position(bearing, figure.size * fraction);
            if let Some(expected) = in_convex(&corners, point.vector()) {
                prop_assert_eq!(polygon.contains_position(point), expected, "{:?}", point);
            }
        }
    }

    #[test]
    fn a_concave_polygon_is_the_union_of_its_triangles(
        figure in star(false, -7.0, 1.94),
        points in prop::collection::vec((0.0..360.0, 0.0..1.2), 16),
        reversed: bool,
    ) {
        let mut vertices = figure.positions();
        let fan = vertices.clone();
        if reversed {
            vertices.reverse();
        }
        let polygon = Polygon::new(vertices).unwrap();
        let frame = Frame::at(figure.center);
        for (bearing, fraction) in points {
            let point = frame.position(bearing, figure.size * fraction);
            if let Some(expected) = in_star(figure.center, &fan, point) {
                prop_assert_eq!(polygon.contains_position(point), expected, "{:?}", point);
            }
        }
        let opposite = figure.center.antipode();
        prop_assert!(polygon.contains_position(figure.center) && !polygon.contains_position(opposite));
    }

    #[test]
    fn vertices_and_points_of_edges_belong_to_their_polygon(
        figure in star(false, -7.0, 1.94),
        fraction in 0.0..1.0,
    ) {
        let vertices = figure.positions();
        let polygon = Polygon::new(vertices.clone()).unwrap();
        for (i, from) in vertices.iter().enumerate() {
            let to = vertices[(i + 1) % vertices.len()];
            prop_assert!(polygon.contains_position(*from), "vertex {:?}", from);
            let (a, b) = (from.vector().xyz(), to.vector().xyz());
            let [x, y, z] = [0, 1, 2].map(|k| a[k] * (1.0 - fraction) + b[k] * fraction);
            let between = UnitVector::new(x, y, z).unwrap();
            prop_assert!(polygon.contains_vector(between), "between {:?} and {:?}", from, to);
        }
    }

    /// A band round most of a great circle: longer than half a turn, in no hemisphere.
    #[test]
    fn a_long_band_is_the_union_of_its_tiles(
        center in place(),
        length in 10.0..350.0,
        wave in prop::collection::vec(-5.0..5.0, 6..14),
        half_width in exponent(-6.0, 0.5),
        points in prop::collection::vec((0.0..360.0, -10.0..10.0), 16),
        reversed: bool,
    ) {
        let frame = Frame::at(center);
        let on_band = |along: f64, across: f64| {
            let ((sin_a, cos_a), (sin_c, cos_c)) = (along.to_radians().sin_cos(), across.to_radians().sin_cos());
            frame.place([cos_c * cos_a, cos_c * sin_a, sin_c]).position()
        };
        let step = length / (wave.len() - 1) as f64;
        let side_at = |shift: f64| wave.iter().enumerate().map(move |(i, y)| (i as f64 * step, y + shift));
        let low: Vec<Position> = side_at(-half_width).map(|(x, y)| on_band(x, y)).collect();
        let high: Vec<Position> = side_at(half_width).map(|(x, y)| on_band(x, y)).collect();
        let mut vertices: Vec<Position> = low.iter().chain(high.iter().rev()).copied().collect();
        if reversed {
            vertices.reverse();
        }
        let polygon = Polygon::new(vertices).unwrap();
        let near = |i: usize| (i as f64 * step, wave[i]);
        let mut tried: Vec<Position> = points.into_iter().map(|(x, y)| on_band(x, y)).collect();
        tried.extend((0..wave.len()).map(near).map(|(x, y)| on_band(x, y + half_width * 0.9)));
        tried.extend((0..wave.len()).map(near).map(|(x, y)| on_band(x, y + half_width * 1.1)));
        for point in tried {
            let tiles = (1..wave.len()).map(|i| {
                let tile = [low[i - 1], low[i], high[i], high[i - 1]].map(|corner| corner.vector());
                in_convex(&tile, point.vector())
            });
            let verdicts: Vec<Option<bool>> = tiles.collect();
            if verdicts.contains(&Some(true)) {
                prop_assert!(polygon.contains_position(point), "{:?}", point);
            } else if !verdicts.contains(&None) {
                prop_assert!(!polygon.contains_position(point), "{:?}", point);
            }
        }
    }

    #[test]
    fn a_box_is_within_half_a_width_and_half_a_height_of_its_arms(
        center in place(),
        width in exponent(-8.0, 179.0_f64.log10()),
        height in exponent(-8.0, 179.0_f64.log10()),
        points in prop::collection::vec((-1.5..1.5, -1.5..1.5), 16),
    ) {
        let sky_box = SkyBox::new(center, Deg(width), Deg(height)).unwrap();
        let frame = Frame::at(center);
        for (x, y) in points {
            // In the tangent plane the box is a rectangle.
            let [east, north] = [(x, width), (y, height)].map(|(f, size): (f64, f64)| f * (size / 2.0).to_radians().tan());
            let point = frame.place([1.0, east, north]).position();
            let clear = |f: f64, size: f64| (f.abs() - 1.0).abs() * size.min(180.0 - size) > 100.0 * ROUNDING;
            if clear(x, width) && clear(y, height) {
                prop_assert_eq!(sky_box.contains_position(point), x.abs() < 1.0 && y.abs() < 1.0, "{:?}", point);
            }
            prop_assert!(!sky_box.contains_position(point.antipode()));
        }
    }

    #[test]
    fn a_box_is_the_polygon_of_its_corners(
        center in place(),
        width in exponent(-6.0, 179.0_f64.log10()),
        height in exponent(-6.0, 179.0_f64.log10()),
        points in prop::collection::vec((0.0..360.0, 0.0..1.0), 16),
    ) {
        let sky_box = SkyBox::new(center, Deg(width), Deg(height)).unwrap();
        let polygon = sky_box.to_polygon().unwrap();
        let corners: Vec<UnitVector> = polygon.vertices().iter().map(|vertex| vertex.vector()).collect();
        let frame = Frame::at(center);
        for (bearing, fraction) in points {
            let point = frame.position(bearing, width.max(height) * fraction);
            let near = (0..corners.len()).any(|i| {
                let (sine, error) = side(corners[i], corners[(i + 1) % corners.len()], point.vector());
                sine.abs() < error
            });
            if !near {
                prop_assert_eq!(sky_box.contains_position(point), polygon.contains_position(point), "{:?}", point);
            }
        }
    }
}
