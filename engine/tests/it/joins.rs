//! Joins over the sky, from the text of a query to its rows, against pairs that are found here one by one.
//!
//! The separation of a pair is computed here by the haversine formula, which the engine does not use; no two rows are so
//! near to a radius that the last digit would matter.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Int64Type},
};
use catalogs::{
    CatalogStore, StoreOptions, TableName,
    import::{self, ImportPlan, PositionPlan},
};
use engine::{Engine, EngineOptions, Language, QueryLimits, TableSet};
use formats::Batches;
use futures::StreamExt;
use tokio::sync::OnceCell;

/// One row: its number, where it is, a radius and a magnitude of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) ra: Option<f64>,
    pub(crate) dec: Option<f64>,
    pub(crate) err: Option<f64>,
    pub(crate) mag: f64,
}

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const CROWDS: [(f64, f64); 7] =
    [(0.0, 0.0), (359.99, 41.8), (45.0, 90.0), (123.4, -90.0), (180.0, -30.0), (10.0, 20.0), (266.4, -29.0)];

/// Rows in crowds around the same places, poles and RA 0 among them; some far from all others.
fn rows(seed: u64, count: i64, missing: bool) -> Vec<Row> {
    let mut draw = Draw(seed);
    let mut rows = Vec::new();
    for number in 0..count {
        let (lon, lat) = CROWDS[(number % 7) as usize];
        let (ra, dec) = match number % 11 {
            0 => (draw.unit() * 360.0, (draw.unit() * 2.0 - 1.0).asin().to_degrees()),
            _ => {
                // Over a pole, and down on the other side of it.
                let dec: f64 = lat + (draw.unit() - 0.5) * 0.4;
                let dec = if dec.abs() > 90.0 { dec.signum() * 180.0 - dec } else { dec };
                let wide = if lat.abs() == 90.0 { 360.0 } else { 0.4 };
                ((lon + (draw.unit() - 0.5) * wide + 360.0) % 360.0, dec)
            }
        };
        let err = [Some(0.02), Some(0.0), None, Some(0.07), Some(0.3), Some(-1.0)][(number % 6) as usize];
        let gone = |value: f64, of: i64| (!(missing && number % 13 == of)).then_some(value);
        let mag = 8.0 + (draw.unit() * 80.0).floor() / 10.0;
        rows.push(Row { id: seed as i64 * 10_000 + number, ra: gone(ra, 3), dec: gone(dec, 7), err, mag });
    }
    rows
}

/// The rows as a table with many columns that nobody asks for.
fn table(rows: &[Row]) -> RecordBatch {
    let floats = |of: fn(&Row) -> Option<f64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Float64Array>()) };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".into(), Arc::new(rows.iter().map(|row| row.id).collect::<Int64Array>())),
        ("ra".into(), floats(|row| row.ra)),
        ("dec".into(), floats(|row| row.dec)),
        ("err".into(), floats(|row| row.err)),
        ("mag".into(), floats(|row| Some(row.mag))),
    ];
    columns.extend((0..140).map(|number| (format!("unasked_{number}"), floats(|row| Some(row.mag * 0.5)))));
    RecordBatch::try_from_iter(columns).unwrap()
}

pub(crate) struct House {
    _folder: tempfile::TempDir,
    pub(crate) engine: Engine,
    pub(crate) tables: TableSet,
    pub(crate) a: Vec<Row>,
    pub(crate) b: Vec<Row>,
    /// A table without a declared position, of which some rows have none.
    pub(crate) u: Vec<Row>,
}

pub(crate) async fn house() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let url = folder.path().display().to_string();
            let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
            let (a, b, u) = (rows(1, 330, false), rows(2, 470, false), rows(3, 150, true));
            let mut tables = Vec::new();
            for (name, rows) in [("a", &a), ("b", &b), ("u", &u)] {
                let batch = table(rows);
                let given = Batches::new(name, batch.schema(), vec![batch]);
                let full: TableName = format!("j.{name}").parse().unwrap();
                let spill = folder.path().join("spill");
                let mut plan = ImportPlan { max_rows: 60, spill, ..ImportPlan::new(full.clone(), Default::default()) };
                if name == "u" {
                    plan.position = PositionPlan::None;
                }
                let (snapshot, _) =
                    import::run(&store, name, vec![Box::new(given)], plan, Arc::new(|_| ())).await.unwrap();
                tables.push((full, Arc::new(snapshot)));
            }
            let engine =
                Engine::new(EngineOptions { memory: 256 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
            House { _folder: folder, engine, tables: TableSet::new(tables).unwrap(), a, b, u }
        })
        .await
}

