//! `dataset/_metadata`: the footers of many files as one.
//!
//! Each column chunk names the file that it is in, relative to `dataset/`; there are no pages and no page index. Other
//! readers open an index table by this file alone, and take the statistics of a table from it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::{
    arrow::ArrowWriter,
    file::{
        metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter, RowGroupMetaData},
        properties::WriterProperties,
    },
};

use crate::CatalogError;

/// Footers on their way to being one.
pub(crate) struct Footers {
    file: FileMetaData,
    row_groups: Vec<RowGroupMetaData>,
    rows: i64,
}

impl Footers {
    /// For files of this schema that were written with these properties.
    pub(crate) fn new(schema: &SchemaRef, properties: WriterProperties) -> Result<Self, CatalogError> {
        let empty = ArrowWriter::try_new(std::io::sink(), Arc::clone(schema), Some(properties))?.close()?;
        Ok(Self { file: empty.file_metadata().clone(), row_groups: Vec::new(), rows: 0 })
    }

    /// Adds the footer of the file with this path below `dataset/`. Files must come in the order of their rows.
    pub(crate) fn push(&mut self, path: &str, footer: ParquetMetaData) -> Result<(), CatalogError> {
        if footer.file_metadata().schema() != self.file.schema() {
            return Err(CatalogError::catalog(path, "its schema is not that of the other files"));
        }
        self.rows += footer.file_metadata().num_rows();
        for mut row_group in footer.into_builder().take_row_groups() {
            for column in row_group.columns_mut() {
                let told = column.clone().into_builder().set_file_path(path.to_owned());
                *column = told
                    .set_column_index_offset(None)
                    .set_column_index_length(None)
                    .set_offset_index_offset(None)
                    .set_offset_index_length(None)
                    .build()?;
            }
            self.row_groups.push(row_group);
        }
        Ok(())
    }

    /// The bytes of `_metadata`.
    pub(crate) fn encode(self) -> Result<Vec<u8>, CatalogError> {
        let file = FileMetaData::new(
            self.file.version(),
            self.rows,
            self.file.created_by().map(str::to_owned),
            self.file.key_value_metadata().cloned(),
            self.file.schema_descr_ptr(),
            self.file.column_orders().cloned(),
        );
        let metadata = ParquetMetaDataBuilder::new(file).set_row_groups(self.row_groups).build();
        let mut bytes = b"PAR1".to_vec();
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use bytes::Bytes;
    use parquet::file::{metadata::ParquetMetaDataReader, statistics::Statistics};

    use super::*;

    fn file(values: std::ops::Range<i64>) -> (SchemaRef, ParquetMetaData) {
        let column = Arc::new(Int64Array::from_iter_values(values)) as ArrayRef;
        let rows = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        (rows.schema(), writer.close().unwrap())
    }

    #[test]
    fn row_groups_keep_their_statistics_and_name_their_file() {
        let (schema, first) = file(0..25);
        let mut footers = Footers::new(&schema, WriterProperties::default()).unwrap();
        footers.push("index/part.0.parquet", first).unwrap();
        footers.push("index/part.1.parquet", file(25..30).1).unwrap();
        let bytes = Bytes::from(footers.encode().unwrap());
        let read = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
        assert_eq!((read.file_metadata().num_rows(), read.num_row_groups()), (30, 4));
        let told: Vec<_> = read.row_groups().iter().map(|group| group.column(0).file_path().unwrap()).collect();
        assert_eq!(
            told,
            ["index/part.0.parquet", "index/part.0.parquet", "index/part.0.parquet", "index/part.1.parquet"]
        );
        let Some(Statistics::Int64(statistics)) = read.row_group(3).column(0).statistics() else { panic!("none") };
        assert_eq!((statistics.min_opt(), statistics.max_opt()), (Some(&25), Some(&29)));
        assert_eq!(read.row_group(0).column(0).column_index_offset(), None);
    }

    #[test]
    fn no_files_are_a_footer_without_row_groups_and_another_schema_is_refused() {
        let (schema, footer) = file(0..1);
        let bytes = Bytes::from(Footers::new(&schema, WriterProperties::default()).unwrap().encode().unwrap());
        assert_eq!(ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap().num_row_groups(), 0);
        let other = RecordBatch::try_from_iter([("b", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        let mut footers = Footers::new(&other.schema(), WriterProperties::default()).unwrap();
        assert!(footers.push("x", footer).unwrap_err().to_string().contains("schema"));
    }
}
