//! `almagest match`: pairs of rows of two tables that are near each other on the sky become a table of their own.
//!
//! ```text
//!   LEFT, RIGHT as they are served ──▶ a join in ADQL ──▶ a Parquet file for a while ──▶ import, published as any other
//! ```
//! Pairs are looked for in the very versions that the new table then names: a publication meanwhile changes neither.

use std::{io::Write, path::Path, sync::Arc};

use catalogs::{
    CatalogError, CatalogSnapshot, Pairs, Partner, TableName,
    import::{ImportPlan, PositionPlan, PositionUnit},
    sources,
};
use formats::{SourceOptions, TableSource};
use futures::TryStreamExt;
use jobs::{
    Language, QueryRequest, ServedTable,
    formats::{Encoded, Format},
};
use metadata::{Metadata, PublishedTable};
use sky::{Arcsec, Deg};
use tokio_util::sync::CancellationToken;

use super::{
    import::{OnSignal, basic_plan, expected_version, publish},
    making::{Begin, Maker},
    print,
    reading::Reading,
};
use crate::{cli::MatchArgs, config::Config, failure::Failure, progress, shutdown, wiring};

/// Finds pairs and publishes them.
pub(crate) async fn run(config: Config, args: MatchArgs) -> Result<(), Failure> {
    wiring::expect_data(&config)?;
    let stop = shutdown::on_signals()?;
    let metadata = wiring::metadata(&config).await?;
    let reading = Reading::begin(&metadata).await?;
    let outcome = make(&config, &metadata, &args, &stop).await;
    reading.end().await;
    outcome
}

async fn make(config: &Config, metadata: &Metadata, args: &MatchArgs, stop: &CancellationToken) -> Result<(), Failure> {
    let store = wiring::store(config)?;
    let seen = expected_version(metadata, &args.table, args.replace).await?;
    let left = Side::open(config, metadata, &args.left, args.left_id.as_deref(), "--left-id").await?;
    let right = Side::open(config, metadata, &args.right, args.right_id.as_deref(), "--right-id").await?;
    if args.nearest && args.left == args.right {
        let why = "the nearest row of a table to one of its own is that row itself; leave --nearest out";
        return Err(Failure::Refused(why.to_owned()));
    }
    let maker = Maker::begin(&store, metadata, &args.table, Begin::Restart).await?;
    wiring::mark_store(&store, metadata).await?;
    let found = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Interrupted { name: args.table.clone() }),
        found = find(config, args, &left, &right) => found,
    };
    let (sources, _folder) = match found {
        Ok(found) => found,
        Err(failure) => {
            maker.give_up().await;
            return Err(failure);
        }
    };
    let plan = plan(config, args, &left, &right);
    let (version, report) = publish(&store, maker, sources, plan, seen, OnSignal::Remove, stop).await?;
    if args.json {
        let told = serde_json::json!({ "table": args.table.to_string(), "version": version, "report": report });
        print(&told.to_string())?;
    }
    Ok(())
}

/// A table whose rows are paired.
struct Side {
    table: PublishedTable,
    snapshot: Arc<CatalogSnapshot>,
    ra: String,
    dec: String,
    id: String,
}

impl Side {
    async fn open(
        config: &Config,
        metadata: &Metadata,
        name: &TableName,
        id: Option<&str>,
        flag: &str,
    ) -> Result<Self, Failure> {
        let refused = |why: String| Failure::Refused(format!("{name} {why}"));
        let table = metadata.table(name).await?;
        let table = table.ok_or_else(|| {
            Failure::Refused(format!("there is no table {name}; `almagest catalog list` tells which there are"))
        })?;
        let snapshot = catalogs::open(&wiring::store(config)?, &table.root, &wiring::remote(config)).await?;
        let position = snapshot.position().cloned();
        let position = position.ok_or_else(|| refused("has no positions, so nothing is near its rows".to_owned()))?;
        let id = id.map(str::to_owned).or_else(|| snapshot.descriptor().id.clone());
        let id = id.ok_or_else(|| refused(format!("was imported without --id; name the column by {flag}")))?;
        if snapshot.schema().field_with_name(&id).is_err() {
            return Err(refused(format!("has no column {id}")));
        }
        Ok(Self { table, snapshot: Arc::new(snapshot), ra: position.ra, dec: position.dec, id })
    }

    fn served(&self) -> ServedTable {
        let PublishedTable { name, version, description, .. } = self.table.clone();
        ServedTable { name, version, description, snapshot: Arc::clone(&self.snapshot) }
    }

