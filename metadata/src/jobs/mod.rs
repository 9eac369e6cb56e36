//! Jobs: queries that were asked of the service, from their making to long after their end.
//!
//! ```text
//!   create ─▶ PENDING ─enqueue─▶ QUEUED ─take─▶ EXECUTING ─finish─▶ COMPLETED, ERROR, ABORTED ─archive─▶ ARCHIVED
//!                                  ▲              │ renew                                         purge ─▶ gone
//!                                  └───reclaim────┘ a lease that ran out
//! ```
//! [`phase`] says what may follow what; [`transitions`] is the only place where a phase changes, and each change is one
//! statement that names the phases it may start from. A replica that runs a job holds it by a lease that it renews; a
//! replica that lost it learns so from its next word and cannot change the job any more.
//!
//! What a parameter, a progress report or a result looks like inside is not known here: they are texts of whoever runs
//! jobs.

mod leases;
mod listing;
mod phase;
mod quotas;
mod retention;
mod transitions;
mod uploads;

use chrono::{DateTime, Utc};

pub use self::{
    leases::{OnLostLease, Reclaimed},
    listing::{JobFilter, JobPage, JobRef, PageKey, Queued},
    phase::Phase,
    quotas::{Quota, Usage},
    transitions::{Outcome, Start},
    uploads::Upload,
};
use crate::{
    Metadata, MetadataError,
    database::{Row, sql},
};

/// A job that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its name, which nobody can guess.
    pub id: String,
    /// Whose it is; none of somebody who did not sign in.
    pub owner: Option<String>,
    /// The address that it came from.
    pub address: Option<String>,
    /// The owner's own name for it.
    pub run_id: Option<String>,
    /// How it is admitted: the name of a class.
    pub class: String,
    /// The language of the query.
    pub language: String,
    /// The query; it may be empty as long as the job is pending.
    pub query: String,
    /// All parameters, as whoever runs it writes them.
    pub parameters: String,
    /// How many seconds it may run; 0: as long as it takes.
    pub duration_limit: u64,
    /// When it and its results are to be destroyed.
    pub destruction_at: Option<DateTime<Utc>>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What was asked.
    pub asked: NewJob,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was asked to run.
    pub queued_at: Option<DateTime<Utc>>,
    /// When it began to run.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it is expected to end.
    pub quote_at: Option<DateTime<Utc>>,
    /// The replica that runs it.
    pub replica: Option<String>,
    /// How many times it was begun.
    pub attempts: u64,
    /// Whether it is to be stopped.
    pub cancel_asked: bool,
    /// How far it is.
    pub progress: Option<String>,
    /// Its results, as whoever ran it writes them.
    pub result: Option<String>,
    /// Why it failed or was stopped.
    pub error: Option<String>,
    /// Whether trying again would be of no use.
    pub error_is_fatal: bool,
}

/// The columns of a job.
const COLUMNS: &str = "id, owner, address, run_id, class, language, query, parameters, phase, created_at, queued_at, \
    started_at, ended_at, quote_at, destruction_at, duration_limit, replica, attempts, cancel_asked, progress, result, \
    error, error_is_fatal";

impl Metadata {
    /// Makes a job, pending. When this returns it is there for good.
    pub async fn create_job(&self, job: &NewJob) -> Result<(), MetadataError> {
        let create = "INSERT INTO job (id, owner, address, run_id, class, language, query, parameters, phase, \
                      created_at, duration_limit, destruction_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'PENDING', $9, $10, $11)";
        let create = sql(create).bind(&job.id).bind(job.owner.as_deref().unwrap_or_default()).bind(&job.address);
        let create = create.bind(&job.run_id).bind(&job.class).bind(&job.language).bind(&job.query);
        let create = create.bind(&job.parameters).bind(Utc::now()).bind(job.duration_limit).bind(job.destruction_at);
        self.database.execute(create).await.map(drop)
    }

    /// A job, if there is one of this name.
    pub async fn job(&self, id: &str) -> Result<Option<Job>, MetadataError> {
        let find = sql(format!("SELECT {COLUMNS} FROM job WHERE id = $1")).bind(id);
        self.database.maybe_one(find).await?.as_ref().map(job_of).transpose()
    }

    /// Changes what was asked, while the job is pending. Returns whether it was.
    pub async fn edit_job(&self, job: &NewJob) -> Result<bool, MetadataError> {
        let edit = "UPDATE job SET run_id = $2, class = $3, language = $4, query = $5, parameters = $6 \
                    WHERE id = $1 AND phase = 'PENDING'";
        let edit = sql(edit).bind(&job.id).bind(&job.run_id).bind(&job.class).bind(&job.language).bind(&job.query);
        Ok(self.database.execute(edit.bind(&job.parameters)).await? == 1)
    }

    /// Says how long a job may run and when it is destroyed, at any time of its life. Returns whether there is one.
    pub async fn limit_job(
        &self,
        id: &str,
        duration_limit: u64,
        destruction_at: Option<DateTime<Utc>>,
    ) -> Result<bool, MetadataError> {
        let limit = "UPDATE job SET duration_limit = $2, destruction_at = $3 WHERE id = $1 AND phase <> 'ARCHIVED'";
        let limit = sql(limit).bind(id).bind(duration_limit).bind(destruction_at);
        Ok(self.database.execute(limit).await? == 1)
    }
}

fn job_of(row: &Row) -> Result<Job, MetadataError> {
    let asked = NewJob {
        id: row.text("id")?,
        owner: Some(row.text("owner")?).filter(|owner| !owner.is_empty()),
        address: row.maybe_text("address")?,
        run_id: row.maybe_text("run_id")?,
        class: row.text("class")?,
        language: row.text("language")?,
        query: row.text("query")?,
        parameters: row.text("parameters")?,
        duration_limit: row.count("duration_limit")?,
        destruction_at: row.maybe_time("destruction_at")?,
    };
    Ok(Job {
        asked,
        phase: row.text("phase")?.parse()?,
        created_at: row.time("created_at")?,
        queued_at: row.maybe_time("queued_at")?,
        started_at: row.maybe_time("started_at")?,
        ended_at: row.maybe_time("ended_at")?,
        quote_at: row.maybe_time("quote_at")?,
        replica: row.maybe_text("replica")?,
        attempts: row.count("attempts")?,
        cancel_asked: row.flag("cancel_asked")?,
        progress: row.maybe_text("progress")?,
        result: row.maybe_text("result")?,
        error: row.maybe_text("error")?,
        error_is_fatal: row.flag("error_is_fatal")?,
    })
}

#[cfg(test)]
mod tests;
