//! `ivo_histogram`: how many rows fall into each of equal bins, in one pass.
//!
//! The bins are constants of the query. A group's counts are a row of one flat table, so that any number of groups is
//! counted without an allocation of its own; tables of several threads are added up cell by cell.

use std::{mem, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray},
        buffer::OffsetBuffer,
        datatypes::{
            DataType::{self, Float64, Int64},
            Field, FieldRef, Float64Type, Int64Type,
        },
    },
    common::{ScalarValue, exec_err, plan_err},
    error::Result,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
        expr::AggregateFunction,
        function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs},
    },
    physical_expr::expressions::Literal,
};

use super::{Body, Declaration, Function, Origin, declaration::declare, scalar::constant};

/// The most bins: at that a group is counted in 8 MB.
const MOST_BINS: i64 = 1_000_000;

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let ivo = declare!(
        Origin::Ivoa, "ivo_histogram" as "ivo_histogram",
        ("val": "DOUBLE PRECISION", "lower": "DOUBLE PRECISION", "upper": "DOUBLE PRECISION", "nbins": "INTEGER") -> "BIGINT[]",
        "How many rows fall into each of nbins equal bins from lower to upper: nbins + 2 numbers, of which the first counts what \
         is below lower or NULL, and the last what is not below upper. The bins are constants.",
        "ivo_histogram(x, 0, 10, 5)",
    );
    let gavo = declare!(
        Origin::Gavo, "gavo_histogram" as "gavo_histogram",
        ("val": "DOUBLE PRECISION", "lower": "DOUBLE PRECISION", "upper": "DOUBLE PRECISION", "nbins": "INTEGER") -> "BIGINT[]",
        "The same as ivo_histogram.", "gavo_histogram(x, 0, 10, 5)",
    );
    [ivo, gavo]
        .map(|declaration| {
            let types = vec![Float64, Float64, Float64, Int64];
            let histogram = Histogram { declaration, signature: Signature::exact(types, Volatility::Immutable) };
            Function { declaration, body: Body::Aggregate(Arc::new(AggregateUDF::new_from_impl(histogram))) }
        })
        .to_vec()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Histogram {
    declaration: Declaration,
    signature: Signature,
}

/// Equal bins from `lower` to `upper`.
#[derive(Clone, Copy, Debug)]
struct Bins {
    lower: f64,
    upper: f64,
    count: usize,
}

impl Bins {
    fn new(name: &str, constants: [Option<&ScalarValue>; 3]) -> Result<Self> {
        let [
            Some(ScalarValue::Float64(Some(lower))),
            Some(ScalarValue::Float64(Some(upper))),
            Some(ScalarValue::Int64(Some(count))),
        ] = constants
        else {
            return plan_err!("the limits and the number of bins of {name} are constants");
        };
        if !(lower.is_finite() && upper.is_finite() && lower < upper) {
            return plan_err!("the bins of {name} go from a lower limit to a larger one, not from {lower} to {upper}");
        }
        if !(1..=MOST_BINS).contains(count) {
            return plan_err!("{name} has 1 to {MOST_BINS} bins, not {count}");
        }
        Ok(Self { lower: *lower, upper: *upper, count: *count as usize })
    }

    fn of_plan(arguments: &AccumulatorArgs<'_>) -> Result<Self> {
        let literal = |place: usize| arguments.exprs.get(place)?.downcast_ref::<Literal>().map(Literal::value);
        Self::new(arguments.name, [literal(1), literal(2), literal(3)])
    }

    /// How many numbers the answer has.
    fn width(self) -> usize {
        self.count + 2
    }

    fn of(self, value: f64) -> usize {
        if value >= self.upper {
            return self.count + 1;
        }
        if value < self.lower || value.is_nan() {
            return 0;
        }
        let bin = (value - self.lower) / (self.upper - self.lower) * self.count as f64;
        (bin as usize).min(self.count - 1) + 1
    }
}

fn counts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(Int64, true)))
}

impl AggregateUDFImpl for Histogram {
    fn name(&self) -> &str {
        let Declaration { planned, .. } = self.declaration;
        planned
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(counts())
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[counts]", arguments.name), counts(), true))])
    }

    /// What is no bin is the query's mistake: it is told while the query is planned.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let name = self.declaration.name;
        Some(Box::new(move |call: AggregateFunction, _| {
            let bins = |place: usize| call.params.args.get(place).and_then(constant);
            Bins::new(name, [bins(1), bins(2), bins(3)])?;
            Ok(Expr::AggregateFunction(call))
        }))
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Table { bins: Bins::of_plan(&arguments)?, counts: Vec::new() }))
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        !arguments.is_distinct
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Table { bins: Bins::of_plan(&arguments)?, counts: Vec::new() }))
    }
}

/// The counts of all groups, one after the other. A query without groups has one.
#[derive(Debug)]
struct Table {
    bins: Bins,
    counts: Vec<i64>,
}

