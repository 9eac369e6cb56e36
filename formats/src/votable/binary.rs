//! Rows written as bytes, in base64: BINARY, and BINARY2, which begins each row with flags for what is missing.
//!
//! base64 is decoded in the order of the file; whole rows ([`Chunks`]) are then taken apart on any thread ([`decode`]).
//! Where all columns have a fixed width, rows need not be looked at to be cut; otherwise the counts before the arrays are
//! followed from row to row.

use std::{io::BufRead, sync::Arc};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    kinds::{CELL_LIMIT, Kind, Scalar},
    rows::{Gather, Plan},
    values::Reason,
    xml::{Bytes, Left, Xml, read_failed},
};
use crate::{FormatError, source::Take};

/// About how many bytes a piece has.
const CHUNK: usize = 4 << 20;

/// Writers differ in whether they pad the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes that a cell takes in a row.
#[derive(Clone, Copy, Debug)]
enum Width {
    /// Always so many, holding `count` elements.
    Fixed { bytes: usize, count: usize },
    /// As many as a count of elements before them says.
    Counted { element: usize },
    /// As many as a count of bits before them says.
    CountedBits,
}

impl Width {
    fn of(kind: Kind) -> Self {
        let unit = |wide| if wide { 2 } else { 1 };
        match kind {
            Kind::One(scalar) => Self::Fixed { bytes: scalar.bytes(), count: 1 },
            Kind::Fixed(Scalar::Bit, count) => Self::Fixed { bytes: count.div_ceil(8), count },
            Kind::Fixed(scalar, count) => Self::Fixed { bytes: scalar.bytes() * count, count },
            Kind::Varying { scalar: Scalar::Bit, .. } => Self::CountedBits,
            Kind::Varying { scalar, pair, .. } => Self::Counted { element: scalar.bytes() * pair },
            Kind::Text { wide, length: Some(length) } => Self::Fixed { bytes: length * unit(wide), count: length },
            Kind::Texts { wide, width, count: Some(count) } => {
                Self::Fixed { bytes: width * count * unit(wide), count: width * count }
            }
            Kind::Text { wide, length: None } | Kind::Texts { wide, count: None, .. } => {
                Self::Counted { element: unit(wide) }
            }
        }
    }

    /// Where the cell that begins with these bytes has its content, and how many elements that holds; `None` when its end
    /// is not among them.
    fn cell(self, bytes: &[u8]) -> Result<Option<(std::ops::Range<usize>, usize)>, Reason> {
        if let Self::Fixed { bytes: length, count } = self {
            return Ok((length <= bytes.len()).then_some((0..length, count)));
        }
        let Some(count) = bytes.first_chunk::<4>() else { return Ok(None) };
        let written = i32::from_be_bytes(*count);
        let count = usize::try_from(written).map_err(|_| format!("an array of {written} elements cannot be"))?;
        let length = match self {
            Self::Counted { element } => count.checked_mul(element),
            Self::CountedBits | Self::Fixed { .. } => Some(count.div_ceil(8)),
        };
        match length {
            Some(length) if length <= CELL_LIMIT => Ok((4 + length <= bytes.len()).then_some((4..4 + length, count))),
            _ => Err(format!("an array of {count} elements is longer than 64 MiB")),
        }
    }
}

/// How the bytes of a row are divided.
pub(super) struct Layout {
    /// How many bytes of flags come first.
    flags: usize,
    widths: Vec<Width>,
    /// The bytes of a row, where that is the same for all.
    fixed: Option<usize>,
}

impl Layout {
    /// The layout of rows of these kinds, with flags or without.
    pub(super) fn new(kinds: impl Iterator<Item = Kind>, flagged: bool) -> Result<Self, Reason> {
        let widths: Vec<Width> = kinds.map(Width::of).collect();
        let flags = if flagged { widths.len().div_ceil(8) } else { 0 };
        let fixed = widths.iter().try_fold(flags, |sum, width| match width {
            Width::Fixed { bytes, .. } => Some(sum + bytes),
            Width::Counted { .. } | Width::CountedBits => None,
        });
        match fixed {
            Some(0) => Err("its rows would have no bytes".to_owned()),
            _ => Ok(Self { flags, widths, fixed }),
        }
    }

    /// The length of the row that begins with these bytes; `None` when its end is not among them.
    fn row(&self, bytes: &[u8]) -> Result<Option<usize>, Reason> {
        if let Some(length) = self.fixed {
            return Ok((length <= bytes.len()).then_some(length));
        }
        let mut at = self.flags;
        for (index, width) in self.widths.iter().enumerate() {
            let Some(rest) = bytes.get(at..) else { return Ok(None) };
            let cell = width.cell(rest).map_err(|why| format!("column {}: {why}", index + 1))?;
            let Some((content, _)) = cell else { return Ok(None) };
            at += content.end;
        }
        Ok(Some(at))
    }
}

/// Whole rows, as bytes.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    first: u64,
}

/// The rows of a table, cut into chunks as they are read.
pub(super) struct Chunks {
    name: Arc<str>,
    layout: Arc<Layout>,
    base64: Base64,
    buffer: Vec<u8>,
    first: u64,
    left: Option<Left>,
}

