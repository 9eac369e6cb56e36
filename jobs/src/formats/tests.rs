//! What the formats write, byte for byte; those for programs other than of the Virtual Observatory in [`others`].

mod conformance;
mod others;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Decimal128Array, FixedSizeListArray, Float32Array, Float64Array,
        Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray, ListArray, NullArray, StringArray,
        StringViewArray, TimestampMicrosecondArray, UInt8Array, UInt64Array,
        types::{Float32Type, Int16Type, Int32Type, Int64Type, UInt8Type},
    },
    datatypes::{DataType, Field, Schema},
};
use futures::{FutureExt, StreamExt};

use super::*;
use crate::{JobId, answer::RowSource};

/// Rows that a test gives.
struct Given {
    batches: VecDeque<Result<RecordBatch, JobError>>,
    overflow: bool,
}

impl Stream for Given {
    type Item = Result<RecordBatch, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.batches.pop_front())
    }
}

impl RowSource for Given {
    fn overflow(&self) -> bool {
        self.overflow && self.batches.is_empty()
    }
}

fn answer(schema: Schema, batches: Vec<Result<RecordBatch, JobError>>, overflow: bool) -> Answer {
    let source = Given { batches: batches.into(), overflow };
    Answer {
        id: JobId::random(),
        schema: Arc::new(schema),
        rows: AnswerRows::new(Box::pin(source), tracing::Span::none(), Instant::now()),
        query: "SELECT 1".to_owned(),
    }
}

