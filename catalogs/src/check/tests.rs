//! A good table has no defects, and each way of damaging it gives the defect that names it.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{Float64Type, Int64Type},
};
use parquet::file::{
    metadata::{ParquetMetaDataReader, ParquetMetaDataWriter},
    properties::WriterProperties,
    statistics::Statistics as Extremes,
};
use sha2::{Digest, Sha256};
use sky::{Arcsec, Order, Pixel, Rad};

use super::*;
use crate::{
    Descriptor, FileStatistics, Properties, Remote,
    footers::Footers,
    layout as paths,
    members::{
        build_index, build_margin,
        tests::{ROOT, World, context, encoded, schema, sky_with_crowded_borders},
    },
    snapshot::hexadecimal,
    statistics::{self, Collector},
};

/// A complete version, to be damaged.
struct Table {
    world: World,
    descriptor: Descriptor,
    files: Vec<DataFile>,
    statistics: Vec<FileStatistics>,
}

const MARGIN: &str = "stars_60arcsec";
const INDEX: &str = "stars_by_id";

fn collected(rows: &RecordBatch) -> FileStatistics {
    let mut collector = Collector::new(&rows.schema());
    collector.add(rows).unwrap();
    collector.finish()
}

impl Table {
    /// With or without a margin and an index.
    async fn new(members: bool) -> Self {
        let mut positions = sky_with_crowded_borders();
        // So many in one of the finest cells that its file has several row groups.
        let crowded = Pixel::new(Order::new(5).unwrap(), 4_000).unwrap().center();
        let beside = |step: u32| f64::from(step) * 2e-4;
        positions.extend((0..400).map(|step| {
            sky::Position::from_deg(crowded.lon.deg() + beside(step * 7 % 400), crowded.lat.deg() + beside(step))
                .unwrap()
        }));
        let world = World::new(&positions, 5, 100).await;
        let mut descriptor = world.snapshot.descriptor().clone();
        let spill = world.spill();
        let ctx = context(&world.snapshot, &spill, 1 << 20, 2);
        if members {
            descriptor.margins = vec![build_margin(&world.snapshot, Arcsec(60.0), MARGIN, &ctx).await.unwrap()];
            descriptor.indexes = vec![build_index(&world.snapshot, "id", INDEX, &ctx).await.unwrap()];
            descriptor.indexes.push(build_index(&world.snapshot, "name", "stars_by_name", &ctx).await.unwrap());
        }
        let (files, mut statistics) = (world.snapshot.files().to_vec(), Vec::new());
        for file in &files {
            statistics.push(collected(&world.table(&file.path).await));
        }
        let table = Self { world, descriptor, files, statistics };
        let mut partitions = String::from("Norder,Npix\n");
        for pixel in table.files.iter().filter_map(|file| file.pixel) {
            partitions += &format!("{},{}\n", pixel.order(), pixel.index());
        }
        table.put("stars/partition_info.csv", partitions).await;
        let mut properties = Properties::default();
        properties.set("hats_nrows", descriptor_rows(&table));
        table.put("stars/hats.properties", properties.to_string()).await;
        let rows = descriptor_rows(&table);
        let report = format!(
            r#"{{"rows_read": {}, "rows_published": {rows}, "set_aside": {{}}, "rows": {rows}, "seconds": 1.0}}"#,
            rows
        );
        table.put(paths::IMPORT_REPORT, report).await;
        table
    }

