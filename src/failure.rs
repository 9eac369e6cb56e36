//! Why the command failed, in one sentence for the person who typed it, and the exit status that goes with it.
//!
//! `main` is the only place that prints a [`Failure`]. A failure of a room (an import, a query …) is carried as that room
//! words it; what lies beneath it is logged at debug level and never printed.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use catalogs::{CatalogError, TableName};
use engine::EngineError;
use jobs::JobError;
use metadata::MetadataError;

use crate::config::ConfigError;

/// Why `almagest` ends with another status than 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration can't be read or says something that is not understood.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The threads that run everything could not be started.
    #[error("the threads that run queries could not be started")]
    Threads(#[source] io::Error),
    /// The signals that end the service could not be listened to.
    #[error("SIGTERM and SIGINT cannot be listened to")]
    Signals(#[source] io::Error),
    /// Stdout did not take what was written.
    #[error("the output could not be written: {0}")]
    Output(#[source] io::Error),
    /// A server ended although nobody asked it to.
    #[error("the {name} server stopped: {reason}")]
    Server {
        /// Which server.
        name: &'static str,
        /// Why, in its own words.
        reason: String,
    },
    /// An address could not be listened on.
    #[error(
        "cannot listen on {address}: {}; choose another with {key} in the configuration or {}",
        obstacle(reason),
        variable(key)
    )]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
        /// The key of the configuration that says it.
        key: &'static str,
        /// What the operating system says.
        #[source]
        reason: io::Error,
    },
    /// A file that was named on the command line could not be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// What was asked for does not fit what is there.
    #[error("{0}")]
    Refused(String),
    /// A catalogue could not be read, written or imported.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The metadata database failed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The engine could not be set up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A query failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// SIGTERM or Ctrl-C while a query was answered.
    #[error("interrupted; the query was cancelled")]
    Stopped {
        /// The status that a shell expects then.
        status: i32,
    },
    /// A query was not answered in time.
    #[error("not answered within {allowed:?} (--timeout); the query was cancelled")]
    Late {
        /// How long it was allowed to take.
        allowed: Duration,
    },
    /// SIGTERM or Ctrl-C in the middle of an import.
    #[error(
        "interrupted: {name} was not published; the same command with --resume goes on, with --restart begins anew"
    )]
    Left {
        /// The table.
        name: TableName,
    },
    /// SIGTERM or Ctrl-C while a table was made.
    #[error("interrupted: {name} was not published")]
    Interrupted {
        /// The table.
        name: TableName,
    },
}

/// What stands in the way of listening.
fn obstacle(reason: &io::Error) -> String {
    match reason.kind() {
        io::ErrorKind::AddrInUse => "it is in use".to_owned(),
        _ => reason.to_string(),
    }
}

/// The environment variable of a key.
fn variable(key: &str) -> String {
    format!("ALMAGEST__{}", key.replace('.', "__").to_ascii_uppercase())
}

impl Failure {
    /// The status that the process ends with: 2 where the command line or the configuration is wrong, that of the signal
    /// where one ended a query, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(2),
            Self::Stopped { status } => u8::try_from(*status).map_or(ExitCode::FAILURE, ExitCode::from),
            _ => ExitCode::FAILURE,
        }
    }
}
