//! The log: lines on stderr, for a person or as JSON, each with the spans it was written in.
//!
//! The servers open a span `request{id}` for each request and the runner of jobs a span `job{id}`; both formats print
//! the spans' fields on every line, so that one request can be followed by its id. Nothing here writes to stdout, to a
//! file or to the network: whoever starts the program decides where stderr goes.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

/// Starts the log of this process. A `quiet` one has warnings only, whatever is configured.
pub(crate) fn start(log: &Log, quiet: bool) {
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let filter = if quiet { EnvFilter::default().add_directive(LevelFilter::WARN.into()) } else { log.level.filter() };
    tracing_subscriber::registry().with(filter).with(lines(log.format, colour, io::stderr)).init();
}

/// Writes each event as one line to `writer`.
fn lines<S, W>(format: LogFormat, colour: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(colour)
        // A stderr that nobody reads any more is no reason to panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed(),
    }
}

/// The directives of `text`, or `None` where they are not understood.
pub(crate) fn directives(text: &str) -> Option<EnvFilter> {
    // tracing takes a lone word that is no level for the name of a module: a mistyped level would silence the log.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let is_understood = |piece: &str| piece.contains(['=', '[', ']', '{', '}']) || is_level(piece);
    if !text.split(',').all(is_understood) {
        return None;
    }
    EnvFilter::builder().parse(text).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, filter: &str) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = tracing_subscriber::registry()
            .with(directives(filter).expect("the filter is good"))
            .with(lines(format, false, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let _request = tracing::info_span!("request", id = "r-17").entered();
            let _job = tracing::info_span!("job", id = "j-4").entered();
            tracing::info!(rows = 3, "answered");
            tracing::debug!("planned");
        });
        let bytes = page.0.lock().expect("no writer panicked").clone();
        String::from_utf8(bytes).expect("a log is text")
    }

    #[test]
    fn a_human_line_names_the_request_and_the_job_it_belongs_to() {
        let log = written(LogFormat::Human, "info");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("request{id=\"r-17\"}:job{id=\"j-4\"}"), "{log}");
        assert!(log.contains("answered rows=3"), "{log}");
        assert!(!log.contains('\u{1b}'), "colour on what is no terminal: {log}");
    }

    #[test]
    fn a_json_line_names_the_request_and_the_job_it_belongs_to() {
        let log = written(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(&log).expect("one line of JSON");
        assert_eq!(line["message"], "answered");
        assert_eq!(line["rows"], 3);
        assert_eq!(line["spans"][0], serde_json::json!({"name": "request", "id": "r-17"}));
        assert_eq!(line["spans"][1], serde_json::json!({"name": "job", "id": "j-4"}));
    }

    #[test]
    fn directives_choose_what_is_logged() {
        assert_eq!(written(LogFormat::Human, "debug").lines().count(), 2);
        assert_eq!(written(LogFormat::Human, "error").lines().count(), 0);
        let own = format!("off,{}=debug", module_path!());
        assert_eq!(written(LogFormat::Human, &own).lines().count(), 2);
    }

    #[test]
    fn a_mistyped_level_is_not_taken_for_a_module() {
        for wrong in ["inof", "", "info,degub", "engine=loud"] {
            assert!(directives(wrong).is_none(), "{wrong:?} was understood");
        }
        for right in ["INFO", "off", "warn,engine=debug", "info,[job{id=4}]=trace"] {
            assert!(directives(right).is_some(), "{right:?} was not understood");
        }
    }
}
