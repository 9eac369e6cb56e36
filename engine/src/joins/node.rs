//! A join over the sky in a logical plan.

use std::{cmp::Ordering, fmt, sync::Arc};

use datafusion::{
    common::{DFSchemaRef, internal_err},
    error::Result,
    logical_expr::{
        Expr, Extension, InvariantLevel, JoinType, LogicalPlan, UserDefinedLogicalNodeCore, builder::build_join_schema,
    },
};

use super::{Side, SkyCondition};

/// Two inputs joined where a condition on the sky holds of a pair of rows, and a further one if there is one.
///
/// Its columns are those of any join of this type: all of both inputs, or of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SkyJoinNode {
    pub(crate) left: Arc<LogicalPlan>,
    pub(crate) right: Arc<LogicalPlan>,
    pub(crate) condition: SkyCondition<Expr>,
    /// What must hold of a pair beside it. Where only the nearest count, they are found first.
    pub(crate) filter: Option<Expr>,
    pub(crate) join_type: JoinType,
    schema: DFSchemaRef,
}

impl SkyJoinNode {
    pub(crate) fn try_new(
        left: Arc<LogicalPlan>,
        right: Arc<LogicalPlan>,
        condition: SkyCondition<Expr>,
        filter: Option<Expr>,
        join_type: JoinType,
    ) -> Result<Self> {
        let schema = Arc::new(build_join_schema(left.schema(), right.schema(), &join_type)?);
        Ok(Self { left, right, condition, filter, join_type, schema })
    }

    /// The node in a plan, if it is one of these.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// A plan of this node.
    pub(crate) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The input of a side.
    pub(crate) fn input(&self, side: Side) -> &Arc<LogicalPlan> {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// The same join of another input, which has at least the columns that are used.
    pub(crate) fn with_input(&self, side: Side, input: LogicalPlan) -> Result<Self> {
        let (mut left, mut right) = (Arc::clone(&self.left), Arc::clone(&self.right));
        *(if side == Side::Left { &mut left } else { &mut right }) = Arc::new(input);
        Self::try_new(left, right, self.condition.clone(), self.filter.clone(), self.join_type)
    }

    /// Whether the columns of a side are among those of the join.
    pub(crate) fn gives(&self, side: Side) -> bool {
        match self.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => true,
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => side == Side::Left,
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => side == Side::Right,
        }
    }

    /// Whether each row of the join is made of a row of this side, and one that is left out here is left out there.
    pub(crate) fn keeps(&self, side: Side) -> bool {
        match self.join_type {
            JoinType::Inner => true,
            JoinType::Full => false,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => side == Side::Left,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => side == Side::Right,
        }
    }

    /// Whether also rows of this side that have no partner are given, with those of the other.
    pub(crate) fn keeps_all(&self, side: Side) -> bool {
        match self.join_type {
            JoinType::Full => true,
            JoinType::Left => side == Side::Left,
            JoinType::Right => side == Side::Right,
            _ => false,
        }
    }

    /// The columns of each input that these columns of the join are.
    fn columns_behind(&self, columns: &[usize]) -> [Vec<usize>; 2] {
        let (left, right) = (self.left.schema().fields().len(), self.right.schema().fields().len());
        let mut behind = [Vec::new(), Vec::new()];
        for column in columns.iter().copied() {
            match (self.gives(Side::Left), self.gives(Side::Right)) {
                (true, _) if column < left => behind[0].push(column),
                (true, true) => behind[1].push(column - left),
                (false, true) if column < right => behind[1].push(column),
                _ => {} // a mark
            }
        }
        // The mark is named after the other side, which must have a column for that.
        match self.join_type {
            JoinType::LeftMark => behind[1].push(0),
            JoinType::RightMark => behind[0].push(0),
            _ => {}
        }
        behind
    }
}

impl PartialOrd for SkyJoinNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let parts = |node: &Self| (node.condition.clone(), node.filter.clone(), node.join_type);
        let inputs = |node: &Self| (Arc::clone(&node.left), Arc::clone(&node.right));
        match parts(self).partial_cmp(&parts(other)) {
            Some(Ordering::Equal) => inputs(self).partial_cmp(&inputs(other)),
            other => other,
        }
    }
}

impl UserDefinedLogicalNodeCore for SkyJoinNode {
    fn name(&self) -> &str {
        "SkyJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn check_invariants(&self, _: InvariantLevel) -> Result<()> {
        for (side, position) in [(Side::Left, &self.condition.left), (Side::Right, &self.condition.right)] {
            let schema = self.input(side).schema();
            if let Some(column) = position.iter().flat_map(Expr::column_refs).find(|column| !schema.has_column(column))
            {
                return internal_err!("a join over the sky asks {side:?} for {column}, which it does not have");
            }
        }
        Ok(())
    }

    fn expressions(&self) -> Vec<Expr> {
        let SkyCondition { left, right, radius, cells, .. } = &self.condition;
        let positions = left.iter().chain(right).chain([radius]);
        let cells = cells.iter().flatten().map(|cells| &cells.column);
        positions.chain(cells).chain(&self.filter).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SkyCondition { left, right, radius, nearest, test, .. } = &self.condition;
        write!(
            f,
            "SkyJoin: {}, {test:?} {radius} of [{}, {}] and [{}, {}]",
            self.join_type, left[0], left[1], right[0], right[1]
        )?;
        if let Some(nearest) = nearest {
            write!(f, ", the {} nearest{}", nearest.k, if nearest.mutual { " of each other" } else { "" })?;
        }
        match &self.filter {
            Some(filter) => write!(f, ", filter={filter}"),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        let condition = self.condition.in_order(|| exprs.next());
        let filter = self.filter.as_ref().and_then(|_| exprs.next());
        match (condition, <[LogicalPlan; 2]>::try_from(inputs), exprs.next()) {
            (Some(condition), Ok([left, right]), None) if filter.is_some() == self.filter.is_some() => {
                Self::try_new(Arc::new(left), Arc::new(right), condition, filter, self.join_type)
            }
            _ => internal_err!("a join over the sky has two inputs and the expressions that it had"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(self.columns_behind(output_columns).into())
    }
}
