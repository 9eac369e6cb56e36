//! One suite for all formats: every type, every awkward value, NULL everywhere, written and read back by the readers of
//! the room `formats`, which share no code with the writers.
//!
//! Values are compared as text of which a float has exactly one. Where a format cannot tell two values apart, both
//! sides are folded, here and nowhere else, so that this file is the list of what each format loses.

use std::{collections::HashMap, io::Write};

use ::formats::{Input, SourceOptions};
use arrow::{
    array::{
        Array, Date32Array, DictionaryArray, FixedSizeBinaryArray, ListBuilder, StringBuilder, Time64MicrosecondArray,
        TimestampNanosecondArray, UInt16Array, UInt32Array,
        types::{Float64Type, Int8Type},
    },
    compute::concat_batches,
};
use catalogs::ColumnMeta;

use super::{
    super::cells::{Cells, PLAIN},
    *,
};

const AWKWARD: &str =
    "]]> <&> \"quoted\", 'too'\t\ttabs\r\nlines\n\\back\\slash é ★ 😀 \u{7f}\u{85}\u{feff}\u{fffe}\u{200b}end ";

fn lists<T: arrow::datatypes::ArrowPrimitiveType>(rows: [Option<Vec<Option<T::Native>>>; 5], length: i32) -> ArrayRef {
    if length > 0 {
        Arc::new(FixedSizeListArray::from_iter_primitive::<T, _, _>(rows, length))
    } else {
        Arc::new(ListArray::from_iter_primitive::<T, _, _>(rows))
    }
}

fn flags() -> ArrayRef {
    let mut builder = ListBuilder::new(arrow::array::BooleanBuilder::new());
    builder.append_value([Some(true), None, Some(false)]);
    builder.append_null();
    builder.append_value([]);
    builder.append_value([Some(false)]);
    builder.append_null();
    Arc::new(builder.finish())
}

fn words() -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("a \"b\""), None, Some("é")]);
    builder.append_null();
    builder.append_value([Some("")]);
    builder.append_value([] as [Option<&str>; 0]);
    builder.append_null();
    Arc::new(builder.finish())
}

fn nested() -> ArrayRef {
    let inner = integers::<Int64Type>(vec![Some(vec![Some(1), None]), Some(vec![]), None, Some(vec![Some(3)])]);
    let field = Arc::new(Field::new("item", inner.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 2, 0, 0]);
    Arc::new(ListArray::new(field, offsets, Arc::new(inner), Some(vec![true, false, true, true, true].into())))
}

