//! Rows that nobody needs in order are read in any.
//!
//! ```text
//!   HashJoinExec                                            HashJoinExec
//!     DataSourceExec: output_ordering=[_healpix_29]   ──▶     DataSourceExec: in more, smaller pieces
//! ```
//! A scan that gives out the column of cells gives its rows in their order, and is then divided once for all: a thread
//! that is done has nothing to take from one that is not. Where no operator above asks for that order, nor the query, the
//! scan is divided anew, into pieces that any thread takes.
//!
//! It does nothing to scans of one part. Groupings along the order count as asking for it: they hold one group at a time.

use std::sync::Arc;

use datafusion::{
    common::config::ConfigOptions,
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    error::Result,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, replace_children_if_necessary},
};

use crate::table;

/// The rule that is drawn above.
#[derive(Debug)]
pub(super) struct RelaxOrder;

impl PhysicalOptimizerRule for RelaxOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // What the query itself asks for is an operator, too, as long as plans are rewritten.
        Ok(relaxed(&plan, false)?.unwrap_or(plan))
    }

    fn name(&self) -> &str {
        "relax_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan, if anything in it has changed.
fn relaxed(plan: &Arc<dyn ExecutionPlan>, is_needed: bool) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let files = scan.data_source().downcast_ref::<FileScanConfig>().filter(|_| !is_needed);
        let files = files.filter(|files| !files.output_ordering.is_empty() && files.file_groups.len() > 1);
        return Ok(files.map(|files| DataSourceExec::from_data_source(table::in_any_order(files)) as _));
    }
    let (asked, kept) = (plan.required_input_ordering(), plan.maintains_input_order());
    let mut changed = false;
    let mut children = Vec::with_capacity(asked.len());
    for (number, child) in plan.children().into_iter().enumerate() {
        let keeps = kept.get(number).copied().unwrap_or(true);
        let asks = asked.get(number).is_none_or(Option::is_some);
        let new = relaxed(child, asks || (is_needed && keeps))?;
        changed |= new.is_some();
        children.push(new.unwrap_or_else(|| Arc::clone(child)));
    }
    if changed { replace_children_if_necessary(Arc::clone(plan), children).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::{DataType, Field, Schema},
        common::NullEquality,
        datasource::{
            listing::PartitionedFile,
            physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        },
        execution::object_store::ObjectStoreUrl,
        logical_expr::JoinType,
        physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col},
        physical_plan::{
            coalesce_partitions::CoalescePartitionsExec,
            displayable,
            joins::{HashJoinExec, PartitionMode},
            sorts::sort_preserving_merge::SortPreservingMergeExec,
        },
    };

    use super::*;

    fn order(scan: &Arc<dyn ExecutionPlan>) -> LexOrdering {
        LexOrdering::new([PhysicalSortExpr::new_default(col("cell", &scan.schema()).unwrap())]).unwrap()
    }

    /// A scan of two files, in as many groups.
    fn scan() -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("cell", DataType::Int64, false)]));
        let group = |name: &str| FileGroup::new(vec![PartitionedFile::new(name, 200 << 20)]);
        let plain = |ordering| {
            let url = ObjectStoreUrl::parse("almagest://0").unwrap();
            let config = FileScanConfigBuilder::new(url, Arc::new(ParquetSource::new(Arc::clone(&schema))));
            let config = config.with_file_groups(vec![group("a"), group("b")]).with_output_ordering(ordering).build();
            DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>
        };
        let by_cell = order(&plain(Vec::new()));
        plain(vec![by_cell])
    }

    fn text(plan: &Arc<dyn ExecutionPlan>) -> String {
        displayable(&**plan).indent(false).to_string()
    }

    #[test]
    fn a_scan_whose_order_nobody_needs_is_divided_into_more_pieces() {
        let plan: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(scan()));
        assert!(text(&plan).contains("output_ordering"), "{}", text(&plan));
        let free = text(&relaxed(&plan, false).unwrap().unwrap());
        assert!(!free.contains("output_ordering") && free.matches("a:").count() > 2, "{free}");
        assert!(free.contains("2 groups"), "{free}");
    }

    #[test]
    fn a_scan_whose_order_is_merged_by_keeps_it() {
        let scan = scan();
        let plan: Arc<dyn ExecutionPlan> = Arc::new(SortPreservingMergeExec::new(order(&scan), scan));
        assert!(relaxed(&plan, false).unwrap().is_none());
    }

    #[test]
    fn a_join_passes_on_whether_the_order_of_its_other_side_is_needed() {
        let (left, right): (Arc<dyn ExecutionPlan>, _) = (Arc::new(CoalescePartitionsExec::new(scan())), scan());
        let on = vec![(col("cell", &left.schema()).unwrap(), col("cell", &right.schema()).unwrap())];
        let join = HashJoinExec::try_new(
            left,
            Arc::clone(&right),
            on,
            None,
            &JoinType::RightSemi,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNothing,
            false,
        );
        let join: Arc<dyn ExecutionPlan> = Arc::new(join.unwrap());
        assert_eq!(text(&relaxed(&join, false).unwrap().unwrap()).matches("output_ordering").count(), 0);
        let merged: Arc<dyn ExecutionPlan> = Arc::new(SortPreservingMergeExec::new(order(&right), join));
        assert_eq!(text(&relaxed(&merged, false).unwrap().unwrap()).matches("output_ordering").count(), 1);
    }
}
