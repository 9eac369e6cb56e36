//! What is known of schemas, tables and columns, for whoever describes the tables to others.
//!
//! Two layers, laid over each other when they are read: what the served version of a table says of its columns, written
//! anew with every publication; and what people say in its place ([`Metadata::edit`]), which stays. An edit of a column
//! that a version lacks waits for one that has it.

use std::collections::HashMap;

use catalogs::TableName;

use crate::{
    Metadata, MetadataError, Visibility,
    database::{Row, Transaction, sql},
    moved_on, table_name,
    users::Deed,
};

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Its name, as it was written.
    pub name: String,
    /// Its type, in the words of whoever published it.
    pub type_name: String,
    /// The dimensions of an array, as VOTable writes them.
    pub arraysize: Option<String>,
    /// The extended type, as DALI has it.
    pub xtype: Option<String>,
    /// The unit, as VOUnits has it.
    pub unit: Option<String>,
    /// What it is, in words of UCD1+.
    pub ucd: Option<String>,
    /// Its role in a data model.
    pub utype: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// Whether it is one that most people need; said by edits only.
    pub is_principal: bool,
}

/// A table with its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// Its name.
    pub name: TableName,
    /// The version that is described.
    pub version: u32,
    /// A sentence for people.
    pub description: Option<String>,
    /// Its role in a data model.
    pub utype: Option<String>,
    /// The columns, in their order.
    pub columns: Vec<Column>,
    /// Who may see it.
    pub visibility: Visibility,
}

/// A schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaDescription {
    /// Its name.
    pub name: String,
    /// A sentence for people.
    pub description: Option<String>,
    /// Its role in a data model.
    pub utype: Option<String>,
}

/// Which rows of one table those of another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableKey {
    /// What it is called by.
    pub id: String,
    /// The table that names rows.
    pub from: TableName,
    /// The table whose rows are named.
    pub target: TableName,
    /// The columns that are equal, of the one and of the other.
    pub columns: Vec<(String, String)>,
    /// A sentence for people.
    pub description: Option<String>,
    /// Its role in a data model.
    pub utype: Option<String>,
}

/// What may be said in the place of what was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The sentence for people.
    Description,
    /// The role in a data model.
    Utype,
    /// The unit of a column.
    Unit,
    /// The UCD of a column.
    Ucd,
    /// The extended type of a column.
    Xtype,
    /// Whether a column is one that most people need: `true` or `false`.
    Principal,
}

/// Of what something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A schema.
    Schema(&'a str),
    /// A table.
    Table(&'a TableName),
    /// A column of a table.
    Column(&'a TableName, &'a str),
}

impl Field {
    fn word(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Utype => "utype",
            Self::Unit => "unit",
            Self::Ucd => "ucd",
            Self::Xtype => "xtype",
            Self::Principal => "principal",
        }
    }

    /// Whether such a thing has it.
    fn is_of(self, subject: Subject<'_>) -> bool {
        matches!((self, subject), (Self::Description | Self::Utype, _) | (_, Subject::Column(..)))
    }
}

impl<'a> Subject<'a> {
    fn names(self) -> [&'a str; 3] {
        match self {
            Self::Schema(schema) => [schema, "", ""],
            Self::Table(table) => [table.schema(), table.table(), ""],
            Self::Column(table, column) => [table.schema(), table.table(), column],
        }
    }
}

impl Metadata {
    /// Says something in the place of what was published, for all versions; an empty text says that there is nothing to
    /// say, and none takes back what was said.
    pub async fn edit(
        &self,
        subject: Subject<'_>,
        field: Field,
        value: Option<&str>,
        actor: &str,
    ) -> Result<(), MetadataError> {
        if !field.is_of(subject) {
            return Err(MetadataError::Unfit { why: format!("only a column has {}", field.word()) });
        }
        let [schema, table, column] = subject.names();
        let of = |text: &str| sql(text).bind(schema).bind(table).bind(column).bind(field.word());
        let statement = match value {
            Some(value) => of("INSERT INTO edit (schema_name, table_name, column_name, field, value) \
                               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (schema_name, table_name, column_name, field) \
                               DO UPDATE SET value = excluded.value")
            .bind(value),
            None => {
                of("DELETE FROM edit WHERE schema_name = $1 AND table_name = $2 AND column_name = $3 AND field = $4")
            }
        };
        let mut transaction = self.database.write().await?;
        transaction.execute(statement).await?;
        let names: Vec<&str> = subject.names().into_iter().filter(|name| !name.is_empty()).collect();
        let (subject, detail) = (names.join("."), format!("{}: {value:?}", field.word()));
        Deed { detail: Some(&detail), ..Deed::change(actor, "edit description", &subject) }
            .write(&mut transaction)
            .await?;
        moved_on(&mut transaction).await?;
        transaction.commit().await
    }

