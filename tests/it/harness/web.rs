//! A web server of files that knows parts of them, as observatories run them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
};

/// Serves the files of a folder for as long as the tests run.
pub(crate) fn files_at(folder: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let folder = folder.clone();
            // A client that goes away is no failure of the server.
            std::thread::spawn(move || answer(&stream.ok()?, &folder).ok());
        }
    });
    address
}

fn answer(mut stream: &TcpStream, folder: &std::path::Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let request = lines.next().unwrap_or_default();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let range = lines.filter_map(|line| range_in(&line)).last();
    let Ok(bytes) = fs::read(folder.join(path.trim_start_matches('/'))) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let all = bytes.len();
    let part = range.map(|(from, to)| match (from, to) {
        (Some(from), to) => (from.min(all), to.map_or(all, |to| (to + 1).min(all))),
        (None, last) => (all - last.unwrap_or(0).min(all), all),
    });
    let (from, to) = part.unwrap_or((0, all));
    let status = match part {
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}", to - 1),
        None => "200 OK".to_owned(),
    };
    let dated = "Last-Modified: Sat, 01 Aug 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\nConnection: close";
    write!(stream, "HTTP/1.1 {status}\r\n{dated}\r\nContent-Length: {}\r\n\r\n", to - from)?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&bytes[from..to]) }
}

/// The first and the last byte that a header asks for; where it names no first one, how many there are to be at the end.
fn range_in(header: &str) -> Option<(Option<usize>, Option<usize>)> {
    let header = header.to_ascii_lowercase();
    let (from, to) = header.strip_prefix("range: bytes=")?.split_once('-')?;
    Some((from.parse().ok(), to.parse().ok()))
}
