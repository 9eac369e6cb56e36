//! The log: order, calibrations, names, releases.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use demo_sky::{DemoSky, Table};

use crate::{all_numbers, whole};

#[test]
fn calibrations_have_no_position_and_everything_else_has_one() {
    let log = whole(DemoSky { seed: 4, rows: 5_000_000 }, Table::Observations);
    let target = log.column_by_name("target_name").unwrap().as_string::<i32>();
    let (ra, dec) = (log.column_by_name("s_ra").unwrap(), log.column_by_name("s_dec").unwrap());
    for row in 0..log.num_rows() {
        let calibration = ["BIAS", "DARK", "FLAT"].contains(&target.value(row));
        assert_eq!((ra.is_null(row), dec.is_null(row)), (calibration, calibration), "{}", target.value(row));
    }
    let share = ra.null_count() as f64 / ra.len() as f64;
    assert!((0.1..0.14).contains(&share), "{share}");
}

#[test]
fn exposures_follow_each_other_and_last_as_long_as_they_say() {
    let log = whole(DemoSky { seed: 4, rows: 20_000_000 }, Table::Observations);
    let (start, end) = (all_numbers(&log, "t_min"), all_numbers(&log, "t_max"));
    let seconds = all_numbers(&log, "t_exptime");
    for row in 0..log.num_rows() {
        assert!(((end[row] - start[row]) * 86_400.0 - seconds[row]).abs() < 1e-3, "row {row}");
        assert!(row == 0 || end[row - 1] < start[row], "row {row}");
    }
}

#[test]
fn identifiers_are_unique_and_some_names_are_not_ascii() {
    let log = whole(DemoSky { seed: 4, rows: 20_000_000 }, Table::Observations);
    let ids: HashSet<_> = log.column_by_name("obs_id").unwrap().as_string::<i32>().iter().flatten().collect();
    assert_eq!(ids.len(), 20_000);
    assert!(ids.contains("ALM-000000") && ids.contains("ALM-019999"));
    let targets: HashSet<_> = log.column_by_name("target_name").unwrap().as_string::<i32>().iter().flatten().collect();
    assert!(targets.contains("ω Centauri"));
    assert!(targets.iter().any(|name| name.starts_with("SURVEY ") && name.len() == "SURVEY 012+34".len()));
}

#[test]
fn what_is_public_was_released_when_the_log_was_copied() {
    let log = whole(DemoSky { seed: 4, rows: 0 }, Table::Observations);
    let released = log.column_by_name("obs_release_date").unwrap().as_primitive::<TimestampMicrosecondType>();
    let public = log.column_by_name("is_public").unwrap().as_boolean();
    let copied = 1_735_689_600_000_000;
    assert!((0..log.num_rows()).all(|row| public.value(row) == (released.value(row) <= copied)));
    assert!(public.true_count() > 10 && public.false_count() > 5, "{} public", public.true_count());
    let start = all_numbers(&log, "t_min");
    let exposed = |row: usize| ((start[row] - 40_587.0) * 86_400e6) as i64;
    assert!((0..log.num_rows()).all(|row| released.value(row) > exposed(row)));
}
