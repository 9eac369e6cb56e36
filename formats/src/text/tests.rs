//! Whole texts, opened and read.

use std::io::Write;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::{Int64Type, TimeUnit},
};
use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::{BadRow, Place, Places, testing::local};

/// The same cases in every run, unless a number of fresh ones is asked for.
pub(crate) fn cases() -> ProptestConfig {
    let fresh = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { rng_seed: if fresh { RngSeed::Random } else { RngSeed::Fixed(55) }, ..ProptestConfig::default() }
}

/// All that a pass yields.
pub(crate) struct Whole {
    pub(crate) batch: RecordBatch,
    pub(crate) lines: Vec<u64>,
    pub(crate) bad: Vec<BadRow>,
}

impl Whole {
    /// The values as text, row by row; NULL is `∅`.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let columns: Vec<_> =
            self.batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
        let text = |column: &Arc<dyn Array>, row| match column.is_null(row) {
            true => "∅".to_owned(),
            false => column.as_string::<i32>().value(row).to_owned(),
        };
        (0..self.batch.num_rows()).map(|row| columns.iter().map(|column| text(column, row)).collect()).collect()
    }

    pub(super) fn bad_lines(&self) -> Vec<(u64, &str)> {
        let line = |row: &BadRow| match row.place {
            Place::Line(line) => line,
            Place::Row(row) => panic!("row {row} instead of a line"),
        };
        self.bad.iter().map(|row| (line(row), row.reason.as_str())).collect()
    }
}

/// Decodes pieces in the opposite order and puts their rows in the right one.
pub(super) fn gather<'a>(schema: &SchemaRef, pieces: impl Iterator<Item = Result<Piece<'a>, FormatError>>) -> Whole {
    let pieces: Vec<_> = pieces.map(Result::unwrap).collect();
    let mut parts = Vec::new();
    for piece in pieces.into_iter().rev() {
        let mut part = Vec::new();
        piece
            .decode(&mut |rows| {
                part.push(rows);
                Ok(())
            })
            .unwrap();
        parts.push(part);
    }
    let (mut batches, mut lines, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for rows in parts.into_iter().rev().flatten() {
        let Places::Lines(these) = rows.places else { panic!("a text has lines") };
        assert_eq!(these.len(), rows.batch.num_rows());
        lines.extend_from_slice(&these);
        batches.push(rows.batch);
        bad.extend(rows.bad);
    }
    assert!(lines.is_sorted() && bad.is_sorted_by_key(|row: &BadRow| row.place));
    Whole { batch: concat_batches(schema, &batches).unwrap(), lines, bad }
}

pub(crate) fn whole(source: &dyn TableSource, columns: Option<&[usize]>) -> Whole {
    let schema = match columns {
        Some(columns) => Arc::new(source.schema().project(columns).unwrap()),
        None => Arc::clone(source.schema()),
    };
    gather(&schema, source.pieces(columns).unwrap())
}

/// A table of a file, and the folder that keeps it.
pub(crate) struct Opened {
    source: Box<dyn TableSource>,
    _folder: tempfile::TempDir,
}

impl Opened {
    /// What `open` makes of a file with this content, or what it says against it.
    pub(crate) fn new(
        name: &str,
        content: &[u8],
        open: impl FnOnce(Input) -> Result<Box<dyn TableSource>, FormatError>,
    ) -> Result<Self, String> {
        let (folder, input) = local(name, content);
        match open(input) {
            Ok(source) => Ok(Self { source, _folder: folder }),
            Err(error) => Err(error.to_string().split_once(&format!("{name}: ")).unwrap().1.to_owned()),
        }
    }
}

impl std::ops::Deref for Opened {
    type Target = dyn TableSource;

    fn deref(&self) -> &Self::Target {
        self.source.as_ref()
    }
}

impl std::ops::DerefMut for Opened {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.source.as_mut()
    }
}

pub(super) fn opened(text: &[u8], options: SourceOptions) -> Result<Opened, String> {
    Opened::new("t.csv", text, |input| open(input, b',', &options))
}

fn with(text: TextOptions) -> SourceOptions {
    SourceOptions { text, ..SourceOptions::default() }
}

fn typed(types: &[(&str, DataType)]) -> SourceOptions {
    let fields: Vec<_> = types.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
    SourceOptions { types: Some(Schema::new(fields)), ..SourceOptions::default() }
}

