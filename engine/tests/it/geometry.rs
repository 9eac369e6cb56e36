//! Shapes and MOCs in queries: every function in every form, columns of shapes, casts and answers.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    },
    compute::concat_batches,
    datatypes::{DataType, Field, Float64Type, Schema, TimeUnit},
    util::display::array_value_to_string,
};
use catalogs::{
    CatalogStore, StoreOptions, TableName,
    import::{self, ImportPlan},
};
use engine::{Engine, EngineError, EngineOptions, Language, QueryLimits, TableSet};
use formats::Batches;
use futures::StreamExt;
use sky::{Moc, Order, Pixel, Position};
use tokio::sync::OnceCell;

struct House {
    _folder: tempfile::TempDir,
    engine: Engine,
    tables: TableSet,
}

const POSITIONS: [(f64, f64); 5] = [(10.0, 20.0), (10.5, 20.0), (359.9, 0.0), (0.1, 0.0), (200.0, 89.0)];

/// Five rows with a column of every kind; the last of each shape is missing, the one before describes nothing.
fn observations() -> RecordBatch {
    let field = |name: &str, data_type: DataType, xtype: &str| {
        let metadata = [("vo:xtype", xtype), ("vo:description", name)];
        let told = metadata.into_iter().filter(|(_, value)| !value.is_empty());
        Field::new(name, data_type, true)
            .with_metadata(told.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<HashMap<_, _>>())
    };
    let fixed = |rows: [Option<Vec<f64>>; 5], length| {
        let rows = rows.map(|row| row.map(|row| row.into_iter().map(Some).collect::<Vec<_>>()));
        FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(rows, length)
    };
    let pos = fixed(
        [Some(vec![10.0, 20.0]), Some(vec![370.5, 20.0]), Some(vec![359.9, 0.0]), Some(vec![1.0, 95.0]), None],
        2,
    );
    let spot = fixed(
        [
            Some(vec![10.0, 20.0, 1.0]),
            Some(vec![10.5, 20.0, 0.1]),
            Some(vec![0.0, 0.0, 1.0]),
            Some(vec![1.0, 5.0, -1.0]),
            None,
        ],
        3,
    );
    let frames = [
        Some(vec![9.0, 19.0, 11.0, 19.0, 11.0, 21.0, 9.0, 21.0]),
        Some(vec![10.4, 19.9, 10.6, 19.9, 10.5, 20.1]),
        Some(vec![359.0, -1.0, 1.0, -1.0, 0.0, 1.0]),
        Some(vec![1.0, 2.0, 3.0]),
        None,
    ];
    let frames = frames.map(|row| row.map(|row| row.into_iter().map(Some).collect::<Vec<_>>()));
    let frame = ListArray::from_iter_primitive::<Float64Type, _, _>(frames);
    let mocs = [Some("3/0-767"), Some("0/1 1/0"), Some("5/0-3"), Some("no MOC"), None];
    let regions = [
        Some("Circle ICRS 10 20 1"),
        Some("POLYGON 10.4 19.9 10.6 19.9 10.5 20.1"),
        Some("Box ICRS 0 0 2 2"),
        Some("Circle GALACTIC 1 2 3"),
        None,
    ];
    let times = [Some("2020-01-02T03:04:05"), Some("2021-06-01"), None, Some("1999-12-31T23:59:59.5Z"), None];
    let columns: Vec<(Field, ArrayRef)> = vec![
        (field("id", DataType::Int64, ""), Arc::new(Int64Array::from_iter_values(0..5))),
        (field("ra", DataType::Float64, ""), Arc::new(Float64Array::from_iter_values(POSITIONS.map(|p| p.0)))),
        (field("dec", DataType::Float64, ""), Arc::new(Float64Array::from_iter_values(POSITIONS.map(|p| p.1)))),
        (field("Err", DataType::Float64, ""), Arc::new(Float64Array::from(vec![0.5, 0.1, 1.0, 2.0, 0.0]))),
        (field("pos", pos.data_type().clone(), "point"), Arc::new(pos)),
        (field("Spot", spot.data_type().clone(), "circle"), Arc::new(spot)),
        (field("frame", frame.data_type().clone(), "polygon"), Arc::new(frame)),
        (field("cover", DataType::Utf8, "moc"), Arc::new(StringArray::from(mocs.to_vec()))),
        (field("area_seen", DataType::Utf8, "adql:REGION"), Arc::new(StringArray::from(regions.to_vec()))),
        (field("seen", DataType::Utf8, "timestamp"), Arc::new(StringArray::from(times.to_vec()))),
    ];
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

async fn house() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let url = folder.path().display().to_string();
            let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
            let name: TableName = "demo.obs".parse().unwrap();
            let plan =
                ImportPlan { spill: folder.path().join("spill"), ..ImportPlan::new(name.clone(), Default::default()) };
            let rows = observations();
            let given = Batches::new("obs", rows.schema(), vec![rows]);
            let (snapshot, _) =
                import::run(&store, "obs", vec![Box::new(given)], plan, Arc::new(|_| ())).await.unwrap();
            let tables = TableSet::new([(name, Arc::new(snapshot))]).unwrap();
            let engine =
                Engine::new(EngineOptions { memory: 64 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
            House { _folder: folder, engine, tables }
        })
        .await
}

