//! Where in a query a mistake is that the planner told without its place.
//!
//! The planner knows what is wrong and seldom where: its types have no places. What is to blame is the innermost expression
//! without which the query has no such mistake, so the query is planned again without this one or that.

use std::{future::Future, ops::ControlFlow};

use datafusion::sql::{
    parser::Statement,
    sqlparser::{
        ast::{self, Expr, Spanned, Value, VisitMut, Visitor, VisitorMut},
        tokenizer::Location,
    },
};

use crate::{EngineError, Mistake};

/// How often a query is planned again; fewer times if it has many columns.
const TRIES: usize = 40;
const COLUMNS: usize = 2_000;

/// The mistake with the place of what is to blame, if that is found.
pub(crate) async fn placed<F: Future<Output = Result<(), EngineError>>>(
    mistake: Mistake,
    statement: &Statement,
    columns: usize,
    plan: impl Fn(Statement) -> F,
) -> Mistake {
    let Statement::Statement(statement) = statement else { return mistake };
    let queries = ["a query", "NOT IN"].iter().any(|about| mistake.message.starts_with(about));
    let mut suspects = Suspects { found: Vec::new(), at: 0, message: &mistake.message, queries };
    let _ = ast::Visit::visit(&**statement, &mut suspects);
    let tries = TRIES.min(COLUMNS / columns.max(1) + 1);
    for (at, place) in suspects.found.into_iter().take(tries) {
        let mut without = statement.clone();
        let _ = without.visit(&mut Without { left: at });
        match plan(Statement::Statement(without)).await {
            Err(EngineError::Mistake(same)) if same.message == mistake.message => {}
            Ok(()) | Err(EngineError::Mistake(_)) => return Mistake::at(mistake.message, place),
            Err(_) => return mistake,
        }
    }
    mistake
}

/// The expressions that may be to blame, the innermost first: each with how many come before it.
struct Suspects<'a> {
    found: Vec<(usize, Location)>,
    at: usize,
    message: &'a str,
    /// Whether only a query within the query can be.
    queries: bool,
}

impl Visitor for Suspects<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let place = expr.span().start;
        let suspect = match expr {
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => true,
            _ if self.queries => false,
            Expr::Value(value) => matches!(&value.value, Value::SingleQuotedString(text)
                if self.message.contains(&format!("'{text}'"))),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Nested(_) => false,
            _ => true,
        };
        if suspect && place.line > 0 {
            self.found.push((self.at, place));
        }
        self.at += 1;
        ControlFlow::Continue(())
    }
}

/// Puts NULL in the place of one expression.
struct Without {
    left: usize,
}

impl VisitorMut for Without {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.left == 0 {
            *expr = Expr::value(Value::Null);
            return ControlFlow::Break(());
        }
        self.left -= 1;
        ControlFlow::Continue(())
    }
}
