//! Where catalogues are kept and read from: folders and web servers. Buckets are in `s3`.

pub(crate) mod conformance;
pub(crate) mod web;

use catalogs::{CatalogStore, Remote, StoreOptions};
use fault_proxy::{Fault, FaultProxy, Rule, When};
use futures::{StreamExt, TryStreamExt};

use conformance::{bytes, conforms};

#[tokio::test]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("deep/store").display().to_string();
    let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
    conforms(&store, "catalogs").await;
}

fn plain_http() -> Remote {
    Remote { allow_http: true, ..Remote::default() }
}

/// A folder behind a web server behind a proxy, with one file of a megabyte and one of eight.
async fn website(rules: Vec<Rule>) -> (tempfile::TempDir, FaultProxy, CatalogStore) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("sky/dataset")).unwrap();
    std::fs::write(folder.path().join("sky/dataset/small"), bytes(1 << 20)).unwrap();
    std::fs::write(folder.path().join("sky/large"), bytes(8 << 20)).unwrap();
    let proxy = FaultProxy::start(web::serve(folder.path().to_owned()).await, rules, 1).await.unwrap();
    let store = CatalogStore::read_only(&format!("{}/sky", proxy.url()), &plain_http()).unwrap();
    (folder, proxy, store)
}

#[tokio::test]
async fn files_of_a_web_server_are_read_and_never_written() {
    let (_folder, proxy, store) = website(vec![]).await;
    assert_eq!(store.url().as_str(), format!("{}/sky/", proxy.url()));
    assert!(store.get("dataset/small").await.unwrap() == bytes(1 << 20));
    assert!(store.get_range("large", 4_000_000..4_000_100).await.unwrap() == bytes(8 << 20)[4_000_000..4_000_100]);
    assert_eq!(store.head("large").await.unwrap().size, 8 << 20);
    let absent = store.get("dataset/none").await.unwrap_err();
    assert!(absent.is_absent() && absent.to_string().contains("/sky/dataset/none: there is no such file (404)"));
    assert!(store.put("x", vec![1]).await.unwrap_err().to_string().contains("only read"));
    assert_eq!(proxy.tally().faults(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_resumed_though_the_server_has_no_entity_tags() {
    for fault in [Fault::TruncateBody(900_000), Fault::ResetAfterHeaders(900_000)] {
        let (_folder, proxy, store) = website(vec![Rule::new(fault.clone()).when(When::First(6))]).await;
        assert!(store.get("large").await.unwrap() == bytes(8 << 20), "{fault:?}");
        assert_eq!((proxy.tally().faults(), proxy.tally().requests), (6, 7), "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_sends_anything_is_given_up() {
    let (_folder, proxy, store) = website(vec![Rule::new(Fault::TruncateBody(0))]).await;
    let sentence = store.get("large").await.unwrap_err().to_string();
    assert!(sentence.contains("/sky/large: ") && sentence.contains("again and again"), "{sentence}");
    assert!((5..20).contains(&proxy.tally().truncated), "{:?}", proxy.tally());
}

#[tokio::test]
async fn a_web_server_that_fails_every_fifth_request_gives_every_byte() {
    let rules = [Fault::SlowDown, Fault::ResetRequest, Fault::ResetBeforeHeaders, Fault::TruncateBody(300)];
    let rules = rules.map(|fault| Rule::new(fault).when(When::Chance(0.05))).to_vec();
    let (_folder, proxy, store) = website(rules).await;
    let whole = bytes(1 << 20);
    let starts = (0..300_u64).map(|i| i * 3_000);
    let read = futures::stream::iter(starts).map(|start| {
        let store = &store;
        async move { store.get_range("dataset/small", start..start + 2_000).await.map(|part| (start as usize, part)) }
    });
    for (start, part) in read.buffer_unordered(8).try_collect::<Vec<_>>().await.unwrap() {
        assert!(part == whole[start..start + 2_000], "{start}");
    }
    assert!(proxy.tally().faults() > 30, "{:?}", proxy.tally());
}

#[tokio::test]
async fn a_denied_and_an_unreachable_server_are_told_from_an_absent_file() {
    let (_folder, proxy, _) = website(vec![]).await;
    let private = CatalogStore::read_only(&format!("{}/private", proxy.url()), &plain_http()).unwrap();
    let denied = private.get("x").await.unwrap_err();
    assert!(denied.is_denied() && denied.to_string().contains("the server denies access (403 Forbidden)"), "{denied}");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = CatalogStore::read_only(&format!("http://{free}/sky"), &plain_http()).unwrap();
    let sentence = nobody.get("x").await.unwrap_err().to_string();
    assert!(sentence.contains(&format!("http://{free}/sky/x: the server cannot be reached: ")), "{sentence}");
    assert!(sentence.to_lowercase().contains("refused"), "{sentence}");
}
