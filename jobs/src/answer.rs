//! The answer to a query: its columns at once, its rows as they are computed.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::Stream;
use tracing::Span;

use crate::{JobError, JobId};

/// The answer to a query that has begun.
pub struct Answer {
    /// The job that computes it.
    pub id: JobId,
    /// Its columns, with their VO metadata.
    pub schema: SchemaRef,
    /// Its rows. Dropping them ends the query.
    pub rows: AnswerRows,
    /// The text of the query, for formats that repeat it.
    pub query: String,
}

/// Where rows come from.
pub(crate) trait RowSource: Stream<Item = Result<RecordBatch, JobError>> + Send {
    /// True once it is known that there were more rows than were asked for.
    fn overflow(&self) -> bool;
}

/// The rows of an answer, in batches.
///
/// Whatever computes a batch logs within the job's span, and the end of the job is logged: with its rows, with its
/// error, or as abandoned where the reader went away first.
pub struct AnswerRows {
    source: Pin<Box<dyn RowSource>>,
    span: Span,
    begun: Instant,
    rows: u64,
    ended: bool,
}

impl AnswerRows {
    pub(crate) fn new(source: Pin<Box<dyn RowSource>>, span: Span, begun: Instant) -> Self {
        Self { source, span, begun, rows: 0, ended: false }
    }

    /// True once it is known that the answer was cut: that a row follows the last one allowed.
    pub fn overflow(&self) -> bool {
        self.source.overflow()
    }
}

impl Stream for AnswerRows {
    type Item = Result<RecordBatch, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let _in_job = this.span.enter();
        let batch = futures::ready!(this.source.as_mut().poll_next(cx));
        let milliseconds = this.begun.elapsed().as_millis() as u64;
        match &batch {
            Some(Ok(batch)) => this.rows += batch.num_rows() as u64,
            Some(Err(error)) => {
                this.ended = true;
                tracing::info!(rows = this.rows, milliseconds, %error, "failed");
            }
            None => {
                this.ended = true;
                tracing::info!(rows = this.rows, milliseconds, overflow = this.source.overflow(), "done");
            }
        }
        Poll::Ready(batch)
    }
}

impl Drop for AnswerRows {
    fn drop(&mut self) {
        if !self.ended {
            let milliseconds = self.begun.elapsed().as_millis() as u64;
            self.span.in_scope(|| tracing::info!(rows = self.rows, milliseconds, "abandoned"));
        }
    }
}

/// No rows, of more that were not asked for: the answer to MAXREC=0.
pub(crate) struct ColumnsOnly;

impl Stream for ColumnsOnly {
    type Item = Result<RecordBatch, JobError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

impl RowSource for ColumnsOnly {
    fn overflow(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    /// Fails when it is asked within a span, and breaks the test when it is asked without one.
    struct Watching;

    impl Stream for Watching {
        type Item = Result<RecordBatch, JobError>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            assert!(Span::current().id().is_some());
            Poll::Ready(Some(Err(JobError::TooLarge)))
        }
    }

    impl RowSource for Watching {
        fn overflow(&self) -> bool {
            false
        }
    }

    #[test]
    fn each_batch_is_computed_within_the_span_of_its_job_and_none_after_a_failure() {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let span = tracing::info_span!("job");
            assert!(span.id().is_some());
            let mut rows = AnswerRows::new(Box::pin(Watching), span, Instant::now());
            assert!(rows.next().now_or_never().unwrap().unwrap().is_err());
            assert!(rows.next().now_or_never().unwrap().is_none());
            assert_eq!(Span::current().id(), None);
        });
    }
}
