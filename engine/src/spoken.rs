//! Expressions of a plan in the words of a query, for sentences to whoever wrote it.
//!
//! ```text
//! sky_in_circle(demo.stars.ra, demo.stars.dec, Float64(266.4), Float64(-29), Float64(1))
//!     → CONTAINS(POINT(ra, dec), CIRCLE(266.4, -29, 1)) = 1
//! ```
//! What the optimizer made of a condition is said, not what was written: constants are computed, and what is told of a
//! column is told by its name in the table. Conversions of types are left out.

use datafusion::{
    arrow::{
        array::{Array, ArrayRef},
        util::display::array_value_to_string,
    },
    common::ScalarValue,
    logical_expr::{
        BinaryExpr, Expr, Operator,
        expr::{Between, InList, Like},
    },
};

use crate::{
    functions::{CLOSER, CONTAINS, DISTANCE, FUNCTIONS, IN_CIRCLE, IN_SHAPE, WITHIN, values_of},
    values::ShapeType,
};

/// How much of an expression is said.
const SAID: usize = 120;
/// How many values of a list are said.
const LISTED: usize = 8;
/// How tightly what is not two operands of an operator holds together, where NOT, BETWEEN and the like count as weak.
const TIGHT: u8 = u8::MAX;
const WEAK: u8 = 15;

