//! Importing rows as a new HATS catalogue, or adding them to one.
//!
//! ```text
//!  sources ── shape ─▶ the table's columns, and how each source becomes them                          shape, convert, values
//!          ── survey ─▶ rows, bad rows, duplicates, a histogram of the sky ─▶ partitions               survey, partition
//!          ── distribute ─▶ buckets (memory, then the local disk); bad rows aside                      distribute, buckets
//!          ── leaves ─▶ each bucket sorted, encoded, put on the store, noted in the journal            leaves, leaf, journal
//!          ── margins and indexes, from the finished files                                             crate::members
//!          ── side files, and catalog.json last                                                        side_files
//! ```
//! **Rows are counted.** A row that is read is published, set aside with a reason, or the import fails and names it.
//!
//! **The outcome is a function of sources and plan.** Every row has a number that follows from its source and its place in
//! it; rows are sorted by cell and number and cut into chunks by what they are. So the bytes are the same with any number
//! of threads, with much memory and little, and after an interruption.
//!
//! **Memory** is shared out from `ImportPlan::memory`: a little less than half to rows in buckets, held or on their way to the disk, most of
//! the rest to the partitions that are being sorted and encoded. A partition that is larger than its share is divided on the disk
//! first. On top of it come a histogram of the sky (4 bytes a cell of the finest order) while the sky is surveyed, and the
//! pieces that the readers are decoding, one a thread.
//!
//! **Nothing half-done is visible.** A tree is no catalogue until its descriptor exists, and publishing it is somebody
//! else's step. An import that fails by its input leaves nothing; one that is killed or loses its store leaves its journal,
//! with which it can be gone on.

mod angle;
mod append;
mod buckets;
mod convert;
mod direct;
mod distribute;
mod gather;
mod journal;
mod leaf;
mod leaves;
mod partition;
mod plan;
mod pool;
mod report;
mod shape;
mod side_files;
mod spill;
mod steps;
mod survey;
mod values;

use std::{sync::Arc, time::Instant};

use arrow::error::ArrowError;
use formats::TableSource;
use tokio::runtime::Handle;

pub use journal::{Unfinished, has_ended, unfinished};
pub use plan::{BadRowPolicy, DuplicatePolicy, ImportPlan, PositionPlan, PositionUnit, Sentinel, cast_type};
pub use report::{ColumnReport, DirectorReport, ImportReport, MemberReport, PartitionsReport, SourceReport, report_of};

use crate::{CatalogError, CatalogSnapshot, CatalogStore, Remote, layout, open};
use pool::Stop;
use spill::Spill;
use steps::{Decision, Surveyor};

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// First pass: rows counted so far.
    Counted(u64),
    /// Second pass: rows moved, of all.
    Moved(u64, u64),
    /// Rows written to the store, of all.
    Written(u64, u64),
    /// Rows looked at for a margin or an index, of all.
    Accompanied(u64, u64),
}

/// Told how far an import is, from any thread.
pub type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// Imports the sources, one after the other, as a new catalogue in the folder `root` of the store.
///
/// When it fails by its input, or could not begin, what it wrote is removed. When it fails otherwise, or this future is
/// dropped, [`unfinished`] tells whether it can be gone on with in the same folder, by a plan that says `resume`.
pub async fn run(
    store: &CatalogStore,
    root: &str,
    sources: Vec<Box<dyn TableSource>>,
    mut plan: ImportPlan,
    progress: Listener,
) -> Result<(CatalogSnapshot, ImportReport), CatalogError> {
    let identity = journal::identity(&plan, &sources);
    plan.settle();
    let mut found = None;
    if plan.resume {
        found = journal::find(store, root, &plan, &sources).await?;
        if store.exists(&format!("{root}/{}", layout::DESCRIPTOR)).await? {
            return ended(store, root).await;
        }
    }
    if let Some(found) = &found {
        plan.created = found.decided.created;
    }
    let stop = Stop::default();
    let spill = Spill::new(&plan.spill, root)?;
    let _stop = stop.on_drop(); // before the folder goes
    let plan = Arc::new(plan);
    let surveyor = Surveyor { store, plan: &plan, spill: &spill, stop: &stop, progress: &progress, is_dry: false };
    let started = Instant::now();
    let outcome = async {
        let begun = surveyor.decide(sources, found, root).await?;
        steps::finish(&surveyor, root, begun, identity, started).await
    }
    .await;
    if let Err(error) = &outcome
        && is_of_input(error)
    {
        store.delete_folder(root).await?;
    }
    outcome
}

/// Reads the sources once and tells what an import of them would make. Nothing is written.
pub async fn dry_run(
    store: &CatalogStore,
    sources: Vec<Box<dyn TableSource>>,
    mut plan: ImportPlan,
    progress: Listener,
) -> Result<ImportReport, CatalogError> {
    plan.settle();
    let stop = Stop::default();
    let spill = Spill::new(&plan.spill, &format!("dry-{:016x}", rand::random::<u64>()))?;
    let _stop = stop.on_drop(); // before the folder goes
    let plan = Arc::new(plan);
    let surveyor = Surveyor { store, plan: &plan, spill: &spill, stop: &stop, progress: &progress, is_dry: true };
    let started = Instant::now();
    let Decision { report, .. } = surveyor.survey(sources, &Handle::current(), None).await?;
    Ok(ImportReport { seconds: steps::seconds_since(started), peak_memory: report::peak_memory(), ..report })
}

/// What an import that had only its journal left to remove has made.
async fn ended(store: &CatalogStore, root: &str) -> Result<(CatalogSnapshot, ImportReport), CatalogError> {
    let snapshot = open(store, root, &Remote::default()).await?;
    let report = report_of(&snapshot).await?;
    let report = report.ok_or_else(|| CatalogError::catalog(root, "its report is missing"))?;
    journal::remove(store, root).await?;
    Ok((snapshot, report))
}

/// Whether the input is at fault, so that going on would fail again.
fn is_of_input(error: &CatalogError) -> bool {
    use formats::FormatError::Bad;
    match error {
        CatalogError::Arrow(error) => !matches!(error, ArrowError::IoError(..)), // of the local disk
        error => matches!(error, CatalogError::BadInput { .. } | CatalogError::Format(Bad { .. })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_fault_of_the_input() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(!is_of_input(&ArrowError::from(full).into()));
        assert!(!is_of_input(&CatalogError::io("writing", std::io::ErrorKind::StorageFull.into())));
        assert!(is_of_input(&ArrowError::ComputeError("overflow".to_owned()).into()));
        assert!(is_of_input(&CatalogError::input("a.csv", "row 1: it is bad")));
    }
}
