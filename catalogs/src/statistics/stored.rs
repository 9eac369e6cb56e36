//! The statistics of a version, read column by column when a query asks for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{compute::concat_batches, datatypes::SchemaRef};
use futures::TryStreamExt;
use parquet::arrow::{
    ParquetRecordBatchStreamBuilder, ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
};
use tokio::sync::OnceCell;

use super::{
    ColumnStatistics,
    file::{column_of, names_of},
};
use crate::{CatalogError, CatalogStore, store::ParquetObject};

/// The most bytes of statistics that one version keeps in memory.
const CACHED: usize = 256 << 20;

/// The statistics of all files of a version. Cheap to clone; the clones share what was read.
#[derive(Clone, Debug)]
pub struct Statistics(Option<Arc<Stored>>);

#[derive(Debug)]
struct Stored {
    store: CatalogStore,
    path: String,
    /// The file, and its footer.
    footer: OnceCell<(ParquetObject, ArrowReaderMetadata)>,
    columns: Mutex<Columns>,
}

type Column = Arc<OnceCell<Arc<ColumnStatistics>>>;

/// What has been read, and what is being read; of the former no more than fits.
#[derive(Debug, Default)]
struct Columns {
    cells: HashMap<usize, (Column, u64)>,
    clock: u64,
}

impl Columns {
    fn cell(&mut self, index: usize) -> Column {
        self.clock += 1;
        let (cell, used) = self.cells.entry(index).or_default();
        *used = self.clock;
        Arc::clone(cell)
    }

    /// Forgets what was not used for longest, until the rest fits; the last used one stays.
    fn trim(&mut self, most: usize) {
        let bytes = |cell: &Column| cell.get().map_or(0, |column| column.bytes());
        let mut held: usize = self.cells.values().map(|(cell, _)| bytes(cell)).sum();
        while held > most {
            let oldest = self.cells.iter().filter(|(_, (cell, used))| cell.initialized() && *used < self.clock);
            let Some(index) = oldest.min_by_key(|(_, (_, used))| *used).map(|(index, _)| *index) else { return };
            held -= self.cells.remove(&index).map_or(0, |(cell, _)| bytes(&cell));
        }
    }
}

impl Statistics {
    /// Of a version that has none.
    pub fn none() -> Self {
        Self(None)
    }

    /// Those in this file of a store, which need not be there yet.
    pub(crate) fn stored(store: CatalogStore, path: String) -> Self {
        Self(Some(Arc::new(Stored { store, path, footer: OnceCell::new(), columns: Mutex::default() })))
    }

    /// Those of column `index` of the schema, of as many files.
    pub(crate) async fn column(
        &self,
        schema: &SchemaRef,
        index: usize,
        files: usize,
    ) -> Result<Option<Arc<ColumnStatistics>>, CatalogError> {
        let Some(stored) = self.0.as_ref().filter(|_| files > 0) else { return Ok(None) };
        let columns = || stored.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = columns().cell(index);
        let read = || async { stored.read(schema.field(index).name(), index, files).await.map(Arc::new) };
        let column = Arc::clone(cell.get_or_try_init(read).await?);
        columns().trim(CACHED);
        Ok(Some(column))
    }
}

impl Stored {
    async fn open(&self) -> Result<(ParquetObject, ArrowReaderMetadata), CatalogError> {
        let size = self.store.head(&self.path).await?.size;
        let mut file = ParquetObject::new(&self.store, &self.path, size);
        let footer = ArrowReaderMetadata::load_async(&mut file, ArrowReaderOptions::new()).await?;
        Ok((file, footer))
    }

    async fn read(&self, name: &str, index: usize, files: usize) -> Result<ColumnStatistics, CatalogError> {
        let damaged = |why: String| CatalogError::catalog(&self.path, format!("the statistics {why}"));
        let (file, footer) = self.footer.get_or_try_init(|| self.open()).await?;
        // By number: in a list of names, a dot would mean a part of a column.
        let parts = names_of(index).into_iter().filter_map(|name| footer.schema().index_of(&name).ok());
        let mask = ProjectionMask::roots(footer.parquet_schema(), parts);
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(file.clone(), footer.clone())
            .with_projection(mask)
            .with_batch_size(files)
            .build()?;
        let schema = Arc::clone(stream.schema());
        let batches: Vec<_> = stream.try_collect().await?;
        let rows = concat_batches(&schema, &batches)?;
        if rows.num_rows() != files {
            return Err(damaged(format!("are of {} files, the manifest is of {files}", rows.num_rows())));
        }
        column_of(&rows, index).ok_or_else(|| damaged(format!("do not tell of the column {name}")))
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, AsArray, Int64Array},
        datatypes::{DataType, Field, Int64Type, Schema},
    };

    use super::*;
    use crate::{ColumnBounds, FileStatistics, StoreOptions, statistics::encode};

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(["a", "b", "c"].map(|name| Field::new(name, DataType::Int64, true)).to_vec()))
    }

    async fn written(files: i64) -> (tempfile::TempDir, Statistics) {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { url: folder.path().display().to_string(), ..StoreOptions::default() };
        let store = CatalogStore::open(&options).unwrap();
        let bounds = |value: i64| {
            let value: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            ColumnBounds { min: Some(Arc::clone(&value)), max: Some(value), nulls: Some(0), exact: true }
        };
        let of = |file: i64| FileStatistics((0..3).map(|column| bounds(column * 1_000_000 + file)).collect());
        let bytes = encode(&schema(), &(0..files).map(of).collect::<Vec<_>>()).unwrap();
        store.put("x/statistics", bytes).await.unwrap();
        (folder, Statistics::stored(store, "x/statistics".into()))
    }

    #[tokio::test]
    async fn a_column_is_read_once_however_many_ask() {
        let (folder, statistics) = written(40_000).await;
        let schema = schema();
        let ask = |index| statistics.column(&schema, index, 40_000);
        let (one, other) = futures::join!(ask(2), ask(2));
        let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(one.max.as_primitive::<Int64Type>().value(39_999), 2_039_999);
        assert!(one.exact.value(7) && one.nulls.value(7) == 0);
        drop(folder);
        assert!(ask(2).await.is_ok(), "from memory");
        assert!(ask(1).await.unwrap_err().to_string().contains("x/statistics"));
    }

    #[tokio::test]
    async fn a_number_of_files_that_is_not_the_manifests_is_refused() {
        let (_folder, statistics) = written(10).await;
        let refused = statistics.column(&schema(), 0, 11).await.unwrap_err().to_string();
        assert!(refused.contains("are of 10 files, the manifest is of 11"), "{refused}");
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_is_forgotten_first() {
        let (_folder, statistics) = written(1_000).await;
        for index in [0, 1, 0, 2] {
            statistics.column(&schema(), index, 1_000).await.unwrap();
        }
        let mut columns = statistics.0.as_ref().unwrap().columns.lock().unwrap();
        let one = columns.cells[&0].0.get().unwrap().bytes();
        columns.trim(2 * one);
        let mut held: Vec<_> = columns.cells.keys().copied().collect();
        held.sort_unstable();
        assert_eq!(held, [0, 2]);
        columns.trim(0);
        assert_eq!(columns.cells.keys().collect::<Vec<_>>(), [&2], "the last one stays");
    }
}
