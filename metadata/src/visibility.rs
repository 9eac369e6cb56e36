//! Which tables somebody may see. A table that may not be seen is not there: it is in no list and no sentence.
//!
//! A table is public unless it is said to be otherwise. What is said goes for all its versions, and for those to come; it
//! may be said before there is a first one.

use std::collections::BTreeSet;

use catalogs::TableName;
use chrono::{DateTime, Utc};

use crate::{
    GroupName, Metadata, MetadataError, PublishedTable, Scope, UserName,
    database::{Row, sql},
    moved_on, table_name,
    users::Deed,
};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who did not sign in.
    #[default]
    Anonymous,
    /// A user who did.
    User {
        /// The name.
        name: UserName,
        /// The groups at the time of signing in.
        groups: BTreeSet<GroupName>,
        /// What may be done so: all with a password, what it is good for with a token.
        scopes: BTreeSet<Scope>,
    },
    /// Whoever runs commands beside the database: everything is his to see.
    Operator,
}

/// Who may see a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Members of these groups.
    Restricted {
        /// The groups; of none, only operators see it.
        groups: BTreeSet<GroupName>,
        /// From when on everybody may.
        released_at: Option<DateTime<Utc>>,
    },
}

impl Visibility {
    /// Whether somebody may see the table at a time.
    pub fn allows(&self, caller: &Caller, now: DateTime<Utc>) -> bool {
        match (self, caller) {
            (Self::Public, _) | (_, Caller::Operator) => true,
            (Self::Restricted { released_at: Some(release), .. }, _) if *release <= now => true,
            (Self::Restricted { groups, .. }, Caller::User { groups: own, .. }) => !groups.is_disjoint(own),
            (Self::Restricted { .. }, Caller::Anonymous) => false,
        }
    }
}

impl Metadata {
    /// Says who may see a table. Whoever serves it sees that at once.
    pub async fn set_visibility(
        &self,
        name: &TableName,
        visibility: &Visibility,
        actor: &str,
    ) -> Result<(), MetadataError> {
        let gone = sql("DELETE FROM table_visibility WHERE schema_name = $1 AND table_name = $2");
        let gone = gone.bind(name.schema()).bind(name.table());
        let (said, detail) = match visibility {
            Visibility::Public => (None, "public".to_owned()),
            Visibility::Restricted { groups, released_at } => {
                self.expect_groups(&groups.iter().cloned().collect::<Vec<_>>()).await?;
                let groups = groups.iter().map(GroupName::as_str).collect::<Vec<_>>().join(" ");
                let detail = format!("groups: {groups}; released: {released_at:?}");
                let say = "INSERT INTO table_visibility (schema_name, table_name, group_names, released_at) \
                           VALUES ($1, $2, $3, $4)";
                (Some(sql(say).bind(name.schema()).bind(name.table()).bind(groups).bind(*released_at)), detail)
            }
        };
        let mut transaction = self.database.write().await?;
        transaction.execute(gone).await?;
        if let Some(said) = said {
            transaction.execute(said).await?;
        }
        let subject = name.to_string();
        let deed = Deed { detail: Some(&detail), ..Deed::change(actor, "set visibility", &subject) };
        deed.write(&mut transaction).await?;
        moved_on(&mut transaction).await?;
        transaction.commit().await
    }

    /// Who may see a table.
    pub async fn visibility(&self, name: &TableName) -> Result<Visibility, MetadataError> {
        let said = "SELECT group_names, released_at FROM table_visibility WHERE schema_name = $1 AND table_name = $2";
        let said = self.database.maybe_one(sql(said).bind(name.schema()).bind(name.table())).await?;
        said.map_or(Ok(Visibility::Public), |row| visibility_of(&row))
    }

    /// The tables of which something else is said than that everybody may see them, by name; there may be no version of
    /// one yet.
    pub async fn restricted(&self) -> Result<Vec<(TableName, Visibility)>, MetadataError> {
        let said = "SELECT schema_name, table_name, group_names, released_at FROM table_visibility \
                    ORDER BY schema_name, table_name";
        let rows = self.database.all(sql(said)).await?;
        rows.iter().map(|row| Ok((table_name(row)?, visibility_of(row)?))).collect()
    }

