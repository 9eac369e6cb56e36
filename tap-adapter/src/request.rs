//! What every request gets: a name, under which all that happens for it is logged, and the headers of the house.

use std::time::Instant;

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER: HeaderValue = HeaderValue::from_static(concat!("almagest/", env!("CARGO_PKG_VERSION")));

/// Runs a request within its span and puts its name on the response.
pub(crate) async fn named(request: Request, next: Next) -> Response {
    let id = format!("{:016x}", rand::random::<u64>());
    // The query string may be long and private: the path says which door was used.
    let span = tracing::info_span!("request", %id, method = %request.method(), path = request.uri().path());
    async {
        let begun = Instant::now();
        let mut response = next.run(request).await;
        let milliseconds = begun.elapsed().as_millis() as u64;
        tracing::info!(status = response.status().as_u16(), milliseconds, "answered");
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response.headers_mut().insert(header::SERVER, SERVER);
        response
    }
    .instrument(span)
    .await
}
