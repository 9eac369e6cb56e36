//! Importing rows as a new HATS catalogue.
//!
//! ```text
//!   source ──pass 1──▶ cells ──▶ histogram of the sky ──▶ partitions
//!   source ──pass 2──▶ stored columns ──▶ buckets (memory, then disk) ──▶ sort, Parquet ──▶ store
//!                                                                    └──▶ manifest, report, hats.properties last
//! ```
//! Memory is bounded by `ImportPlan::memory` for the rows on their way, plus a few times one partition for each core: a
//! partition is bounded by its rows, not by its bytes, so very wide rows want a lower `max_rows`. A tree is invisible
//! until its properties exist, and publishing it is somebody else's step: a crash at any moment leaves rubbish, never half
//! a table. Every row read is a row written, or the import fails and says which row is to blame.

mod buckets;
mod columns;
mod leaf;
mod partition;
mod source;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::{Schema, SchemaRef},
};
use parquet::arrow::ArrowWriter;
use serde::Serialize;
use sky::healpix::Pixel;
use tokio::{sync::Semaphore, task::JoinSet};

pub use source::{Batches, RowSource, open_file};

use crate::{
    COMMON_METADATA, CatalogError, CatalogSnapshot, CatalogStore, DataFile, HEALPIX_COLUMN, MANIFEST, PROPERTIES,
    PositionColumns, Properties, layout, leaf_path, manifest,
};
use buckets::Buckets;
use columns::Columns;
use partition::Histogram;

/// What an import shall do.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    /// The catalogue's name, as `obs_collection` tells it.
    pub name: String,
    /// The position columns; none makes a table without positions.
    pub position: Option<PositionColumns>,
    /// A sentence about the table.
    pub description: Option<String>,
    /// The most rows that a partition may have.
    pub max_rows: u64,
    /// Bytes of rows held in memory before the disk is used.
    pub memory: usize,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// First pass: rows counted so far.
    Counted(u64),
    /// Second pass: rows moved, of all.
    Moved(u64, u64),
    /// Rows written to the store, of all.
    Written(u64, u64),
}

/// What an import did; kept beside the catalogue as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// The sources, as messages name them.
    pub sources: Vec<String>,
    /// Rows read from the sources.
    pub rows_read: u64,
    /// Rows in the catalogue: always equal to `rows_read`.
    pub rows_published: u64,
    /// Files written.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that went through the local disk on the way.
    pub spilled_bytes: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Imports the sources, one after the other, as a new catalogue in the folder `root` of the store.
