//! Where an answer goes: stdout, or a file that is there when the answer is complete and not before.
//!
//! The file is written under another name beside its place and renamed at the end; what is given up is removed. What is
//! there already and no plain file (a pipe, `/dev/null`) is written to as it is. Writing happens on a thread of its own,
//! so that a reader who does not read cannot keep a signal waiting.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use crate::{failure::Failure, output};

/// An output that is written to.
pub(super) struct Output {
    /// Away while it is written to.
    writer: Option<Box<dyn Write + Send>>,
    /// The file of the caller, for messages.
    path: Option<PathBuf>,
    /// Where it is written to meanwhile, and where it shall be. Removed when it is dropped.
    unfinished: Option<(TempPath, PathBuf)>,
}

impl Output {
    /// Stdout, or this file.
    pub(super) fn create(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self { writer: Some(Box::new(output::stdout())), path: None, unfinished: None });
        };
        let (file, unfinished) = open(path).map_err(|error| failed(path, &error))?;
        Ok(Self { writer: Some(Box::new(BufWriter::new(file))), path: Some(path.to_owned()), unfinished })
    }

    /// Whether somebody looks on as it is written.
    pub(super) fn is_terminal(&self) -> bool {
        self.path.is_none() && io::stdout().is_terminal()
    }

    /// Writes some more.
    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]> + Send + 'static) -> Result<(), Failure> {
        self.with(move |writer| writer.write_all(bytes.as_ref())).await
    }

    /// Completes the output.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        self.with(|writer| writer.flush()).await?;
        drop(self.writer.take());
        let Some((written, place)) = self.unfinished.take() else { return Ok(()) };
        written.persist(&place).map_err(|error| failed(&place, &error.error))
    }

    async fn with(
        &mut self,
        act: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Failure> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let acted = tokio::task::spawn_blocking(move || {
            let result = act(&mut *writer);
            (writer, result)
        });
        let (writer, result) = acted.await.map_err(|error| Failure::Output(io::Error::other(error)))?;
        self.writer = Some(writer);
        result.map_err(|error| match &self.path {
            Some(path) => failed(path, &error),
            None => Failure::Output(error),
        })
    }
}

/// The file to write to, and where it shall be in the end if it is not there yet.
fn open(path: &Path) -> io::Result<(File, Option<(TempPath, PathBuf)>)> {
    // A link is followed: what it names gets the new content.
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if place.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if place.exists() && !place.is_file() {
        return Ok((OpenOptions::new().write(true).open(&place)?, None));
    }
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let (prefix, mut builder) = (format!(".{name}."), tempfile::Builder::new());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file: whatever the umask leaves. A file that was there keeps what it had.
        let mode = place.metadata().map_or(0o666, |there| there.permissions().mode());
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    let (file, written) = builder.prefix(&prefix).suffix(".unfinished").tempfile_in(folder)?.into_parts();
    Ok((file, Some((written, place))))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let reason = error.to_string();
    // The name that the file has until it is complete is nobody's concern.
    let reason = reason.split(" at path ").next().unwrap_or_default();
    Failure::File { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("it is there")
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_appears_when_it_is_complete_and_an_old_one_stays_until_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answer.csv");
        let mut out = Output::create(Some(&path)).expect("it can be made");
        out.write("half").await.expect("it is written");
        assert!(!path.exists());
        drop(out);
        assert!(files(folder.path()).is_empty(), "nothing half-written stays");

        std::fs::write(&path, "old").expect("it is written");
        let mut out = Output::create(Some(&path)).expect("it can be made");
        out.write("new").await.expect("it is written");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "old");
        out.finish().await.expect("it is complete");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "new");
        assert_eq!(files(folder.path()), ["answer.csv"]);
    }

    #[tokio::test]
    async fn what_is_no_plain_file_is_written_to_as_it_is_and_a_folder_is_refused() {
        let mut out = Output::create(Some(Path::new("/dev/null"))).expect("it can be opened");
        out.write("x").await.expect("it is written");
        out.finish().await.expect("it is complete");
        assert!(!Path::new("/dev/null").is_file());
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Output::create(Some(folder.path())).is_err());
        let nowhere = Output::create(Some(&folder.path().join("no/such/folder.csv"))).err().expect("it is refused");
        assert!(!nowhere.to_string().contains("unfinished"), "{nowhere}");
    }
}
