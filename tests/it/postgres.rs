//! The metadata database on a PostgreSQL server: replicas that share it, and what becomes of them while it is away.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    harness::{Home, get, provided},
    interruption::wait_until,
    thread::sync_url,
};

/// Tells the server something, in this database or another one.
fn tell(url: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[tokio::test]
async fn the_database_server_is_postgresql_14_or_newer() {
    let Some(url) = provided("ALMAGEST_TEST_POSTGRES_URL") else {
        return;
    };
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(version >= 140_000, "server_version_num is {version}");
}

#[test]
fn two_replicas_share_a_database_and_outlive_its_absence() {
    let Some(url) = provided("ALMAGEST_TEST_POSTGRES_URL") else {
        return;
    };
    let (database, home) = Home::on_postgres(&url, |statement| tell(&url, statement));
    home.almagest(&["generate", "stars", "--rows", "1000", "--out", "stars.parquet"]);
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    let replicas = [home.serve(), home.serve()];
    let count = |tap: &str| {
        let query = [("LANG", "ADQL"), ("QUERY", "SELECT COUNT(*) AS n FROM demo.stars"), ("FORMAT", "csv")];
        get(&sync_url(tap, &query)).unwrap()
    };
    let all_say = |text: &str| replicas.iter().all(|replica| count(&replica.tap()).text().contains(text));
    assert!(all_say("1000"));
    home.almagest(&["import", "--table", "demo.stars", "--append", "stars.parquet"]);
    assert!(all_say("2000"), "a query after a publication sees it, at every replica");

    tell(&url, &format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false"));
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    tell(&url, &cut);
    for replica in &replicas {
        let away = count(&replica.tap());
        assert_eq!(away.status, 503, "{}", away.text());
        assert!(away.headers.contains_key("retry-after"));
        assert!(!away.text().contains("127.0.0.1") && !away.text().contains("postgres"), "{}", away.text());
    }
    tell(&url, &format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true"));
    wait_until("the database is back", || all_say("2000"));
    for replica in replicas {
        assert!(replica.stop().success());
    }
    tell(&url, &format!("DROP DATABASE {database} WITH (FORCE)"));
}
