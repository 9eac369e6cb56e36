//! The way through a file: header, data, header, data, each padded to whole blocks, up to the table that is wanted.
//!
//! A plain file is read only where headers are. A packed one must be unpacked up to the table, once for this walk.

use std::io::{self, Read};

use crate::{
    FormatError, Input,
    fits::header::{BLOCK, Header},
};

/// How large a header may be. The largest that the standard allows describes 999 columns in some 10,000 cards.
const HEADER_LIMIT: u64 = 16 << 20;
/// How much is read at once of a header.
const HEADER_READ: u64 = 10 * BLOCK as u64;
/// How large a VOTable in front of a table may be; it holds no rows.
const VOTABLE_LIMIT: u64 = 64 << 20;

/// What kind of HDU it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    BinaryTable,
    AsciiTable,
    Other,
}

/// A header and where its data is.
#[derive(Debug)]
pub(super) struct Hdu {
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) header: Header,
    /// Where its data begin, in the (unpacked) file.
    pub(super) start: u64,
    /// How many bytes its data take, without padding.
    pub(super) size: u64,
}

impl Hdu {
    fn new(number: usize, header: Header, start: u64) -> Result<Self, String> {
        let kind = match header.text("XTENSION").map(str::trim) {
            None | Some("IMAGE" | "IUEIMAGE") => Kind::Image,
            Some("BINTABLE" | "A3DTABLE") => Kind::BinaryTable,
            Some("TABLE") => Kind::AsciiTable,
            Some(_) => Kind::Other,
        };
        let size = data_size(&header)?;
        Ok(Self { number, kind, header, start, size })
    }

    fn is_table(&self) -> bool {
        matches!(self.kind, Kind::BinaryTable | Kind::AsciiTable)
    }

    /// The name that its writer gave it.
    pub(super) fn name(&self) -> Option<&str> {
        self.header.text("EXTNAME").map(str::trim).filter(|name| !name.is_empty())
    }

    /// Whether somebody who says this means this HDU: its number, or its name in any case.
    fn is_called(&self, wanted: &str) -> bool {
        let wanted = wanted.trim();
        wanted.parse() == Ok(self.number) || self.name().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    }

    /// Why its rows cannot be read, where they are hidden in a compressed image or table.
    fn hidden(&self) -> Option<&'static str> {
        if self.header.is_true("ZIMAGE") {
            Some("an image that is compressed by tiles (ZIMAGE), not a table")
        } else if self.header.is_true("ZTABLE") {
            Some("a table that is compressed by tiles (ZTABLE), which is not read; unpack it first, with funpack")
        } else {
            None
        }
    }

    fn describe(&self) -> String {
        let kind = match self.kind {
            _ if self.size == 0 && !self.is_table() => "no data",
            Kind::Image => "an image",
            Kind::BinaryTable if self.header.is_true("ZIMAGE") => "a compressed image",
            Kind::BinaryTable | Kind::AsciiTable => "a table",
            Kind::Other => "of an unknown kind",
        };
        match self.name() {
            Some(name) => format!("{} '{name}' ({kind})", self.number),
            None => format!("{} ({kind})", self.number),
        }
    }
}

/// |BITPIX| / 8 × GCOUNT × (PCOUNT + NAXIS1 × NAXIS2 × …)
fn data_size(header: &Header) -> Result<u64, String> {
    let axes = header.count("NAXIS")?;
    if axes > 999 {
        return Err(format!("NAXIS is {axes}; the standard allows 999"));
    }
    let bits = header.integer("BITPIX")?.ok_or("BITPIX is missing")?;
    if ![8, 16, 32, 64, -32, -64].contains(&bits) {
        return Err(format!("BITPIX is {bits}, which the standard does not know"));
    }
    if axes == 0 {
        return Ok(0);
    }
    // Random groups: the first axis is 0 and does not count.
    let grouped = header.is_true("GROUPS") && header.count("NAXIS1")? == 0;
    let mut values: u64 = 1;
    for axis in if grouped { 2 } else { 1 }..=axes {
        values = checked(values.checked_mul(header.count(&format!("NAXIS{axis}"))?))?;
    }
    let either = |keyword: &str, otherwise| match header.integer(keyword)? {
        Some(_) => header.count(keyword),
        None => Ok(otherwise),
    };
    let values = checked(values.checked_add(either("PCOUNT", 0)?))?;
    let values = checked(values.checked_mul(either("GCOUNT", 1)?))?;
    checked(values.checked_mul(bits.unsigned_abs() / 8))
}

