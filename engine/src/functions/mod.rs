//! The functions that queries may call: those of ADQL, of the IVOA's catalogue, of GAVO's services and our own. Each is
//! declared once, with its forms, its description and an example; documentation, capabilities and advice are made of that.
//!
//! One family a file. `scalar` is the frame of all functions of one row, `numbers` what their kernels read. What nobody
//! here declares may still be a function of DataFusion's, but not one that makes much from little.
//!
//! In a row where an argument is NULL, or is out of the range that a function has, the answer is NULL; a constant that can
//! never be right is the author's mistake.

mod among;
mod bits;
mod checked;
mod declaration;
mod elements;
mod frames;
mod geometry;
mod healpix;
mod histogram;
mod in_unit;
mod intervals;
mod joined;
mod lists;
mod mathematics;
mod motion;
mod numbers;
mod points;
mod random;
mod scalar;
mod sexagesimal;
mod strings;
mod sum;
#[cfg(test)]
mod testing;
mod times;
mod xmatch;

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use datafusion::{
    error::Result,
    execution::{FunctionRegistry, SessionStateDefaults},
    logical_expr::ScalarUDF,
};

pub(crate) use among::{Values, among, values_of};
pub(crate) use checked::{checked, checked_real};
pub(crate) use declaration::{Body, Function};
pub use declaration::{Declaration, Form, Origin};
pub(crate) use geometry::{
    CIRCLE, CLOSER, CONTAINS, DISTANCE, IN_CIRCLE, IN_SHAPE, INTERSECTS, POINT, WITHIN, closer, from_column, in_circle,
    to_dali, unnamed_function, within,
};
pub(crate) use lists::item_of;

pub(crate) use xmatch::{NEAREST, REFUSED, XMATCH, XMATCH_MUTUAL, nearest_function};

/// Functions of DataFusion that make much from little, outside the memory that a query accounts for.
const BOUNDLESS: [&str; 7] = ["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

/// All functions that are declared, in the order in which they are documented.
pub(crate) static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    [
        mathematics::declared(),
        random::declared(),
        sum::declared(),
        strings::declared(),
        bits::declared(),
        times::declared(),
        sexagesimal::declared(),
        geometry::declared(),
        xmatch::declared(),
        intervals::declared(),
        healpix::declared(),
        frames::declared(),
        motion::declared(),
        lists::declared(),
        elements::declared(),
        histogram::declared(),
        joined::declared(),
        in_unit::declared(),
    ]
    .concat()
});

/// All functions that are declared, for whoever tells of them.
pub fn functions() -> impl Iterator<Item = &'static Declaration> {
    FUNCTIONS.iter().map(|function| &function.declaration)
}

fn names_of(name: &str, aliases: &[String]) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(aliases.iter().cloned()).collect()
}

/// The names of the planner's functions: of one row, of many, or over a window.
static OF_THE_PLANNER: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let scalar = SessionStateDefaults::default_scalar_functions();
    let aggregate = SessionStateDefaults::default_aggregate_functions();
    let window = SessionStateDefaults::default_window_functions();
    let bounded = scalar.iter().filter(|function| !BOUNDLESS.contains(&function.name()));
    let scalar = bounded.flat_map(|function| names_of(function.name(), function.aliases()));
    let aggregate = aggregate.iter().flat_map(|function| names_of(function.name(), function.aliases()));
    let window = window.iter().flat_map(|function| names_of(function.name(), function.aliases()));
    scalar.chain(aggregate).chain(window).collect()
});

/// Whether the planner has a function of this name that is not declared here.
pub(crate) fn known_to_planner(name: &str) -> bool {
    OF_THE_PLANNER.contains(&name.to_ascii_lowercase())
}

/// The names of all functions that a query may call.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    functions().map(|declaration| declaration.name).chain(OF_THE_PLANNER.iter().map(String::as_str))
}

/// Whether the function of this name in a plan makes one value of many rows.
pub(crate) fn is_aggregate(planned: &str) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let ours = FUNCTIONS.iter().filter(|function| matches!(function.body, Body::Aggregate(_)));
        let ours = ours.map(|function| function.declaration.planned.to_owned());
        let others = SessionStateDefaults::default_aggregate_functions();
        let others = others.iter().flat_map(|function| names_of(function.name(), function.aliases()));
        ours.chain(others).collect()
    });
    NAMES.contains(planned)
}

/// Whether a function of the planner only makes sense over a window.
pub(crate) fn is_only_over(planned: &str) -> bool {
    let windows = SessionStateDefaults::default_window_functions();
    windows.iter().any(|function| function.name() == planned) && !is_aggregate(planned)
}

/// The declared function that is called so in a query, in any case.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.declaration.name.eq_ignore_ascii_case(name))
}

/// What turns DALI's text of a time into a time.
pub(crate) const TO_TIMESTAMP: &str = "adql_to_timestamp";

/// The function of one row that is called so in a plan.
pub(crate) fn scalar_planned(name: &str) -> Option<Arc<ScalarUDF>> {
    FUNCTIONS.iter().find(|function| function.declaration.planned == name).and_then(|function| match &function.body {
        Body::Scalar(scalar) => Some(Arc::clone(scalar)),
        _ => None,
    })
}

/// Makes all functions known to a session.
pub(crate) fn register(session: &mut dyn FunctionRegistry) -> Result<()> {
    for function in FUNCTIONS.iter() {
        match &function.body {
            Body::Scalar(scalar) => drop(session.register_udf(Arc::clone(scalar))?),
            Body::Aggregate(aggregate) => drop(session.register_udaf(Arc::clone(aggregate))?),
            Body::Planner => {}
        }
    }
    for function in geometry::unnamed() {
        drop(session.register_udf(Arc::clone(function))?);
    }
    for name in BOUNDLESS {
        session.deregister_udf(name)?;
    }
    Ok(())
}