    /// The served tables with their columns, as published and edited, by name.
    pub async fn described_tables(&self) -> Result<Vec<TableDescription>, MetadataError> {
        let edits = Edits::read(self).await?;
        let mut columns: HashMap<TableName, Vec<Column>> = HashMap::new();
        let all = "SELECT schema_name, table_name, column_name, type_name, arraysize, xtype, unit, ucd, utype, \
                   description FROM table_column ORDER BY schema_name, table_name, position";
        for row in self.database.all(sql(all)).await? {
            let table = table_name(&row)?;
            let column = edits.over_column(&table, column_of(&row)?);
            columns.entry(table).or_default().push(column);
        }
        let tables = self.tables().await?.into_iter().map(|table| {
            let columns = columns.remove(&table.name).unwrap_or_default();
            let edited = |field, published| edits.over(Subject::Table(&table.name), field, published);
            TableDescription {
                version: table.version,
                description: edited(Field::Description, table.description),
                utype: edited(Field::Utype, None),
                columns,
                visibility: table.visibility,
                name: table.name,
            }
        });
        Ok(tables.collect())
    }

    /// What is said of schemas of which anything is said, by name.
    pub async fn described_schemas(&self) -> Result<Vec<SchemaDescription>, MetadataError> {
        let edits = Edits::read(self).await?;
        let mut names: Vec<&String> = edits.0.keys().filter(|key| key.1.is_empty()).map(|key| &key.0).collect();
        names.sort();
        names.dedup();
        let said = |name: &String, field| edits.over(Subject::Schema(name), field, None);
        let of = |name: &String| SchemaDescription {
            description: said(name, Field::Description),
            utype: said(name, Field::Utype),
            name: name.clone(),
        };
        Ok(names.into_iter().map(of).collect())
    }

    /// Says which columns of one table name rows of another, in the place of a key of the same id.
    pub async fn set_key(&self, key: &TableKey, actor: &str) -> Result<(), MetadataError> {
        let unfit = |name: &String| name.is_empty() || name.contains([' ', '=']);
        if key.columns.is_empty() || key.columns.iter().any(|(from, target)| unfit(from) || unfit(target)) {
            let why = "a key has pairs of columns, in whose names are no spaces and no '='".to_owned();
            return Err(MetadataError::Unfit { why });
        }
        let pairs = key.columns.iter().map(|(from, target)| format!("{from}={target}")).collect::<Vec<_>>().join(" ");
        let set = "INSERT INTO table_key (id, from_schema, from_table, target_schema, target_table, column_pairs, \
                   description, utype) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let set = sql(set).bind(&key.id).bind(key.from.schema()).bind(key.from.table()).bind(key.target.schema());
        let set = set.bind(key.target.table()).bind(pairs).bind(&key.description).bind(&key.utype);
        let mut transaction = self.database.write().await?;
        transaction.execute(sql("DELETE FROM table_key WHERE id = $1").bind(&key.id)).await?;
        transaction.execute(set).await?;
        Deed::change(actor, "set key", &key.id).write(&mut transaction).await?;
        moved_on(&mut transaction).await?;
        transaction.commit().await
    }

    /// Forgets a key.
    pub async fn drop_key(&self, id: &str, actor: &str) -> Result<(), MetadataError> {
        let mut transaction = self.database.write().await?;
        if transaction.execute(sql("DELETE FROM table_key WHERE id = $1").bind(id)).await? == 0 {
            return Err(MetadataError::Absent { what: "key", name: id.to_owned() });
        }
        Deed::change(actor, "drop key", id).write(&mut transaction).await?;
        moved_on(&mut transaction).await?;
        transaction.commit().await
    }

    /// The keys, by id.
    pub async fn keys(&self) -> Result<Vec<TableKey>, MetadataError> {
        let all = "SELECT id, from_schema, from_table, target_schema, target_table, column_pairs, description, utype \
                   FROM table_key ORDER BY id";
        self.database.all(sql(all)).await?.iter().map(key_of).collect()
    }
}

