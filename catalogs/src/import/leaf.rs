//! One partition's Parquet file: rows sorted along the sky, row groups and pages small enough to prune.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{DataType, Int64Type, SchemaRef},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::{metadata::SortingColumn, properties::WriterProperties},
    schema::types::ColumnPath,
};
use sha2::{Digest, Sha256};

use crate::{CatalogError, HEALPIX_COLUMN, snapshot::hexadecimal};

/// Rows a row group: what HATS writes today.
const ROW_GROUP_ROWS: usize = 100_000;
/// Rows a data page, the unit that the page index prunes.
const PAGE_ROWS: usize = 10_000;

/// A finished file, not yet on the store.
pub(super) struct Leaf {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: u64,
    pub(super) cells: Option<(u64, u64)>,
    pub(super) sha256: String,
}

/// How files are written, decided once per catalogue.
pub(super) fn properties(schema: &SchemaRef) -> Result<WriterProperties, CatalogError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_created_by(concat!("almagest ", env!("CARGO_PKG_VERSION")).to_owned());
    for field in schema.fields() {
        let path = ColumnPath::new(vec![field.name().clone()]);
        if field.name() == HEALPIX_COLUMN {
            let sorted = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
            properties = properties
                .set_sorting_columns(Some(vec![sorted]))
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        } else if matches!(field.data_type(), DataType::Float32 | DataType::Float64) {
            properties = properties.set_column_dictionary_enabled(path, false); // measurements hardly repeat
        }
    }
    Ok(properties.build())
}

/// Sorts the rows by cell, ties in the order in which they came, and encodes them.
pub(super) fn encode(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    properties: WriterProperties,
) -> Result<Leaf, CatalogError> {
    let mut rows = concat_batches(schema, batches)?;
    let mut cells = None;
    if schema.fields().first().is_some_and(|field| field.name() == HEALPIX_COLUMN) {
        let keys = rows.column(0).as_primitive::<Int64Type>().values();
        let mut order: Vec<(i64, u32)> = keys.iter().copied().zip(0..).collect();
        order.sort_unstable();
        if let (Some((first, _)), Some((last, _))) = (order.first(), order.last()) {
            cells = Some((*first as u64, *last as u64)); // cells are never negative
        }
        rows = take_record_batch(&rows, &UInt32Array::from_iter_values(order.into_iter().map(|(_, row)| row)))?;
    }
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))?;
    writer.write(&rows)?;
    let bytes = writer.into_inner()?;
    let sha256 = hexadecimal(&Sha256::digest(&bytes));
    Ok(Leaf { rows: rows.num_rows() as u64, cells, sha256, bytes })
}
