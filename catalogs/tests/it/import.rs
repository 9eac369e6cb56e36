//! Rows in, rows out: what an import wrote is exactly what it read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
    compute::concat_batches,
    datatypes::{Float64Type, Int64Type, SchemaRef},
};
use catalogs::{
    CatalogError, CatalogSnapshot, CatalogStore, HEALPIX_COLUMN, PositionColumns, StoreOptions,
    import::{self, Batches, ImportPlan, ImportReport, Progress, RowSource},
};
use demo_sky::{DemoSky, Table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sky::{Cone, Coverage, Deg, Position, coverage::Detail, healpix::cell29};

/// Batches in memory as a source.
struct Given(Vec<RecordBatch>);

impl RowSource for Given {
    fn name(&self) -> String {
        "given".into()
    }

    fn schema(&self) -> SchemaRef {
        self.0[0].schema()
    }

    fn batches(&self) -> Result<Batches<'_>, CatalogError> {
        Ok(Box::new(self.0.iter().cloned().map(Ok)))
    }
}

struct Imported {
    _folder: tempfile::TempDir,
    store: CatalogStore,
    snapshot: CatalogSnapshot,
    report: ImportReport,
    progress: Vec<Progress>,
}

async fn try_import(
    batches: Vec<RecordBatch>,
    sky: bool,
    max_rows: u64,
    memory: usize,
) -> Result<Imported, CatalogError> {
    let folder = tempfile::tempdir().unwrap();
    let store =
        CatalogStore::open(&StoreOptions { url: folder.path().display().to_string(), ..StoreOptions::default() })?;
    let source = Given(batches);
    let position = sky.then(|| PositionColumns::recognise(&source.schema())).flatten();
    let plan = ImportPlan { name: "demo.t".into(), position, description: Some("a table".into()), max_rows, memory };
    let progress = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let progress = Arc::clone(&progress);
        Arc::new(move |step| progress.lock().unwrap().push(step))
    };
    let (snapshot, report) = import::run(&store, "catalogs/demo/t/1", vec![Box::new(source)], plan, listener).await?;
    let progress = progress.lock().unwrap().clone();
    Ok(Imported { _folder: folder, store, snapshot, report, progress })
}

