//! Rows on their way to their partitions: held in memory up to a bound, beyond it in Arrow files on the local disk.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::PathBuf,
};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use tempfile::TempDir;

use crate::CatalogError;

/// One bucket a partition, each giving its rows back in the order in which they came.
pub(super) struct Buckets {
    schema: SchemaRef,
    limit: usize,
    held: Vec<Vec<RecordBatch>>,
    held_bytes: usize,
    spilled: Vec<Vec<PathBuf>>,
    folder: Option<TempDir>,
    spilled_bytes: u64,
}

impl Buckets {
    /// Buckets that hold at most about `limit` bytes in memory.
    pub(super) fn new(schema: SchemaRef, count: usize, limit: usize) -> Self {
        Self {
            schema,
            limit,
            held: vec![Vec::new(); count],
            held_bytes: 0,
            spilled: vec![Vec::new(); count],
            folder: None,
            spilled_bytes: 0,
        }
    }

    /// Adds rows to a bucket.
    pub(super) fn push(&mut self, bucket: usize, rows: RecordBatch) -> Result<(), CatalogError> {
        self.held_bytes += rows.get_array_memory_size();
        self.held[bucket].push(rows);
        if self.held_bytes > self.limit { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), CatalogError> {
        let failed = |error| CatalogError::io("setting rows aside in the temporary folder", error);
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => tempfile::Builder::new().prefix("almagest-import-").tempdir().map_err(failed)?,
        };
        for (bucket, batches) in self.held.iter_mut().enumerate().filter(|(_, batches)| !batches.is_empty()) {
            let path = folder.path().join(format!("{bucket}-{}.arrow", self.spilled[bucket].len()));
            let mut writer = StreamWriter::try_new(BufWriter::new(File::create(&path).map_err(failed)?), &self.schema)?;
            for batch in batches.drain(..) {
                writer.write(&batch)?;
            }
            let file = writer.into_inner()?.into_inner().map_err(|error| failed(error.into_error()))?;
            self.spilled_bytes += file.metadata().map_err(failed)?.len();
            self.spilled[bucket].push(path);
        }
        self.held_bytes = 0;
        self.folder = Some(folder);
        Ok(())
    }

    /// Takes the rows of a bucket out; it is empty afterwards.
    pub(super) fn take(&mut self, bucket: usize) -> Result<Vec<RecordBatch>, CatalogError> {
        let failed = |error| CatalogError::io("reading rows back from the temporary folder", error);
        let mut batches = Vec::new();
        for path in std::mem::take(&mut self.spilled[bucket]) {
            for batch in StreamReader::try_new(BufReader::new(File::open(&path).map_err(failed)?), None)? {
                batches.push(batch?);
            }
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let held = std::mem::take(&mut self.held[bucket]);
        self.held_bytes -= held.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        batches.extend(held);
        Ok(batches)
    }

    /// How many bytes went through the disk.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, AsArray, Int64Array},
        datatypes::Int64Type,
    };

    use super::*;

    fn rows(values: std::ops::Range<i64>) -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)]).unwrap()
    }

    fn values(batches: &[RecordBatch]) -> Vec<i64> {
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn a_bucket_gives_its_rows_back_in_order_whether_or_not_they_were_on_disk() {
        for limit in [0, 20_000, usize::MAX] {
            let mut buckets = Buckets::new(rows(0..0).schema(), 3, limit);
            for n in 0..30 {
                buckets.push(n as usize % 2, rows(n * 100..n * 100 + 100)).unwrap();
            }
            assert_eq!(buckets.spilled_bytes() > 0, limit < usize::MAX);
            let expected =
                |odd: i64| (0..30).filter(|n| n % 2 == odd).flat_map(|n| n * 100..n * 100 + 100).collect::<Vec<_>>();
            assert_eq!(values(&buckets.take(0).unwrap()), expected(0));
            assert_eq!(values(&buckets.take(1).unwrap()), expected(1));
            assert!(buckets.take(2).unwrap().is_empty() && buckets.take(0).unwrap().is_empty());
        }
    }

    #[test]
    fn the_temporary_folder_goes_with_the_buckets() {
        let mut buckets = Buckets::new(rows(0..0).schema(), 1, 0);
        buckets.push(0, rows(0..10)).unwrap();
        let folder = buckets.folder.as_ref().unwrap().path().to_owned();
        assert!(folder.exists());
        drop(buckets);
        assert!(!folder.exists());
    }
}
