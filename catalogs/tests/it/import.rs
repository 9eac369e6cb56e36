//! Rows in, rows out: what an import wrote is exactly what it read, however it was divided, interrupted and resumed.

mod identifiers;
mod promises;
mod texts;
mod versions;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
        StringArray, StructArray,
    },
    compute::concat_batches,
    datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema, SchemaRef},
};
use catalogs::{
    CatalogError, CatalogSnapshot, CatalogStore, HEALPIX_COLUMN, Kind, Remote, StoreOptions,
    import::{
        self, BadRowPolicy, DuplicatePolicy, ImportPlan, ImportReport, PositionPlan, PositionUnit, Progress, Sentinel,
    },
};
use chrono::{DateTime, Utc};
use demo_sky::{DemoSky, Table};
use formats::{BadRow, FormatError, Piece, Pieces, Place, Places, Rows, TableSource};
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    file::reader::{FileReader, SerializedFileReader},
};
use proptest::prelude::*;
use sky::{Arcsec, Cone, Coverage, Deg, Position, coverage::Detail, healpix::cell29};

/// Batches in memory as a source: each is a piece of its own.
struct Given {
    name: String,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The number of rows is told before they are read.
    counted: bool,
    /// Rows that cannot be read, by their number; they take up a place.
    bad: Vec<u64>,
    fingerprint: String,
}

impl Given {
    fn new(name: &str, batches: Vec<RecordBatch>) -> Self {
        let schema = batches[0].schema();
        Self { name: name.into(), schema, batches, counted: true, bad: Vec::new(), fingerprint: "1".into() }
    }
}

impl TableSource for Given {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn row_count(&self) -> Option<u64> {
        let rows = self.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        (self.counted && self.bad.is_empty()).then_some(rows)
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let columns = columns.map(<[usize]>::to_vec);
        let mut first = 1;
        Ok(Box::new(self.batches.iter().map(move |batch| {
            let batch = match &columns {
                Some(columns) => batch.project(columns).unwrap(),
                None => batch.clone(),
            };
            let (start, end) = (first, first + batch.num_rows() as u64);
            first = end;
            let bad: Vec<u64> = self.bad.iter().copied().filter(|row| (start..end).contains(row)).collect();
            Ok(Piece::new(move |take| {
                // In two halves, so that a piece has several batches.
                let half = batch.num_rows() / 2;
                for (offset, rows) in [(0, half), (half, batch.num_rows() - half)] {
                    let here = start + offset as u64..start + (offset + rows) as u64;
                    let bad: Vec<u64> = bad.iter().copied().filter(|row| here.contains(row)).collect();
                    let keep: arrow::array::BooleanArray = here.clone().map(|row| Some(!bad.contains(&row))).collect();
                    let kept = arrow::compute::filter_record_batch(&batch.slice(offset, rows), &keep).unwrap();
                    let places = if bad.is_empty() {
                        Places::Rows(here.start)
                    } else {
                        Places::Lines(here.filter(|row| !bad.contains(row)).collect::<Vec<_>>().into())
                    };
                    let bad = bad.iter().map(|row| BadRow {
                        place: Place::Line(*row),
                        reason: "mag: 'bright' is no number".into(),
                        text: Some("1,2,bright".into()),
                    });
                    take(Rows { batch: kept, places, bad: bad.collect() })?;
                }
                Ok(())
            }))
        })))
    }
}

fn sources(batches: Vec<RecordBatch>) -> Vec<Box<dyn TableSource>> {
    vec![Box::new(Given::new("given", batches))]
}

struct Imported {
    _folder: tempfile::TempDir,
    store: CatalogStore,
    snapshot: CatalogSnapshot,
    report: ImportReport,
    progress: Vec<Progress>,
}

const ROOT: &str = "catalogs/demo/t/0000000000000001";

fn created() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn plan() -> ImportPlan {
    ImportPlan { threads: 2, ..ImportPlan::new("demo.t".parse().unwrap(), created()) }
}

fn local(folder: &tempfile::TempDir) -> CatalogStore {
    let url = folder.path().join("store").display().to_string();
    CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap()
}

async fn try_import(sources: Vec<Box<dyn TableSource>>, plan: ImportPlan) -> Result<Imported, CatalogError> {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    import_into(folder, store, ROOT, sources, plan).await
}

async fn import_into(
    folder: tempfile::TempDir,
    store: CatalogStore,
    root: &str,
    sources: Vec<Box<dyn TableSource>>,
    plan: ImportPlan,
) -> Result<Imported, CatalogError> {
    let spill = folder.path().join("spill");
    let plan = ImportPlan { spill: spill.clone(), ..plan };
    let progress = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let progress = Arc::clone(&progress);
        Arc::new(move |step| progress.lock().unwrap().push(step))
    };
    let outcome = import::run(&store, root, sources, plan, listener).await;
    let left = std::fs::read_dir(&spill).map_or(0, |left| left.count());
    assert_eq!(left, 0, "nothing is left in the spill folder");
    let (snapshot, report) = match outcome {
        Ok(done) => done,
        Err(error) => {
            assert!(tree(&store, root).await.is_empty(), "a refused import leaves nothing");
            return Err(error);
        }
    };
    assert_eq!(report.rows_read, report.rows_published + report.rows_set_aside());
    let progress = progress.lock().unwrap().clone();
    Ok(Imported { _folder: folder, store, snapshot, report, progress })
}

async fn imported(batches: Vec<RecordBatch>, plan: ImportPlan) -> Imported {
    try_import(sources(batches), plan).await.unwrap()
}

async fn refusal(batches: Vec<RecordBatch>, plan: ImportPlan) -> String {
    try_import(sources(batches), plan).await.err().expect("a refusal").to_string()
}

/// Every object below a folder with its bytes.
async fn tree(store: &CatalogStore, root: &str) -> BTreeMap<String, Vec<u8>> {
    let mut tree = BTreeMap::new();
    for object in store.list(root).await.unwrap() {
        let path = object.location.to_string();
        tree.insert(path[root.len()..].to_owned(), store.get(&path).await.unwrap().to_vec());
    }
    tree
}

/// The same without the report, which tells how long it took.
async fn repeatable(imported: &Imported) -> BTreeMap<String, Vec<u8>> {
    let mut tree = tree(&imported.store, imported.snapshot.root()).await;
    assert!(tree.remove("/almagest/import.json").is_some());
    tree
}

fn read(bytes: impl Into<bytes::Bytes>) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.into()).unwrap();
    let schema = Arc::clone(reader.schema());
    concat_batches(&schema, &reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

async fn rows_of(snapshot: &CatalogSnapshot, file: &catalogs::DataFile) -> RecordBatch {
    read(snapshot.store().get(&snapshot.path_of(file)).await.unwrap())
}

/// All rows of a table, file by file.
async fn all_rows(snapshot: &CatalogSnapshot) -> RecordBatch {
    let mut batches = Vec::new();
    for file in snapshot.files() {
        batches.push(rows_of(snapshot, file).await);
    }
    concat_batches(snapshot.schema(), &batches).unwrap()
}

fn stars(rows: u64) -> Vec<RecordBatch> {
    let all: Vec<_> = DemoSky { seed: 3, rows }.batches(Table::Stars).collect();
    let all = concat_batches(&all[0].schema(), &all).unwrap();
    (0..all.num_rows()).step_by(1_000).map(|row| all.slice(row, 1_000.min(all.num_rows() - row))).collect()
}

fn double(values: Vec<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(values))
}

fn long(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    rows.column_by_name(name).unwrap_or_else(|| panic!("a column {name}"))
}

fn doubles(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    column(rows, name).as_primitive::<Float64Type>().iter().collect()
}

fn longs(rows: &RecordBatch, name: &str) -> Vec<i64> {
    column(rows, name).as_primitive::<Int64Type>().values().to_vec()
}

#[tokio::test]
async fn every_row_is_in_the_file_of_its_cell_once_and_in_order() {
    let input = stars(20_000);
    let all = concat_batches(&input[0].schema(), &input).unwrap();
    let imported = imported(input, ImportPlan { max_rows: 1_500, ..plan() }).await;
    assert_eq!((imported.report.rows_read, imported.report.rows_published), (20_000, 20_000));
    assert!(imported.snapshot.files().len() > 12, "{} files", imported.snapshot.files().len());

    let mut seen = BTreeMap::new();
    for file in imported.snapshot.files() {
        let rows = rows_of(&imported.snapshot, file).await;
        assert_eq!((rows.num_rows() as u64, rows.num_rows() <= 1_500), (file.rows, true));
        assert_eq!(rows.schema().field(0).name(), HEALPIX_COLUMN);
        let cells = rows.column(0).as_primitive::<Int64Type>().values();
        assert!(cells.is_sorted());
        let range = file.pixel.unwrap().range();
        let (ra, dec) = (doubles(&rows, "ra"), doubles(&rows, "dec"));
        let ids = longs(&rows, "source_id");
        for row in 0..rows.num_rows() {
            let cell = cell29(Position::from_deg(ra[row].unwrap(), dec[row].unwrap()).unwrap());
            assert_eq!(cells[row] as u64, cell);
            assert!(range.contains(&cell));
            assert!(seen.insert(ids[row], rows.slice(row, 1)).is_none(), "a row twice");
        }
        assert_eq!(file.cells, Some((cells[0] as u64, cells[rows.num_rows() - 1] as u64)));
    }
    assert_eq!(seen.len(), all.num_rows());
    for (row, id) in longs(&all, "source_id").into_iter().enumerate().step_by(97) {
        for (field, column) in all.schema().fields().iter().zip(all.columns()) {
            assert_eq!(seen[&id].column_by_name(field.name()).unwrap(), &column.slice(row, 1), "{}", field.name());
        }
    }
}

