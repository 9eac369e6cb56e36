//! The thread through the whole house: a file is generated, imported, queried on the command line, served, and asked for
//! over TAP; each answer is compared, row by row, with a loop over the generated file.

use std::process::ExitStatus;

use url::form_urlencoded;

use crate::harness::{Cone, Home, S3, Stars, get, post_form};

const ROWS: usize = 20_000;

/// A dense field, a field across right ascension 0, and the pole.
pub(crate) const CONES: [Cone; 3] = [
    Cone { ra: 266.4, dec: -28.9, radius: 8.0 },
    Cone { ra: 0.25, dec: 62.0, radius: 12.0 },
    Cone { ra: 123.0, dec: 90.0, radius: 20.0 },
];

/// Makes the demo stars and galaxies, imports them, and returns the stars as they were generated.
pub(crate) fn publish(home: &Home) -> Stars {
    let rows = ROWS.to_string();
    home.almagest(&["generate", "stars", "--rows", &rows, "--out", "stars.parquet"]);
    home.almagest(&["generate", "galaxies", "--rows", "5000", "--out", "galaxies.csv"]);
    home.almagest(&["import", "--table", "demo.stars", "stars.parquet"]);
    home.almagest(&["import", "--table", "demo.galaxies", "galaxies.csv"]);
    let stars = Stars::from_parquet(&home.path("stars.parquet"));
    assert_eq!(stars.0.len(), ROWS);
    stars
}

/// `/tap/sync` with these parameters, for GET.
pub(crate) fn sync_url(tap: &str, fields: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("{tap}/sync?{query}")
}

fn walk(home: &Home) -> ExitStatus {
    let stars = publish(home);
    for cone in &CONES {
        let expected = stars.inside(cone);
        assert!((10..ROWS / 2).contains(&expected.0.len()), "{} stars in {cone:?} test little", expected.0.len());
        let answer = home.almagest(&["query", "--format", "csv", &cone.adql()]);
        assert_eq!(Stars::from_csv(&answer), expected, "{cone:?} on the command line");
    }
    let galaxies = std::fs::read_to_string(home.path("galaxies.csv")).unwrap().lines().count() - 1;
    assert_eq!(galaxies, 1_250, "a quarter of the stars that were asked for");
    let counted = home.almagest(&["query", "--format", "csv", "SELECT COUNT(*) AS n FROM demo.galaxies"]);
    assert_eq!(counted.lines().collect::<Vec<_>>(), ["n", &galaxies.to_string()]);

    let server = home.serve();
    for cone in &CONES {
        let expected = stars.inside(cone);
        let query = cone.adql();
        let mut fields = vec![("LANG", "ADQL"), ("QUERY", query.as_str()), ("RESPONSEFORMAT", "csv")];
        let got = get(&sync_url(&server.tap(), &fields)).unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
        assert!(got.media_type().starts_with("text/csv"), "{}", got.media_type());
        assert_eq!(Stars::from_csv(got.text()), expected, "{cone:?} by GET");
        fields.push(("REQUEST", "doQuery"));
        let posted = post_form(&format!("{}/sync", server.tap()), &fields).unwrap();
        assert_eq!(Stars::from_csv(posted.text()), expected, "{cone:?} by POST");
    }
    server.stop()
}

#[test]
fn a_file_becomes_answers_on_a_local_folder() {
    let end = walk(&Home::on_a_local_folder());
    assert_eq!(end.code(), Some(0), "SIGTERM ends the server in good order");
}

#[test]
fn a_file_becomes_answers_on_s3() {
    let Some(s3) = S3::provided() else { return };
    let end = walk(&Home::on_s3(s3));
    assert_eq!(end.code(), Some(0), "SIGTERM ends the server in good order");
}

#[test]
fn a_query_that_makes_no_sense_is_refused_in_a_votable() {
    let home = Home::on_a_local_folder();
    publish(&home);
    let server = home.serve();
    let query = "SELECT no_such_column FROM demo.stars";
    let refused = get(&sync_url(&server.tap(), &[("LANG", "ADQL"), ("QUERY", query)])).unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.media_type().starts_with("application/x-votable+xml"), "{}", refused.media_type());
    let error = refused.text();
    assert!(error.contains("QUERY_STATUS") && error.contains("ERROR"), "{error}");
    assert!(error.contains("no_such_column"), "{error}");
    let folder = home.path("store");
    assert!(!error.contains(folder.to_str().unwrap()), "a path of the server leaks: {error}");
}
