//! How long jobs are kept: results until their destruction, what was asked for a while longer, and then nothing.

use chrono::{DateTime, Utc};

use super::Phase;
use crate::{
    Metadata, MetadataError,
    database::{Row, sql},
};

impl Metadata {
    /// Archives jobs that have ended and whose destruction was due at `now`: at most `most`. The results are the caller's
    /// to delete, after this: their names and what the jobs said of them.
    pub async fn archive_jobs(
        &self,
        now: DateTime<Utc>,
        most: u32,
    ) -> Result<Vec<(String, Option<String>)>, MetadataError> {
        let archive = format!(
            "UPDATE job SET phase = 'ARCHIVED' WHERE phase IN ({ended}) AND id IN ( \
                 SELECT id FROM job WHERE phase <> 'ARCHIVED' AND destruction_at <= $1 AND phase IN ({ended}) \
                 ORDER BY destruction_at LIMIT $2 {}) \
             RETURNING id, result",
            self.database.skip_locked(),
            ended = Phase::Archived.predecessors(),
        );
        let of = |row: &Row| Ok((row.text("id")?, row.maybe_text("result")?));
        self.database.all(sql(archive).bind(now).bind(most)).await?.iter().map(of).collect()
    }

    /// Jobs that have not ended and whose destruction was due at `now`: to be stopped, and archived once they have ended.
    pub async fn overdue_jobs(&self, now: DateTime<Utc>, most: u32) -> Result<Vec<String>, MetadataError> {
        let overdue = format!(
            "SELECT id FROM job WHERE phase <> 'ARCHIVED' AND destruction_at <= $1 AND phase NOT IN ({}) \
             ORDER BY destruction_at LIMIT $2",
            Phase::Archived.predecessors()
        );
        self.database.all(sql(overdue).bind(now).bind(most)).await?.iter().map(|row| row.text("id")).collect()
    }

    /// Forgets archived jobs that ended before a time, with all that was asked: at most `most`. Returns how many.
    pub async fn purge_jobs(&self, ended_before: DateTime<Utc>, most: u32) -> Result<u64, MetadataError> {
        let purge = "DELETE FROM job WHERE phase = 'ARCHIVED' AND id IN ( \
                     SELECT id FROM job WHERE phase = 'ARCHIVED' AND ended_at < $1 ORDER BY ended_at LIMIT $2)";
        self.database.execute(sql(purge).bind(ended_before).bind(most)).await
    }

    /// Forgets a job that does not run, at once. Returns what it said of its results, which are the caller's to delete
    /// after this; none where there is no such job. A job that runs is refused: it is to be stopped first.
    pub async fn delete_job(&self, id: &str) -> Result<Option<Option<String>>, MetadataError> {
        let delete = sql("DELETE FROM job WHERE id = $1 AND phase <> 'EXECUTING' RETURNING result").bind(id);
        if let Some(row) = self.database.maybe_one(delete).await? {
            return Ok(Some(row.maybe_text("result")?));
        }
        match self.job(id).await? {
            None => Ok(None),
            Some(job) => {
                let (id, phase, wanted) = (id.to_owned(), job.phase, Phase::Aborted);
                Err(MetadataError::WrongPhase { id, phase, wanted })
            }
        }
    }
}
