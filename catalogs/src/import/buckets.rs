//! Rows on their way to their partitions: held in memory up to a bound, beyond it in one file on the local disk.
//!
//! ```text
//!   batch ─▶ sorted by bucket ─▶ held ──(more than the bound)──▶ the spill file: for each bucket its rows, end to end
//!                                  └─────────────┬─────────────────────┘
//!                                       rows of one bucket, in any order
//! ```
//! Every row carries its number, so that it does not matter here who came first. Several threads push at once; when too many
//! rows are held, one of them writes those that came first, while the others go on until the bound is reached.

use std::{
    collections::VecDeque,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{AsArray, RecordBatch},
    buffer::Buffer,
    compute::concat_batches,
    datatypes::{Int64Type, SchemaRef, UInt64Type},
    error::ArrowError,
    ipc::{Block, MetadataVersion, reader::FileDecoder, writer::StreamEncoder},
};

use super::{
    convert::NUMBER,
    direct::DirectWriter,
    gather::{Row, gather},
    pool::Stop,
};
use crate::{CatalogError, HEALPIX_COLUMN};

/// About how many bytes of rows are written and read at once.
const BLOCK_BYTES: usize = 16 << 20;
/// What part of the rows is written when there are too many: the less, the more of them never leave memory.
const PARTS: usize = 4;

/// One bucket a partition.
pub(super) struct Buckets {
    schema: SchemaRef,
    /// Bytes held, those included that are on their way to the disk.
    limit: usize,
    held: Mutex<Held>,
    spilled: Mutex<Spilled>,
    spilled_bytes: AtomicU64,
}

#[derive(Default)]
struct Held {
    batches: VecDeque<Scattered>,
    bytes: usize,
}

impl Held {
    /// The rows that came first: about so many bytes of them, and at least one batch.
    fn take(&mut self, most: usize) -> Vec<Scattered> {
        let mut bytes = 0;
        let mut taken = Vec::new();
        while bytes < most.max(1)
            && let Some(batch) = self.batches.pop_front()
        {
            bytes += batch.bytes();
            taken.push(batch);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        taken
    }
}

/// Rows sorted by bucket, and along the sky within each.
struct Scattered {
    rows: RecordBatch,
    /// Each bucket that has rows here, with the first of them.
    starts: Vec<(u32, u32)>,
    /// Bytes of a row, on average.
    row_bytes: f64,
}

impl Scattered {
    fn new(rows: &RecordBatch, bucket_of: impl Fn(usize) -> u32) -> Result<Self, CatalogError> {
        let buckets: Vec<u32> = (0..rows.num_rows()).map(bucket_of).collect();
        let starts = starts_of(&buckets);
        let sorted = if buckets.is_sorted() {
            rows.clone()
        } else {
            let order = order_of(&buckets, &starts, &Keys::of(rows));
            let columns = rows.columns().iter().map(|column| gather(&[column], &order));
            RecordBatch::try_new(rows.schema(), columns.collect::<Result<_, _>>()?)?
        };
        let starts =
            starts.windows(2).zip(0..).filter(|(pair, _)| pair[0] < pair[1]).map(|(pair, bucket)| (bucket, pair[0]));
        let starts = starts.collect();
        let row_bytes = sorted.get_array_memory_size() as f64 / sorted.num_rows().max(1) as f64;
        Ok(Self { rows: sorted, starts, row_bytes })
    }

    fn of(&self, bucket: u32) -> Option<RecordBatch> {
        let place = self.starts.binary_search_by_key(&bucket, |(bucket, _)| *bucket).ok()?;
        let first = self.starts[place].1 as usize;
        let end = self.starts.get(place + 1).map_or(self.rows.num_rows(), |(_, start)| *start as usize);
        Some(self.rows.slice(first, end - first))
    }

    fn bytes(&self) -> usize {
        (self.row_bytes * self.rows.num_rows() as f64) as usize
    }
}

/// How many rows come before those of each bucket when they are sorted by bucket; at last, how many there are.
fn starts_of(buckets: &[u32]) -> Vec<u32> {
    let mut starts = vec![0; buckets.iter().max().map_or(1, |last| *last as usize + 2)];
    buckets.iter().for_each(|bucket| starts[*bucket as usize + 1] += 1);
    let mut before = 0;
    for start in &mut starts {
        before += *start;
        *start = before;
    }
    starts
}

/// Rows in the order of their buckets, and along the sky within each: so who sorts a bucket finds long runs in order, and
/// reads them forward.
fn order_of(buckets: &[u32], starts: &[u32], keys: &Keys<'_>) -> Vec<Row> {
    let mut next = starts.to_vec();
    let mut order = vec![(0, 0); buckets.len()];
    for (row, bucket) in (0..).zip(buckets) {
        let place = &mut next[*bucket as usize];
        order[*place as usize] = (keys.at(row as usize).0, row);
        *place += 1;
    }
    for pair in starts.windows(2) {
        order[pair[0] as usize..pair[1] as usize].sort_unstable();
    }
    order.into_iter().map(|(_, row)| Row { part: 0, row }).collect()
}

struct Spilled {
    writer: Option<DirectWriter>,
    /// For each bucket, where its rows are.
    blocks: Vec<Vec<Written>>,
}

#[derive(Clone, Copy)]
struct Written {
    offset: u64,
    head: u32,
    body: u64,
}

/// Rows and about how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Buckets {
    /// Buckets that hold at most about `memory` bytes, what is being written included. The spill file is made in `folder`.
    pub(super) fn new(schema: SchemaRef, count: usize, memory: usize) -> Self {
        Self {
            schema,
            limit: memory,
            held: Mutex::default(),
            spilled: Mutex::new(Spilled { writer: None, blocks: vec![Vec::new(); count] }),
            spilled_bytes: AtomicU64::new(0),
        }
    }

