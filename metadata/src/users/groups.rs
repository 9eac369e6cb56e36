//! Groups of users. A group that was made stays: dropping one that guards a table must not open the table.

use chrono::Utc;

use super::{Deed, GroupName, UserName, accounts::no_user};
use crate::{
    Metadata, MetadataError,
    database::{Row, sql},
};

/// A group and who is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: GroupName,
    /// Its members, by name.
    pub members: Vec<UserName>,
}

impl Metadata {
    /// Makes a group. `actor` is who does it, for the audit log.
    pub async fn add_group(&self, name: &GroupName, actor: &str) -> Result<(), MetadataError> {
        let add = "INSERT INTO user_group (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        let add = sql(add).bind(name.as_str()).bind(Utc::now());
        let exists = || MetadataError::Exists { what: "group", name: name.to_string() };
        self.changed(add, Deed::change(actor, "add group", name.as_str()), exists).await
    }

    /// Puts users into a group, and takes others out of it.
    pub async fn change_members(
        &self,
        group: &GroupName,
        add: &[UserName],
        remove: &[UserName],
        actor: &str,
    ) -> Result<(), MetadataError> {
        self.expect_groups(std::slice::from_ref(group)).await?;
        let mut transaction = self.database.write().await?;
        for user in add {
            let there = sql("SELECT name FROM user_account WHERE name = $1").bind(user.as_str());
            transaction.maybe_one(there).await?.ok_or_else(|| no_user(user))?;
            let join = "INSERT INTO member (user_name, group_name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            transaction.execute(sql(join).bind(user.as_str()).bind(group.as_str())).await?;
            let deed = Deed { detail: Some(user.as_str()), ..Deed::change(actor, "add member", group.as_str()) };
            deed.write(&mut transaction).await?;
        }
        for user in remove {
            let leave = sql("DELETE FROM member WHERE user_name = $1 AND group_name = $2");
            if transaction.execute(leave.bind(user.as_str()).bind(group.as_str())).await? == 0 {
                return Err(MetadataError::Absent { what: "member", name: format!("{user} of {group}") });
            }
            let deed = Deed { detail: Some(user.as_str()), ..Deed::change(actor, "remove member", group.as_str()) };
            deed.write(&mut transaction).await?;
        }
        transaction.commit().await
    }

    /// All groups, by name.
    pub async fn groups(&self) -> Result<Vec<Group>, MetadataError> {
        let rows = "SELECT name, user_name FROM user_group LEFT JOIN member ON group_name = name \
                    ORDER BY name, user_name";
        let mut groups: Vec<Group> = Vec::new();
        for row in self.database.all(sql(rows)).await? {
            let name = GroupName(row.text("name")?);
            if groups.last().is_none_or(|last| last.name != name) {
                groups.push(Group { name, members: Vec::new() });
            }
            if let (Some(group), Some(member)) = (groups.last_mut(), row.maybe_text("user_name")?) {
                group.members.push(UserName(member));
            }
        }
        Ok(groups)
    }

    /// The groups of a user.
    pub(super) async fn groups_of(&self, user: &str) -> Result<Vec<GroupName>, MetadataError> {
        let own = sql("SELECT group_name AS name FROM member WHERE user_name = $1 ORDER BY group_name").bind(user);
        names_of(&self.database.all(own).await?)
    }

    /// Refuses names of groups that there are not.
    pub(crate) async fn expect_groups(&self, names: &[GroupName]) -> Result<(), MetadataError> {
        for name in names {
            let there = sql("SELECT name FROM user_group WHERE name = $1").bind(name.as_str());
            let absent = || MetadataError::Absent { what: "group", name: name.to_string() };
            self.database.maybe_one(there).await?.ok_or_else(absent)?;
        }
        Ok(())
    }
}

/// The groups that the column `name` of rows names.
pub(super) fn names_of(rows: &[Row]) -> Result<Vec<GroupName>, MetadataError> {
    rows.iter().map(|row| row.text("name").map(GroupName)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance;

    conformance! {
        async fn members_come_and_go_all_or_none(place: &Place) {
            let metadata = place.open().await;
            let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| name.parse::<UserName>().unwrap());
            let team: GroupName = "team".parse().unwrap();
            for user in [&ada, &bob] {
                metadata.add_user(user, "12345678", "an operator").await.unwrap();
            }
            let absent = metadata.change_members(&team, &[], &[], "an operator").await.unwrap_err();
            assert_eq!(absent.to_string(), "there is no group team");
            metadata.add_group(&team, "an operator").await.unwrap();
            metadata.add_group(&"empty".parse().unwrap(), "an operator").await.unwrap();
            assert!(metadata.add_group(&team, "an operator").await.is_err());
            let both = [ada.clone(), eve.clone()];
            assert!(metadata.change_members(&team, &both, &[], "an operator").await.is_err(), "there is no eve");
            metadata.change_members(&team, &[bob.clone(), ada.clone()], &[], "an operator").await.unwrap();
            metadata.change_members(&team, &both[..1], std::slice::from_ref(&bob), "an operator").await.unwrap();
            let groups = metadata.groups().await.unwrap();
            let groups: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.members.as_slice())).collect();
            assert_eq!(groups, [("empty", &[][..]), ("team", std::slice::from_ref(&ada))]);
            assert_eq!(metadata.users().await.unwrap()[0].groups, [team]);
        }
    }
}
