//! Jobs whose replica fell silent: queued again or ended, never left running.

use chrono::{DateTime, Utc};

use super::Phase;
use crate::{Metadata, MetadataError, database::sql};

/// What becomes of a job whose replica fell silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLostLease {
    /// It is queued again, unless it was begun so many times already; then it has failed.
    QueueAgain {
        /// How many times a job may be begun.
        attempts: u64,
    },
    /// It has failed.
    Fail,
}

/// A job that was taken from a silent replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaimed {
    /// The job.
    pub id: String,
    /// The replica that was silent; what it left is to be cleared away.
    pub replica: String,
    /// What it is now: queued, failed, or stopped where that was asked for.
    pub phase: Phase,
}

impl Metadata {
    /// Takes jobs from replicas whose leases ran out before `now`: at most `most`, the longest silent first. Of many who
    /// ask at the same time each gets others.
    pub async fn reclaim_jobs(
        &self,
        now: DateTime<Utc>,
        policy: OnLostLease,
        most: u32,
    ) -> Result<Vec<Reclaimed>, MetadataError> {
        let attempts = match policy {
            OnLostLease::QueueAgain { attempts } => attempts,
            OnLostLease::Fail => 0,
        };
        let again = format!("attempts < {attempts} AND NOT cancel_asked");
        let reclaim = format!(
            "UPDATE job SET \
                 phase = CASE WHEN cancel_asked THEN 'ABORTED' WHEN {again} THEN 'QUEUED' ELSE 'ERROR' END, \
                 ended_at = CASE WHEN {again} THEN NULL ELSE $3 END, \
                 started_at = CASE WHEN {again} THEN NULL ELSE started_at END, \
                 error = CASE WHEN {again} OR cancel_asked THEN NULL ELSE $4 END, \
                 leased_until = NULL, progress = NULL \
             WHERE phase = 'EXECUTING' AND leased_until < $1 AND id IN ( \
                 SELECT id FROM job WHERE phase = 'EXECUTING' AND leased_until < $1 \
                 ORDER BY leased_until LIMIT $2 {}) \
             RETURNING id, replica, phase",
            self.database.skip_locked()
        );
        let error = "The server that ran this job stopped before it had ended; ask for it again.";
        let reclaim = sql(reclaim).bind(now).bind(most).bind(Utc::now()).bind(error);
        let reclaimed = self.database.all(reclaim).await?;
        let of = |row: &crate::database::Row| {
            let (id, replica) = (row.text("id")?, row.maybe_text("replica")?.unwrap_or_default());
            Ok(Reclaimed { id, replica, phase: row.text("phase")?.parse()? })
        };
        reclaimed.iter().map(of).collect()
    }
}
