//! Names for jobs and for faults, drawn at random so that nobody can guess a neighbour's.

use std::fmt;

/// The name of one job: 128 random bits, written as 26 lower-case letters and digits (RFC 4648 base32, no padding).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobId(Box<str>);

impl JobId {
    /// Draws a new name from the thread's cryptographic generator.
    pub fn random() -> Self {
        Self(base32(rand::random()).into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of one failure of ours: told to the person who met it, and written in the log beside the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

impl FaultId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// 26 letters of five bits each; the last holds the three bits that are left.
fn base32(bits: u128) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..26)
        .map(|place| {
            let five = if place < 25 { bits >> (123 - 5 * place) } else { bits << 2 };
            char::from(ALPHABET[(five & 31) as usize])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_agrees_with_the_test_vectors_of_the_rfc() {
        // RFC 4648 pads "fooba" to MZXW6YTB; here its five bytes lead sixteen.
        let mut bytes = [0u8; 16];
        bytes[..5].copy_from_slice(b"fooba");
        assert_eq!(base32(u128::from_be_bytes(bytes)), format!("mzxw6ytb{}", "a".repeat(18)));
        assert_eq!(base32(u128::MAX), format!("{}4", "7".repeat(25)));
    }

    #[test]
    fn every_bit_of_a_name_counts() {
        let names: std::collections::HashSet<String> = (0..128).map(|bit| base32(1 << bit)).collect();
        assert_eq!(names.len(), 128);
    }

    #[test]
    fn two_names_are_never_the_same() {
        assert_ne!(JobId::random(), JobId::random());
        assert_eq!(JobId::random().as_str().len(), 26);
    }
}