/// The answer, the plan as the engine has it, and its explanation.
pub(crate) struct Asked {
    pub(crate) rows: RecordBatch,
    pub(crate) plan: String,
    /// Rows that its scans gave.
    pub(crate) read: u64,
}

pub(crate) async fn ask(text: &str) -> Asked {
    let house = house().await;
    let query = house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await;
    let query = query.unwrap_or_else(|error| panic!("{text}: {error}"));
    let (schema, plan) = (query.schema(), query.plan_text());
    let mut rows = query.run().unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch.unwrap_or_else(|error| panic!("{text}: {error}\n{plan}")));
    }
    Asked { rows: concat_batches(&schema, &batches).unwrap(), plan, read: rows.progress().rows }
}

async fn explained(text: &str) -> String {
    let rows = ask(&format!("EXPLAIN {text}")).await.rows;
    rows.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join("\n")
}

pub(crate) type Pair = (Option<i64>, Option<i64>);

/// The rows of an answer of one or two whole numbers, sorted.
pub(crate) fn pairs_of(rows: &RecordBatch) -> Vec<Pair> {
    let column = |number: usize| rows.column(number).as_primitive::<Int64Type>();
    let value = |number: usize, row: usize| {
        (number < rows.num_columns() && column(number).is_valid(row)).then(|| column(number).value(row))
    };
    let mut pairs: Vec<Pair> = (0..rows.num_rows()).map(|row| (value(0, row), value(1, row))).collect();
    pairs.sort_unstable();
    pairs
}

/// The separation of two rows in degrees; none where one has no position.
pub(crate) fn separation(one: &Row, other: &Row) -> Option<f64> {
    let (ra, dec, ra2, dec2) = (one.ra?, one.dec?, other.ra?, other.dec?);
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let chord = half(dec2 - dec) + dec.to_radians().cos() * dec2.to_radians().cos() * half(ra2 - ra);
    Some(2.0 * chord.sqrt().min(1.0).asin().to_degrees())
}

/// The pairs that are near enough.
fn near(left: &[Row], right: &[Row], holds: impl Fn(&Row, &Row, f64) -> bool) -> Vec<(i64, i64)> {
    let mut pairs = Vec::new();
    for one in left {
        for other in right {
            if separation(one, other).is_some_and(|far| holds(one, other, far)) {
                pairs.push((one.id, other.id));
            }
        }
    }
    pairs
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Inner,
    Left,
    Right,
    Full,
}

/// What a join of such a kind gives of these pairs.
pub(crate) fn joined(kind: Kind, left: &[Row], right: &[Row], pairs: &[(i64, i64)]) -> Vec<Pair> {
    let mut rows: Vec<Pair> = pairs.iter().map(|(one, other)| (Some(*one), Some(*other))).collect();
    if matches!(kind, Kind::Left | Kind::Full) {
        let alone = left.iter().filter(|row| pairs.iter().all(|pair| pair.0 != row.id));
        rows.extend(alone.map(|row| (Some(row.id), None)));
    }
    if matches!(kind, Kind::Right | Kind::Full) {
        let alone = right.iter().filter(|row| pairs.iter().all(|pair| pair.1 != row.id));
        rows.extend(alone.map(|row| (None, Some(row.id))));
    }
    rows.sort_unstable();
    rows
}

pub(crate) fn only(pairs: &[(i64, i64)]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = pairs.iter().map(|(one, other)| (Some(*one), Some(*other))).collect();
    pairs.sort_unstable();
    pairs
}

pub(crate) fn is_joined_by_position(asked: &Asked) -> bool {
    asked.plan.contains("SkyJoinExec") && !asked.plan.contains("NestedLoopJoin") && !asked.plan.contains("CrossJoin")
}

const RADIUS: f64 = 0.05;

