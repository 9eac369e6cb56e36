//! The kinds of value that a key can have: how each is read, what is allowed, and how it is written in TOML.
//!
//! A value is read once, into a type that can't hold anything else; the rest of the program never parses a size or a
//! length of time again. The kinds that say where something is have a file of their own, [`places`](super::places).

use std::{fmt, num::NonZeroU64, thread, time::Duration};

use catalogs::TableName;
use tracing_subscriber::EnvFilter;

use super::layers::Given;

/// A kind of value.
pub(super) trait Setting: Sized {
    /// What is allowed, to follow "allowed is".
    const ALLOWED: &'static str;

    /// The value that was given, or `None` where it is not allowed.
    fn read(given: &Given) -> Option<Self>;

    /// The value where nothing was given, for kinds that know one.
    fn unset() -> Option<Self> {
        None
    }

    /// The value as TOML writes it; `None` where it is unset.
    fn written(&self) -> Option<String>;
}

/// An optional value: `""` unsets it.
impl<T: Setting> Setting for Option<T> {
    const ALLOWED: &'static str = T::ALLOWED;

    fn read(given: &Given) -> Option<Self> {
        match given.text() {
            Some("") => Some(None),
            _ => T::read(given).map(Some),
        }
    }

    fn unset() -> Option<Self> {
        Some(None)
    }

    fn written(&self) -> Option<String> {
        self.as_ref().and_then(T::written)
    }
}

/// Whether something is so.
impl Setting for bool {
    const ALLOWED: &'static str = "true or false";

    fn read(given: &Given) -> Option<Self> {
        match given {
            Given::Boolean(value) => Some(*value),
            Given::Word(word) => word.parse().ok(),
            _ => None,
        }
    }

