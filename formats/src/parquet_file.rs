//! Parquet: the footer tells everything, and row groups are decoded side by side.
//!
//! A row group of many rows becomes several pieces where rows can be skipped without decoding them, and small ones are
//! read together. The Arrow types that a writer noted are honoured; of the other notes only the VOTable of a VOParquet
//! file is read, for what it says of the columns. A file that is damaged, encrypted or cut short is refused, and rows
//! are counted against the footer.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
        page_index::offset_index::PageLocation,
        reader::ChunkReader,
    },
};

use crate::{
    FormatError, Input, Piece, Pieces, Places, Rows, TableSource, batch_rows,
    caught::caught,
    pages::Pages,
    source::{BATCH_BYTES, Take, bare},
    votable,
};

/// The VOTable of a VOParquet file, without data.
const VOTABLE: &str = "IVOA.VOTable-Parquet.content";
const ENCRYPTED: &str = "it is encrypted; decrypt it first";
/// More rows than a file can have.
const MOST_ROWS: i64 = 1 << 40;
/// How many rows make a large enough piece.
const PIECE_ROWS: usize = 1 << 20;
/// Row groups are read together up to so many rows: what a batch may have.
const TOGETHER: usize = 65_536;
/// How much of the end of a file is read at once: most footers are smaller.
const TAIL: u64 = 64 << 10;

/// Opens a Parquet file that begins like this.
pub(crate) fn open(input: Input, head: &[u8]) -> Result<Box<dyn TableSource>, FormatError> {
    match head {
        [b'P', b'A', b'R', b'1', ..] => {}
        [b'P', b'A', b'R', b'E', ..] => return Err(input.bad(ENCRYPTED)),
        _ => return Err(input.bad("it is not a Parquet file")),
    }
    let metadata = read_footer(&input)?;
    if let Some(elsewhere) = metadata.row_groups().iter().flat_map(|group| group.columns()).find_map(|c| c.file_path())
    {
        return Err(input.bad(format_args!("it only sums up other files: its rows lie in {elsewhere} and the like")));
    }
    let footer = caught(|| {
        check_places(&metadata, input.size())?;
        ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
    });
    let footer = flat(footer).map_err(|why| input.bad(damaged(why)))?;
    let notes = footer.metadata().file_metadata().key_value_metadata();
    let votable = notes.into_iter().flatten().find(|note| note.key == VOTABLE).and_then(|note| note.value.as_deref());
    let mut schema: SchemaRef = bare(footer.schema()).into();
    if let Some(votable) = votable {
        schema = votable::describe(&schema, votable.as_bytes()).map_err(|error| input.bad(error))?;
    }
    let rows = footer.metadata().row_groups().iter().map(|group| group.num_rows() as u64).sum();
    Ok(Box::new(ParquetTable { input, footer, schema, rows }))
}

struct ParquetTable {
    input: Input,
    footer: ArrowReaderMetadata,
    schema: SchemaRef,
    rows: u64,
}

/// The columns of a pass.
struct Projection {
    mask: ProjectionMask,
    schema: SchemaRef,
    batch_rows: usize,
    leaves: Vec<usize>,
}

/// The rows of a piece.
struct Part {
    groups: Range<usize>,
    /// Those of all rows of the groups.
    rows: Range<usize>,
    /// The number of its first row in the file, from 1.
    first: u64,
}

