//! A plan in plain words: what is read and why no less, what is done with it, where memory may not suffice.
//!
//! One fact a line, for whoever wrote the query. Those who work on the engine read
//! [`Query::plan_text`](crate::Query::plan_text).

use std::{collections::HashSet, sync::Arc};

use catalogs::CatalogSnapshot;
use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
    },
    common::{
        Column, JoinType, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    datasource::{
        memory::MemorySourceConfig, physical_plan::FileScanConfig, source::DataSourceExec, source_as_provider,
    },
    error::Result,
    logical_expr::{Distinct, Expr, Join, LogicalPlan},
    physical_plan::ExecutionPlan,
};

use crate::{
    TableSet,
    estimate::{Estimate, Scanned},
    joins::{self, Nearest, SkyJoinNode, Test},
    rules::late_rows::LateRowsExec,
    sizes::size as size_of,
    spoken::spoken,
    table::{FoundBy, ScanEstimate, SnapshotTable},
};

/// The explanation of a plan, a fact a line.
pub(crate) fn explain(
    plan: &LogicalPlan,
    tables: &TableSet,
    physical: &Arc<dyn ExecutionPlan>,
    scanned: &[Scanned],
    estimate: &Estimate,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for scanned in scanned {
        table(scanned, tables, &mut lines)?;
    }
    let mut steps = Vec::new();
    plan.apply_with_subqueries(|node| {
        steps.extend(step(node));
        Ok(TreeNodeRecursion::Continue)
    })?;
    let opened: u64 = scanned.iter().map(|scanned| scanned.estimate.files as u64).sum();
    let read = files_read(physical);
    if read > 0 && read < opened {
        let (counted, of) = (grouped(opened - read), counted(opened, "file"));
        lines.push(format!(
            "The rows of {counted} of {of} are counted by the metadata alone: each lies within one cell."
        ));
    }
    if physical.exists(|node| Ok(node.is::<LateRowsExec>()))? {
        lines.push("What orders is read first, the other columns only where they hold rows of the answer.".to_owned());
    }
    lines.extend(steps.into_iter().rev()); // a plan names first what it does last
    let (least, most) = estimate.rows;
    lines.push(match most {
        u64::MAX => format!("The answer has at least {}.", rows(least)),
        _ if least == most => format!("The answer has {}.", rows(least)),
        _ => format!("The answer has between {} and {}.", grouped(least), rows(most)),
    });
    let size = size_of(estimate.bytes);
    lines.push(match (estimate.bytes, estimate.stops_early) {
        (0, _) => "No rows are read: what is asked is known from the metadata, or there is nothing to read.".to_owned(),
        (_, true) => format!("At most {size} are read; less where enough rows are found before."),
        (_, false) => format!("At most {size} are read."),
    });
    Ok(lines)
}

/// How many files the scans of a plan read, each once.
fn files_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let files = scan.data_source().downcast_ref::<FileScanConfig>();
        let paths = files.iter().flat_map(|files| &files.file_groups).flat_map(|group| group.files());
        return paths.map(|file| &file.object_meta.location).collect::<HashSet<_>>().len() as u64;
    }
    let twice = plan.is::<LateRowsExec>(); // both of its scans are of the same files
    plan.children().into_iter().take(if twice { 1 } else { usize::MAX }).map(files_read).sum()
}

/// An explanation as the answer to a query.
pub(crate) fn answer(lines: Vec<String>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(Schema::new(vec![Field::new("plan", DataType::Utf8, false)]));
    let column: ArrayRef = Arc::new(StringArray::from(lines));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column])?;
    Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None)?)
}

