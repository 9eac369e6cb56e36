//! Coverage against brute force.

use std::slice::from_ref;

use datafusion::{
    arrow::{
        array::{Array, AsArray},
        datatypes::{DataType, Int64Type},
    },
    prelude::{cast, col, lit},
};
use proptest::prelude::*;
use sky::{Position, healpix::cell29};

use super::*;
use crate::{
    functions::{CIRCLE, CONTAINS, DISTANCE, INTERSECTS, POINT},
    random_sky::{self, call},
};

fn in_circle(lon: f64, lat: f64, radius: f64) -> Expr {
    let point = call(POINT, vec![col("ra"), col("dec")]);
    let circle = call(CIRCLE, vec![lit(lon), lit(lat), lit(radius)]);
    lit(1_i64).eq(cast(call(CONTAINS, vec![point, circle]), DataType::Int64))
}

fn place(position: &PositionColumns) -> Place<'_> {
    Place { position: Some(position), ..Place::default() }
}

fn columns() -> PositionColumns {
    PositionColumns { ra: "ra".into(), dec: "dec".into() }
}

fn may_be_at(filters: &[Expr], lon: f64, lat: f64) -> bool {
    coverage_of(filters, &place(&columns())).may_contain(cell29(Position::from_deg(lon, lat).unwrap()))
}

#[test]
fn a_cone_excludes_what_is_far_from_it() {
    for filter in [
        in_circle(10.0, 20.0, 1.0),
        call(DISTANCE, vec![col("ra"), col("dec"), lit(10.0), lit(20.0)]).lt(lit(1.0)),
        lit(1.0).gt_eq(call(DISTANCE, vec![lit(10.0), lit(20.0), col("ra"), col("dec")])),
    ] {
        assert!(may_be_at(from_ref(&filter), 10.5, 20.5), "{filter}");
        assert!(!may_be_at(from_ref(&filter), 13.0, 20.0), "{filter}");
    }
}

#[test]
fn and_or_not_combine_and_the_unknown_hides_nothing() {
    let (a, b) = (in_circle(10.0, 20.0, 1.0), in_circle(12.0, 20.0, 0.5));
    assert!(may_be_at(&[a.clone().or(b.clone())], 12.0, 20.0));
    assert!(coverage_of(&[a.clone(), b.clone()], &place(&columns())).is_empty());
    assert!(!may_be_at(&[a.clone().and(col("mag").gt(lit(3)))], 50.0, 0.0));
    assert!(may_be_at(&[a.clone().or(col("mag").gt(lit(3)))], 50.0, 0.0));
    assert!(may_be_at(&[Expr::Not(Box::new(a.clone()))], 50.0, 0.0));
    assert!(!may_be_at(&[Expr::Not(Box::new(a.clone()))], 10.0, 20.0));
    assert!(may_be_at(&[Expr::Not(Box::new(a.clone().and(col("mag").gt(lit(3)))))], 10.0, 20.0));
    assert!(!may_be_at(&[Expr::Not(Box::new(Expr::Not(Box::new(a))))], 50.0, 0.0));
}

#[test]
fn a_cast_that_changes_the_number_hides_nothing() {
    let distance = || call(DISTANCE, vec![col("ra"), col("dec"), lit(10.0), lit(20.0)]);
    for filter in [
        cast(distance(), DataType::Int32).lt_eq(lit(1)), // true up to 2 degrees
        cast(distance(), DataType::Utf8).lt(lit("2")),   // true at 10 degrees and more
        cast(distance(), DataType::Float32).lt_eq(lit(1.0_f32)),
        distance().lt(lit("2")),
        call(DISTANCE, vec![cast(col("ra"), DataType::Int64), col("dec"), lit(10.0), lit(20.0)]).lt(lit(1.0)),
    ] {
        assert!(may_be_at(from_ref(&filter), 200.0, -50.0), "{filter}");
    }
    let widened = cast(col("ra"), DataType::Float64);
    let filter = call(DISTANCE, vec![widened, col("dec"), lit(10.0), lit(20.0)]).lt(lit(1.0));
    assert!(!may_be_at(from_ref(&filter), 200.0, -50.0), "{filter}");
}

