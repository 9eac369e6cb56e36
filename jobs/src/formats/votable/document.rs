//! What stands around the rows of a VOTable.

use arrow::datatypes::{Field, SchemaRef};
use catalogs::ColumnMeta;

use super::{
    super::{
        Ending,
        xml::{push_attribute, push_text},
    },
    fields::FieldType,
};

pub(super) const OPENING: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "<VOTABLE version=\"1.4\" xmlns=\"http://www.ivoa.net/xml/VOTable/v1.3\">\n",
    "<RESOURCE type=\"results\">\n",
);
pub(super) const CLOSING: &str = "</RESOURCE>\n</VOTABLE>\n";

/// The frame of all positions here, to which their columns refer.
const ICRS: &str = "<COOSYS ID=\"icrs\" system=\"ICRS\"/>\n";

/// A document with one table.
pub(super) struct Document {
    schema: SchemaRef,
    query: String,
}

impl Document {
    pub(super) fn new(schema: SchemaRef, query: String) -> Self {
        Self { schema, query }
    }

    /// Everything before DATA.
    pub(super) fn open<'t>(&self, types: impl IntoIterator<Item = &'t FieldType>, out: &mut String) {
        out.push_str(OPENING);
        push_status(out, "OK", "");
        out.push_str("<INFO name=\"QUERY\" value=\"");
        push_attribute(out, &self.query);
        out.push_str("\"/>\n");
        if self.schema.fields().iter().any(|field| is_position(field)) {
            out.push_str(ICRS);
        }
        out.push_str("<TABLE>\n");
        for (field, kind) in self.schema.fields().iter().zip(types) {
            push_field(field, kind, out);
        }
    }

    /// Everything after DATA, and what became of the answer, if that is known.
    pub(super) fn close(&self, ending: Option<Ending>, out: &mut String) {
        out.push_str("</TABLE>\n");
        if let Some(Ending { rows, overflow: true }) = ending {
            push_status(out, "OVERFLOW", &format!("The answer has more rows; it was cut after {rows} by MAXREC."));
        }
        out.push_str(CLOSING);
    }

    /// The same for an answer that failed.
    pub(super) fn fail(&self, sentence: &str, out: &mut String) {
        out.push_str("</TABLE>\n");
        push_status(out, "ERROR", sentence);
        out.push_str(CLOSING);
    }
}

pub(super) fn push_status(out: &mut String, value: &str, sentence: &str) {
    out.push_str("<INFO name=\"QUERY_STATUS\" value=\"");
    out.push_str(value);
    if sentence.is_empty() {
        out.push_str("\"/>\n");
    } else {
        out.push_str("\">");
        push_text(out, sentence);
        out.push_str("</INFO>\n");
    }
}

/// Whether a column holds what is known to be in the frame of this house: the position of a row, or a shape. Any other
/// coordinate may be in the frame of whoever made the table.
fn is_position(field: &Field) -> bool {
    let meta = ColumnMeta::of(field);
    let main = |ucd: &str| matches!(ucd, "pos.eq.ra;meta.main" | "pos.eq.dec;meta.main");
    meta.ucd.is_some_and(main)
        || meta.xtype.is_some_and(|xtype| matches!(xtype, "point" | "circle" | "polygon" | "moc"))
}

fn push_field(field: &Field, kind: &FieldType, out: &mut String) {
    let meta = ColumnMeta::of(field);
    // The schema of VOTable allows no other letters in a UCD.
    let ucd = meta.ucd.filter(|ucd| ucd.chars().all(|c| c.is_ascii_alphanumeric() || "_.:;-".contains(c)));
    let arraysize = kind.arraysize(meta.arraysize);
    let attributes = [
        ("name", Some(field.name().as_str())),
        ("datatype", Some(kind.datatype)),
        ("arraysize", arraysize.as_deref()),
        ("xtype", kind.xtype.or(meta.xtype)),
        ("unit", meta.unit),
        ("ucd", ucd),
        ("utype", meta.utype),
        ("ref", is_position(field).then_some("icrs")),
    ];
    out.push_str("<FIELD");
    for (name, value) in attributes {
        if let Some(value) = value {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            push_attribute(out, value);
            out.push('"');
        }
    }
    if meta.description.is_none() && kind.null.is_none() {
        out.push_str("/>\n");
        return;
    }
    out.push('>');
    if let Some(description) = meta.description {
        out.push_str("<DESCRIPTION>");
        push_text(out, description);
        out.push_str("</DESCRIPTION>");
    }
    if let Some(null) = kind.null {
        out.push_str(&format!("<VALUES null=\"{null}\"/>"));
    }
    out.push_str("</FIELD>\n");
}
