//! Margins and indexes of small skies, compared with what brute force says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt8Type, UInt64Type},
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use sha2::{Digest, Sha256};
use sky::{Arcsec, Order, Pixel, Position, healpix::cell29};

use super::*;
use crate::{
    CatalogError, CatalogSnapshot, DataFile, Descriptor, HEALPIX_COLUMN, HealpixColumn, Properties, Statistics,
    StoreOptions, descriptor::tests::stars, leaf_path, manifest,
};

pub(crate) const ROOT: &str = "catalogs/demo/stars/0";

/// A table on a store in a temporary folder.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) snapshot: CatalogSnapshot,
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(HEALPIX_COLUMN, DataType::Int64, false),
        Field::new("ra", DataType::Float64, true).with_metadata([("vo:unit".to_owned(), "deg".to_owned())].into()),
        Field::new("dec", DataType::Float64, true),
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("day", DataType::Date32, true),
        Field::new("mag", DataType::Float64, true),
    ]))
}

/// Rows at these positions, numbered in this order; every seventh has no name.
fn rows(positions: &[Position]) -> RecordBatch {
    let column = |of: fn(&Position) -> f64| Arc::new(positions.iter().map(of).collect::<Float64Array>()) as ArrayRef;
    let count = positions.len() as i64;
    let cells = positions.iter().map(|position| cell29(*position) as i64);
    let names = (0..count).map(|id| (id % 7 != 0).then(|| format!("näme {}", id % 40)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(cells.collect::<Int64Array>()),
        column(|position| position.lon.deg()),
        column(|position| position.lat.deg()),
        Arc::new((0..count).map(|id| id * 10).collect::<Int64Array>()),
        Arc::new(names.collect::<StringArray>()),
        Arc::new((0..count).map(|id| (id % 3) as i32).map(Some).collect::<Date32Array>()),
        Arc::new((0..count).map(|id| (id % 11 != 0).then_some(id as f64 / 3.0)).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// A file of these rows, in small row groups.
pub(crate) fn encoded(rows: &RecordBatch) -> Vec<u8> {
    let settings = parquet::file::properties::WriterProperties::builder();
    let settings = settings.set_max_row_group_row_count(Some(150)).set_data_page_row_count_limit(40).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(settings)).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

/// The smallest cells of up to this order that hold at most so many of the positions.
fn partitions(positions: &[Position], finest: u8, most: usize) -> Vec<Pixel> {
    fn split(pixel: Pixel, cells: &[u64], finest: u8, most: usize, found: &mut Vec<Pixel>) {
        let inside: Vec<u64> = cells.iter().copied().filter(|cell| pixel.range().contains(cell)).collect();
        match inside.len() {
            0 => {}
            count if count <= most || pixel.order().get() == finest => found.push(pixel),
            _ => pixel.children().unwrap().into_iter().for_each(|child| split(child, &inside, finest, most, found)),
        }
    }
    let cells: Vec<u64> = positions.iter().map(|position| cell29(*position)).collect();
    let mut found = Vec::new();
    Pixel::base_cells().into_iter().for_each(|base| split(base, &cells, finest, most, &mut found));
    found
}

impl World {
    pub(crate) async fn new(positions: &[Position], finest: u8, most: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("spill")).unwrap();
        let store = StoreOptions { url: folder.path().join("store").display().to_string(), ..StoreOptions::default() };
        let store = crate::CatalogStore::open(&store).unwrap();
        let all = rows(positions);
        let mut files = Vec::new();
        for pixel in partitions(positions, finest, most) {
            let mut inside: Vec<usize> =
                (0..positions.len()).filter(|row| pixel.range().contains(&cell29(positions[*row]))).collect();
            inside.sort_by_key(|row| cell29(positions[*row]));
            let own: Vec<RecordBatch> = inside.iter().map(|row| all.slice(*row, 1)).collect();
            let own = concat_batches(&all.schema(), &own).unwrap();
            let bytes = encoded(&own);
            let path = format!("stars/{}", leaf_path(pixel));
            let cells = Some((cell29(positions[inside[0]]), cell29(positions[inside[inside.len() - 1]])));
            let (size, rows) = (bytes.len() as u64, inside.len() as u64);
            let sha256 = Some(crate::snapshot::hexadecimal(&Sha256::digest(&bytes)));
            store.put(&format!("{ROOT}/{path}"), bytes).await.unwrap();
            files.push(DataFile { path, bytes: size, rows, pixel: Some(pixel), cells, sha256 });
        }
        let healpix = Some(HealpixColumn { column: HEALPIX_COLUMN.into(), order: 29 });
        let descriptor = Descriptor { rows: positions.len() as u64, healpix, sorted: true, ..stars() };
        let snapshot =
            CatalogSnapshot::new(store.clone(), ROOT.into(), store, schema(), descriptor, files, Statistics::none());
        Self { folder, snapshot }
    }

    pub(crate) fn spill(&self) -> std::path::PathBuf {
        self.folder.path().join("spill")
    }

    async fn margin(&self, arcsec: f64, memory: usize, threads: usize) -> Result<crate::MarginMember, CatalogError> {
        let spill = self.spill();
        build_margin(&self.snapshot, Arcsec(arcsec), "stars_margin", &context(&self.snapshot, &spill, memory, threads))
            .await
    }

    async fn index(&self, column: &str, memory: usize, threads: usize) -> Result<crate::IndexMember, CatalogError> {
        let spill = self.spill();
        build_index(&self.snapshot, column, "stars_by_it", &context(&self.snapshot, &spill, memory, threads)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Vec<u8> {
        self.snapshot.store().get(&format!("{ROOT}/{path}")).await.unwrap().to_vec()
    }

    pub(crate) async fn table(&self, path: &str) -> RecordBatch {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(self.get(path).await)).unwrap();
        let schema = Arc::clone(reader.schema());
        concat_batches(&schema, &reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()).unwrap()
    }

    pub(crate) async fn members(&self, folder: &str) -> Vec<DataFile> {
        manifest::decode(self.get(&crate::member_manifest(folder)).await.into(), ROOT).unwrap()
    }
}

pub(crate) fn context<'a>(
    snapshot: &'a CatalogSnapshot,
    spill: &'a Path,
    memory: usize,
    threads: usize,
) -> BuildContext<'a> {
    BuildContext { store: snapshot.store(), root: ROOT, spill, memory, threads, progress: Arc::new(|_, _| ()) }
}

/// Points of the whole sky, and many around places where partitions meet.
pub(crate) fn sky_with_crowded_borders() -> Vec<Position> {
    let mut positions = Vec::new();
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 11) as f64 / (1_u64 << 53) as f64
    };
    for _ in 0..1_500 {
        positions.push(Position::from_deg(next() * 360.0, (2.0 * next() - 1.0).asin().to_degrees()).unwrap());
    }
    let corner = (2.0_f64 / 3.0).asin().to_degrees();
    for (lon, lat) in [(0.0, 90.0), (0.0, -90.0), (0.0, corner), (45.0, 0.0), (90.0, 60.0), (22.5, 20.0)] {
        for _ in 0..150 {
            let (dlon, dlat) = ((next() - 0.5) * 0.6, (next() - 0.5) * 0.6);
            let lat: f64 = (lat + dlat).clamp(-90.0, 90.0);
            let lon = lon + if lat.abs() > 89.0 { next() * 360.0 } else { dlon };
            positions.push(Position::from_deg(lon, lat).unwrap());
        }
    }
    positions
}

