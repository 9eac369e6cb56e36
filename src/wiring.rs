//! The rooms, opened as the configuration says and joined to each other.

use catalogs::{CatalogStore, StoreOptions};
use engine::{Engine, EngineOptions};
use jobs::Jobs;
use metadata::Metadata;

use crate::{
    config::{Config, StoreUrl},
    failure::Failure,
};

/// Refuses to look into what is not there: the stores below are made where they are missing, and a look makes nothing.
pub(crate) fn expect_data(config: &Config) -> Result<(), Failure> {
    let missing = match &config.store.url {
        StoreUrl::Folder(folder) if !folder.is_dir() => format!("data folder {}", folder.display()),
        _ => match config.metadata_file()? {
            file if !file.exists() => format!("metadata database {}", file.display()),
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

/// The metadata database.
pub(crate) async fn metadata(config: &Config) -> Result<Metadata, Failure> {
    Ok(Metadata::open(&format!("sqlite:{}", config.metadata_file()?.display())).await?)
}

/// What runs queries.
pub(crate) async fn jobs(config: &Config) -> Result<Jobs, Failure> {
    let engine = Engine::new(EngineOptions {
        memory: usize::try_from(config.query.memory.bytes()).unwrap_or(usize::MAX),
        threads: config.query.threads.count(),
    })?;
    Ok(Jobs::new(engine, metadata(config).await?, store(config)?))
}
