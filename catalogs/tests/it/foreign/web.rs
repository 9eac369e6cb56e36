//! A web server of files, which may answer a question for a missing one with a page.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;

#[derive(Clone, Copy, PartialEq)]
enum Missing {
    NotFound,
    Page,
}

async fn serve(root: PathBuf, missing: Missing) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let root = root.clone();
            tokio::spawn(async move { drop(answer(socket, &root, missing).await) });
        }
    });
    format!("http://{address}/")
}

async fn answer(socket: TcpStream, root: &Path, missing: Missing) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut head = String::new();
    while socket.read_line(&mut head).await? > 2 {}
    let path = head.split_whitespace().nth(1).unwrap_or("/").replace("%3D", "=");
    let range =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let (status, range, body) = match fs::read(root.join(path.trim_start_matches('/'))) {
        Ok(bytes) => match range {
            Some(range) => {
                let size = bytes.len();
                let (first, last) = range.split_once('-').unwrap();
                let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
                    (Ok(first), Ok(last)) => (first, last.min(size - 1)),
                    (Ok(first), Err(_)) => (first, size - 1),
                    (Err(_), Ok(length)) => (size.saturating_sub(length), size - 1),
                    _ => (0, size - 1),
                };
                let told = format!("Content-Range: bytes {first}-{last}/{size}\r\n");
                ("206 Partial Content", told, bytes[first..=last].to_vec())
            }
            None => ("200 OK", String::new(), bytes),
        },
        Err(_) if missing == Missing::Page => ("200 OK", String::new(), b"<!DOCTYPE html><p>welcome</p>".to_vec()),
        Err(_) => ("404 Not Found", String::new(), Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}Connection: close\r\n\r\n", body.len());
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body).await?;
    socket.flush().await?;
    socket.get_mut().shutdown().await?;
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await?;
    Ok(())
}

#[tokio::test]
async fn a_tree_on_a_web_server_is_attached_by_its_lists() {
    let Some(samples) = samples() else { return };
    let url = serve(samples.clone(), Missing::NotFound).await;
    for (path, rows, files) in [
        ("hats/small_sky_source", 17_161, 14),
        ("hats/small_sky_npix_alt_suffix/", 131, 1),
        ("hats/small_sky_npix_as_dir", 131, 1),
        ("hats/small_sky_source_object_index", 148, 1),
        ("lsdb/small_sky_order1_collection", 131, 4),
        ("built-0.11.1/small_sky_source_collection/collection.properties", 17_161, 14),
    ] {
        let attached =
            try_attach(&format!("{url}{path}"), None).await.unwrap_or_else(|(error, _)| panic!("{path}: {error}"));
        assert_eq!((attached.report.rows, attached.report.files), (rows, files), "{path}");
        let snapshot = &attached.snapshot;
        assert_eq!(rows_of(snapshot, &all(snapshot), &all_columns(snapshot)).await.num_rows() as u64, rows);
        let unchecked = attached.report.warnings.iter().any(|warning| warning.contains("could not be checked"));
        assert!(unchecked || snapshot.descriptor().kind == Kind::Index, "{:?}", attached.report.warnings);
        assert!(snapshot.descriptor().data.as_ref().unwrap().as_str().starts_with(&url));
    }
}

#[tokio::test]
async fn a_web_page_in_place_of_a_missing_file_is_told_from_the_file() {
    let Some(samples) = samples() else { return };
    let url = serve(samples.clone(), Missing::Page).await;
    let nothing = try_attach(&format!("{url}no/such/place"), None).await.err().unwrap().0.to_string();
    assert!(nothing.contains("the server sends a web page in their place"), "{nothing}");

    // Absent files that may be absent stay absent.
    let attached = try_attach(&format!("{url}lsdb/small_sky_order1_collection"), None).await.ok().unwrap();
    assert_eq!(attached.report.rows, 131);

    let gap = Copy::of(&samples.join("lsdb/small_sky_order1_default_columns"));
    gap.remove("dataset/Norder=1/Dir=0/Npix=46.parquet");
    for (missing, words) in [
        (Missing::Page, "Npix=46.parquet: a web page stands in its place"),
        (Missing::NotFound, "Npix=46.parquet: it is listed as a part of the catalogue, but is not there"),
    ] {
        let url = serve(gap.root.clone(), missing).await;
        let sentence = try_attach(&url, None).await.err().unwrap().0.to_string();
        assert!(sentence.contains(words), "{sentence}");
    }
}
