//! What is logged while a test runs. Shared by the tests of the doors.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

/// All that this process logs.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn of_this_process() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let begin = || {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
            log
        };
        LOG.get_or_init(begin).clone()
    }

    /// The lines with these words, up to now.
    pub fn lines_with(&self, words: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }

    /// Waits for a line with these words.
    pub async fn line_with(&self, words: &str, patience: Duration) -> String {
        let look = async {
            loop {
                if let Some(line) = self.lines_with(words).into_iter().next() {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, look).await.unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