    /// The schema of the rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spilled(&self) -> MutexGuard<'_, Spilled> {
        self.spilled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds rows, each to the bucket that `bucket_of` tells for its index.
    pub(super) fn push(
        &self,
        rows: &RecordBatch,
        bucket_of: impl Fn(usize) -> u32,
        folder: &Path,
    ) -> Result<(), CatalogError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let scattered = Scattered::new(rows, bucket_of)?;
        let part = self.limit / PARTS;
        let are_many = |held: &Held| held.bytes > self.limit - part;
        {
            let mut held = self.held();
            held.bytes += scattered.bytes();
            held.batches.push_back(scattered);
            if !are_many(&held) {
                return Ok(());
            }
        }
        let mut spilled = self.spilled();
        // Somebody else may have written them while this thread waited.
        let first = {
            let mut held = self.held();
            if !are_many(&held) {
                return Ok(());
            }
            held.take(part)
        };
        let bytes = spilled.write(&self.schema, &first, folder)?;
        self.spilled_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// How large a bucket is.
    pub(super) fn size(&self, bucket: usize) -> Size {
        let on_disk: u64 = self.spilled().blocks[bucket].iter().map(|block| block.body).sum();
        let mut size = Size { rows: 0, bytes: on_disk };
        for scattered in &self.held().batches {
            if let Some(rows) = scattered.of(bucket as u32) {
                size.bytes += (rows.num_rows() as f64 * scattered.row_bytes) as u64;
                size.rows += rows.num_rows() as u64;
            }
        }
        size
    }

    /// Hands over the rows of a bucket, block by block.
    pub(super) fn each(
        &self,
        bucket: usize,
        stop: &Stop,
        mut take: impl FnMut(RecordBatch) -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        let (file, blocks) = {
            let mut spilled = self.spilled();
            let file = spilled.writer.as_mut().map(DirectWriter::settle).transpose();
            (file.map_err(|error| failed("writing", error))?, spilled.blocks[bucket].clone())
        };
        let decoder = FileDecoder::new(Arc::clone(&self.schema), MetadataVersion::V5);
        for block in blocks {
            stop.check()?;
            let Some(file) = &file else { continue };
            let bytes = file.read(block.offset, block.head as usize + block.body as usize);
            let bytes = bytes.map_err(|error| failed("reading rows back from", error))?;
            let header = Block::new(block.offset as i64, block.head as i32, block.body as i64);
            if let Some(batch) = decoder.read_record_batch(&header, &bytes)? {
                take(batch)?;
            }
        }
        let held: Vec<RecordBatch> = self.held().batches.iter().filter_map(|rows| rows.of(bucket as u32)).collect();
        held.into_iter().try_for_each(take)
    }

    /// All rows of a bucket.
    pub(super) fn read(&self, bucket: usize, stop: &Stop) -> Result<Vec<RecordBatch>, CatalogError> {
        let mut batches = Vec::new();
        self.each(bucket, stop, |batch| {
            batches.push(batch);
            Ok(())
        })?;
        Ok(batches)
    }

    /// How many bytes went through the disk.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes.load(Ordering::Relaxed)
    }
}

fn failed(doing: &str, error: std::io::Error) -> CatalogError {
    CatalogError::io(format!("{doing} the spill file"), error)
}

