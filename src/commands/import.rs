//! `almagest import`: files become a new version of a table, or nothing happens.

use std::sync::Arc;

use catalogs::{
    CatalogError, CatalogSnapshot, CatalogStore, Remote, TableName,
    felis::Felis,
    import::{self, BadRowPolicy, DuplicatePolicy, ImportPlan, ImportReport, PositionPlan, PositionUnit, Sentinel},
    sources,
};
use formats::{SourceOptions, TableSource, TextOptions};
use metadata::{Metadata, Publication, PublishedTable};
use tokio_util::sync::CancellationToken;

use super::{
    making::{Begin, Maker, columns_of},
    print,
    reading::Reading,
};
use crate::{
    cli::{BadRowsArg, DuplicatesArg, ImportArgs, PositionUnitArg, ReadingArgs},
    config::Config,
    failure::Failure,
    progress, shutdown, wiring,
    words::{counted, size},
};

/// Imports files as a catalogue.
pub(crate) async fn run(config: Config, args: ImportArgs) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let interrupted = || Err(Failure::Interrupted { name: args.table.clone() });
    if args.dry_run {
        return tokio::select! {
            biased;
            () = stop.cancelled() => interrupted(),
            outcome = dry_run(&config, &args) => outcome,
        };
    }
    if wiring::expect_data(&config).is_err() {
        // Whoever mistypes the name of a file at the very first import is left no house.
        sources::inputs(&args.sources, &wiring::remote(&config)).await?;
    }
    let (store, metadata) = (wiring::store(&config)?, wiring::metadata(&config).await?);
    let reading = Reading::begin(&metadata).await?;
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => interrupted(),
        prepared = prepared(&config, &store, Some(&metadata), &args) => match prepared {
            Ok(prepared) => make(&store, &metadata, &args, prepared, &stop).await,
            Err(failure) => Err(failure),
        },
    };
    reading.end().await;
    outcome
}

/// What is known before anything is made.
struct Prepared {
    seen: Option<u32>,
    sources: Vec<Box<dyn TableSource>>,
    plan: ImportPlan,
}

async fn prepared(
    config: &Config,
    store: &CatalogStore,
    metadata: Option<&Metadata>,
    args: &ImportArgs,
) -> Result<Prepared, Failure> {
    let seen = match metadata {
        // One that is gone on with may have ended.
        Some(metadata) => {
            let wanted = args.replace || args.append || args.dry_run || args.resume;
            expected_version(metadata, &args.table, wanted).await?
        }
        None => None,
    };
    let sources = opened(config, args).await?;
    let plan = plan(config, store, metadata, args, &sources).await?;
    Ok(Prepared { seen, sources, plan })
}

/// Reads and counts. Where there are no data yet, none are made: neither a folder nor a database.
async fn dry_run(config: &Config, args: &ImportArgs) -> Result<(), Failure> {
    let (store, metadata) = match wiring::expect_data(config) {
        Ok(()) => (wiring::store(config)?, Some(wiring::metadata(config).await?)),
        Err(_) => (CatalogStore::read_only(&std::env::temp_dir().to_string_lossy(), &Remote::default())?, None),
    };
    let Prepared { sources, mut plan, .. } = prepared(config, &store, metadata.as_ref(), args).await?;
    if config.import.spill.is_none() {
        plan.spill = std::env::temp_dir();
    }
    let report = import::dry_run(&store, sources, plan, progress::shown(&args.table.to_string())).await?;
    tell_dry(&args.table, &report, args.json)
}

