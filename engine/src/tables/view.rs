//! A table as queries see it: with folded names, and with shapes and times where its columns say that they are such.
//!
//! ```text
//! Projection: RAJ2000 AS raj2000, adql_to_circle(footprint) AS footprint, mag
//!   TableScan: the columns as they are stored
//! ```
//! A column that is neither renamed nor converted passes as it is, so that conditions on it reach the files. A table of
//! nothing but such columns needs no view.

use std::{collections::HashMap, sync::Arc};

use catalogs::{CatalogSnapshot, TableName};
use datafusion::{
    arrow::datatypes::{DataType, Field},
    catalog::TableProvider,
    common::metadata::FieldMetadata,
    datasource::{ViewTable, provider_as_source},
    error::DataFusionError,
    logical_expr::LogicalPlanBuilder,
    prelude::{Expr, ident},
};

use crate::{
    functions::{TO_TIMESTAMP, from_column, scalar_planned},
    outcome::WRITTEN_NAME,
    table::SnapshotTable,
    values::{ShapeType, XTYPE, is_number, is_text},
};

/// Unquoted names are folded to lower case and columns are not always written so. The table is therefore a view with
/// folded names over the exact ones; of columns that fold to the same name, each keeps its own.
pub(super) fn as_queried(
    name: &TableName,
    snapshot: Arc<CatalogSnapshot>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let fields = snapshot.schema().fields().clone();
    let table: Arc<dyn TableProvider> = Arc::new(SnapshotTable::new(snapshot));
    let mut folded: HashMap<String, usize> = HashMap::new();
    for field in &fields {
        *folded.entry(field.name().to_lowercase()).or_default() += 1;
    }
    let shown = |field: &Field| match field.name().to_lowercase() {
        lower if folded[&lower] == 1 => lower,
        _ => field.name().clone(),
    };
    if fields.iter().all(|field| shown(field) == *field.name() && converted(field).is_none()) {
        return Ok(table);
    }
    let columns = fields.iter().map(|field| {
        let shown = shown(field);
        let converted = converted(field);
        if converted.is_none() && shown == *field.name() {
            return ident(field.name());
        }
        let mut metadata = field.metadata().clone();
        if shown != *field.name() {
            metadata.insert(WRITTEN_NAME.to_owned(), field.name().clone());
        }
        converted.unwrap_or_else(|| ident(field.name())).alias_with_metadata(shown, Some(FieldMetadata::from(metadata)))
    });
    let columns: Vec<Expr> = columns.collect();
    let plan = LogicalPlanBuilder::scan(name.table(), provider_as_source(table), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// What the numbers or the text of a column are by its xtype; none for a column that is what it is stored as.
fn converted(field: &Field) -> Option<Expr> {
    let xtype = field.metadata().get(XTYPE)?;
    let text = is_text(field.data_type());
    if text && ["timestamp", "adql:timestamp"].iter().any(|known| known.eq_ignore_ascii_case(xtype.trim())) {
        return Some(scalar_planned(TO_TIMESTAMP)?.call(vec![ident(field.name())]));
    }
    let kind = ShapeType::of_xtype(xtype)?;
    let readable = match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_number(item.data_type()) && matches!(kind, ShapeType::Point | ShapeType::Circle | ShapeType::Polygon)
        }
        _ => text,
    };
    readable.then(|| from_column(kind, text).call(vec![ident(field.name())]))
}
