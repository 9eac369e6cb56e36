//! MOCs as FITS files.
//!
//! Written is what IVOA MOC 2.0 recommends: a binary table of one 64-bit column, pairs of a first order-29 cell and the
//! cell after the last. Read is that, the same in 32 or 16 bits, and the list of single cells (`NUNIQ`) of MOC 1. The
//! bytes may come from anywhere, so nothing in them is trusted: every length is checked against what is there, and what
//! is wrong is said in one sentence.

use std::ops::Range;

use ::moc::moc::{RangeMOCIntoIterator, RangeMOCIterator};

use super::Moc;
use crate::error::SkyError;
use crate::healpix::{CELLS_29, Order, Pixel};

/// FITS files are made of blocks of this size, and headers of cards of 80 bytes.
const BLOCK: usize = 2880;
const CARD: usize = 80;

impl Moc {
    /// Reads a MOC from the bytes of a FITS file.
    pub fn from_fits(bytes: &[u8]) -> Result<Self, SkyError> {
        let mut rest = bytes;
        let mut first = true;
        loop {
            let header = Header::read(&mut rest, first)?;
            if header.text("XTENSION") == Some("BINTABLE") {
                return Table::of(&header, rest)?.read();
            }
            let skipped = header.data_length()?.checked_next_multiple_of(BLOCK);
            match skipped.and_then(|skipped| rest.get(skipped..)) {
                Some(after) if !after.is_empty() => rest = after,
                _ => return Err(wrong("it has no binary table")),
            }
            first = false;
        }
    }

    /// Writes the MOC as the bytes of a FITS file.
    pub fn to_fits(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(3 * BLOCK + 16 * self.ranges().len());
        let written = (&self.0).into_range_moc_iter().to_fits_ivoa(None, None, &mut bytes);
        debug_assert!(written.is_ok(), "a vector takes all that is written to it: {written:?}");
        bytes
    }
}

/// The cards of one header.
struct Header<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Header<'a> {
    /// Reads up to the end of the header's last block.
    fn read(bytes: &mut &'a [u8], first: bool) -> Result<Self, SkyError> {
        if first && !bytes.starts_with(b"SIMPLE  =") {
            return Err(wrong("it is no FITS file, for it does not begin with SIMPLE"));
        }
        let mut cards = Vec::new();
        loop {
            let Some((block, rest)) = bytes.split_at_checked(BLOCK) else {
                return Err(wrong("it ends in the middle of a header"));
            };
            *bytes = rest;
            for card in block.chunks_exact(CARD) {
                let Ok(card) = std::str::from_utf8(card) else {
                    return Err(wrong("one of its headers holds bytes that are no text"));
                };
                let keyword = card.get(..8).unwrap_or_default().trim_end();
                if keyword == "END" {
                    return Ok(Self(cards));
                }
                if let Some(value) = card.get(8..).and_then(|rest| rest.strip_prefix("= ")) {
                    cards.push((keyword, value.trim()));
                }
            }
        }
    }

    fn value(&self, keyword: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == keyword).map(|(_, value)| *value)
    }

    /// The value of a card of text, without quotes, comment and trailing blanks.
    fn text(&self, keyword: &str) -> Option<&'a str> {
        let (text, _) = self.value(keyword)?.strip_prefix('\'')?.split_once('\'')?;
        Some(text.trim_end())
    }

    /// The value of a card of a number that is not negative.
    fn number(&self, keyword: &str) -> Result<Option<u64>, SkyError> {
        let Some(value) = self.value(keyword) else {
            return Ok(None);
        };
        let digits = value.split('/').next().unwrap_or_default().trim();
        match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(wrong(&format!("{keyword} is {digits:?}, not a number"))),
        }
    }

    fn required(&self, keyword: &str) -> Result<u64, SkyError> {
        self.number(keyword)?.ok_or_else(|| wrong(&format!("{keyword} is missing")))
    }

    /// How many bytes of data follow the header, before they are filled up to whole blocks.
    fn data_length(&self) -> Result<usize, SkyError> {
        let axes = self.number("NAXIS")?.unwrap_or(0).min(999);
        if axes == 0 {
            return Ok(0);
        }
        let bits = self.value("BITPIX").map_or(8, |bits| {
            bits.split('/').next().unwrap_or_default().trim().parse::<i64>().unwrap_or(8).unsigned_abs()
        });
        let mut elements = Some(1_u64);
        for axis in 1..=axes {
            let length = self.required(&format!("NAXIS{axis}"))?;
            elements = elements.and_then(|product| product.checked_mul(length));
        }
        let groups = self.number("GCOUNT")?.unwrap_or(1);
        let parameters = self.number("PCOUNT")?.unwrap_or(0);
        elements
            .and_then(|elements| elements.checked_add(parameters))
            .and_then(|elements| elements.checked_mul(groups))
            .and_then(|elements| elements.checked_mul(bits / 8))
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| wrong("a header announces more data than any file can hold"))
    }
}

