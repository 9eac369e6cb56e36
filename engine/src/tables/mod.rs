//! The tables that one caller may see, and what a written name of one stands for.
//!
//! ```text
//!   demo.stars      that table                       stars        the one of the default schema, or the only one
//!   demo.stars@3    an older version, where whoever made the set has added it: the planner sees the name "stars@3"
//! ```
//! A set is made once for all queries of a generation and cloned for each: what is in it is shared, and a table becomes
//! something that the planner can scan when a query names it first. Finding one among many thousand is one step in a map.
//! Names compare as ADQL compares them, without regard to case, quoted or not: no two tables differ by case alone.

mod listing;
mod view;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use catalogs::{CatalogSnapshot, TableName};
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::{CatalogProviderList, TableProvider},
};

use crate::EngineError;
pub(crate) use listing::UNQUALIFIED;

/// The name of the catalogue of all tables, where an SQL client wants one.
pub(crate) const CATALOG: &str = "almagest";

/// A fixed set of tables by name; cheap to clone.
#[derive(Clone, Debug)]
pub struct TableSet {
    tables: Arc<Tables>,
    /// Versions that a query asks for by number.
    versions: Arc<BTreeMap<(TableName, u64), Table>>,
    default_schema: Option<Arc<str>>,
}

/// The tables in the order of their names, and their names by the part behind the dot.
#[derive(Debug)]
struct Tables {
    by_name: BTreeMap<TableName, Table>,
    by_last_part: HashMap<String, Vec<TableName>>,
}

/// A snapshot, the number of the version that it is, and what the planner makes of it once it is asked for.
#[derive(Debug)]
struct Table {
    snapshot: Arc<CatalogSnapshot>,
    number: Option<u64>,
    planned: OnceLock<Arc<dyn TableProvider>>,
}

impl Table {
    fn new(snapshot: Arc<CatalogSnapshot>, number: Option<u64>) -> Self {
        Self { snapshot, number, planned: OnceLock::new() }
    }

    fn provider(&self, name: &TableName) -> Result<Arc<dyn TableProvider>, datafusion::error::DataFusionError> {
        if let Some(planned) = self.planned.get() {
            return Ok(Arc::clone(planned));
        }
        let planned = view::as_queried(name, Arc::clone(&self.snapshot))?;
        Ok(Arc::clone(self.planned.get_or_init(|| planned)))
    }
}

impl TableSet {
    /// A set of tables of which nobody counts versions.
    pub fn new(tables: impl IntoIterator<Item = (TableName, Arc<CatalogSnapshot>)>) -> Result<Self, EngineError> {
        Self::of(tables.into_iter().map(|(name, snapshot)| (name, Table::new(snapshot, None))))
    }

    /// A set of tables, with the numbers of the versions that they are.
    pub fn numbered(
        tables: impl IntoIterator<Item = (TableName, u64, Arc<CatalogSnapshot>)>,
    ) -> Result<Self, EngineError> {
        Self::of(tables.into_iter().map(|(name, number, snapshot)| (name, Table::new(snapshot, Some(number)))))
    }

    fn of(tables: impl Iterator<Item = (TableName, Table)>) -> Result<Self, EngineError> {
        let by_name: BTreeMap<_, _> = tables.collect();
        let mut by_last_part: HashMap<String, Vec<TableName>> = HashMap::new();
        for name in by_name.keys() {
            by_last_part.entry(name.table().to_owned()).or_default().push(name.clone());
        }
        let tables = Arc::new(Tables { by_name, by_last_part });
        Ok(Self { tables, versions: Arc::default(), default_schema: None })
    }

    /// The same tables, of which those in this schema may be named without it although others have the same name.
    pub fn with_default_schema(mut self, schema: Option<&str>) -> Self {
        self.default_schema = schema.map(|schema| schema.to_ascii_lowercase().into());
        self
    }

    /// The same tables, and this version of one: a query names it `schema.table@number`.
    pub fn with_version(mut self, name: TableName, number: u64, snapshot: Arc<CatalogSnapshot>) -> Self {
        let mut versions: BTreeMap<_, _> = self
            .versions
            .iter()
            .map(|(key, table)| (key.clone(), Table::new(Arc::clone(&table.snapshot), table.number)))
            .collect();
        versions.insert((name, number), Table::new(snapshot, Some(number)));
        self.versions = Arc::new(versions);
        self
    }

