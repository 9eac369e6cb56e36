//! Whole documents, through the door that everybody uses.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Field, Int32Type, Int64Type},
    util::display::array_value_to_string,
};
use base64::Engine;
use proptest::prelude::*;

use super::*;
use crate::{
    BadRow, Place, Places, Rows,
    testing::{local, read},
};

fn table(text: &[u8], options: &SourceOptions) -> Result<(tempfile::TempDir, Box<dyn TableSource>), String> {
    let (folder, input) = local("t.vot", text);
    let table = open(input, options).map_err(|error| error.to_string())?;
    Ok((folder, table))
}

fn batch(text: &str) -> RecordBatch {
    let (_folder, table) = table(text.as_bytes(), &SourceOptions::default()).unwrap();
    read(&*table, None).unwrap()
}

/// Everything that a pass yields.
fn rows(text: &str) -> Result<Vec<Rows>, String> {
    rows_of(text.as_bytes())
}

/// What opening and reading says, which must be an error.
fn refusal(bytes: &[u8]) -> String {
    rows_of(bytes).expect_err("it was read")
}

fn rows_of(bytes: &[u8]) -> Result<Vec<Rows>, String> {
    let (_folder, table) = table(bytes, &SourceOptions::default())?;
    let mut all = Vec::new();
    for piece in table.pieces(None).map_err(|error| error.to_string())? {
        let decoded = piece.and_then(|piece| {
            piece.decode(&mut |rows| {
                all.push(rows);
                Ok(())
            })
        });
        decoded.map_err(|error| error.to_string())?;
    }
    Ok(all)
}

/// A row as text, cells separated by bars.
fn shown(batch: &RecordBatch, row: usize) -> String {
    let cell = |array: &arrow::array::ArrayRef| {
        if array.is_null(row) { "NULL".to_owned() } else { array_value_to_string(array, row).unwrap() }
    };
    batch.columns().iter().map(cell).collect::<Vec<_>>().join("|")
}

fn document(table: &str) -> String {
    format!(
        "<?xml version='1.0'?>\n<VOTABLE version='1.4' xmlns='http://www.ivoa.net/xml/VOTable/v1.3'>\
         <RESOURCE type='results'>{table}</RESOURCE></VOTABLE>"
    )
}

fn tabledata(fields: &str, rows: &str) -> String {
    document(&format!("<TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>"))
}

fn binary(serialization: &str, fields: &str, bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    // Broken into lines as writers do.
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    document(&format!(
        "<TABLE>{fields}<DATA><{serialization}><STREAM encoding='base64'>\n{}\n</STREAM></{serialization}></DATA></TABLE>",
        lines.join("\n")
    ))
}

const ALL: &str = "<FIELD name='flag' datatype='boolean'/><FIELD name='bit' datatype='bit'/>\
    <FIELD name='byte' datatype='unsignedByte'/><FIELD name='short' datatype='short'><VALUES null='-1'/></FIELD>\
    <FIELD name='int' datatype='int'/><FIELD name='long' datatype='long'/><FIELD name='float' datatype='float'/>\
    <FIELD name='double' datatype='double'/><FIELD name='complex' datatype='floatComplex'/>\
    <FIELD name='dcomplex' datatype='doubleComplex' arraysize='*'/><FIELD name='char' datatype='char'/>\
    <FIELD name='fixed' datatype='char' arraysize='4'/><FIELD name='text' datatype='char' arraysize='*'/>\
    <FIELD name='wide' datatype='unicodeChar' arraysize='8*'/><FIELD name='names' datatype='char' arraysize='3x*'/>\
    <FIELD name='pair' datatype='unicodeChar' arraysize='2x2'/><FIELD name='bits' datatype='bit' arraysize='10'/>\
    <FIELD name='manybits' datatype='bit' arraysize='*'/><FIELD name='vector' datatype='double' arraysize='2' xtype='point'/>\
    <FIELD name='list' datatype='int' arraysize='*'/><FIELD name='matrix' datatype='short' arraysize='2x2'/>\
    <FIELD name='flags' datatype='boolean' arraysize='3'/>";

const ALL_ROW: &str = "true|true|200|-300|70000|-9000000000|1.5|-2.25|[1.0, -1.0]|[1.0, 2.0, 3.0, 4.0]|x|abcd|α<β|Ωm|\
    [abc, d]|[ab, Ω]|[true, false, true, false, false, false, false, false, true, true]|[true, true, true]|[10.5, 41.25]|\
    [1, -2, 3]|[1, 2, 3, 4]|[true, false, ]";

