//! Queries within conditions and expressions, in the forms that the planner can ask of all rows at once.
//!
//! ```text
//!   (a, b) IN (SELECT c, d FROM t)                →  EXISTS (SELECT 1 FROM (…) AS q WHERE q.c = s.a AND q.d = s.b)
//!   (a, b) IN ((1, 2), (3, 4))                    →  (a = 1 AND b = 2) OR (a = 3 AND b = 4)
//!   (SELECT TOP 1 y FROM t WHERE t.k = s.k        →  (SELECT first_value(y ORDER BY z) FROM t WHERE t.k = s.k)
//!    ORDER BY z)
//! ```
//! The first is false where the original is unknown, so it stands only where WHERE asks. It does nothing to other queries
//! within.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        BinaryOperator, Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, LimitClause,
        OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned, TableFactor, TableWithJoins,
        UnaryOperator, Value, ValueWithSpan, visit_expressions,
    },
    parser::Parser,
    tokenizer::Span,
};

use super::{
    calls::call,
    dialect::AdqlDialect,
    resolve::{Names, Resolver},
    scope::{Column, quoted},
};
use crate::{Mistake, functions};

/// The name of a query after IN, which no query can write by chance.
const WITHIN: &str = "query of IN";

impl Resolver<'_> {
    /// `x [NOT] IN (SELECT …)`.
    pub(super) fn in_query(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        let Expr::InSubquery { expr: of, subquery, negated } = expr else { return Ok(()) };
        let place = subquery.span().start;
        let values = match &**of {
            Expr::Tuple(values) if names.filters => Some(values.clone()),
            Expr::Tuple(_) => {
                let sentence = "a list of values is looked for by IN only where WHERE asks, alone or with AND and OR";
                return Err(Mistake::at(sentence, of.span().start));
            }
            _ => None,
        };
        if values.is_none() {
            self.expr(of, &Names { filters: false, ..*names })?;
        }
        let before = names.scope.asked.get();
        let columns = self.query(subquery, Some(names.scope), false)?;
        let (many, expected) = (columns.len(), values.as_ref().map_or(1, Vec::len));
        if many != expected {
            let may = if expected == 1 { "one".to_owned() } else { expected.to_string() };
            return Err(Mistake::at(format!("the query of IN answers {many} columns; it may answer {may}"), place));
        }
        let Some(mut values) = values else { return Ok(()) };
        let exactly = Names { exactly: true, filters: false, ..*names };
        values.iter_mut().try_for_each(|value| self.expr(value, &exactly))?;
        let exists = match names.scope.asked.get() > before {
            true => asked_in_place(subquery, &values, *negated),
            false => asked_around(subquery, &columns, &values, *negated),
        };
        let Some(subquery) = exists else {
            let sentence = "a list of values is looked for by IN in a plain SELECT … FROM … WHERE …, or in a query that uses \
                            no columns of the one around it";
            return Err(Mistake::at(sentence, place));
        };
        *expr = Expr::Exists { subquery: Box::new(subquery), negated: *negated };
        Ok(())
    }

    /// `(SELECT …)` for a value.
    pub(super) fn value_of_query(&mut self, query: &mut Query, names: &Names<'_>) -> Result<(), Mistake> {
        let place = query.span().start;
        let before = names.scope.asked.get();
        let columns = self.query(query, Some(names.scope), false)?;
        if columns.len() != 1 {
            let many = columns.len();
            return Err(Mistake::at(format!("a query that stands for a value answers one column, not {many}"), place));
        }
        if names.scope.asked.get() > before && is_of_one_row(query) {
            first_of_rows(query);
        }
        Ok(())
    }
}

/// The query with the comparison among its own conditions, if it has no more than such.
fn asked_in_place(query: &Query, values: &[Expr], negated: bool) -> Option<Query> {
    let mut query = query.clone();
    let plain = query.limit_clause.take().is_none();
    query.order_by = None;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if !plain || !is_plain(select) || is_shadowed(&select.from, values) {
        return None;
    }
    let items = select.projection.iter().map(item).collect::<Option<Vec<_>>>()?;
    if items.len() != values.len() || items.iter().any(of_many_rows) {
        return None;
    }
    let same = all_same(&items, values, negated)?;
    select.selection = Some(match select.selection.take() {
        Some(condition) => binary(nested(condition), BinaryOperator::And, same),
        None => same,
    });
    Some(query)
}

/// A query around the query with the comparison as its only condition.
fn asked_around(query: &Query, columns: &[Column], values: &[Expr], negated: bool) -> Option<Query> {
    let text = format!("SELECT 1 FROM (SELECT 1) AS \"{WITHIN}\" WHERE 1 = 1");
    let parsed = Parser::new(&AdqlDialect).try_with_sql(&text).and_then(|mut parser| parser.parse_query());
    let mut around = *parsed.ok()?;
    let SetExpr::Select(select) = around.body.as_mut() else { return None };
    let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else { return None };
    **subquery = query.clone();
    let name = |name: &str| quoted(name, Span::empty());
    let items: Vec<Expr> =
        columns.iter().map(|column| Expr::CompoundIdentifier(vec![name(WITHIN), name(&column.planned)])).collect();
    select.selection = Some(all_same(&items, values, negated)?);
    Some(around)
}

