//! Comma-separated values as RFC 4180 has them, in UTF-8, a line of names first unless the client wants none.
//!
//! NULL is an empty field and the empty string is `""`. In an answer of one column a NULL is `""` too, since a reader
//! skips an empty line and would lose the row. Arrays are JSON text. CSV has no place for an overflow or a failure: who
//! sends it tells them beside it.

use arrow::datatypes::SchemaRef;

use super::{
    cells::{Cells, PLAIN},
    text::{Unwritable, Writer},
};

pub(super) struct Csv {
    schema: SchemaRef,
    header: bool,
}

impl Csv {
    pub(super) fn new(schema: SchemaRef, header: bool) -> Self {
        Self { schema, header }
    }
}

impl Writer for Csv {
    fn head(&mut self, out: &mut String) {
        if self.header {
            for (column, field) in self.schema.fields().iter().enumerate() {
                if column > 0 {
                    out.push(',');
                }
                push_field(field.name(), out);
            }
            out.push_str("\r\n");
        }
    }

    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable> {
        for (column, values) in cells.iter().enumerate() {
            if column > 0 {
                out.push(',');
            }
            let unwritable = |why: super::cells::NoText| Unwritable { column, why: why.into() };
            if values.is_null(row) {
                if cells.len() == 1 {
                    out.push_str("\"\"");
                }
            } else {
                match values {
                    Cells::Text(array) => push_field(array.value(row), out),
                    Cells::Array { .. } => {
                        let mut json = String::new();
                        values.write_json(row, PLAIN, &mut json).map_err(unwritable)?;
                        push_field(&json, out);
                    }
                    _ => values.write(row, PLAIN, out).map_err(unwritable)?,
                }
            }
        }
        out.push_str("\r\n");
        Ok(())
    }

    fn tail(&mut self, _overflow: Option<u64>, _out: &mut String) {}
}

fn push_field(text: &str, out: &mut String) {
    if !text.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for (place, part) in text.split('"').enumerate() {
        if place > 0 {
            out.push_str("\"\"");
        }
        out.push_str(part);
    }
    out.push('"');
}
