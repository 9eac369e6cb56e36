//! The rows of a text and their fields, found without copying.
//!
//! The grammar is RFC 4180: a field that begins with a quote ends with one, and holds delimiters, line ends and doubled
//! quotes; elsewhere a quote is a character like any other (`5"` is five arcseconds). Lines end with LF or CR LF. Empty
//! lines and lines that begin with the comment character hold no row. Where spaces separate the fields, several in a row
//! count as one, and those at the ends of a line as none.
//!
//! Nothing is guessed: text after a closing quote is a fault of its row. No value is looked at here.

use memchr::{memchr, memchr_iter, memchr2};

pub(super) const QUOTE: u8 = b'"';

/// A row of more fields is none of any table; what is beyond them is not kept.
pub(super) const MOST_FIELDS: usize = 100_000;

/// How rows and fields are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// What stands between two fields.
    pub(crate) delimiter: u8,
    /// What a line without a row begins with.
    pub(crate) comment: Option<u8>,
}

impl Dialect {
    /// Several delimiters in a row are one.
    fn collapses(self) -> bool {
        self.delimiter == b' '
    }
}

/// Where the bytes of a field stand: in the text, or, where doubled quotes had to be undone, beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// Marks the start of a span that is not in the text. A chunk is smaller than this.
const BESIDE: u32 = 1 << 31;

impl Span {
    fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(super) fn is_empty(self) -> bool {
        self.start & !BESIDE == self.end
    }
}

/// One row as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Its first byte and the one after its last, without the end of the line.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The line that it begins at.
    pub(super) line: u64,
    /// The first field (from 0) with text after its closing quote, or without one.
    flaw: Option<usize>,
}

impl Record {
    /// Why this row, with these fields, is none of a table with `width` columns. One empty field more is what a delimiter
    /// at the end of each line makes.
    pub(super) fn fault(&self, fields: &[Span], width: usize, text: &[u8], utf8: bool) -> Option<String> {
        if let Some(field) = self.flaw {
            return Some(format!("field {} does not end with its closing quote", field + 1));
        }
        let trailing = fields.len() == width + 1 && fields[width].is_empty();
        if fields.len() != width && !trailing {
            return Some(match fields.len() {
                1 => format!("it has 1 field instead of {width}"),
                many if many > MOST_FIELDS => format!("it has more than {MOST_FIELDS} fields instead of {width}"),
                many => format!("it has {many} fields instead of {width}"),
            });
        }
        if utf8 {
            return None;
        }
        let error = std::str::from_utf8(&text[self.start..self.end]).err()?;
        let byte = text[self.start + error.valid_up_to()];
        Some(format!("it is not UTF-8: byte 0x{byte:02X} at its position {}", error.valid_up_to() + 1))
    }
}

/// Reads the rows of a chunk, one after the other.
pub(super) struct Records<'c> {
    text: &'c [u8],
    dialect: Dialect,
    /// How many fields of a row are told apart.
    most: usize,
    at: usize,
    line: u64,
    /// Fields whose doubled quotes are undone.
    beside: Vec<u8>,
}

/// What a field ends with.
#[derive(PartialEq)]
enum End {
    Delimiter,
    Line,
}

impl<'c> Records<'c> {
    /// The rows of a text that begins with a row, at this line.
    pub(super) fn new(text: &'c [u8], line: u64, dialect: Dialect) -> Self {
        Self { text, dialect, most: usize::MAX, at: 0, line, beside: Vec::new() }
    }

    /// Of each row only the first fields, so many. Of the others only the end is looked for: they must be well-formed.
    pub(super) fn up_to(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'c [u8] {
        self.text
    }

