//! The fast door: Arrow Flight SQL.
//!
//! A client sends a query and gets a `FlightInfo` with the columns and one ticket; the ticket brings the rows as Arrow
//! record batches, with no conversion to text and with units, UCDs and descriptions in the metadata of the fields. The
//! header `x-query-language: adql` or `sql` says how the query is read; without it, ADQL. There is no row limit here but
//! the query's own.
//!
//! What this room never does: it plans no query and opens no catalogue; it knows nothing of HTTP paths or VOTable. Sign-in,
//! prepared statements, uploads and several endpoints a query are refused with a sentence.

mod about;
mod linger;
mod request;
mod service;
mod statement;
mod status;

use std::{sync::Arc, time::Duration};

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::TryStreamExt;
use jobs::Jobs;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

/// A client behind a gateway that has gone without a word is noticed within two of these, and its query ended.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The largest request that is read. Nobody uploads here; this is a query text, with room for a long list of identifiers.
/// It is also the default of most clients, so the two agree.
const REQUEST_BYTES: usize = 4 << 20;

/// Serves until `shutdown`, then lets the answers that are on their way end. Dropping the future breaks them off.
///
/// The HTTP/2 windows stay at their defaults: a window limits what its owner receives, so for the rows that leave here
/// the client's count, and a message of rows is at most about 2 MiB, which every client takes.
pub async fn serve(
    listener: TcpListener,
    jobs: Arc<Jobs>,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let service = FlightServiceServer::new(service::Door::new(jobs)).max_decoding_message_size(REQUEST_BYTES);
    let calls = Routes::new(service).into_axum_router().layer(axum::middleware::from_fn(request::named));
    let connections = TcpIncoming::from(listener).with_nodelay(Some(true)).map_ok(linger::Lingering::new);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_routes(calls.into())
        .serve_with_incoming_shutdown(connections, shutdown.cancelled_owned())
        .await
}
