//! The header of an HDU: cards of 80 characters, `KEYWORD = value / comment`, in blocks of 2880 bytes.
//!
//! Values stay text until somebody asks for a number, because only the asker knows what the standard wants there. Of a
//! keyword that is given twice the first counts. What is no value (COMMENT, HISTORY, blank cards) is passed over, and so is
//! HIERARCH where it does not describe columns.

use std::collections::HashMap;

/// Everything in a FITS file comes in blocks of so many bytes.
pub(super) const BLOCK: usize = 2880;

/// The length of a card.
const CARD: usize = 80;

/// What the cards of columns beyond the 998th begin with, by the convention of STIL.
const EXTENDED: &str = "HIERARCH XT ";

/// The cards of a header that have a value.
#[derive(Debug, Default)]
pub(super) struct Header {
    cards: HashMap<String, Card>,
    /// The keyword whose text may go on in a CONTINUE card.
    open: Option<String>,
}

#[derive(Debug)]
struct Card {
    value: Value,
    comment: String,
}

#[derive(Debug, PartialEq)]
enum Value {
    /// In quotes
    Text(String),
    /// A number or a truth value, as written
    Plain(String),
}

impl Header {
    /// Reads the cards of a block; tells whether END was among them.
    pub(super) fn add_block(&mut self, block: &[u8]) -> bool {
        for card in block.chunks_exact(CARD) {
            if card[..8] == *b"END     " {
                return true;
            }
            self.add(card);
        }
        false
    }

    fn add(&mut self, card: &[u8]) {
        let keyword = characters(&card[..8]).trim_end().to_owned();
        let open = self.open.take();
        if keyword == "CONTINUE" {
            self.go_on(open, &card[8..]);
        } else if card[8..10] == *b"= " {
            self.keep(keyword, &card[10..]);
        } else if card.starts_with(EXTENDED.as_bytes())
            && let Some(equals) = card.iter().position(|byte| *byte == b'=')
        {
            self.keep(characters(&card[..equals]).trim_end().to_owned(), &card[equals + 1..]);
        }
    }

    fn keep(&mut self, keyword: String, rest: &[u8]) {
        let (value, comment) = value_and_comment(rest);
        if matches!(&value, Value::Text(text) if text.ends_with('&')) {
            self.open = Some(keyword.clone());
        }
        self.cards.entry(keyword).or_insert(Card { value, comment });
    }

    /// How many columns a binary table has. By the convention of STIL those beyond 998 share the bytes of the last one of
    /// TFIELDS; their own cards here take the place of those of that one.
    pub(super) fn unfold_columns(&mut self) -> Result<u64, String> {
        let fields = self.count("TFIELDS")?;
        if fields > 999 {
            return Err(format!("TFIELDS is {fields}; the standard allows 999"));
        }
        if self.integer("XT_ICOL")?.is_none() || self.integer("XT_NCOL")?.is_none() {
            return Ok(fields);
        }
        let (shared, all) = (self.count("XT_ICOL")?, self.count("XT_NCOL")?);
        if shared != fields || all < fields {
            return Err(format!("XT_ICOL is {shared} and XT_NCOL is {all}, which does not go with TFIELDS = {fields}"));
        }
        let shared = shared.to_string();
        let of_shared = |keyword: &str| {
            let root = keyword.strip_suffix(&shared).filter(|root| root.starts_with('T'));
            root.is_some_and(|root| root.bytes().all(|byte| byte.is_ascii_uppercase()))
        };
        self.cards.retain(|keyword, _| !of_shared(keyword));
        let cards = std::mem::take(&mut self.cards).into_iter();
        self.cards = cards.map(|(keyword, card)| (keyword.replacen(EXTENDED, "", 1), card)).collect();
        Ok(all)
    }

    /// A long text: the part before ended with `&`, which gives way to the next part.
    fn go_on(&mut self, open: Option<String>, rest: &[u8]) {
        let Some(keyword) = open else { return };
        let (Value::Text(more), comment) = value_and_comment(rest) else { return };
        let Some(Card { value: Value::Text(text), comment: said }) = self.cards.get_mut(&keyword) else { return };
        // The card that opened it may have been a repetition, which did not count.
        if !text.ends_with('&') {
            return;
        }
        if said.is_empty() {
            *said = comment;
        }
        text.pop();
        text.push_str(&more);
        if text.ends_with('&') {
            self.open = Some(keyword);
        }
    }

    /// A text value.
    pub(super) fn text(&self, keyword: &str) -> Option<&str> {
        match self.cards.get(keyword) {
            Some(Card { value: Value::Text(text), .. }) => Some(text),
            _ => None,
        }
    }

    /// What is said behind a value, after the slash.
    pub(super) fn comment(&self, keyword: &str) -> Option<&str> {
        self.cards.get(keyword).map(|card| card.comment.as_str()).filter(|comment| !comment.is_empty())
    }

    /// A whole number.
    pub(super) fn integer(&self, keyword: &str) -> Result<Option<i64>, String> {
        let Some(card) = self.cards.get(keyword) else { return Ok(None) };
        match &card.value {
            Value::Plain(text) if text.is_empty() => Ok(None),
            Value::Plain(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{keyword} is {text}, which is no whole number that can be used")),
            },
            Value::Text(text) => Err(format!("{keyword} is '{text}', where a whole number must be")),
        }
    }

    /// A whole number that the standard demands, of a certain range.
    pub(super) fn count(&self, keyword: &str) -> Result<u64, String> {
        match self.integer(keyword)? {
            None => Err(format!("{keyword} is missing")),
            Some(number) => u64::try_from(number).map_err(|_| format!("{keyword} is {number}, which is negative")),
        }
    }

