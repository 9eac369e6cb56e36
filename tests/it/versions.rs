//! The life of a table: appended to, replaced, dropped, collected.

use std::{fs, path::Path, process::Output};

use crate::{harness::Home, hats::tree, interruption::wait_until};

fn refused(home: &Home, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = home.command().args(arguments).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{arguments:?}: {stderr}");
    stderr
}

fn count(home: &Home) -> u64 {
    let counted = home.csv("SELECT COUNT(*) AS n FROM demo.stars");
    counted.lines().nth(1).unwrap().parse().unwrap()
}

fn leaves(folder: &Path) -> Vec<(String, u64)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_string_lossy().starts_with("Npix=") {
                found.push((
                    path.file_name().unwrap().to_string_lossy().into_owned(),
                    fs::metadata(&path).unwrap().ino(),
                ));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn rows_are_added_the_rest_is_shared_and_old_versions_go_when_they_may() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "20_000", "--out", "stars.parquet"]);
    home.almagest(&["import", "--table", "demo.stars", "--max-rows", "500", "stars.parquet"]);
    let first = tree(&home, "demo.stars");

    // Three rows in one corner of the sky.
    let some = "SELECT TOP 3 * FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(266.4, -28.9, 1))";
    home.almagest(&["query", "--format", "votable", "-o", "some.vot", some]);
    let append = ["import", "--table", "demo.stars", "--max-rows", "500", "--append", "--version-note", "a night"];
    home.almagest(&[&append[..], &["some.vot"]].concat());
    assert_eq!(count(&home), 20_003);
    let second = tree(&home, "demo.stars");
    let (old, new) = (leaves(&first), leaves(&second));
    let shared = new.iter().filter(|leaf| old.contains(leaf)).count();
    assert!(shared > 10 && shared >= new.len() - 8, "{shared} of {} files are shared", new.len());
    home.almagest(&["catalog", "check", "demo.stars"]);
    let versions = home.almagest(&["catalog", "versions", "demo.stars"]);
    assert!(versions.contains("a night") && versions.lines().count() == 3, "{versions}");

    let again = refused(&home, &["import", "--table", "demo.stars", "stars.parquet"]);
    assert!(again.contains("there is a table demo.stars already (version 2, 20003 rows); --replace"), "{again}");
    home.almagest(&["import", "--table", "demo.stars", "--replace", "stars.parquet"]);
    assert_eq!(count(&home), 20_000);

    home.almagest(&["catalog", "gc"]);
    assert!(first.exists() && second.exists(), "a version is kept for a day");
    home.almagest(&["catalog", "check", "demo.stars@2"]);
    home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    assert!(!first.exists() && !second.exists());
    assert_eq!(count(&home), 20_000);
    home.almagest(&["catalog", "check", "demo.stars"]);

    home.almagest(&["catalog", "drop", "demo.stars"]);
    assert_eq!(home.almagest(&["catalog", "list", "--json"]), "[]\n");
    let gone = refused(&home, &["catalog", "drop", "demo.stars"]);
    assert!(gone.contains("there is no table demo.stars"), "{gone}");
    let third = tree_of(&home, 3);
    home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    assert!(!third.exists());
}

fn tree_of(home: &Home, version: u32) -> std::path::PathBuf {
    let name = format!("demo.stars@{version}");
    let shown: serde_json::Value = serde_json::from_str(&home.almagest(&["catalog", "show", &name, "--json"])).unwrap();
    home.path("store").join(shown["folder"].as_str().unwrap())
}

#[test]
fn a_store_is_not_tidied_by_another_database() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "100", "--out", "stars.parquet"]);
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    let other = format!("sqlite:{}", home.path("other.db").display());
    fs::write(home.path("other.db"), b"").unwrap();
    let mut gc = home.command();
    gc.args(["catalog", "gc", "--older-than", "0s"]).env("ALMAGEST__METADATA__URL", &other);
    let Output { status, stderr, .. } = gc.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(1) && stderr.contains("belongs to another metadata database"), "{stderr}");
    assert_eq!(count(&home), 100);
}

#[test]
fn a_second_import_of_a_table_is_told_of_the_first() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "100", "--out", "few.parquet"]);
    home.almagest(&["generate", "stars", "--rows", "400_000", "--out", "many.parquet"]);
    let first = home.command().args(["import", "--table", "demo.stars", "many.parquet"]).spawn().unwrap();
    wait_until("the mark of the store", || home.path("store/almagest-store.json").exists());
    let told = refused(&home, &["import", "--table", "demo.stars", "few.parquet"]);
    assert!(told.contains("demo.stars is being made by process"), "{told}");
    assert!(first.wait_with_output().unwrap().status.success());
    assert_eq!(count(&home), 400_000);
}
