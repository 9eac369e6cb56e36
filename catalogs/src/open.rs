//! Opening a version of a table: its descriptor first, then schema and manifest at once, become a snapshot.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use crate::{
    CatalogError, CatalogSnapshot, CatalogStore, DataFile, Descriptor, IdCells, Remote, Statistics, layout, manifest,
};

/// Opens the version in the folder `root` of a store, with three small reads and no listing. `remote` is how its data is
/// reached where that is somebody else's; nothing is asked of them yet.
pub async fn open(store: &CatalogStore, root: &str, remote: &Remote) -> Result<CatalogSnapshot, CatalogError> {
    let bad = |why: String| CatalogError::catalog(root, why);
    let descriptor = store.get(&format!("{root}/{}", layout::DESCRIPTOR)).await.map_err(|error| {
        if error.is_absent() { bad(format!("it has no {}, or is not complete", layout::DESCRIPTOR)) } else { error }
    })?;
    let descriptor = Descriptor::decode(&descriptor, root)?;
    let read = |path: &'static str| async move {
        let read = store.get(&format!("{root}/{path}")).await;
        read.map_err(|error| if error.is_absent() { bad(format!("its {path} is missing")) } else { error })
    };
    let (schema, files) = futures::join!(read(layout::SCHEMA), read(layout::MANIFEST));
    let schema = schema_of(schema?).map_err(|error| bad(format!("its {} is damaged: {error}", layout::SCHEMA)))?;
    let (files, told) = (files?, root.to_owned());
    // A hundred thousand files take a while to decode: not on a thread that others wait for.
    let files = tokio::task::spawn_blocking(move || manifest::decode(files, &told)).await??;
    check(&descriptor, &schema).map_err(bad)?;
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    if rows != descriptor.rows {
        let (whole, parts) = (layout::DESCRIPTOR, layout::MANIFEST);
        return Err(bad(format!("{whole} tells {} rows, {parts} tells {rows}", descriptor.rows)));
    }
    let data = match &descriptor.data {
        Some(url) => CatalogStore::read_only(url.as_str(), remote)?,
        None => store.clone(),
    };
    let statistics = Statistics::stored(store.clone(), format!("{root}/{}", layout::STATISTICS));
    Ok(CatalogSnapshot::new(store.clone(), root.to_owned(), data, schema, descriptor, files, statistics))
}

/// The files of a version, by its manifest alone: also where its data cannot be reached.
pub(crate) async fn files_of(store: &CatalogStore, root: &str) -> Result<Vec<DataFile>, CatalogError> {
    let bytes = store.get(&format!("{root}/{}", layout::MANIFEST)).await.map_err(|error| match error.is_absent() {
        true => CatalogError::catalog(root, format!("its {} is missing", layout::MANIFEST)),
        false => error,
    })?;
    let told = root.to_owned();
    tokio::task::spawn_blocking(move || manifest::decode(bytes, &told)).await?
}

/// Every column that the descriptor names must be there.
fn check(descriptor: &Descriptor, schema: &SchemaRef) -> Result<(), String> {
    let position = descriptor.position.iter().flat_map(|position| [&position.ra, &position.dec]);
    let healpix = descriptor.healpix.iter().map(|healpix| &healpix.column);
    let key = descriptor.director.iter().map(|director| &director.key);
    let encodes = descriptor.id_encodes.iter().map(|encodes| &encodes.column);
    for column in
        position.chain(healpix).chain(encodes).chain(&descriptor.id).chain(key).chain(&descriptor.default_columns)
    {
        if schema.field_with_name(column).is_err() {
            return Err(format!("{} names the column {column}, which is not there", layout::DESCRIPTOR));
        }
    }
    let slack = descriptor.position.as_ref().map_or(0.0, |position| position.slack_arcsec);
    if slack.is_nan() || slack < 0.0 {
        return Err(format!("{} tells a slack of {slack} arcsec", layout::DESCRIPTOR));
    }
    if let Some(encodes) = &descriptor.id_encodes {
        let is_width = (0.0..=648_000.0).contains(&encodes.slack_arcsec);
        if IdCells::of(encodes).is_none() || !is_width {
            return Err(format!("{} tells of cells in {} that no number can hold", layout::DESCRIPTOR, encodes.column));
        }
    }
    Ok(())
}

