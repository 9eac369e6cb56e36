//! How ADQL is spelt.

use std::any::TypeId;

use datafusion::sql::sqlparser::dialect::Dialect;

/// The dialect of ADQL 2.1. A leading underscore in a name is an extension: VizieR's columns need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdqlDialect;

impl Dialect for AdqlDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<Self>()
    }

    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_ascii_alphabetic() || letter == '_'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_ascii_alphanumeric() || letter == '_'
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '"'
    }

    fn supports_string_literal_concatenation(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_boolean_literals(&self) -> bool {
        false
    }
}
