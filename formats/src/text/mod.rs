//! Tables written as text: comma-separated values and their kin.
//!
//! A text is cut into chunks of whole rows ([`chunks`]), the only thing that goes through it in order. Each chunk is then
//! read by itself, on any thread: rows and fields are found by one grammar ([`records`]), types are told from every row
//! ([`infer`]), columns become arrays ([`columns`], [`values`]), and rows that are none are set aside ([`pass`]).
//!
//! ```text
//!   Input::text ──Chunks──▶ Chunk, Chunk, …  ──Records──▶ fields ──Kinds──▶ types      when the file is opened
//!                                            ──Records──▶ fields ──Reading──▶ arrays   in every pass
//! ```
//!
//! What this module never does: it guesses neither an encoding nor a delimiter, and it changes no value to make it fit.

mod chunks;
mod columns;
mod infer;
mod pass;
mod records;
mod values;

use std::{
    io::Read,
    iter,
    num::NonZero,
    sync::{Arc, Mutex},
    thread,
};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

pub(crate) use self::{chunks::Limits, columns::Nulls, records::Dialect};
use self::{
    chunks::{Chunk, Chunks, Spare, Stretch},
    columns::is_readable,
    infer::{Evidence, Kinds, Question},
    pass::Pass,
    records::{MOST_FIELDS, QUOTE, Records},
};
use crate::{FormatError, Input, Piece, Pieces, SourceOptions, TableSource, batch_rows, in_words};

/// The key of the field metadata that says `true` for a column of text in which no row has a value: any type would do.
pub(crate) const EMPTY: &str = "almagest:empty";

/// The key of the field metadata that tells the first value, as in `line 7: 'bright'`, that makes a column text though all
/// its other values are numbers, dates or truth values.
pub(crate) const TEXT_BECAUSE: &str = "almagest:text_because";

/// How text is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// What separates the fields; that of the format when absent. Several spaces in a row count as one.
    pub delimiter: Option<u8>,
    /// Whether the first row holds the names of the columns.
    pub header: bool,
    /// The names of the columns where there is no header; `col1`, `col2` … when empty.
    pub columns: Vec<String>,
    /// What a line begins with that holds no row.
    pub comment: Option<u8>,
    /// The texts that mean NULL in any column, beside the empty field, quoted or not. Columns of other types than text
    /// also take `NULL`, `null`, `NA`, `N/A`, `\N`, `--` and, unless they are of floating point, `NaN` for it.
    pub nulls: Vec<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { delimiter: None, header: true, columns: Vec::new(), comment: Some(b'#'), nulls: Vec::new() }
    }
}

/// Opens a text. The delimiter is that of its format, unless the options name one.
pub(crate) fn open(input: Input, delimiter: u8, options: &SourceOptions) -> Result<Box<dyn TableSource>, FormatError> {
    let text = &options.text;
    let dialect = Dialect { delimiter: text.delimiter.unwrap_or(delimiter), comment: text.comment };
    check(input.name(), dialect)?;
    let layout = Layout {
        dialect,
        nulls: Nulls::new(&text.nulls),
        header: text.header,
        limits: Limits::default(),
        name: input.name().to_owned(),
    };
    let threads = match input.size() {
        small if small < layout.limits.chunk as u64 => NonZero::<usize>::MIN,
        _ => thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
    };
    let Surveyed { fields, rows, is_sound, stretches } =
        layout.survey(|| input.text(), &text.columns, options.types.as_ref(), threads)?;
    let stretches = stretches.filter(|_| input.is_plain());
    let source = TextSource { rows, is_sound, stretches, ..TextSource::new(input, layout, fields) };
    source.check()?;
    Ok(Box::new(source))
}

/// What a look at a whole text tells of it.
#[derive(Debug, PartialEq)]
struct Surveyed {
    fields: Vec<Field>,
    /// How many rows there are, if they were counted.
    rows: Option<u64>,
    /// Whether every row is known to be one of these columns.
    is_sound: bool,
    /// Where the chunks of all rows stand, if they were looked at.
    stretches: Option<Vec<Stretch>>,
}

fn check(name: &str, dialect: Dialect) -> Result<(), FormatError> {
    let Dialect { delimiter, comment } = dialect;
    let shown = char::from(delimiter).escape_default();
    if delimiter == QUOTE || delimiter == b'\n' || delimiter == b'\r' || !delimiter.is_ascii() {
        return Err(FormatError::bad(name, format!("its fields cannot be separated by '{shown}'")));
    }
    if comment == Some(delimiter) || comment == Some(QUOTE) {
        return Err(FormatError::bad(name, "a comment cannot begin with the delimiter or with a quote"));
    }
    Ok(())
}

/// How a text is laid out, without its columns.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) dialect: Dialect,
    pub(crate) nulls: Nulls,
    pub(crate) header: bool,
    pub(crate) limits: Limits,
    /// The name that messages use.
    pub(crate) name: String,
}

