//! `hats.properties`: Java properties text, as HATS writes and reads it.
//!
//! Unknown keys are kept. Only the escapes that occur in the wild are understood: a backslash takes the next letter as it
//! stands, but for `\n`, `\r` and `\t`, which are a space, and at the end of a line it joins the next one.

use std::{collections::BTreeMap, fmt};

/// The key-value pairs of one properties file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// The value of a key. The text `None`, which other writers use for "not set", counts as absent.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty() && *value != "None")
    }

    /// All pairs by key, as they are written.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.0.insert(key.to_owned(), value.to_string());
    }

    /// Reads properties text. Every text is one: lines without a separator are keys without a value.
    pub fn parse(text: &str) -> Self {
        let mut pairs = BTreeMap::new();
        for line in logical_lines(text.trim_start_matches('\u{feff}')) {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = split_pair(line);
            pairs.insert(key, value);
        }
        Self(pairs)
    }
}

/// Joins the lines that end in an odd number of backslashes.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let mut whole = match open.take() {
            Some(begun) => begun + line.trim_start(),
            None => line.to_owned(),
        };
        let backslashes = whole.chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 {
            whole.pop();
            open = Some(whole);
        } else {
            lines.push(whole);
        }
    }
    lines.extend(open);
    lines
}

fn split_pair(line: &str) -> (String, String) {
    let mut key = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => key.extend(letters.next()),
            '=' | ':' => break,
            _ => key.push(letter),
        }
    }
    let mut value = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            // What separates the words of a list may be written as an escape.
            '\\' => {
                value.extend(letters.next().map(|letter| if matches!(letter, 'n' | 'r' | 't') { ' ' } else { letter }))
            }
            _ => value.push(letter),
        }
    }
    (key.trim().to_owned(), value.trim().to_owned())
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#HATS catalog")?;
        for (key, value) in &self.0 {
            writeln!(f, "{key}={}", value.replace('\\', "\\\\").replace(['\n', '\r'], " "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_comments_escapes_and_continued_lines_are_understood() {
        let text = "\u{feff}#HATS catalog\n! note\nobs_collection = small_sky\nhats_nrows:131\n\
                    hats_creation_date=2026-03-01T12\\:00UTC\nhats_cols_default=ra \\\n    dec\nall_margins=a\\nb\nhats_index_extra_column=None\n";
        let properties = Properties::parse(text);
        assert_eq!(properties.get("obs_collection"), Some("small_sky"));
        assert_eq!(properties.get("hats_nrows"), Some("131"));
        assert_eq!(properties.get("hats_creation_date"), Some("2026-03-01T12:00UTC"));
        assert_eq!(properties.get("hats_cols_default"), Some("ra dec"));
        assert_eq!(properties.get("all_margins"), Some("a b"));
        assert_eq!(properties.get("hats_index_extra_column"), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut properties = Properties::default();
        properties.set("obs_title", r"a title = with: signs \ and ünïcode");
        properties.set("hats_nrows", 131);
        assert_eq!(Properties::parse(&properties.to_string()), properties);
    }
}
