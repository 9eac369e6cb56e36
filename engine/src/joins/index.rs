//! Positions sorted by cell, to be found by the cell of a place near them.
//!
//! ```text
//!   starts:  one number for each cell of a coarse order     ┌─────┬─────┬─────┬─────
//!                                                           │  0  │  2  │  2  │  5   …
//!   entries: sorted by the cell of order 29                 └──┬──┴──┬──┴─────┴──┬──
//!                                                           [e e]  [e e e]     [e …
//! ```
//! A disc that stays within its own cell, as nearly all small ones do, is answered by two neighbouring numbers of
//! `starts`; any other one by the cell and its neighbours, of an order where they hold the disc. What is found is a
//! superset: the caller holds each against the radius.
//!
//! Where each row has a radius of its own, those of like size are a layer by themselves, so that one wide disc does not
//! make all searches wide.

use std::{f64::consts::PI, ops::Range};

use sky::{Order, Pixel, Position, Rad, healpix::cell29};

/// The finest order.
const FINEST: u8 = 29;
/// The bits of one of the two coordinates within a cell, every other one.
const ONE_AXIS: u64 = 0x5555_5555_5555_5555;
/// How many steps of a coordinate, of which a base cell has 2²⁹, one radian is at most.
///
/// In the belt a step in one coordinate is at least 1 / 1.021 · 2⁻²⁹ rad wide, as the gradient of
/// 2²⁹ (2φ/π + 3z/4) shows, in the caps at least 1 / 1.452 · 2⁻²⁹, at the meridians where base cells meet.
const STEPS_A_RADIAN: f64 = 1.46 * (1_u64 << FINEST) as f64;
/// So few are looked through one by one.
const FEW: usize = 12;
/// From one order to the next that is tried.
const STEP: u8 = 2;
/// More than this are worth nine searches.
const MANY: u32 = 64;
/// The least number of cells of `starts`.
const LEAST_CELLS: u64 = 50_000;

/// One position of the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The cell of order 29.
    pub(super) cell: u64,
    /// The unit vector.
    pub(super) vector: [f64; 3],
    /// In degrees, as written.
    pub(super) lon: f64,
    /// In degrees.
    pub(super) lat: f64,
    /// The row that has this position.
    pub(super) row: u32,
    /// The place in the order of all entries, which decides between equally near ones.
    pub(super) rank: u32,
}

impl Entry {
    pub(super) fn new(position: Position, cell: Option<u64>, row: u32) -> Self {
        let cell = cell.unwrap_or_else(|| cell29(position));
        let (lon, lat) = (position.lon.deg(), position.lat.deg());
        Self { cell, vector: position.vector().xyz(), lon, lat, row, rank: 0 }
    }

    /// `None` never: it was one when it came here.
    pub(super) fn position(&self) -> Option<Position> {
        Position::from_deg(self.lon, self.lat).ok()
    }
}

/// How many bits the number of a cell of order 29 has more than that of the cell of this order around it.
pub(super) fn shift(order: u8) -> u32 {
    2 * u32::from(FINEST - order)
}

/// A disc around whatever place, as the index is asked for it.
#[derive(Clone, Debug)]
pub(super) struct Disc {
    /// The finest order at which a cell and its neighbours hold the disc, if there is one.
    finest: Option<u8>,
    /// How many steps of a coordinate it reaches.
    steps: u64,
    /// The coordinates between which it stays in its own cell, by order, if it is asked for many places.
    bounds: Vec<(u64, u64)>,
}

impl Disc {
    /// Of a radius in radians, for many places.
    pub(super) fn of_many(radius: f64) -> Self {
        let disc = Self::new(radius);
        Self { bounds: (0..=FINEST).map(|order| between(disc.steps, order)).collect(), ..disc }
    }

    /// Of a radius in radians, for one place.
    pub(super) fn new(radius: f64) -> Self {
        let finest = match radius < PI {
            true => Order::whose_neighbourhood_reaches(Rad(radius)).map(Order::get),
            false => None,
        };
        let steps = (radius * STEPS_A_RADIAN).ceil() as u64 + 2;
        Self { finest, steps, bounds: Vec::new() }
    }

    /// The finest order at which a cell and its neighbours hold the disc, if there is one.
    pub(super) fn finest(&self) -> Option<u8> {
        self.finest
    }

