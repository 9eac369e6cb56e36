//! Arrow IPC: the columns as they are, with their metadata, read by any Arrow library; as a stream, which is read as it
//! comes, and as a file, which is read in any order.
//!
//! The schema has the VOTable of the columns under the key that Parquet files have it under: nobody has agreed on
//! another. A stream that is cut off lacks its end mark, and a file its footer, so that a reader notices. The footer of
//! a file tells whether the answer was cut; a stream has no place for that.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::writer::{FileWriter, StreamWriter},
};

use super::{
    Encoder, Ending, Progress,
    parquet::{OVERFLOW, QUERY, about},
    plain::{plain_batch, plain_schema},
};
use crate::JobError;

pub(super) struct ArrowIpc {
    schema: SchemaRef,
    writer: Writer,
}

enum Writer {
    Stream(StreamWriter<Vec<u8>>),
    File(FileWriter<Vec<u8>>),
}

impl ArrowIpc {
    pub(super) fn stream(schema: &SchemaRef, query: &str) -> Result<Self, JobError> {
        let schema = noted(schema, query);
        let writer = Writer::Stream(StreamWriter::try_new(Vec::new(), &schema).map_err(failed)?);
        Ok(Self { schema, writer })
    }

    pub(super) fn file(schema: &SchemaRef, query: &str) -> Result<Self, JobError> {
        let schema = noted(schema, query);
        let mut writer = FileWriter::try_new(Vec::new(), &schema).map_err(failed)?;
        writer.write_metadata(QUERY, query);
        Ok(Self { schema, writer: Writer::File(writer) })
    }

    fn hand_over(&mut self, out: &mut Vec<u8>) {
        match &mut self.writer {
            Writer::Stream(writer) => out.append(writer.get_mut()),
            Writer::File(writer) => out.append(writer.get_mut()),
        }
    }
}

/// The schema with the VOTable of its columns.
fn noted(schema: &SchemaRef, query: &str) -> SchemaRef {
    let plain = plain_schema(schema);
    let mut metadata = plain.metadata().clone();
    // The rows are not known yet.
    metadata
        .extend(about(schema, query, Ending { rows: 0, overflow: false }).map(|(key, value)| (key.to_owned(), value)));
    Arc::new(Schema::new_with_metadata(plain.fields().clone(), metadata))
}

impl Encoder for ArrowIpc {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), JobError> {
        self.hand_over(out);
        Ok(())
    }

    fn open(&mut self, batch: RecordBatch) -> Result<(), JobError> {
        let batch = plain_batch(&batch, &self.schema).map_err(failed)?;
        match &mut self.writer {
            Writer::Stream(writer) => writer.write(&batch),
            Writer::File(writer) => writer.write(&batch),
        }
        .map_err(failed)
    }

    fn write(&mut self, _most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        self.hand_over(out);
        Ok(Progress::Done)
    }

    fn end(&mut self, ending: Ending, _most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        match &mut self.writer {
            Writer::Stream(writer) => writer.finish(),
            Writer::File(writer) => {
                writer.write_metadata(OVERFLOW, ending.overflow.to_string());
                writer.finish()
            }
        }
        .map_err(failed)?;
        self.hand_over(out);
        Ok(Progress::Done)
    }

    fn failure(&mut self, _sentence: &str, _out: &mut Vec<u8>) -> bool {
        false
    }
}

fn failed(error: ArrowError) -> JobError {
    match error {
        ArrowError::NotYetImplemented(what) => {
            JobError::Unwritable(format!("Arrow cannot hold this: {what}; leave the column out, or cast it."))
        }
        error => JobError::fault("an Arrow answer could not be written", &error),
    }
}
