//! Text inside XML: what must be escaped is escaped, what XML 1.0 cannot hold becomes U+FFFD where all can see it.

/// Appends `text` as the content of an element. White space is kept: a carriage return as a reference, since a reader
/// would make it a line feed.
pub fn push_text(out: &mut String, text: &str) {
    push(out, text, |byte| match byte {
        b'\r' => Some("&#13;"),
        _ => None,
    });
}

/// Appends `text` as the value of an attribute in double quotes. Line ends and tabs survive as references.
pub fn push_attribute(out: &mut String, text: &str) {
    push(out, text, |byte| match byte {
        b'"' => Some("&quot;"),
        b'\r' => Some("&#13;"),
        b'\n' => Some("&#10;"),
        b'\t' => Some("&#9;"),
        _ => None,
    });
}

/// The bytes at which something may have to be done.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        // 0xEF begins U+FFFE and U+FFFF.
        special[byte] = byte < 0x20 || matches!(byte as u8, b'&' | b'<' | b'>' | b'"' | 0xEF);
        byte += 1;
    }
    special
};

fn push(out: &mut String, text: &str, special: impl Fn(u8) -> Option<&'static str>) {
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| SPECIAL[usize::from(**byte)]) {
        let (replacement, length) = match byte {
            b'&' => ("&amp;", 1),
            b'<' => ("&lt;", 1),
            b'>' => ("&gt;", 1), // also ends the danger of `]]>`
            b'\t' | b'\n' | b'\r' | b'"' => match special(*byte) {
                Some(replacement) => (replacement, 1),
                None => continue,
            },
            0xEF if matches!(bytes[at + 1..], [0xBF, 0xBE | 0xBF, ..]) => ("\u{FFFD}", 3),
            0xEF => continue,
            _ => ("\u{FFFD}", 1),
        };
        out.push_str(&text[plain..at]);
        out.push_str(replacement);
        plain = at + length;
    }
    out.push_str(&text[plain..]);
}

#[cfg(test)]
mod tests {
    use quick_xml::{Reader, events::Event};

    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_visibly_replaced() {
        let mut out = String::new();
        push_text(&mut out, "a\0b\u{1f}c\u{FFFE}d\u{7f}é😀]]>&\r\n");
        assert_eq!(out, "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{7f}é😀]]&gt;&amp;&#13;\n");
    }

    #[test]
    fn an_attribute_reads_back_as_it_was() {
        let text = "SELECT \"a\"\n\tFROM t\r WHERE x < 1 AND y > 'é'";
        let mut out = "<a b=\"".to_owned();
        push_attribute(&mut out, text);
        out.push_str("\"/>");
        let mut reader = Reader::from_str(&out);
        let Ok(Event::Empty(element)) = reader.read_event() else { panic!("{out}") };
        let value = element.attributes().next().unwrap().unwrap();
        assert_eq!(value.unescape_value().unwrap(), text);
    }
}
