//! MOCs: regions of the sky that are made of HEALPix cells (IVOA Multi-Order Coverage, spatial).
//!
//! A [`Moc`] is exact where a [`Coverage`] is an estimate: it *is* its cells, so a position is in it when its cell is.
//! It is a set of order-29 ranges together with an order, the finest it can express. Set operations and writing are
//! those of the `moc` crate. Reading is ours, in `ascii` and `fits`: what people upload may be anything, and that
//! crate's readers trust it. How a MOC lies to other shapes is decided in `relate`.
//!
//! Only space, never time or frequency; only ICRS; and no file is opened here.

use std::ops::Range;

use ::moc::elemset::range::MocRanges;
use ::moc::moc::range::RangeMOC;
use ::moc::qty::Hpx;

use crate::angle::Steradian;
use crate::coverage::Coverage;
use crate::error::SkyError;
use crate::healpix::{CELLS_29, Order, Pixel, cell29};
use crate::position::Position;
use crate::vector::UnitVector;

mod ascii;
mod centroid;
mod fits;

/// A region of the sky made of HEALPix cells.
///
/// ```
/// use sky::moc::Moc;
/// use sky::position::Position;
///
/// let north: Moc = "0/0-3".parse()?;
/// assert!(north.contains_position(Position::from_deg(45.0, 60.0)?));
/// assert_eq!(north.complement().to_string(), "0/4-11");
/// # Ok::<(), sky::error::SkyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Moc(RangeMOC<u64, Hpx<u64>>);

impl Moc {
    /// The MOC without cells.
    pub fn empty(order: Order) -> Self {
        Self(RangeMOC::new_empty(order.get()))
    }

    /// The MOC of every cell.
    pub fn whole_sky(order: Order) -> Self {
        Self(RangeMOC::new_full_domain(order.get()))
    }

    /// The cells of `order` that the half-open ranges of order-29 cells touch. The ranges may come in any order and
    /// overlap; empty ones are skipped, and one that ends past the last cell is refused.
    pub fn from_ranges(order: Order, ranges: impl IntoIterator<Item = Range<u64>>) -> Result<Self, SkyError> {
        let ranges: Vec<Range<u64>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        match ranges.iter().find(|range| range.end > CELLS_29) {
            Some(beyond) => Err(SkyError::Pixel { order: 29, index: beyond.end - 1, last: CELLS_29 - 1 }),
            None => Ok(Self::of_cells(order, ranges)),
        }
    }

    /// The MOC of some pixels, at least of order `order`, and finer if one of the pixels is.
    pub fn from_pixels(order: Order, pixels: impl IntoIterator<Item = Pixel>) -> Self {
        let mut finest = order;
        let ranges = pixels
            .into_iter()
            .map(|pixel| {
                finest = finest.max(pixel.order());
                pixel.range()
            })
            .collect();
        Self::of_cells(finest, ranges)
    }

    /// The cells of `order` that a coverage touches: all that may be in its region.
    pub fn from_coverage(coverage: &Coverage, order: Order) -> Self {
        Self::of_cells(order, coverage.ranges().iter().map(|range| range.start..range.end).collect())
    }

    /// From ranges that are not empty and end on the sky.
    fn of_cells(order: Order, ranges: Vec<Range<u64>>) -> Self {
        let fine = RangeMOC::new(Order::MAX.get(), MocRanges::new_from(ranges));
        Self(if order == Order::MAX { fine } else { fine.degraded(order.get()) })
    }

    /// The finest order this MOC can express.
    pub fn order(&self) -> Order {
        // RangeMOC keeps its order at most at that of its quantity, which is 29.
        Order::new(self.0.depth_max()).unwrap_or(Order::MAX)
    }

