//! What an import has made is sound, and so are the trees of the projects that define the format.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::{DataType, SchemaRef},
};
use catalogs::{
    CatalogSnapshot, CatalogStore, StoreOptions,
    check::{CheckOptions, CheckReport, check},
    foreign::{self, AttachOptions},
    import::{self, ImportPlan},
};
use chrono::{DateTime, Utc};
use demo_sky::{DemoSky, Table};
use formats::{FormatError, Piece, Pieces, Places, Rows, TableSource};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use sky::Arcsec;

/// Rows of the demonstration sky.
struct Sky {
    sky: DemoSky,
    table: Table,
    schema: SchemaRef,
}

impl Sky {
    fn source(rows: u64, table: Table) -> Box<dyn TableSource> {
        let sky = DemoSky { seed: 5, rows };
        Box::new(Self { sky, table, schema: DemoSky::schema(table) })
    }
}

impl TableSource for Sky {
    fn name(&self) -> &str {
        "demo"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fingerprint(&self) -> String {
        "1".into()
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let columns = columns.map(<[usize]>::to_vec);
        let mut first = 1;
        Ok(Box::new(self.sky.batches(self.table).map(move |batch: RecordBatch| {
            let batch = columns.as_ref().map_or_else(|| batch.clone(), |columns| batch.project(columns).unwrap());
            let places = Places::Rows(first);
            first += batch.num_rows() as u64;
            Ok(Piece::new(move |take| take(Rows { batch, places, bad: Vec::new() })))
        })))
    }
}

fn store(folder: &Path) -> CatalogStore {
    CatalogStore::open(&StoreOptions { url: folder.display().to_string(), ..StoreOptions::default() }).unwrap()
}

async fn checked(snapshot: &CatalogSnapshot) -> CheckReport {
    let spill = tempfile::tempdir().unwrap();
    let options = CheckOptions { spill: spill.path().to_owned(), memory: 1 << 20, ..CheckOptions::default() };
    let last = Arc::new(Mutex::new((0, 0)));
    let told = Arc::clone(&last);
    let report =
        check(snapshot, &options, Arc::new(move |done, all| *told.lock().unwrap() = (done, all))).await.unwrap();
    let (done, all) = *last.lock().unwrap();
    assert!(done <= all && all == report.bytes, "{done} of {all} bytes");
    assert_eq!(std::fs::read_dir(spill.path()).unwrap().count(), 0, "temporary files are left");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_is_sound_with_all_that_belongs_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("store"));
    let created: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let plan = ImportPlan {
        id: Some("source_id".into()),
        max_rows: 1_500,
        margins: vec![Arcsec(10.0), Arcsec(300.0)],
        indexes: vec!["source_id".into()],
        spill: folder.path().to_owned(),
        memory: 64 << 20,
        ..ImportPlan::new("demo.stars".parse().unwrap(), created)
    };
    let sources = vec![Sky::source(30_000, Table::Stars)];
    let (snapshot, imported) =
        import::run(&store, "catalogs/demo/stars/1", sources, plan, Arc::new(|_| ())).await.unwrap();
    assert_eq!(imported.rows, 30_000);
    let report = checked(&snapshot).await;
    assert!(report.is_sound(), "{:#?}", report.defects);
    assert_eq!((report.rows, report.unchecked.as_slice()), (30_000, &[][..]));
    let members: Vec<_> = report.members.iter().map(|(folder, rows)| (folder.as_str(), *rows)).collect();
    assert_eq!(members[2], ("stars_by_source_id", 30_000));
    assert!(members[1].1 > members[0].1, "{members:?}");
    assert!(snapshot.schema().field_with_name("source_id").unwrap().data_type() == &DataType::Int64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_positions_and_one_without_rows_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("store"));
    let created: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    for (number, (rows, table, position)) in [
        (1_000_000, Table::Observations, import::PositionPlan::None),
        (0, Table::Stars, ImportPlan::new("demo.t".parse().unwrap(), created).position),
    ]
    .into_iter()
    .enumerate()
    {
        let plan = ImportPlan {
            position,
            max_rows: 300,
            spill: folder.path().to_owned(),
            ..ImportPlan::new("demo.t".parse().unwrap(), created)
        };
        let sources: Vec<Box<dyn TableSource>> = match rows {
            0 => vec![Box::new(Empty(DemoSky::schema(table)))],
            _ => vec![Sky::source(rows, table)],
        };
        let root = format!("catalogs/demo/t/{number}");
        let (snapshot, _) = import::run(&store, &root, sources, plan, Arc::new(|_| ())).await.unwrap();
        let report = checked(&snapshot).await;
        assert!(report.is_sound(), "{:#?}", report.defects);
        assert_eq!(report.rows, snapshot.rows());
    }
}

/// A source of columns and no rows.
struct Empty(SchemaRef);

impl TableSource for Empty {
    fn name(&self) -> &str {
        "nothing"
    }

    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn fingerprint(&self) -> String {
        "1".into()
    }

    fn pieces(&self, _columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        Ok(Box::new(std::iter::empty()))
    }
}

/// The folder of the samples, where it is at hand.
fn samples() -> Option<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/formats/hats-samples"));
    if !folder.is_dir() {
        println!("SKIPPED: {} is not there", folder.display());
        return None;
    }
    Some(folder.to_owned())
}