impl Spilled {
    /// Writes rows, bucket by bucket. How many bytes that are is returned.
    fn write(&mut self, schema: &SchemaRef, rows: &[Scattered], folder: &Path) -> Result<u64, CatalogError> {
        let mut order: Vec<(u32, u32)> = Vec::new();
        for (number, scattered) in rows.iter().enumerate() {
            order.extend(scattered.starts.iter().map(|(bucket, _)| (*bucket, number as u32)));
        }
        order.sort_unstable();
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            // Without a name, so that it goes with the process, however that ends.
            None => tempfile::tempfile_in(folder)
                .map(DirectWriter::new)
                .map_err(|error| CatalogError::io(format!("making a spill file in {}", folder.display()), error))?,
        };
        let before = writer.position();
        let mut encoder = StreamEncoder::try_new(schema)?;
        encoder.encode(&RecordBatch::new_empty(Arc::clone(schema)))?; // the schema comes first, and is known
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let bucket = group[0].0;
            let mut together: Vec<RecordBatch> = Vec::new();
            let mut bytes = 0;
            for (_, number) in group {
                let scattered = &rows[*number as usize];
                let Some(rows) = scattered.of(bucket) else { continue };
                bytes += (rows.num_rows() as f64 * scattered.row_bytes) as usize;
                together.push(rows);
                if bytes >= BLOCK_BYTES {
                    self.write_block(&mut writer, schema, bucket, &std::mem::take(&mut together), &mut encoder)?;
                    bytes = 0;
                }
            }
            if !together.is_empty() {
                self.write_block(&mut writer, schema, bucket, &together, &mut encoder)?;
            }
        }
        let written = writer.position() - before;
        self.writer = Some(writer);
        Ok(written)
    }

    fn write_block(
        &mut self,
        writer: &mut DirectWriter,
        schema: &SchemaRef,
        bucket: u32,
        batches: &[RecordBatch],
        encoder: &mut StreamEncoder,
    ) -> Result<(), CatalogError> {
        let rows = match batches {
            [one] => one.clone(),
            several => concat_batches(schema, several)?,
        };
        let message = encoder.encode(&rows)?;
        let offset = writer.position();
        let head = head_of(&message)?;
        message.iter().try_for_each(|buffer| writer.write_all(buffer)).map_err(|error| failed("writing", error))?;
        let body = writer.position() - offset - u64::from(head);
        self.blocks[bucket as usize].push(Written { offset, head, body });
        Ok(())
    }
}

/// How long the head of a message is: it begins with a marker of four bytes and the length of what follows.
fn head_of(message: &[Buffer]) -> Result<u32, ArrowError> {
    let told = message.first().and_then(|begin| begin.get(4..8)?.try_into().ok()).map(u32::from_le_bytes);
    told.map(|length| 8 + length).ok_or_else(|| ArrowError::IpcError("a message has no head".to_owned()))
}

/// What rows are sorted by: their cell, where they have one, and their number.
pub(super) struct Keys<'a> {
    numbers: &'a [u64],
    cells: Option<&'a [i64]>,
}

impl<'a> Keys<'a> {
    /// The keys of a batch on its way.
    pub(super) fn of(batch: &'a RecordBatch) -> Self {
        debug_assert_eq!(batch.schema_ref().field(0).name(), NUMBER);
        let has_cells = batch.schema_ref().fields().get(1).is_some_and(|field| field.name() == HEALPIX_COLUMN);
        Self {
            numbers: batch.column(0).as_primitive::<UInt64Type>().values(),
            cells: has_cells.then(|| batch.column(1).as_primitive::<Int64Type>().values().as_ref()),
        }
    }

    /// What the partition of a row is found by: its cell, or its number where there are none.
    pub(super) fn place(&self, row: usize) -> u64 {
        self.cells.map_or(self.numbers[row], |cells| cells[row] as u64)
    }

    /// The key of a row. Without cells, all are in the same.
    pub(super) fn at(&self, row: usize) -> (i64, u64) {
        (self.cells.map_or(0, |cells| cells[row]), self.numbers[row])
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, StringArray, UInt64Array},
        datatypes::{DataType, Field, Schema},
    };

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(NUMBER, DataType::UInt64, false),
            Field::new("text", DataType::Utf8, true),
        ]))
    }

    fn rows(numbers: std::ops::Range<u64>) -> RecordBatch {
        let text: ArrayRef =
            Arc::new(numbers.clone().map(|n| (n % 3 > 0).then(|| format!("α{n}"))).collect::<StringArray>());
        RecordBatch::try_new(schema(), vec![Arc::new(UInt64Array::from_iter_values(numbers)), text]).unwrap()
    }

    fn numbers_of(buckets: &Buckets, bucket: usize) -> Vec<u64> {
        let batches = buckets.read(bucket, &Stop::default()).unwrap();
        let mut numbers: Vec<u64> =
            batches.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec()).collect();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let number = batch.column(0).as_primitive::<UInt64Type>().value(row);
                assert_eq!(batch.slice(row, 1), rows(number..number + 1));
            }
        }
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn a_bucket_has_all_of_its_rows_whether_or_not_they_were_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        for memory in [0, 40_000, usize::MAX] {
            let buckets = Buckets::new(schema(), 4, memory);
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let (buckets, folder) = (&buckets, folder.path());
                    scope.spawn(move || {
                        for n in (thread..30).step_by(3) {
                            let batch = rows(n * 100..n * 100 + 100);
                            buckets.push(&batch, |row| (row % 7 % 3) as u32, folder).unwrap();
                        }
                    });
                }
            });
            assert_eq!(buckets.spilled_bytes() > 0, memory < usize::MAX);
            for bucket in 0..4 {
                let expected: Vec<u64> = (0..3_000).filter(|n| (n % 100 % 7 % 3) as usize == bucket).collect();
                assert_eq!(numbers_of(&buckets, bucket), expected);
                assert_eq!(buckets.size(bucket).bytes > 0, !expected.is_empty());
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a spill file has no name");
    }
}
