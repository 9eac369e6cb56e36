//! Conditions on the sky as conditions on plain columns.
//!
//! ```text
//! CAST(adql_contains(adql_point(ra, dec), adql_circle(lon, lat, r)) AS Int64) = 1   →  sky_in_circle(ra, dec, lon, lat, r)
//! adql_contains(adql_point(ra, dec), shape) = 0                                     →  NOT sky_in_shape(ra, dec, shape)
//! adql_intersects(shape, adql_point(ra, dec)) > 0                                   →  sky_in_shape(ra, dec, shape)
//! adql_distance(adql_point(a, b), adql_point(c, d)) <= r                            →  sky_within(a, b, c, d, r)
//! adql_distance(a, b, c, d) BETWEEN r AND s                                         →  NOT sky_closer(…, r) AND sky_within(…, s)
//! adql_distance(p, q) <= r                                                          →  sky_within(adql_coord1(p), adql_coord2(p), …, r)
//! adql_xmatch(p, q, r, k) = 1                                                       →  sky_nearest(adql_coord1(p), …, r, k, false)
//! CAST(shape AS Utf8)                                                               →  adql_to_text(shape)
//! ```
//! Every comparison of the 0 and 1 that says one or the other is understood, in any order, with any numeric cast, in IN and
//! BETWEEN. A condition is true, false or NULL in the same rows before and after, but on the rim of a circle itself: a
//! distance of at most its radius is decided as being in it is, wherever either is asked for. What is always true or never,
//! compares something else, or has no point made of two numbers in a shape, stays as it is.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, AsArray},
        datatypes::{DataType, Float64Type},
    },
    common::{
        DFSchema, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, cast,
        expr::{Between, InList, ScalarFunction},
        expr_rewriter::NamePreserver,
        lit,
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::{
    functions::{
        CIRCLE, CLOSER, CONTAINS, DISTANCE, IN_CIRCLE, IN_SHAPE, INTERSECTS, POINT, WITHIN, XMATCH, XMATCH_MUTUAL,
        nearest_function, scalar_planned, unnamed_function,
    },
    values::{ShapeType, check_system, is_text},
};

#[derive(Debug)]
pub(crate) struct NormalizeSky;

impl AnalyzerRule for NormalizeSky {
    fn name(&self) -> &str {
        "normalize_sky"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(in_node)?.data)
    }
}

fn in_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        let whole = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&whole);
    }
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| Ok(normalized(expr, &schema)))?;
        Ok(expr.update_data(|expr| name.restore(expr)))
    })?;
    if rewritten.transformed { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
}

/// One expression, whose parts have been normalised already.
pub(crate) fn normalized(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let new = match &expr {
        Expr::BinaryExpr(comparison) => compared(comparison, schema),
        Expr::Between(between) => within_bounds(between, schema),
        Expr::InList(list) => listed(list),
        Expr::Cast(cast) => as_text(&cast.expr, cast.field.data_type(), schema),
        Expr::TryCast(cast) => as_text(&cast.expr, cast.field.data_type(), schema),
        _ => None,
    };
    match new {
        Some(new) => Transformed::yes(new),
        None => Transformed::no(expr),
    }
}

/// A shape that is cast to text.
fn as_text(shape: &Expr, to: &DataType, schema: &DFSchema) -> Option<Expr> {
    if !is_text(to) {
        return None;
    }
    ShapeType::of(&shape.get_type(schema).ok()?)?;
    let text = unnamed_function("adql_to_text").call(vec![shape.clone()]);
    Some(if to == &DataType::Utf8 { text } else { cast(text, to.clone()) })
}

fn compared(comparison: &BinaryExpr, schema: &DFSchema) -> Option<Expr> {
    let BinaryExpr { left, op, right } = comparison;
    let (subject, op, bound) = match (relation(left).is_some() || distance(left).is_some(), number(left).is_some()) {
        (true, _) => (left, *op, right),
        _ => (right, op.swap()?, left),
    };
    if let Some(relation) = relation(subject) {
        let bound = number(bound)?;
        return relation.true_where(
            |answer| {
                let order = answer.partial_cmp(&bound);
                order.is_some_and(|order| match op {
                    Operator::Eq => order.is_eq(),
                    Operator::NotEq => order.is_ne(),
                    Operator::Lt => order.is_lt(),
                    Operator::LtEq => order.is_le(),
                    Operator::Gt => order.is_gt(),
                    Operator::GtEq => order.is_ge(),
                    _ => false,
                })
            },
            matches!(
                op,
                Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
            ),
        );
    }
    limited(distance(subject)?, op, bound, schema)
}

