//! Texts whose tree would be deep, and texts that ask for what no query may: settled before there is a tree.
//!
//! Whoever copies or drops a tree recurses, so a deep enough tree ends the process. A chain such as `a OR b OR c …` is a tree
//! as deep as it is long. The tokens tell all of it: long chains of AND and OR, which people do write with thousands of
//! terms, get parentheses that do not change their meaning; other chains, and what is nested too deeply, are refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{Query, Statement, TableFactor, VisitMut, VisitorMut},
    dialect::Dialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use crate::{EngineError, Mistake, error::placed_in};

/// How deep the parser may go. The tokens have bounded the tree before; this is for what they could not tell.
pub(crate) const RECURSION: usize = 700;

/// How many operators may follow each other without a comma, a parenthesis, or AND and OR between them.
const CHAIN: usize = 100;

/// How deep the tree of a text may be, as its tokens tell.
const DEPTH: usize = 300;

/// How many SELECTs one text may combine by UNION, INTERSECT and EXCEPT.
const SET_OPERATIONS: usize = 100;

/// How many brackets may be open within each other: the parser reads the inner ones twice.
const BRACKETS: usize = 10;

/// How many parts a name may have: catalogue, schema, table, column, and two for parts of a value.
const DOTS: usize = 5;

/// The most terms of AND or OR that are left side by side.
const GROUP: usize = 16;

/// The tokens of a text whose tree is nowhere too deep: others are refused, and long chains of AND and OR get
/// parentheses that do not change their meaning.
pub(crate) fn bound(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, Mistake> {
    let mut depth = Depth::default();
    let mut chains = Chains::default();
    let mut before = Place::Clause;
    for (at, token) in tokens.iter().enumerate() {
        let place = Place::of(&token.token).behind(before, &token.token);
        before = place;
        depth.pass(&token.token, place);
        if let Some(sentence) = depth.excess() {
            return Err(Mistake::at(sentence, token.span.start));
        }
        chains.pass(at, place);
    }
    Ok(chains.grouped(tokens))
}

/// Parses one statement of SQL, within the same bounds as ADQL.
pub(crate) fn parse(dialect: &dyn Dialect, text: &str) -> Result<Statement, EngineError> {
    let read = Tokenizer::new(dialect, text).tokenize_with_location();
    let mut tokens = read.map_err(|error| EngineError::from(ParserError::from(error)))?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    let tokens = bound(tokens)?;
    let mut parser = Parser::new(dialect).with_recursion_limit(RECURSION).with_tokens_with_locations(tokens);
    let parsed = parser.parse_statements().map_err(|error| placed_in(text, error.into()))?;
    let Ok([mut statement]) = <[Statement; 1]>::try_from(parsed) else {
        return Err(Mistake::new("one query is expected, no more and no less").into());
    };
    settle(&mut statement)?;
    Ok(statement)
}

/// What a token does to the shape of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Opens,
    Closes,
    And,
    Or,
    Between,
    Operator,
    Clause,
    Sets,
    Dot,
    Name,
    Other,
}

