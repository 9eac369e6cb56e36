//! One Parquet file: rows in their order, row groups and pages small enough to prune, a checksum on the way.
//!
//! ```text
//!   batches of a bucket ─▶ the order of their rows ─▶ column by column, row group by row group: an array in that order ─▶ encoded
//! ```
//! One column of one row group is at work at a time, so that its values stay near the processor. Row groups end where the rows say it and
//! never where a batch does, so that the same rows give the same bytes, whether they were in memory, came from the disk,
//! or were too many to be sorted at once.
//!
//! Floating columns are written BYTE_STREAM_SPLIT without a dictionary, as HATS 0.11 does after measuring: measurements
//! hardly repeat, and their bytes compress better side by side. Whole numbers get a dictionary while they repeat, and are
//! DELTA_BINARY_PACKED from there on, as cells are from the first, since they ascend.

use std::{
    io::{self, Write},
    ops::Range,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, SchemaRef},
};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{WriterProperties, WriterPropertiesBuilder},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};
use sha2::{Digest, Sha256};

use super::{
    buckets::{Buckets, Keys},
    direct::DirectWriter,
    gather::{Row, all_rows, gather},
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
/// How large a dictionary of numbers may become: with more of them there is nothing to gain.
const DICTIONARY_BYTES: usize = 64 << 10;
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
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
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
        integer if integer.is_integer() => {
            let path = ColumnPath::new(below(&[]));
            properties
                .set_column_dictionary_page_size_limit(path.clone(), DICTIONARY_BYTES)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
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
struct Summed {
    inner: DirectWriter,
    digest: Sha256,
    bytes: u64,
}

impl Write for Summed {
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
    file: SerializedFileWriter<Summed>,
    groups: ArrowRowGroupWriterFactory,
    row_group_rows: usize,
    /// Rows that do not fill a row group.
    begun: Option<RecordBatch>,
    rows: u64,
    cells: Option<(u64, u64)>,
    statistics: Collector,
}

impl LeafWriter {
    /// A new file at `path`.
    pub(super) fn new(style: &Style, path: &Path) -> Result<Self, CatalogError> {
        let inner = DirectWriter::create(path).map_err(|error| CatalogError::io(path.display(), error))?;
        let sink = Summed { inner, digest: Sha256::new(), bytes: 0 };
        let writer = ArrowWriter::try_new(sink, Arc::clone(&style.schema), Some(style.properties.clone()))?;
        let (file, groups) = writer.into_serialized_writer()?;
        Ok(Self {
            schema: Arc::clone(&style.schema),
            file,
            groups,
            row_group_rows: style.row_group_rows,
            begun: None,
            rows: 0,
            cells: None,
            statistics: Collector::new(&style.schema),
        })
    }

    /// Adds rows that follow those before: batches on their way, in any order.
    fn push(&mut self, batches: &[RecordBatch], stop: &Stop) -> Result<(), CatalogError> {
        let without_number = |batch: &RecordBatch| batch.columns()[1..].to_vec();
        let begun = self.begun.take();
        let before = usize::from(begun.is_some());
        let mut order = all_rows(begun.iter().map(RecordBatch::num_rows));
        order.append(&mut order_of(batches, before));
        let stored = begun.iter().map(|begun| begun.columns().to_vec()).chain(batches.iter().map(without_number));
        self.write(&stored.collect::<Vec<_>>(), &order, false, stop)
    }

    /// Writes the row groups that these rows fill, and the last one if it is the end. The others are kept.
    fn write(&mut self, batches: &[Vec<ArrayRef>], order: &[Row], ends: bool, stop: &Stop) -> Result<(), CatalogError> {
        let groups = row_groups(batches, order, self.row_group_rows, ends);
        let full = groups.last().map_or(0, |group| group.end);
        let writers: Vec<Vec<ArrowColumnWriter>> =
            groups.iter().map(|_| self.groups.create_column_writers(0)).collect::<Result<_, _>>()?;
        let mut writers: Vec<_> = writers.into_iter().map(Vec::into_iter).collect();
        let mut chunks: Vec<Vec<_>> = groups.iter().map(|_| Vec::new()).collect();
        let (now, later) = order.split_at(full);
        let mut kept: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let schema = Arc::clone(&self.schema);
        for (index, field) in schema.fields().iter().enumerate() {
            stop.check()?;
            let parts: Vec<&ArrayRef> = batches.iter().map(|batch| &batch[index]).collect();
            if !later.is_empty() {
                kept.push(gather(&parts, later)?);
            }
            for (group, (writers, chunks)) in groups.iter().zip(writers.iter_mut().zip(&mut chunks)) {
                let column = gather(&parts, &now[group.clone()])?;
                self.statistics.add_to(index, &column)?;
                if index == 0 && has_cells(&schema) {
                    self.note_cells(&column);
                }
                for leaf in compute_leaves(field, &column)? {
                    // There are as many writers as the schema has leaves.
                    let Some(mut writer) = writers.next() else { continue };
                    writer.write(&leaf)?;
                    chunks.push(writer.close()?);
                }
            }
        }
        self.rows += full as u64;
        for chunks in chunks {
            let mut group = self.file.next_row_group()?;
            chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
            group.close()?;
        }
        if !later.is_empty() {
            self.begun = Some(RecordBatch::try_new(schema, kept)?);
        }
        Ok(())
    }

    fn note_cells(&mut self, column: &ArrayRef) {
        let cells = column.as_primitive::<Int64Type>().values();
        if let (Some(first), Some(last)) = (cells.first(), cells.last()) {
            let first = self.cells.map_or(*first as u64, |(first, _)| first);
            self.cells = Some((first, *last as u64)); // cells are never negative
        }
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<Leaf, CatalogError> {
        if let Some(begun) = self.begun.take() {
            let order = all_rows([begun.num_rows()].into_iter());
            self.write(&[begun.columns().to_vec()], &order, true, &Stop::default())?;
        }
        let Summed { inner, digest, bytes } = self.file.into_inner()?;
        inner.finish().map_err(|error| CatalogError::io("writing a data file to the spill folder", error))?;
        Ok(Leaf {
            bytes,
            rows: self.rows,
            cells: self.cells,
            sha256: hexadecimal(&digest.finalize()),
            statistics: self.statistics.finish(),
        })
    }
}

/// Where row groups end: after so many rows, or so many bytes where rows are wide. The last one is left out unless it is
/// the end.
fn row_groups(batches: &[Vec<ArrayRef>], order: &[Row], most: usize, ends: bool) -> Vec<Range<usize>> {
    let sizes = row_sizes(batches);
    let mut groups = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (place, row) in order.iter().enumerate() {
        bytes += sizes.as_ref().map_or(0, |sizes| sizes[row.part as usize][row.row as usize] as usize);
        if place + 1 - first >= most || bytes >= ROW_GROUP_BYTES {
            groups.push(first..place + 1);
            (first, bytes) = (place + 1, 0);
        }
    }
    if ends && first < order.len() {
        groups.push(first..order.len());
    }
    groups
}

/// About how many bytes each row has in columns of no fixed width; nothing where there are none.
fn row_sizes(batches: &[Vec<ArrayRef>]) -> Option<Vec<Vec<u32>>> {
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
    let is_variable = |batch: &Vec<ArrayRef>| batch.iter().any(|column| !column.data_type().is_primitive());
    batches.first().is_some_and(is_variable).then(|| {
        let of_batch = |batch: &Vec<ArrayRef>| {
            let mut sizes = vec![0; batch.first().map_or(0, |column| column.len())];
            batch.iter().for_each(|values| column(values, &mut sizes));
            sizes
        };
        batches.iter().map(of_batch).collect()
    })
}

/// The order of the rows of some batches, which come after `before` others: by cell, then by number.
fn order_of(batches: &[RecordBatch], before: usize) -> Vec<Row> {
    let keys: Vec<Keys<'_>> = batches.iter().map(Keys::of).collect();
    let number = |row: Row| keys[row.part as usize - before].at(row.row as usize).1;
    let mut order: Vec<(i64, Row)> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (part, (keys, batch)) in keys.iter().zip(batches).enumerate() {
        let part = (before + part) as u32;
        order.extend((0..batch.num_rows() as u32).map(|row| (keys.at(row as usize).0, Row { part, row })));
    }
    // By merging, since there are long runs in order.
    order.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| number(a.1).cmp(&number(b.1))));
    order.into_iter().map(|(_, row)| row).collect()
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
        writer.push(&buckets.read(bucket, stop)?, stop)?;
        return Ok(0);
    }
    let splits = splits(buckets, bucket, bytes, memory as u64, stop)?;
    if splits.is_empty() {
        writer.push(&buckets.read(bucket, stop)?, stop)?; // one row cannot be divided
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

/// Keys at which a bucket falls into parts that fit into memory.
fn splits(
    buckets: &Buckets,
    bucket: usize,
    bytes: u64,
    memory: u64,
    stop: &Stop,
) -> Result<Vec<(i64, u64)>, CatalogError> {
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
    let parts = (bytes / (memory / 2).max(1) + 1).min(keys.len() as u64) as usize;
    Ok((1..parts).map(|part| keys[part * keys.len() / parts]).collect())
}

/// How many keys are looked at to divide a bucket.
const SAMPLE: usize = 1 << 18;
