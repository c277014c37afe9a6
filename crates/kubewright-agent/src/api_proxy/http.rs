//! As much of an HTTP/1.1 client as the proxy needs: `GET`, one answer, connection kept alive.
//!
//! Whatever the other side sends, memory is bounded: the head by [`MAX_HEAD_BYTES`], the body by the caller's limit.
//! No redirects, no compression, no trailers kept, no upgrade; anything unexpected is an error and ends the connection.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The largest head (status line and headers) of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The longest line that announces a chunk, in bytes.
const MAX_CHUNK_LINE_BYTES: usize = 256;
/// The most headers of an answer.
const MAX_HEADERS: usize = 100;

/// An answer, read completely.
#[derive(Debug)]
pub(super) struct Response {
    /// The status code.
    pub(super) status: u16,
    /// The body, within the limit asked for.
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The connection broke or was closed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The answer is not HTTP/1.1 as this client speaks it.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
    /// The answer is larger than the limit.
    #[error("answer too large: {0}")]
    TooLarge(&'static str),
}

/// A connection to one server on which requests follow one another.
#[derive(Debug)]
pub(super) struct HttpConnection<S> {
    stream: S,
    host: String,
    buffer: Vec<u8>,
    is_reusable: bool,
}

/// How the body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyLength {
    Fixed(usize),
    Chunked,
    UntilClose,
}

/// A parsed head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: BodyLength,
    keeps_alive: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    /// Speaks over `stream`; `host` is sent as the `Host` header.
    pub(super) fn new(stream: S, host: &str) -> Self {
        Self {
            stream,
            host: host.to_owned(),
            buffer: Vec::new(),
            is_reusable: true,
        }
    }

    /// Says whether another request may follow.
    pub(super) const fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// Asks for `path` and reads the whole answer, a body of at most `max_body_bytes`.
    pub(super) async fn get(&mut self, path: &str, max_body_bytes: usize) -> Result<Response, HttpError> {
        // Only a complete exchange makes the connection fit for the next one, also when this future is dropped.
        self.is_reusable = false;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kubewright-api-proxy\r\nAccept: application/json, */*\r\n\r\n",
            self.host
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let end = self.fill_until(b"\r\n\r\n", MAX_HEAD_BYTES, "head").await?;
        let head = parse_head(&self.buffer[..end])?;
        self.buffer.drain(..end);
        let body = match head.length {
            BodyLength::Fixed(length) if length > max_body_bytes => return Err(HttpError::TooLarge("body")),
            BodyLength::Fixed(length) => self.take(length).await?,
            BodyLength::Chunked => self.read_chunks(max_body_bytes).await?,
            BodyLength::UntilClose => self.read_to_end(max_body_bytes).await?,
        };
        // Bytes nobody asked for would be taken for the next answer.
        self.is_reusable =
            head.keeps_alive && head.length != BodyLength::UntilClose && self.buffer.is_empty();
        Ok(Response {
            status: head.status,
            body,
        })
    }

    /// Reads more into the buffer; an end of the stream is an error.
    async fn fill(&mut self) -> Result<(), HttpError> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        if read == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    /// Reads until the buffer holds `mark` and returns the position after it.
    async fn fill_until(
        &mut self,
        mark: &[u8],
        limit: usize,
        what: &'static str,
    ) -> Result<usize, HttpError> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..]
                .windows(mark.len())
                .position(|window| window == mark)
            {
                let end = searched + at + mark.len();
                return if end > limit {
                    Err(HttpError::TooLarge(what))
                } else {
                    Ok(end)
                };
            }
            if self.buffer.len() >= limit {
                return Err(HttpError::TooLarge(what));
            }
            searched = self.buffer.len().saturating_sub(mark.len() - 1);
            self.fill().await?;
        }
    }

    /// Takes exactly `length` bytes off the stream; the caller has checked `length`.
    async fn take(&mut self, length: usize) -> Result<Vec<u8>, HttpError> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn read_chunks(&mut self, max_body_bytes: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        loop {
            let end = self
                .fill_until(b"\r\n", MAX_CHUNK_LINE_BYTES, "chunk line")
                .await?;
            let length = parse_chunk_length(&self.buffer[..end - 2])?;
            self.buffer.drain(..end);
            if length == 0 {
                break;
            }
            if length > max_body_bytes - body.len() {
                return Err(HttpError::TooLarge("body"));
            }
            let mut chunk = self.take(length + 2).await?;
            if !chunk.ends_with(b"\r\n") {
                return Err(HttpError::Malformed("chunk without an end"));
            }
            chunk.truncate(length);
            body.append(&mut chunk);
        }
        for _ in 0..MAX_HEADERS {
            let end = self.fill_until(b"\r\n", MAX_HEAD_BYTES, "trailer").await?;
            self.buffer.drain(..end);
            if end == 2 {
                return Ok(body);
            }
        }
        Err(HttpError::TooLarge("trailer"))
    }

    async fn read_to_end(&mut self, max_body_bytes: usize) -> Result<Vec<u8>, HttpError> {
        loop {
            if self.buffer.len() > max_body_bytes {
                return Err(HttpError::TooLarge("body"));
            }
            match self.fill().await {
                Ok(()) => {}
                // Many servers end TLS without saying so; without a length the end of the stream is the end of the body.
                Err(HttpError::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn parse_chunk_length(line: &[u8]) -> Result<usize, HttpError> {
    let digits = line
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(HttpError::Malformed("chunk length"));
    }
    let text = std::str::from_utf8(digits).map_err(|_| HttpError::Malformed("chunk length"))?;
    usize::from_str_radix(text, 16).map_err(|_| HttpError::Malformed("chunk length"))
}

fn parse_head(head: &[u8]) -> Result<Head, HttpError> {
    let text = std::str::from_utf8(head).map_err(|_| HttpError::Malformed("head is not text"))?;
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let mut words = status_line.splitn(3, ' ');
    let keeps_alive = match words.next() {
        Some("HTTP/1.1") => true,
        Some("HTTP/1.0") => false,
        _ => return Err(HttpError::Malformed("status line")),
    };
    let status = words
        .next()
        .filter(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|word| word.parse::<u16>().ok())
        .filter(|status| *status >= 200)
        .ok_or(HttpError::Malformed("status"))?;
    let bodyless = matches!(status, 204 | 304);
    let mut head = Head {
        status,
        length: BodyLength::UntilClose,
        keeps_alive,
    };
    let mut fixed = None;
    let mut chunked = false;
    for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if count >= MAX_HEADERS {
            return Err(HttpError::TooLarge("headers"));
        }
        let (name, value) = line.split_once(':').ok_or(HttpError::Malformed("header"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = parse_length(value)?;
            if fixed.is_some_and(|earlier| earlier != length) {
                return Err(HttpError::Malformed("two lengths"));
            }
            fixed = Some(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(HttpError::Malformed("transfer encoding"));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
            head.keeps_alive = false;
        }
    }
    head.length = match (fixed, chunked) {
        _ if bodyless => BodyLength::Fixed(0),
        (Some(_), true) => return Err(HttpError::Malformed("both chunked and a length")),
        (None, true) => BodyLength::Chunked,
        (Some(length), false) => BodyLength::Fixed(length),
        (None, false) => BodyLength::UntilClose,
    };
    Ok(head)
}

fn parse_length(value: &str) -> Result<usize, HttpError> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HttpError::Malformed("length"));
    }
    value.parse().map_err(|_| HttpError::Malformed("length"))
}

#[cfg(test)]
#[path = "tests/http.rs"]
mod tests;
