//! What a scan will read, told without reading data.
//!
//! The files are decided as for the scan itself; their footers and page indexes are read, and kept for the query that may
//! follow; row groups and pages are left out as the reader will leave them out. What it leaves out beyond that, by bloom
//! filters, by what a join or a sort finds on its way, and by not decoding columns of rows that are not wanted, comes off
//! these numbers.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use catalogs::{CatalogSnapshot, DataFile};
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::Session,
    common::DFSchema,
    datasource::physical_plan::parquet::{
        PagePruningAccessPlanFilter, ParquetAccessPlan, ParquetFileMetrics, RowGroupAccess, RowGroupAccessPlanFilter,
        metadata::DFParquetMetadata,
    },
    error::Result,
    execution::cache::cache_manager::FileMetadataCache,
    logical_expr::{Expr, physical_planning_context::PhysicalPlanningContext, utils::split_conjunction},
    parquet::{
        arrow::parquet_to_arrow_schema,
        file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData},
    },
    physical_expr::{PhysicalExpr, create_physical_expr},
    physical_expr_adapter::{DefaultPhysicalExprAdapterFactory, PhysicalExprAdapterFactory},
    physical_optimizer::pruning::PruningPredicateBuilder,
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::{
    both,
    bounds::Nan,
    decide::Decision,
    index::Ways,
    scan::{self, Columns},
};
use crate::io;

/// The most footers that are read for an estimate; of more files, all row groups are counted as read.
const MOST_FOOTERS: usize = 2_000;
/// How many footers are asked for at once.
const AT_ONCE: usize = 16;

/// What a scan will read at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanEstimate {
    /// The table, `schema.table`.
    pub(crate) table: String,
    /// Files of the table.
    pub(crate) files_total: usize,
    /// Whether conditions restrict the rows to a part of the sky.
    pub(crate) by_sky: bool,
    /// Files that are left by the sky alone.
    pub(crate) files_after_sky: usize,
    /// Files that are left by the sky and by indexes.
    pub(crate) files_after_index: usize,
    /// What tells where the values are that columns are asked for.
    pub(crate) ways: Ways,
    /// The columns that have bloom filters in what is read.
    pub(crate) blooms: BTreeSet<String>,
    /// A sentence for each condition on the sky that left no file out, and why.
    pub(crate) unused: Vec<String>,
    /// The columns by whose ranges files were tried.
    pub(crate) by_columns: Vec<String>,
    /// Files that are opened.
    pub(crate) files: usize,
    /// Row groups of the files that are opened.
    pub(crate) row_groups_total: usize,
    /// Row groups that are read, as a whole or in part.
    pub(crate) row_groups: usize,
    /// Bytes of the pages of the needed columns there.
    pub(crate) bytes: u64,
    /// The least and the most rows that the filters of the scan can leave.
    pub(crate) rows: (u64, u64),
    /// What there is to say beside the numbers, in sentences.
    pub(crate) notes: Vec<String>,
}

impl ScanEstimate {
    /// What a scan is that is not made: its rows are known, and were all that was asked.
    pub(crate) fn opens_nothing(&mut self) {
        (self.files, self.row_groups_total, self.row_groups, self.bytes) = (0, 0, 0, 0);
    }
}

pub(super) async fn estimate(
    snapshot: &CatalogSnapshot,
    decision: &Decision,
    columns: &Columns,
    filters: &[Expr],
    implied: Option<Arc<dyn PhysicalExpr>>,
    session: &dyn Session,
) -> Result<ScanEstimate> {
    let files: Vec<&DataFile> = decision.files.iter().map(|number| &snapshot.files()[*number]).collect();
    let mut told = ScanEstimate {
        table: snapshot.descriptor().name.clone(),
        files_total: snapshot.files().len(),
        files_after_sky: decision.after_sky,
        files_after_index: decision.after_index,
        ways: decision.ways.clone(),
        files: files.len(),
        by_sky: decision.sky.is_some(),
        unused: decision.unused.clone(),
        by_columns: decision.columns.clone(),
        ..ScanEstimate::default()
    };
    if files.len() > MOST_FOOTERS {
        told.bytes = files.iter().map(|file| file.bytes).sum();
        told.rows = (if filters.is_empty() { snapshot.rows() } else { 0 }, files.iter().map(|file| file.rows).sum());
        told.notes.push(format!("{} footers were not read: the bytes are those of the files", files.len()));
        return Ok(told);
    }
    let asked = Asked::new(snapshot, decision, columns, filters, implied, session)?;
    let kept = session.runtime_env().cache_manager.get_file_metadata_cache();
    let objects = io::objects(snapshot.store(), session.config_options());
    let of_file = |file| of_file(snapshot, file, &asked, &objects, Arc::clone(&kept));
    let asking: Vec<_> = files.into_iter().map(of_file).collect();
    let parts: Vec<ScanEstimate> = futures::stream::iter(asking).buffered(AT_ONCE).try_collect().await?;
    for part in parts {
        told.row_groups_total += part.row_groups_total;
        told.row_groups += part.row_groups;
        told.bytes += part.bytes;
        told.blooms.extend(part.blooms);
        told.rows = (told.rows.0 + part.rows.0, told.rows.1 + part.rows.1);
    }
    Ok(told)
}

/// The condition of a scan, as the reader will try it on statistics.
struct Asked<'a> {
    schema: &'a SchemaRef,
    /// The columns that are read.
    columns: HashSet<&'a str>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Whether the predicate is all that is asked, so that a row that it is true of is wanted.
    whole: bool,
}

