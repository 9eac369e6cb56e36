//! The Virtual Observatory's door: TAP over HTTP.
//!
//! ```text
//!   /tap/sync           one query, answered in the response, in any format of `jobs`
//!   /tap/availability   VOSI: whether the service is up
//!   /healthz            the same for a load balancer
//!   /                   a page for people: the tables, and queries to try
//! ```
//! `/tap/capabilities`, `/tap/async` and `/tap/tables` answer 404: a TAP capability promises all of TAP, and this room
//! promises only what it does.
//!
//! What this room never does: it plans no query, opens no catalogue and writes no format; it turns HTTP into requests to
//! [`jobs`] and their answers into responses.

mod asker;
mod connections;
mod page;
mod parameters;
mod refusal;
mod request;
mod sync;
mod vosi;

use std::{io, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, routing::get};
use jobs::Jobs;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use refusal::Refusal;

/// No request without uploads is longer: this holds a list of fifty thousand identifiers.
const BODY_LIMIT: usize = 1 << 20;

/// What the doors open on.
#[derive(Clone)]
pub struct Doors {
    /// Runs the queries.
    pub jobs: Arc<Jobs>,
    /// How many rows an answer may have.
    pub max_rec: MaxRec,
}

/// How many rows an answer has when nothing is said, and when too much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxRec {
    /// The limit where the client gives none.
    pub default: u64,
    /// The limit that no client can pass.
    pub maximum: u64,
}

impl MaxRec {
    /// The limit that holds for a request. More than the maximum is clipped, not refused, as DALI has it.
    pub fn allowed(self, asked: Option<u64>) -> u64 {
        asked.unwrap_or(self.default).min(self.maximum)
    }
}

/// All the paths.
pub fn router(doors: Doors) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/healthz", get(vosi::healthz))
        .route("/tap/sync", get(sync::sync).post(sync::sync))
        .route("/tap/availability", get(vosi::availability))
        .fallback(async || {
            Refusal::new(StatusCode::NOT_FOUND, "There is nothing at this path; the service is at /tap/sync.")
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "This path does not know that method; the Allow header says which it knows.",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::from_fn(request::named))
        .with_state(doors)
}

/// Serves until `shutdown`, then lets the answers that are on their way end. Dropping the future breaks them off.
pub async fn serve(listener: TcpListener, doors: Doors, shutdown: CancellationToken) -> io::Result<()> {
    connections::serve(listener, router(doors), connections::PATIENCE, shutdown).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maxrec_has_a_default_and_is_clipped_at_the_maximum() {
        let limits = MaxRec { default: 10, maximum: 100 };
        assert_eq!([None, Some(0), Some(99), Some(u64::MAX)].map(|asked| limits.allowed(asked)), [10, 0, 99, 100]);
    }
}
