//! `adql_point`, `adql_circle`, `adql_contains` and `adql_distance`.
//!
//! All four take plain numbers or the structs that the others make, so one kernel over numbers serves every form.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array, Int32Array, StructArray},
        datatypes::{DataType, Field, Fields},
    },
    common::{ScalarValue, plan_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};
use sky::{Cone, Deg, Position, SkyError};

use super::numbers::{Numbers, flatten};

pub(crate) const POINT: &str = "adql_point";
pub(crate) const CIRCLE: &str = "adql_circle";
pub(crate) const CONTAINS: &str = "adql_contains";
pub(crate) const DISTANCE: &str = "adql_distance";

fn degrees(names: &[&str]) -> Fields {
    names.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()
}

static POINT_PARTS: LazyLock<Fields> = LazyLock::new(|| degrees(&["lon", "lat"]));
static CIRCLE_PARTS: LazyLock<Fields> = LazyLock::new(|| degrees(&["lon", "lat", "r"]));

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let point = || DataType::Struct(POINT_PARTS.clone());
    let circle = || DataType::Struct(CIRCLE_PARTS.clone());
    let numbers = |count| TypeSignature::Exact(vec![DataType::Float64; count]);
    let functions = [
        (POINT, vec![numbers(2)], Operation::Point),
        (CIRCLE, vec![numbers(3), TypeSignature::Exact(vec![point(), DataType::Float64])], Operation::Circle),
        (CONTAINS, vec![TypeSignature::Exact(vec![point(), circle()])], Operation::Contains),
        (DISTANCE, vec![numbers(4), TypeSignature::Exact(vec![point(), point()])], Operation::Distance),
    ];
    functions
        .map(|(name, forms, operation)| {
            let signature = Signature::one_of(forms, Volatility::Immutable);
            Arc::new(ScalarUDF::new_from_impl(Geometry { name, signature, operation }))
        })
        .to_vec()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Point,
    Circle,
    Contains,
    Distance,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Geometry {
    name: &'static str,
    signature: Signature,
    operation: Operation,
}

impl ScalarUDFImpl for Geometry {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.operation {
            Operation::Point => DataType::Struct(POINT_PARTS.clone()),
            Operation::Circle => DataType::Struct(CIRCLE_PARTS.clone()),
            Operation::Contains => DataType::Int32,
            Operation::Distance => DataType::Float64,
        })
    }

    /// Constants are computed while the query is planned, so that what is no position is a mistake before anything is
    /// read. The planner's own folding would put the mistake off until the first row.
    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let constants: Option<Vec<_>> = arguments.iter().map(constant).collect();
        let Some(constants) = constants else { return Ok(ExprSimplifyResult::Original(arguments)) };
        let answer = self.operation.answer(&flatten(&constants)?, 1, true)?;
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(ScalarValue::try_from_array(&answer, 0)?, None)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let numbers = flatten(&arguments.args)?;
        let constant = numbers.iter().all(Numbers::is_constant);
        let rows = if constant { 1 } else { arguments.number_rows };
        let answer = self.operation.answer(&numbers, rows, constant)?;
        if constant {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?))
        } else {
            Ok(ColumnarValue::Array(answer))
        }
    }
}

impl Operation {
    /// The answer for every row. Where all arguments are constants, what is no position is a mistake; else it is NULL.
    fn answer(self, numbers: &[Numbers], rows: usize, constant: bool) -> Result<ArrayRef> {
        let each = |act: &mut dyn FnMut(Option<&[f64]>)| {
            let mut values = vec![0.0; numbers.len()];
            for row in 0..rows {
                let complete = numbers.iter().zip(&mut values).all(|(number, value)| match number.at(row) {
                    Some(found) => {
                        *value = found;
                        true
                    }
                    None => false,
                });
                act(complete.then_some(values.as_slice()));
            }
        };
        let mut mistake = None;
        let mut settle = |result: std::result::Result<f64, SkyError>| match result {
            Ok(value) => Some(value),
            Err(error) => {
                mistake = Some(error);
                None
            }
        };
        let answer: ArrayRef = match self {
            Self::Point | Self::Circle => {
                let fields: &Fields = if self == Self::Point { &POINT_PARTS } else { &CIRCLE_PARTS };
                let mut valid = Vec::with_capacity(rows);
                each(&mut |values| valid.push(values.and_then(|values| settle(checked(values))).is_some()));
                let parts = numbers.iter().map(|number| {
                    let part = (0..rows).map(|row| number.at(row).filter(|_| valid[row]));
                    Arc::new(part.collect::<Float64Array>()) as ArrayRef
                });
                Arc::new(StructArray::try_new(fields.clone(), parts.collect(), Some(valid.clone().into()))?)
            }
            Self::Contains => {
                let mut answers = Vec::with_capacity(rows);
                let mut circle = None;
                each(&mut |values| {
                    let answer = values.and_then(|values| settle(contains(values, &mut circle)));
                    answers.push(answer.map(|answer| answer as i32));
                });
                Arc::new(Int32Array::from(answers))
            }
            Self::Distance => {
                let mut answers = Vec::with_capacity(rows);
                each(&mut |values| answers.push(values.and_then(|values| settle(distance(values)))));
                Arc::new(Float64Array::from(answers))
            }
        };
        match mistake {
            Some(error) if constant => plan_err!("{error}"),
            _ => Ok(answer),
        }
    }
}