fn text(batch: &RecordBatch, row: usize) -> String {
    format!("{:?}", batch.slice(row, 1).columns())
}

#[tokio::test]
async fn a_margin_holds_every_row_within_its_width_of_a_cell_and_none_from_inside() {
    let positions = sky_with_crowded_borders();
    let world = World::new(&positions, 5, 60).await;
    let arcsec = 300.0;
    let member = world.margin(arcsec, 1 << 24, 2).await.unwrap();
    let files = world.members("stars_margin").await;
    assert_eq!((member.files, member.rows), (files.len() as u64, files.iter().map(|file| file.rows).sum::<u64>()));
    assert!(member.rows > 200, "{} rows", member.rows);
    let all = rows(&positions);
    let mut inside: BTreeMap<Pixel, BTreeSet<usize>> = BTreeMap::new();
    for file in &files {
        let pixel = file.pixel.unwrap();
        assert_eq!(file.path, format!("stars_margin/{}", leaf_path(pixel)));
        let rows = world.table(&file.path).await;
        assert_eq!((rows.num_rows() as u64, rows.schema()), (file.rows, schema()));
        let cells = rows.column(0).as_primitive::<Int64Type>().values();
        assert!(cells.is_sorted());
        assert_eq!(file.cells, Some((cells[0] as u64, cells[rows.num_rows() - 1] as u64)));
        for row in 0..rows.num_rows() {
            assert!(!pixel.range().contains(&(cells[row] as u64)), "a row from inside {pixel}");
            let id = rows.column(3).as_primitive::<Int64Type>().value(row) as usize / 10;
            assert_eq!(text(&rows, row), text(&all, id));
            assert!(inside.entry(pixel).or_default().insert(id), "a row twice in {pixel}");
        }
    }
    // Two rows closer than the margin is wide: each is in the margin of the cell that the other is in.
    let plan = MarginPlan::new(
        &world.snapshot.files().iter().map(|file| file.pixel.unwrap()).collect::<Vec<_>>(),
        Arcsec(arcsec),
    )
    .unwrap();
    let home = |position: Position| plan.cells()[plan.home(cell29(position))];
    let mut pairs = 0;
    for (a, position) in positions.iter().enumerate() {
        for other in &positions {
            let near = position.distance(*other).0 <= sky::Rad::from(Arcsec(arcsec)).0;
            if near && home(*position) != home(*other) {
                assert!(inside[&home(*other)].contains(&a), "{position:?} is missing in the margin around {other:?}");
                pairs += 1;
            }
        }
    }
    assert!(pairs > 100, "{pairs} pairs");
    // Cells that the table has no rows in have margins, too.
    let own: BTreeSet<_> = world.snapshot.files().iter().map(|file| file.pixel.unwrap()).collect();
    assert!(inside.keys().any(|pixel| !own.contains(pixel)));
}

