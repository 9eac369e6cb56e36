//! The markup of a VOTable outside its rows: elements with their attributes and text, one after the other.
//!
//! quick-xml finds the markup. What is added here is what a file of a stranger needs: every element is closed by its own
//! name, nesting and the size of a tag are bounded, entities other than the five of XML are refused together with the
//! declarations that could make them, and each complaint names the line. Namespaces and their prefixes say nothing here:
//! elements go by their local names.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    sync::Arc,
};

use quick_xml::{
    Reader,
    errors::Error,
    escape::resolve_xml_entity,
    events::{BytesEnd, BytesStart, Event},
};

use crate::FormatError;

/// The bytes of a document, in UTF-8.
pub(super) type Bytes = Box<dyn BufRead + Send>;

/// The longest tag, comment or piece of text; rows have a limit of their own.
const MARKUP_LIMIT: usize = 1 << 20;
/// The deepest nesting.
const DEPTH_LIMIT: usize = 100;
/// How much is read at once.
const BUFFER: usize = 256 << 10;
/// Within how many bytes the XML declaration ends.
const DECLARATION: u64 = 1024;

/// An element that begins.
pub(super) struct Element {
    /// Its local name.
    pub(super) name: String,
    /// Whether it is written as `<NAME/>`.
    pub(super) empty: bool,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// About how many bytes what it says takes in memory.
    pub(super) fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(key, value)| key.len() + value.len());
        512 + attributes.sum::<usize>()
    }

    /// The value of an attribute, unless it is blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

/// What comes next in a document.
pub(super) enum Node {
    /// An element begins.
    Open(Element),
    /// The element that was opened last ends.
    Close,
    /// The document is complete.
    End,
}

/// What one event of quick-xml comes to.
enum Step {
    Open(Element),
    Close,
    Text(String),
    Nothing,
    End,
}

/// Where a document was left, to be resumed behind its rows.
#[derive(Default)]
pub(super) struct Left {
    open: Vec<Box<str>>,
}

/// A document that is read from its beginning to its end.
pub(super) struct Xml {
    name: Arc<str>,
    reader: Reader<Bounded>,
    /// The elements that are open, with their prefixes.
    open: Vec<Box<str>>,
    /// The element opened last was an empty one, whose end is yet to be told.
    closing: bool,
    /// The root has begun.
    begun: bool,
    /// Lines cannot be counted any more: rows have been read past.
    resumed: bool,
    buffer: Vec<u8>,
}

impl Xml {
    /// A document from its beginning. `name` is the file's, for messages.
    pub(super) fn new(name: Arc<str>, bytes: Bytes) -> Self {
        Self::over(name, bytes, Vec::new())
    }

    /// The rest of a document, behind rows that were read otherwise.
    pub(super) fn resume(name: Arc<str>, bytes: Bytes, left: Left) -> Self {
        Self::over(name, bytes, left.open)
    }

    fn over(name: Arc<str>, bytes: Bytes, open: Vec<Box<str>>) -> Self {
        let mut reader = Reader::from_reader(Bounded { bytes, left: MARKUP_LIMIT, line: 1, exceeded: false });
        // Names are compared here, where elements that were opened before the rows are known as well.
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        let resumed = !open.is_empty();
        Self { name, reader, begun: resumed, resumed, open, closing: false, buffer: Vec::new() }
    }

    /// Ends the reading of markup right behind the tag that was told last.
    pub(super) fn leave(self) -> (Bytes, Left) {
        (self.reader.into_inner().bytes, Left { open: self.open })
    }

    /// The file's name.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// The next beginning or end of an element; text between them says nothing.
    pub(super) fn next(&mut self) -> Result<Node, FormatError> {
        loop {
            match self.step(false)? {
                Step::Open(element) => return Ok(Node::Open(element)),
                Step::Close => return Ok(Node::Close),
                Step::End => return Ok(Node::End),
                Step::Text(_) | Step::Nothing => {}
            }
        }
    }

