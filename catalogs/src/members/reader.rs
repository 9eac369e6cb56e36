//! Reading the data files of a snapshot, whoever wrote them, as the snapshot says that they are.
//!
//! Files of other people may have their columns in another order, of narrower types, or not at all: every batch that
//! leaves here has the types of the snapshot's schema. Only what is asked for is fetched.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, Schema, SchemaRef},
};
use futures::TryStreamExt;
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection},
        async_reader::ParquetRecordBatchStream,
    },
    file::metadata::PageIndexPolicy,
};
use sky::{
    Position,
    healpix::{CELLS_29, cell29},
};

use crate::{CatalogError, CatalogSnapshot, DataFile, store::ParquetObject};

/// Opens the data files of a snapshot by their number. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LeafReader {
    snapshot: CatalogSnapshot,
}

impl LeafReader {
    pub(crate) fn new(snapshot: &CatalogSnapshot) -> Self {
        Self { snapshot: snapshot.clone() }
    }

    /// The file with this number.
    pub(crate) fn file(&self, number: usize) -> &DataFile {
        &self.snapshot.files()[number]
    }

    /// Opens a file: its footer is read.
    pub(crate) async fn open(&self, number: usize) -> Result<Leaf, CatalogError> {
        let file = self.file(number);
        let mut object = ParquetObject::new(self.snapshot.store(), &self.snapshot.path_of(file), file.bytes);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let footer = ArrowReaderMetadata::load_async(&mut object, options).await;
        let footer = footer.map_err(|error| damaged(&file.path, error))?;
        Ok(Leaf { snapshot: self.snapshot.clone(), path: file.path.clone(), object, footer })
    }
}

/// A data file at fault.
pub(crate) fn damaged(path: &str, error: impl std::fmt::Display) -> CatalogError {
    CatalogError::catalog(path, error)
}

/// An open data file.
pub(crate) struct Leaf {
    snapshot: CatalogSnapshot,
    path: String,
    object: ParquetObject,
    footer: ArrowReaderMetadata,
}

impl Leaf {
    /// Its path, as messages name it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// How many rows each row group has.
    pub(crate) fn row_groups(&self) -> Vec<usize> {
        self.footer.metadata().row_groups().iter().map(|group| group.num_rows() as usize).collect()
    }

    /// Columns of the snapshot, of one row group or of all, and of all rows or of some.
    pub(crate) fn rows(
        &self,
        columns: &[usize],
        row_group: Option<usize>,
        selection: Option<RowSelection>,
    ) -> Result<LeafRows, CatalogError> {
        let schema = self.snapshot.schema().project(columns)?;
        let there = schema.fields().iter().filter_map(|field| self.footer.schema().index_of(field.name()).ok());
        let mask = ProjectionMask::roots(self.footer.parquet_schema(), there);
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.object.clone(), self.footer.clone())
            .with_projection(mask)
            .with_batch_size(formats::batch_rows(&schema));
        if let Some(row_group) = row_group {
            builder = builder.with_row_groups(vec![row_group]);
        }
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let stream = builder.build().map_err(|error| damaged(&self.path, error))?;
        Ok(LeafRows { stream, schema: Arc::new(schema), path: self.path.clone() })
    }

    /// The cells of the rows of one row group or of all.
    pub(crate) fn cells(&self, row_group: Option<usize>) -> Result<LeafCells, CatalogError> {
        let source = CellSource::of(&self.snapshot)?;
        Ok(LeafCells { rows: self.rows(source.columns(), row_group, None)?, source })
    }

    /// A column together with the cells of its rows.
    pub(crate) fn key_and_cells(&self, column: &str) -> Result<KeysAndCells, CatalogError> {
        let source = CellSource::of(&self.snapshot)?;
        let mut columns = source.columns().to_vec();
        columns.push(self.snapshot.schema().index_of(column)?);
        Ok(KeysAndCells { rows: self.rows(&columns, None, None)?, source })
    }
}

/// The rows of a data file, batch by batch.
pub(crate) struct LeafRows {
    stream: ParquetRecordBatchStream<ParquetObject>,
    schema: SchemaRef,
    path: String,
}

impl LeafRows {
    /// The next rows, typed as the snapshot's schema says.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, CatalogError> {
        let batch = self.stream.try_next().await.map_err(|error| damaged(&self.path, error))?;
        batch.map(|batch| conform(&batch, &self.schema).map_err(|error| damaged(&self.path, error))).transpose()
    }
}

