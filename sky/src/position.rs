//! Longitudes, latitudes and positions: validated once, where they enter.
//!
//! Coordinates stay in degrees, as they were written, so that text goes round unchanged and so that a difference of two
//! nearby ones is exact. Nothing here can hold a NaN, an infinity or a latitude beyond a pole. A position has no frame:
//! the caller knows it.

use crate::angle::{Deg, Rad, sin_cos};
use crate::error::SkyError;
use crate::vector::{UnitVector, Xyz};

/// How near to a boundary counts as on it: one nanoarcsecond.
///
/// A boundary belongs to its shape, but a position in doubles is itself rounded by up to half this much. Without an
/// allowance a vertex could fall out of its own polygon.
pub const ON_BOUNDARY: Rad = Rad(4.848_136_811_095_36e-15);

/// A longitude (right ascension) in [0°, 360°).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Lon(Deg);

/// A latitude (declination) in [−90°, 90°].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Lat(Deg);

/// A point of the sky.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Longitude (right ascension).
    pub lon: Lon,
    /// Latitude (declination).
    pub lat: Lat,
}

impl Lon {
    /// A longitude from degrees: any finite number, brought into [0°, 360°). One that is there already is not touched.
    pub fn from_deg(deg: f64) -> Result<Lon, SkyError> {
        if deg.is_finite() { Ok(Lon::wrapped(deg)) } else { Err(SkyError::LonNotFinite(deg)) }
    }

    fn wrapped(deg: f64) -> Lon {
        if (0.0..360.0).contains(&deg) {
            return Lon(Deg(deg + 0.0)); // -0 is written 0
        }
        let turned = deg.rem_euclid(360.0);
        // A tiny negative number rounds up to a full turn.
        Lon(Deg(if turned >= 360.0 || turned == 0.0 { 0.0 } else { turned }))
    }

    /// In degrees, [0, 360).
    pub const fn deg(self) -> f64 {
        self.0.0
    }

    /// In radians, [0, 2π).
    pub fn rad(self) -> f64 {
        Rad::from(self.0).0
    }
}

impl Lat {
    /// A latitude from degrees: finite and within [−90, 90].
    pub fn from_deg(deg: f64) -> Result<Lat, SkyError> {
        if !deg.is_finite() {
            Err(SkyError::LatNotFinite(deg))
        } else if deg.abs() > 90.0 {
            Err(SkyError::LatOutOfRange(deg))
        } else {
            Ok(Lat(Deg(deg + 0.0)))
        }
    }

    /// In degrees, [−90, 90].
    pub const fn deg(self) -> f64 {
        self.0.0
    }

    /// In radians, [−π/2, π/2].
    pub fn rad(self) -> f64 {
        Rad::from(self.0).0
    }
}

impl Position {
    /// A position from longitude and latitude in degrees.
    pub fn from_deg(lon: f64, lat: f64) -> Result<Position, SkyError> {
        Ok(Position { lon: Lon::from_deg(lon)?, lat: Lat::from_deg(lat)? })
    }

    /// A position from finite degrees that were computed, so that a pole may be overstepped by a rounding error.
    pub(crate) fn from_rounded(lon: f64, lat: f64) -> Position {
        Position { lon: Lon::wrapped(lon), lat: Lat(Deg(lat.clamp(-90.0, 90.0) + 0.0)) }
    }

