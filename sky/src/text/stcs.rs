//! The part of STC-S that TAP services use: one shape, its frame, its numbers in degrees.
//!
//! `Circle ICRS GEOCENTER SPHERICAL2 10.5 -20 0.25 unit deg`: the shape's name, then optionally a frame, a reference
//! position and a flavour in this order, then the numbers, then optionally the unit. Words may be in any case. The frame
//! is reported, not applied. The reference position is read and left aside: no shape here has a distance. Compounds
//! (`Union`, `Intersection`, `Not`) and shapes other than Position, Circle, Box and Polygon are refused by name.

use std::fmt;

use super::{number, problem, quoted, write_positions};
use crate::angle::Deg;
use crate::cone::Cone;
use crate::error::SkyError;
use crate::polygon::Polygon;
use crate::position::Position;
use crate::shape::Shape;
use crate::sky_box::SkyBox;

const FORMAT: &str = "STC-S";
const REFERENCE_POSITIONS: [&str; 11] = [
    "BARYCENTER",
    "EMBARYCENTER",
    "GALACTIC_CENTER",
    "GEOCENTER",
    "HELIOCENTER",
    "LOCAL_GROUP_CENTER",
    "LSR",
    "MOON",
    "RELOCATABLE",
    "TOPOCENTER",
    "UNKNOWNREFPOS",
];
const FLAVOURS: [&str; 3] = ["SPHERICAL2", "SPHER2", "SPHERICAL"];
const OTHER_FLAVOURS: [&str; 5] = ["CART1", "CART2", "CART3", "CARTESIAN2", "CARTESIAN3"];
const COMPOUNDS: [&str; 4] = ["UNION", "INTERSECTION", "NOT", "DIFFERENCE"];
const OTHER_SHAPES: [&str; 6] = ["ALLSKY", "CONVEX", "ELLIPSE", "SECTOR", "POSITIONINTERVAL", "RANGE"];

/// The coordinate frames that STC-S has a word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// The International Celestial Reference System.
    Icrs,
    /// The mean equator and equinox of J2000, by the FK5 catalogue.
    Fk5,
    /// The mean equator and equinox of B1950, by the FK4 catalogue.
    Fk4,
    /// Galactic longitude and latitude.
    Galactic,
    /// Ecliptic longitude and latitude of J2000.
    Ecliptic,
}

impl Frame {
    const ALL: [Frame; 5] = [Frame::Icrs, Frame::Fk5, Frame::Fk4, Frame::Galactic, Frame::Ecliptic];

