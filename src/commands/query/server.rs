//! A query answered by a server, over Arrow Flight SQL.
//!
//! Flight and not TAP, since the rows come in their types, as they are computed, and are written here in any format; there
//! is one door to speak to. The door for bulk has no limit of rows: the answer is cut here, which ends the query there.

use std::time::Duration;

use arrow::{array::AsArray, datatypes::SchemaRef};
use arrow_flight::{
    FlightDescriptor, Ticket,
    decode::FlightRecordBatchStream,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    sql::{CommandStatementQuery, ProstMessageExt},
};
use futures::{StreamExt, TryStreamExt};
use jobs::{Answer, JobError, Language, QueryRequest};
use prost::Message;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use url::Url;

use crate::failure::Failure;

/// How long a server may take to answer the knock.
const KNOCK: Duration = Duration::from_secs(10);

/// Asks a server.
pub(super) async fn answer(address: &Url, request: QueryRequest) -> Result<Answer, Failure> {
    let QueryRequest { language, text, max_rows } = request;
    let mut client = connect(address).await?;
    let command = CommandStatementQuery { query: text.clone(), transaction_id: None }.as_any().encode_to_vec();
    let mut asked = Request::new(FlightDescriptor::new_cmd(command));
    let name = match language {
        Language::Adql => "adql",
        Language::Sql => "sql",
    };
    asked.metadata_mut().insert("x-query-language", MetadataValue::from_static(name));
    let info = client.get_flight_info(asked).await.map_err(|status| said(address, &status))?.into_inner();
    let tickets: Vec<Ticket> = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.clone()).collect();
    let schema = info.try_decode_schema().map_err(|error| unreadable(address, &error))?;
    let schema = SchemaRef::new(schema);
    let place = address.clone();
    // One endpoint after the other: the rows of several come in the order of the endpoints.
    let batches = futures::stream::iter(tickets)
        .then(move |ticket| {
            let (mut client, place) = (client.clone(), place.clone());
            async move {
                let answered = client.do_get(ticket).await.map_err(|status| said(&place, &status))?;
                let messages = answered.into_inner().map_err(|status| FlightError::Tonic(Box::new(status)));
                let batches = FlightRecordBatchStream::new_from_flight_data(messages);
                Ok::<_, JobError>(batches.map_err(move |error| match error {
                    FlightError::Tonic(status) => said(&place, &status),
                    error => unreadable(&place, &error),
                }))
            }
        })
        .try_flatten();
    Ok(Answer::of_others(schema, batches, text, max_rows))
}

/// What a server says of how it would answer.
pub(super) async fn explained(address: &Url, request: &QueryRequest) -> Result<String, Failure> {
    let text = format!("EXPLAIN {}", request.text);
    let answer = answer(address, QueryRequest { text, max_rows: None, ..request.clone() }).await?;
    let mut lines = Vec::new();
    let mut rows = answer.rows;
    while let Some(batch) = rows.try_next().await? {
        let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8);
        let column = column.map_err(|error| unreadable(address, &error))?;
        lines.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(lines.join("\n"))
}

async fn connect(address: &Url) -> Result<FlightServiceClient<Channel>, Failure> {
    let host = address.host_str().unwrap_or_default();
    let port = address.port().map_or_else(String::new, |port| format!(":{port}"));
    let endpoint = Endpoint::from_shared(format!("http://{host}{port}"));
    let endpoint = endpoint.map_err(|error| unreadable(address, &error))?.connect_timeout(KNOCK);
    let channel = endpoint.connect().await.map_err(|_| {
        JobError::Elsewhere(format!("no server answers at {address}; is it running, and is this its flight.listen?"))
    })?;
    // A row of long arrays is one message, however long.
    Ok(FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX))
}

/// What a server refused with. Its sentences are made for people.
fn said(address: &Url, status: &Status) -> JobError {
    match status.message() {
        "" => JobError::Elsewhere(format!("{address} refused, and did not say why ({:?})", status.code())),
        message => JobError::Elsewhere(message.to_owned()),
    }
}

fn unreadable(address: &Url, error: &dyn std::error::Error) -> JobError {
    JobError::Elsewhere(format!("{address} sent what is no answer: {error}"))
}
