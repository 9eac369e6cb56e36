//! A version that is added to another, and one that was interrupted at its very end.

use catalogs::check::{CheckOptions, check};

use super::*;

const NEXT: &str = "catalogs/demo/t/0000000000000002";

fn quietly() -> Arc<dyn Fn(Progress) + Send + Sync> {
    Arc::new(|_| ())
}

fn with_quality(quality: impl Fn(i64) -> f64) -> RecordBatch {
    let rows = numbered(30);
    let mut columns: Vec<(&str, ArrayRef)> =
        ["n", "ra", "dec"].into_iter().zip(rows.columns().iter().cloned()).collect();
    columns.push(("quality", double((0..30).map(quality).collect())));
    batch(columns)
}

#[tokio::test]
async fn what_is_set_aside_beside_a_version_is_what_its_report_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let plan = ImportPlan {
        id: Some("n".into()),
        duplicates: DuplicatePolicy::KeepBest("quality".into()),
        max_rows: 7,
        spill: folder.path().join("spill"),
        ..plan()
    };
    let (base, _) =
        import::run(&store, ROOT, sources(vec![with_quality(|_| 5.0)]), plan.clone(), quietly()).await.unwrap();
    let plan = ImportPlan { base: Some(Arc::new(base)), ..plan };
    let better = || sources(vec![with_quality(|n| if n % 3 == 0 { 9.0 } else { 1.0 })]);
    let dry = import::dry_run(&store, better(), plan.clone(), quietly()).await.unwrap();
    let (_, report) = import::run(&store, NEXT, better(), plan, quietly()).await.unwrap();
    assert_eq!((report.rows_published, report.replaced, report.rows_set_aside()), (10, 10, 20));
    let set = read(store.get(&format!("{NEXT}/almagest/set-aside.parquet")).await.unwrap());
    assert_eq!(set.num_rows(), 20);
    assert!(column(&set, "source").as_string::<i32>().iter().all(|source| source == Some("given")));
    assert_eq!((dry.rows_read, dry.rows_published, dry.replaced, dry.rows), (30, 10, 10, 30));
    assert_eq!((dry.set_aside, dry.duplicates), (report.set_aside, 20));
}

#[tokio::test]
async fn a_dry_run_looks_at_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1", "bright", "3"]));
    let rows = batch(vec![("ra", double(vec![1.0; 3])), ("dec", double(vec![1.0; 3])), ("mag", text)]);
    let plan =
        ImportPlan { cast: vec![("mag".into(), DataType::Float64)], spill: folder.path().join("spill"), ..plan() };
    let dry = |bad_rows| {
        let plan = ImportPlan { bad_rows, ..plan.clone() };
        import::dry_run(&store, sources(vec![rows.clone()]), plan, quietly())
    };
    let sentence = dry(BadRowPolicy::Refuse).await.unwrap_err().to_string();
    assert!(sentence.contains("row 2: mag: 'bright' is no number"), "{sentence}");
    let told = dry(BadRowPolicy::SetAside).await.unwrap();
    assert_eq!((told.rows_published, told.rows_set_aside()), (2, 1));
}

#[tokio::test]
async fn a_column_keeps_its_type_when_rows_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let plan = ImportPlan { max_rows: 7, spill: folder.path().join("spill"), ..plan() };
    let (base, _) =
        import::run(&store, ROOT, sources(vec![with_quality(|_| 5.0)]), plan.clone(), quietly()).await.unwrap();
    let append = |cast| {
        let plan =
            ImportPlan { base: Some(Arc::new(base.clone())), cast: vec![("quality".into(), cast)], ..plan.clone() };
        import::run(&store, NEXT, sources(vec![with_quality(|_| 1.0)]), plan, quietly())
    };
    let sentence = append(DataType::Float32).await.unwrap_err().to_string();
    assert!(sentence.contains("quality is Float64 in the table"), "{sentence}");
    assert_eq!(append(DataType::Float64).await.unwrap().0.rows(), 60);
}

#[tokio::test]
async fn rows_that_are_added_change_neither_what_is_said_of_a_table_nor_its_positions() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let spill = folder.path().join("spill");
    let plan = ImportPlan { id: Some("n".into()), max_rows: 20, spill: spill.clone(), ..plan() };
    let (director, _) = import::run(&store, ROOT, sources(vec![numbered(200)]), plan, quietly()).await.unwrap();
    let told = |rows: RecordBatch, text: &str| {
        let metadata = [("vo:description".to_owned(), text.to_owned())].into();
        let schema = Schema::new_with_metadata(rows.schema().fields().clone(), metadata);
        RecordBatch::try_new(Arc::new(schema), rows.columns().to_vec()).unwrap()
    };
    let like = |own: bool| ImportPlan {
        position: PositionPlan::Like {
            director: Arc::new(director.clone()),
            director_name: "demo.t".into(),
            director_key: "n".into(),
            key: "n".into(),
            own: own.then(|| ("ra".into(), "dec".into(), PositionUnit::Auto)),
        },
        max_rows: 20,
        margins: vec![Arcsec(5.0)],
        spill: spill.clone(),
        ..ImportPlan::new("demo.c".parse().unwrap(), created())
    };
    let first = "catalogs/demo/c/1";
    let rows = || numbered(200);
    let (base, _) =
        import::run(&store, first, sources(vec![told(rows(), "all nights")]), like(true), quietly()).await.unwrap();
    let plan = ImportPlan { base: Some(Arc::new(base.clone())), ..like(false) };
    let (next, _) = import::run(&store, "catalogs/demo/c/2", sources(vec![told(rows(), "one night")]), plan, quietly())
        .await
        .unwrap();
    assert_eq!(next.description(), Some("all nights"));
    assert_eq!((next.position(), next.rows()), (base.position(), 400));
    assert_eq!(next.descriptor().margins.len(), 1);
}

