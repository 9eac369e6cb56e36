//! Identifiers that begin with a HEALPix cell, and how far rows are from the cell that theirs names.

use arrow::{
    array::{ArrayRef, AsArray, PrimitiveArray},
    compute::cast,
    datatypes::{DataType, UInt64Type},
};
use sky::{Arcsec, Deg, Order, Pixel, Position};

use crate::{CatalogError, IdEncodes};

/// How an identifier is read: what is left of it after `shift` bits is the nested cell of `order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdCells {
    /// The column.
    pub column: String,
    /// The order of the cells.
    pub order: Order,
    /// How many bits follow the cell.
    pub shift: u8,
}

/// How often a cell is quartered on the way to its point that is nearest to a row.
const STEPS: usize = 8;
/// How many parts are looked into at each step.
const PARTS: usize = 4;

impl IdCells {
    /// Of a column with cells of this order above so many bits; the sentence that refuses what no number can hold.
    pub fn new(column: &str, order: u8, shift: u8) -> Result<Self, String> {
        let order = Order::new(order).map_err(|error| error.to_string())?;
        let bits = 2 * u32::from(order.get()) + 4 + u32::from(shift);
        if bits > 64 {
            return Err(format!(
                "a cell of order {} above {shift} bits needs {bits} bits, and there are 64",
                order.get()
            ));
        }
        Ok(Self { column: column.to_owned(), order, shift })
    }

    /// As a descriptor has it.
    pub(crate) fn of(told: &IdEncodes) -> Option<Self> {
        Self::new(&told.column, told.order, told.shift).ok()
    }

    /// What a descriptor says of it: the slack is a little more than what was found, so that rounding takes nothing away.
    pub(crate) fn told(&self, found: Deg) -> IdEncodes {
        let slack_arcsec = if found.value() > 0.0 { Arcsec::from(found).0 * (1.0 + 1e-9) + 1e-3 } else { 0.0 };
        IdEncodes { column: self.column.clone(), order: self.order.get(), shift: self.shift, slack_arcsec }
    }

    /// The cells that identifiers name: NULL for one that is NULL or negative, or too large for a cell.
    pub(crate) fn cells(&self, identifiers: &ArrayRef) -> Result<PrimitiveArray<UInt64Type>, CatalogError> {
        let bits = cast(identifiers, &DataType::UInt64)?;
        let bits = bits.as_primitive::<UInt64Type>();
        Ok(bits.unary_opt(|bits| Some(bits >> self.shift).filter(|cell| *cell < self.order.cells())))
    }

    /// How far a position is from a cell: zero inside, else no less than the true distance, and hardly more.
    pub(crate) fn distance(&self, cell: u64, position: Position) -> Deg {
        if Pixel::of(position, self.order).index() == cell {
            return Deg(0.0);
        }
        let Ok(whole) = Pixel::new(self.order, cell) else { return Deg(180.0) };
        // Every corner of a part lies in the cell: none is nearer than the cell is.
        let nearest = |pixel: Pixel| {
            let corners = pixel.vertices().map(|corner| Deg::from(position.distance(corner)).value());
            (corners.into_iter().fold(180.0, f64::min), pixel)
        };
        let (mut least, _) = nearest(whole);
        let mut parts = vec![whole];
        for _ in 0..STEPS {
            let quarters = parts.iter().filter_map(|part| part.children()).flatten();
            let mut found: Vec<(f64, Pixel)> = quarters.map(nearest).collect();
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            least = found.first().map_or(least, |(first, _)| least.min(*first));
            parts = found.into_iter().take(PARTS).map(|(_, part)| part).collect();
        }
        Deg(least)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cell_is_what_is_left_of_a_number_after_its_low_bits() {
        let gaia = IdCells::new("source_id", 12, 35).unwrap();
        let beyond = (12_i64 << 24) << 35;
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(5 << 35 | 77), None, Some(-1), Some(beyond), Some(0)]));
        let cells = gaia.cells(&ids).unwrap();
        assert_eq!(cells.iter().collect::<Vec<_>>(), [Some(5), None, None, None, Some(0)]);
        assert!(IdCells::new("id", 30, 0).is_err());
        assert!(IdCells::new("id", 29, 3).unwrap_err().contains("65 bits"));
        assert_eq!(gaia.told(Deg(0.0)).slack_arcsec, 0.0);
        assert!(gaia.told(Deg(1.0)).slack_arcsec > 3600.0);
    }

    proptest! {
        #[test]
        fn a_distance_is_that_to_the_nearest_of_many_points_of_the_cell(
            lon in 0.0..360.0_f64, lat in -90.0..90.0_f64, east in -0.3..0.3_f64, north in -0.3..0.3_f64, order in 6_u8..14,
        ) {
            let ids = IdCells::new("id", order, 1).unwrap();
            let here = Position::from_deg(lon, lat).unwrap();
            let pixel = Pixel::of(here, ids.order);
            prop_assert_eq!(ids.distance(pixel.index(), here).value(), 0.0);
            let there = Position::from_deg((lon + east).rem_euclid(360.0), (lat + north).clamp(-90.0, 90.0)).unwrap();
            let told = ids.distance(pixel.index(), there).value();
            if Pixel::of(there, ids.order) == pixel {
                prop_assert_eq!(told, 0.0);
                return Ok(());
            }
            // The true distance is that to the cell's border, which parts of the sixth generation follow closely.
            let shift = 2 * 6;
            let finer = Order::new(order + 6).unwrap();
            let parts = (pixel.index() << shift..(pixel.index() + 1) << shift).map(|part| Pixel::new(finer, part).unwrap());
            let nearest = parts.flat_map(|part| part.vertices()).map(|point| Deg::from(there.distance(point)).value());
            let nearest = nearest.fold(180.0, f64::min);
            let size = 59.0 / f64::from(1_u32 << order);
            prop_assert!(told >= nearest - size / 64.0, "{told} {nearest}");
            prop_assert!(told <= nearest + size / 8.0, "{told} {nearest} {size}");
        }
    }
}
