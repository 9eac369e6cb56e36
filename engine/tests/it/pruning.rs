//! What is left out holds nothing that was asked for: random conditions, with geometry anywhere in them, are answered by
//! tables whose files, row groups and pages are small, and compared with the same conditions computed for every row.
//!
//! The other answer is `CASE WHEN condition THEN 1 ELSE 0 END` of each row of the whole table, in the list of what is
//! selected: no filter, so nothing can be left out. `ALMAGEST_PREDICATES=4000` asks more than the usual number.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    },
    compute::concat_batches,
    datatypes::{Float64Type, Int64Type, SchemaRef},
};
use catalogs::{
    CatalogSnapshot, CatalogStore, StoreOptions, TableName,
    foreign::{self, AttachOptions},
    import::{self, ImportPlan, PositionPlan, PositionUnit},
};
use datafusion::parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use engine::{Engine, EngineOptions, Language, QueryLimits, TableSet};
use formats::Batches;
use futures::StreamExt;
use tokio::sync::OnceCell;

const ROWS: i64 = 6_000;
/// Conditions that are computed in one pass over a table.
const AT_ONCE: usize = 40;

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Where things are: crowds, the poles, and both sides of the meridian where right ascension begins.
fn place(draw: &mut Draw) -> (f64, f64) {
    match draw.below(8) {
        0 => (draw.unit() * 360.0, 90.0 - draw.unit() * draw.unit() * 3.0),
        1 => (draw.unit() * 360.0, -90.0 + draw.unit() * draw.unit() * 3.0),
        2 => ((359.0 + draw.unit() * 2.0) % 360.0, draw.unit() * 4.0 - 2.0),
        3 => (of_few(draw, &[0.0, 90.0, 180.0, 45.0, 359.999_999_999]), of_few(draw, &[90.0, -90.0, 0.0, 41.81])),
        4 | 5 => (260.0 + draw.unit() * 10.0, -30.0 + draw.unit() * 10.0),
        _ => (draw.unit() * 360.0, (draw.unit() * 2.0 - 1.0).asin().to_degrees()),
    }
}

fn of_few(draw: &mut Draw, few: &[f64]) -> f64 {
    few[draw.below(few.len() as u64) as usize]
}

/// Rows with what is missing as NULL, or, of the floating columns, as NaN here and NULL there.
fn rows(first: i64, parents: Option<&[(f64, f64)]>, nan: bool) -> (Vec<(f64, f64)>, RecordBatch) {
    let mut draw = Draw(first as u64 + 7);
    let mut places = Vec::new();
    let (mut mag, mut plx, mut flags, mut name, mut ok, mut parent) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..ROWS {
        let (ra, dec) = match parents {
            None => place(&mut draw),
            Some(parents) => {
                let (ra, dec) = parents[(row * 7 % ROWS) as usize];
                let dec = (dec + draw.unit() * 0.4 - 0.2).clamp(-90.0, 90.0);
                ((ra + draw.unit() * 0.1 + 360.0) % 360.0, dec)
            }
        };
        places.push((ra, dec));
        let missing = if nan && draw.below(2) == 0 { Some(f64::NAN) } else { None };
        // Brighter in the south, so that the ranges of files differ, and in steps, so that equality is met.
        let bright = (8.0 + dec / 15.0 + draw.unit() * 4.0) * 8.0;
        mag.push(if draw.below(9) == 0 { missing } else { Some(bright.round() / 8.0) }.map(|mag| mag as f32));
        plx.push(if dec > 20.0 && draw.below(3) > 0 { missing } else { Some((draw.unit() * 40.0).round() / 4.0) });
        flags.push((draw.below(7) > 0).then(|| (ra / 60.0) as i32 * 10 + draw.below(3) as i32));
        name.push((dec < 0.0).then(|| format!("{}{}", ["alpha", "beta", "Ω"][draw.below(3) as usize], draw.below(40))));
        ok.push((draw.below(4) > 0).then_some(ra > 180.0));
        parent.push(row * 7 % ROWS);
    }
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(first..first + ROWS)) as ArrayRef, false),
        ("ra", Arc::new(Float64Array::from_iter_values(places.iter().map(|place| place.0))), true),
        ("dec", Arc::new(Float64Array::from_iter_values(places.iter().map(|place| place.1))), true),
        ("mag", Arc::new(Float32Array::from(mag)), true),
        ("plx", Arc::new(Float64Array::from(plx)), true),
        ("flags", Arc::new(Int32Array::from(flags)), true),
        ("name", Arc::new(StringArray::from(name)), true),
        ("ok", Arc::new(BooleanArray::from(ok)), true),
        ("parent", Arc::new(Int64Array::from(parent)), true),
    ]);
    (places, batch.unwrap())
}

