//! What a scan reads, by the counts of the reader, and what was told of it before.

mod joined;
mod operators;

use std::{fs, path::Path, sync::Arc};

use catalogs::{
    CatalogStore, StoreOptions,
    foreign::{self, AttachOptions},
};
use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray},
        compute::{cast, concat_batches},
        datatypes::{DataType, Int64Type},
    },
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    parquet::{arrow::ArrowWriter, file::properties::WriterProperties},
    physical_plan::{ExecutionPlan, collect, metrics::MetricValue},
};
use sky::{Order, Pixel};
use tokio::sync::OnceCell;

use crate::{
    EngineOptions, Language, QueryLimits, TableSet,
    limits::watch::Watch,
    planning::{self, Planned, Question},
    session::Means,
};

/// Rows of a file, of a row group and of a page.
const ROWS: (u64, usize, usize) = (768, 192, 16);

/// How a tree deviates from the plainest.
#[derive(Clone, Copy)]
struct Tree {
    name: &'static str,
    /// Of the column of cells.
    order: u8,
    unsigned: bool,
    /// Whether every ninth row has no cell.
    holes: bool,
}

const PLAIN: Tree = Tree { name: "plain", order: 29, unsigned: false, holes: false };
const TREES: [Tree; 4] = [
    PLAIN,
    Tree { name: "unsigned", unsigned: true, ..PLAIN },
    Tree { name: "coarse", order: 13, ..PLAIN },
    Tree { name: "holes", unsigned: true, holes: true, ..PLAIN },
];

/// The rows of a partition: along the sky, the brighter first, every seventh without a magnitude, as NaN.
fn rows(tree: &Tree, pixel: Pixel) -> RecordBatch {
    let range = pixel.range();
    let step = (range.end - range.start) / ROWS.0;
    let cells: Vec<u64> = (0..ROWS.0).map(|row| range.start + row * step + step / 2).collect();
    let places: Vec<_> = cells.iter().map(|cell| Pixel::new(Order::MAX, *cell).unwrap().center()).collect();
    let number = |(row, cell): (usize, &u64)| {
        let hole = tree.holes && row % 9 == 0;
        (!hole).then_some((cell >> (2 * (29 - tree.order))) as i64)
    };
    let stored: ArrayRef = Arc::new(cells.iter().enumerate().map(number).collect::<Int64Array>());
    let stored = if tree.unsigned { cast(&stored, &DataType::UInt64).unwrap() } else { stored };
    let numbers =
        |number: fn(u64) -> f64| Arc::new(Float64Array::from_iter_values((0..ROWS.0).map(number))) as ArrayRef;
    let index = pixel.index() as i64;
    RecordBatch::try_from_iter_with_nullable([
        ("cell", stored, true),
        ("id", Arc::new(Int64Array::from_iter_values((0..ROWS.0 as i64).map(|row| index * 1_000 + row))), true),
        ("ra", Arc::new(Float64Array::from_iter_values(places.iter().map(|place| place.lon.deg()))), true),
        ("dec", Arc::new(Float64Array::from_iter_values(places.iter().map(|place| place.lat.deg()))), true),
        ("mag", numbers(|row| if row % 7 == 3 { f64::NAN } else { 10.0 + row as f64 / 100.0 }), true),
        ("err", numbers(|row| 0.01 + row as f64 / 100_000.0), true),
        ("delta", Arc::new(Int64Array::from_iter_values((0..ROWS.0 as i64).map(|row| row - 300))), true),
        ("seen", Arc::new(TimestampMicrosecondArray::from_iter_values((0..ROWS.0 as i64).map(seen))), true),
    ])
    .unwrap()
}

/// Every 17 minutes from the year 2000 on.
fn seen(row: i64) -> i64 {
    946_684_800_000_000 + row * 1_020_000_000
}

