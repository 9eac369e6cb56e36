//! The first few rows in some order, with all of their columns.
//!
//! ```text
//!   SortExec: TopK(fetch=100), expr=[mag]         SortExec: TopK(fetch=100), expr=[mag]
//!     DataSourceExec: 16 columns            ──▶     LateRowsExec: mag
//!                                                     DataSourceExec: 16 columns, predicate=… AND DynamicFilter[mag <= 9.1]
//!                                                     SortPreservingMergeExec: [mag], fetch=100
//!                                                       SortExec: TopK(fetch=100), expr=[mag]
//!                                                         DataSourceExec: mag
//! ```
//! The column that orders is read alone; then it is known what the last of the wanted rows has there, and the scan of all
//! columns reads the pages that hold such values, and no others. Which of the rows with the last value are given out is
//! decided, as before, by the sort above: all of them reach it. NULL is before or after all values, as the order has it; of
//! fewer rows than are wanted all are.
//!
//! It does nothing where little is read anyway, where the column that orders is computed, and where it is no smaller part
//! of what is read.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::DataType},
    common::{
        ScalarValue,
        config::ConfigOptions,
        internal_err,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    datasource::{
        physical_plan::{FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource},
        source::DataSourceExec,
    },
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::Operator,
    physical_expr::{
        LexOrdering, PhysicalExpr, PhysicalSortExpr,
        expressions::{BinaryExpr, Column, DynamicFilterPhysicalExpr, IsNullExpr, lit},
        projection::ProjectionExprs,
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, collect,
        filter_pushdown::{ChildFilterDescription, FilterDescription, FilterPushdownPhase},
        replace_children_if_necessary,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::TryStreamExt;
use tokio::sync::OnceCell;

use crate::table;

/// Rows that are so many times as wide as what orders them are worth being read later.
const WIDER: usize = 3;
/// Bytes that a value takes that has no fixed width.
const LONG: usize = 24;

/// The rule that is drawn above.
#[derive(Debug)]
pub(crate) struct LateRows {
    /// Scans that read less than so many bytes are left as they are.
    pub(crate) least_bytes: u64,
}

impl Default for LateRows {
    fn default() -> Self {
        Self { least_bytes: 24 << 20 }
    }
}

impl PhysicalOptimizerRule for LateRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let late = plan.downcast_ref::<SortExec>().map(|sort| late(sort, self.least_bytes)).transpose()?.flatten();
            Ok(match late {
                Some(late) => Transformed::yes(replace_children_if_necessary(plan, vec![late])?),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "late_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What is to be read in the place of what a sort reads.
fn late(sort: &SortExec, least_bytes: u64) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(fetch) = sort.fetch().filter(|fetch| *fetch > 0) else { return Ok(None) };
    let Some((files, source)) = parquet(sort.input()) else { return Ok(None) };
    if table::bytes_of(files) < least_bytes {
        return Ok(None);
    }
    let Some(narrow) = of_order(sort, files, source)? else { return Ok(None) };
    let by = sort.expr().first().clone();
    let Some(column) = by.expr.downcast_ref::<Column>().cloned() else { return Ok(None) };
    let readers = source.parquet_file_reader_factory().map(|readers| table::with_pages(Arc::clone(readers)));
    let wide =
        readers.map_or_else(|| source.clone(), |readers| source.clone().with_parquet_file_reader_factory(readers));
    let wide = FileScanConfigBuilder::from(files.clone()).with_source(Arc::new(wide)).build();
    let wide = DataSourceExec::from_data_source(wide);
    Ok(Some(Arc::new(LateRowsExec::new(wide, narrow, Wanted { by, column, fetch }))))
}

fn parquet(plan: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &ParquetSource)> {
    let files = plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    Some((files, files.file_source().downcast_ref::<ParquetSource>()?))
}

/// The same order of the same rows, with no other columns than it needs; none if that is not worth it.
fn of_order(sort: &SortExec, files: &FileScanConfig, source: &ParquetSource) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (Some(given), None) = (source.projection(), files.limit) else { return Ok(None) };
    let given: Vec<_> = given.iter().cloned().collect();
    let mut columns: Vec<usize> = Vec::new();
    let mut narrow_order = Vec::new();
    for by in sort.expr().iter() {
        let Some(column) = by.expr.downcast_ref::<Column>() else { return Ok(None) };
        let place = columns.iter().position(|known| *known == column.index()).unwrap_or(columns.len());
        if place == columns.len() {
            columns.push(column.index());
        }
        narrow_order.push(PhysicalSortExpr::new(Arc::new(Column::new(column.name(), place)), by.options));
    }
    let stored = columns.iter().all(|column| given[*column].expr.is::<Column>());
    let schema = sort.schema();
    let first = schema.field(columns[0]).data_type();
    let narrow: usize = columns.iter().map(|column| width(schema.field(*column).data_type())).sum();
    let whole = schema.fields().iter().map(|field| width(field.data_type())).sum::<usize>();
    let comparable = first.is_primitive() || matches!(first, DataType::Utf8 | DataType::LargeUtf8);
    if !stored || !comparable || whole < WIDER * narrow {
        return Ok(None);
    }
    let exprs = ProjectionExprs::new(columns.iter().map(|column| given[*column].clone()));
    // A source of its own, which counts for itself what it reads.
    let mut other = ParquetSource::new(source.table_schema().clone())
        .with_table_parquet_options(source.table_parquet_options().clone());
    if let Some(readers) = source.parquet_file_reader_factory() {
        other = other.with_parquet_file_reader_factory(Arc::clone(readers));
    }
    other = match source.filter() {
        Some(predicate) => other.with_predicate(predicate),
        // What the sort finds on its way would be tested on each row, to leave nothing undecoded.
        None => other.with_pushdown_filters(false),
    };
    let Some(other) = other.try_pushdown_projection(&exprs)? else { return Ok(None) };
    let scan = FileScanConfigBuilder::from(files.clone()).with_source(other).with_output_ordering(Vec::new()).build();
    let Some(order) = LexOrdering::new(narrow_order) else { return Ok(None) };
    let sorted = SortExec::new(order.clone(), DataSourceExec::from_data_source(scan))
        .with_fetch(sort.fetch())
        .with_preserve_partitioning(sort.preserve_partitioning());
    Ok(Some(match sort.preserve_partitioning() {
        true => Arc::new(SortPreservingMergeExec::new(order, Arc::new(sorted)).with_fetch(sort.fetch())),
        false => Arc::new(sorted),
    }))
}

/// About how many bytes a value takes.
fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or(if data_type == &DataType::Boolean { 1 } else { LONG })
}

/// Which rows are wanted: so many, the first by these values of a column.
#[derive(Clone, Debug)]
struct Wanted {
    by: PhysicalSortExpr,
    column: Column,
    fetch: usize,
}

impl Wanted {
    /// What is true of all wanted rows, where these are the first by the order, with its first key in front.
    fn known(&self, first: &[RecordBatch]) -> Result<Arc<dyn PhysicalExpr>> {
        let rows: usize = first.iter().map(RecordBatch::num_rows).sum();
        let last = first.iter().rev().find(|batch| batch.num_rows() > 0);
        let Some(last) = last.filter(|_| rows >= self.fetch) else { return Ok(lit(true)) };
        let value = ScalarValue::try_from_array(last.column(0), last.num_rows() - 1)?;
        let column: Arc<dyn PhysicalExpr> = Arc::new(self.column.clone());
        let is_null: Arc<dyn PhysicalExpr> = Arc::new(IsNullExpr::new(Arc::clone(&column)));
        let before = if self.by.options.descending { Operator::GtEq } else { Operator::LtEq };
        Ok(match (value.is_null(), self.by.options.nulls_first) {
            (true, true) => is_null,
            (true, false) => lit(true),
            (false, nulls_first) => {
                let before: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(column, before, lit(value)));
                if nulls_first { Arc::new(BinaryExpr::new(is_null, Operator::Or, before)) } else { before }
            }
        })
    }
}

