//! The page for people: which tables there are, what their columns mean, and queries to try.
//!
//! Plain HTML from the server, readable in any browser and without scripts.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use jobs::{ColumnMeta, ServedTable, formats::xml::push_attribute};
use url::form_urlencoded;

use crate::{asker::Asker, refusal::Refusal};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2.5rem auto;padding:0 1rem}\
h1{font-weight:600;margin-bottom:0}h2{font-size:1.1rem;margin:2rem 0 .25rem}p{margin:.4rem 0}\
code,td:first-child{font-family:ui-monospace,monospace;font-size:.9em}\
table{border-collapse:collapse;width:100%;margin:.5rem 0}\
td,th{text-align:left;vertical-align:top;padding:.15rem 1rem .15rem 0;border-bottom:1px solid #8884}\
th{font-weight:600}summary{cursor:pointer}";

pub(crate) async fn page(Asker(jobs): Asker) -> Result<Response, Refusal> {
    let tables = jobs.tables().await?;
    Ok(([(header::CONTENT_TYPE, "text/html;charset=utf-8")], html(&tables)).into_response())
}

fn html(tables: &[ServedTable]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Almagest</title><style>{STYLE}</style></head>\n\
         <body>\n<h1>Almagest</h1>\n<p>Astronomical catalogues, by the Table Access Protocol.</p>\n\
         <p>Queries in ADQL go to <code>tap/sync</code>, as <code>QUERY</code>; the answer is a VOTable, or CSV with \
         <code>RESPONSEFORMAT=csv</code>.</p>\n"
    );
    if tables.is_empty() {
        out.push_str("<p>No table is published yet.</p>\n");
    }
    for table in tables {
        push_table(table, &mut out);
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn push_table(table: &ServedTable, out: &mut String) {
    let schema = table.snapshot.schema();
    let columns = schema.fields().len();
    out.push_str(&format!("<h2>{}</h2>\n<p>", table.name));
    if let Some(description) = &table.description {
        push_attribute(out, description);
        out.push_str("<br>");
    }
    out.push_str(&format!("{} rows, {columns} columns.</p>\n<ul>\n", grouped(table.snapshot.rows())));
    for query in examples(table) {
        // From this page on, so that it holds behind a proxy that serves us under a path of its own.
        let link = form_urlencoded::Serializer::for_suffix("tap/sync?".to_owned(), "tap/sync?".len())
            .append_pair("LANG", "ADQL")
            .append_pair("RESPONSEFORMAT", "csv")
            .append_pair("QUERY", &query)
            .finish();
        out.push_str("<li><a href=\"");
        push_attribute(out, &link);
        out.push_str("\"><code>");
        push_attribute(out, &query);
        out.push_str("</code></a></li>\n");
    }
    out.push_str(
        "</ul>\n<details><summary>Columns</summary>\n<table>\n<tr><th>Name</th><th>Unit</th><th>Meaning</th></tr>\n",
    );
    for field in schema.fields() {
        let meta = ColumnMeta::of(field);
        out.push_str("<tr>");
        for text in [Some(field.name().as_str()), meta.unit, meta.description.or(meta.ucd)] {
            out.push_str("<td>");
            push_attribute(out, text.unwrap_or_default());
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></details>\n");
}

/// Queries that any table answers, and a cone where there are positions.
fn examples(table: &ServedTable) -> Vec<String> {
    let name = &table.name;
    let mut queries = vec![format!("SELECT TOP 10 * FROM {name}"), format!("SELECT COUNT(*) AS n FROM {name}")];
    if let Some(position) = table.snapshot.position() {
        let (ra, dec) = (identifier(&position.ra), identifier(&position.dec));
        queries.push(format!(
            "SELECT TOP 100 * FROM {name} WHERE 1 = CONTAINS(POINT({ra}, {dec}), CIRCLE(266.4, -28.9, 1))"
        ));
    }
    queries
}

/// A column's name as ADQL takes it: folded to lower case, in quotes unless it is a regular identifier.
fn identifier(name: &str) -> String {
    let folded = name.to_lowercase();
    let regular = folded.starts_with(|c: char| c.is_ascii_lowercase())
        && folded.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if regular { folded } else { format!("\"{}\"", folded.replace('"', "\"\"")) }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_name_that_is_no_regular_identifier_is_quoted() {
        assert_eq!(["ra", "RAJ2000", "_RA", "a\"b"].map(identifier), ["ra", "raj2000", "\"_ra\"", "\"a\"\"b\""]);
    }
}
