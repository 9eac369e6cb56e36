//! What somebody may have, and what he has.

use crate::{Metadata, MetadataError, database::sql};

/// What somebody may have; what is not said is as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// How many jobs may wait.
    pub queued_jobs: Option<u64>,
    /// How many jobs may run at the same time.
    pub running_jobs: Option<u64>,
    /// How many bytes may be kept.
    pub stored_bytes: Option<u64>,
}

/// What somebody has at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Jobs that wait.
    pub queued_jobs: u64,
    /// Jobs that run.
    pub running_jobs: u64,
}

impl Metadata {
    /// Says what somebody may have.
    pub async fn set_quota(&self, owner: &str, quota: &Quota) -> Result<(), MetadataError> {
        let set = "INSERT INTO quota (owner, queued_jobs, running_jobs, stored_bytes) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (owner) DO UPDATE SET queued_jobs = excluded.queued_jobs, \
                   running_jobs = excluded.running_jobs, stored_bytes = excluded.stored_bytes";
        let set = sql(set).bind(owner).bind(quota.queued_jobs).bind(quota.running_jobs).bind(quota.stored_bytes);
        self.database.execute(set).await.map(drop)
    }

    /// What somebody may have.
    pub async fn quota(&self, owner: &str) -> Result<Quota, MetadataError> {
        let find = sql("SELECT queued_jobs, running_jobs, stored_bytes FROM quota WHERE owner = $1").bind(owner);
        let Some(row) = self.database.maybe_one(find).await? else { return Ok(Quota::default()) };
        Ok(Quota {
            queued_jobs: row.maybe_count("queued_jobs")?,
            running_jobs: row.maybe_count("running_jobs")?,
            stored_bytes: row.maybe_count("stored_bytes")?,
        })
    }

    /// What somebody has; nobody's name is that of all who did not sign in.
    pub async fn usage(&self, owner: Option<&str>) -> Result<Usage, MetadataError> {
        let count = async |phase: &str| {
            let count = format!(
                "SELECT count(*) AS jobs FROM job WHERE owner = $1 AND phase = '{phase}' AND phase <> 'COMPLETED'"
            );
            self.database.one(sql(count).bind(owner.unwrap_or_default())).await?.count("jobs")
        };
        Ok(Usage { queued_jobs: count("QUEUED").await?, running_jobs: count("EXECUTING").await? })
    }
}
