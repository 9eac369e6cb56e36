//! Plain Parquet files that no catalogue describes, taken up where they lie: a table without positions.
//!
//! Their footers tell columns, rows and the bounds of each column, so that a query skips files and row groups. There is
//! no spatial index: a search of the sky reads the positions of all rows.

use std::{collections::BTreeMap, time::Instant};

use super::{
    AttachOptions, AttachReport, Count, Found, Listener,
    info::CatalogInfo,
    leaves::{Leaf, Leaves},
    place::Place,
    table,
};
use crate::{CatalogError, CatalogSnapshot, CatalogStore, TableName, descriptor::Kind, open};

/// Takes up the Parquet files `files` below `folder` as a version of the table `name`, in the folder `root` of our own
/// store `home`; all files below it where none is named. They must have columns that fit together.
pub async fn attach_files(
    home: &CatalogStore,
    root: &str,
    name: &TableName,
    folder: &str,
    files: Vec<String>,
    options: &AttachOptions,
    listener: Listener,
) -> Result<(CatalogSnapshot, AttachReport), CatalogError> {
    let began = Instant::now();
    let place = Place::open(folder, &options.remote)?;
    let files = match files.is_empty() {
        true => place.list("").await?.into_iter().flatten().filter(|path| is_leaf(path)).collect(),
        false => files,
    };
    if files.is_empty() {
        return Err(place.bad("no Parquet file stands there"));
    }
    let leaves =
        Leaves { files: files.into_iter().map(|path| Leaf { pixel: None, path }).collect(), warnings: Vec::new() };
    let mut count = Count { listener, done: 0, total: 0 };
    let info = plain();
    let mut table = table::of_leaves(&place, &info, leaves, &mut count).await?;
    count.finish();
    table.warnings.clear(); // what a catalogue would have and these lack
    let (margins, indexes, of_collection) = (Vec::new(), Vec::new(), BTreeMap::new());
    let found = Found { place, info, table, margins, indexes, of_collection, warnings: Vec::new() };
    let descriptor = found.descriptor(name, options.note.clone());
    let report = found.report(&descriptor, began);
    found.write(home, root, &descriptor, &report).await?;
    Ok((open(home, root, &options.remote).await?, report))
}

/// Whether a path is that of a Parquet file, and not hidden nor beside the data.
fn is_leaf(path: &str) -> bool {
    path.ends_with(".parquet") && !path.split('/').any(|part| part.starts_with(['.', '_']))
}

/// What is known of files that nobody describes.
fn plain() -> CatalogInfo {
    CatalogInfo {
        kind: Kind::Table,
        rows: None,
        position: None,
        default_columns: Vec::new(),
        healpix: None,
        suffix: String::new(),
        margin_threshold: None,
        index_column: None,
        leaf_files: true,
        kept: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::StoreOptions;

    fn write(path: &std::path::Path, column: &str, values: Vec<i64>) {
        let array: ArrayRef = Arc::new(Int64Array::from(values));
        let batch = RecordBatch::try_from_iter([(column, array)]).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    async fn attached(folder: &std::path::Path, files: &[&str]) -> Result<CatalogSnapshot, CatalogError> {
        let url = folder.join("home").display().to_string();
        let home = CatalogStore::open(&StoreOptions { url, ..Default::default() })?;
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let place = folder.join("data").display().to_string();
        let (name, options) = ("here.t".parse()?, AttachOptions::default());
        let taken = attach_files(&home, "t", &name, &place, files, &options, Arc::new(|_, _| {})).await;
        taken.map(|(snapshot, _)| snapshot)
    }

    #[tokio::test]
    async fn files_are_a_table_of_all_their_rows_with_the_bounds_of_each_file() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        write(&data.join("a.parquet"), "x", vec![1, 2, 3]);
        write(&data.join("sub/ü b.parquet"), "x", vec![10, 20]);
        write(&data.join(".hidden.parquet"), "x", vec![0]);
        std::fs::write(data.join("readme.txt"), "no rows").unwrap();
        let all = attached(folder.path(), &[]).await.unwrap();
        assert_eq!((all.rows(), all.files().len(), all.position().is_none()), (5, 2, true));
        assert!(all.statistics("x").await.unwrap().is_some());
        let one = attached(folder.path(), &["a.parquet"]).await.unwrap();
        assert_eq!((one.rows(), one.files().len()), (3, 1));
    }

    #[tokio::test]
    async fn what_is_no_parquet_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        assert!(attached(folder.path(), &[]).await.unwrap_err().to_string().contains("no Parquet file"));
        std::fs::write(data.join("b.parquet"), "PAR1 or not").unwrap();
        assert!(attached(folder.path(), &[]).await.unwrap_err().to_string().contains("b.parquet"));
        assert!(attached(folder.path(), &["c.parquet"]).await.unwrap_err().to_string().contains("c.parquet"));
    }
}
