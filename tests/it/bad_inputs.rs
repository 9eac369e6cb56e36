//! What is no table, or not the one that it says: one clear sentence, and nothing is published.

use std::{fs, io::Write as _};

use crate::harness::{Home, S3};

struct Bad {
    home: Home,
}

impl Bad {
    fn new() -> Self {
        Self { home: Home::on_a_local_folder() }
    }

    /// Imports a file of this name and content, which must be refused with these words; nothing is left of it.
    fn refuses(&self, name: &str, content: impl AsRef<[u8]>, words: &[&str]) {
        fs::write(self.home.path(name), content).unwrap();
        self.refuses_arguments(&[name], words);
    }

    fn refuses_arguments(&self, arguments: &[&str], words: &[&str]) {
        let output = self.home.command().args(["import", "--table", "bad.t"]).args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        // A slow machine tells how far it is.
        let told = stderr.lines().filter(|line| !line.starts_with("bad.t: ")).count();
        assert_eq!(told, 1, "{arguments:?}: {stderr}");
        assert!(stderr.len() < 600, "{arguments:?}: {} letters", stderr.len());
        for word in words {
            assert!(stderr.contains(word), "{arguments:?}: '{word}' is not in {stderr}");
        }
        for leak in ["panicked", "/root/", "src/", "RUST_BACKTRACE", "os error 2)("] {
            assert!(!stderr.contains(leak), "{arguments:?}: {stderr}");
        }
        assert_eq!(self.home.almagest(&["catalog", "list", "--json"]), "[]\n", "{arguments:?}");
        let catalogs = self.home.path("store/catalogs");
        assert!(!catalogs.exists() || crate::interruption::files_below(&catalogs).is_empty(), "{arguments:?}");
    }
}

const STAR: &str = "id,ra,dec,mag\n1,10.5,-20.25,12.5\n";

#[test]
fn a_file_that_is_no_table_is_refused() {
    let bad = Bad::new();
    bad.refuses("empty.csv", "", &["empty.csv", "empty"]);
    bad.refuses("empty.parquet", "", &["empty.parquet", "empty"]);
    bad.refuses("ragged.csv", "id,ra,dec\n1,2,3\n4,5\n6,7,8\n", &["ragged.csv", "line 3"]);
    bad.refuses("not.fits", STAR, &["not.fits", "not a FITS file"]);
    bad.refuses("not.parquet", STAR, &["not.parquet", "Parquet"]);
    bad.refuses("what.xlsx", "PK\u{3}\u{4}", &["what.xlsx"]);
    bad.refuses("open.csv", "id,ra,dec\n1,2,\"3\n4,5,6\n", &["open.csv", "line 2"]);
    bad.refuses_arguments(&["no/such/file.csv"], &["no/such/file.csv"]);
    fs::create_dir(bad.home.path("folder")).unwrap();
    bad.refuses_arguments(&["folder"], &["folder", "no file of a known format"]);
    bad.refuses_arguments(&["*.nothing"], &["no file matches"]);
}

#[test]
fn a_table_without_rows_is_published_with_its_columns() {
    let home = Home::on_a_local_folder();
    fs::write(home.path("header.csv"), "id,ra,dec\n").unwrap();
    home.almagest(&["import", "--table", "good.t", "header.csv"]);
    assert_eq!(home.csv("SELECT COUNT(*) AS n FROM good.t"), "n\n0\n");
}

#[test]
fn a_value_that_its_column_cannot_hold_is_told_by_its_line() {
    let bad = Bad::new();
    let mut late = Vec::from("id,ra,dec\n");
    for row in 0..900_000 {
        writeln!(late, "{row},{}.5,{}.25", row % 360, row % 90).unwrap();
    }
    late.extend(b"x,1,2\n");
    fs::write(bad.home.path("late.csv"), &late).unwrap();
    bad.refuses_arguments(&["--cast", "id=bigint", "late.csv"], &["late.csv", "line 900002", "id", "'x'"]);
    // Without a type it is a column of text, and nothing is lost.
    bad.home.almagest(&["import", "--table", "good.t", "late.csv"]);
    let last = "SELECT id FROM good.t WHERE id = 'x'";
    assert_eq!(bad.home.csv(last), "id\nx\n");
}

