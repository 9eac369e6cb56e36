//! Passes that need all keys of a table at once: which occur twice, and which row of another table they name.
//!
//! A key becomes a number of 128 bits. Whole numbers become themselves, and so does text of up to 15 bytes; longer text
//! becomes 120 bits of its SHA-256. Among ten thousand million keys, two different ones then meet with a probability of
//! 1 in 10^16, and nobody can make two that do: the numbers are as good as the keys, take one size, and sort fast.
//! Keys are sorted out of core ([`Entries`]) and then stream by, so that memory does not depend on how they are
//! distributed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array},
    compute::cast,
    datatypes::{DataType, Int64Type, UInt64Type},
};
use sha2::{Digest, Sha256};

use super::{BuildContext, Entries, Entry, LeafReader, entries::SortedEntries, share};
use crate::{CatalogError, CatalogSnapshot};

/// How many rows or keys are named in full.
const EXAMPLES: usize = 10;

/// What kind of keys a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Whole numbers, compared by value whatever their width.
    Number,
    /// Text, compared byte by byte.
    Text,
}

impl KeyKind {
    /// The kind of a column; a column of another type cannot be a key.
    pub(crate) fn of(column: &str, data_type: &DataType) -> Result<Self, CatalogError> {
        match data_type {
            DataType::Dictionary(_, values) => Self::of(column, values),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self::Text),
            number if number.is_integer() => Ok(Self::Number),
            other => {
                let why = format!("it cannot be a key: it is {other}, and a key is a whole number or text");
                Err(CatalogError::input(format!("column {column}"), why))
            }
        }
    }

    /// The key as it is written, if it can be told from its number: text that was longer than 15 bytes cannot.
    pub(crate) fn text(self, key: u128) -> Option<String> {
        match self {
            Self::Number => Some((key as i128).to_string()),
            Self::Text => {
                let [length, bytes @ ..] = key.to_be_bytes();
                Some(String::from_utf8_lossy(bytes.get(..usize::from(length))?).into_owned())
            }
        }
    }
}

/// Hands over the number of each key of an array, with its index; none for a NULL.
pub(crate) fn for_each_key(
    keys: &ArrayRef,
    mut take: impl FnMut(usize, Option<u128>) -> Result<(), CatalogError>,
) -> Result<(), CatalogError> {
    fn text<'a>(
        keys: impl Iterator<Item = Option<&'a str>>,
        take: &mut impl FnMut(usize, Option<u128>) -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        keys.enumerate().try_for_each(|(row, key)| take(row, key.map(text_key)))
    }
    match keys.data_type() {
        DataType::Dictionary(_, values) => for_each_key(&cast(keys, values)?, take),
        DataType::Utf8 => text(keys.as_string::<i32>().iter(), &mut take),
        DataType::LargeUtf8 => text(keys.as_string::<i64>().iter(), &mut take),
        DataType::Utf8View => text(keys.as_string_view().iter(), &mut take),
        DataType::UInt64 => {
            let keys = keys.as_primitive::<UInt64Type>();
            keys.iter().enumerate().try_for_each(|(row, key)| take(row, key.map(u128::from)))
        }
        _ => {
            let keys = cast(keys, &DataType::Int64)?;
            let keys = keys.as_primitive::<Int64Type>();
            keys.iter().enumerate().try_for_each(|(row, key)| take(row, key.map(|key| i128::from(key) as u128)))
        }
    }
}

fn text_key(text: &str) -> u128 {
    let mut bytes = [0; 16];
    if text.len() < bytes.len() {
        bytes[0] = text.len() as u8;
        bytes[1..=text.len()].copy_from_slice(text.as_bytes());
    } else {
        bytes[0] = 0xFF;
        bytes[1..].copy_from_slice(&Sha256::digest(text.as_bytes())[..15]);
    }
    u128::from_be_bytes(bytes)
}

/// Row numbers, at one bit for each row up to the greatest: 125 MB for a thousand million rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowSet {
    words: Vec<u64>,
    count: u64,
}

impl RowSet {
    /// Adds a row.
    pub(crate) fn insert(&mut self, row: u64) {
        let word = (row / 64) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (row % 64);
        self.count += u64::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Whether a row is one of them.
    pub(crate) fn contains(&self, row: u64) -> bool {
        self.words.get((row / 64) as usize).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    /// How many they are.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Those in a range, ascending.
    pub(crate) fn within(&self, rows: Range<u64>) -> impl Iterator<Item = u64> {
        let words = (rows.start / 64).min(self.words.len() as u64)..rows.end.div_ceil(64).min(self.words.len() as u64);
        let words = words.map(|place| (place, self.words[place as usize])).filter(|(_, word)| *word != 0);
        let all = words.flat_map(|(place, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| place * 64 + bit)
        });
        all.filter(move |row| rows.contains(row))
    }
}

/// Which of several rows with one key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The first.
    First,
    /// That with the greatest value; the first of those that share it. NULL and NaN are less than any number.
    Best,
}