/// Writes what a version that is published says of its columns, in the place of what the one before said.
pub(crate) async fn fill(
    transaction: &mut Transaction,
    table: &TableName,
    columns: &[Column],
) -> Result<(), MetadataError> {
    clear(transaction, table).await?;
    for (position, column) in (0_u64..).zip(columns) {
        let insert = "INSERT INTO table_column (schema_name, table_name, column_name, position, type_name, arraysize, \
                      xtype, unit, ucd, utype, description) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let insert = sql(insert).bind(table.schema()).bind(table.table()).bind(&column.name).bind(position);
        let insert = insert.bind(&column.type_name).bind(&column.arraysize).bind(&column.xtype).bind(&column.unit);
        let insert = insert.bind(&column.ucd).bind(&column.utype).bind(&column.description);
        transaction.execute(insert).await?;
    }
    Ok(())
}

/// Forgets the columns of a table.
pub(crate) async fn clear(transaction: &mut Transaction, table: &TableName) -> Result<(), MetadataError> {
    let clear = sql("DELETE FROM table_column WHERE schema_name = $1 AND table_name = $2");
    transaction.execute(clear.bind(table.schema()).bind(table.table())).await.map(drop)
}

/// All that people said: by schema, table, column and field.
struct Edits(HashMap<(String, String, String, String), String>);

impl Edits {
    async fn read(metadata: &Metadata) -> Result<Self, MetadataError> {
        let all = sql("SELECT schema_name, table_name, column_name, field, value FROM edit");
        let of = |row: &Row| {
            let table = (row.text("schema_name")?, row.text("table_name")?);
            Ok(((table.0, table.1, row.text("column_name")?, row.text("field")?), row.text("value")?))
        };
        Ok(Self(metadata.database.all(all).await?.iter().map(of).collect::<Result<_, MetadataError>>()?))
    }

    /// What was said, else what was published.
    fn over(&self, subject: Subject<'_>, field: Field, published: Option<String>) -> Option<String> {
        let [schema, table, column] = subject.names().map(str::to_owned);
        match self.0.get(&(schema, table, column, field.word().to_owned())) {
            Some(said) => Some(said.clone()).filter(|said| !said.is_empty()),
            None => published,
        }
    }

    fn over_column(&self, table: &TableName, column: Column) -> Column {
        let over = |field, published| self.over(Subject::Column(table, &column.name), field, published);
        Column {
            unit: over(Field::Unit, column.unit),
            ucd: over(Field::Ucd, column.ucd),
            utype: over(Field::Utype, column.utype),
            xtype: over(Field::Xtype, column.xtype),
            description: over(Field::Description, column.description),
            is_principal: over(Field::Principal, None).as_deref() == Some("true"),
            name: column.name.clone(),
            type_name: column.type_name,
            arraysize: column.arraysize,
        }
    }
}

fn column_of(row: &Row) -> Result<Column, MetadataError> {
    Ok(Column {
        name: row.text("column_name")?,
        type_name: row.text("type_name")?,
        arraysize: row.maybe_text("arraysize")?,
        xtype: row.maybe_text("xtype")?,
        unit: row.maybe_text("unit")?,
        ucd: row.maybe_text("ucd")?,
        utype: row.maybe_text("utype")?,
        description: row.maybe_text("description")?,
        is_principal: false,
    })
}

