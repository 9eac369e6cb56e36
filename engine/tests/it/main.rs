//! Queries over catalogues, imported and attached, against answers that were not computed by the engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may panic")]

mod adql;
mod foreign;
mod functions;
mod geometry;
mod ids;
mod joins;
mod limits;
mod nearest;
mod pruning;
mod queries;
mod slt;
