//! Lists of jobs: by key, so that a page costs the same wherever it is and however many jobs there were.

use chrono::{DateTime, Utc};

use super::Phase;
use crate::{
    Metadata, MetadataError,
    database::{Row, sql},
};

/// The most that a page holds.
const MOST: u32 = 10_000;

/// Which jobs a list names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this owner; none: of those who did not sign in.
    pub owner: Option<String>,
    /// In one of these phases; empty: in all but `ARCHIVED`.
    pub phases: Vec<Phase>,
    /// Made after this time.
    pub after: Option<DateTime<Utc>>,
}

/// Where a page ended; the next one begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageKey {
    created_at: DateTime<Utc>,
    id: String,
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRef {
    /// Its name.
    pub id: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// The owner's own name for it.
    pub run_id: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Some of the jobs, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobRef>,
    /// Where to go on, if there may be more.
    pub next: Option<PageKey>,
}

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its name.
    pub id: String,
    /// Whose it is; none of somebody who did not sign in.
    pub owner: Option<String>,
    /// The address that it came from.
    pub address: Option<String>,
    /// Since when it waits.
    pub queued_at: DateTime<Utc>,
}

impl Metadata {
    /// The newest jobs that a filter lets through, or those behind the end of another page; at most `last`.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        behind: Option<&PageKey>,
        last: u32,
    ) -> Result<JobPage, MetadataError> {
        let last = last.min(MOST);
        let mut jobs = Vec::new();
        // Each phase has its place in an index, so that each gives its newest at once, be they ever so rare. Together they
        // hold the newest of all.
        for phases in conditions(&filter.phases) {
            let owner = filter.owner.as_deref().unwrap_or_default();
            let mut list = sql(format!(
                "SELECT id, phase, run_id, created_at FROM job WHERE owner = $1 AND created_at > $2 AND {phases}"
            ));
            list = list.bind(owner).bind(filter.after.map(crate::written).unwrap_or_default());
            if let Some(PageKey { created_at, id }) = behind {
                list.push(" AND (created_at, id) < ($4, $5)");
                list = list.bind(last).bind(*created_at).bind(id);
            } else {
                list = list.bind(last);
            }
            list.push(" ORDER BY created_at DESC, id DESC LIMIT $3");
            for row in self.database.all(list).await? {
                jobs.push(ref_of(&row)?);
            }
        }
        jobs.sort_unstable_by(|one, other| (other.created_at, &other.id).cmp(&(one.created_at, &one.id)));
        jobs.truncate(usize::try_from(last).unwrap_or(usize::MAX));
        let full = jobs.len() == usize::try_from(last).unwrap_or(usize::MAX);
        let end = jobs.last().filter(|_| full);
        let next = end.map(|job| PageKey { created_at: job.created_at, id: job.id.clone() });
        Ok(JobPage { jobs, next })
    }

    /// The jobs of a class that wait, the longest waiting first; at most `most`.
    pub async fn queue(&self, class: &str, most: u32) -> Result<Vec<Queued>, MetadataError> {
        let queue = "SELECT id, owner, address, queued_at FROM job WHERE phase = 'QUEUED' AND class = $1 \
                     ORDER BY queued_at, id LIMIT $2";
        let of = |row: &Row| {
            let owner = Some(row.text("owner")?).filter(|owner| !owner.is_empty());
            let (id, address) = (row.text("id")?, row.maybe_text("address")?);
            Ok(Queued { id, owner, address, queued_at: row.time("queued_at")? })
        };
        self.database.all(sql(queue).bind(class).bind(most)).await?.iter().map(of).collect()
    }

    /// How many jobs of its class wait before a queued job; none where it does not wait.
    pub async fn queue_position(&self, id: &str) -> Result<Option<u64>, MetadataError> {
        let find = sql("SELECT class, queued_at FROM job WHERE id = $1 AND phase = 'QUEUED'").bind(id);
        let Some(row) = self.database.maybe_one(find).await? else { return Ok(None) };
        let before = "SELECT count(*) AS before FROM job WHERE phase = 'QUEUED' AND class = $1 \
                      AND (queued_at, id) < ($2, $3)";
        let before = sql(before).bind(row.text("class")?).bind(row.text("queued_at")?).bind(id);
        Ok(Some(self.database.one(before).await?.count("before")?))
    }
}

/// One condition for each index that is asked. The words stand in the text, since only so are partial indexes chosen.
fn conditions(phases: &[Phase]) -> Vec<String> {
    if phases.is_empty() {
        return vec!["phase <> 'ARCHIVED'".to_owned()];
    }
    let mut phases = phases.to_vec();
    phases.sort_unstable();
    phases.dedup();
    let of = |phase: Phase| match phase {
        // Most jobs are these: they are found among all, and have no index of their own.
        Phase::Completed => "phase = 'COMPLETED' AND phase <> 'ARCHIVED'".to_owned(),
        phase => format!("phase = '{phase}' AND phase <> 'COMPLETED'"),
    };
    phases.into_iter().map(of).collect()
}

fn ref_of(row: &Row) -> Result<JobRef, MetadataError> {
    Ok(JobRef {
        id: row.text("id")?,
        phase: row.text("phase")?.parse()?,
        run_id: row.maybe_text("run_id")?,
        created_at: row.time("created_at")?,
    })
}
