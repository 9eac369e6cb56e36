//! A stretch of a file, read forward in windows; the next window of an object is fetched while this one is used.
//!
//! Windows are handed out as slices of what was fetched, without a copy.

use std::{
    io::{self, Read},
    ops::Range,
};

use bytes::{Bytes, BytesMut};

use crate::{Input, object::Pending};

/// The first window of a stretch of unknown use: enough to look at the beginning.
const FIRST: u64 = 64 << 10;
/// What windows grow to.
const MOST: u64 = 8 << 20;

/// A stretch of a file with a window that moves over it.
pub(crate) struct Ahead {
    input: Input,
    end: u64,
    step: u64,
    most: u64,
    at: u64,
    window: Bytes,
    eager: bool,
    next: Option<(Range<u64>, Pending)>,
}

impl Ahead {
    /// Begins with a small window, and reads ahead only after that.
    pub(crate) fn growing(input: &Input, range: Range<u64>) -> Self {
        let (at, end) = (range.start, range.end);
        Self { input: input.clone(), end, step: FIRST, most: MOST, at, window: Bytes::new(), eager: false, next: None }
    }

    /// Windows of `step` bytes, the first of which is fetched at once.
    pub(crate) fn steady(input: &Input, range: Range<u64>, step: u64) -> Self {
        let (at, end, step) = (range.start, range.end, step.max(1));
        let mut this =
            Self { input: input.clone(), end, step, most: step, at, window: Bytes::new(), eager: true, next: None };
        this.begin(at);
        this
    }

    /// What the window holds from `at` on; empty only at the end of the stretch.
    pub(crate) fn window(&mut self, at: u64) -> io::Result<Bytes> {
        if at >= self.end {
            return Ok(Bytes::new());
        }
        if at < self.at || at - self.at >= self.window.len() as u64 {
            self.move_to(at)?;
        }
        Ok(self.window.slice((at - self.at) as usize..))
    }

    /// Exactly these bytes, copied only if they lie in more than one window.
    pub(crate) fn bytes(&mut self, at: u64, length: usize) -> io::Result<Bytes> {
        if !self.input.is_far() {
            return self.input.fetch(at..at.saturating_add(length as u64));
        }
        if self.end.saturating_sub(at) < length as u64 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early"));
        }
        let first = self.window(at)?;
        if first.len() >= length {
            return Ok(first.slice(..length));
        }
        let mut bytes = BytesMut::with_capacity(length);
        bytes.extend_from_slice(&first);
        while bytes.len() < length {
            let more = self.window(at + bytes.len() as u64)?;
            bytes.extend_from_slice(&more[..more.len().min(length - bytes.len())]);
        }
        Ok(bytes.freeze())
    }

    fn move_to(&mut self, at: u64) -> io::Result<()> {
        self.window = Bytes::new();
        (self.at, self.window) = match self.next.take() {
            Some((range, pending)) if range.contains(&at) => (range.start, pending.wait()?),
            _ => (at, self.input.fetch(at..self.end.min(at + self.step))?),
        };
        self.step = self.most.min(self.step * 4);
        if self.eager {
            self.begin(self.at + self.window.len() as u64);
        }
        self.eager = true;
        Ok(())
    }

    fn begin(&mut self, at: u64) {
        let range = at..self.end.min(at.saturating_add(self.step));
        if !range.is_empty() {
            self.next = self.input.begin(range.clone()).map(|pending| (range, pending));
        }
    }
}

/// A stretch as a reader from its beginning to its end.
pub(crate) struct Sequential {
    ahead: Ahead,
    at: u64,
}

impl Sequential {
    pub(crate) fn new(ahead: Ahead) -> Self {
        Self { at: ahead.at, ahead }
    }
}

impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let window = self.ahead.window(self.at)?;
        let read = window.len().min(buffer.len());
        buffer[..read].copy_from_slice(&window[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Broken, Net};

    /// Bytes that differ from place to place.
    fn noise(length: usize) -> Vec<u8> {
        (0..length as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
    }

    #[test]
    fn an_object_reads_like_the_file_that_it_is() {
        let content = noise(3_000_000);
        let net = Net::new(Broken::Never);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise");
        std::fs::write(&path, &content).unwrap();
        let (file, object) = (Input::file(&path).unwrap(), net.input("noise", &content));
        assert_eq!(file.size(), object.size());
        proptest!(ProptestConfig::with_cases(64), |(offset in 0_u64..3_000_000, length in 0_usize..500_000)| {
            let length = length.min(content.len() - offset as usize);
            prop_assert_eq!(object.read_at(offset, length).unwrap(), file.read_at(offset, length).unwrap());
            let mut rest = vec![0; length];
            object.reader(offset).unwrap().read_exact(&mut rest).unwrap();
            prop_assert_eq!(&rest[..], &content[offset as usize..offset as usize + length]);
        });
        let (mut from_file, mut from_object) = (Vec::new(), Vec::new());
        file.reader(0).unwrap().read_to_end(&mut from_file).unwrap();
        object.reader(0).unwrap().read_to_end(&mut from_object).unwrap();
        assert!(from_file == content && from_object == content);
        assert!(object.read_at(2_999_999, 2).is_err() && object.read_at(u64::MAX, 1).is_err());
    }

    #[test]
    fn bytes_are_right_wherever_the_windows_end() {
        let content = noise(10_000);
        let net = Net::new(Broken::Never);
        let input = net.input("noise", &content);
        let places = prop::collection::vec((100_u64..9_000, 0_usize..2_000), 1..12);
        proptest!(ProptestConfig::with_cases(64), |(step in 1_u64..4_000, places in places)| {
            let mut ahead = Ahead::steady(&input, 100..9_000, step);
            for (at, length) in places {
                let whole = at + length as u64 <= 9_000;
                match ahead.bytes(at, length) {
                    Ok(bytes) => prop_assert_eq!(&bytes[..], &content[at as usize..at as usize + length]),
                    Err(error) => prop_assert!(!whole, "{}", error),
                }
            }
        });
    }

    #[test]
    fn a_look_at_the_beginning_fetches_little() {
        let net = Net::new(Broken::Never);
        let input = net.input("noise", &noise(20_000_000));
        let mut head = [0; 4096];
        input.reader(0).unwrap().read_exact(&mut head).unwrap();
        assert_eq!(net.store.bytes_sent(), FIRST);
    }

    #[test]
    fn a_body_that_is_cut_short_is_continued() {
        let content = noise(1_000_000);
        for broken in [Broken::ShortOnce, Broken::ErrorOnce] {
            let net = Net::new(broken);
            let input = net.input("noise", &content);
            let mut all = Vec::new();
            input.reader(0).unwrap().read_to_end(&mut all).unwrap();
            assert!(all == content);
            assert!(net.store.cuts() > 0, "nothing was cut");
            assert_eq!(net.store.bytes_sent(), content.len() as u64, "no byte is fetched twice");
        }
    }

    #[test]
    fn an_object_that_is_replaced_meanwhile_is_noticed() {
        let net = Net::new(Broken::Never);
        let input = net.input("noise", &noise(1_000_000));
        let mut reader = input.reader(0).unwrap();
        reader.read_exact(&mut [0; 1000]).unwrap();
        let after = net.input("noise", &noise(999_999));
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert_eq!(error, "it has changed since it was first looked at");
        assert_ne!(input.fingerprint(), after.fingerprint());
    }

    #[test]
    fn an_object_that_is_gone_is_said_to_be() {
        let net = Net::new(Broken::Never);
        let input = net.input("noise", b"abc");
        net.remove("noise");
        assert_eq!(input.read_at(0, 3).unwrap_err().to_string(), "noise: there is no such object");
    }
}
