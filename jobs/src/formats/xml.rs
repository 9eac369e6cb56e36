//! Text inside XML: what must be escaped is escaped, what XML 1.0 cannot hold becomes U+FFFD where all can see it.

/// Appends `text` as the content of an element. White space is kept: a carriage return as a reference, since a reader
/// would make it a line feed.
pub fn push_text(out: &mut String, text: &str) {
    push(out, text, |c| match c {
        '\r' => Some("&#13;"),
        _ => None,
    });
}

/// Appends `text` as the value of an attribute in double quotes. Line ends and tabs survive as references.
pub fn push_attribute(out: &mut String, text: &str) {
    push(out, text, |c| match c {
        '"' => Some("&quot;"),
        '\r' => Some("&#13;"),
        '\n' => Some("&#10;"),
        '\t' => Some("&#9;"),
        _ => None,
    });
}

fn push(out: &mut String, text: &str, special: impl Fn(char) -> Option<&'static str>) {
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let replacement = match c {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '>' => Some("&gt;"), // also ends the danger of `]]>`
            '\t' | '\n' | '\r' | '"' => special(c),
            '\0'..'\u{20}' | '\u{FFFE}' | '\u{FFFF}' => Some("\u{FFFD}"),
            _ => None,
        };
        if let Some(replacement) = replacement {
            out.push_str(&text[plain..at]);
            out.push_str(replacement);
            plain = at + c.len_utf8();
        }
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
