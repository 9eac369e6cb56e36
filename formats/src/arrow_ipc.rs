//! Arrow IPC, as a file (with a footer) and as a stream (also packed): messages are read in order, and their record
//! batches decoded side by side.
//!
//! Both kinds hold the same messages; a file says in its footer where each lies, a stream has them one after the other.
//! A stream that stops without its end mark may have lost rows, and is refused like any file that is cut short.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    buffer::Buffer,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::{
        Block, Message, MessageHeader, MetadataVersion, convert::fb_to_schema, reader, root_as_footer, root_as_message,
    },
};
use bytes::Bytes;

use crate::{
    FormatError, Input, Piece, Pieces, Places, Rows, TableSource,
    ahead::Ahead,
    batch_rows,
    caught::caught,
    source::{Take, bare},
};

const CONTINUATION: [u8; 4] = [0xff; 4];
const FILE_MAGIC: &[u8] = b"ARROW1";
/// How much of the end of a file is read at once: most footers are smaller.
const TAIL: u64 = 64 << 10;
/// The largest metadata of a message that is believed: a schema of 100,000 columns has less.
const LARGEST_METADATA: usize = 256 << 20;
/// No packer makes less than one byte of so many.
const BEST_RATIO: i64 = 1 << 16;
/// What a record batch may take, packed or not: it is held as a whole.
const LARGEST_BATCH: i64 = 2 << 30;
/// How many rows a record batch may have, by the format.
const MOST_ROWS: i64 = i32::MAX as i64;

/// Opens an Arrow IPC file or stream that begins like this.
pub(crate) fn open(input: Input, head: &[u8]) -> Result<Box<dyn TableSource>, FormatError> {
    let (kind, schema) = if head.starts_with(FILE_MAGIC) {
        let footer = read_footer(&input)?;
        (Kind::File { dictionaries: footer.dictionaries, batches: footer.batches }, footer.schema)
    } else {
        (Kind::Stream, Stream::open(&input)?.schema)
    };
    let described = bare(&schema).into();
    Ok(Box::new(ArrowTable { input, kind, written: Arc::new(schema), schema: described }))
}

struct ArrowTable {
    input: Input,
    kind: Kind,
    /// As it is written, with the ids of dictionaries.
    written: SchemaRef,
    schema: SchemaRef,
}

enum Kind {
    File { dictionaries: Vec<Extent>, batches: Vec<Extent> },
    Stream,
}

/// Where a message lies in a file.
#[derive(Clone, Copy)]
struct Extent {
    offset: u64,
    length: usize,
    metadata: usize,
}

/// A message with its bytes.
struct Raw {
    bytes: Bytes,
    /// Where the body begins.
    body: usize,
}

type Dictionaries = Arc<HashMap<i64, ArrayRef>>;

/// The columns of a pass.
struct Projection {
    columns: Option<Vec<usize>>,
    schema: SchemaRef,
    batch_rows: usize,
}

impl TableSource for ArrowTable {
    fn name(&self) -> &str {
        self.input.name()
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fingerprint(&self) -> String {
        self.input.fingerprint().to_owned()
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let schema = match columns {
            None => Arc::clone(&self.schema),
            Some(columns) => self.schema.project(columns).map(Arc::new).map_err(|error| self.input.bad(error))?,
        };
        let projection =
            Projection { columns: columns.map(<[usize]>::to_vec), batch_rows: batch_rows(&schema), schema };
        let messages: Box<dyn Iterator<Item = Result<Raw, FormatError>> + Send> = match &self.kind {
            Kind::Stream => Box::new(Stream::open(&self.input)?),
            Kind::File { dictionaries, batches } => {
                let mut ahead = Ahead::growing(&self.input, 0..self.input.size());
                let extents = dictionaries.iter().chain(batches);
                Box::new(extents.map(move |extent| self.message(&mut ahead, extent)))
            }
        };
        let mut pass =
            Pass { table: self, projection: Arc::new(projection), messages, dictionaries: Arc::default(), first: 1 };
        let mut over = false;
        Ok(Box::new(std::iter::from_fn(move || {
            let piece = if over { None } else { pass.next_piece().transpose() };
            over = !matches!(piece, Some(Ok(_)));
            piece
        })))
    }
}

impl ArrowTable {
    /// Reads a message of a file.
    fn message(&self, ahead: &mut Ahead, extent: &Extent) -> Result<Raw, FormatError> {
        check_size(extent.length as i64).map_err(|why| self.input.bad(why))?;
        let bytes = ahead.bytes(extent.offset, extent.length).map_err(|error| self.input.unreadable(error))?;
        Ok(Raw { bytes, body: extent.metadata })
    }

