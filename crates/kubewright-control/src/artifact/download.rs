//! One download over HTTP: resumed where it broke off, tried again when that can help, bounded in everything.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kubewright_core::resource::Digest;
use kubewright_core::spec::Cluster;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, NoProxy, Proxy, Response, StatusCode, Url};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::cache::{Cache, file_error, hash_file};
use super::{ArtifactError, Fetching};

/// How often a download is tried.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 1000 });
/// How long nothing may arrive.
const SILENCE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 30_000 });
const CONNECT: Duration = Duration::from_secs(15);
/// Larger than any artifact.
const LARGEST_BYTES: u64 = 1 << 30;
/// Larger than any file of checksums.
const LARGEST_TEXT_BYTES: usize = 1 << 20;

/// What is expected of a download.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Its digest, when that is known.
    pub(super) sha256: Option<Digest>,
    /// Where that comes from.
    pub(super) by: String,
    /// The bytes it must begin with, which tells a program or an archive from a web page.
    pub(super) magic: &'static [u8],
}

/// Downloads.
#[derive(Clone, Debug)]
pub(super) struct Downloader {
    client: Client,
}

/// Why one attempt did not work.
enum Trouble {
    /// It may work next time.
    Again(String),
    /// It will not.
    Never(String),
    /// It is not what it should be; tried once more from the beginning.
    Wrong(Digest, Digest),
    /// This computer's fault.
    Local(ArtifactError),
}

impl Downloader {
    /// Downloads through the cluster's proxy, or else as the environment of this program says.
    pub(super) fn new(cluster: &Cluster) -> Result<Self, ArtifactError> {
        // The first caller has chosen; there is one provider in this program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let redirects = Policy::custom(|attempt| {
            let was_secure = attempt.previous().iter().all(|url| url.scheme() == "https");
            if attempt.previous().len() > 8 {
                attempt.error("more than 8 redirections")
            } else if was_secure && attempt.url().scheme() != "https" {
                attempt.error("redirected to an address without TLS")
            } else {
                attempt.follow()
            }
        });
        let failed = |error: reqwest::Error| ArtifactError::Download {
            url: "any".to_owned(),
            cause: chain(&error),
            attempts: 0,
        };
        let mut builder = Client::builder();
        for proxy in proxies(cluster).map_err(failed)? {
            builder = builder.proxy(proxy);
        }
        let client = builder
            .user_agent(concat!("kubewright/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(redirects)
            .build()
            .map_err(failed)?;
        Ok(Self { client })
    }

    /// Downloads into the cache, unless it is there; returns the digest.
    pub(super) async fn fetch(
        &self,
        cache: &Cache,
        url: &str,
        name: &str,
        expected: &Expected,
        fetching: &Fetching,
    ) -> Result<Digest, ArtifactError> {
        let partial = cache.partial_path(url);
        let mut etag = None;
        let (mut attempt, mut was_wrong) = (1, false);
        loop {
            tracing::debug!(url, attempt, "downloading");
            let trouble = match self
                .attempt(url, name, &partial, expected, &mut etag, fetching)
                .await
            {
                Ok(sha256) => {
                    return match cache.adopt(&partial, sha256) {
                        Ok(()) => Ok(sha256),
                        Err(error) => Err(file_error("keep", &partial, &error)),
                    };
                }
                Err(trouble) => trouble,
            };
            let is_last = attempt >= ATTEMPTS;
            let cause = match trouble {
                Trouble::Local(error) => return Err(error),
                Trouble::Wrong(found, wanted) => {
                    // Never kept: not as content, and not as the beginning of another attempt.
                    remove(&partial).await;
                    if was_wrong || is_last {
                        return Err(ArtifactError::Digest {
                            what: url.to_owned(),
                            found,
                            expected: wanted,
                            by: expected.by.clone(),
                        });
                    }
                    was_wrong = true;
                    "its SHA-256 is wrong".to_owned()
                }
                Trouble::Again(cause) if !is_last => cause,
                Trouble::Again(cause) | Trouble::Never(cause) => {
                    return Err(ArtifactError::Download {
                        url: url.to_owned(),
                        cause,
                        attempts: attempt,
                    });
                }
            };
            tracing::warn!(url, attempt, cause, "the download broke, trying again");
            sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }

    /// Reads a small text, such as a file of checksums.
    pub(super) async fn text(&self, url: &str) -> Result<String, ArtifactError> {
        let mut attempt = 1;
        loop {
            match self.text_once(url).await {
                Ok(text) => return Ok(text),
                Err(Trouble::Again(_)) if attempt < ATTEMPTS => {
                    sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                Err(Trouble::Again(cause) | Trouble::Never(cause)) => {
                    return Err(ArtifactError::Download {
                        url: url.to_owned(),
                        cause,
                        attempts: attempt,
                    });
                }
                Err(Trouble::Local(error)) => return Err(error),
                Err(Trouble::Wrong(found, expected)) => {
                    return Err(ArtifactError::Digest {
                        what: url.to_owned(),
                        found,
                        expected,
                        by: String::new(),
                    });
                }
            }
        }
    }

    async fn text_once(&self, url: &str) -> Result<String, Trouble> {
        let mut response = checked(
            self.client
                .get(url)
                .send()
                .await
                .map_err(|error| trouble(&error))?,
        )?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST_TEXT_BYTES {
                return Err(Trouble::Never("larger than any file of checksums".to_owned()));
            }
        }
        String::from_utf8(bytes).map_err(|_| Trouble::Never("not text".to_owned()))
    }

    async fn attempt(
        &self,
        url: &str,
        name: &str,
        partial: &Path,
        expected: &Expected,
        etag: &mut Option<String>,
        fetching: &Fetching,
    ) -> Result<Digest, Trouble> {
        let local = |error: std::io::Error| Trouble::Local(file_error("write", partial, &error));
        // Without a digest to compare with, what an earlier run left is no beginning: it may be of another version.
        let may_resume = expected.sha256.is_some() || etag.is_some();
        let begun = if may_resume {
            tokio::fs::metadata(partial)
                .await
                .map_or(0, |metadata| metadata.len())
        } else {
            0
        };
        let mut request = self.client.get(url);
        if begun > 0 {
            request = request.header(RANGE, format!("bytes={begun}-"));
            if let Some(etag) = etag.as_deref() {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = request.send().await.map_err(|error| trouble(&error))?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            remove(partial).await;
            return Err(Trouble::Again(
                "it has changed since the download started".to_owned(),
            ));
        }
        let mut response = checked(response)?;
        let begun = if begun > 0 && continues_at(&response, begun) {
            begun
        } else {
            0
        };
        if begun == 0 && is_web_page(&response) {
            return Err(Trouble::Never("the answer is a web page".to_owned()));
        }
        *etag = strong_etag(&response);
        let total = response.content_length().map(|rest| rest + begun);
        if total.is_some_and(|total| total > LARGEST_BYTES) {
            return Err(Trouble::Never("larger than any artifact".to_owned()));
        }
        let mut file = open(partial, begun > 0).await.map_err(local)?;
        let mut size = begun;
        while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&error))? {
            size += chunk.len() as u64;
            if size > LARGEST_BYTES {
                return Err(Trouble::Never("larger than any artifact".to_owned()));
            }
            file.write_all(&chunk).await.map_err(local)?;
            fetching(name, size, total);
        }
        file.flush().await.map_err(local)?;
        if total.is_some_and(|total| total != size) {
            return Err(Trouble::Again(format!("it ended after {size} bytes")));
        }
        verify(partial, expected).await
    }
}

