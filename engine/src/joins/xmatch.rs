//! XMATCH: only the nearest of a side count.
//!
//! ```text
//! Filter: sky_nearest(a.ra, a.dec, b.ra, b.dec, r, 1, false) AND b.mag < 15     Filter: b.mag < 15
//!   Join: a, b                                                             →     SkyJoin: a, b, the nearest within r
//! ```
//! It says of a pair that the right row is among the k nearest of *all* rows of its side, so nothing may be left out of
//! that side before: the join is made at once, as soon as queries within conditions have become joins, and before
//! conditions are moved towards the tables ([`Down`] moves those past it that may go).
//!
//! In ON its sides are those of the join; in WHERE, single tables. A condition beside it in a query of EXISTS would be
//! asked before or after by chance, and is refused.

use std::sync::Arc;

use datafusion::{
    common::{
        JoinType, ScalarValue, plan_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    logical_expr::{
        Expr, Filter, Join, LogicalPlan, Projection, UserDefinedLogicalNodeCore,
        expr::ScalarFunction,
        utils::{conjunction, split_conjunction, split_conjunction_owned},
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{
    Nearest, Side, SkyCondition, SkyJoinNode, Test,
    recognise::{Ends, Origin, equalities},
};
use crate::functions::{NEAREST, REFUSED, XMATCH, XMATCH_MUTUAL};

/// The most rows that are asked for each.
const MOST: i64 = 1000;

/// The rule that makes the joins. It runs twice: once before queries within conditions become joins, where it looks at
/// those, and once after.
#[derive(Debug)]
pub(super) struct NearestJoins {
    pub(super) subqueries_are_joins: bool,
}

impl OptimizerRule for NearestJoins {
    fn name(&self) -> &str {
        if self.subqueries_are_joins { "nearest_joins" } else { "nearest_joins_of_from" }
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !anywhere(&plan, &|_| true)? {
            return Ok(Transformed::no(plan));
        }
        let made = plan.transform_up_with_subqueries(joined)?;
        if anywhere(&made.data, &|call| self.subqueries_are_joins || !call.contains_outer())? {
            return plan_err!("{REFUSED}");
        }
        Ok(made)
    }
}

/// Whether a plan asks somewhere for the nearest, in such a way.
fn anywhere(plan: &LogicalPlan, which: &dyn Fn(&Expr) -> bool) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.expressions().iter().any(|expr| asks(expr, which));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn asks(expr: &Expr, which: &dyn Fn(&Expr) -> bool) -> bool {
    let is_call = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if [NEAREST, XMATCH, XMATCH_MUTUAL].contains(&call.func.name()));
    expr.exists(|expr| Ok(is_call(expr) && which(expr))).unwrap_or(false)
}

/// A conjunct that is nothing but a call.
fn call_of(conjunct: &Expr) -> Option<&ScalarFunction> {
    match conjunct {
        Expr::ScalarFunction(call) if call.func.name() == NEAREST => Some(call),
        _ => None,
    }
}

fn joined(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match &plan {
        LogicalPlan::Join(join) => {
            let conditions = join.filter.iter().flat_map(split_conjunction);
            let Some(place) = conditions.clone().position(|condition| call_of(condition).is_some()) else {
                return Ok(Transformed::no(plan));
            };
            let rest = conjunction(conditions.enumerate().filter(|(at, _)| *at != place).map(|(_, expr)| expr.clone()));
            let call = join.filter.iter().flat_map(split_conjunction).nth(place).and_then(call_of);
            match call.map(|call| of_join(join, call, rest)).transpose()?.flatten() {
                Some(plan) => Ok(Transformed::yes(plan)),
                None => plan_err!("{REFUSED}"),
            }
        }
        LogicalPlan::Filter(filter)
            if split_conjunction(&filter.predicate).into_iter().any(|part| call_of(part).is_some()) =>
        {
            of_filter(filter)
        }
        _ => Ok(Transformed::no(plan)),
    }
}

fn of_filter(filter: &Filter) -> Result<Transformed<LogicalPlan>> {
    let conditions = split_conjunction_owned(filter.predicate.clone());
    let (calls, rest): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(|part| call_of(part).is_some());
    if calls.iter().any(Expr::contains_outer) {
        // It joins the tables of this query with those around it, and will be a condition of that join.
        return match (calls.len(), rest.is_empty()) {
            (1, true) => Ok(Transformed::no(LogicalPlan::Filter(filter.clone()))),
            _ => plan_err!(
                "XMATCH with a table of the query around it stands alone in WHERE: choose rows in a query of FROM, as in \
                 EXISTS (SELECT 1 FROM (SELECT * FROM b WHERE …) AS b WHERE 1 = XMATCH(…))"
            ),
        };
    }
    let mut input = filter.input.as_ref().clone();
    for call in calls.iter().filter_map(call_of) {
        input = match within(&input, call)? {
            Some(input) => input,
            None => return plan_err!("{REFUSED}"),
        };
    }
    Ok(Transformed::yes(match conjunction(rest) {
        Some(rest) => LogicalPlan::Filter(Filter::try_new(rest, Arc::new(input))?),
        None => input,
    }))
}

/// The plan with the join of a condition of WHERE made where its two tables meet.
fn within(plan: &LogicalPlan, call: &ScalarFunction) -> Result<Option<LogicalPlan>> {
    let columns: Vec<_> = call.args.iter().flat_map(Expr::column_refs).collect();
    let has_all = |plan: &LogicalPlan| columns.iter().all(|column| plan.schema().has_column(column));
    match plan {
        LogicalPlan::Filter(filter) => {
            let Some(input) = within(&filter.input, call)? else { return Ok(None) };
            Ok(Some(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?)))
        }
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) => {
            let Some(input) = within(&projection.input, call)? else { return Ok(None) };
            Ok(Some(LogicalPlan::Projection(Projection::try_new(projection.expr.clone(), Arc::new(input))?)))
        }
        LogicalPlan::Join(join) if has_all(&join.left) && keeps(join.join_type, Side::Left) => {
            let Some(left) = within(&join.left, call)? else { return Ok(None) };
            Ok(Some(plan.with_new_exprs(plan.expressions(), vec![left, join.right.as_ref().clone()])?))
        }
        LogicalPlan::Join(join) if has_all(&join.right) && keeps(join.join_type, Side::Right) => {
            let Some(right) = within(&join.right, call)? else { return Ok(None) };
            Ok(Some(plan.with_new_exprs(plan.expressions(), vec![join.left.as_ref().clone(), right])?))
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let rest = conjunction(join.filter.iter().cloned());
            let made = of_join(join, call, rest)?;
            // Which rows the nearest are chosen from is plain only of a table.
            match made.as_ref().and_then(node_of) {
                Some(node) if !is_one_table(&node.right) || (is_mutual(node) && !is_one_table(&node.left)) => {
                    plan_err!(
                        "XMATCH in WHERE finds the nearest rows of a table, and here several are joined before it: write them as \
                     … JOIN … ON 1 = XMATCH(…)"
                    )
                }
                _ => Ok(made),
            }
        }
        other => match SkyJoinNode::of(other) {
            Some(node) => {
                for side in [Side::Left, Side::Right] {
                    if has_all(node.input(side)) && node.keeps(side) && node.condition.nearest.is_none() {
                        let Some(input) = within(node.input(side), call)? else { return Ok(None) };
                        return Ok(Some(node.with_input(side, input)?.into_plan()));
                    }
                }
                Ok(None)
            }
            None => Ok(None),
        },
    }
}

