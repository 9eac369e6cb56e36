//! The footers of foreign Parquet files: one read each from its end, many at once.
//!
//! What is kept of a footer is small: rows, sizes, the schema (shared among the files that have the same), the bounds of
//! each column, and the range of the spatial index. The pages of a file are never read here.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::parquet_to_arrow_schema,
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        statistics::Statistics,
    },
};

use super::{
    Count,
    bounds::ManyBounds,
    leaves::Leaf,
    place::{Place, is_web_page},
};
use crate::{
    CatalogError, CatalogStore,
    statistics::{self, FileStatistics},
};

/// How much of a file's end is read at first: nearly every footer fits.
const FIRST_READ: u64 = 256 << 10;

/// No file has so many rows.
const MOST_ROWS: i64 = 1 << 44;

/// How many footers are asked for at the same time, of a place far away and of a local disk.
const AT_ONCE: usize = 32;
const AT_ONCE_LOCAL: usize = 8;

/// What the files of a catalogue say of themselves.
#[derive(Debug, Default)]
pub(super) struct Footers {
    pub(super) files: Vec<Footer>,
    pub(super) kinds: Vec<KindOfFile>,
}

/// What a file says of itself.
#[derive(Clone, Debug)]
pub(super) struct Footer {
    pub(super) leaf: Leaf,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) row_groups: u64,
    pub(super) index: IndexRange,
    /// Which of the kinds of files it is of.
    pub(super) kind: usize,
    /// Its number among those of its kind.
    pub(super) number: usize,
}

/// Files with the same schema.
#[derive(Debug)]
pub(super) struct KindOfFile {
    pub(super) schema: SchemaRef,
    /// The path of the first of them.
    pub(super) first: String,
    pub(super) files: usize,
    pub(super) rows: u64,
    /// Bounds of the columns of `schema`, by the number of the file.
    pub(super) bounds: ManyBounds,
}