async fn rows_of(imported: &Imported, path: &str) -> RecordBatch {
    let bytes = imported.store.get(&format!("{}/{path}", imported.snapshot.root())).await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let schema = Arc::clone(reader.schema());
    concat_batches(&schema, &reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

fn stars(rows: u64) -> Vec<RecordBatch> {
    DemoSky { seed: 3, rows }.batches(Table::Stars).collect()
}

#[tokio::test]
async fn every_row_is_in_the_file_of_its_cell_once_and_in_order() {
    let input = stars(20_000);
    let all = concat_batches(&input[0].schema(), &input).unwrap();
    let imported = try_import(input, true, 1_500, usize::MAX).await.unwrap();
    assert_eq!((imported.report.rows_read, imported.report.rows_published), (20_000, 20_000));
    assert!(imported.snapshot.files().len() > 12, "{} files", imported.snapshot.files().len());

    let mut seen = BTreeMap::new();
    for file in imported.snapshot.files() {
        let rows = rows_of(&imported, &file.path).await;
        assert_eq!((rows.num_rows() as u64, rows.num_rows() <= 1_500), (file.rows, true));
        assert_eq!(rows.schema().field(0).name(), HEALPIX_COLUMN);
        let cells = rows.column(0).as_primitive::<Int64Type>().values();
        assert!(cells.is_sorted());
        let range = file.pixel.unwrap().range();
        let (ra, dec) = (rows.column_by_name("ra").unwrap(), rows.column_by_name("dec").unwrap());
        let (ra, dec) = (ra.as_primitive::<Float64Type>(), dec.as_primitive::<Float64Type>());
        let ids = rows.column_by_name("source_id").unwrap().as_primitive::<Int64Type>();
        for row in 0..rows.num_rows() {
            let cell = cell29(Position::from_deg(ra.value(row), dec.value(row)).unwrap());
            assert_eq!(cells[row] as u64, cell);
            assert!(range.contains(&cell));
            assert!(seen.insert(ids.value(row), rows.slice(row, 1)).is_none(), "a row twice");
        }
        assert_eq!(file.cells, Some((cells[0] as u64, cells[rows.num_rows() - 1] as u64)));
    }
    let ids = all.column_by_name("source_id").unwrap().as_primitive::<Int64Type>();
    assert_eq!(seen.len(), all.num_rows());
    for row in (0..all.num_rows()).step_by(97) {
        let stored = &seen[&ids.value(row)];
        for (field, column) in all.schema().fields().iter().zip(all.columns()) {
            assert_eq!(stored.column_by_name(field.name()).unwrap(), &column.slice(row, 1), "{}", field.name());
        }
    }
}

#[tokio::test]
async fn an_import_through_the_disk_gives_the_same_bytes_as_one_in_memory() {
    let in_memory = try_import(stars(20_000), true, 1_500, usize::MAX).await.unwrap();
    let on_disk = try_import(stars(20_000), true, 1_500, 500_000).await.unwrap();
    assert_eq!(in_memory.report.spilled_bytes, 0);
    assert!(on_disk.report.spilled_bytes > 1_000_000, "{}", on_disk.report.spilled_bytes);
    assert_eq!(in_memory.snapshot.files(), on_disk.snapshot.files());
    assert_eq!(in_memory.snapshot.id(), on_disk.snapshot.id());
    assert_eq!(on_disk.progress.last(), Some(&Progress::Written(20_000, 20_000)));
}

#[tokio::test]
async fn a_catalogue_is_opened_as_it_was_written() {
    let imported = try_import(stars(3_000), true, 500, usize::MAX).await.unwrap();
    let opened = catalogs::open(&imported.store, imported.snapshot.root()).await.unwrap();
    assert_eq!(opened.id(), imported.snapshot.id());
    assert_eq!(opened.files(), imported.snapshot.files());
    assert_eq!(opened.schema(), imported.snapshot.schema(), "VO metadata included");
    assert_eq!(opened.position(), imported.snapshot.position());
    assert_eq!(opened.description(), Some("a table"));
}

#[tokio::test]
async fn a_tree_without_its_properties_or_with_a_wrong_count_does_not_open() {
    let imported = try_import(stars(100), true, 1_000, usize::MAX).await.unwrap();
    let (store, root) = (&imported.store, imported.snapshot.root());
    let missing = catalogs::open(store, "catalogs/demo/t/2").await.unwrap_err().to_string();
    assert!(missing.contains("it has no hats.properties"), "{missing}");
    let properties = String::from_utf8(store.get(&format!("{root}/hats.properties")).await.unwrap().to_vec()).unwrap();
    let wrong = properties.replace("hats_nrows=100", "hats_nrows=101");
    assert_ne!(wrong, properties);
    store.put(&format!("{root}/hats.properties"), wrong.into_bytes()).await.unwrap();
    let refused = catalogs::open(store, root).await.unwrap_err().to_string();
    assert!(refused.contains("tells 101 rows"), "{refused}");
}

#[tokio::test]
async fn the_files_of_a_cone_are_all_that_hold_a_row_of_it() {
    let imported = try_import(stars(20_000), true, 500, usize::MAX).await.unwrap();
    for (lon, lat, radius) in
        [(266.4, -29.0, 1.0), (0.0, 90.0, 10.0), (359.9, 0.1, 0.5), (45.0, 41.8, 0.0), (10.0, 10.0, 180.0)]
    {
        let cone = Cone::new(Position::from_deg(lon, lat).unwrap(), Deg(radius)).unwrap();
        let coverage = Coverage::of_cone(&cone, Detail::default());
        let selected: Vec<_> = imported.snapshot.select(&coverage).map(|file| &file.path).collect();
        assert!(radius == 180.0 || selected.len() < imported.snapshot.files().len() / 2, "{} files", selected.len());
        for file in imported.snapshot.files().iter().filter(|file| !selected.contains(&&file.path)) {
            let rows = rows_of(&imported, &file.path).await;
            let column = |name| rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
            let (ra, dec) = (column("ra"), column("dec"));
            let inside = |row| cone.contains_position(Position::from_deg(ra.value(row), dec.value(row)).unwrap());
            assert!(!(0..rows.num_rows()).any(inside), "{} is left out", file.path);
        }
    }
}

#[tokio::test]
async fn a_table_without_positions_keeps_the_order_of_its_rows() {
    let sky = DemoSky { seed: 3, rows: 1_000_000 };
    let input: Vec<_> = sky.batches(Table::Observations).collect();
    let all = concat_batches(&input[0].schema(), &input).unwrap();
    let imported = try_import(input, false, 300, usize::MAX).await.unwrap();
    let mut rows = Vec::new();
    for file in imported.snapshot.files() {
        assert_eq!((file.pixel, file.cells), (None, None));
        rows.push(rows_of(&imported, &file.path).await);
    }
    assert_eq!(rows.len(), 4);
    let rows = concat_batches(&rows[0].schema(), &rows).unwrap();
    assert_eq!(rows.columns(), all.columns());
}

#[tokio::test]
async fn an_empty_table_is_a_table() {
    for sky in [true, false] {
        let imported = try_import(vec![stars(1)[0].slice(0, 0)], sky, 10, usize::MAX).await.unwrap();
        assert_eq!((imported.report.rows_published, imported.snapshot.files().len()), (0, 0));
        assert_eq!(catalogs::open(&imported.store, imported.snapshot.root()).await.unwrap().rows(), 0);
    }
}

#[tokio::test]
async fn a_bad_position_is_refused_and_leaves_no_catalogue() {
    let column = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("ra", column(vec![1.0, 2.0])), ("dec", column(vec![0.0, 95.0]))]).unwrap();
    let sentence = try_import(vec![batch.clone(), batch], true, 10, usize::MAX).await.err().unwrap().to_string();
    assert!(sentence.starts_with("given: row 2: ") && sentence.contains("95"), "{sentence}");
}