    /// The bytes of a field that `next` gave since `forget`.
    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        match span.start & BESIDE {
            0 => &self.text[span.start as usize..span.end as usize],
            _ => &self.beside[(span.start & !BESIDE) as usize..span.end as usize],
        }
    }

    /// Gives up the fields that have been read.
    pub(super) fn forget(&mut self) {
        self.beside.clear();
    }

    /// The next row; `fields` becomes its fields.
    pub(super) fn next(&mut self, fields: &mut Vec<Span>) -> Option<Record> {
        fields.clear();
        self.skip_lines_without_a_row();
        if self.at == self.text.len() {
            return None;
        }
        let (start, line, mut flaw) = (self.at, self.line, None);
        loop {
            if self.dialect.collapses() {
                self.skip_delimiters();
                if !fields.is_empty() && self.skip_line_end() {
                    break;
                }
            }
            let (span, end) = if self.text.get(self.at) == Some(&QUOTE) {
                let (span, end, sound) = self.quoted();
                if !sound {
                    flaw = flaw.or(Some(fields.len()));
                }
                (span, end)
            } else {
                self.plain(self.at)
            };
            if fields.len() <= MOST_FIELDS {
                fields.push(span);
            }
            if end == End::Line {
                break;
            }
            if fields.len() == self.most {
                self.skip_rest_of_row();
                break;
            }
        }
        let row = self.text[start..self.at].strip_suffix(b"\n").unwrap_or(&self.text[start..self.at]);
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        Some(Record { start, end: start + row.len(), line, flaw })
    }

    fn skip_lines_without_a_row(&mut self) {
        while self.at < self.text.len() {
            if self.dialect.comment == Some(self.text[self.at]) {
                self.at = memchr(b'\n', &self.text[self.at..]).map_or(self.text.len(), |length| self.at + length + 1);
                self.line += 1;
                continue;
            }
            if self.dialect.collapses() {
                self.skip_delimiters();
            }
            if !self.skip_line_end() {
                return;
            }
        }
    }

    /// Goes past the fields from the one that begins here.
    fn skip_rest_of_row(&mut self) {
        let rest = &self.text[self.at..];
        let length = row_end(rest, 0, self.dialect).unwrap_or(rest.len());
        self.line += memchr_iter(b'\n', &rest[..length]).count() as u64 + 1;
        self.at = self.text.len().min(self.at + length + 1);
    }

    fn skip_delimiters(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|byte| **byte == self.dialect.delimiter).count();
    }

    /// Whether the line ended here; the next one is then gone to.
    fn skip_line_end(&mut self) -> bool {
        let length = match &self.text[self.at..] {
            [] => return true,
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => 1,
            _ => return false,
        };
        self.at += length;
        self.line += 1;
        true
    }

    /// A field without quotes, up to the delimiter or the end of the line.
    fn plain(&mut self, start: usize) -> (Span, End) {
        let rest = &self.text[self.at..];
        let length = next_of(self.dialect.delimiter, b'\n', rest);
        let end = self.at + length.unwrap_or(rest.len());
        if length.is_some_and(|length| rest[length] == self.dialect.delimiter) {
            self.at = end + 1;
            return (Span::new(start, end), End::Delimiter);
        }
        self.at = self.text.len().min(end + 1);
        self.line += 1;
        let carriage_return = end > start && self.text[end - 1] == b'\r';
        (Span::new(start, end - usize::from(carriage_return)), End::Line)
    }

    /// A field that begins with a quote, and whether it is well-formed. What is not runs on to the next delimiter.
    fn quoted(&mut self) -> (Span, End, bool) {
        let open = self.at;
        let mut stretch = open + 1;
        let mut beside = None;
        let close = loop {
            let Some(length) = memchr(QUOTE, &self.text[stretch..]) else {
                self.at = self.text.len();
                return (Span::new(open, self.at), End::Line, false);
            };
            let quote = stretch + length;
            if self.text.get(quote + 1) != Some(&QUOTE) {
                break quote;
            }
            beside.get_or_insert(self.beside.len());
            self.beside.extend_from_slice(&self.text[stretch..=quote]);
            stretch = quote + 2;
        };
        self.line += memchr_iter(b'\n', &self.text[open..close]).count() as u64;
        let span = match beside {
            None => Span::new(open + 1, close),
            Some(start) => {
                self.beside.extend_from_slice(&self.text[stretch..close]);
                Span { start: start as u32 | BESIDE, end: self.beside.len() as u32 }
            }
        };
        self.at = close + 1;
        if self.text.get(self.at) == Some(&self.dialect.delimiter) {
            self.at += 1;
            return (span, End::Delimiter, true);
        }
        if self.skip_line_end() {
            return (span, End::Line, true);
        }
        let (span, end) = self.plain(open);
        (span, end, false)
    }
}

