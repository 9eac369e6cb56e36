//! From text to the tokens that are parsed, and what a token alone can tell.
//!
//! Characters that only look right, operators of other languages and misplaced clauses are told here, where their place is
//! known best. Some spellings become others that the parser knows:
//!
//! ```text
//!   0x1F                 →  31                    flux[jplus::rSDSS]   →  flux['jplus::rSDSS']
//!   demo.stars@3         →  demo."stars@3"        EXPLAIN SELECT …     →  SELECT …, and a flag
//! ```

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word},
};

use super::{dialect::AdqlDialect, words};
use crate::Mistake;

/// The longest text that is read. Longer lists of ids belong in an uploaded table.
const LONGEST: usize = 4 << 20;

/// The tokens of one query.
pub(super) struct Tokens {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Whether the query is to be explained rather than run.
    pub(super) explain: bool,
}

/// Reads one query.
pub(super) fn read(text: &str) -> Result<Tokens, Mistake> {
    if text.len() > LONGEST {
        return Err(Mistake::new(format!(
            "the query has {} bytes and may have {LONGEST}; upload a long list as a table and join with it",
            text.len()
        )));
    }
    let read = Tokenizer::new(&AdqlDialect, text).tokenize_with_location();
    let mut tokens = read.map_err(|error| Mistake::at(unterminated(&error.message), error.location))?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    strip_semicolon(&mut tokens)?;
    let explain = tokens.first().is_some_and(|token| is_word(token, "EXPLAIN"));
    if explain {
        tokens.remove(0);
    }
    first_word(&tokens)?;
    let tokens = spelt(tokens, text)?;
    clauses(&tokens)?;
    Ok(Tokens { tokens, explain })
}

fn unterminated(message: &str) -> String {
    if message.contains("Unterminated string literal") {
        "the text that begins here with ' has no end; a ' within a text is written twice".into()
    } else if message.contains("delimiter") {
        "the name that begins here with \" has no end; a \" within a name is written twice".into()
    } else if message.contains("comment") {
        "the comment that begins with /* has no end".into()
    } else {
        format!("this cannot be read: {message}")
    }
}

fn strip_semicolon(tokens: &mut Vec<TokenWithSpan>) -> Result<(), Mistake> {
    if tokens.last().is_some_and(|token| token.token == Token::SemiColon) {
        tokens.pop();
    }
    match tokens.iter().find(|token| token.token == Token::SemiColon) {
        Some(token) => Err(Mistake::at(
            "one query is expected, no more and no less: nothing may follow ; and it stands once",
            token.span.start,
        )),
        None => Ok(()),
    }
}

fn first_word(tokens: &[TokenWithSpan]) -> Result<(), Mistake> {
    match tokens.iter().find(|token| token.token != Token::LParen) {
        Some(token) if is_word(token, "SELECT") || is_word(token, "WITH") => Ok(()),
        Some(token) => Err(Mistake::at("ADQL only asks: the query must begin with SELECT or WITH", token.span.start)),
        None => Err(Mistake::new("one query is expected, no more and no less: there is none")),
    }
}

fn is_word(token: &TokenWithSpan, written: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(written))
}

/// Each token as the parser shall see it, or why it may not be there.
fn spelt(tokens: Vec<TokenWithSpan>, text: &str) -> Result<Vec<TokenWithSpan>, Mistake> {
    let mut spelt: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(TokenWithSpan { token, span }) = tokens.get(at).cloned() {
        at += 1;
        let next = tokens.get(at).filter(|next| next.span.start == span.end).map(|next| &next.token);
        let token = match token {
            Token::Word(word) => Token::Word(name(word, next, span)?),
            Token::Number(digits, long) => number(digits, long, next, span)?,
            Token::HexStringLiteral(digits) => hexadecimal(&digits, text, span)?,
            Token::AtSign => {
                version(&mut spelt, next, span)?;
                at += 1;
                continue;
            }
            Token::LBracket if spelt.last().is_some_and(can_have_elements) => {
                spelt.push(TokenWithSpan { token: Token::LBracket, span });
                if let Some((element, behind)) = element(&tokens, at) {
                    spelt.push(element);
                    at = behind;
                }
                continue;
            }
            Token::Eq if matches!(next, Some(Token::Lt | Token::Gt)) => {
                return Err(Mistake::at("at most and at least are written <= and >=", span.start));
            }
            other => match foreign(&other) {
                Some(sentence) => return Err(Mistake::at(sentence, span.start)),
                None => other,
            },
        };
        spelt.push(TokenWithSpan { token, span });
    }
    Ok(spelt)
}

