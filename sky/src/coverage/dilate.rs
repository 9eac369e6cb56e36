//! Widening a coverage by an angle.
//!
//! Again a descent of the HEALPix tree. Of each cell it is asked which cells of the same order that hold covered points
//! lie near enough, by the discs around the cells: none, and the cell is dropped; one that is covered entirely and so
//! near that the angle reaches past the whole cell, and the cell is kept; otherwise its children are asked, and they
//! look only at the children of what their parent found.
//!
//! Each cell carries its own list of what is near, and over a wide angle many cells are near many others: besides the
//! number of ranges it is the number of such pairs that ends the descent. Ended early, the result is coarser, never less.

use std::f64::consts::PI;
use std::ops::Range;

use super::{Coverage, CoverageRange, Detail, MARGIN};
use crate::angle::Rad;
use crate::healpix::Pixel;
use crate::vector::UnitVector;

/// How many ranges a widened coverage may always have.
const ALLOWANCE: usize = 256;

/// How many pairs of a cell and a covered one near it may always be held, at 56 bytes each; and how many for each range
/// that the widened coverage may have.
const MOST_PAIRS: usize = 1 << 18;
const PAIRS_A_RANGE: usize = 16;

impl Coverage {
    /// A coverage of every point within `radius` of a point that this one may cover. What was inside stays inside; all
    /// that is added is border. It has at most 256 ranges, or as many as this one if that has more.
    ///
    /// A negative radius is none. One that is not a number says nothing, and may be any: the whole sky then.
    pub fn dilate(&self, radius: Rad) -> Coverage {
        let allowance = self.ranges.len().clamp(ALLOWANCE, Detail::MOST);
        let radius = if radius.0.is_nan() { PI } else { radius.0.max(0.0) };
        let most_pairs = MOST_PAIRS.max(PAIRS_A_RANGE * allowance);
        let reach = Reach { coverage: self, radius: radius + MARGIN.0, most_pairs };
        let Level { mut kept, mut pending } = reach.base_cells();
        while !pending.is_empty() && kept.len() + pending.len() <= 2 * allowance {
            let Some(finer) = reach.refine(&pending) else {
                break;
            };
            kept.extend(finer.kept);
            pending = finer.pending;
        }
        kept.extend(pending.iter().map(|near| near.cell.pixel));
        kept.sort_unstable_by_key(|pixel| pixel.range().start);
        let widened = Coverage::of_sorted(kept.into_iter().map(|pixel| {
            let cells = pixel.range();
            CoverageRange { start: cells.start, end: cells.end, inside: false }
        }));
        self.union(&widened).degrade(allowance)
    }
}

/// A cell with the disc around it.
#[derive(Clone, Copy)]
struct Disc {
    pixel: Pixel,
    center: UnitVector,
    radius: f64,
}

impl Disc {
    fn of(pixel: Pixel) -> Self {
        let (center, radius) = pixel.bounding_disc();
        Self { pixel, center, radius: radius.0 }
    }
}

/// A cell that the coverage has ranges for, in part or entirely.
#[derive(Clone, Copy)]
struct Covered {
    cell: Disc,
    entirely: bool,
}

/// A cell not yet decided, and the cells of its order that hold covered points near it.
struct Near {
    cell: Disc,
    covered: Vec<Covered>,
}

/// What has been found at one order.
#[derive(Default)]
struct Level {
    /// Cells within reach as a whole.
    kept: Vec<Pixel>,
    pending: Vec<Near>,
}

/// The coverage that is widened, and by how much.
struct Reach<'a> {
    coverage: &'a Coverage,
    radius: f64,
    most_pairs: usize,
}

impl Reach<'_> {
    fn base_cells(&self) -> Level {
        let base = Pixel::base_cells();
        let covered: Vec<_> = base.iter().filter_map(|cell| self.covered(*cell)).collect();
        let mut level = Level::default();
        for cell in base {
            self.ask(cell, &covered, &mut level);
        }
        level
    }

    /// What becomes of undecided cells one order below; `None` at the finest order, and where it would be too many pairs.
    fn refine(&self, pending: &[Near]) -> Option<Level> {
        let mut finer = Level::default();
        let mut pairs = 0;
        for near in pending {
            let mut covered = Vec::with_capacity(4 * near.covered.len());
            for found in &near.covered {
                covered.extend(found.cell.pixel.children()?.into_iter().filter_map(|child| self.covered(child)));
            }
            for child in near.cell.pixel.children()? {
                pairs += self.ask(child, &covered, &mut finer);
                if pairs > self.most_pairs {
                    return None;
                }
            }
        }
        Some(finer)
    }

    fn covered(&self, pixel: Pixel) -> Option<Covered> {
        let cells = self.coverage.covered_cells(&pixel.range());
        (cells > 0).then(|| Covered { cell: Disc::of(pixel), entirely: cells == pixel.order().cell_length() })
    }

    /// Decides a cell by the covered cells near its parent: it is dropped, kept, or left pending. How many are near it.
    fn ask(&self, pixel: Pixel, covered: &[Covered], level: &mut Level) -> usize {
        let cell = Disc::of(pixel);
        let mut near = Vec::new();
        for other in covered {
            let distance = cell.center.angle(other.cell.center).0;
            if other.entirely && (other.cell.pixel == pixel || distance + cell.radius <= self.radius) {
                level.kept.push(pixel);
                return 0;
            }
            if distance <= self.radius + cell.radius + other.cell.radius {
                near.push(*other);
            }
        }
        let pairs = near.len();
        if pairs > 0 {
            near.shrink_to_fit();
            level.pending.push(Near { cell, covered: near });
        }
        pairs
    }
}

impl Coverage {
    /// How many cells of a range have a range here.
    fn covered_cells(&self, cells: &Range<u64>) -> u64 {
        self.ranges[self.first_ending_after(cells.start)..]
            .iter()
            .take_while(|range| range.start < cells.end)
            .map(|range| range.end.min(cells.end) - range.start.max(cells.start))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::healpix::Order;
    use crate::moc::Moc;

    #[test]
    fn the_pairs_of_near_cells_are_bounded_however_wide_the_angle_and_scattered_the_cells() {
        let order = Order::new(12).unwrap();
        let cells = (0..2_000).map(|i| Pixel::new(order, i * (order.cells() / 2_000)).unwrap());
        let coverage = Coverage::of_moc(&Moc::from_pixels(order, cells));
        for radius in [0.05, 0.4, 1.0, PI / 2.0] {
            let reach = Reach { coverage: &coverage, radius, most_pairs: 20_000 };
            let mut level = reach.base_cells();
            while let Some(finer) = reach.refine(&level.pending) {
                level = finer;
            }
            let pairs = level.pending.iter().map(|near| near.covered.len());
            assert!((1..=20_000).contains(&pairs.sum::<usize>()), "{radius}");
            assert!(level.pending.iter().all(|near| near.cell.pixel.order() < Order::MAX), "{radius}");
        }
    }
}
