//! Whether a margin is complete and exact.
//!
//! Of every row of the table that is near a border it is found out anew, by points on a circle around it, which cells are
//! within the margin's width of it: there it must be. And every row of the margin must be a row of the table, unchanged,
//! from outside of its cell. Rows are known by a hash of all of their values, and compared by sorting both sides.
//!
//! ```text
//!   table   hash · there is such a row      hash · it must be in the margin of this cell
//!   margin                                  hash · it is in the margin of this cell
//! ```

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
    row::{RowConverter, SortField},
};
use sha2::{Digest, Sha256};
use sky::{Arcsec, Pixel, Position, Rad, healpix::cell29};

use super::{
    Context, Member,
    defects::Tally,
    file::{self, Visitor},
    places::{Placed, Places},
    table::note_disorder,
};
use crate::{
    CatalogError, DataFile, MarginMember, leaf_path,
    members::{Entries, Entry, MarginPlan, is_on_border, share},
};

/// How many points of the circle around a row are looked at.
const POINTS: u32 = 64;
/// Marks the entry of a row of the margin.
const IN_MARGIN: u64 = 1 << 63;
/// A place is a number of a file or row group, and the number of a row, of so many bits.
const ROW_BITS: u32 = 40;

/// A margin to be checked.
#[derive(Clone)]
pub(super) struct Task {
    context: Context,
    margin: MarginMember,
    member: Member,
    places: Places,
    /// The cells that have margins: partitions, and those that fill the rest of the sky.
    tiles: Arc<MarginPlan>,
    /// The same, where the margin is narrow enough to be looked up around a row.
    around: Option<Arc<MarginPlan>>,
    /// Rows in a cell of this order along a border may be in a margin; others are not.
    wide: u8,
    converter: Arc<RowConverter>,
    memory: usize,
}

impl Task {
    /// None, and the reason, where it cannot be checked.
    pub(super) fn new(
        context: &Context,
        margin: MarginMember,
        member: Member,
        things: usize,
        unchecked: &mut Vec<String>,
    ) -> Option<Self> {
        let mut refuse = |why: &str| {
            unchecked.push(format!("{}: {why}", member.folder));
            None
        };
        let snapshot = &context.snapshot;
        let Some(places) = Places::of(snapshot).filter(|_| snapshot.position().is_some()) else {
            return refuse("the table has no positions");
        };
        let fields = snapshot.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let Ok(converter) = RowConverter::new(fields) else { return refuse("it has columns that cannot be compared") };
        let partitions: Vec<Pixel> = snapshot.files().iter().filter_map(|file| file.pixel).collect();
        let reach = Arcsec(margin.arcsec + Arcsec::from(snapshot.position_slack()).0);
        let Ok(tiles) = MarginPlan::new(&partitions, Arcsec(1e-6)) else {
            return refuse("the partitions overlap, or are finer than any margin");
        };
        let around = MarginPlan::new(&partitions, reach).ok().map(Arc::new);
        let wide = wide_order(reach.into(), context.is_ours());
        let memory = context.share_of_memory(2 * things);
        let (context, tiles, converter) = (context.clone(), Arc::new(tiles), Arc::new(converter));
        Some(Self { context, margin, member, places, tiles, around, wide, converter, memory })
    }

    pub(super) fn folder(&self) -> &str {
        &self.member.folder
    }

    /// Something that watches rows go by.
    pub(super) fn watch(&self) -> Seen {
        Seen { task: self.clone(), entries: Entries::new(&self.context.options.spill, self.memory), rows: 0 }
    }