    /// Whether the disc around any place of this cell of order 29 is sure to lie in the cell of `order` around it.
    #[inline]
    pub(super) fn stays(&self, cell: u64, order: u8) -> bool {
        let known = self.bounds.get(usize::from(order));
        let (least, most) = known.copied().unwrap_or_else(|| between(self.steps, order));
        let within = cell & ((1_u64 << shift(order)) - 1);
        let (x, y) = (within & ONE_AXIS, (within >> 1) & ONE_AXIS);
        least <= x && x <= most && least <= y && y <= most
    }
}

/// The coordinates from which so many steps do not lead out of a cell, their bits spread as those of cells are. None
/// are where the first is more than the second.
fn between(steps: u64, order: u8) -> (u64, u64) {
    let width = 1_u64 << (FINEST - order);
    match steps.checked_mul(2).is_some_and(|both| both < width) {
        true => (spread(steps), spread(width - 1 - steps)),
        false => (1, 0),
    }
}

/// The bits of a number of 29 bits, with a zero after each. Which of two is greater stays so.
fn spread(number: u64) -> u64 {
    let mut bits = number;
    for (by, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, ONE_AXIS),
    ] {
        bits = (bits | bits << by) & mask;
    }
    bits
}

/// The cells of an order that hold the disc around a place of this cell of order 29. Nothing if no order does.
pub(super) fn cells_around(cell: u64, disc: &Disc, finest: u8, mut each: impl FnMut(u8, u64)) -> Option<()> {
    let order = disc.finest?.min(finest);
    let home = cell >> shift(order);
    each(order, home);
    if !disc.stays(cell, order) {
        let pixel = Pixel::new(Order::new(order).ok()?, home).ok()?;
        pixel.neighbours().into_iter().for_each(|pixel| each(order, pixel.index()));
    }
    Some(())
}

/// Positions found by their cells.
#[derive(Debug, Default)]
pub(super) struct SkyIndex {
    layers: Vec<Layer>,
}

/// Positions whose discs are of like size.
#[derive(Debug)]
pub(super) struct Layer {
    /// The largest radius of a disc around one of them, in radians.
    reach: f64,
    order: u8,
    /// Where the entries of each cell of `order` begin; one more than there are cells.
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

impl SkyIndex {
    /// Of entries sorted by cell, and by which comes first where they are in the same one.
    ///
    /// `reach` is the radius around each of them in radians, where that is theirs; those without have no pairs.
    pub(super) fn new(mut entries: Vec<Entry>, reach: Option<&dyn Fn(u32) -> Option<f64>>) -> Self {
        entries.iter_mut().zip(0..).for_each(|(entry, rank)| entry.rank = rank);
        let Some(reach) = reach else { return Self { layers: Layer::new(0.0, entries).into_iter().collect() } };
        let mut classes: Vec<(f64, Vec<Entry>)> = vec![(0.0, Vec::new()); 16];
        for entry in entries {
            let Some(reach) = reach(entry.row) else { continue };
            let class = Disc::new(reach).finest.map_or(15, |finest| usize::from(finest / 2));
            classes[class].0 = classes[class].0.max(reach);
            classes[class].1.push(entry);
        }
        Self { layers: classes.into_iter().filter_map(|(reach, entries)| Layer::new(reach, entries)).collect() }
    }

    /// Roughly how many bytes an index of so many positions takes.
    pub(super) fn bytes(rows: usize) -> usize {
        rows * size_of::<Entry>() + cells_of(order_for(rows)) as usize * size_of::<u32>()
    }

    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }
}

/// The order whose cells hold about one of so many positions.
fn order_for(rows: usize) -> u8 {
    let most = (2 * rows as u64).max(LEAST_CELLS);
    (0..=12).rev().find(|order| cells_of(*order) <= most).unwrap_or(0)
}

fn cells_of(order: u8) -> u64 {
    12 << (2 * u32::from(order))
}

impl Layer {
    fn new(reach: f64, entries: Vec<Entry>) -> Option<Self> {
        if entries.is_empty() {
            return None;
        }
        let order = order_for(entries.len());
        let cells = cells_of(order) as usize;
        let mut starts = vec![0_u32; cells + 1];
        entries.iter().for_each(|entry| starts[(entry.cell >> shift(order)) as usize + 1] += 1);
        let mut sum = 0;
        starts.iter_mut().for_each(|start| {
            sum += *start;
            *start = sum;
        });
        Some(Self { reach, order, starts, entries })
    }

