//! ORDER BY by a column whose name the answer gives to something else. The planner would keep both side by side and cannot
//! tell them apart, so the answer's gets its name when the rows are in order:
//!
//! ```text
//!   SELECT -ra AS ra FROM t ORDER BY ABS(ra), ra
//!   → SELECT "answer 1" AS ra FROM (SELECT -ra AS "answer 1", ABS(t.ra) AS "key 1" FROM t) AS "ordered"
//!     ORDER BY "key 1", "answer 1"
//! ```
//! It does nothing to a query in which names are told apart, nor to SELECT DISTINCT, which is ordered by its answer alone.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use datafusion::sql::sqlparser::{
    ast::{
        Expr, Ident, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, Spanned, Statement, TableFactor, Value,
        visit_expressions, visit_expressions_mut,
    },
    parser::Parser,
    tokenizer::Span,
};

use super::{
    dialect::AdqlDialect,
    scope::{Column, quoted},
    sets,
};

/// Tells names apart in a resolved query that answers these columns.
pub(super) fn tell_apart(query: &mut Query, columns: &[Column]) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) else { return };
    let by_table = named_by_table(keys);
    let mut inner: HashMap<&str, String> = HashMap::new();
    for column in columns.iter().filter(|column| !column.plain && by_table.contains(&column.planned)) {
        inner.insert(&column.planned, format!("answer {}", inner.len() + 1));
    }
    if inner.is_empty() || select.distinct.is_some() {
        return;
    }
    let mut computed: HashMap<String, Expr> = HashMap::new();
    for item in &mut select.projection {
        if let SelectItem::ExprWithAlias { expr, alias } = item {
            computed.insert(alias.value.clone(), expr.clone());
            if let Some(inner) = inner.get(alias.value.as_str()) {
                alias.value.clone_from(inner);
            }
        }
    }
    for (at, key) in keys.iter_mut().enumerate() {
        match &mut key.expr {
            Expr::Value(value) if matches!(value.value, Value::Number(..)) => {}
            Expr::Identifier(name) if columns.iter().any(|column| column.planned == name.value) => {
                if let Some(inner) = inner.get(name.value.as_str()) {
                    name.value.clone_from(inner);
                }
            }
            expr => {
                let alias = quoted(&format!("key {}", at + 1), expr.span());
                let mut expr = std::mem::replace(expr, Expr::Identifier(alias.clone()));
                in_place_of_names(&mut expr, &computed);
                select.projection.push(SelectItem::ExprWithAlias { expr, alias });
            }
        }
    }
    around(query, columns, &inner);
}

/// The columns that keys name by their tables.
fn named_by_table(keys: &Vec<OrderByExpr>) -> HashSet<String> {
    let mut columns = HashSet::new();
    let _ = visit_expressions(keys, |expr| {
        if let Expr::CompoundIdentifier(parts) = expr {
            columns.extend(parts.last().map(|name| name.value.clone()));
        }
        ControlFlow::<()>::Continue(())
    });
    columns
}

/// Replaces names of the answer by what computes it.
fn in_place_of_names(expr: &mut Expr, computed: &HashMap<String, Expr>) {
    let _ = visit_expressions_mut(expr, |expr| {
        if let Expr::Identifier(name) = expr
            && let Some(found) = computed.get(&name.value)
        {
            *expr = Expr::Nested(Box::new(found.clone()));
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Puts a query around the rows, which orders and cuts them, and gives the answer its names.
fn around(query: &mut Query, columns: &[Column], inner: &HashMap<&str, String>) {
    let Some(mut around) = query_of_a_query() else { return };
    let SetExpr::Select(select) = around.body.as_mut() else { return };
    let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) else {
        return;
    };
    let name = |name: &str| -> Ident { quoted(name, Span::empty()) };
    select.projection = columns
        .iter()
        .map(|column| match inner.get(column.planned.as_str()) {
            Some(inner) => {
                SelectItem::ExprWithAlias { expr: Expr::Identifier(name(inner)), alias: name(&column.planned) }
            }
            None => SelectItem::UnnamedExpr(Expr::Identifier(name(&column.planned))),
        })
        .collect();
    **subquery = sets::wrapped(std::mem::replace(query.body.as_mut(), sets::nothing()));
    query.body = around.body;
}

fn query_of_a_query() -> Option<Query> {
    let parser = Parser::new(&AdqlDialect).try_with_sql("SELECT 1 FROM (SELECT 1) AS \"ordered\"");
    match parser.and_then(|mut parser| parser.parse_statement()) {
        Ok(Statement::Query(query)) => Some(*query),
        _ => None,
    }
}
