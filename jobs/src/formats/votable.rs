//! VOTable 1.4 with TABLEDATA.
//!
//! The status goes first as `OK`, since the first row leaves before the last is known; an overflow or a failure is told by
//! a second status after the table, as DALI has it, and readers take the last. Strings are declared `char` and written in
//! UTF-8: VOTable 1.6 says so, and every reader of older versions takes them so in TABLEDATA.
//!
//! An element of an integer array cannot be empty, so a nullable one is declared with the lowest value of its type as
//! NULL. A real element of that value is refused rather than read as NULL.

use std::fmt::Write as _;

use arrow::datatypes::{Field, SchemaRef};
use catalogs::ColumnMeta;

use super::{
    cells::{Cells, PLAIN, Spelling},
    kind::{Kind, Width},
    text::{Unwritable, Writer},
    xml::{push_attribute, push_text},
};

const SPELLING: Spelling = Spelling { truth: ["F", "T"], special: ["NaN", "+Inf", "-Inf"] };

const OPENING: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "<VOTABLE version=\"1.4\" xmlns=\"http://www.ivoa.net/xml/VOTable/v1.3\">\n",
    "<RESOURCE type=\"results\">\n",
);
const CLOSING: &str = "</RESOURCE>\n</VOTABLE>\n";

/// The document that tells that a request failed and why.
pub fn error_document(sentence: &str) -> String {
    let mut out = OPENING.to_owned();
    push_status(&mut out, "ERROR", sentence);
    out.push_str(CLOSING);
    out
}

pub(super) struct VoTable {
    schema: SchemaRef,
    query: String,
    types: Vec<Type>,
}

/// How a FIELD declares a column and how its cells are laid out.
struct Type {
    datatype: &'static str,
    arraysize: Option<String>,
    xtype: Option<&'static str>,
    layout: Layout,
}

#[derive(Clone, Copy)]
enum Layout {
    Scalar,
    /// Elements with blanks between; `null` stands for an element that is NULL.
    Elements {
        null: Option<i64>,
    },
    /// What VOTable has no form for: JSON text.
    Json,
}

impl VoTable {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind], query: String) -> Self {
        Self { types: kinds.iter().map(Type::of).collect(), schema, query }
    }
}

impl Writer for VoTable {
    fn head(&mut self, out: &mut String) {
        out.push_str(OPENING);
        push_status(out, "OK", "");
        out.push_str("<INFO name=\"QUERY\" value=\"");
        push_attribute(out, &self.query);
        out.push_str("\"/>\n<TABLE>\n");
        for (field, kind) in self.schema.fields().iter().zip(&self.types) {
            kind.push_field(field, out);
        }
        out.push_str("<DATA>\n<TABLEDATA>\n");
    }

    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable> {
        out.push_str("<TR>");
        for (column, (cells, kind)) in cells.iter().zip(&self.types).enumerate() {
            if cells.is_null(row) {
                out.push_str("<TD/>");
                continue;
            }
            out.push_str("<TD>");
            push_cell(cells, kind.layout, row, out).map_err(|why| Unwritable { column, why })?;
            out.push_str("</TD>");
        }
        out.push_str("</TR>\n");
        Ok(())
    }

    fn tail(&mut self, overflow: Option<u64>, out: &mut String) {
        out.push_str("</TABLEDATA>\n</DATA>\n</TABLE>\n");
        if let Some(rows) = overflow {
            push_status(out, "OVERFLOW", &format!("The answer has more rows; it was cut after {rows} by MAXREC."));
        }
        out.push_str(CLOSING);
    }

    fn failure(&mut self, sentence: &str, out: &mut String) -> bool {
        out.push_str("</TABLEDATA>\n</DATA>\n</TABLE>\n");
        push_status(out, "ERROR", sentence);
        out.push_str(CLOSING);
        true
    }
}

/// Whether metadata says anything: files written elsewhere hold empty units, and the schema of VOTable takes none.
fn said(text: &&str) -> bool {
    !text.trim().is_empty()
}

fn push_status(out: &mut String, value: &str, sentence: &str) {
    let _ = write!(out, "<INFO name=\"QUERY_STATUS\" value=\"{value}\""); // writing to a String cannot fail
    if sentence.is_empty() {
        out.push_str("/>\n");
    } else {
        out.push('>');
        push_text(out, sentence);
        out.push_str("</INFO>\n");
    }
}

impl Type {
    fn of(kind: &Kind) -> Self {
        let scalar = |datatype| Self { datatype, arraysize: None, xtype: None, layout: Layout::Scalar };
        let text = |xtype, layout| Self { datatype: "char", arraysize: Some("*".to_owned()), xtype, layout };
        match kind {
            Kind::Boolean => scalar("boolean"),
            Kind::Integer(width) => scalar(width.datatype()),
            Kind::Unsigned => scalar("long"),
            Kind::Float => scalar("float"),
            Kind::Double | Kind::Decimal { fits_double: true } => scalar("double"),
            Kind::Nothing | Kind::Text | Kind::Clock(_) | Kind::Decimal { fits_double: false } => {
                text(None, Layout::Scalar)
            }
            Kind::Instant(_) | Kind::Day => text(Some("timestamp"), Layout::Scalar),
            Kind::Bytes(length) => Self {
                datatype: "unsignedByte",
                arraysize: Some(arraysize(*length)),
                xtype: None,
                layout: Layout::Elements { null: None },
            },
            Kind::Array { element, length, nullable } => {
                let (datatype, null) = match **element {
                    Kind::Boolean => ("boolean", None),
                    Kind::Float => ("float", None),
                    Kind::Double => ("double", None),
                    Kind::Unsigned => ("long", nullable.then_some(i64::MIN)),
                    // All 256 values of a byte mean themselves, so NULL needs a wider type.
                    Kind::Integer(Width::U8) if *nullable => ("short", Some(i64::from(i16::MIN))),
                    Kind::Integer(width) => (width.datatype(), nullable.then(|| width.lowest())),
                    _ => return text(Some("json"), Layout::Json),
                };
                Self { datatype, arraysize: Some(arraysize(*length)), xtype: None, layout: Layout::Elements { null } }
            }
        }
    }

