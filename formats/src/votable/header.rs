//! What a VOTable says before and behind its rows: which tables there are, their columns, and whether all went well.
//!
//! Elements are understood where the standard has them and passed over anywhere else, so that annotations of other
//! namespaces do no harm. A service's complaint (QUERY_STATUS) makes the file unreadable: an error message is no table,
//! and a part of a result is not the result.

use std::{ops::ControlFlow, sync::Arc};

use super::xml::{Element, Node, Xml};
use crate::{ColumnMeta, FormatError};

/// What the descriptions of all tables and columns may take.
const HEADER_LIMIT: usize = if cfg!(test) { 4 << 20 } else { 256 << 20 };

/// What a FIELD says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) arraysize: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) ucd: Option<String>,
    pub(super) utype: Option<String>,
    pub(super) xtype: Option<String>,
    pub(super) description: Option<String>,
    /// The value that stands for a missing one.
    pub(super) null: Option<String>,
}

impl Column {
    /// The metadata that is the same whatever the column's type.
    pub(super) fn meta(&self) -> ColumnMeta<'_> {
        ColumnMeta {
            unit: self.unit.as_deref(),
            ucd: self.ucd.as_deref(),
            utype: self.utype.as_deref(),
            xtype: self.xtype.as_deref(),
            arraysize: None,
            elements: None,
            description: self.description.as_deref(),
        }
    }
}

/// What a TABLE says before its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) columns: Vec<Column>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serialization {
    TableData,
    Binary,
    Binary2,
}

/// A document that has been read up to the rows of a table.
pub(super) struct Found {
    pub(super) table: Table,
    pub(super) serialization: Serialization,
    /// The document, behind `<TABLEDATA>` or `<STREAM>`.
    pub(super) xml: Xml,
    /// That tag was an empty one: there are no rows.
    pub(super) empty: bool,
    /// How many elements are open within the RESOURCE of the table, itself included.
    pub(super) home: usize,
}

/// Reads a document up to the rows of a table: the one of this number (from 1), name or ID, or the first that has rows.
pub(super) fn find(xml: Xml, wanted: Option<&str>) -> Result<Found, FormatError> {
    let mut finder = Finder::new(xml, Aim::Rows(wanted));
    match finder.document()? {
        ControlFlow::Break(Stop { table, rows: Some((serialization, empty)) }) => {
            Ok(Found { table, serialization, xml: finder.xml, empty, home: finder.home })
        }
        _ => Err(finder.not_found(wanted)),
    }
}

/// What the first TABLE of a document says, with rows or without.
pub(super) fn first_table(xml: Xml) -> Result<Table, FormatError> {
    let mut finder = Finder::new(xml, Aim::Columns);
    match finder.document()? {
        ControlFlow::Break(stop) => Ok(stop.table),
        ControlFlow::Continue(()) => Err(finder.not_found(None)),
    }
}

/// Reads a document from the end of its rows to its own, and tells whether the rows are the whole result.
pub(super) fn finish(mut xml: Xml, home: usize) -> Result<(), FormatError> {
    if matches!(xml.next()?, Node::Open(_)) {
        return Err(xml.bad("there is markup among the rows that does not belong there"));
    }
    let mut status = None;
    let mut in_table = true;
    loop {
        in_table &= xml.depth() > home;
        match xml.next()? {
            Node::Open(element) if element.name == "INFO" => {
                let parent = xml.depth() - 1;
                if let Some(told) = Info::read(&mut xml, &element)?.query_status()
                    && (in_table || parent == home || parent == 1)
                {
                    status = told;
                }
            }
            Node::Open(_) | Node::Close => {}
            Node::End => return complain(xml.name(), status),
        }
    }
}

/// A service's verdict on its own answer, when it is not a good one.
#[derive(Clone, Debug)]
enum Status {
    Error(String),
    Overflow(String),
}

fn complain(name: &Arc<str>, status: Option<Status>) -> Result<(), FormatError> {
    let (sentence, text) = match status {
        None => return Ok(()),
        Some(Status::Error(text)) => ("a service failed while it wrote this file", text),
        Some(Status::Overflow(text)) => ("the file says that it is only a part of a larger result (OVERFLOW)", text),
    };
    // Without a text there is only the word itself.
    let told = if ["ERROR", "OVERFLOW"].contains(&text.as_str()) { String::new() } else { format!(": {text}") };
    Err(FormatError::bad(name, format!("{sentence}{told}")))
}

/// A remark.
struct Info {
    name: String,
    value: String,
    /// Its content, or its value where it has none.
    text: String,
}