/// Five rows of each type: something usual, NULL, extremes, what is awkward, what is empty.
fn everything() -> RecordBatch {
    let text = |xtype: &str, name: &str, array: ArrayRef| {
        let metadata = [("vo:xtype".to_owned(), xtype.to_owned())].into();
        (Field::new(name, array.data_type().clone(), true).with_metadata(metadata), array)
    };
    let ra = [
        ("vo:unit", "deg"),
        ("vo:ucd", "pos.eq.ra;meta.main"),
        ("vo:utype", "src:pos.ra"),
        (
            "vo:description",
            "Right ascension <ICRS> & \"more\", said at such length that no single card of a header holds it",
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let dictionary: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a"), Some("")].into_iter().collect();
    let f64s = vec![Some(0.1), None, Some(f64::MAX), Some(f64::NEG_INFINITY), Some(-0.0)];
    let mut columns = vec![
        column("id", Int64Array::from(vec![1, 2, 3, 4, 5])),
        column("none", NullArray::new(5)),
        column("flag", BooleanArray::from(vec![Some(true), None, Some(false), Some(true), Some(false)])),
        column("i8", Int8Array::from(vec![Some(1), None, Some(i8::MIN), Some(i8::MAX), Some(0)])),
        column("i16", Int16Array::from(vec![Some(1), None, Some(i16::MIN + 1), Some(i16::MAX), Some(0)])),
        column("i32", Int32Array::from(vec![Some(1), None, Some(i32::MIN + 1), Some(i32::MAX), Some(0)])),
        column("i64", Int64Array::from(vec![Some(1), None, Some(i64::MIN + 1), Some(i64::MAX), Some(0)])),
        column("u8", UInt8Array::from(vec![Some(1), None, Some(u8::MIN), Some(u8::MAX), Some(128)])),
        column("u16", UInt16Array::from(vec![Some(1), None, Some(u16::MIN), Some(u16::MAX), Some(32768)])),
        column("u32", UInt32Array::from(vec![Some(1), None, Some(u32::MIN), Some(u32::MAX), Some(1 << 31)])),
        column("u64", UInt64Array::from(vec![Some(1), None, Some(u64::MIN), Some(i64::MAX as u64), Some(7)])),
        column("f32", Float32Array::from(vec![Some(0.1), None, Some(f32::MAX), Some(f32::INFINITY), Some(1e-45)])),
        (Field::new("ra", DataType::Float64, true).with_metadata(ra.into()), Arc::new(Float64Array::from(f64s))),
        column("tiny", Float64Array::from(vec![Some(5e-324), None, Some(f64::NAN), Some(1e-7), Some(1e21)])),
        column("text", StringArray::from(vec![Some("M 31"), None, Some(" # , "), Some(AWKWARD), Some("")])),
        column("nul", StringViewArray::from(vec![Some("a\0b\u{1f}"), None, Some("#"), Some("\u{b}"), Some("")])),
        column("word", dictionary),
        column("bytes", BinaryArray::from(vec![Some(&b"\x01"[..]), None, Some(b"\x00\xff"), Some(b"<&>"), Some(b"")])),
        column(
            "time",
            TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(0), Some(-1), Some(86_400_000_001)]),
        ),
        column("nano", TimestampNanosecondArray::from(vec![Some(1), None, Some(i64::MAX), Some(i64::MIN), Some(0)])),
        column("day", Date32Array::from(vec![Some(19_000), None, Some(-719_162), Some(2_932_896), Some(0)])),
        column(
            "clock",
            Time64MicrosecondArray::from(vec![Some(1), None, Some(0), Some(86_399_999_999), Some(3_600_000_000)]),
        ),
        column(
            "small",
            Decimal128Array::from(vec![Some(1_501), None, Some(-999_999_999_999_999), Some(1), Some(7)])
                .with_precision_and_scale(15, 3)
                .unwrap(),
        ),
        column(
            "exact",
            Decimal128Array::from(vec![Some(i128::from(i64::MAX) * 1_000), None, Some(-1), Some(5), Some(0)])
                .with_precision_and_scale(38, 10)
                .unwrap(),
        ),
        text(
            "moc",
            "moc",
            Arc::new(StringArray::from(vec![Some("1/1 2 4"), None, Some("0/"), Some("29/5"), Some("0/0-11")])),
        ),
        text(
            "point",
            "point",
            lists::<Float64Type>(
                [
                    Some(vec![Some(10.5), Some(-41.0)]),
                    None,
                    Some(vec![Some(0.1), Some(90.0)]),
                    None,
                    Some(vec![Some(360.0), Some(1e-9)]),
                ],
                2,
            ),
        ),
        text(
            "interval",
            "interval",
            lists::<Int64Type>(
                [
                    Some(vec![Some(1), Some(2)]),
                    Some(vec![Some(-5), Some(i64::MAX)]),
                    None,
                    Some(vec![None, Some(3)]),
                    Some(vec![Some(0), Some(0)]),
                ],
                2,
            ),
        ),
    ];
    columns.extend(
        [
            (
                "flux",
                lists::<Float32Type>(
                    [
                        Some(vec![Some(1.5), None, Some(f32::NAN)]),
                        None,
                        Some(vec![Some(f32::INFINITY)]),
                        Some(vec![]),
                        Some(vec![Some(0.1)]),
                    ],
                    0,
                ),
            ),
            (
                "counts",
                lists::<Int32Type>(
                    [
                        Some(vec![Some(1), None]),
                        None,
                        Some(vec![Some(i32::MAX), Some(i32::MIN + 1)]),
                        Some(vec![]),
                        Some(vec![Some(0)]),
                    ],
                    0,
                ),
            ),
            (
                "octets",
                lists::<UInt8Type>(
                    [Some(vec![Some(0), None]), None, Some(vec![Some(255)]), Some(vec![]), Some(vec![Some(7)])],
                    0,
                ),
            ),
            (
                "shorts",
                lists::<Int16Type>(
                    [
                        Some(vec![Some(1), None, Some(3)]),
                        None,
                        Some(vec![Some(i16::MAX), Some(0), Some(-1)]),
                        None,
                        Some(vec![Some(0), Some(0), Some(0)]),
                    ],
                    3,
                ),
            ),
            ("flags", flags()),
            ("words", words()),
            ("nested", nested()),
        ]
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)),
    );
    let pairs = FixedSizeBinaryArray::try_from_iter([[0_u8, 255], [1, 2], [3, 4], [10, 13], [60, 62]].into_iter());
    columns.push(column("pair", pairs.unwrap()));
    batch(columns)
}

