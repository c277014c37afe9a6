//! One HTTP request over a stream somebody else made.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// An answer larger than this is not one of ours.
const LONGEST_ANSWER: u64 = 64 << 10;
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
    // HTTP/1.0: the end of the answer is the end of the connection, in one piece.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    let said = |error: std::io::Error| error.to_string();
    stream.write_all(request.as_bytes()).await.map_err(said)?;
    stream.flush().await.map_err(said)?;
    let mut answer = Vec::new();
    stream
        .take(LONGEST_ANSWER)
        .read_to_end(&mut answer)
        .await
        .map_err(said)?;
    body(&String::from_utf8_lossy(&answer))
}

fn body(answer: &str) -> Result<String, String> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(body.trim().to_owned()),
        _ => Err(format!("it answered `{status}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_body_of_a_page_is_returned() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let server = async {
            let mut request = vec![0; 1024];
            let read = theirs.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /hostname HTTP/1.0\r\nHost: a:80\r\n"));
            theirs
                .write_all(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nprobe-1\n")
                .await
                .unwrap();
            drop(theirs);
        };
        let (answer, ()) = tokio::join!(get(ours, "a:80", "/hostname"), server);
        assert_eq!(answer.unwrap(), "probe-1");
    }

    #[test]
    fn another_status_is_an_error() {
        assert_eq!(
            body("HTTP/1.0 503 Service Unavailable\r\n\r\nno").unwrap_err(),
            "it answered `HTTP/1.0 503 Service Unavailable`"
        );
        assert!(body("SSH-2.0-OpenSSH").is_err());
    }
}
