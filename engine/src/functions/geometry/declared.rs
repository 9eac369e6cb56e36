//! What people are told of the geometry functions.

use super::{
    CIRCLE, CONTAINS, DISTANCE, INTERSECTS, POINT,
    call::{Geometry, Operation},
    moc_of_rows,
};
use crate::functions::{Body, Declaration, Form, Function, Origin};

const NUMBER: &str = "DOUBLE PRECISION";

const fn form(arguments: &'static [(&'static str, &'static str)], returns: &'static str) -> Form {
    Form { arguments, returns }
}

/// One function: its name in a query and in a plan, what it does, and what is said of it.
struct Told(&'static str, &'static str, Operation, &'static [Form], &'static str, &'static str);

const OF_THE_STANDARD: [Told; 13] = [
    Told(
        "POINT",
        POINT,
        Operation::Point,
        &[form(&[("lon", NUMBER), ("lat", NUMBER)], "POINT")],
        "A position: longitude and latitude in degrees, ICRS. Longitudes are wrapped to 0 to 360; a latitude beyond a pole \
         gives NULL. A coordinate system may stand before them ('ICRS', '').",
        "POINT(56.75, 24.12)",
    ),
    Told(
        "CIRCLE",
        CIRCLE,
        Operation::Circle,
        &[
            form(&[("lon", NUMBER), ("lat", NUMBER), ("radius", NUMBER)], "CIRCLE"),
            form(&[("center", "POINT"), ("radius", NUMBER)], "CIRCLE"),
        ],
        "All positions within a radius, in degrees from 0 to 180, of a centre; the rim belongs to it. Any other radius \
         gives NULL.",
        "CIRCLE(56.75, 24.12, 1.5)",
    ),
    Told(
        "BOX",
        "adql_box",
        Operation::Box,
        &[
            form(&[("lon", NUMBER), ("lat", NUMBER), ("width", NUMBER), ("height", NUMBER)], "POLYGON"),
            form(&[("center", "POINT"), ("width", NUMBER), ("height", NUMBER)], "POLYGON"),
        ],
        "The polygon whose sides are the great circles through the ends of a cross on the centre, its arms along the \
         parallel and the meridian there. Width and height are degrees on the sky between 0 and 180, both excluded.",
        "BOX(56.75, 24.12, 3, 2)",
    ),
    Told(
        "POLYGON",
        "adql_polygon",
        Operation::Polygon,
        &[
            form(
                &[
                    ("lon1", NUMBER),
                    ("lat1", NUMBER),
                    ("lon2", NUMBER),
                    ("lat2", NUMBER),
                    ("lon3", NUMBER),
                    ("lat3", NUMBER),
                    ("more...", NUMBER),
                ],
                "POLYGON",
            ),
            form(&[("p1", "POINT"), ("p2", "POINT"), ("p3", "POINT"), ("more...", "POINT")], "POLYGON"),
        ],
        "The smaller side of a closed line of great circles through three vertices or more, in either order. A line that \
         crosses itself, or that encloses nothing, gives NULL.",
        "POLYGON(56, 23, 58, 23, 57, 25)",
    ),
    Told(
        "REGION",
        "adql_region",
        Operation::Region,
        &[form(&[("stcs", "VARCHAR")], "REGION")],
        "The shape that an STC-S text describes: Position, Circle, Box or Polygon, in ICRS. A column of such texts may hold \
         another shape in every row.",
        "REGION('Circle ICRS 56.75 24.12 1.5')",
    ),
    Told(
        "CONTAINS",
        CONTAINS,
        Operation::Contains,
        &[form(&[("inner", "POINT, CIRCLE, POLYGON, MOC"), ("outer", "POINT, CIRCLE, POLYGON, MOC")], "INTEGER")],
        "1 if the first shape lies wholly in the second, else 0. The border belongs to a shape. NULL if one of them is.",
        "CONTAINS(POINT(56.75, 24.12), CIRCLE(57, 24, 1))",
    ),
    Told(
        "INTERSECTS",
        INTERSECTS,
        Operation::Intersects,
        &[form(&[("one", "POINT, CIRCLE, POLYGON, MOC"), ("other", "POINT, CIRCLE, POLYGON, MOC")], "INTEGER")],
        "1 if the shapes have a point in common, else 0; to touch is enough. NULL if one of them is.",
        "INTERSECTS(CIRCLE(56.75, 24.12, 1), POLYGON(56, 23, 58, 23, 57, 25))",
    ),
    Told(
        "DISTANCE",
        DISTANCE,
        Operation::Distance,
        &[
            form(&[("lon1", NUMBER), ("lat1", NUMBER), ("lon2", NUMBER), ("lat2", NUMBER)], NUMBER),
            form(&[("from", "POINT"), ("to", "POINT")], NUMBER),
        ],
        "The length of the great circle between two positions, in degrees. What is at most so far from a centre is what a \
         CIRCLE of that radius contains, its rim included.",
        "DISTANCE(56.75, 24.12, 57, 24)",
    ),
    Told(
        "AREA",
        "adql_area",
        Operation::Area,
        &[form(&[("shape", "POINT, CIRCLE, POLYGON, MOC")], NUMBER)],
        "The area of a shape in square degrees; 0 of a point.",
        "AREA(CIRCLE(56.75, 24.12, 1.5))",
    ),
    Told(
        "CENTROID",
        "adql_centroid",
        Operation::Centroid,
        &[form(&[("shape", "POINT, CIRCLE, POLYGON, MOC")], "POINT")],
        "The centre of mass of a shape on the sky; of a point itself. NULL where no direction is the middle, as of the whole \
         sky as a MOC.",
        "CENTROID(POLYGON(56, 23, 58, 23, 57, 25))",
    ),
    Told(
        "COORD1",
        "adql_coord1",
        Operation::Coord1,
        &[form(&[("point", "POINT")], NUMBER)],
        "The longitude of a point, in degrees from 0 to 360.",
        "COORD1(POINT(56.75, 24.12))",
    ),
    Told(
        "COORD2",
        "adql_coord2",
        Operation::Coord2,
        &[form(&[("point", "POINT")], NUMBER)],
        "The latitude of a point, in degrees.",
        "COORD2(POINT(56.75, 24.12))",
    ),
    Told(
        "COORDSYS",
        "adql_coordsys",
        Operation::CoordSys,
        &[form(&[("shape", "POINT, CIRCLE, POLYGON, MOC")], "VARCHAR")],
        "The coordinate system of a shape, which is always ICRS; NULL of NULL.",
        "COORDSYS(POINT(56.75, 24.12))",
    ),
];

const OF_MOCS: [(Origin, Told); 3] = [
    (
        Origin::Gavo,
        Told(
            "MOC",
            "adql_moc",
            Operation::Moc,
            &[
                form(&[("ascii", "VARCHAR")], "MOC"),
                form(&[("order", "INTEGER"), ("shape", "POINT, CIRCLE, POLYGON, MOC")], "MOC"),
            ],
            "A region made of HEALPix cells, from its text, or as the cells of an order (0 to 29) that a shape touches. It is \
             never smaller than the shape; the border of a very long or fine one may be followed by larger cells.",
            "MOC(6, CIRCLE(56.75, 24.12, 1.5))",
        ),
    ),
    (
        Origin::Gavo,
        Told(
            "gavo_mocunion",
            "gavo_mocunion",
            Operation::MocUnion,
            &[form(&[("moc1", "MOC"), ("moc2", "MOC")], "MOC")],
            "The cells of either MOC.",
            "gavo_mocunion(MOC('4/1-3'), MOC('5/99'))",
        ),
    ),
    (
        Origin::Gavo,
        Told(
            "gavo_mocintersect",
            "gavo_mocintersect",
            Operation::MocIntersect,
            &[form(&[("moc1", "MOC"), ("moc2", "MOC")], "MOC")],
            "The cells of both MOCs.",
            "gavo_mocintersect(MOC('4/1-3'), MOC('5/4-9'))",
        ),
    ),
];

/// All of them.
pub(in crate::functions) fn declared() -> Vec<Function> {
    let standard = OF_THE_STANDARD.into_iter().map(|told| (Origin::Feature("features-adqlgeo", told.0), told));
    let scalars =
        standard.chain(OF_MOCS).map(|(origin, Told(name, planned, operation, forms, description, example))| {
            let declaration = Declaration { name, planned, origin, forms, description, example };
            Function { declaration, body: Body::Scalar(Geometry::function(planned, operation)) }
        });
    scalars.chain(moc_of_rows::declared()).collect()
}
