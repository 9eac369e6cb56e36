//! The Flight calls, and the Flight SQL commands inside them. What is not answered is refused with a sentence.
//!
//! The commands are taken apart here rather than by `FlightSqlService` of `arrow-flight`: that one reports a garbled
//! command as a fault of the server, lists actions that nobody implemented, and has no way to answer `GetSchema`.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    ipc::writer::IpcWriteOptions,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
    encode::FlightDataEncoderBuilder,
    error::FlightError,
    flight_service_server::FlightService,
    sql::{Any, Command, ProstMessageExt, TicketStatementQuery},
};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use jobs::{
    Answer, Jobs, QueryRequest, bearer_for,
    formats::plain::{plain_batch, plain_schema},
};
use prost::Message;
use tonic::{
    Request, Response, Status, Streaming, async_trait,
    metadata::{MetadataMap, MetadataValue},
};

use crate::{
    about,
    statement::Statement,
    status::{not_signed_in, status, unexpected},
};

/// Flight SQL over the jobs of this service.
pub(crate) struct Door {
    jobs: Arc<Jobs>,
}

type Messages<T> = BoxStream<'static, Result<T, Status>>;

impl Door {
    pub(crate) fn new(jobs: Arc<Jobs>) -> Self {
        Self { jobs }
    }

    /// The jobs of whoever asks.
    async fn asked_by(&self, headers: &MetadataMap) -> Result<Jobs, Status> {
        let authorization = headers.get(AUTHORIZATION).map(MetadataValue::as_bytes);
        self.jobs.signed_in(authorization, None).await.map_err(not_signed_in)
    }

    /// The columns that a command's rows will have, and the bytes that bring them.
    async fn promise(&self, command: Command, headers: &MetadataMap) -> Result<(SchemaRef, Vec<u8>), Status> {
        Ok(match command {
            Command::CommandStatementQuery(query) => {
                let statement = Statement::new(query.query, headers)?;
                let columns =
                    self.asked_by(headers).await?.columns(statement.language, &statement.text).await.map_err(status)?;
                let handle = TicketStatementQuery { statement_handle: statement.to_handle().into() };
                (plain_schema(&columns), handle.as_any().encode_to_vec())
            }
            Command::CommandGetSqlInfo(command) => {
                let info = about::sql_info().map_err(unexpected)?;
                (command.clone().into_builder(&info).schema(), command.as_any().encode_to_vec())
            }
            Command::CommandGetCatalogs(command) => (command.into_builder().schema(), command.as_any().encode_to_vec()),
            Command::CommandGetTableTypes(command) => {
                (command.into_builder().schema(), command.as_any().encode_to_vec())
            }
            Command::CommandGetDbSchemas(command) => {
                (command.clone().into_builder().schema(), command.as_any().encode_to_vec())
            }
            Command::CommandGetTables(command) => {
                (command.clone().into_builder().schema(), command.as_any().encode_to_vec())
            }
            Command::Unknown(_) => return Err(Status::invalid_argument(NO_COMMAND)),
            other => return Err(not_here(&other)),
        })
    }

    /// The rows of a query as they are computed: the client's reading sets the pace, and its going away ends the query.
    async fn rows(&self, ticket: TicketStatementQuery, jobs: &Jobs) -> Result<Messages<FlightData>, Status> {
        let Statement { language, text } = Statement::from_handle(&ticket.statement_handle)?;
        // The door for bulk: all rows, unless the query itself says how many.
        let answer = jobs.run(QueryRequest { language, text, max_rows: None }).await.map_err(status)?;
        let Answer { schema, rows, .. } = answer;
        let schema = plain_schema(&schema);
        let sent = SchemaRef::clone(&schema);
        let batches = rows.map(move |batch| plain_batch(&batch.map_err(status)?, &sent).map_err(unexpected));
        Ok(encoded(schema, batches))
    }
}

/// The field by which clients sign in.
const AUTHORIZATION: &str = "authorization";

