//! Queries that are deep or ask for what no query may: settled before anything walks the syntax tree.
//!
//! A chain such as `a OR b OR c …` is a tree as deep as it is long, and whoever copies or drops a tree recurses: a long
//! enough chain would end the process. Chains of AND and OR, which people do write with thousands of terms, become
//! balanced trees; other chains are refused by the tokens, before there is a tree. Parentheses are bounded by the parser.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, Expr, Query, Statement, TableFactor, Value, VisitMut, VisitorMut},
    dialect::Dialect,
    keywords::Keyword,
    tokenizer::{Token, Tokenizer},
};

use crate::{EngineError, Mistake};

/// How many operators may follow each other without a comma, a parenthesis, or AND and OR between them.
const CHAIN: usize = 100;

/// How many SELECTs one text may combine by UNION, INTERSECT and EXCEPT.
const SET_OPERATIONS: usize = 100;

/// Refuses a text whose tree would be too deep.
pub(crate) fn check_chains(dialect: &dyn Dialect, text: &str) -> Result<(), EngineError> {
    let Ok(tokens) = Tokenizer::new(dialect, text).tokenize_with_location() else {
        return Ok(()); // the parser will say what is wrong with it
    };
    let (mut operators, mut sets) = (0, 0);
    for token in tokens {
        match &token.token {
            Token::Comma | Token::LParen | Token::RParen | Token::SemiColon => operators = 0,
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => sets += 1,
                Keyword::IS | Keyword::NOT | Keyword::LIKE | Keyword::ILIKE | Keyword::COLLATE | Keyword::BETWEEN => {
                    operators += 1
                }
                Keyword::AND | Keyword::OR | Keyword::SELECT | Keyword::FROM | Keyword::WHERE | Keyword::ON => {
                    operators = 0
                }
                _ => {}
            },
            Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Period => {}
            _ => operators += 1,
        }
        if operators > CHAIN || sets > SET_OPERATIONS {
            let message = match sets > SET_OPERATIONS {
                true => format!("a query combines at most {SET_OPERATIONS} others; ask in parts"),
                false => format!("more than {CHAIN} operators follow each other; use parentheses, or IN for a list"),
            };
            let start = token.span.start;
            return Err(Mistake { message, line: Some(start.line), column: Some(start.column) }.into());
        }
    }
    Ok(())
}

/// Balances chains of AND and OR, and refuses clauses that the planner would pass over in silence.
pub(crate) fn settle(statement: &mut Statement) -> Result<(), EngineError> {
    match statement.visit(&mut Settle) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(mistake) => Err(mistake.into()),
    }
}

struct Settle;

impl VisitorMut for Settle {
    type Break = Mistake;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Mistake> {
        let ignored = [
            ("FOR UPDATE or FOR SHARE", !query.locks.is_empty()),
            ("FOR", query.for_clause.is_some()),
            ("SETTINGS", query.settings.is_some()),
            ("FORMAT", query.format_clause.is_some()),
            ("|>", !query.pipe_operators.is_empty()),
        ];
        refuse(ignored)
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Mistake> {
        refuse([("TABLESAMPLE", matches!(table, TableFactor::Table { sample: Some(_), .. }))])
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Mistake> {
        if let Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } = expr {
            let op = op.clone();
            let terms = terms(std::mem::replace(expr, nothing()), &op);
            *expr = balanced(terms, &op);
        }
        ControlFlow::Continue(())
    }
}

fn refuse<const N: usize>(clauses: [(&str, bool); N]) -> ControlFlow<Mistake> {
    match clauses.into_iter().find(|(_, written)| *written) {
        Some((clause, _)) => ControlFlow::Break(Mistake::new(format!("{clause} is not available"))),
        None => ControlFlow::Continue(()),
    }
}

fn nothing() -> Expr {
    Expr::value(Value::Null)
}

/// The terms of a chain that leans to the left, taken apart without recursion.
fn terms(chain: Expr, op: &BinaryOperator) -> Vec<Expr> {
    let (mut terms, mut rest) = (Vec::new(), chain);
    loop {
        match rest {
            Expr::BinaryOp { left, op: here, right } if here == *op => {
                terms.push(*right);
                rest = *left;
            }
            first => {
                terms.push(first);
                terms.reverse();
                return terms;
            }
        }
    }
}

/// The same terms in the same order, as a tree of logarithmic depth.
fn balanced(mut terms: Vec<Expr>, op: &BinaryOperator) -> Expr {
    while terms.len() > 1 {
        let mut pairs = terms.into_iter();
        terms = Vec::new();
        while let Some(left) = pairs.next() {
            terms.push(match pairs.next() {
                Some(right) => Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) },
                None => left,
            });
        }
    }
    terms.pop().unwrap_or_else(nothing) // a chain has at least one term
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::adql::AdqlDialect;

    fn settled(text: &str) -> Result<String, EngineError> {
        check_chains(&AdqlDialect, text)?;
        let mut statement = Parser::parse_sql(&AdqlDialect, text)?.remove(0);
        settle(&mut statement)?;
        Ok(statement.to_string())
    }

    #[test]
    fn a_chain_of_conditions_keeps_its_terms_and_their_order() {
        for text in
            ["SELECT a FROM t WHERE a OR b OR c OR d OR e", "SELECT a FROM t WHERE a AND b OR c AND d AND e AND f"]
        {
            assert_eq!(settled(text).unwrap(), text);
        }
    }

    #[test]
    fn a_hundred_thousand_conditions_are_settled_on_a_small_stack() {
        let terms: Vec<String> = (0..100_000).map(|i| format!("a={i}")).collect();
        let text = format!("SELECT a FROM t WHERE {}", terms.join(" OR "));
        let settled = std::thread::Builder::new().stack_size(1 << 20).spawn(move || settled(&text).unwrap().len());
        assert!(settled.unwrap().join().unwrap() > 500_000);
    }

    #[test]
    fn other_chains_are_refused_before_there_is_a_tree() {
        for chain in [
            format!("SELECT {} FROM t", vec!["1"; 50_000].join("+")),
            format!("SELECT {}a FROM t", "- ".repeat(50_000)),
            format!("SELECT a FROM t WHERE a {}", "IS NULL ".repeat(50_000)),
            vec!["SELECT a FROM t"; 5_000].join(" UNION ALL "),
        ] {
            let refused = settled(&chain).unwrap_err().to_string();
            assert!(refused.contains("follow each other") || refused.contains("combines at most"), "{refused}");
        }
        settled(&format!("SELECT {} FROM t", vec!["a+b*c AS x"; 5_000].join(","))).unwrap();
    }

    #[test]
    fn what_would_be_passed_over_in_silence_is_refused() {
        assert!(settled("SELECT a FROM t FOR UPDATE").unwrap_err().to_string().contains("FOR UPDATE"));
        assert!(settled("SELECT a FROM t TABLESAMPLE BERNOULLI (1)").unwrap_err().to_string().contains("TABLESAMPLE"));
    }
}
