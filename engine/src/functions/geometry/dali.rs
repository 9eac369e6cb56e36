//! Shapes as they leave the engine: the numbers or the text of DALI, with the xtype that tells what they are.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float64Array},
        compute::nullif,
        datatypes::{DataType, Field, FieldRef, Float64Type},
    },
    common::{exec_err, plan_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use crate::values::{ShapeType, XTYPE};

/// The shape that an expression gives, as it leaves the engine.
pub(crate) fn to_dali(shape: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(ToDali { signature: Signature::any(1, Volatility::Immutable) }))
    });
    FUNCTION.call(vec![shape])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToDali {
    signature: Signature,
}

/// The type in an answer.
fn plain(kind: ShapeType) -> DataType {
    let item = || Arc::new(Field::new("item", DataType::Float64, true));
    match kind {
        ShapeType::Point => DataType::FixedSizeList(item(), 2),
        ShapeType::Circle => DataType::FixedSizeList(item(), 3),
        ShapeType::Polygon => DataType::List(item()),
        ShapeType::Moc | ShapeType::Region => DataType::Utf8,
    }
}

impl ScalarUDFImpl for ToDali {
    fn name(&self) -> &str {
        "adql_to_dali"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.first().and_then(ShapeType::of) {
            Some(kind) => Ok(plain(kind)),
            None => plan_err!("a shape was expected"),
        }
    }

    /// What is known of the column stays, and its xtype is what the values are.
    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some((field, kind)) =
            arguments.arg_fields.first().and_then(|field| Some((field, ShapeType::of(field.data_type())?)))
        else {
            return plan_err!("a shape was expected");
        };
        let mut metadata: HashMap<String, String> = field.metadata().clone();
        metadata.insert(XTYPE.to_owned(), kind.xtype().to_owned());
        Ok(Arc::new(Field::new(self.name(), plain(kind), true).with_metadata(metadata)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let shapes = arguments.args[0].to_array(arguments.number_rows)?;
        let Some(kind) = ShapeType::of(shapes.data_type()) else { return exec_err!("a shape was expected") };
        let shapes = shapes.as_struct();
        let answer: ArrayRef = match kind {
            ShapeType::Point | ShapeType::Circle => {
                let parts: Vec<&Float64Array> =
                    shapes.columns().iter().map(|part| part.as_primitive::<Float64Type>()).collect();
                let mut values = Vec::with_capacity(shapes.len() * parts.len());
                for row in 0..shapes.len() {
                    values.extend(parts.iter().map(|part| part.value(row)));
                }
                let item = Arc::new(Field::new("item", DataType::Float64, true));
                let values = Arc::new(Float64Array::from(values));
                Arc::new(FixedSizeListArray::try_new(item, parts.len() as i32, values, shapes.nulls().cloned())?)
            }
            _ => match shapes.nulls() {
                // A shape that is NULL as a whole may have parts all the same.
                Some(nulls) => nullif(shapes.column(0), &BooleanArray::new(!nulls.inner(), None))?,
                None => Arc::clone(shapes.column(0)),
            },
        };
        Ok(ColumnarValue::Array(answer))
    }
}