impl<'a> Asked<'a> {
    fn new(
        snapshot: &CatalogSnapshot,
        decision: &Decision,
        columns: &'a Columns,
        filters: &[Expr],
        implied: Option<Arc<dyn PhysicalExpr>>,
        session: &dyn Session,
    ) -> Result<Self> {
        let names = DFSchema::try_from(Arc::clone(&columns.schema))?;
        let context = PhysicalPlanningContext::default();
        let mut whole = true;
        let mut parts: Vec<Arc<dyn PhysicalExpr>> =
            scan::within(snapshot, decision, columns).into_iter().chain(implied).collect();
        for filter in filters.iter().flat_map(split_conjunction) {
            let hidden = filter.column_refs().iter().any(|column| snapshot.nan_hides_in(&column.name));
            match create_physical_expr(filter, &names, session.execution_props(), &context) {
                Ok(filter) if !hidden => parts.push(filter),
                _ => whole = false,
            }
        }
        let predicate = parts.into_iter().reduce(both);
        Ok(Self { schema: &columns.schema, columns: columns.read(filters), predicate, whole })
    }
}

async fn of_file(
    snapshot: &CatalogSnapshot,
    file: &DataFile,
    asked: &Asked<'_>,
    objects: &Arc<dyn ObjectStore>,
    kept: Arc<FileMetadataCache>,
) -> Result<ScanEstimate> {
    let object = snapshot.object_of(file);
    let policy = if asked.predicate.is_some() { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
    let footer = DFParquetMetadata::new(objects, &object)
        .with_file_metadata_cache(Some(kept))
        .with_page_index_policy(Some(policy))
        .fetch_metadata()
        .await?;
    let groups = footer.row_groups();
    let (plan, certain) = match &asked.predicate {
        Some(predicate) => left(&footer, predicate, asked)?,
        None => (ParquetAccessPlan::new_all(groups.len()), vec![true; groups.len()]),
    };
    let mut told = ScanEstimate { row_groups_total: groups.len(), ..ScanEstimate::default() };
    for (number, access) in plan.inner().iter().enumerate().filter(|(_, access)| access.should_scan()) {
        let rows = match access {
            RowGroupAccess::Selection(rows) => rows.row_count() as u64,
            _ => groups[number].num_rows() as u64,
        };
        told.row_groups += 1;
        let with_bloom = groups[number].columns().iter().filter(|column| column.bloom_filter_offset().is_some());
        told.blooms.extend(with_bloom.map(|column| column.column_path().string()));
        told.bytes += bytes(&footer, number, access, &asked.columns);
        told.rows.0 += if asked.whole && certain[number] { rows } else { 0 };
        told.rows.1 += rows;
    }
    Ok(told)
}

/// The row groups and pages that the reader will not leave out, and of which row groups every row is wanted.
fn left(
    footer: &ParquetMetaData,
    predicate: &Arc<dyn PhysicalExpr>,
    asked: &Asked<'_>,
) -> Result<(ParquetAccessPlan, Vec<bool>)> {
    let (descriptor, groups) = (footer.file_metadata().schema_descr(), footer.row_groups());
    let stored = Arc::new(parquet_to_arrow_schema(descriptor, footer.file_metadata().key_value_metadata())?);
    let adapter = DefaultPhysicalExprAdapterFactory.create(Arc::clone(asked.schema), Arc::clone(&stored))?;
    let predicate = adapter.rewrite(Arc::clone(predicate))?;
    let metrics = ParquetFileMetrics::new(0, "", &ExecutionPlanMetricsSet::new());
    let mut left = RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(groups.len()));
    let pruning = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&stored)).build(Arc::clone(&predicate));
    let Some(pruning) = pruning else { return Ok((left.build(), vec![false; groups.len()])) };
    left.prune_by_statistics(&stored, descriptor, groups, &pruning, &metrics);
    let certain = left.is_fully_matched().clone();
    let pages = PagePruningAccessPlanFilter::new(&predicate, Arc::clone(&stored));
    let plan = pages.prune_plan_with_page_index(left.build(), &stored, descriptor, footer, &metrics);
    Ok((plan, certain))
}

/// The bytes of the needed columns of a row group, or of those pages of them that hold the wanted rows.
fn bytes(footer: &ParquetMetaData, number: usize, access: &RowGroupAccess, columns: &HashSet<&str>) -> u64 {
    let group: &RowGroupMetaData = footer.row_group(number);
    let pages = footer.offset_index().and_then(|index| index.get(number));
    let needed = group.columns().iter().enumerate().filter(|(_, column)| {
        let root = column.column_path().parts().first();
        root.is_some_and(|root| columns.contains(root.as_str()))
    });
    needed
        .map(|(place, column)| {
            let whole = column.compressed_size().max(0) as u64;
            match (access, pages.and_then(|pages| pages.get(place))) {
                (RowGroupAccess::Selection(rows), Some(pages)) => {
                    let read = rows.scan_ranges(pages.page_locations());
                    let dictionary = pages
                        .page_locations()
                        .first()
                        .map_or(0, |first| (first.offset as u64).saturating_sub(column.byte_range().0));
                    (read.iter().map(|range| range.end - range.start).sum::<u64>() + dictionary).min(whole)
                }
                _ => whole,
            }
        })
        .sum()
}