const ALL_TEXT: &str = "<TR><TD>T</TD><TD>1</TD><TD>200</TD><TD>-300</TD><TD>70000</TD><TD>-9000000000</TD><TD>1.5</TD>\
    <TD>-2.25</TD><TD>1 -1</TD><TD>1 2 3 4</TD><TD>x</TD><TD>abcd</TD><TD>α&lt;β</TD><TD>&#937;m</TD><TD>abcd</TD>\
    <TD>abΩ </TD><TD>10100 00011</TD><TD>111</TD><TD>10.5 41.25</TD><TD>1 -2 3</TD><TD>1 2 3 4</TD><TD>T F ?</TD></TR>";

fn all_bytes() -> Vec<u8> {
    let mut row = Vec::new();
    row.extend(b"T\x80\xc8");
    row.extend((-300_i16).to_be_bytes());
    row.extend(70_000_i32.to_be_bytes());
    row.extend((-9_000_000_000_i64).to_be_bytes());
    row.extend(1.5_f32.to_be_bytes());
    row.extend((-2.25_f64).to_be_bytes());
    row.extend([1_f32, -1.0].map(f32::to_be_bytes).concat());
    row.extend(2_i32.to_be_bytes());
    row.extend([1_f64, 2.0, 3.0, 4.0].map(f64::to_be_bytes).concat());
    row.extend(b"xabcd");
    row.extend(5_i32.to_be_bytes());
    row.extend("α<β".as_bytes());
    row.extend(2_i32.to_be_bytes());
    row.extend([0x03, 0xA9, 0, b'm']);
    row.extend(6_i32.to_be_bytes());
    row.extend(b"abcd\0\0");
    row.extend([0, b'a', 0, b'b', 0x03, 0xA9, 0, 0]);
    row.extend([0b1010_0000, 0b1100_0000]);
    row.extend(3_i32.to_be_bytes());
    row.push(0b1110_0000);
    row.extend([10.5_f64, 41.25].map(f64::to_be_bytes).concat());
    row.extend(3_i32.to_be_bytes());
    row.extend([1_i32, -2, 3].map(i32::to_be_bytes).concat());
    row.extend([1_i16, 2, 3, 4].map(i16::to_be_bytes).concat());
    row.extend(b"TF?");
    row
}

#[test]
fn every_type_is_the_same_in_every_serialization() {
    let empty = "<TR>".to_owned() + &"<TD/>".repeat(22) + "</TR>";
    let text = batch(&tabledata(ALL, &(ALL_TEXT.to_owned() + &empty)));
    assert_eq!(shown(&text, 0), ALL_ROW);
    assert_eq!(shown(&text, 1), ["NULL"; 22].join("|"));

    let plain = batch(&binary("BINARY", ALL, &[all_bytes(), all_bytes()].concat()));
    assert_eq!((shown(&plain, 0).as_str(), shown(&plain, 1).as_str()), (ALL_ROW, ALL_ROW));
    assert_eq!(plain.schema(), text.schema());

    let mut flagged = vec![0, 0, 0];
    flagged.extend(all_bytes());
    flagged.extend([0xFF, 0xFF, 0xFC]);
    flagged.extend(all_bytes());
    let flagged = batch(&binary("BINARY2", ALL, &flagged));
    assert_eq!(shown(&flagged, 0), ALL_ROW);
    assert_eq!(shown(&flagged, 1), ["NULL"; 22].join("|"));
    assert_eq!(flagged.schema(), text.schema());
}

