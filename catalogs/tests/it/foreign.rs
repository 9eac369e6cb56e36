//! Trees of others, taken up where they lie: the samples of the projects that define the format, the same samples broken
//! one way at a time, and a web server.

mod deviations;
mod web;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema},
    util::display::array_value_to_string,
};
use catalogs::{
    CatalogError, CatalogSnapshot, CatalogStore, DataFile, Kind, Remote, StoreOptions,
    foreign::{self, AttachOptions, AttachReport},
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use sha2::{Digest, Sha256};
use sky::{Cone, Coverage, Deg, Order, Pixel, Polygon, Position, coverage::Detail, healpix::cell29};

/// The folder of the samples, where it is at hand.
fn samples() -> Option<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/formats/hats-samples"));
    if !folder.is_dir() {
        println!("SKIPPED: {} is not there", folder.display());
        return None;
    }
    Some(folder.to_owned())
}

/// A table attached into a store of its own.
struct Attached {
    home: tempfile::TempDir,
    snapshot: CatalogSnapshot,
    report: AttachReport,
    progress: Vec<(u64, u64)>,
}

async fn try_attach(url: &str, member: Option<&str>) -> Result<Attached, (CatalogError, tempfile::TempDir)> {
    let home = tempfile::tempdir().unwrap();
    let options = StoreOptions { url: home.path().display().to_string(), ..StoreOptions::default() };
    let store = CatalogStore::open(&options).unwrap();
    let remote = Remote { allow_http: true, ..Remote::default() };
    let options = AttachOptions { remote, member: member.map(str::to_owned), ..AttachOptions::default() };
    let steps = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let steps = Arc::clone(&steps);
        Arc::new(move |done, total| steps.lock().unwrap().push((done, total)))
    };
    let name = "demo.foreign".parse().unwrap();
    match foreign::attach(&store, "catalogs/demo/foreign/1", &name, url, &options, listener).await {
        Ok((snapshot, report)) => {
            let progress = steps.lock().unwrap().clone();
            Ok(Attached { home, snapshot, report, progress })
        }
        Err(error) => Err((error, home)),
    }
}

async fn attach(path: impl AsRef<Path>) -> Attached {
    let path = path.as_ref().display().to_string();
    try_attach(&path, None).await.unwrap_or_else(|(error, _)| panic!("{path}: {error}"))
}

