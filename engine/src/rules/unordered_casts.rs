//! A cast that mixes up the order of values says nothing about ranges.
//!
//! ```text
//!   CAST(seen AS TIME) > '12:00'    →    as_cast(CAST(seen AS TIME)) > '12:00'
//! ```
//! Row groups and pages are left out by casting their least and greatest value as the condition does. Of times of day, of
//! truth values and of the clocks of a place the results bound nothing, and rows would be lost. Behind a function they are
//! not looked at. It does nothing to casts that keep the order, as those between numbers, nor to constants.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema,
        config::ConfigOptions,
        internal_err,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, expr_rewriter::NamePreserver, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

/// The rule of this file.
#[derive(Debug)]
pub(super) struct UnorderedCasts;

impl AnalyzerRule for UnorderedCasts {
    fn name(&self) -> &str {
        "unordered_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(in_node)?.data)
    }
}

fn in_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let changed = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let hidden = expr.transform_up(|expr| Ok(hidden(expr, &schema)))?;
        Ok(if hidden.transformed { hidden.update_data(|expr| name.restore(expr)) } else { hidden })
    })?;
    if changed.transformed { changed.map_data(LogicalPlan::recompute_schema) } else { Ok(changed) }
}

fn hidden(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let (from, to) = match &expr {
        Expr::Cast(cast) => (&cast.expr, cast.field.data_type()),
        Expr::TryCast(cast) => (&cast.expr, cast.field.data_type()),
        _ => return Transformed::no(expr),
    };
    let mixed_up = !matches!(**from, Expr::Literal(..))
        && from.get_type(schema).is_ok_and(|from| from != DataType::Null && mixes_up(&from, to));
    if mixed_up { Transformed::yes(AS_CAST.call(vec![expr])) } else { Transformed::no(expr) }
}

/// Whether a lesser value may become a greater one.
fn mixes_up(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Time32, Time64, Timestamp};
    match (from, to) {
        (from, to) if from == to => false,
        (_, Boolean) => true,
        (Timestamp(..) | Date64, Time32(_) | Time64(_)) => true,
        // Clocks are put back.
        (Timestamp(_, Some(_)), Timestamp(_, None) | Date32 | Date64) => true,
        (Timestamp(_, None) | Date32 | Date64, Timestamp(_, Some(_))) => true,
        _ => false,
    }
}

static AS_CAST: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(AsCast { signature }))
});

/// The value as it is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsCast {
    signature: Signature,
}

impl ScalarUDFImpl for AsCast {
    fn name(&self) -> &str {
        "as_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [only] => Ok(only.clone()),
            _ => internal_err!("as_cast of {} arguments", arguments.len()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args.into_iter().next() {
            Some(value) => Ok(value),
            None => internal_err!("as_cast of nothing"),
        }
    }
}
