//! `almagest catalog show`: the columns of a table, and what its import did.

use catalogs::{
    CatalogSnapshot, ColumnMeta, felis,
    import::{self, ImportReport},
};
use metadata::PublishedTable;
use serde_json::json;

use super::{aligned, bytes, described, kept, print};
use crate::{
    cli::ShowArgs,
    config::Config,
    failure::Failure,
    wiring,
    words::{counted, moment, size},
};

/// Shows one version of a table.
pub(super) async fn run(config: &Config, args: &ShowArgs) -> Result<(), Failure> {
    let table = kept(&wiring::metadata(config).await?, &args.table).await?;
    let store = wiring::store(config)?;
    let snapshot = catalogs::open(&store, &table.root, &wiring::remote(config)).await?;
    if args.felis {
        let id = snapshot.descriptor().id.as_deref();
        return print(&felis::write(&table.name, snapshot.description(), snapshot.schema(), id));
    }
    let report = import::report_of(&snapshot).await?;
    if args.json { as_json(&table, &snapshot, report) } else { for_people(&table, &snapshot, report.as_ref()) }
}

fn as_json(table: &PublishedTable, snapshot: &CatalogSnapshot, report: Option<ImportReport>) -> Result<(), Failure> {
    let mut whole = described(table);
    whole["files"] = json!(snapshot.files().len());
    whole["bytes"] = json!(bytes(snapshot));
    whole["catalog"] = json!(snapshot.descriptor());
    whole["report"] = json!(report);
    whole["columns"] = json!(
        columns(snapshot)
            .map(|(name, data_type, meta)| json!({
                "name": name, "type": data_type, "unit": meta.unit, "ucd": meta.ucd, "utype": meta.utype,
                "xtype": meta.xtype, "description": meta.description,
            }))
            .collect::<Vec<_>>()
    );
    print(&whole.to_string())
}

fn for_people(
    table: &PublishedTable,
    snapshot: &CatalogSnapshot,
    report: Option<&ImportReport>,
) -> Result<(), Failure> {
    let mut lines = vec![["column", "type", "unit", "ucd", "description"].map(str::to_owned)];
    lines.extend(columns(snapshot).map(|(name, data_type, meta)| {
        let or_nothing = |text: Option<&str>| text.unwrap_or_default().to_owned();
        [name, data_type, or_nothing(meta.unit), or_nothing(meta.ucd), or_nothing(meta.description)]
    }));
    let head = format!(
        "{} version {}, published {}\n{}\n{} in {}, {}\n{}\n",
        table.name,
        table.version,
        moment(table.published_at),
        table.description.as_deref().unwrap_or("(no description)"),
        counted(snapshot.rows(), "row"),
        counted(snapshot.files().len() as u64, "file"),
        size(bytes(snapshot)),
        about(snapshot, report),
    );
    print(&(head + &aligned(&lines)))
}

/// What else is worth a line.
fn about(snapshot: &CatalogSnapshot, report: Option<&ImportReport>) -> String {
    let catalog = snapshot.descriptor();
    let mut lines = Vec::new();
    lines.extend(catalog.note.iter().map(|note| format!("Note: {note}")));
    lines.extend(catalog.data.iter().map(|url| format!("Attached: {url}")));
    if let Some(director) = &catalog.director {
        lines.push(format!("Child of {} by {} = {}", director.table, director.key, director.id));
    }
    lines.extend(catalog.id.iter().map(|id| format!("Key: {id}")));
    lines.extend(
        catalog
            .margins
            .iter()
            .map(|margin| format!("Margin: {} arcsec, {}", margin.arcsec, counted(margin.rows, "row"))),
    );
    lines.extend(catalog.indexes.iter().map(|index| {
        format!("Index: {}, {}", index.column, counted(index.rows, "entry").replace("entrys", "entries"))
    }));
    if snapshot.files().iter().any(|file| file.path.starts_with('/')) {
        lines.push("Shares files with an earlier version: not a HATS tree by itself for other readers".to_owned());
    }
    lines.extend(report.iter().flat_map(|report| report.summary_lines()).map(|line| format!("Import: {line}")));
    lines.extend(catalog.warnings.iter().map(|warning| format!("Warning: {warning}")));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn columns(snapshot: &CatalogSnapshot) -> impl Iterator<Item = (String, String, ColumnMeta<'_>)> {
    let fields = snapshot.schema().fields().iter();
    fields.map(|field| (field.name().clone(), field.data_type().to_string(), ColumnMeta::of(field)))
}
