//! Where things are: the store, the metadata database, the addresses to listen on and those that clients use.
//!
//! Each is read into a type that holds nothing else. That an address is well formed is all that is known here: nothing is
//! looked up, connected to or created.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use url::Url;

use super::{
    layers::Given,
    values::{Setting, quoted},
};

/// An address and a port to listen on.
impl Setting for SocketAddr {
    const ALLOWED: &'static str = r#"an address and a port, such as "127.0.0.1:8080" or "[::1]:8080""#;

    fn read(given: &Given) -> Option<Self> {
        given.text()?.parse().ok()
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// Where catalogues are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a bucket of an S3-compatible object store.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the names of all objects begin with, without slashes at its ends; may be empty.
        prefix: String,
    },
}

impl Setting for StoreUrl {
    const ALLOWED: &'static str = r#"a local folder such as "almagest-data", or "s3://BUCKET/PREFIX""#;

    fn read(given: &Given) -> Option<Self> {
        let text = given.text().filter(|text| !text.is_empty())?;
        if let Some(place) = text.strip_prefix("s3://") {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            return (!bucket.is_empty() && bucket.chars().all(is_of_a_name))
                .then(|| Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
        }
        // A colon before the first slash is an address gone wrong, such as s3:/sky; the folder a:b is written ./a:b.
        let is_address = text.contains("://") || text.split('/').next().is_some_and(|start| start.contains(':'));
        (!is_address).then(|| Self::Folder(PathBuf::from(text)))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&match self {
            Self::Folder(path) => path.display().to_string(),
            Self::S3 { bucket, prefix } if prefix.is_empty() => format!("s3://{bucket}"),
            Self::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
        }))
    }
}

/// A folder of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalFolder(PathBuf);

impl LocalFolder {
    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Setting for LocalFolder {
    const ALLOWED: &'static str = r#"a local folder, such as "/var/tmp""#;

    fn read(given: &Given) -> Option<Self> {
        let text = given.text().filter(|text| !text.is_empty() && !text.contains("://"))?;
        Some(Self(PathBuf::from(text)))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0.display().to_string()))
    }
}

/// Where the relational database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MetadataUrl {
    /// Beside the catalogues, in the folder of store.url.
    InDataFolder,
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// On a PostgreSQL server.
    Postgres(PostgresUrl),
}

/// The address of a database on a PostgreSQL server. It may hold a password, which it does not show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl(Url);

impl PostgresUrl {
    /// The address as a client needs it; `password` goes before one that it holds.
    pub(crate) fn with_password(&self, password: Option<&str>) -> String {
        self.with(password.or(self.0.password()))
    }

    fn with(&self, password: Option<&str>) -> String {
        let mut url = self.0.clone();
        // Only an address without a host has no room for a password, and such a one is not read.
        let _ = url.set_password(password);
        url.into()
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with(self.0.password().map(|_| "***")))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn postgres_url(text: &str) -> Option<PostgresUrl> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))?;
    let is_whole = url.host_str().is_some_and(|host| !host.is_empty())
        && url.path().trim_matches('/').split('/').count() == 1
        && url.path().len() > 1
        && url.fragment().is_none()
        && url.query_pairs().all(|(key, _)| key != "password");
    is_whole.then_some(PostgresUrl(url))
}

impl Setting for MetadataUrl {
    const ALLOWED: &'static str =
        r#""sqlite:PATH", "postgres://USER@HOST:PORT/DATABASE", or "" for a file in the data folder"#;

    fn read(given: &Given) -> Option<Self> {
        match given.text()? {
            "" => Some(Self::InDataFolder),
            text if text.starts_with("postgres") => postgres_url(text).map(Self::Postgres),
            text => {
                let path = text.strip_prefix("sqlite:")?;
                (!path.is_empty() && !path.starts_with("//")).then(|| Self::Sqlite(PathBuf::from(path)))
            }
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&match self {
            Self::InDataFolder => String::new(),
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(url) => url.to_string(),
        }))
    }
}

/// An address that is reached by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpUrl(Url);

impl HttpUrl {
    /// The address without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Whether it is reached without encryption.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }
}

impl Setting for HttpUrl {
    const ALLOWED: &'static str =
        r#"an address such as "https://archive.example.org", without user, query or fragment"#;

    fn read(given: &Given) -> Option<Self> {
        bare_url(given, &["http", "https"]).map(Self)
    }

    fn written(&self) -> Option<String> {
        Some(quoted(self.as_str()))
    }
}

/// An address that is reached by Arrow Flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlightUrl(Url);

impl FlightUrl {
    /// The address as a Flight location.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

impl Setting for FlightUrl {
    const ALLOWED: &'static str =
        r#"an address such as "grpc://archive.example.org:8815" or "grpc+tls://archive.example.org:443""#;