/// How the numbers of the table are to be understood.
#[derive(Clone, Copy, PartialEq)]
enum Ordering {
    /// Single cells: 4 · 4^order + index.
    Nuniq,
    /// Pairs of the first cell and the cell after the last, at the finest order of the integer type.
    Range,
}

/// The binary table of a MOC.
struct Table<'a> {
    ordering: Ordering,
    /// The bytes of one number: 2, 4 or 8.
    width: usize,
    order: Option<Order>,
    numbers: &'a [u8],
}

impl<'a> Table<'a> {
    fn of(header: &Header<'a>, data: &'a [u8]) -> Result<Self, SkyError> {
        if let Some(dimension) = header.text("MOCDIM").filter(|dimension| *dimension != "SPACE") {
            return Err(wrong(&format!("it covers {dimension}; only coverage of the sky, SPACE, is read")));
        }
        if let Some(frame) = header.text("COORDSYS").filter(|frame| !matches!(*frame, "C" | "ICRS")) {
            return Err(wrong(&format!("its coordinates are in the system {frame}; only ICRS, C, is read")));
        }
        let ordering = match header.text("ORDERING") {
            Some("NUNIQ") => Ordering::Nuniq,
            Some("RANGE" | "RANGE29") => Ordering::Range,
            Some(other) => {
                return Err(wrong(&format!("ORDERING is {other:?}, neither NUNIQ nor RANGE")));
            }
            None => return Err(wrong("its table is no MOC, for ORDERING is missing")),
        };
        let width = match header.text("TFORM1").map(|form| form.strip_prefix('1').unwrap_or(form)) {
            Some("K") => 8,
            Some("J") => 4,
            Some("I") => 2,
            Some(other) => {
                return Err(wrong(&format!("TFORM1 is {other:?}, not one integer: 1K, 1J or 1I")));
            }
            None => return Err(wrong("TFORM1 is missing")),
        };
        if header.required("TFIELDS")? != 1 || header.required("NAXIS1")? != width as u64 {
            return Err(wrong("its table has more than the one column of integers that makes a MOC"));
        }
        let rows = header.required("NAXIS2")?;
        let numbers = usize::try_from(rows)
            .ok()
            .and_then(|rows| rows.checked_mul(width))
            .and_then(|length| data.get(..length))
            .ok_or_else(|| {
                wrong(&format!("its table should have {rows} rows, but ends after {}", data.len() / width))
            })?;
        let order = match header.number("MOCORD_S")? {
            Some(order) => Some(order),
            None => header.number("MOCORDER")?,
        };
        let order = order
            .map(|order| {
                u8::try_from(order)
                    .ok()
                    .and_then(|order| Order::new(order).ok())
                    .ok_or_else(|| wrong(&format!("its order is {order}, not 0 to 29")))
            })
            .transpose()?;
        Ok(Self { ordering, width, order, numbers })
    }