    /// The tables in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&TableName, &Arc<CatalogSnapshot>)> {
        self.tables.by_name.iter().map(|(name, table)| (name, &table.snapshot))
    }

    /// One table.
    pub fn get(&self, name: &TableName) -> Option<&Arc<CatalogSnapshot>> {
        Some(&self.tables.by_name.get(name)?.snapshot)
    }

    /// The number of the version that a snapshot of this set is, where versions are counted.
    pub(crate) fn number_of(&self, snapshot: &CatalogSnapshot) -> Option<u64> {
        let mut tables = self.tables.by_name.values().chain(self.versions.values());
        tables.find(|table| std::ptr::eq(&*table.snapshot, snapshot))?.number
    }

    /// The table that an unqualified name stands for: that of the default schema, else the only one of this name.
    pub fn unqualified(&self, table: &str) -> Option<&TableName> {
        match self.find(&[table]) {
            Found::One(name) => Some(name),
            Found::Version(..) | Found::Many(_) | Found::None => None,
        }
    }

    /// The table that these parts of a name stand for: a schema and a table, or a table alone where it is in the default
    /// schema or the only one of its name. The last part may be `table@number`.
    pub(crate) fn find(&self, parts: &[&str]) -> Found<'_> {
        let (schema, last) = match parts {
            [catalog, schema, table] if catalog.eq_ignore_ascii_case(CATALOG) => (Some(*schema), *table),
            [schema, table] => (Some(*schema), *table),
            [table] => (None, *table),
            _ => return Found::None,
        };
        if let Some((table, number)) = versioned(last) {
            return self.find_version(schema, table, number);
        }
        let Some(schema) = schema else { return self.find_unqualified(last) };
        let named = table_name(schema, last).and_then(|name| self.tables.by_name.get_key_value(&name));
        named.map_or(Found::None, |(name, _)| Found::One(name))
    }

    fn find_unqualified(&self, table: &str) -> Found<'_> {
        let Some(names) = self.tables.by_last_part.get(&table.to_ascii_lowercase()) else { return Found::None };
        let in_default = |name: &&TableName| Some(name.schema()) == self.default_schema.as_deref();
        match (names.as_slice(), names.iter().find(in_default)) {
            (_, Some(name)) | ([name], None) => Found::One(name),
            _ => Found::Many(names.iter().collect()),
        }
    }

    fn find_version(&self, schema: Option<&str>, table: &str, number: u64) -> Found<'_> {
        let name = match schema {
            Some(schema) => table_name(schema, table),
            None => self.unqualified(table).cloned(),
        };
        match name.and_then(|name| self.versions.get_key_value(&(name, number))) {
            Some(((name, number), _)) => Found::Version(name, *number),
            None => Found::None,
        }
    }

    /// What the planner scans for these parts of a name.
    fn provider(&self, parts: &[&str]) -> Result<Option<Arc<dyn TableProvider>>, datafusion::error::DataFusionError> {
        let (name, table) = match self.find(parts) {
            Found::One(name) => (name, self.tables.by_name.get(name)),
            Found::Version(name, number) => (name, self.versions.get(&(name.clone(), number))),
            Found::Many(_) | Found::None => return Ok(None),
        };
        table.map(|table| table.provider(name)).transpose()
    }

    /// The columns of a table under the names that were declared, and under those that the planner knows.
    pub(crate) fn columns(&self, parts: &[&str]) -> Option<(SchemaRef, SchemaRef)> {
        let table = match self.find(parts) {
            Found::One(name) => self.tables.by_name.get(name)?,
            Found::Version(name, number) => self.versions.get(&(name.clone(), number))?,
            Found::Many(_) | Found::None => return None,
        };
        let planned = self.provider(parts).ok().flatten()?.schema();
        Some((Arc::clone(table.snapshot.schema()), planned))
    }

    /// The names of all schemas.
    fn schemas(&self) -> Vec<String> {
        let mut schemas: Vec<String> = self.tables.by_name.keys().map(|name| name.schema().to_owned()).collect();
        schemas.dedup(); // they come in order
        schemas
    }

    /// The set as the planner looks names up in it.
    pub(crate) fn catalog_list(&self) -> Arc<dyn CatalogProviderList> {
        Arc::new(listing::Listing(self.clone()))
    }
}

/// The name that a schema and a table spell; none where no table can have it.
fn table_name(schema: &str, table: &str) -> Option<TableName> {
    format!("{schema}.{table}").parse().ok()
}

/// The table and the number in `table@number`.
fn versioned(last: &str) -> Option<(&str, u64)> {
    let (table, number) = last.rsplit_once('@')?;
    Some((table, number.parse().ok()?))
}

