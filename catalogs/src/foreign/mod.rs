//! Taking up the HATS tree of somebody else where it lies, without a copy of a row.
//!
//! ```text
//!   standing   what is at the address: a catalogue, a collection, an extension     (info: its properties)
//!   leaves     which files hold its rows                                          (place: reading what may be missing)
//!   footer     what each file says of itself, many at once
//!   schema     one schema for all of them
//!   table      all judged together: refused, or taken with warnings
//!   files      plain Parquet files, which no catalogue describes
//! ```
//! What was found is kept in our own store, so that a query lists nothing and opens no file it does not need. Nothing is
//! written into the foreign tree, and the values in its files are believed: `check` is what reads them. Only what a person
//! promises beyond what the files say is held against the rows at once (promises).

mod bounds;
mod files;
mod footer;
mod info;
mod leaves;
mod place;
mod promises;
mod schema;
mod standing;
mod table;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    CatalogError, CatalogSnapshot, CatalogStore, DataFile, IdCells, Remote, Statistics, TableName,
    descriptor::{Descriptor, IndexMember, Kind, MarginMember},
    layout, manifest, open,
};
pub use files::attach_files;
use info::{CatalogInfo, CollectionInfo};
use place::Place;
use standing::Standing;
use table::ForeignTable;

/// How many warnings are kept.
const WARNINGS: usize = 100;

/// How to attach a tree.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// How to reach places of others.
    pub remote: Remote,
    /// Which member of a collection to attach, by its folder, or by the name of an extension; the primary catalogue when
    /// absent.
    pub member: Option<String>,
    /// What the person who attaches it says of it.
    pub note: Option<String>,
    /// The column whose values begin with the cell of the row; all rows are read to see how closely.
    pub id_encodes: Option<IdCells>,
    /// Columns of arrays, and the names of their elements.
    pub elements: Vec<(String, Vec<String>)>,
}

/// Told how many files of how many have been looked at. Both are equal once, at the end: before that, members of a
/// collection may bring more files.
pub type Listener = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Files looked at, of those known to be there.
struct Count {
    listener: Listener,
    done: u64,
    total: u64,
}

impl Count {
    fn expect(&mut self, files: usize) {
        self.total += files as u64;
        self.tell();
    }

    fn one_done(&mut self) {
        self.done += 1;
        self.tell();
    }

    fn tell(&self) {
        if self.done < self.total {
            (self.listener)(self.done, self.total);
        }
    }

    fn finish(&self) {
        (self.listener)(self.done, self.done);
    }
}

/// What was attached, and what is odd about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttachReport {
    /// `schema.table`.
    pub name: String,
    /// Where the catalogue is.
    pub url: String,
    /// What its rows are.
    pub kind: Kind,
    /// How many rows it has.
    pub rows: u64,
    /// How many columns.
    pub columns: u64,
    /// How many files.
    pub files: u64,
    /// How many row groups they have.
    pub row_groups: u64,
    /// How large they are together.
    pub bytes: u64,
    /// The margins that belong to it.
    pub margins: Vec<MarginMember>,
    /// The indexes that belong to it.
    pub indexes: Vec<IndexMember>,
    /// Harmless deviations from the standard.
    pub warnings: Vec<String>,
    /// When it was attached.
    pub attached: DateTime<Utc>,
    /// How long that took.
    pub seconds: f64,
}

/// Takes up the tree at `url` as a version of the table `name`, in the folder `root` of our own store `home`.
///
/// `url` is a local folder, `file://`, `s3://`, `http://` or `https://`, or the address of a `.properties` file. When this
/// fails nothing remains of `root`.
pub async fn attach(
    home: &CatalogStore,
    root: &str,
    name: &TableName,
    url: &str,
    options: &AttachOptions,
    listener: Listener,
) -> Result<(CatalogSnapshot, AttachReport), CatalogError> {
    let began = Instant::now();
    let standing = standing::find(url, options.member.as_deref(), &options.remote).await?;
    let mut count = Count { listener, done: 0, total: 0 };
    let mut found = Found::read(standing, &options.remote, &mut count).await?;
    count.finish();
    promises::name_elements(&mut found.table, options)?;
    let mut descriptor = found.descriptor(name, options.note.clone());
    descriptor.id_encodes = promises::measure(&found.snapshot(home, &descriptor), options).await?;
    let report = found.report(&descriptor, began);
    let published = async {
        found.write(home, root, &descriptor, &report).await?;
        open(home, root, &options.remote).await
    };
    match published.await {
        Ok(snapshot) => Ok((snapshot, report)),
        Err(error) => {
            // What went wrong first is told, even when the rest cannot be removed either.
            let _ = home.delete_folder(root).await;
            Err(error)
        }
    }
}

