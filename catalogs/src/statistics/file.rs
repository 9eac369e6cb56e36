//! `almagest/statistics.parquet`: one row a file, in the order of the manifest.
//!
//! ```text
//! 0.min · 0.max · 0.nulls u64? · 0.exact bool · 1.min …       the number is that of the column in the schema
//! ```
//! A column without order has only `nulls`. A reader takes the four columns that it needs and leaves eight hundred alone.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt64Array, new_null_array},
    compute::concat,
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};

use super::{ColumnBounds, ColumnStatistics, FileStatistics, bounds_type};
use crate::CatalogError;

/// Files whose statistics are held one by one before they become arrays.
const PENDING: usize = 256;
/// Files in one row group: what is written at a time.
const GROUP: usize = 32_768;
/// Files in one page: many columns are open at a time, so each must hold little.
const PAGE: usize = 8_192;

/// Writes the statistics of many files, one after the other, in the memory of a few hundred.
pub struct StatisticsWriter {
    columns: SchemaRef,
    bounds: Vec<Option<DataType>>,
    pending: Vec<FileStatistics>,
    writer: ArrowWriter<Vec<u8>>,
}

impl StatisticsWriter {
    /// For files of this schema.
    pub fn new(schema: &SchemaRef) -> Result<Self, CatalogError> {
        let columns = columns_of(schema);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(GROUP))
            .set_data_page_row_count_limit(PAGE)
            .set_created_by(concat!("almagest ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&columns), Some(properties))?;
        let bounds = schema.fields().iter().map(|field| bounds_type(field.data_type())).collect();
        Ok(Self { columns, bounds, pending: Vec::new(), writer })
    }

    /// Adds the next file.
    pub fn push(&mut self, file: FileStatistics) -> Result<(), CatalogError> {
        if file.0.len() != self.bounds.len() {
            let why = format!("statistics of {} columns, where there are {}", file.0.len(), self.bounds.len());
            return Err(CatalogError::catalog("a new version", why));
        }
        self.pending.push(file);
        if self.pending.len() >= PENDING { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CatalogError> {
        let files = std::mem::take(&mut self.pending);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.fields().len());
        for (index, bounds) in self.bounds.iter().enumerate() {
            let column = || files.iter().map(|file| &file.0[index]);
            if let Some(data_type) = bounds {
                arrays.push(joined(data_type, column().map(|bounds| bounds.min.as_ref()))?);
                arrays.push(joined(data_type, column().map(|bounds| bounds.max.as_ref()))?);
            }
            arrays.push(Arc::new(column().map(|bounds| bounds.nulls).collect::<UInt64Array>()));
            if bounds.is_some() {
                arrays.push(Arc::new(column().map(|bounds| Some(bounds.exact)).collect::<BooleanArray>()));
            }
        }
        if !arrays.is_empty() && !files.is_empty() {
            self.writer.write(&RecordBatch::try_new(Arc::clone(&self.columns), arrays)?)?;
        }
        Ok(())
    }

    /// The finished file.
    pub fn finish(mut self) -> Result<Vec<u8>, CatalogError> {
        self.flush()?;
        Ok(self.writer.into_inner()?)
    }
}

fn joined<'a>(
    data_type: &DataType,
    bounds: impl Iterator<Item = Option<&'a ArrayRef>>,
) -> Result<ArrayRef, CatalogError> {
    let none = new_null_array(data_type, 1);
    let arrays: Vec<&dyn Array> = bounds.map(|bound| bound.unwrap_or(&none).as_ref()).collect();
    if arrays.is_empty() {
        return Ok(new_null_array(data_type, 0));
    }
    Ok(concat(&arrays)?)
}

/// The columns of the file for a table of this schema.
fn columns_of(schema: &SchemaRef) -> SchemaRef {
    let mut fields = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let bounds = bounds_type(field.data_type());
        if let Some(data_type) = &bounds {
            fields.push(Field::new(format!("{index}.min"), data_type.clone(), true));
            fields.push(Field::new(format!("{index}.max"), data_type.clone(), true));
        }
        fields.push(Field::new(format!("{index}.nulls"), DataType::UInt64, true));
        if bounds.is_some() {
            fields.push(Field::new(format!("{index}.exact"), DataType::Boolean, false));
        }
    }
    Arc::new(Schema::new(fields))
}

/// The names of the columns that tell about column `index` of a table.
pub(super) fn names_of(index: usize) -> [String; 4] {
    ["min", "max", "nulls", "exact"].map(|part| format!("{index}.{part}"))
}

