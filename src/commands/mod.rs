//! What each sub-command does: one file a command, each a `run` that wires the rooms together and nothing more.
//!
//! A command gets a configuration that is already complete and arguments that are already types. It writes data to
//! [`crate::output::stdout`], says everything else on stderr, and returns a [`Failure`](crate::failure::Failure) where it
//! fails: no command ends the process itself.

pub(crate) mod attach;
pub(crate) mod catalog;
pub(crate) mod generate;
pub(crate) mod import;
mod making;
pub(crate) mod pairing;
mod passwords;
pub(crate) mod query;
pub(crate) mod quickstart;
mod reading;
pub(crate) mod serve;
pub(crate) mod users;

use std::io::Write;

use crate::{failure::Failure, output};

/// Text for stdout, with one line's end behind it.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = output::stdout();
    writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).map_err(Failure::Output)
}
