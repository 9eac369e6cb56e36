//! `demo.stars`: one star from its row number, and the stars of a batch as columns.

mod body;
mod table;

pub(crate) use body::{Star, Stars};
pub(crate) use table::{batch, schema};
