//! Documents packed as they are written.
//!
//! What is broken off lacks the end of its packing, so that whoever unpacks it notices.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;

use super::Packing;
use crate::JobError;

/// Quick rather than small: an answer is packed once and read once.
const GZIP_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 3;
const BZIP2_LEVEL: u32 = 6;

/// Packs chunk after chunk.
pub(super) enum Packer {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Bzip2(BzEncoder<Vec<u8>>),
}

impl Packer {
    pub(super) fn new(packing: Packing) -> Result<Self, JobError> {
        Ok(match packing {
            Packing::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))),
            Packing::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(failed)?;
                encoder.include_checksum(true).map_err(failed)?;
                Self::Zstd(encoder)
            }
            Packing::Bzip2 => Self::Bzip2(BzEncoder::new(Vec::new(), bzip2::Compression::new(BZIP2_LEVEL))),
        })
    }

    /// Takes the next chunk and gives what is packed by now.
    pub(super) fn pack(&mut self, chunk: &[u8]) -> Result<Vec<u8>, JobError> {
        let packed = match self {
            Self::Gzip(encoder) => encoder.write_all(chunk).map(|()| encoder.get_mut()),
            Self::Zstd(encoder) => encoder.write_all(chunk).map(|()| encoder.get_mut()),
            Self::Bzip2(encoder) => encoder.write_all(chunk).map(|()| encoder.get_mut()),
        };
        packed.map(std::mem::take).map_err(failed)
    }

    /// Gives the end.
    pub(super) fn finish(self) -> Result<Vec<u8>, JobError> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Bzip2(encoder) => encoder.finish(),
        }
        .map_err(failed)
    }
}

fn failed(error: io::Error) -> JobError {
    JobError::fault("an answer could not be packed", &error)
}
