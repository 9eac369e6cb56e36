//! What a table looks like before anybody reads a row: columns, metadata, sizes, batches.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use demo_sky::{DemoSky, ROWS_PER_BATCH, Table};

#[test]
fn every_column_says_its_unit_its_ucd_and_what_it_is() {
    for table in Table::ALL {
        let schema = DemoSky::schema(table);
        assert!(schema.metadata()["vo:description"].ends_with('.'), "{table}");
        let mut names = HashSet::new();
        for field in schema.fields() {
            assert!(names.insert(field.name()), "{table} has two columns {}", field.name());
            assert!(field.metadata().contains_key("vo:unit"), "{table}.{}", field.name());
            assert!(!field.metadata()["vo:ucd"].is_empty(), "{table}.{}", field.name());
            assert!(field.metadata()["vo:description"].len() > 4, "{table}.{}", field.name());
        }
    }
}

#[test]
fn the_positions_of_the_flux_are_named_and_its_child_is_called_element() {
    let schema = DemoSky::schema(Table::Stars);
    let flux = schema.field_with_name("flux").unwrap();
    assert_eq!(flux.metadata()["vo:positions"], "u g r i z");
    let DataType::List(child) = flux.data_type() else { panic!("{:?}", flux.data_type()) };
    assert_eq!((child.name().as_str(), child.data_type(), child.is_nullable()), ("element", &DataType::Float32, true));
}

#[test]
fn each_table_has_one_main_identifier_and_one_main_position() {
    for table in Table::ALL {
        let schema = DemoSky::schema(table);
        let with = |ucd: &str| schema.fields().iter().filter(|field| field.metadata()["vo:ucd"] == ucd).count();
        assert_eq!(with("meta.id;meta.main"), 1, "{table}");
        assert_eq!(with("pos.eq.ra;meta.main"), with("pos.eq.dec;meta.main"), "{table}");
    }
}

#[test]
fn batches_are_of_one_size_but_the_last_and_carry_the_schema() {
    let sky = DemoSky { seed: 1, rows: 70_000 };
    for table in Table::ALL {
        let batches: Vec<_> = sky.batches(table).collect();
        assert_eq!(batches.len() as u64, sky.batch_count(table));
        assert_eq!(batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), sky.rows(table));
        assert!(batches.iter().rev().skip(1).all(|batch| batch.num_rows() == ROWS_PER_BATCH));
        assert!(batches.iter().all(|batch| batch.schema() == DemoSky::schema(table)));
        assert_eq!(sky.batch(table, sky.batch_count(table)), None);
        assert_eq!(sky.batch(table, u64::MAX), None);
    }
}

#[test]
fn the_sizes_of_the_other_tables_follow_from_the_number_of_stars() {
    let sizes = |rows| Table::ALL.map(|table| DemoSky { seed: 0, rows }.rows(table));
    assert_eq!(sizes(0), [0, 1, 100]);
    assert_eq!(sizes(3), [3, 1, 100]);
    assert_eq!(sizes(1_000_000), [1_000_000, 250_000, 1_000]);
    assert_eq!(sizes(100_000_000), [100_000_000, 25_000_000, 20_000]);
}

#[test]
fn a_sky_without_stars_has_a_galaxy_that_is_no_star() {
    for seed in 0..50 {
        let sky = DemoSky { seed, rows: 0 };
        assert_eq!(sky.batches(Table::Stars).count(), 0);
        let galaxies = sky.batch(Table::Galaxies, 0).unwrap();
        assert_eq!(galaxies.num_rows(), 1);
        assert!(galaxies.column_by_name("star_source_id").unwrap().is_null(0));
    }
}

#[test]
fn the_last_batch_of_a_hundred_million_stars_needs_none_of_those_before_it() {
    let sky = DemoSky { seed: 1, rows: 100_000_000 };
    let last = sky.batch(Table::Stars, sky.batch_count(Table::Stars) - 1).unwrap();
    assert_eq!(last.num_rows() as u64, 100_000_000 % ROWS_PER_BATCH as u64);
}

#[test]
fn no_number_is_nan_or_infinite() {
    for seed in [0, u64::MAX] {
        let sky = DemoSky { seed, rows: 60_000 };
        for table in Table::ALL {
            for batch in sky.batches(table) {
                for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                    assert!(is_finite(column), "{table}.{}", field.name());
                }
            }
        }
    }
}

fn is_finite(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite),
        DataType::Float32 => column.as_primitive::<Float32Type>().iter().flatten().all(f32::is_finite),
        DataType::List(_) => is_finite(column.as_list::<i32>().values()),
        _ => true,
    }
}
