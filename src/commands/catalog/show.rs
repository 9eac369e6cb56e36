//! `almagest catalog show`: the columns of a table, and what its import did.

use catalogs::{
    CatalogSnapshot, ColumnMeta, Partner, felis,
    import::{self, ImportReport},
};
use metadata::{Metadata, PublishedTable};
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
    let metadata = wiring::metadata(config).await?;
    let table = kept(&metadata, &args.table).await?;
    let store = wiring::store(config)?;
    let snapshot = catalogs::open(&store, &table.root, &wiring::remote(config)).await?;
    if args.felis {
        let id = snapshot.descriptor().id.as_deref();
        return print(&felis::write(&table.name, snapshot.description(), snapshot.schema(), id));
    }
    let report = import::report_of(&snapshot).await?;
    let pairs = partners(&metadata, &snapshot).await?;
    if args.json {
        as_json(&table, &snapshot, report, &pairs)
    } else {
        for_people(&table, &snapshot, report.as_ref(), &pairs)
    }
}

/// A table whose rows another one pairs.
struct Paired<'a> {
    partner: &'a Partner,
    /// The version that is served now.
    served: Option<u32>,
}

async fn partners<'a>(metadata: &Metadata, snapshot: &'a CatalogSnapshot) -> Result<Vec<Paired<'a>>, Failure> {
    let mut found = Vec::new();
    for partner in snapshot.descriptor().pairs.iter().flat_map(|pairs| [&pairs.left, &pairs.right]) {
        let served = match partner.table.parse() {
            Ok(name) => metadata.table(&name).await?.map(|table| table.version),
            Err(_) => None,
        };
        found.push(Paired { partner, served });
    }
    Ok(found)
}

fn as_json(
    table: &PublishedTable,
    snapshot: &CatalogSnapshot,
    report: Option<ImportReport>,
    pairs: &[Paired<'_>],
) -> Result<(), Failure> {
    let mut whole = described(table);
    whole["files"] = json!(snapshot.files().len());
    whole["bytes"] = json!(bytes(snapshot));
    whole["catalog"] = json!(snapshot.descriptor());
    whole["report"] = json!(report);
    let served = pairs.iter().map(|Paired { partner, served }| json!({ "table": partner.table, "version": served }));
    whole["served_partners"] = served.collect();
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
    pairs: &[Paired<'_>],
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
        about(snapshot, report, pairs),
    );
    print(&(head + &aligned(&lines)))
}

/// What else is worth a line.
fn about(snapshot: &CatalogSnapshot, report: Option<&ImportReport>, pairs: &[Paired<'_>]) -> String {
    let catalog = snapshot.descriptor();
    let mut lines = Vec::new();
    lines.extend(catalog.note.iter().map(|note| format!("Note: {note}")));
    lines.extend(catalog.data.iter().map(|url| format!("Attached: {url}")));
    if let Some(director) = &catalog.director {
        lines.push(format!("Child of {} by {} = {}", director.table, director.key, director.id));
    }
    lines.extend(pairs.iter().map(paired));
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

fn paired(Paired { partner, served }: &Paired<'_>) -> String {
    let Partner { table, version, id, column, .. } = partner;
    let now = match served {
        Some(served) if served == version => String::new(),
        Some(served) => format!("; it is at version {served} now, so a new match would find more or other pairs"),
        None => "; that table is served no more".to_owned(),
    };
    format!("Pairs rows of {table} version {version} by {column} = {id}{now}")
}

fn columns(snapshot: &CatalogSnapshot) -> impl Iterator<Item = (String, String, ColumnMeta<'_>)> {
    let fields = snapshot.schema().fields().iter();
    fields.map(|field| (field.name().clone(), field.data_type().to_string(), ColumnMeta::of(field)))
}
