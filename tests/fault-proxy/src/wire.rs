//! The client's connection, which can be cut at an exact byte of an answer.
//!
//! The HTTP library above writes headers and body as it likes; the cut is made here, below it, so that no timing decides
//! how much of an answer gets through.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How a connection ends when it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// RST: the peer reads "connection reset".
    Reset,
    /// FIN: the peer reads an end of file that comes too early.
    Close,
}

/// How much of the answer that is about to be written may pass: its headers, then `keep` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// Bytes of the blank line that ends the headers (`\r\n\r\n`) matched so far; 4 when the headers have passed.
    blank: usize,
    keep: u64,
    end: End,
}

const BLANK_LINE: &[u8; 4] = b"\r\n\r\n";

impl Cut {
    fn new(keep: u64, end: End) -> Self {
        Self { blank: 0, keep, end }
    }

    /// This cut, once `bytes` have been written; and how many of them may be.
    fn after(mut self, bytes: &[u8]) -> (Self, usize) {
        let mut headers = 0;
        for byte in bytes {
            if self.blank == BLANK_LINE.len() {
                break;
            }
            self.blank = match *byte {
                b if b == BLANK_LINE[self.blank] => self.blank + 1,
                b'\r' => 1,
                _ => 0,
            };
            headers += 1;
        }
        let body = (bytes.len() - headers) as u64;
        let kept = body.min(self.keep);
        self.keep -= kept;
        // `kept` is at most the length of a slice.
        (self, headers + kept as usize)
    }

    fn is_spent(&self) -> bool {
        self.blank == BLANK_LINE.len() && self.keep == 0
    }
}

/// What is in store for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Whole,
    Cut(Cut),
    Severed(End),
}

/// The handle by which a connection's fate is decided while the HTTP library owns the connection.
#[derive(Debug, Clone)]
pub(crate) struct Scissors(Arc<Mutex<Fate>>);

impl Scissors {
    fn get(&self) -> Fate {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fate: Fate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fate;
    }

    /// Nothing more passes; the connection is reset when it is dropped.
    pub(crate) fn reset_now(&self) {
        self.set(Fate::Severed(End::Reset));
    }

    /// Of the next answer the headers and `keep` bytes of the body pass.
    pub(crate) fn cut_answer(&self, keep: u64, end: End) {
        self.set(Fate::Cut(Cut::new(keep, end)));
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    fate: Scissors,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Self, Scissors) {
        let fate = Scissors(Arc::new(Mutex::new(Fate::Whole)));
        (Self { stream, fate: fate.clone() }, fate)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.fate.get() == Fate::Severed(End::Reset) {
            // Lingering for zero seconds makes the close that follows a reset. It fails only on a dead socket.
            let _ = self.stream.set_zero_linger();
        }
    }
}

fn severed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by rule")
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.fate.get() {
            Fate::Whole => Pin::new(&mut self.stream).poll_write(cx, bytes),
            Fate::Severed(_) => Poll::Ready(Err(severed())),
            Fate::Cut(cut) => {
                let (_, allowed) = cut.after(bytes);
                let written = match Pin::new(&mut self.stream).poll_write(cx, &bytes[..allowed]) {
                    Poll::Ready(Ok(written)) => written,
                    other => return other,
                };
                let (cut, _) = cut.after(&bytes[..written]);
                self.fate.set(if cut.is_spent() { Fate::Severed(cut.end) } else { Fate::Cut(cut) });
                Poll::Ready(Ok(written))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.fate.get() {
            Fate::Severed(_) => Poll::Ready(Err(severed())),
            _ => Pin::new(&mut self.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.fate.get() {
            // A shutdown would send the FIN that a reset must not be preceded by.
            Fate::Severed(End::Reset) => Poll::Ready(Ok(())),
            _ => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";

    #[test]
    fn a_cut_lets_the_headers_and_the_kept_bytes_through_however_they_are_written() {
        let headers = ANSWER.len() - 10;
        for piece in 1..=ANSWER.len() {
            let mut cut = Cut::new(4, End::Close);
            let mut passed = 0;
            for bytes in ANSWER.chunks(piece) {
                let (next, allowed) = cut.after(bytes);
                passed += allowed;
                cut = next;
            }
            assert_eq!(passed, headers + 4, "in pieces of {piece} bytes");
            assert!(cut.is_spent());
        }
    }

    #[test]
    fn a_cut_is_not_spent_before_the_headers_have_passed() {
        let (cut, allowed) = Cut::new(0, End::Reset).after(b"HTTP/1.1 200 OK\r\n\r");
        assert_eq!(allowed, 18);
        assert!(!cut.is_spent());
        assert!(cut.after(b"\n").0.is_spent());
    }
}
