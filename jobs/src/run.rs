//! A query run for somebody: planned against the tables of this moment, answered as a stream.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use catalogs::{CatalogStore, Remote, TableName};
use engine::{Engine, EngineError, Estimate, Language, Progress, Query, QueryLimits, Rows};
use futures::{Stream, StreamExt};
use metadata::{Caller, Metadata};
use tracing::Instrument;

use crate::{
    Answer, JobError, JobId, ServedTable,
    answer::{AnswerRows, ColumnsOnly, RowSource},
    reading,
    served::{Shelf, Tables},
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

/// Runs queries over the tables that are served, for somebody. Cheap to clone: engine and tables are shared.
#[derive(Clone)]
pub struct Jobs {
    engine: Arc<Engine>,
    pub(crate) tables: Arc<Tables>,
    default_schema: Option<String>,
    limits: QueryLimits,
    caller: Caller,
}

impl Jobs {
    /// Runs queries of `engine` over the tables that `metadata` lists and `store` holds; `remote` is how those are reached
    /// that lie with somebody else. `reader` tells this process from all others that read the same store.
    pub fn new(engine: Engine, metadata: Metadata, store: CatalogStore, remote: Remote, reader: String) -> Self {
        Self::of(engine, Tables::Published(Arc::new(Shelf::new(metadata, store, remote, reader))))
    }

    /// Runs queries of `engine` over these tables and no others, whatever is published.
    pub fn over(engine: Engine, tables: Vec<ServedTable>) -> Result<Self, JobError> {
        Ok(Self::of(engine, Tables::given(tables)?))
    }

    fn of(engine: Engine, tables: Tables) -> Self {
        let (engine, tables, limits) = (Arc::new(engine), Arc::new(tables), QueryLimits::default());
        Self { engine, tables, default_schema: None, limits, caller: Caller::Anonymous }
    }

    /// The same for somebody else, who sees other tables. Without this it is somebody who did not sign in.
    pub fn asked_by(&self, caller: Caller) -> Self {
        Self { caller, ..self.clone() }
    }

    /// Opens what is published as soon as it is, whether anybody asks or not; for servers.
    pub fn keep_up(&self) {
        if let Tables::Published(shelf) = &*self.tables {
            shelf.keep_up();
        }
    }

    /// Finds tables of this schema also by names without a schema.
    pub fn with_default_schema(mut self, schema: Option<String>) -> Self {
        self.default_schema = schema;
        self
    }

    /// Holds every query to these limits; the number of rows is each request's own.
    pub fn with_limits(mut self, limits: QueryLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether a query could be run now.
    pub async fn ready(&self) -> Result<(), JobError> {
        self.tables.ready().await
    }

    /// The tables that are served now, by name.
    pub async fn tables(&self) -> Result<Arc<[ServedTable]>, JobError> {
        Ok(self.tables.served(&self.caller).await?.tables)
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
        Ok(self.plan(language, text, None).await?.0.schema())
    }

    /// How a query would be answered, in words.
    pub async fn explain(&self, language: Language, text: &str) -> Result<String, JobError> {
        Ok(self.plan(language, text, None).await?.0.explain().await?)
    }

    /// What a query will read and give, told without reading rows.
    pub async fn estimate(&self, language: Language, text: &str) -> Result<Estimate, JobError> {
        Ok(self.plan(language, text, None).await?.0.estimate().await?)
    }

    async fn begin(&self, id: JobId, request: QueryRequest, begun: Instant) -> Result<Answer, JobError> {
        let (query, held) = self.plan(request.language, &request.text, request.max_rows).await?;
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
    async fn plan(&self, language: Language, text: &str, max_rows: Option<u64>) -> Result<(Query, Held), JobError> {
        let served = self.tables.served(&self.caller).await?;
        let mut set = served.set.with_default_schema(self.default_schema.as_deref());
        let opened = self.tables.versions(&engine::versions_named(language, text, &set), &self.caller).await?;
        for (name, number, snapshot) in opened.versions {
            set = set.with_version(name, number, snapshot);
        }
        let limits = QueryLimits { max_rows, ..self.limits };
        match self.engine.plan(&set, language, text, limits).await {
            // A table that cannot be opened is not an unknown one.
            Err(EngineError::UnknownTable { name, mistake }) => {
                let missing = name.parse::<TableName>().ok();
                let broken = served.broken.iter().find(|broken| Some(&broken.name) == missing.as_ref());
                Err(broken.map_or(JobError::Mistake(mistake), |broken| JobError::Unavailable(broken.fault)))
            }
            planned => Ok((planned?, [served.held, opened.held])),
        }
    }
}

/// What keeps the files of served tables, and of older versions that a query names.
type Held = [Option<Arc<reading::Held>>; 2];

/// The rows of the engine.
struct Running {
    rows: Rows,
    _held: Held,
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

    fn progress(&self) -> Option<Progress> {
        Some(self.rows.progress())
    }
}
