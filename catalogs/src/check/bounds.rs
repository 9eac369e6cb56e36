//! Whether statistics keep their promises.
//!
//! A lower bound above a value, an upper one below, or a wrong number of NULLs makes a query lose rows. A bound that is
//! said to be exact and is not makes an answer wrong that is taken from statistics alone.

use arrow::{
    array::{Array, ArrayRef, UInt64Array},
    compute::kernels::cmp::{gt, lt, neq},
    datatypes::SchemaRef,
    util::display::array_value_to_string,
};

use crate::{ColumnBounds, ColumnStatistics, FileStatistics};

/// The columns whose statistics promise what the rows do not hold, each with what is wrong.
pub(super) fn broken(schema: &SchemaRef, promised: &FileStatistics, found: &FileStatistics) -> Vec<(String, String)> {
    let columns = schema.fields().iter().zip(promised.0.iter().zip(&found.0));
    columns.filter_map(|(field, (promised, found))| Some((field.name().clone(), what(promised, found)?))).collect()
}

/// What a table's statistics promise of a column of one of its files.
pub(super) fn of_file(statistics: &ColumnStatistics, file: usize) -> ColumnBounds {
    let bound = |array: &ArrayRef| (file < array.len() && array.is_valid(file)).then(|| array.slice(file, 1));
    let nulls: &UInt64Array = &statistics.nulls;
    ColumnBounds {
        min: bound(&statistics.min),
        max: bound(&statistics.max),
        nulls: (file < nulls.len() && nulls.is_valid(file)).then(|| nulls.value(file)),
        exact: file < statistics.exact.len() && statistics.exact.is_valid(file) && statistics.exact.value(file),
    }
}

/// What is wrong with the promise, if anything.
pub(super) fn what(promised: &ColumnBounds, found: &ColumnBounds) -> Option<String> {
    if let (Some(promised), Some(found)) = (promised.nulls, found.nulls)
        && promised != found
    {
        return Some(format!("they tell {promised} NULLs, there are {found}"));
    }
    side("lowest", promised.min.as_ref(), found.min.as_ref(), promised.exact, found.exact, |promised, found| {
        gt(promised, found)
    })
    .or_else(|| {
        side("highest", promised.max.as_ref(), found.max.as_ref(), promised.exact, found.exact, |promised, found| {
            lt(promised, found)
        })
    })
}

fn side(
    name: &str,
    promised: Option<&ArrayRef>,
    found: Option<&ArrayRef>,
    promised_exact: bool,
    found_exact: bool,
    excludes: impl Fn(&ArrayRef, &ArrayRef) -> Result<arrow::array::BooleanArray, arrow::error::ArrowError>,
) -> Option<String> {
    let text = |value: &ArrayRef| array_value_to_string(value, 0).unwrap_or_else(|_| "?".into());
    match (promised, found) {
        (Some(promised), Some(found)) => {
            // Bounds of another type than the column's promise nothing that could be compared.
            let holds = |test: Result<arrow::array::BooleanArray, _>| test.is_ok_and(|test| test.value(0));
            let wrong =
                holds(excludes(promised, found)) || (promised_exact && found_exact && holds(neq(promised, found)));
            wrong.then(|| format!("they tell {} as the {name} value, it is {}", text(promised), text(found)))
        }
        (None, Some(found)) if promised_exact => {
            Some(format!("they tell that there are no values, but {} is one", text(found)))
        }
        (Some(promised), None) if promised_exact && found_exact => {
            Some(format!("they tell {} as the {name} value, but there are none", text(promised)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;

    fn numbers(min: Option<i64>, max: Option<i64>, nulls: u64, exact: bool) -> ColumnBounds {
        let one = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        ColumnBounds { min: min.map(one), max: max.map(one), nulls: Some(nulls), exact }
    }

    #[test]
    fn a_bound_may_be_wide_unless_it_is_said_to_be_exact() {
        let rows = numbers(Some(3), Some(7), 2, true);
        assert_eq!(what(&rows, &rows), None);
        assert_eq!(what(&numbers(Some(1), Some(9), 2, false), &rows), None);
        let sentence = |promised| what(&promised, &rows).unwrap();
        assert_eq!(sentence(numbers(Some(1), Some(7), 2, true)), "they tell 1 as the lowest value, it is 3");
        assert_eq!(sentence(numbers(Some(4), Some(9), 2, false)), "they tell 4 as the lowest value, it is 3");
        assert_eq!(sentence(numbers(Some(1), Some(6), 2, false)), "they tell 6 as the highest value, it is 7");
        assert_eq!(sentence(numbers(Some(3), Some(7), 1, true)), "they tell 1 NULLs, there are 2");
        assert_eq!(sentence(numbers(None, None, 2, true)), "they tell that there are no values, but 3 is one");
    }

    #[test]
    fn what_is_not_told_promises_nothing() {
        let rows = numbers(Some(3), Some(7), 2, true);
        assert_eq!(what(&ColumnBounds::default(), &rows), None);
        assert_eq!(what(&numbers(None, None, 5, true), &numbers(None, None, 5, true)), None);
        let none = what(&numbers(Some(1), Some(2), 5, true), &numbers(None, None, 5, true)).unwrap();
        assert!(none.contains("but there are none"), "{none}");
    }

    #[test]
    fn zeros_are_equal_and_a_long_text_only_has_to_be_within() {
        let float = |min: f64, max: f64| {
            let one = |value: f64| Some(Arc::new(Float64Array::from(vec![value])) as ArrayRef);
            ColumnBounds { min: one(min), max: one(max), nulls: None, exact: true }
        };
        assert_eq!(what(&float(-0.0, 0.0), &float(-0.0, 0.0)), None);
        let text = |min: &str, max: &str, exact| {
            let one = |value: &str| Some(Arc::new(StringArray::from(vec![value])) as ArrayRef);
            ColumnBounds { min: one(min), max: one(max), nulls: None, exact }
        };
        assert_eq!(what(&text("a", "b", false), &text("aaa", "az", false)), None);
        assert!(what(&text("a", "b", false), &text("aaa", "c", false)).is_some());
    }
}