impl Footers {
    fn push(&mut self, read: Read) -> Result<(), CatalogError> {
        let Read { leaf, bytes, rows, row_groups, index, schema, statistics } = read;
        let known = self.kinds.iter().position(|kind| Arc::ptr_eq(&kind.schema, &schema));
        let place = known.unwrap_or_else(|| {
            let (first, bounds) = (leaf.path.clone(), ManyBounds::default());
            self.kinds.push(KindOfFile { schema, first, files: 0, rows: 0, bounds });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[place];
        kind.files += 1;
        kind.rows += rows;
        let number = kind.bounds.push(statistics)?;
        self.files.push(Footer { leaf, bytes, rows, row_groups, index, kind: place, number });
        Ok(())
    }
}

/// A footer that was read.
struct Read {
    leaf: Leaf,
    bytes: u64,
    rows: u64,
    row_groups: u64,
    index: IndexRange,
    schema: SchemaRef,
    statistics: FileStatistics,
}

/// What the row groups of a file say of its spatial index column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexRange {
    /// Lowest and highest value; none when a row group does not tell.
    pub(super) range: Option<(u64, u64)>,
    /// Whether a row may have none.
    pub(super) nulls: bool,
    /// Whether the file says that it ascends by it, and its row groups do.
    pub(super) ascending: bool,
}

/// Reads the footers of all files, in their order. `index_column` is the name of the spatial index.
pub(super) async fn read_all(
    place: &Place,
    files: Vec<Leaf>,
    index_column: &str,
    count: &mut Count,
) -> Result<Footers, CatalogError> {
    count.expect(files.len());
    let schemas = Schemas::default();
    let at_once = if place.store().is_local() { AT_ONCE_LOCAL } else { AT_ONCE };
    let mut reads = stream::iter(files.into_iter().map(|leaf| {
        let (there, schemas, index_column) = (place.clone(), schemas.clone(), index_column.to_owned());
        let path = leaf.path.clone();
        async move {
            // A task of its own, so that footers are also parsed side by side, and a parser that panics is caught.
            let read = tokio::spawn(async move { read(&there, leaf, &schemas, &index_column).await });
            read.await.unwrap_or_else(|_| Err(place.bad(format!("{path}: its footer is damaged"))))
        }
    }))
    .buffered(at_once);
    let mut footers = Footers::default();
    while let Some(read) = reads.try_next().await? {
        footers.push(read)?;
        count.one_done();
    }
    Ok(footers)
}

/// The footer of a file that may be missing.
pub(super) async fn optional(place: &Place, file: &str) -> Result<Option<ParquetMetaData>, CatalogError> {
    match load(place, file).await {
        Ok(found) => Ok(Some(found.metadata)),
        Err(Fault::Absent | Fault::WebPage) => Ok(None),
        Err(Fault::Denied(_)) if !place.store().is_local() => Ok(None),
        Err(Fault::Denied(why) | Fault::Other(why)) => Err(place.bad(format!("{file}: {why}"))),
    }
}

async fn read(place: &Place, leaf: Leaf, schemas: &Schemas, index_column: &str) -> Result<Read, CatalogError> {
    let bad = |why: String| place.bad(format!("{}: {why}", leaf.path));
    let Loaded { metadata, bytes, body } = load(place, &leaf.path).await.map_err(|fault| match fault {
        Fault::Absent => bad("it is listed as a part of the catalogue, but is not there".to_owned()),
        Fault::WebPage => bad("a web page stands in its place".to_owned()),
        Fault::Denied(why) | Fault::Other(why) => bad(why),
    })?;
    let file = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
        .map_err(|error| bad(format!("its schema cannot be understood: {error}")))?;
    let schema = schemas.shared(schema);
    let rows = u64::try_from(file.num_rows()).map_err(|_| bad(format!("it tells {} rows", file.num_rows())))?;
    let mut groups = metadata.row_groups().iter().map(RowGroupMetaData::num_rows);
    let grouped = groups.try_fold(0_i64, |sum, rows| sum.checked_add(rows).filter(|_| rows >= 0));
    let Some(grouped) = grouped.filter(|rows| *rows < MOST_ROWS) else {
        return Err(bad("it tells impossible numbers of rows".to_owned()));
    };
    if metadata.row_groups().iter().flat_map(RowGroupMetaData::columns).any(|column| end_of(column) > body) {
        return Err(bad(format!("it has {bytes} bytes only, fewer than its footer speaks of")));
    }
    if i64::try_from(rows) != Ok(grouped) {
        return Err(bad(format!("it tells {rows} rows, but its row groups have {grouped}")));
    }
    Ok(Read {
        bytes,
        rows,
        row_groups: metadata.num_row_groups() as u64,
        statistics: statistics::of_footer(&schema, &metadata),
        index: index_range(&metadata, index_column),
        schema,
        leaf,
    })
}

/// Why no footer was read.
enum Fault {
    Absent,
    WebPage,
    Denied(String),
    Other(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { .. } => Self::Absent,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Self::Denied(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

struct Loaded {
    metadata: ParquetMetaData,
    /// The size of the file.
    bytes: u64,
    /// Where the footer begins.
    body: u64,
}

/// Reads the footer at the end of a file.
async fn load(place: &Place, file: &str) -> Result<Loaded, Fault> {
    let (objects, path) = (place.store().objects(), CatalogStore::object_path(&place.path(file)));
    let mut wanted = FIRST_READ;
    loop {
        let options = GetOptions { range: Some(GetRange::Suffix(wanted)), ..GetOptions::default() };
        let found = match objects.get_opts(&path, options).await {
            Err(Error::NotSupported { .. }) => return Err(instead_of_a_range(&*objects, &path).await?),
            found => found?,
        };
        let size = found.meta.size;
        let bytes = found.bytes().await?;
        if size == bytes.len() as u64 && is_web_page(&bytes) {
            return Err(Fault::WebPage);
        }
        let mut reader = ParquetMetaDataReader::new();
        let parsed = reader.try_parse_sized(&bytes, size);
        let footer = reader.metadata_size().unwrap_or_default() as u64;
        match parsed.and_then(|()| reader.finish()) {
            Ok(metadata) => return Ok(Loaded { metadata, bytes: size, body: size.saturating_sub(footer) }),
            Err(ParquetError::NeedMoreData(needed)) if needed as u64 > wanted => wanted = needed as u64,
            Err(error) => return Err(Fault::Other(format!("it is no whole Parquet file ({size} bytes): {error}"))),
        }
    }
}

/// Why a server sends no range of a file: often since it sends a web page for whatever is missing.
async fn instead_of_a_range(objects: &dyn ObjectStore, path: &Path) -> Result<Fault, Fault> {
    let mut body = objects.get(path).await?.into_stream();
    let begin = body.try_next().await?.unwrap_or_default();
    Ok(if is_web_page(&begin) {
        Fault::WebPage
    } else {
        Fault::Other("its server sends no ranges of files, and Parquet cannot be read without".to_owned())
    })
}

/// Where the last byte of a column chunk is, and of what tells where its pages are.
fn end_of(column: &ColumnChunkMetaData) -> u64 {
    let (start, length) = column.byte_range();
    let index = column.offset_index_offset().zip(column.offset_index_length());
    let index = index.and_then(|(start, length)| u64::try_from(start.saturating_add(i64::from(length))).ok());
    start.saturating_add(length).max(index.unwrap_or_default())
}

/// Schemas that are shared by the files that have the same.
#[derive(Clone, Debug, Default)]
struct Schemas(Arc<Mutex<Vec<SchemaRef>>>);

impl Schemas {
    fn shared(&self, schema: Schema) -> SchemaRef {
        // A thread that panicked here left a whole list behind.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.iter().find(|known| ***known == schema) {
            return Arc::clone(same);
        }
        let schema = Arc::new(schema);
        known.push(Arc::clone(&schema));
        schema
    }
}

/// The range of a column of whole numbers that are not negative, as the spatial index is.
fn index_range(metadata: &ParquetMetaData, column: &str) -> IndexRange {
    let unknown = IndexRange { range: None, nulls: true, ascending: false };
    let columns = metadata.file_metadata().schema_descr().columns();
    let Some(position) = columns.iter().position(|leaf| leaf.path().parts() == [column]) else { return unknown };
    let mut all = IndexRange { range: None, nulls: false, ascending: true };
    for group in metadata.row_groups().iter().filter(|group| group.num_rows() > 0) {
        let Some((low, high)) = group.column(position).statistics().and_then(bounds) else { return unknown };
        all.nulls |= group.column(position).statistics().and_then(Statistics::null_count_opt) != Some(0);
        let declared = group.sorting_columns().and_then(|columns| columns.first());
        let declared = declared.is_some_and(|first| first.column_idx as usize == position && !first.descending);
        all.ascending &= declared && all.range.is_none_or(|(_, before)| before <= low);
        all.range = Some(all.range.map_or((low, high), |(first, last)| (first.min(low), last.max(high))));
    }
    all
}

fn bounds(statistics: &Statistics) -> Option<(u64, u64)> {
    let (low, high) = match statistics {
        Statistics::Int64(values) => (*values.min_opt()?, *values.max_opt()?),
        Statistics::Int32(values) => (i64::from(*values.min_opt()?), i64::from(*values.max_opt()?)),
        _ => return None,
    };
    Some((u64::try_from(low).ok()?, u64::try_from(high).ok()?))
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array, RecordBatch},
        compute::concat_batches,
    };
    use parquet::{
        arrow::{ArrowWriter, arrow_reader::ArrowReaderMetadata},
        file::{metadata::SortingColumn, properties::WriterProperties},
    };

