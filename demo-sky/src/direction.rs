//! Directions on the sky as unit vectors, and the little trigonometry that drawing a sky takes.
//!
//! Only `libm` and exact operations are used, so that a position is the same to the last bit on every machine. What is
//! asked about a sky is asked of the `sky` crate; nothing here answers queries.

/// A unit vector, in whichever frame its owner says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direction {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) z: f64,
}

/// Galactic axes (toward the centre, along the rotation, to the north pole) as columns, in ICRS: ESA SP-1200, vol. 1, 1.5.3.
const GALACTIC_TO_ICRS: [[f64; 3]; 3] = [
    [-0.054_875_560_4, 0.494_109_427_9, -0.867_666_149_0],
    [-0.873_437_090_2, -0.444_829_630_0, -0.198_076_373_4],
    [-0.483_835_015_5, 0.746_982_244_5, 0.455_983_776_2],
];

/// Turns a vector of any length from galactic axes to ICRS.
pub(crate) fn galactic_to_icrs([x, y, z]: [f64; 3]) -> [f64; 3] {
    GALACTIC_TO_ICRS.map(|[a, b, c]| a * x + b * y + c * z)
}

impl Direction {
    /// The direction of a vector that is not zero.
    pub(crate) fn of([x, y, z]: [f64; 3]) -> Self {
        let scale = 1.0 / (x * x + y * y + z * z).sqrt();
        Self { x: x * scale, y: y * scale, z: z * scale }
    }

    pub(crate) fn from_degrees(lon: f64, lat: f64) -> Self {
        let (sin_lon, cos_lon) = libm::sincos(lon.to_radians());
        let (sin_lat, cos_lat) = libm::sincos(lat.to_radians());
        Self { x: cos_lat * cos_lon, y: cos_lat * sin_lon, z: sin_lat }
    }

    /// Longitude in [0, 360) and latitude in [-90, 90], in degrees.
    pub(crate) fn to_degrees(self) -> (f64, f64) {
        let lon = libm::atan2(self.y, self.x).to_degrees();
        let lat = libm::atan2(self.z, (self.x * self.x + self.y * self.y).sqrt()).to_degrees();
        // A tiny negative longitude rounds to exactly 360 when it is wrapped.
        let lon = if lon < 0.0 { lon + 360.0 } else { lon };
        (if lon >= 360.0 { 0.0 } else { lon }, lat.clamp(-90.0, 90.0))
    }

    /// The ICRS direction of a galactic one.
    pub(crate) fn to_icrs(self) -> Self {
        Self::of(galactic_to_icrs(self.vector()))
    }

    /// The sine of the galactic latitude of an ICRS direction.
    pub(crate) fn sin_galactic_latitude(self) -> f64 {
        GALACTIC_TO_ICRS[0][2] * self.x + GALACTIC_TO_ICRS[1][2] * self.y + GALACTIC_TO_ICRS[2][2] * self.z
    }

    pub(crate) fn vector(self) -> [f64; 3] {
        [self.x, self.y, self.z]
    }

    /// The unit vectors to the east and to the north here. At a pole, where neither exists, those of longitude 0.
    pub(crate) fn east_and_north(self) -> ([f64; 3], [f64; 3]) {
        let equatorial = (self.x * self.x + self.y * self.y).sqrt();
        if equatorial == 0.0 {
            return ([0.0, 1.0, 0.0], [-self.z, 0.0, 0.0]);
        }
        let (cos, sin) = (self.x / equatorial, self.y / equatorial);
        ([-sin, cos, 0.0], [-self.z * cos, -self.z * sin, equatorial])
    }

    /// The direction of the point that lies this far to the east and to the north on the plane that touches the sphere
    /// here: right at the poles too, where an offset in right ascension is not.
    pub(crate) fn offset(self, east: f64, north: f64) -> Self {
        let (to_east, to_north) = self.east_and_north();
        Self::of([
            self.x + east * to_east[0] + north * to_north[0],
            self.y + east * to_east[1] + north * to_north[1],
            self.z + east * to_east[2] + north * to_north[2],
        ])
    }
}

/// An identifier that sorts by place, as Gaia's do: the HEALPix pixel of order 12 above, the row number below.
/// Unique for as many rows as 35 bits can count.
pub(crate) fn identifier(ra: f64, dec: f64, row: u64) -> i64 {
    let pixel = cdshealpix::nested::get(12).hash(ra.to_radians(), dec.to_radians());
    ((pixel << 35) | (row & ((1 << 35) - 1))) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_galactic_centre_and_pole_are_where_the_standard_puts_them() {
        let (ra, dec) = Direction { x: 1.0, y: 0.0, z: 0.0 }.to_icrs().to_degrees();
        assert!((ra - 266.404_996).abs() < 1e-5 && (dec + 28.936_172).abs() < 1e-5, "{ra} {dec}");
        let pole = Direction { x: 0.0, y: 0.0, z: 1.0 }.to_icrs();
        let (ra, dec) = pole.to_degrees();
        assert!((ra - 192.859_481).abs() < 1e-5 && (dec - 27.128_251).abs() < 1e-5, "{ra} {dec}");
        assert!((pole.sin_galactic_latitude() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn degrees_come_back_from_a_direction_everywhere() {
        for (lon, lat) in [(0.0, 0.0), (359.999_999, -45.0), (180.0, 89.999_999), (12.5, -89.5), (90.0, 30.0)] {
            let (lon_back, lat_back) = Direction::from_degrees(lon, lat).to_degrees();
            assert!((lon - lon_back).abs() < 1e-8 && (lat - lat_back).abs() < 1e-11, "{lon_back} {lat_back}");
        }
        let just_below_zero = Direction { x: 1.0, y: -1e-300, z: 0.0 };
        assert_eq!(just_below_zero.to_degrees().0, 0.0);
    }

    #[test]
    fn an_offset_has_its_length_at_the_poles_too() {
        let step = 0.3 / 206_264.806_247;
        for lat in [-90.0, -89.999_99, 0.0, 60.0, 89.999_999_9, 90.0] {
            let from = Direction::from_degrees(77.0, lat);
            for (east, north) in [(step, 0.0), (0.0, step), (-step, 0.0)] {
                let to = from.offset(east, north);
                let moved = ((to.x - from.x).powi(2) + (to.y - from.y).powi(2) + (to.z - from.z).powi(2)).sqrt();
                assert!((moved / step - 1.0).abs() < 1e-8, "{lat}: {moved}");
            }
        }
    }
}