#[tokio::test]
async fn the_bytes_do_not_depend_on_threads_memory_or_how_sources_are_cut() {
    let wide = || ImportPlan { max_rows: 1_500, id: Some("source_id".into()), ..plan() };
    let first = imported(stars(20_000), ImportPlan { threads: 1, ..wide() }).await;
    assert_eq!(first.report.spilled_bytes, 0);
    let expected = repeatable(&first).await;
    assert!(expected.len() > 20);
    for (threads, memory, step) in [(2, 2 << 30, 1_000), (4, 400_000, 1_000), (3, 1, 1_000), (2, 400_000, 77)] {
        let all = concat_batches(&stars(1)[0].schema(), &stars(20_000)).unwrap();
        let cut = (0..20_000).step_by(step).map(|row| all.slice(row, step.min(20_000 - row))).collect();
        let again = imported(cut, ImportPlan { threads, memory, ..wide() }).await;
        assert_eq!(again.report.spilled_bytes > 1_000_000, memory < 1 << 30, "{}", again.report.spilled_bytes);
        assert_eq!(again.progress.last(), Some(&Progress::Written(20_000, 20_000)));
        let tree = repeatable(&again).await;
        assert_eq!(tree.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (path, bytes) in &tree {
            assert!(*bytes == expected[path], "{path} differs with {threads} threads, {memory} bytes, cut by {step}");
        }
        assert_eq!(again.snapshot.id(), first.snapshot.id());
    }
}

#[tokio::test]
async fn rows_at_one_position_beyond_all_memory_keep_their_order() {
    // Rows of about 300 bytes, 12 MB in all; a partition is sorted in 1 MiB at the least.
    let rows = 40_000;
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row:0250}"))));
    let all = batch(vec![
        ("ra", double(vec![10.0; rows])),
        ("dec", double(vec![-20.0; rows])),
        ("n", long(0..rows as i64)),
        ("text", text),
    ]);
    let cut = || (0..rows).step_by(500).map(|row| all.slice(row, 500)).collect();
    let small = imported(cut(), ImportPlan { max_rows: 100, memory: 1 << 20, threads: 4, ..plan() }).await;
    assert_eq!(small.snapshot.files().len(), 1);
    assert_eq!(small.snapshot.files()[0].pixel.unwrap().order().get(), 10);
    let stored = rows_of(&small.snapshot, &small.snapshot.files()[0]).await;
    assert_eq!(longs(&stored, "n"), (0..rows as i64).collect::<Vec<_>>());
    assert!(small.report.spilled_bytes > 20_000_000, "through the disk twice: {}", small.report.spilled_bytes);
    let large = imported(cut(), ImportPlan { max_rows: 100, ..plan() }).await;
    assert!(repeatable(&small).await == repeatable(&large).await);
}

#[tokio::test]
async fn a_catalogue_is_opened_as_it_was_written() {
    let plan = ImportPlan { description: Some("a table".into()), note: Some("first".into()), max_rows: 500, ..plan() };
    let imported = imported(stars(3_000), ImportPlan { id: Some("source_id".into()), ..plan }).await;
    let opened = catalogs::open(&imported.store, ROOT, &Remote::default()).await.unwrap();
    assert_eq!(opened.id(), imported.snapshot.id());
    assert_eq!(opened.files(), imported.snapshot.files());
    assert_eq!(opened.schema(), imported.snapshot.schema(), "VO metadata included");
    assert_eq!(opened.descriptor(), imported.snapshot.descriptor());
    assert_eq!(opened.description(), Some("a table"));
    let descriptor = opened.descriptor();
    assert_eq!((descriptor.kind, descriptor.sorted, descriptor.nan_is_null), (Kind::Object, true, true));
    assert_eq!((descriptor.id.as_deref(), descriptor.note.as_deref()), (Some("source_id"), Some("first")));
    assert_eq!(descriptor.created, created());
    let told = imported.store.get(&format!("{ROOT}/almagest/import.json")).await.unwrap();
    assert_eq!(serde_json::from_slice::<ImportReport>(&told).unwrap(), imported.report);
    assert!(tree(&imported.store, ROOT).await.keys().all(|path| !path.contains("journal")));
}

#[tokio::test]
async fn statistics_tell_the_range_of_each_column_in_each_file() {
    let imported = imported(stars(5_000), ImportPlan { max_rows: 800, ..plan() }).await;
    for (number, field) in imported.snapshot.schema().fields().iter().enumerate() {
        let told = imported.snapshot.statistics(field.name()).await.unwrap().unwrap();
        for (place, file) in imported.snapshot.files().iter().enumerate() {
            let rows = rows_of(&imported.snapshot, file).await;
            assert_eq!(told.nulls.value(place) as usize, rows.column(number).null_count(), "{}", field.name());
            if *field.data_type() == DataType::Float64 {
                let values = rows.column(number).as_primitive::<Float64Type>();
                let (min, max) = (told.min.as_primitive::<Float64Type>(), told.max.as_primitive::<Float64Type>());
                assert_eq!(values.iter().flatten().reduce(f64::min), min.is_valid(place).then(|| min.value(place)));
                assert_eq!(values.iter().flatten().reduce(f64::max), max.is_valid(place).then(|| max.value(place)));
            }
        }
        let reported = &imported.report.columns[number];
        assert_eq!((&reported.name, reported.nulls.is_some()), (field.name(), true));
    }
}

#[tokio::test]
async fn a_file_has_row_groups_pages_and_a_filter_that_can_be_pruned() {
    let imported = imported(stars(30_000), ImportPlan { id: Some("source_id".into()), ..plan() }).await;
    let file = imported.snapshot.files().iter().max_by_key(|file| file.rows).unwrap();
    let bytes = imported.store.get(&imported.snapshot.path_of(file)).await.unwrap();
    let reader = SerializedFileReader::new(bytes.clone()).unwrap();
    let group = reader.metadata().row_group(0);
    let sorting = group.sorting_columns().unwrap();
    assert_eq!((sorting.len(), sorting[0].column_idx, sorting[0].descending), (1, 0, false));
    for column in group.columns() {
        assert!(column.column_index_offset().is_some() && column.offset_index_offset().is_some());
        let is_id = column.column_path().string() == "source_id";
        assert_eq!(column.bloom_filter_offset().is_some(), is_id);
        assert!(format!("{:?}", column.compression()).starts_with("ZSTD"));
    }
    // The checksum is that of the bytes.
    use sha2::Digest;
    let sum: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(file.sha256.as_deref(), Some(sum.as_str()));
}

#[tokio::test]
async fn wide_rows_make_small_row_groups() {
    let rows = 200;
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row}").repeat(500_000))));
    let all = batch(vec![("ra", double(vec![1.0; rows])), ("dec", double(vec![1.0; rows])), ("text", text)]);
    let cut = (0..rows).step_by(10).map(|row| all.slice(row, 10)).collect();
    let imported = imported(cut, ImportPlan { memory: 64 << 20, ..plan() }).await;
    assert_eq!(imported.snapshot.files().len(), 1, "one cell of the finest order");
    let file = &imported.snapshot.files()[0];
    let bytes = imported.store.get(&imported.snapshot.path_of(file)).await.unwrap();
    let groups = SerializedFileReader::new(bytes).unwrap().metadata().num_row_groups();
    assert!(groups >= 3, "{groups} row groups");
}

