//! Flight SQL over a real connection, with the client of the Arrow project.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)] // tests

#[path = "../../../jobs/tests/it/house.rs"]
mod house;
#[path = "../../../jobs/tests/it/log.rs"]
mod log;

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, Schema},
};
use arrow_flight::{
    FlightDescriptor, FlightInfo, Ticket,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    sql::{
        Any, CommandGetDbSchemas, CommandGetTables, CommandStatementQuery, ProstMessageExt, SqlInfo,
        TicketStatementQuery, client::FlightSqlServiceClient,
    },
};
use futures::TryStreamExt;
use house::House;
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};

struct Service {
    house: House,
    channel: Channel,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Service {
    async fn over(house: House) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(flight_server::serve(listener, Arc::clone(&house.jobs), shutdown.clone()));
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        Self { house, channel, shutdown, serving }
    }

    fn client(&self) -> FlightSqlServiceClient<Channel> {
        FlightSqlServiceClient::new(self.channel.clone())
    }
}

/// The rows behind a FlightInfo, and the schema that came with them.
async fn fetch(client: &mut FlightSqlServiceClient<Channel>, info: &FlightInfo) -> (Schema, Vec<RecordBatch>) {
    assert_eq!(info.endpoint.len(), 1);
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = rows.try_next().await.unwrap() {
        batches.push(batch);
    }
    (rows.schema().unwrap().as_ref().clone(), batches)
}

fn words(batches: &[RecordBatch], column: usize) -> Vec<String> {
    let words = |batch: &RecordBatch| {
        let column = batch.column(column).as_string::<i32>().clone();
        column.iter().map(|word| word.unwrap().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(words).collect()
}

fn refusal(error: impl Into<FlightError>) -> Status {
    match error.into() {
        FlightError::Tonic(status) => *status,
        FlightError::Arrow(error) => panic!("no status: {error}"),
        other => panic!("no status: {other}"),
    }
}

#[tokio::test]
async fn a_query_brings_the_columns_that_were_promised_with_their_metadata() {
    let service = Service::over(House::with_stars(20).await).await;
    let mut client = service.client();
    let query =
        "SELECT id, ra, name FROM demo.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(10, 5, 0.025)) ORDER BY id";
    let info = client.execute(query.to_owned(), None).await.unwrap();
    let promised = info.clone().try_decode_schema().unwrap();
    let (sent, batches) = fetch(&mut client, &info).await;
    assert_eq!(promised, sent);
    let types: Vec<_> = sent.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int64, DataType::Float64, DataType::Utf8]);
    assert_eq!(sent.field(1).metadata()["vo:unit"], "deg");
    assert_eq!(words(&batches, 2), ["star, no 0", "star, no 1", "star, no 2"]);
}

#[tokio::test]
async fn an_empty_answer_has_its_columns() {
    let service = Service::over(House::with_stars(1).await).await;
    let mut client = service.client();
    let info = client.execute("SELECT id, name FROM demo.stars WHERE id < 0".to_owned(), None).await.unwrap();
    let (sent, batches) = fetch(&mut client, &info).await;
    assert_eq!(info.try_decode_schema().unwrap(), sent);
    assert_eq!(sent.fields().len(), 2);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
}

#[tokio::test]
async fn there_is_no_row_limit_and_no_row_is_lost() {
    let service = Service::over(House::with_stars(1000).await).await;
    let mut client = service.client();
    let query = "SELECT a.id AS a, b.id AS b FROM demo.stars AS a CROSS JOIN demo.stars AS b";
    let info = client.execute(query.to_owned(), None).await.unwrap();
    let (_, batches) = fetch(&mut client, &info).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1_000_000);
    let sum = |column: usize| -> i64 {
        batches.iter().map(|batch| batch.column(column).as_primitive::<Int64Type>().values().iter().sum::<i64>()).sum()
    };
    assert_eq!((sum(0), sum(1)), (499_500_000, 499_500_000));
}

#[tokio::test]
async fn the_header_chooses_sql_and_its_three_part_names() {
    let service = Service::over(House::with_stars(3).await).await;
    let mut client = service.client();
    let top = "SELECT TOP 2 id FROM demo.stars";
    assert!(client.execute(top.to_owned(), None).await.is_ok());
    client.set_header("x-query-language", "sql");
    let status = refusal(client.execute(top.to_owned(), None).await.unwrap_err());
    assert_eq!(status.code(), Code::InvalidArgument, "TOP is no SQL of the engine: {status}");
    let limit = "SELECT id FROM almagest.demo.stars ORDER BY id LIMIT 2";
    let info = client.execute(limit.to_owned(), None).await.unwrap();
    let (_, batches) = fetch(&mut client, &info).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
}