fn checked(number: Option<u64>) -> Result<u64, String> {
    number.filter(|number| *number <= i64::MAX as u64).ok_or_else(|| "its axes make more data than can be".to_owned())
}

/// A walk over the HDUs of a file.
pub(super) struct Walk<'a> {
    input: &'a Input,
    /// The unpacked file, if it is packed.
    stream: Option<Box<dyn Read + Send>>,
    /// How far the file has been read, unpacked.
    at: u64,
    /// Where the data of the last HDU end, without and with padding.
    end: u64,
    next: u64,
    number: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(input: &'a Input) -> Result<Self, FormatError> {
        let head = input.read_at(0, input.size().min(9) as usize)?;
        let stream = if *head == *b"SIMPLE  =" { None } else { Some(input.text()?) };
        Ok(Self { input, stream, at: 0, end: 0, next: 0, number: 0 })
    }

    /// The unpacked file, which has been read up to the data of the last HDU; `None` if the file is not packed.
    pub(super) fn into_stream(self) -> Option<Box<dyn Read + Send>> {
        self.stream
    }

    /// The next HDU, if there is one. What follows the last one and is none is passed over, as the standard wants it.
    fn step(&mut self) -> Result<Option<Hdu>, FormatError> {
        self.skip()?;
        let mut header = Header::default();
        let begin = self.at;
        let starts_with: &[u8] = if self.number == 0 { b"SIMPLE  =" } else { b"XTENSION=" };
        loop {
            let blocks = self.blocks()?;
            if self.at == begin + blocks.len() as u64 && !blocks.starts_with(starts_with) {
                return match self.number {
                    0 => Err(self.input.bad("it is not a FITS file: it does not begin with SIMPLE  =")),
                    _ => Ok(None),
                };
            }
            let after = self.at;
            for (index, block) in blocks.chunks(BLOCK).enumerate() {
                if block.len() < BLOCK {
                    break;
                }
                if header.add_block(block) {
                    let start = after - blocks.len() as u64 + (index as u64 + 1) * BLOCK as u64;
                    return self.found(header, start).map(Some);
                }
            }
            if blocks.len() % BLOCK != 0 || blocks.is_empty() {
                let number = self.number;
                return Err(self.input.bad(format_args!("it is cut short: the header of HDU {number} has no END")));
            }
            if self.at - begin > HEADER_LIMIT {
                let (number, limit) = (self.number, HEADER_LIMIT >> 20);
                return Err(self.input.bad(format_args!("the header of HDU {number} has no END within {limit} MiB")));
            }
        }
    }

    fn found(&mut self, header: Header, start: u64) -> Result<Hdu, FormatError> {
        let number = self.number;
        let hdu = Hdu::new(number, header, start).map_err(|why| self.input.bad(format_args!("HDU {number}: {why}")))?;
        self.number += 1;
        self.end = start + hdu.size;
        self.next = start + hdu.size.next_multiple_of(BLOCK as u64);
        if self.stream.is_none() {
            self.at = start;
            let there = self.input.size() - start;
            if hdu.size > there {
                let needs = hdu.size;
                let why =
                    format_args!("it is cut short: the data of HDU {number} need {needs} bytes, there are {there}");
                return Err(self.input.bad(why));
            }
        }
        Ok(hdu)
    }

    /// The next blocks of a header, fewer at the end of the file; only one of a stream, which cannot go back.
    fn blocks(&mut self) -> Result<Vec<u8>, FormatError> {
        let blocks = match &mut self.stream {
            Some(stream) => {
                let mut block = Vec::with_capacity(BLOCK);
                let read = stream.take(BLOCK as u64).read_to_end(&mut block);
                read.map_err(|error| self.input.unreadable(error))?;
                block
            }
            None => {
                let left = self.input.size().saturating_sub(self.at);
                self.input.read_at(self.at, left.min(HEADER_READ) as usize)?.to_vec()
            }
        };
        self.at += blocks.len() as u64;
        Ok(blocks)
    }

    /// Passes over data.
    fn skip(&mut self) -> Result<(), FormatError> {
        if let Some(stream) = &mut self.stream {
            let skipped = io::copy(&mut stream.take(self.next - self.at), &mut io::sink());
            let skipped = skipped.map_err(|error| self.input.unreadable(error))?;
            // The last HDU of a file may lack its padding.
            if self.at + skipped < self.end {
                let (number, missing) = (self.number - 1, self.end - self.at - skipped);
                let why = format_args!("it is cut short: {missing} bytes of the data of HDU {number} are missing");
                return Err(self.input.bad(why));
            }
        }
        self.at = self.next;
        Ok(())
    }

    /// The VOTable that a file of the form `fits-plus` holds in its first HDU.
    fn votable(&mut self, primary: &Hdu) -> Result<Option<Vec<u8>>, FormatError> {
        if !primary.header.is_true("VOTMETA") {
            return Ok(None);
        }
        if primary.size > VOTABLE_LIMIT {
            let limit = VOTABLE_LIMIT >> 20;
            return Err(self.input.bad(format_args!("the VOTable in its first HDU has more than {limit} MiB")));
        }
        let bytes = match &mut self.stream {
            Some(stream) => {
                let mut bytes = Vec::new();
                let read = stream.take(primary.size).read_to_end(&mut bytes);
                read.map_err(|error| self.input.unreadable(error))?;
                bytes
            }
            None => self.input.read_at(primary.start, primary.size as usize)?.to_vec(),
        };
        if (bytes.len() as u64) < primary.size {
            let (needs, there) = (primary.size, bytes.len());
            let why = format_args!("it is cut short: the data of HDU 0 need {needs} bytes, there are {there}");
            return Err(self.input.bad(why));
        }
        self.at = primary.start + primary.size;
        Ok(Some(bytes))
    }
}

