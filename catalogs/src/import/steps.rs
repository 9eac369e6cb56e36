//! The steps of an import in their order: what is decided after the first pass, and what follows from it.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arrow::{compute::can_cast_types, datatypes::DataType};
use formats::TableSource;
use sky::{Arcsec, Deg, Pixel};
use tokio::runtime::Handle;

use super::{
    DirectorReport, ImportPlan, ImportReport, Listener, MemberReport, PartitionsReport, PositionPlan, Progress,
    SourceReport, append,
    convert::{CellsFrom, Columns},
    distribute::{DUPLICATE, Distributed, Tally, distribute},
    journal::{self, Decided, Finished, Found, Journal},
    leaf::Style,
    leaves::{Target, write_aside, write_leaves},
    partition::Histogram,
    pool::Stop,
    report,
    shape::Shape,
    side_files::{Version, index_folder, margin_folder},
    spill::Spill,
    survey::{Context, Planned, Spread, Survey, partitions, survey},
};
use crate::{
    CatalogError, CatalogSnapshot, CatalogStore, Descriptor, Director, HEALPIX_COLUMN, HealpixColumn, IdEncodes,
    IndexMember, Kind, MarginMember, Position, Statistics, layout,
    members::{BuildContext, LeafReader, MarginPlan, build_index, build_margin, keys, value_kind},
    snapshot,
};

/// What surveys the sources.
#[derive(Clone, Copy)]
pub(super) struct Surveyor<'a> {
    pub(super) store: &'a CatalogStore,
    pub(super) plan: &'a Arc<ImportPlan>,
    pub(super) spill: &'a Spill,
    pub(super) stop: &'a Stop,
    pub(super) progress: &'a Listener,
    /// Whether nothing follows the first pass.
    pub(super) is_dry: bool,
}

/// What is decided after the first pass.
pub(super) struct Decision {
    /// The sources of the import, and after them the files of the table that are read again.
    sources: Vec<Box<dyn TableSource>>,
    /// How many of them are the import's.
    given: usize,
    columns: Columns,
    survey: Survey,
    planned: Vec<Planned>,
    affected: Vec<usize>,
    director_rows: Option<Vec<u64>>,
    description: Option<String>,
    /// What is known by now.
    pub(super) report: ImportReport,
}

/// A decision, and what was done before the import was interrupted.
pub(super) struct Begun {
    decision: Decision,
    tally: Option<Tally>,
}

impl Surveyor<'_> {
    fn context(&self) -> BuildContext<'_> {
        let progress = Arc::clone(self.progress);
        BuildContext {
            store: self.store,
            root: "",
            spill: self.spill.path(),
            memory: self.plan.memory / 2,
            threads: self.plan.threads.max(1),
            progress: Arc::new(move |done, total| progress(Progress::Accompanied(done, total))),
        }
    }

    /// Surveys the sources, unless that was done before, and notes what is decided.
    pub(super) async fn decide(
        &self,
        sources: Vec<Box<dyn TableSource>>,
        found: Option<Found>,
        root: &str,
    ) -> Result<Begun, CatalogError> {
        let known = found.as_ref().map(|found| found.decided.clone());
        let decision = self.survey(sources, &Handle::current(), known).await?;
        let given = &decision.sources[..decision.given];
        let decided = Decided::new(
            self.plan,
            given,
            &decision.planned,
            journal::Decision {
                rows: decision.survey.rows.clone(),
                row_bytes: decision.survey.row_bytes,
                affected: decision.affected.clone(),
                needs_survey: decision.survey.joined.is_some() || decision.survey.dropped.is_some(),
                director_rows: decision.director_rows.clone(),
            },
        );
        match &found {
            None => journal::write_decided(self.store, root, &decided).await?,
            Some(found) if found.decided != decided => {
                let why = "it is not the same as when the import was begun; begin anew with --restart";
                return Err(CatalogError::input(decision.columns.source(0), why));
            }
            Some(_) => {}
        }
        Ok(Begun { decision, tally: found.and_then(|found| found.tally) })
    }

    /// The first pass, and the partitions that follow from it.
    pub(super) async fn survey(
        &self,
        sources: Vec<Box<dyn TableSource>>,
        runtime: &Handle,
        known: Option<Decided>,
    ) -> Result<Decision, CatalogError> {
        check_plan(self.plan)?;
        if let Some(base) = &self.plan.base {
            append::check(base, self.store, self.plan)?;
        }
        let begun = Instant::now();
        let skips = known.filter(|known| !known.needs_survey);
        let director = match &self.plan.position {
            PositionPlan::Like { director, director_key, .. } if skips.is_none() => {
                let keys = keys::director_keys(director, director_key, &self.context()).await?;
                Some((keys, count_director(director, append::order(self.plan.base.as_deref(), self.plan)).await?))
            }
            _ => None,
        };
        let worker = Worker {
            plan: Arc::clone(self.plan),
            spill: self.spill.path().to_owned(),
            stop: self.stop.clone(),
            progress: Arc::clone(self.progress),
            runtime: runtime.clone(),
            is_dry: self.is_dry,
            store: self.store.clone(),
        };
        let decision = tokio::task::spawn_blocking(move || worker.survey(sources, director, skips));
        let mut decision = decision.await??;
        decision.report.stages.push(("survey".to_owned(), seconds_since(begun)));
        Ok(decision)
    }
}

