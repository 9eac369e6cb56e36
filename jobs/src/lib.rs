//! Queries run for somebody.
//!
//! A door hands over a [`QueryRequest`]; this room gives it a name, looks up the tables that are served at this moment,
//! has the engine plan it, and returns an [`Answer`] whose rows are computed while they are read. [`formats`] turns an
//! answer into VOTable, FITS, CSV and others in constant memory.
//!
//! ```text
//!   QueryRequest ─▶ Jobs::run ─▶ Answer { columns, rows } ─▶ Encoded: bytes
//!                      │ generation moved? read the list, open what is new
//! ```
//! Whoever signs in ([`Jobs::signed_in`]) has jobs of his own: what he may not see is not there.
//!
//! What this room never does: it speaks no protocol, and it never tells the outside what a fault of ours was: the cause is
//! in the log, under the name that the outside gets.

pub mod formats;

mod answer;
mod error;
mod id;
mod reading;
mod run;
mod served;
mod sign_in;
mod versions;

#[cfg(test)]
extern crate self as jobs; // by this name the house of the integration tests knows this crate
#[cfg(test)]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "shared with the tests of the doors, which use more of it")]
#[path = "../tests/it/house.rs"]
mod house;

pub use answer::{Answer, AnswerRows};
pub use catalogs::ColumnMeta;
pub use engine::{Estimate, Language, Mistake, Progress, QueryLimits};
pub use error::JobError;
pub use id::{FaultId, JobId};
pub use metadata::Caller;
pub use run::{Jobs, QueryRequest};
pub use served::ServedTable;
pub use sign_in::{SignInRefusal, bearer_for};
