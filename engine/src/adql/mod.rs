//! The ADQL front end: from text to the syntax tree that DataFusion plans, with every name resolved.
//!
//! ```text
//!   text ─ tokens, bound ─▶ tokens ─ sqlparser with our dialect ─▶ tree ─ resolve ─▶ tree of exact names and planned functions
//! ```
//! Geometry is plain functions here, under names that no function of the planner has. What the tree cannot tell, types of
//! expressions first, is the planner's; its mistakes are put into sentences by `crate::error`.
//!
//! The whole of ADQL 2.1 is read, with all optional features. Decided where the standard leaves room or practice is wider:
//!
//! | | |
//! |---|---|
//! | accepted beyond the standard | `LIMIT`, `CASE`, window functions, `FILTER`, `CROSS JOIN`, queries as values, `SELECT` without `FROM` of constants, `%`, `& \| ^ ~` and `0x1F`, one item after `IN`, `IS NULL` of expressions, names that begin with `_`, comments in `/* */`, one `;` at the end, `EXPLAIN` before a query, the planner's functions that are not boundless, `NULLS FIRST`, `TRUE` and `FALSE`, `DATE '…'` and `TIMESTAMP '…'`, `ESCAPE`, `UNNEST` in the list after `SELECT`, lists of values before `IN` |
//! | refused as the standard does | reserved words as names, types of other languages, `WITH` but at the beginning, geometry and numbers as conditions, `ORDER BY` of a part of `UNION` without parentheses |
//! | truth values | columns that are true or false stand as conditions, or are compared with 1, 0, `'true'`, `'false'`, `TRUE`, `FALSE` |
//! | delimited names | are compared to the letter with the declared name; those of tables without regard to case, as no two tables differ by it |
//! | regular names | find the column that differs by case alone; of several, that which is written the same |
//! | names of an answer | the alias as it is written; the declared name of a column; the text of an expression; a name that is taken gets `_2` |
//! | `^` | is exclusive or and binds as the parser's dialects have it: `&` first, then `^`, then `\|`, all before comparisons |
//! | coordinate systems | ICRS or none: another is refused rather than passed over |
//! | casts | a value of a row that does not fit is NULL, a literal that does not fit is a mistake; real numbers lose what follows the point; a text becomes a number by CAST alone |
//! | numbers | a whole literal beyond BIGINT is a DOUBLE PRECISION; bytes without a sign are reckoned with as INTEGER |
//! | brackets | `flux[3]` counts from 1; a name in brackets is that of an element: `flux[jplus::rSDSS]`; a column goes in parentheses: `flux[(band)]` |
//! | bounds | 4 MiB of text, 300 levels, 10 brackets within each other, 200 tables, 5,000 columns of an answer, 500 of GROUP BY and of ORDER BY, 100 operands of `UNION`, 100 operators in a row but for AND and OR |

mod calls;
mod casts;
mod dialect;
mod expression;
mod from;
mod items;
mod order;
mod resolve;
mod scope;
mod sets;
mod syntax;
mod tokens;
mod within;
mod words;

use datafusion::sql::sqlparser::{
    ast::{DescribeAlias, Statement},
    parser::Parser,
};

pub use dialect::AdqlDialect;
pub(crate) use items::{COLUMNS, too_many as too_many_columns};

use crate::{
    EngineError, Mistake, TableSet,
    bounded::{RECURSION, bound},
};
use resolve::Resolver;

/// A query as the planner gets it.
pub(crate) struct Parsed {
    pub(crate) statement: Statement,
    /// What the columns of the answer are called.
    pub(crate) names: Vec<String>,
}

/// Parses an ADQL query over these tables and rewrites it for the planner. `EXPLAIN` in front of it comes back as such.
pub(crate) fn parse(text: &str, tables: &TableSet) -> Result<Parsed, EngineError> {
    let tokens::Tokens { tokens, explain } = tokens::read(text)?;
    let tokens = bound(tokens)?;
    let mut parser =
        Parser::new(&AdqlDialect).with_recursion_limit(RECURSION).with_tokens_with_locations(tokens.clone());
    let parsed = parser.parse_statements().map_err(|error| syntax::mistake(text, &tokens, error))?;
    let Ok([mut statement]) = <[Statement; 1]>::try_from(parsed) else {
        return Err(Mistake::new("one query is expected, no more and no less").into());
    };
    let Statement::Query(query) = &mut statement else {
        return Err(Mistake::new("ADQL only asks: the query must begin with SELECT or WITH").into());
    };
    let mut resolver = Resolver::new(tables);
    let columns = resolver.query(query, None, true).map_err(|mistake| match resolver.unknown.into_inner() {
        Some(name) => EngineError::UnknownTable { name, mistake },
        None => mistake.into(),
    })?;
    let names = columns.into_iter().map(|column| column.name).collect();
    Ok(Parsed { statement: if explain { explained(statement) } else { statement }, names })
}

