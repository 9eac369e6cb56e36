//! What an import did: for people on the screen, and as JSON beside the catalogue.

use std::{collections::BTreeMap, fs};

use arrow::{array::Array, datatypes::SchemaRef, util::display::array_value_to_string};
use serde::{Deserialize, Serialize};

use crate::{CatalogError, CatalogSnapshot, layout, statistics::FileStatistics};

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// The table.
    pub table: String,
    /// The sources, in their order.
    pub sources: Vec<SourceReport>,
    /// Rows in the sources: always those published and those set aside.
    pub rows_read: u64,
    /// Rows of the sources that are in the table.
    pub rows_published: u64,
    /// Rows of the sources that are not, by what is wrong with them.
    pub set_aside: BTreeMap<String, u64>,
    /// Rows that share their identifier with another that is in the table; they are among those set aside.
    pub duplicates: u64,
    /// Rows that were in the table before, and gave way to better ones with the same identifier.
    pub replaced: u64,
    /// Rows in the table.
    pub rows: u64,
    /// Right ascensions that were brought into [0, 360).
    pub wrapped: u64,
    /// Position columns that were brought to degrees.
    pub unit_changes: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// The columns, in their order.
    pub columns: Vec<ColumnReport>,
    /// The partitions that were written.
    pub partitions: PartitionsReport,
    /// Files that are shared with the version before.
    pub shared_files: usize,
    /// Rows of this table and of its director, in each partition.
    pub director: Option<DirectorReport>,
    /// Margins that were made.
    pub margins: Vec<MemberReport>,
    /// Indexes that were made.
    pub indexes: Vec<MemberReport>,
    /// Bytes of the data files, shared ones included.
    pub bytes: u64,
    /// Bytes that went through the local disk on the way.
    pub spilled_bytes: u64,
    /// Seconds of wall time in each stage, in their order.
    pub stages: Vec<(String, f64)>,
    /// Seconds of wall time.
    pub seconds: f64,
    /// Rows of the sources a second.
    pub rows_per_second: f64,
    /// The most memory that the process has had, in bytes, where the system tells it.
    pub peak_memory: Option<u64>,
    /// Whether this is what remained of an import that was begun before.
    pub resumed: bool,
    /// Which import this was: a hash of its options and sources, whatever version it added rows to.
    #[serde(default)]
    pub import: String,
    /// The folder of the version that it added rows to.
    #[serde(default)]
    pub base: Option<String>,
}

/// A source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// Its rows, those included that were set aside.
    pub rows: u64,
}

/// A column of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: String,
    /// How many rows have no value.
    pub nulls: Option<u64>,
    /// The least value, as text; a bound only where the column holds long text.
    pub min: Option<String>,
    /// The greatest value, as text.
    pub max: Option<String>,
}

/// Partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionsReport {
    /// How many there are.
    pub count: usize,
    /// How many there are of each order.
    pub orders: BTreeMap<u8, usize>,
    /// The fewest rows of one.
    pub smallest: u64,
    /// The most rows of one.
    pub largest: u64,
}

/// How a child table follows its director.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectorReport {
    /// The director.
    pub table: String,
    /// The fewest, the median and the most rows of this table in a partition.
    pub rows: [u64; 3],
    /// The same of the director's rows.
    pub director_rows: [u64; 3],
    /// For each partition its order, its number, its rows and those of the director.
    pub partitions: Vec<(u8, u64, u64, u64)>,
}

/// A margin or an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Its folder.
    pub folder: String,
    /// Its rows.
    pub rows: u64,
    /// Its files.
    pub files: u64,
}

