//! The HEALPix nested index: orders, pixels, and the cell of a position.
//!
//! A [`Pixel`] is one cell of the sky at one [`Order`]; at order 29 a cell is 0.4 milliarcseconds wide and its number,
//! [`cell29`], is what a catalogue's `_healpix_29` column holds. Every coarser pixel is a contiguous, half-open range of
//! such numbers, which is why a region of the sky becomes a list of ranges. The numbering is that of `cdshealpix`
//! (nested scheme), the library with which HATS catalogues are written, so that a row lands in the same cell here and there.
//!
//! Nothing here knows shapes: what of a shape touches a pixel is decided in [`coverage`](crate::coverage).

use std::ops::Range;

use cdshealpix::nested;

use crate::angle::Rad;
use crate::error::SkyError;
use crate::position::Position;
use crate::vector::UnitVector;

/// The number of cells at order 29: every [`cell29`] is below it.
pub const CELLS_29: u64 = 12 << (2 * 29);

/// A HEALPix order, 0 to 29: the sky is divided into 12 · 4^order cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order(u8);

impl Order {
    /// The coarsest order: twelve base cells.
    pub const MIN: Order = Order(0);
    /// The finest order, that of [`cell29`].
    pub const MAX: Order = Order(29);

    /// An order of 0 to 29.
    pub fn new(order: u8) -> Result<Self, SkyError> {
        if order <= Self::MAX.0 { Ok(Self(order)) } else { Err(SkyError::Order(order)) }
    }

    /// The order as a number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// How many cells the sky has at this order.
    pub const fn cells(self) -> u64 {
        12 << (2 * self.0)
    }

    /// How many bits a cell number of order 29 is shifted right to become one of this order.
    pub(crate) const fn shift(self) -> u32 {
        2 * (29 - self.0) as u32
    }

    /// How many cells of order 29 one cell of this order holds.
    pub const fn cell_length(self) -> u64 {
        1 << self.shift()
    }

    /// The next finer order, if there is one.
    pub fn finer(self) -> Option<Order> {
        (self < Self::MAX).then(|| self.finer_by(1))
    }

    /// The order `steps` coarser, at least 0.
    pub(crate) const fn coarser_by(self, steps: u8) -> Order {
        Order(self.0.saturating_sub(steps))
    }

    /// The order `steps` finer, at most 29.
    pub(crate) fn finer_by(self, steps: u8) -> Order {
        Order(self.0 + steps).min(Self::MAX)
    }

    /// The largest order whose every cell, taken with its eight neighbours, reaches at least `radius` around any point
    /// of the cell. `None` when not even the base cells do.
    pub fn whose_neighbourhood_reaches(radius: Rad) -> Option<Order> {
        cdshealpix::has_best_starting_depth(radius.0).then(|| Order(cdshealpix::best_starting_depth(radius.0)))
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One HEALPix cell: an order and a nested index below 12 · 4^order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pixel {
    order: Order,
    index: u64,
}

impl Pixel {
    /// The cell `index` of `order`, refused if the order has no such cell.
    pub fn new(order: Order, index: u64) -> Result<Self, SkyError> {
        if index < order.cells() {
            Ok(Self { order, index })
        } else {
            Err(SkyError::Pixel { order: order.get(), index, last: order.cells() - 1 })
        }
    }

    /// The cell of `order` in which a position falls.
    pub fn of(position: Position, order: Order) -> Self {
        Self::of_cell29(cell29(position), order)
    }

    /// The cell of `order` around a cell of order 29. Numbers past the last cell are taken as the last.
    pub(crate) fn of_cell29(cell: u64, order: Order) -> Self {
        Self { order, index: cell.min(CELLS_29 - 1) >> order.shift() }
    }

    /// The twelve base cells, in index order.
    pub fn base_cells() -> [Pixel; 12] {
        std::array::from_fn(|index| Pixel { order: Order::MIN, index: index as u64 })
    }

    /// The order of this cell.
    pub const fn order(self) -> Order {
        self.order
    }

    /// The nested index of this cell within its order.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// The cells of order 29 inside this one, as a half-open range.
    pub const fn range(self) -> Range<u64> {
        let shift = self.order.shift();
        self.index << shift..(self.index + 1) << shift
    }

    /// The cell of the next coarser order around this one; base cells have none.
    pub fn parent(self) -> Option<Pixel> {
        (self.order > Order::MIN).then(|| Pixel { order: self.order.coarser_by(1), index: self.index >> 2 })
    }

    /// The four cells of the next finer order, in index order; cells of order 29 have none.
    pub fn children(self) -> Option<[Pixel; 4]> {
        let order = self.order.finer()?;
        Some(std::array::from_fn(|child| Pixel { order, index: self.index << 2 | child as u64 }))
    }

    /// The centre of the cell.
    pub fn center(self) -> Position {
        position(nested::center(self.order.0, self.index))
    }

    /// The four corners: south, east, north, west. The sides between them are not great circles.
    pub fn vertices(self) -> [Position; 4] {
        nested::vertices(self.order.0, self.index).map(position)
    }

    /// The cells that share a side or a corner with this one, in index order: eight, seven at the corners where three
    /// base cells meet, six for a base cell.
    pub fn neighbours(self) -> Vec<Pixel> {
        let around = nested::neighbours(self.order.0, self.index, false);
        let mut cells: Vec<Pixel> =
            around.values_vec().into_iter().map(|index| Pixel { order: self.order, index }).collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }

    /// The centre, and a radius around it that holds every point of the cell.
    ///
    /// The distance to the farthest corner: no point of a side is farther. (`largest_center_to_vertex_distance` of
    /// `cdshealpix` is not used: it is too small by up to 8 % at orders 1 to 8.)
    pub(crate) fn bounding_disc(self) -> (UnitVector, Rad) {
        let center = direction(nested::center(self.order.0, self.index));
        let corners = nested::vertices(self.order.0, self.index);
        let chord2 = corners.into_iter().map(|corner| center.chord2(direction(corner))).fold(0.0, f64::max);
        // A chord of 2 sin(angle / 2). Cells reach less than 49 degrees, where the arc sine is sharp.
        let radius = 2.0 * (chord2.sqrt() / 2.0).asin();
        (center, Rad(radius + ROUNDING))
    }
}

/// What rounding may take from a distance between two directions, in radians, and a good deal more.
const ROUNDING: f64 = 1e-14;

impl std::fmt::Display for Pixel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.order, self.index)
    }
}