const NO_COMMAND: &str = "The descriptor holds no Flight SQL command; send the query as a CommandStatementQuery.";
const NO_TICKET: &str = "The ticket is none of ours; ask for the query's FlightInfo again.";

#[async_trait]
impl FlightService for Door {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;
    type DoExchangeStream = Messages<FlightData>;

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let command = command(&request.get_ref().cmd).ok_or_else(|| Status::invalid_argument(NO_COMMAND))?;
        let (schema, ticket) = self.promise(command, request.metadata()).await?;
        // One endpoint, on the connection that is already there.
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
        let info = FlightInfo::new().try_with_schema(&schema).map_err(unexpected)?;
        Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(request.into_inner()).with_ordered(true)))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let command = command(&request.get_ref().cmd).ok_or_else(|| Status::invalid_argument(NO_COMMAND))?;
        let (schema, _) = self.promise(command, request.metadata()).await?;
        let options = IpcWriteOptions::default();
        Ok(Response::new(SchemaAsIpc::new(Schema::as_ref(&schema), &options).try_into().map_err(unexpected)?))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let command = command(&request.get_ref().ticket).ok_or_else(|| Status::invalid_argument(NO_TICKET))?;
        let jobs = self.asked_by(request.metadata()).await?;
        Ok(Response::new(match command {
            Command::TicketStatementQuery(ticket) => self.rows(ticket, &jobs).await?,
            Command::CommandGetSqlInfo(command) => one(about::sql_info_batch(command)?),
            Command::CommandGetCatalogs(command) => one(about::catalogs(command)?),
            Command::CommandGetTableTypes(command) => one(about::table_types(command)?),
            Command::CommandGetDbSchemas(command) => {
                one(about::schemas(command, &jobs.tables().await.map_err(status)?)?)
            }
            Command::CommandGetTables(command) => one(about::tables(command, &jobs).await?),
            Command::Unknown(_) => return Err(Status::invalid_argument(NO_TICKET)),
            other => return Err(not_here(&other)),
        }))
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let said = request.metadata().get(AUTHORIZATION).map(MetadataValue::as_bytes);
        let Some(bearer) = said.and_then(bearer_for).and_then(|bearer| bearer.parse().ok()) else {
            return Err(Status::unauthenticated(
                "A handshake brings a user name and a password, as Basic; to ask without signing in, make none.",
            ));
        };
        self.asked_by(request.metadata()).await?;
        let mut response = Response::new(stream::iter([Ok(HandshakeResponse::default())]).boxed());
        response.metadata_mut().insert(AUTHORIZATION, bearer);
        Ok(response)
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let action = &request.get_ref().r#type;
        Err(Status::unimplemented(format!(
            "The action {action:?} is not available on this service; send the query itself."
        )))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::unimplemented("This service answers queries; it takes no uploads and changes nothing."))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("This service answers queries; it takes no uploads and changes nothing."))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented("Flights are not listed; the tables are, by the Flight SQL command GetTables."))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("Queries are not polled; ask for the query's FlightInfo."))
    }
}

/// The Flight SQL command in the bytes of a descriptor or a ticket.
fn command(bytes: &[u8]) -> Option<Command> {
    Command::try_from(Any::decode(bytes).ok()?).ok()
}

/// A command of Flight SQL that this service does not answer.
fn not_here(command: &Command) -> Status {
    let name = command.type_url().rsplit('.').next().unwrap_or_default();
    Status::unimplemented(format!("The command {name} is not available on this service."))
}

/// An answer of one batch.
fn one(batch: RecordBatch) -> Messages<FlightData> {
    encoded(batch.schema(), stream::iter([Ok(batch)]))
}

/// The schema goes first, also where no row follows.
fn encoded(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
) -> Messages<FlightData> {
    let messages = FlightDataEncoderBuilder::new().with_schema(schema).build(batches.map_err(FlightError::from));
    messages.map_err(Status::from).boxed()
}
