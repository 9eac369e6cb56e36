//! Random places, sizes and figures, crowded where geometry goes wrong.

use proptest::prelude::*;
use sky::{Position, UnitVector};

/// Anywhere on the sky, and often at or near a pole, RA 0, or a corner of a HEALPix base cell.
pub(super) fn place() -> impl Strategy<Value = Position> {
    let anywhere = (0.0..360.0, -1.0..1.0_f64).prop_map(|(lon, z)| at(lon, z.asin().to_degrees()));
    let near = (landmark(), exponent(-11.0, 1.0), 0.0..360.0)
        .prop_map(|(landmark, off, bearing)| Frame::at(landmark).position(bearing, off));
    prop_oneof![2 => anywhere, 1 => landmark(), 3 => near]
}

/// The poles, points of RA 0, and the corners and edges of HEALPix base cells.
fn landmark() -> impl Strategy<Value = Position> {
    let corner = 41.810_314_895_778_6;
    let corners = (0..8_u8, prop_oneof![Just(0.0), Just(corner), Just(-corner)])
        .prop_map(|(step, lat)| at(f64::from(step) * 45.0, lat));
    let meridian = (-90.0..90.0).prop_map(|lat| at(0.0, lat));
    prop_oneof![2 => Just(at(0.0, 90.0)), 2 => Just(at(0.0, -90.0)), 2 => meridian, 3 => corners]
}

/// Degrees, log-uniform between 10^low and 10^high.
pub(super) fn exponent(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (low..high).prop_map(|exponent| 10_f64.powf(exponent))
}

/// A closed line around a centre that every ray from the centre meets once: bearings in order, and for each a distance
/// as a fraction of the largest. Gaps between neighbouring bearings stay well below 180°.
#[derive(Clone, Debug)]
pub(super) struct Star {
    pub(super) center: Position,
    /// The largest distance of a vertex, in degrees.
    pub(super) size: f64,
    /// Bearing in degrees and fraction of the size.
    pub(super) spokes: Vec<(f64, f64)>,
}

impl Star {
    pub(super) fn positions(&self) -> Vec<Position> {
        self.scaled(1.0)
    }

    /// The vertices with all distances multiplied in the tangent plane, where straight lines stay straight.
    pub(super) fn scaled(&self, factor: f64) -> Vec<Position> {
        let frame = Frame::at(self.center);
        let distance = |fraction: f64| ((self.size * fraction).to_radians().tan() * factor).atan().to_degrees();
        self.spokes.iter().map(|&(bearing, fraction)| frame.position(bearing, distance(fraction))).collect()
    }
}

/// Stars of 3 to 12 spokes; concave unless `round`, when all spokes have the full length.
pub(super) fn star(round: bool, low: f64, high: f64) -> impl Strategy<Value = Star> {
    let fraction = if round { 1.0..1.000_000_1 } else { 0.2..1.0 };
    let spokes = prop::collection::vec((0.1..0.9, fraction), 3..12);
    (place(), exponent(low, high), spokes)
        .prop_map(move |(center, size, jitter)| {
            let step = 360.0 / jitter.len() as f64;
            let spokes = jitter
                .iter()
                .enumerate()
                .map(|(i, &(within, fraction))| ((i as f64 + within) * step, if round { 1.0 } else { fraction }))
                .collect();
            Star { center, size, spokes }
        })
        // Three spokes can leave a gap of more than half a turn; the centre would then lie outside.
        .prop_filter("the centre sees all of the outline", |star| {
            let bearings: Vec<f64> = star.spokes.iter().map(|spoke| spoke.0).collect();
            let last = bearings[bearings.len() - 1];
            bearings.windows(2).map(|pair| pair[1] - pair[0]).chain([bearings[0] + 360.0 - last]).all(|gap| gap < 170.0)
        })
}

pub(super) fn at(lon: f64, lat: f64) -> Position {
    Position::from_deg(lon, lat).unwrap()
}

/// Towards a centre, its east and its north.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame([[f64; 3]; 3]);

impl Frame {
    pub(super) fn at(center: Position) -> Frame {
        let (sin_lon, cos_lon) = center.lon.rad().sin_cos();
        let (sin_lat, cos_lat) = center.lat.rad().sin_cos();
        Frame([
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
            [-sin_lon, cos_lon, 0.0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
        ])
    }

    /// The position at a bearing (from north through east) and a distance, both in degrees.
    pub(super) fn position(&self, bearing: f64, distance: f64) -> Position {
        let (sin_b, cos_b) = bearing.to_radians().sin_cos();
        let (sin_d, cos_d) = distance.to_radians().sin_cos();
        self.place([cos_d, sin_d * sin_b, sin_d * cos_b]).position()
    }

    /// A vector given in this frame, in the frame of the sky.
    pub(super) fn place(&self, local: [f64; 3]) -> UnitVector {
        let [x, y, z] = [0, 1, 2].map(|axis| (0..3).map(|i| local[i] * self.0[i][axis]).sum());
        UnitVector::new(x, y, z).unwrap()
    }
}
