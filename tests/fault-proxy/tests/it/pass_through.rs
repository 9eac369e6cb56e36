//! What the proxy must not touch.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fault_proxy::{FaultProxy, ProxyError, Tally};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::origin::{GET, Origin, converse};

#[tokio::test]
async fn a_signed_request_arrives_as_it_was_signed() {
    let origin = Origin::start().await;
    let proxy = FaultProxy::start(origin.address, vec![], 0).await.unwrap();
    let request = "PUT /bucket/a%20b%2Fc?x-id=PutObject&empty= HTTP/1.1\r\nHost: store.example:9000\r\n\
        Authorization: AWS4-HMAC-SHA256 Credential=k, SignedHeaders=host, Signature=s\r\n\
        x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let reading = converse(proxy.address(), request).await;
    assert!(reading.text.starts_with("HTTP/1.1 200 OK"), "{reading:?}");
    assert_eq!(reading.body(), "0123456789");

    let [received] = origin.received().try_into().unwrap();
    assert_eq!(received.target, "/bucket/a%20b%2Fc?x-id=PutObject&empty=");
    assert_eq!(received.headers["host"], "store.example:9000");
    assert_eq!(received.headers["authorization"], "AWS4-HMAC-SHA256 Credential=k, SignedHeaders=host, Signature=s");
    assert_eq!(received.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert_eq!(received.headers["content-length"], "5");
    assert_eq!(received.body, "hello");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let origin = Origin::start().await;
    let proxy = FaultProxy::start(origin.address, vec![], 0).await.unwrap();
    let kept = "GET /bucket/key HTTP/1.1\r\nHost: store.example\r\n\r\n";
    let reading = converse(proxy.address(), &format!("{kept}{kept}{GET}")).await;
    assert_eq!(reading.text.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(proxy.tally(), Tally { requests: 3, answered: 3, ..Tally::default() });
}

#[tokio::test]
async fn a_body_is_passed_on_before_it_is_complete() {
    // A server that answers a chunk, waits to be told, then ends the answer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (go_on, waiting) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        waiting.await.unwrap();
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    });
    let proxy = FaultProxy::start(address, vec![], 0).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    let mut read = String::new();
    while !read.contains("first") {
        let mut some = [0; 256];
        let n = client.read(&mut some).await.unwrap();
        assert!(n > 0, "ended after {read:?}");
        read.push_str(std::str::from_utf8(&some[..n]).unwrap());
    }
    go_on.send(()).unwrap();
    client.read_to_string(&mut read).await.unwrap();
    assert!(read.ends_with("0\r\n\r\n"), "{read:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_unreachable() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = FaultProxy::start(nowhere, vec![], 0).await.unwrap();
    let reading = converse(proxy.address(), GET).await;
    assert!(reading.text.starts_with("HTTP/1.1 502 Bad Gateway"), "{reading:?}");
    assert!(reading.body().starts_with(&format!("the fault proxy cannot reach the server at {nowhere}")));
    assert_eq!(proxy.tally().unreachable, 1);
}

#[tokio::test]
async fn a_dropped_proxy_ends_its_connections() {
    let origin = Origin::start().await;
    let proxy = FaultProxy::start(origin.address, vec![], 0).await.unwrap();
    let mut idle = TcpStream::connect(proxy.address()).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let _ = idle.read(&mut [0; 256]).await.unwrap();
    let address = proxy.address();
    drop(proxy);
    let ended = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the connection outlives its proxy");
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "the port outlives its proxy");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = FaultProxy::start_at(everywhere, everywhere, vec![], 0).await;
    assert!(matches!(refused, Err(ProxyError::NotLoopback(address)) if address == everywhere));
}
