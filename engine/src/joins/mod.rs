//! Joins over the sky: pairs of rows are found by their positions.
//!
//! ```text
//!   Join: filter=sky_within(a.ra, a.dec, b.ra, b.dec, r) AND rest       Filter or Join: sky_nearest(…)
//!     └─ recognise ─┐                                                     └─ xmatch ─┐
//!                   ▼                                                                ▼
//!             SkyJoinNode: condition, rest  ◀── cells: the stored cells of the positions
//!                   └─ planner ──▶ SkyJoinExec: the smaller side in memory, in an index; the other streams past it
//!                                    index     positions in the order of their cells
//!                                    pairs     what is near in the index, and of that what the function is true of
//!                                    exec      the streams, and what outer, semi and anti joins give
//! ```
//! The pairs are those of which the functions of `functions::geometry::predicates` are true: an index only proposes them.
//! What can't be found by position stays a join of DataFusion, and [`why_not`] says why.

mod cells;
mod condition;
mod coverage;
mod exec;
mod index;
mod node;
mod order;
mod pairs;
mod planner;
mod recognise;
mod xmatch;

use std::sync::Arc;

use datafusion::{
    execution::SessionStateBuilder,
    logical_expr::Join,
    optimizer::{Optimizer, OptimizerRule},
};

pub(crate) use condition::{Cells, Nearest, Side, SkyCondition, Test};
pub(crate) use exec::SkyJoinExec;
pub(crate) use node::SkyJoinNode;

/// Adds the rules of this folder to those of DataFusion, and the planner.
pub(crate) fn register(session: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = Optimizer::new().rules;
    let mut before = |name: &str, rule: Arc<dyn OptimizerRule + Send + Sync>| {
        let place = rules.iter().position(|rule| rule.name() == name).unwrap_or(rules.len());
        rules.insert(place, rule);
    };
    // After constants are computed; queries within conditions are still seen as they were written.
    before("decorrelate_predicate_subquery", Arc::new(xmatch::NearestJoins { subqueries_are_joins: false }));
    // As soon as they are joins, and before any condition moves.
    before("extract_equijoin_predicate", Arc::new(xmatch::NearestJoins { subqueries_are_joins: true }));
    // Before tables without equal values are joined each with each, in the order in which they stand.
    before("eliminate_cross_join", Arc::new(order::Connected));
    before("push_down_filter", Arc::new(xmatch::Down));
    // When conditions and columns are where they belong: the rules of DataFusion know more to do with its own joins.
    rules.push(Arc::new(recognise::SkyJoins));
    session.with_optimizer_rules(rules).with_query_planner(Arc::new(planner::Planner))
}

/// Why a join that has a condition on the sky does not find its pairs by it, in words.
pub(crate) fn why_not(join: &Join) -> Option<&'static str> {
    recognise::why_not(join)
}
