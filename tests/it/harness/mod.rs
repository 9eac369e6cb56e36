//! What the end-to-end tests stand on: a home for one installation, its running server, an HTTP client, third-party
//! clients, and an oracle that knows the right answers without asking Almagest.

mod home;
mod http;
mod oracle;
mod server;
mod third_party;
mod web;

pub(crate) use home::{Home, S3};
pub(crate) use http::{get, post_form};
pub(crate) use oracle::{Cone, Stars};
pub(crate) use server::Server;
pub(crate) use third_party::Client;
pub(crate) use web::files_at;

/// A variable that `scripts/test` sets. Without it the test is skipped with one line, or fails where skipping is
/// forbidden.
pub(crate) fn provided(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var_os("ALMAGEST_TEST_NO_SKIP").is_none(), "{name} is not set, and no test may be skipped");
        eprintln!("skipped: {name} is not set (scripts/test sets it)");
    }
    value
}
