//! The suites in `tests/slt`: queries with answers that other programs, or people, have found.
//!
//! The syntax is that of sqllogictest. A letter a column tells its kind: `I` whole numbers, `R` real ones, `T` all else.
//! Columns of an answer are two blanks apart, `(empty)` is an empty text. Real numbers agree to 12 digits, or within what
//! follows a `±`. Beside `query` and `query error` (each line below is a part of what is told, in any case) there is
//! `columns`: name, type and VO metadata of each column of the answer; and `control language sql|adql`. `skipif almagest`
//! stands before what the engine is known to answer wrongly, and must go when it no longer does.
//!
//! The tables are the VOTables in `tests/slt/tables`. How an answer was found is written above it; see `tests/oracles`.

use std::{fs, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use catalogs::{
    CatalogStore, PositionColumns, StoreOptions, TableName,
    import::{self, ImportPlan, PositionPlan},
};
use engine::{Engine, EngineOptions, Language, QueryLimits, TableSet};
use formats::{Input, SourceOptions};
use futures::StreamExt;

struct House {
    _folder: tempfile::TempDir,
    engine: Engine,
    tables: TableSet,
}

/// Imports every table; of one whose file says `@number`, the last is served and all can be named.
async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let store = CatalogStore::open(&StoreOptions { url: store, ..StoreOptions::default() }).unwrap();
    let (mut served, mut versions) = (Vec::new(), Vec::new());
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt/tables"), "xml") {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let (name, version) = stem.split_once('@').map_or((stem, None), |(name, version)| (name, version.parse().ok()));
        let name: TableName = name.parse().unwrap();
        let source = formats::open(Input::file(&path).unwrap(), &SourceOptions::default()).unwrap();
        let spill = folder.path().join("spill");
        let mut plan =
            ImportPlan { spill, threads: 1, max_rows: 3, ..ImportPlan::new(name.clone(), Default::default()) };
        if PositionColumns::recognise(source.schema()).is_none() || source.row_count() == Some(0) {
            plan.position = PositionPlan::None;
        }
        if stem == "demo.arrays" {
            let names = r#"["jplus::uJAVA","jplus::gSDSS","jplus::rSDSS"]"#;
            let field = source.schema().field_with_name("flux").unwrap().clone();
            let mut told = field.metadata().clone();
            told.insert("vo:elements".to_owned(), names.to_owned());
            plan.describe = Some(Arc::new(Schema::new(vec![field.with_metadata(told)])));
        }
        let (snapshot, _) = import::run(&store, stem, vec![source], plan, Arc::new(|_| ())).await.unwrap();
        let snapshot = Arc::new(snapshot);
        versions.extend(version.map(|number| (name.clone(), number, Arc::clone(&snapshot))));
        served.push((name, snapshot));
    }
    let mut tables = TableSet::new(served).unwrap();
    for (name, number, snapshot) in versions {
        tables = tables.with_version(name, number, snapshot);
    }
    House {
        _folder: folder,
        engine: Engine::new(EngineOptions { memory: 64 << 20, threads: 2, ..EngineOptions::default() }).unwrap(),
        tables,
    }
}

/// The files of a folder with this ending, by name.
fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = all.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    files
}

/// A query's columns, and its rows as text.
async fn ask(house: &House, language: Language, text: &str) -> Result<(Arc<Schema>, Vec<Vec<String>>), String> {
    let query = house.engine.plan(&house.tables, language, text, QueryLimits::default()).await;
    let query = query.map_err(|error| error.to_string())?;
    let schema = query.schema();
    let mut batches = query.run().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| error.to_string())?;
        rows.extend((0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| cell(column, row)).collect()));
    }
    Ok((schema, rows))
}

fn cell(column: &ArrayRef, row: usize) -> String {
    let format = FormatOptions::new().with_null("NULL");
    match column.data_type() {
        _ if column.is_null(row) => "NULL".to_owned(),
        DataType::List(_) | DataType::FixedSizeList(..) => {
            let list = match column.data_type() {
                DataType::List(_) => column.as_list::<i32>().value(row),
                _ => column.as_fixed_size_list().value(row),
            };
            format!("[{}]", (0..list.len()).map(|item| cell(&list, item)).collect::<Vec<_>>().join(", "))
        }
        _ => match ArrayFormatter::try_new(column, &format).unwrap().value(row).to_string() {
            text if text.is_empty() => "(empty)".to_owned(),
            text => text,
        },
    }
}

/// A column as a `columns` record tells it: its name, its type and what the Virtual Observatory is told of it.
fn described(field: &Field) -> String {
    let kind = match field.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, None) => "Timestamp".to_owned(),
        DataType::List(item) => format!("{}[]", item.data_type()),
        DataType::FixedSizeList(item, length) => format!("{}[{length}]", item.data_type()),
        other => other.to_string(),
    };
    let told = ["unit", "xtype"].map(|key| {
        let value = field.metadata().get(&format!("vo:{key}"));
        value.map(|value| format!("{key}={value}"))
    });
    [Some(field.name().clone()), Some(kind)].into_iter().chain(told).flatten().collect::<Vec<_>>().join("  ")
}

