//! Bits of whole numbers, as the operators `&`, `|`, `^` and `~` and as functions.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::ArrayRef,
        compute::kernels::arity::binary,
        datatypes::{DataType::Int64, Int64Type},
    },
    error::Result,
    logical_expr::ColumnarValue,
};

use super::{
    Function, Origin,
    declaration::declare,
    numbers::integers,
    scalar::{Scalar, bigint},
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let and = declare!(
        Origin::Almagest, "BITWISE_AND" as "adql_bit_and", ("a": "BIGINT", "b": "BIGINT") -> "BIGINT",
        "The bits that are set in both numbers; also written a & b.", "BITWISE_AND(12, 10)",
    );
    let or = declare!(
        Origin::Almagest, "BITWISE_OR" as "adql_bit_or", ("a": "BIGINT", "b": "BIGINT") -> "BIGINT",
        "The bits that are set in either number; also written a | b.", "BITWISE_OR(12, 10)",
    );
    let xor = declare!(
        Origin::Almagest, "BITWISE_XOR" as "adql_bit_xor", ("a": "BIGINT", "b": "BIGINT") -> "BIGINT",
        "The bits that are set in one of the numbers only; also written a ^ b.", "BITWISE_XOR(12, 10)",
    );
    let not = declare!(
        Origin::Almagest, "BITWISE_NOT" as "adql_bit_not", ("a": "BIGINT") -> "BIGINT",
        "The bits that are not set; also written ~a.", "BITWISE_NOT(12)",
    );
    let inverted = |arguments: &[ColumnarValue], rows: usize| -> Result<ArrayRef> {
        Ok(Arc::new(integers(&arguments[0], rows)?.unary::<_, Int64Type>(|a| !a)))
    };
    vec![
        Scalar::new(and, [vec![Int64; 2]], bigint, |a, n| pairs(a, n, |a, b| a & b)).declared(),
        Scalar::new(or, [vec![Int64; 2]], bigint, |a, n| pairs(a, n, |a, b| a | b)).declared(),
        Scalar::new(xor, [vec![Int64; 2]], bigint, |a, n| pairs(a, n, |a, b| a ^ b)).declared(),
        Scalar::new(not, [vec![Int64]], bigint, inverted).declared(),
    ]
}

fn pairs(arguments: &[ColumnarValue], rows: usize, value: impl Fn(i64, i64) -> i64) -> Result<ArrayRef> {
    let (a, b) = (integers(&arguments[0], rows)?, integers(&arguments[1], rows)?);
    Ok(Arc::new(binary::<_, _, _, Int64Type>(&a, &b, value)?))
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::{integer, integers};

    #[test]
    fn bits_are_those_of_two_s_complement() {
        let (a, b) = (integer(&[Some(12), Some(-1), None]), integer(&[Some(10), Some(255), Some(1)]));
        let both = |name| integers(name, &[a.clone(), b.clone()]);
        assert_eq!(both("BITWISE_AND"), [Some(8), Some(255), None]);
        assert_eq!(both("bitwise_or"), [Some(14), Some(-1), None]);
        assert_eq!(both("BITWISE_XOR"), [Some(6), Some(-256), None]);
        assert_eq!(integers("BITWISE_NOT", &[a]), [Some(-13), Some(0), None]);
    }
}
