//! A few lines on loopback play the download site, with its moods.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use kubewright_core::catalogue::{ArtifactFile, Platform};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// How the site behaves for one request.
#[derive(Clone, Debug)]
enum Mood {
    /// As it should; understands ranges.
    Well(Vec<u8>),
    /// Promises everything and hangs up half-way; understands ranges.
    HalfWay(Vec<u8>),
    /// Promises everything and falls silent half-way.
    Silent(Vec<u8>),
    /// A web page instead, with status 200.
    Page,
    /// Another address.
    Moved(String),
    /// A status without content.
    Status(u16),
}

struct Site {
    address: String,
    requests: Arc<AtomicUsize>,
}

impl Site {
    /// Answers the n-th request for a path as `mood` says.
    async fn start(mood: impl Fn(&str, usize) -> Mood + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (mood, count) = (Arc::new(mood), requests.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (mood, count) = (mood.clone(), count.clone());
                tokio::spawn(async move {
                    let _ = answer(connection, mood.as_ref(), &count).await;
                });
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn answer(
    mut connection: TcpStream,
    mood: &(impl Fn(&str, usize) -> Mood + Sync),
    count: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let begin = head.lines().find_map(|line| {
        line.strip_prefix("range: bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    let number = count.fetch_add(1, Ordering::SeqCst);
    let mood = mood(&path, number);
    let mut reply = String::from("HTTP/1.1 ");
    let mut body = Vec::new();
    match &mood {
        Mood::Well(content) | Mood::HalfWay(content) | Mood::Silent(content) => {
            let begin = begin.filter(|begin| *begin < content.len());
            match begin {
                Some(begin) => {
                    let (last, total) = (content.len() - 1, content.len());
                    let _ = write!(
                        reply,
                        "206 Partial Content\r\ncontent-range: bytes {begin}-{last}/{total}\r\n"
                    );
                }
                None => reply.push_str("200 OK\r\n"),
            }
            let rest = &content[begin.unwrap_or(0)..];
            let _ = write!(reply, "content-length: {}\r\netag: \"one\"\r\n", rest.len());
            let end = if matches!(mood, Mood::Well(_)) {
                rest.len()
            } else {
                rest.len() / 2
            };
            body.extend_from_slice(&rest[..end]);
        }
        Mood::Page => {
            body.extend_from_slice(b"<html>Please log in</html>");
            reply.push_str("200 OK\r\ncontent-type: text/html; charset=utf-8\r\n");
        }
        Mood::Moved(url) => {
            let _ = write!(reply, "302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n");
        }
        Mood::Status(status) => {
            let _ = write!(reply, "{status} Whatever\r\ncontent-length: 0\r\n");
        }
    }
    reply.push_str("connection: close\r\n\r\n");
    connection.write_all(reply.as_bytes()).await?;
    connection.write_all(&body).await?;
    connection.flush().await?;
    if matches!(mood, Mood::Silent(_)) {
        // Until the other side has had enough.
        let _ = connection.read_u8().await;
    }
    Ok(())
}

fn program() -> Vec<u8> {
    let mut content = ELF.to_vec();
    content.extend((0..100_000_u32).map(|number| (number / 7) as u8));
    content
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        builder.append_data(&mut header, name, *content).unwrap();
    }
    let mut encoder = builder.into_inner().unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}

fn artifact(checksum: Checksum) -> Artifact {
    Artifact {
        name: "runc",
        version: "1.5.2".to_owned(),
        platform: Platform::Amd64,
        url: "https://example.org/v1/runc.amd64".to_owned(),
        format: Format::Plain,
        checksum,
        files: vec![ArtifactFile {
            name: "runc".to_owned(),
            member: None,
        }],
    }
}

fn packed(checksum: Checksum) -> Artifact {
    Artifact {
        name: "containerd",
        url: "https://example.org/v1/containerd.tar.gz".to_owned(),
        format: Format::TarGz,
        files: vec![ArtifactFile {
            name: "ctr".to_owned(),
            member: Some("bin/ctr".to_owned()),
        }],
        ..artifact(checksum)
    }
}

fn known(content: &[u8]) -> Checksum {
    Checksum::Known(Digest::of(content).to_string())
}

fn source(home: &tempfile::TempDir, site: &Site) -> Source {
    Source {
        downloader: Downloader::new(&crate::artifact::tests::cluster(&serde_json::json!("upstream")))
            .unwrap(),
        cache: Cache::open(home.path().join("cache")).unwrap(),
        lock: Arc::new(Mutex::new(LockFile::read(home.path()).unwrap())),
        mirror: Some(site.address.clone()),
        fetching: Arc::new(|_, _, _| {}),
    }
}

/// Gets an artifact from a site, and checks that nothing unverified is left in the cache.
async fn get(site: &Site, artifact: &Artifact) -> Result<Blob, ArtifactError> {
    let home = tempfile::tempdir().unwrap();
    let result = source(&home, site).get(artifact).await;
    for entry in std::fs::read_dir(home.path().join("cache/blobs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(Digest::of(&std::fs::read(&path).unwrap()).to_string(), name);
        assert!(result.is_ok(), "something is kept although it was refused");
    }
    result.map(|files| *files.values().next().unwrap())
}

#[tokio::test]
async fn downloads_what_the_catalogue_knows() {
    let site = Site::start(|path, _| {
        assert_eq!(path, "/example.org/v1/runc.amd64");
        Mood::Well(program())
    })
    .await;
    let blob = get(&site, &artifact(known(&program()))).await.unwrap();
    assert_eq!(blob.sha256, Digest::of(&program()));
    assert_eq!(blob.size_bytes, program().len() as u64);
}

#[tokio::test]
async fn goes_on_where_a_download_broke_off() {
    for broken in [Mood::HalfWay(program()), Mood::Silent(program())] {
        let site = Site::start(move |_, number| {
            if number == 0 {
                broken.clone()
            } else {
                Mood::Well(program()[..].to_vec())
            }
        })
        .await;
        get(&site, &artifact(known(&program()))).await.unwrap();
        assert_eq!(site.requests(), 2);
    }
}

#[tokio::test]
async fn goes_on_in_the_next_run_too() {
    let home = tempfile::tempdir().unwrap();
    let site = Site::start(|_, number| {
        if number < 4 {
            Mood::HalfWay(program())
        } else {
            Mood::Well(program())
        }
    })
    .await;
    let artifact = artifact(known(&program()));
    let error = source(&home, &site).get(&artifact).await.unwrap_err();
    assert!(
        matches!(error, ArtifactError::Download { attempts: 4, .. }),
        "{error}"
    );
    source(&home, &site).get(&artifact).await.unwrap();
    assert_eq!(site.requests(), 5);
}

#[tokio::test]
async fn refuses_content_that_is_not_what_it_should_be() {
    let site = Site::start(|_, _| Mood::Well(b"\x7fELF corrupted".to_vec())).await;
    let error = get(&site, &artifact(known(&program()))).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Digest { .. }), "{error}");
    assert_eq!(site.requests(), 2, "tried once more from the beginning");
}

#[tokio::test]
async fn begins_anew_when_what_was_begun_turns_out_wrong() {
    let mut other = program();
    other[20] ^= 1;
    let site = Site::start(move |_, number| {
        if number == 0 {
            Mood::HalfWay(other.clone())
        } else {
            Mood::Well(program())
        }
    })
    .await;
    get(&site, &artifact(known(&program()))).await.unwrap();
    assert_eq!(site.requests(), 3);
}

#[tokio::test]
async fn takes_no_web_page_for_a_program() {
    let site = Site::start(|_, _| Mood::Page).await;
    for checksum in [known(&program()), Checksum::Unpublished] {
        let error = get(&site, &artifact(checksum)).await.unwrap_err();
        assert!(error.to_string().ends_with("the answer is a web page"), "{error}");
    }
    let site = Site::start(|_, _| Mood::Well(b"<html>200</html>".to_vec())).await;
    let error = get(&site, &artifact(Checksum::Unpublished)).await.unwrap_err();
    assert!(
        error.to_string().contains("neither a program nor an archive"),
        "{error}"
    );
}

#[tokio::test]
async fn follows_redirections_but_not_for_ever() {
    let site = Site::start(|path, _| {
        if path == "/there" {
            Mood::Well(program())
        } else {
            Mood::Moved("/there".to_owned())
        }
    })
    .await;
    get(&site, &artifact(known(&program()))).await.unwrap();
    let site = Site::start(|_, _| Mood::Moved("/again".to_owned())).await;
    let error = get(&site, &artifact(known(&program()))).await.unwrap_err();
    assert!(error.to_string().contains("more than 8 redirections"), "{error}");
}

#[tokio::test]
async fn tries_again_only_when_that_can_help() {
    let site = Site::start(|_, _| Mood::Status(503)).await;
    let error = get(&site, &artifact(known(&program()))).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("503 Service Unavailable (4 attempts)"),
        "{error}"
    );
    assert_eq!(site.requests(), 4);
    let site = Site::start(|_, _| Mood::Status(404)).await;
    let error = get(&site, &artifact(known(&program()))).await.unwrap_err();
    assert!(error.to_string().ends_with("404 Not Found"), "{error}");
    assert_eq!(site.requests(), 1);
}

#[tokio::test]
async fn asks_upstream_for_its_sum_once_and_pins_it() {
    let home = tempfile::tempdir().unwrap();
    let site = Site::start(|path, _| {
        if path.ends_with("sums") {
            let sum = Digest::of(&program());
            Mood::Well(format!("{}  other\n{sum} *runc.amd64\n", Digest::of(b"other")).into_bytes())
        } else {
            Mood::Well(program())
        }
    })
    .await;
    let published = artifact(Checksum::Published("https://example.org/sums".to_owned()));
    let source = source(&home, &site);
    source.get(&published).await.unwrap();
    assert_eq!(site.requests(), 2);
    let pin = source.pin_of(&published).unwrap();
    assert_eq!(pin.sha256, Digest::of(&program()));

    std::fs::remove_dir_all(home.path().join("cache")).unwrap();
    Cache::open(home.path().join("cache")).unwrap();
    source.get(&published).await.unwrap();
    assert_eq!(site.requests(), 3, "the pin is enough");
}

#[tokio::test]
async fn refuses_a_sum_over_a_connection_that_anybody_could_change() {
    let home = tempfile::tempdir().unwrap();
    let site = Site {
        address: "http://192.0.2.1".to_owned(),
        requests: Arc::default(),
    };
    let published = artifact(Checksum::Published("https://example.org/sums".to_owned()));
    for artifact in [published, artifact(Checksum::Unpublished)] {
        let error = source(&home, &site).get(&artifact).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Untrusted { .. }), "{error}");
    }
}

#[tokio::test]
async fn refuses_a_download_that_differs_from_its_pin() {
    let home = tempfile::tempdir().unwrap();
    let site = Site::start(|_, _| Mood::Well(program())).await;
    let source = source(&home, &site);
    let unpublished = artifact(Checksum::Unpublished);
    let pin = Pin {
        sha256: Digest::of(b"what it was"),
        members: BTreeMap::new(),
    };
    source.lock.lock().unwrap().insert(&unpublished.url, pin);
    let error = source.get(&unpublished).await.unwrap_err();
    assert!(error.to_string().ends_with("(kubewright.lock)"), "{error}");
}

#[tokio::test]
async fn takes_files_out_of_an_archive_and_needs_it_only_once() {
    let home = tempfile::tempdir().unwrap();
    let content = archive(&[("bin/ctr", b"ctr"), ("bin/other", b"other")]);
    let packed = packed(known(&content));
    let site = Site::start(move |_, _| Mood::Well(content.clone())).await;
    let source = source(&home, &site);
    let files = source.get(&packed).await.unwrap();
    assert_eq!(files["ctr"].sha256, Digest::of(b"ctr"));
    let pin = source.pin_of(&packed).unwrap();
    std::fs::remove_file(source.cache.path(pin.sha256)).unwrap();
    assert_eq!(source.get(&packed).await.unwrap(), files);
    assert_eq!(site.requests(), 1);
}

#[tokio::test]
async fn refuses_an_archive_whose_files_differ_from_their_pins() {
    let home = tempfile::tempdir().unwrap();
    let content = archive(&[("bin/ctr", b"ctr")]);
    let packed = packed(known(&content));
    let sha256 = Digest::of(&content);
    let site = Site::start(move |_, _| Mood::Well(content.clone())).await;
    let source = source(&home, &site);
    let before = Blob {
        sha256: Digest::of(b"CTR"),
        size_bytes: 3,
    };
    let members = BTreeMap::from([("bin/ctr".to_owned(), before.into())]);
    source
        .lock
        .lock()
        .unwrap()
        .insert(&packed.url, Pin { sha256, members });
    let error = source.get(&packed).await.unwrap_err();
    assert!(
        error.to_string().starts_with("bin/ctr in https://example.org"),
        "{error}"
    );
}

#[test]
fn reads_sums_as_upstreams_write_them() {
    let sum = Digest::of(b"x");
    for text in [
        format!("{sum}"),
        format!("{sum}\n"),
        format!("{sum}  runc.amd64\n"),
        format!("{sum} *./runc.amd64\n"),
        format!("{}  runc.arm64\n{sum}  runc.amd64\n", Digest::of(b"y")),
    ] {
        assert_eq!(published_sum(&text, "runc.amd64"), Some(sum), "{text}");
    }
    assert_eq!(published_sum(&format!("{sum}  runc.arm64\n"), "runc.amd64"), None);
    assert_eq!(published_sum("<html>", "runc.amd64"), None);
}