impl Layout {
    fn chunks<R: Read>(&self, text: R) -> Chunks<R> {
        Chunks::new(text, &self.name, self.dialect, self.limits)
    }

    /// The fields of the next row as text, and its line.
    fn next_row<R: Read>(&self, chunks: &mut Chunks<R>) -> Result<Option<(u64, Vec<String>)>, FormatError> {
        while let Some(chunk) = chunks.next_row()? {
            let mut records = Records::new(&chunk.text, chunk.line, self.dialect);
            let mut fields = Vec::new();
            let Some(record) = records.next(&mut fields) else { continue };
            if let Some(fault) = record.fault(&fields, fields.len(), &chunk.text, false) {
                return Err(self.bad(format!("line {}: {fault}", record.line)));
            }
            if fields.len() > MOST_FIELDS {
                let why = format!("line {} has more than {MOST_FIELDS} fields", record.line);
                return Err(self.bad(format!("{why}, and a table of so many columns is not read")));
            }
            let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
            return Ok(Some((record.line, fields.iter().map(|field| text(records.bytes(*field))).collect())));
        }
        Ok(None)
    }

    /// The names of the columns, as the first row has them.
    pub(crate) fn names<R: Read>(&self, text: R) -> Result<Vec<String>, FormatError> {
        self.header(&mut self.chunks(text))
    }

    fn header<R: Read>(&self, chunks: &mut Chunks<R>) -> Result<Vec<String>, FormatError> {
        let Some((line, names)) = self.next_row(chunks)? else {
            return Err(self.bad("it has no row: not even one with the names of its columns"));
        };
        if names.iter().any(|name| name.contains('\r')) {
            return Err(self.bad("its lines end with CR alone; convert them to end with LF"));
        }
        if Kinds::are_data(names.iter().map(String::as_bytes)) {
            let why = format!("line {line} should hold the names of the columns, but holds numbers");
            return Err(self.bad(format!("{why}: either the file has no header, or it is written as a comment")));
        }
        Ok(names)
    }

    /// Goes through the whole text, unless the types of all its columns are given.
    fn survey<R: Read + Send>(
        &self,
        text: impl Fn() -> Result<R, FormatError>,
        names: &[String],
        types: Option<&Schema>,
        threads: NonZero<usize>,
    ) -> Result<Surveyed, FormatError> {
        let mut chunks = self.chunks(text()?);
        let mut names = if self.header { self.header(&mut chunks)? } else { self.numbered(&mut chunks, names)? };
        let given = |name: &str| types.and_then(|types| types.field_with_name(name).ok()).map(Field::data_type);
        let asked: Vec<usize> = (0..names.len()).filter(|column| given(&names[*column]).is_none()).collect();
        if asked.is_empty() {
            let typed = |name: &String| Field::new(name, given(name).cloned().unwrap_or(DataType::Utf8), true);
            let fields = names.iter().map(typed).collect();
            return Ok(Surveyed { fields, rows: None, is_sound: false, stretches: None });
        }
        if !self.header {
            chunks = self.chunks(text()?);
        }
        let question = Question { dialect: self.dialect, nulls: &self.nulls, width: names.len(), columns: &asked };
        let mut found = question.ask(chunks, threads)?;
        if names.len() > 1 && names.last().is_some_and(String::is_empty) && found.columns[names.len() - 1].is_blank() {
            names.pop(); // a delimiter at the end of every line
            found.is_sound = false; // it was asked of rows of another width
        }
        let fields = names.iter().zip(&found.columns).map(|(name, evidence)| match given(name) {
            Some(data_type) => Field::new(name, data_type.clone(), true),
            None => field(name, evidence),
        });
        let (fields, rows, stretches) = (fields.collect(), Some(found.rows), Some(found.stretches));
        Ok(Surveyed { fields, rows, is_sound: found.is_sound, stretches })
    }

    /// The names of the columns of a text without a header.
    fn numbered<R: Read>(&self, chunks: &mut Chunks<R>, names: &[String]) -> Result<Vec<String>, FormatError> {
        if !names.is_empty() {
            return Ok(names.to_vec());
        }
        let Some((_, first)) = self.next_row(chunks)? else {
            return Err(self.bad("it has no row, so its columns are unknown"));
        };
        Ok((1..=first.len()).map(|number| format!("col{number}")).collect())
    }

    fn bad(&self, why: impl std::fmt::Display) -> FormatError {
        FormatError::bad(&self.name, why)
    }
}

fn field(name: &str, evidence: &Evidence) -> Field {
    let Some(data_type) = evidence.data_type() else {
        return Field::new(name, DataType::Utf8, true).with_metadata([(EMPTY.into(), "true".into())].into());
    };
    let culprit = evidence.culprit().map(|culprit| (TEXT_BECAUSE.to_owned(), culprit));
    Field::new(name, data_type, true).with_metadata(culprit.into_iter().collect())
}