/// A key, and rows that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    /// The key as it is written; none for long text, which the rows themselves show.
    pub(crate) key: Option<String>,
    /// The numbers of the first rows with it, at most four, ascending.
    pub(crate) rows: Vec<u64>,
}

/// Rows that share their key with another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Duplicates {
    /// How many keys occur more than once.
    pub(crate) keys: u64,
    /// The places of all rows but the one of each key that is kept.
    pub(crate) dropped: RowSet,
    /// The keys that repeat earliest.
    pub(crate) examples: Vec<Example>,
}

/// Each row's cell, by the key that names a row of another table.
pub(crate) struct Joined {
    /// The cells by the places of the rows; a row without a key, or with one that the other table does not have, has none.
    pub(crate) cells: RowCells,
    /// Rows with a key that the other table does not have.
    pub(crate) unknown: RowSet,
    /// Keys that the other table has more than once; its first row with such a key counts.
    pub(crate) ambiguous: u64,
}

/// The keys of a table, on their way to one of the passes. A row without a key takes no part in any.
///
/// Rows are pushed under numbers that only have to ascend. What is told of them is told by their places, which are counted
/// without large gaps: they need not be known before all rows were seen.
pub(crate) struct Keyed {
    kind: KeyKind,
    entries: Vec<Entries>,
    spill: PathBuf,
    memory: usize,
}

impl Keyed {
    /// Keys of a column of this type, held in about `memory` bytes and otherwise in the folder `spill`.
    pub(crate) fn new(column: &str, data_type: &DataType, spill: &Path, memory: usize) -> Result<Self, CatalogError> {
        let kind = KeyKind::of(column, data_type)?;
        let entries = vec![Entries::new(spill, memory)];
        Ok(Self { kind, entries, spill: spill.to_owned(), memory })
    }

    /// Adds the keys of consecutive rows, with the values by which the best of equal ones is found.
    pub(crate) fn push(
        &mut self,
        keys: &ArrayRef,
        first_row: u64,
        best: Option<&Float64Array>,
    ) -> Result<(), CatalogError> {
        self.add(keys, first_row, |index| {
            best.filter(|best| best.is_valid(index)).map_or(0, |best| rank(best.value(index)))
        })
    }

    /// Adds the keys of consecutive rows and the cell that each of them names.
    pub(crate) fn push_cells(&mut self, keys: &ArrayRef, first_row: u64, cells: &[u64]) -> Result<(), CatalogError> {
        self.add(keys, first_row, |index| cells[index])
    }

    fn add(&mut self, keys: &ArrayRef, first_row: u64, value: impl Fn(usize) -> u64) -> Result<(), CatalogError> {
        let entries = &mut self.entries[0];
        for_each_key(keys, |index, key| match key {
            Some(key) => entries.push(Entry { key, row: first_row + index as u64, value: value(index) }),
            None => Ok(()),
        })
    }

    /// The same keys as one, of several that were filled side by side.
    fn gathered(many: Vec<Self>) -> Option<Self> {
        many.into_iter().reduce(|mut all, mut next| {
            all.entries.append(&mut next.entries);
            all
        })
    }

    /// Finds the rows that share their key with another. `place_of` tells the place of a row by its number; none of one that
    /// takes no part.
    pub(crate) fn duplicates(
        self,
        keep: Keep,
        place_of: impl Fn(u64) -> Option<u64>,
    ) -> Result<Duplicates, CatalogError> {
        let (mut dropped, mut keys, mut examples) = (RowSet::default(), 0, Examples::new(self.kind));
        let mut kept: Option<Entry> = None;
        let mut rows: Vec<u64> = Vec::new();
        for entry in Entries::sorted(self.entries)? {
            let entry = entry?;
            if place_of(entry.row).is_none() {
                continue;
            }
            match kept.filter(|kept| kept.key == entry.key) {
                None => {
                    examples.offer(kept, &rows);
                    rows.clear();
                    kept = Some(entry);
                }
                Some(best) => {
                    keys += u64::from(rows.len() == 1);
                    let better = keep == Keep::Best && entry.value > best.value;
                    place_of(if better { best.row } else { entry.row }).into_iter().for_each(|row| dropped.insert(row));
                    kept = Some(if better { entry } else { best });
                }
            }
            if rows.len() < 4 {
                rows.push(entry.row);
            }
        }
        examples.offer(kept, &rows);
        Ok(Duplicates { keys, dropped, examples: examples.found() })
    }

