//! A query run for somebody: planned against the tables of this moment, answered as a stream.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use catalogs::{CatalogStore, Remote, TableName};
use engine::{Engine, Language, Mistake, Query, QueryLimits, Rows};
use futures::{Stream, StreamExt};
use metadata::Metadata;
use tracing::Instrument;

use crate::{
    Answer, JobError, JobId, ServedTable,
    answer::{AnswerRows, ColumnsOnly, RowSource},
    reading::Held,
    served::Shelf,
};

/// A query that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryRequest {
    /// The language of the text.
    pub language: Language,
    /// The query.
    pub text: String,
    /// How many rows the answer may have, if there is a limit. None of them: the columns only.
    pub max_rows: Option<u64>,
}

/// Runs queries over the tables that are served.
pub struct Jobs {
    engine: Engine,
    shelf: Shelf,
}

impl Jobs {
    /// Runs queries of `engine` over the tables that `metadata` lists and `store` holds; `remote` is how those are reached
    /// that lie with somebody else. `reader` tells this process from all others that read the same store.
    pub fn new(engine: Engine, metadata: Metadata, store: CatalogStore, remote: Remote, reader: String) -> Self {
        Self { engine, shelf: Shelf::new(metadata, store, remote, reader) }
    }

    /// Whether a query could be run now.
    pub async fn ready(&self) -> Result<(), JobError> {
        self.shelf.generation().await.map(drop)
    }

    /// The tables that are served now, by name.
    pub async fn tables(&self) -> Result<Arc<[ServedTable]>, JobError> {
        Ok(self.shelf.served().await?.tables)
    }

    /// Plans a query and begins to answer it. The rows are computed as they are read.
    pub async fn run(&self, request: QueryRequest) -> Result<Answer, JobError> {
        let id = JobId::random();
        let span = tracing::info_span!("job", %id);
        let begun = Instant::now();
        async {
            tracing::info!(language = ?request.language, max_rows = request.max_rows, query = request.text, "accepted");
            let answer = self.begin(id, request, begun).await;
            if let Err(error) = &answer {
                tracing::info!(%error, "refused");
            }
            answer
        }
        .instrument(span)
        .await
    }

    /// The columns that a query will answer with. It is planned and not run.
    pub async fn columns(&self, language: Language, text: &str) -> Result<SchemaRef, JobError> {
        Ok(self.plan(language, text, QueryLimits::default()).await?.0.schema())
    }

    async fn begin(&self, id: JobId, request: QueryRequest, begun: Instant) -> Result<Answer, JobError> {
        let limits = QueryLimits { max_rows: request.max_rows };
        let (query, held) = self.plan(request.language, &request.text, limits).await?;
        let schema = query.schema();
        let source: Pin<Box<dyn RowSource>> = if request.max_rows == Some(0) {
            Box::pin(ColumnsOnly)
        } else {
            Box::pin(Running { rows: query.run()?, _held: held })
        };
        let rows = AnswerRows::new(source, tracing::Span::current(), begun);
        Ok(Answer { id, schema, rows, query: request.text })
    }

    /// A query, and what keeps the files that it will read.
    async fn plan(&self, language: Language, text: &str, limits: QueryLimits) -> Result<(Query, Arc<Held>), JobError> {
        let served = self.shelf.served().await?;
        match self.engine.plan(&served.set, language, text, limits).await.map_err(JobError::from) {
            // A table that cannot be opened is not an unknown one.
            Err(JobError::Mistake(mistake)) => {
                let missing = missing_table(&mistake);
                let broken = served.broken.iter().find(|broken| Some(&broken.name) == missing.as_ref());
                Err(broken.map_or(JobError::Mistake(mistake), |broken| JobError::Unavailable(broken.fault)))
            }
            planned => Ok((planned?, served.held)),
        }
    }
}

/// The table that a query names and the engine does not know: the word after "no table" in the engine's sentence.
fn missing_table(mistake: &Mistake) -> Option<TableName> {
    let (_, written) = mistake.message.split_once("no table ")?;
    written.split_whitespace().next()?.trim_end_matches(['.', ';', ',', ':']).parse().ok()
}

/// The rows of the engine.
struct Running {
    rows: Rows,
    _held: Arc<Held>,
}

impl Stream for Running {
    type Item = Result<RecordBatch, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_next_unpin(cx).map_err(JobError::from)
    }
}

impl RowSource for Running {
    fn overflow(&self) -> bool {
        self.rows.overflow()
    }
}
