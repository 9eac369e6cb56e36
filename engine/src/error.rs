//! Whose fault it is when a query fails: the query's, or ours.
//!
//! A mistake is told to its author in full, with the place where it was made. A fault is told in full to the log; what
//! the author hears of it is decided at the door.

use std::fmt;

use datafusion::{common::SchemaError, error::DataFusionError, sql::sqlparser::parser::ParserError};

use crate::adql::GEOMETRY;

/// What a query's author did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// One sentence.
    pub message: String,
    /// The line of the query, counted from 1, where it is known.
    pub line: Option<u64>,
    /// The column in that line, counted from 1.
    pub column: Option<u64>,
}

impl Mistake {
    /// A mistake at no particular place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: None, column: None }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " (line {line}, column {column})"),
            _ => Ok(()),
        }
    }
}

/// A failed query.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The query is at fault.
    #[error("{0}")]
    Mistake(Mistake),
    /// The query needs more than it may have.
    #[error("the query needs more memory than it may have: {0}")]
    TooLarge(String),
    /// We are.
    #[error("the query could not be carried out: {0}")]
    Fault(#[source] DataFusionError),
}

impl EngineError {
    /// What goes wrong after a query has been understood is no mistake of its author, whatever the planner calls it.
    pub(crate) fn not_the_authors(self) -> Self {
        match self {
            Self::Mistake(mistake) => Self::Fault(DataFusionError::Internal(mistake.message)),
            other => other,
        }
    }
}

impl From<Mistake> for EngineError {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

impl From<ParserError> for EngineError {
    fn from(error: ParserError) -> Self {
        let message = match error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
            ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
        };
        Self::Mistake(located(&message))
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::SQL(error, _) => Self::from(*error),
            DataFusionError::Plan(message)
            | DataFusionError::NotImplemented(message)
            | DataFusionError::Execution(message) => Self::Mistake(located(&message)),
            DataFusionError::SchemaError(error, _) => Self::Mistake(Mistake::new(schema_sentence(&error))),
            DataFusionError::ArrowError(error, _) if arithmetic(&error) => {
                Self::Mistake(Mistake::new(error.to_string()))
            }
            DataFusionError::ResourcesExhausted(message) => Self::TooLarge(message),
            DataFusionError::Context(_, inner) => Self::from(*inner),
            DataFusionError::Diagnostic(diagnostic, inner) => {
                let mut error = Self::from(*inner);
                if let (Self::Mistake(mistake), Some(span)) = (&mut error, diagnostic.span) {
                    (mistake.line, mistake.column) = (Some(span.start.line), Some(span.start.column));
                }
                error
            }
            DataFusionError::Collection(mut errors) if !errors.is_empty() => Self::from(errors.swap_remove(0)),
            DataFusionError::Shared(shared) => match shared.find_root() {
                DataFusionError::ResourcesExhausted(message) => Self::TooLarge(message.clone()),
                DataFusionError::ArrowError(error, _) if arithmetic(error) => {
                    Self::Mistake(Mistake::new(error.to_string()))
                }
                _ => Self::Fault(DataFusionError::Shared(shared)),
            },
            fault => Self::Fault(fault),
        }
    }
}

/// Whether the values in the rows, not the machine, made a computation impossible.
fn arithmetic(error: &arrow::error::ArrowError) -> bool {
    use arrow::error::ArrowError::{ArithmeticOverflow, CastError, DivideByZero, ParseError};
    matches!(error, ArithmeticOverflow(_) | CastError(_) | DivideByZero | ParseError(_))
}

/// What the planner says of columns, without its advice to whoever runs it.
fn schema_sentence(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names = valid_fields.iter().map(|known| known.name.as_str());
            match nearest(&field.name, names) {
                Some(near) => format!("there is no column {}; did you mean {near}?", field.name),
                None => format!("there is no column {}", field.name),
            }
        }
        SchemaError::AmbiguousReference { field } => {
            format!("the column {} is in more than one table: write which, as in table.{}", field.name, field.name)
        }
        other => plain(&other.to_string()),
    }
}

