//! How ADQL is spelt.

use std::any::TypeId;

use datafusion::sql::sqlparser::{dialect::Dialect, keywords::Keyword};

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

    /// A cast that cannot be read is not tried again as the call of a function, which would double the work at each level.
    fn is_reserved_for_identifier(&self, word: Keyword) -> bool {
        matches!(word, Keyword::CAST | Keyword::CASE | Keyword::EXTRACT | Keyword::TRIM | Keyword::SUBSTRING)
            || matches!(word, Keyword::EXISTS | Keyword::INTERVAL | Keyword::POSITION | Keyword::NOT)
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
}