fn types_of(source: &dyn TableSource) -> Vec<(String, DataType)> {
    source.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

fn mark<'s>(source: &'s dyn TableSource, column: &str, key: &str) -> Option<&'s str> {
    source.schema().field_with_name(column).unwrap().metadata().get(key).map(String::as_str)
}

#[test]
fn a_row_of_endless_fields_is_no_row_and_no_header() {
    let endless = ",".repeat(200_000);
    let why = |text: &str| {
        let opened = Opened::new("t.csv", text.as_bytes(), |input| open(input, b',', &SourceOptions::default()));
        opened.map(|source| whole(&*source, None).bad[0].reason.clone())
    };
    let header = "line 1 has more than 100000 fields, and a table of so many columns is not read";
    assert_eq!(why(&endless), Err(header.to_owned()));
    let row = "it has more than 100000 fields instead of 2";
    assert_eq!(why(&format!("a,b\n1,2\n{endless}\n")), Ok(row.to_owned()));
}

#[test]
fn a_text_is_read_with_the_types_of_its_values() {
    let text = "\u{FEFF}# made by hand\nid, ra,name,seen\r\n1,10.5,\"α, β\",2026-01-31\r\n\r\n# pause\r\n2,nan,,\r\n";
    let source = opened(text.as_bytes(), SourceOptions::default()).unwrap();
    let expected =
        [("id", DataType::Int64), ("ra", DataType::Float64), ("name", DataType::Utf8), ("seen", DataType::Date32)];
    assert_eq!(types_of(&*source), expected.map(|(name, data_type)| (name.to_owned(), data_type)));
    assert_eq!(source.row_count(), Some(2));
    let whole = whole(&*source, None);
    assert_eq!(whole.rows(), [["1", "10.5", "α, β", "2026-01-31"], ["2", "NaN", "∅", "∅"]]);
    assert_eq!((whole.lines, whole.bad), (vec![3, 6], vec![]));
}

#[test]
fn columns_that_are_not_asked_for_are_not_read() {
    let source = opened(b"a,b,c\n1,2,3\n4,5,6\n", typed(&[("b", DataType::Boolean)])).unwrap();
    let some = whole(&*source, Some(&[0, 2]));
    assert_eq!((some.rows(), some.bad), (vec![vec!["1".into(), "3".into()], vec!["4".into(), "6".into()]], vec![]));
    let none = whole(&*source, Some(&[]));
    assert_eq!((none.batch.num_rows(), none.batch.num_columns()), (2, 0));
    let all = whole(&*source, None).bad;
    assert_eq!(all.iter().map(|row| row.text.as_deref()).collect::<Vec<_>>(), [Some("1,2,3"), Some("4,5,6")]);
    assert_eq!(whole(&*source, Some(&[0, 1])).bad, all, "they are told whole though what follows is not read");
}

#[test]
fn a_row_that_is_none_is_set_aside_with_its_line_and_the_reason() {
    let text = b"id,mag,note\n1,2.5,a\n2,bright,b\n3,4\n\"4\"x,1,c\n5,6,\xE9\n6,7.5,\"d\ne\"\n7,1e400,f\n8,x,\n9,9,z,\n10,9,z,z\n";
    let source = opened(text, typed(&[("id", DataType::Int8), ("mag", DataType::Float64)])).unwrap();
    assert_eq!(source.row_count(), Some(10));
    let whole = whole(&*source, None);
    assert_eq!(whole.rows(), [["1", "2.5", "a"], ["6", "7.5", "d\ne"], ["9", "9.0", "z"]]);
    assert_eq!(whole.lines, [2, 7, 11]);
    let expected = [
        (3, "mag: 'bright' is no number"),
        (4, "it has 2 fields instead of 3"),
        (5, "field 1 does not end with its closing quote"),
        (6, "it is not UTF-8: byte 0xE9 at its position 5"),
        (9, "mag: '1e400' is out of the range of numbers of 64 bits"),
        (10, "mag: 'x' is no number"),
        (12, "it has 4 fields instead of 3"),
    ];
    assert_eq!(whole.bad_lines(), expected);
    let texts: Vec<_> = whole.bad.iter().map(|row| row.text.clone().unwrap()).collect();
    assert_eq!(texts, ["2,bright,b", "3,4", "\"4\"x,1,c", "5,6,\u{FFFD}", "7,1e400,f", "8,x,", "10,9,z,z"]);
}