#[test]
fn positions_off_the_sky_are_refused_or_wrapped() {
    let bad = Bad::new();
    bad.refuses("dec.csv", "id,ra,dec\n1,10,20\n2,10,95\n", &["dec.csv", "line 3", "95"]);
    bad.refuses("nan.csv", "id,ra,dec\n1,10,20\n2,NaN,5\n", &["nan.csv", "line 3"]);
    bad.refuses("missing.csv", "id,ra,dec\n1,10,20\n2,,5\n", &["missing.csv", "line 3"]);
    bad.refuses("none.csv", "id,a,b\n1,10,20\n", &["none.csv", "--ra", "--no-sky"]);
    for ra in ["-999", "-720.5", "1081", "9999", "inf"] {
        let rows = format!("id,ra,dec\n1,10,20\n2,{ra},5\n");
        bad.refuses("sentinel.csv", rows, &["sentinel.csv", "line 3", ra, "right ascension"]);
    }

    fs::write(bad.home.path("wrapped.csv"), "id,ra,dec\n1,-10,20\n2,370,5\n3,360,0\n4,12,90\n5,77,-90\n").unwrap();
    let import = bad.home.command().args(["import", "--table", "good.t", "wrapped.csv"]).output().unwrap();
    let stderr = String::from_utf8(import.stderr).unwrap();
    assert!(import.status.success() && stderr.contains('3'), "{stderr}");
    let query = "SELECT id, ra FROM good.t ORDER BY id";
    assert_eq!(bad.home.csv(query), "id,ra\n1,350.0\n2,10.0\n3,0.0\n4,12.0\n5,77.0\n");
    bad.home.almagest(&["catalog", "check", "good.t"]);
}

#[test]
fn rows_that_are_set_aside_are_counted_and_kept_with_their_reason() {
    let home = Home::on_a_local_folder();
    let rows = "id,ra,dec,mag\n1,10,20,5\n2,10,95,5\n3,,1,5\n4,11,21,bright\n5,12,22\n6,13,23,7\n1,14,24,8\n";
    fs::write(home.path("some.csv"), rows).unwrap();
    let options = ["--bad-rows", "set-aside", "--id", "id", "--duplicates", "keep-first", "--cast", "mag=double"];
    let report = home.almagest(&[&["import", "--table", "good.t", "--json", "some.csv"], &options[..]].concat());
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["report"]["rows_read"], 7, "{report}");
    assert_eq!(report["report"]["rows_published"], 2, "{report}");
    let ids = home.csv("SELECT id FROM good.t ORDER BY id");
    assert_eq!(ids, "id\n1\n6\n");
    let folder = crate::hats::tree(&home, "good.t");
    assert!(folder.join("almagest/set-aside.parquet").exists());
    home.almagest(&["catalog", "check", "good.t"]);
}

