//! Rows that a match table pairs are near each other.
//!
//! ```text
//!   t JOIN m ON t.id = m.id1    →    t JOIN m ON t.id = m.id1 AND sky_within(t.ra, t.dec, m.ra1, m.dec1, separation)
//! ```
//! where `m` is a match table that was made of just this version of `t`: then the second condition is true wherever the first
//! is, and takes no pair away. With it the join can be made along the sky, a part of it at a time, instead of by a table of
//! all identifiers. It does nothing where a position is out of reach, as behind a query that does not select it, and where
//! `t` has another version by now.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, config::ConfigOptions, tree_node::Transformed},
    datasource::source_as_provider,
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, Filter, Join, LogicalPlan, Operator, TableScan, cast, lit,
        utils::split_conjunction,
    },
    optimizer::AnalyzerRule,
};

use super::stored_cells::origin;
use crate::{
    functions::{WITHIN, unnamed_function},
    table::SnapshotTable,
};

/// The rule of this file.
#[derive(Debug)]
pub(super) struct DeclaredPairs;

impl AnalyzerRule for DeclaredPairs {
    fn name(&self) -> &str {
        "declared_pairs"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(of_node)?.data)
    }
}

fn of_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Join(join) => of_join(join),
        LogicalPlan::Filter(filter) => of_filter(filter),
        other => Ok(Transformed::no(other)),
    }
}

fn of_join(join: Join) -> Result<Transformed<LogicalPlan>> {
    let inputs = [&*join.left, &*join.right];
    let keys = join.on.iter().map(|(left, right)| (left, right));
    let near = keys.chain(join.filter.iter().flat_map(equalities)).filter_map(|(one, other)| near(one, other, &inputs));
    let Some(near) = near.reduce(Expr::and) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let filter = Some(match join.filter.clone() {
        Some(filter) => filter.and(near),
        None => near,
    });
    Ok(Transformed::yes(LogicalPlan::Join(Join { filter, ..join })))
}

fn of_filter(filter: Filter) -> Result<Transformed<LogicalPlan>> {
    let near = equalities(&filter.predicate).filter_map(|(one, other)| near(one, other, &[&*filter.input]));
    let Some(near) = near.reduce(Expr::and) else { return Ok(Transformed::no(LogicalPlan::Filter(filter))) };
    let predicate = filter.predicate.and(near);
    Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
}

fn equalities(condition: &Expr) -> impl Iterator<Item = (&Expr, &Expr)> {
    split_conjunction(condition).into_iter().filter_map(|conjunct| match conjunct {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => Some((&**left, &**right)),
        _ => None,
    })
}

/// What two keys that are equal say of the positions of their rows.
fn near(one: &Expr, other: &Expr, inputs: &[&LogicalPlan]) -> Option<Expr> {
    let (one, other) = (Key::of(one, inputs)?, Key::of(other, inputs)?);
    one.pairs(&other).or_else(|| other.pairs(&one))
}

/// A column of a catalogue, as it is known to a node.
struct Key<'a> {
    input: &'a LogicalPlan,
    column: &'a Column,
    scan: &'a TableScan,
    name: String,
    table: Arc<dyn datafusion::catalog::TableProvider>,
}

impl<'a> Key<'a> {
    fn of(expr: &'a Expr, inputs: &[&'a LogicalPlan]) -> Option<Self> {
        let column = plain(expr)?;
        let found = inputs.iter().find_map(|input| Some((*input, origin(input, column)?)));
        let (input, (scan, name)) = found?;
        Some(Self { input, column, scan, name, table: source_as_provider(&scan.source).ok()? })
    }

    fn table(&self) -> Option<&SnapshotTable> {
        self.table.downcast_ref()
    }

    /// The condition, if this is the key of a match table and the other that of a table that it pairs.
    fn pairs(&self, other: &Self) -> Option<Expr> {
        let (matched, paired) = (self.table()?.snapshot(), other.table()?.snapshot());
        let pairs = matched.descriptor().pairs.as_ref()?;
        let partner = [&pairs.left, &pairs.right].into_iter().find(|partner| {
            partner.column == self.name && partner.id == other.name && partner.snapshot == paired.id()
        })?;
        let here = self.position(&matched.position()?.ra, &matched.position()?.dec)?;
        let there = other.position(&paired.position()?.ra, &paired.position()?.dec)?;
        let separation = lit(partner.separation_arcsec / 3600.0);
        Some(unnamed_function(WITHIN).call([&there[..], &here[..], &[separation]].concat()))
    }

    /// The position of the row that the key is of.
    fn position(&self, ra: &str, dec: &str) -> Option<[Expr; 2]> {
        Some([self.beside(ra)?, self.beside(dec)?])
    }

    /// Another column of the row, as a number.
    fn beside(&self, name: &str) -> Option<Expr> {
        let schema = self.input.schema();
        let beside = schema.iter().filter(|(relation, _)| *relation == self.column.relation.as_ref());
        let column = beside.map(|(relation, field)| Column::new(relation.cloned(), field.name())).find(|column| {
            origin(self.input, column).is_some_and(|(scan, found)| std::ptr::eq(scan, self.scan) && found == name)
        });
        let column = Expr::Column(column?);
        match column.get_type(schema).ok()? {
            DataType::Float64 => Some(column),
            _ => Some(cast(column, DataType::Float64)),
        }
    }
}

/// A column, seen through casts of whole numbers, which leave their values as they are.
fn plain(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(cast) if cast.field.data_type().is_integer() => plain(&cast.expr),
        _ => None,
    }
}
