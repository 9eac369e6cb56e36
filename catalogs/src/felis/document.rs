//! A Felis document as it is written, and the references between its columns by their ids.
//!
//! Keys that are not named here are passed over: they are about databases.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, de::IgnoredAny};

use super::{FelisColumn, FelisTable, ForeignKey};

/// A Felis document, as it is written.
#[derive(Deserialize)]
pub(super) struct Document {
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    description: Option<String>,
    #[serde(default)]
    columns: Option<Vec<Column>>,
    /// Columns that another file describes.
    #[serde(rename = "columnRefs")]
    elsewhere: Option<IgnoredAny>,
    #[serde(rename = "primaryKey")]
    primary_key: Option<OneOrMore>,
    #[serde(default)]
    constraints: Vec<Constraint>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "@id")]
    id: Option<String>,
    #[expect(dead_code, reason = "a wrong one is refused; the data have types of their own")]
    datatype: Datatype,
    description: Option<String>,
    #[serde(rename = "ivoa:unit")]
    ivoa_unit: Option<String>,
    #[serde(rename = "fits:tunit")]
    fits_unit: Option<String>,
    #[serde(rename = "ivoa:ucd")]
    ucd: Option<String>,
    #[serde(rename = "votable:utype")]
    utype: Option<String>,
    #[serde(rename = "votable:xtype")]
    xtype: Option<String>,
    #[serde(rename = "votable:arraysize")]
    arraysize: Option<String>,
    #[serde(rename = "tap:principal", default)]
    principal: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Datatype {
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Char,
    String,
    Unicode,
    Text,
    Binary,
    Timestamp,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
struct Constraint {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(rename = "referencedColumns", default)]
    referenced: Vec<String>,
}

impl Document {
    /// What it says of each table.
    pub(super) fn tables(self) -> Result<Vec<FelisTable>, String> {
        for table in &self.tables {
            let name = &table.name;
            match (&table.columns, &table.elsewhere) {
                (_, Some(_)) => {
                    return Err(format!(
                        "the table {name} takes columns of other files (columnRefs); describe them in this one"
                    ));
                }
                (None, None) => return Err(format!("the table {name} has no columns")),
                (Some(_), None) => {}
            }
        }
        let names = Names::of(&self)?;
        let understood = self.tables.into_iter().map(|table| {
            let primary_key = match table.primary_key {
                None => Vec::new(),
                Some(OneOrMore::One(id)) => vec![id],
                Some(OneOrMore::More(ids)) => ids,
            };
            let (_, primary_key) = names.resolve(&primary_key)?.unwrap_or_default();
            let mut foreign_keys = Vec::new();
            for constraint in table.constraints.iter().filter(|constraint| constraint.kind == "ForeignKey") {
                let here = names.resolve(&constraint.columns)?;
                let there = names.resolve(&constraint.referenced)?;
                let (Some((_, columns)), Some((table, referenced))) = (here, there) else {
                    return Err(format!("a foreign key of the table {} names no columns", table.name));
                };
                foreign_keys.push(ForeignKey { columns, table, referenced });
            }
            let columns = table.columns.into_iter().flatten().map(Column::understood).collect();
            Ok(FelisTable {
                name: table.name,
                description: said(table.description),
                primary_key,
                foreign_keys,
                columns,
            })
        });
        understood.collect()
    }
}

impl Column {
    fn understood(self) -> FelisColumn {
        FelisColumn {
            name: self.name,
            unit: said(self.ivoa_unit).or_else(|| said(self.fits_unit)),
            ucd: said(self.ucd),
            utype: said(self.utype),
            xtype: said(self.xtype),
            arraysize: said(self.arraysize),
            description: said(self.description),
            principal: self.principal == 1,
        }
    }
}

/// A text on one line, unless it is blank.
fn said(text: Option<String>) -> Option<String> {
    text.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
}

/// The tables and names of columns by their ids.
struct Names(HashMap<String, (String, String)>);

impl Names {
    fn of(document: &Document) -> Result<Self, String> {
        let mut names = HashMap::new();
        let mut tables = Vec::new();
        for table in &document.tables {
            if tables.contains(&table.name.as_str()) {
                return Err(format!("it describes the table {} twice", table.name));
            }
            tables.push(table.name.as_str());
            let mut columns = HashSet::new();
            for column in table.columns.iter().flatten() {
                if !columns.insert(column.name.as_str()) {
                    return Err(format!("it describes the column {} of {} twice", column.name, table.name));
                }
                let target = (table.name.clone(), column.name.clone());
                // Ids may be left out, and are then these.
                let id = column.id.clone().unwrap_or_else(|| format!("#{}.{}", table.name, column.name));
                if names.insert(id.clone(), target).is_some() {
                    return Err(format!("the id {id} is given to two columns"));
                }
            }
        }
        Ok(Self(names))
    }

    /// The table and the names of columns with these ids, unless there are none.
    fn resolve(&self, ids: &[String]) -> Result<Option<(String, Vec<String>)>, String> {
        let mut found: Option<(String, Vec<String>)> = None;
        for id in ids {
            let (table, column) = self.0.get(id).ok_or_else(|| format!("there is no column with the id {id}"))?;
            found.get_or_insert_with(|| (table.clone(), Vec::new())).1.push(column.clone());
        }
        Ok(found)
    }
}