#[test]
fn columns_have_the_types_and_the_metadata_of_their_fields() {
    let text = "<?xml version='1.0'?><v:VOTABLE xmlns:v='http://www.ivoa.net/xml/VOTable/v1.1' version='1.1'>\
        <v:DEFINITIONS><v:COOSYS ID='J2000'/></v:DEFINITIONS><v:RESOURCE><v:DESCRIPTION>r</v:DESCRIPTION>\
        <v:TABLE name='stars' nrows='7'><v:DESCRIPTION>All\n   stars</v:DESCRIPTION><v:PARAM name='p' datatype='int' value='1'/>\
        <v:GROUP><v:FIELDref ref='c1'/></v:GROUP><v:FIELD ref='J2000' unit='deg' ucd='pos.eq.ra;meta.main' utype='u' \
        datatype='double' name=' RA  ICRS ' ID='c1'><v:DESCRIPTION>Right &amp; up</v:DESCRIPTION><v:LINK href='x'/></v:FIELD>\
        <v:FIELD ID='t' datatype='char' arraysize='*' xtype='timestamp'/><v:FIELD name='r' datatype='float' arraysize='3' \
        xtype='circle'/><v:DATA><v:TABLEDATA><v:TR><v:TD>1</v:TD><v:TD>2020-01-01</v:TD><v:TD>1 2 3</v:TD></v:TR>\
        </v:TABLEDATA></v:DATA></v:TABLE></v:RESOURCE></v:VOTABLE>";
    let batch = batch(text);
    let schema = batch.schema();
    assert_eq!(schema.metadata()["vo:name"], "stars");
    assert_eq!(schema.metadata()["vo:description"], "All stars");
    let ra = schema.field_with_name("RA ICRS").unwrap();
    let meta = ColumnMeta::of(ra);
    assert_eq!(ra.data_type(), &DataType::Float64);
    assert_eq!((meta.unit, meta.ucd, meta.utype), (Some("deg"), Some("pos.eq.ra;meta.main"), Some("u")));
    assert_eq!((meta.description, meta.arraysize), (Some("Right & up"), None));
    let time = schema.field_with_name("t").unwrap();
    assert_eq!((time.data_type(), ColumnMeta::of(time).xtype), (&DataType::Utf8, Some("timestamp")));
    let circle = schema.field_with_name("r").unwrap();
    assert_eq!((ColumnMeta::of(circle).xtype, ColumnMeta::of(circle).arraysize), (Some("circle"), Some("3")));
    assert_eq!(shown(&batch, 0), "1.0|2020-01-01|[1.0, 2.0, 3.0]");
}

#[test]
fn comments_cdata_references_and_line_ends_in_cells_are_what_xml_makes_of_them() {
    let text = tabledata(
        "<FIELD name='t' datatype='char' arraysize='*'/><FIELD name='n' datatype='int'/>",
        "\n<!-- </TR> --><?pi </TABLEDATA> ?><TR ID='a>b' >\n<TD> a &lt;&#x1F600;&#13;</TD><TD> 1 </TD></TR>\
         <TR><TD><![CDATA[</TR></TABLEDATA>&amp;]]> b<!-- x -->c</TD><TD ID='q'><!-- -->2</TD></TR >\
         <TR><TD>one\r\ntwo\rthree</TD><TD\n/></TR>",
    );
    let batch = batch(&text);
    let column = batch.column(0).as_string::<i32>();
    assert_eq!(column.value(0), " a <😀\r");
    assert_eq!(column.value(1), "</TR></TABLEDATA>&amp; bc");
    assert_eq!(column.value(2), "one\ntwo\nthree");
    assert_eq!(batch.column(1).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), Some(2), None]);
}

#[test]
fn a_row_that_cannot_be_read_is_told_with_its_place_and_the_good_ones_keep_theirs() {
    let fields = "<FIELD name='n' datatype='int'/><FIELD name='v' datatype='float' arraysize='2'/>";
    let good = "<TR><TD>1</TD><TD>1 2</TD></TR>";
    let text = tabledata(
        fields,
        &format!(
            "<TR><TD>x</TD><TD>1 2</TD></TR>{good}{good}<TR><TD>1</TD><TD>1 2 3</TD></TR><TR><TD>1</TD></TR>{good}<TR><TD>1</TD><TD/><TD/></TR><TR/>"
        ),
    );
    let rows = rows(&text).unwrap();
    let places: Vec<(Places, usize)> = rows.iter().map(|rows| (rows.places.clone(), rows.batch.num_rows())).collect();
    assert_eq!(places, [(Places::Numbers([2, 3, 6].into()), 3)]);
    let bad: Vec<&BadRow> = rows.iter().flat_map(|rows| &rows.bad).collect();
    let told: Vec<(Place, &str)> = bad.iter().map(|bad| (bad.place, bad.reason.as_str())).collect();
    assert_eq!(
        told,
        [
            (Place::Row(1), "n: 'x' is no integer"),
            (Place::Row(4), "v: it has 3 elements instead of 2"),
            (Place::Row(5), "it has 1 cells, the table has 2 columns"),
            (Place::Row(7), "it has 3 cells, the table has 2 columns"),
            (Place::Row(8), "it has 0 cells, the table has 2 columns"),
        ]
    );
    assert_eq!(bad[1].text.as_deref(), Some("<TR><TD>1</TD><TD>1 2 3</TD></TR>"));
    for rows in &rows {
        for row in 0..rows.batch.num_rows() {
            assert_eq!(shown(&rows.batch, row), "1|[1.0, 2.0]");
        }
    }
}