    /// Reads the margin and compares it with the rows of the table that were seen. How many rows it has.
    pub(super) async fn check(self, seen: Vec<Seen>) -> Result<u64, CatalogError> {
        let task = self.clone();
        let of_margin = share(self.context.options.threads, self.member.files.len(), move |numbers| {
            let task = task.clone();
            async move {
                let mut seen = task.watch();
                while let Some(number) = numbers.next() {
                    task.read(&task.member.files[number], &mut seen).await?;
                }
                Ok(seen)
            }
        })
        .await?;
        let rows = of_margin.iter().map(|seen| seen.rows).sum();
        let entries = seen.into_iter().chain(of_margin).map(|seen| seen.entries).collect();
        self.compare(entries)?;
        Ok(rows)
    }

    async fn read(&self, file: &DataFile, seen: &mut Seen) -> Result<(), CatalogError> {
        let Some(pixel) = file.pixel else {
            self.context.defects.add(&file.path, None, "it is for no cell of the sky");
            return Ok(());
        };
        let tile = self.tiles.home(pixel.range().start);
        if self.tiles.cells()[tile] != pixel {
            let what = format!(
                "it is for the cell {pixel}, which is no partition, nor one of those that fill the rest of the sky"
            );
            self.context.defects.add(&file.path, None, what);
            return Ok(());
        }
        let context = &self.context;
        let sorted_by = self.places.healpix_column().filter(|_| context.is_ours());
        let (path, schema) = (context.path(&file.path), context.snapshot.schema());
        let faults = Faults::default();
        let mut rows = MarginRows { task: self, file, pixel, tile, sorted_by, last: None, faults, seen };
        file::read(context, file, &path, schema, &mut rows).await?;
        Ok(())
    }

    /// Compares what is there with what must be, hash by hash and cell by cell.
    fn compare(&self, entries: Vec<Entries>) -> Result<(), CatalogError> {
        let mut verdicts: BTreeMap<u64, Verdict> = BTreeMap::new();
        let (mut key, mut there_are) = (None, 0);
        let mut group: Option<Group> = None;
        let mut settle = |group: Option<Group>, there_are: u64| {
            if let Some(group) = group.filter(|group| group.tile > 0) {
                verdicts.entry(group.tile - 1).or_default().add(&group, there_are);
            }
        };
        for entry in Entries::sorted(entries)? {
            let entry = entry?;
            if group.as_ref().is_none_or(|group| key != Some(entry.key) || group.tile != entry.row) {
                settle(group.replace(Group::of(entry.row)), there_are);
            }
            if key != Some(entry.key) {
                (key, there_are) = (Some(entry.key), 0);
            }
            there_are += u64::from(entry.row == 0);
            if let Some(group) = &mut group {
                group.add(entry.value);
            }
        }
        settle(group, there_are);
        verdicts.into_iter().for_each(|(tile, verdict)| self.tell(tile as usize, &verdict));
        Ok(())
    }

    fn tell(&self, tile: usize, verdict: &Verdict) {
        let pixel = self.tiles.cells()[tile];
        let file = self.member.files.iter().find(|file| file.pixel == Some(pixel));
        let path =
            file.map_or_else(|| format!("{}/{}", self.member.folder, leaf_path(pixel)), |file| file.path.clone());
        if let Some((file, row)) = verdict.first_missing {
            let (count, width) = (verdict.missing, self.margin.arcsec);
            let from = &self.context.snapshot.files()[file as usize].path;
            let what = format!(
                "it lacks {count} of the rows within {width} arcsec of {pixel}; the first is row {} of {from}",
                row + 1
            );
            self.context.defects.add(&path, None, what);
        }
        if let Some((group, row)) = verdict.first_strange {
            let what = match verdict.strange {
                1 => format!("row {} is no row of the table from around {pixel}", row + 1),
                count => format!(
                    "{count} rows, the first of them row {}, are no rows of the table from around {pixel}",
                    row + 1
                ),
            };
            self.context.defects.add(&path, Some(group as usize), what);
        }
    }
}

/// The finest order at which whatever is in a margin lies along a border: the cells are wider than the margin's own.
fn wide_order(reach: Rad, ours: bool) -> u8 {
    let mean = (std::f64::consts::PI / 3.0).sqrt();
    let wide = if ours { 3.2 } else { 6.4 };
    (mean / (wide * reach.0)).log2().floor().clamp(0.0, 29.0) as u8
}

