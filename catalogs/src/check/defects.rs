//! What is wrong, collected from all threads.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

/// Something that is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Defect {
    /// The file at fault, below the version's folder or that of the foreign tree.
    pub file: String,
    /// The row group of it, where one is at fault, counted from 0.
    pub row_group: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row_group {
            Some(group) => write!(f, "{}, row group {group}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Takes defects, a bounded number of them to be told. Cheap to clone.
#[derive(Clone)]
pub(super) struct Defects(Arc<Mutex<Found>>);

struct Found {
    most: usize,
    told: Vec<Defect>,
    more: u64,
}

impl Defects {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Found { most, told: Vec::new(), more: 0 })))
    }

    pub(super) fn add(&self, file: &str, row_group: Option<usize>, what: impl fmt::Display) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.told.len() < found.most {
            let what = what.to_string();
            found.told.push(Defect { file: file.to_owned(), row_group, what });
        } else {
            found.more += 1;
        }
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).told.is_empty()
    }

    /// Those to be told, by file, and how many more there are.
    pub(super) fn told(&self) -> (Vec<Defect>, u64) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = std::mem::take(&mut found.told);
        told.sort();
        (told, found.more)
    }
}

/// Counts rows with one fault, and remembers the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    count: u64,
    first: u64,
}

impl Tally {
    pub(super) fn add(&mut self, row: u64) {
        if self.count == 0 {
            self.first = row;
        }
        self.count += 1;
    }

    /// `3 rows, the first is row 7` or `row 7`, where rows are counted from 1; nothing if there are none.
    pub(super) fn told(&self) -> Option<String> {
        match self.count {
            0 => None,
            1 => Some(format!("row {}", self.first + 1)),
            count => Some(format!("{count} rows, the first is row {}", self.first + 1)),
        }
    }
}

/// `1 row`, `3 rows`.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