impl Table {
    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups * self.bins.width(), 0);
    }

    fn add(&mut self, group: usize, counts: &dyn Array) {
        let start = group * self.bins.width();
        let sums = &mut self.counts[start..start + self.bins.width()];
        for (sum, count) in sums.iter_mut().zip(counts.as_primitive::<Int64Type>().values()) {
            *sum += count;
        }
    }

    fn lists(&self, counts: Vec<i64>) -> Result<ArrayRef> {
        let width = self.bins.width();
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(width, counts.len() / width));
        let item = Arc::new(Field::new_list_field(Int64, true));
        Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(Int64Array::from(counts)), None)?))
    }

    fn take(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let counts = match emit {
            EmitTo::All => mem::take(&mut self.counts),
            EmitTo::First(groups) => self.counts.drain(..groups * self.bins.width()).collect(),
        };
        self.lists(counts)
    }

    fn bytes(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<i64>()
    }
}

impl GroupsAccumulator for Table {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let (values, width) = (values[0].as_primitive::<Float64Type>(), self.bins.width());
        for (row, group) in groups.iter().enumerate() {
            if filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                let bin = if values.is_valid(row) { self.bins.of(values.value(row)) } else { 0 };
                self.counts[group * width + bin] += 1;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.take(emit)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.take(emit)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let lists = states[0].as_list::<i32>();
        for (row, group) in groups.iter().enumerate().filter(|(row, _)| lists.is_valid(*row)) {
            self.add(*group, &lists.value(row));
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut each = Table { bins: self.bins, counts: Vec::new() };
        let groups: Vec<usize> = (0..values[0].len()).collect();
        GroupsAccumulator::update_batch(&mut each, values, &groups, filter, groups.len())?;
        GroupsAccumulator::state(&mut each, EmitTo::All)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

impl Accumulator for Table {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        let values = values[0].as_primitive::<Float64Type>();
        for row in 0..values.len() {
            let bin = if values.is_valid(row) { self.bins.of(values.value(row)) } else { 0 };
            self.counts[bin] += 1;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.grow(1);
        ScalarValue::try_from_array(&self.lists(self.counts.clone())?, 0)
    }

    fn size(&self) -> usize {
        self.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![Accumulator::evaluate(self)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        let Some(lists) = states[0].as_list_opt::<i32>() else { return exec_err!("counts are a list") };
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            self.add(0, &lists.value(row));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::testing::query;

    #[test]
    fn every_number_has_its_bin() {
        let bins = Bins { lower: 0.0, upper: 10.0, count: 5 };
        for (value, bin) in [
            (-1e-300, 0),
            (f64::NAN, 0),
            (f64::NEG_INFINITY, 0),
            (0.0, 1),
            (1.999_999, 1),
            (2.0, 2),
            (9.999_999_999_999_999, 5),
            (10.0, 6),
            (f64::INFINITY, 6),
        ] {
            assert_eq!(bins.of(value), bin, "{value}");
        }
    }

    #[tokio::test]
    async fn rows_are_counted_with_and_without_groups() {
        let rows = "(VALUES (-1.0, 1), (0.5, 1), (0.5, 2), (2.0, 1), (NULL, 1), (3.5, 2)) AS t(v, g)";
        let all = query(&format!("SELECT ivo_histogram(v, 0, 4, 2) AS h FROM {rows}")).await.unwrap();
        assert_eq!(all, "[2, 2, 2, 0]");
        let groups = query(&format!("SELECT g, gavo_histogram(v, 0, 4, 2) FROM {rows} GROUP BY g ORDER BY g")).await;
        assert_eq!(groups.unwrap(), "1 [2, 1, 1, 0]\n2 [0, 1, 1, 0]");
        let none = query(&format!("SELECT ivo_histogram(v, 0, 4, 2) FROM {rows} WHERE v > 100")).await.unwrap();
        assert_eq!(none, "[0, 0, 0, 0]");
        let filtered = format!("SELECT ivo_histogram(v, 0, 4, 2) FILTER (WHERE g = 2) FROM {rows} GROUP BY true");
        assert_eq!(query(&filtered).await.unwrap(), "[0, 1, 1, 0]");
    }

    #[tokio::test]
    async fn what_makes_no_bins_is_a_mistake() {
        for (bins, mistake) in [
            ("4, 0, 2", "not from 4 to 0"),
            ("0, 4, 0", "bins, not 0"),
            ("0, 4, 2000000", "bins, not 2000000"),
            ("v, 4, 2", "are constants"),
        ] {
            let error =
                query(&format!("SELECT ivo_histogram(v, {bins}) FROM (VALUES (1.0)) AS t(v)")).await.unwrap_err();
            assert!(error.contains(mistake), "{bins}: {error}");
        }
    }
}
