//! The stored cells of the positions that are joined.
//!
//! ```text
//!   SkyJoin: a.ra, a.dec, …                    Projection: what it gave
//!     Projection: a.id, a.ra, a.dec     →        SkyJoin: a.ra, a.dec, …, cells of the left: a._healpix_29
//!       TableScan: a                               Projection: a.id, a.ra, a.dec, a._healpix_29
//!                                                    TableScan: a
//! ```
//! A table that keeps the cell of each position lets the join say which cells can matter, once it knows the other side. It
//! does nothing to positions that were computed, to columns that went through a grouping or a union, and where a cell is in
//! reach already.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::Column,
    datasource::source_as_provider,
    error::Result,
    logical_expr::{
        Expr, Filter, Join, JoinType, Limit, LogicalPlan, Projection, Sort, SubqueryAlias, TableScan, TableScanBuilder,
    },
};

use super::{Cells, Side, SkyJoinNode};
use crate::table::SnapshotTable;

/// The join with the cells of its inputs where they can be had and it has none; nothing where that changes nothing.
pub(super) fn beside(node: &SkyJoinNode) -> Result<Option<LogicalPlan>> {
    let mut with_cells = node.clone();
    for (number, side) in [Side::Left, Side::Right].into_iter().enumerate() {
        if node.condition.cells[number].is_some() || !is_worth_it(node, side) {
            continue;
        }
        let [Some(lon), Some(lat)] = node.condition.position(side).each_ref().map(plain) else { continue };
        if let Some(found) = reached(node.input(side), [lon, lat])? {
            let column = Expr::Column(found.cell);
            with_cells.condition.cells[number] = Some(Cells { column, order: found.order, slack_deg: found.slack_deg });
            with_cells = with_cells.with_input(side, found.plan)?;
        }
    }
    if with_cells.condition.cells == node.condition.cells {
        return Ok(None);
    }
    let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(node);
    let wider = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(&with_cells).fields().len();
    if schema.fields().len() == wider {
        return Ok(Some(with_cells.into_plan()));
    }
    let given = schema.iter().map(Expr::from).collect();
    Ok(Some(LogicalPlan::Projection(Projection::try_new(given, Arc::new(with_cells.into_plan()))?)))
}

/// Whether rows of a side that are far from all of the other are never given: those need not be read.
fn is_worth_it(node: &SkyJoinNode, side: Side) -> bool {
    match node.join_type {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => true,
        JoinType::Full => false,
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => side == Side::Right,
        JoinType::Right | JoinType::RightAnti | JoinType::RightMark => side == Side::Left,
    }
}

/// A plan that gives a column of cells beside all else that it gave.
struct Reached {
    plan: LogicalPlan,
    cell: Column,
    order: u8,
    slack_deg: f64,
}

/// The plan with the cells of a position among its columns.
fn reached(plan: &LogicalPlan, position: [&Column; 2]) -> Result<Option<Reached>> {
    let places = position.map(|column| plan.schema().maybe_index_of_column(column));
    let [Some(lon), Some(lat)] = places else { return Ok(None) };
    Ok(match plan {
        LogicalPlan::TableScan(scan) => in_scan(scan, [lon, lat])?,
        LogicalPlan::SubqueryAlias(alias) => in_alias(alias, [lon, lat])?,
        LogicalPlan::Projection(projection) => in_projection(projection, [lon, lat])?,
        LogicalPlan::Filter(filter) => through(&filter.input, position, |input| {
            Ok(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), input)?))
        })?,
        LogicalPlan::Sort(sort) => through(&sort.input, position, |input| {
            Ok(LogicalPlan::Sort(Sort { expr: sort.expr.clone(), input, fetch: sort.fetch }))
        })?,
        LogicalPlan::Limit(limit) => through(&limit.input, position, |input| {
            Ok(LogicalPlan::Limit(Limit { skip: limit.skip.clone(), fetch: limit.fetch.clone(), input }))
        })?,
        LogicalPlan::Join(join) => in_join(join, position)?,
        other => match SkyJoinNode::of(other) {
            Some(node) => in_node(node, position)?,
            None => None,
        },
    })
}

fn through(
    input: &LogicalPlan,
    position: [&Column; 2],
    above: impl FnOnce(Arc<LogicalPlan>) -> Result<LogicalPlan>,
) -> Result<Option<Reached>> {
    let Some(found) = reached(input, position)? else { return Ok(None) };
    Ok(Some(Reached { plan: above(Arc::new(found.plan))?, ..found }))
}