/// Rows of a director, counted along the sky.
async fn count_director(director: &CatalogSnapshot, order: u8) -> Result<Histogram, CatalogError> {
    let reader = LeafReader::new(director);
    let mut histogram = Histogram::new(order);
    for number in 0..director.files().len() {
        let mut cells = reader.open(number).await?.cells(None)?;
        while let Some(cells) = cells.next().await? {
            cells.into_iter().for_each(|cell| histogram.count(cell));
        }
    }
    Ok(histogram)
}

/// Refuses what cannot be done whatever the rows are.
fn check_plan(plan: &ImportPlan) -> Result<(), CatalogError> {
    let refuse = |why: &str| Err(CatalogError::input(&plan.name, why));
    if plan.max_order > 11 || plan.min_order > plan.max_order {
        return refuse("orders of partitions go from 0 to 11, the coarsest first");
    }
    let accompanied = !plan.margins.is_empty() || !plan.indexes.is_empty();
    if accompanied && !plan.has_cells() {
        return refuse("a table without positions has neither margins nor indexes");
    }
    if plan.margins.iter().any(|margin| !(margin.0 > 0.0 && margin.0.is_finite())) {
        return refuse("a margin is wider than nothing");
    }
    Ok(())
}

/// Refuses what cannot be done with these columns.
fn check_columns(plan: &ImportPlan, columns: &Columns) -> Result<(), CatalogError> {
    for index in &plan.indexes {
        let field = columns.schema().field_with_name(index)?;
        value_kind(index, field.data_type())?;
    }
    if !plan.margins.is_empty() && columns.position().is_none() {
        return Err(CatalogError::input(&plan.name, "its rows have no positions of their own, and so no margins"));
    }
    if let Some(best) = plan.best_column() {
        let data_type = columns.schema().field_with_name(best)?.data_type();
        if !(data_type.is_numeric() || data_type.is_temporal()) || !can_cast_types(data_type, &DataType::Float64) {
            let why = format!("it is {data_type}, no number by which the best row could be told");
            return Err(CatalogError::input(format!("column {best}"), why));
        }
    }
    Ok(())
}

/// What the first pass needs on a thread of its own.
struct Worker {
    plan: Arc<ImportPlan>,
    spill: std::path::PathBuf,
    stop: Stop,
    progress: Listener,
    runtime: Handle,
    store: CatalogStore,
    is_dry: bool,
}

