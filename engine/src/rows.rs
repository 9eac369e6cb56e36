//! The rows of a query on their way out, cut at the number that was asked for.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use datafusion::arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_util::{sync::WaitForCancellationFutureOwned, task::AbortOnDropHandle};

use crate::{
    EngineError,
    limits::watch::{End, Watch},
    progress::{Progress, Tally},
    session::Means,
};

/// What the task of a query says to its reader.
pub(crate) enum Message {
    Rows(RecordBatch),
    /// Nothing follows. A channel that closes without having said so is a query that broke off.
    End(Result<(), EngineError>),
}

/// A query that is run, held by whoever reads it.
pub(crate) struct Running {
    messages: mpsc::Receiver<Message>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    watch: Arc<Watch>,
    _task: AbortOnDropHandle<()>,
    _means: Arc<Means>,
    tally: Tally,
}

impl Running {
    pub(crate) fn new(
        messages: mpsc::Receiver<Message>,
        watch: Arc<Watch>,
        task: AbortOnDropHandle<()>,
        means: Arc<Means>,
        tally: Tally,
    ) -> Self {
        Self { messages, stopped: Box::pin(watch.stopped()), watch, _task: task, _means: means, tally }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>, EngineError>> {
        // Told at once, though the task may be in the middle of something.
        if self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(self.watch.end().unwrap_or(End::Cancelled).into()));
        }
        Poll::Ready(match std::task::ready!(self.messages.poll_recv(context)) {
            Some(Message::Rows(batch)) => Ok(Some(batch)),
            Some(Message::End(end)) => end.map(|()| None),
            None => Err(EngineError::Cancelled),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watch.stop(End::Cancelled);
    }
}

/// A hand on a query that somebody else reads. Cheap to clone; holds nothing of the query.
#[derive(Clone, Debug)]
pub struct Control {
    watch: Arc<Watch>,
    tally: Tally,
}

impl Control {
    /// Ends the query: its reader is told [`EngineError::Cancelled`]. Of a query that has ended, nothing.
    pub fn cancel(&self) {
        self.watch.stop(End::Cancelled);
    }

    /// How far the query has come.
    pub fn progress(&self) -> Progress {
        self.tally.progress()
    }
}

/// A stream of batches that ends after the allowed number of rows and then tells whether there was more.
///
/// It may be read on any runtime. Dropping it stops the query.
pub struct Rows {
    schema: SchemaRef,
    running: Option<Running>,
    control: Control,
    left: Option<u64>,
    overflow: bool,
}

impl Rows {
    pub(crate) fn new(schema: SchemaRef, running: Running, max_rows: Option<u64>) -> Self {
        let control = Control { watch: Arc::clone(&running.watch), tally: running.tally.clone() };
        Self { schema, running: Some(running), control, left: max_rows, overflow: false }
    }

    /// To cancel the query, or see how far it has come, from elsewhere.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// How far the query has come.
    pub fn progress(&self) -> Progress {
        self.control.progress()
    }

    /// The columns, the same before the first row and for an empty answer.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Whether rows were withheld. Certain once the stream has ended.
    pub fn overflow(&self) -> bool {
        self.overflow
    }

    /// Keeps what fits of a batch; `None` if nothing does.
    fn cut(&mut self, batch: RecordBatch) -> Option<RecordBatch> {
        let rows = batch.num_rows() as u64;
        match &mut self.left {
            Some(left) if rows > *left => {
                let fitting = std::mem::take(left) as usize;
                self.overflow = true;
                self.running = None;
                (fitting > 0).then(|| batch.slice(0, fitting))
            }
            Some(left) => {
                *left -= rows;
                Some(batch)
            }
            None => Some(batch),
        }
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(running) = &mut self.running else { return Poll::Ready(None) };
        match std::task::ready!(running.poll(context)) {
            Ok(Some(batch)) => Poll::Ready(self.cut(batch).map(Ok)),
            Ok(None) => {
                self.running = None;
                Poll::Ready(None)
            }
            Err(error) => {
                self.running = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::array::{ArrayRef, Int64Array},
        physical_plan::{ExecutionPlan, empty::EmptyExec},
    };
    use futures::StreamExt;

    use super::*;
    use crate::{EngineOptions, QueryLimits};

    fn running(messages: mpsc::Receiver<Message>) -> (SchemaRef, Running) {
        let means = Arc::new(Means::new(&EngineOptions::default()).unwrap());
        let watch = Watch::begin(&QueryLimits::default());
        let plan: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::new(arrow::datatypes::Schema::empty())));
        let tally = Tally::of(&plan, Arc::clone(&watch));
        (plan.schema(), Running::new(messages, watch, means.cpu().spawn(async {}), Arc::clone(&means), tally))
    }

    async fn cut(batches: &[i64], max_rows: Option<u64>) -> (usize, bool) {
        let batch = |rows: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            RecordBatch::try_from_iter([("a", column)]).unwrap()
        };
        let (sender, messages) = mpsc::channel(10);
        for rows in batches {
            sender.send(Message::Rows(batch(*rows))).await.ok().unwrap();
        }
        sender.send(Message::End(Ok(()))).await.ok().unwrap();
        let (schema, running) = running(messages);
        let mut rows = Rows::new(schema, running, max_rows);
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            count += batch.unwrap().num_rows();
        }
        (count, rows.overflow())
    }

    #[tokio::test]
    async fn an_answer_is_cut_at_the_limit_and_says_so_only_if_there_was_more() {
        assert_eq!(cut(&[5, 5], None).await, (10, false));
        assert_eq!(cut(&[5, 5], Some(10)).await, (10, false));
        assert_eq!(cut(&[5, 5], Some(9)).await, (9, true));
        assert_eq!(cut(&[5, 5], Some(5)).await, (5, true));
        assert_eq!(cut(&[5, 5], Some(0)).await, (0, true));
        assert_eq!(cut(&[], Some(0)).await, (0, false));
    }

    #[tokio::test]
    async fn a_query_that_breaks_off_is_not_taken_for_one_that_ended() {
        let (sender, messages) = mpsc::channel(1);
        drop(sender);
        let (schema, running) = running(messages);
        let mut rows = Rows::new(schema, running, None);
        assert!(matches!(rows.next().await, Some(Err(EngineError::Cancelled))));
        assert!(rows.next().await.is_none());
    }
}
