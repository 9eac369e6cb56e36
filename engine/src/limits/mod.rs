//! What a query may use, and what ends it when it uses more.
//!
//! | limit | kept by |
//! |---|---|
//! | rows of the answer | [`Rows`](crate::Rows), which cuts |
//! | memory | [`pool`], which makes operators spill or refuses |
//! | disk | [`spill`], one bounded folder for all queries |
//! | bytes read | [`watch`], counted in [`crate::io`] |
//! | time | [`watch`], looked at wherever a plan is made and wherever a join goes on for long: [`checkpoints`] |
//!
//! Nothing here decides who may run: it only keeps one query from harming another.

pub(crate) mod checkpoints;
pub(crate) mod pool;
pub(crate) mod spill;
pub(crate) mod watch;

use std::time::Duration;

/// What one query may use. What is not given is not limited, but for the means of the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryLimits {
    /// The most rows that it may give. The answer is cut there.
    pub max_rows: Option<u64>,
    /// Bytes for its intermediate results.
    pub memory: Option<usize>,
    /// The most bytes of data files that it may read. A query that must read more is refused when it is planned, and one
    /// that turns out to read more is ended.
    pub max_bytes_read: Option<u64>,
    /// How long it may take, planning and a slow reader included.
    pub deadline: Option<Duration>,
}
