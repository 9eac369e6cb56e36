//! A text cut into chunks of whole rows, which can then be read side by side.
//!
//! Cutting is the one thing that has to go through a text in order, so it does as little as it can: where a chunk has no
//! quote, its last line end is the cut; elsewhere quotes are followed by the grammar of [`super::records`]. What is held
//! is bounded: a row longer than the limit ends the reading with the line where it begins.

use std::{
    io::Read,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use memchr::{memchr, memchr_iter, memrchr};

use super::records::{Dialect, QUOTE, row_end};
use crate::FormatError;

/// How much text is held at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// About the size of a chunk.
    pub(crate) chunk: usize,
    /// The longest row.
    pub(crate) record: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { chunk: 4 << 20, record: 64 << 20 }
    }
}

/// Rows of a text, none of them cut.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) text: Text,
    /// The line that it begins at.
    pub(super) line: u64,
}

/// Memory for chunks that nobody reads any more. To use it again is a good deal cheaper than to ask for more.
type Spare = Arc<Mutex<Vec<Vec<u8>>>>;

/// How many pieces of it are kept.
const SPARE: usize = 4;

/// The text of a chunk.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    spare: Spare,
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            self.bytes.clear();
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Cuts a text.
pub(super) struct Chunks<R> {
    reader: R,
    name: String,
    dialect: Dialect,
    limits: Limits,
    /// What was read and is not yet given away.
    rest: Vec<u8>,
    spare: Spare,
    line: u64,
    begun: bool,
    ended: bool,
}

/// How far a chunk shall go.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// To the end of its first row.
    One,
    /// As far as the text at hand goes.
    Many,
}

/// Where the whole rows of a text end.
struct Cut {
    end: usize,
    /// Whether the text ends within quotes.
    quoted: bool,
}

impl<R: Read> Chunks<R> {
    /// The name is the one that messages use.
    pub(super) fn new(reader: R, name: &str, dialect: Dialect, limits: Limits) -> Self {
        let name = name.to_owned();
        let (rest, spare) = (Vec::new(), Spare::default());
        Self { reader, name, dialect, limits, rest, spare, line: 1, begun: false, ended: false }
    }

    /// A chunk that ends with its first row. Lines before it that hold none are in it, or in chunks of their own if they are
    /// many.
    pub(super) fn next_row(&mut self) -> Result<Option<Chunk>, FormatError> {
        self.next_reaching(Reach::One)
    }

