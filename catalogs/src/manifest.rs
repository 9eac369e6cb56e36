//! `almagest/manifest.parquet`: one row a data file, so that a catalogue opens without listing or reading any.
//!
//! ```text
//! path utf8 · bytes u64 · rows u64 · norder u8? · npix u64? · first_cell u64? · last_cell u64? · sha256 utf8?
//! ```
//! `norder` and `npix` are null together, so are the cells; a table without positions has neither, and a checksum is
//! known only of what was written here. The columns are encoded for a hundred thousand files: paths that share their
//! beginnings and numbers that ascend take a few bytes each. The manifests of margins and indexes are of the same form.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt8Array, UInt64Array},
    datatypes::{UInt8Type, UInt64Type},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use sky::healpix::{CELLS_29, Order, Pixel};

use crate::{CatalogError, DataFile};

fn properties() -> Result<WriterProperties, CatalogError> {
    let numbers = ["bytes", "rows", "npix", "first_cell", "last_cell"];
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_encoding(ColumnPath::from("path"), Encoding::DELTA_BYTE_ARRAY)
        .set_column_dictionary_enabled(ColumnPath::from("path"), false)
        .set_column_dictionary_enabled(ColumnPath::from("sha256"), false)
        .set_created_by(concat!("almagest ", env!("CARGO_PKG_VERSION")).to_owned());
    for number in numbers {
        properties = properties
            .set_column_encoding(ColumnPath::from(number), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(ColumnPath::from(number), false);
    }
    Ok(properties.build())
}

/// The manifest of these files, in the order in which they are given.
pub fn encode(files: &[DataFile]) -> Result<Vec<u8>, CatalogError> {
    let number = |of: fn(&DataFile) -> Option<u64>| Arc::new(files.iter().map(of).collect::<UInt64Array>()) as ArrayRef;
    let paths: StringArray = files.iter().map(|file| Some(file.path.as_str())).collect();
    let sums: StringArray = files.iter().map(|file| file.sha256.as_deref()).collect();
    let orders: UInt8Array = files.iter().map(|file| file.pixel.map(|pixel| pixel.order().get())).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("path", Arc::new(paths) as ArrayRef, false),
        ("bytes", number(|file| Some(file.bytes)), false),
        ("rows", number(|file| Some(file.rows)), false),
        ("norder", Arc::new(orders) as ArrayRef, true),
        ("npix", number(|file| file.pixel.map(Pixel::index)), true),
        ("first_cell", number(|file| file.cells.map(|(low, _)| low)), true),
        ("last_cell", number(|file| file.cells.map(|(_, high)| high)), true),
        ("sha256", Arc::new(sums) as ArrayRef, true),
    ])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties()?))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// Reads a manifest. `root` is named in the sentence when it is damaged.
pub(crate) fn decode(bytes: Bytes, root: &str) -> Result<Vec<DataFile>, CatalogError> {
    let damaged = |why: String| CatalogError::catalog(root, format!("its manifest {why}"));
    let unreadable = |error: &dyn std::error::Error| damaged(format!("is damaged: {error}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| unreadable(&error))?;
    let mut files = Vec::with_capacity(usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0));
    let reader = reader.with_batch_size(16_384).build().map_err(|error| unreadable(&error))?;
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(&error))?;
        let columns = Columns::of(&batch).map_err(damaged)?;
        for row in 0..batch.num_rows() {
            files
                .push(columns.file(row).map_err(|why| damaged(format!("is wrong in row {}: {why}", files.len() + 1)))?);
        }
    }
    no_path_twice(&files).map_err(damaged)?;
    Ok(files)
}

fn no_path_twice(files: &[DataFile]) -> Result<(), String> {
    let mut rows = HashMap::with_capacity(files.len());
    for (row, file) in files.iter().enumerate() {
        if let Some(earlier) = rows.insert(file.path.as_str(), row) {
            return Err(format!("has {} twice, in rows {} and {}", file.path, earlier + 1, row + 1));
        }
    }
    Ok(())
}

