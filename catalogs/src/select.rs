//! Which of many ranges a region of the sky touches, without looking at each.
//!
//! The ranges are sorted by their first cell and may overlap, as the files of a child table or of a margin do. Over their
//! last cells stands a tree of maxima:
//!
//! ```text
//!               9                 the highest last cell of all below
//!           9       8
//!         4   9   7   8           last cells, in the order of the first cells
//! ```
//! The ranges that reach a cell are then found by going down where the maximum does, and nowhere else.

use std::ops::Range;

use sky::coverage::CoverageRange;

/// The cells of the files of a table.
#[derive(Clone, Debug)]
pub(crate) struct CellIndex {
    /// The first cell of each range, ascending.
    lows: Vec<u64>,
    /// A perfect binary tree: node `n` has the children `2n` and `2n + 1`; the leaves are one more than each last cell,
    /// so that zero stands for no range.
    reach: Vec<u64>,
}

impl CellIndex {
    /// Of inclusive ranges, which ascend by their first cells.
    pub(crate) fn new(ranges: impl ExactSizeIterator<Item = (u64, u64)>) -> Self {
        let leaves = ranges.len().next_power_of_two();
        let mut lows = Vec::with_capacity(ranges.len());
        let mut reach = vec![0; 2 * leaves];
        for (number, (low, high)) in ranges.enumerate() {
            debug_assert!(lows.last().is_none_or(|last| *last <= low), "range {number} is out of order");
            lows.push(low);
            reach[leaves + number] = high.saturating_add(1);
        }
        for node in (1..leaves).rev() {
            reach[node] = reach[2 * node].max(reach[2 * node + 1]);
        }
        Self { lows, reach }
    }

    /// The numbers of the ranges that touch one of these, ascending, each once. The time is that of finding each of
    /// `ranges` and each hit by bisection.
    pub(crate) fn touching(&self, ranges: &[CoverageRange]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut done = 0; // all that begins before here has been decided
        for range in ranges {
            // What begins before an earlier range's end and reaches this one has reached that one, too: it was found.
            let inside = self.first_from(range.start, done);
            let beyond = self.first_from(range.end, inside);
            self.descend(1, 0..self.reach.len() / 2, &(done..inside), range.start, &mut found);
            found.extend(inside..beyond);
            done = beyond;
        }
        found
    }

    /// The first range, from number `from` on, that begins at this cell or later.
    fn first_from(&self, cell: u64, from: usize) -> usize {
        from + self.lows[from..].partition_point(|low| *low < cell)
    }

    /// Adds those of `among` below a node whose last cell is `cell` or higher. `leaves` are those below the node.
    fn descend(&self, node: usize, leaves: Range<usize>, among: &Range<usize>, cell: u64, found: &mut Vec<usize>) {
        if self.reach[node] <= cell || leaves.start >= among.end || leaves.end <= among.start {
            return;
        }
        if leaves.len() == 1 {
            found.push(leaves.start);
            return;
        }
        let middle = leaves.start + leaves.len() / 2;
        self.descend(2 * node, leaves.start..middle, among, cell, found);
        self.descend(2 * node + 1, middle..leaves.end, among, cell, found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covered(bounds: Vec<(u64, u64)>) -> Vec<CoverageRange> {
        let mut end = 0;
        bounds
            .into_iter()
            .map(|(gap, length)| {
                let start = end + gap;
                end = start + length;
                CoverageRange { start, end, inside: gap % 2 == 0 }
            })
            .collect()
    }

    fn linear(ranges: &[(u64, u64)], coverage: &[CoverageRange]) -> Vec<usize> {
        let touches = |(low, high): (u64, u64)| coverage.iter().any(|range| low < range.end && range.start <= high);
        (0..ranges.len()).filter(|number| touches(ranges[*number])).collect()
    }

    #[test]
    fn one_range_that_spans_all_is_found_once_by_many() {
        let ranges = [(0, 1000), (3, 4), (500, 500)];
        let coverage = covered(vec![(3, 1), (5, 1), (490, 1), (5, 2000)]);
        assert_eq!(CellIndex::new(ranges.into_iter()).touching(&coverage), [0, 1, 2]);
    }

    #[test]
    fn no_ranges_touch_nothing() {
        assert!(CellIndex::new([].into_iter()).touching(&covered(vec![(0, 9)])).is_empty());
        assert!(CellIndex::new([(1, 2)].into_iter()).touching(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn exactly_what_touches_is_found(
            mut ranges in prop::collection::vec((0_u64..300, 0_u64..60), 0..80),
            bounds in prop::collection::vec((0_u64..40, 1_u64..30), 0..12),
        ) {
            ranges.iter_mut().for_each(|(low, high)| *high += *low);
            ranges.sort_unstable();
            let coverage = covered(bounds);
            let found = CellIndex::new(ranges.iter().copied()).touching(&coverage);
            prop_assert_eq!(found, linear(&ranges, &coverage));
        }
    }
}
