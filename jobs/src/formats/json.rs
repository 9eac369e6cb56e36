//! JSON: one array of objects, or one object a line (NDJSON), a key for each column.
//!
//! NULL is `null`. JSON has no NaN and no infinities: NaN, which means "missing" everywhere here, is `null` too, and
//! infinities are the strings `"Infinity"` and `"-Infinity"`. Integers keep all their digits, which JavaScript does not.
//! Times are ISO text, bytes hexadecimal text, arrays are arrays. Two columns of one name are refused: one would hide the
//! other. Neither form has a place for an overflow or a failure: who sends it tells them beside it.

use arrow::datatypes::Schema;

use super::{
    cells::{Cells, Spelling},
    text::{Unwritable, Writer},
};

const SPELLING: Spelling = Spelling { truth: ["false", "true"], special: ["null", "\"Infinity\"", "\"-Infinity\""] };

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
    rows: u64,
}

impl Json {
    pub(super) fn new(schema: &Schema, form: Form) -> Self {
        let key = |(column, name): (usize, &String)| {
            let before = if column == 0 { "" } else { "," };
            // A string is always JSON.
            format!("{before}{}:", serde_json::to_string(name).unwrap_or_default())
        };
        let keys = schema.fields().iter().map(|field| field.name()).enumerate().map(key).collect();
        Self { form, keys, rows: 0 }
    }
}

impl Writer for Json {
    fn head(&mut self, out: &mut String) {
        if self.form == Form::Array {
            out.push('[');
        }
    }

    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable> {
        match self.form {
            Form::Array if self.rows == 0 => out.push('\n'),
            Form::Array => out.push_str(",\n"),
            Form::Lines => {}
        }
        out.push('{');
        for (column, (cells, key)) in cells.iter().zip(&self.keys).enumerate() {
            out.push_str(key);
            cells.write_json(row, SPELLING, out).map_err(|why| Unwritable { column, why: why.into() })?;
        }
        out.push('}');
        if self.form == Form::Lines {
            out.push('\n');
        }
        self.rows += 1;
        Ok(())
    }

    fn tail(&mut self, _overflow: Option<u64>, out: &mut String) {
        if self.form == Form::Array {
            out.push_str("\n]\n");
        }
    }
}