/// An expression in one line, shortened.
pub(crate) fn spoken(expr: &Expr) -> String {
    let text = said(expr).0.replace(['\n', '\r'], " ");
    match text.char_indices().nth(SAID) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// The words, and how tightly they hold together.
fn said(expr: &Expr) -> (String, u8) {
    let tight = |text: String| (text, TIGHT);
    let weak = |text: String| (text, WEAK);
    match expr {
        Expr::Column(column) => tight(column.name.clone()),
        Expr::Literal(value, _) => tight(literal(value)),
        Expr::Alias(alias) => said(&alias.expr),
        Expr::Cast(cast) => said(&cast.expr),
        Expr::TryCast(cast) => said(&cast.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => infix(left, *op, &op.to_string(), right),
        Expr::Not(inner) => weak(format!("NOT {}", within(inner, TIGHT))),
        Expr::Negative(inner) => tight(format!("-{}", within(inner, TIGHT))),
        Expr::IsNull(inner) => weak(format!("{} IS NULL", within(inner, WEAK + 1))),
        Expr::IsNotNull(inner) => weak(format!("{} IS NOT NULL", within(inner, WEAK + 1))),
        Expr::Between(Between { expr, negated, low, high }) => {
            let [expr, low, high] = [expr, low, high].map(|part| within(part, WEAK + 1));
            weak(format!("{expr}{} BETWEEN {low} AND {high}", not(*negated)))
        }
        Expr::InList(InList { expr, list, negated }) => {
            weak(format!("{}{} IN ({})", within(expr, WEAK + 1), not(*negated), several(list)))
        }
        Expr::Like(Like { negated, expr, pattern, case_insensitive, .. }) => {
            let like = if *case_insensitive { "ILIKE" } else { "LIKE" };
            weak(format!("{}{} {like} {}", within(expr, WEAK + 1), not(*negated), within(pattern, WEAK + 1)))
        }
        Expr::ScalarFunction(call) => match values_of(expr) {
            Some((subject, values)) => {
                let (first, more) = (values.first(LISTED).join(", "), values.len().saturating_sub(LISTED));
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                weak(format!("{} IN ({first}{more})", within(subject, WEAK + 1)))
            }
            None => function(call.func.name(), &call.args),
        },
        Expr::AggregateFunction(call) => {
            let distinct = if call.params.distinct { "DISTINCT " } else { "" };
            tight(format!("{}({distinct}{})", named(call.func.name()), of_many(&call.params.args)))
        }
        other => tight(other.human_display().to_string()),
    }
}

/// An operand of what holds together so tightly.
fn within(expr: &Expr, tightness: u8) -> String {
    match said(expr) {
        (text, own) if own < tightness => format!("({text})"),
        (text, _) => text,
    }
}

fn infix(left: &Expr, operator: Operator, sign: &str, right: &Expr) -> (String, u8) {
    let tightness = operator.precedence();
    let next = if matches!(operator, Operator::And | Operator::Or) { tightness } else { tightness + 1 };
    (format!("{} {sign} {}", within(left, tightness), within(right, next)), tightness)
}

fn not(negated: bool) -> &'static str {
    if negated { " NOT" } else { "" }
}

fn several(parts: &[Expr]) -> String {
    let said: Vec<String> = parts.iter().take(LISTED).map(|part| said(part).0).collect();
    match parts.len() - said.len() {
        0 => said.join(", "),
        more => format!("{}, and {more} more", said.join(", ")),
    }
}

/// What an aggregate is of: rows are counted as the number 1 of each.
fn of_many(arguments: &[Expr]) -> String {
    match arguments {
        [Expr::Literal(ScalarValue::Int64(Some(1)), _)] => "*".to_owned(),
        arguments => several(arguments),
    }
}

fn function(name: &str, arguments: &[Expr]) -> (String, u8) {
    let operators = [
        ("checked_add", Operator::Plus),
        ("checked_subtract", Operator::Minus),
        ("checked_multiply", Operator::Multiply),
        ("checked_divide", Operator::Divide),
        ("checked_modulo", Operator::Modulo),
    ];
    let operator = operators.into_iter().find(|(checked, _)| *checked == name);
    if let (Some((_, operator)), [left, right]) = (operator, arguments) {
        return infix(left, operator, &operator.to_string(), right);
    }
    let part = |number: usize| said(&arguments[number]).0;
    let (contains, distance) = (named(CONTAINS), named(DISTANCE));
    match (name, arguments.len()) {
        (IN_CIRCLE, 5) => {
            let circle = format!("CIRCLE({}, {}, {})", part(2), part(3), part(4));
            (format!("{contains}(POINT({}, {}), {circle}) = 1", part(0), part(1)), WEAK)
        }
        (IN_SHAPE, 3) => (format!("{contains}(POINT({}, {}), {}) = 1", part(0), part(1), part(2)), WEAK),
        (WITHIN | CLOSER, 5) => {
            let sign = if name == WITHIN { "<=" } else { "<" };
            (format!("{distance}({}) {sign} {}", several(&arguments[..4]), part(4)), WEAK)
        }
        _ => (format!("{}({})", named(name), several(arguments)), TIGHT),
    }
}

/// What a query calls a function of a plan.
fn named(planned: &str) -> String {
    let declared = FUNCTIONS.iter().map(|function| &function.declaration).find(|declared| declared.planned == planned);
    declared.map_or(planned, |declared| declared.name).to_owned()
}

fn literal(value: &ScalarValue) -> String {
    match value {
        value if value.is_null() => "NULL".to_owned(),
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        ScalarValue::Struct(parts) => {
            let kind = ShapeType::of(parts.data_type()).map_or("", ShapeType::name);
            let part = |part: &ArrayRef| array_value_to_string(part, 0).unwrap_or_default();
            let said: Vec<String> = parts.columns().iter().map(part).collect();
            format!("{kind}({})", said.join(", ").replace(['[', ']'], "").replace(".0,", ",").trim_end_matches(".0"))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        common::Column,
        logical_expr::{cast, lit},
        prelude::{col, not},
    };

    use super::*;
    use crate::functions::{Values, among, checked, unnamed_function};

    #[test]
    fn a_condition_is_said_as_it_could_have_been_written() {
        let ra = || Expr::Column(Column::new(Some("demo.stars"), "ra"));
        let divided = checked(Operator::Divide).unwrap().call(vec![lit(1000.0), col("plx")]);
        for (expr, words) in [
            (
                ra().gt(lit(10.5)).and(col("g").lt(lit(3_i64)).or(col("g").is_null())),
                "ra > 10.5 AND (g < 3 OR g IS NULL)",
            ),
            (col("a").and(col("b")).and(col("c")), "a AND b AND c"),
            (not(col("a").or(col("b"))), "NOT (a OR b)"),
            (cast(col("name"), arrow::datatypes::DataType::Utf8).eq(lit("O'Neil\nx")), "name = 'O''Neil x'"),
            (divided.gt(lit(2.0)), "1000 / plx > 2"),
            (col("a") - (col("b") - col("c")), "a - (b - c)"),
            (col("a").not_between(lit(1), lit(2)), "a NOT BETWEEN 1 AND 2"),
            (col("a").in_list((0..10).map(lit).collect(), true), "a NOT IN (0, 1, 2, 3, 4, 5, 6, 7, and 2 more)"),
            (col("name").like(lit("M %")), "name LIKE 'M %'"),
            (lit(ScalarValue::Float64(None)), "NULL"),
        ] {
            assert_eq!(spoken(&expr), words);
        }
        assert_eq!(spoken(&lit("é".repeat(500))).chars().count(), SAID + 2);
        let many = || Values::Whole((1..=1_000).collect());
        assert_eq!(spoken(&not(among(col("id"), many(), false))), "NOT (id IN (1, 2, 3, 4, 5, 6, 7, 8, and 992 more))");
    }

    #[test]
    fn the_sky_is_said_in_the_functions_of_adql() {
        let call = |name: &str, arguments: Vec<Expr>| unnamed_function(name).call(arguments);
        let place = || vec![col("ra"), col("dec"), lit(266.4), lit(-29.0), lit(1.0)];
        assert_eq!(spoken(&call(IN_CIRCLE, place())), "CONTAINS(POINT(ra, dec), CIRCLE(266.4, -29, 1)) = 1");
        assert_eq!(spoken(&not(call(WITHIN, place()))), "NOT (DISTANCE(ra, dec, 266.4, -29) <= 1)");
        assert_eq!(spoken(&call(CLOSER, place())), "DISTANCE(ra, dec, 266.4, -29) < 1");
    }
}