/// The columns of a batch.
struct Columns<'a> {
    paths: &'a StringArray,
    bytes: &'a UInt64Array,
    rows: &'a UInt64Array,
    orders: &'a UInt8Array,
    indexes: &'a UInt64Array,
    first: &'a UInt64Array,
    last: &'a UInt64Array,
    sums: &'a StringArray,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("has no column {name}"));
        let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| format!("has no text in {name}"));
        let number = |name: &str| {
            column(name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| format!("has no whole numbers in {name}"))
        };
        let orders =
            || column("norder")?.as_primitive_opt::<UInt8Type>().ok_or_else(|| "has no orders in norder".to_owned());
        let columns = Self {
            paths: text("path")?,
            bytes: number("bytes")?,
            rows: number("rows")?,
            orders: orders()?,
            indexes: number("npix")?,
            first: number("first_cell")?,
            last: number("last_cell")?,
            sums: text("sha256")?,
        };
        let needed: [(&str, &dyn Array); 3] =
            [("path", columns.paths), ("bytes", columns.bytes), ("rows", columns.rows)];
        match needed.iter().find(|(_, column)| column.null_count() > 0) {
            Some((name, _)) => Err(format!("has a row without {name}")),
            None => Ok(columns),
        }
    }

    fn file(&self, row: usize) -> Result<DataFile, String> {
        let number = |column: &UInt64Array| column.is_valid(row).then(|| column.value(row));
        let pixel = match (self.orders.is_valid(row), number(self.indexes)) {
            (true, Some(index)) => {
                let order = Order::new(self.orders.value(row)).map_err(|error| error.to_string())?;
                Some(Pixel::new(order, index).map_err(|error| error.to_string())?)
            }
            (false, None) => None,
            _ => return Err("it has a half of a cell".to_owned()),
        };
        let cells = match (number(self.first), number(self.last)) {
            (Some(first), Some(last)) if first <= last && last < CELLS_29 => Some((first, last)),
            (None, None) => None,
            (first, last) => return Err(format!("{first:?} to {last:?} is no range of cells")),
        };
        Ok(DataFile {
            path: self.paths.value(row).to_owned(),
            bytes: self.bytes.value(row),
            rows: self.rows.value(row),
            pixel,
            cells,
            sha256: self.sums.is_valid(row).then(|| self.sums.value(row).to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> DataFile {
        DataFile { path: path.into(), bytes: 9, rows: 0, pixel: None, cells: None, sha256: None }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let pixel = Pixel::new(Order::new(1).unwrap(), 44).unwrap();
        let whole = DataFile {
            bytes: 123,
            rows: 7,
            pixel: Some(pixel),
            cells: Some((pixel.range().start, pixel.range().end - 1)),
            sha256: Some("ab".into()),
            ..file(&crate::leaf_path(pixel))
        };
        let files = vec![whole, file("dataset/part.0.parquet"), file("/catalogs/a/b/0/ü.parquet")];
        assert_eq!(decode(encode(&files).unwrap().into(), "x").unwrap(), files);
        assert_eq!(decode(encode(&[]).unwrap().into(), "x").unwrap(), []);
    }

    #[test]
    fn the_manifest_of_many_files_is_small() {
        let order = Order::new(7).unwrap();
        let files: Vec<_> = (0..10_000)
            .map(|index| {
                let pixel = Pixel::new(order, index).unwrap();
                let cells = Some((pixel.range().start + 17, pixel.range().end - 40));
                DataFile {
                    bytes: 10_000_000 + index * 977 % 5_000,
                    pixel: Some(pixel),
                    cells,
                    ..file(&crate::leaf_path(pixel))
                }
            })
            .collect();
        let bytes = encode(&files).unwrap();
        assert!(bytes.len() < 20 * files.len(), "{} bytes", bytes.len());
        assert_eq!(decode(bytes.into(), "x").unwrap(), files);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_row() {
        let refusal = |files: &[DataFile]| decode(encode(files).unwrap().into(), "root").unwrap_err().to_string();
        let reversed = DataFile { cells: Some((5, 4)), ..file("b") };
        assert!(refusal(&[file("a"), reversed]).contains("wrong in row 2"));
        let far = DataFile { cells: Some((5, CELLS_29)), ..file("a") };
        assert!(refusal(&[far]).contains("is no range of cells"));
        assert!(refusal(&[file("a"), file("b"), file("a")]).contains("has a twice, in rows 1 and 3"));
    }

    #[test]
    fn bytes_that_are_no_manifest_are_refused() {
        for bytes in ["", "PAR1 not a footer PAR1", "<html>"] {
            let sentence = decode(Bytes::from(bytes), "root").unwrap_err().to_string();
            assert!(sentence.contains("root") && sentence.contains("its manifest is damaged"), "{sentence}");
        }
        let other = RecordBatch::try_from_iter([("a", Arc::new(UInt8Array::from(vec![1])) as ArrayRef)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), other.schema(), None).unwrap();
        writer.write(&other).unwrap();
        let sentence = decode(writer.into_inner().unwrap().into(), "root").unwrap_err().to_string();
        assert!(sentence.contains("has no column path"), "{sentence}");
    }
}
