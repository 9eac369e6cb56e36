//! TAP over a real connection to a real server in this process.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)] // tests

#[path = "../../../jobs/tests/it/house.rs"]
mod house;
#[path = "../../../jobs/tests/it/log.rs"]
mod log;
mod service;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use house::House;
use http_body_util::BodyExt;
use quick_xml::{Reader, events::Event};
use service::{Reply, Service};

const CONE: &str =
    "SELECT id, name FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(10, 5, 0.025)) ORDER BY id";
const CONE_CSV: &str = "id,name\r\n0,\"star, no 0\"\r\n1,\"star, no 1\"\r\n2,\"star, no 2\"\r\n";
/// A million rows from a thousand stars.
const LONG: &str = "SELECT a.id AS a, b.id AS b FROM demo.stars AS a CROSS JOIN demo.stars AS b";

/// The status and its message, of a document that must be well-formed XML.
fn query_status(document: &str) -> (String, String) {
    let mut reader = Reader::from_str(document);
    let (mut last, mut inside) = (Default::default(), false);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == b"INFO" => {
                let value =
                    |key: &str| element.try_get_attribute(key).unwrap().unwrap().unescape_value().unwrap().into_owned();
                inside = value("name") == "QUERY_STATUS";
                if inside {
                    last = (value("value"), String::new());
                }
            }
            Event::Text(text) if inside => last.1.push_str(&text.decode().unwrap()),
            Event::GeneralRef(reference) if inside => last.1.push_str(&format!("&{};", reference.decode().unwrap())),
            Event::End(_) => inside = false,
            Event::Eof => return last,
            _ => {}
        }
    }
}

fn assert_refused(reply: &Reply, status: StatusCode, sentence: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(reply.headers["content-type"], "application/x-votable+xml");
    let (value, message) = query_status(&reply.text);
    assert_eq!(value, "ERROR");
    assert!(message.contains(sentence), "{message}");
}

#[tokio::test]
async fn a_user_signs_in_with_a_password_or_a_token_and_sees_what_others_do_not() {
    let house = House::with_stars(3).await;
    let (ada, team): (metadata::UserName, metadata::GroupName) = ("ada".parse().unwrap(), "team".parse().unwrap());
    house.metadata.add_user(&ada, "correct horse", "a test").await.unwrap();
    house.metadata.add_group(&team, "a test").await.unwrap();
    house.metadata.change_members(&team, std::slice::from_ref(&ada), &[], "a test").await.unwrap();
    let scopes = [metadata::Scope::Query].into();
    let new = metadata::NewToken { user: ada, label: "x".into(), scopes, expires_at: None };
    let (id, token) = house.metadata.create_token(&new, "a test").await.unwrap();
    let restricted = metadata::Visibility::Restricted { groups: [team].into(), released_at: None };
    house.metadata.set_visibility(&"demo.stars".parse().unwrap(), &restricted, "a test").await.unwrap();
    let service = Service::over(house).await;
    let query = [("LANG", "ADQL"), ("QUERY", "SELECT COUNT(*) AS n FROM demo.stars"), ("FORMAT", "csv")];
    assert_eq!(service.query(&query).await.status, StatusCode::BAD_REQUEST);
    let right = ["Basic YWRhOmNvcnJlY3QgaG9yc2U=".to_owned(), format!("Bearer {token}")];
    for authorization in &right {
        let reply = service.query_as(authorization, &query).await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, "n\r\n3\r\n"), "{authorization}");
    }
    service.house.metadata.revoke_token(&id, "a test").await.unwrap();
    for (authorization, sentence) in [
        ("Basic YWRhOndyb25nIGhvcnNl", "The name or the password is wrong."),
        (right[1].as_str(), "The token is not in force."),
        ("Negotiate x", "Sign in by Basic"),
    ] {
        let reply = service.query_as(authorization, &query).await;
        assert_refused(&reply, StatusCode::UNAUTHORIZED, sentence);
        let challenges: Vec<_> = reply.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges.len(), 2, "{challenges:?}");
    }
    for _ in 0..4 {
        service.query_as("Basic YWRhOndyb25nIGhvcnNl", &query).await;
    }
    let barred = service.query_as("Basic YWRhOndyb25nIGhvcnNl", &query).await;
    assert_refused(&barred, StatusCode::TOO_MANY_REQUESTS, "Too many attempts to sign in failed");
    assert!(barred.headers.contains_key("retry-after"));
    assert_eq!(
        service.query_as(&right[0], &query).await.status,
        StatusCode::OK,
        "what was right a moment ago still is"
    );
}