#[tokio::test]
async fn hats_readers_find_a_collection() {
    let plan = ImportPlan {
        max_rows: 1_000,
        margins: vec![Arcsec(10.0)],
        indexes: vec!["source_id".into()],
        id: Some("source_id".into()),
        ..plan()
    };
    let imported = imported(stars(5_000), plan).await;
    let tree = tree(&imported.store, ROOT).await;
    let text = |path: &str| String::from_utf8(tree[path].clone()).unwrap();
    let collection = text("/collection.properties");
    for line in [
        "hats_primary_table_url=t",
        "all_margins=t_10arcsec",
        "default_margin=t_10arcsec",
        "all_indexes=source_id t_by_source_id",
        "default_index=source_id",
    ] {
        assert!(collection.lines().any(|told| told == line), "{line} in {collection}");
    }
    let properties = text("/t/hats.properties");
    for line in ["dataproduct_type=object", "hats_nrows=5000", "hats_col_ra=ra", "hats_col_healpix=_healpix_29"] {
        assert!(properties.lines().any(|told| told == line), "{line} in {properties}");
    }
    assert_eq!(text("/t/properties"), properties);
    assert_eq!(text("/t/partition_info.csv").lines().count(), imported.snapshot.files().len() + 1);
    assert!(tree.contains_key("/t_10arcsec/hats.properties") && tree.contains_key("/t_by_source_id/hats.properties"));
    let common =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(tree["/t/dataset/_common_metadata"].clone()));
    assert_eq!(common.unwrap().schema(), imported.snapshot.schema());
    let merged = parquet::file::metadata::ParquetMetaDataReader::new()
        .parse_and_finish(&bytes::Bytes::from(tree["/t/dataset/_metadata"].clone()))
        .unwrap();
    assert_eq!(merged.file_metadata().num_rows(), 5_000);
    let descriptor = imported.snapshot.descriptor();
    assert_eq!((descriptor.margins.len(), descriptor.indexes[0].rows), (1, 5_000));
    assert_eq!(imported.report.indexes[0].rows, 5_000);
}

#[tokio::test]
async fn the_files_of_a_cone_are_all_that_hold_a_row_of_it() {
    let imported = imported(stars(20_000), ImportPlan { max_rows: 500, ..plan() }).await;
    for (lon, lat, radius) in
        [(266.4, -29.0, 1.0), (0.0, 90.0, 10.0), (359.9, 0.1, 0.5), (45.0, 41.8, 0.0), (10.0, 10.0, 180.0)]
    {
        let cone = Cone::new(Position::from_deg(lon, lat).unwrap(), Deg(radius)).unwrap();
        let coverage = Coverage::of_cone(&cone, Detail::default());
        let selected: Vec<_> = imported.snapshot.select(&coverage).map(|file| &file.path).collect();
        assert!(radius == 180.0 || selected.len() < imported.snapshot.files().len() / 2, "{} files", selected.len());
        for file in imported.snapshot.files().iter().filter(|file| !selected.contains(&&file.path)) {
            let rows = rows_of(&imported.snapshot, file).await;
            let (ra, dec) = (doubles(&rows, "ra"), doubles(&rows, "dec"));
            let at = |row: usize| Position::from_deg(ra[row].unwrap(), dec[row].unwrap()).unwrap();
            assert!(!(0..rows.num_rows()).any(|row| cone.contains_position(at(row))), "{} is left out", file.path);
        }
    }
}

#[tokio::test]
async fn a_table_without_positions_keeps_the_order_of_its_rows() {
    let sky = DemoSky { seed: 3, rows: 1_000_000 };
    let input: Vec<_> = sky.batches(Table::Observations).collect();
    let all = concat_batches(&input[0].schema(), &input).unwrap();
    for (memory, threads, step) in [(1 << 30, 1, 1_000), (1, 3, 170)] {
        let cut = (0..1_000).step_by(step).map(|row| all.slice(row, step.min(1_000 - row))).collect();
        let plan = ImportPlan { position: PositionPlan::None, max_rows: 300, memory, threads, ..plan() };
        let imported = imported(cut, plan).await;
        for file in imported.snapshot.files() {
            assert_eq!((file.pixel, file.cells), (None, None));
            assert!(file.rows <= 300 && file.path.starts_with("t/dataset/part."), "{file:?}");
        }
        assert!((4..6).contains(&imported.snapshot.files().len()));
        assert_eq!(all_rows(&imported.snapshot).await.columns(), all.columns());
        assert_eq!(imported.snapshot.descriptor().kind, Kind::Table);
        assert!(!tree(&imported.store, ROOT).await.keys().any(|path| path.contains("properties")));
    }
}

#[tokio::test]
async fn an_empty_table_is_a_table() {
    for position in [PositionPlan::Recognise { unit: PositionUnit::Auto }, PositionPlan::None] {
        let imported = imported(vec![stars(1)[0].slice(0, 0)], ImportPlan { position, ..plan() }).await;
        assert_eq!((imported.report.rows_published, imported.snapshot.files().len()), (0, 0));
        assert_eq!(catalogs::open(&imported.store, ROOT, &Remote::default()).await.unwrap().rows(), 0);
    }
}

#[tokio::test]
async fn poles_and_the_meridian_are_places_like_any_other_and_turns_are_told() {
    let ra = vec![0.0, 360.0, -10.0, 370.0, 720.5, 123.0, 5.0, -1e-20];
    let dec = vec![0.0, 0.0, 10.0, 10.0, 0.0, 90.0, -90.0, 0.0];
    let rows = batch(vec![("ra", double(ra)), ("dec", double(dec)), ("n", long(0..8))]);
    let imported = imported(vec![rows], plan()).await;
    let stored = all_rows(&imported.snapshot).await;
    let ra: HashMap<i64, f64> =
        longs(&stored, "n").into_iter().zip(doubles(&stored, "ra").into_iter().flatten()).collect();
    let kept: Vec<f64> = (0..8).map(|n| ra[&n]).collect();
    assert_eq!(kept, [0.0, 0.0, 350.0, 10.0, 0.5, 123.0, 5.0, 0.0]);
    assert_eq!(imported.report.wrapped, 5);
    assert!(imported.report.summary_lines().iter().any(|line| line.contains("5 right ascensions")));
}

#[tokio::test]
async fn a_bad_position_is_refused_with_its_place_or_set_aside_with_its_reason() {
    let rows = |ra: Vec<Option<f64>>, dec: Vec<Option<f64>>| {
        let n = long(0..ra.len() as i64);
        let columns = [Arc::new(Float64Array::from(ra)) as ArrayRef, Arc::new(Float64Array::from(dec))];
        batch(vec![("ra", Arc::clone(&columns[0])), ("dec", Arc::clone(&columns[1])), ("n", n)])
    };
    let kinds = [
        (None, Some(1.0), "ra is empty"),
        (Some(1.0), Some(f64::NAN), "dec is"),
        (Some(1.0), Some(95.0), "95"),
        (Some(f64::INFINITY), Some(0.0), "inf"),
    ];
    for (ra, dec, reason) in kinds {
        let bad = rows(vec![Some(0.0), ra, Some(2.0)], vec![Some(0.0), dec, Some(1.0)]);
        for keep_nan in [false, true] {
            let sentence = refusal(vec![bad.clone(), bad.clone()], ImportPlan { keep_nan, ..plan() }).await;
            assert!(sentence.starts_with("given: row 2: ") && sentence.contains(reason), "{sentence}");
            assert!(sentence.contains("--bad-rows set-aside"));
        }
    }
    let ra = kinds.iter().map(|kind| kind.0).chain([Some(7.0)]).collect();
    let dec = kinds.iter().map(|kind| kind.1).chain([Some(7.0)]).collect();
    let aside = ImportPlan { bad_rows: BadRowPolicy::SetAside, ..plan() };
    let imported = imported(vec![rows(ra, dec)], aside).await;
    let report = &imported.report;
    assert_eq!((report.rows_read, report.rows_published, report.rows_set_aside()), (5, 1, 4));
    assert_eq!(report.set_aside["no position"], 2);
    let set = read(imported.store.get(&format!("{ROOT}/almagest/set-aside.parquet")).await.unwrap());
    let text =
        |name: &str| column(&set, name).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(text("place"), ["row 1", "row 2", "row 3", "row 4"]);
    assert_eq!(text("source"), ["given"; 4]);
    assert!(text("reason")[2].contains("95") && text("text")[2].contains("\"dec\":95"), "{:?}", text("text"));
}

#[tokio::test]
async fn rows_that_a_reader_could_not_read_are_counted_with_the_others() {
    let source =
        || Given { bad: vec![3, 17, 18, 55], counted: false, ..Given::new("a.csv", vec![numbered(40), numbered(40)]) };
    let sentence = try_import(vec![Box::new(source())], plan()).await.err().unwrap().to_string();
    assert!(sentence.starts_with("a.csv: line 3: mag: 'bright' is no number"), "{sentence}");
    for id in [None, Some("n".to_owned())] {
        // The second batch repeats the identifiers of the first, but for those of rows that were bad there.
        let plan =
            ImportPlan { bad_rows: BadRowPolicy::SetAside, duplicates: DuplicatePolicy::KeepFirst, id, ..plan() };
        let dedupes = plan.id.is_some();
        let imported = try_import(vec![Box::new(source())], plan).await.unwrap();
        let report = &imported.report;
        assert_eq!((report.rows_read, report.set_aside["mag cannot be read"]), (80, 4));
        assert_eq!(report.rows_published, if dedupes { 40 } else { 76 });
        let mut ids = longs(&all_rows(&imported.snapshot).await, "n");
        ids.sort_unstable();
        if dedupes {
            assert_eq!(ids, (0..40).collect::<Vec<_>>(), "a bad row stands in for no good one");
            assert_eq!(report.duplicates, 36);
        }
    }
}

