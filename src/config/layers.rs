//! The layers of a configuration, from the defaults up to the flags, and what they amount to.
//!
//! A layer is a list of [`Entry`]s: what was given for a key, and where. Every entry is read, also where an upper one
//! hides it, so that a mistake in the file shows up on the day it is made. Only the file of a hidden secret is left
//! alone: it may well not exist on the machine where somebody overrides it.

use std::{
    borrow::Cow,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

use super::{
    environment,
    error::ConfigError,
    file,
    keys::{Config, SECTIONS},
    schema::Preset,
    values::{Secret, Setting},
};

/// A configuration in force, and where each of its values comes from.
#[derive(Debug)]
pub(crate) struct Effective {
    /// The configuration.
    pub(crate) config: Config,
    pub(super) layers: Layers,
}

impl Effective {
    /// What a file (its path and text), the environment and flags amount to over the defaults.
    pub(super) fn of(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[Flag],
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults();
        if let Some((path, text)) = file {
            layers.0.extend(file::entries(path, text)?);
        }
        layers.0.extend(environment::entries(environment)?);
        layers.0.extend(flags.iter().map(Flag::entry));
        let config = Config::from_layers(&layers)?;
        config.check(|section, key| layers.origin(section, key).cloned().unwrap_or(Origin::Default))?;
        Ok(Self { config, layers })
    }

    /// Whether nobody but the defaults says anything about a key.
    pub(crate) fn is_default(&self, section: &str, key: &str) -> bool {
        matches!(self.layers.origin(section, key), None | Some(Origin::Default))
    }
}

/// All that was given, the uppermost layer last.
#[derive(Debug)]
pub(super) struct Layers(Vec<Entry>);

impl Layers {
    /// What holds where nobody says anything.
    pub(super) fn defaults() -> Self {
        let keys = SECTIONS.iter().flat_map(|section| section.keys);
        let entries = keys.filter_map(|key| match key.preset {
            Preset::Value(literal) => Some(Entry {
                section: key.section,
                key: key.name,
                given: file::literal(literal),
                origin: Origin::Default,
            }),
            Preset::Unset { .. } | Preset::Secret => None,
        });
        Self(entries.collect())
    }

    /// The value of a key.
    pub(super) fn value<T: Setting>(&self, section: &str, key: &str) -> Result<T, ConfigError> {
        let mut value = T::unset();
        let mut entries = self.entries(section, key).peekable();
        while let Some(entry) = entries.next() {
            let is_hidden = entries.peek().is_some();
            if !(is_hidden && matches!(entry.given, Given::SecretFile(_))) {
                value = Some(entry.read()?);
            }
        }
        value.ok_or_else(|| ConfigError::Unset { key: format!("{section}.{key}") })
    }

    /// Where the value of a key comes from; `None` where nobody gave any.
    pub(super) fn origin(&self, section: &str, key: &str) -> Option<&Origin> {
        self.entries(section, key).last().map(|entry| &entry.origin)
    }

    fn entries(&self, section: &str, key: &str) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.section == section && entry.key == key)
    }
}

/// What one layer gives for one key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) given: Given,
    pub(super) origin: Origin,
}

impl Entry {
    fn read<T: Setting>(&self) -> Result<T, ConfigError> {
        let key = format!("{}.{}", self.section, self.key);
        let held;
        let given = match &self.given {
            Given::SecretFile(path) => {
                held = self.held_in(&key, path)?;
                &held
            }
            given => given,
        };
        T::read(given).ok_or_else(|| ConfigError::BadValue {
            key,
            origin: self.origin.clone(),
            found: given.to_string(),
            allowed: T::ALLOWED,
        })
    }

    /// The secret in the file at `path`, without the end of its line.
    fn held_in(&self, key: &str, path: &Path) -> Result<Given, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::SecretUnreadable {
            key: key.to_owned(),
            origin: self.origin.clone(),
            path: path.to_owned(),
            source,
        })?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(ConfigError::SecretEmpty {
                key: key.to_owned(),
                origin: self.origin.clone(),
                path: path.to_owned(),
            }),
            secret => Ok(Given::Secret(secret.to_owned().into())),
        }
    }
}

/// A value as it was given, before its key says what it must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// A string of TOML.
    Text(String),
    /// A word of the environment or the command line, where nothing is quoted and everything may be meant.
    Word(String),
    /// An integer of TOML.
    Integer(i64),
    /// A boolean of TOML.
    Boolean(bool),
    /// A secret.
    Secret(Secret),
    /// The path of a file that holds a secret.
    SecretFile(PathBuf),
    /// Something else of TOML, that no key has; here in words.
    Other(&'static str),
}

impl Given {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Word(text) => Some(text),
            Self::Secret(secret) => Some(secret.reveal()),
            _ => None,
        }
    }

    /// The number, if it is one and not negative.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Word(word) => super::grouped_digits(word),
            _ => None,
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "the text {:?}", without_account(text)),
            Self::Word(word) => write!(f, "{:?}", without_account(word)),
            Self::Integer(number) => write!(f, "the number {number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Secret(secret) => secret.fmt(f),
            Self::SecretFile(path) => path.display().fmt(f),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// `text` to be shown: if it is a URL in which somebody put an account and a password, then without them.
fn without_account(text: &str) -> Cow<'_, str> {
    match text.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, rest)))) => Cow::Owned(format!("{scheme}://***@{rest}")),
        _ => Cow::Borrowed(text),
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File(Place),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => place.fmt(f),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// The file.
    pub(super) file: PathBuf,
    /// The line, from 1.
    pub(super) line: usize,
    /// The character in the line, from 1.
    pub(super) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{}, line {line}, column {column}", file.display())
    }
}

