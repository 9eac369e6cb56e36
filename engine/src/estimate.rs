//! What a query will read and give, told from its plan, the snapshots and the footers of files, without reading rows.
//!
//! The bytes are those of the pages that the scans cannot rule out: a query that stops early, or that finds on its way what
//! it need not read, reads fewer. Rows are a range: a condition that no statistics decide may keep none or all.

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    datasource::source_as_provider,
    error::Result,
    execution::SessionState,
    logical_expr::{
        Expr, FetchType, GroupingSet, JoinType, LogicalPlan, SkipType, TableScan, utils::split_conjunction,
    },
};

use crate::{
    joins::{Nearest, Side, SkyJoinNode},
    table::{ScanEstimate, SnapshotTable},
};

/// What a query will read and give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Files of the tables that are named, each time that they are.
    pub files_total: u64,
    /// Files that are opened.
    pub files: u64,
    /// Row groups of the files that are opened.
    pub row_groups_total: u64,
    /// Row groups that are read, as a whole or in part.
    pub row_groups: u64,
    /// Bytes that are read, at most.
    pub bytes: u64,
    /// The least and the most rows of the answer.
    pub rows: (u64, u64),
    /// Whether the query may stop before it has read all that.
    pub stops_early: bool,
}

/// A scan of a plan, and what it reads.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) scan: TableScan,
    pub(crate) estimate: ScanEstimate,
}

/// The scans of a plan in the order in which it names them, those of its subqueries included.
pub(crate) async fn scans(plan: &LogicalPlan, session: &SessionState) -> Result<Vec<Scanned>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found.push(scan.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut scanned = Vec::with_capacity(found.len());
    for scan in found {
        let provider = source_as_provider(&scan.source)?;
        if let Some(table) = provider.downcast_ref::<SnapshotTable>() {
            let estimate = table.estimate(scan.projection.as_ref(), &scan.filters, session).await?;
            scanned.push(Scanned { scan, estimate });
        }
    }
    Ok(scanned)
}

/// The sum over the scans of a plan whose answer is cut after so many rows.
pub(crate) fn estimate(plan: &LogicalPlan, scanned: &[Scanned], max_rows: Option<u64>) -> Estimate {
    let mut told = Estimate::default();
    for Scanned { estimate, .. } in scanned {
        told.files_total += estimate.files_total as u64;
        told.files += estimate.files as u64;
        told.row_groups_total += estimate.row_groups_total as u64;
        told.row_groups += estimate.row_groups as u64;
        told.bytes += estimate.bytes;
    }
    let (least, most) = rows(plan, scanned);
    let cut = max_rows.unwrap_or(u64::MAX);
    told.rows = (least.min(cut), most.min(cut));
    told.stops_early = stops_early(plan) || (most > cut && streams(plan));
    told
}

