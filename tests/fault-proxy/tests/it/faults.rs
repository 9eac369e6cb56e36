//! The faults, one by one.

use std::time::{Duration, Instant};

use fault_proxy::{Fault, FaultProxy, Rule, Tally, When};
use hyper::Method;

use crate::origin::{GET, Origin, converse};

async fn proxied(rule: Rule) -> (Origin, FaultProxy) {
    let origin = Origin::start().await;
    let proxy = FaultProxy::start(origin.address, vec![rule], 0).await.unwrap();
    (origin, proxy)
}

#[tokio::test]
async fn latency_delays_the_answer_and_nothing_else() {
    let wait = Duration::from_millis(150);
    let (_origin, proxy) = proxied(Rule::new(Fault::Latency(wait))).await;
    let begun = Instant::now();
    let reading = converse(proxy.address(), GET).await;
    assert!(begun.elapsed() >= wait, "answered after {:?}", begun.elapsed());
    assert_eq!(reading.body(), "0123456789");
    assert_eq!(proxy.tally(), Tally { requests: 1, answered: 1, latency: 1, ..Tally::default() });
}

#[tokio::test]
async fn slow_down_is_said_in_the_words_of_s3_and_the_server_is_spared() {
    let (origin, proxy) = proxied(Rule::new(Fault::SlowDown).when(When::First(1))).await;
    let body = "x".repeat(1 << 20);
    let put = format!(
        "PUT /bucket/key HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let reading = converse(proxy.address(), &put).await;
    assert!(reading.end.is_ok(), "{:?}", reading.end);
    assert!(reading.text.starts_with("HTTP/1.1 503 Service Unavailable"), "{reading:?}");
    assert!(reading.text.contains("content-type: application/xml"));
    assert!(reading.body().contains("<Code>SlowDown</Code>"));
    assert!(origin.received().is_empty());

    assert_eq!(converse(proxy.address(), GET).await.body(), "0123456789");
    assert_eq!(proxy.tally(), Tally { requests: 2, answered: 1, slow_down: 1, ..Tally::default() });
}

#[tokio::test]
async fn a_reset_request_never_reaches_the_server() {
    let (origin, proxy) = proxied(Rule::new(Fault::ResetRequest)).await;
    let reading = converse(proxy.address(), GET).await;
    assert!(reading.was_reset(), "{reading:?}");
    assert_eq!(reading.text, "");
    assert!(origin.received().is_empty());
    assert_eq!(proxy.tally(), Tally { requests: 1, reset_request: 1, ..Tally::default() });
}

#[tokio::test]
async fn a_reset_before_the_headers_hides_that_the_request_was_carried_out() {
    let (origin, proxy) = proxied(Rule::new(Fault::ResetBeforeHeaders)).await;
    let reading = converse(proxy.address(), GET).await;
    assert!(reading.was_reset(), "{reading:?}");
    assert_eq!(reading.text, "");
    assert_eq!(origin.received().len(), 1);
    assert_eq!(proxy.tally(), Tally { requests: 1, answered: 1, reset_before_headers: 1, ..Tally::default() });
}

#[tokio::test]
async fn a_reset_after_the_headers_lets_so_many_bytes_through() {
    let (_origin, proxy) = proxied(Rule::new(Fault::ResetAfterHeaders(4))).await;
    let reading = converse(proxy.address(), GET).await;
    assert!(reading.was_reset(), "{reading:?}");
    assert!(reading.text.contains("content-length: 10"));
    assert_eq!(reading.body(), "0123");
    assert_eq!(proxy.tally().reset_after_headers, 1);
}

#[tokio::test]
async fn a_truncated_body_ends_in_good_order_before_its_length_is_reached() {
    for (kept, expected) in [(0, ""), (7, "0123456"), (10, "012345678"), (1_000, "012345678")] {
        let (_origin, proxy) = proxied(Rule::new(Fault::TruncateBody(kept))).await;
        let reading = converse(proxy.address(), GET).await;
        assert!(reading.end.is_ok(), "{:?}", reading.end);
        assert!(reading.text.contains("content-length: 10"));
        assert_eq!(reading.body(), expected, "keeping {kept} bytes");
        assert_eq!(proxy.tally().truncated, 1);
    }
}

#[tokio::test]
async fn a_large_body_is_cut_at_the_very_byte() {
    let (_origin, proxy) = proxied(Rule::new(Fault::TruncateBody(3_000_001))).await;
    let reading = converse(proxy.address(), &GET.replace("/bucket/key", "/bytes/8000000")).await;
    assert!(reading.end.is_ok(), "{:?}", reading.end);
    assert_eq!(reading.body().len(), 3_000_001);
}

#[tokio::test]
async fn an_answer_without_a_body_is_not_truncated() {
    let (_origin, proxy) = proxied(Rule::new(Fault::TruncateBody(0))).await;
    let head = GET.replace("GET", "HEAD");
    let reading = converse(proxy.address(), &head).await;
    assert!(reading.text.starts_with("HTTP/1.1 200 OK"), "{reading:?}");
    assert!(reading.text.ends_with("\r\n\r\n"));
    assert_eq!(proxy.tally().truncated, 0);
}

#[tokio::test]
async fn a_wrong_etag_comes_with_the_right_body() {
    let (_origin, proxy) = proxied(Rule::new(Fault::WrongETag).method(Method::GET).when(When::First(1))).await;
    let reading = converse(proxy.address(), GET).await;
    assert!(!reading.text.contains("etag: \"true\""), "{reading:?}");
    assert_eq!(reading.text.matches("etag:").count(), 1);
    assert_eq!(reading.body(), "0123456789");
    assert!(converse(proxy.address(), GET).await.text.contains("etag: \"true\""));
    assert_eq!(proxy.tally().wrong_etag, 1);
}

#[tokio::test]
async fn new_rules_replace_the_old_ones() {
    let (_origin, proxy) = proxied(Rule::new(Fault::SlowDown)).await;
    assert!(converse(proxy.address(), GET).await.text.starts_with("HTTP/1.1 503"));
    proxy.set_rules(vec![], 0);
    assert!(converse(proxy.address(), GET).await.text.starts_with("HTTP/1.1 200"));
    assert_eq!(proxy.tally().faults(), 1);
}
