//! The rows of a query on their way out, cut at the number that was asked for.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    execution::SendableRecordBatchStream,
};
use futures::{Stream, StreamExt};

use crate::EngineError;

/// A stream of batches that ends after the allowed number of rows and then tells whether there was more.
///
/// Dropping it stops the query.
pub struct Rows {
    schema: SchemaRef,
    batches: Option<SendableRecordBatchStream>,
    left: Option<u64>,
    overflow: bool,
}

impl Rows {
    pub(crate) fn new(batches: SendableRecordBatchStream, max_rows: Option<u64>) -> Self {
        Self { schema: batches.schema(), batches: Some(batches), left: max_rows, overflow: false }
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
                self.batches = None;
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
        let Some(batches) = &mut self.batches else { return Poll::Ready(None) };
        match batches.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(batch))) => Poll::Ready(self.cut(batch).map(Ok)),
            Poll::Ready(Some(Err(error))) => {
                self.batches = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.batches = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::array::{ArrayRef, Int64Array},
        physical_plan::stream::RecordBatchStreamAdapter,
    };

    use super::*;

    async fn cut(batches: &[i64], max_rows: Option<u64>) -> (usize, bool) {
        let batch = |rows: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            RecordBatch::try_from_iter([("a", column)]).unwrap()
        };
        let all: Vec<_> = batches.iter().map(|rows| Ok(batch(*rows))).collect();
        let stream = RecordBatchStreamAdapter::new(batch(0).schema(), futures::stream::iter(all));
        let mut rows = Rows::new(Box::pin(stream), max_rows);
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
}
