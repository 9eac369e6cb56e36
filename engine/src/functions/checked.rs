//! The arithmetic of plans: `+`, `-`, `*`, `/` and `%`, and doubles made reals, NULL where there is no result.
//!
//! No query names these: the rule `arithmetic` puts them in the place of the operators, which wrap, give infinities or end
//! the query. The type of the result is that of both operands.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray},
        buffer::NullBuffer,
        compute::kernels::numeric,
        datatypes::{
            DataType, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
            UInt16Type, UInt32Type, UInt64Type,
        },
    },
    common::{ScalarValue, exec_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};

/// The checked form of an operator, if it has one.
pub(crate) fn checked(operator: Operator) -> Option<Arc<ScalarUDF>> {
    static FORMS: std::sync::LazyLock<Vec<(Operator, Arc<ScalarUDF>)>> = std::sync::LazyLock::new(|| {
        [
            (Operator::Plus, "checked_add", "+"),
            (Operator::Minus, "checked_subtract", "-"),
            (Operator::Multiply, "checked_multiply", "*"),
            (Operator::Divide, "checked_divide", "/"),
            (Operator::Modulo, "checked_modulo", "%"),
        ]
        .map(|(operator, name, sign)| {
            let signature = Signature::any(2, Volatility::Immutable);
            (operator, Arc::new(ScalarUDF::new_from_impl(Checked { operator, name, sign, signature })))
        })
        .to_vec()
    });
    FORMS.iter().find(|(known, _)| *known == operator).map(|(_, form)| Arc::clone(form))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    name: &'static str,
    sign: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(format!("({} {} {})", arguments[0], self.sign, arguments[1]))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = arguments.args.as_slice() else { return exec_err!("{} takes two numbers", self.name) };
        let constant = [left, right].iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        macro_rules! of {
            ($type:ty) => {
                numbers::<$type>(self.operator, left, right, rows)?
            };
        }
        if let Some(answer) = finite(self.operator, left, right)? {
            return Ok(ColumnarValue::Array(answer));
        }
        let answer: ArrayRef = match left.data_type() {
            DataType::Int8 => of!(Int8Type),
            DataType::Int16 => of!(Int16Type),
            DataType::Int32 => of!(Int32Type),
            DataType::Int64 => of!(Int64Type),
            DataType::UInt8 => of!(UInt8Type),
            DataType::UInt16 => of!(UInt16Type),
            DataType::UInt32 => of!(UInt32Type),
            DataType::UInt64 => of!(UInt64Type),
            DataType::Float32 => of!(Float32Type),
            DataType::Float64 => of!(Float64Type),
            other => return exec_err!("{} is not for {other}", self.name),
        };
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?)),
            false => Ok(ColumnarValue::Array(answer)),
        }
    }
}

