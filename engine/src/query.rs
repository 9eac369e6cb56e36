//! A planned query, and the task that runs it.
//!
//! ```text
//!   caller's runtime            the engine's threads
//!   Rows ◀── two batches ────── drive ── pulls ── plan
//!     └── dropped: the watch stops, the task is aborted, and with it all that the plan spawned
//! ```
//! The channel is all that runs ahead of the reader. When a query has ended, however it did, the plan is dropped before the
//! reader hears of it.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc};

use datafusion::{
    arrow::{
        array::{RecordBatch, RecordBatchOptions},
        datatypes::SchemaRef,
    },
    error::DataFusionError,
    physical_plan::{displayable, execute_stream},
};
use futures::{
    FutureExt, StreamExt,
    future::{Either, select},
};
use tokio::sync::mpsc;

use crate::{
    EngineError, Estimate, Rows,
    limits::watch::{End, Watch},
    planning::Planned,
    progress::Tally,
    rows::{Message, Running},
    session::Means,
};

/// How many batches wait for the reader.
const AHEAD: usize = 2;

/// A planned query. Nothing has been read yet.
#[derive(Debug)]
pub struct Query {
    planned: Arc<Planned>,
    watch: Arc<Watch>,
    means: Arc<Means>,
    max_rows: Option<u64>,
}

impl Query {
    pub(crate) fn new(planned: Planned, watch: Arc<Watch>, means: Arc<Means>, max_rows: Option<u64>) -> Self {
        Self { planned: Arc::new(planned), watch, means, max_rows }
    }

    /// The columns of the answer.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.planned.schema)
    }

    /// The physical plan in DataFusion's words, for those who work on the engine.
    pub fn plan_text(&self) -> String {
        displayable(&*self.planned.physical).indent(true).to_string()
    }

    /// What the query will read and give. No rows are read for it, only the footers of files.
    pub async fn estimate(&self) -> Result<Estimate, EngineError> {
        let (planned, max_rows) = (Arc::clone(&self.planned), self.max_rows);
        self.means.compute(&self.watch, async move { planned.estimate(max_rows).await }).await
    }

    /// What the query will read, why no less, and what is done with it: in plain words, a fact a line.
    pub async fn explain(&self) -> Result<String, EngineError> {
        let (planned, max_rows) = (Arc::clone(&self.planned), self.max_rows);
        let lines = self.means.compute(&self.watch, async move { planned.explain(max_rows).await }).await?;
        Ok(lines.join("\n"))
    }

    /// Starts the query. It runs as fast as the rows are taken.
    pub fn run(self) -> Result<Rows, EngineError> {
        let Self { planned, watch, means, max_rows } = self;
        let schema = SchemaRef::clone(&planned.schema);
        let (sender, messages) = mpsc::channel(AHEAD);
        let tally = Tally::of(&planned.physical, Arc::clone(&watch));
        let ended = watch.ended(means.cpu());
        let task = means.cpu().spawn(drive(planned, Arc::clone(&watch), tally.clone(), ended, sender));
        Ok(Rows::new(schema, Running::new(messages, watch, task, means, tally), max_rows))
    }
}

/// Runs a plan until it or its time is over, and tells how it ended.
async fn drive(
    planned: Arc<Planned>,
    watch: Arc<Watch>,
    tally: Tally,
    ended: impl Future<Output = End>,
    sender: mpsc::Sender<Message>,
) {
    let produced = AssertUnwindSafe(produce(planned, &watch, tally, &sender)).catch_unwind();
    let outcome = match select(Box::pin(ended), Box::pin(produced)).await {
        Either::Left((end, produced)) => {
            drop(produced);
            Err(end.into())
        }
        Either::Right((Ok(outcome), _)) => outcome,
        Either::Right((Err(panic), _)) => Err(panicked(&*panic)),
    };
    let _ = sender.send(Message::End(outcome)).await; // a reader that went away needs no end
}

async fn produce(
    planned: Arc<Planned>,
    watch: &Watch,
    tally: Tally,
    sender: &mpsc::Sender<Message>,
) -> Result<(), EngineError> {
    let context = planned.context();
    let schema = SchemaRef::clone(&planned.schema);
    let running = tally.until_dropped(Arc::clone(&planned.physical));
    drop(planned);
    let mut batches = execute_stream(running.plan(), context)?;
    while let Some(batch) = batches.next().await {
        let batch = batch.and_then(|batch| told(batch, &schema));
        let batch = batch.map_err(|error| watch.explain(error.into()))?;
        if sender.send(Message::Rows(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The rows under the names, and with all that is known of their columns, that the answer has.
fn told(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let (_, columns, rows) = batch.into_parts();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)?)
}

/// A panic ends the query in which it happened, and no other.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> EngineError {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    EngineError::Fault(DataFusionError::Internal(format!("panic: {}", words.unwrap_or("of no words"))))
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::DataType,
        execution::FunctionRegistry,
        logical_expr::{ColumnarValue, Volatility, create_udf},
    };

    use super::*;
    use crate::{EngineOptions, QueryLimits, TableSet, planning};

    async fn asked(means: &Arc<Means>, text: &str) -> Result<Query, EngineError> {
        let watch = Watch::begin(&QueryLimits::default());
        let tables = TableSet::new([]).unwrap();
        let mut session = means.session(&tables, Arc::clone(&watch), None);
        let body = |_: &[ColumnarValue]| -> datafusion::error::Result<ColumnarValue> { panic!("out of range") };
        let breaks = create_udf("breaks", vec![DataType::Int64], DataType::Int64, Volatility::Volatile, Arc::new(body));
        session.register_udf(Arc::new(breaks)).unwrap();
        let statement = session.sql_to_statement(text, &session.config_options().sql_parser.dialect).unwrap();
        let planned = planning::plan(session, tables, statement.into(), None).await?;
        Ok(Query::new(planned, watch, Arc::clone(means), None))
    }

    #[tokio::test]
    async fn a_panic_ends_its_query_and_no_other() {
        let means = Arc::new(Means::new(&EngineOptions { threads: 1, ..EngineOptions::default() }).unwrap());
        for text in ["SELECT breaks(1)", "SELECT SUM(breaks(column1)) FROM (VALUES (1), (2)) GROUP BY column1 % 2"] {
            let mut rows = asked(&means, text).await.unwrap().run().unwrap();
            let error = rows.next().await.unwrap().unwrap_err();
            assert!(matches!(&error, EngineError::Fault(_)) && error.to_string().contains("out of range"), "{error}");
            assert!(rows.next().await.is_none());
        }
        let watch = Watch::begin(&QueryLimits::default());
        let planning = means.compute::<()>(&watch, async { panic!("in a rule") }).await.unwrap_err();
        assert!(planning.to_string().contains("in a rule"), "{planning}");
        let mut rows = asked(&means, "SELECT 1").await.unwrap().run().unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), 1);
    }
}
