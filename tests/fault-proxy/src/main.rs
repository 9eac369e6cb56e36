//! The fault proxy by hand: `fault-proxy --upstream 127.0.0.1:3900 --rule 'slow-down method=GET every=3'`.
//! Prints its address, serves until it is interrupted, then prints what it did.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use fault_proxy::{FaultProxy, Rule};

/// A loopback HTTP proxy that misbehaves by rule.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server to forward to.
    #[arg(long, value_name = "ADDRESS")]
    upstream: SocketAddr,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// `FAULT [method=M] [path=TEXT] [first=N | every=N | chance=P]`, for example `truncate:100 method=GET first=2`.
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<Rule>,
    /// Decides what `chance=` does.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { upstream, listen, rules, seed } = Arguments::parse();
    let proxy = match FaultProxy::start_at(listen, upstream, rules, seed).await {
        Ok(proxy) => proxy,
        Err(error) => {
            eprintln!("fault-proxy: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = std::io::stdout();
    // A closed standard output is no reason to stop serving.
    let _ = writeln!(out, "{}", proxy.url()).and_then(|()| out.flush());
    let _ = tokio::signal::ctrl_c().await;
    eprintln!("fault-proxy: {:?}", proxy.tally());
    ExitCode::SUCCESS
}
