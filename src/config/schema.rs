//! What is known of a section and of a key, and the macro that turns the declaration in [`keys`](super::keys) into it.
//!
//! The macro makes from one declaration: a struct for each section, [`Config`](super::Config), the table [`SECTIONS`] with
//! documentation and defaults, the reading of each field from the layers, and the values as TOML for printing.
//!
//! [`SECTIONS`]: super::keys::SECTIONS

/// A section of the configuration: `[name]` in the file.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name in the file.
    pub(super) name: &'static str,
    /// What it is about, by lines.
    pub(super) doc: &'static [&'static str],
    /// Its keys, in the order in which they are printed.
    pub(super) keys: &'static [Key],
}

/// One key of a section.
#[derive(Debug)]
pub(super) struct Key {
    /// The section it stands in.
    pub(super) section: &'static str,
    /// Its name in the section.
    pub(super) name: &'static str,
    /// What it means, by lines.
    pub(super) doc: &'static [&'static str],
    /// What it is where nobody sets it.
    pub(super) preset: Preset,
    /// What it may be, to follow "allowed is".
    pub(super) allowed: &'static str,
}

/// What a key is where nobody sets it.
#[derive(Debug)]
pub(super) enum Preset {
    /// This value, as it is written in TOML.
    Value(&'static str),
    /// Nothing; `example` is such a value as it is written in TOML.
    Unset {
        /// A value to show.
        example: &'static str,
    },
    /// Nothing, and a value never stands in the file: it is in a file of its own or in the environment.
    Secret,
}

impl Key {
    /// Whether the value of this key is never shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.preset, Preset::Secret)
    }

    /// `section.key`, as sentences name it.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("ALMAGEST__{}__{}", self.section, self.name).to_ascii_uppercase()
    }

    /// The name under which the file may set it: a secret is named by the file that holds it.
    pub(super) fn name_in_file(&self) -> String {
        let suffix = if self.is_secret() { FILE_SUFFIX } else { "" };
        format!("{}{suffix}", self.name)
    }
}

/// What follows the name of a secret where its value is the path of a file that holds it.
pub(super) const FILE_SUFFIX: &str = "_file";

/// The nearest of `names` to `name`, if one is near enough to be what was meant.
pub(super) fn nearest(name: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let name = name.to_lowercase();
    names
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Declares the configuration: see [`keys`](super::keys) for its form.
macro_rules! configuration {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident: $Type:ty = $preset:expr;
            )+
        }
    )+) => {
        /// The whole configuration, complete and checked.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct Config {
            $($(#[doc = $section_doc])+ pub(crate) $section: $Section,)+
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub(crate) struct $Section {
                $($(#[doc = $key_doc])+ pub(crate) $key: $Type,)+
            }
        )+

        /// Every section with its keys, in the order in which they are printed.
        pub(super) static SECTIONS: &[$crate::config::schema::Section] = &[$(
            $crate::config::schema::Section {
                name: stringify!($section),
                doc: &[$($section_doc),+],
                keys: &[$(
                    $crate::config::schema::Key {
                        section: stringify!($section),
                        name: stringify!($key),
                        doc: &[$($key_doc),+],
                        preset: $preset,
                        allowed: <$Type as $crate::config::values::Setting>::ALLOWED,
                    }
                ),+],
            }
        ),+];

        impl Config {
            /// Each key as the uppermost layer that sets it says.
            pub(super) fn from_layers(
                layers: &$crate::config::layers::Layers,
            ) -> Result<Self, $crate::config::ConfigError> {
                Ok(Self {
                    $($section: $Section {
                        $($key: layers.value(stringify!($section), stringify!($key))?,)+
                    },)+
                })
            }

            /// The value of each key as it is written in TOML, in the order of [`SECTIONS`]; `None` where it is unset.
            pub(super) fn written(&self) -> Vec<Option<String>> {
                vec![$($($crate::config::values::Setting::written(&self.$section.$key),)+)+]
            }
        }
    };
}
pub(super) use configuration;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        let names = || ["listen", "public_url"].map(str::to_owned);
        assert_eq!(nearest("lisetn", names()).as_deref(), Some("listen"));
        assert_eq!(nearest("publicurl", names()).as_deref(), Some("public_url"));
        assert_eq!(nearest("LISTEN", names()).as_deref(), Some("listen"));
        assert_eq!(nearest("threads", names()), None);
    }
}