#[test]
fn one_word_in_row_900_000_decides_and_is_named() {
    let mut text = b"id,mag\n".to_vec();
    for row in 1..=900_100 {
        let mag = if row == 900_000 { "bright" } else { "1.5" };
        writeln!(text, "{row},{mag}").unwrap();
    }
    let mut source = opened(&text, SourceOptions::default()).unwrap();
    assert_eq!(types_of(&*source)[1].1, DataType::Utf8);
    assert_eq!(mark(&*source, "mag", TEXT_BECAUSE), Some("line 900001: 'bright'"));
    assert_eq!(source.row_count(), Some(900_100));
    source.read_as(&Schema::new(vec![Field::new("mag", DataType::Float32, false)]));
    assert_eq!(mark(&*source, "mag", TEXT_BECAUSE), None);
    let whole = whole(&*source, None);
    assert_eq!(whole.bad_lines(), [(900_001, "mag: 'bright' is no number")]);
    let ids = whole.batch.column(0).as_primitive::<Int64Type>();
    assert!(ids.values().iter().copied().eq((1..900_000).chain(900_001..=900_100)));
    assert!(whole.lines.iter().zip(ids.values()).all(|(line, id)| *line as i64 == id + 1));
}

#[test]
fn a_column_without_values_is_text_marked_as_empty() {
    let mut source = opened(b"a,b\n1,\n2,\n", SourceOptions::default()).unwrap();
    assert_eq!((mark(&*source, "a", EMPTY), mark(&*source, "b", EMPTY)), (None, Some("true")));
    source.read_as(&Schema::new(vec![Field::new("b", DataType::Timestamp(TimeUnit::Microsecond, None), true)]));
    assert_eq!(mark(&*source, "b", EMPTY), None);
    assert_eq!(whole(&*source, None).rows(), [["1", "∅"], ["2", "∅"]]);

    let only_a_header = opened(b"a,b", SourceOptions::default()).unwrap();
    assert_eq!(mark(&*only_a_header, "a", EMPTY), Some("true"));
    assert_eq!((only_a_header.row_count(), whole(&*only_a_header, None).rows().len()), (Some(0), 0));
}

#[test]
fn without_a_header_columns_are_named_or_numbered() {
    let text = b"AA|15||0\nBB|90||4\nCC|876||6.0";
    let options = TextOptions { delimiter: Some(b'|'), header: false, ..TextOptions::default() };
    let source = opened(text, with(options.clone())).unwrap();
    let names: Vec<_> = types_of(&*source).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["col1", "col2", "col3", "col4"]);
    let whole = whole(&*source, None);
    assert_eq!(whole.rows(), [["AA", "15", "∅", "0.0"], ["BB", "90", "∅", "4.0"], ["CC", "876", "∅", "6.0"]]);
    assert_eq!(whole.lines, [1, 2, 3]);
    let columns = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let source = opened(text, with(TextOptions { columns, ..options })).unwrap();
    assert_eq!(source.schema().field(3).name(), "d");
}

#[test]
fn names_are_passed_on_whatever_they_are() {
    let source = opened(" α ,\"b,c\",b,b,,x\n1,2,3,4,5,6\n".as_bytes(), SourceOptions::default()).unwrap();
    let names: Vec<_> = source.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["α", "b,c", "b", "b", "", "x"]);
    assert_eq!(whole(&*source, None).rows(), [["1", "2", "3", "4", "5", "6"]]);
}

#[test]
fn a_delimiter_at_the_end_of_every_line_makes_no_column() {
    for text in ["a,b,\n1,2,\n3,4,\n", "a,b\n1,2,\n3,4,\n", "a,b,\n1,2,\n3,4\n5,6,7\n"] {
        let source = opened(text.as_bytes(), SourceOptions::default()).unwrap();
        let rows = whole(&*source, None);
        match text.ends_with("7\n") {
            false => assert_eq!(
                (rows.rows(), source.schema().fields().len()),
                (vec![vec!["1".to_owned(), "2".into()], vec!["3".into(), "4".into()]], 2)
            ),
            true => assert_eq!(source.schema().fields().len(), 3, "{text}"),
        }
    }
}

#[test]
fn texts_that_mean_null_are_nulls_and_give_no_type() {
    let nulls = ["-999", "none"].map(str::to_owned).to_vec();
    let source = opened(b"a,b,c\n-999,none,NULL\n5,star,-999\n", with(TextOptions { nulls, ..TextOptions::default() }));
    let source = source.unwrap();
    assert_eq!(whole(&*source, None).rows(), [["∅", "∅", "NULL"], ["5", "star", "∅"]]);
    assert_eq!(mark(&*source, "c", EMPTY), Some("true"), "no value of another kind than the word NULL");
}

