//! A page with the first rows, for eyes: what the columns are, and enough of the values to see whether the query was
//! meant so.
//!
//! The rest of the answer is not computed, and the page says that there is more. It holds no script, and nothing of the
//! answer is taken for markup.

use arrow::datatypes::SchemaRef;
use catalogs::ColumnMeta;

use super::{
    Ending,
    cells::{Cells, PLAIN},
    kind::Kind,
    table::shown,
    text::{Unwritable, Writer},
    xml::{push_attribute, push_text},
};

/// A page has so many rows,
const ROWS: u64 = 500;
/// and so many characters of a value.
const CHARACTERS: usize = 200;

const OPENING: &str =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>Answer</title>\n<style>
body { font-family: sans-serif; }
pre { white-space: pre-wrap; }
table { border-collapse: collapse; }
th, td { padding: 0.1em 0.6em; border: 1px solid #ccc; text-align: left; }
td.n { text-align: right; }
td.null { color: #999; }
</style>\n</head>\n<body>\n";

pub(super) struct Html {
    schema: SchemaRef,
    query: String,
    numeric: Vec<bool>,
    rows: u64,
    /// There was a row that is not on the page.
    more: bool,
    cell: String,
}

impl Html {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind], query: String) -> Self {
        let numeric = kinds.iter().map(Kind::is_number).collect();
        Self { schema, query, numeric, rows: 0, more: false, cell: String::new() }
    }

    fn close(&self, sentence: &str, out: &mut String) {
        out.push_str("</tbody>\n</table>\n<p>");
        push_text(out, sentence);
        out.push_str("</p>\n</body>\n</html>\n");
    }
}

impl Writer for Html {
    fn head(&mut self, out: &mut String) {
        out.push_str(OPENING);
        out.push_str("<pre>");
        push_text(out, &self.query);
        out.push_str("</pre>\n<table>\n<thead>\n<tr>");
        for field in self.schema.fields() {
            let meta = ColumnMeta::of(field);
            let about: Vec<&str> = [meta.description, meta.ucd, meta.xtype].into_iter().flatten().collect();
            out.push_str("<th title=\"");
            push_attribute(out, &about.join(" · "));
            out.push_str("\">");
            push_text(out, &shown(field.name()));
            if let Some(unit) = meta.unit {
                out.push_str("<br/><small>");
                push_text(out, &shown(unit));
                out.push_str("</small>");
            }
            out.push_str("</th>");
        }
        out.push_str("</tr>\n</thead>\n<tbody>\n");
    }

    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable> {
        if self.rows == ROWS {
            self.more = true;
            return Ok(());
        }
        out.push_str("<tr>");
        for (column, (cells, numeric)) in cells.iter().zip(&self.numeric).enumerate() {
            if cells.is_null(row) {
                out.push_str("<td class=\"null\">NULL</td>");
                continue;
            }
            self.cell.clear();
            cells.write(row, PLAIN, &mut self.cell).map_err(|why| Unwritable { column, why: why.into() })?;
            if let Some((end, _)) = self.cell.char_indices().nth(CHARACTERS) {
                self.cell.truncate(end);
                self.cell.push('…');
            }
            out.push_str(if *numeric { "<td class=\"n\">" } else { "<td>" });
            push_text(out, &shown(&self.cell));
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
        self.rows += 1;
        Ok(())
    }

    fn has_enough(&self) -> bool {
        self.more
    }

    fn tail(&mut self, ending: Ending, out: &mut String) {
        let rows = if self.rows == 1 { "row" } else { "rows" };
        let sentence = match (self.more, ending.overflow) {
            (true, _) => {
                format!("These are the first {} {rows}, and there are more: another format holds them.", self.rows)
            }
            (false, true) => format!("{} {rows}, and there are more: the answer was cut by MAXREC.", self.rows),
            (false, false) => format!("{} {rows}.", self.rows),
        };
        self.close(&sentence, out);
    }

    fn failure(&mut self, sentence: &str, out: &mut String) -> bool {
        self.close(sentence, out);
        true
    }
}
