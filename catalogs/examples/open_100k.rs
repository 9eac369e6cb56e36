//! How long it takes, and how much memory, to open a table of 100,000 files and 200 columns and to select the files of a
//! cone. There is no data: the version is a descriptor, a schema, a manifest and statistics.
//!
//! ```text
//! cargo run --release -p catalogs --example open_100k [FILES] [COLUMNS]
//! cargo run --release -p catalogs --example open_100k make FOLDER
//! ```
//! The second form only makes the version, in a folder that stays.
//! The version is generated first; then this program starts itself again to open it, so that the memory told is that of
//! opening alone.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, ArrayRef, Float64Array, Int64Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use catalogs::{
    CatalogStore, ColumnBounds, DataFile, Descriptor, FileStatistics, HealpixColumn, Kind, Position, Remote,
    StoreOptions, leaf_path, manifest, statistics::StatisticsWriter,
};
use parquet::arrow::ArrowWriter;
use sky::{Cone, Coverage, Deg, Pixel, coverage::Detail, healpix::Order};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const ROOT: &str = "catalogs/demo/huge/0";

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder] = &arguments[..]
        && command == "open"
    {
        return open(folder).await;
    }
    if let [command, folder] = &arguments[..]
        && command == "make"
    {
        println!("{}", generate(folder.as_ref(), 100_000, 200).await?);
        return Ok(());
    }
    let number = |at: usize, usual| arguments.get(at).map_or(Ok(usual), |text| text.parse());
    let (files, columns) = (number(0, 100_000)?, number(1, 200)?);
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let sizes = generate(folder.path(), files, columns).await?;
    println!("generated {files} files x {columns} columns in {:.1?}: {sizes}", begun.elapsed());
    let opened = Command::new(std::env::current_exe()?).arg("open").arg(folder.path()).status()?;
    if opened.success() { Ok(()) } else { Err("the version could not be opened".into()) }
}

fn store(folder: &std::path::Path) -> Outcome<CatalogStore> {
    Ok(CatalogStore::open(&StoreOptions { url: folder.display().to_string(), ..StoreOptions::default() })?)
}

fn schema(columns: usize) -> SchemaRef {
    let described = |name: &str, data_type| {
        let metadata =
            [("vo:unit", "mag"), ("vo:ucd", "phot.mag;em.opt"), ("vo:description", "A quantity of the object")];
        let metadata = metadata.map(|(key, text)| (key.to_owned(), text.to_owned()));
        Field::new(name, data_type, true).with_metadata(metadata.into())
    };
    let mut fields = vec![described("_healpix_29", DataType::Int64)];
    fields.extend(["ra", "dec"].map(|name| described(name, DataType::Float64)));
    fields.extend((fields.len()..columns).map(|i| described(&format!("column_{i}"), DataType::Float64)));
    Arc::new(Schema::new(fields))
}

/// Pixels of two orders, as many as are wanted, ascending along the sky.
fn pixels(count: usize) -> Outcome<Vec<Pixel>> {
    let coarse = (0..=29).map(Order::new).find(|order| matches!(order, Ok(order) if order.cells() * 4 >= count as u64));
    let coarse = coarse.ok_or("too many files")??;
    // Splitting one cell adds three.
    let mut split = (count as u64).saturating_sub(coarse.cells()).div_ceil(3);
    let mut pixels = Vec::with_capacity(count + 3);
    for index in 0..coarse.cells() {
        let pixel = Pixel::new(coarse, index)?;
        match pixel.children().filter(|_| split > 0) {
            Some(children) => {
                split -= 1;
                pixels.extend(children);
            }
            None => pixels.push(pixel),
        }
    }
    pixels.truncate(count);
    Ok(pixels)
}