#[tokio::test]
async fn tables_without_rows_have_margins_and_indexes_and_can_be_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let plan = ImportPlan {
        id: Some("n".into()),
        margins: vec![Arcsec(5.0)],
        indexes: vec!["n".into()],
        bad_rows: BadRowPolicy::SetAside,
        max_rows: 7,
        spill: folder.path().join("spill"),
        ..plan()
    };
    let sound = async |snapshot: &CatalogSnapshot| {
        let options = CheckOptions { spill: folder.path().to_owned(), ..CheckOptions::default() };
        let report = check(snapshot, &options, Arc::new(|_, _| ())).await.unwrap();
        assert_eq!(report.defects.len(), 0, "{:?}", report.defects);
    };
    let bad = batch(vec![("n", long(0..3)), ("ra", double(vec![f64::NAN; 3])), ("dec", double(vec![1.0; 3]))]);
    let (empty, report) = import::run(&store, ROOT, sources(vec![bad]), plan.clone(), quietly()).await.unwrap();
    assert_eq!((empty.rows(), report.rows_set_aside()), (0, 3));
    assert_eq!((empty.descriptor().margins.len(), empty.descriptor().indexes.len()), (1, 1));
    sound(&empty).await;
    let mut last = empty;
    for (version, rows, all) in [("3", numbered(30), 30), ("4", numbered(0), 30)] {
        let plan = ImportPlan { base: Some(Arc::new(last.clone())), margins: vec![], indexes: vec![], ..plan.clone() };
        let root = format!("catalogs/demo/t/{version}");
        let (next, report) = import::run(&store, &root, sources(vec![rows]), plan, quietly()).await.unwrap();
        assert_eq!((next.rows(), report.rows), (all, all));
        assert_eq!((next.descriptor().margins.len(), next.descriptor().indexes.len()), (1, 1));
        sound(&next).await;
        last = next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_killed_before_its_journal_was_removed_has_only_to_be_published() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let plan = ImportPlan { max_rows: 300, spill: folder.path().join("spill"), ..plan() };
    assert!(interrupted(&store, plan.clone(), 60).await);
    let journal = store.get(&format!("{ROOT}/almagest/journal/plan.json")).await.unwrap().to_vec();
    let resumed = ImportPlan { resume: true, ..plan };
    let run = async |sources, plan| import::run(&store, ROOT, sources, plan, quietly()).await;
    let (snapshot, _) = run(sources(stars(20_000)), resumed.clone()).await.unwrap();
    let done = import::unfinished(&store, ROOT).await.unwrap().expect("it is not published");
    assert_eq!((done.rows, done.partitions, done.created), (20_000, snapshot.files().len(), created()));
    store.put(&format!("{ROOT}/almagest/journal/plan.json"), journal).await.unwrap();
    let other = ImportPlan { max_rows: 301, ..resumed.clone() };
    let sentence = run(sources(stars(20_000)), other).await.unwrap_err().to_string();
    assert!(sentence.contains("begun with other options"), "{sentence}");
    let (again, report) = run(sources(stars(20_000)), resumed).await.unwrap();
    assert_eq!((again.id(), report.rows_read), (snapshot.id(), 20_000));
    assert!(!store.exists(&format!("{ROOT}/almagest/journal/plan.json")).await.unwrap());
}

/// Some rows, and how a version is made of them.
#[derive(Clone, Debug)]
struct Step {
    rows: Vec<(f64, f64, i64, f64)>,
    sources: usize,
    max_rows: u64,
    orders: (u8, u8),
    memory: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let row = (
        prop_oneof![6 => -10.0..370.0_f64, 1 => Just(f64::NAN), 1 => Just(360.0), 1 => Just(-1e-20), 3 => 10.0..10.1_f64],
        prop_oneof![6 => -90.0..=90.0_f64, 1 => Just(95.0), 1 => Just(90.0), 1 => Just(-90.0), 3 => 20.0..20.1_f64],
        0..80_i64,
        prop_oneof![-2.0..2.0_f64, Just(f64::NAN), Just(1.0)],
    );
    let rows = prop_oneof![1 => Just(0..1_usize), 6 => Just(1..60_usize)]
        .prop_flat_map(move |size| prop::collection::vec(row.clone(), size));
    let memory = prop_oneof![Just(0_usize), Just(1 << 30)];
    (rows, 1..4_usize, 1..30_u64, 0..4_u8, 0..5_u8, memory).prop_map(|(rows, sources, max_rows, min, more, memory)| {
        Step { rows, sources, max_rows, orders: (min, min + more), memory }
    })
}

