//! What every store that catalogues are kept in must do. One suite, run on a folder and on a bucket, and on a bucket that
//! keeps failing.

use std::ops::Range;

use catalogs::{CatalogError, CatalogStore};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

/// Bytes that compress badly and repeat nowhere.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let words = (0..length as u64 / 8 + 1).flat_map(|i| (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    words.take(length).collect()
}

/// The suite. Everything happens in a folder of this name, which is gone at the end.
pub(crate) async fn conforms(store: &CatalogStore, folder: &str) {
    let at = |path: &str| format!("{folder}/{path}");
    objects_come_back_as_they_went_in(store, &at).await;
    large_files_come_back_and_so_do_parts_of_them(store, &at).await;
    what_is_absent_is_said_to_be(store, &at).await;
    listings_are_whole_and_keep_to_their_folder(store, &at).await;
    a_link_is_a_second_name_or_nothing(store, &at).await;
    deleting_takes_what_it_should_and_no_more(store, &at).await;
    store.delete_folder(folder).await.unwrap();
    assert_eq!(listed(store, folder).await, Vec::<(String, u64)>::new());
}

async fn listed(store: &CatalogStore, folder: &str) -> Vec<(String, u64)> {
    let objects = store.list(folder).await.unwrap();
    objects.into_iter().map(|object| (object.location.to_string(), object.size)).collect()
}

async fn objects_come_back_as_they_went_in(store: &CatalogStore, at: &impl Fn(&str) -> String) {
    for (path, content) in [
        ("empty", vec![]),
        ("dataset/Norder=1/Dir=0/Npix=44.parquet", bytes(100_000)),
        ("a name with ünïcode, spaces & signs (+1)", b"x".to_vec()),
    ] {
        store.put(&at(path), content.clone()).await.unwrap();
        assert_eq!(store.get(&at(path)).await.unwrap(), content, "{path}");
        assert!(store.exists(&at(path)).await.unwrap());
        let head = store.head(&at(path)).await.unwrap();
        assert_eq!((head.size, head.location.as_ref()), (content.len() as u64, at(path).as_str()));
    }
    store.put(&at("empty"), b"no more".to_vec()).await.unwrap();
    assert_eq!(store.get(&at("empty")).await.unwrap(), "no more", "a second write replaces the first");
}

async fn large_files_come_back_and_so_do_parts_of_them(store: &CatalogStore, at: &impl Fn(&str) -> String) {
    let content = bytes(21_000_001);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &content).unwrap();
    let path = at("large");
    store.put_file(&path, file.path()).await.unwrap();
    assert!(store.get(&path).await.unwrap() == content, "a large file came back changed");
    assert!(file.path().exists(), "the local file stays");

    for range in [0..1, 20_999_900..21_000_001, 8_388_000..8_389_000_u64, 5..5_000_005] {
        let whole = &content[range.start as usize..range.end as usize];
        assert!(store.get_range(&path, range.clone()).await.unwrap() == whole, "{range:?}");
    }
    let ranges: Vec<Range<u64>> = (0..40).map(|i| i * 500_000..i * 500_000 + 300).collect();
    let location = CatalogStore::object_path(&path);
    for (range, part) in ranges.iter().zip(store.objects().get_ranges(&location, &ranges).await.unwrap()) {
        assert!(part == content[range.start as usize..range.end as usize], "{range:?}");
    }
}

async fn what_is_absent_is_said_to_be(store: &CatalogStore, at: &impl Fn(&str) -> String) {
    let path = at("no/such");
    assert!(!store.exists(&path).await.unwrap());
    let errors: [CatalogError; 3] = [
        store.get(&path).await.unwrap_err(),
        store.head(&path).await.unwrap_err(),
        store.get_range(&path, 0..5).await.unwrap_err(),
    ];
    for error in errors {
        let sentence = error.to_string();
        assert!(error.is_absent() && sentence.contains("/no/such: there is no such"), "{sentence}");
    }
    let away = tempfile::tempdir().unwrap().path().join("away");
    let error = store.put_file(&path, &away).await.unwrap_err().to_string();
    assert!(error.contains("away"), "{error}");
    assert!(!store.exists(&path).await.unwrap());
}

async fn listings_are_whole_and_keep_to_their_folder(store: &CatalogStore, at: &impl Fn(&str) -> String) {
    // More than a bucket lists in one answer.
    let paths: Vec<String> = (0..1_050).map(|i| at(&format!("many/{i:04}"))).collect();
    let puts = futures::stream::iter(&paths).map(|path| store.put(path, b"abc".to_vec()));
    puts.buffer_unordered(32).try_collect::<Vec<()>>().await.unwrap();
    store.put(&at("many-more"), b"z".to_vec()).await.unwrap();
    let expected: Vec<_> = paths.into_iter().map(|path| (path, 3)).collect();
    assert_eq!(listed(store, &at("many")).await, expected);
    assert!(listed(store, &at("none")).await.is_empty());
}

async fn a_link_is_a_second_name_or_nothing(store: &CatalogStore, at: &impl Fn(&str) -> String) {
    store.put(&at("old"), b"rows".to_vec()).await.unwrap();
    let linked = store.link(&at("old"), &at("new/name")).await.unwrap();
    assert_eq!(linked, store.is_local());
    assert_eq!(store.exists(&at("new/name")).await.unwrap(), linked);
    store.delete(&at("old")).await.unwrap();
    if linked {
        assert_eq!(store.get(&at("new/name")).await.unwrap(), "rows");
    }
}

async fn deleting_takes_what_it_should_and_no_more(store: &CatalogStore, at: &impl Fn(&str) -> String) {
    for _ in 0..2 {
        store.delete(&at("many/0000")).await.unwrap();
        store.delete_folder(&at("never/there")).await.unwrap();
    }
    assert_eq!(listed(store, &at("many")).await.len(), 1_049);
    store.delete_folder(&at("many")).await.unwrap();
    assert!(listed(store, &at("many")).await.is_empty());
    assert!(store.exists(&at("many-more")).await.unwrap());
    assert!(store.delete_folder("").await.is_err(), "a whole store");
}
