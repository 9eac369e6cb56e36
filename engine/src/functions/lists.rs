//! Arrays in a column: one element by its number or its name, and numbers that sum up a whole array.
//!
//! The positions of an array column may have names, which the field's metadata list under `vo:elements`; a name then
//! stands for its position, whatever its case if that leaves one.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, Float64Builder, Int64Array, ListArray},
        compute::{cast, nullif, take},
        datatypes::{
            DataType::{self, Float32, Float64, Int32, Int64, Utf8},
            Field, FieldRef, Float32Type, Float64Type, Int64Type,
        },
    },
    common::{ScalarValue, exec_err, plan_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

use super::{
    Body, Declaration, Function, Origin,
    declaration::declare,
    numbers::finite,
    scalar::{Scalar, double, integer},
};

/// The key under which a field's metadata names the elements of its arrays: a JSON array of texts.
const ELEMENTS: &str = "vo:elements";

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let element = declare!(
        Origin::Almagest, "arr_element" as "adql_element",
        ("a": "any[]", "n": "INTEGER") -> "any" | ("a": "any[]", "name": "VARCHAR") -> "any",
        "One element of an array, also written a[n] or a[name]: by its number, counted from 1, or by the name that the \
         catalogue gives to its position. NULL beyond the ends.",
        "arr_element(v, 2)",
    );
    let body = Body::Scalar(Arc::new(ScalarUDF::new_from_impl(Element::new(element))));
    let unnest = declare!(
        Origin::Almagest, "UNNEST" as "unnest", ("a": "any[]") -> "any",
        "Each element of an array in a row of its own, beside what else is selected of its row. An array that is empty or NULL \
         has no row. It stands in the list after SELECT, and not in an aggregate.",
        "UNNEST(v)",
    );
    let mut functions =
        vec![Function { declaration: element, body }, Function { declaration: unnest, body: Body::Planner }];
    functions.extend(of_whole_arrays());
    functions
}

fn of_whole_arrays() -> Vec<Function> {
    let length = declare!(
        Origin::Almagest, "arr_length" as "arr_length", ("a": "any[]") -> "INTEGER",
        "How many elements an array has, NULL ones too.", "arr_length(v)",
    );
    let count = declare!(
        Origin::Almagest, "arr_count" as "arr_count", ("a": "DOUBLE PRECISION[]") -> "INTEGER",
        "How many elements of an array of numbers are not NULL.", "arr_count(v)",
    );
    let sum = declare!(
        Origin::Almagest, "arr_sum" as "arr_sum", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION",
        "The sum of the elements of an array that are not NULL; NULL if there are none.", "arr_sum(v)",
    );
    let mean = declare!(
        Origin::Almagest, "arr_avg" as "arr_avg", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION",
        "The mean of the elements of an array that are not NULL; NULL if there are none.", "arr_avg(v)",
    );
    let min = declare!(
        Origin::Almagest, "arr_min" as "arr_min", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION",
        "The least element of an array that is not NULL.", "arr_min(v)",
    );
    let max = declare!(
        Origin::Almagest, "arr_max" as "arr_max", ("a": "DOUBLE PRECISION[]") -> "DOUBLE PRECISION",
        "The largest element of an array that is not NULL.", "arr_max(v)",
    );
    let to_double = |types: &[DataType]| of_numbers(types).and_then(|()| double(types));
    let to_integer = |types: &[DataType]| of_numbers(types).and_then(|()| integer(types));
    let lengths = |types: &[DataType]| of_lists(types).and_then(|()| integer(types));
    vec![
        Scalar::new(length, [], lengths, lengths_of).any([1]).declared(),
        Scalar::new(count, [], to_integer, |a, n| {
            Ok(cast(&folded(a, n, |present| Some(present.count() as f64))?, &Int32)?)
        })
        .any([1])
        .declared(),
        Scalar::new(sum, [], to_double, |a, n| folded(a, n, |present| present.reduce(|a, b| a + b)))
            .any([1])
            .declared(),
        Scalar::new(mean, [], to_double, |a, n| folded(a, n, mean_of)).any([1]).declared(),
        Scalar::new(min, [], to_double, |a, n| folded(a, n, |present| present.reduce(f64::min))).any([1]).declared(),
        Scalar::new(max, [], to_double, |a, n| folded(a, n, |present| present.reduce(f64::max))).any([1]).declared(),
    ]
}