/// The cells of the rows of a data file.
pub(crate) struct LeafCells {
    rows: LeafRows,
    source: CellSource,
}

impl LeafCells {
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u64>>, CatalogError> {
        let Some(batch) = self.rows.next().await? else { return Ok(None) };
        Ok(Some(self.source.cells(&batch, &self.rows.path)?))
    }
}

/// A column and the cells of its rows.
pub(crate) struct KeysAndCells {
    rows: LeafRows,
    source: CellSource,
}

impl KeysAndCells {
    pub(crate) async fn next(&mut self) -> Result<Option<(ArrayRef, Vec<u64>)>, CatalogError> {
        let Some(batch) = self.rows.next().await? else { return Ok(None) };
        let cells = self.source.cells(&batch, &self.rows.path)?;
        Ok(Some((Arc::clone(batch.column(batch.num_columns() - 1)), cells)))
    }
}

/// Where the order-29 cell of a row is read from. The columns are the first of a batch.
enum CellSource {
    /// It is a column.
    Healpix([usize; 1]),
    /// It is computed: the table has no such column, or one of a lower order.
    Position([usize; 2]),
}

impl CellSource {
    fn of(snapshot: &CatalogSnapshot) -> Result<Self, CatalogError> {
        let (schema, descriptor) = (snapshot.schema(), snapshot.descriptor());
        if let Some(healpix) = descriptor.healpix.as_ref().filter(|healpix| healpix.order == 29) {
            return Ok(Self::Healpix([schema.index_of(&healpix.column)?]));
        }
        match &descriptor.position {
            Some(position) => Ok(Self::Position([schema.index_of(&position.ra)?, schema.index_of(&position.dec)?])),
            None => Err(CatalogError::input(&descriptor.name, "it has neither positions nor a column of their cells")),
        }
    }

    fn columns(&self) -> &[usize] {
        match self {
            Self::Healpix(columns) => columns,
            Self::Position(columns) => columns,
        }
    }

    fn cells(&self, batch: &RecordBatch, path: &str) -> Result<Vec<u64>, CatalogError> {
        let none = || damaged(path, "a row has no position");
        match self {
            Self::Healpix(_) => {
                let cells = cast(batch.column(0), &DataType::Int64)?;
                let cells = cells.as_primitive::<Int64Type>();
                if cells.null_count() > 0 {
                    return Err(none());
                }
                let outside = cells.values().iter().find(|cell| !(0..CELLS_29 as i64).contains(*cell));
                match outside {
                    Some(cell) => Err(damaged(path, format!("{cell} is no HEALPix cell of order 29"))),
                    None => Ok(cells.values().iter().map(|cell| *cell as u64).collect()),
                }
            }
            Self::Position(_) => {
                let degrees = |column: usize| cast(batch.column(column), &DataType::Float64);
                let (ra, dec) = (degrees(0)?, degrees(1)?);
                let (ra, dec) = (ra.as_primitive::<Float64Type>(), dec.as_primitive::<Float64Type>());
                let cells = ra.iter().zip(dec).map(|(ra, dec)| {
                    let position = Position::from_deg(ra.ok_or_else(none)?, dec.ok_or_else(none)?);
                    position.map(cell29).map_err(|error| damaged(path, error))
                });
                cells.collect()
            }
        }
    }
}

/// The rows with the columns of a schema: by name, cast where the type differs, NULL where there is no such column.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, CatalogError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Every column of a schema.
pub(crate) fn all_columns(schema: &Schema) -> Vec<usize> {
    (0..schema.fields().len()).collect()
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Int32Array, Int64Array, StringArray},
        datatypes::Field,
    };

    use super::*;

    #[test]
    fn columns_are_found_by_name_cast_and_filled() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::LargeUtf8, true),
            Field::new("absent", DataType::Float64, true),
        ]));
        let name: ArrayRef = Arc::new(StringArray::from(vec![Some("α"), None]));
        let id: ArrayRef = Arc::new(Int32Array::from(vec![3, 4]));
        let batch = RecordBatch::try_from_iter([("name", name), ("other", Arc::clone(&id)), ("id", id)]).unwrap();
        let conformed = conform(&batch, &schema).unwrap();
        assert_eq!(conformed.column(0).as_primitive::<Int64Type>(), &Int64Array::from(vec![3, 4]));
        assert_eq!(conformed.column(1).as_string::<i64>().value(0), "α");
        assert_eq!(conformed.column(2).null_count(), 2);
    }
}
