//! The join against brute force: every pair of rows is asked the very function, and the join type is done by hand.

use std::{cmp::Ordering, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, AsArray, Float64Array, Int64Array, RecordBatch},
        datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
    },
    catalog::memory::MemorySourceConfig,
    common::{JoinSide, JoinType, ScalarValue},
    execution::{TaskContext, runtime_env::RuntimeEnvBuilder},
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, Literal},
    },
    physical_plan::{
        ExecutionPlan, collect_partitioned,
        joins::utils::{ColumnIndex, JoinFilter},
    },
    prelude::SessionConfig,
};
use proptest::prelude::*;
use sky::{Deg, Position, healpix::cell29};

use super::SkyJoinExec;
use crate::{
    functions,
    joins::condition::{Nearest, Side, SkyCondition, Test},
};

const ARCSEC: f64 = 1.0 / 3600.0;
pub(super) const JOINS: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];

/// A row: longitude, latitude, a radius of its own, a number that filters compare, and an identifier.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    lon: Option<f64>,
    lat: Option<f64>,
    radius: Option<f64>,
    size: i64,
    id: i64,
}

impl Row {
    fn position(&self) -> Option<Position> {
        Position::from_deg(self.lon?, self.lat?).ok()
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    join: JoinType,
    build: Side,
    test: Test,
    center: Side,
    radius: Option<f64>,
    radius_of: Option<Side>,
    nearest: Option<Nearest>,
    filtered: bool,
    partitions: [usize; 2],
    batch: usize,
}

type Answer = (Option<i64>, Option<i64>, Option<bool>);

/// Rows that are equally near are taken in the order of their columns, of those that are needed.
fn by_columns(one: &Row, other: &Row, question: &Question, side: Side) -> Ordering {
    use JoinType::{LeftAnti, LeftMark, LeftSemi, RightAnti, RightMark, RightSemi};
    let unneeded = matches!(
        (question.join, side),
        (LeftAnti | LeftMark | LeftSemi, Side::Right) | (RightAnti | RightMark | RightSemi, Side::Left)
    );
    if unneeded {
        return if question.filtered { one.size.cmp(&other.size) } else { Ordering::Equal };
    }
    let number = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => one.is_some().cmp(&other.is_some()),
    };
    number(one.lon, other.lon)
        .then(number(one.lat, other.lat))
        .then(one.size.cmp(&other.size))
        .then(number(one.radius, other.radius))
        .then(one.id.cmp(&other.id))
}

fn pairs(left: &[Row], right: &[Row], question: &Question) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (l, one) in left.iter().enumerate() {
        for (r, other) in right.iter().enumerate() {
            let (Some(a), Some(b)) = (one.position(), other.position()) else { continue };
            let radius = match question.radius_of {
                None => question.radius,
                Some(Side::Left) => one.radius,
                Some(Side::Right) => other.radius,
            };
            let Some(radius) = radius else { continue };
            let (around, there) = if question.center == Side::Left { (a, b) } else { (b, a) };
            let holds = match question.test {
                Test::InCircle => functions::in_circle(there, around, radius),
                Test::Within => functions::within(there, around, radius),
                Test::Closer => functions::closer(there, around, radius),
            };
            if holds {
                pairs.push((l, r));
            }
        }
    }
    if let Some(nearest) = question.nearest {
        let order = |one: &(usize, usize), other: &(usize, usize), by: &[Row], of: &[Row], turn: bool| -> Ordering {
            let split = |pair: &(usize, usize)| if turn { (pair.1, pair.0) } else { *pair };
            let ((a, b), (c, d)) = (split(one), split(other));
            assert_eq!(a, c);
            let at = |row: &Row| row.position().unwrap();
            let distance = |b: usize| Deg::from(at(&by[a]).distance(at(&of[b]))).0;
            distance(b).total_cmp(&distance(d)).then(cell29(at(&of[b])).cmp(&cell29(at(&of[d])))).then(by_columns(
                &of[b],
                &of[d],
                question,
                if turn { Side::Left } else { Side::Right },
            ))
        };
        let best = |turn: bool, k: usize| -> Vec<(usize, usize)> {
            let (by, of) = if turn { (right, left) } else { (left, right) };
            let mut best = Vec::new();
            for row in 0..by.len() {
                let mut own: Vec<_> =
                    pairs.iter().filter(|pair| if turn { pair.1 == row } else { pair.0 == row }).copied().collect();
                own.sort_by(|one, other| order(one, other, by, of, turn));
                best.extend(own.into_iter().take(k));
            }
            best
        };
        let chosen = best(false, nearest.k);
        let back = best(true, 1);
        pairs = chosen.into_iter().filter(|pair| !nearest.mutual || back.contains(pair)).collect();
    }
    if question.filtered {
        pairs.retain(|(l, r)| left[*l].size <= right[*r].size);
    }
    pairs
}

