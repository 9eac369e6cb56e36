//! Random positions and shapes, most of them where geometry goes wrong: at the poles, at RA 0, at the corners and along
//! the sides of HEALPix base cells, on the border of the shape.

use proptest::prelude::*;
use sky::{Cone, Deg, Polygon, Position, Shape, SkyBox, UnitVector};

/// The latitude of sin⁻¹(2/3), where the corners of the base cells are and HEALPix changes its projection.
const TRANSITION: f64 = 41.810_314_895_778_6;

/// Bearing, and how far: a power of ten.
pub(super) type Nudge = (f64, f64);

/// The point at an angle in radians from another, in the direction of a bearing from north through east.
pub(super) fn destination(from: Position, bearing: f64, angle: f64) -> Position {
    let (lon, lat) = (from.lon.rad(), from.lat.rad());
    let center = from.vector().xyz();
    let east = [-lon.sin(), lon.cos(), 0.0];
    let north = [-lat.sin() * lon.cos(), -lat.sin() * lon.sin(), lat.cos()];
    let [x, y, z] = std::array::from_fn(|axis| {
        let tangent = east[axis] * bearing.sin() + north[axis] * bearing.cos();
        center[axis] * angle.cos() + tangent * angle.sin()
    });
    UnitVector::new(x, y, z).map_or(from, UnitVector::position)
}

fn position(lon: f64, lat: f64) -> Position {
    Position::from_deg(lon, lat.clamp(-90.0, 90.0)).expect("finite and clamped")
}

/// Any bearing, and 1e-11 to 10 degrees in radians.
fn nudge() -> impl Strategy<Value = Nudge> {
    (0.0..std::f64::consts::TAU, -12.0..-0.75)
}

pub(super) fn anywhere() -> impl Strategy<Value = Position> {
    prop_oneof![
        3 => (0.0..360.0, -1.0..1.0_f64).prop_map(|(lon, z)| position(lon, z.asin().to_degrees())),
        1 => special().prop_map(|(lon, lat)| position(lon, lat)),
        4 => (special(), nudge()).prop_map(|((lon, lat), (bearing, exponent))| {
            destination(position(lon, lat), bearing, 10.0_f64.powf(exponent))
        }),
    ]
}

/// Longitudes and latitudes where something changes.
fn special() -> impl Strategy<Value = (f64, f64)> {
    let pole = prop::sample::select(vec![90.0, -90.0]);
    let corner_lat = prop::sample::select(vec![0.0, TRANSITION, -TRANSITION]);
    let quarter = (0..8).prop_map(|eighth| f64::from(eighth) * 45.0);
    prop_oneof![
        1 => (0.0..360.0, pole),
        // Near a pole, by any power of ten.
        1 => (0.0..360.0, -8.0..1.0_f64, any::<bool>()).prop_map(|(lon, exponent, north)| {
            let lat = 90.0 - 10.0_f64.powf(exponent);
            (lon, if north { lat } else { -lat })
        }),
        1 => (Just(0.0), -90.0..90.0),
        // Corners of base cells, and the sides that are meridians and parallels of the transition.
        2 => (quarter.clone(), corner_lat.clone()),
        1 => (quarter, -90.0..90.0),
        1 => (0.0..360.0, corner_lat),
    ]
}

/// A radius in degrees: log-uniform, or one of those at which something changes.
fn radius() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-9.0..2.255_27_f64).prop_map(|exponent| 10.0_f64.powf(exponent).min(180.0)),
        2 => 0.0..180.0,
        1 => prop::sample::select(vec![0.0, 1e-9, 1e-7, 45.0, 89.999, 90.0, 135.0, 179.999, 179.999_999_99, 180.0]),
    ]
}

pub(super) fn cone() -> impl Strategy<Value = Shape> {
    (anywhere(), radius())
        .prop_map(|(center, radius)| Cone::new(center, Deg(radius)).expect("a radius of 0 to 180 degrees").into())
}

