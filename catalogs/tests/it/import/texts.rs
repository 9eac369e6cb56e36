//! Texts whose last row says something else than all before it.

use super::*;

/// A text of many rows, and then these lines.
fn written(folder: &tempfile::TempDir, name: &str, last: &str) -> Box<dyn TableSource> {
    let path = folder.path().join(name);
    let row = |number: u32| format!("{number},{}.5,{}.25,1.5,\"[1, 2]\"\n", number % 360, number % 90);
    let rows: String = (0..5_000).map(row).collect();
    std::fs::write(&path, format!("id,ra,dec,mag,band\n{rows}{last}")).unwrap();
    formats::open(formats::Input::file(&path).unwrap(), &formats::SourceOptions::default()).unwrap()
}

#[tokio::test]
async fn the_last_row_of_the_last_text_decides_on_the_type_of_a_column() {
    let folder = tempfile::tempdir().unwrap();
    for (last, data_type) in [
        ("7,1.5,2.5,bright,x\n", DataType::Utf8),
        ("7,1.5,2.5,9007199254740993,x\n", DataType::Utf8),
        ("7,1.5,2.5,-3,x", DataType::Float64),
        ("7,1.5,2.5,NA,\"x\n\"\n", DataType::Float64),
    ] {
        let texts = vec![written(&folder, "a.csv", ""), written(&folder, "b.csv", last)];
        let plan = ImportPlan { id: None, ..plan() };
        let imported = try_import(texts, plan).await.unwrap();
        assert_eq!(imported.snapshot.schema().field_with_name("mag").unwrap().data_type(), &data_type, "{last}");
        assert_eq!(imported.report.rows_published, 10_001, "{last}");
    }
}

#[tokio::test]
async fn a_last_row_without_all_fields_is_found_where_only_positions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let texts = || vec![written(&folder, "a.csv", ""), written(&folder, "b.csv", "7,1.5,2.5,3\n")];
    let refuse = ImportPlan { id: None, ..plan() };
    let sentence = try_import(texts(), refuse.clone()).await.err().unwrap().to_string();
    assert!(sentence.contains("b.csv: line 5002: it has 4 fields instead of 5"), "{sentence}");
    let aside = ImportPlan { bad_rows: BadRowPolicy::SetAside, ..refuse };
    let imported = try_import(texts(), aside).await.unwrap();
    assert_eq!((imported.report.rows_published, imported.report.rows_set_aside()), (10_000, 1));
}
