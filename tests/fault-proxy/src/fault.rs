//! What the proxy can do to an exchange, and the count of what it did.

use std::time::Duration;

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Waits before the request is forwarded. The only fault that combines with another one.
    Latency(Duration),
    /// Answers `503 Service Unavailable` with S3's `SlowDown` document. The server behind never sees the request.
    SlowDown,
    /// Resets the connection before the request is forwarded. The server behind never sees it.
    ResetRequest,
    /// Forwards the request, waits for the answer, then resets the connection without a byte of it: the client cannot
    /// know that its request was carried out.
    ResetBeforeHeaders,
    /// Sends the answer's headers and at most this many bytes of its body, then resets the connection.
    ResetAfterHeaders(u64),
    /// Sends the answer's headers and at most this many bytes of its body, then closes the connection in good order.
    /// At least one byte of the body is withheld; an answer without a body is left as it is.
    TruncateBody(u64),
    /// Replaces the answer's `ETag` by one that no object has; an answer without one is left as it is.
    WrongETag,
}

/// How often the proxy did what, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that the server behind answered.
    pub answered: u64,
    /// Requests that could not be forwarded because the server behind was not there; the client was told `502`.
    pub unreachable: u64,
    /// Requests that were delayed.
    pub latency: u64,
    /// Requests answered with `SlowDown`.
    pub slow_down: u64,
    /// Connections reset before the request was forwarded.
    pub reset_request: u64,
    /// Connections reset after the server behind answered, before its headers were passed on.
    pub reset_before_headers: u64,
    /// Connections reset after the answer's headers.
    pub reset_after_headers: u64,
    /// Answers cut short.
    pub truncated: u64,
    /// Answers given a false `ETag`.
    pub wrong_etag: u64,
}

impl Tally {
    /// Faults of every kind together.
    pub fn faults(&self) -> u64 {
        self.latency
            + self.slow_down
            + self.reset_request
            + self.reset_before_headers
            + self.reset_after_headers
            + self.truncated
            + self.wrong_etag
    }
}