/// The type of a list's elements.
pub(crate) fn item_of(list: &DataType) -> Option<&FieldRef> {
    match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

fn of_lists(types: &[DataType]) -> Result<()> {
    match item_of(&types[0]) {
        None if types[0] != DataType::Null => plan_err!("an array was expected, not {}", types[0]),
        _ => Ok(()),
    }
}

fn of_numbers(types: &[DataType]) -> Result<()> {
    match item_of(&types[0]) {
        Some(item) if item.data_type().is_numeric() || item.data_type().is_null() => Ok(()),
        _ if types[0] == DataType::Null => Ok(()),
        _ => plan_err!("an array of numbers was expected, not {}", types[0]),
    }
}

/// Any array of numbers as one of doubles.
pub(super) fn doubles(array: &ArrayRef) -> Result<ListArray> {
    let wanted = DataType::List(Arc::new(Field::new_list_field(Float64, true)));
    let array = if *array.data_type() == wanted { Arc::clone(array) } else { cast(array, &wanted)? };
    Ok(array.as_list::<i32>().clone())
}

fn lengths_of(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let lists = arguments[0].to_array(rows)?;
    Ok(cast(&datafusion::arrow::compute::kernels::length::length(&lists)?, &Int32)?)
}

fn mean_of(present: &mut dyn Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = present.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    (count > 0.0).then(|| sum / count)
}

/// One number for every array, of its elements that are not NULL.
fn folded(
    arguments: &[ColumnarValue],
    rows: usize,
    fold: impl Fn(&mut dyn Iterator<Item = f64>) -> Option<f64>,
) -> Result<ArrayRef> {
    let lists = doubles(&arguments[0].to_array(rows)?)?;
    let values = lists.values().as_primitive::<Float64Type>();
    let mut answer = Float64Builder::with_capacity(rows);
    for (row, ends) in lists.offsets().windows(2).enumerate() {
        let places = ends[0] as usize..ends[1] as usize;
        let present = places.filter(|place| values.is_valid(*place)).map(|place| values.value(place));
        let mut present = present.filter(|value| !value.is_nan()); // missing, as in a column of numbers
        answer.append_option(if lists.is_valid(row) { fold(&mut present) } else { None });
    }
    let answer = answer.finish();
    Ok(finite(answer.values().to_vec(), answer.nulls().cloned()))
}

/// `a[n]` and `a[name]`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Element {
    declaration: Declaration,
    signature: Signature,
}

impl Element {
    fn new(declaration: Declaration) -> Self {
        Self { declaration, signature: Signature::any(2, Volatility::Immutable) }
    }
}

/// The number of an element by its name, from the metadata of the array's field.
fn number_of(array: &Field, name: &str) -> Result<i64> {
    let names: Vec<String> =
        array.metadata().get(ELEMENTS).and_then(|names| serde_json::from_str(names).ok()).unwrap_or_default();
    if names.is_empty() {
        return plan_err!("the elements of this array have no names: write a number, counted from 1, for '{name}'");
    }
    let exact = names.iter().position(|known| known == name);
    let mut folded = (0..names.len()).filter(|place| names[*place].to_lowercase() == name.to_lowercase());
    let place = exact.or_else(|| folded.next().filter(|_| folded.next().is_none()));
    match place {
        Some(place) => Ok(place as i64 + 1),
        None => plan_err!("the array has no element '{name}'; its elements are {}", names.join(", ")),
    }
}