/// What a written name of a table stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Just this table.
    One(&'a TableName),
    /// This version of a table.
    Version(&'a TableName, u64),
    /// Any of these: the name must say which.
    Many(Vec<&'a TableName>),
    /// No table that the caller may see.
    None,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use catalogs::{CatalogStore, StoreOptions, import};
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};

    use super::*;

    /// A snapshot of a small table.
    async fn snapshot(folder: &std::path::Path) -> Arc<CatalogSnapshot> {
        let url = folder.join("store").display().to_string();
        let store = CatalogStore::open(&StoreOptions { url, ..Default::default() }).unwrap();
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let source = formats::Batches::new("t", batch.schema(), vec![batch]);
        let spill = folder.join("spill");
        let position = import::PositionPlan::None;
        let plan =
            import::ImportPlan { spill, position, ..import::ImportPlan::new(name("demo.t"), Default::default()) };
        Arc::new(import::run(&store, "t", vec![Box::new(source)], plan, Arc::new(|_| {})).await.unwrap().0)
    }

    fn name(text: &str) -> TableName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_name_without_a_schema_is_found_where_it_is_unique_or_in_the_default_schema() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(folder.path()).await;
        let names = ["demo.stars", "demo.galaxies", "other.stars"].map(name);
        let [stars, galaxies, others] = &names;
        let set = TableSet::new(names.iter().map(|name| (name.clone(), Arc::clone(&snapshot)))).unwrap();
        assert_eq!(set.find(&["Galaxies"]), Found::One(galaxies));
        assert_eq!(set.find(&["stars"]), Found::Many(vec![stars, others]));
        assert_eq!(set.find(&["OTHER", "Stars"]), Found::One(others));
        assert_eq!(set.find(&["almagest", "demo", "stars"]), Found::One(stars));
        assert_eq!(set.find(&["elsewhere", "demo", "stars"]), Found::None);
        assert_eq!(set.find(&["demo", "no such"]), Found::None);
        assert!(set.provider(&["stars"]).unwrap().is_none());
        let set = set.with_default_schema(Some("Other"));
        assert_eq!(set.find(&["stars"]), Found::One(others));
        assert_eq!(set.find(&["galaxies"]), Found::One(galaxies), "it is unique elsewhere");
        assert!(set.provider(&["stars"]).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_version_is_found_by_its_number_once_it_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(folder.path()).await;
        let stars = name("demo.stars");
        let set = TableSet::new([(stars.clone(), Arc::clone(&snapshot))]).unwrap();
        assert_eq!(set.find(&["demo", "stars@2"]), Found::None);
        let (old, gone) = (Arc::new((*snapshot).clone()), Arc::new((*snapshot).clone()));
        let with = set.clone().with_version(stars.clone(), 2, Arc::clone(&old));
        let with = with.with_version(name("gone.table"), 1, Arc::clone(&gone));
        assert_eq!([&snapshot, &old, &gone].map(|snapshot| with.number_of(snapshot)), [None, Some(2), Some(1)]);
        assert_eq!(TableSet::numbered([(stars.clone(), 7, Arc::clone(&old))]).unwrap().number_of(&old), Some(7));
        assert_eq!(with.find(&["demo", "stars@2"]), Found::Version(&stars, 2));
        assert_eq!(with.find(&["Stars@2"]), Found::Version(&stars, 2));
        assert_eq!(with.find(&["gone", "table@1"]), Found::Version(&name("gone.table"), 1));
        for unknown in [&["demo", "stars@3"][..], &["demo", "stars@"], &["demo", "stars@x"], &["stars@-1"], &["@2"]] {
            assert_eq!(with.find(unknown), Found::None, "{unknown:?}");
        }
        assert!(with.provider(&["demo", "stars@2"]).unwrap().is_some());
        assert_eq!(set.find(&["demo", "stars@2"]), Found::None, "the set without it is as it was");
    }

    #[tokio::test]
    async fn one_table_among_ten_thousand_is_found_at_once_and_a_set_is_cloned_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(folder.path()).await;
        let names = (0..10_000).map(|i| name(&format!("s{}.table_{i}", i % 100)));
        let begun = Instant::now();
        let set = TableSet::new(names.map(|name| (name, Arc::clone(&snapshot)))).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        let begun = Instant::now();
        for i in 0..10_000 {
            let copy = set.clone();
            assert!(matches!(copy.find(&[&format!("table_{i}")]), Found::One(_)));
            assert!(matches!(copy.find(&[&format!("s{}", i % 100), &format!("table_{i}")]), Found::One(_)));
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?} for 20,000 lookups", begun.elapsed());
    }
}