    /// Finds the cells of rows by the keys of a director, which were added with their cells. `place_of` tells the place of
    /// a row by its number, below `places`.
    pub(crate) fn join(
        self,
        director: Self,
        places: u64,
        place_of: impl Fn(u64) -> u64,
    ) -> Result<Joined, CatalogError> {
        if self.kind != director.kind {
            let why = "one is text and the other a number: they name no rows of each other";
            return Err(CatalogError::input("the key and the id of its director", why));
        }
        let mut cells = CellsWriter::new(places, &self.spill, self.memory);
        let mut unknown = RowSet::default();
        let mut directors = Directors::new(Entries::sorted(director.entries)?)?;
        for entry in Entries::sorted(self.entries)? {
            let entry = entry?;
            match directors.cell_of(entry.key)? {
                Some(cell) => cells.set(place_of(entry.row), cell)?,
                None => unknown.insert(place_of(entry.row)),
            }
        }
        Ok(Joined { ambiguous: directors.finish()?, unknown, cells: cells.finish()? })
    }
}

/// A number that sorts as the value does, with 0 for what is none.
fn rank(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits(); // -0 becomes 0
    match value {
        _ if value.is_nan() => 0,
        _ if bits >> 63 == 1 => !bits,
        _ => bits | 1 << 63,
    }
}

/// The keys with the earliest rows.
struct Examples {
    kind: KeyKind,
    earliest: BTreeMap<u64, (u128, Vec<u64>)>,
}

impl Examples {
    fn new(kind: KeyKind) -> Self {
        Self { kind, earliest: BTreeMap::new() }
    }

    /// Notes a key if more than one row has it.
    fn offer(&mut self, entry: Option<Entry>, rows: &[u64]) {
        let (Some(entry), [first, _, ..]) = (entry, rows) else { return };
        if self.earliest.len() == EXAMPLES {
            match self.earliest.last_entry() {
                Some(last) if last.key() > first => drop(last.remove()),
                _ => return,
            }
        }
        self.earliest.insert(*first, (entry.key, rows.to_vec()));
    }

    fn found(self) -> Vec<Example> {
        let kind = self.kind;
        self.earliest.into_values().map(|(key, rows)| Example { key: kind.text(key), rows }).collect()
    }
}

/// The rows of a director, ascending by key.
struct Directors {
    sorted: SortedEntries,
    current: Option<Entry>,
    ambiguous: u64,
    /// The last key that was found to repeat.
    repeated: Option<u128>,
}

impl Directors {
    fn new(mut sorted: SortedEntries) -> Result<Self, CatalogError> {
        let current = sorted.next().transpose()?;
        Ok(Self { sorted, current, ambiguous: 0, repeated: None })
    }

    /// The cell of a key; keys must be asked for in ascending order.
    fn cell_of(&mut self, key: u128) -> Result<Option<u64>, CatalogError> {
        while let Some(current) = self.current {
            if current.key >= key {
                return Ok((current.key == key).then_some(current.value));
            }
            self.advance(current.key)?;
        }
        Ok(None)
    }

    /// Goes on to the next key.
    fn advance(&mut self, key: u128) -> Result<(), CatalogError> {
        loop {
            self.current = self.sorted.next().transpose()?;
            if self.current.is_none_or(|next| next.key != key) {
                return Ok(());
            }
            if self.repeated != Some(key) {
                self.ambiguous += 1;
                self.repeated = Some(key);
            }
        }
    }

    /// How many keys repeat, those that nobody asked for included.
    fn finish(mut self) -> Result<u64, CatalogError> {
        while let Some(current) = self.current {
            self.advance(current.key)?;
        }
        Ok(self.ambiguous)
    }
}

/// A cell for each row, in memory or in a file.
pub(crate) enum RowCells {
    /// In memory.
    Held(Vec<u64>),
    /// In a file that is deleted with this value.
    File {
        /// Eight bytes a row.
        file: File,
        /// How many rows.
        rows: u64,
    },
}

/// The cell of a row that has none.
const NO_CELL: u64 = u64::MAX;