impl ScalarUDFImpl for Element {
    fn name(&self) -> &str {
        let Declaration { planned, .. } = self.declaration;
        planned
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of an element is that of its field")
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let array = &arguments.arg_fields[0];
        let Some(item) = item_of(array.data_type()) else {
            return plan_err!("only an array has elements, not {}", array.data_type());
        };
        match arguments.scalar_arguments.get(1).copied().flatten() {
            Some(constant) if constant.data_type() == Utf8 => {
                number_of(array, constant.try_as_str().flatten().unwrap_or_default())?;
            }
            Some(constant) if constant.cast_to(&Int64).is_ok_and(|n| matches!(n, ScalarValue::Int64(Some(..=0)))) => {
                return plan_err!("the elements of an array are counted from 1, not {constant}");
            }
            _ if !(arguments.arg_fields[1].data_type().is_integer()
                || arguments.arg_fields[1].data_type().is_null()) =>
            {
                return plan_err!("an element is asked for by a whole number or by a name in quotes");
            }
            _ => {}
        }
        // What is said of the array, but for its form, is true of the element.
        let kept = ["vo:unit", "vo:ucd"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), array.metadata().get(key)?.clone())));
        Ok(Arc::new(Field::new(self.name(), item.data_type().clone(), true).with_metadata(kept.collect())))
    }

    /// A name becomes a number while the metadata are at hand.
    fn simplify(&self, mut arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(name) = super::scalar::constant(&arguments[1]).and_then(|value| value.try_as_str().flatten()) else {
            return Ok(ExprSimplifyResult::Original(arguments));
        };
        let (_, field) = arguments[0].to_field(context.schema().as_ref())?;
        let number = number_of(&field, name)?;
        arguments[1] = Expr::Literal(ScalarValue::Int64(Some(number)), None);
        let call = datafusion::logical_expr::expr::ScalarFunction {
            func: Arc::new(ScalarUDF::new_from_impl(Self::new(self.declaration))),
            args: arguments,
        };
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let lists = arguments.args[0].to_array(rows)?;
        let numbers = match &arguments.args[1] {
            ColumnarValue::Scalar(value) if value.data_type() == Utf8 => {
                let name = value.try_as_str().flatten();
                let number = name.map(|name| number_of(&arguments.arg_fields[0], name)).transpose()?;
                Int64Array::from(vec![number; rows])
            }
            other => cast(&other.to_array(rows)?, &Int64)?.as_primitive::<Int64Type>().clone(),
        };
        let answer = elements(&lists, &numbers)?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?)),
            false => Ok(ColumnarValue::Array(answer)),
        }
    }
}

