//! `almagest import`: files become a new version of a table, or nothing happens.

use std::path::Path;

use catalogs::{
    CatalogError, CatalogStore, PositionColumns, TableName,
    import::{self, ImportPlan, ImportReport, RowSource},
};
use metadata::{Metadata, Publication};

use crate::{cli::ImportArgs, config::Config, failure::Failure, progress, wiring};

/// Imports files as a catalogue.
pub(crate) async fn run(config: Config, args: ImportArgs) -> Result<(), Failure> {
    let (store, metadata) = (wiring::store(&config)?, wiring::metadata(&config).await?);
    let existing = metadata.table(&args.table).await?;
    if let Some(existing) = existing.filter(|_| !args.replace) {
        return Err(Failure::Refused(format!(
            "there is a table {} already (version {}, {} rows); --replace publishes over it",
            existing.name, existing.version, existing.rows
        )));
    }
    let paths = args.sources.clone();
    let open = move || paths.iter().map(|path| import::open_file(path)).collect::<Result<Vec<_>, _>>();
    let sources = tokio::task::spawn_blocking(open).await.map_err(CatalogError::from)??;
    let position = position(&args, sources[0].as_ref(), &args.sources[0])?;
    publish(&config, &store, &metadata, args.table, sources, position, None).await
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

/// Imports sources and publishes the outcome. Whatever was written by an import that fails is removed.
pub(super) async fn publish(
    config: &Config,
    store: &CatalogStore,
    metadata: &Metadata,
    name: TableName,
    sources: Vec<Box<dyn RowSource>>,
    position: Option<PositionColumns>,
    description: Option<String>,
) -> Result<(), Failure> {
    let root = store.new_root(&name);
    let description = description.or_else(|| sources.first()?.schema().metadata().get("vo:description").cloned());
    let plan = ImportPlan {
        name: name.to_string(),
        position,
        description: description.clone(),
        max_rows: config.import.max_rows_per_partition.get(),
        memory: usize::try_from(config.import.memory.bytes()).unwrap_or(usize::MAX),
    };
    let outcome = tokio::select! {
        outcome = import::run(store, &root, sources, plan, progress::shown(&name.to_string())) => outcome.map_err(Failure::from),
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    let (snapshot, report) = match outcome {
        Ok(done) => done,
        Err(failure) => {
            if let Err(error) = store.delete_folder(&root).await {
                tracing::warn!("what was written to {root} could not be removed: {error}");
            }
            return Err(failure);
        }
    };
    let publication =
        Publication { name, root, snapshot: snapshot.id().to_owned(), rows: snapshot.rows(), description };
    let version = metadata.publish(&publication).await?;
    tell(&publication.name, version, &report);
    Ok(())
}

fn tell(name: &TableName, version: u32, report: &ImportReport) {
    let ImportReport { rows_published, files, bytes, seconds, .. } = report;
    eprintln!(
        "{name}: {rows_published} rows published as version {version}, {files} files, {:.1} MB, in {seconds:.1} s",
        *bytes as f64 / 1e6
    );
}
