//! Where the rows and the heap of a table are read from: the file itself, or what a packed file was unpacked to.
//!
//! A packed file is read as a stream, once for each pass, unless its rows point into the heap behind them: then the data
//! of the table are unpacked to a temporary file, once, which the system removes even after a crash.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use bytes::Bytes;

use crate::{FormatError, Input, input::read_exactly};

/// The data of a table, readable from any place.
#[derive(Debug)]
pub(super) enum Data {
    /// In the file, from this byte on.
    InFile { input: Input, start: u64 },
    /// Unpacked; a file without a name.
    Unpacked { input: Input, file: File },
}

impl Data {
    /// Unpacks the next `size` bytes of a stream.
    pub(super) fn unpack(input: &Input, stream: &mut dyn Read, size: u64) -> Result<Self, FormatError> {
        let folder = input.spill();
        let full =
            |error: io::Error| input.bad(format_args!("it cannot be unpacked into {}: {error}", folder.display()));
        let mut file = tempfile::tempfile_in(&folder).map_err(full)?;
        let mut buffer = vec![0; 1 << 20];
        let mut left = size;
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match stream.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(input.bad(format_args!("it is cut short: {left} bytes of its table are missing"))),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(input.unreadable(error)),
            };
            file.write_all(&buffer[..read]).map_err(full)?;
            left -= read as u64;
        }
        // The checksum is at the end of the file.
        io::copy(stream, &mut io::sink()).map_err(|error| input.unreadable(error))?;
        Ok(Self::Unpacked { input: input.clone(), file })
    }

    /// Exactly these bytes.
    pub(super) fn read(&self, at: u64, length: usize) -> Result<Bytes, FormatError> {
        match self {
            Self::InFile { input, start } => input.read_at(start + at, length),
            Self::Unpacked { input, file } => {
                read_exactly(file, at..at + length as u64).map_err(|error| input.unreadable(error))
            }
        }
    }
}