impl Place {
    fn of(token: &Token) -> Self {
        match token {
            Token::LParen | Token::LBracket => Self::Opens,
            Token::RParen | Token::RBracket => Self::Closes,
            Token::Comma | Token::SemiColon => Self::Clause,
            Token::Period => Self::Dot,
            Token::Word(word) => Self::of_word(word.keyword),
            Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_) => Self::Other,
            _ => Self::Operator,
        }
    }

    /// Where an operand must follow, the parser takes the word of a clause for a name; and `*` is no operator where an
    /// operand was to come.
    fn behind(self, before: Self, token: &Token) -> Self {
        let open = matches!(before, Self::Operator | Self::And | Self::Or | Self::Between);
        match self {
            Self::Clause | Self::Sets if open && matches!(token, Token::Word(_)) => Self::Name,
            Self::Operator if *token == Token::Mul && !matches!(before, Self::Name | Self::Other | Self::Closes) => {
                Self::Other
            }
            other => other,
        }
    }

    fn of_word(word: Keyword) -> Self {
        use Keyword::{
            AND, AS, AT, BETWEEN, BY, CASE, COLLATE, DIV, ELSE, END, ESCAPE, EXCEPT, FROM, GROUP, HAVING, ILIKE, IN,
            INTERSECT, INTERVAL, IS, JOIN, LIKE, LIMIT, MATCH, NOT, NOTNULL, OFFSET, ON, OPERATOR, OR, ORDER, OVERLAPS,
            REGEXP, RLIKE, SELECT, SIMILAR, THEN, UNION, USING, WHEN, WHERE, XOR,
        };
        match word {
            CASE => Self::Opens,
            END => Self::Closes,
            AND => Self::And,
            OR => Self::Or,
            BETWEEN => Self::Between,
            UNION | INTERSECT | EXCEPT => Self::Sets,
            IS | NOT | LIKE | ILIKE | IN | COLLATE | AT | DIV | ESCAPE | INTERVAL | MATCH | NOTNULL | OPERATOR
            | OVERLAPS | REGEXP | RLIKE | SIMILAR | XOR => Self::Operator,
            SELECT | FROM | WHERE | ON | HAVING | GROUP | ORDER | BY | WHEN | THEN | ELSE | JOIN | LIMIT | OFFSET
            | AS | USING => Self::Clause,
            _ => Self::Name,
        }
    }
}

/// How deep the tree is where a token stands.
#[derive(Default)]
struct Depth {
    /// Operators and logical operators of each open parenthesis, and of the text itself.
    open: Vec<(usize, usize)>,
    here: (usize, usize),
    /// The depth of all that is open.
    below: usize,
    sets: usize,
    brackets: usize,
    dots: usize,
    after_word: bool,
}

impl Depth {
    fn pass(&mut self, token: &Token, place: Place) {
        match place {
            Place::Opens => {
                self.below += self.cost() + 1;
                self.open.push(std::mem::take(&mut self.here));
            }
            Place::Closes => {
                if let Some(here) = self.open.pop() {
                    self.here = here;
                    self.below -= self.cost() + 1;
                }
            }
            Place::And | Place::Or => self.here = (0, self.here.1 + 1),
            Place::Between | Place::Operator => self.here.0 += 1,
            Place::Clause | Place::Sets => self.here = (0, 0),
            Place::Dot => self.dots += 1,
            Place::Name | Place::Other => {}
        }
        match token {
            Token::LBracket => self.brackets += 1,
            Token::RBracket => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        // Counted wherever it stands: what must be a name behind AND is none to a parser that took AND for one.
        if matches!(token, Token::Word(word) if Place::of_word(word.keyword) == Place::Sets) {
            self.sets += 1;
        }
        // Two words that follow each other are not of one name.
        let is_word = matches!(token, Token::Word(_));
        if !is_word && *token != Token::Period || is_word && self.after_word {
            self.dots = 0;
        }
        self.after_word = is_word;
    }

    fn cost(&self) -> usize {
        let (operators, logical) = self.here;
        // A chain of n terms has a tree of this depth once it is grouped.
        let levels = logical.checked_ilog(GROUP).unwrap_or(0) as usize;
        operators + logical.min(GROUP * (levels + 1))
    }

    fn excess(&self) -> Option<String> {
        if self.here.0 > CHAIN {
            Some(format!("more than {CHAIN} operators follow each other; use parentheses, or IN for a list"))
        } else if self.sets > SET_OPERATIONS {
            Some(format!("a query combines at most {SET_OPERATIONS} others; ask in parts"))
        } else if self.below + self.cost() > DEPTH {
            Some("the query is nested too deeply".to_owned())
        } else if self.brackets > BRACKETS {
            Some(format!("the query is nested too deeply: more than {BRACKETS} brackets are open within each other"))
        } else if self.dots > DOTS {
            Some("a name has at most three dots, as in catalogue.schema.table.column".to_owned())
        } else {
            None
        }
    }
}

/// Where the operators of chains stand.
///
/// ```text
///   a OR b OR c OR … OR y OR z   →   a OR (b OR … ) OR ( … ) OR … OR z
/// ```
/// Only what lies between two operators of one chain is put in parentheses, so it does not matter where a chain begins
/// and ends. Groups are grouped in turn, so that the depth grows as the logarithm of the length.
#[derive(Default)]
struct Chains {
    open: Vec<Level>,
    here: Level,
    /// How many parentheses to close before a token, and to open behind it.
    around: Vec<(usize, usize, usize)>,
}

#[derive(Default)]
struct Level {
    ands: Vec<usize>,
    ors: Vec<usize>,
    betweens: usize,
}

impl Chains {
    fn pass(&mut self, at: usize, place: Place) {
        match place {
            Place::Opens => self.open.push(std::mem::take(&mut self.here)),
            Place::Closes => {
                self.end();
                self.here = self.open.pop().unwrap_or_default();
            }
            Place::Between => self.here.betweens += 1,
            Place::And if self.here.betweens > 0 => self.here.betweens -= 1,
            Place::And => self.here.ands.push(at),
            Place::Or => {
                self.end_of_ands();
                self.here.betweens = 0;
                self.here.ors.push(at);
            }
            Place::Clause | Place::Sets => self.end(),
            Place::Operator | Place::Dot | Place::Name | Place::Other => {}
        }
    }

