//! One Parquet file: rows in their order, row groups and pages small enough to prune, a checksum on the way.
//!
//! Rows are cut into chunks by what they are and never by how they came, so that the same rows give the same bytes, whether
//! they were in memory, came from the disk, or were too many to be sorted at once.
//!
//! Floating columns are written BYTE_STREAM_SPLIT without a dictionary, as HATS 0.11 does after measuring: measurements
//! hardly repeat, and their bytes compress better side by side. Cells ascend: DELTA_BINARY_PACKED.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{concat_batches, interleave_record_batch},
    datatypes::{DataType, Int64Type, SchemaRef},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{WriterProperties, WriterPropertiesBuilder},
    },
    schema::types::ColumnPath,
};
use sha2::{Digest, Sha256};

use super::{
    buckets::{Buckets, Keys},
    pool::Stop,
};
use crate::{
    CatalogError, HEALPIX_COLUMN,
    snapshot::hexadecimal,
    statistics::{Collector, FileStatistics},
};

/// Rows a row group: what HATS writes today.
const ROW_GROUP_ROWS: usize = 100_000;
/// Bytes a row group, where rows are wide.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Rows a data page, the unit that the page index prunes.
const PAGE_ROWS: usize = 10_000;
/// The most rows and bytes that are handed to the encoder at once.
const CHUNK_ROWS: usize = 16_384;
const CHUNK_BYTES: usize = 32 << 20;
/// How often a bloom filter may say yes where it should say no.
const BLOOM_FALSE: f64 = 0.01;

/// How all files of a table are written.
#[derive(Clone)]
pub(super) struct Style {
    schema: SchemaRef,
    properties: WriterProperties,
    row_group_rows: usize,
}

impl Style {
    /// The style for rows of about this many bytes. `id` is the column that names each row.
    pub(super) fn new(schema: &SchemaRef, id: Option<&str>, row_bytes: usize) -> Result<Self, CatalogError> {
        let row_group_rows = (ROW_GROUP_BYTES / row_bytes.max(1)).clamp(1, ROW_GROUP_ROWS);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(row_group_rows))
            .set_data_page_row_count_limit(PAGE_ROWS)
            // How many rows may be encoded before the size of a page is looked at.
            .set_write_batch_size(((1 << 20) / row_bytes.max(1)).clamp(1, 1024))
            .set_created_by(concat!("almagest ", env!("CARGO_PKG_VERSION")).to_owned());
        for field in schema.fields() {
            properties = encoded(properties, &[field.name()], field.data_type());
            if id == Some(field.name()) {
                let path = ColumnPath::new(vec![field.name().clone()]);
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_bloom_filter_enabled(path.clone(), true)
                    .set_column_bloom_filter_fpp(path, BLOOM_FALSE);
            }
        }
        if has_cells(schema) {
            let sorted = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
            let path = ColumnPath::new(vec![HEALPIX_COLUMN.to_owned()]);
            properties = properties
                .set_sorting_columns(Some(vec![sorted]))
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        Ok(Self { schema: Arc::clone(schema), properties: properties.build(), row_group_rows })
    }

    /// The properties of the writer.
    pub(super) fn properties(&self) -> WriterProperties {
        self.properties.clone()
    }

    /// How many rows a row group has at most.
    pub(super) fn row_group_rows(&self) -> usize {
        self.row_group_rows
    }

    /// A file with the schema and no rows.
    pub(super) fn footer(&self) -> Result<Vec<u8>, CatalogError> {
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&self.schema), Some(self.properties.clone()))?;
        Ok(writer.into_inner()?)
    }
}

fn has_cells(schema: &SchemaRef) -> bool {
    schema.fields().first().is_some_and(|field| field.name() == HEALPIX_COLUMN)
}

/// Sets the encoding of a column, or of the leaves of a nested one.
fn encoded(properties: WriterPropertiesBuilder, path: &[&str], data_type: &DataType) -> WriterPropertiesBuilder {
    let below = |more: &[&str]| [path, more].concat().iter().map(|part| (*part).to_owned()).collect::<Vec<String>>();
    match data_type {
        DataType::Float32 | DataType::Float64 => {
            let path = ColumnPath::new(below(&[]));
            properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
        }
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            let path = below(&["list", element.name()]);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            encoded(properties, &path, element.data_type())
        }
        DataType::Struct(fields) => fields.iter().fold(properties, |properties, field| {
            let path = below(&[field.name()]);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            encoded(properties, &path, field.data_type())
        }),
        _ => properties,
    }
}

/// A finished file on the local disk.
pub(super) struct Leaf {
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) cells: Option<(u64, u64)>,
    pub(super) sha256: String,
    pub(super) statistics: FileStatistics,
}

