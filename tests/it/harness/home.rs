//! One installation of Almagest: a temporary folder, a store, and the command.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::provided;
use super::server::Server;

/// The S3 server that the tests are given.
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl S3 {
    pub(crate) fn provided() -> Option<Self> {
        Some(Self {
            endpoint: provided("ALMAGEST_TEST_S3_ENDPOINT")?,
            bucket: provided("ALMAGEST_TEST_S3_BUCKET")?,
            region: provided("ALMAGEST_TEST_S3_REGION")?,
            access_key_id: provided("ALMAGEST_TEST_S3_ACCESS_KEY_ID")?,
            secret_access_key: provided("ALMAGEST_TEST_S3_SECRET_ACCESS_KEY")?,
        })
    }
}

/// A folder that is removed with this value, and the configuration that the command gets through its environment.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Home {
    /// Catalogues in a local folder, metadata in SQLite beside them: the defaults.
    pub(crate) fn on_a_local_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store").to_str().unwrap().to_owned();
        Self { folder, environment: vec![("ALMAGEST__STORE__URL", store)] }
    }

    /// Catalogues on S3 below a prefix of this home's own, metadata in a local SQLite file.
    pub(crate) fn on_s3(s3: S3) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        let metadata = folder.path().join("metadata.db");
        let environment = vec![
            ("ALMAGEST__STORE__URL", format!("s3://{}/{prefix}", s3.bucket)),
            ("ALMAGEST__STORE__ENDPOINT", s3.endpoint),
            ("ALMAGEST__STORE__REGION", s3.region),
            ("ALMAGEST__STORE__ACCESS_KEY_ID", s3.access_key_id),
            ("ALMAGEST__STORE__SECRET_ACCESS_KEY", s3.secret_access_key),
            ("ALMAGEST__STORE__ALLOW_HTTP", "true".to_owned()),
            ("ALMAGEST__METADATA__URL", format!("sqlite:{}", metadata.display())),
        ];
        Self { folder, environment }
    }

    /// Catalogues in a local folder, metadata in a new database of a PostgreSQL server, whose name is returned as well;
    /// `tell` tells something to the server at `url`.
    pub(crate) fn on_postgres(url: &str, tell: impl FnOnce(&str)) -> (String, Self) {
        let Self { folder, mut environment } = Self::on_a_local_folder();
        let name = folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_lowercase();
        let name = format!("it_{name}");
        tell(&format!("CREATE DATABASE {name}"));
        let (server, _) = url.rsplit_once('/').unwrap();
        environment.push(("ALMAGEST__METADATA__URL", format!("{server}/{name}")));
        (name, Self { folder, environment })
    }

    /// A file of this home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, ready to run in this home.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_almagest"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ALMAGEST_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder.path()).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the command to its end, which must be a success, and returns what it printed.
    pub(crate) fn almagest(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command().args(arguments).output().unwrap();
        assert!(status.success(), "almagest {arguments:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// The answer to a query as CSV, with plain line ends.
    pub(crate) fn csv(&self, query: &str) -> String {
        self.almagest(&["query", "--format", "csv", query]).replace("\r\n", "\n")
    }

    /// Starts `almagest quickstart` with these arguments and waits until it is well. Returns what it printed as well.
    pub(crate) fn quickstart(&self, arguments: &[&str]) -> (Server, String) {
        Server::quickstart(self, arguments)
    }

    /// Starts `almagest serve` and waits until it is well.
    pub(crate) fn serve(&self) -> Server {
        Server::start(self)
    }
}
