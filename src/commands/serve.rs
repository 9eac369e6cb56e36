//! `almagest serve`: both doors, open until a signal.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use jobs::Caller;
use tap_adapter::{Doors, MaxRec};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    failure::Failure,
    shutdown::{self, Servers},
    wiring,
};

/// Serves the catalogues.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    serve(&config, Ports::open(&config).await?, stop, |_| Ok(())).await
}

/// Both ports, held but not yet answered.
pub(super) struct Ports {
    http: TcpListener,
    flight: TcpListener,
    addresses: Addresses,
}

/// Where the doors are: the addresses of the configuration, with the ports that the system chose where it says 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// The door of HTTP.
    pub(super) http: SocketAddr,
    /// The door of Flight.
    pub(super) flight: SocketAddr,
}

impl Ports {
    /// Takes the ports of the configuration, so that nobody else does.
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        let (http, http_address) = listen("http.listen", config.http.listen).await?;
        let (flight, flight_address) = listen("flight.listen", config.flight.listen).await?;
        Ok(Self { http, flight, addresses: Addresses { http: http_address, flight: flight_address } })
    }
}

/// Answers at both ports until `stop`; `open` is called once the doors are.
pub(super) async fn serve(
    config: &Config,
    ports: Ports,
    stop: CancellationToken,
    open: impl FnOnce(Addresses) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let jobs = Arc::new(wiring::jobs(config, Caller::Anonymous).await?);
    jobs.keep_up();
    let tables = jobs.tables().await?;
    let Ports { http, flight, addresses } = ports;
    tracing::info!(tables = tables.len(), http = %addresses.http, flight = %addresses.flight, "serving");
    let max_rec = MaxRec { default: config.query.default_maxrec.get(), maximum: config.query.max_maxrec.get() };
    let mut servers = Servers::until(stop.clone());
    servers.start("HTTP", tap_adapter::serve(http, Doors { jobs: Arc::clone(&jobs), max_rec }, stop.clone()));
    servers.start("Flight", flight_server::serve(flight, jobs, stop));
    open(addresses)?;
    servers.run(config.shutdown.drain).await
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = TcpListener::bind(address).await.and_then(|listener: TcpListener| {
        let address = listener.local_addr()?;
        Ok::<_, io::Error>((listener, address))
    });
    bound.map_err(|reason| Failure::Listen { address, key, reason })
}

/// An address that a client on this machine can paste: one that stands for all of them becomes the loopback.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_pasted_as_the_loopback() {
        for (listening, pasted) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:8080", "192.0.2.7:8080"),
            ("[2001:db8::7]:1", "[2001:db8::7]:1"),
        ] {
            assert_eq!(reachable(listening.parse().expect(listening)).to_string(), pasted);
        }
    }
}