#[test]
fn empty_cells_of_huge_arrays_and_endless_columns_are_refused() {
    let field = "<FIELD name='v' datatype='double' arraysize='5000000'/>";
    assert!(refusal(tabledata(&field.repeat(2), "<TR/>").as_bytes()).ends_with("its rows would be longer than 64 MiB"));
    let one = rows(&tabledata(field, &"<TR><TD/></TR>".repeat(3))).unwrap();
    assert_eq!(one.iter().map(|rows| rows.batch.num_rows()).collect::<Vec<_>>(), [1, 1, 1]);
    let why = refusal(tabledata(&"<FIELD/>".repeat(10_000), "").as_bytes());
    assert!(why.ends_with("it describes more tables and columns than 4 MiB can hold"), "{why}");
    let why = refusal(document(&"<TABLE/>".repeat(10_000)).as_bytes());
    assert!(why.ends_with("it describes more tables and columns than 4 MiB can hold"), "{why}");
}

#[test]
fn a_bad_cell_of_a_binary_row_costs_that_row_only() {
    let fields = "<FIELD name='b' datatype='boolean'/><FIELD name='t' datatype='char' arraysize='*'/>";
    let rows = rows(&binary("BINARY", fields, b"T\0\0\0\x01aX\0\0\0\x01bF\0\0\0\x01\xffF\0\0\0\x01d")).unwrap();
    let bad: Vec<String> =
        rows.iter().flat_map(|rows| &rows.bad).map(|bad| format!("{} {}", bad.place, bad.reason)).collect();
    assert_eq!(bad, ["row 2 b: the byte 0x58 is no truth value", "row 3 t: the text is neither ASCII nor UTF-8"]);
    assert_eq!((rows.len(), shown(&rows[0].batch, 1).as_str()), (1, "false|d"));
}

#[test]
fn the_table_is_chosen_by_number_name_or_id_and_is_the_first_with_rows_otherwise() {
    let one = |name: &str, n: i32| {
        format!(
            "<TABLE {name}><FIELD name='n' datatype='int'/><DATA><TABLEDATA><TR><TD>{n}</TD></TR></TABLEDATA></DATA></TABLE>"
        )
    };
    let text = document(&format!(
        "<TABLE name='empty'><FIELD name='n' datatype='int'/></TABLE>{}<RESOURCE>{}</RESOURCE>{}",
        one("name='a'", 2),
        one("ID='b'", 3),
        one("", 4)
    ));
    for (wanted, expected) in [
        (None, Ok(2)),
        (Some("2"), Ok(2)),
        (Some("a"), Ok(2)),
        (Some("b"), Ok(3)),
        (Some("4"), Ok(4)),
        (Some("1"), Err("the table 1 has no rows")),
        (Some("empty"), Err("has no rows")),
        (Some("c"), Err("it has no table c; its tables are empty, a, b, 4")),
    ] {
        let options = SourceOptions { table: wanted.map(str::to_owned), ..SourceOptions::default() };
        let found = table(text.as_bytes(), &options)
            .map(|(_folder, table)| read(&*table, None).unwrap().column(0).as_primitive::<Int32Type>().value(0));
        match expected {
            Ok(n) => assert_eq!(found, Ok(n), "{wanted:?}"),
            Err(part) => assert!(found.as_ref().is_err_and(|error| error.contains(part)), "{wanted:?}: {found:?}"),
        }
    }
}

