//! `almagest catalog`: which tables there are, and what is known of them.

use std::io::Write;

use catalogs::{CatalogSnapshot, ColumnMeta, TableName};
use metadata::PublishedTable;
use serde_json::json;

use crate::{
    cli::{CatalogCommand, CatalogListArgs, CatalogShowArgs},
    config::Config,
    failure::Failure,
    output, wiring,
    words::{counted, size},
};

/// Lists or shows catalogues.
pub(crate) async fn run(config: Config, command: CatalogCommand) -> Result<(), Failure> {
    wiring::expect_data(&config)?;
    match command {
        CatalogCommand::List(args) => list(&config, &args).await,
        CatalogCommand::Show(args) => show(&config, &args).await,
    }
}

async fn list(config: &Config, args: &CatalogListArgs) -> Result<(), Failure> {
    let tables = wiring::metadata(config).await?.tables().await?;
    if args.json {
        return print(&json!(tables.iter().map(described).collect::<Vec<_>>()).to_string());
    }
    let mut lines = vec![["table", "version", "rows", "description"].map(str::to_owned)];
    lines.extend(tables.iter().map(|table| {
        let description = table.description.clone().unwrap_or_default();
        [table.name.to_string(), table.version.to_string(), table.rows.to_string(), description]
    }));
    print(&aligned(&lines))
}

async fn show(config: &Config, args: &CatalogShowArgs) -> Result<(), Failure> {
    let table = wiring::metadata(config).await?.table(&args.table).await?.ok_or_else(|| absent(&args.table))?;
    let snapshot = catalogs::open(&wiring::store(config)?, &table.root).await?;
    if args.json {
        let mut whole = described(&table);
        whole["files"] = json!(snapshot.files().len());
        whole["bytes"] = json!(bytes(&snapshot));
        whole["columns"] = json!(
            columns(&snapshot)
                .map(|(name, data_type, meta)| json!({
                    "name": name, "type": data_type, "unit": meta.unit, "ucd": meta.ucd, "utype": meta.utype,
                    "xtype": meta.xtype, "description": meta.description,
                }))
                .collect::<Vec<_>>()
        );
        return print(&whole.to_string());
    }
    let mut lines = vec![["column", "type", "unit", "ucd", "description"].map(str::to_owned)];
    lines.extend(columns(&snapshot).map(|(name, data_type, meta)| {
        let or_nothing = |text: Option<&str>| text.unwrap_or_default().to_owned();
        [name, data_type, or_nothing(meta.unit), or_nothing(meta.ucd), or_nothing(meta.description)]
    }));
    let head = format!(
        "{} version {}, published {}\n{}\n{} in {}, {}\n\n",
        table.name,
        table.version,
        table.published_at.format("%Y-%m-%d %H:%M UTC"),
        table.description.as_deref().unwrap_or("(no description)"),
        counted(snapshot.rows(), "row"),
        counted(snapshot.files().len() as u64, "file"),
        size(bytes(&snapshot)),
    );
    print(&(head + &aligned(&lines)))
}

fn absent(name: &TableName) -> Failure {
    Failure::Refused(format!("there is no table {name}; `almagest catalog list` tells which there are"))
}

fn described(table: &PublishedTable) -> serde_json::Value {
    json!({
        "table": table.name.to_string(),
        "version": table.version,
        "rows": table.rows,
        "description": table.description,
        "published": table.published_at.to_rfc3339(),
        "snapshot": table.snapshot,
        "folder": table.root,
    })
}

fn bytes(snapshot: &CatalogSnapshot) -> u64 {
    snapshot.files().iter().map(|file| file.bytes).sum()
}

fn columns(snapshot: &CatalogSnapshot) -> impl Iterator<Item = (String, String, ColumnMeta<'_>)> {
    let fields = snapshot.schema().fields().iter();
    fields.map(|field| (field.name().clone(), field.data_type().to_string(), ColumnMeta::of(field)))
}

/// Lines with their columns under each other; the last column may be as long as it likes.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("{cell:<width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = output::stdout();
    writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_their_letters() {
        let lines = [["α Cen", "1", "a star"], ["x", "22", ""]].map(|line| line.map(str::to_owned));
        assert_eq!(aligned(&lines), "α Cen  1   a star\nx      22\n");
    }
}