/// Whether a SELECT only picks rows.
fn is_plain(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        GroupByExpr::All(_) => true,
    };
    !grouped && select.having.is_none()
}

fn item(item: &SelectItem) -> Option<Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    }
}

/// Whether an expression is not of one row alone.
fn of_many_rows(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |part| match part {
        Expr::Function(function) if function.over.is_some() || functions::is_aggregate(&function.name.to_string()) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Whether a table of FROM is called as one by which the values are told.
fn is_shadowed(from: &[TableWithJoins], values: &[Expr]) -> bool {
    let mut tables = Vec::new();
    from.iter().for_each(|tree| named_in(tree, &mut tables));
    let clash = |name: &[Ident]| {
        let same = |table: &Vec<String>| name.iter().map(|part| &part.value).eq(table.iter());
        tables.iter().any(same)
    };
    values.iter().any(|value| {
        let found = visit_expressions(value, |part| match part {
            Expr::CompoundIdentifier(parts) if clash(&parts[..parts.len() - 1]) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    })
}

fn named_in(tree: &TableWithJoins, tables: &mut Vec<Vec<String>>) {
    let factors = std::iter::once(&tree.relation).chain(tree.joins.iter().map(|join| &join.relation));
    for factor in factors {
        match factor {
            TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
                tables.push(vec![alias.name.value.clone()]);
            }
            TableFactor::Table { name, alias: None, .. } => {
                tables.push(name.0.iter().filter_map(|part| Some(part.as_ident()?.value.clone())).collect());
            }
            TableFactor::NestedJoin { table_with_joins, .. } => named_in(table_with_joins, tables),
            _ => {}
        }
    }
}

/// Whether all are the same; of what is not to be in, also whether that is unknown.
fn all_same(items: &[Expr], values: &[Expr], negated: bool) -> Option<Expr> {
    let is_null = |expr: &Expr| Expr::IsNull(Box::new(nested(expr.clone())));
    let same = items.iter().zip(values).map(|(item, value)| {
        let same = binary(nested(item.clone()), BinaryOperator::Eq, nested(value.clone()));
        match negated {
            false => same,
            true => {
                let unknown = binary(is_null(item), BinaryOperator::Or, is_null(value));
                nested(binary(same, BinaryOperator::Or, unknown))
            }
        }
    });
    same.reduce(|all, one| binary(all, BinaryOperator::And, one))
}

/// `(a, b) IN ((1, 2), …)` as comparisons, which are as true, false or unknown as that is.
pub(super) fn in_tuples(expr: &mut Expr) -> Result<(), Mistake> {
    let Expr::InList { expr: of, list, negated } = expr else { return Ok(()) };
    let Expr::Tuple(of) = &**of else { return Ok(()) };
    let mut rows = Vec::with_capacity(list.len());
    for row in list.iter() {
        match row {
            Expr::Tuple(row) if row.len() == of.len() => rows.extend(all_same(row, of, false).map(nested)),
            other => {
                let sentence = format!("a list of {} values is compared with lists of as many", of.len());
                return Err(Mistake::at(sentence, other.span().start));
            }
        }
    }
    let any = nested(any_of(rows));
    *expr = if *negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(any) } } else { any };
    Ok(())
}

/// Joined by OR, as a tree that is as deep as the logarithm of their number.
fn any_of(mut rows: Vec<Expr>) -> Expr {
    match rows.len() {
        0 => Expr::value(Value::Boolean(false)),
        1 => rows.swap_remove(0),
        many => {
            let right = rows.split_off(many / 2);
            nested(binary(any_of(rows), BinaryOperator::Or, any_of(right)))
        }
    }
}

/// Whether a query answers one row because it says TOP 1, or LIMIT 1.
fn is_of_one_row(query: &Query) -> bool {
    match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(rows), offset: None, .. }) => {
            matches!(rows, Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) if digits == "1")
        }
        _ => false,
    }
}

/// The first of the rows as an aggregate of them, where each row is by itself.
fn first_of_rows(query: &mut Query) {
    let keys = match query.order_by.as_ref().map(|order| &order.kind) {
        None => Vec::new(),
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        Some(OrderByKind::All(_)) => return,
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if !is_plain(select) {
        return;
    }
    let (answer, alias) = match &mut select.projection[..] {
        [SelectItem::UnnamedExpr(answer)] => (answer, None),
        [SelectItem::ExprWithAlias { expr: answer, alias }] => (answer, Some(&alias.value)),
        _ => return,
    };
    if !of_many_rows(answer) {
        let keys = keys.into_iter().map(|key| match &key.expr {
            Expr::Value(_) => OrderByExpr { expr: answer.clone(), ..key },
            Expr::Identifier(name) if Some(&name.value) == alias => OrderByExpr { expr: answer.clone(), ..key },
            _ => key,
        });
        let keys: Vec<OrderByExpr> = keys.collect();
        let mut first = call("first_value", vec![answer.clone()]);
        if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut first
            && !keys.is_empty()
        {
            list.clauses = vec![FunctionArgumentClause::OrderBy(keys)];
        }
        *answer = first;
    }
    select.distinct = None;
    query.order_by = None;
    query.limit_clause = None;
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
