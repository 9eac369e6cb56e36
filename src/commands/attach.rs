//! `almagest attach`: a HATS tree of somebody else becomes a table, where it is.

use catalogs::foreign::{self, AttachOptions};
use metadata::Publication;
use serde_json::json;

use super::{
    import::expected_version,
    making::{Begin, Maker, columns_of},
    print,
};
use crate::{
    cli::AttachArgs,
    config::Config,
    failure::Failure,
    progress, shutdown, wiring,
    words::{counted, size},
};

/// Attaches a tree and publishes it.
pub(crate) async fn run(config: Config, args: AttachArgs) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let (store, metadata) = (wiring::store(&config)?, wiring::metadata(&config).await?);
    let name = args.table;
    let seen = expected_version(&metadata, &name, args.replace).await?;
    let maker = Maker::begin(&store, &metadata, &name, Begin::Restart).await?;
    wiring::mark_store(&store, &metadata).await?;
    let options = AttachOptions {
        remote: wiring::remote(&config),
        member: args.member,
        note: args.version_note.clone(),
        id_encodes: args.id_encodes,
        elements: args.elements,
    };
    let bar = progress::files(&name.to_string());
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Interrupted { name: name.clone() }),
        () = maker.lost() => Err(Failure::Refused(format!("{name}: another process took over; nothing was published"))),
        outcome = foreign::attach(&store, maker.root(), &name, &args.url, &options, bar) => outcome.map_err(Failure::from),
    };
    let (snapshot, report) = match outcome {
        Ok(done) => done,
        Err(failure) => {
            maker.give_up().await;
            return Err(failure);
        }
    };
    for warning in &report.warnings {
        eprintln!("{name}: {warning}");
    }
    let publication = Publication {
        name: name.clone(),
        root: maker.root().to_owned(),
        snapshot: snapshot.id().to_owned(),
        rows: snapshot.rows(),
        description: snapshot.description().map(str::to_owned),
        note: args.version_note,
        columns: columns_of(&snapshot),
    };
    let version = maker.publish(&publication, seen).await?;
    let bytes = snapshot.files().iter().map(|file| file.bytes).sum();
    let (rows, files) = (counted(snapshot.rows(), "row"), counted(snapshot.files().len() as u64, "file"));
    eprintln!("{name}: {rows} published as version {version}, {files} where they are, {}", size(bytes));
    if args.json {
        print(&json!({ "table": name.to_string(), "version": version, "report": report }).to_string())?;
    }
    Ok(())
}
