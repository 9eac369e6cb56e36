//! Building a margin: copies of the rows along the borders, one file for each target cell that has any.
//!
//! ```text
//!   data files ──cells──▶ rows on a border ──all their columns──▶ sorted by target, cell, file, row ──▶ one file a target
//! ```
//! Of each row group the cells are read first, and the other columns only of the rows that a margin needs.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array},
    compute::take_record_batch,
    datatypes::{Schema, SchemaRef, UInt64Type},
};
use parquet::{arrow::arrow_reader::RowSelection, file::properties::WriterProperties};
use sky::{Arcsec, Pixel};
use tokio::runtime::Handle;

use super::{
    BuildContext, MarginPlan, Sorter,
    files::{self, MemberFile, Written},
    plan::Router,
    reader::{Leaf, LeafReader, all_columns},
    runs::{Sorted, number_field},
    share,
};
use crate::{CatalogError, CatalogSnapshot, DataFile, MarginMember, layout, leaf_path};

/// The columns that rows are sorted by on their way; they come before the table's own.
const TAGS: [&str; 4] = ["target", "cell", "file", "row"];

/// Builds the margin of the given width in a folder beside the table's.
///
/// Where rows are not in the partition of their own position but in that of a row they belong to, they count as lying
/// there, and the margin is wider by as much as the two may be apart.
pub(crate) async fn build(
    snapshot: &CatalogSnapshot,
    threshold: Arcsec,
    folder: &str,
    ctx: &BuildContext<'_>,
) -> Result<MarginMember, CatalogError> {
    let partitions: Vec<Pixel> = snapshot.files().iter().filter_map(|file| file.pixel).collect();
    if snapshot.descriptor().position.is_none() {
        return Err(CatalogError::input(folder, "a table without positions has no margins"));
    }
    let plan = Arc::new(MarginPlan::new(&partitions, Arcsec(threshold.0 + Arcsec::from(snapshot.position_slack()).0))?);
    let sorters = route(snapshot, &plan, ctx).await?;
    let target = Target {
        schema: Arc::clone(snapshot.schema()),
        settings: files::margin_settings(snapshot.schema())?,
        store: ctx.store.clone(),
        root: ctx.root.to_owned(),
        folder: folder.to_owned(),
        spill: ctx.spill.to_owned(),
    };
    let (runtime, settings) = (Handle::current(), target.settings.clone());
    let written = tokio::task::spawn_blocking(move || {
        let sorted = Sorter::sorted(sorters)?;
        runtime.block_on(target.write(sorted, plan.cells()))
    });
    let files = written.await??;
    write_side_files(snapshot, threshold, folder, &files, settings, ctx).await?;
    let rows = files.iter().map(|file| file.rows).sum();
    Ok(MarginMember { folder: folder.to_owned(), arcsec: threshold.0, rows, files: files.len() as u64 })
}

/// Reads the rows that the margin needs, each with its tags, on several threads.
async fn route(
    snapshot: &CatalogSnapshot,
    plan: &Arc<MarginPlan>,
    ctx: &BuildContext<'_>,
) -> Result<Vec<Sorter>, CatalogError> {
    let fields = TAGS.iter().map(|name| Arc::new(number_field(name)));
    let tagged: SchemaRef =
        Arc::new(Schema::new(fields.chain(snapshot.schema().fields().iter().cloned()).collect::<Vec<_>>()));
    let memory = ctx.memory / ctx.threads.max(1);
    let (reader, plan, spill) = (LeafReader::new(snapshot), Arc::clone(plan), ctx.spill.to_owned());
    let progress = super::share::Counted::new(snapshot.rows(), &ctx.progress);
    share(ctx.threads, snapshot.files().len(), move |numbers| {
        let (reader, plan, spill, progress) = (reader.clone(), Arc::clone(&plan), spill.clone(), progress.clone());
        let tagged = Arc::clone(&tagged);
        async move {
            let keys: Vec<usize> = (0..TAGS.len()).collect();
            let mut sorter = Sorter::new(Arc::clone(&tagged), &keys, false, &spill, memory)?;
            let mut router = plan.router();
            while let Some(number) = numbers.next() {
                let leaf = reader.open(number).await?;
                route_file(&leaf, number, &mut router, &tagged, &mut sorter).await?;
                progress.add(reader.file(number).rows);
            }
            Ok(sorter)
        }
    })
    .await
}