    fn read(given: &Given) -> Option<Self> {
        bare_url(given, &["grpc", "grpc+tcp", "grpc+tls"])
            .filter(|url| url.port().is_some() && matches!(url.path(), "" | "/"))
            .map(Self)
    }

    fn written(&self) -> Option<String> {
        Some(quoted(self.as_str()))
    }
}

/// The region of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region(String);

impl Region {
    /// Its name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Region {
    const ALLOWED: &'static str = r#"the name of a region, such as "us-east-1""#;

    fn read(given: &Given) -> Option<Self> {
        let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let text = given.text().filter(|text| !text.is_empty() && text.chars().all(is_of_a_name))?;
        Some(Self(text.to_owned()))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// A URL of one of `schemes` with a host, and with nothing that a base address has no use for.
fn bare_url(given: &Given, schemes: &[&str]) -> Option<Url> {
    let url = Url::parse(given.text()?).ok()?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.host_str().is_some_and(|host| !host.is_empty());
    (schemes.contains(&url.scheme()) && is_bare).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::{
        super::values::tests::{canonical, read},
        *,
    };

    #[test]
    fn a_store_is_a_folder_or_a_bucket_with_a_prefix() {
        assert_eq!(read("data/sky"), Some(StoreUrl::Folder("data/sky".into())));
        let s3 =
            |bucket: &str, prefix: &str| Some(StoreUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        assert_eq!(read("s3://sky"), s3("sky", ""));
        assert_eq!(read("s3://sky/dr3/hats/"), s3("sky", "dr3/hats"));
        assert_eq!(read("./a:b"), Some(StoreUrl::Folder("./a:b".into())));
        for wrong in [
            "",
            "s3://",
            "s3:///x",
            "s3://a b/x",
            "s3:/sky",
            "s3:sky",
            "file:/sky",
            "gs://sky",
            "https://sky.example.org",
        ] {
            assert_eq!(read::<StoreUrl>(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_metadata_database_is_an_sqlite_file_or_on_a_server() {
        assert_eq!(read(""), Some(MetadataUrl::InDataFolder));
        assert_eq!(read("sqlite:a/b.db"), Some(MetadataUrl::Sqlite("a/b.db".into())));
        for server in ["postgres://a@db.example.org/almagest", "postgresql://db:6543/a?sslmode=verify-full"] {
            assert_eq!(canonical::<MetadataUrl>(server), Some(quoted(server)));
        }
        for wrong in [
            "a.db",
            "sqlite:",
            "sqlite://a.db",
            "postgres://localhost",
            "postgres://localhost/",
            "postgres:///almagest",
            "postgres://host/a/b",
            "postgres://host/a?password=hunter2",
            "postgresqlx://host/a",
            "postgres:a.db",
        ] {
            assert_eq!(read::<MetadataUrl>(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_password_of_a_database_never_shows_itself() {
        let url = "postgres://a:hunter2@db:6543/almagest?sslmode=require";
        let Some(MetadataUrl::Postgres(read)) = read(url) else { panic!("{url}") };
        for shown in [format!("{read}"), format!("{read:?}"), canonical::<MetadataUrl>(url).unwrap_or_default()] {
            assert!(!shown.contains("hunter2") && shown.contains("a:***@db"), "{shown}");
        }
        assert_eq!(read.with_password(None), url);
        assert_eq!(read.with_password(Some("p@ss/")), "postgres://a:p%40ss%2F@db:6543/almagest?sslmode=require");
    }

    #[test]
    fn addresses_have_the_scheme_of_their_door() {
        assert_eq!(canonical::<HttpUrl>("https://a.example.org/").as_deref(), Some("\"https://a.example.org\""));
        assert_eq!(canonical::<HttpUrl>("http://[::1]:80/x").as_deref(), Some("\"http://[::1]/x\""));
        for wrong in ["a.example.org", "ftp://a.example.org", "https://u:p@a.example.org", "https://a.example.org?x"] {
            assert_eq!(read::<HttpUrl>(wrong), None, "{wrong:?}");
        }
        assert_eq!(canonical::<FlightUrl>("grpc+tls://a.org:443").as_deref(), Some("\"grpc+tls://a.org:443\""));
        for wrong in ["https://a.org:443", "grpc://a.org", "grpc://a.org:1/x"] {
            assert_eq!(read::<FlightUrl>(wrong), None, "{wrong:?}");
        }
        assert!(read::<SocketAddr>("127.0.0.1:0").is_some());
        assert!(read::<SocketAddr>("127.0.0.1").is_none());
        assert!(read::<SocketAddr>("localhost:8080").is_none());
    }
}