async fn generate(folder: &std::path::Path, count: usize, columns: usize) -> Outcome<String> {
    let (store, schema) = (store(folder)?, schema(columns));
    let mut statistics = StatisticsWriter::new(&schema)?;
    let mut files = Vec::with_capacity(count);
    for (number, pixel) in pixels(count)?.into_iter().enumerate() {
        let range = pixel.range();
        let cells = (range.start + 1_000, range.end - 1_000);
        files.push(DataFile {
            path: format!("huge/{}", leaf_path(pixel)),
            bytes: 200_000_000 + number as u64 * 7_919 % 10_000_000,
            rows: 900_000,
            pixel: Some(pixel),
            cells: Some(cells),
            sha256: Some(format!(
                "{:064x}",
                (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834)
            )),
        });
        let bounds = |min: ArrayRef, max: ArrayRef| ColumnBounds {
            min: Some(min),
            max: Some(max),
            nulls: Some(number as u64 % 7),
            exact: true,
        };
        let number = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        let cell = |value: u64| Arc::new(Int64Array::from(vec![value as i64])) as ArrayRef;
        let mut of_file = vec![bounds(cell(cells.0), cell(cells.1))];
        of_file.extend((1..columns).map(|column| {
            let seed = (files.len() * columns + column) as f64;
            bounds(number((seed * 0.618_034).fract() * 10.0), number(20.0 + (seed * 0.414_214).fract() * 5.0))
        }));
        statistics.push(FileStatistics(of_file))?;
    }
    let descriptor = descriptor(files.iter().map(|file| file.rows).sum());
    let footer = ArrowWriter::try_new(Vec::new(), schema, None)?.into_inner()?;
    let parts = [
        ("schema.parquet", footer),
        ("manifest.parquet", manifest::encode(&files)?),
        ("statistics.parquet", statistics.finish()?),
        ("catalog.json", serde_json::to_vec(&descriptor)?),
    ];
    let mut sizes = Vec::new();
    for (name, bytes) in parts {
        sizes.push(format!("{name} {:.1} MB", bytes.len() as f64 / 1e6));
        store.put(&format!("{ROOT}/almagest/{name}"), bytes).await?;
    }
    Ok(sizes.join(", "))
}

fn descriptor(rows: u64) -> Descriptor {
    Descriptor {
        format: Descriptor::FORMAT,
        name: "demo.huge".into(),
        kind: Kind::Object,
        data: None,
        rows,
        description: None,
        note: None,
        position: Some(Position { ra: "ra".into(), dec: "dec".into(), slack_arcsec: 0.0 }),
        healpix: Some(HealpixColumn { column: "_healpix_29".into(), order: 29 }),
        sorted: true,
        id: None,
        id_encodes: None,
        director: None,
        pairs: None,
        nan_is_null: true,
        margins: Vec::new(),
        indexes: Vec::new(),
        default_columns: Vec::new(),
        properties: BTreeMap::new(),
        warnings: Vec::new(),
        created: chrono::Utc::now(),
        builder: "the example open_100k".into(),
    }
}

/// What is measured.
async fn open(folder: &str) -> Outcome<()> {
    let store = store(folder.as_ref())?;
    let begun = Instant::now();
    let snapshot = catalogs::open(&store, ROOT, &Remote::default()).await?;
    let files = snapshot.files().len();
    println!(
        "opened {files} files, {} columns in {:.1?}; {}",
        snapshot.schema().fields().len(),
        begun.elapsed(),
        peak()
    );

    let mut slowest = Duration::ZERO;
    let (mut cones, mut hits) = (0, 0);
    for radius in [0.01, 1.0, 10.0] {
        for step in 0..100 {
            let z = 1.0 - (f64::from(step) + 0.5) / 50.0;
            let center = sky::Position::from_deg(f64::from(step) * 137.5 % 360.0, z.asin().to_degrees())?;
            let coverage = Coverage::of_cone(&Cone::new(center, Deg(radius))?, Detail::default());
            let begun = Instant::now();
            hits += snapshot.select(&coverage).count();
            slowest = slowest.max(begun.elapsed());
            cones += 1;
        }
    }
    println!("selected the files of {cones} cones: {hits} hits, the slowest in {slowest:.1?}");

    let begun = Instant::now();
    let column = snapshot.schema().field(snapshot.schema().fields().len() / 2).name().clone();
    let known = snapshot.statistics(&column).await?.map_or(0, |column| column.min.len() - column.min.null_count());
    println!("read the ranges of {column} in {known} files in {:.1?}; {}", begun.elapsed(), peak());
    Ok(())
}

/// The most memory that this process has held, as Linux tells it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("not told by this system");
    format!("peak memory {}", peak.trim())
}