struct House {
    _folder: tempfile::TempDir,
    engine: Engine,
    tables: TableSet,
}

async fn imported(store: &CatalogStore, name: &str, rows: RecordBatch, plan: ImportPlan) -> Arc<CatalogSnapshot> {
    let given = Batches::new(name, rows.schema(), vec![rows]);
    let folder = format!("versions/{name}");
    let done = import::run(store, &folder, vec![Box::new(given)], plan, Arc::new(|_| ())).await;
    Arc::new(done.unwrap().0)
}

/// A copy of a tree in row groups and pages of a few rows, attached as somebody else's.
async fn cut_small(store: &CatalogStore, folder: &Path, name: &str) -> Arc<CatalogSnapshot> {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => copy(&path, &to),
                Some("parquet") => rewrite(&path, &to),
                _ if path.file_name().unwrap() == "_metadata" => {} // of the files as they were
                _ => drop(fs::copy(&path, &to).unwrap()),
            }
        }
    }
    fn rewrite(from: &Path, to: &Path) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(from).unwrap()).unwrap();
        let schema: SchemaRef = Arc::clone(reader.schema());
        let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
        let small = WriterProperties::builder()
            .set_max_row_group_row_count(Some(48))
            .set_data_page_row_count_limit(8)
            .set_write_batch_size(8)
            .set_statistics_truncate_length(Some(3))
            .set_column_index_truncate_length(Some(3))
            .build();
        let mut writer = ArrowWriter::try_new(fs::File::create(to).unwrap(), Arc::clone(&schema), Some(small)).unwrap();
        writer.write(&concat_batches(&schema, &batches).unwrap()).unwrap();
        writer.close().unwrap();
    }
    let tree = folder.join(format!("small-{name}"));
    copy(&folder.join("store/versions").join(name).join(name), &tree);
    let table: TableName = format!("p.small_{name}").parse().unwrap();
    let (path, options) = (tree.display().to_string(), AttachOptions::default());
    let root = format!("versions/small-{name}");
    let attached = foreign::attach(store, &root, &table, &path, &options, Arc::new(|_, _| ())).await;
    Arc::new(attached.unwrap().0)
}

async fn house() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let url = folder.path().join("store").display().to_string();
            let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
            let plan = |name: &str| {
                let name: TableName = format!("p.{name}").parse().unwrap();
                let spill = folder.path().join("spill");
                ImportPlan { max_rows: 300, spill, threads: 2, ..ImportPlan::new(name, Default::default()) }
            };
            let (places, stars) = rows(0, None, false);
            let (_, nan) = rows(0, None, true);
            let (_, kids) = rows(100_000, Some(&places), false);
            let ten = stars.slice(0, 10);
            let stars = imported(&store, "stars", stars, plan("stars")).await;
            let nan = imported(&store, "nan", nan, ImportPlan { keep_nan: true, ..plan("nan") }).await;
            let like = PositionPlan::Like {
                director: Arc::clone(&stars),
                director_name: "p.stars".into(),
                director_key: "id".into(),
                key: "parent".into(),
                own: Some(("ra".into(), "dec".into(), PositionUnit::Auto)),
            };
            let kids = imported(&store, "kids", kids, ImportPlan { position: like, ..plan("kids") }).await;
            let nowhere = ImportPlan { position: PositionPlan::None, ..plan("ten") };
            let ten = imported(&store, "ten", ten, nowhere).await;
            assert!(kids.position_slack().0 > 0.1 && !nan.descriptor().nan_is_null && stars.descriptor().nan_is_null);
            let small_stars = cut_small(&store, folder.path(), "stars").await;
            let small_nan = cut_small(&store, folder.path(), "nan").await;
            let named = [
                ("stars", stars),
                ("nan", nan),
                ("kids", kids),
                ("ten", ten),
                ("small_stars", small_stars),
                ("small_nan", small_nan),
            ];
            let tables = named.map(|(name, snapshot)| (format!("p.{name}").parse().unwrap(), snapshot));
            let tables = TableSet::new(tables).unwrap();
            let engine =
                Engine::new(EngineOptions { memory: 256 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
            House { _folder: folder, engine, tables }
        })
        .await
}

