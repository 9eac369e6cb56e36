//! `col IN (…)` of very many constants: one function that holds them all, sorted and once each.
//!
//! A list of a hundred thousand expressions is copied and walked by every rule that looks at a plan, and made into
//! questions about every file. This carries one pointer, is computed by one look-up a row, and says which numbers it holds,
//! so that a table can find their rows by other means ([`values_of`]).

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder},
        datatypes::{DataType, Int64Type},
    },
    common::{ScalarValue, exec_err, plan_err},
    error::Result,
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

/// The name of the function in plans.
const AMONG: &str = "among";

/// The constants of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Whole numbers, ascending, once each.
    Whole(Vec<i64>),
    /// Texts, ascending, once each.
    Texts(Vec<String>),
}

impl Values {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// The first few, as they are written.
    pub(crate) fn first(&self, count: usize) -> Vec<String> {
        match self {
            Self::Whole(numbers) => numbers.iter().take(count).map(ToString::to_string).collect(),
            Self::Texts(texts) => {
                texts.iter().take(count).map(|text| format!("'{}'", text.replace('\'', "''"))).collect()
            }
        }
    }

    /// The least and the greatest.
    pub(crate) fn ends(&self) -> Option<(ScalarValue, ScalarValue)> {
        Some(match self {
            Self::Whole(numbers) => (ScalarValue::from(*numbers.first()?), ScalarValue::from(*numbers.last()?)),
            Self::Texts(texts) => {
                (ScalarValue::from(texts.first()?.as_str()), ScalarValue::from(texts.last()?.as_str()))
            }
        })
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Whole(_) => DataType::Int64,
            Self::Texts(_) => DataType::Utf8,
        }
    }
}

/// `subject IN (values)`; NULL where it is not among them but `nulls` is.
pub(crate) fn among(subject: Expr, values: Values, nulls: bool) -> Expr {
    let table = Table::of(&values);
    let signature = Signature::user_defined(Volatility::Immutable);
    let function = Among { values: Arc::new(values), table: Arc::new(table), nulls, signature };
    ScalarUDF::new_from_impl(function).call(vec![subject])
}

/// What is looked for in which constants, if a condition is such a one.
pub(crate) fn values_of(condition: &Expr) -> Option<(&Expr, &Values)> {
    let Expr::ScalarFunction(call) = condition else { return None };
    let among = call.func.inner().downcast_ref::<Among>()?;
    Some((call.args.first()?, &among.values))
}

struct Among {
    values: Arc<Values>,
    table: Arc<Table>,
    nulls: bool,
    signature: Signature,
}

impl std::fmt::Debug for Among {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Among({} values)", self.values.len())
    }
}

impl PartialEq for Among {
    fn eq(&self, other: &Self) -> bool {
        self.nulls == other.nulls && (Arc::ptr_eq(&self.values, &other.values) || self.values == other.values)
    }
}

impl Eq for Among {}

impl Hash for Among {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal ones have as many, and the same first.
        (self.nulls, self.values.len(), self.values.first(4)).hash(state);
    }
}

impl ScalarUDFImpl for Among {
    fn name(&self) -> &str {
        AMONG
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [_] => Ok(vec![self.values.data_type()]),
            _ => plan_err!("a list is asked for one value"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        let first = self.values.first(4).join(", ");
        let subject = arguments.first().map(ToString::to_string).unwrap_or_default();
        Ok(format!("{subject} IN ({first}, … {} in all)", self.values.len()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Array(_) | ColumnarValue::Scalar(_)] = arguments.args.as_slice() else {
            return exec_err!("a list is asked for one value");
        };
        let scalar = matches!(arguments.args[0], ColumnarValue::Scalar(_));
        let column: ArrayRef = arguments.args[0].to_array(if scalar { 1 } else { arguments.number_rows })?;
        let answers = self.answers(&column);
        match scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?)),
            false => Ok(ColumnarValue::Array(Arc::new(answers))),
        }
    }
}

