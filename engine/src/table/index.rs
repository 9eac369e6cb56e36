//! Rows that are asked for by a few values of a column: what tells where they are.
//!
//! ```text
//!   id = 7, id IN (7, 9)   ─┬─ the identifier begins with a cell ──▶ `region`: cells
//!                           ├─ the column has an index ────────────▶ the partitions of these values ─▶ files
//!                           ├─ bloom filters ──────────────────────▶ the Parquet reader: row groups
//!                           └─ nothing ────────────────────────────▶ all of the column is read
//! ```
//! An index tells of each value in which partitions it occurs. It is looked up where it can leave files out: of so many
//! values that each file is bound to hold some, it is not. A file that it leaves out holds none of the values.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use catalogs::CatalogSnapshot;
use datafusion::{
    arrow::{
        array::AsArray,
        datatypes::{DataType, Field, Schema, UInt8Type, UInt64Type},
    },
    catalog::Session,
    common::DFSchema,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    error::{DataFusionError, Result},
    logical_expr::{
        BinaryExpr, Expr, Operator, expr::InList, physical_planning_context::PhysicalPlanningContext,
        utils::split_conjunction,
    },
    physical_expr::create_physical_expr,
    physical_plan::collect,
};

use super::{footers, scan};
use crate::functions::values_of;

/// Of more values for each file than this, on average, hardly a file has none.
const VALUES_A_FILE: usize = 2;

/// What tells where the rows of a few values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoundBy {
    /// The values begin with a cell of the sky.
    Cells,
    /// An index was looked up.
    Index,
    /// There is an index, and too many values for it to leave files out.
    Unused,
    /// Statistics and bloom filters, if there are any.
    Statistics {
        /// How many values are looked for.
        values: usize,
    },
}

/// By what the rows of a condition are found, for each column that is asked for by values.
pub(crate) type Ways = BTreeMap<String, FoundBy>;

/// The files of `among` that the filters may be true in, as far as indexes tell.
pub(super) async fn files_with(
    snapshot: &CatalogSnapshot,
    filters: &[Expr],
    session: &dyn Session,
    mut among: Vec<usize>,
) -> Result<(Vec<usize>, Ways)> {
    let mut ways = Ways::new();
    for filter in filters.iter().flat_map(split_conjunction) {
        let Some((column, values)) = values_asked(filter) else { continue };
        let indexed = snapshot.descriptor().indexes.iter().any(|index| index.column == column);
        let encoded = snapshot.descriptor().id_encodes.as_ref().is_some_and(|encoded| encoded.column == column);
        let way = match (encoded, indexed) {
            (true, _) => FoundBy::Cells,
            (false, true) if among.len() > 1 && values <= VALUES_A_FILE * among.len() => FoundBy::Index,
            (false, true) => FoundBy::Unused,
            (false, false) => FoundBy::Statistics { values },
        };
        if way == FoundBy::Index {
            let partitions = partitions(snapshot, column, filter, session).await?;
            let files = snapshot.files();
            among.retain(|number| {
                files[*number].pixel.is_none_or(|pixel| partitions.contains(&(pixel.order().get(), pixel.index())))
            });
        }
        ways.insert(column.to_owned(), way);
    }
    Ok((among, ways))
}

/// The column whose values are asked for, and how many are.
fn values_asked(filter: &Expr) -> Option<(&str, usize)> {
    let is_value = |expr: &Expr| matches!(expr, Expr::Literal(..));
    let (subject, values) = match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_value(right) => (left.as_ref(), 1),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_value(left) => (right.as_ref(), 1),
        Expr::InList(InList { expr, list, negated: false }) if list.iter().all(is_value) => (expr.as_ref(), list.len()),
        // A short list, as the planner likes it.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((column, some), (same, others)) = (values_asked(left)?, values_asked(right)?);
            return (column == same).then_some((column, some + others));
        }
        other => {
            let (subject, values) = values_of(other)?;
            (subject, values.len())
        }
    };
    match subject {
        Expr::Column(column) => Some((&column.name, values)),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Column(column) => Some((&column.name, values)),
            _ => None,
        },
        _ => None,
    }
}

/// The partitions in which a condition on a column is true of a row, by the index of the column.
async fn partitions(
    snapshot: &CatalogSnapshot,
    column: &str,
    filter: &Expr,
    session: &dyn Session,
) -> Result<HashSet<(u8, u64)>> {
    let files = snapshot.index_files(column).await.map_err(|error| DataFusionError::External(Box::new(error)))?;
    let field = snapshot.schema().field_with_name(column)?.clone();
    let schema = Arc::new(Schema::new(vec![
        Field::new("Norder", DataType::UInt8, false),
        Field::new("Npix", DataType::UInt64, false),
        field,
    ]));
    let names = DFSchema::try_from(Arc::clone(&schema))?;
    let context = PhysicalPlanningContext::default();
    let filter = create_physical_expr(filter, &names, session.execution_props(), &context)?;
    let (url, objects) = scan::registered(snapshot, session)?;
    let kept = session.runtime_env().cache_manager.get_file_metadata_cache();
    let source = ParquetSource::new(Arc::clone(&schema))
        .with_pushdown_filters(true)
        .with_parquet_file_reader_factory(footers::kept(objects, kept, true))
        .with_predicate(filter);
    let entries = files.iter().map(|file| PartitionedFile::new_from_meta(snapshot.object_of(file)));
    let lookup = FileScanConfigBuilder::new(url, Arc::new(source))
        .with_file_groups(vec![FileGroup::new(entries.collect())])
        .with_projection_indices(Some(vec![0, 1]))?
        .build();
    let mut found = HashSet::new();
    for rows in collect(DataSourceExec::from_data_source(lookup), session.task_ctx()).await? {
        let orders = rows.column(0).as_primitive::<UInt8Type>();
        let indexes = rows.column(1).as_primitive::<UInt64Type>();
        found.extend(orders.values().iter().copied().zip(indexes.values().iter().copied()));
    }
    Ok(found)
}