/// The table that was found.
pub(super) struct Found {
    pub(super) hdu: Hdu,
    /// The VOTable that describes it, of a file of the form `fits-plus`.
    pub(super) votable: Option<Vec<u8>>,
}

/// The HDU that is wanted, by number or name, or the first table that has rows. The walk stands at its data.
pub(super) fn find(walk: &mut Walk<'_>, wanted: Option<&str>) -> Result<Found, FormatError> {
    let input = walk.input;
    let mut seen = Vec::new();
    let mut votable = None;
    let (mut empty, mut hidden) = (None, None);
    while let Some(hdu) = walk.step()? {
        if hdu.number == 0 {
            votable = walk.votable(&hdu)?;
        }
        seen.push(hdu.describe());
        match wanted {
            Some(wanted) if !hdu.is_called(wanted) => {}
            Some(_) if !hdu.is_table() => return Err(input.bad(format_args!("HDU {} is no table", seen[hdu.number]))),
            Some(_) => match hdu.hidden() {
                Some(what) => return Err(input.bad(format_args!("HDU {} is {what}", hdu.number))),
                None => return Ok(described(hdu, votable)),
            },
            None if !hdu.is_table() => {}
            None => match hdu.hidden() {
                Some(what) => hidden = hidden.or(Some(format!("HDU {} is {what}", hdu.number))),
                None if hdu.header.count("NAXIS2").is_ok_and(|rows| rows == 0) => {
                    empty = empty.or_else(|| Some(described(hdu, votable.take())));
                }
                None => return Ok(described(hdu, votable)),
            },
        }
    }
    let list = list(&seen);
    match (wanted, hidden, empty) {
        (Some(wanted), ..) => Err(input.bad(format_args!("it has no HDU '{wanted}'; its HDUs are {list}"))),
        (None, _, Some(empty)) => Ok(empty),
        (None, Some(hidden), None) => Err(input.bad(hidden)),
        (None, None, None) => Err(input.bad(format_args!("it has no table; its HDUs are {list}"))),
    }
}

/// The VOTable describes the first HDU after it.
fn described(hdu: Hdu, votable: Option<Vec<u8>>) -> Found {
    let votable = votable.filter(|_| hdu.number == 1);
    Found { hdu, votable }
}

fn list(seen: &[String]) -> String {
    match seen.get(..20) {
        Some(first) if seen.len() > 20 => format!("{} and {} more", first.join(", "), seen.len() - 20),
        _ => seen.join(", "),
    }
}