/// What of the rows should be there: of each its number, key and quality.
fn expected(
    kept: &mut Vec<(i64, i64, f64)>,
    rows: &[(f64, f64, i64, f64)],
    first: i64,
    dedupes: Option<bool>,
    is_sky: bool,
) {
    for (number, (ra, dec, key, quality)) in rows.iter().enumerate() {
        let row = (first + number as i64, *key, *quality);
        if is_sky && !(ra.is_finite() && dec.abs() <= 90.0) {
            continue;
        }
        match (dedupes, kept.iter_mut().find(|kept| kept.1 == *key)) {
            (Some(best), Some(there)) => {
                if best && (quality > &there.2 || (there.2.is_nan() && !quality.is_nan())) {
                    *there = row;
                }
            }
            _ => kept.push(row),
        }
    }
    kept.sort_unstable_by_key(|row| row.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn however_a_table_grows_it_has_every_row_once_and_is_sound(
        steps in prop::collection::vec(step(), 1..4),
        dedupes in prop_oneof![Just(None), Just(Some(false)), Just(Some(true))],
        is_sky in prop::bool::weighted(0.8),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = local(&folder);
            let (mut kept, mut first, mut base) = (Vec::new(), 0_i64, None::<CatalogSnapshot>);
            for (version, step) in steps.iter().enumerate() {
                let before = kept.len() as u64;
                expected(&mut kept, &step.rows, first, dedupes, is_sky);
                let all = batch(vec![
                    ("ra", double(step.rows.iter().map(|row| row.0).collect())),
                    ("dec", double(step.rows.iter().map(|row| row.1).collect())),
                    ("key", long(step.rows.iter().map(|row| row.2))),
                    ("quality", double(step.rows.iter().map(|row| row.3).collect())),
                    ("row", long(first..first + step.rows.len() as i64)),
                ]);
                first += step.rows.len() as i64;
                let size = all.num_rows().div_ceil(step.sources);
                let cut = (0..step.sources).map(|source| {
                    let start = (source * size).min(all.num_rows());
                    let part = all.slice(start, size.min(all.num_rows() - start));
                    let counted = source % 2 == 0;
                    Box::new(Given { counted, ..Given::new(&format!("{source}"), vec![part]) }) as Box<dyn TableSource>
                });
                let members = is_sky && version == 0;
                let plan = ImportPlan {
                    position: if is_sky { PositionPlan::Recognise { unit: PositionUnit::Auto } } else { PositionPlan::None },
                    id: dedupes.map(|_| "key".into()),
                    duplicates: match dedupes {
                        Some(true) => DuplicatePolicy::KeepBest("quality".into()),
                        _ => DuplicatePolicy::KeepFirst,
                    },
                    bad_rows: BadRowPolicy::SetAside,
                    max_rows: step.max_rows,
                    min_order: step.orders.0,
                    max_order: step.orders.1,
                    memory: step.memory,
                    margins: if members { vec![Arcsec(60.0)] } else { vec![] },
                    indexes: if members { vec!["key".into()] } else { vec![] },
                    spill: folder.path().join("spill"),
                    base: base.clone().map(Arc::new),
                    ..plan()
                };
                let root = format!("catalogs/demo/t/{version}");
                let (next, report) = import::run(&store, &root, cut.collect(), plan, quietly()).await.unwrap();
                let stored: Vec<i64> = match next.files() {
                    [] => Vec::new(),
                    _ => longs(&all_rows(&next).await, "row"),
                };
                let mut sorted = stored.clone();
                sorted.sort_unstable();
                let rows: Vec<i64> = kept.iter().map(|row| row.0).collect();
                assert_eq!(sorted, rows);
                assert!(is_sky || stored.is_sorted(), "{stored:?}");
                assert_eq!(report.rows_read, report.rows_published + report.rows_set_aside());
                assert_eq!(next.rows(), before + report.rows_published - report.replaced);
                let aside = format!("{root}/almagest/set-aside.parquet");
                let aside = match store.exists(&aside).await.unwrap() {
                    true => read(store.get(&aside).await.unwrap()).num_rows(),
                    false => 0,
                };
                assert_eq!(report.rows_set_aside(), aside as u64);
                let options = CheckOptions { spill: folder.path().to_owned(), ..CheckOptions::default() };
                let report = check(&next, &options, Arc::new(|_, _| ())).await.unwrap();
                assert_eq!((report.defects, report.unchecked), (vec![], vec![]));
                base = Some(next);
            }
        });
    }
}
