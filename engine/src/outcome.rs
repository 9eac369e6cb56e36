//! What leaves the engine: plain columns that every format can write, under the names that they have.
//!
//! ```text
//! Projection: adql_to_dali(p) AS p, raj2000 AS "RAJ2000", flux
//!   the plan, whose column p holds points
//! ```
//! Inside a query a shape is a struct; outside it is the numbers or the text that DALI says, with its xtype. Inside, names
//! are folded; outside a column that nobody named otherwise is called as its table calls it. A plan of which neither is
//! true stays as it is.

use std::collections::HashSet;

use datafusion::{
    arrow::datatypes::Field,
    common::{Column, TableReference},
    error::Result,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder},
};

use crate::{functions::to_dali, values::ShapeType};

/// Where a folded column keeps the name that it has in its table.
pub(crate) const WRITTEN_NAME: &str = "vo:name";

/// The plan with an outcome that needs no knowledge of how the engine keeps shapes and names.
pub(crate) fn finish(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns: Vec<(Option<&TableReference>, &Field)> =
        plan.schema().iter().map(|(table, field)| (table, field.as_ref())).collect();
    let plain = |field: &Field| ShapeType::of(field.data_type()).is_none() && written_name(field).is_none();
    if columns.iter().all(|(_, field)| plain(field)) {
        return Ok(plan);
    }
    let mut taken: HashSet<(Option<TableReference>, String)> =
        columns.iter().map(|(table, field)| (table.cloned(), field.name().clone())).collect();
    let outcome: Vec<Expr> = columns
        .into_iter()
        .map(|(table, field)| {
            let column = Expr::Column(Column::new(table.cloned(), field.name()));
            let written = written_name(field).filter(|name| taken.insert((table.cloned(), (*name).to_owned())));
            match (ShapeType::of(field.data_type()), written) {
                (None, None) => column,
                (shape, written) => {
                    let value = if shape.is_some() { to_dali(column) } else { column };
                    value.alias_qualified(table.cloned(), written.unwrap_or(field.name()))
                }
            }
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(outcome)?.build()
}

/// The name of a column in its table, where the column has it but for the case of its letters.
fn written_name(field: &Field) -> Option<&str> {
    let written = field.metadata().get(WRITTEN_NAME)?;
    (written != field.name() && written.to_lowercase() == *field.name()).then_some(written)
}