    fn read(&self) -> Result<Moc, SkyError> {
        let ranges = match self.ordering {
            Ordering::Nuniq => self.cells()?,
            Ordering::Range => self.pairs()?,
        };
        let finest_used = ranges.iter().map(finest_order).max().unwrap_or(Order::MIN);
        let order = self.order.unwrap_or(Order::MIN).max(finest_used);
        Ok(Moc::of_cells(order, ranges))
    }

    /// The numbers of the table with their rows, counted from 1. FITS integers are signed and begin with the high byte.
    fn numbers(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        (1..).zip(self.numbers.chunks_exact(self.width).map(|bytes| {
            match *bytes {
                [a, b] => i16::from_be_bytes([a, b]).into(),
                [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
                // The width is 2, 4 or 8.
                _ => bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte)),
            }
        }))
    }

    fn cells(&self) -> Result<Vec<Range<u64>>, SkyError> {
        self.numbers()
            .map(|(row, number)| {
                u64::try_from(number)
                    .ok()
                    .and_then(from_uniq)
                    .map(Pixel::range)
                    .ok_or_else(|| wrong(&format!("row {row} holds {number}, which is no HEALPix cell")))
            })
            .collect()
    }

    fn pairs(&self) -> Result<Vec<Range<u64>>, SkyError> {
        let shift = match self.width {
            2 => 2 * (29 - 5),
            4 => 2 * (29 - 13),
            _ => 0,
        };
        let mut numbers = self.numbers();
        let mut ranges = Vec::with_capacity(self.numbers.len() / self.width / 2);
        while let Some((row, start)) = numbers.next() {
            let Some((_, end)) = numbers.next() else {
                return Err(wrong(&format!("its {row} numbers do not pair up to ranges")));
            };
            // Shifted in 128 bits, so that no number wraps round to a good one.
            let range = i128::from(start) << shift..i128::from(end) << shift;
            if range.is_empty() || range.start < 0 || range.end > i128::from(CELLS_29) {
                return Err(wrong(&format!(
                    "rows {row} and {} hold {start} and {end}, which is no range of cells",
                    row + 1
                )));
            }
            ranges.push(range.start as u64..range.end as u64);
        }
        Ok(ranges)
    }
}

/// The cell of a unique number: 4 · 4^order + index.
fn from_uniq(uniq: u64) -> Option<Pixel> {
    let order = (uniq.checked_ilog2()? / 2).checked_sub(1)?;
    let order = Order::new(u8::try_from(order).ok()?).ok()?;
    Pixel::new(order, uniq - (4 << (2 * order.get()))).ok()
}

/// The coarsest order whose cells begin and end where the range does.
fn finest_order(range: &Range<u64>) -> Order {
    Order::MAX.coarser_by(((range.start | range.end).trailing_zeros() / 2).min(29) as u8)
}