/// `distance op bound`.
fn limited(mut ends: Vec<Expr>, op: Operator, bound: &Expr, schema: &DFSchema) -> Option<Expr> {
    if bound.get_type(schema).ok()? != DataType::Float64 {
        return None;
    }
    ends.push(bound.clone());
    let call = |name| unnamed_function(name).call(ends.clone());
    match op {
        Operator::LtEq => Some(call(WITHIN)),
        Operator::Lt => Some(call(CLOSER)),
        Operator::Gt => Some(not(call(WITHIN))),
        Operator::GtEq => Some(not(call(CLOSER))),
        _ => None,
    }
}

fn within_bounds(between: &Between, schema: &DFSchema) -> Option<Expr> {
    let Between { expr, negated, low, high } = between;
    if let Some(relation) = relation(expr) {
        let (low, high) = (number(low)?, number(high)?);
        return relation.true_where(|answer| (low <= answer && answer <= high) != *negated, true);
    }
    let ends = distance(expr)?;
    let above = limited(ends.clone(), Operator::GtEq, low, schema)?;
    let below = limited(ends, Operator::LtEq, high, schema)?;
    let both = above.and(below);
    Some(if *negated { not(both) } else { both })
}

fn listed(list: &InList) -> Option<Expr> {
    let relation = relation(&list.expr)?;
    let numbers = list.list.iter().map(number).collect::<Option<Vec<f64>>>()?;
    relation.true_where(|answer| numbers.contains(&answer) != list.negated, true)
}

/// `NOT`, without a second one over a first.
fn not(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => *inner,
        other => Expr::Not(Box::new(other)),
    }
}

/// What a function answers with 1 where the condition holds, as that a point lies in a shape, and with 0 where it doesn't.
struct Relation {
    condition: Expr,
}

impl Relation {
    /// The condition that holds where the answer does: the relation or its negation.
    fn true_where(self, holds: impl Fn(f64) -> bool, understood: bool) -> Option<Expr> {
        match (holds(1.0), holds(0.0)) {
            _ if !understood => None,
            (true, false) => Some(self.condition),
            (false, true) => Some(not(self.condition)),
            _ => None,
        }
    }

    fn of_shape([lon, lat]: [Expr; 2], shape: &Expr) -> Self {
        let condition = match circle(shape) {
            Some([c1, c2, radius]) => unnamed_function(IN_CIRCLE).call(vec![lon, lat, c1, c2, radius]),
            None => unnamed_function(IN_SHAPE).call(vec![lon, lat, shape.clone()]),
        };
        Self { condition }
    }

    /// That one row is among the nearest to another.
    fn of_nearest(call: &ScalarFunction) -> Option<Self> {
        let [from, to, radius, k @ ..] = call.args.as_slice() else { return None };
        let mut arguments = [coordinates(from)?, coordinates(to)?].concat();
        let k = k.first().cloned().unwrap_or_else(|| lit(1_i64));
        arguments.extend([radius.clone(), k, lit(call.func.name() == XMATCH_MUTUAL)]);
        Some(Self { condition: nearest_function().call(arguments) })
    }
}

/// A call of CONTAINS or INTERSECTS that asks for a point in a shape, or one of XMATCH. Seen through casts, which leave 0
/// and 1 as they are in every numeric type.
fn relation(expr: &Expr) -> Option<Relation> {
    match expr {
        Expr::Cast(cast) if cast.field.data_type().is_numeric() => relation(&cast.expr),
        Expr::ScalarFunction(call) if [XMATCH, XMATCH_MUTUAL].contains(&call.func.name()) => Relation::of_nearest(call),
        Expr::ScalarFunction(call) => {
            let [first, second] = call.args.as_slice() else { return None };
            let (point, shape) = match call.func.name() {
                CONTAINS => (point(first)?, second),
                INTERSECTS => match point(first) {
                    Some(point) => (point, second),
                    None => (point(second)?, first),
                },
                _ => return None,
            };
            Some(Relation::of_shape(point, shape))
        }
        _ => None,
    }
}

/// The two positions that a call of DISTANCE asks for, as four numbers.
fn distance(expr: &Expr) -> Option<Vec<Expr>> {
    let Expr::ScalarFunction(call) = expr else { return None };
    match call.args.as_slice() {
        _ if call.func.name() != DISTANCE => None,
        [from, to] => Some([coordinates(from)?, coordinates(to)?].concat()),
        [_, _, _, _] => Some(call.args.clone()),
        _ => None,
    }
}

/// Longitude and latitude of any point.
fn coordinates(expr: &Expr) -> Option<[Expr; 2]> {
    let part = |name| Some(scalar_planned(name)?.call(vec![expr.clone()]));
    point(expr).or_else(|| Some([part("adql_coord1")?, part("adql_coord2")?]))
}