fn in_scan(scan: &TableScan, [lon, lat]: [usize; 2]) -> Result<Option<Reached>> {
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.downcast_ref::<SnapshotTable>() else { return Ok(None) };
    let fields = scan.projected_schema.fields();
    let Some((name, order, slack_deg)) = table.cells_near(fields[lon].name(), fields[lat].name()) else {
        return Ok(None);
    };
    let Some((place, _)) = scan.source.schema().fields().find(&name) else { return Ok(None) };
    let cell = Column::new(Some(scan.table_name.clone()), name);
    let plan = match &scan.projection {
        Some(places) if !places.contains(&place) => {
            let places = places.iter().copied().chain([place]).collect();
            let scan = TableScanBuilder::from(scan.clone()).with_projection(Some(places)).build()?;
            LogicalPlan::TableScan(scan)
        }
        _ => LogicalPlan::TableScan(scan.clone()),
    };
    Ok(Some(Reached { plan, cell, order, slack_deg }))
}

/// The column of a plan at a place.
fn column_at(plan: &LogicalPlan, place: usize) -> Column {
    Column::from(plan.schema().qualified_field(place))
}

fn in_alias(alias: &SubqueryAlias, places: [usize; 2]) -> Result<Option<Reached>> {
    let position = places.map(|place| column_at(&alias.input, place));
    let Some(found) = reached(&alias.input, position.each_ref())? else { return Ok(None) };
    let Some(place) = found.plan.schema().maybe_index_of_column(&found.cell) else { return Ok(None) };
    let Ok(renamed) = SubqueryAlias::try_new(Arc::new(found.plan), alias.alias.clone()) else { return Ok(None) };
    let plan = LogicalPlan::SubqueryAlias(renamed);
    let cell = column_at(&plan, place);
    Ok(is_one(&plan, &cell).then_some(Reached { plan, cell, ..found }))
}

fn in_projection(projection: &Projection, places: [usize; 2]) -> Result<Option<Reached>> {
    let [Some(lon), Some(lat)] = places.map(|place| plain(&projection.expr[place])) else { return Ok(None) };
    let Some(found) = reached(&projection.input, [lon, lat])? else { return Ok(None) };
    let given = projection.expr.iter().position(|expr| plain_name(expr) == Some(&found.cell));
    let mut columns = projection.expr.clone();
    let place = given.unwrap_or_else(|| {
        columns.push(Expr::Column(found.cell.clone()));
        columns.len() - 1
    });
    // A query may have given its name to another column.
    let Ok(projection) = Projection::try_new(columns, Arc::new(found.plan)) else { return Ok(None) };
    let plan = LogicalPlan::Projection(projection);
    let cell = column_at(&plan, place);
    Ok(is_one(&plan, &cell).then_some(Reached { plan, cell, ..found }))
}

/// The input of a join that a position comes from.
fn side_of(left: &LogicalPlan, right: &LogicalPlan, position: [&Column; 2]) -> Option<Side> {
    let has = |plan: &LogicalPlan| position.map(|column| plan.schema().has_column(column));
    match (has(left), has(right)) {
        ([true, true], [false, false]) => Some(Side::Left),
        ([false, false], [true, true]) => Some(Side::Right),
        _ => None,
    }
}

fn in_join(join: &Join, position: [&Column; 2]) -> Result<Option<Reached>> {
    let Some(side) = side_of(&join.left, &join.right, position) else { return Ok(None) };
    let (mut left, mut right) = (Arc::clone(&join.left), Arc::clone(&join.right));
    let input = if side == Side::Left { &mut left } else { &mut right };
    let Some(Reached { plan, cell, order, slack_deg }) = reached(input, position)? else { return Ok(None) };
    *input = Arc::new(plan);
    let Join { on, filter, join_type, join_constraint, null_equality, null_aware, .. } = join.clone();
    let joined = Join::try_new(left, right, on, filter, join_type, join_constraint, null_equality, null_aware);
    let Ok(joined) = joined else { return Ok(None) };
    let plan = LogicalPlan::Join(joined);
    Ok(is_one(&plan, &cell).then_some(Reached { plan, cell, order, slack_deg }))
}

fn in_node(node: &SkyJoinNode, position: [&Column; 2]) -> Result<Option<Reached>> {
    let Some(side) = side_of(&node.left, &node.right, position) else { return Ok(None) };
    let Some(Reached { plan, cell, order, slack_deg }) = reached(node.input(side), position)? else { return Ok(None) };
    let plan = node.with_input(side, plan)?.into_plan();
    Ok(is_one(&plan, &cell).then_some(Reached { plan, cell, order, slack_deg }))
}

/// Whether a name means one column of a plan.
fn is_one(plan: &LogicalPlan, column: &Column) -> bool {
    plan.schema()
        .iter()
        .filter(|(relation, field)| field.name() == &column.name && *relation == column.relation.as_ref())
        .count()
        == 1
}

/// The column that an expression is; the numbers of a smaller type are the same in a larger one.
fn plain(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Cast(cast) if cast.field.data_type() == &DataType::Float64 => plain_name(&cast.expr),
        other => plain_name(other),
    }
}

fn plain_name(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => plain_name(&alias.expr),
        _ => None,
    }
}
