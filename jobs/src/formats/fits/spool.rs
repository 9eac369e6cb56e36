//! Rows that wait on the disk until all of them are known: an Arrow stream in a file without a name, which is gone with
//! its last reader, whatever happens.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Seek, SeekFrom, Write},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};

use crate::JobError;

/// Between the rows and the file.
const BUFFER: usize = 256 << 10;

/// Rows that are put aside.
pub(super) struct Spool {
    writer: StreamWriter<BufWriter<File>>,
}

/// Rows that were put aside, to be read as often as needed.
pub(super) struct Spooled {
    file: Arc<File>,
}

pub(super) type Reading = StreamReader<BufReader<Arc<File>>>;

impl Spool {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, JobError> {
        let file = tempfile::tempfile().map_err(|error| failed(&error))?;
        let writer = StreamWriter::try_new(BufWriter::with_capacity(BUFFER, file), schema);
        Ok(Self { writer: writer.map_err(|error| failed(&error))? })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), JobError> {
        self.writer.write(batch).map_err(|error| failed(&error))
    }

    pub(super) fn finish(mut self) -> Result<Spooled, JobError> {
        self.writer.finish().map_err(|error| failed(&error))?;
        let buffered = self.writer.into_inner().map_err(|error| failed(&error))?;
        let mut file = buffered.into_inner().map_err(|error| failed(error.error()))?;
        file.flush().map_err(|error| failed(&error))?;
        Ok(Spooled { file: Arc::new(file) })
    }
}

impl Spooled {
    /// Reads from the first row on; one reader at a time.
    pub(super) fn read(&self) -> Result<Reading, JobError> {
        let mut file = Arc::clone(&self.file);
        file.seek(SeekFrom::Start(0)).map_err(|error| failed(&error))?;
        StreamReader::try_new(BufReader::with_capacity(BUFFER, file), None).map_err(|error| failed(&error))
    }
}

/// The next rows.
pub(super) fn next(reading: &mut Reading) -> Result<Option<RecordBatch>, JobError> {
    reading.next().transpose().map_err(|error: ArrowError| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> JobError {
    JobError::fault("the rows of a FITS file could not wait on the disk", error)
}