/// Compares a finished download with what is expected of it.
async fn verify(partial: &Path, expected: &Expected) -> Result<Digest, Trouble> {
    let (path, magic) = (partial.to_owned(), expected.magic);
    let read = spawn_blocking(move || -> std::io::Result<(bool, Digest)> {
        let mut beginning = Vec::new();
        std::io::Read::read_to_end(
            &mut std::io::Read::take(std::fs::File::open(&path)?, magic.len() as u64),
            &mut beginning,
        )?;
        Ok((beginning == magic, hash_file(&path)?))
    })
    .await;
    let (is_kind, found) = read
        .map_err(std::io::Error::other)
        .and_then(|read| read)
        .map_err(|error| Trouble::Local(file_error("read", partial, &error)))?;
    match expected.sha256 {
        Some(wanted) if wanted != found => Err(Trouble::Wrong(found, wanted)),
        None if !is_kind => {
            remove(partial).await;
            Err(Trouble::Never(
                "the answer is neither a program nor an archive".to_owned(),
            ))
        }
        _ => Ok(found),
    }
}

async fn open(path: &Path, append: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(append);
    if !append {
        options.write(true).truncate(true);
    }
    options.open(path).await
}

async fn remove(path: &Path) {
    if let Err(error) = tokio::fs::remove_file(path).await {
        tracing::debug!(%error, path = %path.display(), "partial download not removed");
    }
}

/// Whether an answer goes on where the file ends.
fn continues_at(response: &Response, begun: u64) -> bool {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {begun}-")))
}

fn strong_etag(response: &Response) -> Option<String> {
    let etag = response.headers().get(ETAG)?.to_str().ok()?;
    (!etag.starts_with("W/")).then(|| etag.to_owned())
}

fn is_web_page(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

fn checked(response: Response) -> Result<Response, Trouble> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let cause = format!("the server answers {status}");
    let is_passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    Err(if is_passing {
        Trouble::Again(cause)
    } else {
        Trouble::Never(cause)
    })
}

/// The proxies of cluster.yaml. Any of them switches off those of the environment.
fn proxies(cluster: &Cluster) -> reqwest::Result<Vec<Proxy>> {
    let direct = NoProxy::from_string(&cluster.no_proxy().join(","));
    let mut proxies = Vec::new();
    if let Some(url) = &cluster.proxy.http {
        proxies.push(Proxy::http(url)?.no_proxy(direct.clone()));
    }
    if let Some(url) = &cluster.proxy.https {
        proxies.push(Proxy::https(url)?.no_proxy(direct));
    }
    Ok(proxies)
}

fn trouble(error: &reqwest::Error) -> Trouble {
    let cause = chain(error);
    if error.is_redirect() || error.is_builder() {
        Trouble::Never(cause)
    } else {
        Trouble::Again(cause)
    }
}

/// An error with its causes; the outermost repeats the address, which is in the message already.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no data".to_owned()
    } else {
        String::new()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

/// Whether the answer cannot be changed on its way.
pub(super) fn is_trustworthy(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let is_loopback = url
        .host_str()
        .and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok())
        .is_some_and(|address| address.is_loopback());
    url.scheme() == "https" || is_loopback
}
