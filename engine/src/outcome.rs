//! What leaves the engine: plain columns that every format can write, under the names that they have.
//!
//! ```text
//! Projection: adql_to_dali(p) AS p, raj2000, flux     and p, RAJ2000 [deg], flux [Jy] to whoever reads the rows
//!   the plan, whose column p holds points
//! ```
//! Inside a query a shape is a struct; outside it is the numbers or the text that DALI says, with its xtype. Inside, names
//! are folded; outside a column is called as its author calls it, or as its table does. What the Virtual Observatory is told
//! of a column follows it through the plan, where the planner would lose it: out of MIN and MAX, SUM and AVG goes the unit of
//! what goes in, and of UNION all is that of the first operand.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::datatypes::{Field, FieldRef, Schema, SchemaRef},
    common::Column,
    error::Result,
    logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, expr::Cast},
};

use crate::{
    functions::to_dali,
    values::{ShapeType, XTYPE},
};

/// Where a folded column keeps the name that it has in its table.
pub(crate) const WRITTEN_NAME: &str = "vo:name";

const UNIT: &str = "vo:unit";

/// What is told of a column.
type Told = HashMap<String, String>;

/// The columns of an answer as they are told: their names and what is known of them, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Vec<(String, Told)>);

impl Answers {
    /// Of a plan whose columns its author calls so; without such names, each is called as its table calls it.
    fn of(plan: &LogicalPlan, names: Option<&[String]>) -> Result<Self> {
        let fields = plan.schema().fields().iter().enumerate();
        let answer = |(at, field): (usize, &FieldRef)| -> Result<(String, Told)> {
            let named = names.and_then(|names| names.get(at)).map(String::as_str);
            let name = named.or_else(|| written_name(field)).unwrap_or(field.name()).to_owned();
            Ok((name, told(plan, at)?))
        };
        fields.map(answer).collect::<Result<_>>().map(Self)
    }

    /// The schema of the answer, whose columns a plan gives so.
    pub(crate) fn schema(&self, given: &Schema) -> SchemaRef {
        let fields = given.fields().iter().zip(&self.0).map(|(field, (name, told))| {
            let mut told = told.clone();
            // What a shape is outside is known to whoever made it so.
            told.extend(field.metadata().get(XTYPE).map(|xtype| (XTYPE.to_owned(), xtype.clone())));
            field.as_ref().clone().with_name(name).with_metadata(told)
        });
        Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), given.metadata().clone()))
    }
}

/// The plan with an outcome that needs no knowledge of how the engine keeps shapes, and how its columns are told.
pub(crate) fn finish(plan: LogicalPlan, names: Option<&[String]>) -> Result<(LogicalPlan, Answers)> {
    let answers = Answers::of(&plan, names)?;
    if plan.schema().fields().iter().all(|field| ShapeType::of(field.data_type()).is_none()) {
        return Ok((plan, answers));
    }
    let columns = plan.schema().iter().map(|(table, field)| {
        let column = Expr::Column(Column::new(table.cloned(), field.name()));
        match ShapeType::of(field.data_type()) {
            None => column,
            Some(_) => to_dali(column).alias_qualified(table.cloned(), field.name()),
        }
    });
    let columns: Vec<Expr> = columns.collect();
    Ok((LogicalPlanBuilder::from(plan).project(columns)?.build()?, answers))
}

/// The name of a column in its table, where the column has it but for the case of its letters.
fn written_name(field: &Field) -> Option<&str> {
    let written = field.metadata().get(WRITTEN_NAME)?;
    (written != field.name() && written.to_lowercase() == *field.name()).then_some(written)
}

/// What is known of a column of a plan.
fn told(plan: &LogicalPlan, column: usize) -> Result<Told> {
    match plan {
        LogicalPlan::Projection(projection) => told_of(&projection.expr[column], &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            match aggregate.group_expr.iter().chain(&aggregate.aggr_expr).nth(column) {
                Some(expr) if aggregate.group_expr.iter().all(|key| !matches!(key, Expr::GroupingSet(_))) => {
                    told_of(expr, &aggregate.input)
                }
                _ => Ok(plan.schema().field(column).metadata().clone()),
            }
        }
        LogicalPlan::Union(union) => told(&union.inputs[0], column),
        LogicalPlan::Distinct(Distinct::All(input)) => told(input, column),
        LogicalPlan::SubqueryAlias(alias) => told(&alias.input, column),
        LogicalPlan::Filter(filter) => told(&filter.input, column),
        LogicalPlan::Sort(sort) => told(&sort.input, column),
        LogicalPlan::Limit(limit) => told(&limit.input, column),
        _ => Ok(plan.schema().field(column).metadata().clone()),
    }
}

/// What is known of an expression over a plan.
fn told_of(expr: &Expr, input: &LogicalPlan) -> Result<Told> {
    match expr {
        Expr::Column(column) => told(input, input.schema().index_of_column(column)?),
        Expr::Alias(alias) => {
            let mut known = told_of(&alias.expr, input)?;
            known.extend(alias.metadata.iter().flat_map(|more| more.to_hashmap()));
            Ok(known)
        }
        Expr::Negative(inner) => told_of(inner, input),
        Expr::Cast(Cast { expr: inner, field }) if field.metadata().is_empty() => told_of(inner, input),
        Expr::ScalarSubquery(query) => told(&query.subquery, 0),
        Expr::AggregateFunction(call) if matches!(call.func.name(), "min" | "max" | "sum" | "avg") => {
            match call.params.args.first() {
                Some(of) => Ok(told_of(of, input)?.into_iter().filter(|(key, _)| key == UNIT).collect()),
                None => Ok(Told::new()),
            }
        }
        other => Ok(other.to_field(input.schema().as_ref())?.1.metadata().clone()),
    }
}
