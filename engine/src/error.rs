//! Whose fault it is when a query fails: the query's, or ours.
//!
//! A mistake is told to its author in full, with the place where it was made. A fault is told in full to the log; what
//! the author hears of it is decided at the door.

use std::fmt;

use datafusion::{error::DataFusionError, sql::sqlparser::parser::ParserError};

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
            DataFusionError::Plan(message) | DataFusionError::NotImplemented(message) => {
                Self::Mistake(located(&message))
            }
            DataFusionError::SchemaError(error, _) => Self::Mistake(Mistake::new(error.to_string())),
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

/// Takes the parser's " at Line: 1, Column: 8" off a message and makes it a place.
fn located(message: &str) -> Mistake {
    let place = message.rfind(" at Line: ").and_then(|start| {
        let (line, column) = message[start + " at Line: ".len()..].split_once(", Column: ")?;
        Some((start, line.parse().ok()?, column.trim().parse().ok()?))
    });
    match place {
        Some((start, line, column)) => {
            Mistake { message: message[..start].to_owned(), line: Some(line), column: Some(column) }
        }
        None => Mistake::new(message.replace("found: EOF", "found: the end of the query")),
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
    fn a_broken_machine_is_no_mistake_of_the_author() {
        assert!(matches!(EngineError::from(DataFusionError::Internal("x".into())), EngineError::Fault(_)));
        assert!(matches!(EngineError::from(DataFusionError::Plan("x".into())), EngineError::Mistake(_)));
        assert!(matches!(EngineError::from(DataFusionError::ResourcesExhausted("x".into())), EngineError::TooLarge(_)));
    }
}