/// The columns as one batch.
fn batch(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn chunks(encoded: &mut Encoded) -> Vec<Result<String, JobError>> {
    let text = |chunk: Result<Bytes, JobError>| chunk.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    encoded.map(text).collect::<Vec<_>>().now_or_never().unwrap()
}

fn written(batch: &RecordBatch, format: &str) -> String {
    let answer = answer(batch.schema().as_ref().clone(), vec![Ok(batch.clone())], false);
    let mut encoded = Encoded::new(answer, format.parse().unwrap()).unwrap();
    chunks(&mut encoded).into_iter().collect::<Result<String, _>>().unwrap()
}

/// The FIELD lines and the TR lines of a VOTable.
fn table(document: &str) -> String {
    document
        .lines()
        .filter(|line| line.starts_with("<FIELD") || line.starts_with("<TR"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn column(name: &str, array: impl arrow::array::Array + 'static) -> (Field, ArrayRef) {
    (Field::new(name, array.data_type().clone(), true), Arc::new(array))
}

fn integers<T: arrow::datatypes::ArrowPrimitiveType>(rows: Vec<Option<Vec<Option<T::Native>>>>) -> ListArray {
    ListArray::from_iter_primitive::<T, _, _>(rows)
}

#[test]
fn a_votable_is_written_whole() {
    let ra = Field::new("ra", DataType::Float64, true).with_metadata(
        [
            ("vo:unit", "deg"),
            ("vo:ucd", "pos.eq.ra;meta.main"),
            ("vo:utype", "src:pos.ra"),
            ("vo:description", "Right ascension <ICRS> & \"more\""),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    );
    let batch = batch(vec![
        (ra, Arc::new(Float64Array::from(vec![Some(10.5), None]))),
        column("a \"b\" <c>", StringArray::from(vec![Some(" M 31\n"), None])),
    ]);
    assert_eq!(
        written(&batch, "votable"),
        r#"<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results">
<INFO name="QUERY_STATUS" value="OK"/>
<INFO name="QUERY" value="SELECT 1"/>
<COOSYS ID="icrs" system="ICRS"/>
<TABLE>
<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main" utype="src:pos.ra" ref="icrs"><DESCRIPTION>Right ascension &lt;ICRS&gt; &amp; "more"</DESCRIPTION></FIELD>
<FIELD name="a &quot;b&quot; &lt;c&gt;" datatype="char" arraysize="*"/>
<DATA>
<TABLEDATA>
<TR><TD>10.5</TD><TD> M 31
</TD></TR>
<TR><TD/><TD/></TR>
</TABLEDATA>
</DATA>
</TABLE>
</RESOURCE>
</VOTABLE>
"#
    );
}

#[test]
fn what_is_empty_in_the_metadata_of_a_column_is_not_written() {
    let keys = ["vo:unit", "vo:ucd", "vo:utype", "vo:xtype", "vo:description"];
    for empty in ["", " "] {
        let metadata = keys.map(|key| (key.to_owned(), empty.to_owned()));
        let (field, array) = column("n", Int32Array::from(vec![1]));
        let document = written(&batch(vec![(field.with_metadata(metadata.into()), array)]), "votable");
        assert!(document.contains("\n<FIELD name=\"n\" datatype=\"int\"/>\n"), "{document}");
    }
}

#[test]
fn scalars_of_every_kind_have_their_votable_type_and_text() {
    let batch = batch(vec![
        column("none", NullArray::new(2)),
        column("flag", BooleanArray::from(vec![Some(true), None])),
        column("i8", Int8Array::from(vec![Some(-128), None])),
        column("u8", UInt8Array::from(vec![Some(255), None])),
        column("i64", Int64Array::from(vec![Some(i64::MIN), None])),
        column("u64", UInt64Array::from(vec![Some(i64::MAX as u64), None])),
        column("f32", Float32Array::from(vec![0.1, f32::NEG_INFINITY])),
        column("f64", Float64Array::from(vec![1e300, f64::NAN])),
        column("large", LargeStringArray::from(vec![Some("é]]>\0"), Some("")])),
        column("view", StringViewArray::from(vec![Some("longer than a view holds inline"), None])),
        column("time", TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("+02:00")),
        column("bytes", BinaryArray::from_opt_vec(vec![Some(&[0, 255]), None])),
        column("small", Decimal128Array::from(vec![Some(15), None]).with_precision_and_scale(15, 1).unwrap()),
        column("exact", Decimal128Array::from(vec![Some(15), None]).with_precision_and_scale(38, 1).unwrap()),
    ]);
    assert_eq!(
        table(&written(&batch, "votable")),
        r#"<FIELD name="none" datatype="char" arraysize="*"/>
<FIELD name="flag" datatype="boolean"/>
<FIELD name="i8" datatype="short"/>
<FIELD name="u8" datatype="unsignedByte"/>
<FIELD name="i64" datatype="long"/>
<FIELD name="u64" datatype="long"/>
<FIELD name="f32" datatype="float"/>
<FIELD name="f64" datatype="double"/>
<FIELD name="large" datatype="char" arraysize="*"/>
<FIELD name="view" datatype="char" arraysize="*"/>
<FIELD name="time" datatype="char" arraysize="*" xtype="timestamp"/>
<FIELD name="bytes" datatype="unsignedByte" arraysize="*"/>
<FIELD name="small" datatype="double"/>
<FIELD name="exact" datatype="char" arraysize="*"/>
<TR><TD/><TD>T</TD><TD>-128</TD><TD>255</TD><TD>-9223372036854775808</TD><TD>9223372036854775807</TD><TD>0.1</TD><TD>1e+300</TD><TD>é]]&gt;�</TD><TD>longer than a view holds inline</TD><TD>1970-01-01T00:00:01.500</TD><TD>0 255</TD><TD>1.5</TD><TD>1.5</TD></TR>
<TR><TD/><TD/><TD/><TD/><TD/><TD/><TD>-Inf</TD><TD>NaN</TD><TD></TD><TD/><TD/><TD/><TD/><TD/></TR>
"#
    );
    assert_eq!(
        written(&batch, "csv"),
        "none,flag,i8,u8,i64,u64,f32,f64,large,view,time,bytes,small,exact\r\n\
         ,true,-128,255,-9223372036854775808,9223372036854775807,0.1,1e+300,é]]>\0,longer than a view holds inline,\
         1970-01-01T00:00:01.500,00ff,1.5,1.5\r\n\
         ,,,,,,-Infinity,NaN,\"\",,,,,\r\n"
    );
}

#[test]
fn arrays_of_every_kind_have_their_size_and_mark_null_elements_as_votable_allows() {
    let pair = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(1.5), None]), None], 2);
    let flags: ListArray = {
        let values = BooleanArray::from(vec![Some(true), None, Some(false)]);
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([3, 0]);
        ListArray::new(Arc::new(Field::new("item", DataType::Boolean, true)), offsets, Arc::new(values), None)
    };
    let certain = {
        let values = UInt8Array::from(vec![0, 255]);
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0]);
        ListArray::new(Arc::new(Field::new("item", DataType::UInt8, false)), offsets, Arc::new(values), None)
    };
    let words = {
        let values = StringArray::from(vec![Some("a \"b\""), None]);
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0]);
        ListArray::new(Arc::new(Field::new("item", DataType::Utf8, true)), offsets, Arc::new(values), None)
    };
    let batch = batch(vec![
        column("pair", pair),
        column("flags", flags),
        column("i16", integers::<Int16Type>(vec![Some(vec![Some(1), None]), Some(vec![])])),
        column("i32", integers::<Int32Type>(vec![Some(vec![Some(i32::MAX)]), None])),
        column("i64", integers::<Int64Type>(vec![Some(vec![None]), None])),
        column("u8", integers::<UInt8Type>(vec![Some(vec![Some(0), None]), None])),
        column("certain", certain),
        column("words", words),
    ]);
    assert_eq!(
        table(&written(&batch, "votable")),
        r#"<FIELD name="pair" datatype="float" arraysize="2"/>
<FIELD name="flags" datatype="boolean" arraysize="*"/>
<FIELD name="i16" datatype="short" arraysize="*"><VALUES null="-32768"/></FIELD>
<FIELD name="i32" datatype="int" arraysize="*"><VALUES null="-2147483648"/></FIELD>
<FIELD name="i64" datatype="long" arraysize="*"><VALUES null="-9223372036854775808"/></FIELD>
<FIELD name="u8" datatype="short" arraysize="*"><VALUES null="-32768"/></FIELD>
<FIELD name="certain" datatype="unsignedByte" arraysize="*"/>
<FIELD name="words" datatype="char" arraysize="*" xtype="json"/>
<TR><TD>1.5 NaN</TD><TD>T ? F</TD><TD>1 -32768</TD><TD>2147483647</TD><TD>-9223372036854775808</TD><TD>0 -32768</TD><TD>0 255</TD><TD>["a \"b\"",null]</TD></TR>
<TR><TD/><TD></TD><TD></TD><TD/><TD/><TD/><TD></TD><TD>[]</TD></TR>
"#
    );
    assert_eq!(
        written(&batch, "text/csv;header=absent"),
        "\"[1.5,null]\",\"[true,null,false]\",\"[1,null]\",[2147483647],[null],\"[0,null]\",\"[0,255]\",\"[\"\"a \\\"\"b\\\"\"\"\",null]\"\r\n\
         ,[],[],,,,[],[]\r\n"
    );
}