#[tokio::test]
async fn the_service_describes_itself_and_its_tables() {
    let house = House::with_stars(2).await;
    house.publish("demo.more", house::stars(1)).await;
    house.publish("other.stars", house::stars(1)).await;
    let service = Service::over(house).await;
    let mut client = service.client();

    let info = client.get_catalogs().await.unwrap();
    assert_eq!(words(&fetch(&mut client, &info).await.1, 0), ["almagest"]);
    let info = client.get_table_types().await.unwrap();
    assert_eq!(words(&fetch(&mut client, &info).await.1, 0), ["TABLE"]);
    let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
    assert_eq!(words(&fetch(&mut client, &info).await.1, 1), ["demo", "other"]);

    let wanted =
        CommandGetTables { db_schema_filter_pattern: Some("de%".into()), include_schema: true, ..Default::default() };
    let info = client.get_tables(wanted).await.unwrap();
    let (sent, batches) = fetch(&mut client, &info).await;
    assert_eq!(info.try_decode_schema().unwrap(), sent);
    assert_eq!(words(&batches, 2), ["more", "stars"]);
    let bytes = batches[0].column_by_name("table_schema").unwrap().as_binary::<i32>().value(1).to_vec();
    let described = Schema::try_from(arrow_flight::IpcMessage(bytes.into())).unwrap();
    let all = client.execute("SELECT * FROM demo.stars".to_owned(), None).await.unwrap();
    assert_eq!(described, all.try_decode_schema().unwrap());

    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerReadOnly]).await.unwrap();
    let (_, batches) = fetch(&mut client, &info).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_the_sentence_of_every_door() {
    let service = Service::over(House::with_stars(1).await).await;
    let mut client = service.client();
    let status = refusal(client.execute("SELECT id\nFROM demo.stars WHERE )".to_owned(), None).await.unwrap_err());
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected =
        service.house.jobs.columns(jobs::Language::Adql, "SELECT id\nFROM demo.stars WHERE )").await.unwrap_err();
    assert_eq!(status.message(), expected.to_string());
    assert!(status.message().contains("line 2"), "{status}");
    let status = refusal(client.execute("  ".to_owned(), None).await.unwrap_err());
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "The query is empty; send its text."));
}