impl Worker {
    fn survey(
        &self,
        mut sources: Vec<Box<dyn TableSource>>,
        director: Option<(keys::Keyed, Histogram)>,
        known: Option<Decided>,
    ) -> Result<Decision, CatalogError> {
        let plan = &*self.plan;
        let cells = match plan.position {
            PositionPlan::None => CellsFrom::Nowhere,
            PositionPlan::Like { .. } => CellsFrom::Director,
            PositionPlan::Recognise { .. } | PositionPlan::Columns { .. } => CellsFrom::Position,
        };
        let shape = Shape::of(&mut sources, plan, cells != CellsFrom::Nowhere)?;
        let base = plan.base.as_deref();
        let before = base.map_or(0, |base| base.files().len());
        let mut columns = Columns::new(&shape, &sources, before, plan, cells)?;
        check_columns(plan, &columns)?;
        let given = sources.len();
        let order = append::order(base, plan);
        let (survey, planned, affected) = match known {
            Some(known) => {
                let planned = known.planned(&plan.name.to_string())?;
                let survey = Survey {
                    rows: known.rows,
                    bad: BTreeMap::new(),
                    spread: Spread::Order(Vec::new()),
                    row_bytes: known.row_bytes,
                    dropped: None,
                    joined: None,
                    director: None,
                    ambiguous: 0,
                };
                (survey, planned, known.affected)
            }
            None => self.first_pass(&columns, &sources, director, order)?,
        };
        if let Some(base) = base {
            for (source, rank) in append::open(base, &affected, &self.runtime).into_iter().zip(&affected) {
                columns.add_stored(source.as_ref(), *rank);
                sources.push(source);
            }
        }
        let pixels: Vec<Pixel> = planned.iter().filter_map(|partition| partition.pixel).collect();
        let kept = base.map(|base| append::fixed_pixels(base, &affected)).unwrap_or_default();
        let all: Vec<Pixel> = pixels.iter().copied().chain(kept).collect();
        for margin in &plan.margins {
            MarginPlan::new(&all, Arcsec(margin.0))?;
        }
        let director_rows = survey.director.as_ref().map(|histogram| {
            planned.iter().map(|partition| histogram.rows(partition.range.clone())).collect::<Vec<u64>>()
        });
        let rows_read = survey.rows.iter().sum::<u64>();
        let replaced = survey.dropped.as_ref().map_or(0, |dropped| dropped.before(before));
        let duplicates = survey.dropped.as_ref().map_or(0, |dropped| dropped.len() - replaced);
        let mut set_aside = survey.bad.clone();
        if duplicates > 0 {
            set_aside.insert(DUPLICATE.to_owned(), duplicates);
        }
        let rows_published = rows_read.saturating_sub(set_aside.values().sum());
        let orders = planned.iter().map(|partition| (partition.pixel.map(|pixel| pixel.order().get()), partition.rows));
        let mut warnings = shape.warnings;
        if survey.ambiguous > 0 {
            let ambiguous = survey.ambiguous;
            warnings.push(format!(
                "{ambiguous} identifiers stand in several rows of the director; the first of them counts"
            ));
        }
        let report = ImportReport {
            table: plan.name.to_string(),
            sources: sources[..given]
                .iter()
                .zip(&survey.rows)
                .map(|(source, rows)| SourceReport { name: source.name().to_owned(), rows: *rows })
                .collect(),
            rows_read,
            rows_published,
            rows: (rows_published + base.map_or(0, CatalogSnapshot::rows)).saturating_sub(replaced),
            set_aside,
            duplicates,
            replaced,
            unit_changes: shape.unit_changes,
            warnings,
            columns: report::columns(columns.schema(), &[]),
            partitions: PartitionsReport::of(orders),
            shared_files: before - affected.len(),
            director: None,
            ..ImportReport::default()
        };
        // What is said of one night is not said of all.
        let of_base = base.and_then(|base| base.description().map(str::to_owned));
        let description = plan.description.clone().or(of_base).or(shape.description);
        Ok(Decision { sources, given, columns, survey, planned, affected, director_rows, description, report })
    }