    /// The text of the element that has just begun, to its end, with white space collapsed.
    pub(super) fn text(&mut self) -> Result<String, FormatError> {
        let depth = self.open.len();
        let mut text = String::new();
        while self.open.len() >= depth {
            match self.step(true)? {
                Step::Text(more) if text.len() + more.len() > MARKUP_LIMIT => {
                    return Err(self.bad("a text is longer than 1 MiB"));
                }
                Step::Text(more) => text.push_str(&more),
                Step::End => break,
                Step::Open(_) | Step::Close | Step::Nothing => {}
            }
        }
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Passes over the element that has just begun.
    pub(super) fn skip(&mut self) -> Result<(), FormatError> {
        let depth = self.open.len();
        while self.open.len() >= depth {
            if matches!(self.next()?, Node::End) {
                break;
            }
        }
        Ok(())
    }

    /// The file is at fault here.
    pub(super) fn bad(&self, why: impl std::fmt::Display) -> FormatError {
        FormatError::bad(&self.name, format!("{}{why}", self.place()))
    }

    fn place(&self) -> String {
        if self.resumed { "behind the rows: ".to_owned() } else { format!("line {}: ", self.reader.get_ref().line) }
    }

    fn step(&mut self, keep_text: bool) -> Result<Step, FormatError> {
        if self.closing {
            self.closing = false;
            self.open.pop();
            return Ok(Step::Close);
        }
        if !keep_text && let Err(error) = self.reader.get_mut().skip_text() {
            return Err(read_failed(&self.name, &error));
        }
        self.reader.get_mut().left = MARKUP_LIMIT;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let step = match self.reader.read_event_into(&mut buffer) {
            Ok(event) => self.understand(event),
            Err(error) => Err(self.broken(&error)),
        };
        self.buffer = buffer;
        step
    }

    fn understand(&mut self, event: Event<'_>) -> Result<Step, FormatError> {
        match event {
            Event::Start(tag) => self.enter(&tag, false).map(Step::Open),
            Event::Empty(tag) => self.enter(&tag, true).map(Step::Open),
            Event::End(tag) => self.close(&tag).map(|()| Step::Close),
            Event::Text(text) => self.decoded(text.decode().map_err(Error::from)).map(Step::Text),
            Event::CData(text) => self.decoded(text.decode().map_err(Error::from)).map(Step::Text),
            Event::GeneralRef(reference) => {
                if let Some(letter) = reference.resolve_char_ref().map_err(|error| self.broken(&error))? {
                    return Ok(Step::Text(letter.to_string()));
                }
                let name = self.decoded(reference.decode().map_err(Error::from))?;
                match resolve_xml_entity(&name) {
                    Some(text) => Ok(Step::Text(text.to_owned())),
                    None => Err(self.bad(format!("the entity &{name}; is not one of the five of XML"))),
                }
            }
            // That of VOTable 1.0 only points to a grammar, which is not fetched.
            Event::DocType(text) if !text.contains(&b'[') => Ok(Step::Nothing),
            Event::DocType(_) => Err(self.bad(
                "its DOCTYPE has declarations, which a VOTable does not need and which can hide an attack by entities; \
                 remove them",
            )),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => Ok(Step::Nothing),
            Event::Eof => match self.open.last() {
                None if self.begun => Ok(Step::End),
                None => Err(FormatError::bad(&self.name, "it is no XML document: there is no element in it")),
                Some(inner) => Err(self.bad(format!("the file is cut short: it ends within {inner}"))),
            },
        }
    }

    fn enter(&mut self, tag: &BytesStart<'_>, empty: bool) -> Result<Element, FormatError> {
        if self.open.is_empty() && self.begun {
            return Err(self.bad("a second document follows the first"));
        }
        if self.open.len() == DEPTH_LIMIT {
            return Err(self.bad(format!("elements are nested deeper than {DEPTH_LIMIT}")));
        }
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| self.broken(&error.into()))?;
            // Those with a prefix belong to somebody else, and so do declarations of namespaces.
            if attribute.key.prefix().is_some() || attribute.key.as_ref() == b"xmlns" {
                continue;
            }
            let value = attribute.decode_and_unescape_value(self.reader.decoder());
            let value = value.map_err(|error| self.broken(&error))?.into_owned();
            attributes.push((lossy(attribute.key.as_ref()), value));
        }
        self.begun = true;
        self.open.push(lossy(tag.name().as_ref()).into());
        self.closing = empty;
        Ok(Element { name: lossy(tag.local_name().as_ref()), empty, attributes })
    }

    fn close(&mut self, tag: &BytesEnd<'_>) -> Result<(), FormatError> {
        match self.open.pop() {
            Some(open) if open.as_bytes() == tag.name().as_ref() => Ok(()),
            Some(open) => Err(self.bad(format!("</{open}> is expected, </{}> was found", lossy(tag.name().as_ref())))),
            None => Err(self.bad(format!("</{}> ends what never began", lossy(tag.name().as_ref())))),
        }
    }

    fn decoded(&self, text: Result<std::borrow::Cow<'_, str>, Error>) -> Result<String, FormatError> {
        text.map(std::borrow::Cow::into_owned).map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &Error) -> FormatError {
        match error {
            Error::Io(_) if self.reader.get_ref().exceeded => self.bad("a tag or a comment is longer than 1 MiB"),
            Error::Io(error) => read_failed(&self.name, error),
            Error::Syntax(error) => self.bad(format!("the file is cut short or no XML: {error}")),
            error => self.bad(format!("this is not well-formed XML: {error}")),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A failure to read, told as the file's fault where it is one: what decompresses says so by the kind of its error.
pub(super) fn read_failed(name: &str, error: &io::Error) -> FormatError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            FormatError::bad(name, error)
        }
        kind => FormatError::unreadable(name, io::Error::new(kind, error.to_string())),
    }
}