/// The arguments of a call, without a coordinate system at their head.
fn arguments<'a>(call: &'a ScalarFunction, name: &str) -> Option<&'a [Expr]> {
    if call.func.name() != name {
        return None;
    }
    match call.args.as_slice() {
        [Expr::Literal(ScalarValue::Utf8(Some(system)), _), rest @ ..] => check_system(system).is_ok().then_some(rest),
        all => Some(all),
    }
}

/// Longitude and latitude of a point that is made of two numbers.
fn point(expr: &Expr) -> Option<[Expr; 2]> {
    match expr {
        Expr::ScalarFunction(call) => match arguments(call, POINT)? {
            [lon, lat] => Some([lon.clone(), lat.clone()]),
            _ => None,
        },
        literal => numbers(literal, ShapeType::Point)?.try_into().ok(),
    }
}

/// Centre and radius of a circle that is made of numbers.
fn circle(expr: &Expr) -> Option<[Expr; 3]> {
    match expr {
        Expr::ScalarFunction(call) => match arguments(call, CIRCLE)? {
            [lon, lat, radius] => Some([lon.clone(), lat.clone(), radius.clone()]),
            [center, radius] => {
                let [lon, lat] = point(center)?;
                Some([lon, lat, radius.clone()])
            }
            _ => None,
        },
        literal => numbers(literal, ShapeType::Circle)?.try_into().ok(),
    }
}

/// The numbers of a constant; of NULL there are none.
fn numbers(expr: &Expr, kind: ShapeType) -> Option<Vec<Expr>> {
    let Expr::Literal(ScalarValue::Struct(shape), _) = expr else { return None };
    if ShapeType::of(shape.data_type()) != Some(kind) || shape.is_null(0) {
        return None;
    }
    let number = |part: &Arc<dyn Array>| part.as_primitive_opt::<Float64Type>().map(|part| lit(part.value(0)));
    shape.columns().iter().map(number).collect()
}

