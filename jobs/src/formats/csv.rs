//! Comma-separated values as RFC 4180 has them, in UTF-8, a line of names first unless the client wants none; and the
//! same with tabs.
//!
//! NULL is an empty field and the empty string is `""`. In an answer of one column a NULL is `""` too, since a reader
//! skips an empty line and would lose the row. Arrays are JSON text. A value with a tab is quoted among tabs as one
//! with a comma is among commas: the older custom, which knows no quotes, cannot hold it. An overflow or a failure is
//! told beside the answer, or, where that is asked for, by a last line: `# QUERY_STATUS OVERFLOW, 5 rows`.

use arrow::datatypes::SchemaRef;

use super::{
    Ending,
    cells::{Cells, NoText, PLAIN},
    spelled::push_integer,
    text::{Unwritable, Writer},
};

pub(super) struct Csv {
    schema: SchemaRef,
    separator: char,
    header: bool,
    /// A last line tells the status.
    status: bool,
    /// Of an array, before it is quoted.
    json: String,
    rows: u64,
}

impl Csv {
    pub(super) fn new(schema: SchemaRef, separator: char, header: bool, status: bool) -> Self {
        Self { schema, separator, header, status, json: String::new(), rows: 0 }
    }

    fn tell(&self, status: &str, what: &str, out: &mut String) {
        out.push_str("# QUERY_STATUS ");
        out.push_str(status);
        out.push_str(", ");
        push_integer(self.rows, out);
        out.push_str(if self.rows == 1 { " row" } else { " rows" });
        out.push_str(what);
        out.push_str("\r\n");
    }
}

impl Writer for Csv {
    fn head(&mut self, out: &mut String) {
        if self.header {
            for (column, field) in self.schema.fields().iter().enumerate() {
                if column > 0 {
                    out.push(self.separator);
                }
                push_field(field.name(), self.separator, out);
            }
            out.push_str("\r\n");
        }
    }

    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable> {
        for (column, values) in cells.iter().enumerate() {
            if column > 0 {
                out.push(self.separator);
            }
            let unwritable = |why: NoText| Unwritable { column, why: why.into() };
            if values.is_null(row) {
                if cells.len() == 1 {
                    out.push_str("\"\"");
                }
                continue;
            }
            match values {
                Cells::Text(array) => push_field(array.value(row), self.separator, out),
                Cells::Array { .. } => {
                    self.json.clear();
                    values.write_json(row, PLAIN, &mut self.json).map_err(unwritable)?;
                    push_field(&self.json, self.separator, out);
                }
                _ => values.write(row, PLAIN, out).map_err(unwritable)?,
            }
        }
        out.push_str("\r\n");
        self.rows += 1;
        Ok(())
    }

    fn tail(&mut self, ending: Ending, out: &mut String) {
        if self.status {
            self.tell(ending.status(), "", out);
        }
    }

    fn failure(&mut self, sentence: &str, out: &mut String) -> bool {
        if self.status {
            let sentence: String = sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.tell("ERROR", &format!(": {sentence}"), out);
        }
        self.status
    }
}

fn push_field(text: &str, separator: char, out: &mut String) {
    let quotes = |byte| matches!(byte, b'"' | b'\r' | b'\n') || char::from(byte) == separator;
    // A line that begins with # is a comment to many readers, among them those of a status line.
    if !text.is_empty() && !text.starts_with('#') && !text.bytes().any(quotes) {
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
