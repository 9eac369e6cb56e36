//! A list of very many constants is one value, not as many expressions.
//!
//! ```text
//!   source_id IN (1, 2, … 10,000 of them)     →    among(source_id) AND source_id BETWEEN 1 AND 99
//!   name NOT IN ('a', 'b', …)                 →    NOT among(name)
//! ```
//! The range says to files and pages what the function cannot. Both are true, false and NULL in the same rows as the list.
//! It does nothing to lists that are short, of columns of other types than whole numbers and texts, or that hold anything
//! but such constants and NULL.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, cast, expr::InList, expr_rewriter::NamePreserver, lit, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::functions::{Values, among};

/// Lists of fewer constants are as DataFusion likes them.
const LONG: usize = 1_000;

/// The rule of this file.
#[derive(Debug)]
pub(super) struct LongLists;

impl AnalyzerRule for LongLists {
    fn name(&self) -> &str {
        "long_lists"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(in_node)?.data)
    }
}

fn is_long(expr: &Expr) -> bool {
    matches!(expr, Expr::InList(list) if list.list.len() >= LONG)
}

fn in_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !plan.expressions_with_long_lists() {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| {
            Ok(match &expr {
                Expr::InList(list) if is_long(&expr) => match as_one_value(list, &schema) {
                    Some(new) => Transformed::yes(new),
                    None => Transformed::no(expr),
                },
                _ => Transformed::no(expr),
            })
        })?;
        Ok(if expr.transformed { expr.update_data(|expr| name.restore(expr)) } else { expr })
    })?;
    if rewritten.transformed { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
}

/// Whether a node has an expression with a long list.
trait WithLongLists {
    fn expressions_with_long_lists(&self) -> bool;
}

impl WithLongLists for LogicalPlan {
    fn expressions_with_long_lists(&self) -> bool {
        let mut found = false;
        let _ = self.apply_expressions(|expr| {
            found |= expr.exists(|expr| Ok(is_long(expr))).unwrap_or(false);
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        });
        found
    }
}

fn as_one_value(list: &InList, schema: &DFSchema) -> Option<Expr> {
    let (values, nulls) = match list.expr.get_type(schema).ok()? {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => {
            let (numbers, nulls) = sorted(&list.list, whole)?;
            (Values::Whole(numbers), nulls)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let (texts, nulls) = sorted(&list.list, text)?;
            (Values::Texts(texts), nulls)
        }
        _ => return None,
    };
    let (least, greatest) = values.ends()?;
    let subject = list.expr.as_ref();
    let kind = least.data_type();
    let found = among(cast(subject.clone(), kind), values, nulls);
    Some(match (list.negated, nulls) {
        (true, _) => Expr::Not(Box::new(found)),
        // Beyond the range a list with NULL answers NULL, not false.
        (false, true) => found,
        (false, false) => found.and(subject.clone().between(lit(least), lit(greatest))),
    })
}

/// The constants sorted and once each, and whether NULL is among them; none if one is of another kind.
fn sorted<T: Ord>(list: &[Expr], value: impl Fn(&Expr) -> Option<Option<T>>) -> Option<(Vec<T>, bool)> {
    let mut nulls = false;
    let mut values = Vec::with_capacity(list.len());
    for expr in list {
        match value(expr)? {
            Some(value) => values.push(value),
            None => nulls = true,
        }
    }
    values.sort_unstable();
    values.dedup();
    Some((values, nulls))
}

/// A constant whole number, NULL, or neither.
fn whole(expr: &Expr) -> Option<Option<i64>> {
    match expr {
        Expr::Literal(value, _) if value.is_null() => Some(None),
        Expr::Literal(value, _) if value.data_type().is_integer() => match value.cast_to(&DataType::Int64).ok()? {
            ScalarValue::Int64(number) => number.map(Some),
            _ => None,
        },
        Expr::Negative(inner) => Some(whole(inner)?.map(i64::wrapping_neg)),
        _ => None,
    }
}

/// A constant text, NULL, or neither.
fn text(expr: &Expr) -> Option<Option<String>> {
    match expr {
        Expr::Literal(value, _) if value.is_null() => Some(None),
        Expr::Literal(value, _) => value.try_as_str().flatten().map(|text| Some(text.to_owned())),
        _ => None,
    }
}
