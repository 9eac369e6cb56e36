//! The S3 server that the tests are given, seen through the fault proxy: first by the client library that Almagest uses, for
//! what that can do and cannot, then by Almagest's own store.

use std::net::SocketAddr;
use std::time::Duration;

use catalogs::{CatalogStore, StoreOptions};
use fault_proxy::{Fault, FaultProxy, Rule, Tally, When};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, RetryConfig};

use crate::harness::S3;
use crate::store::conformance::{bytes, conforms};

/// Eight megabytes.
fn payload() -> Vec<u8> {
    bytes(8 << 20)
}

/// The proxy before the S3 server, and a client that knows of the proxy only.
async fn through_a_proxy(s3: &S3, rules: Vec<Rule>) -> (FaultProxy, AmazonS3) {
    let upstream: SocketAddr = s3.endpoint.trim_start_matches("http://").parse().unwrap();
    let proxy = FaultProxy::start(upstream, rules, 1).await.unwrap();
    let backoff = BackoffConfig { init_backoff: Duration::from_millis(5), ..BackoffConfig::default() };
    let retry = RetryConfig { backoff, max_retries: 8, retry_timeout: Duration::from_secs(30) };
    let store = AmazonS3Builder::new()
        .with_endpoint(proxy.url())
        .with_allow_http(true)
        .with_bucket_name(&s3.bucket)
        .with_region(&s3.region)
        .with_access_key_id(&s3.access_key_id)
        .with_secret_access_key(&s3.secret_access_key)
        .with_retry(retry)
        .build()
        .unwrap();
    (proxy, store)
}

/// A folder no other test writes to: the proxy's port is this test's alone.
fn own_folder(proxy: &FaultProxy) -> Path {
    Path::from(format!("fault-proxy/{}", proxy.address().port()))
}

#[tokio::test]
async fn a_signed_object_makes_the_round_trip_through_the_proxy() {
    let Some(s3) = S3::provided() else { return };
    let (proxy, store) = through_a_proxy(&s3, vec![]).await;
    let folder = own_folder(&proxy);
    let (path, payload) = (folder.clone().join("object"), payload());
    store.put(&path, payload.clone().into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), payload);
    assert_eq!(store.get_range(&path, 4_000_000..4_000_100).await.unwrap(), payload[4_000_000..4_000_100]);
    let listed: Vec<_> = store.list(Some(&folder)).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    store.delete(&path).await.unwrap();
    assert!(matches!(store.head(&path).await, Err(object_store::Error::NotFound { .. })));
    assert_eq!(proxy.tally().faults(), 0);
}

#[tokio::test]
async fn a_put_and_a_get_survive_slow_downs_and_resets() {
    let Some(s3) = S3::provided() else { return };
    let twice = |fault| Rule::new(fault).when(When::First(2));
    let rules = || vec![twice(Fault::SlowDown), twice(Fault::ResetRequest), twice(Fault::ResetBeforeHeaders)];
    let (proxy, store) = through_a_proxy(&s3, rules()).await;
    let (path, payload) = (own_folder(&proxy).join("object"), payload());

    store.put(&path, payload.clone().into()).await.unwrap();
    let put =
        Tally { slow_down: 2, reset_request: 2, reset_before_headers: 2, requests: 7, answered: 3, ..Tally::default() };
    assert_eq!(proxy.tally(), put);

    proxy.set_rules(rules(), 1);
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), payload);
    assert_eq!(proxy.tally().faults(), 12);
}

#[tokio::test]
async fn a_get_survives_truncated_bodies_and_resets_in_the_middle() {
    let Some(s3) = S3::provided() else { return };
    let (proxy, store) = through_a_proxy(&s3, vec![]).await;
    let (path, payload) = (own_folder(&proxy).join("object"), payload());
    store.put(&path, payload.clone().into()).await.unwrap();
    for fault in [Fault::TruncateBody(3_000_000), Fault::ResetAfterHeaders(3_000_000)] {
        proxy.set_rules(vec![Rule::new(fault.clone()).when(When::First(2))], 1);
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), payload, "{fault:?}");
    }
    let tally = proxy.tally();
    assert_eq!((tally.truncated, tally.reset_after_headers), (2, 2));
}

/// Our own store on the S3 server behind a proxy.
async fn store_through_a_proxy(s3: &S3, rules: Vec<Rule>) -> (FaultProxy, CatalogStore) {
    let upstream: SocketAddr = s3.endpoint.trim_start_matches("http://").parse().unwrap();
    let proxy = FaultProxy::start(upstream, rules, 7).await.unwrap();
    let store = CatalogStore::open(&options(s3, &proxy.url(), proxy.address().port())).unwrap();
    (proxy, store)
}