    /// Reads the sources once, and decides on the partitions.
    fn first_pass(
        &self,
        columns: &Columns,
        sources: &[Box<dyn TableSource>],
        director: Option<(keys::Keyed, Histogram)>,
        order: u8,
    ) -> Result<(Survey, Vec<Planned>, Vec<usize>), CatalogError> {
        let plan = &*self.plan;
        let (spill, stop, progress) = (&*self.spill, &self.stop, &*self.progress);
        let context = Context { plan, columns, sources, is_dry: self.is_dry, spill, stop, progress };
        let Some(base) = plan.base.as_deref() else {
            let found = survey(&context, &[], director, order)?;
            let planned = partitions(&found, plan, &[], 0);
            return Ok((found, planned, Vec::new()));
        };
        // Identifiers must be those of no row that is there already.
        let keyed = if plan.id.is_some() { base.files().len() } else { 0 };
        let stored = append::open(base, &Vec::from_iter(0..keyed), &self.runtime);
        let mut found = survey(&context, &stored, director, order)?;
        let affected = append::affected(base, &found);
        let again = append::open(base, &affected, &self.runtime);
        append::count_stored(&again, &mut found, plan.threads, &self.stop)?;
        let mut planned = append::parts(base, &affected, plan);
        planned.extend(partitions(&found, plan, &append::fixed(base, &affected), append::next_part(base)));
        debug_assert!(self.store.key() == base.home().key());
        Ok((found, planned, affected))
    }
}

/// Everything after the decision.
pub(super) async fn finish(
    surveyor: &Surveyor<'_>,
    root: &str,
    begun: Begun,
    identity: String,
    started: Instant,
) -> Result<(CatalogSnapshot, ImportReport), CatalogError> {
    let Begun { decision, tally } = begun;
    let Surveyor { store, plan, spill, stop, progress, .. } = *surveyor;
    let table = plan.name.table().to_owned();
    let schema = Arc::clone(decision.columns.schema());
    let mut report = decision.report.clone();
    let style = Style::new(&schema, plan.id.as_deref(), decision.survey.row_bytes)?;
    let target = Arc::new(Target {
        store: store.clone(),
        root: root.to_owned(),
        table: table.clone(),
        style: style.clone(),
        spill: spill.path().to_owned(),
        memory: plan.memory,
        threads: plan.threads.max(1),
        stop: stop.clone(),
        progress: Arc::clone(progress),
    });
    let mut journal = Journal::open(store, root, &schema).await?;
    let done = journal.paths();
    report.resumed = plan.resume && (tally.is_some() || !done.is_empty());
    let finished: Vec<bool> =
        decision.planned.iter().map(|partition| done.contains(target.path(partition).as_str())).collect();
    drop(done);
    let needs_move = tally
        .as_ref()
        .is_none_or(|tally| tally.partitions.iter().zip(&finished).any(|(rows, finished)| *rows > 0 && !finished));
    let decision = Arc::new(decision);
    let tally = if needs_move {
        let begun = Instant::now();
        let distributed = Arc::new(move_rows(surveyor, &decision, &finished).await?);
        report.stages.push(("sort".to_owned(), seconds_since(begun)));
        let begun = Instant::now();
        write_aside(Arc::clone(&target), Arc::clone(&distributed)).await?;
        journal::write_tally(store, root, &distributed.tally).await?;
        let mut tally = distributed.tally.clone();
        let written = write_leaves(Arc::clone(&target), distributed, &decision.planned, &finished, &mut journal);
        tally.spilled_bytes += written.await?;
        report.stages.push(("write".to_owned(), seconds_since(begun)));
        tally
    } else {
        tally.unwrap_or_default()
    };
    let mut files = journal.into_files();
    if let Some(base) = plan.base.as_deref() {
        files.extend(append::share(base, &decision.affected, store, root).await?);
    }
    in_order(&mut files);
    let rows: u64 = files.iter().map(|(file, _)| file.rows).sum();
    let before = plan.base.as_ref().map_or(0, |base| base.rows());
    let read: u64 = tally.rows.iter().sum();
    if tally.moved + tally.set_aside() != read || before + tally.moved != rows + tally.replaced {
        let why = format!(
            "{read} rows were read, {} of them set aside, and there are {rows} in the table after {before}; nothing is published",
            tally.set_aside()
        );
        return Err(CatalogError::catalog(root, why));
    }
    let mut descriptor = describe(plan, &decision, rows, &tally);
    let version =
        Version { store, root, table: &table, schema: &schema, style: &style, descriptor: &descriptor, files: &files };
    version.write_ours().await?;
    if plan.has_cells() {
        let begun = Instant::now();
        let (margins, indexes) = accompany(surveyor, root, &version).await?;
        (descriptor.margins, descriptor.indexes) = (margins, indexes);
        if !(plan.margins.is_empty() && plan.indexes.is_empty()) {
            report.stages.push(("margins and indexes".to_owned(), seconds_since(begun)));
        }
    }
    tell(&mut report, &decision, &tally, &descriptor, &files, plan);
    report.seconds = seconds_since(started);
    report.rows_per_second = (report.rows_read as f64 / started.elapsed().as_secs_f64()).round();
    report.peak_memory = report::peak_memory();
    (report.import, report.base) = (identity, plan.base.as_ref().map(|base| base.root().to_owned()));
    let version =
        Version { store, root, table: &table, schema: &schema, style: &style, descriptor: &descriptor, files: &files };
    version.write_hats(plan).await?;
    let told = serde_json::to_vec_pretty(&report)
        .map_err(|error| CatalogError::io(format!("writing {}", layout::IMPORT_REPORT), error.into()))?;
    version.write_descriptor(told).await?;
    journal::remove(store, root).await?;
    Ok((as_snapshot(&version), report))
}

