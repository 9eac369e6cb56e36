//! Whether the service is up: VOSI availability for the Virtual Observatory, `/healthz` for a load balancer.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jobs::formats::xml::push_text;

use crate::Doors;

/// `/tap/availability`: true when a query could be answered now. The answer itself is always 200.
pub(crate) async fn availability(State(doors): State<Doors>) -> impl IntoResponse {
    let ready = doors.jobs.ready().await;
    let mut document = String::from(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<vosi:availability xmlns:vosi=\"http://www.ivoa.net/xml/VOSIAvailability/v1.0\">\n",
    ));
    document.push_str(if ready.is_ok() {
        "<vosi:available>true</vosi:available>\n"
    } else {
        "<vosi:available>false</vosi:available>\n"
    });
    if let Err(error) = ready {
        document.push_str("<vosi:note>");
        push_text(&mut document, &error.to_string());
        document.push_str("</vosi:note>\n");
    }
    document.push_str("</vosi:availability>\n");
    ([(header::CONTENT_TYPE, "text/xml")], document)
}

/// `/healthz`: 200 when the metadata database answers, 503 when it does not.
pub(crate) async fn healthz(State(doors): State<Doors>) -> Response {
    match doors.jobs.ready().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
