//! The answer to a query: its columns at once, its rows as they are computed.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use engine::Progress;
use futures::{Stream, stream::BoxStream};
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

impl Answer {
    /// An answer that somebody else computes, cut after `max_rows`.
    pub fn of_others(
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch, JobError>> + Send + 'static,
        query: String,
        max_rows: Option<u64>,
    ) -> Self {
        let source = Others { batches: Some(Box::pin(batches)), left: max_rows, overflow: false };
        let rows = AnswerRows::new(Box::pin(source), Span::none(), Instant::now());
        Self { id: JobId::random(), schema, rows, query }
    }
}

/// Where rows come from.
pub(crate) trait RowSource: Stream<Item = Result<RecordBatch, JobError>> + Send {
    /// True once it is known that there were more rows than were asked for.
    fn overflow(&self) -> bool;

    /// How far the query has come, where that is known.
    fn progress(&self) -> Option<Progress> {
        None
    }
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

    /// How far the query has come; of one that somebody else computes, nothing is known.
    pub fn progress(&self) -> Option<Progress> {
        self.source.progress()
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

/// The rows of somebody else, who knows no limit of rows.
struct Others {
    batches: Option<BoxStream<'static, Result<RecordBatch, JobError>>>,
    left: Option<u64>,
    overflow: bool,
}

impl Stream for Others {
    type Item = Result<RecordBatch, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(batches) = &mut self.batches else { return Poll::Ready(None) };
        let batch = futures::ready!(batches.as_mut().poll_next(cx)).transpose()?;
        let (Some(batch), Some(left)) = (&batch, self.left) else { return Poll::Ready(batch.map(Ok)) };
        let rows = batch.num_rows() as u64;
        self.left = Some(left.saturating_sub(rows));
        if rows <= left {
            return Poll::Ready(Some(Ok(batch.clone())));
        }
        (self.batches, self.overflow) = (None, true); // which ends the query there
        Poll::Ready((left > 0).then(|| Ok(batch.slice(0, left as usize))))
    }
}

impl RowSource for Others {
    fn overflow(&self) -> bool {
        self.overflow
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
    fn the_rows_of_others_are_cut_and_an_overflow_is_told_only_if_there_are_more() {
        let column: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Int32Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        for (max_rows, rows, overflow) in
            [(None, 6, false), (Some(6), 6, false), (Some(5), 5, true), (Some(3), 3, true), (Some(0), 0, true)]
        {
            let batches = futures::stream::iter([Ok(batch.clone()), Ok(batch.clone())]);
            let mut answer = Answer::of_others(batch.schema(), batches, String::new(), max_rows);
            let all: Vec<_> = answer.rows.by_ref().collect::<Vec<_>>().now_or_never().unwrap();
            let count: usize = all.into_iter().map(|batch| batch.unwrap().num_rows()).sum();
            assert_eq!((count, answer.rows.overflow()), (rows, overflow), "{max_rows:?}");
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
