//! What a filter implies of columns in which NaN stands for what is missing.
//!
//! ```text
//!   nan_is_null(mag) < 12 AND (nan_is_null(mag) > 3 OR bright)     is asked, and no statistics speak of it
//!   mag < 12                                                       follows, and they do
//! ```
//! Where a comparison is true its columns are no NaN, and the same comparison of the columns as they are stored is true,
//! too. It is added to what the reader is given, beside the filter itself: row groups and pages are left out by it, and
//! what it is true of by mistake, a NaN, the filter throws out. What can be true of a NULL implies nothing.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::Session,
    common::DFSchema,
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, Operator,
        expr::InList,
        physical_planning_context::PhysicalPlanningContext,
        utils::{conjunction, split_conjunction},
    },
    physical_expr::{PhysicalExpr, create_physical_expr},
};

/// What the filters imply of the floating columns of the schema, of which `trusted` are those with sound statistics.
pub(super) fn of_filters(
    filters: &[Expr],
    schema: &SchemaRef,
    trusted: &dyn Fn(&str) -> bool,
    session: &dyn Session,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let floating = |name: &str| schema.field_with_name(name).is_ok_and(|field| field.data_type().is_floating());
    let speaks = |filter: &&Expr| {
        let columns = filter.column_refs();
        columns.iter().any(|column| floating(&column.name))
            && columns.iter().all(|column| {
                schema.field_with_name(&column.name).is_ok() && (!floating(&column.name) || trusted(&column.name))
            })
    };
    let all = filters.iter().flat_map(split_conjunction).filter_map(implied);
    let Some(implied) = conjunction(all.filter(|filter| speaks(&filter))) else { return Ok(None) };
    let names = DFSchema::try_from(Arc::clone(schema))?;
    let context = PhysicalPlanningContext::default();
    create_physical_expr(&implied, &names, session.execution_props(), &context).map(Some)
}

/// What is true of the stored values wherever the filter is true; none if that is nothing.
fn implied(filter: &Expr) -> Option<Expr> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => match (implied(left), implied(right)) {
            (Some(left), Some(right)) => Some(left.and(right)),
            (one, other) => one.or(other),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(implied(left)?.or(implied(right)?)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let null_tells = matches!(
                op,
                Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
            );
            (null_tells && is_plain(left) && is_plain(right)).then(|| filter.clone())
        }
        Expr::Between(between) => {
            let parts = [&between.expr, &between.low, &between.high];
            (!between.negated && parts.iter().all(|part| is_plain(part))).then(|| filter.clone())
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            (is_plain(expr) && list.iter().all(is_plain)).then(|| filter.clone())
        }
        _ => None,
    }
}

/// A constant or a column, cast or not: NULL if and only if the column is.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Literal(value, _) => !value.is_null(),
        Expr::Cast(cast) => cast.field.data_type().is_numeric() && is_plain(&cast.expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn comparisons_imply_themselves_and_what_may_be_true_of_null_nothing() {
        let bright = || col("mag").lt(lit(12.0));
        let random = || col("mag").is_null();
        assert_eq!(implied(&bright()), Some(bright()));
        assert_eq!(implied(&bright().and(random())), Some(bright()));
        assert_eq!(implied(&bright().or(random())), None);
        assert_eq!(implied(&bright().or(col("ra").gt(lit(3.0)))), Some(bright().or(col("ra").gt(lit(3.0)))));
        for nothing in
            [random(), !bright(), col("mag").not_between(lit(1.0), lit(2.0)), col("mag").in_list(vec![lit(1.0)], true)]
        {
            assert_eq!(implied(&nothing), None, "{nothing}");
        }
    }
}
