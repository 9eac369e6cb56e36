//! Where data go: stdout, of which the reader may leave at any moment.
//!
//! `almagest query … | head` closes our stdout after ten lines. That is no failure and deserves no message: the writer
//! returns the error, so that the command stops as it does for any other, and remembers that it came from stdout, so that
//! `main` stays quiet. A broken pipe to anything else (a server, an object store) is still a failure.

use std::{
    io::{self, BufWriter, Write},
    sync::atomic::{AtomicBool, Ordering},
};

static READER_LEFT: AtomicBool = AtomicBool::new(false);

/// Stdout, buffered; `flush` it when the data are complete, since dropping it can't report an error.
pub(crate) fn stdout() -> impl Write + Send {
    BufWriter::with_capacity(64 * 1024, Watched(io::stdout()))
}

/// Whether whoever read our stdout has gone away.
pub(crate) fn reader_left() -> bool {
    READER_LEFT.load(Ordering::Relaxed)
}

struct Watched<W>(W);

impl<W> Watched<W> {
    fn noticing<T>(result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            READER_LEFT.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::noticing(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::noticing(self.0.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_leaves_is_noticed_and_still_ends_the_writing() {
        assert!(!reader_left());
        let error = Watched(Closed).write(b"row").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(reader_left());
    }
}
