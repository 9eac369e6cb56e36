//! Imports as an observatory does them: other people's files, child tables, descriptions, addresses.

use std::{
    fs,
    path::PathBuf,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::{
    harness::{Home, files_at},
    interruption::{files_below, wait_until},
};

const STARS: &str = "star_id,ra,dec\n1,10,10\n2,200,-40\n3,200.0001,-40\n4,359.9,89.9\n";

fn home_with(files: &[(&str, &str)]) -> Home {
    let home = Home::on_a_local_folder();
    for (name, text) in files {
        fs::write(home.path(name), text).unwrap();
    }
    home
}

/// The status, stdout and stderr of a command.
fn ended(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = home.command().args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn shown(home: &Home, table: &str) -> Value {
    serde_json::from_str(&home.almagest(&["catalog", "show", table, "--json"])).unwrap()
}

#[test]
fn a_child_table_lies_where_its_director_does_and_a_join_finds_all_its_rows() {
    let mut visits = String::from("visit,star_id,mag\n");
    for visit in 0..400 {
        visits += &format!("{visit},{},{}.5\n", visit % 4 + 1, visit % 20);
    }
    let home = home_with(&[("stars.csv", STARS), ("visits.csv", &visits), ("lost.csv", "visit,star_id\n7,1\n8,99\n")]);
    home.almagest(&["import", "--table", "t.stars", "--id", "star_id", "--max-rows", "1", "stars.csv"]);
    home.almagest(&["import", "--table", "t.visits", "--like", "t.stars", "--key", "star_id", "visits.csv"]);
    home.almagest(&["catalog", "check", "t.visits"]);
    let files = |table| shown(&home, table)["files"].as_u64().unwrap();
    assert_eq!((files("t.stars"), files("t.visits")), (3, 3), "two of the stars are too close");
    let joined = "SELECT s.star_id, COUNT(*) AS n, MIN(v.visit) AS earliest FROM t.stars AS s \
                  JOIN t.visits AS v ON s.star_id = v.star_id GROUP BY s.star_id ORDER BY s.star_id";
    assert_eq!(home.csv(joined), "star_id,n,earliest\n1,100,0\n2,100,1\n3,100,2\n4,100,3\n");
    let about = home.almagest(&["catalog", "show", "t.visits"]);
    assert!(about.contains("Child of t.stars by star_id = star_id"), "{about}");

    // A child without a director is told by its line, or set aside.
    let import = ["import", "--table", "t.lost", "--like", "t.stars", "--key", "star_id", "lost.csv"];
    let (status, _, told) = ended(&home, &import);
    assert!(status == 1 && told.contains("lost.csv: line 3: the director table has no row"), "{told}");
    home.almagest(&[&import[..], &["--bad-rows", "set-aside"]].concat());
    assert_eq!(home.csv("SELECT COUNT(*) AS n FROM t.lost"), "n\n1\n");
    let absent = ended(&home, &["import", "--table", "t.x", "--like", "t.no", "--key", "star_id", "lost.csv"]);
    assert_eq!((absent.0, absent.2.as_str()), (1, "almagest: --like: there is no table t.no\n"));
}

/// A FITS file with one binary table: positions in degrees and a magnitude, each with its unit.
fn fits() -> Vec<u8> {
    let header = |cards: &[&str]| {
        let mut text: String = cards.iter().chain(&["END"]).map(|card| format!("{card:<80}")).collect();
        text += &" ".repeat((2880 - text.len() % 2880) % 2880);
        text.into_bytes()
    };
    let mut file =
        header(&["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"]);
    file.extend(header(&[
        "XTENSION= 'BINTABLE'",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =                   20",
        "NAXIS2  =                    1",
        "PCOUNT  =                    0",
        "GCOUNT  =                    1",
        "TFIELDS =                    3",
        "TTYPE1  = 'ra'",
        "TFORM1  = 'D'",
        "TUNIT1  = 'deg'",
        "TTYPE2  = 'dec'",
        "TFORM2  = 'D'",
        "TUNIT2  = 'deg'",
        "TTYPE3  = 'mag'",
        "TFORM3  = 'E'",
        "TUNIT3  = 'mag'",
    ]));
    let mut rows = [10.5_f64.to_be_bytes().as_slice(), &(-20.25_f64).to_be_bytes(), &12.5_f32.to_be_bytes()].concat();
    rows.resize(2880, 0);
    file.extend(rows);
    file
}

const ECSV: &str = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, unit: deg, datatype: float64}\n\
                    # - {name: dec, unit: deg, datatype: float64}\n# - {name: mag, unit: mag, datatype: float32}\n\
                    # schema: astropy-2.0\nra dec mag\n10.5 -20.25 12.5\n";

const VOTABLE: &str = r#"<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="ra" datatype="double" unit="deg"/><FIELD name="dec" datatype="double" unit="deg"/>
<FIELD name="mag" datatype="float" unit="mag"/>
<DATA><TABLEDATA><TR><TD>10.5</TD><TD>-20.25</TD><TD>12.5</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"#;

#[test]
fn units_arrive_from_ecsv_fits_and_votable_in_the_description_and_in_answers() {
    let home = home_with(&[("a.ecsv", ECSV), ("c.vot", VOTABLE)]);
    fs::write(home.path("b.fits"), fits()).unwrap();
    for file in ["a.ecsv", "b.fits", "c.vot"] {
        home.almagest(&["import", "--table", "t.one", "--replace", file]);
        let columns = shown(&home, "t.one")["columns"].clone();
        let units: Vec<_> = columns.as_array().unwrap().iter().map(|column| column["unit"].as_str()).collect();
        assert_eq!(units, [None, Some("deg"), Some("deg"), Some("mag")], "{file}");
        let answer = home.almagest(&["query", "--format", "votable", "SELECT ra, dec, mag FROM t.one"]);
        assert!(answer.contains(r#"name="mag" datatype="float" unit="mag""#), "{file}: {answer}");
        assert!(answer.contains("<TD>10.5</TD><TD>-20.25</TD><TD>12.5</TD>"), "{file}: {answer}");
    }
    // All three together are one table.
    home.almagest(&["import", "--table", "t.three", "a.ecsv", "b.fits", "c.vot"]);
    assert_eq!(home.csv("SELECT mag, COUNT(*) AS n FROM t.three GROUP BY mag"), "mag,n\n12.5,3\n");
}

#[test]
fn what_a_felis_file_describes_is_served_and_written_again() {
    let described = "name: survey\ntables:\n- name: stars\n  description: The stars\n  columns:\n\
                     \x20 - {name: star_id, datatype: long, description: Which star, ivoa:ucd: meta.id}\n\
                     \x20 - {name: ra, datatype: double, fits:tunit: deg}\n\
                     \x20 - {name: dec, datatype: double, fits:tunit: deg}\n";
    let home = home_with(&[("stars.csv", STARS), ("survey.yaml", described), ("broken.yaml", "- name: 'x")]);
    home.almagest(&["import", "--table", "t.stars", "--metadata", "survey.yaml", "stars.csv"]);
    let written = home.almagest(&["catalog", "show", "t.stars", "--felis"]);
    for words in ["description: \"The stars\"", "\"Which star\"", "\"meta.id\"", "\"deg\""] {
        assert!(written.contains(words), "{words} is not in {written}");
    }
    fs::write(home.path("again.yaml"), &written).unwrap();
    let (status, _, told) = ended(&home, &["import", "--table", "u.stars", "--metadata", "again.yaml", "stars.csv"]);
    assert_eq!(status, 0, "{told}");
    assert_eq!(
        home.almagest(&["catalog", "show", "u.stars", "--felis"]),
        written.replace("\"t\"", "\"u\"").replace("#t", "#u")
    );
    let refused =
        |arguments: &[&str]| ended(&home, &[&["import", "--table", "x.y", "stars.csv"], arguments].concat()).2;
    assert!(refused(&["--metadata", "broken.yaml"]).starts_with("almagest: broken.yaml: "));
    assert!(refused(&["--metadata", "survey.yaml", "--metadata-table", "no"]).starts_with("almagest: survey.yaml: "));
}

#[test]
fn a_file_of_a_web_server_is_imported_and_a_tree_attached_where_plain_http_is_allowed() {
    let home = home_with(&[("stars.csv", STARS)]);
    let address = files_at(home.path(""));
    let url = format!("http://{address}/stars.csv");
    let import = ["import", "--table", "t.stars", &url];
    let (status, _, told) = ended(&home, &import);
    assert!(status == 1 && told.contains("remote.allow_http = true"), "{told}");
    let allowed = |arguments: &[&str]| {
        let output = home.command().args(arguments).env("ALMAGEST__REMOTE__ALLOW_HTTP", "true").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(allowed(&import).0, 0);
    assert_eq!(home.csv("SELECT COUNT(*) AS n FROM t.stars"), "n\n4\n");
    let (status, told) = allowed(&["import", "--table", "t.no", &format!("http://{address}/no.csv")]);
    assert!(status == 1 && told.contains("/no.csv: there is no such file"), "{told}");

    let tree = format!("http://{address}/store/{}/stars", shown(&home, "t.stars")["folder"].as_str().unwrap());
    let (status, told) = allowed(&["attach", &tree, "--table", "t.far"]);
    assert!(status == 0 && told.contains("t.far: 4 rows published as version 1, 3 files where they are"), "{told}");
    assert!(told.contains("t.far: its folder cannot be listed"), "{told}");
    assert_eq!(allowed(&["catalog", "check", "t.far"]).0, 0);
    assert_eq!(allowed(&["catalog", "gc", "--older-than", "0s"]), (0, "there is nothing to delete\n".into()));
}

#[test]
fn a_dry_run_makes_nothing_at_all() {
    let home = home_with(&[("stars.csv", STARS)]);
    let (status, stdout, told) = ended(&home, &["import", "--table", "t.stars", "--dry-run", "stars.csv"]);
    assert_eq!((status, stdout.as_str()), (0, ""), "{told}");
    assert!(told.contains("4 rows would be published"), "{told}");
    assert_eq!(files_below(&home.path("")), [home.path("stars.csv")]);
    assert!(!home.path("store").exists());
    home.almagest(&["import", "--table", "t.stars", "stars.csv"]);
    let before = home.almagest(&["catalog", "versions", "t.stars", "--json"]);
    let told = home.almagest(&["import", "--table", "t.stars", "--append", "--dry-run", "--json", "stars.csv"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["report"]["rows_read"], 4);
    assert_eq!(home.almagest(&["catalog", "versions", "t.stars", "--json"]), before);
}

#[test]
fn what_was_finished_outlives_a_command_with_other_options() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "20_000", "--out", "stars.parquet"]);
    let import = ["import", "--table", "t.stars", "--max-rows", "400", "--index", "source_id", "stars.parquet"];
    let mut child = home.command().args(import).stderr(Stdio::null()).spawn().unwrap();
    let catalogs = home.path("store/catalogs");
    let is_noted = |path: &PathBuf| path.ends_with("almagest/journal/leaves-0.parquet");
    wait_until("finished partitions", || files_below(&catalogs).iter().any(is_noted));
    child.kill().unwrap();
    child.wait().unwrap();

    let (status, _, told) = ended(&home, &import);
    assert!(status == 1 && told.contains("--resume goes on with it, --restart clears it away"), "{told}");
    let other = ["import", "--table", "t.stars", "--max-rows", "500", "stars.parquet", "--resume"];
    let (status, _, told) = ended(&home, &other);
    assert!(status == 1 && told.contains("begun with other options"), "{told}");
    let (status, _, told) = ended(&home, &[&import[..], &["--resume"]].concat());
    assert!(status == 0 && told.contains("resumed"), "{told}");
    home.almagest(&["catalog", "check", "t.stars"]);

    let other = [&import[..], &["--replace", "--resume", "--version-note", "another"]].concat();
    let (status, _, told) = ended(&home, &other);
    assert!(status == 0 && told.contains("there is nothing to go on with; it begins anew"), "{told}");
}

/// Who was killed with the last step behind him does not know it.
#[test]
fn what_has_ended_is_not_done_again_by_going_on_with_it() {
    let home = Home::on_a_local_folder();
    for (seed, name) in [("1", "first.parquet"), ("2", "second.parquet")] {
        home.almagest(&["generate", "stars", "--rows", "1_000", "--seed", seed, "--out", name]);
    }
    let rows = || {
        let answer = home.almagest(&["query", "--format", "csv", "SELECT COUNT(*) AS n FROM t.stars"]);
        answer.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let first = ["import", "--table", "t.stars", "first.parquet"];
    let append = ["import", "--table", "t.stars", "--append", "second.parquet"];
    home.almagest(&first);
    let (status, _, told) = ended(&home, &[&first[..], &["--resume"]].concat());
    assert!(status == 0 && told.contains("this import has ended and its rows are served"), "{told}");
    let (status, _, told) = ended(&home, &[&first[..], &["--resume", "--description", "other"]].concat());
    assert!(status == 1 && told.contains("there is a table t.stars already"), "{told}");

    home.almagest(&append);
    assert_eq!(rows(), 2_000);
    for again in [&append[..], &["import", "--table", "t.stars", "--append", "first.parquet"]] {
        let (status, _, told) = ended(&home, &[again, &["--resume"]].concat());
        assert_eq!(status, 0, "{told}");
    }
    assert_eq!(rows(), 3_000, "the second is there once; the first was never appended");
}

#[test]
fn a_version_has_its_number_for_ever() {
    let home = home_with(&[("stars.csv", STARS)]);
    home.almagest(&["import", "--table", "t.stars", "stars.csv"]);
    home.almagest(&["catalog", "drop", "T.Stars"]);
    home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    let (status, _, told) = ended(&home, &["catalog", "versions", "t.stars"]);
    assert!(status == 1 && told.contains("there is no table t.stars"), "{told}");
    home.almagest(&["import", "--table", "t.stars", "stars.csv"]);
    assert_eq!(shown(&home, "t.stars")["version"], 2);
}

#[test]
fn rows_that_wait_need_a_folder_that_can_be_written() {
    let home = home_with(&[("stars.csv", STARS), ("a file", "")]);
    let spill = home.path("a file").join("spill");
    let mut import = home.command();
    import.args(["import", "--table", "t.stars", "stars.csv"]).env("ALMAGEST__IMPORT__SPILL", &spill);
    let Output { status, stderr, .. } = import.output().unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(1) && told.lines().count() == 1 && told.contains("a file/spill"), "{told}");
    assert!(files_below(&home.path("store/catalogs")).is_empty());
    home.almagest(&["import", "--table", "t.stars", "stars.csv"]);
}
