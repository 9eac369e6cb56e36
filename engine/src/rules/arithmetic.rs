//! Arithmetic that has no result in one row gives NULL there, and the query goes on.
//!
//! ```text
//! a + b, a - b, a * b    of any numbers      →  checked_add(a, b) …     beyond the type: NULL
//! -a                     of a whole number   →  checked_subtract(0, a)
//! a / b, a % b           of any numbers      →  checked_divide(a, b) …  b = 0: NULL
//! x + 1, x * 0.5, a / 2  that cannot fail    →  as it is
//! CAST(x AS REAL)        of a double         →  checked_real(x)         beyond the type: NULL
//! u + v, u - v, u * v    of unsigned numbers →  of a larger type that has a sign
//! ```
//! It does nothing to comparisons: what prunes stays as it was. It runs after the types of all operands are settled, but for
//! the sign, without which they are settled wrongly.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    functions::core::expr_fn::nullif,
    logical_expr::{
        BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, cast, expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::functions::{checked, checked_real};

/// The first rule of this file: numbers without a sign get one before they are reckoned with.
#[derive(Debug)]
pub(super) struct Signs;

impl AnalyzerRule for Signs {
    fn name(&self) -> &str {
        "signs"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| of_node(plan, with_signs))?.data)
    }
}

/// VOTables have bytes without a sign, and ADQL has no type for them.
fn with_signs(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let signed = |operand: Box<Expr>, wider: DataType| Box::new(cast(*operand, wider));
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus | Operator::Multiply),
            right,
        }) => {
            let types = [left.get_type(schema)?, right.get_type(schema)?];
            match types.each_ref().map(wider_with_sign) {
                [Some(a), Some(b)] => {
                    let (left, right) = (signed(left, a), signed(right, b));
                    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
                }
                _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        other => Ok(Transformed::no(other)),
    }
}

fn wider_with_sign(unsigned: &DataType) -> Option<DataType> {
    match unsigned {
        DataType::UInt8 => Some(DataType::Int32),
        DataType::UInt16 | DataType::UInt32 => Some(DataType::Int64),
        _ => None,
    }
}

/// The second rule of this file.
#[derive(Debug)]
pub(super) struct Arithmetic;

impl AnalyzerRule for Arithmetic {
    fn name(&self) -> &str {
        "arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| of_node(plan, of_expression))?.data)
    }
}

fn of_node(
    plan: LogicalPlan,
    changed: fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    if matches!(plan, LogicalPlan::Limit(_)) {
        return Ok(Transformed::no(plan)); // its numbers are read as they stand
    }
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    let names = NamePreserver::new(&plan);
    let changed = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        expr.transform_up(|expr| changed(expr, &schema))
            .map(|changed| if changed.transformed { changed.update_data(|expr| name.restore(expr)) } else { changed })
    })?;
    if changed.transformed { changed.map_data(|plan| plan.recompute_schema()) } else { Ok(changed) }
}

fn of_expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (left, operator, right) = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if checked(op).is_some() => (left, op, right),
        Expr::Negative(inner) if !matches!(*inner, Expr::Literal(..)) => {
            let data_type = inner.get_type(schema)?;
            if !data_type.is_signed_integer() {
                return Ok(Transformed::no(Expr::Negative(inner)));
            }
            (Box::new(Expr::Literal(ScalarValue::new_zero(&data_type)?, None)), Operator::Minus, inner)
        }
        Expr::Cast(Cast { expr, ref field }) | Expr::TryCast(TryCast { expr, ref field })
            if *field.data_type() == DataType::Float32
                && !matches!(*expr, Expr::Literal(..))
                && expr.get_type(schema)? == DataType::Float64 =>
        {
            return Ok(Transformed::yes(checked_real().call(vec![*expr])));
        }
        other => return Ok(Transformed::no(other)),
    };
    let data_type = left.get_type(schema)?;
    let same = data_type == right.get_type(schema)?;
    let divides = matches!(operator, Operator::Divide | Operator::Modulo);
    let native = |left, right| Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op: operator, right })));
    match data_type {
        _ if !same => native(left, right),
        _ if divides && is_harmless_divisor(&right) => native(left, right),
        DataType::Float16 => native(left, right),
        _ if data_type.is_floating() && is_harmless(operator, [&left, &right], &data_type) => native(left, right),
        _ if data_type.is_integer() || data_type.is_floating() => {
            let Some(function) = checked(operator) else { return native(left, right) };
            Ok(Transformed::yes(function.call(vec![*left, *right])))
        }
        _ if data_type.is_decimal() && divides => {
            let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
            let right = Box::new(nullif(*right, zero));
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op: operator, right })))
        }
        _ => native(left, right),
    }
}

/// Whether no real number can be too large: a factor of at most 1, or a term that is less than half of what lies between
/// the largest number and the one before it.
fn is_harmless(operator: Operator, operands: [&Expr; 2], data_type: &DataType) -> bool {
    let least = match operator {
        Operator::Multiply => 1.0,
        Operator::Plus | Operator::Minus if *data_type == DataType::Float32 => 1e30,
        Operator::Plus | Operator::Minus => 1e290,
        _ => return false,
    };
    operands.into_iter().filter_map(constant).any(|value| value.abs() <= least)
}

fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Cast(cast) => constant(&cast.expr),
        Expr::Literal(value, _) => match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(value)) => value,
            _ => None,
        },
        _ => None,
    }
}