async fn make(
    store: &CatalogStore,
    metadata: &Metadata,
    args: &ImportArgs,
    Prepared { seen, sources, plan }: Prepared,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let name = &args.table;
    if args.resume {
        if has_ended(store, metadata, &plan, &sources).await? {
            eprintln!("{name}: this import has ended and its rows are served; nothing was done");
            return Ok(());
        }
        expected_version(metadata, name, args.replace || args.append).await?;
    }
    let begin = match (args.resume, args.restart) {
        (true, _) => Begin::Resume,
        (_, true) => Begin::Restart,
        _ => Begin::Anew,
    };
    let maker = Maker::begin(store, metadata, name, begin).await?;
    if args.resume && !maker.resumes() {
        eprintln!("{name}: there is nothing to go on with; it begins anew");
    }
    wiring::mark_store(store, metadata).await?;
    let (version, report) = publish(store, maker, sources, plan, seen, OnSignal::Keep, stop).await?;
    if args.json {
        print(&serde_json::json!({ "table": name.to_string(), "version": version, "report": report }).to_string())?;
    }
    Ok(())
}

/// Whether the served version has the rows of this import already: it may have been killed after its last step.
async fn has_ended(
    store: &CatalogStore,
    metadata: &Metadata,
    plan: &ImportPlan,
    sources: &[Box<dyn TableSource>],
) -> Result<bool, Failure> {
    match metadata.table(&plan.name).await? {
        Some(served) => Ok(import::has_ended(store, &served.root, plan, sources).await?),
        None => Ok(false),
    }
}

/// The served version, which a new one may be published over only if `wanted`.
pub(super) async fn expected_version(
    metadata: &Metadata,
    name: &TableName,
    wanted: bool,
) -> Result<Option<u32>, Failure> {
    let existing = metadata.table(name).await?;
    match existing.as_ref().filter(|_| !wanted) {
        Some(existing) => Err(Failure::Refused(format!(
            "there is a table {} already (version {}, {}); --replace publishes a new version over it",
            existing.name,
            existing.version,
            counted(existing.rows, "row")
        ))),
        None => Ok(existing.map(|existing| existing.version)),
    }
}

async fn opened(config: &Config, args: &ImportArgs) -> Result<Vec<Box<dyn TableSource>>, Failure> {
    let mut inputs = sources::inputs(&args.sources, &wiring::remote(config)).await?;
    if let Some(spill) = &config.import.spill {
        inputs = inputs.into_iter().map(|input| input.spilling_into(spill.path())).collect();
    }
    let options = reading(&args.reading);
    let open = move || inputs.into_iter().map(|input| formats::open(input, &options)).collect::<Result<Vec<_>, _>>();
    let opened = tokio::task::spawn_blocking(open).await.map_err(CatalogError::from)?;
    Ok(opened.map_err(CatalogError::from)?)
}

fn reading(args: &ReadingArgs) -> SourceOptions {
    SourceOptions {
        format: args.format,
        text: TextOptions {
            delimiter: args.delimiter,
            header: !args.no_header,
            columns: args.columns.clone(),
            comment: args.comment.0,
            nulls: args.null.clone(),
        },
        table: args.source_table.clone(),
        types: None,
    }
}

async fn plan(
    config: &Config,
    store: &CatalogStore,
    metadata: Option<&Metadata>,
    args: &ImportArgs,
    sources: &[Box<dyn TableSource>],
) -> Result<ImportPlan, Failure> {
    let columns = &args.columns;
    let mut plan = basic_plan(config, args.table.clone());
    plan.description = columns.description.clone();
    plan.note = columns.version_note.clone();
    plan.position = position(config, store, metadata, args).await?;
    plan.rename = columns.rename.clone();
    plan.drop = columns.drop.clone();
    plan.cast = columns.cast.clone();
    plan.sentinels = columns.sentinel.iter().map(|text| sentinel(text)).collect();
    plan.keep_nan = columns.keep_nan;
    plan.id = columns.id.clone();
    plan.id_encodes = columns.id_encodes.clone();
    plan.elements = columns.elements.clone();
    plan.duplicates = match &columns.duplicates {
        DuplicatesArg::Refuse => DuplicatePolicy::Refuse,
        DuplicatesArg::KeepFirst => DuplicatePolicy::KeepFirst,
        DuplicatesArg::KeepBest(column) => DuplicatePolicy::KeepBest(column.clone()),
    };
    plan.bad_rows = match args.reading.bad_rows {
        BadRowsArg::Refuse => BadRowPolicy::Refuse,
        BadRowsArg::SetAside => BadRowPolicy::SetAside,
    };
    plan.max_rows = args.layout.max_rows.unwrap_or(plan.max_rows);
    plan.min_order = args.layout.min_order;
    plan.max_order = args.layout.max_order;
    plan.margins = args.layout.margin.clone();
    plan.indexes = args.layout.index.clone();
    if plan.min_order > plan.max_order {
        return Err(Failure::Refused("--min-order is finer than --max-order".to_owned()));
    }
    if let Some(path) = &columns.metadata {
        felis(&mut plan, path, columns.metadata_table.as_deref(), sources)?;
    }
    if args.append {
        let served = served(metadata, &args.table).await?;
        let served =
            served.ok_or_else(|| Failure::Refused(format!("there is no table {} to append to", args.table)))?;
        plan.base = Some(Arc::new(catalogs::open(store, &served.root, &wiring::remote(config)).await?));
    }
    Ok(plan)
}