fn write(root: &Path, tree: &Tree) {
    let properties = || {
        let small = WriterProperties::builder().set_max_row_group_row_count(Some(ROWS.1));
        small.set_data_page_row_count_limit(ROWS.2).set_write_batch_size(ROWS.2).build()
    };
    let dataset = root.join("dataset/Norder=1/Dir=0");
    fs::create_dir_all(&dataset).unwrap();
    let order = Order::new(1).unwrap();
    let mut partitions = "Norder,Npix\n".to_owned();
    for index in 0..order.cells() {
        let rows = rows(tree, Pixel::new(order, index).unwrap());
        let file = fs::File::create(dataset.join(format!("Npix={index}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties())).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        partitions += &format!("1,{index}\n");
    }
    fs::write(root.join("partition_info.csv"), partitions).unwrap();
    let told = "obs_collection=c\ndataproduct_type=object\nhats_col_ra=ra\nhats_col_dec=dec\nhats_col_healpix=cell\n";
    let told = format!("{told}hats_col_healpix_order={}\nhats_nrows={}\n", tree.order, order.cells() * ROWS.0);
    fs::write(root.join("hats.properties"), told).unwrap();
}

struct House {
    _folder: tempfile::TempDir,
    means: Means,
    tables: TableSet,
}

async fn house() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let url = folder.path().join("home").display().to_string();
            let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
            let mut tables = Vec::new();
            for tree in &TREES {
                let root = folder.path().join(tree.name);
                write(&root, tree);
                let name: catalogs::TableName = format!("t.{}", tree.name).parse().unwrap();
                let (path, options) = (root.display().to_string(), AttachOptions::default());
                let home = format!("catalogs/t/{}/1", tree.name);
                let attached = foreign::attach(&store, &home, &name, &path, &options, Arc::new(|_, _| ())).await;
                tables.push((name, Arc::new(attached.unwrap().0)));
            }
            let options = EngineOptions { threads: 2, ..EngineOptions::default() };
            House { _folder: folder, means: Means::new(&options).unwrap(), tables: TableSet::new(tables).unwrap() }
        })
        .await
}

/// A query, planned, and what counts the bytes that it reads.
async fn planned(text: &str) -> (Planned, Arc<Watch>) {
    planned_as(Language::Adql, text).await
}

async fn planned_as(language: Language, text: &str) -> (Planned, Arc<Watch>) {
    let House { means, tables, .. } = house().await;
    let watch = Watch::begin(&QueryLimits::default());
    let session = means.session(tables, Arc::clone(&watch), None);
    let question = planning::question(&session, tables, language, text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let Question::Answer(statement) = question else { panic!("{text} explains") };
    (planning::plan(session, tables.clone(), statement, None).await.unwrap(), watch)
}

/// What was read for an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    rows: usize,
    files: usize,
    row_groups: usize,
    pages: usize,
    bytes: u64,
}

impl Read {
    fn count(&mut self, plan: &dyn ExecutionPlan) {
        if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
            let files = scan.data_source().downcast_ref::<FileScanConfig>().unwrap();
            self.files += files.file_groups.iter().map(|group| group.len()).sum::<usize>();
            for metric in scan.metrics().unwrap().iter() {
                let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value() else { continue };
                match name.as_ref() {
                    "row_groups_pruned_statistics" => self.row_groups += pruning_metrics.matched(),
                    "page_index_pages_pruned" => self.pages += pruning_metrics.matched(),
                    _ => {}
                }
            }
        }
        plan.children().into_iter().for_each(|child| self.count(&**child));
    }
}

/// What is read once the footers are known, and the numbers of the rows found.
async fn read(text: &str) -> (Read, Vec<i64>) {
    let (first, _) = planned(text).await;
    collect(Arc::clone(&first.physical), first.context()).await.unwrap();
    let (planned, watch) = planned(text).await;
    let batches = collect(Arc::clone(&planned.physical), planned.context()).await.unwrap();
    let rows = concat_batches(&planned.physical.schema(), &batches).unwrap();
    let mut read = Read { rows: rows.num_rows(), bytes: watch.read(), ..Read::default() };
    read.count(&*planned.physical);
    let ids = rows.column_by_name("id").map(|ids| ids.as_primitive::<Int64Type>().values().to_vec());
    let mut ids = ids.unwrap_or_default();
    ids.sort_unstable();
    (read, ids)
}

const CONE: &str = "1 = CONTAINS(POINT(ra, dec), CIRCLE(211, 17, 2))";

