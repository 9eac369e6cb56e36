//! A Parquet file of a store, as the asynchronous reader wants it: bytes by their places, and the footer.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{
    FutureExt, TryFutureExt,
    future::{BoxFuture, try_join_all},
};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};

use super::CatalogStore;

/// How much of a file's end is fetched for its footer, before its size is known.
const FOOTER: usize = 64 << 10;

/// A file whose size is known. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ParquetObject {
    store: CatalogStore,
    path: Arc<str>,
    size: u64,
}

impl ParquetObject {
    pub(crate) fn new(store: &CatalogStore, path: &str, size: u64) -> Self {
        Self { store: store.clone(), path: path.into(), size }
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&self.path, range).map_err(|error| ParquetError::External(Box::new(error))).await
    }
}

impl AsyncFileReader for ParquetObject {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.fetch(range).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        try_join_all(ranges.into_iter().map(|range| self.fetch(range))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let size = self.size;
        let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER));
        async move { reader.load_and_finish(self, size).await.map(Arc::new) }.boxed()
    }
}
