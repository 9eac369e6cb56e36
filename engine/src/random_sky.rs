//! A sky of awkward rows, and conditions on it drawn at random, for tests by brute force.
//!
//! Rows and shapes stand around the same few places, poles and RA 0 among them, so that borders are met: rows lie on
//! centres, on rims and on corners, a nanoarcsecond beside them, and anywhere; some have no position, or none that exists.

use std::{collections::HashMap, sync::Arc};

use catalogs::{IdEncodes, PositionColumns};
use datafusion::{
    arrow::{
        array::{AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch},
        datatypes::{DataType, Field, Schema},
    },
    common::{DFSchema, DFSchemaRef, config::ConfigOptions, tree_node::TreeNode},
    logical_expr::{Expr, execution_props::ExecutionProps, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::create_physical_expr,
    prelude::{cast, col, lit},
};
use proptest::{prelude::*, test_runner::RngSeed};
use sky::{Deg, Order, Pixel, Position, healpix::cell29};

use crate::{
    functions::{Body, FUNCTIONS},
    region::Place,
};

/// Where shapes and rows are.
pub(crate) const PLACES: [(f64, f64); 6] =
    [(0.0, 0.0), (359.999, 41.8), (45.0, 90.0), (123.4, -90.0), (180.0, -30.0), (10.0, 20.0)];
pub(crate) const RADII: [f64; 6] = [0.0, 0.001, 0.7, 1.0, 12.5, 100.0];

/// The same cases in every run, unless a number of fresh ones is asked for.
pub(crate) fn cases(number: u32) -> ProptestConfig {
    let fresh = std::env::var_os("PROPTEST_CASES").is_some();
    let defaults = ProptestConfig::default();
    ProptestConfig {
        cases: if fresh { defaults.cases } else { number },
        rng_seed: if fresh { RngSeed::Random } else { RngSeed::Fixed(55) },
        ..defaults
    }
}

pub(crate) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let found = FUNCTIONS.iter().find(|function| function.declaration.planned == name);
    match found.map(|function| &function.body) {
        Some(Body::Scalar(function)) => function.call(arguments),
        _ => panic!("{name} is no function of one row"),
    }
}

/// The rows: `ra`, `dec`, an uncertainty `err`, a `mag`, the cell and an id that begins with one.
pub(crate) fn rows() -> RecordBatch {
    let mut positions: Vec<(Option<f64>, Option<f64>)> = vec![
        (None, Some(1.0)),
        (Some(1.0), None),
        (None, None),
        (Some(10.0), Some(95.0)),
        (Some(f64::NAN), Some(0.0)),
        (Some(f64::INFINITY), Some(0.0)),
        (Some(-0.0), Some(-0.0)),
        (Some(360.0), Some(0.0)),
        (Some(370.0), Some(20.0)),
        (Some(-350.0), Some(20.0)),
    ];
    for (lon, lat) in PLACES {
        positions.push((Some(lon), Some(lat)));
        for radius in RADII {
            for beside in [0.0, 1e-13, -1e-13, 3e-10, -3e-10, 0.01, -0.01] {
                let r = radius + beside;
                for (dlon, dlat) in [(0.0, r), (0.0, -r), (r, 0.0), (-r, 0.0), (r * 0.7, r * 0.7)] {
                    positions.push((Some(lon + dlon), Some((lat + dlat).clamp(-90.0, 90.0))));
                }
            }
        }
    }
    for i in 0..800 {
        let (turn, z) = (f64::from(i) * 137.507_764 % 360.0, 1.0 - (f64::from(i) + 0.5) / 400.0);
        positions.push((Some(turn), Some(z.asin().to_degrees())));
    }
    let errors = [Some(0.0), Some(0.5), None, Some(-1.0), Some(1.0), Some(200.0), Some(f64::NAN), Some(0.001)];
    let cells: Vec<Option<i64>> =
        positions.iter().map(|(lon, lat)| Some(cell29(Position::from_deg((*lon)?, (*lat)?).ok()?) as i64)).collect();
    let ids = cells.iter().enumerate().map(|(row, cell)| cell.map(|cell| (cell >> 34) << 35 | (row as i64 * 7919)));
    let schema = Arc::clone(schema().inner());
    RecordBatch::try_new(
        schema,
        vec![
            Arc::new(positions.iter().map(|(lon, _)| *lon).collect::<Float64Array>()),
            Arc::new(positions.iter().map(|(_, lat)| *lat).collect::<Float64Array>()),
            Arc::new((0..positions.len()).map(|row| errors[row % errors.len()]).collect::<Float64Array>()),
            Arc::new(
                (0..positions.len()).map(|row| (row % 5 > 0).then_some(row as f64 % 10.0)).collect::<Float64Array>(),
            ),
            Arc::new(ids.collect::<Int64Array>()),
            Arc::new(Int64Array::from(cells)),
        ],
    )
    .unwrap()
}

