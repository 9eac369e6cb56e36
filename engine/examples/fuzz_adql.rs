//! A fuzz target for ADQL that runs on stable Rust: `cargo run -p engine --example fuzz_adql -- SECONDS [SEED]`.
//!
//! Queries are made from a grammar and from a list by changing bytes and words; each is planned over a few empty tables.
//! A panic, a text that takes more than a second of computing, and a fault that is not called the author's mistake are told with the
//! text, and the run fails. A thread with an ordinary stack plans, so that a text that is too deep ends the process: the
//! text is then the content of the file that is named at the start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a fuzz target may panic")]

#[path = "../tests/it/adql/house.rs"]
mod house;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{LazyLock, mpsc},
    time::{Duration, Instant},
};

use engine::{Engine, EngineError, EngineOptions, Language, QueryLimits, TableSet};

/// Longer than this is told.
const SLOW: Duration = Duration::from_secs(1);

/// Longer than this, and the run ends.
const HANGS: Duration = Duration::from_secs(30);

enum Outcome {
    Planned,
    Refused,
    Fault(String),
    Panic(String),
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (seconds, seed) = (number(60), number(1));
    let list = include_str!("../tests/it/adql/queries.tsv");
    let corpus: Vec<String> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split('\t').nth(1)?.replace("\\n", "\n")))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let last = std::env::temp_dir().join(format!("fuzz_adql.{}.txt", std::process::id()));
    println!("{} queries in the list; seed {seed}; the text in hand is in {}", corpus.len(), last.display());
    let (texts, inbox) = mpsc::sync_channel::<String>(0);
    let (outbox, outcomes) = mpsc::sync_channel(0);
    let path = folder.path().to_owned();
    std::thread::Builder::new().stack_size(2 << 20).spawn(move || plan_all(&path, &inbox, &outbox)).unwrap();

    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let (mut planned, mut refused, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let text = invent(&mut dice, &corpus);
        std::fs::write(&last, &text).unwrap();
        let start = computed();
        texts.send(text.clone()).unwrap();
        let outcome = loop {
            match outcomes.recv_timeout(Duration::from_secs(1)) {
                Ok(outcome) => break outcome,
                Err(_) if computed() - start < HANGS => {}
                Err(_) => {
                    println!("HANGS: {}", shown(&text));
                    std::process::exit(1);
                }
            }
        };
        let taken = computed() - start;
        slowest = slowest.max(taken);
        let finding = match outcome {
            _ if taken > SLOW => Some(format!("SLOW by {:?}", taken.as_secs())),
            Outcome::Planned => {
                planned += 1;
                None
            }
            Outcome::Refused => {
                refused += 1;
                None
            }
            Outcome::Fault(told) => Some(format!("FAULT: {told}")),
            Outcome::Panic(told) => Some(format!("PANIC: {told}")),
        };
        if let Some(finding) = finding {
            let kind: String = finding.chars().filter(|letter| !letter.is_ascii_digit()).take(70).collect();
            found.entry(kind).or_insert_with(|| {
                println!("{finding}\n    {}", shown(&text));
                text
            });
        }
    }
    let (findings, computed) = (found.len(), computed().as_secs());
    println!("{planned} planned, {refused} refused, {findings} findings in {computed} s; the slowest took {slowest:?}");
    let _ = std::fs::remove_file(last);
    std::process::exit(i32::from(!found.is_empty()));
}

fn shown(text: &str) -> String {
    text.chars().take(2_000).collect()
}

/// Plans what comes in until nothing more does.
fn plan_all(folder: &std::path::Path, inbox: &mpsc::Receiver<String>, outbox: &mpsc::SyncSender<Outcome>) {
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tables = runtime.block_on(tables(folder));
    let engine = Engine::new(EngineOptions { memory: 256 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
    while let Ok(text) = inbox.recv() {
        let planned = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(engine.plan(&tables, Language::Adql, &text, QueryLimits::default()))
        }));
        let outcome = match planned {
            Ok(Ok(_)) => Outcome::Planned,
            Ok(Err(EngineError::Fault(fault))) => Outcome::Fault(fault.to_string()),
            Ok(Err(_)) => Outcome::Refused,
            Err(panic) => Outcome::Panic(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| {
                panic.downcast_ref::<&str>().map_or_else(|| "no text".to_owned(), |text| (*text).to_owned())
            })),
        };
        if outbox.send(outcome).is_err() {
            return;
        }
    }
}

