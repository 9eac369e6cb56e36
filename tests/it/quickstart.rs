//! The first run: from nothing to a served sky, and again.

use serde_json::Value;

use crate::harness::{Client, Cone, Home, Server, Stars, post_form};

/// Half of the sky: enough stars of a small one.
const CONE: Cone = Cone { ra: 266.4, dec: -28.9, radius: 90.0 };

#[test]
fn the_first_start_makes_and_serves_a_sky_and_the_second_finds_it() {
    let home = Home::on_a_local_folder();
    let start = || home.quickstart(&["--rows", "2000", "--dir", "store", "--log-format", "json"]);

    let (first, printed) = start();
    for table in ["demo.stars: 2000 rows", "demo.galaxies: 500 rows", "demo.observations: 100 rows"] {
        assert!(first.said().contains(&format!("{table} published as version 1, ")), "{}", first.said());
    }
    answers_what_it_printed(&printed);
    assert_eq!(first.stop().code(), Some(0));
    let made = home.almagest(&["catalog", "list", "--json"]);

    let (second, printed) = start();
    assert!(!second.said().contains("published"), "{}", second.said());
    answers_what_it_printed(&printed);
    assert_eq!(second.stop().code(), Some(0));
    assert_eq!(home.almagest(&["catalog", "list", "--json"]), made, "the versions are those of the first start");
}

/// Sends the query of the printed curl line as curl would.
fn answers_what_it_printed(printed: &str) {
    let line = printed.lines().find_map(|line| line.strip_prefix("curl ")).expect(printed).trim();
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect(line);
    let query = line.split_once("QUERY=\"").and_then(|(_, rest)| rest.strip_suffix('"')).expect(line);
    assert!(line.contains(" -d LANG=ADQL -d FORMAT=csv --data-urlencode "), "{line}");
    let answer = post_form(url, &[("LANG", "ADQL"), ("FORMAT", "csv"), ("QUERY", query)]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text().lines().next(), Some("source_id,ra,dec,phot_g_mean_mag"));
    assert!((2..=6).contains(&answer.text().lines().count()), "{}", answer.text());
}

#[test]
fn every_line_of_the_log_is_json_and_says_which_request_and_which_job_it_is_about() {
    let home = Home::on_a_local_folder();
    let (server, _) = home.quickstart(&["--rows", "2000", "--log-format", "json"]);
    let answer =
        post_form(&format!("{}/sync", server.tap()), &[("LANG", "ADQL"), ("FORMAT", "csv"), ("QUERY", &CONE.adql())]);
    let stars = Stars::from_csv(answer.unwrap().text());
    assert!(stars.0.len() > 100, "{} stars", stars.0.len());
    post_form(&format!("{}/sync", server.tap()), &[("LANG", "ADQL"), ("QUERY", "SELECT nothing FROM demo.stars")])
        .unwrap();
    assert_eq!(ids_of_jobs(&server).len(), 2, "{}", server.said());

    if let Some(client) = Client::python("adbc_flight_sql.py") {
        let expected = home.path("expected.csv");
        stars.write_csv(&expected);
        client.agrees(&[&server.flight(), &CONE.adql(), expected.to_str().unwrap()]);
        assert_eq!(ids_of_jobs(&server).len(), 3, "{}", server.said());
    }
    assert_eq!(server.stop().code(), Some(0));
}

/// The jobs that the log tells of, after a look at each line since the doors are open.
fn ids_of_jobs(server: &Server) -> Vec<String> {
    let said = server.said();
    let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = said.lines().skip_while(|line| !line.contains("\"serving\"")).map(parsed).collect();
    let mut ids = Vec::new();
    // Which tables are served changes by itself, whether or not somebody asks at that moment.
    for line in lines.iter().skip(1).filter(|line| line["target"] != "jobs::served") {
        let id_of = |name: &str| {
            let span = line["spans"].as_array()?.iter().find(|span| span["name"] == name)?;
            span["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
        };
        assert!(id_of("request").is_some(), "no request is named: {line}");
        if line["target"].as_str().unwrap().starts_with("jobs") {
            ids.push(id_of("job").unwrap_or_else(|| panic!("no job is named: {line}")));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn another_sky_than_the_one_that_is_there_is_refused() {
    let home = Home::on_a_local_folder();
    home.almagest(&["quickstart", "--rows", "200", "--no-serve"]);
    home.almagest(&["quickstart", "--no-serve"]);
    let output = home.command().args(["quickstart", "--rows", "201", "--no-serve"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let sentence =
        "almagest: almagest-data holds a sky of 200 stars with seed 1; choose another --dir for another sky\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), sentence);
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_made() {
    let home = Home::on_a_local_folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, key) in [("ALMAGEST__HTTP__LISTEN", "http.listen"), ("ALMAGEST__FLIGHT__LISTEN", "flight.listen")] {
        let mut command = home.command();
        command.env("ALMAGEST__HTTP__LISTEN", "127.0.0.1:0").env("ALMAGEST__FLIGHT__LISTEN", "127.0.0.1:0");
        let output = command.env(variable, &address).args(["quickstart", "--rows", "200"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let sentence = format!(
            "almagest: cannot listen on {address}: it is in use; choose another with {key} in the configuration or \
             {variable}\n"
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), sentence);
        assert!(!home.path("almagest-data").exists());
    }
}
