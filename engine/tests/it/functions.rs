//! What is told of the functions: every example runs, and the page for users is made of the declarations.

use std::{fmt::Write as _, fs, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, ListArray, RecordBatch, StringArray},
    datatypes::{DataType, Field, Float64Type, Schema},
    util::pretty::pretty_format_batches,
};
use catalogs::{
    CatalogStore, StoreOptions, TableName,
    import::{self, ImportPlan},
};
use engine::{Declaration, Engine, EngineOptions, Language, Origin, QueryLimits, TableSet};
use formats::Batches;
use futures::TryStreamExt;

/// A table `t` of three rows: places in degrees, a number, a text and an array, and NULLs.
fn rows() -> RecordBatch {
    let unit = |name: &str, unit: &str| {
        let unit = [("vo:unit".to_owned(), unit.to_owned())];
        Field::new(name, DataType::Float64, true).with_metadata(unit.into())
    };
    let arrays = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(1.0), Some(2.5), None]),
        None,
        Some(vec![Some(-1.0)]),
    ]);
    let fields = vec![
        unit("ra", "deg"),
        unit("dec", "deg"),
        Field::new("x", DataType::Float64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("v", DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true))), true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![10.0, 20.0, 30.0])),
        Arc::new(Float64Array::from(vec![-5.0, 0.0, 5.0])),
        Arc::new(Float64Array::from(vec![Some(0.5), None, Some(7.0)])),
        Arc::new(StringArray::from(vec![Some("NGC 224"), None, Some("M 31")])),
        Arc::new(arrays),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

async fn house(folder: &tempfile::TempDir) -> (Engine, TableSet) {
    let url = folder.path().display().to_string();
    let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
    let name: TableName = "demo.t".parse().unwrap();
    let rows = rows();
    let given = Batches::new("t", rows.schema(), vec![rows]);
    let plan = ImportPlan { spill: folder.path().join("spill"), ..ImportPlan::new(name.clone(), Default::default()) };
    let (snapshot, _) = import::run(&store, "t", vec![Box::new(given)], plan, Arc::new(|_| ())).await.unwrap();
    let engine = Engine::new(EngineOptions { threads: 1, ..EngineOptions::default() }).unwrap();
    (engine, TableSet::new([(name, Arc::new(snapshot))]).unwrap())
}

#[tokio::test]
async fn every_example_of_a_function_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tables) = house(&folder).await;
    let mut wrong = Vec::new();
    for declaration in engine::functions() {
        let query = format!("SELECT {} AS answer FROM demo.t", declaration.example);
        let answer = async {
            let limits = QueryLimits::default();
            let query =
                engine.plan(&tables, Language::Adql, &query, limits).await.map_err(|error| error.to_string())?;
            query
                .run()
                .map_err(|error| error.to_string())?
                .try_collect::<Vec<_>>()
                .await
                .map_err(|error| error.to_string())
        };
        match answer.await {
            Ok(batches) if batches.iter().any(|batch| batch.column(0).null_count() < batch.num_rows()) => {}
            Ok(batches) => wrong.push(format!("{query}\n{}", pretty_format_batches(&batches).unwrap())),
            Err(error) => wrong.push(format!("{query}\n{error}")),
        }
    }
    assert!(wrong.is_empty(), "these examples answer nothing:\n{}", wrong.join("\n"));
}

#[test]
fn every_function_is_told_of_in_full_and_once() {
    let mut names: Vec<String> = engine::functions().map(|declaration| declaration.name.to_lowercase()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "a name is declared twice");
    }
    for declaration in engine::functions() {
        let Declaration { name, forms, description, example, .. } = declaration;
        assert!(!forms.is_empty(), "{name} has no form");
        assert!(description.ends_with('.'), "{name} has no sentence: {description}");
        assert!(example.to_lowercase().contains(&format!("{}(", name.to_lowercase())), "{name}: {example}");
    }
}

/// A chapter of the page: its title, a sentence, and which functions are in it.
type Chapter = (&'static str, &'static str, fn(&Origin) -> bool);

const CHAPTERS: [Chapter; 5] = [
    ("Of the ADQL standard", "The mandatory functions and those of the optional features.", |origin| {
        matches!(origin, Origin::Adql | Origin::Feature(..)) && !is_geometry(origin)
    }),
    ("Geometry of the ADQL standard", "Shapes on the sky. All coordinates are degrees.", is_geometry),
    ("Of the IVOA's catalogue", "They mean what the IVOA's catalogue of user-defined functions says.", |origin| {
        *origin == Origin::Ivoa
    }),
    ("Of GAVO's services", "Names that people know from GAVO's services.", |origin| *origin == Origin::Gavo),
    ("Of Almagest", "Extensions, some of them by the names of other archives.", |origin| *origin == Origin::Almagest),
];

fn is_geometry(origin: &Origin) -> bool {
    matches!(origin, Origin::Feature("features-adqlgeo", _))
}

fn page() -> String {
    let mut page = String::from(
        "# Functions\n\n\
         Made from the declarations in the program; renewed by `UPDATE_PAGES=1 cargo test -p engine the_page_of_functions`.\n\n\
         A function of NULL is NULL unless its description says otherwise. So is the answer in a row where there is none: the square \
         root of a negative number, a division by zero, a number too large for its type, a text that is no date. A *constant* that \
         can never be right, such as a circle of radius -1, is refused before anything is read.\n\n\
         In operators the same holds: `x / 0` and `MOD(x, 0)` are NULL, and so are sums, differences and products of whole numbers \
         that leave their type. `+`, `-` and `*` of floating numbers are those of IEEE 754. Whole numbers divide into whole numbers: \
         `7 / 2` is 3.\n\n\
         What is not on this page but is a function of DataFusion (`regexp_like`, `date_trunc`, `array_agg`, window functions …) may be \
         called by its name there.\n",
    );
    for (title, sentence, belongs) in CHAPTERS {
        write!(page, "\n## {title}\n\n{sentence}\n").unwrap();
        let mut chapter: Vec<&Declaration> = engine::functions().filter(|declared| belongs(&declared.origin)).collect();
        chapter.sort_by_key(|declaration| declaration.name.to_lowercase());
        for declaration in chapter {
            write!(page, "\n### {}\n\n```\n", declaration.name).unwrap();
            for form in declaration.forms {
                let arguments: Vec<String> = form.arguments.iter().map(|(name, of)| format!("{name} {of}")).collect();
                writeln!(page, "{}({}) -> {}", declaration.name, arguments.join(", "), form.returns).unwrap();
            }
            write!(page, "```\n\n{}\n\nExample: `{}`\n", declaration.description, declaration.example).unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_functions_is_made_of_their_declarations() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/functions.md");
    let page = page();
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(path, page).unwrap();
    } else {
        let kept = fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == page,
            "docs/functions.md is not what the program declares; renew it with\n  \
             UPDATE_PAGES=1 cargo test -p engine the_page_of_functions"
        );
    }
}
