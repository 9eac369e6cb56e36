//! The mathematical functions of ADQL: doubles in, doubles out, but for `ABS`, `MOD`, `ROUND` and `TRUNCATE`, which keep whole
//! numbers whole.
//!
//! Outside a function's domain (`SQRT(-1)`, `LOG(0)`, `ACOS(2)`) and where the value is too large for a double the answer
//! is NULL: one odd row does not end a query over a billion.

use std::{f64::consts, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, BooleanBufferBuilder, Float64Array, Int64Array},
        buffer::NullBuffer,
        datatypes::{
            DataType::{self, Float64, Int64},
            Int64Type,
        },
    },
    error::Result,
    logical_expr::ColumnarValue,
};

use super::{
    Function, Origin,
    declaration::declare,
    numbers::{each, finite, integers, present, reals},
    scalar::{Scalar, double},
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let mut functions = of_one_number();
    functions.extend(of_two_numbers());
    functions.extend(of_whole_numbers_too());
    functions
}

macro_rules! of_one_number {
    ($( $name:literal as $planned:literal, $kernel:expr, $description:literal, $example:literal; )+) => {
        /// Functions of one double.
        fn of_one_number() -> Vec<Function> {
            vec![ $({
                let declaration =
                    declare!(Origin::Adql, $name as $planned, ("x": "DOUBLE PRECISION") -> "DOUBLE PRECISION", $description, $example);
                Scalar::new(declaration, [vec![Float64]], double, |arguments, rows| map(arguments, rows, $kernel)).declared()
            }),+ ]
        }
    };
}

of_one_number! {
    "ACOS" as "adql_acos", f64::acos, "The arc cosine in radians, 0 to π; NULL outside -1 to 1.", "ACOS(0.5)";
    "ASIN" as "adql_asin", f64::asin, "The arc sine in radians, -π/2 to π/2; NULL outside -1 to 1.", "ASIN(0.5)";
    "ATAN" as "adql_atan", f64::atan, "The arc tangent in radians, -π/2 to π/2.", "ATAN(1)";
    "CEILING" as "adql_ceiling", f64::ceil, "The least whole number that is not below x.", "CEILING(1.2)";
    "COS" as "adql_cos", f64::cos, "The cosine of an angle in radians.", "COS(PI())";
    "COT" as "adql_cot", |x| x.tan().recip(), "The cotangent of an angle in radians; of 0 NULL.", "COT(1)";
    "DEGREES" as "adql_degrees", f64::to_degrees, "Radians as degrees.", "DEGREES(PI())";
    "EXP" as "adql_exp", f64::exp, "e to the power of x; NULL if that is too large.", "EXP(1)";
    "FLOOR" as "adql_floor", f64::floor, "The largest whole number that is not above x.", "FLOOR(1.8)";
    "LOG" as "adql_log", f64::ln, "The natural logarithm; of 0 and below NULL.", "LOG(2.718281828)";
    "LOG10" as "adql_log10", f64::log10, "The logarithm to the base of 10; of 0 and below NULL.", "LOG10(1000)";
    "RADIANS" as "adql_radians", f64::to_radians, "Degrees as radians.", "RADIANS(180)";
    "SIN" as "adql_sin", f64::sin, "The sine of an angle in radians.", "SIN(PI() / 2)";
    "SQRT" as "adql_sqrt", f64::sqrt, "The square root; of a negative number NULL.", "SQRT(2)";
    "TAN" as "adql_tan", f64::tan, "The tangent of an angle in radians.", "TAN(1)";
}

fn of_two_numbers() -> Vec<Function> {
    let atan2 = declare!(
        Origin::Adql, "ATAN2" as "adql_atan2", ("y": "DOUBLE PRECISION", "x": "DOUBLE PRECISION") -> "DOUBLE PRECISION",
        "The direction of the point (x, y) in radians, -π to π.", "ATAN2(1, -1)",
    );
    let power = declare!(
        Origin::Adql, "POWER" as "adql_power", ("x": "DOUBLE PRECISION", "y": "DOUBLE PRECISION") -> "DOUBLE PRECISION",
        "x to the power of y; NULL if there is no such number, or it is too large.", "POWER(10, -0.4)",
    );
    let pi = declare!(Origin::Adql, "PI" as "adql_pi", () -> "DOUBLE PRECISION", "The number π.", "PI()");
    vec![
        Scalar::new(atan2, [vec![Float64; 2]], double, |a, n| zip(a, n, f64::atan2)).declared(),
        Scalar::new(power, [vec![Float64; 2]], double, |a, n| zip(a, n, f64::powf)).declared(),
        Scalar::new(pi, [vec![]], double, |_, n| Ok(Arc::new(Float64Array::from(vec![consts::PI; n])))).declared(),
    ]
}