/// A literal of a type that the functions take; one that is still to be cast is none yet.
fn constant(argument: &Expr) -> Option<ColumnarValue> {
    match argument {
        Expr::Literal(value @ (ScalarValue::Float64(_) | ScalarValue::Struct(_)), _) => {
            Some(ColumnarValue::Scalar(value.clone()))
        }
        _ => None,
    }
}

/// Refuses numbers that make no point or circle.
fn checked(values: &[f64]) -> std::result::Result<f64, SkyError> {
    let center = Position::from_deg(values[0], values[1])?;
    if let Some(radius) = values.get(2) {
        Cone::new(center, Deg(*radius))?;
    }
    Ok(0.0)
}

/// 1 if the point of the first two numbers lies in the circle of the other three, else 0. `circle` remembers the last one,
/// since it is a constant in most queries.
fn contains(values: &[f64], circle: &mut Option<([f64; 3], Cone)>) -> std::result::Result<f64, SkyError> {
    let wanted = [values[2], values[3], values[4]];
    let cone = match circle {
        Some((known, cone)) if *known == wanted => cone,
        _ => {
            let cone = Cone::new(Position::from_deg(wanted[0], wanted[1])?, Deg(wanted[2]))?;
            &mut circle.insert((wanted, cone)).1
        }
    };
    let inside = cone.contains_position(Position::from_deg(values[0], values[1])?);
    Ok(f64::from(u8::from(inside)))
}

fn distance(values: &[f64]) -> std::result::Result<f64, SkyError> {
    let (from, to) = (Position::from_deg(values[0], values[1])?, Position::from_deg(values[2], values[3])?);
    Ok(Deg::from(from.distance(to)).0)
}

#[cfg(test)]
mod tests {
    use datafusion::{arrow::array::Array, config::ConfigOptions};

    use super::*;

    fn call(name: &str, arguments: Vec<ColumnarValue>, rows: usize) -> Result<ColumnarValue> {
        let function = all().into_iter().find(|function| function.name() == name).unwrap();
        let types: Vec<DataType> = arguments.iter().map(ColumnarValue::data_type).collect();
        let return_type = function.inner().return_type(&types).unwrap();
        function.invoke_with_args(ScalarFunctionArgs {
            arg_fields: types.into_iter().map(|data_type| Arc::new(Field::new("a", data_type, true))).collect(),
            args: arguments,
            number_rows: rows,
            return_field: Arc::new(Field::new("answer", return_type, true)),
            config_options: Arc::new(ConfigOptions::default()),
        })
    }

    fn constant(value: f64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::Float64(Some(value)))
    }

    fn column(values: Vec<Option<f64>>) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(Float64Array::from(values)))
    }

    #[test]
    fn a_row_without_a_usable_position_answers_null() {
        let lat = column(vec![Some(0.0), None, Some(95.0), Some(f64::NAN), Some(2.0)]);
        let point = call(POINT, vec![column(vec![Some(10.0); 5]), lat], 5).unwrap();
        let circle = call(CIRCLE, vec![constant(10.0), constant(0.0), constant(1.0)], 1).unwrap();
        let answer = call(CONTAINS, vec![point, circle], 5).unwrap().into_array(5).unwrap();
        let expected: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, None, None, Some(0)]));
        assert_eq!(&answer, &expected);
    }

    #[test]
    fn a_constant_that_is_no_position_is_a_mistake() {
        for (name, values) in
            [(POINT, vec![0.0, 95.0]), (CIRCLE, vec![0.0, 0.0, -1.0]), (CIRCLE, vec![0.0, 0.0, f64::NAN])]
        {
            let error = call(name, values.into_iter().map(constant).collect(), 1).unwrap_err();
            assert!(matches!(error, datafusion::error::DataFusionError::Plan(_)), "{error}");
        }
    }

    #[test]
    fn a_null_constant_answers_null() {
        let null = ColumnarValue::Scalar(ScalarValue::Float64(None));
        let point = call(POINT, vec![constant(1.0), null], 1).unwrap();
        let circle = call(CIRCLE, vec![constant(10.0), constant(0.0), constant(1.0)], 1).unwrap();
        let answer = call(CONTAINS, vec![point, circle], 1).unwrap().into_array(1).unwrap();
        assert!(answer.is_null(0));
    }

    #[test]
    fn distances_are_degrees_on_the_great_circle() {
        let answer = call(DISTANCE, [0.0, 90.0, 123.0, -90.0].map(constant).to_vec(), 1).unwrap();
        assert!(matches!(answer, ColumnarValue::Scalar(ScalarValue::Float64(Some(d))) if (d - 180.0).abs() < 1e-12));
    }
}
