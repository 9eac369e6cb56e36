//! What an import has finished, so that one that was killed can be gone on with.
//!
//! ```text
//!   almagest/journal/plan.json          options, sources, partitions           after the first pass
//!   almagest/journal/moved.json         what became of the rows                after the second
//!   almagest/journal/leaves-N.parquet   files that are on the store            every few of them
//!   almagest/journal/leaves-N.ranges    and the ranges of their columns        just before
//! ```
//! All of it is removed after `catalog.json` was written. A file that is not in the journal is written again, with the same
//! bytes.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use formats::TableSource;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use sky::{Order, Pixel};

use super::{ImportPlan, distribute::Tally, report_of, survey::Planned};
use crate::{
    CatalogError, CatalogStore, DataFile, Remote,
    layout::{DESCRIPTOR, JOURNAL},
    manifest, open,
    snapshot::hexadecimal,
    statistics::{FileStatistics, decode, encode},
};
use arrow::datatypes::SchemaRef;

/// How many files are noted at once, and how long one waits to be noted.
const FILES: usize = 32;
const WAIT: Duration = Duration::from_secs(5);
/// The number of this form of journal.
const FORMAT: u32 = 1;

/// What was decided after the first pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Decided {
    format: u32,
    /// A hash of the options.
    options: String,
    /// The sources and their fingerprints.
    sources: Vec<(String, String)>,
    /// The time that the catalogue tells as that of its making.
    pub(super) created: DateTime<Utc>,
    /// Rows of each source.
    pub(super) rows: Vec<u64>,
    /// About how many bytes a row has.
    pub(super) row_bytes: usize,
    partitions: Vec<Partition>,
    /// The files of the table that are written anew, by their numbers.
    pub(super) affected: Vec<usize>,
    /// Whether the rows of the partitions depend on more than is noted here.
    pub(super) needs_survey: bool,
    /// Rows of the director in each partition.
    pub(super) director_rows: Option<Vec<u64>>,
}

/// A partition, as [`Planned`] has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Partition {
    order: Option<u8>,
    npix: Option<u64>,
    part: usize,
    rows: u64,
    start: u64,
    end: u64,
}

/// What is decided, apart from partitions.
pub(super) struct Decision {
    pub(super) rows: Vec<u64>,
    pub(super) row_bytes: usize,
    pub(super) affected: Vec<usize>,
    pub(super) needs_survey: bool,
    pub(super) director_rows: Option<Vec<u64>>,
}

impl Decided {
    pub(super) fn new(
        plan: &ImportPlan,
        sources: &[Box<dyn TableSource>],
        planned: &[Planned],
        decision: Decision,
    ) -> Self {
        let partitions = planned.iter().map(|planned| Partition {
            order: planned.pixel.map(|pixel| pixel.order().get()),
            npix: planned.pixel.map(Pixel::index),
            part: planned.part,
            rows: planned.rows,
            start: planned.range.start,
            end: planned.range.end,
        });
        Self {
            format: FORMAT,
            options: plan.digest(),
            sources: sources.iter().map(|source| (source.name().to_owned(), source.fingerprint())).collect(),
            created: plan.created,
            rows: decision.rows,
            row_bytes: decision.row_bytes,
            partitions: partitions.collect(),
            affected: decision.affected,
            needs_survey: decision.needs_survey,
            director_rows: decision.director_rows,
        }
    }

    /// The partitions.
    pub(super) fn planned(&self, root: &str) -> Result<Vec<Planned>, CatalogError> {
        let planned = self.partitions.iter().map(|Partition { order, npix, part, rows, start, end }| {
            let pixel = order.zip(*npix).map(|(order, npix)| Pixel::new(Order::new(order)?, npix));
            let pixel = pixel.transpose().map_err(|error| CatalogError::catalog(root, error))?;
            Ok(Planned { pixel, part: *part, rows: *rows, range: *start..*end })
        });
        planned.collect()
    }

