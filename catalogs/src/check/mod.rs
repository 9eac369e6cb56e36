//! Reading everything of a table, and telling whether it is what it says that it is.
//!
//! ```text
//!   layout    the small files: partitions, properties, counts, the report of the import
//!   file      every data file: size, checksum, footer, every row
//!     places      each row in the partition of its position, in order
//!     bounds      statistics of files and row groups against the rows
//!   margin    which rows must be in a margin, against those that are
//!   index     where each value occurs, against where the index says it does
//! ```
//! What is wrong with the table is a [`Defect`] and the check goes on; what keeps it from being read, such as a store that
//! does not answer, is an error and ends it. Expectations are computed anew from the rows, never with the code that built
//! the table. Memory is bounded: rows stream by, and what must be compared across files is sorted on the local disk.

mod bounds;
mod defects;
mod file;
mod index;
mod layout;
mod margin;
mod places;
mod table;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Instant};

use serde::Serialize;

pub use defects::Defect;
use defects::Defects;

use crate::{
    CatalogError, CatalogSnapshot, CatalogStore, DataFile, Descriptor, layout as paths, manifest, members::Counted,
};

/// How to check.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Bytes of memory for what is compared across files.
    pub memory: usize,
    /// How many files are read at a time.
    pub threads: usize,
    /// A local folder for temporary files.
    pub spill: PathBuf,
    /// How many defects are told one by one; those beyond are counted.
    pub most_defects: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            spill: std::env::temp_dir(),
            most_defects: 1_000,
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckReport {
    /// `schema.table`.
    pub table: String,
    /// Data files that were read, those of margins and indexes included.
    pub files: u64,
    /// Rows of the table that were read.
    pub rows: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Rows of each margin and index that were read.
    pub members: Vec<(String, u64)>,
    /// What is wrong, by file.
    pub defects: Vec<Defect>,
    /// How many more things are wrong.
    pub more_defects: u64,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// Seconds of wall time.
    pub seconds: f64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.defects.is_empty() && self.more_defects == 0
    }
}

/// What all parts of a check share. Cheap to clone.
#[derive(Clone)]
struct Context {
    snapshot: CatalogSnapshot,
    options: Arc<CheckOptions>,
    defects: Defects,
    read: Counted,
}

impl Context {
    /// Whether the files were written here: then they can be held to more than a foreign tree.
    fn is_ours(&self) -> bool {
        self.snapshot.descriptor().data.is_none()
    }

    fn store(&self) -> &CatalogStore {
        self.snapshot.store()
    }

    /// The path in the store of something beside the data files.
    fn path(&self, below: &str) -> String {
        if self.is_ours() { format!("{}/{below}", self.snapshot.root()) } else { below.to_owned() }
    }

    /// Memory for one of the things that are compared across files, for each thread.
    fn share_of_memory(&self, things: usize) -> usize {
        self.options.memory / things.max(1) / self.options.threads.max(1)
    }
}

/// The data files of a margin or an index.
#[derive(Clone)]
struct Member {
    folder: String,
    files: Arc<[DataFile]>,
}

/// Checks a table. `progress` is told how many bytes of how many have been read.
pub async fn check(
    snapshot: &CatalogSnapshot,
    options: &CheckOptions,
    progress: Arc<dyn Fn(u64, u64) + Send + Sync>,
) -> Result<CheckReport, CatalogError> {
    let started = Instant::now();
    let (mut margins, mut indexes) = (Vec::new(), Vec::new());
    let warnings = snapshot.descriptor().warnings.iter();
    let mut unchecked: Vec<_> = warnings.filter(|told| told.starts_with(Descriptor::LEFT_OUT)).cloned().collect();
    let defects = Defects::new(options.most_defects);
    for margin in &snapshot.descriptor().margins {
        let files = member_files(snapshot, &margin.folder, margin.rows, margin.files, &defects).await?;
        margins.extend(files.map(|files| (margin.clone(), files)));
    }
    for index in &snapshot.descriptor().indexes {
        let files = member_files(snapshot, &index.folder, index.rows, index.files, &defects).await?;
        indexes.extend(files.map(|files| (index.clone(), files)));
    }
    let members = || margins.iter().map(|(_, member)| member).chain(indexes.iter().map(|(_, member)| member));
    let all_files = || snapshot.files().iter().chain(members().flat_map(|member| member.files.iter()));
    let (files, bytes) = (all_files().count() as u64, all_files().map(|file| file.bytes).sum());
    let read = Counted::new(bytes, &progress);
    let context = Context { snapshot: snapshot.clone(), options: Arc::new(options.clone()), defects, read };

    layout::check(&context, &margins, &indexes).await?;
    let things = margins.len() + indexes.len();
    let margin_tasks: Vec<_> = margins
        .into_iter()
        .filter_map(|(margin, member)| margin::Task::new(&context, margin, member, things, &mut unchecked))
        .collect();
    let index_tasks: Vec<_> = indexes
        .into_iter()
        .filter_map(|(index, member)| index::Task::new(&context, index, member, things, &mut unchecked))
        .collect();
    let (rows, seen) = table::check(&context, &margin_tasks, &index_tasks).await?;
    let (margin_seen, index_seen) = table::by_task(seen);
    let mut members = Vec::new();
    for (task, seen) in margin_tasks.into_iter().zip(margin_seen) {
        members.push((task.folder().to_owned(), task.check(seen).await?));
    }
    for (task, seen) in index_tasks.into_iter().zip(index_seen) {
        members.push((task.folder().to_owned(), task.check(seen).await?));
    }
    let (defects, more_defects) = context.defects.told();
    let (table, seconds) = (snapshot.descriptor().name.clone(), started.elapsed().as_secs_f64());
    Ok(CheckReport { table, files, rows, bytes, members, defects, more_defects, unchecked, seconds })
}

/// The files of a member, if its manifest can be read, which must tell as much as the descriptor.
async fn member_files(
    snapshot: &CatalogSnapshot,
    folder: &str,
    rows: u64,
    files: u64,
    defects: &Defects,
) -> Result<Option<Member>, CatalogError> {
    let path = paths::member_manifest(folder);
    let bytes = match snapshot.home().get(&format!("{}/{path}", snapshot.root())).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_absent() => {
            defects.add(&path, None, "it is missing");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let found = match manifest::decode(bytes, snapshot.root()) {
        Ok(found) => found,
        Err(error) => {
            defects.add(&path, None, error);
            return Ok(None);
        }
    };
    let told: u64 = found.iter().map(|file| file.rows).sum();
    if (found.len() as u64, told) != (files, rows) {
        let what =
            format!("it has {} files with {told} rows; {} tells {files} with {rows}", found.len(), paths::DESCRIPTOR);
        defects.add(&path, None, what);
    }
    Ok(Some(Member { folder: folder.to_owned(), files: found.into() }))
}