/// Equal rows and one cell.
struct Group {
    /// The number of the cell, counted from 1; 0 stands for the table itself.
    tile: u64,
    required: u64,
    present: u64,
    first_required: u64,
    first_present: u64,
}

impl Group {
    fn of(tile: u64) -> Self {
        Self { tile, required: 0, present: 0, first_required: 0, first_present: 0 }
    }

    fn add(&mut self, value: u64) {
        let (count, first) = match value & IN_MARGIN {
            0 => (&mut self.required, &mut self.first_required),
            _ => (&mut self.present, &mut self.first_present),
        };
        if *count == 0 {
            *first = value & !IN_MARGIN;
        }
        *count += 1;
    }
}

/// What is wrong with the margin of one cell.
#[derive(Default)]
struct Verdict {
    missing: u64,
    first_missing: Option<(u64, u64)>,
    strange: u64,
    first_strange: Option<(u64, u64)>,
}

impl Verdict {
    fn add(&mut self, group: &Group, there_are: u64) {
        let earlier = |known: Option<(u64, u64)>, place: u64| {
            let place = (place >> ROW_BITS, place & ((1 << ROW_BITS) - 1));
            Some(known.map_or(place, |known| known.min(place)))
        };
        if group.required > group.present {
            self.missing += group.required - group.present;
            self.first_missing = earlier(self.first_missing, group.first_required);
        }
        if group.present > there_are {
            self.strange += group.present - there_are;
            self.first_strange = earlier(self.first_strange, group.first_present);
        }
    }
}

/// What one thread has seen of the rows of a table, or of its margin.
pub(super) struct Seen {
    task: Task,
    entries: Entries,
    rows: u64,
}

impl Seen {
    /// Notes those rows of the table that may be in the margin, and the cells in whose margin they must be.
    pub(super) fn table_rows(
        &mut self,
        file: usize,
        _row_group: usize,
        first_row: u64,
        rows: &RecordBatch,
        placed: &Placed,
    ) -> Result<(), CatalogError> {
        let near: Vec<u32> = (0..rows.num_rows())
            .filter(|row| placed.cells[*row].is_some_and(|cell| self.is_near_border(cell)))
            .map(|row| row as u32)
            .collect();
        if near.is_empty() {
            return Ok(());
        }
        let hashes = self.hashes(&take_record_batch(rows, &UInt32Array::from(near.clone()))?)?;
        let mut tiles = Vec::new();
        for (row, key) in near.into_iter().map(|row| row as usize).zip(hashes) {
            let value = (file as u64) << ROW_BITS | (first_row + row as u64);
            self.entries.push(Entry { key, row: 0, value })?;
            if let (Some(cell), Some(position)) = (placed.cells[row], placed.positions[row]) {
                self.tiles_around(cell, position, &mut tiles);
                for tile in tiles.drain(..) {
                    self.entries.push(Entry { key, row: tile as u64 + 1, value })?;
                }
            }
        }
        Ok(())
    }

    fn is_near_border(&self, cell: u64) -> bool {
        let (tiles, wide) = (&self.task.tiles, self.task.wide);
        let order = tiles.cells()[tiles.home(cell)].order().get();
        wide <= order || is_on_border(cell >> (2 * (29 - u32::from(wide))), wide - order)
    }