fn bytes_of(batches: Vec<RecordBatch>, format: &str) -> Vec<u8> {
    let schema = batches[0].schema().as_ref().clone();
    let answer = answer(schema, batches.into_iter().map(Ok).collect(), false);
    let encoded = Encoded::new(answer, format.parse().unwrap()).unwrap();
    encoded.collect::<Vec<_>>().now_or_never().unwrap().into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect()
}

/// What the room `formats` reads of a file in this format.
fn read(bytes: &[u8], format: &str) -> RecordBatch {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    // A text does not say by itself what separates its fields.
    let form = match format.split('.').next() {
        Some("csv") => Some(::formats::Format::Csv),
        Some("tsv") => Some(::formats::Format::Tsv),
        _ => None,
    };
    let options = SourceOptions { format: form, ..SourceOptions::default() };
    let source = ::formats::open(Input::file(file.path()).unwrap(), &options).unwrap();
    let mut batches = Vec::new();
    for piece in source.pieces(None).unwrap() {
        let take = &mut |rows: ::formats::Rows| {
            assert_eq!(rows.bad, []);
            batches.push(rows.batch);
            Ok(())
        };
        piece.unwrap().decode(take).unwrap();
    }
    concat_batches(source.schema(), &batches).unwrap()
}

/// The values of a column as text.
fn texts(array: &ArrayRef, field: &Field) -> Vec<Option<String>> {
    let cells = Cells::new(array, &Kind::of(field).unwrap()).unwrap();
    let text = |row| {
        let mut out = String::new();
        cells.write(row, PLAIN, &mut out).unwrap();
        out
    };
    (0..array.len()).map(|row| (!cells.is_null(row)).then(|| text(row))).collect()
}

/// What a format is known to lose: `written` is the type that was written.
fn folded(format: &str, written: &DataType, text: Option<String>) -> Option<String> {
    let form = format.split('.').next().unwrap();
    let mut text = text?;
    let is_vo = form.starts_with("votable") || form == "fits";
    match written {
        DataType::Binary | DataType::FixedSizeBinary(_) if is_vo && !text.starts_with('[') => {
            // They have arrays of bytes.
            let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            let bytes: Vec<String> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap().to_string()).collect();
            text = format!("[{}]", bytes.join(","));
        }
        // Who reads a text and is told no types takes a decimal for a float.
        DataType::Decimal128(..) if !is_vo => text = text.parse::<f64>().unwrap().to_string(),
        DataType::List(item) | DataType::FixedSizeList(item, _) if is_vo && item.data_type().is_floating() => {
            text = text.replace("null", "NaN"); // there is no NULL within an array of floats
        }
        DataType::Utf8 | DataType::Utf8View | DataType::List(_) => {
            text = match form {
                // XML has no control characters, and readers of BINARY end a text at NUL.
                "votable" => text.replace(['\0', '\u{1f}', '\u{b}', '\u{fffe}'], "\u{FFFD}"),
                "votable/b" | "votable/b2" => text.replace('\0', "\u{FFFD}"),
                // FITS has printable ASCII,
                // and blanks at the end of a text are padding to its readers.
                "fits" => super::super::fits::text::escaped(&text).trim_end().to_owned(),
                _ => text,
            };
        }
        _ => {}
    }
    let missing = match form {
        "votable/b2" | "json" => false,
        "votable" | "csv" | "tsv" => text.is_empty() || is_vo && text == "[]",
        // Without flags, nothing and an empty text or array are the same, as are NaN and no number.
        _ => {
            text.is_empty()
                || text.chars().all(|c| "[],".contains(c))
                || text.replace(['[', ']', ','], "").replace("NaN", "").replace("null", "").is_empty()
        }
    };
    (!missing).then_some(text)
}

