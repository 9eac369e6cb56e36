//! The name of a published table.

use std::{fmt, str::FromStr};

use crate::CatalogError;

/// `schema.table`, both regular identifiers, folded to lower case as ADQL compares them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    schema: String,
    table: String,
}

impl TableName {
    /// The schema part.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table part.
    pub fn table(&self) -> &str {
        &self.table
    }
}

impl FromStr for TableName {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why| CatalogError::BadName { name: text.to_owned(), why };
        let (schema, table) = text.split_once('.').ok_or_else(|| bad("it has no schema"))?;
        for part in [schema, table] {
            let mut letters = part.chars();
            if !letters.next().is_some_and(|first| first.is_ascii_alphabetic()) {
                return Err(bad("each part begins with a letter"));
            }
            if !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(bad("each part has letters, digits and underscores only"));
            }
            if part.len() > 64 {
                return Err(bad("each part has at most 64 letters"));
            }
        }
        Ok(Self { schema: schema.to_ascii_lowercase(), table: table.to_ascii_lowercase() })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_folded_to_lower_case() {
        let name: TableName = "Gaia.DR3".parse().unwrap();
        assert_eq!(name.to_string(), "gaia.dr3");
        assert_eq!((name.schema(), name.table()), ("gaia", "dr3"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_rule_it_breaks() {
        for (text, rule) in [
            ("stars", "no schema"),
            ("", "no schema"),
            (".stars", "begins with a letter"),
            ("demo.", "begins with a letter"),
            ("demo.1st", "begins with a letter"),
            ("demo.a.b", "letters, digits"),
            ("demo.étoiles", "begins with a letter"),
            ("demo.a/../../b", "letters, digits"),
            (&format!("demo.{}", "a".repeat(65)), "at most 64"),
        ] {
            let sentence = text.parse::<TableName>().unwrap_err().to_string();
            assert!(sentence.contains(rule), "{text}: {sentence}");
        }
    }
}
