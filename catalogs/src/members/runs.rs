//! Sorting rows out of core: batches held up to a bound, beyond it in sorted Arrow files on the local disk.
//!
//! Rows are compared by some of their columns, in the order-preserving row format of Arrow. Where that leaves rows equal,
//! they are either one row (`distinct`), or the caller has added columns that tell them apart: otherwise the order would
//! depend on what was held when.

use std::{
    cmp::Ordering,
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::interleave_record_batch,
    datatypes::{DataType, Field, SchemaRef},
    ipc::{reader::StreamReader, writer::StreamWriter},
    row::{RowConverter, Rows, SortField},
};
use tempfile::TempPath;

use crate::CatalogError;

/// How many runs are merged at once; more are first made fewer.
const FAN_IN: usize = 32;
/// About how many bytes of rows a batch of a run shall have: one of each run is held while they are merged.
const BATCH_BYTES: usize = 1 << 20;

/// What rows are sorted by.
#[derive(Clone)]
struct Order {
    columns: Arc<[usize]>,
    converter: Arc<RowConverter>,
    distinct: bool,
}

impl Order {
    fn rows(&self, batch: &RecordBatch) -> Result<Rows, CatalogError> {
        let keys: Vec<ArrayRef> = self.columns.iter().map(|column| Arc::clone(batch.column(*column))).collect();
        Ok(self.converter.convert_columns(&keys)?)
    }
}

/// Rows on their way to being sorted.
pub(crate) struct Sorter {
    schema: SchemaRef,
    order: Order,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    memory: usize,
    runs: Vec<TempPath>,
    spill: PathBuf,
}

impl Sorter {
    /// Sorts rows by the columns with these numbers, holding at most about `memory` bytes. With `distinct`, one of all
    /// rows that are equal in them is kept.
    pub(crate) fn new(
        schema: SchemaRef,
        columns: &[usize],
        distinct: bool,
        spill: &Path,
        memory: usize,
    ) -> Result<Self, CatalogError> {
        let fields = columns.iter().map(|column| SortField::new(schema.field(*column).data_type().clone())).collect();
        let order = Order { columns: columns.into(), converter: Arc::new(RowConverter::new(fields)?), distinct };
        Ok(Self { schema, order, held: Vec::new(), held_bytes: 0, memory, runs: Vec::new(), spill: spill.to_owned() })
    }

    /// Adds rows, which should not be a slice of something much larger.
    pub(crate) fn push(&mut self, rows: RecordBatch) -> Result<(), CatalogError> {
        // Sorting takes a copy of the keys and a place for each row, besides the rows.
        self.held_bytes += 2 * rows.get_array_memory_size() + 64 * rows.num_rows();
        self.held.push(rows);
        if self.held_bytes <= self.memory {
            return Ok(());
        }
        let sorted = self.sort_held()?;
        let run = self.write_run(sorted)?;
        self.runs.push(run);
        Ok(())
    }

    /// The rows of all of these, which must be of one kind, sorted.
    pub(crate) fn sorted(many: Vec<Self>) -> Result<Sorted, CatalogError> {
        let mut runs = Vec::new();
        let mut cursors = Vec::new();
        let mut last = None;
        for mut sorter in many {
            runs.append(&mut sorter.runs);
            if !sorter.held.is_empty() {
                cursors.push(Source::Held(sorter.sort_held()?));
            }
            last = Some(sorter);
        }
        let Some(sorter) = last else { return Ok(Sorted::nothing()) };
        while runs.len() > FAN_IN {
            let rest = runs.split_off(FAN_IN);
            let sources = std::mem::replace(&mut runs, rest).into_iter().map(Source::open).collect::<Result<_, _>>()?;
            let merged = Sorted::new(&sorter.schema, Some(sorter.order.clone()), sources)?;
            runs.push(sorter.write_run(merged)?);
        }
        for run in runs {
            cursors.push(Source::open(run)?);
        }
        Sorted::new(&sorter.schema, Some(sorter.order), cursors)
    }

    /// What is held, sorted, and no longer held.
    fn sort_held(&mut self) -> Result<HeldRows, CatalogError> {
        let batches = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let rows = batches.iter().map(|batch| self.order.rows(batch)).collect::<Result<Vec<_>, _>>()?;
        let mut places = Vec::with_capacity(rows.iter().map(Rows::num_rows).sum());
        for (batch, rows) in rows.iter().enumerate() {
            places.extend((0..rows.num_rows()).map(|row| (prefix(rows.row(row).as_ref()), batch as u32, row as u32)));
        }
        let row = |batch: u32, row: u32| rows[batch as usize].row(row as usize);
        places.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| row(a.1, a.2).cmp(&row(b.1, b.2))).then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
        });
        if self.order.distinct {
            places.dedup_by(|b, a| a.0 == b.0 && row(a.1, a.2) == row(b.1, b.2));
        }
        let places = places.into_iter().map(|(_, batch, row)| (batch as usize, row as usize)).collect();
        Ok(HeldRows { batches, places, next: 0, step: batch_rows(&self.schema) })
    }

    fn write_run(
        &self,
        rows: impl Iterator<Item = Result<RecordBatch, CatalogError>>,
    ) -> Result<TempPath, CatalogError> {
        let failed = |error| CatalogError::io(format!("setting rows aside in {}", self.spill.display()), error);
        let file = tempfile::Builder::new().prefix("rows-").tempfile_in(&self.spill).map_err(failed)?;
        let (file, path) = file.into_parts();
        let mut writer = StreamWriter::try_new(BufWriter::with_capacity(BATCH_BYTES, file), &self.schema)?;
        for rows in rows {
            writer.write(&rows?)?;
        }
        writer.into_inner()?.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok(path)
    }
}

