//! What an input batch becomes before it is stored: types that every HATS reader knows, NULL instead of NaN, and cells.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch},
    compute::{cast, nullif},
    datatypes::{DataType, Field, Float32Type, Float64Type, Schema, SchemaRef},
};
use sky::{Position, healpix::cell29};

use crate::{CatalogError, HEALPIX_COLUMN, PositionColumns};

/// The type that a column is stored as. Other readers know neither view types nor dictionaries in a file's Arrow schema,
/// and the child of a list must be called `element`.
fn stored_type(data_type: &DataType) -> DataType {
    let child = |field: &Arc<Field>| {
        Arc::new(Field::new("element", stored_type(field.data_type()), true).with_metadata(field.metadata().clone()))
    };
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => stored_type(values),
        DataType::Float16 => DataType::Float32,
        DataType::List(field) | DataType::ListView(field) => DataType::List(child(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(child(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field), *size),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| Arc::new(stored_field(field))).collect())
        }
        plain => plain.clone(),
    }
}

fn stored_field(field: &Field) -> Field {
    field.clone().with_data_type(stored_type(field.data_type()))
}

/// How input batches become stored ones.
pub(super) struct Columns {
    schema: SchemaRef,
    position: Option<PositionColumns>,
}

impl Columns {
    /// Refuses names that a catalogue cannot have twice or may not have at all.
    pub(super) fn new(source: &str, input: &Schema, position: Option<PositionColumns>) -> Result<Self, CatalogError> {
        let mut fields = Vec::with_capacity(input.fields().len() + 1);
        for name in position.iter().flat_map(|position| [&position.ra, &position.dec]) {
            check_degrees(source, input, name)?;
        }
        if position.is_some() {
            let cell = Field::new(HEALPIX_COLUMN, DataType::Int64, false).with_metadata(
                [
                    ("vo:description".to_owned(), "HEALPix cell of order 29, nested, of the position".to_owned()),
                    ("vo:ucd".to_owned(), "pos.healpix".to_owned()),
                ]
                .into(),
            );
            fields.push(cell);
        }
        for (number, field) in input.fields().iter().enumerate() {
            if field.name() == HEALPIX_COLUMN {
                if position.is_some() {
                    continue; // computed anew from the position, never trusted
                }
                let why = format!("the column {HEALPIX_COLUMN} is kept for tables with positions; name it otherwise");
                return Err(CatalogError::input(source, why));
            }
            if input.fields().iter().take(number).any(|other| other.name() == field.name()) {
                return Err(CatalogError::input(source, format!("two columns are called {}", field.name())));
            }
            if field.name().is_empty() {
                return Err(CatalogError::input(source, format!("column {} has no name", number + 1)));
            }
            fields.push(stored_field(field).with_nullable(true));
        }
        Ok(Self { schema: Arc::new(Schema::new_with_metadata(fields, input.metadata().clone())), position })
    }

    /// The schema of the stored rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The order-29 cells of a batch of input. `first_row` is the number of its first row, for the sentence that refuses
    /// a bad position.
    pub(super) fn cells(&self, source: &str, batch: &RecordBatch, first_row: u64) -> Result<Vec<u64>, CatalogError> {
        let Some(position) = &self.position else { return Ok(Vec::new()) };
        let (ra, dec) = (degrees(source, batch, &position.ra)?, degrees(source, batch, &position.dec)?);
        let mut cells = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let refuse =
                |why: String| Err(CatalogError::input(source, format!("row {}: {why}", first_row + row as u64 + 1)));
            if ra.is_null(row) || dec.is_null(row) {
                return refuse(format!("it has no position ({} or {} is empty)", position.ra, position.dec));
            }
            match Position::from_deg(ra.value(row), dec.value(row)) {
                Ok(position) => cells.push(cell29(position)),
                Err(error) => return refuse(error.to_string()),
            }
        }
        Ok(cells)
    }

    /// The stored form of a batch of input whose cells are known.
    pub(super) fn store(&self, batch: &RecordBatch, cells: &[u64]) -> Result<RecordBatch, CatalogError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        if self.position.is_some() {
            // A cell number is below 12·4²⁹ < 2⁶².
            columns.push(Arc::new(cells.iter().map(|cell| *cell as i64).collect::<Int64Array>()));
        }
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if field.name() != HEALPIX_COLUMN {
                columns.push(nan_to_null(&cast(column, &stored_type(column.data_type()))?)?);
            }
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn check_degrees(source: &str, input: &Schema, name: &str) -> Result<(), CatalogError> {
    let field =
        input.field_with_name(name).map_err(|_| CatalogError::input(source, format!("there is no column {name}")))?;
    if field.data_type().is_floating() || field.data_type().is_integer() {
        return Ok(());
    }
    Err(CatalogError::input(source, format!("{name} is {}, not a number of degrees", field.data_type())))
}

