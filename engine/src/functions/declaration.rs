//! What people are told of a function: the source of its documentation, of the capabilities document and of the advice
//! that a mistake gets.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Who says what a function means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The ADQL standard, in its mandatory part.
    Adql,
    /// The ADQL standard, as the optional feature of this type and form.
    Feature(&'static str, &'static str),
    /// The IVOA's catalogue of user-defined functions.
    Ivoa,
    /// GAVO's DaCHS, whose functions people have learnt.
    Gavo,
    /// This engine.
    Almagest,
}

/// One way to call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The arguments: name and type, in the words of ADQL. A last name that ends in `...` may be repeated.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The type of the answer.
    pub returns: &'static str,
}

/// One function, as people are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Declaration {
    /// Its name in a query: the functions of the standard in capitals, all others as they are usually written.
    pub name: &'static str,
    /// Its name in a plan, which is never that of another function of DataFusion.
    pub planned: &'static str,
    /// Who says what it means.
    pub origin: Origin,
    /// The ways to call it.
    pub forms: &'static [Form],
    /// What it answers, in a sentence or two; also what it answers to NULL and to what is out of range.
    pub description: &'static str,
    /// An expression that calls it.
    pub example: &'static str,
}

/// A declared function and what computes it.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) declaration: Declaration,
    pub(crate) body: Body,
}

/// What computes a function.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// A function of ours of one row.
    Scalar(Arc<ScalarUDF>),
    /// A function of ours of many rows.
    Aggregate(Arc<AggregateUDF>),
    /// A function of DataFusion called `planned`, or a form that the front end replaces.
    Planner,
}

/// A declaration as a table reads: who says it, the name, the name in a plan, the ways to call it, what it is, an example.
macro_rules! declare {
    (
        $origin:expr, $name:literal as $planned:literal,
        $( ( $( $argument:literal : $type:literal ),* ) -> $returns:literal )|+,
        $description:expr, $example:expr $(,)?
    ) => {
        $crate::functions::Declaration {
            name: $name,
            planned: $planned,
            origin: $origin,
            forms: &[ $( $crate::functions::Form { arguments: &[ $( ($argument, $type) ),* ], returns: $returns } ),+ ],
            description: $description,
            example: $example,
        }
    };
}

pub(super) use declare;
