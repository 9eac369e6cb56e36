//! Opening a catalogue: properties, schema and manifest become a snapshot.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryFutureExt;
use parquet::arrow::{arrow_reader::ArrowReaderMetadata, arrow_reader::ArrowReaderOptions};

use crate::{
    COMMON_METADATA, CatalogError, CatalogSnapshot, CatalogStore, MANIFEST, PROPERTIES, PositionColumns, Properties,
    manifest,
};

/// Opens the catalogue in the folder `root` of a store, with three small reads and no listing.
///
/// Only catalogues that [`import`](crate::import) wrote have a manifest; any other tree is refused.
pub async fn open(store: &CatalogStore, root: &str) -> Result<CatalogSnapshot, CatalogError> {
    let bad = |why: String| CatalogError::BadCatalog { root: root.to_owned(), why };
    let read = |path: &'static str| {
        let whole = format!("{root}/{path}");
        async move { store.get(&whole).await }.map_err(move |error| match error {
            CatalogError::Store(object_store::Error::NotFound { .. }) => bad(format!("it has no {path}")),
            other => other,
        })
    };
    // At once, but judged in this order: where all are missing, the folder is no catalogue, whichever answer came first.
    let (properties, footer, manifest) = futures::join!(read(PROPERTIES), read(COMMON_METADATA), read(MANIFEST));
    let (properties, footer, manifest) = (properties?, footer?, manifest?);
    let properties = Properties::parse(&String::from_utf8_lossy(&properties));
    let schema = schema_of(footer)?;
    let position = match (properties.get("hats_col_ra"), properties.get("hats_col_dec")) {
        (Some(ra), Some(dec)) => Some(PositionColumns { ra: ra.to_owned(), dec: dec.to_owned() }),
        _ => None,
    };
    for column in position.iter().flat_map(|position| [&position.ra, &position.dec]) {
        schema
            .field_with_name(column)
            .map_err(|_| bad(format!("{PROPERTIES} names the column {column}, which is not there")))?;
    }
    let files = manifest::decode(manifest, root)?;
    let snapshot = CatalogSnapshot::new(
        store.clone(),
        root.to_owned(),
        schema,
        position,
        properties.get("obs_description").map(str::to_owned),
        files,
    );
    if let Some(rows) = properties.get("hats_nrows") {
        let told: u64 = rows.parse().map_err(|_| bad(format!("hats_nrows={rows} is no number")))?;
        if told != snapshot.rows() {
            return Err(bad(format!("{PROPERTIES} tells {told} rows, {MANIFEST} tells {}", snapshot.rows())));
        }
    }
    Ok(snapshot)
}

fn schema_of(footer: Bytes) -> Result<arrow::datatypes::SchemaRef, CatalogError> {
    let metadata = ArrowReaderMetadata::load(&footer, ArrowReaderOptions::new())?;
    Ok(Arc::clone(metadata.schema()))
}
