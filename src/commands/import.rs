//! `almagest import`: files become a new version of a table, or nothing happens.

use std::path::Path;

use catalogs::{
    CatalogError, CatalogStore, PositionColumns, TableName,
    import::{self, ImportPlan, ImportReport, RowSource},
};
use metadata::{Metadata, MetadataError, Publication};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::ImportArgs,
    config::Config,
    failure::Failure,
    progress, shutdown, wiring,
    words::{counted, size},
};

/// Imports files as a catalogue.
pub(crate) async fn run(config: Config, args: ImportArgs) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let (store, metadata) = (wiring::store(&config)?, wiring::metadata(&config).await?);
    let existing = metadata.table(&args.table).await?;
    if let Some(existing) = existing.as_ref().filter(|_| !args.replace) {
        return Err(Failure::Refused(format!(
            "there is a table {} already (version {}, {}); --replace publishes over it",
            existing.name,
            existing.version,
            counted(existing.rows, "row")
        )));
    }
    let paths = args.sources.clone();
    let open = move || paths.iter().map(|path| import::open_file(path)).collect::<Result<Vec<_>, _>>();
    let sources = tokio::task::spawn_blocking(open).await.map_err(CatalogError::from)??;
    let position = position(&args, sources[0].as_ref(), &args.sources[0])?;
    let replaces = existing.map(|existing| existing.version);
    let table = NewTable { name: args.table, replaces, position, description: None };
    publish(&config, &store, &metadata, table, sources, &stop).await
}

fn position(args: &ImportArgs, source: &dyn RowSource, path: &Path) -> Result<Option<PositionColumns>, Failure> {
    match (&args.ra, &args.dec) {
        (Some(ra), Some(dec)) => Ok(Some(PositionColumns { ra: ra.clone(), dec: dec.clone() })),
        _ if args.no_sky => Ok(None),
        _ => match PositionColumns::recognise(&source.schema()) {
            Some(found) => Ok(Some(found)),
            None => Err(Failure::Refused(format!(
                "{}: no columns are known as positions; name them with --ra and --dec, or say --no-sky",
                path.display()
            ))),
        },
    }
}

/// What an import makes.
pub(super) struct NewTable {
    /// The name.
    pub(super) name: TableName,
    /// The version that is served until then, if there is one; over any other it is not published.
    pub(super) replaces: Option<u32>,
    /// The position columns, if it has any.
    pub(super) position: Option<PositionColumns>,
    /// A sentence about it, where the sources should not say.
    pub(super) description: Option<String>,
}

/// Imports sources and publishes the outcome. Whatever was written is removed when that fails or `stop` comes first.
pub(super) async fn publish(
    config: &Config,
    store: &CatalogStore,
    metadata: &Metadata,
    table: NewTable,
    sources: Vec<Box<dyn RowSource>>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let NewTable { name, replaces, position, description } = table;
    let root = store.new_root(&name);
    let description = description.or_else(|| sources.first()?.schema().metadata().get("vo:description").cloned());
    let plan = ImportPlan {
        name: name.to_string(),
        position,
        description: description.clone(),
        max_rows: config.import.max_rows_per_partition.get(),
        memory: usize::try_from(config.import.memory.bytes()).unwrap_or(usize::MAX),
    };
    let progress = progress::shown(&plan.name);
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Interrupted { name: name.clone() }),
        outcome = import::run(store, &root, sources, plan, progress) => outcome.map_err(Failure::from),
    };
    let (snapshot, report) = match outcome {
        Ok(done) => done,
        Err(failure) => {
            remove(store, &root).await;
            return Err(failure);
        }
    };
    let publication =
        Publication { name, root, snapshot: snapshot.id().to_owned(), rows: snapshot.rows(), description };
    match metadata.publish(&publication, replaces).await {
        Ok(version) => tell(&publication.name, version, &report),
        Err(error) => {
            // Only where it is known that nothing refers to the files: a commit that seems to fail may have happened.
            if let MetadataError::Overtaken { .. } = error {
                remove(store, &publication.root).await;
            }
            return Err(error.into());
        }
    }
    Ok(())
}

async fn remove(store: &CatalogStore, root: &str) {
    if let Err(error) = store.delete_folder(root).await {
        tracing::warn!("what was written to {root} could not be removed: {error}");
    }
}

fn tell(name: &TableName, version: u32, report: &ImportReport) {
    let ImportReport { rows_published, files, bytes, seconds, .. } = report;
    let (rows, files) = (counted(*rows_published, "row"), counted(*files as u64, "file"));
    eprintln!("{name}: {rows} published as version {version}, {files}, {}, in {seconds:.1} s", size(*bytes));
}
