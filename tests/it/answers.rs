//! The formats of answers, written by the built program and read by programs that nobody here wrote: every type of
//! column, with its awkward values, against the Parquet file that was asked.

use std::{fs, path::Path, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeListArray, Float32Array,
        Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, ListBuilder, RecordBatch, StringArray,
        StringBuilder, Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array,
        UInt64Array,
        types::{Float32Type, Float64Type, Int32Type},
    },
    datatypes::{Field, Schema},
};
use parquet::arrow::ArrowWriter;

use crate::harness::{Client, Home, get};
use crate::thread::sync_url;

const AWKWARD: &str = "]]> <&> \"quoted\", 'too'\t\ttabs\r\nlines\n\\back\\slash é ★ 😀 \u{7f}\u{1}\0\u{b} end";

/// What is asked, without what an engine that takes NaN for missing cannot answer.
fn everything() -> RecordBatch {
    let mut words = ListBuilder::new(StringBuilder::new());
    words.append_value([Some("a \"b\""), None, Some("é")]);
    words.append_null();
    words.append_value([Some("")]);
    words.append_value([Some("x,y")]);
    let decimals = |values: [Option<i128>; 4], precision, scale| {
        Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap()
    };
    let flux = [Some(vec![Some(1.5), None]), None, Some(vec![Some(f32::INFINITY)]), Some(vec![Some(0.1)])];
    let counts = [Some(vec![Some(1), Some(-2)]), None, Some(vec![Some(i32::MAX)]), Some(vec![Some(0)])];
    let points =
        [Some(vec![Some(10.5), Some(-41.0)]), None, Some(vec![Some(0.1), Some(90.0)]), Some(vec![Some(0.0); 2])];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("ra", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::MAX), Some(-0.0)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(5e-324), None, Some(f64::NEG_INFINITY), Some(1e-7)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::MAX), Some(1e-45)]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(1), None, Some(i8::MIN), Some(i8::MAX)]))),
        ("i16", Arc::new(Int16Array::from(vec![Some(1), None, Some(i16::MIN + 1), Some(i16::MAX)]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(1), None, Some(i32::MIN + 1), Some(i32::MAX)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MIN + 1), Some(i64::MAX)]))),
        ("u8", Arc::new(UInt8Array::from(vec![Some(1), None, Some(u8::MIN), Some(u8::MAX)]))),
        ("u16", Arc::new(UInt16Array::from(vec![Some(1), None, Some(u16::MIN), Some(u16::MAX)]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(1), None, Some(u32::MIN), Some(u32::MAX)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(1), None, Some(u64::MIN), Some(i64::MAX as u64)]))),
        ("name", Arc::new(StringArray::from(vec![Some("M 31"), None, Some(AWKWARD), Some("#, ★")]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\x01"[..]), None, Some(b"\x00\xff<"), Some(b"&>")]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(0), Some(-1)]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_000), None, Some(-719_162), Some(2_932_896)]))),
        ("clock", Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(0), Some(86_399_999_999)]))),
        ("small", Arc::new(decimals([Some(1_501), None, Some(-999_999_999_999_999), Some(7)], 15, 3))),
        ("exact", Arc::new(decimals([Some(1 << 90), None, Some(-1), Some(5)], 38, 10))),
        ("flux", Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(flux))),
        ("counts", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(counts))),
        ("point", Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(points, 2))),
        ("words", Arc::new(words.finish())),
    ];
    let about = |name: &str| match name {
        "ra" => {
            vec![("vo:unit", "deg"), ("vo:ucd", "pos.eq.ra;meta.main"), ("vo:description", "Right <ascension> & more")]
        }
        "point" => vec![("vo:xtype", "point"), ("vo:unit", "deg")],
        "time" => vec![("vo:ucd", "time.epoch")],
        _ => vec![],
    };
    let field = |(name, array): &(&str, ArrayRef)| {
        let metadata = about(name).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Field::new(*name, array.data_type().clone(), true).with_metadata(metadata)
    };
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