fn wrong(problem: &str) -> SkyError {
    SkyError::MocFits(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A FITS file with an empty first header and a table of the given cards and bytes.
    fn file(cards: &[&str], data: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let first =
            ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"];
        for cards in [&first[..], cards] {
            for card in cards.iter().chain(&["END"]) {
                file.extend(format!("{card:80}").bytes());
            }
            file.resize(file.len().next_multiple_of(BLOCK), b' ');
        }
        file.extend(data);
        file.resize(file.len().next_multiple_of(BLOCK), 0);
        file
    }

    fn table(ordering: &str, form: &str, width: usize, data: &[u8]) -> Vec<u8> {
        let rows = data.len() / width;
        file(
            &[
                "XTENSION= 'BINTABLE'           / a table",
                "BITPIX  =                    8",
                "NAXIS   =                    2 / of two axes",
                &format!("NAXIS1  = {width:20}"),
                &format!("NAXIS2  = {rows:20}"),
                "PCOUNT  =                    0",
                "GCOUNT  =                    1",
                "TFIELDS =                    1",
                &format!("TFORM1  = '{form:8}'           / the integers"),
                &format!("ORDERING= '{ordering:8}'"),
                "COORDSYS= 'C       '",
                "MOCORDER=                    3",
            ],
            data,
        )
    }

    #[track_caller]
    fn assert_refuses(bytes: &[u8], sentence: &str) {
        assert_eq!(Moc::from_fits(bytes).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["29/", "0/0-11", "3/1-5 40 5/99 29/7", "10/"] {
            let moc: Moc = text.parse().unwrap();
            assert_eq!(Moc::from_fits(&moc.to_fits()).unwrap(), moc);
        }
    }

    #[test]
    fn the_moc_crate_reads_what_is_written() {
        let moc: Moc = "3/1-5 40 5/99 29/7".parse().unwrap();
        let read = ::moc::deser::fits::from_fits_ivoa(std::io::Cursor::new(moc.to_fits())).unwrap();
        let ::moc::deser::fits::MocIdxType::U64(::moc::deser::fits::MocQtyType::Hpx(read)) = read else {
            panic!("not a spatial MOC of 64 bits");
        };
        assert_eq!(read.collect(), moc.0);
    }

    #[test]
    fn single_cells_of_the_first_standard_are_read() {
        let uniq: Vec<u8> = [4_i32 + 7, 4 * 64 + 17].iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(Moc::from_fits(&table("NUNIQ", "1J", 4, &uniq)).unwrap().to_string(), "0/7 3/17");
        let uniq = (4_i64 << 58 | 5).to_be_bytes();
        assert_eq!(Moc::from_fits(&table("NUNIQ", "K", 8, &uniq)).unwrap().to_string(), "29/5");
    }

    #[test]
    fn short_integers_count_cells_of_their_own_finest_order() {
        let pair: Vec<u8> = [0_i32, 4 << 20].iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(Moc::from_fits(&table("RANGE", "1J", 4, &pair)).unwrap().to_string(), "2/0 3/");
        let pair: Vec<u8> = [64_i16, 80].iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(Moc::from_fits(&table("RANGE", "1I", 2, &pair)).unwrap().to_string(), "3/4");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_refuses(b"", "not a MOC in FITS: it is no FITS file, for it does not begin with SIMPLE");
        assert_refuses(b"SIMPLE  = T", "not a MOC in FITS: it ends in the middle of a header");
        assert_refuses(&file(&["XTENSION= 'IMAGE   '"], b""), "not a MOC in FITS: it has no binary table");
        assert_refuses(
            &table("RING", "1K", 8, &[]),
            "not a MOC in FITS: ORDERING is \"RING\", neither NUNIQ nor RANGE",
        );
        assert_refuses(
            &table("RANGE", "1E", 8, &[]),
            "not a MOC in FITS: TFORM1 is \"E\", not one integer: 1K, 1J or 1I",
        );
        assert_refuses(
            &table("RANGE", "1K", 4, &[]),
            "not a MOC in FITS: its table has more than the one column of integers that makes a MOC",
        );
        assert_refuses(
            &table("NUNIQ", "1K", 8, &3_i64.to_be_bytes()),
            "not a MOC in FITS: row 1 holds 3, which is no HEALPix cell",
        );
        assert_refuses(
            &table("NUNIQ", "1K", 8, &(-1_i64).to_be_bytes()),
            "not a MOC in FITS: row 1 holds -1, which is no HEALPix cell",
        );
        assert_refuses(&table("RANGE", "1K", 8, &[0; 8]), "not a MOC in FITS: its 1 numbers do not pair up to ranges");
        assert_refuses(
            &table("RANGE", "1K", 8, &[0; 16]),
            "not a MOC in FITS: rows 1 and 2 hold 0 and 0, which is no range of cells",
        );
        let mut short = table("RANGE", "1K", 8, &[1; 8000]);
        short.truncate(4 * BLOCK);
        assert_refuses(&short, "not a MOC in FITS: its table should have 1000 rows, but ends after 720");
    }
}
