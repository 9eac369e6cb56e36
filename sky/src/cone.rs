//! A cone: every point within an angle of a centre (ADQL's CIRCLE).
//!
//! Any radius from nothing to the whole sky; the rim belongs to the cone. A [`ConeTest`] is a cone made ready for many
//! rows.

use crate::angle::{Deg, Rad, Steradian, sin_cos};
use crate::error::SkyError;
use crate::position::{ON_BOUNDARY, Position};
use crate::vector::UnitVector;

/// How near to the rim a chord between two unit vectors leaves open on which side it ends: fifty times what rounding does.
const DOUBT: f64 = 1e-14;

/// What is added to a longitude, in degrees, before it decides: a million times what rounding does.
const SLACK: f64 = 1e-9;

/// Every point within `radius` of `center`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cone {
    center: Position,
    radius: Deg,
}

impl Cone {
    /// A cone of 0° to 180°. At 0° it is its centre alone, at 180° the whole sky.
    pub fn new(center: Position, radius: Deg) -> Result<Cone, SkyError> {
        if (0.0..=180.0).contains(&radius.0) {
            Ok(Cone { center, radius: Deg(radius.0 + 0.0) })
        } else {
            Err(SkyError::Radius(radius.0))
        }
    }

    /// The middle.
    pub const fn center(&self) -> Position {
        self.center
    }

    /// The angle from the middle to the rim.
    pub const fn radius(&self) -> Deg {
        self.radius
    }

    /// Whether the position lies in the cone or on its rim.
    pub fn contains_position(&self, position: Position) -> bool {
        self.center.is_within(self.radius, position)
    }

    /// This cone made ready to be asked about many positions.
    pub fn tester(&self) -> ConeTest {
        let radius = Rad::from(self.radius).0 + ON_BOUNDARY.0;
        let rim = 2.0 * (radius.min(std::f64::consts::PI) / 2.0).sin();
        let (lon, lat) = (self.center.lon.deg(), self.center.lat.deg());
        // Seen from a pole that is not in it, a cone is at its widest twice the angle whose sine is sin r / cos lat.
        let widest = match lat.abs() + self.radius.0 < 90.0 - SLACK {
            true => ((radius + DOUBT).sin() / sin_cos(Deg(lat)).1).min(1.0).asin().to_degrees(),
            false => 360.0,
        };
        ConeTest {
            cone: *self,
            center: self.center.vector(),
            lon,
            // The arc sine is blunt where the cone nearly touches a pole.
            widest: if widest < 80.0 { widest + SLACK } else { 360.0 },
            highest: lat + self.radius.0 + 1e-12,
            lowest: lat - self.radius.0 - 1e-12,
            surely_within: (rim - DOUBT).max(0.0).powi(2),
            surely_beyond: (rim + DOUBT).powi(2),
        }
    }

    /// 4π sin²(r/2), which does not cancel for small radii.
    pub fn area(&self) -> Steradian {
        let (half_sin, _) = sin_cos(Deg(self.radius.0 / 2.0));
        Steradian(4.0 * std::f64::consts::PI * half_sin * half_sin)
    }
}

/// A cone made ready to be asked about many positions: the same answers as [`Cone::contains_position`], sooner.
///
/// Most rows are settled by their latitude or by a chord between unit vectors; the few so near to the rim that a chord
/// can't tell are asked exactly.
#[derive(Clone, Copy, Debug)]
pub struct ConeTest {
    cone: Cone,
    center: UnitVector,
    /// The longitude of the centre, and how far from it in degrees nothing is in the cone.
    lon: f64,
    widest: f64,
    /// Latitudes in degrees, beyond which nothing is in the cone.
    highest: f64,
    lowest: f64,
    /// Squares of chords: less is within, more is beyond, between is open.
    surely_within: f64,
    surely_beyond: f64,
}

/// Where a position lies of the rim of a cone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rim {
    /// Nearer to the centre than the radius, whatever is rounded.
    Within,
    /// Farther, whatever is rounded.
    Beyond,
    /// So near to the rim that it must be asked exactly.
    On(Position),
}

impl ConeTest {
    /// Whether the position lies in the cone or on its rim. `None` if the degrees are no position.
    pub fn contains_deg(&self, lon: f64, lat: f64) -> Option<bool> {
        Some(match self.rim(lon, lat)? {
            Rim::Within => true,
            Rim::Beyond => false,
            Rim::On(position) => self.cone.contains_position(position),
        })
    }

    /// Where the position lies of the rim. `None` if the degrees are no position.
    pub fn rim(&self, lon: f64, lat: f64) -> Option<Rim> {
        let position = Position::from_deg(lon, lat).ok()?;
        let direct = (position.lon.deg() - self.lon).abs();
        if lat > self.highest || lat < self.lowest || direct.min(360.0 - direct) > self.widest {
            return Some(Rim::Beyond);
        }
        let chord2 = self.center.chord2(position.vector());
        Some(if chord2 < self.surely_within {
            Rim::Within
        } else if chord2 > self.surely_beyond {
            Rim::Beyond
        } else {
            Rim::On(position)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cone(lon: f64, lat: f64, radius: f64) -> Cone {
        Cone::new(Position::from_deg(lon, lat).unwrap(), Deg(radius)).unwrap()
    }

    #[test]
    fn a_radius_outside_0_to_180_degrees_is_refused() {
        let center = Position::from_deg(1.0, 2.0).unwrap();
        for radius in [-1e-300, 180.000_000_000_1, f64::NAN, f64::INFINITY] {
            let sentence = Cone::new(center, Deg(radius)).unwrap_err().to_string();
            assert_eq!(sentence, format!("the radius of a circle must lie between 0 and 180 degrees, not be {radius}"));
        }
    }

    #[test]
    fn the_extremes_are_a_point_and_the_whole_sky() {
        assert!(cone(1.0, 2.0, 0.0).contains_position(cone(361.0, 2.0, 0.0).center()));
        assert!(!cone(1.0, 2.0, 0.0).contains_position(Position::from_deg(1.0, 2.000_000_000_001).unwrap()));
        let sky = cone(1.0, 2.0, 180.0);
        assert!(sky.contains_position(sky.center().antipode()));
        assert!((sky.area().0 - 4.0 * std::f64::consts::PI).abs() < 1e-14);
    }

    #[test]
    fn a_test_of_degrees_that_are_no_position_has_no_answer() {
        let test = cone(1.0, 2.0, 3.0).tester();
        for (lon, lat) in [(f64::NAN, 2.0), (1.0, f64::NAN), (f64::INFINITY, 2.0), (1.0, 90.0_f64.next_up())] {
            assert_eq!(test.contains_deg(lon, lat), None, "{lon} {lat}");
        }
        assert_eq!((test.contains_deg(-359.0, 5.0), test.contains_deg(1.0, 5.1)), (Some(true), Some(false)));
    }

    #[test]
    fn the_area_keeps_its_digits_at_a_microarcsecond() {
        // π r² to the precision asked for: the next term is r²/12 relative.
        let radius = 1e-6 / 3600.0;
        let expected = std::f64::consts::PI * f64::to_radians(radius).powi(2);
        assert!((cone(10.0, 80.0, radius).area().0 / expected - 1.0).abs() < 1e-15);
    }
}
