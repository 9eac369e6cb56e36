//! Signing in, with a name and a password or with a token.
//!
//! A client that sends its password with every request has it computed once a minute: what was right is remembered in
//! this process, under a hash that nobody outside can compute, and whoever asks for the same user meanwhile waits for the
//! first answer. That the user may sign in is read from the database every time.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use chrono::Utc;
use sha2::{Digest, Sha256};

use super::{Deed, Scope, UserName, guessing::Attempt, passwords};
use crate::{Caller, Metadata, MetadataError, database::sql};

/// For how long a password that was right need not be computed again.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many are remembered.
const AT_MOST: usize = 4096;

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The name, the password or the token is wrong, or the user is disabled. Which of these is told to nobody.
    #[error("the name or the password is wrong")]
    Wrong,
    /// The token is wrong, has expired, was revoked, or its user is disabled.
    #[error("the token is not in force")]
    WrongToken,
    /// Too many attempts failed.
    #[error("too many attempts failed; try again in {} s", .wait.as_secs() + 1)]
    Barred {
        /// For how long no other is heard.
        wait: Duration,
    },
    /// It cannot be known.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// What was right a moment ago, and who is being looked at.
#[derive(Default)]
pub(crate) struct Verified {
    salt: [u8; 32],
    right: Mutex<HashMap<[u8; 32], Instant>>,
    turns: Mutex<HashMap<UserName, Weak<tokio::sync::Mutex<()>>>>,
}

impl Verified {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { salt: rand::random(), ..Self::default() }
    }

    fn key(&self, kept: &str, password: &str) -> [u8; 32] {
        let of_kept = Sha256::digest(kept.as_bytes());
        Sha256::new().chain_update(self.salt).chain_update(of_kept).chain_update(password.as_bytes()).finalize().into()
    }

    fn was_right(&self, key: &[u8; 32]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(key).is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    fn remember(&self, key: [u8; 32]) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= AT_MOST {
            right.clear();
        }
        right.insert(key, Instant::now());
    }

    /// The turn of a user: one at a time.
    fn turn(&self, user: &UserName) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(user).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(user.clone(), Arc::downgrade(&turn));
        turn
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified")
    }
}

impl Metadata {
    /// Signs a user in by name and password. `address` is where the request came from.
    pub async fn sign_in(&self, name: &str, password: &str, address: Option<&str>) -> Result<Caller, SignInError> {
        let Ok(user) = name.parse::<UserName>() else {
            passwords::is_right(password, None).await?;
            return Err(SignInError::Wrong);
        };
        let turn = self.verified.turn(&user);
        let _turn = turn.lock().await;
        let account = sql("SELECT password_hash, is_disabled FROM user_account WHERE name = $1").bind(user.as_str());
        let account = self.database.maybe_one(account).await?;
        let is_disabled = account.as_ref().map_or(Ok(false), |row| row.flag("is_disabled"))?;
        let kept = account.map(|row| row.text("password_hash")).transpose()?;
        let key = self.verified.key(kept.as_deref().unwrap_or_default(), password);
        if kept.is_some() && !is_disabled && self.verified.was_right(&key) {
            return Ok(self.caller(user, [Scope::All]).await?);
        }
        if let Attempt::Barred(wait) = self.attempt(&user, address, Utc::now()).await? {
            return Err(SignInError::Barred { wait });
        }
        let is_right = passwords::is_right(password, kept.as_deref()).await?;
        let deed = Deed {
            address,
            succeeded: is_right && !is_disabled,
            detail: is_disabled.then_some("the user is disabled"),
            ..Deed::change(user.as_str(), "sign in", user.as_str())
        };
        self.database.execute(deed.statement()).await?;
        if !deed.succeeded {
            return Err(SignInError::Wrong);
        }
        self.succeeded(&user, address).await?;
        let noted = sql("UPDATE user_account SET signed_in_at = $2 WHERE name = $1").bind(user.as_str());
        self.database.execute(noted.bind(Utc::now())).await?;
        self.verified.remember(key);
        Ok(self.caller(user, [Scope::All]).await?)
    }

    /// Signs a user in by a token.
    pub async fn bearer(&self, token: &str, address: Option<&str>) -> Result<Caller, SignInError> {
        let now = Utc::now();
        if let Some(token) = self.token_in_force(token, now).await? {
            return Ok(self.caller(token.user, token.scopes).await?);
        }
        let deed = Deed { address, succeeded: false, ..Deed::change("nobody", "sign in by token", "") };
        self.database.execute(deed.statement()).await?;
        if let Some(address) = address {
            self.failed_without_name(address, now).await?;
        }
        Err(SignInError::WrongToken)
    }

