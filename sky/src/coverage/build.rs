//! Coverages of shapes, by descent of the HEALPix tree.
//!
//! Start from cells that surely hold the whole shape; ask of each whether it is outside the shape, inside it or on its
//! border; replace those on the border by their four children; again, until there are more ranges than asked for. The
//! last, over-full level is then shortened by [`Coverage::degrade`], which uses the allowance better than stopping one
//! level before. What is proved of one cell by [`Region::meets`] is thereby proved of the result, and nothing rests on
//! the outlines of cells beyond the disc around each.

use super::region::{ConeRegion, OutlineRegion, Region};
use super::{Coverage, CoverageRange, Membership};
use crate::angle::Deg;
use crate::cone::Cone;
use crate::healpix::{Order, Pixel};
use crate::polygon::Polygon;
use crate::shape::Shape;
use crate::sky_box::SkyBox;

/// How closely a coverage follows its shape: by the number of ranges it may have, and by the size of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Detail {
    max_ranges: usize,
    finest: Order,
}

impl Detail {
    /// The most ranges one may ask for.
    pub const MOST: usize = 65_536;

    /// At most `max_ranges` ranges; at least one and at most [`Detail::MOST`].
    pub fn at_most(max_ranges: usize) -> Self {
        Self { max_ranges: max_ranges.clamp(1, Self::MOST), finest: Order::MAX }
    }

    /// The same, and no cell along a border finer than this order.
    pub const fn no_finer_than(self, finest: Order) -> Self {
        Self { finest, ..self }
    }

    /// The number of ranges allowed.
    pub const fn max_ranges(self) -> usize {
        self.max_ranges
    }
}

impl Default for Detail {
    /// 64 ranges: enough to exclude nine tenths of the cells around a cone, few enough to be walked for every page.
    fn default() -> Self {
        Self { max_ranges: 64, finest: Order::MAX }
    }
}

impl Coverage {
    /// The coverage of a cone.
    pub fn of_cone(cone: &Cone, detail: Detail) -> Self {
        descend(&ConeRegion::new(cone), detail)
    }

    /// The coverage of a polygon.
    pub fn of_polygon(polygon: &Polygon, detail: Detail) -> Self {
        descend(&OutlineRegion::polygon(polygon), detail)
    }

    /// The coverage of a box.
    pub fn of_box(sky_box: &SkyBox, detail: Detail) -> Self {
        descend(&OutlineRegion::sky_box(sky_box), detail)
    }

    /// The coverage of any shape. A point is covered as a cone of radius zero.
    pub fn of_shape(shape: &Shape, detail: Detail) -> Self {
        match shape {
            Shape::Point(position) => descend(&ConeRegion::around(*position, Deg(0.0)), detail),
            Shape::Cone(cone) => Self::of_cone(cone, detail),
            Shape::Polygon(polygon) => Self::of_polygon(polygon, detail),
            Shape::Box(sky_box) => Self::of_box(sky_box, detail),
            Shape::Moc(moc) => Self::of_moc(moc).degrade(detail.max_ranges),
        }
    }
}

/// Descends the tree from the cells around the region until there are more ranges than allowed.
fn descend(region: &impl Region, detail: Detail) -> Coverage {
    let mut level = Level::default();
    for cell in start_cells(region) {
        level.add(cell, region);
    }
    // The border of any shape is met by about half as many runs of cells as cells; a border cut up less than that is
    // followed no longer than this.
    let most_border_cells = 16 * detail.max_ranges + 64;
    while level.runs <= detail.max_ranges && (1..=most_border_cells).contains(&level.border_cells) {
        let Some(finer) = level.refine(region, detail.finest) else {
            break;
        };
        level = finer;
    }
    Coverage::of_sorted(level.pieces.into_iter().map(Piece::range)).degrade(detail.max_ranges)
}

/// Cells, in index order, outside which there is no point of the region: the neighbourhood of the middle of a small
/// region, the base cells for a large one.
fn start_cells(region: &impl Region) -> Vec<Pixel> {
    let (middle, radius) = region.bounding_disc();
    // One order coarser than what just reaches: what is saved is the long way down from the base cells.
    let home =
        Order::whose_neighbourhood_reaches(radius).and_then(|order| Pixel::of(middle.position(), order).parent());
    match home {
        Some(home) if home.order() > Order::MIN => {
            let mut cells = home.neighbours();
            cells.push(home);
            cells.sort_unstable();
            cells
        }
        _ => Pixel::base_cells().to_vec(),
    }
}

/// A part of a level: cells known to be inside, in one run whatever their orders, or one cell on the border.
enum Piece {
    Inside { start: u64, end: u64 },
    Border(Pixel),
}

impl Piece {
    fn range(self) -> CoverageRange {
        match self {
            Piece::Inside { start, end } => CoverageRange { start, end, inside: true },
            Piece::Border(pixel) => {
                let range = pixel.range();
                CoverageRange { start: range.start, end: range.end, inside: false }
            }
        }
    }
}

/// The state of the descent at one order: its pieces in index order.
#[derive(Default)]
struct Level {
    pieces: Vec<Piece>,
    /// How many ranges the pieces make.
    runs: usize,
    border_cells: usize,
    /// The end and the kind of the last piece.
    last: (u64, bool),
}

impl Level {
    /// Adds a cell after the last piece, unless the region is elsewhere.
    fn add(&mut self, cell: Pixel, region: &impl Region) {
        let range = cell.range();
        match region.meets(cell) {
            Membership::Outside => {}
            Membership::Inside => self.add_inside(range.start, range.end),
            Membership::Maybe => {
                self.follow(range.start, range.end, false);
                self.border_cells += 1;
                self.pieces.push(Piece::Border(cell));
            }
        }
    }

    fn add_inside(&mut self, start: u64, end: u64) {
        let new_run = self.follow(start, end, true);
        match self.pieces.last_mut() {
            Some(Piece::Inside { end: last, .. }) if !new_run => *last = end,
            _ => self.pieces.push(Piece::Inside { start, end }),
        }
    }

    /// Counts a new run of ranges if `start..end` does not continue the last one, and says whether it is one.
    fn follow(&mut self, start: u64, end: u64, inside: bool) -> bool {
        let new_run = self.pieces.is_empty() || self.last != (start, inside);
        self.runs += usize::from(new_run);
        self.last = (end, inside);
        new_run
    }

    /// The level below: border cells replaced by their children. `None` at the finest order.
    fn refine(&self, region: &impl Region, finest: Order) -> Option<Level> {
        let mut finer = Level::default();
        finer.pieces.reserve(2 * self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Inside { start, end } => finer.add_inside(*start, *end),
                Piece::Border(cell) if cell.order() >= finest => return None,
                Piece::Border(cell) => {
                    for child in cell.children()? {
                        finer.add(child, region);
                    }
                }
            }
        }
        Some(finer)
    }
}
