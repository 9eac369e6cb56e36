//! The folder on the local disk that an import works in: its own, and gone when it ends.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::CatalogError;

/// A folder named after the version that is made, so that a resumed import clears away what a killed one left.
pub(super) struct Spill(PathBuf);

impl Spill {
    /// A new folder below `parent`, without what may be left of another of its name.
    pub(super) fn new(parent: &Path, root: &str) -> Result<Self, CatalogError> {
        let name: String = root.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let of_version = parent.join(format!("almagest-import-{name}"));
        let failed = |error| CatalogError::io(format!("making the folder {}", of_version.display()), error);
        match fs::remove_dir_all(&of_version) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        // A thread of a broken-off import that is still at work finds its own folder gone, and never writes into this one.
        let folder = of_version.join(format!("{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Self(folder))
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // Threads of a broken-off import may be making a file just now; they stop at their next batch.
        for _ in 0..10 {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                _ => break,
            }
        }
        if let Some(of_version) = self.0.parent() {
            let _ = fs::remove_dir(of_version); // unless somebody resumes there already
        }
    }
}
