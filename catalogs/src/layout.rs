//! Where the files of a catalogue lie below its root.
//!
//! ```text
//! <root>/collection.properties                              HATS: what belongs to the table
//! <root>/<table>/hats.properties … dataset/Norder=…/Dir=…/Npix=….parquet
//! <root>/<table>_10arcsec/…  <root>/<table>_by_<column>/…   margins and indexes
//! <root>/almagest/…                                         ours; catalog.json last
//! ```
//! The paths named here are relative to the root, but for those of HATS, which are relative to a member's folder.

use sky::healpix::Pixel;

/// The properties of a HATS table.
pub(crate) const PROPERTIES: &str = "hats.properties";
/// The second copy, for older readers.
pub(crate) const OLD_PROPERTIES: &str = "properties";
/// The properties of a HATS collection.
pub(crate) const COLLECTION: &str = "collection.properties";
/// A Parquet footer with the schema and no rows.
pub(crate) const COMMON_METADATA: &str = "dataset/_common_metadata";
/// The list of partitions that other HATS readers use.
pub(crate) const PARTITIONS: &str = "partition_info.csv";

/// What the table is. Written last: with it a version is complete.
pub(crate) const DESCRIPTOR: &str = "almagest/catalog.json";
/// A Parquet footer with the schema as queries see it.
pub(crate) const SCHEMA: &str = "almagest/schema.parquet";
/// The list of the data files: sizes, rows, cells, checksums.
pub(crate) const MANIFEST: &str = "almagest/manifest.parquet";
/// The range of each column in each file.
pub(crate) const STATISTICS: &str = "almagest/statistics.parquet";
/// What the import did.
pub(crate) const IMPORT_REPORT: &str = "almagest/import.json";
/// What was found when the tree of somebody else was attached.
pub(crate) const ATTACH_REPORT: &str = "almagest/attach.json";
/// Rows that an import set aside, with the reasons.
pub(crate) const SET_ASIDE: &str = "almagest/set-aside.parquet";
/// What an import has finished, for resuming it.
pub(crate) const JOURNAL: &str = "almagest/journal";

/// The path of a partition's file below the folder of its table, as HATS lays it out.
pub fn leaf_path(pixel: Pixel) -> String {
    let (order, index) = (pixel.order().get(), pixel.index());
    format!("dataset/Norder={order}/Dir={}/Npix={index}.parquet", index / 10_000 * 10_000)
}

/// The path of the n-th file of a table that has no positions.
pub(crate) fn plain_path(number: usize) -> String {
    format!("dataset/part.{number}.parquet")
}

/// The path of the manifest of a margin or index, below the root.
pub fn member_manifest(folder: &str) -> String {
    format!("almagest/members/{folder}.parquet")
}
