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
    /// An object could not be reached, read or written.
    #[error("{url}: {why}")]
    Object {
        /// The object, or the store where the fault is not with one object.
        url: String,
        /// What is wrong, for the person who meets it.
        why: String,
        /// What the client library said.
        #[source]
        error: object_store::Error,
    },
    /// The object store failed.
    #[error("the object store failed: {0}")]
    Store(#[from] object_store::Error),
    /// A file to be imported could not be read as a table.
    #[error(transparent)]
    Format(#[from] formats::FormatError),
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
    /// Whether what was asked for does not exist: an object, a file.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Object { error, .. } | Self::Store(error) => matches!(error, object_store::Error::NotFound { .. }),
            Self::Io { error, .. } => error.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether access was denied. A bucket that does not let itself be listed says this of absent objects as well.
    pub fn is_denied(&self) -> bool {
        use object_store::Error::{PermissionDenied, Unauthenticated};
        match self {
            Self::Object { error, .. } | Self::Store(error) => {
                matches!(error, PermissionDenied { .. } | Unauthenticated { .. })
            }
            Self::Io { error, .. } => error.kind() == std::io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    pub(crate) fn input(source_name: impl ToString, why: impl ToString) -> Self {
        Self::BadInput { source_name: source_name.to_string(), why: why.to_string() }
    }

    pub(crate) fn catalog(root: impl ToString, why: impl ToString) -> Self {
        Self::BadCatalog { root: root.to_string(), why: why.to_string() }
    }

    pub(crate) fn io(what: impl ToString, error: std::io::Error) -> Self {
        Self::Io { what: what.to_string(), error }
    }
}