#[test]
fn csv_quotes_what_would_break_a_line_and_tells_null_from_the_empty_string() {
    let batch = batch(vec![
        column("a,b", StringArray::from(vec![Some("say \"hi\""), Some("two\nlines"), Some(""), None, Some("#5")])),
        column("n", Int16Array::from(vec![Some(1), None, Some(3), None, Some(5)])),
    ]);
    assert_eq!(
        written(&batch, "csv"),
        "\"a,b\",n\r\n\"say \"\"hi\"\"\",1\r\n\"two\nlines\",\r\n\"\",3\r\n,\r\n\"#5\",5\r\n"
    );
    assert!(written(&batch, "tsv").starts_with("a,b\tn\r\n\"say \"\"hi\"\"\"\t1\r\n"));
}

#[test]
fn a_null_in_the_only_column_of_a_csv_is_no_empty_line() {
    let batch = batch(vec![column("n", Int16Array::from(vec![Some(1), None, Some(3)]))]);
    assert_eq!(written(&batch, "csv"), "n\r\n1\r\n\"\"\r\n3\r\n");
}

#[test]
fn an_empty_answer_still_has_its_columns() {
    let schema = Schema::new(vec![Field::new("n", DataType::Int32, true)]);
    for (format, expected) in [("csv", "n\r\n"), ("text/csv;header=absent", "")] {
        let mut encoded = Encoded::new(answer(schema.clone(), vec![], false), format.parse().unwrap()).unwrap();
        assert_eq!(chunks(&mut encoded).into_iter().collect::<Result<String, _>>().unwrap(), expected);
        assert!(encoded.is_finished());
    }
    let mut encoded = Encoded::new(answer(schema, vec![], false), Format::default()).unwrap();
    let document = chunks(&mut encoded).remove(0).unwrap();
    assert_eq!(table(&document), "<FIELD name=\"n\" datatype=\"int\"/>\n");
}

fn counted(rows: std::ops::Range<i32>) -> RecordBatch {
    batch(vec![column("n", Int32Array::from_iter_values(rows))])
}

