//! Rows that share an identifier, or that belong to rows of another table: none stands in for another one.

use super::*;

/// A CSV file as a source.
fn csv(folder: &tempfile::TempDir, name: &str, text: &str) -> Box<dyn TableSource> {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    formats::open(formats::Input::file(&path).unwrap(), &formats::SourceOptions::default()).unwrap()
}

/// Two texts: in the first, rows stand on later lines than their number lets one expect.
fn texts_with_long_heads(folder: &tempfile::TempDir, second: impl Fn(i64) -> i64) -> Vec<Box<dyn TableSource>> {
    let line = |n: i64, key: i64| format!("{n},{key},{},{}\n", n % 360, n % 90);
    let comments = "# a word on the data\n".repeat(20);
    let one: String = (0..10).map(|n| line(n, n)).collect();
    let two: String = (0..30).map(|n| line(100 + n, second(n))).collect();
    vec![
        csv(folder, "a.csv", &format!("{comments}n,key,ra,dec\n{one}")),
        csv(folder, "b.csv", &format!("n,key,ra,dec\n{two}")),
    ]
}

#[tokio::test]
async fn a_row_is_never_dropped_for_the_line_that_it_stands_on() {
    let folder = tempfile::tempdir().unwrap();
    // One row of the second file repeats the identifier of another one there.
    let sources = texts_with_long_heads(&folder, |n| if n == 9 { 105 } else { 100 + n });
    let plan = ImportPlan { id: Some("key".into()), duplicates: DuplicatePolicy::KeepFirst, ..plan() };
    let imported = try_import(sources, plan).await.unwrap();
    assert_eq!((imported.report.rows_published, imported.report.duplicates), (39, 1));
    let mut found = longs(&all_rows(&imported.snapshot).await, "n");
    found.sort_unstable();
    assert_eq!(found, (0..10).chain((0..30).filter(|n| *n != 9).map(|n| 100 + n)).collect::<Vec<_>>());
}

/// A director with the stars that have these identifiers, all over the sky.
async fn director(folder: &tempfile::TempDir, store: &CatalogStore) -> CatalogSnapshot {
    let plan = ImportPlan { id: Some("n".into()), max_rows: 20, spill: folder.path().join("spill"), ..plan() };
    import::run(store, ROOT, sources(vec![numbered(200)]), plan, Arc::new(|_| ())).await.unwrap().0
}

fn like(director: &CatalogSnapshot, own: bool) -> ImportPlan {
    let position = PositionPlan::Like {
        director: Arc::new(director.clone()),
        director_name: "demo.t".into(),
        director_key: "n".into(),
        key: "key".into(),
        own: own.then(|| ("ra".into(), "dec".into(), PositionUnit::Auto)),
    };
    ImportPlan { position, threads: 2, ..ImportPlan::new("demo.children".parse().unwrap(), created()) }
}

#[tokio::test]
async fn a_row_of_a_text_lies_where_its_own_director_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let director = director(&folder, &store).await;
    let directors = all_rows(&director).await;
    let cells: HashMap<i64, i64> = longs(&directors, "n").into_iter().zip(longs(&directors, HEALPIX_COLUMN)).collect();
    let sources = texts_with_long_heads(&folder, |n| 100 + n);
    let plan = ImportPlan { spill: folder.path().join("spill"), ..like(&director, false) };
    let (children, _) = import::run(&store, "catalogs/demo/c/1", sources, plan, Arc::new(|_| ())).await.unwrap();
    let rows = all_rows(&children).await;
    assert_eq!(rows.num_rows(), 40);
    for (key, cell) in longs(&rows, "key").into_iter().zip(longs(&rows, HEALPIX_COLUMN)) {
        assert_eq!(cell, cells[&key], "{key}");
    }
}

#[tokio::test]
async fn a_row_without_a_director_stands_in_for_no_row_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let director = director(&folder, &store).await;
    let rows = batch(vec![("id", long([1, 1, 2, 3, 3])), ("key", long([-5, 7, 8, 9, -5]))]);
    let plan = ImportPlan {
        id: Some("id".into()),
        duplicates: DuplicatePolicy::KeepFirst,
        bad_rows: BadRowPolicy::SetAside,
        spill: folder.path().join("spill"),
        ..like(&director, false)
    };
    let dry = import::dry_run(&store, sources(vec![rows.clone()]), plan.clone(), Arc::new(|_| ())).await.unwrap();
    let (children, report) =
        import::run(&store, "catalogs/demo/c/1", sources(vec![rows]), plan, Arc::new(|_| ())).await.unwrap();
    let mut keys = longs(&all_rows(&children).await, "key");
    keys.sort_unstable();
    assert_eq!(keys, [7, 8, 9]);
    assert_eq!((report.rows_published, report.duplicates, report.set_aside["no director row"]), (3, 0, 2));
    assert_eq!((dry.rows_published, dry.set_aside), (report.rows_published, report.set_aside));
}

#[tokio::test]
async fn a_margin_of_rows_without_positions_is_refused_before_they_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let director = director(&folder, &store).await;
    let rows = batch(vec![("id", long([1])), ("key", long([7]))]);
    let plan = ImportPlan { margins: vec![Arcsec(1.0)], spill: folder.path().join("spill"), ..like(&director, false) };
    let moved = Arc::new(AtomicUsize::new(0));
    let listener = {
        let moved = Arc::clone(&moved);
        Arc::new(move |_| {
            moved.fetch_add(1, Ordering::Relaxed);
        })
    };
    let refused = import::run(&store, "catalogs/demo/c/1", sources(vec![rows]), plan, listener).await;
    let sentence = refused.unwrap_err().to_string();
    assert!(sentence.contains("no positions of their own"), "{sentence}");
    assert_eq!(moved.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_best_must_be_a_number_or_a_time() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["good"; 3]));
    let rows = numbered(3);
    let rows = batch(vec![
        ("n", Arc::clone(column(&rows, "n"))),
        ("ra", Arc::clone(column(&rows, "ra"))),
        ("dec", Arc::clone(column(&rows, "dec"))),
        ("quality", text),
    ]);
    let plan = ImportPlan { id: Some("n".into()), duplicates: DuplicatePolicy::KeepBest("quality".into()), ..plan() };
    let sentence = refusal(vec![rows], plan).await;
    assert!(sentence.contains("quality") && sentence.contains("no number"), "{sentence}");
}

#[tokio::test]
async fn two_indexes_never_share_a_folder() {
    let names: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
    let rows = numbered(3);
    let rows = batch(vec![
        ("ra", Arc::clone(column(&rows, "ra"))),
        ("dec", Arc::clone(column(&rows, "dec"))),
        ("α", Arc::clone(column(&rows, "n"))),
        ("β", names),
    ]);
    let plan = ImportPlan { indexes: vec!["α".into(), "β".into(), "α".into()], ..plan() };
    let imported = imported(vec![rows], plan).await;
    let indexes = &imported.snapshot.descriptor().indexes;
    assert_eq!(indexes.iter().map(|index| index.column.as_str()).collect::<Vec<_>>(), ["α", "β"]);
    assert_ne!(indexes[0].folder, indexes[1].folder);
    for index in indexes {
        let stored = imported.store.get(&format!("{ROOT}/{}/dataset/index/part.0.parquet", index.folder)).await;
        assert_eq!(read(stored.unwrap()).schema().field(2).name(), &index.column);
    }
}
