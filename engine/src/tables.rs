//! The tables that one caller may see.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use catalogs::{CatalogSnapshot, TableName};
use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
        SchemaProvider, TableProvider,
    },
    datasource::{ViewTable, provider_as_source},
    error::DataFusionError,
    logical_expr::LogicalPlanBuilder,
    prelude::{Expr, ident},
};

use crate::{EngineError, table::SnapshotTable};

/// The name of the catalogue of all tables, where an SQL client wants one.
pub(crate) const CATALOG: &str = "almagest";

/// A fixed set of tables by name; cheap to clone.
#[derive(Clone, Debug)]
pub struct TableSet {
    snapshots: Arc<BTreeMap<TableName, Arc<CatalogSnapshot>>>,
    list: Arc<dyn CatalogProviderList>,
}

impl TableSet {
    /// A set of these tables.
    pub fn new(tables: impl IntoIterator<Item = (TableName, Arc<CatalogSnapshot>)>) -> Result<Self, EngineError> {
        let snapshots: BTreeMap<_, _> = tables.into_iter().collect();
        let catalog = MemoryCatalogProvider::new();
        for (name, snapshot) in &snapshots {
            let schema = match catalog.schema(name.schema()) {
                Some(schema) => schema,
                None => {
                    let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                    catalog.register_schema(name.schema(), Arc::clone(&schema))?;
                    schema
                }
            };
            schema.register_table(name.table().to_owned(), lower_case_view(name, Arc::clone(snapshot))?)?;
        }
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        Ok(Self { snapshots: Arc::new(snapshots), list: Arc::new(list) })
    }

    /// The tables in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&TableName, &Arc<CatalogSnapshot>)> {
        self.snapshots.iter()
    }

    /// One table.
    pub fn get(&self, name: &TableName) -> Option<&Arc<CatalogSnapshot>> {
        self.snapshots.get(name)
    }

    pub(crate) fn catalog_list(&self) -> Arc<dyn CatalogProviderList> {
        Arc::clone(&self.list)
    }
}

/// Unquoted names are folded to lower case and columns are not always written so. The table is therefore a view with
/// folded names over the exact ones; of columns that fold to the same name, each keeps its own.
fn lower_case_view(
    name: &TableName,
    snapshot: Arc<CatalogSnapshot>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let fields = snapshot.schema().fields().clone();
    let table: Arc<dyn TableProvider> = Arc::new(SnapshotTable::new(snapshot));
    let mut folded: HashMap<String, usize> = HashMap::new();
    for field in &fields {
        *folded.entry(field.name().to_lowercase()).or_default() += 1;
    }
    if fields.iter().all(|field| *field.name() == field.name().to_lowercase()) {
        return Ok(table);
    }
    let columns: Vec<Expr> = fields
        .iter()
        .map(|field| match field.name().to_lowercase() {
            lower if folded[&lower] == 1 => ident(field.name()).alias(lower),
            _ => ident(field.name()),
        })
        .collect();
    let plan = LogicalPlanBuilder::scan(name.table(), provider_as_source(table), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
