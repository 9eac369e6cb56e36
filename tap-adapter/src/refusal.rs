//! What is refused or fails, as an HTTP response: here and nowhere else a reason becomes a status.
//!
//! The body is DALI's error document whatever format was asked for: it is the one that every client reads.

use std::time::Duration;

use axum::{
    extract::{
        multipart::MultipartError,
        rejection::{FormRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jobs::{
    JobError,
    formats::{Format, votable::error_document},
};

use crate::parameters::ParameterError;

/// When to ask again where something that we need is away.
const AWAY: Duration = Duration::from_secs(60);

/// How somebody may sign in.
const CHALLENGES: [&str; 2] = ["Basic realm=\"Almagest\", charset=\"UTF-8\"", "Bearer realm=\"Almagest\""];

/// A request that gets no answer, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    sentence: String,
    wait: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), wait: None }
    }

    /// It is of no use to ask again before.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }
}

impl From<ParameterError> for Refusal {
    fn from(error: ParameterError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        let status = match error {
            JobError::Mistake(_) | JobError::TooLarge | JobError::Ended(_) | JobError::Unwritable(_) => {
                StatusCode::BAD_REQUEST
            }
            JobError::Elsewhere(_) => StatusCode::BAD_GATEWAY,
            JobError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            JobError::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            rejection.status(),
            "The part of the URL after the question mark cannot be read; send NAME=value&NAME=value.",
        )
    }
}

impl From<FormRejection> for Refusal {
    fn from(rejection: FormRejection) -> Self {
        Self::unreadable_body(rejection.status())
    }
}

impl From<MultipartError> for Refusal {
    fn from(error: MultipartError) -> Self {
        Self::unreadable_body(error.status())
    }
}

impl Refusal {
    pub(crate) fn unreadable_body(status: StatusCode) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let mebibytes = crate::BODY_LIMIT >> 20;
            return Self::new(
                status,
                format!("The request is larger than {mebibytes} MiB, which is all this service reads."),
            );
        }
        Self::new(status, "The body of the request cannot be read as the form it is declared to be.")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, Format::default().mime())];
        let mut response = (self.status, kind, error_document(&self.sentence)).into_response();
        let away = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(AWAY);
        if let Some(wait) = self.wait.or(away) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            for challenge in CHALLENGES {
                response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
        }
        response
    }
}
