//! Felis, the YAML in which the Rubin Observatory describes the tables of a schema: read for the metadata of columns, and
//! written so that a table of ours can be described to others.
//!
//! ```yaml
//! name: dr1
//! "@id": "#dr1"
//! tables:
//! - name: stars
//!   "@id": "#stars"
//!   primaryKey: "#stars.id"
//!   columns:
//!   - {name: ra, "@id": "#stars.ra", datatype: double, ivoa:unit: deg, ivoa:ucd: pos.eq.ra, description: right ascension}
//! ```
//!
//! Types stay those of the data: Felis only describes. What it says of databases is not looked at.

mod document;
mod write;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use formats::ColumnMeta;

use self::document::Document;
pub use self::write::write;
use crate::CatalogError;

/// A description of tables.
#[derive(Clone, Debug)]
pub struct Felis {
    tables: Vec<FelisTable>,
}

/// What is said of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FelisTable {
    /// Its name.
    pub name: String,
    /// A sentence for people.
    pub description: Option<String>,
    /// The names of the columns that identify a row.
    pub primary_key: Vec<String>,
    /// The references to other tables of the description.
    pub foreign_keys: Vec<ForeignKey>,
    /// Its columns.
    pub columns: Vec<FelisColumn>,
}

/// What is said of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FelisColumn {
    /// Its name.
    pub name: String,
    /// VOUnits text, or that of FITS where there is none.
    pub unit: Option<String>,
    /// UCD1+ words.
    pub ucd: Option<String>,
    /// Data model role.
    pub utype: Option<String>,
    /// Extended type.
    pub xtype: Option<String>,
    /// The dimensions of an array value.
    pub arraysize: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// Whether it is one of the columns that most people want (`tap:principal`).
    pub principal: bool,
}

/// Columns whose values are found in those of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// The names of the columns here.
    pub columns: Vec<String>,
    /// The name of the other table.
    pub table: String,
    /// The names of the columns there.
    pub referenced: Vec<String>,
}

/// A schema with what Felis says of it.
#[derive(Clone, Debug)]
pub struct Described<'f> {
    /// The columns, described; their names and types are as they were.
    pub schema: SchemaRef,
    /// What is said of the table.
    pub table: &'f FelisTable,
    /// A sentence on the table for people.
    pub description: Option<String>,
    /// The columns that most people want, by their names in the schema.
    pub principal: Vec<String>,
    /// Which columns are on one side only, a sentence for each side.
    pub differences: Vec<String>,
}

/// What messages call the file, whose name is not known here.
const SOURCE: &str = "the Felis schema";

impl Felis {
    /// Reads a description.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let document: Document = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| CatalogError::input(SOURCE, format!("it cannot be understood: {error}")))?;
        let tables = document.tables().map_err(|why| CatalogError::input(SOURCE, why))?;
        Ok(Self { tables })
    }

    /// The tables that are described.
    pub fn tables(&self) -> &[FelisTable] {
        &self.tables
    }

    /// The table of this name, or of one that differs in case only, as it is called here.
    pub fn table_called(&self, name: &str) -> Option<String> {
        self.find(name).map(|table| table.name.clone())
    }

    /// A schema with what is said of its columns, by their names or names that differ in case only. The table may be left
    /// out where there is only one.
    pub fn describe(&self, table: Option<&str>, schema: &Schema) -> Result<Described<'_>, CatalogError> {
        let table = self.table(table)?;
        let exact: HashMap<&str, &FelisColumn> = table.columns.iter().map(|c| (c.name.as_str(), c)).collect();
        // A name that is there exactly does not serve another column that differs in case.
        let folded: HashMap<String, &FelisColumn> = table
            .columns
            .iter()
            .filter(|column| schema.field_with_name(&column.name).is_err())
            .map(|column| (column.name.to_ascii_lowercase(), column))
            .collect();
        let (mut met, mut unknown, mut principal) = (HashSet::new(), Vec::new(), Vec::new());
        let mut fields: Vec<FieldRef> = Vec::new();
        for field in schema.fields() {
            let found = exact.get(field.name().as_str()).or_else(|| folded.get(&field.name().to_ascii_lowercase()));
            let Some(column) = found else {
                unknown.push(field.name().as_str());
                fields.push(Arc::clone(field));
                continue;
            };
            met.insert(column.name.as_str());
            if column.principal {
                principal.push(field.name().clone());
            }
            fields.push(Arc::new(column.meta(field.data_type()).describe(field.as_ref().clone())));
        }
        let missing = table.columns.iter().map(|column| column.name.as_str()).filter(|name| !met.contains(name));
        let sides = [("described, but not there", missing.collect()), ("there, but not described", unknown)];
        let told = sides.into_iter().filter(|(_, names): &(_, Vec<&str>)| !names.is_empty());
        let differences = told.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
        let mut metadata = schema.metadata().clone();
        if let Some(description) = &table.description {
            metadata.insert("vo:description".to_owned(), description.clone());
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        Ok(Described { schema, table, description: table.description.clone(), principal, differences })
    }

    fn find(&self, name: &str) -> Option<&FelisTable> {
        let exact = self.tables.iter().find(|table| table.name == name);
        exact.or_else(|| self.tables.iter().find(|table| table.name.eq_ignore_ascii_case(name)))
    }

    fn table(&self, wanted: Option<&str>) -> Result<&FelisTable, CatalogError> {
        let names = || self.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
        let refuse = |why| Err(CatalogError::input(SOURCE, why));
        match (wanted, self.tables.as_slice()) {
            (None, [only]) => Ok(only),
            (None, []) => refuse("it describes no table".to_owned()),
            (None, _) => {
                refuse(format!("it describes several tables, and which one is meant is not said: {}", names()))
            }
            (Some(wanted), _) => match self.find(wanted) {
                Some(table) => Ok(table),
                None => refuse(format!("it does not describe the table {wanted}, but {}", names())),
            },
        }
    }
}

