use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::component::recipe::tests::project;

/// An HTTP server on loopback with answers by path, the last of which repeats; it lives as long as the tests.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves whole bodies.
pub(crate) fn serve(files: &[(&str, &[u8])]) -> Server {
    serve_raw(
        files
            .iter()
            .map(|(path, body)| (*path, vec![answer("200 OK", body)]))
            .collect(),
    )
}

fn serve_raw(mut answers: HashMap<&str, Vec<Vec<u8>>>) -> Server {
    let mut answers: HashMap<String, Vec<Vec<u8>>> = answers
        .drain()
        .map(|(path, list)| (path.to_owned(), list))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let path = requested_path(&connection);
            let answer = match answers.get_mut(&path) {
                None => answer("404 Not Found", b"no"),
                Some(list) if list.len() > 1 => list.remove(0),
                Some(list) => list[0].clone(),
            };
            seen.lock().unwrap().push(path);
            // A client that has heard enough may hang up.
            let _ = connection.write_all(&answer);
        }
    });
    Server { address, requests }
}

fn requested_path(connection: &TcpStream) -> String {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    answer_of_length(status, body.len(), body)
}

fn answer_of_length(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A fetcher that may use the loopback server and does not wait.
pub(crate) fn fetcher() -> Fetcher {
    Fetcher {
        protocols: "=http",
        pause: Duration::ZERO,
    }
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Set as bytes, because the writer refuses the paths that a hostile archive has.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// Runs the download of one program `x` and returns its content.
fn fill(server: &Server, digest: &str, member: &str) -> Result<Vec<u8>> {
    let text = format!(
        "version = \"1\"\n[[binary]]\nname = \"x\"\npackage = \".\"\n[[download]]\nurl = \"{}\"\n\
         files = {{ x = \"{member}\" }}\n{digest}\n",
        server.url("/file")
    );
    let directory = tempfile::tempdir().unwrap();
    fetcher().fill(&project(&text), Platform::AMD64, directory.path(), &|_| ())?;
    assert!(!directory.path().join(".download").exists());
    Ok(std::fs::read(directory.path().join("x")).unwrap())
}

fn pinned(content: &[u8]) -> String {
    format!("sha256 = {{ amd64 = \"{}\" }}", digest::of_bytes(content))
}

fn published(server: &Server) -> String {
    format!("published = \"{}\"", server.url("/sums"))
}

#[test]
fn takes_a_plain_file_with_the_pinned_digest() {
    let server = serve(&[("/file", b"program")]);
    assert_eq!(fill(&server, &pinned(b"program"), "").unwrap(), b"program");
}

#[test]
fn refuses_other_bytes_at_once() {
    let server = serve(&[("/file", b"<html>please log in</html>")]);
    let error = fill(&server, &pinned(b"program"), "").unwrap_err().to_string();
    assert!(error.contains("sha256 of the 26 bytes received is"), "{error}");
    assert_eq!(server.requests(), ["/file"]);
}

#[test]
fn asks_again_when_a_file_arrives_cut_off() {
    let cut = answer_of_length("200 OK", 7, b"prog");
    let server = serve_raw(HashMap::from([(
        "/file",
        vec![cut, answer("200 OK", b"program")],
    )]));
    assert_eq!(fill(&server, &pinned(b"program"), "").unwrap(), b"program");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn gives_up_when_every_attempt_is_cut_off() {
    let cut = answer_of_length("200 OK", 7, b"prog");
    let server = serve_raw(HashMap::from([("/file", vec![cut])]));
    let error = fill(&server, &pinned(b"program"), "").unwrap_err().to_string();
    assert!(error.ends_with("(3 of 3 attempts made)"), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn asks_again_after_a_server_error_but_not_after_a_missing_file() {
    let busy = answer("503 Busy", b"");
    let server = serve_raw(HashMap::from([(
        "/file",
        vec![busy, answer("200 OK", b"program")],
    )]));
    assert_eq!(fill(&server, &pinned(b"program"), "").unwrap(), b"program");

    let server = serve(&[]);
    let error = fill(&server, &pinned(b"program"), "").unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn follows_no_redirect_to_a_protocol_it_was_not_given() {
    let moved = b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n";
    let server = serve_raw(HashMap::from([("/file", vec![moved.to_vec()])]));
    fill(&server, &pinned(b"program"), "").unwrap_err();
}

#[test]
fn uses_the_published_digest_where_none_is_known() {
    let sums = format!(
        "{}  other\n{} *file\n",
        digest::of_bytes(b"o"),
        digest::of_bytes(b"program")
    );
    let server = serve(&[("/file", b"program"), ("/sums", sums.as_bytes())]);
    assert_eq!(fill(&server, &published(&server), "").unwrap(), b"program");

    let sums = digest::of_bytes(b"something else");
    let server = serve(&[("/file", b"program"), ("/sums", sums.as_bytes())]);
    fill(&server, &published(&server), "").unwrap_err();
}

#[test]
fn refuses_a_page_in_place_of_published_digests() {
    let server = serve(&[("/file", b"program"), ("/sums", b"<html>file not here</html>")]);
    let error = fill(&server, &published(&server), "").unwrap_err().to_string();
    assert!(error.ends_with("has no sha256 for file"), "{error}");
    assert_eq!(server.requests(), ["/sums"]);
}

#[test]
fn takes_only_the_wanted_member_of_an_archive() {
    let bytes = archive(&[
        ("../../evil", b"evil"),
        ("./bin/x", b"program"),
        ("bin/y", b"other"),
    ]);
    let server = serve(&[("/file", &bytes)]);
    assert_eq!(fill(&server, &pinned(&bytes), "bin/x").unwrap(), b"program");
    let error = fill(&server, &pinned(&bytes), "bin/z").unwrap_err();
    assert_eq!(
        format!("{:#}", error.root_cause()),
        "the archive has no file bin/z"
    );
}
