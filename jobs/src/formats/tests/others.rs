//! JSON, the table for a person, Arrow and Parquet: written, and read back by readers that are not the writers.

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::{array::Array, ipc::reader::StreamReader};

use super::*;

/// All that is awkward: NULLs, numbers that JSON lacks, unicode, nested lists, long integers, times, bytes.
fn awkward() -> RecordBatch {
    let nested = {
        let inner = integers::<Int64Type>(vec![Some(vec![Some(1), None]), Some(vec![]), None, Some(vec![Some(3)])]);
        let field = Arc::new(Field::new("item", inner.data_type().clone(), true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 2]);
        ListArray::new(field, offsets, Arc::new(inner), None)
    };
    let point = Field::new("p", DataType::Float64, true)
        .with_metadata([("vo:xtype".to_owned(), "point".to_owned()), ("vo:unit".to_owned(), "deg".to_owned())].into());
    batch(vec![
        column("id", Int64Array::from(vec![Some(4_295_806_720_123_456_789), None, Some(-1)])),
        (point, Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::NEG_INFINITY), Some(1e-300)]))),
        column("näme \"x\"", StringViewArray::from(vec![Some("★ \"é\"\n\t\u{1b}[31m"), None, Some("")])),
        column("when", TimestampMicrosecondArray::from(vec![Some(0), None, Some(1_500_000)])),
        column("bytes", BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None, Some(b"")])),
        column("nested", nested),
        column("yes", BooleanArray::from(vec![Some(true), None, Some(false)])),
    ])
}

fn bytes(answer: Answer, format: Format) -> Vec<u8> {
    let encoded = Encoded::new(answer, format).unwrap();
    let chunks: Vec<_> = encoded.collect::<Vec<_>>().now_or_never().unwrap();
    chunks.into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect()
}

fn of(batches: Vec<RecordBatch>, overflow: bool) -> Answer {
    answer(batches[0].schema().as_ref().clone(), batches.into_iter().map(Ok).collect(), overflow)
}

#[test]
fn json_is_read_by_any_reader_with_null_for_what_is_missing() {
    let expected = serde_json::json!([
        { "id": 4_295_806_720_123_456_789_i64, "p": null, "näme \"x\"": "★ \"é\"\n\t\u{1b}[31m",
          "when": "1970-01-01T00:00:00", "bytes": "00ff", "nested": [[1, null], []], "yes": true },
        { "id": null, "p": "-Infinity", "näme \"x\"": null, "when": null, "bytes": null, "nested": [], "yes": null },
        { "id": -1, "p": 1e-300, "näme \"x\"": "", "when": "1970-01-01T00:00:01.500", "bytes": "",
          "nested": [null, [3]], "yes": false },
    ]);
    let whole = written(&awkward(), "json");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&whole).unwrap(), expected);
    let lines = written(&awkward(), "ndjson");
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(serde_json::Value::from(lines), expected);
    assert_eq!(written(&awkward().slice(0, 0), "json"), "[\n]\n");
    assert_eq!(written(&awkward().slice(0, 0), "ndjson"), "");
}

#[test]
fn objects_of_many_batches_are_one_document() {
    let batches: Vec<_> = (0..100).map(|part| counted(part * 1000..(part + 1) * 1000)).collect();
    let read: serde_json::Value = serde_json::from_slice(&bytes(of(batches, false), Format::of(Form::Json))).unwrap();
    let numbers: Vec<i64> = read.as_array().unwrap().iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert!(numbers.into_iter().eq(0..100_000));
}

#[test]
fn columns_of_one_name_are_refused_where_a_reader_would_lose_one() {
    let twice = batch(vec![column("a", Int32Array::from(vec![1])), column("a", Int32Array::from(vec![2]))]);
    for form in [Form::Json, Form::NdJson, Form::Parquet, Form::Fits] {
        let refused = Encoded::new(of(vec![twice.clone()], false), Format::of(form)).err().unwrap().to_string();
        assert!(refused.starts_with("Two columns are called a"), "{refused}");
    }
    assert_eq!(written(&twice, "csv"), "a,a\r\n1,2\r\n");
}

