//! A house of small tables for the tests of the front end.

#[path = "../../tests/it/adql/house.rs"]
mod house;

use std::sync::{Arc, LazyLock};

use catalogs::CatalogSnapshot;

use super::parse;
use crate::TableSet;

/// `demo.stars`, `demo.plates`, `other.stars`, and version 2 of `demo.stars`, all empty.
pub(crate) fn tables() -> &'static TableSet {
    static TABLES: LazyLock<TableSet> = LazyLock::new(|| {
        // A runtime of its own: a test may have one already.
        std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(made())).join().unwrap()
    });
    &TABLES
}

async fn made() -> TableSet {
    let folder = tempfile::tempdir().unwrap();
    let stars = house::snapshot(folder.path(), "demo.stars", house::stars()).await;
    let plates = house::snapshot(folder.path(), "demo.plates", house::plates()).await;
    let named = |name: &str, snapshot: &Arc<CatalogSnapshot>| (name.parse().unwrap(), Arc::clone(snapshot));
    let tables = [named("demo.stars", &stars), named("demo.plates", &plates), named("other.stars", &stars)];
    TableSet::new(tables).unwrap().with_version("demo.stars".parse().unwrap(), 2, stars)
}

/// A query as the planner gets it.
pub(super) fn rewritten(text: &str) -> String {
    parse(text, tables()).unwrap_or_else(|error| panic!("{text}: {error}")).statement.to_string()
}

/// Why a query is refused.
pub(super) fn refusal(text: &str) -> String {
    match parse(text, tables()) {
        Err(error) => error.to_string(),
        Ok(parsed) => panic!("{text}: understood as {}", parsed.statement),
    }
}
