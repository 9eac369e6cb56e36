//! A Parquet file of a store, as the asynchronous reader wants it: bytes by their places, and the footer.
//!
//! Places that lie close together are fetched as one, and few at a time: a reader may ask for a thousand of them.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};

use super::CatalogStore;
use crate::CatalogError;

/// How much of a file's end is fetched for its footer.
const FOOTER: u64 = 64 << 10;

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
}

fn failed(error: CatalogError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for ParquetObject {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.store.get_range(&self.path, range).map_err(failed).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(failed) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let size = self.size;
        let reader = ParquetMetaDataReader::new()
            .with_arrow_reader_options(options)
            .with_prefetch_hint(Some(size.min(FOOTER) as usize));
        async move { reader.load_and_finish(self, size).await.map(Arc::new) }.boxed()
    }
}
