//! Rows written as XML: `<TR><TD>1</TD><TD>Vega</TD></TR>`.
//!
//! One thread reads the file and only looks for where rows end ([`Chunks`]); what it cuts is decoded on any other
//! ([`decode`]). Both find markup by the same function, so that they cannot disagree about what is a tag and what merely
//! looks like one in a comment or a CDATA section. Tags must match here as anywhere in XML; that is the file's fault, not
//! a row's.

use std::{
    borrow::Cow,
    io::{Cursor, Read},
    sync::Arc,
};

use memchr::{memchr, memchr3, memmem};
use quick_xml::escape::{resolve_xml_entity, unescape_with};

use super::{
    kinds::CELL_LIMIT,
    rows::{Gather, Plan},
    values::Reason,
    xml::{Bytes, Left, Xml, read_failed},
};
use crate::{FormatError, source::Take};

/// About how many bytes a piece has.
const CHUNK: usize = 4 << 20;
/// How much is read at once.
const READ: u64 = 512 << 10;

/// What begins at a `<`.
#[derive(Debug, PartialEq, Eq)]
enum Markup<'a> {
    Open {
        name: &'a [u8],
        empty: bool,
        attributes: &'a [u8],
    },
    Close(&'a [u8]),
    Cdata(&'a [u8]),
    /// A comment or a processing instruction.
    Silent,
}

/// The markup that begins with the first of these bytes, and its length; `None` when its end is not among them.
fn markup(bytes: &[u8]) -> Result<Option<(Markup<'_>, usize)>, Reason> {
    let until = |from: usize, end: &[u8]| {
        let found = bytes.get(from..).and_then(|rest| memmem::find(rest, end));
        found.map(|length| (&bytes[from..from + length], from + length + end.len()))
    };
    match bytes.get(1) {
        None => Ok(None),
        Some(b'/') => Ok(until(2, b">").map(|(name, length)| (Markup::Close(name.trim_ascii_end()), length))),
        Some(b'?') => Ok(until(2, b"?>").map(|(_, length)| (Markup::Silent, length))),
        Some(b'!') if bytes.starts_with(b"<!--") => Ok(until(4, b"-->").map(|(_, length)| (Markup::Silent, length))),
        Some(b'!') if bytes.starts_with(b"<![CDATA[") => {
            Ok(until(9, b"]]>").map(|(text, length)| (Markup::Cdata(text), length)))
        }
        Some(b'!') if b"<!--".starts_with(bytes) || b"<![CDATA[".starts_with(bytes) => Ok(None),
        Some(b'!') => Err("there is a declaration among the rows".to_owned()),
        Some(_) => {
            let Some(end) = tag_end(bytes) else { return Ok(None) };
            let content = &bytes[1..end];
            let (content, empty) = content.strip_suffix(b"/").map_or((content, false), |content| (content, true));
            let length = content.iter().position(u8::is_ascii_whitespace).unwrap_or(content.len());
            let (name, attributes) = content.split_at(length);
            if name.is_empty() {
                return Err("there is a tag without a name among the rows".to_owned());
            }
            Ok(Some((Markup::Open { name, empty, attributes }, end + 1)))
        }
    }
}

/// Where the `>` of a tag is: one that is in no attribute's value.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr3(b'>', b'"', b'\'', bytes.get(at..)?)?;
        match bytes[at] {
            b'>' => return Some(at),
            quote => at += memchr(quote, &bytes[at + 1..])? + 2,
        }
    }
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    memchr(b':', name).map_or(name, |colon| &name[colon + 1..])
}

/// Whole rows, as they are written.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    first: u64,
}

/// The rows of a table, cut into chunks as they are read.
pub(super) struct Chunks {
    name: Arc<str>,
    bytes: Bytes,
    buffer: Vec<u8>,
    /// How much of the buffer has been looked through.
    scanned: usize,
    /// Where the last whole row in the buffer ends.
    cut: usize,
    /// How many whole rows are in the buffer.
    rows: u64,
    /// The number of the first row in the buffer.
    first: u64,
    left: Option<Left>,
    ended: bool,
}

impl Chunks {
    /// The rows that a document goes on with.
    pub(super) fn new(xml: Xml) -> Self {
        let name = Arc::clone(xml.name());
        let (bytes, left) = xml.leave();
        Self { name, bytes, buffer: Vec::new(), scanned: 0, cut: 0, rows: 0, first: 1, left: Some(left), ended: false }
    }

