//! Values of a column in the type that they are stored as, and those among them that it cannot hold.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float64Array, GenericListArray, OffsetSizeTrait,
        StringArray, StructArray,
    },
    buffer::{BooleanBuffer, NullBuffer},
    compute::{CastOptions, cast, cast_with_options, kernels::cmp, nullif},
    datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type},
    error::ArrowError,
    util::display::array_value_to_string,
};
use formats::TableSource;

use super::{
    ImportPlan,
    angle::is_text,
    convert::Bad,
    shape::{stored_type, widened},
};
use crate::CatalogError;

/// Statistics leave NaN out, comparisons do not: a column with NaN would be pruned wrongly. Missing is NULL.
pub(super) fn nan_to_null(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let nan = match column.data_type() {
        DataType::Float32 if has_nan(column.as_primitive::<Float32Type>().values(), |value| value.is_nan()) => {
            BooleanArray::from_unary(column.as_primitive::<Float32Type>(), f32::is_nan)
        }
        DataType::Float64 if has_nan(column.as_primitive::<Float64Type>().values(), |value| value.is_nan()) => {
            BooleanArray::from_unary(column.as_primitive::<Float64Type>(), f64::is_nan)
        }
        _ => return Ok(Arc::clone(column)),
    };
    nullif(column, &nan)
}

fn has_nan<T: Copy>(values: &[T], is_nan: impl Fn(T) -> bool) -> bool {
    values.chunks(1024).any(|chunk| chunk.iter().fold(false, |any, value| any | is_nan(*value)))
}

/// Casts a column; the rows whose values the type cannot hold are bad.
pub(super) fn checked_cast(
    values: &ArrayRef,
    field: &FieldRef,
    bad: &mut BTreeMap<usize, Bad>,
) -> Result<ArrayRef, ArrowError> {
    let (from, to) = (values.data_type(), field.data_type());
    if from == to {
        return Ok(Arc::clone(values));
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let done = cast_with_options(values, to, &options)?;
    if widened(from, to).as_ref() == Some(to) {
        return Ok(done);
    }
    let is_exact = exactness(values, &done)?;
    for row in 0..values.len() {
        if values.is_valid(row) && (done.is_null(row) || !is_exact.value(row)) {
            let text = array_value_to_string(values, row)?;
            bad.entry(row).or_insert_with(|| Bad {
                kind: format!("{} cannot be read", field.name()),
                reason: format!("{}: '{text}' is no {}", field.name(), type_word(to)),
            });
        }
    }
    Ok(done)
}

fn doubles(column: &ArrayRef) -> Result<Float64Array, ArrowError> {
    Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// Whether each number is the same after the cast. A number may be rounded to a shorter float: that is what was asked for.
fn exactness(before: &ArrayRef, after: &ArrayRef) -> Result<BooleanBuffer, ArrowError> {
    let (from, to) = (before.data_type(), after.data_type());
    let rows = before.len();
    if from.is_floating() && to.is_integer() {
        let (before, after) = (doubles(before)?, doubles(after)?);
        return Ok(BooleanBuffer::collect_bool(rows, |row| before.value(row) == after.value(row)));
    }
    if from.is_integer() && to.is_floating() {
        let back = cast(after, from)?;
        return Ok(cmp::not_distinct(&back, before)?.values().clone());
    }
    Ok(BooleanBuffer::new_set(rows))
}

fn type_word(data_type: &DataType) -> String {
    match data_type {
        DataType::Float32 => "number (real)".to_owned(),
        DataType::Float64 => "number".to_owned(),
        integer if integer.is_integer() => format!("whole number ({integer})"),
        DataType::Boolean => "truth value".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "time stamp".to_owned(),
        text if is_text(text) => "text".to_owned(),
        other => other.to_string(),
    }
}

/// A column in the type that [`stored_type`] tells.
pub(super) fn storable(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let target = stored_type(column.data_type());
    if target == *column.data_type() {
        return Ok(Arc::clone(column));
    }
    match column.data_type() {
        DataType::ListView(field) => storable(&cast(column, &DataType::List(Arc::clone(field)))?),
        DataType::LargeListView(field) => storable(&cast(column, &DataType::LargeList(Arc::clone(field)))?),
        DataType::List(field) if matches!(field.data_type(), DataType::Struct(_)) => {
            structure_of_lists(column, &target)
        }
        DataType::List(_) => list_of_elements::<i32>(column, &target),
        DataType::LargeList(_) => list_of_elements::<i64>(column, &target),
        DataType::FixedSizeList(..) => {
            let (list, DataType::FixedSizeList(element, size)) = (column.as_fixed_size_list(), &target) else {
                return cast(column, &target);
            };
            let values = storable(list.values())?;
            Ok(Arc::new(FixedSizeListArray::try_new(Arc::clone(element), *size, values, list.nulls().cloned())?))
        }
        DataType::Struct(_) => {
            let (parts, DataType::Struct(fields)) = (column.as_struct(), &target) else { return cast(column, &target) };
            let columns = parts.columns().iter().map(storable).collect::<Result<_, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, parts.nulls().cloned())?))
        }
        _ => cast(column, &target),
    }
}

fn list_of_elements<O: OffsetSizeTrait>(column: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let list = column.as_list::<O>();
    let (DataType::List(element) | DataType::LargeList(element)) = target else { return cast(column, target) };
    let values = storable(list.values())?;
    let list =
        GenericListArray::<O>::try_new(Arc::clone(element), list.offsets().clone(), values, list.nulls().cloned());
    Ok(Arc::new(list?))
}