fn key_of(row: &Row) -> Result<TableKey, MetadataError> {
    let name = |schema, table| {
        let name = format!("{}.{}", row.text(schema)?, row.text(table)?);
        name.parse().map_err(|error| MetadataError::Corrupt { what: format!("{error}") })
    };
    let pairs = row.text("column_pairs")?;
    let pair = |pair: &str| {
        let corrupt = || MetadataError::Corrupt { what: format!("the pair of columns {pair}") };
        pair.split_once('=').map(|(from, target)| (from.to_owned(), target.to_owned())).ok_or_else(corrupt)
    };
    Ok(TableKey {
        id: row.text("id")?,
        from: name("from_schema", "from_table")?,
        target: name("target_schema", "target_table")?,
        columns: pairs.split(' ').map(pair).collect::<Result<_, _>>()?,
        description: row.maybe_text("description")?,
        utype: row.maybe_text("utype")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Publication, testing::conformance};

    fn stars() -> TableName {
        "demo.stars".parse().unwrap()
    }

    fn column(name: &str, unit: &str) -> Column {
        let (type_name, description) = ("Float64".into(), Some(format!("{name} of a star")));
        Column { name: name.into(), type_name, unit: Some(unit.into()), description, ..Column::default() }
    }

    async fn publish(metadata: &Metadata, seen: Option<u32>, columns: &[Column]) {
        let (name, root, snapshot) = (stars(), format!("{seen:?}"), String::new());
        let (description, columns) = (Some("Stars".into()), columns.to_vec());
        let publication = Publication { name, root, snapshot, rows: 1, description, note: None, columns };
        metadata.publish(&publication, seen, None).await.unwrap();
    }

    conformance! {
        async fn what_people_say_outlives_what_versions_say(place: &Place) {
            let metadata = place.open().await;
            let (ra, mag) = (column("ra", "deg"), column("Mag", "mag"));
            publish(&metadata, None, &[ra.clone(), mag.clone()]).await;
            let described = async || metadata.described_tables().await.unwrap().pop().unwrap();
            let table = described().await;
            assert_eq!((table.columns, table.version), (vec![ra.clone(), mag.clone()], 1));
            let generation = metadata.generation().await.unwrap();
            let name = stars();
            for (subject, field, value) in [
                (Subject::Column(&name, "Mag"), Field::Description, "AB magnitude, été ★"),
                (Subject::Column(&name, "Mag"), Field::Principal, "true"),
                (Subject::Column(&name, "ra"), Field::Unit, ""),
                (Subject::Column(&name, "later"), Field::Ucd, "phot.mag"),
                (Subject::Table(&name), Field::Description, "All stars"),
                (Subject::Schema("demo"), Field::Description, "A demo"),
            ] {
                metadata.edit(subject, field, Some(value), "an operator").await.unwrap();
            }
            assert_eq!(metadata.generation().await.unwrap(), generation + 6, "servers hear of it");
            let unfit = metadata.edit(Subject::Table(&name), Field::Unit, Some("m"), "an operator").await.unwrap_err();
            assert_eq!(unfit.to_string(), "only a column has unit");
            publish(&metadata, Some(1), &[mag.clone(), ra.clone(), column("later", "mag")]).await;
            let table = described().await;
            let told: Vec<_> = table
                .columns
                .iter()
                .map(|column| (column.name.as_str(), column.unit.as_deref(), column.ucd.as_deref(), column.is_principal))
                .collect();
            let later = ("later", Some("mag"), Some("phot.mag"), false);
            assert_eq!(told, [("Mag", Some("mag"), None, true), ("ra", None, None, false), later]);
            assert_eq!(table.columns[0].description.as_deref(), Some("AB magnitude, été ★"));
            assert_eq!((table.description.as_deref(), table.version), (Some("All stars"), 2));
            let schemas = metadata.described_schemas().await.unwrap();
            assert_eq!((schemas.len(), schemas[0].description.as_deref()), (1, Some("A demo")));
            metadata.edit(Subject::Column(&name, "ra"), Field::Unit, None, "an operator").await.unwrap();
            assert_eq!(described().await.columns[1], ra, "as published again");
        }

        async fn a_dropped_table_is_described_no_more_and_a_publication_that_fails_describes_nothing(place: &Place) {
            let metadata = place.open().await;
            publish(&metadata, None, &[column("ra", "deg")]).await;
            let twice = [column("x", "m"), column("x", "m")];
            let (name, root, snapshot) = (stars(), "other".into(), String::new());
            let columns = twice.to_vec();
            let publication = Publication { name, root, snapshot, rows: 1, description: None, note: None, columns };
            assert!(metadata.publish(&publication, Some(1), None).await.is_err(), "a name stands twice");
            assert_eq!(metadata.described_tables().await.unwrap()[0].columns, [column("ra", "deg")]);
            metadata.drop_table(&stars(), 1).await.unwrap();
            assert_eq!(metadata.described_tables().await.unwrap(), []);
            let left = metadata.database.all(sql("SELECT column_name FROM table_column")).await.unwrap();
            assert!(left.is_empty());
        }

        async fn a_key_tells_which_rows_of_one_table_those_of_another_name(place: &Place) {
            let metadata = place.open().await;
            let key = TableKey {
                id: "sources_to_stars".into(),
                from: "demo.sources".parse().unwrap(),
                target: stars(),
                columns: vec![("star_id".into(), "id".into()), ("field".into(), "field".into())],
                description: Some("The star of a source".into()),
                utype: None,
            };
            metadata.set_key(&key, "an operator").await.unwrap();
            metadata.set_key(&key, "an operator").await.unwrap();
            assert_eq!(metadata.keys().await.unwrap(), std::slice::from_ref(&key));
            assert!(metadata.set_key(&TableKey { columns: vec![], ..key.clone() }, "an operator").await.is_err());
            metadata.drop_key(&key.id, "an operator").await.unwrap();
            assert_eq!(metadata.drop_key(&key.id, "x").await.unwrap_err().to_string(), "there is no key sources_to_stars");
        }
    }
}