#[test]
fn what_cannot_be_a_table_is_told_in_a_sentence() {
    let why = |text: &[u8], options| match opened(text, options) {
        Ok(_) => panic!("{} was taken for a table", String::from_utf8_lossy(text)),
        Err(why) => why,
    };
    let plain = SourceOptions::default;
    assert_eq!(why(b"# only\n# comments\n", plain()), "it has no row: not even one with the names of its columns");
    assert_eq!(why(b"", plain()), "it has no row: not even one with the names of its columns");
    assert_eq!(why(b"\n\na,\xE9\n1,2\n", plain()), "line 3: it is not UTF-8: byte 0xE9 at its position 3");
    assert_eq!(why(b"a,b\r1,2\r3,4", plain()), "its lines end with CR alone; convert them to end with LF");
    let data = why(b"# ra dec\n10.5,-3\n11.5,-4\n", plain());
    assert!(data.starts_with("line 2 should hold the names of the columns, but holds numbers"), "{data}");
    assert_eq!(why(b"a,b\n1,2\n\"3,4\n", plain()), "a quote in the row that begins at line 3 is never closed");
    let delimiter = |delimiter| with(TextOptions { delimiter: Some(delimiter), ..TextOptions::default() });
    assert_eq!(why(b"a\n", delimiter(b'"')), "its fields cannot be separated by '\\\"'");
    assert_eq!(why(b"a\n", delimiter(b'#')), "a comment cannot begin with the delimiter or with a quote");
    let binary = why(b"a,b\n1,2\n", typed(&[("b", DataType::Binary)]));
    assert_eq!(binary, "its column b cannot be read as bytes: it is text");
    let no_header = with(TextOptions { header: false, ..TextOptions::default() });
    assert_eq!(why(b"# nothing\n", no_header), "it has no row, so its columns are unknown");
}

#[test]
fn two_thousand_columns_are_read() {
    let line = |row: usize| (0..2000).map(|column| (row * column).to_string()).collect::<Vec<_>>().join(",");
    let names: Vec<_> = (0..2000).map(|column| format!("c{column}")).collect();
    let text = format!("{}\n{}\n{}\n", names.join(","), line(1), line(2));
    let source = opened(text.as_bytes(), SourceOptions::default()).unwrap();
    let whole = whole(&*source, Some(&[0, 1999]));
    assert_eq!(whole.rows(), [["0", "1999"], ["0", "3998"]]);
}

#[test]
fn a_gigabyte_without_a_line_end_is_refused_in_bounded_memory() {
    let layout = layout(Dialect { delimiter: b',', comment: Some(b'#') }, Limits::default());
    let text = || Ok(b"a,b\n1,2\n3,".chain(std::io::repeat(b'x')).take(1 << 30));
    let error = layout.survey(text, &[], None, NonZero::<usize>::MIN).unwrap_err().to_string();
    assert!(error.starts_with("t.csv: the row that begins at line 3 is longer than 64 MiB"), "{error}");
}

pub(super) fn layout(dialect: Dialect, limits: Limits) -> Layout {
    Layout { dialect, nulls: Nulls::default(), header: true, limits, name: "t.csv".to_owned() }
}

/// A field as a table has it, and whether it is written in quotes that it does not need.
fn any_field() -> impl Strategy<Value = (String, bool)> {
    let text = prop_oneof![
        "[a-c]{0,4}",
        "[,\"\n\r#;α ]{0,6}",
        any::<i16>().prop_map(|number| number.to_string()),
        Just(String::new())
    ];
    (text, any::<bool>())
}

