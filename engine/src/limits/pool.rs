//! Memory for intermediate results: one pool for the process, a part of it for each query.
//!
//! ```text
//!   ├── guaranteed ──┬──────────────┬─ … ─┤├──────────── common ────────────┤
//!       one query        another             whoever comes first
//! ```
//! A quarter of the memory is guaranteed to the first [`GUARANTEED`] queries, in equal parts that nobody else takes; the
//! rest is for whoever comes first. So one large query does not keep small ones from running.
//!
//! Within a query, by what an operator does that may have no more ([`Otherwise`]):
//!
//! ```text
//!   ├─ those that fail, as much as they need ─┤├── those that spill or merge less, in equal shares ──┤├─ for the first ─┤
//!                                              └───────────── three quarters of what is left ───────┘
//! ```
//! A merge of sorted runs takes whatever it is given, so first come, first served would let that of one partition take what
//! that of another needs to go on, and what the operators above them need, which fail without.
//!
//! What a query still holds when its pool is dropped, because an operator leaked it, comes back then.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};

use crate::size;

/// How many queries at once have memory that nobody else takes.
pub(crate) const GUARANTEED: usize = 4;

/// The memory of all queries.
#[derive(Debug)]
pub(crate) struct Pool {
    total: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    queries: usize,
    /// How many of them have a guarantee.
    guarantees: usize,
    /// By all queries.
    used: usize,
    /// By all queries beyond their guarantees.
    common: usize,
}

impl Pool {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, held: Mutex::default() })
    }

    /// A part for one query that may have so much of it.
    pub(crate) fn share(self: &Arc<Self>, limit: Option<usize>) -> Arc<QueryPool> {
        let mut held = self.held();
        held.queries += 1;
        let guaranteed = held.guarantees < GUARANTEED;
        held.guarantees += usize::from(guaranteed);
        Arc::new(QueryPool {
            pool: Arc::clone(self),
            guarantee: if guaranteed { self.guarantee() } else { 0 },
            guaranteed,
            limit: limit.unwrap_or(self.total),
            state: Mutex::default(),
        })
    }

    /// How many queries have a part.
    pub(crate) fn queries(&self) -> usize {
        self.held().queries
    }

    /// How much all queries hold.
    pub(crate) fn used(&self) -> usize {
        self.held().used
    }

    /// The part that is one query's alone.
    pub(crate) fn guarantee(&self) -> usize {
        self.total / 4 / GUARANTEED
    }

    fn common(&self) -> usize {
        self.total - self.guarantee() * GUARANTEED
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner) // numbers, changed in one step
    }
}

/// What an operator does that may have no more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Otherwise {
    /// It goes on, on the disk.
    Spill,
    /// It merges fewer sorted runs at once.
    MergeLess,
    /// Its query ends.
    Fail,
}

impl Otherwise {
    fn of(consumer: &MemoryConsumer) -> Self {
        match consumer.can_spill() {
            true => Self::Spill,
            false if consumer.name().starts_with("ExternalSorterMerge[") => Self::MergeLess,
            false => Self::Fail,
        }
    }
}

/// Whether an operator has a share. A sort has one with its merge, which lives longer.
fn has_share(consumer: &MemoryConsumer) -> bool {
    match Otherwise::of(consumer) {
        Otherwise::Spill => !consumer.name().starts_with("ExternalSorter["),
        Otherwise::MergeLess => true,
        Otherwise::Fail => false,
    }
}

/// The memory of one query.
#[derive(Debug)]
pub(crate) struct QueryPool {
    pool: Arc<Pool>,
    guarantee: usize,
    guaranteed: bool,
    limit: usize,
    state: Mutex<Parts>,
}

/// What the operators of a query hold.
#[derive(Debug, Default)]
struct Parts {
    shares: usize,
    spill: usize,
    merge_less: usize,
    fail: usize,
}

impl Parts {
    fn used(&self) -> usize {
        self.flexible() + self.fail
    }