/// The least and the most rows that a node gives.
fn rows(plan: &LogicalPlan, scanned: &[Scanned]) -> (u64, u64) {
    let of = |plan: &LogicalPlan| rows(plan, scanned);
    match plan {
        LogicalPlan::TableScan(scan) => {
            let found = scanned.iter().find(|scanned| scanned.scan == *scan);
            let rows = found.map_or((0, u64::MAX), |scanned| scanned.estimate.rows);
            cut(rows, scan.fetch)
        }
        LogicalPlan::Filter(filter) => match &*filter.input {
            // What the scan was told of all of the condition holds of it.
            LogicalPlan::TableScan(scan) if is_told(&scan.filters, &filter.predicate) => of(&filter.input),
            input => (0, of(input).1),
        },
        LogicalPlan::Limit(limit) => {
            let (least, most) = of(&limit.input);
            let skip = match limit.get_skip_type() {
                Ok(SkipType::Literal(skip)) => skip as u64,
                _ => 0,
            };
            let fetch = match limit.get_fetch_type() {
                Ok(FetchType::Literal(fetch)) => fetch,
                _ => None,
            };
            cut((least.saturating_sub(skip), if most == u64::MAX { most } else { most.saturating_sub(skip) }), fetch)
        }
        LogicalPlan::Sort(sort) => cut(of(&sort.input), sort.fetch),
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.as_slice() {
            [] => (1, 1),
            [Expr::GroupingSet(sets)] => (0, of(&aggregate.input).1.max(1).saturating_mul(groupings(sets))),
            _ => at_least_one_of(of(&aggregate.input)),
        },
        LogicalPlan::Distinct(distinct) => at_least_one_of(of(distinct.input())),
        LogicalPlan::Projection(projection) => of(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => of(&alias.input),
        LogicalPlan::Window(window) => of(&window.input),
        LogicalPlan::Repartition(repartition) => of(&repartition.input),
        LogicalPlan::Union(union) => union.inputs.iter().fold((0, 0), |(least, most), input| {
            let (low, high) = of(input);
            (low.saturating_add(least), high.saturating_add(most))
        }),
        LogicalPlan::Join(join) => {
            let (left, right) = (of(&join.left), of(&join.right));
            let pairs = left.1.saturating_mul(right.1);
            match join.join_type {
                JoinType::Inner if join.on.is_empty() && join.filter.is_none() => {
                    (left.0.saturating_mul(right.0), pairs)
                }
                join_type => of_join(join_type, left, right, pairs),
            }
        }
        LogicalPlan::EmptyRelation(empty) => {
            let rows = u64::from(empty.produce_one_row);
            (rows, rows)
        }
        LogicalPlan::Values(values) => (values.values.len() as u64, values.values.len() as u64),
        other => match SkyJoinNode::of(other) {
            Some(node) => {
                let (left, right) = (of(&node.left), of(&node.right));
                let pairs = match node.condition.nearest {
                    Some(Nearest { mutual: true, .. }) => left.1.min(right.1),
                    Some(Nearest { k, .. }) => left.1.saturating_mul(right.1.min(k as u64)),
                    None => left.1.saturating_mul(right.1),
                };
                let (least, most) = of_join(node.join_type, left, right, pairs);
                // All left rows may have the same nearest one, and the other right rows none.
                let alone = node.condition.nearest.is_some() && node.keeps_all(Side::Right);
                (least, if alone { most.max(pairs.saturating_add(right.1)) } else { most })
            }
            None => (0, u64::MAX),
        },
    }
}

/// The least and the most rows of a join on a condition, of inputs that have so many and of at most so many pairs.
fn of_join(join_type: JoinType, left: (u64, u64), right: (u64, u64), pairs: u64) -> (u64, u64) {
    match join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => (0, left.1),
        JoinType::RightSemi | JoinType::RightAnti => (0, right.1),
        JoinType::LeftMark => left,
        JoinType::RightMark => right,
        JoinType::Inner => (0, pairs),
        JoinType::Left => (left.0, pairs.max(left.1)),
        JoinType::Right => (right.0, pairs.max(right.1)),
        JoinType::Full => (left.0.max(right.0), pairs.max(left.1.saturating_add(right.1))),
    }
}

fn cut((least, most): (u64, u64), fetch: Option<usize>) -> (u64, u64) {
    let fetch = fetch.map_or(u64::MAX, |fetch| fetch as u64);
    (least.min(fetch), most.min(fetch))
}

fn at_least_one_of((least, most): (u64, u64)) -> (u64, u64) {
    (least.min(1), most)
}

/// Whether a scan was told of each part of a condition.
fn is_told(filters: &[Expr], condition: &Expr) -> bool {
    split_conjunction(condition).into_iter().all(|part| filters.contains(part))
}

/// How many times the rows are grouped.
fn groupings(sets: &GroupingSet) -> u64 {
    match sets {
        GroupingSet::Rollup(by) => by.len() as u64 + 1,
        GroupingSet::Cube(by) => 1_u64.checked_shl(by.len() as u32).unwrap_or(u64::MAX),
        GroupingSet::GroupingSets(sets) => sets.len() as u64,
    }
}

