//! `INTERSECT ALL` and `EXCEPT ALL` as the standard counts: a row that is there m and n times is min(m, n) or m − n times in
//! the answer. The planner only asks whether a row is on the other side at all, so equal rows are numbered:
//!
//! ```text
//!   A INTERSECT ALL B   →   SELECT x, y FROM (      SELECT x, y, ROW_NUMBER() OVER (PARTITION BY x, y) AS n FROM A
//!                                           INTERSECT SELECT u, v, ROW_NUMBER() OVER (PARTITION BY u, v) AS n FROM B)
//! ```

use datafusion::sql::sqlparser::{
    ast::{Query, SetExpr, SetOperator, Statement, Values},
    parser::Parser,
};

use super::{dialect::AdqlDialect, scope::Column};
use crate::{Mistake, bounded::RECURSION};

/// The name of the number of a row, which no query can write by chance.
const NUMBER: &str = "number of the equal row";

pub(super) fn counted(
    left: &SetExpr,
    op: SetOperator,
    right: &SetExpr,
    lefts: &[Column],
    rights: &[Column],
) -> Result<SetExpr, Mistake> {
    let text = format!(
        "SELECT {} FROM ({} {op} {}) AS \"numbered\"",
        list(lefts),
        numbered(left, lefts, "left"),
        numbered(right, rights, "right")
    );
    let statements = Parser::new(&AdqlDialect)
        .with_recursion_limit(RECURSION)
        .try_with_sql(&text)
        .and_then(|mut parser| parser.parse_statements());
    match statements.map(|mut statements| statements.pop()) {
        Ok(Some(Statement::Query(query))) => Ok(*query.body),
        _ => Err(Mistake::new(format!("{op} ALL of these queries is not available"))),
    }
}

fn numbered(side: &SetExpr, columns: &[Column], name: &str) -> String {
    let list = list(columns);
    format!("SELECT {list}, row_number() OVER (PARTITION BY {list}) AS \"{NUMBER}\" FROM ({side}) AS \"{name}\"")
}

fn list(columns: &[Column]) -> String {
    let names: Vec<String> =
        columns.iter().map(|column| format!("\"{}\"", column.planned.replace('"', "\"\""))).collect();
    names.join(", ")
}

/// A query of nothing but this.
pub(super) fn wrapped(body: SetExpr) -> Query {
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

/// What stands for an operand while it is moved.
pub(super) fn nothing() -> SetExpr {
    SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: vec![] })
}