fn explained(statement: Statement) -> Statement {
    Statement::Explain {
        describe_alias: DescribeAlias::Explain,
        analyze: false,
        verbose: false,
        query_plan: false,
        estimate: false,
        statement: Box::new(statement),
        format: None,
        options: None,
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::{refusal, rewritten};

    #[test]
    fn top_becomes_a_limit() {
        assert_eq!(
            rewritten("SELECT TOP 5 ra FROM demo.stars ORDER BY ra"),
            r#"SELECT "ra" FROM "demo"."stars" ORDER BY "ra" LIMIT 5"#
        );
        assert_eq!(
            rewritten("SELECT TOP 5 ra FROM demo.stars OFFSET 3"),
            r#"SELECT "ra" FROM "demo"."stars" LIMIT 5 OFFSET 3"#
        );
        assert_eq!(
            rewritten("SELECT ra FROM (SELECT DISTINCT TOP 2 ra FROM demo.stars) AS s"),
            r#"SELECT "ra" FROM (SELECT DISTINCT "ra" FROM "demo"."stars" LIMIT 2) AS "s""#
        );
        assert_eq!(
            rewritten("SELECT TOP 1 ra FROM demo.stars UNION ALL SELECT TOP 2 plate FROM demo.plates"),
            r#"(SELECT "ra" FROM "demo"."stars" LIMIT 1) UNION ALL (SELECT "plate" FROM "demo"."plates" LIMIT 2)"#
        );
    }

    #[test]
    fn functions_get_the_names_of_the_plan_and_answers_are_called_as_they_were_asked_for() {
        assert_eq!(
            rewritten("SELECT ra FROM demo.stars WHERE 1=CONTAINS(POINT('ICRS', ra, dec), Circle(10, -20.5, 0.1))"),
            r#"SELECT "ra" FROM "demo"."stars" WHERE 1 = adql_contains(adql_point("ra", "dec"), adql_circle(10, -20.5, 0.1))"#
        );
        assert_eq!(
            rewritten("SELECT distance(ra, dec, 1, 2), ra FROM demo.stars"),
            r#"SELECT adql_distance("ra", "dec", 1, 2) AS "distance(ra, dec, 1, 2)", "ra" FROM "demo"."stars""#
        );
    }

    #[test]
    fn explain_comes_back_in_front_of_the_query() {
        assert_eq!(
            rewritten("explain SELECT TOP 1 ra FROM demo.stars;"),
            r#"EXPLAIN SELECT "ra" FROM "demo"."stars" LIMIT 1"#
        );
    }

    #[test]
    fn common_columns_are_those_of_the_side_that_has_a_row() {
        let from = |join: &str| {
            format!("SELECT source_id FROM demo.stars AS s {join} JOIN demo.plates AS p USING (source_id)")
        };
        for (join, column) in [
            ("", r#"SELECT "s"."source_id" FROM"#),
            ("LEFT", r#"SELECT "s"."source_id" FROM"#),
            ("RIGHT", r#"SELECT "p"."source_id" FROM"#),
            ("FULL", r#"SELECT coalesce("s"."source_id", "p"."source_id") AS "source_id" FROM"#),
        ] {
            let rewritten = rewritten(&from(join));
            assert!(rewritten.starts_with(column), "{rewritten}");
            assert!(rewritten.ends_with(r#"ON "s"."source_id" = "p"."source_id""#), "{rewritten}");
        }
    }

    #[test]
    fn names_casts_brackets_and_bits_become_what_the_planner_knows() {
        for (text, planned) in [
            ("RAJ2000", r#""raj2000""#),
            (r#""RAJ2000""#, r#""raj2000""#),
            ("flux[3]", r#"adql_element("flux", 3) AS "flux[3]""#),
            ("stars.flux[jplus::rSDSS] AS f", r#"adql_element("demo"."stars"."flux", 'jplus::rSDSS') AS "f""#),
            ("~flags & 0x1F AS b", r#"adql_bit_and(adql_bit_not("flags"), 31) AS "b""#),
            ("CAST(ra AS INTEGER) AS i", r#"TRY_CAST("ra" AS INTEGER) AS "i""#),
            ("CAST('7' AS INTEGER) AS i", r#"CAST('7' AS INTEGER) AS "i""#),
            ("CAST(ra AS CHAR(5)) AS c", r#"substr(CAST("ra" AS VARCHAR), 1, 5) AS "c""#),
            ("CAST('1 2' AS POINT) AS p", r#"adql_to_point('1 2') AS "p""#),
        ] {
            assert_eq!(
                rewritten(&format!("SELECT {text} FROM demo.stars")),
                format!(r#"SELECT {planned} FROM "demo"."stars""#)
            );
        }
    }

    #[test]
    fn what_is_no_query_is_refused_with_a_sentence() {
        for (text, sentence) in [
            ("", "one query is expected, no more and no less: there is none"),
            (" -- nothing\n ; ", "one query is expected, no more and no less: there is none"),
            (
                "SELECT 1; SELECT 2",
                "one query is expected, no more and no less: nothing may follow ; and it stands once (line 1, column 9)",
            ),
            (
                "SELECT 1;;",
                "one query is expected, no more and no less: nothing may follow ; and it stands once (line 1, column 9)",
            ),
            ("DROP TABLE t", "ADQL only asks: the query must begin with SELECT or WITH (line 1, column 1)"),
            (
                "SELECT ra FROM demo.stars WHERE",
                "Expected: an expression, found: the end of the query (line 1, column 32)",
            ),
        ] {
            assert_eq!(refusal(text), sentence, "{text}");
        }
        let deep = format!("SELECT {}1{} FROM demo.stars", "(".repeat(10_000), ")".repeat(10_000));
        assert!(refusal(&deep).starts_with("the query is nested too deeply"));
    }
}
