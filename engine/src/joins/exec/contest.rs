//! For each row that is kept in memory, the nearest of all rows that come by.
//!
//! The rows that come by are many, and few are the nearest of anything: those that were when they came are put aside,
//! in the order in which they came. Whether one stays the nearest is known when all have come.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicU64, AtomicUsize, Ordering as Memory},
};
use std::{cmp::Ordering, collections::HashSet};

use datafusion::{
    arrow::array::{Array, RecordBatch},
    common::utils::memory::get_record_batch_memory_size,
    error::Result,
    execution::memory_pool::MemoryReservation,
};

use super::{
    collect::RowOrder,
    rows::{Rows, take_rows},
    spec::Spec,
};
use crate::joins::condition::Side;

/// How many rows share a lock.
const A_LOCK: usize = 1024;
/// For how many of the nearest memory is asked beforehand, at most.
const MOST_PAID: usize = 64;

/// A row that came by and is near to one in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// In degrees.
    pub(super) distance: f64,
    pub(super) cell: u64,
    /// The stream that it came with.
    pub(super) stream: u32,
    /// Whether the row in memory is the nearest to it.
    pub(super) likes: bool,
    /// Its number within that stream.
    pub(super) number: u64,
}

/// For each row in memory the best that came by.
#[derive(Debug)]
pub(super) struct Contest {
    k: usize,
    best: Vec<Mutex<Vec<Vec<Candidate>>>>,
    streams: Vec<Aside>,
    memory: MemoryReservation,
    /// How many bytes of it rows that are put aside may take without asking.
    paid: AtomicUsize,
}

/// What was put aside of one stream.
#[derive(Debug, Default)]
struct Aside {
    kept: RwLock<Kept>,
    /// How many rows have come.
    came: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// Ascending.
    numbers: Vec<u64>,
    batches: Vec<RecordBatch>,
    /// The number of the first row of each batch in `numbers`.
    starts: Vec<usize>,
    /// The batch that is being looked at, and the numbers of its rows.
    current: Option<(RecordBatch, Arc<[u64]>)>,
}

impl Contest {
    /// The memory has [`Contest::bytes`] already.
    pub(super) fn new(k: usize, rows: usize, streams: usize, a_row: usize, memory: MemoryReservation) -> Self {
        let locks = rows.div_ceil(A_LOCK);
        let best = (0..locks).map(|_| Mutex::new(vec![Vec::new(); A_LOCK])).collect();
        Self {
            k,
            best,
            streams: (0..streams).map(|_| Aside::default()).collect(),
            memory,
            paid: AtomicUsize::new(rows * k.min(MOST_PAID) * a_row),
        }
    }

    /// How many bytes a contest of so many rows takes, if those that are put aside have so many bytes each.
    pub(super) fn bytes(rows: usize, k: usize, a_row: usize) -> usize {
        rows * (size_of::<Vec<Candidate>>() + k.min(MOST_PAID) * (size_of::<Candidate>() + a_row))
    }

    /// Takes memory for rows that are put aside.
    fn pay(&self, bytes: usize) -> Result<()> {
        let take = |paid: usize| paid.checked_sub(bytes);
        match self.paid.fetch_update(Memory::Relaxed, Memory::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => self.memory.try_grow(bytes),
        }
    }

