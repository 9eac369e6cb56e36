//! What the service says of itself and of its tables, in the record batches that Flight SQL prescribes.

use arrow::array::RecordBatch;
use arrow_flight::{
    error::FlightError,
    sql::{
        CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, SqlInfo,
        SqlSupportedTransaction,
        metadata::{SqlInfoData, SqlInfoDataBuilder},
    },
};
use jobs::{Jobs, Language, ServedTable, formats::plain::plain_schema};
use tonic::Status;

use crate::status::{status, unexpected};

/// The one catalogue of tables; SQL takes it as the first of three parts of a name.
const CATALOG: &str = "almagest";
/// Every table is one; there are no views.
const TABLE: &str = "TABLE";

/// What is true of this service. What is not listed is unknown to the client, never guessed.
pub(crate) fn sql_info() -> Result<SqlInfoData, FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Almagest");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3"); // of the Arrow columnar format
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, false);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.build()
}

pub(crate) fn sql_info_batch(command: CommandGetSqlInfo) -> Result<RecordBatch, Status> {
    let info = sql_info().map_err(unexpected)?;
    command.into_builder(&info).build().map_err(unexpected)
}

pub(crate) fn catalogs(command: CommandGetCatalogs) -> Result<RecordBatch, Status> {
    let mut batch = command.into_builder();
    batch.append(CATALOG);
    batch.build().map_err(unexpected)
}

pub(crate) fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch, Status> {
    let mut batch = command.into_builder();
    batch.append(TABLE);
    batch.build().map_err(unexpected)
}

pub(crate) fn schemas(command: CommandGetDbSchemas, tables: &[ServedTable]) -> Result<RecordBatch, Status> {
    let mut batch = command.into_builder();
    // The tables are in the order of their names, so equal schemas are neighbours.
    let mut last = None;
    for table in tables {
        if last.replace(table.name.schema()) != Some(table.name.schema()) {
            batch.append(CATALOG, table.name.schema());
        }
    }
    batch.build().map_err(unexpected)
}

/// The tables; where their columns are asked for, as `SELECT *` gives them.
pub(crate) async fn tables(command: CommandGetTables, jobs: &Jobs) -> Result<RecordBatch, Status> {
    let with_columns = command.include_schema;
    let mut batch = command.into_builder();
    for table in jobs.tables().await.map_err(status)?.iter() {
        let schema = if with_columns {
            let all = format!("SELECT * FROM {}", table.name);
            plain_schema(&*jobs.columns(Language::Sql, &all).await.map_err(status)?)
        } else {
            plain_schema(table.snapshot.schema())
        };
        batch.append(CATALOG, table.name.schema(), table.name.table(), TABLE, &schema).map_err(unexpected)?;
    }
    batch.build().map_err(unexpected)
}