/// What a flag of the command line says about a key.
#[derive(Debug)]
pub(crate) struct Flag {
    flag: &'static str,
    section: &'static str,
    key: &'static str,
    value: String,
}

impl Flag {
    /// The flag, the section and key it sets, and its value.
    pub(crate) fn new(flag: &'static str, section: &'static str, key: &'static str, value: &str) -> Self {
        Self { flag, section, key, value: value.to_owned() }
    }

    fn entry(&self) -> Entry {
        Entry {
            section: self.section,
            key: self.key,
            given: Given::Word(self.value.clone()),
            origin: Origin::Flag(self.flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn variable(name: &str, value: &str) -> (OsString, OsString) {
        (name.into(), value.into())
    }

    fn drain(file: &str, environment: &[(&str, &str)], flags: &[Flag]) -> (u64, Option<Origin>) {
        let environment = environment.iter().map(|(name, value)| variable(name, value));
        let effective = Effective::of(Some((Path::new("almagest.toml"), file)), environment, flags)
            .expect("the configuration is good");
        let origin = effective.layers.origin("shutdown", "drain").cloned();
        (effective.config.shutdown.drain.as_secs(), origin)
    }

    #[test]
    fn flags_are_over_the_environment_over_the_file_over_the_defaults() {
        let file = "[shutdown]\ndrain = '20s'";
        let environment = [("ALMAGEST__SHUTDOWN__DRAIN", "30s")];
        let flag = || Flag::new("--drain", "shutdown", "drain", "40s");
        assert_eq!(drain("", &[], &[]), (10, Some(Origin::Default)));
        let (seconds, origin) = drain(file, &[], &[]);
        assert_eq!(seconds, 20);
        assert_eq!(origin.expect("it is set").to_string(), "almagest.toml, line 2, column 9");
        assert_eq!(drain(file, &environment, &[]).0, 30);
        assert_eq!(drain(file, &environment, &[flag()]), (40, Some(Origin::Flag("--drain"))));
    }

    #[test]
    fn a_mistake_is_refused_even_where_an_upper_layer_hides_it() {
        let refusal = Effective::of(
            Some((Path::new("almagest.toml"), "[shutdown]\ndrain = 20")),
            [variable("ALMAGEST__SHUTDOWN__DRAIN", "30s")],
            &[],
        )
        .expect_err("20 has no unit");
        assert_eq!(
            refusal.to_string(),
            "shutdown.drain (almagest.toml, line 2, column 9) is the number 20; allowed is a length of time, such as \
             \"500ms\", \"30s\", \"5min\" or \"2h\""
        );
    }

    #[test]
    fn a_secret_is_read_from_its_file_without_the_end_of_the_line() {
        let mut held = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(held, "hunter2").expect("it can be written");
        let text = format!("store.secret_access_key_file = '{}'", held.path().display());
        let environment = [variable("ALMAGEST__STORE__ACCESS_KEY_ID", "hunter1")];
        let effective = Effective::of(Some((Path::new("almagest.toml"), &text)), environment, &[])
            .expect("the configuration is good");
        let secret = effective.config.store.secret_access_key.as_ref().expect("it is set");
        assert_eq!(secret.reveal(), "hunter2");
        assert!(!format!("{effective:?}{effective}").contains("hunter"));
    }

    #[test]
    fn the_file_of_a_secret_must_be_there_and_hold_it_unless_the_environment_overrides_it() {
        let text = "store.access_key_id_file = '/nowhere/key'";
        let refusal = Effective::of(Some((Path::new("a.toml"), text)), [], &[]).expect_err("there is no such file");
        assert!(
            refusal.to_string().starts_with("the file of store.access_key_id, /nowhere/key (a.toml, line 1"),
            "{refusal}"
        );
        let both = [
            variable("ALMAGEST__STORE__ACCESS_KEY_ID", "me"),
            variable("ALMAGEST__STORE__SECRET_ACCESS_KEY", "hunter2"),
        ];
        Effective::of(Some((Path::new("a.toml"), text)), both, &[]).expect("the environment is over the file");

        let empty = tempfile::NamedTempFile::new().expect("a temporary file");
        let text = format!("store.access_key_id_file = '{}'", empty.path().display());
        let refusal = Effective::of(Some((Path::new("a.toml"), &text)), [], &[]).expect_err("it is empty");
        assert!(refusal.to_string().ends_with("is empty"), "{refusal}");
    }

    #[test]
    fn a_password_in_an_address_is_refused_without_showing_it() {
        let environment = [variable("ALMAGEST__STORE__ENDPOINT", "https://me:hunter2@s3.example.org/x")];
        let refusal = Effective::of(None, environment, &[]).expect_err("no account belongs there").to_string();
        assert!(refusal.contains("is \"https://***@s3.example.org/x\""), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn half_an_account_is_refused_without_showing_it() {
        let environment = [variable("ALMAGEST__STORE__SECRET_ACCESS_KEY", "hunter2")];
        let refusal = Effective::of(None, environment, &[]).expect_err("there is no access key").to_string();
        assert!(refusal.contains("store.access_key_id is not") && !refusal.contains("hunter2"), "{refusal}");
    }
}
