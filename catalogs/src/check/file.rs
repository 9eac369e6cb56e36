//! Reading one file whole: its bytes, its footer and all of its rows.
//!
//! A file that is not on this machine is fetched once into a temporary file, hashed on the way; one that is here is read
//! where it lies.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    file::metadata::ParquetMetaDataBuilder,
};
use sha2::{Digest, Sha256};

use super::{Context, bounds};
use crate::{
    CatalogError, DataFile,
    members::conform,
    snapshot::hexadecimal,
    statistics::{Collector, FileStatistics, of_footer},
};

/// How much is fetched at a time.
const STEP: u64 = 8 << 20;

/// Looks at the rows of a file, in their order.
pub(super) trait Visitor {
    /// Consecutive rows of a row group; `first_row` is the number of the first of them in the row group.
    fn rows(&mut self, row_group: usize, first_row: u64, rows: &RecordBatch) -> Result<(), CatalogError>;

    /// A row group has ended.
    fn end(&mut self, _row_group: usize) {}
}

/// Reads a file with the columns of `schema`. What is wrong is told; what could be read to its end is returned with its
/// statistics and the number of its rows.
pub(super) async fn read(
    context: &Context,
    file: &DataFile,
    path: &str,
    schema: &SchemaRef,
    visitor: &mut impl Visitor,
) -> Result<Option<(FileStatistics, u64)>, CatalogError> {
    let told = |what: String| context.defects.add(&file.path, None, what);
    let Some(local) = fetch(context, file, path).await? else {
        told("it is missing".into());
        context.read.add(file.bytes);
        return Ok(None);
    };
    context.read.add(file.bytes);
    let Fetched { file: bytes, size, sha256 } = local;
    if size != file.bytes {
        told(format!("it has {size} bytes; the manifest tells {}", file.bytes));
    }
    if let (Some(found), Some(expected)) = (&sha256, &file.sha256)
        && found != expected
    {
        told(format!("its bytes are not those that were written: their SHA-256 is {found}, not {expected}"));
    }
    let footer = match ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()) {
        Ok(footer) => footer,
        Err(error) => {
            told(format!("its footer cannot be read: {error}"));
            return Ok(None);
        }
    };
    if context.is_ours() && !same_columns(footer.schema(), schema) {
        told("its columns are not those of the table".into());
    }
    let rows = footer.metadata().file_metadata().num_rows();
    if rows != file.rows as i64 {
        told(format!("its footer tells {rows} rows; the manifest tells {}", file.rows));
    }
    read_rows(context, file, bytes, &footer, schema, visitor)
}

/// The row groups, one after the other.
fn read_rows(
    context: &Context,
    file: &DataFile,
    bytes: File,
    footer: &ArrowReaderMetadata,
    schema: &SchemaRef,
    visitor: &mut impl Visitor,
) -> Result<Option<(FileStatistics, u64)>, CatalogError> {
    let (mut of_file, mut rows, mut readable) = (Collector::new(schema), 0, true);
    for (group, told) in footer.metadata().row_groups().iter().enumerate() {
        let bytes = bytes.try_clone().map_err(|error| CatalogError::io(format!("reading {}", file.path), error))?;
        let mut of_group = Collector::new(schema);
        let mut seen = 0;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, footer.clone())
            .with_batch_size(formats::batch_rows(schema))
            .with_row_groups(vec![group])
            .build();
        let batches = batches.map_err(CatalogError::from).map(|batches| batches.map(|batch| Ok(batch?)));
        let (batches, failed) = match batches {
            Ok(batches) => (Some(batches), None),
            Err(error) => (None, Some(Err(error))),
        };
        for batch in batches.into_iter().flatten().chain(failed) {
            match batch.and_then(|batch: RecordBatch| conform(&batch, schema)) {
                Ok(batch) => {
                    of_group.add(&batch)?;
                    of_file.add(&batch)?;
                    visitor.rows(group, seen, &batch)?;
                    seen += batch.num_rows() as u64;
                }
                Err(error) => {
                    context.defects.add(&file.path, Some(group), format!("it cannot be read: {error}"));
                    readable = false;
                    break;
                }
            }
        }
        visitor.end(group);
        rows += seen;
        if !readable {
            continue;
        }
        if seen != told.num_rows() as u64 {
            let what = format!("it has {seen} rows; its footer tells {}", told.num_rows());
            context.defects.add(&file.path, Some(group), what);
        }
        let alone = ParquetMetaDataBuilder::new(footer.metadata().file_metadata().clone());
        let promised = of_footer(schema, &alone.add_row_group(told.clone()).build());
        for (field, what) in bounds::broken(schema, &promised, &of_group.finish()) {
            context.defects.add(&file.path, Some(group), format!("the statistics of column {field} are wrong: {what}"));
        }
    }
    Ok(readable.then(|| (of_file.finish(), rows)))
}

/// Whether names and types agree.
fn same_columns(a: &SchemaRef, b: &SchemaRef) -> bool {
    a.fields().len() == b.fields().len()
        && a.fields().iter().zip(b.fields()).all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type())
}

/// A file that can be read here, its size, and its checksum where one is known that it should have.
struct Fetched {
    file: File,
    size: u64,
    sha256: Option<String>,
}

/// `None` if there is no such file.
async fn fetch(context: &Context, file: &DataFile, path: &str) -> Result<Option<Fetched>, CatalogError> {
    if let Some(found) = open_here(context, file, path)? {
        return Ok(Some(found));
    }
    let store = context.store();
    let size = match store.head(path).await {
        Ok(found) => found.size,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let failed = |error| CatalogError::io(format!("fetching {path}"), error);
    let mut local = tempfile::tempfile_in(&context.options.spill).map_err(failed)?;
    let mut digest = file.sha256.is_some().then(Sha256::new);
    let mut place = 0;
    while place < size {
        let bytes = store.get_range(path, place..(place + STEP).min(size)).await?;
        if bytes.is_empty() {
            break; // the file has become shorter meanwhile: its footer will not be found
        }
        place += bytes.len() as u64;
        digest.iter_mut().for_each(|digest| digest.update(&bytes));
        local.write_all(&bytes).map_err(failed)?;
    }
    Ok(Some(Fetched { file: local, size, sha256: digest.map(|digest| hexadecimal(&digest.finalize())) }))
}

/// A file of a local store.
fn open_here(context: &Context, file: &DataFile, path: &str) -> Result<Option<Fetched>, CatalogError> {
    let folder = context.store().is_local().then(|| context.store().url().to_file_path().ok()).flatten();
    let Some(mut local) = folder.and_then(|folder| File::open(folder.join(path)).ok()) else { return Ok(None) };
    let failed = |error| CatalogError::io(format!("reading {path}"), error);
    let size = local.metadata().map_err(failed)?.len();
    let mut sha256 = None;
    if file.sha256.is_some() {
        let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match local.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => digest.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        local.rewind().map_err(failed)?;
        sha256 = Some(hexadecimal(&digest.finalize()));
    }
    Ok(Some(Fetched { file: local, size, sha256 }))
}

/// Columns of a schema by their place in it.
pub(super) fn float_columns(schema: &SchemaRef) -> Arc<[usize]> {
    let floats = schema.fields().iter().enumerate().filter(|(_, field)| field.data_type().is_floating());
    floats.map(|(column, _)| column).collect()
}