    use super::*;

    fn footer(cells: Vec<Option<i64>>, sorted: bool) -> Arc<ParquetMetaData> {
        let column = |values| Arc::new(Int64Array::from(values)) as ArrayRef;
        let ids = column((0..cells.len() as i64).map(Some).collect());
        let batch =
            RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("cell", column(cells), true)]).unwrap();
        let by_cell = SortingColumn { column_idx: 1, descending: false, nulls_first: false };
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(2))
            .set_sorting_columns(sorted.then(|| vec![by_cell]))
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&concat_batches(&batch.schema(), [&batch]).unwrap()).unwrap();
        let bytes = bytes::Bytes::from(writer.into_inner().unwrap());
        Arc::clone(ArrowReaderMetadata::load(&bytes, Default::default()).unwrap().metadata())
    }

    #[test]
    fn the_range_of_the_index_is_that_of_all_row_groups() {
        let sorted = index_range(&footer(vec![Some(3), Some(5), Some(5), Some(9)], true), "cell");
        assert_eq!(sorted, IndexRange { range: Some((3, 9)), nulls: false, ascending: true });
        let undeclared = index_range(&footer(vec![Some(3), Some(5), Some(5), Some(9)], false), "cell");
        assert_eq!(undeclared, IndexRange { ascending: false, ..sorted });
        let lying = index_range(&footer(vec![Some(8), Some(9), Some(1), Some(2)], true), "cell");
        assert_eq!(lying, IndexRange { range: Some((1, 9)), nulls: false, ascending: false });
        let nulls = index_range(&footer(vec![Some(8), None], true), "cell");
        assert_eq!(nulls, IndexRange { range: Some((8, 8)), nulls: true, ascending: true });
        for (cells, column) in [(vec![None, None], "cell"), (vec![Some(-1), Some(2)], "cell"), (vec![Some(1)], "other")]
        {
            assert_eq!(index_range(&footer(cells, true), column).range, None);
        }
        let empty = index_range(&footer(Vec::new(), true), "cell");
        assert_eq!(empty, IndexRange { range: None, nulls: false, ascending: true });
    }
}