async fn tables(folder: &std::path::Path) -> TableSet {
    let mut tables = Vec::new();
    for (name, fields) in [("demo.stars", house::stars()), ("demo.plates", house::plates())] {
        tables.push((name.parse().unwrap(), house::snapshot(folder, name, fields).await));
    }
    TableSet::new(tables).unwrap()
}

/// How long this process has computed, whoever else does on the machine.
fn computed() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let hundredths = || -> Option<u64> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    };
    hundredths().map_or_else(|| START.elapsed(), |hundredths| Duration::from_millis(hundredths * 10))
}

/// Numbers that only look random: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// A new text.
fn invent(dice: &mut Dice, corpus: &[String]) -> String {
    let mut text = match dice.roll(3) {
        0 => query(dice, 3),
        _ => corpus[dice.roll(corpus.len())].clone(),
    };
    for _ in 0..dice.roll(5) {
        text = match dice.roll(4) {
            0 => change_letters(dice, text),
            1 => repeat_a_part(dice, &text),
            _ => change_words(dice, &text, corpus),
        };
        if text.len() > 200_000 {
            break;
        }
    }
    text
}

fn change_letters(dice: &mut Dice, text: String) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(letters.len() + 1).min(letters.len());
        let strange = [
            '\'',
            '"',
            '(',
            ')',
            '[',
            ']',
            '@',
            ';',
            '.',
            ',',
            '~',
            '^',
            '\u{0}',
            'é',
            '’',
            '\u{200b}',
            '\u{10FFFF}',
            '\n',
            '-',
            '/',
            '*',
            '0',
            'e',
        ];
        match dice.roll(3) {
            0 => letters.insert(at, strange[dice.roll(strange.len())]),
            1 if at < letters.len() => drop(letters.remove(at)),
            _ if at < letters.len() => letters[at] = strange[dice.roll(strange.len())],
            _ => {}
        }
    }
    letters.into_iter().collect()
}

/// A part of a text many times over: what is deep or long breaks parsers.
fn repeat_a_part(dice: &mut Dice, text: &str) -> String {
    let words: Vec<&str> = words(text);
    let from = dice.roll(words.len());
    let to = (from + 1 + dice.roll(4)).min(words.len());
    let times = [2, 3, 10, 100, 2_000][dice.roll(5)];
    let (before, part, behind) = (words[..from].concat(), words[from..to].concat(), words[to..].concat());
    let between = dice.one(&["", " ", ", ", " OR ", " AND ", " + "]);
    format!("{before}{}{behind}", vec![part; times].join(between))
}

fn change_words(dice: &mut Dice, text: &str, corpus: &[String]) -> String {
    let mut changed: Vec<String> = words(text).into_iter().map(str::to_owned).collect();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(changed.len());
        match dice.roll(5) {
            0 if !changed.is_empty() => drop(changed.remove(at)),
            1 if !changed.is_empty() => changed.insert(at, changed[dice.roll(changed.len())].clone()),
            2 if !changed.is_empty() => changed[at] = expression(dice, 2),
            3 => {
                let other = words(&corpus[dice.roll(corpus.len())]).into_iter().map(str::to_owned).collect::<Vec<_>>();
                let from = dice.roll(other.len());
                let to = (from + dice.roll(6)).min(other.len());
                changed.splice(at..at, other[from..to].iter().cloned());
            }
            _ => changed.insert(at.min(changed.len()), format!(" {} ", dice.one(&WORDS))),
        }
    }
    changed.concat()
}

/// The words, numbers, signs and spaces of a text.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let next = letters.peek().map(|(_, next)| *next);
        if !(part(letter) && next.is_some_and(part)) {
            let end = at + letter.len_utf8();
            words.push(&text[start..end]);
            start = end;
        }
    }
    words
}