/// The answer by brute force.
pub(super) fn expected(left: &[Row], right: &[Row], question: &Question) -> Vec<Answer> {
    let pairs = pairs(left, right, question);
    let lefts = |paired: bool| -> Vec<i64> {
        let has = |row: usize| pairs.iter().any(|(l, _)| *l == row);
        left.iter().enumerate().filter(|(row, _)| has(*row) == paired).map(|(_, row)| row.id).collect()
    };
    let rights = |paired: bool| -> Vec<i64> {
        let has = |row: usize| pairs.iter().any(|(_, r)| *r == row);
        right.iter().enumerate().filter(|(row, _)| has(*row) == paired).map(|(_, row)| row.id).collect()
    };
    let both = || pairs.iter().map(|(l, r)| (Some(left[*l].id), Some(right[*r].id), None));
    let of_left = |ids: Vec<i64>, mark: Option<bool>| ids.into_iter().map(move |id| (Some(id), None, mark));
    let of_right = |ids: Vec<i64>, mark: Option<bool>| ids.into_iter().map(move |id| (None, Some(id), mark));
    let mut rows: Vec<Answer> = match question.join {
        JoinType::Inner => both().collect(),
        JoinType::Left => both().chain(of_left(lefts(false), None)).collect(),
        JoinType::Right => both().chain(of_right(rights(false), None)).collect(),
        JoinType::Full => both().chain(of_left(lefts(false), None)).chain(of_right(rights(false), None)).collect(),
        JoinType::LeftSemi => of_left(lefts(true), None).collect(),
        JoinType::LeftAnti => of_left(lefts(false), None).collect(),
        JoinType::LeftMark => of_left(lefts(true), Some(true)).chain(of_left(lefts(false), Some(false))).collect(),
        JoinType::RightSemi => of_right(rights(true), None).collect(),
        JoinType::RightAnti => of_right(rights(false), None).collect(),
        JoinType::RightMark => of_right(rights(true), Some(true)).chain(of_right(rights(false), Some(false))).collect(),
    };
    rows.sort_unstable();
    rows
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("lon", DataType::Float64),
        field("lat", DataType::Float64),
        field("size", DataType::Int64),
        field("radius", DataType::Float64),
        field("id", DataType::Int64),
    ]))
}

/// The rows in so many partitions, each in batches of a few.
pub(super) fn table(rows: &[Row], partitions: usize, batch: usize) -> Arc<dyn ExecutionPlan> {
    let schema = schema();
    let size = rows.len().div_ceil(partitions).max(1);
    let batches = |rows: &[Row]| -> Vec<RecordBatch> {
        rows.chunks(batch.max(1))
            .map(|rows| {
                let lon: Float64Array = rows.iter().map(|row| row.lon).collect();
                let lat: Float64Array = rows.iter().map(|row| row.lat).collect();
                let size: Int64Array = rows.iter().map(|row| Some(row.size)).collect();
                let radius: Float64Array = rows.iter().map(|row| row.radius).collect();
                let id: Int64Array = rows.iter().map(|row| Some(row.id)).collect();
                let columns: Vec<Arc<dyn Array>> =
                    vec![Arc::new(lon), Arc::new(lat), Arc::new(size), Arc::new(radius), Arc::new(id)];
                RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
            })
            .collect()
    };
    let mut parts: Vec<Vec<RecordBatch>> = rows.chunks(size).map(batches).collect();
    parts.resize(partitions, Vec::new());
    MemorySourceConfig::try_new_exec(&parts, Arc::clone(&schema), None).unwrap()
}

