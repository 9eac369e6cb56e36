//! The file `almagest.toml`: which section, key and value stand where.
//!
//! The text is parsed with its positions, so that whatever is refused, here or later, is refused with its line and column.

use std::{borrow::Cow, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{Advice, ConfigError},
    keys::SECTIONS,
    layers::{Entry, Given, Origin, Place},
    schema::{FILE_SUFFIX, Section, nearest},
};

/// What the file at `path` gives, whose text is `text`.
pub(super) fn entries(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let file = File { path, text };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: file.place(error.span().unwrap_or_default()),
        message: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    for (name, value) in in_order(table.get_ref()) {
        let section = file.section(name, value)?;
        let DeValue::Table(keys) = value.get_ref() else {
            return Err(ConfigError::NotASection { place: file.place(name.span()), name: section.name });
        };
        for (name, value) in in_order(keys) {
            entries.push(file.entry(section, name, value)?);
        }
    }
    Ok(entries)
}

/// A value that stands alone, as in the declaration of a default.
pub(super) fn literal(text: &str) -> Given {
    DeValue::parse(text).map_or(Given::Other("no TOML"), |value| given(value.get_ref()))
}

type Name<'t> = Spanned<Cow<'t, str>>;
type Value<'t> = Spanned<DeValue<'t>>;

struct File<'t> {
    path: &'t Path,
    text: &'t str,
}

