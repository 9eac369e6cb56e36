//! Fewer ranges for the same region.
//!
//! A reader walks the ranges of a coverage for every file and page, so their number is bounded. To lose a range, two
//! consecutive ones are joined over the gap between them; the joined range is a border one, since nothing is known of
//! the gap. The joins taken are those that cost least: cells of a gap are read for nothing, cells that were inside are
//! tested for nothing, which is cheaper.

use super::{Coverage, CoverageRange};

/// How much more a cell read for nothing weighs than a cell tested for nothing.
const WEIGHT_OF_GAP: u128 = 8;

impl Coverage {
    /// A coverage of at most `max_ranges` ranges (at least one) that covers all that this one covers, and calls inside
    /// only what this one calls inside.
    pub fn degrade(&self, max_ranges: usize) -> Coverage {
        let max_ranges = max_ranges.max(1);
        let Some(excess) = self.ranges.len().checked_sub(max_ranges).filter(|excess| *excess > 0) else {
            return self.clone();
        };
        let mut joins: Vec<(u128, usize)> =
            self.ranges.windows(2).map(|pair| cost(&pair[0], &pair[1])).zip(0..).collect();
        let (cheapest, dearest, _) = joins.select_nth_unstable(excess - 1);
        let mut joined = vec![false; self.ranges.len()];
        for (_, index) in cheapest.iter().chain([&*dearest]) {
            joined[*index] = true;
        }
        self.join(&joined)
    }

    /// Joins range `i` with the next one wherever `joined[i]`.
    fn join(&self, joined: &[bool]) -> Coverage {
        let mut result: Vec<CoverageRange> = Vec::with_capacity(self.ranges.len());
        let mut with_last = false;
        for (range, with_next) in self.ranges.iter().zip(joined) {
            match result.last_mut() {
                Some(last) if with_last => *last = CoverageRange { start: last.start, end: range.end, inside: false },
                _ => result.push(*range),
            }
            with_last = *with_next;
        }
        // Two border ranges that touch now are one.
        Coverage::of_sorted(result)
    }
}

/// What is lost by joining two consecutive ranges.
fn cost(left: &CoverageRange, right: &CoverageRange) -> u128 {
    let gap = u128::from(right.start - left.end);
    let known = [left, right].into_iter().filter(|range| range.inside).map(|range| u128::from(range.cells()));
    gap * WEIGHT_OF_GAP + known.sum::<u128>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(ranges: &[(u64, u64, bool)]) -> Coverage {
        Coverage::of_sorted(ranges.iter().map(|&(start, end, inside)| CoverageRange { start, end, inside }))
    }

    #[test]
    fn the_smallest_gaps_are_filled_first() {
        let ranges = coverage(&[(0, 10, false), (12, 20, false), (100, 110, false), (111, 120, false)]);
        assert_eq!(ranges.degrade(2), coverage(&[(0, 20, false), (100, 120, false)]));
    }

    #[test]
    fn a_small_inside_range_dissolves_into_its_border_before_a_gap_is_filled() {
        let ranges = coverage(&[(0, 10, false), (10, 12, true), (12, 20, false), (40, 50, true)]);
        assert_eq!(ranges.degrade(2), coverage(&[(0, 20, false), (40, 50, true)]));
    }

    #[test]
    fn no_range_is_asked_for_but_one_is_given() {
        let ranges = coverage(&[(5, 10, true), (12, 20, true)]);
        assert_eq!(ranges.degrade(0), coverage(&[(5, 20, false)]));
        assert_eq!(Coverage::empty().degrade(0), Coverage::empty());
        assert_eq!(Coverage::whole_sky().degrade(1), Coverage::whole_sky());
    }
}