#[test]
fn a_table_for_a_person_is_aligned_and_obeys_no_cell() {
    assert_eq!(
        written(&awkward(), "text"),
        "\
+---------------------+-----------+---------------------+-------------------------+-------+---------------+-------+
|                  id |         p | näme \"x\"            | when                    | bytes | nested        | yes   |
+---------------------+-----------+---------------------+-------------------------+-------+---------------+-------+
| 4295806720123456789 |       NaN | ★ \"é\"\\n\\t\\u{1b}[31m | 1970-01-01T00:00:00     | 00ff  | [[1,null],[]] | true  |
|                NULL | -Infinity | NULL                | NULL                    | NULL  | []            | NULL  |
|                  -1 |    1e-300 |                     | 1970-01-01T00:00:01.500 |       | [null,[3]]    | false |
+---------------------+-----------+---------------------+-------------------------+-------+---------------+-------+
3 rows
"
    );
    let many = written(&counted(0..5_000), "text");
    assert_eq!(many.lines().count(), 5_005);
    assert!(many.ends_with("| 4999 |\n+-----+\n5000 rows\n"), "widths are those of the first thousand rows");
    let cut = bytes(of(vec![counted(0..1)], true), Format::TEXT);
    assert!(String::from_utf8(cut).unwrap().ends_with("1 row, and there are more\n"));
}

/// The batch as others read it: without views, bit by bit the same values.
fn plain_of(batch: &RecordBatch) -> RecordBatch {
    plain::plain_batch(batch, &plain::plain_schema(&batch.schema())).unwrap()
}

#[test]
fn an_arrow_stream_keeps_values_types_and_metadata_and_is_noticed_when_it_is_cut_off() {
    let sent = vec![awkward(), awkward().slice(1, 2)];
    let stream = bytes(of(sent.clone(), false), Format::of(Form::ArrowStream));
    let read: Vec<RecordBatch> = StreamReader::try_new(&stream[..], None).unwrap().collect::<Result<_, _>>().unwrap();
    for (read, sent) in read.iter().zip(sent.iter().map(plain_of)) {
        assert_eq!(read.schema().fields(), sent.schema().fields());
        assert_eq!(format!("{:?}", read.columns()), format!("{:?}", sent.columns()), "NaN is no equal of itself");
    }
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].schema().field(1).metadata()["vo:xtype"], "point");
    assert_eq!(&stream[stream.len() - 8..], [255, 255, 255, 255, 0, 0, 0, 0], "the end mark");
}

#[test]
fn a_parquet_file_keeps_values_and_metadata_and_tells_of_an_overflow() {
    let sent = vec![awkward(), awkward().slice(1, 2)];
    let file = Bytes::from(bytes(of(sent.clone(), true), Format::of(Form::Parquet)));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let told = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()).unwrap();
    assert_eq!((told("almagest.query").as_str(), told("almagest.overflow").as_str()), ("SELECT 1", "true"));
    let read: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    let read = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
    let plain: Vec<_> = sent.iter().map(plain_of).collect();
    let plain = arrow::compute::concat_batches(&plain[0].schema(), &plain).unwrap();
    assert_eq!(format!("{:?}", read.columns()), format!("{:?}", plain.columns()));
    assert_eq!(read.schema().field(1).metadata()["vo:xtype"], "point");
    assert!(ParquetRecordBatchReaderBuilder::try_new(file.slice(..file.len() - 5)).is_err());
    let empty = Bytes::from(bytes(of(vec![awkward().slice(0, 0)], false), Format::of(Form::Parquet)));
    assert_eq!(ParquetRecordBatchReaderBuilder::try_new(empty).unwrap().metadata().file_metadata().num_rows(), 0);
}

#[test]
fn a_failure_breaks_off_what_has_no_place_for_it_and_is_told_beside_what_has() {
    for format in ["json", "ndjson", "arrow", "parquet"] {
        let mut encoded = Encoded::new(broken(100_000), format.parse().unwrap()).unwrap();
        let last = encoded.by_ref().collect::<Vec<_>>().now_or_never().unwrap().pop().unwrap();
        assert!(last.is_err() && encoded.failed().is_none(), "{format}");
    }
    for format in ["votable", "text"] {
        let mut encoded = Encoded::new(broken(100_000), format.parse().unwrap()).unwrap();
        let last = encoded.by_ref().collect::<Vec<_>>().now_or_never().unwrap().pop().unwrap();
        assert!(last.is_ok(), "{format}");
        assert_eq!(encoded.failed().unwrap().to_string(), "Cut <short>.", "{format}");
    }
}
