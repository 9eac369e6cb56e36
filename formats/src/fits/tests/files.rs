//! Whole files: which table is taken, what its header says of it, packed files, and files that are no tables.

use std::{fs::File, io::Read, path::Path};

use arrow::{
    array::{Array, AsArray, Int64Array, StringArray},
    datatypes::{DataType, Float64Type, Int64Type},
    util::display::array_value_to_string,
};

use super::*;
use crate::{
    ColumnMeta, Place,
    testing::{Broken, Net},
};

/// A table of one column of bytes, with a name.
fn named(name: &str, rows: u8) -> Vec<u8> {
    let rows: Vec<Vec<u8>> = (0..rows).map(|i| vec![i]).collect();
    table("BINTABLE", &[&format!("EXTNAME = '{name}'"), "TTYPE1  = 'n'", "TFORM1  = 'B'", "NAXIS1  = 1"], &rows, b"")
}

fn image(data: usize) -> Vec<u8> {
    let cards = ["XTENSION= 'IMAGE'".to_owned(), "BITPIX  = -32".to_owned(), "NAXIS   = 2".to_owned()];
    let cards: Vec<String> = cards.into_iter().chain([format!("NAXIS1  = {data}"), "NAXIS2  = 3".to_owned()]).collect();
    hdu(&cards, &vec![b'X'; data * 3 * 4], 0)
}

fn rows_of(bytes: &[u8], table: Option<&str>) -> u64 {
    let (_folder, input) = local("stars.fits", bytes);
    open(input, table).unwrap().row_count().unwrap()
}

#[test]
fn the_first_table_with_rows_is_taken_unless_another_is_asked_for() {
    let bytes = [primary(), image(1000), named("empty", 0), named("stars", 3), named("Quasars ", 5)].concat();
    for bytes in [bytes.clone(), gzip(&bytes)] {
        assert_eq!(rows_of(&bytes, None), 3);
        assert_eq!(rows_of(&bytes, Some("2")), 0);
        assert_eq!(rows_of(&bytes, Some("4")), 5);
        assert_eq!(rows_of(&bytes, Some("QUASARS")), 5);
        assert_eq!(refusal(&bytes, Some("1")), "HDU 1 (an image) is no table");
        assert_eq!(refusal(&bytes, Some("0")), "HDU 0 (no data) is no table");
        let all = "0 (no data), 1 (an image), 2 'empty' (a table), 3 'stars' (a table), 4 'Quasars' (a table)";
        assert_eq!(refusal(&bytes, Some("5")), format!("it has no HDU '5'; its HDUs are {all}"));
        assert_eq!(refusal(&bytes, Some("galaxies")), format!("it has no HDU 'galaxies'; its HDUs are {all}"));
    }
    assert_eq!(rows_of(&[primary(), named("empty", 0)].concat(), None), 0);
}

#[test]
fn heaps_images_and_groups_are_passed_over() {
    let lists = table("BINTABLE", &["TFORM1  = 'PB'", "EXTNAME = 'lists'"], &[vec![0; 8]], &[b'H'; 7000]);
    let groups = ["SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 0", "NAXIS2  = 7", "GROUPS  = T"];
    let groups = groups.into_iter().chain(["PCOUNT  = 3", "GCOUNT  = 200"]).map(str::to_owned).collect::<Vec<_>>();
    let bytes = [hdu(&groups, &[b'G'; 2 * 200 * 10], 0), lists, image(721), named("stars", 2)].concat();
    assert_eq!(rows_of(&bytes, Some("stars")), 2);
    assert_eq!(rows_of(&gzip(&bytes), Some("stars")), 2);
}