/// A text whose columns are known.
pub(crate) struct TextSource {
    input: Input,
    layout: Layout,
    schema: SchemaRef,
    rows: Option<u64>,
    is_sound: bool,
    /// Where its chunks stand, if that is known and any part of the text can be read by itself.
    stretches: Option<Vec<Stretch>>,
}

impl TextSource {
    /// A text with these columns, in their order, of whose rows nothing is known.
    pub(crate) fn new(input: Input, layout: Layout, fields: impl Into<Fields>) -> Self {
        let schema = Arc::new(Schema::new(fields));
        Self { input, layout, schema, rows: None, is_sound: false, stretches: None }
    }

    /// Whether text can have these types.
    pub(crate) fn check(&self) -> Result<(), FormatError> {
        self.layout.pass(&self.schema, None).map(drop)
    }

    /// The same with metadata of the whole table.
    pub(crate) fn described(mut self, metadata: std::collections::HashMap<String, String>) -> Self {
        self.schema = Arc::new(Schema::clone(&self.schema).with_metadata(metadata));
        self
    }
}

impl TableSource for TextSource {
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
        self.rows
    }

    fn read_as(&mut self, types: &Schema) {
        self.schema = Arc::new(retyped(&self.schema, types));
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let pass = Pass { is_sound: self.is_sound, ..self.layout.pass(&self.schema, columns)? };
        if let Some(stretches) = &self.stretches {
            return Ok(Box::new(self.pieces_at(stretches, pass)));
        }
        let mut chunks = self.layout.chunks(self.input.text()?);
        if self.layout.header {
            self.layout.next_row(&mut chunks)?;
        }
        Ok(Box::new(pieces(chunks, pass)))
    }
}

impl TextSource {
    /// The pieces of a text of which it is known where its chunks stand: who decodes one reads it.
    fn pieces_at<'a>(
        &'a self,
        stretches: &'a [Stretch],
        pass: Pass,
    ) -> impl Iterator<Item = Result<Piece<'a>, FormatError>> + Send {
        let (pass, spare) = (Arc::new(pass), Spare::default());
        stretches.iter().map(move |Stretch { bytes, line }| {
            let (pass, spare) = (Arc::clone(&pass), spare.clone());
            Ok(Piece::new(move |take| {
                let length = (bytes.end - bytes.start) as usize;
                let text = spare.text(length, |text| self.input.read_into(bytes.start, text))?;
                pass.decode(&Chunk { text, line: *line }, take)
            }))
        })
    }
}

fn pieces<'a, R: Read + Send + 'a>(
    mut chunks: Chunks<R>,
    pass: Pass,
) -> impl Iterator<Item = Result<Piece<'a>, FormatError>> + Send {
    let pass = Arc::new(pass);
    iter::from_fn(move || {
        let chunk = chunks.next_chunk().transpose()?;
        let pass = Arc::clone(&pass);
        Some(chunk.map(|chunk| Piece::new(move |take| pass.decode(&chunk, take))))
    })
}

impl Layout {
    /// A pass over all columns or some.
    fn pass(&self, schema: &SchemaRef, columns: Option<&[usize]>) -> Result<Pass, FormatError> {
        if let Some(field) = schema.fields().iter().find(|field| !is_readable(field.data_type())) {
            let (name, wanted) = (field.name(), in_words(field.data_type()));
            return Err(self.bad(format!("its column {name} cannot be read as {wanted}: it is text")));
        }
        let columns = columns.map_or_else(|| (0..schema.fields().len()).collect(), <[usize]>::to_vec);
        let projected = schema.project(&columns).map_err(|error| self.bad(error))?;
        Ok(Pass {
            name: self.name.clone(),
            dialect: self.dialect,
            nulls: self.nulls.clone(),
            width: schema.fields().len(),
            columns,
            batch: batch_rows(&projected),
            is_sound: false,
            spare: Mutex::default(),
            schema: Arc::new(projected),
        })
    }
}

/// The schema with other types for the columns of these names. What was found out about their values no longer holds.
fn retyped(schema: &Schema, types: &Schema) -> Schema {
    let retype = |field: &Arc<Field>| match types.field_with_name(field.name()) {
        Ok(other) => {
            let mut metadata = field.metadata().clone();
            metadata.retain(|key, _| key != EMPTY && key != TEXT_BECAUSE);
            let retyped = Field::clone(field).with_data_type(other.data_type().clone());
            Arc::new(retyped.with_metadata(metadata))
        }
        Err(_) => Arc::clone(field),
    };
    let fields: Fields = schema.fields().iter().map(retype).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

#[cfg(test)]
pub(crate) mod tests;