    /// The largest radius around one of these positions, in radians, where the radius is theirs.
    pub(super) fn reach(&self) -> f64 {
        self.reach
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn all(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entry(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }

    pub(super) fn entries(&self, span: &Range<u32>) -> &[Entry] {
        &self.entries[span.start as usize..span.end as usize]
    }

    /// Adds where the entries are that can lie in the disc around a place of this cell.
    #[inline]
    pub(super) fn find(&self, cell: u64, disc: &Disc, found: &mut Vec<Range<u32>>) {
        let Some(finest) = disc.finest.filter(|finest| *finest >= self.order && disc.stays(cell, self.order)) else {
            return self.find_around(cell, disc, found);
        };
        let home = (cell >> shift(self.order)) as usize;
        let span = self.starts[home]..self.starts[home + 1];
        if span.start < span.end {
            self.narrow(span, cell, disc, finest, found);
        }
    }

    /// Of a span those in the smallest cell that still holds the disc.
    #[inline]
    fn narrow(&self, span: Range<u32>, cell: u64, disc: &Disc, finest: u8, found: &mut Vec<Range<u32>>) {
        let mut order = finest;
        while order > self.order && !disc.stays(cell, order) {
            order = order.saturating_sub(STEP).max(self.order);
        }
        let span = if order > self.order { self.within(span, order, cell >> shift(order)) } else { span };
        match span.end.saturating_sub(span.start) {
            0 => {}
            many if many > MANY && order < finest => self.cells(finest, cell, found),
            _ => found.push(span),
        }
    }

    fn find_around(&self, cell: u64, disc: &Disc, found: &mut Vec<Range<u32>>) {
        let Some(finest) = disc.finest else {
            found.push(0..self.entries.len() as u32);
            return;
        };
        let before = found.len();
        self.cells(finest.min(self.order), cell, found);
        let candidates: u32 = found[before..].iter().map(|span| span.end - span.start).sum();
        if candidates > MANY && finest > self.order {
            found.truncate(before);
            self.cells(finest, cell, found);
        }
    }

    /// The entries of a cell and of its neighbours.
    fn cells(&self, order: u8, cell: u64, found: &mut Vec<Range<u32>>) {
        let home = cell >> shift(order);
        let around = Order::new(order).and_then(|order| Pixel::new(order, home)).map(Pixel::neighbours);
        let around = around.unwrap_or_default(); // cells of a position are cells
        for index in around.iter().map(|pixel| pixel.index()).chain([home]) {
            let span = self.span(order, index);
            if !span.is_empty() {
                found.push(span);
            }
        }
    }

    fn span(&self, order: u8, index: u64) -> Range<u32> {
        if order <= self.order {
            let finer = shift(order) - shift(self.order);
            return self.starts[(index << finer) as usize]..self.starts[((index + 1) << finer) as usize];
        }
        let around = (index >> (shift(self.order) - shift(order))) as usize;
        self.within(self.starts[around]..self.starts[around + 1], order, index)
    }

    /// The part of a span that lies in a cell.
    fn within(&self, span: Range<u32>, order: u8, index: u64) -> Range<u32> {
        let entries = self.entries(&span);
        let first = |from: usize, not: &dyn Fn(u64) -> bool| {
            let entries = &entries[from..];
            from + match entries.len() <= FEW {
                true => entries.iter().position(|entry| !not(entry.cell >> shift(order))).unwrap_or(entries.len()),
                false => entries.partition_point(|entry| not(entry.cell >> shift(order))),
            }
        };
        let from = first(0, &|cell| cell < index);
        let to = first(from, &|cell| cell == index);
        span.start + from as u32..span.start + to as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Anywhere, around the poles, on the meridian where longitudes begin, in clusters, at corners of base cells.
    fn place() -> impl Strategy<Value = (f64, f64)> {
        prop_oneof![
            (0.0..360.0, -1.0..1.0_f64).prop_map(|(lon, z)| (lon, z.asin().to_degrees())),
            (0.0..360.0, -0.01..0.0_f64, any::<bool>())
                .prop_map(|(lon, off, north)| (lon, if north { 90.0 + off } else { -90.0 - off })),
            (-1e-3..1e-3, -90.0..90.0),
            (-0.01..0.01, -0.01..0.01).prop_map(|(lon, lat)| (80.0 + lon, 30.0 + lat)),
            (0..8_u8, -1e-6..1e-6).prop_map(|(turn, off)| (f64::from(turn) * 45.0 + off, 41.810_314_895_778_6 + off)),
        ]
    }

    fn entries(places: &[(f64, f64)]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = places
            .iter()
            .zip(0..)
            .map(|((lon, lat), row)| Entry::new(Position::from_deg(*lon, *lat).unwrap(), None, row))
            .collect();
        entries.sort_by_key(|entry| entry.cell);
        entries
    }

    fn radius() -> impl Strategy<Value = f64> {
        prop::sample::select(vec![0.0, 1e-12, 1e-9, 5e-6, 1e-4, 2e-3, 0.1, 0.5, 1.0, 2.0, PI])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn nothing_within_the_disc_is_missed(
            places in prop::collection::vec(place(), 1..300), asked in prop::collection::vec(place(), 1..40),
            radius in radius(),
        ) {
            let index = SkyIndex::new(entries(&places), None);
            let layer = &index.layers()[0];
            let disc = Disc::of_many(radius + 1e-12);
            for (lon, lat) in asked.iter().chain(&places) {
                let center = Position::from_deg(*lon, *lat).unwrap();
                let mut found = Vec::new();
                layer.find(cell29(center), &disc, &mut found);
                let mut rows: Vec<u32> =
                    found.iter().flat_map(|span| layer.entries(span)).map(|entry| entry.row).collect();
                rows.sort_unstable();
                prop_assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "none is found twice");
                for ((lon, lat), row) in places.iter().zip(0_u32..) {
                    if Position::from_deg(*lon, *lat).unwrap().distance(center).0 <= radius {
                        prop_assert!(rows.binary_search(&row).is_ok(), "{lon} {lat} around {center:?}, {radius}");
                    }
                }
            }
        }

        #[test]
        fn a_disc_that_stays_in_its_cell_has_no_point_outside(
            (lon, lat) in place(), order in 0..29_u8, part in 1e-6..0.6_f64, turn in 0.0..std::f64::consts::TAU,
        ) {
            let center = Position::from_deg(lon, lat).unwrap();
            let radius = part / f64::from(1_u32 << order);
            let disc = Disc::new(radius + 1e-12);
            let cell = cell29(center);
            if disc.stays(cell, order) {
                let (sin_lat, cos_lat) = center.lat.rad().sin_cos();
                let z = (sin_lat * radius.cos() + cos_lat * radius.sin() * turn.cos()).clamp(-1.0, 1.0);
                let lon = center.lon.rad() + (turn.sin() * radius.sin() * cos_lat).atan2(radius.cos() - sin_lat * z);
                let rim = Position::from_deg(lon.to_degrees(), z.asin().to_degrees()).unwrap();
                // Near a pole the arc sine is blunt.
                if rim.distance(center).0 <= radius + 1e-12 {
                    prop_assert_eq!(cell29(rim) >> shift(order), cell >> shift(order));
                }
            }
        }

        #[test]
        fn radii_of_their_own_make_layers_that_hold_every_position_once(
            places in prop::collection::vec((place(), prop::option::of(radius())), 1..200),
        ) {
            let (positions, radii): (Vec<_>, Vec<_>) = places.into_iter().unzip();
            let index = SkyIndex::new(entries(&positions), Some(&|row| radii[row as usize]));
            let mut rows: Vec<u32> = Vec::new();
            for layer in index.layers() {
                for entry in &layer.entries {
                    prop_assert!(radii[entry.row as usize].unwrap() <= layer.reach());
                    rows.push(entry.row);
                }
            }
            rows.sort_unstable();
            let expected: Vec<u32> = (0..).zip(&radii).filter(|(_, radius)| radius.is_some()).map(|(row, _)| row).collect();
            prop_assert_eq!(rows, expected);
        }
    }

    #[test]
    fn small_discs_mostly_stay_in_their_cells() {
        let disc = Disc::new(5e-6);
        let stay = (0..10_000).filter(|step| {
            let lon = f64::from(*step) * 137.507_764 % 360.0;
            let lat = (f64::from(*step) / 5_000.0 - 1.0).asin().to_degrees();
            disc.stays(cell29(Position::from_deg(lon, lat).unwrap()), 9)
        });
        assert!(stay.count() > 9_600);
    }
}
