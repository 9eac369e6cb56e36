//! HATS catalogues on an object store.
//!
//! A catalogue is a tree of HEALPix-partitioned Parquet files. This room writes such trees ([`import`]), opens one as an
//! immutable, content-addressed [`CatalogSnapshot`], and tells which of its files a region of the sky needs. A scan is a
//! pure function of a snapshot: nothing here lists a folder or guesses a schema when a query runs.
//!
//! What this room never does: it knows no query language, no user and no database. Which version of a table is the
//! served one is written elsewhere; here a version is just a folder that is complete once its `hats.properties` exists.

pub mod import;

mod columns;
mod error;
mod layout;
mod manifest;
mod name;
mod open;
mod properties;
mod snapshot;
mod store;

pub use columns::{ColumnMeta, PositionColumns};
pub use error::CatalogError;
pub use layout::{COMMON_METADATA, MANIFEST, PROPERTIES, leaf_path};
pub use name::TableName;
pub use open::open;
pub use properties::Properties;
pub use snapshot::{CatalogSnapshot, DataFile};
pub use store::{CatalogStore, StoreOptions};

/// The column that every catalogue of ours is sorted by: the order-29 nested HEALPix cell of the row's position.
pub const HEALPIX_COLUMN: &str = "_healpix_29";