#[test]
fn a_service_that_failed_or_cut_its_answer_is_heard_before_and_behind_the_rows() {
    let info = |value: &str| format!("<INFO name='QUERY_STATUS' value='{value}'>because</INFO>");
    let table =
        "<TABLE><FIELD name='n' datatype='int'/><DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE>";
    for (text, part) in [
        (document(&info("ERROR")), Some("it is a service's error message: because")),
        (document(&(info("OVERFLOW") + table)), Some("only a part of a larger result (OVERFLOW): because")),
        (
            document(&(info("OK") + table + &info("OVERFLOW"))),
            Some("only a part of a larger result (OVERFLOW): because"),
        ),
        (document(&(info("OK") + table + &info("ERROR"))), Some("failed while it wrote this file: because")),
        (document(&table.replace("</TABLE>", &(info("OVERFLOW") + "</TABLE>"))), Some("only a part")),
        (document("<INFO name='Error' value='no such cone'/>"), Some("error message: no such cone")),
        (document("<INFO name='ERROR'> no such name </INFO>"), Some("error message: no such name")),
        (
            document(&(table.to_owned() + "<INFO name='QUERY_STATUS' value='OVERFLOW'/>")),
            Some("larger result (OVERFLOW)"),
        ),
        (document(&(info("OK") + table + &info("OVERFLOW") + &info("OK"))), None),
        (document(&format!("{table}<RESOURCE>{}</RESOURCE>", info("ERROR"))), None),
        (document(&format!("<RESOURCE>{}</RESOURCE>{table}", info("ERROR"))), None),
    ] {
        match (rows(&text), part) {
            (Ok(rows), None) => assert_eq!(rows[0].batch.num_rows(), 1),
            (Err(error), Some(part)) => assert!(error.contains(part), "{error}"),
            (outcome, _) => panic!("{text}: {outcome:?}"),
        }
    }
}

#[test]
fn what_is_no_votable_or_cannot_be_read_is_refused_in_a_sentence() {
    let field = "<FIELD name='n' datatype='int'/>";
    let data = |data: &str| document(&format!("<TABLE>{field}<DATA>{data}</DATA></TABLE>"));
    let long = format!("<TR><TD>{}</TD></TR>", "9".repeat(kinds::CELL_LIMIT + 1_000_000));
    let bomb =
        "<?xml version='1.0'?><!DOCTYPE VOTABLE [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><VOTABLE>&b;</VOTABLE>";
    for (text, part) in [
        ("<html><body/></html>".to_owned(), "it is no VOTable: its outermost element is html"),
        (document(""), "there is no TABLE in it"),
        (document(&format!("<TABLE>{field}</TABLE>")), "no TABLE in it has rows"),
        (document("<TABLE><DATA><TABLEDATA/></DATA></TABLE>"), "no FIELD"),
        (bomb.to_owned(), "DOCTYPE"),
        (tabledata(field, "<TR><TD>&lol;</TD></TR>"), "row 1: this is not well-formed XML"),
        (tabledata(field, "<!DOCTYPE x><TR><TD>1</TD></TR>"), "row 1: there is a declaration among the rows"),
        (tabledata(field, "<TR><TD>1</TD></TR>stray"), "row 2: there is text outside the cells"),
        (tabledata(field, "<TR><TD>1</TR></TD>"), "</TR> stands where </TD> should"),
        (tabledata(field, "<TR><B>1</B></TR>"), "<B> stands where a TD should"),
        (tabledata(field, "<TD>1</TD>"), "<TD> stands where a TR should"),
        (tabledata(field, "<TR><TD><B/></TD></TR>"), "<B> stands within a TD"),
        (tabledata(field, "<TR><TD encoding='base64'>AA==</TD></TR>"), "a TD with an encoding"),
        (tabledata(field, &long), "row 1: it is longer than 64 MiB"),
        (tabledata("<FIELD name='n' datatype='number'/>", ""), "column n: 'number' is no datatype"),
        (tabledata("<FIELD name='n' datatype='int' arraysize='?'/>", ""), "column n: its arraysize '?'"),
        (data("<FITS><STREAM href='x.fits'/></FITS>"), "in a FITS file"),
        (data("<BINARY2><STREAM href='http://x/y'/></BINARY2>"), "the rows are elsewhere, at http://x/y"),
        (data("<BINARY><STREAM encoding='gzip'>AA</STREAM></BINARY>"), "encoded as 'gzip'"),
        (data("<BINARY/>"), "have no STREAM"),
        (data("<BINARY><STREAM>AAAA!AAA</STREAM></BINARY>"), "row 1: this is not base64"),
        (data("<BINARY><STREAM>AAAAAQ==AAAA</STREAM></BINARY>"), "not base64"),
        (data("<BINARY><STREAM>AAAAAQAA</STREAM></BINARY>"), "row 2 is cut short: the last 2 bytes"),
        (data("<BINARY><STREAM>AAAAAQ==<X/></STREAM></BINARY>"), "markup among the rows"),
        (tabledata(field, "<TR><TD>1</TD></TR>") + "<VOTABLE/>", "behind the rows: a second document follows"),
        (tabledata(field, "<TR><TD>1</TD></TR>").replace("</RESOURCE>", ""), "</RESOURCE> is expected"),
    ] {
        let sentence = refusal(text.as_bytes());
        assert!(sentence.contains(part), "{}: {sentence}", text.chars().take(300).collect::<String>());
    }
    let strings = "<FIELD name='a' datatype='char' arraysize='*'/>";
    for (count, part) in [(-5_i32, "row 1: column 1: an array of -5 elements"), (i32::MAX, "longer than 64 MiB")] {
        let sentence = refusal(binary("BINARY", strings, &count.to_be_bytes()).as_bytes());
        assert!(sentence.contains(part), "{sentence}");
    }
    let sentence = refusal(binary("BINARY", "<FIELD name='a' datatype='char' arraysize='0'/>", b"").as_bytes());
    assert!(sentence.contains("no bytes"), "{sentence}");
    let latin = [tabledata(field, "<TR><TD>1</TD></TR><TR><TD>\0</TD></TR>").into_bytes()].concat();
    let latin: Vec<u8> = latin.into_iter().map(|byte| if byte == 0 { 0xE9 } else { byte }).collect();
    let sentence = refusal(&latin);
    assert!(sentence.contains("row 2: the byte 0xe9 is not UTF-8"), "{sentence}");
}

