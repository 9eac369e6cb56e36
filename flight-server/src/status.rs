//! Reasons as gRPC statuses: here and nowhere else. The sentences are the ones that every other door gives.

use jobs::JobError;
use tonic::Status;

pub(crate) fn status(error: JobError) -> Status {
    let sentence = error.to_string();
    match error {
        JobError::Mistake(_) | JobError::Unwritable(_) => Status::invalid_argument(sentence),
        JobError::TooLarge | JobError::Ended(_) => Status::resource_exhausted(sentence),
        JobError::Unavailable(_) | JobError::Elsewhere(_) => Status::unavailable(sentence),
        JobError::Fault(_) => Status::internal(sentence),
    }
}

/// A failure in the making of a message, which no request can cause.
pub(crate) fn unexpected(error: impl std::fmt::Display) -> Status {
    tracing::error!(%error, "a Flight message could not be made");
    Status::internal("The service failed to write its answer; the request is not to blame.")
}
