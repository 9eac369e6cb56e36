//! Intervals of numbers, given by their ends.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, Int32Array},
        datatypes::DataType::Float64,
    },
    error::Result,
    logical_expr::ColumnarValue,
};

use super::{
    Function, Origin,
    declaration::declare,
    numbers::{present, reals},
    scalar::{Scalar, integer},
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let overlaps = declare!(
        Origin::Ivoa, "ivo_interval_overlaps" as "ivo_interval_overlaps",
        ("a1": "DOUBLE PRECISION", "b1": "DOUBLE PRECISION", "a2": "DOUBLE PRECISION", "b2": "DOUBLE PRECISION") -> "INTEGER",
        "1 if the interval from a1 to b1 and that from a2 to b2 have a number in common, else 0; to touch is enough. An \
         interval that ends below its beginning is empty.",
        "ivo_interval_overlaps(-2, 2, 2, 3)",
    );
    vec![Scalar::new(overlaps, [vec![Float64; 4]], integer, overlap).declared()]
}

fn overlap(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let ends = reals(arguments)?;
    let [a1, b1, a2, b2] = [0, 1, 2, 3].map(|end| &ends[end]);
    let meet = |row: usize| {
        let (a1, b1, a2, b2) = (a1.at(row), b1.at(row), a2.at(row), b2.at(row));
        i32::from(a1 <= b1 && a2 <= b2 && a1 <= b2 && a2 <= b1)
    };
    Ok(Arc::new(Int32Array::new((0..rows).map(meet).collect::<Vec<_>>().into(), present(&ends, rows))))
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::{double, integers};

    /// The first two are the examples of the IVOA's catalogue.
    #[test]
    fn intervals_that_touch_overlap_and_empty_ones_do_not() {
        let verdict =
            |ends: [f64; 4]| integers("ivo_interval_overlaps", &ends.map(|end| double(&[Some(end)])))[0].unwrap();
        assert_eq!(verdict([-2.0, 2.0, 2.0, 3.0]), 1);
        assert_eq!(verdict([-2.0, 55.3, 3.0, 2.0]), 0);
        assert_eq!(verdict([0.0, 1.0, 1.5, 2.0]), 0);
        assert_eq!(verdict([0.0, 10.0, 4.0, 5.0]), 1);
        assert_eq!(verdict([4.0, 5.0, 0.0, 10.0]), 1);
    }
}