    fn decode(
        &self,
        raw: &Raw,
        first: u64,
        dictionaries: &Dictionaries,
        projection: &Projection,
        take: &mut Take<'_>,
    ) -> Result<(), FormatError> {
        let batch = caught(|| {
            let message = parse(raw)?;
            let header = message
                .header_as_record_batch()
                .ok_or_else(|| ArrowError::ParseError("a record batch has no header".to_owned()))?;
            let body = Buffer::from(raw.bytes.slice(raw.body..));
            check_packed(header, &body)?;
            let schema = Arc::clone(&self.written);
            let columns = projection.columns.as_deref();
            reader::read_record_batch(&body, header, schema, dictionaries, columns, &message.version())
        });
        let batch = flat(batch).map_err(|why| damaged_batch(&self.input, first, &why))?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&projection.schema), batch.columns().to_vec(), &rows)
            .map_err(|error| damaged_batch(&self.input, first, &error))?;
        for start in (0..batch.num_rows()).step_by(projection.batch_rows) {
            let rows = projection.batch_rows.min(batch.num_rows() - start);
            let places = Places::Rows(first + start as u64);
            take(Rows { batch: batch.slice(start, rows), places, bad: Vec::new() })?;
        }
        Ok(())
    }
}

/// One pass over the messages.
struct Pass<'a> {
    table: &'a ArrowTable,
    projection: Arc<Projection>,
    messages: Box<dyn Iterator<Item = Result<Raw, FormatError>> + Send + 'a>,
    dictionaries: Dictionaries,
    /// The number of the next row.
    first: u64,
}

impl<'a> Pass<'a> {
    /// Takes up dictionaries until there is a record batch.
    fn next_piece(&mut self) -> Result<Option<Piece<'a>>, FormatError> {
        while let Some(raw) = self.messages.next().transpose()? {
            let input = &self.table.input;
            let rows = flat(caught(|| self.take_up(&raw))).map_err(|why| damaged_batch(input, self.first, &why))?;
            let Some(rows) = rows.filter(|&rows| rows > 0) else { continue };
            let first = self.first;
            self.first += rows;
            let (table, projection) = (self.table, Arc::clone(&self.projection));
            let dictionaries = Arc::clone(&self.dictionaries);
            return Ok(Some(Piece::new(move |take| table.decode(&raw, first, &dictionaries, &projection, take))));
        }
        Ok(None)
    }

    /// The number of rows of a record batch; of a dictionary none, but it is known from now on.
    fn take_up(&mut self, raw: &Raw) -> Result<Option<u64>, ArrowError> {
        let message = parse(raw)?;
        match message.header_type() {
            MessageHeader::RecordBatch => {
                let rows = message.header_as_record_batch().map_or(-1, |header| header.length());
                match u64::try_from(rows) {
                    Ok(count) if rows <= MOST_ROWS => Ok(Some(count)),
                    _ => Err(ArrowError::ParseError(format!("it is said to have {rows} rows"))),
                }
            }
            MessageHeader::DictionaryBatch => {
                if let Some(header) = message.header_as_dictionary_batch() {
                    let body = Buffer::from(raw.bytes.slice(raw.body..));
                    header.data().map_or(Ok(()), |header| check_packed(header, &body))?;
                    let known = Arc::make_mut(&mut self.dictionaries);
                    reader::read_dictionary(&body, header, &self.table.written, known, &message.version())?;
                }
                Ok(None)
            }
            MessageHeader::NONE => Ok(None),
            other => Err(ArrowError::ParseError(format!("there is a message of the kind {other:?} among the rows"))),
        }
    }
}

/// The message at the beginning of its bytes, behind its length and perhaps a mark.
fn parse(raw: &Raw) -> Result<Message<'_>, ArrowError> {
    let start = if raw.bytes.starts_with(&CONTINUATION) { 8 } else { 4 };
    let metadata = raw.bytes.get(start..raw.body).unwrap_or_default();
    let message = root_as_message(metadata).map_err(|error| ArrowError::ParseError(error.to_string()))?;
    if message.version() < MetadataVersion::V4 {
        return Err(ArrowError::ParseError("it is of a version before 0.8 of Arrow, which is not read".to_owned()));
    }
    Ok(message)
}