const WORDS: [&str; 60] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "UNION",
    "EXCEPT ALL",
    "INTERSECT ALL",
    "TOP 3",
    "OFFSET 2",
    "LIMIT 1",
    "AS",
    "JOIN",
    "LEFT JOIN",
    "FULL JOIN",
    "NATURAL JOIN",
    "RIGHT JOIN",
    "USING (source_id)",
    "ON 1 = 1",
    "NOT",
    "AND",
    "OR",
    "IN",
    "BETWEEN",
    "LIKE 'a%'",
    "ILIKE '_'",
    "IS NULL",
    "EXISTS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST(",
    "AS POINT)",
    "AS CHAR(3))",
    "COUNT(*)",
    "OVER (ORDER BY ra)",
    "WITH",
    "EXPLAIN",
    "NULL",
    "TRUE",
    "DISTINCT",
    "ALL",
    "(",
    ")",
    ",",
    ".",
    "*",
    "=",
    "||",
    "~",
    "[1]",
    "['r']",
    "@2",
    "INTERVAL '1' DAY",
    "TIMESTAMP '2000-01-01'",
    "demo.stars",
    "s",
];

fn query(dice: &mut Dice, depth: usize) -> String {
    let columns = (0..=dice.roll(4)).map(|_| item(dice, depth)).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "SELECT {}{columns} FROM {}",
        dice.one(&["", "", "TOP 5 ", "DISTINCT ", "DISTINCT TOP 0 "]),
        from(dice, depth)
    );
    if dice.roll(2) == 0 {
        text += &format!(" WHERE {}", condition(dice, depth));
    }
    if dice.roll(5) == 0 {
        text += &format!(" GROUP BY {}", expression(dice, 1));
    }
    if dice.roll(8) == 0 {
        text += &format!(" HAVING {}", condition(dice, 1));
    }
    if depth > 0 && dice.roll(6) == 0 {
        let operator = dice.one(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL", "INTERSECT ALL"]);
        text += &format!(" {operator} {}", query(dice, depth - 1));
    }
    if dice.roll(4) == 0 {
        text += &format!(" ORDER BY {} {}", expression(dice, 1), dice.one(&["", "DESC", "ASC", "NULLS FIRST"]));
    }
    text + dice.one(&["", "", "", " OFFSET 3", ";"])
}

fn item(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(8) {
        0 => "*".to_owned(),
        1 => format!("{}.*", dice.one(&["s", "t", "q", "demo.stars"])),
        2 => format!("{} AS {}", expression(dice, depth), dice.one(&["x", "ra", "\"Odd one\"", "Dec", "n"])),
        _ => expression(dice, depth),
    }
}

fn from(dice: &mut Dice, depth: usize) -> String {
    let table =
        |dice: &mut Dice| dice.one(&["demo.stars", "demo.plates", "stars", "demo.stars AS s", "demo.plates AS t"]);
    match dice.roll(if depth == 0 { 2 } else { 6 }) {
        0 => table(dice).to_owned(),
        1 => "demo.stars AS s, demo.plates AS t".to_owned(),
        2 => format!("({}) AS q", query(dice, depth - 1)),
        3 => format!(
            "demo.stars AS s {} JOIN {} USING (source_id)",
            dice.one(&["", "LEFT", "RIGHT OUTER", "FULL", "INNER"]),
            from(dice, depth - 1)
        ),
        4 => format!("demo.stars AS s NATURAL {} JOIN {}", dice.one(&["", "LEFT", "FULL"]), from(dice, depth - 1)),
        _ => format!("demo.stars AS s JOIN ({}) ON {}", from(dice, depth - 1), condition(dice, 1)),
    }
}

fn condition(dice: &mut Dice, depth: usize) -> String {
    let expr = |dice: &mut Dice| expression(dice, depth.saturating_sub(1));
    match dice.roll(if depth == 0 { 3 } else { 10 }) {
        0 => format!("{} {} {}", expr(dice), dice.one(&["=", "<>", "<", ">=", "!="]), expr(dice)),
        1 => format!("{} IS {} NULL", expr(dice), dice.one(&["", "NOT"])),
        2 => format!("{} BETWEEN {} AND {}", expr(dice), expr(dice), expr(dice)),
        3 => format!("NOT ({})", condition(dice, depth - 1)),
        4 => format!("({} AND {})", condition(dice, depth - 1), condition(dice, depth - 1)),
        5 => format!("{} OR {}", condition(dice, depth - 1), condition(dice, depth - 1)),
        6 => format!("{} IN ({}, {})", expr(dice), expr(dice), expr(dice)),
        7 => format!("{} IN (SELECT source_id FROM {})", expr(dice), from(dice, depth - 1)),
        8 => format!("EXISTS ({})", query(dice, depth - 1)),
        _ => format!("{} = CONTAINS({}, {})", dice.one(&["1", "0", "NULL"]), shape(dice, depth), shape(dice, depth)),
    }
}

