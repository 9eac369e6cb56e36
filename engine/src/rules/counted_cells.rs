//! Counts by cells of the sky that are as large as a file's are known before it is read.
//!
//! ```text
//!   AggregateExec: mode=Final                             AggregateExec: mode=Final
//!     AggregateExec: mode=Partial,                          UnionExec
//!         gby=[healpix_parent(_healpix_29, 2)],     ──▶       DataSourceExec: counts of files that lie within one cell
//!         aggr=[count(*)]                                     AggregateExec: mode=Partial, gby=[…], aggr=[count(*)]
//!       DataSourceExec: 48 files                                DataSourceExec: the other files
//! ```
//! The manifest tells of each file how many rows it has, and between which cells they lie. It does nothing where anything
//! else than rows is counted, where a condition or a limit leaves rows out, and to tables whose column of cells was not
//! computed here from the positions or has rows without one.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Int64Array, RecordBatch},
        datatypes::{DataType, Field, Int64Type, Schema},
    },
    common::{
        Statistics,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    datasource::{
        memory::MemorySourceConfig,
        physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder},
        source::DataSourceExec,
    },
    error::Result,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr, ScalarFunctionExpr,
        expressions::{BinaryExpr, Column, Literal},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        aggregates::{AggregateExec, AggregateMode},
        replace_children_if_necessary,
        union::UnionExec,
    },
};

use crate::table::Counted;

/// The rule that is drawn above.
#[derive(Debug)]
pub(super) struct CountedCells;

impl PhysicalOptimizerRule for CountedCells {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            Ok(match plan.downcast_ref::<AggregateExec>().map(counted).transpose()?.flatten() {
                Some(counted) => Transformed::yes(counted),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "counted_cells"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What gives the same counts by reading fewer files.
fn counted(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let by = aggregate.group_expr();
    let ([(cell, _)], true, AggregateMode::Partial) = (by.expr(), by.is_single(), aggregate.mode()) else {
        return Ok(None);
    };
    let counts_rows = aggregate.aggr_expr().iter().zip(aggregate.filter_expr()).all(|(one, where_true)| {
        let of = one.expressions();
        let never_null =
            |of: &Arc<dyn PhysicalExpr>| of.downcast_ref::<Literal>().is_some_and(|l| !l.value().is_null());
        one.fun().name() == "count" && !one.is_distinct() && where_true.is_none() && of.iter().all(never_null)
    });
    let scan = aggregate.input().downcast_ref::<DataSourceExec>();
    let Some(files) = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>()) else {
        return Ok(None);
    };
    let Some(cell) = ascending_with_its_column(cell)?.filter(|_| counts_rows && files.limit.is_none()) else {
        return Ok(None);
    };
    let Found { counts, others } = found(&cell, files)?;
    if counts.is_empty() {
        return Ok(None);
    }
    let known = states(aggregate, counts)?;
    if others.is_empty() {
        return Ok(Some(known));
    }
    let unknown = Statistics::new_unknown(files.file_schema());
    let rest = FileScanConfigBuilder::from(files.clone()).with_file_groups(others).with_statistics(unknown).build();
    let rest: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(rest);
    let rest = replace_children_if_necessary(Arc::new(aggregate.clone()), vec![rest])?;
    UnionExec::try_new(vec![known, rest]).map(Some)
}

/// An expression that is equal for all cells between two for which it is, over a batch with nothing but the cells.
fn ascending_with_its_column(expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let shifts = match (expr.downcast_ref::<ScalarFunctionExpr>(), expr.downcast_ref::<BinaryExpr>()) {
        (Some(call), _) => call.name() == "healpix_parent",
        (_, Some(shift)) => *shift.op() == Operator::BitwiseShiftRight,
        _ => expr.is::<Column>(),
    };
    let operands = expr.children();
    let of_column = match operands.as_slice() {
        [] => true,
        [cell, by] => cell.is::<Column>() && by.is::<Literal>(),
        _ => false,
    };
    if !shifts || !of_column {
        return Ok(None);
    }
    let alone = |part: Arc<dyn PhysicalExpr>| match part.downcast_ref::<Column>() {
        Some(column) => Ok(Transformed::yes(Arc::new(Column::new(column.name(), 0)) as Arc<dyn PhysicalExpr>)),
        None => Ok(Transformed::no(part)),
    };
    Arc::clone(expr).transform_up(alone).data().map(Some)
}

/// What is known of the files of a scan.
struct Found {
    /// Rows by cell.
    counts: BTreeMap<i64, i64>,
    /// The files that lie in several cells.
    others: Vec<FileGroup>,
}

fn found(cell: &Arc<dyn PhysicalExpr>, files: &FileScanConfig) -> Result<Found> {
    let (mut counts, mut others) = (BTreeMap::new(), Vec::new());
    let mut known = HashSet::new();
    for group in &files.file_groups {
        let mut rest = Vec::new();
        for file in group.files() {
            match file.extension::<Counted>().map(|told| cell_of(cell, told)).transpose()?.flatten() {
                Some((cell, rows)) => {
                    // A file may have been cut into pieces.
                    if known.insert(file.object_meta.location.clone()) {
                        *counts.entry(cell).or_default() += rows;
                    }
                }
                None => rest.push(file.clone()),
            }
        }
        if !rest.is_empty() {
            others.push(FileGroup::new(rest));
        }
    }
    Ok(Found { counts, others })
}

/// The cell that all rows of a file are in, and how many they are.
fn cell_of(cell: &Arc<dyn PhysicalExpr>, told: &Counted) -> Result<Option<(i64, i64)>> {
    let ends: ArrayRef = Arc::new(Int64Array::from(vec![told.first, told.last]));
    let schema = Arc::new(Schema::new(vec![Field::new("cell", DataType::Int64, true)]));
    let ends = cell.evaluate(&RecordBatch::try_new(schema, vec![ends])?)?.into_array(2)?;
    let Some(ends) = ends.as_primitive_opt::<Int64Type>() else { return Ok(None) };
    let (first, last) = (ends.iter().next().flatten(), ends.iter().nth(1).flatten());
    Ok(first.filter(|_| first == last).map(|cell| (cell, told.rows)))
}

/// Counts as the first half of a grouping gives them on.
fn states(aggregate: &AggregateExec, counts: BTreeMap<i64, i64>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = aggregate.schema();
    let rows: ArrayRef = Arc::new(counts.values().copied().collect::<Int64Array>());
    let mut columns: Vec<ArrayRef> = vec![Arc::new(counts.into_keys().collect::<Int64Array>())];
    columns.extend(aggregate.aggr_expr().iter().map(|_| Arc::clone(&rows)));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None)?)
}
