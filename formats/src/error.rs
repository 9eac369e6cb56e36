//! What can go wrong with a file, each as a sentence for the person who meets it.

use std::fmt::Display;

/// A file that cannot be read as a table.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file is at fault: damaged, truncated, or not what its name says.
    #[error("{source_name}: {why}")]
    Bad {
        /// The file's name, as messages use it.
        source_name: String,
        /// What is wrong, with the row, line or column that is to blame where there is one.
        why: String,
    },
    /// The file could not be read: the disk, the network or a permission.
    #[error("{source_name}: {error}")]
    Unreadable {
        /// The file's name, as messages use it.
        source_name: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl FormatError {
    /// A file at fault.
    pub fn bad(source_name: impl Display, why: impl Display) -> Self {
        Self::Bad { source_name: source_name.to_string(), why: why.to_string() }
    }

    /// A file that could not be read.
    pub fn unreadable(source_name: impl Display, error: std::io::Error) -> Self {
        Self::Unreadable { source_name: source_name.to_string(), error }
    }
}
