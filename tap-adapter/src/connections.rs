//! The connections: taken, served, and let go.
//!
//! This is hyper under the router rather than `axum::serve`, which waits without end for a client that never finishes
//! its headers: such a one would cost a connection for ever, and hold up every shutdown.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{
    Router,
    serve::{Listener, ListenerExt},
};
use hyper::{
    Request,
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::asker::Peer;

/// How long the headers of a request may take. A kept connection may wait as long for its next request, so this is more
/// than the minute after which common proxies close an idle connection: it is they who must close it first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(75);

/// Serves until `shutdown`, then lets the answers that are on their way end. Dropping the future breaks them off.
pub(crate) async fn serve(listener: TcpListener, router: Router, patience: Duration, shutdown: CancellationToken) {
    // Small answers leave at once.
    let mut listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            // Waits while the process has no file left for a connection.
            (stream, peer) = Listener::accept(&mut listener) => {
                let peer = Peer(peer.ip());
                connections.spawn(converse(stream, peer, router.clone(), patience, shutdown.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, peer: Peer, router: Router, patience: Duration, shutdown: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience);
    let asked = AtomicBool::new(false);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        asked.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = shutdown.cancelled() => {
            // hyper lets a first request arrive, however long its headers take; nothing is lost if it goes elsewhere.
            if !asked.load(Ordering::Relaxed) {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = end {
        tracing::debug!(%error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_secs(10);

    struct Served {
        serving: JoinHandle<()>,
        shutdown: CancellationToken,
        client: TcpStream,
    }

    async fn served(patience: Duration) -> Served {
        let slow = get(async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slow"
        });
        let router = Router::new().route("/", get("fast")).route("/slow", slow);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, patience, shutdown.clone()));
        Served { serving, shutdown, client }
    }

    /// All that comes until the server closes the connection.
    async fn rest(client: &mut TcpStream) -> String {
        let mut text = Vec::new();
        // A reset is an end too.
        let _ = timeout(SOON, client.read_to_end(&mut text)).await.expect("the server closes the connection");
        String::from_utf8(text).unwrap()
    }

    async fn answer(client: &mut TcpStream, body: &str) {
        let mut text = String::new();
        while !text.ends_with(body) {
            let mut bytes = [0; 1024];
            let length = timeout(SOON, client.read(&mut bytes)).await.unwrap().unwrap();
            assert!(length > 0, "{text}");
            text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
    }

    #[tokio::test]
    async fn headers_that_never_end_close_the_connection_after_a_while() {
        let mut served = served(Duration::from_millis(200)).await;
        served.client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n").await.unwrap();
        assert!(!rest(&mut served.client).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn a_request_is_not_hurried_while_it_is_answered_and_the_connection_is_kept_for_the_next() {
        let mut served = served(Duration::from_millis(200)).await;
        for (path, body) in [("/slow", "slow"), ("/", "fast")] {
            served.client.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).await.unwrap();
            answer(&mut served.client, body).await;
        }
    }

    #[tokio::test]
    async fn a_half_sent_request_and_a_silent_connection_do_not_hold_up_the_shutdown() {
        for sent in [&b""[..], b"PRI * HTTP/2", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /"] {
            let mut served = served(LONG).await;
            served.client.write_all(sent).await.unwrap();
            if sent.ends_with(b"GET /") {
                answer(&mut served.client, "fast").await;
            }
            // Long enough for the bytes to arrive; if not, the shutdown has even less to wait for.
            tokio::time::sleep(Duration::from_millis(50)).await;
            served.shutdown.cancel();
            timeout(SOON, served.serving).await.expect("the service ends").unwrap();
        }
    }

    #[tokio::test]
    async fn a_request_that_is_being_answered_is_answered_to_its_end_after_the_shutdown() {
        let mut served = served(LONG).await;
        served.client.write_all(b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        served.shutdown.cancel();
        assert!(rest(&mut served.client).await.ends_with("slow"));
        timeout(SOON, served.serving).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn dropping_the_service_breaks_its_connections_off() {
        let mut served = served(LONG).await;
        served.client.write_all(b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        served.serving.abort();
        assert_eq!(rest(&mut served.client).await, "");
    }
}