/// Refuses packed buffers that are said to unpack to more than they can: the decoder would take the memory first.
fn check_packed(header: arrow::ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), ArrowError> {
    if header.compression().is_none() {
        return Ok(());
    }
    let mut all = 0_i64;
    for buffer in header.buffers().into_iter().flatten() {
        let start = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let Some(length) = body.get(start..).and_then(<[u8]>::first_chunk) else { continue };
        let (unpacked, packed) = (i64::from_le_bytes(*length), buffer.length().max(0));
        if buffer.length() > 0 && unpacked > packed.saturating_mul(BEST_RATIO) {
            let why = format!("{packed} packed bytes are said to hold {unpacked}");
            return Err(ArrowError::ParseError(why));
        }
        all = all.saturating_add(unpacked.max(0));
    }
    check_size(all).map_err(ArrowError::ParseError)
}

/// Refuses a record batch that is too large to be held.
fn check_size(bytes: i64) -> Result<(), String> {
    if bytes <= LARGEST_BATCH {
        return Ok(());
    }
    let (size, limit) = (bytes >> 30, LARGEST_BATCH >> 30);
    Err(format!("a record batch takes {size} GiB, and more than {limit} GiB are not held; write it in smaller batches"))
}

/// A stream, read from its beginning; it gives what comes after the schema.
struct Stream {
    input: Input,
    reader: Box<dyn Read + Send>,
    schema: Schema,
}

impl Stream {
    fn open(input: &Input) -> Result<Self, FormatError> {
        let no_stream = |why: &str| input.bad(format_args!("it is not an Arrow IPC file: {why}"));
        let mut this = Self { input: input.clone(), reader: input.text()?, schema: Schema::empty() };
        let first = match this.read() {
            Ok(first) => first.ok_or_else(|| no_stream("it holds nothing"))?,
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(no_stream(&error.to_string())),
            Err(error) => return Err(input.unreadable(error)),
        };
        let schema = caught(|| {
            let message = parse(&first)?;
            let schema = message.header_as_schema();
            let schema = schema.ok_or_else(|| ArrowError::ParseError("it does not begin with a schema".to_owned()))?;
            check_schema(schema)
        });
        this.schema = flat(schema).map_err(|why| no_stream(&why))?;
        Ok(this)
    }

    /// The next message, or the end.
    fn read(&mut self) -> io::Result<Option<Raw>> {
        let mut bytes = Vec::with_capacity(8);
        self.append(4, &mut bytes)?;
        if bytes == CONTINUATION {
            self.append(4, &mut bytes)?;
        }
        let prefix = bytes.len();
        let length = i32::from_le_bytes([bytes[prefix - 4], bytes[prefix - 3], bytes[prefix - 2], bytes[prefix - 1]]);
        if length == 0 {
            return Ok(None);
        }
        let length = usize::try_from(length).ok().filter(|&length| length <= LARGEST_METADATA);
        let length = length.ok_or_else(|| invalid("a message is said to be longer than any can be"))?;
        self.append(length, &mut bytes)?;
        let body = bytes.len();
        let message = root_as_message(&bytes[prefix..]).map_err(|error| invalid(&error.to_string()))?;
        let length = usize::try_from(message.bodyLength()).map_err(|_| invalid("a message has no sensible length"))?;
        check_size(length as i64).map_err(|why| invalid(&why))?;
        self.append(length, &mut bytes)?;
        Ok(Some(Raw { bytes: bytes.into(), body }))
    }

    /// Appends exactly so many bytes; a length that is wrong takes no more memory than the file is long.
    fn append(&mut self, length: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.reserve(length.min(self.input.size() as usize));
        let read = self.reader.by_ref().take(length as u64).read_to_end(bytes)?;
        if read == length {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::UnexpectedEof, "it is cut short: its stream stops without an end mark"))
    }
}

impl Iterator for Stream {
    type Item = Result<Raw, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().map_err(|error| self.input.unreadable(error)).transpose()
    }
}

struct Footer {
    schema: Schema,
    dictionaries: Vec<Extent>,
    batches: Vec<Extent>,
}