/// The first bytes of a key as a number that sorts as they do.
fn prefix(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = key.len().min(16);
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}

/// How many rows of this schema make about [`BATCH_BYTES`].
fn batch_rows(schema: &SchemaRef) -> usize {
    (formats::batch_rows(schema) / 8).clamp(64, 8_192)
}

/// Sorted rows in memory.
struct HeldRows {
    batches: Vec<RecordBatch>,
    places: Vec<(usize, usize)>,
    next: usize,
    step: usize,
}

impl Iterator for HeldRows {
    type Item = Result<RecordBatch, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = (self.next + self.step).min(self.places.len());
        let places = &self.places[self.next..end];
        self.next = end;
        if places.is_empty() {
            return None;
        }
        let batches: Vec<_> = self.batches.iter().collect();
        Some(interleave_record_batch(&batches, places).map_err(CatalogError::from))
    }
}

/// One of the sorted sequences that are merged.
enum Source {
    Held(HeldRows),
    File(Box<StreamReader<BufReader<File>>>, #[allow(dead_code, reason = "deletes the file in the end")] TempPath),
}

impl Source {
    fn open(path: TempPath) -> Result<Self, CatalogError> {
        let file = File::open(&path)
            .map_err(|error| CatalogError::io(format!("reading rows back from {}", path.display()), error))?;
        Ok(Self::File(Box::new(StreamReader::try_new(BufReader::with_capacity(BATCH_BYTES, file), None)?), path))
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, CatalogError> {
        match self {
            Self::Held(rows) => rows.next().transpose(),
            Self::File(reader, _) => Ok(reader.next().transpose()?),
        }
    }
}

/// Where a merge stands in one source.
struct Cursor {
    source: Source,
    keys: Rows,
    row: usize,
    /// The number of its batch among those that the next output draws on.
    batch: usize,
}

/// Rows in ascending order, in batches.
pub(crate) struct Sorted {
    order: Option<Order>,
    cursors: Vec<Cursor>,
    /// The numbers of the cursors that have rows left, as a heap with the least row first.
    heap: Vec<usize>,
    batches: Vec<RecordBatch>,
    places: Vec<(usize, usize)>,
    last: Vec<u8>,
    begun: bool,
    step: usize,
}

impl Sorted {
    fn nothing() -> Self {
        Self {
            order: None,
            cursors: Vec::new(),
            heap: Vec::new(),
            batches: Vec::new(),
            places: Vec::new(),
            last: Vec::new(),
            begun: false,
            step: 0,
        }
    }

    fn new(schema: &SchemaRef, order: Option<Order>, sources: Vec<Source>) -> Result<Self, CatalogError> {
        let mut sorted = Self { order, step: batch_rows(schema), ..Self::nothing() };
        let Some(order) = &sorted.order else { return Ok(sorted) };
        for mut source in sources {
            if let Some(batch) = next_with_rows(&mut source)? {
                let keys = order.rows(&batch)?;
                sorted.heap.push(sorted.cursors.len());
                sorted.cursors.push(Cursor { source, keys, row: 0, batch: sorted.batches.len() });
                sorted.batches.push(batch);
            }
        }
        for place in (0..sorted.heap.len() / 2).rev() {
            sorted.sink(place);
        }
        Ok(sorted)
    }

    /// Which of two cursors comes first: that with the lesser row, and of equal rows that of the first source.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        let key = |cursor: usize| self.cursors[cursor].keys.row(self.cursors[cursor].row);
        key(a).cmp(&key(b)).then(a.cmp(&b))
    }

    /// Lets the cursor at a place of the heap sink until those below it are not less.
    fn sink(&mut self, mut place: usize) {
        loop {
            let below = [2 * place + 1, 2 * place + 2].into_iter().filter(|below| *below < self.heap.len());
            let Some(least) = below.min_by(|a, b| self.compare(self.heap[*a], self.heap[*b])) else { return };
            if self.compare(self.heap[place], self.heap[least]).is_le() {
                return;
            }
            self.heap.swap(place, least);
            place = least;
        }
    }

