//! Who wants to know at once that something else is served now.
//!
//! ```text
//!   PostgreSQL:  publish ──commit──▶ NOTIFY ──▶ ask for the generation ──▶ next()
//!   both:        every POLL ──────────────────▶ ask for the generation ──▶ next()
//! ```
//! A notification makes it quick, asking makes it sure: it goes on where a proxy before PostgreSQL passes no notifications,
//! where the connection that listens is lost, and in SQLite, which has none. Asking is one row by its key.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{Metadata, database::Database};

/// What whoever waits for a change listens to.
pub(crate) const CHANNEL: &str = "almagest_generation";

/// How often the database is asked: twice within the second in which a publication must be seen.
const POLL: Duration = Duration::from_millis(500);

/// How long it takes until a lost connection is sought again.
const SEEK: Duration = Duration::from_secs(5);

/// The generations as they come, watched for as long as this lives.
#[derive(Debug)]
pub struct Changes {
    seen: watch::Receiver<Option<i64>>,
    watching: JoinHandle<()>,
}

impl Metadata {
    /// Watches the generation. The first one that [`Changes::next`] gives is that of now.
    pub fn changes(&self) -> Changes {
        self.watch(POLL)
    }

    fn watch(&self, every: Duration) -> Changes {
        let (tell, seen) = watch::channel(None);
        let metadata = self.clone();
        let watching = tokio::spawn(async move {
            let mut ear = Ear::new(&metadata.database);
            loop {
                let asked = Instant::now();
                match metadata.generation().await {
                    Ok(generation) => {
                        tell.send_if_modified(|known| known.replace(generation) != Some(generation));
                    }
                    Err(error) => tracing::debug!("the generation is not known: {error}"),
                }
                tokio::select! {
                    () = sleep_until(asked + every) => {}
                    () = ear.heard() => {}
                }
            }
        });
        Changes { seen, watching }
    }
}

impl Changes {
    /// The generation, when it is another than the one that this gave last. What came and went between two calls is not
    /// told.
    pub async fn next(&mut self) -> i64 {
        loop {
            if self.seen.changed().await.is_err() {
                std::future::pending::<()>().await; // nobody watches any more: the runtime ends
            }
            if let Some(generation) = *self.seen.borrow_and_update() {
                return generation;
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// What listens for notifications.
struct Ear {
    /// One connection, apart from those of the queries. None where there is nothing to hear.
    pool: Option<sqlx::PgPool>,
    listener: Option<PgListener>,
    sought: Option<Instant>,
}

impl Ear {
    fn new(database: &Database) -> Self {
        let pool = match database {
            Database::Sqlite(_) => None,
            Database::Postgres(pool) => {
                let one = PgPoolOptions::new().max_connections(1).acquire_timeout(SEEK).max_lifetime(None);
                Some(one.idle_timeout(None).connect_lazy_with((*pool.connect_options()).clone()))
            }
        };
        Self { pool, listener: None, sought: None }
    }

    /// Returns when there may be something new: on a notification, when the connection is lost, and when there is one
    /// again. May be dropped at any time.
    async fn heard(&mut self) {
        let Some(pool) = &self.pool else { return std::future::pending().await };
        if let Some(listener) = &mut self.listener {
            if !matches!(listener.try_recv().await, Ok(Some(_))) {
                self.listener = None;
            }
            return;
        }
        if let Some(sought) = self.sought {
            sleep_until(sought + SEEK).await;
        }
        self.sought = Some(Instant::now());
        let listen = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        match listen.await {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => tracing::debug!("notifications of the metadata database are not heard: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::{Publication, database::sql, testing::conformance};

    const HANGS: Duration = Duration::from_secs(60);
    const NEVER: Duration = Duration::from_secs(3600);

    const _: () = assert!(POLL.as_millis() * 2 <= 1000, "a publication is seen within a second");

    async fn publish(metadata: &Metadata, version: i64) {
        let (name, root) = ("demo.stars".parse().unwrap(), version.to_string());
        let publication = Publication {
            name,
            root,
            snapshot: String::new(),
            rows: 1,
            description: None,
            note: None,
            columns: Vec::new(),
        };
        let seen = u32::try_from(version - 1).ok().filter(|seen| *seen > 0);
        metadata.publish(&publication, seen, None).await.unwrap();
    }

    conformance! {
        async fn what_one_replica_publishes_another_one_sees(place: &Place) {
            let (one, other) = (place.open().await, place.open().await);
            let mut changes = other.changes();
            assert_eq!(timeout(HANGS, changes.next()).await, Ok(0));
            for version in 1..=3 {
                publish(&one, version).await;
                assert_eq!(timeout(HANGS, changes.next()).await, Ok(version));
                assert_eq!(other.tables().await.unwrap().len(), 1);
            }
            assert!(timeout(POLL * 3, changes.next()).await.is_err(), "nothing has changed");
        }

        async fn a_notification_comes_without_asking_and_is_listened_for_again_when_it_is_cut_off(place: &Place) {
            if !place.is_postgres() {
                return;
            }
            let (one, other) = (place.open().await, place.open().await);
            let mut changes = other.watch(NEVER);
            assert_eq!(timeout(HANGS, changes.next()).await, Ok(0));
            publish(&one, 1).await;
            assert_eq!(timeout(HANGS, changes.next()).await, Ok(1));
            let cut = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                       WHERE datname = current_database() AND query LIKE 'LISTEN%'";
            assert_eq!(one.database.all(sql(cut)).await.unwrap().len(), 1);
            publish(&one, 2).await;
            assert_eq!(timeout(HANGS, changes.next()).await, Ok(2));
            publish(&one, 3).await;
            assert_eq!(timeout(HANGS, changes.next()).await, Ok(3));
        }
    }
}
