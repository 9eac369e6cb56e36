//! Pairs of rows as a table of their own, held against pairs that are found here one by one.

use std::fs;

use serde_json::Value;

use crate::harness::Home;

/// Identifier, longitude and latitude.
type Star = (i64, f64, f64);

/// Stars along the meridian of zero, at both poles and in between, so that some of the others are near.
fn stars(count: i64, shift: f64) -> Vec<Star> {
    let star = |number: i64| {
        let step = number as f64;
        let (ra, dec) = match number % 4 {
            0 => (360.0 - 1e-4 * step, 10.0 + 1e-3 * step),
            1 => (step * 37.0 % 360.0, 90.0 - 1e-3 * step),
            2 => (step * 53.0 % 360.0, -90.0 + 1e-3 * step),
            _ => (step * 7.0 % 360.0, step * 11.0 % 90.0),
        };
        (number, (ra + shift / dec.to_radians().cos()).rem_euclid(360.0), dec)
    };
    (1..=count).map(star).collect()
}

/// By the haversine formula: not as the engine does it.
fn distance(one: &Star, other: &Star) -> f64 {
    let [lon1, lat1, lon2, lat2] = [one.1, one.2, other.1, other.2].map(f64::to_radians);
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let root = half(lat2 - lat1) + lat1.cos() * lat2.cos() * half(lon2 - lon1);
    2.0 * root.sqrt().min(1.0).asin().to_degrees()
}

fn csv(stars: &[Star], id: &str) -> String {
    let rows = stars.iter().map(|(id, ra, dec)| format!("{id},{ra:?},{dec:?}\n"));
    format!("{id},ra,dec\n{}", rows.collect::<String>())
}

fn pairs(home: &Home, table: &str) -> Vec<(i64, i64)> {
    let answer = home.csv(&format!("SELECT id1, id2 FROM {table} ORDER BY id1, id2"));
    let row = |line: &str| {
        let (one, other) = line.split_once(',').unwrap();
        (one.parse().unwrap(), other.parse().unwrap())
    };
    answer.lines().skip(1).map(row).collect()
}

/// A house with two tables, and what is in them.
fn home() -> (Home, Vec<Star>, Vec<Star>) {
    let home = Home::on_a_local_folder();
    let (left, right) = (stars(400, 0.0), stars(300, 2e-4));
    fs::write(home.path("left.csv"), csv(&left, "star_id")).unwrap();
    fs::write(home.path("right.csv"), csv(&right, "Source Id")).unwrap();
    home.almagest(&["import", "--table", "t.left", "--id", "star_id", "--max-rows", "100", "left.csv"]);
    home.almagest(&["import", "--table", "t.right", "left.csv", "--id", "star_id"]);
    home.almagest(&["import", "--table", "t.right", "--replace", "--id", "Source Id", "right.csv"]);
    (home, left, right)
}

fn refusal(home: &Home, arguments: &[&str]) -> String {
    let refused = home.command().args(arguments).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(refused.stderr).unwrap()
}

