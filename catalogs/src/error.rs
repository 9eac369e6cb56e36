//! What can go wrong with a catalogue, each as a sentence for the person who meets it.

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

/// A failure to read, write or import a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The text is no table name.
    #[error("'{name}' is not a table name: {why}; write schema.table, as in gaia.dr3")]
    BadName {
        /// What was given.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The place of the store cannot be understood.
    #[error("'{url}' is not a place that a catalogue can be kept at: {why}")]
    BadStore {
        /// What was given.
        url: String,
        /// Why it cannot be used.
        why: String,
    },
    /// The input of an import is at fault.
    #[error("{source_name}: {why}")]
    BadInput {
        /// The file, or whatever else the rows come from.
        source_name: String,
        /// What is wrong, with the row where one row is to blame.
        why: String,
    },
    /// A catalogue's own files contradict the format.
    #[error("the catalogue at {root} cannot be used: {why}")]
    BadCatalog {
        /// The catalogue's root.
        root: String,
        /// The file and what is wrong with it.
        why: String,
    },
    /// The object store failed.
    #[error("the object store failed: {0}")]
    Store(#[from] object_store::Error),
    /// A Parquet file could not be read or written.
    #[error("a Parquet file failed: {0}")]
    Parquet(#[from] ParquetError),
    /// Arrow refused an operation on columns.
    #[error("a column operation failed: {0}")]
    Arrow(#[from] ArrowError),
    /// The local disk failed.
    #[error("{what}: {error}")]
    Io {
        /// The file and what was being done to it.
        what: String,
        /// The operating system's answer.
        error: std::io::Error,
    },
    /// A thread of the importer died.
    #[error("a worker of the import stopped unexpectedly: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl CatalogError {
    pub(crate) fn input(source_name: impl ToString, why: impl ToString) -> Self {
        Self::BadInput { source_name: source_name.to_string(), why: why.to_string() }
    }

    pub(crate) fn io(what: impl ToString, error: std::io::Error) -> Self {
        Self::Io { what: what.to_string(), error }
    }
}
