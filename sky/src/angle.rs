//! Angles and areas that cannot be mixed up.
//!
//! A bare `f64` says nothing about its unit, and a radius in radians read as degrees gives a plausible, wrong answer.
//! Each unit is therefore its own type, and the only way from one to another is `From`. The functions at the end take
//! degrees straight to sine and cosine: 90° then has a cosine of exactly zero, which the poles need.

use std::fmt;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
        pub struct $name(pub f64);

        impl $name {
            /// The bare number, in the unit the type is named after.
            pub const fn value(self) -> f64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.0, $unit)
            }
        }
    };
}

quantity!(
    /// An angle in radians.
    Rad,
    "rad"
);
quantity!(
    /// An angle in degrees.
    Deg,
    "deg"
);
quantity!(
    /// An angle in seconds of arc.
    Arcsec,
    "arcsec"
);
quantity!(
    /// An area of the sky in steradians; the whole sky is 4π.
    Steradian,
    "sr"
);
quantity!(
    /// An area of the sky in square degrees; the whole sky is 129600/π.
    SquareDeg,
    "deg2"
);

const ARCSEC_PER_DEG: f64 = 3600.0;

/// Square degrees in one steradian: (180/π)².
const SQUARE_DEG_PER_STERADIAN: f64 = 3_282.806_350_011_743_7;

impl From<Deg> for Rad {
    fn from(angle: Deg) -> Rad {
        Rad(angle.0.to_radians())
    }
}

impl From<Rad> for Deg {
    fn from(angle: Rad) -> Deg {
        Deg(angle.0.to_degrees())
    }
}

impl From<Arcsec> for Deg {
    fn from(angle: Arcsec) -> Deg {
        Deg(angle.0 / ARCSEC_PER_DEG)
    }
}

impl From<Deg> for Arcsec {
    fn from(angle: Deg) -> Arcsec {
        Arcsec(angle.0 * ARCSEC_PER_DEG)
    }
}

impl From<Arcsec> for Rad {
    fn from(angle: Arcsec) -> Rad {
        Deg::from(angle).into()
    }
}

impl From<Rad> for Arcsec {
    fn from(angle: Rad) -> Arcsec {
        Deg::from(angle).into()
    }
}

impl From<Steradian> for SquareDeg {
    fn from(area: Steradian) -> SquareDeg {
        SquareDeg(area.0 * SQUARE_DEG_PER_STERADIAN)
    }
}

impl From<SquareDeg> for Steradian {
    fn from(area: SquareDeg) -> Steradian {
        Steradian(area.0 / SQUARE_DEG_PER_STERADIAN)
    }
}

/// Sine and cosine of an angle in degrees, exact at every multiple of 90°.
///
/// The reduction to ±45° happens in degrees, where it is exact; reducing in radians would carry the rounding of π.
pub(crate) fn sin_cos(angle: Deg) -> (f64, f64) {
    let quarters = (angle.0 / 90.0).round();
    let (sin, cos) = quarters.mul_add(-90.0, angle.0).to_radians().sin_cos();
    match quarters.rem_euclid(4.0) as u8 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_convert_both_ways() {
        assert_eq!(Rad::from(Deg(180.0)), Rad(std::f64::consts::PI));
        assert_eq!(Deg::from(Rad(std::f64::consts::PI)), Deg(180.0));
        assert_eq!(Deg::from(Arcsec(1800.0)), Deg(0.5));
        assert_eq!(Arcsec::from(Deg(0.5)), Arcsec(1800.0));
        let back = Arcsec::from(Rad::from(Arcsec(0.3))).0;
        assert!((back - 0.3).abs() < 1e-15, "{back}");
    }

    #[test]
    fn the_whole_sky_is_41253_square_degrees() {
        let whole = SquareDeg::from(Steradian(4.0 * std::f64::consts::PI)).0;
        assert!((whole - 129_600.0 / std::f64::consts::PI).abs() < 1e-10, "{whole}");
        let back = Steradian::from(SquareDeg(whole)).0;
        assert!((back - 4.0 * std::f64::consts::PI).abs() < 1e-14, "{back}");
    }

    #[test]
    fn quarter_turns_have_exact_sines_and_cosines() {
        for (deg, sin, cos) in [
            (0.0, 0.0, 1.0),
            (90.0, 1.0, 0.0),
            (-90.0, -1.0, 0.0),
            (180.0, 0.0, -1.0),
            (270.0, -1.0, 0.0),
            (360.0, 0.0, 1.0),
        ] {
            assert_eq!(sin_cos(Deg(deg)), (sin, cos), "{deg}");
        }
    }

    #[test]
    fn sines_agree_with_the_radian_ones_everywhere() {
        for step in -3600..3600 {
            let deg = f64::from(step) * 0.2 + 0.0123;
            let (sin, cos) = sin_cos(Deg(deg));
            let (s, c) = deg.to_radians().sin_cos();
            assert!((sin - s).abs() < 3e-15 && (cos - c).abs() < 3e-15, "{deg}");
        }
    }
}