async fn ask(text: &str) -> Result<RecordBatch, EngineError> {
    let house = house().await;
    let query = house.engine.plan(&house.tables, Language::Adql, text, QueryLimits::default()).await?;
    let schema = query.schema();
    let mut rows = query.run()?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// The answer of an expression in the first row, as text; an empty one is NULL.
async fn value(expression: &str) -> String {
    let query = format!("SELECT {expression} AS answer FROM demo.obs WHERE id = 0");
    let answer = ask(&query).await.unwrap_or_else(|error| panic!("{expression}: {error}"));
    array_value_to_string(answer.column(0), 0).unwrap()
}

async fn refusal(expression: &str) -> String {
    match ask(&format!("SELECT {expression} AS answer FROM demo.obs")).await {
        Err(EngineError::Mistake(mistake)) => mistake.to_string(),
        other => panic!("{expression}: {other:?}"),
    }
}

async fn ids(condition: &str) -> Vec<i64> {
    let answer = ask(&format!("SELECT id FROM demo.obs WHERE {condition}")).await;
    let answer = answer.unwrap_or_else(|error| panic!("{condition}: {error}"));
    let mut ids = answer.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn the_example_of_every_geometry_function_gives_a_value() {
    let mut tried = 0;
    for declaration in engine::functions() {
        let geometry = matches!(declaration.origin, engine::Origin::Feature("features-adqlgeo", _));
        if geometry || declaration.name.to_lowercase().contains("moc") {
            let answer = value(declaration.example).await;
            assert!(!answer.is_empty(), "{} is NULL", declaration.example);
            tried += 1;
        }
    }
    assert!(tried >= 18, "{tried} functions");
}

/// By hand: the shapes are so simple that each answer is seen, or is that of a formula told beside it.
#[tokio::test]
async fn every_form_of_every_function_answers_what_it_must() {
    for (expression, expected) in [
        ("POINT(10, 20)", "[10.0, 20.0]"),
        ("POINT('ICRS', 370, 20)", "[10.0, 20.0]"),
        ("POINT('', -350, 20)", "[10.0, 20.0]"),
        ("POINT(NULL, 20)", ""),
        ("POINT(ra, dec + 100)", ""),
        ("CIRCLE(10, 20, 0.5)", "[10.0, 20.0, 0.5]"),
        ("CIRCLE('ICRS GEOCENTER', POINT(10, 20), 0.5)", "[10.0, 20.0, 0.5]"),
        ("CIRCLE(pos, err)", "[10.0, 20.0, 0.5]"),
        ("CIRCLE(ra, dec, -err)", ""),
        ("POLYGON(0, 0, 2, 0, 1, 1)", "[0.0, 0.0, 2.0, 0.0, 1.0, 1.0]"),
        ("POLYGON('ICRS', POINT(0, 0), POINT(2, 0), POINT(ra, 1))", "[0.0, 0.0, 2.0, 0.0, 10.0, 1.0]"),
        ("POLYGON(ra, dec, ra, dec, ra, dec)", ""),
        ("REGION('Position ICRS 10 20')", "[10.0, 20.0]"),
        ("REGION('Circle 10 20 0.5')", "[10.0, 20.0, 0.5]"),
        ("COORD1(POINT(-10, 5))", "350.0"),
        ("COORD2(CENTROID(CIRCLE(10, 20, 0.5)))", "20.0"),
        ("COORDSYS(spot)", "ICRS"),
        ("COORDSYS(NULL)", ""),
        ("AREA(POINT(1, 2))", "0.0"),
        ("ROUND(AREA(CIRCLE(10, 20, 180)), 6)", "41252.961249"), // 129600/π
        ("ROUND(AREA(MOC('0/3')), 6)", "3437.746771"),           // a twelfth of it
        ("ROUND(AREA(BOX(10, 20, 2, 2)), 4)", "3.9996"),         // 4 asin(sin² 1°)
        ("ROUND(DISTANCE(0, 0, 90, 0), 12)", "90.0"),
        ("DISTANCE(POINT(0, 90), POINT(123, -90))", "180.0"),
        ("DISTANCE(pos, POINT(ra, dec))", "0.0"),
        ("CONTAINS(POINT(10, 21), CIRCLE(10, 20, 1))", "1"),
        ("CONTAINS(CIRCLE(10, 20, 1), CIRCLE(10, 20, 2))", "1"),
        ("CONTAINS(CIRCLE(10, 20, 2), CIRCLE(10, 20, 1))", "0"),
        ("CONTAINS(BOX(10, 20, 1, 1), POLYGON(8, 18, 12, 18, 12, 22, 8, 22))", "1"),
        ("CONTAINS(NULL, CIRCLE(10, 20, 1))", ""),
        ("INTERSECTS(CIRCLE(0, 0, 1), CIRCLE(2, 0, 1))", "1"), // they touch
        ("INTERSECTS(CIRCLE(0, 0, 1), CIRCLE(2.0001, 0, 1))", "0"),
        ("INTERSECTS(POINT(0, 0), POINT(360, 0))", "1"),
        ("INTERSECTS(MOC('3/5'), POLYGON(0, 0, 2, 0, 1, 1))", "0"),
        ("CONTAINS(POINT(45, 60), MOC('0/0-3'))", "1"),
        ("CONTAINS(MOC('3/5'), MOC('2/1'))", "1"),
        ("MOC('3/4 5-7')", "2/1 3/"),
        ("MOC(0, POINT(45, 45))", "0/0"),
        ("MOC(1, MOC('4/0'))", "1/0"),
        ("MOC(ra, pos)", "refused"),
        ("gavo_mocunion(MOC('1/0'), MOC('1/1'))", "1/0-1"),
        ("gavo_mocintersect(MOC('0/0'), MOC('1/1 20'))", "1/1"),
        ("gavo_mocintersect(MOC('0/0'), cover)", "0/0 3/"),
        ("CAST('10 20' AS POINT)", "[10.0, 20.0]"),
        ("CAST('10 20 0.5' AS CIRCLE)", "[10.0, 20.0, 0.5]"),
        ("CAST('0 0 2 0 1 1' AS POLYGON)", "[0.0, 0.0, 2.0, 0.0, 1.0, 1.0]"),
        ("CAST('3/4-7' AS MOC)", "2/1 3/"),
        ("CAST(POINT(10, 20) AS VARCHAR)", "10 20"),
        ("CAST(frame AS VARCHAR)", "9 19 11 19 11 21 9 21"),
        ("CAST(cover AS VARCHAR)", "0/0-11 3/"),
        ("CAST(area_seen AS VARCHAR)", "Circle 10 20 1"),
        ("CAST(area_seen AS CIRCLE)", "[10.0, 20.0, 1.0]"),
        ("COALESCE(pos, POINT(1, 2))", "[10.0, 20.0]"),
    ] {
        match expected {
            "refused" => assert!(refusal(expression).await.contains("MOC"), "{expression}"),
            expected => assert_eq!(value(expression).await, expected, "{expression}"),
        }
    }
}

#[tokio::test]
async fn constants_that_describe_nothing_are_refused_with_a_sentence() {
    for (expression, told) in [
        ("POINT(10, 95)", "between -90 and 90 degrees, not at 95"),
        ("POINT(ra, 95)", "between -90 and 90 degrees, not at 95"),
        ("CIRCLE(ra, dec, -1)", "between 0 and 180 degrees, not be -1"),
        ("CIRCLE(pos, 181)", "between 0 and 180 degrees, not be 181"),
        ("DISTANCE(ra, dec, 10, 95)", "not at 95"),
        ("POLYGON(0, 0, 2, 2, 2, 0, 0, 2)", "crosses or touches"),
        ("REGION('Ellipse 1 2 3 4 5')", "Ellipse"),
        ("REGION('Circle GALACTIC 1 2 3')", "GALACTIC"),
        ("POINT('GALACTIC', 1, 2)", "GALACTIC"),
        ("MOC('4/9999')", "order 4 has no cell 9999"),
        ("MOC(30, CIRCLE(1, 2, 3))", "HEALPix order"),
        ("CAST('1 2 3' AS POINT)", "2 numbers"),
        ("CONTAINS(ra, CIRCLE(1, 2, 3))", "CONTAINS takes (inner, outer), not (DOUBLE PRECISION, CIRCLE)"),
        ("COORD1(spot)", "COORD1 takes (point), not (CIRCLE)"),
    ] {
        let sentence = refusal(expression).await;
        assert!(sentence.contains(told), "{expression}: {sentence}");
    }
}

#[tokio::test]
async fn columns_of_shapes_are_shapes_and_leave_as_they_came() {
    assert_eq!(ids("1 = CONTAINS(pos, CIRCLE(10, 20, 0.3))").await, [0]);
    assert_eq!(ids("1 = CONTAINS(POINT(10.5, 20.01), spot)").await, [0, 1]);
    assert_eq!(ids("1 = CONTAINS(POINT(ra, dec), frame)").await, [0, 1, 2]);
    assert_eq!(ids("0 = CONTAINS(pos, frame)").await, [0; 0]);
    assert_eq!(ids("1 = INTERSECTS(CIRCLE(0, 0, 0.1), frame)").await, [2]);
    assert_eq!(ids("1 = INTERSECTS(CIRCLE(10.5, 20, 0.01), area_seen)").await, [0, 1]);
    assert_eq!(ids("1 = INTERSECTS(frame, area_seen)").await, [0, 1, 2]);
    assert_eq!(ids("1 = CONTAINS(POINT(ra, dec), cover)").await, [0]);
    assert_eq!(ids("pos IS NULL").await, [3, 4], "a point beyond the pole is none");
    assert_eq!(ids("seen > CAST('2020-06-01' AS TIMESTAMP)").await, [1]);

    let answer = ask("SELECT * FROM demo.obs ORDER BY id").await.unwrap();
    let schema = answer.schema();
    let told = |name: &str| {
        let field = schema.field_with_name(name).unwrap_or_else(|_| panic!("{name} in {schema:?}"));
        (
            field.data_type().clone(),
            field.metadata().get("vo:xtype").cloned(),
            field.metadata().get("vo:description").cloned(),
        )
    };
    let list = |length| DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float64, true)), length);
    for (name, data_type, xtype) in [
        ("pos", list(2), "point"),
        ("Spot", list(3), "circle"),
        ("frame", DataType::List(Arc::new(Field::new("item", DataType::Float64, true))), "polygon"),
        ("cover", DataType::Utf8, "moc"),
        ("area_seen", DataType::Utf8, "adql:REGION"),
        ("seen", DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp"),
    ] {
        assert_eq!(told(name), (data_type, Some(xtype.to_owned()), Some(name.to_owned())));
    }
    let text = |name: &str, row| array_value_to_string(answer.column_by_name(name).unwrap(), row).unwrap();
    assert_eq!(text("cover", 1), "0/1 1/0", "text is given back as it is written");
    assert_eq!(text("area_seen", 2), "Box ICRS 0 0 2 2");
    assert_eq!(text("Spot", 1), "[10.5, 20.0, 0.1]");
    assert!(answer.column_by_name("frame").unwrap().is_null(4));
}