    async fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.world.snapshot.store().put(&format!("{ROOT}/{path}"), bytes.into()).await.unwrap();
    }

    /// What a check of it finds.
    async fn report(&self) -> CheckReport {
        self.report_with(1 << 20, 2).await
    }

    async fn report_with(&self, memory: usize, threads: usize) -> CheckReport {
        let store = self.world.snapshot.store();
        self.put(paths::SCHEMA, encoded(&RecordBatch::new_empty(schema()))).await;
        self.put(paths::MANIFEST, manifest::encode(&self.files).unwrap()).await;
        self.put(paths::STATISTICS, statistics::encode(&schema(), &self.statistics).unwrap()).await;
        self.put(paths::DESCRIPTOR, self.descriptor.encode().unwrap()).await;
        let snapshot = crate::open(store, ROOT, &Remote::default()).await.unwrap();
        let options = CheckOptions { memory, threads, spill: self.world.spill(), most_defects: 20 };
        check(&snapshot, &options, Arc::new(|_, _| ())).await.unwrap()
    }

    /// The only defect that a check finds.
    async fn defect(&self) -> (String, Option<usize>, String) {
        let report = self.report().await;
        let [Defect { file, row_group, what }] = &report.defects[..] else { panic!("{:#?}", report.defects) };
        assert!(!report.is_sound() && report.more_defects == 0);
        (file.clone(), *row_group, what.clone())
    }

    /// The number of a file with several row groups.
    fn large(&self) -> usize {
        self.files.iter().position(|file| file.rows > 300).unwrap()
    }

    /// Puts a file back with other bytes, and tells so in the manifest.
    async fn replace(&mut self, number: usize, bytes: Vec<u8>) {
        let file = &mut self.files[number];
        file.bytes = bytes.len() as u64;
        file.sha256 = Some(hexadecimal(&Sha256::digest(&bytes)));
        let path = file.path.clone();
        self.put(&path, bytes).await;
    }

    /// Changes the rows of a file, and all that is told of them.
    async fn edit(&mut self, number: usize, change: impl Fn(RecordBatch) -> RecordBatch) {
        let rows = change(self.world.table(&self.files[number].path).await);
        self.statistics[number] = collected(&rows);
        self.replace(number, encoded(&rows)).await;
    }

    /// Changes the rows of a file of a member, and all that is told of them.
    async fn edit_member(
        &mut self,
        folder: &str,
        number: usize,
        change: impl Fn(RecordBatch) -> RecordBatch,
    ) -> String {
        let mut files = self.world.members(folder).await;
        let path = files[number].path.clone();
        let rows = change(self.world.table(&path).await);
        let bytes = encoded(&rows);
        files[number].bytes = bytes.len() as u64;
        files[number].rows = rows.num_rows() as u64;
        files[number].sha256 = Some(hexadecimal(&Sha256::digest(&bytes)));
        if folder != MARGIN {
            let mut footers = Footers::new(&rows.schema(), WriterProperties::default()).unwrap();
            let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(bytes.clone())).unwrap();
            footers.push("index/part.0.parquet", footer).unwrap();
            self.put(&format!("{folder}/dataset/_metadata"), footers.encode().unwrap()).await;
        }
        self.put(&path, bytes).await;
        let rows = files.iter().map(|file| file.rows).sum();
        self.put(&crate::member_manifest(folder), manifest::encode(&files).unwrap()).await;
        let mut properties = Properties::default();
        properties.set("hats_nrows", rows);
        for name in ["hats.properties", "properties"] {
            self.put(&format!("{folder}/{name}"), properties.to_string()).await;
        }
        self.descriptor
            .margins
            .iter_mut()
            .filter(|margin| margin.folder == folder)
            .for_each(|margin| margin.rows = rows);
        self.descriptor.indexes.iter_mut().filter(|index| index.folder == folder).for_each(|index| index.rows = rows);
        path
    }
}

fn descriptor_rows(table: &Table) -> u64 {
    table.files.iter().map(|file| file.rows).sum()
}

fn column(name: &str) -> usize {
    schema().index_of(name).unwrap()
}

