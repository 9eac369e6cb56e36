//! Bytes as base64, in lines of any length, whole groups of three bytes at a time.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Appends so many of the bytes as make whole groups, as a line, and says how many those are.
pub(super) fn push_groups(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let whole = bytes.len() / 3 * 3;
    push(&bytes[..whole], out);
    whole
}

/// Appends all bytes, the last of the stream, as a line.
pub(super) fn push_last(bytes: &[u8], out: &mut Vec<u8>) {
    push(bytes, out);
}

fn push(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // There is room for all of it.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    out.push(b'\n');
}
