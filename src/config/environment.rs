//! `ALMAGEST__SECTION__KEY` in the environment: each variable names a key, or is refused.
//!
//! A secret may stand here itself, or its file's path in the variable of the same name with `_FILE` behind it.
//! Variables that do not begin with `ALMAGEST__` are none of our business.

use std::ffi::OsString;

use super::{
    error::{Advice, ConfigError},
    keys::SECTIONS,
    layers::{Entry, Given, Origin},
    schema::{Key, nearest},
};

const PREFIX: &str = "ALMAGEST__";
const SECRET_FILE: &str = "_FILE";

/// What the variables among `environment` that are ours give.
pub(super) fn entries(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<Entry>, ConfigError> {
    let mut ours: Vec<(String, OsString)> = environment
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort();
    let mut entries: Vec<Entry> = Vec::new();
    for (name, value) in ours {
        let Some((key, names_a_file)) = key_of(&name) else {
            return Err(ConfigError::UnknownVariable {
                advice: nearest_variable(&name).map_or(Advice::SeeList, Advice::Nearest),
                name,
            });
        };
        let Ok(value) = value.into_string() else {
            return Err(ConfigError::VariableNotText { name });
        };
        if entries.iter().any(|entry| (entry.section, entry.key) == (key.section, key.name)) {
            return Err(ConfigError::SecretTwice { variable: key.variable() });
        }
        entries.push(Entry {
            section: key.section,
            key: key.name,
            given: match key.is_secret() {
                true if names_a_file && !value.is_empty() => Given::SecretFile(value.into()),
                true => Given::Secret(value.into()),
                false => Given::Word(value),
            },
            origin: Origin::Environment(name),
        });
    }
    Ok(entries)
}

fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// Every variable that is understood.
fn variables() -> impl Iterator<Item = String> {
    keys().flat_map(|key| {
        let of_a_file = key.is_secret().then(|| key.variable() + SECRET_FILE);
        [Some(key.variable()), of_a_file].into_iter().flatten()
    })
}

/// The variable that was meant, told by what follows the prefix that all of them share.
fn nearest_variable(written: &str) -> Option<String> {
    let stem = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    nearest(&stem(written), variables().map(|name| stem(&name))).map(|stem| format!("{PREFIX}{stem}"))
}

/// The key that a variable names, and whether it names it by the file that holds it.
fn key_of(variable: &str) -> Option<(&'static Key, bool)> {
    let itself = keys().find(|key| key.variable() == variable).map(|key| (key, false));
    itself.or_else(|| {
        let stem = variable.strip_suffix(SECRET_FILE)?;
        keys().find(|key| key.is_secret() && key.variable() == stem).map(|key| (key, true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Result<Vec<Entry>, String> {
        entries(variables.iter().map(|(name, value)| (name.into(), value.into()))).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_names_a_section_and_a_key() {
        let entries = given(&[("PATH", "/bin"), ("ALMAGEST_CONFIG", "x"), ("ALMAGEST__QUERY__MAX_MAXREC", "7")]);
        let entries = entries.expect("it is a key");
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].section, entries[0].key), ("query", "max_maxrec"));
        assert_eq!(entries[0].given, Given::Word("7".to_owned()));
    }

    #[test]
    fn a_variable_that_names_no_key_is_refused_with_the_nearest() {
        assert_eq!(
            given(&[("ALMAGEST__STORE__URI", "sky")]).expect_err("there is no such key"),
            "the environment variable ALMAGEST__STORE__URI names no key; did you mean ALMAGEST__STORE__URL?"
        );
        let refusal = given(&[("ALMAGEST__TELESCOPE__APERTURE", "8m")]).expect_err("there is no such key");
        assert!(refusal.ends_with("`almagest config --default` lists them all"), "{refusal}");
        given(&[("ALMAGEST__STORE__URL_FILE", "sky")]).expect_err("only secrets have files");
    }

    #[test]
    fn a_secret_is_in_a_variable_or_in_the_file_that_one_names() {
        let itself = given(&[("ALMAGEST__STORE__SECRET_ACCESS_KEY", "hunter2")]).expect("a secret");
        assert_eq!(itself[0].given, Given::Secret("hunter2".to_owned().into()));
        let file = given(&[("ALMAGEST__STORE__SECRET_ACCESS_KEY_FILE", "/run/key")]).expect("the file of a secret");
        assert_eq!(file[0].given, Given::SecretFile("/run/key".into()));
        let both = [
            ("ALMAGEST__STORE__SECRET_ACCESS_KEY", "hunter2"),
            ("ALMAGEST__STORE__SECRET_ACCESS_KEY_FILE", "/run/key"),
        ];
        let refusal = given(&both).expect_err("which one?");
        assert!(!refusal.contains("hunter2") && refusal.contains("unset one"), "{refusal}");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(vec![0xff]);
        let refusal = entries([("ALMAGEST__STORE__URL".into(), value)]).expect_err("it is no text");
        assert_eq!(refusal.to_string(), "the environment variable ALMAGEST__STORE__URL is not UTF-8 text");
    }
}