    /// The next rows; `None` when there are no more.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, FormatError> {
        while !self.ended {
            if self.scan()? {
                return Ok(Some(self.cut_at(self.cut)));
            }
            if self.ended {
                let last = self.scanned;
                if self.rows > 0 || !self.buffer[..last].trim_ascii().is_empty() {
                    return Ok(Some(self.cut_at(last)));
                }
            } else {
                self.read()?;
            }
        }
        Ok(None)
    }

    /// The document behind the rows, once there are no more.
    pub(super) fn rest(&mut self) -> Xml {
        let buffered = Cursor::new(std::mem::take(&mut self.buffer));
        let bytes = std::mem::replace(&mut self.bytes, Box::new(std::io::empty()));
        let left = self.left.take().unwrap_or_default();
        Xml::resume(Arc::clone(&self.name), Box::new(buffered.chain(bytes)), left)
    }

    /// Looks through the buffer, until there are rows enough for a chunk or the rows have ended.
    fn scan(&mut self) -> Result<bool, FormatError> {
        while let Some(found) = memchr(b'<', &self.buffer[self.scanned..]) {
            let at = self.scanned + found;
            let (markup, length) = match markup(&self.buffer[at..]) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.scanned = at;
                    return Ok(false);
                }
                Err(why) => return Err(self.bad(why)),
            };
            let end = at + length;
            match markup {
                Markup::Close(name) if local(name) == b"TABLEDATA" => {
                    self.scanned = at;
                    self.ended = true;
                    return Ok(false);
                }
                Markup::Close(name) if local(name) == b"TR" => self.cut = end,
                Markup::Open { name, empty: true, .. } if local(name) == b"TR" => self.cut = end,
                _ => {}
            }
            self.scanned = end;
            if self.cut == end {
                self.rows += 1;
                if self.cut >= CHUNK {
                    return Ok(true);
                }
            }
        }
        self.scanned = self.buffer.len();
        Ok(false)
    }

    fn read(&mut self) -> Result<(), FormatError> {
        if self.buffer.len() - self.cut > CELL_LIMIT {
            return Err(self.bad("it is longer than 64 MiB"));
        }
        let more = self.bytes.by_ref().take(READ).read_to_end(&mut self.buffer);
        match more.map_err(|error| read_failed(&self.name, &error))? {
            0 => Err(FormatError::bad(
                &self.name,
                format!("the file is cut short: it ends after {} whole rows", self.first - 1 + self.rows),
            )),
            _ => Ok(()),
        }
    }

    fn cut_at(&mut self, end: usize) -> Chunk {
        let rest = self.buffer.split_off(end);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let first = self.first;
        self.first += self.rows;
        self.rows = 0;
        self.scanned = 0;
        self.cut = 0;
        Chunk { bytes, first }
    }

    /// The row that is being looked through is at fault, or what stands before it.
    fn bad(&self, why: impl std::fmt::Display) -> FormatError {
        FormatError::bad(&self.name, format!("row {}: {why}", self.first + self.rows))
    }
}

/// Decodes rows.
pub(super) fn decode(chunk: &Chunk, plan: &Plan, take: &mut Take<'_>) -> Result<(), FormatError> {
    let text = std::str::from_utf8(&chunk.bytes).map_err(|error| {
        let before = &chunk.bytes[..error.valid_up_to()];
        let row = chunk.first + memmem::find_iter(before, b"</TR").count() as u64;
        let byte = chunk.bytes[error.valid_up_to()];
        FormatError::bad(
            &plan.name,
            format!("row {row}: the byte 0x{byte:02x} is not UTF-8, in which the file says to be"),
        )
    })?;
    let mut gather = Gather::new(plan, chunk.first);
    let mut walk = Walk { text, at: 0, scratch: String::new() };
    loop {
        let more = walk.row(&mut gather, take);
        match more.map_err(|trouble| trouble.told(plan, gather.row()))? {
            true => {}
            false => return gather.flush(take),
        }
    }
}

/// What ends the decoding of a chunk.
enum Trouble {
    /// The markup is wrong.
    Markup(Reason),
    /// Whoever takes the rows wants no more.
    Told(FormatError),
}

impl Trouble {
    fn told(self, plan: &Plan, row: u64) -> FormatError {
        match self {
            Self::Markup(why) => FormatError::bad(&plan.name, format!("row {row}: {why}")),
            Self::Told(error) => error,
        }
    }
}

impl From<Reason> for Trouble {
    fn from(why: Reason) -> Self {
        Self::Markup(why)
    }
}

impl From<FormatError> for Trouble {
    fn from(error: FormatError) -> Self {
        Self::Told(error)
    }
}

/// A walk through the text of a chunk.
struct Walk<'t> {
    text: &'t str,
    at: usize,
    /// A cell that is not written in one piece.
    scratch: String,
}