pub async fn run(
    store: &CatalogStore,
    root: &str,
    sources: Vec<Box<dyn RowSource>>,
    plan: ImportPlan,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<(CatalogSnapshot, ImportReport), CatalogError> {
    let started = Instant::now();
    let names: Vec<String> = sources.iter().map(|source| source.name()).collect();
    let passes = tokio::task::spawn_blocking({
        let (plan, progress) = (plan.clone(), Arc::clone(&progress));
        move || distribute(&sources, &plan, &*progress)
    });
    let Distributed { schema, partitions, buckets, rows: rows_read } = passes.await??;
    let spilled_bytes = buckets.spilled_bytes();
    let files = write_leaves(store, root, &schema, partitions, buckets, rows_read, progress).await?;
    let snapshot = CatalogSnapshot::new(
        store.clone(),
        root.to_owned(),
        schema,
        plan.position.clone(),
        plan.description.clone(),
        files,
    );
    let report = ImportReport {
        sources: names,
        rows_read,
        rows_published: snapshot.rows(),
        files: snapshot.files().len(),
        bytes: snapshot.files().iter().map(|file| file.bytes).sum(),
        spilled_bytes,
        seconds: started.elapsed().as_secs_f64(),
    };
    if report.rows_read != report.rows_published {
        let why =
            format!("{} rows were read and {} written; nothing is published", report.rows_read, report.rows_published);
        return Err(CatalogError::BadCatalog { root: root.to_owned(), why });
    }
    write_side_files(&snapshot, &plan, &report).await?;
    Ok((snapshot, report))
}

/// All rows in buckets, one a partition.
struct Distributed {
    schema: SchemaRef,
    partitions: Vec<Option<Pixel>>,
    buckets: Buckets,
    rows: u64,
}

fn distribute(
    sources: &[Box<dyn RowSource>],
    plan: &ImportPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Distributed, CatalogError> {
    let input = common_schema(sources)?;
    let columns = Columns::new(&sources[0].name(), &input, plan.position.clone())?;
    let mut histogram = Histogram::new();
    let total = each_batch(sources, &columns, |_, cells, read| {
        cells.iter().for_each(|cell| histogram.count(*cell));
        progress(Progress::Counted(read));
        Ok(())
    })?;
    let pixels: Vec<Pixel> = partition::choose(&histogram, plan.max_rows).into_iter().map(|(pixel, _)| pixel).collect();
    let max_rows = plan.max_rows.max(1);
    let partitions: Vec<Option<Pixel>> = match plan.position {
        Some(_) => pixels.iter().copied().map(Some).collect(),
        None => vec![None; total.div_ceil(max_rows) as usize],
    };
    let starts: Vec<u64> = pixels.iter().map(|pixel| pixel.range().start).collect();
    let changed =
        |why: &str| CatalogError::input(sources[0].name(), format!("it is not the same when it is read again: {why}"));
    let mut buckets = Buckets::new(Arc::clone(columns.schema()), partitions.len(), plan.memory);
    let moved = each_batch(sources, &columns, |batch, cells, read| {
        let stored = columns.store(batch, cells)?;
        let first_row = read - batch.num_rows() as u64;
        // Every row must be one that was counted: then each partition gets the rows that it was chosen for.
        if !cells.iter().all(|cell| histogram.uncount(*cell)) || read > total {
            return Err(changed("a row is new"));
        }
        let bucket_of = |row: usize| match cells.get(row) {
            Some(cell) => starts.partition_point(|start| start <= cell) - 1,
            None => ((first_row + row as u64) / max_rows) as usize,
        };
        let mut order: Vec<(usize, u32)> = (0..batch.num_rows()).map(|row| (bucket_of(row), row as u32)).collect();
        order.sort_unstable();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let rows = UInt32Array::from_iter_values(group.iter().map(|(_, row)| *row));
            buckets.push(group[0].0, take_record_batch(&stored, &rows)?)?;
        }
        progress(Progress::Moved(read, total));
        Ok(())
    })?;
    if moved != total {
        return Err(changed(&format!("it had {total} rows, and then {moved}")));
    }
    Ok(Distributed { schema: Arc::clone(columns.schema()), partitions, buckets, rows: total })
}

/// The columns that all sources share, in the same order and of the same types.
fn common_schema(sources: &[Box<dyn RowSource>]) -> Result<SchemaRef, CatalogError> {
    let Some((first, others)) = sources.split_first() else {
        return Err(CatalogError::input("import", "no source is given"));
    };
    let schema = first.schema();
    let shape = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    };
    for other in others {
        let (here, there) = (shape(&schema), shape(&other.schema()));
        if here != there {
            let differing = here.iter().zip(&there).find(|(a, b)| a != b);
            let why = match differing {
                Some((a, b)) => format!("its column '{b}' should be '{a}' as in {}", first.name()),
                None => format!("it has {} columns, {} has {}", there.len(), first.name(), here.len()),
            };
            return Err(CatalogError::input(other.name(), why));
        }
    }
    Ok(schema)
}

/// Calls `act(batch, cells, rows read so far)` for every batch of every source; returns the number of rows.
fn each_batch(
    sources: &[Box<dyn RowSource>],
    columns: &Columns,
    mut act: impl FnMut(&RecordBatch, &[u64], u64) -> Result<(), CatalogError>,
) -> Result<u64, CatalogError> {
    let mut read = 0;
    for source in sources {
        let (name, mut row) = (source.name(), 0);
        for batch in source.batches()? {
            let batch = batch.map_err(|error| CatalogError::input(&name, error))?;
            let cells = columns.cells(&name, &batch, row)?;
            row += batch.num_rows() as u64;
            read += batch.num_rows() as u64;
            act(&batch, &cells, read)?;
        }
    }
    Ok(read)
}

