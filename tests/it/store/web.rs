//! A web server of the plainest kind: files with their lengths and times, ranges, no entity tags.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves the files of a folder at this address, for as long as the test runs.
pub(crate) async fn serve(folder: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let folder = Arc::new(folder);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let folder = Arc::clone(&folder);
            let service = service_fn(move |request| {
                let answer = answer(&folder, &request);
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            // A client that goes away is no concern of the server's.
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn answer(folder: &std::path::Path, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, body: Bytes| {
        let answer = Response::builder().status(status).header(header::CONTENT_LENGTH, body.len());
        answer.header(header::LAST_MODIFIED, "Fri, 20 Nov 2026 12:00:00 GMT")
    };
    let path = request.uri().path().trim_start_matches('/');
    if path.starts_with("private") {
        return plain(StatusCode::FORBIDDEN, Bytes::new()).body(Full::default()).unwrap();
    }
    let Ok(content) = std::fs::read(folder.join(path)).map(Bytes::from) else {
        return plain(StatusCode::NOT_FOUND, Bytes::new()).body(Full::default()).unwrap();
    };
    if request.method() == Method::HEAD {
        return plain(StatusCode::OK, content).body(Full::default()).unwrap();
    }
    let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return plain(StatusCode::OK, content.clone()).body(Full::new(content)).unwrap();
    };
    let (first, last) = match (first.parse(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.min(content.len() - 1)),
        (Ok(first), Err(_)) => (first, content.len() - 1),
        (Err(_), length) => (content.len().saturating_sub(length.unwrap()), content.len() - 1),
    };
    let part = content.slice(first..last + 1);
    plain(StatusCode::PARTIAL_CONTENT, part.clone())
        .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", content.len()))
        .body(Full::new(part))
        .unwrap()
}
