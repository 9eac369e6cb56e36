//! Reading a table for a while: `catalog gc` deletes nothing meanwhile.

use metadata::{Metadata, MetadataError, Reader, STALE};
use tokio::task::JoinHandle;

use crate::process;

/// Before all that was ever served: versions that are served no more are read, too.
const ALL: i64 = 0;

/// For as long as this lives, no version is collected.
pub(super) struct Reading {
    reader: Reader,
    renewing: JoinHandle<()>,
}

impl Reading {
    /// Begins, from before this call returns.
    pub(super) async fn begin(metadata: &Metadata) -> Result<Self, MetadataError> {
        let reader = metadata.reader(&process::name(), ALL).await?;
        let renewing = tokio::spawn(renew(reader.clone()));
        Ok(Self { reader, renewing })
    }

    /// Ends. A reader that fails to say so, or is killed, is forgotten in a while.
    pub(super) async fn end(self) {
        self.renewing.abort();
        if let Err(error) = self.reader.clone().leave().await {
            tracing::warn!("{error}");
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn renew(reader: Reader) {
    loop {
        tokio::time::sleep(STALE / 6).await;
        if let Err(error) = reader.at(ALL).await {
            tracing::warn!("{error}");
        }
    }
}
