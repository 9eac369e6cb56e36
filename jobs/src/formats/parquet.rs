//! Parquet, in row groups of a bounded size; the metadata of the columns (units, UCDs, xtypes) goes with them.
//!
//! The file says in its key-value metadata which query it answers and whether the answer was cut, and has there the
//! VOTable of its columns, as the note on VOParquet says. A file that is cut off has no footer and no reader takes it.
//! Two columns of one name are refused, since many readers find neither.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};

use super::{
    Encoder, Ending, Progress,
    plain::{plain_batch, plain_schema},
    votable,
};
use crate::JobError;

/// A row group ends when its columns take so much memory, or when it has so many rows.
const GROUP_BYTES: usize = 32 << 20;
const GROUP_ROWS: usize = 1_000_000;

/// Under which keys a file tells what it answers,
pub(super) const QUERY: &str = "almagest.query";
/// and whether the answer was cut.
pub(super) const OVERFLOW: &str = "almagest.overflow";

/// The VOTable of the columns, under the keys of VOParquet.
pub(super) fn about(schema: &SchemaRef, query: &str, ending: Ending) -> [(&'static str, String); 2] {
    [
        ("IVOA.VOTable-Parquet.version", "1.0".to_owned()),
        ("IVOA.VOTable-Parquet.content", votable::without_rows(schema, query, ending)),
    ]
}

pub(super) struct Parquet {
    /// The columns as they were asked for, and as they are written.
    asked: SchemaRef,
    query: String,
    schema: SchemaRef,
    /// None once it is closed.
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl Parquet {
    pub(super) fn new(schema: &SchemaRef, query: String) -> Result<Self, JobError> {
        let asked = SchemaRef::clone(schema);
        let schema = plain_schema(schema);
        let about = KeyValue::new(QUERY.to_owned(), query.clone());
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_key_value_metadata(Some(vec![about]))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(&schema), Some(properties)).map_err(failed)?;
        Ok(Self { asked, query, schema, writer: Some(writer) })
    }

    fn hand_over(&mut self, out: &mut Vec<u8>) {
        if let Some(writer) = &mut self.writer {
            out.append(writer.inner_mut());
        }
    }
}

impl Encoder for Parquet {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), JobError> {
        self.hand_over(out);
        Ok(())
    }

    fn open(&mut self, batch: RecordBatch) -> Result<(), JobError> {
        let batch = plain_batch(&batch, &self.schema)
            .map_err(|error| JobError::fault("cannot read a batch of the answer", &error))?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(&batch).map_err(failed)?;
        if writer.memory_size() >= GROUP_BYTES {
            writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    fn write(&mut self, _most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        self.hand_over(out);
        Ok(Progress::Done)
    }

    fn end(&mut self, ending: Ending, _most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        let Some(mut writer) = self.writer.take() else { return Ok(Progress::Done) };
        writer.append_key_value_metadata(KeyValue::new(OVERFLOW.to_owned(), ending.overflow.to_string()));
        for (key, value) in about(&self.asked, &self.query, ending) {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        out.append(&mut writer.into_inner().map_err(failed)?);
        Ok(Progress::Done)
    }

    fn failure(&mut self, _sentence: &str, _out: &mut Vec<u8>) -> bool {
        false
    }
}

fn failed(error: ParquetError) -> JobError {
    match error {
        ParquetError::NYI(what) | ParquetError::ArrowError(what) => {
            JobError::Unwritable(format!("Parquet cannot hold this: {what}; leave the column out, or cast it."))
        }
        error => JobError::fault("a Parquet file could not be written", &error),
    }
}