/// A constant number; a text compares by its letters.
fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(value, _) if value.data_type().is_numeric() => match value.cast_to(&DataType::Float64).ok()? {
            ScalarValue::Float64(number) => number,
            _ => None,
        },
        Expr::Cast(cast) if cast.field.data_type().is_numeric() => number(&cast.expr),
        Expr::Negative(inner) => Some(-number(inner)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::array::{BooleanArray, RecordBatch},
        common::tree_node::TreeNodeRecursion,
        prelude::col,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::random_sky::{self, answers, call, coerced, rows};

    fn rewritten(condition: Expr) -> String {
        random_sky::normalized(coerced(condition)).to_string()
    }

    fn point() -> Expr {
        call(POINT, vec![col("ra"), col("dec")])
    }

    fn circle() -> Expr {
        call(CIRCLE, vec![lit(1.0), lit(2.0), lit(3.0)])
    }

    #[test]
    fn a_cone_is_one_condition_in_every_way_of_writing_it() {
        let contains = || call(CONTAINS, vec![point(), circle()]);
        for condition in [
            lit(1_i64).eq(contains()),
            contains().eq(lit(1_i64)),
            contains().not_eq(lit(0_i64)),
            contains().gt(lit(0_i64)),
            lit(1.0).lt_eq(contains()),
            cast(contains(), DataType::Float64).eq(lit(1.0)),
            contains().in_list(vec![lit(1_i64)], false),
            contains().in_list(vec![lit(0_i64)], true),
            contains().between(lit(1_i64), lit(1_i64)),
            Expr::Not(Box::new(lit(0_i64).eq(contains()))),
            call(INTERSECTS, vec![circle(), point()]).eq(lit(1_i64)),
            call(CONTAINS, vec![call(POINT, vec![lit("ICRS"), col("ra"), col("dec")]), circle()]).eq(lit(1_i64)),
            call(CONTAINS, vec![point(), call(CIRCLE, vec![call(POINT, vec![lit(1.0), lit(2.0)]), lit(3.0)])])
                .eq(lit(1_i64)),
        ] {
            let rewritten = rewritten(condition.clone());
            let plain = rewritten.trim_start_matches("NOT NOT ");
            assert_eq!(plain, "sky_in_circle(ra, dec, Float64(1), Float64(2), Float64(3))", "{condition}");
        }
    }

    #[test]
    fn both_sides_of_a_pair_stay_in_sight() {
        let far = || call(DISTANCE, vec![col("ra"), col("dec"), col("err"), col("mag")]);
        assert_eq!(rewritten(far().lt_eq(lit(0.1))), "sky_within(ra, dec, err, mag, Float64(0.1))");
        assert_eq!(rewritten(lit(0.1).gt(far())), "sky_closer(ra, dec, err, mag, Float64(0.1))");
        assert_eq!(rewritten(far().gt_eq(lit(1_i64))), "NOT sky_closer(ra, dec, err, mag, CAST(Int64(1) AS Float64))");
        let moving = call(CIRCLE, vec![col("ra"), col("dec"), col("err")]);
        let around = call(CONTAINS, vec![call(POINT, vec![lit(5.0), lit(6.0)]), moving]).eq(lit(1_i64));
        assert_eq!(rewritten(around), "sky_in_circle(Float64(5), Float64(6), ra, dec, err)");
    }

    #[test]
    fn what_says_nothing_or_something_else_stays() {
        for condition in [
            call(CONTAINS, vec![point(), circle()]).gt_eq(lit(0_i64)),
            call(CONTAINS, vec![point(), circle()]).eq(lit(2_i64)),
            call(CONTAINS, vec![circle(), circle()]).eq(lit(1_i64)),
            cast(call(DISTANCE, vec![col("ra"), col("dec"), lit(1.0), lit(2.0)]), DataType::Int64).lt(lit(1_i64)),
            call(DISTANCE, vec![col("ra"), col("dec"), lit(1.0), lit(2.0)]).eq(lit(1.0)),
        ] {
            let before = coerced(condition);
            assert_eq!(random_sky::normalized(before.clone()), before);
        }
    }

    /// Whether a row is so far from a place as the condition asks of distances, to the last digits: there a distance that
    /// is compared as a number may be rounded to the other side.
    fn on_rims(condition: &Expr, rows: &RecordBatch) -> Vec<bool> {
        let (mut distances, mut bounds) = (Vec::new(), vec![col("err")]);
        let _ = condition.apply(|expr| {
            match expr {
                Expr::ScalarFunction(call) if call.func.name() == DISTANCE => distances.push(expr.clone()),
                Expr::Literal(ScalarValue::Float64(Some(_)), _) => bounds.push(expr.clone()),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        let mut on_rims = vec![false; rows.num_rows()];
        for (distance, bound) in distances.iter().flat_map(|distance| bounds.iter().map(move |bound| (distance, bound)))
        {
            let near = distance.clone().between(bound.clone() - lit(1e-11), bound.clone() + lit(1e-11));
            let near = answers(&near, rows);
            on_rims.iter_mut().zip(near.iter()).for_each(|(on_rim, near)| *on_rim |= near == Some(true));
        }
        on_rims
    }

    proptest! {
        #![proptest_config(random_sky::cases(200))]
        #[test]
        fn a_condition_answers_the_same_in_every_row_before_and_after(condition in random_sky::condition()) {
            let rows = rows();
            let before = coerced(condition);
            let after = random_sky::normalized(before.clone());
            let (expected, found) = (answers(&before, &rows), answers(&after, &rows));
            // And the same once constants are computed.
            let folded = answers(&random_sky::simplified(after.clone()), &rows);
            let on_rims = on_rims(&before, &rows);
            let answer = |answers: &BooleanArray, row| answers.is_valid(row).then(|| answers.value(row));
            for (row, on_rim) in on_rims.into_iter().enumerate() {
                prop_assert_eq!(answer(&found, row), answer(&folded, row), "row {} of {}", row, after);
                prop_assert!(on_rim || answer(&expected, row) == answer(&found, row),
                    "row {} of {}, which became {}", row, before, after);
            }
        }

        #[test]
        fn a_distance_of_at_most_a_radius_is_a_place_in_its_circle(
            place in prop::sample::select(random_sky::PLACES.to_vec()),
            radius in prop::sample::select(random_sky::RADII.to_vec()),
        ) {
            let rows = rows();
            let center = || call(POINT, vec![lit(place.0), lit(place.1)]);
            let inside = call(CONTAINS, vec![point(), call(CIRCLE, vec![center(), lit(radius)])]).eq(lit(1_i64));
            let inside = coerced(inside);
            let there = answers(&inside, &rows);
            let distance = || call(DISTANCE, vec![center(), point()]);
            // A point that is not made of two numbers.
            let middle = call("adql_centroid", vec![point()]);
            for condition in [
                random_sky::normalized(inside),
                random_sky::normalized(coerced(distance().lt_eq(lit(radius)))),
                random_sky::normalized(coerced(Expr::Not(Box::new(distance().gt(lit(radius)))))),
                random_sky::normalized(coerced(lit(radius).gt_eq(call(DISTANCE, vec![middle, center()])))),
            ] {
                prop_assert_eq!(&there, &answers(&condition, &rows), "{}", condition);
            }
            let moving = call(CIRCLE, vec![point(), col("err")]);
            let moving = random_sky::normalized(coerced(call(CONTAINS, vec![center(), moving]).eq(lit(1_i64))));
            let within = random_sky::normalized(coerced(distance().lt_eq(col("err"))));
            let (moving, within) = (answers(&moving, &rows), answers(&within, &rows));
            for row in (0..rows.num_rows()).filter(|row| moving.is_valid(*row)) {
                prop_assert_eq!(moving.value(row), within.value(row), "row {}", row);
            }
        }
    }
}
