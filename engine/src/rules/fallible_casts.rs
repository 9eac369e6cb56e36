//! Casts that a value of a row may not fit.
//!
//! ```text
//!   CAST(t AS INTEGER)    that somebody wrote                →   TRY_CAST(t AS INTEGER), NULL where there is no number
//!   i = CAST(t AS …)      that the planner added to i = t    →   a mistake: whoever means that writes it
//! ```
//! A cast ends the query at the first text that is no number. It does nothing to casts that every value fits, nor to
//! constants: one that does not fit is a mistake, as is a cast that no value fits.

use datafusion::{
    arrow::{compute::can_cast_types, datatypes::DataType},
    common::{
        DFSchema,
        config::ConfigOptions,
        plan_err,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{
        Cast, Expr, ExprSchemable, LogicalPlan, TryCast, expr_rewriter::NamePreserver, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

/// The rules of this file, by the casts that are in a plan where each is applied.
#[derive(Debug)]
pub(super) enum FallibleCasts {
    /// Those of the query: before the planner settles the types of operands.
    Written,
    /// Those that the planner has added.
    Implied,
}

impl AnalyzerRule for FallibleCasts {
    fn name(&self) -> &str {
        match self {
            Self::Written => "fallible_casts",
            Self::Implied => "implied_casts",
        }
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let of_expression = match self {
            Self::Written => tried,
            Self::Implied => refused,
        };
        let of_node = |plan| {
            if let LogicalPlan::Sort(sort) = &plan {
                // Nobody asks for the types of keys before they are computed.
                sort.expr.iter().try_for_each(|key| key.expr.get_type(sort.input.schema()).map(drop))?;
            }
            of_node(plan, of_expression)
        };
        Ok(plan.transform_up_with_subqueries(of_node)?.data)
    }
}

fn of_node(
    plan: LogicalPlan,
    of_expression: fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let changed = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = expr.transform_up(|expr| of_expression(expr, &schema))?;
        Ok(if changed.transformed { changed.update_data(|expr| name.restore(expr)) } else { changed })
    })?;
    if changed.transformed { changed.map_data(LogicalPlan::recompute_schema) } else { Ok(changed) }
}

fn tried(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::Cast(Cast { expr: of, field }) | Expr::TryCast(TryCast { expr: of, field }) = &expr
        && let Ok(from) = of.get_type(schema)
        && !is_text(field.data_type())
        && !can_cast_types(&from, field.data_type())
    {
        return plan_err!("no {from} is a {}: there is no such CAST", field.data_type());
    }
    match expr {
        Expr::Cast(Cast { expr, field })
            if !matches!(*expr, Expr::Literal(..))
                && expr.get_type(schema).is_ok_and(|from| may_fail(&from, field.data_type())) =>
        {
            Ok(Transformed::yes(Expr::TryCast(TryCast { expr, field })))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn refused(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::Cast(Cast { expr: text, field }) = &expr
        && !matches!(**text, Expr::Literal(..))
        && text.get_type(schema).is_ok_and(|from| is_text(&from) && may_fail(&from, field.data_type()))
    {
        let name = match &**text {
            Expr::Column(column) => column.name.as_str(),
            _ => "this",
        };
        let kind = field.data_type();
        return plan_err!("{name} is a text where {kind} is expected: write CAST({name} AS {kind})");
    }
    Ok(Transformed::no(expr))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

/// Whether a value of the one type may have no counterpart in the other: a text that says none, a number that is too large.
fn may_fail(from: &DataType, to: &DataType) -> bool {
    let simple = to.is_numeric() || to.is_temporal() || *to == DataType::Boolean;
    match (from, to) {
        (from, to) if from == to => false,
        (from, _) if is_text(from) => simple,
        (from, to) if from.is_floating() => to.is_integer(),
        (from, to) if from.is_integer() => to.is_integer() && !holds(to, from),
        _ => false,
    }
}

/// Whether one type of whole numbers holds all of another.
fn holds(wide: &DataType, narrow: &DataType) -> bool {
    let width = |kind: &DataType| kind.primitive_width().unwrap_or_default();
    match (wide.is_signed_integer(), narrow.is_signed_integer()) {
        (true, false) => width(wide) > width(narrow),
        (false, true) => false,
        _ => width(wide) >= width(narrow),
    }
}