async fn route_file(
    leaf: &Leaf,
    number: usize,
    router: &mut Router<'_>,
    tagged: &SchemaRef,
    sorter: &mut Sorter,
) -> Result<(), CatalogError> {
    let mut first_row = 0;
    for (group, rows) in leaf.row_groups().into_iter().enumerate() {
        let copies = copies_of(leaf, group, router).await?;
        if !copies.is_empty() {
            let chosen = copies.iter().map(|copy| copy.row..copy.row + 1);
            let selection = RowSelection::from_consecutive_ranges(merge(chosen), rows);
            let columns = all_columns(&Schema::new(tagged.fields()[TAGS.len()..].to_vec()));
            let mut stream = leaf.rows(&columns, Some(group), Some(selection))?;
            let mut rest = &copies[..];
            while let Some(batch) = stream.next().await? {
                let (here, after) = split_after(rest, batch.num_rows());
                rest = after;
                sorter.push(tag(&batch, here, number as u64, first_row, tagged)?)?;
            }
            if !rest.is_empty() {
                return Err(super::reader::damaged(leaf.path(), "it has fewer rows than its footer tells"));
            }
        }
        first_row += rows as u64;
    }
    Ok(())
}

/// A row of a row group that goes into the margin of a target cell.
#[derive(Clone, Copy)]
struct Copy {
    row: usize,
    cell: u64,
    target: u32,
}

async fn copies_of(leaf: &Leaf, group: usize, router: &mut Router<'_>) -> Result<Vec<Copy>, CatalogError> {
    let (mut cells, mut copies, mut row) = (leaf.cells(Some(group))?, Vec::new(), 0);
    while let Some(batch) = cells.next().await? {
        for cell in batch {
            copies.extend(router.targets(cell).iter().map(|target| Copy { row, cell, target: *target }));
            row += 1;
        }
    }
    Ok(copies)
}

/// Ranges that ascend, each number once.
fn merge(ranges: impl Iterator<Item = std::ops::Range<usize>>) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut merged: Vec<std::ops::Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged.into_iter()
}

/// The copies of the first `rows` different rows, and those after them.
fn split_after(copies: &[Copy], rows: usize) -> (&[Copy], &[Copy]) {
    let end = copies.chunk_by(|a, b| a.row == b.row).take(rows).map(<[Copy]>::len).sum();
    copies.split_at(end)
}

/// Copies of the rows of a batch, which holds each row of `copies` once, with what they are sorted by.
fn tag(
    batch: &RecordBatch,
    copies: &[Copy],
    file: u64,
    first_row: u64,
    tagged: &SchemaRef,
) -> Result<RecordBatch, CatalogError> {
    let rows = copies.chunk_by(|a, b| a.row == b.row).zip(0_u32..);
    let rows = UInt32Array::from_iter_values(rows.flat_map(|(same, row)| std::iter::repeat_n(row, same.len())));
    let copied = take_record_batch(batch, &rows)?;
    let numbers =
        |of: &dyn Fn(&Copy) -> u64| Arc::new(UInt64Array::from_iter_values(copies.iter().map(of))) as ArrayRef;
    let mut columns = vec![
        numbers(&|copy| copy.target.into()),
        numbers(&|copy| copy.cell),
        numbers(&|_| file),
        numbers(&|copy| first_row + copy.row as u64),
    ];
    columns.extend(copied.columns().iter().cloned());
    Ok(RecordBatch::try_new(Arc::clone(tagged), columns)?)
}