/// Rows with an identifier from 0 on, spread over the sky.
fn numbered(rows: i64) -> RecordBatch {
    let degrees = |step: f64, from: f64, to: f64| {
        double((0..rows).map(|n| from + (n as f64 * step).rem_euclid(to - from)).collect())
    };
    batch(vec![("n", long(0..rows)), ("ra", degrees(137.5, 0.0, 360.0)), ("dec", degrees(37.3, -90.0, 90.0))])
}

#[tokio::test]
async fn duplicates_are_refused_or_the_first_or_the_best_is_kept() {
    let source = |name: &str, quality: Vec<Option<f64>>, counted: bool| {
        let rows = numbered(quality.len() as i64);
        let mut columns: Vec<(&str, ArrayRef)> =
            ["n", "ra", "dec"].into_iter().zip(rows.columns().iter().cloned()).collect();
        columns.push(("quality", Arc::new(Float64Array::from(quality))));
        Box::new(Given { counted, ..Given::new(name, vec![batch(columns)]) }) as Box<dyn TableSource>
    };
    let both = |counted: bool| {
        vec![
            source("a", vec![Some(1.0), None, Some(f64::NAN), Some(5.0), Some(3.0)], counted),
            source("b", vec![Some(2.0), Some(0.0), Some(-1.0), Some(5.0)], counted),
        ]
    };
    let plan = |duplicates| ImportPlan { id: Some("n".into()), duplicates, ..plan() };
    for counted in [true, false] {
        let sentence = try_import(both(counted), plan(DuplicatePolicy::Refuse)).await.err().unwrap().to_string();
        assert!(sentence.contains("4 values of n occur more than once"), "{sentence}");
        assert!(sentence.contains("0 is that of row or line 1 of a and of row or line 1 of b"), "{sentence}");
        for (policy, kept) in [
            (DuplicatePolicy::KeepFirst, [Some(1.0), None, None, Some(5.0), Some(3.0)]),
            (DuplicatePolicy::KeepBest("quality".into()), [Some(2.0), Some(0.0), Some(-1.0), Some(5.0), Some(3.0)]),
        ] {
            let imported = try_import(both(counted), plan(policy)).await.unwrap();
            let rows = all_rows(&imported.snapshot).await;
            let quality: HashMap<i64, Option<f64>> =
                longs(&rows, "n").into_iter().zip(doubles(&rows, "quality")).collect();
            assert_eq!((0..5).map(|n| quality[&n]).collect::<Vec<_>>(), kept);
            let report = &imported.report;
            assert_eq!((report.rows_read, report.rows_published, report.duplicates), (9, 5, 4));
            let set = read(imported.store.get(&format!("{ROOT}/almagest/set-aside.parquet")).await.unwrap());
            assert_eq!(set.num_rows(), 4);
        }
    }
}

#[tokio::test]
async fn a_row_without_its_identifier_is_a_bad_row() {
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let rows = batch(vec![("n", n), ("ra", double(vec![1.0, 2.0])), ("dec", double(vec![1.0, 2.0]))]);
    let sentence = refusal(vec![rows], ImportPlan { id: Some("n".into()), ..plan() }).await;
    assert!(sentence.contains("row 2: n is empty"), "{sentence}");
}

#[tokio::test]
async fn positions_in_other_units_are_stored_in_degrees_and_that_is_told() {
    let with_unit = |rows: RecordBatch, unit: &str| {
        let schema = rows.schema();
        let fields = schema.fields().iter().map(|field| {
            let is_angle = ["ra", "dec"].contains(&field.name().as_str()) && !unit.is_empty();
            let unit = is_angle.then(|| ("vo:unit".to_owned(), unit.to_owned()));
            field.as_ref().clone().with_metadata(unit.into_iter().collect())
        });
        let schema = Schema::new(fields.collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(schema), rows.columns().to_vec()).unwrap()
    };
    let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let radians = std::f64::consts::PI / 180.0;
    let cases: Vec<(ArrayRef, ArrayRef, &str, PositionUnit)> = vec![
        (double(vec![187.5, 10.0]), double(vec![-12.5, 80.0]), "", PositionUnit::Auto),
        (
            double(vec![187.5 * radians, 10.0 * radians]),
            double(vec![-12.5 * radians, 80.0 * radians]),
            "rad",
            PositionUnit::Auto,
        ),
        (
            double(vec![187.5 * radians, 10.0 * radians]),
            double(vec![-12.5 * radians, 80.0 * radians]),
            "",
            PositionUnit::Radians,
        ),
        (double(vec![12.5, 10.0 / 15.0]), double(vec![-12.5, 80.0]), "", PositionUnit::Hours),
        (text(["12:30:00", "0:40:00"]), text(["-12:30:00", "+80:00:00.0"]), "", PositionUnit::Auto),
        (text(["12 30 00", "00h40m00s"]), text(["-12d30m00s", "80 0 0"]), "", PositionUnit::Sexagesimal),
        (text(["187.5", "10"]), text(["-12.5", "80"]), "", PositionUnit::Auto),
    ];
    for (number, (ra, dec, unit, told)) in cases.into_iter().enumerate() {
        let rows = with_unit(batch(vec![("n", long(0..2)), ("ra", ra), ("dec", dec)]), unit);
        let imported =
            imported(vec![rows], ImportPlan { position: PositionPlan::Recognise { unit: told }, ..plan() }).await;
        let stored = all_rows(&imported.snapshot).await;
        let first = longs(&stored, "n").iter().position(|n| *n == 0).unwrap();
        for (name, degrees) in [("ra", [187.5, 10.0]), ("dec", [-12.5, 80.0])] {
            let found = doubles(&stored, name);
            assert!((found[first].unwrap() - degrees[0]).abs() < 1e-12, "case {number}: {found:?}");
            assert!((found[1 - first].unwrap() - degrees[1]).abs() < 1e-12, "case {number}: {found:?}");
            assert_eq!(imported.snapshot.schema().field_with_name(name).unwrap().metadata()["vo:unit"], "deg");
        }
        let changes = if number == 0 {
            0
        } else if told == PositionUnit::Hours {
            1
        } else {
            2
        };
        assert_eq!(imported.report.unit_changes.len(), changes, "{:?}", imported.report.unit_changes);
    }
    let wrong = batch(vec![("ra", text(["1:2:3", "west"])), ("dec", text(["1", "2"]))]);
    let sentence = refusal(vec![wrong], plan()).await;
    assert!(sentence.contains("row 2: ra: 'west' is no angle"), "{sentence}");
    let unknown = with_unit(numbered(3), "mag");
    assert!(refusal(vec![unknown], plan()).await.contains("'mag', which is no angle"));
}

#[tokio::test]
async fn single_precision_positions_stay_so_and_lie_in_the_cell_that_is_stored() {
    let single = |values: Vec<f32>| Arc::new(Float32Array::from(values)) as ArrayRef;
    let rows = batch(vec![("ra", single(vec![-1e-9, 359.9, 361.3])), ("dec", single(vec![0.0, 1.1, -2.2]))]);
    let imported = imported(vec![rows], plan()).await;
    let stored = all_rows(&imported.snapshot).await;
    let ra = column(&stored, "ra").as_primitive::<Float32Type>().clone();
    let dec = column(&stored, "dec").as_primitive::<Float32Type>().clone();
    for row in 0..3 {
        assert!((0.0..360.0).contains(&ra.value(row)));
        let cell = cell29(Position::from_deg(ra.value(row).into(), dec.value(row).into()).unwrap());
        assert_eq!(longs(&stored, HEALPIX_COLUMN)[row] as u64, cell);
    }
}

