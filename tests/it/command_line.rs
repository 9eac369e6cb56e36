//! The command as a shell sees it: what it prints where, its exit status, and its configuration.

use std::{
    fs, io,
    process::{Command, Output, Stdio},
};

use crate::harness::Home;

/// The command in a folder where nothing is configured.
fn bare(home: &Home) -> Command {
    let mut command = home.command();
    command.env_remove("ALMAGEST__STORE__URL");
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The one sentence with which a command refused its configuration.
fn refusal(command: &mut Command) -> String {
    let (status, stdout, stderr) = run(command);
    assert_eq!((status, stdout.as_str()), (2, ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.trim_end().strip_prefix("almagest: ").expect(&stderr).to_owned()
}

/// The configuration in force without where its values come from.
fn values(command: &mut Command) -> String {
    let (status, stdout, stderr) = run(command.arg("config"));
    assert_eq!((status, stderr.as_str()), (0, ""));
    let value = |line: &str| line.split(" # ").next().unwrap_or_default().trim_end().to_owned();
    stdout.lines().map(|line| value(line) + "\n").collect()
}

#[test]
fn the_default_file_configures_what_no_file_does() {
    let home = Home::on_a_local_folder();
    let without = values(&mut bare(&home));
    let (status, text, stderr) = run(bare(&home).args(["config", "--default"]));
    assert_eq!((status, stderr.as_str()), (0, ""));
    fs::write(home.path("almagest.toml"), text).unwrap();
    assert_eq!(values(&mut bare(&home)), without);
    assert!(without.contains("listen = \"127.0.0.1:8080\""), "{without}");
}

#[test]
fn the_page_for_operators_is_what_the_program_prints() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let (_, printed, _) = run(bare(&Home::on_a_local_folder()).args(["config", "--default"]));
    let text = fs::read_to_string(page).unwrap();
    let (before, rest) = text.split_once("```toml\n").expect("a block of TOML begins");
    let (block, after) = rest.split_once("```\n").expect("the block of TOML ends");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(page, format!("{before}```toml\n{printed}```\n{after}")).unwrap();
    } else {
        assert!(
            block == printed,
            "docs/configuration.md is not what `almagest config --default` prints; renew it with\n  \
             UPDATE_PAGES=1 cargo test --test it the_page_for_operators"
        );
    }
}

#[test]
fn the_file_is_the_named_one_else_that_of_the_environment_else_the_usual_one() {
    let home = Home::on_a_local_folder();
    let port = |command: &mut Command| {
        let values = values(command);
        let http = values.split_once("[http]\nlisten = \"127.0.0.1:").expect(&values).1.to_owned();
        http.split_once('"').unwrap().0.to_owned()
    };
    for (name, port) in [("almagest.toml", 1), ("by-environment.toml", 2), ("named.toml", 3)] {
        fs::write(home.path(name), format!("[http]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    }
    assert_eq!(port(&mut bare(&home)), "1");
    assert_eq!(port(bare(&home).env("ALMAGEST_CONFIG", "by-environment.toml")), "2");
    let named = ["--config", "named.toml"];
    assert_eq!(port(bare(&home).env("ALMAGEST_CONFIG", "by-environment.toml").args(named)), "3");

    let missing = refusal(bare(&home).args(["--config", "missing.toml", "config"]));
    assert!(missing.starts_with("the configuration file missing.toml cannot be read: "), "{missing}");
}

#[test]
fn the_environment_is_over_the_file_and_flags_are_over_both() {
    let home = Home::on_a_local_folder();
    fs::write(home.path("almagest.toml"), "[log]\nlevel = \"warn\"\n").unwrap();
    let level = |command: &mut Command| {
        let (_, stdout, stderr) = run(command.arg("config"));
        let line = stdout.lines().find(|line| line.starts_with("level = ")).expect(&stderr).to_owned();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(level(&mut bare(&home)), "level = \"warn\" # almagest.toml, line 2, column 9");
    let by_environment = ("ALMAGEST__LOG__LEVEL", "error");
    assert_eq!(
        level(bare(&home).env(by_environment.0, by_environment.1)),
        "level = \"error\" # environment variable ALMAGEST__LOG__LEVEL"
    );
    assert_eq!(
        level(bare(&home).env(by_environment.0, by_environment.1).args(["--log-level", "off"])),
        "level = \"off\" # flag --log-level"
    );
}

#[test]
fn what_is_not_understood_is_refused_with_its_place_and_the_nearest_name() {
    let home = Home::on_a_local_folder();
    for (file, sentence) in [
        (
            "[http]\nlisen = \"127.0.0.1:1\"\n",
            "almagest.toml, line 2, column 1: [http] has no key `lisen`; did you mean `listen`?",
        ),
        ("[htttp]\n", "almagest.toml, line 1, column 2: there is no section [htttp]; did you mean [http]?"),
        (
            "[query]\nmemory = \"4\"\n",
            "query.memory (almagest.toml, line 2, column 10) is the text \"4\"; allowed is a size above zero, such as \
             \"512MiB\", \"4GiB\" or \"4GB\"",
        ),
    ] {
        fs::write(home.path("almagest.toml"), file).unwrap();
        assert_eq!(refusal(bare(&home).arg("config")), sentence);
        assert_eq!(refusal(bare(&home).arg("serve")), sentence, "a server must not start either");
    }
    fs::remove_file(home.path("almagest.toml")).unwrap();
    assert_eq!(
        refusal(bare(&home).env("ALMAGEST__QUERY__TREADS", "2").arg("config")),
        "the environment variable ALMAGEST__QUERY__TREADS names no key; did you mean ALMAGEST__QUERY__THREADS?"
    );
    assert_eq!(
        refusal(bare(&home).args(["--log-format", "xml", "config"])),
        "log.format (flag --log-format) is \"xml\"; allowed is \"human\" or \"json\""
    );
}

#[test]
fn a_secret_is_refused_in_the_file_and_never_shown() {
    let home = Home::on_a_local_folder();
    fs::write(home.path("almagest.toml"), "[store]\nsecret_access_key = \"hunter2\"\n").unwrap();
    let sentence = refusal(bare(&home).arg("config"));
    assert!(sentence.contains("secret_access_key_file = \"PATH\"") && !sentence.contains("hunter2"), "{sentence}");

    fs::write(home.path("almagest.toml"), "[store]\nsecret_access_key_file = \"key\"\n").unwrap();
    fs::write(home.path("key"), "hunter2\n").unwrap();
    let mut command = bare(&home);
    command.env("ALMAGEST__STORE__ACCESS_KEY_ID", "hunter1").args(["--log-level", "trace", "config"]);
    let (status, stdout, stderr) = run(&mut command);
    assert_eq!(status, 0, "{stderr}");
    assert!(!(stdout.clone() + &stderr).contains("hunter"), "{stdout}{stderr}");
    assert!(stdout.contains("# secret_access_key = \"***\""), "{stdout}");
}

#[test]
fn the_exit_status_tells_success_from_failure_from_a_wrong_command_line() {
    let home = Home::on_a_local_folder();
    for arguments in [&["--help"][..], &["--version"], &["import", "--help"], &["completions", "zsh"]] {
        let (status, stdout, stderr) = run(home.command().args(arguments));
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!stdout.is_empty(), "{arguments:?}");
    }
    let (status, stdout, stderr) = run(home.command().args(["import", "--table", "demo.t", "missing.parquet"]));
    assert_eq!((status, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.lines().last().is_some_and(|line| line.starts_with("almagest: ")), "{stderr}");
    assert!(!home.path("store").exists(), "a mistyped first import makes no house");
    for arguments in [
        &[][..],
        &["telescope"],
        &["import", "demo.parquet"],
        &["import", "--table", "stars", "demo.parquet"],
        &["import", "--table", "demo.t", "--ra", "alpha", "demo.parquet"],
        &["query"],
        &["query", "SELECT 1", "-f", "query.adql"],
        &["query", "SELECT 1", "--maxrec", "many"],
        &["generate", "stars", "--rows", "-1", "--out", "stars.parquet"],
        &["generate", "stars", "--rows", "0", "--out", "stars.parquet"],
        &["generate", "stars", "--rows", "10", "--out", "stars.fits"],
        &["quickstart", "--dir", "s3://sky"],
        &["quickstart", "--dir", "s3:/sky"],
        &["quickstart", "--rows", "0"],
    ] {
        let (status, stdout, stderr) = run(home.command().args(arguments));
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_number_that_is_too_large_is_told_apart_from_what_is_no_number() {
    let home = Home::on_a_local_folder();
    for (number, reason) in [("99_999_999_999_999_999_999", "too large"), ("many", "is digits"), ("1_", "is digits")] {
        let (status, _, stderr) = run(home.command().args(["quickstart", "--rows", number]));
        assert!(status == 2 && stderr.contains(reason), "{stderr}");
    }
}

#[test]
fn a_look_at_data_that_are_not_there_makes_none() {
    let home = Home::on_a_local_folder();
    let store = home.path("store");
    for arguments in [&["catalog", "list"][..], &["catalog", "show", "demo.stars"], &["query", "SELECT 1"]] {
        let advice = "`almagest quickstart` or `almagest import` makes one";
        let (status, stdout, stderr) = run(home.command().args(arguments));
        assert_eq!((status, stdout.as_str()), (1, ""), "{stderr}");
        assert_eq!(stderr, format!("almagest: there is no data folder {}; {advice}\n", store.display()));
        assert!(!store.exists(), "{arguments:?}");

        let (status, _, stderr) = run(home.command().env("ALMAGEST__STORE__URL", ".").args(arguments));
        assert_eq!((status, stderr), (1, format!("almagest: there is no metadata database ./almagest.db; {advice}\n")));
        assert!(!home.path("almagest.db").exists(), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_leaves_early_ends_the_command_without_a_word() {
    let home = Home::on_a_local_folder();
    for arguments in [&["config"][..], &["config", "--default"], &["completions", "bash"], &["--help"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (status, _, stderr) = run(home.command().args(arguments).stdout(Stdio::from(writer)));
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}");
    }
}
