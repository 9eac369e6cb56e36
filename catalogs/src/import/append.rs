//! Rows that are added to a table: which of its files change, and what becomes of the others.
//!
//! ```text
//!   new rows ─▶ histogram ─▶ the partitions that they fall in: read again, merged, divided anew where they grew too large
//!                            all others: the same files, by a second name in a folder, by their old path in a bucket
//! ```
//! A row of the table comes before a new one with the same cell. The version that is added to is never changed.

use std::{ops::Range, sync::Mutex, sync::PoisonError};

use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, Int64Type, SchemaRef},
};
use formats::{Format, FormatError, Input, Piece, Pieces, SourceOptions, TableSource, Take};
use sky::Pixel;
use tokio::runtime::Handle;

use super::{
    ImportPlan, PositionPlan,
    convert::PLACE_BITS,
    journal::Finished,
    partition::Histogram,
    pool::{Stop, each_rows},
    survey::{Planned, Spread, Survey},
};
use crate::{CatalogError, CatalogSnapshot, CatalogStore, DataFile, HEALPIX_COLUMN, layout, statistics};

/// Refuses a version that rows cannot be added to.
pub(super) fn check(base: &CatalogSnapshot, store: &CatalogStore, plan: &ImportPlan) -> Result<(), CatalogError> {
    let refuse = |why: &str| Err(CatalogError::input(&plan.name, why));
    let descriptor = base.descriptor();
    if descriptor.data.is_some() {
        return refuse("its files are not in our store but attached; rows cannot be added to it");
    }
    if base.home().key() != store.key() {
        return refuse("it is in another store; rows cannot be added to it");
    }
    let follows = matches!(plan.position, PositionPlan::Like { .. });
    if plan.has_cells() != descriptor.healpix.is_some() || follows != descriptor.director.is_some() {
        return refuse("its rows are not placed as those that shall be added: positions and --like must be the same");
    }
    let own = match &plan.position {
        PositionPlan::Columns { ra, dec, .. } => Some((ra, dec)),
        PositionPlan::Like { own, .. } => own.as_ref().map(|(ra, dec, _)| (ra, dec)),
        PositionPlan::None | PositionPlan::Recognise { .. } => None,
    };
    let there = descriptor.position.as_ref().map(|position| (&position.ra, &position.dec));
    if own.is_some() && own != there {
        return refuse("the table has its positions in other columns");
    }
    if let (PositionPlan::Like { director_name, key, .. }, Some(director)) = (&plan.position, &descriptor.director)
        && (*director_name != director.table || *key != director.key)
    {
        return refuse(&format!("its rows belong to those of {} by {}", director.table, director.key));
    }
    if plan.id.is_some() && plan.id != descriptor.id {
        return refuse("the table was made with another --id, or none");
    }
    if descriptor.nan_is_null == plan.keep_nan {
        return refuse("the table was made with another --keep-nan");
    }
    Ok(())
}

/// Data files of a table as sources.
pub(super) fn open(base: &CatalogSnapshot, files: &[usize], runtime: &Handle) -> Vec<Box<dyn TableSource>> {
    let sources = files.iter().map(|number| {
        let (base, runtime) = (base.clone(), runtime.clone());
        Box::new(Stored { base, number: *number, runtime }) as Box<dyn TableSource>
    });
    sources.collect()
}

/// A data file of a table. It is opened where its rows are read, and is one piece: of a hundred thousand files no more
/// footers are held than there are threads.
struct Stored {
    base: CatalogSnapshot,
    number: usize,
    runtime: Handle,
}

impl Stored {
    fn file(&self) -> &DataFile {
        &self.base.files()[self.number]
    }

    fn decode(&self, columns: Option<&[usize]>, take: &mut Take<'_>) -> Result<(), FormatError> {
        let (base, file) = (&self.base, self.file());
        let unreachable = |error: CatalogError| FormatError::unreadable(&file.path, std::io::Error::other(error));
        let meta = self.runtime.block_on(base.store().head(&base.path_of(file))).map_err(unreachable)?;
        let input = Input::object(file.path.clone(), base.store().objects(), meta, self.runtime.clone());
        let options = SourceOptions { format: Some(Format::Parquet), ..SourceOptions::default() };
        let opened = formats::open(input, &options)?;
        let names = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        if names(opened.schema()) != names(self.base.schema()) || opened.row_count() != Some(file.rows) {
            return Err(FormatError::bad(&file.path, "it is not the file of the table that it was"));
        }
        opened.pieces(columns)?.try_for_each(|piece| piece?.decode(take))
    }
}

impl TableSource for Stored {
    fn name(&self) -> &str {
        &self.file().path
    }

    fn schema(&self) -> &SchemaRef {
        self.base.schema()
    }

    fn fingerprint(&self) -> String {
        self.file().sha256.clone().unwrap_or_default()
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.file().rows)
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let columns = columns.map(<[usize]>::to_vec);
        Ok(Box::new(std::iter::once(Ok(Piece::new(move |take| self.decode(columns.as_deref(), take))))))
    }
}

