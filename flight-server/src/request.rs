//! What every call gets: a name, under which all that happens for it is logged, and one line about how it went.

use std::time::Instant;

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tonic::{Code, Status};
use tracing::Instrument;

/// In the initial metadata of each answer, also of a refusal.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a call within its span and puts its name on the answer.
///
/// The line is logged when the answer begins; how its rows went is told by the job that computes them.
pub(crate) async fn named(request: Request, next: Next) -> Response {
    let id = format!("{:016x}", rand::random::<u64>());
    let path = request.uri().path();
    let call = path.rsplit('/').next().unwrap_or(path);
    let span = tracing::info_span!("request", %id, call);
    async {
        let begun = Instant::now();
        let mut response = next.run(request).await;
        let milliseconds = begun.elapsed().as_millis() as u64;
        // The status of a refusal is in the headers; that of an answer follows its rows.
        match Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok) {
            Some(status) => {
                tracing::info!(code = ?status.code(), milliseconds, error = status.message(), "refused");
            }
            None => tracing::info!(code = ?Code::Ok, milliseconds, "answered"),
        }
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
    .instrument(span)
    .await
}
