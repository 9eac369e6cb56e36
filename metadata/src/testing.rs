//! What the tests of this room stand on: each is written once, and runs on a new SQLite file and on a new database of a
//! real PostgreSQL.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::Metadata;

/// Where a new database is, for one test.
pub(crate) struct Place {
    url: String,
    _folder: Option<TempDir>,
    server: Option<(String, String)>,
}

impl Place {
    /// A file that is not there yet, in a folder that is not, either.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/new folder/almagest.db", folder.path().display());
        Self { url, _folder: Some(folder), server: None }
    }

    /// An empty database of the server that the tests are given, if they are given one.
    pub(crate) async fn postgres() -> Option<Self> {
        const VARIABLE: &str = "ALMAGEST_TEST_POSTGRES_URL";
        let Some(server) = std::env::var(VARIABLE).ok().filter(|url| !url.is_empty()) else {
            let forbidden = std::env::var_os("ALMAGEST_TEST_NO_SKIP").is_some();
            assert!(!forbidden, "{VARIABLE} is not set, and no test may be skipped");
            eprintln!("skipped: {VARIABLE} is not set (scripts/test sets it)");
            return None;
        };
        let name = format!("test_{:032x}", rand::random::<u128>());
        tell(&server, format!("CREATE DATABASE {name}")).await;
        let (base, _) = server.rsplit_once('/').unwrap();
        Some(Self { url: format!("{base}/{name}"), _folder: None, server: Some((server, name)) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is on a server.
    pub(crate) fn is_postgres(&self) -> bool {
        self.server.is_some()
    }

    /// Opens it, as another process would.
    pub(crate) async fn open(&self) -> Metadata {
        Metadata::open(&self.url).await.unwrap()
    }

    /// Removes it.
    pub(crate) async fn remove(self) {
        if let Some((server, name)) = self.server {
            tell(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// What happens between this room and the server of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All is passed on.
    Passes,
    /// Connections are closed, those that were open and those that are tried.
    Closes,
    /// Nothing is passed on, and nothing is said.
    Stalls,
}

/// A line to a server of PostgreSQL that can be cut.
pub(crate) struct Proxy {
    /// Where the database is, by this line.
    pub(crate) url: String,
    line: watch::Sender<Line>,
    passing: Arc<AtomicUsize>,
}

impl Proxy {
    /// A line that passes everything on, to a place on a server.
    pub(crate) async fn before(place: &Place) -> Self {
        let (scheme_and_user, rest) = place.url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let server: SocketAddr = server.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme_and_user}@{}/{database}", listener.local_addr().unwrap());
        let (line, seen) = watch::channel(Line::Passes);
        let passing = Arc::default();
        let count = Arc::clone(&passing);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, seen.clone(), Arc::clone(&count)));
            }
        });
        Self { url, line, passing }
    }

    /// From the end of this call on.
    pub(crate) async fn set(&self, line: Line) {
        self.line.send_replace(line);
        while line != Line::Passes && self.passing.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, mut line: watch::Receiver<Line>, passing: Arc<AtomicUsize>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    loop {
        let now = *line.borrow_and_update();
        let ended = match now {
            Line::Closes => return,
            Line::Stalls => line.changed().await.is_err(),
            Line::Passes => {
                passing.fetch_add(1, Ordering::SeqCst);
                let ended = tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => true,
                    changed = line.changed() => changed.is_err(),
                };
                passing.fetch_sub(1, Ordering::SeqCst);
                ended
            }
        };
        if ended {
            return;
        }
    }
}

async fn tell(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}

/// Tests that run on both databases.
macro_rules! conformance {
    ($(async fn $name:ident($place:ident: &Place) $body:block)+) => {
        $(async fn $name($place: &crate::testing::Place) $body)+

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(&crate::testing::Place::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    if let Some(place) = crate::testing::Place::postgres().await {
                        super::$name(&place).await;
                        place.remove().await;
                    }
                }
            )+
        }
    };
}

pub(crate) use conformance;