#[tokio::test]
async fn columns_are_renamed_dropped_cast_and_their_sentinels_become_null() {
    let mag: ArrayRef = Arc::new(Float32Array::from(vec![Some(-999.0), Some(f32::NAN), Some(1.5), None]));
    let count: ArrayRef = Arc::new(Int32Array::from(vec![-999, 2, 3, 4]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["12", "N/A", "-7", "-999"]));
    let rows = batch(vec![
        ("RA_J2000", double(vec![1.0, 2.0, 3.0, 4.0])),
        ("DE", double(vec![1.0, 2.0, 3.0, 4.0])),
        ("mag", mag),
        ("count", count),
        ("code", text),
        ("junk", long(0..4)),
    ]);
    let sentinel =
        |column: Option<&str>, value: &str| Sentinel { column: column.map(str::to_owned), value: value.into() };
    let plan = ImportPlan {
        position: PositionPlan::Columns { ra: "ra".into(), dec: "dec".into(), unit: PositionUnit::Auto },
        rename: vec![("RA_J2000".into(), "ra".into()), ("DE".into(), "dec".into())],
        drop: vec!["junk".into()],
        cast: vec![("code".into(), import::cast_type("smallint").unwrap()), ("count".into(), DataType::Int64)],
        sentinels: vec![sentinel(None, "-999"), sentinel(Some("code"), "N/A")],
        ..plan()
    };
    let imported = imported(vec![rows.clone()], plan.clone()).await;
    let stored = all_rows(&imported.snapshot).await;
    let names: Vec<_> = stored.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, [HEALPIX_COLUMN, "ra", "dec", "mag", "count", "code"]);
    let by_ra = |name: &str| {
        let mut found: Vec<(i64, Option<f64>)> = doubles(&stored, "ra")
            .into_iter()
            .map(|ra| ra.unwrap() as i64)
            .zip(arrow::compute::cast(column(&stored, name), &DataType::Float64).unwrap().as_primitive::<Float64Type>())
            .collect();
        found.sort_by_key(|pair| pair.0);
        found.into_iter().map(|pair| pair.1).collect::<Vec<_>>()
    };
    assert_eq!(by_ra("mag"), [None, None, Some(1.5), None]);
    assert_eq!(by_ra("count"), [None, Some(2.0), Some(3.0), Some(4.0)]);
    assert_eq!(by_ra("code"), [Some(12.0), None, Some(-7.0), None]);
    assert_eq!(column(&stored, "code").data_type(), &DataType::Int16);

    let kept = ImportPlan { keep_nan: true, sentinels: vec![], cast: vec![], ..plan.clone() };
    let kept = imported_with(rows.clone(), kept).await;
    assert_eq!(
        column(&kept, "mag").as_primitive::<Float32Type>().iter().flatten().filter(|mag| mag.is_nan()).count(),
        1
    );

    for (plan, why) in [
        (ImportPlan { sentinels: vec![], ..plan.clone() }, "row 2: code: 'N/A' is no whole number"),
        (ImportPlan { drop: vec!["nothing".into()], ..plan.clone() }, "no column nothing to --drop"),
        (ImportPlan { cast: vec![("no".into(), DataType::Int8)], ..plan.clone() }, "no column no, which --cast names"),
        (ImportPlan { id: Some("no".into()), ..plan.clone() }, "no column no, which --id names"),
        (ImportPlan { sentinels: vec![sentinel(Some("mag"), "bright")], ..plan.clone() }, "cannot be a value of mag"),
        (
            ImportPlan { rename: vec![("DE".into(), "RA_J2000".into())], ..plan.clone() },
            "two columns are called RA_J2000",
        ),
        (ImportPlan { id: Some("mag".into()), ..plan.clone() }, "cannot be a key"),
        (ImportPlan { indexes: vec!["mag".into()], ..plan.clone() }, "floating-point"),
        (ImportPlan { margins: vec![Arcsec(-1.0)], ..plan.clone() }, "wider than nothing"),
        (ImportPlan { margins: vec![Arcsec(1e6)], ..plan.clone() }, "margin"),
        (ImportPlan { min_order: 5, max_order: 4, ..plan.clone() }, "orders of partitions"),
    ] {
        let sentence = refusal(vec![rows.clone()], plan).await;
        assert!(sentence.contains(why), "{sentence}");
    }
}

async fn imported_with(rows: RecordBatch, plan: ImportPlan) -> RecordBatch {
    all_rows(&imported(vec![rows], plan).await.snapshot).await
}

#[tokio::test]
async fn nested_columns_and_unicode_names_are_stored_as_other_readers_want_them() {
    let mjd: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 3.0]));
    let band: ArrayRef = Arc::new(arrow::array::StringViewArray::from(vec!["g", "r", "ü"]));
    let parts = StructArray::try_from(vec![("mjd", mjd), ("band", band)]).unwrap();
    let item = Arc::new(Field::new("item", parts.data_type().clone(), true));
    let curve = ListArray::new(item, arrow::buffer::OffsetBuffer::from_lengths([2, 1]), Arc::new(parts), None);
    let nothing: ArrayRef = Arc::new(arrow::array::NullArray::new(2));
    let rows = batch(vec![
        ("ra", double(vec![1.0, 2.0])),
        ("dec", double(vec![1.0, 2.0])),
        ("lc", Arc::new(curve)),
        ("größe α", double(vec![1.0, 2.0])),
        ("Größe α", double(vec![1.0, 2.0])),
        ("nothing", nothing),
    ]);
    let imported = imported(vec![rows], plan()).await;
    let schema = imported.snapshot.schema();
    let DataType::Struct(parts) = schema.field_with_name("lc").unwrap().data_type() else { panic!("a structure") };
    for part in parts {
        let DataType::List(element) = part.data_type() else { panic!("a list") };
        assert_eq!(element.name(), "element");
    }
    assert_eq!(schema.field_with_name("nothing").unwrap().data_type(), &DataType::Utf8);
    assert!(imported.report.warnings.iter().any(|warning| warning.contains("by case only")));
    let file = imported.snapshot.files().iter().find(|file| file.rows > 0).unwrap();
    let bytes = imported.store.get(&imported.snapshot.path_of(file)).await.unwrap();
    let leaves: Vec<String> = SerializedFileReader::new(bytes)
        .unwrap()
        .metadata()
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .map(|column| column.path().string())
        .collect();
    assert!(leaves.contains(&"lc.mjd.list.element".to_owned()), "{leaves:?}");
    assert!(leaves.contains(&"größe α".to_owned()));
    let stored = all_rows(&imported.snapshot).await;
    assert_eq!(stored.num_rows(), 2);
}

#[tokio::test]
async fn two_thousand_columns_are_many_but_no_obstacle() {
    let names: Vec<String> = (0..2_000).map(|n| format!("c{n}")).collect();
    let mut columns = vec![("ra", double(vec![1.0, 200.0])), ("dec", double(vec![1.0, -60.0]))];
    columns.extend(names.iter().map(|name| (name.as_str(), double(vec![0.5, f64::NAN]))));
    let imported = imported(vec![batch(columns)], ImportPlan { max_rows: 1, memory: 1, ..plan() }).await;
    assert_eq!((imported.snapshot.rows(), imported.snapshot.schema().fields().len()), (2, 2_003));
}

#[tokio::test]
async fn sources_of_different_shape_become_one_table_where_no_value_is_lost() {
    let one = batch(vec![
        ("ra", double(vec![1.0])),
        ("dec", double(vec![1.0])),
        ("count", Arc::new(Int32Array::from(vec![7]))),
        ("only_here", long([1])),
    ]);
    let other = batch(vec![("count", long([1 << 40])), ("dec", double(vec![2.0])), ("ra", double(vec![2.0]))]);
    let sources = |other: RecordBatch| -> Vec<Box<dyn TableSource>> {
        vec![Box::new(Given::new("a", vec![one.clone()])), Box::new(Given::new("b", vec![other]))]
    };
    let imported = try_import(sources(other), plan()).await.unwrap();
    let stored = all_rows(&imported.snapshot).await;
    assert_eq!(column(&stored, "count").data_type(), &DataType::Int64);
    assert_eq!(longs(&stored, "count").iter().sum::<i64>(), 7 + (1 << 40));
    assert_eq!(column(&stored, "only_here").null_count(), 1);
    assert!(imported.report.warnings.iter().any(|warning| warning.contains("b has no column only_here")));

    let text: ArrayRef = Arc::new(StringArray::from(vec!["7"]));
    let clash = batch(vec![("ra", double(vec![2.0])), ("dec", double(vec![2.0])), ("count", text)]);
    let sentence = try_import(sources(clash.clone()), plan()).await.err().unwrap().to_string();
    assert!(sentence.contains("count") && sentence.contains("Int32") && sentence.contains("Utf8"), "{sentence}");
    let cast = ImportPlan { cast: vec![("count".into(), DataType::Int64)], ..plan() };
    assert_eq!(try_import(sources(clash), cast).await.unwrap().snapshot.rows(), 2);
    let without = batch(vec![("count", long([1]))]);
    let sentence = try_import(sources(without), plan()).await.err().unwrap().to_string();
    assert!(sentence.starts_with("b: it has no column ra"), "{sentence}");
}

