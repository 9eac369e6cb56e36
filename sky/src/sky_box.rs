//! ADQL's BOX: a cross on the sky, and the four great circles through the ends of its arms.
//!
//! The standard lays a cross on the centre, its arms parallel to the coordinate axes *at the centre* and each half a
//! width or half a height long; the sides are the great circles that meet the ends of the arms at right angles. The arms
//! are great circles too, so the box is an upright rectangle in the tangent plane: the same on a pole as on the equator,
//! the shape of an image, and not a range of coordinates. At a centre on a pole, "north" is the limit along the meridian
//! of the centre's longitude.
//!
//! All four sides lie within 90° of the centre. At 180° the two sides of one arm are one great circle; beyond that they
//! would cross, so a box has at most 180° in each direction, where it is a lune or a hemisphere. No width or no height
//! leaves an arc, neither leaves the centre.

use crate::angle::{Deg, Steradian, sin_cos};
use crate::arc::Arc;
use crate::error::SkyError;
use crate::polygon::Polygon;
use crate::position::{ON_BOUNDARY, Position};
use crate::vector::{UnitVector, Xyz, add, cross, dot, scale};

/// A box by the definition of ADQL 2.1.
#[derive(Clone, Debug, PartialEq)]
pub struct SkyBox {
    center: Position,
    width: Deg,
    height: Deg,
    frame: Frame,
    /// Sine and cosine of half the width, and of half the height.
    half_width: (f64, f64),
    half_height: (f64, f64),
    /// The outline, the inside on its left; the arms' ends are corners as well, so that no arc exceeds 90°.
    edges: Vec<Arc>,
}

/// Towards the centre, and from there towards its east and its north.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame {
    center: Xyz,
    east: Xyz,
    north: Xyz,
}

impl SkyBox {
    /// A box of 0° to 180° in width (along the parallel at the centre) and in height (along the meridian).
    pub fn new(center: Position, width: Deg, height: Deg) -> Result<SkyBox, SkyError> {
        for (side, value) in [("width", width.0), ("height", height.0)] {
            if !(0.0..=180.0).contains(&value) {
                return Err(SkyError::BoxSide { side, value });
            }
        }
        let (width, height) = (Deg(width.0 + 0.0), Deg(height.0 + 0.0));
        let frame = Frame::at(center);
        let half_width = sin_cos(Deg(width.0 / 2.0));
        let half_height = sin_cos(Deg(height.0 / 2.0));
        let edges = outline(frame, half_width, half_height);
        Ok(SkyBox { center, width, height, frame, half_width, half_height, edges })
    }

    /// The middle of the cross.
    pub const fn center(&self) -> Position {
        self.center
    }

    /// The length of the cross along the parallel at the centre.
    pub const fn width(&self) -> Deg {
        self.width
    }

    /// The length of the cross along the meridian.
    pub const fn height(&self) -> Deg {
        self.height
    }

    /// Whether the position lies in the box or on a side (to [`ON_BOUNDARY`]).
    pub fn contains_position(&self, position: Position) -> bool {
        self.contains_vector(position.vector())
    }

    /// Whether the direction lies in the box or on a side (to [`ON_BOUNDARY`]).
    pub fn contains_vector(&self, point: UnitVector) -> bool {
        let ahead = dot(self.frame.center, point.xyz());
        let beyond = |arm: Xyz, (sin, cos): (f64, f64)| dot(arm, point.xyz()).abs() * cos - ahead * sin;
        ahead >= -ON_BOUNDARY.0
            && beyond(self.frame.east, self.half_width) <= ON_BOUNDARY.0
            && beyond(self.frame.north, self.half_height) <= ON_BOUNDARY.0
    }

    /// The area: 4 asin(sin(w/2) sin(h/2)), that of a pyramid with these angles at its tip.
    pub fn area(&self) -> Steradian {
        let ((sin_w, cos_w), (sin_h, cos_h)) = (self.half_width, self.half_height);
        // 1 - sin² sin² as a sum of squares: the arc sine alone is blunt near 90°.
        Steradian(4.0 * (sin_w * sin_h).atan2(cos_w.hypot(sin_w * cos_h)))
    }

