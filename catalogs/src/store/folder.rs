//! Writing into a folder of this machine so that it lasts: what a function here has returned from survives a loss of power.
//!
//! A file is written under another name, synced, and renamed; then its folder is synced, which is what makes the new name
//! last. The other name ends in `#` and digits, which a listing leaves out; what a crash leaves of such files goes when
//! their folder is deleted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::upload::Source;
use crate::CatalogError;

/// Writes a file.
pub(super) async fn write(file: PathBuf, source: Source) -> Result<(), CatalogError> {
    tokio::task::spawn_blocking(move || match source {
        Source::Bytes(bytes) => staged(&file, |target| target.write_all(&bytes)),
        Source::File(from) => staged_from(&from, &file),
    })
    .await?
}

/// Gives the bytes of another file this name: the same bytes where both are on one file system, else a copy.
fn staged_from(from: &Path, file: &Path) -> Result<(), CatalogError> {
    let opened = File::open(from).and_then(|origin| origin.sync_all().map(|()| origin));
    let mut origin = opened.map_err(|error| CatalogError::io(from.display(), error))?;
    if link(from, file)? { Ok(()) } else { staged(file, |target| io::copy(&mut origin, target).map(drop)) }
}

fn staged(file: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), CatalogError> {
    let written = || {
        let folder = folder_of(file)?;
        make(folder)?;
        let other = other_name(file);
        let filled = OpenOptions::new().write(true).create_new(true).open(&other).and_then(|mut target| {
            fill(&mut target)?;
            target.sync_all()
        });
        if let Err(error) = filled.and_then(|()| fs::rename(&other, file)) {
            let _ = fs::remove_file(&other); // the first error is the one to tell
            return Err(error);
        }
        sync(folder)
    };
    written().map_err(|error| CatalogError::io(format!("writing {}", file.display()), error))
}

/// Makes a folder and those that it lies in.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    make(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => Err(error),
        _ => sync(above), // also where somebody else was faster: it may not have synced it yet
    }
}

/// Gives a file a second name. `false` where the file system cannot.
pub(super) fn link(old: &Path, new: &Path) -> Result<bool, CatalogError> {
    let linked = || -> io::Result<bool> {
        let folder = folder_of(new)?;
        make(folder)?;
        // Over another name, since what has the name already is to be replaced.
        let other = other_name(new);
        match fs::hard_link(old, &other) {
            Ok(()) => {}
            Err(error) if cannot_link(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        let renamed = fs::rename(&other, new);
        let _ = fs::remove_file(&other); // still there after an error, and where both were the same file already
        renamed?;
        sync(folder)?;
        Ok(true)
    };
    linked().map_err(|error| CatalogError::io(format!("linking {} to {}", new.display(), old.display()), error))
}

fn cannot_link(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}

/// Deletes a folder with all that is in it; that there is none is no fault.
pub(super) fn delete(folder: &Path) -> Result<(), CatalogError> {
    let deleted = || match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync(folder_of(folder)?),
    };
    deleted().map_err(|error| CatalogError::io(format!("deleting {}", folder.display()), error))
}

fn folder_of(file: &Path) -> io::Result<&Path> {
    file.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it lies in no folder"))
}

/// A name beside a file's own that nobody else has and no listing shows.
fn other_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!("#{}", rand::random::<u64>()));
    name.into()
}

/// Makes the names in a folder last.
fn sync(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b/file");
        write(file.clone(), Source::Bytes("old".into())).await.unwrap();
        let absent = folder.path().join("absent");
        let error = write(file.clone(), Source::File(absent.clone())).await.unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
        let failed = staged(&file, |target| {
            target.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.unwrap_err().to_string().contains("the disk is full"));
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_replaces_what_is_there_and_may_be_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("deep/new"));
        fs::write(&old, "rows").unwrap();
        make(new.parent().unwrap()).unwrap();
        fs::write(&new, "other rows").unwrap();
        for _ in 0..2 {
            assert!(link(&old, &new).unwrap());
            assert_eq!(fs::read(&new).unwrap(), b"rows");
            assert_eq!(fs::read_dir(new.parent().unwrap()).unwrap().count(), 1);
        }
        fs::remove_file(&old).unwrap();
        assert_eq!(fs::read(&new).unwrap(), b"rows");
        assert!(link(&old, &new).is_err());
    }

    #[test]
    fn a_file_in_the_way_of_a_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = staged(&file.join("below"), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("file/below"), "{error}");
    }
}