#[tokio::test]
async fn mocs_of_many_rows_are_those_of_their_parts() {
    let order = Order::new(6).unwrap();
    let cells = POSITIONS.map(|(lon, lat)| Pixel::of(Position::from_deg(lon, lat).unwrap(), order));
    let expected = Moc::from_pixels(order, cells).to_string();
    for query in [
        "SELECT moc_of_positions(6, ra, dec) AS m FROM demo.obs",
        "SELECT moc_of_positions(6, POINT(ra, dec)) AS m FROM demo.obs",
        "SELECT moc_union(MOC(6, POINT(ra, dec))) AS m FROM demo.obs",
        "SELECT moc_union(m) AS m FROM (SELECT id, moc_of_positions(6, ra, dec) AS m FROM demo.obs GROUP BY id) AS each",
    ] {
        let answer = ask(query).await.unwrap();
        assert_eq!(array_value_to_string(answer.column(0), 0).unwrap(), expected, "{query}");
        assert_eq!(answer.schema().field(0).metadata()["vo:xtype"], "moc");
    }
    let none = ask("SELECT moc_union(cover) AS m FROM demo.obs WHERE id > 90").await.unwrap();
    assert!(none.column(0).is_null(0));
}

#[tokio::test]
async fn a_moc_of_a_shape_has_the_cells_of_its_points_and_hardly_any_other() {
    let steps = || (-200..=200).map(|step| f64::from(step) / 100.0);
    let center = Position::from_deg(10.0, 20.0).unwrap();
    let grid = steps().flat_map(|x| steps().map(move |y| (10.0 + x / 20_f64.to_radians().cos(), 20.0 + y)));
    let within: Vec<Position> = grid
        .map(|(lon, lat)| Position::from_deg(lon, lat).unwrap())
        .filter(|position| center.is_within(sky::Deg(2.0), *position))
        .collect();
    for order in [2, 3, 6, 8] {
        let order = Order::new(order).unwrap();
        let expected = Moc::from_pixels(order, within.iter().map(|position| Pixel::of(*position, order)));
        let found: Moc = value(&format!("MOC({order}, CIRCLE(10, 20, 2))")).await.parse().unwrap();
        assert!(found.contains(&expected), "order {order}");
        let more = found.sky_fraction() / expected.sky_fraction();
        assert!(more < 1.1, "order {order}: {more}");
        assert_eq!(value(&format!("CONTAINS(CIRCLE(10, 20, 2), MOC({order}, CIRCLE(10, 20, 2)))")).await, "1");
    }
}