#[test]
fn a_position_far_beyond_any_turn_says_that_there_is_none() {
    let home = Home::on_a_local_folder();
    fs::write(home.path("some.csv"), "id,ra,dec\n1,-999,-999\n2,-719,1\n3,1079,1\n4,-999,5\n").unwrap();
    let report = home.almagest(&["import", "--table", "good.t", "--json", "--bad-rows", "set-aside", "some.csv"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["report"]["set_aside"]["position out of range"], 2, "{report}");
    assert_eq!(home.csv("SELECT id, ra FROM good.t ORDER BY id"), "id,ra\n2,1.0\n3,359.0\n");
    home.almagest(&[
        "import",
        "--table",
        "good.t",
        "--replace",
        "--sentinel",
        "-999",
        "--bad-rows",
        "set-aside",
        "some.csv",
    ]);
    assert_eq!(home.csv("SELECT COUNT(*) AS n FROM good.t"), "n\n2\n");
}

#[test]
fn a_type_that_is_none_and_one_for_positions_are_refused() {
    let bad = Bad::new();
    fs::write(bad.home.path("star.csv"), STAR).unwrap();
    let output =
        bad.home.command().args(["import", "--table", "bad.t", "--cast", "mag=foo", "star.csv"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("no type foo") && stderr.contains("double"), "{stderr}");
    bad.refuses_arguments(&["--cast", "ra=real", "star.csv"], &["--cast ra", "degrees"]);
}

#[test]
fn names_are_unique_and_may_be_any_letters() {
    let bad = Bad::new();
    bad.refuses("twice.csv", "ra,dec,mag,mag\n1,2,3,4\n", &["twice.csv", "mag"]);
    bad.refuses("unnamed.csv", "ra,dec,,x\n1,2,3,4\n", &["unnamed.csv", "column 3"]);
    fs::write(bad.home.path("ünï.csv"), "ra,dec,größe,星\n1,2,3,α\n").unwrap();
    bad.home.almagest(&["import", "--table", "good.t", "ünï.csv"]);
    let answer = bad.home.csv("SELECT \"größe\", \"星\" FROM good.t");
    assert_eq!(answer, "größe,星\n3,α\n");
}

#[test]
fn two_thousand_columns_are_a_table_like_any_other() {
    let home = Home::on_a_local_folder();
    let names: Vec<String> = (0..2_000).map(|column| format!("c{column}")).collect();
    let mut text = format!("ra,dec,{}\n", names.join(","));
    for row in 0..50 {
        let values: Vec<String> = (0..2_000).map(|column| (row * column).to_string()).collect();
        text += &format!("{row},{row},{}\n", values.join(","));
    }
    fs::write(home.path("wide.csv"), text).unwrap();
    home.almagest(&["import", "--table", "wide.t", "wide.csv"]);
    let answer = home.csv("SELECT SUM(c1999) AS s FROM wide.t");
    assert_eq!(answer, format!("s\n{}\n", (0..50).sum::<u64>() * 1999));
    home.almagest(&["catalog", "check", "wide.t"]);
}

#[test]
fn what_is_damaged_on_its_way_is_refused() {
    let bad = Bad::new();
    let home = &bad.home;
    home.almagest(&["generate", "stars", "--rows", "2000", "--out", "whole.parquet"]);
    let parquet = fs::read(home.path("whole.parquet")).unwrap();
    bad.refuses("cut.parquet", &parquet[..parquet.len() / 2], &["cut.parquet"]);
    home.almagest(&["generate", "stars", "--rows", "2000", "--out", "whole.csv"]);
    let gzip = std::process::Command::new("gzip").arg("-c").arg(home.path("whole.csv")).output().unwrap().stdout;
    bad.refuses("cut.csv.gz", &gzip[..gzip.len() / 2], &["cut.csv.gz", "cut short"]);
    let entities = "<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]>\n\
                    <VOTABLE version=\"1.4\"><RESOURCE><TABLE><FIELD name=\"a\" datatype=\"char\" arraysize=\"*\"/>\
                    <DATA><TABLEDATA><TR><TD>&lol2;</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>";
    bad.refuses("lol.vot", entities, &["lol.vot", "DOCTYPE"]);
    let fits =
        [format!("{:<80}", "SIMPLE  =                    T"), format!("{:<80}", "BITPIX  =                    8")]
            .concat();
    bad.refuses("cut.fits", fits, &["cut.fits"]);
}

#[test]
fn a_value_of_a_gigabyte_is_refused_before_it_fills_the_memory() {
    let bad = Bad::new();
    let mut file = fs::File::create(bad.home.path("huge.csv")).unwrap();
    file.write_all(b"id,ra,dec,text\n1,2,3,ok\n2,3,4,\"").unwrap();
    // A hole of a gigabyte takes no room on the disk.
    file.set_len(1 << 30).unwrap();
    drop(file);
    bad.refuses_arguments(&["huge.csv"], &["huge.csv", "line 3"]);
}

#[test]
fn nested_lists_of_parquet_are_kept() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "500", "--out", "stars.parquet"]);
    home.almagest(&["import", "--table", "nested.t", "stars.parquet"]);
    home.almagest(&["catalog", "check", "nested.t"]);
}

#[test]
fn a_bucket_that_is_not_there_or_may_not_be_read_is_told() {
    let Some(s3) = S3::provided() else {
        return;
    };
    let bad = Bad::new();
    let remote = |secret: &str, source: &str| {
        let output = bad
            .home
            .command()
            .args(["import", "--table", "bad.t", source])
            .env("ALMAGEST__REMOTE__ENDPOINT", &s3.endpoint)
            .env("ALMAGEST__REMOTE__REGION", &s3.region)
            .env("ALMAGEST__REMOTE__ACCESS_KEY_ID", &s3.access_key_id)
            .env("ALMAGEST__REMOTE__SECRET_ACCESS_KEY", secret)
            .env("ALMAGEST__REMOTE__ALLOW_HTTP", "true")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(!stderr.contains(secret), "{stderr}");
        stderr
    };
    let source = format!("s3://{}/no/such/stars.parquet", s3.bucket);
    let absent = remote(&s3.secret_access_key, &source);
    assert!(absent.contains("no such"), "{absent}");
    let forbidden = remote("a wrong secret", &source);
    assert!(
        forbidden.contains("permission") || forbidden.contains("refused") || forbidden.contains("403"),
        "{forbidden}"
    );
    let bucket = remote(&s3.secret_access_key, "s3://no-such-bucket-of-ours/stars.parquet");
    assert!(bucket.contains("no-such-bucket-of-ours"), "{bucket}");
}
