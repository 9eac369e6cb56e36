//! `/tap/sync`: one query, answered in the response.
//!
//! The first chunk of the answer is awaited before the status is sent, so that a query that fails early gets a fitting
//! status, and a small answer has its length. The rest is computed as fast as the client reads, and not at all once it
//! has gone away.

use axum::{
    Form,
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use jobs::{
    JobError, QueryRequest,
    formats::{Encoded, Format},
};

use crate::{Doors, asker::Asker, parameters::SyncRequest, refusal::Refusal};

/// Tells that an answer was cut where its format cannot: a header of a small answer, a trailer of a large one.
const OVERFLOW: HeaderName = HeaderName::from_static("almagest-overflow");

type Pairs = Vec<(String, String)>;

pub(crate) async fn sync(
    State(doors): State<Doors>,
    Asker(jobs): Asker,
    request: Request,
) -> Result<Response, Refusal> {
    let asked = SyncRequest::from_pairs(pairs(request).await?)?;
    if let Some(run_id) = &asked.run_id {
        tracing::info!(?run_id, "the client's name for this run");
    }
    let max_rows = Some(doors.max_rec.allowed(asked.max_rec));
    let answer = jobs.run(QueryRequest { language: asked.language, text: asked.query, max_rows }).await?;
    Ok(response(Encoded::new(answer, asked.format)?, asked.format).await?)
}

/// The parameters in the URL, then those in the body.
async fn pairs(request: Request) -> Result<Pairs, Refusal> {
    let Query(mut pairs): Query<Pairs> = Query::try_from_uri(request.uri())?;
    if request.method() != Method::POST {
        return Ok(pairs);
    }
    let content_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => {
            let Form(more): Form<Pairs> = Form::from_request(request, &()).await?;
            pairs.extend(more);
        }
        "multipart/form-data" => {
            let mut parts = Multipart::from_request(request, &())
                .await
                .map_err(|error| Refusal::unreadable_body(error.status()))?;
            while let Some(part) = parts.next_field().await? {
                // A part with a file name is an upload's; without UPLOAD nobody asks for it.
                if let (Some(name), None) = (part.name().map(str::to_owned), part.file_name()) {
                    pairs.push((name, part.text().await?));
                }
            }
        }
        "" => {}
        other => {
            let sentence = format!(
                "A body of the type {other:?} is not read; send application/x-www-form-urlencoded or multipart/form-data."
            );
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
        }
    }
    Ok(pairs)
}

async fn response(mut answer: Encoded, format: Format) -> Result<Response, JobError> {
    let first = answer.next().await.transpose()?.unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.mime()));
    let body = if answer.is_finished() {
        if answer.overflow() {
            headers.extend(overflow());
        }
        Body::from(first)
    } else {
        headers.insert(header::TRAILER, OVERFLOW.into());
        Body::new(StreamBody::new(stream::iter([Ok(Frame::data(first))]).chain(rest(answer))))
    };
    Ok((headers, body).into_response())
}

/// The chunks that are left, then the overflow as a trailer. A failure breaks the transfer off.
fn rest(answer: Encoded) -> impl Stream<Item = Result<Frame<Bytes>, JobError>> {
    stream::unfold(Some(answer), |answer| async {
        let mut answer = answer?;
        match answer.next().await {
            Some(Ok(chunk)) => Some((Ok(Frame::data(chunk)), Some(answer))),
            Some(Err(error)) => Some((Err(error), None)),
            None => answer.overflow().then(|| (Ok(Frame::trailers(overflow())), None)),
        }
    })
}

fn overflow() -> HeaderMap {
    HeaderMap::from_iter([(OVERFLOW, HeaderValue::from_static("true"))])
}