    /// Lets go of rows of a stream that are the nearest of nothing any more.
    fn thin(&self, stream: usize) -> Result<()> {
        let mut live: Vec<u64> = Vec::new();
        for rows in &self.best {
            let of_stream = |candidate: &&Candidate| candidate.stream as usize == stream;
            live.extend(lock(rows).iter().flatten().filter(of_stream).map(|candidate| candidate.number));
        }
        live.sort_unstable();
        // Others only take from these: what is not among them now never will be.
        let mut kept = self.streams[stream].kept.write().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *kept);
        kept.current = all.current;
        for (batch, start) in all.batches.into_iter().zip(all.starts) {
            let numbers = &all.numbers[start..start + batch.num_rows()];
            let rows: Vec<u32> = (0..batch.num_rows() as u32)
                .filter(|row| live.binary_search(&numbers[*row as usize]).is_ok())
                .collect();
            let fewer = if rows.len() < numbers.len() { take_rows(&batch, rows.clone())? } else { batch.clone() };
            self.paid.fetch_add(bytes_of(&batch).saturating_sub(bytes_of(&fewer)), Memory::Relaxed);
            if !rows.is_empty() {
                let first = kept.numbers.len();
                kept.starts.push(first);
                kept.numbers.extend(rows.iter().map(|row| numbers[*row as usize]));
                kept.batches.push(fewer);
            }
        }
        Ok(())
    }

    /// The numbers of the next rows of a stream.
    pub(super) fn number(&self, stream: usize, rows: usize) -> Arc<[u64]> {
        let first = self.streams[stream].came.fetch_add(rows as u64, Memory::Relaxed);
        (first..first + rows as u64).collect()
    }

    /// Begins to look at a batch.
    pub(super) fn begin(&self, stream: usize, batch: &RecordBatch, numbers: &Arc<[u64]>) {
        let mut kept = self.streams[stream].kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.current = Some((batch.clone(), Arc::clone(numbers)));
    }

    /// Ends it: these of its rows are put aside. `all` tells whether all of them are needed to the end.
    pub(super) fn end(&self, stream: usize, rows: Vec<u32>, all: bool) -> Result<()> {
        let mut kept = self.streams[stream].kept.write().unwrap_or_else(PoisonError::into_inner);
        let Some((batch, numbers)) = kept.current.take() else { return Ok(()) };
        if rows.is_empty() {
            return Ok(());
        }
        let first = kept.numbers.len();
        kept.numbers.extend(rows.iter().map(|row| numbers[*row as usize]));
        let batch = take_rows(&batch, rows)?;
        let bytes = bytes_of(&batch);
        kept.starts.push(first);
        kept.batches.push(batch);
        drop(kept);
        match self.pay(bytes) {
            Err(_) if !all => {
                self.thin(stream)?;
                // What is left are the nearest of something, as many as were paid for: only longer than they were
                // thought.
                if self.pay(bytes).is_err() {
                    self.memory.grow(bytes);
                }
                Ok(())
            }
            paid => paid,
        }
    }

    /// A row that came by is near to one in memory. Whether it is among the best there.
    pub(super) fn offer(&self, row: u32, candidate: Candidate, ties: &mut Ties) -> Result<bool> {
        let mut rows = lock(&self.best[row as usize / A_LOCK]);
        let best = &mut rows[row as usize % A_LOCK];
        if best.len() == self.k {
            let Some(last) = best.last() else { return Ok(false) };
            if self.compare(&candidate, last, ties)? == Ordering::Greater {
                return Ok(false);
            }
            best.pop();
        }
        let mut place = best.len();
        while place > 0 && self.compare(&candidate, &best[place - 1], ties)? == Ordering::Less {
            place -= 1;
        }
        if best.is_empty() {
            best.reserve_exact(self.k.min(4));
        }
        best.insert(place, candidate);
        Ok(true)
    }

    fn compare(&self, one: &Candidate, other: &Candidate, ties: &mut Ties) -> Result<Ordering> {
        let order = one.distance.total_cmp(&other.distance).then(one.cell.cmp(&other.cell));
        match &mut ties.0 {
            Some(rows) if order == Ordering::Equal => {
                let (one, other) = (self.columns(one), self.columns(other));
                let keys = rows.keys(|column| {
                    let both: Vec<&dyn Array> =
                        [&one, &other].into_iter().map(|row| row.column(column).as_ref()).collect();
                    Ok(datafusion::arrow::compute::concat(&both)?)
                })?;
                Ok(keys.row(0).cmp(&keys.row(1)))
            }
            _ => Ok(order),
        }
    }

    /// One row that is put aside, or looked at.
    fn columns(&self, candidate: &Candidate) -> RecordBatch {
        let kept = self.streams[candidate.stream as usize].kept.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((batch, numbers)) = &kept.current
            && let Ok(row) = numbers.binary_search(&candidate.number)
        {
            return batch.slice(row, 1);
        }
        let at = kept.numbers.partition_point(|number| *number < candidate.number);
        let batch = kept.starts.partition_point(|start| *start <= at) - 1;
        kept.batches[batch].slice(at - kept.starts[batch], 1)
    }

    /// All that was put aside, one stream after the other, and how to find it there.
    pub(super) fn aside(&self) -> Gone {
        let (mut batches, mut numbers, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = 0;
        for stream in &self.streams {
            let mut kept = stream.kept.write().unwrap_or_else(PoisonError::into_inner);
            firsts.push(rows as u32);
            rows += kept.numbers.len();
            batches.append(&mut kept.batches);
            numbers.push(std::mem::take(&mut kept.numbers));
        }
        Gone { rows: Rows::new(batches), numbers, firsts }
    }

    /// The best of a row in memory.
    pub(super) fn best(&self, row: u32, mut each: impl FnMut(&Candidate)) {
        lock(&self.best[row as usize / A_LOCK])[row as usize % A_LOCK].iter().for_each(&mut each);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a batch takes that is put aside.
fn bytes_of(batch: &RecordBatch) -> usize {
    get_record_batch_memory_size(batch) + size_of::<u64>() * batch.num_rows()
}

/// What decides between rows that are equally near.
#[derive(Debug)]
pub(super) struct Ties(Option<RowOrder>);

impl Ties {
    pub(super) fn new(spec: &Spec, side: Side) -> Result<Self> {
        Ok(Self(RowOrder::new(spec, side)?))
    }
}

/// What was put aside, when all have come.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) rows: Rows,
    numbers: Vec<Vec<u64>>,
    firsts: Vec<u32>,
}

impl Gone {
    /// The number of a candidate's row among `rows`.
    pub(super) fn row(&self, candidate: &Candidate) -> u32 {
        let stream = candidate.stream as usize;
        self.firsts[stream] + self.numbers[stream].partition_point(|number| *number < candidate.number) as u32
    }

    /// The number that a row had in its stream.
    pub(super) fn number(&self, row: u32) -> u64 {
        let stream = self.firsts.partition_point(|first| *first <= row) - 1;
        self.numbers[stream][(row - self.firsts[stream]) as usize]
    }
}

/// The rows of a batch that are to be put aside.
#[derive(Debug, Default)]
pub(super) struct Wanted(HashSet<u32>);

impl Wanted {
    pub(super) fn add(&mut self, row: u32) {
        self.0.insert(row);
    }

    pub(super) fn has(&self, row: u32) -> bool {
        self.0.contains(&row)
    }

    pub(super) fn take(&mut self) -> Vec<u32> {
        let mut rows: Vec<u32> = self.0.drain().collect();
        rows.sort_unstable();
        rows
    }
}
