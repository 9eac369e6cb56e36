//! Which HEALPix cells become partitions: a pure decision over a histogram of the sky.
//!
//! Top down: a cell is taken when its rows fit, or when it is of the finest order. Where rows are added to a table, the
//! partitions of it that stay as they are, are fixed: no cell around one of them is taken.

use std::{collections::HashMap, ops::Range};

use sky::healpix::{Order, Pixel};

/// Rows per cell of one order.
pub(super) struct Histogram {
    order: u8,
    counts: Vec<u32>,
    /// How often a count has run over: four thousand million rows in one cell are possible, but not common.
    overflows: HashMap<usize, u64>,
}

impl Histogram {
    /// No rows yet.
    pub(super) fn new(order: u8) -> Self {
        Self { order, counts: vec![0; 12 << (2 * order)], overflows: HashMap::new() }
    }

    /// Counts rows in a cell of order 29.
    pub(super) fn count(&mut self, cell29: u64) {
        let place = (cell29 >> (2 * (29 - self.order))) as usize;
        let (count, is_over) = self.counts[place].overflowing_add(1);
        self.counts[place] = count;
        if is_over {
            *self.overflows.entry(place).or_default() += 1;
        }
    }

    fn rows_at(&self, places: Range<usize>) -> u64 {
        let counted: u64 = self.counts[places.clone()].iter().map(|count| u64::from(*count)).sum();
        let over = self.overflows.iter().filter(|(place, _)| places.contains(place)).map(|(_, times)| times << 32);
        counted + over.sum::<u64>()
    }

    /// The rows in a range of cells of order 29 that begins and ends with cells of the counted order.
    pub(super) fn rows(&self, cells: Range<u64>) -> u64 {
        let shift = 2 * (29 - self.order);
        self.rows_at((cells.start >> shift) as usize..(cells.end >> shift) as usize)
    }
}

/// What limits partitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most rows of a partition.
    pub(super) max_rows: u64,
    /// The coarsest order.
    pub(super) min_order: u8,
    /// The finest order; at most the one that was counted.
    pub(super) max_order: u8,
}

/// The partitions, ascending along the sky: the largest cells within the limits, and no empty ones. A cell of the finest
/// order is taken as it is, however many rows it has. `fixed` cells, ascending, are neither taken nor surrounded.
pub(super) fn choose(histogram: &Histogram, limits: Limits, fixed: &[Range<u64>]) -> Vec<(Pixel, u64)> {
    let mut chosen = Vec::new();
    for base in 0..12 {
        descend(histogram, 0, base, limits, fixed, &mut chosen);
    }
    chosen
}

fn descend(
    histogram: &Histogram,
    order: u8,
    index: u64,
    limits: Limits,
    fixed: &[Range<u64>],
    chosen: &mut Vec<(Pixel, u64)>,
) {
    let shift = 2 * (29 - order);
    let cells = index << shift..(index + 1) << shift;
    let rows = histogram.rows(cells.clone());
    if rows == 0 {
        return;
    }
    // Those that overlap this cell; rows lie outside of them, so that one around this cell is not among them.
    let first = fixed.partition_point(|range| range.end <= cells.start);
    let inside = &fixed[first..first + fixed[first..].partition_point(|range| range.start < cells.end)];
    let fits = (rows <= limits.max_rows && order >= limits.min_order) || order >= limits.max_order;
    if (fits && inside.is_empty()) || order == histogram.order {
        let pixel = Order::new(order).and_then(|order| Pixel::new(order, index));
        // An order that was counted and an index found by descending from a base cell are always valid.
        #[allow(clippy::expect_used)]
        chosen.push((pixel.expect("a cell of the tree"), rows));
        return;
    }
    for child in index * 4..index * 4 + 4 {
        descend(histogram, order + 1, child, limits, inside, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINEST: u8 = 8;

    fn counted(cells: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new(FINEST);
        cells.into_iter().for_each(|cell| histogram.count(cell));
        histogram
    }

    fn limits(max_rows: u64) -> Limits {
        Limits { max_rows, min_order: 0, max_order: FINEST }
    }

    fn told(chosen: Vec<(Pixel, u64)>) -> Vec<(u8, u64, u64)> {
        chosen.into_iter().map(|(pixel, rows)| (pixel.order().get(), pixel.index(), rows)).collect()
    }

    fn chosen(histogram: &Histogram, max_rows: u64) -> Vec<(u8, u64, u64)> {
        told(choose(histogram, limits(max_rows), &[]))
    }

    #[test]
    fn a_sparse_sky_is_base_cells_and_empty_ones_are_left_out() {
        let base_cell = 1 << 58;
        let histogram = counted([0, 5, 3 * base_cell, 11 * base_cell + 1]);
        assert_eq!(chosen(&histogram, 10), [(0, 0, 2), (0, 3, 1), (0, 11, 1)]);
    }

    #[test]
    fn a_crowded_cell_is_split_until_every_part_fits() {
        let quarter = 1 << 56; // an order-1 cell
        let histogram = counted((0..4).flat_map(|child| std::iter::repeat_n(child * quarter, 3)));
        assert_eq!(chosen(&histogram, 5), [(1, 0, 3), (1, 1, 3), (1, 2, 3), (1, 3, 3)]);
        assert_eq!(chosen(&histogram, 12), [(0, 0, 12)]);
    }

    #[test]
    fn rows_that_share_a_position_end_in_one_cell_of_the_finest_order() {
        let histogram = counted(std::iter::repeat_n(7, 100));
        assert_eq!(chosen(&histogram, 1), [(FINEST, 0, 100)]);
    }

    #[test]
    fn partitions_cover_every_row_once_and_ascend() {
        let cells = (0..50_000_u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (12 << 58));
        let partitions = choose(&counted(cells), limits(700), &[]);
        assert_eq!(partitions.iter().map(|(_, rows)| rows).sum::<u64>(), 50_000);
        assert!(partitions.windows(2).all(|pair| pair[0].0.range().end <= pair[1].0.range().start));
        assert!(partitions.iter().all(|(_, rows)| *rows <= 700));
    }

    #[test]
    fn orders_are_kept_within_their_bounds() {
        let histogram = counted(std::iter::repeat_n(7, 100));
        assert_eq!(told(choose(&histogram, Limits { min_order: 3, ..limits(1_000) }, &[])), [(3, 0, 100)]);
        assert_eq!(told(choose(&histogram, Limits { max_order: 2, ..limits(1) }, &[])), [(2, 0, 100)]);
    }

    #[test]
    fn no_partition_surrounds_a_fixed_one() {
        let quarter = 1_u64 << 56; // an order-1 cell
        let histogram = counted([0, quarter, 2 * quarter, 4 * quarter]);
        let fixed = vec![Range { start: 3 * quarter, end: 3 * quarter + quarter / 4 }];
        assert_eq!(told(choose(&histogram, limits(10), &fixed)), [(1, 0, 1), (1, 1, 1), (1, 2, 1), (0, 1, 1)]);
    }

    #[test]
    fn a_count_may_run_over_four_thousand_million() {
        let mut histogram = counted([5]);
        histogram.counts[0] = u32::MAX;
        histogram.count(5);
        histogram.count(5);
        assert_eq!(chosen(&histogram, 10), [(FINEST, 0, (1 << 32) + 1)]);
    }
}