fn table(scanned: &Scanned, tables: &TableSet, lines: &mut Vec<String>) -> Result<()> {
    let Scanned { scan, estimate } = scanned;
    let provider = source_as_provider(&scan.source)?;
    let Some(snapshot) = provider.downcast_ref::<SnapshotTable>().map(SnapshotTable::snapshot) else { return Ok(()) };
    let version = tables.number_of(snapshot).map_or_else(String::new, |number| format!(" version {number},"));
    let id: String = snapshot.id().chars().take(12).collect();
    lines.push(format!("Table {},{version} snapshot {id}: {}.", estimate.table, rows(snapshot.rows())));
    let (of, columns) = (snapshot.schema().fields().len() as u64, scan.projected_schema.fields().len() as u64);
    lines.push(format!("  {} of its {} {} needed.", grouped(columns), counted(of, "column"), are(columns)));
    files(snapshot, estimate, lines);
    if estimate.row_groups_total > 0 {
        let (groups, of) = (estimate.row_groups as u64, counted(estimate.row_groups_total as u64, "row group"));
        let size = size_of(estimate.bytes);
        lines.push(format!("  In them {} of {of} {} read, {size} in all.", grouped(groups), are(groups)));
    }
    for filter in &scan.filters {
        lines.push(format!("  Each row that is read is tested: {}.", spoken(filter)));
    }
    for note in &estimate.notes {
        lines.push(format!("  Note: {note}."));
    }
    match estimate.rows {
        (least, most) if least == most => lines.push(format!("  {} {} kept.", rows(least), are(least))),
        (least, most) => lines.push(format!("  Between {} and {} are kept.", grouped(least), rows(most))),
    }
    Ok(())
}

/// Which files are opened, and what leaves the others out.
fn files(snapshot: &CatalogSnapshot, estimate: &ScanEstimate, lines: &mut Vec<String>) {
    let (total, after_sky, kept) =
        (estimate.files_total as u64, estimate.files_after_sky as u64, estimate.files as u64);
    lines.push(format!("  {} of its {} {} opened.", grouped(kept), counted(total, "file"), are(kept)));
    lines.push(match (estimate.by_sky, snapshot.position()) {
        (true, _) => {
            let (after_sky, total) = (grouped(after_sky), grouped(total));
            format!("  By their part of the sky, {after_sky} of {total} may hold rows.")
        }
        (false, Some(_)) => "  No condition restricts it to a part of the sky.".to_owned(),
        (false, None) => "  It has no positions, so no place in the sky leaves files out.".to_owned(),
    });
    lines.extend(estimate.ways.iter().filter_map(|(column, way)| found_by(column, *way, estimate)));
    for sentence in &estimate.unused {
        lines.push(format!("  This condition on the sky leaves nothing out: {sentence}."));
    }
    if !estimate.by_columns.is_empty() {
        let by = estimate.by_columns.join(", ");
        let of = grouped(estimate.files_after_index as u64);
        lines.push(format!("  By the least and greatest {by} in each, {} of {of} may hold rows.", grouped(kept)));
    }
}

/// What tells where the values are that a column is asked for.
fn found_by(column: &str, way: FoundBy, estimate: &ScanEstimate) -> Option<String> {
    Some(match way {
        FoundBy::Cells => format!("  {column} begins with a cell of the sky, which tells where its values are."),
        FoundBy::Index => {
            let (left, of) = (estimate.files_after_index as u64, estimate.files_after_sky as u64);
            format!("  By the index of {column}, {} of {} may hold rows.", grouped(left), grouped(of))
        }
        FoundBy::Unused => {
            format!("  The index of {column} is not looked up: so many values are in nearly every file.")
        }
        FoundBy::Statistics { .. } if estimate.blooms.contains(column) => {
            format!("  By the bloom filters of {column}, row groups are left out when they are read.")
        }
        FoundBy::Statistics { values } if values > 1 => {
            format!("  Nothing but the least and greatest {column} tells where these values are.")
        }
        FoundBy::Statistics { .. } => return None,
    })
}

/// What a node does with rows, if that is worth a word.
fn step(node: &LogicalPlan) -> Option<String> {
    Some(match node {
        LogicalPlan::Join(join) => join_step(join),
        LogicalPlan::Sort(sort) => {
            let by = listed(sort.expr.iter().map(|key| &key.expr));
            match sort.fetch {
                Some(fetch) => format!("Sorted by {by}; only the first {} are kept in memory.", rows(fetch as u64)),
                None => format!("Sorted by {by}; what does not fit in memory goes to disk."),
            }
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            format!("Summed up in one row: {}.", listed(&aggregate.aggr_expr))
        }
        LogicalPlan::Aggregate(aggregate) => {
            format!("Grouped by {}; groups that do not fit in memory go to disk.", listed(&aggregate.group_expr))
        }
        LogicalPlan::Distinct(Distinct::All(_)) => "Rows that are equal are given once.".to_owned(),
        LogicalPlan::Window(window) => format!("Computed over windows of rows: {}.", listed(&window.window_expr)),
        LogicalPlan::Union(union) => format!("The rows of {} parts are put together.", union.inputs.len()),
        LogicalPlan::Unnest(_) => "Arrays become a row for each element.".to_owned(),
        LogicalPlan::RecursiveQuery(_) => "Repeated until nothing new is found.".to_owned(),
        other => sky_join_step(SkyJoinNode::of(other)?),
    })
}