    /// The word that stands in a text.
    pub const fn name(self) -> &'static str {
        match self {
            Frame::Icrs => "ICRS",
            Frame::Fk5 => "FK5",
            Frame::Fk4 => "FK4",
            Frame::Galactic => "GALACTIC",
            Frame::Ecliptic => "ECLIPTIC",
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A shape and the frame it was given in.
#[derive(Clone, Debug, PartialEq)]
pub struct FramedShape {
    /// `None` where the text names none, or says that it is unknown.
    pub frame: Option<Frame>,
    /// The shape, its coordinates as written.
    pub shape: Shape,
}

/// Reads one shape.
///
/// ```
/// use sky::text::stcs::{self, Frame};
///
/// let framed = stcs::parse("Circle ICRS 10.5 -20 0.25")?;
/// assert_eq!(framed.frame, Some(Frame::Icrs));
/// assert_eq!(stcs::write(framed.frame, &framed.shape)?, "Circle ICRS 10.5 -20 0.25");
/// # Ok::<(), sky::error::SkyError>(())
/// ```
pub fn parse(text: &str) -> Result<FramedShape, SkyError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some((&name, rest)) = words.split_first() else {
        return Err(problem(
            FORMAT,
            "the text is empty; a shape such as Circle ICRS 10 20 0.5 was expected".to_owned(),
        ));
    };
    let kind = Kind::of(name)?;
    let (frame, rest) = frame(rest)?;
    let rest = skip_reference_and_flavour(rest)?;
    let numbers = rest.iter().position(|word| word.eq_ignore_ascii_case("unit")).unwrap_or(rest.len());
    let (numbers, unit) = rest.split_at(numbers);
    check_unit(unit)?;
    let numbers: Vec<f64> = numbers.iter().map(|word| number(FORMAT, word)).collect::<Result<_, _>>()?;
    Ok(FramedShape { frame, shape: kind.shape(&numbers)? })
}

/// Writes a shape. A MOC has no STC-S form.
pub fn write(frame: Option<Frame>, shape: &Shape) -> Result<String, SkyError> {
    let (name, numbers) = match shape {
        Shape::Point(point) => ("Position", write_positions(&[*point])),
        Shape::Cone(cone) => ("Circle", format!("{} {}", write_positions(&[cone.center()]), cone.radius().0)),
        Shape::Polygon(polygon) => ("Polygon", write_positions(polygon.vertices())),
        Shape::Box(sky_box) => {
            let center = write_positions(&[sky_box.center()]);
            ("Box", format!("{center} {} {}", sky_box.width().0, sky_box.height().0))
        }
        Shape::Moc(_) => {
            return Err(SkyError::NotExpressible { shape: "MOC", format: FORMAT });
        }
    };
    Ok(match frame {
        Some(frame) => format!("{name} {frame} {numbers}"),
        None => format!("{name} {numbers}"),
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Position,
    Circle,
    Box,
    Polygon,
}

impl Kind {
    fn of(name: &str) -> Result<Kind, SkyError> {
        match name.to_ascii_uppercase().as_str() {
            "POSITION" => Ok(Kind::Position),
            "CIRCLE" => Ok(Kind::Circle),
            "BOX" => Ok(Kind::Box),
            "POLYGON" => Ok(Kind::Polygon),
            upper if is_one_of(&COMPOUNDS, upper) => Err(problem(
                FORMAT,
                format!("{} combines regions, which is not supported: ask for each region by itself", quoted(name)),
            )),
            upper if is_one_of(&OTHER_SHAPES, upper) => Err(problem(
                FORMAT,
                format!("{} is not supported; Position, Circle, Box and Polygon are", quoted(name)),
            )),
            _ => Err(problem(
                FORMAT,
                format!("{} is not a shape; Position, Circle, Box or Polygon was expected", quoted(name)),
            )),
        }
    }

    fn shape(self, numbers: &[f64]) -> Result<Shape, SkyError> {
        let wrong = |wanted: &str| Err(problem(FORMAT, format!("{wanted}, not {}", numbers.len())));
        match (self, numbers) {
            (Kind::Position, &[lon, lat]) => Ok(Shape::Point(Position::from_deg(lon, lat)?)),
            (Kind::Circle, &[lon, lat, radius]) => {
                Ok(Shape::Cone(Cone::new(Position::from_deg(lon, lat)?, Deg(radius))?))
            }
            (Kind::Box, &[lon, lat, width, height]) => {
                Ok(Shape::Box(SkyBox::new(Position::from_deg(lon, lat)?, Deg(width), Deg(height))?))
            }
            (Kind::Polygon, coordinates) => Ok(Shape::Polygon(Polygon::from_deg(coordinates)?)),
            (Kind::Position, _) => wrong("a Position needs 2 numbers (longitude, latitude)"),
            (Kind::Circle, _) => wrong("a Circle needs 3 numbers (longitude, latitude, radius)"),
            (Kind::Box, _) => wrong("a Box needs 4 numbers (longitude, latitude, width, height)"),
        }
    }
}

/// The frame, if the first word is one, and what follows.
fn frame<'a, 'b>(words: &'b [&'a str]) -> Result<(Option<Frame>, &'b [&'a str]), SkyError> {
    let Some((&first, rest)) = words.split_first().filter(|(first, _)| is_word(first)) else {
        return Ok((None, words));
    };
    if let Some(frame) = Frame::ALL.into_iter().find(|frame| frame.name().eq_ignore_ascii_case(first)) {
        return Ok((Some(frame), rest));
    }
    match first.to_ascii_uppercase().as_str() {
        "UNKNOWNFRAME" => Ok((None, rest)),
        "J2000" => Ok((Some(Frame::Fk5), rest)),
        "B1950" => Ok((Some(Frame::Fk4), rest)),
        "GALACTIC_II" => Ok((Some(Frame::Galactic), rest)),
        upper if is_later_word(upper) => Ok((None, words)),
        _ => {
            let known = Frame::ALL.map(Frame::name).join(", ");
            Err(problem(FORMAT, format!("{} is not a frame; known are {known}", quoted(first))))
        }
    }
}

fn skip_reference_and_flavour<'a, 'b>(mut words: &'b [&'a str]) -> Result<&'b [&'a str], SkyError> {
    if let Some((first, rest)) = words.split_first()
        && is_one_of(&REFERENCE_POSITIONS, first)
    {
        words = rest;
    }
    if let Some((first, rest)) = words.split_first() {
        if is_one_of(&OTHER_FLAVOURS, first) {
            let problem_text = format!("{} is not supported; coordinates must be SPHERICAL2", quoted(first));
            return Err(problem(FORMAT, problem_text));
        }
        if is_one_of(&FLAVOURS, first) {
            words = rest;
        }
    }
    Ok(words)
}

