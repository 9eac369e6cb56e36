//! Tests of the database going away and coming back, over a line that can be cut.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    Metadata, MetadataError, Publication,
    database::sql,
    testing::{Line, Place, Proxy},
};

const HANGS: Duration = Duration::from_secs(60);

fn publication(root: &str) -> Publication {
    let (name, snapshot) = ("demo.stars".parse().unwrap(), String::new());
    Publication { name, root: root.into(), snapshot, rows: 1, description: None, note: None, columns: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_from_one_that_fails_and_needs_no_restart_when_it_is_back() {
    let Some(place) = Place::postgres().await else { return };
    let proxy = Proxy::before(&place).await;
    let metadata = Metadata::open(&proxy.url).await.unwrap();
    let mut changes = metadata.changes();
    assert_eq!(timeout(HANGS, changes.next()).await, Ok(0));
    for (round, line) in [(1, Line::Closes), (2, Line::Stalls)] {
        proxy.set(line).await;
        for call in [metadata.generation().await.map(drop), metadata.tables().await.map(drop)] {
            assert!(matches!(call, Err(MetadataError::Unavailable(_))), "{line:?}: {call:?}");
        }
        let publish = metadata.publish(&publication("lost"), None, None).await.unwrap_err();
        assert!(matches!(publish, MetadataError::Unavailable(_)) && !publish.changed_nothing(), "{publish}");
        let opened = Metadata::open(&proxy.url).await.map(drop);
        assert!(matches!(opened, Err(MetadataError::Unavailable(_))), "{line:?}: {opened:?}");

        proxy.set(Line::Passes).await;
        assert_eq!(metadata.generation().await.unwrap(), round - 1, "{line:?}");
        let seen = u32::try_from(round - 1).ok().filter(|seen| *seen > 0);
        metadata.publish(&publication(&round.to_string()), seen, None).await.unwrap();
        assert_eq!(timeout(HANGS, changes.next()).await, Ok(round), "{line:?}");
    }
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_a_database_is_served_when_it_is_back_soon() {
    let Some(place) = Place::postgres().await else { return };
    let proxy = Proxy::before(&place).await;
    let metadata = Metadata::open(&proxy.url).await.unwrap();
    proxy.set(Line::Stalls).await;
    let (asked, ()) = tokio::join!(metadata.generation(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.set(Line::Passes).await;
    });
    assert_eq!(asked.unwrap(), 0);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_cut_off_changes_nothing_and_holds_nobody_up() {
    let Some(place) = Place::postgres().await else { return };
    let (proxy, direct) = (Proxy::before(&place).await, place.open().await);
    let metadata = Metadata::open(&proxy.url).await.unwrap();
    let mut transaction = metadata.database.write().await.unwrap();
    transaction.execute(sql("UPDATE generation SET number = 77")).await.unwrap();
    proxy.set(Line::Closes).await;
    let committed = transaction.commit().await;
    assert!(matches!(committed, Err(MetadataError::Unavailable(_))), "{committed:?}");
    assert_eq!(direct.publish(&publication("a"), None, None).await.unwrap(), 1);
    assert_eq!(direct.generation().await.unwrap(), 1);
    place.remove().await;
}
