//! How far an import is: a bar on a terminal, a plain line now and then elsewhere, always on stderr.

use std::{
    fmt,
    io::{IsTerminal, Write, stderr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use catalogs::import::Progress;
use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use jobs::formats::Encoded;

use crate::words::{counted, size};

/// Between two plain lines.
const PAUSE: Duration = Duration::from_secs(5);

/// A listener that shows the progress of one table.
pub(crate) fn shown(table: &str) -> Arc<dyn Fn(Progress) + Send + Sync> {
    if stderr().is_terminal() { bar(table.to_owned()) } else { lines(table.to_owned()) }
}

/// A listener that shows how much of something was read, in bytes.
pub(crate) fn bytes(table: &str) -> Arc<dyn Fn(u64, u64) + Send + Sync> {
    counter(table, "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
}

/// A listener that shows how many files of a tree were looked at, of all.
pub(crate) fn files(table: &str) -> Arc<dyn Fn(u64, u64) + Send + Sync> {
    counter(table, "{prefix} {bar:30} {human_pos}/{human_len} files, {eta} left")
}

/// A bar on a terminal, nothing elsewhere.
fn counter(table: &str, template: &str) -> Arc<dyn Fn(u64, u64) + Send + Sync> {
    let bar = if stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(table.to_owned());
    Arc::new(move |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        if done == total {
            bar.finish_and_clear();
        }
    })
}

/// How far a query is, on a terminal; it goes from there when it is dropped.
pub(crate) struct Asked(ProgressBar);

/// A query that was asked.
pub(crate) fn asked() -> Asked {
    let bar = if stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_style(
        ProgressStyle::with_template("{spinner} {elapsed} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    Asked(bar)
}

impl Asked {
    /// Shows how far the answer is.
    pub(crate) fn show(&self, answer: &Encoded) {
        if !self.0.is_hidden() {
            let read = answer.progress().map_or_else(String::new, |read| {
                let (files, all) = (HumanCount(read.files), HumanCount(read.files_total));
                format!("{files} of {all} files, {} and {} rows read, ", size(read.bytes), HumanCount(read.rows))
            });
            self.0.set_message(format!("{read}{} in the answer", counted(answer.rows(), "row")));
            self.0.tick();
        }
    }

    /// Leaves the terminal to the answer itself.
    pub(crate) fn make_way(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn bar(table: String) -> Arc<dyn Fn(Progress) + Send + Sync> {
    let bar = ProgressBar::new(0);
    // The template is a constant; were it wrong, the default one would do.
    let style =
        ProgressStyle::with_template("{prefix} {msg:9} {bar:30} {human_pos}/{human_len} rows, {rate}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("rate", |state: &ProgressState, line: &mut dyn fmt::Write| {
        let _ = write!(line, "{}/s", HumanCount(state.per_sec() as u64)); // a terminal that fails is nobody to tell
    }));
    bar.set_prefix(table);
    Arc::new(move |progress| {
        let (stage, done, total) = parts(progress);
        bar.set_message(stage);
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    })
}

fn lines(table: String) -> Arc<dyn Fn(Progress) + Send + Sync> {
    let last = Mutex::new(Instant::now());
    Arc::new(move |progress| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < PAUSE {
            return;
        }
        *last = Instant::now();
        let (stage, done, total) = parts(progress);
        // Where stderr is closed there is nobody to tell.
        let _ = match total {
            Some(total) => writeln!(stderr(), "{table}: {stage}, {done} of {total} rows"),
            None => writeln!(stderr(), "{table}: {stage}, {done} rows"),
        };
    })
}

fn parts(progress: Progress) -> (&'static str, u64, Option<u64>) {
    match progress {
        Progress::Counted(rows) => ("counting", rows, None),
        Progress::Moved(rows, total) => ("sorting", rows, Some(total)),
        Progress::Written(rows, total) => ("writing", rows, Some(total)),
        Progress::Accompanied(rows, total) => ("margins", rows, Some(total)),
    }
}
