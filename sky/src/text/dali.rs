//! DALI's text for shapes: numbers in degrees, separated by blanks, whose meaning the type tells.
//!
//! `point` is longitude and latitude; `circle` adds a radius; `polygon` is a list of vertices, not closed; `moc` is the
//! ASCII form of a MOC. DALI has no box: one is written as the polygon of its corners.

use std::fmt;
use std::str::FromStr;

use super::{number, problem, quoted, write_positions};
use crate::angle::Deg;
use crate::cone::Cone;
use crate::error::SkyError;
use crate::moc::Moc;
use crate::polygon::Polygon;
use crate::position::Position;
use crate::shape::Shape;

/// The types of DALI that hold a shape: what a VOTable calls `xtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Xtype {
    /// Longitude and latitude.
    Point,
    /// Longitude, latitude and radius.
    Circle,
    /// Longitudes and latitudes of the vertices.
    Polygon,
    /// A MOC in ASCII.
    Moc,
}

impl Xtype {
    /// The word that stands in a VOTable.
    pub const fn name(self) -> &'static str {
        match self {
            Xtype::Point => "point",
            Xtype::Circle => "circle",
            Xtype::Polygon => "polygon",
            Xtype::Moc => "moc",
        }
    }

    const fn format(self) -> &'static str {
        match self {
            Xtype::Point => "DALI point",
            Xtype::Circle => "DALI circle",
            Xtype::Polygon => "DALI polygon",
            Xtype::Moc => "DALI moc",
        }
    }
}

impl fmt::Display for Xtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Xtype {
    type Err = SkyError;

    fn from_str(name: &str) -> Result<Xtype, SkyError> {
        [Xtype::Point, Xtype::Circle, Xtype::Polygon, Xtype::Moc]
            .into_iter()
            .find(|xtype| xtype.name() == name)
            .ok_or_else(|| {
                problem("DALI", format!("{} is not one of the types point, circle, polygon, moc", quoted(name)))
            })
    }
}

/// Reads the text of a shape of a known type.
///
/// ```
/// use sky::text::dali::{self, Xtype};
///
/// let shape = dali::parse(Xtype::Circle, "10.5 -20 0.25")?;
/// assert_eq!(dali::write(&shape)?, (Xtype::Circle, "10.5 -20 0.25".to_owned()));
/// # Ok::<(), sky::error::SkyError>(())
/// ```
pub fn parse(xtype: Xtype, text: &str) -> Result<Shape, SkyError> {
    if xtype == Xtype::Moc {
        return Ok(Shape::Moc(text.parse::<Moc>()?));
    }
    let numbers: Vec<f64> =
        text.split_whitespace().map(|word| number(xtype.format(), word)).collect::<Result<_, _>>()?;
    match (xtype, numbers.as_slice()) {
        (Xtype::Point, &[lon, lat]) => Ok(Shape::Point(Position::from_deg(lon, lat)?)),
        (Xtype::Circle, &[lon, lat, radius]) => Ok(Shape::Cone(Cone::new(Position::from_deg(lon, lat)?, Deg(radius))?)),
        (Xtype::Polygon, coordinates) => Ok(Shape::Polygon(Polygon::from_deg(coordinates)?)),
        (Xtype::Circle, other) => Err(wrong_count(xtype, "3 numbers (longitude, latitude, radius)", other.len())),
        (_, other) => Err(wrong_count(xtype, "2 numbers (longitude, latitude)", other.len())),
    }
}

/// Writes a shape, and says as which type.
///
/// A box becomes the polygon of its corners, and is refused where it has none: without area, or 180° wide or high.
pub fn write(shape: &Shape) -> Result<(Xtype, String), SkyError> {
    Ok(match shape {
        Shape::Point(point) => (Xtype::Point, write_positions(&[*point])),
        Shape::Cone(cone) => (Xtype::Circle, format!("{} {}", write_positions(&[cone.center()]), cone.radius().0)),
        Shape::Polygon(polygon) => (Xtype::Polygon, write_positions(polygon.vertices())),
        Shape::Box(sky_box) => (Xtype::Polygon, write_positions(sky_box.to_polygon()?.vertices())),
        Shape::Moc(moc) => (Xtype::Moc, moc.to_string()),
    })
}

fn wrong_count(xtype: Xtype, wanted: &str, got: usize) -> SkyError {
    problem(xtype.format(), format!("{wanted} are needed, not {got}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sky_box::SkyBox;

    fn refusal(xtype: Xtype, text: &str) -> String {
        parse(xtype, text).unwrap_err().to_string()
    }

    #[test]
    fn every_type_goes_round_unchanged() {
        for (xtype, text) in [
            (Xtype::Point, "0.1 -0.30000000000000004"),
            (Xtype::Circle, "359.99999999999994 89.99999999999999 0.0000000001"),
            (Xtype::Polygon, "10 20 12 20 11.000000000000002 23"),
            (Xtype::Moc, "3/1-5 5/99"),
        ] {
            let shape = parse(xtype, text).unwrap();
            assert_eq!(write(&shape).unwrap(), (xtype, text.to_owned()));
        }
    }

    #[test]
    fn any_blanks_separate_numbers() {
        assert_eq!(parse(Xtype::Point, "\t 1e1\n-2.50 ").unwrap(), parse(Xtype::Point, "10 -2.5").unwrap());
    }

    #[test]
    fn a_box_is_written_as_its_corners() {
        let sky_box = SkyBox::new(Position::from_deg(10.0, 0.0).unwrap(), Deg(2.0), Deg(2.0)).unwrap();
        let (xtype, text) = write(&Shape::Box(sky_box.clone())).unwrap();
        let polygon = parse(xtype, &text).unwrap();
        assert!((polygon.area().0 - sky_box.area().0).abs() < 1e-14);
    }

    #[test]
    fn a_refusal_names_the_word_or_the_count() {
        assert_eq!(refusal(Xtype::Point, "1 two"), "DALI point: \"two\" is not a number");
        assert_eq!(refusal(Xtype::Point, "1 inf"), "DALI point: \"inf\" is not a finite number");
        assert_eq!(refusal(Xtype::Point, ""), "DALI point: 2 numbers (longitude, latitude) are needed, not 0");
        assert_eq!(
            refusal(Xtype::Circle, "1 2"),
            "DALI circle: 3 numbers (longitude, latitude, radius) are needed, not 2"
        );
        assert_eq!(refusal(Xtype::Point, "1 91"), "a latitude must lie between -90 and 90 degrees, not at 91");
        assert!(refusal(Xtype::Polygon, "1 2 3 4 5").contains("5 numbers do not pair up"));
        assert!(refusal(Xtype::Polygon, "").contains("this one has 0"));
        assert!("box".parse::<Xtype>().unwrap_err().to_string().contains("\"box\" is not one of the types"));
        assert!(refusal(Xtype::Point, &"x".repeat(1000)).len() < 200);
    }
}