/// The rows with one column changed.
fn with_column(rows: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
    let mut columns = rows.columns().to_vec();
    columns[rows.schema().index_of(name).unwrap()] = values;
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

fn numbers(rows: &RecordBatch, column: usize) -> Vec<i64> {
    rows.column(column).as_primitive::<Int64Type>().values().to_vec()
}

fn floats(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    rows.column(column(name)).as_primitive::<Float64Type>().iter().collect()
}

/// The rows in another order, some perhaps twice or not at all.
fn taken(rows: &RecordBatch, order: impl IntoIterator<Item = usize>) -> RecordBatch {
    take_record_batch(rows, &UInt32Array::from_iter_values(order.into_iter().map(|row| row as u32))).unwrap()
}

fn without(rows: &RecordBatch, row: usize) -> RecordBatch {
    taken(rows, (0..rows.num_rows()).filter(|other| *other != row))
}

#[tokio::test]
async fn a_good_table_has_no_defects_whatever_the_memory_and_the_threads() {
    let table = Table::new(true).await;
    for (memory, threads) in [(1 << 24, 2), (0, 1), (0, 4)] {
        let report = table.report_with(memory, threads).await;
        assert_eq!((&report.defects[..], &report.unchecked[..]), (&[][..], &[][..]));
        assert!(report.is_sound());
        assert_eq!(report.rows, descriptor_rows(&table));
        let margin = &table.descriptor.margins[0];
        assert!(margin.rows > 20, "{} rows in the margin", margin.rows);
        assert_eq!(report.members[0], (MARGIN.to_owned(), margin.rows));
        assert_eq!(report.members.len(), 3);
    }
    assert_eq!(std::fs::read_dir(table.world.spill()).unwrap().count(), 0, "temporary files are left");
}

#[tokio::test]
async fn a_file_that_is_missing_changed_or_cut_short_is_named() {
    let table = Table::new(false).await;
    let file = table.files[2].clone();
    let good = table.world.get(&file.path).await;

    let mut bytes = good.clone();
    bytes[20] ^= 1;
    table.put(&file.path, bytes).await;
    let report = table.report().await;
    assert!(report.defects.iter().all(|defect| defect.file == file.path), "{:#?}", report.defects);
    assert!(report.defects.iter().any(|defect| defect.what.contains("its bytes are not those that were written")));

    table.put(&file.path, good[..good.len() - 9].to_vec()).await;
    let report = table.report().await;
    assert!(report.defects.iter().all(|defect| defect.file == file.path), "{:#?}", report.defects);
    for what in ["bytes; the manifest tells", "SHA-256", "its footer cannot be read"] {
        assert!(report.defects.iter().any(|defect| defect.what.contains(what)), "{:#?}", report.defects);
    }

    table.world.snapshot.store().delete_folder(&format!("{ROOT}/{}", file.path)).await.ok();
    std::fs::remove_file(table.world.folder.path().join("store").join(ROOT).join(&file.path)).ok();
    assert_eq!(table.defect().await, (file.path, None, "it is missing".into()));
}

#[tokio::test]
async fn rows_out_of_order_are_found_with_their_row_group() {
    let mut table = Table::new(false).await;
    let number = table.large();
    table
        .edit(number, |rows| {
            let mut order: Vec<usize> = (0..rows.num_rows()).collect();
            order.swap(200, 210);
            taken(&rows, order)
        })
        .await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (table.files[number].path.clone(), Some(1)));
    assert!(what.contains("after a row of a higher cell"), "{what}");
    table.descriptor.sorted = false;
    assert!(table.report().await.is_sound(), "a table that does not say so need not be sorted");
}

#[tokio::test]
async fn a_row_in_the_wrong_partition_at_the_wrong_cell_or_nowhere_is_found() {
    let mut table = Table::new(false).await;
    let number = table.large();
    let file = table.files[number].clone();
    let good = table.world.get(&file.path).await;
    let statistics = table.statistics[number].clone();
    let stranger = table.world.table(&table.files[number + 1].path).await.slice(0, 1);
    table
        .edit(number, |rows| {
            let rows = rows.slice(0, rows.num_rows() - 1);
            concat_batches(&rows.schema(), [&rows, &stranger]).unwrap()
        })
        .await;
    let last_group = (file.rows - 1) / 150;
    let (path, group, what) = table.defect().await;
    assert_eq!((path, group), (file.path.clone(), Some(last_group as usize)));
    assert!(what.contains("outside the partition"), "{what}");

    table.replace(number, good.clone()).await;
    table
        .edit(number, |rows| {
            let mut cells = numbers(&rows, 0);
            cells[160] = cells[159];
            with_column(&rows, "_healpix_29", Arc::new(Int64Array::from(cells)))
        })
        .await;
    let (path, group, what) = table.defect().await;
    assert_eq!((path, group), (file.path.clone(), Some(1)));
    assert_eq!(what, "a HEALPix cell that is not that of the position: row 11");

    table.replace(number, good.clone()).await;
    table
        .edit(number, |rows| {
            let mut dec = floats(&rows, "dec");
            (dec[3], dec[4]) = (None, None);
            with_column(&rows, "dec", Arc::new(Float64Array::from(dec)))
        })
        .await;
    let (path, group, what) = table.defect().await;
    assert_eq!((path, group), (file.path.clone(), Some(0)));
    assert_eq!(what, "no position on the sky: 2 rows, the first is row 4");

    table.replace(number, good).await;
    table.statistics[number] = statistics;
    let cells = table.files[number].cells.unwrap();
    table.files[number].cells = Some((cells.0, cells.1 - 1));
    let (path, _, what) = table.defect().await;
    assert_eq!(path, file.path);
    assert!(what.contains("beyond the cells that the manifest tells"), "{what}");
}