pub(crate) fn schema() -> DFSchemaRef {
    let double = |name| Field::new(name, DataType::Float64, true);
    let whole = |name| Field::new(name, DataType::Int64, true);
    let fields = vec![double("ra"), double("dec"), double("err"), double("mag"), whole("id"), whole("cell")];
    Arc::new(DFSchema::try_from(Schema::new(fields)).unwrap())
}

/// What the table of these rows says of itself.
pub(crate) fn with_place<T>(act: impl FnOnce(&Place<'_>) -> T) -> T {
    let position = PositionColumns { ra: "ra".into(), dec: "dec".into() };
    let encoded = IdEncodes { column: "id".into(), order: 12, shift: 35, slack_arcsec: 0.0 };
    act(&Place {
        position: Some(&position),
        healpix: Some(("cell", 29)),
        id_encodes: Some(&encoded),
        slack: Deg(0.0),
        greatest: Some(&HashMap::from([("err".to_owned(), 200.0)])),
    })
}

/// A condition with the types of a plan.
pub(crate) fn coerced(condition: Expr) -> Expr {
    simplifier().coerce(condition, &schema()).unwrap()
}

/// A condition as it comes to a scan: constants computed.
pub(crate) fn simplified(condition: Expr) -> Expr {
    simplifier().simplify(condition).unwrap()
}

fn simplifier() -> ExprSimplifier {
    let context =
        SimplifyContext::builder().with_schema(schema()).with_config_options(Arc::new(ConfigOptions::default()));
    ExprSimplifier::new(context.build())
}

/// A condition as `rules::normalize_sky` leaves it.
pub(crate) fn normalized(condition: Expr) -> Expr {
    condition.transform_up(|expr| Ok(crate::rules::normalize_sky::normalized(expr, &schema()))).unwrap().data
}

/// The answer of a condition in every row.
pub(crate) fn answers(condition: &Expr, rows: &RecordBatch) -> BooleanArray {
    let context = Default::default();
    let physical = create_physical_expr(condition, &schema(), &ExecutionProps::new(), &context).unwrap();
    let answers = physical.evaluate(rows).unwrap().into_array(rows.num_rows()).unwrap();
    answers.as_boolean().clone()
}

/// Conditions: one, or several under AND, OR and NOT.
pub(crate) fn condition() -> impl Strategy<Value = Expr> {
    atom().prop_recursive(3, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(|a| Expr::Not(Box::new(a))),
        ]
    })
}

fn place() -> impl Strategy<Value = (f64, f64)> {
    prop_oneof![4 => prop::sample::select(PLACES.to_vec()), 1 => (0.0..360.0, -90.0..=90.0_f64)]
}

fn radius() -> impl Strategy<Value = f64> {
    prop_oneof![4 => prop::sample::select(RADII.to_vec()), 1 => 0.0..180.0_f64, 1 => Just(180.0)]
}

fn point_of_row() -> Expr {
    call("adql_point", vec![col("ra"), col("dec")])
}

fn numbers(values: &[f64]) -> Vec<Expr> {
    values.iter().map(|value| lit(*value)).collect()
}

/// A constant shape around a place.
fn constant_shape() -> impl Strategy<Value = Expr> {
    (place(), radius(), 0..7_u8).prop_map(|((lon, lat), radius, kind)| {
        let point = || call("adql_point", numbers(&[lon, lat]));
        let size = radius.clamp(0.001, 80.0);
        let (south, north) = ((lat - size).max(-89.9), (lat + size).min(89.9));
        match kind {
            0 => point(),
            1 => call("adql_circle", numbers(&[lon, lat, radius])),
            2 => call("adql_circle", vec![point(), lit(radius)]),
            3 => call("adql_box", numbers(&[lon, lat, size, size * 0.7])),
            4 => call("adql_polygon", numbers(&[lon - size * 0.5, south, lon + size * 0.5, south, lon, north])),
            5 => call("adql_moc", vec![lit(4_i64), call("adql_circle", numbers(&[lon, lat, radius.min(20.0)]))]),
            _ => {
                // A star of many corners, asked by cells first.
                let corners = (0..40_u8).flat_map(|corner| {
                    let turn = f64::from(corner) * std::f64::consts::TAU / 40.0;
                    let reach = size.min(9.0) * if corner % 2 == 0 { 1.0 } else { 0.6 };
                    [lon + reach * turn.cos(), (lat + reach * turn.sin()) * 0.8]
                });
                call("adql_polygon", numbers(&corners.collect::<Vec<_>>()))
            }
        }
    })
}

/// A shape that moves with the row.
fn shape_of_row() -> impl Strategy<Value = Expr> {
    (radius(), 0..5_u8).prop_map(|(radius, kind)| match kind {
        0 => call("adql_circle", vec![col("ra"), col("dec"), lit(radius)]),
        1 => call("adql_circle", vec![point_of_row(), lit(radius)]),
        2 => call("adql_circle", vec![point_of_row(), col("err")]),
        3 => call("adql_circle", vec![col("ra"), col("dec"), col("err") * lit(2.0) / lit(3.0)]),
        _ => call("adql_box", vec![col("ra"), col("dec"), lit(radius.clamp(0.01, 90.0)), lit(1.0)]),
    })
}