#[test]
fn every_type_and_every_awkward_value_is_read_back_as_it_was() {
    let sent = everything();
    // Twice, and the second time in another cut, so that slices and several batches are among them.
    let batches = vec![sent.clone(), sent.slice(0, 2), sent.slice(2, 3)];
    let twice = concat_batches(&sent.schema(), &batches).unwrap();
    let mut faults = Vec::new();
    for format in [
        "votable",
        "votable/b",
        "votable/b2",
        "fits",
        "csv",
        "tsv",
        "votable.gz",
        "votable/b2.zst",
        "fits.gz",
        "csv.bz2",
    ] {
        let read = read(&bytes_of(batches.clone(), format), format);
        assert_eq!(read.num_rows(), 10, "{format}");
        let fields = twice.schema().fields().clone();
        for (at, field) in fields.iter().enumerate() {
            let found = read.schema().field(at).clone();
            assert_eq!(found.name(), field.name(), "{format}");
            let fold = |text| folded(format, field.data_type(), text);
            let expected: Vec<_> = texts(twice.column(at), field).into_iter().map(fold).collect();
            let got: Vec<_> = texts(read.column(at), &found).into_iter().map(fold).collect();
            if expected != got {
                faults.push(format!(
                    "{format}, {} ({}): {expected:?}\n  read {got:?}",
                    field.name(),
                    found.data_type()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn columns_keep_what_is_known_of_them_in_each_format_that_can_hold_it() {
    let sent = everything();
    for format in ["votable", "votable/b", "votable/b2", "fits", "parquet", "feather"] {
        let read = read(&bytes_of(vec![sent.clone()], format), format);
        for field in sent.schema().fields() {
            let (wanted, schema) = (ColumnMeta::of(field), read.schema());
            let found = ColumnMeta::of(schema.field_with_name(field.name()).unwrap());
            let known = |meta: &ColumnMeta<'_>| {
                [meta.unit, meta.ucd, meta.utype, meta.description].map(|text| text.map(str::to_owned))
            };
            assert_eq!(known(&found), known(&wanted), "{format}, {}", field.name());
            if wanted.xtype.is_some() {
                assert_eq!(found.xtype, wanted.xtype, "{format}, {}", field.name());
            }
        }
    }
}

#[test]
fn arrow_and_parquet_keep_every_bit() {
    let sent = everything();
    let plain = plain::plain_batch(&sent, &plain::plain_schema(&sent.schema())).unwrap();
    for format in ["parquet", "feather", "arrow"] {
        let read = read(&bytes_of(vec![sent.clone()], format), format);
        for (at, field) in plain.schema().fields().iter().enumerate() {
            let (sent, read) = (plain.column(at), read.column(at));
            assert_eq!(format!("{read:?}"), format!("{sent:?}"), "{format}, {}", field.name());
        }
    }
}

#[test]
fn an_empty_answer_has_its_columns_in_every_format() {
    let sent = everything().slice(0, 0);
    for format in ["votable", "votable/b", "votable/b2", "fits", "csv", "tsv", "parquet", "feather", "arrow", "csv.zst"]
    {
        for batches in [vec![sent.clone()], vec![sent.clone(), sent.clone()]] {
            let read = read(&bytes_of(batches, format), format);
            let names: Vec<_> = read.schema().fields().iter().map(|field| field.name().clone()).collect();
            let wanted: Vec<_> = sent.schema().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!((names, read.num_rows()), (wanted, 0), "{format}");
        }
    }
}

#[test]
fn no_row_is_lost_between_chunks_however_many_there_are() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int32, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("list", DataType::List(Arc::new(Field::new("item", DataType::Int32, true))), true),
    ]));
    let part = |numbers: std::ops::Range<i32>| {
        let texts = numbers.clone().map(|n| (n % 7 > 0).then(|| "x".repeat(n as usize % 40)));
        let lists = numbers.clone().map(|n| (n % 5 > 0).then(|| (0..n % 9).map(Some).collect::<Vec<_>>()));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(numbers)),
            Arc::new(StringArray::from_iter(texts)),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    };
    // Batches of all sizes, one of them larger than any chunk.
    let mut batches = vec![part(0..1), part(1..1), part(1..9_000)];
    batches.extend((0..30).map(|at| part(9_000 + at * 1_700..9_000 + (at + 1) * 1_700)));
    let whole = concat_batches(&schema, &batches).unwrap();
    for format in
        ["votable", "votable/b", "votable/b2", "fits", "csv", "tsv", "parquet", "feather", "arrow", "fits.zst"]
    {
        let read = read(&bytes_of(batches.clone(), format), format);
        assert_eq!(read.num_rows(), 60_000, "{format}");
        for (at, field) in schema.fields().iter().enumerate() {
            let fold = |text| folded("fits", field.data_type(), text);
            let expected = texts(whole.column(at), field).into_iter().map(fold);
            let found = texts(read.column(at), read.schema().field(at)).into_iter().map(fold);
            for (row, (expected, found)) in expected.zip(found).enumerate() {
                assert_eq!(found, expected, "{format}, {}, row {row}", field.name());
            }
        }
    }
}

