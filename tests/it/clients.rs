//! Third-party clients against a running server. What they read, they compare with a file of the right rows, which comes
//! from a loop over the generated stars.

use crate::harness::{Client, Home, Server, get};
use crate::thread::{CONES, publish, sync_url};

/// Publishes the demo sky, serves it, and has the client ask for each cone at this door.
fn agrees(client: &Client, door: impl Fn(&Server) -> String) {
    let home = Home::on_a_local_folder();
    let stars = publish(&home);
    let server = home.serve();
    let expected = home.path("expected.csv");
    for cone in &CONES {
        stars.inside(cone).write_csv(&expected);
        client.agrees(&[&door(&server), &cone.adql(), expected.to_str().unwrap()]);
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn adbc_reads_the_same_rows_over_flight_sql() {
    let Some(client) = Client::python("adbc_flight_sql.py") else {
        return;
    };
    agrees(&client, Server::flight);
}

#[test]
fn pyvo_reads_the_same_rows_over_tap() {
    let Some(client) = Client::python("pyvo_sync.py") else {
        return;
    };
    agrees(&client, Server::tap);
}

#[test]
fn stilts_reads_the_same_rows_over_tap() {
    let Some(client) = Client::stilts("stilts_tapquery.sh") else {
        return;
    };
    agrees(&client, Server::tap);
}

#[test]
fn astropy_and_the_schema_find_no_fault_in_a_votable() {
    let Some(astropy) = Client::python("astropy_votable.py") else {
        return;
    };
    let Some(schema) = Client::xmllint("xmllint_votable.sh") else {
        return;
    };
    let home = Home::on_a_local_folder();
    let stars = publish(&home);
    let server = home.serve();
    let (document, expected) = (home.path("answer.vot"), home.path("expected.csv"));
    for cone in &CONES {
        stars.inside(cone).write_csv(&expected);
        let arguments = [document.to_str().unwrap(), expected.to_str().unwrap()];
        let query = cone.adql();

        let served = get(&sync_url(&server.tap(), &[("LANG", "ADQL"), ("QUERY", &query)])).unwrap();
        assert!(served.media_type().starts_with("application/x-votable+xml"), "{}", served.media_type());
        std::fs::write(&document, &served.body).unwrap();
        astropy.agrees(&arguments);
        schema.agrees(&arguments[..1]);

        home.almagest(&["query", "--format", "votable", "--output", arguments[0], &query]);
        astropy.agrees(&arguments);
        schema.agrees(&arguments[..1]);
    }
}

#[test]
fn a_refusal_over_tap_fits_the_schema_of_votable() {
    let Some(schema) = Client::xmllint("xmllint_votable.sh") else {
        return;
    };
    let home = Home::on_a_local_folder();
    let server = home.serve();
    let query = "SELECT \"<&>\" FROM no.such_table";
    let refused = get(&sync_url(&server.tap(), &[("LANG", "ADQL"), ("QUERY", query)])).unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    let document = home.path("refusal.vot");
    std::fs::write(&document, &refused.body).unwrap();
    schema.agrees(&[document.to_str().unwrap()]);
}
