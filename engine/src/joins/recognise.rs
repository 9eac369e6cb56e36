//! A join with a condition on the distance of its two sides becomes a join over the sky.
//!
//! ```text
//! Join(Inner): a.id = b.id, sky_within(a.ra, a.dec, b.ra, b.dec, r) AND rest    →    SkyJoin: r, rest AND a.id = b.id
//! ```
//! The conditions are those that `rules::normalize_sky` leaves. One is used whose two positions come from one side each, and
//! whose radius comes from one side or neither: the one with the least constant radius. All others are tried on the pairs.
//! It does nothing where rows are found by equal values and the radius is wide or varies, to `NOT IN`, and to what
//! [`why_not`] tells of.

use std::sync::Arc;

use datafusion::{
    common::{
        DFSchema, JoinType, NullEquality, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, Join, LogicalPlan, Operator, Projection,
        expr::ScalarFunction,
        utils::{conjunction, split_conjunction},
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{Side, SkyCondition, SkyJoinNode, Test, cells};
use crate::functions::{CLOSER, DISTANCE, IN_CIRCLE, IN_SHAPE, WITHIN};

/// Beside equal values, a radius of at least so many degrees finds fewer rows than they do.
const WIDE: f64 = 1.0;

/// The rule of this file.
#[derive(Debug)]
pub(super) struct SkyJoins;

impl OptimizerRule for SkyJoins {
    fn name(&self) -> &str {
        "sky_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) => match recognised(&join)? {
                Some(node) => Ok(Transformed::yes(cells::beside(&node)?.unwrap_or_else(|| node.into_plan()))),
                None => Ok(Transformed::no(LogicalPlan::Join(join))),
            },
            LogicalPlan::Projection(projection) => match narrowed(&projection)? {
                Some(plan) => Ok(Transformed::yes(plan)),
                None => Ok(Transformed::no(LogicalPlan::Projection(projection))),
            },
            plan => match SkyJoinNode::of(&plan).map(cells::beside).transpose()?.flatten() {
                Some(with_cells) => Ok(Transformed::yes(with_cells)),
                None => Ok(Transformed::no(plan)),
            },
        }
    }
}

/// The join over the sky that a join is.
fn recognised(join: &Join) -> Result<Option<SkyJoinNode>> {
    let Some((chosen, condition)) = candidate(join) else { return Ok(None) };
    let conditions = join.filter.iter().flat_map(split_conjunction);
    let others = conditions.enumerate().filter(|(place, _)| *place != chosen).map(|(_, other)| other.clone());
    let filter = conjunction(others.chain(equalities(join)));
    let node =
        SkyJoinNode::try_new(Arc::clone(&join.left), Arc::clone(&join.right), condition, filter, join.join_type)?;
    Ok(Some(node))
}

/// The condition to find pairs by, and its place among those of the join.
fn candidate(join: &Join) -> Option<(usize, SkyCondition<Expr>)> {
    if join.null_aware {
        return None;
    }
    let found = join.filter.iter().flat_map(split_conjunction).enumerate().filter_map(|(place, condition)| {
        let condition = condition_of(condition, join.left.schema(), join.right.schema()).ok()?;
        Some((place, condition))
    });
    let radius = |condition: &SkyCondition<Expr>| constant(&condition.radius).unwrap_or(f64::INFINITY);
    let (place, condition) = found.min_by(|(_, one), (_, other)| radius(one).total_cmp(&radius(other)))?;
    (join.on.is_empty() || radius(&condition) < WIDE).then_some((place, condition))
}

/// The equalities of a join as conditions on pairs.
pub(super) fn equalities(join: &Join) -> impl Iterator<Item = Expr> {
    let equal = match join.null_equality {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    let pair = move |(left, right): &(Expr, Expr)| {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), equal, Box::new(right.clone())))
    };
    join.on.iter().map(pair)
}

/// Whether a condition compares the distance of two positions with a radius.
pub(super) fn is_sky_test(condition: &Expr) -> bool {
    matches!(condition, Expr::ScalarFunction(call) if [IN_CIRCLE, WITHIN, CLOSER].contains(&call.func.name()))
}