/// Bytes that refuse to go into one tag without end, and that count their lines.
struct Bounded {
    bytes: Bytes,
    left: usize,
    line: u64,
    exceeded: bool,
}

impl Bounded {
    /// Consumes what stands before the next tag.
    fn skip_text(&mut self) -> io::Result<()> {
        loop {
            let text = match self.bytes.fill_buf() {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (length, done) = match memchr::memchr(b'<', text) {
                Some(length) => (length, true),
                None => (text.len(), text.is_empty()),
            };
            self.line += memchr::memchr_iter(b'\n', &text[..length]).count() as u64;
            self.bytes.consume(length);
            if done {
                return Ok(());
            }
        }
    }
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Bounded {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            self.exceeded = true;
            return Err(io::Error::other("too long"));
        }
        let bytes = self.bytes.fill_buf()?;
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, length: usize) {
        if length == 0 {
            return;
        }
        // What was filled is still there: this reads nothing.
        if let Ok(bytes) = self.bytes.fill_buf() {
            self.line += memchr::memchr_iter(b'\n', &bytes[..length.min(bytes.len())]).count() as u64;
        }
        self.bytes.consume(length);
        self.left = self.left.saturating_sub(length);
    }
}

/// The document as UTF-8, whichever encoding its declaration names; those that nobody uses for VOTables are refused.
pub(super) fn in_utf8(name: &str, mut bytes: Box<dyn Read + Send>) -> Result<Bytes, FormatError> {
    let mut head = Vec::new();
    bytes.by_ref().take(DECLARATION).read_to_end(&mut head).map_err(|error| read_failed(name, &error))?;
    if head.starts_with(&[0xFE, 0xFF])
        || head.starts_with(&[0xFF, 0xFE])
        || head.get(..4).is_some_and(|b| b.contains(&0))
    {
        return Err(FormatError::bad(name, "it is written in UTF-16 or UTF-32; convert it to UTF-8"));
    }
    let label = declared_encoding(&head).to_ascii_lowercase();
    let whole = Cursor::new(head).chain(bytes);
    match label.as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(Box::new(BufReader::with_capacity(BUFFER, whole))),
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" => {
            Ok(Box::new(BufReader::with_capacity(BUFFER, Latin1 { bytes: whole, pending: None })))
        }
        other => Err(FormatError::bad(name, format!("it is written in {other}; convert it to UTF-8"))),
    }
}

/// The encoding that an XML declaration names, or the one that holds without.
fn declared_encoding(head: &[u8]) -> String {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let declaration = text.strip_prefix(b"<?xml").and_then(|rest| {
        let end = memchr::memmem::find(rest, b"?>")?;
        std::str::from_utf8(&rest[..end]).ok()
    });
    let named = declaration.and_then(|declaration| {
        let (_, value) = declaration.split_once("encoding")?;
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        value[1..].split(quote).next()
    });
    named.unwrap_or("utf-8").to_owned()
}

/// ISO-8859-1 read as UTF-8.
struct Latin1<R> {
    bytes: R,
    /// The second half of a letter whose first half was the last that there was room for.
    pending: Option<u8>,
}

