//! Numbers by chance. Every row gets its own, and a query asked again gets others.

use std::{f64::consts::TAU, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array},
        datatypes::DataType::{Float64, Int64},
    },
    error::Result,
    logical_expr::ColumnarValue,
};
use rand::Rng;

use super::{
    Function, Origin,
    declaration::declare,
    numbers::{each, reals},
    scalar::{Scalar, double},
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let rand = declare!(
        Origin::Adql, "RAND" as "adql_rand", () -> "DOUBLE PRECISION" | ("seed": "BIGINT") -> "DOUBLE PRECISION",
        "A number from 0 to less than 1, another in every row and every time. The seed has no effect.", "RAND()",
    );
    let normal = declare!(
        Origin::Ivoa, "ivo_normal_random" as "ivo_normal_random", ("mu": "DOUBLE PRECISION", "sigma": "DOUBLE PRECISION") -> "DOUBLE PRECISION",
        "A number drawn from the normal distribution with this mean and this standard deviation, another in every row.",
        "ivo_normal_random(0, 1)",
    );
    let gavo_normal = declare!(
        Origin::Gavo, "gavo_normal_random" as "gavo_normal_random", ("mu": "DOUBLE PRECISION", "sigma": "DOUBLE PRECISION") -> "DOUBLE PRECISION",
        "The same as ivo_normal_random.", "gavo_normal_random(0, 1)",
    );
    vec![
        Scalar::new(rand, [vec![], vec![Int64]], double, uniform).volatile().lenient().declared(),
        Scalar::new(normal, [vec![Float64; 2]], double, normally).volatile().declared(),
        Scalar::new(gavo_normal, [vec![Float64; 2]], double, normally).volatile().declared(),
    ]
}

fn uniform(_: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let mut random = rand::rng();
    Ok(Arc::new(Float64Array::from_iter_values((0..rows).map(|_| random.random::<f64>()))))
}

/// By the method of Box and Muller: the square of the radius of a two-dimensional normal deviate is exponential.
fn normally(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let arguments = reals(arguments)?;
    let mut random = rand::rng();
    let deviates: Vec<f64> = (0..rows)
        .map(|_| {
            let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
            radius * (TAU * random.random::<f64>()).cos()
        })
        .collect();
    Ok(each(&arguments, rows, |row| arguments[0].at(row) + arguments[1].at(row) * deviates[row]))
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::{double, doubles};

    #[test]
    fn normal_deviates_have_the_mean_and_the_width_that_were_asked_for() {
        let rows = 100_000;
        let sigma = double(&vec![Some(2.0); rows]);
        let found = doubles("ivo_normal_random", &[double(&vec![Some(10.0); rows]), sigma]);
        let mean = found.iter().flatten().sum::<f64>() / rows as f64;
        let width = (found.iter().flatten().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
        // Ten standard errors of either: 2/√n and 2/√2n.
        assert!((mean - 10.0).abs() < 0.064 && (width - 2.0).abs() < 0.045, "{mean} ± {width}");
        assert_eq!(doubles("ivo_normal_random", &[double(&[None]), double(&[Some(1.0)])]), [None]);
    }
}