fn column(place: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(schema().field(place).name(), place))
}

/// The join that is asked for.
pub(super) fn join(left: &[Row], right: &[Row], question: &Question) -> SkyJoinExec {
    let radius: Arc<dyn PhysicalExpr> = match question.radius_of {
        Some(_) => column(3),
        None => Arc::new(Literal::new(ScalarValue::Float64(question.radius))),
    };
    let condition = SkyCondition {
        left: [column(0), column(1)],
        right: [column(0), column(1)],
        radius,
        radius_of: question.radius_of,
        test: question.test,
        center: question.center,
        nearest: question.nearest,
        cells: [None, None],
    };
    let filter = question.filtered.then(|| {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let schema = Schema::new(vec![field("l"), field("r")]);
        let compared = BinaryExpr::new(Arc::new(Column::new("l", 0)), Operator::LtEq, Arc::new(Column::new("r", 1)));
        let sides = [JoinSide::Left, JoinSide::Right].map(|side| ColumnIndex { index: 2, side }).to_vec();
        JoinFilter::new(Arc::new(compared), sides, Arc::new(schema))
    });
    let (left, right) =
        (table(left, question.partitions[0], question.batch), table(right, question.partitions[1], question.batch + 2));
    SkyJoinExec::try_new(left, right, condition, filter, question.join, question.build, None).unwrap()
}

fn context(batch: usize, memory: Option<usize>) -> Arc<TaskContext> {
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(memory) = memory {
        runtime = runtime.with_memory_limit(memory, 1.0);
    }
    let session = SessionConfig::new().with_batch_size(batch);
    Arc::new(TaskContext::default().with_session_config(session).with_runtime(runtime.build_arc().unwrap()))
}

fn answers(batches: &[RecordBatch], join: JoinType) -> Vec<Answer> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.num_columns();
        let id = |place: usize, row: usize| -> Option<i64> {
            let ids = batch.column(place).as_primitive::<Int64Type>();
            ids.is_valid(row).then(|| ids.value(row))
        };
        for row in 0..batch.num_rows() {
            rows.push(match (columns, join) {
                (10, _) => {
                    // What is NULL in one column of a side is so in all of those that never are in the table.
                    assert_eq!(batch.column(2).is_valid(row), batch.column(4).is_valid(row));
                    (id(4, row), id(9, row), None)
                }
                (5, JoinType::LeftSemi | JoinType::LeftAnti) => (id(4, row), None, None),
                (5, _) => (None, id(4, row), None),
                (6, JoinType::LeftMark) => (id(4, row), None, Some(batch.column(5).as_boolean().value(row))),
                (6, _) => (None, id(4, row), Some(batch.column(5).as_boolean().value(row))),
                _ => unreachable!(),
            });
        }
    }
    rows.sort_unstable();
    rows
}

/// The answer of the join, and the join that gave it.
pub(super) fn answered(
    left: &[Row],
    right: &[Row],
    question: &Question,
    memory: Option<usize>,
) -> (Vec<Answer>, Arc<SkyJoinExec>) {
    let join = Arc::new(join(left, right, question));
    let context = context(question.batch.max(3), memory);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let plan: Arc<dyn ExecutionPlan> = Arc::<SkyJoinExec>::clone(&join);
    let batches = runtime.block_on(collect_partitioned(plan, context)).unwrap();
    let batches: Vec<RecordBatch> = batches.into_iter().flatten().collect();
    assert!(batches.iter().all(|batch| batch.num_rows() > 0), "no batch is empty");
    (answers(&batches, question.join), join)
}