    /// The next chunk; none after an error.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>, FormatError> {
        self.next_reaching(Reach::Many)
    }

    fn next_reaching(&mut self, reach: Reach) -> Result<Option<Chunk>, FormatError> {
        let found = self.cut(reach);
        if found.is_err() {
            self.rest = Vec::new();
            self.ended = true;
        }
        Ok(found?.map(|end| self.give(end)))
    }

    /// Reads until there is a row, and says where the chunk ends.
    fn cut(&mut self, reach: Reach) -> Result<Option<usize>, FormatError> {
        let mut wanted = self.limits.chunk;
        loop {
            self.fill(wanted)?;
            let cut = cut(&self.rest, self.dialect, reach);
            if self.ended && (reach == Reach::Many || cut.end == 0) && !cut.quoted {
                return Ok(Some(self.rest.len()).filter(|length| *length > 0));
            }
            if cut.end > 0 {
                return Ok(Some(cut.end));
            }
            if self.ended {
                return Err(self.bad(format!("a quote in the row that begins at line {} is never closed", self.line)));
            }
            if self.rest.len() >= self.limits.record {
                // Before the first row there may be any number of lines without one.
                let before = self::cut(&self.rest, self.dialect, Reach::Many).end;
                if before > 0 {
                    return Ok(Some(before));
                }
                let (line, limit) = (self.line, self.limits.record >> 20);
                let why = format!("the row that begins at line {line} is longer than {limit} MiB");
                return Err(self.bad(format!("{why}: either it is no row, or a quote in it is never closed")));
            }
            wanted = self.limits.chunk.max(self.rest.len() * 2);
        }
    }

    fn give(&mut self, end: usize) -> Chunk {
        let mut text = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if end < self.rest.len() / 2 {
            text.extend_from_slice(&self.rest[..end]);
            self.rest.drain(..end);
        } else {
            text.reserve((self.rest.len() - end).max(if self.ended { 0 } else { self.limits.chunk }));
            text.extend_from_slice(&self.rest[end..]);
            self.rest.truncate(end);
            std::mem::swap(&mut text, &mut self.rest);
        }
        let line = self.line;
        self.line += memchr_iter(b'\n', &text).count() as u64;
        Chunk { text: Text { bytes: text, spare: Arc::clone(&self.spare) }, line }
    }

    /// Reads until this many bytes are at hand, or there are no more.
    fn fill(&mut self, wanted: usize) -> Result<(), FormatError> {
        while !self.ended && self.rest.len() < wanted {
            let missing = wanted - self.rest.len();
            self.rest.reserve(missing);
            let read = self.reader.by_ref().take(missing as u64).read_to_end(&mut self.rest);
            let read = read.map_err(|error| FormatError::unreadable(&self.name, error))?;
            self.ended = read < missing;
        }
        if !self.begun {
            self.begun = true;
            self.skip_byte_order_mark()?;
        }
        Ok(())
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), FormatError> {
        while !self.ended && self.rest.len() < 3 {
            let read = self.reader.by_ref().take(3).read_to_end(&mut self.rest);
            self.ended = read.map_err(|error| FormatError::unreadable(&self.name, error))? < 3;
        }
        if self.rest.starts_with(b"\xEF\xBB\xBF") {
            self.rest.drain(..3);
        }
        if self.rest.starts_with(b"\xFF\xFE") || self.rest.starts_with(b"\xFE\xFF") {
            return Err(self.bad("it is written in UTF-16; convert it to UTF-8".to_owned()));
        }
        Ok(())
    }

    fn bad(&self, why: String) -> FormatError {
        FormatError::bad(&self.name, why)
    }
}