/// The number of the order-29 cell in which a position falls: equal to `cdshealpix::nested::hash(29, lon, lat)`, and
/// below [`CELLS_29`]. `cdshealpix` panics on a latitude beyond the poles, which a [`Position`] cannot hold.
pub fn cell29(position: Position) -> u64 {
    nested::hash(Order::MAX.0, position.lon.rad(), position.lat.rad())
}

/// A direction from the longitude and latitude in radians of `cdshealpix`.
fn direction((lon, lat): (f64, f64)) -> UnitVector {
    let ((sin_lon, cos_lon), (sin_lat, cos_lat)) = (lon.sin_cos(), lat.sin_cos());
    UnitVector::from_unit([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
}

/// A position from the longitude and latitude in radians of `cdshealpix`.
fn position((lon, lat): (f64, f64)) -> Position {
    Position::from_rounded(lon.to_degrees(), lat.to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lon: f64, lat: f64) -> Position {
        Position::from_deg(lon, lat).unwrap()
    }

    #[test]
    fn an_order_above_29_and_a_cell_past_the_last_are_refused() {
        assert!(Order::new(29).is_ok());
        assert!(Order::new(30).is_err());
        let order = Order::new(3).unwrap();
        assert!(Pixel::new(order, 767).is_ok());
        assert!(Pixel::new(order, 768).is_err());
    }

    #[test]
    fn a_position_at_any_edge_of_the_coordinates_has_a_cell() {
        let longitudes = [0.0, 360.0_f64.next_down(), 45.0, 90.0, 180.0, 270.0_f64.next_down(), 1e-300];
        let latitudes = [90.0, 90.0_f64.next_down(), 0.0, -0.0, 41.810314895778596, -90.0, (-90.0_f64).next_up()];
        for lon in longitudes {
            for lat in latitudes {
                let cell = cell29(at(lon, lat));
                assert!(cell < CELLS_29, "({lon}, {lat}) fell in {cell}");
                let reached = Pixel::of_cell29(cell, Order::MAX).center().distance(at(lon, lat));
                assert!(reached.0 < 4e-9, "({lon}, {lat}) is {} rad from the centre of its cell", reached.0);
            }
        }
    }

    #[test]
    fn the_poles_are_in_the_last_cell_of_their_base_cell() {
        assert_eq!(cell29(at(10.0, 90.0)), Pixel::base_cells()[0].range().end - 1);
        assert_eq!(cell29(at(10.0, -90.0)), Pixel::base_cells()[8].range().start);
    }

    #[test]
    fn known_cells_agree_with_healpy() {
        // healpy.ang2pix(2**order, lon, lat, nest=True, lonlat=True), also derivable by hand from the base cells.
        for (order, lon, lat, index) in [(0, 45.0, 45.0, 0), (0, 0.0, 0.0, 4), (0, 45.0, -45.0, 8), (1, 45.0, 89.0, 3)]
        {
            assert_eq!(Pixel::of(at(lon, lat), Order::new(order).unwrap()).index(), index);
        }
    }

    #[test]
    fn children_tile_their_parent() {
        for order in 0..29 {
            let order = Order::new(order).unwrap();
            for index in [0, 1, order.cells() / 3, order.cells() - 1] {
                let pixel = Pixel::new(order, index).unwrap();
                let children = pixel.children().unwrap();
                assert_eq!(children[0].range().start, pixel.range().start);
                assert_eq!(children[3].range().end, pixel.range().end);
                for (left, right) in children.iter().zip(&children[1..]) {
                    assert_eq!(left.range().end, right.range().start);
                }
                assert!(children.iter().all(|child| child.parent() == Some(pixel)));
            }
        }
        assert_eq!(Pixel::new(Order::MAX, 5).unwrap().children(), None);
        assert_eq!(Pixel::base_cells()[3].parent(), None);
    }

    #[test]
    fn a_centre_falls_in_its_own_cell() {
        for order in 0..=29 {
            let order = Order::new(order).unwrap();
            for step in 0..500 {
                let index = (order.cells() / 500 * step + step * 7) % order.cells();
                let pixel = Pixel::new(order, index).unwrap();
                assert_eq!(Pixel::of(pixel.center(), order), pixel);
            }
        }
    }

    #[test]
    fn neighbours_touch_and_are_mutual() {
        for order in [0, 1, 2, 5, 29] {
            let order = Order::new(order).unwrap();
            for step in 0..200 {
                let pixel = Pixel::new(order, order.cells() / 200 * step % order.cells()).unwrap();
                let around = pixel.neighbours();
                assert!((6..=8).contains(&around.len()), "{pixel} has {} neighbours", around.len());
                for cell in around {
                    assert!(cell != pixel && cell.neighbours().contains(&pixel), "{pixel} and {cell}");
                }
            }
        }
    }

    /// The bound that every coverage relies on. Orders 0 to 6 hold every form of cell there is: those near the poles
    /// and the transition latitude repeat at each finer order, ever closer to one limit form.
    #[test]
    fn no_point_of_a_cell_is_outside_its_bounding_disc() {
        for order in 0..=6 {
            for index in 0..Order(order).cells() {
                let pixel = Pixel { order: Order(order), index };
                let (center, radius) = pixel.bounding_disc();
                for (lon, lat) in
                    nested::path_along_cell_edge(order, index, &cdshealpix::compass_point::Cardinal::S, true, 32)
                {
                    let angle = center.angle(position((lon, lat)).vector());
                    assert!(angle <= radius, "{pixel}: {angle} is beyond {radius}");
                }
            }
        }
    }

    #[test]
    fn a_cell_and_its_neighbours_reach_as_far_as_promised() {
        // Around points of the sky, the rim of a disc of the promised radius stays in the nine cells.
        for radius in [0.5, 0.1, 0.01, 1e-4, 1e-6] {
            let order = Order::whose_neighbourhood_reaches(Rad(radius)).unwrap();
            for step in 0..400 {
                let z = 1.0 - (f64::from(step) + 0.5) / 200.0;
                let center = at((f64::from(step) * 137.507_764).rem_euclid(360.0), z.asin().to_degrees());
                let home = Pixel::of(center, order);
                let mut near = home.neighbours();
                near.push(home);
                for turn in 0..64 {
                    let bearing = f64::from(turn) * std::f64::consts::TAU / 64.0;
                    let (sin_lat, cos_lat) = center.lat.rad().sin_cos();
                    let lat = (sin_lat * radius.cos() + cos_lat * radius.sin() * bearing.cos()).clamp(-1.0, 1.0).asin();
                    let lon = center.lon.rad()
                        + (bearing.sin() * radius.sin() * cos_lat).atan2(radius.cos() - sin_lat * lat.sin());
                    let rim = at(lon.to_degrees(), lat.to_degrees());
                    assert!(near.contains(&Pixel::of(rim, order)), "{rim:?} is outside the neighbourhood of {home}");
                }
            }
        }
    }
}