#[test]
fn an_overflow_is_told_after_the_table_and_beside_a_csv() {
    let overflowing =
        || answer(counted(0..1).schema().as_ref().clone(), vec![Ok(counted(0..2)), Ok(counted(2..3))], true);
    let mut encoded = Encoded::new(overflowing(), Format::default()).unwrap();
    assert!(!encoded.overflow());
    let document = chunks(&mut encoded).remove(0).unwrap();
    assert!(encoded.overflow());
    let ending = "</TABLE>\n<INFO name=\"QUERY_STATUS\" value=\"OVERFLOW\">The answer has more rows; it was cut after 3 by MAXREC.</INFO>\n</RESOURCE>\n</VOTABLE>\n";
    assert!(document.ends_with(ending), "{document}");

    let mut encoded = Encoded::new(overflowing(), "csv".parse().unwrap()).unwrap();
    assert_eq!(chunks(&mut encoded).remove(0).unwrap(), "n\r\n0\r\n1\r\n2\r\n");
    assert!(encoded.overflow());
}

#[test]
fn a_long_answer_leaves_in_chunks_of_bounded_size_and_loses_no_row() {
    let batches: Vec<_> = (0..100).map(|part| Ok(counted(part * 1000..(part + 1) * 1000))).collect();
    let mut encoded =
        Encoded::new(answer(counted(0..1).schema().as_ref().clone(), batches, false), "csv".parse().unwrap()).unwrap();
    let chunks: Vec<String> = chunks(&mut encoded).into_iter().map(Result::unwrap).collect();
    assert!(chunks.len() > 5);
    assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK + 100));
    let expected: String =
        std::iter::once("n\r\n".to_owned()).chain((0..100_000).map(|n| format!("{n}\r\n"))).collect();
    assert_eq!(chunks.concat(), expected);
}

fn broken(rows: i32) -> Answer {
    let error = JobError::Unwritable("Cut <short>.".to_owned());
    answer(counted(0..1).schema().as_ref().clone(), vec![Ok(counted(0..rows)), Err(error)], false)
}

#[test]
fn a_failure_before_the_first_chunk_left_is_an_error_and_no_document() {
    for format in ["votable", "csv"] {
        let mut encoded = Encoded::new(broken(3), format.parse().unwrap()).unwrap();
        let mut chunks = chunks(&mut encoded);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks.remove(0).unwrap_err().to_string(), "Cut <short>.");
    }
}

#[test]
fn a_failure_after_that_ends_a_votable_well_formed_and_breaks_a_csv_off() {
    let mut encoded = Encoded::new(broken(100_000), Format::default()).unwrap();
    let document: String = chunks(&mut encoded).into_iter().map(Result::unwrap).collect();
    let ending = "<TR><TD>99999</TD></TR>\n</TABLEDATA>\n</DATA>\n</TABLE>\n<INFO name=\"QUERY_STATUS\" value=\"ERROR\">Cut &lt;short&gt;.</INFO>\n</RESOURCE>\n</VOTABLE>\n";
    assert!(document.ends_with(ending));

    let mut encoded = Encoded::new(broken(100_000), "csv".parse().unwrap()).unwrap();
    let chunks = chunks(&mut encoded);
    assert!(chunks.len() > 2);
    assert!(chunks.last().unwrap().is_err());
}

#[test]
fn a_value_that_the_format_cannot_hold_is_refused_with_its_column() {
    let beyond = batch(vec![column("id", UInt64Array::from(vec![1, u64::MAX]))]);
    let marked = batch(vec![column("counts", integers::<Int16Type>(vec![Some(vec![Some(-32768)])]))]);
    let timeless = batch(vec![column("t", TimestampMicrosecondArray::from(vec![i64::MAX]))]);
    for (batch, sentence) in [
        (beyond, "The column id holds the number 18446744073709551615, which no VOTable integer holds"),
        (marked, "The column counts holds an array element of -32768, which in VOTable means NULL there"),
        (timeless, "The column t holds a time outside the calendar"),
    ] {
        let answer = answer(batch.schema().as_ref().clone(), vec![Ok(batch)], false);
        let mut encoded = Encoded::new(answer, Format::default()).unwrap();
        let error = chunks(&mut encoded).remove(0).unwrap_err();
        assert!(error.to_string().starts_with(sentence), "{error}");
    }
}

#[test]
fn an_error_document_holds_the_sentence_as_text() {
    assert_eq!(
        votable::error_document("unexpected < at line 1"),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<VOTABLE version=\"1.4\" xmlns=\"http://www.ivoa.net/xml/VOTable/v1.3\">\n\
         <RESOURCE type=\"results\">\n<INFO name=\"QUERY_STATUS\" value=\"ERROR\">unexpected &lt; at line 1</INFO>\n</RESOURCE>\n</VOTABLE>\n"
    );
}
