//! One version of a table, as it is on the store: immutable, opened once, shared by every query that reads it.

use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};
use sky::{
    angle::{Arcsec, Deg, Rad},
    coverage::Coverage,
    healpix::Pixel,
};

use crate::{CatalogError, CatalogStore, ColumnStatistics, Descriptor, PositionColumns, Statistics, select::CellIndex};

/// One Parquet file of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its path below the place of the data: see [`CatalogSnapshot::path_of`].
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The partition that it holds, or a part of which it holds; none in a table without positions.
    pub pixel: Option<Pixel>,
    /// The lowest and the highest order-29 cell that a row of it can be in, both inclusive; none where that is not known.
    pub cells: Option<(u64, u64)>,
    /// SHA-256 of its bytes, in hexadecimal, of a file that was written here.
    pub sha256: Option<String>,
}

/// An immutable version of a table: its schema and its files, in the order of the sky. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CatalogSnapshot(Arc<Version>);

#[derive(Debug)]
struct Version {
    home: CatalogStore,
    root: String,
    data: CatalogStore,
    id: String,
    schema: SchemaRef,
    descriptor: Descriptor,
    position: Option<PositionColumns>,
    files: Vec<DataFile>,
    /// How many of the first files have no cells.
    unplaced: usize,
    cells: CellIndex,
    rows: u64,
    statistics: Statistics,
    /// Stands for the times of the files: see [`CatalogSnapshot::object_of`].
    mark: DateTime<Utc>,
}

/// Puts files into the order that a snapshot has them in: along the sky, those without cells first, and those in no order
/// of the sky by the numbers in their names.
pub(crate) fn sort(files: &mut [DataFile]) {
    // By name first, whatever folder of which version it is in: part.2 before part.10.
    fn key(file: &DataFile) -> (Option<(u64, u64)>, usize, &str, &str) {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        (file.cells, name.len(), name, &file.path)
    }
    files.sort_by(|a, b| key(a).cmp(&key(b)));
}

impl CatalogSnapshot {
    /// A version in the folder `root` of the store `home`, with its files in the store `data`, and with statistics in the
    /// order of [`sort`].
    pub(crate) fn new(
        home: CatalogStore,
        root: String,
        data: CatalogStore,
        schema: SchemaRef,
        descriptor: Descriptor,
        mut files: Vec<DataFile>,
        statistics: Statistics,
    ) -> Self {
        sort(&mut files);
        let id = content_id(&schema, &descriptor, &files);
        let rows = files.iter().map(|file| file.rows).sum();
        let unplaced = files.partition_point(|file| file.cells.is_none());
        let cells = CellIndex::new(files[unplaced..].iter().map(|file| file.cells.unwrap_or_default()));
        let columns = descriptor.position.as_ref();
        let position = columns.map(|columns| PositionColumns { ra: columns.ra.clone(), dec: columns.dec.clone() });
        let mark = mark(&data, descriptor.data.is_some().then_some(id.as_str()));
        Self(Arc::new(Version {
            home,
            root,
            data,
            id,
            schema,
            descriptor,
            position,
            files,
            unplaced,
            cells,
            rows,
            statistics,
            mark,
        }))
    }

    /// The store that the data files lie in.
    pub fn store(&self) -> &CatalogStore {
        &self.0.data
    }

    /// The store that this version belongs to: another than [`store`](Self::store) where the files are somebody else's.
    pub fn home(&self) -> &CatalogStore {
        &self.0.home
    }

    /// The folder of this version, in [`home`](Self::home).
    pub fn root(&self) -> &str {
        &self.0.root
    }

    /// The path of a data file in [`store`](Self::store).
    pub fn path_of(&self, file: &DataFile) -> String {
        match file.path.strip_prefix('/') {
            Some(shared) => shared.to_owned(), // with an older version, whose folder it lies in
            None if self.0.descriptor.data.is_some() => file.path.clone(),
            None => format!("{}/{}", self.0.root, file.path),
        }
    }

    /// A data file as an object of [`store`](Self::store), without asking the store. What is kept of a file by its path,
    /// size and time is kept apart from what is kept of another store's file of that path: the time is made from where the
    /// file is, and from the version where the file is somebody else's and may change.
    pub fn object_of(&self, file: &DataFile) -> ObjectMeta {
        ObjectMeta {
            location: CatalogStore::object_path(&self.path_of(file)),
            last_modified: self.0.mark,
            size: file.bytes,
            e_tag: None,
            version: None,
        }
    }

    /// A hash of all that a query can see: equal ids mean equal rows. Files without checksums are told from others of
    /// their names and sizes by when they were looked at.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What this version says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }

    /// The columns, each with its VO metadata.
    pub fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    /// The columns that hold the positions, if the table has any.
    pub fn position(&self) -> Option<&PositionColumns> {
        self.0.position.as_ref()
    }