/// Where the whole rows at the beginning of this text end: 0 if there is none.
fn cut(text: &[u8], dialect: Dialect, reach: Reach) -> Cut {
    let mut end = 0;
    if reach == Reach::Many && memchr(QUOTE, text).is_none() {
        return Cut { end: memrchr(b'\n', text).map_or(0, |at| at + 1), quoted: false };
    }
    loop {
        let holds_no_row = match &text[end..] {
            [first, ..] if dialect.comment == Some(*first) => true,
            [b'\n', ..] | [b'\r', b'\n', ..] => true,
            _ => false,
        };
        let row = if holds_no_row { memchr(b'\n', &text[end..]).ok_or(false) } else { row_end(text, end, dialect) };
        match row {
            Err(quoted) => return Cut { end: if reach == Reach::One { 0 } else { end }, quoted },
            Ok(length) => end += length + 1,
        }
        if reach == Reach::One && !holds_no_row {
            return Cut { end, quoted: false };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect { delimiter: b',', comment: Some(b'#') };

    fn cut_into(text: &[u8], chunk: usize) -> Result<Vec<(u64, String)>, FormatError> {
        let mut chunks = Chunks::new(text, "t.csv", DIALECT, Limits { chunk, record: 1 << 20 });
        let mut found = Vec::new();
        while let Some(chunk) = chunks.next_chunk()? {
            found.push((chunk.line, String::from_utf8(chunk.text.to_vec()).unwrap()));
        }
        Ok(found)
    }

    #[test]
    fn no_row_is_cut_whatever_the_size_of_a_chunk() {
        let text = "# it's \"odd\n1,\"a\nb\"\n\n2,\"c\"\"\n\"\"d\",5\"\n3,e\"\nf,\"\"\n\"\"\"\",x\nlast";
        let rows = ["# it's \"odd\n", "1,\"a\nb\"\n", "\n", "2,\"c\"\"\n\"\"d\",5\"\n", "3,e\"\n", "f,\"\"\n"];
        let mut borders = vec![0];
        for row in rows.iter().chain(&["\"\"\"\",x\n", "last"]) {
            borders.push(borders[borders.len() - 1] + row.len());
        }
        for size in 1..text.len() + 2 {
            let (mut at, mut lines) = (0, 1);
            for (line, chunk) in cut_into(text.as_bytes(), size).unwrap() {
                assert_eq!(line, lines, "chunks of {size}");
                assert_eq!(chunk, text[at..at + chunk.len()]);
                at += chunk.len();
                lines += chunk.matches('\n').count() as u64;
                assert!(borders.contains(&at), "chunks of {size} are cut at {at}");
            }
            assert_eq!(at, text.len(), "chunks of {size}");
        }
    }

    #[test]
    fn the_first_row_comes_alone_with_the_lines_before_it() {
        for size in [1, 5, 100] {
            let text: &[u8] = b"\xEF\xBB\xBF# c \"\n\n\"a\nb\",c\n1,2\n3,4";
            let mut chunks = Chunks::new(text, "t.csv", DIALECT, Limits { chunk: size, record: 1 << 20 });
            assert_eq!(*chunks.next_row().unwrap().unwrap().text, *b"# c \"\n\n\"a\nb\",c\n");
            let rest = chunks.next_row().unwrap().unwrap();
            assert_eq!((&*rest.text, rest.line), (&b"1,2\n"[..], 5));
            assert_eq!(*chunks.next_row().unwrap().unwrap().text, *b"3,4");
            assert!(chunks.next_row().unwrap().is_none());
        }
    }

    #[test]
    fn more_comments_than_fit_at_once_may_stand_before_the_first_row() {
        let text = "# no row \"\n".repeat(300_000) + "a,b\n1,2\n";
        let mut chunks = Chunks::new(text.as_bytes(), "t.csv", DIALECT, Limits { chunk: 1 << 10, record: 1 << 20 });
        let mut last = None;
        while let Some(chunk) = chunks.next_row().unwrap() {
            last = Some((chunk.line, chunk.text.to_vec()));
        }
        assert_eq!(last, Some((300_002, b"1,2\n".to_vec())));
    }

    #[test]
    fn a_quote_that_is_never_closed_names_its_line() {
        for size in [1, 7, 100] {
            let error = cut_into(b"a,b\n1,\"x\ny\"\n2,\"open\n3,4\n", size).unwrap_err().to_string();
            assert_eq!(error, "t.csv: a quote in the row that begins at line 4 is never closed");
        }
    }

    #[test]
    fn a_row_without_end_is_refused_before_it_fills_the_memory() {
        for endless in [&b"x"[..], b"\"\n"] {
            let text = b"a\n1\n".chain(endless.chain(std::io::repeat(b'y')));
            let mut chunks = Chunks::new(text, "t.csv", DIALECT, Limits { chunk: 1 << 16, record: 1 << 20 });
            let error = loop {
                match chunks.next_chunk() {
                    Ok(chunk) => assert!(chunk.is_some()),
                    Err(error) => break error.to_string(),
                }
            };
            assert!(error.starts_with("t.csv: the row that begins at line 3 is longer than 1 MiB"), "{error}");
            assert!(chunks.next_chunk().unwrap().is_none(), "nothing follows an error");
        }
    }

    #[test]
    fn utf16_is_named_as_such() {
        let error = cut_into(b"\xFF\xFEa\0,\0", 1).unwrap_err().to_string();
        assert_eq!(error, "t.csv: it is written in UTF-16; convert it to UTF-8");
        assert!(cut_into(b"", 10).unwrap().is_empty());
        assert!(cut_into(b"\xEF\xBB\xBF", 1).unwrap().is_empty());
    }
}
