//! Union, intersection and complement of coverages, cell by cell in three-valued logic.
//!
//! | of a cell | union | intersection | complement of the first |
//! |---|---|---|---|
//! | outside, outside | outside | outside | inside |
//! | outside, maybe | maybe | outside | inside |
//! | outside, inside | inside | outside | inside |
//! | maybe, maybe | maybe | maybe | maybe |
//! | maybe, inside | inside | maybe | maybe |
//! | inside, inside | inside | inside | outside |
//!
//! These are exact of what is known, not of the regions: the union of two half cells of which each is a maybe stays a
//! maybe although together they may fill it. The promises of a coverage hold.

use super::{Coverage, CoverageRange, Membership};
use crate::healpix::CELLS_29;

impl Coverage {
    /// What is in either region.
    pub fn union(&self, other: &Coverage) -> Coverage {
        self.combine(other, Membership::max)
    }

    /// What is in both regions.
    pub fn intersection(&self, other: &Coverage) -> Coverage {
        self.combine(other, Membership::min)
    }

    /// What is not in the region: inside becomes outside, outside becomes inside, the border stays the border.
    pub fn complement(&self) -> Coverage {
        self.combine(&Coverage::empty(), |own, _| match own {
            Membership::Outside => Membership::Inside,
            Membership::Maybe => Membership::Maybe,
            Membership::Inside => Membership::Outside,
        })
    }

    /// Walks both lists of ranges at once, from border to border, and keeps what `decide` makes of each stretch.
    fn combine(&self, other: &Coverage, decide: impl Fn(Membership, Membership) -> Membership) -> Coverage {
        let mut result = Coverage::empty();
        let (mut left, mut right) = (self.ranges.as_slice(), other.ranges.as_slice());
        let mut start = 0;
        while start < CELLS_29 {
            let (own, own_end) = stretch(&mut left, start);
            let (others, others_end) = stretch(&mut right, start);
            let end = own_end.min(others_end);
            match decide(own, others) {
                Membership::Outside => {}
                known => result.push(CoverageRange { start, end, inside: known == Membership::Inside }),
            }
            start = end;
        }
        result
    }
}

/// What is known at `start`, and up to which cell. Ranges that end before are dropped from the list.
fn stretch(ranges: &mut &[CoverageRange], start: u64) -> (Membership, u64) {
    while let [first, rest @ ..] = ranges
        && first.end <= start
    {
        *ranges = rest;
    }
    match ranges.first() {
        Some(range) if range.start <= start => (range.membership(), range.end),
        Some(range) => (Membership::Outside, range.start),
        None => (Membership::Outside, CELLS_29),
    }
}
