//! Queries over imported catalogues, against answers computed from the generated rows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may panic")]

mod queries;