    /// Notes the least row for output and moves its cursor on.
    fn step(&mut self, least: usize) -> Result<(), CatalogError> {
        let distinct = self.order.as_ref().is_some_and(|order| order.distinct);
        let cursor = &mut self.cursors[least];
        let key = cursor.keys.row(cursor.row);
        if !(distinct && self.begun && self.last == key.as_ref()) {
            self.places.push((cursor.batch, cursor.row));
            if distinct {
                self.last.clear();
                self.last.extend_from_slice(key.as_ref());
                self.begun = true;
            }
        }
        cursor.row += 1;
        if cursor.row == cursor.keys.num_rows() {
            match (next_with_rows(&mut cursor.source)?, &self.order) {
                (Some(batch), Some(order)) => {
                    cursor.keys = order.rows(&batch)?;
                    (cursor.row, cursor.batch) = (0, self.batches.len());
                    self.batches.push(batch);
                }
                _ => drop(self.heap.swap_remove(0)),
            }
        }
        self.sink(0);
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, CatalogError> {
        // Batches that are used up are held until the next output, so their number ends an output, too.
        while self.places.len() < self.step && self.batches.len() <= 2 * self.cursors.len() + 8 {
            let Some(least) = self.heap.first() else { break };
            self.step(*least)?;
        }
        if self.places.is_empty() {
            return if self.heap.is_empty() { Ok(None) } else { self.forget_used().map(|()| None) };
        }
        let batches: Vec<_> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &self.places)?;
        self.forget_used()?;
        Ok(Some(rows))
    }

    /// Keeps only the batches that cursors stand in.
    fn forget_used(&mut self) -> Result<(), CatalogError> {
        self.places.clear();
        let mut kept = Vec::with_capacity(self.heap.len());
        for cursor in &self.heap {
            let cursor = &mut self.cursors[*cursor];
            kept.push(self.batches[cursor.batch].clone());
            cursor.batch = kept.len() - 1;
        }
        self.batches = kept;
        Ok(())
    }
}

fn next_with_rows(source: &mut Source) -> Result<Option<RecordBatch>, CatalogError> {
    while let Some(batch) = source.next()? {
        if batch.num_rows() > 0 {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

impl Iterator for Sorted {
    type Item = Result<RecordBatch, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_batch() {
                Ok(None) if !self.heap.is_empty() => {} // only repeated rows so far
                result => return result.transpose(),
            }
        }
    }
}

/// A column that tells rows apart that are otherwise equal.
pub(crate) fn number_field(name: &str) -> Field {
    Field::new(name, DataType::UInt64, false)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{AsArray, Int64Array, StringArray},
        compute::concat_batches,
        datatypes::Int64Type,
    };
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: &[(i64, String)]) -> RecordBatch {
        let numbers = Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()) as ArrayRef;
        let text = Arc::new(rows.iter().map(|row| Some(&row.1)).collect::<StringArray>()) as ArrayRef;
        RecordBatch::try_from_iter([("n", numbers), ("text", text)]).unwrap()
    }

    fn sorted(sorters: Vec<Sorter>) -> Vec<(i64, String)> {
        let batches: Vec<_> = Sorter::sorted(sorters).unwrap().map(Result::unwrap).collect();
        let Some(first) = batches.first() else { return Vec::new() };
        let rows = concat_batches(&first.schema(), &batches).unwrap();
        let (numbers, text) = (rows.column(0).as_primitive::<Int64Type>(), rows.column(1).as_string::<i32>());
        numbers.values().iter().copied().zip(text.iter().map(|text| text.unwrap().to_owned())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_come_back_sorted_by_all_keys_whatever_the_memory(
            given in proptest::collection::vec((-5..5_i64, "[a-cä]{0,20}"), 0..1_200),
            memory in prop_oneof![Just(0), Just(30_000_usize), Just(usize::MAX)],
            distinct in any::<bool>(),
            size in 1..40_usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let sorter = || Sorter::new(batch(&[]).schema(), &[1, 0], distinct, folder.path(), memory).unwrap();
            let mut sorters = vec![sorter(), sorter()];
            for (number, rows) in given.chunks(size).enumerate() {
                sorters[number % 2].push(batch(rows)).unwrap();
            }
            let mut expected = given;
            expected.sort_by(|a, b| (a.1.as_bytes(), a.0).cmp(&(b.1.as_bytes(), b.0)));
            if distinct {
                expected.dedup();
            }
            prop_assert_eq!(sorted(sorters), expected);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "temporary files are left");
        }
    }

    #[test]
    fn many_runs_and_many_equal_rows_are_merged() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(batch(&[]).schema(), &[0], true, folder.path(), 0).unwrap();
        for _ in 0..200 {
            sorter.push(batch(&[(7, "same".into()), (3, "same".into())])).unwrap();
        }
        assert_eq!(sorter.runs.len(), 200);
        assert_eq!(sorted(vec![sorter]), [(3, "same".into()), (7, "same".into())]);
        assert!(sorted(Vec::new()).is_empty());
    }
}