/// Nothing, or `unit deg` (perhaps once for each axis).
fn check_unit(words: &[&str]) -> Result<(), SkyError> {
    match words {
        [] | [_, _] | [_, _, _] if words.iter().skip(1).all(|word| word.eq_ignore_ascii_case("deg")) => Ok(()),
        [_] => Err(problem(FORMAT, "the word \"unit\" needs a unit, and it must be deg".to_owned())),
        _ => {
            let wrong = words.iter().skip(1).find(|word| !word.eq_ignore_ascii_case("deg")).unwrap_or(&"deg");
            Err(problem(FORMAT, format!("{} has no place after \"unit\": the unit must be deg", quoted(wrong))))
        }
    }
}

fn is_one_of(list: &[&str], word: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn is_later_word(word: &str) -> bool {
    is_one_of(&REFERENCE_POSITIONS, word)
        || is_one_of(&FLAVOURS, word)
        || is_one_of(&OTHER_FLAVOURS, word)
        || word.eq_ignore_ascii_case("unit")
}

/// Whether this is a word rather than an attempt at a number.
fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic()) && word.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_shape_goes_round_unchanged() {
        for text in [
            "Position ICRS 0.1 -0.30000000000000004",
            "Circle FK5 359.99999999999994 89.99999999999999 0.0000000001",
            "Box GALACTIC 10 20 3.5 0",
            "Polygon ECLIPTIC 10 20 12 20 11.000000000000002 23",
            "Circle 1 2 3",
        ] {
            let framed = parse(text).unwrap();
            assert_eq!(write(framed.frame, &framed.shape).unwrap(), text);
        }
    }

    #[test]
    fn frame_reference_flavour_and_unit_may_all_be_given_in_any_case() {
        let plain = parse("Circle ICRS 10.5 -20 0.25").unwrap();
        for text in [
            "CIRCLE icrs GEOCENTER 10.5 -20 0.25",
            "circle ICRS TOPOCENTER SPHERICAL2 10.5 -20 0.25",
            "Circle Icrs spher2 1.05e1 -20.0 .25 unit deg",
            "  Circle\tICRS 10.5\n-20 0.25 Unit deg deg ",
        ] {
            assert_eq!(parse(text).unwrap(), plain, "{text}");
        }
        assert_eq!(parse("Circle UnknownFrame UNKNOWNRefPos 10.5 -20 0.25").unwrap().frame, None);
        assert_eq!(parse("Circle J2000 10.5 -20 0.25").unwrap().frame, Some(Frame::Fk5));
        assert_eq!(parse("Circle GEOCENTER 10.5 -20 0.25").unwrap().frame, None);
    }

    #[test]
    fn a_refusal_names_the_word_that_is_wrong() {
        assert_eq!(
            refusal("Circel ICRS 1 2 3"),
            "STC-S: \"Circel\" is not a shape; Position, Circle, Box or Polygon was expected"
        );
        assert_eq!(
            refusal("Circle ICSR 1 2 3"),
            "STC-S: \"ICSR\" is not a frame; known are ICRS, FK5, FK4, GALACTIC, ECLIPTIC"
        );
        assert_eq!(refusal("Circle ICRS 1 2x 3"), "STC-S: \"2x\" is not a number");
        assert_eq!(refusal("Circle ICRS 1 2"), "STC-S: a Circle needs 3 numbers (longitude, latitude, radius), not 2");
        assert_eq!(refusal("Box 1 2 3"), "STC-S: a Box needs 4 numbers (longitude, latitude, width, height), not 3");
        assert_eq!(refusal("Position 1 2 3"), "STC-S: a Position needs 2 numbers (longitude, latitude), not 3");
        assert!(refusal("Circle ICRS 1 2 3 unit").contains("must be deg"));
        assert!(refusal("Circle ICRS 1 2 3 unit rad").contains("\"rad\" has no place"));
        assert!(refusal("Circle ICRS CARTESIAN2 1 2 3").contains("\"CARTESIAN2\" is not supported"));
        assert!(refusal("Circle ICRS 1 2 nan").contains("\"nan\" is not a finite number"));
        assert!(refusal("Circle ICRS 1 2 -3").contains("between 0 and 180 degrees, not be -3"));
        assert!(refusal(" ").contains("the text is empty"));
    }

    #[test]
    fn compounds_and_other_shapes_are_refused_by_name() {
        assert!(refusal("Union ICRS (Circle 1 2 3 Circle 4 5 6)").contains("\"Union\" combines regions"));
        assert!(refusal("Not ( Circle 1 2 3 )").contains("\"Not\" combines regions"));
        assert!(refusal("Ellipse ICRS 1 2 3 4 5").contains("\"Ellipse\" is not supported"));
        assert!(refusal("AllSky ICRS").contains("\"AllSky\" is not supported"));
    }

    #[test]
    fn a_moc_has_no_stc_s_form() {
        let moc = Shape::Moc("0/0".parse().unwrap());
        assert_eq!(write(None, &moc).unwrap_err().to_string(), "a MOC cannot be written as STC-S");
    }
}