/// Rows with all columns, read once it is known which are wanted.
#[derive(Debug)]
pub(crate) struct LateRowsExec {
    wide: Arc<dyn ExecutionPlan>,
    narrow: Arc<dyn ExecutionPlan>,
    wanted: Wanted,
    filter: Arc<DynamicFilterPhysicalExpr>,
    found: Arc<OnceCell<()>>,
}

impl LateRowsExec {
    fn new(wide: Arc<dyn ExecutionPlan>, narrow: Arc<dyn ExecutionPlan>, wanted: Wanted) -> Self {
        let column: Arc<dyn PhysicalExpr> = Arc::new(wanted.column.clone());
        let filter = Arc::new(DynamicFilterPhysicalExpr::new(vec![column], lit(true)));
        Self { wide, narrow, wanted, filter, found: Arc::default() }
    }
}

impl DisplayAs for LateRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LateRowsExec: first {} by {}", self.wanted.fetch, self.wanted.by)
    }
}

impl ExecutionPlan for LateRowsExec {
    fn name(&self) -> &'static str {
        "LateRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.wide.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.wide, &self.narrow]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 2]>::try_from(children) {
            Ok([wide, narrow]) => {
                let (wanted, filter) = (self.wanted.clone(), Arc::clone(&self.filter));
                Ok(Arc::new(Self { wide, narrow, wanted, filter, found: Arc::default() }))
            }
            Err(children) => internal_err!("late rows of {} plans", children.len()),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&(Arc::clone(&self.filter) as Arc<dyn PhysicalExpr>))
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        vec![Arc::clone(&self.filter) as _]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (wide, narrow, wanted) = (Arc::clone(&self.wide), Arc::clone(&self.narrow), self.wanted.clone());
        let (filter, found) = (Arc::clone(&self.filter), Arc::clone(&self.found));
        let rows = async move {
            // The first partition that asks finds it for all.
            let find = || async {
                let first = collect(narrow, Arc::clone(&context)).await?;
                filter.update(wanted.known(&first)?)?;
                filter.mark_complete();
                datafusion::error::Result::<()>::Ok(())
            };
            found.get_or_try_init(find).await?;
            wide.execute(partition, context)
        };
        let rows = futures::stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let mut wide = ChildFilterDescription::from_child(&parent_filters, &self.wide)?;
        if phase == FilterPushdownPhase::Post {
            wide = wide.with_self_filter(Arc::clone(&self.filter) as _);
        }
        let narrow = ChildFilterDescription::all_unsupported(&parent_filters);
        Ok(FilterDescription::new().with_child(wide).with_child(narrow))
    }
}
