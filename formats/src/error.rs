//! What can go wrong with a file, each as a sentence for the person who meets it.

use std::fmt::Display;

/// What libraries put before their messages, which says nothing to a person.
const PREFIXES: [&str; 8] = [
    "Parquet argument error: ",
    "Parquet error: ",
    "Parser error: ",
    "Ipc error: ",
    "Invalid argument error: ",
    "Io error: ",
    "External: ",
    "EOF: ",
];

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
    #[error("{source_name}: {}", plain(&error.to_string()))]
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
        Self::Bad { source_name: source_name.to_string(), why: plain(&why.to_string()) }
    }

    /// A file that could not be read.
    pub fn unreadable(source_name: impl Display, error: std::io::Error) -> Self {
        Self::Unreadable { source_name: source_name.to_string(), error }
    }
}

/// A message on one line, as a person would say it.
fn plain(why: &str) -> String {
    let line: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    PREFIXES.into_iter().fold(line.join(" "), |line, prefix| line.replace(prefix, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_libraries_become_one_line_without_their_names() {
        let told = "row group 3 is damaged: Parquet argument error: EOF: eof decoding\n  byte array\n";
        let error = FormatError::bad("stars.parquet", told);
        assert_eq!(error.to_string(), "stars.parquet: row group 3 is damaged: eof decoding byte array");
    }
}
