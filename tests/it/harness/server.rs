//! `almagest serve` or `almagest quickstart` on free ports, from its start to its orderly end.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Home, get};

/// How long a server may take to be well, on a machine that is busy building something else.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end after SIGTERM: the default bound for draining, and some time to start and end a process.
const STOP: Duration = Duration::from_secs(15);

/// A running server, which writes its log to `serve.log` of its home. Dropped without [`Server::stop`], it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    http: SocketAddr,
    flight: SocketAddr,
    log: PathBuf,
}

impl Server {
    pub(super) fn start(home: &Home) -> Self {
        // Between the choice of a free port and its use another process may take it: then other ports are tried.
        for _ in 0..5 {
            let (http, flight) = free_addresses();
            let log = home.path("serve.log");
            let child = home
                .command()
                .arg("serve")
                .env("ALMAGEST__HTTP__LISTEN", http.to_string())
                .env("ALMAGEST__FLIGHT__LISTEN", flight.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(&log).unwrap())
                .spawn()
                .unwrap();
            let mut server = Self { child, http, flight, log };
            match server.wait_until_well() {
                Ok(()) => return server,
                Err(_) if server.said().contains("in use") => {}
                Err(end) => panic!("almagest serve ended with {end} before it was well:\n{}", server.said()),
            }
        }
        panic!("no free ports in five attempts");
    }

    /// Starts `almagest quickstart`, which chooses its ports itself, and waits for what it prints. Returns that as well.
    pub(super) fn quickstart(home: &Home, arguments: &[&str]) -> (Self, String) {
        let (log, printed) = (home.path("serve.log"), home.path("quickstart.out"));
        let child = home
            .command()
            .arg("quickstart")
            .args(arguments)
            .env("ALMAGEST__HTTP__LISTEN", "127.0.0.1:0")
            .env("ALMAGEST__FLIGHT__LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(File::create(&printed).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, http: nowhere, flight: nowhere, log };
        let begun = Instant::now();
        let text = loop {
            let text = std::fs::read_to_string(&printed).unwrap();
            if text.ends_with("\n\n") {
                break text;
            }
            let end = server.child.try_wait().unwrap();
            assert!(end.is_none(), "almagest quickstart ended before it served:\n{}", server.said());
            assert!(begun.elapsed() < START, "nothing printed after {START:?}:\n{}", server.said());
            std::thread::sleep(Duration::from_millis(20));
        };
        server.http = address_after("http://", &text);
        server.flight = address_after("grpc://", &text);
        server.wait_until_well().unwrap();
        (server, text)
    }

    /// The base URL of HTTP, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The base URL of TAP.
    pub(crate) fn tap(&self) -> String {
        format!("{}/tap", self.url())
    }

    /// The location of Flight SQL, as ADBC wants it.
    pub(crate) fn flight(&self) -> String {
        format!("grpc://{}", self.flight)
    }

    /// Asks the server to end, as an operator's supervisor does, and returns how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        // The shell's own `kill`, because the program of that name is not on every machine.
        let signalled = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status().unwrap();
        assert!(signalled.success(), "the server had ended already:\n{}", self.said());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < STOP, "still running {STOP:?} after SIGTERM:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the server logged so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn wait_until_well(&mut self) -> Result<(), ExitStatus> {
        let health = format!("{}/healthz", self.url());
        let begun = Instant::now();
        while begun.elapsed() < START {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(status);
            }
            if get(&health).is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not well after {START:?}:\n{}", self.said());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the server has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The first address with this scheme in a text.
fn address_after(scheme: &str, text: &str) -> SocketAddr {
    let (_, rest) = text.split_once(scheme).expect(text);
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).expect(text);
    rest[..end].parse().expect(text)
}

fn free_addresses() -> (SocketAddr, SocketAddr) {
    // Both are held until both are known, so that they differ.
    let [http, flight] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    (http.local_addr().unwrap(), flight.local_addr().unwrap())
}