/// The element of this number of each list; NULL where there is none, and where it is NaN: missing is NULL in a column, too.
fn elements(lists: &ArrayRef, numbers: &Int64Array) -> Result<ArrayRef> {
    let wide = match lists.data_type() {
        DataType::FixedSizeList(item, _) => cast(lists, &DataType::List(Arc::clone(item)))?,
        DataType::LargeList(item) => cast(lists, &DataType::List(Arc::clone(item)))?,
        _ => Arc::clone(lists),
    };
    let Some(lists) = wide.as_list_opt::<i32>() else { return exec_err!("an array was expected") };
    let places: Int64Array = lists
        .offsets()
        .windows(2)
        .enumerate()
        .map(|(row, ends)| {
            let number = (lists.is_valid(row) && numbers.is_valid(row)).then(|| numbers.value(row))?;
            let place = i64::from(ends[0]).checked_add(number)? - 1;
            (number >= 1 && place < i64::from(ends[1])).then_some(place)
        })
        .collect();
    let found = take(lists.values(), &places, None)?;
    let is_nan = match found.data_type() {
        Float64 => BooleanArray::from_unary(found.as_primitive::<Float64Type>(), f64::is_nan),
        Float32 => BooleanArray::from_unary(found.as_primitive::<Float32Type>(), f32::is_nan),
        _ => return Ok(found),
    };
    Ok(nullif(&found, &is_nan)?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::{
        array::RecordBatch,
        datatypes::{Int32Type, Schema},
    };

    use super::*;
    use crate::functions::testing::session;

    async fn ask(sql: &str) -> std::result::Result<String, String> {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), Some(2), Some(6)]),
            Some(vec![None]),
            Some(vec![]),
            None,
        ]);
        let named = [
            (ELEMENTS.to_owned(), r#"["jplus::uJAVA","jplus::rSDSS","JPLUS::RSDSS"]"#.to_owned()),
            ("vo:unit".to_owned(), "mag".to_owned()),
        ];
        let field = Field::new("v", lists.data_type().clone(), true).with_metadata(named.into());
        let schema = Arc::new(Schema::new(vec![field]));
        let session = session();
        session.register_batch("t", RecordBatch::try_new(schema, vec![Arc::new(lists)]).unwrap()).unwrap();
        let frame = session.sql(sql).await.map_err(|error| error.to_string())?;
        let batches = frame.collect().await.map_err(|error| error.to_string())?;
        let column = cast(batches[0].column(0), &Float64).unwrap();
        Ok(format!("{:?}", column.as_primitive::<Float64Type>().iter().collect::<Vec<_>>()).replace("Some", ""))
    }

    #[tokio::test]
    async fn an_element_is_found_by_number_and_by_name() {
        assert_eq!(ask("SELECT adql_element(v, 2) FROM t").await.unwrap(), "[(2.0), None, None, None]");
        assert_eq!(ask("SELECT adql_element(v, 'JPLUS::UJAVA') FROM t").await.unwrap(), "[(1.0), None, None, None]");
        assert_eq!(ask("SELECT adql_element(v, 'jplus::rSDSS') FROM t").await.unwrap(), "[(2.0), None, None, None]");
        assert_eq!(ask("SELECT adql_element(v, arr_length(v)) FROM t").await.unwrap(), "[(6.0), None, None, None]");
        assert_eq!(ask("SELECT adql_element(v, 9) FROM t").await.unwrap(), "[None, None, None, None]");
        for (sql, mistake) in [
            ("SELECT adql_element(v, 0) FROM t", "counted from 1"),
            ("SELECT adql_element(v, 'x') FROM t", "no element 'x'; its elements are jplus::uJAVA"),
            ("SELECT adql_element(v, 'JPLUS::rsdss') FROM t", "no element"), // which of the two?
            ("SELECT adql_element(5, 1) FROM t", "only an array has elements"),
            ("SELECT adql_element(make_array(1), 'x') FROM t", "have no names"),
        ] {
            let error = ask(sql).await.unwrap_err();
            assert!(error.contains(mistake), "{sql}: {error}");
        }
    }

    #[tokio::test]
    async fn a_whole_array_is_summed_up_without_its_nulls() {
        assert_eq!(ask("SELECT arr_length(v) FROM t").await.unwrap(), "[(3.0), (1.0), (0.0), None]");
        assert_eq!(ask("SELECT arr_count(v) FROM t").await.unwrap(), "[(3.0), (0.0), (0.0), None]");
        assert_eq!(ask("SELECT arr_sum(v) FROM t").await.unwrap(), "[(9.0), None, None, None]");
        assert_eq!(ask("SELECT arr_avg(v) FROM t").await.unwrap(), "[(3.0), None, None, None]");
        assert_eq!(ask("SELECT arr_min(v) FROM t").await.unwrap(), "[(1.0), None, None, None]");
        assert_eq!(ask("SELECT arr_max(v) FROM t").await.unwrap(), "[(6.0), None, None, None]");
        assert!(ask("SELECT arr_sum(make_array('a')) FROM t").await.unwrap_err().contains("array of numbers"));
    }
}