#[test]
fn what_the_header_says_of_a_column_becomes_its_metadata() {
    let cards = [
        "EXTNAME = 'it''s stars'",
        "TTYPE1  = 'ra'                 / right ascension",
        "TFORM1  = 'D'                  / format",
        "TUNIT1  = 'deg'",
        "TUCD1   = 'pos.eq.ra;meta.main'",
        "TUTYP1  = 'obs.ra'",
        "TDISP1  = 'F12.6'",
        "TTYPE2  = 'mag'                / label for field   2",
        "TFORM2  = 'E'",
        "TTYPE3  = 'id'                 / short",
        "TFORM3  = 'J'",
        "TCOMM3  = 'a number that no other &'",
        "CONTINUE  'star has'",
        "TFORM4  = 'B'",
    ];
    let (_folder, input) = local("stars.fits", &file(&cards, &[vec![0; 17]], b""));
    let table = open(input, None).unwrap();
    let schema = table.schema();
    assert_eq!(schema.metadata()["vo:name"], "it's stars");
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["ra", "mag", "id", "col4"]);
    assert!(schema.fields().iter().all(|field| field.is_nullable()));
    let meta = |index: usize| ColumnMeta::of(schema.field(index));
    let expected = ColumnMeta {
        unit: Some("deg"),
        ucd: Some("pos.eq.ra;meta.main"),
        utype: Some("obs.ra"),
        description: Some("right ascension"),
        ..ColumnMeta::default()
    };
    assert_eq!(meta(0), expected);
    assert_eq!(meta(1), ColumnMeta::default());
    assert_eq!(meta(2).description, Some("a number that no other star has"));
}

#[test]
fn the_votable_in_front_of_a_table_describes_it() {
    let document =
        br#"<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE name="stars">
        <FIELD name="RA" datatype="double" unit="deg" ucd="pos.eq.ra"><DESCRIPTION>right ascension</DESCRIPTION></FIELD>
        <FIELD name="n" datatype="int" utype="x:y"/></TABLE></RESOURCE></VOTABLE>"#;
    let start = |document: &[u8]| {
        let cards = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1", "VOTMETA = T"].map(str::to_owned);
        let cards: Vec<String> = cards.into_iter().chain([format!("NAXIS1  = {}", document.len())]).collect();
        hdu(&cards, document, 0)
    };
    let cards = ["TTYPE1  = 'ra'", "TFORM1  = 'D'", "TTYPE2  = 'n'", "TFORM2  = 'J'", "TUNIT2  = 'm'"];
    let rows = table("BINTABLE", &cards, &[vec![0; 12]], b"");
    let bytes = [start(document), rows.clone(), named("other", 3)].concat();
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let (_folder, input) = local("stars.fits", &bytes);
        let table = open(input.clone(), None).unwrap();
        let meta = |index: usize| ColumnMeta::of(table.schema().field(index));
        assert_eq!((meta(0).ucd, meta(0).description), (Some("pos.eq.ra"), Some("right ascension")));
        assert_eq!((meta(1).utype, meta(1).unit), (Some("x:y"), Some("m")));
        assert_eq!(read(&*table, None).unwrap().0.num_rows(), 1);
        let other = open(input, Some("other")).unwrap();
        assert_eq!(ColumnMeta::of(other.schema().field(0)), ColumnMeta::default(), "it describes the first table only");
    }
    let why = refusal(&[start(b"<VOTABLE><RESOURCE>"), rows].concat(), None);
    assert!(why.starts_with("the VOTable in its first HDU cannot be read: "), "{why}");
}

#[test]
fn columns_can_be_chosen() {
    let cards = ["TFORM1  = 'J'", "TFORM2  = '3A'", "TFORM3  = 'PB'"];
    let row = |i: i32, text: &[u8]| [&i.to_be_bytes(), text, &[0; 3], &[1], &[0; 4]].concat();
    let bytes = file(&cards, &[row(1, b"one"), row(2, b"two")], b"\x07");
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let (_folder, input) = local("stars.fits", &bytes);
        let table = open(input, None).unwrap();
        let (batch, _) = read(&*table, Some(&[1])).unwrap();
        assert_eq!(&**batch.column(0), &StringArray::from(vec!["one", "two"]) as &dyn Array);
        let (batch, _) = read(&*table, Some(&[0, 2])).unwrap();
        assert_eq!(batch.num_columns(), 2);
        assert_eq!(batch.column(1).as_list::<i32>().value_length(1), 1);
        assert_eq!(table.pieces(Some(&[])).unwrap().count(), 1);
        let (batch, _) = read(&*table, None).unwrap();
        assert_eq!(batch.num_columns(), 3);
    }
}

#[test]
fn a_table_of_many_pieces_keeps_its_rows_in_order() {
    // 40 MB of rows, so that there are three pieces, of several batches each.
    let rows: Vec<Vec<u8>> = (0..500_000_i64).map(|i| [i.to_be_bytes().to_vec(), vec![b' '; 72]].concat()).collect();
    let bytes = file(&["TFORM1  = 'K'", "TFORM2  = '72A'"], &rows, b"");
    for bytes in [&bytes, &gzip(&bytes)] {
        let (_folder, input) = local("stars.fits", bytes);
        let table = open(input, None).unwrap();
        assert_eq!(table.pieces(None).unwrap().count(), 3);
        let (batch, bad) = read(&*table, Some(&[0])).unwrap();
        assert_eq!(bad, []);
        assert_eq!(&**batch.column(0), &Int64Array::from_iter_values(0..500_000) as &dyn Array);
    }
}

