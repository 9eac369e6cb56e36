//! What can go wrong with a query, split by who can mend it.
//!
//! A mistake of the person who asks is told in full. A fault of ours is told by a name only; the cause is in the log
//! beside the same name, since it may show paths, addresses or SQL.

use std::error::Error;

use engine::{EngineError, Mistake};

use crate::FaultId;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The query is wrong; the sentence says where.
    #[error("{0}")]
    Mistake(Mistake),
    /// The query is right, but it needs more memory than one query may have.
    #[error("The query needs more memory than it may have; select fewer columns, group by less, or sort fewer rows.")]
    TooLarge,
    /// The query is right, but it read more, or took longer, than one query may; or somebody ended it.
    #[error("{0}")]
    Ended(String),
    /// The query is right, but its answer does not fit the format that was asked for.
    #[error("{0}")]
    Unwritable(String),
    /// Another server, which was asked to answer, did not.
    #[error("{0}")]
    Elsewhere(String),
    /// The tables cannot be looked up at the moment.
    #[error(
        "The service cannot reach its tables at the moment; try again in a minute. If it stays so, tell the operators of fault {0}."
    )]
    Unavailable(FaultId),
    /// Something failed here.
    #[error(
        "The service failed while it computed the answer; the query is not to blame. Tell the operators of fault {0}."
    )]
    Fault(FaultId),
}

impl JobError {
    /// Logs a fault with its cause and gives it a name.
    pub(crate) fn fault(doing: &str, cause: &dyn Error) -> Self {
        Self::Fault(logged(doing, cause))
    }

    /// Logs that something we need does not answer, and gives that a name.
    pub(crate) fn unavailable(doing: &str, cause: &dyn Error) -> Self {
        Self::Unavailable(logged(doing, cause))
    }
}

impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Mistake(mistake) | EngineError::UnknownTable { mistake, .. } => Self::Mistake(mistake),
            EngineError::TooLarge(why) => {
                tracing::info!(why, "the query needs too much memory");
                Self::TooLarge
            }
            EngineError::TooManyBytes { .. } | EngineError::DeadlineExceeded { .. } | EngineError::Cancelled => {
                Self::Ended(error.to_string().replacen("the query", "The query", 1) + ".")
            }
            EngineError::Fault(_) => Self::fault("a query failed", &error),
        }
    }
}

/// Writes a failure to the log under a new name, with all its causes.
pub(crate) fn logged(doing: &str, failure: &dyn Error) -> FaultId {
    let fault = FaultId::random();
    let mut causes = failure.to_string();
    let mut next = failure.source();
    while let Some(cause) = next {
        // Many errors repeat their cause in their own text.
        let text = cause.to_string();
        if !causes.contains(&text) {
            causes.push_str(": ");
            causes.push_str(&text);
        }
        next = cause.source();
    }
    tracing::error!(%fault, causes, "{doing}");
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_says_where_it_is_and_a_fault_shows_nothing_of_its_cause() {
        let mistake = Mistake { message: "No column x.".into(), line: Some(2), column: Some(7) };
        assert_eq!(JobError::from(EngineError::Mistake(mistake)).to_string(), "No column x. (line 2, column 7)");
        let cause = std::io::Error::other("/secret/path is gone");
        let fault = JobError::fault("reading", &cause);
        let JobError::Fault(id) = fault else { panic!("{fault}") };
        assert!(fault.to_string().ends_with(&format!("Tell the operators of fault {id}.")));
        assert!(!fault.to_string().contains("secret"));
    }
}