/// Warnings that a person can read: of very many, the first.
fn few(warnings: &[String]) -> Vec<String> {
    let mut few: Vec<String> = warnings.iter().take(WARNINGS).cloned().collect();
    if warnings.len() > few.len() {
        few.push(format!("and {} more", warnings.len() - few.len()));
    }
    few
}

/// A schema as a Parquet file without rows.
fn encoded(schema: &SchemaRef) -> Result<Vec<u8>, CatalogError> {
    Ok(ArrowWriter::try_new(Vec::new(), Arc::clone(schema), None)?.into_inner()?)
}

/// A margin or an index that belongs to the table, and its files.
struct Member<T> {
    member: T,
    files: Vec<DataFile>,
}

/// All that is known of a tree.
struct Found {
    place: Place,
    info: CatalogInfo,
    table: ForeignTable,
    margins: Vec<Member<MarginMember>>,
    indexes: Vec<Member<IndexMember>>,
    /// Keys of the collection that the catalogue does not have.
    of_collection: BTreeMap<String, String>,
    warnings: Vec<String>,
}

impl Found {
    async fn read(standing: Standing, remote: &Remote, count: &mut Count) -> Result<Self, CatalogError> {
        let Standing { place, info, collection } = standing;
        let mut table = table::read(&place, &info, count).await?;
        let warnings = std::mem::take(&mut table.warnings);
        let (margins, indexes) = (Vec::new(), Vec::new());
        let mut found = Self { place, info, table, margins, indexes, of_collection: BTreeMap::new(), warnings };
        if let Some((place, collection)) = collection {
            found.take_members(&place, collection, remote, count).await?;
        }
        Ok(found)
    }

    /// Takes up what a collection has besides its primary catalogue. The answers do not depend on it: a member that cannot
    /// be used is left out with a warning.
    async fn take_members(
        &mut self,
        place: &Place,
        collection: CollectionInfo,
        remote: &Remote,
        count: &mut Count,
    ) -> Result<(), CatalogError> {
        for path in &collection.margins {
            let Some((folder, info, table)) = self.member(place, path, Kind::Margin, remote, count).await? else {
                continue;
            };
            if table.schema != self.table.schema {
                self.warnings.push(format!("the columns of its margin {folder} are not those of the catalogue"));
            }
            let arcsec = info.margin_threshold.unwrap_or_default();
            let member = MarginMember { folder, arcsec, rows: table.rows, files: table.files.len() as u64 };
            self.margins.push(Member { member, files: table.files });
        }
        for (column, path) in &collection.indexes {
            let Some((folder, info, table)) = self.member(place, path, Kind::Index, remote, count).await? else {
                continue;
            };
            if info.index_column.as_ref() != Some(column) {
                let told = info.index_column.unwrap_or_default();
                self.leave_out(format!("its index {folder}, which is listed for {column}, is one of {told}"));
                continue;
            }
            let (rows, files) = (table.rows, table.files.len() as u64);
            let member = IndexMember { folder, column: column.clone(), rows, files };
            self.indexes.push(Member { member, files: table.files });
        }
        for (name, file) in &collection.extensions {
            self.warnings.push(format!(
                "the columns of its extension {name} are not joined: attach {}{file} as a table of their own",
                place.url()
            ));
        }
        self.of_collection = collection.kept;
        Ok(())
    }

