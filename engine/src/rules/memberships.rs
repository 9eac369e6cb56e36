//! `IN` of a query, where the planner mistakes what is unknown for false.
//!
//! ```text
//!   x NOT IN (Q of the row around it)    →   NOT EXISTS (Q AND (y = x OR y IS NULL OR x IS NULL))
//!   … OR x NOT IN (Q)                    →   … OR (NOT EXISTS (Q AND y = x) AND no y is NULL AND (x IS NOT NULL OR no row))
//!   (x IN (Q)) IS UNKNOWN, and the like  →   (CASE WHEN EXISTS (Q AND y = x) THEN TRUE WHEN … THEN NULL ELSE FALSE END) …
//! ```
//! Where a condition is joined to others by OR, or is a part of more, the planner only marks the rows that have a partner.
//! It does nothing where a filter asks `x IN (Q)`, for which that is enough, alone or with AND and OR; nor where it asks
//! `x NOT IN (Q)` of a query by itself alone or with AND, which the planner answers as it should.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, DFSchema, ScalarValue, Spans,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    functions_aggregate::count::count_all,
    logical_expr::{
        BinaryExpr, Case, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery,
        expr::{Exists, InSubquery},
        lit, not,
    },
    optimizer::AnalyzerRule,
};

/// The rule of this file.
#[derive(Debug)]
pub(super) struct Memberships;

impl AnalyzerRule for Memberships {
    fn name(&self) -> &str {
        "memberships"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let of_node = |plan: LogicalPlan| match plan {
            LogicalPlan::Filter(Filter { predicate, input, .. }) => {
                let settled = settled(predicate, Asked::Alone, input.schema())?;
                Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(settled, input)?)))
            }
            other => Ok(Transformed::no(other)),
        };
        Ok(plan.transform_up_with_subqueries(of_node)?.data)
    }
}

/// Where in a filter a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// It is the filter, or joined to others by AND: unknown is false.
    Alone,
    /// It is joined to others by OR: unknown is false, too.
    WithOr,
    /// It is a part of more, and unknown is unknown.
    Within,
}

fn settled(expr: Expr, asked: Asked, schema: &DFSchema) -> Result<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right })
            if asked != Asked::Within =>
        {
            let asked = if op == Operator::Or { Asked::WithOr } else { asked };
            let (left, right) = (settled(*left, asked, schema)?, settled(*right, asked, schema)?);
            Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
        }
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                settled(Expr::InSubquery(InSubquery { expr, subquery, negated: !negated }), asked, schema)
            }
            inner => Ok(not(settled(inner, Asked::Within, schema)?)),
        },
        Expr::InSubquery(membership) => match Membership::of(&membership, schema)? {
            Some(settled) => settled.expr(&membership, asked),
            None => Ok(Expr::InSubquery(membership)),
        },
        // What is within a query is settled with its own filters.
        other @ (Expr::Exists(_) | Expr::ScalarSubquery(_)) => Ok(other),
        other => Ok(other.map_children(|child| settled(child, Asked::Within, schema).map(Transformed::yes))?.data),
    }
}

/// What is looked for, as the query within tells it, and what it is compared with.
struct Membership {
    outer: Expr,
    inner: Expr,
}

impl Membership {
    /// Nothing if what is looked for comes from further out, which no query can tell.
    fn of(membership: &InSubquery, schema: &DFSchema) -> Result<Option<Self>> {
        let mut further_out = false;
        let outer = membership.expr.as_ref().clone().transform(|part| match part {
            Expr::Column(column) => {
                let (table, field) = schema.qualified_field_from_column(&column)?;
                let column = Column::new(table.cloned(), field.name());
                Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)))
            }
            Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                further_out = true;
                Ok(Transformed::no(part))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let (table, field) = membership.subquery.subquery.schema().qualified_field(0);
        let inner = Expr::Column(Column::new(table.cloned(), field.name()));
        Ok((!further_out).then_some(Self { outer: outer.data, inner }))
    }

    fn expr(self, membership: &InSubquery, asked: Asked) -> Result<Expr> {
        let InSubquery { expr: x, subquery, negated } = membership;
        let Self { outer, inner: y } = self;
        let correlated = !subquery.outer_ref_columns.is_empty();
        let same = y.clone().eq(outer.clone());
        match (asked, negated) {
            (Asked::Alone | Asked::WithOr, false) => Ok(Expr::InSubquery(membership.clone())),
            (Asked::Alone, true) if !correlated => Ok(Expr::InSubquery(membership.clone())),
            (Asked::Alone | Asked::WithOr, true) if correlated => {
                Ok(not(exists(subquery, Some(same.or(y.is_null()).or(outer.is_null())))?))
            }
            _ => {
                let (null, row) = match correlated {
                    true => (exists(subquery, Some(y.is_null()))?, exists(subquery, None)?),
                    false => (any(subquery, Some(y.is_null()))?, any(subquery, None)?),
                };
                let found = exists(subquery, Some(same))?;
                let unknown = null.or(x.as_ref().clone().is_null().and(row));
                match (asked, negated) {
                    (Asked::WithOr, _) => Ok(not(found).and(not(unknown))),
                    (_, true) => Ok(not(known(found, unknown))),
                    (_, false) => Ok(known(found, unknown)),
                }
            }
        }
    }
}

/// True, unknown or false.
fn known(found: Expr, unknown: Expr) -> Expr {
    let when = |condition: Expr, answer: ScalarValue| (Box::new(condition), Box::new(Expr::Literal(answer, None)));
    let cases = vec![when(found, ScalarValue::Boolean(Some(true))), when(unknown, ScalarValue::Boolean(None))];
    Expr::Case(Case::new(None, cases, Some(Box::new(lit(false)))))
}

/// The rows of a query of which something is true.
fn rows(query: &Subquery, condition: Option<Expr>) -> Result<LogicalPlanBuilder> {
    let rows = LogicalPlanBuilder::from(query.subquery.as_ref().clone());
    match condition {
        Some(condition) => rows.filter(condition),
        None => Ok(rows),
    }
}

fn subquery(plan: LogicalPlan) -> Subquery {
    Subquery { outer_ref_columns: plan.all_out_ref_exprs(), subquery: plan.into(), spans: Spans::new() }
}

fn exists(query: &Subquery, condition: Option<Expr>) -> Result<Expr> {
    Ok(Expr::Exists(Exists { subquery: subquery(rows(query, condition)?.build()?), negated: false }))
}

/// The same of a query by itself, which is asked once.
fn any(query: &Subquery, condition: Option<Expr>) -> Result<Expr> {
    let count = rows(query, condition)?.aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()?;
    Ok(Expr::ScalarSubquery(subquery(count)).gt(lit(0_i64)))
}
