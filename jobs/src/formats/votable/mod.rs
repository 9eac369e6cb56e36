//! VOTable 1.4: with its rows as text (TABLEDATA), as numbers in base64 (BINARY2, and BINARY for old readers), and
//! without rows, as Parquet and FITS files carry it.
//!
//! The status goes first as `OK`, since the first row leaves before the last is known; an overflow or a failure is told
//! by a second status after the table, as DALI has it, and readers take the last.

mod base64;
mod binary;
mod document;
mod fields;
mod tabledata;

use arrow::datatypes::SchemaRef;

use super::{Ending, kind::Kind};
pub(super) use binary::Binary;
use document::{CLOSING, Document, OPENING, push_status};
use fields::FieldType;
pub(super) use tabledata::TableData;

/// The document that tells that a request failed and why.
pub fn error_document(sentence: &str) -> String {
    let mut out = OPENING.to_owned();
    push_status(&mut out, "ERROR", sentence);
    out.push_str(CLOSING);
    out
}

/// The document of an answer whose rows are elsewhere. A column that VOTable has no type for is declared as text.
pub(super) fn without_rows(schema: &SchemaRef, query: &str, ending: Ending) -> String {
    let types: Vec<_> =
        schema.fields().iter().map(|field| FieldType::text(&Kind::of(field).unwrap_or(Kind::Text))).collect();
    let document = Document::new(SchemaRef::clone(schema), query.to_owned());
    let mut out = String::new();
    document.open(&types, &mut out);
    document.close(Some(ending), &mut out);
    out
}