#[test]
fn all_pairs_within_a_radius_become_a_table_that_remembers_what_it_was_made_of() {
    let (home, left, right) = home();
    home.almagest(&["match", "t.left", "t.right", "--radius", "3.6arcsec", "--table", "t.pairs"]);
    let near = |one: &Star, other: &Star| distance(one, other) <= 1e-3;
    let with =
        |one: &Star| right.iter().filter(|other| near(one, other)).map(|other| (one.0, other.0)).collect::<Vec<_>>();
    let expected: Vec<_> = left.iter().flat_map(with).collect();
    assert!(expected.len() > 300, "{} pairs", expected.len());
    assert_eq!(pairs(&home, "t.pairs"), expected);
    let wrong = "SELECT COUNT(*) AS n FROM t.pairs JOIN t.\"left\" ON star_id = id1 \
                 WHERE ra <> ra1 OR dec <> dec1 OR \"distance\" > 0.001 OR ABS(\"distance\" - DISTANCE(ra1, dec1, ra2, dec2)) > 1e-12";
    assert_eq!(home.csv(wrong), "n\n0\n");
    home.almagest(&["catalog", "check", "t.pairs"]);

    let joined = "SELECT COUNT(*) AS n FROM t.\"left\" AS a JOIN t.pairs ON a.star_id = id1 JOIN t.\"right\" AS b ON b.\"Source Id\" = id2";
    let commas = "SELECT COUNT(*) AS n FROM t.\"left\" AS a, t.pairs, t.\"right\" AS b WHERE a.star_id = id1 AND id2 = b.\"Source Id\"";
    for question in [joined, commas] {
        assert_eq!(home.csv(question), format!("n\n{}\n", expected.len()));
    }
    let plain = "SELECT COUNT(*) AS n FROM t.\"left\" AS a LEFT JOIN t.pairs ON a.star_id = id1 WHERE id1 IS NULL";
    let unmatched = left.iter().filter(|one| expected.iter().all(|pair| pair.0 != one.0)).count();
    assert_eq!(home.csv(plain), format!("n\n{unmatched}\n"));

    let shown = home.almagest(&["catalog", "show", "t.pairs"]);
    assert!(shown.contains("Pairs rows of t.left version 1 by id1 = star_id\n"), "{shown}");
    assert!(shown.contains("Pairs rows of t.right version 2 by id2 = Source Id\n"), "{shown}");
    home.almagest(&[
        "import",
        "--table",
        "t.left",
        "--replace",
        "--id",
        "star_id",
        "right.csv",
        "--rename",
        "Source Id=star_id",
    ]);
    let shown = home.almagest(&["catalog", "show", "t.pairs"]);
    assert!(shown.contains("t.left version 1 by id1 = star_id; it is at version 2 now"), "{shown}");
    let shown: Value = serde_json::from_str(&home.almagest(&["catalog", "show", "t.pairs", "--json"])).unwrap();
    assert_eq!(shown["catalog"]["kind"], "association");
    assert_eq!(shown["catalog"]["pairs"]["right"]["id"], "Source Id");
    assert_eq!(shown["served_partners"][0]["version"], 2);
}

#[test]
fn a_table_may_be_matched_with_itself_and_no_row_is_its_own_pair() {
    let (home, left, _) = home();
    home.almagest(&["match", "t.left", "t.left", "--radius", "30arcsec", "--table", "t.doubles"]);
    let near = |one: &Star, other: &Star| one.0 < other.0 && distance(one, other) <= 30.0 / 3600.0;
    let with =
        |one: &Star| left.iter().filter(|other| near(one, other)).map(|other| (one.0, other.0)).collect::<Vec<_>>();
    let expected: Vec<_> = left.iter().flat_map(with).collect();
    assert!(!expected.is_empty());
    assert_eq!(pairs(&home, "t.doubles"), expected);
}

#[test]
fn what_cannot_be_matched_is_told_and_nothing_is_made() {
    let (home, ..) = home();
    home.almagest(&["import", "--table", "t.plain", "--no-sky", "left.csv"]);
    home.almagest(&["import", "--table", "t.nameless", "left.csv"]);
    let to = ["--radius", "1arcsec", "--table", "t.pairs"];
    for (tables, sentence) in [
        (["t.left", "t.no"], "there is no table t.no"),
        (["t.plain", "t.left"], "t.plain has no positions"),
        (["t.left", "t.nameless"], "t.nameless was imported without --id; name the column by --right-id"),
    ] {
        let told = refusal(&home, &[&["match"], &tables[..], &to].concat());
        assert!(told.contains(sentence), "{told}");
    }
    let told = refusal(&home, &[&["match", "t.left", "t.right", "--left-id", "no"], &to[..]].concat());
    assert!(told.contains("t.left has no column no"), "{told}");
    let told = refusal(&home, &["match", "t.left", "t.right", "--radius", "1arcsec", "--table", "t.left"]);
    assert!(told.contains("there is a table t.left already"), "{told}");
    assert!(!home.almagest(&["catalog", "list"]).contains("t.pairs"));
    let left = fs::read_dir(home.path("store/catalogs/t")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| name != "pairs"), "a folder of a match that was refused");
}
