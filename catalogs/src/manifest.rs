//! `almagest/manifest.parquet`: one row a data file, so that a catalogue opens with three small reads.
//!
//! ```text
//! path utf8 · bytes u64 · rows u64 · norder u8? · npix u64? · first_cell u64? · last_cell u64? · sha256 utf8
//! ```
//! `norder` to `last_cell` are null together, in a table without positions.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt8Array, UInt64Array},
    datatypes::{UInt8Type, UInt64Type},
};
use bytes::Bytes;
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use sky::healpix::{Order, Pixel};

use crate::{CatalogError, DataFile};

/// The manifest of these files.
pub(crate) fn encode(files: &[DataFile]) -> Result<Vec<u8>, CatalogError> {
    let text =
        |of: fn(&DataFile) -> &str| Arc::new(files.iter().map(of).map(Some).collect::<StringArray>()) as ArrayRef;
    let number = |of: fn(&DataFile) -> Option<u64>| Arc::new(files.iter().map(of).collect::<UInt64Array>()) as ArrayRef;
    let orders: UInt8Array = files.iter().map(|file| file.pixel.map(|pixel| pixel.order().get())).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("path", text(|file| &file.path), false),
        ("bytes", number(|file| Some(file.bytes)), false),
        ("rows", number(|file| Some(file.rows)), false),
        ("norder", Arc::new(orders) as ArrayRef, true),
        ("npix", number(|file| file.pixel.map(Pixel::index)), true),
        ("first_cell", number(|file| file.cells.map(|(low, _)| low)), true),
        ("last_cell", number(|file| file.cells.map(|(_, high)| high)), true),
        ("sha256", text(|file| &file.sha256), false),
    ])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// Reads a manifest. `root` is named in the sentence when it is damaged.
pub(crate) fn decode(bytes: Bytes, root: &str) -> Result<Vec<DataFile>, CatalogError> {
    let damaged = |why: &str| CatalogError::BadCatalog { root: root.to_owned(), why: format!("its manifest {why}") };
    let mut files = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let batch = batch?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| damaged(&format!("has no column {name}")));
        let text = |name: &str| {
            column(name)?.as_string_opt::<i32>().cloned().ok_or_else(|| damaged(&format!("has no text in {name}")))
        };
        let number = |name: &str| {
            let column = column(name)?.as_primitive_opt::<UInt64Type>().cloned();
            column.ok_or_else(|| damaged(&format!("has no whole numbers in {name}")))
        };
        let (paths, sums) = (text("path")?, text("sha256")?);
        let (sizes, rows, indexes) = (number("bytes")?, number("rows")?, number("npix")?);
        let (first, last) = (number("first_cell")?, number("last_cell")?);
        let orders = column("norder")?;
        let orders = orders.as_primitive_opt::<UInt8Type>().ok_or_else(|| damaged("has no order in norder"))?;
        for row in 0..batch.num_rows() {
            let pixel = if orders.is_null(row) {
                None
            } else {
                let order = Order::new(orders.value(row)).map_err(|error| damaged(&error.to_string()))?;
                Some(Pixel::new(order, indexes.value(row)).map_err(|error| damaged(&error.to_string()))?)
            };
            let cells = (!first.is_null(row)).then(|| (first.value(row), last.value(row)));
            files.push(DataFile {
                path: paths.value(row).to_owned(),
                bytes: sizes.value(row),
                rows: rows.value(row),
                pixel,
                cells,
                sha256: sums.value(row).to_owned(),
            });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let pixel = Pixel::new(Order::new(1).unwrap(), 44).unwrap();
        let files = vec![
            DataFile {
                path: crate::leaf_path(pixel),
                bytes: 123,
                rows: 7,
                pixel: Some(pixel),
                cells: Some((pixel.range().start, pixel.range().end - 1)),
                sha256: "ab".into(),
            },
            DataFile {
                path: "dataset/part.0.parquet".into(),
                bytes: 9,
                rows: 0,
                pixel: None,
                cells: None,
                sha256: "cd".into(),
            },
        ];
        assert_eq!(decode(encode(&files).unwrap().into(), "x").unwrap(), files);
    }

    #[test]
    fn bytes_that_are_no_manifest_are_refused() {
        assert!(decode(Bytes::from_static(b"PAR1 not a footer PAR1"), "x").is_err());
        let other = RecordBatch::try_from_iter([("a", Arc::new(UInt8Array::from(vec![1])) as ArrayRef)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), other.schema(), None).unwrap();
        writer.write(&other).unwrap();
        let sentence = decode(writer.into_inner().unwrap().into(), "root").unwrap_err().to_string();
        assert!(sentence.contains("has no column path"), "{sentence}");
    }
}
