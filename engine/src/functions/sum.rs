//! `SUM` that never wraps: whole numbers are added as 128 bits, and a sum that is no BIGINT is NULL, as is one that is
//! infinite.
//!
//! It takes the place of DataFusion's `sum`, which adds whole numbers as 64 bits and wraps. The work is still done by that
//! one: as it adds decimals of 38 digits, numbers are made such on their way in and BIGINTs on their way out.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, BooleanArray},
        compute::cast,
        datatypes::{
            DataType::{self, Decimal128, Float64, Int64, UInt64},
            Decimal128Type, Field, FieldRef, Float64Type, Int64Type, UInt64Type,
        },
    },
    common::ScalarValue,
    error::Result,
    functions_aggregate::sum::sum_udaf,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity,
        Signature,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

use super::{Body, Function, Origin, declaration::declare};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let sum = declare!(
        Origin::Adql, "SUM" as "sum", ("x": "DOUBLE PRECISION") -> "DOUBLE PRECISION" | ("x": "BIGINT") -> "BIGINT",
        "The sum over all rows that are not NULL; without any, NULL. The sum of whole numbers is exact; one that is \
         no BIGINT, or more than a DOUBLE PRECISION can hold, is NULL.",
        "SUM(x)",
    );
    let body = Body::Aggregate(Arc::new(AggregateUDF::new_from_impl(Sum { inner: sum_udaf() })));
    let mut functions = vec![Function { declaration: sum, body }];
    let others = [
        declare!(
            Origin::Adql, "COUNT" as "count", ("x": "any") -> "BIGINT",
            "How many rows are not NULL in x; COUNT(*) counts all.", "COUNT(x)",
        ),
        declare!(
            Origin::Adql, "AVG" as "avg", ("x": "DOUBLE PRECISION") -> "DOUBLE PRECISION",
            "The mean over all rows that are not NULL; without any, NULL.", "AVG(x)",
        ),
        declare!(
            Origin::Adql, "MIN" as "min", ("x": "any") -> "any",
            "The least value of all rows that are not NULL.", "MIN(x)",
        ),
        declare!(
            Origin::Adql, "MAX" as "max", ("x": "any") -> "any",
            "The largest value of all rows that are not NULL.", "MAX(x)",
        ),
    ];
    functions.extend(others.map(|declaration| Function { declaration, body: Body::Planner }));
    functions
}

const WIDE: DataType = Decimal128(38, 0);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    inner: Arc<AggregateUDF>,
}

fn is_whole(returned: &DataType) -> bool {
    matches!(returned, Int64 | UInt64)
}

/// What the inner function is told that it returns.
fn wide() -> FieldRef {
    Arc::new(Field::new("sum", WIDE, true))
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn state_fields(&self, mut arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if is_whole(arguments.return_type()) {
            arguments.return_field = wide();
        }
        self.inner.state_fields(arguments)
    }

    fn accumulator(&self, mut arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let returned = arguments.return_type().clone();
        if returned == Float64 {
            return Ok(Box::new(Whole { inner: self.inner.accumulator(arguments)?, returned }));
        }
        if !is_whole(&returned) {
            return self.inner.accumulator(arguments);
        }
        arguments.return_field = wide();
        Ok(Box::new(Whole { inner: self.inner.accumulator(arguments)?, returned }))
    }

    fn create_sliding_accumulator(&self, mut arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let returned = arguments.return_type().clone();
        if !is_whole(&returned) || arguments.is_distinct {
            return self.inner.create_sliding_accumulator(arguments);
        }
        arguments.return_field = wide();
        Ok(Box::new(Whole { inner: self.inner.create_sliding_accumulator(arguments)?, returned }))
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(&self, mut arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let returned = arguments.return_type().clone();
        if returned == Float64 {
            return Ok(Box::new(WholeGroups { inner: self.inner.create_groups_accumulator(arguments)?, returned }));
        }
        if !is_whole(&returned) {
            return self.inner.create_groups_accumulator(arguments);
        }
        arguments.return_field = wide();
        Ok(Box::new(WholeGroups { inner: self.inner.create_groups_accumulator(arguments)?, returned }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    // A sum may become NULL as rows come in: it never only grows.
    fn set_monotonicity(&self, _: &DataType) -> SetMonotonicity {
        SetMonotonicity::NotMonotonic
    }
}

fn widened(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let wide = |values: &ArrayRef| -> Result<ArrayRef> {
        if *values.data_type() == Float64 {
            return Ok(Arc::clone(values));
        }
        let wide = if let Some(whole) = values.as_primitive_opt::<Int64Type>() {
            whole.unary::<_, Decimal128Type>(i128::from)
        } else if let Some(whole) = values.as_primitive_opt::<UInt64Type>() {
            whole.unary::<_, Decimal128Type>(i128::from)
        } else {
            return Ok(cast(values, &WIDE)?);
        };
        Ok(Arc::new(wide.with_data_type(WIDE)))
    };
    values.iter().map(wide).collect()
}

/// These sums as what is returned; NULL where it does not hold them.
fn narrowed(sums: &ArrayRef, returned: &DataType) -> ArrayRef {
    if let Some(reals) = sums.as_primitive_opt::<Float64Type>() {
        return Arc::new(reals.unary_opt::<_, Float64Type>(|sum| Some(sum).filter(|sum| sum.is_finite())));
    }
    let sums = sums.as_primitive::<Decimal128Type>();
    match returned {
        UInt64 => Arc::new(sums.unary_opt::<_, UInt64Type>(|sum| u64::try_from(sum).ok())),
        _ => Arc::new(sums.unary_opt::<_, Int64Type>(|sum| i64::try_from(sum).ok())),
    }
}

#[derive(Debug)]
struct Whole {
    inner: Box<dyn Accumulator>,
    returned: DataType,
}

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&widened(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&narrowed(&self.inner.evaluate()?.to_array()?, &self.returned), 0)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

struct WholeGroups {
    inner: Box<dyn GroupsAccumulator>,
    returned: DataType,
}

impl GroupsAccumulator for WholeGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(&widened(values)?, groups, filter, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(narrowed(&self.inner.evaluate(emit)?, &self.returned))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(states, groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&widened(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
