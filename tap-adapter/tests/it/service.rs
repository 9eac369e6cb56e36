//! A server on a free loopback port, and a client for it.

use std::{io, sync::Arc};

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tap_adapter::{Doors, MaxRec};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::house::House;

pub struct Service {
    pub house: House,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<io::Result<()>>,
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub trailers: HeaderMap,
}

impl Service {
    pub async fn over(house: House) -> Self {
        Self::over_with(house, 60_000).await
    }

    pub async fn over_with(house: House, maximum: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let doors = Doors { jobs: Arc::clone(&house.jobs), max_rec: MaxRec { default: 50_000, maximum } };
        let serving = tokio::spawn(tap_adapter::serve(listener, doors, shutdown.clone()));
        // Without kept connections, dropping a response closes its connection.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { house, shutdown, serving, base, client }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Reply {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).header(header::TE, "trailers");
        let mut bytes = Vec::new();
        if let Some((kind, body)) = body {
            request = request.header(header::CONTENT_TYPE, kind);
            bytes = body;
        }
        let response = self.client.request(request.body(Full::from(bytes)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        Reply { status: head.status, headers: head.headers, text, trailers }
    }

    /// A query with a field `Authorization`.
    pub async fn query_as(&self, authorization: &str, pairs: &[(&str, &str)]) -> Reply {
        let request = Request::builder().uri(format!("{}{}", self.base, path(pairs)));
        let request = request.header(header::AUTHORIZATION, authorization).body(Full::default()).unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let (text, trailers) = (String::from_utf8(bytes).unwrap(), HeaderMap::new());
        Reply { status: head.status, headers: head.headers, text, trailers }
    }

    pub async fn query(&self, pairs: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, &path(pairs), None).await
    }

    /// A response whose body the caller reads.
    pub async fn open(&self, path: &str) -> Incoming {
        self.client.get(format!("{}{path}", self.base).parse().unwrap()).await.unwrap().into_body()
    }
}

pub fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

pub fn path(pairs: &[(&str, &str)]) -> String {
    format!("/tap/sync?{}", encoded(pairs))
}