#[tokio::test]
async fn a_margin_is_a_hats_margin_and_the_same_whatever_memory_and_threads() {
    let positions = sky_with_crowded_borders();
    let world = World::new(&positions, 5, 60).await;
    world.margin(60.0, 1 << 24, 2).await.unwrap();
    let files = world.members("stars_margin").await;
    let properties = Properties::parse(&String::from_utf8(world.get("stars_margin/hats.properties").await).unwrap());
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    for (key, value) in [
        ("obs_collection", "stars_margin"),
        ("dataproduct_type", "margin"),
        ("hats_margin_threshold", "60"),
        ("hats_primary_table_url", "stars"),
        ("hats_col_ra", "ra"),
        ("hats_col_dec", "dec"),
        ("hats_col_healpix", HEALPIX_COLUMN),
        ("hats_nrows", &rows.to_string()),
    ] {
        assert_eq!(properties.get(key), Some(value), "{key}");
    }
    assert_eq!(world.get("stars_margin/hats.properties").await, world.get("stars_margin/properties").await);
    let listed = String::from_utf8(world.get("stars_margin/partition_info.csv").await).unwrap();
    let told: String = files
        .iter()
        .map(|file| file.pixel.unwrap())
        .map(|pixel| format!("{},{}\n", pixel.order(), pixel.index()))
        .collect();
    assert_eq!(listed, format!("Norder,Npix\n{told}"));
    assert_eq!(world.table("stars_margin/dataset/_common_metadata").await.schema(), schema());

    for (memory, threads) in [(0, 1), (1 << 16, 4)] {
        world.margin(60.0, memory, threads).await.unwrap();
        assert_eq!(world.members("stars_margin").await, files, "checksums included");
    }
    assert_eq!(std::fs::read_dir(world.spill()).unwrap().count(), 0, "temporary files are left");
}

#[tokio::test]
async fn a_margin_without_rows_is_a_margin() {
    let middle = Pixel::new(Order::new(3).unwrap(), 100).unwrap().center();
    let world = World::new(&[middle, middle], 3, 1).await;
    let member = world.margin(1.0, 1 << 20, 2).await.unwrap();
    assert_eq!((member.rows, member.files), (0, 0));
    assert_eq!(world.get("stars_margin/partition_info.csv").await, b"Norder,Npix\n");
    assert_eq!(world.table("stars_margin/dataset/_common_metadata").await.schema(), schema());
    assert!(world.members("stars_margin").await.is_empty());
}

#[tokio::test]
async fn a_margin_too_wide_for_the_partitions_is_refused() {
    let world = World::new(&sky_with_crowded_borders(), 5, 60).await;
    let sentence = world.margin(90_000.0, 1 << 20, 1).await.unwrap_err().to_string();
    assert!(sentence.contains("partitions of order 5; the widest margin that they allow is 4120 arcsec"), "{sentence}");
    assert!(world.margin(4120.0, 1 << 20, 1).await.is_ok());
}

