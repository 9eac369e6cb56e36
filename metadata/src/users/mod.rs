//! Who may sign in, with what, and to which groups they belong.
//!
//! ```text
//!   name + password ──▶ sign_in ──┐                         Argon2id, a few at a time
//!   token ────────────▶ bearer ───┴──▶ Caller ──▶ may it see this table?
//! ```
//! Nothing is stored in clear: of a password there is what Argon2id makes of it, of a token its SHA-256. Who guesses is
//! made to wait, longer each time ([`guessing`]). Every sign-in and every change is written down ([`audit`]).

mod accounts;
mod audit;
mod groups;
mod guessing;
mod passwords;
mod sign_in;
mod tokens;

use std::{fmt, str::FromStr};

pub use self::{
    accounts::User,
    audit::AuditEntry,
    groups::Group,
    sign_in::SignInError,
    tokens::{NewToken, Scope, Token},
};
pub(crate) use self::{audit::Deed, sign_in::Verified};
use crate::MetadataError;

/// How long a name may be.
const LONGEST: usize = 64;

/// The name of a user: small letters, digits and `. _ @ -`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// The name of a group, of the same letters as that of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = MetadataError;

    fn from_str(text: &str) -> Result<Self, MetadataError> {
        name(text).map(Self)
    }
}

impl FromStr for GroupName {
    type Err = MetadataError;

    fn from_str(text: &str) -> Result<Self, MetadataError> {
        name(text).map(Self)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn name(text: &str) -> Result<String, MetadataError> {
    let name = text.to_ascii_lowercase();
    let begins = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-');
    if begins && name.len() <= LONGEST && name.bytes().all(is_of_a_name) {
        Ok(name)
    } else {
        Err(MetadataError::Unfit {
            why: format!(
                "'{}' is no name: write at most {LONGEST} letters of a-z, digits and . _ @ -, beginning with a letter or \
                 a digit",
                text.escape_debug()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_its_case_does_not_matter() {
        assert_eq!("Ada.L@obs-1.org".parse::<UserName>().unwrap().as_str(), "ada.l@obs-1.org");
        for wrong in ["", " ada", "-x", "a b", "a\nb", "ä", "a:b", "a,b", &"x".repeat(65)] {
            let refusal = wrong.parse::<GroupName>().unwrap_err().to_string();
            assert!(refusal.contains("is no name"), "{refusal}");
            assert!(!refusal.contains('\n'), "{refusal}");
        }
    }
}
