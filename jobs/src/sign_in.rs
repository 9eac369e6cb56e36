//! Who asks: what a door read in the field `Authorization`, made into jobs for that user.
//!
//! The same field at every door, by HTTP's rules: `Basic` with a name and a password, or `Bearer` with a token.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use metadata::{Caller, Metadata, Scope, SignInError};

use crate::{JobError, Jobs, served::Tables};

/// What the token begins with that stands for a name and a password.
const SESSION: &str = "basic-";

/// The field that a client is to send with every call after it has signed in by `authorization`. There are no sessions:
/// clients that insist on a token get what they sent, as one. None where it is not read.
pub fn bearer_for(authorization: &[u8]) -> Option<String> {
    let field = std::str::from_utf8(authorization).ok()?.trim();
    match Said::read(field)? {
        Said::Token(_) => Some(field.to_owned()),
        Said::Password { name, password } => {
            Some(format!("Bearer {SESSION}{}", BASE64_STANDARD.encode(format!("{name}:{password}"))))
        }
    }
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefusal {
    /// The field is not read, or what it says is wrong.
    #[error("{0}")]
    Wrong(String),
    /// It is right, and not good for queries.
    #[error("The token is not good for queries.")]
    NotForQueries,
    /// Too many attempts failed.
    #[error("Too many attempts to sign in failed; try again in {} s.", .wait.as_secs() + 1)]
    Barred {
        /// For how long no other is heard.
        wait: Duration,
    },
    /// It cannot be known at the moment.
    #[error(transparent)]
    Failed(JobError),
}

impl Jobs {
    /// These jobs for whoever the field `Authorization` names; without one, for who asked until now. `address` is that of
    /// the client, if it is known.
    pub async fn signed_in(&self, authorization: Option<&[u8]>, address: Option<&str>) -> Result<Self, SignInRefusal> {
        let Some(authorization) = authorization else { return Ok(self.clone()) };
        let unread = || SignInRefusal::Wrong("Sign in by Basic with a name and a password, or by Bearer.".to_owned());
        let said = std::str::from_utf8(authorization).ok().and_then(Said::read).ok_or_else(unread)?;
        let Tables::Published(shelf) = &*self.tables else {
            return Err(SignInRefusal::Wrong("There are no users here.".to_owned()));
        };
        let caller = said.caller(&shelf.metadata, address).await.map_err(|error| match error {
            SignInError::Wrong => SignInRefusal::Wrong("The name or the password is wrong.".to_owned()),
            SignInError::WrongToken => SignInRefusal::Wrong("The token is not in force.".to_owned()),
            SignInError::Barred { wait } => SignInRefusal::Barred { wait },
            SignInError::Metadata(error) => SignInRefusal::Failed(JobError::unavailable("signing in", &error)),
        })?;
        match &caller {
            Caller::User { scopes, .. } if !scopes.contains(&Scope::Query) && !scopes.contains(&Scope::All) => {
                Err(SignInRefusal::NotForQueries)
            }
            _ => Ok(self.asked_by(caller)),
        }
    }
}

/// What somebody says to be signed in.
#[derive(PartialEq, Eq)]
enum Said {
    Password { name: String, password: String },
    Token(String),
}

impl Said {
    fn read(field: &str) -> Option<Self> {
        let (scheme, rest) = field.trim().split_once(' ')?;
        let rest = rest.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                let text = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
                let (name, password) = text.split_once(':')?;
                Some(Self::Password { name: name.to_owned(), password: password.to_owned() })
            }
            "bearer" => match rest.strip_prefix(SESSION) {
                Some(basic) => Self::read(&format!("Basic {basic}")),
                None => Some(Self::Token(rest.to_owned())),
            },
            _ => None,
        }
    }

    async fn caller(&self, metadata: &Metadata, address: Option<&str>) -> Result<Caller, SignInError> {
        match self {
            Self::Password { name, password } => metadata.sign_in(name, password, address).await,
            Self::Token(token) => metadata.bearer(token, address).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use metadata::NewToken;

    use super::*;
    use crate::house::House;

    #[test]
    fn a_name_ends_at_the_first_colon_and_what_is_no_field_is_not_read() {
        let basic = |text: &str| Said::read(&format!("Basic {}", BASE64_STANDARD.encode(text)));
        let password = |name: &str, password: &str| Said::Password { name: name.into(), password: password.into() };
        assert!(basic("ada:a:b") == Some(password("ada", "a:b")));
        assert!(basic("ada:") == Some(password("ada", "")));
        assert!(Said::read("bearer  x ") == Some(Said::Token("x".into())));
        assert!(basic("ada").is_none());
        let bearer = bearer_for(format!("basic {}", BASE64_STANDARD.encode("ada:a:b")).as_bytes()).unwrap();
        assert!(bearer.starts_with("Bearer ") && Said::read(&bearer) == Some(password("ada", "a:b")));
        assert_eq!(bearer_for(b"Bearer x").as_deref(), Some("Bearer x"));
        assert_eq!(bearer_for(b"Basic \xff"), None);
        for wrong in ["", "Basic", "Basic !", "Digest x", "x"] {
            assert!(Said::read(wrong).is_none(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_field_that_is_right_signs_in_and_one_that_is_wrong_is_refused() {
        let house = House::with_stars(1).await;
        let ada: metadata::UserName = "ada".parse().unwrap();
        house.metadata.add_user(&ada, "correct horse", "a test").await.unwrap();
        let mut tokens = Vec::new();
        for scope in [Scope::Query, Scope::Tables] {
            let new = NewToken { user: ada.clone(), label: "x".into(), scopes: [scope].into(), expires_at: None };
            tokens.push(house.metadata.create_token(&new, "a test").await.unwrap().1);
        }
        let signed_in = async |field: String| house.jobs.signed_in(Some(field.as_bytes()), None).await.map(drop);
        assert!(house.jobs.signed_in(None, None).await.is_ok());
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        signed_in(basic("ada:correct horse")).await.unwrap();
        signed_in(format!("Bearer {}", tokens[0])).await.unwrap();
        let refused = async |field| signed_in(field).await.unwrap_err().to_string();
        assert_eq!(refused(basic("ada:wrong horse")).await, "The name or the password is wrong.");
        assert_eq!(refused("Bearer x".into()).await, "The token is not in force.");
        assert_eq!(refused(format!("Bearer {}", tokens[1])).await, "The token is not good for queries.");
        assert!(refused("Negotiate x".into()).await.starts_with("Sign in by Basic"));
    }
}
