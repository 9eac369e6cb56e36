//! How two shapes relate: containment and intersection of every pair.
//!
//! Shapes are closed, so touching is intersecting and a shape contains itself. Pairs of points, cones, polygons and
//! boxes are decided by exact geometry, to one nanoarcsecond: a point is a cone without radius, and polygons and boxes
//! are outlines of great-circle arcs with an inside. A MOC is a set of cells whose borders are no great circles; pairs
//! with one are decided by descending the HEALPix tree, and `cells` says how finely.
//!
//! Nothing here prunes: for that, see [`coverage`](crate::coverage).

mod cells;
mod outlines;

use crate::angle::Rad;
use crate::moc::Moc;
use crate::shape::Shape;
use outlines::{Disc, Exact, Outline};

/// Whether every point of `inner` lies in `outer`.
pub(crate) fn contains(outer: &Shape, inner: &Shape) -> bool {
    if let Shape::Point(point) = inner {
        return outer.contains_position(*point);
    }
    match (side(outer), side(inner)) {
        (Side::Exact(outer), Side::Exact(inner)) => outlines::contains(&outer, &inner),
        (Side::Exact(outer), Side::Cells(inner)) => cells::contains_moc(&outer, inner),
        (Side::Cells(outer), Side::Exact(inner)) => cells::moc_contains(outer, &inner),
        (Side::Cells(outer), Side::Cells(inner)) => outer.contains(inner),
    }
}

/// Whether the shapes have a point in common.
pub(crate) fn intersects(one: &Shape, other: &Shape) -> bool {
    if let (shape, Shape::Point(point)) | (Shape::Point(point), shape) = (one, other) {
        return shape.contains_position(*point);
    }
    match (side(one), side(other)) {
        (Side::Exact(one), Side::Exact(other)) => outlines::intersects(&one, &other),
        (Side::Exact(region), Side::Cells(moc)) | (Side::Cells(moc), Side::Exact(region)) => {
            cells::moc_intersects(moc, &region)
        }
        (Side::Cells(one), Side::Cells(other)) => one.intersects(other),
    }
}

/// A shape as one side of a relation.
enum Side<'a> {
    Exact(Exact<'a>),
    Cells(&'a Moc),
}

fn side(shape: &Shape) -> Side<'_> {
    Side::Exact(match shape {
        Shape::Point(point) => Exact::Disc(Disc { center: point.vector(), radius: 0.0 }),
        Shape::Cone(cone) => Exact::Disc(Disc { center: cone.center().vector(), radius: Rad::from(cone.radius()).0 }),
        Shape::Polygon(polygon) => Exact::Outline(Outline::Polygon(polygon)),
        Shape::Box(sky_box) => Exact::Outline(Outline::Box(sky_box)),
        Shape::Moc(moc) => return Side::Cells(moc),
    })
}