#[tokio::test]
async fn an_index_tells_every_partition_of_every_value_once_and_in_order() {
    let positions = sky_with_crowded_borders();
    let world = World::new(&positions, 5, 60).await;
    let all = rows(&positions);
    for column in ["id", "name", "day"] {
        let field = all.schema().field_with_name(column).unwrap().clone();
        let member = world.index(column, 1 << 24, 2).await.unwrap();
        let files = world.members("stars_by_it").await;
        assert_eq!((member.column.as_str(), member.files, files.len()), (column, 1, 1));
        let index = world.table(&files[0].path).await;
        assert_eq!(index.schema().field(2), &field);
        let mut expected: Vec<(String, u8, u64)> = Vec::new();
        for (row, position) in positions.iter().enumerate() {
            let cell = cell29(*position);
            let file = world.snapshot.files().iter().find(|file| file.pixel.unwrap().range().contains(&cell)).unwrap();
            if all.column_by_name(column).unwrap().is_valid(row) {
                let value = format!("{:?}", all.column_by_name(column).unwrap().slice(row, 1));
                expected.push((value, file.pixel.unwrap().order().get(), file.pixel.unwrap().index()));
            }
        }
        let told: Vec<(String, u8, u64)> = (0..index.num_rows())
            .map(|row| {
                let order = index.column(0).as_primitive::<UInt8Type>().value(row);
                let pixel = index.column(1).as_primitive::<UInt64Type>().value(row);
                (format!("{:?}", index.column(2).slice(row, 1)), order, pixel)
            })
            .collect();
        assert_eq!(told.len() as u64, member.rows);
        expected.sort();
        expected.dedup();
        let mut sorted = told.clone();
        sorted.sort();
        assert_eq!(sorted, expected);
        let values = index.column(2);
        let order = arrow::compute::sort(values, None).unwrap();
        assert_eq!(values.as_ref(), order.as_ref(), "sorted by value");
        let footers = world.get("stars_by_it/dataset/_metadata").await;
        let footers = parquet::file::metadata::ParquetMetaDataReader::new()
            .parse_and_finish(&bytes::Bytes::from(footers))
            .unwrap();
        assert_eq!(footers.file_metadata().num_rows() as u64, member.rows);
        assert_eq!(footers.row_group(0).column(0).file_path(), Some("index/part.0.parquet"));
        world.index(column, 0, 3).await.unwrap();
        assert_eq!(world.members("stars_by_it").await, files, "the same bytes through the disk");
    }
    let properties = Properties::parse(&String::from_utf8(world.get("stars_by_it/hats.properties").await).unwrap());
    assert_eq!((properties.get("dataproduct_type"), properties.get("hats_index_column")), (Some("index"), Some("day")));
}

#[tokio::test]
async fn a_column_that_cannot_be_indexed_is_refused_with_the_reason() {
    let world = World::new(&sky_with_crowded_borders(), 1, 5_000).await;
    let float = world.index("ra", 0, 1).await.unwrap_err().to_string();
    assert!(float.starts_with("an index of ra: it is a floating-point column"), "{float}");
    let absent = world.index("nr", 0, 1).await.unwrap_err().to_string();
    assert!(absent.contains("no such column"), "{absent}");
}

#[tokio::test]
async fn the_keys_of_a_director_come_with_the_cells_of_its_rows() {
    let positions = sky_with_crowded_borders();
    let world = World::new(&positions, 5, 60).await;
    let spill = world.spill();
    let ctx = context(&world.snapshot, &spill, 1 << 20, 2);
    let director = keys::director_keys(&world.snapshot, "id", &ctx).await.unwrap();
    let wanted = [70_i64, 5, 0, 10 * (positions.len() as i64 - 1)];
    let mut child = keys::Keyed::new("objectId", &DataType::Int64, &spill, 1 << 20).unwrap();
    child.push(&(Arc::new(Int64Array::from(wanted.to_vec())) as ArrayRef), 0, None).unwrap();
    let joined = child.join(director, 4, |row| row).unwrap();
    let cell = |row: usize| Some(cell29(positions[row]));
    assert_eq!(joined.cells.of(0, 4).unwrap(), [cell(7), None, cell(0), cell(positions.len() - 1)]);
    assert_eq!(joined.ambiguous, 0);
    let absent = keys::director_keys(&world.snapshot, "nr", &ctx).await.err().unwrap().to_string();
    assert!(absent.contains("it has no column nr"), "{absent}");
}

#[tokio::test]
async fn a_file_that_is_damaged_is_named() {
    let world = World::new(&sky_with_crowded_borders(), 2, 500).await;
    let file = &world.snapshot.files()[3];
    let path = format!("{ROOT}/{}", file.path);
    let mut bytes = world.snapshot.store().get(&path).await.unwrap().to_vec();
    bytes.truncate(bytes.len() / 2);
    world.snapshot.store().put(&path, bytes).await.unwrap();
    for sentence in [world.margin(60.0, 0, 2).await.unwrap_err(), world.index("id", 0, 2).await.unwrap_err()] {
        assert!(sentence.to_string().contains(&file.path), "{sentence}");
    }
}
