//! The importer and what it wrote, on a local folder, read back by nothing of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may panic")]

mod check;
mod foreign;
mod import;