#[tokio::test]
async fn a_second_source_of_another_shape_is_refused_by_its_column() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        CatalogStore::open(&StoreOptions { url: folder.path().display().to_string(), ..StoreOptions::default() })
            .unwrap();
    let one = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let other = RecordBatch::try_from_iter([("b", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let sources: Vec<Box<dyn RowSource>> = vec![Box::new(Given(vec![one])), Box::new(Given(vec![other]))];
    let plan = ImportPlan { name: "demo.t".into(), position: None, description: None, max_rows: 10, memory: 1 };
    let refused = import::run(&store, "x", sources, plan, Arc::new(|_| ())).await.unwrap_err().to_string();
    assert!(refused.contains("its column 'b Int64' should be 'a Int64'"), "{refused}");
}

/// A source that gives another sky each time.
struct Restless(std::sync::atomic::AtomicU64);

impl RowSource for Restless {
    fn name(&self) -> String {
        "restless".into()
    }

    fn schema(&self) -> SchemaRef {
        stars(1)[0].schema()
    }

    fn batches(&self) -> Result<Batches<'_>, CatalogError> {
        let seed = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Box::new(DemoSky { seed, rows: 5_000 }.batches(Table::Stars).map(Ok)))
    }
}

#[tokio::test]
async fn a_source_that_changes_while_it_is_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        CatalogStore::open(&StoreOptions { url: folder.path().display().to_string(), ..StoreOptions::default() })
            .unwrap();
    let source = Restless(0.into());
    let position = PositionColumns::recognise(&source.schema());
    let plan = ImportPlan { name: "demo.t".into(), position, description: None, max_rows: 100, memory: 1 << 30 };
    let refused = import::run(&store, "x", vec![Box::new(source)], plan, Arc::new(|_| ())).await;
    let refused = refused.expect_err("a refusal").to_string();
    assert!(refused.contains("restless: it is not the same when it is read again"), "{refused}");
}
