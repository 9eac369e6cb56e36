//! A file to be read: on the local disk, or an object of a store.
//!
//! Reading is blocking, for the threads that decode: an object is fetched through the runtime that it was opened with
//! ([`Remote`]). A file that is no longer the one that was first looked at is an error: two passes over it must agree.

use std::{
    fmt,
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use object_store::{ObjectMeta, ObjectStore};
use tokio::runtime::Handle;

use crate::{
    FormatError,
    ahead::{Ahead, Sequential},
    compression,
    object::{Pending, Remote},
};

/// A file, readable from any place and as often as needed. Cheap to clone.
#[derive(Clone)]
pub struct Input {
    name: Arc<str>,
    size: u64,
    fingerprint: Arc<str>,
    place: Where,
    spill: Option<Arc<Path>>,
}

#[derive(Clone)]
enum Where {
    File(Arc<Path>),
    Object(Arc<Remote>),
}

impl Input {
    /// A local file. A folder, or what does not exist or may not be read, is refused.
    pub fn file(path: &Path) -> Result<Self, FormatError> {
        let name = path.display().to_string();
        let unreadable = |error| FormatError::unreadable(&name, in_words(error));
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(FormatError::bad(name, "it is a folder, not a file"));
        }
        if !metadata.is_file() {
            return Err(FormatError::bad(name, "it is no ordinary file, and could not be read twice"));
        }
        let metadata = File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?;
        Ok(Self {
            name: name.into(),
            size: metadata.len(),
            fingerprint: fingerprint(&metadata).into(),
            place: Where::File(path.into()),
            spill: None,
        })
    }

    /// An object of a store, under the name that messages shall use. `runtime` fetches it, and must have threads of its
    /// own; the readers block, and must not run on one of them.
    pub fn object(name: String, store: Arc<dyn ObjectStore>, meta: ObjectMeta, runtime: Handle) -> Self {
        let version = match &meta.e_tag {
            Some(tag) => tag.clone(),
            None => meta.last_modified.timestamp_micros().to_string(),
        };
        Self {
            name: name.into(),
            size: meta.size,
            fingerprint: format!("{} {version}", meta.size).into(),
            place: Where::Object(Arc::new(Remote::new(store, meta, runtime))),
            spill: None,
        }
    }

    /// The same file, unpacked into this folder if it has to be; otherwise that is the system's for temporary files.
    pub fn spilling_into(self, folder: &Path) -> Self {
        Self { spill: Some(folder.into()), ..self }
    }

    /// Where it is unpacked if it has to be.
    pub(crate) fn spill(&self) -> PathBuf {
        self.spill.as_deref().map_or_else(std::env::temp_dir, Path::to_owned)
    }

    /// The name that messages use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Changes when the file does.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Exactly these bytes; an end of file among them is an error.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, FormatError> {
        self.fetch(offset..offset.saturating_add(length as u64)).map_err(|error| self.unreadable(error))
    }

    /// The file from `offset` to its end, read ahead where it is far away, and as it is: compressed if it is.
    pub fn reader(&self, offset: u64) -> Result<Box<dyn Read + Send>, FormatError> {
        match &self.place {
            Where::File(_) => {
                let file = self.reopen().and_then(|mut file| file.seek(SeekFrom::Start(offset)).map(|_| file));
                let file = file.map_err(|error| self.unreadable(error))?;
                Ok(Box::new(Whole { file, left: self.size.saturating_sub(offset) }))
            }
            Where::Object(_) => Ok(Box::new(Sequential::new(Ahead::growing(self, offset..self.size)))),
        }
    }

    /// The file from its beginning, decompressed if its first bytes say gzip (of many members), zstd or bzip2.
    pub fn text(&self) -> Result<Box<dyn Read + Send>, FormatError> {
        Ok(compression::open(self)?.1)
    }

    /// An error of reading this file.
    pub(crate) fn unreadable(&self, error: io::Error) -> FormatError {
        FormatError::unreadable(&self.name, error)
    }

    /// A fault of this file.
    pub(crate) fn bad(&self, why: impl fmt::Display) -> FormatError {
        FormatError::bad(&self.name, why)
    }

    /// Whether reading takes the way over a network.
    pub(crate) fn is_far(&self) -> bool {
        matches!(self.place, Where::Object(_))
    }

    /// Exactly these bytes.
    pub(crate) fn fetch(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.check(&range)?;
        match &self.place {
            Where::File(_) => read_exactly(&self.reopen()?, range),
            Where::Object(remote) => remote.begin(range).wait(),
        }
    }

    /// Whether any part of the text can be read by itself at no great cost: a local file that is not packed.
    pub(crate) fn is_plain(&self) -> bool {
        !self.is_far() && compression::open(self).is_ok_and(|(packed, _)| packed.is_none())
    }

    /// The bytes of a local file from `offset` on, as many as there is room for.
    pub(crate) fn read_into(&self, offset: u64, room: &mut [u8]) -> Result<(), FormatError> {
        self.reopen().and_then(|file| fill(&file, offset, room)).map_err(|error| self.unreadable(error))
    }

    /// Begins to fetch these bytes in the background; a local file does not need it.
    pub(crate) fn begin(&self, range: Range<u64>) -> Option<Pending> {
        match &self.place {
            Where::Object(remote) if self.check(&range).is_ok() => Some(remote.begin(range)),
            _ => None,
        }
    }

    /// The local file, opened anew and still the same; `None` for an object.
    pub(crate) fn local(&self) -> io::Result<Option<File>> {
        if self.is_far() { Ok(None) } else { self.reopen().map(Some) }
    }

    fn reopen(&self) -> io::Result<File> {
        let Where::File(path) = &self.place else {
            return Err(io::Error::new(ErrorKind::Unsupported, "it is no local file"));
        };
        let file = File::open(path).map_err(in_words)?;
        if fingerprint(&file.metadata()?) != *self.fingerprint {
            return Err(io::Error::other("it has changed since it was first looked at"));
        }
        Ok(file)
    }

    fn check(&self, range: &Range<u64>) -> io::Result<()> {
        if range.end <= self.size {
            return Ok(());
        }
        let why = format!("it is cut short: it ends after {} bytes, and byte {} is missing", self.size, range.end);
        Err(io::Error::new(ErrorKind::UnexpectedEof, why))
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Input").field(&self.name).finish()
    }
}