/// The report of the import that made a version; none of an attached one.
pub async fn report_of(snapshot: &CatalogSnapshot) -> Result<Option<ImportReport>, CatalogError> {
    match snapshot.home().get(&format!("{}/{}", snapshot.root(), layout::IMPORT_REPORT)).await {
        Ok(report) => serde_json::from_slice(&report)
            .map(Some)
            .map_err(|error| CatalogError::catalog(snapshot.root(), format!("its report is damaged: {error}"))),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

impl PartitionsReport {
    pub(super) fn of(partitions: impl Iterator<Item = (Option<u8>, u64)>) -> Self {
        let mut report = Self { smallest: u64::MAX, ..Self::default() };
        for (order, rows) in partitions {
            report.count += 1;
            report.smallest = report.smallest.min(rows);
            report.largest = report.largest.max(rows);
            if let Some(order) = order {
                *report.orders.entry(order).or_default() += 1;
            }
        }
        report.smallest = report.smallest.min(report.largest);
        report
    }
}

impl DirectorReport {
    pub(super) fn of(table: String, partitions: Vec<(u8, u64, u64, u64)>) -> Self {
        let spread = |of: fn(&(u8, u64, u64, u64)) -> u64| {
            let mut rows: Vec<u64> = partitions.iter().map(of).collect();
            rows.sort_unstable();
            let at = |place: usize| rows.get(place).copied().unwrap_or(0);
            [at(0), at(rows.len() / 2), at(rows.len().saturating_sub(1))]
        };
        Self { table, rows: spread(|part| part.2), director_rows: spread(|part| part.3), partitions }
    }
}

/// The columns, from the statistics of all files.
pub(super) fn columns(schema: &SchemaRef, files: &[&FileStatistics]) -> Vec<ColumnReport> {
    let columns = schema.fields().iter().enumerate().map(|(number, field)| {
        let bounds = || files.iter().filter_map(|FileStatistics(columns)| columns.get(number));
        let nulls = bounds().map(|bounds| bounds.nulls).try_fold(0, |sum, nulls| Some(sum + nulls?));
        let extreme = |arrays: Vec<&dyn Array>, wants_greater: bool| {
            let together = arrow::compute::concat(&arrays).ok()?;
            let options = arrow::compute::SortOptions { descending: wants_greater, nulls_first: false };
            let first = arrow::compute::sort_to_indices(&together, Some(options), Some(1)).ok()?;
            let first = (!first.is_empty()).then(|| first.value(0) as usize)?;
            array_value_to_string(&together, first).ok()
        };
        let lower: Vec<&dyn Array> = bounds().filter_map(|bounds| bounds.min.as_deref()).collect();
        let upper: Vec<&dyn Array> = bounds().filter_map(|bounds| bounds.max.as_deref()).collect();
        ColumnReport {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
            nulls,
            min: if lower.is_empty() { None } else { extreme(lower, false) },
            max: if upper.is_empty() { None } else { extreme(upper, true) },
        }
    });
    columns.collect()
}

/// The most memory that this process has had.
pub(super) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// So many of a thing.
fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

impl ImportReport {
    /// How many rows of the sources are not in the table.
    pub fn rows_set_aside(&self) -> u64 {
        self.set_aside.values().sum()
    }

    /// What a person wants to know, a line each, without the columns.
    pub fn summary_lines(&self) -> Vec<String> {
        let Self { rows_read, rows_published, partitions, .. } = self;
        let mut lines =
            vec![format!("{rows_read} rows read = {rows_published} published + {} set aside", self.rows_set_aside())];
        lines.extend(self.set_aside.iter().map(|(kind, rows)| format!("  {rows} set aside: {kind}")));
        if self.replaced > 0 {
            lines.push(format!("{} rows of the version before gave way to better ones", self.replaced));
        }
        if self.rows != *rows_published {
            lines.push(format!("{} in the table", counted(self.rows, "row")));
        }
        if self.wrapped > 0 {
            lines.push(format!("{} right ascensions were brought into [0, 360)", self.wrapped));
        }
        lines.extend(self.unit_changes.iter().map(|change| format!("unit changed: {change}")));
        let orders: Vec<String> =
            partitions.orders.iter().map(|(order, count)| format!("{count} of order {order}")).collect();
        let orders = if orders.is_empty() { String::new() } else { format!(" ({})", orders.join(", ")) };
        lines.push(format!(
            "{}{orders} of {} to {} rows",
            counted(partitions.count as u64, "partition"),
            partitions.smallest,
            partitions.largest
        ));
        if self.shared_files > 0 {
            lines.push(format!("{} files are shared with the version before", self.shared_files));
        }
        if let Some(DirectorReport { table, rows, director_rows, .. }) = &self.director {
            let [least, median, most] = rows;
            let [fewest, middle, greatest] = director_rows;
            lines.push(format!(
                "rows a partition: {least} / {median} / {most} (least, median, most), of {table} {fewest} / {middle} / {greatest}"
            ));
        }
        for (what, members) in [("margin", &self.margins), ("index", &self.indexes)] {
            lines.extend(members.iter().map(|member| {
                format!(
                    "{what} {}: {} in {}",
                    member.folder,
                    counted(member.rows, "row"),
                    counted(member.files, "file")
                )
            }));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines
    }
}
