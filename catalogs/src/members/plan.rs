//! Which rows a margin holds: a pure decision over partitions and a width.
//!
//! The sky is tiled by *target cells*: the partitions, and the largest cells that fill the rest, since the other side of a
//! crossmatch may have rows where this one has none. A margin of width t looks at the sky at an order whose cells are all
//! wider than t: whatever lies within t of a target cell is then in one of the cells of that order that touch the target
//! cell, along a side or at a corner. All rows in this ring are copied, so that no distance is ever computed.
//!
//! The order is that of HATS: the finest whose mean cell size is at least 1.6 t. The narrowest cells of an order, on the
//! seams of the polar caps, are 0.673 of the mean size across, and 1 / 1.6 is 0.625.

use sky::{Arcsec, Order, Pixel, Rad};

use crate::CatalogError;

/// How much wider than a margin the mean cell of its order must be.
const MEAN_CELL_PER_THRESHOLD: f64 = 1.6;

/// The size of the mean cell of order 0, in radians: the root of its area.
fn base_cell_size() -> f64 {
    (std::f64::consts::PI / 3.0).sqrt()
}

/// The target cells of a margin, and the order at which it looks at the sky.
#[derive(Clone, Debug)]
pub(crate) struct MarginPlan {
    order: Order,
    cells: Vec<Pixel>,
    starts: Vec<u64>,
}

impl MarginPlan {
    /// A margin of the given width around these partitions, which must not overlap.
    pub(crate) fn new(partitions: &[Pixel], threshold: Arcsec) -> Result<Self, CatalogError> {
        let refuse = |why: String| CatalogError::input(format!("a margin of {threshold}"), why);
        if !(threshold.0 > 0.0 && threshold.0.is_finite()) {
            return Err(refuse("its width must be more than 0".into()));
        }
        let cells = tile(partitions).map_err(refuse)?;
        let finest = cells.iter().map(|cell| cell.order()).max().unwrap_or(Order::MIN);
        match order_of(threshold.into()).filter(|order| *order >= finest) {
            Some(order) => {
                let starts = cells.iter().map(|cell| cell.range().start).collect();
                Ok(Self { order, cells, starts })
            }
            None => {
                let widest = rounded_down(widest(finest).0);
                Err(refuse(format!(
                    "the table has partitions of order {finest}; the widest margin that they allow is {widest} arcsec"
                )))
            }
        }
    }

    /// The target cells, ascending; together they are the sky.
    pub(crate) fn cells(&self) -> &[Pixel] {
        &self.cells
    }

    /// The number of the target cell that holds a cell of order 29.
    pub(crate) fn home(&self, cell29: u64) -> usize {
        self.starts.partition_point(|start| *start <= cell29).saturating_sub(1)
    }

    /// Something that asks about one row after another; fastest for rows in the order of the sky.
    pub(crate) fn router(&self) -> Router<'_> {
        Router { plan: self, home: 0, last: None, targets: Vec::new() }
    }

    fn shift(&self) -> u32 {
        2 * u32::from(29 - self.order.get())
    }
}

/// Tells into which margin files rows must be copied.
pub(crate) struct Router<'a> {
    plan: &'a MarginPlan,
    home: usize,
    last: Option<u64>,
    targets: Vec<u32>,
}

impl Router<'_> {
    /// The numbers of the target cells, ascending, of whose margins a row in this cell of order 29 is part.
    pub(crate) fn targets(&mut self, cell29: u64) -> &[u32] {
        let cell = cell29 >> self.plan.shift();
        if self.last != Some(cell) {
            self.last = Some(cell);
            self.targets.clear();
            if !self.plan.cells[self.home].range().contains(&cell29) {
                self.home = self.plan.home(cell29);
            }
            if is_on_border(cell, self.plan.order.get() - self.plan.cells[self.home].order().get()) {
                self.look_around(cell);
            }
        }
        &self.targets
    }

    fn look_around(&mut self, cell: u64) {
        let Ok(cell) = Pixel::new(self.plan.order, cell) else { return }; // past the end of the sky there is nothing
        let around = cell.neighbours().into_iter().map(|near| self.plan.home(near.range().start));
        self.targets.extend(around.filter(|home| *home != self.home).map(|home| home as u32));
        self.targets.sort_unstable();
        self.targets.dedup();
    }
}

/// Whether a cell lies along a side of its ancestor `depth` orders above. The even bits of a nested number are its place
/// along one side of the ancestor, the odd ones along the other: the cell is at an end where all of them are 0 or all 1.
pub(crate) fn is_on_border(cell: u64, depth: u8) -> bool {
    let within = (1 << (2 * u32::from(depth))) - 1;
    let (even, odd) = (within & 0x5555_5555_5555_5555, within & 0xAAAA_AAAA_AAAA_AAAA);
    [even, odd].into_iter().any(|axis| cell & axis == 0 || cell & axis == axis)
}