    /// A number, `1.5D0` as well as `1.5E0`.
    pub(super) fn real(&self, keyword: &str) -> Result<Option<f64>, String> {
        let Some(card) = self.cards.get(keyword) else { return Ok(None) };
        match &card.value {
            Value::Plain(text) if text.is_empty() => Ok(None),
            Value::Plain(text) => match text.replace(['D', 'd'], "E").parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(format!("{keyword} is {text}, which is no number")),
            },
            Value::Text(text) => Err(format!("{keyword} is '{text}', where a number must be")),
        }
    }

    /// Whether a keyword is there and true.
    pub(super) fn is_true(&self, keyword: &str) -> bool {
        matches!(self.cards.get(keyword), Some(Card { value: Value::Plain(text), .. }) if text == "T")
    }
}

/// What stands behind the keyword.
fn value_and_comment(bytes: &[u8]) -> (Value, String) {
    let text = characters(bytes);
    let text = text.trim_start();
    let (value, rest) = match text.strip_prefix('\'') {
        Some(quoted) => {
            let (value, rest) = unquote(quoted);
            (Value::Text(value), rest)
        }
        None => {
            let end = text.find('/').unwrap_or(text.len());
            (Value::Plain(text[..end].trim_end().to_owned()), &text[end..])
        }
    };
    let comment = rest.trim_start().strip_prefix('/').unwrap_or_default();
    (value, comment.trim().to_owned())
}

/// The text up to the closing quote, of which `''` is none, without the blanks at its end; and what follows.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = quoted;
    while let Some(quote) = rest.find('\'') {
        value.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return (value.trim_end().to_owned(), rest),
        }
    }
    value.push_str(rest);
    (value.trim_end().to_owned(), "")
}

/// Headers are ASCII by the standard. Those that are not hold names of people in UTF-8 or in Latin 1.
fn characters(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cards: &[&str]) -> Header {
        let mut header = Header::default();
        let block: Vec<u8> = cards.iter().flat_map(|card| format!("{card:80}").into_bytes()).collect();
        assert!(!header.add_block(&block));
        header
    }

    #[test]
    fn a_text_keeps_its_doubled_quotes_and_loses_the_blanks_at_its_end() {
        let header = header(&["OBSERVER= 'O''Hara  '           / who / looked", "EMPTY   = ''", "SLASH   = 'a/b'"]);
        assert_eq!(header.text("OBSERVER"), Some("O'Hara"));
        assert_eq!(header.comment("OBSERVER"), Some("who / looked"));
        assert_eq!(header.text("EMPTY"), Some(""));
        assert_eq!(header.text("SLASH"), Some("a/b"));
        assert_eq!(header.comment("SLASH"), None);
    }

    #[test]
    fn a_long_text_goes_on_in_continue_cards() {
        let header = header(&[
            "TCOMM1  = 'the mean &'",
            "CONTINUE  'position, it''s &' / said here",
            "CONTINUE  'epoch 2000'",
            "CONTINUE  'nobody asked'",
            "TUNIT1  = 'a&'",
            "TUNIT2  = 'b'",
        ]);
        assert_eq!(header.text("TCOMM1"), Some("the mean position, it's epoch 2000"));
        assert_eq!(header.comment("TCOMM1"), Some("said here"));
        assert_eq!(header.text("TUNIT1"), Some("a&"));
    }

    #[test]
    fn numbers_are_read_in_free_format_and_what_is_none_is_refused() {
        let header = header(&[
            "NAXIS1  =                   48 / length",
            "NAXIS2  =-7",
            "TZERO1  = 9.223372036854775808D18",
            "TZERO2  = 9223372036854775808",
            "TFIELDS = 'six'",
            "PCOUNT  = 99999999999999999999",
            "TNULL1  =                      / not set",
            "SIMPLE  =                    T",
        ]);
        assert_eq!(header.count("NAXIS1"), Ok(48));
        assert_eq!(header.count("NAXIS2").unwrap_err(), "NAXIS2 is missing");
        assert_eq!(header.real("TZERO1"), Ok(Some(9_223_372_036_854_775_808.0)));
        assert_eq!(header.real("TZERO2"), Ok(Some(9_223_372_036_854_775_808.0)));
        assert_eq!(header.integer("TFIELDS").unwrap_err(), "TFIELDS is 'six', where a whole number must be");
        assert!(header.integer("PCOUNT").unwrap_err().contains("99999999999999999999"));
        assert_eq!(header.integer("TNULL1"), Ok(None));
        assert_eq!(header.integer("ABSENT"), Ok(None));
        assert!(header.is_true("SIMPLE") && !header.is_true("NAXIS1"));
    }

    #[test]
    fn cards_without_a_value_are_passed_over_and_the_first_of_two_counts() {
        let header = header(&[
            "COMMENT = 'no value'",
            "HIERARCH ESO TEL = 'x'",
            "",
            "NAXIS   = 1",
            "NAXIS   = 2",
            "CONTINUE  'lost'",
            "EXTNAME = 'one'",
            "EXTNAME = 'two&'",
            "CONTINUE  'lost'",
        ]);
        assert_eq!(header.integer("NAXIS"), Ok(Some(1)));
        assert_eq!(header.text("EXTNAME"), Some("one"));
        assert_eq!(header.text("HIERARCH"), None);
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_with_its_card() {
        assert_eq!(header(&["EXTNAME = 'stars"]).text("EXTNAME"), Some("stars"));
    }
}
