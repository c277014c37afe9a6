//! Frames: where one message ends and the next begins.

use serde::{Serialize, de::DeserializeOwned};

use super::{FRAME_DATA, FRAME_MESSAGE, MAX_DATA_BYTES, MAX_MESSAGE_BYTES, StreamId};

const HEADER_BYTES: usize = 5;
const STREAM_BYTES: usize = 4;

/// One frame, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A JSON message, not yet understood.
    Message(Vec<u8>),
    /// Bytes of a stream; none end it.
    Data {
        /// Which stream.
        stream: StreamId,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// What the other side sent is not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte names no frame type.
    #[error("frame of unknown type {0}")]
    UnknownType(u8),
    /// The length is beyond the bound of its type.
    #[error("frame of {0} bytes is larger than allowed")]
    TooLarge(usize),
    /// A data frame without a stream id.
    #[error("data frame of {0} bytes names no stream")]
    NoStream(usize),
    /// A message that is not the JSON expected.
    #[error("message not understood: {0}")]
    Message(String),
    /// A message to be sent is beyond the bound.
    #[error("message of {0} bytes is larger than the other side accepts")]
    OwnTooLarge(usize),
}

/// Encodes a message.
///
/// # Errors
/// [`FrameError::OwnTooLarge`] when the other side would refuse it.
pub fn encode_message<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let body = serde_json::to_vec(message).map_err(|error| FrameError::Message(error.to_string()))?;
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(FrameError::OwnTooLarge(body.len()));
    }
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.push(FRAME_MESSAGE);
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// Encodes up to [`MAX_DATA_BYTES`] bytes of a stream; no bytes end the stream.
///
/// # Errors
/// [`FrameError::OwnTooLarge`] when there are more bytes than one frame holds.
pub fn encode_data(stream: StreamId, bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    if bytes.len() > MAX_DATA_BYTES {
        return Err(FrameError::OwnTooLarge(bytes.len()));
    }
    let mut frame = Vec::with_capacity(HEADER_BYTES + STREAM_BYTES + bytes.len());
    frame.push(FRAME_DATA);
    frame.extend_from_slice(&((STREAM_BYTES + bytes.len()) as u32).to_be_bytes());
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(bytes);
    Ok(frame)
}

/// Understands a message.
///
/// # Errors
/// [`FrameError::Message`] when it is not the JSON of a `T`.
pub fn decode_message<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(|error| FrameError::Message(error.to_string()))
}

/// Puts frames together from bytes that arrive in any portions.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Takes bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && (self.start == self.buffer.len() || self.start > MAX_DATA_BYTES) {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes are no frame; the connection cannot go on then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let pending = &self.buffer[self.start..];
        let Some((header, rest)) = pending.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let bound = match header[0] {
            FRAME_MESSAGE => MAX_MESSAGE_BYTES,
            FRAME_DATA => MAX_DATA_BYTES + STREAM_BYTES,
            unknown => return Err(FrameError::UnknownType(unknown)),
        };
        if length > bound {
            return Err(FrameError::TooLarge(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = if header[0] == FRAME_MESSAGE {
            Frame::Message(body.to_vec())
        } else {
            let Some((stream, bytes)) = body.split_first_chunk::<STREAM_BYTES>() else {
                return Err(FrameError::NoStream(length));
            };
            Frame::Data {
                stream: u32::from_be_bytes(*stream),
                bytes: bytes.to_vec(),
            }
        };
        self.start += HEADER_BYTES + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8], portion: usize) -> Vec<Frame> {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for part in bytes.chunks(portion) {
            decoder.push(part);
            while let Some(frame) = decoder.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    #[test]
    fn puts_frames_together_from_any_portions() {
        let mut bytes = encode_message(&"hello").unwrap();
        bytes.extend(encode_data(7, b"abc").unwrap());
        bytes.extend(encode_data(7, b"").unwrap());
        let expected = vec![
            Frame::Message(b"\"hello\"".to_vec()),
            Frame::Data {
                stream: 7,
                bytes: b"abc".to_vec(),
            },
            Frame::Data {
                stream: 7,
                bytes: Vec::new(),
            },
        ];
        for portion in 1..bytes.len() {
            assert_eq!(frames(&bytes, portion), expected);
        }
    }

    #[test]
    fn refuses_a_frame_beyond_its_bound_before_it_arrives() {
        let mut decoder = Decoder::default();
        decoder.push(&[FRAME_DATA, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge(u32::MAX as usize)));
    }

    #[test]
    fn refuses_what_is_no_frame() {
        let mut decoder = Decoder::default();
        decoder.push(b"Welcome to node 1\n");
        assert_eq!(decoder.next_frame(), Err(FrameError::UnknownType(b'W')));
    }
}
