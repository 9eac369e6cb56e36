//! Tables in a bucket, made, read and tidied by the built program: through the fault proxy, and shared by reference.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Output,
    time::Duration,
};

use catalogs::{CatalogStore, Remote, StoreOptions};
use fault_proxy::{Fault, FaultProxy, Rule, When};

use crate::{
    harness::{Home, S3},
    hats::tree,
    store::web,
};

const CONE: &str = "SELECT COUNT(*) AS n FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(266.4, -28.9, 8))";

/// The name of the folder of a home, which no other test has.
fn name_of(home: &Home) -> String {
    home.path("x").parent().unwrap().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned()
}

/// The store of a home on S3, seen from here and without a proxy.
fn store_of(home: &Home, s3: &S3) -> CatalogStore {
    let url = format!("s3://{}/{}", s3.bucket, name_of(home));
    CatalogStore::open(&StoreOptions { url, ..options(s3) }).unwrap()
}

fn options(s3: &S3) -> StoreOptions {
    StoreOptions {
        url: format!("s3://{}", s3.bucket),
        endpoint: Some(s3.endpoint.clone()),
        region: Some(s3.region.clone()),
        access_key_id: Some(s3.access_key_id.clone()),
        secret_access_key: Some(s3.secret_access_key.clone()),
        allow_http: true,
    }
}

/// What lies below a folder of a store, without what tells times.
async fn stored(store: &CatalogStore, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for object in store.list(folder).await.unwrap() {
        let path = object.location.to_string();
        let told = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        let is_same = path.ends_with(".parquet") || path.ends_with(".csv") || path.ends_with("_metadata");
        found.insert(told, if is_same { store.get(&path).await.unwrap().to_vec() } else { Vec::new() });
    }
    found
}

/// The folder of the served version of a table in its store.
fn root(home: &Home, table: &str) -> String {
    let shown: serde_json::Value = serde_json::from_str(&home.almagest(&["catalog", "show", table, "--json"])).unwrap();
    shown["folder"].as_str().unwrap().to_owned()
}

fn count(home: &Home) -> String {
    home.csv("SELECT COUNT(*) AS n FROM demo.stars").lines().nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_and_a_check_through_a_network_that_fails_make_what_a_folder_gets() {
    let Some(s3) = S3::provided() else { return };
    let local = Home::on_a_local_folder();
    local.almagest(&["generate", "stars", "--rows", "20_000", "--out", "stars.parquet"]);
    let stars = local.path("stars.parquet").display().to_string();
    let import = ["import", "--table", "demo.stars", "--id", "source_id", "--index", "source_id"];
    let import = [&import[..], &["--margin", "1arcmin", "--max-rows", "1000", &stars]].concat();
    local.almagest(&import);

    let rule = |fault, chance| Rule::new(fault).when(When::Chance(chance));
    let rules = vec![
        rule(Fault::Latency(Duration::from_millis(10)), 0.03),
        rule(Fault::SlowDown, 0.06),
        rule(Fault::ResetRequest, 0.04),
        rule(Fault::ResetBeforeHeaders, 0.04),
        rule(Fault::ResetAfterHeaders(300), 0.04),
        rule(Fault::TruncateBody(300), 0.04),
    ];
    let upstream = s3.endpoint.trim_start_matches("http://").parse().unwrap();
    let proxy = FaultProxy::start(upstream, rules, 11).await.unwrap();
    let distant = Home::on_s3(S3 { endpoint: proxy.url(), ..s3.clone() });
    distant.almagest(&import);
    distant.almagest(&["catalog", "check", "demo.stars"]);
    assert_eq!(distant.csv(CONE), local.csv(CONE));
    let tally = proxy.tally();
    assert!(tally.faults() * 6 > tally.requests && tally.requests > 100, "too few faults: {tally:?}");
    assert!(tally.truncated > 0 && tally.reset_after_headers > 0, "{tally:?}");

    let expected = CatalogStore::read_only(&tree(&local, "demo.stars").display().to_string(), &Remote::default());
    let expected = stored(&expected.unwrap(), "").await;
    let found = stored(&store_of(&distant, &s3), &format!("{}/", root(&distant, "demo.stars"))).await;
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&found), names(&expected));
    let differing: Vec<_> =
        expected.iter().filter(|(path, bytes)| found[*path] != **bytes).map(|(path, _)| path).collect();
    assert!(differing.is_empty(), "{differing:?}");
    for name in ["almagest/manifest.parquet", "almagest/statistics.parquet"] {
        assert!(!expected[name].is_empty());
    }
    assert!(expected.keys().filter(|path| path.contains("/Npix=")).count() > 20);
}