#[tokio::test]
async fn statistics_that_do_not_hold_are_found_in_the_table_and_in_a_row_group() {
    let mut table = Table::new(false).await;
    let (good, number) = (table.statistics.clone(), table.large());
    let one = |value: f64| Some(Arc::new(Float64Array::from(vec![value])) as ArrayRef);
    table.statistics[number].0[column("mag")].min = one(1e9);
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (table.files[number].path.clone(), None));
    assert!(what.contains("column mag") && what.contains("1000000000.0 as the lowest value"), "{what}");

    table.statistics = good.clone();
    table.statistics[number].0[column("name")].nulls = Some(0);
    let (file, _, what) = table.defect().await;
    assert_eq!(file, table.files[number].path);
    assert!(what.contains("column name") && what.contains("they tell 0 NULLs"), "{what}");

    table.statistics = good.clone();
    table.statistics[number].0[column("mag")].max = one(1e9);
    assert!(table.defect().await.2.contains("1000000000.0 as the highest value"), "exact bounds must be exact");
    table.statistics[number].0[column("mag")].exact = false;
    assert!(table.report().await.is_sound(), "a wide bound is none the worse");

    table.statistics = good;
    let bytes = bytes::Bytes::from(table.world.get(&table.files[number].path).await);
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
    let mut builder = footer.into_builder();
    let mut groups = builder.take_row_groups();
    let told = &mut groups[1].columns_mut()[column("id")];
    let narrow = Extremes::int64(Some(5), Some(6), None, Some(0), false);
    *told = told.clone().into_builder().set_statistics(narrow).build().unwrap();
    let footer = builder.set_row_groups(groups).build();
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let mut changed = bytes[..bytes.len() - 8 - length].to_vec();
    ParquetMetaDataWriter::new(&mut changed, &footer).finish().unwrap();
    table.replace(number, changed).await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (table.files[number].path.clone(), Some(1)));
    assert!(what.contains("the statistics of column id are wrong"), "{what}");
}

#[tokio::test]
async fn nan_is_found_where_none_should_be() {
    let mut table = Table::new(false).await;
    let number = table.large();
    table
        .edit(number, |rows| {
            let mut mag = floats(&rows, "mag");
            mag[1] = Some(f64::NAN);
            with_column(&rows, "mag", Arc::new(Float64Array::from(mag)))
        })
        .await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (table.files[number].path.clone(), Some(0)));
    assert!(what.starts_with("NaN in mag") && what.ends_with("row 2"), "{what}");
    table.descriptor.nan_is_null = false;
    assert!(table.report().await.is_sound(), "a table may keep NaN if it says so");
}

#[tokio::test]
async fn partitions_that_overlap_are_found() {
    let mut table = Table::new(false).await;
    table.files[5].pixel = table.files[4].pixel.unwrap().children().map(|children| children[3]);
    let report = table.report().await;
    let overlap = report.defects.iter().find(|defect| defect.what.contains("overlaps")).expect("an overlap");
    assert_eq!(overlap.file, table.files[5].path);
    assert!(overlap.what.ends_with(&table.files[4].path), "{overlap}");
}