/// The finest order whose mean cell is wide enough for a margin.
fn order_of(threshold: Rad) -> Option<Order> {
    let halvings = (base_cell_size() / (MEAN_CELL_PER_THRESHOLD * threshold.0)).log2().floor();
    (halvings >= 0.0).then(|| Order::new(halvings.min(29.0) as u8).ok()).flatten()
}

/// The widest margin of an order.
fn widest(order: Order) -> Arcsec {
    Rad(base_cell_size() / MEAN_CELL_PER_THRESHOLD / f64::from(order.get()).exp2()).into()
}

/// Three significant digits, never more than the number.
fn rounded_down(number: f64) -> f64 {
    let digits = 10_f64.powi(2 - number.log10().floor() as i32);
    (number * digits).floor() / digits
}

/// The partitions and the fewest cells that fill the rest of the sky, ascending.
fn tile(partitions: &[Pixel]) -> Result<Vec<Pixel>, String> {
    let mut sorted = partitions.to_vec();
    sorted.sort_unstable_by_key(|pixel| (pixel.range().start, pixel.order()));
    sorted.dedup();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[1].range().start < pair[0].range().end) {
        return Err(format!("the partitions {} and {} overlap", pair[0], pair[1]));
    }
    let mut cells = Vec::new();
    for base in Pixel::base_cells() {
        fill(base, &sorted, &mut cells);
    }
    Ok(cells)
}