#[tokio::test]
async fn a_table_joined_with_itself_by_distance_finds_its_pairs() {
    for condition in [
        "DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.6",
        "1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 0.6))",
        "1 = INTERSECTS(CIRCLE(a.pos, 0.6), b.pos)",
    ] {
        let query = format!(
            "SELECT a.id, b.id AS other FROM demo.obs AS a JOIN demo.obs AS b ON {condition} WHERE a.id < b.id"
        );
        let answer = ask(&query).await.unwrap();
        let pairs = if condition.contains("pos") { 1 } else { 2 };
        assert_eq!(answer.num_rows(), pairs, "{condition}");
    }
}

#[tokio::test]
async fn what_is_at_most_so_far_is_what_a_circle_contains_wherever_it_is_asked() {
    // As numbers the distances of these rows from the centre are a little more than the radius: 360 - 359.9 is so in doubles.
    let (inside, apart) = ("1 = CONTAINS(POINT(ra, dec), CIRCLE(0, 0, 0.1))", "DISTANCE(ra, dec, 0, 0)");
    assert_eq!(ids(inside).await, [2, 3]);
    for condition in [
        format!("{apart} <= 0.1"),
        format!("NOT {apart} > 0.1"),
        format!("0.1 >= {apart} AND id < 9"),
        "DISTANCE(POINT(0, 0), POINT(ra, dec)) <= 0.1".to_owned(),
        "DISTANCE(CENTROID(POINT(ra, dec)), POINT(0, 0)) <= 0.1".to_owned(),
        format!("CASE WHEN {apart} <= 0.1 THEN 1 ELSE 0 END = 1"),
        format!("id IN (SELECT id FROM demo.obs WHERE {apart} <= 0.1)"),
        format!("id IN (SELECT id * CASE WHEN {apart} <= 0.1 THEN 1 ELSE -1 END FROM demo.obs) AND id > 0"),
    ] {
        assert_eq!(ids(&condition).await, [2, 3], "{condition}");
    }
    for on in ["DISTANCE(a.ra, a.dec, b.ra, b.dec) <= c", "1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, c))"] {
        let pairs = "SELECT a.id FROM demo.obs AS a JOIN (SELECT 0.0 + id * 0 AS ra, 0.0 AS dec, 0.1 + id * 0 AS c FROM demo.obs WHERE id = 1) AS b";
        let pairs = ask(&format!("{pairs} ON {on}")).await.unwrap();
        assert_eq!(pairs.num_rows(), 2, "{on}");
    }
}