    /// The cells but its own that are within the margin's width of a row: those that a point of the circle around it is
    /// in, and those with a corner in the circle.
    fn tiles_around(&self, cell: u64, position: Position, found: &mut Vec<usize>) {
        let task = &self.task;
        let reach = Rad::from(Arcsec(task.margin.arcsec * (1.0 - 1e-9))).0;
        let home = task.tiles.home(cell);
        for point in circle(position, reach) {
            let cell = cell29(point);
            if !task.tiles.cells()[home].range().contains(&cell) {
                found.push(task.tiles.home(cell));
            }
        }
        if let Some(around) = &task.around {
            for target in around.router().targets(cell) {
                let target = *target as usize;
                if around.cells()[target].vertices().iter().any(|corner| position.distance(*corner).0 <= reach) {
                    found.push(target);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
    }

    fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u128>, CatalogError> {
        let rows = self.task.converter.convert_columns(rows.columns())?;
        Ok(rows.iter().map(|row| hash(row.data())).collect())
    }
}

/// 128 bits of SHA-256: as good as the bytes themselves.
pub(super) fn hash(bytes: &[u8]) -> u128 {
    let digest = Sha256::digest(bytes);
    digest[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// Points of the circle around a position, its radius in radians.
fn circle(center: Position, radius: f64) -> impl Iterator<Item = Position> {
    let (sin_lat, cos_lat) = center.lat.rad().sin_cos();
    let (sin_radius, cos_radius) = radius.sin_cos();
    (0..POINTS).filter_map(move |point| {
        let bearing = f64::from(point) * std::f64::consts::TAU / f64::from(POINTS);
        let sin = sin_lat * cos_radius + cos_lat * sin_radius * bearing.cos();
        let lon = center.lon.rad() + (bearing.sin() * sin_radius * cos_lat).atan2(cos_radius - sin_lat * sin);
        Position::from_deg(lon.to_degrees(), sin.clamp(-1.0, 1.0).asin().to_degrees()).ok()
    })
}

/// What is wrong with rows of one row group of a margin.
#[derive(Default)]
struct Faults {
    homeless: Tally,
    displaced: Tally,
    inside: Tally,
    unsorted: Tally,
}

/// Looks at the rows of a margin file.
struct MarginRows<'a> {
    task: &'a Task,
    file: &'a DataFile,
    pixel: Pixel,
    tile: usize,
    sorted_by: Option<usize>,
    last: Option<i64>,
    faults: Faults,
    seen: &'a mut Seen,
}

impl Visitor for MarginRows<'_> {
    fn rows(&mut self, row_group: usize, first_row: u64, rows: &RecordBatch) -> Result<(), CatalogError> {
        let placed = self.task.places.look(rows)?;
        let faults = &mut self.faults;
        placed.homeless.iter().for_each(|row| faults.homeless.add(first_row + *row as u64));
        placed.displaced.iter().for_each(|row| faults.displaced.add(first_row + *row as u64));
        for (row, cell) in placed.cells.iter().enumerate() {
            let position = placed.positions.get(row).copied().flatten();
            if cell.is_some_and(|cell| self.task.places.is_well_inside(self.pixel, cell, position)) {
                faults.inside.add(first_row + row as u64);
            }
        }
        if let Some(column) = self.sorted_by {
            note_disorder(rows.column(column), &mut self.last, first_row, &mut faults.unsorted)?;
        }
        for (row, key) in self.seen.hashes(rows)?.into_iter().enumerate() {
            let value = IN_MARGIN | (row_group as u64) << ROW_BITS | (first_row + row as u64);
            self.seen.entries.push(Entry { key, row: self.tile as u64 + 1, value })?;
        }
        self.seen.rows += rows.num_rows() as u64;
        Ok(())
    }

    fn end(&mut self, row_group: usize) {
        let faults = std::mem::take(&mut self.faults);
        let tell = |tally: Tally, what: String| {
            if let Some(rows) = tally.told() {
                self.task.context.defects.add(&self.file.path, Some(row_group), format!("{what}: {rows}"));
            }
        };
        tell(faults.homeless, "no position on the sky".into());
        tell(faults.displaced, "a HEALPix cell that is not that of the position".into());
        tell(faults.inside, format!("inside {}, whose margin this is", self.pixel));
        tell(faults.unsorted, "after a row of a higher cell".into());
    }
}