/// Anywhere, near each other, at the poles, around the meridian where longitudes begin, at one place, nowhere.
fn place() -> impl Strategy<Value = (Option<f64>, Option<f64>)> {
    let near = |lon: f64, lat: f64, off: f64| {
        (-off..off, -off..off).prop_map(move |(x, y)| (Some(lon + x), Some((lat + y).clamp(-90.0, 90.0))))
    };
    prop_oneof![
        4 => (0.0..360.0, -1.0..1.0_f64).prop_map(|(lon, z)| (Some(lon), Some(z.asin().to_degrees()))),
        4 => near(83.8, -5.4, 2.0 * ARCSEC),
        2 => near(83.8, -5.4, 0.2),
        2 => near(0.0, 12.0, ARCSEC),
        2 => (0.0..360.0, 0.0..2e-4_f64).prop_map(|(lon, off)| (Some(lon), Some(90.0 - off))),
        2 => (0.0..360.0, 0.0..2e-4_f64).prop_map(|(lon, off)| (Some(lon), Some(-90.0 + off))),
        3 => prop::sample::select(vec![(10.0, 20.0), (370.0, 20.0), (190.0, -20.0), (45.0, 90.0), (300.0, 90.0)])
            .prop_map(|(lon, lat)| (Some(lon), Some(lat))),
        1 => prop::sample::select(vec![
            (None, Some(1.0)), (Some(1.0), None), (Some(f64::NAN), Some(1.0)), (Some(1.0), Some(90.1)), (None, None),
        ]),
    ]
}

fn radius() -> impl Strategy<Value = Option<f64>> {
    prop::sample::select(vec![
        Some(0.0),
        Some(1e-9),
        Some(ARCSEC),
        Some(ARCSEC),
        Some(3.0 * ARCSEC),
        Some(0.1),
        Some(5.0),
        Some(60.0),
        Some(90.0),
        Some(179.9),
        Some(180.0),
        Some(200.0),
        Some(-1.0),
        Some(f64::NAN),
        None,
    ])
}

pub(super) fn sky(most: usize) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((place(), radius(), 0..4_i64), 0..most).prop_map(|rows| {
        rows.into_iter().zip(0..).map(|(((lon, lat), radius, size), id)| Row { lon, lat, radius, size, id }).collect()
    })
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Left, Side::Right])
}

fn nearest() -> impl Strategy<Value = Option<Nearest>> {
    prop_oneof![
        2 => Just(None),
        2 => (1..4_usize).prop_map(|k| Some(Nearest { k, mutual: false })),
        1 => Just(Some(Nearest { k: 1, mutual: true })),
    ]
}

