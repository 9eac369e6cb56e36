//! The scripts in `tests/clients/`: clients nobody here wrote, which exit 0 or 1.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::provided;

/// A third-party client, installed on this machine.
#[derive(Debug)]
pub(crate) struct Client {
    interpreter: String,
    script: PathBuf,
}

impl Client {
    /// A Python script, run by the interpreter that has the packages of `tests/clients/requirements.lock`.
    pub(crate) fn python(script: &str) -> Option<Self> {
        Some(Self::new(provided("ALMAGEST_TEST_PYTHON")?, script))
    }

    /// A shell script around STILTS, which it finds by the same variable.
    pub(crate) fn stilts(script: &str) -> Option<Self> {
        provided("ALMAGEST_TEST_STILTS").map(|_| Self::new("bash".to_owned(), script))
    }

    /// A shell script around xmllint, which it finds by the same variable.
    pub(crate) fn xmllint(script: &str) -> Option<Self> {
        provided("ALMAGEST_TEST_XMLLINT").map(|_| Self::new("bash".to_owned(), script))
    }

    fn new(interpreter: String, script: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
        Self { interpreter, script }
    }

    /// Runs the client, which must be content.
    pub(crate) fn agrees(&self, arguments: &[&str]) {
        let output = Command::new(&self.interpreter).arg(&self.script).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{} {arguments:?}: {}\n{}{}",
            self.script.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