/// The sentence with which a tree is refused. Nothing may be left of it.
async fn refusal(path: &Path) -> String {
    let (error, home) = try_attach(&path.display().to_string(), None).await.err().expect("a refusal");
    assert_eq!(files_below(home.path()), BTreeSet::new(), "{error}");
    error.to_string()
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

/// A copy of a sample, to be broken.
struct Copy {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Copy {
    fn of(sample: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(sample.file_name().unwrap());
        for file in files_below(sample) {
            let target = root.join(file.strip_prefix(sample).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&file, &target).unwrap();
        }
        Self { _folder: folder, root }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    /// Edits both copies of the properties.
    fn edit(&self, from: &str, to: &str) {
        for file in ["hats.properties", "properties"] {
            let text = fs::read_to_string(self.path(file)).unwrap();
            let edited = text.replace(from, to);
            assert_ne!(edited, text);
            self.write(file, &edited);
        }
    }

    /// Rewrites a leaf file with other columns.
    fn rewrite(&self, file: &str, change: impl FnOnce(RecordBatch) -> RecordBatch) {
        write_parquet(&self.path(file), &change(read_parquet(&self.path(file))));
    }

    async fn refusal(&self) -> String {
        refusal(&self.root).await
    }
}

fn read_parquet(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    concat_batches(&schema, &reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

fn write_parquet(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A batch with a column replaced, added (when there is none of that name) or, without values, dropped.
fn with_column(batch: &RecordBatch, name: &str, values: Option<ArrayRef>) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let mut values = values;
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        match field.name() == name {
            true => columns.extend(values.take().map(|values| (name.to_owned(), values))),
            false => columns.push((field.name().clone(), Arc::clone(column))),
        }
    }
    columns.extend(values.map(|values| (name.to_owned(), values)));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// The rows of some files, those columns only, each cast to the type that the table says.
async fn rows_of(snapshot: &CatalogSnapshot, files: &[&DataFile], columns: &[&str]) -> RecordBatch {
    let schema = Arc::new(snapshot.schema().project(&indices(snapshot.schema(), columns)).unwrap());
    let mut batches = vec![RecordBatch::new_empty(Arc::clone(&schema))];
    for file in files {
        let bytes = snapshot.store().get(&snapshot.path_of(file)).await.unwrap();
        assert_eq!(bytes.len() as u64, file.bytes);
        let mut rows = 0;
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            rows += batch.num_rows() as u64;
            let cast =
                |field: &Arc<Field>| cast(batch.column_by_name(field.name()).unwrap(), field.data_type()).unwrap();
            batches
                .push(RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(cast).collect()).unwrap());
        }
        assert_eq!(rows, file.rows, "{}", file.path);
    }
    concat_batches(&schema, &batches).unwrap()
}

fn indices(schema: &Schema, columns: &[&str]) -> Vec<usize> {
    columns.iter().map(|column| schema.index_of(column).unwrap()).collect()
}

fn all(snapshot: &CatalogSnapshot) -> Vec<&DataFile> {
    snapshot.files().iter().collect()
}

fn all_columns(snapshot: &CatalogSnapshot) -> Vec<&str> {
    snapshot.schema().fields().iter().map(|field| field.name().as_str()).collect()
}

/// As the reference's digests: SHA-256 of the sorted values, one a line.
fn digest(mut lines: Vec<String>) -> String {
    lines.sort_by_key(|line| (line.parse::<i64>().ok(), line.clone()));
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    let sum = Sha256::digest(text.as_bytes());
    sum.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn lines(column: &ArrayRef) -> Vec<String> {
    (0..column.len()).map(|row| array_value_to_string(column, row).unwrap()).collect()
}

fn cases(samples: &Path, operations: &[&str]) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(samples.join("expected/expected.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cases = all["cases"].as_array().unwrap().iter();
    cases.filter(|case| operations.contains(&case["op"].as_str().unwrap())).cloned().collect()
}

#[tokio::test]
async fn every_sample_attaches_with_its_rows_files_and_type() {
    let Some(samples) = samples() else { return };
    let before = files_below(&samples);
    for (path, kind, rows, files, columns) in [
        ("hats/small_sky_o1_collection", Kind::Object, 131, 4, 6),
        ("hats/small_sky_o1_collection/small_sky_order1", Kind::Object, 131, 4, 6),
        ("hats/small_sky_o1_collection/small_sky_order1_margin", Kind::Margin, 47, 7, 6),
        ("hats/small_sky_o1_collection/small_sky_order1_margin_10arcs", Kind::Margin, 0, 0, 6),
        ("hats/small_sky_o1_collection/small_sky_order1_id_index", Kind::Index, 131, 1, 3),
        ("hats/small_sky_source", Kind::Source, 17_161, 14, 10),
        ("hats/small_sky_source_object_index", Kind::Index, 148, 1, 3),
        ("hats/small_sky_nested", Kind::Object, 131, 13, 10),
        ("hats/square_map", Kind::Map, 12, 12, 2),
        ("hats/small_sky_npix_alt_suffix", Kind::Object, 131, 1, 6),
        ("hats/small_sky_npix_as_dir", Kind::Object, 131, 1, 6),
        ("lsdb/small_sky", Kind::Object, 131, 1, 6),
        ("lsdb/small_sky_order1_collection", Kind::Object, 131, 4, 6),
        ("lsdb/small_sky_order1_collection/small_sky_order1_margin_1deg", Kind::Margin, 23, 5, 6),
        ("lsdb/small_sky_order1_collection/small_sky_order1_margin_2deg", Kind::Margin, 47, 7, 6),
        ("lsdb/small_sky_order1_default_columns", Kind::Object, 131, 4, 6),
        ("lsdb/small_sky_xmatch", Kind::Object, 111, 3, 7),
        ("lsdb/small_sky_xmatch_margin", Kind::Margin, 39, 7, 7),
        ("hats-import/small_sky_object_catalog", Kind::Object, 131, 1, 6),
        ("hats-import/small_sky_source_catalog", Kind::Source, 17_161, 14, 10),
        ("hats-import/small_sky_object_source_association", Kind::Association, 131, 13, 4),
        ("hats-cloudtests/small_sky", Kind::Object, 131, 1, 6),
        ("built-0.11.1/small_sky_source_collection", Kind::Source, 17_161, 14, 10),
        ("built-0.11.1/small_sky_source_collection/small_sky_source_1deg", Kind::Margin, 8_669, 15, 10),
        ("built-0.11.1/small_sky_source_collection/small_sky_source_source_id", Kind::Index, 17_161, 1, 3),
        ("built-0.11.1/small_sky_source_split", Kind::Source, 17_161, 14, 7),
        ("built-0.11.1/small_sky_source_split/small_sky_phot.properties", Kind::Source, 17_161, 14, 7),
        ("built-0.11.1/small_sky_source_collection/collection.properties", Kind::Source, 17_161, 14, 10),
        ("lsdb/small_sky/properties", Kind::Object, 131, 1, 6),
    ] {
        let attached = attach(samples.join(path)).await;
        let (report, snapshot) = (&attached.report, &attached.snapshot);
        assert_eq!((report.kind, report.rows, report.files), (kind, rows, files), "{path}");
        assert_eq!((snapshot.rows(), snapshot.files().len() as u64), (rows, files), "{path}");
        assert_eq!(snapshot.schema().fields().len(), columns, "{path}: {:?}", snapshot.schema());
        assert_eq!(snapshot.descriptor().kind, kind);
        assert_eq!(rows_of(snapshot, &all(snapshot), &all_columns(snapshot)).await.num_rows() as u64, rows);
        let members = report.margins.iter().map(|it| it.files).chain(report.indexes.iter().map(|it| it.files));
        let looked_at = files + members.sum::<u64>();
        assert_eq!(attached.progress.last(), Some(&(looked_at, looked_at)), "{path}");
        assert_eq!(attached.progress.iter().filter(|(done, total)| done == total).count(), 1);
        let ours = files_below(&attached.home.path().join("catalogs/demo/foreign/1"));
        assert!(ours.iter().all(|file| file.components().any(|part| part.as_os_str() == "almagest")), "{ours:?}");
    }
    assert_eq!(files_below(&samples), before, "nothing is written into a foreign tree");
}

#[tokio::test]
async fn rows_and_cells_are_those_that_the_reference_finds() {
    let Some(samples) = samples() else { return };
    let cases = cases(&samples, &["rows"]);
    assert_eq!(cases.len(), 15);
    for case in cases {
        let (path, id) = (case["catalog"].as_str().unwrap(), case["id"].as_str().unwrap());
        let attached = attach(samples.join(path)).await;
        let snapshot = &attached.snapshot;
        let rows = rows_of(snapshot, &all(snapshot), &[id]).await;
        let pixels: BTreeSet<Pixel> = snapshot.files().iter().filter_map(|file| file.pixel).collect();
        let expected = &case["expect"];
        assert_eq!(rows.num_rows() as u64, expected["rows"].as_u64().unwrap(), "{path}");
        assert_eq!(pixels.len() as u64, expected["partitions"].as_u64().unwrap(), "{path}");
        assert_eq!(digest(pixels.iter().map(Pixel::to_string).collect()), expected["pixels_digest"].as_str().unwrap());
        assert_eq!(digest(lines(rows.column(0))), expected["ids"].as_str().unwrap(), "{path}");
    }
}

type Inside = Box<dyn Fn(f64, f64) -> bool>;

/// A coverage and the exact test of a case.
fn region(case: &serde_json::Value) -> (Coverage, Inside) {
    let pair = |value: &serde_json::Value| (value[0].as_f64().unwrap(), value[1].as_f64().unwrap());
    let args = &case["args"];
    match case["op"].as_str().unwrap() {
        "cone" => {
            let (ra, dec) = pair(args);
            let center = Position::from_deg(ra, dec).unwrap();
            let cone = Cone::new(center, Deg(args[2].as_f64().unwrap() / 3600.0)).unwrap();
            let coverage = Coverage::of_cone(&cone, Detail::default());
            (coverage, Box::new(move |ra, dec| cone.contains_position(Position::from_deg(ra, dec).unwrap())))
        }
        "polygon" => {
            let corners =
                args.as_array().unwrap().iter().map(pair).map(|(ra, dec)| Position::from_deg(ra, dec).unwrap());
            let corners: Vec<_> = corners.collect();
            // The reference takes the vertices in either direction: the smaller side is meant.
            let one = Polygon::new(corners.clone()).unwrap();
            let other = Polygon::new(corners.into_iter().rev().collect()).unwrap();
            let polygon = if one.area().0 <= other.area().0 { one } else { other };
            let coverage = Coverage::of_polygon(&polygon, Detail::default());
            (coverage, Box::new(move |ra, dec| polygon.contains_position(Position::from_deg(ra, dec).unwrap())))
        }
        _ => {
            let ((ra1, ra2), (dec1, dec2)) = (pair(&args[0]), pair(&args[1]));
            let (ra1, ra2) = (ra1.rem_euclid(360.0), ra2.rem_euclid(360.0));
            let inside = move |ra: f64, dec: f64| {
                let ra = ra.rem_euclid(360.0);
                let along = if ra1 == ra2 {
                    true
                } else if ra1 < ra2 {
                    ra1 <= ra && ra <= ra2
                } else {
                    ra1 <= ra || ra <= ra2
                };
                along && dec1 <= dec && dec <= dec2
            };
            // There is no shape for a box along parallels: the pole cap that holds it is a superset.
            let cap = Cone::new(Position::from_deg(0.0, -90.0).unwrap(), Deg(90.0 + dec2)).unwrap();
            (Coverage::of_cone(&cap, Detail::default()), Box::new(inside))
        }
    }
}

#[tokio::test]
async fn the_files_selected_for_a_region_hold_all_rows_that_the_reference_finds_there() {
    let Some(samples) = samples() else { return };
    let cases = cases(&samples, &["cone", "box", "polygon"]);
    assert_eq!(cases.len(), 20);
    let mut left_out = 0;
    for case in cases {
        let (path, id) = (case["catalog"].as_str().unwrap(), case["id"].as_str().unwrap());
        let attached = attach(samples.join(path)).await;
        let snapshot = &attached.snapshot;
        let (coverage, inside) = region(&case);
        let files: Vec<_> = snapshot.select(&coverage).collect();
        left_out += snapshot.files().len() - files.len();
        let position = snapshot.position().unwrap();
        let rows = rows_of(snapshot, &files, &[id, &position.ra, &position.dec]).await;
        let degrees = |column: usize| cast(rows.column(column), &DataType::Float64).unwrap();
        let (ra, dec) = (degrees(1), degrees(2));
        let (ra, dec) = (ra.as_primitive::<Float64Type>(), dec.as_primitive::<Float64Type>());
        let found: Vec<_> = (0..rows.num_rows()).filter(|row| inside(ra.value(*row), dec.value(*row))).collect();
        let ids = lines(rows.column(0));
        assert_eq!(found.len() as u64, case["expect"]["rows"].as_u64().unwrap(), "{case}");
        let ids = found.into_iter().map(|row| ids[row].clone()).collect();
        assert_eq!(digest(ids), case["expect"]["ids"].as_str().unwrap(), "{case}");
    }
    assert!(left_out > 50, "only {left_out} files were left out");
}

#[tokio::test]
async fn the_cells_of_a_file_hold_the_positions_of_its_rows() {
    let Some(samples) = samples() else { return };
    for path in [
        "hats/small_sky_source",
        "hats/small_sky_nested",
        "lsdb/small_sky_order1_collection/small_sky_order1_margin_2deg",
        "lsdb/small_sky_xmatch_margin",
        "hats-cloudtests/small_sky",
        "built-0.11.1/small_sky_source_collection",
    ] {
        let attached = attach(samples.join(path)).await;
        let snapshot = &attached.snapshot;
        let position = snapshot.position().unwrap();
        for file in snapshot.files() {
            let rows = rows_of(snapshot, &[file], &[&position.ra, &position.dec]).await;
            let degrees = |column: usize| cast(rows.column(column), &DataType::Float64).unwrap();
            let (ra, dec) = (degrees(0), degrees(1));
            let (ra, dec) = (ra.as_primitive::<Float64Type>(), dec.as_primitive::<Float64Type>());
            let (low, high) = file.cells.unwrap();
            for row in 0..rows.num_rows() {
                let cell = cell29(Position::from_deg(ra.value(row), dec.value(row)).unwrap());
                assert!((low..=high).contains(&cell), "{path} {}", file.path);
            }
            let range = file.pixel.unwrap().range();
            if snapshot.descriptor().kind == Kind::Margin {
                assert!(high < range.start || low >= range.end || !range.contains(&low), "{path}: {file:?}");
            } else {
                assert!(range.contains(&low) && range.contains(&high));
            }
        }
    }
}

#[tokio::test]
async fn bounds_of_columns_are_those_that_the_reference_tells() {
    let Some(samples) = samples() else { return };
    for case in cases(&samples, &["stats"]) {
        let attached = attach(samples.join(case["catalog"].as_str().unwrap())).await;
        for (column, expected) in case["expect"]["columns"].as_object().unwrap() {
            // Parts of nested columns have no bounds of their own, and what is rounded is not the same number.
            let Some(lowest) = expected["min_value"].as_f64().filter(|_| !column.contains('.')) else { continue };
            let found = attached.snapshot.statistics(column).await.unwrap().unwrap();
            let number = |bounds: &ArrayRef| cast(bounds, &DataType::Float64).unwrap();
            let (min, max) = (number(&found.min), number(&found.max));
            let min = min.as_primitive::<Float64Type>().iter().flatten().fold(f64::INFINITY, f64::min);
            let max = max.as_primitive::<Float64Type>().iter().flatten().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(
                (min, max),
                (lowest, expected["max_value"].as_f64().unwrap()),
                "{column} of {}",
                case["catalog"]
            );
            let nulls: u64 = found.nulls.iter().flatten().sum();
            assert_eq!(nulls as f64, expected["null_count"].as_f64().unwrap());
        }
    }
}

#[tokio::test]
async fn a_collection_brings_its_margins_indexes_and_provenance() {
    let Some(samples) = samples() else { return };
    let attached = attach(samples.join("built-0.11.1/small_sky_source_collection")).await;
    let descriptor = attached.snapshot.descriptor();
    let margins: Vec<_> = descriptor.margins.iter().map(|m| (m.folder.as_str(), m.arcsec, m.rows, m.files)).collect();
    assert_eq!(margins, [("small_sky_source_5arcmin", 300.0, 1_717, 14), ("small_sky_source_1deg", 3600.0, 8_669, 15)]);
    let indexes: Vec<_> =
        descriptor.indexes.iter().map(|i| (i.folder.as_str(), i.column.as_str(), i.rows, i.files)).collect();
    assert_eq!(
        indexes,
        [("small_sky_source_object_id", "object_id", 148, 1), ("small_sky_source_source_id", "source_id", 17_161, 1)]
    );
    assert_eq!(descriptor.default_columns, ["source_id", "source_ra", "source_dec", "mjd", "mag", "band"]);
    assert_eq!(descriptor.properties["obs_regime"], "Optical");
    assert!(descriptor.sorted && !descriptor.nan_is_null);
    assert_eq!(descriptor.warnings, Vec::<String>::new());
    let data = descriptor.data.as_ref().unwrap();
    assert!(data.path().ends_with("/small_sky_source_collection/"), "{data}");
    assert!(attached.snapshot.files()[0].path.starts_with("small_sky_source/dataset/Norder=2/"));
    let manifest = attached.home.path().join("catalogs/demo/foreign/1/almagest/members/small_sky_source_1deg.parquet");
    assert_eq!(read_parquet(&manifest).num_rows(), 15);
}

#[tokio::test]
async fn a_member_or_an_extension_is_attached_by_name() {
    let Some(samples) = samples() else { return };
    let collection = samples.join("built-0.11.1/small_sky_source_collection").display().to_string();
    let margin = try_attach(&collection, Some("small_sky_source_5arcmin")).await.ok().unwrap();
    assert_eq!((margin.report.kind, margin.report.rows), (Kind::Margin, 1_717));
    let unknown = try_attach(&collection, Some("small_sky")).await.err().unwrap().0.to_string();
    assert!(unknown.contains("no member small_sky; it has small_sky_source, small_sky_source_5arcmin"), "{unknown}");

    let split = samples.join("built-0.11.1/small_sky_source_split");
    let primary = attach(&split).await;
    assert!(primary.report.warnings[0].contains("its extension phot are not joined"), "{:?}", primary.report.warnings);
    assert!(primary.report.warnings[0].contains("/small_sky_phot.properties"), "{:?}", primary.report.warnings);
    let extension = try_attach(&split.display().to_string(), Some("phot")).await.ok().unwrap();
    assert!(extension.snapshot.schema().field_with_name("mag").is_ok());
    assert_eq!(extension.report.rows, 17_161);
    let alone = samples.join("lsdb/small_sky").display().to_string();
    let none = try_attach(&alone, Some("x")).await.err().unwrap().0.to_string();
    assert!(none.contains("no collection: it has no member x"), "{none}");
}

#[tokio::test]
async fn nested_columns_and_columns_named_like_keys_are_columns() {
    let Some(samples) = samples() else { return };
    let attached = attach(samples.join("hats/small_sky_nested")).await;
    let snapshot = &attached.snapshot;
    let DataType::Struct(parts) = snapshot.schema().field_with_name("lc").unwrap().data_type() else { panic!() };
    assert!(parts.iter().all(|part| matches!(part.data_type(), DataType::List(child) if child.name() == "element")));
    let rows = rows_of(snapshot, &all(snapshot), &["lc", "Norder", "Npix"]).await;
    let mjd = Arc::clone(rows.column(0).as_struct().column(0));
    let elements: usize = (0..rows.num_rows()).map(|row| mjd.as_list::<i32>().value_length(row) as usize).sum();
    assert_eq!(elements, 16_135);
    assert_eq!(snapshot.position().unwrap().ra, "ra");
}

#[tokio::test]
async fn an_attached_tree_is_opened_again_from_our_own_store() {
    let Some(samples) = samples() else { return };
    let attached = attach(samples.join("hats/small_sky_source")).await;
    let options = StoreOptions { url: attached.home.path().display().to_string(), ..StoreOptions::default() };
    let store = CatalogStore::open(&options).unwrap();
    let opened = catalogs::open(&store, attached.snapshot.root(), &Remote::default()).await.unwrap();
    assert_eq!(opened.id(), attached.snapshot.id());
    assert_eq!((opened.files(), opened.schema()), (attached.snapshot.files(), attached.snapshot.schema()));
    assert_eq!(opened.descriptor(), attached.snapshot.descriptor());
}