impl FelisColumn {
    fn meta(&self, data_type: &DataType) -> ColumnMeta<'_> {
        ColumnMeta {
            unit: self.unit.as_deref(),
            ucd: self.ucd.as_deref(),
            utype: self.utype.as_deref(),
            xtype: self.xtype.as_deref(),
            // Felis gives text one as well, which is a length.
            arraysize: self.arraysize.as_deref().filter(|_| is_array(data_type)),
            elements: None,
            description: self.description.as_deref(),
        }
    }
}

fn is_array(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    matches!(data_type, List(_) | LargeList(_) | FixedSizeList(..) | ListView(_) | LargeListView(_))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    const RUBIN: &str = r##"---
name: dp
"@id": "#dp"
description: "Data Preview"
version: {current: "1.2.0", compatible: ["1.1.0"]}
tables:
- name: Object
  "@id": "#Object"
  description: >-
    Properties of the
    astronomical objects
  tap:table_index: 1
  mysql:engine: MyISAM
  primaryKey: "#Object.objectId"
  columns:
  - name: objectId
    "@id": "#Object.objectId"
    datatype: long
    nullable: false
    tap:principal: 1
    tap:column_index: 5
    ivoa:ucd: meta.id;src;meta.main
    description: Unique id
  - {name: coord_ra, "@id": "#Object.coord_ra", datatype: double, fits:tunit: deg, ivoa:ucd: pos.eq.ra, tap:principal: 1}
  - {name: shape, "@id": "#Object.shape", datatype: float, ivoa:unit: arcsec, votable:arraysize: 3, votable:xtype: circle}
  - {name: filterName, "@id": "#Object.filterName", datatype: char, length: 32, votable:utype: "a:b.c", description: null}
- name: Source
  "@id": "#Source"
  primaryKey: ["#Source.id", "#Source.visit"]
  columns:
  - {name: id, "@id": "#Source.id", datatype: long}
  - {name: visit, "@id": "#Source.visit", datatype: int}
  - {name: objectId, "@id": "#Source.objectId", datatype: long, description: " "}
  constraints:
  - name: FK_Source_Object
    "@id": "#FK_Source_Object"
    "@type": ForeignKey
    columns: ["#Source.objectId"]
    referencedColumns: ["#Object.objectId"]
  - {name: UQ, "@id": "#UQ", "@type": Unique, columns: ["#Source.id"]}
  indexes:
  - {name: IDX, "@id": "#IDX", columns: ["#Source.objectId"]}
"##;

    fn refused(text: &str) -> String {
        Felis::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_schema_in_the_style_of_rubin_is_understood() {
        let felis = Felis::parse(RUBIN).unwrap();
        let [object, source] = felis.tables() else { panic!("{:?}", felis.tables()) };
        assert_eq!(object.description.as_deref(), Some("Properties of the astronomical objects"));
        assert_eq!(object.primary_key, ["objectId"]);
        assert_eq!(source.primary_key, ["id", "visit"]);
        let key = ForeignKey {
            columns: vec!["objectId".into()],
            table: "Object".into(),
            referenced: vec!["objectId".into()],
        };
        assert_eq!(source.foreign_keys, [key]);
        assert_eq!(source.columns[2], FelisColumn { name: "objectId".into(), ..FelisColumn::default() });
        let shape = &object.columns[2];
        assert_eq!((shape.unit.as_deref(), shape.arraysize.as_deref()), (Some("arcsec"), Some("3")));
    }

    #[test]
    fn columns_are_described_by_name_and_what_stands_on_one_side_only_is_told() {
        let felis = Felis::parse(RUBIN).unwrap();
        let list = DataType::new_fixed_size_list(DataType::Float32, 3, true);
        let schema = Schema::new(vec![
            Field::new("OBJECTID", DataType::Int64, true),
            Field::new("coord_ra", DataType::Float64, true).with_metadata([("vo:unit".into(), "rad".into())].into()),
            Field::new("Coord_RA", DataType::Float64, true),
            Field::new("shape", list, true),
            Field::new("extra", DataType::Utf8, true),
        ]);
        let described = felis.describe(Some("object"), &schema).unwrap();
        let meta = |index: usize| ColumnMeta::of(described.schema.field(index));
        assert_eq!((meta(0).ucd, meta(0).description), (Some("meta.id;src;meta.main"), Some("Unique id")));
        assert_eq!(meta(1).unit, Some("deg"), "what Felis says replaces what the data said");
        assert_eq!(meta(2), ColumnMeta::default(), "the exact name is another column's");
        assert_eq!((meta(3).arraysize, meta(3).xtype), (Some("3"), Some("circle")));
        assert_eq!(described.schema.metadata()["vo:description"], "Properties of the astronomical objects");
        assert_eq!(described.principal, ["OBJECTID", "coord_ra"]);
        assert_eq!(
            described.differences,
            ["described, but not there: filterName", "there, but not described: Coord_RA, extra"]
        );
        assert_eq!(described.description.as_deref(), Some("Properties of the astronomical objects"));
        assert_eq!(described.table.primary_key, ["objectId"]);
    }

    #[test]
    fn the_table_may_be_left_out_only_where_there_is_one() {
        let felis = Felis::parse(RUBIN).unwrap();
        let told = |wanted| felis.describe(wanted, &Schema::empty()).unwrap_err().to_string();
        assert_eq!((felis.table_called("source").as_deref(), felis.table_called("stars")), (Some("Source"), None));
        assert!(told(None).contains("several tables, and which one is meant is not said: Object, Source"));
        assert!(told(Some("stars")).contains("it does not describe the table stars, but Object, Source"));
        let none = Felis::parse("name: x\ntables: []").unwrap();
        assert!(none.describe(None, &Schema::empty()).unwrap_err().to_string().contains("no table"));
    }

    #[test]
    fn what_is_not_felis_is_refused_in_a_sentence() {
        let table = |columns: &str, more: &str| format!("name: x\ntables:\n- name: t\n  columns: [{columns}]\n{more}");
        let column = "{name: a, '@id': '#t.a', datatype: int}";
        for (text, part) in [
            ("".to_owned(), "it cannot be understood"),
            ("- 1\n- 2".to_owned(), "it cannot be understood"),
            ("tables: [".to_owned(), "it cannot be understood"),
            ("name: x".to_owned(), "tables"),
            (table("{name: a, '@id': '#a', datatype: number}", ""), "number"),
            (table("{name: a, '@id': '#a'}", ""), "datatype"),
            (table(&format!("{column}, {{name: a, datatype: int, '@id': '#b'}}"), ""), "the column a of t twice"),
            (table(&format!("{column}, {{name: b, datatype: int, '@id': '#t.a'}}"), ""), "the id #t.a is given to two"),
            (table(column, "  primaryKey: '#t.b'"), "there is no column with the id #t.b"),
            (table(column, "- {name: t, columns: []}"), "the table t twice"),
            (table(column, "  constraints: [{'@type': ForeignKey, columns: ['#t.a']}]"), "names no columns"),
        ] {
            let sentence = refused(&text);
            assert!(sentence.starts_with("the Felis schema: ") && sentence.contains(part), "{text}: {sentence}");
        }
    }

    #[test]
    fn columns_that_another_file_describes_are_asked_for() {
        let text = "name: dp2\nversion: 1.0.0\nresources:\n  base:\n    uri: drp_base.yaml\ntables:\n- name: Object\n  \
                    primaryKey: '#Object.objectId'\n  columnRefs:\n    base:\n      Object:\n        tract:\n";
        let why = "the table Object takes columns of other files (columnRefs); describe them in this one";
        assert_eq!(refused(text), format!("the Felis schema: {why}"));
        assert_eq!(refused("name: x\ntables:\n- name: t"), "the Felis schema: the table t has no columns");
    }

    #[test]
    fn groups_expressions_and_extensions_do_no_harm() {
        let text = "name: x\nextensions: {a: [1, {b: c}]}\ntables:\n- name: t\n  mysql:engine: MyISAM\n  columnGroups:\n  - \
                    {name: g, '@id': '#t.g', ivoa:ucd: pos.eq, columns: ['#t.a']}\n  columns:\n  - {name: a, datatype: \
                    double, mysql:datatype: DOUBLE, value: 1.5, autoincrement: true, tap:std: 1, votable:utype: 'x:y.z'}\n  \
                    indexes:\n  - {name: i, '@id': '#i', expressions: ['lower(a)']}\n  constraints:\n  - {name: c, '@id': \
                    '#c', '@type': Check, expression: 'a > 0'}\n";
        let felis = Felis::parse(text).unwrap();
        assert_eq!(felis.tables()[0].columns[0].utype.as_deref(), Some("x:y.z"));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            text += &format!("a{level}: &a{level} [{}]\n", alias.trim_end_matches(", "));
        }
        assert!(refused(&(text + "tables: []")).contains("it cannot be understood"));
    }
}
