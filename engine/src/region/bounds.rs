//! How great a number of a row can be, as far as other conditions and the table say.

use std::collections::HashMap;

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::Between},
};

/// The greatest values of columns.
pub(super) struct Bounds<'a> {
    /// From conditions that every row must satisfy.
    asked: HashMap<&'a str, f64>,
    known: Option<&'a HashMap<String, f64>>,
}

impl<'a> Bounds<'a> {
    pub(super) fn of(conditions: &[&'a Expr], known: Option<&'a HashMap<String, f64>>) -> Self {
        let mut asked: HashMap<&str, f64> = HashMap::new();
        for (column, greatest) in conditions.iter().filter_map(|condition| limit(condition)) {
            asked.entry(column).and_modify(|bound| *bound = bound.min(greatest)).or_insert(greatest);
        }
        Self { asked, known }
    }

    /// What a number is at most in every row that matters.
    pub(super) fn greatest(&self, expr: &Expr) -> Option<f64> {
        match expr {
            Expr::Column(column) => {
                let known = self.known.and_then(|known| known.get(&column.name)).copied();
                let asked = self.asked.get(column.name.as_str()).copied();
                known.into_iter().chain(asked).reduce(f64::min)
            }
            Expr::Cast(cast) if cast.field.data_type() == &DataType::Float64 => self.greatest(&cast.expr),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::Multiply => match (number(left), number(right)) {
                    (Some(factor), None) if factor >= 0.0 => Some(factor * self.greatest(right)?),
                    (None, Some(factor)) if factor >= 0.0 => Some(factor * self.greatest(left)?),
                    _ => None,
                },
                Operator::Divide => number(right).filter(|by| *by > 0.0).and_then(|by| Some(self.greatest(left)? / by)),
                Operator::Plus => Some(self.greatest(left)? + self.greatest(right)?),
                _ => None,
            },
            other => number(other),
        }
        .map(|greatest| greatest + greatest.abs() * 1e-12) // rounding on the way
        .filter(|greatest| !greatest.is_nan())
    }
}

/// A condition that limits a column from above.
fn limit(condition: &Expr) -> Option<(&str, f64)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Lt | Operator::LtEq | Operator::Eq => Some((name(left)?, number(right)?)),
            Operator::Gt | Operator::GtEq => Some((name(right)?, number(left)?)),
            _ => None,
        },
        Expr::Between(Between { expr, negated: false, high, .. }) => Some((name(expr)?, number(high)?)),
        _ => None,
    }
}

/// The column that is limited, seen through a widening cast.
fn name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        Expr::Cast(cast) if cast.field.data_type() == &DataType::Float64 => match cast.expr.as_ref() {
            Expr::Column(column) => Some(&column.name),
            _ => None,
        },
        _ => None,
    }
}

/// A constant number; a text compares by its letters.
pub(super) fn number(expr: &Expr) -> Option<f64> {
    let Expr::Literal(value, _) = expr else { return None };
    if !value.data_type().is_numeric() {
        return None;
    }
    match value.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(number) => number,
        _ => None,
    }
}
