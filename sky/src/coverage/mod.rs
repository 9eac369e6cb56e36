//! The HEALPix ranges a region of the sky covers.
//!
//! A [`Coverage`] is a short, sorted list of disjoint half-open ranges of order-29 cells. A cell in a range that is
//! `inside` is known to lie in the region; a cell in any other range may; a cell in no range does not. It is what
//! prunes: files, row groups, pages and rows whose cells are in no range are never read, and rows in an inside range
//! need no exact test. So two promises hold of every operation here: no point of the region is ever in an outside
//! cell, and no point outside it is ever in an inside one. Tightness is what gives way, never these two.
//!
//! `build` makes coverages from shapes, `region` says where a cell lies of a shape, `algebra` combines coverages,
//! `degrade` shortens them and `dilate` widens them. Nothing here knows files, columns or queries.

use std::ops::Range;

use crate::angle::Rad;
use crate::healpix::CELLS_29;
use crate::moc::Moc;

mod algebra;
mod build;
mod degrade;
mod dilate;
mod region;

pub use build::Detail;

/// How far a shape other than a MOC is enlarged before it is compared with cells, and a cell before it is called inside:
/// 2 milliarcseconds, five cells of order 29. A position is rounded when it is written in degrees, when it becomes a
/// vector and when it becomes a cell; all of that together stays a million times below.
pub const MARGIN: Rad = Rad(2e-3 / 3600.0 * std::f64::consts::PI / 180.0);

/// What a coverage knows of a cell. The order of the three is that of knowledge: a union takes the greater, an
/// intersection the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Membership {
    /// No point of the cell is in the region.
    Outside,
    /// Points of the cell may be in the region: the exact test decides.
    Maybe,
    /// Every point of the cell is in the region.
    Inside,
}

/// A run of order-29 cells of which a coverage knows the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CoverageRange {
    /// The first cell.
    pub start: u64,
    /// The cell after the last.
    pub end: u64,
    /// Whether every point of these cells is in the region; if not, points of them may be.
    pub inside: bool,
}

impl CoverageRange {
    /// What is known of each of the cells.
    pub const fn membership(&self) -> Membership {
        if self.inside { Membership::Inside } else { Membership::Maybe }
    }

    /// How many cells of order 29 the range holds.
    pub const fn cells(&self) -> u64 {
        self.end - self.start
    }
}

/// A region of the sky as sorted, disjoint ranges of order-29 cells, each inside the region or on its border.
///
/// ```
/// use sky::angle::Deg;
/// use sky::cone::Cone;
/// use sky::coverage::{Coverage, Detail};
/// use sky::healpix::cell29;
/// use sky::position::Position;
///
/// let pleiades = Cone::new(Position::from_deg(56.75, 24.12)?, Deg(1.0))?;
/// let coverage = Coverage::of_cone(&pleiades, Detail::default());
/// assert!(coverage.is_inside(cell29(Position::from_deg(56.75, 24.12)?)));
/// assert!(!coverage.may_contain(cell29(Position::from_deg(58.75, 24.12)?)));
/// # Ok::<(), sky::error::SkyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Coverage {
    ranges: Vec<CoverageRange>,
}

impl Coverage {
    /// The coverage of nothing.
    pub const fn empty() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The coverage of the whole sky.
    pub fn whole_sky() -> Self {
        Self { ranges: vec![CoverageRange { start: 0, end: CELLS_29, inside: true }] }
    }

    /// The coverage of a region of which nothing is known: the whole sky, none of it inside.
    pub fn unknown() -> Self {
        Self { ranges: vec![CoverageRange { start: 0, end: CELLS_29, inside: false }] }
    }

    /// The coverage of a MOC, exact: every one of its cells is inside. No [`MARGIN`] is added, for a MOC says itself which
    /// cells it has: a position counts by the cell it falls in.
    pub fn of_moc(moc: &Moc) -> Self {
        Self::of_sorted(moc.ranges().map(|range| CoverageRange { start: range.start, end: range.end, inside: true }))
    }

