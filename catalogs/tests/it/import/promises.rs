//! Identifiers that name cells and names of elements: told when a table is made, and held against every row.

use arrow::datatypes::Int32Type;
use catalogs::{
    IdCells,
    check::{CheckOptions, check},
    foreign::{self, AttachOptions},
};
use sky::{Order, Pixel};

use super::*;

fn ids() -> Option<IdCells> {
    Some(IdCells::new("id", 12, 35).unwrap())
}

/// Rows along the equator, whose identifiers name the cell of a position that is so far to the east.
fn rows(east_arcsec: f64) -> RecordBatch {
    let order = Order::new(12).unwrap();
    let ra: Vec<f64> = (0..500).map(|row| f64::from(row) * 0.7).collect();
    let id = ra.iter().map(|ra| {
        let place = Position::from_deg((ra + east_arcsec / 3600.0).rem_euclid(360.0), 1.25).unwrap();
        (Pixel::of(place, order).index() << 35) as i64 | 77
    });
    let flux = ra.iter().map(|ra| Some(vec![Some(*ra as i32), None, Some(3)]));
    batch(vec![
        ("id", long(id)),
        ("dec", double(vec![1.25; ra.len()])),
        ("ra", double(ra.clone())),
        ("flux", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(flux))),
    ])
}