/// A constant number.
fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(ScalarValue::Float64(number), _) => *number,
        _ => None,
    }
}

/// Why a condition on the sky does not find pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hindrance {
    /// It says nothing of two sides.
    NoPair,
    Or,
    Not,
    NotACircle,
    Computed,
    PositionOfBoth,
    RadiusOfBoth,
    Volatile,
}

impl Hindrance {
    fn said(self) -> Option<&'static str> {
        Some(match self {
            Self::NoPair => return None,
            Self::Or => "the condition on the sky stands under OR or in an expression",
            Self::Not => "the condition on the sky is negated, and most pairs are far apart",
            Self::NotACircle => "only a position in a circle, or a distance, is looked up by position",
            Self::Computed => "the distance is not just compared with a radius by < or <=",
            Self::PositionOfBoth => "a position is computed from both sides",
            Self::RadiusOfBoth => "the radius is computed from both sides",
            Self::Volatile => "a position or the radius changes whenever it is asked for",
        })
    }
}

/// Why a join that has a condition on the sky does not find its pairs by it, in words.
pub(super) fn why_not(join: &Join) -> Option<&'static str> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let conditions = join.filter.iter().flat_map(split_conjunction);
    let hindrances = conditions.filter_map(|condition| match condition_of(condition, left, right) {
        Ok(_) if join.on.is_empty() => None,
        Ok(_) => Some("rows with equal values are fewer than those within so wide a radius"),
        Err(hindrance) => hindrance.said(),
    });
    { hindrances }.next()
}

/// What a condition asks of pairs, if they can be found by it.
fn condition_of(condition: &Expr, left: &DFSchema, right: &DFSchema) -> Result<SkyCondition<Expr>, Hindrance> {
    let (test, call) = match condition {
        Expr::ScalarFunction(call) => match call.func.name() {
            IN_CIRCLE => (Test::InCircle, call),
            WITHIN => (Test::Within, call),
            CLOSER => (Test::Closer, call),
            _ => return Err(hindrance(condition, left, right)),
        },
        _ => return Err(hindrance(condition, left, right)),
    };
    of_call(test, call, left, right)
}

fn of_call(
    test: Test,
    call: &ScalarFunction,
    left: &DFSchema,
    right: &DFSchema,
) -> Result<SkyCondition<Expr>, Hindrance> {
    let [lon, lat, lon2, lat2, radius] = call.args.as_slice() else { return Err(Hindrance::NoPair) };
    let ends = Ends::of([lon, lat], [lon2, lat2], left, right)?;
    let radius_of = match Origin::of(&[radius], left, right)? {
        Origin::Both => return Err(Hindrance::RadiusOfBoth),
        Origin::Neither if matches!(radius, Expr::Literal(..)) => None,
        Origin::Neither => Some(Side::Left), // the same in every row, but not known now
        Origin::One(side) => Some(side),
    };
    let Ends { left, right, second } = ends;
    let radius = radius.clone();
    Ok(SkyCondition { left, right, radius, radius_of, test, center: second, nearest: None, cells: [None, None] })
}

/// Two positions, of which one comes from each side.
pub(super) struct Ends {
    pub(super) left: [Expr; 2],
    pub(super) right: [Expr; 2],
    /// Where the second comes from.
    pub(super) second: Side,
}

impl Ends {
    fn of(first: [&Expr; 2], second: [&Expr; 2], left: &DFSchema, right: &DFSchema) -> Result<Self, Hindrance> {
        let origins = (Origin::of(&first, left, right)?, Origin::of(&second, left, right)?);
        let (first, second) = (first.map(Clone::clone), second.map(Clone::clone));
        match origins {
            (Origin::One(Side::Left), Origin::One(Side::Right)) => {
                Ok(Self { left: first, right: second, second: Side::Right })
            }
            (Origin::One(Side::Right), Origin::One(Side::Left)) => {
                Ok(Self { left: second, right: first, second: Side::Left })
            }
            (Origin::Both, _) | (_, Origin::Both) => Err(Hindrance::PositionOfBoth),
            _ => Err(Hindrance::NoPair),
        }
    }

