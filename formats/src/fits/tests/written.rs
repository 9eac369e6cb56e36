//! ASCII tables.

use arrow::array::{Array, Float64Array, Int32Array, Int64Array, StringArray};

use super::*;

fn ascii(cards: &[&str], rows: &[impl AsRef<str>]) -> Vec<u8> {
    let rows: Vec<Vec<u8>> = rows.iter().map(|row| row.as_ref().as_bytes().to_vec()).collect();
    [primary(), table("TABLE", cards, &rows, b"")].concat()
}

const CARDS: [&str; 17] = [
    "TTYPE1  = 'name'",
    "TFORM1  = 'A6'",
    "TBCOL1  = 1",
    "TTYPE2  = 'n'",
    "TFORM2  = 'I3'",
    "TBCOL2  = 8",
    "TNULL2  = '-99'",
    "TTYPE3  = 'mag'",
    "TFORM3  = 'F6.2'",
    "TBCOL3  = 12",
    "TUNIT3  = 'mag'",
    "TTYPE4  = 'parallax'",
    "TFORM4  = 'D9.3'",
    "TBCOL4  = 19",
    "TTYPE5  = 'id'",
    "TFORM5  = 'I19'",
    "TBCOL5  = 29",
];

/// A row of the table with these cards.
fn row([name, n, mag, parallax, id]: [&str; 5]) -> String {
    format!("{name:6} {n:>3} {mag:>6} {parallax:<9} {id:>19}")
}

#[test]
fn the_characters_of_an_ascii_table_become_values() {
    let bytes = ascii(
        &CARDS,
        &[
            row(["Vega", "001", "0.03", "1.3D-01", "9007199254740993"]),
            row(["", "7", "123", "", "-922337203685477580"]),
            row([" Deneb", "-99", "-1.46", "  2.5E+00", "1"]),
        ],
    );
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let (_folder, input) = local("stars.fits", &bytes);
        let table = open(input, None).unwrap();
        let (batch, bad) = read(&*table, None).unwrap();
        assert_eq!(bad, []);
        let expected: [&dyn Array; 5] = [
            &StringArray::from(vec![Some("Vega"), None, Some(" Deneb")]),
            &Int32Array::from(vec![Some(1), Some(7), None]),
            &Float64Array::from(vec![0.03, 1.23, -1.46]),
            &Float64Array::from(vec![Some(0.13), None, Some(2.5)]),
            &Int64Array::from(vec![9_007_199_254_740_993, -922_337_203_685_477_580, 1]),
        ];
        for (index, expected) in expected.into_iter().enumerate() {
            assert_eq!(&**batch.column(index), expected, "column {index}");
        }
        assert_eq!(crate::ColumnMeta::of(table.schema().field(2)).unit, Some("mag"));
        let (batch, _) = read(&*table, Some(&[1, 4])).unwrap();
        assert_eq!((batch.num_columns(), batch.schema().field(1).name().as_str()), (2, "id"));
    }
}

#[test]
fn what_is_no_number_makes_a_bad_row_with_its_text() {
    let bytes = ascii(
        &CARDS,
        &[
            row(["Vega", "1", "0.03", "1.3D-01", "1"]),
            row(["Deneb", "x", "1.25", "bright", "2"]),
            row(["Altair", "1.5", "0.76", "1.9D-01", "3"]),
            row(["Mizar", "2", "2.2x", "1.9D-01", "4"]),
            row(["Alcor", "3", "4.01", "3.9D-02", "9999999999999999999"]),
        ],
    );
    let (_folder, input) = local("stars.fits", &bytes);
    let (batch, bad) = read(&*open(input, None).unwrap(), None).unwrap();
    assert_eq!(batch.num_rows(), 1);
    let reasons: Vec<String> = bad.iter().map(|bad| format!("{} {}", bad.place, bad.reason)).collect();
    assert_eq!(
        reasons,
        [
            "row 2 n: 'x' is no whole number",
            "row 3 n: '1.5' is no whole number",
            "row 4 mag: '2.2x' is no number",
            "row 5 id: '9999999999999999999' is no whole number of 64 bits",
        ]
    );
    assert_eq!(bad[0].text, Some(row(["Deneb", "x", "1.25", "bright", "2"])));
}

#[test]
fn scaling_makes_floats() {
    let cards = ["TFORM1  = 'I3'", "TBCOL1  = 1", "TSCAL1  = 0.5", "TZERO1  = 1"];
    let (_folder, input) = local("stars.fits", &ascii(&cards, &["  4", " -2"]));
    let (batch, _) = read(&*open(input, None).unwrap(), None).unwrap();
    assert_eq!(&**batch.column(0), &Float64Array::from(vec![3.0, 0.0]) as &dyn Array);
}

#[test]
fn a_field_outside_of_its_row_or_of_no_known_form_is_refused() {
    let why = |form: &str, begin: &str| refusal(&ascii(&[form, begin], &["12345"]), None);
    assert_eq!(
        why("TFORM1  = 'I6'", "TBCOL1  = 1"),
        "HDU 1: column 1 has 6 characters from character 1 on, in rows of 5"
    );
    assert!(why("TFORM1  = 'I5'", "TBCOL1  = 2").starts_with("HDU 1: column 1 has 5 characters"));
    assert!(why("TFORM1  = 'I5'", "TBCOL1  = 0").starts_with("HDU 1: column 1 has 5 characters"));
    assert!(why("TFORM1  = 'I5'", "TBCOL1  = 9223372036854775807").starts_with("HDU 1: column 1 has 5 characters"));
    assert_eq!(why("TFORM1  = 'I5'", "TUNIT1  = ''"), "HDU 1: TBCOL1 is missing");
    for form in ["J5", "A", "", "F5.9", "I-1", "I99999999999999999999"] {
        let why = why(&format!("TFORM1  = '{form}'"), "TBCOL1  = 1");
        assert_eq!(why, format!("HDU 1: TFORM1 is '{form}', which is no format of an ASCII table"));
    }
}
