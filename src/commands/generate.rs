//! `almagest generate`: a demo sky as a file, for tests and benchmarks.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    compute::cast,
    csv::WriterBuilder,
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};
use demo_sky::Table;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use crate::{
    cli::{DemoSky, GenerateArgs, SkyFile, SkyFormat},
    failure::Failure,
    words::counted,
};

/// Writes a demo sky to a file.
pub(crate) fn run(args: GenerateArgs) -> Result<(), Failure> {
    let table = match args.sky {
        DemoSky::Stars => Table::Stars,
        DemoSky::Galaxies => Table::Galaxies,
        DemoSky::Observations => Table::Observations,
    };
    let sky = demo_sky::DemoSky { seed: args.seed, rows: args.rows };
    let SkyFile { path, format } = args.out;
    let part = part_of(&path);
    let written = match format {
        SkyFormat::Parquet => write_parquet(&part, table, sky.batches(table)),
        SkyFormat::Csv => write_csv(&part, sky.batches(table)),
    };
    if let Err(error) = written.and_then(|()| Ok(fs::rename(&part, &path)?)) {
        let _ = fs::remove_file(&part); // it may not even have been made, and there is a better reason to tell
        return Err(Failure::File { path, reason: error.to_string() });
    }
    eprintln!("{}: {} of {table}", path.display(), counted(sky.rows(table), "row"));
    Ok(())
}

/// The neighbour in which a file grows, so that under its own name it is either whole or not there.
fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", process::id()));
    path.with_file_name(name)
}

fn write_parquet(path: &Path, table: Table, batches: impl Iterator<Item = RecordBatch>) -> Result<(), ArrowError> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let file = BufWriter::new(File::create(path)?);
    let mut writer = ArrowWriter::try_new(file, demo_sky::DemoSky::schema(table), Some(properties))?;
    for batch in batches {
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(())
}

fn write_csv(path: &Path, batches: impl Iterator<Item = RecordBatch>) -> Result<(), ArrowError> {
    let mut writer = WriterBuilder::new().with_header(true).build(BufWriter::new(File::create(path)?));
    for batch in batches {
        writer.write(&with_lists_as_text(&batch)?)?;
    }
    writer.into_inner().into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(())
}

/// CSV has no arrays: they become text, as in `[1.5, 2.5]`.
fn with_lists_as_text(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let is_list = matches!(field.data_type(), DataType::List(_) | DataType::FixedSizeList(..));
        let data_type = if is_list { DataType::Utf8 } else { field.data_type().clone() };
        columns.push(cast(column, &data_type)?);
        fields.push(Field::new(field.name(), data_type, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
