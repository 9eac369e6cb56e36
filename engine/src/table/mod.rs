//! A snapshot as a table that DataFusion can scan.
//!
//! ```text
//!   filters ─ decide ─▶ files: by the sky, then by the ranges of columns (bounds)
//!                 └──▶ scan: HpxRanges and the filters go on into the Parquet reader, for row groups, pages and rows
//! ```
//! The scan is a pure function of the snapshot: nothing is listed or guessed, and no file is opened while a query is
//! planned. What is left out holds no row that the filters are true of; the filters themselves are applied to all rows
//! that are read.

mod bounds;
mod decide;
mod estimate;
mod footers;
mod hpx_ranges;
mod implied;
mod index;
mod missing;
mod pieces;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bounds::Nan;
use catalogs::CatalogSnapshot;
use datafusion::{
    arrow::{
        array::Array,
        datatypes::{DataType, Schema, SchemaRef},
    },
    catalog::{Session, TableProvider},
    common::project_schema,
    error::Result,
    logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType, expr_rewriter::unnormalize_cols},
    physical_expr::{PhysicalExpr, expressions::BinaryExpr},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};

pub(crate) use decide::Decision;
pub(crate) use estimate::ScanEstimate;
pub(crate) use footers::with_pages;
pub(crate) use hpx_ranges::HpxRanges;
pub(crate) use index::FoundBy;
pub(crate) use pieces::{bytes_of, in_any_order};
pub(crate) use scan::Counted;

/// One catalogue snapshot, scanned by its exact column names.
#[derive(Debug)]
pub(crate) struct SnapshotTable {
    snapshot: Arc<CatalogSnapshot>,
    /// The columns with what is said of each. What is said of the table is left out: plans would disagree on whose words
    /// stand, where two tables meet.
    schema: SchemaRef,
}

impl SnapshotTable {
    pub(crate) fn new(snapshot: Arc<CatalogSnapshot>) -> Self {
        let schema = Arc::new(Schema::new(snapshot.schema().fields().clone()));
        Self { snapshot, schema }
    }

    /// The column that holds the cell of each row's position in these columns, and the order of the cells, where it is
    /// sure to be that cell: it was computed here, from these very numbers.
    pub(crate) fn cells_of_positions(&self, ra: &str, dec: &str) -> Option<(String, u8)> {
        let (table, position) = (self.snapshot.descriptor(), self.snapshot.position()?);
        let exact = |column: &str| {
            let field = self.snapshot.schema().field_with_name(column);
            field.is_ok_and(|field| *field.data_type() == DataType::Float64)
        };
        let ours = table.data.is_none() && self.snapshot.position_slack().0 == 0.0;
        let healpix = table.healpix.as_ref().filter(|_| ours && exact(ra) && exact(dec))?;
        (position.ra == ra && position.dec == dec).then(|| (healpix.column.clone(), healpix.order))
    }

    /// The column of cells that the rows are kept by, where these columns are their positions: its name, the order of the
    /// cells, and how many degrees a position may be from its cell.
    pub(crate) fn cells_near(&self, ra: &str, dec: &str) -> Option<(String, u8, f64)> {
        let position = self.snapshot.position().filter(|position| position.ra == ra && position.dec == dec);
        let healpix = position.and(self.snapshot.descriptor().healpix.as_ref())?;
        let field = self.snapshot.schema().field_with_name(&healpix.column).ok()?;
        let slack = self.snapshot.position_slack().0;
        field.data_type().is_integer().then(|| (healpix.column.clone(), healpix.order, slack))
    }

    /// What is scanned.
    pub(crate) fn snapshot(&self) -> &CatalogSnapshot {
        &self.snapshot
    }

    /// Which files rows that match the filters can be in.
    pub(crate) async fn decide(&self, filters: &[Expr], session: &dyn Session) -> Result<Decision> {
        decide::decide(&self.snapshot, filters, session).await
    }

    /// What a scan will read, told by footers without reading data.
    pub(crate) async fn estimate(
        &self,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        session: &dyn Session,
    ) -> Result<ScanEstimate> {
        // As a scan is given them: their columns have no table's name before them.
        let filters = &unnormalize_cols(filters.iter().cloned());
        let decision = self.decide(filters, session).await?;
        let columns = scan::Columns::new(&self.snapshot, projection, decision.sky.is_some());
        let implied = self.implied(filters, &decision, &columns.schema, session).await?;
        estimate::estimate(&self.snapshot, &decision, &columns, filters, implied, session).await
    }

    /// What the filters imply of floating columns as they are stored, where NaN is missing; nothing where it is not.
    async fn implied(
        &self,
        filters: &[Expr],
        decision: &Decision,
        schema: &SchemaRef,
        session: &dyn Session,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        if self.snapshot.descriptor().nan_is_null {
            return Ok(None);
        }
        // A writer that let NaN into the statistics of a footer has said nothing there: its files have no ranges here.
        let mut trusted = Vec::new();
        for column in decision.columns.iter().filter(|column| self.snapshot.nan_hides_in(column)) {
            let bounds = bounds::statistics(&self.snapshot, column).await?;
            let known = |number: &usize| bounds.as_ref().is_some_and(|bounds| bounds.min.is_valid(*number));
            if decision.files.iter().all(known) {
                trusted.push(column.as_str());
            }
        }
        implied::of_filters(filters, schema, &|column| trusted.contains(&column), session)
    }
}

/// Both of two conditions, the first of which is tried first.
fn both(first: Arc<dyn PhysicalExpr>, then: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(first, Operator::And, then))
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let decision = self.decide(filters, session).await?;
        if decision.files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        }
        let columns = scan::Columns::new(&self.snapshot, projection, decision.sky.is_some());
        let implied = self.implied(filters, &decision, &columns.schema, session).await?;
        let scan = scan::plan(&self.snapshot, &decision, &columns, filters, implied, limit, session).await?;
        match self.snapshot.descriptor().nan_is_null {
            true => Ok(scan),
            false => missing::nan_as_null(scan, session.config().options()),
        }
    }
}
