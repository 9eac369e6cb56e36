//! Properties of the sky crate, checked against brute force.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cases;
mod coverage;
mod shapes;