fn of_whole_numbers_too() -> Vec<Function> {
    let abs = declare!(
        Origin::Adql, "ABS" as "adql_abs", ("x": "DOUBLE PRECISION") -> "DOUBLE PRECISION" | ("x": "BIGINT") -> "BIGINT",
        "The absolute value.", "ABS(-3.5)",
    );
    let modulo = declare!(
        Origin::Adql, "MOD" as "adql_mod",
        ("x": "DOUBLE PRECISION", "y": "DOUBLE PRECISION") -> "DOUBLE PRECISION" | ("x": "BIGINT", "y": "BIGINT") -> "BIGINT",
        "What is left of x when as many whole y as possible are taken away. It has the sign of x; for y = 0 it is NULL.",
        "MOD(-7, 3)",
    );
    let round = declare!(
        Origin::Adql, "ROUND" as "adql_round",
        ("x": "DOUBLE PRECISION") -> "DOUBLE PRECISION" | ("x": "DOUBLE PRECISION", "n": "INTEGER") -> "DOUBLE PRECISION" | ("x": "BIGINT", "n": "INTEGER") -> "BIGINT",
        "The nearest number with n digits after the point (none, if n is left out), halves away from 0. A negative n \
         rounds before the point. A whole number stays one.",
        "ROUND(3.14159, 2)",
    );
    let truncate = declare!(
        Origin::Adql, "TRUNCATE" as "adql_truncate",
        ("x": "DOUBLE PRECISION") -> "DOUBLE PRECISION" | ("x": "DOUBLE PRECISION", "n": "INTEGER") -> "DOUBLE PRECISION" | ("x": "BIGINT", "n": "INTEGER") -> "BIGINT",
        "The number cut after n digits behind the point (all of them, if n is left out). A negative n cuts before the \
         point. A whole number stays one.",
        "TRUNCATE(-3.14159, 2)",
    );
    let digits = [vec![Int64], vec![Int64; 2], vec![Float64], vec![Float64, Int64]];
    vec![
        Scalar::new(abs, [vec![Int64], vec![Float64]], as_given, absolute).declared(),
        Scalar::new(modulo, [vec![Int64; 2], vec![Float64; 2]], as_given, remainder).declared(),
        Scalar::new(round, digits.clone(), as_given, |a, n| to_digits(a, n, round_to, round_whole)).declared(),
        Scalar::new(truncate, digits, as_given, |a, n| to_digits(a, n, truncate_to, truncate_whole)).declared(),
    ]
}

fn as_given(types: &[DataType]) -> Result<DataType> {
    Ok(types[0].clone())
}

fn map(arguments: &[ColumnarValue], rows: usize, value: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    let x = reals(arguments)?;
    Ok(match x[0].column() {
        Some(column) => finite(column.iter().map(|x| value(*x)).collect(), present(&x, rows)),
        None => each(&x, rows, |row| value(x[0].at(row))),
    })
}

fn zip(arguments: &[ColumnarValue], rows: usize, value: impl Fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let x = reals(arguments)?;
    Ok(each(&x, rows, |row| value(x[0].at(row), x[1].at(row))))
}

fn is_whole(argument: &ColumnarValue) -> bool {
    argument.data_type() == Int64
}

fn absolute(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    if is_whole(&arguments[0]) {
        let x = integers(&arguments[0], rows)?;
        return Ok(Arc::new(x.unary_opt::<_, Int64Type>(i64::checked_abs)));
    }
    map(arguments, rows, f64::abs)
}

fn remainder(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    if is_whole(&arguments[0]) {
        let (x, y) = (integers(&arguments[0], rows)?, integers(&arguments[1], rows)?);
        return Ok(Arc::new(whole_pairs(&x, &y, |x, y| (y != 0).then(|| x.wrapping_rem(y)))?));
    }
    zip(arguments, rows, |x, y| x % y)
}