    fn end(&mut self) {
        self.end_of_ands();
        self.here.betweens = 0;
        let ors = std::mem::take(&mut self.here.ors);
        self.group(&ors);
    }

    fn end_of_ands(&mut self) {
        let ands = std::mem::take(&mut self.here.ands);
        self.group(&ands);
    }

    fn group(&mut self, operators: &[usize]) {
        for (index, &at) in operators.iter().enumerate() {
            let (mut closed, mut opened, mut size) = (0, 0, GROUP);
            while index % size == 0 && size < operators.len() {
                closed += usize::from(index > 0);
                opened += usize::from(index + size < operators.len());
                size *= GROUP;
            }
            if closed + opened > 0 {
                self.around.push((at, closed, opened));
            }
        }
    }

    fn grouped(mut self, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
        self.end();
        if self.around.is_empty() {
            return tokens;
        }
        self.around.sort_unstable();
        let mut around = self.around.into_iter().peekable();
        let mut grouped = Vec::with_capacity(tokens.len() + tokens.len() / 4);
        for (at, token) in tokens.into_iter().enumerate() {
            let (_, closed, opened) = around.next_if(|(place, ..)| *place == at).unwrap_or_default();
            let span = token.span;
            grouped.extend((0..closed).map(|_| TokenWithSpan { token: Token::RParen, span }));
            grouped.push(token);
            grouped.extend((0..opened).map(|_| TokenWithSpan { token: Token::LParen, span }));
        }
        grouped
    }
}

/// Refuses clauses that the planner would pass over in silence.
fn settle(statement: &mut Statement) -> Result<(), EngineError> {
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
}

fn refuse<const N: usize>(clauses: [(&str, bool); N]) -> ControlFlow<Mistake> {
    match clauses.into_iter().find(|(_, written)| *written) {
        Some((clause, _)) => ControlFlow::Break(Mistake::new(format!("{clause} is not available"))),
        None => ControlFlow::Continue(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;
    use crate::adql::AdqlDialect;

    /// What a text becomes on a small stack, and within a time that no debug build needs.
    fn settled(text: String) -> Result<String, String> {
        let parse = move || -> Result<String, String> {
            let start = Instant::now();
            let parsed = parse(&AdqlDialect, &text).map(|statement| statement.to_string());
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
            parsed.map_err(|error| error.to_string())
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(parse).unwrap().join().unwrap()
    }

    #[test]
    fn a_chain_of_conditions_keeps_its_terms_and_their_order() {
        for count in [1, 2, 15, 16, 17, 18, 31, 32, 33, 255, 256, 257, 258, 300, 4_097, 5_000] {
            for operator in ["OR", "AND"] {
                let terms: Vec<String> = (0..count).map(|i| format!("a{i} BETWEEN 1 AND 2")).collect();
                let text = format!("SELECT a FROM t WHERE {} GROUP BY a", terms.join(&format!(" {operator} ")));
                let settled = settled(text.clone()).unwrap();
                assert_eq!(settled.replace(['(', ')'], ""), text, "{count}");
                assert_eq!(settled.contains('('), count > 17, "{count}: {settled}");
            }
        }
    }

    #[test]
    fn groups_are_within_their_chain_whatever_stands_around_it() {
        let ands = vec!["NOT a = 1"; 40].join(" AND ");
        let ors = vec![ands.as_str(); 40].join(" OR ");
        let text = format!(
            "SELECT CASE WHEN {ors} THEN 1 ELSE 2 END, (x OR y) FROM t JOIN u ON {ors} WHERE f({ands}) = 1 HAVING {ors}"
        );
        let Statement::Query(query) = parse(&AdqlDialect, &text).unwrap() else { panic!("no query") };
        let settled = query.to_string();
        assert_eq!(settled.matches(" OR ").count(), 3 * 39 + 1);
        assert_eq!(settled.matches(" AND ").count(), (3 * 40 + 1) * 39);
        assert!(settled.starts_with("SELECT CASE WHEN NOT a = 1 AND (NOT a = 1 AND"), "{}", &settled[..80]);
    }

    #[test]
    fn a_hundred_thousand_conditions_are_parsed_or_refused_on_a_small_stack() {
        let terms: Vec<String> = (0..100_000).map(|i| format!("a={i}")).collect();
        for operator in [" OR ", " AND "] {
            let text = format!("SELECT a FROM t WHERE {}", terms.join(operator));
            assert!(settled(text.clone()).unwrap().len() > 500_000);
            assert!(settled(text + " OR )").unwrap_err().contains("Expected"));
        }
        let list = format!("SELECT a FROM t WHERE a IN ({})", terms.join(", ").replace("a=", ""));
        assert!(settled(list).unwrap().len() > 500_000);
    }

    #[test]
    fn other_chains_are_refused_before_there_is_a_tree() {
        for chain in [
            format!("SELECT {} FROM t", vec!["1"; 50_000].join("+")),
            format!("SELECT {}a FROM t", "- ".repeat(50_000)),
            format!("SELECT a FROM t WHERE a {}", "IS NULL ".repeat(50_000)),
            format!("SELECT {}a FROM t", "a.".repeat(50_000)),
            format!("SELECT {}1{} FROM t", "(".repeat(10_000), ")".repeat(10_000)),
            format!("SELECT {}1{} FROM t", "f(".repeat(10_000), ")".repeat(10_000)),
            format!("SELECT {}1{} FROM t", "CASE WHEN a THEN ".repeat(10_000), " END".repeat(10_000)),
            format!("SELECT * FROM {}t{}", "(".repeat(10_000), ")".repeat(10_000)),
            format!("{}SELECT 1 FROM t{}", "(".repeat(10_000), ")".repeat(10_000)),
            format!("SELECT a FROM t WHERE {}", "NOT ".repeat(10_000)),
            format!("SELECT {}a FROM t", "SELECT + ".repeat(2_000)),
            format!("SELECT a {}FROM t", "* SELECT ".repeat(2_000)),
            format!("SELECT {}a FROM t", "INTERVAL ".repeat(2_000)),
            "(".repeat(100_000),
            ")".repeat(100_000),
            "[".repeat(100_000),
            vec!["SELECT a FROM t"; 5_000].join(" UNION ALL "),
            format!("SELECT a FROM t {}", "UNION SELECT AND ".repeat(2_000)),
        ] {
            let refused = settled(chain.clone()).unwrap_err();
            let known = ["follow each other", "combines at most", "nested too deeply", "three dots", "xpected"];
            assert!(known.iter().any(|known| refused.contains(known)), "{}: {refused}", &chain[..60]);
        }
        settled(format!("SELECT {} FROM t", vec!["a+b*c AS x"; 5_000].join(","))).unwrap();
    }

    #[test]
    fn what_would_be_passed_over_in_silence_is_refused() {
        assert!(settled("SELECT a FROM t FOR UPDATE".into()).unwrap_err().contains("FOR UPDATE"));
        assert!(settled("SELECT a FROM t TABLESAMPLE BERNOULLI (1)".into()).unwrap_err().contains("TABLESAMPLE"));
        assert!(parse(&GenericDialect {}, "SELECT 1; SELECT 2").unwrap_err().to_string().contains("one query"));
    }
}