    fn flexible(&self) -> usize {
        self.spill + self.merge_less
    }

    fn of(&mut self, consumer: &MemoryConsumer) -> &mut usize {
        match Otherwise::of(consumer) {
            Otherwise::Spill => &mut self.spill,
            Otherwise::MergeLess => &mut self.merge_less,
            Otherwise::Fail => &mut self.fail,
        }
    }
}

impl QueryPool {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of this use is beyond the guarantee.
    fn beyond(&self, used: usize) -> usize {
        used.saturating_sub(self.guarantee)
    }

    /// Whether an operator leaves the others theirs.
    fn is_fair(&self, reservation: &MemoryReservation, additional: usize, parts: &Parts, queries: usize) -> bool {
        let fair = self.guarantee + self.pool.common() / queries.max(1);
        let room = fair.min(self.limit).saturating_sub(parts.fail) / 4 * 3;
        let within_share = reservation.size().saturating_add(additional) <= room / parts.shares.max(1);
        match Otherwise::of(reservation.consumer()) {
            Otherwise::Spill => within_share && parts.flexible().saturating_add(additional) <= room,
            Otherwise::MergeLess => within_share,
            Otherwise::Fail => true,
        }
    }

    fn refusal(&self, used: usize, held: &Held) -> DataFusionError {
        let others = held.used.saturating_sub(used);
        let most = self.limit.min(self.guarantee + self.pool.common());
        let message = match others > self.pool.guarantee() {
            true => format!(
                "it holds {}, and other queries hold {} of the {} that there are; try again later",
                size(used as u64),
                size(others as u64),
                size(self.pool.total as u64)
            ),
            false => format!(
                "it may have {}; select fewer columns, group by less, or join and sort fewer rows",
                size(most as u64)
            ),
        };
        DataFusionError::ResourcesExhausted(message)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.parts().shares += usize::from(has_share(consumer));
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut parts = self.parts();
        parts.shares = parts.shares.saturating_sub(usize::from(has_share(consumer)));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let (mut parts, mut held) = (self.parts(), self.pool.held());
        let before = parts.used();
        *parts.of(reservation.consumer()) += additional;
        held.used += additional;
        held.common += self.beyond(before + additional) - self.beyond(before);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let (mut parts, mut held) = (self.parts(), self.pool.held());
        let before = parts.used();
        *parts.of(reservation.consumer()) -= shrink;
        held.used -= shrink;
        held.common -= self.beyond(before) - self.beyond(before - shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let (mut parts, mut held) = (self.parts(), self.pool.held());
        let before = parts.used();
        let after = before.saturating_add(additional);
        let taken = self.beyond(after) - self.beyond(before);
        let fits = after <= self.limit
            && held.common.saturating_add(taken) <= self.pool.common()
            && self.is_fair(reservation, additional, &parts, held.queries);
        if !fits {
            return Err(self.refusal(before, &held));
        }
        *parts.of(reservation.consumer()) += additional;
        held.used += additional;
        held.common += taken;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.parts().used()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the query's {}", size(self.limit as u64))
    }
}

impl Drop for QueryPool {
    fn drop(&mut self) {
        let left = self.parts().used();
        let mut held = self.pool.held();
        held.queries -= 1;
        held.guarantees -= usize::from(self.guaranteed);
        held.used -= left;
        held.common -= self.beyond(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn reservation(pool: &Arc<QueryPool>, can_spill: bool) -> MemoryReservation {
        named("test", pool, can_spill)
    }

    fn named(name: &str, pool: &Arc<QueryPool>, can_spill: bool) -> MemoryReservation {
        let pool: Arc<dyn MemoryPool> = Arc::<QueryPool>::clone(pool);
        MemoryConsumer::new(name).with_can_spill(can_spill).register(&pool)
    }

    #[test]
    fn a_greedy_query_leaves_the_others_their_guarantees() {
        let pool = Pool::new(160 * MIB); // a guarantee is 10 MiB, and 120 MiB are common
        let greedy = pool.share(None);
        let held = reservation(&greedy, false);
        held.try_grow(130 * MIB).unwrap();
        assert!(held.try_grow(1).is_err());
        for _ in 1..GUARANTEED {
            let modest = pool.share(None);
            reservation(&modest, true).try_grow(7 * MIB).unwrap();
            reservation(&modest, false).try_grow(10 * MIB + 1).unwrap_err();
            std::mem::forget(modest); // goes on
        }
        let late = pool.share(None);
        let refused = reservation(&late, false).try_grow(MIB).unwrap_err().to_string();
        assert!(refused.contains("other queries hold"), "{refused}");
    }

    #[test]
    fn operators_that_spill_share_what_those_leave_that_do_not() {
        let pool = Pool::new(160 * MIB);
        let query = pool.share(Some(40 * MIB));
        let table = reservation(&query, false);
        table.try_grow(20 * MIB).unwrap();
        let (one, two) = (reservation(&query, true), reservation(&query, true));
        one.try_grow(7 * MIB).unwrap(); // a half of three quarters of 20 MiB
        assert!(one.try_grow(MIB).is_err());
        two.try_grow(7 * MIB).unwrap();
        table.try_grow(6 * MIB).unwrap();
        let refused = table.try_grow(1).unwrap_err().to_string();
        assert!(refused.contains("it may have 41.9 MB"), "{refused}");
    }

    #[test]
    fn a_greedy_merge_leaves_other_partitions_their_share_and_a_quarter_to_what_is_above() {
        let pool = Pool::new(160 * MIB);
        let query = pool.share(Some(40 * MIB));
        let sort = |partition: usize| {
            let sorter = named(&format!("ExternalSorter[{partition}]"), &query, true);
            (sorter, named(&format!("ExternalSorterMerge[{partition}]"), &query, false))
        };
        let ((first, merge_of_first), (second, merge_of_second)) = (sort(0), sort(1));
        first.try_grow(15 * MIB).unwrap();
        assert!(first.try_grow(1).is_err());
        drop(first);
        let greedy = |merge: &MemoryReservation| while merge.try_grow(MIB).is_ok() {};
        greedy(&merge_of_first);
        assert_eq!(merge_of_first.size(), 15 * MIB);
        second.try_grow(15 * MIB).unwrap();
        drop(second);
        greedy(&merge_of_second);
        assert_eq!(merge_of_second.size(), 15 * MIB);
        reservation(&query, false).try_grow(10 * MIB).unwrap();
    }

    #[test]
    fn a_second_query_halves_what_the_first_may_hold_before_it_spills() {
        let pool = Pool::new(160 * MIB);
        let query = pool.share(None);
        let sort = reservation(&query, true);
        sort.try_grow(90 * MIB).unwrap();
        let _second = pool.share(None);
        assert!(sort.try_grow(1).is_err());
        sort.shrink(60 * MIB);
        sort.try_grow(10 * MIB).unwrap();
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let pool = Pool::new(160 * MIB);
        let query = pool.share(None);
        let (kept, leaked) = (reservation(&query, true), reservation(&query, false));
        kept.grow(30 * MIB);
        leaked.grow(200 * MIB);
        assert_eq!((pool.used(), pool.queries()), (230 * MIB, 1));
        drop(kept);
        assert_eq!(pool.used(), 200 * MIB);
        drop(leaked);
        assert_eq!((pool.used(), pool.held().common), (0, 0));
    }

    #[test]
    fn a_pool_that_ends_gives_all_back() {
        let pool = Pool::new(160 * MIB);
        let query = pool.share(None);
        {
            let (mut parts, mut held) = (query.parts(), pool.held());
            (parts.fail, held.used, held.common) = (50 * MIB, 50 * MIB, 40 * MIB);
        }
        drop(query);
        let held = pool.held();
        assert_eq!((held.used, held.common, held.queries, held.guarantees), (0, 0, 0, 0));
    }
}
