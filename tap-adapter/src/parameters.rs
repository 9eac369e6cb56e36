//! The parameters of a TAP request, from pairs of names and values to what they mean.
//!
//! DALI's rules: names in any case, values as they are; a single-valued parameter given twice is an error; an unknown one
//! is ignored. A value that is empty counts as not given, since web forms send their empty fields.

use jobs::{Language, formats::Format};

/// What a request to `/tap/sync` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyncRequest {
    pub(crate) language: Language,
    pub(crate) query: String,
    pub(crate) max_rec: Option<u64>,
    pub(crate) format: Format,
    pub(crate) run_id: Option<String>,
}

/// Why the parameters ask for nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    #[error("The parameter {0} is given twice; give it once.")]
    Twice(&'static str),
    #[error("The parameter QUERY is missing; it holds the text of the query.")]
    NoQuery,
    #[error("Unknown query language {0:?}; write LANG=ADQL, or LANG=SQL for the dialect of the engine.")]
    UnknownLanguage(String),
    #[error("MAXREC={0:?} is not a number of rows; write a whole number, 0 for the columns only.")]
    BadMaxRec(String),
    #[error(transparent)]
    UnknownFormat(#[from] jobs::formats::UnknownFormat),
    #[error("RUNID has more than 64 characters; shorten it.")]
    LongRunId,
    #[error("Uploads are not supported by this service; send the request without UPLOAD.")]
    Upload,
}

/// The parameters that are read; all others are ignored.
const NAMES: [&str; 7] = ["LANG", "QUERY", "MAXREC", "RESPONSEFORMAT", "FORMAT", "RUNID", "UPLOAD"];

impl SyncRequest {
    /// Reads the pairs of a request.
    pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, ParameterError> {
        let mut values: [Option<String>; NAMES.len()] = Default::default();
        for (name, value) in pairs {
            let Some(place) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(&name)) else {
                continue;
            };
            if value.is_empty() {
                continue;
            }
            if NAMES[place] == "UPLOAD" {
                return Err(ParameterError::Upload);
            }
            if values[place].replace(value).is_some() {
                return Err(ParameterError::Twice(NAMES[place]));
            }
        }
        let [language, query, max_rec, response_format, format, run_id, _] = values;
        if run_id.as_ref().is_some_and(|id| id.chars().count() > 64) {
            return Err(ParameterError::LongRunId);
        }
        Ok(Self {
            language: language.map_or(Ok(Language::Adql), language_of)?,
            query: query.ok_or(ParameterError::NoQuery)?,
            max_rec: max_rec.map(|text| text.parse().map_err(|_| ParameterError::BadMaxRec(text))).transpose()?,
            format: response_format.or(format).map_or(Ok(Format::default()), |text| text.parse())?,
            run_id,
        })
    }
}

fn language_of(text: String) -> Result<Language, ParameterError> {
    match text.to_ascii_uppercase().as_str() {
        "ADQL" | "ADQL-2.0" | "ADQL-2.1" => Ok(Language::Adql),
        "SQL" => Ok(Language::Sql),
        _ => Err(ParameterError::UnknownLanguage(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<SyncRequest, ParameterError> {
        SyncRequest::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn names_are_read_in_any_case_and_unknown_ones_ignored() {
        let request = read(&[
            ("request", "doQuery"),
            ("Lang", "ADQL-2.1"),
            ("qUeRy", "SELECT 1"),
            ("maxrec", "0"),
            ("ResponseFormat", "csv"),
            ("RunId", "night 7"),
            ("DUMMY", "ignore-me"),
            ("DUMMY", "twice"),
        ])
        .unwrap();
        assert_eq!(
            request,
            SyncRequest {
                language: Language::Adql,
                query: "SELECT 1".into(),
                max_rec: Some(0),
                format: Format::CSV,
                run_id: Some("night 7".into()),
            }
        );
    }

    #[test]
    fn what_is_not_said_or_empty_has_its_default() {
        for pairs in
            [&[("QUERY", "q")][..], &[("QUERY", "q"), ("MAXREC", ""), ("FORMAT", ""), ("LANG", ""), ("UPLOAD", "")]]
        {
            let request = read(pairs).unwrap();
            assert_eq!((request.language, request.max_rec, request.format), (Language::Adql, None, Format::default()));
        }
    }

    #[test]
    fn format_is_an_older_name_of_responseformat_which_wins() {
        assert_eq!(read(&[("QUERY", "q"), ("FORMAT", "csv")]).unwrap().format, Format::CSV);
        let both = read(&[("QUERY", "q"), ("FORMAT", "csv"), ("RESPONSEFORMAT", "votable")]).unwrap();
        assert_eq!(both.format, Format::default());
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_one_sentence() {
        let long = "x".repeat(65);
        for (pairs, sentence) in [
            (&[("LANG", "ADQL")][..], "The parameter QUERY is missing"),
            (&[("QUERY", "")], "The parameter QUERY is missing"),
            (&[("QUERY", "a"), ("query", "a")], "The parameter QUERY is given twice"),
            (&[("QUERY", "a"), ("LANG", "OOBLECK")], "Unknown query language \"OOBLECK\""),
            (&[("QUERY", "a"), ("LANG", "ADQL-3.0")], "Unknown query language \"ADQL-3.0\""),
            (&[("QUERY", "a"), ("MAXREC", "-1")], "MAXREC=\"-1\" is not a number of rows"),
            (&[("QUERY", "a"), ("MAXREC", "ten")], "MAXREC=\"ten\" is not a number of rows"),
            (&[("QUERY", "a"), ("MAXREC", "1e3")], "MAXREC=\"1e3\" is not a number of rows"),
            (&[("QUERY", "a"), ("FORMAT", "asdf")], "The format \"asdf\" is not offered"),
            (&[("QUERY", "a"), ("RUNID", long.as_str())], "RUNID has more than 64 characters"),
            (&[("QUERY", "a"), ("UPLOAD", "t,param:t")], "Uploads are not supported"),
        ] {
            let refusal = read(pairs).unwrap_err().to_string();
            assert!(refusal.starts_with(sentence), "{refusal}");
        }
    }
}