/// Counts and hashes what is written.
struct Summed<W> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a file from rows that come in their order.
pub(super) struct LeafWriter {
    schema: SchemaRef,
    writer: ArrowWriter<Summed<BufWriter<File>>>,
    chunk_rows: usize,
    row_group_rows: usize,
    /// Rows of the row group that is being written, and the bytes of those of no fixed width.
    group_rows: usize,
    group_bytes: usize,
    /// Rows of a chunk that is not full, and their bytes.
    begun: Vec<RecordBatch>,
    begun_rows: usize,
    begun_bytes: usize,
    rows: u64,
    cells: Option<(u64, u64)>,
    statistics: Collector,
}

impl LeafWriter {
    /// A new file at `path`.
    pub(super) fn new(style: &Style, path: &Path) -> Result<Self, CatalogError> {
        let file = File::create(path).map_err(|error| CatalogError::io(path.display(), error))?;
        let sink = Summed { inner: BufWriter::with_capacity(1 << 20, file), digest: Sha256::new(), bytes: 0 };
        Ok(Self {
            schema: Arc::clone(&style.schema),
            writer: ArrowWriter::try_new(sink, Arc::clone(&style.schema), Some(style.properties.clone()))?,
            chunk_rows: style.row_group_rows.min(CHUNK_ROWS),
            row_group_rows: style.row_group_rows,
            group_rows: 0,
            group_bytes: 0,
            begun: Vec::new(),
            begun_rows: 0,
            begun_bytes: 0,
            rows: 0,
            cells: None,
            statistics: Collector::new(&style.schema),
        })
    }

    /// Adds rows that follow those before, given as batches on their way and their order: (batch, row).
    fn push(&mut self, batches: &[RecordBatch], order: &[(u32, u32)], stop: &Stop) -> Result<(), CatalogError> {
        let stored: Vec<RecordBatch> =
            batches.iter().map(|batch| self.without_number(batch)).collect::<Result<_, _>>()?;
        let stored: Vec<&RecordBatch> = stored.iter().collect();
        let sizes: Vec<Option<Vec<u32>>> = stored.iter().map(|batch| row_sizes(batch)).collect();
        let mut indices = Vec::with_capacity(self.chunk_rows);
        for (batch, row) in order {
            let (batch, row) = (*batch as usize, *row as usize);
            indices.push((batch, row));
            self.begun_rows += 1;
            self.begun_bytes += sizes[batch].as_ref().map_or(0, |sizes| sizes[row] as usize);
            if self.begun_rows >= self.chunk_rows || self.begun_bytes >= CHUNK_BYTES {
                stop.check()?;
                self.begun.push(interleave_record_batch(&stored, &indices)?);
                indices.clear();
                self.write_chunk()?;
            }
        }
        if !indices.is_empty() {
            self.begun.push(interleave_record_batch(&stored, &indices)?);
        }
        Ok(())
    }

    fn without_number(&self, batch: &RecordBatch) -> Result<RecordBatch, CatalogError> {
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), batch.columns()[1..].to_vec())?)
    }

    fn write_chunk(&mut self) -> Result<(), CatalogError> {
        let begun = std::mem::take(&mut self.begun);
        let bytes = std::mem::take(&mut self.begun_bytes);
        self.begun_rows = 0;
        let chunk = match begun.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            several => concat_batches(&self.schema, several)?,
        };
        if has_cells(&self.schema) {
            let cells = chunk.column(0).as_primitive::<Int64Type>().values();
            if let (Some(first), Some(last)) = (cells.first(), cells.last()) {
                let first = self.cells.map_or(*first as u64, |(first, _)| first);
                self.cells = Some((first, *last as u64)); // cells are never negative
            }
        }
        self.statistics.add(&chunk)?;
        self.rows += chunk.num_rows() as u64;
        self.writer.write(&chunk)?;
        self.group_rows += chunk.num_rows();
        self.group_bytes += bytes;
        if self.group_rows >= self.row_group_rows {
            // The writer has begun another by itself.
            (self.group_rows, self.group_bytes) = (self.group_rows - self.row_group_rows, 0);
        }
        if self.group_bytes >= ROW_GROUP_BYTES {
            self.writer.flush()?; // rows are wider here than they were at first
            (self.group_rows, self.group_bytes) = (0, 0);
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<Leaf, CatalogError> {
        self.write_chunk()?;
        let mut sink = self.writer.into_inner()?;
        sink.flush().map_err(|error| CatalogError::io("writing a data file to the spill folder", error))?;
        Ok(Leaf {
            bytes: sink.bytes,
            rows: self.rows,
            cells: self.cells,
            sha256: hexadecimal(&sink.digest.finalize()),
            statistics: self.statistics.finish(),
        })
    }
}