/// How rows with and without a partner are given.
fn kind_of(join_type: JoinType) -> &'static str {
    match join_type {
        JoinType::Inner => "",
        JoinType::Left | JoinType::Right | JoinType::Full => ", also rows without a partner",
        JoinType::LeftSemi | JoinType::RightSemi => ", to keep rows that have a partner",
        JoinType::LeftAnti | JoinType::RightAnti => ", to keep rows that have none",
        JoinType::LeftMark | JoinType::RightMark => ", to mark rows that have a partner",
    }
}

fn sky_join_step(join: &SkyJoinNode) -> String {
    let condition = &join.condition;
    let radius = match (&condition.radius, condition.radius_of) {
        (Expr::Literal(ScalarValue::Float64(Some(degrees)), _), None) => angle(*degrees),
        (radius, _) => format!("{} degrees", of_tables(radius)),
    };
    let near = match (condition.nearest, condition.test) {
        (Some(Nearest { mutual: true, .. }), _) => format!("each other's nearest, within {radius}"),
        (Some(Nearest { k: 1, .. }), _) => format!("the nearest within {radius}"),
        (Some(Nearest { k, .. }), _) => format!("the {k} nearest within {radius}"),
        (None, Test::Closer) => format!("closer than {radius}"),
        (None, _) => format!("within {radius}"),
    };
    let kind = kind_of(join.join_type);
    let filter = join.filter.as_ref().map_or_else(String::new, |filter| format!(", where {}", of_tables(filter)));
    format!(
        "Joined by position: {near}{filter}{kind}; the side with fewer rows is held in memory, and what does not fit there \
         goes to disk by parts of the sky."
    )
}

/// An angle in the unit that suits its size.
fn angle(degrees: f64) -> String {
    let (number, unit) = if degrees.abs() < 0.1 { (degrees * 3600.0, "arcsec") } else { (degrees, "degrees") };
    let digits = format!("{number:.6}");
    match digits.trim_end_matches('0').trim_end_matches('.') {
        "0" if number != 0.0 => format!("{number:e} {unit}"),
        "" => format!("0 {unit}"),
        digits => format!("{digits} {unit}"),
    }
}

fn join_step(join: &Join) -> String {
    let kind = kind_of(join.join_type);
    let why_not = joins::why_not(join).map_or_else(String::new, |why| format!(" Not by position: {why}."));
    let how = match (join.on.is_empty(), &join.filter) {
        (false, _) => {
            let pair = |(left, right): &(Expr, Expr)| format!("{} = {}", of_tables(left), of_tables(right));
            let on: Vec<String> = join.on.iter().map(pair).chain(join.filter.iter().map(of_tables)).collect();
            format!("Joined on {}{kind}; one side is held in memory and must fit there.", on.join(" and "))
        }
        (true, Some(filter)) => {
            format!("Joined by trying each pair of rows: {}{kind}; one side is held in memory.", of_tables(filter))
        }
        (true, None) => format!("Joined, each row with each{kind}; one side is held in memory."),
    };
    how + &why_not
}

/// An expression whose columns are said with the tables that they are of.
fn of_tables(expr: &Expr) -> String {
    let named = expr.clone().transform(|part| match part {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.flat_name())))),
        other => Ok(Transformed::no(other)),
    });
    named.map_or_else(|_| spoken(expr), |named| spoken(&named.data))
}

/// Expressions, one after the other.
fn listed<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> String {
    expressions.into_iter().map(spoken).collect::<Vec<_>>().join(", ")
}

fn rows(count: u64) -> String {
    counted(count, "row")
}

fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", grouped(count)),
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([0, 12, 1234, 1_234_567].map(grouped), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!((rows(1), rows(2000)), ("1 row".to_owned(), "2,000 rows".to_owned()));
        assert_eq!([0, 1, 2].map(are), ["are", "is", "are"]);
    }
}
