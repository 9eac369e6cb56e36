//! One version of a table, as it is on the store: immutable, opened once, shared by every query that reads it.

use std::fmt::Write as _;

use arrow::datatypes::SchemaRef;
use sha2::{Digest, Sha256};
use sky::{coverage::Coverage, healpix::Pixel};

use crate::{CatalogStore, PositionColumns};

/// One Parquet file of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its path below the catalogue's root.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The partition that it holds; none in a table without positions.
    pub pixel: Option<Pixel>,
    /// The lowest and the highest order-29 cell of its rows, both inclusive; none in a table without positions.
    pub cells: Option<(u64, u64)>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// An immutable version of a table: its schema and its files, in the order of the sky.
#[derive(Clone, Debug)]
pub struct CatalogSnapshot {
    store: CatalogStore,
    root: String,
    id: String,
    schema: SchemaRef,
    position: Option<PositionColumns>,
    description: Option<String>,
    files: Vec<DataFile>,
    rows: u64,
}

impl CatalogSnapshot {
    pub(crate) fn new(
        store: CatalogStore,
        root: String,
        schema: SchemaRef,
        position: Option<PositionColumns>,
        description: Option<String>,
        mut files: Vec<DataFile>,
    ) -> Self {
        files.sort_by(|a, b| (a.cells, &a.path).cmp(&(b.cells, &b.path)));
        let id = content_id(&schema, &files);
        let rows = files.iter().map(|file| file.rows).sum();
        Self { store, root, id, schema, position, description, files, rows }
    }

    /// The store that the files lie in.
    pub fn store(&self) -> &CatalogStore {
        &self.store
    }

    /// The folder of the catalogue, below the store's.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A hash of all that a query can see: equal ids mean equal rows.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The columns, each with its VO metadata.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns that hold the positions, if the table has any.
    pub fn position(&self) -> Option<&PositionColumns> {
        self.position.as_ref()
    }

    /// A sentence about the table.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// All files, ascending along the sky.
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// How many rows the table has.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The files that may hold a row in the covered part of the sky. A file without cells always may.
    pub fn select<'a>(&'a self, coverage: &Coverage) -> impl Iterator<Item = &'a DataFile> {
        self.files.iter().filter(|file| file.cells.is_none_or(|(low, high)| coverage.intersects_range(low, high + 1)))
    }
}

fn content_id(schema: &SchemaRef, files: &[DataFile]) -> String {
    let mut digest = Sha256::new();
    for field in schema.fields() {
        let mut metadata: Vec<_> = field.metadata().iter().collect();
        metadata.sort();
        digest.update(format!("{:?} {:?} {} {metadata:?}\n", field.name(), field.data_type(), field.is_nullable()));
    }
    for file in files {
        digest.update(format!("{} {} {}\n", file.path, file.bytes, file.sha256));
    }
    hexadecimal(&digest.finalize())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}
