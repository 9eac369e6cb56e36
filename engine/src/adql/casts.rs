//! CAST to the types of ADQL.
//!
//! ```text
//!   CAST(x AS POINT)       →  adql_to_point(x)                 CAST(x AS INTEGER)   →  TRY_CAST(x AS INTEGER)
//!   CAST(x AS TIMESTAMP)   →  adql_to_timestamp(x)             CAST('7' AS INTEGER) →  as it is
//!   CAST(x AS CHAR(5))     →  substr(CAST(x AS VARCHAR), 1, 5)
//! ```
//! A value of a row that does not fit is NULL, so that it does not end an hour's work; a literal that does not fit is a
//! mistake. A real number becomes an integer by leaving out what follows the point.

use datafusion::sql::sqlparser::ast::{
    CastKind, CharacterLength, DataType, Expr, Spanned, TimezoneInfo, TypedString, UnaryOperator, Value,
};

use super::calls::call;
use crate::Mistake;

/// Replaces a cast whose inner expression is done.
pub(super) fn rewrite(expr: &mut Expr) -> Result<(), Mistake> {
    let place = expr.span().start;
    let said = |sentence: String| Err(Mistake::at(sentence, place));
    let (inner, target) = match expr {
        Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, array: false, format: None } => {
            (std::mem::replace(&mut **inner, Expr::value(Value::Null)), data_type.clone())
        }
        Expr::TypedString(TypedString { data_type, value, .. }) => (Expr::Value(value.clone()), data_type.clone()),
        other => return said(format!("{other} is not ADQL: write CAST(x AS type)")),
    };
    let literal = is_literal(&inner);
    *expr = match target {
        DataType::SmallInt(None) | DataType::Integer(None) | DataType::BigInt(None) | DataType::Real => {
            number(inner, target, literal)
        }
        DataType::DoublePrecision => number(inner, target, literal),
        DataType::Char(length)
        | DataType::Character(length)
        | DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => text(inner, length)
            .ok_or_else(|| Mistake::at("the length of a text is a number, as in VARCHAR(20)", place))?,
        DataType::Timestamp(None, TimezoneInfo::None) => call("adql_to_timestamp", vec![inner]),
        DataType::Date if !matches!(expr, Expr::Cast { .. }) => call("adql_to_timestamp", vec![inner]),
        DataType::Custom(name, modifiers) if modifiers.is_empty() => match shape(&name.to_string()) {
            Some(planned) => call(planned, vec![inner]),
            None => return said(format!("there is no type {name}; {TYPES}")),
        },
        other => return said(other_type(&other)),
    };
    Ok(())
}

const TYPES: &str = "the types are SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, CHAR, VARCHAR, TIMESTAMP, POINT, \
                     CIRCLE, POLYGON and MOC";

fn other_type(target: &DataType) -> String {
    let instead = match target {
        DataType::Float(_) | DataType::Double(_) | DataType::Numeric(_) | DataType::Decimal(_) => {
            "REAL or DOUBLE PRECISION"
        }
        DataType::Int(_) | DataType::Int4(_) => "INTEGER",
        DataType::Date | DataType::Timestamp(..) | DataType::Time(..) => "TIMESTAMP",
        _ => return format!("there is no type {target}; {TYPES}"),
    };
    format!("there is no type {target} in ADQL: write {instead}")
}

fn shape(name: &str) -> Option<&'static str> {
    let known = [
        ("POINT", "adql_to_point"),
        ("CIRCLE", "adql_to_circle"),
        ("POLYGON", "adql_to_polygon"),
        ("MOC", "adql_to_moc"),
    ];
    known.into_iter().find(|(adql, _)| adql.eq_ignore_ascii_case(name)).map(|(_, planned)| planned)
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(inner) => is_literal(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_literal(expr),
        _ => false,
    }
}

fn number(inner: Expr, target: DataType, literal: bool) -> Expr {
    let kind = if literal { CastKind::Cast } else { CastKind::TryCast };
    Expr::Cast { kind, expr: Box::new(inner), data_type: target, array: false, format: None }
}

fn text(inner: Expr, length: Option<CharacterLength>) -> Option<Expr> {
    let whole = number(inner, DataType::Varchar(None), true);
    let number = |value: u64| Expr::value(Value::Number(value.to_string(), false));
    match length {
        None => Some(whole),
        Some(CharacterLength::IntegerLength { length, unit: None }) => {
            Some(call("substr", vec![whole, number(1), number(length.min(i64::MAX as u64))]))
        }
        Some(_) => None,
    }
}