fn name(mut word: Word, next: Option<&Token>, span: Span) -> Result<Word, Mistake> {
    if let Some(Token::Char(letter)) = next
        && word.quote_style.is_none()
        && letter.is_alphanumeric()
    {
        return Err(Mistake::at(
            format!(
                "{}{letter}… is no plain name, which has the letters A to Z, digits and _: put it in double quotes",
                word.value
            ),
            span.start,
        ));
    }
    if word.value.is_empty() {
        return Err(Mistake::at("a name in double quotes is empty", span.start));
    }
    if word.quote_style.is_some() || !words::is_parsed(&word.value) {
        word.keyword = Keyword::NoKeyword;
    }
    Ok(word)
}

fn number(digits: String, long: bool, next: Option<&Token>, span: Span) -> Result<Token, Mistake> {
    match next {
        Some(Token::Word(word)) if word.quote_style.is_none() => Err(Mistake::at(
            format!(
                "{digits}{word} is neither a number nor a name: a name begins with a letter, or stands in double quotes"
            ),
            span.start,
        )),
        Some(Token::Number(..)) => Err(Mistake::at("a number has one decimal point", span.start)),
        _ if long => Err(Mistake::at(format!("write the number {digits} without L"), span.start)),
        _ => Ok(Token::Number(digits, false)),
    }
}

fn hexadecimal(digits: &str, text: &str, span: Span) -> Result<Token, Mistake> {
    if !text[offset(text, span.start)..].starts_with("0x") {
        return Err(Mistake::at("there are no binary texts in ADQL; a hexadecimal number is written 0x1F", span.start));
    }
    match i64::from_str_radix(digits, 16) {
        Ok(value) => Ok(Token::Number(value.to_string(), false)),
        Err(_) if digits.is_empty() => Err(Mistake::at("0x is followed by hexadecimal digits, as in 0x1F", span.start)),
        Err(_) => Err(Mistake::at(format!("0x{digits} is more than a BIGINT can hold"), span.start)),
    }
}

/// `name @ 3` becomes one name.
fn version(spelt: &mut [TokenWithSpan], next: Option<&Token>, span: Span) -> Result<(), Mistake> {
    match (spelt.last_mut(), next) {
        (Some(TokenWithSpan { token: Token::Word(word), span: before }), Some(Token::Number(digits, _)))
            if before.end == span.start && digits.bytes().all(|digit| digit.is_ascii_digit()) =>
        {
            *word =
                Word { value: format!("{}@{digits}", word.value), quote_style: Some('"'), keyword: Keyword::NoKeyword };
            before.end = span.end;
            Ok(())
        }
        _ => Err(Mistake::at("@ stands between a table and the number of its version, as in demo.stars@3", span.start)),
    }
}

fn can_have_elements(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Word(Word { keyword: Keyword::NoKeyword, .. }) | Token::RParen | Token::RBracket)
}

/// The name of an element that stands in brackets from here on, as a text, and what comes behind it.
fn element(tokens: &[TokenWithSpan], from: usize) -> Option<(TokenWithSpan, usize)> {
    let part = |token: &&TokenWithSpan| {
        matches!(token.token, Token::Word(_) | Token::DoubleColon | Token::Period | Token::Number(..))
    };
    let name: Vec<&TokenWithSpan> = tokens[from..].iter().take_while(part).collect();
    let behind = from + name.len();
    let (first, last) = (name.first()?, name.last()?);
    if tokens.get(behind)?.token != Token::RBracket || !matches!(first.token, Token::Word(_)) {
        return None;
    }
    let span = Span::new(first.span.start, last.span.end);
    let written = name.iter().map(|token| match &token.token {
        Token::Word(word) => word.value.clone(),
        other => other.to_string(),
    });
    Some((TokenWithSpan { token: Token::SingleQuotedString(written.collect()), span }, behind))
}

/// Why a token is not of ADQL, if it is not.
fn foreign(token: &Token) -> Option<String> {
    use Token::*;
    let sentence = match token {
        Comma | Period | LParen | RParen | SemiColon | RBracket | SingleQuotedString(_) => return None,
        Eq | Neq | Lt | Gt | LtEq | GtEq | Plus | Minus | Mul | Div | Mod | StringConcat => return None,
        Ampersand | Pipe | Caret | Tilde | LBracket => return None,
        Char(letter) => return Some(look_alike(*letter)),
        DoubleEq => "equality is written with one =",
        RArrow => "at least is written >=",
        Spaceship => "there is no <=> in ADQL; compare with = and IS NULL",
        DoubleColon => "a type is given by CAST(x AS type), not by ::",
        Overlap => "and is written AND",
        ExclamationMark => "not is written NOT, and unequal <> or !=",
        Assignment => "equality is written =",
        Placeholder(_) | Question => "a query has no placeholders: write the value",
        Backslash => "there is no \\ in ADQL",
        NationalStringLiteral(_) | EscapedStringLiteral(_) | UnicodeStringLiteral(_) | DollarQuotedString(_) => {
            "a text is written in single quotes, without a letter before them"
        }
        Colon => "brackets take one element of an array, as in flux[3]",
        LBrace | RBrace => "there are no braces in ADQL",
        Sharp => "there is no # in ADQL; a comment begins with --",
        ShiftLeft | ShiftRight => "there are no shifts in ADQL; multiply or divide by a power of 2",
        other => return Some(format!("there is no {other} in ADQL")),
    };
    Some(sentence.to_owned())
}

