//! Functions called as a plan would call them, for the tests of this folder.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Float64Array, Int64Array, StringArray},
        compute::cast,
        datatypes::{DataType, Field, Float64Type, Int64Type},
        util::display::{ArrayFormatter, FormatOptions},
    },
    common::ScalarValue,
    config::ConfigOptions,
    error::Result,
    execution::SessionStateBuilder,
    logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF},
    prelude::{SessionConfig, SessionContext},
};

use super::{Body, find};

pub(super) fn double(values: &[Option<f64>]) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(Float64Array::from(values.to_vec())))
}

pub(super) fn integer(values: &[Option<i64>]) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(Int64Array::from(values.to_vec())))
}

pub(super) fn text(values: &[Option<&str>]) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(StringArray::from(values.to_vec())))
}

pub(super) fn constant(value: impl Into<ScalarValue>) -> ColumnarValue {
    ColumnarValue::Scalar(value.into())
}

fn body(name: &str) -> Arc<ScalarUDF> {
    match &find(name).unwrap_or_else(|| panic!("{name} is not declared")).body {
        Body::Scalar(function) => Arc::clone(function),
        other => panic!("{name} is not a function of one row: {other:?}"),
    }
}

/// The answer of the function that is called so in a query.
pub(super) fn call(name: &str, arguments: &[ColumnarValue]) -> Result<ArrayRef> {
    let function = body(name);
    let rows = arguments.iter().find_map(|argument| match argument {
        ColumnarValue::Array(array) => Some(array.len()),
        ColumnarValue::Scalar(_) => None,
    });
    let fields: Vec<_> =
        arguments.iter().map(|argument| Arc::new(Field::new("a", argument.data_type(), true))).collect();
    let scalars: Vec<Option<&ScalarValue>> = arguments
        .iter()
        .map(|argument| match argument {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let return_field =
        function.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalars })?;
    let answer = function.invoke_with_args(ScalarFunctionArgs {
        args: arguments.to_vec(),
        arg_fields: fields,
        number_rows: rows.unwrap_or(1),
        return_field,
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    answer.into_array(rows.unwrap_or(1))
}

pub(super) fn doubles(name: &str, arguments: &[ColumnarValue]) -> Vec<Option<f64>> {
    call(name, arguments).unwrap().as_primitive::<Float64Type>().iter().collect()
}

/// The answer as whole numbers, of whatever width it is.
pub(super) fn integers(name: &str, arguments: &[ColumnarValue]) -> Vec<Option<i64>> {
    let wide = cast(&call(name, arguments).unwrap(), &DataType::Int64).unwrap();
    wide.as_primitive::<Int64Type>().iter().collect()
}

pub(super) fn texts(name: &str, arguments: &[ColumnarValue]) -> Vec<Option<String>> {
    let answer = call(name, arguments).unwrap();
    answer.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
}

/// A session with the functions and the rules of the engine, on two threads.
pub(super) fn session() -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let state = SessionStateBuilder::new().with_default_features().with_config(config);
    let mut state = crate::rules::register(state).build();
    super::register(&mut state).unwrap();
    SessionContext::new_with_state(state)
}

/// The answer of an SQL query as lines of values.
pub(crate) async fn query(sql: &str) -> std::result::Result<String, String> {
    let frame = session().sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in &batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" "));
        }
    }
    Ok(lines.join("\n"))
}