#[test]
fn a_column_of_integers_in_fits_always_has_one_that_means_null() {
    let all = || (0..=255_u8).map(Some).chain([None]);
    let edges = |nulls: bool| {
        let edge = [Some(u64::MIN), Some(u64::MAX)];
        UInt64Array::from_iter(edge.into_iter().chain(nulls.then_some(None)))
    };
    let bytes = read(&bytes_of(vec![batch(vec![column("b", UInt8Array::from_iter(all()))])], "fits"), "fits");
    let numbers: Vec<_> = texts(bytes.column(0), bytes.schema().field(0));
    assert!(numbers.into_iter().eq(all().map(|byte| byte.map(|byte| byte.to_string()))));

    let unsigned = read(&bytes_of(vec![batch(vec![column("u", edges(false))])], "fits"), "fits");
    assert_eq!(unsigned.column(0).as_ref(), &edges(false) as &dyn Array);
    let edged = vec![
        batch(vec![column("u", edges(true))]),
        batch(vec![column("i", Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))]),
    ];
    for edged in edged {
        let answer = answer(edged.schema().as_ref().clone(), vec![Ok(edged)], false);
        let error = Encoded::new(answer, "fits".parse().unwrap()).unwrap().next().now_or_never().unwrap().unwrap();
        let sentence = error.unwrap_err().to_string();
        assert!(sentence.contains("both the lowest and the highest integer there are"), "{sentence}");
    }
}

#[test]
fn a_few_long_texts_do_not_make_every_row_of_a_fits_file_long() {
    let texts_of = || (0..100_000).map(|row| if row % 50_000 == 7 { "long_".repeat(2_000) } else { format!("t{row}") });
    let sent = batch(vec![column("t", StringArray::from_iter_values(texts_of()))]);
    let file = bytes_of(vec![sent], "fits");
    assert!(file.len() < 3 << 20, "{} bytes", file.len());
    let read = read(&file, "fits");
    assert!(texts(read.column(0), read.schema().field(0)).into_iter().eq(texts_of().map(Some)));
}

/// What an answer of two rows, of which there are more, says at its end; and one that fails after many.
fn endings(format: &str) -> (Vec<u8>, bool) {
    let cut = answer(counted(0..1).schema().as_ref().clone(), vec![Ok(counted(0..2))], true);
    let mut encoded = Encoded::new(cut, format.parse().unwrap()).unwrap();
    let chunks: Vec<_> = encoded.by_ref().collect::<Vec<_>>().now_or_never().unwrap();
    (chunks.into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect(), encoded.overflow())
}

