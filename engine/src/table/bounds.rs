//! Which files cannot hold a row that the filters are true of, by the ranges of their columns.
//!
//! The ranges of all files are arrays, one value a file, and a filter is tried on all of them at once by DataFusion's
//! own rewriting of predicates into questions about ranges. They are read when a filter names the column, and no others.
//!
//! ```text
//!   mag < 12  ──▶  min(mag) < 12      [9.3, 12.1, NULL, …] ──▶ [keep, leave out, keep, …]
//! ```
//! What is not known keeps the file.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use catalogs::{CatalogSnapshot, ColumnStatistics};
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array},
        compute::{cast, take},
        datatypes::{DataType, Float64Type, Schema, SchemaRef},
    },
    catalog::Session,
    common::{Column, DFSchema, ScalarValue, pruning::PruningStatistics},
    error::{DataFusionError, Result},
    logical_expr::{Expr, physical_planning_context::PhysicalPlanningContext, utils::split_conjunction},
    physical_expr::{PhysicalExpr, conjunction, create_physical_expr, utils::collect_columns},
    physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder},
};

/// The files of `among` that the filters may be true in, and the columns by whose ranges they were tried.
pub(super) async fn files_within(
    snapshot: &CatalogSnapshot,
    filters: &[Expr],
    session: &dyn Session,
    among: Vec<usize>,
) -> Result<(Vec<usize>, Vec<String>)> {
    if filters.is_empty() || among.is_empty() {
        return Ok((among, Vec::new()));
    }
    let Some((predicate, columns)) = predicate(filters, snapshot.schema(), session)? else {
        return Ok((among, Vec::new()));
    };
    let mut known = HashMap::new();
    for column in &columns {
        if let Some(statistics) = statistics(snapshot, column).await? {
            let nan = snapshot.nan_hides_in(column);
            known.insert(column.clone(), Known { statistics, nulls_told: !nan });
        }
    }
    if known.is_empty() {
        return Ok((among, Vec::new()));
    }
    let all = among.len() == snapshot.files().len();
    let files: UInt64Array = among.iter().map(|number| *number as u64).collect();
    let bounds = FileBounds { known, rows: rows(snapshot, &among), files: (!all).then_some(files), count: among.len() };
    let kept = predicate.prune(&bounds)?;
    let files = among.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(number, _)| number).collect();
    Ok((files, columns.into_iter().collect()))
}

/// Whether NaN stands for what is missing in a column, so that the numbers of NULLs do not tell how many are missing.
pub(super) trait Nan {
    fn nan_hides_in(&self, column: &str) -> bool;
}

impl Nan for CatalogSnapshot {
    fn nan_hides_in(&self, column: &str) -> bool {
        let floating = || self.schema().field_with_name(column).is_ok_and(|field| field.data_type().is_floating());
        !self.descriptor().nan_is_null && floating()
    }
}

/// The greatest value of each of these columns of numbers in all files, where it is known.
pub(super) async fn greatest(snapshot: &CatalogSnapshot, columns: BTreeSet<String>) -> Result<HashMap<String, f64>> {
    let mut found = HashMap::new();
    for column in columns {
        let field = snapshot.schema().field_with_name(&column);
        if field.is_ok_and(|field| field.data_type().is_numeric())
            && let Some(told) = statistics(snapshot, &column).await?
            && let Some(greatest) = greatest_of(&told)
        {
            found.insert(column, greatest);
        }
    }
    Ok(found)
}

/// None if there is a file of which it is not told; one with nothing but NULL and NaN has none, and that is told.
fn greatest_of(told: &ColumnStatistics) -> Option<f64> {
    let max = cast(&told.max, &DataType::Float64).ok()?;
    let max = max.as_primitive::<Float64Type>();
    let known = (0..max.len()).all(|file| max.is_valid(file) || told.exact.value(file));
    if known { max.iter().flatten().reduce(f64::max) } else { None }
}

/// The ranges of a column in all files, if they were written.
pub(super) async fn statistics(snapshot: &CatalogSnapshot, column: &str) -> Result<Option<Arc<ColumnStatistics>>> {
    snapshot.statistics(column).await.map_err(|error| DataFusionError::External(Box::new(error)))
}

/// What can be asked of the ranges of files, of all filters together, and the columns that it asks about.
fn predicate(
    filters: &[Expr],
    schema: &SchemaRef,
    session: &dyn Session,
) -> Result<Option<(Arc<PruningPredicate>, BTreeSet<String>)>> {
    let mut named = HashSet::new();
    filters.iter().for_each(|filter| named.extend(filter.column_refs().into_iter().map(|column| column.name.clone())));
    let fields = schema.fields().iter().filter(|field| named.contains(field.name()));
    let narrow: SchemaRef = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
    let names = DFSchema::try_from(Arc::clone(&narrow))?;
    let mut usable: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    let mut columns = BTreeSet::new();
    for filter in filters.iter().flat_map(split_conjunction) {
        let context = PhysicalPlanningContext::default();
        // What cannot be put so, as a query within the filter, says nothing about files.
        let Ok(filter) = create_physical_expr(filter, &names, session.execution_props(), &context) else { continue };
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&narrow));
        if builder.try_build(Arc::clone(&filter)).is_ok_and(|pruning| !is_true(&pruning)) {
            columns.extend(collect_columns(&filter).into_iter().map(|column| column.name().to_owned()));
            usable.push(filter);
        }
    }
    if usable.is_empty() {
        return Ok(None);
    }
    let predicate = PruningPredicateBuilder::new().with_file_schema(narrow).build(conjunction(usable));
    Ok(predicate.map(|predicate| (predicate, columns)))
}

/// Whether it keeps every file whatever the ranges are. Guarantees of literals are for bloom filters, which files as a
/// whole have none of.
fn is_true(predicate: &PruningPredicate) -> bool {
    let expr = predicate.predicate_expr();
    let literal = expr.downcast_ref::<datafusion::physical_expr::expressions::Literal>();
    literal.is_some_and(|literal| *literal.value() == ScalarValue::Boolean(Some(true)))
}

fn rows(snapshot: &CatalogSnapshot, among: &[usize]) -> ArrayRef {
    let files = snapshot.files();
    Arc::new(among.iter().map(|number| Some(files[*number].rows)).collect::<UInt64Array>())
}

struct Known {
    statistics: Arc<ColumnStatistics>,
    nulls_told: bool,
}

/// The ranges of some files of a table, as DataFusion asks for them.
struct FileBounds {
    known: HashMap<String, Known>,
    rows: ArrayRef,
    /// The files by their numbers; none if it is all of them.
    files: Option<UInt64Array>,
    count: usize,
}

impl FileBounds {
    fn of_these(&self, all: &dyn Array) -> Option<ArrayRef> {
        if *all.data_type() == DataType::Null {
            return None;
        }
        match &self.files {
            Some(files) => take(all, files, None).ok(),
            None => Some(all.slice(0, all.len())),
        }
    }
}

impl PruningStatistics for FileBounds {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of_these(&self.known.get(&column.name)?.statistics.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of_these(&self.known.get(&column.name)?.statistics.max)
    }

    fn num_containers(&self) -> usize {
        self.count
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let known = self.known.get(&column.name)?;
        known.nulls_told.then(|| self.of_these(&known.statistics.nulls)).flatten()
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::clone(&self.rows))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