    fn partner(&self, column: &str, separation: Arcsec) -> Partner {
        Partner {
            table: self.table.name.to_string(),
            version: self.table.version,
            snapshot: self.table.snapshot.clone(),
            id: self.id.clone(),
            column: column.to_owned(),
            separation_arcsec: separation.0,
        }
    }

    fn described(&self) -> String {
        format!("{} version {}", self.table.name, self.table.version)
    }
}

/// The pairs in a file that is there as long as the folder.
async fn find(
    config: &Config,
    args: &MatchArgs,
    left: &Side,
    right: &Side,
) -> Result<(Vec<Box<dyn TableSource>>, tempfile::TempDir), Failure> {
    let spill = wiring::spill(config);
    let failed = |error: std::io::Error| Failure::File { path: spill.clone(), reason: error.to_string() };
    std::fs::create_dir_all(&spill).map_err(failed)?;
    let folder = tempfile::Builder::new().prefix("almagest-match-").tempdir_in(&spill).map_err(failed)?;
    let path = folder.path().join("pairs.parquet");
    let tables = if args.left == args.right { vec![left.served()] } else { vec![left.served(), right.served()] };
    let jobs = wiring::jobs_over(config, tables)?;
    let request = QueryRequest { language: Language::Adql, text: question(args, left, right), max_rows: None };
    let mut encoded = Encoded::new(jobs.run(request).await?, Format::PARQUET)?;
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    let bar = progress::asked();
    while let Some(chunk) = encoded.try_next().await? {
        bar.show(&encoded);
        file.write_all(&chunk).map_err(failed)?;
    }
    if let Some(error) = encoded.failed() {
        return Err(error.into());
    }
    Ok((opened(config, &path).await?, folder))
}

async fn opened(config: &Config, path: &Path) -> Result<Vec<Box<dyn TableSource>>, Failure> {
    let inputs = sources::inputs(&[path.to_string_lossy().into_owned()], &wiring::remote(config)).await?;
    let open = move || {
        let open = |input| formats::open(input, &SourceOptions::default());
        inputs.into_iter().map(open).collect::<Result<Vec<_>, _>>()
    };
    let opened = tokio::task::spawn_blocking(open).await.map_err(CatalogError::from)?;
    Ok(opened.map_err(CatalogError::from)?)
}

/// The join that finds the pairs.
fn question(args: &MatchArgs, left: &Side, right: &Side) -> String {
    let column = |table: &str, column: &str| format!("{table}.{}", quoted(column));
    let (id1, ra1, dec1) = (column("l", &left.id), column("l", &left.ra), column("l", &left.dec));
    let (id2, ra2, dec2) = (column("r", &right.id), column("r", &right.ra), column("r", &right.dec));
    let (p, q, radius) = (format!("POINT({ra1}, {dec1})"), format!("POINT({ra2}, {dec2})"), Deg::from(args.radius).0);
    let near = if args.nearest {
        format!("1 = XMATCH({p}, {q}, {radius:?})")
    } else {
        format!("DISTANCE({p}, {q}) <= {radius:?}")
    };
    // A pair of two rows of one table is one pair, and a row is no pair with itself.
    let once = if args.left == args.right { format!(" AND {id1} < {id2}") } else { String::new() };
    let table = |name: &TableName| format!("{}.{}", quoted(name.schema()), quoted(name.table()));
    format!(
        "SELECT {id1} AS id1, {ra1} AS ra1, {dec1} AS dec1, {id2} AS id2, {ra2} AS ra2, {dec2} AS dec2, \
         DISTANCE({p}, {q}) AS \"distance\" FROM {} AS l JOIN {} AS r ON {near}{once}",
        table(&args.left),
        table(&args.right),
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn plan(config: &Config, args: &MatchArgs, left: &Side, right: &Side) -> ImportPlan {
    let mut plan = basic_plan(config, args.table.clone());
    let which = if args.nearest { "the nearest" } else { "all" };
    plan.description = Some(format!(
        "Pairs of rows of {} (1) and {} (2): {which} within {} arcsec.",
        left.described(),
        right.described(),
        args.radius.0
    ));
    plan.note = args.version_note.clone();
    plan.position = PositionPlan::Columns { ra: "ra1".to_owned(), dec: "dec1".to_owned(), unit: PositionUnit::Degrees };
    // A little more than was asked for, so that rounding takes nothing away.
    let little = 1e-6;
    let separation = Arcsec(args.radius.0 * (1.0 + 1e-9) + little);
    plan.pairs = Some(Pairs { left: left.partner("id1", Arcsec(little)), right: right.partner("id2", separation) });
    plan
}
