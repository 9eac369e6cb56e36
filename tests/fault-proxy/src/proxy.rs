//! The proxy itself: accepts, decides, forwards, and breaks what the rules say.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::rule::{Decision, RuleBook};
use crate::wire::{End, Scissors, Wire};
use crate::{Fault, Rule, Tally};

/// Why a proxy could not be started.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// The address to listen at is taken or not ours.
    #[error("the fault proxy cannot listen at {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address to listen at is not on loopback.
    #[error("the fault proxy listens on loopback only, not at {0}")]
    NotLoopback(SocketAddr),
}

/// A running proxy. It stops when it is dropped, and its connections with it.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    rules: Mutex<RuleBook>,
    tally: Mutex<Tally>,
}

impl FaultProxy {
    /// Starts a proxy on a free loopback port before the server at `upstream`. `seed` decides what [`When::Chance`] does.
    ///
    /// [`When::Chance`]: crate::When::Chance
    pub async fn start(upstream: SocketAddr, rules: Vec<Rule>, seed: u64) -> Result<Self, ProxyError> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), upstream, rules, seed).await
    }

    /// Like [`FaultProxy::start`], at a loopback address of the caller's choice.
    pub async fn start_at(
        address: SocketAddr,
        upstream: SocketAddr,
        rules: Vec<Rule>,
        seed: u64,
    ) -> Result<Self, ProxyError> {
        if !address.ip().is_loopback() {
            return Err(ProxyError::NotLoopback(address));
        }
        let listen = |source| ProxyError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared {
            upstream,
            rules: Mutex::new(RuleBook::new(rules, seed)),
            tally: Mutex::new(Tally::default()),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`, to be given to a client in place of the server's own address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces all rules, what they have counted included. Exchanges under way keep the fate they met.
    pub fn set_rules(&self, rules: Vec<Rule>, seed: u64) {
        *lock(&self.shared.rules) = RuleBook::new(rules, seed);
    }

    /// What has been done so far.
    pub fn tally(&self) -> Tally {
        *lock(&self.shared.tally)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The rules and the tally are whole after every statement, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // A failed accept is that connection's failure (it went away again), not the listener's.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // A test measures the latency that it asked for, not Nagle's.
        let _ = stream.set_nodelay(true);
        connections.spawn(converse(stream, Arc::clone(&shared)));
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let (wire, scissors) = Wire::new(stream);
    let service = service_fn(|request| exchange(request, Arc::clone(&shared), scissors.clone()));
    // An error is a connection that ended early: by our own hand, or because the client left. Both are a day's work.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(wire), service)
        .await;
}

type Body = BoxBody<Bytes, hyper::Error>;

/// Ends the connection without an answer; the HTTP library drops it on this error.
#[derive(Debug, Error)]
#[error("cut by rule")]
struct NoAnswer;

async fn exchange(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    scissors: Scissors,
) -> Result<Response<Body>, NoAnswer> {
    lock(&shared.tally).requests += 1;
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let Decision { delay, fault } = lock(&shared.rules).decide(request.method(), path);

    if let Some(delay) = delay {
        lock(&shared.tally).latency += 1;
        tokio::time::sleep(delay).await;
    }
    match fault {
        Some(Fault::SlowDown) => {
            lock(&shared.tally).slow_down += 1;
            // The client must be able to send its whole body before it reads the answer.
            let _ = BodyStream::new(request.into_body()).try_for_each(async |_| Ok(())).await;
            return Ok(slow_down());
        }
        Some(Fault::ResetRequest) => {
            lock(&shared.tally).reset_request += 1;
            scissors.reset_now();
            return Err(NoAnswer);
        }
        _ => {}
    }

    let method = request.method().clone();
    let mut answer = match forward(request, shared.upstream).await {
        Ok(answer) => answer,
        Err(reason) => {
            lock(&shared.tally).unreachable += 1;
            return Ok(unreachable(shared.upstream, &reason));
        }
    };
    let mut tally = lock(&shared.tally);
    tally.answered += 1;
    match fault {
        Some(Fault::ResetBeforeHeaders) => {
            tally.reset_before_headers += 1;
            scissors.reset_now();
            return Err(NoAnswer);
        }
        Some(Fault::ResetAfterHeaders(keep)) => {
            tally.reset_after_headers += 1;
            let keep = body_length(&method, &answer).map_or(keep, |length| keep.min(length.saturating_sub(1)));
            scissors.cut_answer(keep, End::Reset);
        }
        Some(Fault::TruncateBody(keep)) => match body_length(&method, &answer) {
            Some(0) => {}
            length => {
                tally.truncated += 1;
                scissors.cut_answer(length.map_or(keep, |length| keep.min(length - 1)), End::Close);
            }
        },
        Some(Fault::WrongETag) => {
            if let Some(etag) = answer.headers_mut().get_mut(ETAG) {
                tally.wrong_etag += 1;
                *etag = HeaderValue::from_static("\"00000000000000000000000000000bad\"");
            }
        }
        _ => {}
    }
    drop(tally);
    Ok(answer.map(BodyExt::boxed))
}

/// Sends the request on over a connection of its own, head unchanged but for what concerns the connection alone.
async fn forward(mut request: Request<Incoming>, upstream: SocketAddr) -> Result<Response<Incoming>, String> {
    let stream = TcpStream::connect(upstream).await.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Ends by itself with the answer's body, or when the client goes away and the answer is dropped.
    tokio::spawn(connection);
    request.headers_mut().remove(CONNECTION);
    let mut answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    answer.headers_mut().remove(CONNECTION);
    Ok(answer)
}

/// How many bytes of body the answer has, if that is known beforehand.
fn body_length<B>(method: &Method, answer: &Response<B>) -> Option<u64> {
    if method == Method::HEAD || matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Some(0);
    }
    answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn slow_down() -> Response<Body> {
    const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>\
        <Message>Please reduce your request rate.</Message><RequestId>fault-proxy</RequestId></Error>";
    answer(StatusCode::SERVICE_UNAVAILABLE, "application/xml", DOCUMENT.into())
}

fn unreachable(upstream: SocketAddr, reason: &str) -> Response<Body> {
    let text = format!("the fault proxy cannot reach the server at {upstream}: {reason}\n");
    answer(StatusCode::BAD_GATEWAY, "text/plain", text)
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