impl TableSource for ParquetTable {
    fn name(&self) -> &str {
        self.input.name()
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fingerprint(&self) -> String {
        self.input.fingerprint().to_owned()
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let projection = Arc::new(self.project(columns)?);
        let pieces = self.parts(&projection).into_iter().map(move |part| {
            let projection = Arc::clone(&projection);
            Ok(Piece::new(move |take| self.decode(&part, &projection, take)))
        });
        Ok(Box::new(pieces))
    }
}

impl ParquetTable {
    fn project(&self, columns: Option<&[usize]>) -> Result<Projection, FormatError> {
        let descriptor = self.footer.parquet_schema();
        let (mask, schema) = match columns {
            None => (ProjectionMask::all(), Arc::clone(&self.schema)),
            Some(columns) => {
                let schema = self.schema.project(columns).map_err(|error| self.input.bad(error))?;
                (ProjectionMask::roots(descriptor, columns.iter().copied()), Arc::new(schema))
            }
        };
        let leaves = (0..descriptor.num_columns()).filter(|&leaf| mask.leaf_included(leaf)).collect();
        Ok(Projection { mask, batch_rows: batch_rows(&schema), schema, leaves })
    }

    fn parts(&self, projection: &Projection) -> Vec<Part> {
        let rows_of = |group: usize| self.footer.metadata().row_group(group).num_rows() as usize;
        let mut parts = Vec::new();
        let mut next = 0;
        let mut first = 1;
        while next < self.footer.metadata().num_row_groups() {
            let (group, mut rows) = (next, rows_of(next));
            next += 1;
            while next < self.footer.metadata().num_row_groups() && rows + rows_of(next) <= TOGETHER {
                rows += rows_of(next);
                next += 1;
            }
            // The rest stays with the last piece: it is small.
            let count = if self.can_skip(group, projection) { (rows / PIECE_ROWS).max(1) } else { 1 };
            for part in 0..count {
                let start = part * PIECE_ROWS;
                let end = if part + 1 == count { rows } else { start + PIECE_ROWS };
                parts.push(Part { groups: group..next, rows: start..end, first: first + start as u64 });
            }
            first += rows as u64;
        }
        parts.retain(|part| !part.rows.is_empty());
        parts
    }

    /// Whether rows can be skipped without decoding those before them: the index of pages tells where each begins, or,
    /// of a file nearby, the headers of the pages do if a value is a row.
    fn can_skip(&self, group: usize, projection: &Projection) -> bool {
        let descriptor = self.footer.parquet_schema();
        self.has_page_index(group)
            || (!self.input.is_far()
                && projection.leaves.iter().all(|&leaf| descriptor.column(leaf).max_rep_level() == 0))
    }

    fn has_page_index(&self, group: usize) -> bool {
        let index = self.footer.metadata().offset_index().and_then(|index| index.get(group));
        index.is_some_and(|columns| columns.len() == self.footer.parquet_schema().num_columns())
    }

    fn decode(&self, part: &Part, projection: &Projection, take: &mut Take<'_>) -> Result<(), FormatError> {
        let stretches = if self.input.is_far() { self.stretches(part, projection) } else { Vec::new() };
        let pages = Pages::open(&self.input, stretches).map_err(|error| self.input.unreadable(error))?;
        let at_fault = |why: String| match pages.failure() {
            Some(error) => self.input.unreadable(error),
            None if part.groups.len() > 1 => {
                let (first, last) = (part.groups.start, part.groups.end - 1);
                self.input.bad(format_args!("one of the row groups {first} to {last} is damaged: {why}"))
            }
            None => self.input.bad(format_args!("row group {} is damaged: {why}", part.groups.start)),
        };
        let reader = caught(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(pages.clone(), self.footer.clone())
                .with_row_groups(part.groups.clone().collect())
                .with_projection(projection.mask.clone())
                .with_batch_size(self.batch_rows(part, projection).min(part.rows.len()))
                .with_offset(part.rows.start)
                .with_limit(part.rows.len())
                .build()
        });
        let mut reader = flat(reader).map_err(at_fault)?;
        let mut read = 0;
        while let Some(batch) = caught(|| reader.next()).map_err(at_fault)? {
            let batch = batch.map_err(|error| at_fault(error.to_string()))?;
            let batch = dressed(&batch, &projection.schema).map_err(at_fault)?;
            let (first, rows) = (part.first + read as u64, batch.num_rows());
            take(Rows { batch, places: Places::Rows(first), bad: Vec::new() })?;
            read += rows;
        }
        if read != part.rows.len() {
            let why = format!("it holds {read} rows where the footer says {}", part.rows.len());
            return Err(at_fault(why));
        }
        Ok(())
    }

