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
mod culprit;
mod engine;
mod error;
mod estimate;
mod explain;
mod functions;
mod io;
mod joins;
mod limits;
mod outcome;
mod planning;
mod progress;
mod query;
#[cfg(test)]
mod random_sky;
mod region;
mod rows;
mod rules;
mod runtime;
mod session;
mod sizes;
mod spoken;
mod table;
mod tables;
mod units;
mod values;
mod versions;

pub use crate::engine::{Engine, EngineOptions, Language, Usage};
pub use error::{EngineError, Mistake};
pub use estimate::Estimate;
pub use functions::{Declaration, Form, Origin, functions};
pub use limits::QueryLimits;
pub use progress::Progress;
pub use query::Query;
pub use rows::{Control, Rows};
pub use sizes::size;
pub use tables::TableSet;
pub use versions::versions_named;
