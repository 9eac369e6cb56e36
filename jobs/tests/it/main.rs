//! Queries over real catalogues in a temporary folder.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)] // tests

mod house;
mod log;

use futures::TryStreamExt;
use house::{House, stars};
use jobs::{
    Answer, JobError, Language, QueryRequest,
    formats::{Encoded, Format},
};

fn adql(text: &str, max_rows: Option<u64>) -> QueryRequest {
    QueryRequest { language: Language::Adql, text: text.to_owned(), max_rows }
}

async fn text(answer: Answer, format: &str) -> String {
    let encoded = Encoded::new(answer, format.parse::<Format>().unwrap()).unwrap();
    let chunks: Vec<_> = encoded.try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn a_query_is_answered_with_its_rows_and_their_metadata() {
    let house = House::with_stars(10).await;
    let query = "SELECT id, ra, mag, name FROM demo.stars WHERE id < 3 ORDER BY id";
    let answer = house.jobs.run(adql(query, None)).await.unwrap();
    assert_eq!(
        text(answer, "csv").await,
        "id,ra,mag,name\r\n0,10.0,15.0,\"star, no 0\"\r\n1,10.01,15.5,\"star, no 1\"\r\n2,10.02,,\"star, no 2\"\r\n"
    );
    let answer = house.jobs.run(adql(query, None)).await.unwrap();
    let document = text(answer, "votable").await;
    assert!(document.contains(
        "<INFO name=\"QUERY\" value=\"SELECT id, ra, mag, name FROM demo.stars WHERE id &lt; 3 ORDER BY id\"/>"
    ));
    let field = "<FIELD name=\"ra\" datatype=\"double\" unit=\"deg\" ucd=\"pos.eq.ra;meta.main\" ref=\"icrs\"><DESCRIPTION>Position &lt;ICRS&gt;</DESCRIPTION></FIELD>";
    assert!(document.contains(field), "{document}");
}

#[tokio::test]
async fn an_answer_is_cut_only_where_there_is_more_and_then_says_so() {
    let house = House::with_stars(10).await;
    for (query, max_rows, rows, overflow) in [
        ("SELECT id FROM demo.stars", None, 10, false),
        ("SELECT id FROM demo.stars", Some(10), 10, false),
        ("SELECT id FROM demo.stars", Some(9), 9, true),
        ("SELECT TOP 5 id FROM demo.stars", Some(9), 5, false),
        ("SELECT TOP 9 id FROM demo.stars", Some(5), 5, true),
        ("SELECT id FROM demo.stars", Some(0), 0, true),
        ("SELECT id FROM demo.stars WHERE id < 0", Some(9), 0, false),
    ] {
        let mut answer = house.jobs.run(adql(query, max_rows)).await.unwrap();
        assert_eq!(answer.schema.fields().len(), 1);
        let mut counted = 0;
        while let Some(batch) = answer.rows.try_next().await.unwrap() {
            counted += batch.num_rows();
        }
        assert_eq!((counted, answer.rows.overflow()), (rows, overflow), "{query}, {max_rows:?}");
    }
}

#[tokio::test]
async fn what_is_published_is_served_at_once_and_replaces_its_older_version() {
    let house = House::with_stars(3).await;
    let count = async |table: &str| {
        let answer = house.jobs.run(adql(&format!("SELECT COUNT(*) AS n FROM {table}"), None)).await?;
        Ok::<_, JobError>(text(answer, "text/csv;header=absent").await)
    };
    assert_eq!(count("demo.stars").await.unwrap(), "3\r\n");
    assert!(matches!(count("demo.more").await, Err(JobError::Mistake(_))));
    house.publish("demo.more", stars(4)).await;
    house.publish("demo.stars", stars(5)).await;
    assert_eq!(count("demo.stars").await.unwrap(), "5\r\n");
    assert_eq!(count("demo.more").await.unwrap(), "4\r\n");
    let names: Vec<_> =
        house.jobs.tables().await.unwrap().iter().map(|table| (table.name.to_string(), table.version)).collect();
    assert_eq!(names, [("demo.more".to_owned(), 1), ("demo.stars".to_owned(), 2)]);
}

#[tokio::test]
async fn a_table_that_cannot_be_opened_is_unavailable_and_hides_no_other_and_no_mistake() {
    let house = House::with_stars(3).await;
    let root = house.publish("demo.s", stars(4)).await;
    let folder = house.folder.path().join("catalogues").join(&root);
    let aside = house.folder.path().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    let run = async |table: &str| house.jobs.run(adql(&format!("SELECT * FROM {table}"), None)).await.map(drop);
    assert!(run("demo.stars").await.is_ok());
    for (name, language) in [
        ("Demo.S", Language::Adql),
        ("demo.stars JOIN demo.s ON 1 = 1", Language::Sql),
        ("almagest.demo.s", Language::Sql),
    ] {
        let request = QueryRequest { language, ..adql(&format!("SELECT * FROM {name}"), None) };
        let error = house.jobs.run(request).await.map(drop).unwrap_err();
        assert!(matches!(error, JobError::Unavailable(_)), "{name}: {error}");
    }
    for wrong in ["demo.unknown", "demo.ss", "other.s", "demo.stars AS s WHERE s.nothing = 1", "demo.stars WHERE )"] {
        let error = run(wrong).await.unwrap_err();
        assert!(matches!(error, JobError::Mistake(_)), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn a_broken_table_is_logged_once_and_told_by_the_same_fault() {
    let log = log::Log::of_this_process();
    let house = House::with_stars(1).await;
    let root = house.publish("demo.away", stars(1)).await;
    std::fs::remove_dir_all(house.folder.path().join("catalogues").join(root)).unwrap();
    let run = async || house.jobs.run(adql("SELECT * FROM demo.away", None)).await.map(drop).unwrap_err().to_string();
    let sentence = run().await;
    assert!(sentence.starts_with("The service cannot reach its tables"), "{sentence}");
    assert_eq!(run().await, sentence);
    assert_eq!(log.lines_with("opening demo.away version 1").len(), 1);
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_its_place() {
    let house = House::with_stars(1).await;
    let error = house.jobs.run(adql("SELECT id\nFROM demo.stars WHERE )", None)).await.map(drop).unwrap_err();
    assert!(matches!(&error, JobError::Mistake(mistake) if mistake.line == Some(2)), "{error}");
    assert!(house.jobs.columns(Language::Adql, "SELECT nothing FROM demo.stars").await.is_err());
}

#[tokio::test]
async fn without_its_database_the_service_is_unavailable() {
    let house = House::with_stars(1).await;
    assert!(house.jobs.ready().await.is_ok());
    house.metadata.close().await;
    let error = house.jobs.ready().await.unwrap_err();
    assert!(matches!(error, JobError::Unavailable(_)));
    assert!(error.to_string().starts_with("The service cannot reach its tables at the moment"));
    assert!(matches!(house.jobs.run(adql("SELECT 1", None)).await.map(drop), Err(JobError::Unavailable(_))));
}
