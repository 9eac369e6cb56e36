//! Aggregates of an array column, element by element: the first number of the answer is of all first elements, and so on.
//!
//! Their names are not those of DataFusion's functions of one array (`array_sum` …). Arrays may differ in length; the answer
//! is as long as the longest. NULL elements count for nothing.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray},
        buffer::OffsetBuffer,
        datatypes::{
            DataType::{self, Float64, Int64},
            Field, FieldRef, Float64Type, Int64Type,
        },
    },
    common::{ScalarValue, plan_err},
    error::Result,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::{
    Body, Declaration, Function, Origin,
    declaration::declare,
    lists::{doubles, item_of},
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let count = declare!(
        Origin::Almagest, "elements_count" as "elements_count", ("a": "DOUBLE PRECISION[]") -> "BIGINT[]",
        "For each element of an array column, how many rows have it.", "elements_count(v)",
    );
    let sum = declare!(
        Origin::Almagest, "elements_sum" as "elements_sum", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION[]",
        "For each element of an array column, the sum over all rows that have it.", "elements_sum(v)",
    );
    let avg = declare!(
        Origin::Almagest, "elements_avg" as "elements_avg", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION[]",
        "For each element of an array column, the mean over all rows that have it.", "elements_avg(v)",
    );
    let min = declare!(
        Origin::Almagest, "elements_min" as "elements_min", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION[]",
        "For each element of an array column, the least of all rows.", "elements_min(v)",
    );
    let max = declare!(
        Origin::Almagest, "elements_max" as "elements_max", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION[]",
        "For each element of an array column, the largest of all rows.", "elements_max(v)",
    );
    [(count, Kind::Count), (sum, Kind::Sum), (avg, Kind::Mean), (min, Kind::Least), (max, Kind::Largest)]
        .map(|(declaration, kind)| {
            let signature = Signature::user_defined(Volatility::Immutable);
            let function = AggregateUDF::new_from_impl(Elements { declaration, kind, signature });
            Function { declaration, body: Body::Aggregate(Arc::new(function)) }
        })
        .to_vec()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Count,
    Sum,
    Mean,
    Least,
    Largest,
}

impl Kind {
    /// What is known of an element, after another value, or after what other rows gave.
    fn joined(self, known: f64, value: f64) -> f64 {
        match self {
            Kind::Count | Kind::Sum | Kind::Mean => known + value,
            Kind::Least => known.min(value),
            Kind::Largest => known.max(value),
        }
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Elements {
    declaration: Declaration,
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Elements {
    fn name(&self) -> &str {
        let Declaration { planned, .. } = self.declaration;
        planned
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [list] if item_of(list).is_some_and(|item| item.data_type().is_numeric()) => Ok(vec![list_of(Float64)]),
            [DataType::Null] => Ok(vec![list_of(Float64)]),
            _ => plan_err!("{} takes one column of arrays of numbers", self.declaration.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(if self.kind == Kind::Count { Int64 } else { Float64 }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let part = |part: &str, item| Arc::new(Field::new(format!("{}[{part}]", arguments.name), list_of(item), true));
        Ok(vec![part("values", Float64), part("counts", Int64)])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(State { kind: self.kind, values: Vec::new(), counts: Vec::new() }))
    }
}

/// What is known of every element: its sum, least or largest value, and how many there were.
#[derive(Debug)]
struct State {
    kind: Kind,
    values: Vec<f64>,
    counts: Vec<i64>,
}

impl State {
    fn grow(&mut self, elements: usize) {
        if self.counts.len() < elements {
            self.values.resize(elements, 0.0);
            self.counts.resize(elements, 0);
        }
    }

    fn add(&mut self, element: usize, value: f64, count: i64) {
        let known = self.values[element];
        self.values[element] = if self.counts[element] == 0 { value } else { self.kind.joined(known, value) };
        self.counts[element] += count;
    }
}

/// A list as one value.
fn list(values: ArrayRef) -> Result<ScalarValue> {
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let list = ListArray::try_new(item, OffsetBuffer::from_lengths([values.len()]), values, None)?;
    Ok(ScalarValue::List(Arc::new(list)))
}

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let lists = doubles(&values[0])?;
        let values = lists.values().as_primitive::<Float64Type>();
        for (row, ends) in lists.offsets().windows(2).enumerate().filter(|(row, _)| lists.is_valid(*row)) {
            debug_assert!(lists.is_valid(row));
            let (start, end) = (ends[0] as usize, ends[1] as usize);
            self.grow(end - start);
            // NaN is missing, as in a column of numbers.
            for place in (start..end).filter(|place| values.is_valid(*place) && !values.value(*place).is_nan()) {
                self.add(place - start, values.value(place), 1);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.kind == Kind::Count {
            return list(Arc::new(Int64Array::from(self.counts.clone())));
        }
        let answers = self.values.iter().zip(&self.counts).map(|(value, count)| {
            let answer = if self.kind == Kind::Mean { value / *count as f64 } else { *value };
            (*count > 0).then_some(answer).filter(|answer| answer.is_finite())
        });
        list(Arc::new(answers.collect::<Float64Array>()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + (self.values.capacity() + self.counts.capacity()) * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            list(Arc::new(Float64Array::from(self.values.clone())))?,
            list(Arc::new(Int64Array::from(self.counts.clone())))?,
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (values, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            let (values, counts) = (values.value(row), counts.value(row));
            let (values, counts) = (values.as_primitive::<Float64Type>(), counts.as_primitive::<Int64Type>());
            self.grow(counts.len());
            for element in (0..counts.len()).filter(|element| counts.value(*element) > 0) {
                self.add(element, values.value(element), counts.value(element));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::query;

    #[tokio::test]
    async fn every_element_has_an_answer_of_its_own() {
        let rows =
            "(VALUES (make_array(1, 2), 1), (make_array(3), 1), (make_array(NULL, 5, 7), 2), (NULL, 2)) AS t(v, g)";
        let all = "elements_count(v), elements_sum(v), elements_avg(v), elements_min(v), elements_max(v)";
        let answer = query(&format!("SELECT {all} FROM {rows}")).await.unwrap();
        assert_eq!(answer, "[2, 2, 1] [4.0, 7.0, 7.0] [2.0, 3.5, 7.0] [1.0, 2.0, 7.0] [3.0, 5.0, 7.0]");
        let groups = query(&format!("SELECT g, elements_sum(v) FROM {rows} GROUP BY g ORDER BY g")).await.unwrap();
        assert_eq!(groups, "1 [4.0, 2.0]\n2 [NULL, 5.0, 7.0]");
        assert_eq!(query(&format!("SELECT elements_sum(v) FROM {rows} WHERE g > 9")).await.unwrap(), "[]");
        let error = query("SELECT elements_sum(1)").await.unwrap_err();
        assert!(error.contains("arrays of numbers"), "{error}");
    }
}