    /// Reads a member; none, and a warning, when it cannot be used.
    async fn member(
        &mut self,
        place: &Place,
        path: &str,
        kind: Kind,
        remote: &Remote,
        count: &mut Count,
    ) -> Result<Option<(String, CatalogInfo, ForeignTable)>, CatalogError> {
        let there = place.member(path, remote)?;
        if there.store().key() != self.place.store().key() {
            let url = there.url();
            self.leave_out(format!("its member {path}, which lies outside the collection, at {url}"));
            return Ok(None);
        }
        let read = async {
            let info = standing::catalog(&there).await?;
            if info.kind != kind {
                return Err(there.bad(format!("it should be of type {kind:?} but is of type {:?}", info.kind)));
            }
            let table = table::read(&there, &info, count).await?;
            Ok((info, table))
        };
        match read.await {
            Ok((info, mut table)) => {
                let folder = there.folder().to_owned();
                self.warnings.extend(table.warnings.drain(..).map(|warning| format!("{folder}: {warning}")));
                Ok(Some((folder, info, table)))
            }
            Err(error @ CatalogError::BadCatalog { .. }) => {
                self.leave_out(format!("its member {path}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Warns of a member that is not used, before all that is less.
    fn leave_out(&mut self, why: String) {
        self.warnings.insert(0, format!("{}{why}", Descriptor::LEFT_OUT));
    }

    fn descriptor(&self, name: &TableName, note: Option<String>) -> Descriptor {
        let mut properties = self.of_collection.clone();
        properties.extend(self.info.kept.clone());
        let text = |key: &str| properties.get(key).cloned();
        Descriptor {
            format: Descriptor::FORMAT,
            name: name.to_string(),
            kind: self.info.kind,
            data: Some(self.data().clone()),
            rows: self.table.rows,
            description: text("obs_description").or_else(|| text("obs_title")),
            note,
            position: self.table.position.clone(),
            healpix: self.table.healpix.clone(),
            sorted: self.table.sorted,
            id: None,
            id_encodes: None,
            director: None,
            pairs: None,
            nan_is_null: false,
            margins: self.margins.iter().map(|margin| margin.member.clone()).collect(),
            indexes: self.indexes.iter().map(|index| index.member.clone()).collect(),
            default_columns: self.table.default_columns.clone(),
            properties,
            warnings: few(&self.warnings),
            created: Utc::now(),
            builder: concat!("almagest ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The folder that the paths of the files are relative to: that of the collection, if there is one.
    fn data(&self) -> &Url {
        self.place.store().url()
    }

    fn report(&self, descriptor: &Descriptor, began: Instant) -> AttachReport {
        AttachReport {
            name: descriptor.name.clone(),
            url: self.place.url().to_string(),
            kind: descriptor.kind,
            rows: self.table.rows,
            columns: self.table.schema.fields().len() as u64,
            files: self.table.files.len() as u64,
            row_groups: self.table.row_groups,
            bytes: self.table.files.iter().map(|file| file.bytes).sum(),
            margins: descriptor.margins.clone(),
            indexes: descriptor.indexes.clone(),
            warnings: descriptor.warnings.clone(),
            attached: descriptor.created,
            seconds: began.elapsed().as_secs_f64(),
        }
    }

    /// The table before anything of it is written.
    fn snapshot(&self, home: &CatalogStore, descriptor: &Descriptor) -> CatalogSnapshot {
        CatalogSnapshot::new(
            home.clone(),
            String::new(),
            self.place.store().clone(),
            Arc::clone(&self.table.schema),
            descriptor.clone(),
            self.table.files.clone(),
            Statistics::stored(home.clone(), String::new()),
        )
    }

    /// Writes what was found, the descriptor last.
    async fn write(
        &self,
        home: &CatalogStore,
        root: &str,
        descriptor: &Descriptor,
        report: &AttachReport,
    ) -> Result<(), CatalogError> {
        let put = |path: String, bytes: Vec<u8>| async move { home.put(&format!("{root}/{path}"), bytes).await };
        let members = self.margins.iter().map(|margin| (&margin.member.folder, &margin.files));
        for (folder, files) in members.chain(self.indexes.iter().map(|index| (&index.member.folder, &index.files))) {
            put(layout::member_manifest(folder), manifest::encode(files)?).await?;
        }
        put(layout::SCHEMA.to_owned(), encoded(&self.table.schema)?).await?;
        put(layout::MANIFEST.to_owned(), manifest::encode(&self.table.files)?).await?;
        put(layout::STATISTICS.to_owned(), self.table.statistics.clone()).await?;
        let report = serde_json::to_vec_pretty(report)
            .map_err(|error| CatalogError::io(format!("writing {}", layout::ATTACH_REPORT), error.into()))?;
        put(layout::ATTACH_REPORT.to_owned(), report).await?;
        put(layout::DESCRIPTOR.to_owned(), descriptor.encode()?).await
    }
}
