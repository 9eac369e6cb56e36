//! Opening distant places: buckets and web servers, with the patience that they need.
//!
//! A request is given two minutes, a connection ten seconds. What fails in passing (server errors, dropped connections) is
//! tried again by the client library, nine times in all, with exponential backoff and jitter; what it gives up, or does
//! not retry, [`Patient`] looks after.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig, aws::AmazonS3Builder, http::HttpBuilder, path::Path, prefix::PrefixStore,
};
use url::Url;

use super::{CatalogStore, Place, bad, patience::Patient};
use crate::CatalogError;

/// How long one request may take, its body included.
const REQUEST: Duration = Duration::from_secs(120);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// When the client library stops retrying a request.
const RETRY: Duration = Duration::from_secs(180);

/// How to reach a place of somebody else's. Without keys nothing is signed.
#[derive(Clone, Default)]
pub struct Remote {
    /// The endpoint of a service that speaks S3 but is not Amazon's.
    pub endpoint: Option<String>,
    /// The S3 region.
    pub region: Option<String>,
    /// S3 access key.
    pub access_key_id: Option<String>,
    /// S3 secret key.
    pub secret_access_key: Option<String>,
    /// Whether places without TLS are acceptable.
    pub allow_http: bool,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &self.secret_access_key.as_ref().map(|_| "***"))
            .field("allow_http", &self.allow_http)
            .finish()
    }
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(10),
        base: 3.0, // on average each wait is half as long again as the one before it
    };
    RetryConfig { backoff, max_retries: 8, retry_timeout: RETRY }
}

fn client(allow_http: bool) -> ClientOptions {
    ClientOptions::new().with_allow_http(allow_http).with_timeout(REQUEST).with_connect_timeout(CONNECT)
}

/// A bucket, or a folder in one.
pub(super) fn bucket(
    told: &str,
    bucket: &str,
    prefix: Path,
    remote: &Remote,
    read_only: bool,
) -> Result<CatalogStore, CatalogError> {
    if bucket.is_empty() {
        return Err(bad(told, "it names no bucket"));
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_client_options(client(remote.allow_http))
        .with_retry(retries());
    if let Some(endpoint) = &remote.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &remote.region {
        builder = builder.with_region(region);
    }
    let signed = match (&remote.access_key_id, &remote.secret_access_key) {
        (Some(id), Some(secret)) => {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            true
        }
        (None, None) => {
            builder = builder.with_skip_signature(true);
            false
        }
        _ => return Err(bad(told, "an access key needs both its id and its secret")),
    };
    let url = address(bucket, &prefix).map_err(|error| bad(told, error))?;
    let objects = builder.build().map_err(|error| bad(told, error))?;
    let service = remote.endpoint.clone().unwrap_or_else(|| "Amazon S3".to_owned());
    let identity = [url.as_str(), &service, remote.access_key_id.as_deref().unwrap_or_default()];
    Ok(CatalogStore {
        key: key_of(&identity),
        url,
        objects: Arc::new(PrefixStore::new(Patient::new(objects.clone()), prefix.clone())),
        place: Place::Bucket {
            name: bucket.to_owned(),
            service,
            signed,
            objects: Arc::new(PrefixStore::new(objects, prefix)),
        },
        read_only,
        writes: Arc::default(),
    })
}

/// The address of a folder in a bucket, which leads there again whatever its name is made of.
fn address(bucket: &str, prefix: &Path) -> Result<Url, url::ParseError> {
    let mut url = Url::parse(&format!("s3://{bucket}/"))?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(prefix.parts()).push("");
    }
    Ok(url)
}

/// A folder of a web server.
pub(super) fn web(mut url: Url, remote: &Remote) -> Result<CatalogStore, CatalogError> {
    if url.scheme() == "http" && !remote.allow_http {
        return Err(bad(
            url.as_str(),
            "it is a plain http address; use https, or allow it with remote.allow_http = true",
        ));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    // The client library adds a slash of its own before a path.
    let base = url.as_str().trim_end_matches('/');
    let objects = HttpBuilder::new()
        .with_url(base)
        .with_client_options(client(url.scheme() == "http"))
        .with_retry(retries())
        .build()
        .map_err(|error| bad(url.as_str(), error))?;
    Ok(CatalogStore {
        key: key_of(&[url.as_str()]),
        url,
        place: Place::Web,
        objects: Arc::new(Patient::new(objects)),
        read_only: true,
        writes: Arc::default(),
    })
}

/// What tells a store from others as long as this process runs.
pub(super) fn key_of(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreOptions;

    #[test]
    fn a_secret_is_not_printed() {
        let remote = Remote { secret_access_key: Some("hush".into()), ..Remote::default() };
        let options = StoreOptions { secret_access_key: Some("hush".into()), ..StoreOptions::default() };
        for text in [format!("{remote:?}"), format!("{options:?}")] {
            assert!(text.contains("***") && !text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn an_address_with_more_than_a_path_is_refused_and_its_secrets_are_not_repeated() {
        let refusal = |url: &str| CatalogStore::read_only(url, &Remote::default()).unwrap_err().to_string();
        for url in
            ["https://me:hush@host/x", "s3://id:hush@bucket/x", "https://host/x?token=hush", "s3://bucket/x#hush"]
        {
            let sentence = refusal(url);
            assert!(!sentence.contains("hush") && sentence.contains("/x'"), "{sentence}");
        }
        assert!(refusal("file:///data/a#1").contains("write # as %23"));
        assert!(refusal("http://host/x").contains("remote.allow_http = true"));
    }

    #[test]
    fn the_address_of_a_folder_in_a_bucket_leads_there_again() {
        for prefix in
            ["s3://bucket/100%25/a%2520b", "s3://bucket/a%23b/c%3Fd/%C3%BC%20x", "s3://bucket", "s3://bucket/x/"]
        {
            let store = CatalogStore::read_only(prefix, &Remote::default()).unwrap();
            let again = CatalogStore::read_only(store.url().as_str(), &Remote::default()).unwrap();
            assert_eq!(again.url(), store.url());
            assert_eq!(again.key(), store.key());
            assert!(store.url().as_str().ends_with('/') && store.url().fragment().is_none(), "{}", store.url());
        }
        let store = CatalogStore::read_only("s3://bucket/a%2520b", &Remote::default()).unwrap();
        assert_eq!(store.url().as_str(), "s3://bucket/a%2520b/");
        assert!(format!("{:?}", store.objects()).contains("a%20b"), "{:?}", store.objects());
    }

    #[test]
    fn two_services_with_a_bucket_of_one_name_are_two_stores() {
        let at = |endpoint: &str| {
            let remote = Remote { endpoint: Some(endpoint.into()), allow_http: true, ..Remote::default() };
            CatalogStore::read_only("s3://bucket/a%20b", &remote).unwrap()
        };
        let (one, other) = (at("http://127.0.0.1:1"), at("http://127.0.0.1:2"));
        assert_eq!(one.url(), other.url());
        assert_eq!(one.url().as_str(), "s3://bucket/a%20b/");
        assert_ne!(one.key(), other.key());
        assert_eq!(one.key(), at("http://127.0.0.1:1").key());
    }
}