impl<'t> Walk<'t> {
    /// Decodes a row; `false` when there is none.
    fn row(&mut self, gather: &mut Gather<'_>, take: &mut Take<'_>) -> Result<bool, Trouble> {
        let Some((begin, tag)) = self.tag()? else { return Ok(false) };
        let (name, empty) = match tag {
            Markup::Open { name, empty, .. } if local(name) == b"TR" => (name, empty),
            other => return Err(Trouble::Markup(format!("{} stands where a TR should", describe(&other)))),
        };
        let (found, mut outcome) = if empty { (0, Ok(())) } else { self.cells(name, gather)? };
        if found != gather.width() {
            outcome = Err(format!("it has {found} cells, the table has {} columns", gather.width()));
        }
        let written = &self.text[begin..self.at];
        gather.end_row(outcome, || Some(written.to_owned()), take)?;
        Ok(true)
    }

    /// Decodes the cells of a row whose tag, of this name, has just begun, and tells how many there are, and whether those
    /// that have a column can be read.
    fn cells(&mut self, row: &[u8], gather: &mut Gather<'_>) -> Result<(usize, Result<(), Reason>), Reason> {
        let mut found = 0;
        let mut outcome = Ok(());
        loop {
            let (_, tag) = self.tag()?.ok_or("the TR is not closed")?;
            match tag {
                Markup::Open { name, empty, attributes } if local(name) == b"TD" => {
                    if memmem::find(attributes, b"encoding").is_some() {
                        return Err("a TD with an encoding of its own cannot be read".to_owned());
                    }
                    let cell = if empty { "" } else { self.cell(name)? };
                    if outcome.is_ok() && found < gather.width() {
                        outcome = gather.cell(found, |cells| cells.push_text(cell));
                    }
                    found += 1;
                }
                Markup::Close(close) if close == row => return Ok((found, outcome)),
                other => return Err(format!("{} stands where a TD should", describe(&other))),
            }
        }
    }

    /// The next tag, and where it begins; only white space, comments and the like may come before it.
    fn tag(&mut self) -> Result<Option<(usize, Markup<'t>)>, Reason> {
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let blank = rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len());
            self.at += blank;
            match rest.get(blank) {
                None => return Ok(None),
                Some(b'<') => {}
                Some(_) => return Err("there is text outside the cells".to_owned()),
            }
            let begin = self.at;
            match self.markup()? {
                Markup::Silent => {}
                other => return Ok(Some((begin, other))),
            }
        }
    }

    /// The markup that begins here.
    fn markup(&mut self) -> Result<Markup<'t>, Reason> {
        let text = self.text;
        match markup(&text.as_bytes()[self.at..])? {
            Some((markup, length)) => {
                self.at += length;
                Ok(markup)
            }
            None => Err("a tag is not closed".to_owned()),
        }
    }

    /// The content of a cell whose tag, of this name, has just begun.
    fn cell(&mut self, name: &[u8]) -> Result<&str, Reason> {
        let begin = self.at;
        let text = self.text;
        let bytes = text.as_bytes();
        // Nearly every cell is text up to its end tag. What needs more care has a reference, a line end or markup in it.
        if let Some(length) = memchr3(b'<', b'&', b'\r', &bytes[begin..]) {
            let end = begin + length;
            if bytes[end..].starts_with(b"</") {
                self.at = end;
                self.close(name)?;
                return Ok(&text[begin..end]);
            }
        }
        self.scratch.clear();
        loop {
            let length = memchr(b'<', &bytes[self.at..]).ok_or("a TD is not closed")?;
            // Before references are resolved: a carriage return that is written as one stays.
            let raw = unix_lines(&text[self.at..self.at + length]);
            let resolved = unescape_with(&raw, resolve_xml_entity);
            self.scratch.push_str(&resolved.map_err(|error| format!("this is not well-formed XML: {error}"))?);
            self.at += length;
            let begin = self.at;
            match self.markup()? {
                Markup::Close(_) => {
                    self.at = begin;
                    self.close(name)?;
                    return Ok(&self.scratch);
                }
                Markup::Cdata(text) => self.scratch.push_str(&unix_lines(&String::from_utf8_lossy(text))),
                Markup::Silent => {}
                other => return Err(format!("{} stands within a TD", describe(&other))),
            }
        }
    }

    /// Passes the end tag of this name, which must be here.
    fn close(&mut self, name: &[u8]) -> Result<(), Reason> {
        match self.markup()? {
            Markup::Close(found) if found == name => Ok(()),
            other => Err(format!("{} stands where </{}> should", describe(&other), String::from_utf8_lossy(name))),
        }
    }
}

/// Text with the line ends that XML prescribes.
fn unix_lines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

fn describe(markup: &Markup<'_>) -> String {
    match markup {
        Markup::Open { name, .. } => format!("<{}>", String::from_utf8_lossy(name)),
        Markup::Close(name) => format!("</{}>", String::from_utf8_lossy(name)),
        Markup::Cdata(_) => "a CDATA section".to_owned(),
        Markup::Silent => "a comment".to_owned(),
    }
}
