//! The server behind the proxy, and a client that sees every byte.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as the server behind the proxy received it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) target: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

/// A server that keeps what it received and answers every request with the ten bytes `0123456789` and an ETag; a
/// request for `/bytes/N` gets N bytes.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        let served = origin.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let served = served.clone();
                let service = service_fn(move |request| answer(served.clone(), request));
                tokio::spawn(async move {
                    let connection =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    let _ = connection.await;
                });
            }
        });
        origin
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn answer(origin: Origin, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = match head.uri.path().strip_prefix("/bytes/") {
        Some(n) => vec![b'x'; n.parse().unwrap()].into(),
        None => Bytes::from_static(b"0123456789"),
    };
    let received = Received { target: head.uri.to_string(), headers: head.headers, body };
    origin.received.lock().unwrap().push(received);
    Ok(Response::builder().header("etag", "\"true\"").body(Full::new(answer)).unwrap())
}

/// What a client read until the connection ended, and how it ended.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) text: String,
    pub(crate) end: io::Result<()>,
}

impl Reading {
    pub(crate) fn was_reset(&self) -> bool {
        matches!(&self.end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
    }

    pub(crate) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").expect("an answer with headers").1
    }
}

/// Sends the bytes as they are and reads until the other side ends the connection.
pub(crate) async fn converse(address: SocketAddr, request: &str) -> Reading {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read).await.map(drop);
    Reading { text: String::from_utf8(read).unwrap(), end }
}

pub(crate) const GET: &str = "GET /bucket/key HTTP/1.1\r\nHost: store.example\r\nConnection: close\r\n\r\n";
