//! Tables of other people's files, read as Arrow.
//!
//! One door, [`open`]: it looks at the first bytes of an [`Input`] and returns a [`TableSource`], whatever the format.
//! Column metadata of the Virtual Observatory (unit, UCD, description …) comes along in the Arrow field metadata
//! ([`ColumnMeta`]). A source is read in [`Piece`]s, which may be decoded on several threads at once, and may be read
//! again and again.
//!
//! What this room never does: it knows no catalogue, no sky and no database, and it never guesses silently. A value
//! that does not fit its column is a [`BadRow`] with its place and the reason; what to do about it is the reader's
//! decision.

mod ahead;
mod arrow_ipc;
mod batches;
mod caught;
mod compression;
mod detect;
mod ecsv;
mod error;
mod fits;
mod input;
mod meta;
mod object;
mod pages;
mod parquet_file;
mod source;
#[cfg(test)]
mod testing;
mod text;
mod votable;
mod words;

pub use batches::Batches;
pub use detect::{Format, SourceOptions, open};
pub use error::FormatError;
pub use input::Input;
pub use meta::ColumnMeta;
pub use source::{BadRow, Piece, Pieces, Place, Places, Rows, TableSource, Take, batch_rows};
pub use text::TextOptions;
pub use votable::describe as described_by_votable;
pub use words::in_words;