#[tokio::test]
async fn a_cone_is_answered_as_votable_and_as_csv() {
    let service = Service::over(House::with_stars(20).await).await;
    let reply = service.query(&[("LANG", "ADQL"), ("QUERY", CONE), ("FORMAT", "csv")]).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, CONE_CSV));
    assert_eq!(reply.headers["content-type"], "text/csv;charset=utf-8;header=present");
    assert!(!reply.headers.contains_key("almagest-overflow"));
    let reply = service.query(&[("QUERY", CONE)]).await;
    assert_eq!(reply.headers["content-type"], "application/x-votable+xml");
    assert_eq!(query_status(&reply.text).0, "OK");
    assert_eq!(reply.text.matches("<TR>").count(), 3);
}

#[tokio::test]
async fn a_form_and_a_multipart_body_are_read_like_the_url() {
    let service = Service::over(House::with_stars(20).await).await;
    let body = service::encoded(&[("query", CONE), ("RequesT", "doQuery")]);
    let form = Some(("application/x-www-form-urlencoded; charset=utf-8", body.into_bytes()));
    let reply = service.send(Method::POST, "/tap/sync?ResponseFormat=csv", form).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, CONE_CSV));
    let part = |name: &str, value: &str| {
        format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file =
        "--frontier\r\nContent-Disposition: form-data; name=\"t\"; filename=\"t.xml\"\r\n\r\nnobody reads this\r\n";
    let body = format!("{}{file}{}--frontier--\r\n", part("QUERY", CONE), part("format", "text/csv"));
    let multipart = Some(("multipart/form-data; boundary=frontier", body.into_bytes()));
    let reply = service.send(Method::POST, "/tap/sync", multipart).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, CONE_CSV));
}