    /// Refuses to go on with another import than the one that was begun.
    fn check(&self, plan: &ImportPlan, sources: &[Box<dyn TableSource>]) -> Result<(), CatalogError> {
        let refuse = |name: &str, why: &str| {
            Err(CatalogError::input(name, format!("{why}; it cannot be resumed, begin anew with --restart")))
        };
        if self.format != FORMAT || self.options != plan.digest() {
            return refuse(&plan.name.to_string(), "the import was begun with other options");
        }
        if self.sources.len() != sources.len() {
            return refuse(&plan.name.to_string(), "the import was begun with other sources");
        }
        for ((name, fingerprint), source) in self.sources.iter().zip(sources) {
            if name != source.name() {
                return refuse(source.name(), &format!("the import was begun with {name} in its place"));
            }
            if *fingerprint != source.fingerprint() {
                return refuse(name, "the file has changed since the import was begun");
            }
        }
        Ok(())
    }
}

/// An import that was begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// When it was begun, as its catalogue tells.
    pub created: DateTime<Utc>,
    /// How many partitions it makes.
    pub partitions: usize,
    /// How many rows it reads.
    pub rows: u64,
}

/// What of an import can be gone on with in a folder; nothing, where it never got through its first pass. One that has
/// ended has only to be published: going on with it does nothing but tell what it made.
pub async fn unfinished(store: &CatalogStore, root: &str) -> Result<Option<Unfinished>, CatalogError> {
    if store.exists(&format!("{root}/{DESCRIPTOR}")).await? {
        let snapshot = open(store, root, &Remote::default()).await?;
        let rows = report_of(&snapshot).await?.map_or(snapshot.rows(), |report| report.rows_read);
        let (created, partitions) = (snapshot.descriptor().created, snapshot.files().len());
        return Ok(Some(Unfinished { created, partitions, rows }));
    }
    let decided: Option<Decided> = read(store, root, "plan.json").await?;
    Ok(decided.filter(|decided| decided.format == FORMAT).map(|decided| Unfinished {
        created: decided.created,
        partitions: decided.partitions.len(),
        rows: decided.rows.iter().sum(),
    }))
}

/// What tells an import from all others: its options as they were given, and what its sources hold.
pub(super) fn identity(plan: &ImportPlan, sources: &[Box<dyn TableSource>]) -> String {
    let sources = sources.iter().map(|source| (source.name().to_owned(), source.fingerprint()));
    let named = format!("{} {:?}", plan.options(), sources.collect::<Vec<_>>());
    hexadecimal(&Sha256::digest(named))
}

/// Whether an import has ended already, so that beginning it anew would add its rows a second time: whether the version
/// in the folder `root` is what it made, or has grown from that by adding rows.
pub async fn has_ended(
    store: &CatalogStore,
    root: &str,
    plan: &ImportPlan,
    sources: &[Box<dyn TableSource>],
) -> Result<bool, CatalogError> {
    let wanted = identity(plan, sources);
    let mut next = Some(root.to_owned());
    while let Some(root) = next.take() {
        // An older version may have been collected.
        if store.exists(&format!("{root}/{DESCRIPTOR}")).await? {
            let report = report_of(&open(store, &root, &Remote::default()).await?).await?.unwrap_or_default();
            if report.import == wanted {
                return Ok(true);
            }
            next = report.base;
        }
    }
    Ok(false)
}

/// What a resumed import finds.
pub(super) struct Found {
    pub(super) decided: Decided,
    pub(super) tally: Option<Tally>,
}

/// Reads the journal of an import that is to be gone on with.
pub(super) async fn find(
    store: &CatalogStore,
    root: &str,
    plan: &ImportPlan,
    sources: &[Box<dyn TableSource>],
) -> Result<Option<Found>, CatalogError> {
    let Some(decided) = read::<Decided>(store, root, "plan.json").await? else { return Ok(None) };
    decided.check(plan, sources)?;
    let tally = read(store, root, "moved.json").await?;
    Ok(Some(Found { decided, tally }))
}