#[test]
fn an_overflow_is_told_beside_every_format_and_within_those_that_can() {
    let told: HashMap<&str, &str> = [
        ("votable/b2", "<INFO name=\"QUERY_STATUS\" value=\"OVERFLOW\">The answer has more rows; it was cut after 2"),
        ("votable/b", "<INFO name=\"QUERY_STATUS\" value=\"OVERFLOW\">"),
        ("fits", "OVERFLOW=                    T / "),
        ("parquet", "<INFO name=\"QUERY_STATUS\" value=\"OVERFLOW\">"),
        ("feather", "almagest.overflow"),
        ("html", "2 rows, and there are more: the answer was cut by MAXREC."),
        ("text", "2 rows, and there are more"),
        ("csv;status=last", "1\r\n# QUERY_STATUS OVERFLOW, 2 rows\r\n"),
        ("tsv;status=last", "# QUERY_STATUS OVERFLOW, 2 rows\r\n"),
        ("json;status=last", "{\"n\":1},\n{\"QUERY_STATUS\":\"OVERFLOW\",\"rows\":2}\n]\n"),
        ("ndjson;status=last", "{\"n\":1}\n{\"QUERY_STATUS\":\"OVERFLOW\",\"rows\":2}\n"),
        ("csv", "1\r\n"),
    ]
    .into();
    for (format, sentence) in told {
        let (document, overflow) = endings(format);
        let document = String::from_utf8_lossy(&document);
        assert!(overflow && document.contains(sentence), "{format}: {document}");
    }
}

#[test]
fn a_failure_is_told_by_the_binary_votables_and_breaks_off_what_is_packed() {
    for format in ["votable/b", "votable/b2"] {
        let mut encoded = Encoded::new(broken(100_000), format.parse().unwrap()).unwrap();
        let document: String = chunks(&mut encoded).into_iter().map(Result::unwrap).collect();
        assert!(document.ends_with("value=\"ERROR\">Cut &lt;short&gt;.</INFO>\n</RESOURCE>\n</VOTABLE>\n"), "{format}");
        assert!(encoded.failed().is_some());
    }
    for format in ["csv.gz", "csv.zst", "csv.bz2", "fits", "tsv"] {
        let encoded = Encoded::new(broken(3_000_000), format.parse().unwrap()).unwrap();
        let last = encoded.collect::<Vec<_>>().now_or_never().unwrap().pop().unwrap();
        assert!(last.is_err(), "{format}");
    }
    let mut told = Encoded::new(broken(100_000), "ndjson;status=last".parse().unwrap()).unwrap();
    let last = chunks(&mut told).pop().unwrap().unwrap();
    assert!(last.ends_with("{\"QUERY_STATUS\":\"ERROR\",\"rows\":100000,\"message\":\"Cut <short>.\"}\n"), "{last}");
}

#[test]
fn a_page_for_eyes_has_the_first_rows_says_that_there_are_more_and_obeys_no_cell() {
    let endless = (0..1_000).map(|part| Ok(counted(part * 1_000..(part + 1) * 1_000))).collect();
    let mut encoded =
        Encoded::new(answer(counted(0..1).schema().as_ref().clone(), endless, false), "html".parse().unwrap()).unwrap();
    let page: String = chunks(&mut encoded).into_iter().map(Result::unwrap).collect();
    assert!(page.contains("These are the first 500 rows, and there are more") && encoded.overflow());
    assert_eq!((page.matches("<tr>").count(), encoded.rows()), (501, 1_000), "and the rest is not computed");

    let page = String::from_utf8(bytes_of(vec![everything()], "html")).unwrap();
    assert!(page.contains("]]&gt; &lt;&amp;&gt;") && page.contains("<small>deg</small>"), "{page}");
    let mut reader = quick_xml::Reader::from_str(page.split_once('\n').unwrap().1);
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(element) => assert_ne!(element.name().as_ref(), b"script"),
            _ => {}
        }
    }
}
