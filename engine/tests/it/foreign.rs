//! Queries over a tree of somebody else whose files deviate from each other, against answers written by hand.

use std::{fs, path::Path, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Float64Array, Float64Builder, Int64Array, ListBuilder, RecordBatch, StringArray, StructArray,
        new_null_array,
    },
    compute::cast,
    datatypes::{DataType, Field},
    util::display::array_value_to_string,
};
use catalogs::{
    CatalogStore, StoreOptions, TableName,
    foreign::{self, AttachOptions},
};
use datafusion::parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use engine::{Engine, EngineOptions, Language, QueryLimits, TableSet};
use futures::StreamExt;

type Columns = Vec<(&'static str, ArrayRef)>;

struct House {
    _folder: tempfile::TempDir,
    engine: Engine,
    tables: TableSet,
}

fn floats(values: [f64; 2]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn texts(values: [&str; 2]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn integers(values: [i64; 2]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// A light curve: two points, then one.
fn light_curve(child: &str, data_type: DataType) -> ArrayRef {
    let mut times = ListBuilder::new(Float64Builder::new());
    times.append_value([Some(1.5), Some(2.5)]);
    times.append_value([Some(3.5)]);
    let of_child = DataType::List(Arc::new(Field::new(child, data_type, true)));
    let times = cast(&times.finish(), &of_child).unwrap();
    Arc::new(StructArray::from(vec![(Arc::new(Field::new("mjd", of_child, true)), times)]))
}

/// The two rows of a partition of order 0, as they should be.
fn plain(partition: i64) -> Columns {
    vec![
        ("_healpix_29", integers([(partition << 58) + 1, (partition << 58) + 2])),
        ("id", integers([partition * 10, partition * 10 + 1])),
        ("ra", floats([1.0, 2.0])),
        ("dec", floats([0.0, 1.0])),
        ("band", texts(["g", "r"])),
        ("mag", floats([10.0 + partition as f64, 20.0])),
        ("lc", light_curve("element", DataType::Float64)),
    ]
}

/// With one column otherwise.
fn with(mut columns: Columns, name: &str, values: ArrayRef) -> Columns {
    columns.iter_mut().filter(|(column, _)| *column == name).for_each(|(_, old)| *old = Arc::clone(&values));
    columns
}

fn write(path: &Path, columns: Columns) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let columns = columns.into_iter().map(|(name, values)| (name, values, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let each_alone = WriterProperties::builder().set_max_row_group_row_count(Some(1)).build();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), rows.schema(), Some(each_alone)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

/// Seven partitions: as it should be; a dictionary, a narrow integer and another order; large text, a column of nothing,
/// an unsigned index and narrower lists; a missing column, one too many and whole numbers; text views; NaN of either
/// sign, each in a row group of its own.
fn deviating(root: &Path) {
    let leaf = |partition: i64| root.join(format!("dataset/Norder=0/Dir=0/Npix={partition}.parquet"));
    write(&leaf(0), plain(0));

    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    let columns = with(plain(1), "band", cast(&texts(["g", "r"]), &dictionary).unwrap());
    let mut columns = with(columns, "id", cast(&integers([10, 11]), &DataType::Int32).unwrap());
    columns.reverse();
    write(&leaf(1), columns);

    let columns = with(plain(2), "band", cast(&texts(["g", "r"]), &DataType::LargeUtf8).unwrap());
    let columns = with(columns, "mag", new_null_array(&DataType::Null, 2));
    let unsigned = cast(&integers([(2 << 58) + 1, (2 << 58) + 2]), &DataType::UInt64).unwrap();
    let columns = with(columns, "_healpix_29", unsigned);
    write(&leaf(2), with(columns, "lc", light_curve("item", DataType::Float32)));

    let mut columns = with(plain(3), "mag", integers([13, 20]));
    columns.retain(|(name, _)| *name != "band");
    columns.push(("more", texts(["a", "b"])));
    write(&leaf(3), columns);

    write(&leaf(4), with(plain(4), "band", cast(&texts(["g", "r"]), &DataType::Utf8View).unwrap()));
    write(&leaf(5), with(plain(5), "mag", floats([f64::NAN, 15.0])));
    write(&leaf(6), with(plain(6), "mag", floats([16.0, -f64::NAN])));

    let declared = plain(0).into_iter().map(|(name, values)| (name, values.slice(0, 0))).collect();
    write(&root.join("dataset/_common_metadata"), declared);
    fs::write(root.join("partition_info.csv"), "Norder,Npix\n0,0\n0,1\n0,2\n0,3\n0,4\n0,5\n0,6\n").unwrap();
    let told = "obs_collection=c\ndataproduct_type=object\nhats_nrows=14\nhats_col_ra=ra\nhats_col_dec=dec\n";
    fs::write(root.join("hats.properties"), told).unwrap();
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a tree");
    deviating(&root);
    let url = folder.path().join("home").display().to_string();
    let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
    let name: TableName = "demo.t".parse().unwrap();
    let (path, options) = (root.display().to_string(), AttachOptions::default());
    let (snapshot, _) =
        foreign::attach(&store, "catalogs/demo/t/1", &name, &path, &options, Arc::new(|_, _| ())).await.unwrap();
    let tables = TableSet::new([(name, Arc::new(snapshot))]).unwrap();
    House {
        _folder: folder,
        engine: Engine::new(EngineOptions { memory: 64 << 20, threads: 2, ..EngineOptions::default() }).unwrap(),
        tables,
    }
}

/// The answer: values separated by blanks, rows by commas.
async fn answer(house: &House, text: &str) -> String {
    let query = house.engine.plan(&house.tables, Language::Sql, text, QueryLimits::default()).await;
    let mut rows = query.unwrap_or_else(|error| panic!("{text}: {error}")).run().unwrap();
    let mut lines = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap_or_else(|error| panic!("{text}: {error}"));
        for row in 0..batch.num_rows() {
            let value = |column: &ArrayRef| match column.is_null(row) {
                true => "-".to_owned(),
                false => array_value_to_string(column, row).unwrap(),
            };
            lines.push(batch.columns().iter().map(value).collect::<Vec<_>>().join(" "));
        }
    }
    lines.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_deviate_answer_as_one_table() {
    let house = house().await;
    for (query, expected) in [
        ("SELECT id, band FROM demo.t WHERE band = 'g' ORDER BY id", "0 g, 10 g, 20 g, 40 g, 50 g, 60 g"),
        ("SELECT id, mag FROM demo.t WHERE mag > 12 AND mag < 15 ORDER BY id", "30 13.0, 40 14.0"),
        ("SELECT band, mag FROM demo.t WHERE id = 11", "r 20.0"),
        ("SELECT id FROM demo.t WHERE band IS NULL ORDER BY id", "30, 31"),
        (
            "SELECT id, lc['mjd'] AS m FROM demo.t WHERE id IN (0, 21, 31) ORDER BY id",
            "0 [1.5, 2.5], 21 [3.5], 31 [3.5]",
        ),
        ("SELECT id FROM demo.t WHERE \"_healpix_29\" > 1441151880758558721 ORDER BY id", "51, 60, 61"),
        ("SELECT COUNT(*) AS n, COUNT(band) AS b, MAX(band) AS m, SUM(id) AS s FROM demo.t", "14 12 r 427"),
        ("SELECT id FROM demo.t WHERE lc['mjd'][1] > 3 ORDER BY id", "1, 11, 21, 31, 41, 51, 61"),
    ] {
        assert_eq!(answer(&house, query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nan_in_a_file_of_somebody_else_is_null_wherever_it_is_asked_for() {
    let house = house().await;
    for (query, expected) in [
        ("SELECT id, mag FROM demo.t WHERE id IN (50, 61) ORDER BY id", "50 -, 61 -"),
        ("SELECT id FROM demo.t WHERE mag IS NULL ORDER BY id", "20, 21, 50, 61"),
        ("SELECT id FROM demo.t WHERE mag > 15.5 AND id >= 50 ORDER BY id", "60"),
        ("SELECT id FROM demo.t WHERE mag < 15.5 AND id >= 50 ORDER BY id", "51"),
        ("SELECT id FROM demo.t WHERE NOT mag > 15.5 AND id >= 50", "51"),
        ("SELECT id FROM demo.t WHERE mag <> 16 AND id >= 50", "51"),
        ("SELECT COUNT(*) AS n, COUNT(mag) AS m, MAX(mag) AS a, MIN(mag) AS i FROM demo.t", "14 10 20.0 10.0"),
        ("SELECT AVG(mag) AS a FROM demo.t WHERE id >= 50", "15.5"),
    ] {
        assert_eq!(answer(&house, query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_a_margin_finds_rows_whose_files_say_nothing_of_their_cells() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("margin");
    let leaf = |partition: i64| root.join(format!("dataset/Norder=0/Dir=0/Npix={partition}.parquet"));
    // Rows of a margin lie outside the pixel of their file. Of one file it is told where they are, of the other not.
    let at = |lon: f64, lat: f64| sky::healpix::cell29(sky::Position::from_deg(lon, lat).unwrap()) as i64;
    let rows = |id: i64, lon: f64, cells: Vec<Option<i64>>| -> Columns {
        vec![
            ("_healpix_29", Arc::new(Int64Array::from(cells)) as ArrayRef),
            ("id", integers([id, id + 1])),
            ("ra", floats([lon, lon])),
            ("dec", floats([10.0, 10.5])),
        ]
    };
    write(&leaf(0), rows(0, 45.0, vec![Some(at(45.0, 10.0)), Some(at(45.0, 10.5))]));
    write(&leaf(8), rows(10, 200.0, vec![Some(at(200.0, 10.0)), None]));
    fs::write(root.join("partition_info.csv"), "Norder,Npix\n0,0\n0,8\n").unwrap();
    let told = "obs_collection=c\ndataproduct_type=margin\nhats_nrows=4\nhats_col_ra=ra\nhats_col_dec=dec\n";
    fs::write(root.join("hats.properties"), format!("{told}hats_margin_threshold=10\nhats_primary_table_url=c\n"))
        .unwrap();
    let url = folder.path().join("home").display().to_string();
    let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
    let name: TableName = "demo.t".parse().unwrap();
    let (path, options) = (root.display().to_string(), AttachOptions::default());
    let attached = foreign::attach(&store, "catalogs/demo/t/1", &name, &path, &options, Arc::new(|_, _| ())).await;
    let (snapshot, _) = attached.unwrap();
    let engine = Engine::new(EngineOptions { memory: 64 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
    let house = House { _folder: folder, engine, tables: TableSet::new([(name, Arc::new(snapshot))]).unwrap() };
    let near = |lon: f64| format!("adql_distance(ra, dec, CAST({lon} AS DOUBLE), CAST(10 AS DOUBLE)) < 1");
    for (condition, found) in [
        (near(200.0), "10, 11"),
        (near(45.0), "0, 1"),
        (near(100.0), ""),
        (format!("{} OR {}", near(200.0), near(45.0)), "0, 1, 10, 11"),
    ] {
        let query = format!("SELECT id FROM demo.t WHERE {condition} ORDER BY id");
        assert_eq!(answer(&house, &query).await, found, "{query}");
    }
}