#[test]
fn a_table_without_rows_has_its_columns() {
    for text in [
        document("<TABLE><FIELD name='n' datatype='int'/><DATA><TABLEDATA/></DATA></TABLE>"),
        tabledata("<FIELD name='n' datatype='int'/>", "\n"),
        document(
            "<TABLE><FIELD name='n' datatype='int'/><DATA><BINARY2><STREAM encoding='base64'/></BINARY2></DATA></TABLE>",
        ),
        binary("BINARY", "<FIELD name='n' datatype='int'/>", b""),
    ] {
        assert_eq!(rows(&text).unwrap().len(), 0, "{text}");
        let (_folder, table) = table(text.as_bytes(), &SourceOptions::default()).unwrap();
        assert_eq!(table.schema().fields().len(), 1);
    }
}

#[test]
fn columns_can_be_left_out_even_those_that_nobody_could_read() {
    let fields = "<FIELD name='a' datatype='int'/><FIELD name='b' datatype='char' arraysize='*'/><FIELD name='c' datatype='long'/>";
    for text in [
        tabledata(fields, "<TR><TD>x</TD><TD>b&amp;</TD><TD>3</TD></TR>"),
        binary("BINARY2", fields, b"\0\0\0\0\x01\0\0\0\x01\xff\0\0\0\0\0\0\0\x03"),
    ] {
        let (_folder, table) = table(text.as_bytes(), &SourceOptions::default()).unwrap();
        let only = read(&*table, Some(&[2])).unwrap();
        assert_eq!(only.schema().fields().len(), 1);
        assert_eq!(only.column(0).as_primitive::<Int64Type>().value(0), 3);
        assert_eq!(read(&*table, Some(&[])).map(|none| none.num_rows()), Ok(1));
    }
}

#[test]
fn a_large_table_comes_in_many_pieces_without_a_row_lost() {
    let count = 100_000;
    let tail = "-".repeat(100);
    let mut text = String::new();
    let mut bytes = Vec::new();
    for row in 0..count {
        let name = format!("star &<{row}>{tail}");
        text += &format!("<TR><TD>{row}</TD><TD>star &amp;&lt;{row}&gt;{tail}</TD></TR>\n");
        bytes.push(0);
        bytes.extend((row as i32).to_be_bytes());
        bytes.extend((name.len() as i32).to_be_bytes());
        bytes.extend(name.as_bytes());
    }
    let fields = "<FIELD name='n' datatype='int'/><FIELD name='t' datatype='char' arraysize='*'/>";
    for text in [tabledata(fields, &text), binary("BINARY2", fields, &bytes)] {
        let (_folder, table) = table(text.as_bytes(), &SourceOptions::default()).unwrap();
        assert!(table.pieces(None).unwrap().count() > 2);
        let batch = read(&*table, None).unwrap();
        let numbers = batch.column(0).as_primitive::<Int32Type>();
        assert!(numbers.values().iter().copied().eq(0..count as i32));
        let names = batch.column(1).as_string::<i32>();
        assert_eq!((names.len(), names.value(count - 1)), (count, format!("star &<{}>{tail}", count - 1).as_str()));
    }
}

