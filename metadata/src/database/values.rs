//! Statements with their values, and rows, the same for both databases.

use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, Decode, Postgres, Row as _, Sqlite, Type,
    postgres::{PgArguments, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::{MetadataError, time, written};

/// A text of SQL and the values of its placeholders.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    text: String,
    values: Vec<Value>,
}

/// A value of a placeholder. A missing one has a type, too: PostgreSQL wants to know it.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A number.
    Number(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Whether something is so.
    Flag(bool),
}

/// A statement of this text, which holds nothing that came from outside.
pub(crate) fn sql(text: impl Into<String>) -> Statement {
    Statement { text: text.into(), values: Vec::new() }
}

impl Statement {
    /// The value of the next placeholder.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More text, as it stands.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Flag(flag) => query.bind(flag),
        })
    }

    pub(super) fn postgres(self) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Number(number) => query.bind(number),
            // PostgreSQL has no text with NUL in it; what came with one is kept without it.
            Value::Text(text) => query.bind(text.map(|text| text.replace('\0', "\u{fffd}"))),
            Value::Flag(flag) => query.bind(flag),
        })
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(Some(number.into()))
    }
}

/// A count: more than the database can write down has never been seen, and is the largest that it can.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Text(Some(written(time)))
    }
}

impl From<Option<u64>> for Value {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Self::Number(None), Self::from)
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Option<DateTime<Utc>>> for Value {
    fn from(time: Option<DateTime<Utc>>) -> Self {
        Self::Text(time.map(written))
    }
}

/// A row of an answer.
#[derive(Debug)]
pub(crate) enum Row {
    /// Of a file.
    Sqlite(SqliteRow),
    /// Of a server.
    Postgres(PgRow),
}

impl Row {
    fn get<T>(&self, column: &str) -> Result<T, MetadataError>
    where
        T: for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres> + Type<Sqlite> + Type<Postgres>,
    {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// A text.
    pub(crate) fn text(&self, column: &str) -> Result<String, MetadataError> {
        self.get(column)
    }

    /// A text that may be missing.
    pub(crate) fn maybe_text(&self, column: &str) -> Result<Option<String>, MetadataError> {
        self.get(column)
    }

    /// A whole number that may be missing. PostgreSQL tells those of 32 bits from those of 64.
    pub(crate) fn maybe_number(&self, column: &str) -> Result<Option<i64>, MetadataError> {
        match self.get::<Option<i64>>(column) {
            Err(wide) => Ok(self.get::<Option<i32>>(column).map_err(|_| wide)?.map(i64::from)),
            number => number,
        }
    }

    /// A whole number.
    pub(crate) fn number(&self, column: &str) -> Result<i64, MetadataError> {
        let missing = || MetadataError::Corrupt { what: format!("nothing for {column}") };
        self.maybe_number(column)?.ok_or_else(missing)
    }

    /// A count.
    pub(crate) fn count(&self, column: &str) -> Result<u64, MetadataError> {
        let number = self.number(column)?;
        number.try_into().map_err(|_| MetadataError::Corrupt { what: format!("{number} for {column}") })
    }

    /// A count that may be missing.
    pub(crate) fn maybe_count(&self, column: &str) -> Result<Option<u64>, MetadataError> {
        self.maybe_number(column)?.map(|_| self.count(column)).transpose()
    }

    /// Whether something is so.
    pub(crate) fn flag(&self, column: &str) -> Result<bool, MetadataError> {
        self.get(column)
    }

    /// A time.
    pub(crate) fn time(&self, column: &str) -> Result<DateTime<Utc>, MetadataError> {
        time(&self.text(column)?)
    }

    /// A time that may be missing.
    pub(crate) fn maybe_time(&self, column: &str) -> Result<Option<DateTime<Utc>>, MetadataError> {
        self.maybe_text(column)?.map(|text| time(&text)).transpose()
    }
}
