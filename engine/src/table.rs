//! A snapshot as a table that DataFusion can scan.
//!
//! The scan is a pure function of the snapshot: which files are read follows from the filters, and nothing is listed,
//! opened or guessed. The optimizer pushes the filters on into the Parquet reader, which applies them to the rows exactly.

mod missing;

use std::sync::Arc;

use async_trait::async_trait;
use catalogs::{CatalogSnapshot, DataFile};
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::{Session, TableProvider},
    common::{Statistics, project_schema, stats::Precision},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource, parquet::CachedParquetFileReaderFactory},
        source::DataSourceExec,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};

use crate::region;

/// One catalogue snapshot, scanned by its exact column names.
#[derive(Debug)]
pub(crate) struct SnapshotTable {
    snapshot: Arc<CatalogSnapshot>,
}

impl SnapshotTable {
    pub(crate) fn new(snapshot: Arc<CatalogSnapshot>) -> Self {
        Self { snapshot }
    }

    /// The files that rows matching the filters can be in.
    fn files(&self, filters: &[Expr]) -> Vec<&DataFile> {
        match self.snapshot.position() {
            Some(position) => {
                let coverage = region::coverage_of(filters, position);
                self.snapshot.select(&coverage).collect()
            }
            None => self.snapshot.files().iter().collect(),
        }
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.snapshot.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let store = self.snapshot.store();
        let url = ObjectStoreUrl::parse(format!("almagest://{:016x}", store.key()))?;
        session.runtime_env().register_object_store(url.as_ref(), store.objects());
        let files = self.files(filters);
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        }
        let rows = files.iter().map(|file| file.rows as usize).sum();
        let bytes = files.iter().map(|file| file.bytes as usize).sum();
        // Each described by the snapshot, its time included: footers are kept by path, size and time.
        let entries = files.into_iter().map(|file| PartitionedFile::new_from_meta(self.snapshot.object_of(file)));
        let groups = FileGroup::new(entries.collect()).split_files(session.config().target_partitions());
        let footers = session.runtime_env().cache_manager.get_file_metadata_cache();
        let source = ParquetSource::new(self.schema())
            .with_pushdown_filters(true)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store.objects(), footers)));
        let statistics = Statistics {
            num_rows: Precision::Exact(rows),
            total_byte_size: Precision::Inexact(bytes),
            ..Statistics::new_unknown(&self.schema())
        };
        let scan = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let scan = DataSourceExec::from_data_source(scan);
        if self.snapshot.descriptor().nan_is_null {
            return Ok(scan);
        }
        missing::nan_as_null(scan, session.config().options())
    }
}
