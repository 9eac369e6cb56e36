//! FITS: tables of the extensions BINTABLE and TABLE, by version 4.0 of the standard.
//!
//! A header says how long a row is and what its bytes mean; so a piece is a range of rows, read and decoded wherever it is
//! wanted. A packed file (gzip …) is read from its beginning in each pass. Names, units, UCDs and comments of the header
//! become column metadata, and so does the VOTable of a file of the form `fits-plus`.
//!
//! More than 999 columns are understood as STIL (TOPCAT) writes them.
//!
//! Whatever a header claims is checked against the size of the file before memory is taken for it. Images and tables that
//! are compressed inside FITS (`.fits.fz`) are not read, and said so.

mod ascii;
mod columns;
mod data;
mod decode;
mod hdu;
mod header;
mod heap;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io::{self, Read},
    sync::Arc,
};

use arrow::datatypes::{Schema, SchemaRef};

use crate::{
    FormatError, Input, Piece, Pieces, SourceOptions, TableSource, batch_rows,
    fits::{
        ascii::Written,
        columns::{Column, Form, ROW_LIMIT},
        data::Data,
        hdu::{Found, Hdu, Kind, Walk},
        heap::Heap,
        rows::Decoder,
    },
    votable,
};

/// How many bytes of rows are read at once.
const PIECE_BYTES: usize = 16 << 20;

/// Opens the table of a FITS file that is asked for, or the first one with rows.
pub(crate) fn open(input: Input, options: &SourceOptions) -> Result<Box<dyn TableSource>, FormatError> {
    let mut walk = Walk::new(&input)?;
    let Found { mut hdu, votable } = hdu::find(&mut walk, options.table.as_deref())?;
    let layout = Layout::of(&mut hdu).map_err(|why| input.bad(format_args!("HDU {}: {why}", hdu.number)))?;
    let schema = match votable {
        Some(document) => votable::describe(&layout.schema, &document)
            .map_err(|error| input.bad(format_args!("the VOTable in its first HDU cannot be read: {error}")))?,
        None => Arc::clone(&layout.schema),
    };
    let Layout { columns, stride, rows, heap, .. } = layout;
    let needs_heap = columns.iter().any(|column| matches!(column.form, Form::Heap { .. }));
    let store = match walk.into_stream() {
        None => Store::Direct(Data::InFile { input: input.clone(), start: hdu.start }),
        Some(mut stream) if needs_heap && rows > 0 => {
            Store::Direct(Data::unpack(&input, &mut *stream, heap.start + heap.size)?)
        }
        Some(_) => Store::Packed { start: hdu.start },
    };
    Ok(Box::new(Table { input, schema, columns, stride, rows, heap, store }))
}

/// A table of a FITS file.
struct Table {
    input: Input,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// The length of a row.
    stride: usize,
    rows: u64,
    heap: Heap,
    store: Store,
}

enum Store {
    /// Any part can be read.
    Direct(Data),
    /// The file must be unpacked up to the table, whose data begin here.
    Packed { start: u64 },
}

impl TableSource for Table {
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
        let decoder = Arc::new(self.decoder(columns)?);
        let rows = (PIECE_BYTES / self.stride).max(1);
        match &self.store {
            Store::Direct(data) => Ok(Box::new((0..self.rows).step_by(rows).map(move |first| {
                let decoder = Arc::clone(&decoder);
                let count = (self.rows - first).min(rows as u64) as usize;
                Ok(Piece::new(move |take| {
                    let bytes = data.read(first * self.stride as u64, count * self.stride)?;
                    decoder.decode(first + 1, &bytes, take)
                }))
            }))),
            Store::Packed { start } => {
                let stream = self.input.text()?;
                Ok(Box::new(Stream { table: self, decoder, stream, skip: *start, next: 0, rows, ended: false }))
            }
        }
    }
}

impl Table {
    fn decoder(&self, columns: Option<&[usize]>) -> Result<Decoder<'_>, FormatError> {
        let (schema, columns) = match columns {
            None => (Arc::clone(&self.schema), self.columns.iter().collect()),
            Some(indices) => {
                let schema = self.schema.project(indices).map_err(|error| self.input.bad(error))?;
                (Arc::new(schema), indices.iter().map(|index| &self.columns[*index]).collect::<Vec<_>>())
            }
        };
        let has_arrays = columns.iter().any(|column| matches!(column.form, Form::Heap { .. }));
        let heap = match &self.store {
            Store::Direct(data) if has_arrays => Some((data, self.heap)),
            _ => None,
        };
        let batch_rows = batch_rows(&schema).min((PIECE_BYTES / self.stride).max(1));
        Ok(Decoder { input: &self.input, schema, columns, stride: self.stride, batch_rows, heap })
    }
}

/// The pieces of a packed file: read in order, decoded anywhere.
struct Stream<'a> {
    table: &'a Table,
    decoder: Arc<Decoder<'a>>,
    stream: Box<dyn Read + Send>,
    /// How much comes before the rows.
    skip: u64,
    /// How many rows have been read.
    next: u64,
    /// How many rows make a piece.
    rows: usize,
    /// Whether the end was read, or an error.
    ended: bool,
}

