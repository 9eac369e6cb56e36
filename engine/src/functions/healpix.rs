//! HEALPix cells, in the nested scheme: the cell of a position, the centre, the neighbours and the parents of a cell.
//!
//! `healpix_parent` is what maps are counted by: it keeps the order of its first argument, and a comparison with it becomes
//! a range of cells of order 29, which prunes.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Int64Array, Int64Builder, ListBuilder},
        datatypes::{
            DataType::{self, Float64, Int64},
            Field,
        },
    },
    common::{ScalarValue, plan_err},
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{Order, Pixel, Position};

use super::{
    Function, Origin,
    declaration::declare,
    mathematics::whole_pairs,
    numbers::{integers, present, reals},
    points::{point_type, points},
    scalar::{Constants, Scalar, bigint},
};

mod parent;

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let index = declare!(
        Origin::Ivoa, "ivo_healpix_index" as "ivo_healpix_index",
        ("hpxOrder": "INTEGER", "long": "DOUBLE PRECISION", "lat": "DOUBLE PRECISION") -> "BIGINT"
            | ("hpxOrder": "INTEGER", "p": "POINT") -> "BIGINT",
        "The HEALPix cell (nested scheme) of an order from 0 to 29 in which a position in degrees falls.",
        "ivo_healpix_index(17, 23.4, 56.7)",
    );
    let center = declare!(
        Origin::Ivoa, "ivo_healpix_center" as "ivo_healpix_center",
        ("hpxOrder": "INTEGER", "hpxIndex": "BIGINT") -> "POINT",
        "The centre of a HEALPix cell (nested scheme). NULL if the order has no such cell.",
        "ivo_healpix_center(0, 6)",
    );
    let neighbours = declare!(
        Origin::Almagest, "healpix_neighbours" as "healpix_neighbours",
        ("hpxOrder": "INTEGER", "hpxIndex": "BIGINT") -> "BIGINT[]",
        "The cells that share a side or a corner with a HEALPix cell (nested scheme), in rising order: eight, or six or \
         seven at a corner of the twelve base cells.",
        "healpix_neighbours(3, 42)",
    );
    let forms = [vec![Int64, Float64, Float64], vec![Int64, point_type()]];
    let list = |_: &[DataType]| Ok(DataType::List(Arc::new(Field::new_list_field(Int64, true))));
    let point = |_: &[DataType]| Ok(point_type());
    let mut functions = vec![
        Scalar::new(index, forms, bigint, cells).checked(check_order).declared(),
        Scalar::new(center, [vec![Int64; 2]], point, centers).checked(check_cell).declared(),
        Scalar::new(neighbours, [vec![Int64; 2]], list, around).checked(check_cell).declared(),
    ];
    functions.extend(parent::declared());
    functions
}

fn order_of(order: i64) -> Option<Order> {
    u8::try_from(order).ok().and_then(|order| Order::new(order).ok())
}

fn cell_of(order: i64, index: i64) -> Option<Pixel> {
    Pixel::new(order_of(order)?, u64::try_from(index).ok()?).ok()
}

fn whole(constant: Option<&ScalarValue>) -> Option<i64> {
    match constant? {
        ScalarValue::Int64(value) => *value,
        _ => None,
    }
}

fn check_order(constants: &Constants<'_>) -> Result<()> {
    match whole(constants[0]) {
        Some(order) if order_of(order).is_none() => plan_err!("a HEALPix order is a number from 0 to 29, not {order}"),
        _ => Ok(()),
    }
}

fn check_cell(constants: &Constants<'_>) -> Result<()> {
    check_order(constants)?;
    let (Some(order), Some(index)) = (whole(constants[0]), whole(constants[1])) else { return Ok(()) };
    match (cell_of(order, index), order_of(order)) {
        (None, Some(known)) => {
            plan_err!("HEALPix cells of order {order} have numbers from 0 to {}, not {index}", known.cells() - 1)
        }
        _ => Ok(()),
    }
}

fn cells(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let orders = integers(&arguments[0], rows)?;
    let coordinates = reals(&arguments[1..])?;
    let present = present(&coordinates, rows);
    let cells = (0..rows).map(|row| {
        let missing = orders.is_null(row) || present.as_ref().is_some_and(|present| present.is_null(row));
        let order = (!missing).then(|| order_of(orders.value(row))).flatten()?;
        let position = Position::from_deg(coordinates[0].at(row), coordinates[1].at(row)).ok()?;
        Some(Pixel::of(position, order).index() as i64) // below 12·4²⁹, a third of what fits
    });
    Ok(Arc::new(cells.collect::<Int64Array>()))
}

