//! Whose fault it is when a query fails: the query's, or ours.
//!
//! A mistake is told to its author in full, with the place where it was made. A fault is told in full to the log; what
//! the author hears of it is decided at the door.

mod wording;

use std::{fmt, time::Duration};

use datafusion::{
    common::SchemaError,
    error::DataFusionError,
    sql::sqlparser::{parser::ParserError, tokenizer::Location},
};

use crate::size;
use wording::plain;

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

    /// A mistake at a place; the parser writes places that it does not know as 0.
    pub(crate) fn at(message: impl Into<String>, place: Location) -> Self {
        let known = place.line > 0;
        Self { message: message.into(), line: known.then_some(place.line), column: known.then_some(place.column) }
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
    /// The query names a table that its author cannot see.
    #[error("{mistake}")]
    UnknownTable {
        /// The name as it is written in the query.
        name: String,
        /// What to tell its author.
        mistake: Mistake,
    },
    /// The query must read more than it may, or has begun to.
    #[error("{}", too_many_bytes(*.needed, *.allowed))]
    TooManyBytes {
        /// How many bytes it would read, of a query that was refused when it was planned.
        needed: Option<u64>,
        /// How many it may.
        allowed: u64,
    },
    /// The query took longer than it may.
    #[error("the query was ended after {} s, which is all the time that it may take", allowed.as_secs_f64())]
    DeadlineExceeded {
        /// How long it may take.
        allowed: Duration,
    },
    /// Somebody ended the query.
    #[error("the query was cancelled")]
    Cancelled,
    /// We are.
    #[error("the query could not be carried out: {0}")]
    Fault(#[source] DataFusionError),
}

impl EngineError {
    /// What goes wrong after a query has been understood is no mistake of its author, whatever the planner calls it, but
    /// for what it cannot do.
    pub(crate) fn not_the_authors(error: DataFusionError) -> Self {
        match Self::from(error) {
            Self::Mistake(mistake) if !BEYOND.iter().any(|(_, told)| mistake.message == *told) => {
                Self::Fault(DataFusionError::Internal(mistake.message))
            }
            other => other,
        }
    }
}

/// What is heard of a query that cannot be carried out as it is written, and what its author is told.
const BEYOND: [(&str, &str); 4] = [
    ("Scalar subquery returned more than one row", "a query that stands for a value answers more than one row"),
    (
        "Physical plan does not support logical expression",
        "a query within this one cannot be asked anew for each row: write it as a JOIN with a query in FROM",
    ),
    (
        "null_aware anti join",
        "NOT IN is not available for a query that uses columns of the one around it: write NOT EXISTS",
    ),
    ("regex parse error", "a text that should be a regular expression is none"),
];

fn beyond(error: &DataFusionError) -> Option<EngineError> {
    let heard = error.to_string();
    let (_, told) = BEYOND.iter().find(|(known, _)| heard.contains(known))?;
    Some(Mistake::new(*told).into())
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
        if let Some(told) = beyond(&error) {
            return told;
        }
        match error {
            DataFusionError::SQL(error, _) => Self::from(*error),
            DataFusionError::Plan(message)
            | DataFusionError::NotImplemented(message)
            | DataFusionError::Execution(message) => Self::Mistake(located(&message)),
            DataFusionError::SchemaError(error, _) => Self::Mistake(Mistake::new(schema_sentence(&error))),
            DataFusionError::ArrowError(error, _) if arithmetic(&error) => {
                Self::Mistake(Mistake::new(plain(&error.to_string())))
            }
            // The planner calls a mistake in the types of BETWEEN a fault of its own.
            DataFusionError::Internal(message) if message.starts_with("Failed to coerce types") => {
                Self::Mistake(Mistake::new(plain(&message)))
            }
            DataFusionError::ResourcesExhausted(message) => Self::TooLarge(no_room(message)),
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
                DataFusionError::ResourcesExhausted(message) => Self::TooLarge(no_room(message.clone())),
                DataFusionError::ArrowError(error, _) if arithmetic(error) => {
                    Self::Mistake(Mistake::new(plain(&error.to_string())))
                }
                _ => Self::Fault(DataFusionError::Shared(shared)),
            },
            full if full.to_string().contains(DISK_IS_FULL) => Self::TooLarge(
                "what does not fit there is more than may go to disk; select fewer columns or rows".to_owned(),
            ),
            fault => Self::Fault(fault),
        }
    }
}

fn too_many_bytes(needed: Option<u64>, allowed: u64) -> String {
    match needed {
        Some(needed) => format!(
            "the query would read {} of data, and it may read {}; restrict it to a part of the sky or to fewer columns",
            size(needed),
            size(allowed)
        ),
        None => format!(
            "the query was ended when it had read {} of data, which is all that it may; restrict it to a part of the sky \
             or to fewer columns",
            size(allowed)
        ),
    }
}

/// How DataFusion says that the folder for what does not fit in memory is full: by the option that bounds it.
const DISK_IS_FULL: &str = "max_temp_directory_size";

/// Why there is no room, without advice about options that the author of a query does not have.
fn no_room(message: String) -> String {
    match message.contains("datafusion.") {
        true => {
            "what it sorts or groups does not fit there; select fewer columns, or sort and group fewer rows".to_owned()
        }
        false => message,
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
        SchemaError::AmbiguousReference { field } if field.relation.is_some() => {
            let name = field.name();
            format!(
                "{name} is a column, and AS gives that name to something else: give it another, so that both can be told apart"
            )
        }
        SchemaError::AmbiguousReference { field } => {
            format!("the column {} is in more than one table: write which, as in table.{}", field.name, field.name)
        }
        other => plain(&other.to_string()),
    }
}

/// The name that a misspelt one may stand for.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&name, &other.to_lowercase());
    known
        .map(|other| (distance(other), other))
        .filter(|(distance, _)| *distance <= name.len() / 3 + 1)
        .min()
        .map(|(_, near)| near)
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