    /// How many rows make a good batch: fewer than their types tell where texts and lists are long.
    fn batch_rows(&self, part: &Part, projection: &Projection) -> usize {
        let widths = part.groups.clone().map(|group| {
            let group = self.footer.metadata().row_group(group);
            let bytes = projection.leaves.iter().map(|&leaf| {
                let column = group.column(leaf);
                column.uncompressed_size().max(column.unencoded_byte_array_data_bytes().unwrap_or(0)).max(0) as usize
            });
            bytes.fold(0, usize::saturating_add) / (group.num_rows() as usize).max(1)
        });
        let width = widths.max().unwrap_or(0).max(1);
        projection.batch_rows.min(BATCH_BYTES / width).max(1)
    }

    /// Where the file holds the pages of a part.
    fn stretches(&self, part: &Part, projection: &Projection) -> Vec<Range<u64>> {
        let mut stretches = Vec::new();
        for group in part.groups.clone() {
            let rows = self.footer.metadata().row_group(group).num_rows() as usize;
            let cut = part.rows.len() < rows && self.has_page_index(group);
            let index = self.footer.metadata().offset_index().filter(|_| cut);
            for &leaf in &projection.leaves {
                let (start, length) = self.footer.metadata().row_group(group).column(leaf).byte_range();
                let chunk = start..start + length;
                match index {
                    Some(index) => stretches.extend(needed(chunk, index[group][leaf].page_locations(), &part.rows)),
                    None => stretches.push(chunk),
                }
            }
        }
        stretches.retain(|range| range.start < range.end && range.end <= self.input.size());
        stretches
    }
}

/// What of a column is needed for some rows: what precedes its pages, a dictionary, and the pages with the rows.
fn needed(chunk: Range<u64>, pages: &[PageLocation], rows: &Range<usize>) -> [Range<u64>; 2] {
    let offset = |page: usize, otherwise: u64| pages.get(page).map_or(otherwise, |page| page.offset as u64);
    let after = |row: usize| pages.partition_point(|page| page.first_row_index <= row as i64);
    let first = offset(after(rows.start).saturating_sub(1), chunk.start);
    [chunk.start..offset(0, chunk.start), first..offset(after(rows.end - 1), chunk.end)]
}

/// A batch with the schema of its source: the same types, and what is known of the columns.
fn dressed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &rows)
        .map_err(|error| error.to_string())
}

/// Reads the footer, and where the pages lie if a row group is so large that it will be read in parts.
fn read_footer(input: &Input) -> Result<ParquetMetaData, FormatError> {
    let size = input.size();
    let pages = Pages::open(input, Some(size.saturating_sub(TAIL)..size)).map_err(|error| input.unreadable(error))?;
    let at_fault = |why: String| match pages.failure() {
        Some(error) => input.unreadable(error),
        None => input.bad(why),
    };
    let end = pages.get_bytes(size - 4, 4).map_err(|error| at_fault(error.to_string()))?;
    match &end[..] {
        b"PAR1" if size >= 12 => {}
        b"PARE" => return Err(input.bad(ENCRYPTED)),
        _ => return Err(input.bad("it is cut short: it does not end as a Parquet file must")),
    }
    let footer = caught(|| {
        let mut reader = ParquetMetaDataReader::new();
        reader.try_parse(&pages)?;
        let metadata = reader.finish()?;
        if metadata.row_groups().iter().all(|group| group.num_rows() < 2 * PIECE_ROWS as i64) {
            return Ok(metadata);
        }
        let mut reader =
            ParquetMetaDataReader::new_with_metadata(metadata).with_offset_index_policy(PageIndexPolicy::Optional);
        reader.read_page_indexes(&pages)?;
        reader.finish()
    });
    flat(footer).map_err(|why| at_fault(damaged(why)))
}

