//! Every section and key, once: its meaning, its type (which says what is allowed) and its default.
//!
//! To add a key, add it here and use it; it then appears in `almagest config`, in the environment and on the page for
//! operators. A key that nothing uses does not belong here.

use std::{net::SocketAddr, num::NonZeroU64, time::Duration};

use super::{
    error::ConfigError,
    places::{FlightUrl, HttpUrl, MetadataUrl, Region, StoreUrl},
    schema::{Preset, configuration},
    values::{ByteSize, LogFilter, LogFormat, Secret, Threads},
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

    /// Where tables, columns, users and jobs are described: a small relational database.
    metadata: Metadata {
        /// An SQLite file. Left empty, it is `almagest.db` inside the folder of store.url.
        url: MetadataUrl = Preset::Value(r#""""#);
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
        /// How many threads run queries; 0 is one for each core.
        threads: Threads = Preset::Value("0");
    }

    /// How files become catalogues.
    import: Import {
        /// A partition of the sky with more rows than this is split in four.
        max_rows_per_partition: NonZeroU64 = Preset::Value("1_000_000");
        /// The memory for rows on their way to their partitions; beyond it, they wait on the local disk.
        memory: ByteSize = Preset::Value(r#""2GiB""#);
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

impl Config {
    /// Where the metadata database is: `sqlite:PATH`.
    pub(crate) fn metadata_url(&self) -> Result<String, ConfigError> {
        let file = match (&self.metadata.url, &self.store.url) {
            (MetadataUrl::Sqlite(path), _) => path.clone(),
            (MetadataUrl::InDataFolder, StoreUrl::Folder(folder)) => folder.join("almagest.db"),
            (MetadataUrl::InDataFolder, StoreUrl::S3 { .. }) => {
                return Err(ConfigError::MetadataNowhere);
            }
        };
        Ok(format!("sqlite:{}", file.display()))
    }

    /// Whether the keys fit together; each alone is known to be good.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.metadata_url()?;
        if self.query.default_maxrec > self.query.max_maxrec {
            return Err(ConfigError::MaxrecOrder { default: self.query.default_maxrec, max: self.query.max_maxrec });
        }
        if self.store.endpoint.as_ref().is_some_and(HttpUrl::is_plain) && !self.store.allow_http {
            return Err(ConfigError::PlainEndpoint);
        }
        match (&self.store.access_key_id, &self.store.secret_access_key) {
            (Some(_), None) => Err(ConfigError::HalfAnAccount { set: "access_key_id", missing: "secret_access_key" }),
            (None, Some(_)) => Err(ConfigError::HalfAnAccount { set: "secret_access_key", missing: "access_key_id" }),
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
        let url = |text: &str| config(text).and_then(|config| config.metadata_url().map_err(|error| error.to_string()));
        let beside = url("store.url = '/srv/sky'");
        assert_eq!(beside.as_deref(), Ok("sqlite:/srv/sky/almagest.db"));
        let elsewhere = "store.url = 's3://sky'\nmetadata.url = 'sqlite:/var/lib/almagest.db'";
        assert_eq!(url(elsewhere).as_deref(), Ok("sqlite:/var/lib/almagest.db"));
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused_by_name() {
        for (text, keys) in [
            ("store.url = 's3://sky'", ["metadata.url", "store.url"]),
            ("query.default_maxrec = 10\nquery.max_maxrec = 9", ["query.default_maxrec", "query.max_maxrec"]),
            ("store.endpoint = 'http://127.0.0.1:3900'", ["store.endpoint", "store.allow_http"]),
        ] {
            let refusal = config(text).expect_err(text);
            assert!(keys.iter().all(|key| refusal.contains(key)), "{refusal}");
        }
        config("store.endpoint = 'http://127.0.0.1:3900'\nstore.allow_http = true").expect("plain http is allowed");
        config("store.endpoint = 'https://s3.example.org'").expect("https is always allowed");
    }
}