#[tokio::test]
async fn every_way_to_write_a_distance_below_a_radius_joins_by_position() {
    let house = house().await;
    let expected = only(&near(&house.a, &house.b, |_, _, far| far <= RADIUS));
    assert!(expected.len() > 300, "{} pairs", expected.len());
    for condition in [
        "DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05",
        "DISTANCE(b.ra, b.dec, a.ra, a.dec) <= 0.05",
        "0.05 > DISTANCE(a.ra, a.dec, b.ra, b.dec)",
        "DISTANCE(POINT(a.ra, a.dec), POINT(b.ra, b.dec)) <= 0.05",
        "DISTANCE(POINT('ICRS', b.ra, b.dec), POINT('ICRS', a.ra, a.dec)) < 180. / 3600",
        "NOT DISTANCE(a.ra, a.dec, b.ra, b.dec) > 0.05",
        "DISTANCE(a.ra, a.dec, b.ra, b.dec) BETWEEN 0 AND 0.05",
        "1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 0.05))",
        "CONTAINS(POINT(b.ra, b.dec), CIRCLE(a.ra, a.dec, 0.05)) = 1",
        "1 = CONTAINS(POINT('ICRS', a.ra, a.dec), CIRCLE('ICRS', b.ra, b.dec, 180. / 3600))",
        "1 = CONTAINS(POINT(b.ra, b.dec), CIRCLE(POINT(a.ra, a.dec), 0.05))",
        "INTERSECTS(CIRCLE(b.ra, b.dec, 0.05), POINT(a.ra, a.dec)) = 1",
        "0 <> CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 0.05))",
    ] {
        for text in [
            format!("SELECT a.id, b.id FROM j.a AS a JOIN j.b AS b ON {condition}"),
            format!("SELECT a.id, b.id FROM j.b AS b INNER JOIN j.a AS a ON {condition}"),
            format!("SELECT a.id, b.id FROM j.a AS a, j.b AS b WHERE {condition}"),
            format!("SELECT a.id, b.id FROM j.a AS a CROSS JOIN j.b AS b WHERE {condition}"),
        ] {
            let asked = ask(&text).await;
            assert!(is_joined_by_position(&asked), "{text}\n{}", asked.plan);
            assert!(pairs_of(&asked.rows) == expected, "{text}");
        }
    }
}

#[tokio::test]
async fn a_radius_may_come_from_either_side() {
    let house = house().await;
    let inside = |radius: Option<f64>, far: f64| radius.is_some_and(|radius| radius >= 0.0 && far <= radius);
    for (condition, holds) in [
        (
            "DISTANCE(a.ra, a.dec, b.ra, b.dec) <= b.err",
            Box::new(move |_: &Row, b: &Row, far| inside(b.err, far)) as Box<dyn Fn(&Row, &Row, f64) -> bool>,
        ),
        ("DISTANCE(a.ra, a.dec, b.ra, b.dec) <= a.err", Box::new(move |a, _, far| inside(a.err, far))),
        ("1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, b.err))", Box::new(move |_, b, far| inside(b.err, far))),
        ("1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, a.err))", Box::new(move |a, _, far| inside(a.err, far))),
        (
            "DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.5 * b.err + 0.01",
            Box::new(move |_, b, far| inside(b.err.map(|err| 0.5 * err + 0.01), far)),
        ),
    ] {
        let expected = near(&house.a, &house.b, |a, b, far| holds(a, b, far));
        assert!(expected.len() > 100, "{condition}: {} pairs", expected.len());
        for (kind, join) in KINDS {
            let text = format!("SELECT a.id, b.id FROM j.a AS a {join} JOIN j.b AS b ON {condition}");
            let asked = ask(&text).await;
            assert!(is_joined_by_position(&asked), "{text}\n{}", asked.plan);
            assert!(pairs_of(&asked.rows) == joined(kind, &house.a, &house.b, &expected), "{text}");
        }
    }
}

pub(crate) const KINDS: [(Kind, &str); 4] =
    [(Kind::Inner, "INNER"), (Kind::Left, "LEFT OUTER"), (Kind::Right, "RIGHT OUTER"), (Kind::Full, "FULL OUTER")];

