//! `almagest catalog check`: is a table what it says that it is?

use catalogs::check::{self, CheckOptions, CheckReport};

use metadata::Metadata;

use super::{Reading, kept, print};
use crate::{
    cli::CheckArgs,
    config::Config,
    failure::Failure,
    progress, shutdown, wiring,
    words::{counted, size},
};

/// Checks one version of a table; a failure where anything is wrong with it.
pub(super) async fn run(config: &Config, args: &CheckArgs) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let metadata = wiring::metadata(config).await?;
    let reading = Reading::begin(&metadata).await?;
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Refused("interrupted: the check did not end".to_owned())),
        outcome = check_table(config, &metadata, args) => outcome,
    };
    reading.end().await;
    outcome
}

async fn check_table(config: &Config, metadata: &Metadata, args: &CheckArgs) -> Result<(), Failure> {
    let table = kept(metadata, &args.table).await?;
    let store = wiring::store(config)?;
    let snapshot = catalogs::open(&store, &table.root, &wiring::remote(config)).await?;
    let options = CheckOptions {
        memory: usize::try_from(config.import.memory.bytes() / 2).unwrap_or(usize::MAX),
        // Not beside the catalogues: a check writes nothing there.
        spill: config.import.spill.as_ref().map_or_else(std::env::temp_dir, |folder| folder.path().to_owned()),
        ..CheckOptions::default()
    };
    let report = check::check(&snapshot, &options, progress::bytes(&table.name.to_string())).await?;
    if args.json {
        print(&serde_json::json!(report).to_string())?;
    } else {
        tell(&report)?;
    }
    if report.is_sound() {
        return Ok(());
    }
    let defects = report.defects.len() as u64 + report.more_defects;
    Err(Failure::Refused(format!("{} has {}", table.name, counted(defects, "defect"))))
}

fn tell(report: &CheckReport) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for defect in &report.defects {
        let group = defect.row_group.map_or_else(String::new, |group| format!(", row group {group}"));
        lines.push(format!("{}{group}: {}", defect.file, defect.what));
    }
    if report.more_defects > 0 {
        lines.push(format!("and {}", counted(report.more_defects, "more defect")));
    }
    lines.extend(report.unchecked.iter().map(|what| format!("not checked: {what}")));
    lines.push(format!(
        "{}: {} in {} read, {}, in {:.1} s{}",
        report.table,
        counted(report.rows, "row"),
        counted(report.files, "file"),
        size(report.bytes),
        report.seconds,
        if report.is_sound() { "; nothing is wrong" } else { "" }
    ));
    print(&lines.join("\n"))
}
