//! Where the files of a catalogue lie below its root.

use sky::healpix::Pixel;

/// The properties that make a folder a catalogue; written last, so that a half-written tree does not open.
pub const PROPERTIES: &str = "hats.properties";
/// The second copy, for older readers.
pub(crate) const OLD_PROPERTIES: &str = "properties";
/// A Parquet footer with the schema and no rows.
pub const COMMON_METADATA: &str = "dataset/_common_metadata";
/// The list of partitions that other HATS readers use.
pub(crate) const PARTITIONS: &str = "partition_info.csv";
/// Our own list of the files: sizes, rows, cells, checksums.
pub const MANIFEST: &str = "almagest/manifest.parquet";
/// What the import did.
pub(crate) const REPORT: &str = "almagest/import.json";

/// The path of a partition's file, as HATS lays it out.
pub fn leaf_path(pixel: Pixel) -> String {
    let (order, index) = (pixel.order().get(), pixel.index());
    format!("dataset/Norder={order}/Dir={}/Npix={index}.parquet", index / 10_000 * 10_000)
}

/// The path of the n-th file of a table that has no positions.
pub(crate) fn plain_path(number: usize) -> String {
    format!("dataset/part.{number}.parquet")
}