/// About how many bytes each row has in columns of no fixed width; nothing where there are none.
fn row_sizes(batch: &RecordBatch) -> Option<Vec<u32>> {
    fn add<O: Copy + Into<i64>>(offsets: &[O], width: i64, sizes: &mut [u32]) {
        for (size, pair) in sizes.iter_mut().zip(offsets.windows(2)) {
            let bytes = (pair[1].into() - pair[0].into()).saturating_mul(width);
            *size = size.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }
    fn column(column: &ArrayRef, sizes: &mut [u32]) {
        let width = |data_type: &DataType| data_type.primitive_width().unwrap_or(16) as i64;
        match column.data_type() {
            DataType::Utf8 => add(column.as_string::<i32>().offsets(), 1, sizes),
            DataType::LargeUtf8 => add(column.as_string::<i64>().offsets(), 1, sizes),
            DataType::Binary => add(column.as_binary::<i32>().offsets(), 1, sizes),
            DataType::LargeBinary => add(column.as_binary::<i64>().offsets(), 1, sizes),
            DataType::List(element) => add(column.as_list::<i32>().offsets(), width(element.data_type()), sizes),
            DataType::LargeList(element) => add(column.as_list::<i64>().offsets(), width(element.data_type()), sizes),
            DataType::Struct(_) => column_of_struct(column, sizes),
            _ => {}
        }
    }
    fn column_of_struct(parts: &ArrayRef, sizes: &mut [u32]) {
        parts.as_struct().columns().iter().for_each(|part| column(part, sizes));
    }
    let is_variable = batch.schema_ref().fields().iter().any(|field| field.data_type().primitive_width().is_none());
    is_variable.then(|| {
        let mut sizes = vec![0; batch.num_rows()];
        batch.columns().iter().for_each(|values| column(values, &mut sizes));
        sizes
    })
}

/// The order of the rows of some batches: by cell, then by number.
fn order_of(batches: &[RecordBatch]) -> Vec<(u32, u32)> {
    let mut order: Vec<((i64, u64), (u32, u32))> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (number, batch) in batches.iter().enumerate() {
        let keys = Keys::of(batch);
        order.extend((0..batch.num_rows()).map(|row| (keys.at(row), (number as u32, row as u32))));
    }
    order.sort_unstable();
    order.into_iter().map(|(_, place)| place).collect()
}

/// Writes the rows of a bucket in their order. One that has more than `memory` bytes is divided, by cell and by number
/// within a cell, into buckets on the disk that have less.
pub(super) fn write_bucket(
    buckets: &Buckets,
    bucket: usize,
    memory: usize,
    folder: &Path,
    stop: &Stop,
    writer: &mut LeafWriter,
) -> Result<u64, CatalogError> {
    let bytes = buckets.size(bucket).bytes;
    if bytes <= memory as u64 {
        let batches = buckets.read(bucket, stop)?;
        writer.push(&batches, &order_of(&batches), stop)?;
        return Ok(0);
    }
    let mut keys = Vec::new();
    let mut every = 1;
    buckets.each(bucket, stop, |batch| {
        let batch_keys = Keys::of(&batch);
        keys.extend((0..batch.num_rows()).step_by(every).map(|row| batch_keys.at(row)));
        if keys.len() > SAMPLE {
            let mut place = 0;
            keys.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            every *= 2;
        }
        Ok(())
    })?;
    keys.sort_unstable();
    keys.dedup();
    // Half of what would fit, since a sample is only a sample.
    let parts = (bytes / (memory as u64 / 2).max(1) + 1).min(keys.len() as u64) as usize;
    let splits: Vec<(i64, u64)> = (1..parts).map(|part| keys[part * keys.len() / parts]).collect();
    drop(keys);
    if splits.is_empty() {
        let batches = buckets.read(bucket, stop)?; // one row cannot be divided
        writer.push(&batches, &order_of(&batches), stop)?;
        return Ok(0);
    }
    let finer = Buckets::new(Arc::clone(buckets.schema()), splits.len() + 1, memory / 2);
    buckets.each(bucket, stop, |batch| {
        let keys = Keys::of(&batch);
        finer.push(&batch, |row| splits.partition_point(|split| *split <= keys.at(row)) as u32, folder)
    })?;
    let mut spilled = finer.spilled_bytes();
    for part in 0..=splits.len() {
        spilled += write_bucket(&finer, part, memory, folder, stop, writer)?;
    }
    Ok(spilled)
}

/// How many keys are looked at to divide a bucket.
const SAMPLE: usize = 1 << 18;