#[tokio::test]
async fn what_is_wrong_is_told_in_a_votable_with_a_fitting_status() {
    let service = Service::over(House::with_stars(1).await).await;
    for (pairs, sentence) in [
        (&[("QUERY", "DUFF QUERY")][..], ""),
        (&[("QUERY", "SELECT id\nFROM demo.stars WHERE )")], "line 2"),
        (&[("QUERY", "SELECT * FROM demo.nothing")], "demo.nothing"),
        (&[("QUERY", CONE), ("LANG", "OOBLECK")], "Unknown query language"),
        (&[("QUERY", CONE), ("MAXREC", "-1")], "MAXREC"),
        (&[("QUERY", CONE), ("FORMAT", "asdf")], "is not offered"),
        (&[("QUERY", CONE), ("UPLOAD", "t,param:t")], "Uploads are not supported"),
        (&[], "QUERY is missing"),
    ] {
        assert_refused(&service.query(pairs).await, StatusCode::BAD_REQUEST, sentence);
    }
    let get = |path: &'static str| service.send(Method::GET, path, None);
    assert_refused(&get("/nowhere").await, StatusCode::NOT_FOUND, "nothing at this path");
    assert_refused(&get("/tap/async").await, StatusCode::NOT_FOUND, "nothing at this path");
    assert_refused(&get("/tap/sync?QUERY=%FF%").await, StatusCode::BAD_REQUEST, "");
    let reply = service.send(Method::DELETE, "/tap/sync", None).await;
    assert_refused(&reply, StatusCode::METHOD_NOT_ALLOWED, "does not know that method");
    assert_eq!(reply.headers["allow"], "GET,HEAD,POST");
    let post = |kind: &'static str, body: &[u8]| service.send(Method::POST, "/tap/sync", Some((kind, body.to_vec())));
    assert_refused(&post("application/json", b"{}").await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/json");
    assert_refused(&post("multipart/form-data", b"x").await, StatusCode::BAD_REQUEST, "cannot be read");
    let long = [b"QUERY=".to_vec(), vec![b'x'; 2 << 20]].concat();
    assert_refused(
        &post("application/x-www-form-urlencoded", &long).await,
        StatusCode::PAYLOAD_TOO_LARGE,
        "larger than 1 MiB",
    );
}

#[tokio::test]
async fn an_answer_that_is_cut_says_so_in_every_format() {
    let service = Service::over(House::with_stars(20).await).await;
    let all = ("QUERY", "SELECT id FROM demo.stars");
    let reply = service.query(&[all, ("MAXREC", "5")]).await;
    assert_eq!((query_status(&reply.text).0.as_str(), reply.text.matches("<TR>").count()), ("OVERFLOW", 5));
    let reply = service.query(&[all, ("MAXREC", "0")]).await;
    assert_eq!((query_status(&reply.text).0.as_str(), reply.text.matches("<FIELD").count()), ("OVERFLOW", 1));
    let reply = service.query(&[all, ("MAXREC", "5"), ("FORMAT", "csv")]).await;
    assert_eq!((reply.text.lines().count(), &reply.headers["almagest-overflow"]), (6, &"true".parse().unwrap()));
    let reply = service.query(&[all, ("MAXREC", "20")]).await;
    assert_eq!(query_status(&reply.text).0, "OK");
}

#[tokio::test]
async fn maxrec_has_a_default_and_a_maximum() {
    let service = Service::over(House::with_stars(1000).await).await;
    for (pairs, rows) in [(&[][..], 50_000), (&[("MAXREC", "99999999")], 60_000)] {
        let pairs = [&[("QUERY", LONG), ("FORMAT", "csv")], pairs].concat();
        let reply = service.query(&pairs).await;
        assert_eq!(reply.text.lines().count(), rows + 1);
        // Too long for a header: the overflow follows the rows.
        assert!(!reply.headers.contains_key("almagest-overflow"));
        assert_eq!(reply.trailers.get("almagest-overflow"), Some(&"true".parse().unwrap()));
    }
}

#[tokio::test]
async fn every_response_has_its_own_name_and_the_server() {
    let service = Service::over(House::empty().await).await;
    let mut names = std::collections::HashSet::new();
    for path in ["/", "/healthz", "/tap/sync", "/nowhere"] {
        let reply = service.send(Method::GET, path, None).await;
        assert!(reply.headers["server"].to_str().unwrap().starts_with("almagest/"));
        names.insert(reply.headers["x-request-id"].clone());
    }
    assert_eq!(names.len(), 4);
}

#[tokio::test]
async fn the_service_knows_whether_it_is_up() {
    let service = Service::over(House::with_stars(1).await).await;
    let get = |path: &'static str| service.send(Method::GET, path, None);
    assert_eq!(get("/healthz").await.status, StatusCode::OK);
    let reply = get("/tap/availability").await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (StatusCode::OK, &"text/xml".parse().unwrap()));
    assert!(reply.text.contains("<vosi:available>true</vosi:available>"));
    service.house.metadata.close().await;
    assert_eq!(get("/healthz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let reply = get("/tap/availability").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.text.contains("<vosi:available>false</vosi:available>\n<vosi:note>The service cannot reach"));
    let reply = service.query(&[("QUERY", CONE)]).await;
    assert_refused(&reply, StatusCode::SERVICE_UNAVAILABLE, "try again");
    assert!(reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn the_page_shows_the_tables_and_its_queries_work() {
    let service = Service::over(House::with_stars(1234).await).await;
    let page = service.send(Method::GET, "/", None).await;
    assert_eq!(page.headers["content-type"], "text/html;charset=utf-8");
    for part in [
        "<h2>demo.stars</h2>",
        "Stars of the tests, &lt;none&gt; real",
        "1,234 rows",
        "<td>ra</td><td>deg</td><td>Position &lt;ICRS&gt;</td>",
    ] {
        assert!(page.text.contains(part), "{part} is not in {}", page.text);
    }
    let links: Vec<_> =
        page.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&")).collect();
    assert_eq!(links.len(), 3);
    for link in links {
        assert!(link.starts_with("tap/sync?LANG=ADQL&"), "{link}");
        let reply = service.send(Method::GET, &format!("/{link}"), None).await;
        assert_eq!(reply.status, StatusCode::OK, "{link}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_answer_on_its_way_ends_after_the_shutdown_and_then_the_service_does() {
    let service = Service::over(House::with_stars(1000).await).await;
    let pairs = [("QUERY", LONG), ("FORMAT", "csv"), ("MAXREC", "60000")];
    let mut response = service.open(&service::path(&pairs)).await;
    let mut text = response.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    service.shutdown.cancel();
    text.extend(response.collect().await.unwrap().to_bytes());
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 60_001);
    tokio::time::timeout(Duration::from_secs(10), service.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_query() {
    let log = log::Log::of_this_process();
    let service = Service::over_with(House::with_stars(3000).await, u64::MAX).await;
    let pairs = [("QUERY", LONG), ("FORMAT", "csv"), ("MAXREC", "9000000")];
    let mut response = service.open(&service::path(&pairs)).await;
    assert!(response.frame().await.unwrap().is_ok());
    drop(response);
    let gone = log.line_with("abandoned", Duration::from_secs(10)).await;
    assert!(gone.contains("request{id=") && gone.contains("job{id="), "{gone}");
}
