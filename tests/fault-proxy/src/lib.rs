//! A reverse proxy on loopback that misbehaves by rule.
//!
//! An object store in the field answers late, says `503 SlowDown`, drops connections in the middle of a body and, seldom,
//! lies. The storage tests put this proxy between a client and a real S3 server, so that what they prove about retries
//! and crash safety is proved over real sockets: a reset is a TCP RST, a truncated body ends before its `Content-Length`.
//!
//! Requests pass through unchanged, `Host` and `Authorization` included, and bodies are streamed both ways, so a signed
//! S3 request that is aimed at the proxy verifies at the server behind it.
//!
//! It never caches, never retries, and never speaks TLS.

mod fault;
mod proxy;
mod rule;
mod wire;

pub use fault::{Fault, Tally};
pub use proxy::{FaultProxy, ProxyError};
pub use rule::{Rule, RuleError, When};
