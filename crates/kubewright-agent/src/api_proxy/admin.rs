//! The proxy's own small HTTP server on loopback: `/metrics`, `/state`, `/healthz`.
//!
//! `GET` only, one request per connection, a bounded head, a deadline, few connections at a time. What it shows are
//! addresses, counts and health, nothing secret. `/healthz` says that the process lives and serves, not that a backend does:
//! a node whose API servers are all down must not have its proxy restarted for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::pool::Pool;
use super::report;

/// The largest request head, in bytes.
const MAX_REQUEST_BYTES: usize = 8 * 1024;
/// The most requests at a time.
const MAX_REQUESTS: usize = 16;
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until the task is ended.
pub(super) async fn serve(listener: TcpListener, pool: Arc<Pool>) {
    let permits = Arc::new(Semaphore::new(MAX_REQUESTS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            // A client that is slow or gone is its own trouble.
            let _ = timeout(REQUEST_TIMEOUT, answer(stream, &pool)).await;
            drop(permit);
        });
    }
}

async fn answer(mut stream: TcpStream, pool: &Pool) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(1024);
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() >= MAX_REQUEST_BYTES || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let (status, kind, body) = respond(&request, pool);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(request: &[u8], pool: &Pool) -> (&'static str, &'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != b"GET" {
        return ("405 Method Not Allowed", TEXT, "only GET\n".to_owned());
    }
    match target.split(|byte| *byte == b'?').next().unwrap_or_default() {
        b"/metrics" => (
            "200 OK",
            "text/plain; version=0.0.4; charset=utf-8",
            report::metrics(pool),
        ),
        b"/state" => ("200 OK", "application/json", report::state(pool)),
        b"/healthz" => ("200 OK", TEXT, "ok\n".to_owned()),
        _ => (
            "404 Not Found",
            TEXT,
            "try /metrics, /state or /healthz\n".to_owned(),
        ),
    }
}