/// Whether enough rows end the query before its scans have ended.
fn stops_early(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Limit(limit) => match limit.get_fetch_type() {
            Ok(FetchType::Literal(None)) => stops_early(&limit.input),
            _ => streams(&limit.input),
        },
        LogicalPlan::Sort(sort) if sort.fetch.is_some() => streams(&sort.input),
        LogicalPlan::Sort(sort) => stops_early(&sort.input),
        LogicalPlan::TableScan(scan) => scan.fetch.is_some(),
        LogicalPlan::Projection(projection) => stops_early(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => stops_early(&alias.input),
        _ => false,
    }
}

/// Whether the first rows of a node come before its scans have ended.
fn streams(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Aggregate(aggregate) => aggregate.aggr_expr.is_empty() && streams(&aggregate.input),
        LogicalPlan::Sort(_) | LogicalPlan::Window(_) | LogicalPlan::RecursiveQuery(_) => stops_early(plan),
        _ => plan.inputs().into_iter().any(streams),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::{DataType, Field, Schema},
        functions_aggregate::expr_fn::count,
        logical_expr::{LogicalPlanBuilder, cube, rollup, table_scan},
        prelude::{col, lit},
    };

    use super::*;

    fn scan() -> LogicalPlanBuilder {
        let field = |name| Field::new(name, DataType::Int64, true);
        table_scan(Some("t"), &Schema::new(vec![field("a"), field("b")]), None).unwrap()
    }

    #[test]
    fn a_limit_ends_only_what_streams_to_it() {
        let early = |plan: LogicalPlanBuilder| stops_early(&plan.build().unwrap());
        assert!(!early(scan()));
        assert!(early(scan().limit(0, Some(5)).unwrap()));
        assert!(!early(scan().limit(5, None).unwrap()), "an offset ends nothing");
        assert!(early(scan().filter(col("a").gt(lit(1))).unwrap().limit(0, Some(5)).unwrap()));
        assert!(early(scan().sort_with_limit(vec![col("a").sort(true, true)], Some(5)).unwrap()));
        let groups = || scan().aggregate(vec![col("a")], vec![count(col("b"))]).unwrap();
        assert!(!early(groups().limit(0, Some(5)).unwrap()), "the groups are known when all rows are");
        assert!(!early(groups().sort_with_limit(vec![col("a").sort(true, true)], Some(5)).unwrap()));
        let distinct = scan().aggregate(vec![col("a")], Vec::<Expr>::new()).unwrap();
        assert!(early(distinct.limit(0, Some(5)).unwrap()));
    }

    #[test]
    fn an_answer_that_is_cut_by_its_reader_stops_early_where_it_streams() {
        let told = |plan: LogicalPlanBuilder, cut| estimate(&plan.build().unwrap(), &[], cut).stops_early;
        assert!(told(scan(), Some(5)) && !told(scan(), None));
        assert!(!told(scan().aggregate(vec![col("a")], vec![count(col("b"))]).unwrap(), Some(5)));
    }

    #[test]
    fn rows_are_grouped_as_many_times_as_is_asked() {
        let values = || LogicalPlanBuilder::values(vec![vec![lit(1), lit(2)], vec![lit(3), lit(4)]]).unwrap();
        let by = || vec![col("column1"), col("column2")];
        let most = |by: Vec<Expr>| rows(&values().aggregate(by, vec![count(lit(1))]).unwrap().build().unwrap(), &[]);
        assert_eq!(most(by()), (1, 2));
        assert_eq!(most(vec![rollup(by())]), (0, 6));
        assert_eq!(most(vec![cube(by())]), (0, 8));
    }

    #[test]
    fn a_condition_that_the_scan_was_told_of_in_part_only_may_keep_nothing() {
        let (told, other) = (col("a").gt(lit(1)), col("b").gt(lit(2)));
        assert!(is_told(&[told.clone(), other.clone()], &told.clone().and(other.clone())));
        assert!(!is_told(std::slice::from_ref(&told), &told.clone().and(other)));
    }
}