    /// The ranges: sorted, disjoint, none empty, and no two neighbours that could be one.
    pub fn ranges(&self) -> &[CoverageRange] {
        &self.ranges
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The same cells, none of them inside: for a region of which only this much is known to be true, that it lies here.
    pub fn as_border(&self) -> Self {
        Self::of_sorted(self.ranges.iter().map(|range| CoverageRange { inside: false, ..*range }))
    }

    /// What is known of a cell of order 29.
    pub fn membership(&self, cell29: u64) -> Membership {
        match self.ranges.get(self.first_ending_after(cell29)) {
            Some(range) if range.start <= cell29 => range.membership(),
            _ => Membership::Outside,
        }
    }

    /// Whether points of a cell of order 29 may be in the region. `false` is certain.
    pub fn may_contain(&self, cell29: u64) -> bool {
        self.membership(cell29) != Membership::Outside
    }

    /// Whether every point of a cell of order 29 is in the region. `true` is certain.
    pub fn is_inside(&self, cell29: u64) -> bool {
        self.membership(cell29) == Membership::Inside
    }

    /// Whether any cell of the half-open range `low..high` may hold points of the region.
    pub fn intersects_range(&self, low: u64, high: u64) -> bool {
        low < high && self.ranges.get(self.first_ending_after(low)).is_some_and(|range| range.start < high)
    }

    /// What is known of each of many half-open ranges, such as those of the row groups of a file: `Outside` if none of
    /// its cells is covered, `Inside` if every one is inside, `Maybe` otherwise. An empty range is `Outside`.
    ///
    /// One walk along both lists when `ranges` is sorted by start; ranges out of order cost a search each.
    pub fn select(&self, ranges: &[Range<u64>]) -> Vec<Membership> {
        let mut next = 0;
        let mut last_start = 0;
        ranges
            .iter()
            .map(|asked| {
                if asked.start < last_start {
                    next = self.first_ending_after(asked.start);
                }
                last_start = asked.start;
                while self.ranges.get(next).is_some_and(|range| range.end <= asked.start) {
                    next += 1;
                }
                match self.ranges.get(next) {
                    Some(range) if !asked.is_empty() && range.start < asked.end => {
                        if range.inside && range.start <= asked.start && asked.end <= range.end {
                            Membership::Inside
                        } else {
                            Membership::Maybe
                        }
                    }
                    _ => Membership::Outside,
                }
            })
            .collect()
    }

    /// The share of the sky that may be covered: 0 to 1, and at least that of the region.
    pub fn sky_fraction(&self) -> f64 {
        fraction(self.ranges.iter())
    }

    /// The share of the sky that is known to be covered: 0 to 1, and at most that of the region.
    pub fn inside_fraction(&self) -> f64 {
        fraction(self.ranges.iter().filter(|range| range.inside))
    }

    /// From ranges that are sorted and disjoint already.
    fn of_sorted(ranges: impl IntoIterator<Item = CoverageRange>) -> Self {
        let mut coverage = Self::empty();
        for range in ranges {
            debug_assert!(range.start < range.end && range.end <= CELLS_29, "{range:?} is not a range of cells");
            debug_assert!(
                coverage.ranges.last().is_none_or(|last| last.end <= range.start),
                "{range:?} is out of order"
            );
            coverage.push(range);
        }
        coverage
    }

    /// The index of the first range that ends after a cell.
    fn first_ending_after(&self, cell29: u64) -> usize {
        self.ranges.partition_point(|range| range.end <= cell29)
    }

    /// Adds a range after the last one, as part of it where both know the same.
    fn push(&mut self, range: CoverageRange) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start && last.inside == range.inside => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }
}

fn fraction<'a>(ranges: impl Iterator<Item = &'a CoverageRange>) -> f64 {
    ranges.map(CoverageRange::cells).sum::<u64>() as f64 / CELLS_29 as f64
}