#[tokio::test(flavor = "multi_thread")]
async fn a_cone_reads_a_few_files_row_groups_and_pages_wherever_it_stands() {
    for tree in &TREES {
        let query = |condition: &str| format!("SELECT id, mag, err FROM t.{} WHERE {condition}", tree.name);
        let (first, found) = read(&query(&format!("{CONE} AND id > -1"))).await;
        let (all, every) = read(&query("id + 0 > -1 AND DISTANCE(ra + 0, dec, 211, 17) <= 2")).await;
        assert_eq!(found, every, "{}", tree.name);
        assert!(first.rows > 5 && first.files <= 2 && all.files == 48, "{}: {first:?} of {all:?}", tree.name);
        // A row without a cell may be in every row group and page.
        let (row_groups, pages) = if tree.holes { (4, 48) } else { (1, 9) };
        assert!(first.row_groups <= row_groups && all.row_groups == 192, "{}: {first:?} of {all:?}", tree.name);
        assert!(first.pages > 0 && first.pages <= pages, "{}: {first:?}", tree.name);
        assert!(first.bytes * 20 < all.bytes, "{}: {first:?} of {all:?}", tree.name);
        for condition in [
            format!("id > -1 AND {CONE}"),
            format!("(id > -1 AND id < 1000000) AND ({CONE} AND id <> 77777777)"),
            format!("NOT (id < 0 OR NOT {CONE})"),
            format!("({CONE} AND id > 30) OR ({CONE} AND id BETWEEN 0 AND 30)"),
            format!("{CONE} AND (id > -1 OR {CONE})"),
            "DISTANCE(POINT(211, 17), POINT(ra, dec)) <= 2 AND id > -1".to_owned(),
        ] {
            let (read, ids) = read(&query(&condition)).await;
            assert_eq!((read.files, read.row_groups), (first.files, first.row_groups), "{condition}");
            assert!(read.bytes <= first.bytes + 4_000, "{}: {condition}: {read:?}, {first:?}", tree.name);
            assert_eq!(ids, found, "{condition}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_columns_leave_out_files_row_groups_and_pages() {
    for (condition, files, row_groups, pages) in [
        ("id BETWEEN 5000 AND 5010", 1, 1, 1),
        ("dec > 80", 4, 8, 60),
        ("mag < 10.1", 48, 48, 48),
        ("mag > 11.95 AND mag < 12", 48, 96, 96),
        ("mag IN (10.5, 10.51)", 48, 48, 48),
        ("err >= 0.0176", 48, 48, 48),
        ("cell < 1000000000000000", 1, 1, 1),
    ] {
        let query = |condition: &str| format!("SELECT id, mag, err, dec FROM t.plain WHERE {condition}");
        let computed = ["id ", "dec ", "mag ", "err ", "cell "]
            .iter()
            .fold(condition.to_owned(), |text, column| text.replace(column, &format!("{column}+ 0 ")));
        let ((some, found), (all, every)) = (read(&query(condition)).await, read(&query(&computed)).await);
        assert_eq!(found, every, "{condition}");
        assert!(!found.is_empty(), "{condition}");
        assert!(
            some.files <= files && some.row_groups <= row_groups && some.pages <= pages,
            "{condition}: {some:?} of {all:?}"
        );
        assert!(some.bytes < all.bytes * 3 / 5, "{condition}: {some:?} of {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_comes_again_reads_no_footer_and_no_page_index() {
    let text = "SELECT mag FROM t.plain WHERE mag < 10.05";
    let (read, _) = read(text).await;
    let (planned, _) = planned(text).await;
    assert_eq!(read.bytes, planned.estimate(None).await.unwrap().bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_before_a_run_is_what_it_reads() {
    for (text, exact) in [
        ("SELECT id FROM t.plain", true),
        ("SELECT * FROM t.holes", true),
        ("SELECT mag FROM t.plain WHERE mag < 10.1", true),
        ("SELECT err FROM t.plain WHERE err > 0.0150 AND err < 0.0151", true),
        ("SELECT ra, dec FROM t.plain WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(211, 17, 2))", true),
        ("SELECT ra, dec FROM t.coarse WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(211, 17, 2))", true),
        ("SELECT id, mag FROM t.plain WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(211, 17, 2))", false),
        ("SELECT id, err FROM t.unsigned WHERE mag BETWEEN 11 AND 11.1 AND dec > 60", false),
    ] {
        let (planned, watch) = planned(text).await;
        let told = planned.estimate(None).await.unwrap();
        let footers = watch.read();
        let batches = collect(Arc::clone(&planned.physical), planned.context()).await.unwrap();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let bytes = watch.read() - footers;
        let mut read = Read::default();
        read.count(&*planned.physical);
        assert!((told.rows.0..=told.rows.1).contains(&(rows as u64)), "{text}: {rows} rows, {told:?}");
        match exact {
            true => assert_eq!((read.files as u64, bytes), (told.files, told.bytes), "{text}: {read:?}, {told:?}"),
            // Rows are thrown out before all of their columns are read; a page more than was asked for may come along.
            false => assert!(bytes <= told.bytes + told.bytes / 20, "{text}: {bytes} read, {told:?}"),
        }
        if text.contains("WHERE") {
            // Of some row groups the pages leave nothing.
            let groups = (told.row_groups, read.row_groups as u64);
            assert!(if exact { groups.0 == groups.1 } else { groups.0 <= groups.1 }, "{text}: {read:?}, {told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_as_wide_as_a_column_says_is_looked_for_as_far_as_the_widest_reaches() {
    let around = "1 = INTERSECTS(CIRCLE(ra, dec, err), CIRCLE(211, 17, 1))";
    let (some, found) = read(&format!("SELECT id FROM t.plain WHERE {around}")).await;
    let (all, every) =
        read(&format!("SELECT id FROM t.plain WHERE {}", around.replace("CIRCLE(ra,", "CIRCLE(ra + 0,"))).await;
    assert_eq!(found, every);
    assert!(some.files <= 2 && all.files == 48, "{some:?} of {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_changed_values_are_true_of_as_many_rows_as_there_are() {
    let count = async |text: String| {
        let (planned, _) = planned_as(Language::Sql, &text).await;
        let batches = collect(Arc::clone(&planned.physical), planned.context()).await.unwrap();
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    };
    for condition in [
        "CAST(seen AS TIME) > TIME '12:00:00'",
        "CAST(seen AS TIME) < TIME '01:00:00'",
        "CAST(seen AS DATE) = DATE '2000-01-03'",
        "date_trunc('day', seen) = TIMESTAMP '2000-01-03T00:00:00'",
        "EXTRACT(HOUR FROM seen) = 3",
        "EXTRACT(YEAR FROM seen) = 2000",
        "CAST(delta AS BOOLEAN) < true",
        "NOT CAST(delta AS BOOLEAN)",
        "CAST(delta AS BOOLEAN) IN (false)",
        "TRY_CAST(id AS SMALLINT) > 32000",
        "TRY_CAST(delta AS SMALLINT) = -1",
        "CAST(delta AS VARCHAR) < '-2'",
        "-delta > 290",
        "abs(delta) < 3",
        "delta % 100 = 0",
        "delta & 255 = 255",
        "delta IN (1, 2, NULL)",
        "delta NOT IN (1, NULL)",
        "delta IS DISTINCT FROM 4",
        "delta IS NOT DISTINCT FROM 4",
        "mag IS DISTINCT FROM 12.0",
        "(delta > 3) IS NOT TRUE",
        "(mag > 12) IS NOT TRUE",
        "(mag > 12) IS UNKNOWN",
        "(mag < 12) = false",
        "(delta > 460) <> (delta > 464)",
        "NOT (mag < 12 OR mag IS NULL)",
        "COALESCE(mag, 99.0) > 98",
        "CAST(mag AS INTEGER) = 12",
        "CAST(mag AS REAL) = CAST(12.01 AS REAL)",
        "CASE WHEN delta > 460 THEN true ELSE mag < 10.01 END",
    ] {
        let found = count(format!("SELECT COUNT(*) FROM t.holes WHERE {condition}")).await;
        let every = format!("SELECT CAST(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END) AS BIGINT) FROM t.holes");
        assert_eq!(found, count(every).await, "{condition}");
        assert!(found > 0 || condition.contains("NOT IN"), "{condition}");
    }
    let within = "SELECT COUNT(*) FROM (SELECT CAST(seen AS TIME) AS t FROM t.plain) AS q WHERE t > TIME '12:00:00'";
    assert_eq!(count(within.to_owned()).await, 18_240);
    for (text, rows) in [
        ("SELECT COUNT(*) FROM (SELECT id FROM t.plain LIMIT 10) AS q", 10),
        ("SELECT COUNT(*) FROM (SELECT id FROM t.plain WHERE delta > 0 LIMIT 10) AS q", 10),
        ("SELECT COUNT(*) FROM (SELECT id FROM t.plain LIMIT 10 OFFSET 36860) AS q", 4),
        ("SELECT COUNT(*) FROM (SELECT id FROM t.plain WHERE delta = 460 LIMIT 60) AS q", 48),
    ] {
        assert_eq!(count(text.to_owned()).await, rows, "{text}");
    }
}
