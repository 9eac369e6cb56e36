//! Headers of FITS: cards of 80 characters, 36 of them in a block.

use arrow::datatypes::{Field, SchemaRef};
use catalogs::ColumnMeta;

use super::{columns::Settled, text::escaped};

pub(super) const BLOCK: usize = 2_880;
const CARD: usize = 80;
/// What a string may have on one card, and with an ampersand to tell that it goes on.
const STRING: usize = 68;

/// A header that is written.
#[derive(Default)]
struct Header {
    cards: Vec<u8>,
}

impl Header {
    fn card(&mut self, text: &str) {
        debug_assert!(text.len() <= CARD && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        self.cards.extend_from_slice(text.as_bytes());
        let length = self.cards.len().next_multiple_of(CARD);
        self.cards.resize(length, b' ');
    }

    fn logical(&mut self, keyword: &str, value: bool, comment: &str) {
        self.card(&format!("{keyword:<8}= {:>20} / {comment}", if value { "T" } else { "F" }));
    }

    fn integer(&mut self, keyword: &str, value: impl std::fmt::Display, comment: &str) {
        self.card(&format!("{keyword:<8}= {value:>20} / {comment}"));
    }

    /// A string, on as many cards as it needs. What FITS cannot hold is spelled out.
    fn string(&mut self, keyword: &str, value: &str) {
        let mut rest = escaped(value);
        let mut head = format!("{keyword:<8}= ");
        loop {
            // A quote is doubled, and no pair of them is torn apart.
            let (mut end, mut length) = (0, 0);
            for c in rest.chars() {
                let more = if c == '\'' { 2 } else { 1 };
                if length + more > STRING - 1 {
                    break;
                }
                (end, length) = (end + 1, length + more);
            }
            let part = rest[..end].replace('\'', "''");
            let goes_on = end < rest.len();
            self.card(&format!("{head}'{part:<8}{}'", if goes_on { "&" } else { "" }));
            if !goes_on {
                return;
            }
            rest.drain(..end);
            head = "CONTINUE  ".to_owned();
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.card("END");
        let length = self.cards.len().next_multiple_of(BLOCK);
        self.cards.resize(length, b' ');
        self.cards
    }
}

/// The first HDU, which holds the VOTable of the columns, in the form `fits-plus`.
pub(super) fn primary(votable: &str) -> Vec<u8> {
    let mut header = Header::default();
    header.logical("SIMPLE", true, "standard FITS");
    header.integer("BITPIX", 8, "the data are bytes");
    header.integer("NAXIS", 1, "in one row:");
    header.integer("NAXIS1", votable.len(), "a VOTable without rows");
    header.logical("VOTMETA", true, "it describes the table that follows");
    header.logical("EXTEND", true, "a table follows");
    let mut bytes = header.end();
    bytes.extend_from_slice(votable.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// How large the table is.
pub(super) struct Size {
    pub(super) row: usize,
    pub(super) rows: u64,
    pub(super) heap: u64,
    pub(super) overflow: bool,
}

/// The header of the table.
pub(super) fn table(schema: &SchemaRef, columns: &[Settled], size: &Size) -> Vec<u8> {
    let mut header = Header::default();
    header.string("XTENSION", "BINTABLE");
    header.integer("BITPIX", 8, "bytes");
    header.integer("NAXIS", 2, "in rows");
    header.integer("NAXIS1", size.row, "bytes of a row");
    header.integer("NAXIS2", size.rows, "rows");
    header.integer("PCOUNT", size.heap, "bytes of the heap");
    header.integer("GCOUNT", 1, "one table");
    header.integer("TFIELDS", columns.len(), "columns");
    header.string("EXTNAME", "ANSWER");
    header.logical("OVERFLOW", size.overflow, "T if rows are missing: it was cut");
    header.string("LONGSTRN", "OGIP 1.0");
    for (number, (field, column)) in (1..).zip(schema.fields().iter().zip(columns)) {
        describe(&mut header, number, field, column);
    }
    header.end()
}

fn describe(header: &mut Header, number: usize, field: &Field, column: &Settled) {
    let meta = ColumnMeta::of(field);
    header.string(&format!("TTYPE{number}"), field.name());
    header.string(&format!("TFORM{number}"), &column.form);
    if let Some(dimensions) = &column.dimensions {
        header.string(&format!("TDIM{number}"), dimensions);
    }
    if let Some(null) = column.null {
        header.integer(&format!("TNULL{number}"), null, "means NULL");
    }
    if column.is_flipped() {
        header.integer(&format!("TSCAL{number}"), 1, "unsigned");
        header.integer(&format!("TZERO{number}"), 1_u64 << 63, "unsigned");
    }
    for (keyword, value) in [
        ("TUNIT", meta.unit),
        ("TUCD", meta.ucd),
        ("TUTYP", meta.utype),
        ("TXTYP", column.xtype.or(meta.xtype)),
        ("TCOMM", meta.description),
    ] {
        if let Some(value) = value {
            header.string(&format!("{keyword}{number}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(header: Header) -> Vec<String> {
        let bytes = header.end();
        assert_eq!(bytes.len() % BLOCK, 0);
        let cards = bytes.chunks(CARD).map(|card| String::from_utf8(card.to_vec()).unwrap().trim_end().to_owned());
        cards.filter(|card| !card.is_empty()).collect()
    }

    #[test]
    fn a_long_string_goes_on_and_no_quote_is_torn_from_its_double() {
        let mut header = Header::default();
        header.string("TTYPE1", "it's");
        header.string("TCOMM1", &"'".repeat(40));
        header.string("TUNIT1", "");
        header.string("TCOMM2", "é\n");
        assert_eq!(
            cards(header),
            [
                "TTYPE1  = 'it''s   '".to_owned(),
                format!("TCOMM1  = '{}&'", "''".repeat(33)),
                format!("CONTINUE  '{}'", "''".repeat(7)),
                "TUNIT1  = '        '".to_owned(),
                "TCOMM2  = '\\u00e9\\n'".to_owned(),
                "END".to_owned(),
            ]
        );
    }

    #[test]
    fn a_string_of_any_length_fits_its_cards() {
        for length in 0..300 {
            let mut header = Header::default();
            header.string("KEY", &"x'".repeat(length)[..length]);
            assert!(cards(header).iter().all(|card| card.len() <= CARD), "{length}");
        }
    }
}