#[tokio::test]
async fn a_description_is_put_over_what_the_sources_say() {
    let told = |name: &str, unit: &str| {
        let metadata = [("vo:unit".to_owned(), unit.to_owned()), ("vo:ucd".to_owned(), "meta.id".to_owned())];
        Field::new(name, DataType::Utf8, true).with_metadata(metadata.into())
    };
    let describe = Some(Arc::new(Schema::new(vec![told("N", "count"), told("absent", "m")])));
    let imported = imported(vec![numbered(3)], ImportPlan { describe, ..plan() }).await;
    let field = imported.snapshot.schema().field_with_name("n").unwrap();
    assert_eq!((field.metadata()["vo:unit"].as_str(), field.data_type()), ("count", &DataType::Int64));
}

/// A source that gives another sky each time.
struct Restless(AtomicUsize, SchemaRef);

impl TableSource for Restless {
    fn name(&self) -> &str {
        "restless"
    }

    fn schema(&self) -> &SchemaRef {
        &self.1
    }

    fn fingerprint(&self) -> String {
        "always".into()
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let seed = self.0.fetch_add(1, Ordering::Relaxed) as u64;
        let columns = columns.map(<[usize]>::to_vec);
        let batches = DemoSky { seed, rows: 5_000 }.batches(Table::Stars);
        Ok(Box::new(batches.map(move |batch| {
            let batch = columns.as_ref().map_or(batch.clone(), |columns| batch.project(columns).unwrap());
            Ok(Piece::new(move |take| take(Rows { batch, places: Places::Rows(1), bad: vec![] })))
        })))
    }
}

#[tokio::test]
async fn a_source_that_changes_while_it_is_read_is_refused() {
    let source: Vec<Box<dyn TableSource>> = vec![Box::new(Restless(0.into(), stars(1)[0].schema()))];
    let refused = try_import(source, ImportPlan { max_rows: 100, ..plan() }).await.err().unwrap().to_string();
    assert!(refused.contains("restless: it is not the same when it is read again"), "{refused}");
}

#[tokio::test]
async fn a_dry_run_tells_the_partitions_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let plan = ImportPlan { max_rows: 1_500, spill: folder.path().join("spill"), ..plan() };
    let told = import::dry_run(&store, sources(stars(20_000)), plan.clone(), Arc::new(|_| ())).await.unwrap();
    assert!(store.list("").await.unwrap().is_empty());
    let (_, done) = import::run(&store, ROOT, sources(stars(20_000)), plan, Arc::new(|_| ())).await.unwrap();
    assert_eq!((told.rows_read, told.rows_published), (20_000, 20_000));
    assert_eq!(told.partitions, done.partitions);
}

