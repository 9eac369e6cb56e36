//! Accounts of users. One is never deleted, only disabled: its name stays that of its jobs and of its entries in the log.

use chrono::{DateTime, Utc};

use super::{Deed, GroupName, UserName, groups::names_of, passwords};
use crate::{
    Metadata, MetadataError,
    database::{Statement, sql},
};

/// A user, as an operator sees one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// Whether the user may not sign in.
    pub is_disabled: bool,
    /// The groups, by name.
    pub groups: Vec<GroupName>,
    /// Since when there is an account.
    pub created_at: DateTime<Utc>,
    /// The last time that the password was used.
    pub signed_in_at: Option<DateTime<Utc>>,
}

impl Metadata {
    /// Makes an account. `actor` is who does it, for the audit log.
    pub async fn add_user(&self, name: &UserName, password: &str, actor: &str) -> Result<(), MetadataError> {
        let hash = passwords::hash(password).await?;
        let add = "INSERT INTO user_account (name, password_hash, created_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (name) DO NOTHING";
        let add = sql(add).bind(name.as_str()).bind(hash).bind(Utc::now());
        let exists = || MetadataError::Exists { what: "user", name: name.to_string() };
        self.changed(add, Deed::change(actor, "add user", name.as_str()), exists).await
    }

    /// Gives an account another password, and an end to having to wait after wrong ones.
    pub async fn set_password(&self, name: &UserName, password: &str, actor: &str) -> Result<(), MetadataError> {
        let hash = passwords::hash(password).await?;
        let set = sql("UPDATE user_account SET password_hash = $2 WHERE name = $1").bind(name.as_str()).bind(hash);
        self.changed(set, Deed::change(actor, "change password", name.as_str()), || no_user(name)).await?;
        self.forgive(name).await
    }

    /// Lets a user sign in no more, or again. The tokens of a disabled user are of no use.
    pub async fn set_disabled(&self, name: &UserName, disabled: bool, actor: &str) -> Result<(), MetadataError> {
        let set = sql("UPDATE user_account SET is_disabled = $2 WHERE name = $1").bind(name.as_str()).bind(disabled);
        let action = if disabled { "disable user" } else { "enable user" };
        self.changed(set, Deed::change(actor, action, name.as_str()), || no_user(name)).await
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>, MetadataError> {
        let members = sql("SELECT user_name, group_name AS name FROM member ORDER BY user_name, group_name");
        let members = self.database.all(members).await?;
        let all = sql("SELECT name, is_disabled, created_at, signed_in_at FROM user_account ORDER BY name");
        let mut users = Vec::new();
        for row in self.database.all(all).await? {
            let name = row.text("name")?;
            let mut own = Vec::new();
            for member in &members {
                if member.text("user_name")? == name {
                    own.extend(names_of(std::slice::from_ref(member))?);
                }
            }
            users.push(User {
                name: UserName(name),
                is_disabled: row.flag("is_disabled")?,
                groups: own,
                created_at: row.time("created_at")?,
                signed_in_at: row.maybe_time("signed_in_at")?,
            });
        }
        Ok(users)
    }

    /// Makes a change and writes it down; where nothing was changed, says why.
    pub(crate) async fn changed(
        &self,
        change: Statement,
        deed: Deed<'_>,
        unchanged: impl FnOnce() -> MetadataError,
    ) -> Result<(), MetadataError> {
        let mut transaction = self.database.write().await?;
        if transaction.execute(change).await? == 0 {
            return Err(unchanged());
        }
        deed.write(&mut transaction).await?;
        transaction.commit().await
    }
}

/// There is none of this name.
pub(super) fn no_user(name: &UserName) -> MetadataError {
    MetadataError::Absent { what: "user", name: name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance;

    conformance! {
        async fn an_account_is_made_once_and_its_changes_are_written_down(place: &Place) {
            let metadata = place.open().await;
            let ada: UserName = "ada".parse().unwrap();
            metadata.add_user(&ada, "correct horse", "an operator").await.unwrap();
            let again = metadata.add_user(&ada, "another one", "an operator").await.unwrap_err();
            assert_eq!(again.to_string(), "there is a user ada already");
            metadata.set_disabled(&ada, true, "an operator").await.unwrap();
            let absent = metadata.set_password(&"bob".parse().unwrap(), "12345678", "an operator").await.unwrap_err();
            assert_eq!(absent.to_string(), "there is no user bob");
            let users = metadata.users().await.unwrap();
            assert_eq!((users.len(), users[0].name.as_str(), users[0].is_disabled), (1, "ada", true));
            let log = metadata.audit(9).await.unwrap();
            let log: Vec<_> = log.iter().map(|entry| (entry.action.as_str(), entry.subject.as_str())).collect();
            assert_eq!(log, [("disable user", "ada"), ("add user", "ada")]);
        }

        async fn a_password_is_nowhere_in_the_database(place: &Place) {
            let metadata = place.open().await;
            metadata.add_user(&"ada".parse().unwrap(), "correct horse", "an operator").await.unwrap();
            let kept = metadata.database.one(sql("SELECT password_hash FROM user_account")).await.unwrap();
            assert!(kept.text("password_hash").unwrap().starts_with("$argon2id$"));
        }
    }
}
