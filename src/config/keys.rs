//! Every section and key, once: its meaning, its type (which says what is allowed) and its default.
//!
//! To add a key, add it here and use it; it then appears in `almagest config`, in the environment and on the page for
//! operators. A key that nothing uses does not belong here.

use std::{net::SocketAddr, num::NonZeroU64, path::PathBuf, time::Duration};

use super::{
    error::ConfigError,
    layers::Origin,
    places::{FlightUrl, HttpUrl, LocalFolder, MetadataUrl, Region, StoreUrl},
    schema::{Preset, configuration},
    values::{ByteSize, LogFilter, LogFormat, SchemaName, Secret, Threads},
};

configuration! {
    /// Where the catalogues are: the Parquet files and what is needed to reach them.
    store: Store {
        /// A local folder, or a bucket of an S3-compatible object store with a prefix in it.
        url: StoreUrl = Preset::Value(r#""almagest-data""#);
        /// The address of an S3-compatible store; without it, Amazon's own for the region.
        endpoint: Option<HttpUrl> = Preset::Unset { example: r#""https://s3.example.org""# };
        /// The region of the bucket; what a store without regions calls itself.
        region: Region = Preset::Value(r#""us-east-1""#);
        /// The name of the account at the object store.
        access_key_id: Option<Secret> = Preset::Secret;
        /// The secret of the account at the object store.
        secret_access_key: Option<Secret> = Preset::Secret;
        /// Whether the endpoint may be plain http, over which anybody on the way can read.
        allow_http: bool = Preset::Value("false");
    }

    /// How places of others are reached: sources of imports and attached catalogues at `s3://`. Where nothing is set here,
    /// the public buckets of Amazon, without an account.
    remote: Remote {
        /// The address of an S3-compatible store; without it, Amazon's own for the region.
        endpoint: Option<HttpUrl> = Preset::Unset { example: r#""https://s3.example.org""# };
        /// The region of the buckets.
        region: Region = Preset::Value(r#""us-east-1""#);
        /// The name of the account at the object store; without it, buckets are read as anybody may.
        access_key_id: Option<Secret> = Preset::Secret;
        /// The secret of the account at the object store.
        secret_access_key: Option<Secret> = Preset::Secret;
        /// Whether sources and catalogues may be at plain http addresses.
        allow_http: bool = Preset::Value("false");
    }

    /// The small relational database, which keeps which version of which table is served, who may see it, users and jobs.
    metadata: Metadata {
        /// An SQLite file, for one host, or a database of PostgreSQL 14 or newer, for many. Left empty, it is the file
        /// `almagest.db` inside the folder of store.url.
        url: MetadataUrl = Preset::Value(r#""""#);
        /// The password at PostgreSQL.
        password: Option<Secret> = Preset::Secret;
    }

    /// The door of the Virtual Observatory: TAP over HTTP.
    http: Http {
        /// The address and port to listen on.
        listen: SocketAddr = Preset::Value(r#""127.0.0.1:8080""#);
        /// The address that clients use, where a proxy stands before this one.
        public_url: Option<HttpUrl> = Preset::Unset { example: r#""https://archive.example.org""# };
    }

    /// The fast door: Arrow Flight SQL.
    flight: Flight {
        /// The address and port to listen on.
        listen: SocketAddr = Preset::Value(r#""127.0.0.1:8815""#);
        /// The address that clients use, where a proxy stands before this one.
        public_url: Option<FlightUrl> = Preset::Unset { example: r#""grpc+tls://archive.example.org:443""# };
    }

    /// What one query may take, and all of them together.
    query: Query {
        /// The most rows of an answer where the caller does not say (MAXREC).
        default_maxrec: NonZeroU64 = Preset::Value("1_000_000");
        /// The most rows that a caller may ask for (MAXREC).
        max_maxrec: NonZeroU64 = Preset::Value("100_000_000");
        /// The memory that all running queries share; one that needs more spills to disk or is refused.
        memory: ByteSize = Preset::Value(r#""4GiB""#);
        /// The memory of it that one query may have; without it, what the others leave.
        memory_each: Option<ByteSize> = Preset::Unset { example: r#""1GiB""# };
        /// The local folder for what does not fit in memory; without it, the system's for temporary files.
        spill: Option<LocalFolder> = Preset::Unset { example: r#""/var/tmp""# };
        /// The room that all running queries together may take there; one that needs more is ended.
        spill_size: ByteSize = Preset::Value(r#""64GiB""#);
        /// How long one query may take, from its beginning to its last row; without it, as long as it takes.
        deadline: Option<Duration> = Preset::Unset { example: r#""1h""# };
        /// How much of the files of catalogues one query may read; one that must read more is refused before it begins.
        max_read: Option<ByteSize> = Preset::Unset { example: r#""1TiB""# };
        /// How many threads run queries; 0 is one for each core.
        threads: Threads = Preset::Value("0");
        /// The schema whose tables may be named without it, also where another schema has a table of the same name. A name
        /// that only one table has needs no schema anyway.
        default_schema: Option<SchemaName> = Preset::Unset { example: r#""survey""# };
    }

    /// How files become catalogues.
    import: Import {
        /// A partition of the sky with more rows than this is split in four.
        max_rows_per_partition: NonZeroU64 = Preset::Value("1_000_000");
        /// The memory of an import; beyond it, rows wait on the local disk.
        memory: ByteSize = Preset::Value(r#""2GiB""#);
        /// The local folder where they wait; without it, `spill` inside the folder of store.url, or the system's folder for
        /// temporary files where the store is a bucket. It may need as much room as the rows take in memory.
        spill: Option<LocalFolder> = Preset::Unset { example: r#""/var/tmp""# };
    }

    /// The log, on stderr.
    log: Log {
        /// How a line looks.
        format: LogFormat = Preset::Value(r#""human""#);
        /// How much is logged: a level, or directives that give single modules another one. Where nothing is set, the
        /// commands that do not serve log warnings only.
        level: LogFilter = Preset::Value(r#""info""#);
    }

    /// How the service ends on SIGTERM or SIGINT.
    shutdown: Shutdown {
        /// How long what is running may take to finish before it is cut off.
        drain: Duration = Preset::Value(r#""10s""#);
    }
}

/// Where the metadata database is.
pub(crate) enum MetadataPlace {
    /// In this SQLite file.
    File(PathBuf),
    /// On a PostgreSQL server, at this address, with its password.
    Server(Secret),
}

impl Config {
    /// Where the metadata database is.
    pub(crate) fn metadata_place(&self) -> Result<MetadataPlace, ConfigError> {
        match (&self.metadata.url, &self.store.url) {
            (MetadataUrl::Postgres(url), _) => {
                let password = self.metadata.password.as_ref().map(Secret::reveal);
                Ok(MetadataPlace::Server(url.with_password(password).into()))
            }
            (MetadataUrl::Sqlite(path), _) => Ok(MetadataPlace::File(path.clone())),
            (MetadataUrl::InDataFolder, StoreUrl::Folder(folder)) => {
                Ok(MetadataPlace::File(folder.join("almagest.db")))
            }
            (MetadataUrl::InDataFolder, StoreUrl::S3 { .. }) => Err(ConfigError::MetadataNowhere),
        }
    }

    /// Whether the keys fit together; each alone is known to be good. `origin` tells where `section.key` was set.
    pub(super) fn check(&self, origin: impl Fn(&str, &str) -> Origin) -> Result<(), ConfigError> {
        self.metadata_place()?;
        let Query { default_maxrec, max_maxrec, .. } = self.query;
        if default_maxrec > max_maxrec {
            return Err(ConfigError::MaxrecOrder {
                default: default_maxrec,
                default_origin: origin("query", "default_maxrec"),
                max: max_maxrec,
                max_origin: origin("query", "max_maxrec"),
            });
        }
        if self.store.endpoint.as_ref().is_some_and(HttpUrl::is_plain) && !self.store.allow_http {
            return Err(ConfigError::PlainEndpoint { origin: origin("store", "endpoint") });
        }
        let half = |set, missing| Err(ConfigError::HalfAnAccount { set, origin: origin("store", set), missing });
        match (&self.store.access_key_id, &self.store.secret_access_key) {
            (Some(_), None) => half("access_key_id", "secret_access_key"),
            (None, Some(_)) => half("secret_access_key", "access_key_id"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::layers::Effective, *};

    fn config(text: &str) -> Result<Config, String> {
        Effective::of(Some(("almagest.toml".as_ref(), text)), [], &[])
            .map(|effective| effective.config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_metadata_are_in_the_data_folder_unless_they_are_put_elsewhere() {
        let file = |text: &str| {
            let place = config(text).and_then(|config| config.metadata_place().map_err(|error| error.to_string()));
            place.map(|place| match place {
                MetadataPlace::File(file) => file.display().to_string(),
                MetadataPlace::Server(url) => url.reveal().to_owned(),
            })
        };
        let beside = file("store.url = '/srv/sky'");
        assert_eq!(beside.as_deref(), Ok("/srv/sky/almagest.db"));
        let elsewhere = "store.url = 's3://sky'\nmetadata.url = 'sqlite:/var/lib/almagest.db'";
        assert_eq!(file(elsewhere).as_deref(), Ok("/var/lib/almagest.db"));
        let server = "store.url = 's3://sky'\nmetadata.url = 'postgres://a:b@db/almagest'";
        assert_eq!(file(server).as_deref(), Ok("postgres://a:b@db/almagest"));
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused_by_name_and_place() {
        for (text, parts) in [
            ("store.url = 's3://sky'", ["metadata.url", "store.url"]),
            (
                "query.max_maxrec = 9",
                ["query.default_maxrec is 1000000 (default)", "query.max_maxrec, 9 (almagest.toml, line 1, column 20)"],
            ),
            (
                "store.endpoint = 'http://127.0.0.1:3900'",
                ["store.endpoint (almagest.toml, line 1, column 18)", "store.allow_http"],
            ),
        ] {
            let refusal = config(text).expect_err(text);
            assert!(parts.iter().all(|part| refusal.contains(part)), "{refusal}");
        }
        config("store.endpoint = 'http://127.0.0.1:3900'\nstore.allow_http = true").expect("plain http is allowed");
        config("store.endpoint = 'https://s3.example.org'").expect("https is always allowed");
    }
}
