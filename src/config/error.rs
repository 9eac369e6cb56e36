//! What can be wrong with a configuration, each in one sentence: where it is, what was found, and what to write instead.
//!
//! A sentence never repeats the value of a secret, and never a whole line of the file, in which one may stand.

use std::{fmt, io, num::NonZeroU64, path::PathBuf};

use super::layers::{Origin, Place};

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file that somebody named can't be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{place}: this is not TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// A section that nobody declared.
    #[error("{place}: there is no section [{name}]; {advice}")]
    UnknownSection {
        /// Where.
        place: Place,
        /// What was written.
        name: String,
        /// What to write.
        advice: Advice,
    },
    /// A key that its section does not have.
    #[error("{place}: [{section}] has no key `{name}`; {advice}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The section.
        section: &'static str,
        /// What was written.
        name: String,
        /// What to write.
        advice: Advice,
    },
    /// A key before the first section.
    #[error("{place}: `{name}` stands outside of any section; {advice}")]
    OutsideSection {
        /// Where.
        place: Place,
        /// What was written.
        name: String,
        /// What to write.
        advice: Advice,
    },
    /// The name of a section with something that is no section.
    #[error("{place}: `{name}` is a section: write [{name}] and its keys on the lines below it")]
    NotASection {
        /// Where.
        place: Place,
        /// The section.
        name: &'static str,
    },
    /// A value that its key can't have.
    #[error("{key} ({origin}) is {found}; allowed is {allowed}")]
    BadValue {
        /// `section.key`.
        key: String,
        /// Where the value comes from.
        origin: Origin,
        /// The value.
        found: String,
        /// What its kind allows.
        allowed: &'static str,
    },
    /// A key that needs a value has none.
    #[error("{key} has no value")]
    Unset {
        /// `section.key`.
        key: String,
    },
    /// A secret in clear in the file.
    #[error(
        "{place}: {key} is a secret, and secrets are not written in this file: put it in a file of its own and write \
         {name}_file = \"PATH\" here, or set {variable} in the environment"
    )]
    SecretInFile {
        /// Where.
        place: Place,
        /// `section.key`.
        key: String,
        /// The key.
        name: &'static str,
        /// The environment variable of the key.
        variable: String,
    },
    /// The file of a secret can't be read.
    #[error("the file of {key}, {} ({origin}), cannot be read: {source}", path.display())]
    SecretUnreadable {
        /// `section.key`.
        key: String,
        /// Who named the file.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of a secret has nothing in it.
    #[error("the file of {key}, {} ({origin}), is empty", path.display())]
    SecretEmpty {
        /// `section.key`.
        key: String,
        /// Who named the file.
        origin: Origin,
        /// The file.
        path: PathBuf,
    },
    /// A secret and the file of a secret, both in the environment.
    #[error("both {variable} and {variable}_FILE are set; unset one of them")]
    SecretTwice {
        /// The variable of the secret itself.
        variable: String,
    },
    /// A variable of ours that names no key.
    #[error("the environment variable {name} names no key; {advice}")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// What to set.
        advice: Advice,
    },
    /// A variable of ours that is no text.
    #[error("the environment variable {name} is not UTF-8 text")]
    VariableNotText {
        /// The variable.
        name: String,
    },
    /// More rows by default than are allowed.
    #[error(
        "query.default_maxrec is {default} ({default_origin}), which is more than query.max_maxrec, {max} ({max_origin})"
    )]
    MaxrecOrder {
        /// What nobody asked for.
        default: NonZeroU64,
        /// Who said so.
        default_origin: Origin,
        /// What may be asked for.
        max: NonZeroU64,
        /// Who said so.
        max_origin: Origin,
    },
    /// An endpoint without encryption that nobody allowed.
    #[error("store.endpoint ({origin}) is a plain http address; use https, or allow it with store.allow_http = true")]
    PlainEndpoint {
        /// Who named it.
        origin: Origin,
    },
    /// One half of what an object store asks for.
    #[error("store.{set} is set ({origin}) and store.{missing} is not; the object store needs both or neither")]
    HalfAnAccount {
        /// The half that is there.
        set: &'static str,
        /// Who set it.
        origin: Origin,
        /// The half that is not.
        missing: &'static str,
    },
    /// No folder for the SQLite file.
    #[error(
        "metadata.url must name an SQLite file, such as \"sqlite:/var/lib/almagest/almagest.db\", or a PostgreSQL database, because store.url is not a folder that could hold it"
    )]
    MetadataNowhere,
}

/// What to write instead.
#[derive(Debug)]
pub(crate) enum Advice {
    /// This name is near to the one that was written.
    Nearest(String),
    /// None is near: these are the names.
    OneOf(Vec<String>),
    /// None is near, and there are too many to name here.
    SeeList,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest(name) => write!(f, "did you mean {name}?"),
            Self::OneOf(names) => write!(f, "known here: {}", names.join(", ")),
            Self::SeeList => f.write_str("`almagest config --default` lists them all"),
        }
    }
}