fn with_id(row: usize, id: Option<i64>) -> RecordBatch {
    let rows = rows(0.0);
    let mut ids: Vec<Option<i64>> = rows.column(0).as_primitive::<Int64Type>().iter().collect();
    ids[row] = id;
    let mut columns = rows.columns().to_vec();
    columns[0] = Arc::new(Int64Array::from(ids));
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

fn names(names: &str) -> Vec<(String, Vec<String>)> {
    vec![("flux".to_owned(), names.split(',').map(str::to_owned).collect())]
}

async fn defects(snapshot: &CatalogSnapshot) -> Vec<String> {
    let spill = tempfile::tempdir().unwrap();
    let options = CheckOptions { spill: spill.path().to_owned(), ..CheckOptions::default() };
    let report = check(snapshot, &options, Arc::new(|_, _| ())).await.unwrap();
    report.defects.iter().map(|defect| format!("{}: {}", defect.file, defect.what)).collect()
}

/// The same version with other words in its descriptor.
async fn reworded(imported: &Imported, from: &str, to: &str) -> Result<CatalogSnapshot, CatalogError> {
    let path = format!("{ROOT}/almagest/catalog.json");
    let text = String::from_utf8(imported.store.get(&path).await.unwrap().to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    imported.store.put(&path, text.replace(from, to).into_bytes()).await.unwrap();
    catalogs::open(&imported.store, ROOT, &Remote::default()).await
}

#[tokio::test]
async fn how_far_rows_are_from_the_cells_of_their_identifiers_is_measured() {
    for (east, least, most) in [(0.0, 0.0, 0.0), (120.0, 60.0, 121.0)] {
        let imported = imported(vec![rows(east)], ImportPlan { id_encodes: ids(), max_rows: 50, ..plan() }).await;
        let told = imported.snapshot.descriptor().id_encodes.clone().unwrap();
        assert_eq!((told.column.as_str(), told.order, told.shift), ("id", 12, 35));
        assert!((least..=most).contains(&told.slack_arcsec), "{told:?}");
        assert_eq!(defects(&imported.snapshot).await, Vec::<String>::new());
    }
    let sky = stars(3_000);
    let gaia = IdCells::new("source_id", 12, 35).unwrap();
    let imported = imported(sky, ImportPlan { id_encodes: Some(gaia), ..plan() }).await;
    let slack = imported.snapshot.descriptor().id_encodes.as_ref().unwrap().slack_arcsec;
    assert!(slack < 1.0, "the demo's identifiers are of the cells of its stars: {slack}");
}

#[tokio::test]
async fn an_identifier_that_names_no_cell_makes_a_bad_row() {
    let plan = || ImportPlan { id_encodes: ids(), ..plan() };
    for (id, word) in [(None, "empty"), (Some(-5), "-5"), (Some(i64::MAX), "9223372036854775807")] {
        let refused = refusal(vec![with_id(7, id)], plan()).await;
        assert!(refused.contains("row 8") && refused.contains("names no cell") && refused.contains(word), "{refused}");
        let imported = imported(vec![with_id(7, id)], ImportPlan { bad_rows: BadRowPolicy::SetAside, ..plan() }).await;
        assert_eq!(imported.report.rows_published, 499);
        assert_eq!(imported.report.set_aside.values().sum::<u64>(), 1);
    }
    let flat = ImportPlan { position: PositionPlan::None, ..plan() };
    assert!(refusal(vec![rows(0.0)], flat).await.contains("no positions"));
    let no_number = ImportPlan { id_encodes: Some(IdCells::new("ra", 12, 35).unwrap()), ..self::plan() };
    assert!(refusal(vec![rows(0.0)], no_number).await.contains("whole numbers"));
}

#[tokio::test]
async fn a_check_holds_identifiers_against_positions() {
    let plan = ImportPlan { id_encodes: ids(), elements: names("u,g,r"), ..plan() };
    let imported = imported(vec![rows(120.0)], plan).await;
    let slack = imported.snapshot.descriptor().id_encodes.as_ref().unwrap().slack_arcsec;
    let tighter =
        reworded(&imported, &format!("\"slack_arcsec\": {slack}\n"), "\"slack_arcsec\": 30.0\n").await.unwrap();
    let found = defects(&tighter).await;
    assert!(found.iter().any(|defect| defect.contains("further than 30 arcsec")), "{found:?}");
    let elsewhere = reworded(&imported, "\"column\": \"id\"", "\"column\": \"gone\"").await.unwrap_err().to_string();
    assert!(elsewhere.contains("gone"), "{elsewhere}");
}

#[tokio::test]
async fn elements_have_names_and_arrays_as_many_of_them() {
    let imported = imported(vec![rows(0.0)], ImportPlan { elements: names("u,g,r"), ..plan() }).await;
    let field = imported.snapshot.schema().field_with_name("flux").unwrap();
    assert_eq!(catalogs::ColumnMeta::of(field).element_names().unwrap(), ["u", "g", "r"]);
    assert_eq!(defects(&imported.snapshot).await, Vec::<String>::new());
    let refused = refusal(vec![rows(0.0)], ImportPlan { elements: names("u,g"), ..plan() }).await;
    assert!(refused.contains("row 1") && refused.contains("3 elements"), "{refused}");
    let no_array = ImportPlan { elements: vec![("ra".into(), vec!["u".into()])], ..plan() };
    assert!(refusal(vec![rows(0.0)], no_array).await.contains("only arrays"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_attached_is_held_against_what_is_said_of_it() {
    let imported = imported(vec![rows(120.0)], plan()).await;
    let url = imported.store.url().join(&format!("{ROOT}/t/")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(&StoreOptions { url: home.path().display().to_string(), ..StoreOptions::default() });
    let store = store.unwrap();
    let attach = async |options: AttachOptions| {
        let name = "demo.t".parse().unwrap();
        foreign::attach(&store, "catalogs/demo/t/1", &name, url.as_str(), &options, Arc::new(|_, _| ())).await
    };
    let options = AttachOptions { id_encodes: ids(), elements: names("u,g,r"), ..AttachOptions::default() };
    let (snapshot, _) = attach(options).await.unwrap();
    let told = snapshot.descriptor().id_encodes.clone().unwrap();
    assert!((60.0..121.0).contains(&told.slack_arcsec), "{told:?}");
    let field = snapshot.schema().field_with_name("flux").unwrap();
    assert_eq!(catalogs::ColumnMeta::of(field).element_names().unwrap(), ["u", "g", "r"]);
    assert_eq!(defects(&snapshot).await, Vec::<String>::new());
    let refused = attach(AttachOptions { elements: names("u,g"), ..AttachOptions::default() }).await;
    assert!(refused.unwrap_err().to_string().contains("3 elements"));
    let finer = IdCells::new("id", 3, 5).unwrap();
    let refused = attach(AttachOptions { id_encodes: Some(finer), ..AttachOptions::default() }).await;
    assert!(refused.unwrap_err().to_string().contains("none of a cell"));
}