/// A list of structures as a structure of lists: the same offsets over each part.
fn structure_of_lists(column: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let list = column.as_list::<i32>();
    let DataType::Struct(fields) = target else { return cast(column, target) };
    let parts = list.values().as_struct();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
    for (part, field) in parts.columns().iter().zip(fields) {
        let DataType::List(element) = field.data_type() else { return cast(column, target) };
        let mut values = storable(part)?;
        if let Some(nulls) = parts.nulls() {
            // A structure that is NULL has NULL in all of its parts.
            let nulls = NullBuffer::union(Some(nulls), values.nulls());
            values = arrow::array::make_array(values.to_data().into_builder().nulls(nulls).build()?);
        }
        let offsets = list.offsets().clone();
        columns.push(Arc::new(GenericListArray::<i32>::try_new(
            Arc::clone(element),
            offsets,
            values,
            list.nulls().cloned(),
        )?));
    }
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, list.nulls().cloned())?))
}

/// The values that mean "missing" in a column, as values of the type that it has in this source.
pub(super) fn sentinels(
    source: &dyn TableSource,
    index: usize,
    field: &Field,
    plan: &ImportPlan,
) -> Result<Vec<ArrayRef>, CatalogError> {
    let data_type = stored_type(source.schema().field(index).data_type());
    let mut values = Vec::new();
    for sentinel in &plan.sentinels {
        let is_named = match &sentinel.column {
            Some(column) if column != field.name() => continue,
            named => named.is_some(),
        };
        let text: ArrayRef = Arc::new(StringArray::from(vec![sentinel.value.as_str()]));
        let value =
            if data_type.is_nested() || data_type == DataType::Null { None } else { cast(&text, &data_type).ok() };
        match value {
            Some(value) if value.is_valid(0) => values.push(value),
            _ if is_named => {
                let why = format!("'{}' cannot be a value of {}, which is {data_type}", sentinel.value, field.name());
                return Err(CatalogError::input(source.name(), why));
            }
            _ => {}
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, ListArray, StringViewArray, UInt32Array};
    use arrow::compute::take;
    use arrow::datatypes::Int32Type;

    use super::*;

    fn field(data_type: DataType) -> FieldRef {
        Arc::new(Field::new("mag", data_type, true))
    }

    fn cast_to(values: impl Array + 'static, to: DataType) -> (ArrayRef, Vec<(usize, String)>) {
        let mut bad = BTreeMap::new();
        let values: ArrayRef = Arc::new(values);
        let done = checked_cast(&values, &field(to), &mut bad).unwrap();
        (done, bad.into_iter().map(|(row, bad)| (row, bad.reason)).collect())
    }

    #[test]
    fn a_value_that_a_type_cannot_hold_is_told_and_never_changed() {
        let text = StringArray::from(vec![Some("1.5"), None, Some("bright"), Some("-0")]);
        let (done, bad) = cast_to(text, DataType::Float64);
        assert_eq!(done.as_primitive::<Float64Type>().value(0), 1.5);
        assert_eq!(bad, [(2, "mag: 'bright' is no number".to_owned())]);
        let (_, bad) = cast_to(Float64Array::from(vec![1.0, -0.0, 1.5, 1e300]), DataType::Int32);
        assert_eq!(bad.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [2, 3]);
        let (_, bad) = cast_to(Int64Array::from(vec![1 << 53, (1 << 53) + 1, -7]), DataType::Float64);
        assert_eq!(bad.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1]);
        let (_, bad) = cast_to(Int64Array::from(vec![1, 300]), DataType::Int8);
        assert_eq!(bad.len(), 1);
        assert_eq!(cast_to(Float64Array::from(vec![0.1]), DataType::Float32).1, []);
    }

    #[test]
    fn lists_of_structures_become_structures_of_lists_with_their_nulls() {
        let parts = StructArray::try_new(
            vec![Field::new("t", DataType::Int32, true), Field::new("s", DataType::Utf8View, true)].into(),
            vec![
                Arc::new(Int32Array::from(vec![1, 2, 3])),
                Arc::new(StringViewArray::from(vec![Some("a"), None, Some("c")])),
            ],
            Some(NullBuffer::from(vec![true, false, true])),
        );
        let item = Arc::new(Field::new("item", parts.as_ref().unwrap().data_type().clone(), true));
        let list = ListArray::try_new(
            item,
            arrow::buffer::OffsetBuffer::from_lengths([2, 0, 0, 1]),
            Arc::new(parts.unwrap()),
            Some(NullBuffer::from(vec![true, true, false, true])),
        );
        let list: ArrayRef = Arc::new(list.unwrap());
        // Rows in another order, so that offsets do not begin at zero.
        let list = take(&list, &UInt32Array::from(vec![3, 2, 1, 0]), None).unwrap();
        let done = storable(&list).unwrap();
        assert_eq!(done.data_type(), &stored_type(list.data_type()));
        assert_eq!((0..4).map(|row| done.is_null(row)).collect::<Vec<_>>(), [false, true, false, false]);
        let times = done.as_struct().column(0).as_list::<i32>().value(3);
        assert_eq!(times.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(1), None]));
        let names = done.as_struct().column(1).as_list::<i32>().value(0);
        assert_eq!(names.as_string::<i32>(), &StringArray::from(vec!["c"]));
    }
}
