//! JSON: one array of objects, or one object a line (NDJSON), a key for each column.
//!
//! NULL is `null`. JSON has no NaN and no infinities: NaN, which means "missing" everywhere here, is `null` too, and
//! infinities are the strings `"Infinity"` and `"-Infinity"`. Integers keep all their digits, which JavaScript does
//! not. Times are ISO text, bytes hexadecimal text, arrays are arrays. Two columns of one name are refused: one would
//! hide the other. An overflow or a failure is told beside the answer, or, where that is asked for, in a last object of
//! the answer that is no row: `{"QUERY_STATUS":"OVERFLOW","rows":5}`.

use arrow::datatypes::Schema;

use super::{
    Ending,
    cells::{Cells, JSON, push_quoted},
    spelled::push_integer,
    text::{Unwritable, Writer},
};

/// How the objects are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Array,
    Lines,
}

pub(super) struct Json {
    form: Form,
    /// The name of each column, quoted, with what stands around it.
    keys: Vec<String>,
    /// A last object tells the status.
    status: bool,
    rows: u64,
}

impl Json {
    pub(super) fn new(schema: &Schema, form: Form, status: bool) -> Self {
        let key = |(column, name): (usize, &String)| {
            let before = if column == 0 { "" } else { "," };
            let mut key = before.to_owned();
            push_quoted(name, &mut key);
            key + ":"
        };
        let keys = schema.fields().iter().map(|field| field.name()).enumerate().map(key).collect();
        Self { form, keys, status, rows: 0 }
    }

    /// What stands before an object, of a row or of the status.
    fn separate(&self, is_first: bool, out: &mut String) {
        match self.form {
            Form::Array if is_first => out.push('\n'),
            Form::Array => out.push_str(",\n"),
            Form::Lines => {}
        }
    }

    /// The object that tells the status, and the end of the document.
    fn tell(&self, status: &str, message: Option<&str>, out: &mut String) {
        if self.status {
            self.separate(self.rows == 0, out);
            out.push_str("{\"QUERY_STATUS\":");
            push_quoted(status, out);
            out.push_str(",\"rows\":");
            push_integer(self.rows, out);
            if let Some(message) = message {
                out.push_str(",\"message\":");
                push_quoted(message, out);
            }
            out.push('}');
            if self.form == Form::Lines {
                out.push('\n');
            }
        }
        if self.form == Form::Array {
            out.push_str("\n]\n");
        }
    }
}

impl Writer for Json {
    fn head(&mut self, out: &mut String) {
        if self.form == Form::Array {
            out.push('[');
        }
    }

    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable> {
        self.separate(self.rows == 0, out);
        out.push('{');
        for (column, (cells, key)) in cells.iter().zip(&self.keys).enumerate() {
            out.push_str(key);
            cells.write_json(row, JSON, out).map_err(|why| Unwritable { column, why: why.into() })?;
        }
        out.push('}');
        if self.form == Form::Lines {
            out.push('\n');
        }
        self.rows += 1;
        Ok(())
    }

    fn tail(&mut self, ending: Ending, out: &mut String) {
        self.tell(ending.status(), None, out);
    }

    fn failure(&mut self, sentence: &str, out: &mut String) -> bool {
        if self.status {
            self.tell("ERROR", Some(sentence), out);
        }
        self.status
    }
}
