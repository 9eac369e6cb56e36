//! `almagest catalog gc`: what is served no more, is read by nobody and is old enough goes.

use catalogs::collect::{Garbage, Listing};
use chrono::{DateTime, TimeDelta, Utc};
use metadata::{Metadata, MetadataError, Version};
use serde_json::json;

use super::print;
use crate::{
    cli::GcArgs,
    config::Config,
    failure::Failure,
    process, wiring,
    words::{counted, size},
};

/// Collects, or tells what it would collect.
pub(super) async fn run(config: &Config, args: &GcArgs) -> Result<(), Failure> {
    let (store, metadata) = (wiring::store(config)?, wiring::metadata(config).await?);
    wiring::expect_own_store(&store, &metadata).await?;
    let before = Utc::now() - TimeDelta::from_std(args.older_than).unwrap_or(TimeDelta::MAX);
    let versions = metadata.collectable(before, process::life).await?;
    let given_up = give_up_abandoned(&metadata, before, args.dry_run).await?;
    // The order matters: see `catalogs::collect`.
    let listing = Listing::take(&store).await?;
    let mut claimed = metadata.claimed_roots().await?;
    claimed.retain(|root| !given_up.contains(root));
    let kept = kept_roots(&metadata, &versions).await?;
    let garbage = listing.garbage(&store, &kept, &claimed).await?;
    if !args.dry_run {
        for version in &versions {
            metadata.forget(&version.table.name, version.table.version).await?;
        }
        garbage.delete(&store).await?;
    }
    tell(args, &versions, &garbage)
}

/// Ends the claims of imports that died long ago; nobody has gone on with them. Returns their folders.
async fn give_up_abandoned(metadata: &Metadata, before: DateTime<Utc>, dry_run: bool) -> Result<Vec<String>, Failure> {
    let mut given_up = Vec::new();
    for (name, other) in metadata.abandoned(before, process::life).await? {
        if !dry_run {
            match metadata.take_over(&name, &other, &process::name()).await {
                Ok(claim) => claim.abandon().await?,
                Err(MetadataError::TakenOver { .. }) => continue, // somebody goes on with it just now
                Err(error) => return Err(error.into()),
            }
        }
        given_up.push(other.root);
    }
    Ok(given_up)
}

/// The folders of all versions but the collected ones.
async fn kept_roots(metadata: &Metadata, collected: &[Version]) -> Result<Vec<String>, Failure> {
    let roots = metadata.all_versions().await?.into_iter().map(|version| version.table.root);
    let is_collected = |root: &String| collected.iter().any(|version| version.table.root == *root);
    Ok(roots.filter(|root| !is_collected(root)).collect())
}

fn tell(args: &GcArgs, versions: &[Version], garbage: &Garbage) -> Result<(), Failure> {
    if args.json {
        let named = |version: &Version| format!("{}@{}", version.table.name, version.table.version);
        return print(
            &json!({
                "versions": versions.iter().map(named).collect::<Vec<_>>(),
                "objects": garbage.count,
                "bytes": garbage.bytes,
                "deleted": !args.dry_run,
            })
            .to_string(),
        );
    }
    let verb = if args.dry_run { "would be deleted" } else { "deleted" };
    for version in versions {
        eprintln!("{} version {}: {verb}", version.table.name, version.table.version);
    }
    match garbage.count {
        0 => eprintln!("there is nothing to delete"),
        count => eprintln!("{}, {}: {verb}", counted(count, "object"), size(garbage.bytes)),
    }
    Ok(())
}
