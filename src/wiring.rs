//! The rooms, opened as the configuration says and joined to each other.

use std::path::PathBuf;

use catalogs::{CatalogStore, Remote, StoreOptions};
use engine::{Engine, EngineOptions};
use jobs::{Caller, Jobs, QueryLimits, ServedTable};
use metadata::Metadata;

use crate::{
    config::{ByteSize, Config, MetadataPlace, StoreUrl},
    failure::Failure,
    process,
};

/// Refuses to look into what is not there: the stores below are made where they are missing, and a look makes nothing.
pub(crate) fn expect_data(config: &Config) -> Result<(), Failure> {
    let missing = match &config.store.url {
        StoreUrl::Folder(folder) if !folder.is_dir() => format!("data folder {}", folder.display()),
        _ => match config.metadata_place()? {
            MetadataPlace::File(file) if !file.exists() => format!("metadata database {}", file.display()),
            _ => return Ok(()),
        },
    };
    Err(Failure::Refused(format!("there is no {missing}; `almagest quickstart` or `almagest import` makes one")))
}

/// The store of the catalogues.
pub(crate) fn store(config: &Config) -> Result<CatalogStore, Failure> {
    let store = &config.store;
    let url = match &store.url {
        StoreUrl::Folder(folder) => folder.to_string_lossy().into_owned(),
        StoreUrl::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
    };
    Ok(CatalogStore::open(&StoreOptions {
        url,
        endpoint: store.endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
        region: Some(store.region.as_str().to_owned()),
        access_key_id: store.access_key_id.as_ref().map(|secret| secret.reveal().to_owned()),
        secret_access_key: store.secret_access_key.as_ref().map(|secret| secret.reveal().to_owned()),
        allow_http: store.allow_http,
    })?)
}

/// The local folder for rows that wait: as configured, else beside the catalogues, where a finished file need not be
/// copied, else that of the system.
pub(crate) fn spill(config: &Config) -> PathBuf {
    match (&config.import.spill, &config.store.url) {
        (Some(folder), _) => folder.path().to_owned(),
        (None, StoreUrl::Folder(folder)) => folder.join("spill"),
        (None, StoreUrl::S3 { .. }) => std::env::temp_dir(),
    }
}

/// How places of others are reached.
pub(crate) fn remote(config: &Config) -> Remote {
    let remote = &config.remote;
    Remote {
        endpoint: remote.endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
        region: Some(remote.region.as_str().to_owned()),
        access_key_id: remote.access_key_id.as_ref().map(|secret| secret.reveal().to_owned()),
        secret_access_key: remote.secret_access_key.as_ref().map(|secret| secret.reveal().to_owned()),
        allow_http: remote.allow_http,
    }
}

/// The metadata database.
pub(crate) async fn metadata(config: &Config) -> Result<Metadata, Failure> {
    Ok(match config.metadata_place()? {
        MetadataPlace::File(path) => Metadata::open(&format!("sqlite:{}", path.display())).await?,
        MetadataPlace::Server(url) => Metadata::open(url.reveal()).await?,
    })
}

/// What runs queries over the tables that are published, for somebody.
pub(crate) async fn jobs(config: &Config, caller: Caller) -> Result<Jobs, Failure> {
    let (metadata, store) = (metadata(config).await?, store(config)?);
    let jobs = Jobs::new(engine(config)?, metadata, store, remote(config), process::name());
    Ok(as_configured(config, jobs).asked_by(caller))
}

/// What runs queries over these tables.
pub(crate) fn jobs_over(config: &Config, tables: Vec<ServedTable>) -> Result<Jobs, Failure> {
    Ok(as_configured(config, Jobs::over(engine(config)?, tables)?))
}

fn engine(config: &Config) -> Result<Engine, Failure> {
    let query = &config.query;
    Ok(Engine::new(EngineOptions {
        memory: memory(query.memory),
        threads: query.threads.count(),
        spill: query.spill.as_ref().map(|folder| folder.path().to_owned()),
        spill_bytes: query.spill_size.bytes(),
        ..EngineOptions::default()
    })?)
}

/// As many bytes of memory, or all that this machine can count.
fn memory(size: ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

fn as_configured(config: &Config, jobs: Jobs) -> Jobs {
    let query = &config.query;
    let limits = QueryLimits {
        max_rows: None, // each door has its own
        memory: query.memory_each.map(memory),
        max_bytes_read: query.max_read.map(ByteSize::bytes),
        deadline: query.deadline,
    };
    let default_schema = query.default_schema.as_ref().map(|schema| schema.as_str().to_owned());
    jobs.with_default_schema(default_schema).with_limits(limits)
}

/// The object that tells which metadata database a store belongs to.
const OWNER: &str = "almagest-store.json";

/// Marks a store as that of this metadata database, if it has no mark.
pub(crate) async fn mark_store(store: &CatalogStore, metadata: &Metadata) -> Result<(), Failure> {
    if !store.exists(OWNER).await? {
        store
            .put(OWNER, serde_json::json!({ "metadata": metadata.identity().await? }).to_string().into_bytes())
            .await?;
    }
    Ok(())
}

/// Refuses a store of another metadata database: what this one does not know may be served by the other.
pub(crate) async fn expect_own_store(store: &CatalogStore, metadata: &Metadata) -> Result<(), Failure> {
    let mark = if store.exists(OWNER).await? { store.get(OWNER).await?.to_vec() } else { Vec::new() };
    let mark: serde_json::Value = serde_json::from_slice(&mark).unwrap_or_default();
    if mark["metadata"] == metadata.identity().await? {
        return Ok(());
    }
    let url = store.url();
    Err(Failure::Refused(format!("the store at {url} belongs to another metadata database; nothing was deleted")))
}
