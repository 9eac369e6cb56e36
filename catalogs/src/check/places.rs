//! Where the rows of a batch are on the sky: by the column that says so, and by their positions.

use arrow::{
    array::{Array, AsArray, PrimitiveArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};
use sky::{
    Arcsec, Order, Pixel, Position, Rad,
    healpix::{CELLS_29, cell29},
};

use crate::{CatalogError, CatalogSnapshot};

/// How far apart two computations of one position may be, and so how far from a border a row may lie on its other side
/// in a tree that another program has written: two milliarcseconds.
const ROUNDING: Arcsec = Arcsec(2e-3);

/// How the place of a row is read.
#[derive(Clone, Debug)]
pub(super) struct Places {
    healpix: Option<(usize, u8)>,
    position: Option<(usize, usize)>,
    slack: Rad,
    /// How far from a border a row may lie on its other side, in arcseconds.
    rounding: Arcsec,
    /// Whether cells must be those that we compute, to the last bit.
    strict: bool,
    /// Whether a row may do without a position, since its cell is that of another row.
    follows: bool,
}

/// The places of the rows of a batch.
pub(super) struct Placed {
    /// The cell that counts: of order 29; none where a row has none.
    pub(super) cells: Vec<Option<u64>>,
    /// The positions; empty where the table has none.
    pub(super) positions: Vec<Option<Position>>,
    /// Rows whose cell is missing or none of the sky's, or whose position is.
    pub(super) homeless: Vec<usize>,
    /// Rows whose cell is not that of their position.
    pub(super) displaced: Vec<usize>,
}

impl Places {
    /// As the descriptor of a table says; none for a table without places.
    pub(super) fn of(snapshot: &CatalogSnapshot) -> Option<Self> {
        let (schema, descriptor) = (snapshot.schema(), snapshot.descriptor());
        let column = |name: &String| schema.index_of(name).ok();
        let healpix = descriptor.healpix.as_ref().and_then(|healpix| Some((column(&healpix.column)?, healpix.order)));
        let position =
            descriptor.position.as_ref().and_then(|position| Some((column(&position.ra)?, column(&position.dec)?)));
        (healpix.is_some() || position.is_some()).then(|| Self {
            healpix,
            position,
            slack: snapshot.position_slack().into(),
            // In a foreign tree the slack is what its positions have lost of their digits.
            rounding: match descriptor.data.is_some() {
                true => Arcsec(ROUNDING.0 + Arcsec::from(snapshot.position_slack()).0),
                false => ROUNDING,
            },
            strict: descriptor.data.is_none(),
            follows: descriptor.director.is_some(),
        })
    }

    /// The column by which rows are sorted.
    pub(super) fn healpix_column(&self) -> Option<usize> {
        self.healpix.map(|(column, _)| column)
    }

    /// Looks at the rows of a batch.
    pub(super) fn look(&self, rows: &RecordBatch) -> Result<Placed, CatalogError> {
        let positions = self.positions(rows)?;
        let stored = match self.healpix {
            Some((column, _)) => Some(cast(rows.column(column), &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            None => None,
        };
        let mut placed = Placed {
            cells: Vec::with_capacity(rows.num_rows()),
            positions,
            homeless: Vec::new(),
            displaced: Vec::new(),
        };
        for row in 0..rows.num_rows() {
            let position = placed.positions.get(row).copied().flatten();
            let cell = self.cell_of(row, stored.as_ref(), position, &mut placed);
            placed.cells.push(cell);
        }
        Ok(placed)
    }

    fn cell_of(
        &self,
        row: usize,
        stored: Option<&PrimitiveArray<Int64Type>>,
        position: Option<Position>,
        placed: &mut Placed,
    ) -> Option<u64> {
        let computed = position.map(cell29);
        if self.position.is_some() && position.is_none() && !self.follows {
            placed.homeless.push(row);
        }
        let (Some(stored), Some((_, order))) = (stored, self.healpix) else { return computed };
        let shift = 2 * u32::from(29 - order.min(29));
        let cell = stored.is_valid(row).then(|| stored.value(row)).and_then(|cell| u64::try_from(cell).ok());
        let Some(cell) = cell.filter(|cell| *cell < CELLS_29 >> shift) else {
            if placed.homeless.last() != Some(&row) {
                placed.homeless.push(row);
            }
            return computed;
        };
        if let Some(position) = position
            && computed.is_some_and(|computed| computed >> shift != cell)
            && !self.may_be_at(position, cell, order)
        {
            placed.displaced.push(row);
        }
        if shift == 0 { Some(cell) } else { computed.or(Some(cell << shift)) }
    }

    /// Whether a row may be filed under a cell that is not that of its position.
    fn may_be_at(&self, position: Position, cell: u64, order: u8) -> bool {
        if self.strict && self.slack.0 == 0.0 {
            return false;
        }
        let Ok(pixel) = Order::new(order).and_then(|order| Pixel::new(order, cell)) else { return false };
        let center = pixel.center();
        let size = pixel.vertices().iter().map(|corner| center.distance(*corner).0).fold(0.0, f64::max);
        position.distance(center).0 <= size + self.slack.0 + Rad::from(ROUNDING).0
    }

    /// Whether a row of this cell and position is in a partition, as far as rounding tells.
    pub(super) fn is_inside(&self, pixel: Pixel, cell: u64, position: Option<Position>) -> bool {
        let range = pixel.range();
        let near = |position| nearby(position, self.rounding).any(|near| range.contains(&cell29(near)));
        range.contains(&cell) || (!self.strict && position.is_some_and(near))
    }

    /// Whether a row of this cell and position is in a partition without any doubt.
    pub(super) fn is_well_inside(&self, pixel: Pixel, cell: u64, position: Option<Position>) -> bool {
        let range = pixel.range();
        let near = |position| nearby(position, self.rounding).all(|near| range.contains(&cell29(near)));
        range.contains(&cell) && (self.strict || position.is_none_or(near))
    }

    fn positions(&self, rows: &RecordBatch) -> Result<Vec<Option<Position>>, CatalogError> {
        let Some((ra, dec)) = self.position else { return Ok(Vec::new()) };
        let degrees = |column: usize| cast(rows.column(column), &DataType::Float64);
        let (ra, dec) = (degrees(ra)?, degrees(dec)?);
        let (ra, dec) = (ra.as_primitive::<Float64Type>(), dec.as_primitive::<Float64Type>());
        Ok(ra.iter().zip(dec).map(|(ra, dec)| Position::from_deg(ra?, dec?).ok()).collect())
    }
}

/// Points around a position, as far from it as rounding may have moved it.
fn nearby(position: Position, rounding: Arcsec) -> impl Iterator<Item = Position> {
    let step = rounding.0 / 3600.0;
    let lon_step = step / position.lat.rad().cos().max(1e-9);
    [(0.0, step), (0.0, -step), (lon_step, 0.0), (-lon_step, 0.0)].into_iter().filter_map(move |(dlon, dlat)| {
        Position::from_deg(position.lon.deg() + dlon, (position.lat.deg() + dlat).clamp(-90.0, 90.0)).ok()
    })
}