async fn ask(text: &str) -> RecordBatch {
    let house = house().await;
    let query = house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await;
    let query = query.unwrap_or_else(|error| panic!("{text}: {error}"));
    let schema = query.schema();
    let mut stream = query.run().unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch.unwrap_or_else(|error| panic!("{text}: {error}")));
    }
    concat_batches(&schema, &batches).unwrap()
}

async fn ids(text: &str) -> Vec<i64> {
    let mut ids = ask(text).await.column(0).as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}

/// For each condition, the values of a column in the rows that it is true of: by computing it for every row.
async fn by_every_row(table: &str, column: &str, conditions: &[String]) -> Vec<Vec<i64>> {
    let mut found = Vec::new();
    for some in conditions.chunks(AT_ONCE) {
        let mut text = format!("SELECT {column}");
        for (number, condition) in some.iter().enumerate() {
            write!(text, ", CASE WHEN {condition} THEN 1 ELSE 0 END AS t{number}").unwrap();
        }
        let rows = ask(&format!("{text} FROM p.{table}")).await;
        let values = rows.column(0).as_primitive::<Int64Type>().values();
        for number in 0..some.len() {
            let truth = arrow::compute::cast(rows.column(number + 1), &arrow::datatypes::DataType::Int64).unwrap();
            let truth = truth.as_primitive::<Int64Type>().values().to_vec();
            let mut of_this: Vec<i64> =
                values.iter().zip(truth).filter(|(_, truth)| *truth == 1).map(|(value, _)| *value).collect();
            of_this.sort_unstable();
            found.push(of_this);
        }
    }
    found
}

fn geometry(draw: &mut Draw) -> String {
    let (lon, lat) = place(draw);
    let radius = [0.001, 0.2, 1.0, 5.0, 30.0, 100.0, 180.0][draw.below(7) as usize] * (0.5 + draw.unit() / 2.0);
    let side = 0.1 + draw.unit() * 20.0;
    match draw.below(9) {
        6 => format!("1 = CONTAINS(POINT(ra, dec), BOX({lon}, {}, {side}, {}))", lat * 0.8, side / 3.0),
        7 => {
            let (low, high) = (lat * 0.7 - 0.5, lat * 0.7 + side);
            let corners = [(lon, low), (lon + side, low), (lon + side / 2.0, high)];
            let corners = corners.map(|(lon, lat)| format!("{}, {lat}", lon % 360.0)).join(", ");
            format!("{} = INTERSECTS(POINT(ra, dec), POLYGON({corners}))", draw.below(2))
        }
        8 => format!("IVO_HEALPIX_INDEX({}, ra, dec) = {}", draw.below(4), draw.below(12)),
        0 | 1 => format!("1 = CONTAINS(POINT(ra, dec), CIRCLE({lon}, {lat}, {radius}))"),
        2 => format!("CONTAINS(POINT('ICRS', ra, dec), CIRCLE({lon}, {lat}, {radius})) = 0"),
        3 => format!("DISTANCE(ra, dec, {lon}, {lat}) {} {radius}", draw.of(&["<", "<=", ">", ">="])),
        4 => format!("{radius} {} DISTANCE(POINT({lon}, {lat}), POINT(ra, dec))", draw.of(&["<", "<=", ">", ">="])),
        _ => format!("0 <> CONTAINS(POINT(ra, dec), CIRCLE({lon}, {lat}, {radius}))"),
    }
}