async fn served(metadata: Option<&Metadata>, name: &TableName) -> Result<Option<PublishedTable>, Failure> {
    Ok(match metadata {
        Some(metadata) => metadata.table(name).await?,
        None => None,
    })
}

/// What the configuration says of every import.
pub(super) fn basic_plan(config: &Config, name: TableName) -> ImportPlan {
    let mut plan = ImportPlan::new(name, chrono::Utc::now());
    plan.max_rows = config.import.max_rows_per_partition.get();
    plan.memory = usize::try_from(config.import.memory.bytes()).unwrap_or(usize::MAX);
    plan.spill = wiring::spill(config);
    plan
}

async fn position(
    config: &Config,
    store: &CatalogStore,
    metadata: Option<&Metadata>,
    args: &ImportArgs,
) -> Result<PositionPlan, Failure> {
    let sky = &args.sky;
    let unit = match sky.unit {
        PositionUnitArg::Auto => PositionUnit::Auto,
        PositionUnitArg::Deg => PositionUnit::Degrees,
        PositionUnitArg::Rad => PositionUnit::Radians,
        PositionUnitArg::Hours => PositionUnit::Hours,
        PositionUnitArg::Sexagesimal => PositionUnit::Sexagesimal,
    };
    let columns = sky.ra.clone().zip(sky.dec.clone());
    let Some((like, key)) = sky.like.as_ref().zip(sky.key.clone()) else {
        return Ok(match columns {
            Some((ra, dec)) => PositionPlan::Columns { ra, dec, unit },
            None if sky.no_sky => PositionPlan::None,
            None => PositionPlan::Recognise { unit },
        });
    };
    let served = served(metadata, like).await?;
    let served = served.ok_or_else(|| Failure::Refused(format!("--like: there is no table {like}")))?;
    let director = Arc::new(catalogs::open(store, &served.root, &wiring::remote(config)).await?);
    let director_key = sky.director_key.clone().or_else(|| director.descriptor().id.clone());
    let director_key = director_key.unwrap_or_else(|| key.clone());
    let own = columns.map(|(ra, dec)| (ra, dec, unit));
    Ok(PositionPlan::Like { director, director_name: like.to_string(), director_key, key, own })
}

/// `-999` for all columns, `mag=-999` for one.
fn sentinel(text: &str) -> Sentinel {
    match text.split_once('=') {
        Some((column, value)) => Sentinel { column: Some(column.to_owned()), value: value.to_owned() },
        None => Sentinel { column: None, value: text.to_owned() },
    }
}

