//! ADQL and SQL over catalogues.
//!
//! A query is given as text with the set of tables that its caller may see. It becomes a DataFusion plan whose scans read
//! only the files that can matter, and the plan becomes a stream of rows.
//!
//! ```text
//!   ADQL ──dialect, rewrite──▶ SQL syntax tree ──▶ logical plan ──▶ physical plan ──▶ Rows
//!                                    SQL ────────────┘    │ scan
//!                                                     SnapshotTable: geometry in WHERE ─▶ Coverage ─▶ files
//! ```
//! What this room never does: it knows no HTTP, no user and no job, it opens no database, and it changes no data.

pub mod adql;

mod bounded;
mod engine;
mod error;
mod functions;
mod region;
mod rows;
mod table;
mod tables;

pub use crate::engine::{Engine, EngineOptions, Language, Query, QueryLimits};
pub use error::{EngineError, Mistake};
pub use rows::Rows;
pub use tables::TableSet;
