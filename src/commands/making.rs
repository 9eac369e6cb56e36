//! Making a version of a table: one process at a time, and what a dead one began can be gone on with.
//!
//! ```text
//!   begin ──▶ Maker ──publish──▶ served
//!               ├──give_up──▶ nothing is left
//!               └──(killed, or leave)──▶ abandoned: begun again with `Begin::Resume`, or cleared away
//! ```

use std::time::Duration;

use arrow::datatypes::FieldRef;
use catalogs::{CatalogSnapshot, CatalogStore, ColumnMeta, TableName, import};
use metadata::{Claim, Column, Making, Metadata, MetadataError, Other, Publication, STALE};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, process, words::moment};

/// What to do about a version that was begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Refuse, where there is anything to go on with.
    Anew,
    /// Go on with it; begin anew where there is none.
    Resume,
    /// Clear it away.
    Restart,
}

/// The right to make a version, renewed for as long as this lives.
pub(super) struct Maker {
    store: CatalogStore,
    metadata: Metadata,
    claim: Claim,
    renewing: JoinHandle<()>,
    lost: CancellationToken,
    resumes: bool,
}

impl Maker {
    /// Begins a version of a table.
    pub(super) async fn begin(
        store: &CatalogStore,
        metadata: &Metadata,
        name: &TableName,
        begin: Begin,
    ) -> Result<Self, Failure> {
        let holder = process::name();
        let root = store.new_root(name);
        let (claim, resumes) = match metadata.claim(name, &root, &holder, process::life).await? {
            Making::Mine(claim) => (claim, false),
            Making::Busy(other) => return Err(busy(name, &other)),
            Making::Abandoned(other) => {
                let unfinished = import::unfinished(store, &other.root).await?;
                match begin {
                    Begin::Anew if unfinished.is_some() => return Err(unfinished_refusal(name, &other)),
                    Begin::Resume if unfinished.is_some() => (metadata.take_over(name, &other, &holder).await?, true),
                    _ => {
                        let dead = metadata.take_over(name, &other, &holder).await?;
                        store.delete_folder(dead.root()).await?;
                        dead.abandon().await?;
                        match metadata.claim(name, &root, &holder, process::life).await? {
                            Making::Mine(claim) => (claim, false),
                            Making::Busy(other) | Making::Abandoned(other) => return Err(busy(name, &other)),
                        }
                    }
                }
            }
        };
        let lost = CancellationToken::new();
        let renewing = tokio::spawn(renew(claim.clone(), lost.clone()));
        Ok(Self { store: store.clone(), metadata: metadata.clone(), claim, renewing, lost, resumes })
    }

    /// The folder that the version is made in.
    pub(super) fn root(&self) -> &str {
        self.claim.root()
    }

    /// Whether somebody else had begun it.
    pub(super) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Resolves when the right is lost to somebody else, who took this process for dead.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Publishes what was made over the version that was seen. Returns its number.
    pub(super) async fn publish(self, publication: &Publication, seen: Option<u32>) -> Result<u32, Failure> {
        match self.metadata.publish(publication, seen, Some(&self.claim)).await {
            Ok(version) => Ok(version),
            Err(MetadataError::TakenOver { name }) => Err(MetadataError::TakenOver { name }.into()),
            Err(error) => {
                // Only where it is known that nothing refers to the files: a commit that seems to fail may have happened.
                if error.changed_nothing() {
                    self.give_up().await;
                }
                Err(error.into())
            }
        }
    }

    /// Removes what was made and gives the right back. Where somebody else took over, the folder is theirs and stays.
    pub(super) async fn give_up(self) {
        if let Err(error) = self.claim.renew().await {
            tracing::warn!("what was written to {} is left: {error}", self.claim.root());
            return;
        }
        if let Err(error) = self.store.delete_folder(self.claim.root()).await {
            tracing::warn!("what was written to {} could not be removed: {error}", self.claim.root());
            return; // the claim stays and tells the next one what to clear away
        }
        if let Err(error) = self.claim.clone().abandon().await {
            tracing::warn!("{error}");
        }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// What a catalogue says of its columns.
pub(super) fn columns_of(snapshot: &CatalogSnapshot) -> Vec<Column> {
    let of = |field: &FieldRef| {
        let meta = ColumnMeta::of(field);
        let text = |text: Option<&str>| text.map(str::to_owned);
        Column {
            name: field.name().clone(),
            type_name: field.data_type().to_string(),
            arraysize: text(meta.arraysize),
            xtype: text(meta.xtype),
            unit: text(meta.unit),
            ucd: text(meta.ucd),
            utype: text(meta.utype),
            description: text(meta.description),
            is_principal: false,
        }
    };
    snapshot.schema().fields().iter().map(of).collect()
}

async fn renew(claim: Claim, lost: CancellationToken) {
    loop {
        tokio::time::sleep(STALE / 6).await;
        match claim.renew().await {
            Ok(()) => {}
            Err(MetadataError::TakenOver { .. }) => return lost.cancel(),
            // The database may be back before anybody takes this for dead.
            Err(error) => {
                tracing::warn!("{error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn busy(name: &TableName, other: &Other) -> Failure {
    Failure::Refused(format!(
        "{name} is being made by {} since {}; wait for its end, or stop it",
        process::described(&other.holder),
        moment(other.began_at)
    ))
}

fn unfinished_refusal(name: &TableName, other: &Other) -> Failure {
    Failure::Refused(format!(
        "an import of {name} that was begun at {} did not end; --resume goes on with it, --restart clears it away",
        moment(other.began_at)
    ))
}

#[cfg(test)]
mod tests {
    use catalogs::StoreOptions;
    use metadata::Life;

    use super::*;

    #[tokio::test]
    async fn who_was_taken_for_dead_deletes_nothing_of_the_heir() {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().to_str().unwrap();
        let store = CatalogStore::open(&StoreOptions { url: url.into(), ..StoreOptions::default() }).unwrap();
        let metadata = Metadata::open(&format!("sqlite:{url}/almagest.db")).await.unwrap();
        let name: TableName = "demo.stars".parse().unwrap();
        let stopped = Maker::begin(&store, &metadata, &name, Begin::Anew).await.unwrap();
        let leaf = format!("{}/leaf", stopped.root());
        store.put(&leaf, b"rows".to_vec()).await.unwrap();

        let making = metadata.claim(&name, "another", "heir", |_| Life::Dead).await.unwrap();
        let Making::Abandoned(other) = making else { panic!("{making:?}") };
        let heir = metadata.take_over(&name, &other, "heir").await.unwrap();
        stopped.give_up().await;
        assert!(store.exists(&leaf).await.unwrap());
        heir.renew().await.unwrap();
    }
}
