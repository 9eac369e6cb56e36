//! A [`TableSet`] as DataFusion looks names up: catalogue, schema, table.
//!
//! A name without a schema is looked up in the schema [`UNQUALIFIED`], which nobody can write and which finds what
//! [`TableSet::find`] finds. Nothing is made or kept here.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider},
    error::Result,
};

use super::{CATALOG, Found, TableSet};

/// The schema of names that are written without one.
pub(crate) const UNQUALIFIED: &str = "";

/// All catalogues: one.
#[derive(Debug)]
pub(super) struct Listing(pub(super) TableSet);

impl CatalogProviderList for Listing {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None // a set is fixed; nothing in the engine registers another catalogue
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        name.eq_ignore_ascii_case(CATALOG).then(|| Arc::new(Schemas(self.0.clone())) as _)
    }
}

#[derive(Debug)]
struct Schemas(TableSet);

impl CatalogProvider for Schemas {
    fn schema_names(&self) -> Vec<String> {
        self.0.schemas()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Schema { set: self.0.clone(), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct Schema {
    set: TableSet,
    name: String,
}

impl Schema {
    fn parts<'a>(&'a self, table: &'a str) -> Vec<&'a str> {
        match self.name.as_str() {
            UNQUALIFIED => vec![table],
            schema => vec![schema, table],
        }
    }
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        let names = self.set.iter().map(|(name, _)| name);
        names.filter(|name| name.schema() == self.name).map(|name| name.table().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.set.provider(&self.parts(name))
    }

    fn table_exist(&self, name: &str) -> bool {
        matches!(self.set.find(&self.parts(name)), Found::One(_) | Found::Version(..))
    }
}