#[test]
fn a_table_is_read_from_a_store_whose_answers_break_off() {
    let rows: Vec<Vec<u8>> = (0..3000_i64).map(|i| i.to_be_bytes().to_vec()).collect();
    let bytes = file(&["TFORM1  = 'K'"], &rows, b"");
    for bytes in [&bytes, &gzip(&bytes)] {
        let net = Net::new(Broken::ShortOnce);
        let table = open(net.input("stars.fits", bytes), None).unwrap();
        let (batch, _) = read(&*table, None).unwrap();
        assert_eq!(&**batch.column(0), &Int64Array::from_iter_values(0..3000) as &dyn Array);
        assert!(net.store.cuts() > 0);
    }
}

#[test]
fn a_file_that_is_cut_short_says_how_much_is_missing() {
    let rows: Vec<Vec<u8>> = (0..1000_i64).map(|i| i.to_be_bytes().to_vec()).collect();
    let bytes = file(&["TFORM1  = 'K'"], &rows, b"");
    assert_eq!(refusal(&bytes[..2880], None), "it has no table; its HDUs are 0 (no data)");
    assert_eq!(refusal(&bytes[..5000], None), "it is cut short: the header of HDU 1 has no END");
    let why = "it is cut short: the data of HDU 1 need 8000 bytes, there are 7999";
    assert_eq!(refusal(&bytes[..5760 + 7999], None), why);
    assert_eq!(rows_of(&bytes[..5760 + 8000], None), 1000, "only padding is missing");
    let why = "it is cut short: it ends in row 1000 of 1000";
    assert_eq!(refusal(&gzip(&bytes[..5760 + 7999]), None), why);
    let packed = gzip(&bytes);
    let why = refusal(&packed[..packed.len() - 9], None);
    assert_eq!(why, "it is cut short: its gzip stream ends too early");
    let mut damaged = packed;
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let why = refusal(&damaged, None);
    assert!(why.starts_with("its gzip stream is damaged"), "{why}");
    // Behind what is cut short nothing can be found.
    let bytes = [primary(), image(5000), named("stars", 2)].concat();
    let why = refusal(&bytes[..30_000], None);
    assert_eq!(why, "it is cut short: the data of HDU 1 need 60000 bytes, there are 24240");
    let why = refusal(&gzip(&bytes[..30_000]), None);
    assert_eq!(why, "it is cut short: 35760 bytes of the data of HDU 1 are missing");
    // The heap of a packed file is unpacked when it is opened.
    let lists = file(&["TFORM1  = 'PB'"], &[vec![0; 8]], &[0; 5000]);
    let why = refusal(&gzip(&lists[..5760 + 1000]), None);
    assert_eq!(why, "it is cut short: 4008 bytes of its table are missing");
}

#[test]
fn what_is_no_fits_file_or_has_no_table_is_said_to_be_that() {
    let no_fits = "it is not a FITS file: it does not begin with SIMPLE  =";
    assert_eq!(refusal(b"", None), no_fits);
    assert_eq!(refusal(b"ra,dec\n1,2\n", None), no_fits);
    assert_eq!(refusal(&gzip(b"ra,dec\n1,2\n"), None), no_fits);
    assert_eq!(refusal(&primary(), None), "it has no table; its HDUs are 0 (no data)");
    let junk = [primary(), vec![0; 4000]].concat();
    assert_eq!(
        refusal(&junk, None),
        "it has no table; its HDUs are 0 (no data)",
        "what follows the last HDU is ignored"
    );
    let images: Vec<u8> = [primary()].into_iter().chain((0..30).map(|_| image(1))).flatten().collect();
    assert!(refusal(&images, None).ends_with("19 (an image) and 11 more"));
}