/// Where and how the files are written.
struct Target {
    schema: SchemaRef,
    settings: WriterProperties,
    store: crate::CatalogStore,
    root: String,
    folder: String,
    spill: std::path::PathBuf,
}

/// A file being written: for which target cell, and the lowest and highest cell of its rows so far.
struct Open {
    file: MemberFile,
    target: u64,
    cells: (u64, u64),
}

impl Target {
    /// Writes a file for each target among rows that are sorted by it.
    async fn write(&self, sorted: Sorted, targets: &[Pixel]) -> Result<Vec<DataFile>, CatalogError> {
        let (mut files, mut open) = (Vec::new(), None::<Open>);
        for rows in sorted {
            let rows = rows?;
            let tags = |column: usize| rows.column(column).as_primitive::<UInt64Type>().values();
            let (target, cell) = (tags(0), tags(1));
            let own: Vec<ArrayRef> = rows.columns()[TAGS.len()..].to_vec();
            let own = RecordBatch::try_new(Arc::clone(&self.schema), own)?;
            let mut start = 0;
            for same in target.chunk_by(|a, b| a == b) {
                let end = start + same.len();
                if open.as_ref().is_some_and(|open| open.target != same[0]) {
                    files.extend(self.close(open.take(), targets).await?);
                }
                let open = match &mut open {
                    Some(open) => open,
                    None => {
                        let file = MemberFile::new(&self.schema, self.settings.clone(), &self.spill)?;
                        open.insert(Open { file, target: same[0], cells: (cell[start], cell[start]) })
                    }
                };
                open.file.write(own.slice(start, same.len()))?;
                open.cells.1 = cell[end - 1];
                start = end;
            }
        }
        files.extend(self.close(open, targets).await?);
        Ok(files)
    }

    async fn close(&self, open: Option<Open>, targets: &[Pixel]) -> Result<Option<DataFile>, CatalogError> {
        let Some(Open { file, target, cells }) = open else { return Ok(None) };
        let Written { path, bytes, rows, sha256, .. } = file.finish()?;
        let pixel = targets[target as usize];
        let place = format!("{}/{}", self.folder, leaf_path(pixel));
        self.store.put_file(&format!("{}/{place}", self.root), &path).await?;
        Ok(Some(DataFile { path: place, bytes, rows, pixel: Some(pixel), cells: Some(cells), sha256: Some(sha256) }))
    }
}

async fn write_side_files(
    snapshot: &CatalogSnapshot,
    threshold: Arcsec,
    folder: &str,
    files: &[DataFile],
    settings: WriterProperties,
    ctx: &BuildContext<'_>,
) -> Result<(), CatalogError> {
    let mut partitions = String::from("Norder,Npix\n");
    for pixel in files.iter().filter_map(|file| file.pixel) {
        partitions += &format!("{},{}\n", pixel.order().get(), pixel.index());
    }
    ctx.store.put(&format!("{}/{folder}/{}", ctx.root, layout::PARTITIONS), partitions.into_bytes()).await?;
    let descriptor = snapshot.descriptor();
    let mut properties = files::properties_of(snapshot, "margin");
    properties.set("hats_margin_threshold", threshold.0);
    if let Some(position) = &descriptor.position {
        properties.set("hats_col_ra", &position.ra);
        properties.set("hats_col_dec", &position.dec);
    }
    if let Some(healpix) = &descriptor.healpix {
        properties.set("hats_col_healpix", &healpix.column);
        properties.set("hats_col_healpix_order", healpix.order);
    }
    properties.set("hats_npix_suffix", ".parquet");
    let orders = files.iter().filter_map(|file| file.pixel).map(|pixel| pixel.order().get());
    properties.set("hats_order", orders.max().unwrap_or(0));
    let common = files::common_metadata(snapshot.schema(), settings)?;
    files::write_side_files(ctx, folder, files, common, properties).await
}
