//! As much of HTTP/1.1 as is spoken here: `GET`, and one answer, whatever carries the bytes.
//!
//! Somebody else writes the [`get`] request to a stream and hands every piece that comes back to a [`ResponseReader`].
//! Whatever the other side sends, memory is bounded: the head by [`MAX_HEAD_BYTES`], the body by the caller's limit. No
//! redirects, no compression, no trailers kept, no upgrade; anything unexpected is an error.

mod head;

use head::{BodyLength, Head};

/// The largest head (status line and headers) of an answer, in bytes.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The longest line that announces a chunk, in bytes.
const MAX_CHUNK_LINE_BYTES: usize = 256;
/// The most headers of an answer, and the most lines of a trailer.
const MAX_HEADERS: usize = 100;

/// What becomes of the connection after one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It may carry another request.
    KeepAlive,
    /// It ends.
    Close,
}

/// A request for a path, as bytes of one text; `host` is sent as the `Host` header.
pub fn get(path: &str, host: &str, user_agent: &str, afterwards: Afterwards) -> String {
    let connection = match afterwards {
        Afterwards::KeepAlive => "",
        Afterwards::Close => "Connection: close\r\n",
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {user_agent}\r\nAccept: application/json, */*\r\n{connection}\r\n"
    )
}

/// An answer, read completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, within the limit asked for.
    pub body: Vec<u8>,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The answer is not HTTP/1.1 as it is understood here.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
    /// The answer is larger than the limit.
    #[error("answer too large: {0}")]
    TooLarge(&'static str),
    /// The connection ended in the middle of the answer.
    #[error("the connection ended in the middle of the answer")]
    CutShort,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Head,
    /// So many more bytes of the body, and no others.
    Body(usize),
    ChunkLine,
    /// So many more bytes of a chunk.
    Chunk(usize),
    ChunkEnd,
    /// A line of the trailer, after so many.
    Trailer(usize),
    /// More of the body, until the connection ends.
    Rest,
    Nothing,
}

/// Puts an answer together from pieces as they arrive.
#[derive(Debug)]
pub struct ResponseReader {
    max_body_bytes: usize,
    /// What has arrived and is not understood yet.
    buffer: Vec<u8>,
    expects: Expects,
    head: Option<Head>,
    body: Vec<u8>,
}

impl ResponseReader {
    /// Expects an answer with a body of at most so many bytes.
    pub const fn new(max_body_bytes: usize) -> Self {
        Self {
            max_body_bytes,
            buffer: Vec::new(),
            expects: Expects::Head,
            head: None,
            body: Vec::new(),
        }
    }

    /// Takes the next piece; whether the answer is complete now.
    ///
    /// # Errors
    /// When it is no answer, or too large; nothing more can be read then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, HttpError> {
        self.buffer.extend_from_slice(bytes);
        while self.advance()? {}
        Ok(self.is_complete())
    }

    /// The connection has ended: what is there is all there will be.
    ///
    /// # Errors
    /// [`HttpError::CutShort`] when that is not a whole answer.
    pub const fn end(&mut self) -> Result<(), HttpError> {
        match self.expects {
            Expects::Nothing | Expects::Rest => {
                self.expects = Expects::Nothing;
                Ok(())
            }
            _ => Err(HttpError::CutShort),
        }
    }

    /// Whether the whole answer is there.
    pub const fn is_complete(&self) -> bool {
        matches!(self.expects, Expects::Nothing)
    }

    /// The status code, once the head is there.
    pub fn status(&self) -> Option<u16> {
        self.head.map(|head| head.status)
    }

    /// The body, as far as it is there.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether another request may follow on the same connection. Bytes nobody asked for would be taken for its answer.
    pub fn is_reusable(&self) -> bool {
        let keeps = |head: &Head| head.keeps_alive && head.length != BodyLength::UntilClose;
        self.is_complete() && self.buffer.is_empty() && self.head.as_ref().is_some_and(keeps)
    }

    /// The answer; `None` while it is not complete.
    pub fn into_response(self) -> Option<Response> {
        let status = self.status().filter(|_| self.is_complete())?;
        Some(Response {
            status,
            body: self.body,
        })
    }

    /// Understands one more part of what has arrived; whether there was one.
    fn advance(&mut self) -> Result<bool, HttpError> {
        let before = (self.expects, self.buffer.len());
        match self.expects {
            Expects::Nothing => {}
            Expects::Head => self.read_head()?,
            Expects::Body(left) => {
                self.expects = match left - self.take(left) {
                    0 => Expects::Nothing,
                    left => Expects::Body(left),
                };
            }
            Expects::ChunkLine => self.read_chunk_line()?,
            Expects::Chunk(left) => {
                self.expects = match left - self.take(left) {
                    0 => Expects::ChunkEnd,
                    left => Expects::Chunk(left),
                };
            }
            Expects::ChunkEnd => match self.buffer.as_slice() {
                [] | [b'\r'] => {}
                [b'\r', b'\n', ..] => {
                    self.buffer.drain(..2);
                    self.expects = Expects::ChunkLine;
                }
                _ => return Err(HttpError::Malformed("chunk without an end")),
            },
            Expects::Trailer(lines) => {
                if let Some(line) = self.take_line(b"\r\n", MAX_HEAD_BYTES, "trailer")? {
                    self.expects = match lines + 1 {
                        _ if line.len() == 2 => Expects::Nothing,
                        MAX_HEADERS => return Err(HttpError::TooLarge("trailer")),
                        lines => Expects::Trailer(lines),
                    };
                }
            }
            Expects::Rest => {
                let all = self.buffer.len();
                self.refuse_beyond_limit(all)?;
                self.take(all);
            }
        }
        Ok(before != (self.expects, self.buffer.len()))
    }

    fn read_head(&mut self) -> Result<(), HttpError> {
        let Some(text) = self.take_line(b"\r\n\r\n", MAX_HEAD_BYTES, "head")? else {
            return Ok(());
        };
        let head = Head::parse(&text)?;
        self.head = Some(head);
        self.expects = match head.length {
            BodyLength::Fixed(0) => Expects::Nothing,
            BodyLength::Fixed(length) => {
                self.refuse_beyond_limit(length)?;
                Expects::Body(length)
            }
            BodyLength::Chunked => Expects::ChunkLine,
            BodyLength::UntilClose => Expects::Rest,
        };
        Ok(())
    }

    fn read_chunk_line(&mut self) -> Result<(), HttpError> {
        let Some(line) = self.take_line(b"\r\n", MAX_CHUNK_LINE_BYTES, "chunk line")? else {
            return Ok(());
        };
        let length = head::chunk_length(&line)?;
        self.refuse_beyond_limit(length)?;
        self.expects = match length {
            0 => Expects::Trailer(0),
            length => Expects::Chunk(length),
        };
        Ok(())
    }

    fn refuse_beyond_limit(&self, more: usize) -> Result<(), HttpError> {
        if more > self.max_body_bytes - self.body.len() {
            return Err(HttpError::TooLarge("body"));
        }
        Ok(())
    }

    /// Moves up to so many bytes to the body; how many they were.
    fn take(&mut self, most: usize) -> usize {
        let count = most.min(self.buffer.len());
        self.body.extend(self.buffer.drain(..count));
        count
    }

    /// Takes what has arrived up to and with `mark`; `None` while that is not there.
    fn take_line(
        &mut self,
        mark: &[u8],
        limit: usize,
        what: &'static str,
    ) -> Result<Option<Vec<u8>>, HttpError> {
        let at = self.buffer.windows(mark.len()).position(|window| window == mark);
        match at.map(|at| at + mark.len()) {
            Some(end) if end <= limit => Ok(Some(self.buffer.drain(..end).collect())),
            None if self.buffer.len() < limit => Ok(None),
            _ => Err(HttpError::TooLarge(what)),
        }
    }
}

#[cfg(test)]
mod tests;
