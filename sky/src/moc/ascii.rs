//! MOCs as text: the ASCII serialisation of IVOA MOC 2.0, which is also DALI's `moc` type.
//!
//! `3/1-5 40 5/99 29/` is cells 1 to 5 and 40 of order 3 and cell 99 of order 5, in a MOC of order 29. Read is also what
//! older tools write: commas between cells, a leading `s` for space, blanks after the slash, cells that overlap. Written
//! is the canonical form on one line.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ::moc::moc::{CellMOCIterator, CellOrCellRangeMOCIterator, RangeMOCIntoIterator, RangeMOCIterator};

use super::Moc;
use crate::error::SkyError;
use crate::healpix::Order;

impl FromStr for Moc {
    type Err = SkyError;

    fn from_str(text: &str) -> Result<Self, SkyError> {
        let mut finest = None;
        let mut order = None;
        let mut ranges = Vec::new();
        for word in words(text) {
            let cells = match word.split_once('/') {
                Some((depth, cells)) => {
                    let depth = order_from(depth, word)?;
                    finest = finest.max(Some(depth));
                    order = Some(depth);
                    cells
                }
                None => word,
            };
            match order {
                Some(order) if !cells.is_empty() => ranges.push(cells_from(cells, order)?),
                Some(_) => {}
                None => {
                    return Err(wrong(format!(
                        "it must begin with an order and a slash, such as 5/, not with {}",
                        shown(word)
                    )));
                }
            }
        }
        match finest {
            Some(finest) => Ok(Moc::of_cells(finest, ranges)),
            None => {
                Err(wrong("it is empty; a MOC without cells is written as its order alone, such as 29/".to_owned()))
            }
        }
    }
}

impl fmt::Display for Moc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        let cells = (&self.0).into_range_moc_iter().cells().cellranges();
        cells.to_ascii_ivoa(None, false, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?.trim_end())
    }
}

/// The words of the text, without the `s` for space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim_start();
    text.strip_prefix(['s', 'S'])
        .unwrap_or(text)
        .split(|separator: char| separator.is_whitespace() || separator == ',')
        .filter(|word| !word.is_empty())
}

fn order_from(digits: &str, word: &str) -> Result<Order, SkyError> {
    if digits.starts_with(['t', 'T', 'f', 'F']) {
        return Err(wrong(format!(
            "{} begins a time or frequency axis; only coverage of the sky is read",
            shown(word)
        )));
    }
    number(digits)
        .and_then(|order| u8::try_from(order).ok())
        .and_then(|order| Order::new(order).ok())
        .ok_or_else(|| wrong(format!("the order before the slash of {} is not a number of 0 to 29", shown(word))))
}

/// The order-29 cells of `7` or `3-9`.
fn cells_from(word: &str, order: Order) -> Result<Range<u64>, SkyError> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (Some(first), Some(last)) = (number(first), number(last)) else {
        return Err(wrong(format!("{} is neither a cell, such as 7, nor a range of cells, such as 3-9", shown(word))));
    };
    if last >= order.cells() {
        Err(wrong(format!("order {order} has no cell {last}; its last is {}", order.cells() - 1)))
    } else if first > last {
        Err(wrong(format!("the range {} ends before it begins", shown(word))))
    } else {
        Ok(first << order.shift()..(last + 1) << order.shift())
    }
}

/// Digits only: no sign, which `parse` alone would take.
fn number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// A word as it is quoted in a message: cut, if somebody sent a book.
fn shown(word: &str) -> String {
    let start: String = word.chars().take(30).collect();
    if start.len() < word.len() { format!("{start:?}…") } else { format!("{start:?}") }
}

fn wrong(problem: String) -> SkyError {
    SkyError::Text { format: "MOC text", problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_reads(text: &str, canonical: &str) {
        assert_eq!(text.parse::<Moc>().unwrap().to_string(), canonical);
    }

    #[track_caller]
    fn assert_refuses(text: &str, sentence: &str) {
        assert_eq!(text.parse::<Moc>().unwrap_err().to_string(), sentence);
    }

    #[test]
    fn the_examples_of_the_standard_are_read_and_written() {
        assert_reads("1/1,3-4 2/4,25,12-14,21", "1/1 3-4 2/21 25");
        assert_reads("0/1 6 7 2/4 12-14 21 25 28 30", "0/1 6-7 2/4 12-14");
        assert_reads("s29/", "29/");
        assert_reads("s3/10 4/16-18 22 5/", "3/10 4/16-18 22 5/");
        assert_reads("0/", "0/");
    }

    #[test]
    fn blanks_commas_lines_and_overlaps_are_taken_as_meant() {
        assert_reads("  3/ 1,2 ,3\n 3/4 4/ ", "3/1-4 4/");
        assert_reads("5/0 1/0 29/5", "1/0 29/");
        assert_reads("0/0-11", "0/0-11");
        assert_reads("1/0-47", "0/0-11 1/");
    }

    #[test]
    fn the_last_cell_of_order_29_is_read_and_the_one_after_refused() {
        assert_reads("29/3458764513820540927", "29/3458764513820540927");
        assert_refuses(
            "29/3458764513820540928",
            "MOC text: order 29 has no cell 3458764513820540928; its last is 3458764513820540927",
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_refuses("", "MOC text: it is empty; a MOC without cells is written as its order alone, such as 29/");
        assert_refuses("3", "MOC text: it must begin with an order and a slash, such as 5/, not with \"3\"");
        assert_refuses("3/1 5/x", "MOC text: \"x\" is neither a cell, such as 7, nor a range of cells, such as 3-9");
        assert_refuses("3/5-2", "MOC text: the range \"5-2\" ends before it begins");
        assert_refuses("3/768", "MOC text: order 3 has no cell 768; its last is 767");
        assert_refuses("30/1", "MOC text: the order before the slash of \"30/1\" is not a number of 0 to 29");
        assert_refuses("3/+1", "MOC text: \"+1\" is neither a cell, such as 7, nor a range of cells, such as 3-9");
        assert_refuses(
            "t61/1 s3/1",
            "MOC text: \"t61/1\" begins a time or frequency axis; only coverage of the sky is read",
        );
        assert_refuses(
            "3/99999999999999999999999",
            "MOC text: \"99999999999999999999999\" is neither a cell, such as 7, nor a range of cells, such as 3-9",
        );
    }
}
