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
    // HTTP/1.0: one answer, in one piece, that ends with the connection at the latest.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    let said = |error: std::io::Error| error.to_string();
    stream.write_all(request.as_bytes()).await.map_err(said)?;
    stream.flush().await.map_err(said)?;
    let mut answer = Vec::new();
    let mut stream = stream.take(LONGEST_ANSWER);
    // A forwarded port's stream may end late: enough is enough.
    while !is_complete(&answer) && stream.read_buf(&mut answer).await.map_err(said)? > 0 {}
    body(&String::from_utf8_lossy(&answer))
}

/// Tells whether the answer has all of the body it announces.
fn is_complete(answer: &[u8]) -> bool {
    const BLANK: &[u8] = b"\r\n\r\n";
    let Some(head) = answer.windows(BLANK.len()).position(|window| window == BLANK) else {
        return false;
    };
    let announced = String::from_utf8_lossy(&answer[..head]).lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        let is_length = field.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    announced.is_some_and(|length| answer.len() >= head + BLANK.len() + length)
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
    fn an_answer_is_complete_when_the_announced_body_is_there() {
        assert!(is_complete(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"));
        assert!(!is_complete(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nab"));
        assert!(!is_complete(b"HTTP/1.0 200 OK\r\n\r\nab"));
        assert!(!is_complete(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n"));
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
