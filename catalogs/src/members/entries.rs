//! Sorting keys out of core: three numbers an entry, held up to a bound, beyond it in sorted runs on the local disk.
//!
//! An external sort, not a table of hash buckets, since it does not mind what the keys are: a key that every row shares
//! streams by like any other. The order is total, so that the result does not depend on what was held when.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use crate::CatalogError;

/// How many runs are merged at once; more are first made fewer.
const FAN_IN: usize = 64;
/// Bytes read ahead of each run.
const READ_AHEAD: usize = 256 << 10;

/// A key, the row that has it, and a number that goes with it. Sorted by key, then row, then number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: u128,
    pub(crate) row: u64,
    pub(crate) value: u64,
}

impl Entry {
    const BYTES: usize = 32;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.key.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.row.to_le_bytes());
        bytes[24..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (key, rest) = bytes.split_at(16);
        let (row, value) = rest.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        Self { key: number(key), row: number(row) as u64, value: number(value) as u64 }
    }
}

/// Entries on their way to being sorted.
pub(crate) struct Entries {
    held: Vec<Entry>,
    limit: usize,
    runs: Vec<TempPath>,
    spill: PathBuf,
}

impl Entries {
    /// Entries that hold at most about `memory` bytes, and otherwise write to the folder `spill`.
    pub(crate) fn new(spill: &Path, memory: usize) -> Self {
        // A vector that grows holds up to three times its content for a moment.
        let limit = (memory / 3 / size_of::<Entry>()).max(16);
        Self { held: Vec::new(), limit, runs: Vec::new(), spill: spill.to_owned() }
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), CatalogError> {
        self.held.push(entry);
        if self.held.len() < self.limit { Ok(()) } else { self.write_run() }
    }

    /// Whether anything went through the disk.
    #[cfg(test)]
    pub(crate) fn has_spilled(&self) -> bool {
        !self.runs.is_empty()
    }

    fn write_run(&mut self) -> Result<(), CatalogError> {
        self.held.sort_unstable();
        let run = write_run(&self.spill, self.held.drain(..).map(Ok))?;
        self.runs.push(run);
        Ok(())
    }

    /// The entries of all of these, ascending.
    pub(crate) fn sorted(many: Vec<Self>) -> Result<SortedEntries, CatalogError> {
        let (mut runs, mut spill) = (Vec::new(), PathBuf::new());
        let mut held = Vec::new();
        for mut entries in many {
            entries.held.sort_unstable();
            held.push(entries.held);
            runs.append(&mut entries.runs);
            spill = entries.spill;
        }
        while runs.len() > FAN_IN {
            let rest = runs.split_off(FAN_IN);
            let merged = SortedEntries::new(Vec::new(), std::mem::replace(&mut runs, rest))?;
            runs.push(write_run(&spill, merged)?);
        }
        SortedEntries::new(held, runs)
    }
}

fn write_run(
    spill: &Path,
    entries: impl Iterator<Item = Result<Entry, CatalogError>>,
) -> Result<TempPath, CatalogError> {
    let failed = |error| CatalogError::io(format!("setting keys aside in {}", spill.display()), error);
    let file = tempfile::Builder::new().prefix("keys-").tempfile_in(spill).map_err(failed)?;
    let (file, path) = file.into_parts();
    let mut writer = BufWriter::with_capacity(READ_AHEAD, file);
    for entry in entries {
        writer.write_all(&entry?.to_bytes()).map_err(failed)?;
    }
    writer.flush().map_err(failed)?;
    Ok(path)
}

/// One of the sorted sequences that are merged.
enum Run {
    Held(std::vec::IntoIter<Entry>),
    File(BufReader<std::fs::File>, TempPath),
}

impl Run {
    fn next(&mut self) -> Result<Option<Entry>, CatalogError> {
        let (reader, path) = match self {
            Self::Held(entries) => return Ok(entries.next()),
            Self::File(reader, path) => (reader, path),
        };
        let mut bytes = [0; Entry::BYTES];
        match reader.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(Entry::from_bytes(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(CatalogError::io(format!("reading keys back from {}", path.display()), error)),
        }
    }
}

/// Entries in ascending order.
pub(crate) struct SortedEntries {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
}

impl SortedEntries {
    fn new(held: Vec<Vec<Entry>>, files: Vec<TempPath>) -> Result<Self, CatalogError> {
        let mut runs: Vec<_> = held.into_iter().map(|entries| Run::Held(entries.into_iter())).collect();
        for path in files {
            let file = std::fs::File::open(&path)
                .map_err(|error| CatalogError::io(format!("reading keys back from {}", path.display()), error))?;
            runs.push(Run::File(BufReader::with_capacity(READ_AHEAD, file), path));
        }
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (number, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|entry| Reverse((entry, number))));
        }
        Ok(Self { runs, heads })
    }
}

impl Iterator for SortedEntries {
    type Item = Result<Entry, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((least, number)) = *head;
        match self.runs[number].next() {
            Ok(Some(next)) => *head = Reverse((next, number)),
            Ok(None) => drop(std::collections::binary_heap::PeekMut::pop(head)),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(least))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let key = prop_oneof![0..20_u128, Just(u128::MAX), any::<u128>()];
        (key, 0..1_000_u64, any::<u64>()).prop_map(|(key, row, value)| Entry { key, row, value })
    }

    proptest! {
        #[test]
        fn entries_come_back_sorted_whatever_the_memory(
            mut given in proptest::collection::vec(entry(), 0..3_000),
            memory in prop_oneof![Just(0), Just(40_000_usize), Just(usize::MAX)],
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut many = [Entries::new(folder.path(), memory), Entries::new(folder.path(), memory)];
            for (number, entry) in given.iter().enumerate() {
                many[number % 2].push(*entry).unwrap();
            }
            prop_assert_eq!(memory == 0 && given.len() > 64, memory == 0 && given.len() > 64 && many[0].has_spilled());
            let sorted: Vec<_> = Entries::sorted(many.into()).unwrap().map(Result::unwrap).collect();
            given.sort_unstable();
            prop_assert_eq!(sorted, given);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "temporary files are left");
        }
    }
}
