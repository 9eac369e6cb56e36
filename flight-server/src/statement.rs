//! A query as a statement handle, and the language that it is read in.
//!
//! The handle holds all that is needed to answer: any server can redeem a ticket that another one gave, and nothing is
//! kept between the two calls. The query is planned again then, against the tables of that moment.

use jobs::Language;
use prost::Message;
use tonic::{Status, metadata::MetadataMap};

/// The header that says how the text of a query is read.
const LANGUAGE_HEADER: &str = "x-query-language";

/// A query on its way from `GetFlightInfo` to `DoGet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) language: Language,
    pub(crate) text: String,
}

/// What the bytes of a handle are.
#[derive(Clone, PartialEq, Message)]
struct Handle {
    #[prost(string, tag = "1")]
    language: String,
    #[prost(string, tag = "2")]
    text: String,
}

impl Statement {
    /// A query as a client sends it; its language is in the headers, ADQL where they don't say.
    pub(crate) fn new(text: String, headers: &MetadataMap) -> Result<Self, Status> {
        if text.trim().is_empty() {
            return Err(Status::invalid_argument("The query is empty; send its text."));
        }
        let language = match headers.get(LANGUAGE_HEADER) {
            None => Language::Adql,
            Some(name) => name.to_str().ok().and_then(language).ok_or_else(|| {
                Status::invalid_argument(format!(
                    "The header {LANGUAGE_HEADER} holds an unknown query language; write adql or sql."
                ))
            })?,
        };
        Ok(Self { language, text })
    }

    /// The handle that a ticket carries.
    pub(crate) fn to_handle(&self) -> Vec<u8> {
        let language = match self.language {
            Language::Adql => "adql",
            Language::Sql => "sql",
        };
        Handle { language: language.to_owned(), text: self.text.clone() }.encode_to_vec()
    }

    /// The query of a handle.
    pub(crate) fn from_handle(handle: &[u8]) -> Result<Self, Status> {
        let read = Handle::decode(handle).ok().filter(|handle| !handle.text.is_empty());
        let statement = read.and_then(|handle| Some(Self { language: language(&handle.language)?, text: handle.text }));
        statement.ok_or_else(|| {
            Status::invalid_argument("The ticket is none of ours; ask for the query's FlightInfo again.")
        })
    }
}

fn language(name: &str) -> Option<Language> {
    match name.to_ascii_lowercase().as_str() {
        "adql" => Some(Language::Adql),
        "sql" => Some(Language::Sql),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_statement_comes_back_from_its_handle() {
        for language in [Language::Adql, Language::Sql] {
            let statement = Statement { language, text: "SELECT 'é'".into() };
            assert_eq!(Statement::from_handle(&statement.to_handle()).unwrap(), statement);
        }
    }

    #[test]
    fn a_handle_that_nobody_gave_is_refused() {
        let foreign = Handle { language: "prolog".into(), text: "x".into() }.encode_to_vec();
        let empty = Handle { language: "adql".into(), text: String::new() }.encode_to_vec();
        for handle in [&b""[..], b"\xff\xff", b"SELECT 1", &foreign, &empty] {
            assert_eq!(Statement::from_handle(handle).unwrap_err().code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn the_header_chooses_the_language_and_adql_is_the_default() {
        let mut headers = MetadataMap::new();
        let read = |headers: &MetadataMap| Statement::new("q".into(), headers).map(|statement| statement.language);
        assert_eq!(read(&headers).unwrap(), Language::Adql);
        headers.insert(LANGUAGE_HEADER, "SQL".parse().unwrap());
        assert_eq!(read(&headers).unwrap(), Language::Sql);
        headers.insert(LANGUAGE_HEADER, "prolog".parse().unwrap());
        assert_eq!(read(&headers).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(Statement::new(" \n".into(), &MetadataMap::new()).unwrap_err().code(), Code::InvalidArgument);
    }
}