impl<R: Read> Read for Latin1<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if let Some(byte) = self.pending.take() {
            into[0] = byte;
            return Ok(1);
        }
        let mut raw = [0; 8192];
        let wanted = (into.len() / 2).clamp(1, raw.len());
        let count = self.bytes.read(&mut raw[..wanted])?;
        let mut length = 0;
        for &byte in &raw[..count] {
            if byte < 0x80 {
                into[length] = byte;
            } else {
                into[length] = 0xC0 | byte >> 6;
                length += 1;
                let second = 0x80 | byte & 0x3F;
                match into.get_mut(length) {
                    Some(place) => *place = second,
                    None => {
                        self.pending = Some(second);
                        return Ok(length);
                    }
                }
            }
            length += 1;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(text: &str) -> Xml {
        let bytes = in_utf8("t.vot", Box::new(Cursor::new(text.as_bytes().to_vec()))).unwrap();
        Xml::new("t.vot".into(), bytes)
    }

    fn failure(text: &str) -> String {
        let mut xml = xml(text);
        loop {
            match xml.next() {
                Ok(Node::End) => panic!("{text} is read to its end"),
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn elements_come_by_their_local_names_with_attributes_that_have_no_prefix() {
        let mut xml = xml("<?xml version='1.0'?>\n<!-- c --><v:A xmlns:v='u' x:n='no' n=' 1 &lt; 2 '><B/>t</v:A>\n");
        let Node::Open(a) = xml.next().unwrap() else { panic!() };
        assert_eq!((a.name.as_str(), a.get("n"), a.empty), ("A", Some("1 < 2"), false));
        assert!(matches!(xml.next().unwrap(), Node::Open(b) if b.name == "B" && b.empty));
        assert!(matches!(xml.next().unwrap(), Node::Close));
        assert!(matches!(xml.next().unwrap(), Node::Close));
        assert!(matches!(xml.next().unwrap(), Node::End));
    }

    #[test]
    fn text_is_collapsed_and_knows_references_cdata_and_elements_within() {
        let mut document = xml("<D> a\n &amp; <![CDATA[<b>]]> <i>c</i>&#x3a9;<!-- x --> </D>");
        document.next().unwrap();
        assert_eq!(document.text().unwrap(), "a & <b> cΩ");
        let mut empty = xml("<D/>");
        empty.next().unwrap();
        assert_eq!(empty.text().unwrap(), "");
        assert!(matches!(empty.next().unwrap(), Node::End));
    }

    #[test]
    fn what_is_not_xml_is_refused_with_its_line() {
        for (text, part) in [
            ("<A>\n<B></A>", "line 2: </B> is expected, </A> was found"),
            ("<A>\n\n", "line 3: the file is cut short: it ends within A"),
            ("<A>\n<B attr='", "line 2: the file is cut short"),
            ("</A>", "</A> ends what never began"),
            ("<A/><A/>", "a second document follows"),
            ("", "no XML document"),
            ("<A x='1' x='2'/>", "not well-formed"),
            ("<A x='&nbsp;'/>", "not well-formed"),
        ] {
            let sentence = failure(text);
            assert!(sentence.contains(part), "{text}: {sentence}");
        }
    }

    #[test]
    fn an_entity_bomb_is_refused_before_any_entity_is_looked_at() {
        let bomb =
            "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol1 '&lol;&lol;&lol;'>]><A>&lol1;</A>";
        assert!(failure(bomb).contains("DOCTYPE has declarations"));
        let mut old = xml("<!DOCTYPE A SYSTEM 'http://no.such.host/A.dtd'><A>&lol;</A>");
        assert!(matches!(old.next(), Ok(Node::Open(_))), "nothing can be declared without a fetch");
        assert!(old.text().unwrap_err().to_string().contains("the entity &lol;"));
        let mut document = xml("<A>&lol;</A>");
        document.next().unwrap();
        assert!(document.text().unwrap_err().to_string().contains("the entity &lol; is not one of the five"));
    }

    #[test]
    fn depth_and_size_of_markup_are_bounded() {
        let deep = "<A>".repeat(DEPTH_LIMIT + 1);
        assert!(failure(&deep).contains("nested deeper than 100"));
        let long = format!("<A x='{}'/>", "y".repeat(MARKUP_LIMIT));
        assert!(failure(&long).contains("longer than 1 MiB"));
        // Text that nobody asked for may have any length.
        let mut text = xml(&format!("<A>{}</A>", "y".repeat(2 * MARKUP_LIMIT)));
        text.next().unwrap();
        assert!(matches!(text.next().unwrap(), Node::Close));
    }

    #[test]
    fn latin_1_is_read_and_utf_16_refused() {
        let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><A n='\xe9\xff'/>".to_vec();
        let bytes = in_utf8("t.vot", Box::new(Cursor::new(latin))).unwrap();
        let Node::Open(a) = Xml::new("t.vot".into(), bytes).next().unwrap() else { panic!() };
        assert_eq!(a.get("n"), Some("éÿ"));
        for (document, part) in [
            (&b"\xff\xfe<\0A\0"[..], "UTF-16"),
            (&b"<\0A\0/\0>\0"[..], "UTF-16"),
            (&b"<?xml version='1.0' encoding='koi8-r'?><A/>"[..], "written in koi8-r"),
        ] {
            let error = in_utf8("t.vot", Box::new(Cursor::new(document.to_vec()))).err().unwrap();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_letter_of_latin_1_survives_a_reader_that_takes_single_bytes() {
        let mut latin = Latin1 { bytes: Cursor::new(b"a\xe9b".to_vec()), pending: None };
        let mut text = Vec::new();
        let mut one = [0];
        while latin.read(&mut one).unwrap() == 1 {
            text.push(one[0]);
        }
        assert_eq!(text, "aéb".as_bytes());
    }
}