/// Runs an import and drops it when it has told its progress so many times, or lets it end.
async fn interrupted(store: &CatalogStore, plan: ImportPlan, after: usize) -> bool {
    let (told, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let listener = {
        let (told, enough) = (Arc::clone(&told), Arc::clone(&enough));
        Arc::new(move |_| {
            if told.fetch_add(1, Ordering::Relaxed) == after {
                enough.notify_one();
            }
        })
    };
    tokio::select! {
        biased;
        () = enough.notified() => true,
        done = import::run(store, ROOT, sources(stars(20_000)), plan, listener) => { done.unwrap(); false }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_import_goes_on_to_the_same_bytes() {
    let plan = |spill: PathBuf, resume| ImportPlan {
        max_rows: 300,
        margins: vec![Arcsec(5.0)],
        indexes: vec!["source_id".into()],
        id: Some("source_id".into()),
        memory: 3 << 20,
        created: if resume { Utc::now() } else { created() },
        spill,
        resume,
        ..self::plan()
    };
    let undisturbed = tempfile::tempdir().unwrap();
    let whole = local(&undisturbed);
    assert!(!interrupted(&whole, plan(undisturbed.path().join("spill"), false), usize::MAX).await);
    let mut expected = tree(&whole, ROOT).await;
    expected.remove("/almagest/import.json");
    assert!(expected.len() > 150);
    for after in [0, 20, 39, 41, 60, 81, 85, 90, 120, 150, 180, 200, 230] {
        let folder = tempfile::tempdir().unwrap();
        let store = local(&folder);
        let spill = folder.path().join("spill");
        let mut was_interrupted = interrupted(&store, plan(spill.clone(), false), after).await;
        let mut times = 0;
        while was_interrupted {
            // What is begun is never a catalogue.
            assert!(catalogs::open(&store, ROOT, &Remote::default()).await.is_err());
            let unfinished = import::unfinished(&store, ROOT).await.unwrap();
            assert!(unfinished.as_ref().is_none_or(|unfinished| unfinished.rows == 20_000));
            times += 1;
            let plan = match unfinished.is_some() {
                true => plan(spill.clone(), true),
                false => ImportPlan { created: created(), ..plan(spill.clone(), true) },
            };
            was_interrupted = interrupted(&store, plan, if times < 3 { after } else { usize::MAX }).await;
        }
        let mut found = tree(&store, ROOT).await;
        found.remove("/almagest/import.json");
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "after {after}");
        for (path, bytes) in &found {
            assert!(*bytes == expected[path], "{path} differs after {after}");
        }
        let done = import::unfinished(&store, ROOT).await.unwrap();
        assert_eq!(done.map(|done| done.rows), Some(20_000), "it has only to be published");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_import_that_drops_duplicates_drops_the_same_ones_again() {
    let all = concat_batches(&stars(1)[0].schema(), &stars(20_000)).unwrap();
    let twice = || sources([stars(20_000), vec![all.slice(3_000, 9_000)]].concat());
    let folder = tempfile::tempdir().unwrap();
    let plan = ImportPlan {
        max_rows: 300,
        id: Some("source_id".into()),
        duplicates: DuplicatePolicy::KeepBest("phot_g_mean_mag".into()),
        spill: folder.path().join("spill"),
        ..plan()
    };
    let best = all.schema().fields().iter().find(|field| field.name().contains("mag")).unwrap().name().clone();
    let plan = ImportPlan { duplicates: DuplicatePolicy::KeepBest(best), ..plan };
    let whole = tempfile::tempdir().unwrap();
    let (store, other) = (local(&folder), local(&whole));
    import::run(&other, ROOT, twice(), plan.clone(), Arc::new(|_| ())).await.unwrap();
    let (told, enough) = (AtomicUsize::new(0), Arc::new(tokio::sync::Notify::new()));
    let notify = Arc::clone(&enough);
    let listener = Arc::new(move |step| {
        if matches!(step, Progress::Written(..)) && told.fetch_add(1, Ordering::Relaxed) == 60 {
            notify.notify_one();
        }
    });
    tokio::select! {
        biased;
        () = enough.notified() => {}
        _ = import::run(&store, ROOT, twice(), plan.clone(), listener) => panic!("it was not interrupted"),
    }
    let resumed = ImportPlan { resume: true, ..plan };
    let (_, report) = import::run(&store, ROOT, twice(), resumed, Arc::new(|_| ())).await.unwrap();
    assert_eq!(
        (report.rows_read, report.rows_published, report.duplicates, report.resumed),
        (29_000, 20_000, 9_000, true)
    );
    let (mut expected, mut found) = (tree(&other, ROOT).await, tree(&store, ROOT).await);
    expected.remove("/almagest/import.json");
    found.remove("/almagest/import.json");
    assert!(expected == found);
}

async fn unfinished_is_some(store: &CatalogStore) -> bool {
    import::unfinished(store, ROOT).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_not_gone_on_with_by_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let plan = ImportPlan { max_rows: 300, spill: folder.path().join("spill"), ..plan() };
    assert!(interrupted(&store, plan.clone(), 60).await);
    assert!(unfinished_is_some(&store).await);
    let resumed = ImportPlan { resume: true, ..plan };
    let run = async |sources, plan| import::run(&store, ROOT, sources, plan, Arc::new(|_| ())).await;
    let other = ImportPlan { max_rows: 301, ..resumed.clone() };
    let sentence = run(sources(stars(20_000)), other).await.unwrap_err().to_string();
    assert!(sentence.contains("begun with other options"), "{sentence}");
    let changed = Given { fingerprint: "2".into(), ..Given::new("given", stars(20_000)) };
    let sentence = run(vec![Box::new(changed)], resumed.clone()).await.unwrap_err().to_string();
    assert!(sentence.contains("has changed since the import was begun"), "{sentence}");
    let renamed = Given::new("other", stars(20_000));
    let sentence = run(vec![Box::new(renamed)], resumed.clone()).await.unwrap_err().to_string();
    assert!(sentence.contains("begun with given in its place"), "{sentence}");
    assert!(unfinished_is_some(&store).await, "what was begun is still there");
    let (snapshot, report) = run(sources(stars(20_000)), resumed.clone()).await.unwrap();
    assert_eq!((snapshot.rows(), report.rows_read), (20_000, 20_000));
    // Once more, as if only its journal had been left.
    let (again, _) = run(sources(stars(20_000)), resumed).await.unwrap();
    assert_eq!(again.id(), snapshot.id());
}

#[tokio::test]
async fn added_rows_are_a_new_version_that_shares_what_did_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let all = concat_batches(&stars(1)[0].schema(), &stars(20_000)).unwrap();
    // The first stars are real ones all over the sky; those of the end are near each other in no way, so choose by place.
    let ra = doubles(&all, "ra");
    let near: arrow::array::BooleanArray = ra.iter().map(|ra| Some(ra.unwrap() < 40.0)).collect();
    let new = arrow::compute::filter_record_batch(&all, &near).unwrap();
    let old = arrow::compute::filter_record_batch(&all, &arrow::compute::not(&near).unwrap()).unwrap();
    let few = new.slice(0, 500);
    let first = batches_and(&old, &new.slice(500, new.num_rows() - 500));
    let plan = ImportPlan { max_rows: 400, id: Some("source_id".into()), spill: folder.path().join("spill"), ..plan() };
    let (base, _) = import::run(&store, ROOT, sources(first), plan.clone(), Arc::new(|_| ())).await.unwrap();
    let before = tree(&store, ROOT).await;
    let root = "catalogs/demo/t/0000000000000002";
    let append = ImportPlan {
        base: Some(Arc::new(base.clone())),
        margins: vec![Arcsec(2.0)],
        created: created() + chrono::Duration::days(1),
        ..plan.clone()
    };
    let (next, report) =
        import::run(&store, root, sources(vec![few.clone()]), append.clone(), Arc::new(|_| ())).await.unwrap();
    assert_eq!((next.rows(), report.rows, report.rows_read, report.rows_published), (20_000, 20_000, 500, 500));
    assert!(report.shared_files > base.files().len() / 2, "{} of {}", report.shared_files, base.files().len());
    assert_eq!(tree(&store, ROOT).await, before, "the old version is as it was");
    let mut ids = longs(&all_rows(&next).await, "source_id");
    ids.sort_unstable();
    let mut expected = longs(&all, "source_id");
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for file in next.files() {
        let rows = rows_of(&next, file).await;
        assert!(longs(&rows, HEALPIX_COLUMN).is_sorted() && file.rows <= 400);
        let range = file.pixel.unwrap().range();
        assert!(longs(&rows, HEALPIX_COLUMN).iter().all(|cell| range.contains(&(*cell as u64))));
    }
    let pixels: Vec<_> = next.files().iter().map(|file| file.pixel.unwrap().range()).collect();
    assert!(pixels.windows(2).all(|pair| pair[0].end <= pair[1].start), "no cell around another");
    // A folder links: the new tree is whole, and readers of HATS find it.
    let tree = tree(&store, root).await;
    assert!(next.files().iter().all(|file| tree.contains_key(&format!("/{}", file.path))));
    assert!(tree.contains_key("/t/hats.properties") && tree.contains_key("/collection.properties"));
    assert_eq!(catalogs::open(&store, root, &Remote::default()).await.unwrap().id(), next.id());
    let nulls = next.statistics("source_id").await.unwrap().unwrap();
    assert_eq!(nulls.nulls.len(), next.files().len());

    // The same rows once more are duplicates of rows that are there.
    let third = "catalogs/demo/t/0000000000000003";
    let again = ImportPlan { base: Some(Arc::new(next.clone())), margins: vec![], ..append.clone() };
    let run = async |plan: ImportPlan, rows: RecordBatch| {
        import::run(&store, third, sources(vec![rows]), plan, Arc::new(|_| ())).await
    };
    let sentence = run(again.clone(), few.clone()).await.unwrap_err().to_string();
    assert!(sentence.contains("occur more than once") && sentence.contains("of the table"), "{sentence}");
    let keep = ImportPlan { duplicates: DuplicatePolicy::KeepFirst, ..again.clone() };
    let (same, report) = run(keep, few.clone()).await.unwrap();
    assert_eq!((same.rows(), report.rows_published, report.duplicates), (20_000, 0, 500));
    store.delete_folder(third).await.unwrap();
    let columns: Vec<usize> =
        (0..few.num_columns()).filter(|column| few.schema().field(*column).name() != "ra").collect();
    let sentence = run(again.clone(), few.project(&columns).unwrap()).await.unwrap_err().to_string();
    assert!(sentence.contains("no column ra"), "{sentence}");
    let mut more: Vec<(&str, ArrayRef)> = vec![("extra", long(0..500))];
    let schema = few.schema();
    more.extend(schema.fields().iter().map(|field| field.name().as_str()).zip(few.columns().iter().cloned()));
    let sentence = run(again.clone(), batch(more)).await.unwrap_err().to_string();
    assert!(sentence.contains("its column extra is not in the table"), "{sentence}");
}

fn batches_and(one: &RecordBatch, other: &RecordBatch) -> Vec<RecordBatch> {
    vec![one.clone(), other.clone()]
}

#[tokio::test]
async fn a_better_row_takes_the_place_of_one_in_the_version_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let rows = |quality: f64, position: bool| {
        let rows = numbered(30);
        let mut columns: Vec<(&str, ArrayRef)> =
            ["n", "ra", "dec"].into_iter().zip(rows.columns().iter().cloned()).collect();
        if !position {
            columns.truncate(1);
        }
        columns.push(("quality", double((0..30).map(|n| if n % 3 == 0 { quality } else { 5.0 }).collect())));
        batch(columns)
    };
    for position in [true, false] {
        let plan = ImportPlan {
            id: Some("n".into()),
            duplicates: DuplicatePolicy::KeepBest("quality".into()),
            max_rows: 7,
            position: if position { PositionPlan::Recognise { unit: PositionUnit::Auto } } else { PositionPlan::None },
            spill: folder.path().join("spill"),
            ..plan()
        };
        let (first, second) = (format!("{ROOT}{position}a"), format!("{ROOT}{position}b"));
        let (base, _) = import::run(&store, &first, sources(vec![rows(1.0, position)]), plan.clone(), Arc::new(|_| ()))
            .await
            .unwrap();
        let plan = ImportPlan { base: Some(Arc::new(base)), ..plan };
        let (next, report) =
            import::run(&store, &second, sources(vec![rows(9.0, position)]), plan, Arc::new(|_| ())).await.unwrap();
        assert_eq!((next.rows(), report.rows_published, report.replaced, report.duplicates), (30, 10, 10, 20));
        let stored = all_rows(&next).await;
        for (n, quality) in longs(&stored, "n").into_iter().zip(doubles(&stored, "quality")) {
            assert_eq!(quality, Some(if n % 3 == 0 { 9.0 } else { 5.0 }), "{n}");
        }
    }
}

#[tokio::test]
async fn rows_of_a_child_table_lie_with_the_row_that_they_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let plan = ImportPlan { max_rows: 400, id: Some("source_id".into()), spill: folder.path().join("spill"), ..plan() };
    let (director, _) = import::run(&store, ROOT, sources(stars(3_000)), plan, Arc::new(|_| ())).await.unwrap();
    let directors = all_rows(&director).await;
    let cells: HashMap<i64, i64> =
        longs(&directors, "source_id").into_iter().zip(longs(&directors, HEALPIX_COLUMN)).collect();
    let (ids, ra, dec) = (longs(&directors, "source_id"), doubles(&directors, "ra"), doubles(&directors, "dec"));
    // Three children a star, each 3 arcseconds north or south of it.
    let pick = |child: usize| child * 7 % ids.len();
    let children = 9_000;
    let away = |child: usize| if dec[pick(child)].unwrap() > 0.0 { -3.0 / 3600.0 } else { 3.0 / 3600.0 };
    let rows = batch(vec![
        ("object", long((0..children).map(|child| ids[pick(child)]))),
        ("ra", double((0..children).map(|child| ra[pick(child)].unwrap()).collect())),
        ("dec", double((0..children).map(|child| dec[pick(child)].unwrap() + away(child)).collect())),
        ("n", long(0..children as i64)),
    ]);
    let like = |own: bool| PositionPlan::Like {
        director: Arc::new(director.clone()),
        director_name: "demo.t".into(),
        director_key: "source_id".into(),
        key: "object".into(),
        own: own.then(|| ("ra".into(), "dec".into(), PositionUnit::Auto)),
    };
    let plan = |own| ImportPlan {
        position: like(own),
        max_rows: 700,
        spill: folder.path().join("spill"),
        ..ImportPlan::new("demo.children".parse().unwrap(), created())
    };
    let cut = || (0..children).step_by(1_000).map(|row| rows.slice(row, 1_000)).collect::<Vec<_>>();
    let root = "catalogs/demo/children/1";
    for own in [true, false] {
        let (snapshot, report) = import::run(&store, root, sources(cut()), plan(own), Arc::new(|_| ())).await.unwrap();
        let stored = all_rows(&snapshot).await;
        assert_eq!(stored.num_rows(), children);
        for (object, cell) in longs(&stored, "object").into_iter().zip(longs(&stored, HEALPIX_COLUMN)) {
            assert_eq!(cell, cells[&object]);
        }
        let slack = snapshot.descriptor().position.as_ref().map(|position| position.slack_arcsec);
        assert_eq!(slack.is_some(), own);
        assert!(slack.is_none_or(|slack| (2.99..3.1).contains(&slack)), "{slack:?}");
        assert_eq!(snapshot.descriptor().kind, Kind::Source);
        assert_eq!(snapshot.descriptor().director.as_ref().unwrap().table, "demo.t");
        let told = report.director.unwrap();
        assert_eq!(told.partitions.iter().map(|part| part.2).sum::<u64>(), children as u64);
        assert_eq!(told.partitions.iter().map(|part| part.3).sum::<u64>(), 3_000);
        store.delete_folder(root).await.unwrap();
    }
    // In two steps, the second to the first.
    let (first, _) =
        import::run(&store, root, sources(cut()[..4].to_vec()), plan(true), Arc::new(|_| ())).await.unwrap();
    let next = "catalogs/demo/children/2";
    let more = ImportPlan { base: Some(Arc::new(first)), ..plan(true) };
    let (both, report) = import::run(&store, next, sources(cut()[4..].to_vec()), more, Arc::new(|_| ())).await.unwrap();
    assert_eq!((both.rows(), report.rows_published), (9_000, 5_000));
    let stored = all_rows(&both).await;
    for (object, cell) in longs(&stored, "object").into_iter().zip(longs(&stored, HEALPIX_COLUMN)) {
        assert_eq!(cell, cells[&object]);
    }
    let mut numbers = longs(&stored, "n");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..children as i64).collect::<Vec<_>>());
    store.delete_folder(root).await.unwrap();

    let orphan = batch(vec![("object", long([-5])), ("ra", double(vec![1.0])), ("dec", double(vec![1.0]))]);
    let run = async |policy| {
        let plan = ImportPlan { bad_rows: policy, ..plan(true) };
        import::run(&store, root, sources(vec![orphan.clone()]), plan, Arc::new(|_| ())).await
    };
    let sentence = run(BadRowPolicy::Refuse).await.unwrap_err().to_string();
    assert!(sentence.contains("row 1: the director table has no row"), "{sentence}");
    let (_, report) = run(BadRowPolicy::SetAside).await.unwrap();
    assert_eq!(report.set_aside["no director row"], 1);
}

