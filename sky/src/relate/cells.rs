//! Shapes against MOCs, down the HEALPix tree.
//!
//! Containment and intersection are one question: has a region (the shape, or the rest of the sky) a point in common
//! with a set of cells (the MOC, or the rest of the sky)? Four facts about the disc around a cell and a much smaller
//! disc within it answer it. A region farther from the centre than the outer disc reaches has nothing in the cell. One
//! that holds the outer disc has all of the cell, and so whatever the set has there. One that comes into the inner disc
//! has a point in the cell, which is common if the set has all of it. Anything else is asked again of the children.
//!
//! The search asks coarse cells before fine ones, down to order 29 (0.4 mas) where need be, and [`MOST_ASKED`] cells in
//! all. It comes to that only where a boundary runs along thousands of cells, in the set and out of it by turns or along
//! their very borders. What is still open then is taken to touch: to touch is to intersect, and does not hinder
//! containment. All open cells are of one size by then, less than a thousandth of the boundary's length, so whatever
//! reaches two of them deep into the region has been found, and what is said to touch is no farther from it than that.
//! Corners of a shape are placed in cells as positions are; one on the border of a cell belongs to it.

use std::collections::VecDeque;
use std::f64::consts::PI;
use std::ops::Range;

use super::outlines::Exact;
use crate::healpix::Pixel;
use crate::moc::Moc;
use crate::position::ON_BOUNDARY;
use crate::vector::UnitVector;

/// How many cells are asked before the rest is taken to touch.
const MOST_ASKED: usize = 1 << 17;

/// The radius of the disc within a cell, as a share of that of the disc around it.
const INNER: f64 = 0.125;

/// How near to the border of a cell a point is on it, each way: a few nanoarcseconds, more than rounding moves it.
const BORDER: f64 = 4.0 * ON_BOUNDARY.0;

/// How much of a region lies in a set of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    /// Nothing.
    Apart,
    /// Nothing that can be told from their boundaries.
    Touch,
    /// A common point that is in both for certain.
    Overlap,
}

/// How much of a range of cells is in a set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    None,
    Part,
    All,
}

pub(super) fn moc_intersects(moc: &Moc, region: &Exact<'_>) -> bool {
    landmarks(region).any(|point| moc.contains_position(point.position()))
        || contact(|cells| extent(moc, cells), |point| distance(region, point)) != Contact::Apart
}

pub(super) fn moc_contains(moc: &Moc, region: &Exact<'_>) -> bool {
    let rest = |cells: &Range<u64>| match extent(moc, cells) {
        Extent::None => Extent::All,
        Extent::Part => Extent::Part,
        Extent::All => Extent::None,
    };
    landmarks(region).all(|point| is_in_or_on(moc, point))
        && contact(rest, |point| distance(region, point)) != Contact::Overlap
}

pub(super) fn contains_moc(region: &Exact<'_>, moc: &Moc) -> bool {
    contact(|cells| extent(moc, cells), |point| -distance(region, point)) != Contact::Overlap
}

fn extent(moc: &Moc, cells: &Range<u64>) -> Extent {
    match moc.ranges_ending_after(cells.start).first() {
        Some(range) if range.start <= cells.start && cells.end <= range.end => Extent::All,
        Some(range) if range.start < cells.end => Extent::Part,
        _ => Extent::None,
    }
}

/// Points of the region: one well inside, which settles at once most of what overlaps, and the corners, whose tips may be
/// narrower than any cell.
fn landmarks(region: &Exact<'_>) -> impl Iterator<Item = UnitVector> {
    let corners = match region {
        Exact::Disc(_) => &[],
        Exact::Outline(outline) => outline.edges(),
    };
    std::iter::once(region.inner()).chain(corners.iter().map(|edge| edge.from))
}

/// Whether a point is in a cell of the MOC or on the border of one. A point on the border of several cells is placed in
/// one of them, but belongs to all.
fn is_in_or_on(moc: &Moc, point: UnitVector) -> bool {
    const STEPS: [f64; 3] = [0.0, -BORDER, BORDER];
    let holds = |[dx, dy, dz]: [f64; 3]| {
        UnitVector::new(point.x() + dx, point.y() + dy, point.z() + dz)
            .is_some_and(|near| moc.contains_position(near.position()))
    };
    STEPS.into_iter().any(|dx| STEPS.into_iter().any(|dy| STEPS.into_iter().any(|dz| holds([dx, dy, dz]))))
}

/// From a point to the boundary of the region: negative within. The whole sky has none.
fn distance(region: &Exact<'_>, point: UnitVector) -> f64 {
    match region {
        Exact::Disc(disc) if disc.radius >= PI => f64::NEG_INFINITY,
        Exact::Disc(disc) => disc.center.angle(point).0 - disc.radius,
        Exact::Outline(outline) if outline.contains(point) => -outline.distance(point),
        Exact::Outline(outline) => outline.distance(point),
    }
}