/// A constant by which every number can be divided: not 0, nor -1, of which the least whole number has no multiple, nor
/// so small that a quotient may be too large.
fn is_harmless_divisor(divisor: &Expr) -> bool {
    constant(divisor).is_some_and(|value| value != -1.0 && value.abs() >= 1.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::{
            array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
            datatypes::{Float64Type, Int64Type},
            util::pretty::pretty_format_batches,
        },
        execution::SessionStateBuilder,
        prelude::SessionContext,
    };

    async fn rows(query: &str) -> (String, Vec<RecordBatch>) {
        let state = SessionStateBuilder::new().with_default_features();
        let mut state = crate::rules::register(state).build();
        crate::functions::register(&mut state).unwrap();
        let session = SessionContext::new_with_state(state);
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(i64::MAX), Some(i64::MIN), None]));
        let zeros: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, -1, 5]));
        let real: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.0), Some(0.5), Some(1e-308), None]));
        let batch = RecordBatch::try_from_iter([("a", whole), ("b", zeros), ("x", real)]).unwrap();
        session.register_batch("t", batch).unwrap();
        let frame = session.sql(query).await.unwrap();
        let plan = frame.clone().into_optimized_plan().unwrap().display_indent().to_string();
        (plan, frame.collect().await.unwrap())
    }

    async fn whole(query: &str) -> Vec<Option<i64>> {
        let (_, batches) = rows(query).await;
        batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
            .collect()
    }

    #[tokio::test]
    async fn what_no_number_can_hold_is_null() {
        let (max, min) = (i64::MAX, i64::MIN);
        assert_eq!(whole("SELECT a + 1 FROM t").await, [Some(8), None, Some(min + 1), None]);
        assert_eq!(whole("SELECT a - 1 FROM t").await, [Some(6), Some(max - 1), None, None]);
        assert_eq!(whole("SELECT a * 2 FROM t").await, [Some(14), None, None, None]);
        assert_eq!(whole("SELECT -a FROM t").await, [Some(-7), Some(-max), None, None]);
        assert_eq!(whole("SELECT a / b FROM t").await, [None, Some(max), None, None]);
        assert_eq!(whole("SELECT a % b FROM t").await, [None, Some(0), Some(0), None]);
        assert_eq!(whole("SELECT 1 / 0").await, [None]);
        let (_, batches) = rows("SELECT 2 / x AS q FROM t").await;
        let quotients: Vec<_> = batches[0].column(0).as_primitive::<Float64Type>().iter().collect();
        assert_eq!(quotients, [None, Some(4.0), None, None], "2e308 is no double");
        let (_, batches) = rows("SELECT x * 1e308 * 10 AS p FROM t").await; // x is 0, 0.5 and 1e-308
        let products: Vec<_> = batches[0].column(0).as_primitive::<Float64Type>().iter().collect();
        assert_eq!(products, [Some(0.0), None, Some(1e-308 * 1e308 * 10.0), None], "5e308 is no double");
    }

    #[tokio::test]
    async fn numbers_without_a_sign_get_one_when_they_are_reckoned_with() {
        let bytes = "(SELECT arrow_cast(b + 1, 'UInt8') AS u, arrow_cast(200, 'UInt8') AS v FROM t WHERE b >= 0)";
        let ask = |what: &str| format!("SELECT CAST({what} AS BIGINT) FROM {bytes} ORDER BY u");
        assert_eq!(whole(&ask("u - v")).await, [Some(-199), Some(-198), Some(-194)]);
        assert_eq!(whole(&ask("v + v")).await, [Some(400); 3]);
        assert_eq!(whole(&format!("SELECT count(*) FROM {bytes} WHERE u - v < u AND v * v = 40000")).await, [Some(3)]);
    }

    #[tokio::test]
    async fn what_cannot_fail_is_left_to_the_planner() {
        let (plan, _) =
            rows("SELECT x + 1, x - 2.5, x * 0.5, a / 34359738368 FROM t WHERE a > 5 AND x / 2 < 1 GROUP BY x, a")
                .await;
        assert!(!plan.contains("checked_"), "{plan}");
    }

    #[tokio::test]
    async fn names_of_columns_and_groups_outlive_the_rule() {
        let query = "SELECT a + b, count(*) FROM t GROUP BY a + b HAVING a + b > 0 ORDER BY a + b";
        let (_, batches) = rows(query).await;
        assert_eq!(batches[0].schema().field(0).name(), "t.a + t.b");
        let correlated = "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM t AS u WHERE u.a = t.a + t.b)";
        assert_eq!(whole(correlated).await, [Some(1)]); // 7 + 0
    }

    #[tokio::test]
    async fn sums_of_whole_numbers_do_not_wrap() {
        assert_eq!(whole("SELECT sum(a) FROM t").await, [Some(6)], "only on the way is it too large");
        assert_eq!(whole("SELECT sum(a) FROM t WHERE a > 0").await, [None]);
        assert_eq!(whole("SELECT sum(DISTINCT a) FROM t WHERE a > 0").await, [None]);
        assert_eq!(whole("SELECT sum(a) FROM t WHERE a > 0 GROUP BY b % 1").await, [None]);
        assert_eq!(
            whole("SELECT sum(a) FROM t GROUP BY b ORDER BY b").await,
            [Some(i64::MIN), Some(7), Some(i64::MAX), None]
        );
        assert_eq!(whole("SELECT sum(b) FROM t").await, [Some(5)]);
        let running = "SELECT sum(b) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM t ORDER BY b";
        let (_, batches) = rows(running).await;
        assert_eq!(
            whole(running).await,
            [Some(-1), Some(-1), Some(1), Some(6)],
            "{}",
            pretty_format_batches(&batches).unwrap()
        );
    }
}