    /// The served versions of all tables that somebody may see now, by name.
    pub async fn visible(&self, caller: &Caller) -> Result<Vec<PublishedTable>, MetadataError> {
        let (mut tables, now) = (self.tables().await?, Utc::now());
        tables.retain(|table| table.visibility.allows(caller, now));
        Ok(tables)
    }
}

/// What a row says of its table; one that says nothing says that it is public.
pub(crate) fn visibility_of(row: &Row) -> Result<Visibility, MetadataError> {
    let Some(groups) = row.maybe_text("group_names")? else { return Ok(Visibility::Public) };
    let groups = groups.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(Visibility::Restricted { groups, released_at: row.maybe_time("released_at")? })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{Publication, testing::conformance};

    fn member_of(groups: &[&str]) -> Caller {
        let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
        Caller::User { name: "ada".parse().unwrap(), groups, scopes: [Scope::All].into() }
    }

    #[test]
    fn a_restricted_table_is_for_its_groups_until_it_is_released() {
        let now = Utc::now();
        let restricted = |groups: &[&str], released_at| Visibility::Restricted {
            groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
            released_at,
        };
        let (before, after) = (now - TimeDelta::seconds(1), now + TimeDelta::seconds(1));
        let callers = [Caller::Anonymous, member_of(&[]), member_of(&["x", "team"]), Caller::Operator];
        for (visibility, allowed) in [
            (Visibility::Public, [true; 4]),
            (restricted(&["team"], None), [false, false, true, true]),
            (restricted(&["team", "y"], Some(after)), [false, false, true, true]),
            (restricted(&["team"], Some(before)), [true; 4]),
            (restricted(&[], Some(after)), [false, false, false, true]),
            (restricted(&[], None), [false, false, false, true]),
            (restricted(&["team"], Some(now)), [true; 4]),
        ] {
            assert_eq!(callers.clone().map(|caller| visibility.allows(&caller, now)), allowed, "{visibility:?}");
        }
    }

    conformance! {
        async fn who_may_see_a_table_is_said_for_all_its_versions_and_moves_the_generation(place: &Place) {
            let metadata = place.open().await;
            let publish = async |name: &str, root: &str, seen| {
                let (name, snapshot) = (name.parse().unwrap(), String::new());
                let (root, columns) = (root.into(), Vec::new());
                let new = Publication { name, root, snapshot, rows: 1, description: None, note: None, columns };
                metadata.publish(&new, seen, None).await.unwrap();
            };
            let secret: TableName = "demo.secret".parse().unwrap();
            let team = Visibility::Restricted { groups: ["team".parse().unwrap()].into(), released_at: None };
            let absent = metadata.set_visibility(&secret, &team, "an operator").await.unwrap_err();
            assert_eq!(absent.to_string(), "there is no group team");
            metadata.add_group(&"team".parse().unwrap(), "an operator").await.unwrap();
            metadata.set_visibility(&secret, &team, "an operator").await.unwrap();
            publish("demo.stars", "a", None).await;
            publish("demo.secret", "b", None).await;
            publish("demo.secret", "c", Some(1)).await;
            let seen = async |caller: &Caller| {
                let tables = metadata.visible(caller).await.unwrap();
                tables.into_iter().map(|table| table.name.to_string()).collect::<Vec<_>>()
            };
            assert_eq!(seen(&Caller::Anonymous).await, ["demo.stars"]);
            assert_eq!(seen(&member_of(&["other"])).await, ["demo.stars"]);
            assert_eq!(seen(&member_of(&["team"])).await, ["demo.secret", "demo.stars"]);
            assert_eq!(metadata.versions(&secret).await.unwrap()[0].table.visibility, team);
            assert_eq!(metadata.restricted().await.unwrap(), [(secret.clone(), team)]);
            let before = metadata.generation().await.unwrap();
            let released = Visibility::Restricted { groups: [].into(), released_at: Some(Utc::now()) };
            metadata.set_visibility(&secret, &released, "an operator").await.unwrap();
            assert_eq!(metadata.generation().await.unwrap(), before + 1);
            assert_eq!(seen(&Caller::Anonymous).await, ["demo.secret", "demo.stars"]);
            metadata.set_visibility(&secret, &Visibility::Public, "an operator").await.unwrap();
            assert_eq!(metadata.visibility(&secret).await.unwrap(), Visibility::Public);
        }
    }
}