impl RowCells {
    /// The cells of consecutive rows, none for a row without one.
    pub(crate) fn of(&self, first_row: u64, count: usize) -> Result<Vec<Option<u64>>, CatalogError> {
        let known = |cell: u64| (cell != NO_CELL).then_some(cell);
        match self {
            Self::Held(cells) => {
                let first = (first_row as usize).min(cells.len());
                let held = cells[first..].iter().take(count).map(|cell| known(*cell));
                Ok(held.chain(std::iter::repeat(None)).take(count).collect())
            }
            Self::File { file, rows } => {
                let there = rows.saturating_sub(first_row).min(count as u64) as usize;
                let mut bytes = vec![0; there * 8];
                file.read_exact_at(&mut bytes, first_row * 8)
                    .map_err(|error| CatalogError::io("reading cells back from a temporary file", error))?;
                let (cells, _) = bytes.as_chunks::<8>();
                let read = cells.iter().map(|cell| known(u64::from_le_bytes(*cell)));
                Ok(read.chain(std::iter::repeat(None)).take(count).collect())
            }
        }
    }
}

/// Takes cells in any order of rows. What does not fit in memory is sorted by row and written from front to back, since
/// a disk writes one row here and one there a thousand times slower.
enum CellsWriter {
    Held(Vec<u64>),
    Sorted { entries: Entries, rows: u64, spill: PathBuf },
}

impl CellsWriter {
    fn new(rows: u64, spill: &Path, memory: usize) -> Self {
        if rows <= (memory / 16) as u64 {
            Self::Held(vec![NO_CELL; rows as usize])
        } else {
            Self::Sorted { entries: Entries::new(spill, memory), rows, spill: spill.to_owned() }
        }
    }

    fn set(&mut self, row: u64, cell: u64) -> Result<(), CatalogError> {
        match self {
            Self::Held(cells) => cells[row as usize] = cell,
            Self::Sorted { entries, .. } => entries.push(Entry { key: row.into(), row, value: cell })?,
        }
        Ok(())
    }

    fn finish(self) -> Result<RowCells, CatalogError> {
        let (entries, rows, spill) = match self {
            Self::Held(cells) => return Ok(RowCells::Held(cells)),
            Self::Sorted { entries, rows, spill } => (entries, rows, spill),
        };
        let failed = |error| CatalogError::io(format!("setting cells aside in {}", spill.display()), error);
        let mut writer = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&spill).map_err(failed)?);
        let mut next = 0;
        for entry in Entries::sorted(vec![entries])? {
            let entry = entry?;
            for _ in next..entry.row {
                writer.write_all(&NO_CELL.to_le_bytes()).map_err(failed)?;
            }
            writer.write_all(&entry.value.to_le_bytes()).map_err(failed)?;
            next = entry.row + 1;
        }
        for _ in next..rows {
            writer.write_all(&NO_CELL.to_le_bytes()).map_err(failed)?;
        }
        let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok(RowCells::File { file, rows })
    }
}

