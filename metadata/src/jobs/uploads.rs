//! Tables that came with a job: their rows are on the store, here is where.

use chrono::Utc;

use crate::{
    Metadata, MetadataError,
    database::{Row, sql},
};

/// A table that came with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name, without `TAP_UPLOAD`.
    pub name: String,
    /// Where the store keeps it.
    pub place: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes it takes there.
    pub bytes: u64,
}

impl Metadata {
    /// Notes a table that came with a pending job, in the place of another of its name.
    pub async fn add_upload(&self, job: &str, upload: &Upload) -> Result<(), MetadataError> {
        let add = "INSERT INTO upload (job_id, name, place, row_count, byte_count, created_at) \
                   SELECT id, $2, $3, $4, $5, $6 FROM job WHERE id = $1 AND phase = 'PENDING' \
                   ON CONFLICT (job_id, name) DO UPDATE SET place = excluded.place, row_count = excluded.row_count, \
                   byte_count = excluded.byte_count";
        let add = sql(add).bind(job).bind(&upload.name).bind(&upload.place).bind(upload.rows).bind(upload.bytes);
        match self.database.execute(add.bind(Utc::now())).await? {
            0 => Err(MetadataError::Absent { what: "pending job", name: job.to_owned() }),
            _ => Ok(()),
        }
    }

    /// The tables that came with a job, by name.
    pub async fn uploads(&self, job: &str) -> Result<Vec<Upload>, MetadataError> {
        let all = "SELECT name, place, row_count, byte_count FROM upload WHERE job_id = $1 ORDER BY name";
        self.database.all(sql(all).bind(job)).await?.iter().map(upload_of).collect()
    }
}

fn upload_of(row: &Row) -> Result<Upload, MetadataError> {
    Ok(Upload {
        name: row.text("name")?,
        place: row.text("place")?,
        rows: row.count("row_count")?,
        bytes: row.count("byte_count")?,
    })
}
