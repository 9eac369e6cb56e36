//! Writing the files of a member: encoded into a local temporary file, hashed on the way, and then put on the store.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    compute::BatchCoalescer,
    datatypes::{DataType, SchemaRef},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::{ParquetMetaData, SortingColumn},
        properties::{WriterProperties, WriterPropertiesBuilder},
    },
    schema::types::ColumnPath,
};
use sha2::{Digest, Sha256};
use tempfile::TempPath;

use super::BuildContext;
use crate::{
    CatalogError, CatalogSnapshot, DataFile, HEALPIX_COLUMN, Properties, layout, manifest, snapshot::hexadecimal,
};

/// How the files of a member are written, but for its columns. A row group is held while it is encoded: where rows are
/// wide it has fewer of them.
fn settings(schema: &SchemaRef) -> Result<WriterPropertiesBuilder, CatalogError> {
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some((4 * formats::batch_rows(schema)).min(100_000)))
        .set_created_by(concat!("almagest ", env!("CARGO_PKG_VERSION")).to_owned()))
}

/// How a margin is written: as the table is.
pub(super) fn margin_settings(schema: &SchemaRef) -> Result<WriterProperties, CatalogError> {
    let mut settings = settings(schema)?.set_data_page_row_count_limit(10_000);
    for (number, field) in schema.fields().iter().enumerate() {
        let path = ColumnPath::new(vec![field.name().clone()]);
        if field.name() == HEALPIX_COLUMN && field.data_type().is_integer() {
            if number == 0 {
                let sorted = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
                settings = settings.set_sorting_columns(Some(vec![sorted]));
            }
            settings = settings
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        } else if matches!(field.data_type(), DataType::Float32 | DataType::Float64) {
            settings = settings.set_column_dictionary_enabled(path, false); // measurements hardly repeat
        }
    }
    Ok(settings.build())
}

/// How an index is written: in small pages, since a look-up reads one.
pub(super) fn index_settings(schema: &SchemaRef) -> Result<WriterProperties, CatalogError> {
    let last = schema.fields().len() as i32 - 1;
    let sorted = SortingColumn { column_idx: last, descending: false, nulls_first: false };
    Ok(settings(schema)?
        .set_data_page_size_limit(16 << 10)
        .set_dictionary_page_size_limit(16 << 10)
        .set_sorting_columns(Some(vec![sorted]))
        .build())
}

/// Bytes on their way to a file, hashed and counted.
struct Hashed {
    file: BufWriter<File>,
    digest: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file being written. Rows reach the encoder in chunks of one size, however they came: pages end where chunks do, and
/// the same rows shall give the same bytes.
pub(super) struct MemberFile {
    chunks: BatchCoalescer,
    writer: ArrowWriter<Hashed>,
    path: TempPath,
    rows: u64,
}

/// A finished file, still on the local disk.
pub(super) struct Written {
    pub(super) path: TempPath,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) sha256: String,
    pub(super) footer: ParquetMetaData,
}

impl MemberFile {
    pub(super) fn new(schema: &SchemaRef, settings: WriterProperties, spill: &Path) -> Result<Self, CatalogError> {
        let file = tempfile::Builder::new().prefix("member-").suffix(".parquet").tempfile_in(spill);
        let file = file.map_err(|error| CatalogError::io(format!("making a file in {}", spill.display()), error))?;
        let (file, path) = file.into_parts();
        let hashed = Hashed { file: BufWriter::with_capacity(1 << 20, file), digest: Sha256::new(), bytes: 0 };
        let writer = ArrowWriter::try_new(hashed, Arc::clone(schema), Some(settings))?;
        let chunks = BatchCoalescer::new(Arc::clone(schema), (formats::batch_rows(schema) / 8).max(64));
        Ok(Self { chunks, writer, path, rows: 0 })
    }

    pub(super) fn write(&mut self, rows: RecordBatch) -> Result<(), CatalogError> {
        self.rows += rows.num_rows() as u64;
        self.chunks.push_batch(rows)?;
        self.encode()
    }

    fn encode(&mut self) -> Result<(), CatalogError> {
        while let Some(chunk) = self.chunks.next_completed_batch() {
            self.writer.write(&chunk)?;
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn finish(mut self) -> Result<Written, CatalogError> {
        self.chunks.finish_buffered_batch()?;
        self.encode()?;
        let footer = self.writer.finish()?;
        let hashed = self.writer.inner_mut();
        let flushed = hashed.flush();
        flushed.map_err(|error| CatalogError::io(format!("writing {}", self.path.display()), error))?;
        let sha256 = hexadecimal(&std::mem::take(&mut hashed.digest).finalize());
        Ok(Written { bytes: hashed.bytes, rows: self.rows, sha256, footer, path: self.path })
    }
}

/// Puts what is not rows beside the files of a member, its properties last, and its manifest among what is ours.
pub(super) async fn write_side_files(
    ctx: &BuildContext<'_>,
    folder: &str,
    files: &[DataFile],
    common: Vec<u8>,
    mut properties: Properties,
) -> Result<(), CatalogError> {
    let put = |path: String, bytes: Vec<u8>| async move { ctx.store.put(&format!("{}/{path}", ctx.root), bytes).await };
    put(format!("{folder}/{}", layout::COMMON_METADATA), common).await?;
    put(layout::member_manifest(folder), manifest::encode(files)?).await?;
    properties.set("obs_collection", folder);
    properties.set("hats_nrows", files.iter().map(|file| file.rows).sum::<u64>());
    properties.set("hats_estsize", files.iter().map(|file| file.bytes).sum::<u64>() / 1024);
    properties.set("hats_builder", concat!("almagest ", env!("CARGO_PKG_VERSION")));
    properties.set("hats_release_date", "2025-08-22");
    properties.set("hats_version", "v1.0");
    let text = properties.to_string();
    put(format!("{folder}/{}", layout::OLD_PROPERTIES), text.clone().into_bytes()).await?;
    put(format!("{folder}/{}", layout::PROPERTIES), text.into_bytes()).await
}

/// The properties that tell what a member belongs to, and since when.
pub(super) fn properties_of(snapshot: &CatalogSnapshot, kind: &str) -> Properties {
    let descriptor = snapshot.descriptor();
    let mut properties = Properties::default();
    properties.set("dataproduct_type", kind);
    let table = descriptor.name.rsplit('.').next().unwrap_or(&descriptor.name);
    properties.set("hats_primary_table_url", table);
    properties.set("hats_creation_date", descriptor.created.format("%Y-%m-%dT%H:%MUTC"));
    properties
}

/// A Parquet footer with the schema and no rows.
pub(super) fn common_metadata(schema: &SchemaRef, settings: WriterProperties) -> Result<Vec<u8>, CatalogError> {
    Ok(ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(settings))?.into_inner()?)
}
