//! `almagest serve`: both doors, open until a signal.

use std::{net::SocketAddr, sync::Arc};

use tap_adapter::{Doors, MaxRec};
use tokio::net::TcpListener;

use crate::{
    config::Config,
    failure::Failure,
    shutdown::{self, Servers},
    wiring,
};

/// Serves the catalogues.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    serve(&config, || Ok(())).await
}

/// Serves the catalogues; `listening` is called once clients can connect.
pub(super) async fn serve(config: &Config, listening: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let jobs = Arc::new(wiring::jobs(config).await?);
    let tables = jobs.tables().await?;
    let (http, flight) = (listen(config.http.listen).await?, listen(config.flight.listen).await?);
    tracing::info!(tables = tables.len(), http = %config.http.listen, flight = %config.flight.listen, "serving");
    let max_rec = MaxRec { default: config.query.default_maxrec.get(), maximum: config.query.max_maxrec.get() };
    let mut servers = Servers::until(stop.clone());
    servers.start("HTTP", tap_adapter::serve(http, Doors { jobs: Arc::clone(&jobs), max_rec }, stop.clone()));
    servers.start("Flight", flight_server::serve(flight, jobs, stop));
    listening()?;
    servers.run(config.shutdown.drain).await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|reason| Failure::Listen { address, reason })
}
