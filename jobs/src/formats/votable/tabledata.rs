//! Rows as text in XML.

use arrow::datatypes::SchemaRef;

use super::{
    super::{
        Ending,
        cells::{Cells, JSON, Spelling},
        kind::Kind,
        spelled::push_integer,
        text::{Unwritable, Writer},
        xml::push_text,
    },
    document::Document,
    fields::{FieldType, Shape},
};

const SPELLING: Spelling = Spelling { truth: ["F", "T"], special: ["NaN", "+Inf", "-Inf"] };

pub(in super::super) struct TableData {
    document: Document,
    types: Vec<FieldType>,
    /// Of an array that VOTable has no form for.
    json: String,
}

impl TableData {
    pub(in super::super) fn new(schema: SchemaRef, kinds: &[Kind], query: String) -> Self {
        let types = kinds.iter().map(FieldType::text).collect();
        Self { document: Document::new(schema, query), types, json: String::new() }
    }
}

impl Writer for TableData {
    fn head(&mut self, out: &mut String) {
        self.document.open(&self.types, out);
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
            push_cell(cells, kind, row, &mut self.json, out).map_err(|why| Unwritable { column, why })?;
            out.push_str("</TD>");
        }
        out.push_str("</TR>\n");
        Ok(())
    }

    fn tail(&mut self, ending: Ending, out: &mut String) {
        out.push_str("</TABLEDATA>\n</DATA>\n");
        self.document.close(Some(ending), out);
    }

    fn failure(&mut self, sentence: &str, out: &mut String) -> bool {
        out.push_str("</TABLEDATA>\n</DATA>\n");
        self.document.fail(sentence, out);
        true
    }
}

fn push_cell(cells: &Cells, kind: &FieldType, row: usize, json: &mut String, out: &mut String) -> Result<(), String> {
    match (cells, kind.shape) {
        (Cells::Text(array), _) => push_text(out, array.value(row)),
        (_, Shape::Json) => {
            json.clear();
            cells.write_json(row, JSON, json)?;
            push_text(out, json);
        }
        (Cells::Bytes(array), _) => push_spaced(array.value(row).iter(), out, |byte, out| {
            push_integer(*byte, out);
            Ok(())
        })?,
        (Cells::Array { elements, ends, .. }, _) => {
            push_spaced(ends[row]..ends[row + 1], out, |element, out| push_element(elements, element, kind.null, out))?;
        }
        _ => push_number(cells, row, out)?,
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
            (_, Some(null)) => push_integer(null, out),
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