/// The keys of a director with the cells of its rows, read from its files.
pub(crate) async fn director_keys(
    director: &CatalogSnapshot,
    id: &str,
    ctx: &BuildContext<'_>,
) -> Result<Keyed, CatalogError> {
    let table = &director.descriptor().name;
    let field = director
        .schema()
        .field_with_name(id)
        .map_err(|_| CatalogError::input(table, format!("it has no column {id} that another table could name")))?;
    let first_rows: Arc<[u64]> =
        director.files().iter().scan(0, |next, file| Some(std::mem::replace(next, *next + file.rows))).collect();
    let empty = || Keyed::new(id, field.data_type(), ctx.spill, ctx.memory / ctx.threads.max(1));
    let prepared = (0..ctx.threads.max(1)).map(|_| empty()).collect::<Result<Vec<_>, _>>()?;
    let prepared = Arc::new(Mutex::new(prepared));
    let (reader, id) = (LeafReader::new(director), id.to_owned());
    let many = share(ctx.threads, director.files().len(), move |numbers| {
        let (prepared, reader, first_rows, id) =
            (Arc::clone(&prepared), reader.clone(), Arc::clone(&first_rows), id.clone());
        async move {
            let keyed = prepared.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut keyed) = keyed else { unreachable!("there are no more workers than threads") };
            while let Some(number) = numbers.next() {
                let mut row = first_rows[number];
                let mut batches = reader.open(number).await?.key_and_cells(&id)?;
                while let Some((keys, cells)) = batches.next().await? {
                    keyed.push_cells(&keys, row, &cells)?;
                    row += cells.len() as u64;
                }
            }
            Ok(keyed)
        }
    });
    match Keyed::gathered(many.await?) {
        Some(keyed) => Ok(keyed),
        None => empty(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::{Int32Array, Int64Array, LargeStringArray, StringArray, UInt64Array};
    use proptest::prelude::*;

    use super::*;

    const ROWS: &str = "rows";

    fn keyed(keys: &[ArrayRef], best: Option<&[Option<f64>]>, memory: usize, folder: &Path) -> Keyed {
        let mut keyed = Keyed::new(ROWS, keys[0].data_type(), folder, memory).unwrap();
        let mut row = 0;
        for keys in keys {
            let best = best.map(|best| Float64Array::from(best[row..row + keys.len()].to_vec()));
            keyed.push(keys, row as u64, best.as_ref()).unwrap();
            row += keys.len();
        }
        keyed
    }

    /// What a hash map says is dropped, and how many keys repeat.
    fn expected(keys: &[Option<String>], best: Option<&[Option<f64>]>) -> (Vec<u64>, u64) {
        let mut groups: HashMap<&String, Vec<usize>> = HashMap::new();
        for (row, key) in keys.iter().enumerate() {
            if let Some(key) = key {
                groups.entry(key).or_default().push(row);
            }
        }
        let mut dropped = Vec::new();
        let value = |row: usize| best.and_then(|best| best[row]).filter(|value| !value.is_nan());
        for rows in groups.values() {
            let kept = rows.iter().copied().reduce(|kept, row| match (value(kept), value(row)) {
                (None, Some(_)) => row,
                (Some(old), Some(new)) if new > old => row,
                _ => kept,
            });
            dropped.extend(rows.iter().filter(|row| Some(**row) != kept).map(|row| *row as u64));
        }
        dropped.sort_unstable();
        (dropped, groups.values().filter(|rows| rows.len() > 1).count() as u64)
    }

    fn key() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            1 => Just(None),
            9 => "[ab]{0,3}".prop_map(Some),
            3 => "[ab]{1,2}".prop_map(|text| Some(format!("a long identifier that is hashed, α {text}"))),
            // Of the greatest length that is kept, and one more.
            2 => "[ab]{15,16}".prop_map(Some),
        ]
    }

    fn value() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            Just(None),
            Just(Some(f64::NAN)),
            Just(Some(0.0)),
            Just(Some(-0.0)),
            Just(Some(f64::NEG_INFINITY)),
            (-2..3_i32).prop_map(|value| Some(f64::from(value) / 2.0)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn duplicates_of_text_are_those_that_a_hash_map_finds(
            rows in proptest::collection::vec((key(), value()), 0..400),
            memory in prop_oneof![Just(0), Just(10_000_usize), Just(1 << 20)],
            size in 1..50_usize,
            keep in prop_oneof![Just(Keep::First), Just(Keep::Best)],
        ) {
            let (keys, values): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            let folder = tempfile::tempdir().unwrap();
            let mut chunks: Vec<ArrayRef> =
                keys.chunks(size).map(|keys| Arc::new(StringArray::from(keys.to_vec())) as ArrayRef).collect();
            chunks.push(Arc::new(LargeStringArray::from(Vec::<Option<&str>>::new())));
            let keyed = keyed(&chunks, Some(&values), memory, folder.path());
            let found = keyed.duplicates(keep, Some).unwrap();
            let (dropped, repeated) = expected(&keys, (keep == Keep::Best).then_some(&values));
            prop_assert_eq!(found.dropped.within(0..u64::MAX).collect::<Vec<_>>(), dropped.clone());
            prop_assert_eq!((found.dropped.len(), found.keys), (dropped.len() as u64, repeated));
            prop_assert_eq!(found.examples.len() as u64, repeated.min(EXAMPLES as u64));
            for example in &found.examples {
                prop_assert!(example.rows.len() > 1 && example.rows.is_sorted());
                for row in &example.rows {
                    let key = &keys[*row as usize];
                    prop_assert_eq!(key, &keys[example.rows[0] as usize]);
                    prop_assert!(example.key.is_none() || &example.key == key);
                    prop_assert_eq!(example.key.is_none(), key.as_ref().unwrap().len() > 15);
                }
            }
        }

        #[test]
        fn a_join_gives_each_row_the_cell_that_a_hash_map_gives(
            children in proptest::collection::vec(proptest::option::weighted(0.9, -40..40_i64), 0..600),
            directors in proptest::collection::vec((-40..40_i32, 0..1_u64 << 60), 0..60),
            memory in prop_oneof![Just(0), Just(5_000_usize), Just(1 << 20)],
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut known: HashMap<i64, u64> = HashMap::new();
            let mut repeated: HashMap<i64, u64> = HashMap::new();
            for (key, cell) in &directors {
                known.entry((*key).into()).or_insert(*cell);
                *repeated.entry((*key).into()).or_default() += 1;
            }
            let (ids, cells): (Vec<_>, Vec<_>) = directors.into_iter().unzip();
            let mut director = Keyed::new("id", &DataType::Int32, folder.path(), memory).unwrap();
            director.push_cells(&(Arc::new(Int32Array::from(ids)) as ArrayRef), 0, &cells).unwrap();
            let chunks: Vec<ArrayRef> =
                children.chunks(70).map(|keys| Arc::new(Int64Array::from(keys.to_vec())) as ArrayRef).collect();
            let child = match chunks.is_empty() {
                true => Keyed::new("k", &DataType::Int64, folder.path(), memory).unwrap(),
                false => keyed(&chunks, None, memory, folder.path()),
            };
            let rows = children.len() as u64;
            let joined = child.join(director, rows, |row| row).unwrap();
            let expected: Vec<_> = children.iter().map(|key| known.get(&(*key)?).copied()).collect();
            prop_assert_eq!(joined.cells.of(0, children.len()).unwrap(), expected.clone());
            prop_assert_eq!(joined.cells.of(rows / 2, 3).unwrap().first().copied().flatten(), expected.get(children.len() / 2).copied().flatten());
            let unknown = children.iter().zip(0..).filter(|(key, _)| key.is_some_and(|key| !known.contains_key(&key)));
            prop_assert_eq!(joined.unknown.within(0..rows).collect::<Vec<u64>>(), unknown.map(|(_, row)| row).collect::<Vec<_>>());
            prop_assert_eq!(joined.ambiguous, repeated.values().filter(|count| **count > 1).count() as u64);
        }
    }

    #[test]
    fn numbers_are_compared_by_value_and_not_by_their_bits() {
        let folder = tempfile::tempdir().unwrap();
        let mut director = Keyed::new("id", &DataType::UInt64, folder.path(), 1 << 20).unwrap();
        let ids: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 7]));
        director.push_cells(&ids, 0, &[1, 2]).unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![-1, 7]));
        let joined = keyed(&[keys], None, 1 << 20, folder.path()).join(director, 2, |row| row).unwrap();
        assert_eq!(joined.cells.of(0, 2).unwrap(), [None, Some(2)]);
    }

    #[test]
    fn rows_have_places_of_their_own_and_some_take_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![5, 5, 7, 5, 7]));
        let mut keyed = Keyed::new(ROWS, keys.data_type(), folder.path(), 1 << 20).unwrap();
        keyed.push(&keys, 1 << 40, None).unwrap();
        let found = keyed.duplicates(Keep::First, |row| (row != 1 << 40).then(|| row - (1 << 40))).unwrap();
        assert_eq!((found.keys, found.dropped.len()), (2, 2));
        assert_eq!(found.dropped.within(0..10).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(found.dropped.within(4..200).collect::<Vec<_>>(), [4]);
        assert_eq!(found.examples[0].rows, [(1 << 40) + 1, (1 << 40) + 3]);
    }

    #[test]
    fn one_key_in_every_row_streams_by() {
        let folder = tempfile::tempdir().unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![5; 10_000]));
        let found = keyed(&[keys], None, 0, folder.path()).duplicates(Keep::First, Some).unwrap();
        assert_eq!((found.keys, found.dropped.len(), found.dropped.contains(0)), (1, 9_999, false));
        assert_eq!(found.examples, [Example { key: Some("5".into()), rows: vec![0, 1, 2, 3] }]);
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_by_its_type() {
        let refused = |data_type| Keyed::new("mag", &data_type, Path::new("."), 0).err().unwrap().to_string();
        assert_eq!(
            refused(DataType::Float64),
            "column mag: it cannot be a key: it is Float64, and a key is a whole number or text"
        );
        let folder = tempfile::tempdir().unwrap();
        let keyed = |data_type| Keyed::new("k", &data_type, folder.path(), 0).unwrap();
        let mixed = keyed(DataType::Utf8).join(keyed(DataType::Int8), 0, |row| row).err().unwrap().to_string();
        assert!(mixed.contains("one is text and the other a number"), "{mixed}");
    }
}
