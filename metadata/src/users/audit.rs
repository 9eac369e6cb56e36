//! The audit log: who signed in or was refused, and who changed what about users, tokens, groups and visibility.
//!
//! A change and its entry are one transaction. Nothing here removes an entry.

use chrono::{DateTime, Utc};

use crate::{
    Metadata, MetadataError,
    database::{Row, Statement, Transaction, sql},
};

/// Something that was done, or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who did it: a user, or where an operator sat.
    pub actor: String,
    /// What, in a word or two.
    pub action: String,
    /// To whom or what.
    pub subject: String,
    /// From which address, if it came over a network.
    pub address: Option<String>,
    /// Whether it was allowed and done.
    pub succeeded: bool,
    /// More about it. Never a password or a token.
    pub detail: Option<String>,
}

/// Something that is done now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed<'a> {
    pub(crate) actor: &'a str,
    pub(crate) action: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) address: Option<&'a str>,
    pub(crate) succeeded: bool,
    pub(crate) detail: Option<&'a str>,
}

impl<'a> Deed<'a> {
    /// A change that an actor makes.
    pub(crate) fn change(actor: &'a str, action: &'a str, subject: &'a str) -> Self {
        Self { actor, action, subject, address: None, succeeded: true, detail: None }
    }

    /// Writes it down with the change itself.
    pub(crate) async fn write(self, transaction: &mut Transaction) -> Result<(), MetadataError> {
        transaction.execute(self.statement()).await.map(drop)
    }

    pub(crate) fn statement(self) -> Statement {
        let insert = "INSERT INTO audit (at, actor, action, subject, address, succeeded, detail) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let insert = sql(insert).bind(Utc::now()).bind(self.actor).bind(self.action).bind(self.subject);
        insert.bind(self.address).bind(self.succeeded).bind(self.detail)
    }
}

impl Metadata {
    /// The last entries of the audit log, the newest first.
    pub async fn audit(&self, last: u32) -> Result<Vec<AuditEntry>, MetadataError> {
        let newest = "SELECT at, actor, action, subject, address, succeeded, detail FROM audit \
                      ORDER BY id DESC LIMIT $1";
        self.database.all(sql(newest).bind(last)).await?.iter().map(entry_of).collect()
    }
}

fn entry_of(row: &Row) -> Result<AuditEntry, MetadataError> {
    Ok(AuditEntry {
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        subject: row.text("subject")?,
        address: row.maybe_text("address")?,
        succeeded: row.flag("succeeded")?,
        detail: row.maybe_text("detail")?,
    })
}