#[test]
fn compression_inside_fits_is_refused() {
    let image = || table("BINTABLE", &["TFORM1  = 'PB'", "ZIMAGE  = T"], &[vec![0; 8]], b"");
    let why = "HDU 1 is an image that is compressed by tiles (ZIMAGE), not a table";
    assert_eq!(refusal(&[primary(), image()].concat(), None), why);
    assert_eq!(refusal(&[primary(), image()].concat(), Some("1")), why);
    assert_eq!(rows_of(&[primary(), image(), named("stars", 4)].concat(), None), 4);
    let packed = table("BINTABLE", &["TFORM1  = 'PB'", "ZTABLE  = T"], &[vec![0; 8]], b"");
    let why = refusal(&[primary(), packed].concat(), None);
    assert!(why.starts_with("HDU 1 is a table that is compressed by tiles (ZTABLE), which is not read"), "{why}");
}

#[test]
fn more_than_999_columns_are_read_as_stil_writes_them() {
    let wide = |cards: &[&str]| {
        let mut all: Vec<String> = (1..999).map(|n| format!("TFORM{n:<3}= 'B'")).collect();
        all.extend(["TTYPE999= 'XT_MORECOLS'", "TFORM999= '11B'", "TDIM999 = '(1,11)'"].map(str::to_owned));
        all.extend(
            ["XT_ICOL = 999", "XT_NCOL = 1002", "HIERARCH XT TFORM999 = 'I       ' / of 999"].map(str::to_owned),
        );
        all.extend(["HIERARCH XT TTYPE1000 = 'name'", "HIERARCH XT TFORM1000 = '2A'"].map(str::to_owned));
        all.extend(["HIERARCH XT TFORM1001 = 'B'", "HIERARCH XT TFORM1002 = '3I'"].map(str::to_owned));
        all.extend(["HIERARCH XT TUNIT1002 = 'mag'", "HIERARCH ESO TEL = 'x'"].map(str::to_owned));
        all.extend(cards.iter().map(|card| (*card).to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        file(&all, &[[&[7; 998][..], &[1, 2], b"ab", &[9], &[0, 1, 0, 2, 0, 3]].concat()], b"")
    };
    let (_folder, input) = local("stars.fits", &wide(&[]));
    let table = open(input, None).unwrap();
    let (batch, bad) = read(&*table, Some(&[997, 998, 999, 1000, 1001])).unwrap();
    assert_eq!((table.schema().fields().len(), bad.len()), (1002, 0));
    let shown: Vec<String> = batch.columns().iter().map(|column| array_value_to_string(column, 0).unwrap()).collect();
    assert_eq!(shown, ["7", "258", "ab", "9", "[1, 2, 3]"]);
    assert_eq!(table.schema().field(999).name(), "name");
    assert_eq!(ColumnMeta::of(table.schema().field(1001)).unit, Some("mag"));
    assert_eq!(ColumnMeta::of(table.schema().field(998)).arraysize, None, "that of the shared bytes is not its own");

    let why = "HDU 1: XT_ICOL is 5 and XT_NCOL is 1002, which does not go with TFIELDS = 999";
    assert_eq!(
        refusal(&file(&["TFIELDS = 999", "XT_ICOL = 5", "XT_NCOL = 1002", "TFORM1  = 'B'"], &[vec![0]], b""), None),
        why
    );
}

#[test]
fn bad_rows_between_good_ones_leave_batches_whole() {
    let rows: Vec<Vec<u8>> = (0..20_000).map(|i| vec![if i % 2 == 0 { b'T' } else { b'X' }]).collect();
    let (_folder, input) = local("stars.fits", &file(&["TFORM1  = 'L'"], &rows, b""));
    let table = open(input, None).unwrap();
    let mut batches = Vec::new();
    let mut take = |rows: crate::Rows| {
        batches.push((rows.batch.num_rows(), rows.bad.len(), rows.places.of(9_999), rows.bad[9_999].place));
        Ok(())
    };
    table.pieces(None).unwrap().for_each(|piece| piece.unwrap().decode(&mut take).unwrap());
    assert_eq!(batches, [(10_000, 10_000, Place::Row(19_999), Place::Row(20_000))]);
}

#[test]
fn a_packed_table_with_a_heap_is_unpacked_into_the_folder_that_is_given() {
    let bytes = gzip(&file(&["TFORM1  = 'PB'"], &[[0, 0, 0, 2, 0, 0, 0, 1_u8].to_vec()], b"xab"));
    let (folder, input) = local("stars.fits.gz", &bytes);
    let table = open(input.clone().spilling_into(folder.path()), None).unwrap();
    assert_eq!(read(&*table, None).unwrap().0.num_rows(), 1);
    let nowhere = folder.path().join("missing");
    let why = open(input.spilling_into(&nowhere), None).err().unwrap();
    assert!(why.contains(&format!("it cannot be unpacked into {}: ", nowhere.display())), "{why}");
}

#[test]
fn absurd_headers_are_refused_before_memory_is_taken() {
    let why = |cards: &[&str]| {
        let bytes = file(&[cards, &["TFORM1  = 'B'"]].concat(), &[vec![0]], b"");
        let plain = refusal(&bytes, None);
        (plain, refusal(&gzip(&bytes), None))
    };
    let both = |why: &str| (why.to_owned(), why.to_owned());
    let all = ["NAXIS1  = 9223372036854775807", "NAXIS2  = 9223372036854775807"];
    assert_eq!(why(&all), both("HDU 1: its axes make more data than can be"));
    assert_eq!(why(&["PCOUNT  = 9223372036854775807"]), both("HDU 1: its axes make more data than can be"));
    assert_eq!(why(&["NAXIS1  = -1"]), both("HDU 1: NAXIS1 is -1, which is negative"));
    assert_eq!(why(&["NAXIS2  = -1"]), both("HDU 1: NAXIS2 is -1, which is negative"));
    assert_eq!(why(&["PCOUNT  = -8"]), both("HDU 1: PCOUNT is -8, which is negative"));
    assert_eq!(why(&["NAXIS   = 1000"]), both("HDU 1: NAXIS is 1000; the standard allows 999"));
    assert_eq!(why(&["NAXIS2  = 'many'"]), both("HDU 1: NAXIS2 is 'many', where a whole number must be"));
    assert_eq!(why(&["BITPIX  = 7"]), both("HDU 1: BITPIX is 7, which the standard does not know"));
    assert_eq!(
        why(&["NAXIS   = 3", "NAXIS3  = 1"]),
        both("HDU 1: a table must have NAXIS = 2, BITPIX = 8 and GCOUNT = 1")
    );
    assert_eq!(why(&["TFIELDS = 1000"]), both("HDU 1: TFIELDS is 1000; the standard allows 999"));
    let (plain, packed) = why(&["NAXIS2  = 4611686018427387904"]);
    assert_eq!(plain, "it is cut short: the data of HDU 1 need 4611686018427387904 bytes, there are 2880");
    assert_eq!(packed, "it is cut short: it ends in row 2881 of 4611686018427387904");
    let (plain, packed) = why(&["NAXIS1  = 1000000000000"]);
    assert!(plain.starts_with("it is cut short"), "{plain}");
    assert_eq!(packed, "HDU 1: a row has 1000000000000 bytes; more than 128 MiB are not read");
}

#[test]
fn a_header_without_end_is_not_read_forever() {
    let endless: Vec<u8> = primary().into_iter().chain(*b"XTENSION= 'BINTABLE'").collect();
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&endless).unwrap();
        std::io::copy(&mut std::io::repeat(b' ').take(40 << 20), &mut encoder).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(refusal(&packed, None), "the header of HDU 1 has no END within 16 MiB");
}

#[test]
fn the_sample_equals_its_csv() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/formats/import-samples"));
    let Ok(mut csv) = File::open(folder.join("small_sky/catalog.csv")) else {
        println!("skipped: there is no {}", folder.display());
        return;
    };
    let mut text = String::new();
    csv.read_to_string(&mut text).unwrap();
    let input = Input::file(&folder.join("formats/small_sky.fits")).unwrap();
    let table = open(input, None).unwrap();
    let (batch, bad) = read(&*table, None).unwrap();
    assert_eq!((batch.num_rows(), bad.len(), table.row_count()), (131, 0, Some(131)));
    let types: Vec<&DataType> = table.schema().fields().iter().map(|field| field.data_type()).collect();
    let (long, double) = (&DataType::Int64, &DataType::Float64);
    assert_eq!(types, [long, double, double, long, long, &DataType::Utf8]);
    let lines = text.lines().skip(1);
    assert_eq!(lines.clone().count(), 131);
    for (row, line) in lines.enumerate() {
        let long = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
        let double = |column: usize| batch.column(column).as_primitive::<Float64Type>().value(row);
        let test_id = batch.column(5).as_string::<i32>().value(row);
        let written: Vec<f64> = line.split(',').map(|text| text.parse().unwrap()).collect();
        assert_eq!([long(0) as f64, double(1), double(2), long(3) as f64, long(4) as f64], *written);
        assert_eq!(test_id, format!("{}_lsdb", long(0)));
    }
}
