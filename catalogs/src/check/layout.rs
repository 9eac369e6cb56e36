//! The small files: what they tell must be what the manifest tells.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::metadata::ParquetMetaDataReader};
use serde::Deserialize;
use sky::Pixel;

use super::{Context, Member, defects::counted};
use crate::{CatalogError, DataFile, IndexMember, MarginMember, Properties, layout as paths};

/// Checks the small files of the table, its margins and its indexes.
pub(super) async fn check(
    context: &Context,
    margins: &[(MarginMember, Member)],
    indexes: &[(IndexMember, Member)],
) -> Result<(), CatalogError> {
    let snapshot = &context.snapshot;
    overlaps(context, snapshot.files());
    // A version that shares files with an older one is no HATS tree of its own.
    let is_hats = snapshot.position().is_some() && snapshot.files().iter().all(|file| !file.path.starts_with('/'));
    if is_hats && let Some(folder) = folder_of(context) {
        check_tree(context, &folder, snapshot.files(), true).await?;
    }
    for (_, member) in margins {
        overlaps(context, &member.files);
        check_tree(context, &format!("{}/", member.folder), &member.files, true).await?;
    }
    for (_, member) in indexes {
        let folder = format!("{}/", member.folder);
        check_tree(context, &folder, &member.files, false).await?;
        check_footers(context, &folder, &member.files).await?;
    }
    if context.is_ours() { check_report(context).await } else { Ok(()) }
}

/// The rows that were read must be those that the table is said to have.
pub(super) fn check_rows(context: &Context, rows: u64) {
    let told = context.snapshot.descriptor().rows;
    let unread = context.snapshot.rows() != rows; // a file that could not be read is a defect already
    if told != context.snapshot.rows() {
        let what = format!("it tells {told} rows; the manifest tells {}", context.snapshot.rows());
        context.defects.add(paths::DESCRIPTOR, None, what);
    } else if unread && context.defects.is_empty() {
        context.defects.add(paths::MANIFEST, None, format!("it tells {told} rows; {rows} were read"));
    }
}

/// The folder of the table's own HATS files.
fn folder_of(context: &Context) -> Option<String> {
    let snapshot = &context.snapshot;
    match snapshot.files().first().and_then(|file| file.path.find("dataset/").map(|end| &file.path[..end])) {
        Some(folder) => Some(folder.to_owned()),
        None if context.is_ours() => Some(format!("{}/", snapshot.descriptor().name.rsplit('.').next()?)),
        None => None,
    }
}

fn overlaps(context: &Context, files: &[DataFile]) {
    let mut pixels: Vec<(Pixel, &DataFile)> = files.iter().filter_map(|file| Some((file.pixel?, file))).collect();
    pixels.sort_by_key(|(pixel, _)| (pixel.range().start, pixel.order()));
    let mut widest: Option<(Pixel, &DataFile)> = None;
    for (pixel, file) in pixels {
        if let Some((other, of)) = widest
            && pixel.range().start < other.range().end
        {
            // A foreign partition may be a folder of several files.
            if pixel != other || context.is_ours() {
                let what = format!("its partition {pixel} overlaps {other}, that of {}", of.path);
                context.defects.add(&file.path, None, what);
            }
            continue;
        }
        widest = Some((pixel, file));
    }
}

/// A small file below the place of the data; none if it is not there.
async fn small(context: &Context, path: &str) -> Result<Option<Bytes>, CatalogError> {
    match context.store().get(&context.path(path)).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The properties and the list of partitions of a folder, against its files.
async fn check_tree(
    context: &Context,
    folder: &str,
    files: &[DataFile],
    has_partitions: bool,
) -> Result<(), CatalogError> {
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let mut found = false;
    for name in [paths::PROPERTIES, paths::OLD_PROPERTIES] {
        let path = format!("{folder}{name}");
        let Some(text) = small(context, &path).await? else { continue };
        found = true;
        let properties = Properties::parse(&String::from_utf8_lossy(&text));
        if let Some(told) = properties.get("hats_nrows").filter(|told| told.parse() != Ok(rows)) {
            context.defects.add(&path, None, format!("it tells {told} rows; the files have {rows}"));
        }
    }
    if !found && context.is_ours() {
        context.defects.add(&format!("{folder}{}", paths::PROPERTIES), None, "it is missing");
    }
    if has_partitions { check_partitions(context, folder, files).await } else { Ok(()) }
}

async fn check_partitions(context: &Context, folder: &str, files: &[DataFile]) -> Result<(), CatalogError> {
    let path = format!("{folder}{}", paths::PARTITIONS);
    let Some(text) = small(context, &path).await? else {
        if context.is_ours() {
            context.defects.add(&path, None, "it is missing");
        }
        return Ok(());
    };
    let Some(listed) = partitions_of(&String::from_utf8_lossy(&text)) else {
        context.defects.add(&path, None, "it is no list of partitions");
        return Ok(());
    };
    let there: BTreeSet<(u8, u64)> =
        files.iter().filter_map(|file| file.pixel).map(|pixel| (pixel.order().get(), pixel.index())).collect();
    let first = |cells: Vec<&(u8, u64)>| {
        cells.first().map(|(order, index)| (counted(cells.len() as u64, "partition"), format!("{order}/{index}")))
    };
    if let Some((count, cell)) = first(listed.difference(&there).collect()) {
        context.defects.add(&path, None, format!("it lists {count} without a file; the first is {cell}"));
    }
    if let Some((count, cell)) = first(there.difference(&listed).collect()) {
        context.defects.add(&path, None, format!("it lacks {count} with a file; the first is {cell}"));
    }
    Ok(())
}

/// The cells of a `partition_info.csv`.
fn partitions_of(text: &str) -> Option<BTreeSet<(u8, u64)>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let header: Vec<&str> = lines.next()?.split(',').map(str::trim).collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let (order, index) = (column("Norder")?, column("Npix")?);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            Some((cells.get(order)?.parse().ok()?, cells.get(index)?.parse().ok()?))
        })
        .collect()
}

