//! The third pass: every partition sorted, encoded, and put on the store.
//!
//! One partition more at a time than there are threads, since one may wait for the disk, each within its share of the
//! memory; a finished file is on its way to the store while the next is encoded. Large ones come first, so that all threads
//! have work to the end. Files are made on the local disk first, so that a failed upload costs no encoding,
//! and so that memory does not depend on how large a file is.

use std::{path::PathBuf, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Progress,
    distribute::{Distributed, aside_schema, held_bytes},
    journal::Journal,
    leaf::{LeafWriter, Style, write_bucket},
    pool::Stop,
    survey::Planned,
};
use crate::{CatalogError, CatalogStore, DataFile, layout};

/// The least memory that a partition is sorted in, and the most: the texts of a column must not outgrow their offsets.
const LEAST_MEMORY: usize = 1 << 20;
const MOST_MEMORY: usize = 1 << 30;
/// Memory is handed out in pieces of so many bytes.
const UNIT: u64 = 64 << 10;

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

    /// How many partitions are at work.
    fn at_a_time(&self) -> usize {
        self.threads.max(1) + 1
    }

    /// Bytes for all partitions that are at work: what the buckets leave, but for a part that gets lost between pieces.
    fn at_work(&self) -> usize {
        (self.memory - held_bytes(self.memory)) / 8 * 5
    }

    /// About how many bytes of rows may be sorted at once for each partition. It takes as many again to encode them.
    fn share(&self) -> usize {
        (self.at_work() / 2 / self.threads.div_ceil(2).max(1)).clamp(LEAST_MEMORY, MOST_MEMORY)
    }

    /// How much of the memory at work a partition of so many bytes takes, in the units of a semaphore.
    fn weight(&self, bytes: u64) -> u32 {
        let bytes = (2 * bytes.min(self.share() as u64)).min(self.at_work() as u64);
        bytes.div_ceil(UNIT).max(1) as u32 // at most 2³² of them by the limits of a share
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
    let encoding = Arc::new(Semaphore::new(target.at_a_time()));
    let in_flight = Arc::new(Semaphore::new(target.at_a_time() + 2));
    let memory = Arc::new(Semaphore::new((target.at_work() as u64).div_ceil(UNIT).max(1) as usize));
    let rows = distributed.tally.partitions.clone();
    let total: u64 = rows.iter().sum();
    let mut written: u64 = rows.iter().zip(finished).filter(|(_, done)| **done).map(|(rows, _)| rows).sum();
    let mut spilled = 0;
    let mut tasks = JoinSet::new();
    let mut to_write: Vec<usize> =
        (0..planned.len()).filter(|number| !finished[*number] && rows[*number] > 0).collect();
    to_write.sort_by_key(|number| std::cmp::Reverse(rows[*number]));
    for number in to_write {
        let partition = &planned[number];
        let (target, distributed, partition) = (Arc::clone(&target), Arc::clone(&distributed), partition.clone());
        let (encoding, in_flight, memory) = (Arc::clone(&encoding), Arc::clone(&in_flight), Arc::clone(&memory));
        let weight = target.weight(distributed.buckets.size(number).bytes);
        tasks.spawn(async move {
            let closed = |_| CatalogError::input("import", "it was broken off");
            let _flying = in_flight.acquire_owned().await.map_err(closed)?;
            let permit = (encoding.acquire_owned().await, memory.acquire_many_owned(weight).await);
            let permit = (permit.0.map_err(closed)?, permit.1.map_err(closed)?);
            let local = target.spill.join(format!("leaf-{number}.parquet"));
            let encoded = tokio::task::spawn_blocking({
                let (target, local) = (Arc::clone(&target), local.clone());
                move || {
                    let mut writer = LeafWriter::new(&target.style, &local)?;
                    let Target { spill, stop, .. } = &*target;
                    let spilled = write_bucket(&distributed.buckets, number, target.share(), spill, stop, &mut writer)?;
                    free(distributed);
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
    free(distributed);
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

/// Gives rows back that nobody else needs, while work goes on: there may be much memory and a large file among them.
fn free(distributed: Arc<Distributed>) {
    if let Some(last) = Arc::into_inner(distributed) {
        std::thread::spawn(move || drop(last));
    }
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
