//! Passwords: what is kept of one, and whether another is the same.
//!
//! Argon2id with 19 MiB and two passes, as OWASP advises. It takes tens of milliseconds and that memory, so that only a few
//! are computed at a time, on threads that may block.

use std::sync::LazyLock;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::MetadataError;

/// The shortest password, in characters, and the longest, in bytes.
const SHORTEST: usize = 8;
const LONGEST: usize = 1024;

/// How many are computed at the same time.
const AT_ONCE: usize = 4;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// What is compared with where there is no user of a name, so that it takes as long as where there is one.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hashed("nobody has this password").ok());

/// What is kept of a password.
pub(super) async fn hash(password: &str) -> Result<String, MetadataError> {
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        let why = format!("a password has at least {SHORTEST} characters and at most {LONGEST} bytes");
        return Err(MetadataError::Unfit { why });
    }
    let password = password.to_owned();
    computed(move || hashed(&password)).await?
}

/// Whether this is the password of which `kept` was kept; without anything kept it is not, as slowly.
pub(super) async fn is_right(password: &str, kept: Option<&str>) -> Result<bool, MetadataError> {
    if password.len() > LONGEST {
        return Ok(false);
    }
    let (password, kept) = (password.to_owned(), kept.map(str::to_owned));
    computed(move || {
        let is_somebody = kept.is_some();
        let kept = kept.as_deref().or(NOBODY.as_deref()).unwrap_or_default();
        let kept = PasswordHash::new(kept).map_err(|_| MetadataError::Corrupt { what: "a password hash".into() })?;
        Ok(Argon2::default().verify_password(password.as_bytes(), &kept).is_ok() && is_somebody)
    })
    .await?
}

async fn computed<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Result<T, MetadataError> {
    let fault = || MetadataError::Corrupt { what: "a password that could not be computed with".into() };
    let _turn = TURNS.acquire().await.map_err(|_| fault())?;
    tokio::task::spawn_blocking(compute).await.map_err(|_| fault())
}

fn hashed(password: &str) -> Result<String, MetadataError> {
    let unfit = |error| MetadataError::Unfit { why: format!("the password: {error}") };
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &rand::random::<[u8; 16]>());
    Ok(hash.map_err(unfit)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_of_a_password_is_argon2id_with_a_salt_of_its_own() {
        let kept = hash("correct horse").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(hash("correct horse").await.unwrap(), kept);
        assert!(is_right("correct horse", Some(&kept)).await.unwrap());
        assert!(!is_right("correct horsf", Some(&kept)).await.unwrap());
        assert!(!is_right("nobody has this password", None).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_is_neither_short_nor_endless() {
        assert!(hash("seven77").await.is_err());
        assert!(hash("★★★★★★★★").await.is_ok());
        assert!(hash(&"x".repeat(1025)).await.is_err());
        assert!(!is_right(&"x".repeat(1025), None).await.unwrap());
    }
}