fn schema_of(footer: Bytes) -> Result<SchemaRef, CatalogError> {
    let metadata = ArrowReaderMetadata::load(&footer, ArrowReaderOptions::new())?;
    Ok(Arc::clone(metadata.schema()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;
    use sky::{
        Cone, Coverage, Deg,
        coverage::Detail,
        healpix::{Order, Pixel},
    };

    use super::*;
    use crate::{StoreOptions, descriptor::tests::stars};

    const ROOT: &str = "catalogs/demo/stars/0";

    fn schema() -> SchemaRef {
        let unit = [("vo:unit".to_owned(), "deg".to_owned())];
        let field = |name| Field::new(name, DataType::Float64, true).with_metadata(unit.clone().into());
        Arc::new(Schema::new(vec![field("ra"), field("dec")]))
    }

    fn files() -> Vec<DataFile> {
        let file =
            |path: &str, rows| DataFile { path: path.into(), bytes: 1, rows, pixel: None, cells: None, sha256: None };
        vec![file("stars/dataset/a.parquet", 1), file("stars/dataset/b.parquet", 2)]
    }

    /// A store with a version whose parts a test may have damaged.
    async fn stored(
        descriptor: &[u8],
        schema: Option<Vec<u8>>,
        manifest: Option<Vec<u8>>,
    ) -> (tempfile::TempDir, CatalogStore) {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { url: folder.path().display().to_string(), ..StoreOptions::default() };
        let store = CatalogStore::open(&options).unwrap();
        let parts =
            [(layout::DESCRIPTOR, Some(descriptor.to_vec())), (layout::SCHEMA, schema), (layout::MANIFEST, manifest)];
        for (path, bytes) in parts {
            if let Some(bytes) = bytes {
                store.put(&format!("{ROOT}/{path}"), bytes).await.unwrap();
            }
        }
        (folder, store)
    }

    fn footer() -> Option<Vec<u8>> {
        Some(ArrowWriter::try_new(Vec::new(), schema(), None).unwrap().into_inner().unwrap())
    }

    fn listed() -> Option<Vec<u8>> {
        Some(manifest::encode(&files()).unwrap())
    }

    async fn refusal(descriptor: &[u8], schema: Option<Vec<u8>>, manifest: Option<Vec<u8>>) -> String {
        let (_folder, store) = stored(descriptor, schema, manifest).await;
        open(&store, ROOT, &Remote::default()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_version_is_opened_as_it_was_written() {
        let (_folder, store) = stored(&stars().encode().unwrap(), footer(), listed()).await;
        let snapshot = open(&store, ROOT, &Remote::default()).await.unwrap();
        assert_eq!((snapshot.rows(), snapshot.files()), (3, &files()[..]));
        assert_eq!(snapshot.schema(), &schema(), "metadata included");
        assert_eq!(snapshot.descriptor(), &stars());
        assert_eq!(snapshot.position().unwrap().dec, "dec");
        assert_eq!(snapshot.store().key(), store.key());
    }

    #[tokio::test]
    async fn what_is_missing_damaged_or_contradicts_itself_is_refused_with_the_file_to_blame() {
        let told = stars().encode().unwrap();
        let missing = refusal(b"{}", footer(), None).await;
        assert!(missing.contains("catalog.json is damaged"), "{missing}");
        for (refused, reason) in [
            (refusal(&told, None, listed()).await, "its almagest/schema.parquet is missing"),
            (refusal(&told, footer(), None).await, "its almagest/manifest.parquet is missing"),
            (refusal(&told, Some(vec![1; 99]), listed()).await, "its almagest/schema.parquet is damaged"),
            (refusal(&told, footer(), Some(vec![1; 99])).await, "its manifest is damaged"),
        ] {
            assert!(refused.contains(reason) && refused.contains(ROOT), "{refused}");
        }
        let more = Descriptor { rows: 4, ..stars() }.encode().unwrap();
        let refused = refusal(&more, footer(), listed()).await;
        assert!(refused.contains("tells 4 rows") && refused.contains("tells 3"), "{refused}");
        let other = Descriptor { id: Some("source_id".into()), ..stars() }.encode().unwrap();
        let refused = refusal(&other, footer(), listed()).await;
        assert!(refused.contains("names the column source_id, which is not there"), "{refused}");
    }

    #[tokio::test]
    async fn a_folder_without_its_descriptor_is_no_catalogue_and_one_too_new_is_said_to_be() {
        let (_folder, store) = stored(b"{\"format\": 99}", footer(), listed()).await;
        let refused = open(&store, "catalogs/demo/stars/1", &Remote::default()).await.unwrap_err().to_string();
        assert!(refused.contains("it has no almagest/catalog.json"), "{refused}");
        let refused = open(&store, ROOT, &Remote::default()).await.unwrap_err().to_string();
        assert!(refused.contains("newer almagest"), "{refused}");
    }

    #[tokio::test]
    async fn a_hundred_thousand_files_of_two_hundred_columns_are_opened_and_a_cone_needs_a_few() {
        let order = Order::new(7).unwrap();
        let pixels = (0..100_000).map(|index| Pixel::new(order, index).unwrap());
        let files: Vec<_> = pixels
            .map(|pixel| DataFile {
                path: format!("huge/{}", crate::leaf_path(pixel)),
                bytes: 1,
                rows: 10,
                pixel: Some(pixel),
                cells: Some((pixel.range().start, pixel.range().end - 1)),
                sha256: Some(format!("{:064x}", pixel.index())),
            })
            .collect();
        let columns: Vec<_> = (2..200).map(|i| Field::new(format!("column_{i}"), DataType::Float64, true)).collect();
        let schema =
            Schema::new([schema().fields().iter().map(|field| field.as_ref().clone()).collect(), columns].concat());
        let footer = ArrowWriter::try_new(Vec::new(), Arc::new(schema), None).unwrap().into_inner().unwrap();
        let descriptor = Descriptor { rows: 1_000_000, ..stars() }.encode().unwrap();
        let (_folder, store) = stored(&descriptor, Some(footer), Some(manifest::encode(&files).unwrap())).await;

        let snapshot = open(&store, ROOT, &Remote::default()).await.unwrap();
        assert_eq!((snapshot.files(), snapshot.schema().fields().len()), (&files[..], 200));
        let cone = Cone::new(sky::Position::from_deg(56.75, 24.12).unwrap(), Deg(1.0)).unwrap();
        let coverage = Coverage::of_cone(&cone, Detail::default());
        let touched = files.iter().filter(|file| {
            let (low, high) = file.cells.unwrap();
            coverage.intersects_range(low, high + 1)
        });
        let selected: Vec<_> = snapshot.select(&coverage).collect();
        assert_eq!(selected, touched.collect::<Vec<_>>());
        assert!((10..60).contains(&selected.len()), "{} files", selected.len());
    }
}
