//! A cone: every point within an angle of a centre (ADQL's CIRCLE).
//!
//! Any radius from nothing to the whole sky; the rim belongs to the cone.

use crate::angle::{Deg, Steradian, sin_cos};
use crate::error::SkyError;
use crate::position::Position;

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

    /// 4π sin²(r/2), which does not cancel for small radii.
    pub fn area(&self) -> Steradian {
        let (half_sin, _) = sin_cos(Deg(self.radius.0 / 2.0));
        Steradian(4.0 * std::f64::consts::PI * half_sin * half_sin)
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
    fn the_area_keeps_its_digits_at_a_microarcsecond() {
        // π r² to the precision asked for: the next term is r²/12 relative.
        let radius = 1e-6 / 3600.0;
        let expected = std::f64::consts::PI * f64::to_radians(radius).powi(2);
        assert!((cone(10.0, 80.0, radius).area().0 / expected - 1.0).abs() < 1e-15);
    }
}
