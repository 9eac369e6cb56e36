//! Tokens: what a script signs in with. A token is 256 random bits, shown once, when it is made; kept is its SHA-256.
//!
//! That a token is found by its hash tells nobody who measures the time anything of the token: to come near a hash one
//! would have to invert it.

use std::{collections::BTreeSet, fmt, fmt::Write, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::{Deed, UserName, accounts::no_user};
use crate::{
    Metadata, MetadataError,
    database::{Row, sql},
};

/// What every token begins with, so that those who look for secrets in what they publish find it.
const PREFIX: &str = "almagest_";

/// The use of a token is noted at most this often.
const NOTED: TimeDelta = TimeDelta::minutes(1);

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Asking queries and reading their results.
    Query,
    /// Writing tables of one's own.
    Tables,
    /// All that the user may do.
    All,
}

impl Scope {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Tables => "tables",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Scope {
    type Err = MetadataError;

    fn from_str(text: &str) -> Result<Self, MetadataError> {
        let all = [Self::Query, Self::Tables, Self::All];
        let unfit = || MetadataError::Unfit { why: format!("'{text}' is no scope: there are query, tables and all") };
        all.into_iter().find(|scope| scope.word() == text).ok_or_else(unfit)
    }
}

/// A token, as its owner or an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is called by. It is not the token.
    pub id: String,
    /// Whose it is.
    pub user: UserName,
    /// What it was made for, in the owner's words.
    pub label: String,
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is of no use.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was used last, to the minute.
    pub used_at: Option<DateTime<Utc>>,
}

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// For whom.
    pub user: UserName,
    /// What it is made for.
    pub label: String,
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    /// From when on it is of no use; none: never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Metadata {
    /// Makes a token. Returns its id and the token itself, which nobody can be told again.
    pub async fn create_token(&self, token: &NewToken, actor: &str) -> Result<(String, String), MetadataError> {
        let (id, secret) = (format!("{:010x}", rand::random::<u64>() >> 24), rand::random::<[u8; 32]>());
        let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        let scopes = token.scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>().join(" ");
        let make = "INSERT INTO token (id, user_name, digest, label, scopes, created_at, expires_at) \
                    SELECT $1, name, $3, $4, $5, $6, $7 FROM user_account WHERE name = $2";
        let make = sql(make).bind(&id).bind(token.user.as_str()).bind(digest(&text)).bind(&token.label).bind(&scopes);
        let make = make.bind(Utc::now()).bind(token.expires_at);
        let detail = format!("{} for {}: {scopes}", id, token.user);
        let deed = Deed { detail: Some(&detail), ..Deed::change(actor, "create token", token.user.as_str()) };
        self.changed(make, deed, || no_user(&token.user)).await?;
        Ok((id, text))
    }

    /// Takes a token back.
    pub async fn revoke_token(&self, id: &str, actor: &str) -> Result<(), MetadataError> {
        let revoke = "UPDATE token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        let absent = || MetadataError::Absent { what: "token in force", name: id.to_owned() };
        self.changed(sql(revoke).bind(id).bind(Utc::now()), Deed::change(actor, "revoke token", id), absent).await
    }

    /// All tokens, or those of one user; those that expired or were revoked, too.
    pub async fn tokens(&self, user: Option<&UserName>) -> Result<Vec<Token>, MetadataError> {
        let all = "SELECT id, user_name, label, scopes, created_at, expires_at, revoked_at, used_at FROM token \
                   WHERE $1 = '' OR user_name = $1 ORDER BY user_name, created_at, id";
        let user = user.map_or("", |user| user.as_str());
        self.database.all(sql(all).bind(user)).await?.iter().map(token_of).collect()
    }

    /// The token of this text, if it is in force and its user may sign in; its use is noted.
    pub(super) async fn token_in_force(&self, text: &str, now: DateTime<Utc>) -> Result<Option<Token>, MetadataError> {
        let find = "SELECT id, user_name, label, scopes, token.created_at, expires_at, revoked_at, used_at \
                    FROM token JOIN user_account ON name = user_name \
                    WHERE digest = $1 AND revoked_at IS NULL AND NOT is_disabled \
                    AND (expires_at IS NULL OR expires_at > $2)";
        let found = self.database.maybe_one(sql(find).bind(digest(text)).bind(now)).await?;
        let token = found.as_ref().map(token_of).transpose()?;
        if let Some(token) = &token
            && token.used_at.is_none_or(|used| used <= now - NOTED)
        {
            let used = sql("UPDATE token SET used_at = $2 WHERE id = $1").bind(&token.id).bind(now);
            self.database.execute(used).await?;
        }
        Ok(token)
    }
}

/// What is kept of a token.
fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // into a text: cannot fail
        hex
    })
}

fn token_of(row: &Row) -> Result<Token, MetadataError> {
    Ok(Token {
        id: row.text("id")?,
        user: UserName(row.text("user_name")?),
        label: row.text("label")?,
        scopes: row.text("scopes")?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?,
        created_at: row.time("created_at")?,
        expires_at: row.maybe_time("expires_at")?,
        revoked_at: row.maybe_time("revoked_at")?,
        used_at: row.maybe_time("used_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance;

    conformance! {
        async fn a_token_is_good_until_it_expires_or_is_taken_back_and_not_while_its_user_is_disabled(place: &Place) {
            let metadata = place.open().await;
            let (ada, now) = ("ada".parse::<UserName>().unwrap(), Utc::now());
            let new = |label: &str, expires_at| NewToken {
                user: ada.clone(),
                label: label.into(),
                scopes: [Scope::Query, Scope::Tables].into(),
                expires_at,
            };
            assert!(metadata.create_token(&new("no user", None), "ada").await.is_err());
            metadata.add_user(&ada, "12345678", "an operator").await.unwrap();
            let (id, text) = metadata.create_token(&new("a script", None), "ada").await.unwrap();
            let (_, short) = metadata.create_token(&new("short", Some(now + TimeDelta::hours(1))), "ada").await.unwrap();
            assert!(text.starts_with("almagest_") && text.len() == 9 + 43, "{text}");
            let good = async |text: &str, at| metadata.token_in_force(text, at).await.unwrap().is_some();
            let late = now + TimeDelta::hours(2);
            assert_eq!((good(&text, now).await, good(&short, now).await), (true, true));
            assert_eq!((good(&text, late).await, good(&short, late).await), (true, false));
            assert!(!good(&id, now).await && !good(&format!("{text}="), now).await && !good("", now).await);
            metadata.set_disabled(&ada, true, "an operator").await.unwrap();
            assert!(!good(&text, now).await);
            metadata.set_disabled(&ada, false, "an operator").await.unwrap();
            assert!(good(&text, now).await);
            metadata.revoke_token(&id, "ada").await.unwrap();
            assert!(!good(&text, now).await);
            assert!(metadata.revoke_token(&id, "ada").await.is_err(), "it is revoked");
            let tokens = metadata.tokens(Some(&ada)).await.unwrap();
            assert_eq!((tokens.len(), metadata.tokens(None).await.unwrap().len()), (2, 2));
            assert_eq!(metadata.tokens(Some(&"bob".parse().unwrap())).await.unwrap(), []);
            assert_eq!(tokens[0].scopes, [Scope::Query, Scope::Tables].into());
            let kept = metadata.database.all(sql("SELECT digest FROM token")).await.unwrap();
            assert!(kept.iter().all(|row| row.text("digest").unwrap().len() == 64), "nothing is kept in clear");
        }
    }
}
