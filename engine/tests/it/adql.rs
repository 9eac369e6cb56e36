//! ADQL by the book: the standard's queries and our own list plan, or are refused with the right sentence.

mod house;

use std::path::Path;

use arrow::datatypes::{DataType, Field};
use engine::{Engine, EngineError, EngineOptions, Language, QueryLimits, TableSet};

/// Queries that the standard's grammar does not have, and that are answered because people ask them.
const BEYOND: [&str; 5] = [
    "SELECT ra FROM demo.stars LIMIT 10",
    "SELECT 1",
    "SELECT ra % 2 FROM demo.stars",
    "SELECT s.ra FROM demo.stars AS s CROSS JOIN demo.stars AS t",
    "SELECT CASE WHEN ra > 1 THEN 1 ELSE 0 END FROM demo.stars",
];

async fn tables(folder: &Path) -> TableSet {
    let columns = ["table_name", "size"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
    let mut tables = Vec::new();
    for (name, fields) in
        [("demo.stars", house::stars()), ("demo.plates", house::plates()), ("tap_schema.columns", columns)]
    {
        tables.push((name.parse().unwrap(), house::snapshot(folder, name, fields).await));
    }
    let stars: (catalogs::TableName, _) = tables[0].clone();
    TableSet::new(tables).unwrap().with_version(stars.0, 2, stars.1)
}

async fn outcome(engine: &Engine, tables: &TableSet, text: &str) -> Result<(), String> {
    match engine.plan(tables, Language::Adql, text, QueryLimits::default()).await {
        Ok(_) => Ok(()),
        Err(EngineError::Fault(fault)) => Err(format!("NOT THE AUTHOR'S MISTAKE: {fault}")),
        Err(mistake) => Err(mistake.to_string()),
    }
}

/// Lines of a list: what is said of a query, and the query.
fn lines(list: &str) -> Vec<Vec<String>> {
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split('\t').map(|part| part.replace("\\n", "\n")).collect()).collect()
}

#[tokio::test]
async fn every_query_of_our_list_plans_or_is_refused_with_its_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let tables = tables(folder.path()).await;
    let engine = engine();
    let mut wrong = Vec::new();
    for line in lines(include_str!("adql/queries.tsv")) {
        let [said, query, sentence] = line.as_slice() else { panic!("three columns: {line:?}") };
        match (said.as_str(), outcome(&engine, &tables, query).await) {
            ("plans", Ok(())) => {}
            ("refused", Err(told)) if told.contains(sentence) && !told.contains("NOT THE AUTHOR") => {}
            (_, outcome) => wrong.push(format!("{query}\n      {said} {sentence}\n      {outcome:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} queries:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn the_standards_queries_plan_or_are_refused_as_they_should_be() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/standards/examples/adql-queries.tsv");
    let Ok(list) = std::fs::read_to_string(&list) else {
        println!("skipped: the list of queries is not beside the repository");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tables = tables(folder.path()).await;
    let engine = engine();
    let (mut planned, mut refused, mut beyond, mut wrong) = (0, 0, 0, Vec::new());
    for line in lines(&list) {
        let [verdict, _, query] = line.as_slice() else { panic!("three columns: {line:?}") };
        match (verdict.as_str(), outcome(&engine, &tables, query).await) {
            ("valid" | "open", Ok(())) => planned += 1,
            ("invalid", Ok(())) if BEYOND.contains(&query.as_str()) => beyond += 1,
            ("invalid", Err(told)) if !told.contains("NOT THE AUTHOR") => refused += 1,
            (_, outcome) => wrong.push(format!("{verdict} {query}\n      {outcome:?}")),
        }
    }
    println!("{planned} plan, {refused} are refused, {beyond} go beyond the standard");
    assert!(wrong.is_empty(), "{} queries:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(beyond, BEYOND.len());
}

fn engine() -> Engine {
    Engine::new(EngineOptions { memory: 256 << 20, threads: 2, ..EngineOptions::default() }).unwrap()
}