    /// The centre of mass: the middle of the cross, by symmetry.
    pub const fn centroid(&self) -> Position {
        self.center
    }

    /// The box as the polygon of its four corners, from the south-west counter-clockwise as seen from outside.
    ///
    /// Refused for boxes that have no area or are too thin for a polygon, and for those of 180°, which have no corners.
    pub fn to_polygon(&self) -> Result<Polygon, SkyError> {
        let corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
        let (w, h) = (self.half_width, self.half_height);
        if w.1 == 0.0 || h.1 == 0.0 {
            return Err(SkyError::NotExpressible { shape: "box of 180 degrees", format: "a polygon" });
        }
        let corner = |(east, north): (f64, f64)| {
            self.frame.direction(w.1 * h.1, east * w.0 * h.1, north * w.1 * h.0).map(UnitVector::position)
        };
        Polygon::new(corners.into_iter().filter_map(corner).collect())
    }

    /// The sides in halves, the inside on their left.
    pub(crate) fn edges(&self) -> &[Arc] {
        &self.edges
    }
}

impl Frame {
    fn at(center: Position) -> Frame {
        let (sin_lon, cos_lon) = sin_cos(Deg(center.lon.deg()));
        let (sin_lat, cos_lat) = sin_cos(Deg(center.lat.deg()));
        let center = [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat];
        let east = [-sin_lon, cos_lon, 0.0];
        Frame { center, east, north: cross(center, east) }
    }

    fn direction(&self, ahead: f64, east: f64, north: f64) -> Option<UnitVector> {
        let plane = add(scale(self.east, east), scale(self.north, north));
        let [x, y, z] = add(scale(self.center, ahead), plane);
        UnitVector::new(x, y, z)
    }
}

