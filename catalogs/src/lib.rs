//! HATS catalogues on an object store.
//!
//! A catalogue is a tree of HEALPix-partitioned Parquet files. This room writes such trees ([`import`]), takes up those of
//! others where they lie ([`foreign`]), opens a version of a table as an immutable, content-addressed [`CatalogSnapshot`],
//! and tells which of its files a region of the sky needs. A scan is a pure function of a snapshot: nothing here lists a
//! folder or guesses a schema when a query runs.
//!
//! What this room never does: it knows no query language, no user and no database. Which version of a table is the
//! served one is written elsewhere; here a version is a folder that is complete once its `almagest/catalog.json` exists.

pub mod check;
pub mod collect;
pub mod felis;
pub mod foreign;
pub mod import;
pub mod sources;

mod columns;
mod descriptor;
mod elements;
mod encoded;
mod error;
mod footers;
mod layout;
pub mod manifest;
mod members;
mod name;
mod open;
mod properties;
mod select;
mod snapshot;
pub mod statistics;
mod store;

pub use columns::PositionColumns;
pub use descriptor::{
    Descriptor, Director, HealpixColumn, IdEncodes, IndexMember, Kind, MarginMember, Pairs, Partner, Position,
};
pub use encoded::IdCells;
pub use error::CatalogError;
pub use formats::ColumnMeta;
pub use layout::{leaf_path, member_manifest};
pub use name::TableName;
pub use open::open;
pub use properties::Properties;
pub use snapshot::{CatalogSnapshot, DataFile};
pub use statistics::{ColumnBounds, ColumnStatistics, FileStatistics, Statistics};
pub use store::{CatalogStore, Remote, StoreOptions};

/// The column that every catalogue of ours is sorted by: the order-29 nested HEALPix cell of the row's position.
pub const HEALPIX_COLUMN: &str = "_healpix_29";
