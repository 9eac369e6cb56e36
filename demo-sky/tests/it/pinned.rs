//! The skies as they were when they were first published: benchmarks are compared over years, and a reader's first query
//! is in the documentation together with its answer. If one of these tests fails, the sky has changed for everybody.

use arrow::array::RecordBatch;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use demo_sky::{DemoSky, Table};

use crate::whole;

/// A value as text: doubles to nine digits and floats to six, so that a rounding error does not count.
fn text(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    match column.data_type() {
        DataType::Float64 => format!("{:.8e}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => format!("{:.5e}", column.as_primitive::<Float32Type>().value(row)),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            let items: Vec<_> = (0..list.len()).map(|item| text(&list, item)).collect();
            format!("[{}]", items.join(" "))
        }
        _ => ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap().value(row).to_string(),
    }
}

fn line(batch: &RecordBatch, row: usize) -> String {
    let values: Vec<_> = batch.columns().iter().map(|column| text(column, row)).collect();
    values.join(" ")
}

/// FNV-1a.
fn checksum(batch: &RecordBatch) -> u64 {
    (0..batch.num_rows())
        .flat_map(|row| (line(batch, row) + "\n").into_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn sky(table: Table) -> RecordBatch {
    whole(DemoSky { seed: 42, rows: 10_000 }, table)
}

#[test]
fn the_sky_of_seed_42_has_not_changed() {
    let checksums = Table::ALL.map(|table| format!("{table} {:016x}", checksum(&sky(table))));
    assert_eq!(
        checksums,
        ["demo.stars d73fd07eb32c450a", "demo.galaxies b21e6dce44a49b2b", "demo.observations 836860f14347ad02"]
    );
}

#[test]
fn these_rows_of_seed_42_have_not_changed() {
    assert_eq!(
        line(&sky(Table::Stars), 18),
        "5853498674453151762 2.17428940e2 -6.26794900e1 1.40556e-2 1.29717e-2 7.72335489e2 1.84857e-2 -3.77564000e3 7.68160000e2 8.95000e0 3.80456e0 [4.47396e3 4.81644e4 1.99080e5 2.06265e6 6.63776e6] 0 false Próxima Centauri (α Cen C)"
    );
    assert_eq!(
        line(&sky(Table::Stars), 9_999),
        "5879816481696392975 2.23511186e2 -5.88423730e1 4.28681e-1 3.97268e-1 7.78571919e-1 4.81184e-1 -1.00237538e0 -5.46782924e-2 1.97035e1 2.11516e0 [2.46497e0 8.32832e0 3.22259e1 7.21678e1 1.06033e2] 0 NULL NULL"
    );
    assert_eq!(
        line(&sky(Table::Galaxies), 5),
        "4801637166205632517 8.85622698e1 -4.48758561e1 1.60921200e-1 2.25440e1 GALAXY NULL 1.71542e-1 -3.31885e-2"
    );
    assert_eq!(
        line(&sky(Table::Observations), 7),
        "ALM-000007 SURVEY 169+26 1.69000000e2 2.60000000e1 5.99451742e4 5.99451777e4 3.00000000e2 Échelle NULL 7.83884e-1 2023A-037 2025-01-01T12:00:00 false"
    );
}