fn comparison(draw: &mut Draw, cells: bool) -> String {
    let mag = (draw.below(80) as f64 + 40.0) / 8.0;
    let plx = draw.below(44) as f64 / 4.0;
    let compared = draw.of(&["<", "<=", ">", ">=", "=", "<>"]);
    match draw.below(if cells { 17 } else { 15 }) {
        0 | 1 => format!("mag {compared} {mag}"),
        2 => format!("{mag} {compared} mag"),
        3 => format!("plx {compared} {plx}"),
        4 => format!("{} IS {}NULL", draw.of(&["mag", "plx", "name", "flags", "ok"]), draw.of(&["", "NOT "])),
        5 => format!("mag {}BETWEEN {mag} AND {}", draw.of(&["", "NOT "]), mag + draw.below(3) as f64),
        6 => format!("flags {}IN ({}, {}, 999)", draw.of(&["", "NOT "]), draw.below(60), draw.below(60)),
        7 => format!("flags {compared} {}", draw.below(60)),
        8 => format!("name {}LIKE '{}'", draw.of(&["", "NOT "]), draw.of(&["alpha1%", "b%", "%9", "Ω3_", "zz%"])),
        9 => format!("name {compared} '{}'", draw.of(&["alpha2", "beta39", "Ω", "Ω7", "zzz"])),
        10 => format!("id {compared} {}", draw.below(7_000)),
        11 => format!("mag + 1 {compared} plx"),
        12 => format!("dec {compared} {}", draw.unit() * 180.0 - 90.0),
        13 => format!("mag * 2.0 {compared} {}", mag * 2.0),
        14 => format!("mag IN ({mag}, {}, {plx})", mag + 1.0),
        _ => format!("\"_healpix_29\" {compared} {}", draw.bits() % (12 << 58)),
    }
}

fn condition(draw: &mut Draw, depth: u32, sky: bool) -> String {
    match draw.below(if depth == 0 { 3 } else { 7 }) {
        0 if sky => geometry(draw),
        0..=2 => comparison(draw, sky),
        3 | 4 => format!("({} AND {})", condition(draw, depth - 1, sky), condition(draw, depth - 1, sky)),
        5 => format!("({} OR {})", condition(draw, depth - 1, sky), condition(draw, depth - 1, sky)),
        _ => format!("NOT ({})", condition(draw, depth - 1, sky)),
    }
}

fn conditions(seed: u64, sky: bool) -> Vec<String> {
    let number = std::env::var("ALMAGEST_PREDICATES").map_or(60, |number| number.parse().unwrap());
    let mut draw = Draw(seed);
    (0..number).map(|_| condition(&mut draw, 3, sky)).collect()
}