/// Wall time, to the millisecond.
pub(super) fn seconds_since(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 1e3).round() / 1e3
}

/// The second pass, on a thread of its own.
async fn move_rows(
    surveyor: &Surveyor<'_>,
    decision: &Arc<Decision>,
    finished: &[bool],
) -> Result<Distributed, CatalogError> {
    let (plan, decision, finished) = (Arc::clone(surveyor.plan), Arc::clone(decision), finished.to_vec());
    let (spill, stop, progress) =
        (surveyor.spill.path().to_owned(), surveyor.stop.clone(), Arc::clone(surveyor.progress));
    let moved = tokio::task::spawn_blocking(move || {
        let Decision { sources, given, columns, survey, planned, .. } = &*decision;
        let context =
            Context { plan: &plan, columns, sources, is_dry: false, spill: &spill, stop: &stop, progress: &*progress };
        distribute(&context, *given, survey, planned, &finished)
    });
    moved.await?
}

/// Files in the order in which a snapshot has them.
fn in_order(files: &mut [Finished]) {
    let mut alone: Vec<_> = files.iter().map(|(file, _)| file.clone()).collect();
    snapshot::sort(&mut alone);
    let places: std::collections::HashMap<String, usize> =
        alone.into_iter().enumerate().map(|(place, file)| (file.path, place)).collect();
    files.sort_by_key(|(file, _)| places.get(&file.path).copied());
}

