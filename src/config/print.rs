//! The configuration as text: every key with its default and meaning, or the values in force and where they come from.
//!
//! Both are TOML that this program reads back to the same configuration. A secret is never in either: where one is set,
//! its line is a comment with `***`.

use std::fmt::{self, Write};

use super::{
    keys::SECTIONS,
    layers::Effective,
    schema::{Key, Preset},
};

const HEADER: &str = "\
# The configuration of almagest: every key, with its default.
#
# This file is looked for at --config FILE, else at $ALMAGEST_CONFIG, else at ./almagest.toml; none is needed.
# A key of it is overridden by ALMAGEST__SECTION__KEY in the environment, and that by a flag of the command line.
# What is not understood is refused. A key in a comment has no value by default; \"\" takes one away from it again.
# Relative paths start where almagest is started.
";

/// A complete file: every key with its default, its meaning and what is allowed.
pub(crate) fn default_file() -> String {
    let mut text = HEADER.to_owned();
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.doc);
        text.push_str(&format!("[{}]\n", section.name));
        for (index, key) in section.keys.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            comment(&mut text, key.doc);
            text.push_str(&key_with_default(key));
        }
    }
    text
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        text.push_str(&format!("# {}\n", line.trim()));
    }
}

fn key_with_default(key: &Key) -> String {
    let name = key.name_in_file();
    match key.preset {
        Preset::Value(value) => format!("# Allowed: {}.\n{name} = {value}\n", key.allowed),
        Preset::Unset { example } => format!("# Allowed: {}.\n# {name} = {example}\n", key.allowed),
        Preset::Secret => format!(
            "# Not written here: name a file that holds it, or set {} in the environment.\n\
             # {name} = \"/etc/almagest/{}\"\n",
            key.variable(),
            key.name
        ),
    }
}

/// The values in force, each with where it comes from.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = self.config.written().into_iter();
        for (index, section) in SECTIONS.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            writeln!(f, "[{}]", section.name)?;
            for key in section.keys {
                let line = match values.next().flatten() {
                    Some(value) if key.is_secret() => format!("# {} = {value}", key.name),
                    Some(value) => format!("{} = {value}", key.name),
                    None => format!("# {} is unset", key.name),
                };
                match self.layers.origin(key.section, key.name) {
                    Some(origin) => writeln!(f, "{line:<40} # {origin}")?,
                    None => writeln!(f, "{line}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, layers::Layers};

    fn read(text: &str) -> Effective {
        Effective::of(Some((Path::new("almagest.toml"), text)), [], &[]).expect(text)
    }

    fn defaults() -> Config {
        Effective::of(None, [], &[]).expect("the defaults are good").config
    }

    #[test]
    fn the_default_file_read_back_is_the_default_configuration() {
        let effective = read(&default_file());
        assert_eq!(effective.config, defaults());
        assert!(effective.to_string().contains("almagest.toml, line"), "nothing was read from the file");
    }

    #[test]
    fn the_default_file_has_every_key_with_its_meaning() {
        let text = default_file();
        for key in SECTIONS.iter().flat_map(|section| section.keys) {
            assert!(!key.doc.is_empty(), "{} has no meaning", key.path());
            assert!(text.contains(&format!("{} = ", key.name_in_file())), "{} is missing", key.path());
        }
    }

    #[test]
    fn a_default_is_declared_as_it_is_printed() {
        let written = defaults().written();
        let keys = SECTIONS.iter().flat_map(|section| section.keys);
        for (key, written) in keys.zip(written) {
            match key.preset {
                Preset::Value(literal) => {
                    assert_eq!(written.as_deref(), Some(literal), "{}", key.path())
                }
                Preset::Unset { .. } | Preset::Secret => {
                    assert_eq!(written, None, "{}", key.path())
                }
            }
        }
    }

    #[test]
    fn the_examples_in_comments_are_good_values() {
        let examples: String = default_file()
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|key| key.contains(" = ")).unwrap_or(line))
            .filter(|line| !line.contains("_file = "))
            .map(|line| format!("{line}\n"))
            .collect();
        let effective = read(&examples);
        for key in SECTIONS.iter().flat_map(|section| section.keys) {
            if matches!(key.preset, Preset::Unset { .. }) {
                assert!(effective.layers.origin(key.section, key.name).is_some(), "{}", key.path());
            }
        }
    }

    #[test]
    fn the_printed_configuration_read_back_is_the_same() {
        let text = "store.url = 's3://sky/dr3'\nmetadata.url = 'sqlite:/var/lib/a.db'\nquery.memory = '512MiB'\n\
                    query.threads = 3\nhttp.public_url = 'https://sky.example.org'\nlog.level = 'info,engine=debug'";
        let first = read(text);
        assert_ne!(first.config, defaults());
        assert_eq!(read(&first.to_string()).config, first.config);
    }

    #[test]
    fn the_printed_configuration_says_where_each_value_comes_from() {
        let environment = [
            ("ALMAGEST__STORE__ACCESS_KEY_ID".into(), "me".into()),
            ("ALMAGEST__STORE__SECRET_ACCESS_KEY".into(), "hunter2".into()),
        ];
        let flag = crate::config::Flag::new("--log-level", "log", "level", "warn");
        let file = Some((Path::new("sky.toml"), "[query]\nthreads = 3"));
        let text = Effective::of(file, environment, &[flag]).expect("it is good").to_string();
        for (line, origin) in [
            ("url = \"almagest-data\"", "# default"),
            ("threads = 3", "# sky.toml, line 2, column 11"),
            ("level = \"warn\"", "# flag --log-level"),
            ("# secret_access_key = \"***\"", "# environment variable ALMAGEST__STORE__SECRET_ACCESS_KEY"),
        ] {
            let found = text.lines().find(|found| found.starts_with(line)).expect(line);
            assert!(found.ends_with(origin), "{found}");
        }
        assert!(text.contains("# endpoint is unset\n"));
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn every_layer_knows_the_defaults_of_the_keys_that_have_one() {
        let layers = Layers::defaults();
        for key in SECTIONS.iter().flat_map(|section| section.keys) {
            let has_default = matches!(key.preset, Preset::Value(_));
            assert_eq!(layers.origin(key.section, key.name).is_some(), has_default, "{}", key.path());
        }
    }
}
