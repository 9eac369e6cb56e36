//! The PostgreSQL server that the tests are given.

use sqlx::{Connection, PgConnection};

use crate::harness::provided;

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