#[tokio::test]
async fn every_type_of_join_with_conditions_beside_it_gives_what_trying_all_pairs_gives() {
    let house = house().await;
    type Holds = fn(&Row, &Row) -> bool;
    let others: [(&str, Holds); 5] = [
        ("", |_, _| true),
        (" AND b.mag < 12", |_, b| b.mag < 12.0),
        (" AND a.mag < b.mag", |a, b| a.mag < b.mag),
        (" AND MOD(a.id, 3) = MOD(b.id, 3)", |a, b| a.id % 3 == b.id % 3),
        (" AND a.mag > 10 AND (b.mag < 9 OR b.err > 0)", |a, b| {
            a.mag > 10.0 && (b.mag < 9.0 || b.err.is_some_and(|err| err > 0.0))
        }),
    ];
    for (other, holds) in others {
        for (right_name, right) in [("b", &house.b), ("u", &house.u)] {
            let pairs = near(&house.a, right, |a, b, far| far < RADIUS && holds(a, b));
            for (kind, join) in KINDS {
                let text = format!(
                    "SELECT a.id, b.id FROM j.a AS a {join} JOIN j.{right_name} AS b \
                     ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05{other}"
                );
                let asked = ask(&text).await;
                assert!(is_joined_by_position(&asked), "{text}\n{}", asked.plan);
                assert!(pairs_of(&asked.rows) == joined(kind, &house.a, right, &pairs), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn rows_with_and_without_a_partner_are_found_by_exists_and_in() {
    let house = house().await;
    let pairs = near(&house.a, &house.u, |_, _, far| far < RADIUS);
    let bright = |id: &i64| house.u.iter().any(|row| row.id == *id && row.mag < 12.0);
    let partners = |id: i64| pairs.iter().filter(move |pair| pair.0 == id).map(|pair| pair.1);
    let near_a = "DISTANCE(POINT(a.ra, a.dec), POINT(u.ra, u.dec)) < 0.05";
    type Holds<'a> = Box<dyn Fn(&Row) -> bool + 'a>;
    let cases: [(String, Holds<'_>); 7] = [
        (format!("EXISTS (SELECT 1 FROM j.u AS u WHERE {near_a})"), Box::new(|a| partners(a.id).next().is_some())),
        (format!("NOT EXISTS (SELECT 1 FROM j.u AS u WHERE {near_a})"), Box::new(|a| partners(a.id).next().is_none())),
        (
            format!("EXISTS (SELECT 1 FROM j.u AS u WHERE {near_a} AND u.mag < 12)"),
            Box::new(|a| partners(a.id).any(|id| bright(&id))),
        ),
        (
            format!("NOT EXISTS (SELECT 1 FROM j.u AS u WHERE u.mag < a.mag AND {near_a})"),
            Box::new(|a| {
                let mag = |id: i64| house.u.iter().find(|row| row.id == id).map_or(99.0, |row| row.mag);
                !partners(a.id).any(|id| mag(id) < a.mag)
            }),
        ),
        (
            format!("a.mag < 9 OR EXISTS (SELECT 1 FROM j.u AS u WHERE {near_a})"),
            Box::new(|a| a.mag < 9.0 || partners(a.id).next().is_some()),
        ),
        (
            format!("a.mag < 9 OR NOT EXISTS (SELECT 1 FROM j.u AS u WHERE {near_a})"),
            Box::new(|a| a.mag < 9.0 || partners(a.id).next().is_none()),
        ),
        (
            "EXISTS (SELECT * FROM j.u AS u WHERE 1 = CONTAINS(POINT(u.ra, u.dec), CIRCLE(a.ra, a.dec, 0.05)))"
                .to_owned(),
            Box::new(|a| partners(a.id).next().is_some()),
        ),
    ];
    for (condition, holds) in cases {
        let text = format!("SELECT a.id FROM j.a AS a WHERE {condition}");
        let mut expected: Vec<Pair> = house.a.iter().filter(|row| holds(row)).map(|row| (Some(row.id), None)).collect();
        expected.sort_unstable();
        assert!(!expected.is_empty() && expected.len() < house.a.len(), "{text}: {}", expected.len());
        let asked = ask(&text).await;
        assert!(is_joined_by_position(&asked), "{text}\n{}", asked.plan);
        assert!(pairs_of(&asked.rows) == expected, "{text}");
    }
    // IN has an equality beside the condition on the sky.
    let text = "SELECT a.id FROM j.a AS a WHERE a.mag IN \
                (SELECT u.mag FROM j.u AS u WHERE DISTANCE(a.ra, a.dec, u.ra, u.dec) < 0.05)";
    let same = near(&house.a, &house.u, |a, u, far| far < RADIUS && a.mag == u.mag);
    let mut expected: Vec<Pair> =
        house.a.iter().filter(|a| same.iter().any(|pair| pair.0 == a.id)).map(|a| (Some(a.id), None)).collect();
    expected.sort_unstable();
    let asked = ask(text).await;
    assert!(is_joined_by_position(&asked) && !expected.is_empty(), "{}", asked.plan);
    assert_eq!(pairs_of(&asked.rows), expected);
}

#[tokio::test]
async fn inputs_may_be_queries_and_unions_and_a_table_may_meet_itself() {
    let house = house().await;
    let (faint, bright) = (|row: &&Row| row.mag >= 12.0, |row: &&Row| row.mag < 12.0);
    let of = |rows: &[Row], keep: &dyn Fn(&&Row) -> bool| rows.iter().filter(keep).copied().collect::<Vec<Row>>();
    let within = |left: &[Row], right: &[Row]| only(&near(left, right, |_, _, far| far < RADIUS));
    let both: Vec<Row> = house.b.iter().chain(&house.u).copied().collect();
    for (text, expected) in [
        (
            "SELECT a.id, b.id FROM (SELECT id, ra, dec FROM j.a WHERE mag >= 12) AS a \
             JOIN (SELECT * FROM j.b WHERE mag < 12) AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05",
            within(&of(&house.a, &faint), &of(&house.b, &bright)),
        ),
        (
            "WITH near AS (SELECT id AS one, ra AS l, dec AS b FROM j.a WHERE mag < 12) SELECT near.one, b.id FROM near \
             JOIN j.b AS b ON DISTANCE(near.l, near.b, b.ra, b.dec) < 0.05",
            within(&of(&house.a, &bright), &house.b),
        ),
        (
            "SELECT a.id, q.id FROM j.a AS a JOIN (SELECT id, ra, dec FROM j.b UNION ALL SELECT id, ra, dec FROM j.u) AS q \
             ON DISTANCE(a.ra, a.dec, q.ra, q.dec) < 0.05",
            within(&house.a, &both),
        ),
        (
            "SELECT one.id, other.id FROM j.a AS one JOIN j.a AS other ON DISTANCE(one.ra, one.dec, other.ra, other.dec) < \
             0.05 AND one.id < other.id",
            only(&near(&house.a, &house.a, |one, other, far| far < RADIUS && one.id < other.id)),
        ),
        (
            "SELECT a.id, q.id FROM j.a AS a JOIN (SELECT MAX(id) AS id, AVG(ra) AS ra, AVG(dec) AS dec FROM j.b GROUP BY \
             MOD(id, 470)) AS q ON DISTANCE(a.ra, a.dec, q.ra, q.dec) < 0.05",
            within(&house.a, &house.b),
        ),
    ] {
        let asked = ask(text).await;
        assert!(is_joined_by_position(&asked), "{text}\n{}", asked.plan);
        assert!(!expected.is_empty() && pairs_of(&asked.rows) == expected, "{text}");
    }
}

#[tokio::test]
async fn three_tables_meet_at_one_place() {
    let house = house().await;
    let ab = near(&house.a, &house.b, |_, _, far| far < RADIUS);
    let bu = near(&house.b, &house.u, |_, _, far| far < 0.1);
    let mut expected: Vec<(i64, i64, i64)> = Vec::new();
    for (a, b) in &ab {
        expected.extend(bu.iter().filter(|pair| pair.0 == *b).map(|(_, u)| (*a, *b, *u)));
    }
    expected.sort_unstable();
    for text in [
        "SELECT a.id, b.id, u.id FROM j.a AS a JOIN j.b AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05 \
         JOIN j.u AS u ON DISTANCE(b.ra, b.dec, u.ra, u.dec) < 0.1",
        "SELECT a.id, b.id, u.id FROM j.a AS a, j.b AS b, j.u AS u \
         WHERE DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05 AND DISTANCE(b.ra, b.dec, u.ra, u.dec) < 0.1",
        "SELECT a.id, b.id, u.id FROM j.u AS u JOIN (j.a AS a JOIN j.b AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05) \
         ON DISTANCE(b.ra, b.dec, u.ra, u.dec) < 0.1",
    ] {
        let asked = ask(text).await;
        assert!(is_joined_by_position(&asked), "{text}\n{}", asked.plan);
        assert_eq!(asked.plan.matches("SkyJoinExec").count(), 2, "{}", asked.plan);
        let column = |number: usize| asked.rows.column(number).as_primitive::<Int64Type>().values().to_vec();
        let (a, b, u) = (column(0), column(1), column(2));
        let mut found: Vec<_> = (0..a.len()).map(|row| (a[row], b[row], u[row])).collect();
        found.sort_unstable();
        assert!(!expected.is_empty() && found == expected, "{text}");
    }
}

#[tokio::test]
async fn the_smaller_of_two_radii_finds_the_pairs_and_the_other_is_tried_on_them() {
    let house = house().await;
    let text = "SELECT a.id, b.id FROM j.a AS a JOIN j.b AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 20 \
                AND DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05 AND DISTANCE(a.ra, a.dec, b.ra, b.dec) > 0.01";
    let expected = only(&near(&house.a, &house.b, |_, _, far| far < RADIUS && far > 0.01));
    let asked = ask(text).await;
    assert!(asked.plan.contains("radius=0.05"), "{}", asked.plan);
    assert!(!expected.is_empty());
    assert_eq!(pairs_of(&asked.rows), expected);
}

#[tokio::test]
async fn equal_values_beside_a_small_radius_are_tried_on_pairs_and_beside_a_wide_one_find_them() {
    let house = house().await;
    for (radius, by_position) in [("0.05", true), ("20", false), ("b.err", false)] {
        let text = format!(
            "SELECT a.id, b.id FROM j.a AS a JOIN j.b AS b ON a.mag = b.mag AND DISTANCE(a.ra, a.dec, b.ra, b.dec) <= {radius}"
        );
        let far_enough = |b: &Row, far: f64| match radius {
            "b.err" => b.err.is_some_and(|err| err >= 0.0 && far <= err),
            number => far <= number.parse().unwrap(),
        };
        let expected = only(&near(&house.a, &house.b, |a, b, far| a.mag == b.mag && far_enough(b, far)));
        let asked = ask(&text).await;
        assert_eq!(asked.plan.contains("SkyJoinExec"), by_position, "{}", asked.plan);
        assert_eq!(asked.plan.contains("HashJoinExec"), !by_position, "{}", asked.plan);
        assert!(!expected.is_empty() && pairs_of(&asked.rows) == expected, "{text}");
        let told = explained(&text).await;
        assert_eq!(told.contains("Joined by position"), by_position, "{told}");
        assert_eq!(
            told.contains("rows with equal values are fewer than those within so wide a radius"),
            !by_position,
            "{told}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_found_by_position_is_found_by_trying_all_pairs_and_explained() {
    let house = house().await;
    type Holds = fn(&Row, &Row, f64) -> bool;
    let cases: [(&str, Holds, &str); 6] = [
        (
            "DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05 OR a.id = b.id - 10000",
            |a, b, far| far < RADIUS || a.id == b.id - 10_000,
            "stands under OR",
        ),
        ("DISTANCE(a.ra, a.dec, b.ra, b.dec) > 170", |_, _, far| far > 170.0, "is negated"),
        (
            "DISTANCE(a.ra, a.dec, b.ra, b.dec) < a.err + b.err",
            |a, b, far| a.err.zip(b.err).is_some_and(|(one, other)| far < one + other),
            "the radius is computed from both sides",
        ),
        (
            "DISTANCE(a.ra, b.dec, b.ra, b.dec) < 0.001",
            |a, b, _| separation(&Row { dec: b.dec, ..*a }, b).is_some_and(|far| far < 0.001),
            "a position is computed from both sides",
        ),
        (
            "2 * DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.1",
            |_, _, far| 2.0 * far < 0.1,
            "the distance is not just compared with a radius",
        ),
        (
            "1 = CONTAINS(POINT(a.ra, a.dec), BOX(b.ra, b.dec, 170, 0.0000001)) AND a.id = b.id - 10000",
            |_, _, _| false,
            "only a position in a circle",
        ),
    ];
    for (condition, holds, why) in cases {
        let text = format!("SELECT a.id, b.id FROM j.a AS a JOIN j.b AS b ON {condition}");
        let asked = ask(&text).await;
        assert!(!asked.plan.contains("SkyJoinExec"), "{}", asked.plan);
        if !condition.contains("BOX") {
            let expected = only(&near(&house.a, &house.b, holds));
            assert!(!expected.is_empty() && pairs_of(&asked.rows) == expected, "{text}");
        }
        let told = explained(&text).await;
        assert!(told.contains("Not by position: ") && told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn an_explanation_says_how_two_tables_are_joined() {
    let with = |condition: &str| format!("SELECT a.id FROM j.a AS a LEFT JOIN j.b AS b ON {condition}");
    for (condition, words) in [
        (
            "DISTANCE(a.ra, a.dec, b.ra, b.dec) <= 1. / 3600",
            "Joined by position: within 1 arcsec, also rows without a partner;",
        ),
        ("DISTANCE(a.ra, a.dec, b.ra, b.dec) < 2.5", "Joined by position: closer than 2.5 degrees, also"),
        (
            "1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, b.err)) AND a.mag < b.mag",
            "Joined by position: within b.err degrees, where b.mag > a.mag, also",
        ),
        (
            "1 = XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.001)",
            "Joined by position: the nearest within 3.6 arcsec,",
        ),
        (
            "1 = XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 1, 5)",
            "Joined by position: the 5 nearest within 1 degrees,",
        ),
        (
            "1 = XMATCH_MUTUAL(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 1)",
            "Joined by position: each other's nearest, within",
        ),
    ] {
        let told = explained(&with(condition)).await;
        assert!(told.contains(words), "{condition}: {told}");
        assert!(told.contains("the side with fewer rows is held in memory"), "{told}");
    }
}

#[tokio::test]
async fn only_the_columns_that_are_needed_are_read_of_wide_tables() {
    for text in [
        "SELECT a.id, b.mag FROM j.a AS a JOIN j.b AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05",
        "SELECT COUNT(*) FROM j.a AS a JOIN j.b AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05 AND a.mag < b.mag",
        "SELECT a.id, b.mag FROM j.a AS a LEFT JOIN j.b AS b ON XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.05)",
        "SELECT a.id FROM j.a AS a, j.b AS b WHERE XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.05) AND b.mag < 12",
        "SELECT a.id FROM j.a AS a WHERE EXISTS (SELECT * FROM j.b AS b WHERE DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05)",
        "SELECT q.id, q.mag FROM (SELECT a.*, b.mag AS other FROM j.a AS a JOIN j.b AS b \
         ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05) AS q WHERE q.other > 10",
    ] {
        let asked = ask(text).await;
        assert!(is_joined_by_position(&asked), "{}", asked.plan);
        assert!(!asked.plan.contains("unasked"), "{text}\n{}", asked.plan);
        assert!(asked.plan.contains("projection=["), "{}", asked.plan);
    }
}

#[tokio::test]
async fn columns_come_in_their_order_and_with_their_types_however_a_join_is_computed() {
    let text = "SELECT * FROM j.a AS a JOIN j.b AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.05";
    let rows = ask(text).await.rows;
    let (a, b) = (ask_schema("SELECT * FROM j.a").await, ask_schema("SELECT * FROM j.b").await);
    let names: Vec<String> = a.iter().chain(&b).map(|(name, _)| name.clone()).collect();
    let found: Vec<(String, DataType)> = of_schema(&rows);
    assert_eq!(found.len(), names.len());
    for (place, (name, kind)) in found.iter().enumerate() {
        let (wanted, of) = if place < a.len() { &a[place] } else { &b[place - a.len()] };
        assert!(name.starts_with(wanted.as_str()), "{name} {wanted}");
        assert_eq!(kind, of);
    }
}

fn of_schema(rows: &RecordBatch) -> Vec<(String, DataType)> {
    rows.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

async fn ask_schema(text: &str) -> Vec<(String, DataType)> {
    of_schema(&ask(text).await.rows)
}

#[tokio::test]
async fn a_few_positions_read_only_what_is_near_them_of_the_other_table() {
    let house = house().await;
    let few: Vec<Row> = house.a.iter().filter(|row| [10_002, 10_009, 10_016].contains(&row.id)).copied().collect();
    let pairs = near(&few, &house.b, |_, _, far| far < RADIUS);
    let join = |kind: &str| {
        format!(
            "SELECT few.id, b.id FROM (SELECT id, ra, dec FROM j.a WHERE id IN (10002, 10009, 10016)) AS few \
             {kind} JOIN j.b AS b ON DISTANCE(few.ra, few.dec, b.ra, b.dec) < 0.05"
        )
    };
    for (kind, name) in [(Kind::Inner, "INNER"), (Kind::Left, "LEFT OUTER"), (Kind::Right, "RIGHT OUTER")] {
        let asked = ask(&join(name)).await;
        assert!(pairs_of(&asked.rows) == joined(kind, &few, &house.b, &pairs), "{name}");
        match kind {
            // All rows of the other table are given.
            Kind::Right => assert!(asked.read >= house.b.len() as u64, "{} rows", asked.read),
            _ => assert!(asked.read < house.b.len() as u64 / 2, "{name}: {} rows\n{}", asked.read, asked.plan),
        }
    }
}