pub(super) fn question() -> impl Strategy<Value = Question> {
    let kind = (prop::sample::select(JOINS.to_vec()), side(), side(), nearest(), any::<bool>());
    let test = prop::sample::select(vec![Test::InCircle, Test::Within, Test::Closer]);
    let radius = (radius(), prop::option::weighted(0.3, side()));
    let division = (1..4_usize, 1..4_usize, 1..40_usize);
    (kind, test, radius, division).prop_map(
        |((join, build, center, nearest, filtered), test, (radius, radius_of), (left, right, batch))| Question {
            join,
            build,
            test,
            center,
            radius,
            radius_of,
            nearest,
            filtered,
            partitions: [left, right],
            batch,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_join_gives_what_brute_force_gives(left in sky(60), right in sky(60), question in question()) {
        let (answer, _) = answered(&left, &right, &question, None);
        prop_assert_eq!(answer, expected(&left, &right, &question));
    }

    #[test]
    fn a_join_of_a_table_with_itself_finds_every_row_and_ties_are_broken_alike(
        sky in sky(50), question in question(), build in side(), partitions in 1..4_usize,
    ) {
        let other = Question { build, partitions: [partitions, 1], batch: 7, ..question.clone() };
        let (answer, _) = answered(&sky, &sky, &question, None);
        prop_assert_eq!(&answer, &expected(&sky, &sky, &question));
        prop_assert_eq!(answer, answered(&sky, &sky, &other, None).0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn what_does_not_fit_in_memory_is_joined_from_disk_to_the_same_answer(
        left in sky(80), right in sky(80), question in question(), memory in 0..8_000_usize,
    ) {
        // Each other's nearest are looked for in memory alone.
        let nearest = question.nearest.map(|nearest| Nearest { mutual: false, ..nearest });
        let question = Question { nearest, ..question };
        let (answer, _) = answered(&left, &right, &question, Some(memory));
        prop_assert_eq!(answer, expected(&left, &right, &question));
    }
}

fn grid(off: f64) -> Vec<Row> {
    (0..2_000_i64).map(|id| row((id % 50) as f64 * 0.1 + off, (id / 50) as f64 * 0.1, id)).collect()
}

#[test]
fn a_small_memory_is_kept_to_by_joining_one_part_of_the_sky_after_the_other() {
    let (left, right) = (grid(0.0), grid(0.5 * ARCSEC));
    for join in JOINS {
        for nearest in [None, Some(Nearest { k: 1, mutual: false })] {
            for build in [Side::Left, Side::Right] {
                let question = Question { batch: 100, nearest, ..plain(join, build, ARCSEC) };
                let (answer, join) = answered(&left, &right, &question, Some(60_000));
                assert_eq!(answer, expected(&left, &right, &question));
                let metrics = join.metrics().unwrap();
                assert!(metrics.spill_count().unwrap() > 5, "both sides whole, and parts of both");
                // With one part, or one in which all rows are, each would be held against all.
                assert!(metrics.sum_by_name("candidates").unwrap().as_usize() < 60_000);
            }
        }
    }
}

fn row(lon: f64, lat: f64, id: i64) -> Row {
    Row { lon: Some(lon), lat: Some(lat), radius: None, size: 0, id }
}

fn plain(join: JoinType, build: Side, radius: f64) -> Question {
    Question {
        join,
        build,
        test: Test::Within,
        center: Side::Right,
        radius: Some(radius),
        radius_of: None,
        nearest: None,
        filtered: false,
        partitions: [1, 1],
        batch: 8,
    }
}

#[test]
fn an_empty_side_leaves_the_other_without_pairs() {
    let some = [row(1.0, 2.0, 0), row(3.0, 4.0, 1)];
    for join in JOINS {
        for build in [Side::Left, Side::Right] {
            let question = plain(join, build, 180.0);
            for (left, right) in [(&some[..], &[][..]), (&[], &some), (&[], &[])] {
                assert_eq!(
                    answered(left, right, &question, None).0,
                    expected(left, right, &question),
                    "{join} {build:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_counted_tells_how_few_rows_were_held_against_each_other() {
    let (left, right) = (grid(0.0), grid(0.5 * ARCSEC));
    let question = Question { batch: 100, ..plain(JoinType::Inner, Side::Right, ARCSEC) };
    let (answer, join) = answered(&left, &right, &question, None);
    assert_eq!(answer.len(), 2_000);
    let metrics = join.metrics().unwrap();
    let counted = |name: &str| metrics.sum_by_name(name).unwrap().as_usize();
    assert_eq!((counted("build_rows"), counted("probe_rows"), counted("pairs")), (2_000, 2_000, 2_000));
    // A row that is looked up counts, and each that it is held against.
    assert!(counted("candidates") < 40_000, "{}", counted("candidates"));
    assert_eq!(metrics.output_rows(), Some(2_000));
}

#[test]
fn only_columns_that_are_asked_for_are_given_out() {
    let sky = [row(1.0, 2.0, 7), row(1.0, 2.0, 8)];
    let question = plain(JoinType::Inner, Side::Left, ARCSEC);
    let whole = join(&sky, &sky, &question);
    let [left, right] = whole.inputs.clone();
    for (projection, columns) in [(vec![9, 4], 2), (vec![], 0)] {
        let condition = whole.condition.clone();
        let join = SkyJoinExec::try_new(
            Arc::clone(&left),
            Arc::clone(&right),
            condition,
            None,
            JoinType::Inner,
            Side::Left,
            Some(projection),
        );
        let join = Arc::new(join.unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let batches = runtime.block_on(collect_partitioned(join, context(100, None))).unwrap().concat();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
        assert!(batches.iter().all(|batch| batch.num_columns() == columns));
        if columns == 2 {
            let rights = batches[0].column(0).as_primitive::<Int64Type>().values().to_vec();
            assert!(rights.contains(&7) && rights.contains(&8));
        }
    }
}
