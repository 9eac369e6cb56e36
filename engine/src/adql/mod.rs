//! The ADQL front end: a dialect of `sqlparser`, and a rewrite into what DataFusion plans.
//!
//! Geometry functions are ordinary functions here; they get a prefix so that they cannot be mistaken for string functions
//! of the same name. `TOP` becomes a limit. Everything else is the planner's.

mod dialect;
mod rewrite;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{Statement, VisitMut, VisitorMut},
    parser::Parser,
};

pub use dialect::AdqlDialect;

pub(crate) use rewrite::GEOMETRY;

use crate::{
    EngineError, Mistake,
    bounded::{check_chains, settle},
    error::placed_in,
};

/// How deeply a query may be nested.
const NESTING: usize = 256;

/// Parses an ADQL query and rewrites it for the planner.
pub fn parse(text: &str) -> Result<Statement, EngineError> {
    check_chains(&AdqlDialect, text)?;
    let parsed = Parser::new(&AdqlDialect)
        .with_recursion_limit(NESTING)
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| placed_in(text, error.into()))?;
    let Ok([mut statement]) = <[Statement; 1]>::try_from(parsed) else {
        return Err(Mistake::new("one query is expected, no more and no less").into());
    };
    settle(&mut statement)?;
    let Statement::Query(query) = &mut statement else {
        return Err(Mistake::new("ADQL only asks: the query must begin with SELECT or WITH").into());
    };
    rewrite::labels(query);
    match statement.visit(&mut Rewrite) {
        ControlFlow::Continue(()) => Ok(statement),
        ControlFlow::Break(mistake) => Err(mistake.into()),
    }
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = Mistake;

    fn pre_visit_query(&mut self, query: &mut datafusion::sql::sqlparser::ast::Query) -> ControlFlow<Mistake> {
        rewrite::top(query)
    }

    fn pre_visit_expr(&mut self, expr: &mut datafusion::sql::sqlparser::ast::Expr) -> ControlFlow<Mistake> {
        rewrite::arithmetic(expr);
        rewrite::geometry(expr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        parse(text).unwrap().to_string()
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn top_becomes_a_limit() {
        assert_eq!(rewritten("SELECT TOP 5 ra FROM t ORDER BY ra"), "SELECT ra FROM t ORDER BY ra LIMIT 5");
        assert_eq!(rewritten("SELECT TOP 5 ra FROM t OFFSET 3"), "SELECT ra FROM t LIMIT 5 OFFSET 3");
        assert_eq!(
            rewritten("SELECT ra FROM (SELECT DISTINCT TOP 2 ra FROM t) AS s"),
            "SELECT ra FROM (SELECT DISTINCT ra FROM t LIMIT 2) AS s"
        );
        assert_eq!(
            rewritten("SELECT TOP 1 a FROM t UNION ALL SELECT TOP 2 a FROM u"),
            "(SELECT a FROM t LIMIT 1) UNION ALL (SELECT a FROM u LIMIT 2)"
        );
    }

    #[test]
    fn geometry_functions_get_their_own_names() {
        assert_eq!(
            rewritten("SELECT * FROM t WHERE 1=CONTAINS(POINT('ICRS', ra, dec), Circle(10, -20.5, 0.1))"),
            "SELECT * FROM t WHERE 1 = adql_contains(adql_point(ra, dec), adql_circle(10, -20.5, 0.1))"
        );
        assert_eq!(
            rewritten("SELECT distance(ra, dec, 1, 2), ra FROM t"),
            "SELECT adql_distance(ra, dec, 1, 2) AS \"distance(ra, dec, 1, 2)\", ra FROM t",
            "and the answer is called as it was asked for"
        );
    }

    #[test]
    fn functions_mean_what_the_standard_says() {
        assert_eq!(
            rewritten("SELECT LOG(x) AS a, log10(x) AS b, MOD(x, 3) AS c, TRUNCATE(x, 2) AS d, CEILING(x) AS e FROM t"),
            "SELECT ln(x) AS a, log10(x) AS b, (x) % (3) AS c, trunc(x, 2) AS d, ceil(x) AS e FROM t"
        );
    }

    #[test]
    fn delimited_names_and_underscored_ones_are_names() {
        assert_eq!(
            rewritten(r#"SELECT "B-V", _RAJ2000 FROM "I/355"."gaia""#),
            r#"SELECT "B-V", _RAJ2000 FROM "I/355"."gaia""#
        );
    }

    #[test]
    fn what_is_no_query_is_refused_with_a_sentence() {
        assert!(refusal("").contains("one query is expected"));
        assert!(refusal("SELECT 1; SELECT 2").contains("one query is expected"));
        assert!(refusal("DROP TABLE t").contains("begin with SELECT"));
        let unfinished = refusal("SELECT a FROM t WHERE");
        assert!(unfinished.ends_with("the end of the query (line 1, column 22)"), "{unfinished}");
        assert!(refusal("SELECT TOP 5 PERCENT ra FROM t").contains("TOP"));
        assert!(refusal("SELECT TOP 1 ra FROM t LIMIT 2").contains("TOP"));
        assert!(
            refusal(&format!("SELECT {}1{} FROM t", "(".repeat(10_000), ")".repeat(10_000)))
                .contains("nested too deeply")
        );
    }

    #[test]
    fn geometry_that_is_not_understood_is_refused_by_name() {
        assert!(refusal("SELECT POLYGON(1,2,3,4,5,6) FROM t").contains("POLYGON"));
        assert!(refusal("SELECT * FROM t WHERE 1=INTERSECTS(a, b)").contains("INTERSECTS"));
        assert!(refusal("SELECT POINT('GALACTIC', l, b) FROM t").contains("GALACTIC"));
    }
}
