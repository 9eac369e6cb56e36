//! Reasons as gRPC statuses: here and nowhere else. The sentences are the ones that every other door gives.

use jobs::{JobError, SignInRefusal};
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

pub(crate) fn not_signed_in(refusal: SignInRefusal) -> Status {
    let sentence = refusal.to_string();
    match refusal {
        SignInRefusal::Wrong(_) => Status::unauthenticated(sentence),
        SignInRefusal::NotForQueries => Status::permission_denied(sentence),
        SignInRefusal::Barred { .. } => Status::resource_exhausted(sentence),
        SignInRefusal::Failed(error) => status(error),
    }
}

/// A failure in the making of a message, which no request can cause.
pub(crate) fn unexpected(error: impl std::fmt::Display) -> Status {
    tracing::error!(%error, "a Flight message could not be made");
    Status::internal("The service failed to write its answer; the request is not to blame.")
}
