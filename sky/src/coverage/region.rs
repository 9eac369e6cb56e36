//! Where a HEALPix cell lies of a shape: outside it, inside it, or on its border.
//!
//! A cell is taken for the disc around it, and the answer is proved for every point of that disc, enlarged by
//! [`MARGIN`]. For a cone it is the distance of the centres against the sum and the difference of the radii. For an
//! outline of great-circle arcs: a disc that no arc enters lies wholly on one side, that of its centre; any other disc
//! is on the border. Both hold for discs and shapes of any size, at the poles as elsewhere.

use super::{MARGIN, Membership};
use crate::angle::{Deg, Rad};
use crate::arc::Arc;
use crate::cone::Cone;
use crate::healpix::Pixel;
use crate::polygon::Polygon;
use crate::position::Position;
use crate::sky_box::SkyBox;
use crate::vector::{UnitVector, add};

/// A shape, made ready to be compared with many cells.
pub(super) trait Region {
    /// Where a cell lies of the shape. `Outside` and `Inside` are certain for every point of the cell.
    fn meets(&self, cell: Pixel) -> Membership;

    /// The middle of a disc that holds the shape with its margin, and the disc's radius.
    fn bounding_disc(&self) -> (UnitVector, Rad);
}

/// A cone, or a point as a cone without a radius.
pub(super) struct ConeRegion {
    center: UnitVector,
    radius: f64,
}

impl ConeRegion {
    pub(super) fn new(cone: &Cone) -> Self {
        Self::around(cone.center(), cone.radius())
    }

    pub(super) fn around(center: Position, radius: Deg) -> Self {
        Self { center: center.vector(), radius: Rad::from(radius).0 }
    }
}

impl Region for ConeRegion {
    fn meets(&self, cell: Pixel) -> Membership {
        let (center, reach) = cell.bounding_disc();
        let distance = self.center.angle(center).0;
        let reach = reach.0 + MARGIN.0;
        if distance > self.radius + reach {
            Membership::Outside
        } else if distance + reach <= self.radius || self.radius >= std::f64::consts::PI {
            Membership::Inside
        } else {
            Membership::Maybe
        }
    }

    fn bounding_disc(&self) -> (UnitVector, Rad) {
        (self.center, Rad(self.radius + 2.0 * MARGIN.0))
    }
}

/// The part of the sky on one side of a closed line of arcs: a polygon or a box.
pub(super) struct OutlineRegion<'a, C> {
    arcs: &'a [Arc],
    contains: C,
}

impl<'a> OutlineRegion<'a, ()> {
    pub(super) fn polygon(polygon: &'a Polygon) -> OutlineRegion<'a, impl Fn(UnitVector) -> bool> {
        OutlineRegion { arcs: polygon.edges(), contains: |direction| polygon.contains_vector(direction) }
    }

    pub(super) fn sky_box(sky_box: &'a SkyBox) -> OutlineRegion<'a, impl Fn(UnitVector) -> bool> {
        OutlineRegion { arcs: sky_box.edges(), contains: |direction| sky_box.contains_vector(direction) }
    }
}

impl<C: Fn(UnitVector) -> bool> Region for OutlineRegion<'_, C> {
    fn meets(&self, cell: Pixel) -> Membership {
        let (center, reach) = cell.bounding_disc();
        let reach = reach.0 + MARGIN.0;
        // Cells reach less than 49°, so that their sine grows with them.
        let sine = reach.sin();
        let chord2 = (2.0 * (reach / 2.0).sin()).powi(2);
        let enters =
            |arc: &Arc| arc.from.chord2(center) <= chord2 || (arc.side(center).abs() <= sine && arc.is_beside(center));
        if self.arcs.iter().any(enters) {
            Membership::Maybe
        } else if (self.contains)(center) {
            Membership::Inside
        } else {
            Membership::Outside
        }
    }

    /// A disc smaller than a hemisphere that holds the corners holds the arcs, and then also the smaller side.
    fn bounding_disc(&self) -> (UnitVector, Rad) {
        let corners = || self.arcs.iter().map(|arc| arc.from);
        let [x, y, z] = corners().fold([0.0; 3], |sum, corner| add(sum, corner.xyz()));
        match UnitVector::new(x, y, z) {
            Some(middle) => {
                let radius = corners().map(|corner| middle.angle(corner).0).fold(0.0, f64::max);
                let whole = if radius < std::f64::consts::FRAC_PI_2 { radius } else { std::f64::consts::PI };
                (middle, Rad(whole + 2.0 * MARGIN.0))
            }
            // Corners that balance are not within a hemisphere.
            None => (UnitVector::from_unit([0.0, 0.0, 1.0]), Rad(std::f64::consts::PI)),
        }
    }
}
