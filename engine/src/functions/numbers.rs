//! Numbers as a function gets them: a column, or one constant for all rows.

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, StructArray},
        compute::nullif,
        datatypes::Float64Type,
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

    pub(super) fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    fn of(value: &ColumnarValue) -> Result<Self> {
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

/// The arguments of a geometry function as plain numbers: shapes are taken apart into theirs. A shape that is NULL as a
/// whole has NULL parts.
pub(super) fn flatten(arguments: &[ColumnarValue]) -> Result<Vec<Numbers>> {
    let mut numbers = Vec::new();
    for argument in arguments {
        match argument {
            ColumnarValue::Array(array) if array.as_struct_opt().is_some() => {
                for part in parts(array.as_struct())? {
                    numbers.push(Numbers::of_array(&part)?);
                }
            }
            ColumnarValue::Scalar(ScalarValue::Struct(shape)) => {
                for part in parts(shape)? {
                    numbers.push(Numbers::Constant(Numbers::of_array(&part)?.at(0)));
                }
            }
            plain => numbers.push(Numbers::of(plain)?),
        }
    }
    Ok(numbers)
}

fn parts(shape: &StructArray) -> Result<Vec<ArrayRef>> {
    let Some(nulls) = shape.nulls() else { return Ok(shape.columns().to_vec()) };
    let missing = BooleanArray::new(!nulls.inner(), None);
    shape.columns().iter().map(|column| Ok(nullif(column, &missing)?)).collect()
}
