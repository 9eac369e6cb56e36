//! Tables that are asked where they lie, without publishing anything.
//!
//! ```text
//!   a HATS catalogue      attached: what is to know of its files is gathered, its rows are read where they are
//!   Parquet files         the same, without positions
//!   any other file        imported, its rows in their order
//! ```
//! What that makes is in a folder for temporary files, which goes with [`Places`].

use std::{path::Path, sync::Arc};

use catalogs::{
    CatalogError, CatalogSnapshot, CatalogStore, StoreOptions,
    foreign::{self, AttachOptions},
    import::{self, ImportPlan, PositionPlan},
    sources,
};
use formats::{Format, SourceOptions};
use jobs::ServedTable;
use tempfile::TempDir;

use crate::{cli::OnTable, config::Config, failure::Failure, progress, wiring};

/// The files of a folder that say that it is a HATS catalogue or a collection of them.
const PROPERTIES: [&str; 3] = ["hats.properties", "collection.properties", "properties"];

/// Tables of places, for as long as this lives.
pub(super) struct Places {
    tables: Vec<ServedTable>,
    _folder: TempDir,
}

impl Places {
    /// Looks at all places.
    pub(super) async fn open(config: &Config, on: &[OnTable]) -> Result<Self, Failure> {
        let parent = config.import.spill.as_ref().map_or_else(std::env::temp_dir, |folder| folder.path().to_owned());
        let folder = tempfile::Builder::new().prefix("almagest-query-").tempdir_in(&parent);
        let folder = folder.map_err(|error| Failure::File { path: parent, reason: error.to_string() })?;
        let url = folder.path().to_string_lossy().into_owned();
        let home = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() })?;
        let mut tables: Vec<ServedTable> = Vec::new();
        for (number, table) in on.iter().enumerate() {
            if tables.iter().any(|other| other.name == table.name) {
                let name = table.name.table();
                return Err(Failure::Refused(format!(
                    "two places are called {name}; say how the query calls them, as in --on {}=other",
                    table.place
                )));
            }
            let snapshot = look(config, &home, &format!("table{number}"), folder.path(), table).await?;
            let (name, snapshot) = (table.name.clone(), Arc::new(snapshot));
            tables.push(ServedTable { name, version: 1, description: None, snapshot });
        }
        Ok(Self { tables, _folder: folder })
    }

    /// The tables.
    pub(super) fn tables(&self) -> Vec<ServedTable> {
        self.tables.clone()
    }
}

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Hats,
    /// Parquet files below a folder; all where none is named.
    Parquet {
        folder: String,
        files: Vec<String>,
    },
    /// Whatever an import reads.
    Other,
}

async fn look(
    config: &Config,
    home: &CatalogStore,
    root: &str,
    folder: &Path,
    table: &OnTable,
) -> Result<CatalogSnapshot, Failure> {
    let OnTable { place, name } = table;
    let attach = AttachOptions { remote: wiring::remote(config), ..AttachOptions::default() };
    let bar = progress::files(name.table());
    Ok(match standing(place) {
        Standing::Hats => foreign::attach(home, root, name, place, &attach, bar).await?.0,
        Standing::Parquet { folder, files } => {
            foreign::attach_files(home, root, name, &folder, files, &attach, bar).await?.0
        }
        Standing::Other => {
            let inputs = sources::inputs(std::slice::from_ref(place), &attach.remote).await?;
            let open = move || {
                let open = |input| formats::open(input, &SourceOptions::default());
                inputs.into_iter().map(open).collect::<Result<Vec<_>, _>>()
            };
            let opened = tokio::task::spawn_blocking(open).await.map_err(CatalogError::from)?;
            let plan = ImportPlan {
                position: PositionPlan::None,
                memory: usize::try_from(config.import.memory.bytes()).unwrap_or(usize::MAX),
                spill: folder.join("spill"),
                threads: config.query.threads.count(),
                ..ImportPlan::new(name.clone(), chrono::Utc::now())
            };
            let opened = opened.map_err(CatalogError::from)?;
            import::run(home, root, opened, plan, progress::shown(name.table())).await?.0
        }
    })
}

/// What stands at a place, by its name and, on this machine, by a look.
fn standing(place: &str) -> Standing {
    let path = place.strip_prefix("file://").unwrap_or(place);
    let is_here = !path.contains("://");
    if is_here && Path::new(path).is_dir() {
        return in_folder(path);
    }
    let (folder, file) = match place.rsplit_once('/') {
        Some(("", file)) => ("/", file),
        Some((folder, file)) => (folder, file),
        None => (".", place),
    };
    let is_pattern = file.contains(['*', '?', '[']) && !(is_here && Path::new(path).exists());
    match Format::of_name(file) {
        _ if is_pattern => Standing::Other,
        Some(Format::Parquet) => Standing::Parquet { folder: folder.to_owned(), files: vec![file.to_owned()] },
        Some(_) => Standing::Other,
        None if PROPERTIES.contains(&file) || file.ends_with(".properties") || !is_here => Standing::Hats,
        None => Standing::Other, // by its first bytes, or told that it is not there
    }
}

fn in_folder(path: &str) -> Standing {
    if PROPERTIES.iter().any(|file| Path::new(path).join(file).exists()) {
        return Standing::Hats;
    }
    let names = || std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.file_name());
    let others = names().filter_map(|name| Format::of_name(&name.to_string_lossy())).any(|f| f != Format::Parquet);
    match others {
        true => Standing::Other,
        false => Standing::Parquet { folder: path.to_owned(), files: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_at_a_place_is_told_by_its_name_and_a_look() {
        let parquet = |folder: &str, files: &[&str]| Standing::Parquet {
            folder: folder.to_owned(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
        };
        for (place, expected) in [
            ("s3://bucket/gaia/hats", Standing::Hats),
            ("https://a.org/x/hats.properties", Standing::Hats),
            ("https://a.org/t/stars.parquet", parquet("https://a.org/t", &["stars.parquet"])),
            ("no/such.pq", parquet("no", &["such.pq"])),
            ("s3://bucket/*.parquet", Standing::Other),
            ("https://a.org/t.vot.gz", Standing::Other),
            ("stars.csv", Standing::Other),
            ("/no-such-file", Standing::Other),
        ] {
            assert_eq!(standing(place), expected, "{place}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path().display().to_string();
        std::fs::write(folder.path().join("a.parquet"), "").expect("it is written");
        assert_eq!(standing(&here), parquet(&here, &[]));
        std::fs::write(folder.path().join("b.csv"), "").expect("it is written");
        assert_eq!(standing(&here), Standing::Other);
        std::fs::write(folder.path().join("hats.properties"), "").expect("it is written");
        assert_eq!(standing(&here), Standing::Hats);
        assert_eq!(standing(&format!("file://{here}")), Standing::Hats);
    }
}