#[tokio::test]
async fn small_files_that_tell_something_else_are_named() {
    let table = Table::new(true).await;
    for (path, from, to, what) in [
        (
            "stars/partition_info.csv",
            "Norder,Npix\n",
            "Norder,Npix\n7,7\n",
            "it lists 1 partition without a file; the first is 7/7",
        ),
        ("stars/hats.properties", "hats_nrows=", "hats_nrows=1", "rows; the files have"),
        (paths::IMPORT_REPORT, "\"set_aside\": {}", "\"set_aside\": {\"no position\": 1}", "published and 1 set aside"),
        ("stars_60arcsec/partition_info.csv", "Norder,Npix\n", "Norder,Npix\n9,9\n", "the first is 9/9"),
        ("stars_by_id/hats.properties", "hats_nrows=", "hats_nrows=1", "rows; the files have"),
    ] {
        let good = String::from_utf8(table.world.get(path).await).unwrap();
        assert!(good.contains(from), "{good}");
        table.put(path, good.replace(from, to)).await;
        let defects = table.report().await.defects;
        assert!(defects.iter().all(|defect| defect.file == path || defect.file == paths::SET_ASIDE), "{defects:#?}");
        assert!(defects.iter().any(|defect| defect.file == path && defect.what.contains(what)), "{path}: {defects:#?}");
        table.put(path, good).await;
    }
    let path = "stars_by_id/dataset/_metadata";
    let good = table.world.get(path).await;
    table.put(path, table.world.get("stars_by_name/dataset/_metadata").await).await;
    assert_eq!(table.defect().await.0, path);
    table.put(path, good).await;
    assert!(table.report().await.is_sound());
}

/// A row of a margin file that is surely within the margin's width of the cell: another row, inside it, is.
async fn surely_needed(table: &Table) -> (usize, usize) {
    let margins = table.world.members(MARGIN).await;
    for (number, margin) in margins.iter().enumerate() {
        let Some(own) = table.files.iter().find(|file| file.pixel == margin.pixel) else { continue };
        let (copies, own) = (table.world.table(&margin.path).await, table.world.table(&own.path).await);
        let places = |rows: &RecordBatch| -> Vec<_> {
            let (ra, dec) = (floats(rows, "ra"), floats(rows, "dec"));
            ra.into_iter()
                .zip(dec)
                .map(|(ra, dec)| sky::Position::from_deg(ra.unwrap(), dec.unwrap()).unwrap())
                .collect()
        };
        let inside = places(&own);
        for (row, place) in places(&copies).into_iter().enumerate() {
            if inside.iter().any(|other| place.distance(*other).0 < 0.9 * Rad::from(Arcsec(60.0)).0) {
                return (number, row);
            }
        }
    }
    panic!("no two rows on both sides of a border");
}

#[tokio::test]
async fn a_row_that_a_margin_lacks_is_found() {
    let mut table = Table::new(true).await;
    let (number, row) = surely_needed(&table).await;
    let path = table.edit_member(MARGIN, number, |rows| without(&rows, row)).await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (path, None));
    assert!(what.starts_with("it lacks 1 of the rows within 60 arcsec of"), "{what}");
    assert!(what.contains("of stars/dataset/Norder="), "{what}");
}

