//! Widening a coverage by an angle.
//!
//! Again a descent of the HEALPix tree. Of each cell it is asked which cells of the same order that hold covered points
//! lie near enough, by the discs around the cells: none, and the cell is dropped; one that is covered entirely and so
//! near that the angle reaches past the whole cell, and the cell is kept; otherwise its children are asked, and they
//! look only at the children of what their parent found.

use std::ops::Range;

use super::{Coverage, CoverageRange, Detail, MARGIN};
use crate::angle::Rad;
use crate::healpix::Pixel;
use crate::vector::UnitVector;

/// How many ranges a widened coverage may always have.
const ALLOWANCE: usize = 256;

impl Coverage {
    /// A coverage of every point within `radius` of a point that this one may cover. What was inside stays inside; all
    /// that is added is border. It has at most 256 ranges, or as many as this one if that has more.
    pub fn dilate(&self, radius: Rad) -> Coverage {
        let allowance = self.ranges.len().clamp(ALLOWANCE, Detail::MOST);
        let reach = Reach { coverage: self, radius: radius.0.max(0.0) + MARGIN.0 };
        let mut kept = Vec::new();
        let mut pending = reach.base_cells(&mut kept);
        while !pending.is_empty() && kept.len() + pending.len() <= 2 * allowance {
            let Some(finer) = reach.refine(&pending, &mut kept) else {
                break;
            };
            pending = finer;
        }
        kept.extend(pending.iter().map(|near| near.cell.pixel));
        kept.sort_unstable_by_key(|pixel| pixel.range().start);
        let widened: Coverage = kept
            .into_iter()
            .map(|pixel| {
                let cells = pixel.range();
                CoverageRange { start: cells.start, end: cells.end, inside: false }
            })
            .collect();
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

/// The coverage that is widened, and by how much.
struct Reach<'a> {
    coverage: &'a Coverage,
    radius: f64,
}

impl Reach<'_> {
    fn base_cells(&self, kept: &mut Vec<Pixel>) -> Vec<Near> {
        let base = Pixel::base_cells();
        let covered: Vec<_> = base.iter().filter_map(|cell| self.covered(*cell)).collect();
        base.into_iter().filter_map(|cell| self.ask(cell, &covered, kept)).collect()
    }

    /// The undecided children of undecided cells; `None` at the finest order.
    fn refine(&self, pending: &[Near], kept: &mut Vec<Pixel>) -> Option<Vec<Near>> {
        let mut finer = Vec::with_capacity(2 * pending.len());
        for near in pending {
            let mut covered = Vec::with_capacity(4 * near.covered.len());
            for found in &near.covered {
                covered.extend(found.cell.pixel.children()?.into_iter().filter_map(|child| self.covered(child)));
            }
            for child in near.cell.pixel.children()? {
                finer.extend(self.ask(child, &covered, kept));
            }
        }
        Some(finer)
    }

    fn covered(&self, pixel: Pixel) -> Option<Covered> {
        let cells = self.coverage.covered_cells(&pixel.range());
        (cells > 0).then(|| Covered { cell: Disc::of(pixel), entirely: cells == pixel.order().cell_length() })
    }

    /// Decides a cell by the covered cells near its parent: it is dropped, kept, or returned undecided.
    fn ask(&self, pixel: Pixel, covered: &[Covered], kept: &mut Vec<Pixel>) -> Option<Near> {
        let cell = Disc::of(pixel);
        let mut near = Vec::new();
        for other in covered {
            let distance = cell.center.angle(other.cell.center).0;
            if other.entirely && (other.cell.pixel == pixel || distance + cell.radius <= self.radius) {
                kept.push(pixel);
                return None;
            }
            if distance <= self.radius + cell.radius + other.cell.radius {
                near.push(*other);
            }
        }
        (!near.is_empty()).then_some(Near { cell, covered: near })
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