/// Polygons that are stars around a middle: any size up to 85 degrees, mostly concave, thin spikes among them.
pub(super) fn polygon() -> impl Strategy<Value = Shape> {
    let size = prop_oneof![3 => -8.0..1.93_f64, 1 => 1.0..1.93_f64];
    let concave = prop::collection::vec((0.05..1.0_f64, 0.0..1.0_f64), 3..=12);
    let convex = prop::collection::vec((Just(1.0_f64), 0.0..1.0_f64), 3..=12);
    (anywhere(), size, prop_oneof![2 => concave, 1 => convex], any::<bool>()).prop_filter_map(
        "a polygon that has an area",
        |(middle, size, spokes, backwards)| {
            let size = 10.0_f64.powf(size).to_radians();
            let turn = std::f64::consts::TAU / spokes.len() as f64;
            let mut vertices: Vec<Position> = (0..)
                .zip(&spokes)
                .map(|(spoke, (length, jitter))| {
                    destination(middle, (f64::from(spoke) + 0.9 * jitter) * turn, size * length)
                })
                .collect();
            if backwards {
                vertices.reverse();
            }
            Polygon::new(vertices).ok().map(Shape::from)
        },
    )
}

pub(super) fn sky_box() -> impl Strategy<Value = Shape> {
    let side = prop_oneof![
        4 => (-8.0..2.25_f64).prop_map(|exponent| 10.0_f64.powf(exponent)),
        1 => 0.0..180.0,
        1 => prop::sample::select(vec![0.0, 90.0, 179.999_999, 180.0]),
    ];
    (anywhere(), side.clone(), side).prop_filter_map("a box", |(center, width, height)| {
        SkyBox::new(center, Deg(width), Deg(height)).ok().map(Shape::from)
    })
}

pub(super) fn outlined() -> impl Strategy<Value = Shape> {
    prop_oneof![2 => cone(), 2 => polygon(), 1 => sky_box()]
}

/// Points to try a shape with, made from random numbers: inside, outside, on the border and on either side of it by any
/// power of ten, and at the places where the sky is awkward.
pub(super) fn probes(shape: &Shape, nudges: &[Nudge], elsewhere: &[Position]) -> Vec<Position> {
    let mut probes = elsewhere.to_vec();
    let mut around = |from: Position, reach: f64| {
        probes.push(from);
        for (bearing, exponent) in nudges {
            let nearly = 10.0_f64.powf(*exponent);
            // Within, on the rim, and to both sides of it.
            for angle in [nearly, reach * (bearing / 7.0), reach, reach * (1.0 - nearly), reach * (1.0 + nearly)] {
                probes.push(destination(from, *bearing, angle));
            }
        }
    };
    match shape {
        Shape::Point(position) => around(*position, 0.0),
        Shape::Cone(cone) => around(cone.center(), cone.radius().0.to_radians()),
        Shape::Polygon(polygon) => outline_probes(polygon.vertices(), &mut around),
        Shape::Box(sky_box) => {
            let longest = sky_box.width().0.max(sky_box.height().0).to_radians();
            around(sky_box.center(), longest / 2.0);
            if let Ok(polygon) = sky_box.to_polygon() {
                outline_probes(polygon.vertices(), &mut around);
            }
        }
        Shape::Moc(moc) => {
            for pixel in moc.pixels().take(8) {
                let corners = pixel.vertices();
                around(pixel.center(), corners[0].distance(pixel.center()).0);
                around(corners[1], 0.0);
            }
        }
    }
    probes
}

fn outline_probes(vertices: &[Position], around: &mut impl FnMut(Position, f64)) {
    for (index, vertex) in vertices.iter().enumerate() {
        let next = vertices[(index + 1) % vertices.len()];
        around(*vertex, vertex.distance(next).0);
        for share in [0.5, 0.03] {
            let [a, b] = [vertex.vector().xyz(), next.vector().xyz()];
            let [x, y, z] = std::array::from_fn(|axis| a[axis] * (1.0 - share) + b[axis] * share);
            if let Some(on_edge) = UnitVector::new(x, y, z) {
                around(on_edge.position(), 0.0);
            }
        }
    }
}

/// What [`probes`] needs besides the shape.
pub(super) fn probing() -> impl Strategy<Value = (Vec<Nudge>, Vec<Position>)> {
    (prop::collection::vec(nudge(), 3), prop::collection::vec(anywhere(), 4))
}
