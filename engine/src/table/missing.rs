//! NaN of somebody else's files is missing, and what is missing is NULL.
//!
//! ```text
//!   before   DataSourceExec: ra, mag
//!   after    ProjectionExec: nan_is_null(ra), nan_is_null(mag)
//!              DataSourceExec: ra, mag
//! ```
//! Statistics leave NaN out, while comparisons put it above all numbers: `mag > 20` would find such a row, or not, by what
//! its row group holds besides. As NULL it is found by no comparison. The optimizer moves the projection, and the filters
//! above it, into the reader; there a filter on the function is applied to the rows and leaves no row group out.
//! Tables of which it is known that they have no NaN are left as they are, and so are the values inside lists.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
        buffer::{BooleanBuffer, NullBuffer},
        datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type},
    },
    common::internal_err,
    config::ConfigOptions,
    error::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
    physical_expr::{PhysicalExpr, ScalarFunctionExpr, expressions::Column},
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};

/// What a plan reads, with NULL for each NaN.
pub(super) fn nan_as_null(
    plan: Arc<dyn ExecutionPlan>,
    options: &Arc<ConfigOptions>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    if !schema.fields().iter().any(|field| field.data_type().is_floating()) {
        return Ok(plan);
    }
    let columns = schema.fields().iter().enumerate().map(|(number, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), number));
        let value = match field.data_type().is_floating() {
            false => column,
            true => {
                let function = Arc::clone(&NAN_IS_NULL);
                Arc::new(ScalarFunctionExpr::try_new(function, vec![column], &schema, Arc::clone(options))?)
            }
        };
        Ok((value, field.name().clone()))
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Result<Vec<_>>>()?, plan)?))
}

static NAN_IS_NULL: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(NanIsNull { signature }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct NanIsNull {
    signature: Signature,
}

impl ScalarUDFImpl for NanIsNull {
    fn name(&self) -> &str {
        "nan_is_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [only] => Ok(only.clone()),
            _ => internal_err!("nan_is_null of {} arguments", arguments.len()),
        }
    }

    /// The column as it was, its metadata included.
    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match arguments.arg_fields {
            [only] => Ok(Arc::new(only.as_ref().clone().with_nullable(true))),
            _ => internal_err!("nan_is_null of {} arguments", arguments.arg_fields.len()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [values] = &values[..] else { return internal_err!("nan_is_null of {} arguments", values.len()) };
        Ok(ColumnarValue::Array(match values.data_type() {
            DataType::Float16 => without_nan::<Float16Type>(values, |value| value.is_nan()),
            DataType::Float32 => without_nan::<Float32Type>(values, |value| value.is_nan()),
            DataType::Float64 => without_nan::<Float64Type>(values, |value| value.is_nan()),
            _ => Arc::clone(values),
        }))
    }
}

fn without_nan<T: ArrowPrimitiveType>(values: &ArrayRef, is_nan: impl Fn(T::Native) -> bool) -> ArrayRef {
    let floats = values.as_primitive::<T>();
    let numbers = BooleanBuffer::collect_bool(floats.len(), |row| !is_nan(floats.value(row)));
    if numbers.count_set_bits() == floats.len() {
        return Arc::clone(values);
    }
    let known = NullBuffer::union(floats.nulls(), Some(&NullBuffer::new(numbers)));
    Arc::new(PrimitiveArray::<T>::new(floats.values().clone(), known))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float32Array, Float64Array};

    use super::*;

    #[test]
    fn nan_of_either_sign_is_null_and_all_else_stays() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(1.5),
            Some(f64::NAN),
            None,
            Some(-f64::NAN),
            Some(f64::INFINITY),
            Some(-0.0),
        ]));
        let found = without_nan::<Float64Type>(&values, f64::is_nan);
        let expected = Float64Array::from(vec![Some(1.5), None, None, None, Some(f64::INFINITY), Some(-0.0)]);
        assert_eq!(found.as_primitive::<Float64Type>(), &expected);
        let part = without_nan::<Float64Type>(&values.slice(1, 3), f64::is_nan);
        assert_eq!((part.len(), part.null_count()), (3, 3));
    }

    #[test]
    fn without_a_nan_nothing_is_copied() {
        let values: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.0), None]));
        assert!(Arc::ptr_eq(&without_nan::<Float32Type>(&values, f32::is_nan), &values));
    }
}
