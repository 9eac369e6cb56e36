//! What accompanies a table: margins, indexes, and passes that need all of its keys at once.
//!
//! [`margin`] copies the rows along the borders of each partition, [`index`] tells in which partitions a value occurs, and
//! [`keys`] finds what occurs twice and joins rows to those that they belong to. All of them read finished data files and
//! sort out of core ([`runs`], [`entries`]): however large the table is, memory stays below what was given.
//!
//! Nothing here decides what a table shall have, and nothing is published: a member is a folder beside the table's, and
//! its manifest. The same table and the same request give the same bytes.

mod entries;
mod files;
mod index;
pub(crate) mod keys;
mod margin;
mod plan;
mod reader;
mod runs;
mod share;
#[cfg(test)]
pub(crate) mod tests;

use std::{path::Path, sync::Arc};

pub(crate) use entries::{Entries, Entry};
pub(crate) use index::{build as build_index, value_kind};
pub(crate) use margin::build as build_margin;
pub(crate) use plan::{MarginPlan, is_on_border};
pub(crate) use reader::{LeafReader, conform};
pub(crate) use runs::Sorter;
pub(crate) use share::{Counted, share};

use crate::CatalogStore;

/// Told how many rows of how many have been worked through.
pub(crate) type Ticks = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Where a member is built, and with what.
#[derive(Clone)]
pub(crate) struct BuildContext<'a> {
    /// The store of the version.
    pub(crate) store: &'a CatalogStore,
    /// The folder of the version in it.
    pub(crate) root: &'a str,
    /// An existing local folder for temporary files.
    pub(crate) spill: &'a Path,
    /// About how many bytes may be held in memory.
    pub(crate) memory: usize,
    /// How many threads decode.
    pub(crate) threads: usize,
    /// Told how far the work is.
    pub(crate) progress: Ticks,
}