fn describe(plan: &ImportPlan, decision: &Decision, rows: u64, tally: &Tally) -> Descriptor {
    let slack = tally.slack;
    let base = plan.base.as_deref().map(CatalogSnapshot::descriptor);
    let follows = match &plan.position {
        PositionPlan::Like { director_name, director_key, key, .. } => {
            Some(Director { table: director_name.clone(), key: key.clone(), id: director_key.clone() })
        }
        _ => None,
    };
    // A little more than what was found, so that rounding takes nothing away.
    let slack = if slack > 0.0 { Arcsec::from(Deg(slack)).0 * (1.0 + 1e-9) + 1e-3 } else { 0.0 };
    let slack = base.and_then(|base| base.position.as_ref()).map_or(slack, |position| position.slack_arcsec.max(slack));
    let id_encodes = plan.id_encodes.as_ref().map(|ids| {
        let told = ids.told(Deg(tally.encoded));
        let before = base.and_then(|base| base.id_encodes.as_ref()).map_or(0.0, |before| before.slack_arcsec);
        IdEncodes { slack_arcsec: told.slack_arcsec.max(before), ..told }
    });
    let position =
        decision.columns.position().map(|[ra, dec]| Position { ra: ra.clone(), dec: dec.clone(), slack_arcsec: slack });
    Descriptor {
        format: Descriptor::FORMAT,
        name: plan.name.to_string(),
        kind: match (plan.has_cells(), &follows, &plan.pairs) {
            (false, _, _) => Kind::Table,
            (true, _, Some(_)) => Kind::Association,
            (true, None, None) => Kind::Object,
            (true, Some(_), None) => Kind::Source,
        },
        data: None,
        rows,
        description: decision.description.clone(),
        note: plan.note.clone(),
        position,
        healpix: plan.has_cells().then(|| HealpixColumn { column: HEALPIX_COLUMN.to_owned(), order: 29 }),
        sorted: plan.has_cells(),
        id: plan.id.clone().or_else(|| base.and_then(|base| base.id.clone())),
        id_encodes,
        director: follows,
        pairs: plan.pairs.clone(),
        nan_is_null: !plan.keep_nan,
        margins: Vec::new(),
        indexes: Vec::new(),
        default_columns: base.map(|base| base.default_columns.clone()).unwrap_or_default(),
        properties: base.map(|base| base.properties.clone()).unwrap_or_default(),
        warnings: Vec::new(),
        created: plan.created,
        builder: concat!("almagest ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// Margins and indexes, from the finished files.
async fn accompany(
    surveyor: &Surveyor<'_>,
    root: &str,
    version: &Version<'_>,
) -> Result<(Vec<MarginMember>, Vec<IndexMember>), CatalogError> {
    let plan = surveyor.plan;
    let snapshot = as_snapshot(version);
    let context = BuildContext { root, ..surveyor.context() };
    let (mut margins, mut indexes) = (Vec::new(), Vec::new());
    for margin in &plan.margins {
        let folder = margin_folder(version.table, margin.0);
        margins.push(build_margin(&snapshot, *margin, &folder, &context).await?);
    }
    for index in &plan.indexes {
        indexes.push(build_index(&snapshot, index, &index_folder(version.table, index), &context).await?);
    }
    Ok((margins, indexes))
}

fn as_snapshot(version: &Version<'_>) -> CatalogSnapshot {
    let Version { store, root, schema, descriptor, files, .. } = *version;
    let statistics = Statistics::stored(store.clone(), format!("{root}/{}", layout::STATISTICS));
    let files = files.iter().map(|(file, _)| file.clone()).collect();
    CatalogSnapshot::new(
        store.clone(),
        root.to_owned(),
        store.clone(),
        Arc::clone(schema),
        descriptor.clone(),
        files,
        statistics,
    )
}

/// Completes the report with what became of the rows.
fn tell(
    report: &mut ImportReport,
    decision: &Decision,
    tally: &Tally,
    descriptor: &Descriptor,
    files: &[Finished],
    plan: &ImportPlan,
) {
    report.rows_read = tally.rows.iter().sum();
    report.rows_published = tally.moved;
    report.rows = descriptor.rows;
    report.set_aside = tally.aside.clone();
    report.duplicates = tally.aside.get(DUPLICATE).copied().unwrap_or(0);
    report.replaced = tally.replaced;
    report.wrapped = tally.wrapped;
    report.bytes = files.iter().map(|(file, _)| file.bytes).sum();
    report.spilled_bytes = tally.spilled_bytes;
    let ranges: Vec<_> = files.iter().map(|(_, ranges)| ranges).collect();
    report.columns = report::columns(decision.columns.schema(), &ranges);
    let made = decision.planned.iter().zip(&tally.partitions).filter(|(_, rows)| **rows > 0);
    report.partitions =
        PartitionsReport::of(made.map(|(planned, rows)| (planned.pixel.map(|pixel| pixel.order().get()), *rows)));
    if let (Some(director_rows), PositionPlan::Like { director_name, .. }) = (&decision.director_rows, &plan.position) {
        let partitions = decision.planned.iter().zip(&tally.partitions).zip(director_rows);
        let partitions = partitions.filter_map(|((planned, rows), of_director)| {
            let pixel = planned.pixel?;
            Some((pixel.order().get(), pixel.index(), *rows, *of_director))
        });
        report.director = Some(DirectorReport::of(director_name.clone(), partitions.collect()));
    }
    report.margins = descriptor
        .margins
        .iter()
        .map(|margin| MemberReport { folder: margin.folder.clone(), rows: margin.rows, files: margin.files })
        .collect();
    report.indexes = descriptor
        .indexes
        .iter()
        .map(|index| MemberReport { folder: index.folder.clone(), rows: index.rows, files: index.files })
        .collect();
}