    /// The ends, where the first two numbers are a position of one side and the others one of the other.
    pub(super) fn found(first: [&Expr; 2], second: [&Expr; 2], left: &DFSchema, right: &DFSchema) -> Option<Self> {
        Self::of(first, second, left, right).ok()
    }
}

/// Which sides an expression is computed from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Neither,
    One(Side),
    Both,
}

impl Origin {
    /// Of several expressions together.
    fn of(expressions: &[&Expr], left: &DFSchema, right: &DFSchema) -> Result<Self, Hindrance> {
        if expressions.iter().any(|expr| expr.is_volatile()) {
            return Err(Hindrance::Volatile);
        }
        if expressions.iter().any(|expr| expr.contains_outer()) {
            return Err(Hindrance::NoPair);
        }
        let mut origin = Self::Neither;
        for column in expressions.iter().flat_map(|expr| expr.column_refs()) {
            let side = match (left.has_column(column), right.has_column(column)) {
                (true, false) => Side::Left,
                (false, true) => Side::Right,
                _ => return Err(Hindrance::NoPair),
            };
            origin = match origin {
                Self::Neither => Self::One(side),
                Self::One(before) if before == side => origin,
                _ => Self::Both,
            };
        }
        Ok(origin)
    }

    /// Of one expression; none where that is not known.
    pub(super) fn found(expr: &Expr, left: &DFSchema, right: &DFSchema) -> Option<Self> {
        Self::of(&[expr], left, right).ok()
    }
}

/// Why a condition that is no plain one on two positions finds no pairs.
fn hindrance(condition: &Expr, left: &DFSchema, right: &DFSchema) -> Hindrance {
    let names =
        |wanted: &[&str], expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if wanted.contains(&call.func.name()));
    let tests = [IN_CIRCLE, WITHIN, CLOSER];
    let of_both = |expr: &Expr| matches!(Origin::of(&[expr], left, right), Ok(Origin::Both));
    let within = |wanted: &[&str]| condition.exists(|expr| Ok(names(wanted, expr) && of_both(expr))).unwrap_or(false);
    match condition {
        Expr::Not(inner) if names(&tests, inner) && of_both(inner) => Hindrance::Not,
        _ if within(&tests) => Hindrance::Or,
        _ if within(&[IN_SHAPE, "adql_contains", "adql_intersects"]) => Hindrance::NotACircle,
        _ if within(&[DISTANCE]) => Hindrance::Computed,
        _ => Hindrance::NoPair,
    }
}

/// A projection over a join over the sky that was made before it was known which columns are needed: its inputs give just
/// those.
fn narrowed(projection: &Projection) -> Result<Option<LogicalPlan>> {
    let Some(node) = SkyJoinNode::of(&projection.input) else { return Ok(None) };
    let mut narrow = node.clone();
    let mut used: Vec<Expr> = datafusion::logical_expr::UserDefinedLogicalNodeCore::expressions(node);
    used.extend(projection.expr.iter().cloned());
    let mut changed = false;
    for side in [Side::Left, Side::Right] {
        let input = node.input(side);
        // A scan gives what is needed, and so does a projection; a mark is called after the first column.
        let marks = matches!(node.join_type, JoinType::LeftMark | JoinType::RightMark);
        if marks || matches!(**input, LogicalPlan::TableScan(_) | LogicalPlan::Projection(_)) {
            continue;
        }
        let columns = used.iter().flat_map(Expr::column_refs);
        let mut needed: Vec<usize> =
            columns.filter_map(|column| input.schema().maybe_index_of_column(column)).collect();
        needed.sort_unstable();
        needed.dedup();
        if needed.len() < input.schema().fields().len() {
            let columns = needed.into_iter().map(|place| Expr::from(input.schema().qualified_field(place)));
            let fewer = Projection::try_new(columns.collect(), Arc::clone(input))?;
            narrow = narrow.with_input(side, LogicalPlan::Projection(fewer))?;
            changed = true;
        }
    }
    if !changed {
        return Ok(None);
    }
    let projection = Projection::try_new(projection.expr.clone(), Arc::new(narrow.into_plan()))?;
    Ok(Some(LogicalPlan::Projection(projection)))
}