/// Refuses a footer that speaks of rows or bytes that can't be there; the decoder takes its word.
fn check_places(metadata: &ParquetMetaData, size: u64) -> Result<(), ParquetError> {
    let mut rows = 0_i64;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        rows = rows.saturating_add(group.num_rows());
        if group.num_rows() < 0 || rows > MOST_ROWS {
            return Err(ParquetError::General(format!("row group {number} is said to have {} rows", group.num_rows())));
        }
        for column in group.columns() {
            let (start, length) = column.byte_range();
            if start.checked_add(length).is_none_or(|end| end > size) {
                let name = column.column_path().string();
                let why = format!("column {name} of row group {number} lies beyond the end of the file");
                return Err(ParquetError::General(why));
            }
        }
    }
    Ok(())
}

fn damaged(why: String) -> String {
    format!("its footer is damaged: {why}")
}

fn flat<T>(result: Result<Result<T, ParquetError>, String>) -> Result<T, String> {
    result?.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::{
        array::{ArrayRef, Int32Array, Int64Array, StringArray},
        datatypes::{DataType, Field, Schema},
    };
    use parquet::{
        arrow::ArrowWriter,
        file::{
            metadata::{KeyValue, ParquetMetaDataWriter},
            properties::{EnabledStatistics, WriterProperties},
        },
    };

    use super::*;
    use crate::testing::{Broken, Net, local, read, refusal, stars};

    fn parquet(batch: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    fn in_groups_of(rows: usize) -> WriterProperties {
        WriterProperties::builder().set_max_row_group_row_count(Some(rows)).set_data_page_row_count_limit(500).build()
    }

    fn opened(bytes: &[u8]) -> (tempfile::TempDir, Box<dyn TableSource>) {
        let (folder, input) = local("stars.parquet", bytes);
        (folder, crate::open(input, &Default::default()).unwrap())
    }

    #[test]
    fn rows_types_and_metadata_come_back_as_they_were_written() {
        let batch = stars(100_000);
        let (_folder, table) = opened(&parquet(&batch, in_groups_of(40_000)));
        assert_eq!(table.row_count(), Some(100_000));
        assert_eq!(table.schema(), &batch.schema());
        assert_eq!(table.pieces(None).unwrap().count(), 2, "40,000 rows, and 40,000 with 20,000");
        assert_eq!(read(&*table, None).unwrap(), batch);
        assert_eq!(read(&*table, None).unwrap(), batch, "a second pass gives the same");
    }

    #[test]
    fn some_columns_can_be_read_and_even_none() {
        let batch = stars(5_000);
        let (_folder, table) = opened(&parquet(&batch, in_groups_of(2_000)));
        assert_eq!(read(&*table, Some(&[1, 4])).unwrap(), batch.project(&[1, 4]).unwrap());
        let mut rows = 0;
        for piece in table.pieces(Some(&[])).unwrap() {
            let count = &mut |part: Rows| {
                rows += part.batch.num_rows();
                Ok(())
            };
            piece.unwrap().decode(count).unwrap();
        }
        assert_eq!(rows, 5_000);
    }

    #[test]
    fn pieces_can_be_decoded_in_any_order_on_other_threads() {
        let batch = stars(200_000);
        let (_folder, table) = opened(&parquet(&batch, in_groups_of(40_000)));
        let pieces: Vec<_> = table.pieces(Some(&[0])).unwrap().map(|piece| piece.unwrap()).collect();
        let mut firsts = std::thread::scope(|scope| {
            let threads = pieces.into_iter().rev().map(|piece| {
                scope.spawn(|| {
                    let mut first = 0;
                    piece
                        .decode(&mut |rows| {
                            let ids = rows.batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
                            assert_eq!(rows.places, Places::Rows(ids.value(0) as u64 + 1));
                            first = ids.value(0);
                            assert_eq!(rows.batch.num_rows(), 40_000);
                            Ok(())
                        })
                        .unwrap();
                    first
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        firsts.sort_unstable();
        assert_eq!(firsts, [0, 40_000, 80_000, 120_000, 160_000]);
    }

    #[test]
    fn a_large_row_group_is_read_in_pieces_of_whole_rows() {
        let rows = 2 * PIECE_ROWS + 4_321;
        let id: ArrayRef = Arc::new(Int32Array::from_iter_values((0..rows as i32).map(|i| i / 3)));
        let odd: ArrayRef = Arc::new(Int32Array::from_iter((0..rows as i32).map(|i| (i % 2 == 1).then_some(i))));
        let batch = RecordBatch::try_from_iter_with_nullable([("id", id, false), ("odd", odd, true)]).unwrap();
        for page_index in [true, false] {
            let properties = WriterProperties::builder()
                .set_max_row_group_row_count(Some(rows))
                .set_offset_index_disabled(!page_index)
                .set_statistics_enabled(if page_index { EnabledStatistics::Page } else { EnabledStatistics::None })
                .build();
            let bytes = parquet(&batch, properties);
            let (_folder, table) = opened(&bytes);
            assert_eq!(table.pieces(None).unwrap().count(), 2);
            assert!(read(&*table, None).unwrap() == batch, "page index: {page_index}");

            let net = Net::new(Broken::Never);
            let table = crate::open(net.input("large.parquet", &bytes), &Default::default()).unwrap();
            assert_eq!(table.pieces(None).unwrap().count(), if page_index { 2 } else { 1 });
            assert!(read(&*table, None).unwrap() == batch, "far, page index: {page_index}");
        }
    }

    #[test]
    fn an_object_gives_the_rows_of_the_file_even_if_answers_break_off() {
        let batch = stars(100_000);
        let bytes = parquet(&batch, in_groups_of(40_000));
        for broken in [Broken::Never, Broken::ShortOnce, Broken::ErrorOnce] {
            let net = Net::new(broken);
            let table = crate::open(net.input("stars.parquet", &bytes), &Default::default()).unwrap();
            assert_eq!(read(&*table, None).unwrap(), batch);
            assert_eq!(read(&*table, Some(&[0, 3])).unwrap(), batch.project(&[0, 3]).unwrap());
        }
    }

    #[test]
    fn a_large_piece_of_an_object_is_read_in_windows_and_each_byte_once() {
        let batch = stars(100_000);
        let bytes = parquet(&batch, in_groups_of(100_000));
        let net = Net::new(Broken::Never);
        let table = crate::open(net.input("stars.parquet", &bytes), &Default::default()).unwrap();
        let before = (net.store.answers(), net.store.bytes_sent());
        assert_eq!(read(&*table, None).unwrap(), batch);
        assert!(net.store.answers() - before.0 > 10, "{} answers", net.store.answers());
        assert!(net.store.bytes_sent() - before.1 <= bytes.len() as u64, "some bytes were fetched twice");
    }

    #[test]
    fn to_open_an_object_takes_two_requests() {
        let net = Net::new(Broken::Never);
        let input = net.input("stars.parquet", &parquet(&stars(100_000), in_groups_of(40_000)));
        crate::open(input, &Default::default()).unwrap();
        assert_eq!(net.store.answers(), 2);
    }

    #[test]
    fn an_object_that_goes_away_is_not_called_damaged() {
        let net = Net::new(Broken::Never);
        let table = crate::open(
            net.input("stars.parquet", &parquet(&stars(100_000), in_groups_of(40_000))),
            &Default::default(),
        )
        .unwrap();
        net.remove("stars.parquet");
        assert_eq!(read(&*table, None).unwrap_err(), "stars.parquet: there is no such object");
    }

    #[test]
    fn long_texts_and_lists_make_batches_of_fewer_rows() {
        let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..300).map(|i| format!("{i}").repeat(100_000))));
        let same: ArrayRef = Arc::new(StringArray::from_iter_values((0..300).map(|_| "x".repeat(200_000))));
        for column in [text, same] {
            let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
            let (_folder, table) = opened(&parquet(&batch, in_groups_of(1_000)));
            let mut most = 0;
            for piece in table.pieces(None).unwrap() {
                let measure = &mut |rows: Rows| {
                    most = most.max(rows.batch.get_array_memory_size());
                    Ok(())
                };
                piece.unwrap().decode(measure).unwrap();
            }
            assert!(most < 2 * BATCH_BYTES, "{most}");
            assert_eq!(read(&*table, None).unwrap(), batch);
        }
    }

    #[test]
    fn a_footer_that_speaks_of_absurdly_many_rows_is_refused() {
        let bytes = parquet(&stars(3_000), in_groups_of(1_000));
        let mut reader = ParquetMetaDataReader::new();
        let (_folder, input) = local("stars.parquet", &bytes);
        reader.try_parse(&Pages::open(&input, None).unwrap()).unwrap();
        let metadata = reader.finish().unwrap();
        let groups = metadata
            .row_groups()
            .iter()
            .map(|group| group.clone().into_builder().set_num_rows(1 << 60).build().unwrap());
        let absurd = ParquetMetaData::new(metadata.file_metadata().clone(), groups.collect());
        let mut footer = Vec::new();
        ParquetMetaDataWriter::new(&mut footer, &absurd).finish().unwrap();
        let error = refusal("stars.parquet", &[&bytes[..], &footer].concat());
        let why = "its footer is damaged: row group 0 is said to have 1152921504606846976 rows";
        assert_eq!(error, format!("stars.parquet: {why}"));
    }

    #[test]
    fn what_is_cut_short_or_no_parquet_is_refused() {
        let bytes = parquet(&stars(3_000), in_groups_of(1_000));
        for end in [8, 100, bytes.len() / 2, bytes.len() - 1] {
            let error = refusal("stars.parquet", &bytes[..end]);
            assert_eq!(error, "stars.parquet: it is cut short: it does not end as a Parquet file must");
        }
        assert_eq!(refusal("stars.parquet", b"ra,dec\n1,2\n"), "stars.parquet: it is not a Parquet file");
        assert_eq!(refusal("stars.parquet", b"PAR"), "stars.parquet: it is not a Parquet file");
        let hole = [&bytes[..50], &bytes[bytes.len() - 8..]].concat();
        assert!(refusal("stars.parquet", &hole).starts_with("stars.parquet: its footer is damaged"));
        let encrypted = [&bytes[..bytes.len() - 4], b"PARE"].concat();
        assert_eq!(refusal("stars.parquet", &encrypted), "stars.parquet: it is encrypted; decrypt it first");
    }

    #[test]
    fn a_missing_middle_is_noticed() {
        let bytes = parquet(&stars(30_000), in_groups_of(30_000));
        let without = [&bytes[..20_000], &bytes[40_000..]].concat();
        let error = refusal("stars.parquet", &without);
        assert!(error.contains("damaged"), "{error}");
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let bytes = parquet(&stars(2_000), in_groups_of(700));
        for seed in 0..400_usize {
            let mut damaged = bytes.clone();
            for k in 0..3 {
                let at = (seed * 7919 + k * 104_729) % damaged.len();
                damaged[at] ^= 1 << (seed % 8);
            }
            let (_folder, input) = local("stars.parquet", &damaged);
            if let Ok(table) = crate::open(input, &Default::default()) {
                let _may_be_wrong_or_an_error = count(&*table);
            }
        }
    }

    fn count(table: &dyn TableSource) -> Result<usize, FormatError> {
        let mut rows = 0;
        for piece in table.pieces(None)? {
            piece?.decode(&mut |part| {
                rows += part.batch.num_rows();
                Ok(())
            })?;
        }
        Ok(rows)
    }

    #[test]
    fn equal_names_empty_tables_and_notes_pass() {
        let field = |name: &str| Field::new(name, DataType::Int32, false);
        let notes = HashMap::from([("pandas".to_owned(), "{}".to_owned()), ("vo:name".to_owned(), "x".to_owned())]);
        let schema = Schema::new_with_metadata(vec![field("a"), field("b"), field("a")], notes);
        let column = |n: i32| -> ArrayRef { Arc::new(Int32Array::from(vec![n, n])) };
        let batch = RecordBatch::try_new(Arc::new(schema), vec![column(1), column(2), column(3)]).unwrap();
        let (_folder, table) = opened(&parquet(&batch, in_groups_of(1_000)));
        assert_eq!(table.schema().fields(), batch.schema().fields());
        assert_eq!(table.schema().metadata().keys().collect::<Vec<_>>(), ["vo:name"]);
        assert_eq!(read(&*table, Some(&[2])).unwrap().column(0), &column(3));

        let (_folder, table) = opened(&parquet(&stars(0), in_groups_of(1_000)));
        assert_eq!(table.row_count(), Some(0));
        assert_eq!(read(&*table, None).unwrap(), stars(0));
    }

    #[test]
    fn the_samples_of_other_writers_are_read() {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/formats/import-samples/formats");
        if !std::path::Path::new(samples).is_dir() {
            println!("skipped: {samples} is not here");
            return;
        }
        for (name, rows) in
            [("multi_row_group.parquet", 131), ("pandasindex.parquet", 8), ("healpix_29_index.parquet", 131)]
        {
            let input = Input::file(&std::path::Path::new(samples).join(name)).unwrap();
            let table = crate::open(input, &Default::default()).unwrap();
            assert_eq!(table.pieces(None).unwrap().count(), 1, "{name}");
            assert_eq!(read(&*table, None).unwrap().num_rows(), rows, "{name}");
            assert!(table.schema().metadata().is_empty(), "{name}");
        }
    }

    #[test]
    fn a_summary_of_other_files_is_refused() {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/formats/hats-samples");
        let summary =
            std::path::Path::new(samples).join("hats/small_sky_o1_collection/small_sky_order1/dataset/_metadata");
        if !summary.is_file() {
            println!("skipped: {} is not here", summary.display());
            return;
        }
        let error = crate::open(Input::file(&summary).unwrap(), &Default::default()).err().unwrap().to_string();
        assert!(error.contains("_metadata: it only sums up other files: its rows lie in Norder=1/"), "{error}");
    }

    #[test]
    fn the_votable_of_a_voparquet_file_describes_its_columns() {
        let votable = r#"<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
            <FIELD name="id" datatype="long" ucd="meta.id;meta.main"/>
            <FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra"><DESCRIPTION>Longitude</DESCRIPTION></FIELD>
            </TABLE></RESOURCE></VOTABLE>"#;
        let notes = |text: &str| {
            let note = KeyValue::new(VOTABLE.to_owned(), text.to_owned());
            WriterProperties::builder().set_key_value_metadata(Some(vec![note])).build()
        };
        let (_folder, table) = opened(&parquet(&stars(10), notes(votable)));
        let ra = crate::ColumnMeta::of(table.schema().field(1));
        assert_eq!((ra.unit, ra.ucd, ra.description), (Some("deg"), Some("pos.eq.ra"), Some("Longitude")));
        assert_eq!(crate::ColumnMeta::of(table.schema().field(0)).ucd, Some("meta.id;meta.main"));
        assert_eq!(&read(&*table, None).unwrap().schema(), table.schema());
        let error = refusal("stars.parquet", &parquet(&stars(10), notes("<VOTABLE><RESOURCE")));
        assert!(error.starts_with("stars.parquet: its VOTable header: "), "{error}");
    }
}