impl Info {
    fn read(xml: &mut Xml, element: &Element) -> Result<Self, FormatError> {
        let said = |key| element.get(key).unwrap_or_default().to_owned();
        let (name, value, content) = (said("name"), said("value"), xml.text()?);
        let text = if content.is_empty() { value.clone() } else { content };
        Ok(Self { name, value, text })
    }

    /// What it says of the query, if that is what it is about: `Some(None)` says that all is well.
    fn query_status(self) -> Option<Option<Status>> {
        if self.name != "QUERY_STATUS" {
            return None;
        }
        Some(match self.value.to_ascii_uppercase().as_str() {
            "ERROR" => Some(Status::Error(self.text)),
            "OVERFLOW" => Some(Status::Overflow(self.text)),
            _ => None,
        })
    }
}

/// What is looked for.
#[derive(Clone, Copy)]
enum Aim<'w> {
    /// The rows of a table.
    Rows(Option<&'w str>),
    /// The columns of the first table.
    Columns,
}

/// The table that was looked for.
struct Stop {
    table: Table,
    /// How its rows are written and whether there are none, where rows were looked for.
    rows: Option<(Serialization, bool)>,
}

type Search = Result<ControlFlow<Stop>, FormatError>;

struct Finder<'w> {
    xml: Xml,
    aim: Aim<'w>,
    home: usize,
    status: Option<Status>,
    /// An error that is told by the older means.
    error: Option<String>,
    /// What the tables so far are called.
    tables: Vec<String>,
    /// How many bytes the tables and columns so far take.
    held: usize,
}

impl<'w> Finder<'w> {
    fn new(xml: Xml, aim: Aim<'w>) -> Self {
        Self { xml, aim, home: 0, status: None, error: None, tables: Vec::new(), held: 0 }
    }

    fn document(&mut self) -> Search {
        match self.xml.next()? {
            Node::Open(root) if root.name == "VOTABLE" => {
                let found = self.container()?;
                if found.is_continue() {
                    self.xml.next()?;
                }
                Ok(found)
            }
            Node::Open(root) => Err(self.xml.bad(format!("it is no VOTable: its outermost element is {}", root.name))),
            Node::Close | Node::End => Err(self.xml.bad("it is no VOTable: it has no element")),
        }
    }

    /// The content of VOTABLE or of a RESOURCE.
    fn container(&mut self) -> Search {
        let outer = self.home;
        self.home = self.xml.depth();
        while let Node::Open(element) = self.xml.next()? {
            match element.name.as_str() {
                "RESOURCE" => {
                    let status = self.status.clone();
                    let found = self.container()?;
                    if found.is_break() {
                        return Ok(found);
                    }
                    self.status = status;
                }
                "TABLE" => {
                    let found = self.table(&element)?;
                    if found.is_break() {
                        return Ok(found);
                    }
                }
                "INFO" => self.info(&element)?,
                _ => self.xml.skip()?,
            }
        }
        self.home = outer;
        Ok(ControlFlow::Continue(()))
    }

    /// Counts what is held of a tag, so that a document of nothing else comes to an end.
    fn hold(&mut self, size: usize) -> Result<(), FormatError> {
        self.held += size;
        if self.held <= HEADER_LIMIT {
            return Ok(());
        }
        Err(self.xml.bad(format!("it describes more tables and columns than {} MiB can hold", HEADER_LIMIT >> 20)))
    }

    fn table(&mut self, element: &Element) -> Search {
        let number = (self.tables.len() + 1).to_string();
        let names = [element.get("name"), element.get("ID"), Some(number.as_str())];
        let chosen = match self.aim {
            Aim::Rows(Some(wanted)) => names.contains(&Some(wanted.trim())),
            Aim::Rows(None) | Aim::Columns => true,
        };
        self.hold(element.size())?;
        self.tables.push(names[0].or(names[1]).unwrap_or(&number).to_owned());
        let name = element.get("name").map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut table = Table { name, ..Table::default() };
        while let Node::Open(element) = self.xml.next()? {
            match element.name.as_str() {
                _ if !chosen => self.xml.skip()?,
                "DESCRIPTION" => table.description = Some(self.xml.text()?).filter(|text| !text.is_empty()),
                "FIELD" => {
                    let column = self.column(&element, table.columns.len() + 1)?;
                    self.hold(element.size() + column.description.as_deref().map_or(0, str::len))?;
                    table.columns.push(column);
                }
                "INFO" => self.info(&element)?,
                "DATA" if matches!(self.aim, Aim::Columns) => {
                    return Ok(ControlFlow::Break(Stop { table, rows: None }));
                }
                "DATA" => {
                    if let Some(rows) = self.data()? {
                        return self.accept(table, rows);
                    }
                }
                _ => self.xml.skip()?,
            }
        }
        match self.aim {
            Aim::Columns => Ok(ControlFlow::Break(Stop { table, rows: None })),
            Aim::Rows(Some(wanted)) if chosen => Err(FormatError::bad(
                self.xml.name(),
                format!("the table {wanted} has no rows: it only describes columns"),
            )),
            Aim::Rows(_) => Ok(ControlFlow::Continue(())),
        }
    }