async fn attached_and_checked(url: &Path) -> CheckReport {
    let home = tempfile::tempdir().unwrap();
    let name = "demo.foreign".parse().unwrap();
    let url = url.display().to_string();
    let (store, options) = (store(home.path()), AttachOptions::default());
    let attached = foreign::attach(&store, "catalogs/demo/foreign/1", &name, &url, &options, Arc::new(|_, _| ()));
    let (snapshot, _) = attached.await.unwrap_or_else(|error| panic!("{url}: {error}"));
    checked(&snapshot).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trees_of_the_projects_that_define_the_format_are_sound() {
    let Some(samples) = samples() else { return };
    for sample in [
        "built-0.11.1/small_sky_source_collection",
        "built-0.11.1/small_sky_source_split",
        "hats/small_sky_nested",
        "hats/small_sky_npix_alt_suffix",
        "hats/small_sky_npix_as_dir",
        "hats/small_sky_o1_collection",
        "hats/small_sky_source",
        "hats/square_map",
        "hats-cloudtests/small_sky",
        "hats-import/small_sky_object_catalog",
        "hats-import/small_sky_object_source_association",
        "hats-import/small_sky_source_catalog",
        "lsdb/small_sky",
        "lsdb/small_sky_order1_collection",
        "lsdb/small_sky_xmatch",
    ] {
        let report = attached_and_checked(&samples.join(sample)).await;
        assert!(report.is_sound(), "{sample}: {:#?}", report.defects);
        println!("{sample}: {} rows, {:?}, {:?}", report.rows, report.members, report.unchecked);
    }
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Puts copies of the last row in place of the first ones of a file, so that all counts stay as they are.
fn lose_rows(file: &Path, rows: usize) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let all = concat_batches(&schema, &batches).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(file).unwrap(), schema, None).unwrap();
    let last = all.slice(all.num_rows() - 1, 1);
    writer.write(&all.slice(rows, all.num_rows() - rows)).unwrap();
    (0..rows).for_each(|_| writer.write(&last).unwrap());
    writer.close().unwrap();
}

/// The first data file below a folder.
fn first_leaf(folder: &Path) -> PathBuf {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let is_leaf = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
    let below = entries.iter().find(|path| path.is_dir() || is_leaf(path)).unwrap();
    if below.is_dir() { first_leaf(below) } else { below.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_margin_or_index_of_somebody_else_lacks_is_found() {
    let Some(samples) = samples() else { return };
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("collection");
    copy(&samples.join("built-0.11.1/small_sky_source_collection"), &tree);
    let margin = first_leaf(&tree.join("small_sky_source_1deg/dataset"));
    let index = first_leaf(&tree.join("small_sky_source_object_id/dataset/index"));
    lose_rows(&margin, 100);
    lose_rows(&index, 3);
    let defects = attached_and_checked(&tree).await.defects;
    let margin = margin.strip_prefix(&tree).unwrap().display().to_string();
    let lacking = |file: &str, what: &str| {
        defects.iter().filter(|defect| defect.file == file && defect.what.starts_with(what)).count()
    };
    assert_eq!(lacking(&margin, "it lacks"), 1, "{defects:#?}");
    assert_eq!(lacking("small_sky_source_object_id", "it lacks 1 value of object_id"), 3, "{defects:#?}");
    assert!(
        defects.iter().all(|defect| defect.file.contains("1deg") || defect.file.contains("object_id")),
        "{defects:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_left_out_is_told_of() {
    let Some(samples) = samples() else { return };
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("collection");
    copy(&samples.join("built-0.11.1/small_sky_source_collection"), &tree);
    for name in ["hats.properties", "properties"] {
        let file = tree.join("small_sky_source_1deg").join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("hats_nrows=8669", "hats_nrows=8670")).unwrap();
    }
    let report = attached_and_checked(&tree).await;
    let [told] = &report.unchecked[..] else { panic!("{:?}", report.unchecked) };
    assert!(told.starts_with("left out: its member small_sky_source_1deg: "), "{told}");
    assert!(told.ends_with("hats_nrows tells 8670 rows, but its files have 8669: 1 rows are missing"), "{told}");
    assert_eq!(report.members.len(), 3, "{:?}", report.members);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_follows_another_is_sound_with_its_margin_and_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("store"));
    let created: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let plan = |name: &str| ImportPlan {
        max_rows: 1_000,
        spill: folder.path().to_owned(),
        ..ImportPlan::new(name.parse().unwrap(), created)
    };
    let stars = import::run(
        &store,
        "catalogs/demo/stars/1",
        vec![Sky::source(5_000, Table::Stars)],
        plan("demo.stars"),
        Arc::new(|_| ()),
    );
    let (director, _) = stars.await.unwrap();
    let position = |own| import::PositionPlan::Like {
        director: Arc::new(director.clone()),
        director_name: "demo.stars".into(),
        director_key: "source_id".into(),
        key: "source_id".into(),
        own,
    };
    let own = Some(("ra".to_owned(), "dec".to_owned(), import::PositionUnit::Auto));
    for (root, own, margins) in [("2", own, vec![Arcsec(20.0)]), ("3", None, Vec::new())] {
        let position = position(own);
        let plan = ImportPlan { position, margins, indexes: vec!["source_id".into()], ..plan("demo.detections") };
        let root = format!("catalogs/demo/detections/{root}");
        let sources = vec![Sky::source(5_000, Table::Stars)];
        let (snapshot, _) = import::run(&store, &root, sources, plan, Arc::new(|_| ())).await.unwrap();
        let report = checked(&snapshot).await;
        assert!(report.is_sound(), "{:#?}", report.defects);
        assert_eq!((report.rows, report.members.last().unwrap().1), (5_000, 5_000));
    }
}