async fn holds_for(table: &str, seed: u64, sky: bool) {
    let conditions = conditions(seed, sky);
    let expected = by_every_row(table, "id", &conditions).await;
    for (condition, expected) in conditions.iter().zip(&expected) {
        let found = ids(&format!("SELECT id FROM p.{table} WHERE {condition}")).await;
        assert_eq!(&found, expected, "p.{table} WHERE {condition}");
    }
    assert!(expected.iter().filter(|rows| !rows.is_empty()).count() * 3 > conditions.len(), "most find something");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_a_table_of_ours_is_answered_as_if_every_row_were_read() {
    holds_for("stars", 1, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nan_that_was_kept_hides_no_row_and_shows_none() {
    holds_for("nan", 2, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_kept_with_the_rows_that_they_belong_to_are_found_where_they_are() {
    holds_for("kids", 3, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_and_pages_of_a_few_rows_hide_nothing() {
    holds_for("small_stars", 4, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_and_pages_of_a_few_rows_with_nan_hide_nothing() {
    holds_for("small_nan", 5, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_ten_rows_without_positions_is_a_table_like_any_other() {
    holds_for("ten", 6, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_and_queries_within_queries_find_the_same_rows() {
    let (of_stars, of_kids) = (conditions(7, true), conditions(8, true));
    let qualified = |condition: &str, alias: &str| {
        ["ra", "dec", "mag", "plx", "flags", "name", "ok", "id", "\"_healpix_29\""].iter().fold(
            format!(" {condition} "),
            |text, column| {
                let name = column.trim_matches('"');
                let mut done = String::new();
                let mut rest = text.as_str();
                while let Some(at) = rest.find(column) {
                    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'' || c == '.';
                    let before = rest[..at].chars().next_back().is_some_and(word);
                    let after = rest[at + column.len()..].chars().next().is_some_and(word);
                    let whole = !before && !after || column.starts_with('"');
                    done.push_str(&rest[..at]);
                    match (whole, column.starts_with('"')) {
                        (true, true) => write!(done, "{alias}.\"{name}\"").unwrap(),
                        (true, false) => write!(done, "{alias}.{name}").unwrap(),
                        _ => done.push_str(column),
                    }
                    rest = &rest[at + column.len()..];
                }
                done + rest
            },
        )
    };
    for table in ["stars", "small_nan"] {
        let stars = by_every_row(table, "id", &of_stars).await;
        let (kids, parents) =
            (by_every_row("kids", "id", &of_kids).await, by_every_row("kids", "parent", &of_kids).await);
        for number in 0..of_stars.len().min(80) {
            let (here, there) = (qualified(&of_stars[number], "a"), qualified(&of_kids[number], "b"));
            let stars: BTreeSet<i64> = stars[number].iter().copied().collect();
            let with_child: BTreeSet<i64> = parents[number].iter().copied().collect();
            let belonging = |kid: i64| (kid - 100_000) * 7 % ROWS;
            let joined =
                format!("SELECT b.id FROM p.{table} AS a JOIN p.kids AS b ON a.id = b.parent WHERE {here} AND {there}");
            let expected: Vec<i64> =
                kids[number].iter().copied().filter(|kid| stars.contains(&belonging(*kid))).collect();
            assert_eq!(ids(&joined).await, expected, "{joined}");
            let within = format!(
                "SELECT a.id FROM p.{table} AS a WHERE {here} AND a.id IN (SELECT b.parent FROM p.kids AS b WHERE {there})"
            );
            let expected: Vec<i64> = stars.intersection(&with_child).copied().collect();
            assert_eq!(ids(&within).await, expected, "{within}");
            let without = format!(
                "SELECT a.id FROM p.{table} AS a WHERE {here} AND NOT EXISTS (SELECT 1 FROM p.kids AS b WHERE b.parent = a.id AND {there})"
            );
            let expected: Vec<i64> = stars.difference(&with_child).copied().collect();
            assert_eq!(ids(&without).await, expected, "{without}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_by_cells_are_known_of_the_files_that_lie_within_one() {
    let house = house().await;
    let counts = |cell: &str, of: &str| format!("SELECT {cell} AS cell, COUNT(*) AS n FROM p.{of} GROUP BY {cell}");
    let read = async |text: &str| {
        let query = house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await.unwrap();
        let files: BTreeSet<String> = query
            .plan_text()
            .match_indices("Npix=")
            .map(|(at, _)| at)
            .map(|at| {
                let plan = query.plan_text();
                let from = plan[..at]
                    .rfind('[')
                    .map_or(0, |from| from + 1)
                    .max(plan[..at].rfind(", ").map_or(0, |from| from + 2));
                plan[from..].split(".parquet").next().unwrap_or_default().to_owned()
            })
            .collect();
        files.len()
    };
    for table in ["stars", "nan", "kids", "small_stars"] {
        let mut before = 0;
        for order in [0, 1, 2, 3, 4, 6, 9, 29] {
            let cell = format!("IVO_HEALPIX_INDEX({order}, ra, dec)");
            let (known, every) = (counts(&cell, table), counts(&cell.replace("ra", "ra + 0"), table));
            let answer = ask(&format!("{known} ORDER BY cell")).await;
            assert_eq!(answer, ask(&format!("{every} ORDER BY cell")).await, "{known}");
            let some = format!("{} HAVING COUNT(*) > 3 ORDER BY n DESC, cell", known);
            assert_eq!(ask(&some).await, ask(&some.replace("ra", "ra + 0")).await, "{some}");
            let within = |text: &str| text.replace(" GROUP BY", " WHERE dec > 0 GROUP BY") + " ORDER BY cell";
            assert_eq!(ask(&within(&known)).await, ask(&within(&every)).await, "{known}");
            let (files, of) = (read(&known).await, read(&every).await);
            assert!(of > 10 && files >= before && files <= of, "{known}: {files} of {of} after {before}");
            before = files;
            match (table, order) {
                ("stars" | "nan", 0) => assert_eq!(files, 0, "{known}: no file lies in two base cells"),
                ("stars" | "nan", 1) => assert!(files < of, "{known}: {files} of {of}"),
                (_, 29) => assert!(files > of / 2, "{known}: {files} of {of}"),
                ("kids" | "small_stars", _) => assert_eq!(files, of, "{known}: cells are somebody else's"),
                _ => {}
            }
        }
    }
    let text = format!("EXPLAIN {}", counts("IVO_HEALPIX_INDEX(0, ra, dec)", "stars"));
    let told = ask(&text).await;
    let told: Vec<&str> = told.column(0).as_string::<i32>().iter().flatten().collect();
    assert!(told.iter().any(|line| line.starts_with("No rows are read")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rows_of_an_order_are_the_first_of_all_rows() {
    let conditions = conditions(9, true);
    for table in ["stars", "small_nan", "kids"] {
        let all = ask(&format!("SELECT id, mag, plx, dec, \"_healpix_29\" FROM p.{table}")).await;
        let value = |column: usize, row: usize| -> f64 {
            let numbers = arrow::compute::cast(all.column(column), &arrow::datatypes::DataType::Float64).unwrap();
            let numbers = numbers.as_primitive::<Float64Type>();
            // The missing are the largest.
            if arrow::array::Array::is_null(numbers, row) { f64::INFINITY } else { numbers.value(row) }
        };
        let expected = by_every_row(table, "id", &conditions).await;
        let row_of: BTreeMap<i64, usize> =
            all.column(0).as_primitive::<Int64Type>().values().iter().copied().zip(0..).collect();
        for (number, (condition, rows)) in conditions.iter().zip(expected).enumerate().take(40) {
            let column = 1 + number % 4;
            let name = ["mag", "plx", "dec", "\"_healpix_29\""][column - 1];
            let (direction, top) = (["", " DESC"][number / 4 % 2], 1 + number * 3);
            let text = format!("SELECT TOP {top} id FROM p.{table} WHERE {condition} ORDER BY {name}{direction}");
            let mut values: Vec<f64> = rows.iter().map(|id| value(column, row_of[id])).collect();
            values.sort_by(f64::total_cmp);
            if !direction.is_empty() {
                values.reverse();
            }
            values.truncate(top);
            let found = ask(&text).await;
            let found = found.column(0).as_primitive::<Int64Type>().values();
            let found: Vec<f64> = found.iter().map(|id| value(column, row_of[id])).collect();
            assert_eq!(found, values, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_extremes_without_a_filter_are_those_of_the_rows() {
    for table in ["stars", "nan", "kids", "ten", "small_stars", "small_nan"] {
        for column in ["id", "mag", "plx", "flags", "dec", "name"] {
            let told = format!(
                "SELECT COUNT(*) AS n, COUNT({column}) AS k, MIN({column}) AS a, MAX({column}) AS b FROM p.{table}"
            );
            // With a condition that is true of every row, the rows are read.
            let read = format!("{told} WHERE id + 0 >= 0 OR id IS NULL");
            assert_eq!(ask(&told).await.columns(), ask(&read).await.columns(), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cell_of_a_position_is_the_stored_one_where_that_is_sure() {
    let text = |table: &str, k: u8, more: &str| {
        format!(
            "SELECT IVO_HEALPIX_INDEX({k}, s.ra, s.dec{more}) AS p, COUNT(s.id) AS n FROM p.{table} AS s GROUP BY IVO_HEALPIX_INDEX({k}, s.ra, s.dec{more})"
        )
    };
    for (table, stored) in [("stars", true), ("nan", true), ("kids", false), ("small_stars", false)] {
        for k in [0, 3, 29] {
            let (fast, slow) = (text(table, k, ""), text(table, k, " + 0"));
            let house = house().await;
            let query = house.engine.plan(&house.tables, Language::Adql, &fast, QueryLimits::default()).await.unwrap();
            assert_eq!(query.plan_text().contains("healpix_parent"), stored, "{}", query.plan_text());
            let sorted = |rows: RecordBatch| {
                let column = |at: usize| rows.column(at).as_primitive::<Int64Type>().values().to_vec();
                let mut rows: Vec<_> = column(0).into_iter().zip(column(1)).collect();
                rows.sort_unstable();
                rows
            };
            assert_eq!(sorted(ask(&fast).await), sorted(ask(&slow).await), "{fast}");
        }
    }
    let within = "SELECT id FROM p.stars WHERE IVO_HEALPIX_INDEX(4, ra, dec) IN (7, 2000)";
    assert_eq!(ids(within).await, ids(&within.replace("dec)", "dec + 0)")).await);
    let joined = "SELECT a.id FROM p.stars AS a JOIN p.kids AS b ON a.id = b.parent WHERE IVO_HEALPIX_INDEX(2, a.ra, a.dec) <> IVO_HEALPIX_INDEX(2, b.ra, b.dec)";
    let computed = joined.replace("dec)", "dec + 0)");
    assert!(!ids(joined).await.is_empty());
    assert_eq!(ids(joined).await, ids(&computed).await);
}

/// The rows of an answer, and how many files and bytes were read for it once the footers are known.
async fn cost(text: &str) -> (usize, u64, u64) {
    let house = house().await;
    ask(text).await;
    let query = house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await.unwrap();
    let mut rows = query.run().unwrap();
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        count += batch.unwrap().num_rows();
    }
    let progress = rows.progress();
    (count, progress.files_total, progress.bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cone_reads_a_few_pages_wherever_it_stands() {
    let cone = "1 = CONTAINS(POINT(ra, dec), CIRCLE(265, -25, 0.3))";
    for table in ["stars", "small_stars", "small_nan", "kids"] {
        let query = |condition: &str| format!("SELECT id, mag, ra, dec, plx FROM p.{table} WHERE {condition}");
        let (rows, files, bytes) = cost(&query(&format!("{cone} AND id > -1"))).await;
        let (_, all_files, all_bytes) = cost(&query("id + 0 > -1 AND ra + 0 < 400")).await;
        assert!(rows > 0 && files * 4 < all_files, "{table}: {files} of {all_files} files");
        let pages = if table.starts_with("small") { 20 } else { 10 };
        assert!(bytes * pages < all_bytes || table == "kids", "{table}: {bytes} of {all_bytes} bytes");
        for condition in [
            format!("id > -1 AND {cone}"),
            format!("(id > -1 AND id < 1000000) AND ({cone} AND id <> 77777777)"),
            format!("NOT (id < 0 OR NOT {cone})"),
            format!("({cone} AND id > 3000) OR ({cone} AND id BETWEEN 0 AND 3000)"),
            format!("{cone} AND (id > -1 OR {cone})"),
        ] {
            let found = cost(&query(&condition)).await;
            assert!((found.0, found.1) == (rows, files) && found.2 <= bytes, "{table} WHERE {condition}: {found:?}");
        }
        let within =
            format!("SELECT * FROM (SELECT id, mag, ra, dec, plx FROM p.{table}) AS q WHERE id > -1 AND {cone}");
        assert_eq!(cost(&within).await, (rows, files, bytes), "{within}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_columns_leave_out_files_and_pages() {
    for (table, condition) in [
        ("stars", "dec > 85"),
        ("stars", "flags = 51"),
        ("small_stars", "dec > 85"),
        ("small_stars", "dec BETWEEN 84 AND 85 AND mag < 30"),
        ("small_nan", "mag > 17.5"),
        ("kids", "dec < -88"),
        ("stars", "\"_healpix_29\" < 1000000000000000"),
    ] {
        let query =
            |condition: &str| format!("SELECT id, mag, dec, flags, \"_healpix_29\" FROM p.{table} WHERE {condition}");
        let columns = ["dec", "flags", "mag", "\"_healpix_29\""];
        let computed =
            columns.iter().fold(condition.to_owned(), |text, column| text.replace(column, &format!("{column} + 0")));
        let ((rows, files, bytes), (all_rows, all_files, all_bytes)) =
            (cost(&query(condition)).await, cost(&query(&computed)).await);
        assert_eq!(rows, all_rows, "{table} WHERE {condition}");
        assert!(
            files * 2 < all_files && bytes * 3 < all_bytes * if table.starts_with("small") { 2 } else { 3 },
            "{table} WHERE {condition}: {files} of {all_files} files, {bytes} of {all_bytes} bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_statistics_answer_reads_nothing() {
    for query in
        ["SELECT COUNT(*) AS n FROM p.stars", "SELECT MIN(mag) AS a, MAX(dec) AS b, COUNT(plx) AS c FROM p.kids"]
    {
        let (rows, files, bytes) = cost(query).await;
        assert_eq!((rows, files, bytes), (1, 0, 0), "{query}");
    }
}