/// A file of the samples; none where these are absent.
fn sample(path: &str) -> Option<Box<dyn TableSource>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/formats/import-samples")).join(path);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(formats::open(formats::Input::file(&path).unwrap(), &formats::SourceOptions::default()).unwrap())
}

#[tokio::test]
async fn files_of_other_people_become_the_tables_that_they_say() {
    let parts: Vec<String> = ["00", "01", "02", "03", "04", "10"]
        .iter()
        .map(|part| format!("small_sky_parts/catalog_{part}_of_05.csv"))
        .collect();
    let parts: Option<Vec<_>> = parts.iter().map(|path| sample(path)).collect();
    let (Some(parts), Some(whole), Some(fits)) =
        (parts, sample("small_sky/catalog.csv"), sample("formats/small_sky.fits"))
    else {
        return;
    };
    let by_id = |rows: RecordBatch| -> BTreeMap<i64, (Option<f64>, Option<f64>)> {
        let ids = arrow::compute::cast(column(&rows, "id"), &DataType::Int64).unwrap();
        let ids = ids.as_primitive::<Int64Type>().values().to_vec();
        ids.into_iter().zip(doubles(&rows, "ra").into_iter().zip(doubles(&rows, "dec"))).collect()
    };
    let plan = || ImportPlan { id: Some("id".into()), ..plan() };
    let in_parts = try_import(parts, plan()).await.unwrap();
    assert_eq!((in_parts.report.rows_published, in_parts.report.sources[5].rows), (131, 0));
    let in_one = try_import(vec![whole], plan()).await.unwrap();
    let expected = by_id(all_rows(&in_one.snapshot).await);
    assert_eq!(expected.len(), 131);
    assert_eq!(by_id(all_rows(&in_parts.snapshot).await), expected);
    let of_fits = try_import(vec![fits], ImportPlan { id: None, ..plan() }).await.unwrap();
    assert_eq!(of_fits.report.rows_published, 131);
}

#[tokio::test]
async fn text_that_changes_its_mind_between_files_is_read_as_text_in_all() {
    let (Some(one), Some(two), Some(three)) =
        (sample("mixed_schema/input_01.csv"), sample("mixed_schema/input_02.csv"), sample("mixed_schema/input_03.csv"))
    else {
        return;
    };
    let imported = try_import(vec![one, two, three], plan()).await.unwrap();
    assert_eq!(imported.report.rows_published, 8);
    let schema = imported.snapshot.schema();
    assert_eq!(schema.field_with_name("code").unwrap().data_type(), &DataType::Utf8);
    assert_eq!(schema.field_with_name("comment").unwrap().data_type(), &DataType::Utf8);
    let rows = all_rows(&imported.snapshot).await;
    assert_eq!(column(&rows, "code").null_count(), 0);
}

#[tokio::test]
async fn a_wrong_line_of_text_is_refused_or_set_aside_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sky.csv");
    let text =
        "name,ra,dec,mag\nα Cen,14:39:36.5,-60:50:02,-0.1\nx,1:2:3,4:5:6,N/A\ny,1:2:3,95:0:0,3\nz,1:2:3,4:5:6,bright\n";
    std::fs::write(&path, text).unwrap();
    let open = || -> Vec<Box<dyn TableSource>> {
        vec![formats::open(formats::Input::file(&path).unwrap(), &formats::SourceOptions::default()).unwrap()]
    };
    let plan = ImportPlan {
        cast: vec![("mag".into(), DataType::Float64)],
        sentinels: vec![Sentinel { column: Some("mag".into()), value: "N/A".into() }],
        ..plan()
    };
    let sentence = try_import(open(), plan.clone()).await.err().unwrap().to_string();
    assert!(sentence.contains("sky.csv: line 4: dec = 95 is no declination"), "{sentence}");
    let imported = try_import(open(), ImportPlan { bad_rows: BadRowPolicy::SetAside, ..plan }).await.unwrap();
    assert_eq!((imported.report.rows_published, imported.report.rows_set_aside()), (2, 2));
    let set = read(imported.store.get(&format!("{ROOT}/almagest/set-aside.parquet")).await.unwrap());
    let places: Vec<_> = column(&set, "place").as_string::<i32>().iter().flatten().collect();
    assert_eq!(places, ["line 4", "line 5"]);
    let rows = all_rows(&imported.snapshot).await;
    assert_eq!(column(&rows, "mag").null_count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_row_is_published_once_or_set_aside_once(
        rows in prop::collection::vec(
            (prop_oneof![8 => -400.0..800.0_f64, 1 => Just(f64::NAN), 1 => Just(0.0)],
             prop_oneof![8 => -90.0..=90.0_f64, 1 => -100.0..100.0_f64, 1 => Just(90.0), 1 => Just(-90.0)],
             0..60_i64),
            1..300),
        size in 1..80_usize,
        max_rows in 1..50_u64,
        memory in prop_oneof![Just(0_usize), Just(1 << 30)],
        dedupes in any::<bool>(),
    ) {
        let number = long(0..rows.len() as i64);
        let all = batch(vec![
            ("ra", double(rows.iter().map(|row| row.0).collect())),
            ("dec", double(rows.iter().map(|row| row.1).collect())),
            ("key", long(rows.iter().map(|row| row.2))),
            ("row", number),
        ]);
        let cut = (0..rows.len()).step_by(size).map(|row| all.slice(row, size.min(rows.len() - row))).collect();
        let plan = ImportPlan {
            bad_rows: BadRowPolicy::SetAside,
            id: dedupes.then(|| "key".into()),
            duplicates: DuplicatePolicy::KeepFirst,
            max_rows,
            memory,
            ..plan()
        };
        let mut seen = std::collections::HashSet::new();
        let good = rows.iter().enumerate().filter(|(_, (ra, dec, key))| {
            ra.is_finite() && dec.abs() <= 90.0 && (!dedupes || seen.insert(*key))
        });
        let mut expected: Vec<i64> = good.map(|(row, _)| row as i64).collect();
        expected.sort_unstable();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let imported = imported(cut, plan).await;
            let mut found = match imported.snapshot.files() {
                [] => Vec::new(),
                _ => longs(&all_rows(&imported.snapshot).await, "row"),
            };
            found.sort_unstable();
            assert_eq!(found, expected);
            assert_eq!(imported.report.rows_read, rows.len() as u64);
        });
    }
}
