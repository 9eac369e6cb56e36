//! What a store's failure is, in a sentence for the person who meets it.
//!
//! The client library wraps a fault three to six times; its cause is at the bottom, and the answer of a bucket is XML in
//! the middle. Nothing here decides anything: it only reads.

use std::{error::Error, io};

use object_store::client::{HttpError, HttpErrorKind};

use super::Place;
use crate::CatalogError;

/// The failure of something done to the object with this address.
pub(super) fn told(place: &Place, url: String, error: object_store::Error) -> CatalogError {
    let why = sentence(place, &error);
    CatalogError::Object { url, why, error }
}

fn sentence(place: &Place, error: &object_store::Error) -> String {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    let answer = Answer::of(error);
    match (error, place) {
        (NotFound { .. }, Place::Folder(_)) => "there is no such file".to_owned(),
        (NotFound { .. }, Place::Bucket { name, service, .. }) if answer.code.as_deref() == Some("NoSuchBucket") => {
            format!("there is no bucket '{name}' at {service}")
        }
        (NotFound { .. }, Place::Web) => "there is no such file (404)".to_owned(),
        (NotFound { .. }, _) => "there is no such object".to_owned(),
        (PermissionDenied { .. } | Unauthenticated { .. }, Place::Bucket { signed, service, .. }) => {
            let who = match signed {
                true => "the access key that was given may not do this",
                false => "no access key was given, and it is not open to everybody",
            };
            format!("{service} denies access{}: {who}", answer.in_brackets())
        }
        (PermissionDenied { .. } | Unauthenticated { .. }, Place::Web) => {
            format!("the server denies access{}", answer.in_brackets())
        }
        _ => match (transport(error), place) {
            (Some(HttpErrorKind::Connect), Place::Bucket { service, .. }) => {
                format!("{service} cannot be reached: {}", cause(error))
            }
            (Some(HttpErrorKind::Connect), _) => format!("the server cannot be reached: {}", cause(error)),
            (Some(HttpErrorKind::Timeout), _) => format!("the server did not answer in time: {}", cause(error)),
            (Some(_), _) => format!("the connection failed again and again: {}", cause(error)),
            (None, _) if answer.status.is_some() => format!("the server refuses{}", answer.in_brackets()),
            (None, Place::Folder(_)) => cause(error),
            (None, _) => error.to_string(),
        },
    }
}

/// What a server said.
#[derive(Default)]
struct Answer {
    status: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl Answer {
    fn of(error: &object_store::Error) -> Self {
        const STATUS: &str = "non-2xx status code: ";
        let mut answer = Self::default();
        for error in chain(error) {
            let text = error.to_string();
            if let Some((_, rest)) = text.split_once(STATUS) {
                answer.status = rest.split(':').next().map(|status| status.trim().to_owned());
            }
            answer.code = element(&text, "Code").or(answer.code);
            answer.message = element(&text, "Message").or(answer.message);
        }
        answer
    }

    /// ` (403 Forbidden, AccessDenied: No such key)`, or as much of it as is known.
    fn in_brackets(&self) -> String {
        let mut said: Vec<&str> = self.status.iter().chain(&self.code).map(String::as_str).collect();
        let words = said.join(", ");
        said = [words.as_str()].into_iter().chain(self.message.as_deref()).filter(|part| !part.is_empty()).collect();
        if said.is_empty() { String::new() } else { format!(" ({})", said.join(": ")) }
    }
}

/// The text of the first element of this name, at most a line of it.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim().chars().take(200).collect()).filter(|text: &String| !text.is_empty())
}

/// An error and what is behind it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Of what kind the transport's failure was, if it was one.
pub(super) fn transport(error: &object_store::Error) -> Option<HttpErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<HttpError>()).map(HttpError::kind)
}

/// The number of the server's answer, if there was one and it was no success.
pub(super) fn status(error: &object_store::Error) -> Option<u16> {
    Answer::of(error).status?.split(' ').next()?.parse().ok()
}

/// The innermost error.
fn cause(error: &object_store::Error) -> String {
    let innermost = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let io = chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    io.map_or(innermost, ToString::to_string)
}