impl Chunks {
    /// The rows that a document goes on with.
    pub(super) fn new(xml: Xml, layout: Arc<Layout>) -> Self {
        let name = Arc::clone(xml.name());
        let (bytes, left) = xml.leave();
        let base64 = Base64 { bytes, quads: Vec::new(), padded: false, ended: false };
        Self { name, layout, base64, buffer: Vec::new(), first: 1, left: Some(left) }
    }

    /// The next rows; `None` when there are no more.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, FormatError> {
        let mut cut = 0;
        let mut rows = 0;
        loop {
            while cut < self.buffer.len() && cut < CHUNK {
                let row = self.layout.row(&self.buffer[cut..]);
                let row =
                    row.map_err(|why| FormatError::bad(&self.name, format!("row {}: {why}", self.first + rows)))?;
                let Some(length) = row else { break };
                cut += length;
                rows += 1;
            }
            let rest = self.buffer.len() - cut;
            if cut >= CHUNK || self.base64.ended && rows > 0 {
                let rest = self.buffer.split_off(cut);
                let bytes = std::mem::replace(&mut self.buffer, rest);
                self.first += rows;
                return Ok(Some(Chunk { bytes, first: self.first - rows }));
            }
            if self.base64.ended && rest > 0 {
                let sentence = format!("row {} is cut short: the last {rest} bytes are no whole row", self.first);
                return Err(FormatError::bad(&self.name, sentence));
            }
            if self.base64.ended {
                return Ok(None);
            }
            if rest > CELL_LIMIT {
                let sentence = format!("row {} is longer than 64 MiB", self.first + rows);
                return Err(FormatError::bad(&self.name, sentence));
            }
            let more = self.base64.decode(&mut self.buffer);
            more.map_err(|trouble| match trouble {
                Trouble::Read(error) => read_failed(&self.name, &error),
                Trouble::Bad(why) => FormatError::bad(&self.name, format!("row {}: {why}", self.first + rows)),
            })?;
        }
    }

    /// The document behind the rows, once there are no more.
    pub(super) fn rest(&mut self) -> Xml {
        let bytes = std::mem::replace(&mut self.base64.bytes, Box::new(std::io::empty()));
        Xml::resume(Arc::clone(&self.name), bytes, self.left.take().unwrap_or_default())
    }
}

/// base64 up to the next tag.
struct Base64 {
    bytes: Bytes,
    /// Letters that have not been decoded; fewer than four between calls.
    quads: Vec<u8>,
    padded: bool,
    ended: bool,
}

enum Trouble {
    Read(std::io::Error),
    Bad(Reason),
}

impl Base64 {
    /// Decodes some more, or finds the end.
    fn decode(&mut self, into: &mut Vec<u8>) -> Result<(), Trouble> {
        let available = loop {
            match self.bytes.fill_buf() {
                Ok(available) => break available,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::Read(error)),
            }
        };
        if available.is_empty() {
            return Err(Trouble::Bad("the file is cut short".to_owned()));
        }
        let end = memchr::memchr(b'<', available);
        let length = end.unwrap_or(available.len());
        for line in available[..length].split(u8::is_ascii_whitespace) {
            self.quads.extend_from_slice(line);
        }
        self.bytes.consume(length);
        self.ended = end.is_some();
        let usable = if self.ended { self.quads.len() } else { self.quads.len() / 4 * 4 };
        if usable == 0 {
            return Ok(());
        }
        if self.padded {
            return Err(Trouble::Bad("there is more base64 behind its end".to_owned()));
        }
        self.padded = self.quads[usable - 1] == b'=';
        let decoded = BASE64.decode_vec(&self.quads[..usable], into);
        decoded.map_err(|error| Trouble::Bad(format!("this is not base64: {error}")))?;
        self.quads.drain(..usable);
        Ok(())
    }
}

/// Decodes rows.
pub(super) fn decode(chunk: &Chunk, layout: &Layout, plan: &Plan, take: &mut Take<'_>) -> Result<(), FormatError> {
    let mut gather = Gather::new(plan, chunk.first);
    let mut rest = chunk.bytes.as_slice();
    while !rest.is_empty() {
        let (flags, mut cells) = rest.split_at(layout.flags);
        let mut outcome = Ok(());
        for (index, width) in layout.widths.iter().enumerate() {
            // Rows are whole: they have been followed to their ends before.
            let cell = width.cell(cells).and_then(|cell| cell.ok_or_else(|| "the row is cut short".to_owned()));
            let (content, count) =
                cell.map_err(|why| FormatError::bad(&plan.name, format!("row {}: {why}", gather.row())))?;
            let missing = flags.get(index / 8).is_some_and(|flags| flags << (index % 8) & 0x80 != 0);
            if outcome.is_ok() {
                let bytes = &cells[content.clone()];
                outcome = gather.cell(index, |cells| {
                    if missing {
                        cells.push_null();
                        return Ok(());
                    }
                    cells.push_bytes(bytes, count, layout.flags == 0)
                });
            }
            cells = &cells[content.end..];
        }
        rest = cells;
        gather.end_row(outcome, || None, take)?;
    }
    gather.flush(take)
}