    /// How far a row's position may be from the cells that it is filed under.
    pub fn position_slack(&self) -> Deg {
        Deg::from(Arcsec(self.0.descriptor.position.as_ref().map_or(0.0, |position| position.slack_arcsec)))
    }

    /// A sentence about the table.
    pub fn description(&self) -> Option<&str> {
        self.0.descriptor.description.as_deref()
    }

    /// All files, ascending along the sky.
    pub fn files(&self) -> &[DataFile] {
        &self.0.files
    }

    /// How many rows the table has.
    pub fn rows(&self) -> u64 {
        self.0.rows
    }

    /// The files that may hold a row whose position is in the covered part of the sky. A file without cells always may.
    pub fn select<'a>(&'a self, coverage: &Coverage) -> impl Iterator<Item = &'a DataFile> {
        self.select_numbers(coverage).into_iter().map(|number| &self.0.files[number])
    }

    /// The same files by their numbers in [`files`](Self::files), ascending: also their places in
    /// [`statistics`](Self::statistics).
    pub fn select_numbers(&self, coverage: &Coverage) -> Vec<usize> {
        if coverage.is_empty() {
            return Vec::new();
        }
        let slack = self.position_slack();
        let placed = match slack.0 > 0.0 {
            true => self.0.cells.touching(coverage.dilate(Rad::from(slack)).ranges()),
            false => self.0.cells.touching(coverage.ranges()),
        };
        (0..self.0.unplaced).chain(placed.into_iter().map(|number| number + self.0.unplaced)).collect()
    }

    /// The files of the index of a column, told by its manifest; none if it has no index. They lie where the data files do
    /// ([`object_of`](Self::object_of)).
    pub async fn index_files(&self, column: &str) -> Result<Vec<DataFile>, CatalogError> {
        let Some(index) = self.descriptor().indexes.iter().find(|index| index.column == column) else {
            return Ok(Vec::new());
        };
        let manifest = format!("{}/{}", self.root(), crate::layout::member_manifest(&index.folder));
        crate::manifest::decode(self.home().get(&manifest).await?, self.root())
    }

    /// The range of a column in each file, in the order of [`files`](Self::files); `None` where there is no such column
    /// or nothing was written about it. Read when it is asked for, and kept in a bounded cache.
    pub async fn statistics(&self, column: &str) -> Result<Option<Arc<ColumnStatistics>>, CatalogError> {
        let Ok(index) = self.0.schema.index_of(column) else { return Ok(None) };
        self.0.statistics.column(&self.0.schema, index, self.0.files.len()).await
    }
}

fn mark(store: &CatalogStore, foreign: Option<&str>) -> DateTime<Utc> {
    let mut hasher = DefaultHasher::new();
    (store.key(), foreign).hash(&mut hasher);
    // Half of the hash, as seconds, is a time before 2107.
    DateTime::from_timestamp((hasher.finish() >> 32) as i64, 0).unwrap_or_default()
}