fn keeps(join_type: JoinType, side: Side) -> bool {
    match join_type {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => side == Side::Left,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => side == Side::Right,
        JoinType::Full => false,
    }
}

fn is_mutual(node: &SkyJoinNode) -> bool {
    node.condition.nearest.is_some_and(|nearest| nearest.mutual)
}

/// The node of a plan, seen through the order of its columns.
fn node_of(plan: &LogicalPlan) -> Option<&SkyJoinNode> {
    match plan {
        LogicalPlan::Projection(projection) => SkyJoinNode::of(&projection.input),
        other => SkyJoinNode::of(other),
    }
}

fn is_one_table(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(_) => false,
        LogicalPlan::Filter(filter) => is_one_table(&filter.input),
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) => {
            is_one_table(&projection.input)
        }
        other => SkyJoinNode::of(other).is_none(),
    }
}

/// The join that a call makes of one; none if its positions are not of one side each.
fn of_join(join: &Join, call: &ScalarFunction, rest: Option<Expr>) -> Result<Option<LogicalPlan>> {
    let [lon, lat, lon2, lat2, radius, k, mutual] = call.args.as_slice() else { return Ok(None) };
    let (left, right) = (join.left.schema(), join.right.schema());
    let Some(ends) = Ends::found([lon, lat], [lon2, lat2], left, right) else { return Ok(None) };
    let radius_of = match Origin::found(radius, left, right) {
        Some(Origin::Neither) if matches!(radius, Expr::Literal(..)) => None,
        Some(Origin::Neither) => Some(Side::Left),
        Some(Origin::One(side)) => Some(side),
        _ => return plan_err!("the radius of XMATCH is a number, or computed from one of the two tables"),
    };
    let nearest =
        Nearest { k: count(k)?, mutual: matches!(mutual, Expr::Literal(ScalarValue::Boolean(Some(true)), _)) };
    let filter = conjunction(rest.into_iter().chain(equalities(join)));
    let condition = SkyCondition {
        left: ends.left,
        right: ends.right,
        radius: radius.clone(),
        radius_of,
        test: Test::Within,
        center: Side::Left,
        nearest: Some(nearest),
        cells: [None, None],
    };
    if ends.second == Side::Right {
        let (left, right) = (Arc::clone(&join.left), Arc::clone(&join.right));
        return Ok(Some(SkyJoinNode::try_new(left, right, condition, filter, join.join_type)?.into_plan()));
    }
    // The nearest of the left table to each row of the right one.
    let condition = SkyCondition {
        left: condition.right,
        right: condition.left,
        radius_of: condition.radius_of.map(Side::other),
        ..condition
    };
    let (left, right) = (Arc::clone(&join.right), Arc::clone(&join.left));
    let node = SkyJoinNode::try_new(left, right, condition, filter, join.join_type.swap())?;
    let same = UserDefinedLogicalNodeCore::schema(&node).columns() == join.schema.columns();
    let plan = node.into_plan();
    let columns = join.schema.columns().into_iter().map(Expr::Column).collect();
    Ok(Some(if same { plan } else { LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?) }))
}

