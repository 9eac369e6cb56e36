//! Which HEALPix cells become partitions: a pure decision over a histogram of the sky.

use sky::healpix::{Order, Pixel};

/// The order at which rows are counted, and so the finest partition.
pub(super) const COUNTED_ORDER: u8 = 10;

/// Rows per cell of [`COUNTED_ORDER`].
pub(super) struct Histogram(Vec<u32>);

impl Histogram {
    pub(super) fn new() -> Self {
        Self(vec![0; 12 << (2 * COUNTED_ORDER)])
    }

    pub(super) fn count(&mut self, cell29: u64) {
        *self.at(cell29) += 1;
    }

    /// Takes back one row; false if none was counted there.
    pub(super) fn uncount(&mut self, cell29: u64) -> bool {
        let rows = self.at(cell29);
        let counted = *rows > 0;
        *rows -= u32::from(counted);
        counted
    }

    fn at(&mut self, cell29: u64) -> &mut u32 {
        &mut self.0[(cell29 >> (2 * (29 - COUNTED_ORDER))) as usize]
    }
}

/// The partitions, ascending along the sky: the largest cells with at most `max_rows` rows each, and no empty ones. A cell
/// of the counted order is taken as it is, however many rows it has.
pub(super) fn choose(histogram: &Histogram, max_rows: u64) -> Vec<(Pixel, u64)> {
    let mut chosen = Vec::new();
    for base in 0..12 {
        descend(&histogram.0, 0, base, max_rows, &mut chosen);
    }
    chosen
}

fn descend(counts: &[u32], order: u8, index: u64, max_rows: u64, chosen: &mut Vec<(Pixel, u64)>) {
    let shift = 2 * (COUNTED_ORDER - order);
    let cells = (index << shift) as usize..((index + 1) << shift) as usize;
    let rows: u64 = counts[cells].iter().map(|count| u64::from(*count)).sum();
    if rows == 0 {
        return;
    }
    if rows <= max_rows || order == COUNTED_ORDER {
        let pixel = Order::new(order).and_then(|order| Pixel::new(order, index));
        // An order up to COUNTED_ORDER and an index found by descending from a base cell are always valid.
        #[allow(clippy::expect_used)]
        chosen.push((pixel.expect("a cell of the tree"), rows));
        return;
    }
    for child in index * 4..index * 4 + 4 {
        descend(counts, order + 1, child, max_rows, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(cells: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        cells.into_iter().for_each(|cell| histogram.count(cell));
        histogram
    }

    fn chosen(histogram: &Histogram, max_rows: u64) -> Vec<(u8, u64, u64)> {
        choose(histogram, max_rows)
            .into_iter()
            .map(|(pixel, rows)| (pixel.order().get(), pixel.index(), rows))
            .collect()
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
        assert_eq!(chosen(&histogram, 1), [(COUNTED_ORDER, 0, 100)]);
    }

    #[test]
    fn partitions_cover_every_row_once_and_ascend() {
        let cells = (0..50_000_u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (12 << 58));
        let partitions = choose(&counted(cells), 700);
        assert_eq!(partitions.iter().map(|(_, rows)| rows).sum::<u64>(), 50_000);
        assert!(partitions.windows(2).all(|pair| pair[0].0.range().end <= pair[1].0.range().start));
        assert!(partitions.iter().all(|(_, rows)| *rows <= 700));
    }
}
