//! The frame that all functions of one row share: what a function says of itself, and the few lines between DataFusion and
//! a kernel.
//!
//! A kernel is given its arguments and the number of rows and answers a column of that length; if all arguments are
//! constants, it is asked for one row. A kernel never fails for what a row holds: the answer of such a row is NULL. What
//! can be known to be wrong before anything is read, a constant argument, is refused by `check` while the query is planned.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::{
    arrow::{array::ArrayRef, datatypes::DataType},
    common::ScalarValue,
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

use super::{Body, Declaration, Function};
use crate::limits::watch::checkpoint;

/// The constants among a function's arguments, each at its place; NULL is none.
pub(super) type Constants<'a> = [Option<&'a ScalarValue>];

/// A function of one row.
#[derive(Clone)]
pub(super) struct Scalar {
    declaration: Declaration,
    signature: Signature,
    returns: fn(&[DataType]) -> Result<DataType>,
    strict: bool,
    check: fn(&Constants<'_>) -> Result<()>,
    kernel: fn(&[ColumnarValue], usize) -> Result<ArrayRef>,
}

impl Scalar {
    /// A function with these forms, each a list of types that arguments are brought to.
    pub(super) fn new(
        declaration: Declaration,
        forms: impl IntoIterator<Item = Vec<DataType>>,
        returns: fn(&[DataType]) -> Result<DataType>,
        kernel: fn(&[ColumnarValue], usize) -> Result<ArrayRef>,
    ) -> Self {
        let forms = forms.into_iter().map(|form| match form.len() {
            0 => TypeSignature::Nullary,
            _ => TypeSignature::Exact(form),
        });
        let signature = Signature::one_of(forms.collect(), Volatility::Immutable);
        Self { declaration, signature, returns, strict: true, check: |_| Ok(()), kernel }
    }

    /// The function with arguments of any types, which `returns` judges.
    pub(super) fn any(mut self, counts: impl IntoIterator<Item = usize>) -> Self {
        let forms = counts.into_iter().map(TypeSignature::Any);
        self.signature = Signature::one_of(forms.collect(), self.signature.volatility);
        self
    }

    /// The function with a look at its constants.
    pub(super) fn checked(mut self, check: fn(&Constants<'_>) -> Result<()>) -> Self {
        self.check = check;
        self
    }

    /// The function, which may answer something where an argument is NULL.
    pub(super) fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }

    /// The function, which answers anew in every row.
    pub(super) fn volatile(mut self) -> Self {
        self.signature.volatility = Volatility::Volatile;
        self
    }

    /// As it is kept among all functions.
    pub(super) fn declared(self) -> Function {
        let declaration = self.declaration;
        Function { declaration, body: Body::Scalar(Arc::new(ScalarUDF::new_from_impl(self))) }
    }
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scalar").field("name", &self.declaration.planned).finish_non_exhaustive()
    }
}

// There is one function of a name.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.declaration.planned == other.declaration.planned
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.declaration.planned.hash(state);
    }
}

impl ScalarUDFImpl for Scalar {
    fn name(&self) -> &str {
        let Declaration { planned, .. } = self.declaration;
        planned
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        (self.returns)(arguments)
    }

    fn is_strict(&self) -> bool {
        self.strict
    }

    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let constants: Vec<Option<&ScalarValue>> = arguments.iter().map(constant).collect();
        (self.check)(&constants)?;
        Ok(ExprSimplifyResult::Original(arguments))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = self.signature.volatility != Volatility::Volatile
            && arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        if constant {
            // The planner folds constants by calling the function, before it asks for the simplified one.
            let constants: Vec<_> = arguments.args.iter().map(constant_of).collect();
            (self.check)(&constants)?;
        }
        checkpoint(&arguments.config_options)?;
        let rows = if constant { 1 } else { arguments.number_rows };
        let answer = (self.kernel)(&arguments.args, rows)?;
        if constant {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?))
        } else {
            Ok(ColumnarValue::Array(answer))
        }
    }
}

fn constant_of(argument: &ColumnarValue) -> Option<&ScalarValue> {
    match argument {
        ColumnarValue::Scalar(value) if !value.is_null() => Some(value),
        _ => None,
    }
}

pub(super) fn constant(argument: &Expr) -> Option<&ScalarValue> {
    match argument {
        Expr::Literal(value, _) if !value.is_null() => Some(value),
        _ => None,
    }
}

/// The answer of functions that always give a double.
pub(super) fn double(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Float64)
}

/// The answer of functions that always give a whole number of 64 bits.
pub(super) fn bigint(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Int64)
}

/// The answer of functions that say 1 or 0.
pub(super) fn integer(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Int32)
}

/// The answer of functions that give a text.
pub(super) fn text(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Utf8)
}
