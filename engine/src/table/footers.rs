//! Footers and page indexes of the files of a scan, kept between queries.
//!
//! The Parquet reader asks for a footer without its page index, and for the index by itself where it may leave out pages;
//! what it asks for by itself it does not keep. Where a scan has conditions, both are therefore asked for together: a
//! query that comes again reads neither.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use datafusion::{
    datasource::{
        listing::PartitionedFile,
        physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory},
    },
    error::Result,
    execution::cache::cache_manager::FileMetadataCache,
    parquet::{
        arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
        errors::Result as ParquetResult,
        file::metadata::{PageIndexPolicy, ParquetMetaData},
    },
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use futures::future::BoxFuture;
use object_store::ObjectStore;

/// Readers that keep footers, and page indexes with them if pages may be left out.
pub(super) fn kept(
    objects: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
    with_pages: bool,
) -> Arc<dyn ParquetFileReaderFactory> {
    let readers = Arc::new(CachedParquetFileReaderFactory::new(objects, footers));
    if with_pages { self::with_pages(readers) } else { readers }
}

/// The same readers, which ask for page indexes with the footers.
pub(crate) fn with_pages(readers: Arc<dyn ParquetFileReaderFactory>) -> Arc<dyn ParquetFileReaderFactory> {
    Arc::new(WithPages(readers))
}

#[derive(Debug)]
struct WithPages(Arc<dyn ParquetFileReaderFactory>);

impl ParquetFileReaderFactory for WithPages {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        footer_size: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(PagesReader(self.0.create_reader(partition, file, footer_size, metrics)?)))
    }
}

struct PagesReader(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for PagesReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default().with_page_index_policy(PageIndexPolicy::Optional);
        Box::pin(async move { self.0.get_metadata(Some(&options)).await })
    }
}