fn compared(answer: Expr, bound: i64, operator: u8) -> Expr {
    match operator {
        0 => lit(bound).eq(cast(answer, DataType::Int64)),
        1 => answer.not_eq(lit(bound)),
        2 => answer.lt(lit(bound)),
        3 => answer.gt(lit(bound)),
        4 => lit(bound as f64).lt_eq(cast(answer, DataType::Float64)),
        5 => answer.gt_eq(lit(bound)),
        6 => answer.in_list(vec![lit(bound)], false),
        _ => answer.between(lit(bound), lit(2_i64)),
    }
}

fn atom() -> impl Strategy<Value = Expr> {
    let comparison = (0..2_i64, 0..8_u8);
    let point_in_shape = (constant_shape(), comparison.clone(), any::<bool>(), any::<bool>()).prop_map(
        |(shape, (bound, operator), intersects, turned)| {
            let answer = match (intersects, turned) {
                (false, _) => call("adql_contains", vec![point_of_row(), shape]),
                (true, false) => call("adql_intersects", vec![point_of_row(), shape]),
                (true, true) => call("adql_intersects", vec![shape, point_of_row()]),
            };
            compared(answer, bound, operator)
        },
    );
    let two_shapes = (constant_shape(), shape_of_row(), comparison.clone(), any::<bool>(), any::<bool>()).prop_map(
        |(shape, of_row, (bound, operator), intersects, turned)| {
            let function = if intersects { "adql_intersects" } else { "adql_contains" };
            let pair = if turned { vec![shape, of_row] } else { vec![of_row, shape] };
            compared(call(function, pair), bound, operator)
        },
    );
    let distance = (place(), radius(), 0..8_u8, any::<bool>(), -0.5..0.5_f64).prop_map(
        |((lon, lat), radius, operator, points, odd)| {
            let there = || call("adql_point", numbers(&[lon, lat]));
            let distance = match (points, operator % 2) {
                (true, 0) => call("adql_distance", vec![point_of_row(), there()]),
                (true, _) => call("adql_distance", vec![there(), point_of_row()]),
                (false, 0) => call("adql_distance", [vec![col("ra"), col("dec")], numbers(&[lon, lat])].concat()),
                (false, _) => call("adql_distance", [numbers(&[lon, lat]), vec![col("ra"), col("dec")]].concat()),
            };
            let limit = lit(if odd > 0.4 { -radius } else { radius });
            match operator {
                0 => distance.lt(limit),
                1 => distance.lt_eq(limit),
                2 => distance.gt(limit),
                3 => limit.lt_eq(distance),
                4 => limit.gt(distance),
                5 => distance.lt(col("err")),
                6 => distance.between(lit(0.5), limit),
                _ => distance.not_between(limit, lit(100.0)),
            }
        },
    );
    let cells = (place(), 0..13_u8, 0..12_u8, 1..4_i64).prop_map(|((lon, lat), order, kind, more)| {
        let cell = Pixel::of(Position::from_deg(lon, lat).unwrap(), Order::new(order).unwrap()).index() as i64;
        let index = || call("ivo_healpix_index", vec![lit(i64::from(order)), col("ra"), col("dec")]);
        let shift = 2 * (29 - i64::from(order));
        match kind {
            0 => index().eq(lit(cell)),
            1 => index().not_eq(lit(cell)),
            2 => index().between(lit(cell), lit(cell + more)),
            3 => index().not_between(lit(cell - more), lit(cell)),
            4 => call("ivo_healpix_index", vec![lit(i64::from(order)), point_of_row()]).lt(lit(cell)),
            5 => index().in_list(vec![lit(cell), lit(cell + 5), lit(-1_i64)], more > 2),
            6 => col("cell").gt_eq(lit(cell << shift)).and(col("cell").lt(lit((cell + more) << shift))),
            7 => (col("cell") / lit(1_i64 << shift)).eq(lit(cell)),
            8 => (col("cell") / lit(1_i64 << shift)).lt_eq(lit(cell)),
            9 => col("id").gt_eq(lit(cell << (shift + 1))),
            10 => (col("id") / lit(1_i64 << (shift + 1))).in_list(vec![lit(cell), lit(cell + more)], more > 2),
            _ => col("id").between(lit(cell << (shift + 1)), lit((cell + more) << (shift + 1))),
        }
    });
    let other = (0.0..10.0_f64).prop_map(|limit| col("mag").lt(lit(limit)));
    let limited = prop::sample::select(RADII.to_vec()).prop_map(|limit| col("err").lt(lit(limit)));
    prop_oneof![4 => point_in_shape, 3 => two_shapes, 4 => distance, 3 => cells, 1 => other, 1 => limited]
}
