//! Which part of the sky a filter can be true in.
//!
//! Always a superset, and in three-valued logic: of each cell it is known that the filter is true in no row of it
//! (outside), that it is false in no row of it (inside), or neither. NULL is neither true nor false, so a cell may have
//! either mark by it.
//!
//! | | outside, if | inside, if |
//! |---|---|---|
//! | `a AND b` | one is outside | both are inside |
//! | `a OR b` | both are outside | one is inside |
//! | `NOT a` | a is inside | a is outside |
//!
//! What is not understood may be true anywhere. The filter itself is always applied to the rows as well, also inside, so
//! this decides only what need not be read. `shapes` understands geometry, `cells` numbers of HEALPix cells.

mod bounds;
mod cells;
mod shapes;

use std::collections::{BTreeSet, HashMap};

use catalogs::{CatalogSnapshot, IdEncodes, PositionColumns};
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{BinaryExpr, Expr, Operator, expr::ScalarFunction, utils::split_conjunction},
};
use sky::{Coverage, Deg};

use bounds::Bounds;

use crate::spoken::spoken;

/// The most ranges that a coverage of many conditions has.
const MOST_RANGES: usize = 4096;

/// What of a table says where its rows are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    /// The columns that hold the position of a row.
    pub(crate) position: Option<&'a PositionColumns>,
    /// The column of HEALPix cells, and their order.
    pub(crate) healpix: Option<(&'a str, u8)>,
    /// The column of numbers that begin with a HEALPix cell.
    pub(crate) id_encodes: Option<&'a IdEncodes>,
    /// How far a row may be from the cell that it is kept under: [`catalogs::CatalogSnapshot::position_slack`].
    pub(crate) slack: Deg,
    /// The greatest values of columns, of those of [`radii`] if they are known: a circle of so wide a radius is looked for
    /// around each row.
    pub(crate) greatest: Option<&'a HashMap<String, f64>>,
}

impl<'a> Place<'a> {
    /// What a table says of itself without its statistics.
    pub(crate) fn of(snapshot: &'a CatalogSnapshot) -> Self {
        let descriptor = snapshot.descriptor();
        Self {
            position: snapshot.position(),
            healpix: descriptor.healpix.as_ref().map(|column| (column.column.as_str(), column.order)),
            id_encodes: descriptor.id_encodes.as_ref(),
            slack: snapshot.position_slack(),
            greatest: None,
        }
    }
}

/// Where filters can be true, and which of them did not help to know it.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// Outside it no row satisfies all filters.
    pub(crate) coverage: Coverage,
    /// A sentence for each condition on the sky that could be true anywhere, and why.
    pub(crate) unused: Vec<String>,
}

/// The columns, beside those of the position, that conditions on the sky ask: how wide a circle is, for one.
pub(crate) fn radii(filters: &[Expr], position: &PositionColumns) -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    for filter in filters {
        let _ = filter.apply(|expr| {
            match expr {
                Expr::ScalarFunction(call) if is_about_the_sky(call) => columns.extend(expr.column_refs()),
                _ => return Ok(TreeNodeRecursion::Continue),
            }
            Ok(TreeNodeRecursion::Jump)
        });
    }
    let others = columns.into_iter().map(|column| &column.name);
    others.filter(|name| **name != position.ra && **name != position.dec).cloned().collect()
}

/// Where all these filters together can be true.
#[cfg(test)]
pub(crate) fn coverage_of(filters: &[Expr], place: &Place<'_>) -> Coverage {
    verdict_of(filters, place).coverage
}

/// Where all these filters together can be true, and what could not be used.
pub(crate) fn verdict_of(filters: &[Expr], place: &Place<'_>) -> Verdict {
    let conditions: Vec<&Expr> = filters.iter().flat_map(split_conjunction).collect();
    let bounds = Bounds::of(&conditions, place.greatest);
    let region = Region { place, bounds: &bounds };
    let mut verdict = Verdict { coverage: Coverage::whole_sky(), unused: Vec::new() };
    for condition in conditions {
        let coverage = region.coverage(condition);
        if coverage.sky_fraction() >= 1.0 {
            verdict.unused.extend(region.why_unknown(condition));
        }
        verdict.coverage = verdict.coverage.intersection(&coverage).degrade(MOST_RANGES);
    }
    verdict
}

/// A table, and what is known of the rows that matter.
struct Region<'a> {
    place: &'a Place<'a>,
    bounds: &'a Bounds<'a>,
}

impl Region<'_> {
    fn coverage(&self, filter: &Expr) -> Coverage {
        match filter {
            Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }) => {
                self.all_of(filter, Operator::And, Coverage::intersection)
            }
            Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => self.all_of(filter, Operator::Or, Coverage::union),
            Expr::Not(inner) => self.coverage(inner).complement(),
            _ => self.shape(filter).or_else(|| self.cells(filter)).unwrap_or_else(Coverage::unknown),
        }
    }

    /// A chain of the same operator, taken apart without a step down for each, and combined in halves: many ranges are
    /// then walked a few times, not many.
    fn all_of(&self, filter: &Expr, operator: Operator, combine: fn(&Coverage, &Coverage) -> Coverage) -> Coverage {
        let mut operands = Vec::new();
        let mut pending = vec![filter];
        while let Some(expr) = pending.pop() {
            match expr {
                Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == operator => {
                    pending.extend([left.as_ref(), right.as_ref()]);
                }
                operand => operands.push(self.coverage(operand)),
            }
        }
        while operands.len() > 1 {
            let pairs = operands.chunks(2).map(|pair| match pair {
                [one, other] => combine(one, other).degrade(MOST_RANGES),
                rest => rest[0].clone(),
            });
            operands = pairs.collect();
        }
        operands.pop().unwrap_or_else(Coverage::unknown)
    }

    /// Why a condition on the sky may be true anywhere; nothing of one on other things.
    fn why_unknown(&self, condition: &Expr) -> Option<String> {
        let mut calls = Vec::new();
        let _ = condition.apply(|expr| {
            if let Expr::ScalarFunction(call) = expr
                && is_about_the_sky(call)
            {
                calls.push(call.func.name().to_owned());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        calls.first()?;
        let Some(position) = self.place.position else {
            return Some(format!("{}: the table says of no columns that they are positions", spoken(condition)));
        };
        let of_the_row =
            condition.column_refs().iter().any(|column| column.name == position.ra || column.name == position.dec);
        Some(if !of_the_row {
            let (ra, dec) = (&position.ra, &position.dec);
            format!("{}: it is not about the position of the row, which is {ra}, {dec}", spoken(condition))
        } else if matches!(condition, Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. })) {
            format!("{}: a side of the OR may be true anywhere", spoken(condition))
        } else {
            format!("{}: what the position is compared with is not known before the rows are", spoken(condition))
        })
    }
}

fn is_about_the_sky(call: &ScalarFunction) -> bool {
    let name = call.func.name();
    name.starts_with("sky_")
        || name == "ivo_healpix_index"
        || [crate::functions::CONTAINS, crate::functions::INTERSECTS, crate::functions::DISTANCE].contains(&name)
}

#[cfg(test)]
mod tests;
