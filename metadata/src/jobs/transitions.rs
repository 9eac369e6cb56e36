//! The only place where the phase of a job changes.
//!
//! Each change is one statement: `UPDATE … WHERE id = … AND phase IN (those it may start from)`, and where a replica
//! speaks, `AND replica = …`. So of two who change one job at the same time, one does and the other is told where the job
//! is; and a replica whose lease was given to another one can change nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Phase;
use crate::{
    Metadata, MetadataError,
    database::{Statement, sql},
};

/// How a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With results, as whoever ran it writes them.
    Completed {
        /// The results.
        result: String,
    },
    /// With a failure.
    Failed {
        /// The sentence for its owner.
        error: String,
        /// Whether trying again would be of no use.
        is_fatal: bool,
    },
    /// Stopped.
    Aborted {
        /// Why, if not because its owner said so.
        error: Option<String>,
    },
}

/// What came of asking for a job to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It is the replica's.
    Mine,
    /// It is in this phase and not to be begun: somebody else was quicker, or it was stopped.
    Not(Phase),
}

impl Metadata {
    /// Asks for a pending job to be run.
    pub async fn enqueue_job(&self, id: &str) -> Result<(), MetadataError> {
        let set = "queued_at = $2, error = NULL";
        self.moved(id, Phase::Queued, &[Phase::Pending, Phase::Held], change(set, id, Phase::Queued).bind(Utc::now()))
            .await
    }

    /// Parks a pending job until it is asked to run again.
    pub async fn hold_job(&self, id: &str, why: &str) -> Result<(), MetadataError> {
        self.moved(id, Phase::Held, &[Phase::Pending], change("error = $2", id, Phase::Held).bind(why)).await
    }

    /// Begins a queued job on a replica, which holds it for as long as `lease` without a word.
    pub async fn take_job(&self, id: &str, replica: &str, lease: Duration) -> Result<Start, MetadataError> {
        let now = Utc::now();
        let set = "replica = $2, started_at = $3, leased_until = $4, attempts = attempts + 1, progress = NULL";
        let take = change(set, id, Phase::Executing).bind(replica).bind(now).bind(now + lease);
        match self.moved(id, Phase::Executing, &[Phase::Queued], take).await {
            Ok(()) => Ok(Start::Mine),
            Err(MetadataError::WrongPhase { phase, .. }) => Ok(Start::Not(phase)),
            Err(error) => Err(error),
        }
    }

    /// Puts a job that a replica runs back into the queue, where it was: the replica stops.
    pub async fn give_job_back(&self, id: &str, replica: &str) -> Result<(), MetadataError> {
        let set = "replica = NULL, leased_until = NULL, started_at = NULL, progress = NULL";
        let back = of_replica(change(set, id, Phase::Queued), replica, 2);
        self.moved(id, Phase::Queued, &[Phase::Executing], back).await
    }

    /// Ends a job that a replica runs.
    pub async fn finish_job(&self, id: &str, replica: &str, outcome: &Outcome) -> Result<(), MetadataError> {
        let finish = of_replica(ended(id, outcome), replica, 6);
        self.moved(id, phase_of(outcome), &[Phase::Executing], finish).await
    }

    /// Stops a job for its owner: at once where it does not run, and where it does, its replica is told at its next word.
    /// Returns the phase that it is in then; of one that has ended, its end.
    pub async fn abort_job(&self, id: &str) -> Result<Phase, MetadataError> {
        loop {
            let aborted = ended(id, &Outcome::Aborted { error: None });
            let waiting = [Phase::Pending, Phase::Held, Phase::Queued, Phase::Suspended];
            let phase = match self.moved(id, Phase::Aborted, &waiting, aborted).await {
                Ok(()) => return Ok(Phase::Aborted),
                Err(MetadataError::WrongPhase { phase, .. }) => phase,
                Err(error) => return Err(error),
            };
            if phase != Phase::Executing {
                return Ok(phase);
            }
            let ask = sql("UPDATE job SET cancel_asked = TRUE WHERE id = $1 AND phase = 'EXECUTING'").bind(id);
            if self.database.execute(ask).await? == 1 {
                return Ok(Phase::Executing);
            }
            // It has just ended, or was given back: look again.
        }
    }

