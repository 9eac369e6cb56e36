//! An Arrow IPC stream: the columns as they are, with their metadata, read by any Arrow library as it comes.
//!
//! A stream that is cut off lacks its end mark, so that a reader notices. It has no place for an overflow.

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError, ipc::writer::StreamWriter};

use super::{
    Encoder, Progress,
    plain::{plain_batch, plain_schema},
};
use crate::JobError;

pub(super) struct ArrowStream {
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
}

impl ArrowStream {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, JobError> {
        let schema = plain_schema(schema);
        let writer = StreamWriter::try_new(Vec::new(), &schema).map_err(failed)?;
        Ok(Self { schema, writer })
    }

    fn hand_over(&mut self, out: &mut Vec<u8>) {
        out.append(self.writer.get_mut());
    }
}

impl Encoder for ArrowStream {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), JobError> {
        self.hand_over(out);
        Ok(())
    }

    fn open(&mut self, batch: RecordBatch) -> Result<(), JobError> {
        self.writer.write(&plain_batch(&batch, &self.schema).map_err(failed)?).map_err(failed)
    }

    fn write(&mut self, _most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        self.hand_over(out);
        Ok(Progress::Done)
    }

    fn end(&mut self, _overflow: Option<u64>, out: &mut Vec<u8>) -> Result<(), JobError> {
        self.writer.finish().map_err(failed)?;
        self.hand_over(out);
        Ok(())
    }

    fn failure(&mut self, _sentence: &str, _out: &mut Vec<u8>) -> bool {
        false
    }
}

fn failed(error: ArrowError) -> JobError {
    match error {
        ArrowError::NotYetImplemented(what) => {
            JobError::Unwritable(format!("Arrow streams cannot hold this: {what}; leave the column out, or cast it."))
        }
        error => JobError::fault("an Arrow stream could not be written", &error),
    }
}
