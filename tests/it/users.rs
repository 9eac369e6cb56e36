//! Users, tokens, groups and who may see a table, from the command line.

use std::{
    io::Write,
    process::{Output, Stdio},
};

use crate::{
    harness::{Home, get},
    interruption::wait_until,
    thread::sync_url,
};

/// Runs a command with a line on its stdin. Returns whether it succeeded, and what it wrote to stdout and stderr.
fn with_password(home: &Home, password: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = home.command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn an_operator_makes_users_groups_and_tokens_and_reads_what_was_done() {
    let home = Home::on_a_local_folder();
    home.almagest(&["group", "add", "team"]);
    let (made, said) = with_password(&home, "correct horse", &["user", "add", "Ada", "--group", "team"]);
    assert!(made && !said.contains("correct"), "{said}");
    let (made, said) = with_password(&home, "short", &["user", "add", "bob"]);
    assert!(!made && said.contains("at least 8 characters"), "{said}");
    let (made, said) = with_password(&home, "correct horse", &["user", "add", "ada"]);
    assert!(!made && said.contains("there is a user ada already"), "{said}");
    assert!(with_password(&home, "battery staple", &["user", "passwd", "ada"]).0);
    home.almagest(&["user", "disable", "ada"]);
    let users = home.almagest(&["user", "list", "--json"]);
    assert!(users.contains(r#""user":"ada""#) && users.contains(r#""disabled":true"#), "{users}");
    assert!(users.contains(r#""groups":["team"]"#) && !users.contains("argon2"), "{users}");
    home.almagest(&["user", "enable", "ada"]);

    let token = home.almagest(&["token", "create", "ada", "--label", "nightly", "--expires", "2d"]);
    assert!(token.starts_with("almagest_") && token.trim_end().len() == 52, "{token}");
    let tokens = home.almagest(&["token", "list", "ada"]);
    assert!(tokens.contains("nightly") && !tokens.contains(token.trim_end()), "{tokens}");
    let id = tokens.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    home.almagest(&["token", "revoke", id]);
    assert!(home.almagest(&["token", "list"]).contains("revoked"));
    assert_eq!(home.almagest(&["group", "members", "team", "--remove", "ada"]).trim(), "");
    let log = home.almagest(&["user", "log"]);
    for done in ["add user", "change password", "disable user", "create token", "revoke token", "remove member"] {
        assert!(log.contains(done), "{done}:\n{log}");
    }
    assert!(!log.contains("horse") && !log.contains("staple") && !log.contains("almagest_"), "{log}");
}

#[test]
fn a_restricted_table_is_not_there_for_who_did_not_sign_in_and_is_for_the_operator() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "1000", "--out", "stars.parquet"]);
    home.almagest(&["group", "add", "team"]);
    home.almagest(&["catalog", "visibility", "demo.secret", "group:team", "release:2999-01-01"]);
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    home.almagest(&["import", "--table", "demo.secret", "stars.parquet"]);
    let server = home.serve();
    let ask = |table: &str| {
        let query = format!("SELECT COUNT(*) AS n FROM {table}");
        get(&sync_url(&server.tap(), &[("LANG", "ADQL"), ("QUERY", &query), ("FORMAT", "csv")])).unwrap()
    };
    assert_eq!(ask("demo.stars").status, 200);
    let (secret, nosuch) = (ask("demo.secret"), ask("demo.nosuch"));
    assert_eq!((secret.status, nosuch.status), (400, 400));
    let page = get(&server.url()).unwrap();
    assert!(page.text().contains("demo.stars") && !page.text().contains("secret"), "{}", page.text());
    assert_eq!(secret.text().replace("secret", "nosuch"), nosuch.text());
    assert_eq!(home.csv("SELECT COUNT(*) AS n FROM demo.secret"), "n\n1000\n", "the operator sees it");
    assert!(home.almagest(&["catalog", "visibility", "demo.secret"]).contains("members of team; everybody from 2999"));
    home.almagest(&["catalog", "visibility", "demo.secret", "public"]);
    wait_until("the table is public", || ask("demo.secret").status == 200);
    server.stop();
}