/// Exactly these bytes of a file.
pub(crate) fn read_exactly(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    fill(file, range.start, &mut bytes)?;
    Ok(bytes.into())
}

fn fill(file: &File, offset: u64, room: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(room, offset).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => shrunk(),
        _ => error,
    })
}

fn fingerprint(metadata: &Metadata) -> String {
    format!("{} {}.{:09}", metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

fn shrunk() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "it became shorter while it was being read")
}

/// The usual errors, as a person would say them.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, "there is no such file"),
        ErrorKind::PermissionDenied => io::Error::new(ErrorKind::PermissionDenied, "there is no permission to read it"),
        _ => error,
    }
}

/// A local file up to the end that it had when it was first looked at; an end before that is an error, and what was
/// appended since is not read.
struct Whole {
    file: File,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(shrunk());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::PermissionsExt};

    use super::*;

    fn file_of(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stars.csv");
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn any_part_of_a_file_can_be_read() {
        let (_folder, path) = file_of(b"0123456789");
        let input = Input::file(&path).unwrap();
        assert_eq!(input.size(), 10);
        assert_eq!(input.read_at(3, 4).unwrap(), "3456");
        assert_eq!(input.read_at(10, 0).unwrap(), "");
        let mut rest = String::new();
        input.reader(7).unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "789");
        rest.clear();
        input.reader(70).unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }

    #[test]
    fn bytes_beyond_the_end_are_an_error() {
        let (_folder, path) = file_of(b"0123456789");
        let input = Input::file(&path).unwrap();
        let error = input.read_at(8, 3).unwrap_err().to_string();
        assert!(
            error.ends_with("stars.csv: it is cut short: it ends after 10 bytes, and byte 11 is missing"),
            "{error}"
        );
        assert!(input.read_at(u64::MAX, usize::MAX).is_err());
    }

    #[test]
    fn what_is_no_readable_file_is_refused_in_a_sentence() {
        let (folder, path) = file_of(b"ra,dec\n");
        let error = Input::file(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with(": it is a folder, not a file"), "{error}");
        let error = Input::file(&folder.path().join("none.csv")).unwrap_err().to_string();
        assert!(error.ends_with("none.csv: there is no such file"), "{error}");
        let error = Input::file(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.starts_with("/dev/null: it is no ordinary file"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        match File::open(&path) {
            Ok(_) => println!("skipped: this user may read everything"),
            Err(_) => {
                let error = Input::file(&path).unwrap_err().to_string();
                assert!(error.ends_with("stars.csv: there is no permission to read it"), "{error}");
            }
        }
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let (_folder, path) = file_of(b"0123456789");
        let input = Input::file(&path).unwrap();
        let mut reader = input.reader(0).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        let error = input.read_at(0, 4).unwrap_err().to_string();
        assert!(error.ends_with("it has changed since it was first looked at"), "{error}");
        assert_ne!(Input::file(&path).unwrap().fingerprint(), input.fingerprint());

        let mut begun = String::new();
        reader.read_to_string(&mut begun).unwrap();
        assert_eq!(begun, "0123456789", "a pass that has begun ends where the file ended");
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_does_not_end_silently() {
        let (_folder, path) = file_of(b"0123456789");
        let mut reader = Input::file(&path).unwrap().reader(0).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(5).unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert_eq!(error, "it became shorter while it was being read");
    }
}
