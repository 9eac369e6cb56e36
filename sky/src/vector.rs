//! Unit vectors: where geometry without poles and without RA 0 is done.
//!
//! A unit vector in doubles places a point to about 1e-16 rad. That is enough to decide on which side of an edge a
//! point lies; the *relative* accuracy of a separation below a milliarcsecond needs [`Position::distance`].

use crate::angle::Rad;
use crate::position::Position;

/// Three Cartesian coordinates, not necessarily of unit length.
pub(crate) type Xyz = [f64; 3];

/// A direction on the sky: a vector of length one.
///
/// `x` points to (0°, 0°), `y` to (90°, 0°) and `z` to the north pole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitVector(Xyz);

impl UnitVector {
    /// The direction of `(x, y, z)`, whatever its length; `None` when it has none (zero or not finite).
    pub fn new(x: f64, y: f64, z: f64) -> Option<UnitVector> {
        let largest = x.abs().max(y.abs()).max(z.abs());
        // Squares of such numbers leave the range of doubles.
        let [x, y, z] = if (1e-100..1e100).contains(&largest) { [x, y, z] } else { [x, y, z].map(|c| c / largest) };
        let length = norm([x, y, z]);
        (length > 0.0 && length.is_finite()).then(|| UnitVector([x / length, y / length, z / length]))
    }

    /// The direction of a position.
    pub fn from_position(position: Position) -> UnitVector {
        position.vector()
    }

    /// Coordinates that already have length one, up to rounding.
    pub(crate) const fn from_unit(xyz: Xyz) -> UnitVector {
        UnitVector(xyz)
    }

    /// Towards (0°, 0°).
    pub const fn x(self) -> f64 {
        self.0[0]
    }

    /// Towards (90°, 0°).
    pub const fn y(self) -> f64 {
        self.0[1]
    }

    /// Towards the north pole.
    pub const fn z(self) -> f64 {
        self.0[2]
    }

    /// The three coordinates.
    pub const fn xyz(self) -> [f64; 3] {
        self.0
    }

    /// The longitude and latitude of this direction. A pole has longitude 0.
    pub fn position(self) -> Position {
        let [x, y, z] = self.0;
        // At a pole x may be -0, whose direction would be 180 degrees.
        Position::from_rounded(y.atan2(x + 0.0).to_degrees(), z.atan2(x.hypot(y)).to_degrees())
    }

    /// The cosine of the angle to `other`.
    pub fn dot(self, other: UnitVector) -> f64 {
        dot(self.0, other.0)
    }

    /// The vector product: at right angles to both, as long as the sine of the angle between them.
    pub fn cross(self, other: UnitVector) -> [f64; 3] {
        cross(self.0, other.0)
    }

    /// The square of the straight line between the two tips, from 0 to 4: the cheapest thing to compare with a radius.
    pub fn chord2(self, other: UnitVector) -> f64 {
        let difference = sub(self.0, other.0);
        dot(difference, difference)
    }

    /// The angle to `other`, with an absolute error of a few 1e-16 rad from 0 to 180°.
    ///
    /// Twice the arc tangent of |a − b| over |a + b|: unlike the arc cosine it loses nothing at either end.
    pub fn angle(self, other: UnitVector) -> Rad {
        Rad(2.0 * norm(sub(self.0, other.0)).atan2(norm(add(self.0, other.0))))
    }

    /// The point on the other side of the sphere.
    pub fn antipode(self) -> UnitVector {
        UnitVector(self.0.map(|coordinate| -coordinate))
    }

    /// A unit vector at right angles to the plane of `self` and `other`, turning from the one to the other.
    ///
    /// The sum and the difference of two nearly equal (or opposite) vectors are exact where the vectors' own product
    /// cancels. Equal or opposite vectors leave the plane open; any of the possible ones is then returned.
    pub(crate) fn normal_to(self, other: UnitVector) -> UnitVector {
        let [x, y, z] = cross(add(self.0, other.0), sub(other.0, self.0));
        UnitVector::new(x, y, z).unwrap_or_else(|| self.any_normal())
    }

    fn any_normal(self) -> UnitVector {
        let [x, y, z] = self.0.map(f64::abs);
        let axis = if x <= y && x <= z {
            [1.0, 0.0, 0.0]
        } else if y <= z {
            [0.0, 1.0, 0.0]
        } else {
            [0.0, 0.0, 1.0]
        };
        let normal = cross(self.0, axis);
        UnitVector(scale(normal, 1.0 / norm(normal)))
    }
}

pub(crate) fn dot(a: Xyz, b: Xyz) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Xyz, b: Xyz) -> Xyz {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn add(a: Xyz, b: Xyz) -> Xyz {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn sub(a: Xyz, b: Xyz) -> Xyz {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn scale(a: Xyz, factor: f64) -> Xyz {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

pub(crate) fn norm(a: Xyz) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_found_at_any_length_a_double_can_have() {
        for length in [5e-324, 1e-200, 1e-99, 1.0, 1e99, 1e200, f64::MAX] {
            assert_eq!(UnitVector::new(-length, 0.0, 0.0).unwrap().xyz(), [-1.0, 0.0, 0.0], "{length}");
            let diagonal = UnitVector::new(length, length, -length).unwrap();
            assert!((diagonal.x() - 1.0 / 3.0_f64.sqrt()).abs() < 1e-15 && diagonal.z() == -diagonal.x(), "{length}");
        }
    }

    #[test]
    fn what_has_no_direction_is_no_unit_vector() {
        for [x, y, z] in [[0.0; 3], [f64::NAN, 1.0, 0.0], [1e200, 1.0, f64::NAN], [f64::INFINITY, 0.0, 0.0]] {
            assert_eq!(UnitVector::new(x, y, z), None, "{x} {y} {z}");
        }
    }
}