#[test]
fn a_document_that_is_cut_short_anywhere_is_refused_and_never_panics() {
    let fields =
        "<FIELD name='n' datatype='int'/><FIELD name='t' datatype='char' arraysize='*'><VALUES null='x'/></FIELD>";
    let row = b"\0\0\0\0\x01\0\0\0\x02ab";
    for text in [
        tabledata(fields, "<!-- c --><TR><TD>1</TD><TD>a&amp;<![CDATA[b]]></TD></TR><TR><TD/><TD a='b'>c</TD></TR>"),
        binary("BINARY2", fields, &row.repeat(3)),
    ] {
        let text = text.replace("</VOTABLE>", "</VOTABLE");
        for length in 0..text.len() {
            let outcome = rows(&String::from_utf8_lossy(&text.as_bytes()[..length]));
            assert!(outcome.is_err(), "cut at {length} of {}: {outcome:?}", text.len());
        }
        assert!(rows(&(text + ">")).is_ok());
    }
}

#[test]
fn the_metadata_of_a_header_goes_to_the_columns_of_the_same_names() {
    let header = "<VOTABLE><RESOURCE><TABLE name='stars'><DESCRIPTION>All</DESCRIPTION>\
        <FIELD name='RA' datatype='char' arraysize='*' unit='deg' ucd='pos.eq.ra'><DESCRIPTION>east</DESCRIPTION></FIELD>\
        <FIELD name='dec' datatype='nonsense' unit='rad'/><FIELD name='DEC' datatype='double' unit='deg'/>\
        <FIELD name='v' datatype='float' arraysize='3' xtype='circle'/><FIELD name='gone' datatype='int' unit='m'/>\
        </TABLE></RESOURCE></VOTABLE>";
    let list = DataType::new_list(DataType::Float32, true);
    let schema = Schema::new(vec![
        Field::new("ra", DataType::Float64, false),
        Field::new("DEC", DataType::Float64, true),
        Field::new("v", list, true),
        Field::new("other", DataType::Int32, true),
    ]);
    let described = describe(&schema, header.as_bytes()).unwrap();
    let meta = |name: &str| ColumnMeta::of(described.field_with_name(name).unwrap());
    assert_eq!(described.field(0).data_type(), &DataType::Float64);
    assert!(!described.field(0).is_nullable());
    assert_eq!(
        (meta("ra").unit, meta("ra").ucd, meta("ra").description),
        (Some("deg"), Some("pos.eq.ra"), Some("east"))
    );
    assert_eq!(meta("ra").arraysize, None, "a number has no dimensions, whatever the header says");
    assert_eq!(meta("DEC").unit, Some("deg"), "the exact name wins");
    assert_eq!((meta("v").xtype, meta("v").arraysize), (Some("circle"), Some("3")));
    assert_eq!(meta("other"), ColumnMeta::default());
    assert_eq!(
        (described.metadata()["vo:name"].as_str(), described.metadata()["vo:description"].as_str()),
        ("stars", "All")
    );
    assert!(describe(&schema, b"<VOTABLE").unwrap_err().to_string().contains("cut short"));
    assert!(describe(&schema, b"<VOTABLE/>").unwrap_err().to_string().contains("no TABLE"));
}