    async fn caller(&self, user: UserName, scopes: impl IntoIterator<Item = Scope>) -> Result<Caller, MetadataError> {
        let groups = self.groups_of(user.as_str()).await?.into_iter().collect();
        Ok(Caller::User { name: user, groups, scopes: scopes.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewToken, testing::conformance};

    async fn with_ada(place: &crate::testing::Place) -> (Metadata, UserName) {
        let (metadata, ada) = (place.open().await, "ada".parse::<UserName>().unwrap());
        metadata.add_user(&ada, "correct horse", "an operator").await.unwrap();
        (metadata, ada)
    }

    conformance! {
        async fn a_user_signs_in_with_the_right_password_and_learns_nothing_of_a_wrong_one(place: &Place) {
            let (metadata, ada) = with_ada(place).await;
            metadata.add_group(&"team".parse().unwrap(), "an operator").await.unwrap();
            metadata.change_members(&"team".parse().unwrap(), std::slice::from_ref(&ada), &[], "an operator").await.unwrap();
            let caller = metadata.sign_in("Ada", "correct horse", Some("192.0.2.1")).await.unwrap();
            let groups = ["team".parse().unwrap()].into();
            assert_eq!(caller, Caller::User { name: ada.clone(), groups, scopes: [Scope::All].into() });
            let mut refusals = Vec::new();
            for (name, password) in [("ada", "wrong"), ("bob", "correct horse"), ("a b", "x"), ("ada", "")] {
                refusals.push(metadata.sign_in(name, password, None).await.unwrap_err().to_string());
            }
            metadata.set_disabled(&ada, true, "an operator").await.unwrap();
            refusals.push(metadata.sign_in("ada", "correct horse", None).await.unwrap_err().to_string());
            assert!(refusals.iter().all(|refusal| refusal == "the name or the password is wrong"), "{refusals:?}");
            let log = metadata.audit(2).await.unwrap();
            assert_eq!(log[0].detail.as_deref(), Some("the user is disabled"));
        }

        async fn a_changed_password_is_changed_at_once_and_ends_the_waiting(place: &Place) {
            let (metadata, ada) = with_ada(place).await;
            metadata.sign_in("ada", "correct horse", None).await.unwrap();
            metadata.set_password(&ada, "battery staple", "ada").await.unwrap();
            for _ in 0..5 {
                assert!(matches!(metadata.sign_in("ada", "correct horse", None).await, Err(SignInError::Wrong)));
            }
            let barred = metadata.sign_in("ada", "battery staple", None).await.unwrap_err();
            assert!(matches!(barred, SignInError::Barred { .. }), "{barred}");
            metadata.set_password(&ada, "staple battery", "an operator").await.unwrap();
            metadata.sign_in("ada", "staple battery", None).await.unwrap();
        }

        async fn who_sends_a_right_password_with_every_request_is_never_made_to_wait(place: &Place) {
            let (metadata, _) = with_ada(place).await;
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..100 {
                let metadata = metadata.clone();
                tasks.spawn(async move { metadata.sign_in("ada", "correct horse", Some("192.0.2.1")).await.is_ok() });
            }
            assert!(tasks.join_all().await.into_iter().all(|signed_in| signed_in));
            let signed_in = metadata.audit(200).await.unwrap().into_iter().filter(|entry| entry.action == "sign in");
            assert_eq!(signed_in.count(), 1, "one of them was computed");
        }

        async fn a_token_signs_its_user_in_for_what_it_is_good_for(place: &Place) {
            let (metadata, ada) = with_ada(place).await;
            let scopes = [Scope::Query].into();
            let new = NewToken { user: ada.clone(), label: "x".into(), scopes, expires_at: None };
            let (_, text) = metadata.create_token(&new, "ada").await.unwrap();
            let Caller::User { name, scopes, .. } = metadata.bearer(&text, None).await.unwrap() else { panic!() };
            assert_eq!((name, scopes), (ada, [Scope::Query].into()));
            let refused = metadata.bearer("almagest_x", Some("192.0.2.1")).await.unwrap_err();
            assert_eq!(refused.to_string(), "the token is not in force");
            assert!(!metadata.audit(1).await.unwrap()[0].succeeded);
        }
    }
}