impl File<'_> {
    fn section(&self, name: &Name<'_>, value: &Value<'_>) -> Result<&'static Section, ConfigError> {
        let written = name.get_ref().as_ref();
        if let Some(section) = SECTIONS.iter().find(|section| section.name == written) {
            return Ok(section);
        }
        let place = self.place(name.span());
        if matches!(value.get_ref(), DeValue::Table(_)) {
            return Err(ConfigError::UnknownSection {
                place,
                name: written.to_owned(),
                advice: advice(written, SECTIONS.iter().map(|section| section.name.to_owned()), "[", "]"),
            });
        }
        let homes = SECTIONS
            .iter()
            .filter(|section| section.keys.iter().any(|key| key.name_in_file() == written || key.name == written))
            .map(|section| format!("[{}]", section.name))
            .collect::<Vec<_>>();
        Err(ConfigError::OutsideSection {
            place,
            name: written.to_owned(),
            advice: match homes.is_empty() {
                true => Advice::SeeList,
                false => Advice::Nearest(format!("`{written}` in {}", homes.join(" or "))),
            },
        })
    }

    fn entry(&self, section: &'static Section, name: &Name<'_>, value: &Value<'_>) -> Result<Entry, ConfigError> {
        let written = name.get_ref().as_ref();
        if let Some(key) = section.keys.iter().find(|key| key.name_in_file() == written) {
            let origin = Origin::File(self.place(value.span()));
            let given = given(value.get_ref());
            let given = match (key.is_secret(), given) {
                (false, given) => given,
                (true, Given::Text(path)) if !path.is_empty() => Given::SecretFile(path.into()),
                (true, other) => {
                    return Err(ConfigError::BadValue {
                        key: format!("{}{FILE_SUFFIX}", key.path()),
                        origin,
                        found: other.to_string(),
                        allowed: "the path of a file that holds the secret",
                    });
                }
            };
            return Ok(Entry { section: key.section, key: key.name, given, origin });
        }
        let place = self.place(name.span());
        if let Some(secret) = section.keys.iter().find(|key| key.name == written) {
            return Err(ConfigError::SecretInFile {
                place,
                key: secret.path(),
                name: secret.name,
                variable: secret.variable(),
            });
        }
        Err(ConfigError::UnknownKey {
            place,
            section: section.name,
            name: written.to_owned(),
            advice: advice(written, section.keys.iter().map(|key| key.name_in_file()), "`", "`"),
        })
    }

    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Place {
            file: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// The entries of a table as they stand in the file, so that the first mistake of several is the one that is named.
fn in_order<'a, 't>(table: &'a DeTable<'t>) -> Vec<(&'a Name<'t>, &'a Value<'t>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn advice(written: &str, names: impl Iterator<Item = String> + Clone, before: &str, after: &str) -> Advice {
    match nearest(written, names.clone()) {
        Some(name) => Advice::Nearest(format!("{before}{name}{after}")),
        None => Advice::OneOf(names.map(|name| format!("{before}{name}{after}")).collect()),
    }
}

fn given(value: &DeValue<'_>) -> Given {
    match value {
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Given::Other("a number that is too large"), Given::Integer),
        DeValue::Boolean(value) => Given::Boolean(*value),
        DeValue::Float(_) => Given::Other("a number with a fraction or an exponent"),
        DeValue::Datetime(_) => Given::Other("a date or time"),
        DeValue::Array(_) => Given::Other("a list"),
        DeValue::Table(_) => Given::Other("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        entries(Path::new("almagest.toml"), text).expect_err(text).to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_name() {
        assert_eq!(
            refusal("# mine\n[http]\n  lisetn = '127.0.0.1:80'\n"),
            "almagest.toml, line 3, column 3: [http] has no key `lisetn`; did you mean `listen`?"
        );
        assert_eq!(
            refusal("[metadata]\ncolour = 'blue'"),
            "almagest.toml, line 2, column 1: [metadata] has no key `colour`; known here: `url`, `password_file`"
        );
    }

    #[test]
    fn an_unknown_section_is_refused_with_its_place_and_the_nearest_name() {
        assert_eq!(
            refusal("[log]\nlevel = 'warn'\n\n[flihgt]\n"),
            "almagest.toml, line 4, column 2: there is no section [flihgt]; did you mean [flight]?"
        );
        assert!(refusal("[telescope]").contains("known here: [store], [remote], [metadata], [http]"));
    }

    #[test]
    fn a_key_outside_of_its_section_is_told_where_it_belongs() {
        assert_eq!(
            refusal("drain = '3s'"),
            "almagest.toml, line 1, column 1: `drain` stands outside of any section; did you mean `drain` in [shutdown]?"
        );
        assert!(refusal("colour = 1").contains("almagest config --default"));
        assert!(refusal("store = 'sky'").contains("`store` is a section: write [store]"));
        assert!(refusal("[[store]]").contains("`store` is a section: write [store]"));
    }

    #[test]
    fn the_first_mistake_in_the_file_is_the_one_that_is_named() {
        assert!(refusal("[store]\nzzz = 1\naaa = 1").contains("line 2, column 1"));
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_not_repeated() {
        for text in [
            "[store]\nsecret_access_key = 'hunter2'",
            "[store]\nsecret_acces_key = 'hunter2'",
            "[store]\nsecret_access_key = 'hunter2",
            "secret_access_key = 'hunter2'",
        ] {
            let refusal = refusal(text);
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
        assert_eq!(
            refusal("[store]\nsecret_access_key = 'hunter2'"),
            "almagest.toml, line 2, column 1: store.secret_access_key is a secret, and secrets are not written in this \
             file: put it in a file of its own and write secret_access_key_file = \"PATH\" here, or set \
             ALMAGEST__STORE__SECRET_ACCESS_KEY in the environment"
        );
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        let unclosed = refusal("[store]\nurl = \"sky\n");
        assert!(unclosed.starts_with("almagest.toml, line 2, column "), "{unclosed}");
        let twice = refusal("[store]\nurl = 'a'\nurl = 'b'\n");
        assert!(twice.starts_with("almagest.toml, line 3, column 1") && twice.contains("duplicate"), "{twice}");
    }

    #[test]
    fn a_column_counts_characters_and_not_bytes() {
        assert!(refusal("[\"é\".x]\n").starts_with("almagest.toml, line 1, column 2"));
        assert!(refusal("http = { \"é\" = 1 }").starts_with("almagest.toml, line 1, column 10"));
        assert!(refusal("http = { listen = 'é', x = 1 }").starts_with("almagest.toml, line 1, column 24"));
    }
}
