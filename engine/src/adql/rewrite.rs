//! From ADQL's syntax tree to the one that DataFusion plans.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LimitClause, ObjectName, Query,
    Select, SelectItem, SetExpr, TopQuantity, Value, ValueWithSpan,
};

use crate::Mistake;

/// ```text
/// SELECT TOP n … OFFSET m                  →  SELECT … LIMIT n OFFSET m
/// SELECT TOP n … UNION SELECT TOP m …      →  (SELECT … LIMIT n) UNION (SELECT … LIMIT m)
/// ```
pub(super) fn top(query: &mut Query) -> ControlFlow<Mistake> {
    let limit = match query.body.as_mut() {
        SetExpr::Select(select) => match take_top(select) {
            Ok(limit) => limit,
            Err(mistake) => return ControlFlow::Break(mistake),
        },
        SetExpr::SetOperation { .. } => return top_of_operands(&mut query.body),
        _ => None,
    };
    let Some(rows) = limit else { return ControlFlow::Continue(()) };
    let clause =
        query.limit_clause.get_or_insert(LimitClause::LimitOffset { limit: None, offset: None, limit_by: vec![] });
    match clause {
        LimitClause::LimitOffset { limit: limit @ None, .. } => {
            *limit = Some(Expr::value(Value::Number(rows.to_string(), false)));
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Break(Mistake::new("TOP and LIMIT say the same thing: write one of them")),
    }
}

fn top_of_operands(body: &mut SetExpr) -> ControlFlow<Mistake> {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            top_of_operands(left)?;
            top_of_operands(right)
        }
        SetExpr::Select(select) if select.top.is_some() => {
            let operand = std::mem::replace(body, SetExpr::Values(empty_values()));
            let mut query = wrapped(operand);
            let done = top(&mut query);
            *body = SetExpr::Query(Box::new(query));
            done
        }
        _ => ControlFlow::Continue(()),
    }
}

fn take_top(select: &mut Select) -> Result<Option<u64>, Mistake> {
    let Some(top) = select.top.take() else { return Ok(None) };
    match top.quantity {
        Some(TopQuantity::Constant(rows)) if !top.percent && !top.with_ties => Ok(Some(rows)),
        _ => Err(Mistake::new("TOP takes a whole number, as in SELECT TOP 10")),
    }
}

/// Gives what has no name in the answer the text that it was asked by, rather than the planner's name for it.
///
/// ```text
/// SELECT ra, COUNT(*)      →  SELECT ra, COUNT(*) AS "COUNT(*)"
/// ```
pub(super) fn labels(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        {
            let alias = Ident::with_quote('"', expr.to_string());
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

fn wrapped(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}

fn empty_values() -> datafusion::sql::sqlparser::ast::Values {
    datafusion::sql::sqlparser::ast::Values { explicit_row: false, value_keyword: false, rows: vec![] }
}

/// The geometry functions that are understood, and how they are called in a plan.
pub(crate) const GEOMETRY: [(&str, &str); 4] =
    [("POINT", "adql_point"), ("CIRCLE", "adql_circle"), ("CONTAINS", "adql_contains"), ("DISTANCE", "adql_distance")];

/// The geometry functions of the standard that are not.
const OTHER_GEOMETRY: [&str; 9] =
    ["AREA", "BOX", "CENTROID", "COORD1", "COORD2", "COORDSYS", "INTERSECTS", "POLYGON", "REGION"];

/// Functions of the standard that the planner knows by another name. Its own `LOG` is to the base of 10.
const RENAMED: [(&str, &str); 4] = [("CEILING", "ceil"), ("LOG", "ln"), ("RAND", "random"), ("TRUNCATE", "trunc")];

/// ```text
/// LOG(x)  →  ln(x)        MOD(a, b)  →  (a) % (b)
/// ```
pub(super) fn arithmetic(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let [name] = function.name.0.as_slice() else { return };
    let Some(name) = name.as_ident().filter(|name| name.quote_style.is_none()) else { return };
    let (written, span) = (name.value.to_ascii_uppercase(), name.span);
    if let Some((_, planned)) = RENAMED.iter().find(|(adql, _)| *adql == written) {
        function.name = ObjectName::from(vec![Ident::with_span(span, *planned)]);
    } else if written == "MOD"
        && let FunctionArguments::List(arguments) = &function.args
        && let [a, b] = arguments.args.as_slice()
        && let (Some(a), Some(b)) = (expr_of(a), expr_of(b))
    {
        let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
        *expr = Expr::BinaryOp { left: nested(a), op: BinaryOperator::Modulo, right: nested(b) };
    }
}

fn expr_of(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// ```text
/// CONTAINS(POINT('ICRS', ra, dec), …)  →  adql_contains(adql_point(ra, dec), …)
/// ```
pub(super) fn geometry(expr: &mut Expr) -> ControlFlow<Mistake> {
    let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
    let [name] = function.name.0.as_slice() else { return ControlFlow::Continue(()) };
    let Some(name) = name.as_ident().filter(|name| name.quote_style.is_none()) else {
        return ControlFlow::Continue(());
    };
    let (written, span) = (name.value.to_ascii_uppercase(), name.span);
    if OTHER_GEOMETRY.contains(&written.as_str()) {
        return refuse(format!("{written} is not available"), span);
    }
    let Some((_, planned)) = GEOMETRY.iter().find(|(adql, _)| *adql == written) else {
        return ControlFlow::Continue(());
    };
    if let FunctionArguments::List(arguments) = &mut function.args
        && matches!(written.as_str(), "POINT" | "CIRCLE")
        && let Some(system) = arguments.args.first().and_then(text_of)
    {
        // The coordinate system is deprecated and may be left out; it is never a conversion.
        if !["", "ICRS"].contains(&system.split_whitespace().next().unwrap_or_default().to_ascii_uppercase().as_str()) {
            return refuse(format!("coordinates are ICRS; '{system}' is not available in {written}"), span);
        }
        arguments.args.remove(0);
    }
    function.name = ObjectName::from(vec![Ident::with_span(span, *planned)]);
    ControlFlow::Continue(())
}

fn refuse(message: String, span: datafusion::sql::sqlparser::tokenizer::Span) -> ControlFlow<Mistake> {
    let place = (span.start.line > 0).then_some((span.start.line, span.start.column)).unzip();
    ControlFlow::Break(Mistake { message, line: place.0, column: place.1 })
}

fn text_of(argument: &FunctionArg) -> Option<&str> {
    match expr_of(argument)? {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}