fn content_id(schema: &SchemaRef, descriptor: &Descriptor, files: &[DataFile]) -> String {
    let mut digest = Sha256::new();
    for field in schema.fields() {
        let mut metadata: Vec<_> = field.metadata().iter().collect();
        metadata.sort();
        digest.update(format!("{:?} {:?} {} {metadata:?}\n", field.name(), field.data_type(), field.is_nullable()));
    }
    if let Some(data) = &descriptor.data {
        digest.update(format!("{data} {}\n", descriptor.created.to_rfc3339()));
    }
    let mut line = String::new();
    for file in files {
        line.clear();
        let sum = file.sha256.as_deref().unwrap_or("-");
        let _ = writeln!(line, "{} {} {} {sum}", file.path, file.bytes, file.rows); // writing to a String cannot fail
        digest.update(&line);
    }
    hexadecimal(&digest.finalize())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;
    use sky::{
        Cone, Position,
        coverage::Detail,
        healpix::{CELLS_29, Order},
    };
    use url::Url;

    use super::*;

    fn snapshot(descriptor: Descriptor, files: Vec<DataFile>) -> CatalogSnapshot {
        let store = CatalogStore::read_only(&std::env::temp_dir().display().to_string(), &crate::Remote::default());
        let store = store.unwrap();
        let field = |name| Field::new(name, DataType::Float64, true);
        let schema = Arc::new(Schema::new(vec![field("ra"), field("dec")]));
        CatalogSnapshot::new(store.clone(), "root".into(), store, schema, descriptor, files, Statistics::none())
    }

    fn file(path: &str, cells: Option<(u64, u64)>) -> DataFile {
        DataFile { path: path.into(), bytes: 1, rows: 1, pixel: None, cells, sha256: Some("00".into()) }
    }

    fn paths<'a>(files: impl Iterator<Item = &'a DataFile>) -> Vec<String> {
        files.map(|file| file.path.clone()).collect()
    }

    #[test]
    fn a_path_is_the_versions_own_or_shared_or_foreign() {
        let own = snapshot(crate::descriptor::tests::stars(), vec![]);
        assert_eq!(own.path_of(&file("stars/dataset/a", None)), "root/stars/dataset/a");
        assert_eq!(own.path_of(&file("/catalogs/old/a", None)), "catalogs/old/a");
        let data = Some(Url::parse("s3://bucket/x/").unwrap());
        let foreign = snapshot(Descriptor { data, ..crate::descriptor::tests::stars() }, vec![]);
        assert_eq!(foreign.path_of(&file("dataset/a", None)), "dataset/a");
    }

    #[test]
    fn files_without_cells_come_in_the_order_of_their_numbers_and_are_always_selected() {
        let files = ["part.10", "part.9", "part.0"].map(|path| file(path, None));
        let snapshot = snapshot(crate::descriptor::tests::stars(), [&files[..], &[file("a", Some((5, 6)))]].concat());
        assert_eq!(paths(snapshot.files().iter()), ["part.0", "part.9", "part.10", "a"]);
        let cone = Cone::new(Position::from_deg(200.0, -20.0).unwrap(), Deg(0.1)).unwrap();
        assert_eq!(snapshot.select_numbers(&Coverage::of_cone(&cone, Detail::default())), [0, 1, 2]);
        assert_eq!(snapshot.select_numbers(&Coverage::whole_sky()), [0, 1, 2, 3]);
        assert!(snapshot.select_numbers(&Coverage::empty()).is_empty());
    }

    #[test]
    fn rows_that_are_filed_away_from_their_positions_are_found_within_the_slack() {
        let here = Position::from_deg(45.0, 10.0).unwrap();
        let beside = Position::from_deg(45.0, 10.01).unwrap(); // 36 arcseconds away
        let cell = sky::healpix::cell29(beside);
        let with_slack = |slack_arcsec| {
            let mut descriptor = crate::descriptor::tests::stars();
            descriptor.position.iter_mut().for_each(|position| position.slack_arcsec = slack_arcsec);
            snapshot(descriptor, vec![file("a", Some((cell, cell)))])
        };
        let cone = Coverage::of_cone(&Cone::new(here, Deg::from(Arcsec(1.0))).unwrap(), Detail::default());
        assert_eq!(with_slack(0.0).select(&cone).count(), 0);
        assert_eq!(with_slack(40.0).select(&cone).count(), 1);
        assert!((with_slack(40.0).position_slack().0 - 40.0 / 3600.0).abs() < 1e-12);
    }

    #[test]
    fn the_id_follows_all_that_a_query_can_see_and_nothing_else() {
        let stars = crate::descriptor::tests::stars;
        let id = |descriptor, files| snapshot(descriptor, files).id().to_owned();
        let first = id(stars(), vec![file("a", None), file("b", None)]);
        let later = stars().created + chrono::Duration::seconds(1);
        let noted = Descriptor { note: Some("n".into()), created: later, ..stars() };
        assert_eq!(first, id(noted, vec![file("b", None), file("a", None)]), "order and notes do not matter");
        let changed = DataFile { sha256: Some("11".into()), ..file("b", None) };
        assert_ne!(first, id(stars(), vec![file("a", None), changed]));
        let foreign = Descriptor { data: Some(Url::parse("file:///x/").unwrap()), ..stars() };
        let again = Descriptor { created: later, ..foreign.clone() };
        assert_ne!(id(foreign, vec![]), id(again, vec![]), "what has no checksums may have changed");
    }

    proptest! {
        #[test]
        fn selection_is_what_looking_at_every_file_gives(
            pixels in prop::collection::vec((0_u8..6, any::<prop::sample::Index>(), 0_u64..1_000_000), 1..60),
            (lon, lat, radius) in (0.0..360.0_f64, -90.0..=90.0_f64, 0.01..40.0_f64),
            overlap in any::<bool>(),
        ) {
            let files = pixels.iter().enumerate().map(|(number, (order, index, more))| {
                let order = Order::new(*order).unwrap();
                let range = Pixel::new(order, index.index(order.cells() as usize) as u64).unwrap().range();
                let more = if overlap { more << 36 } else { 0 };
                file(&number.to_string(), Some((range.start, (range.end - 1 + more).min(CELLS_29 - 1))))
            });
            let snapshot = snapshot(crate::descriptor::tests::stars(), files.collect());
            let cone = Cone::new(Position::from_deg(lon, lat).unwrap(), Deg(radius)).unwrap();
            let coverage = Coverage::of_cone(&cone, Detail::default());
            let touches = |file: &&DataFile| {
                let (low, high) = file.cells.unwrap();
                coverage.intersects_range(low, high + 1)
            };
            prop_assert_eq!(paths(snapshot.select(&coverage)), paths(snapshot.files().iter().filter(touches)));
        }
    }
}
