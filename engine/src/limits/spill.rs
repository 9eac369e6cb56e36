//! Where operators put what they have no memory for: one folder a process, bounded, and gone with the process.
//!
//! ```text
//!   <spill>/query-spill-<random>/lock          held for as long as the process lives
//!                               /…             files, each deleted with the query that wrote it
//! ```
//! A process that was killed leaves its folder behind. The next one that begins finds it by its lock, which nobody holds
//! any more, and deletes it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};

const PREFIX: &str = "query-spill-";
const LOCK: &str = "lock";

/// A folder of this process alone, deleted with this.
#[derive(Debug)]
pub(crate) struct SpillFolder {
    path: PathBuf,
    _lock: File,
}

impl SpillFolder {
    /// Makes one within `parent`, and deletes those that nobody uses any more.
    pub(crate) fn make(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        sweep(parent);
        loop {
            let path = parent.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
            match private(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let lock = File::create(path.join(LOCK))?;
            lock.lock()?;
            // Who sweeps may have been here before the lock was held.
            if path.join(LOCK).exists() {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// What writes the files, with so many bytes in all.
    pub(crate) fn disk(&self, bytes: u64) -> DiskManagerBuilder {
        DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![self.path.clone()]))
            .with_max_temp_directory_size(bytes)
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // What cannot be deleted now is swept by the next process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes a folder for this user alone: rows are in it, and its parent may be everybody's.
fn private(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path)
}

/// Deletes the folders of processes that have ended. What cannot be read or deleted is left: the next one tries again.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !ours {
            continue;
        }
        // A folder without a lock is being made at this moment, or was left in that moment: it is empty.
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            let _ = fs::remove_dir_all(path); // the lock is held meanwhile, so that nobody begins to use it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(parent: &Path) -> Vec<PathBuf> {
        fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn folders_that_are_made_at_once_are_there_when_they_have_been_made() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let folder = SpillFolder::make(parent.path()).unwrap();
                        fs::write(folder.path.join("rows"), "").unwrap();
                    }
                });
            }
        });
        assert!(folders(parent.path()).is_empty());
    }

    #[test]
    fn a_folder_is_gone_with_its_owner_and_a_dead_owners_with_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path().join("made/on/demand");
        let living = SpillFolder::make(&parent).unwrap();
        let dead = parent.join("query-spill-dead");
        fs::create_dir(&dead).unwrap();
        File::create(dead.join(LOCK)).unwrap();
        fs::write(dead.join("rows"), "left").unwrap();
        fs::create_dir(parent.join("somebody-elses")).unwrap();
        let next = SpillFolder::make(&parent).unwrap();
        assert_eq!(folders(&parent).len(), 3);
        assert!(living.path.exists() && !dead.exists());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&living.path).unwrap().permissions());
            assert_eq!(mode & 0o077, 0, "nobody else reads the rows in it");
        }
        drop((living, next));
        assert_eq!(folders(&parent), [parent.join("somebody-elses")]);
    }
}