/// Sorts, encodes and stores every partition, one worker a core.
async fn write_leaves(
    store: &CatalogStore,
    root: &str,
    schema: &SchemaRef,
    partitions: Vec<Option<Pixel>>,
    buckets: Buckets,
    total: u64,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<Vec<DataFile>, CatalogError> {
    let workers = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)));
    let buckets = Arc::new(Mutex::new(buckets));
    let mut tasks = JoinSet::new();
    for (number, pixel) in partitions.into_iter().enumerate() {
        let (store, schema, root) = (store.clone(), Arc::clone(schema), root.to_owned());
        let (workers, buckets) = (Arc::clone(&workers), Arc::clone(&buckets));
        tasks.spawn(async move {
            let Ok(_permit) = workers.acquire_owned().await else { unreachable!("the semaphore is never closed") };
            let encoded = tokio::task::spawn_blocking(move || {
                let batches = buckets.lock().unwrap_or_else(PoisonError::into_inner).take(number)?;
                leaf::encode(&schema, &batches, leaf::properties(&schema)?)
            });
            let leaf = encoded.await??;
            let path = pixel.map_or_else(|| layout::plain_path(number), leaf_path);
            let file = DataFile {
                path,
                bytes: leaf.bytes.len() as u64,
                rows: leaf.rows,
                pixel,
                cells: leaf.cells,
                sha256: leaf.sha256,
            };
            store.put(&format!("{root}/{}", file.path), leaf.bytes).await?;
            Ok::<_, CatalogError>(file)
        });
    }
    let (mut files, mut written) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let file = done??; // the first failure drops the set, which stops the others
        written += file.rows;
        progress(Progress::Written(written, total));
        files.push(file);
    }
    Ok(files)
}

/// Everything but the rows. The properties come last: they make the folder a catalogue.
async fn write_side_files(
    snapshot: &CatalogSnapshot,
    plan: &ImportPlan,
    report: &ImportReport,
) -> Result<(), CatalogError> {
    let (store, root) = (snapshot.store(), snapshot.root());
    let footer =
        ArrowWriter::try_new(Vec::new(), Arc::clone(snapshot.schema()), Some(leaf::properties(snapshot.schema())?))?;
    store.put(&format!("{root}/{COMMON_METADATA}"), footer.into_inner()?).await?;
    let mut partitions = String::from("Norder,Npix\n");
    for pixel in snapshot.files().iter().filter_map(|file| file.pixel) {
        partitions += &format!("{},{}\n", pixel.order().get(), pixel.index());
    }
    store.put(&format!("{root}/{}", layout::PARTITIONS), partitions.into_bytes()).await?;
    store.put(&format!("{root}/{MANIFEST}"), manifest::encode(snapshot.files())?).await?;
    let report = serde_json::to_vec_pretty(report)
        .map_err(|error| CatalogError::io("writing the report", std::io::Error::other(error)))?;
    store.put(&format!("{root}/{}", layout::REPORT), report).await?;
    let properties = properties(snapshot, plan).to_string();
    store.put(&format!("{root}/{}", layout::OLD_PROPERTIES), properties.clone().into_bytes()).await?;
    store.put(&format!("{root}/{PROPERTIES}"), properties.into_bytes()).await
}

fn properties(snapshot: &CatalogSnapshot, plan: &ImportPlan) -> Properties {
    let mut properties = Properties::default();
    properties.set("obs_collection", &plan.name);
    properties.set("hats_nrows", snapshot.rows());
    properties.set("hats_max_rows", plan.max_rows);
    properties.set("hats_estsize", snapshot.files().iter().map(|file| file.bytes).sum::<u64>() / 1024);
    properties.set("hats_builder", concat!("almagest ", env!("CARGO_PKG_VERSION")));
    properties.set("hats_creation_date", chrono::Utc::now().format("%Y-%m-%dT%H:%MUTC"));
    properties.set("hats_release_date", "2025-08-22");
    properties.set("hats_version", "v1.0");
    if let Some(description) = &plan.description {
        properties.set("obs_description", description);
    }
    let Some(position) = &plan.position else {
        return properties; // HATS has no kind for a table without positions: other readers shall not take it for one
    };
    properties.set("dataproduct_type", "object");
    properties.set("hats_col_ra", &position.ra);
    properties.set("hats_col_dec", &position.dec);
    properties.set("hats_col_healpix", HEALPIX_COLUMN);
    properties.set("hats_col_healpix_order", 29);
    properties.set("hats_npix_suffix", ".parquet");
    let pixels = || snapshot.files().iter().filter_map(|file| file.pixel);
    properties.set("hats_order", pixels().map(|pixel| pixel.order().get()).max().unwrap_or(0));
    let cells: u64 = pixels().map(|pixel| pixel.range().end - pixel.range().start).sum();
    properties.set("moc_sky_fraction", format!("{:.5}", cells as f64 / (12_u64 << 58) as f64));
    properties
}
