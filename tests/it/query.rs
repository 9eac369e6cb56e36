//! `almagest query`: places, servers, formats, and how it ends.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::{Client, Home},
    hats::tree,
    interruption::{files_below, wait_until},
};

const STARS: &str = "3_000";

/// A home with nothing but files of stars, and no configuration that would lead anywhere.
fn with_files() -> Home {
    let home = Home::on_a_local_folder();
    for file in ["stars.parquet", "stars.csv"] {
        home.almagest(&["generate", "stars", "--rows", STARS, "--out", file]);
    }
    fs::create_dir(home.path("tmp")).unwrap();
    home
}

/// The command with a folder for temporary files of its own, which must be empty at the end.
fn asking(home: &Home) -> Command {
    let mut command = home.command();
    command.arg("query").env("TMPDIR", home.path("tmp"));
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn answered(command: &mut Command) -> String {
    let (status, stdout, stderr) = run(command);
    assert_eq!(status, 0, "{command:?}: {stderr}");
    stdout.replace("\r\n", "\n")
}

fn refused(command: &mut Command) -> String {
    let (status, stdout, stderr) = run(command);
    assert_eq!((status, stdout.as_str()), (1, ""), "{command:?}: {stderr}");
    stderr
}

#[test]
fn files_and_catalogues_are_asked_where_they_lie_and_nothing_is_left_behind() {
    let home = with_files();
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    let hats = tree(&home, "demo.stars").display().to_string();
    answered(asking(&home).args([
        "--on",
        "stars.parquet",
        "-o",
        "few.vot",
        "SELECT TOP 50 * FROM stars ORDER BY source_id",
    ]));
    fs::create_dir(home.path("parts")).unwrap();
    fs::copy(home.path("stars.parquet"), home.path("parts/a.parquet")).unwrap();
    fs::copy(home.path("stars.parquet"), home.path("parts/b.parquet")).unwrap();
    fs::rename(home.path("store"), home.path("elsewhere")).unwrap(); // nothing is published from here on
    let hats = hats.replace("/store/", "/elsewhere/");

    let cone = "1=CONTAINS(POINT(ra, dec), CIRCLE(266.4, -28.9, 9))";
    let count = |on: &str, condition: &str| {
        let query = format!("SELECT COUNT(*) AS n FROM t WHERE {condition}");
        answered(asking(&home).args(["--format", "csv", "--on", &format!("{on}=t"), &query]))
    };
    let inside = count("stars.parquet", cone);
    assert_ne!(inside, "n\n0\n");
    for place in ["stars.csv", &hats, &format!("file://{hats}")] {
        assert_eq!(count(place, "ra >= 0"), "n\n3000\n", "{place}");
        assert_eq!(count(place, cone), inside, "{place}");
    }
    assert_eq!(count("parts", "ra >= 0"), "n\n6000\n");
    assert_eq!(count("*.csv", "ra >= 0"), "n\n3000\n");
    assert_eq!(count("few.vot", "ra >= 0"), "n\n50\n");

    let join = "SELECT COUNT(*) AS n FROM stars AS a JOIN here.few AS b ON a.source_id = b.source_id";
    let joined = answered(asking(&home).args(["--format", "csv", "--on", "stars.csv", "--on", "few.vot", join]));
    assert_eq!(joined, "n\n50\n");
    assert_eq!(files_below(&home.path("tmp")), Vec::<std::path::PathBuf>::new());
    assert!(!home.path("store").exists() && !home.path("almagest-data").exists());
}

#[test]
fn a_place_that_cannot_be_asked_is_told_by_name() {
    let home = with_files();
    fs::write(home.path("bad.csv"), "a,b\n1,2\n3,4,5\n").unwrap();
    fs::write(home.path("bad.parquet"), "PAR1").unwrap();
    fs::create_dir(home.path("empty")).unwrap();
    for (places, says) in [
        (&["no.csv"][..], "no.csv"),
        (&["no.parquet"], "no.parquet"),
        (&["bad.csv"], "bad.csv"),
        (&["bad.parquet"], "bad.parquet"),
        (&["empty"], "no Parquet file"),
        (&["stars.csv", "stars.parquet"], "two places are called stars"),
        (&["stars.csv=t"], "there is no table stars"),
    ] {
        let places = places.iter().flat_map(|place| ["--on", place]);
        let sentence = refused(asking(&home).args(places).arg("SELECT * FROM stars"));
        assert!(sentence.contains(says) && sentence.lines().count() == 1, "{sentence}");
    }
    assert_eq!(files_below(&home.path("tmp")), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_server_answers_in_any_format_and_its_sentences_are_passed_on() {
    let home = with_files();
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    let server = home.serve();
    let address = server.flight();
    let query = "SELECT source_id, ra, bp_rp, name, flux FROM demo.stars ORDER BY source_id";
    for format in ["csv", "json", "votable"] {
        let arguments = ["--format", format, query];
        let there = answered(asking(&home).args(["--server", &address]).args(arguments));
        assert_eq!(there, answered(asking(&home).args(arguments)), "{format}");
    }
    let (status, stdout, stderr) =
        run(asking(&home).args(["--server", &address, "--format", "csv", "--maxrec", "2", query]));
    assert_eq!((status, stdout.lines().count()), (0, 3));
    assert_eq!(stderr, "almagest: the answer was cut after 2 rows; --maxrec asks for more\n");
    let sql = [
        "--lang",
        "sql",
        "--format",
        "csv",
        "SELECT count(*) FILTER (WHERE ra > 180) + count(*) FILTER (WHERE ra <= 180) AS n FROM stars",
    ];
    assert_eq!(answered(asking(&home).args(["--server", &address]).args(sql)), "n\n3000\n");

    let mistake = refused(asking(&home).args(["--server", &address, "SELECT ra FROM demo.nothing"]));
    assert_eq!(mistake, refused(asking(&home).arg("SELECT ra FROM demo.nothing")));
    assert!(mistake.contains("demo.nothing") && mistake.contains("line 1"), "{mistake}");
    server.stop();
    let gone = refused(asking(&home).args(["--server", &address, query]));
    assert!(gone.starts_with(&format!("almagest: no server answers at {address}")), "{gone}");
}

#[test]
fn every_format_is_read_back_by_a_reader_of_somebody_else() {
    let Some(reader) = Client::python("answer_formats.py") else { return };
    let home = with_files();
    let rows = "SELECT column1 AS id, column2 AS name, column3 AS flux, CAST(column4 AS TIMESTAMP) AS t FROM (VALUES \
                (4295806720123456789, '★ \"é\", x\nline <&>', [1.5, NULL], '2026-01-02T03:04:05.678'), \
                (NULL, NULL, NULL, NULL), (-1, '', [0.25], '1900-01-01T00:00:00')) AS v";
    let expected = json!([
        { "id": 4_295_806_720_123_456_789_i64, "name": "★ \"é\", x\nline <&>", "flux": [1.5, null],
          "t": "2026-01-02T03:04:05.678" },
        { "id": null, "name": null, "flux": null, "t": null },
        { "id": -1, "name": "", "flux": [0.25], "t": "1900-01-01T00:00:00.000" },
    ]);
    let wanted = home.path("expected.json");
    fs::write(&wanted, expected.to_string()).unwrap();
    for format in ["csv", "json", "ndjson", "parquet", "arrow", "votable"] {
        let ending = match format {
            "votable" => "vot",
            "arrow" => "arrows", // a stream: what ends in .arrow is a file
            other => other,
        };
        let file = home.path(&format!("answer.{ending}"));
        let place = file.to_str().unwrap();
        // The ending of the name says the format.
        answered(asking(&home).args(["--on", "stars.csv", "--lang", "sql", "-o", place, rows]));
        reader.agrees(&[format, place, wanted.to_str().unwrap()]);
        let piped =
            asking(&home).args(["--on", "stars.csv", "--lang", "sql", "--format", format, rows]).output().unwrap();
        assert!(piped.status.success() && piped.stdout == fs::read(&file).unwrap(), "{format}");
    }
    let table = answered(asking(&home).args(["--on", "stars.csv", "--lang", "sql", rows]));
    assert!(table.contains("| 4295806720123456789 | ★ \"é\", x\\nline <&> |") && table.contains("NULL"), "{table}");
}

#[test]
fn an_output_is_complete_or_not_there_and_an_old_one_stays() {
    let home = with_files();
    let stars = ["--on", "stars.parquet"];
    fs::write(home.path("old.csv"), "old").unwrap();
    let refusals = [
        ("SELECT no_such_column FROM stars", &[][..]),
        ("SELECT to_timestamp(coalesce(name, 'x')) AS t FROM stars", &["--lang", "sql"]),
    ];
    for (query, more) in refusals {
        refused(asking(&home).args(stars).args(more).args(["-o", "old.csv", query]));
        refused(asking(&home).args(stars).args(more).args(["-o", "new.csv", query]));
    }
    let long = "SELECT a.ra, b.dec, c.ra AS r FROM stars AS a, stars AS b, stars AS c";
    let (status, _, stderr) = run(asking(&home).args(stars).args([
        "-o",
        "old.csv",
        "--maxrec",
        "9_000_000_000",
        "--timeout",
        "1500ms",
        long,
    ]));
    assert_eq!(status, 1);
    assert_eq!(stderr, "almagest: not answered within 1.5s (--timeout); the query was cancelled\n");
    assert_eq!(fs::read_to_string(home.path("old.csv")).unwrap(), "old");
    let left = fs::read_dir(home.path(".")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<String> = left.collect();
    left.sort();
    assert_eq!(left, ["old.csv", "stars.csv", "stars.parquet", "tmp"]);

    answered(asking(&home).args(stars).args(["-o", "old.csv", "SELECT COUNT(*) AS n FROM stars"]));
    assert_eq!(fs::read_to_string(home.path("old.csv")).unwrap(), "n\r\n3000\r\n");
    answered(asking(&home).args(stars).args(["-o", "/dev/null", "SELECT * FROM stars"]));
}

#[test]
fn a_signal_ends_a_query_at_once_with_the_status_that_a_shell_expects() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let home = with_files();
        // One that waits for its first row, and one that writes.
        for (query, written) in [
            ("SELECT COUNT(*) AS n FROM stars AS a, stars AS b, stars AS c WHERE a.ra + b.ra + c.ra < 0", false),
            ("SELECT a.ra, b.ra AS r, c.dec FROM stars AS a, stars AS b, stars AS c", true),
        ] {
            let arguments = ["--on", "stars.parquet", "-o", "out.csv", "--maxrec", "90_000_000_000", query];
            let child = asking(&home).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
            let unfinished = |path: &Path| path.to_string_lossy().ends_with(".unfinished");
            wait_until("the query", || {
                let files = files_below(&home.path("."));
                files.iter().any(|path| unfinished(path) && (!written || fs::metadata(path).is_ok_and(|m| m.len() > 0)))
            });
            let begun = Instant::now();
            let kill = format!("kill -{signal} {}", child.id());
            assert!(Command::new("sh").arg("-c").arg(kill).status().unwrap().success());
            let output = child.wait_with_output().unwrap();
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            assert_eq!(output.status.code(), Some(status));
            assert_eq!(String::from_utf8(output.stderr).unwrap(), "almagest: interrupted; the query was cancelled\n");
            assert!(!files_below(&home.path(".")).iter().any(|path| unfinished(path)));
            assert_eq!(files_below(&home.path("tmp")), Vec::<std::path::PathBuf>::new());
        }
    }
}

#[test]
fn the_exit_status_tells_a_bad_query_from_a_bad_command_line() {
    let home = with_files();
    for arguments in [
        &["--on", "stars.csv", "--server", "grpc://127.0.0.1:1", "SELECT 1"][..],
        &["--server", "http://127.0.0.1:8080", "SELECT 1"],
        &["--on", "2mass.csv", "SELECT 1"],
        &["--explain", "--estimate", "SELECT 1"],
        &["--timeout", "soon", "SELECT 1"],
        &["--timeout", "0s", "SELECT 1"],
        &["--format", "asdf", "SELECT 1"],
        &["SELECT 1", "-f", "q.sql"],
    ] {
        let (status, stdout, stderr) = run(asking(&home).args(arguments));
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
    }
    let mistake = refused(asking(&home).args(["--on", "stars.csv", "SELECT\n  no_such FROM stars"]));
    assert!(mistake.contains("no_such") && mistake.contains("line 2"), "{mistake}");
    let help = answered(asking(&home).arg("--help"));
    assert!(help.contains("Examples:") && help.contains("Exit status"), "{help}");
}

#[test]
fn a_query_is_explained_and_its_cost_is_told_before_it_runs() {
    let home = with_files();
    home.almagest(&["import", "--table", "demo.stars", "--max-rows", "300", "stars.parquet"]);
    let cone = "SELECT ra FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(266.4, -28.9, 1))";
    for flag in ["--explain", "--estimate"] {
        let told = answered(asking(&home).args([flag, cone]));
        assert!(told.contains("files") && told.lines().count() > 1, "{flag}: {told}");
        let mistake = refused(asking(&home).args([flag, "SELECT no_such FROM demo.stars"]));
        assert!(mistake.contains("no_such"), "{mistake}");
    }
    let told: Value = serde_json::from_str(&answered(asking(&home).args(["--estimate", "--json", cone]))).unwrap();
    let number = |key: &str| told[key].as_u64().unwrap_or_else(|| panic!("{key}: {told}"));
    assert!(number("files") < number("files_total") && number("bytes") > 0, "{told}");
    assert!(number("rows_least") <= number("rows_most") && number("rows_most") < 3_000, "{told}");
    let words = answered(asking(&home).args(["--explain", cone]));
    for fact in ["Table demo.stars, version 1, ", "By their part of the sky", "CONTAINS(POINT(ra, dec), CIRCLE(266.4"] {
        assert!(words.contains(fact), "{fact}: {words}");
    }
    let asked = answered(asking(&home).args(["--format", "csv", &format!("EXPLAIN {cone}")]));
    assert!(asked.contains("By their part of the sky"), "{asked}");
    let server = home.serve();
    let told = answered(asking(&home).args(["--server", &server.flight(), "--explain", cone]));
    assert_eq!(told, words);
}

#[test]
fn old_versions_are_asked_by_their_number_and_a_schema_may_be_left_out() {
    let home = with_files();
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    home.almagest(&["generate", "stars", "--rows", "1_000", "--seed", "2", "--out", "fewer.parquet"]);
    home.almagest(&["import", "--table", "demo.stars", "--replace", "fewer.parquet"]);
    home.almagest(&["import", "--table", "other.stars", "fewer.parquet"]);
    let count = |table: &str, lang: &str| {
        let query = format!("SELECT COUNT(*) AS n FROM {table}");
        answered(asking(&home).args(["--format", "csv", "--lang", lang, &query]))
    };
    for lang in ["adql", "sql"] {
        assert_eq!(count("demo.stars", lang), "n\n1000\n");
        assert_eq!(count("demo.stars@1", lang), "n\n3000\n", "{lang}");
        assert_eq!(count("demo.stars@2", lang), "n\n1000\n", "{lang}");
        assert_eq!(
            count("demo.stars@1 AS a JOIN demo.stars AS b ON a.source_id = b.source_id - 0", lang).lines().count(),
            2
        );
    }
    let refusal = |table: &str| refused(asking(&home).arg(format!("SELECT * FROM {table}")));
    assert!(refusal("demo.stars@3").contains("there is no version 3 of demo.stars"), "{}", refusal("demo.stars@3"));
    assert!(refusal("stars").contains("demo.stars"), "{}", refusal("stars"));
    home.almagest(&["catalog", "gc", "--older-than", "0s"]);
    let collected = refusal("demo.stars@1");
    assert!(collected.contains("version 1 of demo.stars was collected"), "{collected}");

    let unqualified = ["--format", "csv", "SELECT COUNT(*) AS n FROM stars"];
    let found = answered(asking(&home).args(unqualified).env("ALMAGEST__QUERY__DEFAULT_SCHEMA", "demo"));
    assert_eq!(found, "n\n1000\n");
}

/// The fenced blocks of a page in these languages, with the line that each begins at.
fn blocks(page: &str) -> Vec<(usize, String, String)> {
    let (mut found, mut open) = (Vec::new(), None::<(usize, String, String)>);
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(lang), None) => open = Some((number + 1, lang.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, _, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn every_example_of_the_page_on_queries_runs_over_the_data_of_quickstart() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/queries.md")).unwrap();
    let home = Home::on_a_local_folder();
    home.almagest(&["quickstart", "--rows", "20_000", "--no-serve"]);
    home.almagest(&["generate", "stars", "--rows", "500", "--out", "stars.parquet"]);
    home.almagest(&["generate", "galaxies", "--rows", "500", "--out", "mine.csv"]);
    let program = Path::new(env!("CARGO_BIN_EXE_almagest")).parent().unwrap().display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap());
    let (mut run_count, mut failures) = (0, Vec::new());
    for (line, lang, text) in blocks(&page) {
        let mut command = match lang.as_str() {
            "adql" | "sql" => {
                let mut command = home.command();
                command.args(["query", "--format", "json", "--lang", &lang, &text]);
                command
            }
            "sh" => {
                let mut command = Command::new("sh");
                command.current_dir(home.path(".")).args(["-e", "-c", &text]);
                command
            }
            _ => continue,
        };
        let (status, stdout, stderr) = run(command.env("PATH", &path).env("ALMAGEST__STORE__URL", "almagest-data"));
        run_count += 1;
        let rows = serde_json::from_str::<Value>(&stdout).map(|rows| rows.as_array().map_or(0, Vec::len));
        if status != 0 || (lang != "sh" && !rows.is_ok_and(|rows| rows > 0)) {
            failures.push(format!("line {line} ({lang}), status {status}: {stderr}{text}"));
        }
    }
    assert!(failures.is_empty(), "{} of {run_count} examples:\n{}", failures.len(), failures.join("\n"));
    assert!(run_count > 20, "only {run_count} examples were found");
}
