//! The cell of a row's own position is stored beside it.
//!
//! ```text
//!   ivo_healpix_index(6, ra, dec)    →    healpix_parent(_healpix_29, 6)
//! ```
//! where `ra` and `dec` are the position columns of a table that was imported here, so that its column of cells was
//! computed from just these numbers by the same function. A map of counts then reads one column that ascends, and does no
//! trigonometry. It does nothing to tables of others, to tables whose rows are kept by the cells of other rows, to columns
//! that were computed, to conditions of WHERE and of
//! joins, and where the column of cells is out of reach, as behind a query that does not select it.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    datasource::source_as_provider,
    error::Result,
    logical_expr::{Expr, LogicalPlan, ScalarUDF, TableScan, expr::ScalarFunction, expr_rewriter::NamePreserver},
    optimizer::AnalyzerRule,
};

use crate::{
    functions::{self, Body, POINT},
    table::SnapshotTable,
};

/// The rule of this file.
#[derive(Debug)]
pub(super) struct StoredCells;

impl AnalyzerRule for StoredCells {
    fn name(&self) -> &str {
        "stored_cells"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(of_node)?.data)
    }
}

fn of_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let input = match (&plan, &plan.inputs()[..]) {
        // A filter says where its rows are as it stands.
        (LogicalPlan::Filter(_), _) => return Ok(Transformed::no(plan)),
        (_, [input]) if plan.expressions().iter().any(calls) => (*input).clone(),
        _ => return Ok(Transformed::no(plan)),
    };
    let names = NamePreserver::new(&plan);
    let changed = plan.map_expressions(|expr| {
        if !calls(&expr) {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        expr.transform_up(|expr| Ok(stored(expr, &input)))
            .map(|changed| if changed.transformed { changed.update_data(|expr| name.restore(expr)) } else { changed })
    })?;
    if changed.transformed { changed.map_data(|plan| plan.recompute_schema()) } else { Ok(changed) }
}

const INDEX: &str = "ivo_healpix_index";

fn calls(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(matches!(expr, Expr::ScalarFunction(call) if call.func.name() == INDEX))).unwrap_or(false)
}

/// The stored cell instead of a computed one.
fn stored(expr: Expr, input: &LogicalPlan) -> Transformed<Expr> {
    let found = match &expr {
        Expr::ScalarFunction(call) if call.func.name() == INDEX => parent_of(call, input),
        _ => None,
    };
    found.map_or_else(|| Transformed::no(expr), Transformed::yes)
}

fn parent_of(call: &ScalarFunction, input: &LogicalPlan) -> Option<Expr> {
    let (order, ra, dec) = match &call.args[..] {
        [order, ra, dec] => (order, ra, dec),
        [order, Expr::ScalarFunction(point)] if point.func.name() == POINT => match &point.args[..] {
            [ra, dec] => (order, ra, dec),
            _ => return None,
        },
        _ => return None,
    };
    let (Expr::Column(ra), Expr::Column(dec), order) = (ra, dec, whole(order)?) else { return None };
    let ((scan, ra_name), (other, dec_name)) = (origin(input, ra)?, origin(input, dec)?);
    let table = Arc::clone(source_as_provider(&scan.source).ok().as_ref()?);
    let cells = table.downcast_ref::<SnapshotTable>()?.cells_of_positions(&ra_name, &dec_name)?;
    if !std::ptr::eq(scan, other) || order > i64::from(cells.1) {
        return None;
    }
    let schema = input.schema();
    let beside = schema.iter().filter(|(relation, _)| *relation == ra.relation.as_ref());
    let cell = beside
        .map(|(relation, field)| Column::new(relation.cloned(), field.name()))
        .find(|column| origin(input, column).is_some_and(|(from, name)| std::ptr::eq(from, scan) && name == cells.0))?;
    let arguments = vec![Expr::Column(cell), Expr::Literal(ScalarValue::Int64(Some(order)), None)];
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(parent()?, arguments)))
}

fn parent() -> Option<Arc<ScalarUDF>> {
    match &functions::find("healpix_parent")?.body {
        Body::Scalar(function) => Some(Arc::clone(function)),
        _ => None,
    }
}

fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Cast(cast) => whole(&cast.expr),
        Expr::Literal(value, _) => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(order))) if value.data_type().is_integer() && order >= 0 => Some(order),
            _ => None,
        },
        _ => None,
    }
}

/// The scan that a column comes from unchanged, and its name there.
pub(super) fn origin<'a>(plan: &'a LogicalPlan, column: &Column) -> Option<(&'a TableScan, String)> {
    let place = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::TableScan(scan) => Some((scan, plan.schema().field(place).name().clone())),
        LogicalPlan::SubqueryAlias(alias) => {
            let (relation, field) = alias.input.schema().qualified_field(place);
            origin(&alias.input, &Column::new(relation.cloned(), field.name()))
        }
        LogicalPlan::Projection(projection) => origin(&projection.input, plain(projection.expr.get(place)?)?),
        LogicalPlan::Filter(filter) => origin(&filter.input, column),
        LogicalPlan::Sort(sort) => origin(&sort.input, column),
        LogicalPlan::Limit(limit) => origin(&limit.input, column),
        LogicalPlan::Join(join) => origin(&join.left, column).or_else(|| origin(&join.right, column)),
        _ => None,
    }
}

fn plain(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => plain(&alias.expr),
        _ => None,
    }
}