/// The values of a column that [`check_degrees`] has passed.
fn degrees(source: &str, batch: &RecordBatch, name: &str) -> Result<Float64Array, CatalogError> {
    let column =
        batch.column_by_name(name).ok_or_else(|| CatalogError::input(source, format!("there is no column {name}")))?;
    Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// Statistics leave NaN out, comparisons do not: a column with NaN would be pruned wrongly. Missing is NULL.
fn nan_to_null(column: &ArrayRef) -> Result<ArrayRef, CatalogError> {
    let nan = match column.data_type() {
        DataType::Float32 => BooleanArray::from_unary(column.as_primitive::<Float32Type>(), f32::is_nan),
        DataType::Float64 => BooleanArray::from_unary(column.as_primitive::<Float64Type>(), f64::is_nan),
        _ => return Ok(Arc::clone(column)),
    };
    if nan.true_count() == 0 { Ok(Arc::clone(column)) } else { Ok(nullif(column, &nan)?) }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float32Array, StringViewArray};

    use super::*;

    fn sky() -> Option<PositionColumns> {
        Some(PositionColumns { ra: "ra".into(), dec: "dec".into() })
    }

    fn batch(ra: Vec<Option<f64>>, dec: Vec<Option<f64>>) -> RecordBatch {
        let column = |values| Arc::new(Float64Array::from(values)) as ArrayRef;
        RecordBatch::try_from_iter_with_nullable([("ra", column(ra), true), ("dec", column(dec), true)]).unwrap()
    }

    #[test]
    fn a_row_without_a_usable_position_is_refused_by_its_number() {
        for (ra, dec, reason) in [
            (None, Some(1.0), "no position"),
            (Some(1.0), Some(f64::NAN), "row 102"),
            (Some(1.0), Some(95.0), "95"),
            (Some(f64::INFINITY), Some(0.0), "row 102"),
        ] {
            let batch = batch(vec![Some(0.0), ra], vec![Some(0.0), dec]);
            let columns = Columns::new("a.csv", &batch.schema(), sky()).unwrap();
            let sentence = columns.cells("a.csv", &batch, 100).unwrap_err().to_string();
            assert!(sentence.starts_with("a.csv: row 102: ") && sentence.contains(reason), "{sentence}");
        }
    }

    #[test]
    fn right_ascensions_a_turn_apart_share_a_cell() {
        let batch = batch(vec![Some(-30.0), Some(330.0), Some(0.0), Some(360.0)], vec![Some(10.0); 4]);
        let cells = Columns::new("x", &batch.schema(), sky()).unwrap().cells("x", &batch, 0).unwrap();
        assert_eq!((cells[0], cells[2]), (cells[1], cells[3]));
    }

    #[test]
    fn a_stored_batch_has_no_nan_no_views_and_its_cells_first() {
        let nan: ArrayRef = Arc::new(Float32Array::from(vec![Some(f32::NAN), Some(1.5), None]));
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some("é")]));
        let degrees: ArrayRef = Arc::new(Float64Array::from(vec![1.0; 3]));
        let columns = [("mag", nan), ("name", text), ("ra", Arc::clone(&degrees)), ("dec", degrees)];
        let input = RecordBatch::try_from_iter(columns).unwrap();
        let stored = Columns::new("x", &input.schema(), sky()).unwrap().store(&input, &[3, 2, 1]).unwrap();
        assert_eq!(stored.schema().field(0).name(), HEALPIX_COLUMN);
        assert_eq!(stored.column(1).as_primitive::<Float32Type>(), &Float32Array::from(vec![None, Some(1.5), None]));
        assert_eq!(stored.column(2).data_type(), &DataType::Utf8);
    }

    #[test]
    fn a_column_that_is_named_twice_or_not_at_all_is_refused() {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let twice = Columns::new("x", &Schema::new(vec![field("a"), field("a")]), None).err().unwrap();
        assert!(twice.to_string().contains("two columns are called a"));
        let unnamed = Columns::new("x", &Schema::new(vec![field("a"), field("")]), None).err().unwrap();
        assert!(unnamed.to_string().contains("column 2 has no name"));
    }

    #[test]
    fn position_columns_are_checked_before_a_row_is_read() {
        let text =
            Schema::new(vec![Field::new("ra", DataType::Utf8, true), Field::new("dec", DataType::Float64, true)]);
        let refused = |schema: &Schema, position| Columns::new("x", schema, position).err().unwrap().to_string();
        assert!(refused(&text, sky()).contains("ra is Utf8, not a number of degrees"));
        assert!(refused(&Schema::empty(), sky()).contains("there is no column ra"));
        let cell = Schema::new(vec![Field::new(HEALPIX_COLUMN, DataType::Int64, true)]);
        assert!(refused(&cell, None).contains("name it otherwise"), "no column is dropped in silence");
    }
}