    fn written(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A number of things of which there must be one.
impl Setting for NonZeroU64 {
    const ALLOWED: &'static str = "a whole number from 1, such as 1_000_000";

    fn read(given: &Given) -> Option<Self> {
        given.number().and_then(Self::new)
    }

    fn written(&self) -> Option<String> {
        Some(grouped(self.get()))
    }
}

/// A length of time.
impl Setting for Duration {
    const ALLOWED: &'static str = r#"a length of time, such as "500ms", "30s", "5min" or "2h""#;

    fn read(given: &Given) -> Option<Self> {
        length_of_time(given.text()?)
    }

    fn written(&self) -> Option<String> {
        let milliseconds = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        Some(quoted(&in_largest_unit(milliseconds, &[("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)])))
    }
}

/// An amount of memory or storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(u64);

impl ByteSize {
    /// The number of bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.0
    }
}

impl Setting for ByteSize {
    const ALLOWED: &'static str = r#"a size above zero, such as "512MiB", "4GiB" or "4GB""#;

    fn read(given: &Given) -> Option<Self> {
        let (number, unit) = number_and_unit(given.text()?)?;
        let bytes = match unit {
            "B" => 1,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return None,
        };
        number.checked_mul(bytes).filter(|bytes| *bytes > 0).map(Self)
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&in_largest_unit(
            self.0,
            &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)],
        )))
    }
}

/// A number of threads, or as many as there are cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threads(u16);

impl Threads {
    /// How many threads that is on this machine.
    pub(crate) fn count(self) -> usize {
        match self.0 {
            0 => thread::available_parallelism().map_or(1, usize::from),
            given => usize::from(given),
        }
    }
}

impl Setting for Threads {
    const ALLOWED: &'static str = "a whole number from 0 (one for each core) to 1024";

    fn read(given: &Given) -> Option<Self> {
        let number = given.number().filter(|number| *number <= 1024)?;
        u16::try_from(number).ok().map(Self)
    }

    fn written(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// The name of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    /// The name, in lower case.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for SchemaName {
    const ALLOWED: &'static str = r#"a name of letters, digits and underscores, such as "survey""#;

    fn read(given: &Given) -> Option<Self> {
        let name: TableName = format!("{}.t", given.text()?).parse().ok()?;
        Some(Self(name.schema().to_owned()))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For a person, with colour on a terminal.
    Human,
    /// One JSON object a line, for a collector of logs.
    Json,
}

impl Setting for LogFormat {
    const ALLOWED: &'static str = r#""human" or "json""#;

    fn read(given: &Given) -> Option<Self> {
        match given.text()? {
            "human" => Some(Self::Human),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(match self {
            Self::Human => "human",
            Self::Json => "json",
        }))
    }
}

/// How much is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The filter that the log starts with.
    pub(crate) fn filter(&self) -> EnvFilter {
        // The text was understood when it was read, so that there is a filter in it; info is what we log by default.
        crate::logs::directives(&self.0).unwrap_or_else(|| EnvFilter::new("info"))
    }
}

impl Setting for LogFilter {
    const ALLOWED: &'static str =
        r#""off", "error", "warn", "info", "debug" or "trace", or directives such as "info,engine=debug""#;

    fn read(given: &Given) -> Option<Self> {
        let text = given.text()?;
        crate::logs::directives(text).map(|_| Self(text.to_owned()))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// A text that nobody gets to see: it shows itself as `***`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Setting for Secret {
    const ALLOWED: &'static str = "a text that is not empty";

    fn read(given: &Given) -> Option<Self> {
        given.text().filter(|text| !text.is_empty()).map(|text| Self(text.to_owned()))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// The number in `text`, whose digits `_` may group.
pub(crate) fn grouped_digits(text: &str) -> Option<u64> {
    let has_only_digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let grouping_is_inside = !text.starts_with('_') && !text.ends_with('_');
    (has_only_digits && grouping_is_inside).then(|| text.replace('_', "").parse().ok()).flatten()
}

/// The length of time in `text`: a number and a unit.
pub(crate) fn length_of_time(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

fn in_largest_unit(amount: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, size)| amount >= *size && amount.is_multiple_of(*size))
        .or(units.last())
        .map_or_else(|| amount.to_string(), |(unit, size)| format!("{}{unit}", amount / size))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = (digits.len() + 2) % 3 + 1;
    let (head, tail) = digits.split_at(first);
    tail.as_bytes().chunks(3).fold(head.to_owned(), |text, group| text + "_" + &String::from_utf8_lossy(group))
}

/// `text` as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn read<T: Setting>(text: &str) -> Option<T> {
        T::read(&Given::Word(text.to_owned()))
    }

    /// What is read and written again.
    pub(in super::super) fn canonical<T: Setting>(text: &str) -> Option<String> {
        read::<T>(text).and_then(|value| value.written())
    }

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        assert_eq!(read::<ByteSize>("4GiB").map(ByteSize::bytes), Some(4 << 30));
        assert_eq!(read::<ByteSize>("4 GB").map(ByteSize::bytes), Some(4_000_000_000));
        assert_eq!(canonical::<ByteSize>("2048KiB").as_deref(), Some("\"2MiB\""));
        assert_eq!(canonical::<ByteSize>("1000B").as_deref(), Some("\"1000B\""));
        for wrong in ["", "4", "GiB", "4gib", "-1GiB", "1.5GiB", "0GiB", "99999999999TiB", "4GiB "] {
            assert_eq!(read::<ByteSize>(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn lengths_of_time_are_numbers_with_a_unit() {
        assert_eq!(read::<Duration>("30s"), Some(Duration::from_secs(30)));
        assert_eq!(read::<Duration>("5min"), Some(Duration::from_secs(300)));
        assert_eq!(canonical::<Duration>("7200s").as_deref(), Some("\"2h\""));
        assert_eq!(canonical::<Duration>("1500ms").as_deref(), Some("\"1500ms\""));
        assert_eq!(canonical::<Duration>("0s").as_deref(), Some("\"0ms\""));
        for wrong in ["", "30", "s", "5m", "-1s", "1.5s", "18446744073709551615h"] {
            assert_eq!(read::<Duration>(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn numbers_may_group_their_digits() {
        assert_eq!(grouped_digits("1_000_000"), Some(1_000_000));
        for wrong in ["", "_", "_1", "1_", "+1", "-1", "1.0", "99999999999999999999"] {
            assert_eq!(grouped_digits(wrong), None, "{wrong:?}");
        }
        let groups =
            [(1, "1"), (12, "12"), (123, "123"), (1_234, "1_234"), (123_456, "123_456"), (1_234_567, "1_234_567")];
        for (number, text) in groups {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(read::<NonZeroU64>("0"), None);
        assert_eq!(read::<Threads>("1025"), None);
    }

    #[test]
    fn threads_are_as_many_as_cores_where_none_are_given() {
        assert!(read::<Threads>("0").expect("0 is allowed").count() >= 1);
        assert_eq!(read::<Threads>("3").expect("3 is allowed").count(), 3);
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret: Secret = read("hunter2").expect("a secret is any text");
        for shown in [format!("{secret}"), format!("{secret:?}"), format!("{:?}", secret.written())] {
            assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
        }
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn an_empty_text_unsets_what_is_optional_and_nothing_else() {
        assert_eq!(read::<Option<Threads>>(""), Some(None));
        assert_eq!(read::<Option<Secret>>(""), Some(None));
        assert_eq!(read::<Threads>(""), None);
    }
}
