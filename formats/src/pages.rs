//! How the Parquet decoder comes by the bytes of a piece.
//!
//! From a local file it reads page by page. Of an object, a small piece is fetched whole, neighbouring columns with one
//! request; a large one in windows, one for each column, of which the next is on its way while one is decoded.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

use crate::{Input, ahead::Ahead, input::read_exactly};

/// Tests read small files as if they were large.
const SCALE: u64 = if cfg!(test) { 64 } else { 1 };
/// How many bytes of a piece wait for being decoded; windows on their way come on top.
const WAITING: u64 = (64 << 20) / SCALE;
/// Stretches of a small piece that are this near to each other are fetched together …
const GAP: u64 = 64 << 10;
/// … as long as that does not make a larger request than this.
const TOGETHER: u64 = (16 << 20) / SCALE;
/// The smallest window.
const SMALLEST: u64 = (32 << 10) / SCALE;

/// The bytes of a piece.
#[derive(Clone)]
pub(crate) struct Pages {
    size: u64,
    place: Where,
    failure: Arc<Mutex<Option<io::Error>>>,
}

#[derive(Clone)]
enum Where {
    Local(Arc<File>),
    Far { input: Input, stretches: Arc<[Stretch]> },
}

type Stretch = (Range<u64>, Arc<Mutex<Ahead>>);

impl Pages {
    /// Opens the file for reading these stretches of it, in any order among them and forward in each.
    pub(crate) fn open(input: &Input, stretches: impl IntoIterator<Item = Range<u64>>) -> io::Result<Self> {
        let place = match input.local()? {
            Some(file) => Where::Local(Arc::new(file)),
            None => {
                let ahead = |(range, step): (Range<u64>, u64)| {
                    (range.clone(), Arc::new(Mutex::new(Ahead::steady(input, range, step))))
                };
                Where::Far {
                    input: input.clone(),
                    stretches: requests(stretches.into_iter().collect()).into_iter().map(ahead).collect(),
                }
            }
        };
        Ok(Self { size: input.size(), place, failure: Arc::default() })
    }

    /// What kept the file from being read, if something did: the decoder only repeats its words.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, error: io::Error) -> ParquetError {
        let text = error.to_string();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        ParquetError::General(text)
    }

    /// The stretch that holds these bytes.
    fn stretch(&self, bytes: Range<u64>) -> Option<&Arc<Mutex<Ahead>>> {
        let Where::Far { stretches, .. } = &self.place else { return None };
        let after = stretches.partition_point(|(range, _)| range.start <= bytes.start);
        let (range, ahead) = stretches.get(after.checked_sub(1)?)?;
        (bytes.end <= range.end).then_some(ahead)
    }
}

/// What to fetch of stretches that ascend: how far each window goes.
fn requests(mut stretches: Vec<Range<u64>>) -> Vec<(Range<u64>, u64)> {
    stretches.sort_by_key(|range| range.start);
    let total: u64 = stretches.iter().map(|range| range.end - range.start).sum();
    if total > WAITING {
        let step = (WAITING / stretches.len() as u64 / 2).max(SMALLEST);
        return stretches.into_iter().map(|range| (range, step)).collect();
    }
    let mut together: Vec<Range<u64>> = Vec::new();
    for range in stretches {
        match together.last_mut() {
            Some(last) if range.start <= last.end + GAP && range.end.max(last.end) - last.start <= TOGETHER => {
                last.end = last.end.max(range.end);
            }
            _ => together.push(range),
        }
    }
    together.into_iter().map(|range| (range.clone(), range.end - range.start)).collect()
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Pages {
    type T = BufReader<Forward>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let source = match (&self.place, self.stretch(start..start + 1)) {
            (Where::Local(file), _) => Source::File(Arc::clone(file)),
            (Where::Far { .. }, Some(ahead)) => Source::Ahead(Arc::clone(ahead)),
            (Where::Far { input, .. }, None) => {
                Source::Ahead(Arc::new(Mutex::new(Ahead::growing(input, start..self.size))))
            }
        };
        Ok(BufReader::with_capacity(1024, Forward { source, at: start, pages: self.clone() }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.saturating_add(length as u64);
        if end > self.size {
            return Err(ParquetError::EOF(format!("byte {end} is asked for where there are {}", self.size)));
        }
        let bytes = match (&self.place, self.stretch(start..end)) {
            (Where::Local(file), _) => read_exactly(file, start..end),
            (_, Some(ahead)) => ahead.lock().unwrap_or_else(PoisonError::into_inner).bytes(start, length),
            (Where::Far { input, .. }, None) => input.fetch(start..end),
        };
        bytes.map_err(|error| self.failed(error))
    }
}

/// The bytes of a piece from some place on.
pub(crate) struct Forward {
    source: Source,
    at: u64,
    pages: Pages,
}

enum Source {
    File(Arc<File>),
    Ahead(Arc<Mutex<Ahead>>),
}

impl Read for Forward {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &self.source {
            Source::File(file) => file.read_at(buffer, self.at),
            Source::Ahead(ahead) => {
                let window = ahead.lock().unwrap_or_else(PoisonError::into_inner).window(self.at);
                window.map(|window| {
                    let read = window.len().min(buffer.len());
                    buffer[..read].copy_from_slice(&window[..read]);
                    read
                })
            }
        };
        let read = read.map_err(|error| io::Error::other(self.pages.failed(error)))?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_piece_is_fetched_with_few_requests() {
        let near = requests(vec![5_000..9_000, 4..5_000, 20_000..30_000]);
        assert_eq!(near, [(4..30_000, 29_996)]);
        let far = requests(vec![4..1_000, 1_000_000..1_000_100]);
        assert_eq!(far, [(4..1_000, 996), (1_000_000..1_000_100, 100)]);
        let large = requests(vec![0..TOGETHER, TOGETHER..TOGETHER + 9]);
        assert_eq!(large, [(0..TOGETHER, TOGETHER), (TOGETHER..TOGETHER + 9, 9)]);
        assert_eq!(requests(vec![]), []);
    }

    #[test]
    fn of_a_large_piece_little_waits() {
        let columns = 200;
        let large: Vec<_> = (0..columns).map(|i| i * 10_000_000..(i + 1) * 10_000_000).collect();
        let windows = requests(large);
        assert_eq!(windows.len(), columns as usize);
        assert!(windows.iter().map(|(_, step)| 2 * step).sum::<u64>() <= WAITING);
    }
}