fn is_of_kind(letter: char, data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::FixedSizeList(item, _) => {
            letter == 'T' || is_of_kind(letter, item.data_type())
        }
        other => match letter {
            'I' => other.is_integer(),
            'R' => other.is_floating(),
            '?' => true,
            _ => !other.is_numeric(),
        },
    }
}

/// Whether a real number, or each of an array, is what was expected.
fn agree(got: &str, wanted: &str) -> bool {
    let number = |text: &str| text.trim_matches(['[', ']', ' ']).parse::<f64>();
    let (gots, wanteds) = (got.split(','), wanted.split(','));
    got.starts_with('[') == wanted.starts_with('[')
        && gots.clone().count() == wanteds.clone().count()
        && gots.zip(wanteds).all(|(got, wanted)| {
            let (value, tolerance) = wanted.split_once('±').unwrap_or((wanted, ""));
            match (number(got), number(value)) {
                (Ok(got), Ok(value)) if got.is_finite() && value.is_finite() => {
                    let tolerance = number(tolerance).unwrap_or((1e-12 * value.abs()).max(1e-14));
                    (got - value).abs() <= tolerance
                }
                _ => got.trim_matches(['[', ']', ' ']) == value.trim_matches(['[', ']', ' ']),
            }
        })
}

/// Runs one record; what is wrong with it, if anything is.
async fn judge(house: &House, language: Language, head: &str, text: &str, wanted: &[&str]) -> Result<(), String> {
    let words: Vec<&str> = head.split_whitespace().collect();
    let answer = ask(house, language, text).await;
    if words[..] == ["query", "error"] {
        let told = answer.err().ok_or("it was answered")?;
        let lacks = wanted.iter().find(|part| !told.to_lowercase().contains(&part.trim().to_lowercase()));
        return lacks.map_or(Ok(()), |part| Err(format!("'{part}' is not in: {told}")));
    }
    let (schema, mut rows) = answer?;
    if words[..] == ["columns"] {
        let got: Vec<String> = schema.fields().iter().map(|field| described(field)).collect();
        return if got == wanted { Ok(()) } else { Err(format!("the columns are\n{}", got.join("\n"))) };
    }
    let kinds: Vec<char> = words[1].chars().collect();
    let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
    if words[1] != "any"
        && (kinds.len() != types.len() || kinds.iter().zip(&types).any(|(letter, kind)| !is_of_kind(*letter, kind)))
    {
        return Err(format!("the types are {types:?}, not {}", words[1]));
    }
    if words.get(2) == Some(&"rowsort") {
        rows.sort();
    }
    let wanted: Vec<Vec<&str>> =
        wanted.iter().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    let same = rows.len() == wanted.len()
        && rows.iter().zip(&wanted).all(|(row, wanted)| {
            row.len() == wanted.len()
                && row.iter().zip(wanted).zip(&kinds).all(|((got, wanted), kind)| match kind {
                    'R' => agree(got, wanted),
                    _ => got == wanted,
                })
        });
    let shown = || rows.iter().map(|row| row.join("  ")).collect::<Vec<_>>().join("\n");
    if same { Ok(()) } else { Err(format!("the answer is\n{}", shown())) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_suite_is_answered_as_others_answer_it() {
    let house = house().await;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt"), "slt") {
        let suite = fs::read_to_string(&path).unwrap();
        let (mut language, mut known) = (Language::Adql, false);
        let mut lines = suite.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["control", "language", name] => {
                    language = if name == "sql" { Language::Sql } else { Language::Adql };
                }
                ["skipif", "almagest"] => known = true,
                ["query" | "columns", ..] => {
                    let mut until = |end: &str| {
                        let taken = std::iter::from_fn(|| lines.next_if(|(_, line)| *line != end && !line.is_empty()));
                        taken.map(|(_, line)| line).collect::<Vec<_>>()
                    };
                    let text = until("----").join("\n");
                    let wanted = &until("")[..];
                    let wanted = wanted.strip_prefix(&["----"]).unwrap_or(wanted);
                    count += 1;
                    let judged = match (judge(&house, language, line, &text, wanted).await, std::mem::take(&mut known))
                    {
                        (Err(_), true) => Ok(()),
                        (Ok(()), true) => Err("it is right by now: take the skipif away".to_owned()),
                        (judged, false) => judged,
                    };
                    if let Err(why) = judged {
                        let file = path.file_name().unwrap().display();
                        wrong.push(format!("{file}:{}: {text}\n  {}", number + 1, why.replace('\n', "\n  ")));
                    }
                }
                [] => {}
                [word, ..] if word.starts_with('#') => {}
                _ => panic!("{}:{}: {line} is not understood", path.display(), number + 1),
            }
        }
    }
    assert!(count > 0 && wrong.is_empty(), "{} of {count} are wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}