#[test]
fn a_condition_on_other_columns_or_with_other_numbers_is_left_alone() {
    let swapped = call(POINT, vec![col("dec"), col("ra")]);
    let circle = call(CIRCLE, vec![lit(0.0), lit(0.0), lit(1.0)]);
    let other = call(CONTAINS, vec![swapped, circle]).eq(lit(1));
    assert!(may_be_at(&[other], 90.0, 0.0));
    let not_equal = call(DISTANCE, vec![col("ra"), col("dec"), lit(0.0), lit(0.0)]).eq(lit(1.0));
    assert!(may_be_at(&[not_equal], 90.0, 0.0));
    let column_radius = call(DISTANCE, vec![col("ra"), col("dec"), lit(0.0), lit(0.0)]).lt(col("r"));
    assert!(may_be_at(&[column_radius], 90.0, 0.0));
    let antipode = call(DISTANCE, vec![col("ra"), col("dec"), lit(0.0), lit(0.0)]).gt_eq(lit(180.0));
    assert!(may_be_at(&[antipode], 180.0, 0.0));
}

/// What shall be seen of a filter: where it may be true, and where it is surely so.
fn agrees(filter: Expr) -> std::result::Result<(), TestCaseError> {
    let rows = random_sky::rows();
    let filter = random_sky::simplified(random_sky::normalized(random_sky::coerced(filter)));
    let coverage = random_sky::with_place(|place| coverage_of(std::slice::from_ref(&filter), place));
    let answers = random_sky::answers(&filter, &rows);
    let cells = rows.column_by_name("cell").unwrap().as_primitive::<Int64Type>();
    for row in (0..rows.num_rows()).filter(|row| cells.is_valid(*row)) {
        let cell = cells.value(row) as u64;
        let answer = answers.is_valid(row).then(|| answers.value(row));
        prop_assert!(answer != Some(true) || coverage.may_contain(cell), "row {row} is left out by {filter}");
        prop_assert!(answer != Some(false) || !coverage.is_inside(cell), "row {row} is taken for inside by {filter}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(random_sky::cases(400))]
    #[test]
    fn no_row_where_a_filter_is_true_is_left_out_and_none_where_it_is_false_is_inside(filter in random_sky::condition()) {
        agrees(filter)?;
    }
}

/// How much of the sky a filter leaves to be read.
fn share(filter: Expr) -> f64 {
    let filter = random_sky::simplified(random_sky::normalized(random_sky::coerced(filter)));
    random_sky::with_place(|place| coverage_of(&[filter], place).sky_fraction())
}

#[test]
fn every_kind_of_condition_restricts_the_sky() {
    let point = || call(POINT, vec![col("ra"), col("dec")]);
    let around = |radius: Expr| call(CIRCLE, vec![col("ra"), col("dec"), radius]);
    let fixed = || call(CIRCLE, vec![lit(10.0), lit(20.0), lit(1.0)]);
    let polygon = || call("adql_polygon", [9.0, 19.0, 11.0, 19.0, 10.0, 21.0].map(lit).to_vec());
    let index = || call("ivo_healpix_index", vec![lit(5_i64), col("ra"), col("dec")]);
    let moc = || call("adql_moc", vec![lit("6/100-110")]);
    let holds = |function: &str, one: Expr, other: Expr| call(function, vec![one, other]).eq(lit(1_i64));
    for filter in [
        holds(CONTAINS, point(), fixed()),
        holds(CONTAINS, point(), polygon()),
        holds(CONTAINS, point(), moc()),
        holds(CONTAINS, point(), call("adql_box", [10.0, 20.0, 3.0, 2.0].map(lit).to_vec())),
        holds(CONTAINS, point(), call("adql_region", vec![lit("Circle ICRS 10 20 1")])),
        holds(INTERSECTS, polygon(), point()),
        holds(INTERSECTS, around(lit(0.5)), polygon()),
        holds(INTERSECTS, moc(), around(lit(0.5))),
        holds(CONTAINS, around(lit(0.5)), fixed()),
        holds(CONTAINS, fixed(), around(lit(2.0))),
        holds(INTERSECTS, around(col("err")), fixed()).and(col("err").lt(lit(0.1))),
        holds(CONTAINS, call(POINT, vec![lit(1.0), lit(2.0)]), around(col("err"))).and(col("err").lt(lit(0.1))),
        call(DISTANCE, vec![point(), call(POINT, vec![lit(1.0), lit(2.0)])]).lt(lit(1.0)),
        index().eq(lit(77_i64)),
        index().in_list(vec![lit(77_i64), lit(99_i64)], false),
        col("cell").between(lit(1_i64 << 40), lit(1_i64 << 42)),
        (col("id") / lit(1_i64 << 35)).eq(lit(123_456_i64)),
        col("id").between(lit(4_295_806_720_i64), lit(4_295_906_720_i64)),
    ] {
        let share = share(filter.clone());
        assert!(share > 0.0 && share < 0.02, "{filter} leaves {share}");
    }
    assert_eq!(share(call(DISTANCE, vec![col("ra"), col("dec"), lit(1.0), lit(2.0)]).lt(lit(-1.0))), 0.0);
}

#[test]
fn rows_beside_their_cells_are_found_by_cells_that_are_widened() {
    let position = columns();
    let beside = Place { healpix: Some(("cell", 29)), slack: Deg(0.5), ..place(&position) };
    let cell = i64::try_from(cell29(Position::from_deg(10.0, 20.0).unwrap())).unwrap();
    let coverage = coverage_of(&[col("cell").eq(lit(cell))], &beside);
    for (lon, lat, there) in [(10.0, 20.4, true), (10.0, 23.0, false)] {
        assert_eq!(coverage.may_contain(cell29(Position::from_deg(lon, lat).unwrap())), there);
    }
    assert!(coverage_of(&[col("cell").not_eq(lit(cell))], &beside).may_contain(cell as u64));
}

#[test]
fn a_condition_that_could_not_be_used_is_told_with_the_reason() {
    let told = |filter: Expr, place: &Place<'_>| verdict_of(&[random_sky::normalized(filter)], place).unused;
    let position = columns();
    let near = || call(DISTANCE, vec![col("ra"), col("dec"), lit(1.0), lit(2.0)]).lt(col("r"));
    assert!(told(near(), &place(&position))[0].contains("not known before the rows are"));
    assert!(told(near(), &Place::default())[0].contains("no columns that they are positions"));
    let elsewhere = call(DISTANCE, vec![col("l"), col("b"), lit(1.0), lit(2.0)]).lt(lit(1.0));
    assert!(told(elsewhere, &place(&position))[0].contains("which is ra, dec"));
    let either = in_circle(1.0, 2.0, 3.0).or(col("mag").lt(lit(3)));
    assert!(told(either, &place(&position))[0].contains("a side of the OR"));
    assert!(told(in_circle(1.0, 2.0, 3.0).and(col("mag").lt(lit(3))), &place(&position)).is_empty());
}

#[test]
fn a_thousand_cones_are_united_in_no_time() {
    let cones = (0..1_000).map(|i| in_circle(f64::from(i) * 0.36, f64::from(i % 170) - 85.0, 0.01));
    let all = cones.reduce(Expr::or).unwrap();
    let position = columns();
    let started = std::time::Instant::now();
    let coverage = coverage_of(&[all], &place(&position));
    assert!(coverage.ranges().len() <= MOST_RANGES && coverage.sky_fraction() < 0.01);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}
