//! A text cut into chunks of whole rows, which can then be read side by side.
//!
//! Cutting is the one thing that has to go through a text in order, so it does as little as it can: where a chunk has no
//! quote, its last line end is the cut; elsewhere quotes are followed by the grammar of [`super::records`]. What is held
//! is bounded: a row longer than the limit ends the reading with the line where it begins.

use std::{
    io::{ErrorKind, Read},
    ops::{Deref, Range},
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

/// Where a chunk stands in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) bytes: Range<u64>,
    /// The line that it begins at.
    pub(super) line: u64,
}

/// Memory for chunks that nobody reads any more. To use it again is a good deal cheaper than to ask for more.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

/// How many pieces of it are kept.
const SPARE: usize = 4;

impl Spare {
    /// Memory of at least so many bytes, whatever is in them.
    fn take(&self, bytes: usize) -> Vec<u8> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if memory.len() < bytes {
            memory.clear(); // nothing of it needs to be moved
            memory.resize(bytes, 0);
        }
        memory
    }

    /// A text of so many bytes, as `fill` writes them.
    pub(super) fn text<E>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Text, E> {
        let mut text = Text { bytes: self.take(length), length, spare: self.clone() };
        fill(&mut text.bytes[..length])?;
        Ok(text)
    }
}

/// The text of a chunk.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    /// How many of the bytes are the text.
    length: usize,
    spare: Spare,
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut spare = self.spare.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
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
    /// Memory for what is read.
    rest: Vec<u8>,
    /// How many of its bytes were read and are not yet given away.
    held: usize,
    spare: Spare,
    /// Where the text at hand begins.
    at: u64,
    line: u64,
    /// The chunks that were given away since the first row was asked for.
    given: Vec<Stretch>,
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
        let (rest, spare, given) = (Vec::new(), Spare::default(), Vec::new());
        Self { reader, name, dialect, limits, rest, held: 0, spare, at: 0, line: 1, given, begun: false, ended: false }
    }

    /// A chunk that ends with its first row. Lines before it that hold none are in it, or in chunks of their own if they are
    /// many.
    pub(super) fn next_row(&mut self) -> Result<Option<Chunk>, FormatError> {
        self.next_reaching(Reach::One)
    }

    /// The next chunk; none after an error.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>, FormatError> {
        let chunk = self.next_reaching(Reach::Many)?;
        let length = |chunk: &Chunk| chunk.text.len() as u64;
        self.given
            .extend(chunk.iter().map(|chunk| Stretch { bytes: self.at - length(chunk)..self.at, line: chunk.line }));
        Ok(chunk)
    }

    /// Where the chunks stand that `next_chunk` gave.
    pub(super) fn into_given(self) -> Vec<Stretch> {
        self.given
    }

    fn next_reaching(&mut self, reach: Reach) -> Result<Option<Chunk>, FormatError> {
        let found = self.cut(reach);
        if found.is_err() {
            (self.rest, self.held) = (Vec::new(), 0);
            self.ended = true;
        }
        Ok(found?.map(|end| self.give(end)))
    }

    /// Reads until there is a row, and says where the chunk ends.
    fn cut(&mut self, reach: Reach) -> Result<Option<usize>, FormatError> {
        let mut wanted = self.limits.chunk;
        loop {
            self.fill(wanted)?;
            let cut = cut(&self.rest[..self.held], self.dialect, reach);
            if self.ended && (reach == Reach::Many || cut.end == 0) && !cut.quoted {
                return Ok(Some(self.held).filter(|length| *length > 0));
            }
            if cut.end > 0 {
                return Ok(Some(cut.end));
            }
            if self.ended {
                return Err(self.bad(format!("a quote in the row that begins at line {} is never closed", self.line)));
            }
            if self.held >= self.limits.record {
                // Before the first row there may be any number of lines without one.
                let before = self::cut(&self.rest[..self.held], self.dialect, Reach::Many).end;
                if before > 0 {
                    return Ok(Some(before));
                }
                let (line, limit) = (self.line, self.limits.record >> 20);
                let why = format!("the row that begins at line {line} is longer than {limit} MiB");
                return Err(self.bad(format!("{why}: either it is no row, or a quote in it is never closed")));
            }
            wanted = self.limits.chunk.max(self.held * 2);
        }
    }

    fn give(&mut self, end: usize) -> Chunk {
        let left = self.held - end;
        let bytes = if end < left {
            let mut text = self.spare.take(end);
            text[..end].copy_from_slice(&self.rest[..end]);
            self.rest.copy_within(end..self.held, 0);
            text
        } else {
            let mut rest = self.spare.take(left.max(if self.ended { 0 } else { self.limits.chunk }));
            rest[..left].copy_from_slice(&self.rest[end..self.held]);
            std::mem::replace(&mut self.rest, rest)
        };
        let text = Text { bytes, length: end, spare: self.spare.clone() };
        let line = self.line;
        self.held = left;
        self.at += end as u64;
        self.line += memchr_iter(b'\n', &text).count() as u64;
        Chunk { text, line }
    }

    /// Reads until this many bytes are at hand, or there are no more.
    fn fill(&mut self, wanted: usize) -> Result<(), FormatError> {
        self.read(wanted)?;
        if !self.begun {
            self.begun = true;
            self.skip_byte_order_mark()?;
        }
        Ok(())
    }

    fn read(&mut self, wanted: usize) -> Result<(), FormatError> {
        if self.rest.len() < wanted {
            self.rest.resize(wanted, 0);
        }
        while !self.ended && self.held < wanted {
            match self.reader.read(&mut self.rest[self.held..wanted]) {
                Ok(read) => {
                    self.held += read;
                    self.ended = read == 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(FormatError::unreadable(&self.name, error)),
            }
        }
        Ok(())
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), FormatError> {
        self.read(3)?;
        let text = &self.rest[..self.held];
        if text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF") {
            return Err(self.bad("it is written in UTF-16; convert it to UTF-8".to_owned()));
        }
        if text.starts_with(b"\xEF\xBB\xBF") {
            self.rest.copy_within(3..self.held, 0);
            self.held -= 3;
            self.at += 3;
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
    fn chunks_stand_where_it_is_said_they_stand() {
        let text: &[u8] = b"\xEF\xBB\xBF# \"c\na,b\n1,\"2\n3\"\n\n4,5\n6,7";
        for chunk in 1..30 {
            let mut chunks = Chunks::new(text, "t.csv", DIALECT, Limits { chunk, record: 1 << 20 });
            let header = chunks.next_row().unwrap().unwrap();
            let mut found = Vec::new();
            while let Some(chunk) = chunks.next_chunk().unwrap() {
                found.push((chunk.text.to_vec(), chunk.line));
            }
            let given = chunks.into_given();
            assert_eq!(given[0].bytes.start as usize, 3 + header.text.len());
            let stretches = given
                .iter()
                .map(|Stretch { bytes, line }| (text[bytes.start as usize..bytes.end as usize].to_vec(), *line));
            assert_eq!(stretches.collect::<Vec<_>>(), found, "chunks of {chunk}");
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