fn write(batch: &RecordBatch, path: &Path) {
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The answer to `SELECT * FROM t` in this format, as a file.
fn answer(home: &Home, format: &str, ending: &str) -> String {
    let file = home.path(&format!("answer.{ending}"));
    let place = file.to_str().unwrap().to_owned();
    let arguments = ["query", "--on", "all.parquet=t", "--format", format, "-o", &place, "SELECT * FROM t ORDER BY id"];
    let output = home.command().args(arguments).output().unwrap();
    assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    place
}

#[test]
fn readers_of_others_find_every_value_in_every_format() {
    let Some(reader) = Client::python("format_values.py") else { return };
    let home = Home::on_a_local_folder();
    let original = home.path("all.parquet");
    write(&everything(), &original);
    for (format, ending) in [
        ("csv", "csv"),
        ("tsv", "tsv"),
        ("csv.gz", "csv.gz"),
        ("csv.zst", "csv.zst"),
        ("tsv.bz2", "tsv.bz2"),
        ("json", "json"),
        ("ndjson", "ndjson"),
        ("parquet", "parquet"),
        ("feather", "arrow"),
        ("arrow", "arrows"),
        ("votable", "vot"),
        ("votable/b", "b.vot"),
        ("votable/b2", "b2.vot"),
        ("votable/b2.gz", "b2.vot.gz"),
        ("fits", "fits"),
        ("fits.gz", "fits.gz"),
    ] {
        reader.agrees(&[format, &answer(&home, format, ending), original.to_str().unwrap()]);
    }
}

#[test]
fn stilts_and_the_schema_find_one_table_in_every_format_of_the_observatory() {
    let (Some(stilts), Some(schema)) = (Client::stilts("stilts_answers.sh"), Client::xmllint("xmllint_votable.sh"))
    else {
        return;
    };
    let home = Home::on_a_local_folder();
    write(&everything(), &home.path("all.parquet"));
    let tables: Vec<_> = [("votable", "vot"), ("votable/b", "b.vot"), ("votable/b2", "b2.vot")]
        .map(|(format, ending)| answer(&home, format, ending))
        .into();
    for table in &tables {
        schema.agrees(&[table]);
    }
    let fits = answer(&home, "fits", "fits");
    let all: Vec<&str> = tables.iter().map(String::as_str).chain([fits.as_str()]).collect();
    stilts.agrees(&all);
}

#[test]
fn a_server_offers_every_format_and_names_its_media_type() {
    let home = Home::on_a_local_folder();
    home.almagest(&["generate", "stars", "--rows", "300", "--out", "stars.csv"]);
    home.almagest(&["import", "--table", "demo.stars", "stars.csv"]);
    let server = home.serve();
    for (format, media_type, beginning) in [
        ("votable/b2", "application/x-votable+xml;serialization=BINARY2", &b"<?xml"[..]),
        ("application/x-votable+xml;serialization=BINARY", "application/x-votable+xml;serialization=BINARY", b"<?xml"),
        ("fits", "application/fits", b"SIMPLE  =                    T"),
        ("text/tab-separated-values", "text/tab-separated-values;charset=utf-8;header=present", b"source_id\t"),
        ("html", "text/html;charset=utf-8", b"<!DOCTYPE html>"),
        ("feather", "application/vnd.apache.arrow.file", b"ARROW1"),
        ("parquet", "application/vnd.apache.parquet", b"PAR1"),
        ("csv.gz", "application/gzip", b"\x1f\x8b"),
        ("text/csv;compression=zstd", "application/zstd", b"\x28\xb5\x2f\xfd"),
        ("votable;compression=bzip2", "application/x-bzip2", b"BZh"),
    ] {
        let query = [("LANG", "ADQL"), ("QUERY", "SELECT source_id, ra FROM demo.stars"), ("RESPONSEFORMAT", format)];
        let served = get(&sync_url(&server.tap(), &query)).unwrap();
        assert_eq!((served.status, served.media_type()), (200, media_type), "{format}");
        assert!(served.body.starts_with(beginning), "{format}");
    }
    assert_eq!(server.stop().code(), Some(0));
}