#[tokio::test]
async fn a_ticket_that_nobody_gave_is_an_invalid_argument() {
    let service = Service::over(House::empty().await).await;
    let mut client = service.client();
    let statement = |handle: &[u8]| {
        let ticket = TicketStatementQuery { statement_handle: handle.to_vec().into() };
        ticket.as_any().encode_to_vec()
    };
    let unknown = Any { type_url: "type.example.org/nothing".into(), value: vec![1].into() }.encode_to_vec();
    let torn = Any { type_url: TicketStatementQuery::type_url().into(), value: vec![0xff].into() }.encode_to_vec();
    let tickets: [Vec<u8>; 7] =
        [vec![], b"garbage".to_vec(), vec![0xff; 40], statement(b""), statement(b"\xff\xff\xff"), unknown, torn];
    for ticket in tickets {
        let status = refusal(client.do_get(Ticket::new(ticket.clone())).await.map(drop).unwrap_err());
        assert_eq!(status.code(), Code::InvalidArgument, "{ticket:?}: {status}");
    }
    let mut plain = FlightServiceClient::new(service.channel.clone());
    for descriptor in [FlightDescriptor::new_path(vec!["demo".into()]), FlightDescriptor::new_cmd("SELECT 1")] {
        let status = plain.get_flight_info(descriptor).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

#[tokio::test]
async fn what_is_not_here_is_refused_with_a_sentence() {
    let service = Service::over(House::empty().await).await;
    let mut client = service.client();
    let refusals = [
        (
            refusal(client.prepare("SELECT 1".into(), None).await.map(drop).unwrap_err()),
            "The action \"CreatePreparedStatement\" is not",
        ),
        (
            refusal(client.execute_update("DELETE FROM t".into(), None).await.unwrap_err()),
            "This service answers queries",
        ),
    ];
    for (status, sentence) in refusals {
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().starts_with(sentence), "{status}");
    }
}

#[tokio::test]
async fn a_user_signs_in_by_a_handshake_or_a_token_and_sees_what_others_do_not() {
    let house = House::with_stars(3).await;
    let (ada, team) = ("ada".parse().unwrap(), "team".parse().unwrap());
    house.metadata.add_user(&ada, "correct horse", "a test").await.unwrap();
    house.metadata.add_group(&team, "a test").await.unwrap();
    house.metadata.change_members(&team, &[ada], &[], "a test").await.unwrap();
    let restricted = metadata::Visibility::Restricted { groups: [team].into(), released_at: None };
    house.metadata.set_visibility(&"demo.stars".parse().unwrap(), &restricted, "a test").await.unwrap();
    let service = Service::over(house).await;
    let mut client = service.client();
    let query = "SELECT id FROM demo.stars".to_owned();
    let nobody = refusal(client.execute(query.clone(), None).await.unwrap_err());
    assert_eq!(nobody.code(), Code::InvalidArgument, "{nobody}");
    assert!(client.handshake("ada", "wrong horse").await.is_err());
    client.handshake("ada", "correct horse").await.unwrap();
    let info = client.execute(query, None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let batches: Vec<_> = client.do_get(ticket.clone()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
    let stolen = service.client().do_get(ticket).await.map(drop).unwrap_err();
    assert_eq!(refusal(stolen).code(), Code::InvalidArgument, "a ticket is no key");
}

#[tokio::test]
async fn each_call_has_its_own_name_and_one_line_that_says_how_it_went() {
    let log = log::Log::of_this_process();
    let service = Service::over(House::with_stars(1).await).await;
    let mut plain = FlightServiceClient::new(service.channel.clone());
    let descriptor = |query: &str| {
        let command = CommandStatementQuery { query: query.into(), transaction_id: None };
        FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
    };
    let name = |headers: &MetadataMap| headers.get("x-request-id").unwrap().to_str().unwrap().to_owned();

    let info = plain.get_flight_info(descriptor("SELECT id FROM demo.stars")).await.unwrap();
    let ticket = info.get_ref().endpoint[0].ticket.clone().unwrap();
    let rows = plain.do_get(ticket).await.unwrap();
    let refusal = plain.get_flight_info(descriptor("SELECT id FROM demo.nothing")).await.unwrap_err();
    let unknown = plain.handshake(futures::stream::empty()).await.map(drop).unwrap_err();
    for (name, call, words) in [
        (name(info.metadata()), "GetFlightInfo", "answered code=Ok milliseconds="),
        (name(rows.metadata()), "DoGet", "answered code=Ok milliseconds="),
        (name(refusal.metadata()), "GetFlightInfo", "refused code=InvalidArgument milliseconds="),
        (name(unknown.metadata()), "Handshake", "refused code=Unauthenticated milliseconds="),
    ] {
        let span = format!("request{{id={name} call=\"{call}\"}}: flight_server::request: ");
        let lines = log.lines_with(&span);
        assert!(matches!(&lines[..], [line] if line.contains(words)), "{name} {call}: {lines:?}");
    }
    let refused = log.lines_with(&name(refusal.metadata()));
    assert!(refused.iter().any(|line| line.contains("refused") && line.contains("demo.nothing")), "{refused:?}");
}

#[tokio::test]
async fn an_answer_on_its_way_ends_after_the_shutdown_and_then_the_service_does() {
    let service = Service::over(House::with_stars(1000).await).await;
    let mut client = service.client();
    let query = "SELECT a.id AS a, b.id AS b FROM demo.stars AS a CROSS JOIN demo.stars AS b";
    let info = client.execute(query.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    let mut counted = rows.try_next().await.unwrap().unwrap().num_rows();
    service.shutdown.cancel();
    while let Some(batch) = rows.try_next().await.unwrap() {
        counted += batch.num_rows();
    }
    assert_eq!(counted, 1_000_000);
    let Service { channel, serving, .. } = service;
    drop((rows, client, channel));
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn get_schema_tells_the_columns_of_a_query_without_running_it() {
    let service = Service::over(House::with_stars(1).await).await;
    let command = CommandStatementQuery { query: "SELECT id FROM demo.stars".into(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let mut plain = FlightServiceClient::new(service.channel.clone());
    let info = plain.get_flight_info(descriptor.clone()).await.unwrap().into_inner();
    assert_eq!(info.flight_descriptor, Some(descriptor.clone()));
    let schema = plain.get_schema(descriptor).await.unwrap().into_inner();
    assert_eq!(Schema::try_from(schema).unwrap(), info.try_decode_schema().unwrap());
    let actions = plain.list_actions(arrow_flight::Empty {}).await.unwrap().into_inner();
    assert_eq!(actions.try_collect::<Vec<_>>().await.unwrap(), []);
}
