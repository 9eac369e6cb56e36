//! `almagest generate`: a demo sky as a file, for tests and benchmarks.

use std::{fs::File, io::BufWriter, path::Path, sync::Arc};

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
    cli::{DemoSky, GenerateArgs},
    failure::Failure,
};

/// Writes a demo sky to a file.
pub(crate) fn run(args: GenerateArgs) -> Result<(), Failure> {
    let table = match args.sky {
        DemoSky::Stars => Table::Stars,
        DemoSky::Galaxies => Table::Galaxies,
        DemoSky::Observations => Table::Observations,
    };
    let sky = demo_sky::DemoSky { seed: args.seed, rows: args.rows };
    let failed = |reason: String| Failure::File { path: args.out.clone(), reason };
    let ending = args.out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let written = match ending {
        "parquet" => write_parquet(&args.out, table, sky.batches(table)),
        "csv" => write_csv(&args.out, sky.batches(table)),
        _ => return Err(failed("its name should end in .parquet or .csv".to_owned())),
    };
    written.map_err(|error| failed(error.to_string()))?;
    eprintln!("{}: {} rows of {table}", args.out.display(), sky.rows(table));
    Ok(())
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