/// Round the box from the end of the eastern arm: arm, corner, arm, corner … Points that coincide give no arc.
fn outline(frame: Frame, (sin_w, cos_w): (f64, f64), (sin_h, cos_h): (f64, f64)) -> Vec<Arc> {
    let ring = [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 0.0), (-1.0, -1.0), (0.0, -1.0), (1.0, -1.0)];
    let mut points: Vec<UnitVector> = ring
        .into_iter()
        .filter_map(|(east, north)| match (east != 0.0, north != 0.0) {
            // A hemisphere has no corners: its outline is the great circle through the ends of the arms.
            (true, true) => frame.direction(cos_w * cos_h, east * sin_w * cos_h, north * cos_w * sin_h),
            (true, false) => frame.direction(cos_w, east * sin_w, 0.0),
            _ => frame.direction(cos_h, 0.0, north * sin_h),
        })
        .collect();
    let same = |a: UnitVector, b: UnitVector| a.angle(b) <= ON_BOUNDARY;
    points.dedup_by(|next, kept| same(*next, *kept));
    while let [first, .., last] = points[..]
        && same(first, last)
    {
        points.pop();
    }
    (0..points.len()).map(|from| Arc::new(points[from], points[(from + 1) % points.len()])).collect()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn at(lon: f64, lat: f64) -> Position {
        Position::from_deg(lon, lat).unwrap()
    }

    fn sky_box(lon: f64, lat: f64, width: f64, height: f64) -> SkyBox {
        SkyBox::new(at(lon, lat), Deg(width), Deg(height)).unwrap()
    }

    #[test]
    fn the_arms_end_on_the_sides() {
        let equatorial = sky_box(0.0, 0.0, 20.0, 10.0);
        assert!(equatorial.contains_position(at(10.0, 0.0)) && equatorial.contains_position(at(350.0, 0.0)));
        assert!(equatorial.contains_position(at(0.0, 5.0)) && equatorial.contains_position(at(0.0, -5.0)));
        assert!(!equatorial.contains_position(at(10.000_000_001, 0.0)));
        assert!(!equatorial.contains_position(at(0.0, 5.000_000_001)));
        // The sides are great circles: the eastern one is a meridian, the northern one sinks towards its ends.
        assert!(equatorial.contains_position(at(10.0, 4.9)));
        assert!(!equatorial.contains_position(at(9.9, 5.0)));
    }

    #[test]
    fn the_box_is_the_same_figure_everywhere() {
        for lat in [-90.0, -60.0, 0.0, 45.0, 89.9, 90.0] {
            let moved = sky_box(77.0, lat, 20.0, 10.0);
            assert!((moved.area().0 - sky_box(0.0, 0.0, 20.0, 10.0).area().0).abs() < 1e-15, "{lat}");
            let polygon = moved.to_polygon().unwrap();
            assert!((polygon.area().0 / moved.area().0 - 1.0).abs() < 1e-13, "{lat}");
            assert!(polygon.contains_position(at(77.0, lat)), "{lat}");
        }
    }

    #[test]
    fn a_box_around_a_pole_holds_it_and_lies_along_the_meridian_of_its_centre() {
        let polar = sky_box(30.0, 88.0, 10.0, 6.0);
        assert!(polar.contains_position(at(0.0, 90.0)) && polar.contains_position(at(210.0, 89.5)));
        assert!(!polar.contains_position(at(210.0, 88.9)));
        let on_the_pole = sky_box(30.0, 90.0, 2.0, 10.0);
        assert!(on_the_pole.contains_position(at(30.0, 86.0)) && on_the_pole.contains_position(at(210.0, 86.0)));
        assert!(!on_the_pole.contains_position(at(120.0, 86.0)) && on_the_pole.contains_position(at(120.0, 89.1)));
    }

    #[test]
    fn at_180_degrees_a_box_is_a_lune_or_a_hemisphere() {
        let lune = sky_box(0.0, 0.0, 20.0, 180.0);
        assert!(lune.contains_position(at(10.0, 89.0)) && !lune.contains_position(at(11.0, 89.0)));
        assert!((lune.area().0 - 2.0 * f64::to_radians(20.0)).abs() < 1e-15);
        let hemisphere = sky_box(0.0, 0.0, 180.0, 180.0);
        assert!(hemisphere.contains_position(at(90.0, 0.0)) && !hemisphere.contains_position(at(90.1, 0.0)));
        assert!((hemisphere.area().0 - 2.0 * PI).abs() < 1e-15);
    }

    #[test]
    fn a_small_area_is_width_times_height() {
        let side = 1e-6 / 3600.0;
        let expected = f64::to_radians(side).powi(2) * 3.0;
        assert!((sky_box(10.0, 80.0, side, 3.0 * side).area().0 / expected - 1.0).abs() < 1e-15);
    }

    #[test]
    fn no_width_leaves_an_arc_and_neither_leaves_the_centre() {
        let arc = sky_box(10.0, 20.0, 0.0, 2.0);
        assert!(arc.contains_position(at(10.0, 21.0)) && !arc.contains_position(at(10.000_001, 20.0)));
        let point = sky_box(10.0, 20.0, 0.0, 0.0);
        assert!(point.contains_position(at(10.0, 20.0)) && !point.contains_position(at(10.0, 20.000_001)));
        assert_eq!((arc.area().0, point.area().0), (0.0, 0.0));
        assert!(point.to_polygon().is_err());
    }

    #[test]
    fn a_side_outside_0_to_180_degrees_is_refused_by_name() {
        let sentence = |w, h| SkyBox::new(at(0.0, 0.0), Deg(w), Deg(h)).unwrap_err().to_string();
        assert!(sentence(181.0, 1.0).starts_with("the width of a box must lie between 0 and 180 degrees, not be 181"));
        assert!(sentence(1.0, -0.1).starts_with("the height of a box must lie between 0 and 180 degrees, not be -0.1"));
        assert!(sentence(f64::NAN, 1.0).contains("not be NaN"));
    }
}
