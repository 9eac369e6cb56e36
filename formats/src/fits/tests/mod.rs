//! A small writer of FITS files, and what the tests of all kinds of them need.

mod damage;
mod files;
mod types;
mod written;

use std::io::Write;

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::concat_batches,
    datatypes::Field,
};

use crate::{BadRow, Input, Places, SourceOptions, TableSource, testing::local};

/// Cards and data, each filled up to whole blocks.
pub(super) fn hdu(cards: &[String], data: &[u8], fill: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = cards.iter().map(String::as_str).chain(["END"]).flat_map(card).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(2880), fill);
    bytes
}

fn card(text: &str) -> Vec<u8> {
    assert!(text.len() <= 80, "{text}");
    let mut card = text.as_bytes().to_vec();
    card.resize(80, b' ');
    card
}

/// The HDU with which each file begins.
pub(super) fn primary() -> Vec<u8> {
    hdu(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "EXTEND  = T"].map(str::to_owned), &[], 0)
}

/// A table. TFIELDS is the number of TFORM cards; a card that is given replaces the one that would be written.
pub(super) fn table(kind: &str, cards: &[&str], rows: &[Vec<u8>], heap: &[u8]) -> Vec<u8> {
    let width = rows.first().map_or(0, Vec::len);
    let fields = cards.iter().filter(|card| card.starts_with("TFORM")).count();
    let mut all: Vec<String> = [
        format!("XTENSION= '{kind}'"),
        "BITPIX  = 8".to_owned(),
        "NAXIS   = 2".to_owned(),
        format!("NAXIS1  = {width}"),
        format!("NAXIS2  = {}", rows.len()),
        format!("PCOUNT  = {}", heap.len()),
        "GCOUNT  = 1".to_owned(),
        format!("TFIELDS = {fields}"),
    ]
    .into_iter()
    .filter(|card| !cards.iter().any(|given| given[..8] == card[..8]))
    .collect();
    all.extend(cards.iter().map(|card| (*card).to_owned()));
    hdu(&all, &[rows.concat(), heap.to_vec()].concat(), if kind == "TABLE" { b' ' } else { 0 })
}

/// A file with one binary table.
pub(super) fn file(cards: &[&str], rows: &[Vec<u8>], heap: &[u8]) -> Vec<u8> {
    [primary(), table("BINTABLE", cards, rows, heap)].concat()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Opens the table with this number or name.
pub(super) fn open(input: Input, table: Option<&str>) -> Result<Box<dyn TableSource>, String> {
    let options = SourceOptions { table: table.map(str::to_owned), ..SourceOptions::default() };
    super::open(input, &options).map_err(|error| error.to_string())
}

/// All that can be read of a table, and the rows that cannot. Good and bad rows together are all rows.
pub(super) fn read(table: &dyn TableSource, columns: Option<&[usize]>) -> Result<(RecordBatch, Vec<BadRow>), String> {
    let schema = match columns {
        Some(columns) => std::sync::Arc::new(table.schema().project(columns).unwrap()),
        None => std::sync::Arc::clone(table.schema()),
    };
    let (mut batches, mut bad, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for piece in table.pieces(columns).map_err(|error| error.to_string())? {
        let decoded = piece.and_then(|piece| {
            piece.decode(&mut |rows| {
                assert!(!matches!(rows.places, Places::Lines(_)));
                places.extend((0..rows.batch.num_rows()).map(|index| rows.places.of(index)));
                places.extend(rows.bad.iter().map(|bad| bad.place));
                bad.extend(rows.bad);
                batches.push(rows.batch);
                Ok(())
            })
        });
        decoded.map_err(|error| error.to_string())?;
    }
    places.sort_unstable();
    let all: Vec<_> = (1..=table.row_count().unwrap()).map(crate::Place::Row).collect();
    assert!(places == all, "each row is handed on once: {places:?}");
    Ok((concat_batches(&schema, &batches).unwrap(), bad))
}

/// The field, the values and the bad rows of a table of one column, read plain and packed.
pub(super) fn column(cards: &[&str], cells: &[&[u8]], heap: &[u8]) -> (Field, ArrayRef, Vec<String>) {
    let rows: Vec<Vec<u8>> = cells.iter().map(|cell| cell.to_vec()).collect();
    let bytes = file(cards, &rows, heap);
    let read = |bytes: &[u8]| {
        let (_folder, input) = local("stars.fits", bytes);
        let table = open(input, None).unwrap();
        let (batch, bad) = read(&*table, None).unwrap();
        assert_eq!(batch.num_columns(), 1);
        let bad = bad.iter().map(|bad| format!("{} {}", bad.place, bad.reason)).collect::<Vec<_>>();
        (table.schema().field(0).clone(), ArrayRef::clone(batch.column(0)), bad)
    };
    let plain = read(&bytes);
    assert_eq!(plain, read(&gzip(&bytes)), "a packed file reads as a plain one");
    plain
}

/// Why bytes are no table that can be read, without the name of the file.
pub(super) fn refusal(bytes: &[u8], table: Option<&str>) -> String {
    let (folder, input) = local("stars.fits", bytes);
    let read = open(input, table).and_then(|table| read(&*table, None));
    let error = read.expect_err("it was read");
    let begin = format!("{}/stars.fits: ", folder.path().display());
    error.strip_prefix(&begin).unwrap_or_else(|| panic!("the file is not named: {error}")).to_owned()
}