/// The name that a misspelt one may stand for.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&name, &other.to_lowercase());
    known
        .map(|other| (distance(other), other))
        .filter(|(distance, _)| *distance <= name.len() / 3 + 1)
        .min()
        .map(|(_, near)| near)
}

/// One line in the words of the query: the planner appends lists of candidates, and knows geometry by other names.
fn plain(message: &str) -> String {
    let mut sentence = match message.split_once("No function matches the given name and argument types '") {
        Some((_, call)) => {
            let call = call.split('\'').next().unwrap_or_default();
            format!("no function takes these arguments: {call}")
        }
        None => message.lines().next().unwrap_or_default().trim_end_matches(':').to_owned(),
    };
    for (adql, planned) in GEOMETRY {
        sentence = sentence.replace(planned, adql);
    }
    sentence.replace("found: EOF", "found: the end of the query")
}

/// Gives a mistake at the end of a text its place, which the parser leaves out.
pub(crate) fn placed_in(text: &str, error: EngineError) -> EngineError {
    match error {
        EngineError::Mistake(mut mistake)
            if mistake.line.is_none() && mistake.message.ends_with("end of the query") =>
        {
            let last = text.trim_end().lines().last().unwrap_or_default();
            mistake.line = Some(text.trim_end().lines().count().max(1) as u64);
            mistake.column = Some(last.chars().count() as u64 + 1);
            EngineError::Mistake(mistake)
        }
        other => other,
    }
}

/// Takes the parser's " at Line: 1, Column: 8" off a message and makes it a place.
fn located(message: &str) -> Mistake {
    let place = message.rfind(" at Line: ").and_then(|start| {
        let (line, column) = message[start + " at Line: ".len()..].split_once(", Column: ")?;
        Some((start, line.parse().ok()?, column.trim().parse().ok()?))
    });
    match place {
        Some((start, line, column)) => {
            Mistake { message: plain(&message[..start]), line: Some(line), column: Some(column) }
        }
        None => Mistake::new(plain(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_syntax_error_is_taken_out_of_its_message() {
        let mistake = located("Expected: an expression, found: FROM at Line: 2, Column: 14");
        assert_eq!(mistake.message, "Expected: an expression, found: FROM");
        assert_eq!((mistake.line, mistake.column), (Some(2), Some(14)));
        assert_eq!(mistake.to_string(), "Expected: an expression, found: FROM (line 2, column 14)");
        assert_eq!(located("nothing at Line: x, Column: y").line, None);
    }

    #[test]
    fn planners_talk_is_reduced_to_one_line_in_the_words_of_adql() {
        let talk = "Failed to coerce arguments. No function matches the given name and argument types \
                    'adql_distance(Float64)'. You might need to add explicit type casts.\n\tCandidate functions:\n\tx";
        assert_eq!(plain(talk), "no function takes these arguments: DISTANCE(Float64)");
        assert_eq!(plain("first line:\nsecond"), "first line");
    }

    #[test]
    fn a_misspelt_name_is_recognised_and_a_strange_one_is_not() {
        let known = || ["ra", "dec", "phot_g_mean_mag"].into_iter();
        assert_eq!(nearest("phot_g_mean_mg", known()), Some("phot_g_mean_mag"));
        assert_eq!(nearest("DECL", known()), Some("dec"));
        assert_eq!(nearest("temperature", known()), None);
    }

    #[test]
    fn a_mistake_at_the_end_of_a_text_has_a_place() {
        let error = EngineError::Mistake(located("Expected: an expression, found: EOF"));
        let EngineError::Mistake(mistake) = placed_in("SELECT ra\nFROM é \n", error) else { panic!("no mistake") };
        assert_eq!((mistake.line, mistake.column), (Some(2), Some(7)));
    }

    #[test]
    fn a_broken_machine_is_no_mistake_of_the_author() {
        assert!(matches!(EngineError::from(DataFusionError::Internal("x".into())), EngineError::Fault(_)));
        assert!(matches!(EngineError::from(DataFusionError::Plan("x".into())), EngineError::Mistake(_)));
        assert!(matches!(EngineError::from(DataFusionError::ResourcesExhausted("x".into())), EngineError::TooLarge(_)));
    }
}