/// Every object of the catalogues of a store.
async fn all_objects(store: &CatalogStore) -> BTreeSet<String> {
    store.list("catalogs").await.unwrap().into_iter().map(|object| object.location.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_share_files_by_reference_are_sound_and_collected_to_the_object() {
    let Some(s3) = S3::provided() else { return };
    let home = Home::on_s3(s3.clone());
    let store = store_of(&home, &s3);
    home.almagest(&["generate", "stars", "--rows", "10_000", "--out", "stars.parquet"]);
    let import = ["import", "--table", "demo.stars", "--max-rows", "500", "--margin", "10arcsec"];
    home.almagest(&[&import[..], &["stars.parquet"]].concat());
    for (number, cone) in ["266.4, -28.9, 3", "0.25, 62.0, 12"].into_iter().enumerate() {
        let few = format!("SELECT TOP 3 * FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE({cone}))");
        let file = format!("few-{number}.vot");
        home.almagest(&["query", "--format", "votable", "-o", &file, &few]);
        home.almagest(&["import", "--table", "demo.stars", "--max-rows", "500", "--append", &file]);
    }
    assert_eq!(count(&home), "10006");
    home.almagest(&["catalog", "check", "demo.stars"]);
    home.almagest(&["catalog", "check", "demo.stars@2"]);

    let served = root(&home, "demo.stars");
    let snapshot = catalogs::open(&store, &served, &Remote::default()).await.unwrap();
    let read: BTreeSet<String> = snapshot.files().iter().map(|file| snapshot.path_of(file)).collect();
    let shared = read.iter().filter(|path| !path.starts_with(&served)).count();
    assert!(shared > 10 && shared < read.len(), "{shared} of {} files are shared", read.len());
    let before = all_objects(&store).await;
    let needed: BTreeSet<String> =
        before.iter().filter(|path| path.starts_with(&served) || read.contains(*path)).cloned().collect();
    assert!(needed.len() < before.len());
    home.almagest(&["catalog", "gc", "--older-than", "0s", "--dry-run"]);
    assert_eq!(all_objects(&store).await, before);
    home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    assert_eq!(all_objects(&store).await, needed);
    assert_eq!(count(&home), "10006");
    home.almagest(&["catalog", "check", "demo.stars"]);

    home.almagest(&["catalog", "drop", "demo.stars"]);
    home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    assert_eq!(all_objects(&store).await, BTreeSet::new());
}

/// Copies a HATS tree of ours, without what is ours alone, into a folder of a bucket.
async fn upload(tree: &Path, store: &CatalogStore, folder: &str) {
    let local = CatalogStore::read_only(&tree.display().to_string(), &Remote::default()).unwrap();
    for object in local.list("").await.unwrap() {
        let path = object.location.to_string();
        if !path.starts_with("almagest/") {
            store.put(&format!("{folder}/{path}"), local.get(&path).await.unwrap().to_vec()).await.unwrap();
        }
    }
}

/// A home that reaches places of others like this, and has attached a tree.
fn attached(url: &str, remote: &[(&str, &str)]) -> (Home, impl Fn(&Home, &[&str]) -> String + use<>) {
    let home = Home::on_a_local_folder();
    let remote: Vec<(String, String)> =
        remote.iter().map(|(name, value)| (format!("ALMAGEST__REMOTE__{name}"), (*value).to_owned())).collect();
    let run = move |home: &Home, arguments: &[&str]| {
        let Output { status, stdout, stderr } =
            home.command().args(arguments).envs(remote.iter().cloned()).output().unwrap();
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap().replace("\r\n", "\n")
    };
    run(&home, &["attach", url, "--table", "demo.stars"]);
    (home, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_in_a_bucket_and_on_a_web_server_is_attached_checked_and_queried() {
    let Some(s3) = S3::provided() else { return };
    let local = Home::on_a_local_folder();
    local.almagest(&["generate", "stars", "--rows", "5_000", "--out", "stars.parquet"]);
    let import =
        ["import", "--table", "demo.stars", "--max-rows", "500", "--margin", "1arcmin", "--index", "source_id"];
    local.almagest(&[&import[..], &["stars.parquet"]].concat());
    let tree = tree(&local, "demo.stars");

    // A folder whose name has all that an address writes otherwise.
    let bucket = CatalogStore::open(&options(&s3)).unwrap();
    let folder = format!("trees/{} 50%20ü#1?", name_of(&local));
    upload(&tree, &bucket, &folder).await;
    let url = format!("s3://{}/trees/{}%2050%2520%C3%BC%231%3F", s3.bucket, name_of(&local));
    let keys = [
        ("ENDPOINT", s3.endpoint.as_str()),
        ("REGION", &s3.region),
        ("ACCESS_KEY_ID", &s3.access_key_id),
        ("SECRET_ACCESS_KEY", &s3.secret_access_key),
        ("ALLOW_HTTP", "true"),
    ];
    let web = web::serve(tree.parent().unwrap().to_owned()).await;
    let site = format!("http://{web}/{}", tree.file_name().unwrap().to_str().unwrap());
    for (url, remote) in [(url, &keys[..]), (site, &keys[4..])] {
        let (home, run) = attached(&url, remote);
        for query in [CONE, "SELECT COUNT(*) AS n FROM demo.stars"] {
            assert_eq!(run(&home, &["query", "--format", "csv", query]), local.csv(query), "{url}: {query}");
        }
        let checked = run(&home, &["catalog", "check", "demo.stars"]);
        assert!(checked.contains("5000 rows") && checked.ends_with("nothing is wrong\n"), "{url}: {checked}");
        assert!(!checked.contains("not checked"), "{url}: {checked}");
        let files = fs::read_dir(home.path("store/catalogs/demo/stars")).unwrap().count();
        assert_eq!(files, 1, "one version");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_a_bucket_are_imported_by_name_by_folder_and_by_pattern() {
    let Some(s3) = S3::provided() else { return };
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "5_000", "--out", "stars.parquet"]);
    home.almagest(&["generate", "stars", "--rows", "5_000", "--out", "stars.csv"]);
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    let bucket = CatalogStore::open(&options(&s3)).unwrap();
    let folder = format!("sources/{} ü", name_of(&home));
    for (name, from) in [("a.parquet", "stars.parquet"), ("b.csv", "stars.csv"), ("readme.md", "stars.csv")] {
        bucket.put(&format!("{folder}/{name}"), fs::read(home.path(from)).unwrap()).await.unwrap();
    }
    let keys = [
        ("ALMAGEST__REMOTE__ENDPOINT", s3.endpoint.as_str()),
        ("ALMAGEST__REMOTE__REGION", &s3.region),
        ("ALMAGEST__REMOTE__ACCESS_KEY_ID", &s3.access_key_id),
        ("ALMAGEST__REMOTE__SECRET_ACCESS_KEY", &s3.secret_access_key),
        ("ALMAGEST__REMOTE__ALLOW_HTTP", "true"),
    ];
    for (table, source) in [("lake.name", "a.parquet"), ("lake.text", "b.csv"), ("lake.pattern", "*.par*")] {
        let source = format!("s3://{}/{folder}/{source}", s3.bucket);
        let Output { status, stderr, .. } =
            home.command().args(["import", "--table", table, &source]).envs(keys).output().unwrap();
        assert!(status.success(), "{source}: {}", String::from_utf8_lossy(&stderr));
        let rows = home.csv(&format!("SELECT COUNT(*) AS n FROM {table}"));
        assert_eq!(rows, "n\n5000\n", "{source}");
        home.almagest(&["catalog", "check", table]);
    }
    let whole = format!("s3://{}/{folder}/", s3.bucket);
    let dry =
        home.command().args(["import", "--table", "lake.folder", "--dry-run", &whole]).envs(keys).output().unwrap();
    let stderr = String::from_utf8(dry.stderr).unwrap();
    // The array of fluxes is text in CSV: both files are read, and what does not fit together is told.
    assert!(!dry.status.success() && stderr.contains("b.csv") && stderr.contains("flux"), "{stderr}");
}
