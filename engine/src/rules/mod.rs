//! What is changed in a plan between the text and the run, one rule a file.
//!
//! The order in which they run is fixed here, with a reason beside each.

mod arithmetic;
mod counted_cells;
mod declared_pairs;
mod fallible_casts;
pub(crate) mod late_rows;
mod long_lists;
mod memberships;
pub(crate) mod normalize_sky;
pub(crate) mod partial_groups;
mod relax_order;
mod stored_cells;
mod unordered_casts;

use std::sync::Arc;

use datafusion::{
    execution::SessionStateBuilder,
    optimizer::Analyzer,
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
};

/// Adds all rules to those of DataFusion.
pub(crate) fn register(session: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = Analyzer::new().rules;
    // Before the planner settles the types of operands, by which a difference of bytes would be a byte.
    rules.insert(0, Arc::new(arithmetic::Signs));
    // Before any rule walks a list of a hundred thousand constants.
    rules.insert(0, Arc::new(long_lists::LongLists));
    // Before, too: what is a cast by then somebody has written; and after, when the others have been added.
    rules.insert(0, Arc::new(fallible_casts::FallibleCasts::Written));
    rules.push(Arc::new(fallible_casts::FallibleCasts::Implied));
    // After the types are settled of what is looked for and of what it is looked for in.
    rules.push(Arc::new(memberships::Memberships));
    session
        .with_analyzer_rules(rules)
        // After the planner has settled the types of all operands.
        .with_analyzer_rule(Arc::new(arithmetic::Arithmetic))
        // After the types have been settled, so that it sees numbers where numbers are meant; before filters are pushed
        // into joins and scans, which are to see conditions on plain columns.
        .with_analyzer_rule(Arc::new(normalize_sky::NormalizeSky))
        // While all columns of a table are within reach: the optimizer takes away those that nobody names.
        .with_analyzer_rule(Arc::new(stored_cells::StoredCells))
        // For the same reason.
        .with_analyzer_rule(Arc::new(declared_pairs::DeclaredPairs))
        // After the planner has settled the types, too: it sees all casts.
        .with_analyzer_rule(Arc::new(unordered_casts::UnorderedCasts))
        .with_physical_optimizer_rules(physical())
}

/// Those of DataFusion that make a plan of operators, and ours among them.
fn physical() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let before = |rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>], name: &str| {
        rules.iter().rposition(|rule| rule.name() == name).unwrap_or(rules.len())
    };
    // As soon as what statistics answer has been, before parts are put together again.
    let at = before(&rules, "join_selection");
    rules.insert(at, Arc::new(counted_cells::CountedCells));
    // While it is still an operator that the query itself asks for an order, and after it has been settled where else one
    // is needed.
    let at = before(&rules, "OutputRequirements");
    rules.insert(at, Arc::new(relax_order::RelaxOrder));
    // When projections and limits have found their places; before dynamic filters are pushed, one of which is its own.
    let at = before(&rules, "EnsureCooperative");
    rules.insert(at, Arc::new(late_rows::LateRows::default()));
    // After all rules that look at what is grouped.
    rules.insert(at + 1, Arc::new(partial_groups::PartialGroups::default()));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_between_those_of_datafusion_that_they_rely_on() {
        let rules = physical();
        let at = |name: &str| rules.iter().rposition(|rule| rule.name() == name).unwrap_or_else(|| panic!("no {name}"));
        for (before, ours, after) in [
            ("aggregate_statistics", "counted_cells", "join_selection"),
            ("EnsureRequirements", "relax_order", "OutputRequirements"),
            ("ProjectionPushdown", "late_rows", "EnsureCooperative"),
            ("late_rows", "partial_groups", "EnsureCooperative"),
        ] {
            assert!(at(before) < at(ours) && at(ours) < at(after), "{before}, {ours}, {after}");
        }
    }
}