fn read_footer(input: &Input) -> Result<Footer, FormatError> {
    let cut = || input.bad("it is cut short: it does not end as an Arrow IPC file must");
    let tail = input.size().min(TAIL);
    let tail = input.read_at(input.size() - tail, tail as usize)?;
    let (rest, magic) = tail.split_at(tail.len().saturating_sub(FILE_MAGIC.len()));
    let (rest, length) = rest.split_last_chunk().filter(|_| magic == FILE_MAGIC).ok_or_else(cut)?;
    let length = u32::from_le_bytes(*length) as usize;
    let end = input.size() - (FILE_MAGIC.len() + 4) as u64;
    let at = end.checked_sub(length as u64).ok_or_else(|| input.bad("its footer is damaged: it is too long"))?;
    let bytes = match rest.len().checked_sub(length) {
        Some(start) => Bytes::copy_from_slice(&rest[start..]),
        None => input.read_at(at, length)?,
    };
    let footer = caught(|| {
        let footer = root_as_footer(&bytes).map_err(|error| ArrowError::ParseError(error.to_string()))?;
        let schema = footer.schema().ok_or_else(|| ArrowError::ParseError("it has no schema".to_owned()))?;
        let dictionaries = footer.dictionaries().into_iter().flatten().map(|block| extent(block, at));
        let batches = footer.recordBatches().into_iter().flatten().map(|block| extent(block, at));
        let (dictionaries, batches) = (dictionaries.collect::<Result<_, _>>()?, batches.collect::<Result<_, _>>()?);
        Ok(Footer { schema: check_schema(schema)?, dictionaries, batches })
    });
    flat(footer).map_err(|why| input.bad(format_args!("its footer is damaged: {why}")))
}

/// Where a footer says that a message lies, if that can be.
fn extent(block: &Block, end: u64) -> Result<Extent, ArrowError> {
    let sizes = || {
        let offset = u64::try_from(block.offset()).ok()?;
        let metadata = usize::try_from(block.metaDataLength()).ok()?;
        let length = metadata.checked_add(usize::try_from(block.bodyLength()).ok()?)?;
        let fits = metadata >= 8 && offset.checked_add(length as u64)? <= end;
        fits.then_some(Extent { offset, length, metadata })
    };
    sizes().ok_or_else(|| ArrowError::ParseError("a record batch lies outside of the file".to_owned()))
}

fn check_schema(schema: arrow::ipc::Schema<'_>) -> Result<Schema, ArrowError> {
    if !schema.endianness().equals_to_target_endianness() {
        return Err(ArrowError::ParseError("its numbers are in big-endian order, which is not read".to_owned()));
    }
    Ok(fb_to_schema(schema))
}

fn damaged_batch(input: &Input, row: u64, why: &dyn std::fmt::Display) -> FormatError {
    input.bad(format_args!("the record batch at row {row} is damaged: {why}"))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.to_owned())
}

