//! Text that is packed: gzip, zstd and bzip2 are told by their first bytes, and unpacked while they are read.
//!
//! A packed stream that ends too early or is damaged is an error, never an end: the rows behind it would be missing.
//! Archives of several files, and packers that are not here, are refused by name.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

use crate::{FormatError, Input};

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
}

/// How many bytes tell.
const HEAD: usize = 16;
/// How much packed text is taken from the file at once.
const BUFFER: usize = 256 << 10;

impl Compression {
    /// What the first bytes of a file say.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            // A block, or the end of a stream that has none.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// The file from its beginning, unpacked, and how it was packed.
pub(crate) fn open(input: &Input) -> Result<(Option<Compression>, Box<dyn Read + Send>), FormatError> {
    let mut raw = input.reader(0)?;
    let mut head = Vec::with_capacity(HEAD);
    raw.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| input.unreadable(error))?;
    if let Some(what) = packed_otherwise(&head) {
        return Err(input.bad(format_args!("it is {what}; unpack it first")));
    }
    let compression = Compression::of(&head);
    let whole = Cursor::new(head).chain(raw);
    let Some(compression) = compression else { return Ok((None, Box::new(whole))) };
    let packed = BufReader::with_capacity(BUFFER, Tagged(whole));
    let inner: Box<dyn Read + Send> = match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::with_buffer(packed).map_err(|error| input.unreadable(error))?)
        }
    };
    Ok((Some(compression), Box::new(Unpacked { inner, compression })))
}

/// What is packed in a way that is not read here.
fn packed_otherwise(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some("a zip archive"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("packed by xz"),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some("a 7z archive"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some("packed by lz4"),
        [0x1f, 0x9d, ..] => Some("packed by compress (.Z)"),
        _ => None,
    }
}

/// Unpacks, and says of an error whether the packed stream is cut short or damaged.
struct Unpacked {
    inner: Box<dyn Read + Send>,
    compression: Compression,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| explain(self.compression, error))
    }
}

fn explain(compression: Compression, error: io::Error) -> io::Error {
    if error.get_ref().is_some_and(|inner| inner.is::<BelowError>()) {
        let kind = error.kind();
        let inner = error.into_inner().and_then(|inner| inner.downcast::<BelowError>().ok());
        return inner.map_or_else(|| kind.into(), |below| below.0);
    }
    let name = compression.name();
    match error.kind() {
        ErrorKind::Interrupted => error,
        ErrorKind::UnexpectedEof => {
            io::Error::new(ErrorKind::UnexpectedEof, format!("it is cut short: its {name} stream ends too early"))
        }
        // What zstd says of a frame without an end.
        _ if error.to_string().contains("incomplete frame") => {
            io::Error::new(ErrorKind::UnexpectedEof, format!("it is cut short: its {name} stream ends too early"))
        }
        _ => io::Error::new(ErrorKind::InvalidData, format!("its {name} stream is damaged: {error}")),
    }
}

/// Marks the errors of the file below, so that they are not taken for errors of the packed stream.
struct Tagged<R>(R);

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct BelowError(io::Error);

impl<R: Read> Read for Tagged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| io::Error::new(error.kind(), BelowError(error)))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;
    use crate::testing::{Broken, Net};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(text: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    type Packer = fn(&[u8]) -> Vec<u8>;

    const PACKERS: [(&str, Packer); 3] = [("gzip", gzip), ("bzip2", bzip2), ("zstd", zstd)];

    /// Reads bytes as a file called `stars.csv`.
    fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stars.csv");
        fs::write(&path, packed).unwrap();
        let mut text = Vec::new();
        let mut reader = Input::file(&path).unwrap().text().map_err(|error| error.to_string())?;
        reader.read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn rows(from: usize, to: usize) -> Vec<u8> {
        (from..to).flat_map(|i| format!("{i},{}\n", i as f64 * 0.37).into_bytes()).collect()
    }

    #[test]
    fn plain_text_passes_through_and_so_does_nothing() {
        for text in [&b""[..], b"a", b"ra,dec\n1,2\n", b"BZh9,is,a,column,name\n", b"PK\n1\n"] {
            assert_eq!(unpack(text).unwrap(), text);
        }
    }

    #[test]
    fn every_packer_is_told_by_its_bytes_not_by_its_name() {
        let text = rows(0, 50_000);
        for (name, pack) in PACKERS {
            assert!(unpack(&pack(&text)).unwrap() == text, "{name}");
            assert_eq!(unpack(&pack(b"")).unwrap(), b"", "{name}");
        }
    }

    #[test]
    fn several_members_one_after_the_other_are_one_text() {
        let (first, second) = (rows(0, 1000), rows(1000, 2000));
        for (name, pack) in PACKERS {
            let packed = [pack(&first), pack(b""), pack(&second)].concat();
            assert!(unpack(&packed).unwrap() == rows(0, 2000), "{name}");
        }
    }

    #[test]
    fn a_cut_at_any_byte_is_an_error_that_says_so() {
        let text = rows(0, 40);
        for (name, pack) in PACKERS {
            let packed = pack(&text);
            for end in HEAD..packed.len() {
                let error = unpack(&packed[..end]).unwrap_err();
                assert_eq!(error, format!("it is cut short: its {name} stream ends too early"), "{end} bytes");
            }
            let twice = [packed.clone(), packed].concat();
            for end in (twice.len() / 2 + 1..twice.len()).step_by(3) {
                assert!(unpack(&twice[..end]).is_err(), "{name}: {end} of {} bytes", twice.len());
            }
        }
    }

    #[test]
    fn a_damaged_stream_is_an_error_that_says_so() {
        let text = rows(0, 3000);
        for (name, pack) in PACKERS {
            let mut packed = pack(&text);
            let middle = packed.len() / 2;
            packed[middle] ^= 0x55;
            let error = unpack(&packed).unwrap_err();
            assert!(error.contains(name) && (error.contains("damaged") || error.contains("cut short")), "{error}");
            let error = unpack(&[pack(&text), b"something else".to_vec()].concat()).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn archives_and_other_packers_are_refused_by_name() {
        let zip = unpack(b"PK\x03\x04\x14\0\0\0\x08\0").unwrap_err();
        assert!(zip.ends_with("stars.csv: it is a zip archive; unpack it first"), "{zip}");
        let xz = unpack(b"\xfd7zXZ\0\0\x04").unwrap_err();
        assert!(xz.ends_with("stars.csv: it is packed by xz; unpack it first"), "{xz}");
    }

    #[test]
    fn a_failing_network_is_not_taken_for_a_damaged_stream() {
        let net = Net::new(Broken::Never);
        let text: Vec<u8> =
            (0..400_000_u64).flat_map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes()).collect();
        for (name, pack) in PACKERS {
            let input = net.input(name, &pack(&text));
            let mut reader = input.text().unwrap();
            reader.read_exact(&mut [0; 10]).unwrap();
            net.remove(name);
            let error = reader.read_to_end(&mut Vec::new()).unwrap_err().to_string();
            assert_eq!(error, "there is no such object", "{name}");
        }
    }
}
