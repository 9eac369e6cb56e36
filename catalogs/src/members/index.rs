//! Building an index: in which partitions a value of a column occurs.
//!
//! One row for each value and partition, sorted by value across all files. Rows in which the column is NULL are left out:
//! nobody looks them up by a value. Floating-point columns are not indexed, since what is written of such a value is
//! hardly ever the value itself.

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, UInt8Array, UInt64Array},
    compute::{filter, is_not_null},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::file::properties::WriterProperties;
use sky::Pixel;
use tokio::runtime::Handle;

use super::{
    BuildContext, Sorter,
    files::{self, MemberFile, Written},
    reader::LeafReader,
    runs::Sorted,
    share,
};
use crate::{CatalogError, CatalogSnapshot, CatalogStore, DataFile, IndexMember, footers::Footers};

/// The most rows of a file.
const PART_ROWS: u64 = 1_000_000;

/// Builds the index of a column in a folder beside the table's.
pub(crate) async fn build(
    snapshot: &CatalogSnapshot,
    column: &str,
    folder: &str,
    ctx: &BuildContext<'_>,
) -> Result<IndexMember, CatalogError> {
    let schema = index_schema(snapshot, column)?;
    let sorters = collect(snapshot, column, &schema, ctx).await?;
    let settings = files::index_settings(&schema)?;
    let target = Target {
        footers: Footers::new(&schema, settings.clone())?,
        schema: Arc::clone(&schema),
        settings: settings.clone(),
        store: ctx.store.clone(),
        root: ctx.root.to_owned(),
        folder: folder.to_owned(),
        spill: ctx.spill.to_owned(),
        files: Vec::new(),
        part_rows: PART_ROWS,
    };
    let runtime = Handle::current();
    let written = tokio::task::spawn_blocking(move || {
        let sorted = Sorter::sorted(sorters)?;
        runtime.block_on(target.write(sorted))
    });
    let files = written.await??;
    let mut properties = files::properties_of(snapshot, "index");
    properties.set("hats_index_column", column);
    properties
        .set("obs_description", format!("Where the values of {column} occur; rows without a value are not listed."));
    files::write_side_files(ctx, folder, &files, files::common_metadata(&schema, settings)?, properties).await?;
    let rows = files.iter().map(|file| file.rows).sum();
    Ok(IndexMember { folder: folder.to_owned(), column: column.to_owned(), rows, files: files.len() as u64 })
}

/// Whether a column of this name and type can be indexed; the sentence says why not.
pub(crate) fn value_kind(column: &str, data_type: &DataType) -> Result<(), CatalogError> {
    let refuse = |why: &str| Err(CatalogError::input(format!("an index of {column}"), why));
    if ["Norder", "Npix"].contains(&column) {
        return refuse("HATS uses this name in every index");
    }
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => Ok(()),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => Ok(()),
        number if number.is_integer() => Ok(()),
        number if number.is_floating() => {
            refuse("it is a floating-point column, and such a value is hardly ever asked for to its last bit")
        }
        other => refuse(&format!("it is {other}; whole numbers, text and dates can be indexed")),
    }
}

fn index_schema(snapshot: &CatalogSnapshot, column: &str) -> Result<SchemaRef, CatalogError> {
    let refuse = |why: &str| Err(CatalogError::input(format!("an index of {column}"), why));
    let Ok(field) = snapshot.schema().field_with_name(column) else { return refuse("there is no such column") };
    value_kind(column, field.data_type())?;
    if snapshot.files().iter().any(|file| file.pixel.is_none()) {
        return refuse("the table has no partitions that an index could tell");
    }
    Ok(Arc::new(Schema::new(vec![
        Field::new("Norder", DataType::UInt8, false),
        Field::new("Npix", DataType::UInt64, false),
        field.clone(),
    ])))
}

/// Reads the values with the partition that each is in, on several threads.
async fn collect(
    snapshot: &CatalogSnapshot,
    column: &str,
    schema: &SchemaRef,
    ctx: &BuildContext<'_>,
) -> Result<Vec<Sorter>, CatalogError> {
    let column = snapshot.schema().index_of(column)?;
    let memory = ctx.memory / ctx.threads.max(1);
    let (reader, schema, spill) = (LeafReader::new(snapshot), Arc::clone(schema), ctx.spill.to_owned());
    let progress = super::share::Counted::new(snapshot.rows(), &ctx.progress);
    share(ctx.threads, snapshot.files().len(), move |numbers| {
        let (reader, schema, spill, progress) = (reader.clone(), Arc::clone(&schema), spill.clone(), progress.clone());
        async move {
            let mut sorter = Sorter::new(Arc::clone(&schema), &[2, 0, 1], true, &spill, memory)?;
            while let Some(number) = numbers.next() {
                let file = reader.file(number);
                let Some(pixel) = file.pixel else { continue };
                let mut rows = reader.open(number).await?.rows(&[column], None, None)?;
                while let Some(batch) = rows.next().await? {
                    sorter.push(located(batch.column(0), pixel, &schema)?)?;
                }
                progress.add(file.rows);
            }
            Ok(sorter)
        }
    })
    .await
}

/// The values of a partition as rows of the index.
fn located(values: &ArrayRef, pixel: Pixel, schema: &SchemaRef) -> Result<RecordBatch, CatalogError> {
    let values = if values.null_count() > 0 { filter(values, &is_not_null(values)?)? } else { Arc::clone(values) };
    let orders = UInt8Array::from_value(pixel.order().get(), values.len());
    let indexes = UInt64Array::from_value(pixel.index(), values.len());
    Ok(RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(orders), Arc::new(indexes), values])?)
}

/// Where and how the files are written, and those that are.
struct Target {
    footers: Footers,
    schema: SchemaRef,
    settings: WriterProperties,
    store: CatalogStore,
    root: String,
    folder: String,
    spill: PathBuf,
    files: Vec<DataFile>,
    part_rows: u64,
}

impl Target {
    async fn write(mut self, sorted: Sorted) -> Result<Vec<DataFile>, CatalogError> {
        let mut open: Option<MemberFile> = None;
        for rows in sorted {
            let mut rows = rows?;
            while rows.num_rows() > 0 {
                let file = match &mut open {
                    Some(file) => file,
                    None => open.insert(MemberFile::new(&self.schema, self.settings.clone(), &self.spill)?),
                };
                let room = (self.part_rows - file.rows()).min(rows.num_rows() as u64) as usize;
                file.write(rows.slice(0, room))?;
                rows = rows.slice(room, rows.num_rows() - room);
                if file.rows() == self.part_rows {
                    self.close(open.take()).await?;
                }
            }
        }
        self.close(open).await?;
        let footers = format!("{}/{}/dataset/_metadata", self.root, self.folder);
        self.store.put(&footers, self.footers.encode()?).await?;
        Ok(self.files)
    }

    async fn close(&mut self, open: Option<MemberFile>) -> Result<(), CatalogError> {
        let Some(file) = open else { return Ok(()) };
        let Written { path, bytes, rows, sha256, footer } = file.finish()?;
        let part = format!("index/part.{}.parquet", self.files.len());
        let place = format!("{}/dataset/{part}", self.folder);
        self.store.put_file(&format!("{}/{place}", self.root), &path).await?;
        self.footers.push(&part, footer)?;
        self.files.push(DataFile { path: place, bytes, rows, pixel: None, cells: None, sha256: Some(sha256) });
        Ok(())
    }
}