/// A function of two whole numbers; where it has no value, NULL.
pub(super) fn whole_pairs(
    x: &Int64Array,
    y: &Int64Array,
    value: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Int64Array> {
    let rows = x.len();
    let present = NullBuffer::union(x.nulls(), y.nulls());
    let mut valid = BooleanBufferBuilder::new(rows);
    let mut values = Vec::with_capacity(rows);
    for (x, y) in x.values().iter().zip(y.values()) {
        let found = value(*x, *y);
        valid.append(found.is_some());
        values.push(found.unwrap_or_default());
    }
    Ok(Int64Array::new(values.into(), NullBuffer::union(present.as_ref(), Some(&NullBuffer::new(valid.finish())))))
}

fn to_digits(
    arguments: &[ColumnarValue],
    rows: usize,
    of_real: impl Fn(f64, i32) -> f64,
    of_whole: fn(i64, i64) -> Option<i64>,
) -> Result<ArrayRef> {
    if arguments.len() == 1 && !is_whole(&arguments[0]) {
        return map(arguments, rows, |x| of_real(x, 0)); // by far the most asked for
    }
    let digits = match arguments.get(1) {
        Some(digits) => integers(digits, rows)?,
        None => Int64Array::from(vec![0; rows]),
    };
    if is_whole(&arguments[0]) {
        return Ok(Arc::new(whole_pairs(&integers(&arguments[0], rows)?, &digits, of_whole)?));
    }
    let x = reals(&arguments[..1])?;
    let clamped = |row: usize| digits.value(row).clamp(-400, 400) as i32;
    let nulls = NullBuffer::union(present(&x, rows).as_ref(), digits.nulls());
    Ok(finite((0..rows).map(|row| of_real(x[0].at(row), clamped(row))).collect(), nulls))
}

/// The nearest whole number, of two the one farther from zero: `f64::round`, without a call or a branch for each.
#[inline]
fn nearest(x: f64) -> f64 {
    const ALL_WHOLE: f64 = (1_u64 << 52) as f64; // from here on no double has a fraction
    let size = x.abs();
    let even = (size + ALL_WHOLE) - ALL_WHOLE; // of two the even one
    let nearest = if size - even >= 0.5 { even + 1.0 } else { even };
    if size < ALL_WHOLE { nearest.copysign(x) } else { x }
}

/// Rounds by counting in units of the last digit. A number that has no digits beyond it comes out untouched.
#[inline]
fn round_to(x: f64, digits: i32) -> f64 {
    if digits == 0 {
        return nearest(x);
    }
    let unit = 10f64.powi(digits.abs());
    match digits {
        0.. if (x * unit).is_finite() => (x * unit).round() / unit,
        0.. => x,
        _ if unit.is_finite() => (x / unit).round() * unit,
        _ => 0.0,
    }
}

fn truncate_to(x: f64, digits: i32) -> f64 {
    // 4.35 × 100 is 434.99… in doubles: a number that is its own rounding has nothing to cut.
    if round_to(x, digits) == x {
        return x;
    }
    let unit = 10f64.powi(digits.abs());
    match digits {
        0.. => (x * unit).trunc() / unit,
        _ if unit.is_finite() => (x / unit).trunc() * unit,
        _ => 0.0,
    }
}

/// The power of ten that a negative number of digits stands for; none where it is beyond all whole numbers.
fn ten_to(digits: i64) -> Option<i64> {
    10i64.checked_pow(u32::try_from(digits.checked_neg()?).ok()?)
}

fn truncate_whole(x: i64, digits: i64) -> Option<i64> {
    if digits >= 0 {
        return Some(x);
    }
    Some(ten_to(digits).map_or(0, |unit| x - x % unit))
}

fn round_whole(x: i64, digits: i64) -> Option<i64> {
    if digits >= 0 {
        return Some(x);
    }
    let Some(unit) = ten_to(digits) else { return Some(0) };
    let rest = x % unit;
    let cut = x - rest;
    match rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) {
        true => cut.checked_add(unit * x.signum()),
        false => Some(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::testing::{double, doubles, integer, integers};

    #[test]
    fn outside_its_domain_a_function_is_null_and_not_an_error() {
        for (name, x) in [
            ("SQRT", -1.0),
            ("LOG", 0.0),
            ("LOG10", -3.0),
            ("ACOS", 2.0),
            ("ASIN", -1.1),
            ("EXP", 1000.0),
            ("COT", 0.0),
            ("SQRT", f64::NAN),
        ] {
            assert_eq!(doubles(name, &[double(&[Some(x), None])]), [None, None], "{name}({x})");
        }
        assert_eq!(doubles("POWER", &[double(&[Some(-8.0)]), double(&[Some(1.0 / 3.0)])]), [None]);
        assert_eq!(doubles("POWER", &[double(&[Some(0.0)]), double(&[Some(-1.0)])]), [None]);
    }

    #[test]
    fn the_values_are_those_of_a_table_of_functions() {
        // By the definitions: log10 1000, cot π/4, a point in the second quadrant, e.
        let close = |name: &str, x: &[f64], expected: f64| {
            let arguments: Vec<_> = x.iter().map(|x| double(&[Some(*x)])).collect();
            let found = doubles(name, &arguments)[0].unwrap();
            assert!((found - expected).abs() < 1e-15 * expected.abs().max(1.0), "{name}{x:?} = {found}");
        };
        close("LOG10", &[1000.0], 3.0);
        close("LOG", &[consts::E], 1.0);
        close("COT", &[consts::FRAC_PI_4], 1.0);
        close("ATAN2", &[1.0, -1.0], 3.0 * consts::FRAC_PI_4);
        close("DEGREES", &[consts::PI], 180.0);
        close("POWER", &[10.0, -0.4], 0.398_107_170_553_497_25); // Python: 10 ** -0.4
        close("CEILING", &[-1.2], -1.0);
    }

    #[test]
    fn the_nearest_whole_number_is_the_one_that_the_standard_library_finds() {
        let edges = [0.5, 1.5, 2.5, 0.499_999_999_999_999_94, 4_503_599_627_370_495.5, 4_503_599_627_370_497.0, 1e300];
        let odd = [0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE];
        let many = (0..100_000_u64).map(|n| f64::from_bits(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let tenths = (-5_000..5_000).map(|n| f64::from(n) / 10.0);
        for x in edges.into_iter().chain(odd).chain(many).chain(tenths) {
            for x in [x, -x] {
                let (found, expected) = (nearest(x), x.round());
                assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{x:e}");
            }
        }
    }

    #[test]
    fn rounding_counts_digits_on_both_sides_of_the_point() {
        for (x, n, rounded, cut) in [
            (5.285_92, 2, 5.29, 5.28),
            (-2.5, 0, -3.0, -2.0),
            (1234.5, -2, 1200.0, 1200.0),
            (-1250.0, -2, -1300.0, -1200.0),
            (4.35, 2, 4.35, 4.35),
            (0.29, 2, 0.29, 0.29),
            (5e300, 300, 5e300, 5e300),
            (5.0, -400, 0.0, 0.0),
        ] {
            let arguments = [double(&[Some(x)]), integer(&[Some(n)])];
            assert_eq!(doubles("ROUND", &arguments), [Some(rounded)], "ROUND({x}, {n})");
            assert_eq!(doubles("TRUNCATE", &arguments), [Some(cut)], "TRUNCATE({x}, {n})");
        }
        let whole = |name, x, n| integers(name, &[integer(&[Some(x)]), integer(&[Some(n)])])[0];
        assert_eq!(whole("ROUND", 1250, -2), Some(1300));
        assert_eq!(whole("ROUND", -1250, -2), Some(-1300));
        assert_eq!(whole("TRUNCATE", 1299, -2), Some(1200));
        assert_eq!(whole("ROUND", i64::MAX, -3), None, "the next thousand is no BIGINT");
        assert_eq!(whole("ROUND", 7, i64::MIN), Some(0));
    }

    #[test]
    fn whole_numbers_stay_whole_and_never_wrap() {
        let extremes = integer(&[Some(i64::MIN), Some(-7), None]);
        assert_eq!(integers("ABS", std::slice::from_ref(&extremes)), [None, Some(7), None]);
        assert_eq!(integers("MOD", &[extremes, integer(&[Some(-1), Some(3), Some(1)])]), [Some(0), Some(-1), None]);
        assert_eq!(integers("MOD", &[integer(&[Some(7)]), integer(&[Some(0)])]), [None]);
        assert_eq!(
            doubles("MOD", &[double(&[Some(-7.5), Some(7.5)]), double(&[Some(2.0), Some(0.0)])]),
            [Some(-1.5), None]
        );
    }
}
