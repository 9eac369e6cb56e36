//! Several threads decoding the pieces of the sources, handed out in order.
//!
//! ```text
//!   sources ─▶ Feed ─piece 0─▶ thread a ─▶ act(source, rows)
//!               │  ─piece 1─▶ thread b ─▶ act(source, rows)
//! ```
//! What is at fault is told of the first piece in the order of the sources, whichever thread met a fault first: a piece is
//! always finished when one before it might still fail. When nobody waits for the work any more, it stops.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use formats::{FormatError, Piece, Pieces, Rows, TableSource};

use crate::CatalogError;

/// Tells the threads of an import that nobody waits for them any more.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to stop.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails when it is time to stop.
    pub(super) fn check(&self) -> Result<(), CatalogError> {
        if self.is_set() { Err(CatalogError::input("import", "it was broken off")) } else { Ok(()) }
    }

    /// Stops when the guard is dropped.
    pub(super) fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

/// See [`Stop::on_drop`].
pub(super) struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// What is done with rows of a source, on several threads at once.
pub(super) type Act<'a> = &'a (dyn Fn(usize, Rows) -> Result<(), CatalogError> + Sync);

/// Decodes some of the sources, of each all columns or those with the given indices.
pub(super) fn each_rows(
    sources: &[Box<dyn TableSource>],
    range: Range<usize>,
    indices: &[Option<Vec<usize>>],
    threads: usize,
    stop: &Stop,
    act: Act<'_>,
) -> Result<(), CatalogError> {
    let feed = Mutex::new(Feed { sources, indices, source: range.start, end: range.end, pieces: None, handed: 0 });
    // The first piece, in the order of the sources, that failed.
    let failed_at = AtomicU64::new(u64::MAX);
    let failure: Mutex<Option<(u64, CatalogError)>> = Mutex::new(None);
    let work = || {
        while failed_at.load(Ordering::Acquire) == u64::MAX && !stop.is_set() {
            let next = feed.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, source, piece)) = next else { return };
            let is_late = || failed_at.load(Ordering::Acquire) < number || stop.is_set();
            let outcome = piece.map_err(CatalogError::from).and_then(|piece| decode(piece, source, act, &is_late));
            if let Err(error) = outcome {
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure.as_ref().is_none_or(|(first, _)| number < *first) {
                    *failure = Some((number, error));
                    failed_at.store(number, Ordering::Release);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    stop.check()?;
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Decodes a piece. What `act` refuses is carried past the reader, which knows only failures of its own kind.
fn decode(piece: Piece<'_>, source: usize, act: Act<'_>, is_late: &dyn Fn() -> bool) -> Result<(), CatalogError> {
    let mut refused = None;
    let mut late = false;
    let decoded = piece.decode(&mut |rows| {
        if is_late() {
            late = true;
            return Err(FormatError::bad("import", "it was broken off"));
        }
        act(source, rows).map_err(|error| {
            refused = Some(error);
            FormatError::bad("import", "it was refused")
        })
    });
    match (refused, decoded) {
        (Some(error), _) => Err(error),
        (None, Err(_)) if late => Ok(()), // somebody before has failed
        (None, decoded) => Ok(decoded?),
    }
}

/// The pieces of the sources, one after the other.
struct Feed<'a> {
    sources: &'a [Box<dyn TableSource>],
    indices: &'a [Option<Vec<usize>>],
    source: usize,
    end: usize,
    pieces: Option<Pieces<'a>>,
    handed: u64,
}

impl<'a> Feed<'a> {
    fn next(&mut self) -> Option<(u64, usize, Result<Piece<'a>, FormatError>)> {
        while self.source < self.end {
            let piece = match &mut self.pieces {
                Some(pieces) => pieces.next(),
                None => match self.sources[self.source].pieces(self.indices[self.source].as_deref()) {
                    Ok(pieces) => {
                        self.pieces = Some(pieces);
                        continue;
                    }
                    Err(error) => Some(Err(error)),
                },
            };
            match piece {
                Some(piece) => {
                    if piece.is_err() {
                        self.end = 0; // nothing after a file that cannot be read
                    }
                    self.handed += 1;
                    return Some((self.handed, self.source, piece));
                }
                None => {
                    self.pieces = None;
                    self.source += 1;
                }
            }
        }
        None
    }
}
