//! One HTTP request over a stream somebody else made.

use std::time::Duration;

use kubewright_core::http::{self, Afterwards, ResponseReader};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// An answer larger than this is not one of ours.
const LONGEST_ANSWER: usize = 64 << 10;
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Fetches a page and returns its trimmed body; any status but 200 is an error.
pub(super) async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    authority: &str,
    path: &str,
) -> Result<String, String> {
    match timeout(ANSWER_WITHIN, exchange(stream, authority, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    authority: &str,
    path: &str,
) -> Result<String, String> {
    let request = http::get(path, authority, "kubewright", Afterwards::Close);
    let said = |error: std::io::Error| error.to_string();
    stream.write_all(request.as_bytes()).await.map_err(said)?;
    stream.flush().await.map_err(said)?;
    let mut answer = ResponseReader::new(LONGEST_ANSWER);
    let mut piece = vec![0; 4096];
    // A forwarded port's stream may end late: enough is enough.
    while !answer.is_complete() {
        let read = stream.read(&mut piece).await.map_err(said)?;
        let fed = match read {
            0 => answer.end(),
            read => answer.feed(&piece[..read]).map(|_| ()),
        };
        fed.map_err(|error| error.to_string())?;
    }
    match answer.status() {
        Some(200) => Ok(String::from_utf8_lossy(answer.body()).trim().to_owned()),
        status => Err(format!("it answered {}", status.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a server say `answer`, and keep the connection.
    async fn ask(answer: &[u8]) -> Result<String, String> {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(answer).await.unwrap();
        let answer = get(ours, "a:80", "/hostname").await;
        let mut request = vec![0; 1024];
        let read = theirs.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"GET /hostname HTTP/1.1\r\nHost: a:80\r\n"));
        answer
    }

    #[tokio::test]
    async fn the_body_of_a_page_is_returned_as_soon_as_all_of_it_is_there() {
        let answer = ask(b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nprobe-1\n").await;
        assert_eq!(answer.unwrap(), "probe-1");
    }

    #[tokio::test]
    async fn another_status_is_an_error() {
        let answer = ask(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno").await;
        assert_eq!(answer.unwrap_err(), "it answered 503");
        assert!(ask(b"SSH-2.0-OpenSSH\r\n\r\n").await.is_err());
    }
}