/// How many of the nearest are asked for.
fn count(k: &Expr) -> Result<usize> {
    match k {
        Expr::Literal(ScalarValue::Int64(Some(k)), _) if (1..=MOST).contains(k) => Ok(*k as usize), // not negative
        _ => plan_err!("XMATCH finds 1 to {MOST} rows for each: its fourth argument is such a number"),
    }
}

/// Conditions above a join over the sky go to the input that they ask of, where its rows are not chosen by those of the
/// other; what asks of pairs goes into the join.
///
/// DataFusion's own rule would send a condition that names no column down to both inputs.
#[derive(Debug)]
pub(super) struct Down;

impl OptimizerRule for Down {
    fn name(&self) -> &str {
        "down_past_sky_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(node) = SkyJoinNode::of(&filter.input) else { return Ok(Transformed::no(plan)) };
        let (mut sides, mut pairs, mut above) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
        for condition in split_conjunction_owned(filter.predicate.clone()) {
            match Origin::found(&condition, node.left.schema(), node.right.schema()) {
                Some(Origin::One(side)) if goes_to(node, side) => {
                    sides[usize::from(side == Side::Right)].push(condition)
                }
                _ if node.join_type == JoinType::Inner => pairs.push(condition),
                _ => above.push(condition),
            }
        }
        if sides.iter().all(Vec::is_empty) && pairs.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let mut below = node.clone();
        below.filter = conjunction(below.filter.into_iter().chain(pairs));
        for (side, conditions) in [Side::Left, Side::Right].into_iter().zip(sides) {
            if let Some(condition) = conjunction(conditions) {
                let input = Filter::try_new(condition, Arc::clone(node.input(side)))?;
                below = below.with_input(side, LogicalPlan::Filter(input))?;
            }
        }
        let below = below.into_plan();
        Ok(Transformed::yes(match conjunction(above) {
            Some(above) => LogicalPlan::Filter(Filter::try_new(above, Arc::new(below))?),
            None => below,
        }))
    }
}

/// Whether rows of a side may be left out before the join.
fn goes_to(node: &SkyJoinNode, side: Side) -> bool {
    node.keeps(side)
        && match node.condition.nearest {
            None => true,
            Some(nearest) => side == Side::Left && !nearest.mutual,
        }
}
