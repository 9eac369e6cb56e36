//! How a join over the sky is computed.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::Schema,
    catalog::Session,
    common::DFSchema,
    error::Result,
    execution::context::QueryPlanner,
    logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, physical_planning_context::PhysicalPlanningContext},
    physical_plan::{
        ExecutionPlan,
        joins::utils::JoinFilter,
        statistics::{StatisticsArgs, StatisticsContext},
    },
    physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner},
};

use super::{Side, SkyJoinNode};

/// DataFusion's planner, which knows joins over the sky as well.
#[derive(Debug)]
pub(crate) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(SkyJoinPlanner)])
            .create_physical_plan(plan, session)
            .await
    }
}

struct SkyJoinPlanner;

#[async_trait]
impl ExtensionPlanner for SkyJoinPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [left, right]) = (node.as_any().downcast_ref::<SkyJoinNode>(), inputs) else {
            return Ok(None);
        };
        let expression = |expr: &Expr, schema: &DFSchema| planner.create_physical_expr(expr, schema, session, context);
        let condition = node.condition.try_map(|side, expr| expression(expr, node.input(side).schema()))?;
        let filter =
            node.filter.as_ref().map(|filter| of_pairs(filter, node, [left, right], expression)).transpose()?;
        let build = if rows(left) < rows(right) { Side::Left } else { Side::Right };
        let join = super::SkyJoinExec::try_new(
            Arc::clone(left),
            Arc::clone(right),
            condition,
            filter,
            node.join_type,
            build,
            None,
        )?;
        Ok(Some(Arc::new(join)))
    }
}

/// How many rows a plan gives, as far as that is known; of one of which nothing is known, the most.
fn rows(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    statistics.ok().and_then(|statistics| statistics.num_rows.get_value().copied()).unwrap_or(usize::MAX)
}

/// A condition over the columns that it asks of both inputs.
fn of_pairs(
    filter: &Expr,
    node: &SkyJoinNode,
    [left, right]: [&Arc<dyn ExecutionPlan>; 2],
    expression: impl Fn(&Expr, &DFSchema) -> Result<Arc<dyn datafusion::physical_plan::PhysicalExpr>>,
) -> Result<JoinFilter> {
    let (of_left, of_right) = (node.left.schema(), node.right.schema());
    let asked = filter.column_refs();
    let places = |schema: &DFSchema| {
        let mut places: Vec<usize> = asked.iter().filter_map(|column| schema.maybe_index_of_column(column)).collect();
        places.sort_unstable();
        places
    };
    let (from_left, from_right) = (places(of_left), places(of_right));
    let (mut qualified, mut fields) = (Vec::new(), Vec::new());
    for (places, schema, plan) in [(&from_left, of_left, left), (&from_right, of_right, right)] {
        for place in places {
            let (relation, field) = schema.qualified_field(*place);
            qualified.push((relation.cloned(), Arc::clone(field)));
            fields.push(Arc::clone(&plan.schema().fields()[*place]));
        }
    }
    let schema = DFSchema::new_with_metadata(qualified, HashMap::new())?;
    let filter = expression(filter, &schema)?;
    let places = JoinFilter::build_column_indices(from_left, from_right);
    Ok(JoinFilter::new(filter, places, Arc::new(Schema::new(fields))))
}