    /// The direction of this position, each coordinate right to about 1e-16; exact at poles and quarter turns.
    pub fn vector(self) -> UnitVector {
        let (sin_lon, cos_lon) = sin_cos(self.lon.0);
        let (sin_lat, cos_lat) = sin_cos(self.lat.0);
        UnitVector::from_unit([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
    }

    /// The point on the other side of the sphere.
    pub fn antipode(self) -> Position {
        Position { lon: Lon::wrapped(self.lon.0.0 + 180.0), lat: Lat(Deg(-self.lat.0.0 + 0.0)) }
    }

    /// The great-circle distance to `other`, to a few units in the last place from nothing to 180°.
    ///
    /// With Δλ, Δφ the differences and σ the sum of the latitudes, both
    /// sin²(d/2) = sin²(Δφ/2) cos²(Δλ/2) + cos²(σ/2) sin²(Δλ/2) and
    /// cos²(d/2) = cos²(Δφ/2) cos²(Δλ/2) + sin²(σ/2) sin²(Δλ/2)
    /// are sums of squares: nothing cancels, near or far. The differences are taken in degrees, where they are exact
    /// for neighbours.
    pub fn distance(self, other: Position) -> Rad {
        let (sin_dlon, cos_dlon) = sin_cos(Deg(self.lon_gap(other) / 2.0));
        let (sin_dlat, cos_dlat) = sin_cos(Deg((self.lat.0.0 - other.lat.0.0) / 2.0));
        let (sin_sum, cos_sum) = self.half_lat_sum(other);
        let sin = (sin_dlat * cos_dlon).hypot(cos_sum * sin_dlon);
        let cos = (cos_dlat * cos_dlon).hypot(sin_sum * sin_dlon);
        Rad(2.0 * sin.atan2(cos))
    }

    /// Whether `other` lies within `radius`, the rim included (to [`ON_BOUNDARY`]).
    ///
    /// This is the one test behind a cone. A distance that is compared with the radius as a number may say otherwise on the
    /// rim itself, by the rounding of degrees.
    pub fn is_within(self, radius: Deg, other: Position) -> bool {
        let limit = Rad::from(radius).0 + ON_BOUNDARY.0;
        // Two parallels are nowhere closer than their difference in latitude: most of the sky is refused here.
        let dlat = Rad::from(Deg((self.lat.0.0 - other.lat.0.0).abs())).0;
        dlat <= limit && self.distance(other).0 <= limit
    }

    /// The unsigned difference in longitude, in degrees, the shorter way round.
    fn lon_gap(self, other: Position) -> f64 {
        let (low, high) = (self.lon.0.0.min(other.lon.0.0), self.lon.0.0.max(other.lon.0.0));
        let direct = high - low;
        // 360 - high is exact where it matters, just below 360.
        if direct > 180.0 { (360.0 - high) + low } else { direct }
    }

    /// |sin| and cos of half the sum of the latitudes. The cosine goes through the polar distances, which are exact
    /// near a pole, where the sum is not.
    fn half_lat_sum(self, other: Position) -> (f64, f64) {
        let (a, b) = (self.lat.0.0, other.lat.0.0);
        let sum = a + b;
        let polar = if sum < 0.0 { (90.0 + a) + (90.0 + b) } else { (90.0 - a) + (90.0 - b) };
        (sin_cos(Deg(sum.abs() / 2.0)).0, sin_cos(Deg(polar / 2.0)).0)
    }

    /// `other` seen from here: (towards here, east, north), each with full relative accuracy however near it is.
    pub(crate) fn local(self, other: Position) -> Xyz {
        let gap = self.lon_gap(other);
        let eastward = (other.lon.0.0 - self.lon.0.0).rem_euclid(360.0) <= 180.0;
        let (half_sin, half_cos) = sin_cos(Deg(gap / 2.0));
        let (sin_lat, cos_lat) = sin_cos(self.lat.0);
        let (_, cos_other) = sin_cos(other.lat.0);
        let (sin_dlat, cos_dlat) = sin_cos(Deg(other.lat.0.0 - self.lat.0.0));
        let sin_gap = 2.0 * half_sin * half_cos;
        let versine = 2.0 * half_sin * half_sin;
        let east = cos_other * if eastward { sin_gap } else { -sin_gap };
        let north = sin_dlat + sin_lat * cos_other * versine;
        [cos_dlat - cos_lat * cos_other * versine, east, north]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lon: f64, lat: f64) -> Position {
        Position::from_deg(lon, lat).unwrap()
    }

    #[test]
    fn longitudes_wrap_and_those_in_range_are_untouched() {
        for (written, kept) in [(370.0, 10.0), (-10.0, 350.0), (360.0, 0.0), (-0.0, 0.0), (0.1, 0.1), (-1e-20, 0.0)] {
            let lon = Lon::from_deg(written).unwrap().deg();
            assert_eq!(lon.to_bits(), f64::to_bits(kept), "{written}");
        }
        assert_eq!(Lon::from_deg(360.0_f64.next_down()).unwrap().deg(), 360.0_f64.next_down());
    }

    #[test]
    fn what_is_no_place_is_refused_with_its_value() {
        let sentence = |lon, lat| Position::from_deg(lon, lat).unwrap_err().to_string();
        assert_eq!(sentence(f64::NAN, 0.0), "a longitude must be a finite number of degrees, not NaN");
        assert_eq!(sentence(f64::INFINITY, 0.0), "a longitude must be a finite number of degrees, not inf");
        assert_eq!(sentence(0.0, f64::NAN), "a latitude must be a finite number of degrees, not NaN");
        assert_eq!(
            sentence(0.0, 90.0_f64.next_up()),
            "a latitude must lie between -90 and 90 degrees, not at 90.00000000000001"
        );
    }

    /// Computed with mpmath at 60 digits, as atan2(|a × b|, a · b) of the unit vectors of exactly these doubles.
    const DISTANCES: [(f64, f64, f64, f64, f64); 14] = [
        (10.0, 20.0, 10.0, 20.000000000277776, 4.848_106_208_956_461e-12),
        (10.0, 20.0, 10.000000000277778, 20.0, 4.555_758_762_891_974e-12),
        (0.0, 0.0, 359.99999999999994, 0.0, 9.921_048_172_113_442e-16),
        (359.9999999999, 45.0, 0.0000000001, 45.0, 2.468_114_942_704_985e-12),
        (0.0, 89.9999999999, 180.0, 89.9999999999, 3.490_720_799_358_114_5e-12),
        (123.0, -89.99999999, 33.0, -89.99999999, 2.468_266_749_392_195e-10),
        (123.456, -67.89, 123.4561, -67.8901, 1.864_862_693_391_998e-6),
        (0.0, 0.0, 90.0, 0.0, std::f64::consts::FRAC_PI_2),
        (266.4168, -29.0078, 192.85948, 27.12825, 1.571_601_477_122_500_5),
        (30.0, 60.0, 210.0, -59.9999999999, 3.141_592_653_588_048),
        (30.0, 60.0, 209.99999999999997, -60.0, std::f64::consts::PI),
        (0.0, 90.0, 77.0, -90.0, std::f64::consts::PI),
        (12.5, -45.0, 192.5, 45.0, std::f64::consts::PI),
        (80.0, 0.0, 259.9999999, 1e-7, 3.141_592_651_121_525),
    ];

    #[test]
    fn distances_agree_with_sixty_digits_from_a_nanoarcsecond_to_180_degrees() {
        for (lon1, lat1, lon2, lat2, expected) in DISTANCES {
            for (a, b) in [(at(lon1, lat1), at(lon2, lat2)), (at(lon2, lat2), at(lon1, lat1))] {
                let got = a.distance(b).0;
                assert!((got / expected - 1.0).abs() < 6e-16, "{a:?} {b:?}: {got:e} for {expected:e}");
            }
        }
    }

    #[test]
    fn vectors_give_the_same_angles_to_their_own_precision() {
        for (lon1, lat1, lon2, lat2, expected) in DISTANCES {
            let got = at(lon1, lat1).vector().angle(at(lon2, lat2).vector()).0;
            assert!((got - expected).abs() < 6e-16, "{lon1} {lat1} {lon2} {lat2}: {got:e} for {expected:e}");
        }
    }

    #[test]
    fn seen_from_a_position_its_neighbours_keep_their_distances() {
        for (lon1, lat1, lon2, lat2, expected) in DISTANCES {
            let [ahead, east, north] = at(lon1, lat1).local(at(lon2, lat2));
            let got = east.hypot(north).atan2(ahead);
            assert!((got / expected - 1.0).abs() < 1e-12, "{lon1} {lat1} {lon2} {lat2}: {got:e} for {expected:e}");
        }
    }

    #[test]
    fn a_vector_leads_back_to_its_position() {
        for (lon, lat) in [(0.0, 0.0), (359.5, 89.0), (180.0, -45.0), (90.0, 12.0), (271.25, -89.999)] {
            let back = at(lon, lat).vector().position();
            assert!(back.distance(at(lon, lat)).0 < 1e-15, "{lon} {lat}: {back:?}");
        }
        assert_eq!(at(123.0, 90.0).vector().xyz(), [0.0, 0.0, 1.0]);
        assert_eq!(at(123.0, -90.0).vector().position(), at(0.0, -90.0));
    }

    #[test]
    fn the_rim_is_within_and_a_little_more_is_not() {
        let center = at(40.0, 1.0);
        assert!(center.is_within(Deg(10.0), at(40.0, 11.0)));
        assert!(!center.is_within(Deg(10.0), at(40.0, 11.000_000_000_1)));
        assert!(center.is_within(Deg(0.0), center));
        assert!(center.is_within(Deg(180.0), center.antipode()));
    }
}