    /// The order-29 cells as sorted, disjoint, half-open ranges, none of which touch.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> + '_ {
        self.slice().iter().cloned()
    }

    fn slice(&self) -> &[Range<u64>] {
        &self.0.moc_ranges().0.0
    }

    /// The fewest pixels that make up the MOC, in the order of their ranges.
    pub fn pixels(&self) -> impl Iterator<Item = Pixel> + '_ {
        self.ranges().flat_map(pixels_of)
    }

    /// Whether the MOC has no cell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the cell of a position is in the MOC.
    pub fn contains_position(&self, position: Position) -> bool {
        self.contains_cell29(cell29(position))
    }

    /// Whether a cell of order 29 is in the MOC.
    pub fn contains_cell29(&self, cell: u64) -> bool {
        self.ranges_ending_after(cell).first().is_some_and(|range| range.start <= cell)
    }

    /// The ranges from the first that ends after a cell.
    pub(crate) fn ranges_ending_after(&self, cell: u64) -> &[Range<u64>] {
        let ranges = self.slice();
        &ranges[ranges.partition_point(|range| range.end <= cell)..]
    }

    /// Whether every cell of `other` is in this MOC. Every MOC contains the empty one.
    pub fn contains(&self, other: &Moc) -> bool {
        other.ranges().all(|asked| {
            self.ranges_ending_after(asked.start)
                .first()
                .is_some_and(|range| range.start <= asked.start && asked.end <= range.end)
        })
    }

    /// Whether the two have a cell in common.
    pub fn intersects(&self, other: &Moc) -> bool {
        let (few, many) = if self.0.len() <= other.0.len() { (self, other) } else { (other, self) };
        few.ranges()
            .any(|asked| many.ranges_ending_after(asked.start).first().is_some_and(|range| range.start < asked.end))
    }

    /// The cells of either.
    pub fn union(&self, other: &Moc) -> Moc {
        Moc(self.0.or(&other.0))
    }

    /// The cells of both.
    pub fn intersection(&self, other: &Moc) -> Moc {
        Moc(self.0.and(&other.0))
    }

    /// The cells of this one that are not in `other`.
    pub fn difference(&self, other: &Moc) -> Moc {
        // Not RangeMOC::minus, which takes all away when one MOC ends before the other begins.
        Moc(self.0.and(&other.0.complement()))
    }

    /// The cells that are not in this MOC.
    pub fn complement(&self) -> Moc {
        Moc(self.0.complement())
    }

    /// The cells of a coarser order that this MOC touches; the MOC itself if `order` is not coarser.
    pub fn degraded(&self, order: Order) -> Moc {
        Moc(self.0.degraded(order.get()))
    }

    /// The share of the sky in the MOC, 0 to 1.
    pub fn sky_fraction(&self) -> f64 {
        self.0.range_sum() as f64 / CELLS_29 as f64
    }

    /// The area. HEALPix cells of one order are all of one size, so it is exact.
    pub fn area(&self) -> Steradian {
        Steradian(4.0 * std::f64::consts::PI * self.sky_fraction())
    }

    /// The middle of the MOC: the direction of the mean of its points as vectors. `None` where there is none, as for
    /// an empty MOC or the whole sky.
    pub fn centroid(&self) -> Option<Position> {
        centroid::of_pixels(self.pixels()).map(UnitVector::position)
    }
}

/// Cuts a range of order-29 cells into the fewest pixels.
fn pixels_of(range: Range<u64>) -> impl Iterator<Item = Pixel> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        if start >= range.end {
            return None;
        }
        // The coarsest cell that begins here and does not reach past the end.
        let aligned = if start == 0 { 29 } else { start.trailing_zeros() / 2 };
        let fitting = (range.end - start).ilog2() / 2;
        let coarser = aligned.min(fitting).min(29) as u8;
        let order = Order::MAX.coarser_by(coarser);
        let pixel = Pixel::of_cell29(start, order);
        start = pixel.range().end;
        Some(pixel)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_into_the_fewest_pixels() {
        let order = |order| Order::new(order).unwrap();
        let pixels = |range| pixels_of(range).map(|pixel| pixel.to_string()).collect::<Vec<_>>();
        assert_eq!(pixels(0..CELLS_29), (0..12).map(|base| format!("0/{base}")).collect::<Vec<_>>());
        assert_eq!(pixels(3..21), ["29/3", "28/1", "28/2", "28/3", "28/4", "29/20"]);
        assert_eq!(pixels(Pixel::new(order(7), 99).unwrap().range()), ["7/99"]);
    }

    #[test]
    fn ranges_past_the_sky_are_refused() {
        let beyond = CELLS_29 - 1..CELLS_29 + 1;
        assert!(Moc::from_ranges(Order::MAX, [beyond]).is_err());
        assert_eq!(Moc::from_ranges(Order::MAX, std::iter::once(7..7)).unwrap(), Moc::empty(Order::MAX));
    }

    #[test]
    fn ranges_are_widened_to_whole_cells_of_the_order() {
        let order = Order::new(28).unwrap();
        let moc = Moc::from_ranges(order, [9..10, 3..5, 4..6]).unwrap();
        assert!(moc.ranges().eq(std::iter::once(0..12)), "{moc}");
        assert_eq!(moc.order(), order);
    }

    #[test]
    fn the_area_of_a_base_cell_is_a_twelfth_of_the_sky() {
        let moc = Moc::from_pixels(Order::MIN, [Pixel::base_cells()[4]]);
        assert_eq!(moc.area(), Steradian(std::f64::consts::PI / 3.0));
    }

    #[test]
    fn a_moc_contains_itself_and_the_empty_one_and_meets_no_complement() {
        let moc: Moc = "3/1-5 40 5/99 29/7".parse().unwrap();
        let empty = Moc::empty(Order::MIN);
        assert!(moc.contains(&moc) && moc.contains(&empty) && !empty.contains(&moc));
        assert!(moc.intersects(&moc) && !moc.intersects(&empty) && !moc.intersects(&moc.complement()));
        assert!(moc.difference(&moc).is_empty());
        assert_eq!(moc.union(&moc.complement()), Moc::whole_sky(Order::MAX));
    }
}
