//! VOTable, the XML of the Virtual Observatory: any version, its rows as TABLEDATA, BINARY or BINARY2.
//!
//! ```text
//!   xml ──▶ header ──▶ rows: tabledata | binary ──▶ header::finish
//!    markup   tables, columns     chunks, decoded elsewhere   the rest of the document, and whether the result is whole
//! ```
//!
//! A document is read as it comes and never held: its head to find the table, its rows in chunks that are decoded on
//! other threads, its tail for what a service may have to say after the rows. Every pass begins at the beginning.
//! What is never done: nothing that a file points to is fetched, no entity but the five of XML is known, and no type is
//! guessed — times stay text, with their xtype.

mod binary;
mod cells;
mod header;
mod kinds;
mod rows;
mod tabledata;
#[cfg(test)]
mod tests;
mod values;
mod xml;

use std::{io::Cursor, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use self::{
    header::{Column, Found, Serialization, Table},
    kinds::{CELL_LIMIT, Kind},
    rows::Plan,
    xml::Xml,
};
use crate::{ColumnMeta, FormatError, Input, Piece, Pieces, SourceOptions, TableSource};

/// Opens a table of a VOTable: the one that the options name, or the first that has rows.
pub(crate) fn open(input: Input, options: &SourceOptions) -> Result<Box<dyn TableSource>, FormatError> {
    let table = options.table.clone();
    let found = locate(&input, table.as_deref())?;
    let columns = understand(&input, &found.table)?;
    let schema = schema_of(&found.table, &columns);
    let nulls = options.text.nulls.clone();
    let (found, serialization) = (found.table, found.serialization);
    Ok(Box::new(Votable { input, table, found, serialization, columns, nulls, schema }))
}

/// The schema with what the first table of a VOTable says of its columns: units, UCDs and so on go to the columns of the
/// same names, or of names that differ in case only; types stay as they are. This is how Parquet and FITS files carry the
/// metadata that their own headers have no place for.
pub fn describe(schema: &Schema, votable: &[u8]) -> Result<SchemaRef, FormatError> {
    let name = "its VOTable header";
    let bytes = xml::in_utf8(name, Box::new(Cursor::new(votable.to_vec())))?;
    let table = header::first_table(Xml::new(name.into(), bytes))?;
    let described = |field: &FieldRef| {
        let named = |same: fn(&str, &str) -> bool| table.columns.iter().find(|column| same(&column.name, field.name()));
        let Some(column) = named(|a, b| a == b).or_else(|| named(str::eq_ignore_ascii_case)) else {
            return Arc::clone(field);
        };
        let array = matches!(
            field.data_type(),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::ListView(_)
        );
        let arraysize = column.arraysize.as_deref().filter(|_| array);
        Arc::new(ColumnMeta { arraysize, ..column.meta() }.describe(field.as_ref().clone()))
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(described).collect();
    let mut metadata = schema.metadata().clone();
    metadata.extend(about(&table));
    Ok(Arc::new(Schema::new_with_metadata(fields, metadata)))
}

/// A table of a VOTable.
struct Votable {
    input: Input,
    /// Which table was asked for.
    table: Option<String>,
    /// What it said of itself when it was opened.
    found: Table,
    serialization: Serialization,
    columns: Vec<(Column, Kind)>,
    /// The texts that mean NULL in any column.
    nulls: Vec<String>,
    schema: SchemaRef,
}

impl TableSource for Votable {
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
        let found = locate(&self.input, self.table.as_deref())?;
        if found.table != self.found || found.serialization != self.serialization {
            return Err(FormatError::bad(self.name(), "the file has changed since it was opened"));
        }
        let wanted = columns.map_or_else(|| (0..self.columns.len()).collect(), <[usize]>::to_vec);
        let schema = self.schema.project(&wanted).map_err(|error| FormatError::bad(self.name(), error))?;
        let (columns, nulls) = (self.columns.clone(), self.nulls.clone());
        let plan = Plan { name: self.name().into(), columns, nulls, wanted, schema: Arc::new(schema) };
        let mut pass = Pass { home: found.home, stage: self.begin(found)?, plan: Arc::new(plan) };
        Ok(Box::new(std::iter::from_fn(move || pass.next())))
    }
}

impl Votable {
    fn begin(&self, found: Found) -> Result<Stage, FormatError> {
        if found.empty {
            return Ok(Stage::Rest(Box::new(found.xml)));
        }
        let flagged = match found.serialization {
            Serialization::TableData => return Ok(Stage::TableData(tabledata::Chunks::new(found.xml))),
            Serialization::Binary => false,
            Serialization::Binary2 => true,
        };
        let layout = binary::Layout::new(self.columns.iter().map(|(_, kind)| *kind), flagged);
        let layout = Arc::new(layout.map_err(|why| FormatError::bad(self.name(), why))?);
        Ok(Stage::Binary(binary::Chunks::new(found.xml, Arc::clone(&layout)), layout))
    }
}

/// One pass over the rows.
struct Pass {
    plan: Arc<Plan>,
    /// How many elements are open within the RESOURCE of the table.
    home: usize,
    stage: Stage,
}

/// How far a pass has come.
enum Stage {
    TableData(tabledata::Chunks),
    Binary(binary::Chunks, Arc<binary::Layout>),
    /// Behind the rows.
    Rest(Box<Xml>),
    Over,
}

impl Pass {
    fn next<'a>(&mut self) -> Option<Result<Piece<'a>, FormatError>> {
        let piece = self.advance();
        if !matches!(piece, Ok(Some(_))) {
            self.stage = Stage::Over;
        }
        piece.transpose()
    }

    fn advance<'a>(&mut self) -> Result<Option<Piece<'a>>, FormatError> {
        let plan = Arc::clone(&self.plan);
        let rest = match &mut self.stage {
            Stage::TableData(chunks) => match chunks.next()? {
                Some(chunk) => return Ok(Some(Piece::new(move |take| tabledata::decode(&chunk, &plan, take)))),
                None => chunks.rest(),
            },
            Stage::Binary(chunks, layout) => match chunks.next()? {
                Some(chunk) => {
                    let layout = Arc::clone(layout);
                    return Ok(Some(Piece::new(move |take| binary::decode(&chunk, &layout, &plan, take))));
                }
                None => chunks.rest(),
            },
            Stage::Rest(_) | Stage::Over => match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Rest(xml) => *xml,
                _ => return Ok(None),
            },
        };
        header::finish(rest, self.home)?;
        Ok(None)
    }
}