    /// Ends a job that does not run, with a failure: what it asks for cannot be done.
    pub async fn refuse_job(&self, id: &str, error: &str) -> Result<(), MetadataError> {
        let outcome = Outcome::Failed { error: error.to_owned(), is_fatal: true };
        let waiting = [Phase::Pending, Phase::Held, Phase::Queued, Phase::Suspended];
        self.moved(id, Phase::Error, &waiting, ended(id, &outcome)).await
    }

    /// Says how a job fares that a replica runs, and that the replica lives. Returns whether the job is to be stopped; an
    /// error where it is not the replica's any more.
    pub async fn renew_job(
        &self,
        id: &str,
        replica: &str,
        lease: Duration,
        progress: Option<&str>,
        quote_at: Option<DateTime<Utc>>,
    ) -> Result<bool, MetadataError> {
        let renew = "UPDATE job SET leased_until = $3, progress = COALESCE($4, progress), \
                     quote_at = COALESCE($5, quote_at) \
                     WHERE id = $1 AND replica = $2 AND phase = 'EXECUTING' RETURNING cancel_asked";
        let renew = sql(renew).bind(id).bind(replica).bind(Utc::now() + lease).bind(progress).bind(quote_at);
        match self.database.maybe_one(renew).await? {
            Some(row) => row.flag("cancel_asked"),
            None => Err(self.where_it_is(id, Phase::Executing).await),
        }
    }

    /// Makes a change that leads from some phases to another one; where the job is in none of these, says where it is.
    async fn moved(&self, id: &str, to: Phase, from: &[Phase], mut change: Statement) -> Result<(), MetadataError> {
        debug_assert!(from.iter().all(|phase| phase.may_become(to)), "{from:?} to {to}");
        let from = from.iter().map(|phase| format!("'{phase}'")).collect::<Vec<_>>().join(", ");
        change.push(&format!(" AND phase IN ({from})"));
        match self.database.execute(change).await? {
            0 => Err(self.where_it_is(id, to).await),
            _ => Ok(()),
        }
    }

    /// Why a job could not go over to a phase.
    async fn where_it_is(&self, id: &str, to: Phase) -> MetadataError {
        let phase = sql("SELECT phase FROM job WHERE id = $1").bind(id);
        let phase = match self.database.maybe_one(phase).await {
            Ok(Some(row)) => row.text("phase").and_then(|phase| phase.parse()),
            Ok(None) => return MetadataError::Absent { what: "job", name: id.to_owned() },
            Err(error) => Err(error),
        };
        match phase {
            Ok(phase) => MetadataError::WrongPhase { id: id.to_owned(), phase, wanted: to },
            Err(error) => error,
        }
    }
}

/// A change of a job to a phase; `$1` is its name, and what `set` sets begins with `$2`.
fn change(set: &str, id: &str, to: Phase) -> Statement {
    sql(format!("UPDATE job SET phase = '{to}', {set} WHERE id = $1")).bind(id)
}

/// The change of a job to its end: `$2` to `$5`.
fn ended(id: &str, outcome: &Outcome) -> Statement {
    let (result, error, is_fatal) = match outcome {
        Outcome::Completed { result } => (Some(result.as_str()), None, false),
        Outcome::Failed { error, is_fatal } => (None, Some(error.as_str()), *is_fatal),
        Outcome::Aborted { error } => (None, error.as_deref(), false),
    };
    let set = "ended_at = $2, result = $3, error = $4, error_is_fatal = $5, leased_until = NULL";
    change(set, id, phase_of(outcome)).bind(Utc::now()).bind(result).bind(error).bind(is_fatal)
}

/// The same, if the job is this replica's; `$number` is its name.
fn of_replica(mut statement: Statement, replica: &str, number: usize) -> Statement {
    statement.push(&format!(" AND replica = ${number}"));
    statement.bind(replica)
}

fn phase_of(outcome: &Outcome) -> Phase {
    match outcome {
        Outcome::Completed { .. } => Phase::Completed,
        Outcome::Failed { .. } => Phase::Error,
        Outcome::Aborted { .. } => Phase::Aborted,
    }
}