/// The sums, differences or products of columns of real numbers, if none is too large: as nearly always, and then many are
/// computed at once.
fn finite(operator: Operator, left: &ColumnarValue, right: &ColumnarValue) -> Result<Option<ArrayRef>> {
    let kernel = match operator {
        Operator::Plus => numeric::add,
        Operator::Minus => numeric::sub,
        Operator::Multiply => numeric::mul,
        _ => return Ok(None),
    };
    if !left.data_type().is_floating() {
        return Ok(None);
    }
    let answer = match (left, right) {
        (ColumnarValue::Array(left), ColumnarValue::Array(right)) => kernel(left, right)?,
        (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => kernel(left, &right.to_scalar()?)?,
        (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => kernel(&left.to_scalar()?, right)?,
        (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)) => return Ok(None),
    };
    // Looked at without a branch. What lies under a NULL may be infinite and only makes the next look more exact.
    let finite = match answer.data_type() {
        DataType::Float32 => {
            answer.as_primitive::<Float32Type>().values().iter().fold(true, |all, value| all & value.is_finite())
        }
        DataType::Float64 => {
            answer.as_primitive::<Float64Type>().values().iter().fold(true, |all, value| all & value.is_finite())
        }
        _ => false,
    };
    Ok(finite.then_some(answer))
}

fn numbers<T: ArrowPrimitiveType>(
    operator: Operator,
    left: &ColumnarValue,
    right: &ColumnarValue,
    rows: usize,
) -> Result<ArrayRef>
where
    T::Native: ArrowNativeTypeOp,
{
    // What is too large for a real number is infinite: x - x is then no zero.
    let finite = |found: &T::Native| found.sub_wrapping(*found).is_eq(T::Native::ZERO);
    match operator {
        Operator::Plus => pairs::<T>(left, right, rows, |a, b| a.add_checked(b).ok().filter(finite)),
        Operator::Minus => pairs::<T>(left, right, rows, |a, b| a.sub_checked(b).ok().filter(finite)),
        Operator::Multiply => pairs::<T>(left, right, rows, |a, b| a.mul_checked(b).ok().filter(finite)),
        Operator::Divide => pairs::<T>(left, right, rows, |a, b| a.div_checked(b).ok().filter(finite)),
        Operator::Modulo => {
            pairs::<T>(left, right, rows, |a, b| (!b.is_zero()).then(|| a.mod_wrapping(b)).filter(finite))
        }
        other => exec_err!("{other} has no checked form"),
    }
}

/// A double as a real, NULL where that is too large.
pub(crate) fn checked_real() -> Arc<ScalarUDF> {
    static FORM: std::sync::LazyLock<Arc<ScalarUDF>> = std::sync::LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(Real { signature: Signature::any(1, Volatility::Immutable) }))
    });
    Arc::clone(&FORM)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Real {
    signature: Signature,
}

impl ScalarUDFImpl for Real {
    fn name(&self) -> &str {
        "checked_real"
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(format!("CAST({} AS REAL)", arguments[0]))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float32)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let told = arguments.arg_fields[0].metadata().clone();
        Ok(Arc::new(Field::new(self.name(), DataType::Float32, true).with_metadata(told)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let doubles = arguments.args[0].to_array(arguments.number_rows)?;
        let Some(doubles) = doubles.as_primitive_opt::<Float64Type>() else {
            return exec_err!("checked_real is not for {}", doubles.data_type());
        };
        let real = |double: f64| Some(double as f32).filter(|real| real.is_finite());
        Ok(ColumnarValue::Array(Arc::new(doubles.unary_opt::<_, Float32Type>(real))))
    }
}

/// An operand: its values, the distance from one to the next (0 for a constant), and where it is NULL.
struct Operand<T: ArrowPrimitiveType> {
    array: PrimitiveArray<T>,
    step: usize,
}

impl<T: ArrowPrimitiveType> Operand<T> {
    fn of(value: &ColumnarValue) -> Result<Self> {
        let (array, step) = match value {
            ColumnarValue::Array(array) => (ArrayRef::clone(array), 1),
            ColumnarValue::Scalar(value) => (value.to_array()?, 0),
        };
        match array.as_primitive_opt::<T>() {
            Some(array) => Ok(Self { array: array.clone(), step }),
            None => exec_err!("both operands should be {}, one is {}", T::DATA_TYPE, array.data_type()),
        }
    }
}

fn pairs<T: ArrowPrimitiveType>(
    left: &ColumnarValue,
    right: &ColumnarValue,
    rows: usize,
    value: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let (left, right) = (Operand::<T>::of(left)?, Operand::<T>::of(right)?);
    let (a, b) = (left.array.values(), right.array.values());
    let mut nulls = None;
    for operand in [&left, &right] {
        match operand.step {
            0 if operand.array.null_count() > 0 => return Ok(Arc::new(PrimitiveArray::<T>::new_null(rows))),
            0 => {}
            _ => nulls = NullBuffer::union(nulls.as_ref(), operand.array.nulls()),
        }
    }
    let at = |row: usize| value(a[row * left.step], b[row * right.step]);
    let mut failed = false;
    let values: Vec<T::Native> = (0..rows)
        .map(|row| {
            let found = at(row);
            failed |= found.is_none();
            found.unwrap_or_default()
        })
        .collect();
    if failed {
        let found: NullBuffer = (0..rows).map(|row| at(row).is_some()).collect();
        nulls = NullBuffer::union(nulls.as_ref(), Some(&found));
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}