/// What a character is taken for, and what is to be written instead.
fn look_alike(letter: char) -> String {
    let instead = match letter {
        '‘' | '’' | '‚' | '‛' | '′' | '´' | '`' | '‹' | '›' => {
            return format!(
                "{letter} is a typographic quote: a text stands in straight ' quotes, a name in straight \" quotes"
            );
        }
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => {
            return format!(
                "{letter} is a typographic quote: a text stands in straight ' quotes, a name in straight \" quotes"
            );
        }
        '−' | '–' | '—' | '‐' | '‑' | '‒' => "-",
        '×' | '·' | '∗' => "*",
        '÷' | '∕' | '⁄' => "/",
        '≤' => "<=",
        '≥' => ">=",
        '≠' => "<>",
        '，' => ",",
        '；' => ";",
        '（' => "(",
        '）' => ")",
        '＝' => "=",
        '\u{200b}' | '\u{feff}' | '\u{200e}' | '\u{200f}' | '\u{2060}' => {
            return format!("an invisible character (U+{:04X}) stands here: delete it", u32::from(letter));
        }
        other if other.is_alphabetic() => {
            return format!("a name with {other} stands in double quotes, a text in single ones");
        }
        other if other.is_control() => {
            return format!("the control character U+{:04X} may not stand in a query", u32::from(other));
        }
        other => return format!("{other} (U+{:04X}) may not stand in a query outside of quotes", u32::from(other)),
    };
    format!("{letter} (U+{:04X}) only looks like {instead}: write {instead}", u32::from(letter))
}

/// The order and the numbers of clauses, where the parser would only say what it expected.
fn clauses(tokens: &[TokenWithSpan]) -> Result<(), Mistake> {
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        if let (Token::Comma, Some(Token::Word(clause))) = (&token.token, next.map(|next| &next.token))
            && matches!(
                clause.keyword,
                Keyword::WHERE | Keyword::GROUP | Keyword::ORDER | Keyword::HAVING | Keyword::JOIN
            )
        {
            let sentence = format!("after the comma something is missing before {}", clause.value);
            return Err(Mistake::at(sentence, token.span.start));
        }
        let Token::Word(word) = &token.token else { continue };
        match word.keyword {
            Keyword::LIMIT if tokens.get(at + 2).is_some_and(|behind| behind.token == Token::Comma) => {
                let sentence = "LIMIT takes one number; what to pass over is told by OFFSET, as in LIMIT 10 OFFSET 20";
                return Err(Mistake::at(sentence, token.span.start));
            }
            Keyword::TOP if !follows_period(tokens, at) => top(&tokens[at + 1..], token.span.start)?,
            Keyword::OFFSET if next.is_some_and(|next| !whole(next)) => {
                return Err(Mistake::at(
                    "OFFSET takes a whole number that is not negative, as in OFFSET 100; \
                     a column of this name is written \"offset\"",
                    token.span.start,
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn follows_period(tokens: &[TokenWithSpan], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| tokens[before].token == Token::Period)
}

fn whole(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Number(digits, _) if digits.parse::<u64>().is_ok())
}

fn top(behind: &[TokenWithSpan], place: Location) -> Result<(), Mistake> {
    let quantifier = |token: &TokenWithSpan| is_word(token, "DISTINCT") || is_word(token, "ALL");
    if behind.iter().take(2).any(quantifier) {
        return Err(Mistake::at("DISTINCT and ALL come before TOP, as in SELECT DISTINCT TOP 10 …", place));
    }
    match behind.first() {
        Some(number) if whole(number) => Ok(()),
        _ => Err(Mistake::at(
            "TOP takes a whole number, as in SELECT TOP 10 …; a column of this name is written \"top\"",
            place,
        )),
    }
}

/// Where a place of a text lies in its bytes.
pub(super) fn offset(text: &str, place: Location) -> usize {
    let before: usize = text.split_inclusive('\n').take(place.line.saturating_sub(1) as usize).map(str::len).sum();
    let line = text[before..].lines().next().unwrap_or_default();
    let column = place.column.saturating_sub(1) as usize;
    before + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}