fn written(row: &[(String, bool)]) -> String {
    let field = |(text, quoted): &(String, bool)| match *quoted || text.contains([',', '"', '\n', '\r', '#']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.clone(),
    };
    row.iter().map(field).collect::<Vec<_>>().join(",")
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn what_is_written_reads_back_whatever_the_chunks_and_their_order(
        rows in (1..5_usize).prop_flat_map(|width| prop::collection::vec(prop::collection::vec(any_field(), width), 1..12)),
        chunk in 1..200_usize,
        (crlf, last, comment) in (any::<bool>(), any::<bool>(), any::<bool>()),
        threads in 1..3_usize,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let names: Vec<_> = (0..rows[0].len()).map(|column| (format!("c{column}"), false)).collect();
        let mut text = format!("{}{}{end}", if comment { "# \"a\n\n" } else { "" }, written(&names));
        for (number, row) in rows.iter().enumerate() {
            let line = written(row);
            // A row of one empty field is an empty line; it has to be written with quotes.
            text += if line.is_empty() { "\"\"" } else { &line };
            if number + 1 < rows.len() || last {
                text += end;
            }
            if comment && number + 1 < rows.len() {
                text += "#,\"\n";
            }
        }
        let layout = layout(Dialect { delimiter: b',', comment: Some(b'#') }, Limits { chunk, record: 1 << 20 });
        let threads = NonZero::new(threads).unwrap();
        let found = layout.survey(|| Ok(text.as_bytes()), &[], None, threads).unwrap();
        prop_assert_eq!(found.rows, Some(rows.len() as u64));
        let alone = layout.survey(|| Ok(text.as_bytes()), &[], None, NonZero::<usize>::MIN).unwrap();
        prop_assert_eq!(&found, &alone, "the same on any number of threads");
        let fields = found.fields;

        let schema = Arc::new(Schema::new(fields.iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect::<Vec<_>>()));
        let mut chunks = layout.chunks(text.as_bytes());
        layout.next_row(&mut chunks).unwrap();
        let found = gather(&schema, pieces(chunks, layout.pass(&schema, None).unwrap()));
        prop_assert_eq!(&found.bad, &vec![]);
        let expected: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|(text, _)| if text.is_empty() { "∅".to_owned() } else { text.clone() }).collect())
            .collect();
        prop_assert_eq!(found.rows(), expected);

        let inferred = Arc::new(Schema::new(fields));
        let mut chunks = layout.chunks(text.as_bytes());
        layout.next_row(&mut chunks).unwrap();
        let found = gather(&inferred, pieces(chunks, layout.pass(&inferred, None).unwrap()));
        prop_assert_eq!(&found.bad, &vec![], "every value fits the type that was told from it");
        prop_assert_eq!(found.batch.num_rows(), rows.len());
    }
}

/// The lines of the rows and of those set aside, and what was said of them; or why it is no table.
type Outcome = Result<(Vec<u64>, Vec<BadRow>, Vec<Vec<String>>), String>;

fn outcome(text: &[u8], dialect: Dialect, chunk: usize) -> Outcome {
    let layout = layout(dialect, Limits { chunk, record: 1 << 20 });
    let sentence = |error: FormatError| error.to_string();
    let Surveyed { fields, rows, is_sound, .. } =
        layout.survey(|| Ok(text), &[], None, NonZero::<usize>::MIN).map_err(sentence)?;
    let schema = Arc::new(Schema::new(fields));
    let read = |columns: Option<&[usize]>| {
        let mut chunks = layout.chunks(text);
        layout.next_row(&mut chunks).map_err(sentence)?;
        let pass = Pass { is_sound, ..layout.pass(&schema, columns).map_err(sentence)? };
        Ok::<_, String>(gather(&Arc::clone(&pass.schema), pieces(chunks, pass)))
    };
    let found = read(None)?;
    assert_eq!(rows, Some((found.lines.len() + found.bad.len()) as u64), "every row is read or set aside");
    for column in 0..schema.fields().len() {
        let alone = read(Some(&[column]))?;
        assert_eq!((&alone.lines, &alone.bad), (&found.lines, &found.bad), "column {column} alone");
        let values: Vec<_> = found.rows().iter().map(|row| vec![row[column].clone()]).collect();
        assert_eq!(alone.rows(), values, "column {column} alone");
    }
    Ok((found.lines.clone(), found.bad.clone(), found.rows()))
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn whatever_the_bytes_are_chunks_do_not_matter(
        text in prop::collection::vec(prop::sample::select(&b"ab1 ,\t\"\"\n\n\r#\xE9\xC3\xA9"[..]), 0..60),
        delimiter in prop::sample::select(vec![b',', b' ', b'\t']),
        comment in prop::option::of(Just(b'#')),
        chunk in 1..40_usize,
    ) {
        let dialect = Dialect { delimiter, comment };
        prop_assert_eq!(outcome(&text, dialect, chunk), outcome(&text, dialect, 1 << 16));
    }
}