    fn push_field(&self, field: &Field, out: &mut String) {
        let meta = ColumnMeta::of(field);
        let description = meta.description.filter(said);
        // The schema of VOTable allows no other letters in a UCD.
        let ucd =
            meta.ucd.filter(said).filter(|ucd| ucd.chars().all(|c| c.is_ascii_alphanumeric() || "_.:;-".contains(c)));
        let attributes = [
            ("name", Some(field.name().as_str())),
            ("datatype", Some(self.datatype)),
            ("arraysize", self.arraysize.as_deref()),
            ("xtype", self.xtype.or(meta.xtype.filter(said))),
            ("unit", meta.unit.filter(said)),
            ("ucd", ucd),
            ("utype", meta.utype.filter(said)),
        ];
        out.push_str("<FIELD");
        for (name, value) in attributes {
            if let Some(value) = value {
                let _ = write!(out, " {name}=\""); // writing to a String cannot fail
                push_attribute(out, value);
                out.push('"');
            }
        }
        let null = match self.layout {
            Layout::Elements { null } => null,
            Layout::Scalar | Layout::Json => None,
        };
        if description.is_none() && null.is_none() {
            out.push_str("/>\n");
            return;
        }
        out.push('>');
        if let Some(description) = description {
            out.push_str("<DESCRIPTION>");
            push_text(out, description);
            out.push_str("</DESCRIPTION>");
        }
        if let Some(null) = null {
            let _ = write!(out, "<VALUES null=\"{null}\"/>");
        }
        out.push_str("</FIELD>\n");
    }
}

impl Width {
    fn datatype(self) -> &'static str {
        match self {
            Self::U8 => "unsignedByte",
            Self::I16 => "short",
            Self::I32 => "int",
            Self::I64 => "long",
        }
    }

    fn lowest(self) -> i64 {
        match self {
            Self::U8 => 0,
            Self::I16 => i16::MIN.into(),
            Self::I32 => i32::MIN.into(),
            Self::I64 => i64::MIN,
        }
    }
}

fn arraysize(length: Option<usize>) -> String {
    match length {
        None | Some(0) => "*".to_owned(),
        Some(length) => length.to_string(),
    }
}

fn push_cell(cells: &Cells, layout: Layout, row: usize, out: &mut String) -> Result<(), String> {
    match (layout, cells) {
        (Layout::Scalar, Cells::Text(array)) => push_text(out, array.value(row)),
        (Layout::Json, _) => {
            let mut json = String::new();
            cells.write_json(row, PLAIN, &mut json)?;
            push_text(out, &json);
        }
        (Layout::Scalar, _) => push_number(cells, row, out)?,
        (Layout::Elements { .. }, Cells::Bytes(array)) => push_spaced(array.value(row).iter(), out, |byte, out| {
            let _ = write!(out, "{byte}");
            Ok(())
        })?,
        (Layout::Elements { null }, Cells::Array { elements, ends, .. }) => {
            push_spaced(ends[row]..ends[row + 1], out, |element, out| push_element(elements, element, null, out))?;
        }
        // No kind of cells but these two is given the layout of elements.
        (Layout::Elements { .. }, _) => {}
    }
    Ok(())
}

fn push_spaced<T>(
    items: impl Iterator<Item = T>,
    out: &mut String,
    push: impl Fn(T, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(' ');
        }
        push(item, out)?;
    }
    Ok(())
}

fn push_element(elements: &Cells, element: usize, null: Option<i64>, out: &mut String) -> Result<(), String> {
    if elements.is_null(element) {
        match (elements, null) {
            (Cells::Boolean(_), _) => out.push('?'),
            (_, Some(null)) => _ = write!(out, "{null}"),
            (_, None) => out.push_str("NaN"),
        }
        return Ok(());
    }
    if let (Cells::Integer(array), Some(null)) = (elements, null)
        && array.value(element) == null
    {
        return Err(format!(
            "an array element of {null}, which in VOTable means NULL there; ask for CSV, or for single elements"
        ));
    }
    push_number(elements, element, out)
}

fn push_number(cells: &Cells, row: usize, out: &mut String) -> Result<(), String> {
    if let Cells::Unsigned(array) = cells
        && i64::try_from(array.value(row)).is_err()
    {
        return Err(format!(
            "the number {}, which no VOTable integer holds; cast the column to text or to double",
            array.value(row)
        ));
    }
    Ok(cells.write(row, SPELLING, out)?)
}
