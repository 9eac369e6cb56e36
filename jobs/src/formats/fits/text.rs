//! Texts in FITS, which has the printable characters of ASCII and no others.
//!
//! Any other character is spelled out as JSON would, where all can see it: `Gr\u00fcn`. A text is padded with NUL
//! bytes, so that blanks at its end are kept; no text and an empty one are the same.

use std::fmt::Write as _;

use arrow::{
    array::{Array, LargeBinaryArray, StringViewArray},
    buffer::{OffsetBuffer, ScalarBuffer},
};

/// The text as FITS can hold it.
pub(in super::super) fn escaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    push(text, &mut bytes);
    bytes.into_iter().map(char::from).collect()
}

/// The texts as FITS can hold them; NULL is an empty one.
pub(super) fn encoded(texts: &StringViewArray) -> LargeBinaryArray {
    let mut bytes = Vec::with_capacity(texts.total_buffer_bytes_used() + 12 * texts.len());
    let mut ends = Vec::with_capacity(texts.len() + 1);
    ends.push(0);
    for row in 0..texts.len() {
        if !texts.is_null(row) {
            push(texts.value(row), &mut bytes);
        }
        ends.push(bytes.len() as i64);
    }
    LargeBinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(ends)), bytes.into(), None)
}

fn push(text: &str, out: &mut Vec<u8>) {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    if text.as_bytes().iter().all(printable) {
        return out.extend_from_slice(text.as_bytes());
    }
    let mut spelled = String::new();
    for c in text.chars() {
        match c {
            ' '..='~' => spelled.push(c),
            '\n' => spelled.push_str("\\n"),
            '\r' => spelled.push_str("\\r"),
            '\t' => spelled.push_str("\\t"),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(spelled, "\\u{unit:04x}")),
        }
    }
    out.extend_from_slice(spelled.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_lacks_is_spelled_out() {
        assert_eq!(escaped("M 31 ~"), "M 31 ~");
        assert_eq!(escaped("é★\0\n😀"), "\\u00e9\\u2605\\u0000\\n\\ud83d\\ude00");
        let array = encoded(&StringViewArray::from(vec![Some("a"), None, Some("ü"), Some("")]));
        assert_eq!(array.iter().flatten().collect::<Vec<_>>(), [&b"a"[..], b"", b"\\u00fc", b""]);
    }
}