#[test]
fn a_packed_text_is_read_like_a_plain_one() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"a,b\n1,x\n2,y\n").unwrap();
    let source = opened(&packed.finish().unwrap(), SourceOptions::default()).unwrap();
    assert_eq!(whole(&*source, None).rows(), [["1", "x"], ["2", "y"]]);
}

#[test]
fn the_samples_of_another_importer_are_read() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/formats/import-samples");
    if !std::path::Path::new(samples).exists() {
        println!("skipped: no folder {samples}");
        return;
    }
    let sample = |path: &str, options: SourceOptions| {
        open(Input::file(std::path::Path::new(&format!("{samples}/{path}"))).unwrap(), b',', &options)
    };
    for (path, rows) in [
        ("small_sky/catalog.csv", 131),
        ("formats/catalog.csv.gz", 131),
        ("formats/catalog.starr", 131),
        ("formats/spatial_index.csv", 131),
        ("formats/headers.csv", 8),
        ("small_sky_parts/catalog_10_of_05.csv", 0),
        ("small_sky_source/small_sky_source.csv", 17_161),
    ] {
        let source = sample(path, SourceOptions::default()).unwrap();
        let found = whole(&*source, None);
        assert_eq!(
            (found.batch.num_rows(), found.bad.len(), source.row_count()),
            (rows, 0, Some(rows as u64)),
            "{path}"
        );
    }
    assert!(sample("blank/blank.csv", SourceOptions::default()).is_err());

    let gaia = sample("formats/gaia_minimum.csv", SourceOptions::default()).unwrap();
    let expected = ["Int64", "Utf8", "Float64", "Float64", "Float64", "Float64", "Float64", "Utf8"];
    assert_eq!(types_of(&*gaia).iter().map(|(_, data_type)| data_type.to_string()).collect::<Vec<_>>(), expected);
    let rows = whole(&*gaia, None);
    assert_eq!((rows.lines[0], rows.rows()[1][0].as_str()), (16, "1636148068921376768"));
    assert_eq!((rows.rows()[0][7].as_str(), rows.rows()[4][7].as_str()), ("∅", "MARCS"));

    let first = sample("mixed_schema/input_01.csv", SourceOptions::default()).unwrap();
    let mut second = sample("mixed_schema/input_02.csv", SourceOptions::default()).unwrap();
    assert_eq!(mark(&*first, "comment", EMPTY), Some("true"));
    assert_eq!(mark(&*second, "comment", EMPTY), None);
    second.read_as(first.schema());
    let reasons = whole(&*second, None).bad;
    assert_eq!(reasons[0].reason, "code: 'good' is no whole number");

    let pipes = TextOptions { delimiter: Some(b'|'), header: false, ..TextOptions::default() };
    assert_eq!(whole(&*sample("formats/pipe_delimited.csv", with(pipes)).unwrap(), None).rows().len(), 3);
}

#[test]
fn a_text_of_which_chunks_are_known_reads_the_same_and_notices_a_change() {
    let text = format!("\u{feff}i,text\n{}", "1,\"a\nb\"\n\n2,c\n3\n".repeat(40));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stars.csv");
    std::fs::write(&path, &text).unwrap();
    let input = Input::file(&path).unwrap();
    for chunk in [1, 30, 1000] {
        let layout = layout(Dialect { delimiter: b',', comment: None }, Limits { chunk, record: 1 << 20 });
        let surveyed = layout.survey(|| input.text(), &[], None, NonZero::<usize>::MIN).unwrap();
        let source = |stretches| TextSource {
            stretches,
            rows: surveyed.rows,
            ..TextSource::new(input.clone(), layout.clone(), surveyed.fields.clone())
        };
        let (streamed, known) = (source(None), source(surveyed.stretches.clone()));
        for columns in [None, Some(&[0][..]), Some(&[1])] {
            let (one, other) = (whole(&streamed, columns), whole(&known, columns));
            assert_eq!((one.rows(), one.lines, one.bad), (other.rows(), other.lines, other.bad), "chunks of {chunk}");
        }
        assert!(known.pieces(None).unwrap().count() > 1 || chunk == 1000);
    }
    let source = open(input, b',', &SourceOptions::default()).unwrap();
    let piece = source.pieces(None).unwrap().next().unwrap().unwrap();
    std::fs::write(&path, text + "4,d\n").unwrap();
    let error = piece.decode(&mut |_| Ok(())).unwrap_err().to_string();
    assert!(error.ends_with("stars.csv: it has changed since it was first looked at"), "{error}");
}