fn options(s3: &S3, endpoint: &str, folder: u16) -> StoreOptions {
    StoreOptions {
        url: format!("s3://{}/stores/{folder}", s3.bucket),
        endpoint: Some(endpoint.to_owned()),
        region: Some(s3.region.clone()),
        access_key_id: Some(s3.access_key_id.clone()),
        secret_access_key: Some(s3.secret_access_key.clone()),
        allow_http: true,
    }
}

#[tokio::test]
async fn a_bucket_conforms_as_a_folder_does() {
    let Some(s3) = S3::provided() else { return };
    let (proxy, store) = store_through_a_proxy(&s3, vec![]).await;
    conforms(&store, "catalogs").await;
    assert_eq!(proxy.tally().faults(), 0);
}

#[tokio::test]
async fn a_bucket_that_fails_every_fifth_request_conforms_as_well() {
    let Some(s3) = S3::provided() else { return };
    let rule = |fault, chance| Rule::new(fault).when(When::Chance(chance));
    let rules = vec![
        rule(Fault::Latency(Duration::from_millis(30)), 0.05),
        rule(Fault::SlowDown, 0.06),
        rule(Fault::ResetRequest, 0.03),
        rule(Fault::ResetBeforeHeaders, 0.03),
        rule(Fault::ResetAfterHeaders(500), 0.03),
        rule(Fault::TruncateBody(500), 0.03),
        rule(Fault::WrongETag, 0.03),
    ];
    let (proxy, store) = store_through_a_proxy(&s3, rules).await;
    conforms(&store, "catalogs").await;
    let tally = proxy.tally();
    assert!(tally.faults() * 6 > tally.requests, "too few faults to prove anything: {tally:?}");
}

#[tokio::test]
async fn an_upload_whose_parts_cannot_be_trusted_is_aborted_each_time() {
    let Some(s3) = S3::provided() else { return };
    let damaged = Rule::new(Fault::WrongETag).path_contains("partNumber");
    let (proxy, store) = store_through_a_proxy(&s3, vec![damaged]).await;
    let error = store.put("large", bytes(9 << 20)).await.unwrap_err().to_string();
    assert!(error.contains("/large: "), "{error}");
    // Four times: begun, two parts, ended in vain, looked for, aborted.
    let tally = proxy.tally();
    assert_eq!((tally.wrong_etag, tally.requests), (8, 24), "{error}");
    proxy.set_rules(vec![], 0);
    assert!(!store.exists("large").await.unwrap());
}

#[tokio::test]
async fn an_upload_whose_success_was_not_heard_is_a_success() {
    let Some(s3) = S3::provided() else { return };
    let unheard = Rule::new(Fault::ResetBeforeHeaders).path_contains("uploadId").method(hyper::Method::POST);
    let (proxy, store) = store_through_a_proxy(&s3, vec![unheard.when(When::First(1))]).await;
    store.put("large", bytes(9 << 20)).await.unwrap();
    assert_eq!(proxy.tally().reset_before_headers, 1);
    assert!(store.get("large").await.unwrap() == bytes(9 << 20));
    store.delete("large").await.unwrap();
}

#[tokio::test]
async fn a_missing_bucket_a_wrong_key_and_an_absent_service_are_told_apart() {
    let Some(s3) = S3::provided() else { return };
    let with = |change: fn(&mut StoreOptions)| {
        let mut options = options(&s3, &s3.endpoint, 0);
        change(&mut options);
        CatalogStore::open(&options).unwrap()
    };
    let missing = with(|options| options.url = "s3://no-such-bucket/x".into());
    let sentence = missing.get("y").await.unwrap_err().to_string();
    assert!(sentence.starts_with("s3://no-such-bucket/x/y: "), "{sentence}");
    assert!(sentence.contains("there is no bucket 'no-such-bucket' at http://127.0.0.1:"), "{sentence}");

    for change in [
        |options: &mut StoreOptions| options.secret_access_key = Some("0".repeat(64)),
        |options: &mut StoreOptions| (options.access_key_id, options.secret_access_key) = (None, None),
    ] {
        let error = with(change).get("y").await.unwrap_err();
        assert!(error.is_denied() && error.to_string().contains("denies access"), "{error}");
    }
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = CatalogStore::open(&options(&s3, &format!("http://{free}"), 0)).unwrap();
    let sentence = nobody.put("y", vec![1]).await.unwrap_err().to_string();
    assert!(sentence.contains(&format!("http://{free} cannot be reached: ")), "{sentence}");
}