/// What these rows of the file tell about column `index`; `None` if they do not.
pub(super) fn column_of(rows: &RecordBatch, index: usize) -> Option<ColumnStatistics> {
    let [min, max, nulls, exact] = names_of(index).map(|name| rows.column_by_name(&name).cloned());
    let nothing = || new_null_array(&DataType::Null, rows.num_rows());
    Some(ColumnStatistics {
        min: min.unwrap_or_else(nothing),
        max: max.unwrap_or_else(nothing),
        nulls: nulls?.as_primitive_opt::<UInt64Type>()?.clone(),
        exact: match exact {
            Some(exact) => exact.as_boolean_opt()?.clone(),
            None => vec![false; rows.num_rows()].into(),
        },
    })
}

/// The statistics of these files, as they are stored.
pub fn encode(schema: &SchemaRef, files: &[FileStatistics]) -> Result<Vec<u8>, CatalogError> {
    let mut writer = StatisticsWriter::new(schema)?;
    files.iter().try_for_each(|file| writer.push(file.clone()))?;
    writer.finish()
}

/// Reads back what was stored, file by file: for the few of one version, not for a hundred thousand.
pub fn decode(schema: &SchemaRef, stored: Bytes) -> Result<Vec<FileStatistics>, CatalogError> {
    let damaged = || CatalogError::catalog("a version", "its statistics do not fit its schema");
    let mut files = Vec::new();
    for rows in ParquetRecordBatchReaderBuilder::try_new(stored)?.build()? {
        let rows = rows?;
        let columns: Option<Vec<_>> = (0..schema.fields().len()).map(|index| column_of(&rows, index)).collect();
        let columns = columns.ok_or_else(damaged)?;
        for row in 0..rows.num_rows() {
            files.push(FileStatistics(columns.iter().map(|column| bounds_at(column, row)).collect()));
        }
    }
    Ok(files)
}

fn bounds_at(column: &ColumnStatistics, row: usize) -> ColumnBounds {
    let known = |array: &ArrayRef| -> Option<ArrayRef> {
        let known = *array.data_type() != DataType::Null && array.is_valid(row);
        known.then(|| array.slice(row, 1))
    };
    ColumnBounds {
        min: known(&column.min),
        max: known(&column.max),
        nulls: column.nulls.is_valid(row).then(|| column.nulls.value(row)),
        exact: column.exact.value(row),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn schema() -> SchemaRef {
        let list = DataType::List(Arc::new(Field::new("element", DataType::Float64, true)));
        let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("curve", list, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("time", time, true),
            Field::new("flux", DataType::Decimal128(20, 3), true),
        ]))
    }

    fn file(number: i64) -> FileStatistics {
        let bounds = |array: ArrayRef| ColumnBounds {
            min: Some(Arc::clone(&array)),
            max: Some(array),
            nulls: Some(number as u64),
            exact: number % 2 == 0,
        };
        let flux = Decimal128Array::from(vec![i128::from(number)]).with_precision_and_scale(20, 3).unwrap();
        FileStatistics(vec![
            bounds(Arc::new(Int64Array::from(vec![number]))),
            ColumnBounds { nulls: Some(3), ..ColumnBounds::default() },
            if number % 3 == 0 {
                ColumnBounds::default()
            } else {
                bounds(Arc::new(StringArray::from(vec![format!("n{number}")])))
            },
            bounds(Arc::new(TimestampMicrosecondArray::from(vec![number]).with_timezone("UTC"))),
            bounds(Arc::new(flux)),
        ])
    }

    #[test]
    fn statistics_are_read_as_they_were_written_over_many_batches() {
        let files: Vec<_> = (0..1_000).map(file).collect();
        let stored = encode(&schema(), &files).unwrap();
        assert_eq!(decode(&schema(), stored.into()).unwrap(), files);
        assert_eq!(decode(&schema(), encode(&schema(), &[]).unwrap().into()).unwrap(), []);
    }

    #[test]
    fn statistics_of_another_table_are_refused() {
        let mut writer = StatisticsWriter::new(&schema()).unwrap();
        assert!(writer.push(FileStatistics(vec![ColumnBounds::default()])).is_err());
        let other: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let one = FileStatistics(vec![ColumnBounds::default()]);
        assert!(decode(&schema(), encode(&other, &[one]).unwrap().into()).is_err());
    }
}