/// The numbers of the files that new rows fall in, or that lose rows to them.
pub(super) fn affected(base: &CatalogSnapshot, survey: &Survey) -> Vec<usize> {
    let loses = |number: usize| survey.dropped.as_ref().is_some_and(|dropped| dropped.is_of(number));
    let gains = |file: &DataFile| match (&survey.spread, file.pixel) {
        (Spread::Sky(histogram), Some(pixel)) => histogram.rows(pixel.range()) > 0,
        _ => false,
    };
    let files = base.files().iter().enumerate();
    files.filter(|(number, file)| gains(file) || loses(*number)).map(|(number, _)| number).collect()
}

/// The order to count at: as fine as the finest partition.
pub(super) fn order(base: Option<&CatalogSnapshot>, plan: &ImportPlan) -> u8 {
    let of_base = base.into_iter().flat_map(|base| base.files()).filter_map(|file| file.pixel);
    of_base.map(|pixel| pixel.order().get()).max().unwrap_or(0).max(plan.max_order)
}

/// Adds the rows of stored files to what was counted.
pub(super) fn count_stored(
    stored: &[Box<dyn TableSource>],
    survey: &mut Survey,
    threads: usize,
    stop: &Stop,
) -> Result<(), CatalogError> {
    let Spread::Sky(histogram) = &mut survey.spread else { return Ok(()) };
    let histogram: Mutex<&mut Histogram> = Mutex::new(histogram);
    let indices = stored.iter().map(|source| Ok(Some(vec![source.schema().index_of(HEALPIX_COLUMN)?])));
    let indices = indices.collect::<Result<Vec<_>, arrow::error::ArrowError>>()?;
    each_rows(stored, 0..stored.len(), &indices, threads, stop, &|_, rows| {
        let cells = cast(rows.batch.column(0), &DataType::Int64)?;
        let mut histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
        cells.as_primitive::<Int64Type>().values().iter().for_each(|cell| histogram.count(*cell as u64));
        Ok(())
    })
}

/// The cells of the files that stay as they are, ascending.
pub(super) fn fixed(base: &CatalogSnapshot, affected: &[usize]) -> Vec<Range<u64>> {
    let mut fixed: Vec<_> = fixed_pixels(base, affected).into_iter().map(Pixel::range).collect();
    fixed.sort_unstable_by_key(|range| range.start);
    fixed
}

/// The same cells as pixels.
pub(super) fn fixed_pixels(base: &CatalogSnapshot, affected: &[usize]) -> Vec<Pixel> {
    let kept = base.files().iter().enumerate().filter(|(number, _)| affected.binary_search(number).is_err());
    kept.filter_map(|(_, file)| file.pixel).collect()
}

/// In a table without positions, the files that lose rows are planned as they were.
pub(super) fn parts(base: &CatalogSnapshot, affected: &[usize], plan: &ImportPlan) -> Vec<Planned> {
    if plan.has_cells() {
        return Vec::new();
    }
    let parts = affected.iter().map(|number| {
        let file = &base.files()[*number];
        let rank = *number as u64;
        let range = rank << PLACE_BITS..(rank + 1) << PLACE_BITS;
        Planned { pixel: None, part: part_of(&file.path).unwrap_or(*number), rows: file.rows, range }
    });
    parts.collect()
}

/// The first number that no part of a table has.
pub(super) fn next_part(base: &CatalogSnapshot) -> usize {
    base.files().iter().filter_map(|file| part_of(&file.path)).max().map_or(0, |last| last + 1)
}

fn part_of(path: &str) -> Option<usize> {
    path.rsplit_once("part.")?.1.strip_suffix(".parquet")?.parse().ok()
}

/// Takes over the files that stay as they are.
pub(super) async fn share(
    base: &CatalogSnapshot,
    affected: &[usize],
    store: &CatalogStore,
    root: &str,
) -> Result<Vec<Finished>, CatalogError> {
    let ranges = store.get(&format!("{}/{}", base.root(), layout::STATISTICS)).await?;
    let ranges = statistics::decode(base.schema(), ranges)?;
    if ranges.len() != base.files().len() {
        return Err(CatalogError::catalog(base.root(), "its statistics are not of all of its files"));
    }
    let mut shared = Vec::new();
    for (number, (file, ranges)) in base.files().iter().zip(ranges).enumerate() {
        if affected.binary_search(&number).is_ok() {
            continue;
        }
        let from = base.path_of(file);
        // A path below the table's folder, wherever the file was written first.
        let below = if file.path.starts_with('/') {
            from.split('/').skip(4).collect::<Vec<_>>().join("/")
        } else {
            file.path.clone()
        };
        let linked = store.link(&from, &format!("{root}/{below}")).await?;
        let path = if linked { below } else { format!("/{from}") };
        shared.push((DataFile { path, ..file.clone() }, ranges));
    }
    Ok(shared)
}
