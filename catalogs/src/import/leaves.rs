//! The third pass: every partition sorted, encoded, and put on the store.
//!
//! As many partitions at a time as there are threads, each within its share of the memory; a finished file is on its way to
//! the store while the next is encoded. Files are made on the local disk first, so that a failed upload costs no encoding,
//! and so that memory does not depend on how large a file is.

use std::{path::PathBuf, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Progress,
    distribute::{Distributed, aside_schema},
    journal::Journal,
    leaf::{LeafWriter, Style, write_bucket},
    pool::Stop,
    survey::Planned,
};
use crate::{CatalogError, CatalogStore, DataFile, layout};

/// The least memory that a partition is sorted in.
const LEAST_MEMORY: usize = 1 << 20;

/// Where and how files are written.
pub(super) struct Target {
    pub(super) store: CatalogStore,
    pub(super) root: String,
    /// The table's folder below the root.
    pub(super) table: String,
    pub(super) style: Style,
    pub(super) spill: PathBuf,
    pub(super) memory: usize,
    pub(super) threads: usize,
    pub(super) stop: Stop,
    pub(super) progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Target {
    /// The path of a partition's file below the root.
    pub(super) fn path(&self, partition: &Planned) -> String {
        let below = partition.pixel.map_or_else(|| layout::plain_path(partition.part), layout::leaf_path);
        format!("{}/{below}", self.table)
    }

    /// About how many bytes of rows may be sorted at once by each thread: what the buckets leave, and a part of that for
    /// encoding.
    fn share(&self) -> usize {
        (self.memory / 2 / self.threads.max(1) / 4 * 3).max(LEAST_MEMORY)
    }
}

/// Writes all partitions that are not `finished` and have rows, and notes them in the journal.
pub(super) async fn write_leaves(
    target: Arc<Target>,
    distributed: Arc<Distributed>,
    planned: &[Planned],
    finished: &[bool],
    journal: &mut Journal,
) -> Result<u64, CatalogError> {
    let encoding = Arc::new(Semaphore::new(target.threads.max(1)));
    let in_flight = Arc::new(Semaphore::new(target.threads.max(1) + 2));
    let rows = &distributed.tally.partitions;
    let total: u64 = rows.iter().sum();
    let mut written: u64 = rows.iter().zip(finished).filter(|(_, done)| **done).map(|(rows, _)| rows).sum();
    let mut spilled = 0;
    let mut tasks = JoinSet::new();
    for (number, partition) in planned.iter().enumerate() {
        if finished[number] || rows[number] == 0 {
            continue;
        }
        let (target, distributed, partition) = (Arc::clone(&target), Arc::clone(&distributed), partition.clone());
        let (encoding, in_flight) = (Arc::clone(&encoding), Arc::clone(&in_flight));
        tasks.spawn(async move {
            let closed = |_| CatalogError::input("import", "it was broken off");
            let _flying = in_flight.acquire_owned().await.map_err(closed)?;
            let permit = encoding.acquire_owned().await.map_err(closed)?;
            let local = target.spill.join(format!("leaf-{number}.parquet"));
            let encoded = tokio::task::spawn_blocking({
                let (target, local) = (Arc::clone(&target), local.clone());
                move || {
                    let mut writer = LeafWriter::new(&target.style, &local)?;
                    let Target { spill, stop, .. } = &*target;
                    let spilled = write_bucket(&distributed.buckets, number, target.share(), spill, stop, &mut writer)?;
                    drop(permit);
                    Ok::<_, CatalogError>((writer.finish()?, spilled))
                }
            });
            let (leaf, spilled) = encoded.await??;
            let path = target.path(&partition);
            target.store.put_file(&format!("{}/{path}", target.root), &local).await?;
            std::fs::remove_file(&local).map_err(|error| CatalogError::io(local.display(), error))?;
            let file = DataFile {
                path,
                bytes: leaf.bytes,
                rows: leaf.rows,
                pixel: partition.pixel,
                cells: leaf.cells,
                sha256: Some(leaf.sha256),
            };
            Ok::<_, CatalogError>((number, file, leaf.statistics, spilled))
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (number, file, statistics, more) = done??; // the first failure drops the set, which stops the others
        if file.rows != rows[number] {
            let why = format!("{} has {} rows of {}", file.path, file.rows, rows[number]);
            return Err(CatalogError::catalog(&target.root, why));
        }
        written += file.rows;
        spilled += more;
        (target.progress)(Progress::Written(written, total));
        journal.note((file, statistics)).await?;
    }
    Ok(spilled)
}

/// Writes the rows that were set aside, if there are any.
pub(super) async fn write_aside(target: Arc<Target>, distributed: Arc<Distributed>) -> Result<(), CatalogError> {
    if distributed.tally.aside.is_empty() {
        return Ok(());
    }
    let local = target.spill.join("set-aside.parquet");
    let encoded = tokio::task::spawn_blocking({
        let (target, local) = (Arc::clone(&target), local.clone());
        move || {
            let style = Style::new(&aside_schema(), None, 256)?;
            let mut writer = LeafWriter::new(&style, &local)?;
            let Target { spill, stop, .. } = &*target;
            write_bucket(&distributed.aside, 0, target.share(), spill, stop, &mut writer)?;
            writer.finish()
        }
    });
    encoded.await??;
    target.store.put_file(&format!("{}/{}", target.root, layout::SET_ASIDE), &local).await?;
    std::fs::remove_file(&local).map_err(|error| CatalogError::io(local.display(), error))
}
