//! What the parser found and did not expect, in a sentence that helps.

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    parser::ParserError,
    tokenizer::{Token, TokenWithSpan},
};

use super::words;
use crate::{
    EngineError, Mistake,
    error::{nearest, placed_in},
};

/// The parser's complaint about these tokens of a text.
pub(super) fn mistake(text: &str, tokens: &[TokenWithSpan], error: ParserError) -> EngineError {
    let mistake = match placed_in(text, error.into()) {
        EngineError::Mistake(mistake) => mistake,
        other => return other,
    };
    let stands = |token: &TokenWithSpan| {
        Some(token.span.start.line) == mistake.line && Some(token.span.start.column) == mistake.column
    };
    let Some(mut at) = tokens.iter().position(stands) else { return mistake.into() };
    // The parser tells the place of what comes next, now and then.
    let found = mistake.message.rsplit("found: ").next().unwrap_or_default();
    if tokens[at].to_string() != found && at > 0 && tokens[at - 1].to_string() == found {
        at -= 1;
    }
    let message = better(&tokens[..at], &tokens[at]).unwrap_or(mistake.message);
    Mistake::at(message, tokens[at].span.start).into()
}

fn better(before: &[TokenWithSpan], found: &TokenWithSpan) -> Option<String> {
    let earlier = |word: Keyword| before.iter().rev().any(|token| keyword(token) == Some(word));
    let last = before.last().map(|token| &token.token);
    match keyword(found) {
        Some(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT)
            if earlier(Keyword::ORDER) || earlier(Keyword::OFFSET) || earlier(Keyword::LIMIT) =>
        {
            Some(format!(
                "{} after ORDER BY, OFFSET or LIMIT: put the part that is ordered in parentheses, or order the whole at the end",
                found.token
            ))
        }
        Some(Keyword::ORDER) if earlier(Keyword::OFFSET) || earlier(Keyword::LIMIT) => {
            Some("ORDER BY comes before OFFSET and LIMIT".into())
        }
        Some(Keyword::WHERE) if earlier(Keyword::ORDER) || earlier(Keyword::GROUP) => {
            Some("WHERE comes after FROM and before GROUP BY and ORDER BY".into())
        }
        Some(Keyword::FROM) if last == Some(&Token::Comma) => {
            Some("after the comma before FROM a column is missing".into())
        }
        Some(Keyword::FROM) if before.last().is_some_and(|token| keyword(token) == Some(Keyword::SELECT)) => {
            Some("between SELECT and FROM the columns are missing; * stands for all of them".into())
        }
        Some(_) => match &found.token {
            Token::Word(word) if words::is_reserved(&word.value) => Some(format!(
                "{} is not expected here; a name that is a reserved word stands in double quotes, \"{}\"",
                word.value, word.value
            )),
            _ => None,
        },
        None if found.token == Token::RParen && last == Some(&Token::Comma) => {
            Some("after the comma something is missing before )".into())
        }
        None => misspelt(last?),
    }
}

/// The word of a clause that a name before something unexpected may stand for.
fn misspelt(before: &Token) -> Option<String> {
    let Token::Word(word) = before else { return None };
    let clauses = ["FROM", "WHERE", "GROUP", "ORDER", "HAVING", "JOIN", "UNION", "OFFSET"];
    let near = nearest(&word.value, clauses.into_iter()).filter(|_| word.keyword == Keyword::NoKeyword)?;
    Some(format!("{} begins no clause; did you mean {near}?", word.value))
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) if word.keyword != Keyword::NoKeyword => Some(word.keyword),
        _ => None,
    }
}
