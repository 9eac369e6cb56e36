//! How far a query has come, from the counts that its scans keep.

use std::sync::{Arc, OnceLock, Weak};

use datafusion::{
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    physical_plan::ExecutionPlan,
};

use crate::limits::watch::Watch;

/// How far a query has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files, or parts of files, that have been read to the end.
    pub files: u64,
    /// How many there are to read. Some may turn out not to be needed.
    pub files_total: u64,
    /// Bytes that were read from the store.
    pub bytes: u64,
    /// Rows that the scans gave to the rest of the query.
    pub rows: u64,
}

/// Where the progress of a query is looked up.
///
/// It does not hold the plan: what that has in memory, the side of a join for one, ends with the query.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    plan: Weak<dyn ExecutionPlan>,
    last: Arc<OnceLock<Progress>>,
    watch: Arc<Watch>,
}

impl Tally {
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>, watch: Arc<Watch>) -> Self {
        Self { plan: Arc::downgrade(plan), last: Arc::default(), watch }
    }

    pub(crate) fn progress(&self) -> Progress {
        match (self.last.get(), self.plan.upgrade()) {
            (Some(last), _) => *last,
            (None, Some(plan)) => counted(&*plan, &self.watch),
            (None, None) => Progress { bytes: self.watch.read(), ..Progress::default() },
        }
    }

    /// Keeps the plan, and writes down how far it has come when it is dropped.
    pub(crate) fn until_dropped(self, plan: Arc<dyn ExecutionPlan>) -> Counting {
        Counting { plan, tally: self }
    }
}

/// A plan that is run.
pub(crate) struct Counting {
    plan: Arc<dyn ExecutionPlan>,
    tally: Tally,
}

impl Counting {
    pub(crate) fn plan(&self) -> Arc<dyn ExecutionPlan> {
        Arc::clone(&self.plan)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = self.tally.last.set(counted(&*self.plan, &self.tally.watch)); // dropped once
    }
}

fn counted(plan: &dyn ExecutionPlan, watch: &Watch) -> Progress {
    let mut progress = Progress { bytes: watch.read(), ..Progress::default() };
    add(plan, &mut progress);
    progress
}

fn add(plan: &dyn ExecutionPlan, progress: &mut Progress) {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        if let Some(files) = scan.data_source().downcast_ref::<FileScanConfig>() {
            progress.files_total += files.file_groups.iter().map(|group| group.len() as u64).sum::<u64>();
        }
        if let Some(metrics) = scan.metrics() {
            let sum = |name| metrics.sum_by_name(name).map_or(0, |value| value.as_usize() as u64);
            progress.files += sum("files_processed");
            progress.rows += metrics.output_rows().unwrap_or_default() as u64;
        }
    }
    for child in plan.children() {
        add(&**child, progress);
    }
}