impl Among {
    fn answers(&self, column: &ArrayRef) -> BooleanArray {
        match &*self.table {
            Table::Whole(numbers) => {
                let column = column.as_primitive::<Int64Type>();
                self.each(column, |row| numbers.contains(column.value(row)))
            }
            Table::Texts(texts) => {
                let column = column.as_string::<i32>();
                self.each(column, |row| texts.contains(column.value(row)))
            }
        }
    }

    fn each(&self, column: &dyn Array, found: impl Fn(usize) -> bool) -> BooleanArray {
        if column.null_count() == 0 && !self.nulls {
            return BooleanArray::from_iter((0..column.len()).map(|row| Some(found(row))));
        }
        let mut answers = BooleanBuilder::with_capacity(column.len());
        for row in 0..column.len() {
            let found = column.is_valid(row).then(|| found(row));
            answers.append_option(found.filter(|found| *found || !self.nulls));
        }
        answers.finish()
    }
}

/// Where a value is looked up.
enum Table {
    Whole(Numbers),
    Texts(HashSet<String>),
}

impl Table {
    fn of(values: &Values) -> Self {
        match values {
            Values::Whole(numbers) => Self::Whole(Numbers::new(numbers)),
            Values::Texts(texts) => Self::Texts(texts.iter().cloned().collect()),
        }
    }
}

/// Whole numbers in a table with room to spare: each stands at the place that its bits say, or in the next free one.
struct Numbers {
    places: Vec<Option<i64>>,
    shift: u32,
    least: i64,
    greatest: i64,
}

impl Numbers {
    fn new(numbers: &[i64]) -> Self {
        let bits = (numbers.len().max(1) * 2).next_power_of_two().trailing_zeros().max(1);
        let ends = (numbers.first().copied().unwrap_or(1), numbers.last().copied().unwrap_or(0));
        let mut table = Self { places: vec![None; 1 << bits], shift: 64 - bits, least: ends.0, greatest: ends.1 };
        for number in numbers {
            let mut at = table.place(*number);
            while table.places[at].is_some_and(|there| there != *number) {
                at = (at + 1) % table.places.len();
            }
            table.places[at] = Some(*number);
        }
        table
    }

    fn place(&self, number: i64) -> usize {
        // A product spreads neighbours over the whole table, and its highest bits know of all bits below.
        ((number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    fn contains(&self, number: i64) -> bool {
        if number < self.least || number > self.greatest {
            return false;
        }
        let mut at = self.place(number);
        while let Some(there) = self.places[at] {
            if there == number {
                return true;
            }
            at = (at + 1) % self.places.len();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion::arrow::array::{Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn answers(values: Values, nulls: bool, column: ArrayRef) -> Vec<Option<bool>> {
        let table = Arc::new(Table::of(&values));
        let signature = Signature::user_defined(Volatility::Immutable);
        Among { values: Arc::new(values), table, nulls, signature }.answers(&column).iter().collect()
    }

    proptest! {
        #[test]
        fn a_number_is_found_if_it_is_in_the_list(
            list in prop::collection::btree_set(prop_oneof![-50..50_i64, any::<i64>()], 1..300),
            asked in prop::collection::vec(prop::option::of(prop_oneof![-60..60_i64, any::<i64>()]), 1..100),
            nulls in any::<bool>(),
        ) {
            let column = Arc::new(Int64Array::from(asked.clone()));
            let found = answers(Values::Whole(list.iter().copied().collect()), nulls, column);
            for (asked, found) in asked.into_iter().zip(found) {
                let there = asked.map(|asked| list.contains(&asked));
                prop_assert_eq!(found, there.filter(|there| *there || !nulls));
            }
        }
    }

    #[test]
    fn a_text_is_found_if_it_is_in_the_list() {
        let list: BTreeSet<String> = ["", "a", "M 31"].map(str::to_owned).into();
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("A"), None, Some("")]));
        let texts = || Values::Texts(list.iter().cloned().collect());
        assert_eq!(answers(texts(), false, Arc::clone(&column)), [Some(true), Some(false), None, Some(true)]);
        assert_eq!(answers(texts(), true, column), [Some(true), None, None, Some(true)]);
    }
}