fn locate(input: &Input, table: Option<&str>) -> Result<Found, FormatError> {
    let bytes = xml::in_utf8(input.name(), input.text()?)?;
    header::find(Xml::new(input.name().into(), bytes), table)
}

/// What the columns of a table hold.
fn understand(input: &Input, table: &Table) -> Result<Vec<(Column, Kind)>, FormatError> {
    let understood = table.columns.iter().map(|column| {
        let kind =
            Kind::of(column).map_err(|why| FormatError::bad(input.name(), format!("column {}: {why}", column.name)));
        Ok((column.clone(), kind?))
    });
    let understood = understood.collect::<Result<Vec<_>, _>>()?;
    // A cell may be empty, but its array is as long as all others.
    let least: usize = understood.iter().map(|(_, kind)| kind.least_bytes()).fold(0, usize::saturating_add);
    if least > CELL_LIMIT {
        return Err(FormatError::bad(input.name(), "its rows would be longer than 64 MiB"));
    }
    Ok(understood)
}

fn schema_of(table: &Table, columns: &[(Column, Kind)]) -> SchemaRef {
    let fields = columns.iter().map(|(column, kind)| {
        let arraysize = kind.arraysize(column);
        let meta = ColumnMeta { arraysize: arraysize.as_deref(), ..column.meta() };
        meta.describe(Field::new(&column.name, kind.arrow(), true))
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), about(table).collect()))
}

/// What a table says of itself, as metadata of a schema.
fn about(table: &Table) -> impl Iterator<Item = (String, String)> {
    let parts = [("vo:name", &table.name), ("vo:description", &table.description)];
    parts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?)))
}