/// Puts what a Felis file says over what the sources say.
fn felis(
    plan: &mut ImportPlan,
    path: &std::path::Path,
    table: Option<&str>,
    sources: &[Box<dyn TableSource>],
) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::File { path: path.to_owned(), reason: error.to_string() })?;
    let felis = Felis::parse(&text).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?;
    let Some(source) = sources.first() else { return Ok(()) };
    let table = table.map(str::to_owned).or_else(|| felis.table_called(plan.name.table()));
    let described = felis.describe(table.as_deref(), source.schema());
    let described = described.map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?;
    for difference in &described.differences {
        eprintln!("{}: {difference}", path.display());
    }
    plan.description = plan.description.take().or(described.description);
    plan.describe = Some(described.schema);
    Ok(())
}

/// What becomes of what was made when a signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnSignal {
    /// It stays, to be gone on with.
    Keep,
    /// It is removed.
    Remove,
}

/// Imports sources and publishes the outcome. Where that fails nothing is left.
pub(super) async fn publish(
    store: &CatalogStore,
    maker: Maker,
    sources: Vec<Box<dyn TableSource>>,
    mut plan: ImportPlan,
    seen: Option<u32>,
    on_signal: OnSignal,
    stop: &CancellationToken,
) -> Result<(u32, ImportReport), Failure> {
    plan.resume = maker.resumes();
    let (name, note) = (plan.name.clone(), plan.note.clone());
    let progress = progress::shown(&name.to_string());
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Interrupted { name: name.clone() }),
        () = maker.lost() => return Err(Failure::Refused(format!("{name}: another import took over; nothing was published"))),
        outcome = import::run(store, maker.root(), sources, plan, progress) => outcome.map_err(Failure::from),
    };
    let (snapshot, report) = match outcome {
        Ok(done) => done,
        Err(Failure::Interrupted { name }) if on_signal == OnSignal::Keep => {
            if import::unfinished(store, maker.root()).await?.is_some() {
                return Err(Failure::Left { name });
            }
            maker.give_up().await;
            return Err(Failure::Interrupted { name });
        }
        Err(failure) => {
            // What a command could not go on with another one may: the options may be wrong, or the store away.
            if on_signal == OnSignal::Remove || matches!(import::unfinished(store, maker.root()).await, Ok(None)) {
                maker.give_up().await;
            } else {
                eprintln!("{name}: what was finished is kept; --resume goes on with it, --restart begins anew");
            }
            return Err(failure);
        }
    };
    let version = maker.publish(&publication(&name, note, &snapshot), seen).await?;
    tell(&name, version, &report);
    Ok((version, report))
}

fn publication(name: &TableName, note: Option<String>, snapshot: &CatalogSnapshot) -> Publication {
    Publication {
        name: name.clone(),
        root: snapshot.root().to_owned(),
        snapshot: snapshot.id().to_owned(),
        rows: snapshot.rows(),
        description: snapshot.description().map(str::to_owned),
        note,
        columns: columns_of(snapshot),
    }
}

fn tell(name: &TableName, version: u32, report: &ImportReport) {
    if report.resumed {
        eprintln!("{name}: resumed; what was finished before was kept");
    }
    for line in report.summary_lines() {
        eprintln!("{name}: {line}");
    }
    let rows = counted(report.rows_published, "row");
    let files = counted(report.partitions.count as u64, "file");
    let seconds = report.seconds;
    eprintln!("{name}: {rows} published as version {version}, {files}, {}, in {seconds:.1} s", size(report.bytes));
}

fn tell_dry(name: &TableName, report: &ImportReport, json: bool) -> Result<(), Failure> {
    if json {
        return print(&serde_json::json!({ "table": name.to_string(), "report": report }).to_string());
    }
    for line in report.summary_lines() {
        eprintln!("{name}: {line}");
    }
    let files = counted(report.partitions.count as u64, "file");
    eprintln!("{name}: {} would be published in {files}; nothing was made", counted(report.rows_read, "row"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_may_belong_to_one_column() {
        assert_eq!(sentinel("-999"), Sentinel { column: None, value: "-999".into() });
        assert_eq!(sentinel("mag=-999.0"), Sentinel { column: Some("mag".into()), value: "-999.0".into() });
    }
}