#[tokio::test]
async fn a_row_of_a_margin_that_is_changed_repeated_inside_or_out_of_order_is_found() {
    let table = Table::new(true).await;
    let margins = table.world.members(MARGIN).await;
    // A row of a partition that is in the margin of another lies near a border. Where it is put into the margin of its own
    // partition, that is the only thing wrong.
    let mut found = None;
    for (number, margin) in margins.iter().enumerate().filter(|(_, margin)| margin.rows > 3) {
        let own = margin.pixel.unwrap().range();
        for other in &margins {
            let rows = table.world.table(&other.path).await;
            let near = numbers(&rows, 0).iter().position(|cell| own.contains(&(*cell as u64)));
            found = found.or(near.map(|row| (number, rows.slice(row, 1))));
        }
    }
    let (number, inside) = found.expect("two margins of neighbours");

    let mut table = table;
    let good = table.world.table(&margins[number].path).await;
    let path = table
        .edit_member(MARGIN, number, |rows| {
            let order = numbers(&rows, 0).iter().filter(|cell| **cell < numbers(&inside, 0)[0]).count();
            concat_batches(
                &rows.schema(),
                [&rows.slice(0, order), &inside, &rows.slice(order, rows.num_rows() - order)],
            )
            .unwrap()
        })
        .await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (path.clone(), Some(0)));
    assert!(what.contains("inside"), "{what}");

    table.edit_member(MARGIN, number, |_| taken(&good, [0].into_iter().chain(0..good.num_rows()))).await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (path.clone(), Some(0)));
    assert!(what.contains("no row of the table from around"), "{what}");

    table
        .edit_member(MARGIN, number, |_| {
            let mut names: Vec<String> = good
                .column(column("name"))
                .as_string::<i32>()
                .iter()
                .map(|name| name.unwrap_or("").to_owned())
                .collect();
            names[2] = "someone else".into();
            with_column(&good, "name", Arc::new(StringArray::from(names)))
        })
        .await;
    let report = table.report().await;
    assert!(report.defects.iter().all(|defect| defect.file == path), "{:#?}", report.defects);
    assert!(report.defects.iter().any(|defect| defect.what.contains("no row")), "{:#?}", report.defects);

    table.edit_member(MARGIN, number, |_| taken(&good, (0..good.num_rows()).rev())).await;
    let (file, _, what) = table.defect().await;
    assert_eq!(file, path);
    assert!(what.contains("after a row of a higher cell"), "{what}");
}

#[tokio::test]
async fn entries_that_an_index_lacks_or_makes_up_are_found() {
    let mut table = Table::new(true).await;
    let path = format!("{INDEX}/dataset/index/part.0.parquet");
    let good = table.world.table(&path).await;
    table.edit_member(INDEX, 0, |rows| without(&rows, 200)).await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file.as_str(), group), (INDEX, None));
    let value = numbers(&good, 2)[200];
    assert!(
        what.starts_with("it lacks 1 value of id that stars/") && what.ends_with(&format!("the first is {value}")),
        "{what}"
    );

    table.edit_member(INDEX, 0, |_| taken(&good, (0..=200).chain(200..good.num_rows()))).await;
    let (file, _, what) = table.defect().await;
    assert_eq!(file, INDEX);
    assert!(what.contains("more than once"), "{what}");

    // An entry more, for a partition that there is but that does not have the value.
    let elsewhere =
        (0..good.num_rows()).find(|row| good.column(1).slice(*row, 1) != good.column(1).slice(200, 1)).unwrap();
    table
        .edit_member(INDEX, 0, |_| {
            let mut columns = taken(&good, (0..=200).chain(200..good.num_rows())).columns().to_vec();
            for column in [0, 1] {
                let parts = [
                    good.column(column).slice(0, 200),
                    good.column(column).slice(elsewhere, 1),
                    good.column(column).slice(200, good.num_rows() - 200),
                ];
                let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
                columns[column] = arrow::compute::concat(&parts).unwrap();
            }
            RecordBatch::try_new(good.schema(), columns).unwrap()
        })
        .await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (path.clone(), Some(1)));
    assert!(what.contains("for partitions that do not have them"), "{what}");

    table
        .edit_member(INDEX, 0, |_| {
            let mut order: Vec<usize> = (0..good.num_rows()).collect();
            order.swap(400, 401);
            taken(&good, order)
        })
        .await;
    let (file, group, what) = table.defect().await;
    assert_eq!((file, group), (path, Some(2)));
    assert!(what.contains("after a row of a higher value"), "{what}");
}

#[tokio::test]
async fn defects_beyond_the_bound_are_counted() {
    let mut table = Table::new(false).await;
    for statistics in &mut table.statistics {
        statistics.0.iter_mut().for_each(|column| column.nulls = Some(1_000_000));
    }
    let report = table.report().await;
    assert_eq!(report.defects.len(), 20);
    assert_eq!(report.more_defects, (table.files.len() * schema().fields().len() - 20) as u64);
}
