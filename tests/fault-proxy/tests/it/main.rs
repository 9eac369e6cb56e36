//! Each fault as a client sees it, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod faults;
mod origin;
mod pass_through;
