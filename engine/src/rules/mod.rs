//! What is changed in a plan between the text and the run, one rule a file.
//!
//! The order in which they run is fixed here, with a reason beside each.

mod arithmetic;
pub(crate) mod normalize_sky;
mod stored_cells;
mod unordered_casts;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;

/// Adds all rules to those of DataFusion.
pub(crate) fn register(session: SessionStateBuilder) -> SessionStateBuilder {
    session
        // After the planner has settled the types of all operands.
        .with_analyzer_rule(Arc::new(arithmetic::Arithmetic))
        // After the types have been settled, so that it sees numbers where numbers are meant; before filters are pushed
        // into joins and scans, which are to see conditions on plain columns.
        .with_analyzer_rule(Arc::new(normalize_sky::NormalizeSky))
        // While all columns of a table are within reach: the optimizer takes away those that nobody names.
        .with_analyzer_rule(Arc::new(stored_cells::StoredCells))
        // After the planner has settled the types, too: it sees all casts.
        .with_analyzer_rule(Arc::new(unordered_casts::UnorderedCasts))
}
