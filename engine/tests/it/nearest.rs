//! XMATCH and XMATCH_MUTUAL in every kind of join, against the nearest rows that are found here one by one.

use std::{cmp::Ordering, collections::BTreeMap};

use arrow::{
    array::AsArray,
    datatypes::{Float64Type, Int64Type},
};
use engine::{EngineError, Language, QueryLimits};

use crate::joins::{KINDS, Kind, Pair, Row, ask, house, is_joined_by_position, joined, only, pairs_of, separation};

/// The k nearest of the right rows within a radius, for each left row.
fn nearest(left: &[Row], right: &[Row], radius: f64, k: usize) -> Vec<(i64, i64)> {
    let mut pairs = Vec::new();
    for one in left {
        let mut found: Vec<(f64, i64)> =
            right.iter().filter_map(|other| Some((separation(one, other)?, other.id))).collect();
        found.retain(|(far, _)| *far <= radius);
        found.sort_by(|one, other| one.0.total_cmp(&other.0).then(Ordering::Equal));
        pairs.extend(found.into_iter().take(k).map(|(_, other)| (one.id, other)));
    }
    pairs
}

async fn refusal(text: &str) -> String {
    let house = house().await;
    match house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await {
        Err(EngineError::Mistake(mistake)) => mistake.to_string(),
        Err(other) => panic!("{text}: not the author's mistake: {other}"),
        Ok(_) => panic!("{text} was planned"),
    }
}

#[tokio::test]
async fn the_nearest_are_found_in_every_type_of_join() {
    let house = house().await;
    for (call, pairs) in [
        ("XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.05)", nearest(&house.a, &house.b, 0.05, 1)),
        ("XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.1, 3)", nearest(&house.a, &house.b, 0.1, 3)),
        ("XMATCH_MUTUAL(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.1)", {
            let back = nearest(&house.b, &house.a, 0.1, 1);
            nearest(&house.a, &house.b, 0.1, 1).into_iter().filter(|(a, b)| back.contains(&(*b, *a))).collect()
        }),
    ] {
        assert!(pairs.len() > 100, "{call}: {} pairs", pairs.len());
        for (kind, join) in KINDS {
            let expected = joined(kind, &house.a, &house.b, &pairs);
            for text in [
                format!("SELECT a.id, b.id FROM j.a AS a {join} JOIN j.b AS b ON {call} = 1"),
                format!("SELECT a.id, b.id FROM j.a AS a {join} JOIN j.b AS b ON {call}"),
            ] {
                let asked = ask(&text).await;
                assert!(is_joined_by_position(&asked), "{text}\n{}", asked.plan);
                assert!(pairs_of(&asked.rows) == expected, "{text}");
            }
            // The sides of the join the other way round.
            let turned = match kind {
                Kind::Left => Kind::Right,
                Kind::Right => Kind::Left,
                same => same,
            };
            let join = KINDS.iter().find(|(kind, _)| *kind == turned).unwrap().1;
            let text = format!("SELECT a.id, b.id FROM j.b AS b {join} JOIN j.a AS a ON {call} = 1");
            assert!(pairs_of(&ask(&text).await.rows) == expected, "{text}");
        }
        let text = format!("SELECT a.id, b.id FROM j.a AS a, j.b AS b WHERE 1 = {call}");
        assert_eq!(pairs_of(&ask(&text).await.rows), only(&pairs), "{text}");
        let text = format!("SELECT a.id, b.id FROM j.b AS b, j.a AS a WHERE {call} AND a.mag < 12");
        let bright: Vec<(i64, i64)> =
            pairs.iter().filter(|pair| house.a.iter().any(|row| row.id == pair.0 && row.mag < 12.0)).copied().collect();
        assert_eq!(pairs_of(&ask(&text).await.rows), only(&bright), "{text}");
    }
}