/// How long the row is of which a field begins here, or whether the text ends within quotes.
pub(super) fn row_end(text: &[u8], start: usize, dialect: Dialect) -> Result<usize, bool> {
    let mut at = start;
    loop {
        at += memchr2(QUOTE, b'\n', &text[at..]).ok_or(false)?;
        if text[at] == b'\n' {
            return Ok(at - start);
        }
        let opens = at == start || text[at - 1] == dialect.delimiter;
        at += 1;
        if opens {
            at = past_quotes(text, at)?;
        }
    }
}

/// What comes after a field in quotes, of which the first has been passed.
fn past_quotes(text: &[u8], mut at: usize) -> Result<usize, bool> {
    loop {
        at += memchr(QUOTE, &text[at..]).ok_or(true)? + 1;
        if text.get(at) != Some(&QUOTE) {
            return Ok(at);
        }
        at += 1;
    }
}

/// The first place of one of two bytes. Fields are short: to look at eight bytes at a time is faster than a call that gets
/// ready for many.
fn next_of(one: u8, other: u8, text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const SHORT: usize = 64;
    // The lowest bit that is set is that of the first byte that is zero.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (one_each, other_each) = (u64::from(one) * ONES, u64::from(other) * ONES);
    let mut at = 0;
    while at < SHORT
        && let Some(bytes) = text[at..].first_chunk::<8>()
    {
        let word = u64::from_le_bytes(*bytes);
        let found = zeros(word ^ one_each) | zeros(word ^ other_each);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    memchr2(one, other, &text[at..]).map(|length| at + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::tests::cases;

    const COMMAS: Dialect = Dialect { delimiter: b',', comment: Some(b'#') };

    fn rows(text: &str, dialect: Dialect) -> Vec<(u64, Vec<String>)> {
        let mut records = Records::new(text.as_bytes(), 1, dialect);
        let (mut rows, mut fields) = (Vec::new(), Vec::new());
        while let Some(record) = records.next(&mut fields) {
            let texts = fields.iter().map(|span| String::from_utf8(records.bytes(*span).to_vec()).unwrap()).collect();
            rows.push((record.line, texts));
        }
        rows
    }

    fn fields(text: &str) -> Vec<Vec<String>> {
        rows(text, COMMAS).into_iter().map(|(_, fields)| fields).collect()
    }

    #[test]
    fn quotes_hold_delimiters_line_ends_and_doubled_quotes() {
        assert_eq!(
            fields("a,\"b,c\",\"d\ne\",\"f\"\"g\"\nh,\"\",,\"\"\"\"\n"),
            [vec!["a", "b,c", "d\ne", "f\"g"], vec!["h", "", "", "\""]]
        );
    }

    #[test]
    fn a_quote_within_a_field_is_a_character() {
        assert_eq!(fields("12h30m5\",-7d5'3\"\n1,2\n"), [vec!["12h30m5\"", "-7d5'3\""], vec!["1", "2"]]);
    }

    #[test]
    fn comments_and_empty_lines_hold_no_row_and_are_counted_as_lines() {
        let text = "# a, \"b\n\n1,2\r\n\r\n#\n\"x\ny\",#3\n\n4,5";
        let texts = |row: [&str; 2]| row.map(str::to_owned).to_vec();
        assert_eq!(rows(text, COMMAS), [(3, texts(["1", "2"])), (6, texts(["x\ny", "#3"])), (9, texts(["4", "5"]))]);
        let without_comments = Dialect { comment: None, ..COMMAS };
        assert_eq!(rows("#1,2\n", without_comments), [(1, texts(["#1", "2"]))]);
    }

    #[test]
    fn line_ends_are_no_part_of_a_field() {
        assert_eq!(fields("a,b\r\nc,\"d\"\r\ne,\r\n,f\r"), [["a", "b"], ["c", "d"], ["e", ""], ["", "f"]]);
        assert_eq!(fields("a,b,\nc,"), [vec!["a", "b", ""], vec!["c", ""]]);
    }

    #[test]
    fn spaces_between_fields_count_as_one_delimiter() {
        let spaces = Dialect { delimiter: b' ', comment: Some(b'#') };
        let found: Vec<_> = rows("  a b   \"c d\"  \n   \n1  \"\" 3 \r\n4 5 6", spaces);
        let texts = |row: [&str; 3]| row.map(str::to_owned).to_vec();
        assert_eq!(found, [(1, texts(["a", "b", "c d"])), (3, texts(["1", "", "3"])), (4, texts(["4", "5", "6"]))]);
    }

    #[test]
    fn text_after_a_closing_quote_is_a_fault() {
        let text = "\"a\"b,1\n\"c\" ,2\n\"d\",3\n\"e,4\n";
        let mut records = Records::new(text.as_bytes(), 1, COMMAS);
        let (mut fields, mut faults) = (Vec::new(), Vec::new());
        while let Some(record) = records.next(&mut fields) {
            faults.push(record.fault(&fields, 2, records.text(), true).is_some());
        }
        assert_eq!(faults, [true, true, false, true]);
    }

    /// What another reader makes of the text: the fields of every row.
    fn oracle(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv_core::ReaderBuilder::new().delimiter(b',').build();
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        let (mut at, mut field) = (0, Vec::new());
        loop {
            let mut buffer = [0; 64];
            let (result, read, written) = reader.read_field(&text[at..], &mut buffer);
            at += read;
            field.extend_from_slice(&buffer[..written]);
            match result {
                csv_core::ReadFieldResult::Field { record_end } => {
                    row.push(std::mem::take(&mut field));
                    if record_end {
                        rows.push(std::mem::take(&mut row));
                    }
                }
                csv_core::ReadFieldResult::End => return rows,
                _ => {}
            }
        }
    }

    proptest! {
        #![proptest_config(cases())]
        #[test]
        fn another_reader_finds_the_same_fields(text in "[a,\"\n]{0,40}") {
            let dialect = Dialect { delimiter: b',', comment: None };
            let mut records = Records::new(text.as_bytes(), 1, dialect);
            let (mut fields, mut found) = (Vec::new(), Vec::new());
            let theirs = oracle(text.as_bytes());
            while let Some(record) = records.next(&mut fields) {
                let ours: Vec<_> = fields.iter().map(|span| records.bytes(*span).to_vec()).collect();
                let row = &theirs[found.len()];
                if record.flaw.is_none() {
                    prop_assert_eq!(&ours, row);
                }
                prop_assert_eq!(ours.len(), row.len());
                found.push(ours);
            }
            prop_assert_eq!(found.len(), theirs.len());
        }
    }

    proptest! {
        #[test]
        fn the_first_of_two_bytes_is_found_wherever_it_is(text in prop::collection::vec(0_u8..=255, 0..100), one: u8, other: u8) {
            let expected = text.iter().position(|byte| *byte == one || *byte == other);
            prop_assert_eq!(next_of(one, other, &text), expected);
            let few: Vec<u8> = text.iter().map(|byte| byte & 0x81).collect();
            let expected = few.iter().position(|byte| *byte == 0x80 || *byte == 1);
            prop_assert_eq!(next_of(0x80, 1, &few), expected);
        }
    }
}
