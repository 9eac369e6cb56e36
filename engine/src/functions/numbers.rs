//! Numbers as a function gets them: a column, or one constant for all rows.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StructArray},
        buffer::{BooleanBuffer, NullBuffer, ScalarBuffer},
        compute::nullif,
        datatypes::{Float64Type, Int64Type},
    },
    common::{ScalarValue, exec_err},
    error::Result,
    logical_expr::ColumnarValue,
};

/// One numeric argument.
pub(super) enum Numbers {
    Column(Float64Array),
    Constant(Option<f64>),
}

impl Numbers {
    pub(super) fn at(&self, row: usize) -> Option<f64> {
        match self {
            Self::Column(values) => values.is_valid(row).then(|| values.value(row)),
            Self::Constant(value) => *value,
        }
    }

    pub(super) fn of(value: &ColumnarValue) -> Result<Self> {
        match value {
            ColumnarValue::Array(array) => Self::of_array(array),
            ColumnarValue::Scalar(ScalarValue::Float64(value)) => Ok(Self::Constant(*value)),
            ColumnarValue::Scalar(other) => exec_err!("a number was expected, not {}", other.data_type()),
        }
    }

    fn of_array(array: &ArrayRef) -> Result<Self> {
        match array.as_primitive_opt::<Float64Type>() {
            Some(values) => Ok(Self::Column(values.clone())),
            None => exec_err!("numbers were expected, not {}", array.data_type()),
        }
    }
}

fn parts(shape: &StructArray) -> Result<Vec<ArrayRef>> {
    let Some(nulls) = shape.nulls() else { return Ok(shape.columns().to_vec()) };
    let missing = BooleanArray::new(!nulls.inner(), None);
    shape.columns().iter().map(|column| Ok(nullif(column, &missing)?)).collect()
}

/// Doubles as a kernel reads them: one for each row, or one for all. NULL is kept apart, so that a loop over rows has no
/// branch in it.
pub(super) struct Reals {
    values: ScalarBuffer<f64>,
    nulls: Option<NullBuffer>,
    step: usize,
}

impl Reals {
    /// The value of a row; anything where it is NULL.
    #[inline]
    pub(super) fn at(&self, row: usize) -> f64 {
        self.values[row * self.step]
    }

    /// The values of all rows, if they are not one constant.
    pub(super) fn column(&self) -> Option<&[f64]> {
        (self.step == 1).then_some(&self.values[..])
    }

    fn of_array(array: &ArrayRef, step: usize) -> Result<Self> {
        match array.as_primitive_opt::<Float64Type>() {
            Some(array) => Ok(Self { values: array.values().clone(), nulls: array.nulls().cloned(), step }),
            None => exec_err!("numbers were expected, not {}", array.data_type()),
        }
    }
}

/// The arguments of a function of doubles. Shapes are taken apart into their numbers.
pub(super) fn reals(arguments: &[ColumnarValue]) -> Result<Vec<Reals>> {
    let mut reals = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let (array, step) = match argument {
            ColumnarValue::Array(array) => (ArrayRef::clone(array), 1),
            ColumnarValue::Scalar(value) => (value.to_array()?, 0),
        };
        match array.as_struct_opt() {
            Some(shape) => {
                for part in parts(shape)? {
                    reals.push(Reals::of_array(&part, step)?);
                }
            }
            None => reals.push(Reals::of_array(&array, step)?),
        }
    }
    Ok(reals)
}

/// Where none of the arguments is NULL.
pub(super) fn present<'a>(arguments: impl IntoIterator<Item = &'a Reals>, rows: usize) -> Option<NullBuffer> {
    let mut all = None;
    for argument in arguments {
        match (&argument.nulls, argument.step) {
            (Some(nulls), 0) if nulls.null_count() > 0 => return Some(NullBuffer::new_null(rows)),
            (nulls, 1) => all = NullBuffer::union(all.as_ref(), nulls.as_ref()),
            _ => {}
        }
    }
    all
}

/// A function of doubles, row by row. What is not finite is out of the function's domain, or too large: NULL.
#[inline]
pub(super) fn each(arguments: &[Reals], rows: usize, value: impl Fn(usize) -> f64) -> ArrayRef {
    let values: Vec<f64> = (0..rows).map(value).collect();
    finite(values, present(arguments, rows))
}

/// These values, NULL where they are not finite.
pub(super) fn finite(values: Vec<f64>, nulls: Option<NullBuffer>) -> ArrayRef {
    // All are looked at, whatever is found: a loop without branches.
    let all_finite = values.iter().fold(true, |all, value| all & value.is_finite());
    let nulls = if all_finite {
        nulls
    } else {
        let finite = BooleanBuffer::collect_bool(values.len(), |row| values[row].is_finite());
        NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(finite)))
    };
    Arc::new(Float64Array::new(values.into(), nulls))
}

/// The whole numbers of an argument, as 64 bits.
pub(super) fn integers(argument: &ColumnarValue, rows: usize) -> Result<Int64Array> {
    match argument.to_array(rows)?.as_primitive_opt::<Int64Type>() {
        Some(values) => Ok(values.clone()),
        None => exec_err!("whole numbers were expected, not {}", argument.data_type()),
    }
}