/// Writes the decision after the first pass.
pub(super) async fn write_decided(store: &CatalogStore, root: &str, decided: &Decided) -> Result<(), CatalogError> {
    store.put(&format!("{root}/{JOURNAL}/plan.json"), json(decided)?).await
}

/// Writes what became of the rows.
pub(super) async fn write_tally(store: &CatalogStore, root: &str, tally: &Tally) -> Result<(), CatalogError> {
    store.put(&format!("{root}/{JOURNAL}/moved.json"), json(tally)?).await
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, CatalogError> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| CatalogError::io("writing the journal of the import", error.into()))
}

async fn read<T: DeserializeOwned>(store: &CatalogStore, root: &str, name: &str) -> Result<Option<T>, CatalogError> {
    let path = format!("{root}/{JOURNAL}/{name}");
    let bytes = match store.get(&path).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = |error| CatalogError::catalog(root, format!("the journal of its import is damaged: {error}"));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// A file that is on the store, and what is known of it.
pub(super) type Finished = (DataFile, FileStatistics);

/// Notes finished files, a few at a time.
pub(super) struct Journal {
    store: CatalogStore,
    root: String,
    schema: SchemaRef,
    pending: Vec<Finished>,
    since: Instant,
    next: usize,
    finished: Vec<Finished>,
}

impl Journal {
    /// A journal with what it has already.
    pub(super) async fn open(store: &CatalogStore, root: &str, schema: &SchemaRef) -> Result<Self, CatalogError> {
        let mut journal = Self {
            store: store.clone(),
            root: root.to_owned(),
            schema: Arc::clone(schema),
            pending: Vec::new(),
            since: Instant::now(),
            next: 0,
            finished: Vec::new(),
        };
        for object in store.list(&format!("{root}/{JOURNAL}")).await? {
            let name = object.location.filename().unwrap_or_default();
            let number = name.strip_prefix("leaves-").and_then(|name| name.strip_suffix(".parquet"));
            let Some(number) = number.and_then(|number| number.parse::<usize>().ok()) else { continue };
            let files = manifest::decode(store.get(&journal.path(number, "parquet")).await?, root)?;
            let ranges = decode(schema, store.get(&journal.path(number, "ranges")).await?)?;
            journal.finished.extend(files.into_iter().zip(ranges));
            journal.next = journal.next.max(number + 1);
        }
        Ok(journal)
    }

    fn path(&self, number: usize, ending: &str) -> String {
        format!("{}/{JOURNAL}/leaves-{number}.{ending}", self.root)
    }

    /// The paths of the files that were finished before.
    pub(super) fn paths(&self) -> HashSet<&str> {
        self.finished.iter().map(|(file, _)| file.path.as_str()).collect()
    }

    /// Notes a file that is on the store.
    pub(super) async fn note(&mut self, file: Finished) -> Result<(), CatalogError> {
        if self.pending.is_empty() {
            self.since = Instant::now();
        }
        self.pending.push(file);
        if self.pending.len() >= FILES || self.since.elapsed() >= WAIT { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), CatalogError> {
        let (files, ranges): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().unzip();
        self.store.put(&self.path(self.next, "ranges"), encode(&self.schema, &ranges)?).await?;
        self.store.put(&self.path(self.next, "parquet"), manifest::encode(&files)?).await?;
        self.next += 1;
        self.finished.extend(files.into_iter().zip(ranges));
        Ok(())
    }

    /// All files, those that are not noted included.
    pub(super) fn into_files(mut self) -> Vec<Finished> {
        self.finished.append(&mut self.pending);
        self.finished
    }
}

/// Removes the journal of an import that has ended.
pub(super) async fn remove(store: &CatalogStore, root: &str) -> Result<(), CatalogError> {
    store.delete_folder(&format!("{root}/{JOURNAL}")).await
}
