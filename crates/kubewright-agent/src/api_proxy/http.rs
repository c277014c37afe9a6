//! A connection to one server on which requests follow one another.

use kubewright_core::http::{Afterwards, Response, ResponseReader, get};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes read at a time.
const PIECE: usize = 8 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The connection broke or was closed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The answer is none.
    #[error(transparent)]
    Answer(#[from] kubewright_core::http::HttpError),
}

/// A connection to one server on which requests follow one another.
#[derive(Debug)]
pub(super) struct HttpConnection<S> {
    stream: S,
    host: String,
    is_reusable: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    /// Speaks over `stream`; `host` is sent as the `Host` header.
    pub(super) fn new(stream: S, host: &str) -> Self {
        Self {
            stream,
            host: host.to_owned(),
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
        let request = get(path, &self.host, "kubewright-api-proxy", Afterwards::KeepAlive);
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let mut reader = ResponseReader::new(max_body_bytes);
        let mut piece = vec![0; PIECE];
        while !reader.is_complete() {
            match self.read(&mut piece).await? {
                0 => reader.end()?,
                read => {
                    reader.feed(&piece[..read])?;
                }
            }
        }
        self.is_reusable = reader.is_reusable();
        let cut_short = kubewright_core::http::HttpError::CutShort;
        Ok(reader.into_response().ok_or(cut_short)?)
    }

    /// Reads a piece; nothing at the end. Many servers end TLS without saying so.
    async fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        match self.stream.read(piece).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

#[cfg(test)]
#[path = "tests/http.rs"]
mod tests;