#[test]
fn documents_of_the_standards_are_read() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/standards/examples"));
    if !folder.exists() {
        println!("skipped: there are no examples at {}", folder.display());
        return;
    }
    for (name, expected) in [
        ("votable-tabledata.vot", Ok((2, 12))),
        ("votable-binary2.vot", Ok((3, 11))),
        ("official-votable-coosys.vot", Ok((3, 6))),
        ("official-obscore-response.vot", Ok((0, 34))),
        ("table-with-datalink-descriptor.vot", Ok((1, 2))),
        ("votable-overflow.vot", Err("result truncated at MAXREC=1")),
        ("votable-error.vot", Err("syntax error at line 1, column 8: unexpected FROM")),
        ("scs-error.vot", Err("Parameter SR is missing")),
        ("official-voparquet-metadata.vot", Err("only describe columns")),
    ] {
        let outcome = Input::file(&folder.join(name)).and_then(|input| open(input, &SourceOptions::default()));
        let outcome = outcome.map_err(|error| error.to_string()).and_then(|table| {
            let columns = table.schema().fields().len();
            read(&*table, None).map(|batch| (batch.num_rows(), columns))
        });
        match expected {
            Ok(shape) => assert_eq!(outcome, Ok(shape), "{name}"),
            Err(part) => assert!(outcome.as_ref().is_err_and(|error| error.contains(part)), "{name}: {outcome:?}"),
        }
    }
    let binary2 = Input::file(&folder.join("votable-binary2.vot")).unwrap();
    let table = open(binary2, &SourceOptions::default()).unwrap();
    let batch = read(&*table, None).unwrap();
    assert_eq!(
        shown(&batch, 0),
        "1|10.5|12.25|7|M 31|Ω|true|abc|[10.5, 41.25]|\
         [true, false, true, false, false, false, false, false, true, false]|[1.0, NaN, 3.5]"
    );
    assert_eq!(shown(&batch, 1), ["NULL"; 11].join("|"));
}

proptest! {
    #[test]
    fn bytes_that_are_damaged_anywhere_never_make_a_panic(position in 0_usize..4000, byte: u8, binary_rows: bool) {
        let text = if binary_rows {
            binary("BINARY2", ALL, &[vec![0, 0, 0], all_bytes()].concat())
        } else {
            tabledata(ALL, ALL_TEXT)
        };
        let mut bytes = text.into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        // Whether that is an error depends on the byte; that it ends does not.
        if let Ok((_folder, table)) = table(&bytes, &SourceOptions::default()) {
            for piece in table.pieces(None).into_iter().flatten().flatten() {
                let _ = piece.decode(&mut |_| Ok(()));
            }
        }
    }

    #[test]
    fn values_survive_the_way_through_every_serialization(
        rows in prop::collection::vec((any::<Option<i64>>(), any::<f64>(), "\\PC{0,12}", prop::collection::vec(any::<i32>(), 0..5)), 1..20)
    ) {
        let fields = "<FIELD name='a' datatype='long'/><FIELD name='b' datatype='double'/>\
            <FIELD name='c' datatype='unicodeChar' arraysize='*'/><FIELD name='d' datatype='int' arraysize='*'/>";
        let mut xml = String::new();
        let mut bytes = Vec::new();
        for (a, b, c, d) in &rows {
            let list = d.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
            let a_text = a.map(|a| a.to_string()).unwrap_or_default();
            let c_text = quick_xml::escape::escape(c.as_str());
            xml += &format!("<TR><TD>{a_text}</TD><TD>{b}</TD><TD>{c_text}</TD><TD>{list}</TD></TR>");
            bytes.push(if a.is_none() { 0x80 } else { 0 });
            bytes.extend(a.unwrap_or_default().to_be_bytes());
            bytes.extend(b.to_be_bytes());
            let units: Vec<u16> = c.encode_utf16().collect();
            bytes.extend((units.len() as i32).to_be_bytes());
            bytes.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
            bytes.extend((d.len() as i32).to_be_bytes());
            bytes.extend(d.iter().flat_map(|n| n.to_be_bytes()));
        }
        let text = batch(&tabledata(fields, &xml));
        let flagged = batch(&binary("BINARY2", fields, &bytes));
        for (index, (a, b, c, d)) in rows.iter().enumerate() {
            let a = a.map_or("NULL".to_owned(), |a| a.to_string());
            for (batch, empty) in [(&text, true), (&flagged, false)] {
                let doubles = batch.column(1).as_primitive::<arrow::datatypes::Float64Type>();
                prop_assert!(doubles.value(index).to_bits() == b.to_bits() || b.is_nan());
                let strings = batch.column(2).as_string::<i32>();
                prop_assert_eq!(strings.is_null(index), empty && c.is_empty());
                prop_assert_eq!(strings.value(index), c);
                let lists = batch.column(3).as_list::<i32>();
                prop_assert_eq!(lists.is_null(index), empty && d.is_empty());
                let list = lists.value(index);
                prop_assert_eq!(list.as_primitive::<Int32Type>().values(), d);
                prop_assert_eq!(&shown(&batch.project(&[0]).unwrap(), index), &a);
            }
        }
    }
}
