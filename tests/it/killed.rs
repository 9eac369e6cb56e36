//! An import that is killed without warning: the old version stays, and the import can be gone on with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use crate::{
    harness::Home,
    hats::tree,
    interruption::{files_below, wait_until},
};

/// How often the import is killed; a hundred by hand.
fn kills() -> u32 {
    std::env::var("ALMAGEST_TEST_KILLS").ok().map_or(8, |kills| kills.parse().unwrap())
}

const IMPORT: [&str; 10] = [
    "import",
    "--table",
    "demo.stars",
    "--replace",
    "--max-rows",
    "400",
    "--margin",
    "1arcmin",
    "--index",
    "source_id",
];

/// The bytes of all files below a folder that say what the table is, by their paths. What tells times is left out.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet" || ending == "csv") {
                let bytes = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

fn count(home: &Home) -> String {
    let counted = home.csv("SELECT COUNT(*) AS n FROM demo.stars");
    counted.lines().nth(1).unwrap().to_owned()
}

/// A number from 0 to 1 that differs from one call to the next.
fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[test]
fn a_killed_import_leaves_the_old_version_and_is_finished_by_resume() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "100", "--out", "few.parquet"]);
    home.almagest(&["generate", "stars", "--rows", "20_000", "--out", "many.parquet"]);
    let many: Vec<&str> = IMPORT.into_iter().chain(["many.parquet"]).collect();
    let begun = Instant::now();
    home.almagest(&many);
    let usual = begun.elapsed();
    let undisturbed = contents(&tree(&home, "demo.stars"));
    assert!(undisturbed.len() > 100, "{} files", undisturbed.len());

    let mut resumed = 0;
    for _ in 0..kills() {
        home.almagest(&["import", "--table", "demo.stars", "--replace", "few.parquet"]);
        let moment = usual.mul_f64(random());
        let mut import = home.command().args(&many).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        import.kill().unwrap();
        let was_published = import.wait().unwrap().success();
        let served = count(&home);
        assert!(served == "100" || served == "20000", "{served} rows after {moment:?}");
        assert!(served == "20000" || !was_published, "it ended well and is not served");
        home.almagest(&["catalog", "check", "demo.stars"]);

        let again = home.command().args(&many).arg("--resume").output().unwrap();
        let stderr = String::from_utf8(again.stderr).unwrap();
        assert!(again.status.success(), "resumed after {moment:?}: {stderr}");
        resumed += u32::from(stderr.contains("resumed"));
        assert_eq!(count(&home), "20000");
        let outcome = contents(&tree(&home, "demo.stars"));
        let differing: Vec<_> = undisturbed
            .keys()
            .chain(outcome.keys())
            .filter(|path| undisturbed.get(*path) != outcome.get(*path))
            .collect();
        assert!(differing.is_empty(), "killed after {moment:?}, these differ: {differing:?}");
        home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    }
    eprintln!("{resumed} of {} imports were resumed", kills());
    assert!(resumed > 0 || kills() < 50, "no import had anything to go on with");
    let left = fs::read_dir(home.path("store/catalogs/demo/stars")).unwrap().count();
    assert_eq!(left, 1, "folders of versions that nobody needs");
}

#[test]
fn what_a_killed_import_left_is_collected_when_it_is_old() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "60_000", "--out", "many.parquet"]);
    let import = ["import", "--table", "demo.stars", "--max-rows", "300", "many.parquet"];
    let mut child = home.command().args(import).stderr(Stdio::null()).spawn().unwrap();
    let catalogs = home.path("store/catalogs");
    wait_until("a journal", || files_below(&catalogs).iter().any(|file| file.ends_with("almagest/journal/plan.json")));
    child.kill().unwrap();
    child.wait().unwrap();

    home.almagest(&["catalog", "gc"]);
    assert!(!files_below(&catalogs).is_empty(), "it is too young");
    let refused = home.command().args(import).output().unwrap();
    assert!(
        String::from_utf8(refused.stderr).unwrap().contains("--resume goes on"),
        "there is something to go on with"
    );
    home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    assert_eq!(files_below(&catalogs), Vec::<PathBuf>::new());
    home.almagest(&import);
    assert_eq!(count(&home), "60000");
}