fn flat<T>(result: Result<Result<T, ArrowError>, String>) -> Result<T, String> {
    result?.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use arrow::ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    };

    use super::*;
    use crate::testing::{Broken, Net, local, read, refusal, stars};

    fn options(compression: Option<CompressionType>) -> IpcWriteOptions {
        IpcWriteOptions::default().try_with_compression(compression).unwrap()
    }

    fn file_of(batch: &RecordBatch, rows: usize, compression: Option<CompressionType>) -> Vec<u8> {
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options(compression)).unwrap();
        for start in (0..batch.num_rows()).step_by(rows) {
            writer.write(&batch.slice(start, rows.min(batch.num_rows() - start))).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    }

    fn stream_of(batch: &RecordBatch, rows: usize, compression: Option<CompressionType>) -> Vec<u8> {
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options(compression)).unwrap();
        for start in (0..batch.num_rows()).step_by(rows) {
            writer.write(&batch.slice(start, rows.min(batch.num_rows() - start))).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    }

    fn opened(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Box<dyn TableSource>) {
        let (folder, input) = local(name, bytes);
        (folder, crate::open(input, &Default::default()).unwrap())
    }

    /// A stream whose dictionary is another one in each batch.
    fn stars_with_changing_dictionary() -> (RecordBatch, Vec<u8>) {
        let parts = [stars(3_000), stars(3).slice(1, 2), stars(5_000).slice(7, 4_000)];
        let mut writer = StreamWriter::try_new(Vec::new(), &parts[0].schema()).unwrap();
        for part in &parts {
            let kind = arrow::compute::cast(part.column(3), &arrow::datatypes::DataType::Utf8).unwrap();
            let kind = arrow::compute::cast(&kind, part.column(3).data_type()).unwrap();
            let mut columns = part.columns().to_vec();
            columns[3] = kind;
            writer.write(&RecordBatch::try_new(part.schema(), columns).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        (arrow::compute::concat_batches(&parts[0].schema(), &parts).unwrap(), writer.into_inner().unwrap())
    }

    fn strings(batch: &RecordBatch, column: usize) -> ArrayRef {
        arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Utf8).unwrap()
    }

    #[test]
    fn rows_of_a_file_and_of_a_stream_come_back_as_they_were_written() {
        let batch = stars(10_000);
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let kinds = [
                ("stars.feather", file_of(&batch, 3_000, compression)),
                ("stars.arrows", stream_of(&batch, 3_000, compression)),
            ];
            for (name, bytes) in kinds {
                let (_folder, table) = opened(name, &bytes);
                assert_eq!(table.schema(), &batch.schema());
                assert_eq!(table.pieces(None).unwrap().count(), 4);
                assert_eq!(read(&*table, None).unwrap(), batch, "{name} {compression:?}");
                assert_eq!(read(&*table, Some(&[0, 2, 4])).unwrap(), batch.project(&[0, 2, 4]).unwrap());
                assert_eq!(read(&*table, Some(&[3])).unwrap(), batch.project(&[3]).unwrap());
            }
        }
    }

    #[test]
    fn a_batch_of_many_rows_is_handed_over_in_parts() {
        let batch = stars(200_000);
        let (_folder, table) = opened("stars.arrow", &file_of(&batch, 200_000, None));
        let mut most = 0;
        for piece in table.pieces(None).unwrap() {
            let measure = &mut |rows: Rows| {
                most = most.max(rows.batch.num_rows());
                Ok(())
            };
            piece.unwrap().decode(measure).unwrap();
        }
        assert_eq!(most, batch_rows(&batch.schema()));
        assert_eq!(read(&*table, None).unwrap(), batch);
    }

    #[test]
    fn each_batch_of_a_stream_keeps_the_dictionary_of_its_time() {
        let (batch, bytes) = stars_with_changing_dictionary();
        let (_folder, table) = opened("stars.arrow", &bytes);
        let pieces: Vec<_> = table.pieces(Some(&[3])).unwrap().collect();
        let mut parts = Vec::new();
        for piece in pieces {
            let keep = &mut |rows: Rows| {
                parts.push(strings(&rows.batch, 0));
                Ok(())
            };
            piece.unwrap().decode(keep).unwrap();
        }
        let parts: Vec<_> = parts.iter().map(|part| &**part).collect();
        assert_eq!(&arrow::compute::concat(&parts).unwrap(), &strings(&batch, 3));
    }

    #[test]
    fn a_packed_stream_is_read_and_a_packed_file_is_refused() {
        let batch = stars(5_000);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&stream_of(&batch, 1_000, None)).unwrap();
        let packed = packed.finish().unwrap();
        let (_folder, table) = opened("stars.arrows.gz", &packed);
        assert_eq!(read(&*table, None).unwrap(), batch);
        let error = refusal("stars.arrows.gz", &packed[..packed.len() - 100]);
        assert_eq!(error, "stars.arrows.gz: it is cut short: its gzip stream ends too early");

        let packed = zstd::encode_all(&file_of(&batch, 1_000, None)[..], 1).unwrap();
        let error = refusal("stars.arrow.zst", &packed);
        assert_eq!(
            error,
            "stars.arrow.zst: it is an Arrow IPC file packed with zstd; unpack it first: it is read from its end"
        );
    }

    #[test]
    fn an_object_gives_the_rows_of_the_file() {
        let batch = stars(30_000);
        for bytes in [file_of(&batch, 1_000, None), stream_of(&batch, 1_000, None)] {
            let net = Net::new(Broken::ShortOnce);
            let table = crate::open(net.input("stars.arrow", &bytes), &Default::default()).unwrap();
            assert_eq!(read(&*table, None).unwrap(), batch);
            assert!(net.store.cuts() > 0);
            net.remove("stars.arrow");
            assert_eq!(read(&*table, None).unwrap_err(), "stars.arrow: there is no such object");
        }
    }

    #[test]
    fn a_cut_anywhere_is_an_error() {
        let batch = stars(300);
        let stream = stream_of(&batch, 100, None);
        let file = file_of(&batch, 100, None);
        for end in (4..stream.len()).step_by(7).chain(stream.len() - 8..stream.len()) {
            let error = refusal("stars.arrow", &stream[..end]);
            assert_eq!(error, "stars.arrow: it is cut short: its stream stops without an end mark", "{end} bytes");
        }
        for end in (8..file.len()).step_by(7) {
            let error = refusal("stars.arrow", &file[..end]);
            assert_eq!(error, "stars.arrow: it is cut short: it does not end as an Arrow IPC file must", "{end} bytes");
        }
    }

    #[test]
    fn what_is_no_arrow_is_refused() {
        let error = refusal("stars.arrow", b"ra,dec,name,and,so,on\n1,2\n");
        assert!(error.starts_with("stars.arrow: it is not an Arrow IPC file"), "{error}");
        let error = refusal("stars.arrow", b"\xff\xff\xff\xff\x10\0\0\0 no message here ");
        assert!(error.starts_with("stars.arrow: it is not an Arrow IPC file"), "{error}");
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let batch = stars(400);
        for bytes in [file_of(&batch, 100, None), stream_of(&batch, 100, None)] {
            for seed in 0..400_usize {
                let mut damaged = bytes.clone();
                for k in 0..3 {
                    let at = 8 + (seed * 7919 + k * 104_729) % (damaged.len() - 8);
                    damaged[at] ^= 1 << (seed % 8);
                }
                let (_folder, input) = local("stars.arrow", &damaged);
                let Ok(table) = crate::open(input, &Default::default()) else { continue };
                let Ok(pieces) = table.pieces(None) else { continue };
                for piece in pieces.map_while(Result::ok) {
                    let _may_be_wrong_or_an_error = piece.decode(&mut |_| Ok(()));
                }
            }
        }
    }

    #[test]
    fn a_buffer_that_claims_to_unpack_to_far_too_much_takes_no_memory() {
        let batch = stars(3_000).project(&[0]).unwrap();
        let mut bytes = stream_of(&batch, 3_000, Some(CompressionType::ZSTD));
        let honest = (3_000_i64 * 8).to_le_bytes();
        let at = bytes.windows(8).position(|window| window == honest).unwrap();
        bytes[at..at + 8].copy_from_slice(&(1_i64 << 50).to_le_bytes());
        let error = refusal("stars.arrow", &bytes);
        assert!(error.contains("the record batch at row 1 is damaged"), "{error}");
        assert!(error.contains("are said to hold 1125899906842624"), "{error}");
    }

    #[test]
    fn a_batch_that_claims_more_rows_than_can_be_is_refused() {
        let nothing: ArrayRef = Arc::new(arrow::array::NullArray::new(1 << 40));
        let batch = RecordBatch::try_from_iter([("nothing", nothing)]).unwrap();
        let error = refusal("none.arrow", &stream_of(&batch, 1 << 40, None));
        let why = "the record batch at row 1 is damaged: it is said to have 1099511627776 rows";
        assert_eq!(error, format!("none.arrow: {why}"));
    }

    #[test]
    fn a_message_that_claims_to_be_longer_than_can_be_held_takes_no_memory() {
        let batch = stars(3_000).project(&[0]).unwrap();
        let mut bytes = stream_of(&batch, 3_000, None);
        let honest = (3_000_u64 * 8).next_multiple_of(64).to_le_bytes();
        let places: Vec<usize> = (0..bytes.len() - 8).filter(|at| bytes[*at..at + 8] == honest).collect();
        for at in places {
            bytes[at..at + 8].copy_from_slice(&(5_i64 << 30).to_le_bytes());
        }
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        let error = refusal("stars.arrow.gz", &packed.finish().unwrap());
        assert!(error.contains("a record batch takes 5 GiB, and more than 2 GiB are not held"), "{error}");
    }

    #[test]
    fn an_empty_table_has_a_schema_and_no_rows() {
        for bytes in [file_of(&stars(0), 1, None), stream_of(&stars(0), 1, None)] {
            let (_folder, table) = opened("none.arrow", &bytes);
            assert_eq!(read(&*table, None).unwrap(), stars(0));
        }
    }
}