#[tokio::test]
async fn other_conditions_choose_among_the_nearest_and_a_query_chooses_before() {
    let house = house().await;
    let mag: BTreeMap<i64, f64> = house.b.iter().map(|row| (row.id, row.mag)).collect();
    let call = "XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.1)";
    let pairs = nearest(&house.a, &house.b, 0.1, 1);
    let bright: Vec<(i64, i64)> = pairs.iter().filter(|pair| mag[&pair.1] < 12.0).copied().collect();
    assert!(!bright.is_empty() && bright.len() < pairs.len());
    for text in [
        format!("SELECT a.id, b.id FROM j.a AS a JOIN j.b AS b ON {call} AND b.mag < 12"),
        format!("SELECT a.id, b.id FROM j.a AS a JOIN j.b AS b ON {call} WHERE b.mag < 12"),
        format!("SELECT a.id, b.id FROM j.a AS a, j.b AS b WHERE b.mag < 12 AND 1 = {call}"),
        format!("SELECT a.id, b.id FROM j.a AS a LEFT JOIN j.b AS b ON {call} WHERE b.mag < 12"),
    ] {
        assert_eq!(pairs_of(&ask(&text).await.rows), only(&bright), "{text}");
    }
    let text = format!("SELECT a.id, b.id FROM j.a AS a LEFT JOIN j.b AS b ON {call} AND b.mag < 12");
    assert_eq!(pairs_of(&ask(&text).await.rows), joined(Kind::Left, &house.a, &house.b, &bright), "{text}");
    let chosen: Vec<Row> = house.b.iter().filter(|row| row.mag < 12.0).copied().collect();
    let text = format!("SELECT a.id, b.id FROM j.a AS a JOIN (SELECT * FROM j.b WHERE mag < 12) AS b ON {call}");
    assert_eq!(pairs_of(&ask(&text).await.rows), only(&nearest(&house.a, &chosen, 0.1, 1)), "{text}");
    let partner = |a: &Row, among: &[Row]| among.iter().any(|b| separation(a, b).is_some_and(|far| far <= 0.1));
    for (not, wanted) in [("", true), ("NOT ", false)] {
        for (among, text) in [
            (&house.b, format!("{not}EXISTS (SELECT 1 FROM j.b AS b WHERE {call})")),
            (&chosen, format!("{not}EXISTS (SELECT 1 FROM (SELECT * FROM j.b WHERE mag < 12) AS b WHERE 1 = {call})")),
        ] {
            let text = format!("SELECT a.id FROM j.a AS a WHERE {text}");
            let kept = house.a.iter().filter(|a| partner(a, among) == wanted);
            let mut expected: Vec<Pair> = kept.map(|a| (Some(a.id), None)).collect();
            expected.sort_unstable();
            assert_eq!(pairs_of(&ask(&text).await.rows), expected, "{text}");
        }
    }
}

#[tokio::test]
async fn xmatch_is_refused_where_no_join_can_be_made_of_it() {
    let call = "XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.1)";
    let stands = "XMATCH stands in ON or WHERE, alone or with AND, and joins two tables";
    for (text, sentence) in [
        (format!("SELECT {call} FROM j.a AS a, j.b AS b"), stands),
        ("SELECT XMATCH(POINT(ra, dec), POINT(1, 2), 3) FROM j.a".to_owned(), stands),
        ("SELECT XMATCH(POINT(1, 2), POINT(1, 2), 3) FROM j.a".to_owned(), stands),
        ("SELECT id FROM j.a WHERE 1 = XMATCH(POINT(ra, dec), POINT(1, 2), 3)".to_owned(), stands),
        (format!("SELECT a.id FROM j.a AS a, j.b AS b WHERE 1 = {call} OR a.id = b.id"), stands),
        (format!("SELECT a.id FROM j.a AS a, j.b AS b WHERE 0 = {call}"), stands),
        (format!("SELECT a.id FROM j.a AS a, j.b AS b WHERE NOT 1 = {call}"), stands),
        (format!("SELECT a.id FROM j.a AS a, j.b AS b ORDER BY {call}"), stands),
        (
            "SELECT a.id FROM j.a AS a, j.b AS b, j.u AS u WHERE 1 = XMATCH(POINT(u.ra, u.dec), POINT(b.ra, b.dec), 1)"
                .to_owned(),
            "XMATCH in WHERE finds the nearest rows of a table, and here several are joined before it",
        ),
        (
            format!("SELECT a.id FROM j.a AS a WHERE EXISTS (SELECT 1 FROM j.b AS b WHERE 1 = {call} AND b.mag < 12)"),
            "stands alone in WHERE",
        ),
        (format!("SELECT a.id FROM j.a AS a JOIN j.b AS b ON 1 = {}", call.replace("0.1", "0.1, 0")), "1 to 1000"),
        (format!("SELECT a.id FROM j.a AS a JOIN j.b AS b ON 1 = {}", call.replace("0.1", "0.1, 1001")), "1 to 1000"),
        (
            format!("SELECT a.id FROM j.a AS a JOIN j.b AS b ON 1 = {}", call.replace("0.1", "a.err + b.err")),
            "the radius of XMATCH",
        ),
        ("SELECT a.id FROM j.a AS a JOIN j.b AS b ON 1 = XMATCH(a.ra, a.dec, b.ra, b.dec, 1)".to_owned(), "XMATCH"),
    ] {
        let told = refusal(&text).await;
        assert!(told.contains(sentence), "{text}: {told}");
    }
}

#[tokio::test]
async fn the_separation_is_a_column_and_orders_the_pairs() {
    let house = house().await;
    let text = "SELECT a.id, b.id, DISTANCE(POINT(a.ra, a.dec), POINT(b.ra, b.dec)) * 3600 AS sep FROM j.a AS a \
                JOIN j.b AS b ON XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.05) ORDER BY sep";
    let rows = ask(text).await.rows;
    assert_eq!(pairs_of(&rows), only(&nearest(&house.a, &house.b, 0.05, 1)));
    let (a, b) = (rows.column(0).as_primitive::<Int64Type>(), rows.column(1).as_primitive::<Int64Type>());
    let sep = rows.column(2).as_primitive::<Float64Type>();
    assert!(sep.values().is_sorted());
    let row = |rows: &[Row], id: i64| *rows.iter().find(|row| row.id == id).unwrap();
    for at in 0..rows.num_rows() {
        let far = separation(&row(&house.a, a.value(at)), &row(&house.b, b.value(at))).unwrap() * 3600.0;
        assert!((far - sep.value(at)).abs() < 1e-7, "{far} {}", sep.value(at));
    }
}
