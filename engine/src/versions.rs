//! Which versions of tables a text names, as `schema.table@3`, so that they can be opened before it is planned.
//!
//! The tokens tell; a text that makes no sense names what its tokens name, and is refused when it is planned.

use catalogs::TableName;
use datafusion::sql::sqlparser::{
    dialect::{Dialect, GenericDialect},
    tokenizer::{Token, Tokenizer},
};

use crate::{Language, TableSet, adql::AdqlDialect};

/// The versions that a text names, each once. A table without a schema is what these tables say it is.
pub fn versions_named(language: Language, text: &str, tables: &TableSet) -> Vec<(TableName, u64)> {
    let dialect: &dyn Dialect = match language {
        Language::Adql => &AdqlDialect,
        Language::Sql => &GenericDialect {},
    };
    if !text.contains('@') {
        return Vec::new();
    }
    let tokens = Tokenizer::new(dialect, text).tokenize().unwrap_or_default();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let Token::Word(word) = &tokens[at] else { continue };
        let number = match (tokens.get(at + 1), tokens.get(at + 2)) {
            (Some(Token::AtSign), Some(Token::Number(digits, _))) => {
                digits.parse().ok().map(|number| (&*word.value, number))
            }
            _ => word.value.rsplit_once('@').and_then(|(table, digits)| Some((table, digits.parse().ok()?))),
        };
        let Some((table, number)) = number else { continue };
        let schema =
            match (at.checked_sub(2).map(|before| &tokens[before]), at.checked_sub(1).map(|before| &tokens[before])) {
                (Some(Token::Word(schema)), Some(Token::Period)) => Some(&schema.value),
                _ => None,
            };
        let name = match schema {
            Some(schema) => format!("{schema}.{table}").parse().ok(),
            None => tables.unqualified(table).cloned(),
        };
        if let Some(name) = name
            && !found.contains(&(name.clone(), number))
        {
            found.push((name, number));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_both_languages_wherever_a_table_may_stand() {
        let tables = crate::adql::testing::tables();
        let named = |language, text: &str| -> Vec<String> {
            let found = versions_named(language, text, tables);
            found.into_iter().map(|(name, number)| format!("{name} {number}")).collect()
        };
        for language in [Language::Adql, Language::Sql] {
            let text =
                "SELECT 'a@1' AS x FROM Demo.Stars@2 AS s, almagest.demo.plates@13, plates@4, demo.stars@2, stars@5";
            // Which table `stars` is, nobody can say: there are two.
            assert_eq!(named(language, text), ["demo.stars 2", "demo.plates 13", "demo.plates 4"], "{language:?}");
            for none in
                ["SELECT 1", "", "SELECT 'demo.stars@2'", "-- demo.stars@2", "demo.stars@x", "@3", "a.b@ 3 'x", "é@3"]
            {
                assert_eq!(named(language, none), [""; 0], "{none}");
            }
        }
        assert_eq!(named(Language::Adql, "SELECT ra FROM demo.\"stars\"@7"), ["demo.stars 7"]);
    }
}