impl Stream<'_> {
    /// Reads on to the end, where the checksum is: without it damaged rows might pass for good ones.
    fn end(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.ended, true) {
            io::copy(&mut self.stream, &mut io::sink())?;
        }
        Ok(())
    }

    /// The next rows, fewer than there must be if the file ends.
    fn read(&mut self, wanted: usize) -> io::Result<Vec<u8>> {
        let skip = std::mem::take(&mut self.skip);
        io::copy(&mut (&mut self.stream).take(skip), &mut io::sink())?;
        // A row may be claimed to be long; memory is only taken for what is there.
        let mut rows = Vec::with_capacity(wanted.min(PIECE_BYTES));
        (&mut self.stream).take(wanted as u64).read_to_end(&mut rows)?;
        Ok(rows)
    }
}

impl<'a> Iterator for Stream<'a> {
    type Item = Result<Piece<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let table = self.table;
        let first = self.next;
        let wanted = (table.rows - first).min(self.rows as u64) as usize * table.stride;
        if wanted == 0 {
            return self.end().err().map(|error| Err(table.input.unreadable(error)));
        }
        self.next = first + (wanted / table.stride) as u64;
        let read = self.read(wanted).map_err(|error| table.input.unreadable(error)).and_then(|rows| {
            if rows.len() == wanted {
                return Ok(rows);
            }
            let row = first + (rows.len() / table.stride) as u64 + 1;
            Err(table.input.bad(format_args!("it is cut short: it ends in row {row} of {}", table.rows)))
        });
        if read.is_err() {
            self.next = table.rows;
            self.ended = true;
        }
        let decoder = Arc::clone(&self.decoder);
        Some(read.map(|rows| Piece::new(move |take| decoder.decode(first + 1, &rows, take))))
    }
}

/// What the header of a table says.
struct Layout {
    schema: SchemaRef,
    columns: Vec<Column>,
    stride: usize,
    rows: u64,
    heap: Heap,
}

impl Layout {
    fn of(hdu: &mut Hdu) -> Result<Self, String> {
        let header = &hdu.header;
        let (axes, bits, groups) = (header.count("NAXIS")?, header.integer("BITPIX")?, header.integer("GCOUNT")?);
        if axes != 2 || bits != Some(8) || groups.is_some_and(|groups| groups != 1) {
            return Err("a table must have NAXIS = 2, BITPIX = 8 and GCOUNT = 1".to_owned());
        }
        let (row, rows) = (header.count("NAXIS1")?, header.count("NAXIS2")?);
        if row > ROW_LIMIT {
            return Err(format!("a row has {row} bytes; more than {} MiB are not read", ROW_LIMIT >> 20));
        }
        let fields = hdu.header.unfold_columns()?;
        let stride = row as usize;
        let (columns, fields) = match hdu.kind {
            Kind::AsciiTable => ascii_columns(hdu, stride, fields as usize)?,
            _ => binary_columns(hdu, stride, fields as usize)?,
        };
        if columns.is_empty() {
            return Err("it has no column that holds data".to_owned());
        }
        let name = hdu.name().map(|name| ("vo:name".to_owned(), name.to_owned()));
        let schema = Arc::new(Schema::new_with_metadata(fields, name.into_iter().collect::<HashMap<_, _>>()));
        Ok(Self { schema, columns, stride, rows, heap: heap(hdu, row * rows)? })
    }
}

type Columns = (Vec<Column>, Vec<arrow::datatypes::Field>);

fn binary_columns(hdu: &Hdu, stride: usize, count: usize) -> Result<Columns, String> {
    let header = &hdu.header;
    let (mut columns, mut fields) = (Vec::new(), Vec::new());
    let mut at: u64 = 0;
    for n in 1..=count {
        let name = columns::name(header, n);
        let described = columns::describe(header, n)?;
        if let Some(form) = described.form {
            let data_type = form.data_type().map_err(|why| format!("{name}: {why}"))?;
            fields.push(columns::field(header, n, &name, data_type, described.arraysize.as_deref()));
            columns.push(Column { name, at: at as usize, form });
        }
        // As many columns as cards, of a bounded width.
        at += described.width;
    }
    if at != stride as u64 {
        return Err(format!("its columns have {at} bytes a row, and NAXIS1 says {stride}"));
    }
    Ok((columns, fields))
}

fn ascii_columns(hdu: &Hdu, stride: usize, count: usize) -> Result<Columns, String> {
    let header = &hdu.header;
    let (mut columns, mut fields) = (Vec::new(), Vec::new());
    for n in 1..=count {
        let name = columns::name(header, n);
        let (at, written) = Written::new(header, n, stride)?;
        fields.push(columns::field(header, n, &name, written.data_type(), None));
        columns.push(Column { name, at, form: Form::Written(written) });
    }
    Ok((columns, fields))
}

/// The heap begins at THEAP, which is behind the rows, and ends with the data.
fn heap(hdu: &Hdu, rows: u64) -> Result<Heap, String> {
    let start = match hdu.header.integer("THEAP")? {
        Some(_) => hdu.header.count("THEAP")?,
        None => rows,
    };
    if start < rows || start > hdu.size {
        return Err(format!("THEAP is {start}; the heap must begin between byte {rows} and byte {}", hdu.size));
    }
    Ok(Heap { start, size: hdu.size - start })
}