/// Searches a set of cells for the region of which the distance from any point is given, negative within.
fn contact(extent: impl Fn(&Range<u64>) -> Extent, distance: impl Fn(UnitVector) -> f64) -> Contact {
    let mut open = VecDeque::from(Pixel::base_cells());
    let mut touch = false;
    for _ in 0..MOST_ASKED {
        let Some(cell) = open.pop_front() else {
            return if touch { Contact::Touch } else { Contact::Apart };
        };
        let share = extent(&cell.range());
        if share == Extent::None {
            continue;
        }
        let (center, reach) = cell.bounding_disc();
        let gap = distance(center);
        if gap > reach.0 {
            continue;
        }
        if gap < -reach.0 || (share == Extent::All && gap < INNER * reach.0) {
            return Contact::Overlap;
        }
        match cell.children() {
            Some(children) => open.extend(children),
            None => touch = true,
        }
    }
    Contact::Touch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angle::Deg;
    use crate::cone::Cone;
    use crate::coverage::{Coverage, Detail};
    use crate::healpix::Order;
    use crate::polygon::Polygon;
    use crate::position::Position;
    use crate::shape::Shape;
    use crate::sky_box::SkyBox;

    fn cone(lon: f64, lat: f64, radius: f64) -> Shape {
        Cone::new(Position::from_deg(lon, lat).unwrap(), Deg(radius)).unwrap().into()
    }

    fn moc(text: &str) -> Shape {
        Shape::Moc(text.parse().unwrap())
    }

    #[test]
    fn the_disc_within_a_cell_is_in_the_cell() {
        // Near the poles and the transition latitude cells are stretched most; orders 0 to 5 hold every form.
        for order in 0..=5 {
            let order = Order::new(order).unwrap();
            for index in 0..order.cells() {
                let cell = Pixel::new(order, index).unwrap();
                let (center, reach) = cell.bounding_disc();
                let normal = center.normal_to(UnitVector::from_unit([0.6, 0.48, 0.64]));
                let across = normal.cross(center);
                for step in 0..48 {
                    let (sin, cos) = (f64::from(step) * PI / 24.0).sin_cos();
                    let (sin_d, cos_d) = (INNER * reach.0).sin_cos();
                    let [x, y, z] =
                        [0, 1, 2].map(|i| center.xyz()[i] * cos_d + sin_d * (normal.xyz()[i] * cos + across[i] * sin));
                    let rim = UnitVector::new(x, y, z).unwrap().position();
                    assert_eq!(Pixel::of(rim, order), cell, "{rim:?} is in another cell");
                }
            }
        }
    }

    #[test]
    fn a_cone_in_a_base_cell_is_contained_until_it_reaches_the_side() {
        // Base cell 4 lies around (0, 0); its corners are at 45 degrees east and west, 41.8 north and south.
        let cell = moc("0/4");
        assert!(cell.contains(&cone(0.0, 0.0, 20.0)) && !cell.contains(&cone(0.0, 0.0, 40.0)));
        assert!(cone(0.0, 0.0, 45.000_1).contains(&cell) && !cone(0.0, 0.0, 44.999_9).contains(&cell));
        assert!(cell.intersects(&cone(0.0, 44.0, 2.2)) && !cell.intersects(&cone(0.0, 44.0, 2.1)));
        assert!(!cell.intersects(&cone(180.0, 0.0, 134.999)) && cell.intersects(&cone(180.0, 0.0, 135.001)));
    }

    #[test]
    fn a_sliver_is_seen_however_coarse_the_moc_and_large_the_shape() {
        // The easternmost corner of base cell 4, approached from beyond it.
        assert!(moc("0/4").intersects(&cone(65.0, 0.0, 20.000_000_1)));
        assert!(!moc("0/4").intersects(&cone(65.0, 0.0, 19.999_999_9)));
    }

    #[test]
    fn a_boundary_along_the_border_of_the_cells_touches_them() {
        // Above the transition latitude base cells 0 and 3 are parted by the meridian of RA 0.
        let east: Shape = Polygon::from_deg(&[0.0, 50.0, 20.0, 50.0, 20.0, 70.0, 0.0, 70.0]).unwrap().into();
        assert!(moc("0/0").contains(&east));
        assert!(moc("0/3").intersects(&east) && !moc("0/3").contains(&east));
        let west: Shape = Polygon::from_deg(&[340.0, 50.0, 360.0, 50.0, 360.0, 70.0, 340.0, 70.0]).unwrap().into();
        assert!(moc("0/3").contains(&west));
        assert!(moc("0/0").intersects(&west) && !moc("0/0").contains(&west));
        assert!(moc("0/0 3").contains(&east));
    }

    #[test]
    fn tiny_shapes_are_placed_to_a_milliarcsecond() {
        let across = cone(0.0, 60.0, 1e-6);
        assert!(moc("0/0").intersects(&across) && !moc("0/0").contains(&across) && moc("0/0 3").contains(&across));
        let east = cone(3e-6, 60.0, 1e-6);
        assert!(moc("0/0").contains(&east) && !moc("0/3").intersects(&east));
        let arc: Shape = SkyBox::new(Position::from_deg(0.0, 60.0).unwrap(), Deg(1e-5), Deg(0.0)).unwrap().into();
        assert!(!moc("0/0").contains(&arc) && moc("0/0").intersects(&arc) && moc("0/0 3").contains(&arc));
    }

    #[test]
    fn a_hole_is_found_however_many_cells_lie_along_the_boundary() {
        let order = Order::new(13).unwrap();
        let whole = Cone::new(Position::from_deg(45.0, 20.0).unwrap(), Deg(60.0)).unwrap();
        let around = Coverage::of_cone(&whole, Detail::at_most(Detail::MOST));
        let covering = Moc::from_coverage(&around, order);
        let whole = Shape::from(whole);
        assert!(Shape::from(covering.clone()).contains(&whole));
        let hole = Moc::from_pixels(order, [Pixel::of(Position::from_deg(45.0, -39.7).unwrap(), order)]);
        assert!(!Shape::from(covering.difference(&hole)).contains(&whole));
        assert!(!whole.contains(&Shape::from(covering)));
    }

    #[test]
    fn the_empty_moc_is_in_everything_and_meets_nothing() {
        let (empty, all, sky) = (moc("0/"), moc("0/0-11"), cone(1.0, 2.0, 180.0));
        assert!(sky.contains(&empty) && !empty.intersects(&sky) && !empty.contains(&sky));
        assert!(sky.contains(&all) && all.contains(&sky) && !cone(1.0, 2.0, 179.9).contains(&all));
    }
}
