//! `almagest catalog`: which tables there are, what is known of them, and keeping them in order.

mod check;
mod gc;
mod show;
mod visibility;

use catalogs::{CatalogSnapshot, TableName};
use metadata::{Metadata, PublishedTable};
use serde_json::json;

use super::{print, reading::Reading};
use crate::{
    cli::{CatalogCommand, DropArgs, ListArgs, TableVersion, VersionsArgs},
    config::Config,
    failure::Failure,
    wiring,
    words::{counted, moment},
};

/// Does what a sub-command says.
pub(crate) async fn run(config: Config, command: CatalogCommand) -> Result<(), Failure> {
    // Who may see a table can be said before there is any.
    if !matches!(command, CatalogCommand::Visibility(_)) {
        wiring::expect_data(&config)?;
    }
    match command {
        CatalogCommand::List(args) => list(&config, &args).await,
        CatalogCommand::Show(args) => show::run(&config, &args).await,
        CatalogCommand::Check(args) => check::run(&config, &args).await,
        CatalogCommand::Versions(args) => versions(&config, &args).await,
        CatalogCommand::Drop(args) => drop_table(&config, &args).await,
        CatalogCommand::Visibility(args) => visibility::run(&config, &args).await,
        CatalogCommand::Gc(args) => gc::run(&config, &args).await,
    }
}

async fn list(config: &Config, args: &ListArgs) -> Result<(), Failure> {
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

async fn versions(config: &Config, args: &VersionsArgs) -> Result<(), Failure> {
    let versions = wiring::metadata(config).await?.versions(&args.table).await?;
    if versions.is_empty() {
        return Err(absent(&args.table));
    }
    if args.json {
        let of = |version: &metadata::Version| {
            let mut whole = described(&version.table);
            whole["served"] = json!(version.superseded_at.is_none());
            whole["superseded"] = json!(version.superseded_at.map(|time| time.to_rfc3339()));
            whole["note"] = json!(version.note);
            whole
        };
        return print(&json!(versions.iter().map(of).collect::<Vec<_>>()).to_string());
    }
    let mut lines = vec![["version", "published", "served until", "rows", "note"].map(str::to_owned)];
    lines.extend(versions.iter().map(|version| {
        let until = version.superseded_at.map_or_else(|| "now".to_owned(), moment);
        let table = &version.table;
        let note = version.note.clone().unwrap_or_default();
        [table.version.to_string(), moment(table.published_at), until, table.rows.to_string(), note]
    }));
    print(&aligned(&lines))
}

async fn drop_table(config: &Config, args: &DropArgs) -> Result<(), Failure> {
    let metadata = wiring::metadata(config).await?;
    let table = metadata.table(&args.table).await?.ok_or_else(|| absent(&args.table))?;
    metadata.drop_table(&table.name, table.version).await?;
    let rows = counted(table.rows, "row");
    eprintln!("{}: version {} ({rows}) is served no more; `almagest catalog gc` deletes it", table.name, table.version);
    Ok(())
}

/// A version that is still kept: the one that is named, else the served one.
async fn kept(metadata: &Metadata, wanted: &TableVersion) -> Result<PublishedTable, Failure> {
    let Some(number) = wanted.version else {
        return metadata.table(&wanted.name).await?.ok_or_else(|| absent(&wanted.name));
    };
    let versions = metadata.versions(&wanted.name).await?;
    if versions.is_empty() {
        return Err(absent(&wanted.name));
    }
    let found = versions.into_iter().find(|version| version.table.version == number).map(|version| version.table);
    found.ok_or_else(|| {
        let name = &wanted.name;
        Failure::Refused(format!(
            "{name} has no version {number}; `almagest catalog versions {name}` tells which there are"
        ))
    })
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

/// Lines with their columns under each other; the last column may be as long as it likes.
pub(super) fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_their_letters() {
        let lines = [["α Cen", "1", "a star"], ["x", "22", ""]].map(|line| line.map(str::to_owned));
        assert_eq!(aligned(&lines), "α Cen  1   a star\nx      22\n");
    }
}
