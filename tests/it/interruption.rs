//! What is left of an import and of a generated file that were stopped in the middle: nothing.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::harness::Home;

/// More stars than any machine makes within a test.
const MANY: &str = "90_000_000";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The status and the last line of stderr of a command that gets this signal.
fn ended_by(signal: &str, child: Child) -> (Option<i32>, String) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").arg("-c").arg(kill).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr.lines().last().unwrap_or_default().to_owned())
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_signal_during_an_import_leaves_no_file_and_says_which_table_is_missing() {
    for signal in ["TERM", "INT"] {
        let home = Home::on_a_local_folder();
        let http = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = home
            .command()
            .args(["quickstart", "--rows", MANY, "--dir", "store"])
            .env("ALMAGEST__HTTP__LISTEN", http.to_string())
            .env("ALMAGEST__FLIGHT__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The port is held before the sky is made, and the database is there when it begins.
        wait_until("the port", || TcpStream::connect(http).is_ok());
        wait_until("the database", || home.path("store/almagest.db").exists());
        let (status, last) = ended_by(signal, child);
        assert_eq!((status, last.as_str()), (Some(1), "almagest: interrupted: demo.stars was not published"));
        assert_eq!(files_below(&home.path("store/catalogs")), Vec::<PathBuf>::new());
        assert_eq!(home.almagest(&["catalog", "list", "--json"]), "[]\n");
    }
}

#[test]
fn a_signal_while_partitions_are_written_removes_those_that_are() {
    let home = Home::on_a_local_folder();
    let child = home
        .command()
        .args(["quickstart", "--rows", "200_000", "--no-serve", "--dir", "store"])
        .env("ALMAGEST__IMPORT__MAX_ROWS_PER_PARTITION", "500")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let catalogs = home.path("store/catalogs");
    wait_until("a partition", || !files_below(&catalogs).is_empty());
    let (status, last) = ended_by("TERM", child);
    assert_eq!((status, last.as_str()), (Some(1), "almagest: interrupted: demo.stars was not published"));
    assert_eq!(files_below(&catalogs), Vec::<PathBuf>::new());
}

#[test]
fn a_file_that_is_generated_is_whole_or_not_there() {
    let home = Home::on_a_local_folder();
    fs::write(home.path("stars.csv"), "as it was").unwrap();
    let mut generate = home.command();
    generate.args(["generate", "stars", "--rows", MANY, "--out", "stars.csv"]).stderr(Stdio::piped());
    let child = generate.spawn().unwrap();
    let part = home.path(&format!(".stars.csv.{}.part", child.id()));
    wait_until("rows in the neighbour", || fs::metadata(&part).is_ok_and(|file| file.len() > 0));
    ended_by("INT", child);
    assert_eq!(fs::read_to_string(home.path("stars.csv")).unwrap(), "as it was");

    home.almagest(&["generate", "stars", "--rows", "10", "--out", "stars.csv"]);
    assert_eq!(fs::read_to_string(home.path("stars.csv")).unwrap().lines().count(), 11);

    fs::create_dir(home.path("folder.csv")).unwrap();
    let arguments = ["generate", "stars", "--rows", "10", "--out", "folder.csv"];
    let output = home.command().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let left = files_below(&home.path(""));
    assert!(!left.iter().any(|file| file.to_string_lossy().contains("folder.csv")), "{left:?}");
}