/// The footers of an index, which other readers open it by.
async fn check_footers(context: &Context, folder: &str, files: &[DataFile]) -> Result<(), CatalogError> {
    let path = format!("{folder}dataset/_metadata");
    let Some(bytes) = small(context, &path).await? else {
        context.defects.add(&path, None, "it is missing, and an index is opened by it");
        return Ok(());
    };
    let footers = match ParquetMetaDataReader::new().parse_and_finish(&bytes) {
        Ok(footers) => footers,
        Err(error) => {
            context.defects.add(&path, None, format!("it cannot be read: {error}"));
            return Ok(());
        }
    };
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    for group in footers.row_groups() {
        let file = group.columns().first().and_then(|column| column.file_path()).unwrap_or_default();
        *told.entry(file.trim_start_matches('/')).or_default() += group.num_rows().max(0) as u64;
    }
    let below = |file: &'_ DataFile| {
        file.path.strip_prefix(folder).and_then(|path| path.strip_prefix("dataset/")).map(str::to_owned)
    };
    for file in files.iter().filter(|file| file.rows > 0) {
        match told.remove(below(file).unwrap_or_default().as_str()) {
            None => context.defects.add(&path, None, format!("it lacks {}", file.path)),
            Some(rows) if rows != file.rows => {
                context.defects.add(
                    &path,
                    None,
                    format!("it tells {rows} rows for {}, which has {}", file.path, file.rows),
                );
            }
            Some(_) => {}
        }
    }
    for (file, _) in told.iter().filter(|(_, rows)| **rows > 0) {
        context.defects.add(&path, None, format!("it tells of {file}, which is not there"));
    }
    Ok(())
}

/// The part of an import's report that must add up.
#[derive(Deserialize)]
struct Report {
    rows_read: u64,
    rows_published: u64,
    set_aside: BTreeMap<String, u64>,
    rows: u64,
}

/// Rows read are rows published and rows set aside, to the row.
async fn check_report(context: &Context) -> Result<(), CatalogError> {
    let path = paths::IMPORT_REPORT;
    let Some(text) = small(context, path).await? else { return Ok(()) };
    let Ok(report) = serde_json::from_slice::<Report>(&text) else {
        context.defects.add(path, None, "it is no report of an import");
        return Ok(());
    };
    let (aside, rows) = (report.set_aside.values().sum::<u64>(), context.snapshot.rows());
    if report.rows_read != report.rows_published + aside {
        let what = format!(
            "it tells {} rows read, but {} published and {aside} set aside",
            report.rows_read, report.rows_published
        );
        context.defects.add(path, None, what);
    }
    if report.rows != rows {
        context.defects.add(path, None, format!("it tells {} rows; the manifest tells {rows}", report.rows));
    }
    check_set_aside(context, aside).await
}

/// The rows that were set aside must be there.
async fn check_set_aside(context: &Context, told: u64) -> Result<(), CatalogError> {
    let path = paths::SET_ASIDE;
    let rows = match small(context, path).await? {
        None => 0,
        Some(bytes) => match ParquetRecordBatchReaderBuilder::try_new(bytes) {
            Ok(reader) => reader.metadata().file_metadata().num_rows().max(0) as u64,
            Err(error) => {
                context.defects.add(path, None, format!("it cannot be read: {error}"));
                return Ok(());
            }
        },
    };
    if rows < told {
        let what = format!("{} tells {told} rows set aside, {rows} are there", paths::IMPORT_REPORT);
        context.defects.add(path, None, what);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_partitions_may_have_more_columns_in_any_order() {
        let listed = partitions_of("Npix,Dir,Norder,num_rows\n44,0,1,131\n 7 ,0, 2,5\n").unwrap();
        assert_eq!(listed.into_iter().collect::<Vec<_>>(), [(1, 44), (2, 7)]);
        assert_eq!(partitions_of("Norder,Npix\n").unwrap().len(), 0);
        assert!(partitions_of("").is_none() && partitions_of("Norder,Npix\nx,1\n").is_none());
    }
}
