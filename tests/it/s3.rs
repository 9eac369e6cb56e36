//! The S3 server that the tests are given, seen through the fault proxy by the client library that Almagest uses.

use std::net::SocketAddr;
use std::time::Duration;

use fault_proxy::{Fault, FaultProxy, Rule, Tally, When};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, RetryConfig};

use crate::harness::S3;

/// Eight megabytes that compress badly and repeat nowhere.
fn payload() -> Vec<u8> {
    (0..1_u64 << 20).flat_map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect()
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