    fn accept(&mut self, table: Table, rows: (Serialization, bool)) -> Search {
        complain(self.xml.name(), self.status.take())?;
        if table.columns.is_empty() {
            return Err(self.xml.bad("the table has rows, but no FIELD"));
        }
        Ok(ControlFlow::Break(Stop { table, rows: Some(rows) }))
    }

    /// The content of DATA, up to its rows; `None` when it is empty.
    fn data(&mut self) -> Result<Option<(Serialization, bool)>, FormatError> {
        loop {
            let Node::Open(element) = self.xml.next()? else { return Ok(None) };
            match element.name.as_str() {
                "TABLEDATA" => return Ok(Some((Serialization::TableData, element.empty))),
                "BINARY" => return self.stream(Serialization::Binary).map(Some),
                "BINARY2" => return self.stream(Serialization::Binary2).map(Some),
                "FITS" => {
                    return Err(self
                        .xml
                        .bad("the rows are in a FITS file that this one only points to; import that file"));
                }
                "INFO" => self.info(&element)?,
                _ => self.xml.skip()?,
            }
        }
    }

    fn stream(&mut self, serialization: Serialization) -> Result<(Serialization, bool), FormatError> {
        loop {
            let Node::Open(element) = self.xml.next()? else {
                return Err(self.xml.bad("the binary rows have no STREAM"));
            };
            if element.name != "STREAM" {
                self.xml.skip()?;
                continue;
            }
            if let Some(href) = element.get("href") {
                return Err(self
                    .xml
                    .bad(format!("the rows are elsewhere, at {href}; what a file points to is not fetched")));
            }
            match element.get("encoding") {
                None | Some("base64") => return Ok((serialization, element.empty)),
                Some(other) => {
                    return Err(self.xml.bad(format!("the rows are encoded as '{other}'; only base64 can be read")));
                }
            }
        }
    }

    fn column(&mut self, field: &Element, number: usize) -> Result<Column, FormatError> {
        let owned = |key: &str| field.get(key).map(str::to_owned);
        let name = field.get("name").or(field.get("ID"));
        let mut column = Column {
            name: name.map_or_else(
                || format!("column_{number}"),
                |name| name.split_whitespace().collect::<Vec<_>>().join(" "),
            ),
            datatype: owned("datatype").unwrap_or_default(),
            arraysize: owned("arraysize"),
            unit: owned("unit"),
            ucd: owned("ucd"),
            utype: owned("utype"),
            xtype: owned("xtype"),
            ..Column::default()
        };
        loop {
            let Node::Open(element) = self.xml.next()? else { return Ok(column) };
            match element.name.as_str() {
                "DESCRIPTION" => column.description = Some(self.xml.text()?).filter(|text| !text.is_empty()),
                "VALUES" => {
                    column.null = element.get("null").map(str::to_owned);
                    self.xml.skip()?;
                }
                _ => self.xml.skip()?,
            }
        }
    }

    fn info(&mut self, element: &Element) -> Result<(), FormatError> {
        let info = Info::read(&mut self.xml, element)?;
        // As Simple Cone Search has it since before there was a QUERY_STATUS.
        if info.name.eq_ignore_ascii_case("error") {
            self.error = Some(info.text.clone());
        }
        if let Some(status) = info.query_status() {
            if let Some(Status::Error(text)) = &status {
                self.error = Some(text.clone());
            }
            self.status = status;
        }
        Ok(())
    }

    fn not_found(&self, wanted: Option<&str>) -> FormatError {
        let why = match (&self.error, wanted, self.tables.as_slice()) {
            (Some(text), ..) => format!("it is a service's error message: {text}"),
            (None, _, []) => "there is no TABLE in it".to_owned(),
            (None, None, _) => "no TABLE in it has rows: they only describe columns".to_owned(),
            (None, Some(wanted), tables) => {
                let more = if tables.len() > 20 { ", …" } else { "" };
                let known = tables.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
                format!("it has no table {wanted}; its tables are {known}{more}")
            }
        };
        FormatError::bad(self.xml.name(), why)
    }
}