fn fill(cell: Pixel, partitions: &[Pixel], cells: &mut Vec<Pixel>) {
    let range = cell.range();
    let first = partitions.partition_point(|pixel| pixel.range().end <= range.start);
    let inside = &partitions[first..];
    let inside = &inside[..inside.partition_point(|pixel| pixel.range().start < range.end)];
    match (inside, cell.children()) {
        ([], _) | ([_], None) => cells.push(cell),
        ([only], _) if *only == cell => cells.push(cell),
        (_, Some(children)) => children.into_iter().for_each(|child| fill(child, inside, cells)),
        (_, None) => {} // two partitions in one cell of the finest order would be one
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sky::{Deg, Position, healpix::cell29};

    use super::*;

    fn pixel(order: u8, index: u64) -> Pixel {
        Pixel::new(Order::new(order).unwrap(), index).unwrap()
    }

    #[test]
    fn orders_are_those_of_hats() {
        for (arcsec, order) in [
            (1.0, 17),
            (2.0, 16),
            (5.0, 14),
            (10.0, 13),
            (20.0, 12),
            (30.0, 12),
            (60.0, 11),
            (300.0, 8),
            (3600.0, 5),
            (7200.0, 4),
        ] {
            assert_eq!(order_of(Arcsec(arcsec).into()).unwrap().get(), order, "{arcsec}");
        }
        assert_eq!(order_of(Arcsec(1e-9).into()), Some(Order::MAX));
        assert_eq!(order_of(Deg(37.0).into()), None);
    }

    #[test]
    fn the_target_cells_are_the_partitions_and_the_fewest_others_that_fill_the_sky() {
        let plan = MarginPlan::new(&[pixel(0, 3), pixel(2, 33)], Arcsec(10.0)).unwrap();
        let told: Vec<_> = plan.cells().iter().map(|cell| (cell.order().get(), cell.index())).collect();
        let first = [(0, 0), (0, 1), (2, 32), (2, 33), (2, 34), (2, 35), (1, 9), (1, 10), (1, 11)];
        assert_eq!(told[..9], first);
        assert_eq!(told[9..], (3..12).map(|base| (0, base)).collect::<Vec<_>>());
        assert!(plan.cells().windows(2).all(|pair| pair[0].range().end == pair[1].range().start));
        let empty = MarginPlan::new(&[], Arcsec(10.0)).unwrap();
        assert_eq!(empty.cells(), Pixel::base_cells());
    }

    #[test]
    fn a_margin_too_wide_for_the_partitions_is_refused_with_the_widest_that_works() {
        let sentence = |threshold| MarginPlan::new(&[pixel(10, 77)], Arcsec(threshold)).unwrap_err().to_string();
        let refused = sentence(200.0);
        assert!(refused.contains("partitions of order 10") && refused.contains("128 arcsec"), "{refused}");
        assert!(MarginPlan::new(&[pixel(10, 77)], Arcsec(128.0)).is_ok());
        assert!(sentence(129.0).contains("128 arcsec"));
        assert!(sentence(0.0).contains("more than 0") && sentence(f64::NAN).contains("more than 0"));
        let overlap = MarginPlan::new(&[pixel(1, 0), pixel(2, 3)], Arcsec(1.0)).unwrap_err().to_string();
        assert!(overlap.contains("1/0 and 2/3 overlap"), "{overlap}");
    }

    #[test]
    fn a_row_inside_is_copied_nowhere_and_one_at_a_corner_to_all_around() {
        let plan = MarginPlan::new(&Pixel::base_cells(), Arcsec(10.0)).unwrap();
        let mut router = plan.router();
        assert!(router.targets(Pixel::of(pixel(0, 5).center(), Order::MAX).index()).is_empty());
        // The north pole: the corner of four base cells.
        assert_eq!(router.targets(pixel(0, 0).range().end - 1), [1, 2, 3]);
        // A corner of three: cells 0, 3 and 4 meet at longitude 0, where |z| is 2/3.
        let corner = Position::from_deg(1e-7, (2.0_f64 / 3.0).asin().to_degrees() + 1e-7).unwrap();
        assert_eq!(plan.home(cell29(corner)), 0);
        assert_eq!(router.targets(cell29(corner)), [3, 4]);
    }

    #[test]
    fn a_border_is_found_by_the_bits_of_a_cell() {
        for depth in 0..4_u8 {
            let side = 1_u64 << depth;
            for cell in 0..side * side {
                let place =
                    |axis: u64| (0..u64::from(depth)).map(|bit| (cell >> (2 * bit + axis) & 1) << bit).sum::<u64>();
                let expected = [place(0), place(1)].into_iter().any(|place| place == 0 || place == side - 1);
                assert_eq!(is_on_border(cell | 5 << 40, depth), expected, "{cell} at {depth}");
            }
        }
    }

    /// Points where the grid is least regular: poles, corners of base cells, seams, the edges of the polar caps.
    fn notable_point() -> impl Strategy<Value = (f64, f64)> {
        let edge = (2.0_f64 / 3.0).asin().to_degrees();
        prop_oneof![
            Just((0.0, 90.0)),
            Just((0.0, -90.0)),
            (0..8_u32).prop_map(move |n| (f64::from(n) * 45.0, edge)),
            (0..8_u32).prop_map(move |n| (f64::from(n) * 45.0, -edge)),
            (0..4_u32, 42.0..90.0_f64).prop_map(|(n, lat)| (f64::from(n) * 90.0, lat)),
            (0..4_u32, 42.0..90.0_f64).prop_map(|(n, lat)| (f64::from(n) * 90.0, -lat)),
            (0..8_u32).prop_map(|n| (f64::from(n) * 45.0, 0.0)),
            (0.0..360.0_f64, -1.0..1.0_f64).prop_map(|(lon, z)| (lon, z.asin().to_degrees())),
        ]
    }

    /// The point at a distance and bearing from another, in radians.
    fn moved(from: Position, distance: f64, bearing: f64) -> Option<Position> {
        let (sin_lat, cos_lat) = from.lat.rad().sin_cos();
        let lat = (sin_lat * distance.cos() + cos_lat * distance.sin() * bearing.cos()).clamp(-1.0, 1.0).asin();
        let dlon = (bearing.sin() * distance.sin() * cos_lat).atan2(distance.cos() - sin_lat * lat.sin());
        Position::from_deg((from.lon.rad() + dlon).to_degrees(), lat.to_degrees()).ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// The promise of a margin, at the widest that each order allows, around partitions as fine as allowed.
        #[test]
        fn every_point_within_the_threshold_of_a_target_cell_is_in_its_margin_and_none_from_inside(
            (lon, lat) in notable_point(),
            order in 0..=18_u8,
            coarser in 0..3_u8,
            width in prop_oneof![Just(1.0), 0.5..1.0_f64],
            steps in proptest::collection::vec((0.0..4.0_f64, 0.0..6.3_f64, 0.9..1.0_f64, 0.0..6.3_f64), 300),
        ) {
            let notable = Position::from_deg(lon, lat).unwrap();
            let threshold = Arcsec(widest(Order::new(order).unwrap()).0 * width * (1.0 - 1e-12));
            let finest = Order::new(order.saturating_sub(coarser)).unwrap();
            let plan = MarginPlan::new(&[Pixel::of(notable, finest)], threshold).unwrap();
            prop_assert_eq!(plan.order.get(), order);
            let reach = Rad::from(threshold).0;
            let mut router = plan.router();
            for (away, bearing, share, turn) in steps {
                let Some(row) = moved(notable, away * reach, bearing) else { continue };
                let Some(other) = moved(row, share * reach, turn) else { continue };
                if row.distance(other).0 > reach {
                    continue;
                }
                let (home, target) = (plan.home(cell29(row)) as u32, plan.home(cell29(other)) as u32);
                let targets = router.targets(cell29(row));
                prop_assert!(!targets.contains(&home));
                prop_assert!(home == target || targets.contains(&target), "{row:?} is not in the margin around {other:?}");
            }
        }
    }
}