fn pixels(arguments: &[ColumnarValue], rows: usize) -> Result<impl Iterator<Item = Option<Pixel>>> {
    let (orders, indices) = (integers(&arguments[0], rows)?, integers(&arguments[1], rows)?);
    Ok((0..rows).map(move |row| {
        let present = orders.is_valid(row) && indices.is_valid(row);
        present.then(|| cell_of(orders.value(row), indices.value(row))).flatten()
    }))
}

fn centers(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let centers = pixels(arguments, rows)?.map(|pixel| match pixel.map(Pixel::center) {
        Some(center) => (center.lon.deg(), center.lat.deg()),
        None => (f64::NAN, f64::NAN),
    });
    let (lon, lat) = centers.unzip();
    Ok(points(lon, lat, None))
}

fn around(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let mut lists = ListBuilder::with_capacity(Int64Builder::with_capacity(rows * 8), rows);
    for pixel in pixels(arguments, rows)? {
        if let Some(pixel) = pixel {
            for cell in pixel.neighbours() {
                lists.values().append_value(cell.index() as i64);
            }
        }
        lists.append(pixel.is_some());
    }
    Ok(Arc::new(lists.finish()))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::{
        array::AsArray,
        datatypes::{Float64Type, Int64Type},
    };

    use super::*;
    use crate::functions::testing::{call, constant, double, integer, integers};

    /// All but the last two are examples of the IVOA's catalogue of functions.
    #[test]
    fn cells_and_centres_are_those_of_the_catalogue() {
        for (order, lon, lat, cell) in [
            (0, 1.0, 1.0, 4),
            (17, 1.0, 1.0, 81_609_757_711),
            (17, 359.0, -1.0, 73_009_064_944),
            (17, -1.0, -1.0, 73_009_064_944),         // the same place
            (29, 0.0, 90.0, 288_230_376_151_711_743), // the last cell of base cell 0: 4^29 - 1
        ] {
            let arguments = [constant(order as i64), double(&[Some(lon)]), double(&[Some(lat)])];
            assert_eq!(integers("ivo_healpix_index", &arguments), [Some(cell)], "{order}, {lon}, {lat}");
        }
        let center = call("ivo_healpix_center", &[constant(0_i64), constant(6_i64)]).unwrap();
        let index = integers("ivo_healpix_index", &[constant(17_i64), constant(23.4), constant(56.7)]);
        let fine = call("ivo_healpix_center", &[constant(17_i64), integer(&index)]).unwrap();
        for (center, lon, lat) in [(center, 180.0, 0.0), (fine, 23.399_843_462_947_466, 56.700_162_143_631_92)] {
            let part = |part: usize| center.as_struct().column(part).as_primitive::<Float64Type>().value(0);
            assert!((part(0) - lon).abs() < 1e-12 && (part(1) - lat).abs() < 1e-12, "{center:?}");
        }
    }

    #[test]
    fn a_point_has_the_cell_of_its_coordinates() {
        let point = call("POINT", &[double(&[Some(1.0), None]), double(&[Some(1.0), Some(1.0)])]).unwrap();
        let cells = integers("ivo_healpix_index", &[constant(17_i64), ColumnarValue::Array(point)]);
        assert_eq!(cells, [Some(81_609_757_711), None]);
    }

    #[test]
    fn what_is_no_cell_is_null_in_a_row_and_a_mistake_in_a_query() {
        let nowhere = [integer(&[Some(29), Some(30), Some(-1), None]), constant(0.0), constant(95.0)];
        assert_eq!(integers("ivo_healpix_index", &nowhere), [None; 4]);
        let centers = call("ivo_healpix_center", &[integer(&[Some(0), Some(1)]), integer(&[Some(12), None])]).unwrap();
        assert_eq!(centers.null_count(), 2);
        let refusal = call("ivo_healpix_center", &[constant(0_i64), constant(12_i64)]).unwrap_err().to_string();
        assert!(refusal.contains("from 0 to 11, not 12"), "{refusal}");
        let refusal = call("ivo_healpix_index", &[constant(30_i64), constant(1.0), constant(1.0)]).unwrap_err();
        assert!(refusal.to_string().contains("from 0 to 29, not 30"), "{refusal}");
    }

    #[test]
    fn a_base_cell_has_six_neighbours() {
        let lists = call("healpix_neighbours", &[constant(0_i64), integer(&[Some(4), None])]).unwrap();
        assert!(lists.is_null(1));
        // Base cell 4, on the equator at longitude 0, touches 0 and 3 in the north, 5 and 7 by corners, 8 and 11.
        let cells = lists.as_list::<i32>().value(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(cells, [0, 3, 5, 7, 8, 11]);
    }
}