fn shape(dice: &mut Dice, depth: usize) -> String {
    let expr = |dice: &mut Dice| expression(dice, depth.saturating_sub(1));
    match dice.roll(8) {
        0 | 1 => format!("POINT({}, {})", dice.one(&["ra", "s.ra", "10", "'ICRS', 3"]), expr(dice)),
        2 => format!("CIRCLE({}, {}, {})", expr(dice), expr(dice), expr(dice)),
        3 => format!("CIRCLE(POINT(ra, dec), {})", expr(dice)),
        4 => format!("BOX({}, 3, 4, {})", expr(dice), expr(dice)),
        5 => format!("POLYGON(1, 1, 2, 1, {}, 2)", expr(dice)),
        6 => format!(
            "REGION('{} ICRS 10 20 {}')",
            dice.one(&["CIRCLE", "BOX", "POLYGON", "Union", "POSITION"]),
            expr(dice)
        ),
        _ => dice.one(&["footprint", "CENTROID(footprint)", "MOC('1/1 2')", "CAST('1 2 3' AS CIRCLE)"]).to_owned(),
    }
}

fn expression(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 || dice.roll(3) == 0 {
        return dice
            .one(&[
                "ra",
                "dec",
                "s.ra",
                "t.plate",
                "source_id",
                "\"B-V\"",
                "RAJ2000",
                "designation",
                "flux",
                "has_rv",
                "obs_time",
                "flags",
                "\"size\"",
                "1",
                "0",
                "-1",
                "2.5",
                "1e308",
                "9223372036854775807",
                "'text'",
                "'2015-01-01'",
                "NULL",
                "0x1F",
                "q.ra",
                "flux[1]",
                "footprint",
            ])
            .to_owned();
    }
    let inner = |dice: &mut Dice| expression(dice, depth - 1);
    match dice.roll(12) {
        0 | 1 => {
            let operator = dice.one(&["+", "-", "*", "/", "%", "||", "&", "|", "^"]);
            format!("{} {operator} {}", inner(dice), inner(dice))
        }
        2 => format!("{}{}", dice.one(&["-", "+", "~"]), inner(dice)),
        3 => format!("({})", inner(dice)),
        4 => {
            let function = dice.one(&[
                "ABS",
                "CEILING",
                "LOG",
                "LOG10",
                "SQRT",
                "EXP",
                "ROUND",
                "TRUNCATE",
                "LOWER",
                "UPPER",
                "DEGREES",
                "COT",
                "RAND",
                "AREA",
                "COORD1",
                "COORDSYS",
                "ivo_to_jd",
                "ivo_to_mjd",
                "ivo_hms_to_degrees",
                "BITWISE_NOT",
                "CENTROID",
            ]);
            format!("{function}({})", inner(dice))
        }
        5 => {
            let function =
                dice.one(&["MOD", "POWER", "ATAN2", "ROUND", "COALESCE", "NULLIF", "ivo_hasword", "gavo_to_jd"]);
            format!("{function}({}, {})", inner(dice), inner(dice))
        }
        6 => format!(
            "{}({}{})",
            dice.one(&["COUNT", "SUM", "AVG", "MIN", "MAX"]),
            dice.one(&["", "DISTINCT "]),
            inner(dice)
        ),
        7 => {
            let kind = dice.one(&[
                "INTEGER",
                "SMALLINT",
                "BIGINT",
                "REAL",
                "DOUBLE PRECISION",
                "CHAR(3)",
                "VARCHAR",
                "TIMESTAMP",
                "POINT",
                "CIRCLE",
                "POLYGON",
                "MOC",
            ]);
            format!("CAST({} AS {kind})", inner(dice))
        }
        8 => format!("CASE WHEN {} THEN {} ELSE {} END", condition(dice, depth - 1), inner(dice), inner(dice)),
        9 => format!("DISTANCE({}, {}, {}, {})", inner(dice), inner(dice), inner(dice), inner(dice)),
        10 => format!("IN_UNIT({}, '{}')", inner(dice), dice.one(&["rad", "deg", "mas", "", "furlong"])),
        _ => format!("(SELECT {} FROM demo.stars AS i)", dice.one(&["MAX(ra)", "ra", "i.ra + s.ra", "COUNT(*)"])),
    }
}
