//! Any shape the house knows, and what can be asked of all of them.
//!
//! Shapes are closed: a boundary belongs to its shape, to within [`ON_BOUNDARY`](crate::position::ON_BOUNDARY). How two
//! shapes relate is decided in the private module `relate`.

use crate::angle::Steradian;
use crate::cone::Cone;
use crate::moc::Moc;
use crate::polygon::Polygon;
use crate::position::Position;
use crate::relate;
use crate::sky_box::SkyBox;

/// A region of the sky, or a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// One position: no area.
    Point(Position),
    /// All within an angle of a centre.
    Cone(Cone),
    /// Great-circle edges, the smaller side.
    Polygon(Polygon),
    /// ADQL's BOX.
    Box(SkyBox),
    /// A set of HEALPix cells.
    Moc(Moc),
}

impl Shape {
    /// What this shape is called in a sentence.
    pub const fn name(&self) -> &'static str {
        match self {
            Shape::Point(_) => "point",
            Shape::Cone(_) => "circle",
            Shape::Polygon(_) => "polygon",
            Shape::Box(_) => "box",
            Shape::Moc(_) => "MOC",
        }
    }

    /// Whether the position lies in this shape or on its boundary.
    pub fn contains_position(&self, position: Position) -> bool {
        match self {
            Shape::Point(point) => point.is_within(crate::angle::Deg(0.0), position),
            Shape::Cone(cone) => cone.contains_position(position),
            Shape::Polygon(polygon) => polygon.contains_position(position),
            Shape::Box(sky_box) => sky_box.contains_position(position),
            Shape::Moc(moc) => moc.contains_position(position),
        }
    }

    /// Whether every point of `other` lies in this shape; a common boundary does not hinder it.
    ///
    /// Exact to [`ON_BOUNDARY`](crate::position::ON_BOUNDARY). Between a MOC and another shape the cells along the boundary
    /// are followed down to order 29, 0.4 mas, but no more than 131,072 cells in all: where there are more, an overlap less
    /// deep than a thousandth of the boundary's length may pass for a common boundary.
    pub fn contains(&self, other: &Shape) -> bool {
        relate::contains(self, other)
    }

    /// Whether the two shapes have a point in common; to touch is enough. As exact as [`Shape::contains`].
    pub fn intersects(&self, other: &Shape) -> bool {
        relate::intersects(self, other)
    }

    /// The area; none for a point.
    pub fn area(&self) -> Steradian {
        match self {
            Shape::Point(_) => Steradian(0.0),
            Shape::Cone(cone) => cone.area(),
            Shape::Polygon(polygon) => polygon.area(),
            Shape::Box(sky_box) => sky_box.area(),
            Shape::Moc(moc) => moc.area(),
        }
    }

    /// The centre of mass, projected onto the sky. `None` where no direction is the middle: an empty MOC, or one that is
    /// balanced all round.
    pub fn centroid(&self) -> Option<Position> {
        match self {
            Shape::Point(point) => Some(*point),
            Shape::Cone(cone) => Some(cone.center()),
            Shape::Polygon(polygon) => Some(polygon.centroid()),
            Shape::Box(sky_box) => Some(sky_box.centroid()),
            Shape::Moc(moc) => moc.centroid(),
        }
    }
}

impl From<Position> for Shape {
    fn from(position: Position) -> Shape {
        Shape::Point(position)
    }
}

impl From<Cone> for Shape {
    fn from(cone: Cone) -> Shape {
        Shape::Cone(cone)
    }
}

impl From<Polygon> for Shape {
    fn from(polygon: Polygon) -> Shape {
        Shape::Polygon(polygon)
    }
}

impl From<SkyBox> for Shape {
    fn from(sky_box: SkyBox) -> Shape {
        Shape::Box(sky_box)
    }
}

impl From<Moc> for Shape {
    fn from(moc: Moc) -> Shape {
        Shape::Moc(moc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::stcs;

    #[test]
    fn every_kind_of_shape_has_a_name_an_area_and_a_centre_within() {
        let mut shapes: Vec<Shape> = ["Position 10 20", "Circle 10 20 3", "Polygon 9 19 11 19 10 22", "Box 10 20 2 3"]
            .map(|text| stcs::parse(text).unwrap().shape)
            .into();
        shapes.push(Shape::Moc("3/5".parse().unwrap()));
        let names = ["point", "circle", "polygon", "box", "MOC"];
        for (shape, name) in shapes.iter().zip(names) {
            assert_eq!(shape.name(), name);
            assert_eq!(shape.area().0 > 0.0, name != "point", "{name}");
            assert!(shape.contains_position(shape.centroid().unwrap()), "{name}");
        }
    }
}
