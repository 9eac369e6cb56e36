//! Tables that meet on the sky are joined in an order in which each meets one before it.
//!
//! ```text
//!   u, a, b: near(a, b), near(b, u)     (u × a) ⋈ b     →     (u ⋈ b) ⋈ a
//! ```
//! DataFusion does so for equal values only, and takes the other tables as they come: each with each. It does nothing where
//! the given order is as good, to two tables, to outer joins, and where no condition is on the sky.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{JoinConstraint, JoinType, NullEquality, tree_node::Transformed},
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, Join, LogicalPlan, Operator, Projection,
        utils::{conjunction, split_conjunction},
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::recognise::{equalities, is_sky_test};

/// The rule of this file.
#[derive(Debug)]
pub(super) struct Connected;

impl OptimizerRule for Connected {
    fn name(&self) -> &str {
        "connected_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut tables = Tables::default();
        let flat = match &plan {
            LogicalPlan::Filter(filter) if is_inner(&filter.input) => tables.add(&plan),
            LogicalPlan::Join(_) if is_inner(&plan) => tables.add(&plan),
            _ => false,
        };
        match flat.then(|| tables.in_order(&plan)).flatten() {
            Some(ordered) => Ok(Transformed::yes(ordered?)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

fn is_inner(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Join(join) = plan else { return false };
    join.join_type == JoinType::Inner && !join.null_aware && join.null_equality == NullEquality::NullEqualsNothing
}

/// Tables that inner joins bring together, and all that is asked of them.
#[derive(Default)]
struct Tables {
    tables: Vec<Arc<LogicalPlan>>,
    conditions: Vec<Expr>,
}

impl Tables {
    /// Takes a plan apart; false where that would change what it means.
    fn add(&mut self, plan: &LogicalPlan) -> bool {
        let asked: Vec<Expr> = match plan {
            LogicalPlan::Join(join) if is_inner(plan) => {
                let filter = join.filter.iter().flat_map(split_conjunction).cloned();
                equalities(join).chain(filter).collect()
            }
            LogicalPlan::Filter(filter) if is_inner(&filter.input) => {
                split_conjunction(&filter.predicate).into_iter().cloned().collect()
            }
            table => {
                self.tables.push(Arc::new(table.clone()));
                return true;
            }
        };
        let settled = asked.iter().all(|condition| !condition.is_volatile() && !condition.contains_outer());
        self.conditions.extend(asked);
        settled && plan.inputs().into_iter().all(|input| self.add(input))
    }

    /// The tables that a condition asks; none if a column is of no table, or of two.
    fn asked_by(&self, condition: &Expr) -> Option<BTreeSet<usize>> {
        let table = |column| {
            let mut having = (0..self.tables.len()).filter(|table| self.tables[*table].schema().has_column(column));
            having.next().filter(|_| having.next().is_none())
        };
        condition.column_refs().into_iter().map(table).collect()
    }

    /// The joins in a better order, if there is one.
    fn in_order(&self, plan: &LogicalPlan) -> Option<Result<LogicalPlan>> {
        if self.tables.len() < 3 || !self.conditions.iter().any(is_sky_test) {
            return None;
        }
        let asked: Vec<BTreeSet<usize>> = self.conditions.iter().map(|it| self.asked_by(it)).collect::<Option<_>>()?;
        let links: Vec<&BTreeSet<usize>> =
            asked.iter().zip(&self.conditions).filter(|(_, it)| finds_rows(it)).map(|(asked, _)| asked).collect();
        let given: Vec<usize> = (0..self.tables.len()).collect();
        let better = connected(&links, self.tables.len());
        (alone(&links, &better) < alone(&links, &given)).then(|| self.joined(&better, &asked, plan))
    }

    fn joined(&self, order: &[usize], asked: &[BTreeSet<usize>], plan: &LogicalPlan) -> Result<LogicalPlan> {
        let mut joined = Arc::clone(&self.tables[order[0]]);
        let mut placed = vec![false; self.conditions.len()];
        for (number, table) in order.iter().enumerate().skip(1) {
            let here: BTreeSet<usize> = order[..=number].iter().copied().collect();
            let mut conditions = Vec::new();
            for (place, condition) in self.conditions.iter().enumerate() {
                if !placed[place] && asked[place].is_subset(&here) {
                    placed[place] = true;
                    conditions.push(condition.clone());
                }
            }
            let right = Arc::clone(&self.tables[*table]);
            let (filter, inner, on) = (conjunction(conditions), JoinType::Inner, JoinConstraint::On);
            let join =
                Join::try_new(joined, right, Vec::new(), filter, inner, on, NullEquality::NullEqualsNothing, false)?;
            joined = Arc::new(LogicalPlan::Join(join));
        }
        let columns = plan.schema().columns().into_iter().map(Expr::Column).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(columns, joined)?))
    }
}

/// Whether the rows that a condition is true of are found without trying all.
fn finds_rows(condition: &Expr) -> bool {
    matches!(condition, Expr::BinaryExpr(BinaryExpr { op: Operator::Eq, .. })) || is_sky_test(condition)
}

/// Whether a table is linked to some of these.
fn is_linked(links: &[&BTreeSet<usize>], table: usize, before: &[usize]) -> bool {
    links.iter().any(|link| {
        link.len() > 1 && link.contains(&table) && link.iter().all(|one| *one == table || before.contains(one))
    })
}

/// How many tables of an order are not linked to those before.
fn alone(links: &[&BTreeSet<usize>], order: &[usize]) -> usize {
    (1..order.len()).filter(|at| !is_linked(links, order[*at], &order[..*at])).count()
}

/// The tables from the first on, always one that is linked to those before, if there is one.
fn connected(links: &[&BTreeSet<usize>], tables: usize) -> Vec<usize> {
    let (mut order, mut rest) = (vec![0], (1..tables).collect::<Vec<_>>());
    while !rest.is_empty() {
        let next = rest.iter().position(|table| is_linked(links, *table, &order)).unwrap_or(0);
        order.push(rest.remove(next));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_after_one_that_it_is_linked_to() {
        let (ab, bu) = (BTreeSet::from([1, 2]), BTreeSet::from([2, 0]));
        let links = [&ab, &bu];
        assert_eq!(connected(&links, 3), [0, 2, 1]);
        assert_eq!((alone(&links, &[0, 1, 2]), alone(&links, &[0, 2, 1])), (1, 0));
        assert_eq!(connected(&[&ab], 3), [0, 1, 2], "what is linked to nothing stays where it is");
    }
}
